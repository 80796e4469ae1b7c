/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_HWPT_INVALIDATE on nested HWPTs and vIOMMUs.
 */
#include "iommufd.h"

struct env {
	int fd;
	u32 ioas, parent, nested;
	struct mock_ids ids;
};

static struct env up(void)
{
	struct env e = { .fd = iommu_open() };

	e.ioas = ioas_alloc(e.fd);
	e.ids = mock_attach(e.fd, e.ioas, 0);
	e.parent = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
	assert_return_code(nested_alloc(e.fd, e.ids.dev, e.parent, 0, 0, &e.nested), errno);
	return e;
}

/* *num: out. */
static int invalidate(const struct env *e, u32 id, u32 type, void *data, u32 len, u32 *num)
{
	struct iommu_hwpt_invalidate cmd = {
		.hwpt_id = id, .data_uptr = (uintptr_t)data, .data_type = type, .entry_len = len,
		.entry_num = *num,
	};
	int ret = CALL(e->fd, IOMMU_HWPT_INVALIDATE, &cmd);

	*num = cmd.entry_num;
	return ret;
}

static int iotlb(const struct env *e, u32 i, u32 val)
{
	struct iommu_test_cmd cmd = { .op = IOMMU_TEST_OP_MD_CHECK_IOTLB, .id = e->nested,
				      .check_iotlb = { i, val } };

	return test_cmd(e->fd, &cmd);
}

static void test_sizes(void **state)
{
	struct iommu_hwpt_invalidate cmd = { .hwpt_id = NO_ID };
	int fd = iommu_open();

	CHECK_SIZES(fd, IOMMU_HWPT_INVALIDATE, &cmd, __reserved, ENOENT);
	iommu_close(fd);
}

#define SELFTEST IOMMU_HWPT_INVALIDATE_DATA_SELFTEST

static void test_refused(void **state)
{
	struct env e = up();
	struct iommu_hwpt_invalidate_selftest req[2] = { { 0, 0 }, { 0, 1 } };
	struct iommu_hwpt_invalidate cmd = { .hwpt_id = e.nested, .__reserved = 1, .entry_num = 3 };
	const u32 len = sizeof(req[0]);
	u32 num;

#define REFUSED(id, type, data, entry_len, n, err) do { \
	num = (n); \
	assert_errno(invalidate(&e, id, type, data, entry_len, &num), err); \
	assert_int_equal(num, 0); \
} while (0)
	assert_errno(CALL(e.fd, IOMMU_HWPT_INVALIDATE, &cmd), EOPNOTSUPP);
	assert_int_equal(cmd.entry_num, 0);
	REFUSED(e.parent, SELFTEST, req, len, 1, ENOENT);
	REFUSED(e.ioas, SELFTEST, req, len, 1, ENOENT);
	REFUSED(e.nested, SELFTEST + 1, req, len, 1, EINVAL);
	REFUSED(e.nested, SELFTEST, req, len + 1, 1, EINVAL);
	REFUSED(e.nested, SELFTEST, req, len - 1, 1, EINVAL);
	REFUSED(e.nested, SELFTEST, req, 0, 1, EINVAL);
	REFUSED(e.nested, SELFTEST, req, 4097, 1, EINVAL);
	REFUSED(e.nested, SELFTEST, req, len, (1u << 19) + 1, EINVAL);
	REFUSED(e.nested, SELFTEST, NULL, len, 1, EINVAL);
	REFUSED(e.nested, SELFTEST, (void *)8, len, 1, EFAULT);
	req[0].flags = ~0u;
	REFUSED(e.nested, SELFTEST, req, len, 1, EOPNOTSUPP);
	req[0].flags = 0;
	req[0].iotlb_id = MOCK_NESTED_DOMAIN_IOTLB_NUM;
	REFUSED(e.nested, SELFTEST, req, len, 1, EINVAL);
	/* No entry: only asks for the type. */
	num = 0;
	assert_return_code(invalidate(&e, e.nested, SELFTEST, NULL, 0, &num), errno);
	for (u32 i = 0; i < MOCK_NESTED_DOMAIN_IOTLB_NUM; i++)
		assert_return_code(iotlb(&e, i, IOMMU_TEST_IOTLB_DEFAULT), errno);
	iommu_close(e.fd);
}

/* Entries before the bad one are done, and counted. */
static void test_entries(void **state)
{
	struct env e = up();
	struct iommu_hwpt_invalidate_selftest req[3] = { { 0, 1 }, { 0, 2 }, { 0, 99 } };
	u32 num = 3;

	assert_errno(invalidate(&e, e.nested, SELFTEST, req, sizeof(req[0]), &num), EINVAL);
	assert_int_equal(num, 2);
	assert_return_code(iotlb(&e, 0, IOMMU_TEST_IOTLB_DEFAULT), errno);
	assert_return_code(iotlb(&e, 1, 0), errno);
	assert_return_code(iotlb(&e, 2, 0), errno);
	req[0].flags = IOMMU_TEST_INVALIDATE_FLAG_ALL;
	num = 1;
	assert_return_code(invalidate(&e, e.nested, SELFTEST, req, sizeof(req[0]), &num), errno);
	assert_int_equal(num, 1);
	for (u32 i = 0; i < MOCK_NESTED_DOMAIN_IOTLB_NUM; i++)
		assert_return_code(iotlb(&e, i, 0), errno);
	iommu_close(e.fd);
}

static int cache(const struct env *e, u32 i, u32 val)
{
	struct iommu_test_cmd cmd = { .op = IOMMU_TEST_OP_DEV_CHECK_CACHE, .id = e->ids.dev,
				      .check_dev_cache = { i, val } };

	return test_cmd(e->fd, &cmd);
}

static void test_viommu(void **state)
{
	struct env e = up();
	struct iommu_viommu_alloc viommu = { .type = IOMMU_VIOMMU_TYPE_SELFTEST,
					     .dev_id = e.ids.dev, .hwpt_id = e.parent };
	struct iommu_vdevice_alloc vdev = { .dev_id = e.ids.dev, .virt_id = 0x99 };
	struct iommu_viommu_invalidate_selftest req[2] = { { 0, 0x99, 2 }, { 0, 0x98, 0 } };
	u32 num = 2;

	OK(e.fd, IOMMU_VIOMMU_ALLOC, &viommu);
	/* No device has the id yet. */
	assert_errno(invalidate(&e, viommu.out_viommu_id, IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
				req, sizeof(req[0]), &num), EINVAL);
	assert_int_equal(num, 0);
	vdev.viommu_id = viommu.out_viommu_id;
	OK(e.fd, IOMMU_VDEVICE_ALLOC, &vdev);
	num = 2;
	assert_errno(invalidate(&e, viommu.out_viommu_id, IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
				req, sizeof(req[0]), &num), EINVAL);
	assert_int_equal(num, 1);
	assert_return_code(cache(&e, 1, IOMMU_TEST_DEV_CACHE_DEFAULT), errno);
	assert_return_code(cache(&e, 2, 0), errno);
	req[0].flags = IOMMU_TEST_INVALIDATE_FLAG_ALL;
	num = 1;
	assert_return_code(invalidate(&e, viommu.out_viommu_id,
				      IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST, req,
				      sizeof(req[0]), &num), errno);
	assert_return_code(cache(&e, 1, 0), errno);
	iommu_close(e.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_viommu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
