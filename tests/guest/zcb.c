/* SPDX-License-Identifier: MIT */
/*
 * Zcb, Zcmop and Zimop, which QEMU 7.2 lacks: every encoding of their space, the reserved ones
 * included, against a model of the manual's tables. 16-bit ones of other extensions:
 * insn-compressed.c.
 */
#include "lib/exec.h"

#define BASE 128		/* where in scratch x8..x15 point to, about */
#define SPAN 256

static struct context ctx, before;
static u8 mem[SPAN];		/* scratch as it was */
static struct trap t;
static u64 rng = 7;

static void set_up(void)
{
	unsigned i;

	exec_registers(&ctx, &rng);
	for (i = 8; i < 16; i++)
		ctx.x[i] = random64(&rng) % 3 ? (u64)scratch + BASE + random64(&rng) % 64 :
			   edge_value(&rng);
	ctx.sstatus = SSTATUS_SPP;
	fill_scratch(&rng, SPAN);
	memcpy(mem, scratch, SPAN);
	before = ctx;
}

static bool in_scratch(u64 va)
{
	return va >= (u64)scratch && va < (u64)scratch + SPAN - 8;
}

/* The state after insn, or "illegal": compared with what is there. */
static void expect(const char *what, u32 insn, bool legal, unsigned rd, u64 value)
{
	u64 end = ctx.pc + ((insn & 3) == 3 ? 4 : 2);
	unsigned i;

	if (!legal) {
		check_trap(what, &t, 2, ctx.pc, insn);
		return;
	}
	check(t.cause == 3 && t.epc == end, "%s %x: cause %d epc +%x", what, (u64)insn, t.cause,
	      t.epc - ctx.pc);
	if (rd)
		before.x[rd] = value;
	for (i = 1; i < 32; i++)
		check(ctx.x[i] == before.x[i], "%s %x: x%u is %x, not %x", what, (u64)insn, (u64)i,
		      ctx.x[i], before.x[i]);
	check(!memcmp(mem, scratch, SPAN), "%s %x: memory differs", what, (u64)insn);
}

static void memory(u16 c)
{
	unsigned rs1 = 8 + (c >> 7 & 7), r2 = 8 + (c >> 2 & 7), kind = c >> 10 & 7;
	u64 bit5 = c >> 5 & 1, bit6 = c >> 6 & 1, va, off;
	bool legal = kind < 3 || (kind == 3 && !bit6);
	u64 value = 0;

	set_up();
	off = kind == 0 || kind == 2 ? bit5 << 1 | bit6 : bit5 << 1;
	va = ctx.x[rs1] + off;
	if (!in_scratch(va)) {	/* a store there would hit the test itself */
		ctx.x[rs1] = before.x[rs1] = (u64)scratch + BASE + 1;
		va = ctx.x[rs1] + off;
	}
	if (legal && kind >= 2) {
		mem[va - (u64)scratch] = (u8)before.x[r2];
		if (kind == 3)
			mem[va + 1 - (u64)scratch] = (u8)(before.x[r2] >> 8);
	} else {
		value = scratch[va - (u64)scratch];
		if (kind == 1)
			value |= (u64)scratch[va + 1 - (u64)scratch] << 8;
		if (kind == 1 && bit6)
			value = (u64)(s64)(s16)value;
	}
	exec(&ctx, &t, &c, 1);
	expect("load or store", c, legal, legal && kind < 2 ? r2 : 0, value);
}

static void arithmetic(u16 c)
{
	unsigned rd = 8 + (c >> 7 & 7), rs2 = 8 + (c >> 2 & 7), sub = c >> 2 & 7;
	bool legal = true;
	u64 a, v = 0;

	set_up();
	a = ctx.x[rd];
	if (!(c >> 5 & 1)) {
		v = a * ctx.x[rs2];
	} else {
		switch (sub) {
		case 0: v = a & 0xff; break;
		case 1: v = (u64)(s64)(s8)a; break;
		case 2: v = a & 0xffff; break;
		case 3: v = (u64)(s64)(s16)a; break;
		case 4: v = a & 0xffffffff; break;
		case 5: v = ~a; break;
		default: legal = false;
		}
	}
	exec(&ctx, &t, &c, 1);
	expect("arithmetic", c, legal, rd, v);
}

/* 4 in funct3 of SYSTEM: mop.r.n and mop.rr.n write zero, the rest is illegal. */
static void system_word(u32 w)
{
	unsigned rd = w >> 7 & 31;
	bool common = (w >> 31) && !(w >> 28 & 3);
	bool r = (w >> 22 & 15) == 7, rr = w >> 25 & 1;

	set_up();
	exec32(&ctx, &t, w);
	expect("mop", w, common && (r || rr), rd, 0);
}

int main(void)
{
	u32 i, n, k;

	exec_init();
	test_case_self("zcb-memory");
	for (k = 0; k < 4; k++)
		for (i = 0; i < 2048; i++)
			memory((u16)(0x8000 | i << 2));
	test_case_self("zcb-arithmetic");
	for (k = 0; k < 20; k++)
		for (i = 0; i < 128; i++)
			arithmetic((u16)(0x9c41 | (i & 15) << 2 | (i >> 4) << 7));
	/* c.lui with an immediate of zero: c.mop for odd registers below 16, else reserved. */
	test_case_self("zcmop");
	for (i = 1; i < 32; i++) {
		u16 c = (u16)(0x6001 | i << 7);

		if (i == 2)	/* c.addi16sp */
			continue;
		set_up();
		exec(&ctx, &t, &c, 1);
		expect("c.mop", c, i < 16 && (i & 1), 0, 0);
	}
	test_case_self("zimop");
	for (n = 0; n < 32; n++)	/* each by its number, as the manual spreads it */
		for (k = 0; k < 32; k++)
			system_word(0x81c04073 | (n >> 4) << 30 | (n >> 2 & 3) << 26 |
				    (n & 3) << 20 | k << 7 | (31 - k) << 15);
	for (n = 0; n < 8; n++)
		for (k = 0; k < 32; k++)
			system_word(0x82004073 | (n >> 2) << 30 | (n & 3) << 26 | k << 7 |
				    (31 - k) << 15 | (k * 7 & 31) << 20);
	for (i = 0; i < 4000; i++)
		system_word((u32)random64(&rng) << 15 | 0x4073 | (random64(&rng) & 31) << 7);
	return 0;
}
