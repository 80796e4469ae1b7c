/* SPDX-License-Identifier: MIT */
/*
 * The host's list of a process's mappings (/proc/PID/maps), one look-up at a time. Any thread; a
 * descriptor is for one at a time. What is found may be history by the time that the caller looks
 * at it.
 */
#ifndef SV_BASE_MAPS_H
#define SV_BASE_MAPS_H

#include <sys/types.h>

#include "base/types.h"

/* The first four as PROCMAP_QUERY_VMA_* of Linux 6.11. */
#define SV_VMA_R 1u
#define SV_VMA_W 2u
#define SV_VMA_X 4u
#define SV_VMA_SHARED 8u

struct sv_vma {
	u64 start, end;		/* [start, end) */
	u64 offset;		/* in the file, of start */
	u64 dev, ino;		/* of the file (st_dev, st_ino); ino 0: anonymous */
	u32 flags;
};

/*
 * A descriptor for the look-ups, which the caller closes with sv_libc.close(); or -1. pid 0: of
 * this process.
 */
int sv_maps_open(pid_t pid);
/* The mapping that has addr: 0, -EFAULT (none), -ENOMEM. */
int sv_vma_find(int fd, u64 addr, struct sv_vma *v);
/* The first mapping that ends behind addr: 0, -EFAULT (none), -ENOMEM. */
int sv_vma_next(int fd, u64 addr, struct sv_vma *v);

#endif
