/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_IOVA_RANGES, and IOMMU_IOAS_ALLOW_IOVAS beside it. */
#include "iommu_abi.h"

static void ranges(void **state)
{
	struct iommu_iova_range r[2] = { { 7, 7 } };
	struct iommu_ioas_iova_ranges q = {
		.size = sizeof(q), .num_iovas = 1, .allowed_iovas = (unsigned long)r,
	};
	int fd = iommu_open();

	q.ioas_id = iommu_ioas(fd);
	iommu_sizes(fd, IOMMU_IOAS_IOVA_RANGES, &q, sizeof(q), sizeof(q), NULL);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &q), 0);
	assert_int_equal(q.num_iovas, 1);
	assert_int_equal(q.out_iova_alignment, 1);
	assert_true(r[0].start == 0 && r[0].last == ~0ull);
	/* Too little room: how much there is, and nothing written. */
	r[0].start = 7;
	q.num_iovas = 0;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &q), EMSGSIZE);
	assert_int_equal(q.num_iovas, 1);
	assert_int_equal(r[0].start, 7);
	q.allowed_iovas = 8;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &q), EFAULT);
	q.__reserved = 1;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &q), EOPNOTSUPP);
	q.__reserved = 0;
	q.ioas_id = 77;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &q), ENOENT);
	softvirt_close(fd);
}

static void allowed(void **state)
{
	struct iommu_iova_range r[3] = { { 0x10000, 0x1ffff }, { 0x40000, 0x4ffff }, { 0x20000, 0x2ffff } };
	struct iommu_ioas_allow_iovas a = {
		.size = sizeof(a), .num_iovas = 2, .allowed_iovas = (unsigned long)r,
	};
	struct iommu_ioas_map m = { .size = sizeof(m), .flags = RW, .length = 0x10000 };
	int fd = iommu_open();

	m.user_va = (unsigned long)iommu_memory(0x20000);
	m.ioas_id = a.ioas_id = iommu_ioas(fd);
	iommu_sizes(fd, IOMMU_IOAS_ALLOW_IOVAS, &a, sizeof(a), sizeof(a), NULL);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
	assert_int_equal(m.iova, 0x10000);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
	assert_int_equal(m.iova, 0x40000);
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), ENOSPC);
	a.num_iovas = 3;
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &a), 0);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
	assert_int_equal(m.iova, 0x20000);
	/* A wrong list changes nothing. */
	r[2] = (struct iommu_iova_range){ 0x48000, 0x58000 };
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &a), EINVAL);
	r[2] = (struct iommu_iova_range){ 0x60000, 0x60000 };
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &a), EINVAL);
	a.allowed_iovas = 8;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &a), EFAULT);
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), ENOSPC);
	/* An empty one: everything again. */
	a.num_iovas = 0;
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &a), 0);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
	a.__reserved = 1;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &a), EOPNOTSUPP);
	a.__reserved = 0;
	a.ioas_id = 99;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &a), ENOENT);
	munmap((void *)(unsigned long)m.user_va, 0x20000);
	softvirt_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(ranges), cmocka_unit_test(allowed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
