/* SPDX-License-Identifier: MIT */
/*
 * What softfloat.c, softfloat16.c and softfloat_zfa.c share: the arithmetic itself, for any
 * format of up to 64 bits. softfloat.h says what it promises.
 *
 * Model. One implementation serves all formats: it takes the format's two widths, which are
 * constants in every caller, so that the compiler makes specialized copies. Operands are
 * unpacked into struct num, whose significand is a u64 with its top bit set, subnormals
 * included: no operation knows about subnormals. An operation makes an exact result, or one
 * whose lowest bit stands for all bits lost below it ("sticky"), and round_pack() alone rounds,
 * detects overflow and underflow, and packs.
 *
 * Why sticky is enough: binary64 keeps 53 of the 64 bits (the others keep fewer), so that at
 * least 10 bits lie between the rounding position and the sticky one. A sticky bit only has to
 * say "not zero, and not half" about what is below, and it does as long as it stays below the
 * half bit. Operations that normalize after a sticky bit was made say why it stays there.
 */
#ifndef SV_CPU_FP_SOFTFLOAT_CORE_H
#define SV_CPU_FP_SOFTFLOAT_CORE_H

#include "cpu/fp/softfloat.h"

typedef unsigned __int128 u128;

struct fmt {
	int frac;	/* stored fraction bits */
	int exp;	/* exponent bits */
};

static const struct fmt F16 __attribute__((unused)) = { 10, 5 };
static const struct fmt F32 __attribute__((unused)) = { 23, 8 };
static const struct fmt F64 __attribute__((unused)) = { 52, 11 };

enum kind { ZERO, FINITE, INF, QNAN, SNAN };

/* FINITE: (-1)^sign * sig * 2^(exp - 63), bit 63 of sig set. */
struct num {
	enum kind kind;
	bool sign;
	int exp;
	u64 sig;
};

#define fp_inline static inline __attribute__((always_inline))
#define fp_cold static __attribute__((unused))

fp_inline int fmt_bias(struct fmt f)
{
	return (1 << (f.exp - 1)) - 1;
}

fp_inline u64 fmt_sign(struct fmt f, bool sign)
{
	return (u64)sign << (f.frac + f.exp);
}

fp_inline u64 fmt_inf(struct fmt f, bool sign)
{
	return fmt_sign(f, sign) | (((1ull << f.exp) - 1) << f.frac);
}

fp_inline u64 fmt_nan(struct fmt f)
{
	return fmt_inf(f, false) | 1ull << (f.frac - 1);
}

/* a >> n for any n >= 0, the lowest bit standing for all that fell off. */
fp_inline u64 shift_right_sticky(u64 a, int n)
{
	if (n >= 64)
		return a != 0;
	return a >> n | ((a & ((1ull << n) - 1)) != 0);
}

fp_inline u128 shift_right_sticky128(u128 a, int n)
{
	if (n >= 128)
		return a != 0;
	return a >> n | ((a & (((u128)1 << n) - 1)) != 0);
}

fp_inline u64 high_sticky(u128 a)
{
	return (u64)(a >> 64) | ((u64)a != 0);
}

fp_inline struct num unpack(struct fmt f, u64 a)
{
	u64 frac = a & ((1ull << f.frac) - 1);
	int exp = (int)(a >> f.frac & ((1u << f.exp) - 1));
	struct num n = { .kind = FINITE, .sign = a >> (f.frac + f.exp) & 1 };

	if (likely(exp != 0 && exp != (1 << f.exp) - 1)) {
		n.exp = exp - fmt_bias(f);
		n.sig = 1ull << 63 | frac << (63 - f.frac);
	} else if (exp) {
		n.kind = !frac ? INF : frac >> (f.frac - 1) ? QNAN : SNAN;
	} else if (frac) {
		int lead = __builtin_clzll(frac);

		n.sig = frac << lead;
		n.exp = 1 - fmt_bias(f) - f.frac + 63 - lead;
	} else {
		n.kind = ZERO;
	}
	return n;
}

fp_inline bool num_is_nan(struct num n)
{
	return n.kind >= QNAN;
}

/* Is the magnitude rounded up? rest is dropped, half is its half; odd: the last bit kept. */
fp_inline bool round_up(enum sf_round rm, bool sign, bool odd, u64 rest, u64 half)
{
	switch (rm) {
	case SF_RNE:
		return rest > half || (rest == half && odd);
	case SF_RDN:
		return sign && rest;
	case SF_RUP:
		return !sign && rest;
	case SF_RMM:
		return rest >= half;
	case SF_RTZ:
		break;
	}
	return false;
}

fp_cold u64 overflow(struct fmt f, bool sign, enum sf_round rm, u8 *flags)
{
	bool to_max = rm == SF_RTZ || (rm == SF_RDN && !sign) || (rm == SF_RUP && sign);

	*flags |= SF_OF | SF_NX;
	return fmt_inf(f, sign) - to_max;	/* below infinity's bits lies the greatest number */
}

/* Rounds (-1)^sign * sig * 2^(exp - 63), bit 63 of sig set and bit 0 sticky. */
fp_inline u64 round_pack(struct fmt f, bool sign, int exp, u64 sig, enum sf_round rm, u8 *flags)
{
	const int drop = 63 - f.frac;
	const u64 half = 1ull << (drop - 1), mask = 2 * half - 1;
	const int min_exp = 1 - fmt_bias(f);
	bool tiny = false;
	u64 kept, rest;

	if (unlikely(exp < min_exp)) {
		/*
		 * Tiny after rounding: with an unbounded exponent the result would still lie
		 * below the smallest normal number. Only all ones one binade below can be
		 * rounded up to it.
		 */
		kept = sig >> drop;
		tiny = exp < min_exp - 1 || kept != (2ull << f.frac) - 1 ||
		       !round_up(rm, sign, true, sig & mask, half);
		sig = shift_right_sticky(sig, min_exp - exp);
		exp = min_exp;
	}
	kept = sig >> drop;
	rest = sig & mask;
	kept += round_up(rm, sign, kept & 1, rest, half);
	if (rest)
		*flags |= tiny ? SF_UF | SF_NX : SF_NX;
	/*
	 * The leading bit of kept adds one to the exponent field, which is why one less is
	 * put there: a carry out of the fraction, and a subnormal without or with a carry
	 * into the normals, come out right of themselves.
	 */
	if (unlikely(exp >= fmt_bias(f)) &&
	    (exp > fmt_bias(f) || kept >> (f.frac + 1)))
		return overflow(f, sign, rm, flags);
	return fmt_sign(f, sign) + ((u64)(exp - min_exp) << f.frac) + kept;
}

/* The result of an operation on at least one NaN. */
fp_inline u64 nan_result(struct fmt f, bool snan, u8 *flags)
{
	if (snan)
		*flags |= SF_NV;
	return fmt_nan(f);
}

fp_inline u64 invalid(struct fmt f, u8 *flags)
{
	*flags |= SF_NV;
	return fmt_nan(f);
}

/* The sum of two zeros, or an exact cancellation: +0 but for RDN, -0 if both are negative. */
fp_inline u64 zero_sum(struct fmt f, bool a_sign, bool b_sign, enum sf_round rm)
{
	return fmt_sign(f, a_sign == b_sign ? a_sign : rm == SF_RDN);
}

/* a + b when not both are FINITE. */
fp_cold u64 add_special(struct fmt f, struct num a, struct num b, u64 a_bits, u64 b_bits,
		       enum sf_round rm, u8 *flags)
{
	if (num_is_nan(a) || num_is_nan(b))
		return nan_result(f, a.kind == SNAN || b.kind == SNAN, flags);
	if (a.kind == INF && b.kind == INF && a.sign != b.sign)
		return invalid(f, flags);
	if (a.kind == INF || b.kind == ZERO)
		return b.kind == ZERO && a.kind == ZERO ? zero_sum(f, a.sign, b.sign, rm) : a_bits;
	return b_bits;
}

fp_inline u64 fp_add(struct fmt f, u64 a_bits, u64 b_bits, enum sf_round rm, u8 *flags)
{
	struct num a = unpack(f, a_bits), b = unpack(f, b_bits), t;
	u64 sig;
	int lead;

	if (unlikely(a.kind != FINITE || b.kind != FINITE))
		return add_special(f, a, b, a_bits, b_bits, rm, flags);
	if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
		t = a;
		a = b;
		b = t;
	}
	/*
	 * One bit of headroom for the carry. Operands have 11 zero bits at the end, so up to a
	 * distance of 10 nothing falls off; beyond, a difference loses at most one leading bit
	 * and the sticky bit stays below the half bit.
	 */
	a.sig >>= 1;
	b.sig = shift_right_sticky(b.sig >> 1, a.exp - b.exp);
	sig = a.sign == b.sign ? a.sig + b.sig : a.sig - b.sig;
	if (!sig)
		return zero_sum(f, a.sign, b.sign, rm);
	lead = __builtin_clzll(sig);
	return round_pack(f, a.sign, a.exp + 1 - lead, sig << lead, rm, flags);
}

/* Negating a NaN changes neither that it is one nor which kind. */
fp_inline u64 fp_sub(struct fmt f, u64 a, u64 b, enum sf_round rm, u8 *flags)
{
	return fp_add(f, a, b ^ fmt_sign(f, true), rm, flags);
}

fp_inline u64 fp_mul(struct fmt f, u64 a_bits, u64 b_bits, enum sf_round rm, u8 *flags)
{
	struct num a = unpack(f, a_bits), b = unpack(f, b_bits);
	bool sign = a.sign != b.sign;
	int exp = a.exp + b.exp + 1;
	u128 p;

	if (unlikely(a.kind != FINITE || b.kind != FINITE)) {
		if (num_is_nan(a) || num_is_nan(b))
			return nan_result(f, a.kind == SNAN || b.kind == SNAN, flags);
		if ((a.kind == INF && b.kind == ZERO) || (a.kind == ZERO && b.kind == INF))
			return invalid(f, flags);
		return a.kind == INF || b.kind == INF ? fmt_inf(f, sign) : fmt_sign(f, sign);
	}
	p = (u128)a.sig * b.sig;
	if (!(p >> 127)) {
		p <<= 1;
		exp--;
	}
	return round_pack(f, sign, exp, high_sticky(p), rm, flags);
}

fp_inline u64 fp_div(struct fmt f, u64 a_bits, u64 b_bits, enum sf_round rm, u8 *flags)
{
	struct num a = unpack(f, a_bits), b = unpack(f, b_bits);
	bool sign = a.sign != b.sign;
	int exp = a.exp - b.exp;
	u128 dividend;
	u64 q;

	if (unlikely(a.kind != FINITE || b.kind != FINITE)) {
		if (num_is_nan(a) || num_is_nan(b))
			return nan_result(f, a.kind == SNAN || b.kind == SNAN, flags);
		if (a.kind == b.kind)			/* 0 / 0, inf / inf */
			return invalid(f, flags);
		if (b.kind == ZERO && a.kind == FINITE)
			*flags |= SF_DZ;
		return a.kind == INF || b.kind == ZERO ? fmt_inf(f, sign) : fmt_sign(f, sign);
	}
	/* Scaled so that the quotient has its leading bit at 63. */
	dividend = (u128)a.sig << 63;
	if (a.sig < b.sig) {
		dividend <<= 1;
		exp--;
	}
	q = (u64)(dividend / b.sig);
	q |= (u128)q * b.sig != dividend;
	return round_pack(f, sign, exp, q, rm, flags);
}

fp_inline u64 fp_sqrt(struct fmt f, u64 a_bits, enum sf_round rm, u8 *flags)
{
	/* What the format keeps and the half bit; the remainder is the sticky bit. */
	const int digits = f.frac + 2;
	struct num a = unpack(f, a_bits);
	u64 left, root = 0, rem = 0, trial, digit;
	int i;

	if (num_is_nan(a))
		return nan_result(f, a.kind == SNAN, flags);
	if (a.kind == ZERO)
		return a_bits;
	if (a.sign)
		return invalid(f, flags);
	if (a.kind == INF)
		return a_bits;
	/*
	 * Digit by digit, two bits of the radicand for one of the root. The radicand is in
	 * [1, 4), two bits before the point, and the exponent even: the first digit is a one.
	 */
	left = a.exp & 1 ? a.sig : a.sig >> 1;
	for (i = 0; i < digits; i++) {
		rem = rem << 2 | left >> 62;
		left <<= 2;
		trial = root << 2 | 1;
		digit = rem >= trial;		/* no branch: it could not be predicted */
		rem -= trial & -digit;
		root = root << 1 | digit;
	}
	return round_pack(f, false, a.exp >> 1, root << (64 - digits) | (rem != 0), rm, flags);
}

/* a * b + c when not all are FINITE. */
fp_cold u64 fma_special(struct fmt f, struct num a, struct num b, struct num c, u64 c_bits,
		       enum sf_round rm, u8 *flags)
{
	bool sign = a.sign != b.sign;

	if ((a.kind == INF && b.kind == ZERO) || (a.kind == ZERO && b.kind == INF))
		return invalid(f, flags);
	if (num_is_nan(a) || num_is_nan(b) || num_is_nan(c))
		return nan_result(f, a.kind == SNAN || b.kind == SNAN || c.kind == SNAN, flags);
	if (a.kind == INF || b.kind == INF) {
		if (c.kind == INF && c.sign != sign)
			return invalid(f, flags);
		return fmt_inf(f, sign);
	}
	/* What is left: c infinite, or a product of zero. */
	if (c.kind == ZERO)
		return zero_sum(f, sign, c.sign, rm);
	return c_bits;
}

fp_inline u64 fp_fma(struct fmt f, u64 a_bits, u64 b_bits, u64 c_bits, enum sf_round rm,
		     u8 *flags)
{
	struct num a = unpack(f, a_bits), b = unpack(f, b_bits), c = unpack(f, c_bits);
	bool sign = a.sign != b.sign, small_sign = c.sign;
	int exp = a.exp + b.exp, lead;
	u128 p, q, t;

	if (unlikely(a.kind != FINITE || b.kind != FINITE ||
		     (c.kind != FINITE && c.kind != ZERO)))
		return fma_special(f, a, b, c, c_bits, rm, flags);
	/* The product with its leading bit at 126: exact, as its lowest 22 bits are zero. */
	p = (u128)a.sig * b.sig;
	if (p >> 127) {
		p >>= 1;
		exp++;
	}
	if (c.kind == ZERO)
		return round_pack(f, sign, exp, high_sticky(p << 1), rm, flags);
	/*
	 * As in fp_add(), in 128 bits: up to a distance of 21 nothing falls off, beyond a
	 * difference loses at most one leading bit.
	 */
	q = (u128)c.sig << 63;
	if (exp < c.exp || (exp == c.exp && p < q)) {
		t = p;
		p = q;
		q = shift_right_sticky128(t, c.exp - exp);
		exp = c.exp;
		small_sign = sign;
		sign = c.sign;
	} else {
		q = shift_right_sticky128(q, exp - c.exp);
	}
	p = sign == small_sign ? p + q : p - q;
	if (!p)
		return zero_sum(f, sign, small_sign, rm);
	lead = p >> 64 ? __builtin_clzll((u64)(p >> 64)) : 64 + __builtin_clzll((u64)p);
	return round_pack(f, sign, exp + 1 - lead, high_sticky(p << lead), rm, flags);
}

/* Is a < b? Neither is a NaN; -0 counts as less than +0. */
fp_inline bool total_less(struct fmt f, u64 a, u64 b)
{
	u64 sign = fmt_sign(f, true);

	if ((a ^ b) & sign)
		return a & sign;
	return a & sign ? b < a : a < b;
}

fp_inline u64 fp_min_max(struct fmt f, u64 a_bits, u64 b_bits, bool want_max, u8 *flags)
{
	struct num a = unpack(f, a_bits), b = unpack(f, b_bits);

	if (a.kind == SNAN || b.kind == SNAN)
		*flags |= SF_NV;
	if (num_is_nan(a))
		return num_is_nan(b) ? fmt_nan(f) : b_bits;
	if (num_is_nan(b))
		return a_bits;
	return total_less(f, a_bits, b_bits) != want_max ? a_bits : b_bits;
}

fp_inline bool both_zero(struct fmt f, u64 a, u64 b)
{
	return !((a | b) & ~fmt_sign(f, true));
}

fp_cold unsigned class_bits(struct num n, bool subnormal)
{
	switch (n.kind) {
	case SNAN:
		return SF_CLASS_SNAN;
	case QNAN:
		return SF_CLASS_QNAN;
	case INF:
		return n.sign ? SF_CLASS_NEG_INF : SF_CLASS_POS_INF;
	case ZERO:
		return n.sign ? SF_CLASS_NEG_ZERO : SF_CLASS_POS_ZERO;
	case FINITE:
		break;
	}
	if (subnormal)
		return n.sign ? SF_CLASS_NEG_SUBNORMAL : SF_CLASS_POS_SUBNORMAL;
	return n.sign ? SF_CLASS_NEG_NORMAL : SF_CLASS_POS_NORMAL;
}

/* To an integer of `bits` bits, two's complement when is_signed. */
fp_inline u64 fp_to_int(struct num a, int bits, bool is_signed, enum sf_round rm, u8 *flags)
{
	const u64 max = ~0ull >> (64 - bits + is_signed);
	const u64 min_mag = is_signed ? max + 1 : 0;	/* magnitude of the least integer */
	u64 mag, rest;

	if (a.kind == ZERO)
		return 0;
	if (num_is_nan(a) || a.kind == INF || a.exp > 63) {
		*flags |= SF_NV;
		return a.sign && !num_is_nan(a) ? -min_mag : max;
	}
	/* mag.rest: 64 bits on either side of the point. */
	if (a.exp >= 0) {
		mag = a.sig >> (63 - a.exp);
		rest = a.exp == 63 ? 0 : a.sig << (a.exp + 1);
	} else {
		mag = 0;
		rest = shift_right_sticky(a.sig, -1 - a.exp);
	}
	mag += round_up(rm, a.sign, mag & 1, rest, 1ull << 63);
	if (mag > (a.sign ? min_mag : max)) {
		*flags |= SF_NV;
		return a.sign ? -min_mag : max;
	}
	if (rest)
		*flags |= SF_NX;
	return a.sign ? -mag : mag;
}

fp_inline u64 fp_from_int(struct fmt f, bool sign, u64 mag, enum sf_round rm, u8 *flags)
{
	int lead;

	if (!mag)
		return 0;
	lead = __builtin_clzll(mag);
	return round_pack(f, sign, 63 - lead, mag << lead, rm, flags);
}

fp_inline u64 fp_from_s64(struct fmt f, s64 a, enum sf_round rm, u8 *flags)
{
	return fp_from_int(f, a < 0, a < 0 ? -(u64)a : (u64)a, rm, flags);
}

/* From one format to the other. */
fp_inline u64 fp_convert(struct fmt from, struct fmt to, u64 bits, enum sf_round rm, u8 *flags)
{
	struct num a = unpack(from, bits);

	if (a.kind == ZERO)
		return fmt_sign(to, a.sign);
	if (a.kind == INF)
		return fmt_inf(to, a.sign);
	if (num_is_nan(a))
		return nan_result(to, a.kind == SNAN, flags);
	return round_pack(to, a.sign, a.exp, a.sig, rm, flags);
}

/* a == b as feq means it: quiet, so that only a signalling NaN raises NV. */
fp_inline bool fp_eq(struct fmt f, u64 a, u64 b, u8 *flags)
{
	struct num x = unpack(f, a), y = unpack(f, b);

	if (unlikely(num_is_nan(x) || num_is_nan(y))) {
		if (x.kind == SNAN || y.kind == SNAN)
			*flags |= SF_NV;
		return false;
	}
	return a == b || both_zero(f, a, b);
}

/* a < b, or with or_equal a <= b. A NaN raises NV unless it is quiet and so is the comparison. */
fp_inline bool fp_less(struct fmt f, u64 a, u64 b, bool or_equal, bool quiet, u8 *flags)
{
	struct num x = unpack(f, a), y = unpack(f, b);

	if (unlikely(num_is_nan(x) || num_is_nan(y))) {
		if (!quiet || x.kind == SNAN || y.kind == SNAN)
			*flags |= SF_NV;
		return false;
	}
	if (or_equal)
		return !total_less(f, b, a) || both_zero(f, a, b);
	return total_less(f, a, b) && !both_zero(f, a, b);
}

#endif
