/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_DESTROY, ids, and contexts that are closed in any order.
 */
#include <sys/wait.h>

#include "iommufd.h"

static void test_sizes(void **state)
{
	struct iommu_destroy cmd = { .id = NO_ID };
	int fd = iommu_open();

	CHECK_SIZES(fd, IOMMU_DESTROY, &cmd, id, ENOENT);
	iommu_close(fd);
}

static void test_unknown_ids(void **state)
{
	int fd = iommu_open();

	assert_errno(destroy(fd, 0), ENOENT);
	assert_errno(destroy(fd, 1), ENOENT);
	assert_errno(destroy(fd, 0x7fffffff), ENOENT);
	assert_errno(destroy(fd, 0xffffffff), ENOENT);
	iommu_close(fd);
}

/* From 1 on, the lowest free one first; an id of one context is nothing in another. */
static void test_ids(void **state)
{
	int fd = iommu_open(), other = iommu_open();

	for (u32 i = 1; i <= 100; i++)
		assert_int_equal(ioas_alloc(fd), i);
	assert_return_code(destroy(fd, 17), errno);
	assert_return_code(destroy(fd, 3), errno);
	assert_errno(destroy(fd, 3), ENOENT);
	assert_int_equal(ioas_alloc(fd), 3);
	assert_int_equal(ioas_alloc(fd), 17);
	assert_int_equal(ioas_alloc(fd), 101);
	assert_errno(destroy(other, 50), ENOENT);
	iommu_close(fd);
	assert_int_equal(ioas_alloc(other), 1);
	iommu_close(other);
}

/* Whichever are free, in whatever order they became so. */
static void test_ids_of_many(void **state)
{
	enum { N = 1000 };
	bool used[N + 1] = { false };
	int fd = iommu_open();
	u32 seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		u32 id, lowest = 1;

		seed = seed * 1664525 + 1013904223;
		id = 1 + (seed >> 8) % N;
		if (used[id]) {
			assert_return_code(destroy(fd, id), errno);
			used[id] = false;
			continue;
		}
		while (used[lowest])
			lowest++;
		assert_errno(destroy(fd, id), ENOENT);
		assert_int_equal(ioas_alloc(fd), lowest);
		used[lowest] = true;
	}
	iommu_close(fd);
}

static void test_busy(void **state)
{
	int fd = iommu_open();
	u32 ioas = ioas_alloc(fd);
	struct mock_ids ids = mock_attach(fd, ioas, 0);

	assert_errno(destroy(fd, ioas), EBUSY);
	assert_errno(destroy(fd, ids.hwpt), EBUSY);
	assert_errno(destroy(fd, ids.dev), EBUSY);
	assert_return_code(destroy(fd, ids.stdev), errno);
	/* The automatic HWPT and the device have gone with it. */
	assert_errno(destroy(fd, ids.hwpt), ENOENT);
	assert_errno(destroy(fd, ids.dev), ENOENT);
	assert_return_code(destroy(fd, ioas), errno);
	iommu_close(fd);
}

/* A const struct is enough: nothing is written back. */
static void test_read_only(void **state)
{
	struct iommu_destroy *cmd = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = iommu_open();

	cmd->size = sizeof(*cmd);
	cmd->id = ioas_alloc(fd);
	assert_return_code(mprotect(cmd, 4096, PROT_READ), errno);
	assert_return_code(softvirt_ioctl(fd, IOMMU_DESTROY, cmd), errno);
	munmap(cmd, 4096);
	iommu_close(fd);
}

/* What can't be told to the program has not been made. */
static void test_unwritable_result(void **state)
{
	struct iommu_ioas_alloc *cmd = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iommu_fault_alloc *fault = (void *)cmd;
	struct iommu_hwpt_alloc *hwpt = (void *)cmd;
	int fd = iommu_open(), before, after;
	u32 ioas = ioas_alloc(fd);
	struct mock_ids ids = mock_attach(fd, ioas, 0);

	before = dup(0);
	close(before);
	memset(cmd, 0, 4096);
	fault->size = sizeof(*fault);
	assert_return_code(mprotect(cmd, 4096, PROT_READ), errno);
	assert_errno(softvirt_ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, fault), EFAULT);
	assert_return_code(mprotect(cmd, 4096, PROT_READ | PROT_WRITE), errno);
	hwpt->size = sizeof(*hwpt);
	hwpt->dev_id = ids.dev;
	hwpt->pt_id = ioas;
	assert_return_code(mprotect(cmd, 4096, PROT_READ), errno);
	assert_errno(softvirt_ioctl(fd, IOMMU_HWPT_ALLOC, hwpt), EFAULT);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
	assert_int_equal(ioas_alloc(fd), ids.hwpt + 1);
	munmap(cmd, 4096);
	iommu_close(fd);
}

static void test_unknown_commands(void **state)
{
	int fd = iommu_open();
	u32 buf[32] = { sizeof(buf) };

	assert_errno(softvirt_ioctl(fd, _IO(IOMMUFD_TYPE, 0x7f), buf), ENOTTY);
	assert_errno(softvirt_ioctl(fd, _IO(IOMMUFD_TYPE, 0x95), buf), ENOTTY);
	assert_errno(softvirt_ioctl(fd, _IO(IOMMUFD_TYPE, 0xa1), buf), ENOTTY);
	assert_errno(softvirt_ioctl(fd, _IOW(IOMMUFD_TYPE, 0x80, struct iommu_destroy), buf),
		     ENOTTY);
	assert_errno(softvirt_ioctl(fd, _IO('K', 0x80), buf), ENOTTY);
	iommu_close(fd);
}

static void test_close_with_everything(void **state)
{
	struct iommu_fault_alloc fault = { 0 };
	void *p = memory(16 * SV_PAGE_SIZE);
	int fd = iommu_open();
	u32 ioas = ioas_alloc(fd), parent, nested;
	struct mock_ids ids = mock_attach(fd, ioas, 0);

	mock_attach(fd, ioas, MOCK_FLAGS_DEVICE_HUGE_IOVA);
	assert_return_code(ioas_map(fd, ioas, p, 16 * SV_PAGE_SIZE, MOCK_APERTURE_START), errno);
	parent = hwpt_alloc(fd, ids.dev, ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
	OK(fd, IOMMU_FAULT_QUEUE_ALLOC, &fault);
	assert_return_code(nested_alloc(fd, ids.dev, parent, IOMMU_HWPT_FAULT_ID_VALID,
					fault.out_fault_id, &nested), errno);
	assert_return_code(mock_replace(fd, ids.stdev, nested), errno);
	iommu_close(fd);
	/* The queue's descriptor kept the context. */
	assert_int_equal(iopt_user_page_pins((uintptr_t)p), 1);
	assert_return_code(softvirt_close((int)fault.out_fault_fd), errno);
	assert_int_equal(iopt_user_page_pins((uintptr_t)p), 0);
	munmap(p, 16 * SV_PAGE_SIZE);
}

/* A copy of the descriptor in a child is the parent's context. */
static void test_fork(void **state)
{
	int fd = iommu_open(), status;
	pid_t pid = fork();

	if (!pid) {
		struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

		_exit(softvirt_ioctl(fd, IOMMU_IOAS_ALLOC, &cmd) || cmd.out_ioas_id != 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ioas_alloc(fd), 2);
	assert_return_code(destroy(fd, 1), errno);
	iommu_close(fd);
}

static void test_ctx_from_fd(void **state)
{
	int fd = iommu_open(), other = dup(0);
	struct iommufd_ctx *ictx = iommufd_ctx_from_fd(fd);

	assert_false(((long)ictx) < 0);
	iommu_close(fd);
	/* Alive by our reference alone. */
	assert_ptr_equal(iommufd_ctx_get(ictx), ictx);
	iommufd_ctx_put(ictx);
	iommufd_ctx_put(ictx);
	assert_int_equal((long)iommufd_ctx_from_fd(other), -EBADFD);
	close(other);
	assert_int_equal((long)iommufd_ctx_from_fd(other), -EBADF);
	assert_int_equal((long)iommufd_ctx_from_fd(-1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_unknown_ids),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_ids_of_many),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_unwritable_result),
		cmocka_unit_test(test_unknown_commands),
		cmocka_unit_test(test_close_with_everything),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_ctx_from_fd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
