/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic of the cryptography extensions (Zbkc, Zkn, Zks), apart from any hart: each
 * function is an instruction's, or what instructions are made of.
 *
 * Constant time (Zkt): no branch and no address here depends on an operand. So there are no
 * tables; S-boxes are computed, eight bytes at a time, as the inversion in GF(2^8) that they
 * are, or by the host's AES instructions.
 */
#ifndef SV_CPU_RISCV_CRYPTO_H
#define SV_CPU_RISCV_CRYPTO_H

#include "base/types.h"

/* For tests: leave the host's instructions alone. */
extern bool rv_crypto_portable;

/* The carry-less product. */
unsigned __int128 rv_clmul(u64 a, u64 b);

/* AES: eight bytes through the S-box, or back. Columns are 32 bits, row 0 in the lowest byte. */
u64 rv_aes_sub(u64 bytes);
u64 rv_aes_inv_sub(u64 bytes);
u64 rv_aes_mix(u64 columns);		/* MixColumns of two columns */
u64 rv_aes_inv_mix(u64 columns);

/* Columns 0 and 1 of the next state; hi are columns 2 and 3, lo 0 and 1. */
u64 rv_aes64_es(u64 lo, u64 hi);
u64 rv_aes64_esm(u64 lo, u64 hi);
u64 rv_aes64_ds(u64 lo, u64 hi);
u64 rv_aes64_dsm(u64 lo, u64 hi);
u64 rv_aes64_ks1i(u64 a, unsigned round);	/* round: 0 to 10 */
u64 rv_aes64_ks2(u64 a, u64 b);

/* SM4: four bytes through the S-box (eight, in fact); the instructions. */
u64 rv_sm4_sub(u64 bytes);
u32 rv_sm4_ed(u32 a, u32 b, unsigned byte);
u32 rv_sm4_ks(u32 a, u32 b, unsigned byte);

#endif
