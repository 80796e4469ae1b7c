/* SPDX-License-Identifier: MIT */
/* What the files of floating point ops share: operands, flags, the way through softfloat. */
#ifndef SV_CPU_RISCV_OPS_FP_H
#define SV_CPU_RISCV_OPS_FP_H

#include "cpu/fp/softfloat.h"
#include "cpu/riscv/impl.h"

#define NEXT return DISPATCH(h, op + 1)

static inline enum sf_round rm_of(const struct rv_hart *h, u8 aux)
{
	return (aux & 7) == 7 ? (enum sf_round)h->frm : (enum sf_round)(aux & 7);
}

static inline void raise_flags(struct rv_hart *h, u8 flags)
{
	if (flags & ~h->fflags) {
		h->fflags |= flags;
		rv_fp_update(h);
	}
}

#define RM rm_of(h, op->aux)
#define S1 sf32_unbox(h->f[op->rs1])
#define S2 sf32_unbox(h->f[op->rs2])
#define S3 sf32_unbox(h->f[op->aux >> 3])
#define H1 sf16_unbox(h->f[op->rs1])
#define H2 sf16_unbox(h->f[op->rs2])
#define H3 sf16_unbox(h->f[op->aux >> 3])
#define D1 (h->f[op->rs1])
#define D2 (h->f[op->rs2])
#define D3 (h->f[op->aux >> 3])
#define FAST (h->fp_fast[op->aux & 7])

/*
 * The exact path, apart from the op: it has a flags variable whose address is taken, which
 * would keep the op from tail-calling.
 */
#define SOFT(name, type, ...) \
	static sv_noinline type soft_##name(struct rv_hart *h, const struct rv_op *op) \
	{ \
		u8 fl = 0; \
		type r = (type)(__VA_ARGS__); \
		raise_flags(h, fl); \
		return r; \
	}

#define BOX16(v) sf16_box(v)
#define BOX32(v) sf32_box(v)
#define BOX64(v) (v)

/* No rounding and no flags. */
#define PLAIN(name, expr) RV_OP(name) { h->f[op->rd] = (expr); NEXT; }

/* To the float registers through softfloat. */
#define TO_F(name, box, type, ...) \
	SOFT(name, type, __VA_ARGS__) \
	RV_OP(name) { h->f[op->rd] = box(soft_##name(h, op)); NEXT; }
/* To the integer registers; 32-bit results sign-extend. */
#define TO_X(name, type, ext, ...) \
	SOFT(name, type, __VA_ARGS__) \
	RV_OP(name) { h->x[op->rd] = (u64)(s64)(ext)soft_##name(h, op); NEXT; }

#endif
