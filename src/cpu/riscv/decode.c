// SPDX-License-Identifier: MIT
/*
 * Instructions to ops. Unprivileged manual, "RV32/64G Instruction Set Listings" and the
 * chapters of the extensions; privileged manual, "Instruction Set Listings".
 *
 * Compressed instructions become the 32-bit instruction they stand for first, so that each
 * is decoded in one place. Whatever is not an instruction of this hart is an op that raises
 * "illegal instruction"; there is no invalid state behind the decoder.
 */
#include "cpu/riscv/impl.h"

#define RD(i) ((i) >> 7 & 31)
#define RS1(i) ((i) >> 15 & 31)
#define RS2(i) ((i) >> 20 & 31)
#define RS3(i) ((i) >> 27)
#define F3(i) ((i) >> 12 & 7)
#define F7(i) ((i) >> 25)
#define IMM_I(i) ((s32)(i) >> 20)
#define IMM_S(i) (((s32)(i) >> 25) * 32 | (s32)((i) >> 7 & 31))
#define IMM_U(i) ((s32)((i) & 0xfffff000))

static s32 imm_b(u32 i)
{
	return ((s32)i >> 31) * 4096 | (s32)((i >> 7 & 1) << 11 | (i >> 25 & 63) << 5 | (i >> 8 & 15) << 1);
}

static s32 imm_j(u32 i)
{
	return ((s32)i >> 31) * (1 << 20) |
	       (s32)((i & 0xff000) | (i >> 20 & 1) << 11 | (i >> 21 & 0x3ff) << 1);
}

static u8 dest(u32 i)
{
	return RD(i) ? (u8)RD(i) : RV_X_SINK;
}

static enum rv_decoded set(struct rv_op *op, rv_op_fn fn)
{
	op->fn = fn;
	return RV_DECODED;
}

static enum rv_decoded illegal(struct rv_op *op)
{
	op->fn = rv_op_illegal;
	return RV_DECODED_END;
}

static enum rv_decoded set_or_illegal(struct rv_op *op, rv_op_fn fn)
{
	return fn ? set(op, fn) : illegal(op);
}

/* -------------------------------------------------------- OP, OP-32 */

/* By funct7 (a sparse few), funct3. ext: RV_EXT_COUNT means the base; alt has it as well. */
struct reg_form {
	u8 f7, f3, ext;
	rv_op_fn fn;
	u8 alt;			/* 0: none (A is not one) */
};

static bool form_present(const struct rv_hart *h, unsigned ext, unsigned alt)
{
	return ext == RV_EXT_COUNT || rv_has(h, ext) || (alt && rv_has(h, alt));
}

static rv_op_fn find_reg(const struct rv_hart *h, const struct reg_form *t, size_t n, u32 i)
{
	for (; n--; t++)
		if (t->f7 == F7(i) && t->f3 == F3(i))
			return form_present(h, t->ext, t->alt) ? t->fn : NULL;
	return NULL;
}

static const struct reg_form reg_forms[] = {
	{ 0x00, 0, RV_EXT_COUNT, rv_op_add }, { 0x20, 0, RV_EXT_COUNT, rv_op_sub },
	{ 0x00, 1, RV_EXT_COUNT, rv_op_sll }, { 0x00, 2, RV_EXT_COUNT, rv_op_slt },
	{ 0x00, 3, RV_EXT_COUNT, rv_op_sltu }, { 0x00, 4, RV_EXT_COUNT, rv_op_xor },
	{ 0x00, 5, RV_EXT_COUNT, rv_op_srl }, { 0x20, 5, RV_EXT_COUNT, rv_op_sra },
	{ 0x00, 6, RV_EXT_COUNT, rv_op_or }, { 0x00, 7, RV_EXT_COUNT, rv_op_and },
	{ 0x01, 0, RV_EXT_M, rv_op_mul }, { 0x01, 1, RV_EXT_M, rv_op_mulh },
	{ 0x01, 2, RV_EXT_M, rv_op_mulhsu }, { 0x01, 3, RV_EXT_M, rv_op_mulhu },
	{ 0x01, 4, RV_EXT_M, rv_op_div }, { 0x01, 5, RV_EXT_M, rv_op_divu },
	{ 0x01, 6, RV_EXT_M, rv_op_rem }, { 0x01, 7, RV_EXT_M, rv_op_remu },
	{ 0x05, 1, RV_EXT_ZBC, rv_op_clmul, RV_EXT_ZBKC },
	{ 0x05, 2, RV_EXT_ZBC, rv_op_clmulr },
	{ 0x05, 3, RV_EXT_ZBC, rv_op_clmulh, RV_EXT_ZBKC }, { 0x05, 4, RV_EXT_ZBB, rv_op_min },
	{ 0x05, 5, RV_EXT_ZBB, rv_op_minu }, { 0x05, 6, RV_EXT_ZBB, rv_op_max },
	{ 0x05, 7, RV_EXT_ZBB, rv_op_maxu },
	{ 0x07, 5, RV_EXT_ZICOND, rv_op_czero_eqz }, { 0x07, 7, RV_EXT_ZICOND, rv_op_czero_nez },
	{ 0x10, 2, RV_EXT_ZBA, rv_op_sh1add }, { 0x10, 4, RV_EXT_ZBA, rv_op_sh2add },
	{ 0x10, 6, RV_EXT_ZBA, rv_op_sh3add },
	{ 0x20, 4, RV_EXT_ZBB, rv_op_xnor, RV_EXT_ZBKB },
	{ 0x20, 6, RV_EXT_ZBB, rv_op_orn, RV_EXT_ZBKB },
	{ 0x20, 7, RV_EXT_ZBB, rv_op_andn, RV_EXT_ZBKB },
	{ 0x30, 1, RV_EXT_ZBB, rv_op_rol, RV_EXT_ZBKB },
	{ 0x30, 5, RV_EXT_ZBB, rv_op_ror, RV_EXT_ZBKB },
	{ 0x14, 1, RV_EXT_ZBS, rv_op_bset }, { 0x24, 1, RV_EXT_ZBS, rv_op_bclr },
	{ 0x24, 5, RV_EXT_ZBS, rv_op_bext }, { 0x34, 1, RV_EXT_ZBS, rv_op_binv },
	{ 0x04, 4, RV_EXT_ZBKB, rv_op_pack }, { 0x04, 7, RV_EXT_ZBKB, rv_op_packh },
	{ 0x14, 2, RV_EXT_ZBKX, rv_op_xperm4 }, { 0x14, 4, RV_EXT_ZBKX, rv_op_xperm8 },
	{ 0x19, 0, RV_EXT_ZKNE, rv_op_aes64es }, { 0x1b, 0, RV_EXT_ZKNE, rv_op_aes64esm },
	{ 0x1d, 0, RV_EXT_ZKND, rv_op_aes64ds }, { 0x1f, 0, RV_EXT_ZKND, rv_op_aes64dsm },
	{ 0x3f, 0, RV_EXT_ZKNE, rv_op_aes64ks2, RV_EXT_ZKND },
	/* The two bits above say which byte. */
	{ 0x18, 0, RV_EXT_ZKSED, rv_op_sm4ed }, { 0x38, 0, RV_EXT_ZKSED, rv_op_sm4ed },
	{ 0x58, 0, RV_EXT_ZKSED, rv_op_sm4ed }, { 0x78, 0, RV_EXT_ZKSED, rv_op_sm4ed },
	{ 0x1a, 0, RV_EXT_ZKSED, rv_op_sm4ks }, { 0x3a, 0, RV_EXT_ZKSED, rv_op_sm4ks },
	{ 0x5a, 0, RV_EXT_ZKSED, rv_op_sm4ks }, { 0x7a, 0, RV_EXT_ZKSED, rv_op_sm4ks },
};

static const struct reg_form reg32_forms[] = {
	{ 0x00, 0, RV_EXT_COUNT, rv_op_addw }, { 0x20, 0, RV_EXT_COUNT, rv_op_subw },
	{ 0x00, 1, RV_EXT_COUNT, rv_op_sllw }, { 0x00, 5, RV_EXT_COUNT, rv_op_srlw },
	{ 0x20, 5, RV_EXT_COUNT, rv_op_sraw },
	{ 0x01, 0, RV_EXT_M, rv_op_mulw }, { 0x01, 4, RV_EXT_M, rv_op_divw },
	{ 0x01, 5, RV_EXT_M, rv_op_divuw }, { 0x01, 6, RV_EXT_M, rv_op_remw },
	{ 0x01, 7, RV_EXT_M, rv_op_remuw },
	{ 0x04, 0, RV_EXT_ZBA, rv_op_add_uw },
	{ 0x10, 2, RV_EXT_ZBA, rv_op_sh1add_uw }, { 0x10, 4, RV_EXT_ZBA, rv_op_sh2add_uw },
	{ 0x10, 6, RV_EXT_ZBA, rv_op_sh3add_uw },
	{ 0x30, 1, RV_EXT_ZBB, rv_op_rolw, RV_EXT_ZBKB },
	{ 0x30, 5, RV_EXT_ZBB, rv_op_rorw, RV_EXT_ZBKB },
	{ 0x04, 4, RV_EXT_ZBKB, rv_op_packw },
};

static enum rv_decoded decode_reg(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	bool narrow = i & 8;

	op->aux = F7(i) >> 5;
	/* zext.h is packw with rs2 = x0, in an extension of its own. */
	if (narrow && F7(i) == 4 && F3(i) == 4 && !RS2(i) && rv_has(h, RV_EXT_ZBB))
		return set(op, rv_op_zext_h);
	/* c.mv comes as an add to x0 */
	if (!narrow && !F7(i) && !F3(i) && !RS1(i)) {
		op->rs1 = op->rs2;
		return set(op, rv_op_mv);
	}
	return set_or_illegal(op, narrow ? find_reg(h, reg32_forms, ARRAY_SIZE(reg32_forms), i)
					 : find_reg(h, reg_forms, ARRAY_SIZE(reg_forms), i));
}

/* -------------------------------------------------- OP-IMM, OP-IMM-32 */

/* The unary ones, named by funct3 and all twelve bits of the immediate. */
static const struct unary_form {
	u16 imm;
	u8 f3;
	bool narrow;		/* in OP-IMM-32 */
	u8 ext, alt;
	rv_op_fn fn;
} unary_forms[] = {
	{ 0x600, 1, false, RV_EXT_ZBB, 0, rv_op_clz }, { 0x600, 1, true, RV_EXT_ZBB, 0, rv_op_clzw },
	{ 0x601, 1, false, RV_EXT_ZBB, 0, rv_op_ctz }, { 0x601, 1, true, RV_EXT_ZBB, 0, rv_op_ctzw },
	{ 0x602, 1, false, RV_EXT_ZBB, 0, rv_op_cpop },
	{ 0x602, 1, true, RV_EXT_ZBB, 0, rv_op_cpopw },
	{ 0x604, 1, false, RV_EXT_ZBB, 0, rv_op_sext_b },
	{ 0x605, 1, false, RV_EXT_ZBB, 0, rv_op_sext_h },
	{ 0x287, 5, false, RV_EXT_ZBB, 0, rv_op_orc_b },
	{ 0x6b8, 5, false, RV_EXT_ZBB, RV_EXT_ZBKB, rv_op_rev8 },
	{ 0x687, 5, false, RV_EXT_ZBKB, 0, rv_op_brev8 },
	{ 0x100, 1, false, RV_EXT_ZKNH, 0, rv_op_sha256sum0 },
	{ 0x101, 1, false, RV_EXT_ZKNH, 0, rv_op_sha256sum1 },
	{ 0x102, 1, false, RV_EXT_ZKNH, 0, rv_op_sha256sig0 },
	{ 0x103, 1, false, RV_EXT_ZKNH, 0, rv_op_sha256sig1 },
	{ 0x104, 1, false, RV_EXT_ZKNH, 0, rv_op_sha512sum0 },
	{ 0x105, 1, false, RV_EXT_ZKNH, 0, rv_op_sha512sum1 },
	{ 0x106, 1, false, RV_EXT_ZKNH, 0, rv_op_sha512sig0 },
	{ 0x107, 1, false, RV_EXT_ZKNH, 0, rv_op_sha512sig1 },
	{ 0x108, 1, false, RV_EXT_ZKSH, 0, rv_op_sm3p0 },
	{ 0x109, 1, false, RV_EXT_ZKSH, 0, rv_op_sm3p1 },
	{ 0x300, 1, false, RV_EXT_ZKND, 0, rv_op_aes64im },
};

static rv_op_fn unary(const struct rv_hart *h, u32 i, bool narrow, struct rv_op *op)
{
	for (size_t n = 0; n < ARRAY_SIZE(unary_forms); n++) {
		const struct unary_form *f = &unary_forms[n];

		if (f->imm == i >> 20 && f->f3 == F3(i) && f->narrow == narrow)
			return form_present(h, f->ext, f->alt) ? f->fn : NULL;
	}
	/* aes64ks1i: the round, 0 to 10, in the lowest four bits. */
	if (!narrow && F3(i) == 1 && i >> 24 == 0x31 && RS2(i) <= 0x1a &&
	    form_present(h, RV_EXT_ZKNE, RV_EXT_ZKND)) {
		op->aux = RS2(i) & 15;
		return rv_op_aes64ks1i;
	}
	return NULL;
}

static enum rv_decoded decode_shift(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	bool right = F3(i) == 5;
	rv_op_fn fn = unary(h, i, false, op);

	if (fn)
		return set(op, fn);
	op->imm = (s32)(i >> 20 & 63);
	switch (i >> 26) {
	case 0x00: return set(op, right ? rv_op_srli : rv_op_slli);
	case 0x10: return set_or_illegal(op, right ? rv_op_srai : NULL);
	case 0x0a: return set_or_illegal(op, !right && rv_has(h, RV_EXT_ZBS) ? rv_op_bseti : NULL);
	case 0x12: return set_or_illegal(op, !rv_has(h, RV_EXT_ZBS) ? NULL :
					 right ? rv_op_bexti : rv_op_bclri);
	case 0x1a: return set_or_illegal(op, !right && rv_has(h, RV_EXT_ZBS) ? rv_op_binvi : NULL);
	case 0x18: return set_or_illegal(op, right && form_present(h, RV_EXT_ZBB, RV_EXT_ZBKB) ?
					 rv_op_rori : NULL);
	}
	return illegal(op);
}

static enum rv_decoded decode_imm(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	op->imm = IMM_I(i);
	switch (F3(i)) {
	case 0:
		if (!RS1(i))
			return set(op, rv_op_li);
		return set(op, op->imm ? rv_op_addi : rv_op_mv);
	case 2: return set(op, rv_op_slti);
	case 3: return set(op, rv_op_sltiu);
	case 4: return set(op, rv_op_xori);
	case 6:
		/* prefetch.{i,r,w} are hints in here, with rd = x0 */
		return set(op, rv_op_ori);
	case 7: return set(op, rv_op_andi);
	}
	return decode_shift(h, i, op);
}

static enum rv_decoded decode_imm32(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	rv_op_fn fn = unary(h, i, true, op);

	op->imm = IMM_I(i);
	if (F3(i) == 0)
		return set(op, rv_op_addiw);
	if (fn)
		return set(op, fn);
	op->imm = (s32)(i >> 20 & 63);
	if (F3(i) == 1 && i >> 26 == 2 && rv_has(h, RV_EXT_ZBA))
		return set(op, rv_op_slli_uw);
	if (op->imm & 32)
		return illegal(op);
	switch (F7(i) << 4 | F3(i)) {
	case 0x001: return set(op, rv_op_slliw);
	case 0x005: return set(op, rv_op_srliw);
	case 0x205: return set(op, rv_op_sraiw);
	case 0x305: return set_or_illegal(op, form_present(h, RV_EXT_ZBB, RV_EXT_ZBKB) ?
					  rv_op_roriw : NULL);
	}
	return illegal(op);
}

/* -------------------------------------------------------------- memory */

static enum rv_decoded decode_load(u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[8] = {
		rv_op_lb, rv_op_lh, rv_op_lw, rv_op_ld, rv_op_lbu, rv_op_lhu, rv_op_lwu, NULL,
	};

	op->imm = IMM_I(i);
	op->aux = (F3(i) & RV_MEM_SIZE) | (F3(i) < 4 ? RV_MEM_SIGNED : 0);
	return set_or_illegal(op, fns[F3(i)]);
}

static enum rv_decoded decode_store(u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[8] = { rv_op_sb, rv_op_sh, rv_op_sw, rv_op_sd };

	op->imm = IMM_S(i);
	op->aux = F3(i) & RV_MEM_SIZE;
	return set_or_illegal(op, fns[F3(i)]);
}

/* Zfhmin is in Zfh. What works on binary64 needs D, and all of it F. */
static bool has_half(const struct rv_hart *h)
{
	return rv_has(h, RV_EXT_F) && (rv_has(h, RV_EXT_ZFH) || rv_has(h, RV_EXT_ZFHMIN));
}

/* f registers are numbered without the sink. */
static enum rv_decoded decode_fp_mem(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[8][2] = {
		[1] = { rv_op_flh, rv_op_fsh }, [2] = { rv_op_flw, rv_op_fsw },
		[3] = { rv_op_fld, rv_op_fsd },
	};
	const bool present[8] = {
		[1] = has_half(h), [2] = rv_has(h, RV_EXT_F), [3] = rv_has(h, RV_EXT_D),
	};
	bool store = i & 0x20;

	if (!present[F3(i)])
		return illegal(op);
	op->rd = RD(i);
	op->imm = store ? IMM_S(i) : IMM_I(i);
	op->aux = (u8)(F3(i) | RV_MEM_FP);
	op->fn = fns[F3(i)][store];
	return store ? RV_DECODED_FP_CLEAN : RV_DECODED_FP;
}

/* rd is compared with, so its number is wanted even if it is x0; .q has even pairs. */
static enum rv_decoded decode_amocas(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[8] = { [2] = rv_op_amocas_w, rv_op_amocas_d, rv_op_amocas_q };

	if (!rv_has(h, RV_EXT_ZACAS) || !rv_has(h, RV_EXT_A) ||
	    (F3(i) == 4 && ((RD(i) | RS2(i)) & 1)))
		return illegal(op);
	op->imm = 0;
	op->aux = RD(i);
	return set_or_illegal(op, fns[F3(i)]);
}

static enum rv_decoded decode_amo(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[32][2] = {
		[0x00] = { rv_op_amoadd_w, rv_op_amoadd_d }, [0x01] = { rv_op_amoswap_w, rv_op_amoswap_d },
		[0x02] = { rv_op_lr_w, rv_op_lr_d }, [0x03] = { rv_op_sc_w, rv_op_sc_d },
		[0x04] = { rv_op_amoxor_w, rv_op_amoxor_d }, [0x08] = { rv_op_amoor_w, rv_op_amoor_d },
		[0x0c] = { rv_op_amoand_w, rv_op_amoand_d }, [0x10] = { rv_op_amomin_w, rv_op_amomin_d },
		[0x14] = { rv_op_amomax_w, rv_op_amomax_d }, [0x18] = { rv_op_amominu_w, rv_op_amominu_d },
		[0x1c] = { rv_op_amomaxu_w, rv_op_amomaxu_d },
	};
	unsigned f5 = i >> 27;

	if (f5 == 5)
		return decode_amocas(h, i, op);
	if (!rv_has(h, RV_EXT_A) || (F3(i) != 2 && F3(i) != 3) || (f5 == 2 && RS2(i)))
		return illegal(op);
	op->imm = 0;
	return set_or_illegal(op, fns[f5][F3(i) - 2]);
}

static enum rv_decoded decode_misc_mem(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	op->imm = 0;
	switch (F3(i)) {
	case 0:
		/* pause is a fence with no predecessor */
		if (i == 0x0100000f && rv_has(h, RV_EXT_ZIHINTPAUSE))
			return set(op, rv_op_pause);
		return set(op, rv_op_fence);
	case 1:
		if (!rv_has(h, RV_EXT_ZIFENCEI))
			break;
		op->fn = rv_op_fence_i;
		return RV_DECODED_END;
	case 2:
		if (RD(i))
			break;
		op->aux = (u8)(i >> 20);
		if (i >> 20 <= 2 && rv_has(h, RV_EXT_ZICBOM))
			return set(op, rv_op_cbo);
		if (i >> 20 == 4 && rv_has(h, RV_EXT_ZICBOZ))
			return set(op, rv_op_cbo_zero);
		break;
	}
	return illegal(op);
}

/* ------------------------------------------------------------ branches */

static enum rv_decoded decode_branch(u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[8][2] = {
		{ rv_op_beq, rv_op_beq_back }, { rv_op_bne, rv_op_bne_back }, { 0 }, { 0 },
		{ rv_op_blt, rv_op_blt_back }, { rv_op_bge, rv_op_bge_back },
		{ rv_op_bltu, rv_op_bltu_back }, { rv_op_bgeu, rv_op_bgeu_back },
	};
	s32 imm = imm_b(i);

	if (!fns[F3(i)][0])
		return illegal(op);
	op->imm = op->off + imm;
	op->fn = fns[F3(i)][imm <= 0];
	return RV_DECODED_END;
}

static enum rv_decoded decode_jal(u32 i, struct rv_op *op)
{
	s32 imm = imm_j(i);

	op->imm = op->off + imm;
	if ((u32)op->imm >= SV_PAGE_SIZE)
		op->fn = RD(i) ? rv_op_jal_far : rv_op_j_far;
	else
		op->fn = RD(i) ? rv_op_jal : imm <= 0 ? rv_op_j_back : rv_op_j;
	return RV_DECODED_END;
}

static enum rv_decoded decode_jalr(u32 i, struct rv_op *op)
{
	if (F3(i))
		return illegal(op);
	op->imm = IMM_I(i);
	op->fn = RD(i) ? rv_op_jalr : rv_op_jr;
	return RV_DECODED_END;
}

/* -------------------------------------------------------------- system */

static enum rv_decoded end(struct rv_op *op, rv_op_fn fn)
{
	op->fn = fn;
	return RV_DECODED_END;
}

static enum rv_decoded decode_csr(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	unsigned what = F3(i) & 3;	/* 1 write, 2 set, 3 clear: rv_csr_op's order */

	if (!rv_has(h, RV_EXT_ZICSR))
		return illegal(op);
	/* Set and clear with x0, or 0, only read. */
	if (what != 1 && !RS1(i))
		what = RV_CSR_READ;
	op->imm = (s32)(i >> 20);
	op->aux = (u8)(what | (F3(i) & 4));
	op->fn = rv_op_csr;
	return RV_DECODED_CSR;
}

/* Zimop: mop.r.0 to 31 and mop.rr.0 to 7, whose numbers are spread over the immediate. */
static enum rv_decoded decode_mop(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	if (!rv_has(h, RV_EXT_ZIMOP))
		return illegal(op);
	if ((i & 0xb3c00000) == 0x81c00000 || (i & 0xb2000000) == 0x82000000)
		return set(op, rv_op_mop);
	return illegal(op);
}

static enum rv_decoded decode_system(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	if (F3(i) == 4)
		return decode_mop(h, i, op);
	if (F3(i))
		return decode_csr(h, i, op);
	switch (i) {
	case 0x00000073: return end(op, rv_op_ecall);
	case 0x00100073: return end(op, rv_op_ebreak);
	case 0x10200073: return end(op, rv_op_sret);
	case 0x10500073: return end(op, rv_op_wfi);
	case 0x00d00073:
	case 0x01d00073:	/* wrs.nto, wrs.sto */
		return set_or_illegal(op, rv_has(h, RV_EXT_ZAWRS) ? rv_op_wrs : NULL);
	}
	if (RD(i))
		return illegal(op);
	switch (F7(i)) {
	case 0x09: return end(op, rv_op_sfence_vma);
	case 0x0b: return end(op, rv_has(h, RV_EXT_SVINVAL) ? rv_op_sfence_vma : rv_op_illegal);
	case 0x0c:
		if (RS1(i) || RS2(i) > 1 || !rv_has(h, RV_EXT_SVINVAL))
			break;
		return set(op, rv_op_sfence_inval);
	}
	return illegal(op);
}

/* ------------------------------------------------------------------ FP */

struct fp_form {
	u8 f5;
	u8 f3;		/* 0..7: must match; RM: a rounding mode */
	s8 rs2;		/* -1: a register; else must match */
	u8 kind;
	rv_op_fn s, d, h;
	u8 needs;	/* beside the format's: NEEDS_* */
};

enum { RM = 8 };
enum { F_TO_F, F_TO_X, F_TO_X_QUIET, X_TO_F };	/* what is written, for FS */
enum {
	NEEDS_D = 1, NEEDS_HALF = 2, NEEDS_ZFA = 4,
	MIN_H = 8,	/* in binary16, Zfhmin is enough */
};

static const struct fp_form fp_forms[] = {
	{ 0x00, RM, -1, F_TO_F, rv_op_fadd_s, rv_op_fadd_d, rv_op_fadd_h },
	{ 0x01, RM, -1, F_TO_F, rv_op_fsub_s, rv_op_fsub_d, rv_op_fsub_h },
	{ 0x02, RM, -1, F_TO_F, rv_op_fmul_s, rv_op_fmul_d, rv_op_fmul_h },
	{ 0x03, RM, -1, F_TO_F, rv_op_fdiv_s, rv_op_fdiv_d, rv_op_fdiv_h },
	{ 0x0b, RM, 0, F_TO_F, rv_op_fsqrt_s, rv_op_fsqrt_d, rv_op_fsqrt_h },
	{ 0x04, 0, -1, F_TO_F, rv_op_fsgnj_s, rv_op_fsgnj_d, rv_op_fsgnj_h },
	{ 0x04, 1, -1, F_TO_F, rv_op_fsgnjn_s, rv_op_fsgnjn_d, rv_op_fsgnjn_h },
	{ 0x04, 2, -1, F_TO_F, rv_op_fsgnjx_s, rv_op_fsgnjx_d, rv_op_fsgnjx_h },
	{ 0x05, 0, -1, F_TO_F, rv_op_fmin_s, rv_op_fmin_d, rv_op_fmin_h },
	{ 0x05, 1, -1, F_TO_F, rv_op_fmax_s, rv_op_fmax_d, rv_op_fmax_h },
	{ 0x14, 0, -1, F_TO_X, rv_op_fle_s, rv_op_fle_d, rv_op_fle_h },
	{ 0x14, 1, -1, F_TO_X, rv_op_flt_s, rv_op_flt_d, rv_op_flt_h },
	{ 0x14, 2, -1, F_TO_X, rv_op_feq_s, rv_op_feq_d, rv_op_feq_h },
	{ 0x1c, 0, 0, F_TO_X_QUIET, rv_op_fmv_x_w, rv_op_fmv_x_d, rv_op_fmv_x_h, MIN_H },
	{ 0x1c, 1, 0, F_TO_X_QUIET, rv_op_fclass_s, rv_op_fclass_d, rv_op_fclass_h },
	{ 0x1e, 0, 0, X_TO_F, rv_op_fmv_w_x, rv_op_fmv_d_x, rv_op_fmv_h_x, MIN_H },
	{ 0x18, RM, 0, F_TO_X, rv_op_fcvt_w_s, rv_op_fcvt_w_d, rv_op_fcvt_w_h },
	{ 0x18, RM, 1, F_TO_X, rv_op_fcvt_wu_s, rv_op_fcvt_wu_d, rv_op_fcvt_wu_h },
	{ 0x18, RM, 2, F_TO_X, rv_op_fcvt_l_s, rv_op_fcvt_l_d, rv_op_fcvt_l_h },
	{ 0x18, RM, 3, F_TO_X, rv_op_fcvt_lu_s, rv_op_fcvt_lu_d, rv_op_fcvt_lu_h },
	{ 0x1a, RM, 0, X_TO_F, rv_op_fcvt_s_w, rv_op_fcvt_d_w, rv_op_fcvt_h_w },
	{ 0x1a, RM, 1, X_TO_F, rv_op_fcvt_s_wu, rv_op_fcvt_d_wu, rv_op_fcvt_h_wu },
	{ 0x1a, RM, 2, X_TO_F, rv_op_fcvt_s_l, rv_op_fcvt_d_l, rv_op_fcvt_h_l },
	{ 0x1a, RM, 3, X_TO_F, rv_op_fcvt_s_lu, rv_op_fcvt_d_lu, rv_op_fcvt_h_lu },
	{ 0x08, RM, 1, F_TO_F, rv_op_fcvt_s_d, NULL, rv_op_fcvt_h_d, NEEDS_D | MIN_H },
	{ 0x08, RM, 0, F_TO_F, NULL, rv_op_fcvt_d_s, rv_op_fcvt_h_s, MIN_H },
	{ 0x08, RM, 2, F_TO_F, rv_op_fcvt_s_h, rv_op_fcvt_d_h, NULL, NEEDS_HALF },
	{ 0x08, RM, 4, F_TO_F, rv_op_fround_s, rv_op_fround_d, rv_op_fround_h, NEEDS_ZFA },
	{ 0x08, RM, 5, F_TO_F, rv_op_froundnx_s, rv_op_froundnx_d, rv_op_froundnx_h, NEEDS_ZFA },
	{ 0x05, 2, -1, F_TO_F, rv_op_fminm_s, rv_op_fminm_d, rv_op_fminm_h, NEEDS_ZFA },
	{ 0x05, 3, -1, F_TO_F, rv_op_fmaxm_s, rv_op_fmaxm_d, rv_op_fmaxm_h, NEEDS_ZFA },
	{ 0x14, 4, -1, F_TO_X, rv_op_fleq_s, rv_op_fleq_d, rv_op_fleq_h, NEEDS_ZFA },
	{ 0x14, 5, -1, F_TO_X, rv_op_fltq_s, rv_op_fltq_d, rv_op_fltq_h, NEEDS_ZFA },
	{ 0x1e, 0, 1, X_TO_F, rv_op_fli_s, rv_op_fli_d, rv_op_fli_h, NEEDS_ZFA },
	{ 0x18, 1, 8, F_TO_X, NULL, rv_op_fcvtmod_w_d, NULL, NEEDS_ZFA },
};

static const struct fp_form *find_fp(u32 i)
{
	for (size_t n = 0; n < ARRAY_SIZE(fp_forms); n++) {
		const struct fp_form *f = &fp_forms[n];

		if (f->f5 == i >> 27 && (f->f3 == RM || f->f3 == F3(i)) &&
		    (f->rs2 == -1 || f->rs2 == (s8)RS2(i)))
			return f;
	}
	return NULL;
}

static bool rm_valid(u32 i)
{
	return F3(i) <= 4 || F3(i) == 7;
}

enum { FMT_S, FMT_D, FMT_H };

static bool fmt_present(const struct rv_hart *h, unsigned fmt, bool min_h)
{
	switch (fmt) {
	case FMT_S: return rv_has(h, RV_EXT_F);
	case FMT_D: return rv_has(h, RV_EXT_D);
	case FMT_H: return min_h ? has_half(h) : rv_has(h, RV_EXT_F) && rv_has(h, RV_EXT_ZFH);
	}
	return false;
}

static bool fp_form_present(const struct rv_hart *h, const struct fp_form *f, unsigned fmt)
{
	return fmt_present(h, fmt, f->needs & MIN_H) &&
	       (!(f->needs & NEEDS_D) || rv_has(h, RV_EXT_D)) &&
	       (!(f->needs & NEEDS_HALF) || has_half(h)) &&
	       (!(f->needs & NEEDS_ZFA) || rv_has(h, RV_EXT_ZFA));
}

static enum rv_decoded decode_fp(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	unsigned fmt = i >> 25 & 3;
	const struct fp_form *f = find_fp(i);

	if (!f || !fp_form_present(h, f, fmt) || (f->f3 == RM && !rm_valid(i)))
		return illegal(op);
	op->fn = fmt == FMT_S ? f->s : fmt == FMT_D ? f->d : f->h;
	if (!op->fn)
		return illegal(op);
	op->aux = f->f3 == RM ? F3(i) : 0;
	if (f->kind == F_TO_F || f->kind == X_TO_F)
		op->rd = RD(i);
	return f->kind == F_TO_X_QUIET ? RV_DECODED_FP_CLEAN : RV_DECODED_FP;
}

static enum rv_decoded decode_fma(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[4][3] = {
		{ rv_op_fmadd_s, rv_op_fmadd_d, rv_op_fmadd_h },
		{ rv_op_fmsub_s, rv_op_fmsub_d, rv_op_fmsub_h },
		{ rv_op_fnmsub_s, rv_op_fnmsub_d, rv_op_fnmsub_h },
		{ rv_op_fnmadd_s, rv_op_fnmadd_d, rv_op_fnmadd_h },
	};
	unsigned fmt = i >> 25 & 3;

	if (!fmt_present(h, fmt, false) || !rm_valid(i))
		return illegal(op);
	op->rd = RD(i);
	op->aux = (u8)(F3(i) | RS3(i) << 3);
	op->fn = fns[i >> 2 & 3][fmt];
	return RV_DECODED_FP;
}

/* Does the op of this form look at frm? */
bool rv_decode_dynamic_rm(u32 i)
{
	const struct fp_form *f;

	if ((i & 0x73) == 0x43 && (i & 3) == 3)
		return F3(i) == 7;
	if ((i & 0x7f) != 0x53 || F3(i) != 7)
		return false;
	f = find_fp(i);
	return f && f->f3 == RM;
}

/* ------------------------------------------------------------- the whole */

enum rv_decoded rv_decode(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	op->rd = dest(i);
	op->rs1 = RS1(i);
	op->rs2 = RS2(i);
	op->aux = 0;
	switch (i & 0x7f) {
	case 0x03: return decode_load(i, op);
	case 0x07:
	case 0x27:
		if (!F3(i) || F3(i) >= 5)
			return rv_decode_vec(h, i, op);
		return decode_fp_mem(h, i, op);
	case 0x0f: return decode_misc_mem(h, i, op);
	case 0x13: return decode_imm(h, i, op);
	case 0x17:
		op->imm = (s32)((u32)IMM_U(i) + op->off);
		return set(op, rv_op_auipc);
	case 0x1b: return decode_imm32(h, i, op);
	case 0x23: return decode_store(i, op);
	case 0x2f: return decode_amo(h, i, op);
	case 0x33:
	case 0x3b: return decode_reg(h, i, op);
	case 0x37:
		op->imm = IMM_U(i);
		return set(op, rv_op_li);
	case 0x43:
	case 0x47:
	case 0x4b:
	case 0x4f: return decode_fma(h, i, op);
	case 0x53: return decode_fp(h, i, op);
	case 0x57:
	case 0x77: return rv_decode_vec(h, i, op);
	case 0x63: return decode_branch(i, op);
	case 0x67: return decode_jalr(i, op);
	case 0x6f: return decode_jal(i, op);
	case 0x73: return decode_system(h, i, op);
	}
	return illegal(op);
}
