/* SPDX-License-Identifier: MIT */
/* binary32 and binary64: softfloat_core.h's arithmetic in these formats. */
#include "cpu/fp/softfloat_core.h"

u32 sf32_add(u32 a, u32 b, enum sf_round rm, u8 *flags)
{
	return (u32)fp_add(F32, a, b, rm, flags);
}

u64 sf64_add(u64 a, u64 b, enum sf_round rm, u8 *flags)
{
	return fp_add(F64, a, b, rm, flags);
}

u32 sf32_sub(u32 a, u32 b, enum sf_round rm, u8 *flags)
{
	return (u32)fp_sub(F32, a, b, rm, flags);
}

u64 sf64_sub(u64 a, u64 b, enum sf_round rm, u8 *flags)
{
	return fp_sub(F64, a, b, rm, flags);
}

u32 sf32_mul(u32 a, u32 b, enum sf_round rm, u8 *flags)
{
	return (u32)fp_mul(F32, a, b, rm, flags);
}

u64 sf64_mul(u64 a, u64 b, enum sf_round rm, u8 *flags)
{
	return fp_mul(F64, a, b, rm, flags);
}

u32 sf32_div(u32 a, u32 b, enum sf_round rm, u8 *flags)
{
	return (u32)fp_div(F32, a, b, rm, flags);
}

u64 sf64_div(u64 a, u64 b, enum sf_round rm, u8 *flags)
{
	return fp_div(F64, a, b, rm, flags);
}

u32 sf32_sqrt(u32 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_sqrt(F32, a, rm, flags);
}

u64 sf64_sqrt(u64 a, enum sf_round rm, u8 *flags)
{
	return fp_sqrt(F64, a, rm, flags);
}

u32 sf32_fma(u32 a, u32 b, u32 c, enum sf_round rm, u8 *flags)
{
	return (u32)fp_fma(F32, a, b, c, rm, flags);
}

u64 sf64_fma(u64 a, u64 b, u64 c, enum sf_round rm, u8 *flags)
{
	return fp_fma(F64, a, b, c, rm, flags);
}

u32 sf32_min(u32 a, u32 b, u8 *flags)
{
	return (u32)fp_min_max(F32, a, b, false, flags);
}

u64 sf64_min(u64 a, u64 b, u8 *flags)
{
	return fp_min_max(F64, a, b, false, flags);
}

u32 sf32_max(u32 a, u32 b, u8 *flags)
{
	return (u32)fp_min_max(F32, a, b, true, flags);
}

u64 sf64_max(u64 a, u64 b, u8 *flags)
{
	return fp_min_max(F64, a, b, true, flags);
}

bool sf32_eq(u32 a, u32 b, u8 *flags)
{
	if (unlikely(sf32_is_nan(a) || sf32_is_nan(b))) {
		if (sf32_is_snan(a) || sf32_is_snan(b))
			*flags |= SF_NV;
		return false;
	}
	return a == b || both_zero(F32, a, b);
}

bool sf64_eq(u64 a, u64 b, u8 *flags)
{
	if (unlikely(sf64_is_nan(a) || sf64_is_nan(b))) {
		if (sf64_is_snan(a) || sf64_is_snan(b))
			*flags |= SF_NV;
		return false;
	}
	return a == b || both_zero(F64, a, b);
}

bool sf32_lt(u32 a, u32 b, u8 *flags)
{
	if (unlikely(sf32_is_nan(a) || sf32_is_nan(b))) {
		*flags |= SF_NV;
		return false;
	}
	return total_less(F32, a, b) && !both_zero(F32, a, b);
}

bool sf64_lt(u64 a, u64 b, u8 *flags)
{
	if (unlikely(sf64_is_nan(a) || sf64_is_nan(b))) {
		*flags |= SF_NV;
		return false;
	}
	return total_less(F64, a, b) && !both_zero(F64, a, b);
}

bool sf32_le(u32 a, u32 b, u8 *flags)
{
	if (unlikely(sf32_is_nan(a) || sf32_is_nan(b))) {
		*flags |= SF_NV;
		return false;
	}
	return !total_less(F32, b, a) || both_zero(F32, a, b);
}

bool sf64_le(u64 a, u64 b, u8 *flags)
{
	if (unlikely(sf64_is_nan(a) || sf64_is_nan(b))) {
		*flags |= SF_NV;
		return false;
	}
	return !total_less(F64, b, a) || both_zero(F64, a, b);
}

unsigned sf32_classify(u32 a)
{
	return class_bits(unpack(F32, a), !(a & SF32_INF));
}

unsigned sf64_classify(u64 a)
{
	return class_bits(unpack(F64, a), !(a & SF64_INF));
}

u64 sf32_to_f64(u32 a, u8 *flags)
{
	return fp_convert(F32, F64, a, SF_RNE, flags);
}

u32 sf64_to_f32(u64 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_convert(F64, F32, a, rm, flags);
}

s32 sf32_to_s32(u32 a, enum sf_round rm, u8 *flags)
{
	return (s32)fp_to_int(unpack(F32, a), 32, true, rm, flags);
}

u32 sf32_to_u32(u32 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_to_int(unpack(F32, a), 32, false, rm, flags);
}

s64 sf32_to_s64(u32 a, enum sf_round rm, u8 *flags)
{
	return (s64)fp_to_int(unpack(F32, a), 64, true, rm, flags);
}

u64 sf32_to_u64(u32 a, enum sf_round rm, u8 *flags)
{
	return fp_to_int(unpack(F32, a), 64, false, rm, flags);
}

s32 sf64_to_s32(u64 a, enum sf_round rm, u8 *flags)
{
	return (s32)fp_to_int(unpack(F64, a), 32, true, rm, flags);
}

u32 sf64_to_u32(u64 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_to_int(unpack(F64, a), 32, false, rm, flags);
}

s64 sf64_to_s64(u64 a, enum sf_round rm, u8 *flags)
{
	return (s64)fp_to_int(unpack(F64, a), 64, true, rm, flags);
}

u64 sf64_to_u64(u64 a, enum sf_round rm, u8 *flags)
{
	return fp_to_int(unpack(F64, a), 64, false, rm, flags);
}

u32 sf32_from_s32(s32 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_from_s64(F32, a, rm, flags);
}

u32 sf32_from_u32(u32 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_from_int(F32, false, a, rm, flags);
}

u32 sf32_from_s64(s64 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_from_s64(F32, a, rm, flags);
}

u32 sf32_from_u64(u64 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_from_int(F32, false, a, rm, flags);
}

u64 sf64_from_s32(s32 a, enum sf_round rm, u8 *flags)
{
	return fp_from_s64(F64, a, rm, flags);
}

u64 sf64_from_u32(u32 a, enum sf_round rm, u8 *flags)
{
	return fp_from_int(F64, false, a, rm, flags);
}

u64 sf64_from_s64(s64 a, enum sf_round rm, u8 *flags)
{
	return fp_from_s64(F64, a, rm, flags);
}

u64 sf64_from_u64(u64 a, enum sf_round rm, u8 *flags)
{
	return fp_from_int(F64, false, a, rm, flags);
}
