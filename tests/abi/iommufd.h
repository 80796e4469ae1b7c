/* SPDX-License-Identifier: MIT */
/*
 * What the tests of /dev/iommu share: a context, an IOAS, mock devices (tests/mock), and the checks
 * that every extensible struct goes through.
 */
#ifndef TESTS_ABI_IOMMUFD_H
#define TESTS_ABI_IOMMUFD_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "mock.h"
#define FORKED_INIT() mock_iommufd_init()
#include "forked.h"
#include "softvirt/softvirt.h"

#define NO_ID 0x7000u

#define assert_errno(call, err) do { \
	errno = 0; \
	assert_int_equal((call), -1); \
	assert_int_equal(errno, (err)); \
} while (0)

/* The call with its struct's size filled in. */
#define CALL(fd, request, cmd) ({ (cmd)->size = sizeof(*(cmd)); softvirt_ioctl(fd, request, cmd); })
#define OK(fd, request, cmd) assert_return_code(CALL(fd, request, cmd), errno)

static inline int iommu_open(void)
{
	int fd = forked_open();

	mock_iommufd_init();
	if (fd < 0)
		fd = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void iommu_close(int fd)
{
	assert_return_code(softvirt_close(fd), errno);
}

static inline u32 ioas_alloc(int fd)
{
	struct iommu_ioas_alloc cmd = { 0 };

	OK(fd, IOMMU_IOAS_ALLOC, &cmd);
	return cmd.out_ioas_id;
}

static inline int destroy(int fd, u32 id)
{
	struct iommu_destroy cmd = { .id = id };

	return CALL(fd, IOMMU_DESTROY, &cmd);
}

static inline int test_cmd(int fd, struct iommu_test_cmd *cmd)
{
	return CALL(fd, IOMMU_TEST_CMD, cmd);
}

struct mock_ids {
	u32 stdev, hwpt, dev;
};

static inline int mock_attach_flags(int fd, u32 pt_id, u32 flags, struct mock_ids *ids)
{
	struct iommu_test_cmd cmd = {
		.op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, .id = pt_id, .mock_domain.dev_flags = flags,
	};
	int ret = test_cmd(fd, &cmd);

	ids->stdev = cmd.mock_domain.out_stdev_id;
	ids->hwpt = cmd.mock_domain.out_hwpt_id;
	ids->dev = cmd.mock_domain.out_idev_id;
	return ret;
}

static inline struct mock_ids mock_attach(int fd, u32 pt_id, u32 flags)
{
	struct mock_ids ids;

	assert_return_code(mock_attach_flags(fd, pt_id, flags, &ids), errno);
	return ids;
}

static inline int mock_replace(int fd, u32 stdev, u32 pt_id)
{
	struct iommu_test_cmd cmd = {
		.op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, .id = stdev,
		.mock_domain_replace.pt_id = pt_id,
	};

	return test_cmd(fd, &cmd);
}

static inline int hwpt_alloc_flags(int fd, u32 dev, u32 pt, u32 flags, u32 *id)
{
	struct iommu_hwpt_alloc cmd = { .dev_id = dev, .pt_id = pt, .flags = flags };
	int ret = CALL(fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return ret;
}

static inline u32 hwpt_alloc(int fd, u32 dev, u32 pt, u32 flags)
{
	u32 id;

	assert_return_code(hwpt_alloc_flags(fd, dev, pt, flags, &id), errno);
	return id;
}

static inline int nested_alloc(int fd, u32 dev, u32 pt, u32 flags, u32 fault, u32 *id)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	struct iommu_hwpt_alloc cmd = {
		.dev_id = dev, .pt_id = pt, .flags = flags, .fault_id = fault,
		.data_type = IOMMU_HWPT_DATA_SELFTEST, .data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	int ret = CALL(fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return ret;
}

/* At the mock's smallest IOVA. */
static inline int ioas_map(int fd, u32 ioas, void *p, size_t len, u64 iova)
{
	struct iommu_ioas_map cmd = {
		.ioas_id = ioas, .user_va = (uintptr_t)p, .length = len, .iova = iova,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_READABLE,
	};

	return CALL(fd, IOMMU_IOAS_MAP, &cmd);
}

static inline int ioas_unmap(int fd, u32 ioas, u64 iova, u64 len)
{
	struct iommu_ioas_unmap cmd = { .ioas_id = ioas, .iova = iova, .length = len };

	return CALL(fd, IOMMU_IOAS_UNMAP, &cmd);
}

static inline void *memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 0x5a, len);
	return p;
}

/*
 * cmd (size bytes, of which the call needs min_size) is a command that is refused with err (0: accepted,
 * again and again). Every shorter size is EINVAL, every one from min_size on does the same (what
 * lies behind is zero), a longer one too if it says nothing, and E2BIG if it does; memory
 * that is not there is EFAULT.
 */
static inline void check_sizes(int fd, unsigned long request, const void *cmd, size_t size,
			       size_t min_size, int err)
{
	char *page = mmap(NULL, 2 * SV_PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u32 *head = (u32 *)(void *)page;

	assert_ptr_not_equal(page, MAP_FAILED);
	assert_errno(softvirt_ioctl(fd, request, NULL), EFAULT);
	for (u32 n = 0; n <= size + 16; n++) {
		int ret;

		memset(page, 0, 2 * SV_PAGE_SIZE);
		memcpy(page, cmd, size);
		*head = n;
		errno = 0;
		ret = softvirt_ioctl(fd, request, page);
		assert_int_equal(ret, n < min_size || err ? -1 : 0);
		assert_int_equal(errno, n < min_size ? EINVAL : err);
		for (size_t i = size; i < n; i++) {
			memcpy(page, cmd, size);
			*head = n;
			page[i] = 1;
			assert_errno(softvirt_ioctl(fd, request, page), E2BIG);
			page[i] = 0;
		}
	}
	/* The struct ends where memory does; and reaches one byte further. */
	assert_return_code(munmap(page + SV_PAGE_SIZE, SV_PAGE_SIZE), errno);
	memcpy(page + SV_PAGE_SIZE - size, cmd, size);
	head = (u32 *)(void *)(page + SV_PAGE_SIZE - size);
	*head = (u32)size;
	errno = 0;
	assert_int_equal(softvirt_ioctl(fd, request, head), err ? -1 : 0);
	assert_int_equal(errno, err);
	memcpy(head, cmd, size);
	*head = (u32)size + 1;
	assert_errno(softvirt_ioctl(fd, request, head), EFAULT);
	munmap(page, SV_PAGE_SIZE);
}
#define CHECK_SIZES(fd, request, cmd, last, err) \
	check_sizes(fd, request, cmd, sizeof(*(cmd)), \
		    offsetof(__typeof__(*(cmd)), last) + sizeof((cmd)->last), err)

#endif
