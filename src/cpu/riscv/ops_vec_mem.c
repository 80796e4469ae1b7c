// SPDX-License-Identifier: MIT
/*
 * Vector loads and stores (manual, chapter 7).
 *
 * Elements are accessed one by one, in order, fields of a segment inside of their element;
 * vstart always names the element at work, so whatever ends the instruction (a trap, a host
 * fault, an exit) leaves it restartable. The hit path is the scalar loads': one comparison of
 * the TLB key. Unit-stride accesses without a mask go by runs within a page instead.
 *
 * A device: each element is an access of its own. One that the owner has to answer leaves the
 * run with pc at the instruction and vstart behind the element (behind the instruction, after
 * its last one), so that the next run goes on with the rest. A segment's field among others is
 * remembered in vec_field.
 *
 * Alignment is the scalar loads' too: any in memory, natural for devices.
 */
#include <string.h>

#include "cpu/riscv/impl.h"

#define NEXT return DISPATCH(h, op + 1)

enum { DONE = 0, EXIT = -1, STOP = -2 };	/* else a trap's cause */

struct vmem {
	u8 *reg;
	const u8 *mask, *index;
	u64 base, stride;	/* unit-stride: the size of a segment */
	u32 evl, group;		/* bytes between the registers of two fields */
	u8 size, isize;		/* log2 */
	u8 nf;
	bool store, first_only;
};

static inline unsigned width(u32 raw)
{
	unsigned f3 = raw >> 12 & 7;

	return f3 ? f3 - 4 : 0;		/* 0, 5, 6, 7 */
}

static bool vs_off(const struct rv_hart *h)
{
	return unlikely(!(h->sstatus & RV_SSTATUS_VS));
}

/* ------------------------------------------------------------ one element */

/* Memory at any alignment, by bytes; see host_load() in mmu.c. */
static void host_copy(u8 *reg, u8 *mem, unsigned n, bool store)
{
	for (unsigned i = 0; i < n; i++) {
		if (store)
			__atomic_store_n(mem + i, reg[i], __ATOMIC_RELAXED);
		else
			reg[i] = __atomic_load_n(mem + i, __ATOMIC_RELAXED);
	}
}

static inline void host_access(u8 *reg, void *mem, unsigned size, bool store)
{
#define ACCESS(type) \
	if (store) \
		__atomic_store_n((type *)mem, *(type *)reg, __ATOMIC_RELAXED); \
	else \
		*(type *)reg = __atomic_load_n((type *)mem, __ATOMIC_RELAXED); \
	return
	switch (size) {
	case 0: ACCESS(u8);
	case 1: ACCESS(u16);
	case 2: ACCESS(u32);
	default: ACCESS(u64);
	}
#undef ACCESS
}

static int device(struct rv_hart *h, u64 gpa, u8 *reg, unsigned size, bool store)
{
	unsigned len = 1u << size;
	u64 data = 0;

	if (store) {
		memcpy(&data, reg, len);
		if (h->phys->mmio_write && h->phys->mmio_write(h->owner, gpa, len, data))
			return DONE;
	} else if (h->phys->mmio_read && h->phys->mmio_read(h->owner, gpa, len, &data)) {
		memcpy(reg, &data, len);
		return DONE;
	}
	h->exit.mmio.gpa = gpa;
	h->exit.mmio.len = (u8)len;
	h->exit.mmio.data = data;
	if (!store) {
		h->mmio.aux = RV_MEM_VEC;
		h->mmio.pending = true;
		h->vec.mmio_size = (u8)size;
		h->vec.mmio_at = (u32)(reg - h->vec.reg);
	}
	h->exit.reason = store ? RV_EXIT_MMIO_WRITE : RV_EXIT_MMIO_READ;
	return EXIT;
}

void rv_vec_mmio_done(struct rv_hart *h, u64 data)
{
	memcpy(h->vec.reg + h->vec.mmio_at, &data, 1u << h->vec.mmio_size);
}

/* The TLB missed, or the element is misaligned. fof: touch no device, note no exit. */
static sv_noinline int element_slow(struct rv_hart *h, u64 va, u8 *reg, unsigned size, bool store,
				    bool fof, u64 *tval)
{
	enum cpu_access how = store ? CPU_ACCESS_WRITE : CPU_ACCESS_READ;
	unsigned len = 1u << size, first = (unsigned)(SV_PAGE_SIZE - (va & ~RV_PAGE_MASK));
	struct rv_xlate a, b = { 0 };
	int cause;

	*tval = va;
	cause = rv_mmu_translate(h, va, how, &a);
	if (!cause && first < len) {
		cause = rv_mmu_translate(h, va + first, how, &b);
		if (cause)
			*tval = va + first;
	}
	if (unlikely(fof) && (cause || !a.host || (first < len && !b.host))) {
		h->exit.reason = RV_EXIT_NONE;
		return STOP;
	}
	if (cause)
		return cause;
	if (first < len) {
		if (!a.host || !b.host)
			return store ? RV_CAUSE_STORE_MISALIGNED : RV_CAUSE_LOAD_MISALIGNED;
		host_copy(reg, a.host, first, store);
		host_copy(reg + first, b.host, len - first, store);
		return DONE;
	}
	if (likely(a.host)) {
		if (va & (len - 1))
			host_copy(reg, a.host, len, store);
		else
			host_access(reg, a.host, size, store);
		return DONE;
	}
	if (va & (len - 1))
		return store ? RV_CAUSE_STORE_MISALIGNED : RV_CAUSE_LOAD_MISALIGNED;
	return device(h, a.gpa, reg, size, store);
}

static inline int element(struct rv_hart *h, u64 va, u8 *reg, unsigned size, bool store, bool fof,
			  u64 *tval)
{
	const struct rv_tlb *e = rv_tlb_slot(h, va);

	h->vec.va = va;
	if (unlikely((store ? e->w : e->r) != rv_tlb_key(h, va, 1u << size)))
		return element_slow(h, va, reg, size, store, fof, tval);
	host_access(reg, (void *)(uintptr_t)(va + e->addend), size, store);
	return DONE;
}

/*
 * Ends the instruction at field f of element i: true if it is complete, false if the op is over
 * by a trap or an exit.
 */
static bool end_at(struct rv_hart *h, const struct rv_op *op, u32 i, u32 evl, unsigned f, unsigned nf,
		   int why, u64 tval)
{
	struct rv_vec *v = &h->vec;

	v->vstart = i;
	if (why == STOP) {
		v->vl = i;
		v->vstart = 0;
		return true;
	}
	if (why > 0) {
		rv_raise(h, op, (u64)why, tval);
		return false;
	}
	if (h->exit.reason != RV_EXIT_FAULT) {
		/* The owner carries this access out. */
		if (++f == nf) {
			f = 0;
			v->vstart = i + 1;
		}
		if (v->vstart == evl) {
			v->vstart = 0;
			rv_exit_after(h, op, h->exit.reason);
			return false;
		}
	}
	h->vec_field = (u8)f;
	v->resume_pc = rv_op_pc(h, op);
	rv_exit_at(h, op, h->exit.reason);
	return false;
}

/* ------------------------------------------------------------- unit stride */

/* Pieces of 8 and 16 bytes: no aligned element is torn on a host whose vectors are not. */
static inline void run_copy(u8 *to, const u8 *from, size_t n)
{
#if defined(__SANITIZE_THREAD__)
	for (size_t i = 0; i < n; i++)
		__atomic_store_n(to + i, __atomic_load_n(from + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
#else
	typedef u64 pair __attribute__((vector_size(16), aligned(1), may_alias));
	typedef u64 whole __attribute__((aligned(1), may_alias));
	typedef u32 half __attribute__((aligned(1), may_alias));
	typedef u16 quarter __attribute__((aligned(1), may_alias));

	for (; n >= 16; n -= 16, to += 16, from += 16)
		*(volatile pair *)to = *(const volatile pair *)from;
	if (n & 8) {
		*(volatile whole *)to = *(const volatile whole *)from;
		to += 8;
		from += 8;
	}
	if (n & 4) {
		*(volatile half *)to = *(const volatile half *)from;
		to += 4;
		from += 4;
	}
	if (n & 2) {
		*(volatile quarter *)to = *(const volatile quarter *)from;
		to += 2;
		from += 2;
	}
	if (n & 1)
		*(volatile u8 *)to = *(const volatile u8 *)from;
#endif
}

/* Elements vstart..evl-1, one behind the other, no mask. */
static inline bool unit(struct rv_hart *h, const struct rv_op *op, u8 *reg, unsigned size, u32 evl)
{
	struct rv_vec *v = &h->vec;
	u64 base = h->x[op->rs1], tval;
	bool store = op->aux;
	u32 i = (u32)v->vstart;

	h->sstatus |= RV_SSTATUS_VS;
	h->fault_op = op;
	while (i < evl) {
		u64 va = base + ((u64)i << size);
		const struct rv_tlb *e = rv_tlb_slot(h, va);
		u32 n = (u32)((SV_PAGE_SIZE - (va & ~RV_PAGE_MASK)) >> size);
		int r;

		v->vstart = i;
		v->va = va;
		__asm__ volatile("" : : : "memory");
		if (likely(n && (store ? e->w : e->r) == rv_tlb_key(h, va, 1))) {
			u8 *mem = (u8 *)(uintptr_t)(va + e->addend), *at = reg + ((size_t)i << size);

			n = min(n, evl - i);
			if (store)
				run_copy(mem, at, (size_t)n << size);
			else
				run_copy(at, mem, (size_t)n << size);
			i += n;
			continue;
		}
		r = element_slow(h, va, reg + ((size_t)i << size), size, store, false, &tval);
		if (unlikely(r))
			return end_at(h, op, i, evl, 0, 1, r, tval);
		i++;
	}
	v->vstart = 0;
	return true;
}

static inline bool fits(unsigned vd, int emul, unsigned nf)
{
	unsigned regs = emul > 0 ? 1u << emul : 1;

	return emul >= -3 && emul <= 3 && !(vd & (regs - 1)) && regs * nf <= 8 && vd + regs * nf <= 32;
}

/* Unit-stride without a mask, and the loads and stores of a mask. */
static sv_noinline bool run_unit(struct rv_hart *h, const struct rv_op *op)
{
	struct rv_vec *v = &h->vec;
	unsigned size = width(op->raw);
	u32 evl = (u32)v->vl;

	if (vs_off(h) || v->vill)
		goto illegal;
	if (op->rs2)	/* of a mask */
		evl = (evl + 7) / 8;
	else if (!fits(op->rd, (int)size - v->sew + v->lmul, 1))
		goto illegal;
	return unit(h, op, v->reg + op->rd * v->vlenb, size, evl);
illegal:
	rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	return false;
}

static sv_noinline bool run_whole(struct rv_hart *h, const struct rv_op *op)
{
	struct rv_vec *v = &h->vec;
	unsigned size = width(op->raw), nf = (op->raw >> 29) + 1;

	if (vs_off(h)) {
		rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
		return false;
	}
	return unit(h, op, v->reg + op->rd * v->vlenb, size, nf * v->vlenb >> size);
}

RV_OP(vec_unit)
{
	if (unlikely(!run_unit(h, op)))
		return NULL;
	NEXT;
}

RV_OP(vec_whole)
{
	if (unlikely(!run_whole(h, op)))
		return NULL;
	NEXT;
}

/* ------------------------------------------- masked, strided, indexed, segments */

static inline u64 index_of(const struct vmem *m, u32 i)
{
	switch (m->isize) {
	case 0: return m->index[i];
	case 1: return ((const u16 *)m->index)[i];
	case 2: return ((const u32 *)m->index)[i];
	default: return ((const u64 *)m->index)[i];
	}
}

static inline bool elements(struct rv_hart *h, const struct rv_op *op, const struct vmem *m)
{
	struct rv_vec *v = &h->vec;
	unsigned f = v->resume_pc == rv_op_pc(h, op) ? h->vec_field : 0;
	u64 tval;

	h->vec_field = 0;
	h->sstatus |= RV_SSTATUS_VS;
	h->fault_op = op;
	for (u32 i = (u32)v->vstart; i < m->evl; i++, f = 0) {
		u64 va = m->base + (m->index ? index_of(m, i) : i * m->stride);

		if (m->mask && !rv_vbit(m->mask, i))
			continue;
		v->vstart = i;
		for (; f < m->nf; f++) {
			int r = element(h, va + ((u64)f << m->size),
					m->reg + f * m->group + ((size_t)i << m->size), m->size,
					m->store, m->first_only && i, &tval);

			if (unlikely(r))
				return end_at(h, op, i, m->evl, f, m->nf, r, tval);
		}
	}
	v->vstart = 0;
	return true;
}

static bool overlap(unsigned a, unsigned na, unsigned b, unsigned nb)
{
	return a < b + nb && b < a + na;
}

/*
 * 7.8.3 and 5.2: fields of a segment never overlap the indices; else a destination of another
 * EEW may only be their lowest part, or have them as its highest.
 */
static bool indexed_legal(const struct rv_vec *v, const struct rv_op *op, const struct vmem *m)
{
	int emul = m->isize - v->sew + v->lmul;
	unsigned nd = v->lmul > 0 ? 1u << v->lmul : 1, ni = emul > 0 ? 1u << emul : 1;

	if (emul < -3 || emul > 3 || (op->rs2 & (ni - 1)))
		return false;
	if (m->store)
		return true;
	if (m->nf > 1)
		return !overlap(op->rd, nd * m->nf, op->rs2, ni);
	if (m->isize == v->sew || !overlap(op->rd, nd, op->rs2, ni))
		return true;
	if (m->isize > v->sew)
		return op->rd == op->rs2;
	return nd > ni && emul >= 0 && op->rs2 == op->rd + nd - ni;
}

static bool setup(struct rv_hart *h, const struct rv_op *op, struct vmem *m)
{
	struct rv_vec *v = &h->vec;
	unsigned mop = op->raw >> 26 & 3, size = width(op->raw);
	bool masked = !(op->raw >> 25 & 1);
	int emul;

	if (vs_off(h) || v->vill)
		return false;
	m->store = op->aux;
	m->nf = (u8)((op->raw >> 29) + 1);
	m->size = (u8)(mop & 1 ? v->sew : size);
	m->isize = (u8)size;
	emul = m->size - v->sew + v->lmul;
	if (!fits(op->rd, emul, m->nf) || (masked && !m->store && !op->rd))
		return false;
	if ((mop & 1) && !indexed_legal(v, op, m))
		return false;
	m->index = mop & 1 ? v->reg + op->rs2 * v->vlenb : NULL;
	m->stride = mop == 2 ? h->x[op->rs2] : (u64)m->nf << m->size;
	m->first_only = !mop && op->rs2 == 0x10;
	m->reg = v->reg + op->rd * v->vlenb;
	m->mask = masked ? v->reg : NULL;
	m->base = h->x[op->rs1];
	m->evl = (u32)v->vl;
	m->group = v->vlenb << (emul > 0 ? emul : 0);
	return true;
}

static sv_noinline bool run_mem(struct rv_hart *h, const struct rv_op *op)
{
	struct vmem m;

	if (!setup(h, op, &m)) {
		rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
		return false;
	}
	return elements(h, op, &m);
}

RV_OP(vec_mem)
{
	if (unlikely(!run_mem(h, op)))
		return NULL;
	NEXT;
}
