/* SPDX-License-Identifier: MIT */
/*
 * IEEE 754 binary16, binary32 and binary64 in integers, as the RISC-V extensions Zfh, F, D and
 * Zfa want them (unprivileged manual, the chapters of these names): the reference behind
 * fp/hostfp.h.
 *
 * A value is its raw bits: u16, u32, u64. No function touches the host's
 * floating point unit or its environment; all are pure but for *flags, and any thread may call
 * them.
 *
 * - A NaN result is the canonical quiet NaN, whatever the operands' payloads.
 * - Tininess is detected after rounding; underflow is raised when a tiny result is inexact.
 * - *flags is OR-ed into, with the bits of the fflags CSR.
 * - rm is one of the five below. "Dynamic" and the reserved encodings are the caller's, who
 *   raises the illegal instruction exception or reads frm.
 */
#ifndef SV_CPU_FP_SOFTFLOAT_H
#define SV_CPU_FP_SOFTFLOAT_H

#include "base/types.h"

/* The frm encoding. */
enum sf_round {
	SF_RNE = 0,	/* to nearest, ties to even */
	SF_RTZ = 1,	/* towards zero */
	SF_RDN = 2,	/* down */
	SF_RUP = 3,	/* up */
	SF_RMM = 4,	/* to nearest, ties away from zero */
};

/* The fflags bits. */
enum sf_flag {
	SF_NX = 1,	/* inexact */
	SF_UF = 2,	/* underflow */
	SF_OF = 4,	/* overflow */
	SF_DZ = 8,	/* division by zero */
	SF_NV = 16,	/* invalid operation */
};

/* The bits of fclass. */
enum sf_class {
	SF_CLASS_NEG_INF = 1 << 0,
	SF_CLASS_NEG_NORMAL = 1 << 1,
	SF_CLASS_NEG_SUBNORMAL = 1 << 2,
	SF_CLASS_NEG_ZERO = 1 << 3,
	SF_CLASS_POS_ZERO = 1 << 4,
	SF_CLASS_POS_SUBNORMAL = 1 << 5,
	SF_CLASS_POS_NORMAL = 1 << 6,
	SF_CLASS_POS_INF = 1 << 7,
	SF_CLASS_SNAN = 1 << 8,
	SF_CLASS_QNAN = 1 << 9,
};

#define SF16_SIGN 0x8000u
#define SF16_INF 0x7c00u
#define SF16_QUIET 0x0200u
#define SF16_NAN 0x7e00u

#define SF32_SIGN 0x80000000u
#define SF32_INF 0x7f800000u
#define SF32_QUIET 0x00400000u		/* the bit that makes a NaN quiet */
#define SF32_NAN 0x7fc00000u		/* the canonical NaN */

#define SF64_SIGN 0x8000000000000000ull
#define SF64_INF 0x7ff0000000000000ull
#define SF64_QUIET 0x0008000000000000ull
#define SF64_NAN 0x7ff8000000000000ull

static inline bool sf32_is_nan(u32 a)
{
	return (a & ~SF32_SIGN) > SF32_INF;
}

static inline bool sf32_is_snan(u32 a)
{
	return sf32_is_nan(a) && !(a & SF32_QUIET);
}

static inline bool sf32_is_inf(u32 a)
{
	return (a & ~SF32_SIGN) == SF32_INF;
}

static inline bool sf32_is_zero(u32 a)
{
	return (a & ~SF32_SIGN) == 0;
}

static inline bool sf32_sign(u32 a)
{
	return a >> 31;
}

static inline bool sf64_is_nan(u64 a)
{
	return (a & ~SF64_SIGN) > SF64_INF;
}

static inline bool sf64_is_snan(u64 a)
{
	return sf64_is_nan(a) && !(a & SF64_QUIET);
}

static inline bool sf64_is_inf(u64 a)
{
	return (a & ~SF64_SIGN) == SF64_INF;
}

static inline bool sf64_is_zero(u64 a)
{
	return (a & ~SF64_SIGN) == 0;
}

static inline bool sf64_sign(u64 a)
{
	return a >> 63;
}

/*
 * A binary32 in a 64-bit register: the upper half is all ones, and a register that does not
 * look like that reads as the canonical NaN. (fmv.x.w, fmv.w.x, loads and stores take the raw
 * lower half instead.)
 */
static inline u64 sf32_box(u32 a)
{
	return 0xffffffff00000000ull | a;
}

static inline u32 sf32_unbox(u64 reg)
{
	return reg >> 32 == 0xffffffff ? (u32)reg : SF32_NAN;
}

/* The same for a binary16. */
static inline u64 sf16_box(u16 a)
{
	return 0xffffffffffff0000ull | a;
}

static inline u16 sf16_unbox(u64 reg)
{
	return reg >> 16 == 0xffffffffffff ? (u16)reg : SF16_NAN;
}

/* fsgnj, fsgnjn and fsgnjx: no NaN is canonicalized, no flag raised. */
static inline u32 sf32_sgnj(u32 a, u32 b)
{
	return (a & ~SF32_SIGN) | (b & SF32_SIGN);
}

static inline u32 sf32_sgnjn(u32 a, u32 b)
{
	return (a & ~SF32_SIGN) | (~b & SF32_SIGN);
}

static inline u32 sf32_sgnjx(u32 a, u32 b)
{
	return a ^ (b & SF32_SIGN);
}

static inline u16 sf16_sgnj(u16 a, u16 b)
{
	return (u16)((a & ~SF16_SIGN) | (b & SF16_SIGN));
}

static inline u16 sf16_sgnjn(u16 a, u16 b)
{
	return (u16)((a & ~SF16_SIGN) | (~b & SF16_SIGN));
}

static inline u16 sf16_sgnjx(u16 a, u16 b)
{
	return (u16)(a ^ (b & SF16_SIGN));
}

static inline u64 sf64_sgnj(u64 a, u64 b)
{
	return (a & ~SF64_SIGN) | (b & SF64_SIGN);
}

static inline u64 sf64_sgnjn(u64 a, u64 b)
{
	return (a & ~SF64_SIGN) | (~b & SF64_SIGN);
}

static inline u64 sf64_sgnjx(u64 a, u64 b)
{
	return a ^ (b & SF64_SIGN);
}

u32 sf32_add(u32 a, u32 b, enum sf_round rm, u8 *flags);
u32 sf32_sub(u32 a, u32 b, enum sf_round rm, u8 *flags);
u32 sf32_mul(u32 a, u32 b, enum sf_round rm, u8 *flags);
u32 sf32_div(u32 a, u32 b, enum sf_round rm, u8 *flags);
u32 sf32_sqrt(u32 a, enum sf_round rm, u8 *flags);

u64 sf64_add(u64 a, u64 b, enum sf_round rm, u8 *flags);
u64 sf64_sub(u64 a, u64 b, enum sf_round rm, u8 *flags);
u64 sf64_mul(u64 a, u64 b, enum sf_round rm, u8 *flags);
u64 sf64_div(u64 a, u64 b, enum sf_round rm, u8 *flags);
u64 sf64_sqrt(u64 a, enum sf_round rm, u8 *flags);

/*
 * a * b + c, rounded once. Infinity times zero raises NV even when c is a quiet NaN.
 * The other three fused instructions flip operand signs first:
 * fmsub a * b + -c, fnmsub -a * b + c, fnmadd -a * b + -c.
 */
u32 sf32_fma(u32 a, u32 b, u32 c, enum sf_round rm, u8 *flags);
u64 sf64_fma(u64 a, u64 b, u64 c, enum sf_round rm, u8 *flags);

/*
 * fmin and fmax since version 2.2 of F: minimumNumber and maximumNumber of IEEE 754-2019. A
 * NaN loses against a number, two make the canonical NaN, a signalling one raises NV;
 * -0 is less than +0. They never round.
 */
u32 sf32_min(u32 a, u32 b, u8 *flags);
u32 sf32_max(u32 a, u32 b, u8 *flags);
u64 sf64_min(u64 a, u64 b, u8 *flags);
u64 sf64_max(u64 a, u64 b, u8 *flags);

/* feq raises NV for signalling NaNs only, flt and fle for any NaN. With a NaN: false. */
bool sf32_eq(u32 a, u32 b, u8 *flags);
bool sf32_lt(u32 a, u32 b, u8 *flags);
bool sf32_le(u32 a, u32 b, u8 *flags);
bool sf64_eq(u64 a, u64 b, u8 *flags);
bool sf64_lt(u64 a, u64 b, u8 *flags);
bool sf64_le(u64 a, u64 b, u8 *flags);

/* Exactly one bit of enum sf_class. */
unsigned sf32_classify(u32 a);
unsigned sf64_classify(u64 a);

u64 sf32_to_f64(u32 a, u8 *flags);	/* always exact */
u32 sf64_to_f32(u64 a, enum sf_round rm, u8 *flags);

/*
 * To integers. What does not fit after rounding gives the nearest integer that does, a NaN the
 * greatest, and NV alone is raised. (On RV64, fcvt.w and fcvt.wu sign-extend the 32 bits: that
 * is the caller's.)
 */
s32 sf32_to_s32(u32 a, enum sf_round rm, u8 *flags);
u32 sf32_to_u32(u32 a, enum sf_round rm, u8 *flags);
s64 sf32_to_s64(u32 a, enum sf_round rm, u8 *flags);
u64 sf32_to_u64(u32 a, enum sf_round rm, u8 *flags);
s32 sf64_to_s32(u64 a, enum sf_round rm, u8 *flags);
u32 sf64_to_u32(u64 a, enum sf_round rm, u8 *flags);
s64 sf64_to_s64(u64 a, enum sf_round rm, u8 *flags);
u64 sf64_to_u64(u64 a, enum sf_round rm, u8 *flags);

/* From integers; zero gives +0 in every mode. */
u32 sf32_from_s32(s32 a, enum sf_round rm, u8 *flags);
u32 sf32_from_u32(u32 a, enum sf_round rm, u8 *flags);
u32 sf32_from_s64(s64 a, enum sf_round rm, u8 *flags);
u32 sf32_from_u64(u64 a, enum sf_round rm, u8 *flags);
u64 sf64_from_s32(s32 a, enum sf_round rm, u8 *flags);	/* always exact */
u64 sf64_from_u32(u32 a, enum sf_round rm, u8 *flags);	/* always exact */
u64 sf64_from_s64(s64 a, enum sf_round rm, u8 *flags);
u64 sf64_from_u64(u64 a, enum sf_round rm, u8 *flags);

/* ------------------------------------------------ binary16: softfloat16.c */

u16 sf16_add(u16 a, u16 b, enum sf_round rm, u8 *flags);
u16 sf16_sub(u16 a, u16 b, enum sf_round rm, u8 *flags);
u16 sf16_mul(u16 a, u16 b, enum sf_round rm, u8 *flags);
u16 sf16_div(u16 a, u16 b, enum sf_round rm, u8 *flags);
u16 sf16_sqrt(u16 a, enum sf_round rm, u8 *flags);
u16 sf16_fma(u16 a, u16 b, u16 c, enum sf_round rm, u8 *flags);
u16 sf16_min(u16 a, u16 b, u8 *flags);
u16 sf16_max(u16 a, u16 b, u8 *flags);
bool sf16_eq(u16 a, u16 b, u8 *flags);
bool sf16_lt(u16 a, u16 b, u8 *flags);
bool sf16_le(u16 a, u16 b, u8 *flags);
unsigned sf16_classify(u16 a);
u32 sf16_to_f32(u16 a, u8 *flags);	/* always exact */
u64 sf16_to_f64(u16 a, u8 *flags);	/* always exact */
u16 sf32_to_f16(u32 a, enum sf_round rm, u8 *flags);
u16 sf64_to_f16(u64 a, enum sf_round rm, u8 *flags);
s32 sf16_to_s32(u16 a, enum sf_round rm, u8 *flags);
u32 sf16_to_u32(u16 a, enum sf_round rm, u8 *flags);
s64 sf16_to_s64(u16 a, enum sf_round rm, u8 *flags);
u64 sf16_to_u64(u16 a, enum sf_round rm, u8 *flags);
u16 sf16_from_s32(s32 a, enum sf_round rm, u8 *flags);
u16 sf16_from_u32(u32 a, enum sf_round rm, u8 *flags);
u16 sf16_from_s64(s64 a, enum sf_round rm, u8 *flags);
u16 sf16_from_u64(u64 a, enum sf_round rm, u8 *flags);

/* --------------------------------------------------- Zfa: softfloat_zfa.c */

/*
 * fround: to an integral value in the same format; a zero keeps the operand's sign. Inexact is
 * raised by froundnx (nx) alone.
 */
u16 sf16_round(u16 a, bool nx, enum sf_round rm, u8 *flags);
u32 sf32_round(u32 a, bool nx, enum sf_round rm, u8 *flags);
u64 sf64_round(u64 a, bool nx, enum sf_round rm, u8 *flags);

/* fminm and fmaxm: as min and max, but a NaN wins, as the canonical one. */
u16 sf16_minm(u16 a, u16 b, u8 *flags);
u16 sf16_maxm(u16 a, u16 b, u8 *flags);
u32 sf32_minm(u32 a, u32 b, u8 *flags);
u32 sf32_maxm(u32 a, u32 b, u8 *flags);
u64 sf64_minm(u64 a, u64 b, u8 *flags);
u64 sf64_maxm(u64 a, u64 b, u8 *flags);

/* fltq and fleq: NV for signalling NaNs only. */
bool sf16_ltq(u16 a, u16 b, u8 *flags);
bool sf16_leq(u16 a, u16 b, u8 *flags);
bool sf32_ltq(u32 a, u32 b, u8 *flags);
bool sf32_leq(u32 a, u32 b, u8 *flags);
bool sf64_ltq(u64 a, u64 b, u8 *flags);
bool sf64_leq(u64 a, u64 b, u8 *flags);

/* fcvtmod.w.d: truncated, modulo 2^32; flags as sf64_to_s32() towards zero. */
s32 sf64_to_s32_mod(u64 a, u8 *flags);

/* fli: constant number n (0..31). 2^16 is infinity in binary16. */
u16 sf16_constant(unsigned n);
u32 sf32_constant(unsigned n);
u64 sf64_constant(unsigned n);

#endif
