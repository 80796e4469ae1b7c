/* SPDX-License-Identifier: MIT */
/*
 * Half precision in vectors (Zvfh), an element at a time, so that the flags of each are seen:
 * all instructions of one operand for each of the 65,536 numbers, or as many singles and integers
 * around what a half can hold; those of two and three operands for all pairs of edge values. In
 * all rounding modes. vector-random.c has masks, groups and scalars.
 */
#include "lib/exec.h"
#include "lib/vector.h"

enum { VS2 = 8, VS1 = 16, VD = 24 };
enum { N = 65536, NR_EDGES = 48 };

static u32 in2[N], in1[NR_EDGES * NR_EDGES], ind[NR_EDGES * NR_EDGES], out[N];
static u8 flags[N];
static struct context ctx;

/* Reads, or writes if store, (x) of 1 << width bytes. */
static u32 mem(u32 store, u32 width, u32 v, u32 x)
{
	return (store ? 0x27 : 7) | v << 7 | (width ? width + 4 : 0) << 12 | x << 15 | 1 << 25;
}

/* An instruction, its operands' and result's widths; sew and these are log2 of bytes. */
struct insn {
	const char *name;
	u8 f6, sub, sew, w2, w1, wd;
};

static u32 opfvv(const struct insn *i, u32 vs1)
{
	return 0x57 | VD << 7 | 1 << 12 | vs1 << 15 | VS2 << 20 | 1 << 25 | (u32)i->f6 << 26;
}

/* n times: loads, the instruction alone with its flags, stores. Arrays are of u32 each. */
static void loop(const struct insn *i, bool unary, u64 n)
{
	u32 words[24], k = 0, j, from;
	u16 code[48];
	struct trap t;

	words[k++] = 0x57 | 7 << 12 | 1 << 15 | (u32)i->sew << 23 | 3u << 30;	/* vl 1, LMUL 1 */
	from = k;
	words[k++] = 0x00101073;				/* csrw fflags, x0 */
	words[k++] = mem(0, i->w2, VS2, 10);
	if (!unary) {
		words[k++] = mem(0, i->w1, VS1, 11);
		words[k++] = mem(0, i->wd, VD, 12);
	}
	/* Not alone: QEMU aborts in a static rounding mode unless a dynamic one came before. */
	words[k++] = enc_r(0x53, 7, 0, 0, 0, 0);		/* fadd.s f0, f0, f0 */
	words[k++] = opfvv(i, unary ? i->sub : VS1);
	words[k++] = 0x001022f3;				/* csrr t0, fflags */
	words[k++] = mem(1, i->wd, VD, 13);
	words[k++] = enc_s(0x23, 0, 14, 5, 0);			/* sb t0, (a4) */
	for (j = 10; j < 14; j++)
		words[k++] = enc_i(0x13, 0, j, j, 4);
	words[k++] = enc_i(0x13, 0, 14, 14, 1);
	words[k++] = enc_i(0x13, 0, 15, 15, -1);
	words[k] = enc_b(1, 15, 0, 4 * ((s32)from - (s32)k));	/* bnez a5 */
	k++;
	for (j = 0; j < k; j++) {
		code[2 * j] = (u16)words[j];
		code[2 * j + 1] = (u16)(words[j] >> 16);
	}
	ctx.x[10] = (u64)in2;
	ctx.x[11] = (u64)in1;
	ctx.x[12] = (u64)ind;
	ctx.x[13] = (u64)out;
	ctx.x[14] = (u64)flags;
	ctx.x[15] = n;
	ctx.f[0] = 0xffffffff00000000;
	ctx.sstatus = SSTATUS_SPP;
	memset(out, 0, 4 * n);
	memset(flags, 0xff, n);
	exec(&ctx, &t, code, 2 * k);
	check(t.cause == 3 && !ctx.x[15], "%s: cause %u at %u", i->name, t.cause, n - ctx.x[15]);
}

static void all_modes(const struct insn *i, bool unary, u64 n)
{
	u64 rm, k;

	for (rm = 0; rm < 5; rm++) {
		ctx.fcsr = rm << 5;
		loop(i, unary, n);
		print("  %s rm %u: %x flags %x\n", i->name, rm, hash_bytes(0, out, 4 * n),
		      hash_bytes(0, flags, n));
		/* A single line for each where the runner looks for what differs. */
		if (params.verbose)
			for (k = 0; k < n; k++)
				print("    %s rm %u %x %x %x: %x flags %x\n", i->name, rm, (u64)in2[k],
				      unary ? 0 : (u64)in1[k], unary ? 0 : (u64)ind[k], (u64)out[k],
				      (u64)flags[k]);
	}
}

#define SQRT 0x13
#define CVT 0x12
static const struct insn unary[] = {
	{ "vfsqrt.v", SQRT, 0, 1, 1, 0, 1 }, { "vfrsqrt7.v", SQRT, 4, 1, 1, 0, 1 },
	{ "vfrec7.v", SQRT, 5, 1, 1, 0, 1 }, { "vfclass.v", SQRT, 16, 1, 1, 0, 1 },
	{ "vfcvt.xu.f.v", CVT, 0, 1, 1, 0, 1 }, { "vfcvt.x.f.v", CVT, 1, 1, 1, 0, 1 },
	{ "vfcvt.f.xu.v", CVT, 2, 1, 1, 0, 1 }, { "vfcvt.f.x.v", CVT, 3, 1, 1, 0, 1 },
	{ "vfcvt.rtz.xu.f.v", CVT, 6, 1, 1, 0, 1 }, { "vfcvt.rtz.x.f.v", CVT, 7, 1, 1, 0, 1 },
	{ "vfwcvt.xu.f.v", CVT, 8, 1, 1, 0, 2 }, { "vfwcvt.x.f.v", CVT, 9, 1, 1, 0, 2 },
	{ "vfwcvt.f.xu.v", CVT, 10, 0, 0, 0, 1 }, { "vfwcvt.f.x.v", CVT, 11, 0, 0, 0, 1 },
	{ "vfwcvt.f.f.v", CVT, 12, 1, 1, 0, 2 }, { "vfwcvt.rtz.xu.f.v", CVT, 14, 1, 1, 0, 2 },
	{ "vfwcvt.rtz.x.f.v", CVT, 15, 1, 1, 0, 2 },
	{ "vfncvt.xu.f.w", CVT, 16, 0, 1, 0, 0 }, { "vfncvt.x.f.w", CVT, 17, 0, 1, 0, 0 },
	{ "vfncvt.rtz.xu.f.w", CVT, 22, 0, 1, 0, 0 }, { "vfncvt.rtz.x.f.w", CVT, 23, 0, 1, 0, 0 },
};
static const struct insn narrowing[] = {
	{ "vfncvt.f.xu.w", CVT, 18, 1, 2, 0, 1 }, { "vfncvt.f.x.w", CVT, 19, 1, 2, 0, 1 },
	{ "vfncvt.f.f.w", CVT, 20, 1, 2, 0, 1 }, { "vfncvt.rod.f.f.w", CVT, 21, 1, 2, 0, 1 },
};

static void test_unary(void)
{
	unsigned i, k;
	u64 rng = 3;

	test_case("half-unary");
	for (k = 0; k < N; k++)
		in2[k] = k;
	for (i = 0; i < ARRAY_SIZE(unary); i++)
		all_modes(&unary[i], true, unary[i].w2 ? N : 256);
	test_case("half-narrowing");
	/* Integers of every length; singles of the exponents that matter, near and at the ties. */
	for (i = 0; i < ARRAY_SIZE(narrowing); i++) {
		for (k = 0; k < N; k++) {
			static const u32 low[] = { 0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x7ff };
			u64 r = random64(&rng);

			if (i < 2)
				in2[k] = (u32)(r >> 32) >> (r & 31) | (u32)(r >> 8 & 1) << 31;
			else if (r & 15)
				in2[k] = (u32)(r >> 63) << 31 | (100 + (u32)(r >> 40) % 46) << 23 |
					 ((u32)(r >> 16) & (r & 0x70000000 ? 0x7fe000 : 0x7fffff)) |
					 low[r >> 8 & 7];
			else
				in2[k] = (u32)edge_float(&rng);
		}
		all_modes(&narrowing[i], true, N);
	}
}

static const struct insn binary[] = {
	{ "vfadd.vv", 0x00, 0, 1, 1, 1, 1 }, { "vfsub.vv", 0x02, 0, 1, 1, 1, 1 },
	{ "vfmin.vv", 0x04, 0, 1, 1, 1, 1 }, { "vfmax.vv", 0x06, 0, 1, 1, 1, 1 },
	{ "vfsgnj.vv", 0x08, 0, 1, 1, 1, 1 }, { "vfsgnjn.vv", 0x09, 0, 1, 1, 1, 1 },
	{ "vfsgnjx.vv", 0x0a, 0, 1, 1, 1, 1 }, { "vfdiv.vv", 0x20, 0, 1, 1, 1, 1 },
	{ "vfmul.vv", 0x24, 0, 1, 1, 1, 1 },
	{ "vmfeq.vv", 0x18, 0, 1, 1, 1, 0 }, { "vmfle.vv", 0x19, 0, 1, 1, 1, 0 },
	{ "vmflt.vv", 0x1b, 0, 1, 1, 1, 0 }, { "vmfne.vv", 0x1c, 0, 1, 1, 1, 0 },
	{ "vfmadd.vv", 0x28, 0, 1, 1, 1, 1 }, { "vfnmadd.vv", 0x29, 0, 1, 1, 1, 1 },
	{ "vfmsub.vv", 0x2a, 0, 1, 1, 1, 1 }, { "vfnmsub.vv", 0x2b, 0, 1, 1, 1, 1 },
	{ "vfmacc.vv", 0x2c, 0, 1, 1, 1, 1 }, { "vfnmacc.vv", 0x2d, 0, 1, 1, 1, 1 },
	{ "vfmsac.vv", 0x2e, 0, 1, 1, 1, 1 }, { "vfnmsac.vv", 0x2f, 0, 1, 1, 1, 1 },
	{ "vfredusum.vs", 0x01, 0, 1, 1, 1, 1 }, { "vfredosum.vs", 0x03, 0, 1, 1, 1, 1 },
	{ "vfredmin.vs", 0x05, 0, 1, 1, 1, 1 }, { "vfredmax.vs", 0x07, 0, 1, 1, 1, 1 },
	{ "vfwadd.vv", 0x30, 0, 1, 1, 1, 2 }, { "vfwsub.vv", 0x32, 0, 1, 1, 1, 2 },
	{ "vfwadd.wv", 0x34, 0, 1, 2, 1, 2 }, { "vfwsub.wv", 0x36, 0, 1, 2, 1, 2 },
	{ "vfwmul.vv", 0x38, 0, 1, 1, 1, 2 }, { "vfwmacc.vv", 0x3c, 0, 1, 1, 1, 2 },
	{ "vfwnmacc.vv", 0x3d, 0, 1, 1, 1, 2 }, { "vfwmsac.vv", 0x3e, 0, 1, 1, 1, 2 },
	{ "vfwnmsac.vv", 0x3f, 0, 1, 1, 1, 2 }, { "vfwredusum.vs", 0x31, 0, 1, 1, 2, 2 },
	{ "vfwredosum.vs", 0x33, 0, 1, 1, 2, 2 },
};

static u32 operand(u32 width, u16 edge, u64 *rng)
{
	return width < 2 ? edge : (u32)edge_float(rng);
}

static void test_binary(void)
{
	static const u16 fixed[] = {
		0, 1, 2, 0x1ff, 0x3ff, 0x400, 0x401, 0x7ff, 0x1400, 0x3555, 0x37ff, 0x3800, 0x3bff,
		0x3c00, 0x3c01, 0x4000, 0x4200, 0x63ff, 0x6400, 0x77ff, 0x7800, 0x7bff, 0x7c00, 0x7c01,
		0x7e00, 0x7fff,
	};
	u16 edges[NR_EDGES];
	unsigned i, a, b, k;
	u64 rng = 5;

	test_case("half-binary");
	for (i = 0; i < ARRAY_SIZE(binary); i++) {
		/* Of both signs, and others at random. */
		for (k = 0; k < NR_EDGES; k++) {
			u64 r = random64(&rng);

			edges[k] = k < ARRAY_SIZE(fixed) ? fixed[k] | (u16)(r >> 63 << 15) : (u16)(r >> 32);
		}
		for (a = k = 0; a < NR_EDGES; a++)
			for (b = 0; b < NR_EDGES; b++, k++) {
				in2[k] = operand(binary[i].w2, edges[a], &rng);
				in1[k] = operand(binary[i].w1, edges[b], &rng);
				ind[k] = operand(binary[i].wd, edges[random64(&rng) % NR_EDGES], &rng);
			}
		all_modes(&binary[i], false, NR_EDGES * NR_EDGES);
	}
}

int main(void)
{
	exec_init();
	vector_on();
	test_unary();
	test_binary();
	return 0;
}
