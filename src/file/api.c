/* SPDX-License-Identifier: MIT */
/*
 * The public calls of include/softvirt/softvirt.h: the table, or else the C library.
 */
#include "softvirt/softvirt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "base/guard.h"
#include "base/intr.h"
#include "base/libc.h"
#include "base/mem_notify.h"
#include "file/impl.h"

static int result(long ret)
{
	if (likely(ret >= 0))
		return (int)ret;
	errno = (int)-ret;
	return -1;
}

SV_EXPORT int softvirt_open(const char *path, int flags, ...)
{
	const struct sv_node *node;
	mode_t mode = 0;
	va_list ap;
	char copy[64];
	long len;
	int err;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	err = sv_guard_init();
	if (err)
		return result(err);
	/* What is longer than a node's path is no node's. */
	len = sv_strncpy_from_user(copy, path, sizeof(copy));
	if (len < 0)
		return result(len);
	node = len < (long)sizeof(copy) ? sv_node_find(copy) : NULL;
	if (!node)
		return sv_libc.open(path, flags, mode);
	/* As open(2) on a device node that exists. */
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return result(-EEXIST);
	if (flags & O_DIRECTORY)
		return result(-ENOTDIR);
	return result(node->open(node, flags));
}

/* What the kernel answers for every descriptor, before the object is asked. */
static bool ioctl_is_generic(unsigned int cmd)
{
	return cmd == FIOCLEX || cmd == FIONCLEX || cmd == FIONBIO || cmd == FIOASYNC;
}

SV_EXPORT int softvirt_ioctl(int fd, unsigned long request, ...)
{
	struct sv_file *f = sv_fget(fd, NULL);
	unsigned long value;
	va_list ap;
	long ret;

	va_start(ap, request);
	value = va_arg(ap, unsigned long);
	va_end(ap);
	if (unlikely(!f)) {
		ret = sv_libc.ioctl(fd, request, value);
		/* ENOSYS: what an emulator of user processes says instead. */
		if (likely(ret >= 0 || (errno != ENOTTY && errno != ENOSYS)))
			return (int)ret;
		f = sv_fd_adopt(fd);
		if (!f)
			return (int)ret;
	} else if (unlikely(f->ops->reopen_after_fork)) {
		f = sv_fd_reopen(fd, f);
	}
	do
		ret = sv_file_ioctl(f, (unsigned int)request, value);
	while (unlikely(ret == -ERESTARTSYS_SV) && sv_intr_may_restart());
	if (unlikely(ret == -ERESTARTSYS_SV))
		ret = -EINTR;
	sv_file_put(f);
	if (unlikely(ret == -ENOTTY && ioctl_is_generic((unsigned int)request)))
		return sv_libc.ioctl(fd, request, value);
	return result(ret);
}

static void *map(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	struct sv_file *f = flags & MAP_ANONYMOUS ? NULL : sv_fget(fd, NULL);
	void *p;

	if (f && !sv_fd_is(fd, f)) {
		/* Closed behind our back, and the number is somebody else's now. */
		sv_file_put(f);
		sv_fd_forget(fd);
		f = NULL;
	}
	if (!f) {
		p = sv_libc.mmap(addr, length, prot, flags, fd, offset);
		if (likely(p != MAP_FAILED || errno != ENODEV))
			return p;
		f = sv_fd_adopt(fd);
		if (!f)
			return p;
	}
	f = sv_fd_reopen(fd, f);
	if (!f->ops->mmap)
		p = sv_libc.mmap(addr, length, prot, flags, fd, offset);
	else if (f->ops->bound_to_mm && sv_file_is_foreign(f))
		p = ERR_PTR(-EIO);
	else if (!length || offset < 0 || !IS_ALIGNED((u64)offset, SV_PAGE_SIZE))
		p = ERR_PTR(-EINVAL);
	else
		p = f->ops->mmap(f, addr, length, prot, flags, offset);
	sv_file_put(f);
	if (p != MAP_FAILED && IS_ERR(p)) {
		errno = (int)-PTR_ERR(p);
		p = MAP_FAILED;
	}
	return p;
}

SV_EXPORT void *softvirt_mmap(void *addr, size_t length, int prot, int flags, int fd,
			      off_t offset)
{
	struct sv_mem_event ev;
	int told = sv_mem_replace_begin(&ev, addr, length, flags), saved;
	void *p;

	if (told < 0) {
		errno = -told;
		return MAP_FAILED;
	}
	p = map(addr, length, prot, flags, fd, offset);
	if (unlikely(told)) {
		saved = errno;
		ev.failed = p == MAP_FAILED;
		sv_mem_after(&ev);
		errno = saved;
	}
	return p;
}

/* What the kernel says before the file is asked, then the file. */
static long file_fallocate(struct sv_file *f, int mode, off_t off, off_t len)
{
	if (f->ops->bound_to_mm && sv_file_is_foreign(f))
		return -EIO;
	if (off < 0 || len <= 0)
		return -EINVAL;
	if (off > INT64_MAX - len)
		return -EFBIG;
	return f->ops->fallocate(f, mode, off, len);
}

SV_EXPORT int softvirt_fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct sv_file *f = sv_fget(fd, NULL);
	int ret;

	if (f && !sv_fd_is(fd, f)) {
		sv_file_put(f);
		sv_fd_forget(fd);
		f = NULL;
	}
	if (!f || !f->ops->fallocate)
		ret = sv_libc.fallocate(fd, mode, offset, len);
	else
		ret = result(file_fallocate(f, mode, offset, len));
	if (f)
		sv_file_put(f);
	return ret;
}

SV_EXPORT int softvirt_close(int fd)
{
	struct sv_file *f = NULL;
	int ret, saved;

	if (likely(!sv_fd_ours(fd)))
		return sv_libc.close(fd);
	/*
	 * Out of the table first: the moment the kernel has closed it, another thread may
	 * get the number for something else. The object goes last, as in the kernel.
	 */
	f = sv_fget(fd, NULL);
	sv_fd_forget(fd);
	ret = sv_libc.close(fd);
	saved = errno;
	if (f)
		sv_file_put(f);
	errno = saved;
	return ret;
}

/* The object to copy, or NULL: not ours, or not any more. */
static struct sv_file *get_checked(int fd)
{
	struct sv_file *f = sv_fget(fd, NULL);

	if (f && !sv_fd_is(fd, f)) {
		sv_file_put(f);
		sv_fd_forget(fd);
		f = NULL;
	}
	return f;
}

/* copy is the kernel's answer to copying f's (NULL: a stranger's) descriptor. */
static int finish_dup(struct sv_file *f, int copy)
{
	int err = 0, saved = errno;

	if (copy >= 0) {
		if (f)
			err = sv_fd_attach(copy, f);
		else
			sv_fd_forget(copy);	/* a stale entry, or what dup2 replaced */
	}
	if (f)
		sv_file_put(f);
	if (err) {
		sv_libc.close(copy);
		return result(err);
	}
	errno = saved;
	return copy;
}

SV_EXPORT int softvirt_dup(int fd)
{
	struct sv_file *f = get_checked(fd);

	return finish_dup(f, sv_libc.dup(fd));
}

SV_EXPORT int softvirt_dup2(int fd, int newfd)
{
	/* dup2 onto itself only asks whether it is open; dup3 would refuse. */
	if (fd == newfd)
		return sv_libc.fcntl(fd, F_GETFD) < 0 ? -1 : fd;
	return softvirt_dup3(fd, newfd, 0);
}

SV_EXPORT int softvirt_dup3(int fd, int newfd, int flags)
{
	struct sv_file *f = get_checked(fd);

	return finish_dup(f, (int)sv_libc.syscall(SYS_dup3, fd, newfd, flags));
}

SV_EXPORT int softvirt_fcntl(int fd, int cmd, ...)
{
	unsigned long value;
	struct sv_file *f;
	va_list ap;

	va_start(ap, cmd);
	value = va_arg(ap, unsigned long);
	va_end(ap);
	if (cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC)
		return sv_libc.fcntl(fd, cmd, value);
	f = get_checked(fd);
	return finish_dup(f, sv_libc.fcntl(fd, cmd, (long)value));
}

SV_EXPORT int softvirt_close_range(unsigned int first, unsigned int last, int flags)
{
	return result(sv_fd_close_range(first, last, flags));
}
