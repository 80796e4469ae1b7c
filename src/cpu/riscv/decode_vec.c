// SPDX-License-Identifier: MIT
/*
 * Vector instructions to ops: the encodings of OP-V and OP-VE are in the tables that stand
 * beside the kernels; loads, stores and vset* are decoded here. What depends on vtype is
 * looked at when the op runs, since any vsetvl may change it.
 */
#include "cpu/riscv/impl.h"
#include "cpu/riscv/vec_tables.h"

#define RD(i) ((i) >> 7 & 31)
#define RS1(i) ((i) >> 15 & 31)
#define RS2(i) ((i) >> 20 & 31)
#define F3(i) ((i) >> 12 & 7)
#define F6(i) ((i) >> 26)
#define VM(i) ((i) >> 25 & 1)

static enum rv_decoded illegal(struct rv_op *op)
{
	op->fn = rv_op_illegal;
	return RV_DECODED_END;
}

static bool has(const struct rv_hart *h, const struct rv_vinsn *d)
{
	/* Zvkb is a part of Zvbb, Zvknha of Zvknhb. */
	return rv_has(h, d->ext) || (d->ext == RV_EXT_ZVKB && rv_has(h, RV_EXT_ZVBB));
}

/* Zvfhmin is a part of Zvfh. */
static bool lacks_half(const struct rv_hart *h, const struct rv_vinsn *d)
{
	if (!(d->flags & (VX_HALF8 | VX_HALF16)) || rv_has(h, RV_EXT_ZVFH))
		return false;
	return !(d->flags & VX_HALFMIN) || !rv_has(h, RV_EXT_ZVFHMIN);
}

static bool matches(const struct rv_hart *h, const struct rv_vinsn *d, u32 i, unsigned cat)
{
	/* vmv.s.x, vfmv.s.f name their sub-operation in vs2, which is 0. */
	if (d->f6 != F6(i) || d->f3 != cat || (d->sub >= 0 && (u32)d->sub != RS1(i)))
		return false;
	if (((d->flags & VX_VM1) && !VM(i)) || ((d->flags & VX_VM0) && VM(i)))
		return false;
	if ((d->flags & VX_VS2_0) && RS2(i))
		return false;
	return has(h, d);
}

static enum rv_decoded decode_arith(const struct rv_hart *h, u32 i, struct rv_op *op, unsigned cat)
{
	for (unsigned t = 0; t < RV_NR_VEC_TABLES; t++) {
		const struct rv_vtable *tab = rv_vec_tables[t];

		for (unsigned n = 0; n < tab->n; n++) {
			if (!matches(h, &tab->insn[n], i, cat))
				continue;
			op->rd = RD(i);
			op->aux = (u8)VM(i);
			op->imm = (s32)(t << 16 | n);
			op->fn = lacks_half(h, &tab->insn[n]) ? rv_op_vec_no_half : rv_op_vec;
			return RV_DECODED;
		}
	}
	return illegal(op);
}

static enum rv_decoded decode_config(u32 i, struct rv_op *op)
{
	if (!(i >> 31)) {
		op->imm = (s32)(i >> 20 & 0x7ff);
		op->fn = rv_op_vsetvli;
	} else if (i >> 30 == 3) {
		op->imm = (s32)(i >> 20 & 0x3ff);
		op->fn = rv_op_vsetivli;
	} else if (i >> 25 == 0x40) {
		op->fn = rv_op_vsetvl;
	} else {
		return illegal(op);
	}
	return RV_DECODED;
}

/* aux: 1 for a store. The rest is read from raw. */
static enum rv_decoded decode_memory(u32 i, struct rv_op *op)
{
	bool store = i & 0x20;
	unsigned mop = i >> 26 & 3, nf = (i >> 29) + 1;

	if (i >> 28 & 1)		/* mew */
		return illegal(op);
	op->rd = RD(i);
	op->imm = 0;
	op->aux = store;
	op->fn = rv_op_vec_mem;
	if (mop)
		return RV_DECODED;
	switch (RS2(i)) {
	case 0:
		if (nf == 1 && VM(i))
			op->fn = rv_op_vec_unit;
		return RV_DECODED;
	case 0x08:
		if (!VM(i) || (nf & (nf - 1)) || (store && F3(i)) || (RD(i) & (nf - 1)))
			break;
		op->fn = rv_op_vec_whole;
		return RV_DECODED;
	case 0x0b:
		if (!VM(i) || nf != 1 || F3(i))
			break;
		op->fn = rv_op_vec_unit;
		return RV_DECODED;
	case 0x10:
		if (store)
			break;
		return RV_DECODED;
	}
	return illegal(op);
}

enum rv_decoded rv_decode_vec(const struct rv_hart *h, u32 i, struct rv_op *op)
{
	if (!rv_has(h, RV_EXT_V))
		return illegal(op);
	switch (i & 0x7f) {
	case 0x57:
		return F3(i) == 7 ? decode_config(i, op) : decode_arith(h, i, op, F3(i));
	case 0x77:
		return F3(i) == 2 ? decode_arith(h, i, op, OPP) : illegal(op);
	}
	return decode_memory(i, op);
}
