/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of A64 programs that hit a trap region, carried out.
 *
 * The decoder is ours because no library has all of it: Capstone in Debian 12 (4.0.2) doesn't
 * decode LSE, LDAPR and LDLAR; in Debian 13 (5.0.7) it doesn't say which operands of LSE and of
 * LD1 are read and written. What would be left to it is to find fields that lie at fixed bits.
 *
 * Carried out are: single registers and pairs in every addressing form, general and SIMD&FP;
 * literals; unprivileged, non-temporal, acquire and release forms; read-modify-writes (LSE) and
 * compare-and-swaps; the structures of Advanced SIMD (LD1 to LD4, lanes and replication); DC ZVA;
 * SVE's contiguous loads and stores of elements under a predicate, which the C library's memcpy
 * is made of where there is SVE. Refused, so that the program gets SIGBUS: exclusives, whose
 * monitor no trap can hold; read-modify-writes, acquires and releases that are not naturally
 * aligned, as on device memory; what the manual calls UNPREDICTABLE (write-back to a register
 * that is moved, a pair loaded to one register); the rest of SVE, MTE, MOPS, 64-byte and 128-bit
 * atomics, and everything else.
 *
 * Memory is accessed once for each element of a pair or of an SVE vector, and once for each
 * register else, cut into naturally aligned accesses of up to 8 bytes; the structures of Advanced
 * SIMD are one run of bytes. A read-modify-write is a read and a write of the device's, atomic
 * among trapped accesses (sv_trap_rmw_lock); a compare-and-swap that finds another value doesn't
 * write. A load to XZR reads. Everything is in order with what stands before and behind it, as if
 * it had acquire and release.
 *
 * Registers are read and written in the signal's context, so that a refused instruction has
 * changed none. SIMD&FP registers are in its fpsimd_context record, and where the thread uses
 * SVE, in sve_context, too, whose bits above 127 a write clears. (The kernel takes the low bits
 * from the first record, QEMU's user mode from the second.)
 *
 * Arm ARM (DDI 0487), C4.1 "A64 instruction set encoding", table "Loads and stores", and the
 * pages of the instructions in C6 and C7; Linux, Documentation/arch/arm64/sve.rst, "Signal
 * handling".
 */
#include <asm/sigcontext.h>
#include <string.h>
#include <ucontext.h>

#include "base/trap_insn.h"
#include "base/trap_region.h"

#define ZR 31			/* as a register: XZR; as a base: SP */
#define V_SIZE 16
#define VL_MAX 256		/* 2048 bits */
#define PSTATE_BTYPE (3ull << 10)

enum extend { ZERO, SIGN_64, SIGN_32 };

struct insn {
	ucontext_t *uc;
	mcontext_t *m;
	u32 w;
};

/* Where the instruction's base register goes, and where its first byte is. */
struct place {
	u64 addr;
	unsigned rn;
	u64 next;		/* rn's value after it, with write-back */
	bool write_back;
};

bool sv_trap_can_emulate(void)
{
	return true;
}

static unsigned bits(u32 w, unsigned high, unsigned low)
{
	return (unsigned)(w >> low & GENMASK(high - low, 0));
}

static s64 sbits(u32 w, unsigned high, unsigned low)
{
	return (s32)(w << (31 - high)) >> (31 - high + low);
}

static u64 x_read(const struct insn *in, unsigned r)
{
	return r == ZR ? 0 : in->m->regs[r];
}

static void x_write(struct insn *in, unsigned r, u64 v)
{
	if (r != ZR)
		in->m->regs[r] = v;
}

static u64 base_read(const struct insn *in, unsigned r)
{
	return r == ZR ? in->m->sp : in->m->regs[r];
}

static void write_back(struct insn *in, const struct place *at)
{
	if (!at->write_back)
		return;
	if (at->rn == ZR)
		in->m->sp = at->next;
	else
		in->m->regs[at->rn] = at->next;
}

/* Linux lets programs put anything into an address's top byte (TBI). */
static bool load(u64 addr, void *dst, size_t len)
{
	return sv_trap_load(addr & GENMASK(55, 0), dst, len);
}

static bool store(u64 addr, const void *src, size_t len)
{
	return sv_trap_store(addr & GENMASK(55, 0), src, len);
}

static u64 sign_extend(u64 v, unsigned size)
{
	unsigned shift = 64 - size * 8;

	return (u64)((s64)(v << shift) >> shift);
}

/*
 * The record with this magic number among [p, end); NULL. Records that found no place in the
 * frame are where the one with EXTRA_MAGIC points.
 */
static u8 *record_find(u8 *p, u8 *end, u32 magic)
{
	struct _aarch64_ctx head;
	struct extra_context extra;
	u8 *more = NULL;
	size_t more_size = 0;

	for (; p + sizeof(head) <= end; p += head.size) {
		memcpy(&head, p, sizeof(head));
		if (head.magic == magic)
			return p;
		if (!head.magic || head.size < sizeof(head))
			break;
		if (head.magic == EXTRA_MAGIC) {
			memcpy(&extra, p, sizeof(extra));
			more = (u8 *)(uintptr_t)extra.datap;
			more_size = extra.size;
		}
	}
	return more ? record_find(more, more + more_size, magic) : NULL;
}

static u8 *context_record(struct insn *in, u32 magic)
{
	u8 *p = (u8 *)in->m->__reserved;

	return record_find(p, p + sizeof(in->m->__reserved), magic);
}

/* Where the context keeps SIMD&FP register r; NULL: it has none. */
static u8 *v_place(struct insn *in, unsigned r)
{
	u8 *p = context_record(in, FPSIMD_MAGIC);

	return p ? p + offsetof(struct fpsimd_context, vregs) + r * V_SIZE : NULL;
}

static bool v_read(struct insn *in, unsigned r, u8 v[V_SIZE])
{
	u8 *p = v_place(in, r);

	if (p)
		memcpy(v, p, V_SIZE);
	return p;
}

/* SVE's registers in the context and the vectors' length in bytes; NULL: none are in use. */
static u8 *sve_regs(struct insn *in, unsigned *vl)
{
	u8 *p = context_record(in, SVE_MAGIC);
	struct sve_context sve;

	if (!p)
		return NULL;
	memcpy(&sve, p, sizeof(sve));
	*vl = sve.vl;
	if (sve.vl < V_SIZE || sve.vl > VL_MAX ||
	    sve.head.size < SVE_SIG_CONTEXT_SIZE(sve.vl / V_SIZE))
		return NULL;
	return p;
}

/* All of the register: what lies above 128 bits becomes 0, as with every SIMD&FP write. */
static bool v_write(struct insn *in, unsigned r, const u8 v[V_SIZE])
{
	unsigned vl;
	u8 *p = v_place(in, r), *z = sve_regs(in, &vl);

	if (!p)
		return false;
	memcpy(p, v, V_SIZE);
	if (z) {
		z += SVE_SIG_ZREG_OFFSET(vl / V_SIZE, r);
		memcpy(z, v, V_SIZE);
		memset(z + V_SIZE, 0, vl - V_SIZE);
	}
	return true;
}

/* One register of size bytes, general or SIMD&FP, to and from bytes. */
struct reg {
	unsigned n, size;
	bool simd;
	enum extend extend;
};

static bool reg_get(struct insn *in, const struct reg *r, u8 b[V_SIZE])
{
	u64 v = x_read(in, r->n);

	if (r->simd)
		return v_read(in, r->n, b);
	memcpy(b, &v, sizeof(v));
	return true;
}

/* b is 0 above the register's size. */
static bool reg_set(struct insn *in, const struct reg *r, const u8 b[V_SIZE])
{
	u64 v;

	if (r->simd)
		return v_write(in, r->n, b);
	memcpy(&v, b, sizeof(v));
	if (r->extend != ZERO)
		v = sign_extend(v, r->size);
	x_write(in, r->n, r->extend == SIGN_32 ? (u32)v : v);
	return true;
}

static bool move(struct insn *in, const struct place *at, const struct reg *reg, unsigned nr,
		 bool is_load)
{
	u8 b[2][V_SIZE] = { { 0 } };
	u64 addr = at->addr;
	bool ok = true;

	for (unsigned i = 0; ok && i < nr; addr += reg[i++].size) {
		if (is_load)
			ok = load(addr, b[i], reg[i].size);
		else
			ok = reg_get(in, &reg[i], b[i]) && store(addr, b[i], reg[i].size);
	}
	for (unsigned i = 0; ok && is_load && i < nr; i++)
		ok = reg_set(in, &reg[i], b[i]);
	if (ok)
		write_back(in, at);
	return ok;
}

/* size and opc of a single register; false: a prefetch, or no instruction. */
static bool single_reg(u32 w, struct reg *r, bool *is_load)
{
	unsigned size = bits(w, 31, 30), opc = bits(w, 23, 22);

	r->n = bits(w, 4, 0);
	r->simd = bits(w, 26, 26);
	r->size = 1u << size;
	r->extend = ZERO;
	*is_load = opc;
	if (r->simd) {
		if (opc & 2) {
			r->size = 16;
			*is_load = opc & 1;
			return size == 0;
		}
		return true;
	}
	if (opc == 2)
		r->extend = SIGN_64;
	else if (opc == 3)
		r->extend = SIGN_32;
	return opc < 2 || (opc == 2 ? size < 3 : size < 2);
}

/* LDR and STR: unsigned offset, unscaled, pre- and post-indexed, unprivileged, register offset. */
static bool do_single(struct insn *in)
{
	u32 w = in->w;
	unsigned scale, form = bits(w, 11, 10);
	struct place at = { .rn = bits(w, 9, 5) };
	u64 base = base_read(in, at.rn), index;
	struct reg r;
	bool is_load;

	if (!single_reg(w, &r, &is_load))
		return false;
	scale = (unsigned)__builtin_ctz(r.size);
	if (bits(w, 24, 24)) {
		at.addr = base + ((u64)bits(w, 21, 10) << scale);
		return move(in, &at, &r, 1, is_load);
	}
	if (!bits(w, 21, 21)) {
		at.next = base + (u64)sbits(w, 20, 12);
		at.addr = form == 1 ? base : at.next;
		at.write_back = form & 1;
		if ((form == 2 && r.simd) ||
		    (at.write_back && !r.simd && r.n == at.rn && r.n != ZR))
			return false;
		return move(in, &at, &r, 1, is_load);
	}
	if (form != 2)
		return false;
	index = x_read(in, bits(w, 20, 16));
	switch (bits(w, 15, 13)) {
	case 2: index = (u32)index; break;		/* UXTW */
	case 6: index = sign_extend(index, 4); break;	/* SXTW */
	case 3: case 7: break;				/* LSL, SXTX */
	default:
		return false;
	}
	at.addr = base + (bits(w, 12, 12) ? index << scale : index);
	return move(in, &at, &r, 1, is_load);
}

/* LDAPUR, STLUR: unscaled. */
static bool do_ordered_unscaled(struct insn *in)
{
	struct place at = { .rn = bits(in->w, 9, 5) };
	struct reg r;
	bool is_load;

	if (bits(in->w, 26, 26) || bits(in->w, 21, 21) || bits(in->w, 11, 10) ||
	    !single_reg(in->w, &r, &is_load))
		return false;
	at.addr = base_read(in, at.rn) + (u64)sbits(in->w, 20, 12);
	return at.addr % r.size == 0 && move(in, &at, &r, 1, is_load);
}

static bool do_literal(struct insn *in)
{
	unsigned opc = bits(in->w, 31, 30);
	struct reg r = { .n = bits(in->w, 4, 0), .simd = bits(in->w, 26, 26) };
	struct place at = { .addr = in->m->pc + (u64)sbits(in->w, 23, 5) * 4 };

	if (opc == 3)
		return false;
	r.size = r.simd ? 4u << opc : opc == 1 ? 8 : 4;
	r.extend = !r.simd && opc == 2 ? SIGN_64 : ZERO;
	return move(in, &at, &r, 1, true);
}

static bool do_pair(struct insn *in)
{
	u32 w = in->w;
	unsigned opc = bits(w, 31, 30), form = bits(w, 24, 23);
	bool is_load = bits(w, 22, 22), simd = bits(w, 26, 26);
	struct place at = { .rn = bits(w, 9, 5), .write_back = form & 1 };
	struct reg r[2] = { { .n = bits(w, 4, 0), .simd = simd } };

	r[0].size = simd ? 4u << opc : opc == 2 ? 8 : 4;
	if (!simd && opc == 1)
		r[0].extend = SIGN_64;
	r[1] = r[0];
	r[1].n = bits(w, 14, 10);
	/* LDPSW has neither a store (that is STGP) nor a non-temporal form. */
	if (opc == 3 || (!simd && opc == 1 && (!is_load || form == 0)) ||
	    (is_load && r[0].n == r[1].n) ||
	    (at.write_back && !simd && at.rn != ZR && (at.rn == r[0].n || at.rn == r[1].n)))
		return false;
	at.addr = base_read(in, at.rn);
	at.next = at.addr + (u64)sbits(w, 21, 15) * r[0].size;
	if (form != 1)
		at.addr = at.next;
	return move(in, &at, r, 2, is_load);
}

static u64 x_mask(unsigned size)
{
	return size < 8 ? (1ull << size * 8) - 1 : ~0ull;
}

/* What an LSE operation leaves in memory; op is o3:opc. False: none of these. */
static bool atomic_result(unsigned op, unsigned size, u64 a, u64 b, u64 *r)
{
	s64 sa = (s64)sign_extend(a, size), sb = (s64)sign_extend(b, size);

	a &= x_mask(size);
	b &= x_mask(size);
	switch (op) {
	case 0: *r = a + b; break;		/* LDADD */
	case 1: *r = a & ~b; break;		/* LDCLR */
	case 2: *r = a ^ b; break;		/* LDEOR */
	case 3: *r = a | b; break;		/* LDSET */
	case 4: *r = sa > sb ? a : b; break;	/* LDSMAX */
	case 5: *r = sa < sb ? a : b; break;	/* LDSMIN */
	case 6: *r = a > b ? a : b; break;	/* LDUMAX */
	case 7: *r = a < b ? a : b; break;	/* LDUMIN */
	case 8: *r = b; break;			/* SWP */
	default:
		return false;
	}
	return true;
}

/* LDADD and its like, SWP, LDAPR. */
static bool do_atomic(struct insn *in)
{
	u32 w = in->w;
	unsigned size = 1u << bits(w, 31, 30), op = bits(w, 15, 12), rs = bits(w, 20, 16);
	struct place at = { .rn = bits(w, 9, 5) };
	struct reg r = { .n = bits(w, 4, 0), .size = size };
	u64 old = 0, result;
	bool ok;

	at.addr = base_read(in, at.rn);
	if (bits(w, 26, 26) || at.addr % size)
		return false;
	if (op == 12 && bits(w, 23, 22) == 2 && rs == ZR)
		return move(in, &at, &r, 1, true);
	if (!atomic_result(op, size, 0, 0, &result))
		return false;
	sv_mutex_lock(&sv_trap_rmw_lock);
	ok = load(at.addr, &old, size) &&
	     atomic_result(op, size, old, x_read(in, rs), &result) &&
	     store(at.addr, &result, size);
	sv_mutex_unlock(&sv_trap_rmw_lock);
	if (ok)
		x_write(in, r.n, old);
	return ok;
}

/* CAS (nr 1) and CASP (nr 2): rs and what follows it is compared, then what memory had. */
static bool do_compare_and_swap(struct insn *in, unsigned size, unsigned nr)
{
	unsigned rs = bits(in->w, 20, 16), rt = bits(in->w, 4, 0);
	u64 addr = base_read(in, bits(in->w, 9, 5)), old[2] = { 0 }, val;
	bool ok = true, same = true;

	/* CASP's registers are pairs from an even one on; 30 is paired with XZR. */
	if (bits(in->w, 14, 10) != ZR || addr % (size * nr) || (nr == 2 && ((rs | rt) & 1)))
		return false;
	sv_mutex_lock(&sv_trap_rmw_lock);
	for (unsigned i = 0; ok && i < nr; i++) {
		ok = load(addr + i * size, &old[i], size);
		same = same && old[i] == (x_read(in, rs + i) & x_mask(size));
	}
	for (unsigned i = 0; ok && same && i < nr; i++) {
		val = x_read(in, rt + i);
		ok = store(addr + i * size, &val, size);
	}
	sv_mutex_unlock(&sv_trap_rmw_lock);
	for (unsigned i = 0; ok && i < nr; i++)
		x_write(in, rs + i, old[i]);
	return ok;
}

/* LDAR, LDLAR, STLR, STLLR, CAS, CASP; the rest are exclusives. */
static bool do_ordered(struct insn *in)
{
	u32 w = in->w;
	bool o2 = bits(w, 23, 23), o1 = bits(w, 21, 21);
	struct reg r = { .n = bits(w, 4, 0), .size = 1u << bits(w, 31, 30) };
	struct place at = { .rn = bits(w, 9, 5), .addr = base_read(in, bits(w, 9, 5)) };

	if (o1 && o2)
		return do_compare_and_swap(in, r.size, 1);
	if (o1 && !bits(w, 31, 31))
		return do_compare_and_swap(in, 4u << bits(w, 30, 30), 2);
	if (!o2 || o1 || bits(w, 20, 16) != ZR || bits(w, 14, 10) != ZR)
		return false;
	return at.addr % r.size == 0 && move(in, &at, &r, 1, bits(w, 22, 22));
}

/*
 * Structures of Advanced SIMD: element e of register s of each run of registers, in the order
 * in which they lie in memory.
 */
struct structures {
	unsigned first;		/* register; they go on behind it, modulo 32 */
	unsigned runs, regs;	/* LD1: some runs of one register. LD4: one run of four */
	unsigned elements, lane;	/* of each register, from lane on */
	unsigned size;		/* of an element, in bytes */
	bool is_load;
	bool whole;		/* a load clears what it doesn't fill */
	bool replicate;		/* the one element goes to all of these: */
	unsigned copies;
};

static bool move_structures(struct insn *in, const struct structures *s)
{
	unsigned nr = s->runs * s->regs, total = nr * s->elements * s->size;
	struct place at = { .rn = bits(in->w, 9, 5), .write_back = bits(in->w, 23, 23) };
	unsigned rm = bits(in->w, 20, 16);
	u8 v[4][V_SIZE] = { { 0 } }, mem[4 * V_SIZE], *p = mem;
	bool ok = true;

	at.addr = base_read(in, at.rn);
	at.next = at.addr + (rm == ZR ? total : x_read(in, rm));
	if (!at.write_back && rm)
		return false;
	for (unsigned i = 0; ok && i < nr && !(s->is_load && s->whole); i++)
		ok = v_read(in, (s->first + i) % 32, v[i]);
	if (!ok || (s->is_load && !load(at.addr, mem, total)))
		return false;
	for (unsigned run = 0; run < s->runs; run++)
		for (unsigned e = 0; e < s->elements; e++)
			for (unsigned i = run; i < run + s->regs; i++, p += s->size) {
				u8 *lane = v[i] + (s->lane + e) * s->size;

				memcpy(s->is_load ? lane : p, s->is_load ? p : lane, s->size);
			}
	for (unsigned i = 0; s->replicate && i < nr; i++)
		for (unsigned e = 1; e < s->copies; e++)
			memcpy(v[i] + e * s->size, v[i], s->size);
	if (!s->is_load && !store(at.addr, mem, total))
		return false;
	for (unsigned i = 0; ok && s->is_load && i < nr; i++)
		ok = v_write(in, (s->first + i) % 32, v[i]);
	if (ok)
		write_back(in, &at);
	return ok;
}

static bool do_multiple_structures(struct insn *in)
{
	u32 w = in->w;
	unsigned size = bits(w, 11, 10), q = bits(w, 30, 30);
	struct structures s = {
		.first = bits(w, 4, 0), .runs = 1, .regs = 1, .size = 1u << size,
		.elements = (q ? 16u : 8u) >> size, .is_load = bits(w, 22, 22), .whole = true,
	};

	switch (bits(w, 15, 12)) {
	case 0: s.regs = 4; break;
	case 2: s.runs = 4; break;
	case 4: s.regs = 3; break;
	case 6: s.runs = 3; break;
	case 7: break;
	case 8: s.regs = 2; break;
	case 10: s.runs = 2; break;
	default:
		return false;
	}
	if (bits(w, 21, 21) || (s.regs > 1 && size == 3 && !q))
		return false;
	return move_structures(in, &s);
}

static bool do_single_structure(struct insn *in)
{
	u32 w = in->w;
	unsigned opcode = bits(w, 15, 13), sbit = bits(w, 12, 12), size = bits(w, 11, 10);
	unsigned q = bits(w, 30, 30), lane = q << 3 | sbit << 2 | size, scale = opcode >> 1;
	struct structures s = {
		.first = bits(w, 4, 0), .runs = 1, .elements = 1, .is_load = bits(w, 22, 22),
		.regs = ((opcode & 1) << 1 | bits(w, 21, 21)) + 1,
	};

	if (scale == 3) {
		if (!s.is_load || sbit)
			return false;
		scale = size;
		s.whole = s.replicate = true;
		s.copies = (q ? 16u : 8u) >> size;
		lane = 0;
	} else if (scale == 2 && (size & 1)) {
		if (size != 1 || sbit)
			return false;
		scale = 3;
	} else if (size & ((1u << scale) - 1)) {
		return false;
	}
	s.size = 1u << scale;
	s.lane = lane >> scale;
	return move_structures(in, &s);
}

/* DC ZVA: zeroes the block of DCZID_EL0.BS around the address. */
static bool do_zero_block(struct insn *in)
{
	static const u8 zero[8];
	u64 dczid, addr, len;

	asm("mrs %0, dczid_el0" : "=r"(dczid));
	len = 4ull << (dczid & 15);
	addr = ALIGN_DOWN(x_read(in, bits(in->w, 4, 0)), len);
	for (u64 off = 0; off < len; off += sizeof(zero))
		if (!store(addr + off, zero, min(len, (u64)sizeof(zero))))
			return false;
	return true;
}

/* Contiguous elements of SVE: LD1B and its like zero- or sign-extend, ST1B and its like cut. */
struct elements {
	unsigned in_mem, in_reg;	/* log2 of bytes */
	bool is_signed, is_load;
	u64 addr;
};

static bool sve_decode(struct insn *in, unsigned vl, struct elements *e)
{
	u32 w = in->w;
	unsigned high = bits(w, 24, 23), low = bits(w, 22, 21), rm = bits(w, 20, 16);

	e->is_load = !bits(w, 30, 30);
	e->in_mem = high;
	e->in_reg = low;
	e->is_signed = low < high;
	if (e->is_signed) {
		if (!e->is_load)
			return false;
		e->in_mem = 3 - high;
		e->in_reg = 3 - low;
	}
	e->addr = base_read(in, bits(w, 9, 5));
	if (bits(w, 15, 13) == 2) {		/* [base, index] */
		e->addr += x_read(in, rm) << e->in_mem;
		return rm != ZR;
	}
	/* [base, #imm, MUL VL] */
	e->addr += (u64)sbits(w, 19, 16) * (vl >> e->in_reg << e->in_mem);
	return bits(w, 15, 13) == (e->is_load ? 5 : 7) && !bits(w, 20, 20);
}

static bool do_sve(struct insn *in)
{
	unsigned vl, zt = bits(in->w, 4, 0);
	u8 *sve = sve_regs(in, &vl), *v = v_place(in, zt), *z, *p, buf[VL_MAX] = { 0 };
	struct elements e;

	if (!sve || !v || !sve_decode(in, vl, &e))
		return false;
	z = sve + SVE_SIG_ZREG_OFFSET(vl / V_SIZE, zt);
	p = sve + SVE_SIG_PREG_OFFSET(vl / V_SIZE, bits(in->w, 12, 10));
	if (!e.is_load) {
		memcpy(buf, z, vl);
		memcpy(buf, v, V_SIZE);
	}
	/* A bit of the predicate for each byte of the vector; the element's is that of its lowest. */
	for (unsigned i = 0; i < vl; i += 1u << e.in_reg, e.addr += 1u << e.in_mem) {
		u64 val = 0;

		if (!(p[i / 8] >> i % 8 & 1))
			continue;
		if (!e.is_load) {
			if (!store(e.addr, buf + i, 1u << e.in_mem))
				return false;
			continue;
		}
		if (!load(e.addr, &val, 1u << e.in_mem))
			return false;
		if (e.is_signed)
			val = sign_extend(val, 1u << e.in_mem);
		memcpy(buf + i, &val, 1u << e.in_reg);
	}
	if (e.is_load) {
		memcpy(z, buf, vl);
		memcpy(v, buf, V_SIZE);
	}
	return true;
}

static bool carry_out(struct insn *in)
{
	u32 w = in->w;

	/* SVE loads and stores of elements: 1x10010 at the top. */
	if ((w & 0xbe000000) == 0xa4000000)
		return do_sve(in);
	if ((w & ~0x1fu) == 0xd50b7420)
		return do_zero_block(in);
	/* Loads and stores: op0 (28:25) is x1x0. */
	if (!bits(w, 27, 27) || bits(w, 25, 25))
		return false;
	switch (bits(w, 29, 28)) {
	case 0:
		if (!bits(w, 26, 26))
			return !bits(w, 24, 24) && do_ordered(in);
		if (bits(w, 31, 31))
			return false;
		return bits(w, 24, 24) ? do_single_structure(in) : do_multiple_structures(in);
	case 1:
		return bits(w, 24, 24) ? do_ordered_unscaled(in) : do_literal(in);
	case 2:
		return do_pair(in);
	default:
		if (!bits(w, 24, 24) && bits(w, 21, 21) && !bits(w, 11, 10))
			return do_atomic(in);
		return do_single(in);
	}
}

bool sv_trap_emulate(void *ucontext)
{
	ucontext_t *uc = ucontext;
	struct insn in = { .uc = uc, .m = &uc->uc_mcontext };
	bool ok;

	if (sv_trap_fetch(in.m->pc, &in.w, sizeof(in.w)) != sizeof(in.w))
		return false;
	/* Ops use locks, but nothing says that they take one before and behind all they do. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ok = carry_out(&in);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ok) {
		in.m->pc += 4;
		in.m->pstate &= ~PSTATE_BTYPE;
	}
	return ok;
}
