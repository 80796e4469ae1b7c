/* SPDX-License-Identifier: MIT */
/*
 * SBI system suspend: the last running hart puts the machine to sleep.
 *
 * Checked here: to RAM, from S mode, to an address with memory, every other hart stopped. Then
 * the hart is to start anew at that address, and user space gets the call as KVM_EXIT_RISCV_SBI:
 * it sleeps until something is to wake the machine, and calls KVM_RUN again. Off until user
 * space, which does the sleeping, enables it.
 *
 * Two harts that suspend while a third is being started may both find the others stopped; only
 * the guest's own state is at stake, and user space can look again.
 */
#include "kvm/riscv/sbi.h"

#define SYSTEM_SUSPEND 0
#define SUSPEND_TO_RAM 0u

static bool has_memory(struct kvm *kvm, u64 gpa)
{
	bool found;

	rcu_read_lock();
	found = gfn_to_memslot(kvm, gpa >> SV_PAGE_SHIFT);
	rcu_read_unlock();
	return found;
}

static bool others_stopped(const struct riscv_vcpu *v)
{
	struct kvm_vcpu *vcpu;

	kvm_for_each_vcpu(i, vcpu, v->vcpu.kvm)
		if (vcpu != &v->vcpu && !riscv_vcpu_stopped(to_riscv(vcpu)))
			return false;
	return true;
}

static enum sbi_outcome susp_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u64 pc = vcpu_x(v, X_A1);

	if (vcpu_x(v, X_A6) != SYSTEM_SUSPEND) {
		ret->err = SBI_ERR_NOT_SUPPORTED;
	} else if ((u32)vcpu_x(v, X_A0) != SUSPEND_TO_RAM) {
		ret->err = SBI_ERR_INVALID_PARAM;
	} else if (!has_memory(v->vcpu.kvm, pc)) {
		ret->err = SBI_ERR_INVALID_ADDRESS;
	} else if (!others_stopped(v)) {
		ret->err = SBI_ERR_DENIED;
	} else {
		sv_spin_lock(&v->mp_lock);
		riscv_request_start_locked(v, pc, vcpu_x(v, X_A2));
		sv_spin_unlock(&v->mp_lock);
		return sbi_forward(v);
	}
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_susp = {
	.first = SBI_ID_SUSP, .last = SBI_ID_SUSP, .default_disabled = true,
	.handler = susp_handler,
};
