/* SPDX-License-Identifier: MIT */
/*
 * The legacy calls of SBI 0.1: one extension id each, an error in a0 and nothing in a1.
 *
 * Hart masks are pointers to a guest virtual address here, 0 for all harts. One that does
 * not translate is the guest's load page fault at its ecall.
 */
#include "kvm/riscv/sbi.h"

static bool read_mask(struct riscv_vcpu *v, u64 va, u64 *mask, struct sbi_ret *ret)
{
	u8 bytes[8];

	for (unsigned int i = 0; i < sizeof(bytes); i++) {	/* may cross a page */
		u64 gpa;

		if (rv_hart_translate(v->hart, va + i, CPU_ACCESS_READ, &gpa) ||
		    kvm_read_guest(v->vcpu.kvm, gpa, &bytes[i], 1)) {
			ret->trap_cause = EXC_LOAD_PAGE_FAULT;
			ret->trap_val = va + i;
			return false;
		}
	}
	*mask = 0;
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		*mask |= (u64)bytes[i] << (8 * i);
	return true;
}

static void send_one(struct riscv_vcpu *target, void *arg)
{
	riscv_vcpu_set_irq(target, IRQ_S_SOFT, true);
}

static enum sbi_outcome v01_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u64 call = vcpu_x(v, X_A7), base = ~0ull, mask = 0;

	switch (call) {
	case SBI_V01_SET_TIMER:
		rv_hart_set_csr(v->hart, CSR_STIMECMP, vcpu_x(v, X_A0));
		break;
	case SBI_V01_CONSOLE_PUTCHAR:
	case SBI_V01_CONSOLE_GETCHAR:
		return sbi_forward(v);
	case SBI_V01_CLEAR_IPI:
		riscv_vcpu_set_irq(v, IRQ_S_SOFT, false);
		break;
	case SBI_V01_SEND_IPI:
	case SBI_V01_REMOTE_FENCE_I:
	case SBI_V01_REMOTE_SFENCE_VMA:
	case SBI_V01_REMOTE_SFENCE_VMA_ASID:
		if (vcpu_x(v, X_A0)) {
			base = 0;
			if (!read_mask(v, vcpu_x(v, X_A0), &mask, ret))
				return SBI_TRAP;
		}
		if (call == SBI_V01_SEND_IPI)
			sbi_for_each_hart(v, base, mask, send_one, NULL);
		else
			sbi_remote_fence(v, base, mask, call - SBI_V01_REMOTE_FENCE_I);
		break;
	case SBI_V01_SHUTDOWN:
		return sbi_system_event(v, KVM_SYSTEM_EVENT_SHUTDOWN, 0);
	default:
		ret->err = SBI_ERR_NOT_SUPPORTED;
		break;
	}
	return SBI_DONE_V01;
}

const struct sbi_ext sbi_ext_v01 = {
	.first = SBI_V01_SET_TIMER, .last = SBI_V01_LAST, .handler = v01_handler,
};
