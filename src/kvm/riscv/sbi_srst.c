/* SPDX-License-Identifier: MIT */
/*
 * SBI system reset: every vCPU stops, user space gets KVM_EXIT_SYSTEM_EVENT and decides.
 */
#include "kvm/riscv/sbi.h"

enum { SHUTDOWN, COLD_REBOOT, WARM_REBOOT };

static enum sbi_outcome srst_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u32 type = vcpu_x(v, X_A0), reason = vcpu_x(v, X_A1);

	if (vcpu_x(v, X_A6) == 0) {
		if (type == SHUTDOWN)
			return sbi_system_event(v, KVM_SYSTEM_EVENT_SHUTDOWN, reason);
		if (type == COLD_REBOOT || type == WARM_REBOOT)
			return sbi_system_event(v, KVM_SYSTEM_EVENT_RESET, reason);
	}
	ret->err = SBI_ERR_NOT_SUPPORTED;
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_srst = {
	.first = SBI_ID_SRST, .last = SBI_ID_SRST, .handler = srst_handler,
};
