/* SPDX-License-Identifier: MIT */
/*
 * What the files of the preload library share: the next library's functions, and what a
 * path means.
 */
#ifndef SV_SHIM_SHIM_H
#define SV_SHIM_SHIM_H

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/types.h"
#include "file/file.h"

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
	FILE *(*fopen)(const char *path, const char *mode);
	int (*sigaction)(int sig, const struct sigaction *act, struct sigaction *old);
	sighandler_t (*signal)(int sig, sighandler_t handler);
	int (*sigprocmask)(int how, const sigset_t *set, sigset_t *old);
	int (*pthread_sigmask)(int how, const sigset_t *set, sigset_t *old);
	int (*stat)(const char *path, struct stat *st);
	int (*lstat)(const char *path, struct stat *st);
	int (*fstatat)(int dirfd, const char *path, struct stat *st, int flags);
	int (*statx)(int dirfd, const char *path, int flags, unsigned mask, void *stx);
	int (*xstat)(int ver, const char *path, struct stat *st);
	int (*lxstat)(int ver, const char *path, struct stat *st);
	int (*fxstatat)(int ver, int dirfd, const char *path, struct stat *st, int flags);
	int (*access)(const char *path, int mode);
	int (*faccessat)(int dirfd, const char *path, int mode, int flags);
	int (*euidaccess)(const char *path, int mode);
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

enum shim_kind { SHIM_NOT_OURS, SHIM_NODE, SHIM_PARAMETER, SHIM_DIRECTORY };

struct shim_path {
	enum shim_kind kind;
	const struct sv_node *node;
	const char *text;	/* a parameter's value */
};

/* errno is kept. An unreadable path is nobody's: the kernel says EFAULT. */
struct shim_path shim_find(int dirfd, const char *path);
/* Opens what shim_find found (not SHIM_NOT_OURS). -1 and errno, as open(2). */
int shim_open(const struct shim_path *p, int flags);

#endif
