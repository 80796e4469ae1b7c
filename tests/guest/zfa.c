/* SPDX-License-Identifier: MIT */
/*
 * Zfa, which QEMU 7.2 lacks. The expectations come from other instructions, which insn-fp.S and
 * insn-half.S compare with QEMU: rounding is a conversion to an integer and back, comparisons and
 * minima are their elder relatives with the other rule for NaNs. fli has a table.
 */
#include "lib/exec.h"

/* ft0, ft1 -> ft2 or a0; frm in, flags out. Formats: 0 single, 1 double, 2 half. */
#define ENABLE ".option push\n.option arch, +f, +d, +zfh\n"
#define TO_F(name, insn) \
	static u64 name(u64 a, u64 b, u64 frm, u64 *flags) \
	{ \
		u64 r; \
		__asm__ volatile(ENABLE "fscsr %2\nfmv.d.x ft0, %3\nfmv.d.x ft1, %4\n" insn \
				 "\nfrflags %1\nfmv.x.d %0, ft2\n.option pop" \
				 : "=&r"(r), "=&r"(*flags) : "r"(frm << 5), "r"(a), "r"(b)); \
		return r; \
	}
#define TO_X(name, insn) \
	static u64 name(u64 a, u64 b, u64 frm, u64 *flags) \
	{ \
		u64 r; \
		__asm__ volatile(ENABLE "fscsr %2\nfmv.d.x ft0, %3\nfmv.d.x ft1, %4\n" insn \
				 "\nfrflags %1\nmv %0, a0\n.option pop" \
				 : "=&r"(r), "=&r"(*flags) : "r"(frm << 5), "r"(a), "r"(b) \
				 : "a0"); \
		return r; \
	}
#define FROM_X(name, insn) \
	static u64 name(u64 a, u64 b, u64 frm, u64 *flags) \
	{ \
		u64 r; \
		(void)b; \
		__asm__ volatile(ENABLE "fscsr %2\n" insn " ft2, %3\nfrflags %1\nfmv.x.d %0, ft2\n" \
				 ".option pop" \
				 : "=&r"(r), "=&r"(*flags) : "r"(frm << 5), "r"(a)); \
		return r; \
	}

typedef u64 fn_t(u64 a, u64 b, u64 frm, u64 *flags);

/* .word: OP-FP, funct5, format, rs2, rs1 = ft0, rm, rd. */
#define WORD(f5, fmt, rs2, rm, rd) \
	".word 0x53 | " #f5 " << 27 | " #fmt " << 25 | " #rs2 " << 20 | " #rm " << 12 | " #rd " << 7"
#define ZFA(s, fmt) \
	TO_F(fround_##s, WORD(0x08, fmt, 4, 7, 2)) \
	TO_F(froundnx_##s, WORD(0x08, fmt, 5, 7, 2)) \
	TO_F(fround_rtz_##s, WORD(0x08, fmt, 4, 1, 2)) \
	TO_F(fminm_##s, WORD(0x05, fmt, 1, 2, 2)) \
	TO_F(fmaxm_##s, WORD(0x05, fmt, 1, 3, 2)) \
	TO_X(fleq_##s, WORD(0x14, fmt, 1, 4, 10)) \
	TO_X(fltq_##s, WORD(0x14, fmt, 1, 5, 10)) \
	TO_F(fmin_##s, "fmin." #s " ft2, ft0, ft1") \
	TO_F(fmax_##s, "fmax." #s " ft2, ft0, ft1") \
	TO_X(fle_##s, "fle." #s " a0, ft0, ft1") \
	TO_X(flt_##s, "flt." #s " a0, ft0, ft1") \
	TO_X(fclass_##s, "fclass." #s " a0, ft0") \
	TO_X(to_l_##s, "fcvt.l." #s " a0, ft0") \
	FROM_X(from_l_##s, "fcvt." #s ".l")
ZFA(s, 0)
ZFA(d, 1)
ZFA(h, 2)
TO_X(fcvtmod, WORD(0x18, 1, 8, 1, 10))
TO_X(fcvt_w_d, "fcvt.w.d a0, ft0, rtz")

static const struct format {
	const char *name;
	unsigned frac, bits;
	u64 nan;		/* canonical, boxed */
	fn_t *fround, *froundnx, *fround_rtz, *fminm, *fmaxm, *fleq, *fltq;
	fn_t *fmin, *fmax, *fle, *flt, *fclass, *to_l, *from_l;
} formats[] = {
#define F(s) fround_##s, froundnx_##s, fround_rtz_##s, fminm_##s, fmaxm_##s, fleq_##s, fltq_##s, \
	fmin_##s, fmax_##s, fle_##s, flt_##s, fclass_##s, to_l_##s, from_l_##s
	{ "s", 23, 32, 0xffffffff7fc00000, F(s) },
	{ "d", 52, 64, 0x7ff8000000000000, F(d) },
	{ "h", 10, 16, 0xffffffffffff7e00, F(h) },
};

enum { NX = 1, NV = 16, SNAN = 1 << 8, QNAN = 1 << 9, ANY_NAN = SNAN | QNAN };
static u64 rng = 11;

static u64 class_of(const struct format *f, u64 a)
{
	u64 flags;

	return f->fclass(a, 0, 0, &flags);
}

static u64 box(const struct format *f, u64 v)
{
	return f->bits == 64 ? v : v | ~0ul << f->bits;
}

/* A value of the format, at times one that is not boxed. */
static u64 operand(const struct format *f)
{
	u64 v;

	if (f->bits != 16)
		return edge_float(&rng);
	v = random64(&rng);
	return v >> 60 ? box(f, v & 0xffff) : v;
}

static void round_one(const struct format *f, u64 a, u64 frm)
{
	u64 got, flags, nx, nxflags, want, wflags = 0, back, c = class_of(f, a), exp;
	s64 i;

	got = f->fround(a, 0, frm, &flags);
	nx = f->froundnx(a, 0, frm, &nxflags);
	exp = a << (64 - f->bits) << 1 >> (65 - f->bits + f->frac);
	if (c & ANY_NAN) {
		want = f->nan;
		wflags = c & SNAN ? NV : 0;
	} else if (exp >= (1ul << (f->bits - f->frac - 2)) - 1 + f->frac) {
		want = a;	/* integral already, or infinite */
	} else {
		i = (s64)f->to_l(a, 0, frm, &wflags);
		want = f->from_l((u64)i, 0, 0, &back);
		if (!i)
			want = box(f, a >> (f->bits - 1) << (f->bits - 1) &
				   (f->bits == 64 ? ~0ul : BIT(f->bits) - 1));
	}
	check(got == want && flags == (wflags & ~(u64)NX), "fround.%s frm %u %x: %x flags %x, not %x",
	      f->name, frm, a, got, flags, want);
	check(nx == want && nxflags == wflags, "froundnx.%s frm %u %x: %x flags %x, not %x %x",
	      f->name, frm, a, nx, nxflags, want, wflags);
	if (frm == 1) {
		got = f->fround_rtz(a, 0, 3, &flags);
		check(got == want, "fround.%s rtz %x: %x, not %x", f->name, a, got, want);
	}
}

static void two_operands(const struct format *f, u64 a, u64 b)
{
	static const char *const names[] = { "fminm", "fmaxm", "fleq", "fltq" };
	fn_t *const fns[] = { f->fminm, f->fmaxm, f->fleq, f->fltq };
	fn_t *const elder[] = { f->fmin, f->fmax, f->fle, f->flt };
	u64 got, want, flags, wflags, ca = class_of(f, a), cb = class_of(f, b);
	unsigned i;

	for (i = 0; i < 4; i++) {
		got = fns[i](a, b, 0, &flags);
		want = elder[i](a, b, 0, &wflags);
		if ((ca | cb) & ANY_NAN) {
			if (i < 2)
				want = f->nan;
			wflags = (ca | cb) & SNAN ? NV : 0;
		}
		check(got == want && flags == wflags, "%s.%s %x %x: %x flags %x, not %x %x", names[i],
		      f->name, a, b, got, flags, want, wflags);
	}
}

static void mod_one(u64 a)
{
	u64 got, flags, want = 0, wflags, exp = a >> 52 & 0x7ff, sig;

	got = fcvtmod(a, 0, 4, &flags);
	fcvt_w_d(a, 0, 0, &wflags);
	sig = (a & (BIT(52) - 1)) | BIT(52);
	if (exp >= 1023 && exp <= 1023 + 52)
		want = sig >> (1023 + 52 - exp);
	else if (exp > 1023 + 52 && exp < 1023 + 52 + 32)
		want = sig << (exp - 1023 - 52);
	if (a >> 63)
		want = -want;
	want = (u64)(s64)(s32)want;
	check(got == want && flags == wflags, "fcvtmod.w.d %x: %x flags %x, not %x %x", a, got, flags,
	      want, wflags);
}

/* The manual's table, entry by entry: half, single, double. */
static const struct {
	u16 h;
	u32 s;
	u64 d;
} constants[32] = {
	{ 0xbc00, 0xbf800000, 0xbff0000000000000 }, { 0x0400, 0x00800000, 0x0010000000000000 },
	{ 0x0100, 0x37800000, 0x3ef0000000000000 }, { 0x0200, 0x38000000, 0x3f00000000000000 },
	{ 0x1c00, 0x3b800000, 0x3f70000000000000 }, { 0x2000, 0x3c000000, 0x3f80000000000000 },
	{ 0x2c00, 0x3d800000, 0x3fb0000000000000 }, { 0x3000, 0x3e000000, 0x3fc0000000000000 },
	{ 0x3400, 0x3e800000, 0x3fd0000000000000 }, { 0x3500, 0x3ea00000, 0x3fd4000000000000 },
	{ 0x3600, 0x3ec00000, 0x3fd8000000000000 }, { 0x3700, 0x3ee00000, 0x3fdc000000000000 },
	{ 0x3800, 0x3f000000, 0x3fe0000000000000 }, { 0x3900, 0x3f200000, 0x3fe4000000000000 },
	{ 0x3a00, 0x3f400000, 0x3fe8000000000000 }, { 0x3b00, 0x3f600000, 0x3fec000000000000 },
	{ 0x3c00, 0x3f800000, 0x3ff0000000000000 }, { 0x3d00, 0x3fa00000, 0x3ff4000000000000 },
	{ 0x3e00, 0x3fc00000, 0x3ff8000000000000 }, { 0x3f00, 0x3fe00000, 0x3ffc000000000000 },
	{ 0x4000, 0x40000000, 0x4000000000000000 }, { 0x4100, 0x40200000, 0x4004000000000000 },
	{ 0x4200, 0x40400000, 0x4008000000000000 }, { 0x4400, 0x40800000, 0x4010000000000000 },
	{ 0x4800, 0x41000000, 0x4020000000000000 }, { 0x4c00, 0x41800000, 0x4030000000000000 },
	{ 0x5800, 0x43000000, 0x4060000000000000 }, { 0x5c00, 0x43800000, 0x4070000000000000 },
	{ 0x7800, 0x47000000, 0x40e0000000000000 }, { 0x7c00, 0x47800000, 0x40f0000000000000 },
	{ 0x7c00, 0x7f800000, 0x7ff0000000000000 }, { 0x7e00, 0x7fc00000, 0x7ff8000000000000 },
};

static void test_fli(void)
{
	static struct context ctx;
	unsigned fmt, i;
	struct trap t;
	u64 want;

	test_case_self("fli");
	for (fmt = 0; fmt < 4; fmt++)
		for (i = 0; i < 32; i++) {
			u32 w = 0xf0100053 | fmt << 25 | i << 15 | 9 << 7;

			exec_registers(&ctx, &rng);
			ctx.fcsr = 0;
			ctx.sstatus = SSTATUS_SPP;
			exec32(&ctx, &t, w);
			if (fmt == 3) {
				check_trap("quadruple", &t, 2, ctx.pc, w);
				continue;
			}
			want = fmt == 0 ? ~0xfffffffful | constants[i].s : fmt == 1 ? constants[i].d :
			       ~0xfffful | constants[i].h;
			check(t.cause == 3 && ctx.f[9] == want && !ctx.fcsr, "fmt %u entry %u: %x, not %x",
			      (u64)fmt, (u64)i, ctx.f[9], want);
		}
	/* What is reserved about them: rm of fli and of fcvtmod, fcvtmod of a single. */
	static const u32 reserved[] = {
		0xf0101053, 0xf2107053, 0xc2800053, 0xc2807053, 0xc0801053, 0xc4801053,
	};

	for (i = 0; i < ARRAY_SIZE(reserved); i++) {
		exec_registers(&ctx, &rng);
		ctx.fcsr = 0;
		ctx.sstatus = SSTATUS_SPP;
		exec32(&ctx, &t, reserved[i]);
		check_trap("reserved", &t, 2, ctx.pc, reserved[i]);
	}
}

int main(void)
{
	unsigned i, frm, k;

	exec_init();
	csr_set(sstatus, SSTATUS_FS);
	for (i = 0; i < 3; i++) {
		test_case_self("fround.%s", formats[i].name);
		for (frm = 0; frm < 5; frm++)
			for (k = 0; k < (i == 2 ? 65536 : 20000); k++)
				round_one(&formats[i], i == 2 ? ~0xfffful | k : operand(&formats[i]), frm);
		test_case_self("fminm-fmaxm-fleq-fltq.%s", formats[i].name);
		for (k = 0; k < 40000; k++)
			two_operands(&formats[i], operand(&formats[i]), operand(&formats[i]));
	}
	test_case_self("fcvtmod.w.d");
	for (k = 0; k < 60000; k++) {
		u64 r = random64(&rng);

		/* Mostly about the sizes where bits leave at either end. */
		mod_one(k & 7 ? (r & ~(0x7fful << 52)) | (1000 + (r >> 52) % 160) << 52 :
			edge_float(&rng));
	}
	test_fli();
	return 0;
}
