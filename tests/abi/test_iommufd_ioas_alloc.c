/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_ALLOC */
#include "iommu_abi.h"

static void destroy(int fd, const void *done)
{
	const struct iommu_ioas_alloc *a = done;
	struct iommu_destroy d = { .size = sizeof(d), .id = a->out_ioas_id };

	assert_int_equal(softvirt_ioctl(fd, IOMMU_DESTROY, &d), 0);
	assert_errno(softvirt_ioctl(fd, IOMMU_DESTROY, &d), ENOENT);
}

static void sizes_and_flags(void **state)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };
	int fd = iommu_open();

	iommu_sizes(fd, IOMMU_IOAS_ALLOC, &a, sizeof(a), sizeof(a), destroy);
	for (unsigned i = 0; i < 32; i++) {
		a.flags = 1u << i;
		assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_ALLOC, &a), EOPNOTSUPP);
	}
	softvirt_close(fd);
}

static void an_id_that_cannot_be_told_is_not_kept(void **state)
{
	struct iommu_ioas_alloc *a = iommu_memory(PAGE);
	int fd = iommu_open();
	unsigned before = iommu_ioas(fd);
	struct iommu_destroy d = { .size = sizeof(d), .id = before + 1 };

	a->size = sizeof(*a);
	assert_int_equal(mprotect(a, PAGE, PROT_READ), 0);
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_ALLOC, a), EFAULT);
	assert_errno(softvirt_ioctl(fd, IOMMU_DESTROY, &d), ENOENT);
	softvirt_close(fd);
	munmap(a, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_flags),
		cmocka_unit_test(an_id_that_cannot_be_told_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
