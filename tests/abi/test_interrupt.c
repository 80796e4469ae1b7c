/* SPDX-License-Identifier: MIT */
/* KVM_INTERRUPT, and what wakes a vCPU from WFI */
#include <pthread.h>

#include "abi.h"

static int interrupt(int vcpu, u32 irq)
{
	struct kvm_interrupt i = { .irq = irq };

	return softvirt_ioctl(vcpu, KVM_INTERRUPT, &i);
}

static void a_bad_pointer_is_efault(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_INTERRUPT, abi_bad_page()), EFAULT);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_INTERRUPT, NULL), EFAULT);
	abi_down(&a);
}

static void set_and_unset_show_in_sip(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_return_code(interrupt(a.vcpu, KVM_INTERRUPT_SET), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0x200);
	assert_return_code(interrupt(a.vcpu, KVM_INTERRUPT_SET), errno);
	assert_return_code(interrupt(a.vcpu, KVM_INTERRUPT_UNSET), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0);
	/* Any other number lowers the line, as the kernel has it. */
	assert_return_code(interrupt(a.vcpu, KVM_INTERRUPT_SET), errno);
	assert_return_code(interrupt(a.vcpu, 5), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0);
	abi_down(&a);
}

static void the_guest_takes_an_external_interrupt(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, J_SELF);
	{
		const u32 handler[] = { CSRR(A0, 0x142), DONE(T0) };

		memcpy(a.ram + 0x1000, handler, sizeof(handler));
	}
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x1000), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sie), 0x200), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sstatus), 2), errno);
	assert_return_code(interrupt(a.vcpu, KVM_INTERRUPT_SET), errno);
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0x8000000000000009);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sepc)), ABI_RAM);
	abi_down(&a);
}

static void *run(void *arg)
{
	abi_run_done(arg);
	return NULL;
}

static void an_interrupt_wakes_a_sleeping_guest(void **state)
{
	struct abi a;
	pthread_t t;

	abi_up(&a);
	for (int i = 0; i < 100; i++) {
		abi_guest(&a, LI(T0, 0x200), CSRW(0x104, T0), WFI, DONE(T1));
		assert_int_equal(pthread_create(&t, NULL, run, &a), 0);
		if (i & 1)
			usleep(i * 20);
		assert_return_code(interrupt(a.vcpu, KVM_INTERRUPT_SET), errno);
		pthread_join(t, NULL);
		assert_return_code(interrupt(a.vcpu, KVM_INTERRUPT_UNSET), errno);
	}
	abi_down(&a);
}

static void the_timer_wakes_a_sleeping_guest(void **state)
{
	struct abi a;
	u64 before;

	abi_up(&a);
	before = abi_reg(a.vcpu, REG_TIMER(time));
	assert_return_code(abi_set(a.vcpu, REG_TIMER(compare), before + 200000), errno);
	abi_guest(&a, LI(T0, 0x20), CSRW(0x104, T0), WFI, CSRR(A0, 0x144), DONE(T1));
	abi_run_done(&a);
	assert_true(abi_reg(a.vcpu, REG_TIMER(time)) >= before + 200000);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)) & 0x20, 0x20);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_pointer_is_efault),
		cmocka_unit_test(set_and_unset_show_in_sip),
		cmocka_unit_test(the_guest_takes_an_external_interrupt),
		cmocka_unit_test(an_interrupt_wakes_a_sleeping_guest),
		cmocka_unit_test(the_timer_wakes_a_sleeping_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
