/* SPDX-License-Identifier: MIT */
/*
 * Random instruction sequences. Every block is made from (seed, block number) alone: registers,
 * memory and about 48 user-level instructions; it runs until its closing ebreak or a trap, and
 * all registers, fcsr, the trap and the memory are hashed. 16 blocks are a group, which runs in
 * one mode: S bare, S paged, U paged, over Sv39, Sv48 and Sv57.
 *
 * params: seed; count: instructions to execute. verbose 1: a hash for each block of group first;
 * verbose 2: block first, step by step: the block cut off after each instruction, with registers.
 *
 * Only what both sides must agree on by the manual is generated: an SC follows its LR with
 * nothing but arithmetic between, AMOs are aligned, jumps go forward except counted loops.
 */
#include "lib/exec.h"

#define GROUP 16
#define MAX_CODE 160
#define ZONE 1024
#define WINDOW_S 0x2000000000ul
#define WINDOW_U 0x2040000000ul

/* x2, x8, x9 point into the zone; x5 and x6 are addresses in the making; x7 counts loops. */
#define SP 2
#define TMP 5
#define LINK 6
#define LOOP 7

static u16 code[MAX_CODE];
static unsigned code_len, steps;
static unsigned step_at[MAX_CODE + 1];
static bool skippable[MAX_CODE];
static bool inner[MAX_CODE];	/* uses the address that the step before has made: no jump to it */
static u64 rng, executed, interrupt_rng;
static bool no_lr_sc;
static struct context ctx;
static struct vm vms[3];
static u8 *half[2];		/* the zone's two halves in physical memory */
static u64 zone_va;

static u32 rnd(u32 n)
{
	return (u32)((random64(&rng) >> 32) * n >> 32);
}

static void emit16(u16 v)
{
	step_at[steps++] = code_len;
	code[code_len++] = v;
}

static void emit(u32 v)
{
	step_at[steps++] = code_len;
	code[code_len++] = (u16)v;
	code[code_len++] = (u16)(v >> 16);
}

/* An instruction that makes sense after the one before it only. */
static void emit_inner(u32 v)
{
	inner[steps] = true;
	emit(v);
}

static u32 any_reg(void)
{
	return rnd(32);
}

static u32 dest_reg(void)
{
	u32 r;

	do {
		r = rnd(32);
	} while (r == SP || r == 8 || r == 9 || r == LOOP);
	return r;
}

static s32 any_imm12(void)
{
	static const s32 edges[] = { 0, 1, -1, 2047, -2048, 7, 8, 63, 64, 255, -256 };

	return rnd(3) ? (s32)rnd(4096) - 2048 : edges[rnd(ARRAY_SIZE(edges))];
}

#define F(f3, f7) ((f3) | (f7) << 3)
static const u16 op33[] = {
	F(0, 0), F(0, 0x20), F(1, 0), F(2, 0), F(3, 0), F(4, 0), F(5, 0), F(5, 0x20), F(6, 0),
	F(7, 0), F(0, 1), F(1, 1), F(2, 1), F(3, 1), F(4, 1), F(5, 1), F(6, 1), F(7, 1),
	F(2, 0x10), F(4, 0x10), F(6, 0x10), F(7, 0x20), F(6, 0x20), F(4, 0x20), F(4, 5), F(5, 5),
	F(6, 5), F(7, 5), F(1, 0x30), F(5, 0x30), F(1, 0x24), F(5, 0x24), F(1, 0x34), F(1, 0x14),
	F(1, 5), F(2, 5), F(3, 5),
	F(4, 4), F(7, 4), F(2, 0x14), F(4, 0x14), F(0, 0x19), F(0, 0x1b), F(0, 0x1d), F(0, 0x1f),
	F(0, 0x3f), F(0, 0x18), F(0, 0x38), F(0, 0x58), F(0, 0x78), F(0, 0x1a), F(0, 0x3a),
	F(0, 0x5a), F(0, 0x7a),
};
static const u16 op3b[] = {
	F(0, 0), F(0, 0x20), F(1, 0), F(5, 0), F(5, 0x20), F(0, 1), F(4, 1), F(5, 1), F(6, 1),
	F(7, 1), F(0, 4), F(2, 0x10), F(4, 0x10), F(6, 0x10), F(1, 0x30), F(5, 0x30),
	F(4, 4),
};

static void gen_register(void)
{
	u16 f = rnd(3) ? op33[rnd(ARRAY_SIZE(op33))] : 0;

	if (f) {
		emit(enc_r(0x33, f & 7, f >> 3, dest_reg(), any_reg(), any_reg()));
		return;
	}
	f = op3b[rnd(ARRAY_SIZE(op3b))];
	emit(enc_r(0x3b, f & 7, f >> 3, dest_reg(), any_reg(), any_reg()));
}

static void gen_immediate(void)
{
	static const u8 f3s[] = { 0, 2, 3, 4, 6, 7 };
	static const u16 unary[] = {
		0x600, 0x601, 0x602, 0x604, 0x605,
		0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x106, 0x107, 0x108, 0x109, 0x300,
		0x310, 0x311, 0x313, 0x319, 0x31a,
	};
	static const u16 right[] = { 0x287, 0x6b8, 0x687 };
	static const struct {
		u8 op, f3;
		u16 imm;
		u8 bits;
	} shifts[] = {
		{ 0x13, 1, 0, 6 }, { 0x13, 5, 0, 6 }, { 0x13, 5, 0x400, 6 }, { 0x13, 5, 0x600, 6 },
		{ 0x13, 1, 0x480, 6 }, { 0x13, 5, 0x480, 6 }, { 0x13, 1, 0x680, 6 },
		{ 0x13, 1, 0x280, 6 }, { 0x1b, 1, 0, 5 }, { 0x1b, 5, 0, 5 }, { 0x1b, 5, 0x400, 5 },
		{ 0x1b, 5, 0x600, 5 }, { 0x1b, 1, 0x080, 6 },
	};
	u32 i;

	switch (rnd(8)) {
	case 0:
		emit(enc_i(0x13, 1, dest_reg(), any_reg(), unary[rnd(ARRAY_SIZE(unary))]));
		break;
	case 1:		/* clzw, cpopw; no ctzw: see insn-int.S */
		emit(rnd(2) ? enc_i(0x1b, 1, dest_reg(), any_reg(), rnd(2) ? 0x600 : 0x602) :
		     enc_i(0x13, 5, dest_reg(), any_reg(), right[rnd(3)]));
		break;
	case 2:
		emit(rnd(2) ? enc_r(0x3b, 4, 4, dest_reg(), any_reg(), 0) :
		     enc_i(0x1b, 0, dest_reg(), any_reg(), any_imm12()));
		break;
	case 3:
		emit((rnd(2) ? 0x37 : 0x17) | dest_reg() << 7 | rnd(1 << 20) << 12);
		break;
	case 4:
	case 5:
		i = rnd(ARRAY_SIZE(shifts));
		emit(enc_i(shifts[i].op, shifts[i].f3, dest_reg(), any_reg(),
			   (s32)(shifts[i].imm | rnd(1u << shifts[i].bits))));
		break;
	default:
		emit(enc_i(0x13, f3s[rnd(6)], dest_reg(), any_reg(), any_imm12()));
	}
}

static u32 any_rm(void)
{
	u32 r = rnd(1024);

	return r < 4 ? 5 + (r & 1) : r < 400 ? 7 : r % 5;
}

static void gen_float(void)
{
	u32 fmt = rnd(3), from;

	switch (rnd(12)) {
	case 0:
	case 1:
	case 2:
		emit(enc_r(0x53, any_rm(), (rnd(4) << 2) | fmt, rnd(32), rnd(32), rnd(32)));
		break;
	case 3:
	case 4:
		emit(enc_r(0x43 | rnd(4) << 2, any_rm(), rnd(32) << 2 | fmt, rnd(32), rnd(32), rnd(32)));
		break;
	case 5:
		from = (fmt + 1 + rnd(2)) % 3;
		emit(rnd(3) ? enc_r(0x53, any_rm(), 0x2c | fmt, rnd(32), rnd(32), 0) :
		     enc_r(0x53, any_rm(), 0x20 | fmt, rnd(32), rnd(32), from));
		break;
	case 6:
		emit(enc_r(0x53, rnd(3), 0x10 | fmt, rnd(32), rnd(32), rnd(32)));
		break;
	case 7:
		emit(enc_r(0x53, rnd(2), 0x14 | fmt, rnd(32), rnd(32), rnd(32)));
		break;
	case 8:
		emit(enc_r(0x53, rnd(3), 0x50 | fmt, dest_reg(), rnd(32), rnd(32)));
		break;
	case 9:
		emit(enc_r(0x53, any_rm(), 0x60 | fmt, dest_reg(), rnd(32), rnd(4)));
		break;
	case 10:
		emit(enc_r(0x53, any_rm(), 0x68 | fmt, rnd(32), any_reg(), rnd(4)));
		break;
	default:
		emit(rnd(2) ? enc_r(0x53, rnd(2), 0x70 | fmt, dest_reg(), rnd(32), 0) :
		     enc_r(0x53, 0, 0x78 | fmt, rnd(32), any_reg(), 0));
	}
}

static void gen_csr(void)
{
	u32 f3 = (const u8[]){ 1, 2, 3, 5, 6, 7 }[rnd(6)];

	emit(0x73 | dest_reg() << 7 | f3 << 12 | any_reg() << 15 | (1 + rnd(3)) << 20);
	/* Mostly back to a valid frm, or every dynamic operation from here on would trap. */
	if (rnd(8))
		emit(0x73 | 5 << 12 | rnd(5) << 15 | 2 << 20);	/* csrwi frm */
}

static u32 base_reg(void)
{
	return 8 + rnd(2);
}

static void gen_memory(void)
{
	s32 imm = rnd(3) ? (s32)rnd(480) - 240 : ((s32)rnd(480) - 240) & ~7;

	switch (rnd(4)) {
	case 0:
		emit(enc_i(0x03, rnd(7), dest_reg(), base_reg(), imm));
		break;
	case 1:
		emit(enc_s(0x23, rnd(4), base_reg(), any_reg(), imm));
		break;
	case 2:
		emit(enc_i(0x07, 1 + rnd(3), rnd(32), base_reg(), imm));
		break;
	default:
		emit(enc_s(0x27, 1 + rnd(3), base_reg(), rnd(32), imm));
	}
}

static void gen_atomic(void)
{
	static const u8 f5s[] = { 0, 1, 4, 8, 12, 16, 20, 24, 28 };
	u32 f3 = 2 + rnd(2), aqrl = rnd(4), n;

	emit(enc_i(0x13, 0, TMP, base_reg(), ((s32)rnd(480) - 240) & (f3 == 3 ? ~7 : ~3)));
	if (rnd(4) || no_lr_sc) {
		emit_inner(enc_r(0x2f, f3, (u32)f5s[rnd(9)] << 2 | aqrl, dest_reg(), TMP, any_reg()));
		return;
	}
	/* LR, a little arithmetic that leaves the address alone, SC; sometimes an SC too many. */
	emit_inner(enc_r(0x2f, f3, 2 << 2 | (aqrl & 2), 10, TMP, 0));
	for (n = rnd(3); n; n--)
		emit_inner(enc_r(0x33, 0, rnd(2) << 5, 11, 10, any_reg()));
	emit_inner(enc_r(0x2f, f3, 3 << 2 | (aqrl & 1), 12, TMP, rnd(2) ? 11 : any_reg()));
	if (!rnd(4))
		emit_inner(enc_r(0x2f, f3, 3 << 2, 13, TMP, any_reg()));
}

/* A 16-bit arithmetic instruction, not reserved, that leaves the pointers alone. */
static void gen_compressed(void)
{
	u32 v, f3, rd, rdc;

	for (;;) {
		v = rnd(0x10000);
		f3 = v >> 13;
		rd = v >> 7 & 31;
		rdc = 8 + (v >> 7 & 7);
		if (rnd(3) == 0) {		/* c.mv, c.add */
			v = 0x8002 | (v & 0x1ffc);
			if (!(v >> 2 & 31))
				continue;
		} else if (rnd(8) == 0) {	/* c.slli */
			v = 0x0002 | (v & 0x1ffc);
		} else if (rnd(8) == 0) {	/* c.addi4spn */
			v &= 0x1ffc;
			rd = 8 + (v >> 2 & 7);
			if (!(v >> 5))
				continue;
		} else {
			v = 0x0001 | (v & 0xfffc);
			if (f3 > 4 || (f3 == 1 && !rd) || (f3 == 3 && !(v & 0x107c)))
				continue;
			if (f3 == 4) {
				rd = rdc;
				if ((v & 0x1c40) == 0x1c40)
					continue;
			}
		}
		if (rd == SP || rd == 8 || rd == 9 || rd == LOOP)
			continue;
		emit16((u16)v);
		return;
	}
}

static void gen_compressed_memory(void)
{
	static const u16 ops[] = { 0x2000, 0x4000, 0x6000, 0xa000, 0xc000, 0xe000 };
	u32 v, rd;

	if (rnd(2)) {		/* x8 or x9 with a scaled offset; integer loads to x10..x15 */
		v = ops[rnd(6)] | rnd(2) << 7 | (rnd(64) & 7) << 10 | rnd(4) << 5 | (2 + rnd(6)) << 2;
		emit16((u16)v);
		return;
	}
	v = ops[rnd(6)];
	if (v & 0x8000) {	/* c.fsdsp, c.swsp, c.sdsp */
		v |= rnd(64) << 7 | rnd(32) << 2;
		v &= 0xe000 == (v & 0xe000) || 0xa000 == (v & 0xe000) ? ~(1u << 9) : ~(1u << 8);
	} else {
		do {
			rd = dest_reg();
		} while (!rd);
		v |= rnd(2) << 12 | rd << 7 | (rnd(32) & 0x1c) << 2;
	}
	emit16((u16)(v | 2));
}

/* The distance from code[from] to the instruction n steps further on is known at the end only. */
static struct fixup {
	unsigned at, target_step;
	enum { FIX_B, FIX_J, FIX_JALR, FIX_CB, FIX_CJ } kind;
	unsigned base;		/* FIX_JALR: where its auipc is */
} fixups[MAX_CODE];
static unsigned nfixups;

static void add_fixup(unsigned kind, unsigned skip, unsigned base)
{
	unsigned i;

	fixups[nfixups++] = (struct fixup){ step_at[steps - 1], steps + skip, kind, base };
	for (i = 0; i < skip && steps + i < MAX_CODE; i++)
		skippable[steps + i] = true;
}

static void gen_jump(void)
{
	static const u8 f3s[] = { 0, 1, 4, 5, 6, 7 };
	unsigned skip = rnd(6), base;

	switch (rnd(6)) {
	case 0:
	case 1:
		emit(enc_b(f3s[rnd(6)], any_reg(), any_reg(), 0));
		add_fixup(FIX_B, skip, 0);
		break;
	case 2:
		emit(0x6f | dest_reg() << 7);
		add_fixup(FIX_J, skip, 0);
		break;
	case 3:
		base = code_len;
		emit(0x17 | LINK << 7);				/* auipc x6, 0 */
		emit_inner(enc_i(0x67, 0, dest_reg(), LINK, 0));
		add_fixup(FIX_JALR, skip, base);
		break;
	case 4:
		emit16((u16)(0xc001 | rnd(2) << 13 | rnd(8) << 7));	/* c.beqz, c.bnez */
		add_fixup(FIX_CB, skip, 0);
		break;
	default:
		emit16(0xa001);						/* c.j */
		add_fixup(FIX_CJ, skip, 0);
	}
}

static void apply_fixups(void)
{
	unsigned i;

	for (i = 0; i < nfixups; i++) {
		struct fixup *f = &fixups[i];
		unsigned step = f->target_step < steps ? f->target_step : steps, to;
		u32 d, v = code[f->at] | (u32)code[f->at + 1] << 16;

		while (step < steps && inner[step])
			step++;
		to = step_at[step];
		d = 2 * (to - f->at);
		switch (f->kind) {
		case FIX_B:
			v |= enc_b(0, 0, 0, (s32)d) & ~0x7fu;
			break;
		case FIX_J:
			v |= (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20;
			break;
		case FIX_JALR:
			v |= 2 * (to - f->base) << 20;
			break;
		case FIX_CB:
			code[f->at] |= (u16)((d >> 1 & 3) << 3 | (d >> 3 & 3) << 10 | (d >> 5 & 1) << 2 |
					     (d >> 6 & 3) << 5);
			continue;
		case FIX_CJ:
			code[f->at] |= (u16)((d >> 1 & 7) << 3 | (d >> 4 & 1) << 11 | (d >> 5 & 1) << 2 |
					     (d >> 6 & 1) << 7 | (d >> 7 & 1) << 6 | (d >> 8 & 3) << 9);
			continue;
		}
		code[f->at] = (u16)v;
		code[f->at + 1] = (u16)(v >> 16);
	}
}

static void gen_one(void)
{
	u32 r = rnd(100);

	if (r < 22)
		gen_register();
	else if (r < 36)
		gen_immediate();
	else if (r < 54)
		gen_float();
	else if (r < 57)
		gen_csr();
	else if (r < 71)
		gen_memory();
	else if (r < 75)
		gen_atomic();
	else if (r < 85)
		gen_compressed();
	else if (r < 91)
		gen_compressed_memory();
	else if (r < 92)
		emit(0x0ff0000f);	/* fence */
	else
		gen_jump();
}

static void generate(u64 block)
{
	unsigned loop = ~0u, loop_to = 0, want, i, trips = 0;

	rng = params.seed * 0x9e3779b97f4a7c15ul ^ block * 0xd1342543de82ef95ul;
	random64(&rng);
	code_len = steps = nfixups = 0;
	for (i = 0; i < MAX_CODE; i++)
		skippable[i] = inner[i] = false;
	want = 40 + rnd(16);
	if (rnd(4) == 0)
		loop = want - 8 - rnd(16);
	while (steps < want) {
		if (steps >= loop) {
			loop = ~0u;
			trips = 2 + rnd(3);
			emit(enc_i(0x13, 0, LOOP, 0, (s32)trips));
			loop_to = code_len;
		}
		gen_one();
	}
	if (trips) {
		/* No jump may pass over the decrement, or the loop need not end. */
		for (i = 0; i < nfixups; i++)
			if (fixups[i].target_step > steps)
				fixups[i].target_step = steps;
		emit(enc_i(0x13, 0, LOOP, LOOP, -1));
		emit(enc_b(5, 0, LOOP, 0));	/* bge x0, x7, +8: over the jump back */
		fixups[nfixups++] = (struct fixup){ step_at[steps - 1], steps + 1, FIX_B, 0 };
		i = code_len;
		emit(enc_b(0, 0, 0, ((s32)loop_to - (s32)i) * 2));
	}
	step_at[steps] = code_len;
	apply_fixups();
}

/* What was surely executed: steps that no jump passes over, up to where the block ended. */
static u64 count_executed(const struct trap *t)
{
	u64 end = (t->epc - ctx.pc) / 2, n = 0;
	unsigned i;

	for (i = 0; i < steps && step_at[i] < end; i++)
		n += !skippable[i];
	return n;
}

static void set_state(u64 block, unsigned mode)
{
	u64 r = block * 31 + params.seed;
	unsigned i, k;

	exec_registers(&ctx, &r);
	ctx.x[SP] = zone_va;
	ctx.x[8] = zone_va + 256;
	ctx.x[9] = zone_va + 640;
	ctx.x[LOOP] = 1;
	ctx.sstatus = mode < 2 ? SSTATUS_SPP : 0;
	for (k = 0; k < 2; k++)
		for (i = 0; i < ZONE / 2; i += 8)
			*(u64 *)&half[k][i] = i & 8 ? edge_value(&r) : edge_float(&r);
}

static u64 state_hash(const struct trap *t)
{
	u64 h = exec_hash(&ctx, t);

	h = hash_bytes(h, half[0], ZONE / 2);
	return hash_bytes(h, half[1], ZONE / 2);
}

static u64 run_block(u64 block, unsigned mode, unsigned length, struct trap *t)
{
	set_state(block, mode);
	exec(&ctx, t, code, length);
	return state_hash(t);
}

static void show_steps(u64 block, unsigned mode)
{
	struct trap t;
	unsigned i, k;
	u64 h;

	set_state(block, mode);
	for (k = 0; k < 32; k++)
		print("  before x%u %x f%u %x\n", (u64)k, ctx.x[k], (u64)k, ctx.f[k]);
	print("  before fcsr %x zone %x\n", ctx.fcsr, zone_va);
	for (i = 1; i <= steps; i++) {
		h = run_block(block, mode, step_at[i], &t);
		print("  step %u %w code", (u64)i, h);
		for (k = step_at[i - 1]; k < step_at[i]; k++)
			print(" %c%c%c%c", HEX4(code[k]));
		print("\n  trap %d epc %x tval %x fcsr %x\n", t.cause, t.epc,
		      t.cause == 3 ? 0 : t.tval, ctx.fcsr);
		for (k = 1; k < 32; k++)
			print("  x%u %x\n", (u64)k, ctx.x[k]);
		for (k = 0; k < 32; k++)
			print("  f%u %x\n", (u64)k, ctx.f[k]);
		print("  zone %x %x\n", hash_bytes(0, half[0], ZONE / 2),
		      hash_bytes(0, half[1], ZONE / 2));
	}
}

static unsigned enter_mode(u64 group)
{
	unsigned mode = group % 3, levels = group / 3 % 3;

	if (mode == 0) {
		vm_off();
		zone_va = (u64)scratch + 4096 - ZONE / 2;
		half[0] = scratch + 4096 - ZONE / 2;
		half[1] = scratch + 4096;
		return mode;
	}
	vm_on(&vms[levels], 0);
	zone_va = (mode == 1 ? WINDOW_S : WINDOW_U) + 4096 - ZONE / 2;
	half[0] = scratch + 8192 - ZONE / 2;
	half[1] = scratch;
	return mode;
}

/*
 * Interrupts leave no trace: blocks run with the timer firing again and again must end as they
 * do without. LR/SC is left out, an interrupt may make an SC fail.
 */
static void on_timer(struct hart *h, u64 cause)
{
	(void)h;
	(void)cause;
	csr_write(stimecmp, csr_read(time) + 1 + random64(&interrupt_rng) % 30);
}

static void run_interrupted(void)
{
	struct hart *h = this_hart();
	u64 block, bad = 0, want;
	struct trap t;
	unsigned mode, i;

	test_case_self("random-seed%u-interrupts", params.seed);
	h->irq = on_timer;
	h->irq_count[IRQ_S_TIMER] = 0;
	interrupt_rng = params.seed;
	no_lr_sc = true;
	for (block = 0; block < 1200; block++) {
		mode = enter_mode(block / GROUP);
		generate(block + 1000000);
		want = run_block(block, mode, code_len, &t);
		for (i = 0; i < 3; i++) {
			set_state(block, mode);
			ctx.sstatus |= SSTATUS_SPIE;
			csr_write(stimecmp, csr_read(time) + 40 + random64(&interrupt_rng) % 30);
			csr_write(sie, BIT(IRQ_S_TIMER));
			exec(&ctx, &t, code, code_len);
			csr_write(sie, 0);
			csr_write(stimecmp, ~0ul);
			if (state_hash(&t) != want && bad++ < 4)
				print("  FAIL block %u mode %u ended otherwise under interrupts\n",
				      block, (u64)mode);
		}
	}
	vm_off();
	check(h->irq_count[IRQ_S_TIMER] > 20, "only %u interrupts came", h->irq_count[IRQ_S_TIMER]);
	no_lr_sc = false;
}

int main(void)
{
	u64 group = 0, last = ~0ul, block, want = params.count ? params.count : 100000;
	unsigned i, mode;
	struct trap t;
	u64 h, one, early = 0;

	exec_init();
	for (i = 0; i < 3; i++) {
		u64 flags = PTE_R | PTE_W | PTE_AD;

		vm_init(&vms[i], i + 3);
		vm_map(&vms[i], WINDOW_S, (u64)scratch + 4096, flags, 0);
		vm_map(&vms[i], WINDOW_S + 4096, (u64)scratch, flags, 0);
		vm_map(&vms[i], WINDOW_U, (u64)scratch + 4096, flags | PTE_U, 0);
		vm_map(&vms[i], WINDOW_U + 4096, (u64)scratch, flags | PTE_U, 0);
	}
	test_case("random-seed%u", params.seed);
	if (params.verbose == 2)
		group = last = params.first / GROUP;
	else if (params.verbose)
		group = last = params.first;
	for (; group <= last && executed < want; group++) {
		mode = enter_mode(group);
		h = 0;
		for (block = group * GROUP; block < (group + 1) * GROUP; block++) {
			generate(block);
			if (params.verbose == 2 && block == params.first)
				show_steps(block, mode);
			one = run_block(block, mode, code_len, &t);
			h = hash(h, one);
			executed += count_executed(&t);
			early += t.cause != 3;
			if (params.verbose == 1)
				print("  block %u mode %u trap %d %w, the code's %w\n", block,
				      (u64)mode, t.cause, one, hash_bytes(0, code, sizeof(code)));
		}
		print("  group %u %w\n", group, h);
	}
	vm_off();
	if (!params.verbose)
		print("  %u instructions or more in %u blocks, of which %u ended in a trap\n",
		      executed, group * GROUP, early);
	if (!params.verbose)
		run_interrupted();
	return 0;
}
