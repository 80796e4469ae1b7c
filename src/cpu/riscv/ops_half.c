// SPDX-License-Identifier: MIT
/*
 * Half precision: Zfh, of which Zfhmin is the loads, stores, moves and conversions between
 * formats, and Zfa's instructions in this format. All through softfloat: hosts have no
 * arithmetic of this width to lean on.
 */
#include "cpu/riscv/ops_fp.h"

TO_F(fadd_h, BOX16, u16, sf16_add(H1, H2, RM, &fl))
TO_F(fsub_h, BOX16, u16, sf16_sub(H1, H2, RM, &fl))
TO_F(fmul_h, BOX16, u16, sf16_mul(H1, H2, RM, &fl))
TO_F(fdiv_h, BOX16, u16, sf16_div(H1, H2, RM, &fl))
TO_F(fsqrt_h, BOX16, u16, sf16_sqrt(H1, RM, &fl))
TO_F(fmadd_h, BOX16, u16, sf16_fma(H1, H2, H3, RM, &fl))
TO_F(fmsub_h, BOX16, u16, sf16_fma(H1, H2, H3 ^ SF16_SIGN, RM, &fl))
TO_F(fnmsub_h, BOX16, u16, sf16_fma(H1 ^ SF16_SIGN, H2, H3, RM, &fl))
TO_F(fnmadd_h, BOX16, u16, sf16_fma(H1 ^ SF16_SIGN, H2, H3 ^ SF16_SIGN, RM, &fl))
TO_F(fmin_h, BOX16, u16, sf16_min(H1, H2, &fl))
TO_F(fmax_h, BOX16, u16, sf16_max(H1, H2, &fl))
TO_X(feq_h, u32, u32, sf16_eq(H1, H2, &fl))
TO_X(flt_h, u32, u32, sf16_lt(H1, H2, &fl))
TO_X(fle_h, u32, u32, sf16_le(H1, H2, &fl))

PLAIN(fsgnj_h, sf16_box(sf16_sgnj(H1, H2)))
PLAIN(fsgnjn_h, sf16_box(sf16_sgnjn(H1, H2)))
PLAIN(fsgnjx_h, sf16_box(sf16_sgnjx(H1, H2)))
PLAIN(fmv_h_x, sf16_box((u16)h->x[op->rs1]))

RV_OP(fmv_x_h)
{
	h->x[op->rd] = (u64)(s64)(s16)h->f[op->rs1];
	NEXT;
}

RV_OP(fclass_h)
{
	h->x[op->rd] = sf16_classify(H1);
	NEXT;
}

TO_X(fcvt_w_h, s32, s32, sf16_to_s32(H1, RM, &fl))
TO_X(fcvt_wu_h, u32, s32, sf16_to_u32(H1, RM, &fl))
TO_X(fcvt_l_h, s64, s64, sf16_to_s64(H1, RM, &fl))
TO_X(fcvt_lu_h, u64, s64, sf16_to_u64(H1, RM, &fl))
TO_F(fcvt_h_w, BOX16, u16, sf16_from_s32((s32)h->x[op->rs1], RM, &fl))
TO_F(fcvt_h_wu, BOX16, u16, sf16_from_u32((u32)h->x[op->rs1], RM, &fl))
TO_F(fcvt_h_l, BOX16, u16, sf16_from_s64((s64)h->x[op->rs1], RM, &fl))
TO_F(fcvt_h_lu, BOX16, u16, sf16_from_u64(h->x[op->rs1], RM, &fl))
TO_F(fcvt_h_s, BOX16, u16, sf32_to_f16(S1, RM, &fl))
TO_F(fcvt_h_d, BOX16, u16, sf64_to_f16(D1, RM, &fl))
TO_F(fcvt_s_h, BOX32, u32, sf16_to_f32(H1, &fl))
TO_F(fcvt_d_h, BOX64, u64, sf16_to_f64(H1, &fl))

PLAIN(fli_h, sf16_box(sf16_constant(op->rs1)))
TO_F(fround_h, BOX16, u16, sf16_round(H1, false, RM, &fl))
TO_F(froundnx_h, BOX16, u16, sf16_round(H1, true, RM, &fl))
TO_F(fminm_h, BOX16, u16, sf16_minm(H1, H2, &fl))
TO_F(fmaxm_h, BOX16, u16, sf16_maxm(H1, H2, &fl))
TO_X(fleq_h, u32, u32, sf16_leq(H1, H2, &fl))
TO_X(fltq_h, u32, u32, sf16_ltq(H1, H2, &fl))
