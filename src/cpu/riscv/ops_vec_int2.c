// SPDX-License-Identifier: MIT
/*
 * Vector integer arithmetic that changes the width: widening, narrowing, extension.
 */
#include "cpu/riscv/vec_kernel.h"
#include "cpu/riscv/impl.h"

/* d is of type W, a and b of type T. */
#define WIDE_V(name, ...) \
	RV_VKERNELS_W(name##_vv, \
		W *d = (W *)c->vd; const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
		RV_VEACH(c, T b = s1[i]; T a = s2[i]; d[i] = (W)(__VA_ARGS__));)
#define WIDE_X(name, ...) \
	RV_VKERNELS_W(name##_vx, \
		W *d = (W *)c->vd; const T *s2 = (const T *)c->vs2; const T b = (T)c->x; \
		RV_VEACH(c, T a = s2[i]; d[i] = (W)(__VA_ARGS__));)
#define WIDE(name, ...) WIDE_V(name, __VA_ARGS__) WIDE_X(name, __VA_ARGS__)
/* Signed or unsigned, as wide as the result, and free of int's overflow. */
#define U(v) ((W)(v))
#define I(v) ((W)(SW)(S)(v))
#define MUL(x, y) ((W)((WP)(x) * (WP)(y)))
WIDE(waddu, U(a) + U(b))
WIDE(wadd, I(a) + I(b))
WIDE(wsubu, U(a) - U(b))
WIDE(wsub, I(a) - I(b))
WIDE(wmulu, MUL(U(a), U(b)))
WIDE(wmul, MUL(I(a), I(b)))
WIDE(wmulsu, MUL(I(a), U(b)))
WIDE(wmaccu, d[i] + MUL(U(a), U(b)))
WIDE(wmacc, d[i] + MUL(I(a), I(b)))
WIDE(wmaccsu, d[i] + MUL(U(a), I(b)))
WIDE_X(wmaccus, d[i] + MUL(I(a), U(b)))

/* a is of type W too. */
#define WIDE_W(name, ...) \
	RV_VKERNELS_W(name##_wv, \
		W *d = (W *)c->vd; const W *s2 = (const W *)c->vs2; const T *s1 = (const T *)c->vs1; \
		RV_VEACH(c, T b = s1[i]; W a = s2[i]; d[i] = (W)(__VA_ARGS__));) \
	RV_VKERNELS_W(name##_wx, \
		W *d = (W *)c->vd; const W *s2 = (const W *)c->vs2; const T b = (T)c->x; \
		RV_VEACH(c, W a = s2[i]; d[i] = (W)(__VA_ARGS__));)
WIDE_W(waddu, a + U(b))
WIDE_W(wadd, a + I(b))
WIDE_W(wsubu, a - U(b))
WIDE_W(wsub, a - I(b))

/* a is of type W, the result of type T. */
#define NARROW(name, ...) \
	RV_VKERNELS_W(name##_wv, \
		T *d = (T *)c->vd; const W *s2 = (const W *)c->vs2; const T *s1 = (const T *)c->vs1; \
		RV_VEACH(c, T b = s1[i]; W a = s2[i]; d[i] = (T)(__VA_ARGS__));) \
	RV_VKERNELS_W(name##_wx, \
		T *d = (T *)c->vd; const W *s2 = (const W *)c->vs2; const T b = (T)c->x; \
		RV_VEACH(c, W a = s2[i]; d[i] = (T)(__VA_ARGS__));)
NARROW(nsrl, a >> (b & (2 * B - 1)))
NARROW(nsra, (SW)a >> (b & (2 * B - 1)))

/* By the destination's width. */
#define EXTEND(name, from, to) \
	static void v_##name##_##from##_##to(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		to *d = (to *)c->vd; \
		const from *s = (const from *)c->vs2; \
		RV_VEACH(c, d[i] = (to)s[i]); \
	}
#define EXTENDS(f, t) EXTEND(ext, u##f, u##t) EXTEND(ext, s##f, s##t)
EXTENDS(8, 16) EXTENDS(8, 32) EXTENDS(8, 64) EXTENDS(16, 32) EXTENDS(16, 64) EXTENDS(32, 64)

/* ------------------------------------------------------------- the table */

#define K(f6, cat, form, flags, n) { f6, cat, -1, form, flags, RV_EXT_V, RV_VKW(n) }
#define WVX(f6, n) K(f6, OPMVV, VF_WIDE_VV, 0, n##_vv), K(f6, OPMVX, VF_WIDE_VX, 0, n##_vx)
#define WWX(f6, n) K(f6, OPMVV, VF_WIDE_WV, 0, n##_wv), K(f6, OPMVX, VF_WIDE_WX, 0, n##_wx)
#define NVXI(f6, n) K(f6, OPIVV, VF_NARROW_V, 0, n##_wv), K(f6, OPIVX, VF_NARROW_X, 0, n##_wx), \
	K(f6, OPIVI, VF_NARROW_X, VX_UIMM, n##_wx)
#define EXT(sub, by, ...) { 0x12, OPMVV, sub, VF_EXT##by, 0, RV_EXT_V, { __VA_ARGS__ } }

static const struct rv_vinsn table[] = {
	WVX(0x30, waddu), WVX(0x31, wadd), WVX(0x32, wsubu), WVX(0x33, wsub),
	WWX(0x34, waddu), WWX(0x35, wadd), WWX(0x36, wsubu), WWX(0x37, wsub),
	WVX(0x38, wmulu), WVX(0x3a, wmulsu), WVX(0x3b, wmul),
	WVX(0x3c, wmaccu), WVX(0x3d, wmacc), WVX(0x3f, wmaccsu),
	K(0x3e, OPMVX, VF_WIDE_VX, 0, wmaccus_vx),
	NVXI(0x2c, nsrl), NVXI(0x2d, nsra),
	EXT(2, 8, NULL, NULL, NULL, v_ext_u8_u64), EXT(3, 8, NULL, NULL, NULL, v_ext_s8_s64),
	EXT(4, 4, NULL, NULL, v_ext_u8_u32, v_ext_u16_u64),
	EXT(5, 4, NULL, NULL, v_ext_s8_s32, v_ext_s16_s64),
	EXT(6, 2, NULL, v_ext_u8_u16, v_ext_u16_u32, v_ext_u32_u64),
	EXT(7, 2, NULL, v_ext_s8_s16, v_ext_s16_s32, v_ext_s32_s64),
};

const struct rv_vtable rv_vec_int2_table = { table, ARRAY_SIZE(table) };
