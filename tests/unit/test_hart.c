// SPDX-License-Identifier: MIT
/*
 * The RISC-V hart through hart.h alone: exits, requests from other threads, memory that goes
 * away. What instructions compute is tests/guest's.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/guard.h"
#include "base/timer.h"
#include "cpu/riscv/hart.h"

#define RAM_SIZE 0x100000ull
#define DATA 0x8000u		/* what s0 points to */
#define HOLE 0x40000000u	/* nothing there */

enum { T0 = 5, S0 = 8, A0 = 10, A1 = 11, A2 = 12 };
enum { CSR_SSTATUS = 0x100, CSR_SIE = 0x104, CSR_STVEC = 0x105, CSR_SCAUSE = 0x142, CSR_STIMECMP = 0x14d };
#define ECALL 0x00000073u
#define J_SELF 0x0000006fu	/* j . */

struct machine {
	struct rv_hart *h;
	u8 *ram;
	u64 ram_size;
	unsigned nr_resolved;
	u64 attention;
};

static enum cpu_phys_kind resolve(void *owner, u64 gpa, enum cpu_access access,
				  struct cpu_phys_page *page)
{
	struct machine *m = owner;

	m->nr_resolved++;
	if (gpa >= m->ram_size)
		return CPU_PHYS_MMIO;
	page->host = m->ram + gpa;
	page->writable = true;
	return CPU_PHYS_RAM;
}

static const struct cpu_phys_ops phys = { .resolve = resolve };

static int setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct rv_hart_config cfg = { .extensions = RV_EXT_ALL, .phys = &phys, .owner = m };

	m->attention = 1;
	cfg.attention = &m->attention;
	m->ram_size = RAM_SIZE;
	m->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(m->ram, MAP_FAILED);
	m->h = rv_hart_create(&cfg);
	assert_non_null(m->h);
	rv_hart_set_csr(m->h, CSR_SSTATUS, 3 << 13);
	rv_hart_set_x(m->h, S0, DATA);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct machine *m = *state;

	rv_hart_destroy(m->h);
	munmap(m->ram, RAM_SIZE);
	free(m);
	return 0;
}

static void load(struct machine *m, u64 at, const u32 *words, size_t n)
{
	memcpy(m->ram + at, words, n * sizeof(*words));
	rv_hart_set_pc(m->h, at);
}
#define LOAD(m, at, ...) \
	load(m, at, (const u32[]){ __VA_ARGS__ }, sizeof((const u32[]){ __VA_ARGS__ }) / 4)

/* One encoding for each op the engine has, operands a0 a1 a2 / fa0..fa3, memory at s0. */
static const u32 every_op[] = {
	0x00c58533, 0x40c58533, 0x00c59533, 0x00c5a533, 0x00c5b533, 0x00c5c533, 0x00c5d533, 0x40c5d533,
	0x00c5e533, 0x00c5f533, 0x02c58533, 0x02c59533, 0x02c5a533, 0x02c5b533, 0x02c5c533, 0x02c5d533,
	0x02c5e533, 0x02c5f533, 0x00c5853b, 0x40c5853b, 0x00c5953b, 0x00c5d53b, 0x40c5d53b, 0x02c5853b,
	0x02c5c53b, 0x02c5d53b, 0x02c5e53b, 0x02c5f53b, 0x00558513, 0x0055a513, 0x0055b513, 0x0055c513,
	0x0055e513, 0x0055f513, 0x00559513, 0x0055d513, 0x4055d513, 0x0055851b, 0x0055951b, 0x0055d51b,
	0x4055d51b, 0x00005537, 0x00005517, 0x00058513, 0x00000013, 0x08c5853b, 0x20c5a533, 0x20c5c533,
	0x20c5e533, 0x20c5a53b, 0x20c5c53b, 0x20c5e53b, 0x0855951b, 0x40c5f533, 0x40c5e533, 0x40c5c533,
	0x60059513, 0x60159513, 0x60259513, 0x6005951b, 0x6015951b, 0x6025951b, 0x0ac5e533, 0x0ac5f533,
	0x0ac5c533, 0x0ac5d533, 0x60459513, 0x60559513, 0x0805c53b, 0x60c59533, 0x60c5d533, 0x6055d513,
	0x60c5953b, 0x60c5d53b, 0x6055d51b, 0x2875d513, 0x6b85d513, 0x0ac59533, 0x0ac5b533, 0x0ac5a533,
	0x48c59533, 0x48c5d533, 0x68c59533, 0x28c59533, 0x48559513, 0x4855d513, 0x68559513, 0x28559513,
	0x00040503, 0x00041503, 0x00042503, 0x00043503, 0x00044503, 0x00045503, 0x00046503, 0x00042507,
	0x00043507, 0x00141503, 0x00142503, 0x00143503, 0xffc43503, 0x00143507, 0x00142507, 0x00c40023,
	0x00c41023, 0x00c42023, 0x00c43023, 0x00c42027, 0x00c43027, 0x00c430a3, 0xfec43e23, 0x00c430a7,
	0x1004252f, 0x1004352f, 0x18c4252f, 0x18c4352f, 0x08c4252f, 0x00c4252f, 0x20c4252f, 0x60c4252f,
	0x40c4252f, 0x80c4252f, 0xa0c4252f, 0xc0c4252f, 0xe0c4252f, 0x08c4352f, 0x00c4352f, 0x20c4352f,
	0x60c4352f, 0x40c4352f, 0x80c4352f, 0xa0c4352f, 0xc0c4352f, 0xe0c4352f, 0x0014200f, 0x0044200f,
	0x00c5f553, 0x08c5f553, 0x10c5f553, 0x18c5f553, 0x5805f553, 0x68c5f543, 0x68c5f547, 0x68c5f54b,
	0x68c5f54f, 0x02c5f553, 0x0ac5f553, 0x12c5f553, 0x1ac5f553, 0x5a05f553, 0x6ac5f543, 0x6ac5f547,
	0x6ac5f54b, 0x6ac5f54f, 0x02c5b553, 0x00c59553, 0x20c58553, 0x20c59553, 0x20c5a553, 0x28c58553,
	0x28c59553, 0xa0c5a553, 0xa0c59553, 0xa0c58553, 0xe0059553, 0x22c58553, 0x22c59553, 0x22c5a553,
	0x2ac58553, 0x2ac59553, 0xa2c5a553, 0xa2c59553, 0xa2c58553, 0xe2059553, 0xc005f553, 0xc015f553,
	0xc025f553, 0xc035f553, 0xd005f553, 0xd015f553, 0xd025f553, 0xd035f553, 0xc205f553, 0xc215f553,
	0xc225f553, 0xc235f553, 0xd2058553, 0xd2158553, 0xd225f553, 0xd235f553, 0x4015f553, 0x42058553,
	0xe0058553, 0xf0058553, 0xe2058553, 0xf2058553, 0x0ff0000f, 0x0000100f, 0x00302573, 0xc0102573,
	0x14051073, 0x10017073, 0x14402573, 0x12040073, 0x12b00073, 0x12000073, 0x16040073, 0x18000073,
	0x0040006f, 0x004003ef, 0x00000263, 0x00001263, 0x00004263, 0x00005263, 0x00006263, 0x00007263,
};

static void *run_small(void *arg)
{
	struct machine *m = arg;

	for (size_t i = 0; i < ARRAY_SIZE(every_op); i++) {
		const u32 prog[] = {
			every_op[i],
			0xfff28293,	/* addi t0, t0, -1 */
			0xfe029ce3,	/* bnez t0, .-8 */
			ECALL,
		};
		enum rv_exit reason;

		load(m, 0x1000, prog, ARRAY_SIZE(prog));
		rv_hart_set_x(m->h, T0, 20000);
		rv_hart_set_x(m->h, S0, DATA);
		rv_hart_set_csr(m->h, CSR_STVEC, 0x4000);
		do
			reason = rv_hart_run(m->h)->reason;
		while (reason == RV_EXIT_KICK);
		if (reason != RV_EXIT_ECALL || rv_hart_get_pc(m->h) != 0x100c)
			return (void *)&every_op[i];
	}
	return NULL;
}

/*
 * An op that did not end in a tail call would leave a frame behind each time: 20,000 of the
 * smallest frames do not fit into this stack.
 */
static void ops_leave_no_frames_on_the_stack(void **state)
{
	pthread_attr_t attr;
	pthread_t t;
	void *bad;

	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstacksize(&attr, 128 << 10), 0);
	assert_int_equal(pthread_create(&t, &attr, run_small, *state), 0);
	pthread_attr_destroy(&attr);
	pthread_join(t, &bad);
	if (bad)
		fail_msg("0x%08x did not run through", *(const u32 *)bad);
}

static void load_from_nothing_exits_and_completes_sign_extended(void **state)
{
	struct machine *m = *state;
	const struct rv_exit_info *x;

	LOAD(m, 0, 0x00040503 /* lb a0, 0(s0) */, ECALL);
	rv_hart_set_x(m->h, S0, HOLE + 5);
	x = rv_hart_run(m->h);
	assert_int_equal(x->reason, RV_EXIT_MMIO_READ);
	assert_int_equal(x->mmio.gpa, HOLE + 5);
	assert_int_equal(x->mmio.len, 1);
	rv_hart_complete_mmio_read(m->h, 0x80);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	assert_int_equal(rv_hart_get_x(m->h, A0), (u64)-128);
}

static void store_to_nothing_exits_with_its_bytes(void **state)
{
	struct machine *m = *state;
	const struct rv_exit_info *x;

	LOAD(m, 0, 0x00c41023 /* sh a2, 0(s0) */, ECALL);
	rv_hart_set_x(m->h, S0, HOLE);
	rv_hart_set_x(m->h, A2, 0x12345678);
	x = rv_hart_run(m->h);
	assert_int_equal(x->reason, RV_EXIT_MMIO_WRITE);
	assert_int_equal(x->mmio.data, 0x5678);
	assert_int_equal(x->mmio.len, 2);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
}

/* cmocka puts its own SIGSEGV handler in place for each test. */
static struct sigaction guards_action;

static void memory_that_went_away_is_a_fault_and_not_a_crash(void **state)
{
	struct machine *m = *state;
	const struct rv_exit_info *x;
	struct rv_hart_stats before, after;

	sigaction(SIGSEGV, &guards_action, NULL);
	LOAD(m, 0, 0x00150513 /* addi a0, a0, 1 */, 0x00043583 /* ld a1, 0(s0) */, ECALL);
	assert_int_equal(mprotect(m->ram + DATA, 4096, PROT_NONE), 0);
	rv_hart_get_stats(m->h, &before);
	x = rv_hart_run(m->h);
	rv_hart_get_stats(m->h, &after);
	assert_int_equal(x->reason, RV_EXIT_FAULT);
	assert_int_equal(x->fault.err, -EFAULT);
	assert_int_equal(x->fault.gpa, DATA);
	assert_int_equal(rv_hart_get_pc(m->h), 4);
	assert_int_equal(after.instructions - before.instructions, 1);
	assert_int_equal(mprotect(m->ram + DATA, 4096, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	assert_int_equal(rv_hart_get_x(m->h, A0), 1);
}

static void code_that_went_away_is_a_fault_at_its_pc(void **state)
{
	struct machine *m = *state;

	sigaction(SIGSEGV, &guards_action, NULL);
	rv_hart_set_pc(m->h, DATA);
	assert_int_equal(mprotect(m->ram + DATA, 4096, PROT_NONE), 0);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_FAULT);
	assert_int_equal(rv_hart_get_pc(m->h), DATA);
}

static void *run_until_kicked(void *arg)
{
	struct machine *m = arg;

	return (void *)(intptr_t)rv_hart_run(m->h)->reason;
}

static void kick_ends_a_loop_of_one_jump(void **state)
{
	struct machine *m = *state;
	pthread_t t;
	void *reason;

	LOAD(m, 0, J_SELF);
	assert_int_equal(pthread_create(&t, NULL, run_until_kicked, m), 0);
	rv_hart_kick(m->h);
	pthread_join(t, &reason);
	assert_int_equal((intptr_t)reason, RV_EXIT_KICK);
	assert_int_equal(rv_hart_get_pc(m->h), 0);
}

static void attention_ends_loops_of_every_kind_of_jump(void **state)
{
	struct machine *m = *state;
	const u32 loops[][2] = {
		{ J_SELF, 0 },
		{ 0x0000036f /* jal t1, . */, 0 },
		{ 0x00000063 /* beqz zero, . */, 0 },
		{ 0x00000067 /* jr zero */, 0 },
		{ 0x00000013 /* nop */, 0xffdff06f /* j .-4 */ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(loops); i++) {
		pthread_t t;
		void *reason;

		load(m, 0, loops[i], 2);
		__atomic_store_n(&m->attention, 1, __ATOMIC_RELAXED);
		assert_int_equal(pthread_create(&t, NULL, run_until_kicked, m), 0);
		__atomic_store_n(&m->attention, 0, __ATOMIC_RELAXED);
		pthread_join(t, &reason);
		assert_int_equal((intptr_t)reason, RV_EXIT_KICK);
	}
}

static void flush_request_is_served_while_running_and_idle(void **state)
{
	struct machine *m = *state;
	pthread_t t;
	void *reason;

	rv_hart_request_flush_phys(m->h);
	assert_true(rv_hart_requests_done(m->h));	/* it does not run */
	LOAD(m, 0, 0x00043583 /* ld a1, 0(s0) */, 0xffdff06f /* j .-4 */);
	assert_int_equal(pthread_create(&t, NULL, run_until_kicked, m), 0);
	for (int i = 0; i < 1000; i++) {
		rv_hart_request_flush_phys(m->h);
		while (!rv_hart_requests_done(m->h))
			;
	}
	rv_hart_kick(m->h);
	pthread_join(t, &reason);
	assert_int_equal((intptr_t)reason, RV_EXIT_KICK);
}

static void flush_phys_makes_the_owner_asked_again(void **state)
{
	struct machine *m = *state;
	unsigned n;

	LOAD(m, 0, 0x00043583 /* ld a1, 0(s0) */, ECALL);
	rv_hart_run(m->h);
	n = m->nr_resolved;
	rv_hart_set_pc(m->h, 0);
	rv_hart_run(m->h);
	assert_int_equal(m->nr_resolved, n);
	rv_hart_request_flush_phys(m->h);
	rv_hart_set_pc(m->h, 0);
	rv_hart_run(m->h);
	assert_true(m->nr_resolved > n);
}

static void owners_write_to_code_is_seen_at_the_next_run(void **state)
{
	struct machine *m = *state;

	LOAD(m, 0, 0x00100513 /* li a0, 1 */, ECALL);
	rv_hart_run(m->h);
	LOAD(m, 0, 0x00200513 /* li a0, 2 */, ECALL);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	assert_int_equal(rv_hart_get_x(m->h, A0), 2);
}

static void guests_write_to_code_is_seen_after_fence_i(void **state)
{
	struct machine *m = *state;

	LOAD(m, 0,
	     0x00158593,	/* 00 addi a1, a1, 1: becomes addi a1, a1, 16 */
	     0x00069a63,	/* 04 bnez a3, 18 */
	     0x00100693,	/* 08 li a3, 1 */
	     0x00c02023,	/* 0c sw a2, 0(zero) */
	     0x0000100f,	/* 10 fence.i */
	     0xfedff06f,	/* 14 j 0 */
	     ECALL);
	rv_hart_set_x(m->h, A2, 0x01058593);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	assert_int_equal(rv_hart_get_x(m->h, A1), 1 + 16);
}

static void single_step_counts_each_instruction_and_follows_jumps(void **state)
{
	struct machine *m = *state;
	const u64 pcs[] = { 4, 12, 16 };

	LOAD(m, 0, 0x00150513 /* addi */, 0x0080006f /* j .+8 */, 0, 0x00150513, ECALL);
	rv_hart_set_debug(m->h, false, true);
	for (size_t i = 0; i < ARRAY_SIZE(pcs); i++) {
		assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_DEBUG);
		assert_int_equal(rv_hart_get_pc(m->h), pcs[i]);
	}
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
}

static void single_step_over_fence_i_is_one_step(void **state)
{
	struct machine *m = *state;

	LOAD(m, 0, 0x0000100f /* fence.i */, J_SELF);
	rv_hart_set_debug(m->h, false, true);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_DEBUG);
	assert_int_equal(rv_hart_get_pc(m->h), 4);
}

static void straddling_instruction_sees_its_second_page_change(void **state)
{
	struct machine *m = *state;
	u32 insn = 0x00100513;	/* li a0, 1: its upper half holds the immediate */
	u16 half = 0x0070;	/* li a0, 7 */

	memcpy(m->ram + 0x1ffe, &insn, 4);
	LOAD(m, 0x2002, ECALL);
	rv_hart_set_pc(m->h, 0x1ffe);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	assert_int_equal(rv_hart_get_x(m->h, A0), 1);
	memcpy(m->ram + 0x2000, &half, 2);
	rv_hart_set_pc(m->h, 0x1ffe);
	rv_hart_run(m->h);
	assert_int_equal(rv_hart_get_x(m->h, A0), 7);
}

static void timer_interrupts_a_loop(void **state)
{
	struct machine *m = *state;
	u64 cause;

	LOAD(m, 0x100, ECALL);
	LOAD(m, 0, J_SELF);
	rv_hart_set_csr(m->h, CSR_STVEC, 0x100);
	rv_hart_set_csr(m->h, CSR_SSTATUS, 2);
	rv_hart_set_csr(m->h, CSR_SIE, 1 << 5);
	rv_hart_set_csr(m->h, CSR_STIMECMP, rv_hart_get_time(m->h) + 1000);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	rv_hart_get_csr(m->h, CSR_SCAUSE, &cause);
	assert_true(cause == (BIT(63) | 5));
	assert_int_equal(rv_hart_get_pc(m->h), 0x100);
}

/* Whoever has seen the time has seen the interrupt: no waiting for the timer's thread. */
static void reading_the_due_time_takes_the_interrupt(void **state)
{
	struct machine *m = *state;
	u64 cause, now;

	LOAD(m, 0x100, ECALL);
	LOAD(m, 0, 0xc0102573 /* csrr a0, time */, 0xfeb56ee3 /* bltu a0, a1, .-4 */,
	     0x00100613 /* li a2, 1 */, ECALL);
	rv_hart_set_csr(m->h, CSR_STVEC, 0x100);
	rv_hart_set_csr(m->h, CSR_SSTATUS, 2);
	rv_hart_set_csr(m->h, CSR_SIE, 1 << 5);
	now = rv_hart_get_time(m->h) + 500;
	rv_hart_set_csr(m->h, CSR_STIMECMP, now);
	rv_hart_set_x(m->h, A1, now);
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	rv_hart_get_csr(m->h, CSR_SCAUSE, &cause);
	assert_true(cause == (BIT(63) | 5));
	assert_int_equal(rv_hart_get_x(m->h, A2), 0);
}

static void interrupt_line_is_taken_without_leaving_the_run(void **state)
{
	struct machine *m = *state;
	u64 cause;

	LOAD(m, 0x100, ECALL);
	LOAD(m, 0, J_SELF);
	rv_hart_set_csr(m->h, CSR_STVEC, 0x100);
	rv_hart_set_csr(m->h, CSR_SSTATUS, 2);
	rv_hart_set_csr(m->h, CSR_SIE, 1 << 9);
	rv_hart_set_irq(m->h, 9, true);
	assert_true(rv_hart_has_interrupt(m->h));
	assert_int_equal(rv_hart_run(m->h)->reason, RV_EXIT_ECALL);
	rv_hart_get_csr(m->h, CSR_SCAUSE, &cause);
	assert_true(cause == (BIT(63) | 9));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(ops_leave_no_frames_on_the_stack),
		T(load_from_nothing_exits_and_completes_sign_extended),
		T(store_to_nothing_exits_with_its_bytes),
		T(memory_that_went_away_is_a_fault_and_not_a_crash),
		T(code_that_went_away_is_a_fault_at_its_pc),
		T(kick_ends_a_loop_of_one_jump),
		T(attention_ends_loops_of_every_kind_of_jump),
		T(flush_request_is_served_while_running_and_idle),
		T(flush_phys_makes_the_owner_asked_again),
		T(owners_write_to_code_is_seen_at_the_next_run),
		T(guests_write_to_code_is_seen_after_fence_i),
		T(single_step_counts_each_instruction_and_follows_jumps),
		T(single_step_over_fence_i_is_one_step),
		T(straddling_instruction_sees_its_second_page_change),
		T(timer_interrupts_a_loop),
		T(reading_the_due_time_takes_the_interrupt),
		T(interrupt_line_is_taken_without_leaving_the_run),
	};

	if (sv_guard_init())
		return 1;
	sigaction(SIGSEGV, NULL, &guards_action);
	return cmocka_run_group_tests_name("hart", tests, NULL, NULL);
}
