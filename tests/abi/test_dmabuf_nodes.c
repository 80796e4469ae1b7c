/* SPDX-License-Identifier: MIT */
/*
 * /dev/dma_heap/system, /dev/udmabuf, sync files, sw_sync and the dma-buf ioctls, through
 * the public calls: what they give, and the errno of each wrong use.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/types.h"
#include "softvirt/softvirt.h"
#include "softvirt/sync-file.h"
#include "softvirt/uapi/sync.h"

#define assert_errno(call, err) do { \
	errno = 0; \
	assert_int_equal(call, -1); \
	assert_int_equal(errno, err); \
} while (0)

static int node(const char *path)
{
	int fd = softvirt_open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int heap_alloc(size_t len, u32 fd_flags)
{
	struct dma_heap_allocation_data data = { .len = len, .fd_flags = fd_flags };
	int heap = node("/dev/dma_heap/system");

	assert_int_equal(softvirt_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data), 0);
	softvirt_close(heap);
	return (int)data.fd;
}

static void test_heap_memory(void **state)
{
	int fd = heap_alloc(3 * 4096 - 5, O_RDWR | O_CLOEXEC);
	char *p = softvirt_mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *q = softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 2 * 4096);

	assert_true(p != MAP_FAILED && q != MAP_FAILED);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3 * 4096);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	for (int i = 0; i < 3 * 4096; i++)
		assert_int_equal(p[i], 0);
	p[2 * 4096 + 7] = 'x';
	assert_int_equal(q[7], 'x');
	assert_true(softvirt_mmap(NULL, 4 * 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_true(softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 3 * 4096) == MAP_FAILED);
	/* The mapping outlives the descriptor. */
	softvirt_close(fd);
	assert_int_equal(q[7], 'x');
	munmap(p, 3 * 4096);
	munmap(q, 4096);
}

static void test_heap_read_only(void **state)
{
	int fd = heap_alloc(4096, O_RDONLY);

	assert_true(softvirt_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
		    MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	softvirt_close(fd);
}

static void test_heap_wrong(void **state)
{
	static const struct dma_heap_allocation_data wrong[] = {
		{ .len = 0, .fd_flags = O_RDWR },
		{ .len = UINT64_MAX, .fd_flags = O_RDWR },		/* wraps to 0 */
		{ .len = 4096, .fd_flags = ~0u },
		{ .len = 4096, .fd_flags = O_RDWR | O_NONBLOCK },
		{ .len = 4096, .fd_flags = O_RDWR, .heap_flags = 1 },
		{ .len = 4096, .fd_flags = O_RDWR, .fd = 1 },
	};
	struct dma_heap_allocation_data big = { .len = 1ull << 60, .fd_flags = O_RDWR };
	int heap = node("/dev/dma_heap/system");

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct dma_heap_allocation_data data = wrong[i];

		assert_errno(softvirt_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data), EINVAL);
	}
	assert_errno(softvirt_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &big), ENOMEM);
	assert_errno(softvirt_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, (void *)8), EFAULT);
	assert_errno(softvirt_ioctl(heap, DMA_BUF_IOCTL_SYNC, &big), ENOTTY);
	softvirt_close(heap);
}

/* Shorter and longer structs than ours, a longer one with anything in its tail. */
static void test_heap_struct_sizes(void **state)
{
	struct { u64 len; u32 fd, fd_flags; } older = { 4096, 0, O_RDWR };
	struct { struct dma_heap_allocation_data d; u64 more[3]; } newer = {
		{ .len = 4096, .fd_flags = O_RDWR }, { ~0ull, 7, 9 },
	};
	int heap = node("/dev/dma_heap/system");

	assert_int_equal(softvirt_ioctl(heap, _IOWR('H', 0, __typeof__(older)), &older), 0);
	assert_int_equal(softvirt_ioctl(heap, _IOWR('H', 0, __typeof__(newer)), &newer), 0);
	assert_int_equal(softvirt_close((int)older.fd), 0);
	assert_int_equal(softvirt_close((int)newer.d.fd), 0);
	softvirt_close(heap);
}

static void test_buffer_ioctls(void **state)
{
	int fd = heap_alloc(4096, O_RDWR), file;
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_export_sync_file ex = { .flags = DMA_BUF_SYNC_READ };
	struct dma_buf_import_sync_file im = { .flags = DMA_BUF_SYNC_READ, .fd = -1 };

	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), 0);
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE;
	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), 0);
	sync.flags = DMA_BUF_SYNC_START;
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), EINVAL);
	sync.flags = 8 | DMA_BUF_SYNC_READ;
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), EINVAL);
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_SYNC, (void *)1), EFAULT);

	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_SET_NAME_A, "31 characters fit, and no more!"), 0);
	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_SET_NAME_B, "b"), 0);
	assert_errno(softvirt_ioctl(fd, DMA_BUF_SET_NAME_B, "32 characters are one too many!!"), EINVAL);
	assert_errno(softvirt_ioctl(fd, DMA_BUF_SET_NAME_B, (void *)16), EFAULT);

	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &ex), 0);
	file = ex.fd;
	assert_int_equal(poll(&(struct pollfd){ .fd = file, .events = POLLIN }, 1, 0), 1);
	ex.flags = 0;
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &ex), EINVAL);
	ex.flags = 4;
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &ex), EINVAL);
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &im), EINVAL);
	im.fd = fd;
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &im), EINVAL);
	im.fd = file;
	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &im), 0);
	im.flags = 0;
	assert_errno(softvirt_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &im), EINVAL);
	assert_errno(softvirt_ioctl(fd, SYNC_IOC_MERGE, &im), ENOTTY);
	softvirt_close(file);
	softvirt_close(fd);
}

static int fence_at(int timeline, u32 value)
{
	struct sw_sync_create_fence_data data = { .value = value, .name = "f" };

	assert_int_equal(softvirt_ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &data), 0);
	return data.fence;
}

static void inc(int timeline, u32 n)
{
	assert_int_equal(softvirt_ioctl(timeline, SW_SYNC_IOC_INC, &n), 0);
}

static int ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLERR };

	return poll(&p, 1, 0);
}

static void test_sw_sync_counts(void **state)
{
	int t = node("/sys/kernel/debug/sync/sw_sync");
	int f1 = fence_at(t, 1), f3 = fence_at(t, 3), f2 = fence_at(t, 2), f0 = fence_at(t, 0);

	assert_int_equal(ready(f0), 1);
	assert_int_equal(ready(f1), 0);
	inc(t, 2);
	assert_int_equal(ready(f1), 1);
	assert_int_equal(ready(f2), 1);
	assert_int_equal(ready(f3), 0);
	inc(t, 0xffffffff);	/* back to 1 by wrapping; on the way it passed 3 */
	assert_int_equal(ready(f3), 1);
	for (int i = 0; i < 4; i++)
		softvirt_close((int[]){ f0, f1, f2, f3 }[i]);
	softvirt_close(t);
}

static int info_status(int fd, u32 *num)
{
	struct sync_file_info info = { 0 };

	assert_int_equal(softvirt_ioctl(fd, SYNC_IOC_FILE_INFO, &info), 0);
	if (num)
		*num = info.num_fences;
	return info.status;
}

static void test_merge_and_info(void **state)
{
	int t1 = node("/sys/kernel/debug/sync/sw_sync"), t2 = node("/sys/kernel/debug/sync/sw_sync");
	int a = fence_at(t1, 1), b = fence_at(t2, 1), c = fence_at(t1, 2);
	struct sync_merge_data m = { .name = "merged", .fd2 = b };
	struct sync_fence_info fences[2];
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (u64)(uintptr_t)fences };
	u32 num;

	assert_int_equal(softvirt_ioctl(a, SYNC_IOC_MERGE, &m), 0);
	assert_int_equal(info_status(m.fence, &num), 0);
	assert_int_equal(num, 2);
	assert_errno(softvirt_ioctl(m.fence, SYNC_IOC_FILE_INFO, &info), EINVAL);	/* no room */
	info.num_fences = 2;
	assert_int_equal(softvirt_ioctl(m.fence, SYNC_IOC_FILE_INFO, &info), 0);
	assert_string_equal(info.name, "merged");
	assert_string_equal(fences[0].driver_name, "sw_sync");
	inc(t1, 1);
	assert_int_equal(ready(m.fence), 0);
	inc(t2, 1);
	assert_int_equal(ready(m.fence), 1);
	assert_int_equal(softvirt_ioctl(m.fence, SYNC_IOC_FILE_INFO, &info), 0);
	assert_int_equal(info.status, 1);
	assert_true(fences[0].timestamp_ns && fences[1].timestamp_ns);
	info.sync_fence_info = 1;
	assert_errno(softvirt_ioctl(m.fence, SYNC_IOC_FILE_INFO, &info), EFAULT);
	info.pad = 1;
	assert_errno(softvirt_ioctl(m.fence, SYNC_IOC_FILE_INFO, &info), EINVAL);
	softvirt_close(m.fence);

	/* Of one context only the later stays. */
	inc(t1, 0);
	m.fd2 = c;
	assert_int_equal(softvirt_ioctl(a, SYNC_IOC_MERGE, &m), 0);
	assert_int_equal(info_status(m.fence, &num), 0);
	assert_int_equal(num, 1);
	m.fd2 = t1;
	assert_errno(softvirt_ioctl(a, SYNC_IOC_MERGE, &m), ENOENT);
	m.flags = 1;
	assert_errno(softvirt_ioctl(a, SYNC_IOC_MERGE, &m), EINVAL);
	/* The timeline goes: what it has left fails. */
	softvirt_close(t1);
	assert_int_equal(info_status(c, NULL), -ENOENT);
	assert_int_equal(ready(c), 1);
	for (int i = 0; i < 5; i++)
		softvirt_close((int[]){ a, b, c, t2, m.fence }[i]);
}

static void test_deadlines(void **state)
{
	int t = node("/sys/kernel/debug/sync/sw_sync"), f = fence_at(t, 1);
	struct sw_sync_get_deadline get = { .fence_fd = f };
	struct sync_set_deadline set = { .deadline_ns = 5000 };

	assert_errno(softvirt_ioctl(t, SW_SYNC_GET_DEADLINE, &get), ENOENT);
	assert_int_equal(softvirt_ioctl(f, SYNC_IOC_SET_DEADLINE, &set), 0);
	set.deadline_ns = 9000;	/* later ones don't matter */
	assert_int_equal(softvirt_ioctl(f, SYNC_IOC_SET_DEADLINE, &set), 0);
	assert_int_equal(softvirt_ioctl(t, SW_SYNC_GET_DEADLINE, &get), 0);
	assert_int_equal(get.deadline_ns, 5000);
	set.pad = 1;
	assert_errno(softvirt_ioctl(f, SYNC_IOC_SET_DEADLINE, &set), EINVAL);
	get.pad = 1;
	assert_errno(softvirt_ioctl(t, SW_SYNC_GET_DEADLINE, &get), EINVAL);
	get.pad = 0;
	get.deadline_ns = 0;
	get.fence_fd = t;
	assert_errno(softvirt_ioctl(t, SW_SYNC_GET_DEADLINE, &get), EINVAL);
	softvirt_close(f);
	softvirt_close(t);
}

static void test_poll_on_a_buffer(void **state)
{
	int fd = heap_alloc(4096, O_RDWR), t = node("/sys/kernel/debug/sync/sw_sync");
	struct dma_buf_import_sync_file im = { .flags = DMA_BUF_SYNC_READ };
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN | POLLOUT }, { .fd = -1 } };
	int r = fence_at(t, 1), w = fence_at(t, 2);

	assert_int_equal(softvirt_poll(p, 2, 0), 1);
	assert_int_equal(p[0].revents, POLLIN | POLLOUT);
	im.fd = r;	/* a device reads: the CPU may read, not write */
	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &im), 0);
	assert_int_equal(softvirt_poll(p, 1, 0), 1);
	assert_int_equal(p[0].revents, POLLIN);
	im.fd = w;	/* a device writes: neither */
	im.flags = DMA_BUF_SYNC_WRITE;
	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &im), 0);
	assert_int_equal(softvirt_poll(p, 1, 1), 0);
	inc(t, 2);
	assert_int_equal(softvirt_poll(p, 1, -1), 1);
	assert_int_equal(p[0].revents, POLLIN | POLLOUT);
	for (int i = 0; i < 4; i++)
		softvirt_close((int[]){ fd, t, r, w }[i]);
}

static int memfd(size_t size, unsigned int seals)
{
	int fd = memfd_create("t", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void test_udmabuf_stitches(void **state)
{
	struct { struct udmabuf_create_list head; struct udmabuf_create_item item[3]; } l;
	int dev = node("/dev/udmabuf"), m1 = memfd(8 * 4096, F_SEAL_SHRINK);
	int m2 = memfd(4 * 4096, F_SEAL_SHRINK), fd;
	char *p1 = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m1, 0);
	char *p2 = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m2, 0), *u, *v;

	l.head = (struct udmabuf_create_list){ .flags = UDMABUF_FLAGS_CLOEXEC, .count = 3 };
	l.item[0] = (struct udmabuf_create_item){ .memfd = (u32)m1, .offset = 4 * 4096, .size = 2 * 4096 };
	l.item[1] = (struct udmabuf_create_item){ .memfd = (u32)m2, .offset = 4096, .size = 3 * 4096 };
	l.item[2] = (struct udmabuf_create_item){ .memfd = (u32)m1, .offset = 0, .size = 4096 };
	fd = softvirt_ioctl(dev, UDMABUF_CREATE_LIST, &l);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 6 * 4096);
	u = softvirt_mmap(NULL, 6 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	v = softvirt_mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, fd, 4096);
	assert_true(u != MAP_FAILED && v != MAP_FAILED);
	u[0] = 'a';
	u[2 * 4096] = 'b';
	p1[7] = 'c';
	assert_int_equal(p1[4 * 4096], 'a');
	assert_int_equal(p2[4096], 'b');
	assert_int_equal(u[5 * 4096 + 7], 'c');
	assert_int_equal(v[4096], 'b');
	assert_true(softvirt_mmap(NULL, 7 * 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_true(softvirt_mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	munmap(u, 6 * 4096);
	munmap(v, 3 * 4096);
	softvirt_close(fd);
	l.head.count = 1025;
	assert_errno(softvirt_ioctl(dev, UDMABUF_CREATE_LIST, &l), EINVAL);
	l.head.count = 0;
	assert_errno(softvirt_ioctl(dev, UDMABUF_CREATE_LIST, &l), EINVAL);
	l.head.count = 3;
	l.item[2].size = (64ull << 20) - 4 * 4096;
	assert_errno(softvirt_ioctl(dev, UDMABUF_CREATE_LIST, &l), EINVAL);
	munmap(p1, 8 * 4096);
	munmap(p2, 4 * 4096);
	close(m1);
	close(m2);
	softvirt_close(dev);
}

static void test_udmabuf_wrong(void **state)
{
	int dev = node("/dev/udmabuf"), good = memfd(8 * 4096, F_SEAL_SHRINK);
	int unsealed = memfd(4096, F_SEAL_GROW), sealed = memfd(4096, F_SEAL_SHRINK | F_SEAL_WRITE);
	const struct { struct udmabuf_create c; int err; } wrong[] = {
		{ { .memfd = (u32)good, .offset = 2048, .size = 4096 }, EINVAL },
		{ { .memfd = (u32)good, .offset = 0, .size = 2048 }, EINVAL },
		{ { .memfd = (u32)good, .offset = 0, .size = 0 }, EINVAL },
		{ { .memfd = (u32)good, .offset = 4096, .size = 8 * 4096 }, EINVAL },
		{ { .memfd = (u32)good, .offset = -4096ull, .size = 8192 }, EINVAL },
		{ { .memfd = (u32)good, .offset = 0, .size = (64ull << 20) + 4096 }, EINVAL },
		{ { .memfd = (u32)unsealed, .offset = 0, .size = 4096 }, EINVAL },
		{ { .memfd = (u32)sealed, .offset = 0, .size = 4096 }, EINVAL },
		{ { .memfd = (u32)dev, .offset = 0, .size = 4096 }, EBADFD },
		{ { .memfd = 12345, .offset = 0, .size = 4096 }, EBADFD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct udmabuf_create c = wrong[i].c;

		assert_errno(softvirt_ioctl(dev, UDMABUF_CREATE, &c), wrong[i].err);
	}
	assert_errno(softvirt_ioctl(dev, UDMABUF_CREATE, (void *)4), EFAULT);
	close(good);
	close(unsealed);
	close(sealed);
	softvirt_close(dev);
}

#define HUGE_PAGE (2u << 20)

static int huge_memfd(u64 size)
{
	int fd = memfd_create("huge", MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);

	assert_return_code(fd, errno);
	assert_return_code(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), errno);
	assert_return_code(ftruncate(fd, (off_t)size), errno);
	return fd;
}

static void test_udmabuf_refuses_parts_of_huge_pages(void **state)
{
	int dev = node("/dev/udmabuf"), huge = huge_memfd(4 * HUGE_PAGE);
	int small = memfd(4096, F_SEAL_SHRINK);
	struct { struct udmabuf_create_list head; struct udmabuf_create_item item[2]; } l = {
		.head = { .count = 2 },
		.item = { { .memfd = (u32)small, .size = 4096 },
			  { .memfd = (u32)huge, .size = HUGE_PAGE } },
	};
	const struct udmabuf_create wrong[] = {
		{ .memfd = (u32)huge, .offset = 4096, .size = HUGE_PAGE },
		{ .memfd = (u32)huge, .offset = 0, .size = 16384 },
		{ .memfd = (u32)huge, .offset = HUGE_PAGE, .size = HUGE_PAGE + 4096 },
		{ .memfd = (u32)huge, .offset = 3 * HUGE_PAGE, .size = 2 * HUGE_PAGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct udmabuf_create c = wrong[i];

		assert_errno(softvirt_ioctl(dev, UDMABUF_CREATE, &c), EINVAL);
	}
	/* A whole one, but at an offset of the buffer where none can be mapped. */
	assert_errno(softvirt_ioctl(dev, UDMABUF_CREATE_LIST, &l), EINVAL);
	close(small);
	close(huge);
	softvirt_close(dev);
}

/* Has the host set so many aside (/proc/sys/vm/nr_hugepages)? */
static bool huge_pages_are_there(void)
{
	void *p = mmap(NULL, 3 * HUGE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	return p != MAP_FAILED && !munmap(p, 3 * HUGE_PAGE);
}

static void test_udmabuf_of_huge_pages(void **state)
{
	int dev = node("/dev/udmabuf"), huge = huge_memfd(3 * HUGE_PAGE), buf;
	char *mem = mmap(NULL, 3 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, huge, 0), *map;
	struct { struct udmabuf_create_list head; struct udmabuf_create_item item[2]; } l = {
		.head = { .flags = UDMABUF_FLAGS_CLOEXEC, .count = 2 },
		.item = { { .memfd = (u32)huge, .offset = 2 * HUGE_PAGE, .size = HUGE_PAGE },
			  { .memfd = (u32)huge, .offset = 0, .size = HUGE_PAGE } },
	};

	assert_ptr_not_equal(mem, MAP_FAILED);
	buf = softvirt_ioctl(dev, UDMABUF_CREATE_LIST, &l);
	assert_true(buf >= 0);
	map = softvirt_mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	assert_true(map != MAP_FAILED);
	mem[2 * HUGE_PAGE + 5] = 'x';
	mem[7] = 'y';
	assert_int_equal(map[5], 'x');
	assert_int_equal(map[HUGE_PAGE + 7], 'y');
	map[HUGE_PAGE + 8] = 'z';
	assert_int_equal(mem[8], 'z');
	munmap(map, 2 * HUGE_PAGE);
	assert_ptr_equal(softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, buf, 0), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	map = softvirt_mmap(NULL, HUGE_PAGE, PROT_READ, MAP_SHARED, buf, HUGE_PAGE);
	assert_true(map != MAP_FAILED);
	assert_int_equal(map[7], 'y');
	munmap(map, HUGE_PAGE);
	munmap(mem, 3 * HUGE_PAGE);
	softvirt_close(buf);
	close(huge);
	softvirt_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heap_memory),
		cmocka_unit_test(test_heap_read_only),
		cmocka_unit_test(test_heap_wrong),
		cmocka_unit_test(test_heap_struct_sizes),
		cmocka_unit_test(test_buffer_ioctls),
		cmocka_unit_test(test_sw_sync_counts),
		cmocka_unit_test(test_merge_and_info),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_poll_on_a_buffer),
		cmocka_unit_test(test_udmabuf_stitches),
		cmocka_unit_test(test_udmabuf_wrong),
		cmocka_unit_test(test_udmabuf_refuses_parts_of_huge_pages),
		cmocka_unit_test(test_udmabuf_of_huge_pages),	/* the last */
	};
	size_t nr = ARRAY_SIZE(tests);

	/* make conformance has Linux's own test of it, which counts as failed then. */
	if (!huge_pages_are_there()) {
		nr--;
		printf("# left out: test_udmabuf_of_huge_pages; the host has set no huge pages aside\n");
	}
	return _cmocka_run_group_tests("tests", tests, nr, NULL, NULL);
}
