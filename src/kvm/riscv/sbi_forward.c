/* SPDX-License-Identifier: MIT */
/*
 * What is user space's, whatever the function: the experimental and vendor ranges, and message
 * proxies (MPXY), which are off until user space enables them.
 */
#include "kvm/riscv/sbi.h"

static enum sbi_outcome forward_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	return sbi_forward(v);
}

const struct sbi_ext sbi_ext_experimental = {
	.first = SBI_ID_EXPERIMENTAL, .last = SBI_ID_EXPERIMENTAL_LAST, .handler = forward_handler,
};
const struct sbi_ext sbi_ext_mpxy = {
	.first = SBI_ID_MPXY, .last = SBI_ID_MPXY, .default_disabled = true,
	.handler = forward_handler,
};
const struct sbi_ext sbi_ext_vendor = {
	.first = SBI_ID_VENDOR, .last = SBI_ID_VENDOR_LAST, .handler = forward_handler,
};
