// SPDX-License-Identifier: MIT
/*
 * Address translation: page-table walks (Sv39, Sv48, Sv57), the TLB's misses and flushes,
 * and the accesses that miss: misaligned, page-crossing, MMIO, faulting.
 *
 * Privileged manual, chapter "Supervisor-Level ISA", sections 12.3 to 12.6 (walk), Svnapot,
 * Svpbmt, Svinval. Svade: A and D are never written; an access that needs them faults.
 *
 * Invariants. A TLB entry is only ever valid for its context number. Entries cut out of a
 * superpage (or a NAPOT range) lie inside of super_lo..super_hi of their half of the
 * address space, so that a flush of one address of it can find that it must flush more.
 * w is set only after the owner has said that the page takes writes (which marks it dirty).
 */
#include <string.h>

#include "cpu/riscv/impl.h"

#define PTE_V BIT(0)
#define PTE_R BIT(1)
#define PTE_W BIT(2)
#define PTE_X BIT(3)
#define PTE_U BIT(4)
#define PTE_A BIT(6)
#define PTE_D BIT(7)
#define PTE_PBMT (3ull << 61)
#define PTE_N BIT(63)
#define PTE_RESERVED GENMASK(60, 54)
#define PTE_PPN GENMASK(53, 10)

#define SATP_MODE(satp) ((satp) >> 60)
#define SATP_ASID(satp) ((satp) >> 44 & 0xffff)
#define SATP_PPN GENMASK(43, 0)
#define PHYS_BITS 56

#define CTX_SHIFT 3	/* below lie the alignment bits of a key */

struct walk {
	u64 gpa;
	u64 pte;	/* of the leaf; with satp off: everything allowed */
	u64 span;	/* bytes of the leaf */
};

static u64 page_fault(enum cpu_access a)
{
	return a == CPU_ACCESS_READ ? RV_CAUSE_LOAD_PAGE :
	       a == CPU_ACCESS_WRITE ? RV_CAUSE_STORE_PAGE : RV_CAUSE_FETCH_PAGE;
}

static u64 access_fault(enum cpu_access a)
{
	return a == CPU_ACCESS_READ ? RV_CAUSE_LOAD_ACCESS :
	       a == CPU_ACCESS_WRITE ? RV_CAUSE_STORE_ACCESS : RV_CAUSE_FETCH_ACCESS;
}

/* -------------------------------------------------------------- contexts */

static void tlb_clear(struct rv_hart *h)
{
	/* An untouched TLB has no memory behind it yet, and should not get any for this. */
	if (h->tlb_used)
		memset(h->tlb, 0, sizeof(h->tlb));
	h->tlb_used = false;
	memset(h->group_live, 0, sizeof(h->group_live));
	h->group_next = 1;
	for (int i = 0; i < 2; i++) {
		h->super_lo[i] = ~0ull;
		h->super_hi[i] = 0;
	}
}

static unsigned group_get(struct rv_hart *h, u64 satp)
{
	for (unsigned g = 1; g < h->group_next; g++)
		if (h->group_live[g] && h->group_satp[g] == satp)
			return g;
	if (h->group_next == RV_GROUPS)
		tlb_clear(h);
	h->group_live[h->group_next] = true;
	h->group_satp[h->group_next] = satp;
	return h->group_next++;
}

void rv_mmu_context(struct rv_hart *h)
{
	unsigned id = h->group * 8;

	if (h->sstatus & RV_SSTATUS_MXR)
		id |= 1;
	if (h->priv == RV_S) {
		id |= 4;
		if (h->sstatus & RV_SSTATUS_SUM)
			id |= 2;
	}
	h->ctx = (u64)id << CTX_SHIFT;
	/* Fetches know no SUM and MXR. */
	h->jump_tag = h->jump_epoch << 9 | (id & ~3u);
}

void rv_mmu_satp(struct rv_hart *h)
{
	h->group = group_get(h, h->satp);
	rv_mmu_context(h);
}

void rv_jumps_flush(struct rv_hart *h)
{
	h->jump_epoch++;
	memset(h->code_map, 0, sizeof(h->code_map));
	rv_mmu_context(h);
}

void rv_mmu_flush_all(struct rv_hart *h)
{
	memset(h->group_live, 0, sizeof(h->group_live));
	rv_mmu_satp(h);
	rv_jumps_flush(h);
}

void rv_mmu_flush_asid(struct rv_hart *h, u64 asid)
{
	for (unsigned g = 1; g < h->group_next; g++)
		if (SATP_ASID(h->group_satp[g]) == asid)
			h->group_live[g] = false;
	rv_mmu_satp(h);
	rv_jumps_flush(h);
}

void rv_mmu_flush_phys(struct rv_hart *h)
{
	memset(h->phys_cache, 0, sizeof(h->phys_cache));
	tlb_clear(h);
	rv_mmu_satp(h);
	rv_blocks_flush(h);
	h->res_host = NULL;
}

void rv_mmu_flush_va(struct rv_hart *h, u64 va)
{
	struct rv_tlb *e = rv_tlb_slot(h, va);
	unsigned half = va >> 63;
	u64 vpn = va >> SV_PAGE_SHIFT;

	if (va >= h->super_lo[half] && va <= h->super_hi[half]) {
		rv_mmu_flush_all(h);
		return;
	}
	memset(e, 0, sizeof(*e));
	if (h->code_map[vpn / 64 % ARRAY_SIZE(h->code_map)] & BIT(vpn % 64))
		rv_jumps_flush(h);
}

void rv_mmu_reset(struct rv_hart *h)
{
	memset(h->phys_cache, 0, sizeof(h->phys_cache));
	tlb_clear(h);
	h->group = group_get(h, h->satp);
	rv_jumps_flush(h);
}

/* ------------------------------------------------------------------ walk */

/* RAM at gpa for the walk, through a small cache. NULL: nothing there, or an exit noted. */
static const u64 *walk_host(struct rv_hart *h, u64 gpa, int *err)
{
	u64 page = gpa & RV_PAGE_MASK;
	struct rv_phys_entry *e = &h->phys_cache[(page >> SV_PAGE_SHIFT) % RV_PHYS_SIZE];
	struct cpu_phys_page p = { 0 };

	*err = 0;
	if (e->gpa != (page | 1)) {
		switch (h->phys->resolve(h->owner, page, CPU_ACCESS_READ, &p)) {
		case CPU_PHYS_RAM:
			e->gpa = page | 1;
			e->host = p.host;
			break;
		case CPU_PHYS_FAULT:
			h->exit.fault.gpa = gpa;
			h->exit.fault.err = p.err;
			h->exit.fault.host = NULL;
			h->exit.reason = RV_EXIT_FAULT;
			*err = -1;
			return NULL;
		default:
			return NULL;
		}
	}
	return (const u64 *)(e->host + (gpa & ~RV_PAGE_MASK));
}

/* Is the leaf well formed (12.4, steps 3 to 6), whatever the access? */
static bool leaf_valid(const struct rv_hart *h, u64 pte, unsigned level, struct walk *w, u64 va)
{
	u64 ppn = (pte & PTE_PPN) >> 10;
	unsigned shift = SV_PAGE_SHIFT + 9 * level;

	if ((pte & PTE_PBMT) && (!rv_has(h, RV_EXT_SVPBMT) || (pte & PTE_PBMT) == PTE_PBMT))
		return false;
	if (pte & PTE_N) {
		/* Svnapot: only 64 KiB at level 0, ppn[3:0] = 1000 */
		if (!rv_has(h, RV_EXT_SVNAPOT) || level || (ppn & 15) != 8)
			return false;
		ppn = (ppn & ~15ull) | (va >> SV_PAGE_SHIFT & 15);
		w->span = 16 * SV_PAGE_SIZE;
	} else {
		if (ppn & ((1ull << 9 * level) - 1))
			return false;	/* misaligned superpage */
		w->span = 1ull << shift;
	}
	w->gpa = ppn << SV_PAGE_SHIFT;
	w->gpa |= va & (BIT(shift) - 1);
	return true;
}

static bool leaf_allows(const struct rv_hart *h, u64 pte, enum cpu_access access)
{
	if (h->priv == RV_U ? !(pte & PTE_U)
			    : (pte & PTE_U) && (access == CPU_ACCESS_EXEC ||
						!(h->sstatus & RV_SSTATUS_SUM)))
		return false;
	switch (access) {
	case CPU_ACCESS_READ:
		if (!(pte & PTE_R) && !((pte & PTE_X) && (h->sstatus & RV_SSTATUS_MXR)))
			return false;
		break;
	case CPU_ACCESS_WRITE:
		if (!(pte & PTE_W) || !(pte & PTE_D))
			return false;
		break;
	case CPU_ACCESS_EXEC:
		if (!(pte & PTE_X))
			return false;
		break;
	}
	return pte & PTE_A;
}

/* 0, a cause, or -1 with an exit noted. */
static int walk(struct rv_hart *h, u64 va, enum cpu_access access, struct walk *w)
{
	unsigned mode = SATP_MODE(h->satp), levels, bits;
	u64 table;

	if (!mode) {
		w->gpa = va;
		w->pte = PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;
		w->span = SV_PAGE_SIZE;
		return va >> PHYS_BITS ? (int)access_fault(access) : 0;
	}
	levels = mode - 8 + 3;		/* 8: Sv39, 9: Sv48, 10: Sv57 */
	bits = SV_PAGE_SHIFT + 9 * levels;
	if ((u64)((s64)(va << (64 - bits)) >> (64 - bits)) != va)
		return (int)page_fault(access);
	table = (h->satp & SATP_PPN) << SV_PAGE_SHIFT;
	for (unsigned level = levels; level-- > 0;) {
		u64 slot = table + (va >> (SV_PAGE_SHIFT + 9 * level) & 511) * 8;
		int err;
		const u64 *p = walk_host(h, slot, &err);
		u64 pte;

		if (!p)
			return err ? err : (int)access_fault(access);
		pte = __atomic_load_n(p, __ATOMIC_RELAXED);
		if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W || (pte & PTE_RESERVED))
			return (int)page_fault(access);
		if (pte & (PTE_R | PTE_X)) {
			if (!leaf_valid(h, pte, level, w, va) || !leaf_allows(h, pte, access))
				return (int)page_fault(access);
			w->pte = pte;
			return 0;
		}
		/* A pointer: D, A, U and the N and PBMT bits are reserved. */
		if (pte & (PTE_D | PTE_A | PTE_U | PTE_N | PTE_PBMT))
			return (int)page_fault(access);
		table = (pte & PTE_PPN) << 2;
	}
	return (int)page_fault(access);
}

static void tlb_fill(struct rv_hart *h, u64 va, const struct walk *w, enum cpu_access access,
		     const struct cpu_phys_page *p)
{
	struct rv_tlb *e = rv_tlb_slot(h, va);
	u64 key = rv_tlb_key(h, va & RV_PAGE_MASK, 1);
	u64 addend = (u64)(uintptr_t)p->host - (va & RV_PAGE_MASK);

	if ((e->r != key && e->w != key && e->x != key) || e->addend != addend)
		memset(e, 0, sizeof(*e));
	h->tlb_used = true;
	e->addend = addend;
	h->tlb_gpa[e - h->tlb] = w->gpa & RV_PAGE_MASK;
	/* Only what this access has proved, and what follows from it. */
	if (access == CPU_ACCESS_EXEC) {
		e->x = key;
	} else {
		if (access == CPU_ACCESS_WRITE && p->writable)
			e->w = key;
		if (access == CPU_ACCESS_READ || leaf_allows(h, w->pte, CPU_ACCESS_READ) ||
		    !SATP_MODE(h->satp))
			e->r = key;
	}
	if (w->span > SV_PAGE_SIZE) {
		unsigned half = va >> 63;
		u64 lo = va & ~(w->span - 1);

		h->super_lo[half] = min(h->super_lo[half], lo);
		h->super_hi[half] = max(h->super_hi[half], lo + w->span - 1);
	}
}

int rv_mmu_translate(struct rv_hart *h, u64 va, enum cpu_access access, struct rv_xlate *t)
{
	const struct rv_tlb *e = rv_tlb_slot(h, va);
	u64 key = rv_tlb_key(h, va, 1);
	struct cpu_phys_page p = { 0 };
	struct walk w;
	int cause;

	if ((access == CPU_ACCESS_READ ? e->r : access == CPU_ACCESS_WRITE ? e->w : e->x) == key) {
		t->gpa = h->tlb_gpa[e - h->tlb] | (va & ~RV_PAGE_MASK);
		t->host = (u8 *)(uintptr_t)(va + e->addend);
		return 0;
	}
	h->tlb_misses++;
	cause = walk(h, va, access, &w);
	if (cause)
		return cause;
	t->gpa = w.gpa;
	switch (h->phys->resolve(h->owner, w.gpa & RV_PAGE_MASK, access, &p)) {
	case CPU_PHYS_RAM:
		tlb_fill(h, va, &w, access, &p);
		t->host = p.host + (va & ~RV_PAGE_MASK);
		return 0;
	case CPU_PHYS_MMIO:
		if (access == CPU_ACCESS_EXEC)
			return RV_CAUSE_FETCH_ACCESS;
		t->host = NULL;
		return 0;
	case CPU_PHYS_FAULT:
		break;
	}
	h->exit.fault.gpa = w.gpa;
	h->exit.fault.err = p.err;
	h->exit.fault.host = NULL;
	h->exit.reason = RV_EXIT_FAULT;
	return -1;
}

int rv_hart_translate(struct rv_hart *h, u64 va, enum cpu_access access, u64 *gpa)
{
	struct rv_exit_info saved = h->exit;
	struct sv_guard g;
	struct walk w;
	int cause;

	if (sv_guard_enter(&g))
		return -14;	/* EFAULT */
	cause = walk(h, va, access, &w);
	sv_guard_leave(&g);
	h->exit = saved;
	if (cause)
		return -14;
	*gpa = w.gpa;
	return 0;
}

/* ------------------------------------------------------- slow accesses */

static void load_done(struct rv_hart *h, u8 rd, u8 aux, u64 v)
{
	switch (aux & RV_MEM_SIZE) {
	case 0:
		v = aux & RV_MEM_SIGNED ? (u64)(s64)(s8)v : (u8)v;
		break;
	case 1:
		v = aux & RV_MEM_SIGNED ? (u64)(s64)(s16)v : (u16)v;
		break;
	case 2:
		v = aux & RV_MEM_SIGNED ? (u64)(s64)(s32)v : (u32)v;
		break;
	}
	if (!(aux & RV_MEM_FP))
		h->x[rd] = v;
	else	/* NaN-boxed where it is narrower */
		h->f[rd] = (aux & RV_MEM_SIZE) == 3 ? v : v | ~0ull << (8 << (aux & RV_MEM_SIZE));
}

/*
 * Guest memory at any alignment. A misaligned access has no single-copy atomicity (RVWMO
 * lets it be split into bytes), so it races with other harts by right.
 */
__attribute__((no_sanitize("thread", "undefined")))
static u64 host_load(const u8 *p, unsigned size)
{
	u64 v = 0;

	switch (size) {
	case 1: return __atomic_load_n(p, __ATOMIC_RELAXED);
	case 2: if (!((uintptr_t)p & 1)) return __atomic_load_n((const u16 *)p, __ATOMIC_RELAXED); break;
	case 4: if (!((uintptr_t)p & 3)) return __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED); break;
	case 8: if (!((uintptr_t)p & 7)) return __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED); break;
	}
	for (unsigned i = 0; i < size; i++)
		v |= (u64)__atomic_load_n(p + i, __ATOMIC_RELAXED) << 8 * i;
	return v;
}

static void host_store(u8 *p, unsigned size, u64 v)
{
	switch (size) {
	case 1: __atomic_store_n(p, (u8)v, __ATOMIC_RELAXED); return;
	case 2: if (!((uintptr_t)p & 1)) { __atomic_store_n((u16 *)p, (u16)v, __ATOMIC_RELAXED); return; } break;
	case 4: if (!((uintptr_t)p & 3)) { __atomic_store_n((u32 *)p, (u32)v, __ATOMIC_RELAXED); return; } break;
	case 8: if (!((uintptr_t)p & 7)) { __atomic_store_n((u64 *)p, v, __ATOMIC_RELAXED); return; } break;
	}
	for (unsigned i = 0; i < size; i++)
		__atomic_store_n(p + i, (u8)(v >> 8 * i), __ATOMIC_RELAXED);
}

/*
 * The functions below return false when the op is over: a trap was taken or an exit noted.
 * They are apart from the ops that call them since a function whose locals have their
 * address taken cannot tail-call.
 */
static bool refuse(struct rv_hart *h, const struct rv_op *op, int cause, u64 va)
{
	if (cause > 0)
		rv_raise(h, op, (u64)cause, va);
	else
		rv_exit_at(h, op, h->exit.reason);
	return false;
}

static sv_noinline bool load_split(struct rv_hart *h, const struct rv_op *op, u64 va, unsigned size)
{
	unsigned first = (unsigned)(SV_PAGE_SIZE - (va & ~RV_PAGE_MASK));
	u64 va2 = va + first;
	struct rv_xlate a, b;
	int cause = rv_mmu_translate(h, va, CPU_ACCESS_READ, &a);

	if (cause)
		return refuse(h, op, cause, va);
	cause = rv_mmu_translate(h, va2, CPU_ACCESS_READ, &b);
	if (cause)
		return refuse(h, op, cause, va2);
	if (!a.host || !b.host)
		return refuse(h, op, RV_CAUSE_LOAD_MISALIGNED, va);
	load_done(h, op->rd, op->aux,
		  host_load(a.host, first) | host_load(b.host, size - first) << 8 * first);
	return true;
}

static sv_noinline bool load_access(struct rv_hart *h, const struct rv_op *op, u64 va)
{
	unsigned size = 1u << (op->aux & RV_MEM_SIZE);
	struct rv_xlate t;
	int cause;
	u64 data;

	h->fault_op = op;
	if (unlikely((va & ~RV_PAGE_MASK) + size > SV_PAGE_SIZE))
		return load_split(h, op, va, size);
	cause = rv_mmu_translate(h, va, CPU_ACCESS_READ, &t);
	if (unlikely(cause))
		return refuse(h, op, cause, va);
	if (likely(t.host)) {
		load_done(h, op->rd, op->aux, host_load(t.host, size));
		return true;
	}
	if (va & (size - 1))
		return refuse(h, op, RV_CAUSE_LOAD_MISALIGNED, va);
	if (h->phys->mmio_read && h->phys->mmio_read(h->owner, t.gpa, size, &data)) {
		load_done(h, op->rd, op->aux, data);
		return true;
	}
	h->exit.mmio.gpa = t.gpa;
	h->exit.mmio.len = (u8)size;
	h->exit.mmio.data = 0;
	h->mmio.rd = op->rd;
	h->mmio.aux = op->aux;
	h->mmio.pending = true;
	rv_exit_after(h, op, RV_EXIT_MMIO_READ);
	return false;
}

const struct rv_op *rv_load_slow(struct rv_hart *h, const struct rv_op *op, u64 va)
{
	if (unlikely(!load_access(h, op, va)))
		return NULL;
	return DISPATCH(h, op + 1);
}

void rv_hart_complete_mmio_read(struct rv_hart *h, u64 data)
{
	if (!h->mmio.pending)
		return;
	h->mmio.pending = false;
	if (h->mmio.aux & RV_MEM_VEC) {
		rv_vec_mmio_done(h, data);
		return;
	}
	load_done(h, h->mmio.rd, h->mmio.aux, data);
}

static sv_noinline bool store_split(struct rv_hart *h, const struct rv_op *op, u64 va, unsigned size,
				 u64 val)
{
	unsigned first = (unsigned)(SV_PAGE_SIZE - (va & ~RV_PAGE_MASK));
	u64 va2 = va + first;
	struct rv_xlate a, b;
	int cause = rv_mmu_translate(h, va, CPU_ACCESS_WRITE, &a);

	if (cause)
		return refuse(h, op, cause, va);
	cause = rv_mmu_translate(h, va2, CPU_ACCESS_WRITE, &b);
	if (cause)
		return refuse(h, op, cause, va2);
	if (!a.host || !b.host)
		return refuse(h, op, RV_CAUSE_STORE_MISALIGNED, va);
	host_store(a.host, first, val);
	host_store(b.host, size - first, val >> 8 * first);
	return true;
}

static sv_noinline bool store_access(struct rv_hart *h, const struct rv_op *op, u64 va, u64 val)
{
	unsigned size = 1u << (op->aux & RV_MEM_SIZE);
	struct rv_xlate t;
	int cause;

	h->fault_op = op;
	if (unlikely((va & ~RV_PAGE_MASK) + size > SV_PAGE_SIZE))
		return store_split(h, op, va, size, val);
	cause = rv_mmu_translate(h, va, CPU_ACCESS_WRITE, &t);
	if (unlikely(cause))
		return refuse(h, op, cause, va);
	if (likely(t.host)) {
		host_store(t.host, size, val);
		return true;
	}
	if (va & (size - 1))
		return refuse(h, op, RV_CAUSE_STORE_MISALIGNED, va);
	if (size < 8)
		val &= BIT(8 * size) - 1;
	if (h->phys->mmio_write && h->phys->mmio_write(h->owner, t.gpa, size, val))
		return true;
	h->exit.mmio.gpa = t.gpa;
	h->exit.mmio.len = (u8)size;
	h->exit.mmio.data = val;
	rv_exit_after(h, op, RV_EXIT_MMIO_WRITE);
	return false;
}

const struct rv_op *rv_store_slow(struct rv_hart *h, const struct rv_op *op, u64 va, u64 val)
{
	if (unlikely(!store_access(h, op, va, val)))
		return NULL;
	return DISPATCH(h, op + 1);
}

void *rv_amo_addr(struct rv_hart *h, const struct rv_op *op, u64 va, unsigned size, bool lr)
{
	const struct rv_tlb *e = rv_tlb_slot(h, va);
	struct rv_xlate t = { 0 };
	int cause;

	h->fault_op = op;
	if (likely((lr ? e->r : e->w) == rv_tlb_key(h, va, size)))
		return (void *)(uintptr_t)(va + e->addend);
	if (va & (size - 1))
		cause = lr ? RV_CAUSE_LOAD_MISALIGNED : RV_CAUSE_STORE_MISALIGNED;
	else
		cause = rv_mmu_translate(h, va, lr ? CPU_ACCESS_READ : CPU_ACCESS_WRITE, &t);
	/* Devices and read-only memory take no atomics. */
	if (!cause && !t.host)
		cause = lr ? RV_CAUSE_LOAD_ACCESS : RV_CAUSE_STORE_ACCESS;
	if (cause)
		refuse(h, op, cause, va);
	return t.host;
}
