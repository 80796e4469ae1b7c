/* SPDX-License-Identifier: MIT */
/*
 * Operands for the floating point tests: edge values, and a deterministic pseudo-random
 * sequence of triples that favours what goes wrong: cancellation, rounding ties, carries out
 * of the fraction, subnormal and overflowing results. Integers only, so that a test on the
 * host and a guest program see the same sequence.
 */
#ifndef SV_TESTS_FP_OPERANDS_H
#define SV_TESTS_FP_OPERANDS_H

#include <stdint.h>

struct fp_format {
	int frac;	/* stored fraction bits */
	int exp;	/* exponent bits */
};

static const struct fp_format fp_single = { 23, 8 };
static const struct fp_format fp_double = { 52, 11 };
static const struct fp_format fp_half __attribute__((unused)) = { 10, 5 };

#define FP_MAX_EDGES 256

static inline int fp_bias(struct fp_format f)
{
	return (1 << (f.exp - 1)) - 1;
}

static inline uint64_t fp_bits(struct fp_format f, int sign, int exp, uint64_t frac)
{
	return (uint64_t)sign << (f.frac + f.exp) | (uint64_t)exp << f.frac | frac;
}

/* To what a number may have: half has fewer exponents than some of the values below ask for. */
static inline int fp_clamp_exp(struct fp_format f, int exp)
{
	return exp < 0 ? 0 : exp > 2 * fp_bias(f) ? 2 * fp_bias(f) : exp;
}

/* Fills out[FP_MAX_EDGES], returns how many. few: a third of them, for triples. */
static inline int fp_edges(struct fp_format f, int few, uint64_t *out)
{
	const int bias = fp_bias(f), top = 2 * bias + 1;
	const uint64_t ones = (1ull << f.frac) - 1, quiet = 1ull << (f.frac - 1);
	const int exps[] = {
		0, 1, bias - 1, bias, bias + f.frac, 2 * bias,
		/* not few: */
		2, f.frac, f.frac + 1, bias - f.frac - 1, bias - f.frac, bias - 2, bias + 1,
		bias + f.frac + 1, bias + 31, bias + 63, 2 * bias - 1,
	};
	const uint64_t fracs[] = { 0, 1, ones, /* not few: */ ones - 1, quiet, quiet + 1 };
	const uint64_t nans[] = { quiet, 1, /* not few: */ quiet | 5, quiet - 1 };
	const int n_exps = few ? 6 : 17, n_fracs = few ? 3 : 6, n_nans = few ? 2 : 4;
	int n = 0, sign, i, j;

	for (sign = 0; sign < 2; sign++) {
		for (i = 0; i < n_exps; i++)
			for (j = 0; j < n_fracs; j++)
				out[n++] = fp_bits(f, sign, fp_clamp_exp(f, exps[i]), fracs[j]);
		out[n++] = fp_bits(f, sign, top, 0);
		for (i = 0; i < n_nans; i++)
			out[n++] = fp_bits(f, sign, top, nans[i]);
	}
	return n;
}

/* splitmix64 */
static inline uint64_t fp_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* lo..hi, both included. */
static inline int fp_random_in(uint64_t *state, int lo, int hi)
{
	return lo + (int)((fp_random(state) >> 32) * (uint64_t)(hi - lo + 1) >> 32);
}

static inline uint64_t fp_random_frac(struct fp_format f, uint64_t *state)
{
	const uint64_t ones = (1ull << f.frac) - 1;
	uint64_t r = fp_random(state), v = r >> (64 - f.frac);
	int n = (int)((r & 0xff) * (uint64_t)f.frac >> 8);	/* 0..frac-1 */

	switch (r >> 8 & 7) {
	case 0:			/* some leading bits: products and quotients that tie */
		return v & ~(ones >> n);
	case 1:			/* some trailing bits */
		return v & ((1ull << n) - 1);
	case 2:			/* ones, then zeros */
		return ones & ~(ones >> n);
	case 3:			/* one bit */
		return 1ull << n;
	case 4:			/* all but one bit */
		return ones & ~(1ull << n);
	default:
		return v;
	}
}

/* One value, of any kind. */
static inline uint64_t fp_random_value(struct fp_format f, uint64_t *state)
{
	const int bias = fp_bias(f);
	uint64_t r = fp_random(state), edges[FP_MAX_EDGES];
	int sign = r & 1, exp;

	switch (r >> 1 & 15) {
	case 0:
		exp = fp_random_in(state, 0, 2);
		break;
	case 1:
		exp = fp_random_in(state, 2 * bias - 2, 2 * bias);
		break;
	case 2: case 3: case 4: case 5:
		exp = fp_clamp_exp(f, fp_random_in(state, bias - f.frac - 3, bias + f.frac + 3));
		break;
	case 6:			/* about the integers' limits */
		exp = fp_clamp_exp(f, fp_random_in(state, bias + 29, bias + 65));
		break;
	case 7:
		if (r >> 5 & 1) {
			exp = bias - 1;
			break;
		}
		return edges[fp_random_in(state, 0, fp_edges(f, 1, edges) - 1)];
	default:
		exp = fp_random_in(state, 0, 2 * bias);
	}
	return fp_bits(f, sign, exp, fp_random_frac(f, state));
}

/* The product of two normal numbers, truncated, moved by a few units, its sign negated. */
static inline uint64_t fp_near_product(struct fp_format f, uint64_t a, uint64_t b, int units)
{
	const uint64_t one = 1ull << f.frac;
	int exp = (int)(a >> f.frac & ((1u << f.exp) - 1)) +
		  (int)(b >> f.frac & ((1u << f.exp) - 1)) - fp_bias(f);
	unsigned __int128 p = (unsigned __int128)((a & (one - 1)) | one) * ((b & (one - 1)) | one);
	uint64_t sig = (uint64_t)(p >> f.frac);

	if (sig >> (f.frac + 1)) {
		sig >>= 1;
		exp++;
	}
	sig += (uint64_t)(int64_t)units;
	return fp_bits(f, !((a ^ b) >> (f.frac + f.exp)), fp_clamp_exp(f, exp), sig & (one - 1));
}

/*
 * A dividend and a divisor of few bits each whose quotient lies halfway between two subnormal
 * numbers: only there can a quotient tie.
 */
static inline void fp_tying_quotient(struct fp_format f, uint64_t *state, uint64_t *v)
{
	const uint64_t r = fp_random(state), ones = (1ull << f.frac) - 1;
	const uint64_t divisor = 1 << 10 | (r & 0x3ff), quotient = 1 << 10 | (r >> 10 & 0x3ff) | 1;
	const uint64_t dividend = divisor * quotient;
	const int top = 63 - __builtin_clzll(dividend);
	const int exp = fp_random_in(state, fp_bias(f) + f.frac, 2 * fp_bias(f));

	v[0] = fp_bits(f, r >> 20 & 1, exp - fp_bias(f) - f.frac - 10 + top,
		       dividend << (f.frac - top) & ones);
	v[1] = fp_bits(f, r >> 21 & 1, exp, divisor << (f.frac - 10) & ones);
}

/*
 * A triple. The second operand's exponent stands in a relation to the first's that makes sums
 * cancel, products or quotients leave the normal range, or none; the third is often about as
 * large as the product, or its opposite.
 */
static inline void fp_random_triple(struct fp_format f, uint64_t *state, uint64_t *v)
{
	const int bias = fp_bias(f), exp_mask = (1 << f.exp) - 1;
	const uint64_t frac_mask = (1ull << f.frac) - 1;
	uint64_t r = fp_random(state), frac;
	int exp_a, exp_b, exp;

	v[0] = fp_random_value(f, state);
	exp_a = (int)(v[0] >> f.frac) & exp_mask;
	frac = fp_random_frac(f, state);
	switch (r & 7) {
	case 0:			/* a sum that cancels nearly, or carries */
		exp = exp_a + fp_random_in(state, -1, 1);
		frac = (v[0] + (uint64_t)(int64_t)fp_random_in(state, -3, 3)) & frac_mask;
		break;
	case 1:			/* a sum where one operand is shifted */
		exp = exp_a + fp_random_in(state, -f.frac - 4, f.frac + 4);
		break;
	case 2:			/* a product about the smallest numbers */
		exp = bias - exp_a + fp_random_in(state, -f.frac - 3, 3);
		break;
	case 3:			/* a product about the greatest */
		exp = 3 * bias - exp_a + fp_random_in(state, -2, 2);
		break;
	case 4:			/* a quotient about the smallest */
		exp = exp_a + bias + fp_random_in(state, -3, f.frac + 3);
		break;
	case 5:			/* a quotient about the greatest */
		exp = exp_a - bias + fp_random_in(state, -2, 2);
		break;
	default:
		exp = -1;
	}
	if ((r >> 48 & 31) == 0 && f.frac > 21) {	/* its dividends have 22 bits */
		fp_tying_quotient(f, state, v);
		exp_a = (int)(v[0] >> f.frac) & exp_mask;
	} else {
		v[1] = exp < 0 ? fp_random_value(f, state) :
		       fp_bits(f, r >> 3 & 1, fp_clamp_exp(f, exp), frac);
	}
	exp_b = (int)(v[1] >> f.frac) & exp_mask;

	switch (r >> 4 & 3) {
	case 0:
		v[2] = fp_near_product(f, v[0], v[1], fp_random_in(state, -2, 2));
		break;
	case 1:
	case 2:
		exp = exp_a + exp_b - bias + fp_random_in(state, -f.frac - 4, 2 * f.frac + 4);
		v[2] = fp_bits(f, r >> 6 & 1, fp_clamp_exp(f, exp), fp_random_frac(f, state));
		break;
	default:
		v[2] = fp_random_value(f, state);
	}
}

/* An integer of any size, often about a power of two or a rounding tie. */
static inline uint64_t fp_random_integer(uint64_t *state)
{
	uint64_t r = fp_random(state), v = fp_random(state);
	int n = r & 63;

	switch (r >> 6 & 7) {
	case 0:
		return (1ull << n) + (uint64_t)(int64_t)fp_random_in(state, -2, 2);
	case 1:
		return -(1ull << n) + (uint64_t)(int64_t)fp_random_in(state, -2, 2);
	case 2:			/* 24, 25, 53 or 54 significant bits, somewhere */
	case 3:
		n = (r >> 9 & 1 ? 11 : 40) - (int)(r >> 10 & 1);
		v = (v >> n | 1) << n;
		return v >> (r >> 11) % (unsigned)(n + 1);
	case 4:
		return (uint64_t)((int64_t)v >> n);
	default:
		return v >> n;
	}
}

#endif
