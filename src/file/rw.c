/* SPDX-License-Identifier: MIT */
/*
 * The public calls that read and write: an object's ops where it has them, or else the kernel.
 *
 * The kernel's read(2) and write(2) of a device move the file's position; the position is
 * struct sv_file's (all copies of a descriptor share it). Two threads that read at the same
 * time may get the same bytes, as from a device without a lock of its own.
 *
 * Strangers are served by system call number: the C library's own functions would be the preload
 * library's in it. The preload library calls the next library's for strangers and comes here
 * for ours only, so cancellation points stay what they are.
 */
#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/libc.h"
#include "file/impl.h"
#include "softvirt/softvirt.h"

struct rw {
	bool write, stream;
	off_t off;
};

/* The file, with a reference, if its ops have an answer; NULL: the kernel's business. */
static struct sv_file *get_file(int fd, bool write)
{
	struct sv_file *f = sv_fget(fd, NULL);

	if (f && !(write ? (void *)f->ops->write : (void *)f->ops->read)) {
		sv_file_put(f);
		f = NULL;
	}
	return f;
}

/* One piece; 0 < len. */
static ssize_t piece(struct sv_file *f, const struct rw *rw, void *base, size_t len, u64 *pos)
{
	if (len > INT_MAX - (SV_PAGE_SIZE - 1))
		len = INT_MAX & ~(SV_PAGE_SIZE - 1);
	return rw->write ? f->ops->write(f, base, len, pos, rw->stream) :
			   f->ops->read(f, base, len, pos, rw->stream);
}

/* Takes f's reference. */
static ssize_t run(struct sv_file *f, const struct rw *rw, const struct iovec *iov, int n)
{
	u64 pos = rw->stream ? __atomic_load_n(&f->pos, __ATOMIC_RELAXED) : (u64)rw->off;
	ssize_t done = 0, ret = 0;

	if (f->ops->bound_to_mm && sv_file_is_foreign(f)) {
		ret = -EIO;
		goto out;
	}
	if (!rw->stream && rw->off < 0) {
		ret = -EINVAL;
		goto out;
	}
	for (int i = 0; i < n; i++) {
		ret = piece(f, rw, iov[i].iov_base, iov[i].iov_len, &pos);
		if (ret < 0)
			break;
		done += ret;
		if ((size_t)ret < iov[i].iov_len)
			break;
	}
	if (rw->stream)
		__atomic_store_n(&f->pos, pos, __ATOMIC_RELAXED);
out:
	sv_file_put(f);
	if (ret < 0 && !done) {
		errno = (int)-ret;
		return -1;
	}
	return done;
}

static ssize_t run_vector(struct sv_file *f, const struct rw *rw, const struct iovec *user, int n)
{
	struct iovec iov[UIO_MAXIOV];
	int err = 0;

	if (n < 0 || n > UIO_MAXIOV)
		err = EINVAL;
	else if (sv_copy_from_user(iov, user, (size_t)n * sizeof(*iov)))
		err = EFAULT;
	if (err) {
		sv_file_put(f);
		errno = err;
		return -1;
	}
	return run(f, rw, iov, n);
}

SV_EXPORT ssize_t softvirt_read(int fd, void *buf, size_t count)
{
	struct rw rw = { .stream = true };
	struct iovec iov = { buf, count };
	struct sv_file *f = get_file(fd, false);

	return f ? run(f, &rw, &iov, 1) : sv_libc.syscall(SYS_read, fd, buf, count);
}

SV_EXPORT ssize_t softvirt_write(int fd, const void *buf, size_t count)
{
	struct rw rw = { .write = true, .stream = true };
	struct iovec iov = { (void *)(uintptr_t)buf, count };
	struct sv_file *f = get_file(fd, true);

	return f ? run(f, &rw, &iov, 1) : sv_libc.syscall(SYS_write, fd, buf, count);
}

SV_EXPORT ssize_t softvirt_pread(int fd, void *buf, size_t count, off_t offset)
{
	struct rw rw = { .off = offset };
	struct iovec iov = { buf, count };
	struct sv_file *f = get_file(fd, false);

	return f ? run(f, &rw, &iov, 1) : sv_libc.syscall(SYS_pread64, fd, buf, count, offset);
}

SV_EXPORT ssize_t softvirt_pwrite(int fd, const void *buf, size_t count, off_t offset)
{
	struct rw rw = { .write = true, .off = offset };
	struct iovec iov = { (void *)(uintptr_t)buf, count };
	struct sv_file *f = get_file(fd, true);

	return f ? run(f, &rw, &iov, 1) : sv_libc.syscall(SYS_pwrite64, fd, buf, count, offset);
}

SV_EXPORT ssize_t softvirt_readv(int fd, const struct iovec *iov, int iovcnt)
{
	struct rw rw = { .stream = true };
	struct sv_file *f = get_file(fd, false);

	return f ? run_vector(f, &rw, iov, iovcnt) : sv_libc.syscall(SYS_readv, fd, iov, iovcnt);
}

SV_EXPORT ssize_t softvirt_writev(int fd, const struct iovec *iov, int iovcnt)
{
	struct rw rw = { .write = true, .stream = true };
	struct sv_file *f = get_file(fd, true);

	return f ? run_vector(f, &rw, iov, iovcnt) : sv_libc.syscall(SYS_writev, fd, iov, iovcnt);
}

/* On 64-bit hosts the whole offset is the low word; the high one is ignored. */
SV_EXPORT ssize_t softvirt_preadv(int fd, const struct iovec *iov, int iovcnt, off_t offset)
{
	struct rw rw = { .off = offset };
	struct sv_file *f = get_file(fd, false);

	return f ? run_vector(f, &rw, iov, iovcnt) :
		   sv_libc.syscall(SYS_preadv, fd, iov, iovcnt, offset, 0);
}

SV_EXPORT ssize_t softvirt_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t offset)
{
	struct rw rw = { .write = true, .off = offset };
	struct sv_file *f = get_file(fd, true);

	return f ? run_vector(f, &rw, iov, iovcnt) :
		   sv_libc.syscall(SYS_pwritev, fd, iov, iovcnt, offset, 0);
}
