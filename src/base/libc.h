/* SPDX-License-Identifier: MIT */
/*
 * The C library's own calls, for code that must not meet the preload library's versions of
 * them: src/file and the guard. In libsoftvirt.so and in static programs these are the
 * libc functions; the preload library, whose functions of the same names would be found
 * first, puts the next library's there before anything else runs (src/shim).
 */
#ifndef SV_BASE_LIBC_H
#define SV_BASE_LIBC_H

#include <signal.h>
#include <sys/types.h>

struct stat;

struct sv_libc {
	int (*open)(const char *path, int flags, ...);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, ...);
	void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t off);
	int (*fcntl)(int fd, int cmd, ...);
	int (*dup)(int fd);
	long (*syscall)(long nr, ...);
	int (*sigaction)(int sig, const struct sigaction *act, struct sigaction *old);
	int (*fallocate)(int fd, int mode, off_t off, off_t len);
	int (*fstat)(int fd, struct stat *st);
};
extern struct sv_libc sv_libc;

#endif
