/* SPDX-License-Identifier: MIT */
/*
 * What the tests of iommufd's ioctls share: through the public calls alone, as a program would.
 */
#ifndef TESTS_ABI_IOMMU_H
#define TESTS_ABI_IOMMU_H

#include "abi.h"
#include "forked.h"

#include "softvirt/uapi/iommufd.h"

#define PAGE 4096ull
#define RW (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)
#define FIXED IOMMU_IOAS_MAP_FIXED_IOVA
#define IOVA 0x100000ull

static inline int iommu_open(void)
{
	int fd = forked_open();

	if (fd < 0)
		fd = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline unsigned iommu_ioas(int fd)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };

	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_ALLOC, &a), 0);
	return a.out_ioas_id;
}

static inline void *iommu_memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/*
 * Every size from 0 to twice the struct's, with clean and dirty tails, and addresses that aren't there. good is
 * a command that works; undo is called after each that did.
 */
static inline void iommu_sizes(int fd, unsigned long cmd, const void *good, unsigned size, unsigned min_size,
			       void (*undo)(int fd, const void *done))
{
	char buf[512];

	for (unsigned n = 0; n <= 2 * size; n++) {
		for (int dirty = 0; dirty < 2; dirty++) {
			memset(buf, dirty && n > size ? 0 : 0x5a, sizeof(buf));
			memset(buf, 0, n > size ? n : size);
			memcpy(buf, good, size);
			*(unsigned *)(void *)buf = n;
			if (dirty && n > size)
				buf[n - 1] = 1;
			if (n < min_size) {
				assert_errno(softvirt_ioctl(fd, cmd, buf), EINVAL);
			} else if (dirty && n > size) {
				assert_errno(softvirt_ioctl(fd, cmd, buf), E2BIG);
			} else if (n >= size) {
				assert_int_equal(softvirt_ioctl(fd, cmd, buf), 0);
				if (undo)
					undo(fd, buf);
				if (n > size)
					assert_int_equal(buf[n - 1], 0);
			}
		}
	}
	assert_errno(softvirt_ioctl(fd, cmd, NULL), EFAULT);
	assert_errno(softvirt_ioctl(fd, cmd, abi_bad_page()), EFAULT);
}

#endif
