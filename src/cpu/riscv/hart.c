// SPDX-License-Identifier: MIT
/*
 * The hart as its owner sees it: life, the run loop, traps, requests from other threads.
 *
 * A request from another thread is a bit in requests, then run_gen = 0. The run loop first
 * restores run_gen, then looks at the bits; each side's store comes before its load, with a
 * full barrier in between, so one of them sees the other.
 *
 * A flush counts as done when done_seq has reached the number it was given, or when the
 * hart does not run: it looks at the requests again before it touches memory (running is
 * set first, same argument).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/fp/hostfp.h"
#include "cpu/riscv/impl.h"

static const u64 always_fine = 1;

static void timer_expired(struct sv_timer *t)
{
	struct rv_hart *h = container_of(t, struct rv_hart, timer);

	__atomic_fetch_or(&h->requests, RV_REQ_TIMER, __ATOMIC_SEQ_CST);
	__atomic_store_n(&h->run_gen, 0, __ATOMIC_RELAXED);
}

struct rv_hart *rv_hart_create(const struct rv_hart_config *cfg)
{
	unsigned vlen = cfg->vlen ? cfg->vlen : RV_VLEN_MIN;
	struct rv_hart *h;

	if (vlen < RV_VLEN_MIN || vlen > RV_VLEN_MAX || (vlen & (vlen - 1)))
		return NULL;
	h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h == MAP_FAILED)
		return NULL;
	if (sv_guard_init() || rv_blocks_init(h)) {
		munmap(h, sizeof(*h));
		return NULL;
	}
	h->extensions = cfg->extensions;
	h->vec.vlenb = vlen / 8;
	h->phys = cfg->phys;
	h->csrs = cfg->csrs;
	h->owner = cfg->owner;
	h->gen = 1;
	h->run_gen = 1;
	sv_timer_init(&h->timer, timer_expired);
	h->timer_armed = ~0ull;
	h->count_stop = RV_NO_STOP;
	rv_hart_set_attention(h, cfg->attention);
	h->group_next = 1;
	for (int i = 0; i < 2; i++)
		h->super_lo[i] = ~0ull;
	rv_hart_reset(h);
	return h;
}

void rv_hart_destroy(struct rv_hart *h)
{
	if (!h)
		return;
	sv_timer_cancel_sync(&h->timer);
	rv_blocks_exit(h);
	munmap(h, sizeof(*h));
}

void rv_hart_reset(struct rv_hart *h)
{
	memset(h->x, 0, sizeof(h->x));
	memset(h->f, 0, sizeof(h->f));
	h->pc = 0;
	rv_set_priv(h, RV_S);
	h->frm = h->fflags = 0;
	h->sstatus = h->stvec = h->scounteren = h->senvcfg = 0;
	h->sscratch = h->sepc = h->scause = h->stval = h->satp = 0;
	h->stimecmp = ~0ull;
	h->res_host = NULL;
	h->mmio.pending = false;
	h->csr.pending = false;
	h->exit.reason = RV_EXIT_NONE;
	rv_vec_reset(h);
	__atomic_store_n(&h->sie, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&h->irq_lines, 0, __ATOMIC_RELAXED);
	rv_timer_update(h);
	rv_fp_update(h);
	/* Translations are tagged with their satp, so none of the old life is reachable by it. */
	rv_mmu_flush_all(h);
}

void rv_hart_set_extensions(struct rv_hart *h, u64 extensions)
{
	h->extensions = extensions;
	rv_blocks_flush(h);
	rv_mmu_flush_all(h);
}

void rv_hart_set_attention(struct rv_hart *h, const u64 *word)
{
	h->attention = word ? word : &always_fine;
}

void rv_hart_set_debug(struct rv_hart *h, bool ebreak_exits, bool single_step)
{
	h->debug_ebreak = ebreak_exits;
	h->single_step = single_step;
}

/* ----------------------------------------------------------------- traps */

void rv_trap(struct rv_hart *h, u64 cause, u64 tval, u64 epc)
{
	u64 s = h->sstatus & ~(RV_SSTATUS_SPP | RV_SSTATUS_SPIE);

	h->traps++;
	h->vec_field = 0;
	h->sepc = epc;
	h->scause = cause;
	h->stval = tval;
	if (h->priv == RV_S)
		s |= RV_SSTATUS_SPP;
	if (s & RV_SSTATUS_SIE)
		s |= RV_SSTATUS_SPIE;
	h->sstatus = s & ~RV_SSTATUS_SIE;
	rv_set_priv(h, RV_S);
	h->pc = h->stvec & ~3ull;
	if ((h->stvec & 1) && (cause & RV_CAUSE_INTERRUPT))
		h->pc += 4 * (cause & ~RV_CAUSE_INTERRUPT);
	rv_mmu_context(h);
}

/* Takes back what the block's entry had counted for op and all behind it. */
static void unretire(struct rv_hart *h, const struct rv_op *op)
{
	h->instret -= (u64)h->block->n - op->idx;
}

const struct rv_op *rv_raise(struct rv_hart *h, const struct rv_op *op, u64 cause, u64 tval)
{
	unretire(h, op);
	rv_trap(h, cause, tval, rv_op_pc(h, op));
	return NULL;
}

const struct rv_op *rv_exit_at(struct rv_hart *h, const struct rv_op *op, enum rv_exit reason)
{
	unretire(h, op);
	h->pc = rv_op_pc(h, op);
	h->exit.reason = reason;
	return NULL;
}

const struct rv_op *rv_exit_after(struct rv_hart *h, const struct rv_op *op, enum rv_exit reason)
{
	unretire(h, op);
	h->instret++;
	h->pc = rv_op_pc(h, op) + op->len;
	h->exit.reason = reason;
	return NULL;
}

void rv_hart_inject_trap(struct rv_hart *h, u64 scause, u64 stval)
{
	rv_trap(h, scause, stval, h->pc);
}

void rv_hart_complete_ecall(struct rv_hart *h)
{
	h->pc += 4;
	h->instret++;
}

void rv_hart_complete_csr(struct rv_hart *h, u64 value)
{
	if (!h->csr.pending)
		return;
	h->csr.pending = false;
	h->x[h->csr.rd] = value;
}

/* ------------------------------------------------------------ interrupts */

bool rv_hart_has_interrupt(const struct rv_hart *h)
{
	return rv_sip(h) & __atomic_load_n(&h->sie, __ATOMIC_RELAXED);
}

unsigned rv_irq_deliverable(const struct rv_hart *h)
{
	u64 p;

	if (!h->sie || (h->priv == RV_S && !(h->sstatus & RV_SSTATUS_SIE)))
		return 0;
	p = (__atomic_load_n(&h->irq_lines, __ATOMIC_RELAXED) | h->timer_due) & h->sie;
	/* Priority: external, software, timer, counter overflow (manual 12.1.3; Sscofpmf). */
	if (p & BIT(RV_IRQ_SEI))
		return RV_IRQ_SEI;
	if (p & BIT(RV_IRQ_SSI))
		return RV_IRQ_SSI;
	if (p & BIT(RV_IRQ_STI))
		return RV_IRQ_STI;
	return p & BIT(RV_IRQ_LCOFI) ? RV_IRQ_LCOFI : 0;
}

void rv_hart_set_irq(struct rv_hart *h, unsigned irq, bool level)
{
	u64 bit = BIT(irq) & rv_irq_mask(h);

	if (!level) {
		__atomic_fetch_and(&h->irq_lines, ~bit, __ATOMIC_SEQ_CST);
		return;
	}
	__atomic_fetch_or(&h->irq_lines, bit, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&h->requests, RV_REQ_IRQ, __ATOMIC_SEQ_CST);
	__atomic_store_n(&h->run_gen, 0, __ATOMIC_SEQ_CST);
}

/* -------------------------------------------------------------- requests */

static void request(struct rv_hart *h, u32 bit)
{
	__atomic_fetch_add(&h->req_seq, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&h->requests, bit, __ATOMIC_SEQ_CST);
	__atomic_store_n(&h->run_gen, 0, __ATOMIC_SEQ_CST);
}

void rv_hart_kick(struct rv_hart *h)
{
	request(h, RV_REQ_KICK);
}

void rv_hart_request_flush_tlb(struct rv_hart *h)
{
	request(h, RV_REQ_TLB);
}

void rv_hart_request_flush_phys(struct rv_hart *h)
{
	request(h, RV_REQ_PHYS);
}

void rv_hart_request_fence_i(struct rv_hart *h)
{
	request(h, RV_REQ_FENCE_I);
}

bool rv_hart_requests_done(const struct rv_hart *h)
{
	u64 asked = __atomic_load_n(&h->req_seq, __ATOMIC_SEQ_CST);

	return !__atomic_load_n(&h->running, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&h->done_seq, __ATOMIC_SEQ_CST) >= asked;
}

/* Carries out what others asked for. True if the run is to end. */
static bool serve(struct rv_hart *h)
{
	u64 asked;
	u32 req;

	if (likely(rv_run_gen(h) == h->gen))
		return false;
	__atomic_store_n(&h->run_gen, h->gen, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (likely(!__atomic_load_n(&h->requests, __ATOMIC_RELAXED)))
		return false;
	asked = __atomic_load_n(&h->req_seq, __ATOMIC_SEQ_CST);
	req = __atomic_exchange_n(&h->requests, 0, __ATOMIC_SEQ_CST);
	if (req & RV_REQ_PHYS)
		rv_mmu_flush_phys(h);
	else if (req & RV_REQ_TLB)
		rv_mmu_flush_all(h);
	if (req & RV_REQ_FENCE_I)
		rv_fence_i(h);
	/* The timer that fired is spent. */
	if (req & RV_REQ_TIMER) {
		h->timer_armed = ~0ull;
		rv_timer_update(h);
	}
	__atomic_store_n(&h->done_seq, asked, __ATOMIC_SEQ_CST);
	return req & RV_REQ_KICK;
}

/* ------------------------------------------------------------------- run */

static void run_block(struct rv_hart *h, struct rv_block *b)
{
	const struct rv_op *op = rv_enter(h, b);

#if !RV_TAIL_CALLS
	while (op)
		op = op->fn(h, op);
#else
	(void)op;
#endif
}

/*
 * One instruction: a block of its own, entered while run_gen matches nothing, so that its
 * end comes back here. An interrupt that is due is the step.
 */
static void step(struct rv_hart *h)
{
	struct rv_block *b = rv_block_single(h, h->pc);

	__atomic_store_n(&h->run_gen, 0, __ATOMIC_RELAXED);
	if (b)
		run_block(h, b);
}

static void run_loop(struct rv_hart *h)
{
	while (h->exit.reason == RV_EXIT_NONE) {
		struct rv_block *b;
		unsigned irq;
		bool near;

		if (unlikely(serve(h)) || unlikely(rv_attention(h))) {
			h->exit.reason = RV_EXIT_KICK;
			break;
		}
		near = rv_count_near(h);
		irq = rv_irq_deliverable(h);
		if (unlikely(irq))
			rv_trap(h, RV_CAUSE_INTERRUPT | irq, 0, h->pc);
		if (unlikely(h->single_step)) {
			step(h);
			if (h->exit.reason == RV_EXIT_NONE)
				h->exit.reason = RV_EXIT_DEBUG;
			break;
		}
		if (unlikely(near)) {
			step(h);
			continue;
		}
		b = rv_block_find(h, h->pc);
		if (b)
			run_block(h, b);
	}
}

/* A host fault on guest memory: the instruction did not happen. */
static void run_faulted(struct rv_hart *h, const void *host)
{
	const struct rv_op *op = h->fault_op;
	u64 va, gpa = ~0ull;

	if (op) {
		unretire(h, op);
		h->pc = rv_op_pc(h, op);
		va = op->fn == rv_op_vec_unit || op->fn == rv_op_vec_mem || op->fn == rv_op_vec_whole ?
		     h->vec.va : h->x[op->rs1] + (u64)(s64)op->imm;
		gpa = h->tlb_gpa[rv_tlb_slot(h, va) - h->tlb] | (va & ~RV_PAGE_MASK);
	}
	rv_cas_release(h);
	h->exit.reason = RV_EXIT_FAULT;
	h->exit.fault.gpa = gpa;
	h->exit.fault.err = -EFAULT;
	h->exit.fault.host = host;
	/* Nothing may be cached about memory that has gone. */
	rv_mmu_flush_phys(h);
}

const struct rv_exit_info *rv_hart_run(struct rv_hart *h)
{
	struct sv_guard guard;
	struct hf_env fp;

	h->exit.reason = RV_EXIT_NONE;
	h->fault_op = NULL;
	if (unlikely(h->vec_unsettled))
		rv_vec_settle(h);
	__atomic_store_n(&h->running, 1, __ATOMIC_SEQ_CST);
	/* The owner may have written code: see "Coherence" in impl.h. */
	h->gen++;
	if (unlikely(h->counting))
		rv_count_idle(h);
	hf_enter(&fp);
	if (sv_guard_enter(&guard)) {
		run_faulted(h, guard.addr);
	} else {
		run_loop(h);
		sv_guard_leave(&guard);
	}
	hf_leave(&fp);
	__atomic_store_n(&h->running, 0, __ATOMIC_SEQ_CST);
	return &h->exit;
}

/* ----------------------------------------------------------------- state */

u64 rv_hart_get_x(const struct rv_hart *h, unsigned n)
{
	return h->x[n & 31];
}

void rv_hart_set_x(struct rv_hart *h, unsigned n, u64 v)
{
	if (n & 31)
		h->x[n & 31] = v;
}

u64 rv_hart_get_f(const struct rv_hart *h, unsigned n)
{
	return h->f[n & 31];
}

void rv_hart_set_f(struct rv_hart *h, unsigned n, u64 v)
{
	h->f[n & 31] = v;
}

u64 rv_hart_get_pc(const struct rv_hart *h)
{
	return h->pc;
}

void rv_hart_set_pc(struct rv_hart *h, u64 pc)
{
	h->pc = pc & ~1ull;
}

bool rv_hart_get_supervisor(const struct rv_hart *h)
{
	return h->priv == RV_S;
}

void rv_hart_set_supervisor(struct rv_hart *h, bool s)
{
	rv_set_priv(h, s ? RV_S : RV_U);
	rv_mmu_context(h);
}

u64 rv_hart_get_time(const struct rv_hart *h)
{
	return rv_time(h);
}

void rv_hart_set_time_offset(struct rv_hart *h, u64 ticks)
{
	h->time_offset = ticks;
	rv_timer_update(h);
}

u64 rv_hart_get_time_offset(const struct rv_hart *h)
{
	return h->time_offset;
}

u64 rv_hart_get_instret(const struct rv_hart *h)
{
	return h->instret;
}

void rv_hart_get_stats(const struct rv_hart *h, struct rv_hart_stats *s)
{
	*s = (struct rv_hart_stats){
		.instructions = h->instret,
		.tlb_misses = h->tlb_misses,
		.blocks_decoded = h->blocks_decoded,
		.block_flushes = h->block_flushes,
		.traps = h->traps,
	};
}
