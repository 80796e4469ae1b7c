// SPDX-License-Identifier: MIT
/*
 * The C extension, with Zcb and Zcmop: each 16-bit instruction as the 32-bit one it stands for.
 * Unprivileged manual, chapter "C", tables 34 to 36 (RV64), and the chapters of the others.
 */
#include "cpu/riscv/impl.h"

/* 32-bit encodings. Immediates are full values; each keeps the bits that its form has. */
static u32 i_type(u32 opcode, u32 f3, u32 rd, u32 rs1, u32 imm)
{
	return opcode | rd << 7 | f3 << 12 | rs1 << 15 | imm << 20;
}

static u32 s_type(u32 opcode, u32 f3, u32 rs1, u32 rs2, u32 imm)
{
	return opcode | (imm & 31) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | (imm >> 5 & 127) << 25;
}

static u32 r_type(u32 opcode, u32 f3, u32 f7, u32 rd, u32 rs1, u32 rs2)
{
	return opcode | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}

static u32 b_type(u32 f3, u32 rs1, u32 imm)
{
	return 0x63 | (imm >> 11 & 1) << 7 | (imm >> 1 & 15) << 8 | f3 << 12 | rs1 << 15 |
	       (imm >> 5 & 63) << 25 | (imm >> 12 & 1) << 31;
}

static u32 j_type(u32 rd, u32 imm)
{
	return 0x6f | rd << 7 | (imm & 0xff000) | (imm >> 11 & 1) << 20 | (imm >> 1 & 0x3ff) << 21 |
	       (imm >> 20 & 1) << 31;
}

enum { LOAD = 0x03, LOAD_FP = 0x07, OP_IMM = 0x13, OP_IMM_32 = 0x1b, STORE = 0x23, STORE_FP = 0x27,
       OP = 0x33, LUI = 0x37, OP_32 = 0x3b, JALR = 0x67 };

#define BITS(v, hi, lo) ((u32)(v) >> (lo) & ((1u << ((hi) - (lo) + 1)) - 1))

static u32 sext(u32 v, unsigned bits)
{
	return (u32)((s32)(v << (32 - bits)) >> (32 - bits));
}

static u32 imm6(u16 c)
{
	return sext(BITS(c, 12, 12) << 5 | BITS(c, 6, 2), 6);
}

static u32 imm_cj(u16 c)
{
	return sext(BITS(c, 12, 12) << 11 | BITS(c, 11, 11) << 4 | BITS(c, 10, 9) << 8 |
		    BITS(c, 8, 8) << 10 | BITS(c, 7, 7) << 6 | BITS(c, 6, 6) << 7 |
		    BITS(c, 5, 3) << 1 | BITS(c, 2, 2) << 5, 12);
}

static u32 imm_cb(u16 c)
{
	return sext(BITS(c, 12, 12) << 8 | BITS(c, 11, 10) << 3 | BITS(c, 6, 5) << 6 |
		    BITS(c, 4, 3) << 1 | BITS(c, 2, 2) << 5, 9);
}

/* Zcb's loads and stores of bytes and halfwords. */
static u32 narrow_mem(u16 c)
{
	u32 rs1 = 8 + BITS(c, 9, 7), r2 = 8 + BITS(c, 4, 2), b6 = BITS(c, 6, 6);
	u32 byte = BITS(c, 5, 5) << 1 | b6, half = BITS(c, 5, 5) << 1;

	switch (BITS(c, 12, 10)) {
	case 0: return i_type(LOAD, 4, r2, rs1, byte);
	case 1: return i_type(LOAD, b6 ? 1 : 5, r2, rs1, half);
	case 2: return s_type(STORE, 0, rs1, r2, byte);
	case 3: return b6 ? 0 : s_type(STORE, 1, rs1, r2, half);
	}
	return 0;
}

static u32 quadrant0(const struct rv_hart *h, u16 c)
{
	u32 rs1 = 8 + BITS(c, 9, 7), r2 = 8 + BITS(c, 4, 2);
	u32 w = BITS(c, 12, 10) << 3 | BITS(c, 6, 6) << 2 | BITS(c, 5, 5) << 6;
	u32 d = BITS(c, 12, 10) << 3 | BITS(c, 6, 5) << 6;
	u32 nzuimm;

	switch (c >> 13) {
	case 0:		/* c.addi4spn */
		nzuimm = BITS(c, 12, 11) << 4 | BITS(c, 10, 7) << 6 | BITS(c, 6, 6) << 2 |
			 BITS(c, 5, 5) << 3;
		return nzuimm ? i_type(OP_IMM, 0, r2, 2, nzuimm) : 0;
	case 1: return i_type(LOAD_FP, 3, r2, rs1, d);
	case 2: return i_type(LOAD, 2, r2, rs1, w);
	case 3: return i_type(LOAD, 3, r2, rs1, d);
	case 4: return rv_has(h, RV_EXT_ZCB) ? narrow_mem(c) : 0;
	case 5: return s_type(STORE_FP, 3, rs1, r2, d);
	case 6: return s_type(STORE, 2, rs1, r2, w);
	case 7: return s_type(STORE, 3, rs1, r2, d);
	}
	return 0;
}

/* Zcb's c.mul and unary ones; those of Zbb and Zba need these as well. */
static u32 zcb_arith(u16 c)
{
	u32 rd = 8 + BITS(c, 9, 7);

	if (BITS(c, 6, 5) == 2)
		return r_type(OP, 0, 1, rd, rd, 8 + BITS(c, 4, 2));
	switch (BITS(c, 4, 2)) {
	case 0: return i_type(OP_IMM, 7, rd, rd, 0xff);		/* c.zext.b */
	case 1: return i_type(OP_IMM, 1, rd, rd, 0x604);	/* c.sext.b */
	case 2: return r_type(OP_32, 4, 4, rd, rd, 0);		/* c.zext.h */
	case 3: return i_type(OP_IMM, 1, rd, rd, 0x605);	/* c.sext.h */
	case 4: return r_type(OP_32, 0, 4, rd, rd, 0);		/* c.zext.w: add.uw */
	case 5: return i_type(OP_IMM, 4, rd, rd, 0xfff);	/* c.not */
	}
	return 0;
}

static u32 arith(const struct rv_hart *h, u16 c)
{
	static const u8 f3[4] = { 0, 4, 6, 7 };		/* sub xor or and */
	u32 rd = 8 + BITS(c, 9, 7), rs2 = 8 + BITS(c, 4, 2), n = BITS(c, 6, 5);
	u32 shamt = BITS(c, 12, 12) << 5 | BITS(c, 6, 2);

	switch (BITS(c, 11, 10)) {
	case 0: return i_type(OP_IMM, 5, rd, rd, shamt);
	case 1: return i_type(OP_IMM, 5, rd, rd, shamt | 0x400);
	case 2: return i_type(OP_IMM, 7, rd, rd, imm6(c));
	}
	if (!BITS(c, 12, 12))
		return r_type(OP, f3[n], n ? 0 : 0x20, rd, rd, rs2);
	if (n < 2)	/* c.subw, c.addw */
		return r_type(OP_32, 0, n ? 0 : 0x20, rd, rd, rs2);
	return rv_has(h, RV_EXT_ZCB) ? zcb_arith(c) : 0;
}

static u32 quadrant1(const struct rv_hart *h, u16 c)
{
	u32 rd = BITS(c, 11, 7), rs1c = 8 + BITS(c, 9, 7), imm;

	switch (c >> 13) {
	case 0: return i_type(OP_IMM, 0, rd, rd, imm6(c));
	case 1: return rd ? i_type(OP_IMM_32, 0, rd, rd, imm6(c)) : 0;
	case 2: return i_type(OP_IMM, 0, rd, 0, imm6(c));
	case 3:
		if (rd == 2) {	/* c.addi16sp */
			imm = sext(BITS(c, 12, 12) << 9 | BITS(c, 6, 6) << 4 | BITS(c, 5, 5) << 6 |
				   BITS(c, 4, 3) << 7 | BITS(c, 2, 2) << 5, 10);
			return imm ? i_type(OP_IMM, 0, 2, 2, imm) : 0;
		}
		imm = imm6(c) << 12;
		/* Zcmop: c.mop.1, 3 .. 15 have the odd rd's number; they do nothing. */
		if (!imm && rd < 16 && (rd & 1) && rv_has(h, RV_EXT_ZCMOP))
			return i_type(OP_IMM, 0, 0, 0, 0);
		return imm ? LUI | rd << 7 | imm : 0;
	case 4: return arith(h, c);
	case 5: return j_type(0, imm_cj(c));
	case 6: return b_type(0, rs1c, imm_cb(c));
	}
	return b_type(1, rs1c, imm_cb(c));
}

static u32 quadrant2(u16 c)
{
	u32 rd = BITS(c, 11, 7), rs2 = BITS(c, 6, 2);
	u32 lw = BITS(c, 12, 12) << 5 | BITS(c, 6, 4) << 2 | BITS(c, 3, 2) << 6;
	u32 ld = BITS(c, 12, 12) << 5 | BITS(c, 6, 5) << 3 | BITS(c, 4, 2) << 6;
	u32 sw = BITS(c, 12, 9) << 2 | BITS(c, 8, 7) << 6;
	u32 sd = BITS(c, 12, 10) << 3 | BITS(c, 9, 7) << 6;

	switch (c >> 13) {
	case 0: return i_type(OP_IMM, 1, rd, rd, BITS(c, 12, 12) << 5 | rs2);
	case 1: return i_type(LOAD_FP, 3, rd, 2, ld);
	case 2: return rd ? i_type(LOAD, 2, rd, 2, lw) : 0;
	case 3: return rd ? i_type(LOAD, 3, rd, 2, ld) : 0;
	case 4:
		if (rs2)	/* c.add, c.mv */
			return r_type(OP, 0, 0, rd, BITS(c, 12, 12) ? rd : 0, rs2);
		if (!BITS(c, 12, 12))
			return rd ? i_type(JALR, 0, 0, rd, 0) : 0;
		return rd ? i_type(JALR, 0, 1, rd, 0) : 0x00100073;	/* c.ebreak */
	case 5: return s_type(STORE_FP, 3, 2, rs2, sd);
	case 6: return s_type(STORE, 2, 2, rs2, sw);
	}
	return s_type(STORE, 3, 2, rs2, sd);
}

u32 rv_expand(const struct rv_hart *h, u16 c)
{
	if (!rv_has(h, RV_EXT_C))
		return 0;
	switch (c & 3) {
	case 0: return quadrant0(h, c);
	case 1: return quadrant1(h, c);
	}
	return quadrant2(c);
}
