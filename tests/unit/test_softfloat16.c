// SPDX-License-Identifier: MIT
/*
 * binary16 of softfloat against a second implementation that shares no idea with it: a result is
 * looked up among all 31,745 magnitudes there are, by comparing the exact value with each in
 * wide integers. All 65,536 operands of what takes one, in all modes; samples of what takes more.
 * tests/guest/fp-oracle.c compares with a RISC-V machine as well.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/fp/softfloat.h"
#include "fp_operands.h"

#define SAMPLES 60000

typedef __int128 s128;

/*
 * An exact magnitude m, known by how it compares: cmp(v, c) is the sign of m - c * 2^-40, for any
 * c up to 2^60.
 */
struct exact {
	int (*cmp)(const struct exact *v, s64 c);
	s128 num, den;		/* as cmp wants them */
};

static int sign_of(s128 v)
{
	return v > 0 ? 1 : v < 0 ? -1 : 0;
}

/* num * 2^-48 */
static int cmp_fixed(const struct exact *v, s64 c)
{
	return sign_of(v->num - ((s128)c << 8));
}

/* num / den */
static int cmp_quotient(const struct exact *v, s64 c)
{
	return sign_of((v->num << 40) - c * v->den);
}

/* The root of num * 2^-24 */
static int cmp_root(const struct exact *v, s64 c)
{
	return sign_of((v->num << 56) - (s128)c * c);
}

/* A finite half in units of 2^-24. */
static s64 units(u16 h)
{
	int exp = h >> 10 & 31;
	s64 v = exp ? (s64)((h & 0x3ff) | 0x400) << (exp - 1) : h & 0x3ff;

	return h & 0x8000 ? -v : v;
}

/* The greatest magnitude of the grid that is not above the value; *exact if equal. */
static unsigned below(const struct exact *v, unsigned top, s64 (*value)(unsigned), bool *exact)
{
	unsigned lo = 0, hi = top;

	while (lo < hi) {
		unsigned mid = (lo + hi + 1) / 2;

		if (v->cmp(v, value(mid)) >= 0)
			lo = mid;
		else
			hi = mid - 1;
	}
	*exact = v->cmp(v, value(lo)) == 0;
	return lo;
}

static s64 grid(unsigned h)	/* 2^-40 */
{
	return units((u16)h) << 16;
}

static bool goes_up(const struct exact *v, s64 lo, s64 hi, bool odd, bool sign, enum sf_round rm)
{
	int half;

	switch (rm) {
	case SF_RTZ: return false;
	case SF_RDN: return sign;
	case SF_RUP: return !sign;
	default: break;
	}
	half = v->cmp(v, (lo + hi) / 2);	/* all grid distances are even */
	return half > 0 || (half == 0 && (rm == SF_RMM || odd));
}

static u16 round_half(const struct exact *v, bool sign, enum sf_round rm, u8 *flags)
{
	bool exact;
	/* 0x7c00 stands for 2^16, the number that would follow. */
	unsigned n = below(v, 0x7bff, grid, &exact);
	s64 next = n == 0x7bff ? (s64)1 << 56 : grid(n + 1);

	if (exact)
		return (u16)(n | sign << 15);
	*flags |= SF_NX;
	if (v->cmp(v, (s64)1 << 56) >= 0) {
		*flags |= SF_OF;
		n = rm == SF_RTZ || (rm == SF_RDN && !sign) || (rm == SF_RUP && sign) ? 0x7bff : 0x7c00;
		return (u16)(n | sign << 15);
	}
	if (goes_up(v, grid(n), next, n & 1, sign, rm))
		n++;
	if (n == 0x7c00)
		*flags |= SF_OF;
	if (v->cmp(v, (s64)1 << 26) < 0) {
		/* Tiny, unless eleven digits round it up to 2^-14. */
		s64 last = (s64)0x7ff << 15, least = (s64)1 << 26;

		if (v->cmp(v, last) <= 0 || !goes_up(v, last, least, true, sign, rm))
			*flags |= SF_UF;
	}
	return (u16)(n | sign << 15);
}

static const char *const modes[] = { "rne", "rtz", "rdn", "rup", "rmm" };

static void compare_values(const char *what, const u16 *v, unsigned rm, u64 got, u8 flags, u64 want,
			   u8 wflags)
{
	if (got != want || flags != wflags)
		fail_msg("%s %s %04x %04x %04x: %04" PRIx64 " flags %02x, not %04" PRIx64 " %02x", what,
			 modes[rm], v[0], v[1], v[2], got, flags, want, wflags);
}

/* The flags are looked at after both sides were computed. */
#define compare(what, v, rm, got, flags, want, wflags) do { \
	u64 got_ = (u64)(got), want_ = (u64)(want); \
	compare_values(what, v, rm, got_, flags, want_, (u8)(wflags)); \
} while (0)

static bool is_nan(u16 h)
{
	return (h & 0x7fff) > 0x7c00;
}

static bool is_snan(u16 h)
{
	return is_nan(h) && !(h & 0x200);
}

static bool is_inf(u16 h)
{
	return (h & 0x7fff) == 0x7c00;
}

static bool is_zero(u16 h)
{
	return !(h & 0x7fff);
}

static u16 any_nan(const u16 *v, unsigned n, u8 *flags)
{
	for (unsigned i = 0; i < n; i++)
		if (is_snan(v[i]))
			*flags |= SF_NV;
	return 0x7e00;
}

/* a * b + c; a sum is a * 1 + b, a product needs no c (c_there false: its zero has no sign). */
static u16 want_fma(u16 a, u16 b, u16 c, bool c_there, enum sf_round rm, u8 *flags)
{
	const u16 v[3] = { a, b, c };
	bool sign = (a ^ b) >> 15, product_inf = is_inf(a) || is_inf(b);
	struct exact e = { cmp_fixed };

	if ((is_inf(a) && is_zero(b)) || (is_zero(a) && is_inf(b))) {
		*flags |= SF_NV;
		return 0x7e00;
	}
	if (is_nan(a) || is_nan(b) || is_nan(c))
		return any_nan(v, 3, flags);
	if (product_inf && is_inf(c) && sign != c >> 15) {
		*flags |= SF_NV;
		return 0x7e00;
	}
	if (product_inf)
		return (u16)(0x7c00 | sign << 15);
	if (is_inf(c))
		return c;
	e.num = (s128)units(a) * units(b) + ((s128)units(c) << 24);
	if (!e.num) {
		if ((is_zero(a) || is_zero(b)) && !c_there)
			return (u16)(sign << 15);
		if ((is_zero(a) || is_zero(b)) && is_zero(c) && sign == c >> 15)
			return c;
		return rm == SF_RDN ? 0x8000 : 0;
	}
	sign = e.num < 0;
	if (sign)
		e.num = -e.num;
	return round_half(&e, sign, rm, flags);
}

static u16 want_div(u16 a, u16 b, enum sf_round rm, u8 *flags)
{
	const u16 v[2] = { a, b };
	bool sign = (a ^ b) >> 15;
	struct exact e = { cmp_quotient };

	if (is_nan(a) || is_nan(b))
		return any_nan(v, 2, flags);
	if ((is_inf(a) && is_inf(b)) || (is_zero(a) && is_zero(b))) {
		*flags |= SF_NV;
		return 0x7e00;
	}
	if (is_zero(b) && !is_inf(a))
		*flags |= SF_DZ;
	if (is_inf(a) || is_zero(b))
		return (u16)(0x7c00 | sign << 15);
	if (is_zero(a) || is_inf(b))
		return (u16)(sign << 15);
	e.num = units(a & 0x7fff);
	e.den = units(b & 0x7fff);
	return round_half(&e, sign, rm, flags);
}

static u16 want_sqrt(u16 a, enum sf_round rm, u8 *flags)
{
	struct exact e = { cmp_root };

	if (is_nan(a))
		return any_nan(&a, 1, flags);
	if (is_zero(a))
		return a;
	if (a >> 15) {
		*flags |= SF_NV;
		return 0x7e00;
	}
	if (is_inf(a))
		return a;
	e.num = units(a);
	return round_half(&e, false, rm, flags);
}

static void triple(u64 *state, u16 *v)
{
	u64 r[3];

	fp_random_triple(fp_half, state, r);
	for (unsigned i = 0; i < 3; i++)
		v[i] = (u16)r[i];
}

static void arithmetic(void **unused)
{
	unsigned long seen[32] = { 0 };

	for (unsigned rm = 0; rm < 5; rm++) {
		u64 state = 17 + rm;

		for (unsigned i = 0; i < SAMPLES; i++) {
			u8 fl = 0, wfl = 0;
			u16 v[3], got;

			triple(&state, v);
			got = sf16_add(v[0], v[1], rm, &fl);
			compare("add", v, rm, got, fl, want_fma(v[0], 0x3c00, v[1], true, rm, &wfl), wfl);
			fl = wfl = 0;
			got = sf16_sub(v[0], v[1], rm, &fl);
			compare("sub", v, rm, got, fl,
				want_fma(v[0], 0x3c00, v[1] ^ 0x8000, true, rm, &wfl), wfl);
			fl = wfl = 0;
			got = sf16_mul(v[0], v[1], rm, &fl);
			compare("mul", v, rm, got, fl, want_fma(v[0], v[1], 0, false, rm, &wfl), wfl);
			seen[fl]++;
			fl = wfl = 0;
			got = sf16_div(v[0], v[1], rm, &fl);
			compare("div", v, rm, got, fl, want_div(v[0], v[1], rm, &wfl), wfl);
			seen[fl]++;
			fl = wfl = 0;
			got = sf16_fma(v[0], v[1], v[2], rm, &fl);
			compare("fma", v, rm, got, fl, want_fma(v[0], v[1], v[2], true, rm, &wfl), wfl);
			seen[fl]++;
		}
	}
	/* The sample met underflow, overflow, division by zero, invalid, inexact and none. */
	assert_true(seen[0] > 1000 && seen[SF_NX] > 1000 && seen[SF_UF | SF_NX] > 1000 &&
		    seen[SF_OF | SF_NX] > 1000 && seen[SF_DZ] > 10 && seen[SF_NV] > 10);
}

static void roots_of_all(void **unused)
{
	for (unsigned rm = 0; rm < 5; rm++)
		for (unsigned a = 0; a < 65536; a++) {
			const u16 v[3] = { (u16)a };
			u8 fl = 0, wfl = 0;
			u16 got = sf16_sqrt((u16)a, rm, &fl);

			compare("sqrt", v, rm, got, fl, want_sqrt((u16)a, rm, &wfl), wfl);
		}
}

/* To an integer of the given limits: the neighbours are whole numbers. */
static s128 want_int(u16 a, s128 min, s128 max, enum sf_round rm, u8 *flags)
{
	s64 u = units(a & 0x7fff), whole = u >> 24, rest = u & 0xffffff;
	bool sign = a >> 15, up = false;
	s128 v;

	if (is_nan(a) || is_inf(a)) {
		*flags |= SF_NV;
		return sign && !is_nan(a) ? min : max;
	}
	switch (rm) {
	case SF_RNE: up = rest > 0x800000 || (rest == 0x800000 && (whole & 1)); break;
	case SF_RMM: up = rest >= 0x800000; break;
	case SF_RDN: up = sign && rest; break;
	case SF_RUP: up = !sign && rest; break;
	case SF_RTZ: break;
	}
	v = sign ? -(s128)(whole + up) : whole + up;
	if (v < min || v > max) {
		*flags |= SF_NV;
		return v < min ? min : max;
	}
	if (rest)
		*flags |= SF_NX;
	return v;
}

static void to_integers_all(void **unused)
{
	for (unsigned rm = 0; rm < 5; rm++)
		for (unsigned a = 0; a < 65536; a++) {
			const u16 v[3] = { (u16)a };
			u8 f[4] = { 0 }, w = 0;
			s64 s;

			s = sf16_to_s32((u16)a, rm, &f[0]);
			compare("to s32", v, rm, (u64)s, f[0],
				(u64)want_int((u16)a, INT32_MIN, INT32_MAX, rm, &w), w);
			w = 0;
			s = (s64)sf16_to_u32((u16)a, rm, &f[1]);
			compare("to u32", v, rm, (u64)s, f[1],
				(u64)want_int((u16)a, 0, UINT32_MAX, rm, &w), w);
			w = 0;
			s = sf16_to_s64((u16)a, rm, &f[2]);
			compare("to s64", v, rm, (u64)s, f[2],
				(u64)want_int((u16)a, INT64_MIN, INT64_MAX, rm, &w), w);
			w = 0;
			s = (s64)sf16_to_u64((u16)a, rm, &f[3]);
			compare("to u64", v, rm, (u64)s, f[3],
				(u64)want_int((u16)a, 0, UINT64_MAX, rm, &w), w);
		}
}

/* fround and froundnx of all: the integer, as a half, with the operand's sign. */
static void to_integral_all(void **unused)
{
	for (unsigned rm = 0; rm < 5; rm++)
		for (unsigned a = 0; a < 65536; a++) {
			const u16 v[3] = { (u16)a };
			struct exact e = { cmp_fixed };
			u8 f = 0, fnx = 0, w = 0, none = 0;
			u16 want = (u16)a;

			if (is_nan((u16)a)) {
				want = any_nan(v, 1, &w);
			} else if (!is_inf((u16)a)) {
				s128 i = want_int((u16)a, INT64_MIN, INT64_MAX, rm, &w);

				e.num = (i < 0 ? -i : i) << 48;
				want = round_half(&e, a >> 15, SF_RNE, &none);
				assert_int_equal(none, 0);
			}
			compare("froundnx", v, rm, sf16_round((u16)a, true, rm, &fnx), fnx, want, w);
			compare("fround", v, rm, sf16_round((u16)a, false, rm, &f), f, want, w & ~SF_NX);
		}
}

static void from_integers(void **unused)
{
	for (unsigned rm = 0; rm < 5; rm++) {
		u64 state = 5;

		for (unsigned i = 0; i < SAMPLES; i++) {
			u64 r = fp_random_integer(&state), in[4];
			const u16 v[3] = { (u16)(r >> 16), (u16)r };

			if (i & 1)
				r >>= 40;	/* where it does not overflow */
			in[0] = (u64)(s64)(s32)r;
			in[1] = (u32)r;
			in[2] = in[3] = r;
			for (unsigned k = 0; k < 4; k++) {
				bool sign = !(k & 1) && (s64)in[k] < 0;
				struct exact e = { cmp_quotient, (s128)(sign ? -in[k] : in[k]), 1 };
				u8 f = 0, w = 0;
				u16 got = k == 0 ? sf16_from_s32((s32)r, rm, &f) :
					  k == 1 ? sf16_from_u32((u32)r, rm, &f) :
					  k == 2 ? sf16_from_s64((s64)r, rm, &f) :
					  sf16_from_u64(r, rm, &f);

				compare("from integer", v, rm, got, f, round_half(&e, sign, rm, &w), w);
			}
		}
	}
}

/* Single and double hold every half; and back it is the same, NaNs apart. */
static void wider_and_back_all(void **unused)
{
	for (unsigned a = 0; a < 65536; a++) {
		u8 f = 0, w = is_snan((u16)a) ? SF_NV : 0;
		u32 s = sf16_to_f32((u16)a, &f);
		u64 d = sf16_to_f64((u16)a, &f);
		float fs;
		double fd;

		assert_int_equal(f, w);
		__builtin_memcpy(&fs, &s, 4);
		__builtin_memcpy(&fd, &d, 8);
		if (is_nan((u16)a)) {
			assert_int_equal(s, SF32_NAN);
			assert_true(d == SF64_NAN);
			continue;
		}
		if (!is_inf((u16)a)) {
			assert_true(fs == (float)units((u16)a) / 16777216.0f);
			assert_true(fd == (double)units((u16)a) / 16777216.0);
		}
		assert_int_equal(s >> 31, a >> 15);
		for (unsigned rm = 0; rm < 5; rm++) {
			f = 0;
			assert_int_equal(sf32_to_f16(s, rm, &f), a);
			assert_int_equal(sf64_to_f16(d, rm, &f), a);
			assert_int_equal(f, 0);
		}
	}
}

/* Between two halves: a quarter, a half and three quarters of the way, a bit beside each. */
static void narrower(void **unused)
{
	for (unsigned rm = 0; rm < 5; rm++)
		for (unsigned a = 0; a < 65536; a++) {
			const u16 v[3] = { (u16)a };
			u8 none = 0;
			u64 lo, d;

			if ((a & 0x7fff) >= 0x7c00)
				continue;
			lo = sf16_to_f64((u16)a, &none);
			for (unsigned k = 0; k < 9; k++) {
				struct exact e = { cmp_fixed };
				u8 f = 0, f32 = 0, w = 0;
				u64 m;
				int exp;
				u16 want;

				/* lo's significand continued by k eighths of its last half-bit. */
				d = (lo & ~SF64_SIGN) ? lo + ((u64)k << 39) : lo;
				exp = (int)(d >> 52 & 0x7ff) - 1075;
				m = (d & 0xfffffffffffff) | (u64)1 << 52;
				if (!(d & ~SF64_SIGN))
					e.num = 0;
				else if (exp + 48 >= 0)
					e.num = (s128)m << (exp + 48);
				else if (m & (((u64)1 << -(exp + 48)) - 1))
					continue;	/* finer than the oracle */
				else
					e.num = m >> -(exp + 48);
				want = round_half(&e, a >> 15, rm, &w);
				compare("f64 to f16", v, rm, sf64_to_f16(d, rm, &f), f, want, w);
				/* Its 29 lowest bits are zero, so it is a single as well. */
				compare("f32 to f16", v, rm,
					sf32_to_f16(sf64_to_f32(d, SF_RTZ, &none), rm, &f32), f32, want, w);
			}
		}
}

static void comparisons_and_minima(void **unused)
{
	u64 state = 23;

	for (unsigned i = 0; i < 20 * SAMPLES; i++) {
		u8 f[9] = { 0 };
		u16 v[3], a, b, lesser, greater;
		bool nan, snan;
		s64 ua, ub;

		triple(&state, v);
		a = v[0];
		b = i & 3 ? v[1] : i & 4 ? a : a ^ 0x8000;
		v[1] = b;
		nan = is_nan(a) || is_nan(b);
		snan = is_snan(a) || is_snan(b);
		ua = is_inf(a) ? (a >> 15 ? -1 : 1) * (s64)1 << 50 : units(a);
		ub = is_inf(b) ? (b >> 15 ? -1 : 1) * (s64)1 << 50 : units(b);
		compare("eq", v, 0, sf16_eq(a, b, &f[0]), f[0], !nan && ua == ub, snan ? SF_NV : 0);
		compare("lt", v, 0, sf16_lt(a, b, &f[1]), f[1], !nan && ua < ub, nan ? SF_NV : 0);
		compare("le", v, 0, sf16_le(a, b, &f[2]), f[2], !nan && ua <= ub, nan ? SF_NV : 0);
		compare("ltq", v, 0, sf16_ltq(a, b, &f[3]), f[3], !nan && ua < ub, snan ? SF_NV : 0);
		compare("leq", v, 0, sf16_leq(a, b, &f[4]), f[4], !nan && ua <= ub, snan ? SF_NV : 0);
		lesser = ua < ub || (ua == ub && a >> 15) ? a : b;
		greater = lesser == a ? b : a;
		compare("minm", v, 0, sf16_minm(a, b, &f[5]), f[5], nan ? 0x7e00 : lesser,
			snan ? SF_NV : 0);
		compare("maxm", v, 0, sf16_maxm(a, b, &f[6]), f[6], nan ? 0x7e00 : greater,
			snan ? SF_NV : 0);
		if (nan)
			lesser = greater = is_nan(a) && is_nan(b) ? 0x7e00 : is_nan(a) ? b : a;
		compare("min", v, 0, sf16_min(a, b, &f[7]), f[7], lesser, snan ? SF_NV : 0);
		compare("max", v, 0, sf16_max(a, b, &f[8]), f[8], greater, snan ? SF_NV : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arithmetic),
		cmocka_unit_test(roots_of_all),
		cmocka_unit_test(to_integers_all),
		cmocka_unit_test(to_integral_all),
		cmocka_unit_test(from_integers),
		cmocka_unit_test(wider_and_back_all),
		cmocka_unit_test(narrower),
		cmocka_unit_test(comparisons_and_minima),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
