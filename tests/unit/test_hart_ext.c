// SPDX-License-Identifier: MIT
/*
 * The hart's optional scalar extensions, and half precision in vectors: each instruction is there
 * with its extension and takes the illegal-instruction exception without it, and each op ends in a
 * tail call. What they compute is tests/guest's. (A guest of KVM loses few of them: hardware offers
 * no way to take them away.)
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "cpu/riscv/hart.h"

#define RAM_SIZE 0x100000ull
#define DATA 0x8000u
#define VECTOR 0x4000u
#define ECALL 0x00000073u

enum { T0 = 5, S0 = 8 };
enum { CSR_VL = 0xc20, CSR_VTYPE };
enum { CSR_SSTATUS = 0x100, CSR_STVEC = 0x105, CSR_SCAUSE = 0x142, CSR_STVAL = 0x143 };

#define E(name) BIT(RV_EXT_##name)

/* Operands: a0, a1, a2; fa0 to fa3; memory at s0. */
static const struct insn {
	u32 word;
	u64 all;		/* each of these is needed */
	u64 any;		/* and one of these, if not 0 */
} insns[] = {
	/* andn orn xnor rol ror rori rolw rorw roriw rev8 */
	{ 0x40c5f533, 0, E(ZBB) | E(ZBKB) }, { 0x40c5e533, 0, E(ZBB) | E(ZBKB) },
	{ 0x40c5c533, 0, E(ZBB) | E(ZBKB) }, { 0x60c59533, 0, E(ZBB) | E(ZBKB) },
	{ 0x60c5d533, 0, E(ZBB) | E(ZBKB) }, { 0x6055d513, 0, E(ZBB) | E(ZBKB) },
	{ 0x60c5953b, 0, E(ZBB) | E(ZBKB) }, { 0x60c5d53b, 0, E(ZBB) | E(ZBKB) },
	{ 0x6055d51b, 0, E(ZBB) | E(ZBKB) }, { 0x6b85d513, 0, E(ZBB) | E(ZBKB) },
	/* pack packh packw brev8; zext.h is packw with x0 */
	{ 0x08c5c533, E(ZBKB) }, { 0x08c5f533, E(ZBKB) }, { 0x08c5c53b, E(ZBKB) },
	{ 0x6875d513, E(ZBKB) }, { 0x0805c53b, 0, E(ZBB) | E(ZBKB) },
	/* clmul clmulh clmulr, xperm4 xperm8 */
	{ 0x0ac59533, 0, E(ZBC) | E(ZBKC) }, { 0x0ac5b533, 0, E(ZBC) | E(ZBKC) },
	{ 0x0ac5a533, E(ZBC) }, { 0x28c5a533, E(ZBKX) }, { 0x28c5c533, E(ZBKX) },
	/* aes64ds dsm im, es esm, ks1i ks2 */
	{ 0x3ac58533, E(ZKND) }, { 0x3ec58533, E(ZKND) }, { 0x30059513, E(ZKND) },
	{ 0x32c58533, E(ZKNE) }, { 0x36c58533, E(ZKNE) },
	{ 0x31a59513, 0, E(ZKNE) | E(ZKND) }, { 0x31059513, 0, E(ZKNE) | E(ZKND) },
	{ 0x7ec58533, 0, E(ZKNE) | E(ZKND) },
	/* sha256 sum0 sum1 sig0 sig1, sha512 the same */
	{ 0x10059513, E(ZKNH) }, { 0x10159513, E(ZKNH) }, { 0x10259513, E(ZKNH) },
	{ 0x10359513, E(ZKNH) }, { 0x10459513, E(ZKNH) }, { 0x10559513, E(ZKNH) },
	{ 0x10659513, E(ZKNH) }, { 0x10759513, E(ZKNH) },
	/* sm3p0 sm3p1, sm4ed sm4ks */
	{ 0x10859513, E(ZKSH) }, { 0x10959513, E(ZKSH) },
	{ 0x30c58533, E(ZKSED) }, { 0xf0c58533, E(ZKSED) }, { 0x34c58533, E(ZKSED) },
	{ 0xb4c58533, E(ZKSED) },
	/* flh fsh; fmv.x.h fmv.h.x; fcvt.s.h fcvt.h.s fcvt.d.h fcvt.h.d */
	{ 0x00041507, E(F), E(ZFH) | E(ZFHMIN) }, { 0x00a41127, E(F), E(ZFH) | E(ZFHMIN) },
	{ 0x00141507, E(F), E(ZFH) | E(ZFHMIN) }, { 0x00a411a7, E(F), E(ZFH) | E(ZFHMIN) },
	{ 0xe4058553, E(F), E(ZFH) | E(ZFHMIN) }, { 0xf4058553, E(F), E(ZFH) | E(ZFHMIN) },
	{ 0x4025f553, E(F), E(ZFH) | E(ZFHMIN) }, { 0x4405f553, E(F), E(ZFH) | E(ZFHMIN) },
	{ 0x4225f553, E(F) | E(D), E(ZFH) | E(ZFHMIN) },
	{ 0x4415f553, E(F) | E(D), E(ZFH) | E(ZFHMIN) },
	/* fadd.h fsub fmul fdiv fsqrt, the fused, fsgnj n x, fmin fmax */
	{ 0x04c5f553, E(F) | E(ZFH) }, { 0x0cc5f553, E(F) | E(ZFH) }, { 0x14c5f553, E(F) | E(ZFH) },
	{ 0x1cc5f553, E(F) | E(ZFH) }, { 0x5c05f553, E(F) | E(ZFH) }, { 0x6cc5f543, E(F) | E(ZFH) },
	{ 0x6cc5f547, E(F) | E(ZFH) }, { 0x6cc5f54b, E(F) | E(ZFH) }, { 0x6cc5f54f, E(F) | E(ZFH) },
	{ 0x24c58553, E(F) | E(ZFH) }, { 0x24c59553, E(F) | E(ZFH) }, { 0x24c5a553, E(F) | E(ZFH) },
	{ 0x2cc58553, E(F) | E(ZFH) }, { 0x2cc59553, E(F) | E(ZFH) },
	/* fle.h flt feq fclass, to integers, from integers */
	{ 0xa4c58553, E(F) | E(ZFH) }, { 0xa4c59553, E(F) | E(ZFH) }, { 0xa4c5a553, E(F) | E(ZFH) },
	{ 0xe4059553, E(F) | E(ZFH) },
	{ 0xc405f553, E(F) | E(ZFH) }, { 0xc415f553, E(F) | E(ZFH) }, { 0xc425f553, E(F) | E(ZFH) },
	{ 0xc435f553, E(F) | E(ZFH) }, { 0xd405f553, E(F) | E(ZFH) }, { 0xd415f553, E(F) | E(ZFH) },
	{ 0xd425f553, E(F) | E(ZFH) }, { 0xd435f553, E(F) | E(ZFH) },
	/* Zfa, single: fli fround froundnx fminm fmaxm fleq fltq */
	{ 0xf0108553, E(F) | E(ZFA) }, { 0x4045f553, E(F) | E(ZFA) }, { 0x4055f553, E(F) | E(ZFA) },
	{ 0x28c5a553, E(F) | E(ZFA) }, { 0x28c5b553, E(F) | E(ZFA) }, { 0xa0c5c553, E(F) | E(ZFA) },
	{ 0xa0c5d553, E(F) | E(ZFA) },
	/* double, and fcvtmod.w.d */
	{ 0xf2108553, E(D) | E(ZFA) }, { 0x4245f553, E(D) | E(ZFA) }, { 0x4255f553, E(D) | E(ZFA) },
	{ 0x2ac5a553, E(D) | E(ZFA) }, { 0x2ac5b553, E(D) | E(ZFA) }, { 0xa2c5c553, E(D) | E(ZFA) },
	{ 0xa2c5d553, E(D) | E(ZFA) }, { 0xc2859553, E(D) | E(ZFA) },
	/* half */
	{ 0xf4108553, E(F) | E(ZFH) | E(ZFA) }, { 0x4445f553, E(F) | E(ZFH) | E(ZFA) },
	{ 0x4455f553, E(F) | E(ZFH) | E(ZFA) }, { 0x2cc5a553, E(F) | E(ZFH) | E(ZFA) },
	{ 0x2cc5b553, E(F) | E(ZFH) | E(ZFA) }, { 0xa4c5c553, E(F) | E(ZFH) | E(ZFA) },
	{ 0xa4c5d553, E(F) | E(ZFH) | E(ZFA) },
	/* mop.r.0, .31; mop.rr.0, .7 */
	{ 0x81c5c573, E(ZIMOP) }, { 0xcdf5c573, E(ZIMOP) }, { 0x82c5c573, E(ZIMOP) },
	{ 0xcec5c573, E(ZIMOP) },
	/* amocas.w .d .q, a0, a2, (s0) */
	{ 0x28c4252f, E(A) | E(ZACAS) }, { 0x28c4352f, E(A) | E(ZACAS) },
	{ 0x28c4452f, E(A) | E(ZACAS) },
	/* 16-bit ones, each twice: c.lbu c.lhu c.lh c.sb c.sh, c.mul, zext.b sext.b zext.h ... */
	{ 0x80488048, E(C) | E(ZCB) }, { 0x84488448, E(C) | E(ZCB) }, { 0x84088408, E(C) | E(ZCB) },
	{ 0x88488848, E(C) | E(ZCB) }, { 0x8c088c08, E(C) | E(ZCB) },
	{ 0x9d4d9d4d, E(C) | E(ZCB) | E(M) }, { 0x9d619d61, E(C) | E(ZCB) },
	{ 0x9d659d65, E(C) | E(ZCB) | E(ZBB) },
	{ 0x9d699d69, E(C) | E(ZCB), E(ZBB) | E(ZBKB) },
	{ 0x9d6d9d6d, E(C) | E(ZCB) | E(ZBB) }, { 0x9d719d71, E(C) | E(ZCB) | E(ZBA) },
	{ 0x9d759d75, E(C) | E(ZCB) },
	/* c.mop.1, c.mop.15 */
	{ 0x60816081, E(C) | E(ZCMOP) }, { 0x67816781, E(C) | E(ZCMOP) },
};

struct machine {
	struct rv_hart *h;
	u8 *ram;
};

static enum cpu_phys_kind resolve(void *owner, u64 gpa, enum cpu_access access,
				  struct cpu_phys_page *page)
{
	struct machine *m = owner;

	if (gpa >= RAM_SIZE)
		return CPU_PHYS_MMIO;
	page->host = m->ram + gpa;
	page->writable = true;
	return CPU_PHYS_RAM;
}

static const struct cpu_phys_ops phys = { .resolve = resolve };

static int setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct rv_hart_config cfg = { .extensions = RV_EXT_ALL, .phys = &phys, .owner = m };

	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(m->ram, MAP_FAILED);
	m->h = rv_hart_create(&cfg);
	assert_non_null(m->h);
	rv_hart_set_csr(m->h, CSR_SSTATUS, 3 << 13);
	rv_hart_set_csr(m->h, CSR_STVEC, VECTOR);
	memcpy(m->ram + VECTOR, &(u32){ ECALL }, 4);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct machine *m = *state;

	rv_hart_destroy(m->h);
	munmap(m->ram, RAM_SIZE);
	free(m);
	return 0;
}

/* Runs the instruction, then an ecall. True: it was one; false: illegal, with what belongs to it. */
static bool is_there(struct machine *m, u32 word, u64 extensions)
{
	const u32 prog[] = { word, ECALL };
	u64 cause, tval;

	memcpy(m->ram + 0x1000, prog, sizeof(prog));
	rv_hart_set_extensions(m->h, extensions);
	rv_hart_set_pc(m->h, 0x1000);
	rv_hart_set_x(m->h, S0, DATA);
	for (unsigned i = 9; i < 16; i++)
		rv_hart_set_x(m->h, i, DATA);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	if (rv_hart_get_pc(m->h) == 0x1004)
		return true;
	assert_int_equal(rv_hart_get_pc(m->h), VECTOR);
	rv_hart_get_csr(m->h, CSR_SCAUSE, &cause);
	rv_hart_get_csr(m->h, CSR_STVAL, &tval);
	assert_int_equal(cause, 2);
	assert_int_equal(tval, (word & 3) == 3 ? word : (u16)word);
	return false;
}

static void expect(struct machine *m, const struct insn *i, u64 extensions, bool want)
{
	if (is_there(m, i->word, extensions) != want)
		fail_msg("0x%08x is %s with extensions 0x%llx", i->word,
			 want ? "illegal" : "there", (unsigned long long)extensions);
}

static void each_instruction_needs_its_extension_and_no_other(void **state)
{
	struct machine *m = *state;

	for (size_t n = 0; n < ARRAY_SIZE(insns); n++) {
		const struct insn *i = &insns[n];

		expect(m, i, RV_EXT_ALL, true);
		expect(m, i, 0, false);
		expect(m, i, RV_EXT_ALL & ~i->any, !i->any);
		/* One that is needed taken away; only those given; each of the alternatives alone. */
		for (unsigned e = 0; e < RV_EXT_COUNT; e++) {
			if (i->all & BIT(e)) {
				expect(m, i, RV_EXT_ALL & ~BIT(e), false);
				expect(m, i, (i->all | i->any) & ~BIT(e), false);
			}
			if (i->any & BIT(e))
				expect(m, i, i->all | BIT(e), true);
		}
		if (!i->any)
			expect(m, i, i->all, true);
	}
}

static void *run_small(void *arg)
{
	struct machine *m = arg;

	for (size_t n = 0; n < ARRAY_SIZE(insns); n++) {
		const u32 prog[] = {
			insns[n].word,
			0xfff28293,	/* addi t0, t0, -1 */
			0xfe029ce3,	/* bnez t0, .-8 */
			ECALL,
		};
		enum rv_exit reason;

		memcpy(m->ram + 0x1000, prog, sizeof(prog));
		rv_hart_set_pc(m->h, 0x1000);
		rv_hart_set_x(m->h, T0, 20000);
		do {
			for (unsigned i = 8; i < 16; i++)
				rv_hart_set_x(m->h, i, DATA);
			reason = rv_hart_run(m->h)->reason;
		} while (reason == RV_EXIT_KICK);
		if (reason != RV_EXIT_ECALL || rv_hart_get_pc(m->h) != 0x100c)
			return (void *)&insns[n];
	}
	return NULL;
}

/* As in test_hart.c: 20,000 frames that an op leaves behind do not fit. */
static void ops_leave_no_frames_on_the_stack(void **state)
{
	pthread_attr_t attr;
	pthread_t t;
	const struct insn *bad;

	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstacksize(&attr, 128 << 10), 0);
	assert_int_equal(pthread_create(&t, &attr, run_small, *state), 0);
	pthread_attr_destroy(&attr);
	pthread_join(t, (void **)&bad);
	if (bad)
		fail_msg("0x%08x did not run through", bad->word);
}

/* The entropy source: an exit that names what is written, answered with what is read. */
static void seed_exits_and_completes(void **state)
{
	struct machine *m = *state;
	const struct rv_exit_info *x;
	static const struct {
		u32 word;
		u64 value, mask;
	} cases[] = {
		{ 0x01559573, 0x1234, ~0ull },		/* csrrw a0, seed, a1 */
		{ 0x0155a573, ~0ull, 0x1234 },		/* csrrs */
		{ 0x0155b573, 0, 0x1234 },		/* csrrc */
		{ 0x0151d573, 3, ~0ull },		/* csrrwi a0, seed, 3 */
		{ 0x0151e573, ~0ull, 3 },		/* csrrsi */
		{ 0x0151f573, 0, 3 },			/* csrrci */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const u32 prog[] = { cases[i].word, ECALL };

		memcpy(m->ram + 0x1000, prog, sizeof(prog));
		rv_hart_set_pc(m->h, 0x1000);
		rv_hart_set_x(m->h, 11, 0x1234);
		x = rv_hart_run(m->h);
		assert_int_equal(x->reason, RV_EXIT_CSR);
		assert_int_equal(x->csr.num, 0x015);
		assert_int_equal(x->csr.new_value, cases[i].value);
		assert_int_equal(x->csr.write_mask, cases[i].mask);
		rv_hart_complete_csr(m->h, 0x8000abcd);
		rv_hart_complete_csr(m->h, 1);		/* once only */
		assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
		assert_int_equal(rv_hart_get_x(m->h, 10), 0x8000abcd);
	}
	assert_false(is_there(m, 0x01559573, RV_EXT_ALL & ~E(ZKR)));
	assert_false(is_there(m, 0x01502573, RV_EXT_ALL));	/* csrr: reads alone */
}

/*
 * Vector instructions by SEW: at 8 (but for integers' conversions) a floating point one is
 * reserved, at 16 it is Zvfh's, two are also Zvfhmin's, and those between singles and 16-bit
 * integers, and all of 32 and 64, are V's.
 */
static void half_precision_vectors_need_their_extension(void **state)
{
	struct machine *m = *state;
	enum { NO, V, ZVFH, ZVFHMIN };
	static const struct {
		u32 word;
		u8 sew[4];
	} cases[] = {
		/* vd v8, vs2 v16, vs1 or fs1 24: vfadd.vv .vf, vmfeq.vv, vfmerge.vfm, vfmv.v.f */
		{ 0x030c1457, { NO, ZVFH, V, V } }, { 0x030c5457, { NO, ZVFH, V, V } },
		{ 0x630c1457, { NO, ZVFH, V, V } }, { 0x5d0c5457, { NO, ZVFH, V, V } },
		{ 0x5e0c5457, { NO, ZVFH, V, V } },
		/* vfredosum.vs, vfwadd.vv .vf .wv, vfwredosum.vs, vfmacc.vv, vfwmacc.vv */
		{ 0x0f0c1457, { NO, ZVFH, V, V } }, { 0xc30c1457, { NO, ZVFH, V, NO } },
		{ 0xc30c5457, { NO, ZVFH, V, NO } }, { 0xd30c1457, { NO, ZVFH, V, NO } },
		{ 0xcf0c1457, { NO, ZVFH, V, NO } }, { 0xb30c1457, { NO, ZVFH, V, V } },
		{ 0xf30c1457, { NO, ZVFH, V, NO } },
		/* vfslide1up.vf, vfslide1down.vf, vfmv.f.s, vfmv.s.f */
		{ 0x3b0c5457, { NO, ZVFH, V, V } }, { 0x3f0c5457, { NO, ZVFH, V, V } },
		{ 0x43001457, { NO, ZVFH, V, V } }, { 0x420c5457, { NO, ZVFH, V, V } },
		/* vfsqrt.v vfrsqrt7.v vfrec7.v vfclass.v, vfcvt.xu.f.v .f.x.v .rtz.x.f.v */
		{ 0x4f001457, { NO, ZVFH, V, V } }, { 0x4f021457, { NO, ZVFH, V, V } },
		{ 0x4f029457, { NO, ZVFH, V, V } }, { 0x4f081457, { NO, ZVFH, V, V } },
		{ 0x4b001457, { NO, ZVFH, V, V } }, { 0x4b019457, { NO, ZVFH, V, V } },
		{ 0x4b039457, { NO, ZVFH, V, V } },
		/* vfwcvt.xu.f.v .x.f .f.xu .f.x .f.f .rtz.xu.f .rtz.x.f */
		{ 0x4b041457, { NO, ZVFH, V, NO } }, { 0x4b049457, { NO, ZVFH, V, NO } },
		{ 0x4b051457, { ZVFH, V, V, NO } }, { 0x4b059457, { ZVFH, V, V, NO } },
		{ 0x4b061457, { NO, ZVFHMIN, V, NO } }, { 0x4b071457, { NO, ZVFH, V, NO } },
		{ 0x4b079457, { NO, ZVFH, V, NO } },
		/* vfncvt.xu.f.w .x.f .f.xu .f.x .f.f .rod.f.f .rtz.xu.f .rtz.x.f */
		{ 0x4b081457, { ZVFH, V, V, NO } }, { 0x4b089457, { ZVFH, V, V, NO } },
		{ 0x4b091457, { NO, ZVFH, V, NO } }, { 0x4b099457, { NO, ZVFH, V, NO } },
		{ 0x4b0a1457, { NO, ZVFHMIN, V, NO } }, { 0x4b0a9457, { NO, ZVFH, V, NO } },
		{ 0x4b0b1457, { ZVFH, V, V, NO } }, { 0x4b0b9457, { ZVFH, V, V, NO } },
		/* Nothing of half precision: vadd.vv, vle16.v v8, (s0), vmv.x.s s0, vslide1up.vx */
		{ 0x030c0457, { V, V, V, V } }, { 0x02045407, { V, V, V, V } },
		{ 0x43002457, { V, V, V, V } }, { 0x3b0c6457, { V, V, V, V } },
	};

	for (size_t n = 0; n < ARRAY_SIZE(cases); n++) {
		for (unsigned sew = 0; sew < 4; sew++) {
			const struct insn i = { cases[n].word };
			unsigned who = cases[n].sew[sew];
			bool fp = (i.word & 0x307f) == 0x1057;	/* OPFVV, OPFVF */
			bool have = who != NO, mere = who == V, min = mere || who == ZVFHMIN;
			const u64 halves = E(ZVFH) | E(ZVFHMIN), rest = RV_EXT_ALL & ~halves;

			/* A trap clears nothing of this, but FS and VS are dirty then. */
			rv_hart_set_csr(m->h, CSR_SSTATUS, 3 << 13 | 3 << 9);
			rv_hart_set_csr(m->h, CSR_VTYPE, sew << 3);
			rv_hart_set_csr(m->h, CSR_VL, 1);
			expect(m, &i, RV_EXT_ALL, have);
			expect(m, &i, rest, mere);
			expect(m, &i, rest | E(ZVFHMIN), min);
			expect(m, &i, rest | E(ZVFH), have);
			expect(m, &i, RV_EXT_ALL & ~E(V), false);
			expect(m, &i, halves, false);
			rv_hart_set_csr(m->h, CSR_SSTATUS, 3 << 13);
			expect(m, &i, RV_EXT_ALL, false);
			rv_hart_set_csr(m->h, CSR_SSTATUS, 3 << 9);
			expect(m, &i, RV_EXT_ALL, have && !fp);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_instruction_needs_its_extension_and_no_other,
						setup, teardown),
		cmocka_unit_test_setup_teardown(half_precision_vectors_need_their_extension, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ops_leave_no_frames_on_the_stack, setup, teardown),
		cmocka_unit_test_setup_teardown(seed_exits_and_completes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
