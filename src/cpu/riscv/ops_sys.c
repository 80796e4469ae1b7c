// SPDX-License-Identifier: MIT
/*
 * System ops: traps, privileged instructions, fences, CSRs.
 */
#include "cpu/riscv/impl.h"

#define NEXT return DISPATCH(h, op + 1)

/* In front of a block, while a stop at an instruction count is near (count.c). */
RV_OP(count)
{
	if (likely(h->instret <= h->count_stop))
		NEXT;
	h->instret -= h->block->n;
	return rv_leave_to(h, rv_op_pc(h, op));
}

RV_OP(illegal)
{
	return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
}

/*
 * Host accesses are never weaker than acquire/release on x86, but a store may pass a later
 * load there, and anything goes on Arm: every fence is a full one.
 */
RV_OP(fence)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	NEXT;
}

/* Ends its block: what follows may be new code. */
RV_OP(fence_i)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	rv_fence_i(h);
	return rv_jump(h, rv_op_pc(h, op) + op->len);
}

RV_OP(ecall)
{
	if (h->priv == RV_U)
		return rv_raise(h, op, RV_CAUSE_ECALL_U, 0);
	return rv_exit_at(h, op, RV_EXIT_ECALL);
}

RV_OP(ebreak)
{
	if (h->debug_ebreak)
		return rv_exit_at(h, op, RV_EXIT_DEBUG);
	return rv_raise(h, op, RV_CAUSE_BREAK, 0);
}

RV_OP(sret)
{
	u64 s = h->sstatus;

	if (h->priv != RV_S)
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	rv_set_priv(h, s & RV_SSTATUS_SPP ? RV_S : RV_U);
	s &= ~(RV_SSTATUS_SIE | RV_SSTATUS_SPP);
	if (s & RV_SSTATUS_SPIE)
		s |= RV_SSTATUS_SIE;
	h->sstatus = s | RV_SSTATUS_SPIE;
	rv_mmu_context(h);
	if (unlikely(rv_irq_deliverable(h)))
		return rv_leave_to(h, h->sepc);
	return rv_jump(h, h->sepc);
}

RV_OP(wfi)
{
	if (h->priv != RV_S)
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	if (rv_hart_has_interrupt(h))
		return rv_leave_to(h, rv_op_pc(h, op) + op->len);
	return rv_exit_after(h, op, RV_EXIT_WFI);
}

/*
 * Zawrs waits until the reserved memory is written, or for a while. We do not watch memory:
 * "a while" is a yield to the owner's idea of waiting a little, at once over.
 */
RV_OP(wrs)
{
	if (!h->res_host)
		NEXT;
	return rv_exit_after(h, op, RV_EXIT_PAUSE);
}

/* A spinning vCPU whose peer has no host CPU should let it run. */
RV_OP(pause)
{
	if (++h->pauses % 64)
		NEXT;
	return rv_exit_after(h, op, RV_EXIT_PAUSE);
}

RV_OP(sfence_vma)
{
	if (h->priv != RV_S)
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	if (op->rs1)
		rv_mmu_flush_va(h, h->x[op->rs1]);
	else if (op->rs2)
		rv_mmu_flush_asid(h, h->x[op->rs2] & 0xffff);
	else
		rv_mmu_flush_all(h);
	return rv_jump(h, rv_op_pc(h, op) + op->len);
}

/* sfence.w.inval and sfence.inval.ir order sinval.vma, which has done everything already. */
RV_OP(sfence_inval)
{
	if (h->priv != RV_S)
		return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
	NEXT;
}

/* aux: the operation, 4 if the operand is the immediate (rs1's number). imm: the CSR. */
static sv_noinline enum rv_csr_result csr_do(struct rv_hart *h, const struct rv_op *op)
{
	enum rv_csr_op what = op->aux & 3;
	u64 val = op->aux & 4 ? op->rs1 : h->x[op->rs1], old = 0;
	enum rv_csr_result r;

	/* The counters count instructions before this one. */
	h->instret -= (u64)h->block->n - op->idx;
	r = rv_csr_access(h, (unsigned)op->imm, what, val, &old);
	h->instret += (u64)h->block->n - op->idx;
	if (r != RV_CSR_ILLEGAL && r != RV_CSR_OWNER)
		h->x[op->rd] = old;
	return r;
}

RV_OP(csr)
{
	switch (csr_do(h, op)) {
	case RV_CSR_OK:
		NEXT;
	case RV_CSR_CHECK:
		if (likely(!rv_irq_deliverable(h)))
			NEXT;
		h->instret -= (u64)h->block->n - op->idx - 1;
		return rv_leave_to(h, rv_op_pc(h, op) + op->len);
	case RV_CSR_END:
		h->instret -= (u64)h->block->n - op->idx - 1;
		return rv_leave_to(h, rv_op_pc(h, op) + op->len);
	case RV_CSR_OWNER:
		h->csr.rd = op->rd;
		h->csr.pending = true;
		return rv_exit_after(h, op, RV_EXIT_CSR);
	case RV_CSR_ILLEGAL:
		break;
	}
	return rv_raise(h, op, RV_CAUSE_ILLEGAL, op->raw);
}
