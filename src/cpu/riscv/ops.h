/* SPDX-License-Identifier: MIT */
/*
 * Every op there is, by name. impl.h declares a function for each; the function of an op
 * stands in ops_int.c, ops_crypto.c, ops_mem.c, ops_fp.c, ops_half.c, ops_zfa.c, ops_sys.c or
 * ops_vec_*.c.
 */
#define RV_OPS_INT(F) \
	F(nop) F(li) F(auipc) F(mv) \
	F(addi) F(slti) F(sltiu) F(xori) F(ori) F(andi) F(slli) F(srli) F(srai) \
	F(addiw) F(slliw) F(srliw) F(sraiw) \
	F(add) F(sub) F(sll) F(slt) F(sltu) F(xor) F(srl) F(sra) F(or) F(and) \
	F(addw) F(subw) F(sllw) F(srlw) F(sraw) \
	F(mul) F(mulh) F(mulhsu) F(mulhu) F(div) F(divu) F(rem) F(remu) \
	F(mulw) F(divw) F(divuw) F(remw) F(remuw) \
	F(add_uw) F(sh1add) F(sh2add) F(sh3add) F(sh1add_uw) F(sh2add_uw) F(sh3add_uw) F(slli_uw) \
	F(andn) F(orn) F(xnor) F(clz) F(ctz) F(cpop) F(clzw) F(ctzw) F(cpopw) \
	F(max) F(maxu) F(min) F(minu) F(sext_b) F(sext_h) F(zext_h) \
	F(rol) F(ror) F(rori) F(rolw) F(rorw) F(roriw) F(orc_b) F(rev8) \
	F(bclr) F(bext) F(binv) F(bset) F(bclri) F(bexti) F(binvi) F(bseti) \
	F(czero_eqz) F(czero_nez) F(mop) \
	F(beq) F(bne) F(blt) F(bge) F(bltu) F(bgeu) \
	F(beq_back) F(bne_back) F(blt_back) F(bge_back) F(bltu_back) F(bgeu_back) \
	F(j) F(j_back) F(j_far) F(jal) F(jal_far) F(jalr) F(jr) F(fall) F(fall_far)

#define RV_OPS_CRYPTO(F) \
	F(clmul) F(clmulh) F(clmulr) F(pack) F(packh) F(packw) F(brev8) F(xperm4) F(xperm8) \
	F(aes64es) F(aes64esm) F(aes64ds) F(aes64dsm) F(aes64im) F(aes64ks1i) F(aes64ks2) \
	F(sha256sig0) F(sha256sig1) F(sha256sum0) F(sha256sum1) \
	F(sha512sig0) F(sha512sig1) F(sha512sum0) F(sha512sum1) \
	F(sm4ed) F(sm4ks) F(sm3p0) F(sm3p1)

#define RV_OPS_MEM(F) \
	F(lb) F(lh) F(lw) F(ld) F(lbu) F(lhu) F(lwu) F(flh) F(flw) F(fld) \
	F(sb) F(sh) F(sw) F(sd) F(fsh) F(fsw) F(fsd) \
	F(lr_w) F(lr_d) F(sc_w) F(sc_d) \
	F(amoswap_w) F(amoadd_w) F(amoxor_w) F(amoand_w) F(amoor_w) \
	F(amomin_w) F(amomax_w) F(amominu_w) F(amomaxu_w) \
	F(amoswap_d) F(amoadd_d) F(amoxor_d) F(amoand_d) F(amoor_d) \
	F(amomin_d) F(amomax_d) F(amominu_d) F(amomaxu_d) \
	F(amocas_w) F(amocas_d) F(amocas_q) \
	F(cbo) F(cbo_zero)

#define RV_OPS_FP(F) \
	F(fp_check) F(fp_check_clean) F(fp_dynamic_rm) \
	F(fadd_s) F(fsub_s) F(fmul_s) F(fdiv_s) F(fsqrt_s) F(fmadd_s) F(fmsub_s) F(fnmsub_s) F(fnmadd_s) \
	F(fadd_d) F(fsub_d) F(fmul_d) F(fdiv_d) F(fsqrt_d) F(fmadd_d) F(fmsub_d) F(fnmsub_d) F(fnmadd_d) \
	F(fsgnj_s) F(fsgnjn_s) F(fsgnjx_s) F(fmin_s) F(fmax_s) F(feq_s) F(flt_s) F(fle_s) F(fclass_s) \
	F(fsgnj_d) F(fsgnjn_d) F(fsgnjx_d) F(fmin_d) F(fmax_d) F(feq_d) F(flt_d) F(fle_d) F(fclass_d) \
	F(fcvt_w_s) F(fcvt_wu_s) F(fcvt_l_s) F(fcvt_lu_s) F(fcvt_s_w) F(fcvt_s_wu) F(fcvt_s_l) F(fcvt_s_lu) \
	F(fcvt_w_d) F(fcvt_wu_d) F(fcvt_l_d) F(fcvt_lu_d) F(fcvt_d_w) F(fcvt_d_wu) F(fcvt_d_l) F(fcvt_d_lu) \
	F(fcvt_s_d) F(fcvt_d_s) F(fmv_x_w) F(fmv_w_x) F(fmv_x_d) F(fmv_d_x)

#define RV_OPS_HALF(F) \
	F(fadd_h) F(fsub_h) F(fmul_h) F(fdiv_h) F(fsqrt_h) F(fmadd_h) F(fmsub_h) F(fnmsub_h) F(fnmadd_h) \
	F(fsgnj_h) F(fsgnjn_h) F(fsgnjx_h) F(fmin_h) F(fmax_h) F(feq_h) F(flt_h) F(fle_h) F(fclass_h) \
	F(fcvt_w_h) F(fcvt_wu_h) F(fcvt_l_h) F(fcvt_lu_h) F(fcvt_h_w) F(fcvt_h_wu) F(fcvt_h_l) F(fcvt_h_lu) \
	F(fcvt_h_s) F(fcvt_h_d) F(fcvt_s_h) F(fcvt_d_h) F(fmv_x_h) F(fmv_h_x) \
	F(fli_h) F(fround_h) F(froundnx_h) F(fminm_h) F(fmaxm_h) F(fleq_h) F(fltq_h)

#define RV_OPS_ZFA(F) \
	F(fli_s) F(fround_s) F(froundnx_s) F(fminm_s) F(fmaxm_s) F(fleq_s) F(fltq_s) \
	F(fli_d) F(fround_d) F(froundnx_d) F(fminm_d) F(fmaxm_d) F(fleq_d) F(fltq_d) F(fcvtmod_w_d)

#define RV_OPS_SYS(F) \
	F(count) F(illegal) F(fence) F(fence_i) F(ecall) F(ebreak) F(sret) F(wfi) F(wrs) F(pause) \
	F(sfence_vma) F(sfence_inval) F(csr)

#define RV_OPS_VEC(F) \
	F(vsetvli) F(vsetivli) F(vsetvl) F(vec) F(vec_no_half) F(vec_unit) F(vec_mem) F(vec_whole)

RV_OPS_INT(RV_OP_DECLARE)
RV_OPS_CRYPTO(RV_OP_DECLARE)
RV_OPS_MEM(RV_OP_DECLARE)
RV_OPS_FP(RV_OP_DECLARE)
RV_OPS_HALF(RV_OP_DECLARE)
RV_OPS_ZFA(RV_OP_DECLARE)
RV_OPS_SYS(RV_OP_DECLARE)
RV_OPS_VEC(RV_OP_DECLARE)
