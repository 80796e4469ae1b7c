/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_GET_HW_INFO.
 */
#include "iommufd.h"

static void test_sizes(void **state)
{
	struct iommu_hw_info cmd = { .dev_id = NO_ID };
	int fd = iommu_open();

	check_sizes(fd, IOMMU_GET_HW_INFO, &cmd, 40, 32, ENOENT);
	iommu_close(fd);
}

static void test_refused(void **state)
{
	int fd = iommu_open();
	u32 ioas = ioas_alloc(fd);
	struct mock_ids ids = mock_attach(fd, ioas, 0);
	struct iommu_hw_info cmd = { .dev_id = ids.dev, .flags = 2 };

	assert_errno(CALL(fd, IOMMU_GET_HW_INFO, &cmd), EOPNOTSUPP);
	cmd.flags = 0;
	for (size_t i = 0; i < 3; i++) {
		cmd.__reserved[i] = 1;
		assert_errno(CALL(fd, IOMMU_GET_HW_INFO, &cmd), EOPNOTSUPP);
		cmd.__reserved[i] = 0;
	}
	cmd.dev_id = ioas;
	assert_errno(CALL(fd, IOMMU_GET_HW_INFO, &cmd), ENOENT);
	cmd.dev_id = ids.dev;
	cmd.data_len = 8;
	assert_errno(CALL(fd, IOMMU_GET_HW_INFO, &cmd), EFAULT);
	cmd.data_len = 0;
	cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
	cmd.out_data_type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	assert_errno(CALL(fd, IOMMU_GET_HW_INFO, &cmd), EOPNOTSUPP);
	cmd.out_data_type = IOMMU_HW_INFO_TYPE_SELFTEST;
	OK(fd, IOMMU_GET_HW_INFO, &cmd);
	iommu_close(fd);
}

/* A buffer of any length gets what fits, and zeroes behind it; data_len is the whole. */
static void test_lengths(void **state)
{
	struct iommu_test_hw_info want = { 0, IOMMU_HW_INFO_SELFTEST_REGVAL };
	int fd = iommu_open();
	struct mock_ids ids = mock_attach(fd, ioas_alloc(fd), MOCK_FLAGS_DEVICE_PASID);

	for (u32 len = 0; len <= 24; len++) {
		struct iommu_hw_info cmd = { .dev_id = ids.dev, .data_len = len };
		u8 buf[32];

		memset(buf, 0xee, sizeof(buf));
		cmd.data_uptr = (uintptr_t)buf;
		OK(fd, IOMMU_GET_HW_INFO, &cmd);
		assert_int_equal(cmd.data_len, sizeof(want));
		assert_int_equal(cmd.out_data_type, IOMMU_HW_INFO_TYPE_SELFTEST);
		assert_int_equal(cmd.out_max_pasid_log2, MOCK_PASID_WIDTH);
		assert_int_equal(cmd.out_capabilities, IOMMU_HW_CAP_DIRTY_TRACKING);
		for (u32 i = 0; i < sizeof(buf); i++)
			assert_int_equal(buf[i], i >= len ? 0xee : i < sizeof(want) ?
					 ((u8 *)&want)[i] : 0);
	}
	iommu_close(fd);
}

static void test_capabilities(void **state)
{
	int fd = iommu_open();
	struct mock_ids ids = mock_attach(fd, ioas_alloc(fd), MOCK_FLAGS_DEVICE_NO_DIRTY);
	struct iommu_hw_info cmd = { .dev_id = ids.dev, .out_capabilities = 0xff,
				     .out_max_pasid_log2 = 9 };

	OK(fd, IOMMU_GET_HW_INFO, &cmd);
	assert_int_equal(cmd.out_capabilities, 0);
	assert_int_equal(cmd.out_max_pasid_log2, 0);
	iommu_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
