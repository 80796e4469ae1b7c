/* SPDX-License-Identifier: MIT */
/*
 * What Zfa adds (unprivileged manual, chapter "Zfa"), in all three formats.
 */
#include "cpu/fp/softfloat_core.h"

fp_inline u64 fp_round(struct fmt f, u64 bits, bool nx, enum sf_round rm, u8 *flags)
{
	struct num a = unpack(f, bits);
	u64 mag, rest, half;
	int lead;

	if (num_is_nan(a))
		return nan_result(f, a.kind == SNAN, flags);
	if (a.kind != FINITE || a.exp >= f.frac)	/* no bit below the point */
		return bits;
	if (a.exp >= 0) {
		mag = a.sig >> (63 - a.exp);
		half = 1ull << (62 - a.exp);
		rest = a.sig & (2 * half - 1);
	} else {
		mag = 0;
		half = 1ull << 63;
		rest = shift_right_sticky(a.sig, -1 - a.exp);
	}
	mag += round_up(rm, a.sign, mag & 1, rest, half);
	if (rest && nx)
		*flags |= SF_NX;
	if (!mag)
		return fmt_sign(f, a.sign);
	lead = __builtin_clzll(mag);
	return round_pack(f, a.sign, 63 - lead, mag << lead, rm, flags);	/* exact */
}

fp_inline u64 fp_min_max_nan(struct fmt f, u64 a, u64 b, bool want_max, u8 *flags)
{
	struct num x = unpack(f, a), y = unpack(f, b);

	if (num_is_nan(x) || num_is_nan(y))
		return nan_result(f, x.kind == SNAN || y.kind == SNAN, flags);
	return fp_min_max(f, a, b, want_max, flags);
}

s32 sf64_to_s32_mod(u64 bits, u8 *flags)
{
	struct num a = unpack(F64, bits);

	fp_to_int(a, 32, true, SF_RTZ, flags);
	if (a.kind != FINITE || a.exp < 0 || a.exp > 63 + 63)
		return 0;
	a.sig = a.exp <= 63 ? a.sig >> (63 - a.exp) : a.sig << (a.exp - 63);
	return (s32)(u32)(a.sign ? -a.sig : a.sig);
}

/*
 * fli's constants, as the manual's table has them: -1, the least normal number, 2^-16, 2^-15,
 * 2^-8, 2^-7, 2^-4, 2^-3; quarters up to 1, then 1.25 to 4; powers of two; infinity, NaN. All
 * but the least normal number and the last two have one value in every format.
 */
fp_inline u64 fp_constant(struct fmt f, unsigned n)
{
	/* The exponent, and the fraction's two leading bits. */
	static const struct {
		s8 exp;
		u8 frac;
	} table[32] = {
		[0] = { 0, 0 }, [2] = { -16, 0 }, [3] = { -15, 0 }, [4] = { -8, 0 },
		[5] = { -7, 0 }, [6] = { -4, 0 }, [7] = { -3, 0 },
		[8] = { -2, 0 }, [9] = { -2, 1 }, [10] = { -2, 2 }, [11] = { -2, 3 },
		[12] = { -1, 0 }, [13] = { -1, 1 }, [14] = { -1, 2 }, [15] = { -1, 3 },
		[16] = { 0, 0 }, [17] = { 0, 1 }, [18] = { 0, 2 }, [19] = { 0, 3 },
		[20] = { 1, 0 }, [21] = { 1, 1 }, [22] = { 1, 2 }, [23] = { 2, 0 },
		[24] = { 3, 0 }, [25] = { 4, 0 }, [26] = { 7, 0 }, [27] = { 8, 0 },
		[28] = { 15, 0 }, [29] = { 16, 0 },
	};
	u8 flags = 0;

	n &= 31;
	if (n == 1)
		return 1ull << f.frac;
	if (n == 30)
		return fmt_inf(f, false);
	if (n == 31)
		return fmt_nan(f);
	/* 2^-16 and 2^-15 are subnormal in binary16; 2^16 is beyond it: infinity. */
	return round_pack(f, n == 0, table[n].exp, 1ull << 63 | (u64)table[n].frac << 61, SF_RNE,
			  &flags);
}

u16 sf16_round(u16 a, bool nx, enum sf_round rm, u8 *flags)
{
	return (u16)fp_round(F16, a, nx, rm, flags);
}

u16 sf16_minm(u16 a, u16 b, u8 *flags)
{
	return (u16)fp_min_max_nan(F16, a, b, false, flags);
}

u16 sf16_maxm(u16 a, u16 b, u8 *flags)
{
	return (u16)fp_min_max_nan(F16, a, b, true, flags);
}

bool sf16_ltq(u16 a, u16 b, u8 *flags)
{
	return fp_less(F16, a, b, false, true, flags);
}

bool sf16_leq(u16 a, u16 b, u8 *flags)
{
	return fp_less(F16, a, b, true, true, flags);
}

u16 sf16_constant(unsigned n)
{
	return (u16)fp_constant(F16, n);
}

u32 sf32_round(u32 a, bool nx, enum sf_round rm, u8 *flags)
{
	return (u32)fp_round(F32, a, nx, rm, flags);
}

u32 sf32_minm(u32 a, u32 b, u8 *flags)
{
	return (u32)fp_min_max_nan(F32, a, b, false, flags);
}

u32 sf32_maxm(u32 a, u32 b, u8 *flags)
{
	return (u32)fp_min_max_nan(F32, a, b, true, flags);
}

bool sf32_ltq(u32 a, u32 b, u8 *flags)
{
	return fp_less(F32, a, b, false, true, flags);
}

bool sf32_leq(u32 a, u32 b, u8 *flags)
{
	return fp_less(F32, a, b, true, true, flags);
}

u32 sf32_constant(unsigned n)
{
	return (u32)fp_constant(F32, n);
}

u64 sf64_round(u64 a, bool nx, enum sf_round rm, u8 *flags)
{
	return fp_round(F64, a, nx, rm, flags);
}

u64 sf64_minm(u64 a, u64 b, u8 *flags)
{
	return fp_min_max_nan(F64, a, b, false, flags);
}

u64 sf64_maxm(u64 a, u64 b, u8 *flags)
{
	return fp_min_max_nan(F64, a, b, true, flags);
}

bool sf64_ltq(u64 a, u64 b, u8 *flags)
{
	return fp_less(F64, a, b, false, true, flags);
}

bool sf64_leq(u64 a, u64 b, u8 *flags)
{
	return fp_less(F64, a, b, true, true, flags);
}

u64 sf64_constant(unsigned n)
{
	return fp_constant(F64, n);
}
