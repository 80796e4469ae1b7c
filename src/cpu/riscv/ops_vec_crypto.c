// SPDX-License-Identifier: MIT
/*
 * Vector cryptography (manual "RISC-V Cryptography Extensions Volume II", version 1.0): Zvkg,
 * Zvkned, Zvknha, Zvknhb, Zvksed, Zvksh.
 *
 * A kernel goes by element groups: of four elements, of eight for SM3. Whatever is no whole group
 * has been refused before. There are no masks. An S-box is read as a whole for each byte, so that
 * no time depends on data (Zvkt).
 */
#include <string.h>

#include "cpu/riscv/vec_kernel.h"
#include "cpu/riscv/impl.h"
#include "cpu/riscv/vec_sbox.h"

#define GROUPS(n, stmt) \
	for (u32 g = c->vstart / (n); g < c->vl / (n); g++) { stmt; }

static inline u32 rol32(u32 v, unsigned n)
{
	return v << (n & 31) | v >> (-n & 31);
}

static inline u64 ror64(u64 v, unsigned n)
{
	return v >> n | v << (64 - n);
}

/* Every entry is looked at. */
static void substitute(u8 *bytes, unsigned n, const u8 *box)
{
	u8 out[16] = { 0 };

	for (unsigned x = 0; x < 256; x++)
		for (unsigned i = 0; i < n; i++)
			out[i] |= box[x] & (u8)-(bytes[i] == x);
	memcpy(bytes, out, n);
}

static u32 substitute32(u32 v, const u8 *box)
{
	substitute((u8 *)&v, 4, box);
	return v;
}

/* ------------------------------------------------------------------- AES */

/* Byte r + 4 * col of the state moves by r columns; the inverse the other way. */
static void shift_rows(u8 *s, bool inverse)
{
	u8 t[16];

	for (unsigned i = 0; i < 16; i++) {
		unsigned from = (i + 4 * (i & 3)) & 15;

		if (inverse)
			t[from] = s[i];
		else
			t[i] = s[from];
	}
	memcpy(s, t, 16);
}

static u8 times2(u8 a)
{
	return (u8)(a << 1 ^ (0x1b & -(a >> 7)));
}

static void mix_columns(u8 *s)
{
	for (unsigned col = 0; col < 16; col += 4) {
		u8 *p = s + col, all = p[0] ^ p[1] ^ p[2] ^ p[3], first = p[0];

		for (unsigned r = 0; r < 4; r++)
			p[r] ^= all ^ times2(p[r] ^ (r == 3 ? first : p[r + 1]));
	}
}

/* By the forward transform: its cube is its inverse. */
static void unmix_columns(u8 *s)
{
	mix_columns(s);
	mix_columns(s);
	mix_columns(s);
}

static void add_key(u8 *s, const u8 *key)
{
	for (unsigned i = 0; i < 16; i++)
		s[i] ^= key[i];
}

#define AES(name, ...) \
	static void aes_##name(u8 *s, const u8 *key) \
	{ \
		__VA_ARGS__ \
	} \
	static void v_aes##name##_vv(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		GROUPS(4, aes_##name(c->vd + 16 * g, c->vs2 + 16 * g)) \
	} \
	static void v_aes##name##_vs(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		GROUPS(4, aes_##name(c->vd + 16 * g, c->vs2)) \
	}
AES(em, substitute(s, 16, aes_sbox); shift_rows(s, false); mix_columns(s); add_key(s, key);)
AES(ef, substitute(s, 16, aes_sbox); shift_rows(s, false); add_key(s, key);)
AES(dm, shift_rows(s, true); substitute(s, 16, aes_inverse); add_key(s, key); unmix_columns(s);)
AES(df, shift_rows(s, true); substitute(s, 16, aes_inverse); add_key(s, key);)

static void v_aesz_vs(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(4, add_key(c->vd + 16 * g, c->vs2))
}

static u32 round_constant(unsigned r)
{
	u8 v = 1;

	while (r--)
		v = times2(v);
	return v;
}

static void v_aeskf1(struct rv_hart *h, const struct rv_vctx *c)
{
	unsigned rnd = c->rs1 & 15;

	if (rnd > 10 || !rnd)
		rnd ^= 8;
	GROUPS(4,
		u32 *d = (u32 *)c->vd + 4 * g;
		const u32 *k = (const u32 *)c->vs2 + 4 * g;
		u32 w = substitute32(rol32(k[3], 24), aes_sbox) ^ round_constant(rnd - 1);
		for (unsigned i = 0; i < 4; i++)
			d[i] = w ^= k[i])
}

static void v_aeskf2(struct rv_hart *h, const struct rv_vctx *c)
{
	unsigned rnd = c->rs1 & 15;

	if (rnd < 2 || rnd > 14)
		rnd ^= 8;
	GROUPS(4,
		u32 *d = (u32 *)c->vd + 4 * g;
		u32 last = ((const u32 *)c->vs2)[4 * g + 3];
		u32 w = rnd & 1 ? substitute32(last, aes_sbox) :
			substitute32(rol32(last, 24), aes_sbox) ^ round_constant((rnd >> 1) - 1);
		for (unsigned i = 0; i < 4; i++)
			d[i] = w ^= d[i])
}

/* ----------------------------------------------------------------- GHASH */

static inline u64 brev8(u64 v)
{
	v = (v & 0x5555555555555555) << 1 | (v >> 1 & 0x5555555555555555);
	v = (v & 0x3333333333333333) << 2 | (v >> 2 & 0x3333333333333333);
	return (v & 0x0f0f0f0f0f0f0f0f) << 4 | (v >> 4 & 0x0f0f0f0f0f0f0f0f);
}

/* y = y * key in GF(2^128), with the bits of each byte as GCM has them: reversed. */
static void gmul(u64 *y, const u64 *key)
{
	u128 s = (u128)brev8(y[1]) << 64 | brev8(y[0]), k = (u128)brev8(key[1]) << 64 | brev8(key[0]);
	u128 z = 0;

	for (unsigned i = 0; i < 128; i++) {
		u128 top = -(k >> 127);

		z ^= k & -(s >> i & 1);
		k = k << 1 ^ (top & 0x87);
	}
	y[0] = brev8((u64)z);
	y[1] = brev8((u64)(z >> 64));
}

static void v_gmul(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(4,
		u64 key[2];
		memcpy(key, c->vs2 + 16 * g, 16);
		gmul((u64 *)c->vd + 2 * g, key))
}

static void v_ghsh(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(4,
		u64 *y = (u64 *)c->vd + 2 * g;
		const u64 *x = (const u64 *)c->vs1 + 2 * g;
		u64 key[2];
		memcpy(key, c->vs2 + 16 * g, 16);
		y[0] ^= x[0];
		y[1] ^= x[1];
		gmul(y, key))
}

/* ----------------------------------------------------------------- SHA-2 */

#define ROR32(v, n) rol32(v, 32 - (n))
#define SHA2(T, R, A0, A1, A2, B0, B1, B2, C0, C1, C2, D0, D1, D2) \
	static inline T sum0_##T(T x) { return R(x, A0) ^ R(x, A1) ^ R(x, A2); } \
	static inline T sum1_##T(T x) { return R(x, B0) ^ R(x, B1) ^ R(x, B2); } \
	static inline T sig0_##T(T x) { return R(x, C0) ^ R(x, C1) ^ x >> C2; } \
	static inline T sig1_##T(T x) { return R(x, D0) ^ R(x, D1) ^ x >> D2; } \
	static void v_sha2ms_##T(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		GROUPS(4, \
			T *d = (T *)c->vd + 4 * g; \
			const T *a = (const T *)c->vs2 + 4 * g; \
			const T *b = (const T *)c->vs1 + 4 * g; \
			T w16 = sig1_##T(b[2]) + a[1] + sig0_##T(d[1]) + d[0]; \
			T w17 = sig1_##T(b[3]) + a[2] + sig0_##T(d[2]) + d[1]; \
			T w18 = sig1_##T(w16) + a[3] + sig0_##T(d[3]) + d[2]; \
			T w19 = sig1_##T(w17) + b[0] + sig0_##T(a[0]) + d[3]; \
			d[0] = w16; d[1] = w17; d[2] = w18; d[3] = w19) \
	} \
	/* Two rounds; w: the message's words with their constants added. */ \
	static inline void sha2_rounds_##T(T *d, const T *abef, const T *w) \
	{ \
		T a = abef[3], b = abef[2], cc = d[3], dd = d[2], e = abef[1], f = abef[0]; \
		T gg = d[1], hh = d[0]; \
		for (unsigned i = 0; i < 2; i++) { \
			T t1 = hh + sum1_##T(e) + ((e & f) ^ (~e & gg)) + w[i]; \
			T t2 = sum0_##T(a) + ((a & b) ^ (a & cc) ^ (b & cc)); \
			hh = gg; gg = f; f = e; e = dd + t1; dd = cc; cc = b; b = a; a = t1 + t2; \
		} \
		d[0] = f; d[1] = e; d[2] = b; d[3] = a; \
	} \
	static void v_sha2cl_##T(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		GROUPS(4, sha2_rounds_##T((T *)c->vd + 4 * g, (const T *)c->vs2 + 4 * g, \
					  (const T *)c->vs1 + 4 * g)) \
	} \
	static void v_sha2ch_##T(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		GROUPS(4, sha2_rounds_##T((T *)c->vd + 4 * g, (const T *)c->vs2 + 4 * g, \
					  (const T *)c->vs1 + 4 * g + 2)) \
	}
SHA2(u32, ROR32, 2, 13, 22, 6, 11, 25, 7, 18, 3, 17, 19, 10)
SHA2(u64, ror64, 28, 34, 39, 14, 18, 41, 1, 8, 7, 19, 61, 6)

/* ------------------------------------------------------------------- SM4 */

/* Byte j of constant i is 7 * (4 i + j), the first byte on top. */
static u32 sm4_constant(unsigned i)
{
	u32 v = 0;

	for (unsigned j = 0; j < 4; j++)
		v = v << 8 | (u8)(7 * (4 * i + j));
	return v;
}

static void v_sm4k(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(4,
		u32 k[8];
		memcpy(k, c->vs2 + 16 * g, 16);
		for (unsigned i = 0; i < 4; i++) {
			u32 s = substitute32(k[i + 1] ^ k[i + 2] ^ k[i + 3] ^
					     sm4_constant(4 * (c->rs1 & 7u) + i), sm4_sbox);
			k[i + 4] = k[i] ^ s ^ rol32(s, 13) ^ rol32(s, 23);
		}
		memcpy(c->vd + 16 * g, k + 4, 16))
}

static void sm4_rounds(u8 *state, const u8 *key)
{
	u32 x[8], k[4];

	memcpy(x, state, 16);
	memcpy(k, key, 16);
	for (unsigned i = 0; i < 4; i++) {
		u32 s = substitute32(x[i + 1] ^ x[i + 2] ^ x[i + 3] ^ k[i], sm4_sbox);

		x[i + 4] = x[i] ^ s ^ rol32(s, 2) ^ rol32(s, 10) ^ rol32(s, 18) ^ rol32(s, 24);
	}
	memcpy(state, x + 4, 16);
}

static void v_sm4r_vv(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(4, sm4_rounds(c->vd + 16 * g, c->vs2 + 16 * g))
}

static void v_sm4r_vs(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(4, sm4_rounds(c->vd + 16 * g, c->vs2))
}

/* ------------------------------------------------------------------- SM3 */

static inline u32 sm3_p0(u32 x)
{
	return x ^ rol32(x, 9) ^ rol32(x, 17);
}

static inline u32 sm3_p1(u32 x)
{
	return x ^ rol32(x, 15) ^ rol32(x, 23);
}

static void load_swapped(u32 *to, const u8 *from, unsigned n)
{
	memcpy(to, from, 4 * n);
	for (unsigned i = 0; i < n; i++)
		to[i] = __builtin_bswap32(to[i]);
}

static void v_sm3me(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(8,
		u32 w[24];
		load_swapped(w, c->vs1 + 32 * g, 8);
		load_swapped(w + 8, c->vs2 + 32 * g, 8);
		for (unsigned j = 16; j < 24; j++)
			w[j] = sm3_p1(w[j - 16] ^ w[j - 9] ^ rol32(w[j - 3], 15)) ^ rol32(w[j - 13], 7) ^
			       w[j - 6];
		load_swapped((u32 *)c->vd + 8 * g, (const u8 *)(w + 16), 8))
}

/* Rounds 2 * n and 2 * n + 1. The state's registers leave with their neighbours' old values. */
static void sm3_rounds(u32 *s, const u32 *w, unsigned n)
{
	u32 a = s[0], b = s[1], cc = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];

	for (unsigned j = 2 * n; j < 2 * n + 2; j++) {
		u32 t = j < 16 ? 0x79cc4519 : 0x7a879d8a;
		u32 ss1 = rol32(rol32(a, 12) + e + rol32(t, j), 7), ss2 = ss1 ^ rol32(a, 12);
		u32 ff = j < 16 ? a ^ b ^ cc : (a & b) | (a & cc) | (b & cc);
		u32 gg = j < 16 ? e ^ f ^ g : (e & f) | (~e & g);
		u32 tt1 = ff + d + ss2 + (w[j & 1] ^ w[(j & 1) + 4]), tt2 = gg + h + ss1 + w[j & 1];

		d = cc;
		cc = rol32(b, 9);
		b = a;
		a = tt1;
		h = g;
		g = rol32(f, 19);
		f = e;
		e = sm3_p0(tt2);
	}
	s[0] = a; s[1] = b; s[2] = cc; s[3] = d; s[4] = e; s[5] = f; s[6] = g; s[7] = h;
}

static void v_sm3c(struct rv_hart *h, const struct rv_vctx *c)
{
	GROUPS(8,
		u32 s[8];
		u32 w[8];
		load_swapped(s, c->vd + 32 * g, 8);
		load_swapped(w, c->vs2 + 32 * g, 8);
		sm3_rounds(s, w, c->rs1);
		load_swapped((u32 *)c->vd + 8 * g, (const u8 *)s, 8))
}

/* ------------------------------------------------------------- the table */

#define W32(n) { NULL, NULL, n, NULL }
#define AES_(sub, n) \
	{ 0x28, OPP, sub, VF_GROUP_VI, VX_VM1, RV_EXT_ZVKNED, W32(v_aes##n##_vv) }, \
	{ 0x29, OPP, sub, VF_GROUP_VS, VX_VM1, RV_EXT_ZVKNED, W32(v_aes##n##_vs) }
#define SHA_(f6, n) \
	{ f6, OPP, -1, VF_GROUP_VV, VX_VM1 | VX_APART, RV_EXT_ZVKNHB, \
	  { NULL, NULL, v_##n##_u32, v_##n##_u64 } }, \
	{ f6, OPP, -1, VF_GROUP_VV, VX_VM1 | VX_APART, RV_EXT_ZVKNHA, W32(v_##n##_u32) }

static const struct rv_vinsn table[] = {
	AES_(0, dm), AES_(1, df), AES_(2, em), AES_(3, ef),
	{ 0x29, OPP, 7, VF_GROUP_VS, VX_VM1, RV_EXT_ZVKNED, W32(v_aesz_vs) },
	{ 0x22, OPP, -1, VF_GROUP_VI, VX_VM1, RV_EXT_ZVKNED, W32(v_aeskf1) },
	{ 0x2a, OPP, -1, VF_GROUP_VI, VX_VM1, RV_EXT_ZVKNED, W32(v_aeskf2) },
	{ 0x28, OPP, 17, VF_GROUP_VI, VX_VM1, RV_EXT_ZVKG, W32(v_gmul) },
	{ 0x2c, OPP, -1, VF_GROUP_VV, VX_VM1, RV_EXT_ZVKG, W32(v_ghsh) },
	SHA_(0x2d, sha2ms), SHA_(0x2e, sha2ch), SHA_(0x2f, sha2cl),
	{ 0x21, OPP, -1, VF_GROUP_VI, VX_VM1, RV_EXT_ZVKSED, W32(v_sm4k) },
	{ 0x28, OPP, 16, VF_GROUP_VI, VX_VM1, RV_EXT_ZVKSED, W32(v_sm4r_vv) },
	{ 0x29, OPP, 16, VF_GROUP_VS, VX_VM1, RV_EXT_ZVKSED, W32(v_sm4r_vs) },
	{ 0x20, OPP, -1, VF_GROUP_VV, VX_VM1 | VX_GROUP8, RV_EXT_ZVKSH, W32(v_sm3me) },
	{ 0x2b, OPP, -1, VF_GROUP_VI, VX_VM1 | VX_GROUP8 | VX_APART, RV_EXT_ZVKSH, W32(v_sm3c) },
};

const struct rv_vtable rv_vec_crypto_table = { table, ARRAY_SIZE(table) };
