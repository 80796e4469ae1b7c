/* SPDX-License-Identifier: MIT */
/* KVM_RUN: exits, immediate_exit, who may run */
#include <pthread.h>
#include <sys/wait.h>

#include "abi.h"

static void an_argument_is_einval(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_RUN, 1), EINVAL);
	abi_down(&a);
}

static void loads_of_each_width_get_what_user_space_says(void **state)
{
	static const struct {
		u32 f3, len;
		u64 want;
	} cases[] = {
		{ 0, 1, 0xffffffffffffff88 }, { 1, 2, 0xffffffffffff8788 },
		{ 2, 4, 0xffffffff85868788 }, { 3, 8, 0x8182838485868788 },
		{ 4, 1, 0x88 }, { 5, 2, 0x8788 }, { 6, 4, 0x85868788 },
	};
	struct abi a;
	u64 data = 0x8182838485868788;

	abi_up(&a);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), i_type(0x03, cases[i].f3, A0, T0, 16),
			  DONE(T0));
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
		assert_int_equal(a.run->mmio.phys_addr, ABI_DEVICE + 16);
		assert_int_equal(a.run->mmio.len, cases[i].len);
		assert_int_equal(a.run->mmio.is_write, 0);
		memcpy(a.run->mmio.data, &data, 8);
		abi_run_done(&a);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), cases[i].want);
	}
	abi_down(&a);
}

static void stores_of_each_width_show_their_bytes(void **state)
{
	struct abi a;
	u64 value = 0x1122334455667788, got;

	abi_up(&a);
	for (u32 f3 = 0; f3 < 4; f3++) {
		u32 len = 1u << f3;

		abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), s_type(f3, T0, A0, 8), DONE(T0));
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a0), value), errno);
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
		assert_int_equal(a.run->mmio.phys_addr, ABI_DEVICE + 8);
		assert_int_equal(a.run->mmio.len, len);
		assert_int_equal(a.run->mmio.is_write, 1);
		got = 0;
		memcpy(&got, a.run->mmio.data, len);
		assert_int_equal(got, len == 8 ? value : value & ((1ull << len * 8) - 1));
		abi_run_done(&a);
	}
	abi_down(&a);
}

static void immediate_exit_completes_the_load_and_runs_nothing(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), LBU(A0, T0, 0), LI(A1, 1), DONE(T0));
	assert_return_code(abi_run(&a), errno);
	a.run->mmio.data[0] = 0x42;
	a.run->immediate_exit = 1;
	assert_errno(softvirt_ioctl(a.vcpu, KVM_RUN, 0), EINTR);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0x42);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 0);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc)), ABI_RAM + 8);
	/* And only once: other data is not taken any more. */
	a.run->mmio.data[0] = 0x43;
	assert_errno(softvirt_ioctl(a.vcpu, KVM_RUN, 0), EINTR);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0x42);
	a.run->immediate_exit = 0;
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 1);
	abi_down(&a);
}

static void nonsense_in_the_run_page_harms_nobody(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), LD(A0, T0, 0), DONE(T0));
	assert_return_code(abi_run(&a), errno);
	memset((char *)a.run + 8, 0xff, ABI_RUN_SIZE - 8);
	a.run->exit_reason = KVM_EXIT_MMIO;
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), ~0ull);
	memset(a.run, 0, ABI_RUN_SIZE);
	abi_guest(&a, DONE(T0));
	abi_run_done(&a);
	abi_down(&a);
}

static void an_sbi_call_for_user_space_gets_its_answer(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, LUI(A7, 0x09000), LI(A6, 7), LI(A0, 1), LI(A1, 2), LI(A2, 3), LI(A3, 4),
		  LI(A4, 5), LI(A5, 6), ECALL, DONE(T0));
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_SBI);
	assert_int_equal(a.run->riscv_sbi.extension_id, 0x09000000);
	assert_int_equal(a.run->riscv_sbi.function_id, 7);
	for (int i = 0; i < 6; i++)
		assert_int_equal(a.run->riscv_sbi.args[i], i + 1);
	assert_int_equal((s64)a.run->riscv_sbi.ret[0], -2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc)), ABI_RAM + 8 * 4);
	a.run->riscv_sbi.ret[0] = 0x55;
	a.run->riscv_sbi.ret[1] = 0x66;
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0x55);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 0x66);
	abi_down(&a);
}

static void in_a_forked_child_everything_is_eio(void **state)
{
	struct abi a;
	int status;
	pid_t pid;

	abi_up(&a);
	abi_guest(&a, DONE(T0));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int bad = 0;
		u64 v;

		bad |= softvirt_ioctl(a.vcpu, KVM_RUN, 0) != -1 || errno != EIO;
		bad |= abi_get(a.vcpu, REG_CORE(regs.pc), &v) != -1 || errno != EIO;
		bad |= softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1) != -1 || errno != EIO;
		bad |= softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, 1) != -1 || errno != EIO;
		/* The system descriptor is nobody's: a VM of its own works. */
		bad |= softvirt_ioctl(a.kvm, KVM_GET_API_VERSION, 0) != 12;
		bad |= softvirt_ioctl(a.kvm, KVM_CREATE_VM, 0) < 0;
		softvirt_close(a.vcpu);
		softvirt_close(a.vm);
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	abi_run_done(&a);
	abi_down(&a);
}

static void *second_run(void *arg)
{
	return (void *)(long)abi_run(arg);
}

static void a_second_run_waits_for_the_first(void **state)
{
	struct abi a;
	pthread_t t;
	void *ret;
	u64 value;

	abi_up(&a);
	/* Spins until the word is set, then is done; done again when entered again. */
	abi_guest(&a, LUI(T1, 0x80000), SLLI(T1, T1, 32), i_type(0x13, 5, T1, T1, 32),
		  LW(A1, T1, 0x400), 0xfe058ee3u /* beqz a1, -4 */, DONE(T2), j_back(-8));
	assert_int_equal(pthread_create(&t, NULL, second_run, &a), 0);
	while (__atomic_load_n(&a.run->exit_reason, __ATOMIC_RELAXED) != 0)
		usleep(100);
	usleep(2000);
	__atomic_store_n((u32 *)(a.ram + 0x400), 1, __ATOMIC_SEQ_CST);
	abi_run_done(&a);
	pthread_join(t, &ret);
	assert_int_equal((long)ret, 0);
	assert_return_code(abi_get(a.vcpu, REG_CORE(regs.a1), &value), errno);
	assert_int_equal(value, 1);
	abi_down(&a);
}

static void run_survives_every_failure(void **state)
{
	struct abi a;

	/* The first sleep makes an eventfd: without it the guest still wakes. */
	for (unsigned int n = 1; n < 4; n++) {
		abi_up(&a);
		abi_guest(&a, i_type(0x73, 2, T0, X0, 0xc01) /* rdtime */,
			  LUI(T1, 8), i_type(0x33, 0, T0, T0, T1) /* add t0, t0, t1 */,
			  CSRW(0x14d, T0), LI(T0, 32), CSRW(0x104, T0), WFI, DONE(T2));
		sv_fault_inject(n);
		abi_run_done(&a);
		sv_fault_inject(0);
		abi_down(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_argument_is_einval),
		cmocka_unit_test(loads_of_each_width_get_what_user_space_says),
		cmocka_unit_test(stores_of_each_width_show_their_bytes),
		cmocka_unit_test(immediate_exit_completes_the_load_and_runs_nothing),
		cmocka_unit_test(nonsense_in_the_run_page_harms_nobody),
		cmocka_unit_test(an_sbi_call_for_user_space_gets_its_answer),
		cmocka_unit_test(in_a_forked_child_everything_is_eio),
		cmocka_unit_test(a_second_run_waits_for_the_first),
		cmocka_unit_test(run_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
