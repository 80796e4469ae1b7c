/* SPDX-License-Identifier: MIT */
/*
 * SBI performance monitoring: 8 hardware counters, 32 firmware counters, snapshots.
 *
 * A guest picks an event for a counter (config matching), starts, stops and reads it. The
 * counters' numbers: 0..2 are gaps, where cycle, time and instret would be (those run
 * freely, a guest reads them without asking); 3..10 are hpmcounter3..10; 11..42 are the
 * firmware's.
 *
 * A hardware counter counts instructions or cycles, which are the same here. It is read by
 * its CSR, which does not exist before the counter is configured. It stands still as a value,
 * and runs as the distance of the hart's count to where it was started; which of the hart's
 * counts (all, S mode, U mode) is what the guest did not inhibit.
 *
 * Overflow (Sscofpmf). The hart is told where the next running counter wraps to 0, and stops
 * exactly there: the counter's bit in scountovf is set, interrupt 13 becomes pending before the
 * next instruction, the counter goes on from 0. The bit goes when the counter is started
 * again or given back; the interrupt is cleared by the guest, in sip.
 *
 * A firmware counter counts what the SBI implementation did for the hart: timers set, IPIs
 * and fences sent and received. Counting may happen in another vCPU's thread (an IPI
 * received): value, event and started are atomic. Configuration is the vCPU's own thread's.
 *
 * A snapshot is a page of the guest's memory: stop writes values there, start takes them from
 * there. The page is looked up anew each time, as its slot may have gone.
 */
#include "base/alloc.h"
#include "kvm/riscv/sbi.h"

enum {
	NUM_COUNTERS, COUNTER_INFO, CFG_MATCH, START, STOP, FW_READ, FW_READ_HI, SET_SNAPSHOT,
	EVENT_INFO,
};
enum { CFG_SKIP_MATCH = 1, CFG_CLEAR_VALUE = 2, CFG_AUTO_START = 4, CFG_INHIBIT_U = 0x20,
       CFG_INHIBIT_S = 0x40, CFG_KNOWN = 0xff };
enum { START_SET_INIT = 1, START_INIT_SNAPSHOT = 2, START_KNOWN = 3 };
enum { STOP_RESET = 1, STOP_TAKE_SNAPSHOT = 2, STOP_KNOWN = 3 };
#define EVENT_TYPE(e) (((e) >> 16) & 0xf)
#define EVENT_CODE(e) ((e) & 0xffff)
enum { TYPE_HW = 0, TYPE_FW = 15 };
enum { HW_CPU_CYCLES = 1, HW_INSTRUCTIONS = 2 };
#define INFO_FIRMWARE BIT(63)
#define INFO_HARDWARE(csr) (63ull << 12 | (csr))	/* 64 bits wide */
#define NO_EVENT (~0u)

#define FIRST_HW 3u
#define NR_HW 8u
#define FIRST_FW (FIRST_HW + NR_HW)
#define NR_COUNTERS (FIRST_FW + SBI_PMU_FW_COUNTERS)
#define COUNTERS_MASK ((BIT(NR_COUNTERS) - 1) & ~(BIT(FIRST_HW) - 1))
enum { CSR_CYCLE = 0xc00, CSR_INSTRET = 0xc02, CSR_SCOUNTOVF = 0xda0 };
#define COUNTS_NOTHING RV_COUNTS

/* One event of function EVENT_INFO. */
struct event_info {
	u32 event, supported;
	u64 data;
};
#define EVENT_INFO_MAX (1u << 18)	/* events in one call: what the kernel has memory for */

/* The snapshot's page (SBI specification 2.0, PMU extension). */
#define SNAPSHOT_OVERFLOW 0
#define SNAPSHOT_VALUE(i) (8 + 8 * (u64)(i))

struct counter {
	u64 value;
	u64 from;		/* hardware, started: the hart's count when value was right */
	u32 event;		/* NO_EVENT: free */
	u32 started;
	u8 which;		/* enum rv_count, COUNTS_NOTHING */
	bool overflown;
};

struct riscv_pmu {
	u64 snapshot;		/* INVALID_GPA: none */
	struct counter c[NR_COUNTERS];
};

static bool is_fw(unsigned int idx)
{
	return idx >= FIRST_FW;
}

void sbi_pmu_count(struct riscv_vcpu *v, unsigned int fw_event)
{
	struct riscv_pmu *pmu = smp_load_acquire(&v->pmu);

	if (likely(!pmu))
		return;
	for (unsigned int i = FIRST_FW; i < NR_COUNTERS; i++)
		if (READ_ONCE(pmu->c[i].started) && READ_ONCE(pmu->c[i].event) == fw_event)
			__atomic_fetch_add(&pmu->c[i].value, 1, __ATOMIC_RELAXED);
}

/* What the hart has counted of what c counts. */
static u64 hart_count(const struct riscv_vcpu *v, const struct counter *c)
{
	return c->which == COUNTS_NOTHING ? 0 : rv_hart_get_count(v->hart, c->which);
}

static u64 counter_read(const struct riscv_vcpu *v, unsigned int idx)
{
	const struct counter *c = &v->pmu->c[idx];
	u64 value = READ_ONCE(c->value);

	if (!is_fw(idx) && c->started)
		value += hart_count(v, c) - c->from;
	return value;
}

/* Tells the hart where the next counters wrap. One that reads 0 has 2^64 to go: never. */
static void rearm(struct riscv_vcpu *v)
{
	for (unsigned int which = 0; which < RV_COUNTS; which++) {
		u64 left = RV_NO_STOP, now = rv_hart_get_count(v->hart, which);

		for (unsigned int i = FIRST_HW; i < FIRST_FW; i++) {
			const struct counter *c = &v->pmu->c[i];
			u64 value = counter_read(v, i);

			if (c->started && c->which == which && value)
				left = min(left, -value);
		}
		rv_hart_set_count_stop(v->hart, which,
				       left >= RV_NO_STOP - now ? RV_NO_STOP : now + left);
	}
}

static void counters_clear(struct riscv_pmu *pmu)
{
	pmu->snapshot = INVALID_GPA;
	for (unsigned int i = 0; i < NR_COUNTERS; i++) {
		WRITE_ONCE(pmu->c[i].started, 0);
		WRITE_ONCE(pmu->c[i].event, NO_EVENT);
		WRITE_ONCE(pmu->c[i].value, 0);
		pmu->c[i].overflown = false;
	}
}

void sbi_pmu_reset(struct riscv_vcpu *v)
{
	if (!v->pmu)
		return;
	counters_clear(v->pmu);
	rearm(v);
}

/* The counters exist from the first configuration on. */
static struct riscv_pmu *pmu_get(struct riscv_vcpu *v)
{
	struct riscv_pmu *pmu = v->pmu;

	if (!pmu) {
		pmu = sv_zalloc(sizeof(*pmu));
		if (pmu)
			counters_clear(pmu);
		smp_store_release(&v->pmu, pmu);
	}
	return pmu;
}

/* The counters that base and mask name, as bits; 0 when one of them does not exist. */
static u64 counters(u64 base, u64 mask)
{
	if (!mask || base >= NR_COUNTERS || 63 - __builtin_clzll(mask) + base >= NR_COUNTERS)
		return 0;
	return mask << base;
}

static void counter_start(struct riscv_vcpu *v, unsigned int idx)
{
	struct counter *c = &v->pmu->c[idx];

	c->from = hart_count(v, c);
	WRITE_ONCE(c->started, 1);
	rearm(v);
}

static void counter_stop(struct riscv_vcpu *v, unsigned int idx)
{
	struct counter *c = &v->pmu->c[idx];

	if (!is_fw(idx))
		c->value = counter_read(v, idx);
	WRITE_ONCE(c->started, 0);
	rearm(v);
}

void sbi_pmu_overflow(struct riscv_vcpu *v)
{
	for (unsigned int i = FIRST_HW; v->pmu && i < FIRST_FW; i++) {
		struct counter *c = &v->pmu->c[i];

		/* What reads 0 and has moved since it was started has wrapped just now. */
		if (!c->started || counter_read(v, i) || c->from == hart_count(v, c))
			continue;
		c->overflown = true;
		rv_hart_set_irq(v->hart, IRQ_PMU_OVF, true);
	}
	if (v->pmu)
		rearm(v);
}

/* The overflown ones of these counters, as bits. */
static u64 overflown(const struct riscv_vcpu *v, u64 set)
{
	u64 mask = 0;

	for (unsigned int i = FIRST_HW; v->pmu && i < FIRST_FW; i++)
		if ((set & BIT(i)) && v->pmu->c[i].overflown)
			mask |= BIT(i);
	return mask;
}

bool sbi_pmu_read_csr(struct riscv_vcpu *v, unsigned int csr, u64 *val)
{
	unsigned int idx = csr - CSR_CYCLE;

	if (csr == CSR_SCOUNTOVF) {
		*val = overflown(v, ~0ull);
		return true;
	}
	if (csr == CSR_CYCLE || csr == CSR_INSTRET) {
		*val = rv_hart_get_instret(v->hart);
		return true;
	}
	if (idx < FIRST_HW || idx >= FIRST_FW || !v->pmu || v->pmu->c[idx].event == NO_EVENT)
		return false;
	*val = counter_read(v, idx);
	return true;
}

static bool event_known(u64 event)
{
	switch (EVENT_TYPE(event)) {
	case TYPE_HW:
		return EVENT_CODE(event) == HW_CPU_CYCLES || EVENT_CODE(event) == HW_INSTRUCTIONS;
	case TYPE_FW:
		return EVENT_CODE(event) < SBI_FW_MAX;
	default:
		return false;
	}
}

static u8 what_counts(u64 flags)
{
	switch (flags & (CFG_INHIBIT_U | CFG_INHIBIT_S)) {
	case 0:
		return RV_COUNT_ALL;
	case CFG_INHIBIT_U:
		return RV_COUNT_S;
	case CFG_INHIBIT_S:
		return RV_COUNT_U;
	default:
		return COUNTS_NOTHING;
	}
}

static s64 cfg_match(struct riscv_vcpu *v, u64 *out)
{
	u64 set = counters(vcpu_x(v, X_A0), vcpu_x(v, X_A1));
	u64 flags = vcpu_x(v, X_A2), event = vcpu_x(v, X_A3);
	bool skip = flags & CFG_SKIP_MATCH;	/* the caller knows: it is configured already */
	struct riscv_pmu *pmu;
	unsigned int idx;

	if (!set || (flags & ~(u64)CFG_KNOWN))
		return SBI_ERR_INVALID_PARAM;
	if (!skip && !event_known(event))
		return SBI_ERR_NOT_SUPPORTED;
	pmu = pmu_get(v);
	if (!pmu)
		return SBI_ERR_FAILURE;
	if (skip) {
		idx = __builtin_ctzll(set);
		if (pmu->c[idx].event == NO_EVENT)
			return SBI_ERR_FAILURE;
	} else {
		set &= COUNTERS_MASK;
		for (idx = 0; idx < NR_COUNTERS; idx++)
			if ((set & BIT(idx)) && pmu->c[idx].event == NO_EVENT &&
			    is_fw(idx) == (EVENT_TYPE(event) == TYPE_FW))
				break;
		if (idx == NR_COUNTERS)
			return SBI_ERR_NOT_SUPPORTED;
		pmu->c[idx].which = what_counts(flags);
		WRITE_ONCE(pmu->c[idx].event, EVENT_CODE(event));
	}
	if (flags & CFG_CLEAR_VALUE) {
		WRITE_ONCE(pmu->c[idx].value, 0);
		pmu->c[idx].from = hart_count(v, &pmu->c[idx]);
		rearm(v);
	}
	if ((flags & CFG_AUTO_START) && !pmu->c[idx].started)
		counter_start(v, idx);
	*out = idx;
	return 0;
}

static bool have_snapshot(const struct riscv_vcpu *v)
{
	return v->pmu && v->pmu->snapshot != INVALID_GPA;
}

/* What the next start begins with. The snapshot's values are numbered from the call's base. */
static s64 start_value(struct riscv_vcpu *v, unsigned int i, u64 flags, u64 *value)
{
	if (flags & START_SET_INIT)
		*value = vcpu_x(v, X_A3);
	else if ((flags & START_INIT_SNAPSHOT) &&
		 kvm_read_guest(v->vcpu.kvm, v->pmu->snapshot + SNAPSHOT_VALUE(i), value,
				sizeof(*value)))
		return SBI_ERR_FAILURE;
	return 0;
}

static s64 pmu_start(struct riscv_vcpu *v)
{
	u64 base = vcpu_x(v, X_A0), set = counters(base, vcpu_x(v, X_A1)), flags = vcpu_x(v, X_A2);
	s64 err = 0;

	if (!set || (flags & ~(u64)START_KNOWN) || flags == START_KNOWN)
		return SBI_ERR_INVALID_PARAM;
	if ((flags & START_INIT_SNAPSHOT) && !have_snapshot(v))
		return SBI_ERR_NO_SHMEM;
	for (unsigned int i = 0; i < NR_COUNTERS; i++) {
		struct counter *c = v->pmu ? &v->pmu->c[i] : NULL;
		u64 value;

		if (!(set & BIT(i)))
			continue;
		if (!c || c->event == NO_EVENT) {
			err = SBI_ERR_INVALID_PARAM;
			continue;
		}
		c->overflown = false;
		if (c->started) {
			err = SBI_ERR_ALREADY_STARTED;
			continue;
		}
		value = c->value;
		if (start_value(v, i - base, flags, &value)) {
			err = SBI_ERR_FAILURE;
			continue;
		}
		WRITE_ONCE(c->value, value);
		counter_start(v, i);
	}
	return err;
}

/* The mask is of those among the stopped ones; what was given back is not in it any more. */
static s64 take_snapshot(struct riscv_vcpu *v, u64 base, u64 set)
{
	u64 mask = overflown(v, set) >> base, at = v->pmu->snapshot, value;

	if (kvm_write_guest(v->vcpu.kvm, at + SNAPSHOT_OVERFLOW, &mask, sizeof(mask)))
		return SBI_ERR_FAILURE;
	for (unsigned int i = 0; i < NR_COUNTERS; i++) {
		if (!(set & BIT(i)))
			continue;
		value = counter_read(v, i);
		if (kvm_write_guest(v->vcpu.kvm, at + SNAPSHOT_VALUE(i - base), &value,
				    sizeof(value)))
			return SBI_ERR_FAILURE;
	}
	return 0;
}

static s64 pmu_stop(struct riscv_vcpu *v)
{
	u64 base = vcpu_x(v, X_A0), set = counters(base, vcpu_x(v, X_A1)), flags = vcpu_x(v, X_A2);
	u64 configured = 0;
	s64 err = 0, snap;

	if (!set || (flags & ~(u64)STOP_KNOWN))
		return SBI_ERR_INVALID_PARAM;
	if ((flags & STOP_TAKE_SNAPSHOT) && !have_snapshot(v))
		return SBI_ERR_NO_SHMEM;
	for (unsigned int i = 0; i < NR_COUNTERS; i++) {
		struct counter *c = v->pmu ? &v->pmu->c[i] : NULL;

		if (!(set & BIT(i)))
			continue;
		if (!c || c->event == NO_EVENT) {
			err = SBI_ERR_INVALID_PARAM;
			continue;
		}
		configured |= BIT(i);
		if (c->started)
			counter_stop(v, i);
		else
			err = SBI_ERR_ALREADY_STOPPED;
		if (flags & STOP_RESET) {
			WRITE_ONCE(c->event, NO_EVENT);
			c->overflown = false;
		}
	}
	if ((flags & STOP_TAKE_SNAPSHOT) && configured) {
		snap = take_snapshot(v, base, configured);
		err = snap ? snap : err;
	}
	return err;
}

static s64 counter_info(u64 idx, u64 *out)
{
	if (idx >= NR_COUNTERS || !(COUNTERS_MASK & BIT(idx)))
		return SBI_ERR_INVALID_PARAM;
	*out = is_fw(idx) ? INFO_FIRMWARE : INFO_HARDWARE(CSR_CYCLE + idx);
	return 0;
}

/* A counter that counts nothing yet reads as 0. */
static s64 fw_read(struct riscv_vcpu *v, u64 idx, u64 *out)
{
	if (idx >= NR_COUNTERS || !is_fw(idx))
		return SBI_ERR_INVALID_PARAM;
	*out = v->pmu ? counter_read(v, idx) : 0;
	return 0;
}

static s64 set_snapshot(struct riscv_vcpu *v)
{
	static const u8 zero[SV_PAGE_SIZE];
	u64 lo = vcpu_x(v, X_A0), hi = vcpu_x(v, X_A1);
	struct riscv_pmu *pmu;

	if (vcpu_x(v, X_A2))
		return SBI_ERR_INVALID_PARAM;
	if (lo == ~0ull && hi == ~0ull) {
		if (v->pmu)
			v->pmu->snapshot = INVALID_GPA;
		return 0;
	}
	if (!IS_ALIGNED(lo, SV_PAGE_SIZE))
		return SBI_ERR_INVALID_PARAM;
	if (hi || kvm_write_guest(v->vcpu.kvm, lo, zero, sizeof(zero)))
		return SBI_ERR_INVALID_ADDRESS;
	pmu = pmu_get(v);
	if (!pmu)
		return SBI_ERR_FAILURE;
	pmu->snapshot = lo;
	return 0;
}

/* For each event of a table in the guest's memory: is there a counter for it? */
static s64 event_info(struct riscv_vcpu *v)
{
	u64 at = vcpu_x(v, X_A0), hi = vcpu_x(v, X_A1), n = vcpu_x(v, X_A2);
	struct event_info e;

	if (vcpu_x(v, X_A3) || !IS_ALIGNED(at, sizeof(e)) || !n)
		return SBI_ERR_INVALID_PARAM;
	if (hi)
		return SBI_ERR_INVALID_ADDRESS;
	if (n > EVENT_INFO_MAX)
		return SBI_ERR_FAILURE;
	for (; n; n--, at += sizeof(e)) {
		if (kvm_read_guest(v->vcpu.kvm, at, &e, sizeof(e)))
			return SBI_ERR_INVALID_ADDRESS;
		e.supported = !(e.event >> 20) && event_known(e.event);
		if (kvm_write_guest(v->vcpu.kvm, at, &e, sizeof(e)))
			return SBI_ERR_INVALID_ADDRESS;
	}
	return 0;
}

static enum sbi_outcome pmu_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u64 idx = vcpu_x(v, X_A0);

	switch (vcpu_x(v, X_A6)) {
	case NUM_COUNTERS: ret->val = NR_COUNTERS; break;
	case COUNTER_INFO: ret->err = counter_info(idx, &ret->val); break;
	case CFG_MATCH: ret->err = cfg_match(v, &ret->val); break;
	case START: ret->err = pmu_start(v); break;
	case STOP: ret->err = pmu_stop(v); break;
	case FW_READ: ret->err = fw_read(v, idx, &ret->val); break;
	case FW_READ_HI: break;		/* the upper half of a 64-bit value on RV32 */
	case SET_SNAPSHOT: ret->err = set_snapshot(v); break;
	case EVENT_INFO: ret->err = event_info(v); break;
	default: ret->err = SBI_ERR_NOT_SUPPORTED; break;
	}
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_pmu = {
	.first = SBI_ID_PMU, .last = SBI_ID_PMU, .handler = pmu_handler,
};
