/* SPDX-License-Identifier: MIT */
/*
 * libsoftvirt-preload.so: the C library's calls about descriptors, ours or the next
 * library's.
 *
 * Every function here has the name of one of the C library's and comes before it in the
 * loader's order. It asks first whether the path or the descriptor is ours (two loads for
 * a descriptor) and else calls the next library's function with what it got. Nothing here
 * depends on constructors having run: real() resolves at the first call.
 *
 * The core that this library contains reaches the C library through sv_libc, which
 * shim_init() points past these functions; otherwise they would call themselves.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/libc.h"
#include "shim.h"
#include "softvirt/softvirt.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"	/* the headers declare only some */

struct shim_real shim_real;
bool shim_ready;

/*
 * Several threads may do this at once: they store the same values. A function that the C
 * library lacks stays NULL; nobody can have called ours in its stead then.
 */
void shim_init(void)
{
	static const struct {
		void **where;
		const char *name;
	} names[] = {
#define NAME(field, symbol) { (void **)&shim_real.field, symbol }
		NAME(open, "open"), NAME(openat, "openat"), NAME(ioctl, "ioctl"),
		NAME(mmap, "mmap"), NAME(close, "close"), NAME(fclose, "fclose"),
		NAME(fallocate, "fallocate"),
		NAME(dup, "dup"), NAME(fcntl, "fcntl"), NAME(syscall, "syscall"),
		NAME(read, "read"), NAME(write, "write"), NAME(pread, "pread64"),
		NAME(pwrite, "pwrite64"), NAME(readv, "readv"), NAME(writev, "writev"),
		NAME(preadv, "preadv64"), NAME(pwritev, "pwritev64"),
		NAME(fopen, "fopen"), NAME(sigaction, "sigaction"), NAME(signal, "signal"),
		NAME(sigprocmask, "sigprocmask"), NAME(pthread_sigmask, "pthread_sigmask"),
		NAME(stat, "stat"), NAME(lstat, "lstat"), NAME(fstat, "fstat"), NAME(fstatat, "fstatat"),
		NAME(statx, "statx"), NAME(xstat, "__xstat"), NAME(lxstat, "__lxstat"), NAME(fxstat, "__fxstat"),
		NAME(fxstatat, "__fxstatat"), NAME(access, "access"),
		NAME(faccessat, "faccessat"), NAME(euidaccess, "euidaccess"),
		NAME(opendir, "opendir"), NAME(scandirat, "scandirat"),
		NAME(readlinkat, "readlinkat"), NAME(realpath, "realpath"), NAME(getcwd, "getcwd"), NAME(chdir, "chdir"),
		NAME(getxattr, "getxattr"), NAME(lgetxattr, "lgetxattr"),
		NAME(listxattr, "listxattr"), NAME(llistxattr, "llistxattr"),
#undef NAME
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		__atomic_store_n(names[i].where, dlsym(RTLD_NEXT, names[i].name), __ATOMIC_RELAXED);
	/* Of two versions the old one refuses a NULL buffer. */
	if (dlvsym(RTLD_NEXT, "realpath", "GLIBC_2.3"))
		shim_real.realpath = (char *(*)(const char *, char *))dlvsym(RTLD_NEXT, "realpath", "GLIBC_2.3");
	__atomic_store_n(&sv_libc.open, shim_real.open, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.close, shim_real.close, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.ioctl, shim_real.ioctl, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.mmap, shim_real.mmap, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.fcntl, shim_real.fcntl, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.dup, shim_real.dup, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.syscall, shim_real.syscall, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.fallocate, shim_real.fallocate, __ATOMIC_RELAXED);
	/* A C library older than 2.33 has it inline, over __fxstat. */
	if (shim_real.fstat)
		__atomic_store_n(&sv_libc.fstat, shim_real.fstat, __ATOMIC_RELAXED);
	__atomic_store_n(&sv_libc.sigaction, shim_real.sigaction, __ATOMIC_RELAXED);
	__atomic_store_n(&shim_ready, true, __ATOMIC_RELEASE);
}

/*
 * With emulated devices memory that was once mapped for DMA must not leave by a way that nobody
 * sees: free() unmaps large pieces and trims heaps inside of the C library. It keeps them then.
 */
static void keep_heap(void)
{
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_ARENA_MAX, 1);
}

static void __attribute__((constructor(101))) shim_constructor(void)
{
	(void)real();
	if (getenv("SOFTVIRT_DEVICES"))
		keep_heap();
}

/* A number that the kernel has just given out serves no object of ours any more. */
static inline int fresh(int fd)
{
	if (unlikely(sv_fd_ours(fd)))
		sv_fd_forget(fd);
	return fd;
}

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	struct shim_path p = shim_find(dirfd, path);
	int fd;

	if (likely(p.kind == SHIM_NOT_OURS) || shim_redirect(&p, &path))
		return fresh(real()->openat(dirfd, path, flags, mode));
	if (p.kind != SHIM_NODE) {
		/* The host's own parameters, where it has any. */
		fd = fresh(real()->openat(dirfd, path, flags, mode));
		if (fd >= 0 || errno != ENOENT)
			return fd;
	}
	return shim_open(&p, flags);
}

#define OPEN_MODE(flags) ({ \
	mode_t _mode = 0; \
	if ((flags) & (O_CREAT | __O_TMPFILE)) { \
		va_list _ap; \
		va_start(_ap, flags); \
		_mode = va_arg(_ap, mode_t); \
		va_end(_ap); \
	} \
	_mode; })

SV_EXPORT int open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, OPEN_MODE(flags));
}

SV_EXPORT int open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags | O_LARGEFILE, OPEN_MODE(flags));
}

SV_EXPORT int openat(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags, OPEN_MODE(flags));
}

SV_EXPORT int openat64(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags | O_LARGEFILE, OPEN_MODE(flags));
}

/* The fortified twins, which the compiler calls when there is no mode. */
SV_EXPORT int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

SV_EXPORT int __open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

SV_EXPORT int __openat_2(int dirfd, const char *path, int flags)
{
	return open_at(dirfd, path, flags, 0);
}

SV_EXPORT int __openat64_2(int dirfd, const char *path, int flags)
{
	return open_at(dirfd, path, flags | O_LARGEFILE, 0);
}

SV_EXPORT int creat(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

SV_EXPORT int creat64(const char *path, mode_t mode)
{
	return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC | O_LARGEFILE, mode);
}

/* What openat2(2) takes: its first word is the flags. */
struct how {
	u64 flags, mode, resolve;
};

static int open_how(int dirfd, const char *path, const void *user_how, size_t size)
{
	struct shim_path p = shim_find(dirfd, path);
	struct how how;
	int fd;

	shim_redirect(&p, &path);
	if (p.kind != SHIM_NOT_OURS && p.kind != SHIM_SHADOW && size >= sizeof(how) &&
	    !sv_copy_from_user(&how, user_how, sizeof(how))) {
		if (p.kind == SHIM_NODE)
			return shim_open(&p, (int)how.flags);
		fd = fresh((int)real()->syscall(SYS_openat2, dirfd, path, user_how, size));
		return fd >= 0 || errno != ENOENT ? fd : shim_open(&p, (int)how.flags);
	}
	return fresh((int)real()->syscall(SYS_openat2, dirfd, path, user_how, size));
}

SV_EXPORT int openat2(int dirfd, const char *path, const void *how, size_t size)
{
	return open_how(dirfd, path, how, size);
}

SV_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	unsigned long value;
	va_list ap;

	va_start(ap, request);
	value = va_arg(ap, unsigned long);
	va_end(ap);
	(void)real();
	return softvirt_ioctl(fd, request, value);
}

/*
 * The next library's mmap may be an allocator's that comes back by syscall(): tcmalloc's does, and
 * then means the system call.
 */
static __thread unsigned in_map __attribute__((tls_model("initial-exec")));

static inline void *map(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *p;

	(void)real();
	in_map++;
	if (likely(((flags & MAP_ANONYMOUS) || fd < 0) && !(flags & MAP_FIXED)))
		p = real()->mmap(addr, len, prot, flags, fd, off);
	else
		p = softvirt_mmap(addr, len, prot, flags, fd, off);
	in_map--;
	return p;
}

SV_EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return map(addr, len, prot, flags, fd, off);
}

SV_EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	return map(addr, len, prot, flags, fd, off);
}

/* Reads and writes, by every name they have on a 64-bit host. */
#define RW_BODY(call, ...) do { \
	if (likely(!sv_fd_ours(fd))) \
		return real()->call(__VA_ARGS__); \
	(void)real(); \
	return softvirt_##call(__VA_ARGS__); \
} while (0)

SV_EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	RW_BODY(read, fd, buf, n);
}

SV_EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	RW_BODY(write, fd, buf, n);
}

SV_EXPORT ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
	RW_BODY(pread, fd, buf, n, off);
}

SV_EXPORT ssize_t pread64(int fd, void *buf, size_t n, off64_t off)
{
	RW_BODY(pread, fd, buf, n, off);
}

SV_EXPORT ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
	RW_BODY(pwrite, fd, buf, n, off);
}

SV_EXPORT ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t off)
{
	RW_BODY(pwrite, fd, buf, n, off);
}

SV_EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	RW_BODY(readv, fd, iov, n);
}

SV_EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	RW_BODY(writev, fd, iov, n);
}

SV_EXPORT ssize_t preadv(int fd, const struct iovec *iov, int n, off_t off)
{
	RW_BODY(preadv, fd, iov, n, off);
}

SV_EXPORT ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t off)
{
	RW_BODY(preadv, fd, iov, n, off);
}

SV_EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	RW_BODY(pwritev, fd, iov, n, off);
}

SV_EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
	RW_BODY(pwritev, fd, iov, n, off);
}

/* The fortified twins: the compiler knows the buffer's room. */
SV_EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (unlikely(n > room))
		abort();
	return read(fd, buf, n);
}

SV_EXPORT ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t room)
{
	if (unlikely(n > room))
		abort();
	return pread(fd, buf, n, off);
}

SV_EXPORT ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t off, size_t room)
{
	if (unlikely(n > room))
		abort();
	return pread(fd, buf, n, off);
}

SV_EXPORT int fallocate(int fd, int mode, off_t off, off_t len)
{
	(void)real();
	return softvirt_fallocate(fd, mode, off, len);
}

SV_EXPORT int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	(void)real();
	return softvirt_fallocate(fd, mode, off, len);
}

SV_EXPORT int close(int fd)
{
	if (likely(!sv_fd_ours(fd)))
		return real()->close(fd);
	return softvirt_close(fd);
}

/* A program that takes memory away which devices may reach (src/file/mem.c). */
SV_EXPORT int munmap(void *addr, size_t len)
{
	(void)real();
	return softvirt_munmap(addr, len);
}

SV_EXPORT void *mremap(void *addr, size_t len, size_t new_len, int flags, ...)
{
	void *new_addr = NULL;
	va_list ap;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	(void)real();
	return softvirt_mremap(addr, len, new_len, flags, new_addr);
}

SV_EXPORT int madvise(void *addr, size_t len, int advice)
{
	(void)real();
	return softvirt_madvise(addr, len, advice);
}

SV_EXPORT int mprotect(void *addr, size_t len, int prot)
{
	(void)real();
	return softvirt_mprotect(addr, len, prot);
}

SV_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	(void)real();
	return softvirt_close_range(first, last, flags);
}

SV_EXPORT void closefrom(int low)
{
	(void)real();
	(void)softvirt_close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0);
}

SV_EXPORT int dup(int fd)
{
	(void)real();
	return softvirt_dup(fd);
}

SV_EXPORT int dup2(int fd, int newfd)
{
	(void)real();
	return softvirt_dup2(fd, newfd);
}

SV_EXPORT int dup3(int fd, int newfd, int flags)
{
	(void)real();
	return softvirt_dup3(fd, newfd, flags);
}

#define FCNTL_BODY(fd, cmd) do { \
	unsigned long _value; \
	va_list _ap; \
	va_start(_ap, cmd); \
	_value = va_arg(_ap, unsigned long); \
	va_end(_ap); \
	(void)real(); \
	return softvirt_fcntl(fd, cmd, _value); \
} while (0)

SV_EXPORT int fcntl(int fd, int cmd, ...)
{
	FCNTL_BODY(fd, cmd);
}

SV_EXPORT int fcntl64(int fd, int cmd, ...)
{
	FCNTL_BODY(fd, cmd);
}

/* fopen's mode as open's flags; -1 for what is none. */
static int mode_flags(const char *mode)
{
	int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;

	if (*mode != 'r' && *mode != 'w' && *mode != 'a')
		return -1;
	return flags | (strchr(mode, 'e') ? O_CLOEXEC : 0);
}

static FILE *open_stream(const char *path, const char *mode)
{
	struct shim_path p = shim_find(AT_FDCWD, path);
	FILE *f;
	int fd;

	if (likely(p.kind == SHIM_NOT_OURS) || shim_redirect(&p, &path))
		return real()->fopen(path, mode);
	if (p.kind != SHIM_NODE) {
		f = real()->fopen(path, mode);
		if (f || errno != ENOENT)
			return f;
	}
	if (mode_flags(mode) < 0) {
		errno = EINVAL;
		return NULL;
	}
	fd = shim_open(&p, mode_flags(mode));
	f = fd < 0 ? NULL : fdopen(fd, mode);
	if (fd >= 0 && !f)
		close(fd);
	return f;
}

SV_EXPORT FILE *fopen(const char *path, const char *mode)
{
	return open_stream(path, mode);
}

SV_EXPORT FILE *fopen64(const char *path, const char *mode)
{
	return open_stream(path, mode);
}

/* The C library closes a stream's descriptor by itself, unseen. */
SV_EXPORT int fclose(FILE *stream)
{
	int fd = fileno_unlocked(stream);

	if (fd >= 0 && sv_fd_ours(fd))
		sv_fd_forget(fd);
	return real()->fclose(stream);
}

/* Calls made by number: those that this library also takes by name. */
SV_EXPORT long syscall(long nr, ...)
{
	unsigned long a[6];
	va_list ap;

	va_start(ap, nr);
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	switch (nr) {
	case SYS_openat2:
		return open_how((int)a[0], (const char *)a[1], (const void *)a[2], a[3]);
	case SYS_openat:
		return open_at((int)a[0], (const char *)a[1], (int)a[2], (mode_t)a[3]);
#ifdef SYS_open
	case SYS_open:
		return open_at(AT_FDCWD, (const char *)a[0], (int)a[1], (mode_t)a[2]);
#endif
	case SYS_read:
		return read((int)a[0], (void *)a[1], a[2]);
	case SYS_write:
		return write((int)a[0], (const void *)a[1], a[2]);
	case SYS_pread64:
		return pread((int)a[0], (void *)a[1], a[2], (off_t)a[3]);
	case SYS_pwrite64:
		return pwrite((int)a[0], (const void *)a[1], a[2], (off_t)a[3]);
	case SYS_ioctl:
		return ioctl((int)a[0], a[1], a[2]);
	case SYS_mmap:
		if (in_map)
			return real()->syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		return (long)map((void *)a[0], a[1], (int)a[2], (int)a[3], (int)a[4], (off_t)a[5]);
	case SYS_munmap:
		return munmap((void *)a[0], a[1]);
	case SYS_mremap:
		return (long)mremap((void *)a[0], a[1], a[2], (int)a[3], (void *)a[4]);
	case SYS_mprotect:
		return mprotect((void *)a[0], a[1], (int)a[2]);
	case SYS_madvise:
		return madvise((void *)a[0], a[1], (int)a[2]);
	case SYS_close:
		return close((int)a[0]);
	case SYS_fallocate:
		return fallocate((int)a[0], (int)a[1], (off_t)a[2], (off_t)a[3]);
	case SYS_close_range:
		return close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
	case SYS_dup:
		return dup((int)a[0]);
#ifdef SYS_dup2
	case SYS_dup2:
		return dup2((int)a[0], (int)a[1]);
#endif
	case SYS_dup3:
		return dup3((int)a[0], (int)a[1], (int)a[2]);
	case SYS_fcntl:
		return fcntl((int)a[0], (int)a[1], a[2]);
	case SYS_epoll_ctl:
		return epoll_ctl((int)a[0], (int)a[1], (int)a[2], (struct epoll_event *)a[3]);
	case SYS_ppoll:
		/* The system call writes what is left of the time to its argument; we don't. */
		return ppoll((struct pollfd *)a[0], a[1], (const struct timespec *)a[2],
			     (const sigset_t *)a[3]);
#ifdef SYS_poll
	case SYS_poll:
		return poll((struct pollfd *)a[0], a[1], (int)a[2]);
#endif
	default:
		return real()->syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}
