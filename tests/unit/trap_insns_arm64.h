/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of A64, for test_trap_region.c. x1, x2 and sp are the place; x3 is a small
 * index, w4 a small negative one and w5 a small one, both below garbage; x20 is memory.
 */
#ifndef SV_TESTS_TRAP_INSNS_ARM64_H
#define SV_TESTS_TRAP_INSNS_ARM64_H

#include <asm/sigcontext.h>
#include <ucontext.h>

/* Two vectors of the longest. */
#define SCRATCH 512

struct regs {
	u64 x[31];
	u64 sp;
	u64 flags;
	u8 v[32][16];
	u8 scratch[SCRATCH];	/* what x20 points to */
};

#define PLACE_ALIGN 16		/* sp must be */
#define BREAK "brk 0"
#define BREAK_WORD 0xd4200000
#define CONTEXT_PC(uc) (uc)->uc_mcontext.pc
#define NZCV 0xf0000000ull

static u8 scratch[SCRATCH];

static struct fpsimd_context *context_fp(const ucontext_t *uc)
{
	struct fpsimd_context *fp = (void *)(uintptr_t)uc->uc_mcontext.__reserved;

	/* The kernel and QEMU put it first. */
	assert_int_equal(fp->head.magic, FPSIMD_MAGIC);
	return fp;
}

static void context_get(const ucontext_t *uc, struct regs *r)
{
	memcpy(r->x, uc->uc_mcontext.regs, sizeof(r->x));
	r->sp = uc->uc_mcontext.sp;
	r->flags = uc->uc_mcontext.pstate & NZCV;
	memcpy(r->v, context_fp(uc)->vregs, sizeof(r->v));
	memcpy(r->scratch, scratch, sizeof(scratch));
}

/* Without SVE's record, whose low bits QEMU would take in place of these. */
static void context_set(ucontext_t *uc, const struct regs *r)
{
	struct fpsimd_context *fp = context_fp(uc);

	memcpy(uc->uc_mcontext.regs, r->x, sizeof(r->x));
	uc->uc_mcontext.sp = r->sp;
	uc->uc_mcontext.pstate = (uc->uc_mcontext.pstate & ~NZCV) | r->flags;
	memcpy(fp->vregs, r->v, sizeof(r->v));
	memset((u8 *)fp + fp->head.size, 0, sizeof(struct _aarch64_ctx));
	memcpy(scratch, r->scratch, sizeof(scratch));
}

#include "trap_insns_context.h"

static void regs_set(struct regs *r, u8 *mem)
{
	for (size_t i = 0; i < sizeof(*r); i += 8) {
		u64 v = rnd();

		memcpy((u8 *)r + i, &v, 8);
	}
	r->flags &= NZCV;
	r->x[1] = r->x[2] = r->sp = (uintptr_t)mem;
	r->x[3] = rnd() % 40;
	r->x[4] = (r->x[4] & ~0xffffffffull) | (u32)-(s32)(rnd() % 40);
	r->x[5] = (r->x[5] & ~0xffffffffull) | rnd() % 40;
	r->x[20] = (uintptr_t)scratch;
}

asm(".arch armv8.4-a+sve");

/* Unsigned offsets; XZR, SP, the base itself. */
INSN("ldrb w0, [x1, 5]") INSN("ldrh w0, [x1, 6]") INSN("ldr w30, [x1, 4]") INSN("ldr x0, [x1, 8]")
INSN("ldrsb x0, [x1]") INSN("ldrsb w0, [x1, 1]") INSN("ldrsh x0, [x1, 2]") INSN("ldrsh w0, [x1]")
INSN("ldrsw x0, [x1, 4]") INSN("ldr xzr, [x1]") INSN("ldr wzr, [sp, 4]") INSN("ldr x1, [x1]")
INSN("ldr x0, [sp, 1016]") INSN("strb w0, [x1, 3]") INSN("strh w6, [x1, 2]") INSN("str w7, [x1]")
INSN("str x8, [x1, 8]") INSN("str xzr, [x1]") INSN("str wzr, [sp, 4]") INSN("str x1, [x1]")
/* Unscaled and unaligned, unprivileged. */
INSN("ldur x0, [x1, 3]") INSN("ldur w0, [x1, -255]") INSN("ldurb w0, [x1, -1]")
INSN("ldursh x0, [sp, 1]") INSN("ldursw x9, [x1, 15]") INSN("stur x0, [x1, -3]")
INSN("stur w0, [sp, 13]") INSN("sturh w0, [x1, 15]") INSN("sturb w11, [x1, 255]")
INSN("ldtr x0, [x1, 8]") INSN("ldtrsb w0, [x1, 7]") INSN("ldtrsw x0, [sp, -4]")
INSN("sttr w0, [x1, 4]") INSN("sttrb w0, [x1, -7]")
/* Write-back. */
INSN("ldr x0, [x1], 8") INSN("ldr x0, [x1, 8]!") INSN("ldr w0, [sp], -16")
INSN("ldr x0, [sp, -32]!") INSN("str x0, [x1], -256") INSN("str x0, [x1, 255]!")
INSN("str x30, [sp, -16]!") INSN("ldrsb x6, [x2], 1") INSN("ldrsh w6, [x2, -1]!")
INSN("ldr xzr, [sp], 16") INSN("strh wzr, [x1], 2") INSN("ldr q0, [x1], 16")
INSN("str d3, [sp, -16]!") INSN("ldr b1, [x1, 1]!") INSN("str q31, [x1], 5")
/* Register offsets. */
INSN("ldr x0, [x1, x3]") INSN("ldr x0, [x1, x3, lsl 3]") INSN("ldr w0, [x1, w4, sxtw]")
INSN("ldr w0, [x1, w4, sxtw 2]") INSN("ldr x0, [x1, w5, uxtw 3]") INSN("ldrb w0, [sp, w5, uxtw]")
INSN("ldrsh x0, [x1, w4, sxtw 1]") INSN("ldr x0, [sp, xzr]") INSN("str x0, [x1, x3, sxtx 3]")
INSN("strb w0, [x1, w4, sxtw]") INSN("str q2, [x1, x3, lsl 4]") INSN("ldr h2, [x1, w5, uxtw 1]")
INSN("str x3, [x1, x3]") INSN("ldr x3, [x1, x3]")
/* Pairs. */
INSN("ldp x0, x6, [x1]") INSN("ldp w0, w6, [x1, 4]") INSN("ldpsw x0, x6, [x1, -8]")
INSN("ldp x0, x6, [sp], 16") INSN("ldp x0, x6, [x1, -16]!") INSN("stp x0, x6, [x1]")
INSN("stp w0, wzr, [x1, 8]") INSN("stp x29, x30, [sp, -64]!") INSN("stp xzr, xzr, [x1], 504")
INSN("ldp x0, xzr, [x1, -512]") INSN("ldnp x0, x6, [x1, 16]") INSN("stnp w0, w6, [x1]")
INSN("ldp x1, x2, [x1]") INSN("stp x1, x1, [x1]") INSN("ldp q0, q1, [x1, 32]")
INSN("ldp q30, q31, [x1], 32") INSN("stp q0, q0, [x1, -32]!") INSN("ldp d0, d9, [x1]")
INSN("stp d0, d9, [sp]") INSN("ldp s1, s2, [x1, 4]") INSN("stp s1, s2, [x1], 8")
INSN("ldnp q4, q5, [x1]") INSN("stnp q4, q5, [sp, 16]") INSN("add x1, x1, 3; ldp x0, x6, [x1]")
INSN("add x1, x1, 1; stp w0, w6, [x1, -4]") INSN("add x1, x1, 7; ldp q0, q1, [x1]")
INSN("add x1, x1, 9; stp q0, q1, [x1]")
/* SIMD&FP. */
INSN("ldr b0, [x1, 3]") INSN("ldr h1, [x1, 2]") INSN("ldr s2, [x1, 4]") INSN("ldr d3, [x1, 8]")
INSN("ldr q4, [x1, 16]") INSN("str b0, [x1, 3]") INSN("str h1, [x1, 2]") INSN("str s2, [x1, 4]")
INSN("str d3, [x1, 8]") INSN("str q4, [x1, 16]") INSN("ldur q0, [x1, 1]") INSN("stur q0, [x1, -7]")
INSN("ldur s0, [x1, 3]") INSN("stur d0, [sp, 11]")
/* Structures. */
INSN("ld1 {v0.16b}, [x1]") INSN("ld1 {v0.8b-v1.8b}, [x1], 16") INSN("ld1 {v0.4s-v2.4s}, [x1], x3")
INSN("ld1 {v30.2d, v31.2d, v0.2d, v1.2d}, [x1], 64") INSN("ld1 {v3.1d}, [sp]")
INSN("ld2 {v0.16b-v1.16b}, [x1]") INSN("ld3 {v0.8h-v2.8h}, [x1], 48")
INSN("ld4 {v0.4s-v3.4s}, [sp], x3") INSN("ld2 {v31.2s, v0.2s}, [x1]")
INSN("ld4 {v4.2d-v7.2d}, [x1]")
INSN("st1 {v0.16b}, [x1], 16") INSN("st1 {v0.8b-v3.8b}, [x1]") INSN("st1 {v0.2d-v2.2d}, [x1], x3")
INSN("st2 {v0.8h-v1.8h}, [x1]") INSN("st3 {v0.16b-v2.16b}, [sp], 48")
INSN("st4 {v0.2d-v3.2d}, [x1]")
INSN("st4 {v30.4h, v31.4h, v0.4h, v1.4h}, [x1]") INSN("add x1, x1, 3; ld3 {v0.4s-v2.4s}, [x1]")
INSN("ld1 {v0.b}[13], [x1]") INSN("ld1 {v0.h}[7], [x1], 2") INSN("ld1 {v0.s}[1], [x1], x3")
INSN("ld1 {v0.d}[1], [sp]") INSN("ld2 {v0.b, v1.b}[1], [x1]") INSN("ld3 {v0.h-v2.h}[2], [x1], 6")
INSN("ld4 {v0.s-v3.s}[3], [x1]") INSN("ld4 {v31.d, v0.d, v1.d, v2.d}[0], [x1], 32")
INSN("st1 {v0.b}[0], [x1]") INSN("st1 {v0.s}[2], [x1], 4") INSN("st2 {v0.d-v1.d}[1], [x1]")
INSN("st3 {v0.b-v2.b}[15], [x1], x3") INSN("st4 {v0.h-v3.h}[6], [sp]")
INSN("ld1r {v0.4s}, [x1]") INSN("ld1r {v0.8b}, [x1], 1") INSN("ld2r {v0.2d-v1.2d}, [x1]")
INSN("ld3r {v0.8h-v2.8h}, [x1], x3") INSN("ld4r {v30.1d, v31.1d, v0.1d, v1.1d}, [x1]")
/* Order. */
INSN("ldar w0, [x1]") INSN("ldar x0, [sp]") INSN("ldarb w0, [x1]") INSN("ldarh w0, [x1]")
INSN("stlr w0, [x1]") INSN("stlr xzr, [x1]") INSN("stlrb w0, [sp]") INSN("stlrh w0, [x1]")
INSN("ldlar x0, [x1]") INSN("stllr x0, [x1]") INSN("ldapr x0, [x1]") INSN("ldaprb w0, [x1]")
INSN("ldapr wzr, [sp]") INSN("ldapur x0, [x1, -8]") INSN("ldapursb x0, [x1, 3]")
INSN("ldapursh w0, [x1, 2]") INSN("ldapursw x0, [x1, 4]") INSN("stlur x0, [x1, 8]")
INSN("stlurb w0, [x1, -1]")
/* Read-modify-write. */
INSN("ldadd w0, w6, [x1]") INSN("ldaddal x0, x6, [x1]") INSN("ldaddb w0, w6, [x1]")
INSN("stadd x0, [x1]") INSN("ldclr w0, w6, [x1]") INSN("ldclrah w0, w6, [sp]")
INSN("ldeor x0, x0, [x1]") INSN("ldeorlb w0, w6, [x1]") INSN("ldset w0, w6, [x1]")
INSN("stseth w0, [x1]") INSN("ldsmax w0, w6, [x1]") INSN("ldsmaxb w0, w6, [x1]")
INSN("ldsmin x0, x6, [x1]") INSN("ldsminh w0, w6, [x1]") INSN("ldumax w0, w6, [x1]")
INSN("ldumaxh w0, w6, [x1]") INSN("ldumin x0, x6, [x1]") INSN("lduminb w0, w6, [x1]")
INSN("swp w0, w6, [x1]") INSN("swpal x0, x0, [x1]") INSN("swpb wzr, w6, [x1]")
INSN("swph w0, wzr, [sp]") INSN("ldadd x1, x1, [x1]")
INSN("cas w0, w6, [x1]") INSN("ldr w0, [x1]; cas w0, w6, [x1]")
INSN("ldr x0, [x1]; casal x0, x6, [x1]")
INSN("ldrb w0, [x1]; add w0, w0, 256; casb w0, w6, [x1]")
INSN("ldrh w0, [x1]; cash w0, wzr, [x1]")
INSN("casp w6, w7, w8, w9, [x1]")
INSN("ldp w6, w7, [x1]; casp w6, w7, w8, w9, [x1]")
INSN("ldp x6, x7, [x1]; caspal x6, x7, x8, x9, [x1]")
INSN("ldr x6, [x1]; casp x6, x7, x8, x9, [x1]")
INSN("ldr x7, [x1, 8]; casp x6, x7, x8, x9, [x1]")
INSN("ldp x30, x6, [x1]; mov x6, x30; casp x30, xzr, x8, x9, [sp]")
/*
 * A block of zeroes (alone: QEMU 7.2 says of a fault in it that it was the first instruction of
 * its translated block); tagged addresses.
 */
INSN("dc zva, x1") INSN("dc zva, x2")
INSN("orr x1, x1, 0xff00000000000000; ldr x0, [x1]")
INSN("orr x1, x1, 0xff00000000000000; str x0, [x1], 8")
/* What lies above 128 bits is cleared, and others keep it: x20 points to memory. */
INSN("ptrue p0.b; dup z0.b, -1; ldr q0, [x1]; st1b {z0.b}, p0, [x20]")
INSN("ptrue p0.b; dup z1.b, 3; ldr d1, [x1]; st1b {z1.b}, p0, [x20]")
INSN("ptrue p0.b; dup z2.h, 77; ldp x0, x6, [x1]; st1b {z2.b}, p0, [x20]")
INSN("ptrue p0.b; dup z3.b, 9; dup z4.b, 8; ld1 {v3.8b}, [x1]; st1b {z3.b}, p0, [x20]; "
     "st1b {z4.b}, p0, [x20, 1, mul vl]")
/* SVE: each width in memory and in the register, under a predicate of x5 elements. */
#define SVE_LD(l, r) \
	INSN("ptrue p0.b; dup z1.b, 3; whilelo p1." r ", wzr, w5; " l " {z1." r "}, p1/z, [x1]; " \
	     "st1b {z1.b}, p0, [x20]") \
	INSN("ptrue p0.b; ptrue p1." r "; " l " {z1." r "}, p1/z, [x1, -2, mul vl]; " \
	     "st1b {z1.b}, p0, [x20]")
#define SVE_ST(s, r) \
	INSN("ptrue p0.b; ld1b {z1.b}, p0/z, [x20]; whilelo p1." r ", wzr, w5; " \
	     s " {z1." r "}, p1, [x1]") \
	INSN("ptrue p0.b; ld1b {z1.b}, p0/z, [x20]; ptrue p1." r "; " \
	     s " {z1." r "}, p1, [sp, 3, mul vl]")
SVE_LD("ld1b", "b") SVE_LD("ld1b", "h") SVE_LD("ld1b", "s") SVE_LD("ld1b", "d")
SVE_LD("ld1sb", "h") SVE_LD("ld1sb", "s") SVE_LD("ld1sb", "d")
SVE_LD("ld1h", "h") SVE_LD("ld1h", "s") SVE_LD("ld1h", "d")
SVE_LD("ld1sh", "s") SVE_LD("ld1sh", "d")
SVE_LD("ld1w", "s") SVE_LD("ld1w", "d") SVE_LD("ld1sw", "d") SVE_LD("ld1d", "d")
SVE_ST("st1b", "b") SVE_ST("st1b", "h") SVE_ST("st1b", "s") SVE_ST("st1b", "d")
SVE_ST("st1h", "h") SVE_ST("st1h", "s") SVE_ST("st1h", "d")
SVE_ST("st1w", "s") SVE_ST("st1w", "d")
SVE_ST("st1d", "d")
INSN("ptrue p0.b; ptrue p1.s; ld1w {z1.s}, p1/z, [x1, x3, lsl 2]; st1b {z1.b}, p0, [x20]")
INSN("ptrue p0.b; ld1b {z1.b}, p0/z, [sp, x3]; st1b {z1.b}, p0, [x20]")
INSN("ptrue p0.b; ld1b {z1.b}, p0/z, [x20]; ptrue p1.d; st1d {z1.d}, p1, [x1, x3, lsl 3]")
INSN("ptrue p0.b; ld1b {z1.b}, p0/z, [x20]; ptrue p1.d; st1h {z1.d}, p1, [x1, x3, lsl 1]")

#define HAVE_SWEEP 1
#define SWEEP_WORDS 20000u

struct sweep_class {
	u32 mask, value;
};

static const struct sweep_class sweep_classes[] = {
	{ 0x3a000000, 0x28000000 },	/* pairs */
	{ 0x3b000000, 0x39000000 },	/* unsigned offset */
	{ 0x3b200000, 0x38000000 },	/* 9-bit offset */
	{ 0x3b200c00, 0x38200800 },	/* register offset */
	{ 0x3f200c00, 0x38200000 },	/* atomics */
	{ 0x3f000000, 0x08000000 },	/* exclusive, ordered, compare-and-swap */
	{ 0x3f000000, 0x19000000 },	/* LDAPUR and its like */
	{ 0xbf000000, 0x0c000000 },	/* structures */
	{ 0xbf000000, 0x0d000000 },
	{ 0xffffffe0, 0xd50b7420 },	/* DC ZVA */
	{ 0x3b000000, 0x18000000 },	/* literals */
};

static bool in_class(u32 w, unsigned i)
{
	return (w & sweep_classes[i].mask) == sweep_classes[i].value;
}

/* A random word that accesses memory; *base is the register that its address is from. */
static u32 sweep_word(unsigned *base, unsigned *target_align)
{
	unsigned i = (unsigned)(rnd() % ARRAY_SIZE(sweep_classes));
	u32 w = ((u32)rnd() & ~sweep_classes[i].mask) | sweep_classes[i].value;

	/* Fields that most encodings want to be all ones or all zeroes. */
	if (i == 5 && rnd() % 4)
		w |= (rnd() & 1 ? 0x1f0000 : 0) | 0x7c00;
	if (i == 6 && rnd() % 4)
		w &= ~0x200c00u;
	if (i == 7 && rnd() % 4)
		w &= ~0x200000u;
	if ((i == 7 || i == 8) && !(w & 0x800000) && rnd() % 4)
		w &= ~0x1f0000u;
	/* The code is just below the window. */
	if (i == 10)
		w = (w & ~0xffffe0u) | (u32)(1024 + rnd() % 1024) << 5;
	*base = i == 9 ? w & 31 : w >> 5 & 31;
	*target_align = i >= 4 && i <= 6 && rnd() % 8 ? 16 : *base == 31 ? 16 : 1;
	return w;
}

/* An index that is the base, too, would make an address that is none. */
static bool sweep_can_run(u32 w, unsigned base)
{
	return !(in_class(w, 3) && (w >> 16 & 31) == base) && !(in_class(w, 9) && base == 31);
}

static void sweep_prepare(u32 w, struct regs *r)
{
	if (in_class(w, 3) && (w >> 16 & 31) != 31)
		r->x[w >> 16 & 31] = rnd() & 1 ? rnd() % 100 : -(rnd() % 100);
}

static u64 *base_reg(struct regs *r, unsigned n)
{
	return n == 31 ? &r->sp : &r->x[n];
}

/* What trap_arm64.c says that it refuses. */
static bool sweep_may_refuse(u32 w, const struct regs *r)
{
	unsigned rt = w & 31, rn = w >> 5 & 31, rt2 = w >> 10 & 31, rs = w >> 16 & 31;
	u64 base = rn == 31 ? r->sp : r->x[rn];
	unsigned size = w >> 30;
	bool simd = w & 1u << 26;

	if (in_class(w, 0))	/* UNPREDICTABLE, and STGP */
		return ((w & 1u << 22) && rt == rt2) ||
		       ((w & 1u << 23) && !simd && rn != 31 && (rn == rt || rn == rt2)) ||
		       (!simd && size == 1 && !(w & 1u << 22));
	if (in_class(w, 2))
		return (w & 0x400) && !simd && rn == rt && rn != 31;
	if (in_class(w, 4))	/* unaligned, and atomics of 64 bytes */
		return base % (1u << size) || (w & 0x8000 && (w & 0x7000));
	if (in_class(w, 5))	/* exclusives, unaligned, and should-be-one */
		return (!(w & 1u << 23) && !((w & 1u << 21) && !(w & 1u << 31))) || base % 16 ||
		       rt2 != 31 || (!(w & 1u << 21) && rs != 31);
	if (in_class(w, 6))	/* unaligned, MTE and MOPS */
		return (base + (u64)((s32)(w << 11) >> 23)) % (1u << size) || (w & 0x200c00);
	return false;
}

#endif
