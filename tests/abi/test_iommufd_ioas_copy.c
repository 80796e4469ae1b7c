/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_COPY */
#include "iommu_abi.h"

static char *mem;
static unsigned src, dst;

static void map_at(int fd, u64 iova, u64 len, unsigned flags)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m), .flags = flags | FIXED, .ioas_id = src, .user_va = (unsigned long)mem,
		.length = len, .iova = iova,
	};

	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
}

static struct iommu_ioas_copy good(void)
{
	return (struct iommu_ioas_copy){
		.size = sizeof(struct iommu_ioas_copy), .flags = RW | FIXED, .dst_ioas_id = dst,
		.src_ioas_id = src, .length = 2 * PAGE, .dst_iova = IOVA, .src_iova = IOVA,
	};
}

static void unmap_dst(int fd, const void *done)
{
	const struct iommu_ioas_copy *c = done;
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = dst, .iova = c->dst_iova, .length = c->length,
	};

	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_UNMAP, &u), 0);
	assert_int_equal(u.length, c->length);
}

static void sizes(void **state)
{
	int fd = iommu_open();
	struct iommu_ioas_copy c;

	src = iommu_ioas(fd);
	dst = iommu_ioas(fd);
	map_at(fd, IOVA, 4 * PAGE, RW);
	c = good();
	iommu_sizes(fd, IOMMU_IOAS_COPY, &c, sizeof(c), sizeof(c), unmap_dst);
	c.flags = RW;
	iommu_sizes(fd, IOMMU_IOAS_COPY, &c, sizeof(c), sizeof(c), unmap_dst);
	softvirt_close(fd);
}

static void each_wrong_field(void **state)
{
	int fd = iommu_open();
	struct iommu_ioas_copy c;

	src = iommu_ioas(fd);
	dst = iommu_ioas(fd);
	map_at(fd, IOVA, 4 * PAGE, RW);
	map_at(fd, IOVA + 4 * PAGE, 2 * PAGE, IOMMU_IOAS_MAP_READABLE);
	for (unsigned i = 3; i < 32; i++) {
		c = good();
		c.flags |= 1u << i;
		assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_COPY, &c), EOPNOTSUPP);
	}
#define WRONG(field, value, err) do { \
	c = good(); \
	c.field = (value); \
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_COPY, &c), err); \
} while (0)
	WRONG(flags, FIXED, EINVAL);
	WRONG(src_ioas_id, dst + 1, ENOENT);
	WRONG(dst_ioas_id, dst + 1, ENOENT);
	WRONG(length, 0, EINVAL);
	WRONG(length, ~0ull, EOVERFLOW);
	WRONG(src_iova, ~0ull, EOVERFLOW);
	WRONG(dst_iova, ~0ull, EOVERFLOW);
	WRONG(src_iova, ~0ull - PAGE, EOVERFLOW);
	WRONG(dst_iova, ~0ull - PAGE, EOVERFLOW);
	WRONG(src_iova, 0, ENOENT);
	WRONG(length, 7 * PAGE, ENOENT);
	WRONG(src_iova, IOVA + 5 * PAGE, ENOENT);
	/* What was mapped for reading isn't writable by a copy; over the border of two areas neither. */
	WRONG(src_iova, IOVA + 4 * PAGE, EPERM);
	WRONG(src_iova, IOVA + 3 * PAGE, EPERM);
	c = good();
	c.src_iova = IOVA + 3 * PAGE;
	c.flags = IOMMU_IOAS_MAP_READABLE | FIXED;
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_COPY, &c), 0);
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_COPY, &c), EEXIST);
	/* From a space to itself. */
	c = good();
	c.dst_ioas_id = src;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_COPY, &c), EEXIST);
	c.dst_iova = IOVA + 16 * PAGE;
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_COPY, &c), 0);
	softvirt_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sizes), cmocka_unit_test(each_wrong_field) };

	mem = iommu_memory(16 * PAGE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
