// SPDX-License-Identifier: MIT
/*
 * hostfp.h against softfloat: whatever a fast path claims to know must be softfloat's result
 * to the bit, and softfloat must raise nothing but NX for it. A fast path that refused
 * everything would pass that, so how often each refuses is bounded as well: never for ordinary
 * operands.
 *
 * The host's floating point environment is the one that a process starts with, as the engine's
 * is.
 */
#include <fenv.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/fp/hostfp.h"
#include "fp_operands.h"

#define TUPLES 2000000		/* random ones for each operation */

enum op { ADD, SUB, MUL, DIV, SQRT, FMA };

static const char *const op_names[] = { "add", "sub", "mul", "div", "sqrt", "fma" };

static bool fast_single(enum op op, const u64 *v, u64 *r)
{
	const u32 a = (u32)v[0], b = (u32)v[1], c = (u32)v[2];
	u32 r32 = 0;
	bool can = false;

	switch (op) {
	case ADD:
		can = hf32_add(a, b, &r32);
		break;
	case SUB:
		can = hf32_sub(a, b, &r32);
		break;
	case MUL:
		can = hf32_mul(a, b, &r32);
		break;
	case DIV:
		can = hf32_div(a, b, &r32);
		break;
	case SQRT:
		can = hf32_sqrt(a, &r32);
		break;
	case FMA:
		can = hf32_fma(a, b, c, &r32);
		break;
	}
	*r = r32;
	return can;
}

static bool fast_double(enum op op, const u64 *v, u64 *r)
{
	switch (op) {
	case ADD:
		return hf64_add(v[0], v[1], r);
	case SUB:
		return hf64_sub(v[0], v[1], r);
	case MUL:
		return hf64_mul(v[0], v[1], r);
	case DIV:
		return hf64_div(v[0], v[1], r);
	case SQRT:
		return hf64_sqrt(v[0], r);
	case FMA:
		return hf64_fma(v[0], v[1], v[2], r);
	}
	return false;
}

static u64 soft_single(enum op op, const u64 *v, u8 *flags)
{
	const u32 a = (u32)v[0], b = (u32)v[1], c = (u32)v[2];

	switch (op) {
	case ADD:
		return sf32_add(a, b, SF_RNE, flags);
	case SUB:
		return sf32_sub(a, b, SF_RNE, flags);
	case MUL:
		return sf32_mul(a, b, SF_RNE, flags);
	case DIV:
		return sf32_div(a, b, SF_RNE, flags);
	case SQRT:
		return sf32_sqrt(a, SF_RNE, flags);
	case FMA:
		return sf32_fma(a, b, c, SF_RNE, flags);
	}
	return 0;
}

static u64 soft_double(enum op op, const u64 *v, u8 *flags)
{
	switch (op) {
	case ADD:
		return sf64_add(v[0], v[1], SF_RNE, flags);
	case SUB:
		return sf64_sub(v[0], v[1], SF_RNE, flags);
	case MUL:
		return sf64_mul(v[0], v[1], SF_RNE, flags);
	case DIV:
		return sf64_div(v[0], v[1], SF_RNE, flags);
	case SQRT:
		return sf64_sqrt(v[0], SF_RNE, flags);
	case FMA:
		return sf64_fma(v[0], v[1], v[2], SF_RNE, flags);
	}
	return 0;
}

/* Returns what the fast path says; fails when it says something wrong. */
static bool check(enum op op, struct fp_format f, const u64 *v)
{
	bool single = f.frac == 23;
	u64 got = 0, want;
	u8 flags = 0;

	if (!(single ? fast_single(op, v, &got) : fast_double(op, v, &got)))
		return false;
	want = single ? soft_single(op, v, &flags) : soft_double(op, v, &flags);
	if (got != want || (flags & ~SF_NX))
		fail_msg("f%d %s of %#" PRIx64 " %#" PRIx64 " %#" PRIx64 ": got %#" PRIx64
			 ", want %#" PRIx64 " flags %#x", 1 + f.frac + f.exp, op_names[op], v[0],
			 v[1], v[2], got, want, flags);
	return true;
}

/* Exponents about the middle, any sign; a root's is positive. */
static u64 ordinary(struct fp_format f, enum op op, u64 *state)
{
	return fp_bits(f, op == SQRT ? 0 : fp_random(state) & 1,
		       fp_bias(f) + fp_random_in(state, -30, 30), fp_random(state) >> (64 - f.frac));
}

static void check_op(enum op op, struct fp_format f)
{
	/* Where the fast path has to say yes: everywhere that the instructions exist. */
#if defined(__x86_64__) || defined(__aarch64__)
	const bool present = op != FMA || hf_has_fma();
#else
	const bool present = false;
#endif
	u64 edges[FP_MAX_EDGES], v[3], state = 11 + op;
	int n = fp_edges(f, op == FMA, edges), i, j, k;
	const int n_b = op == SQRT ? 1 : n, n_c = op == FMA ? n : 1;
	unsigned long yes = 0;

	for (i = 0; i < n; i++)
		for (j = 0; j < n_b; j++)
			for (k = 0; k < n_c; k++) {
				v[0] = edges[i];
				v[1] = edges[j];
				v[2] = edges[k];
				check(op, f, v);
			}
	for (i = 0; i < TUPLES; i++) {
		fp_random_triple(f, &state, v);
		yes += check(op, f, v);
	}
	if (present)
		assert_true(yes > TUPLES / 4);
	for (i = 0; i < TUPLES / 4; i++) {
		for (j = 0; j < 3; j++)
			v[j] = ordinary(f, op, &state);
		if (!check(op, f, v) && present)
			fail_msg("f%d %s of %#" PRIx64 " %#" PRIx64 " %#" PRIx64 ": refused",
				 1 + f.frac + f.exp, op_names[op], v[0], v[1], v[2]);
	}
}

static void check_both(enum op op)
{
	check_op(op, fp_single);
	check_op(op, fp_double);
}

static void add_is_softs_or_refused(void **state)
{
	check_both(ADD);
}

static void sub_is_softs_or_refused(void **state)
{
	check_both(SUB);
}

static void mul_is_softs_or_refused(void **state)
{
	check_both(MUL);
}

static void div_is_softs_or_refused(void **state)
{
	check_both(DIV);
}

static void sqrt_is_softs_or_refused(void **state)
{
	check_both(SQRT);
}

static void fma_is_softs_or_refused(void **state)
{
	check_both(FMA);
}

/* Operands where a * b + c rounded once differs from rounded twice: the compiler fused nothing. */
static void mul_then_add_rounds_twice(void **unused)
{
	unsigned long differ = 0;
	u64 v[3], state = 5, product, sum, want;
	u8 flags = 0;
	int i;

	for (i = 0; i < 100000; i++) {
		v[0] = ordinary(fp_double, MUL, &state);
		v[1] = ordinary(fp_double, MUL, &state);
		v[2] = fp_near_product(fp_double, v[0], v[1], 0);
		if (!hf64_mul(v[0], v[1], &product) || !hf64_add(product, v[2], &sum))
			continue;
		want = sf64_add(sf64_mul(v[0], v[1], SF_RNE, &flags), v[2], SF_RNE, &flags);
		assert_int_equal(sum, want);
		differ += want != sf64_fma(v[0], v[1], v[2], SF_RNE, &flags);
	}
#if defined(__x86_64__) || defined(__aarch64__)
	assert_true(differ > 50000);
#endif
}

static void only_to_nearest_and_once_inexact(void **unused)
{
	assert_true(hf_may_be_used(SF_RNE, SF_NX) == HF_AVAILABLE);
	assert_true(hf_may_be_used(SF_RNE, SF_NX | SF_NV) == HF_AVAILABLE);
	assert_false(hf_may_be_used(SF_RNE, 0));
	assert_false(hf_may_be_used(SF_RNE, SF_NV | SF_DZ | SF_OF | SF_UF));
	assert_false(hf_may_be_used(SF_RTZ, SF_NX));
	assert_false(hf_may_be_used(SF_RDN, SF_NX));
	assert_false(hf_may_be_used(SF_RUP, SF_NX));
	assert_false(hf_may_be_used(SF_RMM, SF_NX));
}

static void leave_the_environment(void)
{
	fesetround(FE_TONEAREST);
#if defined(__SSE2__)
	_mm_setcsr(0x1f80);
#elif defined(__aarch64__)
	__asm__ volatile("msr fpcr, xzr");
#endif
}

/* A caller that rounds up and flushes subnormals, and has a flag set. */
static void the_callers_environment_does_not_matter(void **unused)
{
	static volatile u64 one = 0x3ff0000000000000ull, three = 0x4008000000000000ull;
	static volatile u64 tiny = 0x0010000000000001ull, minus_least = 0x8010000000000000ull;
	u64 third, subnormal = 0, up;
	struct hf_env env;
	u8 flags = 0;
	bool can;

	feclearexcept(FE_ALL_EXCEPT);
	feraiseexcept(FE_DIVBYZERO);
	fesetround(FE_UPWARD);
#if defined(__SSE2__)
	_mm_setcsr(_mm_getcsr() | 0x8040);		/* FTZ, DAZ */
#elif defined(__aarch64__)
	{
		u64 fpcr;

		__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
		__asm__ volatile("msr fpcr, %0" : : "r"(fpcr | 1 << 24));	/* FZ */
	}
#endif
	hf_enter(&env);
	can = hf64_div(one, three, &third) && hf64_add(tiny, minus_least, &subnormal);
	hf_leave(&env);
	hf64_div(one, three, &up);
	if (fetestexcept(FE_ALL_EXCEPT & ~FE_INEXACT) != FE_DIVBYZERO || fegetround() != FE_UPWARD) {
		leave_the_environment();
		fail_msg("the caller's environment is not back");
	}
	leave_the_environment();
#if defined(__x86_64__) || defined(__aarch64__) || defined(__riscv)
	assert_true(can);
	assert_int_equal(third, sf64_div(one, three, SF_RNE, &flags));
	assert_int_equal(subnormal, 1);
	assert_int_equal(up, sf64_div(one, three, SF_RUP, &flags));
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_is_softs_or_refused),
		cmocka_unit_test(sub_is_softs_or_refused),
		cmocka_unit_test(mul_is_softs_or_refused),
		cmocka_unit_test(div_is_softs_or_refused),
		cmocka_unit_test(sqrt_is_softs_or_refused),
		cmocka_unit_test(fma_is_softs_or_refused),
		cmocka_unit_test(mul_then_add_rounds_twice),
		cmocka_unit_test(the_callers_environment_does_not_matter),
		cmocka_unit_test(only_to_nearest_and_once_inexact),
	};

	return cmocka_run_group_tests_name("hostfp", tests, NULL, NULL);
}
