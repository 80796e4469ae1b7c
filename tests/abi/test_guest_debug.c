/* SPDX-License-Identifier: MIT */
/* KVM_SET_GUEST_DEBUG */
#include "abi.h"

static int debug(int vcpu, unsigned long cmd, u32 control)
{
	struct kvm_guest_debug d = { .control = control };

	return softvirt_ioctl(vcpu, cmd, &d);
}

static void a_bad_pointer_is_efault(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_SET_GUEST_DEBUG, abi_bad_page()), EFAULT);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_RISCV_SET_GUEST_DEBUG, abi_bad_page()), EFAULT);
	abi_down(&a);
}

/* The host's number and RISC-V's: both mean the same. */
static void ebreak_exits_only_while_enabled(void **state)
{
	static const unsigned long cmds[] = { KVM_SET_GUEST_DEBUG, KVM_RISCV_SET_GUEST_DEBUG };
	struct abi a;

	for (size_t i = 0; i < ARRAY_SIZE(cmds); i++) {
		const u32 handler[] = { CSRR(A0, 0x142), DONE(T0) };

		abi_up(&a);
		abi_guest(&a, LI(A1, 1), EBREAK, LI(A1, 2), DONE(T0));
		memcpy(a.ram + 0x1000, handler, sizeof(handler));
		assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x1000), errno);
		assert_return_code(debug(a.vcpu, cmds[i], KVM_GUESTDBG_ENABLE), errno);
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_DEBUG);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc)), ABI_RAM + 4);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 1);
		/* Off: the guest's own exception. */
		assert_return_code(debug(a.vcpu, cmds[i], 0), errno);
		abi_run_done(&a);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 3);
		abi_down(&a);
	}
}

static void single_step_stops_after_each_instruction(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, LI(A1, 1), LI(A1, 2), LI(A1, 3), DONE(T0));
	assert_return_code(debug(a.vcpu, KVM_SET_GUEST_DEBUG,
				 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP), errno);
	for (u64 i = 1; i <= 3; i++) {
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_DEBUG);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), i);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc)), ABI_RAM + 4 * i);
	}
	assert_return_code(debug(a.vcpu, KVM_SET_GUEST_DEBUG, 0), errno);
	abi_run_done(&a);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_pointer_is_efault),
		cmocka_unit_test(ebreak_exits_only_while_enabled),
		cmocka_unit_test(single_step_stops_after_each_instruction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
