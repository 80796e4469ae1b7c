/* SPDX-License-Identifier: MIT */
/* binary16: softfloat_core.h's arithmetic in this format. */
#include "cpu/fp/softfloat_core.h"

u16 sf16_add(u16 a, u16 b, enum sf_round rm, u8 *flags)
{
	return (u16)fp_add(F16, a, b, rm, flags);
}

u16 sf16_sub(u16 a, u16 b, enum sf_round rm, u8 *flags)
{
	return (u16)fp_sub(F16, a, b, rm, flags);
}

u16 sf16_mul(u16 a, u16 b, enum sf_round rm, u8 *flags)
{
	return (u16)fp_mul(F16, a, b, rm, flags);
}

u16 sf16_div(u16 a, u16 b, enum sf_round rm, u8 *flags)
{
	return (u16)fp_div(F16, a, b, rm, flags);
}

u16 sf16_sqrt(u16 a, enum sf_round rm, u8 *flags)
{
	return (u16)fp_sqrt(F16, a, rm, flags);
}

u16 sf16_fma(u16 a, u16 b, u16 c, enum sf_round rm, u8 *flags)
{
	return (u16)fp_fma(F16, a, b, c, rm, flags);
}

u16 sf16_min(u16 a, u16 b, u8 *flags)
{
	return (u16)fp_min_max(F16, a, b, false, flags);
}

u16 sf16_max(u16 a, u16 b, u8 *flags)
{
	return (u16)fp_min_max(F16, a, b, true, flags);
}

bool sf16_eq(u16 a, u16 b, u8 *flags)
{
	return fp_eq(F16, a, b, flags);
}

bool sf16_lt(u16 a, u16 b, u8 *flags)
{
	return fp_less(F16, a, b, false, false, flags);
}

bool sf16_le(u16 a, u16 b, u8 *flags)
{
	return fp_less(F16, a, b, true, false, flags);
}

unsigned sf16_classify(u16 a)
{
	return class_bits(unpack(F16, a), !(a & SF16_INF));
}

u32 sf16_to_f32(u16 a, u8 *flags)
{
	return (u32)fp_convert(F16, F32, a, SF_RNE, flags);
}

u64 sf16_to_f64(u16 a, u8 *flags)
{
	return fp_convert(F16, F64, a, SF_RNE, flags);
}

u16 sf32_to_f16(u32 a, enum sf_round rm, u8 *flags)
{
	return (u16)fp_convert(F32, F16, a, rm, flags);
}

u16 sf64_to_f16(u64 a, enum sf_round rm, u8 *flags)
{
	return (u16)fp_convert(F64, F16, a, rm, flags);
}

s32 sf16_to_s32(u16 a, enum sf_round rm, u8 *flags)
{
	return (s32)fp_to_int(unpack(F16, a), 32, true, rm, flags);
}

u32 sf16_to_u32(u16 a, enum sf_round rm, u8 *flags)
{
	return (u32)fp_to_int(unpack(F16, a), 32, false, rm, flags);
}

s64 sf16_to_s64(u16 a, enum sf_round rm, u8 *flags)
{
	return (s64)fp_to_int(unpack(F16, a), 64, true, rm, flags);
}

u64 sf16_to_u64(u16 a, enum sf_round rm, u8 *flags)
{
	return fp_to_int(unpack(F16, a), 64, false, rm, flags);
}

u16 sf16_from_s32(s32 a, enum sf_round rm, u8 *flags)
{
	return (u16)fp_from_s64(F16, a, rm, flags);
}

u16 sf16_from_u32(u32 a, enum sf_round rm, u8 *flags)
{
	return (u16)fp_from_int(F16, false, a, rm, flags);
}

u16 sf16_from_s64(s64 a, enum sf_round rm, u8 *flags)
{
	return (u16)fp_from_s64(F16, a, rm, flags);
}

u16 sf16_from_u64(u64 a, enum sf_round rm, u8 *flags)
{
	return (u16)fp_from_int(F16, false, a, rm, flags);
}
