// SPDX-License-Identifier: MIT
/*
 * Vector bit manipulation: Zvbb, its part Zvkb, and the carry-less products of Zvbc.
 */
#include "cpu/riscv/vec_kernel.h"
#include "cpu/riscv/impl.h"

#define BIN_V(name, ...) \
	RV_VKERNELS(name##_vv, \
		T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
		RV_VEACH(c, T b = s1[i]; T a = s2[i]; d[i] = (T)(__VA_ARGS__));)
#define BIN_X(name, ...) \
	RV_VKERNELS(name##_vx, \
		T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2; const T b = (T)c->x; \
		RV_VEACH(c, T a = s2[i]; d[i] = (T)(__VA_ARGS__));)
#define BIN(name, ...) BIN_V(name, __VA_ARGS__) BIN_X(name, __VA_ARGS__)
#define UNARY(name, ...) \
	RV_VKERNELS(name, \
		T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2; \
		RV_VEACH(c, T a = s2[i]; d[i] = (T)(__VA_ARGS__));)

BIN(andn, a & ~b)
BIN(rol, (P)a << (b & (B - 1)) | a >> (-b & (B - 1)))
BIN(ror, a >> (b & (B - 1)) | (P)a << (-b & (B - 1)))
/* vror.vi with bit 5 of its amount, which is in funct6. */
RV_VKERNELS(ror_high,
	T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2; const unsigned b = (c->x + 32) & (B - 1);
	RV_VEACH(c, T a = s2[i]; d[i] = (T)(a >> b | (P)a << (-b & (B - 1))));)

static inline u64 brev8(u64 v)
{
	v = (v & 0x5555555555555555) << 1 | (v >> 1 & 0x5555555555555555);
	v = (v & 0x3333333333333333) << 2 | (v >> 2 & 0x3333333333333333);
	return (v & 0x0f0f0f0f0f0f0f0f) << 4 | (v >> 4 & 0x0f0f0f0f0f0f0f0f);
}

UNARY(brev8, brev8(a))
UNARY(rev8, __builtin_bswap64(a) >> (64 - B))
UNARY(brev, __builtin_bswap64(brev8(a)) >> (64 - B))
UNARY(clz, a ? __builtin_clzll(a) - (64 - B) : B)
UNARY(ctz, a ? __builtin_ctzll(a) : B)
UNARY(cpop, __builtin_popcountll(a))

#define WIDE_SHIFT(form, get) \
	RV_VKERNELS_W(wsll_##form, \
		W *d = (W *)c->vd; const T *s2 = (const T *)c->vs2; \
		const T *s1 RV_VT = (const T *)c->vs1; \
		RV_VEACH(c, T b = (get); d[i] = (W)((WP)s2[i] << (b & (2 * B - 1))));)
WIDE_SHIFT(vv, s1[i])
WIDE_SHIFT(vx, (T)c->x)

/* All 128 bits, in constant time. */
static u128 clmul(u64 a, u64 b)
{
	u128 r = 0;

	for (unsigned i = 0; i < 64; i++)
		r ^= ((u128)a << i) & -(u128)(b >> i & 1);
	return r;
}

#define CLMUL(name, ...) \
	RV_VKERNEL(name##_vv, 64, \
		T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
		RV_VEACH(c, T b = s1[i]; T a = s2[i]; d[i] = (T)(__VA_ARGS__));) \
	RV_VKERNEL(name##_vx, 64, \
		T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2; const T b = (T)c->x; \
		RV_VEACH(c, T a = s2[i]; d[i] = (T)(__VA_ARGS__));)
CLMUL(clmul, clmul(a, b))
CLMUL(clmulh, clmul(a, b) >> 64)

/* ------------------------------------------------------------- the table */

#define K(f6, cat, form, flags, ext, n) { f6, cat, -1, form, flags, ext, RV_VK(n) }
#define UN(sub, ext, n) { 0x12, OPMVV, sub, VF_VX, 0, ext, RV_VK(n) }
#define W_(cat, form, flags, n) { 0x35, cat, -1, form, flags, RV_EXT_ZVBB, RV_VKW(n) }
#define C_(f6, cat, form, n) { f6, cat, -1, form, 0, RV_EXT_ZVBC, { NULL, NULL, NULL, v_##n##_64 } }

static const struct rv_vinsn table[] = {
	K(0x01, OPIVV, VF_VV, 0, RV_EXT_ZVKB, andn_vv), K(0x01, OPIVX, VF_VX, 0, RV_EXT_ZVKB, andn_vx),
	K(0x14, OPIVV, VF_VV, 0, RV_EXT_ZVKB, ror_vv), K(0x14, OPIVX, VF_VX, 0, RV_EXT_ZVKB, ror_vx),
	K(0x15, OPIVV, VF_VV, 0, RV_EXT_ZVKB, rol_vv), K(0x15, OPIVX, VF_VX, 0, RV_EXT_ZVKB, rol_vx),
	K(0x14, OPIVI, VF_VX, VX_UIMM, RV_EXT_ZVKB, ror_vx),
	K(0x15, OPIVI, VF_VX, VX_UIMM, RV_EXT_ZVKB, ror_high),
	UN(8, RV_EXT_ZVKB, brev8), UN(9, RV_EXT_ZVKB, rev8),
	UN(10, RV_EXT_ZVBB, brev), UN(12, RV_EXT_ZVBB, clz), UN(13, RV_EXT_ZVBB, ctz),
	UN(14, RV_EXT_ZVBB, cpop),
	W_(OPIVV, VF_WIDE_VV, 0, wsll_vv), W_(OPIVX, VF_WIDE_VX, 0, wsll_vx),
	W_(OPIVI, VF_WIDE_VX, VX_UIMM, wsll_vx),
	C_(0x0c, OPMVV, VF_VV, clmul_vv), C_(0x0c, OPMVX, VF_VX, clmul_vx),
	C_(0x0d, OPMVV, VF_VV, clmulh_vv), C_(0x0d, OPMVX, VF_VX, clmulh_vx),
};

const struct rv_vtable rv_vec_bits_table = { table, ARRAY_SIZE(table) };
