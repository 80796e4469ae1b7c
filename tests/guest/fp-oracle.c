// SPDX-License-Identifier: MIT
/*
 * softfloat against a RISC-V machine: one source, two programs that have to print the same.
 *
 * Built for riscv64, each operation is the F, D or Zfh instruction itself (under qemu-riscv64, or on
 * a real machine). Built for anything else, it is softfloat. Both run every instruction over the
 * same operands (tests/unit/fp_operands.h) in all five rounding modes and print a hash of all
 * results and flags for each:
 *
 *	fp-oracle [COUNT]			COUNT random operand triples; all pairs of edge
 *						values come first
 *	fp-oracle COUNT INSTRUCTION MODE	every single operation of one instruction
 *
 * tests/guest/fp-oracle.sh runs both and shows the first operation that differs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/fp_operands.h"

/* Results are 64 bits; 32-bit ones zero-extended. */
typedef uint64_t run_fn(const uint64_t *v, unsigned rm, uint8_t *flags);

#ifdef __riscv

static void set_mode(unsigned rm)
{
	__asm__ volatile("fsrm %0" : : "r"(rm));
}

/* Operands and results travel through integer registers, so that no compiler touches them. */
#define RUN(id, load0, load1, load2, insn, store, mask) \
	static uint64_t id(const uint64_t *v, unsigned rm, uint8_t *flags) \
	{ \
		uint64_t r, fl; \
		__asm__ volatile(load0 "\n\t" load1 "\n\t" load2 "\n\t" "fsflags zero\n\t" \
				 insn "\n\t" "frflags %1\n\t" store \
				 : "=&r"(r), "=&r"(fl) \
				 : "r"(v[0]), "r"(v[1]), "r"(v[2]) \
				 : "ft0", "ft1", "ft2", "ft3", "t0"); \
		*flags = (uint8_t)fl; \
		return r & (mask); \
	}

#define ALL64 (~0ull)
#define ALL32 0xffffffffull
#define LOADS_s "fmv.w.x ft0, %2", "fmv.w.x ft1, %3", "fmv.w.x ft2, %4"
#define LOADS_h "fmv.h.x ft0, %2", "fmv.h.x ft1, %3", "fmv.h.x ft2, %4"
#define LOADS_d "fmv.d.x ft0, %2", "fmv.d.x ft1, %3", "fmv.d.x ft2, %4"
#define STORE_s "fmv.x.w %0, ft3", ALL32
#define ALL16 0xffffull
#define STORE_h "fmv.x.h %0, ft3", ALL16
#define STORE_d "fmv.x.d %0, ft3", ALL64
#define RUN_(...) RUN(__VA_ARGS__)

/* From float registers to a float register, to an integer register, from one. */
#define FF(id, insn, operands, in, out, soft) \
	RUN_(id, LOADS_##in, insn " ft3, " operands, STORE_##out)
#define FX(id, insn, operands, in, mask, soft) \
	RUN_(id, LOADS_##in, insn " t0, " operands, "mv %0, t0", mask)
#define XF(id, insn, out, soft) \
	RUN_(id, LOADS_d, insn " ft3, %2", STORE_##out)

#else

#include "cpu/fp/softfloat.h"

static void set_mode(unsigned rm)
{
}

#define ALL64 (~0ull)
#define ALL32 0xffffffffull

#define RUN(id, soft, mask) \
	static uint64_t id(const uint64_t *v, unsigned mode, uint8_t *flags) \
	{ \
		const enum sf_round rm = (enum sf_round)mode; \
		const u64 a = v[0], b = v[1], c = v[2]; \
		const u32 as = (u32)a, bs = (u32)b, cs = (u32)c; \
		const u16 ah = (u16)a, bh = (u16)b, ch = (u16)c; \
		u8 fl = 0; \
		u64 r = (u64)(soft); \
		(void)rm, (void)b, (void)c, (void)as, (void)bs, (void)cs, (void)ah, (void)bh, (void)ch; \
		*flags = fl; \
		return r & (mask); \
	}

#define FF(id, insn, operands, in, out, soft) RUN(id, soft, ALL64)
#define FX(id, insn, operands, in, mask, soft) RUN(id, soft, mask)
#define XF(id, insn, out, soft) RUN(id, soft, ALL64)

#endif

/* One for each instruction: its id, its name, its operands, and softfloat's expression. */
#define INSTRUCTIONS \
	FF(fadd_s, "fadd.s", "ft0, ft1", s, s, sf32_add(as, bs, rm, &fl)) \
	FF(fsub_s, "fsub.s", "ft0, ft1", s, s, sf32_sub(as, bs, rm, &fl)) \
	FF(fmul_s, "fmul.s", "ft0, ft1", s, s, sf32_mul(as, bs, rm, &fl)) \
	FF(fdiv_s, "fdiv.s", "ft0, ft1", s, s, sf32_div(as, bs, rm, &fl)) \
	FF(fsqrt_s, "fsqrt.s", "ft0", s, s, sf32_sqrt(as, rm, &fl)) \
	FF(fmadd_s, "fmadd.s", "ft0, ft1, ft2", s, s, sf32_fma(as, bs, cs, rm, &fl)) \
	FF(fmsub_s, "fmsub.s", "ft0, ft1, ft2", s, s, \
	   sf32_fma(as, bs, cs ^ SF32_SIGN, rm, &fl)) \
	FF(fnmsub_s, "fnmsub.s", "ft0, ft1, ft2", s, s, \
	   sf32_fma(as ^ SF32_SIGN, bs, cs, rm, &fl)) \
	FF(fnmadd_s, "fnmadd.s", "ft0, ft1, ft2", s, s, \
	   sf32_fma(as ^ SF32_SIGN, bs, cs ^ SF32_SIGN, rm, &fl)) \
	FF(fmin_s, "fmin.s", "ft0, ft1", s, s, sf32_min(as, bs, &fl)) \
	FF(fmax_s, "fmax.s", "ft0, ft1", s, s, sf32_max(as, bs, &fl)) \
	FF(fsgnj_s, "fsgnj.s", "ft0, ft1", s, s, sf32_sgnj(as, bs)) \
	FF(fsgnjn_s, "fsgnjn.s", "ft0, ft1", s, s, sf32_sgnjn(as, bs)) \
	FF(fsgnjx_s, "fsgnjx.s", "ft0, ft1", s, s, sf32_sgnjx(as, bs)) \
	FX(feq_s, "feq.s", "ft0, ft1", s, ALL64, sf32_eq(as, bs, &fl)) \
	FX(flt_s, "flt.s", "ft0, ft1", s, ALL64, sf32_lt(as, bs, &fl)) \
	FX(fle_s, "fle.s", "ft0, ft1", s, ALL64, sf32_le(as, bs, &fl)) \
	FX(fclass_s, "fclass.s", "ft0", s, ALL64, sf32_classify(as)) \
	FX(fcvt_w_s, "fcvt.w.s", "ft0", s, ALL32, sf32_to_s32(as, rm, &fl)) \
	FX(fcvt_wu_s, "fcvt.wu.s", "ft0", s, ALL32, sf32_to_u32(as, rm, &fl)) \
	FX(fcvt_l_s, "fcvt.l.s", "ft0", s, ALL64, sf32_to_s64(as, rm, &fl)) \
	FX(fcvt_lu_s, "fcvt.lu.s", "ft0", s, ALL64, sf32_to_u64(as, rm, &fl)) \
	FF(fcvt_d_s, "fcvt.d.s", "ft0", s, d, sf32_to_f64(as, &fl)) \
	FF(fadd_d, "fadd.d", "ft0, ft1", d, d, sf64_add(a, b, rm, &fl)) \
	FF(fsub_d, "fsub.d", "ft0, ft1", d, d, sf64_sub(a, b, rm, &fl)) \
	FF(fmul_d, "fmul.d", "ft0, ft1", d, d, sf64_mul(a, b, rm, &fl)) \
	FF(fdiv_d, "fdiv.d", "ft0, ft1", d, d, sf64_div(a, b, rm, &fl)) \
	FF(fsqrt_d, "fsqrt.d", "ft0", d, d, sf64_sqrt(a, rm, &fl)) \
	FF(fmadd_d, "fmadd.d", "ft0, ft1, ft2", d, d, sf64_fma(a, b, c, rm, &fl)) \
	FF(fmsub_d, "fmsub.d", "ft0, ft1, ft2", d, d, sf64_fma(a, b, c ^ SF64_SIGN, rm, &fl)) \
	FF(fnmsub_d, "fnmsub.d", "ft0, ft1, ft2", d, d, sf64_fma(a ^ SF64_SIGN, b, c, rm, &fl)) \
	FF(fnmadd_d, "fnmadd.d", "ft0, ft1, ft2", d, d, \
	   sf64_fma(a ^ SF64_SIGN, b, c ^ SF64_SIGN, rm, &fl)) \
	FF(fmin_d, "fmin.d", "ft0, ft1", d, d, sf64_min(a, b, &fl)) \
	FF(fmax_d, "fmax.d", "ft0, ft1", d, d, sf64_max(a, b, &fl)) \
	FF(fsgnj_d, "fsgnj.d", "ft0, ft1", d, d, sf64_sgnj(a, b)) \
	FF(fsgnjn_d, "fsgnjn.d", "ft0, ft1", d, d, sf64_sgnjn(a, b)) \
	FF(fsgnjx_d, "fsgnjx.d", "ft0, ft1", d, d, sf64_sgnjx(a, b)) \
	FX(feq_d, "feq.d", "ft0, ft1", d, ALL64, sf64_eq(a, b, &fl)) \
	FX(flt_d, "flt.d", "ft0, ft1", d, ALL64, sf64_lt(a, b, &fl)) \
	FX(fle_d, "fle.d", "ft0, ft1", d, ALL64, sf64_le(a, b, &fl)) \
	FX(fclass_d, "fclass.d", "ft0", d, ALL64, sf64_classify(a)) \
	FX(fcvt_w_d, "fcvt.w.d", "ft0", d, ALL32, sf64_to_s32(a, rm, &fl)) \
	FX(fcvt_wu_d, "fcvt.wu.d", "ft0", d, ALL32, sf64_to_u32(a, rm, &fl)) \
	FX(fcvt_l_d, "fcvt.l.d", "ft0", d, ALL64, sf64_to_s64(a, rm, &fl)) \
	FX(fcvt_lu_d, "fcvt.lu.d", "ft0", d, ALL64, sf64_to_u64(a, rm, &fl)) \
	FF(fcvt_s_d, "fcvt.s.d", "ft0", d, s, sf64_to_f32(a, rm, &fl)) \
	XF(fcvt_s_w, "fcvt.s.w", s, sf32_from_s32((s32)a, rm, &fl)) \
	XF(fcvt_s_wu, "fcvt.s.wu", s, sf32_from_u32((u32)a, rm, &fl)) \
	XF(fcvt_s_l, "fcvt.s.l", s, sf32_from_s64((s64)a, rm, &fl)) \
	XF(fcvt_s_lu, "fcvt.s.lu", s, sf32_from_u64(a, rm, &fl)) \
	XF(fcvt_d_w, "fcvt.d.w", d, sf64_from_s32((s32)a, rm, &fl)) \
	XF(fcvt_d_wu, "fcvt.d.wu", d, sf64_from_u32((u32)a, rm, &fl)) \
	XF(fcvt_d_l, "fcvt.d.l", d, sf64_from_s64((s64)a, rm, &fl)) \
	XF(fcvt_d_lu, "fcvt.d.lu", d, sf64_from_u64(a, rm, &fl)) \
	FF(fadd_h, "fadd.h", "ft0, ft1", h, h, sf16_add(ah, bh, rm, &fl)) \
	FF(fsub_h, "fsub.h", "ft0, ft1", h, h, sf16_sub(ah, bh, rm, &fl)) \
	FF(fmul_h, "fmul.h", "ft0, ft1", h, h, sf16_mul(ah, bh, rm, &fl)) \
	FF(fdiv_h, "fdiv.h", "ft0, ft1", h, h, sf16_div(ah, bh, rm, &fl)) \
	FF(fsqrt_h, "fsqrt.h", "ft0", h, h, sf16_sqrt(ah, rm, &fl)) \
	FF(fmadd_h, "fmadd.h", "ft0, ft1, ft2", h, h, sf16_fma(ah, bh, ch, rm, &fl)) \
	FF(fmsub_h, "fmsub.h", "ft0, ft1, ft2", h, h, \
	   sf16_fma(ah, bh, ch ^ SF16_SIGN, rm, &fl)) \
	FF(fnmsub_h, "fnmsub.h", "ft0, ft1, ft2", h, h, \
	   sf16_fma(ah ^ SF16_SIGN, bh, ch, rm, &fl)) \
	FF(fnmadd_h, "fnmadd.h", "ft0, ft1, ft2", h, h, \
	   sf16_fma(ah ^ SF16_SIGN, bh, ch ^ SF16_SIGN, rm, &fl)) \
	FF(fmin_h, "fmin.h", "ft0, ft1", h, h, sf16_min(ah, bh, &fl)) \
	FF(fmax_h, "fmax.h", "ft0, ft1", h, h, sf16_max(ah, bh, &fl)) \
	FF(fsgnj_h, "fsgnj.h", "ft0, ft1", h, h, sf16_sgnj(ah, bh)) \
	FF(fsgnjn_h, "fsgnjn.h", "ft0, ft1", h, h, sf16_sgnjn(ah, bh)) \
	FF(fsgnjx_h, "fsgnjx.h", "ft0, ft1", h, h, sf16_sgnjx(ah, bh)) \
	FX(feq_h, "feq.h", "ft0, ft1", h, ALL64, sf16_eq(ah, bh, &fl)) \
	FX(flt_h, "flt.h", "ft0, ft1", h, ALL64, sf16_lt(ah, bh, &fl)) \
	FX(fle_h, "fle.h", "ft0, ft1", h, ALL64, sf16_le(ah, bh, &fl)) \
	FX(fclass_h, "fclass.h", "ft0", h, ALL64, sf16_classify(ah)) \
	FX(fcvt_w_h, "fcvt.w.h", "ft0", h, ALL32, sf16_to_s32(ah, rm, &fl)) \
	FX(fcvt_wu_h, "fcvt.wu.h", "ft0", h, ALL32, sf16_to_u32(ah, rm, &fl)) \
	FX(fcvt_l_h, "fcvt.l.h", "ft0", h, ALL64, sf16_to_s64(ah, rm, &fl)) \
	FX(fcvt_lu_h, "fcvt.lu.h", "ft0", h, ALL64, sf16_to_u64(ah, rm, &fl)) \
	FF(fcvt_s_h, "fcvt.s.h", "ft0", h, s, sf16_to_f32(ah, &fl)) \
	FF(fcvt_d_h, "fcvt.d.h", "ft0", h, d, sf16_to_f64(ah, &fl)) \
	FF(fcvt_h_s, "fcvt.h.s", "ft0", s, h, sf32_to_f16(as, rm, &fl)) \
	FF(fcvt_h_d, "fcvt.h.d", "ft0", d, h, sf64_to_f16(a, rm, &fl)) \
	XF(fcvt_h_w, "fcvt.h.w", h, sf16_from_s32((s32)a, rm, &fl)) \
	XF(fcvt_h_wu, "fcvt.h.wu", h, sf16_from_u32((u32)a, rm, &fl)) \
	XF(fcvt_h_l, "fcvt.h.l", h, sf16_from_s64((s64)a, rm, &fl)) \
	XF(fcvt_h_lu, "fcvt.h.lu", h, sf16_from_u64(a, rm, &fl))

INSTRUCTIONS

struct instruction {
	const char *name;
	char in;		/* s, d, h, or x for an integer */
	run_fn *run;
};

#undef FF
#undef FX
#undef XF
#define FF(id, insn, operands, in, out, soft) { insn, #in[0], id },
#define FX(id, insn, operands, in, mask, soft) { insn, #in[0], id },
#define XF(id, insn, out, soft) { insn, 'x', id },
static const struct instruction instructions[] = { INSTRUCTIONS };

static const char *const mode_names[] = { "rne", "rtz", "rdn", "rup", "rmm" };

/* The sequence of operands for one kind of input. */
struct sequence {
	char in;
	uint64_t edges[FP_MAX_EDGES], state;
	int n_edges;
};

static struct fp_format format_of(char in)
{
	return in == 's' ? fp_single : in == 'd' ? fp_double : fp_half;
}

static void sequence_start(struct sequence *s, char in)
{
	s->in = in;
	s->state = (unsigned char)in;
	s->n_edges = in == 'x' ? 0 : fp_edges(format_of(in), 0, s->edges);
}

static void sequence_get(struct sequence *s, long i, uint64_t *v)
{
	const long n = s->n_edges;

	if (s->in == 'x') {
		v[0] = fp_random_integer(&s->state);
		v[1] = v[2] = 0;
	} else if (i < n * n) {
		v[0] = s->edges[i / n];
		v[1] = s->edges[i % n];
		v[2] = s->edges[fp_random(&s->state) % (uint64_t)n];
	} else {
		fp_random_triple(format_of(s->in), &s->state, v);
	}
}

static uint64_t hash_add(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static void run(const struct instruction *insn, unsigned rm, long count, int dump)
{
	static struct sequence s;
	uint64_t v[3], r, hash = 0;
	uint8_t flags;
	long i;

	sequence_start(&s, insn->in);
	set_mode(rm);
	for (i = 0; i < (long)s.n_edges * s.n_edges + count; i++) {
		sequence_get(&s, i, v);
		r = insn->run(v, rm, &flags);
		if (dump)
			printf("%s %s %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " = %016" PRIx64
			       " flags %02x\n", insn->name, mode_names[rm], v[0], v[1], v[2], r,
			       flags);
		hash = hash_add(hash, v[0]);
		hash = hash_add(hash, r);
		hash = hash_add(hash, flags);
	}
	set_mode(0);
	if (!dump)
		printf("%s %s %ld %016" PRIx64 "\n", insn->name, mode_names[rm], i, hash);
}

int main(int argc, char **argv)
{
	const size_t n = sizeof(instructions) / sizeof(instructions[0]);
	long count = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
	int found = 0;
	unsigned rm;
	size_t i;

	for (i = 0; i < n; i++)
		for (rm = 0; rm < 5; rm++) {
			if (argc == 4 && (strcmp(argv[2], instructions[i].name) ||
					  strcmp(argv[3], mode_names[rm])))
				continue;
			found++;
			run(&instructions[i], rm, count, argc == 4);
		}
	if (argc == 3 || argc > 4 || count < 1 || !found) {
		fprintf(stderr, "usage: fp-oracle [COUNT [INSTRUCTION rne|rtz|rdn|rup|rmm]]\n");
		return 2;
	}
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
