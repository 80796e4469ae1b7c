/* SPDX-License-Identifier: MIT */
/*
 * Peer to peer, with the owner taking its memory back all the time: ioat copies from memory into
 * ram's BAR through an exported dma-buf, while a second thread resets and disables the
 * exporter. Each copy ends or fails; after a revoke's trigger has returned not one byte lands: the
 * exporter writes its own bytes where the copy goes, and finds them again.
 *
 * P2P_CYCLES revokes (300) and at least P2P_MIB mebibytes copied (64).
 */
#include "unit.h"

#include <linux/vfio.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "base/sync.h"
#include "pci/pci.h"
#include "softvirt/softvirt.h"
#include "softvirt/uapi/iommufd.h"
#include "softvirt/uapi/vfio.h"

#define BAR_SIZE (64u << 20)
#define STEP (1u << 20)
#define SRC_IOVA 0x10000000ull
#define BAR_IOVA 0x40000000ull
#define PCI_COMMAND 4

enum { CHANCTRL = 0x80, CHANCMD = 0x84, DMACOUNT = 0x86, CHANSTS = 0x88, CHAINADDR = 0x90,
       CHANCMP = 0x98, CHANERR = 0xa8 };
#define HALTED 3

struct desc {
	u32 size, ctl;
	u64 src, dst, next, user[4];
};

static struct {
	int iommufd, engine, peer, buf;
	u32 ioas, peer_devid;
	volatile u8 *regs;		/* the engine's, mapped: plain loads and stores */
	u8 *mem;			/* record at 0, descriptor at 64, source from STEP on */
	u8 *bar;			/* the exporter's own view */
	u64 config_off[2];

	/* Between the two threads. look: the BAR's bytes are being looked at, or painted over. */
	struct sv_mutex look;
	u64 dst;			/* where the copy goes now; atomic */
	u64 generation;			/* odd while the peer is away; atomic */
	bool stop;
	unsigned cycles, landed;
	u64 copied, failed;
} t;

static int open_bound(const char *path, u32 *devid)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = t.iommufd };
	int fd = softvirt_open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
	*devid = bind.out_devid;
	return fd;
}

static u64 config_offset(int fd)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };

	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	return info.offset;
}

static void command(int fd, u64 config, u16 bits)
{
	assert_int_equal(softvirt_pwrite(fd, &bits, 2, (off_t)(config + PCI_COMMAND)), 2);
}

static void *map_bar0(int fd, size_t len)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX };
	void *p;

	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	assert_true(info.flags & VFIO_REGION_INFO_FLAG_MMAP);
	p = softvirt_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)info.offset);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int export_bar(int fd, u64 len)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_dma_buf buf;
		struct vfio_region_dma_range range;
	} f = {
		.head = { sizeof(f), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		.buf = { .region_index = 0, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 },
		.range = { 0, len },
	};
	int buf = softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, &f);

	assert_true(buf >= 0);
	return buf;
}

static int map_peer(void)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = t.ioas,
		.fd = t.buf,
		.length = BAR_SIZE,
		.iova = BAR_IOVA,
	};

	return softvirt_ioctl(t.iommufd, IOMMU_IOAS_MAP_FILE, &map);
}

static void unmap_peer(void)
{
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = t.ioas, .iova = BAR_IOVA,
					  .length = BAR_SIZE };

	assert_int_equal(softvirt_ioctl(t.iommufd, IOMMU_IOAS_UNMAP, &unmap), 0);
	assert_int_equal(unmap.length, BAR_SIZE);
}

static int setup(void **state)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = 2 * STEP, .iova = SRC_IOVA,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};
	struct pci_dev *pdev;
	u32 devid;

	assert_int_equal(softvirt_device_add("ioat,bdf=0000:01:00.0"), 0);
	assert_int_equal(softvirt_device_add("ram,bdf=0000:02:00.0,size=64M"), 0);
	t.iommufd = softvirt_open("/dev/iommu", O_RDWR);
	assert_true(t.iommufd >= 0);
	assert_int_equal(softvirt_ioctl(t.iommufd, IOMMU_IOAS_ALLOC, &alloc), 0);
	t.ioas = alloc.out_ioas_id;
	t.engine = open_bound("/dev/vfio/devices/vfio0", &devid);
	t.peer = open_bound("/dev/vfio/devices/vfio1", &t.peer_devid);
	attach.pt_id = t.ioas;
	assert_int_equal(softvirt_ioctl(t.engine, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), 0);
	t.config_off[0] = config_offset(t.engine);
	t.config_off[1] = config_offset(t.peer);
	command(t.engine, t.config_off[0], 6);
	command(t.peer, t.config_off[1], 6);
	t.regs = map_bar0(t.engine, 4096);
	t.mem = mmap(NULL, 2 * STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(t.mem, MAP_FAILED);
	map.ioas_id = t.ioas;
	map.user_va = (uintptr_t)t.mem;
	if (softvirt_ioctl(t.iommufd, IOMMU_IOAS_MAP, &map))
		fail_msg("IOMMU_IOAS_MAP: %s", strerror(errno));
	t.buf = export_bar(t.peer, BAR_SIZE);
	assert_int_equal(map_peer(), 0);
	pdev = pci_dev_find(0, 2, 0);
	t.bar = pdev->bars[0].base;
	pci_dev_put(pdev);
	return 0;
}

static int teardown(void **state)
{
	unmap_peer();
	softvirt_munmap((void *)t.regs, 4096);
	softvirt_close(t.buf);
	softvirt_close(t.engine);
	softvirt_close(t.peer);
	softvirt_close(t.iommufd);
	munmap(t.mem, 2 * STEP);
	return 0;
}

static void engine_start(void)
{
	t.regs[CHANCMD] = 0x20;
	assert_int_equal(*(volatile u64 *)(t.regs + CHANSTS) & 7, HALTED);
	*(volatile u32 *)(t.regs + CHANERR) = ~0u;
	*(volatile u16 *)(t.regs + CHANCTRL) = 0x4 | 0x8;
	*(volatile u64 *)(t.regs + CHANCMP) = SRC_IOVA;
}

/* One copy of STEP bytes; true when the engine says that it is done. */
static bool copy_step(u64 dst)
{
	struct desc *d = (struct desc *)(t.mem + 64);
	u64 record;

	*d = (struct desc){ .size = STEP, .ctl = 8, .src = SRC_IOVA + STEP, .dst = BAR_IOVA + dst,
			    .next = SRC_IOVA + 64 };
	__atomic_store_n((u64 *)t.mem, 0, __ATOMIC_RELEASE);
	*(volatile u64 *)(t.regs + CHAINADDR) = SRC_IOVA + 64;
	*(volatile u16 *)(t.regs + DMACOUNT) = 1;
	while (!(record = __atomic_load_n((u64 *)t.mem, __ATOMIC_ACQUIRE)))
		sched_yield();
	if ((record & 7) == HALTED) {
		/* An error of addresses or of the bus, nothing else. */
		assert_true(*(volatile u32 *)(t.regs + CHANERR) & 0x303);
		engine_start();
		return false;
	}
	assert_int_equal(record & ~0x3full, SRC_IOVA + 64);
	/* CHAINADDR counts only once the engine has come to rest. */
	while ((*(volatile u64 *)(t.regs + CHANSTS) & 7) == 0)
		;
	return true;
}

static void *copier(void *arg)
{
	u64 dst = 0;

	engine_start();
	for (unsigned n = 0; !__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE); n++) {
		u64 before = __atomic_load_n(&t.generation, __ATOMIC_ACQUIRE);

		memset(t.mem + STEP, (int)n, STEP);
		__atomic_store_n(&t.dst, dst, __ATOMIC_RELEASE);
		if (!copy_step(dst)) {
			t.failed++;
			continue;
		}
		/* Nobody came in between: what arrived is what was sent. */
		sv_mutex_lock(&t.look);
		if (!(before & 1) && __atomic_load_n(&t.generation, __ATOMIC_ACQUIRE) == before)
			assert_memory_equal(t.bar + dst, t.mem + STEP, STEP);
		sv_mutex_unlock(&t.look);
		__atomic_fetch_add(&t.copied, STEP, __ATOMIC_RELAXED);
		dst = (dst + STEP) % BAR_SIZE;
	}
	return NULL;
}

/* Takes the memory away; after each of these nobody reaches it. */
static void take_away(unsigned how)
{
	switch (how % 3) {
	case 0:
		assert_int_equal(softvirt_ioctl(t.peer, VFIO_DEVICE_RESET), 0);
		break;
	case 1:
		command(t.peer, t.config_off[1], 4);
		break;
	default: {
		struct vfio_device_feature f = { sizeof(f), VFIO_DEVICE_FEATURE_SET |
						 VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY };

		assert_int_equal(softvirt_ioctl(t.peer, VFIO_DEVICE_FEATURE, &f), 0);
	}
	}
}

static void give_back(unsigned how)
{
	struct vfio_device_feature f = { sizeof(f), VFIO_DEVICE_FEATURE_SET |
					 VFIO_DEVICE_FEATURE_LOW_POWER_EXIT };

	if (how % 3 == 2)
		assert_int_equal(softvirt_ioctl(t.peer, VFIO_DEVICE_FEATURE, &f), 0);
	command(t.peer, t.config_off[1], 6);
}

static void cycle(unsigned n)
{
	bool reset_restores = n % 3 == 0;
	u64 dst;
	u8 *p;

	__atomic_fetch_add(&t.generation, 1, __ATOMIC_SEQ_CST);
	take_away(n);
	dst = __atomic_load_n(&t.dst, __ATOMIC_ACQUIRE);
	p = t.bar + dst;
	sv_mutex_lock(&t.look);
	memset(p, 0xa5, STEP);
	for (unsigned i = 0; i < 4; i++)
		sched_yield();
	/*
	 * A reset gives the memory back before it returns if it was on; but iommufd's area stays
	 * dead, so that nothing can arrive either way.
	 */
	for (size_t i = 0; i < STEP; i += 8)
		if (*(volatile u64 *)(p + i) != 0xa5a5a5a5a5a5a5a5ull)
			t.landed++;
	sv_mutex_unlock(&t.look);
	assert_int_equal(t.landed, 0);
	if (!reset_restores) {
		/* Revoked: nobody maps it now. */
		unmap_peer();
		assert_int_equal(map_peer(), -1);
		assert_int_equal(errno, ENODEV);
		give_back(n);
	} else {
		unmap_peer();
		give_back(n);
	}
	assert_int_equal(map_peer(), 0);
	__atomic_fetch_add(&t.generation, 1, __ATOMIC_SEQ_CST);
}

static void test_owner_takes_its_memory_back(void **state)
{
	unsigned cycles = getenv("P2P_CYCLES") ? (unsigned)atoi(getenv("P2P_CYCLES")) : 300;
	u64 bytes = (getenv("P2P_MIB") ? (u64)atoi(getenv("P2P_MIB")) : 64) << 20;
	struct sv_thread thread;

	assert_int_equal(sv_thread_create(&thread, "copier", copier, NULL), 0);
	while (t.cycles < cycles || __atomic_load_n(&t.copied, __ATOMIC_RELAXED) < bytes) {
		u64 seen = __atomic_load_n(&t.copied, __ATOMIC_RELAXED);

		cycle(t.cycles++);
		/* Let some through between two revokes, now and then. */
		while (!(t.cycles % 8) && __atomic_load_n(&t.copied, __ATOMIC_RELAXED) < seen + STEP)
			sched_yield();
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	sv_thread_join(&thread);
	print_message("# %u revokes, %llu MiB copied, %llu copies failed, %u bytes too late\n", t.cycles,
		      (unsigned long long)(t.copied >> 20), (unsigned long long)t.failed, t.landed);
	assert_int_equal(t.landed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_takes_its_memory_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
