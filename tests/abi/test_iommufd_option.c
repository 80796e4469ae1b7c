/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_OPTION.
 */
#include "iommufd.h"

static int option(int fd, struct iommu_option cmd, u64 *val)
{
	int ret = CALL(fd, IOMMU_OPTION, &cmd);

	if (val)
		*val = cmd.val64;
	return ret;
}

static void test_sizes(void **state)
{
	struct iommu_option cmd = { .option_id = 99 };
	int fd = iommu_open();

	CHECK_SIZES(fd, IOMMU_OPTION, &cmd, val64, EOPNOTSUPP);
	iommu_close(fd);
}

static void test_refused(void **state)
{
	int fd = iommu_open();
	u32 ioas = ioas_alloc(fd);
	struct iommu_option rlimit = { .option_id = IOMMU_OPTION_RLIMIT_MODE,
				       .op = IOMMU_OPTION_OP_GET };
	struct iommu_option huge = { .option_id = IOMMU_OPTION_HUGE_PAGES,
				     .op = IOMMU_OPTION_OP_GET, .object_id = ioas };

	rlimit.__reserved = 1;
	assert_errno(option(fd, rlimit, NULL), EOPNOTSUPP);
	rlimit.__reserved = 0;
	rlimit.object_id = ioas;
	assert_errno(option(fd, rlimit, NULL), EOPNOTSUPP);
	rlimit.object_id = 0;
	rlimit.op = 2;
	assert_errno(option(fd, rlimit, NULL), EOPNOTSUPP);
	huge.object_id = NO_ID;
	assert_errno(option(fd, huge, NULL), ENOENT);
	huge.object_id = ioas;
	huge.op = 2;
	assert_errno(option(fd, huge, NULL), EOPNOTSUPP);
	huge.op = IOMMU_OPTION_OP_SET;
	huge.val64 = 2;
	assert_errno(option(fd, huge, NULL), EINVAL);
	iommu_close(fd);
}

static void test_huge_pages(void **state)
{
	int fd = iommu_open();
	u32 ioas = ioas_alloc(fd);
	struct iommu_option huge = { .option_id = IOMMU_OPTION_HUGE_PAGES,
				     .op = IOMMU_OPTION_OP_GET, .object_id = ioas };
	u64 val;

	assert_return_code(option(fd, huge, &val), errno);
	assert_int_equal(val, 1);
	huge.op = IOMMU_OPTION_OP_SET;
	huge.val64 = 0;
	assert_return_code(option(fd, huge, NULL), errno);
	huge.op = IOMMU_OPTION_OP_GET;
	huge.val64 = 5;
	assert_return_code(option(fd, huge, &val), errno);
	assert_int_equal(val, 0);
	iommu_close(fd);
}

static void test_rlimit_mode(void **state)
{
	int fd = iommu_open();
	struct iommu_option cmd = { .option_id = IOMMU_OPTION_RLIMIT_MODE,
				    .op = IOMMU_OPTION_OP_GET };
	u64 val = 7;

	assert_return_code(option(fd, cmd, &val), errno);
	assert_int_equal(val, 0);
	cmd.op = IOMMU_OPTION_OP_SET;
	cmd.val64 = 1;
	/* Only with CAP_SYS_RESOURCE; then not beside objects. */
	errno = 0;
	if (option(fd, cmd, NULL)) {
		assert_int_equal(errno, EPERM);
	} else {
		ioas_alloc(fd);
		assert_errno(option(fd, cmd, NULL), EBUSY);
	}
	iommu_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_rlimit_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
