/* SPDX-License-Identifier: MIT */
/* SBI PMU: hardware counters by their CSRs, firmware counters, snapshots. */
#include "abi.h"

enum { NUM_COUNTERS, INFO, MATCH, START, STOP, FW_READ, FW_READ_HI, SNAPSHOT };
enum { NOT_SUPPORTED = -2, INVALID_PARAM = -3, INVALID_ADDRESS = -5, ALREADY_STARTED = -7,
       ALREADY_STOPPED = -8, NO_SHMEM = -9 };
#define FIRST_HW 3
#define FIRST_FW 11
#define NR 43
#define HPMCOUNTER(n) (0xc00 + (n))
#define EVENT_CYCLES 1
#define EVENT_INSTRUCTIONS 2
#define EVENT_SET_TIMER 0xf0005
#define SHARED (ABI_RAM + 0x8000)

static struct abi a;

/* One ecall by the guest; returns a0, *value is a1. */
static s64 pmu(u64 fn, u64 a0, u64 a1, u64 a2, u64 a3, u64 *value)
{
	const u64 args[] = { a0, a1, a2, a3 };
	u64 dummy;

	abi_guest(&a, ECALL, DONE(T0));
	for (unsigned int i = 0; i < ARRAY_SIZE(args); i++)
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a0) + i, args[i]), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a6), fn), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a7), 0x504d55), errno);
	abi_run_done(&a);
	*(value ? value : &dummy) = abi_reg(a.vcpu, REG_CORE(regs.a1));
	return abi_reg(a.vcpu, REG_CORE(regs.a0));
}

/* A counter's CSR into *val. False: the guest took an illegal instruction. */
static bool read_csr(unsigned int csr, u64 *val)
{
	u32 *handler = (u32 *)(a.ram + 0x100);
	const u32 h[] = { LI(A1, 1), DONE(T0) };

	memcpy(handler, h, sizeof(h));
	abi_guest(&a, LI(A1, 0), CSRR(A0, csr), DONE(T0));
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x100), errno);
	abi_run_done(&a);
	*val = abi_reg(a.vcpu, REG_CORE(regs.a0));
	return !abi_reg(a.vcpu, REG_CORE(regs.a1));
}

/* The guest executes n instructions and some. */
static void spin(unsigned int n)
{
	abi_guest(&a, ADDI(T1, T1, -1), 0xfe031ee3 /* bnez t1, -4 */, DONE(T0));
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.t1), n / 2), errno);
	abi_run_done(&a);
}

static void counters_have_gaps_kinds_and_csrs(void **state)
{
	u64 v;

	abi_up(&a);
	assert_int_equal(pmu(NUM_COUNTERS, 0, 0, 0, 0, &v), 0);
	assert_int_equal(v, NR);
	for (unsigned int i = 0; i < 70; i++) {
		s64 err = pmu(INFO, i, 0, 0, 0, &v);

		if (i < FIRST_HW || i >= NR) {
			assert_int_equal(err, INVALID_PARAM);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(v >> 63, i >= FIRST_FW);
		if (i < FIRST_FW)
			assert_int_equal(v, 63ull << 12 | HPMCOUNTER(i));
	}
	abi_down(&a);
}

static void a_counter_exists_once_it_is_configured(void **state)
{
	u64 v, n;

	abi_up(&a);
	assert_true(read_csr(HPMCOUNTER(0), &v));	/* cycle and instret always do */
	assert_true(read_csr(HPMCOUNTER(2), &v));
	for (unsigned int i = 3; i < 32; i++)
		assert_false(read_csr(HPMCOUNTER(i), &v));
	assert_int_equal(pmu(MATCH, 0, ~0ull >> 20, 0, EVENT_CYCLES, &n), INVALID_PARAM);
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, EVENT_CYCLES, &n), 0);
	assert_int_equal(n, FIRST_HW);
	assert_true(read_csr(HPMCOUNTER(n), &v));
	assert_int_equal(v, 0);
	assert_int_equal(pmu(STOP, n, 1, 1, 0, NULL), ALREADY_STOPPED);	/* and gives it back */
	assert_false(read_csr(HPMCOUNTER(n), &v));
	abi_down(&a);
}

static void counters_count_what_the_guest_executes(void **state)
{
	u64 v, n, w;

	abi_up(&a);
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, EVENT_INSTRUCTIONS, &n), 0);
	spin(5000);
	assert_true(read_csr(HPMCOUNTER(n), &v));
	assert_int_equal(v, 0);		/* not started */
	assert_int_equal(pmu(START, n, 1, 1, 1000000, NULL), 0);
	assert_int_equal(pmu(START, n, 1, 1, 0, NULL), ALREADY_STARTED);
	spin(5000);
	assert_int_equal(pmu(STOP, n, 1, 0, 0, NULL), 0);
	assert_true(read_csr(HPMCOUNTER(n), &v));
	assert_in_range(v, 1005000, 1005100);
	spin(5000);
	assert_true(read_csr(HPMCOUNTER(n), &w));
	assert_int_equal(v, w);
	assert_int_equal(pmu(START, n, 1, 0, 0, NULL), 0);	/* goes on from there */
	spin(5000);
	assert_true(read_csr(HPMCOUNTER(n), &w));
	assert_in_range(w - v, 5000, 5100);
	abi_down(&a);
}

static void what_cannot_be_counted_is_refused(void **state)
{
	u64 n;

	abi_up(&a);
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, 0x1234, &n), NOT_SUPPORTED);
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, 0x20001, &n), NOT_SUPPORTED);
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0x100, EVENT_CYCLES, &n), INVALID_PARAM);
	assert_int_equal(pmu(MATCH, 0, 0, 0, EVENT_CYCLES, &n), INVALID_PARAM);
	assert_int_equal(pmu(MATCH, ~0ull, 1, 0, EVENT_CYCLES, &n), INVALID_PARAM);
	assert_int_equal(pmu(MATCH, 0, 7, 0, EVENT_CYCLES, &n), NOT_SUPPORTED);	/* the gaps */
	assert_int_equal(pmu(MATCH, FIRST_FW, 1, 0, EVENT_CYCLES, &n), NOT_SUPPORTED);
	assert_int_equal(pmu(MATCH, FIRST_HW, 1, 0, EVENT_SET_TIMER, &n), NOT_SUPPORTED);
	for (int i = FIRST_HW; i < FIRST_FW; i++)
		assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, EVENT_CYCLES, &n), 0);
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, EVENT_CYCLES, &n), NOT_SUPPORTED);
	assert_int_equal(pmu(START, 20, 1, 0, 0, NULL), INVALID_PARAM);	/* not configured */
	assert_int_equal(pmu(START, 3, 1, 3, 0, NULL), INVALID_PARAM);	/* both beginnings */
	assert_int_equal(pmu(STOP, 3, 1, 4, 0, NULL), INVALID_PARAM);
	assert_int_equal(pmu(FW_READ, 3, 0, 0, 0, NULL), INVALID_PARAM);
	assert_int_equal(pmu(FW_READ, NR, 0, 0, 0, NULL), INVALID_PARAM);
	assert_int_equal(pmu(8, 0, 0, 0, 0, NULL), NOT_SUPPORTED);
	abi_down(&a);
}

static void a_firmware_counter_counts_timers(void **state)
{
	u64 n, v;

	abi_up(&a);
	assert_int_equal(pmu(FW_READ, FIRST_FW, 0, 0, 0, &v), 0);	/* counts nothing yet */
	assert_int_equal(v, 0);
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 6, EVENT_SET_TIMER, &n), 0);
	assert_int_equal(n, FIRST_FW);
	for (int i = 0; i < 3; i++) {
		abi_guest(&a, LI(A0, -1), ECALL, DONE(T0));
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a6), 0), errno);
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a7), 0x54494d45), errno);
		abi_run_done(&a);
	}
	assert_int_equal(pmu(FW_READ, n, 0, 0, 0, &v), 0);
	assert_int_equal(v, 3);
	abi_down(&a);
}

static void snapshots_go_to_and_come_from_guest_memory(void **state)
{
	u64 *shared, n;

	abi_up(&a);
	shared = (u64 *)(a.ram + (SHARED - ABI_RAM));
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, EVENT_CYCLES, &n), 0);
	assert_int_equal(pmu(STOP, n, 1, 2, 0, NULL), NO_SHMEM);
	assert_int_equal(pmu(START, n, 1, 2, 0, NULL), NO_SHMEM);
	assert_int_equal(pmu(SNAPSHOT, SHARED + 64, 0, 0, 0, NULL), INVALID_PARAM);
	assert_int_equal(pmu(SNAPSHOT, SHARED, 0, 1, 0, NULL), INVALID_PARAM);
	assert_int_equal(pmu(SNAPSHOT, SHARED, 1, 0, 0, NULL), INVALID_ADDRESS);
	assert_int_equal(pmu(SNAPSHOT, ABI_DEVICE, 0, 0, 0, NULL), INVALID_ADDRESS);

	memset(shared, 0xff, 4096);
	assert_int_equal(pmu(SNAPSHOT, SHARED, 0, 0, 0, NULL), 0);
	for (int i = 0; i < 512; i++)
		assert_int_equal(shared[i], 0);
	shared[1] = 700000;		/* the values are numbered from the call's base */
	assert_int_equal(pmu(START, n, 1, 2, 0, NULL), 0);
	spin(5000);
	assert_int_equal(pmu(STOP, n, 1, 2, 0, NULL), 0);
	assert_int_equal(shared[0], 0);
	assert_in_range(shared[1], 705000, 705100);
	assert_int_equal(shared[2], 0);

	/* The slot goes away: an error for the guest, nothing else. */
	assert_return_code(abi_region(a.vm, 1, 0, 0x70000000, 4096, abi_memory(4096)), errno);
	assert_int_equal(pmu(SNAPSHOT, 0x70000000, 0, 0, 0, NULL), 0);
	assert_return_code(abi_region(a.vm, 1, 0, 0x70000000, 0, NULL), errno);
	assert_int_equal(pmu(START, n, 1, 2, 0, NULL), -1);
	assert_int_equal(pmu(SNAPSHOT, ~0ull, ~0ull, 0, 0, NULL), 0);
	assert_int_equal(pmu(START, n, 1, 2, 0, NULL), NO_SHMEM);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_have_gaps_kinds_and_csrs),
		cmocka_unit_test(a_counter_exists_once_it_is_configured),
		cmocka_unit_test(counters_count_what_the_guest_executes),
		cmocka_unit_test(what_cannot_be_counted_is_refused),
		cmocka_unit_test(a_firmware_counter_counts_timers),
		cmocka_unit_test(snapshots_go_to_and_come_from_guest_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
