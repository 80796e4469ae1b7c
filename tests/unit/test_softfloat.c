// SPDX-License-Identifier: MIT
/*
 * softfloat against independent oracles, in results and flags.
 *
 * - Arithmetic and conversions, modes RNE, RTZ, RDN, RUP: the host's floating point unit. What
 *   RISC-V defines otherwise is put on top of its answers by host_fix(): the canonical NaN, and
 *   NV for infinity times zero plus a quiet NaN. UF is compared where the host detects tininess
 *   after rounding as RISC-V does.
 * - RMM, which hosts lack: it differs from RNE in ties alone. Whether a result is a tie is
 *   decided exactly in 128-bit integers (see struct exact); the rest follows from the host's
 *   RNE, RTZ, RUP and RDN results. Overflow and underflow are RNE's: the ties at both borders
 *   have an odd last bit, so that RNE too rounds them away from zero.
 * - Minimum, maximum, comparisons, classes: the definition, over the host's comparisons.
 * - Conversions to integers: the host's rint(), and round() for RMM, and range checks.
 *
 * tests/guest/fp-oracle.c compares the same operands with a RISC-V machine, RMM included.
 */
#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/fp/softfloat.h"
#include "fp_operands.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

#define TUPLES 2000000		/* random ones for each operation, each in all modes */
#define BATCH 256

typedef unsigned __int128 u128;

enum op { ADD, SUB, MUL, DIV, SQRT, FMA, NARROW, WIDEN };

static const char *const op_names[] = {
	"add", "sub", "mul", "div", "sqrt", "fma", "f64_to_f32", "f32_to_f64",
};
static const char *const mode_names[] = { "RNE", "RTZ", "RDN", "RUP", "RMM" };

struct result {
	u64 bits;
	u8 flags;
};

/* An operation on operands of format in with results of format out. */
struct spec {
	enum op op;
	struct fp_format in, out;
	unsigned long ties;		/* how many RMM saw */
	unsigned long tiny;		/* results with UF */
};

static const int host_modes[] = { FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD };

static float to_float(u64 bits)
{
	u32 b = (u32)bits;
	float v;

	memcpy(&v, &b, sizeof(v));
	return v;
}

static double to_double(u64 bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static u64 from_float(float v)
{
	u32 b;

	memcpy(&b, &v, sizeof(b));
	return b;
}

static u64 from_double(double v)
{
	u64 b;

	memcpy(&b, &v, sizeof(b));
	return b;
}

/* feclearexcept() also visits the x87 unit, which would take most of the test's time. */
#ifdef __SSE2__
static unsigned host_csr;	/* MXCSR with the mode in force and no flag */
#endif

static void host_set_mode(int mode)
{
	if (fesetround(host_modes[mode]))
		fail_msg("the host has no %s", mode_names[mode]);
#ifdef __SSE2__
	host_csr = _mm_getcsr() & ~0x3fu;
#endif
}

static void host_clear_flags(void)
{
#ifdef __SSE2__
	_mm_setcsr(host_csr);
#else
	feclearexcept(FE_ALL_EXCEPT);
#endif
}

static u8 host_flags(void)
{
#ifdef __SSE2__
	unsigned f = _mm_getcsr();

	return (f & 1 ? SF_NV : 0) | (f & 4 ? SF_DZ : 0) | (f & 8 ? SF_OF : 0) |
	       (f & 16 ? SF_UF : 0) | (f & 32 ? SF_NX : 0);
#else
	int f = fetestexcept(FE_ALL_EXCEPT);

	return (f & FE_INVALID ? SF_NV : 0) | (f & FE_DIVBYZERO ? SF_DZ : 0) |
	       (f & FE_OVERFLOW ? SF_OF : 0) | (f & FE_UNDERFLOW ? SF_UF : 0) |
	       (f & FE_INEXACT ? SF_NX : 0);
#endif
}

/* The operation itself, in the mode in force. volatile: never folded, never moved. */
static u64 host_single(enum op op, const u64 *v)
{
	volatile float a = to_float(v[0]), b = to_float(v[1]), c = to_float(v[2]), r;
	volatile double wide;

	host_clear_flags();
	switch (op) {
	case ADD:
		r = a + b;
		break;
	case SUB:
		r = a - b;
		break;
	case MUL:
		r = a * b;
		break;
	case DIV:
		r = a / b;
		break;
	case SQRT:
		r = sqrtf(a);
		break;
	case FMA:
		r = fmaf(a, b, c);
		break;
	case WIDEN:
		wide = a;
		return from_double(wide);
	default:
		abort();
	}
	return from_float(r);
}

static u64 host_double(enum op op, const u64 *v)
{
	volatile double a = to_double(v[0]), b = to_double(v[1]), c = to_double(v[2]), r;
	volatile float narrow;

	host_clear_flags();
	switch (op) {
	case ADD:
		r = a + b;
		break;
	case SUB:
		r = a - b;
		break;
	case MUL:
		r = a * b;
		break;
	case DIV:
		r = a / b;
		break;
	case SQRT:
		r = sqrt(a);
		break;
	case FMA:
		r = fma(a, b, c);
		break;
	case NARROW:
		narrow = (float)a;
		return from_float(narrow);
	default:
		abort();
	}
	return from_double(r);
}

static u64 magnitude(struct fp_format f, u64 bits)
{
	return bits & ~(1ull << (f.frac + f.exp));
}

static u64 inf_bits(struct fp_format f)
{
	return fp_bits(f, 0, 2 * fp_bias(f) + 1, 0);
}

static bool is_nan(struct fp_format f, u64 bits)
{
	return magnitude(f, bits) > inf_bits(f);
}

static bool is_snan(struct fp_format f, u64 bits)
{
	return is_nan(f, bits) && !(bits >> (f.frac - 1) & 1);
}

static struct result host_fix(const struct spec *s, const u64 *v, struct result r)
{
	if (is_nan(s->out, r.bits))
		r.bits = inf_bits(s->out) | 1ull << (s->out.frac - 1);
	if (s->op == FMA) {
		u64 a = magnitude(s->in, v[0]), b = magnitude(s->in, v[1]);

		if ((a == 0 && b == inf_bits(s->in)) || (b == 0 && a == inf_bits(s->in)))
			r.flags |= SF_NV;
	}
	return r;
}

static struct result host_op(const struct spec *s, const u64 *v)
{
	struct result r;

	r.bits = s->in.frac == 23 ? host_single(s->op, v) : host_double(s->op, v);
	r.flags = host_flags();
	return host_fix(s, v, r);
}

static u64 soft_single(enum op op, const u64 *v, enum sf_round rm, u8 *flags)
{
	u32 a = (u32)v[0], b = (u32)v[1], c = (u32)v[2];

	switch (op) {
	case ADD:
		return sf32_add(a, b, rm, flags);
	case SUB:
		return sf32_sub(a, b, rm, flags);
	case MUL:
		return sf32_mul(a, b, rm, flags);
	case DIV:
		return sf32_div(a, b, rm, flags);
	case SQRT:
		return sf32_sqrt(a, rm, flags);
	case FMA:
		return sf32_fma(a, b, c, rm, flags);
	case WIDEN:
		return sf32_to_f64(a, flags);
	default:
		abort();
	}
}

static u64 soft_double(enum op op, const u64 *v, enum sf_round rm, u8 *flags)
{
	switch (op) {
	case ADD:
		return sf64_add(v[0], v[1], rm, flags);
	case SUB:
		return sf64_sub(v[0], v[1], rm, flags);
	case MUL:
		return sf64_mul(v[0], v[1], rm, flags);
	case DIV:
		return sf64_div(v[0], v[1], rm, flags);
	case SQRT:
		return sf64_sqrt(v[0], rm, flags);
	case FMA:
		return sf64_fma(v[0], v[1], v[2], rm, flags);
	case NARROW:
		return sf64_to_f32(v[0], rm, flags);
	default:
		abort();
	}
}

static struct result soft_op(const struct spec *s, const u64 *v, enum sf_round rm)
{
	struct result r = { .flags = 0 };

	r.bits = s->in.frac == 23 ? soft_single(s->op, v, rm, &r.flags) :
				    soft_double(s->op, v, rm, &r.flags);
	return r;
}

/* Underflow is compared everywhere but at the border, on a host that judges before rounding. */
static u8 comparable(const struct spec *s, struct result want)
{
#if defined(__x86_64__) || defined(__riscv)
	return 0xff;
#else
	return magnitude(s->out, want.bits) == 1ull << s->out.frac ? (u8)~SF_UF : 0xff;
#endif
}

static void check(const struct spec *s, const u64 *v, enum sf_round rm, struct result want)
{
	struct result got = soft_op(s, v, rm);
	u8 mask = comparable(s, want);

	if (got.bits == want.bits && (got.flags & mask) == (want.flags & mask))
		return;
	fail_msg("f%d %s %s of %#" PRIx64 " %#" PRIx64 " %#" PRIx64 ": got %#" PRIx64
		 " flags %#x, want %#" PRIx64 " flags %#x", 1 + s->in.frac + s->in.exp,
		 op_names[s->op], mode_names[rm], v[0], v[1], v[2], got.bits, got.flags,
		 want.bits, want.flags);
}

/*
 * A number as mag * 2^exp with mag odd, or zero. wide: the magnitude would not fit, which for
 * the sums below means that it has far more significant bits than a tie.
 */
struct exact {
	u128 mag;
	int exp;
	bool neg, wide;
};

static int bits_of(u128 v)
{
	if (v >> 64)
		return 128 - __builtin_clzll((u64)(v >> 64));
	return v ? 64 - __builtin_clzll((u64)v) : 0;
}

static struct exact exact_odd(struct exact e)
{
	while (e.mag && !(e.mag & 1)) {
		e.mag >>= 1;
		e.exp++;
	}
	return e;
}

static struct exact exact_of(struct fp_format f, u64 bits)
{
	int exp = (int)(bits >> f.frac & ((1u << f.exp) - 1));
	struct exact e = {
		.mag = (bits & ((1ull << f.frac) - 1)) | (u64)(exp != 0) << f.frac,
		.exp = (exp ? exp : 1) - fp_bias(f) - f.frac,
		.neg = bits >> (f.frac + f.exp) & 1,
	};

	return exact_odd(e);
}

static struct exact exact_mul(struct exact a, struct exact b)
{
	struct exact e = { a.mag * b.mag, a.exp + b.exp, a.neg != b.neg, false };

	return e;
}

/*
 * a has up to 106 bits, b up to 53 (or the other way round). When the larger one, brought to
 * the smaller exponent, needs more than 126, the sum still has at least 125 and its last bit
 * is set: no tie, which has at most 54.
 */
static struct exact exact_add(struct exact a, struct exact b)
{
	struct exact e = { .neg = a.neg };
	int low;

	if (!a.mag)
		return b;
	if (!b.mag)
		return a;
	low = a.exp < b.exp ? a.exp : b.exp;
	if (bits_of(a.mag) + a.exp - low > 126 || bits_of(b.mag) + b.exp - low > 126) {
		e.wide = true;
		return e;
	}
	a.mag <<= a.exp - low;
	b.mag <<= b.exp - low;
	e.exp = low;
	if (a.neg == b.neg) {
		e.mag = a.mag + b.mag;
	} else if (a.mag >= b.mag) {
		e.mag = a.mag - b.mag;
	} else {
		e.mag = b.mag - a.mag;
		e.neg = b.neg;
	}
	return exact_odd(e);
}

static bool same_magnitude(struct exact a, struct exact b)
{
	return !a.wide && !b.wide && a.mag == b.mag && a.exp == b.exp;
}

/* The point halfway between z and the next number away from zero. */
static struct exact midpoint(struct fp_format f, u64 z)
{
	int exp = (int)(z >> f.frac & ((1u << f.exp) - 1));
	struct exact e = {
		.mag = 2 * ((z & ((1ull << f.frac) - 1)) | (u64)(exp != 0) << f.frac) + 1,
		.exp = (exp ? exp : 1) - fp_bias(f) - f.frac - 1,
	};

	return e;
}

/* Is the exact result halfway between z (the result towards zero) and its neighbour? */
static bool is_tie(const struct spec *s, const u64 *v, u64 z)
{
	struct exact m = midpoint(s->out, z), a = exact_of(s->in, v[0]), b, c;

	b = exact_of(s->in, v[1]);
	switch (s->op) {
	case SUB:
		b.neg = !b.neg;
		/* fallthrough */
	case ADD:
		return same_magnitude(m, exact_add(a, b));
	case MUL:
		return same_magnitude(m, exact_mul(a, b));
	case DIV:
		return same_magnitude(exact_mul(m, b), a);
	case SQRT:
		return same_magnitude(exact_mul(m, m), a);
	case FMA:
		c = exact_of(s->in, v[2]);
		return same_magnitude(m, exact_add(exact_mul(a, b), c));
	default:
		return same_magnitude(m, a);
	}
}

/* host[] holds the host's results in its four modes. */
static struct result want_rmm(struct spec *s, const u64 *v, const struct result *host)
{
	struct result want = host[SF_RNE];
	u64 z = host[SF_RTZ].bits;

	if ((want.flags & SF_NX) && is_tie(s, v, z)) {
		s->ties++;
		want.bits = host[z >> (s->out.frac + s->out.exp) ? SF_RDN : SF_RUP].bits;
	}
	return want;
}

static void check_batch(struct spec *s, u64 (*v)[3], int n)
{
	static struct result host[BATCH][4];
	int mode, i;

	for (mode = 0; mode < 4; mode++) {
		host_set_mode(mode);
		for (i = 0; i < n; i++)
			host[i][mode] = host_op(s, v[i]);
	}
	host_set_mode(SF_RNE);
	for (i = 0; i < n; i++) {
		for (mode = 0; mode < 4; mode++)
			check(s, v[i], mode, host[i][mode]);
		check(s, v[i], SF_RMM, want_rmm(s, v[i], host[i]));
		s->tiny += (host[i][SF_RNE].flags & SF_UF) != 0;
	}
}

static void check_op(enum op op, struct fp_format in, struct fp_format out)
{
	struct spec s = { op, in, out, 0, 0 };
	u64 edges[FP_MAX_EDGES], v[BATCH][3], state = 1 + op;
	int n = fp_edges(in, op == FMA, edges), fill = 0, i, j, k;
	const int n_b = op == SQRT || op == NARROW || op == WIDEN ? 1 : n;
	const int n_c = op == FMA ? n : 1;

	for (i = 0; i < n; i++)
		for (j = 0; j < n_b; j++)
			for (k = 0; k < n_c; k++) {
				v[fill][0] = edges[i];
				v[fill][1] = edges[j];
				v[fill][2] = edges[k];
				if (++fill == BATCH) {
					check_batch(&s, v, fill);
					fill = 0;
				}
			}
	check_batch(&s, v, fill);
	for (i = 0; i < TUPLES; i += BATCH) {
		for (j = 0; j < BATCH; j++)
			fp_random_triple(in, &state, v[j]);
		check_batch(&s, v, BATCH);
	}
	/* The operands must have reached what they are for. Roots and widening have neither. */
	if (op == SQRT || op == WIDEN) {
		assert_int_equal(s.ties, 0);
		assert_int_equal(s.tiny, 0);
		return;
	}
	assert_true(s.ties > TUPLES / 1000);
	if (op == ADD || op == SUB)
		assert_int_equal(s.tiny, 0);	/* always exact there */
	else
		assert_true(s.tiny > TUPLES / 1000);
}

static void check_both(enum op op)
{
	check_op(op, fp_single, fp_single);
	check_op(op, fp_double, fp_double);
}

static void add_is_the_hosts(void **state)
{
	check_both(ADD);
}

static void sub_is_the_hosts(void **state)
{
	check_both(SUB);
}

static void mul_is_the_hosts(void **state)
{
	check_both(MUL);
}

static void div_is_the_hosts(void **state)
{
	check_both(DIV);
}

static void sqrt_is_the_hosts(void **state)
{
	check_both(SQRT);
}

static void fma_is_the_hosts(void **state)
{
	check_both(FMA);
}

static void format_conversions_are_the_hosts(void **state)
{
	check_op(NARROW, fp_double, fp_single);
	check_op(WIDEN, fp_single, fp_double);
}

/* A value of either format as a host double, exactly; not for NaNs. */
static double widened(struct fp_format f, u64 bits)
{
	return f.frac == 23 ? (double)to_float(bits) : to_double(bits);
}

struct int_type {
	const char *name;
	int bits;
	bool is_signed;
};

static const struct int_type int_types[] = {
	{ "s32", 32, true }, { "u32", 32, false }, { "s64", 64, true }, { "u64", 64, false },
};

static u64 soft_to_int(struct fp_format f, int type, u64 v, enum sf_round rm, u8 *flags)
{
	if (f.frac == 23) {
		switch (type) {
		case 0:
			return (u64)(s64)sf32_to_s32((u32)v, rm, flags);
		case 1:
			return sf32_to_u32((u32)v, rm, flags);
		case 2:
			return (u64)sf32_to_s64((u32)v, rm, flags);
		default:
			return sf32_to_u64((u32)v, rm, flags);
		}
	}
	switch (type) {
	case 0:
		return (u64)(s64)sf64_to_s32(v, rm, flags);
	case 1:
		return sf64_to_u32(v, rm, flags);
	case 2:
		return (u64)sf64_to_s64(v, rm, flags);
	default:
		return sf64_to_u64(v, rm, flags);
	}
}

/* r: the value rounded to an integer. */
static struct result want_int(const struct int_type *t, double v, double r)
{
	const double limit = ldexp(1.0, t->bits - t->is_signed);
	const u64 max = ~0ull >> (64 - t->bits + t->is_signed), min = t->is_signed ? ~max : 0;
	struct result w = { .flags = SF_NV };

	if (isnan(v) || r >= limit) {
		w.bits = max;
	} else if (r < (t->is_signed ? -limit : 0.0)) {
		w.bits = min;
	} else {
		w.bits = r < 0 ? -(u64)-r : (u64)r;
		w.flags = r != v ? SF_NX : 0;
	}
	return w;
}

static void check_to_int(struct fp_format f, u64 bits, const double *rounded)
{
	double v = is_nan(f, bits) ? (double)NAN : widened(f, bits);
	int type, mode;

	for (type = 0; type < 4; type++)
		for (mode = 0; mode < 5; mode++) {
			struct result want = want_int(&int_types[type], v, rounded[mode]), got = { 0 };

			got.bits = soft_to_int(f, type, bits, mode, &got.flags);
			if (got.bits == want.bits && got.flags == want.flags)
				continue;
			fail_msg("f%d to %s %s of %#" PRIx64 ": got %#" PRIx64 " flags %#x, want %#"
				 PRIx64 " flags %#x", 1 + f.frac + f.exp, int_types[type].name,
				 mode_names[mode], bits, got.bits, got.flags, want.bits, want.flags);
		}
}

static void check_to_int_batch(struct fp_format f, const u64 *bits, int n)
{
	static double rounded[BATCH][5];
	int mode, i;

	for (mode = 0; mode < 4; mode++) {
		host_set_mode(mode);
		for (i = 0; i < n; i++) {
			volatile double v = widened(f, bits[i]);

			rounded[i][mode] = rint(v);
		}
	}
	host_set_mode(SF_RNE);
	for (i = 0; i < n; i++) {
		rounded[i][SF_RMM] = round(widened(f, bits[i]));
		check_to_int(f, bits[i], rounded[i]);
	}
}

static void to_integers_saturates_and_rounds(void **unused)
{
	const struct fp_format formats[] = { fp_single, fp_double };
	u64 bits[FP_MAX_EDGES], state = 99;
	int i, j, k;

	for (i = 0; i < 2; i++) {
		struct fp_format f = formats[i];

		check_to_int_batch(f, bits, fp_edges(f, 0, bits));
		for (j = 0; j < TUPLES; j += BATCH) {
			for (k = 0; k < BATCH; k++) {
				bits[k] = fp_random_value(f, &state);
				/* Three of four where integers are. */
				if (k & 3)
					bits[k] = fp_bits(f, k >> 2 & 1, fp_bias(f) +
							  fp_random_in(&state, -3, 66),
							  fp_random_frac(f, &state));
			}
			check_to_int_batch(f, bits, BATCH);
		}
	}
}

static struct result host_from_int(struct fp_format f, int type, u64 v)
{
	struct result r;
	volatile s32 vs32 = (s32)v;
	volatile u32 vu32 = (u32)v;
	volatile s64 vs64 = (s64)v;
	volatile u64 vu64 = v;
	volatile float s;
	volatile double d;

	host_clear_flags();
	if (f.frac == 23) {
		s = type == 0 ? (float)vs32 : type == 1 ? (float)vu32 :
		    type == 2 ? (float)vs64 : (float)vu64;
		r.bits = from_float(s);
	} else {
		d = type == 0 ? (double)vs32 : type == 1 ? (double)vu32 :
		    type == 2 ? (double)vs64 : (double)vu64;
		r.bits = from_double(d);
	}
	r.flags = host_flags();
	return r;
}

static struct result soft_from_int(struct fp_format f, int type, u64 v, enum sf_round rm)
{
	struct result r = { .flags = 0 };
	u8 *fl = &r.flags;

	if (f.frac == 23)
		r.bits = type == 0 ? sf32_from_s32((s32)v, rm, fl) :
			 type == 1 ? sf32_from_u32((u32)v, rm, fl) :
			 type == 2 ? sf32_from_s64((s64)v, rm, fl) : sf32_from_u64(v, rm, fl);
	else
		r.bits = type == 0 ? sf64_from_s32((s32)v, rm, fl) :
			 type == 1 ? sf64_from_u32((u32)v, rm, fl) :
			 type == 2 ? sf64_from_s64((s64)v, rm, fl) : sf64_from_u64(v, rm, fl);
	return r;
}

/* The integer's magnitude as the type sees it: no host conversion decides about ties. */
static u64 int_magnitude(int type, u64 v)
{
	s64 s = type == 0 ? (s32)v : (s64)v;

	if (type & 1)
		return type == 1 ? (u32)v : v;
	return s < 0 ? -(u64)s : (u64)s;
}

static unsigned long check_from_int(struct fp_format f, int type, const u64 *v, int n)
{
	static struct result host[BATCH][5];
	unsigned long ties = 0;
	int mode, i;

	for (mode = 0; mode < 4; mode++) {
		host_set_mode(mode);
		for (i = 0; i < n; i++)
			host[i][mode] = host_from_int(f, type, v[i]);
	}
	host_set_mode(SF_RNE);
	for (i = 0; i < n; i++) {
		struct exact e = { .mag = int_magnitude(type, v[i]) };
		u64 z = host[i][SF_RTZ].bits;

		host[i][SF_RMM] = host[i][SF_RNE];
		if (host[i][SF_RNE].flags && same_magnitude(exact_odd(e), midpoint(f, z))) {
			host[i][SF_RMM] = host[i][z >> (f.frac + f.exp) ? SF_RDN : SF_RUP];
			ties++;
		}
		for (mode = 0; mode < 5; mode++) {
			struct result got = soft_from_int(f, type, v[i], mode);
			struct result want = host[i][mode];

			if (got.bits == want.bits && got.flags == want.flags)
				continue;
			fail_msg("f%d from %s %s of %#" PRIx64 ": got %#" PRIx64 " flags %#x, want %#"
				 PRIx64 " flags %#x", 1 + f.frac + f.exp, int_types[type].name,
				 mode_names[mode], v[i], got.bits, got.flags, want.bits, want.flags);
		}
	}
	return ties;
}

static void from_integers_are_the_hosts(void **unused)
{
	const struct fp_format formats[] = { fp_single, fp_double };
	unsigned long ties;
	u64 v[BATCH], state = 7;
	int i, j, k, type;

	for (i = 0; i < 2; i++)
		for (type = 0; type < 4; type++) {
			ties = 0;
			for (k = 0; k < BATCH; k++)	/* 0, and both sides of powers of two */
				v[k] = (k < 128 ? 1ull : -1ull) << (k & 63) >> 1;
			check_from_int(formats[i], type, v, BATCH);
			for (j = 0; j < TUPLES; j += BATCH) {
				for (k = 0; k < BATCH; k++)
					v[k] = fp_random_integer(&state);
				ties += check_from_int(formats[i], type, v, BATCH);
			}
			/* 32 bits fit into a double. */
			if (i == 1 && type < 2)
				assert_int_equal(ties, 0);
			else
				assert_true(ties > TUPLES / 1000);
		}
}

struct relations {
	u64 min, max;
	bool eq, lt, le;
	u8 min_max_flags, eq_flags, less_flags;
};

static struct relations want_relations(struct fp_format f, u64 a, u64 b)
{
	const u64 nan = inf_bits(f) | 1ull << (f.frac - 1);
	bool na = is_nan(f, a), nb = is_nan(f, b), snan = is_snan(f, a) || is_snan(f, b);
	struct relations w = { .min_max_flags = snan ? SF_NV : 0, .eq_flags = snan ? SF_NV : 0 };
	double da, db;

	if (na || nb) {
		w.less_flags = SF_NV;
		w.min = na ? nb ? nan : b : a;
		w.max = w.min;
		return w;
	}
	da = widened(f, a);
	db = widened(f, b);
	w.eq = da == db;
	w.lt = da < db;
	w.le = da <= db;
	w.min = da < db || (da == db && signbit(da)) ? a : b;
	w.max = da > db || (da == db && !signbit(da)) ? a : b;
	return w;
}

static struct relations soft_relations(struct fp_format f, u64 a, u64 b)
{
	struct relations r = { 0 };
	u32 a32 = (u32)a, b32 = (u32)b;
	u8 max_flags = 0, le_flags = 0;

	if (f.frac == 23) {
		r.min = sf32_min(a32, b32, &r.min_max_flags);
		r.max = sf32_max(a32, b32, &max_flags);
		r.eq = sf32_eq(a32, b32, &r.eq_flags);
		r.lt = sf32_lt(a32, b32, &r.less_flags);
		r.le = sf32_le(a32, b32, &le_flags);
	} else {
		r.min = sf64_min(a, b, &r.min_max_flags);
		r.max = sf64_max(a, b, &max_flags);
		r.eq = sf64_eq(a, b, &r.eq_flags);
		r.lt = sf64_lt(a, b, &r.less_flags);
		r.le = sf64_le(a, b, &le_flags);
	}
	assert_int_equal(r.min_max_flags, max_flags);
	assert_int_equal(r.less_flags, le_flags);
	return r;
}

static void check_relations(struct fp_format f, u64 a, u64 b)
{
	struct relations got = soft_relations(f, a, b), want = want_relations(f, a, b);

	if (got.min == want.min && got.max == want.max && got.eq == want.eq &&
	    got.lt == want.lt && got.le == want.le && got.min_max_flags == want.min_max_flags &&
	    got.eq_flags == want.eq_flags && got.less_flags == want.less_flags)
		return;
	fail_msg("f%d %#" PRIx64 " %#" PRIx64 ": got min %#" PRIx64 " max %#" PRIx64
		 " eq lt le %d%d%d flags %#x %#x %#x, want %#" PRIx64 " %#" PRIx64
		 " %d%d%d flags %#x %#x %#x", 1 + f.frac + f.exp, a, b, got.min, got.max, got.eq,
		 got.lt, got.le, got.min_max_flags, got.eq_flags, got.less_flags, want.min,
		 want.max, want.eq, want.lt, want.le, want.min_max_flags, want.eq_flags,
		 want.less_flags);
}

static void comparisons_and_extrema(void **unused)
{
	const struct fp_format formats[] = { fp_single, fp_double };
	u64 edges[FP_MAX_EDGES], v[3], state = 3;
	int i, j, k, n;

	for (i = 0; i < 2; i++) {
		struct fp_format f = formats[i];

		n = fp_edges(f, 0, edges);
		for (j = 0; j < n; j++)
			for (k = 0; k < n; k++)
				check_relations(f, edges[j], edges[k]);
		for (j = 0; j < TUPLES; j++) {
			fp_random_triple(f, &state, v);
			check_relations(f, v[0], v[1]);
		}
	}
}

static unsigned want_class(struct fp_format f, u64 bits)
{
	bool neg = bits >> (f.frac + f.exp);
	int class = f.frac == 23 ? fpclassify(to_float(bits)) : fpclassify(to_double(bits));

	switch (class) {
	case FP_NAN:
		return is_snan(f, bits) ? 1 << 8 : 1 << 9;
	case FP_INFINITE:
		return neg ? 1 << 0 : 1 << 7;
	case FP_NORMAL:
		return neg ? 1 << 1 : 1 << 6;
	case FP_SUBNORMAL:
		return neg ? 1 << 2 : 1 << 5;
	default:
		return neg ? 1 << 3 : 1 << 4;
	}
}

static void classes(void **unused)
{
	u64 v, edges[FP_MAX_EDGES], state = 4;
	int i, n;

	n = fp_edges(fp_single, 0, edges);
	for (i = 0; i < TUPLES; i++) {
		v = i < n ? edges[i] : fp_random_value(fp_single, &state);
		assert_int_equal(sf32_classify((u32)v), want_class(fp_single, v));
	}
	n = fp_edges(fp_double, 0, edges);
	for (i = 0; i < TUPLES; i++) {
		v = i < n ? edges[i] : fp_random_value(fp_double, &state);
		assert_int_equal(sf64_classify(v), want_class(fp_double, v));
	}
}

static void flags_are_only_added_to(void **unused)
{
	const u64 one = 0x3ff0000000000000ull, three = 0x4008000000000000ull;
	u8 flags = SF_DZ;

	sf64_add(one, one, SF_RNE, &flags);
	assert_int_equal(flags, SF_DZ);
	sf64_div(one, three, SF_RNE, &flags);
	assert_int_equal(flags, SF_DZ | SF_NX);
	sf64_lt(SF64_NAN, one, &flags);
	assert_int_equal(flags, SF_DZ | SF_NX | SF_NV);
}

static void boxes_and_signs(void **unused)
{
	assert_int_equal(sf32_box(0x3f800000), 0xffffffff3f800000ull);
	assert_int_equal(sf32_unbox(0xffffffff7f800001ull), 0x7f800001);
	assert_int_equal(sf32_unbox(0xfffffffe3f800000ull), SF32_NAN);
	assert_int_equal(sf32_unbox(0x3f800000), SF32_NAN);
	/* A signalling NaN stays one. */
	assert_int_equal(sf32_sgnj(0x7f800001, 0x80000000), 0xff800001);
	assert_int_equal(sf32_sgnjn(0xff800001, 0x80000000), 0x7f800001);
	assert_int_equal(sf32_sgnjx(0xff800001, 0x80000000), 0x7f800001);
	assert_int_equal(sf64_sgnj(0xfff0000000000001ull, 1), 0x7ff0000000000001ull);
	assert_int_equal(sf64_sgnjn(0x7ff0000000000001ull, 1), 0xfff0000000000001ull);
	assert_int_equal(sf64_sgnjx(0x7ff0000000000001ull, SF64_SIGN), 0xfff0000000000001ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_is_the_hosts),
		cmocka_unit_test(sub_is_the_hosts),
		cmocka_unit_test(mul_is_the_hosts),
		cmocka_unit_test(div_is_the_hosts),
		cmocka_unit_test(sqrt_is_the_hosts),
		cmocka_unit_test(fma_is_the_hosts),
		cmocka_unit_test(format_conversions_are_the_hosts),
		cmocka_unit_test(to_integers_saturates_and_rounds),
		cmocka_unit_test(from_integers_are_the_hosts),
		cmocka_unit_test(comparisons_and_extrema),
		cmocka_unit_test(classes),
		cmocka_unit_test(flags_are_only_added_to),
		cmocka_unit_test(boxes_and_signs),
	};

	return cmocka_run_group_tests_name("softfloat", tests, NULL, NULL);
}
