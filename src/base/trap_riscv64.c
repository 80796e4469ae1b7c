/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of RV64 programs that hit a trap region, carried out.
 *
 * The decoder is ours because no library has all of it: Capstone knows no RISC-V in Debian 12
 * (4.0.2), and in Debian 13 (5.0.7) gives compressed forms no memory operand and no access sizes,
 * and doesn't decode Zfh, Zcb, Zabha and Zacas.
 *
 * Carried out are the loads and stores of I, F, D and Zfh, their compressed forms (C and Zcb),
 * and the A extension's read-modify-writes (with Zabha's bytes and halves, and Zacas up to a
 * doubleword). Refused, so that the program gets SIGBUS: LR and SC, whose reservation no trap can
 * hold (a bus that can't reserve an address faults, too); AMOs that are not naturally aligned, as
 * the manual has it; vector accesses, cache-block operations, and everything else.
 *
 * An AMO is a read and a write of the device's, as a bridge to PCI without atomic operations
 * makes them, atomic among trapped accesses (sv_trap_rmw_lock). A compare-and-swap that finds
 * another value doesn't write. Loads and stores may have any alignment and are cut into naturally
 * aligned accesses. A load to x0 reads. All of them are in order with what stands before and
 * behind them, as if each had both of aq and rl.
 *
 * Registers are read and written in the signal's context, so that a refused instruction has
 * changed none. The context has 64 bits of each FP register: narrower values are NaN-boxed.
 *
 * The RISC-V Instruction Set Manual, vol. I, 20240411: chapters "RV32I", "RV64I" (loads and
 * stores), "A" with Zabha and Zacas, "D" (NaN boxing), "C" (tables of offsets), "Zcb", and
 * "RV32/64G Instruction Set Listings".
 */
#include <string.h>
#include <ucontext.h>

#include "base/trap_insn.h"
#include "base/trap_region.h"

enum {	/* major opcodes, bits 6:0 */
	OP_LOAD = 0x03, OP_LOAD_FP = 0x07, OP_STORE = 0x23, OP_STORE_FP = 0x27, OP_AMO = 0x2f,
};

enum {	/* bits 31:27 of an AMO; 2 and 3 are LR and SC */
	AMO_ADD = 0x00, AMO_SWAP = 0x01, AMO_CAS = 0x05, AMO_XOR = 0x04, AMO_OR = 0x08,
	AMO_AND = 0x0c, AMO_MIN = 0x10, AMO_MAX = 0x14, AMO_MINU = 0x18, AMO_MAXU = 0x1c,
};

struct insn {
	ucontext_t *uc;
	unsigned length;
	enum { LOAD, STORE, AMO } what;
	unsigned size;		/* bytes in memory */
	bool is_unsigned;	/* LOAD */
	bool fp;
	unsigned rd, rs2;	/* LOAD and AMO write rd, STORE and AMO read rs2 */
	unsigned amo;
	u64 addr;
};

bool sv_trap_can_emulate(void)
{
	return true;
}

static u64 x_read(const struct insn *in, unsigned r)
{
	/* The context's place 0 is the pc. */
	return r ? in->uc->uc_mcontext.__gregs[r] : 0;
}

static void x_write(struct insn *in, unsigned r, u64 v)
{
	if (r)
		in->uc->uc_mcontext.__gregs[r] = v;
}

static u64 f_read(const struct insn *in, unsigned r)
{
	return in->uc->uc_mcontext.__fpregs.__d.__f[r];
}

static void f_write(struct insn *in, unsigned r, unsigned size, u64 v)
{
	u64 box = size < 8 ? ~0ull << (size * 8) : 0;

	in->uc->uc_mcontext.__fpregs.__d.__f[r] = v | box;
}

static u64 sign_extend(u64 v, unsigned size)
{
	unsigned shift = 64 - size * 8;

	return (u64)((s64)(v << shift) >> shift);
}

static unsigned bits(u32 w, unsigned high, unsigned low)
{
	return (unsigned)(w >> low & GENMASK(high - low, 0));
}

static bool decode_32(struct insn *in, u32 w)
{
	unsigned funct3 = bits(w, 14, 12);
	u64 base = x_read(in, bits(w, 19, 15));
	u64 imm_i = (u64)(s64)((s32)w >> 20);
	u64 imm_s = (imm_i & ~0x1full) | bits(w, 11, 7);

	in->length = 4;
	in->size = 1u << (funct3 & 3);
	in->rd = bits(w, 11, 7);
	in->rs2 = bits(w, 24, 20);
	switch (bits(w, 6, 0)) {
	case OP_LOAD:	/* lb lh lw ld lbu lhu lwu */
		in->what = LOAD;
		in->is_unsigned = funct3 & 4;
		in->addr = base + imm_i;
		return funct3 != 7;
	case OP_LOAD_FP:	/* flh flw fld; 0 and above 4 are vectors, 4 is Q */
		in->what = LOAD;
		in->fp = true;
		in->addr = base + imm_i;
		return funct3 >= 1 && funct3 <= 3;
	case OP_STORE:	/* sb sh sw sd */
		in->what = STORE;
		in->addr = base + imm_s;
		return funct3 <= 3;
	case OP_STORE_FP:
		in->what = STORE;
		in->fp = true;
		in->addr = base + imm_s;
		return funct3 >= 1 && funct3 <= 3;
	case OP_AMO:	/* .b .h .w .d */
		in->what = AMO;
		in->amo = bits(w, 31, 27);
		in->addr = base;
		return funct3 <= 3 && in->addr % in->size == 0;
	default:
		return false;
	}
}

/* Zcb, quadrant 0, funct3 4: bytes and halves. */
static bool decode_zcb(struct insn *in, u32 w)
{
	unsigned low = bits(w, 5, 5) << 1, half = bits(w, 10, 10);

	/* A half has only the offsets 0 and 2; bit 6 says which load it is, and of a store nothing. */
	in->size = half ? 2 : 1;
	in->addr += half ? low : low | bits(w, 6, 6);
	switch (bits(w, 12, 10)) {
	case 0:		/* c.lbu */
		in->what = LOAD;
		in->is_unsigned = true;
		return true;
	case 1:		/* c.lhu, c.lh */
		in->what = LOAD;
		in->is_unsigned = !bits(w, 6, 6);
		return true;
	case 2:		/* c.sb */
		in->what = STORE;
		return true;
	case 3:		/* c.sh */
		in->what = STORE;
		return !bits(w, 6, 6);
	default:
		return false;
	}
}

/* Registers x8 to x15 and an unsigned offset: quadrant 0. */
static bool decode_c0(struct insn *in, u32 w)
{
	unsigned funct3 = bits(w, 15, 13);
	u64 off_w = bits(w, 12, 10) << 3 | bits(w, 6, 6) << 2 | bits(w, 5, 5) << 6;
	u64 off_d = bits(w, 12, 10) << 3 | bits(w, 6, 5) << 6;

	in->rd = in->rs2 = 8 + bits(w, 4, 2);
	in->addr = x_read(in, 8 + bits(w, 9, 7));
	if (funct3 == 4)
		return decode_zcb(in, w);
	/* c.fld c.lw c.ld, and 4 on the stores; 0 is c.addi4spn. */
	in->what = funct3 & 4 ? STORE : LOAD;
	in->fp = (funct3 & 3) == 1;
	in->size = (funct3 & 3) == 2 ? 4 : 8;
	in->addr += in->size == 4 ? off_w : off_d;
	return funct3 != 0;
}

/* On the stack, any register: quadrant 2. */
static bool decode_c2(struct insn *in, u32 w)
{
	unsigned funct3 = bits(w, 15, 13);
	u64 load_w = bits(w, 12, 12) << 5 | bits(w, 6, 4) << 2 | bits(w, 3, 2) << 6;
	u64 load_d = bits(w, 12, 12) << 5 | bits(w, 6, 5) << 3 | bits(w, 4, 2) << 6;
	u64 store_w = bits(w, 12, 9) << 2 | bits(w, 8, 7) << 6;
	u64 store_d = bits(w, 12, 10) << 3 | bits(w, 9, 7) << 6;

	in->rd = bits(w, 11, 7);
	in->rs2 = bits(w, 6, 2);
	in->fp = (funct3 & 3) == 1;
	in->size = (funct3 & 3) == 2 ? 4 : 8;
	in->addr = x_read(in, 2);
	if (funct3 & 4) {
		in->what = STORE;
		in->addr += in->size == 4 ? store_w : store_d;
	} else {
		in->what = LOAD;
		in->addr += in->size == 4 ? load_w : load_d;
		/* x0 as the destination is reserved here. */
		if (!in->fp && !in->rd)
			return false;
	}
	return funct3 & 3;	/* 0 and 4 are c.slli and the jumps */
}

static bool decode(struct insn *in)
{
	u64 pc = in->uc->uc_mcontext.__gregs[REG_PC];
	u8 code[4] = { 0 };
	size_t len = sv_trap_fetch(pc, code, sizeof(code));
	u32 w = code[0] | code[1] << 8;

	if (len < 2)
		return false;
	if ((w & 3) == 3)
		return len == 4 && decode_32(in, w | (u32)code[2] << 16 | (u32)code[3] << 24);
	in->length = 2;
	return (w & 3) == 0 ? decode_c0(in, w) : (w & 3) == 2 && decode_c2(in, w);
}

/* What the AMO leaves in memory; a and b are sign-extended from its size. False: none of these. */
static bool amo_result(unsigned amo, u64 a, u64 b, u64 *r)
{
	switch (amo) {
	case AMO_ADD: *r = a + b; break;
	case AMO_SWAP: case AMO_CAS: *r = b; break;
	case AMO_XOR: *r = a ^ b; break;
	case AMO_OR: *r = a | b; break;
	case AMO_AND: *r = a & b; break;
	case AMO_MIN: *r = (s64)a < (s64)b ? a : b; break;
	case AMO_MAX: *r = (s64)a > (s64)b ? a : b; break;
	/* Sign extension keeps the order of unsigned numbers of one size. */
	case AMO_MINU: *r = a < b ? a : b; break;
	case AMO_MAXU: *r = a > b ? a : b; break;
	default:
		return false;
	}
	return true;
}

static bool do_amo(struct insn *in)
{
	u64 old = 0, b = sign_extend(x_read(in, in->rs2), in->size), r;
	bool ok;

	if (!amo_result(in->amo, 0, b, &r))
		return false;
	sv_mutex_lock(&sv_trap_rmw_lock);
	ok = sv_trap_load(in->addr, &old, in->size);
	old = sign_extend(old, in->size);
	amo_result(in->amo, old, b, &r);
	if (ok && (in->amo != AMO_CAS || old == sign_extend(x_read(in, in->rd), in->size)))
		ok = sv_trap_store(in->addr, &r, in->size);
	sv_mutex_unlock(&sv_trap_rmw_lock);
	if (ok)
		x_write(in, in->rd, old);
	return ok;
}

static bool do_load(struct insn *in)
{
	u64 v = 0;

	if (!sv_trap_load(in->addr, &v, in->size))
		return false;
	if (in->fp)
		f_write(in, in->rd, in->size, v);
	else
		x_write(in, in->rd, in->is_unsigned ? v : sign_extend(v, in->size));
	return true;
}

static bool do_store(struct insn *in)
{
	u64 v = in->fp ? f_read(in, in->rs2) : x_read(in, in->rs2);

	return sv_trap_store(in->addr, &v, in->size);
}

bool sv_trap_emulate(void *ucontext)
{
	struct insn in = { .uc = ucontext };
	bool ok;

	if (!decode(&in))
		return false;
	/* Ops use locks, but nothing says that they take one before and behind all they do. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ok = in.what == LOAD ? do_load(&in) : in.what == STORE ? do_store(&in) : do_amo(&in);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ok)
		in.uc->uc_mcontext.__gregs[REG_PC] += in.length;
	return ok;
}
