// SPDX-License-Identifier: MIT
/*
 * Vector configuration (vset*, the CSRs) and the op of every instruction that is a row of a
 * table: what vtype makes reserved, operands, the kernel's call.
 */
#include <string.h>

#include "cpu/fp/softfloat.h"
#include "cpu/riscv/impl.h"
#include "cpu/riscv/vec_tables.h"

#define NEXT return DISPATCH(h, op + 1)

enum {
	CSR_VSTART = 0x008, CSR_VXSAT = 0x009, CSR_VXRM = 0x00a, CSR_VCSR = 0x00f,
	CSR_VL = 0xc20, CSR_VTYPE = 0xc21, CSR_VLENB = 0xc22,
};

/* ---------------------------------------------------------- vl and vtype */

static void set_vill(struct rv_vec *v)
{
	v->vtype = RV_VTYPE_VILL;
	v->vill = true;
	v->sew = 0;
	v->lmul = 0;
	v->vlmax = 0;
	v->vl = 0;
}

/* vtype of the manual's section 3.4: reserved bits, SEW above 64 or above LMUL * ELEN are vill. */
static bool set_vtype(struct rv_vec *v, u64 type)
{
	unsigned sew = type >> 3 & 7;
	int lmul = (int)(type & 7);

	if (lmul >= 4)
		lmul -= 8;
	if (type >> 8 || sew > 3 || lmul == -4 || (lmul < 0 && (8u << sew) > 64u >> -lmul)) {
		set_vill(v);
		return false;
	}
	v->vtype = type;
	v->vill = false;
	v->sew = (u8)sew;
	v->lmul = (s8)lmul;
	v->vlmax = lmul >= 0 ? v->vlenb >> sew << lmul : v->vlenb >> sew >> -lmul;
	return true;
}

static bool vs_off(const struct rv_hart *h)
{
	return unlikely(!(h->sstatus & RV_SSTATUS_VS));
}

/* avl as 6.2 has it, for rs1 and rd of x0 too. */
static inline void vset(struct rv_hart *h, const struct rv_op *op, u64 type)
{
	struct rv_vec *v = &h->vec;
	u64 avl = op->rs1 ? h->x[op->rs1] : op->rd != RV_X_SINK ? ~0ull : v->vl;

	if (v->vill || type != v->vtype)
		set_vtype(v, type);
	v->vl = min(avl, (u64)v->vlmax);
	v->vstart = 0;
	h->sstatus |= RV_SSTATUS_VS;
	h->x[op->rd] = v->vl;
}

RV_OP(vsetvli)
{
	if (vs_off(h))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	vset(h, op, (u64)op->imm);
	NEXT;
}

RV_OP(vsetvl)
{
	if (vs_off(h))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	vset(h, op, h->x[op->rs2]);
	NEXT;
}

RV_OP(vsetivli)
{
	struct rv_vec *v = &h->vec;

	if (vs_off(h))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	if (v->vill || (u64)op->imm != v->vtype)
		set_vtype(v, (u64)op->imm);
	v->vl = min((u32)op->rs1, v->vlmax);
	v->vstart = 0;
	h->sstatus |= RV_SSTATUS_VS;
	h->x[op->rd] = v->vl;
	NEXT;
}

void rv_vec_reset(struct rv_hart *h)
{
	struct rv_vec *v = &h->vec;

	memset(v->reg, 0, (size_t)v->vlenb * 32);
	v->vl = v->vstart = 0;
	v->vxrm = v->vxsat = 0;
	h->vec_field = 0;
	h->vec_unsettled = false;
	set_vtype(v, 0);
}

void rv_vec_settle(struct rv_hart *h)
{
	struct rv_vec *v = &h->vec;
	u64 vl = v->vl;

	h->vec_unsettled = false;
	if (set_vtype(v, v->vtype))
		v->vl = min(vl, (u64)v->vlmax);
}

/* ------------------------------------------------------------------ CSRs */

bool rv_vec_csr_get(const struct rv_hart *h, unsigned csr, u64 *val)
{
	const struct rv_vec *v = &h->vec;

	if (!rv_has(h, RV_EXT_V))
		return false;
	switch (csr) {
	case CSR_VSTART: *val = v->vstart; break;
	case CSR_VXSAT: *val = v->vxsat; break;
	case CSR_VXRM: *val = v->vxrm; break;
	case CSR_VCSR: *val = (u64)v->vxrm << 1 | v->vxsat; break;
	case CSR_VL: *val = v->vl; break;
	case CSR_VTYPE: *val = v->vtype; break;
	case CSR_VLENB: *val = v->vlenb; break;
	default: return false;
	}
	return true;
}

/* vl and vtype come from the owner only: to the guest they are read-only. */
bool rv_vec_csr_set(struct rv_hart *h, unsigned csr, u64 val)
{
	struct rv_vec *v = &h->vec;

	if (!rv_has(h, RV_EXT_V))
		return false;
	switch (csr) {
	case CSR_VSTART: v->vstart = val & (v->vlenb * 8 - 1); break;
	case CSR_VXSAT: v->vxsat = val & 1; break;
	case CSR_VXRM: v->vxrm = val & 3; break;
	case CSR_VCSR:
		v->vxsat = val & 1;
		v->vxrm = val >> 1 & 3;
		break;
	case CSR_VL:
		v->vl = val;
		h->vec_unsettled = true;
		break;
	case CSR_VTYPE:
		v->vtype = val;
		h->vec_unsettled = true;
		break;
	default: return false;
	}
	return true;
}

unsigned rv_hart_get_vlenb(const struct rv_hart *h)
{
	return h->vec.vlenb;
}

void rv_hart_get_v(const struct rv_hart *h, unsigned n, void *bytes)
{
	memcpy(bytes, h->vec.reg + (n & 31) * h->vec.vlenb, h->vec.vlenb);
}

void rv_hart_set_v(struct rv_hart *h, unsigned n, const void *bytes)
{
	memcpy(h->vec.reg + (n & 31) * h->vec.vlenb, bytes, h->vec.vlenb);
}

/* ------------------------------------------------------- register groups */

/* Registers in a group of LMUL, or EMUL, 1 << lmul. */
static inline unsigned group(int lmul)
{
	return lmul > 0 ? 1u << lmul : 1;
}

static inline bool aligned(unsigned reg, int lmul)
{
	return !(reg & (group(lmul) - 1));
}

static inline bool overlap(unsigned a, unsigned na, unsigned b, unsigned nb)
{
	return a < b + nb && b < a + na;
}

/*
 * May a destination group be where it is beside a source of another EEW (5.2)? Not at all, or,
 * wider than the source, with the source, of at least one register, as its highest part.
 */
static bool apart(unsigned dst, int dst_lmul, unsigned src, int src_lmul)
{
	unsigned nd = group(dst_lmul), ns = group(src_lmul);

	if (!overlap(dst, nd, src, ns))
		return true;
	return nd > ns && src_lmul >= 0 && src == dst + nd - ns;
}

/* The same for one narrower than the source, which it may be the lowest part of. */
static bool apart_narrow(unsigned dst, int dst_lmul, unsigned src, int src_lmul)
{
	return dst == src || !overlap(dst, group(dst_lmul), src, group(src_lmul));
}

static bool legal_wide(const struct rv_vec *v, const struct rv_vinsn *d, unsigned vd, unsigned vs1,
		       unsigned vs2)
{
	int l = v->lmul;

	switch (d->form) {
	case VF_WIDE_VV:
	case VF_WIDE_VX:
		return l <= 2 && aligned(vd, l + 1) && aligned(vs2, l) && apart(vd, l + 1, vs2, l) &&
		       (d->form == VF_WIDE_VX || (aligned(vs1, l) && apart(vd, l + 1, vs1, l)));
	case VF_WIDE_WV:
	case VF_WIDE_WX:
		return l <= 2 && aligned(vd, l + 1) && aligned(vs2, l + 1) &&
		       (d->form == VF_WIDE_WX || (aligned(vs1, l) && apart(vd, l + 1, vs1, l)));
	default:
		return l <= 2 && aligned(vd, l) && aligned(vs2, l + 1) &&
		       apart_narrow(vd, l, vs2, l + 1) && (d->form == VF_NARROW_X || aligned(vs1, l));
	}
}

static bool legal_ext(const struct rv_vec *v, unsigned vd, unsigned vs2, int by)
{
	int l = v->lmul;

	return l - by >= -3 && aligned(vd, l) && aligned(vs2, l - by) && apart(vd, l, vs2, l - by);
}

/* Element groups (vector crypto manual, 1.2): the register group holds one, vl and vstart whole ones. */
static bool legal_groups(const struct rv_vec *v, const struct rv_vinsn *d, unsigned vd, unsigned vs1,
			 unsigned vs2)
{
	unsigned n = d->flags & VX_GROUP8 ? 8 : 4;
	int l = v->lmul;

	if (v->vl % n || v->vstart % n || v->vlmax < n || !aligned(vd, l))
		return false;
	if (d->form == VF_GROUP_VS)
		return !overlap(vd, group(l), vs2, 1);
	if (!aligned(vs2, l) || ((d->flags & VX_APART) && vd == vs2))
		return false;
	return d->form == VF_GROUP_VI || (aligned(vs1, l) && !((d->flags & VX_APART) && vd == vs1));
}

/* The forms that are not worth being fast. */
static bool legal_other(const struct rv_vec *v, const struct rv_vinsn *d, unsigned vd, unsigned vs1,
			unsigned vs2)
{
	int l = v->lmul, e;

	switch (d->form) {
	case VF_MASK_VV:
	case VF_MASK_VX:
		return aligned(vs2, l) && apart_narrow(vd, 0, vs2, l) &&
		       (d->form == VF_MASK_VX || (aligned(vs1, l) && apart_narrow(vd, 0, vs1, l)));
	case VF_RED:
		return aligned(vs2, l);
	case VF_EXT2: return legal_ext(v, vd, vs2, 1);
	case VF_EXT4: return legal_ext(v, vd, vs2, 2);
	case VF_EXT8: return legal_ext(v, vd, vs2, 3);
	case VF_GATHER:
		return aligned(vd | vs1 | vs2, l) && vd != vs1 && vd != vs2;
	case VF_GATHER16:
		e = 1 - v->sew + l;
		return e >= -3 && e <= 3 && aligned(vd | vs2, l) && aligned(vs1, e) && vd != vs2 &&
		       !overlap(vd, group(l), vs1, group(e));
	case VF_NO_OVERLAP_X:
		return aligned(vd | vs2, l) && vd != vs2;
	case VF_COMPRESS:
		return aligned(vd | vs2, l) && vd != vs2 && !overlap(vd, group(l), vs1, 1);
	case VF_IOTA:
		return aligned(vd, l) && !overlap(vd, group(l), vs2, 1);
	case VF_ID:
		return aligned(vd, l);
	case VF_SET_FIRST:
		return vd != vs2;
	case VF_MASKS:
	case VF_MASK_TO_X:
	case VF_SCALAR:
		return true;
	case VF_GROUP_VV:
	case VF_GROUP_VS:
	case VF_GROUP_VI:
		return legal_groups(v, d, vd, vs1, vs2);
	case VF_WHOLE:
		return !((vd | vs2) & vs1);
	default:
		return legal_wide(v, d, vd, vs1, vs2);
	}
}

static inline bool legal(const struct rv_vec *v, const struct rv_vinsn *d, const struct rv_op *op)
{
	unsigned vd = op->rd, vs1 = op->rs1, vs2 = op->rs2;

	if (!op->aux && !vd && !(d->flags & VX_V0_OK))
		return false;
	if (d->form == VF_VV)
		return aligned(vd | vs1 | vs2, v->lmul);
	if (d->form == VF_VX)
		return aligned(vd | vs2, v->lmul);
	return legal_other(v, d, vd, vs1, vs2);
}

/* ------------------------------------------------------------ execution */

static inline u64 scalar(const struct rv_hart *h, const struct rv_vinsn *d, const struct rv_op *op)
{
	if (d->f3 == OPIVI)
		return d->flags & VX_UIMM || op->rs1 < 16 ? op->rs1 : (u64)op->rs1 - 32;
	if (!(d->flags & VX_FX))
		return h->x[op->rs1];
	switch (h->vec.sew) {
	case 1: return sf16_unbox(h->f[op->rs1]);
	case 2: return sf32_unbox(h->f[op->rs1]);
	default: return h->f[op->rs1];
	}
}

/* False: an illegal instruction. Apart from the op, since c has its address taken. */
static sv_noinline bool run(struct rv_hart *h, const struct rv_op *op)
{
	const struct rv_vinsn *d = rv_vec_insn(op->imm);
	struct rv_vec *v = &h->vec;
	rv_vfn fn = d->fn[v->sew];
	struct rv_vctx c;

	if (vs_off(h) || (v->vill && !(d->flags & VX_ANYTYPE)) || !fn || !legal(v, d, op))
		return false;
	if ((d->flags & VX_FP) && (!(h->sstatus & RV_SSTATUS_FS) || h->frm > SF_RMM))
		return false;
	if ((d->flags & VX_VSTART0) && v->vstart)
		return false;
	c.vd = v->reg + op->rd * v->vlenb;
	c.vs1 = v->reg + op->rs1 * v->vlenb;
	c.vs2 = v->reg + op->rs2 * v->vlenb;
	c.v0 = v->reg;
	c.mask = op->aux || (d->flags & (VX_VM0 | VX_CARRY)) ? NULL : v->reg;
	c.x = scalar(h, d, op);
	c.vstart = (u32)v->vstart;
	c.vl = (u32)v->vl;
	c.vlmax = v->vlmax;
	c.sew = v->sew;
	c.rm = d->flags & VX_FIXED ? v->vxrm : h->frm;
	c.rs1 = op->rs1;
	c.rd = op->rd;
	/* vmadc and vmsbc without a carry in. */
	if ((d->flags & VX_CARRY) && op->aux)
		c.v0 = NULL;
	h->sstatus |= RV_SSTATUS_VS;
	if (likely(c.vstart < c.vl) || (d->flags & VX_ALWAYS))
		fn(h, &c);
	v->vstart = 0;
	return true;
}

RV_OP(vec)
{
	if (unlikely(!run(h, op)))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	NEXT;
}

/* A row with kernels of half precision on a hart that has none. */
RV_OP(vec_no_half)
{
	static const u32 half[4] = { VX_HALF8, VX_HALF16, 0, 0 };

	if (unlikely(rv_vec_insn(op->imm)->flags & half[h->vec.sew]) || unlikely(!run(h, op)))
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	NEXT;
}
