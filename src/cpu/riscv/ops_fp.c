// SPDX-License-Identifier: MIT
/*
 * Floating point, F and D.
 *
 * Arithmetic uses the host's where hostfp.h can prove that result and flags are the guest's
 * (fp_fast, see rv_fp_update()), and softfloat else. A block with floating point in it begins
 * it with fp_check, which is sstatus.FS's gate; so no op looks at FS itself.
 */
#include "cpu/fp/hostfp.h"
#include "cpu/riscv/ops_fp.h"

/* Not an instruction: FS must not be off; what follows may write FP state. */
RV_OP(fp_check)
{
	if (unlikely(!(h->sstatus & RV_SSTATUS_FS)))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	h->sstatus |= RV_SSTATUS_FS_DIRTY;
	NEXT;
}

/* The same where it does not. */
RV_OP(fp_check_clean)
{
	if (unlikely(!(h->sstatus & RV_SSTATUS_FS)))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	NEXT;
}

/*
 * Not an instruction: the next one rounds by frm, which must be a mode (frm is checked even
 * where the result is exact).
 */
RV_OP(fp_dynamic_rm)
{
	if (unlikely(h->frm > SF_RMM))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	NEXT;
}

/* Two-operand arithmetic. */
#define ARITH(name, sfx, bits, X1, X2) \
	SOFT(name##_##sfx, u##bits, sf##bits##_##name(X1, X2, RM, &fl)) \
	static sv_noinline const struct rv_op *slow_##name##_##sfx(struct rv_hart *h, const struct rv_op *op) \
	{ \
		h->f[op->rd] = BOX##bits(soft_##name##_##sfx(h, op)); \
		NEXT; \
	} \
	RV_OP(f##name##_##sfx) \
	{ \
		u##bits r; \
		if (unlikely(!FAST || !hf##bits##_##name(X1, X2, &r))) \
			return slow_##name##_##sfx(h, op); \
		h->f[op->rd] = BOX##bits(r); \
		NEXT; \
	}
#define ARITHS(name) ARITH(name, s, 32, S1, S2) ARITH(name, d, 64, D1, D2)
ARITHS(add)
ARITHS(sub)
ARITHS(mul)
ARITHS(div)

#define SQRT(sfx, bits, X1) \
	SOFT(sqrt_##sfx, u##bits, sf##bits##_sqrt(X1, RM, &fl)) \
	static sv_noinline const struct rv_op *slow_sqrt_##sfx(struct rv_hart *h, const struct rv_op *op) \
	{ \
		h->f[op->rd] = BOX##bits(soft_sqrt_##sfx(h, op)); \
		NEXT; \
	} \
	RV_OP(fsqrt_##sfx) \
	{ \
		u##bits r; \
		if (unlikely(!FAST || !hf##bits##_sqrt(X1, &r))) \
			return slow_sqrt_##sfx(h, op); \
		h->f[op->rd] = BOX##bits(r); \
		NEXT; \
	}
SQRT(s, 32, S1)
SQRT(d, 64, D1)

/* Fused: the signs that the four forms flip. */
#define FMA(name, sfx, bits, X1, X2, X3, neg1, neg3) \
	SOFT(name##_##sfx, u##bits, \
	     sf##bits##_fma(X1 ^ (neg1), X2, X3 ^ (neg3), RM, &fl)) \
	static sv_noinline const struct rv_op *slow_##name##_##sfx(struct rv_hart *h, const struct rv_op *op) \
	{ \
		h->f[op->rd] = BOX##bits(soft_##name##_##sfx(h, op)); \
		NEXT; \
	} \
	RV_OP(f##name##_##sfx) \
	{ \
		u##bits r; \
		if (unlikely(!FAST || !hf##bits##_fma(X1 ^ (neg1), X2, X3 ^ (neg3), &r))) \
			return slow_##name##_##sfx(h, op); \
		h->f[op->rd] = BOX##bits(r); \
		NEXT; \
	}
#define FMAS(name, n1, n3) \
	FMA(name, s, 32, S1, S2, S3, (n1) ? SF32_SIGN : 0, (n3) ? SF32_SIGN : 0) \
	FMA(name, d, 64, D1, D2, D3, (n1) ? SF64_SIGN : 0, (n3) ? SF64_SIGN : 0)
FMAS(madd, 0, 0)
FMAS(msub, 0, 1)
FMAS(nmsub, 1, 0)
FMAS(nmadd, 1, 1)

PLAIN(fsgnj_s, sf32_box(sf32_sgnj(S1, S2)))
PLAIN(fsgnjn_s, sf32_box(sf32_sgnjn(S1, S2)))
PLAIN(fsgnjx_s, sf32_box(sf32_sgnjx(S1, S2)))
PLAIN(fsgnj_d, sf64_sgnj(D1, D2))
PLAIN(fsgnjn_d, sf64_sgnjn(D1, D2))
PLAIN(fsgnjx_d, sf64_sgnjx(D1, D2))
PLAIN(fmv_w_x, sf32_box((u32)h->x[op->rs1]))
PLAIN(fmv_d_x, h->x[op->rs1])

TO_F(fmin_s, BOX32, u32, sf32_min(S1, S2, &fl))
TO_F(fmax_s, BOX32, u32, sf32_max(S1, S2, &fl))
TO_F(fmin_d, BOX64, u64, sf64_min(D1, D2, &fl))
TO_F(fmax_d, BOX64, u64, sf64_max(D1, D2, &fl))

/* Without a NaN a comparison raises nothing, and the order of the raw bits tells it. */
static inline s64 order32(u32 a)
{
	return a & SF32_SIGN ? -(s64)(a & ~SF32_SIGN) : (s64)a;
}

static inline s64 order64(u64 a)
{
	return a & SF64_SIGN ? -(s64)(a & ~SF64_SIGN) : (s64)a;
}

#define COMPARE(name, sfx, bits, X1, X2, how) \
	SOFT(f##name##_##sfx, u32, sf##bits##_##name(X1, X2, &fl)) \
	static sv_noinline const struct rv_op *slow_##name##_##sfx(struct rv_hart *h, const struct rv_op *op) \
	{ \
		h->x[op->rd] = soft_f##name##_##sfx(h, op); \
		NEXT; \
	} \
	RV_OP(f##name##_##sfx) \
	{ \
		u##bits a = X1, b = X2; \
		if (unlikely(sf##bits##_is_nan(a) || sf##bits##_is_nan(b))) \
			return slow_##name##_##sfx(h, op); \
		h->x[op->rd] = order##bits(a) how order##bits(b); \
		NEXT; \
	}
#define COMPARES(name, how) COMPARE(name, s, 32, S1, S2, how) COMPARE(name, d, 64, D1, D2, how)
COMPARES(eq, ==)
COMPARES(lt, <)
COMPARES(le, <=)

RV_OP(fclass_s)
{
	h->x[op->rd] = sf32_classify(S1);
	NEXT;
}

RV_OP(fclass_d)
{
	h->x[op->rd] = sf64_classify(D1);
	NEXT;
}

RV_OP(fmv_x_w)
{
	h->x[op->rd] = (u64)(s64)(s32)h->f[op->rs1];
	NEXT;
}

RV_OP(fmv_x_d)
{
	h->x[op->rd] = h->f[op->rs1];
	NEXT;
}

TO_X(fcvt_w_s, s32, s32, sf32_to_s32(S1, RM, &fl))
TO_X(fcvt_wu_s, u32, s32, sf32_to_u32(S1, RM, &fl))
TO_X(fcvt_l_s, s64, s64, sf32_to_s64(S1, RM, &fl))
TO_X(fcvt_lu_s, u64, s64, sf32_to_u64(S1, RM, &fl))
TO_X(fcvt_w_d, s32, s32, sf64_to_s32(D1, RM, &fl))
TO_X(fcvt_wu_d, u32, s32, sf64_to_u32(D1, RM, &fl))
TO_X(fcvt_l_d, s64, s64, sf64_to_s64(D1, RM, &fl))
TO_X(fcvt_lu_d, u64, s64, sf64_to_u64(D1, RM, &fl))
TO_F(fcvt_s_w, BOX32, u32, sf32_from_s32((s32)h->x[op->rs1], RM, &fl))
TO_F(fcvt_s_wu, BOX32, u32, sf32_from_u32((u32)h->x[op->rs1], RM, &fl))
TO_F(fcvt_s_l, BOX32, u32, sf32_from_s64((s64)h->x[op->rs1], RM, &fl))
TO_F(fcvt_s_lu, BOX32, u32, sf32_from_u64(h->x[op->rs1], RM, &fl))
/* Always exact, so the host's will do. */
PLAIN(fcvt_d_w, hf_double_bits((s32)h->x[op->rs1]))
PLAIN(fcvt_d_wu, hf_double_bits((u32)h->x[op->rs1]))
TO_F(fcvt_d_l, BOX64, u64, sf64_from_s64((s64)h->x[op->rs1], RM, &fl))
TO_F(fcvt_d_lu, BOX64, u64, sf64_from_u64(h->x[op->rs1], RM, &fl))
TO_F(fcvt_s_d, BOX32, u32, sf64_to_f32(D1, RM, &fl))
TO_F(fcvt_d_s, BOX64, u64, sf32_to_f64(S1, &fl))
