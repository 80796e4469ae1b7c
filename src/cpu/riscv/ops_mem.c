// SPDX-License-Identifier: MIT
/*
 * Loads, stores, atomics and cache-block ops.
 *
 * The hit path is one comparison of the TLB key and one host access; everything else
 * (misses, misaligned addresses, MMIO, traps) is mmu.c's. fault_op says which op touches
 * memory, should the host's page not be there.
 *
 * Guest memory is shared with other harts and the owner: aligned accesses are relaxed
 * atomics, which cost nothing on any 64-bit host and are what RVWMO asks of plain ones.
 */
#include <sched.h>

#include "cpu/riscv/impl.h"

#define NEXT return DISPATCH(h, op + 1)

#define LOAD(name, type, reg, expr) \
	RV_OP(name) \
	{ \
		u64 va = h->x[op->rs1] + (u64)(s64)op->imm; \
		const struct rv_tlb *e = rv_tlb_slot(h, va); \
		type v; \
		if (unlikely(e->r != rv_tlb_key(h, va, sizeof(type)))) \
			return rv_load_slow(h, op, va); \
		h->fault_op = op; \
		v = __atomic_load_n((const type *)(uintptr_t)(va + e->addend), __ATOMIC_RELAXED); \
		reg[op->rd] = (expr); \
		NEXT; \
	}

LOAD(lb, s8, h->x, (u64)(s64)v)
LOAD(lh, s16, h->x, (u64)(s64)v)
LOAD(lw, s32, h->x, (u64)(s64)v)
LOAD(ld, u64, h->x, v)
LOAD(lbu, u8, h->x, v)
LOAD(lhu, u16, h->x, v)
LOAD(lwu, u32, h->x, v)
LOAD(flh, u16, h->f, v | 0xffffffffffff0000)
LOAD(flw, u32, h->f, v | 0xffffffff00000000)
LOAD(fld, u64, h->f, v)

#define STORE(name, type, reg) \
	RV_OP(name) \
	{ \
		u64 va = h->x[op->rs1] + (u64)(s64)op->imm; \
		const struct rv_tlb *e = rv_tlb_slot(h, va); \
		if (unlikely(e->w != rv_tlb_key(h, va, sizeof(type)))) \
			return rv_store_slow(h, op, va, reg[op->rs2]); \
		h->fault_op = op; \
		__atomic_store_n((type *)(uintptr_t)(va + e->addend), (type)reg[op->rs2], \
				 __ATOMIC_RELAXED); \
		NEXT; \
	}

STORE(sb, u8, h->x)
STORE(sh, u16, h->x)
STORE(sw, u32, h->x)
STORE(sd, u64, h->x)
STORE(fsh, u16, h->f)
STORE(fsw, u32, h->f)
STORE(fsd, u64, h->f)

/* ---------------------------------------------------------------- LR/SC */

/*
 * A reservation is the address and the value read; SC compares both in one host
 * compare-and-swap. A store of the very same value in between therefore goes unnoticed
 * (docs/engine.md).
 */
#define LR(name, stype, utype) \
	RV_OP(name) \
	{ \
		void *p = rv_amo_addr(h, op, h->x[op->rs1], sizeof(utype), true); \
		utype v; \
		if (unlikely(!p)) \
			return NULL; \
		v = __atomic_load_n((utype *)p, __ATOMIC_SEQ_CST); \
		h->res_host = p; \
		h->res_val = v; \
		h->res_size = sizeof(utype); \
		h->x[op->rd] = (u64)(s64)(stype)v; \
		NEXT; \
	}

#define SC(name, utype) \
	RV_OP(name) \
	{ \
		void *p = rv_amo_addr(h, op, h->x[op->rs1], sizeof(utype), false); \
		utype seen; \
		bool ok = false; \
		if (unlikely(!p)) \
			return NULL; \
		seen = (utype)h->res_val; \
		if (h->res_host == p && h->res_size == sizeof(utype)) \
			ok = __atomic_compare_exchange_n((utype *)p, &seen, (utype)h->x[op->rs2], \
							 false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
		h->res_host = NULL; \
		h->x[op->rd] = !ok; \
		NEXT; \
	}

LR(lr_w, s32, u32)
LR(lr_d, s64, u64)
SC(sc_w, u32)
SC(sc_d, u64)

/* ----------------------------------------------------------------- AMO */

#define AMO(name, stype, utype, what) \
	RV_OP(name) \
	{ \
		utype *p = rv_amo_addr(h, op, h->x[op->rs1], sizeof(utype), false); \
		utype b = (utype)h->x[op->rs2], v; \
		if (unlikely(!p)) \
			return NULL; \
		what; \
		h->x[op->rd] = (u64)(s64)(stype)v; \
		NEXT; \
	}
#define AMO_FETCH(name, stype, utype, fn) AMO(name, stype, utype, v = fn(p, b, __ATOMIC_SEQ_CST))
#define AMO_PICK(name, stype, utype, cmptype, op_) \
	AMO(name, stype, utype, \
	    v = __atomic_load_n(p, __ATOMIC_RELAXED); \
	    while (!__atomic_compare_exchange_n(p, &v, (cmptype)v op_ (cmptype)b ? v : b, true, \
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED)))
#define AMOS(w, stype, utype) \
	AMO_FETCH(amoswap_##w, stype, utype, __atomic_exchange_n) \
	AMO_FETCH(amoadd_##w, stype, utype, __atomic_fetch_add) \
	AMO_FETCH(amoxor_##w, stype, utype, __atomic_fetch_xor) \
	AMO_FETCH(amoand_##w, stype, utype, __atomic_fetch_and) \
	AMO_FETCH(amoor_##w, stype, utype, __atomic_fetch_or) \
	AMO_PICK(amomin_##w, stype, utype, stype, <) \
	AMO_PICK(amomax_##w, stype, utype, stype, >) \
	AMO_PICK(amominu_##w, stype, utype, utype, <) \
	AMO_PICK(amomaxu_##w, stype, utype, utype, >)

AMOS(w, s32, u32)
AMOS(d, s64, u64)

/* --------------------------------------------------------------- Zacas */

/* rd is an operand too: op->aux is its number, which for x0 is not the sink. */
#define AMOCAS(name, stype, utype) \
	RV_OP(name) \
	{ \
		utype *p = rv_amo_addr(h, op, h->x[op->rs1], sizeof(utype), false); \
		if (unlikely(!p)) \
			return NULL; \
		h->x[op->rd] = (u64)(s64)(stype)cas_##utype(p, (utype)h->x[op->aux], \
							    (utype)h->x[op->rs2]); \
		NEXT; \
	}

/* What was there. Apart from the op: an address of a variable is taken. */
static sv_noinline u32 cas_u32(u32 *p, u32 expected, u32 want)
{
	__atomic_compare_exchange_n(p, &expected, want, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expected;
}

static sv_noinline u64 cas_u64(u64 *p, u64 expected, u64 want)
{
	__atomic_compare_exchange_n(p, &expected, want, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expected;
}

AMOCAS(amocas_w, s32, u32)
AMOCAS(amocas_d, s64, u64)

/*
 * 16 bytes at once; *old is what is expected, and then what was there.
 *
 * A host without such an instruction takes a lock, so that these are atomic among themselves,
 * and exchanges one half after the other, so that nothing that others store to a half is lost.
 * What others can see there is the one half changed before the other (docs/engine.md).
 */
#if defined(__x86_64__)
static void cas_16(struct rv_hart *h, u64 *p, u64 old[2], u64 lo, u64 hi)
{
	__asm__ volatile("lock cmpxchg16b %2"
			 : "+a"(old[0]), "+d"(old[1]), "+m"(*(u64 (*)[2])p)
			 : "b"(lo), "c"(hi) : "cc", "memory");
}
#elif defined(__aarch64__)
/* The pair that was loaded is what it was only if a store of it succeeds: so it is stored. */
static void cas_16(struct rv_hart *h, u64 *p, u64 old[2], u64 lo, u64 hi)
{
	u64 a, b, x, y;
	u32 failed;

	do {
		__asm__ volatile("ldaxp %0, %1, %2" : "=&r"(a), "=&r"(b)
				 : "Q"(*(u64 (*)[2])p) : "memory");
		x = a == old[0] && b == old[1] ? lo : a;
		y = a == old[0] && b == old[1] ? hi : b;
		__asm__ volatile("stlxp %w0, %2, %3, %1" : "=&r"(failed), "=Q"(*(u64 (*)[2])p)
				 : "r"(x), "r"(y) : "memory");
	} while (failed);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	old[0] = a;
	old[1] = b;
}
#else
/* A host fault on p leaves the run with the lock held: rv_cas_release(). */
static u32 cas_lock;

static void cas_16(struct rv_hart *h, u64 *p, u64 old[2], u64 lo, u64 hi)
{
	u64 a, b, undo = lo;

	while (__atomic_exchange_n(&cas_lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	h->cas_locked = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	a = __atomic_load_n(p, __ATOMIC_SEQ_CST);
	b = __atomic_load_n(p + 1, __ATOMIC_SEQ_CST);
	if (a == old[0] && b == old[1] &&
	    __atomic_compare_exchange_n(p, &a, lo, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) &&
	    !__atomic_compare_exchange_n(p + 1, &b, hi, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		/* Somebody has stored to the upper half: not equal then. Unless to the lower, too. */
		__atomic_compare_exchange_n(p, &undo, a, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	rv_cas_release(h);
	old[0] = a;
	old[1] = b;
}

void rv_cas_release(struct rv_hart *h)
{
	if (!h->cas_locked)
		return;
	h->cas_locked = false;
	__atomic_store_n(&cas_lock, 0, __ATOMIC_RELEASE);
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)
void rv_cas_release(struct rv_hart *h)
{
}
#endif

/* Register pairs; a pair at x0 reads as zeros, and is not written. */
static sv_noinline void cas_pair(struct rv_hart *h, const struct rv_op *op, u64 *p)
{
	unsigned rd = op->aux, rs2 = op->rs2;
	u64 old[2] = { h->x[rd], rd ? h->x[rd + 1] : 0 };

	cas_16(h, p, old, h->x[rs2], rs2 ? h->x[rs2 + 1] : 0);
	if (rd) {
		h->x[rd] = old[0];
		h->x[rd + 1] = old[1];
	}
}

RV_OP(amocas_q)
{
	u64 *p = rv_amo_addr(h, op, h->x[op->rs1], 16, false);

	if (unlikely(!p))
		return NULL;
	cas_pair(h, op, p);
	NEXT;
}

/* --------------------------------------------------------- cache blocks */

enum { CBO_INVAL = 0, CBO_CLEAN = 1, CBO_FLUSH = 2 };
#define SENVCFG_CBIE (3ull << 4)
#define SENVCFG_CBCFE BIT(6)
#define SENVCFG_CBZE BIT(7)

/*
 * Memory is coherent, so management ops only check: permissions as for a load (CMO manual
 * 2.5.4), faults reported as stores. False: trapped or exited.
 */
static sv_noinline bool cbo_check(struct rv_hart *h, const struct rv_op *op, u64 va)
{
	struct rv_xlate t;
	int cause;

	if (h->priv == RV_U &&
	    !(h->senvcfg & (op->aux == CBO_INVAL ? SENVCFG_CBIE : SENVCFG_CBCFE))) {
		rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
		return false;
	}
	h->fault_op = op;
	cause = rv_mmu_translate(h, va, CPU_ACCESS_READ, &t);
	if (cause == RV_CAUSE_LOAD_PAGE)
		rv_raise(h, op, RV_CAUSE_STORE_PAGE, va);
	else if (cause > 0)
		rv_raise(h, op, RV_CAUSE_STORE_ACCESS, va);
	else if (cause)
		rv_exit_at(h, op, h->exit.reason);
	return !cause;
}

static sv_noinline bool cbo_clear(struct rv_hart *h, const struct rv_op *op, u64 va)
{
	struct rv_xlate t = { 0 };
	int cause;
	u64 *p;

	if (h->priv == RV_U && !(h->senvcfg & SENVCFG_CBZE)) {
		rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
		return false;
	}
	h->fault_op = op;
	cause = rv_mmu_translate(h, va, CPU_ACCESS_WRITE, &t);
	if (!cause && !t.host)
		cause = RV_CAUSE_STORE_ACCESS;
	if (cause) {
		if (cause > 0)
			rv_raise(h, op, (u64)cause, va);
		else
			rv_exit_at(h, op, h->exit.reason);
		return false;
	}
	p = (u64 *)((uintptr_t)t.host & ~(uintptr_t)(RV_CBO_BLOCK_SIZE - 1));
	for (unsigned i = 0; i < RV_CBO_BLOCK_SIZE / sizeof(*p); i++)
		__atomic_store_n(p + i, 0, __ATOMIC_RELAXED);
	return true;
}

RV_OP(cbo)
{
	if (!cbo_check(h, op, h->x[op->rs1]))
		return NULL;
	NEXT;
}

RV_OP(cbo_zero)
{
	if (!cbo_clear(h, op, h->x[op->rs1]))
		return NULL;
	NEXT;
}
