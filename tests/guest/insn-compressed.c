/* SPDX-License-Identifier: MIT */
/*
 * Every 16-bit encoding that QEMU 7.2 knows, hints and reserved ones included: executed in U mode, paged so
 * that a stray address faults, with edge values in the registers that it could compute with and
 * pointers in those it could load, store or jump through. Cases are by quadrant and funct3.
 */
#include "lib/exec.h"

#define REACH 768		/* the registers point into the first 256 bytes, offsets reach 504 */

static struct context ctx;

static bool jumps_to_itself(u16 insn)
{
	if (insn == 0xa001)				/* c.j 0 */
		return true;
	return (insn & 0xdc7f) == 0xc001;		/* c.beqz, c.bnez with 0 */
}

/* Zcb and Zcmop, which QEMU 7.2 lacks: zcb.c has them. */
static bool is_newer(u16 insn)
{
	return (insn & 0xe003) == 0x8000 || (insn & 0xfc43) == 0x9c41 || (insn & 0xf8ff) == 0x6081;
}

static void one(u16 insn, unsigned round, u64 *h, bool verbose)
{
	/* The same state for every encoding of a round: a difference is the instruction's. */
	u64 random = round * 77 + 5, mem;
	struct trap t;
	u64 x1, k;

	if (jumps_to_itself(insn) || is_newer(insn))
		return;

	exec_registers(&ctx, &random);
	/* Round 0: pointers everywhere that a memory or jump operand can be. */
	ctx.x[2] = (u64)scratch + user_offset;
	if (round == 0) {
		unsigned i;

		for (i = 1; i < 32; i++)
			if (i != 2 && i != 13)
				ctx.x[i] = (u64)scratch + user_offset + 8 * i;
		if ((insn & 0xf07f) == 0x8002 || (insn & 0xf07f) == 0x9002) {
			for (i = 1; i < 32; i++)	/* c.jr, c.jalr */
				ctx.x[i] = (u64)sea + user_offset + SEA_SIZE / 2 + 64 + 6 * i + (i & 1);
		}
	}
	ctx.sstatus = 0;
	random = 9;
	fill_scratch(&random, 64);
	for (k = 64; k < REACH; k += 8)
		*(u64 *)&scratch[k] = random + k * 0x0101010101010101;
	exec(&ctx, &t, &insn, 1);
	x1 = ctx.x[1];
	mem = hash_bytes(0, scratch, REACH);
	*h = hash(*h, exec_hash(&ctx, &t) ^ mem);
	if (verbose) {
		u64 hx = hash_bytes(0, ctx.x, sizeof(ctx.x)), hf = hash_bytes(0, ctx.f, sizeof(ctx.f));

		print("  round %u trap %d epc %x tval %x x %x f %x fcsr %x mem %x ra %x code %c%c%c%c\n",
		      (u64)round, t.cause, t.epc, t.cause == 3 ? 0 : t.tval, hx, hf, ctx.fcsr, mem, x1,
		      HEX4(insn));
	}
}

int main(void)
{
	unsigned quadrant, f3, rest, round;
	struct vm vm;
	bool verbose;
	u64 h;

	exec_init();
	vm_init(&vm, 3);
	vm_on(&vm, 0);
	for (quadrant = 0; quadrant < 3; quadrant++)
		for (f3 = 0; f3 < 8; f3++) {
			verbose = test_case("c-quadrant%u-funct%u", (u64)quadrant, (u64)f3);
			for (round = 0; round < 2; round++) {
				h = 0;
				for (rest = 0; rest < 2048; rest++)
					one((u16)(f3 << 13 | rest << 2 | quadrant), round, &h, verbose);
				print("  round %u %w\n", (u64)round, h);
			}
		}
	return 0;
}
