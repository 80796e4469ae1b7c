/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM as the VMM and its devices see it.
 *
 * One contiguous piece of anonymous memory at VMM_RAM_BASE; it is mapped before the first
 * device exists and unmapped after the last, so a pointer from guest_mem_ptr() stays good.
 * The guest changes what is behind such a pointer at any time: what is checked must have
 * been copied first.
 */
#ifndef SV_VMM_MEM_H
#define SV_VMM_MEM_H

#include <string.h>

#include "base/types.h"

struct guest_mem {
	u8 *host;
	u64 base;
	u64 size;
};

/* The host address of [gpa, gpa + len), or NULL unless all of it is RAM. len may be 0. */
static inline void *guest_mem_ptr(const struct guest_mem *m, u64 gpa, u64 len)
{
	u64 off = gpa - m->base;

	if (gpa < m->base || off > m->size || len > m->size - off)
		return NULL;
	return m->host + off;
}

/* 0, or -errno: the memory cannot be had. */
int guest_mem_init(struct guest_mem *m, u64 base, u64 size);
void guest_mem_destroy(struct guest_mem *m);
/* Everything reads as zero again. No vCPU and no device may be at work. */
void guest_mem_clear(struct guest_mem *m);

#endif
