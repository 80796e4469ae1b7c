/* SPDX-License-Identifier: MIT */
/*
 * SBI base extension: versions, ids, which extensions there are.
 */
#include "kvm/riscv/sbi.h"

enum { GET_SPEC_VERSION, GET_IMP_ID, GET_IMP_VERSION, PROBE, GET_MVENDORID, GET_MARCHID,
       GET_MIMPID };

#define SPEC_VERSION (3 << 24)		/* 3.0 */
#define IMP_ID_KVM 3
#define IMP_VERSION 0x070000		/* the kernel whose SBI this is: 7.0 */

static enum sbi_outcome base_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u64 arg = vcpu_x(v, X_A0);
	const struct sbi_ext *ext;

	switch (vcpu_x(v, X_A6)) {
	case GET_SPEC_VERSION:
		ret->val = SPEC_VERSION;
		break;
	case GET_IMP_ID:
		ret->val = IMP_ID_KVM;
		break;
	case GET_IMP_VERSION:
		ret->val = IMP_VERSION;
		break;
	case PROBE:
		/* What user space implements, user space probes. */
		if (arg >= SBI_ID_EXPERIMENTAL && arg <= SBI_ID_VENDOR_LAST)
			return sbi_forward(v);
		ext = sbi_find_ext(v, arg);
		ret->val = ext ? (ext->probe ? ext->probe(v) : 1) : 0;
		break;
	case GET_MVENDORID:
		ret->val = v->mvendorid;
		break;
	case GET_MARCHID:
		ret->val = v->marchid;
		break;
	case GET_MIMPID:
		ret->val = v->mimpid;
		break;
	default:
		ret->err = SBI_ERR_NOT_SUPPORTED;
		break;
	}
	return SBI_DONE;
}

const struct sbi_ext sbi_ext_base = {
	.first = SBI_ID_BASE, .last = SBI_ID_BASE, .handler = base_handler,
};
