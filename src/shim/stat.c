/* SPDX-License-Identifier: MIT */
/*
 * What our paths look like: nodes are character devices that everybody may open,
 * parameters are read-only files. The host's own /sys/module/kvm comes first where it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/guard.h"
#include "shim.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"	/* the headers declare only some */

static mode_t mode_of(const struct shim_path *p)
{
	switch (p->kind) {
	case SHIM_NODE: return S_IFCHR | 0666;
	case SHIM_PARAMETER: return S_IFREG | 0444;
	default: return S_IFDIR | 0755;
	}
}

/* Our answer, in the place of a call that returned ret. */
static int answer(const struct shim_path *p, struct stat *user)
{
	struct stat st = {
		.st_mode = mode_of(p),
		.st_rdev = p->rdev,
		.st_nlink = 1,
		.st_ino = 1,
		.st_blksize = 4096,
		.st_size = p->kind == SHIM_PARAMETER ? 4096 : 0,
	};

	if (sv_copy_to_user(user, &st, sizeof(st))) {
		errno = EFAULT;
		return -1;
	}
	return 0;
}

/* Was fd opened by a node's path? What is then said of it. */
static bool fd_is_node(int fd, struct shim_path *p)
{
	struct sv_file *f;
	dev_t rdev;

	if (likely(!sv_fd_ours(fd)))
		return false;
	f = sv_fget(fd, NULL);
	if (!f)
		return false;
	rdev = sv_file_rdev(f);
	if (rdev && !sv_fd_is(fd, f))
		rdev = 0;	/* closed behind our back: somebody else's number */
	sv_file_put(f);
	*p = (struct shim_path){ .kind = SHIM_NODE, .rdev = rdev };
	return rdev;
}

/* Do flags and path mean the descriptor itself? */
static bool means_fd(const char *path, int flags)
{
	char c;

	return unlikely(flags & AT_EMPTY_PATH) && (!path || (!sv_copy_from_user(&c, path, 1) && !c));
}

/* Ours is the answer for a node always, for the rest when the host has nothing there. */
#define STAT_CALL(dirfd, path, user, call) do { \
	struct shim_path _p = shim_find(dirfd, path); \
	int _ret; \
	shim_redirect(&_p, &path); \
	if (_p.kind == SHIM_NODE) \
		return answer(&_p, user); \
	_ret = (call); \
	if (likely(_ret >= 0 || _p.kind == SHIM_NOT_OURS || _p.kind == SHIM_SHADOW || errno != ENOENT)) \
		return _ret; \
	return answer(&_p, user); \
} while (0)

SV_EXPORT int stat(const char *path, struct stat *st)
{
	STAT_CALL(AT_FDCWD, path, st, real()->stat(path, st));
}

SV_EXPORT int lstat(const char *path, struct stat *st)
{
	STAT_CALL(AT_FDCWD, path, st, real()->lstat(path, st));
}

SV_EXPORT int fstat(int fd, struct stat *st)
{
	struct shim_path p;

	if (unlikely(fd_is_node(fd, &p)))
		return answer(&p, st);
	return real()->fstat(fd, st);
}

SV_EXPORT int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	if (means_fd(path, flags) && sv_fd_ours(dirfd))
		return fstat(dirfd, st);
	STAT_CALL(dirfd, path, st, real()->fstatat(dirfd, path, st, flags));
}

/* struct stat64 is struct stat on every 64-bit host. */
_Static_assert(sizeof(struct stat64) == sizeof(struct stat), "a 64-bit host");

SV_EXPORT int stat64(const char *path, struct stat64 *st)
{
	return stat(path, (struct stat *)st);
}

SV_EXPORT int lstat64(const char *path, struct stat64 *st)
{
	return lstat(path, (struct stat *)st);
}

SV_EXPORT int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

SV_EXPORT int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	return fstatat(dirfd, path, (struct stat *)st, flags);
}

/* What binaries built against older C libraries call. */
SV_EXPORT int __xstat(int ver, const char *path, struct stat *st)
{
	STAT_CALL(AT_FDCWD, path, st, real()->xstat(ver, path, st));
}

SV_EXPORT int __lxstat(int ver, const char *path, struct stat *st)
{
	STAT_CALL(AT_FDCWD, path, st, real()->lxstat(ver, path, st));
}

SV_EXPORT int __fxstat(int ver, int fd, struct stat *st)
{
	struct shim_path p;

	if (unlikely(fd_is_node(fd, &p)))
		return answer(&p, st);
	return real()->fxstat(ver, fd, st);
}

SV_EXPORT int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags)
{
	STAT_CALL(dirfd, path, st, real()->fxstatat(ver, dirfd, path, st, flags));
}

SV_EXPORT int __xstat64(int ver, const char *path, struct stat *st)
{
	return __xstat(ver, path, st);
}

SV_EXPORT int __lxstat64(int ver, const char *path, struct stat *st)
{
	return __lxstat(ver, path, st);
}

SV_EXPORT int __fxstat64(int ver, int fd, struct stat *st)
{
	return __fxstat(ver, fd, st);
}

SV_EXPORT int __fxstatat64(int ver, int dirfd, const char *path, struct stat *st, int flags)
{
	return __fxstatat(ver, dirfd, path, st, flags);
}

SV_EXPORT int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *user)
{
	struct shim_path p = { .kind = SHIM_NOT_OURS };
	struct statx stx = { 0 };
	int ret;

	if (!means_fd(path, flags) || !fd_is_node(dirfd, &p))
		p = shim_find(dirfd, path);
	shim_redirect(&p, &path);
	if (p.kind != SHIM_NODE) {
		ret = real()->statx(dirfd, path, flags, mask, user);
		if (likely(ret >= 0 || p.kind == SHIM_NOT_OURS || p.kind == SHIM_SHADOW || errno != ENOENT))
			return ret;
	}
	stx.stx_mask = STATX_BASIC_STATS;
	stx.stx_mode = (u16)mode_of(&p);
	stx.stx_nlink = 1;
	stx.stx_ino = 1;
	stx.stx_blksize = 4096;
	stx.stx_size = p.kind == SHIM_PARAMETER ? 4096 : 0;
	stx.stx_rdev_major = major(p.rdev);
	stx.stx_rdev_minor = minor(p.rdev);
	if (sv_copy_to_user(user, &stx, sizeof(stx))) {
		errno = EFAULT;
		return -1;
	}
	return 0;
}

static int access_answer(const struct shim_path *p, int mode)
{
	if (mode & ~(R_OK | W_OK | X_OK)) {
		errno = EINVAL;
		return -1;
	}
	if (((mode & X_OK) && p->kind != SHIM_DIRECTORY) || ((mode & W_OK) && p->kind != SHIM_NODE)) {
		errno = EACCES;
		return -1;
	}
	return 0;
}

#define ACCESS_CALL(dirfd, path, mode, call) do { \
	struct shim_path _p = shim_find(dirfd, path); \
	int _ret; \
	shim_redirect(&_p, &path); \
	if (_p.kind == SHIM_NODE) \
		return access_answer(&_p, mode); \
	_ret = (call); \
	if (likely(_ret >= 0 || _p.kind == SHIM_NOT_OURS || _p.kind == SHIM_SHADOW || errno != ENOENT)) \
		return _ret; \
	return access_answer(&_p, mode); \
} while (0)

SV_EXPORT int access(const char *path, int mode)
{
	ACCESS_CALL(AT_FDCWD, path, mode, real()->access(path, mode));
}

SV_EXPORT int faccessat(int dirfd, const char *path, int mode, int flags)
{
	ACCESS_CALL(dirfd, path, mode, real()->faccessat(dirfd, path, mode, flags));
}

SV_EXPORT int euidaccess(const char *path, int mode)
{
	ACCESS_CALL(AT_FDCWD, path, mode, real()->euidaccess(path, mode));
}

SV_EXPORT int eaccess(const char *path, int mode)
{
	return euidaccess(path, mode);
}
