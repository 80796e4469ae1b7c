/* SPDX-License-Identifier: MIT */
/*
 * A DMA engine behind SMMUv3, as a VMM gives it to a guest, through public calls alone: `ioat` by its
 * VFIO descriptor, a vIOMMU, a stage 1 table that the "guest" writes, commands, events.
 */
#include "vfio.h"

#include <sched.h>

#include "../unit/smmuv3_guest.h"

#define STREAM 0x100u
#define BAR0 REGION(VFIO_PCI_BAR0_REGION_INDEX)

/* ioat: registers, and what a descriptor has (as test_device_ioat.c's). */
enum { CHANCTRL = 0x80, CHANCMD = 0x84, DMACOUNT = 0x86, CHAINADDR = 0x90, CHANCMP = 0x98,
       CHANERR = 0xa8 };
#define CMD_RESET 0x20
#define COMPL 8u
#define HALTED 3u
struct desc {
	u32 size, ctl;
	u64 src, dst, next, user[4];
};

/* The guest's view: its ring and its buffers, by I/O addresses that only its tables know. */
#define RING_VA 0x7000000000ull
#define SRC_VA 0x7000100000ull
#define DST_VA 0x7000200000ull

static int iommufd, fd, events;
static u32 dev_id, ioas, parent, viommu, hwpt;
static struct guest g;
static u64 root, cd, ring, src, dst[2];

#define CALL(request, cmd) ({ (cmd)->size = sizeof(*(cmd)); softvirt_ioctl(iommufd, request, cmd); })

static void write_reg(unsigned off, unsigned size, u64 v)
{
	assert_int_equal(softvirt_pwrite(fd, &v, size, BAR0 + off), size);
}

static u32 read_err(void)
{
	u32 v = 0;

	assert_int_equal(softvirt_pread(fd, &v, 4, BAR0 + CHANERR), 4);
	return v;
}

static void map_guest(void)
{
	struct iommu_ioas_map map = {
		.ioas_id = ioas, .user_va = (uintptr_t)g.mem, .length = GUEST_SIZE, .iova = GUEST_IPA,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};

	assert_int_equal(CALL(IOMMU_IOAS_MAP, &map), 0);
}

static void make_guest(void)
{
	guest_init(&g);
	cd = guest_alloc(&g, 64 * 64);
	root = guest_alloc(&g, 4096);
	ring = guest_alloc(&g, 4096);
	src = guest_alloc(&g, 4096);
	dst[0] = guest_alloc(&g, 4096);
	dst[1] = guest_alloc(&g, 4096);
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48), root, 0);
	guest_page(&g, root, RING_VA, ring, G_RW);
	guest_page(&g, root, SRC_VA, src, G_RW | G_RO);
	guest_page(&g, root, DST_VA, dst[0], G_RW);
}

static int setup(void **state)
{
	struct iommu_hwpt_alloc alloc = { .flags = IOMMU_HWPT_ALLOC_NEST_PARENT };
	struct iommu_viommu_alloc v = { .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3 };
	struct iommu_vdevice_alloc vdev = { .virt_id = STREAM };
	struct iommu_veventq_alloc q = { .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, .veventq_depth = 4 };

	assert_int_equal(softvirt_device_add("ioat,bdf=0000:05:00.0,iommu=smmuv3"), 0);
	iommufd = iommufd_open_new();
	fd = softvirt_open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(cdev_bind(fd, iommufd, &dev_id), 0);
	ioas = ioas_new(iommufd);
	make_guest();
	map_guest();
	alloc.dev_id = v.dev_id = vdev.dev_id = dev_id;
	alloc.pt_id = ioas;
	assert_int_equal(CALL(IOMMU_HWPT_ALLOC, &alloc), 0);
	parent = v.hwpt_id = alloc.out_hwpt_id;
	assert_int_equal(CALL(IOMMU_VIOMMU_ALLOC, &v), 0);
	viommu = vdev.viommu_id = q.viommu_id = v.out_viommu_id;
	assert_int_equal(CALL(IOMMU_VDEVICE_ALLOC, &vdev), 0);
	assert_int_equal(CALL(IOMMU_VEVENTQ_ALLOC, &q), 0);
	events = (int)q.out_veventq_fd;
	return 0;
}

static int teardown(void **state)
{
	softvirt_close(events);
	softvirt_close(fd);
	softvirt_close(iommufd);
	guest_fini(&g);
	return 0;
}

/* The guest's STE, in place of what was attached. */
static void attach_ste(u64 w0, u64 w1)
{
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { w0, w1 } };
	struct iommu_hwpt_alloc alloc = {
		.dev_id = dev_id, .pt_id = viommu, .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(data), .data_uptr = (uintptr_t)&data,
	};
	struct iommu_destroy old = { .id = hwpt };

	assert_int_equal(CALL(IOMMU_HWPT_ALLOC, &alloc), 0);
	assert_int_equal(cdev_attach(fd, &alloc.out_hwpt_id), 0);
	if (hwpt)
		assert_int_equal(CALL(IOMMU_DESTROY, &old), 0);
	hwpt = alloc.out_hwpt_id;
}

/* One descriptor and the completion record behind it, by addresses in base's page. */
static void start_copy(u64 base, u64 from, u64 to, u32 size)
{
	struct desc *d = (struct desc *)(void *)guest_word(&g, ring);

	write_reg(CHANCMD, 1, CMD_RESET);
	write_reg(CHANERR, 4, ~0u);
	memset(d, 0, 4096);
	d[0] = (struct desc){ .size = size, .ctl = COMPL, .src = from, .dst = to, .next = base + 64 };
	write_reg(CHANCTRL, 2, 0x4 | 0x8 | 0x10);
	write_reg(CHANCMP, 8, base + 2048);
	write_reg(CHAINADDR, 8, base);
	write_reg(DMACOUNT, 2, 1);
}

static void wait_done(u64 base)
{
	u64 *record = guest_word(&g, ring + 2048);

	while ((__atomic_load_n(record, __ATOMIC_ACQUIRE) & ~0x3full) != base) {
		assert_int_equal(read_err(), 0);
		sched_yield();
	}
}

static void copy(u64 base, u64 from, u64 to, u32 size)
{
	start_copy(base, from, to, size);
	wait_done(base);
}

static void command(u64 w0, u64 w1)
{
	struct iommu_viommu_arm_smmuv3_invalidate inv = { .cmd = { w0, w1 } };
	struct iommu_hwpt_invalidate cmd = {
		.hwpt_id = viommu, .data_uptr = (uintptr_t)&inv, .entry_len = sizeof(inv), .entry_num = 1,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
	};

	assert_int_equal(CALL(IOMMU_HWPT_INVALIDATE, &cmd), 0);
	assert_int_equal(cmd.entry_num, 1);
}

static void expect_event(u64 w0, u64 w1, u64 w2)
{
	struct { struct iommufd_vevent_header h; struct iommu_vevent_arm_smmuv3 e; } v;
	struct pollfd pfd = { .fd = events, .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, -1), 1);
	assert_int_equal(softvirt_read(events, &v, sizeof(v)), sizeof(v));
	assert_int_equal(v.h.flags, 0);
	assert_int_equal(v.e.evt[0], w0 | (u64)STREAM << 32);
	assert_int_equal(v.e.evt[1], w1);
	assert_int_equal(v.e.evt[2], w2);
	assert_int_equal(v.e.evt[3], 0);
}

/* The copy ends in this error of the device's. */
static void expect_error(u32 err)
{
	while (!read_err())
		sched_yield();
	assert_int_equal(read_err(), err);
}

static void test_copy_remap_copy(void **state)
{
	cfg_write(fd, 4, 2, 6);
	attach_ste(G_STE_V | G_STE_S1 | cd, 0);
	memset(guest_word(&g, src), 0xa5, 4096);
	copy(RING_VA, SRC_VA, DST_VA, 4096);
	assert_memory_equal(guest_word(&g, dst[0]), guest_word(&g, src), 4096);
	/* The guest moves its buffer, and says so. */
	memset(guest_word(&g, src), 0x5a, 4096);
	guest_page(&g, root, DST_VA, dst[1], G_RW);
	command(0x12 | 0x1234ull << 48, DST_VA);
	copy(RING_VA, SRC_VA, DST_VA, 4096);
	assert_memory_equal(guest_word(&g, dst[1]), guest_word(&g, src), 4096);
	assert_int_equal(*guest_word(&g, dst[0]), 0xa5a5a5a5a5a5a5a5);
}

/* A bad address is an error of the device's, and an event that poll() and read() show. */
static void test_bad_address(void **state)
{
	start_copy(RING_VA, SRC_VA, DST_VA + 4096, 64);
	expect_error(0x2);
	expect_event(0x10, 2ull << 40, DST_VA + 4096);
	start_copy(RING_VA, SRC_VA + 8192, DST_VA, 64);
	expect_error(0x1);
	expect_event(0x10, 2ull << 40 | 1ull << 35, SRC_VA + 8192);
	/* Read-only; the descriptor itself. */
	start_copy(RING_VA, DST_VA, SRC_VA, 64);
	expect_error(0x2);
	expect_event(0x13, 2ull << 40, SRC_VA);
	start_copy(0x1000, SRC_VA, DST_VA, 64);
	expect_error(0x4);
	expect_event(0x10, 2ull << 40 | 1ull << 35, 0x1000);
	expect_event(0x10, 2ull << 40, 0x1000 + 2048);	/* the completion record, too */
	copy(RING_VA, SRC_VA, DST_VA, 64);
}

static void test_illegal_cd(void **state)
{
	guest_put(&g, cd, 0);
	command(0x05 | (u64)STREAM << 32, 1);
	start_copy(RING_VA, SRC_VA, DST_VA, 64);
	expect_error(0x4);
	expect_event(0x0a, 0, 0);
	expect_event(0x0a, 0, 0);
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48), root, 0);
	command(0x06 | (u64)STREAM << 32, 0);
	copy(RING_VA, SRC_VA, DST_VA, 64);
}

/* A table of CDs: what has no SubstreamID is stopped, goes by IPA, or uses the first CD. */
static void test_s1dss(void **state)
{
	u64 w0 = G_STE_V | G_STE_S1 | G_STE_CDMAX(6) | cd;

	attach_ste(w0, 0);
	start_copy(RING_VA, SRC_VA, DST_VA, 64);
	expect_error(0x4);
	expect_event(0x06, 0, 0);
	expect_event(0x06, 0, 0);
	attach_ste(w0, 1);
	memset(guest_word(&g, src), 0x77, 4096);
	copy(ring, src, dst[0], 4096);
	assert_memory_equal(guest_word(&g, dst[0]), guest_word(&g, src), 4096);
	attach_ste(w0, 2);
	memset(guest_word(&g, src), 0x66, 4096);
	copy(RING_VA, SRC_VA, DST_VA, 4096);
	assert_memory_equal(guest_word(&g, dst[1]), guest_word(&g, src), 4096);
	attach_ste(G_STE_V | G_STE_BYPASS, 0);
	copy(ring, src, dst[0], 4096);
	assert_memory_equal(guest_word(&g, dst[0]), guest_word(&g, src), 4096);
}

/* The access flag and dirty state of the guest's own tables, set by the device. */
static void test_dirty_state(void **state)
{
	u64 at;

	guest_put(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_HA | G_CD_HD);
	at = guest_page(&g, root, DST_VA, dst[0], (G_RW & ~G_AF) | G_RO | G_DBM);
	attach_ste(G_STE_V | G_STE_S1 | cd, 0);
	copy(RING_VA, DST_VA, RING_VA + 1024, 64);
	assert_int_equal(*guest_word(&g, at), dst[0] | G_PAGE | G_RW | G_RO | G_DBM);
	copy(RING_VA, SRC_VA, DST_VA, 64);
	assert_int_equal(*guest_word(&g, at), dst[0] | G_PAGE | G_RW | G_DBM);
}

/* A container's usable addresses leave out the window that Linux's driver keeps for MSIs. */
static void test_container_ranges(void **state)
{
	struct { struct vfio_iommu_type1_info i; u64 more[64]; } r = { .i.argsz = sizeof(r) };
	const struct vfio_info_cap_header *h;
	bool found = false;
	int container, group;

	assert_int_equal(softvirt_device_add("ram,bdf=0000:06:00.0,group=777,iommu=smmuv3"), 0);
	container_make(777, VFIO_TYPE1v2_IOMMU, &container, &group);
	assert_int_equal(softvirt_ioctl(container, VFIO_IOMMU_GET_INFO, &r), 0);
	for (u32 off = *(u32 *)((u8 *)&r + 16); off; off = h->next) {
		const struct vfio_iommu_type1_info_cap_iova_range *c;

		h = (void *)((u8 *)&r + off);
		c = (const void *)h;
		if (h->id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			continue;
		found = true;
		assert_int_equal(c->nr_iovas, 2);
		assert_int_equal(c->iova_ranges[0].start, 0);
		assert_int_equal(c->iova_ranges[0].end, 0x7ffffff);
		assert_int_equal(c->iova_ranges[1].start, 0x8100000);
	}
	assert_true(found);
	softvirt_close(group);
	softvirt_close(container);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_remap_copy),
		cmocka_unit_test(test_bad_address),
		cmocka_unit_test(test_illegal_cd),
		cmocka_unit_test(test_s1dss),
		cmocka_unit_test(test_dirty_state),
		cmocka_unit_test(test_container_ranges),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
