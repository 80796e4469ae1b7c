/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_MAP */
#include "iommu_abi.h"

static char *mem;
static unsigned ioas;

static void unmap_it(int fd, const void *done)
{
	const struct iommu_ioas_map *m = done;
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = ioas, .iova = m->iova, .length = m->length,
	};

	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_UNMAP, &u), 0);
	assert_int_equal(u.length, m->length);
}

static struct iommu_ioas_map good(void)
{
	return (struct iommu_ioas_map){
		.size = sizeof(struct iommu_ioas_map), .flags = RW | FIXED, .ioas_id = ioas,
		.user_va = (unsigned long)mem, .length = PAGE, .iova = IOVA,
	};
}

static void sizes(void **state)
{
	int fd = iommu_open();
	struct iommu_ioas_map m;

	ioas = iommu_ioas(fd);
	m = good();
	iommu_sizes(fd, IOMMU_IOAS_MAP, &m, sizeof(m), sizeof(m), unmap_it);
	m.flags = RW;
	iommu_sizes(fd, IOMMU_IOAS_MAP, &m, sizeof(m), sizeof(m), unmap_it);
	softvirt_close(fd);
}

static void each_wrong_field(void **state)
{
	int fd = iommu_open();
	struct iommu_ioas_map m;

	ioas = iommu_ioas(fd);
	for (unsigned i = 3; i < 32; i++) {
		m = good();
		m.flags |= 1u << i;
		assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), EOPNOTSUPP);
	}
#define WRONG(field, value, err) do { \
	m = good(); \
	m.field = (value); \
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), err); \
} while (0)
	WRONG(flags, FIXED, EINVAL);
	WRONG(flags, 0, EINVAL);
	WRONG(__reserved, 1, EOPNOTSUPP);
	WRONG(ioas_id, 0, ENOENT);
	WRONG(ioas_id, ioas + 1, ENOENT);
	WRONG(length, 0, EINVAL);
	WRONG(length, ~0ull, EOVERFLOW);
	WRONG(length, ~0ull - 1, EINVAL);
	WRONG(iova, ~0ull, EOVERFLOW);
	WRONG(iova, ~0ull - PAGE + 2, EOVERFLOW);
	WRONG(user_va, ~0ull - 10, EOVERFLOW);
	m = good();
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), EEXIST);
	m.iova += PAGE - 1;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), EEXIST);
	m.iova = IOVA - 1;
	m.length = 2;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), EEXIST);
	/* Without a device any bytes will do. */
	m.length = 1;
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
	softvirt_close(fd);
}

static void chosen_iovas_do_not_overlap(void **state)
{
	int fd = iommu_open();
	unsigned long long seen[32];

	ioas = iommu_ioas(fd);
	for (unsigned i = 0; i < 32; i++) {
		struct iommu_ioas_map m = good();

		m.flags = IOMMU_IOAS_MAP_READABLE;
		m.user_va += i * 8;
		m.length = 100;
		m.iova = 0x777;		/* of no meaning */
		assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
		assert_true(m.iova >= PAGE);
		assert_int_equal(m.iova % 8, 0);
		seen[i] = m.iova;
		for (unsigned k = 0; k < i; k++)
			assert_true(seen[k] + 100 <= m.iova || m.iova + 100 <= seen[k]);
	}
	softvirt_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(each_wrong_field),
		cmocka_unit_test(chosen_iovas_do_not_overlap),
	};

	mem = iommu_memory(16 * PAGE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
