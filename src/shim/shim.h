/* SPDX-License-Identifier: MIT */
/*
 * What the files of the preload library share: the next library's functions, and what a
 * path means.
 */
#ifndef SV_SHIM_SHIM_H
#define SV_SHIM_SHIM_H

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/types.h"
#include "file/file.h"

struct iovec;

/* Each is NULL where the C library has no such function. */
struct shim_real {
	int (*open)(const char *path, int flags, ...);
	int (*openat)(int dirfd, const char *path, int flags, ...);
	int (*ioctl)(int fd, unsigned long request, ...);
	void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t off);
	int (*close)(int fd);
	int (*fallocate)(int fd, int mode, off_t off, off_t len);
	int (*fclose)(FILE *f);
	int (*dup)(int fd);
	int (*fcntl)(int fd, int cmd, ...);
	long (*syscall)(long nr, ...);
	ssize_t (*read)(int fd, void *buf, size_t n);
	ssize_t (*write)(int fd, const void *buf, size_t n);
	ssize_t (*pread)(int fd, void *buf, size_t n, off_t off);
	ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t off);
	ssize_t (*readv)(int fd, const struct iovec *iov, int n);
	ssize_t (*writev)(int fd, const struct iovec *iov, int n);
	ssize_t (*preadv)(int fd, const struct iovec *iov, int n, off_t off);
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int n, off_t off);
	FILE *(*fopen)(const char *path, const char *mode);
	int (*sigaction)(int sig, const struct sigaction *act, struct sigaction *old);
	sighandler_t (*signal)(int sig, sighandler_t handler);
	int (*sigprocmask)(int how, const sigset_t *set, sigset_t *old);
	int (*pthread_sigmask)(int how, const sigset_t *set, sigset_t *old);
	int (*stat)(const char *path, struct stat *st);
	int (*lstat)(const char *path, struct stat *st);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dirfd, const char *path, struct stat *st, int flags);
	int (*statx)(int dirfd, const char *path, int flags, unsigned mask, void *stx);
	int (*xstat)(int ver, const char *path, struct stat *st);
	int (*lxstat)(int ver, const char *path, struct stat *st);
	int (*fxstat)(int ver, int fd, struct stat *st);
	int (*fxstatat)(int ver, int dirfd, const char *path, struct stat *st, int flags);
	int (*access)(const char *path, int mode);
	int (*faccessat)(int dirfd, const char *path, int mode, int flags);
	int (*euidaccess)(const char *path, int mode);
	DIR *(*opendir)(const char *path);
	int (*scandirat)(int dirfd, const char *path, struct dirent ***list,
			 int (*filter)(const struct dirent *),
			 int (*compare)(const struct dirent **, const struct dirent **));
	ssize_t (*readlinkat)(int dirfd, const char *path, char *buf, size_t room);
	char *(*realpath)(const char *path, char *resolved);
	char *(*getcwd)(char *buf, size_t room);
	int (*chdir)(const char *path);
	ssize_t (*getxattr)(const char *path, const char *name, void *value, size_t size);
	ssize_t (*lgetxattr)(const char *path, const char *name, void *value, size_t size);
	ssize_t (*listxattr)(const char *path, char *list, size_t size);
	ssize_t (*llistxattr)(const char *path, char *list, size_t size);
};
extern struct shim_real shim_real;
extern bool shim_ready;
void shim_init(void);

/* The next library's functions; resolved at the first call, which may precede constructors. */
static inline struct shim_real *real(void)
{
	if (unlikely(!__atomic_load_n(&shim_ready, __ATOMIC_ACQUIRE)))
		shim_init();
	return &shim_real;
}

enum shim_kind { SHIM_NOT_OURS, SHIM_NODE, SHIM_PARAMETER, SHIM_DIRECTORY, SHIM_SHADOW };

struct shim_path {
	enum shim_kind kind;
	const struct sv_node *node;
	/*
	 * A parameter's value; what to use in the path's stead (this thread's, until the next
	 * shim_find).
	 */
	const char *text;
	/* A node: its path, cleaned (as text), and what stat says of it. */
	dev_t rdev;
};

/* Made-up device numbers; the kernel gives VFIO dynamic ones, too. */
#define SHIM_VFIO_GROUP_MAJOR 510u	/* minor: the group */
#define SHIM_VFIO_CDEV_MAJOR 511u	/* minor: vfioN's N */

/* errno is kept. An unreadable path is nobody's: the kernel says EFAULT. */
struct shim_path shim_find(int dirfd, const char *path);
/* Opens what shim_find found (not SHIM_NOT_OURS). -1 and errno, as open(2). */
int shim_open(const struct shim_path *p, int flags);

/*
 * For a path redirected into the shadow tree (shadow.c): path is replaced by that, an absolute one.
 */
static inline bool shim_redirect(const struct shim_path *p, const char **path)
{
	if (likely(p->kind != SHIM_SHADOW))
		return false;
	*path = p->text;
	return true;
}

/* Are there emulated devices in this process? They are made when this is first asked. */
bool shim_has_devices(void);
/* A cleaned absolute path that lies in the shadow tree: true, and where. */
bool shim_shadow_path(const char *path, char *out, size_t room);
/* A path that the kernel gave back, as the program knows it; in place. */
char *shim_shadow_strip(char *path);

#endif
