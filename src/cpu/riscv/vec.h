/* SPDX-License-Identifier: MIT */
/*
 * The vector extension (unprivileged manual, "V" Standard Extension for Vector Operations,
 * version 1.0; ELEN 64, VLEN chosen when the hart is made).
 *
 * Model. An instruction other than loads, stores and vset* is a row of a table: its encoding,
 * the form of its operands, and one kernel for each SEW. The op (ops_vec_cfg.c) looks at
 * vtype, refuses by the form what is reserved for it, fills a struct rv_vctx and calls the
 * kernel, which is the loop over the elements and nothing else. A NULL kernel is a reserved
 * SEW. Kernels of half precision stand in the rows of V; without Zvfh the decoder has another
 * op look that none of them is called.
 *
 * Registers lie one behind the other, so a group is contiguous memory, elements in
 * little-endian order.
 *
 * Agnostic elements are left undisturbed, tails of masks included.
 *
 * A kernel may go through its elements in any order that ends as one ascending in single
 * elements does; the overlaps that the manual allows (the lowest part of a wider source, the
 * highest part of a wider destination) let a chunk be read before it is written.
 */
#ifndef SV_CPU_RISCV_VEC_H
#define SV_CPU_RISCV_VEC_H

#include "base/types.h"

struct rv_hart;

enum { RV_VLEN_MIN = 128, RV_VLEN_MAX = 1024 };

#define RV_VTYPE_VILL BIT(63)

struct rv_vec {
	u64 vl, vtype, vstart;
	u32 vlenb;
	u32 vlmax;		/* these four follow from vtype */
	u8 sew;			/* log2 of bytes: 0..3 */
	s8 lmul;		/* log2: -3..3 */
	bool vill;
	u8 vxrm, vxsat;
	u64 resume_pc;		/* of the instruction that vec_field is about */
	u64 va;			/* what a memory op touches, for the fault path */
	u8 mmio_size;		/* log2, of the load that waits for its answer */
	u32 mmio_at;		/* where in reg it goes */
	u8 reg[32 * RV_VLEN_MAX / 8] __attribute__((aligned(64)));
};

/* What a kernel gets. vd, vs1, vs2 point at the registers. */
struct rv_vctx {
	u8 *vd;
	const u8 *vs1, *vs2;
	const u8 *mask;		/* v0 if the instruction is masked, else NULL */
	const u8 *v0;
	u64 x;			/* scalar operand, immediate */
	u32 vstart, vl, vlmax;
	u8 sew;
	u8 rm;			/* frm, or vxrm where the instruction rounds fixed point */
	u8 rs1, rd;		/* numbers, for those that go by them */
};

typedef void (*rv_vfn)(struct rv_hart *h, const struct rv_vctx *c);

/* funct3 of OP-V; OPP is OPMVV under OP-VE. */
enum rv_vcat { OPIVV, OPFVV, OPMVV, OPIVI, OPIVX, OPFVF, OPMVX, OPP };

/* Which operands there are, how wide, and what may overlap what. */
enum rv_vform {
	VF_VV, VF_VX,			/* all SEW; VX also stands for vd and vs2 alone */
	VF_MASK_VV, VF_MASK_VX,		/* the result is a mask */
	VF_MASKS,			/* masks only */
	VF_WIDE_VV, VF_WIDE_VX,		/* vd is twice as wide */
	VF_WIDE_WV, VF_WIDE_WX,		/* and vs2 */
	VF_NARROW_V, VF_NARROW_X,	/* vs2 is twice as wide */
	VF_RED,				/* vd and vs1 are one element */
	VF_EXT2, VF_EXT4, VF_EXT8,	/* vs2 is narrower */
	VF_GATHER, VF_GATHER16,		/* vd overlaps no source */
	VF_NO_OVERLAP_X,		/* vd is not vs2 */
	VF_COMPRESS, VF_IOTA, VF_ID, VF_SET_FIRST,
	VF_MASK_TO_X,			/* vs2 is a mask, rd an x register */
	VF_SCALAR,			/* one element, in any register */
	VF_WHOLE,			/* registers rs1 + 1 at a time */
	/* Element groups: whole ones only; VS: vs2 is one group, VI: no vs1. */
	VF_GROUP_VV, VF_GROUP_VS, VF_GROUP_VI,
};

enum {
	VX_VM1 = 1 << 0,	/* vm = 0 is reserved */
	VX_VM0 = 1 << 1,	/* vm = 1 is reserved; the mask is an operand, all elements are active */
	VX_ALWAYS = 1 << 2,	/* done also with vstart >= vl */
	VX_VSTART0 = 1 << 3,	/* vstart must be 0 */
	VX_UIMM = 1 << 4,	/* the immediate is unsigned */
	VX_FP = 1 << 5,		/* needs FS and, by the manual, a valid frm */
	VX_CARRY = 1 << 6,	/* the mask is an operand if there is one */
	VX_V0_OK = 1 << 7,	/* vd may be v0 though masked */
	VX_ANYTYPE = 1 << 8,	/* does not look at vtype */
	VX_FIXED = 1 << 9,	/* rounds by vxrm */
	VX_VS2_0 = 1 << 10,	/* the vs2 field must be 0 */
	VX_FX = 1 << 11,	/* the scalar is an f register */
	VX_GROUP8 = 1 << 12,	/* element groups of 8, not 4, elements */
	VX_APART = 1 << 13,	/* vd is none of the sources */
	VX_HALF8 = 1 << 14,	/* the kernel for SEW 8 is Zvfh's */
	VX_HALF16 = 1 << 15,	/* the one for SEW 16 */
	VX_HALFMIN = 1 << 16,	/* and Zvfhmin's */
};

struct rv_vinsn {
	u8 f6, f3;
	s8 sub;			/* what the vs1 field must be, -1: a register or immediate */
	u8 form;
	u32 flags;
	u8 ext;			/* enum rv_ext */
	rv_vfn fn[4];
};

struct rv_vtable {
	const struct rv_vinsn *insn;
	unsigned n;
};
extern const struct rv_vtable rv_vec_int_table, rv_vec_int2_table, rv_vec_fixed_table,
	rv_vec_fp_table, rv_vec_perm_table, rv_vec_bits_table, rv_vec_crypto_table;

static inline bool rv_csr_is_vector(unsigned csr)
{
	return (csr >= 0x008 && csr <= 0x00a) || csr == 0x00f || (csr >= 0xc20 && csr <= 0xc22);
}

static inline bool rv_vbit(const u8 *mask, u32 i)
{
	return mask[i >> 3] >> (i & 7) & 1;
}

static inline void rv_vbit_put(u8 *mask, u32 i, bool v)
{
	mask[i >> 3] = (u8)((mask[i >> 3] & ~(1u << (i & 7))) | (unsigned)v << (i & 7));
}

/* ----------------------------------------------------- writing kernels */

#ifdef __clang__
#define RV_VIVDEP
#else
#define RV_VIVDEP _Pragma("GCC ivdep")
#endif

/* stmt for each active element i of the body. */
#define RV_VEACH(c, stmt) \
	do { \
		const u8 *mask_ = (c)->mask; \
		u32 n_ = (c)->vl; \
		if (likely(!mask_)) { \
			RV_VIVDEP \
			for (u32 i = (c)->vstart; i < n_; i++) { stmt; } \
		} else { \
			for (u32 i = (c)->vstart; i < n_; i++) \
				if (rv_vbit(mask_, i)) { stmt; } \
		} \
	} while (0)

/*
 * The types of an element of B bits: T unsigned, S signed, W and SW twice as wide; P and WP what
 * T and W are computed in without an overflow of int; X and SX have room for a carry.
 */
#define RV_VT __attribute__((unused))
#define RV_VTYPES(b, w, p, wp, x) \
	enum { B = (b) }; typedef u##b RV_VT T; typedef s##b RV_VT S; typedef u##w RV_VT W; \
	typedef s##w RV_VT SW; typedef p RV_VT P; typedef wp RV_VT WP; \
	typedef u##x RV_VT X; typedef s##x RV_VT SX;
typedef unsigned __int128 u128;
typedef __int128 s128;
#define RV_VTYPES_8 RV_VTYPES(8, 16, u32, u32, 64)
#define RV_VTYPES_16 RV_VTYPES(16, 32, u32, u32, 64)
#define RV_VTYPES_32 RV_VTYPES(32, 64, u32, u64, 64)
#define RV_VTYPES_64 RV_VTYPES(64, 128, u64, u128, 128)

#define RV_VKERNEL(name, bits, ...) \
	static void v_##name##_##bits(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		RV_VTYPES_##bits \
		__VA_ARGS__ \
	}
#define RV_VKERNELS(name, ...) \
	RV_VKERNEL(name, 8, __VA_ARGS__) RV_VKERNEL(name, 16, __VA_ARGS__) \
	RV_VKERNEL(name, 32, __VA_ARGS__) RV_VKERNEL(name, 64, __VA_ARGS__)
/* SEW 64 has nothing twice as wide. */
#define RV_VKERNELS_W(name, ...) \
	RV_VKERNEL(name, 8, __VA_ARGS__) RV_VKERNEL(name, 16, __VA_ARGS__) \
	RV_VKERNEL(name, 32, __VA_ARGS__)

#define RV_VK(name) { v_##name##_8, v_##name##_16, v_##name##_32, v_##name##_64 }
#define RV_VKW(name) { v_##name##_8, v_##name##_16, v_##name##_32, NULL }
#define RV_VK1(name) { name, name, name, name }

#endif
