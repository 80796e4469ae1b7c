// SPDX-License-Identifier: MIT
/*
 * Cryptography in constant time; crypto.h says what that means.
 *
 * Portable code works on the eight bytes of a u64 side by side ("lanes"): a bit of each lane,
 * moved to the lane's lowest position and multiplied by a byte, gives that byte in the lanes
 * that had the bit, since no product carries into the next lane.
 *
 * On x86 the AES and carry-less multiplication instructions do the work where the machine has
 * them; they take no longer for one operand than for another.
 */
#include "cpu/riscv/crypto.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HOST_CRYPTO 1
#define host_target(t) __attribute__((target(t)))
#else
#define HOST_CRYPTO 0
#endif

bool rv_crypto_portable;

#define ONES 0x0101010101010101ull

/* ------------------------------------------------ GF(2^8), eight at a time */

/* The fields, as what x^8 is in them. */
enum { AES_X8 = 0x1b, SM4_X8 = 0xf5 };

/* b in the lanes where bit n of v is set. */
static inline u64 lanes_if(u64 v, unsigned n, u64 b)
{
	return (v >> n & ONES) * b;
}

/* Times x in each lane. */
static inline u64 gf_double(u64 v, u64 x8)
{
	return (v & 0x7f * ONES) << 1 ^ lanes_if(v, 7, x8);
}

static inline u64 gf_mul(u64 a, u64 b, u64 x8)
{
	u64 r = 0;

	for (unsigned n = 0; n < 8; n++) {
		r ^= a & lanes_if(b, n, 0xff);
		a = gf_double(a, x8);
	}
	return r;
}

/* Squaring is linear: bit n of a lane contributes x^2n. */
static inline u64 gf_square(u64 a, u64 x8)
{
	u64 r = 0, power = 1;

	for (unsigned n = 0; n < 8; n++) {
		r ^= lanes_if(a, n, power);
		power = gf_double(gf_double(power, x8), x8);
	}
	return r;
}

/* The inverse is the 254th power; that of 0 is 0, as S-boxes have it. */
static inline u64 gf_inverse(u64 a, u64 x8)
{
	u64 a2 = gf_square(a, x8), a3 = gf_mul(a2, a, x8);
	u64 a12 = gf_square(gf_square(a3, x8), x8), a15 = gf_mul(a12, a3, x8);
	u64 p = a15;

	for (unsigned i = 0; i < 4; i++)	/* to the 240th */
		p = gf_square(p, x8);
	return gf_mul(gf_mul(p, a12, x8), a2, x8);
}

/* Each lane rotated left by n. */
static inline u64 lanes_rol(u64 v, unsigned n)
{
	u64 low = ((1u << n) - 1) * ONES;

	return (v << n & ~low) | (v >> (8 - n) & low);
}

static inline u64 rotate_columns(u64 v, unsigned bits)
{
	u64 low = (0xffffffffu >> bits) * 0x100000001ull;

	return (v >> bits & low) | (v << (32 - bits) & ~low);
}

/* --------------------------------------------------------------- clmul */

static unsigned __int128 clmul_portable(u64 a, u64 b)
{
	unsigned __int128 r = 0;

	for (unsigned n = 0; n < 64; n++)
		r ^= (unsigned __int128)a << n & -(unsigned __int128)(b >> n & 1);
	return r;
}

#if HOST_CRYPTO
static bool host_has_clmul(void)
{
	return !rv_crypto_portable && __builtin_cpu_supports("pclmul") &&
	       __builtin_cpu_supports("sse4.1");
}

static host_target("pclmul,sse4.1") unsigned __int128 clmul_host(u64 a, u64 b)
{
	__m128i r = _mm_clmulepi64_si128(_mm_cvtsi64_si128((s64)a), _mm_cvtsi64_si128((s64)b), 0);

	return (unsigned __int128)(u64)_mm_extract_epi64(r, 1) << 64 | (u64)_mm_cvtsi128_si64(r);
}
#endif

unsigned __int128 rv_clmul(u64 a, u64 b)
{
#if HOST_CRYPTO
	if (likely(host_has_clmul()))
		return clmul_host(a, b);
#endif
	return clmul_portable(a, b);
}

/* ----------------------------------------------------------------- AES */

static u64 aes_sub_portable(u64 v)
{
	v = gf_inverse(v, AES_X8);
	return v ^ lanes_rol(v, 1) ^ lanes_rol(v, 2) ^ lanes_rol(v, 3) ^ lanes_rol(v, 4) ^
	       0x63 * ONES;
}

static u64 aes_inv_sub_portable(u64 v)
{
	v = lanes_rol(v, 1) ^ lanes_rol(v, 3) ^ lanes_rol(v, 6) ^ 0x05 * ONES;
	return gf_inverse(v, AES_X8);
}

u64 rv_aes_mix(u64 v)
{
	u64 next = rotate_columns(v, 8);

	return gf_double(v ^ next, AES_X8) ^ next ^ rotate_columns(v, 16) ^ rotate_columns(v, 24);
}

/* The inverse matrix is the forward one times (5, 0, 4, 0). */
u64 rv_aes_inv_mix(u64 v)
{
	u64 t = v ^ rotate_columns(v, 16);

	return rv_aes_mix(v ^ gf_double(gf_double(t, AES_X8), AES_X8));
}

/* Row r of column c comes from column c + r, modulo 4. */
static u64 shift_rows(u64 lo, u64 hi)
{
	u64 c0 = lo, c1 = lo >> 32, c2 = hi, c3 = hi >> 32;
	u64 a = (c0 & 0xff) | (c1 & 0xff00) | (c2 & 0xff0000) | (c3 & 0xff000000);
	u64 b = (c1 & 0xff) | (c2 & 0xff00) | (c3 & 0xff0000) | (c0 & 0xff000000);

	return a | b << 32;
}

/* And back: from column c - r. */
static u64 inv_shift_rows(u64 lo, u64 hi)
{
	u64 c0 = lo, c1 = lo >> 32, c2 = hi, c3 = hi >> 32;
	u64 a = (c0 & 0xff) | (c3 & 0xff00) | (c2 & 0xff0000) | (c1 & 0xff000000);
	u64 b = (c1 & 0xff) | (c0 & 0xff00) | (c3 & 0xff0000) | (c2 & 0xff000000);

	return a | b << 32;
}

#if HOST_CRYPTO
static bool host_has_aes(void)
{
	return !rv_crypto_portable && __builtin_cpu_supports("aes");
}

/* One of x86's rounds with a round key of zero; the low half of the next state. */
#define HOST_ROUND(name, insn) \
	static host_target("aes") u64 name(u64 lo, u64 hi) \
	{ \
		__m128i s = _mm_set_epi64x((s64)hi, (s64)lo); \
		return (u64)_mm_cvtsi128_si64(insn(s, _mm_setzero_si128())); \
	}
HOST_ROUND(host_esm, _mm_aesenc_si128)
HOST_ROUND(host_es, _mm_aesenclast_si128)
HOST_ROUND(host_dsm, _mm_aesdec_si128)
HOST_ROUND(host_ds, _mm_aesdeclast_si128)
#define USE_HOST(call) do { if (likely(host_has_aes())) return (call); } while (0)
#else
#define USE_HOST(call)
#endif

u64 rv_aes_sub(u64 v)
{
	return aes_sub_portable(v);
}

u64 rv_aes_inv_sub(u64 v)
{
	return aes_inv_sub_portable(v);
}

u64 rv_aes64_es(u64 lo, u64 hi)
{
	USE_HOST(host_es(lo, hi));
	return rv_aes_sub(shift_rows(lo, hi));
}

u64 rv_aes64_esm(u64 lo, u64 hi)
{
	USE_HOST(host_esm(lo, hi));
	return rv_aes_mix(rv_aes_sub(shift_rows(lo, hi)));
}

u64 rv_aes64_ds(u64 lo, u64 hi)
{
	USE_HOST(host_ds(lo, hi));
	return rv_aes_inv_sub(inv_shift_rows(lo, hi));
}

u64 rv_aes64_dsm(u64 lo, u64 hi)
{
	USE_HOST(host_dsm(lo, hi));
	return rv_aes_inv_mix(rv_aes_inv_sub(inv_shift_rows(lo, hi)));
}

/* The last round of AES-256's schedule (10) neither rotates nor has a constant. */
u64 rv_aes64_ks1i(u64 a, unsigned round)
{
	static const u8 constants[11] = { 1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36, 0 };
	u64 w = a >> 32;

	if (round < 10)
		w = w >> 8 | w << 24;
	w = (w & 0xffffffff) * 0x100000001;
	/* Four equal columns: shifting rows changes nothing. */
	w = rv_aes64_es(w, w) & 0xffffffff;
	return (w ^ constants[min(round, 10u)]) * 0x100000001;
}

u64 rv_aes64_ks2(u64 a, u64 b)
{
	u32 low = (u32)(a >> 32 ^ b);

	return low | (u64)(low ^ (u32)(b >> 32)) << 32;
}

/* ----------------------------------------------------------------- SM4 */

static u64 sm4_affine(u64 v)
{
	return v ^ lanes_rol(v, 1) ^ lanes_rol(v, 3) ^ lanes_rol(v, 6) ^ lanes_rol(v, 7) ^
	       0xd3 * ONES;
}

u64 rv_sm4_sub(u64 v)
{
	return sm4_affine(gf_inverse(sm4_affine(v), SM4_X8));
}

static u32 rol32(u32 v, unsigned n)
{
	return v << (n & 31) | v >> (-n & 31);
}

/* SM4's words are big-endian, registers have them in memory order. */
u32 rv_sm4_ed(u32 a, u32 b, unsigned byte)
{
	u32 s = (u32)(rv_sm4_sub(b >> 8 * byte) & 0xff) << 24;

	s ^= rol32(s, 2) ^ rol32(s, 10) ^ rol32(s, 18) ^ rol32(s, 24);
	return a ^ rol32(__builtin_bswap32(s), 8 * byte);
}

u32 rv_sm4_ks(u32 a, u32 b, unsigned byte)
{
	u32 s = (u32)(rv_sm4_sub(b >> 8 * byte) & 0xff) << 24;

	s ^= rol32(s, 13) ^ rol32(s, 23);
	return a ^ rol32(__builtin_bswap32(s), 8 * byte);
}
