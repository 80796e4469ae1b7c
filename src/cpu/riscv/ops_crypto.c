// SPDX-License-Identifier: MIT
/*
 * The scalar cryptography extensions: Zbkb, Zbkc and Zbkx (what Zbb and Zbc do not have), Zknd,
 * Zkne, Zknh, Zksed, Zksh. All in constant time, see crypto.h.
 */
#include "cpu/riscv/crypto.h"
#include "cpu/riscv/impl.h"

#define A (h->x[op->rs1])
#define B (h->x[op->rs2])
#define NEXT return DISPATCH(h, op + 1)
#define SET(name, expr) RV_OP(name) { h->x[op->rd] = (u64)(expr); NEXT; }
#define SETW(name, expr) RV_OP(name) { h->x[op->rd] = (u64)(s64)(s32)(u32)(expr); NEXT; }

static inline u32 rol32(u32 v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static inline u32 ror32(u32 v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static inline u64 ror64(u64 v, unsigned n)
{
	return v >> n | v << (64 - n);
}

/* ------------------------------------------------------ Zbkb Zbkc Zbkx */

SET(pack, (u32)A | B << 32)
SET(packh, (u8)A | (u64)(u8)B << 8)
SETW(packw, (u16)A | (u32)B << 16)

static inline u64 brev8(u64 v)
{
	v = (v & 0x5555555555555555) << 1 | (v >> 1 & 0x5555555555555555);
	v = (v & 0x3333333333333333) << 2 | (v >> 2 & 0x3333333333333333);
	return (v & 0x0f0f0f0f0f0f0f0f) << 4 | (v >> 4 & 0x0f0f0f0f0f0f0f0f);
}
SET(brev8, brev8(A))

SET(clmul, rv_clmul(A, B))
SET(clmulh, rv_clmul(A, B) >> 64)
SET(clmulr, rv_clmul(A, B) >> 63)

static u64 xperm4(u64 table, u64 index)
{
	u64 r = 0;

	for (unsigned i = 0; i < 64; i += 4)
		r |= (table >> (index >> i & 15) * 4 & 15) << i;
	return r;
}
SET(xperm4, xperm4(A, B))

/* An index of 8 or more gives 0. */
static u64 xperm8(u64 table, u64 index)
{
	u64 r = 0;

	for (unsigned i = 0; i < 64; i += 8) {
		u64 n = index >> i & 255;
		u64 in = ((n >> 3) - 1) >> 63;	/* 1 if n < 8 */

		r |= (table >> (n & 7) * 8 & 255 & -in) << i;
	}
	return r;
}
SET(xperm8, xperm8(A, B))

/* ----------------------------------------------------- Zknd Zkne Zksed */

SET(aes64es, rv_aes64_es(A, B))
SET(aes64esm, rv_aes64_esm(A, B))
SET(aes64ds, rv_aes64_ds(A, B))
SET(aes64dsm, rv_aes64_dsm(A, B))
SET(aes64im, rv_aes_inv_mix(A))
SET(aes64ks1i, rv_aes64_ks1i(A, op->aux))
SET(aes64ks2, rv_aes64_ks2(A, B))
SETW(sm4ed, rv_sm4_ed((u32)A, (u32)B, op->aux))
SETW(sm4ks, rv_sm4_ks((u32)A, (u32)B, op->aux))

/* ---------------------------------------------------------- Zknh Zksh */

#define W ((u32)A)
SETW(sha256sig0, ror32(W, 7) ^ ror32(W, 18) ^ W >> 3)
SETW(sha256sig1, ror32(W, 17) ^ ror32(W, 19) ^ W >> 10)
SETW(sha256sum0, ror32(W, 2) ^ ror32(W, 13) ^ ror32(W, 22))
SETW(sha256sum1, ror32(W, 6) ^ ror32(W, 11) ^ ror32(W, 25))
SET(sha512sig0, ror64(A, 1) ^ ror64(A, 8) ^ A >> 7)
SET(sha512sig1, ror64(A, 19) ^ ror64(A, 61) ^ A >> 6)
SET(sha512sum0, ror64(A, 28) ^ ror64(A, 34) ^ ror64(A, 39))
SET(sha512sum1, ror64(A, 14) ^ ror64(A, 18) ^ ror64(A, 41))
SETW(sm3p0, W ^ rol32(W, 9) ^ rol32(W, 17))
SETW(sm3p1, W ^ rol32(W, 15) ^ rol32(W, 23))
