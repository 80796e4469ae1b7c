// SPDX-License-Identifier: MIT
/*
 * Arbitrary ioctls on /dev/iommu with mock devices (tests/mock): commands, sizes, ids, addresses;
 * reads and writes of the queues that come of them.
 *
 * Input: a row of calls. Each begins with a byte that picks the command, a byte for its size,
 * and a byte that says how many of the struct's bytes follow; ids are taken modulo a small
 * number, and memory is the target's own or nobody's.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "mock.h"
#include "softvirt/softvirt.h"
#include "softvirt/uapi/vfio.h"

#define MAX_FDS 8
#define MEM_SIZE 0x40000u
#define MAX_ID 24

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static char *memory;
static int queues[MAX_FDS];
static unsigned nr_queues;

static void keep_queue(int fd)
{
	if (nr_queues < MAX_FDS)
		queues[nr_queues++] = fd;
	else
		softvirt_close(fd);
}

union arg {
	uint32_t w[32];
	uint64_t q[16];
	uint8_t b[128];
	struct iommu_ioas_map map;
	struct iommu_ioas_map_file map_file;
	struct iommu_ioas_allow_iovas allow;
	struct iommu_ioas_iova_ranges ranges;
	struct iommu_hwpt_alloc hwpt;
	struct iommu_hw_info info;
	struct iommu_hwpt_get_dirty_bitmap dirty;
	struct iommu_hwpt_invalidate inv;
	struct iommu_viommu_alloc viommu;
	struct iommu_fault_alloc fault;
	struct iommu_veventq_alloc veventq;
	struct iommu_test_cmd test;
	struct vfio_iommu_type1_dma_map vmap;
};

/* An address inside of our memory, or one that faults. */
static uint64_t address(uint64_t x, uint64_t len)
{
	if (x & 1)
		return x & 2 ? 0x1000 : 0;
	return (uintptr_t)memory + (x & (MEM_SIZE / 2 - 1) & ~(x & 4 ? 0xfffull : 0));
}

/* Ids small, pointers ours, lengths such that what the kernel side writes stays in our memory. */
static void tame(unsigned long request, union arg *a)
{
	switch (request) {
	case IOMMU_IOAS_MAP:
		a->map.user_va = address(a->map.user_va, 0);
		a->map.length &= MEM_SIZE - 1;
		break;
	case IOMMU_IOAS_MAP_FILE:
		a->map_file.fd = -1;
		break;
	case IOMMU_IOAS_ALLOW_IOVAS:
		a->allow.allowed_iovas = address(a->allow.allowed_iovas, 0);
		a->allow.num_iovas &= 15;
		break;
	case IOMMU_IOAS_IOVA_RANGES:
		a->ranges.allowed_iovas = address(a->ranges.allowed_iovas, 0);
		a->ranges.num_iovas &= 31;
		break;
	case IOMMU_HWPT_ALLOC:
		a->hwpt.data_uptr = address(a->hwpt.data_uptr, 0);
		if (a->b[127] & 1)
			a->hwpt.data_type = IOMMU_HWPT_DATA_SELFTEST, a->hwpt.data_len = 4;
		break;
	case IOMMU_GET_HW_INFO:
		a->info.data_uptr = address(a->info.data_uptr, 0);
		a->info.data_len &= 0xfff;
		break;
	case IOMMU_HWPT_GET_DIRTY_BITMAP:
		a->dirty.data = address(a->dirty.data, 0);
		a->dirty.length &= 0xfffff;
		break;
	case IOMMU_HWPT_INVALIDATE:
		a->inv.data_uptr = address(a->inv.data_uptr, 0);
		a->inv.data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST;
		a->inv.entry_num &= 0xff;
		break;
	case IOMMU_VIOMMU_ALLOC:
		a->viommu.data_uptr = address(a->viommu.data_uptr, 0);
		if (a->b[127] & 1)
			a->viommu.type = IOMMU_VIOMMU_TYPE_SELFTEST;
		break;
	case IOMMU_VEVENTQ_ALLOC:
		a->veventq.veventq_depth &= 7;
		if (a->b[127] & 1)
			a->veventq.type = IOMMU_VEVENTQ_TYPE_SELFTEST;
		break;
	case VFIO_IOMMU_MAP_DMA:
		a->vmap.vaddr = address(a->vmap.vaddr, 0);
		a->vmap.size &= MEM_SIZE - 1;
		break;
	case IOMMU_TEST_CMD:
		a->test.op %= 24;
		if (a->test.op == IOMMU_TEST_OP_ACCESS_PAGES) {
			a->test.access_pages.uptr = address(a->test.access_pages.uptr, 0);
			a->test.access_pages.length &= 0xffff;
		} else if (a->test.op == IOMMU_TEST_OP_ACCESS_RW) {
			a->test.access_rw.uptr = address(a->test.access_rw.uptr, 0);
			a->test.access_rw.length &= 0xffff;
		} else if (a->test.op == IOMMU_TEST_OP_DIRTY) {
			a->test.dirty.uptr = address(a->test.dirty.uptr, 0);
			a->test.dirty.length &= 0xfffff;
		} else if (a->test.op == IOMMU_TEST_OP_MD_CHECK_MAP ||
			   a->test.op == IOMMU_TEST_OP_MD_CHECK_REFS) {
			a->test.check_map.length &= 0xffff;
		}
		if (nr_queues && (a->test.op == IOMMU_TEST_OP_ACCESS_PAGES ||
				  a->test.op == IOMMU_TEST_OP_ACCESS_RW))
			a->test.id = (uint32_t)queues[a->test.id % nr_queues];
		break;
	default:
		break;
	}
}

static const unsigned long commands[] = {
	IOMMU_DESTROY, IOMMU_IOAS_ALLOC, IOMMU_IOAS_ALLOW_IOVAS, IOMMU_IOAS_COPY,
	IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP, IOMMU_OPTION, IOMMU_VFIO_IOAS,
	IOMMU_HWPT_ALLOC, IOMMU_GET_HW_INFO, IOMMU_HWPT_SET_DIRTY_TRACKING,
	IOMMU_HWPT_GET_DIRTY_BITMAP, IOMMU_HWPT_INVALIDATE, IOMMU_FAULT_QUEUE_ALLOC,
	IOMMU_IOAS_MAP_FILE, IOMMU_VIOMMU_ALLOC, IOMMU_VDEVICE_ALLOC, IOMMU_IOAS_CHANGE_PROCESS,
	IOMMU_VEVENTQ_ALLOC, IOMMU_HW_QUEUE_ALLOC, IOMMU_TEST_CMD, IOMMU_TEST_CMD, IOMMU_TEST_CMD,
	VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU, VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA,
	VFIO_IOMMU_UNMAP_DMA,
};

static void do_call(struct input *in, int fd)
{
	uint8_t cmd = byte(in), size = byte(in), n = byte(in);
	unsigned long request = commands[cmd % (sizeof(commands) / sizeof(*commands))];
	union arg *a = (void *)(memory + MEM_SIZE - sizeof(*a));
	uint32_t own = request == IOMMU_TEST_CMD ? 72 : request == IOMMU_HWPT_ALLOC ? 48 : 40;

	memset(a, 0, sizeof(*a));
	n = n % sizeof(*a);
	for (size_t i = 0; i < n; i++)
		a->b[i] = byte(in);
	/* The words that are ids, or nearly all of them. */
	for (size_t i = 1; i < 5; i++)
		if (!(cmd & 0x80) && a->w[i] > 0xffff)
			a->w[i] = a->w[i] % MAX_ID;
	tame(request, a);
	a->w[0] = size & 0x80 ? size & 0x7f : own;
	if (request == VFIO_CHECK_EXTENSION || request == VFIO_SET_IOMMU) {
		(void)softvirt_ioctl(fd, request, (unsigned long)(size & 15));
		return;
	}
	if (softvirt_ioctl(fd, request, a))
		return;
	if (request == IOMMU_FAULT_QUEUE_ALLOC)
		keep_queue((int)a->fault.out_fault_fd);
	else if (request == IOMMU_VEVENTQ_ALLOC)
		keep_queue((int)a->veventq.out_veventq_fd);
	else if (request == IOMMU_TEST_CMD && a->test.op == IOMMU_TEST_OP_CREATE_ACCESS)
		keep_queue((int)a->test.create_access.out_access_fd);
}

/* Reads, writes or closes one of the descriptors. */
static void do_queue(struct input *in)
{
	uint8_t which = byte(in), len = byte(in);
	unsigned i = which % nr_queues;

	if (which & 0x80) {
		softvirt_close(queues[i]);
		queues[i] = queues[--nr_queues];
	} else if (which & 0x40) {
		(void)!softvirt_write(queues[i], memory, len);
	} else if (!(which & 0x20)) {
		/* An access has no read of its own; an eventfd of 0 would block. */
		struct sv_file *f = sv_fget(queues[i], NULL);
		bool own = f && sv_file_get_ops(f)->read;

		if (f)
			sv_file_put(f);
		if (own)
			(void)!softvirt_read(queues[i], memory + (which & 15), len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_test_cmd dev = { .size = sizeof(dev), .op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
				      .id = 1, .mock_domain.dev_flags = MOCK_FLAGS_DEVICE_PASID };
	struct iommu_hwpt_alloc parent = { .size = sizeof(parent), .pt_id = 1,
					   .flags = IOMMU_HWPT_ALLOC_NEST_PARENT };
	struct input in = { data, size };
	int fd;

	mock_iommufd_init();
	if (!memory)
		memory = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	memset(memory, 0, MEM_SIZE);
	fd = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
	/* Something to work with: an IOAS (1), a device (2 to 4), a nesting parent (5). */
	(void)softvirt_ioctl(fd, IOMMU_IOAS_ALLOC, &ioas);
	(void)softvirt_ioctl(fd, IOMMU_TEST_CMD, &dev);
	parent.dev_id = dev.mock_domain.out_idev_id;
	(void)softvirt_ioctl(fd, IOMMU_HWPT_ALLOC, &parent);
	while (in.left) {
		if (nr_queues && (*in.p & 0xf0) == 0x70) {
			byte(&in);
			do_queue(&in);
		} else {
			do_call(&in, fd);
		}
	}
	softvirt_close(fd);
	while (nr_queues)
		softvirt_close(queues[--nr_queues]);
	/* Everything has been let go. */
	for (size_t off = 0; off < MEM_SIZE; off += SV_PAGE_SIZE)
		if (iopt_user_page_pins((uintptr_t)memory + off))
			__builtin_trap();
	return 0;
}
