/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_HWPT_SET_DIRTY_TRACKING and IOMMU_HWPT_GET_DIRTY_BITMAP.
 */
#include "iommufd.h"

#define PAGES 64ull
#define BASE MOCK_APERTURE_START

struct env {
	int fd;
	u32 ioas, hwpt;
	struct mock_ids ids;
	char *p;
};

static struct env up(void)
{
	struct env e = { .fd = iommu_open(), .p = memory(PAGES * SV_PAGE_SIZE) };

	e.ioas = ioas_alloc(e.fd);
	e.ids = mock_attach(e.fd, e.ioas, 0);
	e.hwpt = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, e.hwpt), errno);
	assert_return_code(ioas_map(e.fd, e.ioas, e.p, PAGES * SV_PAGE_SIZE, BASE), errno);
	return e;
}

static void down(struct env *e)
{
	iommu_close(e->fd);
	munmap(e->p, PAGES * SV_PAGE_SIZE);
}

static int track(const struct env *e, u32 hwpt, u32 flags)
{
	struct iommu_hwpt_set_dirty_tracking cmd = { .hwpt_id = hwpt, .flags = flags };

	return CALL(e->fd, IOMMU_HWPT_SET_DIRTY_TRACKING, &cmd);
}

static int get(const struct env *e, u64 iova, u64 len, u64 page_size, u32 flags, void *bits)
{
	struct iommu_hwpt_get_dirty_bitmap cmd = {
		.hwpt_id = e->hwpt, .flags = flags, .iova = iova, .length = len,
		.page_size = page_size, .data = (uintptr_t)bits,
	};

	return CALL(e->fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &cmd);
}

static void make_dirty(const struct env *e, u64 iova)
{
	u64 bit = 1;
	struct iommu_test_cmd cmd = {
		.op = IOMMU_TEST_OP_DIRTY, .id = e->hwpt,
		.dirty = { .iova = iova, .length = MOCK_IO_PAGE_SIZE,
			   .page_size = MOCK_IO_PAGE_SIZE, .uptr = (uintptr_t)&bit },
	};

	assert_return_code(test_cmd(e->fd, &cmd), errno);
	assert_int_equal(cmd.dirty.out_nr_dirty, 1);
}

static void test_sizes(void **state)
{
	struct iommu_hwpt_set_dirty_tracking set = { .hwpt_id = NO_ID };
	struct iommu_hwpt_get_dirty_bitmap bits = { .hwpt_id = NO_ID };
	int fd = iommu_open();

	CHECK_SIZES(fd, IOMMU_HWPT_SET_DIRTY_TRACKING, &set, __reserved, ENOENT);
	CHECK_SIZES(fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &bits, data, ENOENT);
	iommu_close(fd);
}

static void test_refused(void **state)
{
	struct env e = up();
	u32 plain = hwpt_alloc(e.fd, e.ids.dev, e.ioas, 0);
	struct iommu_hwpt_get_dirty_bitmap cmd = { .hwpt_id = e.hwpt, .__reserved = 1 };
	u64 bits[8] = { 0 };

	assert_errno(track(&e, e.hwpt, 2), EOPNOTSUPP);
	assert_errno(track(&e, plain, IOMMU_HWPT_DIRTY_TRACKING_ENABLE), EOPNOTSUPP);
	assert_errno(track(&e, e.ioas, IOMMU_HWPT_DIRTY_TRACKING_ENABLE), ENOENT);
	assert_errno(CALL(e.fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &cmd), EOPNOTSUPP);
	assert_errno(get(&e, BASE, SV_PAGE_SIZE, SV_PAGE_SIZE, 2, bits), EOPNOTSUPP);
	/* Nothing is tracked yet. */
	assert_errno(get(&e, BASE, SV_PAGE_SIZE, SV_PAGE_SIZE, 0, bits), EINVAL);
	assert_return_code(track(&e, e.hwpt, IOMMU_HWPT_DIRTY_TRACKING_ENABLE), errno);
	assert_return_code(track(&e, e.hwpt, IOMMU_HWPT_DIRTY_TRACKING_ENABLE), errno);
	assert_errno(get(&e, ~0ull - 4095, 8192, SV_PAGE_SIZE, 0, bits), EOVERFLOW);
	assert_errno(get(&e, BASE, SV_PAGE_SIZE, 0, 0, bits), EINVAL);
	assert_errno(get(&e, BASE + 1, SV_PAGE_SIZE, SV_PAGE_SIZE, 0, bits), EINVAL);
	assert_errno(get(&e, BASE, SV_PAGE_SIZE + 1, SV_PAGE_SIZE, 0, bits), EINVAL);
	assert_errno(get(&e, BASE + SV_PAGE_SIZE, 2 * SV_PAGE_SIZE, 2 * SV_PAGE_SIZE, 0, bits),
		     EINVAL);
	make_dirty(&e, BASE);
	assert_errno(get(&e, BASE, SV_PAGE_SIZE, SV_PAGE_SIZE, 0, NULL), EFAULT);
	down(&e);
}

static void test_bits(void **state)
{
	static const u64 dirty[] = { 0, 1, 2, 31, 63, 64, 65, 127 };
	struct env e = up();
	u64 bits[4];

	assert_return_code(track(&e, e.hwpt, IOMMU_HWPT_DIRTY_TRACKING_ENABLE), errno);
	for (size_t i = 0; i < ARRAY_SIZE(dirty); i++)
		make_dirty(&e, BASE + dirty[i] * MOCK_IO_PAGE_SIZE);
	/* Looked at twice, then taken; what was set before stays set. */
	for (unsigned round = 0; round < 4; round++) {
		u32 flags = round < 2 ? IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR : 0;

		memset(bits, 0, sizeof(bits));
		bits[1] = 1ull << 40;
		bits[2] = 0x77;
		assert_return_code(get(&e, BASE, 128 * MOCK_IO_PAGE_SIZE, MOCK_IO_PAGE_SIZE, flags,
				       bits), errno);
		assert_int_equal(bits[0], round < 3 ? 1ull << 63 | 1ull << 31 | 7 : 0);
		assert_int_equal(bits[1], (round < 3 ? 1ull << 63 | 3 : 0) | 1ull << 40);
		assert_int_equal(bits[2], 0x77);
	}
	/* A part, from its own beginning; and larger pages. */
	make_dirty(&e, BASE + 5 * MOCK_IO_PAGE_SIZE);
	make_dirty(&e, BASE + 100 * MOCK_IO_PAGE_SIZE);
	memset(bits, 0, sizeof(bits));
	assert_return_code(get(&e, BASE + 4 * MOCK_IO_PAGE_SIZE, 4 * MOCK_IO_PAGE_SIZE,
			       MOCK_IO_PAGE_SIZE, 0, bits), errno);
	assert_int_equal(bits[0], 2);
	memset(bits, 0, sizeof(bits));
	assert_return_code(get(&e, BASE, PAGES * SV_PAGE_SIZE, 4 * SV_PAGE_SIZE, 0, bits), errno);
	assert_int_equal(bits[0], 1ull << 12);
	/* Off and on again: a clean sheet. */
	make_dirty(&e, BASE);
	assert_return_code(track(&e, e.hwpt, 0), errno);
	assert_return_code(track(&e, e.hwpt, IOMMU_HWPT_DIRTY_TRACKING_ENABLE), errno);
	memset(bits, 0, sizeof(bits));
	assert_return_code(get(&e, BASE, PAGES * SV_PAGE_SIZE, SV_PAGE_SIZE, 0, bits), errno);
	assert_int_equal(bits[0], 0);
	down(&e);
}

/* The bitmap ends where memory does. */
static void test_short_bitmap(void **state)
{
	struct env e = up();
	char *page = memory(2 * SV_PAGE_SIZE);
	u64 *last = (u64 *)(void *)(page + SV_PAGE_SIZE) - 1;

	assert_return_code(munmap(page + SV_PAGE_SIZE, SV_PAGE_SIZE), errno);
	assert_return_code(track(&e, e.hwpt, IOMMU_HWPT_DIRTY_TRACKING_ENABLE), errno);
	make_dirty(&e, BASE + 63 * MOCK_IO_PAGE_SIZE);
	*last = 0;
	assert_return_code(get(&e, BASE, 64 * MOCK_IO_PAGE_SIZE, MOCK_IO_PAGE_SIZE, 0, last),
			   errno);
	assert_int_equal(*last, 1ull << 63);
	make_dirty(&e, BASE + 64 * MOCK_IO_PAGE_SIZE);
	assert_errno(get(&e, BASE, 65 * MOCK_IO_PAGE_SIZE, MOCK_IO_PAGE_SIZE, 0, last), EFAULT);
	munmap(page, SV_PAGE_SIZE);
	down(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_short_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
