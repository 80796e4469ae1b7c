// SPDX-License-Identifier: MIT
/*
 * Zfa in single and double precision; half is in ops_half.c.
 */
#include "cpu/riscv/ops_fp.h"

PLAIN(fli_s, sf32_box(sf32_constant(op->rs1)))
PLAIN(fli_d, sf64_constant(op->rs1))
TO_F(fround_s, BOX32, u32, sf32_round(S1, false, RM, &fl))
TO_F(fround_d, BOX64, u64, sf64_round(D1, false, RM, &fl))
TO_F(froundnx_s, BOX32, u32, sf32_round(S1, true, RM, &fl))
TO_F(froundnx_d, BOX64, u64, sf64_round(D1, true, RM, &fl))
TO_F(fminm_s, BOX32, u32, sf32_minm(S1, S2, &fl))
TO_F(fminm_d, BOX64, u64, sf64_minm(D1, D2, &fl))
TO_F(fmaxm_s, BOX32, u32, sf32_maxm(S1, S2, &fl))
TO_F(fmaxm_d, BOX64, u64, sf64_maxm(D1, D2, &fl))
TO_X(fleq_s, u32, u32, sf32_leq(S1, S2, &fl))
TO_X(fleq_d, u32, u32, sf64_leq(D1, D2, &fl))
TO_X(fltq_s, u32, u32, sf32_ltq(S1, S2, &fl))
TO_X(fltq_d, u32, u32, sf64_ltq(D1, D2, &fl))
TO_X(fcvtmod_w_d, s32, s32, sf64_to_s32_mod(D1, &fl))
