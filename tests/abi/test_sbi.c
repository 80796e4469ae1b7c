/* SPDX-License-Identifier: MIT */
/* The SBI as a guest sees it: what KVM answers itself, what goes to user space */
#include <pthread.h>

#include "abi.h"

enum { OK = 0, NOT_SUPPORTED = -2, INVALID_PARAM = -3, INVALID_ADDRESS = -5, ALREADY_AVAILABLE = -6,
       DENIED = -4, DENIED_LOCKED = -14 };

#define EXT_TIME 0x54494d45
#define EXT_IPI 0x735049
#define EXT_RFENCE 0x52464e43
#define EXT_HSM 0x48534d
#define EXT_SRST 0x53525354
#define EXT_PMU 0x504d55
#define EXT_DBCN 0x4442434e
#define EXT_STA 0x535441
#define EXT_SUSP 0x53555350
#define EXT_FWFT 0x46574654
#define EXT_MPXY 0x4d505859

struct ret {
	s64 error;
	u64 value;
};

/* An ecall with the registers set from here; its two results. Ends at a device store. */
static void ecall_setup(struct abi *a, u64 ext, u64 fn, u64 a0, u64 a1, u64 a2, u64 a3)
{
	abi_guest(a, ECALL, DONE(T0));
	abi_set(a->vcpu, REG_CORE(regs.a7), ext);
	abi_set(a->vcpu, REG_CORE(regs.a6), fn);
	abi_set(a->vcpu, REG_CORE(regs.a0), a0);
	abi_set(a->vcpu, REG_CORE(regs.a1), a1);
	abi_set(a->vcpu, REG_CORE(regs.a2), a2);
	abi_set(a->vcpu, REG_CORE(regs.a3), a3);
}

static struct ret ecall(struct abi *a, u64 ext, u64 fn, u64 a0, u64 a1, u64 a2, u64 a3)
{
	ecall_setup(a, ext, fn, a0, a1, a2, a3);
	abi_run_done(a);
	return (struct ret){ abi_reg(a->vcpu, REG_CORE(regs.a0)),
			     abi_reg(a->vcpu, REG_CORE(regs.a1)) };
}

static void the_base_extension_says_who_it_is(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_set(a.vcpu, REG_CONFIG(mvendorid), 0x77);
	assert_int_equal(ecall(&a, 0x10, 0, 0, 0, 0, 0).value, 0x03000000);
	assert_int_equal(ecall(&a, 0x10, 1, 0, 0, 0, 0).value, 3);
	assert_int_equal(ecall(&a, 0x10, 2, 0, 0, 0, 0).value, 0x070000);
	assert_int_equal(ecall(&a, 0x10, 4, 0, 0, 0, 0).value, 0x77);
	assert_int_equal(ecall(&a, 0x10, 7, 0, 0, 0, 0).error, NOT_SUPPORTED);
	abi_down(&a);
}

static void probe_answers_for_each_extension(void **state)
{
	static const struct {
		u64 id;
		u64 there;
	} cases[] = {
		{ 0x10, 1 }, { EXT_TIME, 1 }, { EXT_IPI, 1 }, { EXT_RFENCE, 1 }, { EXT_HSM, 1 },
		{ EXT_SRST, 1 }, { EXT_STA, 1 }, { EXT_DBCN, 0 }, { 0x123456, 0 },
		{ EXT_FWFT, 1 }, { EXT_SUSP, 0 }, { EXT_MPXY, 0 }, { 0, 1 }, { 9, 0 },
	};
	struct abi a;

	abi_up(&a);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(ecall(&a, 0x10, 3, cases[i].id, 0, 0, 0).value, cases[i].there);
	/* The vendor's own is asked of user space. */
	ecall_setup(&a, 0x10, 3, 0x09000001, 0, 0, 0);
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_SBI);
	assert_int_equal(a.run->riscv_sbi.extension_id, 0x10);
	abi_down(&a);
}

static void unknown_and_disabled_calls_are_not_supported(void **state)
{
	struct abi a;
	struct ret r;

	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_TIME), 0), errno);
	r = ecall(&a, 0x424242, 0, 5, 6, 7, 8);
	assert_int_equal(r.error, NOT_SUPPORTED);
	assert_int_equal(r.value, 0);
	assert_int_equal(ecall(&a, EXT_TIME, 0, 1, 0, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_IPI, 1, 1, 0, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_RFENCE, 3, 1, 0, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_HSM, 4, 0, 0, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_SRST, 0, 3, 0, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_DBCN, 0, 0, 0, 0, 0).error, NOT_SUPPORTED);
	abi_down(&a);
}

static void the_debug_console_goes_to_user_space_when_enabled(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_DBCN), 1), errno);
	for (u64 fn = 0; fn < 3; fn++) {
		ecall_setup(&a, EXT_DBCN, fn, 5, ABI_RAM, 0, 0);
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_SBI);
		assert_int_equal(a.run->riscv_sbi.extension_id, EXT_DBCN);
		assert_int_equal(a.run->riscv_sbi.function_id, fn);
		a.run->riscv_sbi.ret[0] = 0;
		a.run->riscv_sbi.ret[1] = 5;
		abi_run_done(&a);
	}
	assert_int_equal(ecall(&a, EXT_DBCN, 3, 0, 0, 0, 0).error, NOT_SUPPORTED);
	abi_down(&a);
}

static void message_proxies_go_to_user_space_when_enabled(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(ecall(&a, EXT_MPXY, 1, 2, 3, 0, 0).error, NOT_SUPPORTED);
	abi_down(&a);
	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_MPXY), 1), errno);
	ecall_setup(&a, EXT_MPXY, 77, 5, 6, 0, 0);
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_SBI);
	assert_int_equal(a.run->riscv_sbi.extension_id, EXT_MPXY);
	assert_int_equal(a.run->riscv_sbi.function_id, 77);
	assert_int_equal(a.run->riscv_sbi.args[1], 6);
	abi_down(&a);
}

/* Features 1 to 5 need extensions that are not there; beyond, nothing is named. */
static void firmware_features_answer_and_lock(void **state)
{
	struct abi a;

	abi_up(&a);
	for (u64 f = 1; f < 6; f++) {
		assert_int_equal(ecall(&a, EXT_FWFT, 0, f, 0, 0, 0).error, NOT_SUPPORTED);
		assert_int_equal(ecall(&a, EXT_FWFT, 1, f, 0, 0, 0).error, NOT_SUPPORTED);
	}
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 6, 0, 0, 0).error, DENIED);
	assert_int_equal(ecall(&a, EXT_FWFT, 1, 0xc0000000, 0, 0, 0).error, DENIED);
	assert_int_equal(ecall(&a, EXT_FWFT, 2, 0, 0, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 0, 2, 0, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 0, 1, 2, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_FWFT, 1, 0, 0, 0, 0).value, 0);
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 0, 1, 0, 0).error, OK);
	assert_int_equal(ecall(&a, EXT_FWFT, 1, 0, 0, 0, 0).value, 1);
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 0, 0, 1, 0).error, OK);
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 0, 1, 0, 0).error, DENIED_LOCKED);
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 0, 1, 2, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_FWFT, 1, 0, 0, 0, 0).value, 0);
	assert_int_equal(abi_reg(a.vcpu, REG_FWFT(misaligned_deleg.flags)), 1);
	/* A feature that user space withdraws. */
	assert_return_code(abi_set(a.vcpu, REG_FWFT(misaligned_deleg.enable), 0), errno);
	assert_int_equal(ecall(&a, EXT_FWFT, 0, 0, 1, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_FWFT, 1, 0, 0, 0, 0).error, NOT_SUPPORTED);
	abi_down(&a);
}

static void a_suspended_machine_goes_on_where_it_said(void **state)
{
	const u32 code[] = { DONE(T0) };
	struct kvm_mp_state stopped = { .mp_state = KVM_MP_STATE_STOPPED },
			    runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct abi a;
	int other;

	abi_up(&a);
	assert_int_equal(ecall(&a, EXT_SUSP, 0, 0, ABI_RAM, 0, 0).error, NOT_SUPPORTED);
	abi_down(&a);

	abi_up(&a);
	other = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1);
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_SUSP), 1), errno);
	memcpy(a.ram + 0x2000, code, sizeof(code));
	assert_int_equal(ecall(&a, EXT_SUSP, 1, 0, ABI_RAM + 0x2000, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_SUSP, 0, 1, ABI_RAM + 0x2000, 0, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_SUSP, 0, 0x80000000, ABI_RAM, 0, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_SUSP, 0, 0, ABI_DEVICE, 0, 0).error, INVALID_ADDRESS);
	/* Every other hart must be stopped. */
	assert_return_code(softvirt_ioctl(other, KVM_SET_MP_STATE, &runnable), errno);
	assert_int_equal(ecall(&a, EXT_SUSP, 0, 0, ABI_RAM + 0x2000, 0, 0).error, DENIED);
	assert_return_code(softvirt_ioctl(other, KVM_SET_MP_STATE, &stopped), errno);

	for (int read_first = 0; read_first < 2; read_first++) {
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.s0), 0x33), errno);
		assert_return_code(abi_set(a.vcpu, REG_CSR(sscratch), 0x44), errno);
		ecall_setup(&a, EXT_SUSP, 0, 0, ABI_RAM + 0x2000, 0x77, 0);
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_RISCV_SBI);
		assert_int_equal(a.run->riscv_sbi.extension_id, EXT_SUSP);
		assert_int_equal(a.run->riscv_sbi.function_id, 0);
		assert_int_equal(a.run->riscv_sbi.args[1], ABI_RAM + 0x2000);
		/* Who reads registers meanwhile sees the hart that will wake. */
		if (read_first)
			assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc)), ABI_RAM + 0x2000);
		a.run->riscv_sbi.ret[0] = 0;
		abi_run_done(&a);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 0x77);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.s0)), 0);
		assert_int_equal(abi_reg(a.vcpu, REG_CSR(sscratch)), 0);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(mode)), KVM_RISCV_MODE_S);
	}
	softvirt_close(other);
	abi_down(&a);
}

static void set_timer_is_compare(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(ecall(&a, EXT_TIME, 0, 1ull << 50, 0, 0, 0).error, OK);
	assert_int_equal(abi_reg(a.vcpu, REG_TIMER(compare)), 1ull << 50);
	assert_int_equal(ecall(&a, 0, 0, 1ull << 51, 9, 0, 0).value, 9);	/* legacy: a1 stays */
	assert_int_equal(abi_reg(a.vcpu, REG_TIMER(compare)), 1ull << 51);
	abi_down(&a);
}

static void ipis_reach_the_harts_of_the_mask(void **state)
{
	struct abi a;
	int other;

	abi_up(&a);
	other = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 66);
	assert_int_equal(ecall(&a, EXT_IPI, 0, 1 << 2, 64, 0, 0).error, OK);
	assert_int_equal(abi_reg(other, REG_CSR(sip)), 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0);
	assert_int_equal(ecall(&a, EXT_IPI, 0, 1, 0, 0, 0).error, OK);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 2);
	/* A hart that is not there: an error, after the others. */
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), 0), errno);
	assert_int_equal(ecall(&a, EXT_IPI, 0, 3, 0, 0, 0).error, INVALID_PARAM);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 2);
	/* All of them. */
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), 0), errno);
	assert_return_code(abi_set(other, REG_CSR(sip), 0), errno);
	assert_int_equal(ecall(&a, EXT_IPI, 0, 0, ~0ull, 0, 0).error, OK);
	assert_int_equal(abi_reg(other, REG_CSR(sip)), 2);
	softvirt_close(other);
	abi_down(&a);
}

static void fences_return(void **state)
{
	struct abi a;

	abi_up(&a);
	for (u64 fn = 0; fn < 3; fn++) {
		assert_int_equal(ecall(&a, EXT_RFENCE, fn, 1, 0, 0, 0).error, OK);
		assert_int_equal(ecall(&a, EXT_RFENCE, fn, 0, ~0ull, 0x1000, 0x1000).error, OK);
	}
	abi_down(&a);
}

static void *run_other(void *arg)
{
	abi_run_done(arg);
	return NULL;
}

static void a_hart_is_started_where_the_guest_says(void **state)
{
	struct abi a, b;
	pthread_t t;
	const u32 code[] = { DONE(T0) };

	abi_up(&a);
	b = a;
	b.vcpu = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 3);
	b.run = abi_map_run(b.vcpu);
	memcpy(a.ram + 0x2000, code, sizeof(code));
	assert_int_equal(ecall(&a, EXT_HSM, 2, 3, 0, 0, 0).value, 1);
	assert_int_equal(ecall(&a, EXT_HSM, 2, 0, 0, 0, 0).value, 0);
	assert_int_equal(ecall(&a, EXT_HSM, 2, 4, 0, 0, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_HSM, 0, 4, ABI_RAM, 0, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_HSM, 0, 0, ABI_RAM, 0, 0).error, ALREADY_AVAILABLE);
	/* It sleeps in KVM_RUN until then. */
	assert_int_equal(pthread_create(&t, NULL, run_other, &b), 0);
	usleep(2000);
	assert_int_equal(ecall(&a, EXT_HSM, 0, 3, ABI_RAM + 0x2000, 0x99, 0).error, OK);
	pthread_join(t, NULL);
	assert_int_equal(abi_reg(b.vcpu, REG_CORE(regs.a0)), 3);
	assert_int_equal(abi_reg(b.vcpu, REG_CORE(regs.a1)), 0x99);
	assert_int_equal(abi_reg(b.vcpu, REG_CSR(satp)), 0);
	assert_int_equal(ecall(&a, EXT_HSM, 2, 3, 0, 0, 0).value, 0);
	munmap(b.run, ABI_RUN_SIZE);
	softvirt_close(b.vcpu);
	abi_down(&a);
}

static void suspend_takes_two_types(void **state)
{
	struct abi a;

	abi_up(&a);
	/* An interrupt is pending and enabled: it returns at once. */
	assert_return_code(abi_set(a.vcpu, REG_CSR(sie), 0x200), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), 0x200), errno);
	assert_int_equal(ecall(&a, EXT_HSM, 3, 0, 0, 0, 0).error, OK);
	assert_int_equal(ecall(&a, EXT_HSM, 3, 0x80000000, 0, 0, 0).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_HSM, 3, 1, 0, 0, 0).error, INVALID_PARAM);
	abi_down(&a);
}

static void reset_is_a_system_event_and_stops_every_vcpu(void **state)
{
	static const u32 events[] = { KVM_SYSTEM_EVENT_SHUTDOWN, KVM_SYSTEM_EVENT_RESET,
				      KVM_SYSTEM_EVENT_RESET };
	struct kvm_mp_state s;
	struct abi a;

	for (u64 type = 0; type < 3; type++) {
		abi_up(&a);
		ecall_setup(&a, EXT_SRST, 0, type, 0x5, 0, 0);
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
		assert_int_equal(a.run->system_event.type, events[type]);
		assert_int_equal(a.run->system_event.ndata, 1);
		assert_int_equal(a.run->system_event.data[0], 5);
		assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_MP_STATE, &s), errno);
		assert_int_equal(s.mp_state, KVM_MP_STATE_STOPPED);
		abi_down(&a);
	}
	/* And the legacy call. */
	abi_up(&a);
	ecall_setup(&a, 8, 0, 0, 0, 0, 0);
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->system_event.type, KVM_SYSTEM_EVENT_SHUTDOWN);
	abi_down(&a);
}

static void legacy_masks_are_read_through_the_guests_eyes(void **state)
{
	struct abi a;
	const u32 handler[] = { CSRR(A2, 0x142), CSRR(A3, 0x143), DONE(T0) };

	abi_up(&a);
	a.ram[0x3000] = 1;
	assert_int_equal(ecall(&a, 4, 0, ABI_RAM + 0x3000, 0, 0, 0).error, OK);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 2);
	assert_int_equal(ecall(&a, 3, 0, 0, 0, 0, 0).error, OK);	/* clear */
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0);
	assert_int_equal(ecall(&a, 4, 0, 0, 0, 0, 0).error, OK);	/* 0: all */
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 2);
	/* Where no memory is: the guest's page fault. */
	memcpy(a.ram + 0x1000, handler, sizeof(handler));
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x1000), errno);
	ecall(&a, 5, 0, 0x40, 0, 0, 0);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), 13);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a3)), 0x40);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sepc)), ABI_RAM);
	abi_down(&a);
}

/* The firmware's are numbers 11 to 42; the hardware's are in test_pmu.c. */
static void firmware_counters_count(void **state)
{
	struct abi a;
	struct ret r;
	const u64 timer_event = 15 << 16 | 5;

	abi_up(&a);
	assert_int_equal(ecall(&a, EXT_PMU, 0, 0, 0, 0, 0).value, 43);
	assert_int_equal(ecall(&a, EXT_PMU, 1, 42, 0, 0, 0).value, 1ull << 63);
	assert_int_equal(ecall(&a, EXT_PMU, 1, 43, 0, 0, 0).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_PMU, 2, 42, 3, 0, timer_event).error, INVALID_PARAM);
	assert_int_equal(ecall(&a, EXT_PMU, 2, 0, 0xff, 0, 3).error, NOT_SUPPORTED);
	assert_int_equal(ecall(&a, EXT_PMU, 5, 14, 0, 0, 0).value, 0);	/* counts nothing */
	assert_int_equal(ecall(&a, EXT_PMU, 5, 3, 0, 0, 0).error, INVALID_PARAM);
	r = ecall(&a, EXT_PMU, 2, 14, 0xf, 0, timer_event);
	assert_int_equal(r.error, OK);
	assert_int_equal(r.value, 14);
	assert_int_equal(ecall(&a, EXT_PMU, 3, 14, 1, 1, 100).error, OK);
	assert_int_equal(ecall(&a, EXT_PMU, 3, 14, 1, 0, 0).error, -7);
	for (int i = 0; i < 3; i++)
		ecall(&a, EXT_TIME, 0, ~0ull, 0, 0, 0);
	assert_int_equal(ecall(&a, EXT_PMU, 5, 14, 0, 0, 0).value, 103);
	assert_int_equal(ecall(&a, EXT_PMU, 4, 14, 1, 1, 0).error, OK);
	assert_int_equal(ecall(&a, EXT_PMU, 3, 14, 1, 0, 0).error, INVALID_PARAM);	/* given back */
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_base_extension_says_who_it_is),
		cmocka_unit_test(probe_answers_for_each_extension),
		cmocka_unit_test(unknown_and_disabled_calls_are_not_supported),
		cmocka_unit_test(the_debug_console_goes_to_user_space_when_enabled),
		cmocka_unit_test(message_proxies_go_to_user_space_when_enabled),
		cmocka_unit_test(firmware_features_answer_and_lock),
		cmocka_unit_test(a_suspended_machine_goes_on_where_it_said),
		cmocka_unit_test(set_timer_is_compare),
		cmocka_unit_test(ipis_reach_the_harts_of_the_mask),
		cmocka_unit_test(fences_return),
		cmocka_unit_test(a_hart_is_started_where_the_guest_says),
		cmocka_unit_test(suspend_takes_two_types),
		cmocka_unit_test(reset_is_a_system_event_and_stops_every_vcpu),
		cmocka_unit_test(legacy_masks_are_read_through_the_guests_eyes),
		cmocka_unit_test(firmware_counters_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
