/* SPDX-License-Identifier: MIT */
/* SBI PMU: hardware counters by their CSRs, firmware counters, snapshots. */
#include "abi.h"

enum { NUM_COUNTERS, INFO, MATCH, START, STOP, FW_READ, FW_READ_HI, SNAPSHOT, EVENT_INFO };
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
#define LCOFI 13
#define SCOUNTOVF 0xda0

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
	assert_int_equal(pmu(9, 0, 0, 0, 0, NULL), NOT_SUPPORTED);
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

/* --- overflow ---------------------------------------------------------------------------- */

/*
 * The guest enables interrupt 13, and counts to its end in a loop of four instructions of
 * which two are in a second block. The handler notes sepc and how often the loop has run.
 */
#define HANDLER 0x200
enum { BEFORE = 6 };		/* instructions from the start to the loop's first */
static void overflow_guest(s64 left, u64 rounds)
{
	const u32 handler[] = {
		CSRR(A2, 0x142), CSRR(A3, 0x141), ADDI(A4, T1, 0), CSRR(A5, SCOUNTOVF), DONE(T0),
	};
	u64 n;

	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 2, EVENT_INSTRUCTIONS, &n), 0);
	assert_int_equal(n, FIRST_HW);
	memcpy(a.ram + HANDLER, handler, sizeof(handler));
	/* The ecall starts the counter; it retires after that, so it is counted first. */
	abi_guest(&a, ECALL, ADDI(T1, S0, 0), ADDI(T2, X0, 0), LUI(A1, 0), LUI(A1, 0), LUI(A1, 0),
		  /* 1: */ ADDI(T2, T2, 1), 0x0040006f /* j +4 */,
		  ADDI(T1, T1, -1), 0xfe031ae3 /* bnez t1, 1b */, DONE(T0));
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + HANDLER), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sie), BIT(LCOFI)), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), 0), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sstatus), 2), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.s0), rounds), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a7), 0x504d55), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a6), START), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a0), FIRST_HW), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a1), 1), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a2), 1), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a3), -left), errno);
	abi_run_done(&a);
}

static void a_counter_overflows_at_the_very_instruction(void **state)
{
	static const s64 tried[] = { 5, 6, 7, 8, 9, 10, 11, 12, 63, 64, 65, 66, 67, 100, 1001, 4002,
				     40003, 400004, 1000001 };

	for (size_t i = 0; i < ARRAY_SIZE(tried); i++) {
		u64 in_loop = (u64)tried[i] - BEFORE, at;
		u64 v;

		abi_up(&a);
		overflow_guest(tried[i], 1000000);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), BIT(63) | LCOFI);
		/* The interrupted instruction is the one that the count had reached. */
		at = tried[i] < BEFORE ? (u64)tried[i] : BEFORE + in_loop % 4;
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a3)), ABI_RAM + 4 * at);
		if (tried[i] >= BEFORE)
			assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a4)),
					 1000000 - (in_loop + 1) / 4);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a5)), BIT(FIRST_HW));
		assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), BIT(LCOFI));
		/* It goes on from 0. */
		assert_true(read_csr(HPMCOUNTER(FIRST_HW), &v));
		assert_in_range(v, 1, 20);
		abi_down(&a);
	}
}

static void nothing_overflows_that_does_not_get_there(void **state)
{
	abi_up(&a);
	overflow_guest(500000, 1000);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.t1)), 0);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0);
	assert_int_equal(pmu(STOP, FIRST_HW, 1, 0, 0, NULL), 0);
	spin(2000000);		/* stopped */
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0);
	assert_int_equal(pmu(START, FIRST_HW, 1, 1, 0, NULL), 0);
	spin(2000000);		/* a counter at 0 has 2^64 to go */
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0);
	abi_down(&a);
}

static void the_nearest_of_several_overflows_first(void **state)
{
	u64 n, v;

	abi_up(&a);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, EVENT_CYCLES, &n), 0);
		assert_int_equal(pmu(START, n, 1, 1, (u64)-(3000000 - 1000000 * (s64)i), NULL), 0);
	}
	spin(1500000);
	assert_true(read_csr(SCOUNTOVF, &v));
	assert_int_equal(v, BIT(5));
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), BIT(LCOFI));
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), 0), errno);
	spin(1000000);
	assert_true(read_csr(SCOUNTOVF, &v));
	assert_int_equal(v, BIT(5) | BIT(4));
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), BIT(LCOFI));
	assert_int_equal(pmu(STOP, 5, 1, 1, 0, NULL), 0);	/* given back */
	assert_int_equal(pmu(STOP, 4, 1, 0, 0, NULL), 0);	/* stopped: the bit stays */
	assert_true(read_csr(SCOUNTOVF, &v));
	assert_int_equal(v, BIT(4));
	assert_int_equal(pmu(START, 4, 1, 1, 5, NULL), 0);
	assert_true(read_csr(SCOUNTOVF, &v));
	assert_int_equal(v, 0);
	spin(1000000);
	assert_true(read_csr(SCOUNTOVF, &v));
	assert_int_equal(v, BIT(3));
	abi_down(&a);
}

static void a_snapshot_tells_which_overflowed(void **state)
{
	u64 *shared, n;

	abi_up(&a);
	shared = (u64 *)(a.ram + (SHARED - ABI_RAM));
	assert_int_equal(pmu(SNAPSHOT, SHARED, 0, 0, 0, NULL), 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0, EVENT_CYCLES, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(pmu(START, 3, 1, 1, 1000, NULL), 0);
	assert_int_equal(pmu(START, 4, 1, 1, -4000ull, NULL), 0);
	spin(5000);
	assert_int_equal(pmu(STOP, 3, 3, 2, 0, NULL), 0);
	assert_int_equal(shared[0], 2);		/* numbered from the call's base */
	assert_in_range(shared[1], 6000, 6100);
	assert_in_range(shared[2], 1000, 1100);
	/* Given back, it has not overflown any more. */
	assert_int_equal(pmu(STOP, 4, 1, 3, 0, NULL), ALREADY_STOPPED);
	assert_int_equal(shared[0], 0);
	abi_down(&a);
}

/* sie and sip as the guest writes them: 13 can be cleared there, and set. */
static void the_guest_clears_the_interrupt(void **state)
{
	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), BIT(LCOFI) | 2), errno);
	abi_guest(&a, LUI(A1, 2), i_type(0x73, 3, A2, A1, 0x144), CSRR(A3, 0x144),
		  i_type(0x73, 2, A4, A1, 0x144), CSRR(A5, 0x144), CSRW(0x144, X0), CSRR(A6, 0x144),
		  DONE(T0));
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), BIT(LCOFI) | 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a3)), 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a4)), 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a5)), BIT(LCOFI) | 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a6)), 0);
	abi_down(&a);
}

/* In U mode runs "1: addi; addi; j 1b" with a jump out by ecall after some rounds. */
static void inhibited_modes_are_not_counted(void **state)
{
	const u32 handler[] = { DONE(T0) };
	const u32 user[] = {		/* 1: addi t1, t1, -1; bnez t1, 1b; ecall */
		ADDI(T1, T1, -1), 0xfe031ee3, ECALL,
	};
	const struct {
		u64 flags, low, high;
	} cases[] = {
		{ 0, 20005, 20400 }, { 0x20, 5, 400 }, { 0x40, 20000, 20000 }, { 0x60, 0, 0 },
	};
	u64 n, v;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		abi_up(&a);
		memcpy(a.ram + 0x300, handler, sizeof(handler));
		memcpy(a.ram + 0x400, user, sizeof(user));
		assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, cases[i].flags, EVENT_CYCLES, &n), 0);
		assert_int_equal(pmu(START, n, 1, 1, 0, NULL), 0);
		abi_guest(&a, i_type(0x73, 2, X0, X0, 0x144), 0x10200073 /* sret */);
		assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x300), errno);
		assert_return_code(abi_set(a.vcpu, REG_CSR(sepc), ABI_RAM + 0x400), errno);
		assert_return_code(abi_set(a.vcpu, REG_CSR(sstatus), 0), errno);
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.t1), 10000), errno);
		abi_run_done(&a);
		assert_int_equal(abi_reg(a.vcpu, REG_CSR(scause)), 8);
		assert_true(read_csr(HPMCOUNTER(n), &v));
		assert_in_range(v, cases[i].low, cases[i].high);
		abi_down(&a);
	}
}

/* A stop in U mode, to which many short stays in S mode do not bring it nearer. */
static void a_users_counter_overflows_in_user_mode(void **state)
{
	const u32 handler[] = {		/* an ecall goes on behind it; all else is the end */
		CSRR(A2, 0x142), ADDI(A3, A2, -8), 0x00068663 /* beqz a3, +12 */, DONE(T0),
		CSRR(A4, 0x141), ADDI(A4, A4, 4), CSRW(0x141, A4), 0x10200073,
	};
	const u32 user[] = {		/* 1: ecall; addi t1, t1, 1; j 1b */
		ECALL, ADDI(T1, T1, 1), 0xff9ff06f,
	};
	u64 n;

	abi_up(&a);
	memcpy(a.ram + 0x300, handler, sizeof(handler));
	memcpy(a.ram + 0x400, user, sizeof(user));
	assert_int_equal(pmu(MATCH, 0, BIT(NR) - 1, 0x40, EVENT_INSTRUCTIONS, &n), 0);
	assert_int_equal(pmu(START, n, 1, 1, -20001ull, NULL), 0);
	abi_guest(&a, 0x10200073);
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x300), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sepc), ABI_RAM + 0x400), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sstatus), 0), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sie), BIT(LCOFI)), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.t1), 0), errno);
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), BIT(63) | LCOFI);
	/* An ecall does not retire: a round is two instructions. */
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.t1)), 10001);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sepc)), ABI_RAM + 0x408);
	abi_down(&a);
}

static void events_are_told_in_a_table(void **state)
{
	u32 *table;

	abi_up(&a);
	table = (u32 *)(a.ram + (SHARED - ABI_RAM));
	memset(table, 0xee, 64);
	table[0] = EVENT_CYCLES;
	table[4] = 3;			/* cache references: not counted */
	table[8] = EVENT_SET_TIMER;
	table[12] = 0x100001;		/* reserved bits */
	assert_int_equal(pmu(EVENT_INFO, SHARED, 0, 4, 0, NULL), 0);
	assert_int_equal(table[1], 1);
	assert_int_equal(table[5], 0);
	assert_int_equal(table[9], 1);
	assert_int_equal(table[13], 0);
	assert_int_equal(table[16 - 1], 0xeeeeeeee);
	assert_int_equal(pmu(EVENT_INFO, SHARED, 0, 0, 0, NULL), INVALID_PARAM);
	assert_int_equal(pmu(EVENT_INFO, SHARED + 8, 0, 1, 0, NULL), INVALID_PARAM);
	assert_int_equal(pmu(EVENT_INFO, SHARED, 0, 1, 1, NULL), INVALID_PARAM);
	assert_int_equal(pmu(EVENT_INFO, SHARED, 1, 1, 0, NULL), INVALID_ADDRESS);
	assert_int_equal(pmu(EVENT_INFO, ABI_DEVICE, 0, 1, 0, NULL), INVALID_ADDRESS);
	assert_int_equal(pmu(EVENT_INFO, ABI_RAM + ABI_RAM_SIZE - 16, 0, 2, 0, NULL), INVALID_ADDRESS);
	assert_int_equal(pmu(EVENT_INFO, SHARED, 0, ~0ull, 0, NULL), -1);
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
		cmocka_unit_test(a_counter_overflows_at_the_very_instruction),
		cmocka_unit_test(nothing_overflows_that_does_not_get_there),
		cmocka_unit_test(the_nearest_of_several_overflows_first),
		cmocka_unit_test(a_snapshot_tells_which_overflowed),
		cmocka_unit_test(the_guest_clears_the_interrupt),
		cmocka_unit_test(inhibited_modes_are_not_counted),
		cmocka_unit_test(a_users_counter_overflows_in_user_mode),
		cmocka_unit_test(events_are_told_in_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
