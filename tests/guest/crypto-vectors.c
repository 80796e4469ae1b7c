/* SPDX-License-Identifier: MIT */
/*
 * The cryptography instructions as programs use them: published test vectors of FIPS 197 (AES),
 * FIPS 180-4 (SHA-256, SHA-512), GM/T 0002 (SM4) and GM/T 0004 (SM3).
 */
#include "guest.h"

#define ASM(insn, ...) __asm__(".option push\n.option arch, +zbkb, +zkn, +zks\n" insn \
			       "\n.option pop" : __VA_ARGS__)
#define OP1(name, insn) \
	static u64 name(u64 a) { u64 r; ASM(insn " %0, %1", "=r"(r) : "r"(a)); return r; }
#define OP2(name, insn) \
	static u64 name(u64 a, u64 b) \
	{ u64 r; ASM(insn " %0, %1, %2", "=r"(r) : "r"(a), "r"(b)); return r; }

OP2(es, "aes64es")
OP2(esm, "aes64esm")
OP2(ds, "aes64ds")
OP2(dsm, "aes64dsm")
OP1(im, "aes64im")
OP2(ks2, "aes64ks2")
OP1(rev8, "rev8")
OP1(sha256_sig0, "sha256sig0")
OP1(sha256_sig1, "sha256sig1")
OP1(sha256_sum0, "sha256sum0")
OP1(sha256_sum1, "sha256sum1")
OP1(sha512_sig0, "sha512sig0")
OP1(sha512_sig1, "sha512sig1")
OP1(sha512_sum0, "sha512sum0")
OP1(sha512_sum1, "sha512sum1")
OP1(sm3_p0, "sm3p0")
OP1(sm3_p1, "sm3p1")

static u64 ks1i(u64 a, unsigned round)
{
	u64 r = 0;

#define ROUND(n) case n: ASM("aes64ks1i %0, %1, " #n, "=r"(r) : "r"(a)); break;
	switch (round) {
	ROUND(0) ROUND(1) ROUND(2) ROUND(3) ROUND(4) ROUND(5) ROUND(6) ROUND(7) ROUND(8) ROUND(9)
	ROUND(10)
	}
	return r;
}

/* --------------------------------------------------------------------- AES */

/* keys: 2 words of 64 bits for each round. n: 128 or 256 bits. */
static unsigned aes_schedule(u64 *keys, const u8 *key, unsigned n)
{
	unsigned words = n / 64, rounds = n / 32 + 6, i;
	u64 w[4];

	memcpy(w, key, n / 8);
	memcpy(keys, w, n / 8);
	for (i = 0; words * (i + 1) < 2 * (rounds + 1); i++) {
		w[0] = ks2(ks1i(w[words - 1], i), w[0]);
		w[1] = ks2(w[0], w[1]);
		if (words == 4) {
			w[2] = ks2(ks1i(w[1], 10), w[2]);
			w[3] = ks2(w[2], w[3]);
		}
		memcpy(keys + words * (i + 1), w, n / 8);
	}
	return rounds;
}

static void aes(const char *name, unsigned n, const u64 want[2])
{
	u64 keys[64], plain[2], s[2], t[2];
	u8 key[32], text[16];
	unsigned i, rounds;

	test_case("%s", name);
	for (i = 0; i < 32; i++)
		key[i] = (u8)i;
	for (i = 0; i < 16; i++)
		text[i] = (u8)(i * 0x11);
	memcpy(plain, text, 16);
	rounds = aes_schedule(keys, key, n);
	s[0] = plain[0] ^ keys[0];
	s[1] = plain[1] ^ keys[1];
	for (i = 1; i <= rounds; i++) {
		t[0] = i < rounds ? esm(s[0], s[1]) : es(s[0], s[1]);
		t[1] = i < rounds ? esm(s[1], s[0]) : es(s[1], s[0]);
		s[0] = t[0] ^ keys[2 * i];
		s[1] = t[1] ^ keys[2 * i + 1];
	}
	print("  %w %w\n", rev8(s[0]), rev8(s[1]));
	check(rev8(s[0]) == want[0] && rev8(s[1]) == want[1], "encrypted");
	for (i = rounds; i; i--) {
		s[0] ^= i < rounds ? im(keys[2 * i]) : keys[2 * i];
		s[1] ^= i < rounds ? im(keys[2 * i + 1]) : keys[2 * i + 1];
		t[0] = i > 1 ? dsm(s[0], s[1]) : ds(s[0], s[1]);
		t[1] = i > 1 ? dsm(s[1], s[0]) : ds(s[1], s[0]);
		s[0] = t[0];
		s[1] = t[1];
	}
	check((s[0] ^ keys[0]) == plain[0] && (s[1] ^ keys[1]) == plain[1], "decrypted");
}

/* -------------------------------------------------------------------- SHA-2 */

static bool is_prime(unsigned n)
{
	unsigned d;

	for (d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return true;
}

/* The first 64 bits of the fraction of the square or cube root of p (FIPS 180-4, 4.2 and 5.3). */
static u64 root_fraction(unsigned p, unsigned degree)
{
	/* The root is whole.frac; frac is found bit by bit: (whole.frac)^degree <= p. */
	u64 whole = 1, frac = 0;
	int bit, i, k;

	while ((degree == 2 ? (whole + 1) * (whole + 1) :
		(whole + 1) * (whole + 1) * (whole + 1)) <= p)
		whole++;
	for (bit = 63; bit >= 0; bit--) {
		/* In digits of 32 bits: r = whole.f1 f0, v = its power. */
		u64 f = frac | BIT(bit);
		u64 r[3] = { (u32)f, f >> 32, whole }, v[9] = { 1 }, t[9];
		unsigned d;

		for (d = 0; d < degree; d++) {
			memset(t, 0, sizeof(t));
			for (i = 0; i < 6; i++) {
				u64 carry = 0;

				for (k = 0; k < 3; k++) {
					carry += t[i + k] + v[i] * r[k];
					t[i + k] = (u32)carry;
					carry >>= 32;
				}
				for (k = i + 3; carry && k < 9; k++) {
					carry += t[k];
					t[k] = (u32)carry;
					carry >>= 32;
				}
			}
			memcpy(v, t, sizeof(v));
		}
		/* The point lies above digit 2 * degree. Only the integer part is compared. */
		if (v[2 * degree] + (v[2 * degree + 1] << 32) < p)
			frac = f;
	}
	return frac;
}

static void sha2(const char *name, bool wide, const u64 want[8])
{
	u64 k[80], h[8], w[80], v[8], t1, t2;
	unsigned p, i, n = 0, rounds = wide ? 80 : 64;

	test_case("%s", name);
	for (p = 2; n < rounds; p++) {
		if (!is_prime(p))
			continue;
		k[n] = root_fraction(p, 3) >> (wide ? 0 : 32);
		if (n < 8)
			h[n] = root_fraction(p, 2) >> (wide ? 0 : 32);
		n++;
	}
	memset(w, 0, sizeof(w));
	w[0] = wide ? 0x6162638000000000 : 0x61626380;	/* "abc", padded */
	w[15] = 24;
	for (i = 16; i < rounds; i++)
		w[i] = (wide ? sha512_sig1(w[i - 2]) : sha256_sig1(w[i - 2])) + w[i - 7] +
		       (wide ? sha512_sig0(w[i - 15]) : sha256_sig0(w[i - 15])) + w[i - 16];
	memcpy(v, h, sizeof(v));
	for (i = 0; i < rounds; i++) {
		t1 = v[7] + (wide ? sha512_sum1(v[4]) : sha256_sum1(v[4])) +
		     ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
		t2 = (wide ? sha512_sum0(v[0]) : sha256_sum0(v[0])) +
		     ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		for (n = 7; n; n--)
			v[n] = v[n - 1];
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (i = 0; i < 8; i++) {
		h[i] += v[i];
		if (!wide)
			h[i] = (u32)h[i];
		print("  %w\n", h[i]);
		check_eq(h[i], want[i], "a word of the digest");
	}
}

/* ----------------------------------------------------------------- SM3, SM4 */

static u32 rol32(u32 v, unsigned n)
{
	n &= 31;
	return n ? v << n | v >> (32 - n) : v;
}

static void sm3(void)
{
	static const u32 want[8] = { 0x66c7f0f4, 0x62eeedd9, 0xd1f2d46b, 0xdc10e4e2,
				     0x4167c487, 0x5cf2f7a2, 0x297da02b, 0x8f4ba8e0 };
	u32 v[8] = { 0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
		     0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e }, h[8], w[68], ss1, ss2, t1, t2;
	unsigned i;

	test_case("sm3");
	memset(w, 0, sizeof(w));
	w[0] = 0x61626380;
	w[15] = 24;
	for (i = 16; i < 68; i++)
		w[i] = (u32)sm3_p1(w[i - 16] ^ w[i - 9] ^ rol32(w[i - 3], 15)) ^
		       rol32(w[i - 13], 7) ^ w[i - 6];
	memcpy(h, v, sizeof(h));
	for (i = 0; i < 64; i++) {
		u32 a = v[0], b = v[1], c = v[2], e = v[4], f = v[5], g = v[6];

		ss1 = rol32(rol32(a, 12) + e + rol32(i < 16 ? 0x79cc4519 : 0x7a879d8a, i), 7);
		ss2 = ss1 ^ rol32(a, 12);
		t1 = (i < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c)) + v[3] + ss2 + (w[i] ^ w[i + 4]);
		t2 = (i < 16 ? e ^ f ^ g : (e & f) | (~e & g)) + v[7] + ss1 + w[i];
		v[3] = c;
		v[2] = rol32(b, 9);
		v[1] = a;
		v[0] = t1;
		v[7] = g;
		v[6] = rol32(f, 19);
		v[5] = e;
		v[4] = (u32)sm3_p0(t2);
	}
	for (i = 0; i < 8; i++) {
		print("  %x\n", (u64)(v[i] ^ h[i]));
		check_eq(v[i] ^ h[i], want[i], "a word of the digest");
	}
}

#define SM4(name, insn) \
	static u32 name(u32 a, u32 b) \
	{ \
		u64 r; \
		ASM(insn " %0, %1, %2, 0\n" insn " %0, %0, %2, 1\n" insn " %0, %0, %2, 2\n" \
		    insn " %0, %0, %2, 3", "=&r"(r) : "r"((u64)a), "r"((u64)b)); \
		return (u32)r; \
	}
SM4(sm4_ed, "sm4ed")
SM4(sm4_ks, "sm4ks")

static void sm4(void)
{
	static const u8 text[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
				     0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10 };
	static const u8 want[16] = { 0x68, 0x1e, 0xdf, 0x34, 0xd2, 0x06, 0x96, 0x5e,
				     0x86, 0xb3, 0xe9, 0x4f, 0x53, 0x6e, 0x42, 0x46 };
	static const u32 fk[4] = { 0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc };
	u32 k[36], x[36], out[4];
	unsigned i, j;

	test_case("sm4");
	/* Words are in memory order, as the instructions want them. */
	memcpy(x, text, 16);
	memcpy(k, text, 16);
	for (i = 0; i < 4; i++)
		k[i] ^= (u32)(rev8(fk[i]) >> 32);
	for (i = 0; i < 32; i++) {
		u32 ck = 0;

		for (j = 0; j < 4; j++)
			ck |= ((4 * i + j) * 7 & 255) << 8 * j;
		k[i + 4] = sm4_ks(k[i], k[i + 1] ^ k[i + 2] ^ k[i + 3] ^ ck);
	}
	for (i = 0; i < 32; i++)
		x[i + 4] = sm4_ed(x[i], x[i + 1] ^ x[i + 2] ^ x[i + 3] ^ k[i + 4]);
	for (i = 0; i < 4; i++) {
		out[i] = x[35 - i];
		print("  %x\n", (u64)out[i]);
	}
	check(!memcmp(out, want, 16), "encrypted");
}

int main(void)
{
	static const u64 aes128[2] = { 0x69c4e0d86a7b0430, 0xd8cdb78070b4c55a };
	static const u64 aes256[2] = { 0x8ea2b7ca516745bf, 0xeafc49904b496089 };
	static const u64 sha256[8] = { 0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
				       0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad };
	static const u64 sha512[8] = { 0xddaf35a193617aba, 0xcc417349ae204131, 0x12e6fa4e89a97ea2,
				       0x0a9eeee64b55d39a, 0x2192992a274fc1a8, 0x36ba3c23a3feebbd,
				       0x454d4423643ce80e, 0x2a9ac94fa54ca49f };

	aes("aes-128", 128, aes128);
	aes("aes-256", 256, aes256);
	sha2("sha-256", false, sha256);
	sha2("sha-512", true, sha512);
	sm3();
	sm4();
	return 0;
}
