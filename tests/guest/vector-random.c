/* SPDX-License-Identifier: MIT */
/*
 * Random vector instructions. As in random.c every block follows from (seed, block number) alone:
 * all registers, two pages of memory, about 40 vector instructions and the vset* between them. An
 * instruction that traps is recorded with its vstart and passed over, so that a block always runs
 * to its closing ebreak; then all state is hashed. 16 blocks are a group, in S or U mode, paged.
 *
 * params: as for random.c.
 *
 * Base registers point into a window of two pages with nothing around it; indices and strides take
 * accesses out of it, which are page faults. What QEMU 7.2 cannot be compared in is named in
 * README.md, and left out here by a comment that begins with "Not".
 */
#include "lib/exec.h"
#include "lib/vector.h"

#define GROUP 16
#define MAX_STEPS 96
#define WINDOW_S 0x2000000000ul
#define WINDOW_U 0x2040000000ul
#define PAGES 8192

#define TMP 5			/* strides and vector lengths in the making */

static u32 code[MAX_STEPS];
static unsigned steps;
static u64 rng, executed;
static struct context ctx;
static struct vm vms[3];
static struct vector_state vs;
static struct {
	u64 cause, epc, tval, vstart;
} traps[MAX_STEPS];
static unsigned ntraps;
static u8 *half[2];
static u64 window;

/* What the generator knows of vtype: vl -1 if it cannot. */
static struct {
	bool vill;
	u32 sew;
	s32 lmul;
	s32 vl;
} now;

static u32 rnd(u32 n)
{
	return (u32)((random64(&rng) >> 32) * n >> 32);
}

static void emit(u32 v)
{
	code[steps++] = v;
}

static u32 dest_reg(void)
{
	u32 r;

	do {
		r = rnd(32);
	} while (r == 2 || r == 8 || r == 9 || r == TMP);
	return r;
}

/* A register number fit for a group of 1 << lmul, mostly. */
static u32 vreg(s32 lmul)
{
	u32 r = rnd(32);

	if (lmul > 3)
		lmul = 3;
	return lmul > 0 && rnd(32) ? r & ~((1u << lmul) - 1) : r;
}

static u32 opv(u32 f6, u32 f3, u32 vd, u32 a, u32 vs2, u32 vm)
{
	return 0x57 | vd << 7 | f3 << 12 | a << 15 | vs2 << 20 | vm << 25 | f6 << 26;
}

static void gen_vset(void)
{
	u32 sew = rnd(4), lmul = rnd(8), type, avl, rd = dest_reg();
	s32 l;

	if (lmul == 4 && rnd(8))
		lmul = 0;
	l = lmul > 4 ? (s32)lmul - 8 : (s32)lmul;
	if (l < 0 && (8u << sew) > (64u >> -l) && rnd(8))
		sew = 0;
	type = lmul | sew << 3 | rnd(4) << 6;
	if (!rnd(64))
		type |= 1u << (8 + rnd(3));
	now.vill = type >> 8 || lmul == 4 || (l < 0 && (8u << sew) > (64u >> -l));
	now.sew = sew;
	now.lmul = l;
	switch (rnd(6)) {
	case 0:
		avl = rnd(32);
		emit(0x57 | rd << 7 | 7 << 12 | avl << 15 | (type & 0x3ff) << 20 | 3u << 30);
		now.vill = now.vill && (type & 0x3ff) == type;
		now.vl = (s32)avl;
		break;
	case 1:
		emit(0x57 | rd << 7 | 7 << 12 | rnd(32) << 15 | type << 20);
		now.vl = -1;
		break;
	case 2:		/* the longest */
		emit(0x57 | (rd ? rd : 10) << 7 | 7 << 12 | type << 20);
		now.vl = 1000;
		break;
	case 3:
		emit(enc_i(0x13, 0, TMP, 0, (s32)type));
		emit(0x57 | rd << 7 | 7 << 12 | (rnd(4) ? 9u : 0) << 15 | TMP << 20 | 0x40u << 25);
		now.vl = -1;
		break;
	default:
		avl = rnd(140);
		emit(enc_i(0x13, 0, TMP, 0, (s32)avl));
		emit(0x57 | rd << 7 | 7 << 12 | TMP << 15 | type << 20);
		now.vl = (s32)avl;
	}
	if (now.vl >= 0) {
		s32 vlmax = now.lmul >= 0 ? (s32)(vector_vlenb() >> now.sew) << now.lmul :
					    (s32)(vector_vlenb() >> now.sew) >> -now.lmul;

		if (now.vl > vlmax)
			now.vl = vlmax;
	}
}

/* What widths an instruction has, for the choice of registers: vd, vs2, vs1 beside LMUL. */
enum { SAME, WIDE, WIDE2, NARROW, MASKD, MASKS, REDN };
struct form {
	u8 f6, cats, kind;	/* cats: BIT(funct3) */
};
#define V 1
#define X 16
#define I 8
#define MV 4
#define MX 64
#define FV 2
#define FX 32

static const struct form forms[] = {
	{ 0x00, V | X | I, SAME }, { 0x02, V | X, SAME }, { 0x03, X | I, SAME }, { 0x04, V | X, SAME },
	{ 0x05, V | X, SAME }, { 0x06, V | X, SAME }, { 0x07, V | X, SAME }, { 0x09, V | X | I, SAME },
	{ 0x0a, V | X | I, SAME }, { 0x0b, V | X | I, SAME }, { 0x0c, V | X | I, SAME },
	{ 0x0e, V | X | I, SAME }, { 0x0f, X | I, SAME }, { 0x10, V | X | I, SAME },
	{ 0x11, V | X | I, MASKD }, { 0x12, V | X, SAME }, { 0x13, V | X, MASKD },
	{ 0x17, V | X | I, SAME }, { 0x18, V | X | I, MASKD }, { 0x19, V | X | I, MASKD },
	{ 0x1a, V | X, MASKD }, { 0x1b, V | X, MASKD }, { 0x1c, V | X | I, MASKD },
	{ 0x1d, V | X | I, MASKD }, { 0x1e, X | I, MASKD }, { 0x1f, X | I, MASKD },
	{ 0x20, V | X | I, SAME }, { 0x21, V | X | I, SAME }, { 0x22, V | X, SAME },
	{ 0x23, V | X, SAME }, { 0x25, V | X | I, SAME }, { 0x27, V | X, SAME },
	{ 0x28, V | X | I, SAME }, { 0x29, V | X | I, SAME }, { 0x2a, V | X | I, SAME },
	{ 0x2b, V | X | I, SAME }, { 0x2c, V | X | I, NARROW }, { 0x2d, V | X | I, NARROW },
	{ 0x2e, V | X | I, NARROW }, { 0x2f, V | X | I, NARROW }, { 0x30, V, REDN }, { 0x31, V, REDN },
	{ 0x00, MV, REDN }, { 0x01, MV, REDN }, { 0x02, MV, REDN }, { 0x03, MV, REDN },
	{ 0x04, MV, REDN }, { 0x05, MV, REDN }, { 0x06, MV, REDN }, { 0x07, MV, REDN },
	{ 0x08, MV | MX, SAME }, { 0x09, MV | MX, SAME }, { 0x0a, MV | MX, SAME },
	{ 0x0b, MV | MX, SAME }, { 0x0e, MX, SAME }, { 0x0f, MX, SAME },
	{ 0x18, MV, MASKS }, { 0x19, MV, MASKS }, { 0x1a, MV, MASKS }, { 0x1b, MV, MASKS },
	{ 0x1c, MV, MASKS }, { 0x1d, MV, MASKS }, { 0x1e, MV, MASKS }, { 0x1f, MV, MASKS },
	{ 0x20, MV | MX, SAME }, { 0x21, MV | MX, SAME }, { 0x22, MV | MX, SAME },
	{ 0x23, MV | MX, SAME }, { 0x24, MV | MX, SAME }, { 0x25, MV | MX, SAME },
	{ 0x26, MV | MX, SAME }, { 0x27, MV | MX, SAME }, { 0x29, MV | MX, SAME },
	{ 0x2b, MV | MX, SAME }, { 0x2d, MV | MX, SAME }, { 0x2f, MV | MX, SAME },
	{ 0x30, MV | MX, WIDE }, { 0x31, MV | MX, WIDE }, { 0x32, MV | MX, WIDE },
	{ 0x33, MV | MX, WIDE }, { 0x34, MV | MX, WIDE2 }, { 0x35, MV | MX, WIDE2 },
	{ 0x36, MV | MX, WIDE2 }, { 0x37, MV | MX, WIDE2 }, { 0x38, MV | MX, WIDE },
	{ 0x3a, MV | MX, WIDE }, { 0x3b, MV | MX, WIDE }, { 0x3c, MV | MX, WIDE },
	{ 0x3d, MV | MX, WIDE }, { 0x3e, MX, WIDE }, { 0x3f, MV | MX, WIDE },
};

static const struct form fp_forms[] = {
	{ 0x00, FV | FX, SAME }, { 0x01, FV, REDN }, { 0x02, FV | FX, SAME }, { 0x03, FV, REDN },
	{ 0x04, FV | FX, SAME }, { 0x05, FV, REDN }, { 0x06, FV | FX, SAME }, { 0x07, FV, REDN },
	{ 0x08, FV | FX, SAME }, { 0x09, FV | FX, SAME }, { 0x0a, FV | FX, SAME }, { 0x0e, FX, SAME },
	{ 0x0f, FX, SAME }, { 0x17, FX, SAME }, { 0x18, FV | FX, MASKD }, { 0x19, FV | FX, MASKD },
	{ 0x1b, FV | FX, MASKD }, { 0x1c, FV | FX, MASKD }, { 0x1d, FX, MASKD }, { 0x1f, FX, MASKD },
	{ 0x20, FV | FX, SAME }, { 0x21, FX, SAME }, { 0x24, FV | FX, SAME }, { 0x27, FX, SAME },
	{ 0x28, FV | FX, SAME }, { 0x29, FV | FX, SAME }, { 0x2a, FV | FX, SAME },
	{ 0x2b, FV | FX, SAME }, { 0x2c, FV | FX, SAME }, { 0x2d, FV | FX, SAME },
	{ 0x2e, FV | FX, SAME }, { 0x2f, FV | FX, SAME }, { 0x30, FV | FX, WIDE }, { 0x31, FV, REDN },
	{ 0x32, FV | FX, WIDE }, { 0x33, FV, REDN }, { 0x34, FV | FX, WIDE2 },
	{ 0x36, FV | FX, WIDE2 }, { 0x38, FV | FX, WIDE }, { 0x3c, FV | FX, WIDE },
	{ 0x3d, FV | FX, WIDE }, { 0x3e, FV | FX, WIDE }, { 0x3f, FV | FX, WIDE },
};

static u32 mask_bit(void)
{
	return rnd(3) != 0;
}

static void gen_table(const struct form *t, unsigned n)
{
	const struct form *f = &t[rnd(n)];
	s32 l = now.lmul, l1 = l;
	u32 f3, vd, vs1, vs2, vm = mask_bit();

	do {
		f3 = rnd(7);
	} while (!(f->cats >> f3 & 1));
	switch (f->kind) {
	case WIDE: vd = vreg(l + 1); vs2 = vreg(l); break;
	case WIDE2: vd = vreg(l + 1); vs2 = rnd(4) ? vreg(l + 1) : vd; break;
	case NARROW: vd = vreg(l); vs2 = vreg(l + 1); break;
	case MASKD: vd = rnd(32); vs2 = vreg(l); break;
	/* Not with vm = 0, which is reserved (15.1) and which QEMU executes. */
	case MASKS: vd = rnd(32); vs2 = rnd(32); l1 = 0; vm = 1; break;
	case REDN: vd = rnd(32); vs2 = vreg(l); l1 = 0; break;
	default: vd = vreg(l); vs2 = vreg(l);
	}
	vs1 = vreg(l1);
	if (f3 >= 3)
		vs1 = rnd(32);
	/* vadc and vsbc want a mask; vmv.v.* no vs2, vmerge a mask. */
	if ((f->cats & V || f->cats & X) && (f->f6 == 0x10 || f->f6 == 0x12) && !(f->cats & (MV | FV)))
		vm = !rnd(16);
	if (f->f6 == 0x17 && vm && rnd(16))
		vs2 = 0;
	emit(opv(f->f6, f3, vd, vs1, vs2, vm));
}

static void gen_unary(void)
{
	static const u8 fcvts[] = { 0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21,
				    22, 23 };
	/* Between 8-bit integers and half precision: all that is there at SEW 8. */
	static const u8 bytes[] = { 10, 11, 16, 17, 22, 23 };
	static const u8 fun[] = { 0, 4, 5, 16 };
	s32 l = now.lmul;
	u32 i, sub, vm = mask_bit();

	i = rnd(14);
	switch (i) {
	case 0:
	case 1:
		sub = 2 + rnd(6);
		emit(opv(0x12, 2, vreg(l), sub, vreg(l - (sub < 4 ? 3 : sub < 6 ? 2 : 1)), vm));
		break;
	case 2:
	case 3:
	case 4:
		sub = now.sew == 0 && rnd(16) ? bytes[rnd(ARRAY_SIZE(bytes))] :
						fcvts[rnd(ARRAY_SIZE(fcvts))];
		/* Not alone: QEMU aborts in a static rounding mode unless a dynamic one came before. */
		if ((sub & 6) == 6 || sub == 21)
			emit(enc_r(0x53, 7, 0, rnd(32), rnd(32), rnd(32)));
		emit(opv(0x12, 1, vreg(l + (sub >= 8 && sub < 16)), sub, vreg(l + (sub >= 16)), vm));
		break;
	case 5:
	case 6:
		emit(opv(0x13, 1, vreg(l), fun[rnd(4)], vreg(l), vm));
		break;
	case 7:
		emit(opv(0x14, 2, rnd(32), 1 + rnd(3), rnd(32), vm));
		break;
	case 8:
		emit(rnd(2) ? opv(0x14, 2, vreg(l), 16, rnd(32), vm) :
			      opv(0x14, 2, vreg(l), 17, 0, vm));
		break;
	case 9:
		emit(opv(0x17, 2, vreg(l), rnd(32), vreg(l), 1));
		break;
	case 10:
		emit(opv(0x10, 2, dest_reg(), 16 + rnd(2), rnd(32), vm));
		break;
	case 11:
		emit(rnd(2) ? opv(0x10, 2, dest_reg(), 0, rnd(32), 1) :
			      opv(0x10, 6, rnd(32), rnd(32), 0, 1));
		break;
	case 12:
		emit(rnd(2) ? opv(0x10, 1, rnd(32), 0, rnd(32), 1) :
			      opv(0x10, 5, rnd(32), rnd(32), 0, 1));
		break;
	default:
		sub = 1u << rnd(4);
		emit(opv(0x27, 3, rnd(32) & -sub, sub - 1, rnd(32) & -sub, 1));
	}
}

static void gen_memory(void)
{
	static const u8 widths[] = { 0, 5, 6, 7 };
	u32 store = rnd(2), w = rnd(4), mop = rnd(4), nf = rnd(2) ? 0 : rnd(8), vm = mask_bit();
	u32 rs1 = 8 + rnd(2), rs2 = 0, v;
	s32 emul = (s32)w - (s32)now.sew + now.lmul;

	if (mop & 1)		/* the indices' width is w */
		emul = now.lmul;
	/* Groups that are too many or too wide are reserved: not always. */
	if (rnd(16)) {
		while (nf && emul > 0 && (nf + 1) << emul > 8)
			nf--;
		if (!(mop & 1) && (emul < -3 || emul > 3)) {
			w = now.sew;
			emul = now.lmul;
		}
	}
	v = vreg(emul);
	if (!(mop & 1) && emul <= 0 && v + nf > 31 && rnd(16))
		v = rnd(32 - nf);
	if (mop == 0) {
		switch (rnd(8)) {
		case 0:
			rs2 = 0x0b;
			vm = 1;
			w = nf = 0;
			break;
		case 1:
			rs2 = 8;
			vm = 1;
			nf = (1u << rnd(4)) - 1;
			v &= ~nf;
			if (store)
				w = 0;
			break;
		case 2:
		case 3:
			rs2 = store ? 0 : 0x10;
			break;
		}
		if (rs2 == 0x10)
			now.vl = -1;
	} else if (mop == 2) {
		rs2 = TMP;
		emit(enc_i(0x13, 0, TMP, 0, rnd(4) ? (s32)rnd(81) - 40 : (s32)rnd(4096) - 2048));
	} else {
		rs2 = vreg((s32)w - (s32)now.sew + now.lmul);
	}
	emit((store ? 0x27 : 7) | v << 7 | (u32)widths[w] << 12 | rs1 << 15 | rs2 << 20 | vm << 25 |
	     mop << 26 | nf << 29);
}

static void gen_csr(void)
{
	static const u16 csrs[] = { 0x009, 0x00a, 0x00f, 0x009, 0xc20, 0xc21, 0xc22, 0x003 };
	u32 csr = csrs[rnd(ARRAY_SIZE(csrs))], imm;

	if (csr == 3) {
		emit(0x73 | dest_reg() << 7 | 5 << 12 | rnd(32) << 15 | 1 << 20);	/* fflags */
		emit(0x73 | 5 << 12 | rnd(5) << 15 | 2 << 20);				/* frm */
		return;
	}
	/* Not with bits that are not there: QEMU keeps them. */
	imm = rnd(32) & (csr == 9 ? 1 : csr == 10 ? 3 : 7);
	emit(0x73 | dest_reg() << 7 | (csr >= 0xc00 ? 2u << 12 : (5u + rnd(3)) << 12 | imm << 15) |
	     csr << 20);
}

static void gen_one(void)
{
	u32 r = rnd(100);
	bool started = false;

	if (now.vill && rnd(4)) {
		gen_vset();
		return;
	}
	/*
	 * Not with vstart >= vl, nor before vmv.x.s and its like: QEMU leaves vstart then, which
	 * 3.7 has reset.
	 */
	if (!rnd(24) && now.vl > 1 && !now.vill) {
		emit(0x73 | 5 << 12 | rnd(now.vl < 31 ? (u32)now.vl : 31) << 15 | 8 << 20);
		r = (const u8[]){ 20, 50, 80 }[rnd(3)];
		started = true;
	}
	if (r < 14)
		gen_vset();
	else if (r < 44)
		gen_table(forms, ARRAY_SIZE(forms));
	else if (r < 58)
		gen_table(fp_forms, ARRAY_SIZE(fp_forms));
	else if (r < 74)
		gen_unary();
	else if (r < 96)
		gen_memory();
	else
		gen_csr();
	/* Not without a CSR write behind it: QEMU thinks of vstart as it was when it translated. */
	if (started) {
		u32 c = code[steps - 1], op = c & 0x7f, rs2 = c >> 20 & 31;

		/* Not vslideup by vl or more, nor registers or masks shorter than vl: the same. */
		if ((c >> 26 == 0x0e && op == 0x57) ||
		    ((op == 7 || op == 0x27) && !(c >> 26 & 3) && (rs2 == 8 || rs2 == 11)))
			code[steps - 1] = 0x13;
		emit(0x73 | dest_reg() << 7 | 5 << 12 | 8 << 20);
	}
}

static void generate(u64 block)
{
	rng = params.seed * 0x9e3779b97f4a7c15ul ^ block * 0xd1342543de82ef95ul;
	random64(&rng);
	steps = 0;
	now.vl = -1;
	now.vill = true;
	gen_vset();
	while (steps < 64)
		gen_one();
}

static void set_state(u64 block, unsigned mode)
{
	u64 r = block * 31 + params.seed;
	unsigned i, k;

	exec_registers(&ctx, &r);
	ctx.x[2] = ctx.x[8] = window + 4096 - 64;
	ctx.x[9] = window + 4096 + (r >> 40 & 511);
	ctx.sstatus = mode ? 0 : SSTATUS_SPP;
	for (i = 0; i < 32 * vector_vlenb(); i += 8) {
		u64 v;

		/* Doubles, floats, halves, small and edge integers. */
		switch (random64(&r) >> 61) {
		case 0: v = edge_float(&r); break;
		case 1:
			for (v = 0, k = 0; k < 4; k++)
				v = v << 16 | (edge_float(&r) & 0xffff);
			break;
		case 2: v = (u32)edge_float(&r) | edge_float(&r) << 32; break;
		case 3: v = random64(&r) & 0x0101010101010101 * (random64(&r) & 0xff); break;
		case 4: v = edge_value(&r); break;
		case 5: v = random64(&r) & 0x00ff00ff00ff00ff; break;
		default: v = random64(&r);
		}
		*(u64 *)&vs.v[i] = v;
	}
	vs.vcsr = random64(&r) & 7;
	vs.vtype = vs.vl = vs.vstart = 0;
	for (k = 0; k < 2; k++)
		for (i = 0; i < PAGES / 2; i += 8)
			*(u64 *)&half[k][i] = i & 8 ? edge_value(&r) : edge_float(&r);
}

/* Runs to the ebreak, over whatever traps. */
static void run(u64 block, unsigned mode, unsigned n)
{
	volatile u32 *to = (volatile u32 *)&sea[SEA_SIZE / 2];
	struct trap t;
	unsigned i;

	set_state(block, mode);
	for (i = 0; i < n; i++)
		to[i] = code[i];
	to[n] = 0x00100073;
	fence_i();
	vector_load(&vs);
	ctx.pc = (u64)to + (mode ? user_offset : 0);
	for (ntraps = 0; ntraps < MAX_STEPS; ntraps++) {
		run_context(&ctx, &t);
		traps[ntraps].cause = t.cause;
		traps[ntraps].epc = t.epc - (u64)to;
		/* Not the low bits of a page fault's: QEMU rounds some, see README.md. */
		traps[ntraps].tval = t.cause == 3 ? 0 : t.cause >= 12 ? t.tval & ~7ul : t.tval;
		traps[ntraps].vstart = csr_read(0x008);
		if (t.cause == 3)
			break;
		csr_write(0x008, 0);
		ctx.pc = t.epc + 4;
	}
	vector_save(&vs);
	for (i = 0; i <= n; i++)
		to[i] = 0x90029002;
}

static u64 state_hash(void)
{
	u64 h = hash_bytes(0, ctx.x, sizeof(ctx.x));

	h = hash_bytes(h, ctx.f, sizeof(ctx.f));
	h = hash(h, ctx.fcsr);
	h = hash_bytes(h, vs.v, 32 * vector_vlenb());
	h = hash(hash(hash(hash(h, vs.vl), vs.vtype), vs.vcsr), vs.vstart);
	h = hash_bytes(h, traps, (ntraps + 1) * sizeof(traps[0]));
	h = hash_bytes(h, half[0], PAGES / 2);
	return hash_bytes(h, half[1], PAGES / 2);
}

static void show(void)
{
	unsigned i, k;

	print("  vl %u vtype %x vcsr %x vstart %u fcsr %x\n", vs.vl, vs.vtype, vs.vcsr, vs.vstart, ctx.fcsr);
	for (i = 0; i < 32; i++) {
		print("  v%u", (u64)i);
		for (k = vector_vlenb(); k; k -= 8)
			print(" %w", *(u64 *)&vs.v[i * vector_vlenb() + k - 8]);
		print("\n");
	}
	for (k = 1; k < 32; k++)
		print("  x%u %x\n", (u64)k, ctx.x[k]);
	for (k = 0; k < 32; k++)
		print("  f%u %x\n", (u64)k, ctx.f[k]);
	print("  memory %x %x\n", hash_bytes(0, half[0], PAGES / 2), hash_bytes(0, half[1], PAGES / 2));
}

static void show_steps(u64 block, unsigned mode)
{
	unsigned i;

	for (i = 1; i <= steps; i++) {
		run(block, mode, i);
		print("  step %u %w code %c%c%c%c %c%c%c%c\n", (u64)i, state_hash(),
		      HEX4(code[i - 1] & 0xffff), HEX4(code[i - 1] >> 16));
		if (ntraps)
			print("  trap %u epc %x tval %x vstart %u\n", traps[ntraps - 1].cause,
			      traps[ntraps - 1].epc, traps[ntraps - 1].tval, traps[ntraps - 1].vstart);
		show();
	}
}

static unsigned enter_mode(u64 group)
{
	unsigned mode = group & 1, levels = group / 2 % 3;

	vm_on(&vms[levels], 0);
	window = mode ? WINDOW_U : WINDOW_S;
	half[0] = scratch + 4096;
	half[1] = scratch;
	return mode;
}

int main(void)
{
	u64 group = 0, last = ~0ul, block, want = params.count ? params.count : 100000, trapped = 0;
	unsigned i, mode;
	u64 h, one;

	exec_init();
	vector_on();
	for (i = 0; i < 3; i++) {
		u64 flags = PTE_R | PTE_W | PTE_AD;

		vm_init(&vms[i], i + 3);
		vm_map(&vms[i], WINDOW_S, (u64)scratch + 4096, flags, 0);
		vm_map(&vms[i], WINDOW_S + 4096, (u64)scratch, flags, 0);
		vm_map(&vms[i], WINDOW_U, (u64)scratch + 4096, flags | PTE_U, 0);
		vm_map(&vms[i], WINDOW_U + 4096, (u64)scratch, flags | PTE_U, 0);
	}
	test_case("random-vector-seed%u", params.seed);
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
			run(block, mode, steps);
			one = state_hash();
			h = hash(h, one);
			executed += steps;
			trapped += ntraps;
			if (params.verbose == 1)
				print("  block %u mode %u traps %u %w, the code's %w\n", block,
				      (u64)mode, (u64)ntraps, one, hash_bytes(0, code, steps / 2 * 8));
		}
		print("  group %u %w\n", group, h);
	}
	vm_off();
	if (!params.verbose)
		print("  %u instructions or more in %u blocks, vlenb %u, of which %u trapped\n",
		      executed, group * GROUP, vector_vlenb(), trapped);
	return 0;
}
