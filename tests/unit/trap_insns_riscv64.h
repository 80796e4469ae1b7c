/* SPDX-License-Identifier: MIT */
/* Loads and stores of RV64, for test_trap_region.c. a1, s0 and sp are the place. */
#ifndef SV_TESTS_TRAP_INSNS_RISCV64_H
#define SV_TESTS_TRAP_INSNS_RISCV64_H

#include <ucontext.h>

struct regs {
	u64 x[32];
	u64 f[32];
};

#define PLACE_ALIGN 16
#define BREAK ".4byte 0x00100073"
#define BREAK_WORD 0x00100073
#define CONTEXT_PC(uc) (uc)->uc_mcontext.__gregs[REG_PC]

/* gp and tp are what C code in the handlers finds them to be: no case may change them. */
static bool reg_is_ours(unsigned r)
{
	return r == 3 || r == 4;
}

static void context_get(const ucontext_t *uc, struct regs *r)
{
	r->x[0] = 0;
	for (unsigned i = 1; i < 32; i++)
		r->x[i] = reg_is_ours(i) ? 0 : uc->uc_mcontext.__gregs[i];
	memcpy(r->f, uc->uc_mcontext.__fpregs.__d.__f, sizeof(r->f));
}

static void context_set(ucontext_t *uc, const struct regs *r)
{
	for (unsigned i = 1; i < 32; i++)
		if (!reg_is_ours(i))
			uc->uc_mcontext.__gregs[i] = r->x[i];
	memcpy(uc->uc_mcontext.__fpregs.__d.__f, r->f, sizeof(r->f));
}

#include "trap_insns_context.h"

static void regs_set(struct regs *r, u8 *mem)
{
	for (unsigned i = 0; i < 32; i++) {
		r->x[i] = i && !reg_is_ours(i) ? rnd() : 0;
		r->f[i] = rnd();
	}
	r->x[2] = r->x[8] = r->x[11] = (uintptr_t)mem;
}

asm(".option arch, +zfh");

/* Every width, every sign, both ends of an offset, x0, sp, an address in its own way. */
INSN("lb a0, (a1)") INSN("lbu a0, 3(a1)") INSN("lh a0, 2(a1)") INSN("lhu a2, -2(a1)")
INSN("lw t0, 4(a1)") INSN("lwu t6, 5(a1)") INSN("ld ra, 8(a1)") INSN("ld a1, -8(a1)")
INSN("lb s2, -1024(a1)") INSN("ld s3, 2040(s0)") INSN("lw x0, 4(a1)") INSN("ld x0, (a1)")
INSN("ld sp, (sp)") INSN("lwu s0, 1(s0)") INSN("lh a0, 1(a1)") INSN("lw a0, 3(a1)")
INSN("ld a0, 1(a1)") INSN("ld a0, 7(a1)")
INSN("sb a0, (a1)") INSN("sh a2, 2(a1)") INSN("sw t3, 4(a1)") INSN("sd t6, 8(a1)")
INSN("sd x0, 16(a1)") INSN("sb x0, -1(a1)") INSN("sd a1, (a1)") INSN("sw sp, 3(sp)")
INSN("sd s4, -1024(s0)") INSN("sh s5, 2047(s0)") INSN("sd a0, 5(a1)")
/* FP: boxed on the way in, cut on the way out. */
INSN("flw fa0, 4(a1)") INSN("fld fa1, 8(a1)") INSN("flh ft0, 2(a1)") INSN("flw f31, 3(a1)")
INSN("fld f0, 1(a1)") INSN("fsw fa2, 4(a1)") INSN("fsd fa3, 8(a1)") INSN("fsh ft11, 2(a1)")
INSN("fsd fs0, -5(a1)") INSN("fsw f31, 1(s0)")
/* Compressed, as the assembler makes them; two in a row, so that a wrong length shows. */
INSN("c.lw a0, 64(a1); c.li a2, 3") INSN("c.lw a5, 4(s0)") INSN("c.lw s1, 124(a1)")
INSN("c.ld a0, 8(a1); c.li a2, 5") INSN("c.ld a4, 248(s0)") INSN("c.ld a3, 64(a1)")
INSN("c.sw a0, 64(a1)") INSN("c.sw a2, 4(s0); c.li a2, 7") INSN("c.sw s1, 60(a1)")
INSN("c.sd a0, 8(a1)") INSN("c.sd a4, 248(s0)") INSN("c.sd a1, 192(a1)")
INSN("c.fld fa0, 8(a1)") INSN("c.fld fs1, 248(s0)") INSN("c.fsd fa5, 64(a1); c.li a2, 9")
INSN("c.lwsp t0, 4(sp)") INSN("c.lwsp ra, 252(sp)") INSN("c.lwsp s11, 96(sp); c.li a2, 1")
INSN("c.ldsp t1, 8(sp)") INSN("c.ldsp a0, 504(sp)") INSN("c.ldsp s9, 96(sp)")
INSN("c.swsp t0, 4(sp)") INSN("c.swsp x0, 252(sp)") INSN("c.swsp s11, 96(sp)")
INSN("c.sdsp t1, 8(sp)") INSN("c.sdsp x0, 504(sp)") INSN("c.sdsp sp, 96(sp); c.li a2, 4")
INSN("c.fldsp ft0, 8(sp)") INSN("c.fldsp fs11, 504(sp)") INSN("c.fsdsp ft1, 8(sp)")
INSN("c.fsdsp fs10, 504(sp)")
/* Read-modify-write. */
INSN("andi a1, a1, -8; amoadd.w a0, a2, (a1)") INSN("andi a1, a1, -8; amoadd.d a0, a2, (a1)")
INSN("andi a1, a1, -8; amoswap.w.aqrl a0, a2, (a1)") INSN("andi a1, a1, -8; amoswap.d x0, a2, (a1)")
INSN("andi a1, a1, -8; amoxor.w a0, a2, (a1)") INSN("andi a1, a1, -8; amoxor.d a2, a2, (a1)")
INSN("andi a1, a1, -8; amoor.w.aq a0, a2, (a1)") INSN("andi a1, a1, -8; amoor.d a0, x0, (a1)")
INSN("andi a1, a1, -8; amoand.w a0, a2, (a1)") INSN("andi a1, a1, -8; amoand.d.rl a0, a2, (a1)")
INSN("andi a1, a1, -8; amomin.w a0, a2, (a1)") INSN("andi a1, a1, -8; amomin.d a0, a2, (a1)")
INSN("andi a1, a1, -8; amomax.w a0, a2, (a1)") INSN("andi a1, a1, -8; amomax.d a0, a2, (a1)")
INSN("andi a1, a1, -8; amominu.w a0, a2, (a1)") INSN("andi a1, a1, -8; amominu.d a0, a2, (a1)")
INSN("andi a1, a1, -8; amomaxu.w a0, a2, (a1)") INSN("andi a1, a1, -8; amomaxu.d a0, a2, (a1)")
INSN("andi a1, a1, -8; addi a1, a1, 4; amoadd.w a1, a1, (a1)")
INSN("andi sp, sp, -8; amoadd.d sp, sp, (sp)")

/*
 * What the CPU here may not have, against base instructions that mean the same. Quadrant 0,
 * funct3 4: a1 is register 3, a2 is 4. AMOs: rd a0, rs2 a2, rs1 a1; what is scratch in the
 * other is 0 in both at the end.
 */
SAME_AS(".2byte 0x8190", "lbu a2, 0(a1)") SAME_AS(".2byte 0x81d0", "lbu a2, 1(a1)")
SAME_AS(".2byte 0x81b0", "lbu a2, 2(a1)") SAME_AS(".2byte 0x81f0", "lbu a2, 3(a1)")
SAME_AS(".2byte 0x8590", "lhu a2, 0(a1)") SAME_AS(".2byte 0x85b0", "lhu a2, 2(a1)")
SAME_AS(".2byte 0x85d0", "lh a2, 0(a1)") SAME_AS(".2byte 0x85f0", "lh a2, 2(a1)")
SAME_AS(".2byte 0x8990", "sb a2, 0(a1)") SAME_AS(".2byte 0x89d0", "sb a2, 1(a1)")
SAME_AS(".2byte 0x89b0", "sb a2, 2(a1)") SAME_AS(".2byte 0x89f0", "sb a2, 3(a1)")
SAME_AS(".2byte 0x8d90", "sh a2, 0(a1)") SAME_AS(".2byte 0x8db0", "sh a2, 2(a1)")
#define RMW(word, l, op, s) \
	SAME_AS(".4byte " word, l " a0, (a1); mv t6, a0; " op "; " s " t6, (a1); li t6, 0")
RMW("0x00c5852f", "lb", "add t6, a0, a2", "sb") RMW("0x00c5952f", "lh", "add t6, a0, a2", "sh")
RMW("0x08c5852f", "lb", "mv t6, a2", "sb") RMW("0x08c5952f", "lh", "mv t6, a2", "sh")
RMW("0x60c5852f", "lb", "and t6, a0, a2", "sb") RMW("0x40c5952f", "lh", "or t6, a0, a2", "sh")
RMW("0x20c5852f", "lb", "xor t6, a0, a2", "sb")
RMW("0x80c5852f", "lb", "slli t6, a2, 56; srai t6, t6, 56; ble t6, a0, 1f; mv t6, a0; 1:", "sb")
RMW("0xa0c5952f", "lh", "slli t6, a2, 48; srai t6, t6, 48; bge t6, a0, 1f; mv t6, a0; 1:", "sh")
RMW("0xc0c5852f", "lb", "slli t6, a2, 56; srai t6, t6, 56; bleu t6, a0, 1f; mv t6, a0; 1:", "sb")
RMW("0xe0c5952f", "lh", "slli t6, a2, 48; srai t6, t6, 48; bgeu t6, a0, 1f; mv t6, a0; 1:", "sh")
#define CAS(word, l, s, shift) \
	SAME_AS(".4byte " word, "slli t6, a0, " shift "; srai t6, t6, " shift "; " \
		l " a0, (a1); bne t6, a0, 1f; " s " a2, (a1); 1: li t6, 0")
CAS("0x28c5a52f", "lw", "sw", "32") CAS("0x28c5b52f", "ld", "sd", "0")
CAS("0x28c5852f", "lb", "sb", "56") CAS("0x28c5952f", "lh", "sh", "48")

#define HAVE_SAMES 1
extern const struct insn_same __start_insn_sames[], __stop_insn_sames[];

/* t6 is the scratch of the other; the compare values of half of the runs are what is there. */
static void same_set(struct regs *r, u8 *mem)
{
	u64 there;

	memcpy(&there, mem, sizeof(there));
	r->x[31] = 0;
	if (rnd() & 1)
		r->x[10] = there;
}

#define HAVE_SWEEP 1
#define SWEEP_WORDS 20000u

/* A random word that accesses memory; *base is the register that its address is from. */
static u32 sweep_word(unsigned *base, unsigned *target_align)
{
	static const u8 opcodes[] = { 0x03, 0x07, 0x23, 0x27, 0x2f };
	static const u8 quadrant2[] = { 1, 2, 3, 5, 6, 7 };
	u32 w = (u32)rnd();

	*target_align = 1;
	switch (rnd() % 4) {
	case 0:		/* quadrant 0 */
		w = (w & 0x1ffc) | (u32)(1 + rnd() % 7) << 13;
		*base = 8 + (w >> 7 & 7);
		return w | 0x00010000;	/* what is behind it: c.nop */
	case 1:
		w = (w & 0x1ffc) | 2 | (u32)quadrant2[rnd() % 6] << 13;
		*base = 2;
		return w | 0x00010000;
	default:
		w = (w & ~0x7fu) | opcodes[rnd() % ARRAY_SIZE(opcodes)];
		if ((w & 0x7f) == 0x2f) {
			w = (w & ~0x7000u) | (2 + (u32)rnd() % 2) << 12;
			w = rnd() & 1 ? w & 0x1fffffff : w & 0x0fffffff;
			w = rnd() & 1 ? w | (u32)(rnd() % 8) << 29 : w;
			if (w >> 27 == 2 && rnd() % 2)	/* LR has no rs2 */
				w &= ~0x1f00000u;
			*target_align = rnd() % 8 ? 8 : 1;
		}
		*base = w >> 15 & 31;
		return w;
	}
}

static bool sweep_can_run(u32 w, unsigned base)
{
	/* rd: in stores these bits are others, so some good words are passed over. */
	return !reg_is_ours(base) && base && !((w & 3) != 1 && reg_is_ours(w >> 7 & 31));
}

static void sweep_prepare(u32 w, struct regs *r)
{
}

/* What trap_riscv64.c says that it refuses. */
static bool sweep_may_refuse(u32 w, const struct regs *r)
{
	unsigned funct3 = w >> 12 & 7, amo = w >> 27;

	if ((w & 0x7f) == 0x2f)
		return amo == 2 || amo == 3 || funct3 == 4 ||
		       r->x[w >> 15 & 31] % (1u << (funct3 & 3));
	/* Vectors, Q. */
	return ((w & 0x7f) == 0x07 || (w & 0x7f) == 0x27) && (funct3 == 0 || funct3 >= 4);
}

static u64 *base_reg(struct regs *r, unsigned n)
{
	return &r->x[n];
}

#endif
