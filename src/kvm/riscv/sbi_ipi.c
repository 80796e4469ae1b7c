/* SPDX-License-Identifier: MIT */
/*
 * SBI IPI: a supervisor software interrupt for each hart of the mask. A bit that names no
 * hart is an error, after the others have got theirs.
 */
#include "kvm/riscv/sbi.h"

static void send_one(struct riscv_vcpu *target, void *arg)
{
	riscv_vcpu_set_irq(target, IRQ_S_SOFT, true);
	sbi_pmu_count(target, SBI_FW_IPI_RCVD);
}

static enum sbi_outcome ipi_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u64 mask = vcpu_x(v, X_A0), base = vcpu_x(v, X_A1);

	if (vcpu_x(v, X_A6) != 0) {
		ret->err = SBI_ERR_NOT_SUPPORTED;
		return SBI_DONE;
	}
	sbi_pmu_count(v, SBI_FW_IPI_SENT);
	if (sbi_for_each_hart(v, base, mask, send_one, NULL) != mask && base != ~0ull)
		ret->err = SBI_ERR_INVALID_PARAM;
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_ipi = {
	.first = SBI_ID_IPI, .last = SBI_ID_IPI, .handler = ipi_handler,
};
