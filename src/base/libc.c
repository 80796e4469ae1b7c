/* SPDX-License-Identifier: MIT */
#include "base/libc.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct sv_libc sv_libc = {
	.open = open,
	.close = close,
	.ioctl = ioctl,
	.mmap = mmap,
	.fcntl = fcntl,
	.dup = dup,
	.syscall = syscall,
	.sigaction = sigaction,
	.fallocate = fallocate,
	.fstat = fstat,
};
