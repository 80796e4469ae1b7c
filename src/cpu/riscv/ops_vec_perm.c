// SPDX-License-Identifier: MIT
/*
 * Vector integer reductions, masks, and permutations (manual, chapters 14, 15, 16).
 */
#include <string.h>

#include "cpu/riscv/vec_kernel.h"
#include "cpu/riscv/impl.h"

static inline void set_x(struct rv_hart *h, const struct rv_vctx *c, u64 v)
{
	h->x[c->rd ? c->rd : RV_X_SINK] = v;
}

/* ------------------------------------------------------------ reductions */

/* acc begins as vs1[0] and becomes vd[0]; vl 0 changes nothing. */
#define REDUCE(name, out, in, ...) \
	const in *s2 = (const in *)c->vs2; \
	out acc = *(const out *)c->vs1; \
	RV_VEACH_ORDERED(c, in a = s2[i]; acc = (out)(__VA_ARGS__)); \
	*(out *)c->vd = acc;
#define RV_VEACH_ORDERED(c, stmt) \
	for (u32 i = 0; i < (c)->vl; i++) \
		if (!(c)->mask || rv_vbit((c)->mask, i)) { stmt; }
#define RED(name, ...) RV_VKERNELS(name, REDUCE(name, T, T, __VA_ARGS__))
RED(redsum, (P)acc + a)
RED(redand, acc & a)
RED(redor, acc | a)
RED(redxor, acc ^ a)
RED(redminu, a < acc ? a : acc)
RED(redmin, (S)a < (S)acc ? a : acc)
RED(redmaxu, a > acc ? a : acc)
RED(redmax, (S)a > (S)acc ? a : acc)
RV_VKERNELS_W(wredsumu, REDUCE(wredsumu, W, T, acc + a))
RV_VKERNELS_W(wredsum, REDUCE(wredsum, W, T, acc + (W)(SW)(S)a))

/* ----------------------------------------------------------------- masks */

#define LOGIC(name, ...) \
	static void v_##name(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		u64 *d = (u64 *)c->vd; \
		const u64 *s2 = (const u64 *)c->vs2, *s1 = (const u64 *)c->vs1; \
		for (u32 base = c->vstart & ~63u; base < c->vl; base += 64) { \
			u64 sel = ~0ull, a = s2[base / 64], b = s1[base / 64]; \
			if (c->vstart > base) \
				sel &= ~0ull << (c->vstart - base); \
			if (c->vl - base < 64) \
				sel &= (1ull << (c->vl - base)) - 1; \
			d[base / 64] = (d[base / 64] & ~sel) | ((__VA_ARGS__) & sel); \
		} \
	}
LOGIC(mandn, a & ~b)
LOGIC(mand, a & b)
LOGIC(mor, a | b)
LOGIC(mxor, a ^ b)
LOGIC(morn, a | ~b)
LOGIC(mnand, ~(a & b))
LOGIC(mnor, ~(a | b))
LOGIC(mxnor, ~(a ^ b))

static bool active(const struct rv_vctx *c, u32 i)
{
	return !c->mask || rv_vbit(c->mask, i);
}

static void v_cpop(struct rv_hart *h, const struct rv_vctx *c)
{
	u64 n = 0;

	for (u32 base = 0; base < c->vl; base += 64) {
		u64 bits = ((const u64 *)c->vs2)[base / 64];

		if (c->mask)
			bits &= ((const u64 *)c->mask)[base / 64];
		if (c->vl - base < 64)
			bits &= (1ull << (c->vl - base)) - 1;
		n += (u64)__builtin_popcountll(bits);
	}
	set_x(h, c, n);
}

static void v_first(struct rv_hart *h, const struct rv_vctx *c)
{
	u64 at = ~0ull;

	for (u32 base = 0; base < c->vl && at == ~0ull; base += 64) {
		u64 bits = ((const u64 *)c->vs2)[base / 64];

		if (c->mask)
			bits &= ((const u64 *)c->mask)[base / 64];
		if (c->vl - base < 64)
			bits &= (1ull << (c->vl - base)) - 1;
		if (bits)
			at = base + (u64)__builtin_ctzll(bits);
	}
	set_x(h, c, at);
}

/* vmsbf, vmsif, vmsof: one up to before, up to, or at the first set bit. */
#define SET_FIRST(name, before, at) \
	static void v_##name(struct rv_hart *h, const struct rv_vctx *c) \
	{ \
		bool found = false; \
		for (u32 i = 0; i < c->vl; i++) { \
			if (!active(c, i)) \
				continue; \
			if (!found && rv_vbit(c->vs2, i)) { \
				rv_vbit_put(c->vd, i, at); \
				found = true; \
			} else { \
				rv_vbit_put(c->vd, i, before && !found); \
			} \
		} \
	}
SET_FIRST(msbf, true, false)
SET_FIRST(msof, false, true)
SET_FIRST(msif, true, true)

RV_VKERNELS(iota,
	T *d = (T *)c->vd; T sum = 0;
	for (u32 i = 0; i < c->vl; i++) {
		if (!active(c, i))
			continue;
		d[i] = sum;
		sum = (T)(sum + rv_vbit(c->vs2, i));
	})
RV_VKERNELS(id,
	T *d = (T *)c->vd;
	RV_VEACH(c, d[i] = (T)i);)

/* ---------------------------------------------------------------- scalars */

RV_VKERNELS(mv_x_s, set_x(h, c, (u64)(s64)*(const S *)c->vs2);)
/* Nothing is written when vstart is not below vl. */
RV_VKERNELS(mv_s_x, if (c->vstart < c->vl) *(T *)c->vd = (T)c->x;)

static void v_fmv_f_s_16(struct rv_hart *h, const struct rv_vctx *c)
{
	h->f[c->rd] = 0xffffffffffff0000 | *(const u16 *)c->vs2;
	h->sstatus |= RV_SSTATUS_FS_DIRTY;
}

static void v_fmv_f_s_32(struct rv_hart *h, const struct rv_vctx *c)
{
	h->f[c->rd] = 0xffffffff00000000 | *(const u32 *)c->vs2;
	h->sstatus |= RV_SSTATUS_FS_DIRTY;
}

static void v_fmv_f_s_64(struct rv_hart *h, const struct rv_vctx *c)
{
	h->f[c->rd] = *(const u64 *)c->vs2;
	h->sstatus |= RV_SSTATUS_FS_DIRTY;
}

/* ----------------------------------------------------------------- slides */

RV_VKERNELS(slideup,
	T *d = (T *)c->vd; const T *s = (const T *)c->vs2;
	for (u32 i = (u32)max((u64)c->vstart, min(c->x, (u64)c->vl)); i < c->vl; i++)
		if (active(c, i))
			d[i] = s[i - c->x];)
/* vd may be vs2. */
RV_VKERNELS(slidedown,
	T *d = (T *)c->vd; const T *s = (const T *)c->vs2;
	for (u32 i = c->vstart; i < c->vl; i++)
		if (active(c, i))
			d[i] = c->x < c->vlmax && c->x + i < c->vlmax ? s[c->x + i] : 0;)
RV_VKERNELS(slide1up,
	T *d = (T *)c->vd; const T *s = (const T *)c->vs2;
	for (u32 i = c->vstart; i < c->vl; i++)
		if (active(c, i))
			d[i] = i ? s[i - 1] : (T)c->x;)
RV_VKERNELS(slide1down,
	T *d = (T *)c->vd; const T *s = (const T *)c->vs2;
	for (u32 i = c->vstart; i < c->vl; i++)
		if (active(c, i))
			d[i] = i + 1 < c->vl ? s[i + 1] : (T)c->x;)

/* -------------------------------------------------------- gather, compress */

#define GATHER(name, from) \
	RV_VKERNELS(name, \
		T *d = (T *)c->vd; const T *s = (const T *)c->vs2; const from *x = (const from *)c->vs1; \
		for (u32 i = c->vstart; i < c->vl; i++) \
			if (active(c, i)) \
				d[i] = x[i] < c->vlmax ? s[x[i]] : 0;)
GATHER(gather, T)
GATHER(gather16, u16)
RV_VKERNELS(gather_x,
	T *d = (T *)c->vd; const T *s = (const T *)c->vs2; T a = c->x < c->vlmax ? s[c->x] : 0;
	RV_VEACH(c, d[i] = a);)
RV_VKERNELS(compress,
	T *d = (T *)c->vd; const T *s = (const T *)c->vs2;
	for (u32 i = 0, n = 0; i < c->vl; i++)
		if (rv_vbit(c->vs1, i))
			d[n++] = s[i];)

/* rs1 + 1 registers; vstart counts elements of SEW. */
static void v_whole(struct rv_hart *h, const struct rv_vctx *c)
{
	size_t from = (size_t)c->vstart << c->sew, n = (c->rs1 + 1u) * (size_t)h->vec.vlenb;

	if (from < n)
		memmove(c->vd + from, c->vs2 + from, n - from);
}

/* ------------------------------------------------------------- the table */

#define K(f6, cat, sub, form, flags, n) { f6, cat, sub, form, flags, RV_EXT_V, RV_VK(n) }
#define RED_(f6, n) K(f6, OPMVV, -1, VF_RED, VX_V0_OK | VX_VSTART0, n)
#define LOG_(f6, n) { f6, OPMVV, -1, VF_MASKS, VX_VM1, RV_EXT_V, RV_VK1(v_##n) }
#define MASK_(f6, sub, form, flags, n) { f6, OPMVV, sub, form, flags, RV_EXT_V, RV_VK1(v_##n) }
#define WHOLE_(n) { 0x27, OPIVI, n - 1, VF_WHOLE, VX_VM1 | VX_ALWAYS | VX_ANYTYPE, RV_EXT_V, \
	RV_VK1(v_whole) }

static const struct rv_vinsn table[] = {
	RED_(0x00, redsum), RED_(0x01, redand), RED_(0x02, redor), RED_(0x03, redxor),
	RED_(0x04, redminu), RED_(0x05, redmin), RED_(0x06, redmaxu), RED_(0x07, redmax),
	{ 0x30, OPIVV, -1, VF_RED, VX_V0_OK | VX_VSTART0, RV_EXT_V, RV_VKW(wredsumu) },
	{ 0x31, OPIVV, -1, VF_RED, VX_V0_OK | VX_VSTART0, RV_EXT_V, RV_VKW(wredsum) },
	LOG_(0x18, mandn), LOG_(0x19, mand), LOG_(0x1a, mor), LOG_(0x1b, mxor),
	LOG_(0x1c, morn), LOG_(0x1d, mnand), LOG_(0x1e, mnor), LOG_(0x1f, mxnor),
	MASK_(0x10, 0x10, VF_MASK_TO_X, VX_V0_OK | VX_VSTART0 | VX_ALWAYS, cpop),
	MASK_(0x10, 0x11, VF_MASK_TO_X, VX_V0_OK | VX_VSTART0 | VX_ALWAYS, first),
	MASK_(0x14, 1, VF_SET_FIRST, VX_VSTART0, msbf),
	MASK_(0x14, 2, VF_SET_FIRST, VX_VSTART0, msof),
	MASK_(0x14, 3, VF_SET_FIRST, VX_VSTART0, msif),
	K(0x14, OPMVV, 0x10, VF_IOTA, VX_VSTART0, iota),
	K(0x14, OPMVV, 0x11, VF_ID, VX_VS2_0, id),
	K(0x10, OPMVV, 0, VF_SCALAR, VX_VM1 | VX_ALWAYS, mv_x_s),
	K(0x10, OPMVX, -1, VF_SCALAR, VX_VM1 | VX_VS2_0, mv_s_x),
	{ 0x10, OPFVV, 0, VF_SCALAR, VX_VM1 | VX_ALWAYS | VX_FP | VX_HALF16, RV_EXT_V,
	  { NULL, v_fmv_f_s_16, v_fmv_f_s_32, v_fmv_f_s_64 } },
	{ 0x10, OPFVF, -1, VF_SCALAR, VX_VM1 | VX_VS2_0 | VX_FX | VX_FP | VX_HALF16, RV_EXT_V,
	  { NULL, v_mv_s_x_16, v_mv_s_x_32, v_mv_s_x_64 } },
	K(0x0e, OPIVX, -1, VF_NO_OVERLAP_X, 0, slideup),
	K(0x0e, OPIVI, -1, VF_NO_OVERLAP_X, VX_UIMM, slideup),
	K(0x0f, OPIVX, -1, VF_VX, 0, slidedown), K(0x0f, OPIVI, -1, VF_VX, VX_UIMM, slidedown),
	K(0x0e, OPMVX, -1, VF_NO_OVERLAP_X, 0, slide1up), K(0x0f, OPMVX, -1, VF_VX, 0, slide1down),
	{ 0x0e, OPFVF, -1, VF_NO_OVERLAP_X, VX_FX | VX_FP | VX_HALF16, RV_EXT_V,
	  { NULL, v_slide1up_16, v_slide1up_32, v_slide1up_64 } },
	{ 0x0f, OPFVF, -1, VF_VX, VX_FX | VX_FP | VX_HALF16, RV_EXT_V,
	  { NULL, v_slide1down_16, v_slide1down_32, v_slide1down_64 } },
	K(0x0c, OPIVV, -1, VF_GATHER, 0, gather), K(0x0e, OPIVV, -1, VF_GATHER16, 0, gather16),
	K(0x0c, OPIVX, -1, VF_NO_OVERLAP_X, 0, gather_x),
	K(0x0c, OPIVI, -1, VF_NO_OVERLAP_X, VX_UIMM, gather_x),
	K(0x17, OPMVV, -1, VF_COMPRESS, VX_VM1 | VX_VSTART0, compress),
	WHOLE_(1), WHOLE_(2), WHOLE_(4), WHOLE_(8),
};

const struct rv_vtable rv_vec_perm_table = { table, ARRAY_SIZE(table) };
