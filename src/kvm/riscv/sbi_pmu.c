/* SPDX-License-Identifier: MIT */
/*
 * SBI performance monitoring: 32 firmware counters.
 *
 * A firmware counter counts what the SBI implementation did for the hart: timers set, IPIs
 * and fences sent and received. A guest picks an event for a counter (config matching),
 * starts, stops and reads it. There are no hardware counters here: cycle, time and instret
 * are the hart's own registers, which a guest reads without us.
 *
 * Counting may happen in another vCPU's thread (an IPI received): value and event are
 * atomic. Configuration is the vCPU's own thread's.
 */
#include "base/alloc.h"
#include "kvm/riscv/sbi.h"

enum { NUM_COUNTERS, COUNTER_INFO, CFG_MATCH, START, STOP, FW_READ, FW_READ_HI, SNAPSHOT };
enum { CFG_SKIP_MATCH = 1, CFG_CLEAR_VALUE = 2, CFG_AUTO_START = 4, CFG_KNOWN = 0xff };
enum { START_SET_INIT = 1, STOP_RESET = 1 };
#define EVENT_TYPE(e) (((e) >> 16) & 0xf)
#define EVENT_CODE(e) ((e) & 0xffff)
#define EVENT_TYPE_FW 15
#define INFO_FIRMWARE BIT(63)
#define NO_EVENT (~0u)

struct counter {
	u64 value;
	u32 event;		/* NO_EVENT: free */
	u32 started;
};

struct riscv_pmu {
	struct counter c[SBI_PMU_FW_COUNTERS];
};

void sbi_pmu_count(struct riscv_vcpu *v, unsigned int fw_event)
{
	struct riscv_pmu *pmu = smp_load_acquire(&v->pmu);

	if (likely(!pmu))
		return;
	for (unsigned int i = 0; i < SBI_PMU_FW_COUNTERS; i++)
		if (READ_ONCE(pmu->c[i].started) && READ_ONCE(pmu->c[i].event) == fw_event)
			__atomic_fetch_add(&pmu->c[i].value, 1, __ATOMIC_RELAXED);
}

void sbi_pmu_reset(struct riscv_vcpu *v)
{
	for (unsigned int i = 0; v->pmu && i < SBI_PMU_FW_COUNTERS; i++) {
		WRITE_ONCE(v->pmu->c[i].started, 0);
		WRITE_ONCE(v->pmu->c[i].event, NO_EVENT);
		WRITE_ONCE(v->pmu->c[i].value, 0);
	}
}

/* The counters exist from the first configuration on. */
static struct riscv_pmu *pmu_get(struct riscv_vcpu *v)
{
	struct riscv_pmu *pmu = v->pmu;

	if (!pmu) {
		pmu = sv_zalloc(sizeof(*pmu));
		for (unsigned int i = 0; pmu && i < SBI_PMU_FW_COUNTERS; i++)
			pmu->c[i].event = NO_EVENT;
		smp_store_release(&v->pmu, pmu);
	}
	return pmu;
}

/* The counters that base and mask name, as bits; 0 when one of them does not exist. */
static u64 counters(u64 base, u64 mask)
{
	if (!mask || base >= SBI_PMU_FW_COUNTERS || 63 - __builtin_clzll(mask) + base >=
						    SBI_PMU_FW_COUNTERS)
		return 0;
	return mask << base;
}

static s64 cfg_match(struct riscv_vcpu *v, u64 *out)
{
	u64 set = counters(vcpu_x(v, X_A0), vcpu_x(v, X_A1));
	u64 flags = vcpu_x(v, X_A2), event = vcpu_x(v, X_A3);
	struct riscv_pmu *pmu;
	unsigned int idx;

	if (!set || (flags & ~(u64)CFG_KNOWN))
		return SBI_ERR_INVALID_PARAM;
	if (EVENT_TYPE(event) != EVENT_TYPE_FW || EVENT_CODE(event) >= SBI_FW_MAX)
		return SBI_ERR_NOT_SUPPORTED;
	pmu = pmu_get(v);
	if (!pmu)
		return SBI_ERR_FAILURE;
	for (idx = 0; idx < SBI_PMU_FW_COUNTERS; idx++) {
		if (!(set & BIT(idx)))
			continue;
		if (flags & CFG_SKIP_MATCH) {	/* the caller knows: it is configured already */
			if (pmu->c[idx].event == NO_EVENT)
				return SBI_ERR_FAILURE;
			break;
		}
		if (pmu->c[idx].event == NO_EVENT)
			break;
	}
	if (idx == SBI_PMU_FW_COUNTERS)
		return SBI_ERR_NOT_SUPPORTED;
	if (!(flags & CFG_SKIP_MATCH))
		WRITE_ONCE(pmu->c[idx].event, EVENT_CODE(event));
	if (flags & CFG_CLEAR_VALUE)
		WRITE_ONCE(pmu->c[idx].value, 0);
	if (flags & CFG_AUTO_START)
		WRITE_ONCE(pmu->c[idx].started, 1);
	*out = idx;
	return 0;
}

static s64 start_stop(struct riscv_vcpu *v, bool start)
{
	u64 set = counters(vcpu_x(v, X_A0), vcpu_x(v, X_A1)), flags = vcpu_x(v, X_A2);
	s64 err = 0;

	if (!set)
		return SBI_ERR_INVALID_PARAM;
	for (unsigned int i = 0; i < SBI_PMU_FW_COUNTERS; i++) {
		struct counter *c = v->pmu ? &v->pmu->c[i] : NULL;

		if (!(set & BIT(i)))
			continue;
		if (!c || c->event == NO_EVENT) {
			err = SBI_ERR_INVALID_PARAM;
			continue;
		}
		if (start) {
			if (c->started)
				err = SBI_ERR_ALREADY_STARTED;
			else if (flags & START_SET_INIT)
				WRITE_ONCE(c->value, vcpu_x(v, X_A3));
			WRITE_ONCE(c->started, 1);
		} else {
			if (!c->started)
				err = SBI_ERR_ALREADY_STOPPED;
			WRITE_ONCE(c->started, 0);
			if (flags & STOP_RESET)
				WRITE_ONCE(c->event, NO_EVENT);
		}
	}
	return err;
}

static enum sbi_outcome pmu_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u64 idx = vcpu_x(v, X_A0);

	switch (vcpu_x(v, X_A6)) {
	case NUM_COUNTERS:
		ret->val = SBI_PMU_FW_COUNTERS;
		break;
	case COUNTER_INFO:
		if (idx < SBI_PMU_FW_COUNTERS)
			ret->val = INFO_FIRMWARE;
		else
			ret->err = SBI_ERR_INVALID_PARAM;
		break;
	case CFG_MATCH:
		ret->err = cfg_match(v, &ret->val);
		break;
	case START:
		ret->err = start_stop(v, true);
		break;
	case STOP:
		ret->err = start_stop(v, false);
		break;
	case FW_READ:
		if (idx >= SBI_PMU_FW_COUNTERS || !v->pmu || v->pmu->c[idx].event == NO_EVENT)
			ret->err = SBI_ERR_INVALID_PARAM;
		else
			ret->val = READ_ONCE(v->pmu->c[idx].value);
		break;
	case FW_READ_HI:	/* the upper half of a 64-bit value on RV32 */
		break;
	case SNAPSHOT:
	default:
		ret->err = SBI_ERR_NOT_SUPPORTED;
		break;
	}
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_pmu = {
	.first = SBI_ID_PMU, .last = SBI_ID_PMU, .handler = pmu_handler,
};
