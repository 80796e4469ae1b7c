/* SPDX-License-Identifier: MIT */
/* A library with an mmap(2) of its own that makes the system call by number, as tcmalloc's does. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) void *mmap(void *addr, size_t len, int prot, int flags, int fd,
						  off_t off)
{
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}
