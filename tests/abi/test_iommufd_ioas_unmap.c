/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_UNMAP */
#include "iommu_abi.h"

static char *mem;
static unsigned ioas;

static void map_at(int fd, u64 iova, u64 len)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m), .flags = RW | FIXED, .ioas_id = ioas, .user_va = (unsigned long)mem,
		.length = len, .iova = iova,
	};

	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
}

static int unmap(int fd, u64 iova, u64 len, u64 *done)
{
	struct iommu_ioas_unmap u = { .size = sizeof(u), .ioas_id = ioas, .iova = iova, .length = len };
	int ret = softvirt_ioctl(fd, IOMMU_IOAS_UNMAP, &u);

	if (done)
		*done = u.length;
	return ret;
}

static void again(int fd, const void *done)
{
	map_at(fd, IOVA, PAGE);
}

static void sizes(void **state)
{
	struct iommu_ioas_unmap u = { .size = sizeof(u), .iova = IOVA, .length = PAGE };
	int fd = iommu_open();

	u.ioas_id = ioas = iommu_ioas(fd);
	map_at(fd, IOVA, PAGE);
	iommu_sizes(fd, IOMMU_IOAS_UNMAP, &u, sizeof(u), sizeof(u), again);
	softvirt_close(fd);
}

static void whole_areas_only(void **state)
{
	int fd = iommu_open();
	u64 n;

	ioas = iommu_ioas(fd);
	assert_errno(unmap(fd, IOVA, PAGE, NULL), ENOENT);
	assert_errno(unmap(fd, IOVA, 0, NULL), EINVAL);
	assert_errno(unmap(fd, 0, 0, NULL), EINVAL);
	assert_errno(unmap(fd, ~0ull, 1, NULL), EOVERFLOW);
	assert_errno(unmap(fd, PAGE, ~0ull, NULL), EOVERFLOW);
	assert_errno(unmap(fd, ~0ull - 1, PAGE, NULL), EOVERFLOW);
	map_at(fd, IOVA, 4 * PAGE);
	map_at(fd, IOVA + 8 * PAGE, 4 * PAGE);
	assert_errno(unmap(fd, IOVA, PAGE, NULL), ENOENT);
	assert_errno(unmap(fd, IOVA + PAGE, 3 * PAGE, NULL), ENOENT);
	assert_errno(unmap(fd, IOVA + 1, 8 * PAGE, NULL), ENOENT);
	/* A superset is fine; what was unmapped is counted. */
	assert_int_equal(unmap(fd, 0, IOVA + 6 * PAGE, &n), 0);
	assert_int_equal(n, 4 * PAGE);
	map_at(fd, IOVA, 4 * PAGE);
	/* The first area goes although the second reaches out. */
	assert_errno(unmap(fd, IOVA, 9 * PAGE, NULL), ENOENT);
	map_at(fd, IOVA, 4 * PAGE);
	assert_int_equal(unmap(fd, 0, ~0ull, &n), 0);
	assert_int_equal(n, 8 * PAGE);
	assert_int_equal(unmap(fd, 0, ~0ull, &n), 0);
	assert_int_equal(n, 0);
	softvirt_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sizes), cmocka_unit_test(whole_areas_only) };

	mem = iommu_memory(16 * PAGE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
