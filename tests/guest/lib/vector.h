/* SPDX-License-Identifier: MIT */
/* Vector state, for tests that are built without the extension. */
#ifndef VECTOR_H
#define VECTOR_H

#include "guest.h"

#define SSTATUS_VS (3ul << 9)
#define MAX_VLENB 128

struct vector_state {
	u8 v[32 * MAX_VLENB] __attribute__((aligned(16)));	/* one behind the other */
	u64 vl, vtype, vcsr, vstart;
};

#define VECTOR_ASM(text, ...) \
	__asm__ volatile(".option push\n\t.option arch, +v\n\t" text "\n\t.option pop" __VA_ARGS__)

static inline u64 vector_vlenb(void)
{
	return csr_read(0xc22);
}

static inline void vector_on(void)
{
	csr_set(sstatus, SSTATUS_VS);
}

/* Registers, then vtype and vl, which are set as vsetvl does. */
static inline void vector_load(const struct vector_state *s)
{
	u64 n = 8 * vector_vlenb();

	csr_write(0x008, 0);
	VECTOR_ASM("vl8re8.v v0, (%0)\n\tvl8re8.v v8, (%1)\n\tvl8re8.v v16, (%2)\n\tvl8re8.v v24, (%3)",
		   :: "r"(s->v), "r"(s->v + n), "r"(s->v + 2 * n), "r"(s->v + 3 * n) : "memory");
	csr_write(0x00f, s->vcsr);
	VECTOR_ASM("vsetvl x0, %0, %1", :: "r"(s->vl), "r"(s->vtype) : "memory");
}

static inline void vector_save(struct vector_state *s)
{
	u64 n = 8 * vector_vlenb();

	s->vl = csr_read(0xc20);
	s->vtype = csr_read(0xc21);
	s->vcsr = csr_read(0x00f);
	s->vstart = csr_read(0x008);
	csr_write(0x008, 0);
	VECTOR_ASM("vs8r.v v0, (%0)\n\tvs8r.v v8, (%1)\n\tvs8r.v v16, (%2)\n\tvs8r.v v24, (%3)",
		   :: "r"(s->v), "r"(s->v + n), "r"(s->v + 2 * n), "r"(s->v + 3 * n) : "memory");
}

#endif
