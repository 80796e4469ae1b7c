// SPDX-License-Identifier: MIT
/*
 * Vector integer arithmetic: what has a result of the same width, or a mask.
 */
#include "cpu/riscv/vec_kernel.h"
#include "cpu/riscv/impl.h"

/* a is vs2's element, b vs1's, x's or the immediate's. */
#define BIN_V(name, ...) \
	RV_VKERNELS(name##_vv, \
		T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
		RV_VEACH(c, T b = s1[i]; T a = s2[i]; d[i] = (T)(__VA_ARGS__));)
#define BIN_X(name, ...) \
	RV_VKERNELS(name##_vx, \
		T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2; const T b = (T)c->x; \
		RV_VEACH(c, T a = s2[i]; d[i] = (T)(__VA_ARGS__));)
#define BIN(name, ...) BIN_V(name, __VA_ARGS__) BIN_X(name, __VA_ARGS__)

BIN(add, (P)a + b)
BIN(sub, (P)a - b)
BIN_X(rsub, (P)b - a)
BIN(minu, a < b ? a : b)
BIN(min, (S)a < (S)b ? a : b)
BIN(maxu, a > b ? a : b)
BIN(max, (S)a > (S)b ? a : b)
BIN(and, a & b)
BIN(or, a | b)
BIN(xor, a ^ b)
BIN(sll, (P)a << (b & (B - 1)))
BIN(srl, a >> (b & (B - 1)))
BIN(sra, (S)a >> (b & (B - 1)))
BIN(mul, (P)a * b)
BIN(mulh, (SW)(S)a * (SW)(S)b >> B)
BIN(mulhu, (P)((W)a * (P)b >> B))
BIN(mulhsu, (SW)(S)a * (SW)b >> B)
BIN(divu, b ? (T)(a / b) : (T)~(T)0)
BIN(remu, b ? a % b : a)
/* The most negative number by -1 overflows to itself, remainder 0. */
BIN(div, !b ? (T)~(T)0 : (S)b == -1 ? (T)((P)0 - a) : (T)((S)a / (S)b))
BIN(rem, !b ? a : (S)b == -1 ? (T)0 : (T)((S)a % (S)b))

/* d[i] is an operand. */
#define TERN(name, ...) BIN(name, __VA_ARGS__)
TERN(macc, d[i] + (P)a * b)
TERN(nmsac, d[i] - (P)a * b)
TERN(madd, (P)b * d[i] + a)
TERN(nmsub, a - (P)b * d[i])

/* ------------------------------------------------------ carry, merge, move */

#define V0(i) ((T)(c->v0 && rv_vbit(c->v0, i)))
BIN(adc, (P)a + b + V0(i))
BIN(sbc, (P)a - b - V0(i))
BIN(merge, V0(i) ? b : a)
RV_VKERNELS(mv_vv,
	T *d = (T *)c->vd; const T *s1 = (const T *)c->vs1;
	RV_VEACH(c, d[i] = s1[i]);)
RV_VKERNELS(mv_vx,
	T *d = (T *)c->vd;
	RV_VEACH(c, d[i] = (T)c->x);)

/* ----------------------------------------------------------------- masks */

/* Eight bytes of 0 or 1 to eight bits. */
static inline u64 pack8(const u8 *t)
{
	u64 v;

	__builtin_memcpy(&v, t, 8);
	return v * 0x0102040810204080ull >> 56;
}

/*
 * Bits base..base+63 of the result, from one byte for each. The sources' elements up to there
 * have been read, so the destination may be the lowest register of one of them.
 */
static inline void put_mask(const struct rv_vctx *c, u32 base, const u8 *t)
{
	u64 *d = (u64 *)c->vd + base / 64, sel = ~0ull, r = 0;

	for (unsigned k = 0; k < 8; k++)
		r |= pack8(t + 8 * k) << 8 * k;
	if (c->mask)
		sel = ((const u64 *)c->mask)[base / 64];
	if (c->vstart > base)
		sel &= ~0ull << (c->vstart - base);
	if (c->vl - base < 64)
		sel &= (1ull << (c->vl - base)) - 1;
	*d = (*d & ~sel) | (r & sel);
}

#define TO_MASK(...) \
	for (u32 base = c->vstart & ~63u; base < c->vl; base += 64) { \
		u32 n = min(c->vl - base, 64u); \
		u8 t[64] = { 0 }; \
		RV_VIVDEP \
		for (u32 k = 0; k < n; k++) { \
			u32 i = base + k; \
			__VA_ARGS__; \
		} \
		put_mask(c, base, t); \
	}
#define CMP_V(name, ...) \
	RV_VKERNELS(name##_vv, \
		const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
		TO_MASK(T b = s1[i]; T a = s2[i]; t[k] = (__VA_ARGS__)))
#define CMP_X(name, ...) \
	RV_VKERNELS(name##_vx, \
		const T *s2 = (const T *)c->vs2; const T b = (T)c->x; \
		TO_MASK(T a = s2[i]; t[k] = (__VA_ARGS__)))
#define CMP(name, ...) CMP_V(name, __VA_ARGS__) CMP_X(name, __VA_ARGS__)

CMP(seq, a == b)
CMP(sne, a != b)
CMP(sltu, a < b)
CMP(slt, (S)a < (S)b)
CMP(sleu, a <= b)
CMP(sle, (S)a <= (S)b)
CMP_X(sgtu, a > b)
CMP_X(sgt, (S)a > (S)b)
CMP(madc, V0(i) ? (T)((P)a + b + 1) <= a : (T)((P)a + b) < a)
CMP(msbc, V0(i) ? a <= b : a < b)

/* ------------------------------------------------------------- the table */

#define K(f6, cat, form, flags, n) { f6, cat, -1, form, flags, RV_EXT_V, RV_VK(n) }
#define VX_(f6, n, fl) K(f6, OPIVV, VF_VV, fl, n##_vv), K(f6, OPIVX, VF_VX, fl, n##_vx)
#define VXI_(f6, n, fl) VX_(f6, n, fl), K(f6, OPIVI, VF_VX, fl, n##_vx)
#define XI_(f6, n, fl) K(f6, OPIVX, VF_VX, fl, n##_vx), K(f6, OPIVI, VF_VX, fl, n##_vx)
#define MVX(f6, n) K(f6, OPMVV, VF_VV, 0, n##_vv), K(f6, OPMVX, VF_VX, 0, n##_vx)
#define CMPV(f6, n, fl) K(f6, OPIVV, VF_MASK_VV, VX_V0_OK | (fl), n##_vv)
#define CMPX(f6, n, fl) K(f6, OPIVX, VF_MASK_VX, VX_V0_OK | (fl), n##_vx)
#define CMPI(f6, n, fl) K(f6, OPIVI, VF_MASK_VX, VX_V0_OK | (fl), n##_vx)

static const struct rv_vinsn table[] = {
	VXI_(0x00, add, 0), VX_(0x02, sub, 0), XI_(0x03, rsub, 0),
	VX_(0x04, minu, 0), VX_(0x05, min, 0), VX_(0x06, maxu, 0), VX_(0x07, max, 0),
	VXI_(0x09, and, 0), VXI_(0x0a, or, 0), VXI_(0x0b, xor, 0),
	VXI_(0x10, adc, VX_VM0), VX_(0x12, sbc, VX_VM0),
	VXI_(0x17, merge, VX_VM0),
	K(0x17, OPIVV, VF_VV, VX_VM1 | VX_VS2_0, mv_vv),
	K(0x17, OPIVX, VF_VX, VX_VM1 | VX_VS2_0, mv_vx),
	K(0x17, OPIVI, VF_VX, VX_VM1 | VX_VS2_0, mv_vx),
	VXI_(0x25, sll, VX_UIMM), VXI_(0x28, srl, VX_UIMM), VXI_(0x29, sra, VX_UIMM),
	CMPV(0x11, madc, VX_CARRY), CMPX(0x11, madc, VX_CARRY), CMPI(0x11, madc, VX_CARRY),
	CMPV(0x13, msbc, VX_CARRY), CMPX(0x13, msbc, VX_CARRY),
	CMPV(0x18, seq, 0), CMPX(0x18, seq, 0), CMPI(0x18, seq, 0),
	CMPV(0x19, sne, 0), CMPX(0x19, sne, 0), CMPI(0x19, sne, 0),
	CMPV(0x1a, sltu, 0), CMPX(0x1a, sltu, 0), CMPV(0x1b, slt, 0), CMPX(0x1b, slt, 0),
	CMPV(0x1c, sleu, 0), CMPX(0x1c, sleu, 0), CMPI(0x1c, sleu, 0),
	CMPV(0x1d, sle, 0), CMPX(0x1d, sle, 0), CMPI(0x1d, sle, 0),
	CMPX(0x1e, sgtu, 0), CMPI(0x1e, sgtu, 0), CMPX(0x1f, sgt, 0), CMPI(0x1f, sgt, 0),
	MVX(0x20, divu), MVX(0x21, div), MVX(0x22, remu), MVX(0x23, rem),
	MVX(0x24, mulhu), MVX(0x25, mul), MVX(0x26, mulhsu), MVX(0x27, mulh),
	MVX(0x29, madd), MVX(0x2b, nmsub), MVX(0x2d, macc), MVX(0x2f, nmsac),
};

const struct rv_vtable rv_vec_int_table = { table, ARRAY_SIZE(table) };
