// SPDX-License-Identifier: MIT
/*
 * Vector floating point (manual, chapter 13, and Zvfh, Zvfhmin of chapter 18): SEW 16, 32 and 64,
 * rounding by frm. As with scalars the host's arithmetic does what it provably can, an element at
 * a time, and softfloat the rest, half precision among it.
 */
#include "cpu/riscv/vec_kernel.h"
#include "cpu/fp/hostfp.h"
#include "cpu/fp/softfloat.h"
#include "cpu/riscv/impl.h"

static inline void accrue(struct rv_hart *h, u8 flags)
{
	if (flags & ~h->fflags) {
		h->fflags |= flags;
		h->sstatus |= RV_SSTATUS_FS_DIRTY;
		rv_fp_update(h);
	}
}

/* Kernels of 16, 32 and 64 bits: B in the body. */
#define FP(name, ...) \
	FP_(name, 16, __VA_ARGS__) FP_(name, 32, __VA_ARGS__) FP_(name, 64, __VA_ARGS__)
#define FP_(name, bits, ...) \
	static void v_##name##_##bits(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		RV_VTYPES_##bits \
		u8 fl = 0; enum sf_round rm RV_VT = c->rm; bool fast RV_VT = h->fp_fast[7]; \
		const T SIGN RV_VT = SF##bits##_SIGN; \
		__VA_ARGS__ \
		accrue(h, fl); \
	}
#define F2(fn) \
	static inline u32 f32_##fn(u32 a, u32 b, enum sf_round rm, bool fast, u8 *fl) \
	{ \
		u32 r; \
		return likely(fast) && hf32_##fn(a, b, &r) ? r : sf32_##fn(a, b, rm, fl); \
	} \
	static inline u64 f64_##fn(u64 a, u64 b, enum sf_round rm, bool fast, u8 *fl) \
	{ \
		u64 r; \
		return likely(fast) && hf64_##fn(a, b, &r) ? r : sf64_##fn(a, b, rm, fl); \
	}
F2(add) F2(sub) F2(mul) F2(div)
static inline u32 f32_fma(u32 a, u32 b, u32 c, enum sf_round rm, bool fast, u8 *fl)
{
	u32 r;

	return likely(fast) && hf32_fma(a, b, c, &r) ? r : sf32_fma(a, b, c, rm, fl);
}

static inline u64 f64_fma(u64 a, u64 b, u64 c, enum sf_round rm, bool fast, u8 *fl)
{
	u64 r;

	return likely(fast) && hf64_fma(a, b, c, &r) ? r : sf64_fma(a, b, c, rm, fl);
}

/* A call by width: B is a constant. */
#define BY_B(f16, f32, f64) (B == 16 ? (T)(f16) : B == 32 ? (T)(f32) : (T)(f64))
#define F(fn, a, b) \
	BY_B(sf16_##fn((u16)(a), (u16)(b), rm, &fl), f32_##fn((u32)(a), (u32)(b), rm, fast, &fl), \
	     f64_##fn((a), (b), rm, fast, &fl))
#define FMA(a, b, c) \
	BY_B(sf16_fma((u16)(a), (u16)(b), (u16)(c), rm, &fl), \
	     f32_fma((u32)(a), (u32)(b), (u32)(c), rm, fast, &fl), \
	     f64_fma((a), (b), (c), rm, fast, &fl))
#define SF2(fn, a, b) \
	BY_B(sf16_##fn((u16)(a), (u16)(b), &fl), sf32_##fn((u32)(a), (u32)(b), &fl), \
	     sf64_##fn((a), (b), &fl))
#define SGN(fn, a, b) \
	BY_B(sf16_##fn((u16)(a), (u16)(b)), sf32_##fn((u32)(a), (u32)(b)), sf64_##fn((a), (b)))

/* ------------------------------------------------------------- same width */

#define BIN_V(name, ...) \
	FP(name##_vv, T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
	   RV_VEACH(c, T b = s1[i]; T a = s2[i]; d[i] = (__VA_ARGS__));)
#define BIN_F(name, ...) \
	FP(name##_vf, T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2; const T b = (T)c->x; \
	   RV_VEACH(c, T a = s2[i]; d[i] = (__VA_ARGS__));)
#define BIN(name, ...) BIN_V(name, __VA_ARGS__) BIN_F(name, __VA_ARGS__)
BIN(add, F(add, a, b))
BIN(sub, F(sub, a, b))
BIN_F(rsub, F(sub, b, a))
BIN(mul, F(mul, a, b))
BIN(div, F(div, a, b))
BIN_F(rdiv, F(div, b, a))
BIN(min, SF2(min, a, b))
BIN(max, SF2(max, a, b))
BIN(sgnj, SGN(sgnj, a, b))
BIN(sgnjn, SGN(sgnjn, a, b))
BIN(sgnjx, SGN(sgnjx, a, b))
/* vd is an addend in the macc forms, a factor in the madd forms. */
BIN(macc, FMA(b, a, d[i]))
BIN(nmacc, FMA(b ^ SIGN, a, d[i] ^ SIGN))
BIN(msac, FMA(b, a, d[i] ^ SIGN))
BIN(nmsac, FMA(b ^ SIGN, a, d[i]))
BIN(madd, FMA(b, d[i], a))
BIN(nmadd, FMA(b ^ SIGN, d[i], a ^ SIGN))
BIN(msub, FMA(b, d[i], a ^ SIGN))
BIN(nmsub, FMA(b ^ SIGN, d[i], a))

FP(merge_vf, T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2;
   RV_VEACH(c, d[i] = rv_vbit(c->v0, i) ? (T)c->x : s2[i]);)
FP(mv_vf, T *d = (T *)c->vd; RV_VEACH(c, d[i] = (T)c->x);)

#define UNARY(name, ...) \
	FP(name, T *d = (T *)c->vd; const T *s2 = (const T *)c->vs2; \
	   RV_VEACH(c, T a = s2[i]; d[i] = (T)(__VA_ARGS__));)
static inline u32 root32(u32 a, enum sf_round rm, bool fast, u8 *fl)
{
	u32 r;

	return fast && hf32_sqrt(a, &r) ? r : sf32_sqrt(a, rm, fl);
}

static inline u64 root64(u64 a, enum sf_round rm, bool fast, u8 *fl)
{
	u64 r;

	return fast && hf64_sqrt(a, &r) ? r : sf64_sqrt(a, rm, fl);
}
UNARY(sqrt, BY_B(sf16_sqrt((u16)a, rm, &fl), root32((u32)a, rm, fast, &fl),
		 root64(a, rm, fast, &fl)))
UNARY(class, BY_B(sf16_classify((u16)a), sf32_classify((u32)a), sf64_classify(a)))

/* -------------------------------------------------- estimates to seven bits */

/*
 * 13.9 and 13.10. The tables are the reciprocal (root) of the middle of each interval, rounded
 * to seven bits: indexed by the significand's leading bits, and the exponent's last one.
 */
static const u8 rsqrt7_table[128] = {
	52, 51, 50, 48, 47, 46, 44, 43, 42, 41, 40, 39, 38, 36, 35, 34,
	33, 32, 31, 30, 30, 29, 28, 27, 26, 25, 24, 23, 23, 22, 21, 20,
	19, 19, 18, 17, 16, 16, 15, 14, 14, 13, 12, 12, 11, 10, 10, 9,
	9, 8, 7, 7, 6, 6, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0,
	127, 125, 123, 121, 119, 118, 116, 114, 113, 111, 109, 108, 106, 105, 103, 102,
	100, 99, 97, 96, 95, 93, 92, 91, 90, 88, 87, 86, 85, 84, 83, 82,
	80, 79, 78, 77, 76, 75, 74, 73, 72, 71, 70, 70, 69, 68, 67, 66,
	65, 64, 63, 63, 62, 61, 60, 59, 59, 58, 57, 56, 56, 55, 54, 53,
};
static const u8 rec7_table[128] = {
	127, 125, 123, 121, 119, 117, 116, 114, 112, 110, 109, 107, 105, 104, 102, 100,
	99, 97, 96, 94, 93, 91, 90, 88, 87, 85, 84, 83, 81, 80, 79, 77,
	76, 75, 74, 72, 71, 70, 69, 68, 66, 65, 64, 63, 62, 61, 60, 59,
	58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43,
	42, 41, 40, 40, 39, 38, 37, 36, 35, 35, 34, 33, 32, 31, 31, 30,
	29, 28, 28, 27, 26, 25, 25, 24, 23, 23, 22, 21, 21, 20, 19, 19,
	18, 17, 17, 16, 15, 15, 14, 14, 13, 12, 12, 11, 11, 10, 9, 9,
	8, 8, 7, 7, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0,
};

/* A number's parts for each width, so that the estimates are written once. */
struct parts {
	unsigned ebits, mbits;
};

static u64 estimate_rsqrt7(u64 a, struct parts p, u8 *fl)
{
	u64 emax = (1ull << p.ebits) - 1, mmask = (1ull << p.mbits) - 1, m = a & mmask;
	u64 sign = a >> (p.ebits + p.mbits) & 1, nan = (emax << 1 | 1) << (p.mbits - 1);
	s64 e = (s64)(a >> p.mbits & emax), out;
	unsigned index;

	if ((u64)e == emax && m) {
		if (!(m >> (p.mbits - 1)))
			*fl |= SF_NV;
		return nan;
	}
	if (!e && !m) {
		*fl |= SF_DZ;
		return sign << (p.ebits + p.mbits) | emax << p.mbits;
	}
	if (sign) {
		*fl |= SF_NV;
		return nan;
	}
	if ((u64)e == emax)
		return 0;
	if (!e) {
		while (!(m >> (p.mbits - 1) & 1)) {
			m <<= 1;
			e--;
		}
		m = m << 1 & mmask;
	}
	index = (unsigned)((e & 1) << 6 | m >> (p.mbits - 6));
	out = (3 * (s64)(emax / 2) - 1 - e) >> 1;
	return (u64)out << p.mbits | (u64)rsqrt7_table[index] << (p.mbits - 7);
}

static u64 estimate_rec7(u64 a, struct parts p, enum sf_round rm, u8 *fl)
{
	u64 emax = (1ull << p.ebits) - 1, mmask = (1ull << p.mbits) - 1, m = a & mmask;
	u64 sign = a & 1ull << (p.ebits + p.mbits), nan = (emax << 1 | 1) << (p.mbits - 1), r;
	s64 e = (s64)(a >> p.mbits & emax), out;

	if ((u64)e == emax) {
		if (!m)
			return sign;
		if (!(m >> (p.mbits - 1)))
			*fl |= SF_NV;
		return nan;
	}
	if (!e && !m) {
		*fl |= SF_DZ;
		return sign | emax << p.mbits;
	}
	if (!e) {
		while (!(m >> (p.mbits - 1) & 1)) {
			m <<= 1;
			e--;
		}
		m = m << 1 & mmask;
		if (e < -1) {
			/* The reciprocal overflows. */
			*fl |= SF_OF | SF_NX;
			if (rm == SF_RTZ || (rm == SF_RDN && !sign) || (rm == SF_RUP && sign))
				return sign | ((emax << p.mbits) - 1);
			return sign | emax << p.mbits;
		}
	}
	out = 2 * (s64)(emax / 2) - 1 - e;
	r = (u64)rec7_table[m >> (p.mbits - 7)] << (p.mbits - 7);
	/* -1 and 0: a subnormal result. */
	if (out <= 0) {
		r = (r | 1ull << p.mbits) >> 1;
		if (out < 0)
			r >>= 1;
		out = 0;
	}
	return sign | (u64)out << p.mbits | r;
}

#define PARTS \
	(B == 16 ? (struct parts){ 5, 10 } : B == 32 ? (struct parts){ 8, 23 } : (struct parts){ 11, 52 })
UNARY(rsqrt7, estimate_rsqrt7(a, PARTS, &fl))
UNARY(rec7, estimate_rec7(a, PARTS, rm, &fl))

/* ------------------------------------------------------------ comparisons */

/* The mask's bit i is written after the elements i have been read. */
#define CMP_V(name, ...) \
	FP(name##_vv, const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
	   for (u32 i = c->vstart; i < c->vl; i++) { \
		T b = s1[i], a = s2[i]; \
		if (!c->mask || rv_vbit(c->mask, i)) \
			rv_vbit_put(c->vd, i, (__VA_ARGS__)); \
	   })
#define CMP_F(name, ...) \
	FP(name##_vf, const T *s2 = (const T *)c->vs2; const T b = (T)c->x; \
	   for (u32 i = c->vstart; i < c->vl; i++) { \
		T a = s2[i]; \
		if (!c->mask || rv_vbit(c->mask, i)) \
			rv_vbit_put(c->vd, i, (__VA_ARGS__)); \
	   })
#define CMP(name, ...) CMP_V(name, __VA_ARGS__) CMP_F(name, __VA_ARGS__)
CMP(feq, SF2(eq, a, b))
CMP(fne, !SF2(eq, a, b))
CMP(flt, SF2(lt, a, b))
CMP(fle, SF2(le, a, b))
CMP_F(fgt, SF2(lt, b, a))
CMP_F(fge, SF2(le, b, a))

/* ------------------------------------------------------------- reductions */

#define RED(name, ...) \
	FP(name, const T *s2 = (const T *)c->vs2; T acc = *(const T *)c->vs1; \
	   for (u32 i = 0; i < c->vl; i++) \
		if (!c->mask || rv_vbit(c->mask, i)) { T a = s2[i]; acc = (__VA_ARGS__); } \
	   *(T *)c->vd = acc;)
RED(redsum, F(add, acc, a))
RED(redmin, SF2(min, acc, a))
RED(redmax, SF2(max, acc, a))

/* --------------------------------------------------------------- widening */

/* Elements of B bits in, T, and twice as wide ones out, W. */
#define WIDEN(name, ...) WIDEN_(name, 16, 32, __VA_ARGS__) WIDEN_(name, 32, 64, __VA_ARGS__)
#define WIDEN_(name, bits, wide, ...) \
	static void v_##name##_##bits(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		RV_VTYPES_##bits \
		u8 fl = 0; enum sf_round rm RV_VT = c->rm; bool fast RV_VT = h->fp_fast[7]; \
		const W SIGN RV_VT = SF##wide##_SIGN; \
		W *d = (W *)c->vd; \
		__VA_ARGS__ \
		accrue(h, fl); \
	}
#define BY_W(f32, f64) (B == 16 ? (W)(f32) : (W)(f64))
#define D(v) BY_W(to_single((u16)(v), &fl), to_double((u32)(v), &fl))

static inline u32 to_single(u16 a, u8 *fl)
{
	u32 e = a >> 10 & 31;

	if (likely(e && e != 31))
		return (u32)(a & SF16_SIGN) << 16 | (e + 112) << 23 | (u32)(a & 0x3ff) << 13;
	return sf16_to_f32(a, fl);
}

static inline u64 to_double(u32 a, u8 *fl)
{
	u32 e = a >> 23 & 255;

	if (likely(e && e != 255))
		return (u64)(a & SF32_SIGN) << 32 | (u64)(e + 896) << 52 | (u64)(a & 0x7fffff) << 29;
	return sf32_to_f64(a, fl);
}

#define WBIN(name, ...) \
	WIDEN(name##_vv, const T *s2 = (const T *)c->vs2, *s1 = (const T *)c->vs1; \
	      RV_VEACH(c, W b = D(s1[i]); W a = D(s2[i]); d[i] = (__VA_ARGS__));) \
	WIDEN(name##_vf, const T *s2 = (const T *)c->vs2; const T x = (T)c->x; \
	      RV_VEACH(c, W b = D(x); W a = D(s2[i]); d[i] = (__VA_ARGS__));)
#define WBIN_W(name, ...) \
	WIDEN(name##_wv, const W *s2 = (const W *)c->vs2; const T *s1 = (const T *)c->vs1; \
	      RV_VEACH(c, W b = D(s1[i]); W a = s2[i]; d[i] = (__VA_ARGS__));) \
	WIDEN(name##_wf, const W *s2 = (const W *)c->vs2; const T x = (T)c->x; \
	      RV_VEACH(c, W b = D(x); W a = s2[i]; d[i] = (__VA_ARGS__));)
#define DF(fn, a, b) \
	BY_W(f32_##fn((u32)(a), (u32)(b), rm, fast, &fl), f64_##fn((a), (b), rm, fast, &fl))
#define DFMA(a, b, c) \
	BY_W(f32_fma((u32)(a), (u32)(b), (u32)(c), rm, fast, &fl), f64_fma((a), (b), (c), rm, fast, &fl))
WBIN(wadd, DF(add, a, b))
WBIN(wsub, DF(sub, a, b))
WBIN(wmul, DF(mul, a, b))
WBIN(wmacc, DFMA(b, a, d[i]))
WBIN(wnmacc, DFMA(b ^ SIGN, a, d[i] ^ SIGN))
WBIN(wmsac, DFMA(b, a, d[i] ^ SIGN))
WBIN(wnmsac, DFMA(b ^ SIGN, a, d[i]))
WBIN_W(wadd, DF(add, a, b))
WBIN_W(wsub, DF(sub, a, b))

WIDEN(wredsum, const T *s2 = (const T *)c->vs2; W acc = *(const W *)c->vs1;
      for (T i = 0; i < c->vl; i++)
		if (!c->mask || rv_vbit(c->mask, i)) { W a = D(s2[i]); acc = DF(add, acc, a); }
      *d = acc;)

/* ------------------------------------------------------------ conversions */

/* By the vector's SEW; out and in are the element types. */
#define CONVERT(name, sew, out, in, ...) \
	static void v_##name##_##sew(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		u8 fl = 0; enum sf_round rm RV_VT = c->rm; out *d = (out *)c->vd; \
		const in *s2 = (const in *)c->vs2; \
		RV_VEACH(c, in a = s2[i]; d[i] = (out)(__VA_ARGS__)); \
		accrue(h, fl); \
	}

/* To integers of 8 and 16 bits, by way of greater ones. */
static u32 clip(s64 v, s64 lo, s64 hi, u8 old, u8 *fl)
{
	if (v >= lo && v <= hi)
		return (u32)v;
	*fl = old | SF_NV;	/* NV alone */
	return (u32)(v < lo ? lo : hi);
}
#define CLIP(conv, lo, hi, mode) \
	({ u8 old_ = fl; s64 v_ = conv(a, mode, &fl); clip(v_, lo, hi, old_, &fl); })
#define H_TO(lo, hi, mode) CLIP(sf16_to_s32, lo, hi, mode)
#define S_TO(lo, hi, mode) CLIP(sf32_to_s64, lo, hi, mode)
CONVERT(cvt_xu_f, 16, u16, u16, H_TO(0, 0xffff, rm))
CONVERT(cvt_xu_f, 32, u32, u32, sf32_to_u32(a, rm, &fl))
CONVERT(cvt_xu_f, 64, u64, u64, sf64_to_u64(a, rm, &fl))
CONVERT(cvt_x_f, 16, u16, u16, H_TO(-0x8000, 0x7fff, rm))
CONVERT(cvt_x_f, 32, u32, u32, sf32_to_s32(a, rm, &fl))
CONVERT(cvt_x_f, 64, u64, u64, sf64_to_s64(a, rm, &fl))
CONVERT(cvt_rtz_xu_f, 16, u16, u16, H_TO(0, 0xffff, SF_RTZ))
CONVERT(cvt_rtz_xu_f, 32, u32, u32, sf32_to_u32(a, SF_RTZ, &fl))
CONVERT(cvt_rtz_xu_f, 64, u64, u64, sf64_to_u64(a, SF_RTZ, &fl))
CONVERT(cvt_rtz_x_f, 16, u16, u16, H_TO(-0x8000, 0x7fff, SF_RTZ))
CONVERT(cvt_rtz_x_f, 32, u32, u32, sf32_to_s32(a, SF_RTZ, &fl))
CONVERT(cvt_rtz_x_f, 64, u64, u64, sf64_to_s64(a, SF_RTZ, &fl))
CONVERT(cvt_f_xu, 16, u16, u16, sf16_from_u32(a, rm, &fl))
CONVERT(cvt_f_xu, 32, u32, u32, sf32_from_u32(a, rm, &fl))
CONVERT(cvt_f_xu, 64, u64, u64, sf64_from_u64(a, rm, &fl))
CONVERT(cvt_f_x, 16, u16, u16, sf16_from_s32((s16)a, rm, &fl))
CONVERT(cvt_f_x, 32, u32, u32, sf32_from_s32((s32)a, rm, &fl))
CONVERT(cvt_f_x, 64, u64, u64, sf64_from_s64((s64)a, rm, &fl))

CONVERT(wcvt_xu_f, 16, u32, u16, sf16_to_u32(a, rm, &fl))
CONVERT(wcvt_xu_f, 32, u64, u32, sf32_to_u64(a, rm, &fl))
CONVERT(wcvt_x_f, 16, u32, u16, sf16_to_s32(a, rm, &fl))
CONVERT(wcvt_x_f, 32, u64, u32, sf32_to_s64(a, rm, &fl))
CONVERT(wcvt_rtz_xu_f, 16, u32, u16, sf16_to_u32(a, SF_RTZ, &fl))
CONVERT(wcvt_rtz_xu_f, 32, u64, u32, sf32_to_u64(a, SF_RTZ, &fl))
CONVERT(wcvt_rtz_x_f, 16, u32, u16, sf16_to_s32(a, SF_RTZ, &fl))
CONVERT(wcvt_rtz_x_f, 32, u64, u32, sf32_to_s64(a, SF_RTZ, &fl))
CONVERT(wcvt_f_xu, 8, u16, u8, sf16_from_u32(a, rm, &fl))
CONVERT(wcvt_f_xu, 16, u32, u16, sf32_from_u32(a, rm, &fl))
CONVERT(wcvt_f_xu, 32, u64, u32, sf64_from_u32(a, rm, &fl))
CONVERT(wcvt_f_x, 8, u16, u8, sf16_from_s32((s8)a, rm, &fl))
CONVERT(wcvt_f_x, 16, u32, u16, sf32_from_s32((s16)a, rm, &fl))
CONVERT(wcvt_f_x, 32, u64, u32, sf64_from_s32((s32)a, rm, &fl))
CONVERT(wcvt_f_f, 16, u32, u16, to_single(a, &fl))
CONVERT(wcvt_f_f, 32, u64, u32, to_double(a, &fl))

CONVERT(ncvt_xu_f, 8, u8, u16, H_TO(0, 0xff, rm))
CONVERT(ncvt_x_f, 8, u8, u16, H_TO(-0x80, 0x7f, rm))
CONVERT(ncvt_rtz_xu_f, 8, u8, u16, H_TO(0, 0xff, SF_RTZ))
CONVERT(ncvt_rtz_x_f, 8, u8, u16, H_TO(-0x80, 0x7f, SF_RTZ))
CONVERT(ncvt_xu_f, 16, u16, u32, S_TO(0, 0xffff, rm))
CONVERT(ncvt_x_f, 16, u16, u32, S_TO(-0x8000, 0x7fff, rm))
CONVERT(ncvt_rtz_xu_f, 16, u16, u32, S_TO(0, 0xffff, SF_RTZ))
CONVERT(ncvt_rtz_x_f, 16, u16, u32, S_TO(-0x8000, 0x7fff, SF_RTZ))
CONVERT(ncvt_xu_f, 32, u32, u64, sf64_to_u32(a, rm, &fl))
CONVERT(ncvt_x_f, 32, u32, u64, sf64_to_s32(a, rm, &fl))
CONVERT(ncvt_rtz_xu_f, 32, u32, u64, sf64_to_u32(a, SF_RTZ, &fl))
CONVERT(ncvt_rtz_x_f, 32, u32, u64, sf64_to_s32(a, SF_RTZ, &fl))
CONVERT(ncvt_f_xu, 16, u16, u32, sf16_from_u32(a, rm, &fl))
CONVERT(ncvt_f_xu, 32, u32, u64, sf32_from_u64(a, rm, &fl))
CONVERT(ncvt_f_x, 16, u16, u32, sf16_from_s32((s32)a, rm, &fl))
CONVERT(ncvt_f_x, 32, u32, u64, sf32_from_s64((s64)a, rm, &fl))
CONVERT(ncvt_f_f, 16, u16, u32, sf32_to_f16(a, rm, &fl))
CONVERT(ncvt_f_f, 32, u32, u64, sf64_to_f32(a, rm, &fl))

/* To odd: towards zero, and the last bit set if that was inexact. */
#define TO_ODD(conv) \
	({ u8 mine_ = 0; u32 r_ = conv(a, SF_RTZ, &mine_); fl |= mine_; mine_ & SF_NX ? r_ | 1 : r_; })
CONVERT(ncvt_rod_f_f, 16, u16, u32, TO_ODD(sf32_to_f16))
CONVERT(ncvt_rod_f_f, 32, u32, u64, TO_ODD(sf64_to_f32))

/* ------------------------------------------------------------- the table */

/* By what the SEWs are; K16 has half precision at SEW 16, K8 at SEW 8. */
#define K16(n) { NULL, v_##n##_16, v_##n##_32, v_##n##_64 }
#define K16W(n) { NULL, v_##n##_16, v_##n##_32, NULL }
#define K8W(n) { v_##n##_8, v_##n##_16, v_##n##_32, NULL }
#define R(f6, cat, sub, form, flags, ...) \
	{ f6, cat, sub, form, VX_FP | (flags), RV_EXT_V, __VA_ARGS__ }
#define VV(f6, n) R(f6, OPFVV, -1, VF_VV, VX_HALF16, K16(n##_vv))
#define VF(f6, n) R(f6, OPFVF, -1, VF_VX, VX_HALF16 | VX_FX, K16(n##_vf))
#define VVF(f6, n) VV(f6, n), VF(f6, n)
#define CV(f6, n) R(f6, OPFVV, -1, VF_MASK_VV, VX_HALF16 | VX_V0_OK, K16(n##_vv))
#define CF(f6, n) R(f6, OPFVF, -1, VF_MASK_VX, VX_HALF16 | VX_V0_OK | VX_FX, K16(n##_vf))
#define WVF(f6, n) R(f6, OPFVV, -1, VF_WIDE_VV, VX_HALF16, K16W(n##_vv)), \
	R(f6, OPFVF, -1, VF_WIDE_VX, VX_HALF16 | VX_FX, K16W(n##_vf))
#define WWF(f6, n) R(f6, OPFVV, -1, VF_WIDE_WV, VX_HALF16, K16W(n##_wv)), \
	R(f6, OPFVF, -1, VF_WIDE_WX, VX_HALF16 | VX_FX, K16W(n##_wf))
#define RD(f6, ...) R(f6, OPFVV, -1, VF_RED, VX_HALF16 | VX_V0_OK | VX_VSTART0, __VA_ARGS__)
#define CVT(sub, n) R(0x12, OPFVV, sub, VF_VX, VX_HALF16, K16(n))
#define WCVT(sub, half, k) R(0x12, OPFVV, sub, VF_WIDE_VX, half, k)
#define NCVT(sub, half, k) R(0x12, OPFVV, sub, VF_NARROW_X, half, k)
#define UN(sub, n) R(0x13, OPFVV, sub, VF_VX, VX_HALF16, K16(n))

static const struct rv_vinsn table[] = {
	VVF(0x00, add), VVF(0x02, sub), VF(0x27, rsub), VVF(0x24, mul), VVF(0x20, div), VF(0x21, rdiv),
	VVF(0x04, min), VVF(0x06, max), VVF(0x08, sgnj), VVF(0x09, sgnjn), VVF(0x0a, sgnjx),
	VVF(0x28, madd), VVF(0x29, nmadd), VVF(0x2a, msub), VVF(0x2b, nmsub),
	VVF(0x2c, macc), VVF(0x2d, nmacc), VVF(0x2e, msac), VVF(0x2f, nmsac),
	R(0x17, OPFVF, -1, VF_VX, VX_HALF16 | VX_FX | VX_VM0, K16(merge_vf)),
	R(0x17, OPFVF, -1, VF_VX, VX_HALF16 | VX_FX | VX_VM1 | VX_VS2_0, K16(mv_vf)),
	CV(0x18, feq), CF(0x18, feq), CV(0x19, fle), CF(0x19, fle), CV(0x1b, flt), CF(0x1b, flt),
	CV(0x1c, fne), CF(0x1c, fne), CF(0x1d, fgt), CF(0x1f, fge),
	RD(0x01, K16(redsum)), RD(0x03, K16(redsum)), RD(0x05, K16(redmin)), RD(0x07, K16(redmax)),
	RD(0x31, K16W(wredsum)), RD(0x33, K16W(wredsum)),
	WVF(0x30, wadd), WVF(0x32, wsub), WWF(0x34, wadd), WWF(0x36, wsub), WVF(0x38, wmul),
	WVF(0x3c, wmacc), WVF(0x3d, wnmacc), WVF(0x3e, wmsac), WVF(0x3f, wnmsac),
	CVT(0, cvt_xu_f), CVT(1, cvt_x_f), CVT(2, cvt_f_xu), CVT(3, cvt_f_x),
	CVT(6, cvt_rtz_xu_f), CVT(7, cvt_rtz_x_f),
	WCVT(8, VX_HALF16, K16W(wcvt_xu_f)), WCVT(9, VX_HALF16, K16W(wcvt_x_f)),
	WCVT(10, VX_HALF8, K8W(wcvt_f_xu)), WCVT(11, VX_HALF8, K8W(wcvt_f_x)),
	WCVT(12, VX_HALF16 | VX_HALFMIN, K16W(wcvt_f_f)),
	WCVT(14, VX_HALF16, K16W(wcvt_rtz_xu_f)), WCVT(15, VX_HALF16, K16W(wcvt_rtz_x_f)),
	NCVT(16, VX_HALF8, K8W(ncvt_xu_f)), NCVT(17, VX_HALF8, K8W(ncvt_x_f)),
	NCVT(18, VX_HALF16, K16W(ncvt_f_xu)), NCVT(19, VX_HALF16, K16W(ncvt_f_x)),
	NCVT(20, VX_HALF16 | VX_HALFMIN, K16W(ncvt_f_f)), NCVT(21, VX_HALF16, K16W(ncvt_rod_f_f)),
	NCVT(22, VX_HALF8, K8W(ncvt_rtz_xu_f)), NCVT(23, VX_HALF8, K8W(ncvt_rtz_x_f)),
	UN(0, sqrt), UN(4, rsqrt7), UN(5, rec7), UN(16, class),
};

const struct rv_vtable rv_vec_fp_table = { table, ARRAY_SIZE(table) };
