// SPDX-License-Identifier: MIT
/*
 * Vector fixed-point arithmetic (manual, chapter 12): saturation sets vxsat, rounding goes by
 * vxrm, which the kernel gets as rm.
 */
#include "cpu/riscv/vec_kernel.h"
#include "cpu/riscv/impl.h"

/* What is added to v >> d: 0 or 1 (table 6). */
#define ROUND_UP(type) \
	static inline type round_up_##type(type v, unsigned d, unsigned vxrm) \
	{ \
		type half, below; \
		if (!d) \
			return 0; \
		half = v >> (d - 1) & 1; \
		below = v & (((type)1 << (d - 1)) - 1); \
		switch (vxrm) { \
		case 0: return half; \
		case 1: return half & (type)(below != 0 || (v >> d & 1)); \
		case 2: return 0; \
		default: return !(v >> d & 1) & (half || below); \
		} \
	}
ROUND_UP(u64)
ROUND_UP(u128)
#define round_up(v, d) (B == 64 ? (X)round_up_u128((v), (d), c->rm) : (X)round_up_u64((u64)(v), (d), c->rm))

#define VEC(name, out, in2, in1, ...) \
	{ \
		out *d = (out *)c->vd; const in2 *s2 = (const in2 *)c->vs2; \
		const in1 *s1 = (const in1 *)c->vs1; bool sat = false; \
		RV_VEACH(c, in1 b = s1[i]; in2 a = s2[i]; __VA_ARGS__); \
		h->vec.vxsat |= sat; \
	}
#define SCA(name, out, in2, in1, ...) \
	{ \
		out *d = (out *)c->vd; const in2 *s2 = (const in2 *)c->vs2; \
		const in1 b = (in1)c->x; bool sat = false; \
		RV_VEACH(c, in2 a = s2[i]; __VA_ARGS__); \
		h->vec.vxsat |= sat; \
	}
#define FIXED(name, ...) \
	RV_VKERNELS(name##_vv, VEC(name, T, T, T, __VA_ARGS__)) \
	RV_VKERNELS(name##_vx, SCA(name, T, T, T, __VA_ARGS__))
#define CLIP(name, ...) \
	RV_VKERNELS_W(name##_wv, VEC(name, T, W, T, __VA_ARGS__)) \
	RV_VKERNELS_W(name##_wx, SCA(name, T, W, T, __VA_ARGS__))

#define SMAX ((T)((T)~(T)0 >> 1))
#define SMIN ((T)(SMAX + 1))

FIXED(saddu, T r = (T)(a + b); bool o = r < a; d[i] = o ? (T)~(T)0 : r; sat |= o)
FIXED(ssubu, bool o = a < b; d[i] = o ? 0 : (T)(a - b); sat |= o)
FIXED(sadd, T r = (T)(a + b); bool o = (T)(~(a ^ b) & (a ^ r)) >> (B - 1);
      d[i] = o ? ((S)a < 0 ? SMIN : SMAX) : r; sat |= o)
FIXED(ssub, T r = (T)(a - b); bool o = (T)((a ^ b) & (a ^ r)) >> (B - 1);
      d[i] = o ? ((S)a < 0 ? SMIN : SMAX) : r; sat |= o)

#define AVG(name, as, op) \
	FIXED(name, X r = (X)(SX)(as)a op (X)(SX)(as)b; d[i] = (T)((r >> 1) + round_up(r, 1)); (void)sat)
AVG(aaddu, T, +)
AVG(aadd, S, +)
AVG(asubu, T, -)
AVG(asub, S, -)

/* Only the least number squared overflows. */
FIXED(smul, bool o = a == SMIN && b == SMIN; SX p = (SX)(S)a * (SX)(S)b;
      d[i] = o ? SMAX : (T)((p >> (B - 1)) + (SX)round_up((X)p, B - 1)); sat |= o)
FIXED(ssrl, unsigned n = b & (B - 1); d[i] = (T)((a >> n) + (T)round_up(a, n)); (void)sat)
FIXED(ssra, unsigned n = b & (B - 1); d[i] = (T)(((S)a >> n) + (S)round_up(a, n)); (void)sat)
CLIP(nclipu, unsigned n = b & (2 * B - 1); W r = (W)((a >> n) + (W)round_up(a, n)); bool o = r >> B;
     d[i] = o ? (T)~(T)0 : (T)r; sat |= o)
CLIP(nclip, unsigned n = b & (2 * B - 1); SW r = (SW)(((SW)a >> n) + (SW)round_up(a, n));
     bool o = r != (S)r; d[i] = o ? (r < 0 ? SMIN : SMAX) : (T)r; sat |= o)

/* ------------------------------------------------------------- the table */

#define K(f6, cat, form, flags, n) { f6, cat, -1, form, VX_FIXED | (flags), RV_EXT_V, RV_VK(n) }
#define KW(f6, cat, form, flags, n) { f6, cat, -1, form, VX_FIXED | (flags), RV_EXT_V, RV_VKW(n) }
#define IVX(f6, n) K(f6, OPIVV, VF_VV, 0, n##_vv), K(f6, OPIVX, VF_VX, 0, n##_vx)
#define IVXI(f6, n, fl) IVX(f6, n), K(f6, OPIVI, VF_VX, fl, n##_vx)
#define MVX(f6, n) K(f6, OPMVV, VF_VV, 0, n##_vv), K(f6, OPMVX, VF_VX, 0, n##_vx)
#define NVXI(f6, n) KW(f6, OPIVV, VF_NARROW_V, 0, n##_wv), KW(f6, OPIVX, VF_NARROW_X, 0, n##_wx), \
	KW(f6, OPIVI, VF_NARROW_X, VX_UIMM, n##_wx)

static const struct rv_vinsn table[] = {
	IVXI(0x20, saddu, 0), IVXI(0x21, sadd, 0), IVX(0x22, ssubu), IVX(0x23, ssub),
	MVX(0x08, aaddu), MVX(0x09, aadd), MVX(0x0a, asubu), MVX(0x0b, asub),
	IVX(0x27, smul), IVXI(0x2a, ssrl, VX_UIMM), IVXI(0x2b, ssra, VX_UIMM),
	NVXI(0x2e, nclipu), NVXI(0x2f, nclip),
};

const struct rv_vtable rv_vec_fixed_table = { table, ARRAY_SIZE(table) };
