/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary sequences of calls on VFIO's descriptors: two devices of one group (one by its container, one that
 * has a group of its own by cdev), the group, the container, an iommufd, and buffers that come of them: ioctls,
 * reads, writes, mappings, interrupts from the device, closes.
 *
 * Input: a row of calls. Each begins with a byte for the call and one for the descriptor, then
 * what the call needs; then the argument's bytes. Addresses that the interface writes through
 * are led to memory of the fuzzer's.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/types.h"
#include "pci/pci.h"
#include "softvirt/softvirt.h"
#include "softvirt/uapi/iommufd.h"
#include "softvirt/uapi/vfio.h"

#define MAX_FDS 16
#define MEM_SIZE 0x40000u
#define MAX_MAPS 8

enum { CONTAINER, GROUP, DEVICE, IOMMUFD, CDEV, EVENT, FIXED };

static u8 *memory;
static struct pci_dev *devs[2];

static int bar_read(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 *val)
{
	*val = off;
	return 0;
}

static int bar_write(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 val)
{
	if (off == 0x100)
		pci_msix_raise(pdev, (unsigned)val);
	if (off == 0x104)
		pci_intx_set(pdev, val);
	return 0;
}

static void reset(struct pci_dev *pdev, enum pci_reset_kind kind)
{
}

static void destroy(struct pci_dev *pdev)
{
}

static const struct pci_dev_ops ops = {
	.name = "fuzz", .bar_read = bar_read, .bar_write = bar_write, .reset = reset, .destroy = destroy,
};

static void devices_make(void)
{
	struct pci_dev_config cfg = {
		.vendor = 1, .device = 2, .class_code = 0x088000, .nr_msix = 4, .nr_msi = 2,
		.msix_table_off = 0x2000, .msix_pba_off = 0x3000, .intx = true, .pasid = true,
		.bars = {
			[0] = { .kind = PCI_BAR_REGS, .size = 0x4000 },
			[2] = { .kind = PCI_BAR_RAM, .mem64 = true, .size = 0x10000 },
		},
	};

	for (u8 i = 0; i < 2; i++) {
		devs[i] = pci_dev_create(&cfg, &ops, NULL);
		if (IS_ERR(devs[i]) || pci_dev_publish(devs[i], 0, 1, i, 1u + i))
			__builtin_trap();
	}
}

static const unsigned long commands[] = {
	VFIO_GET_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU, VFIO_GROUP_GET_STATUS,
	VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_UNSET_CONTAINER, VFIO_GROUP_GET_DEVICE_FD,
	VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO,
	VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_RESET, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
	VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_FEATURE, VFIO_DEVICE_BIND_IOMMUFD,
	VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_IOMMUFD_PT, VFIO_IOMMU_GET_INFO,
	VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_DIRTY_PAGES, IOMMU_IOAS_ALLOC,
	IOMMU_DESTROY, IOMMU_IOAS_MAP_FILE, IOMMU_IOAS_UNMAP,
};

struct input {
	const uint8_t *p;
	size_t left;
};

struct state {
	int fds[MAX_FDS];
	unsigned nr;
	struct { void *p; size_t len; } maps[MAX_MAPS];
};

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static u64 word(struct input *in, unsigned n)
{
	u64 v = 0;

	while (n--)
		v = v << 8 | byte(in);
	return v;
}

/* Leads what the interface would read or write through to the fuzzer's own memory. */
static void tame(unsigned long request, u64 *w)
{
	switch (request) {
	case VFIO_IOMMU_MAP_DMA:	/* argsz+flags, vaddr, iova, size */
		w[3] &= MEM_SIZE - 1;
		w[1] = (u64)memory + (w[1] & 0xf000 & (MEM_SIZE - 1 - w[3]));
		break;
	case VFIO_IOMMU_UNMAP_DMA:	/* argsz+flags, iova, size, bitmap: pgsize, size, data */
		w[1] &= 0xfffff;
		w[2] &= 0xfffff;
		w[5] = (u64)memory;
		break;
	case VFIO_IOMMU_DIRTY_PAGES:
		/*
		 * The same number as VFIO_DEVICE_FEATURE. argsz+flags, then iova, size, pgsize, size, data;
		 * or page_size, num_ranges, ranges; or iova, length, page_size, bitmap.
		 */
		if ((w[0] >> 32 & 0xffff) == VFIO_DEVICE_FEATURE_DMA_BUF)
			break;
		w[1] &= 0xfffff;
		w[2] &= 0xfffff;
		if ((w[0] >> 32 & 0xffff) == VFIO_DEVICE_FEATURE_DMA_LOGGING_START)
			w[3] = (u64)memory;
		if ((w[0] >> 32 & 0xffff) == VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT)
			w[4] = (u64)memory;
		w[5] = (u64)memory;
		break;
	default:
		break;
	}
}

static void keep(struct state *s, int fd)
{
	if (fd < 0)
		return;
	if (s->nr < MAX_FDS)
		s->fds[s->nr++] = fd;
	else
		softvirt_close(fd);
}

static void do_ioctl(struct input *in, struct state *s, int fd)
{
	u8 cmd = byte(in), where = byte(in);
	unsigned long request = cmd < 0xf8 ? commands[cmd % ARRAY_SIZE(commands)] :
					     _IO(';', 100 + byte(in));
	union {
		u64 words[64];
		u8 bytes[512];
		s32 ints[128];
	} arg = { { 0 } };
	size_t size = in->left < 48 ? in->left : 48;
	int ret;

	memcpy(arg.bytes, in->p, size);
	in->p += size;
	in->left -= size;
	/* Sizes that are mostly right; descriptors that mostly exist. */
	if (where & 4)
		arg.ints[0] = (s32)(where & 8 ? 40 : 16 + (where >> 4) * 4);
	/* No more than there is: the interface believes it. */
	arg.ints[0] &= 511;
	tame(request, arg.words);
	if (request == VFIO_GROUP_GET_DEVICE_FD && (where & 0x10))
		strcpy((char *)arg.bytes, devs[where >> 7]->name);
	if (request == VFIO_GROUP_SET_CONTAINER)
		arg.ints[0] = s->fds[arg.bytes[0] % s->nr];
	if (request == VFIO_DEVICE_BIND_IOMMUFD)
		arg.ints[2] = s->fds[arg.bytes[8] % s->nr];
	if (request == VFIO_DEVICE_SET_IRQS && (where & 0x10))
		arg.ints[5] = arg.ints[6] = s->fds[EVENT];
	if (request == IOMMU_IOAS_MAP_FILE)
		arg.ints[3] = s->fds[arg.bytes[12] % s->nr];
	if ((where & 3) == 2)
		ret = softvirt_ioctl(fd, request, (unsigned long)(where >> 2));
	else if ((where & 3) == 3)
		ret = softvirt_ioctl(fd, request, 0x1000ul);
	else
		ret = softvirt_ioctl(fd, request, &arg);
	if (request == VFIO_GROUP_GET_DEVICE_FD ||
	    (request == VFIO_DEVICE_FEATURE &&
	     (arg.ints[1] & 0xffff) == VFIO_DEVICE_FEATURE_DMA_BUF && ret > 0))
		keep(s, ret);
}

static void do_map(struct input *in, struct state *s, int fd)
{
	unsigned slot = byte(in) % MAX_MAPS;
	u64 off = word(in, 2) << 12, len = word(in, 3);

	if (s->maps[slot].p) {
		len = len < s->maps[slot].len ? len : s->maps[slot].len;
		softvirt_munmap(s->maps[slot].p, s->maps[slot].len);
		s->maps[slot].p = NULL;
		return;
	}
	off = (off & 0xf000) | (off >> 20 & 7) << 40;
	s->maps[slot].p = softvirt_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);
	s->maps[slot].len = len;
	if (s->maps[slot].p == MAP_FAILED)
		s->maps[slot].p = NULL;
}

static void do_call(struct input *in, struct state *s)
{
	u8 call = byte(in) % 8;
	unsigned i = byte(in) % s->nr;
	int fd = s->fds[i];
	u64 off;

	switch (call) {
	case 0:
		off = word(in, 2) | (u64)(byte(in) % 10) << 40;
		softvirt_pread(fd, memory, byte(in), (off_t)off);
		break;
	case 1:
		off = word(in, 2) | (u64)(byte(in) % 10) << 40;
		memcpy(memory, in->p, in->left < 8 ? in->left : 8);
		softvirt_pwrite(fd, memory, byte(in) & 15, (off_t)off);
		break;
	case 2:
		do_map(in, s, fd);
		break;
	case 3:
		pci_msix_raise(devs[i & 1], byte(in));
		pci_intx_set(devs[i & 1], byte(in) & 1);
		break;
	case 4:
		/* The fixed ones stay until the end, or there would soon be nothing left. */
		if (i >= FIXED && i == s->nr - 1) {
			softvirt_close(fd);
			s->nr--;
		}
		break;
	default:
		do_ioctl(in, s, fd);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct state s = { .nr = FIXED };

	if (!memory) {
		memory = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		devices_make();
	}
	s.fds[CONTAINER] = softvirt_open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	s.fds[GROUP] = softvirt_open("/dev/vfio/1", O_RDWR | O_CLOEXEC);
	softvirt_ioctl(s.fds[GROUP], VFIO_GROUP_SET_CONTAINER, &s.fds[CONTAINER]);
	softvirt_ioctl(s.fds[CONTAINER], VFIO_SET_IOMMU, (size & 1) ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU);
	s.fds[DEVICE] = softvirt_ioctl(s.fds[GROUP], VFIO_GROUP_GET_DEVICE_FD, devs[0]->name);
	s.fds[IOMMUFD] = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
	s.fds[CDEV] = softvirt_open("/dev/vfio/devices/vfio1", O_RDWR | O_CLOEXEC);
	s.fds[EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < FIXED; i++)
		if (s.fds[i] < 0)
			__builtin_trap();
	while (in.left)
		do_call(&in, &s);
	for (unsigned i = 0; i < MAX_MAPS; i++)
		if (s.maps[i].p)
			softvirt_munmap(s.maps[i].p, s.maps[i].len);
	while (s.nr--)
		softvirt_close(s.fds[s.nr]);
	return 0;
}
