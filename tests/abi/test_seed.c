/* SPDX-License-Identifier: MIT */
/* KVM_EXIT_RISCV_CSR: Zkr's entropy source, which user space answers */
#include "abi.h"

#define CSR_SEED 0x015
#define CSRRW(rd, csr, rs) i_type(0x73, 1, rd, rs, (s32)(csr))
#define CSRRS(rd, csr, rs) i_type(0x73, 2, rd, rs, (s32)(csr))
#define CSRRCI(rd, csr, imm) i_type(0x73, 7, rd, imm, (s32)(csr))

static void a_write_exits_with_value_and_mask(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, LI(A1, 0x123), CSRRW(A0, CSR_SEED, A1), CSRRS(A2, CSR_SEED, A1),
		  CSRRCI(A3, CSR_SEED, 5), CSRRW(X0, CSR_SEED, X0), DONE(T0));
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_CSR);
	assert_int_equal(a.run->riscv_csr.csr_num, CSR_SEED);
	assert_int_equal(a.run->riscv_csr.new_value, 0x123);
	assert_int_equal(a.run->riscv_csr.write_mask, ~0ul);
	assert_int_equal(a.run->riscv_csr.ret_value, 0);
	a.run->riscv_csr.ret_value = 0x8000abcd;
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_CSR);
	assert_int_equal(a.run->riscv_csr.new_value, ~0ul);
	assert_int_equal(a.run->riscv_csr.write_mask, 0x123);
	a.run->riscv_csr.ret_value = 2;
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_CSR);
	assert_int_equal(a.run->riscv_csr.new_value, 0);
	assert_int_equal(a.run->riscv_csr.write_mask, 5);
	a.run->riscv_csr.ret_value = 3;
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_CSR);
	a.run->riscv_csr.ret_value = 4;		/* to x0 */
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0x8000abcd);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a3)), 3);
	abi_down(&a);
}

static void immediate_exit_takes_the_answer_first(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, CSRRW(A0, CSR_SEED, X0), DONE(T0));
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_CSR);
	a.run->riscv_csr.ret_value = 77;
	a.run->immediate_exit = 1;
	assert_errno(softvirt_ioctl(a.vcpu, KVM_RUN, 0), EINTR);
	a.run->immediate_exit = 0;
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 77);
	a.run->riscv_csr.ret_value = 78;
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 77);
	abi_down(&a);
}

static void a_read_alone_is_illegal(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, CSRR(A0, CSR_SEED), J_SELF);
	{
		const u32 handler[] = { CSRR(A0, 0x142), CSRR(A1, 0x143), DONE(T0) };

		memcpy(a.ram + 0x1000, handler, sizeof(handler));
	}
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x1000), errno);
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), CSRR(A0, CSR_SEED));
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_exits_with_value_and_mask),
		cmocka_unit_test(immediate_exit_takes_the_answer_first),
		cmocka_unit_test(a_read_alone_is_illegal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
