// SPDX-License-Identifier: MIT
/*
 * The engine's constant-time cryptography against the definitions: S-boxes by searching the
 * inverse, matrices entry by entry, products bit by bit. Once as the host does it, once by the
 * portable code. tests/guest/crypto-vectors.c has the published test vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/riscv/crypto.h"

static u64 state = 1;

static u64 rnd(void)
{
	u64 z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u8 gf_mul(u8 a, u8 b, unsigned poly)
{
	unsigned r = 0, wide = a;

	for (; b; b >>= 1, wide <<= 1) {
		if (wide & 0x100)
			wide ^= poly;
		if (b & 1)
			r ^= wide;
	}
	return (u8)r;
}

static u8 gf_inverse(u8 a, unsigned poly)
{
	for (unsigned b = 1; b < 256; b++)
		if (gf_mul(a, (u8)b, poly) == 1)
			return (u8)b;
	return 0;
}

static u8 parity(unsigned v)
{
	return (u8)(__builtin_popcount(v) & 1);
}

static u8 aes_sbox(u8 a)
{
	u8 v = gf_inverse(a, 0x11b), r = 0;

	/* FIPS 197, 5.1.1: bit i is the sum of bits i, i+4, i+5, i+6, i+7 and of 0x63's. */
	for (unsigned i = 0; i < 8; i++)
		r |= (u8)(parity(v & (1u << i | 1u << (i + 4) % 8 | 1u << (i + 5) % 8 |
				      1u << (i + 6) % 8 | 1u << (i + 7) % 8)) << i);
	return r ^ 0x63;
}

static u8 byte(u64 v, unsigned n)
{
	return (u8)(v >> 8 * n);
}

static u64 spread(u8 v)
{
	return v * 0x0101010101010101ull;
}

static void aes_sboxes_are_inverse_and_affine(void **unused)
{
	for (unsigned a = 0; a < 256; a++) {
		u8 s = aes_sbox((u8)a);
		u64 mixed = rnd(), out;

		assert_int_equal(rv_aes_sub(spread((u8)a)), spread(s));
		assert_int_equal(rv_aes_inv_sub(spread(s)), spread((u8)a));
		/* Lanes do not disturb each other. */
		out = rv_aes_sub(mixed);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(byte(out, i), aes_sbox(byte(mixed, i)));
	}
}

static u64 mix(u64 v, const u8 row[4])
{
	u64 r = 0;

	for (unsigned c = 0; c < 2; c++)
		for (unsigned i = 0; i < 4; i++) {
			u8 sum = 0;

			for (unsigned k = 0; k < 4; k++)
				sum ^= gf_mul(byte(v, 4 * c + k), row[(k + 4 - i) % 4], 0x11b);
			r |= (u64)sum << 8 * (4 * c + i);
		}
	return r;
}

static const u8 forward[4] = { 2, 3, 1, 1 }, backward[4] = { 14, 11, 13, 9 };

static void aes_columns_are_mixed_by_the_matrices(void **unused)
{
	for (unsigned i = 0; i < 2000; i++) {
		u64 v = rnd();

		assert_int_equal(rv_aes_mix(v), mix(v, forward));
		assert_int_equal(rv_aes_inv_mix(v), mix(v, backward));
	}
}

/* Row r of column c from column c + step * r. */
static u64 shifted(u64 lo, u64 hi, unsigned step)
{
	const u64 half[2] = { lo, hi };
	u64 r = 0;

	for (unsigned c = 0; c < 2; c++)
		for (unsigned row = 0; row < 4; row++) {
			unsigned from = (c + step * row) % 4;

			r |= (u64)byte(half[from / 2], 4 * (from % 2) + row) << 8 * (4 * c + row);
		}
	return r;
}

static u64 sub_all(u64 v, bool inverse)
{
	u64 r = 0;

	for (unsigned i = 0; i < 8; i++)
		for (unsigned s = 0; s < 256; s++)
			if (inverse ? aes_sbox((u8)s) == byte(v, i) : s == byte(v, i))
				r |= (u64)(inverse ? s : aes_sbox((u8)s)) << 8 * i;
	return r;
}

static void aes_rounds(void **unused)
{
	for (unsigned i = 0; i < 40; i++) {
		u64 lo = rnd(), hi = rnd();
		u64 es = sub_all(shifted(lo, hi, 1), false), ds = sub_all(shifted(lo, hi, 3), true);

		assert_int_equal(rv_aes64_es(lo, hi), es);
		assert_int_equal(rv_aes64_esm(lo, hi), mix(es, forward));
		assert_int_equal(rv_aes64_ds(lo, hi), ds);
		assert_int_equal(rv_aes64_dsm(lo, hi), mix(ds, backward));
	}
}

static void clmul_is_the_sum_of_shifts(void **unused)
{
	for (unsigned i = 0; i < 20000; i++) {
		u64 a = rnd() >> (i & 63), b = rnd() << (i >> 6 & 63);
		unsigned __int128 want = 0;

		for (unsigned n = 0; n < 64; n++)
			if (b >> n & 1)
				want ^= (unsigned __int128)a << n;
		assert_true(rv_clmul(a, b) == want);
	}
}

/* The first row of GM/T 0002's table, and that the rest is a permutation. */
static void sm4_sbox(void **unused)
{
	static const u8 first[16] = { 0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7,
				      0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05 };
	bool seen[256] = { false };

	for (unsigned a = 0; a < 256; a++) {
		u8 s = byte(rv_sm4_sub(a), 0);

		assert_int_equal(rv_sm4_sub(spread((u8)a)), spread(s));
		assert_false(seen[s]);
		seen[s] = true;
		if (a < 16)
			assert_int_equal(s, first[a]);
	}
}

static int as_the_host_does(void **unused)
{
	rv_crypto_portable = false;
	return 0;
}

static int portably(void **unused)
{
	rv_crypto_portable = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aes_sboxes_are_inverse_and_affine),
		cmocka_unit_test(aes_columns_are_mixed_by_the_matrices),
		cmocka_unit_test_setup(aes_rounds, as_the_host_does),
		cmocka_unit_test_setup(clmul_is_the_sum_of_shifts, as_the_host_does),
		cmocka_unit_test_setup(aes_rounds, portably),
		cmocka_unit_test_setup(clmul_is_the_sum_of_shifts, portably),
		cmocka_unit_test(sm4_sbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
