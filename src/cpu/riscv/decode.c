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

/* By funct7 (a sparse few), funct3. ext: RV_EXT_COUNT means the base. */
struct reg_form {
	u8 f7, f3, ext;
	rv_op_fn fn;
};

static rv_op_fn find_reg(const struct rv_hart *h, const struct reg_form *t, size_t n, u32 i)
{
	for (; n--; t++)
		if (t->f7 == F7(i) && t->f3 == F3(i))
			return t->ext == RV_EXT_COUNT || rv_has(h, t->ext) ? t->fn : NULL;
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
	{ 0x05, 1, RV_EXT_ZBC, rv_op_clmul }, { 0x05, 2, RV_EXT_ZBC, rv_op_clmulr },
	{ 0x05, 3, RV_EXT_ZBC, rv_op_clmulh }, { 0x05, 4, RV_EXT_ZBB, rv_op_min },
	{ 0x05, 5, RV_EXT_ZBB, rv_op_minu }, { 0x05, 6, RV_EXT_ZBB, rv_op_max },
	{ 0x05, 7, RV_EXT_ZBB, rv_op_maxu },
	{ 0x07, 5, RV_EXT_ZICOND, rv_op_czero_eqz }, { 0x07, 7, RV_EXT_ZICOND, rv_op_czero_nez },
	{ 0x10, 2, RV_EXT_ZBA, rv_op_sh1add }, { 0x10, 4, RV_EXT_ZBA, rv_op_sh2add },
	{ 0x10, 6, RV_EXT_ZBA, rv_op_sh3add },
	{ 0x20, 4, RV_EXT_ZBB, rv_op_xnor }, { 0x20, 6, RV_EXT_ZBB, rv_op_orn },
	{ 0x20, 7, RV_EXT_ZBB, rv_op_andn },
	{ 0x30, 1, RV_EXT_ZBB, rv_op_rol }, { 0x30, 5, RV_EXT_ZBB, rv_op_ror },
	{ 0x14, 1, RV_EXT_ZBS, rv_op_bset }, { 0x24, 1, RV_EXT_ZBS, rv_op_bclr },
	{ 0x24, 5, RV_EXT_ZBS, rv_op_bext }, { 0x34, 1, RV_EXT_ZBS, rv_op_binv },
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
	{ 0x30, 1, RV_EXT_ZBB, rv_op_rolw }, { 0x30, 5, RV_EXT_ZBB, rv_op_rorw },
};

static enum rv_decoded decode_reg(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	bool narrow = i & 8;

	/* zext.h is pack with rs2 = x0 of an extension we do not have. */
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

/* The unary ones of Zbb, named by all twelve bits of the immediate. */
static rv_op_fn unary(const struct rv_hart *h, u32 i, bool narrow)
{
	if (!rv_has(h, RV_EXT_ZBB))
		return NULL;
	switch (i >> 20 | (u32)F3(i) << 12) {
	case 0x1600: return narrow ? rv_op_clzw : rv_op_clz;
	case 0x1601: return narrow ? rv_op_ctzw : rv_op_ctz;
	case 0x1602: return narrow ? rv_op_cpopw : rv_op_cpop;
	case 0x1604: return narrow ? NULL : rv_op_sext_b;
	case 0x1605: return narrow ? NULL : rv_op_sext_h;
	case 0x5287: return narrow ? NULL : rv_op_orc_b;
	case 0x56b8: return narrow ? NULL : rv_op_rev8;
	}
	return NULL;
}

static enum rv_decoded decode_shift(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	bool right = F3(i) == 5;
	rv_op_fn fn = unary(h, i, false);

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
	case 0x18: return set_or_illegal(op, right && rv_has(h, RV_EXT_ZBB) ? rv_op_rori : NULL);
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
	rv_op_fn fn = unary(h, i, true);

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
	case 0x305: return set_or_illegal(op, rv_has(h, RV_EXT_ZBB) ? rv_op_roriw : NULL);
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

/* f registers are numbered without the sink. */
static enum rv_decoded decode_fp_mem(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	bool store = i & 0x20, wide = F3(i) == 3;

	if ((F3(i) != 2 && !wide) || !rv_has(h, wide ? RV_EXT_D : RV_EXT_F))
		return illegal(op);
	op->rd = RD(i);
	op->imm = store ? IMM_S(i) : IMM_I(i);
	op->aux = (u8)(F3(i) | RV_MEM_FP);
	op->fn = store ? (wide ? rv_op_fsd : rv_op_fsw) : (wide ? rv_op_fld : rv_op_flw);
	return store ? RV_DECODED_FP_CLEAN : RV_DECODED_FP;
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

static enum rv_decoded decode_system(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	if (F3(i) == 4)
		return illegal(op);
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
	s8 rs2;		/* -1: a register; -2: chosen by it, see fn's index; else must match */
	u8 kind;
	rv_op_fn s, d;
};

enum { RM = 8 };
enum { F_TO_F, F_TO_X, F_TO_X_QUIET, X_TO_F };	/* what is written, for FS */

static const struct fp_form fp_forms[] = {
	{ 0x00, RM, -1, F_TO_F, rv_op_fadd_s, rv_op_fadd_d },
	{ 0x01, RM, -1, F_TO_F, rv_op_fsub_s, rv_op_fsub_d },
	{ 0x02, RM, -1, F_TO_F, rv_op_fmul_s, rv_op_fmul_d },
	{ 0x03, RM, -1, F_TO_F, rv_op_fdiv_s, rv_op_fdiv_d },
	{ 0x0b, RM, 0, F_TO_F, rv_op_fsqrt_s, rv_op_fsqrt_d },
	{ 0x04, 0, -1, F_TO_F, rv_op_fsgnj_s, rv_op_fsgnj_d },
	{ 0x04, 1, -1, F_TO_F, rv_op_fsgnjn_s, rv_op_fsgnjn_d },
	{ 0x04, 2, -1, F_TO_F, rv_op_fsgnjx_s, rv_op_fsgnjx_d },
	{ 0x05, 0, -1, F_TO_F, rv_op_fmin_s, rv_op_fmin_d },
	{ 0x05, 1, -1, F_TO_F, rv_op_fmax_s, rv_op_fmax_d },
	{ 0x14, 0, -1, F_TO_X, rv_op_fle_s, rv_op_fle_d },
	{ 0x14, 1, -1, F_TO_X, rv_op_flt_s, rv_op_flt_d },
	{ 0x14, 2, -1, F_TO_X, rv_op_feq_s, rv_op_feq_d },
	{ 0x1c, 0, 0, F_TO_X_QUIET, rv_op_fmv_x_w, rv_op_fmv_x_d },
	{ 0x1c, 1, 0, F_TO_X_QUIET, rv_op_fclass_s, rv_op_fclass_d },
	{ 0x1e, 0, 0, X_TO_F, rv_op_fmv_w_x, rv_op_fmv_d_x },
	{ 0x18, RM, 0, F_TO_X, rv_op_fcvt_w_s, rv_op_fcvt_w_d },
	{ 0x18, RM, 1, F_TO_X, rv_op_fcvt_wu_s, rv_op_fcvt_wu_d },
	{ 0x18, RM, 2, F_TO_X, rv_op_fcvt_l_s, rv_op_fcvt_l_d },
	{ 0x18, RM, 3, F_TO_X, rv_op_fcvt_lu_s, rv_op_fcvt_lu_d },
	{ 0x1a, RM, 0, X_TO_F, rv_op_fcvt_s_w, rv_op_fcvt_d_w },
	{ 0x1a, RM, 1, X_TO_F, rv_op_fcvt_s_wu, rv_op_fcvt_d_wu },
	{ 0x1a, RM, 2, X_TO_F, rv_op_fcvt_s_l, rv_op_fcvt_d_l },
	{ 0x1a, RM, 3, X_TO_F, rv_op_fcvt_s_lu, rv_op_fcvt_d_lu },
	{ 0x08, RM, 1, F_TO_F, rv_op_fcvt_s_d, NULL },
	{ 0x08, RM, 0, F_TO_F, NULL, rv_op_fcvt_d_s },
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

static enum rv_decoded decode_fp(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	unsigned fmt = i >> 25 & 3;
	const struct fp_form *f = find_fp(i);

	if (!f || fmt > 1 || !rv_has(h, fmt ? RV_EXT_D : RV_EXT_F) || (f->f3 == RM && !rm_valid(i)))
		return illegal(op);
	op->fn = fmt ? f->d : f->s;
	if (!op->fn || (f->f5 == 0x08 && !rv_has(h, RV_EXT_D)))
		return illegal(op);
	op->aux = f->f3 == RM ? F3(i) : 0;
	if (f->kind == F_TO_F || f->kind == X_TO_F)
		op->rd = RD(i);
	return f->kind == F_TO_X_QUIET ? RV_DECODED_FP_CLEAN : RV_DECODED_FP;
}

static enum rv_decoded decode_fma(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	static const rv_op_fn fns[4][2] = {
		{ rv_op_fmadd_s, rv_op_fmadd_d }, { rv_op_fmsub_s, rv_op_fmsub_d },
		{ rv_op_fnmsub_s, rv_op_fnmsub_d }, { rv_op_fnmadd_s, rv_op_fnmadd_d },
	};
	unsigned fmt = i >> 25 & 3;

	if (fmt > 1 || !rv_has(h, fmt ? RV_EXT_D : RV_EXT_F) || !rm_valid(i))
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
	case 0x27: return decode_fp_mem(h, i, op);
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
	case 0x63: return decode_branch(i, op);
	case 0x67: return decode_jalr(i, op);
	case 0x6f: return decode_jal(i, op);
	case 0x73: return decode_system(h, i, op);
	}
	return illegal(op);
}
