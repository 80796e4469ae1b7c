/* SPDX-License-Identifier: MIT */
#include "exec.h"

u8 sea[SEA_SIZE] __attribute__((aligned(4096)));
u8 scratch[SEA_SIZE] __attribute__((aligned(4096)));
#define MIDDLE (SEA_SIZE / 2)
#define C_EBREAK 0x9002

void exec_init(void)
{
	unsigned i;

	for (i = 0; i < SEA_SIZE; i += 2)
		*(volatile u16 *)&sea[i] = C_EBREAK;
	fence_i();
}

void exec(struct context *c, struct trap *t, const u16 *code, unsigned halfwords)
{
	volatile u16 *to = (volatile u16 *)&sea[MIDDLE];
	unsigned i;

	for (i = 0; i < halfwords; i++)
		to[i] = code[i];
	fence_i();
	c->pc = (u64)to + (c->sstatus & SSTATUS_SPP ? 0 : user_offset);
	run_context(c, t);
	for (i = 0; i < halfwords; i++)
		to[i] = C_EBREAK;
}

void exec32(struct context *c, struct trap *t, u32 insn)
{
	u16 code[2] = { (u16)insn, (u16)(insn >> 16) };

	exec(c, t, code, 2);
}

u64 exec_hash(const struct context *c, const struct trap *t)
{
	u64 h = hash_bytes(0, c->x, sizeof(c->x));

	h = hash_bytes(h, c->f, sizeof(c->f));
	h = hash(h, c->fcsr);
	h = hash(h, t->cause);
	h = hash(h, t->epc);
	/* After an ebreak stval may be 0 or the address (privileged manual, stval). */
	return t->cause == 3 ? h : hash(h, t->tval);
}

u64 edge_value(u64 *random)
{
	static const u64 edges[] = {
		0, 1, ~0ul, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0xffffffff80000000, 0xffffffff7fffffff,
		0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, 63, 64, 31, 32,
	};
	u64 r = random64(random);

	switch (r & 7) {
	case 0:
	case 1:
	case 2:
		return edges[(r >> 8) % ARRAY_SIZE(edges)];
	case 3:
		return edges[(r >> 8) % ARRAY_SIZE(edges)] + (r >> 32 & 7) - 3;
	case 4:
		return BIT(r >> 8 & 63) - (r >> 16 & 1);
	case 5:
		return (u64)(s64)(s32)(r >> 16);
	default:
		return random64(random);
	}
}

u64 edge_float(u64 *random)
{
	static const u64 doubles[] = {
		0, BIT(63), 1, 0x000fffffffffffff, 0x0010000000000000, 0x3ff0000000000000,
		0xbff0000000000000, 0x3fe0000000000000, 0x4000000000000000, 0x3ff0000000000001,
		0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
		0x7ff0000000000001, 0xfff8000000000001, 0x41dfffffffc00000, 0xc1e0000000000000,
		0x43e0000000000000, 0x43f0000000000000, 0x36a0000000000000, 0x47efffffe0000000,
	};
	static const u32 floats[] = {
		0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x3f800000, 0xbf800000, 0x3f000000,
		0x40000000, 0x3f800001, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
		0x7f800001, 0xffc00001, 0x4f000000, 0x5f000000, 0xcf000000, 0x4f800000,
	};
	static const u16 halves[] = {
		0, 0x8000, 1, 0x03ff, 0x0400, 0x3c00, 0xbc00, 0x3800, 0x3c01, 0x7bff, 0x7c00, 0xfc00,
		0x7e00, 0x7d01, 0xfe01, 0x6400, 0x7800,
	};
	u64 r = random64(random);

	switch (r & 15) {
	case 0:
	case 1:
	case 2:
		return doubles[(r >> 8) % ARRAY_SIZE(doubles)];
	case 3:
	case 4:
	case 5:
		return 0xffffffff00000000 | floats[(r >> 8) % ARRAY_SIZE(floats)];
	case 6:		/* near one, so that sums round and cancel */
		return (0x3f0 + (r >> 4 & 31)) << 52 | (r >> 12 & 0x000fffffffffffff) | r >> 63 << 63;
	case 7:
	case 8:
	case 9:
		return 0xffffffff00000000 | (u32)((0x78 + (r >> 4 & 15)) << 23 |
						  (r >> 12 & 0x7fffff) | r >> 63 << 31);
	case 10:
	case 11:
		return 0xffffffff00000000 | r >> 32;
	case 12:
		return edge_value(random);
	case 13:
		return 0xffffffffffff0000 | halves[(r >> 8) % ARRAY_SIZE(halves)];
	case 14:
		return 0xffffffffffff0000 | r >> 48;
	default:
		return random64(random);
	}
}

void exec_registers(struct context *c, u64 *random)
{
	unsigned i;

	for (i = 0; i < 32; i++) {
		c->x[i] = i ? edge_value(random) : 0;
		c->f[i] = edge_float(random);
	}
	c->fcsr = random64(random) % 5 << 5 | (random64(random) & 31);
}

void fill_scratch(u64 *random, u64 bytes)
{
	u64 i;

	for (i = 0; i < bytes; i += 8)
		*(u64 *)&scratch[i] = random64(random);
}
