/* SPDX-License-Identifier: MIT */
/* All tables of vector instructions; an op names its row by table << 16 | row. */
#ifndef SV_CPU_RISCV_VEC_TABLES_H
#define SV_CPU_RISCV_VEC_TABLES_H

#include "cpu/riscv/vec.h"

static const struct rv_vtable *const rv_vec_tables[] = {
	&rv_vec_int_table, &rv_vec_int2_table, &rv_vec_fixed_table, &rv_vec_fp_table,
	&rv_vec_perm_table, &rv_vec_bits_table, &rv_vec_crypto_table,
};
enum { RV_NR_VEC_TABLES = sizeof(rv_vec_tables) / sizeof(rv_vec_tables[0]) };

static inline const struct rv_vinsn *rv_vec_insn(s32 imm)
{
	return &rv_vec_tables[imm >> 16]->insn[imm & 0xffff];
}

#endif
