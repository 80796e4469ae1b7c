// SPDX-License-Identifier: MIT
/*
 * Control and status registers: who may touch them, what they hold, what a write moves.
 *
 * Everything is WARL: a write of what is not supported leaves the field as it was (satp,
 * scause's and stvec's reserved values) or drops the bits.
 */
#include <errno.h>

#include "cpu/riscv/impl.h"

enum {
	CSR_FFLAGS = 0x001, CSR_FRM = 0x002, CSR_FCSR = 0x003, CSR_SEED = 0x015,
	CSR_SSTATUS = 0x100, CSR_SIE = 0x104, CSR_STVEC = 0x105, CSR_SCOUNTEREN = 0x106,
	CSR_SENVCFG = 0x10a, CSR_SSCRATCH = 0x140, CSR_SEPC = 0x141, CSR_SCAUSE = 0x142,
	CSR_STVAL = 0x143, CSR_SIP = 0x144, CSR_STIMECMP = 0x14d, CSR_SATP = 0x180,
	CSR_CYCLE = 0xc00, CSR_TIME = 0xc01, CSR_INSTRET = 0xc02, CSR_HPMCOUNTER31 = 0xc1f,
};

#define SENVCFG_WRITABLE (BIT(0) | 3ull << 4 | BIT(6) | BIT(7))
#define TICK_NS (1000000000ull / RV_TIMEBASE_HZ)

u64 rv_time(const struct rv_hart *h)
{
	return sv_now_ns() / TICK_NS + h->time_offset;
}

static bool timer_pending(const struct rv_hart *h)
{
	return rv_has(h, RV_EXT_SSTC) && h->stimecmp != ~0ull && rv_time(h) >= h->stimecmp;
}

u64 rv_sip(const struct rv_hart *h)
{
	u64 sip = __atomic_load_n(&h->irq_lines, __ATOMIC_RELAXED);

	if (timer_pending(h))
		sip |= BIT(RV_IRQ_STI);
	return sip & rv_irq_mask(h);
}

u64 rv_hart_timer_deadline_ns(const struct rv_hart *h)
{
	u64 ticks;

	if (!rv_has(h, RV_EXT_SSTC) || h->stimecmp == ~0ull || timer_pending(h))
		return ~0ull;
	ticks = h->stimecmp - h->time_offset;
	return ticks > ~0ull / TICK_NS ? ~0ull : ticks * TICK_NS;
}

/*
 * After a change of stimecmp, the offset or sie: have the timer thread wake us then. A timer
 * that is set to an earlier time stays: it will find nothing due and come back here. Guests
 * put their timer off far more often than they let it expire.
 */
void rv_timer_update(struct rv_hart *h)
{
	/* First: a time that passes between the two looks is then due, not lost. */
	u64 deadline = rv_hart_timer_deadline_ns(h);

	h->timer_due = timer_pending(h) ? BIT(RV_IRQ_STI) : 0;
	if (!(h->sie & BIT(RV_IRQ_STI)))
		return;
	if (deadline >= h->timer_armed)
		return;
	/* Without a thread to be had: the next update tries again. */
	h->timer_armed = sv_timer_set(&h->timer, deadline) ? ~0ull : deadline;
}

/*
 * Host arithmetic is used where its result and flags are the guest's for sure: round to
 * nearest even, inexact raised already. rm 7 is "what frm says".
 */
void rv_fp_update(struct rv_hart *h)
{
	bool nx = h->fflags & 1;

	h->fp_fast[0] = nx;
	h->fp_fast[7] = nx && h->frm == 0;
}

static u64 sstatus_read(const struct rv_hart *h)
{
	u64 v = h->sstatus | RV_SSTATUS_UXL;

	if ((v & RV_SSTATUS_FS) == RV_SSTATUS_FS_DIRTY || (v & RV_SSTATUS_VS) == RV_SSTATUS_VS)
		v |= RV_SSTATUS_SD;
	return v;
}

static bool satp_supported(u64 v)
{
	u64 mode = v >> 60;

	return mode == 0 || (mode >= 8 && mode <= 10);
}

static bool counter_allowed(const struct rv_hart *h, unsigned csr)
{
	return rv_has(h, RV_EXT_ZICNTR) && (h->priv == RV_S || (h->scounteren & BIT(csr & 31)));
}

static bool csr_get(const struct rv_hart *h, unsigned csr, u64 *v)
{
	switch (csr) {
	case CSR_FFLAGS: *v = h->fflags; break;
	case CSR_FRM: *v = h->frm; break;
	case CSR_FCSR: *v = (u64)h->frm << 5 | h->fflags; break;
	case CSR_SSTATUS: *v = sstatus_read(h); break;
	case CSR_SIE: *v = h->sie; break;
	case CSR_STVEC: *v = h->stvec; break;
	case CSR_SCOUNTEREN: *v = h->scounteren; break;
	case CSR_SENVCFG: *v = h->senvcfg; break;
	case CSR_SSCRATCH: *v = h->sscratch; break;
	case CSR_SEPC: *v = h->sepc; break;
	case CSR_SCAUSE: *v = h->scause; break;
	case CSR_STVAL: *v = h->stval; break;
	case CSR_SIP: *v = rv_sip(h); break;
	case CSR_SATP: *v = h->satp; break;
	case CSR_STIMECMP:
		if (!rv_has(h, RV_EXT_SSTC))
			return false;
		*v = h->stimecmp;
		break;
	case CSR_TIME: *v = rv_time(h); break;
	/* One instruction, one cycle. */
	case CSR_CYCLE:
	case CSR_INSTRET: *v = h->instret; break;
	default: return rv_vec_csr_get(h, csr, v);
	}
	return true;
}

static enum rv_csr_result csr_set(struct rv_hart *h, unsigned csr, u64 v)
{
	switch (csr) {
	case CSR_FFLAGS:
		h->fflags = v & 31;
		rv_fp_update(h);
		break;
	case CSR_FRM:
		h->frm = v & 7;
		rv_fp_update(h);
		break;
	case CSR_FCSR:
		h->fflags = v & 31;
		h->frm = v >> 5 & 7;
		rv_fp_update(h);
		break;
	case CSR_SSTATUS:
		h->sstatus = v & RV_SSTATUS_WRITABLE;
		if (!rv_has(h, RV_EXT_F))
			h->sstatus &= ~RV_SSTATUS_FS;
		if (!rv_has(h, RV_EXT_V))
			h->sstatus &= ~RV_SSTATUS_VS;
		rv_mmu_context(h);
		return RV_CSR_CHECK;
	case CSR_SIE:
		__atomic_store_n(&h->sie, v & rv_irq_mask(h), __ATOMIC_RELAXED);
		rv_timer_update(h);
		return RV_CSR_CHECK;
	case CSR_STVEC:
		if ((v & 3) <= 1)
			h->stvec = v;
		break;
	case CSR_SCOUNTEREN: h->scounteren = v & 0xffffffff; break;
	case CSR_SENVCFG:
		/* CBIE = 2 is reserved */
		if ((v >> 4 & 3) == 2)
			v = (v & ~(3ull << 4)) | (h->senvcfg & 3ull << 4);
		h->senvcfg = v & SENVCFG_WRITABLE;
		break;
	case CSR_SSCRATCH: h->sscratch = v; break;
	case CSR_SEPC: h->sepc = v & ~1ull; break;
	case CSR_SCAUSE: h->scause = v; break;
	case CSR_STVAL: h->stval = v; break;
	case CSR_SIP:
		/* Only SSIP and LCOFIP are the guest's to change. */
		__atomic_fetch_or(&h->irq_lines, v & rv_sip_writable(h), __ATOMIC_SEQ_CST);
		__atomic_fetch_and(&h->irq_lines, v | ~rv_sip_writable(h), __ATOMIC_SEQ_CST);
		return RV_CSR_CHECK;
	case CSR_STIMECMP:
		h->stimecmp = v;
		rv_timer_update(h);
		return RV_CSR_CHECK;
	case CSR_SATP:
		if (!satp_supported(v))
			break;
		h->satp = v;
		rv_mmu_satp(h);
		return RV_CSR_END;
	default:
		return rv_vec_csr_set(h, csr, v) ? RV_CSR_OK : RV_CSR_ILLEGAL;
	}
	return RV_CSR_OK;
}

/* Privilege, read-only space, FS and the counter gates (manual, Zicsr and 12.1). */
static bool csr_allowed(const struct rv_hart *h, unsigned csr, bool write)
{
	if (write && csr >> 10 == 3)
		return false;
	if ((csr >> 8 & 3) > (h->priv == RV_S ? 1 : 0))
		return false;
	if (csr <= CSR_FCSR)
		return rv_has(h, RV_EXT_F) && (h->sstatus & RV_SSTATUS_FS);
	if (rv_csr_is_vector(csr))
		return rv_has(h, RV_EXT_V) && (h->sstatus & RV_SSTATUS_VS);
	if (csr >= CSR_CYCLE && csr <= CSR_HPMCOUNTER31)
		return counter_allowed(h, csr);
	return true;
}

/*
 * A guest that reads a time at which its timer is due takes the interrupt there, not when the
 * timer's thread gets to it.
 */
static bool timer_seen(struct rv_hart *h, u64 now)
{
	if (h->timer_due || !rv_has(h, RV_EXT_SSTC) || now < h->stimecmp || h->stimecmp == ~0ull)
		return false;
	h->timer_due = BIT(RV_IRQ_STI);
	return true;
}

static bool is_owners_counter(unsigned csr)
{
	return csr >= CSR_CYCLE && csr <= CSR_HPMCOUNTER31 && csr != CSR_TIME;
}

/*
 * Zkr's entropy source, as a hypervisor has it (Zkr, "Access Control to seed"): an instruction
 * that writes traps to the owner from S and U mode alike; one that only reads is illegal.
 */
static enum rv_csr_result seed_access(struct rv_hart *h, enum rv_csr_op op, u64 val)
{
	if (!rv_has(h, RV_EXT_ZKR) || op == RV_CSR_READ)
		return RV_CSR_ILLEGAL;
	h->exit.csr.num = CSR_SEED;
	h->exit.csr.new_value = op == RV_CSR_WRITE ? val : op == RV_CSR_SET ? ~0ull : 0;
	h->exit.csr.write_mask = op == RV_CSR_WRITE ? ~0ull : val;
	return RV_CSR_OWNER;
}

enum rv_csr_result rv_csr_access(struct rv_hart *h, unsigned csr, enum rv_csr_op op, u64 val,
				 u64 *old)
{
	if (!csr_allowed(h, csr, op != RV_CSR_READ))
		return RV_CSR_ILLEGAL;
	if (csr == CSR_SEED)
		return seed_access(h, op, val);
	if ((h->csrs && is_owners_counter(csr)) || !csr_get(h, csr, old)) {
		if (!h->csrs || !h->csrs->access(h->owner, csr, op, val, old))
			return RV_CSR_ILLEGAL;
		return op == RV_CSR_READ ? RV_CSR_OK : RV_CSR_CHECK;
	}
	if (op == RV_CSR_READ)
		return csr == CSR_TIME && timer_seen(h, *old) ? RV_CSR_CHECK : RV_CSR_OK;
	if (csr <= CSR_FCSR)
		h->sstatus |= RV_SSTATUS_FS_DIRTY;
	else if (rv_csr_is_vector(csr))
		h->sstatus |= RV_SSTATUS_VS;
	if (csr == CSR_SIP && op != RV_CSR_WRITE) {
		/* Others raise SSIP meanwhile: only a bit that is named changes. */
		val &= rv_sip_writable(h);
		if (!val)
			return RV_CSR_OK;
		*old |= (op == RV_CSR_SET ?
			 __atomic_fetch_or(&h->irq_lines, val, __ATOMIC_SEQ_CST) :
			 __atomic_fetch_and(&h->irq_lines, ~val, __ATOMIC_SEQ_CST)) & rv_irq_mask(h);
		return RV_CSR_CHECK;
	}
	if (op == RV_CSR_SET)
		val |= *old;
	else if (op == RV_CSR_CLEAR)
		val = *old & ~val;
	return csr_set(h, csr, val);
}

/* ---------------------------------------------------------- the owner's */

int rv_hart_get_csr(const struct rv_hart *h, unsigned csr, u64 *v)
{
	return csr_get(h, csr, v) ? 0 : -ENOENT;
}

int rv_hart_set_csr(struct rv_hart *h, unsigned csr, u64 v)
{
	if (csr == CSR_SIP) {
		/* The owner restores all lines, not only the guest's. */
		__atomic_store_n(&h->irq_lines, v & rv_irq_mask(h), __ATOMIC_SEQ_CST);
		return 0;
	}
	/* Of what the guest can only read, vl and vtype are state. */
	if ((csr >> 10 == 3 && !rv_csr_is_vector(csr)) || csr_set(h, csr, v) == RV_CSR_ILLEGAL)
		return -ENOENT;
	return 0;
}
