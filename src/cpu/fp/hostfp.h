/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on the host's floating point unit, where its result and the guest's flags are
 * certain without looking at the host's flags. Each function returns true and the result, or
 * false, and the caller goes to softfloat.
 *
 * The caller has to see to it that
 *
 * - the guest rounds to nearest, ties to even, and its NX flag is already set
 *   (hf_may_be_used()): then no result needs to be checked for being inexact;
 * - the thread's floating point environment is the one that a process starts with: round to
 *   nearest, exceptions masked, subnormals neither flushed to zero nor read as zero (on x86
 *   MXCSR.FTZ and DAZ, on Arm FPCR.FZ clear). A thread that belongs to somebody else may have
 *   it otherwise (a program linked with -ffast-math flushes): hf_enter() makes it so, and
 *   hf_leave() gives the caller's back, flags included.
 *
 * The host's result is then IEEE 754's; the flags that are left are NV, DZ, OF and UF.
 *
 * - NV without a NaN result does not exist here (a signalling NaN gives a NaN), DZ gives an
 *   infinity, and OF to nearest gives an infinity. So a finite result raises none of the three,
 *   and no operand need be looked at. Host NaNs are never used, hence their payloads do not
 *   matter.
 * - UF: a sum or a difference below the normal range is exact (it is a multiple of the least
 *   subnormal number), and no square root lies there. For the others the result has to lie
 *   above the least normal number, which excludes what was rounded up to it too; or to be a
 *   zero that a zero operand explains.
 * - Whether a host detects tininess before or after rounding does not matter then.
 *
 * A compiler that sees mul's result go into add may fuse the two (GCC does by default when the
 * target has such an instruction, and knows no pragma against it), so hf_hide() keeps it from
 * seeing where a result came from; it costs no instruction.
 */
#ifndef SV_CPU_FP_HOSTFP_H
#define SV_CPU_FP_HOSTFP_H

#include "cpu/fp/softfloat.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#elif !defined(__aarch64__) && !defined(__riscv_flen)
#include <fenv.h>
#endif

/* Excess precision (x87) rounds twice, and -ffast-math promises nothing. */
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 0 && !defined(__FAST_MATH__) && \
	__FLT_MANT_DIG__ == 24 && __DBL_MANT_DIG__ == 53
#define HF_AVAILABLE 1
#else
#define HF_AVAILABLE 0
#endif

/*
 * Square roots by the instruction itself: for the builtin a compiler adds a call of the C
 * library that sets errno.
 */
#if defined(__SSE2__)
#define hf_hide(v) __asm__("" : "+x"(v))
#define hf_sqrt_insn(v, s) __asm__("sqrts" s " %0, %0" : "+x"(v))
#elif defined(__aarch64__)
#define hf_hide(v) __asm__("" : "+w"(v))
#define hf_sqrt_insn(v, s) __asm__("fsqrt %" s "0, %" s "0" : "+w"(v))
#elif defined(__riscv_flen) && __riscv_flen >= 64
#define hf_hide(v) __asm__("" : "+f"(v))
#define hf_sqrt_insn(v, s) __asm__("fsqrt." s " %0, %0" : "+f"(v))
#else
#define hf_hide(v) __asm__("" : "+m"(v))
#endif

/* How a fused multiply-add is had; hf_has_fma() says false where it would be a slow emulation. */
#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
static inline bool hf_has_fma(void)
{
	return true;
}

static inline float hf_host_fmaf(float a, float b, float c)
{
	return __builtin_fmaf(a, b, c);
}

static inline double hf_host_fma(double a, double b, double c)
{
	return __builtin_fma(a, b, c);
}
#elif defined(__x86_64__)
/*
 * Nearly every machine has the instruction, but a compiler may only use it when it was told so
 * for the whole file. The C library's fma() would be an indirect call more.
 */
static inline bool hf_has_fma(void)
{
	return __builtin_cpu_supports("fma");
}

static inline float hf_host_fmaf(float a, float b, float c)
{
	__asm__("vfmadd213ss %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
	return a;
}

static inline double hf_host_fma(double a, double b, double c)
{
	__asm__("vfmadd213sd %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
	return a;
}
#else
static inline bool hf_has_fma(void)
{
	return false;
}

static inline float hf_host_fmaf(float a, float b, float c)
{
	return a;
}

static inline double hf_host_fma(double a, double b, double c)
{
	return a;
}
#endif

struct hf_env {
#if defined(__SSE2__)
	u32 mxcsr;
#elif defined(__aarch64__)
	u64 fpcr, fpsr;
#elif defined(__riscv_flen)
	u64 fcsr;
#else
	fenv_t env;
#endif
};

/*
 * The memory clobbers keep arithmetic between the two calls: all of it reads its operands from
 * memory and writes its results there, as a hart's registers are.
 */
static inline void hf_enter(struct hf_env *old)
{
#if defined(__SSE2__)
	old->mxcsr = _mm_getcsr();
	_mm_setcsr(0x1f80);
	__asm__ volatile("" : : : "memory");
#elif defined(__aarch64__)
	__asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr\n\tmsr fpcr, xzr"
			 : "=&r"(old->fpcr), "=&r"(old->fpsr) : : "memory");
#elif defined(__riscv_flen)
	__asm__ volatile("fscsr %0, zero" : "=r"(old->fcsr) : : "memory");
#else
	fegetenv(&old->env);
	fesetenv(FE_DFL_ENV);
#endif
}

static inline void hf_leave(const struct hf_env *old)
{
#if defined(__SSE2__)
	__asm__ volatile("" : : : "memory");
	_mm_setcsr(old->mxcsr);
#elif defined(__aarch64__)
	__asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1"
			 : : "r"(old->fpcr), "r"(old->fpsr) : "memory");
#elif defined(__riscv_flen)
	__asm__ volatile("fscsr %0" : : "r"(old->fcsr) : "memory");
#else
	fesetenv(&old->env);
#endif
}

/* rm is the mode in force (frm's where the instruction says so), flags the guest's fflags. */
static inline bool hf_may_be_used(enum sf_round rm, u8 flags)
{
	return HF_AVAILABLE && rm == SF_RNE && (flags & SF_NX);
}

static inline float hf_float(u32 a)
{
	float v;

	__builtin_memcpy(&v, &a, sizeof(v));
	return v;
}

static inline u32 hf_float_bits(float v)
{
	u32 a;

	hf_hide(v);
	__builtin_memcpy(&a, &v, sizeof(a));
	return a;
}

static inline double hf_double(u64 a)
{
	double v;

	__builtin_memcpy(&v, &a, sizeof(v));
	return v;
}

static inline u64 hf_double_bits(double v)
{
	u64 a;

	hf_hide(v);
	__builtin_memcpy(&a, &v, sizeof(a));
	return a;
}

static inline bool hf32_is_finite(u32 a)
{
	return a << 1 < SF32_INF << 1;
}

static inline bool hf64_is_finite(u64 a)
{
	return a << 1 < SF64_INF << 1;
}

/* Finite and above the least normal number. The shift drops the sign; one comparison does both. */
static inline bool hf32_is_safe(u32 a)
{
	const u32 least = 0x00800000u << 1;

	return (a << 1) - (least + 1) < (SF32_INF << 1) - (least + 1);
}

static inline bool hf64_is_safe(u64 a)
{
	const u64 least = 0x0010000000000000ull << 1;

	return (a << 1) - (least + 1) < (SF64_INF << 1) - (least + 1);
}

static inline bool hf32_add(u32 a, u32 b, u32 *r)
{
	*r = hf_float_bits(hf_float(a) + hf_float(b));
	return HF_AVAILABLE && likely(hf32_is_finite(*r));
}

static inline bool hf64_add(u64 a, u64 b, u64 *r)
{
	*r = hf_double_bits(hf_double(a) + hf_double(b));
	return HF_AVAILABLE && likely(hf64_is_finite(*r));
}

static inline bool hf32_sub(u32 a, u32 b, u32 *r)
{
	*r = hf_float_bits(hf_float(a) - hf_float(b));
	return HF_AVAILABLE && likely(hf32_is_finite(*r));
}

static inline bool hf64_sub(u64 a, u64 b, u64 *r)
{
	*r = hf_double_bits(hf_double(a) - hf_double(b));
	return HF_AVAILABLE && likely(hf64_is_finite(*r));
}

static inline bool hf32_mul(u32 a, u32 b, u32 *r)
{
	*r = hf_float_bits(hf_float(a) * hf_float(b));
	return HF_AVAILABLE &&
	       (likely(hf32_is_safe(*r)) ||
		(sf32_is_zero(*r) && (sf32_is_zero(a) || sf32_is_zero(b))));
}

static inline bool hf64_mul(u64 a, u64 b, u64 *r)
{
	*r = hf_double_bits(hf_double(a) * hf_double(b));
	return HF_AVAILABLE &&
	       (likely(hf64_is_safe(*r)) ||
		(sf64_is_zero(*r) && (sf64_is_zero(a) || sf64_is_zero(b))));
}

/* A zero result of a zero dividend: 0 / 0 would have been a NaN. */
static inline bool hf32_div(u32 a, u32 b, u32 *r)
{
	*r = hf_float_bits(hf_float(a) / hf_float(b));
	return HF_AVAILABLE &&
	       (likely(hf32_is_safe(*r)) || (sf32_is_zero(*r) && sf32_is_zero(a)));
}

static inline bool hf64_div(u64 a, u64 b, u64 *r)
{
	*r = hf_double_bits(hf_double(a) / hf_double(b));
	return HF_AVAILABLE &&
	       (likely(hf64_is_safe(*r)) || (sf64_is_zero(*r) && sf64_is_zero(a)));
}

/* No root leaves the normal range. */
static inline bool hf32_sqrt(u32 a, u32 *r)
{
#ifdef hf_sqrt_insn
	float v = hf_float(a);

	hf_sqrt_insn(v, "s");
	*r = hf_float_bits(v);
	return HF_AVAILABLE && likely(hf32_is_finite(*r));
#else
	return false;
#endif
}

static inline bool hf64_sqrt(u64 a, u64 *r)
{
#ifdef hf_sqrt_insn
	double v = hf_double(a);

	hf_sqrt_insn(v, "d");
	*r = hf_double_bits(v);
	return HF_AVAILABLE && likely(hf64_is_finite(*r));
#else
	return false;
#endif
}

static inline bool hf32_fma(u32 a, u32 b, u32 c, u32 *r)
{
	if (!HF_AVAILABLE || !hf_has_fma())
		return false;
	*r = hf_float_bits(hf_host_fmaf(hf_float(a), hf_float(b), hf_float(c)));
	return likely(hf32_is_safe(*r)) ||
	       (sf32_is_zero(*r) && (sf32_is_zero(a) || sf32_is_zero(b)));
}

static inline bool hf64_fma(u64 a, u64 b, u64 c, u64 *r)
{
	if (!HF_AVAILABLE || !hf_has_fma())
		return false;
	*r = hf_double_bits(hf_host_fma(hf_double(a), hf_double(b), hf_double(c)));
	return likely(hf64_is_safe(*r)) ||
	       (sf64_is_zero(*r) && (sf64_is_zero(a) || sf64_is_zero(b)));
}

#endif
