/* SPDX-License-Identifier: MIT */
/* Runs an instruction table (lib/table.h) over edge operands: a hash for each case. */
#include "guest.h"
#include "table.h"

struct op {
	struct pair {
		u64 a0, a1;
	} (*fn)(u64 a0, u64 a1, u64 a2, u64 a3);
	const char *name;
	u64 kind;
};
extern const struct op __ops_start[], __ops_end[];

static const u64 ints[] = {
	0, 1, 2, 3, 5, 7, 8, 15, 31, 32, 33, 62, 63, 64, 127, 128, 255, 0x7fff, 0x8000, 0xffff,
	0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 0x100000000,
	0x1ffffffff, 0x7fffffff00000000, 0x7ffffffffffffffe, 0x7fffffffffffffff,
	0x8000000000000000, 0x8000000000000001, 0xffffffff00000000, 0xffffffff7fffffff,
	0xffffffff80000000, 0xffffffffffffff80, 0xfffffffffffffffe, 0xffffffffffffffff,
	0x0123456789abcdef, 0xfedcba9876543210, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa,
	0x00ff00ff00ff00ff, 0xdeadbeefcafebabe,
};

static const u64 doubles[] = {
	0x0000000000000000, 0x8000000000000000, /* zeros */
	0x0000000000000001, 0x8000000000000001, 0x000fffffffffffff, /* subnormals */
	0x0010000000000000, 0x8010000000000001, /* least normals */
	0x3ff0000000000000, 0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff,
	0x3fe0000000000000, 0xbfe8000000000000, 0x3ff8000000000000, 0x4004000000000000,
	0x400921fb54442d18, 0x3fd5555555555555, 0xc059066666666666,
	0x41dfffffffc00000, 0x41dfffffffe00000, 0xc1e0000000000000, 0xc1e0000000200000, /* 2^31 */
	0x41efffffffe00000, 0x41f0000000000000, 0x43dfffffffffffff, 0x43e0000000000000,
	0xc3e0000000000000, 0xc3e0000000000001, 0x43efffffffffffff, 0x43f0000000000000, /* 2^64 */
	0x36a0000000000000, 0x369fffffffffffff, 0x380fffffffffffff, 0x3810000000000000,
	0x380fffffe0000000, 0x380ffffff0000000, 0x47efffffe0000000, 0x47efffffefffffff,
	0x47effffff0000000, 0xc7f0000000000000, /* around float's limits */
	0x7fe0000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, /* greatest */
	0x7ff0000000000000, 0xfff0000000000000, /* infinities */
	0x7ff8000000000000, 0xfff8000000000123, 0x7ff0000000000001, 0xfff4000000000000, /* NaNs */
};

static const u32 floats[] = {
	0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x80800001,
	0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x3f000000, 0xbf400000, 0x3fc00000,
	0x40200000, 0x40490fdb, 0x3eaaaaab, 0xc2c83333, 0x4effffff, 0x4f000000, 0xcf000000,
	0xcf000001, 0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000, 0xdf000000, 0xdf000001,
	0x5f7fffff, 0x5f800000, 0x7f000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
	0x7fc00000, 0xffc00123, 0x7f800001, 0xffa00000, 0x1f800000, 0x20000000, 0x5f3504f3,
};

/* Not NaN-boxed: must be taken for the canonical NaN by single-precision instructions. */
static const u64 unboxed[] = { 0x000000003f800000, 0xfffffffe40490fdb, 0x7fffffff00000000 };

static u64 single(unsigned i)
{
	return i < ARRAY_SIZE(floats) ? 0xffffffff00000000 | floats[i] :
		unboxed[i - ARRAY_SIZE(floats)];
}

static const u16 halves[] = {
	0x0000, 0x8000, 0x0001, 0x8001, 0x0002, 0x03ff, 0x83ff, 0x0400, 0x8401, 0x0401, 0x07ff,
	0x3c00, 0xbc00, 0x3c01, 0x3bff, 0x3800, 0xb800, 0x3801, 0x3e00, 0xbe00, 0x4100, 0x4248,
	0x3555, 0xd640, 0x63ff, 0x6400, 0x6401, 0x67ff, 0xe7fe, 0x6800, 0x77ff, 0x7800, 0xf801,
	0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe23, 0x7c01, 0xfd00, 0x1000, 0x1c00, 0x39a8,
};

/* Not NaN-boxed as a half is. */
static const u64 unboxed_halves[] = { 0x0000000000003c00, 0xffffffff3f803c00, 0xfffffffefffc4248,
				      0x7fffffffffff3c00 };

static u64 half(unsigned i)
{
	return i < ARRAY_SIZE(halves) ? 0xffffffffffff0000 | halves[i] :
		unboxed_halves[i - ARRAY_SIZE(halves)];
}

static unsigned operand_count(u64 kind)
{
	if ((kind & 255) <= RR || (kind & 255) == IF)
		return ARRAY_SIZE(ints);
	if (kind & HALF)
		return ARRAY_SIZE(halves) + ARRAY_SIZE(unboxed_halves);
	return kind & SINGLE ? ARRAY_SIZE(floats) + ARRAY_SIZE(unboxed) : ARRAY_SIZE(doubles);
}

static u64 operand(u64 kind, unsigned i)
{
	if ((kind & 255) <= RR || (kind & 255) == IF)
		return ints[i];
	if (kind & HALF)
		return half(i);
	return kind & SINGLE ? single(i) : doubles[i];
}

u64 table_model(const char *name, u64 a, u64 b);

static u64 run_one(const struct op *op, unsigned entry, u64 frm, u64 h, bool verbose)
{
	unsigned kind = op->kind & 255;
	unsigned n = operand_count(op->kind), i, j, k;
	unsigned nj = kind == RR || kind == F2 || kind == F3 || kind == FI2 ? n : 1;
	/* Three operands: every third one each, at an offset that varies with the outer two. */
	unsigned step = kind == F3 ? 3 : 1;
	struct pair p;

	for (i = 0; i < n; i++)
		for (j = 0; j < nj; j++)
			for (k = kind == F3 ? (i + j) % step : n - 1; k < n; k += step) {
				u64 a = operand(op->kind, i), b = operand(op->kind, j);
				u64 c = operand(op->kind, k);

				/* A static rounding mode wins over frm: give it another one. */
				p = op->fn(a, b, c, (op->kind & DYN ? frm : (entry + 2) % 5) << 5);
				if (kind <= RR)
					p.a1 = 0;
				h = hash(hash(h, p.a0), p.a1);
				if (verbose)
					print("  %u frm %u %x %x %x -> %x flags %x\n", entry, frm,
					      a, nj > 1 ? b : 0, kind == F3 ? c : 0, p.a0, p.a1);
				if (op->kind & TABLE_SELF)
					check(p.a0 == table_model(op->name, a, b),
					      "%s %x %x: got %x want %x", op->name, a, b, p.a0,
					      table_model(op->name, a, b));
			}
	return h;
}

int main(void)
{
	const struct op *op = __ops_start;
	unsigned entry;
	u64 h, frm;
	bool verbose;

	while (op < __ops_end) {
		const char *name = op->name;

		verbose = op->kind & TABLE_SELF ? test_case_self("%s", name) : test_case("%s", name);
		h = 0;
		for (entry = 0; op < __ops_end && !strcmp(op->name, name); op++, entry++)
			for (frm = 0; frm < (op->kind & DYN ? 5 : 1); frm++)
				h = run_one(op, entry, frm, h, verbose);
		print("  %u forms %w\n", entry, h);
	}
	return 0;
}
