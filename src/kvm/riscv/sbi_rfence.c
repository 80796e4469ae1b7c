/* SPDX-License-Identifier: MIT */
/*
 * SBI remote fences: the harts of a mask forget translations or instructions.
 *
 * The call returns when every one of them has done so: the guest frees pages then. A hart
 * that is not in the guest does it before it enters, and counts as done. Two harts that
 * wait for each other are both outside of the guest, so neither waits.
 *
 * The hart forgets all addresses whatever range was asked for, which is always allowed.
 */
#include <sched.h>
#include <time.h>

#include "kvm/riscv/sbi.h"

enum { REMOTE_FENCE_I, REMOTE_SFENCE_VMA, REMOTE_SFENCE_VMA_ASID };

static void request_one(struct riscv_vcpu *target, void *arg)
{
	static const u8 received[] = {
		[SBI_FENCE_I] = SBI_FW_FENCE_I_RCVD, [SBI_SFENCE_VMA] = SBI_FW_SFENCE_VMA_RCVD,
		[SBI_SFENCE_VMA_ASID] = SBI_FW_SFENCE_VMA_ASID_RCVD,
	};
	enum sbi_fence kind = *(enum sbi_fence *)arg;

	sbi_pmu_count(target, received[kind]);
	if (kind == SBI_FENCE_I)
		rv_hart_request_fence_i(target->hart);
	else
		rv_hart_request_flush_tlb(target->hart);
}

static void wait_one(struct riscv_vcpu *target, void *arg)
{
	for (unsigned int spins = 0; !rv_hart_requests_done(target->hart); spins++) {
		struct timespec ts = { .tv_nsec = 20000 };

		if (spins < 16)
			sched_yield();
		else
			nanosleep(&ts, NULL);
	}
}

u64 sbi_remote_fence(struct riscv_vcpu *v, u64 base, u64 mask, enum sbi_fence kind)
{
	u64 found = sbi_for_each_hart(v, base, mask, request_one, &kind);

	sbi_for_each_hart(v, base, mask, wait_one, NULL);
	return found;
}

static enum sbi_outcome rfence_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u64 mask = vcpu_x(v, X_A0), base = vcpu_x(v, X_A1);

	switch (vcpu_x(v, X_A6)) {
	case REMOTE_FENCE_I:
		sbi_remote_fence(v, base, mask, SBI_FENCE_I);
		sbi_pmu_count(v, SBI_FW_FENCE_I_SENT);
		break;
	case REMOTE_SFENCE_VMA:
		sbi_remote_fence(v, base, mask, SBI_SFENCE_VMA);
		sbi_pmu_count(v, SBI_FW_SFENCE_VMA_SENT);
		break;
	case REMOTE_SFENCE_VMA_ASID:
		sbi_remote_fence(v, base, mask, SBI_SFENCE_VMA_ASID);
		sbi_pmu_count(v, SBI_FW_SFENCE_VMA_ASID_SENT);
		break;
	default:	/* the HFENCE calls too: there is no hypervisor extension */
		ret->err = SBI_ERR_NOT_SUPPORTED;
		break;
	}
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_rfence = {
	.first = SBI_ID_RFENCE, .last = SBI_ID_RFENCE, .handler = rfence_handler,
};
