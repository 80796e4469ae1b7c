/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_HWPT_ALLOC, and what devices attach to: explicit and automatic HWPTs, nested ones, PASIDs.
 */
#include "iommufd.h"

struct env {
	int fd;
	u32 ioas;
	struct mock_ids ids;
};

static struct env up(u32 dev_flags)
{
	struct env e = { .fd = iommu_open() };

	e.ioas = ioas_alloc(e.fd);
	e.ids = mock_attach(e.fd, e.ioas, dev_flags);
	return e;
}

static int alloc(const struct env *e, struct iommu_hwpt_alloc cmd)
{
	return CALL(e->fd, IOMMU_HWPT_ALLOC, &cmd);
}

static void test_sizes(void **state)
{
	struct env e = up(0);
	struct iommu_hwpt_alloc cmd = { .dev_id = NO_ID, .pt_id = e.ioas };

	CHECK_SIZES(e.fd, IOMMU_HWPT_ALLOC, &cmd, __reserved, ENOENT);
	iommu_close(e.fd);
}

static void test_refused(void **state)
{
	struct env e = up(0), plain = up(MOCK_FLAGS_DEVICE_NO_DIRTY);
	struct iommu_hwpt_alloc cmd = { .dev_id = e.ids.dev, .pt_id = e.ioas };

	cmd.__reserved = 1;
	assert_errno(alloc(&e, cmd), EOPNOTSUPP);
	cmd.__reserved = 0;
	cmd.data_type = IOMMU_HWPT_DATA_SELFTEST;
	assert_errno(alloc(&e, cmd), EINVAL);
	cmd.data_type = IOMMU_HWPT_DATA_NONE;
	cmd.data_len = 4;
	assert_errno(alloc(&e, cmd), EINVAL);
	cmd.data_len = 0;
	cmd.pt_id = NO_ID;
	assert_errno(alloc(&e, cmd), EINVAL);
	cmd.pt_id = e.ids.dev;
	assert_errno(alloc(&e, cmd), EINVAL);
	cmd.pt_id = e.ioas;
	cmd.dev_id = e.ioas;
	assert_errno(alloc(&e, cmd), ENOENT);
	cmd.dev_id = e.ids.dev;
	cmd.flags = 1u << 31;
	assert_errno(alloc(&e, cmd), EOPNOTSUPP);
	cmd.flags = IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_FAULT_ID_VALID;
	assert_errno(alloc(&e, cmd), EOPNOTSUPP);
	cmd.flags = IOMMU_HWPT_FAULT_ID_VALID;
	cmd.fault_id = NO_ID;
	assert_errno(alloc(&e, cmd), ENOENT);
	cmd = (struct iommu_hwpt_alloc){ .dev_id = plain.ids.dev, .pt_id = plain.ioas,
					 .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING };
	assert_errno(alloc(&plain, cmd), EOPNOTSUPP);
	/* All of them left nothing behind. */
	assert_int_equal(ioas_alloc(e.fd), e.ids.hwpt + 1);
	iommu_close(e.fd);
	iommu_close(plain.fd);
}

static void test_nested_refused(void **state)
{
	struct env e = up(0);
	struct iommu_hwpt_selftest data[2] = { { 1 }, { 0 } };
	u32 parent = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT), id;
	u32 no_parent = hwpt_alloc(e.fd, e.ids.dev, e.ioas, 0);
	struct iommu_hwpt_alloc cmd = {
		.dev_id = e.ids.dev, .pt_id = parent, .data_type = IOMMU_HWPT_DATA_SELFTEST,
		.data_len = sizeof(data[0]), .data_uptr = (uintptr_t)data,
	};

	assert_errno(nested_alloc(e.fd, e.ids.dev, no_parent, 0, 0, &id), EINVAL);
	assert_errno(nested_alloc(e.fd, e.ids.dev, e.ids.hwpt, 0, 0, &id), EINVAL);
	assert_errno(nested_alloc(e.fd, e.ids.dev, parent, IOMMU_HWPT_ALLOC_NEST_PARENT, 0, &id),
		     EOPNOTSUPP);
	assert_errno(hwpt_alloc_flags(e.fd, e.ids.dev, parent, 0, &id), EOPNOTSUPP);
	cmd.data_len = sizeof(data[0]) - 1;
	assert_errno(alloc(&e, cmd), EINVAL);
	cmd.data_len = sizeof(data);
	assert_errno(alloc(&e, cmd), EINVAL);
	cmd.data_len = sizeof(data[0]);
	cmd.data_type = IOMMU_HWPT_DATA_VTD_S1;
	assert_errno(alloc(&e, cmd), EOPNOTSUPP);
	cmd.data_type = IOMMU_HWPT_DATA_SELFTEST;
	cmd.data_uptr = 0;
	assert_errno(alloc(&e, cmd), EFAULT);
	assert_return_code(nested_alloc(e.fd, e.ids.dev, parent, 0, 0, &id), errno);
	/* A nested one has no children, and holds its parent. */
	assert_errno(nested_alloc(e.fd, e.ids.dev, id, 0, 0, &no_parent), EINVAL);
	assert_errno(destroy(e.fd, parent), EBUSY);
	assert_return_code(destroy(e.fd, id), errno);
	assert_return_code(destroy(e.fd, parent), errno);
	iommu_close(e.fd);
}

static void test_explicit(void **state)
{
	struct env e = up(0);
	void *p = memory(SV_PAGE_SIZE);
	u32 a = hwpt_alloc(e.fd, e.ids.dev, e.ioas, 0), b;
	struct iommu_test_cmd check = {
		.op = IOMMU_TEST_OP_MD_CHECK_MAP, .id = a,
		.check_map = { MOCK_APERTURE_START, SV_PAGE_SIZE, (uintptr_t)p },
	};

	assert_errno(test_cmd(e.fd, &check), EINVAL);
	assert_return_code(ioas_map(e.fd, e.ioas, p, SV_PAGE_SIZE, MOCK_APERTURE_START), errno);
	assert_return_code(test_cmd(e.fd, &check), errno);
	/* One that comes later is filled with what there is. */
	b = hwpt_alloc(e.fd, e.ids.dev, e.ioas, 0);
	check.id = b;
	assert_return_code(test_cmd(e.fd, &check), errno);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, b), errno);
	/* The automatic one has gone. */
	assert_errno(destroy(e.fd, e.ids.hwpt), ENOENT);
	assert_errno(destroy(e.fd, b), EBUSY);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, a), errno);
	assert_return_code(destroy(e.fd, b), errno);
	assert_return_code(ioas_unmap(e.fd, e.ioas, MOCK_APERTURE_START, SV_PAGE_SIZE), errno);
	munmap(p, SV_PAGE_SIZE);
	iommu_close(e.fd);
}

/* Devices that can share have one automatic HWPT; it is never one that the user made. */
static void test_automatic(void **state)
{
	struct env e = up(0);
	struct mock_ids second, third;
	u32 other;

	hwpt_alloc(e.fd, e.ids.dev, e.ioas, 0);
	second = mock_attach(e.fd, e.ioas, 0);
	assert_int_equal(second.hwpt, e.ids.hwpt);
	other = ioas_alloc(e.fd);
	third = mock_attach(e.fd, other, 0);
	assert_int_not_equal(third.hwpt, e.ids.hwpt);
	assert_return_code(destroy(e.fd, e.ids.stdev), errno);
	assert_errno(destroy(e.fd, e.ids.hwpt), EBUSY);
	assert_return_code(mock_replace(e.fd, second.stdev, other), errno);
	assert_errno(destroy(e.fd, e.ids.hwpt), ENOENT);
	assert_errno(mock_replace(e.fd, second.stdev, NO_ID), ENOENT);
	assert_errno(mock_replace(e.fd, second.stdev, second.dev), EINVAL);
	assert_errno(mock_attach_flags(e.fd, NO_ID, 0, &third), ENOENT);
	assert_errno(mock_attach_flags(e.fd, e.ioas, 1u << 30, &third), EINVAL);
	iommu_close(e.fd);
}

/* A domain that tracks refuses a device that can't; automatic attachment then makes another. */
static void test_incompatible(void **state)
{
	struct env e = up(0);
	u32 tracks = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	struct mock_ids ids;

	assert_errno(mock_attach_flags(e.fd, tracks, MOCK_FLAGS_DEVICE_NO_DIRTY, &ids), EINVAL);
	ids = mock_attach(e.fd, e.ioas, MOCK_FLAGS_DEVICE_NO_DIRTY);
	assert_errno(mock_replace(e.fd, ids.stdev, tracks), EINVAL);
	/* It still has what it had. */
	assert_return_code(destroy(e.fd, tracks), errno);
	assert_errno(destroy(e.fd, ids.hwpt), EBUSY);
	iommu_close(e.fd);
}

static int pasid(const struct env *e, u32 op, u32 pasid_id, u32 pt)
{
	struct iommu_test_cmd cmd = { .op = op, .id = e->ids.stdev,
				      .pasid_attach = { pasid_id, pt } };

	return test_cmd(e->fd, &cmd);
}

static void test_pasid(void **state)
{
	struct env e = up(MOCK_FLAGS_DEVICE_PASID);
	u32 a = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_PASID);
	u32 b = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_PASID);
	u32 plain = hwpt_alloc(e.fd, e.ids.dev, e.ioas, 0);

	/* The device's own traffic has an automatic one, which knows no PASIDs. */
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 5, a), EINVAL);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, a), errno);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 5, plain), EINVAL);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 5, e.ioas), EINVAL);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 5, NO_ID), ENOENT);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 1u << MOCK_PASID_WIDTH, a), EINVAL);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_REPLACE, 5, a), EINVAL);
	assert_return_code(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 5, a), errno);
	assert_return_code(pasid(&e, IOMMU_TEST_OP_PASID_CHECK_HWPT, 5, a), errno);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 5, b), EINVAL);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 5, a), EBUSY);
	assert_return_code(pasid(&e, IOMMU_TEST_OP_PASID_REPLACE, 5, b), errno);
	assert_return_code(pasid(&e, IOMMU_TEST_OP_PASID_CHECK_HWPT, 5, b), errno);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_REPLACE, 5, plain), EINVAL);
	/* While a PASID is attached the device's own can't become one that knows none. */
	assert_errno(mock_replace(e.fd, e.ids.stdev, plain), EINVAL);
	assert_errno(destroy(e.fd, b), EBUSY);
	assert_return_code(pasid(&e, IOMMU_TEST_OP_PASID_DETACH, 5, 0), errno);
	assert_return_code(pasid(&e, IOMMU_TEST_OP_PASID_CHECK_HWPT, 5, 0), errno);
	assert_return_code(destroy(e.fd, b), errno);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, plain), errno);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, a), errno);
	/* Closed with one attached. */
	assert_return_code(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 6, a), errno);
	iommu_close(e.fd);
}

static void test_no_pasids(void **state)
{
	struct env e = up(0);
	u32 a = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_PASID);

	assert_return_code(mock_replace(e.fd, e.ids.stdev, a), errno);
	assert_errno(pasid(&e, IOMMU_TEST_OP_PASID_ATTACH, 1, a), EINVAL);
	iommu_close(e.fd);
}

static struct iommu_resv_region resv[2];

static unsigned get_resv(struct iommu_dev *dev, struct iommu_resv_region *out, unsigned room)
{
	for (unsigned i = 0; i < min(room, 2u); i++)
		out[i] = resv[i];
	return 2;
}

/* Two devices in one group: the first decides, the second follows; regions are each one's own. */
static void test_group(void **state)
{
	struct iommu_ops ops = mock_ops;
	struct mock_dev *a = mock_dev_create(0), *b = mock_dev_create(0), *c = mock_dev_create(0);
	struct iommufd_device *da, *db;
	int fd = iommu_open(), other = iommu_open();
	struct iommufd_ctx *ictx = iommufd_ctx_from_fd(fd), *octx = iommufd_ctx_from_fd(other);
	u32 x = ioas_alloc(fd), y = ioas_alloc(fd), id, pt;
	void *p = memory(SV_PAGE_SIZE);
	struct mock_dev *devs[] = { a, b };

	resv[0] = (struct iommu_resv_region){ .start = MOCK_APERTURE_START,
					      .length = SV_PAGE_SIZE };
	resv[1] = (struct iommu_resv_region){ .start = MOCK_APERTURE_START + (1 << 20),
					      .length = SV_PAGE_SIZE, .msi = true };
	ops.get_resv_regions = get_resv;
	for (size_t i = 0; i < 2; i++) {
		iommu_dev_fini(&devs[i]->dev);
		devs[i]->dev.iommu = &ops;
		devs[i]->dev.in_ctx = false;
		assert_int_equal(iommu_dev_init(&devs[i]->dev, 0x50000000), 0);
	}
	da = iommufd_device_bind(ictx, &a->dev, &id);
	assert_int_equal(iommufd_device_to_id(da), id);
	assert_ptr_equal(iommufd_device_to_ictx(da), ictx);
	assert_int_equal((long)iommufd_device_bind(octx, &b->dev, &id), -EBUSY);
	assert_true(iommufd_ctx_has_group(ictx, a->dev.group));
	assert_false(iommufd_ctx_has_group(octx, a->dev.group));
	assert_false(iommufd_ctx_has_group(ictx, c->dev.group));
	db = iommufd_device_bind(ictx, &b->dev, &id);
	assert_int_equal(ioas_map(fd, y, p, SV_PAGE_SIZE, MOCK_APERTURE_START), 0);
	pt = x;
	assert_int_equal(iommufd_device_attach(da, 0, &pt), 0);
	/* Reserved while it is attached. */
	assert_errno(ioas_map(fd, x, p, SV_PAGE_SIZE, MOCK_APERTURE_START), EINVAL);
	pt = y;
	assert_int_equal(iommufd_device_attach(db, 0, &pt), -EINVAL);
	pt = x;
	assert_int_equal(iommufd_device_attach(da, 0, &pt), -EBUSY);
	pt = x;
	assert_int_equal(iommufd_device_replace(db, 0, &pt), -EINVAL);
	pt = x;
	assert_int_equal(iommufd_device_attach(db, 0, &pt), 0);
	/* y has something mapped where the devices' region is. */
	pt = y;
	assert_int_equal(iommufd_device_replace(da, 0, &pt), -EADDRINUSE);
	assert_return_code(ioas_unmap(fd, y, MOCK_APERTURE_START, SV_PAGE_SIZE), errno);
	pt = y;
	assert_int_equal(iommufd_device_replace(da, 0, &pt), 0);
	/* The other one has moved, too, and x is free of both. */
	assert_ptr_equal(mock_dev_domain(a, 0), mock_dev_domain(b, 0));
	assert_return_code(ioas_map(fd, x, p, SV_PAGE_SIZE, MOCK_APERTURE_START), errno);
	assert_return_code(destroy(fd, x), errno);
	iommufd_device_detach(da, 0);
	assert_errno(ioas_map(fd, y, p, SV_PAGE_SIZE, MOCK_APERTURE_START), EINVAL);
	iommufd_device_detach(db, 0);
	assert_null(mock_dev_domain(b, 0));
	assert_return_code(ioas_map(fd, y, p, SV_PAGE_SIZE, MOCK_APERTURE_START), errno);
	iommufd_device_unbind(da);
	iommufd_device_unbind(db);
	iommufd_ctx_put(ictx);
	iommufd_ctx_put(octx);
	iommu_close(fd);
	iommu_close(other);
	mock_dev_destroy(a);
	mock_dev_destroy(b);
	mock_dev_destroy(c);
	munmap(p, SV_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nested_refused),
		cmocka_unit_test(test_explicit),
		cmocka_unit_test(test_automatic),
		cmocka_unit_test(test_incompatible),
		cmocka_unit_test(test_pasid),
		cmocka_unit_test(test_no_pasids),
		cmocka_unit_test(test_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
