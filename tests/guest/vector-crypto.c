/* SPDX-License-Identifier: MIT */
/*
 * Zvbb, Zvbc, Zvkg, Zvkned, Zvknh, Zvksed, Zvksh, which QEMU 7.2 lacks: whole algorithms made of
 * the instructions against published test vectors (FIPS 197, FIPS 180-4, the GCM specification,
 * GB/T 32905 and 32907), single ones against loops written from their definitions, and what is
 * reserved. Then all encodings of OP-V, which QEMU 7.2 does not survive.
 */
#include "lib/exec.h"
#include "lib/vector.h"

/* FIPS 180-4: those of SHA-256 are the upper halves. */
static const u64 sha512_k[80] = {
	0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
	0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
	0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
	0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
	0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
	0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
	0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
	0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
	0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
	0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
	0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
	0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
	0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
	0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
	0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
	0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
	0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
	0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
	0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
	0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};
static const u64 sha512_h[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

enum { E8 = 0, E16 = 1, E32 = 2, E64 = 3 };
static struct vector_state vs;
static struct context ctx;
static u64 rng = 7;

/* Register n as an array. */
#define R(type, n) ((type *)&vs.v[(n) * vector_vlenb()])

static void set_type(unsigned sew, unsigned lmul, u64 vl)
{
	vs.vtype = sew << 3 | lmul;
	vs.vl = vl;
}

static u64 step(u32 insn)
{
	struct trap t;

	ctx.sstatus = SSTATUS_SPP;
	vector_load(&vs);
	exec32(&ctx, &t, insn);
	vector_save(&vs);
	return t.cause;
}

/* Fields as in the manuals: funct6, vs2, vs1, funct3, vd, unmasked. */
static u32 op(u32 opcode, u32 f6, u32 vs2, u32 vs1, u32 f3, u32 vd)
{
	return opcode | vd << 7 | f3 << 12 | vs1 << 15 | vs2 << 20 | 1u << 25 | f6 << 26;
}

static u32 ve(u32 f6, u32 vs2, u32 vs1, u32 vd)
{
	return op(0x77, f6, vs2, vs1, 2, vd);
}

static void go(u32 insn)
{
	u64 cause = step(insn);

	check(cause == 3, "%w: trap %u", (u64)insn, cause);
}

static u8 nibble(char c)
{
	return (u8)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void hex(void *to, const char *s)
{
	u8 *p = to;

	for (; *s; s += 2)
		*p++ = (u8)(nibble(s[0]) << 4 | nibble(s[1]));
}

static void check_bytes(const char *what, const void *got, const char *want)
{
	u8 w[64];
	u64 n;

	hex(w, want);
	for (n = 0; want[2 * n]; n++)
		check(((const u8 *)got)[n] == w[n], "%s: byte %u is %x, not %x", what, n,
		      (u64)((const u8 *)got)[n], (u64)w[n]);
}

/* ------------------------------------------------------------------- AES */

enum { DM, DF, EM, EF, AESZ = 7 };
#define STATE 8u	/* two blocks, LMUL 4 */
#define VV 0x28u
#define VS 0x29u

/* Round keys n..: register n. Encrypts and decrypts two blocks, keys as scalars or for each block. */
static void aes_blocks(const char *what, unsigned rounds, u8 (*keys)[16], const char *plain,
		       const char *cipher)
{
	unsigned form, r, b, i;

	for (form = VV; form <= VS; form++) {
		set_type(E32, 2, 8);
		for (b = 0; b < 2; b++)
			hex(R(u8, STATE) + 16 * b, plain);
		for (r = 0; r <= rounds; r++) {
			for (b = 0; b < 2; b++)
				for (i = 0; i < 16; i++)
					R(u8, 16)[16 * b + i] = keys[r][i];
			go(ve(r ? form : VS, 16, r == 0 ? AESZ : r < rounds ? EM : EF, STATE));
		}
		check_bytes(what, R(u8, STATE), cipher);
		check_bytes(what, R(u8, STATE) + 16, cipher);
		for (r = rounds + 1; r-- > 0;) {
			for (b = 0; b < 2; b++)
				for (i = 0; i < 16; i++)
					R(u8, 16)[16 * b + i] = keys[r][i];
			go(ve(r < rounds ? form : VS, 16, r == rounds ? AESZ : r ? DM : DF, STATE));
		}
		check_bytes(what, R(u8, STATE), plain);
		check_bytes(what, R(u8, STATE) + 16, plain);
	}
}

static void test_aes(void)
{
	static u8 keys[15][16];
	unsigned r, i;

	test_case_self("zvkned");
	hex(keys[0], "000102030405060708090a0b0c0d0e0f");
	set_type(E32, 0, 4);
	for (r = 1; r <= 10; r++) {
		memcpy(R(u8, 1), keys[r - 1], 16);
		go(ve(0x22, 1, r, 2));
		memcpy(keys[r], R(u8, 2), 16);
	}
	check_bytes("last round key", keys[10], "13111d7fe3944a17f307a78b4d2b30c5");
	aes_blocks("AES-128", 10, keys, "00112233445566778899aabbccddeeff",
		   "69c4e0d86a7b0430d8cdb78070b4c55a");
	/* A round number out of range has its bit 3 flipped: 0 is 8, 11 is 3. */
	set_type(E32, 0, 4);
	for (i = 0; i < 2; i++) {
		memcpy(R(u8, 1), keys[i ? 2 : 7], 16);
		go(ve(0x22, 1, i ? 11 : 0, 2));
		check(!memcmp(R(u8, 2), keys[i ? 3 : 8], 16), "vaeskf1 out of range");
	}
	hex(keys[0], "000102030405060708090a0b0c0d0e0f");
	hex(keys[1], "101112131415161718191a1b1c1d1e1f");
	for (r = 2; r <= 14; r++) {
		memcpy(R(u8, 1), keys[r - 1], 16);
		memcpy(R(u8, 2), keys[r - 2], 16);
		go(ve(0x2a, 1, r, 2));
		memcpy(keys[r], R(u8, 2), 16);
	}
	aes_blocks("AES-256", 14, keys, "00112233445566778899aabbccddeeff",
		   "8ea2b7ca516745bfeafc49904b496089");
}

static void test_ghash(void)
{
	test_case_self("zvkg");
	set_type(E32, 0, 4);
	memset(R(u8, 1), 0, 16);
	hex(R(u8, 2), "66e94bd4ef8a2c3b884cfa59ca342b2e");
	hex(R(u8, 3), "0388dace60b6a392f328c2b971b2fe78");
	go(ve(0x2c, 2, 3, 1));
	check_bytes("X1", R(u8, 1), "5e2ec746917062882c85b0685353deb7");
	hex(R(u8, 3), "00000000000000000000000000000080");
	go(ve(0x2c, 2, 3, 1));
	check_bytes("GHASH", R(u8, 1), "f38cbb1ad69223dcc3457ae5b6b0f885");
	hex(R(u8, 1), "0388dace60b6a392f328c2b971b2fe78");
	go(ve(0x28, 2, 17, 1));
	check_bytes("vgmul", R(u8, 1), "5e2ec746917062882c85b0685353deb7");
}

/* ------------------------------------------------------------------ SHA-2 */

/* "abc" and its padding in registers 16, 20, 24, 28 (LMUL 2 is enough for either width). */
#define SHA(name, T, sew, kshift, total, want) \
	static void name(void) \
	{ \
		T w[80], k, h[8]; \
		unsigned i, j; \
		test_case_self(#name); \
		for (i = 0; i < 16; i++) \
			w[i] = 0; \
		w[0] = (T)0x61626380 << (8 * sizeof(T) - 32); \
		w[15] = 24; \
		set_type(sew, 1, 4); \
		for (i = 16; i < total; i += 4) { \
			for (j = 0; j < 4; j++) { \
				R(T, 8)[j] = w[i - 16 + j]; \
				R(T, 10)[j] = w[i - 12 + j + (j ? 4 : 0)]; \
				R(T, 12)[j] = w[i - 4 + j]; \
			} \
			go(ve(0x2d, 10, 12, 8)); \
			for (j = 0; j < 4; j++) \
				w[i + j] = R(T, 8)[j]; \
		} \
		for (i = 0; i < 8; i++) \
			h[i] = (T)(sha512_h[i] >> kshift); \
		/* abef in 8, cdgh in 10 */ \
		R(T, 8)[3] = h[0]; R(T, 8)[2] = h[1]; R(T, 8)[1] = h[4]; R(T, 8)[0] = h[5]; \
		R(T, 10)[3] = h[2]; R(T, 10)[2] = h[3]; R(T, 10)[1] = h[6]; R(T, 10)[0] = h[7]; \
		for (i = 0; i < total; i += 4) { \
			for (j = 0; j < 4; j++) { \
				k = (T)(sha512_k[i + j] >> kshift); \
				R(T, 12)[j] = w[i + j] + k; \
			} \
			go(ve(0x2f, 8, 12, 10)); \
			go(ve(0x2e, 10, 12, 8)); \
		} \
		h[0] += R(T, 8)[3]; h[1] += R(T, 8)[2]; h[4] += R(T, 8)[1]; h[5] += R(T, 8)[0]; \
		h[2] += R(T, 10)[3]; h[3] += R(T, 10)[2]; h[6] += R(T, 10)[1]; h[7] += R(T, 10)[0]; \
		for (i = 0; i < 8; i++) { \
			T v = 0; \
			for (j = 0; j < sizeof(T); j++) \
				v = (T)(v << 8 | (h[i] >> 8 * j & 0xff)); \
			h[i] = v; \
		} \
		check_bytes(#name, h, want); \
	}
SHA(sha256, u32, E32, 32, 64, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
SHA(sha512, u64, E64, 0, 80, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")

/* ------------------------------------------------------------- SM3 and SM4 */

static void test_sm3(void)
{
	static u32 w[68];
	unsigned i, j;
	u32 h0[8];

	test_case_self("zvksh");
	set_type(E32, 1, 8);
	memset(w, 0, sizeof(w));
	hex(w, "61626380");
	hex(&w[15], "00000018");
	for (i = 16; i < 68; i += 8) {
		for (j = 0; j < 8; j++) {
			R(u32, 8)[j] = w[i - 16 + j];
			R(u32, 10)[j] = w[i - 8 + j];
		}
		go(ve(0x20, 10, 8, 12));
		for (j = 0; j < 8 && i + j < 68; j++)
			w[i + j] = R(u32, 12)[j];
	}
	hex(R(u8, 8), "7380166f4914b2b9172442d7da8a0600a96f30bc163138aae38dee4db0fb0e4e");
	memcpy(h0, R(u32, 8), 32);
	for (i = 0; i < 32; i++) {
		/* Words 2 i, 2 i + 1, and those four further on: places 0, 1, 4, 5. */
		for (j = 0; j < 6; j++)
			R(u32, 10)[j] = w[2 * i + j];
		go(ve(0x2b, 10, i, 8));
	}
	for (i = 0; i < 8; i++)
		h0[i] ^= R(u32, 8)[i];
	check_bytes("SM3", h0, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
}

static u32 swap(u32 v)
{
	return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
}

static void test_sm4(void)
{
	static const u32 fk[4] = { 0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc };
	static u32 rk[36], x[4];
	unsigned i, r, form;

	test_case_self("zvksed");
	set_type(E32, 0, 4);
	hex(x, "0123456789abcdeffedcba9876543210");
	for (i = 0; i < 4; i++)
		rk[i] = swap(x[i]) ^ fk[i];
	for (r = 0; r < 8; r++) {
		memcpy(R(u32, 1), rk + 4 * r, 16);
		go(ve(0x21, 1, r, 2));
		memcpy(rk + 4 * r + 4, R(u32, 2), 16);
	}
	for (form = VV; form <= VS; form++) {
		for (i = 0; i < 4; i++)
			R(u32, 1)[i] = swap(x[i]);
		for (r = 0; r < 8; r++) {
			memcpy(R(u32, 2), rk + 4 + 4 * r, 16);
			go(ve(form, 2, 16, 1));
		}
		for (i = 0; i < 4; i++)
			R(u32, 3)[i] = swap(R(u32, 1)[3 - i]);
		check_bytes("SM4", R(u32, 3), "681edf34d206965e86b3e94f536e4246");
	}
}

/* ----------------------------------------------------------- Zvbb and Zvbc */

enum { ANDN, ROL, ROR, BREV8, REV8, BREV, CLZ, CTZ, CPOP, CLMUL, CLMULH, NR_BITS };

static u64 model(unsigned what, u64 a, u64 b, unsigned bits)
{
	u64 ones = bits == 64 ? ~0ul : BIT(bits) - 1, r = 0, n = b & (bits - 1);
	unsigned i;

	switch (what) {
	case ANDN: return a & ~b & ones;
	case ROR: n = (bits - n) & (bits - 1);	/* fall through */
	case ROL: return n ? (a << n | a >> (bits - n)) & ones : a;
	case CLMUL:
		for (i = 0; i < bits; i++)
			r ^= b >> i & 1 ? a << i : 0;
		return r;
	case CLMULH:
		for (i = 1; i < bits; i++)
			r ^= b >> i & 1 ? a >> (bits - i) : 0;
		return r;
	}
	for (i = 0; i < bits; i++) {
		u64 bit = a >> i & 1;

		switch (what) {
		case BREV8: r |= bit << ((i & ~7u) + 7 - (i & 7)); break;
		case REV8: r |= bit << ((bits - 8 - (i & ~7u)) + (i & 7)); break;
		case BREV: r |= bit << (bits - 1 - i); break;
		case CLZ: r = bit ? 0 : r + 1; break;
		case CTZ: r += r == i && !bit; break;
		case CPOP: r += bit; break;
		}
	}
	return r;
}

static u64 element(unsigned reg, unsigned sew, unsigned i)
{
	u8 *p = R(u8, reg) + (i << sew);

	return sew == 0 ? *p : sew == 1 ? *(u16 *)p : sew == 2 ? *(u32 *)p : *(u64 *)p;
}

static u32 bits_insn(unsigned what, unsigned form, u32 x)
{
	static const u8 subs[] = { [BREV8] = 8, [REV8] = 9, [BREV] = 10, [CLZ] = 12, [CTZ] = 13, [CPOP] = 14 };
	static const u8 f6s[] = { [ANDN] = 1, [ROL] = 0x15, [ROR] = 0x14 };

	if (what >= CLMUL)
		return op(0x57, what == CLMUL ? 0x0c : 0x0d, 4, form ? x : 6, form ? 6 : 2, 8);
	if (what >= BREV8)
		return op(0x57, 0x12, 4, subs[what], 2, 8);
	return op(0x57, f6s[what], 4, form ? x : 6, form ? 4 : 0, 8);
}

static void test_bits(void)
{
	unsigned what, sew, form, i, k, n, bits;

	test_case_self("zvbb-zvbc");
	for (what = 0; what < NR_BITS; what++)
		for (sew = what >= CLMUL ? 3 : 0; sew < 4; sew++)
			for (form = 0; form < 2; form++)
				for (k = 0; k < 20; k++) {
					u64 ones = sew == 3 ? ~0ul : BIT(8u << sew) - 1;

					bits = 8u << sew;
					n = (unsigned)(2 * vector_vlenb() >> sew);
					for (i = 0; i < 512; i++)
						((u64 *)vs.v)[i] = random64(&rng) >> (rng & 63);
					ctx.x[11] = edge_value(&rng);
					set_type(sew, 1, n);
					go(bits_insn(what, form, 11));
					for (i = 0; i < n; i++) {
						u64 b = (form ? ctx.x[11] : element(6, sew, i)) & ones;
						u64 a = element(4, sew, i);

						check(element(8, sew, i) == model(what, a, b, bits),
						      "op %u SEW %u: %x of %x, %x", (u64)what, (u64)bits,
						      element(8, sew, i), a, b);
					}
				}
	/* vror.vi by all amounts; vwsll.vv, .vx, .vi. */
	for (i = 0; i < 64; i++) {
		set_type(E64, 0, 2);
		go(op(0x57, 0x14 | i >> 5, 4, i & 31, 3, 8));
		check(element(8, 3, 1) == model(ROR, element(4, 3, 1), i, 64), "vror.vi by %u", (u64)i);
		set_type(E32, 0, 4);
		ctx.x[11] = i;
		go(op(0x57, 0x35, 4, 11, 4, 8));
		check(element(8, 3, 1) == element(4, 2, 1) << i, "vwsll.vx by %u", (u64)i);
		R(u32, 5)[1] = i | 0xffffffc0;
		go(op(0x57, 0x35, 4, 5, 0, 8));
		check(element(8, 3, 1) == element(4, 2, 1) << i, "vwsll.vv by %u", (u64)i);
		go(op(0x57, 0x35, 4, i & 31, 3, 8));
		check(element(8, 3, 3) == element(4, 2, 3) << (i & 31), "vwsll.vi by %u", (u64)i);
	}
	set_type(E32, 0, 4);
	check(step(bits_insn(CLMUL, 0, 0)) == 2, "vclmul of 32 bits");
}

/* ------------------------------------------------------------- what is reserved */

static void refused(const char *what, u32 insn, unsigned sew, unsigned lmul, u64 vl)
{
	u64 cause;

	set_type(sew, lmul, vl);
	cause = step(insn);
	check(cause == 2, "%s: cause %u", what, cause);
}

static void test_reserved(void)
{
	static const u32 all[] = { 0x2a, 0x22, 0x21, 0x2c, 0x2d, 0x2e, 0x2f };
	unsigned i;

	test_case_self("reserved");
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		u32 insn = ve(all[i], 4, 2, 8);

		set_type(E32, 0, 4);
		check(step(insn) == 3, "%x is an instruction", (u64)all[i]);
		check(step(insn & ~(1u << 25)) == 2, "%x masked", (u64)all[i]);
		refused("no whole group", insn, E32, 0, 3);
		refused("SEW 16", insn, E16, 0, 4);
		refused("a group that is too small", insn, E32, 7, 0);
		refused("vd misaligned", ve(all[i], 4, 2, 7), E32, 1, 8);
		refused("vs2 misaligned", ve(all[i], 5, 2, 8), E32, 1, 8);
		vs.vstart = 0;
	}
	refused("vaesem.vs into its key", ve(VS, 9, EM, 8), E32, 1, 8);
	refused("vaesz.vv", ve(VV, 4, AESZ, 8), E32, 0, 4);
	refused("vsha2ms over vs2", ve(0x2d, 8, 2, 8), E32, 0, 4);
	refused("vsha2ch over vs1", ve(0x2e, 4, 8, 8), E32, 0, 4);
	refused("vsm3c over vs2", ve(0x2b, 8, 2, 8), E32, 1, 8);
	refused("vsm3me of four", ve(0x20, 4, 6, 8), E32, 1, 4);
	refused("vsm4r of 64 bits", ve(VV, 4, 16, 8), E64, 1, 4);
	refused("vgmul, vs1 18", ve(VV, 4, 18, 8), E32, 0, 4);
}

/* ------------------------------------------------------------- encodings */

static void run(struct trap *t, u32 insn)
{
	ctx.sstatus = SSTATUS_SPP;
	vector_load(&vs);
	csr_write(0x008, vs.vstart);
	exec32(&ctx, t, insn);
	vector_save(&vs);
}

static u32 opv(u32 f6, u32 f3, u32 vd, u32 a, u32 vs2, u32 vm)
{
	return 0x57 | vd << 7 | f3 << 12 | a << 15 | vs2 << 20 | vm << 25 | f6 << 26;
}

/* Every funct6, vs1 selector and mask bit, at two SEW: instructions and illegal ones. */
static void test_encodings(void)
{
	unsigned f6, f3, sel, m;
	struct trap t;
	u64 legal = 0;

	test_case_self("encodings");
	for (f3 = 0; f3 < 7; f3++)
		for (f6 = 0; f6 < 64; f6++)
			for (m = 0; m < 2; m++)
				for (sel = 0; sel < 32; sel++) {
					vs.vcsr = vs.vstart = 0;
					vs.vtype = 2 << 3;
					vs.vl = 4;
					ctx.fcsr = 0;
					run(&t, opv(f6, f3, 8, sel, 4, m));
					check(t.cause == 3 || (t.cause == 2 && t.tval == opv(f6, f3, 8, sel, 4, m)),
					      "%x: cause %u", (u64)opv(f6, f3, 8, sel, 4, m), t.cause);
					legal += t.cause == 3;
					check(!vs.vstart, "vstart %u", vs.vstart);
				}
	print("  %u are instructions\n", legal);
	/* A reserved frm is refused by floating point and by nothing else. */
	vs.vcsr = vs.vstart = 0;
	vs.vtype = 2 << 3;
	vs.vl = 4;
	for (f3 = 0; f3 < 8; f3++) {
		ctx.fcsr = f3 << 5;
		run(&t, opv(0, 1, 8, 4, 6, 1));
		check(t.cause == (f3 > 4 ? 2 : 3), "vfadd with frm %u: cause %u", (u64)f3, t.cause);
		ctx.fcsr = f3 << 5;
		run(&t, opv(0, 0, 8, 4, 6, 1));
		check(t.cause == 3, "vadd with frm %u: cause %u", (u64)f3, t.cause);
	}
	/* vstart is as wide as the longest vector needs, and every instruction clears it. */
	csr_write(0x008, ~0ul);
	check_eq(csr_read(0x008), 8 * vector_vlenb() - 1, "vstart of all ones");
	csr_write(0x008, 5);
	vs.vl = 4;
	vs.vstart = 7;
	run(&t, opv(0, 0, 8, 4, 6, 1));
	check(t.cause == 3 && !vs.vstart, "vstart beyond vl: %u", vs.vstart);
	vs.vstart = 1;
	run(&t, opv(0, 2, 8, 4, 6, 1));
	check(t.cause == 2 && vs.vstart == 1, "a reduction from the middle: cause %u", t.cause);
}

int main(void)
{
	exec_init();
	vector_on();
	test_aes();
	test_ghash();
	sha256();
	sha512();
	test_sm3();
	test_sm4();
	test_bits();
	test_reserved();
	test_encodings();
	return 0;
}
