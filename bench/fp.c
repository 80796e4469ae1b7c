// SPDX-License-Identifier: MIT
/*
 * What a floating point operation costs: on the host's unit through hostfp.h, the check that it
 * may be used included, and in softfloat. Operands are ordinary numbers, 1024 tuples that fit
 * the first level cache; independent of each other, so this is throughput. The best of ROUNDS
 * rounds counts. For fma the C library's function stands beside, which is the alternative to
 * hostfp.h's.
 *
 * Prints a table, then one line of JSON.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu/fp/hostfp.h"
#include "../tests/unit/fp_operands.h"

#define TUPLES 1024
#define PASSES 200
#define ROUNDS 9

static u64 operands64[TUPLES][3];
static u32 operands32[TUPLES][3];
static volatile u64 sink;

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

/* A loop over all operands with expr inlined; v is a tuple, r its result. */
#define LOOP(name, type, operands, expr) \
	static sv_noinline void name(void) \
	{ \
		u8 flags = 0; \
		u64 sum = 0; \
		int pass, i; \
		for (pass = 0; pass < PASSES; pass++) \
			for (i = 0; i < TUPLES; i++) { \
				const type *v = operands[i]; \
				type r = 0; \
				expr; \
				sum += r; \
			} \
		sink = sum + flags; \
	}

/* As an engine uses them: the fast path, and softfloat when it refuses. */
#define BOTH(op, ...) \
	LOOP(host32_##op, u32, operands32, \
	     if (unlikely(!hf32_##op(__VA_ARGS__, &r))) r = sf32_##op(__VA_ARGS__, SF_RNE, &flags)) \
	LOOP(host64_##op, u64, operands64, \
	     if (unlikely(!hf64_##op(__VA_ARGS__, &r))) r = sf64_##op(__VA_ARGS__, SF_RNE, &flags)) \
	SOFT(op, __VA_ARGS__)
#define SOFT(op, ...) \
	LOOP(soft32_##op, u32, operands32, r = sf32_##op(__VA_ARGS__, SF_RNE, &flags)) \
	LOOP(soft64_##op, u64, operands64, r = sf64_##op(__VA_ARGS__, SF_RNE, &flags))

#define ONE v[0]
#define TWO v[0], v[1]
#define THREE v[0], v[1], v[2]

BOTH(add, TWO)
BOTH(sub, TWO)
BOTH(mul, TWO)
BOTH(div, TWO)
BOTH(sqrt, ONE)
BOTH(fma, THREE)
LOOP(libc32_fma, u32, operands32,
     r = hf_float_bits(fmaf(hf_float(v[0]), hf_float(v[1]), hf_float(v[2]))))
LOOP(libc64_fma, u64, operands64,
     r = hf_double_bits(fma(hf_double(v[0]), hf_double(v[1]), hf_double(v[2]))))
LOOP(soft32_lt, u32, operands32, r = sf32_lt(v[0], v[1], &flags))
LOOP(soft64_lt, u64, operands64, r = sf64_lt(v[0], v[1], &flags))
LOOP(soft32_min, u32, operands32, r = sf32_min(v[0], v[1], &flags))
LOOP(soft64_min, u64, operands64, r = sf64_min(v[0], v[1], &flags))
LOOP(soft32_to_s64, u32, operands32, r = (u32)sf32_to_s64(v[0], SF_RTZ, &flags))
LOOP(soft64_to_s64, u64, operands64, r = (u64)sf64_to_s64(v[0], SF_RTZ, &flags))
LOOP(soft32_from_s64, u32, operands32, r = sf32_from_s64((s32)v[0], SF_RNE, &flags))
LOOP(soft64_from_s64, u64, operands64, r = sf64_from_s64((s64)v[0], SF_RNE, &flags))
LOOP(soft32_convert, u32, operands32, r = (u32)sf32_to_f64(v[0], &flags))
LOOP(soft64_convert, u64, operands64, r = sf64_to_f32(v[0], SF_RNE, &flags))

struct row {
	const char *name;
	void (*host32)(void), (*soft32)(void), (*host64)(void), (*soft64)(void);
};

static const struct row rows[] = {
	{ "add", host32_add, soft32_add, host64_add, soft64_add },
	{ "sub", host32_sub, soft32_sub, host64_sub, soft64_sub },
	{ "mul", host32_mul, soft32_mul, host64_mul, soft64_mul },
	{ "div", host32_div, soft32_div, host64_div, soft64_div },
	{ "sqrt", host32_sqrt, soft32_sqrt, host64_sqrt, soft64_sqrt },
	{ "fma", host32_fma, soft32_fma, host64_fma, soft64_fma },
	{ "fma, C library", libc32_fma, NULL, libc64_fma, NULL },
	{ "lt", NULL, soft32_lt, NULL, soft64_lt },
	{ "min", NULL, soft32_min, NULL, soft64_min },
	{ "to s64", NULL, soft32_to_s64, NULL, soft64_to_s64 },
	{ "from s64", NULL, soft32_from_s64, NULL, soft64_from_s64 },
	{ "to the other", NULL, soft32_convert, NULL, soft64_convert },
};

static double measure(void (*loop)(void))
{
	u64 best = ~0ull, start, t;
	int i;

	if (!loop)
		return 0;
	for (i = 0; i < ROUNDS; i++) {
		start = now_ns();
		loop();
		t = now_ns() - start;
		best = t < best ? t : best;
	}
	return (double)best / ((double)TUPLES * PASSES);
}

static void make_operands(void)
{
	u64 state = 1;
	int i, j;

	for (i = 0; i < TUPLES; i++)
		for (j = 0; j < 3; j++) {
			/* Roots take the first: positive. */
			int sign = j && (fp_random(&state) & 1);
			int exp = fp_random_in(&state, -4, 20);

			operands64[i][j] = fp_bits(fp_double, sign, fp_bias(fp_double) + exp,
						   fp_random(&state) >> 12);
			operands32[i][j] = (u32)fp_bits(fp_single, sign, fp_bias(fp_single) + exp,
							fp_random(&state) >> 41);
		}
}

static void print_cell(double ns)
{
	if (ns > 0)
		printf("%10.2f", ns);
	else
		printf("%10s", "-");
}

int main(void)
{
	double ns[ARRAY_SIZE(rows)][4];
	size_t i;
	int j;

	make_operands();
	printf("%-16s%10s%10s%10s%10s   ns per operation\n", "", "f32 host", "f32 soft", "f64 host",
	       "f64 soft");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		ns[i][0] = measure(rows[i].host32);
		ns[i][1] = measure(rows[i].soft32);
		ns[i][2] = measure(rows[i].host64);
		ns[i][3] = measure(rows[i].soft64);
		printf("%-16s", rows[i].name);
		for (j = 0; j < 4; j++)
			print_cell(ns[i][j]);
		printf("\n");
	}
	if (!hf_has_fma())
		printf("no fused multiply-add on this host: fma's host columns are softfloat's\n");
	printf("{\"bench\": \"fp\", \"unit\": \"ns\"");
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (j = 0; j < 4; j++) {
			static const char *const columns[] = { "f32 host", "f32 soft", "f64 host",
							       "f64 soft" };

			if (ns[i][j] > 0)
				printf(", \"%s %s\": %.2f", columns[j], rows[i].name, ns[i][j]);
		}
	printf("}\n");
	return 0;
}
