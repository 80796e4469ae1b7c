/* SPDX-License-Identifier: MIT */
/*
 * Code made at run time: exec() puts halfwords into the middle of a page of c.ebreak, so that a
 * jump anywhere near is caught, runs them with the registers of a context and stops at a trap.
 */
#ifndef EXEC_H
#define EXEC_H

#include "guest.h"

#define SEA_SIZE 16384
extern u8 sea[SEA_SIZE];	/* c.ebreak everywhere; code goes to sea + SEA_SIZE / 2 */
extern u8 scratch[SEA_SIZE];	/* memory for the code under test */

void exec_init(void);
/* The code's address as the test's mode sees it is c->pc afterwards unless user_offset is set. */
void exec(struct context *c, struct trap *t, const u16 *code, unsigned halfwords);
void exec32(struct context *c, struct trap *t, u32 insn);
u64 exec_hash(const struct context *c, const struct trap *t);
/* Registers with edge values, x8..x15 and others pointing into scratch and sea. */
void exec_registers(struct context *c, u64 *random);
void fill_scratch(u64 *random, u64 bytes);
u64 edge_value(u64 *random);
u64 edge_float(u64 *random);

/* Encoders: fields as in the manual's tables. */
static inline u32 enc_r(u32 op, u32 f3, u32 f7, u32 rd, u32 rs1, u32 rs2)
{
	return op | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}

static inline u32 enc_i(u32 op, u32 f3, u32 rd, u32 rs1, s32 imm)
{
	return op | rd << 7 | f3 << 12 | rs1 << 15 | ((u32)imm & 0xfff) << 20;
}

static inline u32 enc_s(u32 op, u32 f3, u32 rs1, u32 rs2, s32 imm)
{
	u32 u = (u32)imm;

	return op | (u & 31) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | (u >> 5 & 127) << 25;
}

static inline u32 enc_b(u32 f3, u32 rs1, u32 rs2, s32 imm)
{
	u32 u = (u32)imm;

	return 0x63 | (u >> 11 & 1) << 7 | (u >> 1 & 15) << 8 | f3 << 12 | rs1 << 15 | rs2 << 20 |
		(u >> 5 & 63) << 25 | (u >> 12 & 1) << 31;
}

#endif
