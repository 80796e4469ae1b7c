/* SPDX-License-Identifier: MIT */
/*
 * SBI hart state management: start, stop, status, suspend.
 *
 * A start leaves its address and argument with the target under its mp_lock and asks for a
 * reset; the target's own thread does it before it enters the guest.
 */
#include "kvm/riscv/sbi.h"

enum { HART_START, HART_STOP, HART_STATUS, HART_SUSPEND };
enum { STATE_STARTED = 0, STATE_STOPPED = 1, STATE_SUSPENDED = 4 };
#define SUSPEND_RET_DEFAULT 0u
#define SUSPEND_NON_RET_DEFAULT 0x80000000u

static s64 hart_start(struct riscv_vcpu *v)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu_by_id(v->vcpu.kvm, vcpu_x(v, X_A0));
	struct riscv_vcpu *target;
	s64 err = 0;

	if (!vcpu)
		return SBI_ERR_INVALID_PARAM;
	target = to_riscv(vcpu);
	sv_spin_lock(&target->mp_lock);
	if (riscv_vcpu_stopped(target)) {
		riscv_request_start_locked(target, vcpu_x(v, X_A1), vcpu_x(v, X_A2));
		WRITE_ONCE(target->mp_state, KVM_MP_STATE_RUNNABLE);
	} else {
		err = SBI_ERR_ALREADY_AVAILABLE;
	}
	sv_spin_unlock(&target->mp_lock);
	if (!err)
		kvm_vcpu_wake(vcpu);
	return err;
}

static s64 hart_stop(struct riscv_vcpu *v)
{
	sv_spin_lock(&v->mp_lock);
	riscv_power_off_locked(v);
	sv_spin_unlock(&v->mp_lock);
	return 0;
}

static s64 hart_status(struct riscv_vcpu *v, u64 *state)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu_by_id(v->vcpu.kvm, vcpu_x(v, X_A0));

	if (!vcpu)
		return SBI_ERR_INVALID_PARAM;
	if (riscv_vcpu_stopped(to_riscv(vcpu)))
		*state = STATE_STOPPED;
	else if (__atomic_load_n(&vcpu->sleeping, __ATOMIC_RELAXED))
		*state = STATE_SUSPENDED;
	else
		*state = STATE_STARTED;
	return 0;
}

static enum sbi_outcome hsm_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	switch (vcpu_x(v, X_A6)) {
	case HART_START:
		ret->err = hart_start(v);
		break;
	case HART_STOP:
		ret->err = hart_stop(v);
		break;
	case HART_STATUS:
		ret->err = hart_status(v, &ret->val);
		break;
	case HART_SUSPEND:
		switch ((u32)vcpu_x(v, X_A0)) {
		case SUSPEND_RET_DEFAULT:
			riscv_vcpu_wfi(v);
			break;
		case SUSPEND_NON_RET_DEFAULT:
			ret->err = SBI_ERR_NOT_SUPPORTED;
			break;
		default:
			ret->err = SBI_ERR_INVALID_PARAM;
			break;
		}
		break;
	default:
		ret->err = SBI_ERR_NOT_SUPPORTED;
		break;
	}
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_hsm = {
	.first = SBI_ID_HSM, .last = SBI_ID_HSM, .handler = hsm_handler,
};
