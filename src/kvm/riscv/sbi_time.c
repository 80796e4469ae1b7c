/* SPDX-License-Identifier: MIT */
/*
 * SBI timer: the next timer interrupt, as an absolute guest time. It is the hart's
 * stimecmp; an interrupt that is pending goes away until the new time has come.
 */
#include "kvm/riscv/sbi.h"

static enum sbi_outcome time_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	if (vcpu_x(v, X_A6) != 0) {
		ret->err = SBI_ERR_NOT_SUPPORTED;
		return SBI_DONE;
	}
	sbi_pmu_count(v, SBI_FW_SET_TIMER);
	rv_hart_set_csr(v->hart, CSR_STIMECMP, vcpu_x(v, X_A0));
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_time = {
	.first = SBI_ID_TIME, .last = SBI_ID_TIME, .handler = time_handler,
};
