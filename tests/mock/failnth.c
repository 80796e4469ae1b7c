/* SPDX-License-Identifier: MIT */
/*
 * libsoftvirt-failnth.so: the files by which a kernel with fault injection is told to fail the n-th
 * step of a task, over the one that this library has. Preloaded before libsoftvirt-preload-mock.so.
 *
 *	/proc/self/task/TID/fail-nth	a number written arms the calling thread, 0 disarms; a read
 *					gives what is left, 0 when it has happened
 *	<debugfs>/fail.../...		settings, which are taken and mean nothing
 *
 * A descriptor of these is a memfd, so that everything but reading and writing is as ever.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))(dlsym(RTLD_NEXT, #name)))

void mock_fault_inject(unsigned nth);
unsigned mock_fault_left(void);

static bool nth_fds[1024];	/* by descriptor */

static bool is_nth(int fd)
{
	return fd >= 0 && fd < (int)(sizeof(nth_fds) / sizeof(nth_fds[0])) && nth_fds[fd];
}

static int open_special(const char *path)
{
	bool nth = !strncmp(path, "/proc/self/task/", 16) && strstr(path, "/fail-nth");
	int fd;

	if (!nth && strncmp(path, "failslab/", 9) && strncmp(path, "fail_page_alloc/", 16))
		return -1;
	fd = memfd_create("fail", MFD_CLOEXEC);
	if (nth && fd >= 0 && fd < (int)(sizeof(nth_fds) / sizeof(nth_fds[0])))
		nth_fds[fd] = true;
	return fd;
}

EXPORT int open(const char *path, int flags, ...)
{
	int fd = open_special(path);
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return fd >= 0 ? fd : NEXT(open)(path, flags, mode);
}

EXPORT int openat(int dirfd, const char *path, int flags, ...)
{
	int fd = open_special(path);
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return fd >= 0 ? fd : NEXT(openat)(dirfd, path, flags, mode);
}

EXPORT int close(int fd)
{
	if (is_nth(fd))
		nth_fds[fd] = false;
	return NEXT(close)(fd);
}

EXPORT ssize_t pread(int fd, void *buf, size_t count, off_t off)
{
	char text[16];
	int n;

	if (!is_nth(fd))
		return NEXT(pread)(fd, buf, count, off);
	n = snprintf(text, sizeof(text), "%u\n", mock_fault_left());
	if ((size_t)n > count) {
		errno = EINVAL;
		return -1;
	}
	memcpy(buf, text, (size_t)n);
	return n;
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t count, off_t off)
{
	char text[16] = "";

	if (!is_nth(fd))
		return NEXT(pwrite)(fd, buf, count, off);
	if (count >= sizeof(text)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(text, buf, count);
	mock_fault_inject((unsigned)strtoul(text, NULL, 10));
	return (ssize_t)count;
}
