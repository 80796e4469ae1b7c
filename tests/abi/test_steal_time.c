/* SPDX-License-Identifier: MIT */
/* Steal time: the SBI call STA and its registers */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi.h"

#define EXT_STA 0x535441
#define SHMEM (ABI_RAM + 0x8000)

struct shmem {
	u32 sequence, flags;
	u64 steal;
	u8 preempted, pad[47];
};

static s64 call(struct abi *a, u64 lo, u64 hi, u64 flags)
{
	abi_guest(a, ECALL, DONE(T0), DONE(T0), DONE(T0), DONE(T0));
	abi_set(a->vcpu, REG_CORE(regs.a7), EXT_STA);
	abi_set(a->vcpu, REG_CORE(regs.a6), 0);
	abi_set(a->vcpu, REG_CORE(regs.a0), lo);
	abi_set(a->vcpu, REG_CORE(regs.a1), hi);
	abi_set(a->vcpu, REG_CORE(regs.a2), flags);
	abi_run_done(a);
	return abi_reg(a->vcpu, REG_CORE(regs.a0));
}

static void wrong_arguments_of_the_call(void **state)
{
	struct abi a;
	u8 *ro = abi_memory(4096);

	abi_up(&a);
	assert_return_code(abi_region(a.vm, 1, KVM_MEM_READONLY, 0x30000000, 4096, ro), errno);
	assert_int_equal(call(&a, SHMEM, 0, 1), -3);
	for (u64 low = 1; low < 64; low++)
		assert_int_equal(call(&a, SHMEM + low, 0, 0), -3);
	assert_int_equal(call(&a, SHMEM, 1, 0), -5);
	assert_int_equal(call(&a, ABI_DEVICE, 0, 0), -5);
	assert_int_equal(call(&a, 0x30000000, 0, 0), -5);
	assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_lo)), ~0ull);
	abi_down(&a);
	munmap(ro, 4096);
}

static void on_zeroes_the_memory_and_off_leaves_it(void **state)
{
	struct abi a;

	abi_up(&a);
	memset(a.ram + 0x8000 - 64, 0xee, 192);
	assert_int_equal(call(&a, SHMEM, 0, 0), 0);
	assert_int_equal(a.ram[0x8000 - 1], 0xee);
	assert_int_equal(a.ram[0x8000 + 64], 0xee);
	assert_int_equal(((struct shmem *)(a.ram + 0x8000))->flags, 0);
	assert_int_equal(((struct shmem *)(a.ram + 0x8000))->sequence & 1, 0);
	assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_lo)), SHMEM);
	assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_hi)), 0);
	assert_int_equal(call(&a, ~0ull, ~0ull, 0), 0);
	assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_lo)), ~0ull);
	abi_down(&a);
}

static void register_values_that_are_no_address_are_einval_and_change_nothing(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_STA(shmem_lo), SHMEM), errno);
	for (u64 low = 1; low < 64; low++)
		assert_errno(abi_set(a.vcpu, REG_STA(shmem_lo), SHMEM + low), EINVAL);
	assert_errno(abi_set(a.vcpu, REG_STA(shmem_lo), ~0ull - 1), EINVAL);
	assert_errno(abi_set(a.vcpu, REG_STA(shmem_hi), 1), EINVAL);
	assert_errno(abi_set(a.vcpu, REG_STA(shmem_hi), ~0ull), EINVAL);
	assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_lo)), SHMEM);
	assert_errno(abi_set(a.vcpu, REG_STA(shmem_lo) + 2, 0), ENOENT);
	abi_down(&a);
}

static void any_order_of_writes_restores_the_address(void **state)
{
	struct abi a;

	for (int order = 0; order < 4; order++) {
		abi_up(&a);
		for (int i = 0; i < 2 + (order & 2); i++) {
			u64 id = (i ^ order) & 1 ? REG_STA(shmem_hi) : REG_STA(shmem_lo);

			assert_return_code(abi_set(a.vcpu, id, id == REG_STA(shmem_hi) ? 0 : SHMEM),
					   errno);
		}
		assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_lo)), SHMEM);
		/* Off, the value it has when nothing was asked for, restores too. */
		assert_return_code(abi_set(a.vcpu, REG_STA(shmem_lo), ~0ull), errno);
		assert_return_code(abi_set(a.vcpu, REG_STA(shmem_hi), 0), errno);
		assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_lo)), ~0ull);
		abi_down(&a);
	}
}

static void reset_turns_it_off(void **state)
{
	struct abi a;
	int other;

	abi_up(&a);
	other = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1);
	assert_return_code(abi_set(other, REG_STA(shmem_lo), SHMEM), errno);
	assert_int_equal(abi_reg(other, REG_STA(shmem_lo)), SHMEM);
	/* HSM start of vCPU 1, which resets it when it enters; its guest ends at once. */
	{
		struct abi b = a;
		const u32 code[] = { DONE(T0) };

		memcpy(a.ram + 0x2000, code, sizeof(code));
		abi_guest(&a, ECALL, DONE(T0));
		abi_set(a.vcpu, REG_CORE(regs.a7), 0x48534d);
		abi_set(a.vcpu, REG_CORE(regs.a6), 0);
		abi_set(a.vcpu, REG_CORE(regs.a0), 1);
		abi_set(a.vcpu, REG_CORE(regs.a1), ABI_RAM + 0x2000);
		abi_run_done(&a);
		b.vcpu = other;
		b.run = abi_map_run(other);
		abi_run_done(&b);
		munmap(b.run, ABI_RUN_SIZE);
	}
	assert_int_equal(abi_reg(other, REG_STA(shmem_lo)), ~0ull);
	softvirt_close(other);
	abi_down(&a);
}

static u64 run_delay(void)
{
	char buf[96] = { 0 };
	int fd = open("/proc/thread-self/schedstat", O_RDONLY);

	assert_true(fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0);
	close(fd);
	return strtoull(strchr(buf, ' ') + 1, NULL, 10);
}

static int stop;

static void *hog(void *arg)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		;
	return NULL;
}

/*
 * The host's own account is the oracle: what the guest was told lies between the delay
 * read before the first and after the last moment that could have counted.
 */
static void what_the_guest_sees_is_the_hosts_account(void **state)
{
	struct shmem *s;
	struct abi a;
	cpu_set_t one, all;
	pthread_t t;
	u64 base_low, base_high, low, high;

	abi_up(&a);
	s = (struct shmem *)(a.ram + 0x8000);
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (!CPU_ISSET(0, &all) || sched_setaffinity(0, sizeof(one), &one)) {
		print_message("CPU 0 is not ours\n");
		fail();
	}
	base_low = run_delay();
	assert_int_equal(call(&a, SHMEM, 0, 0), 0);
	base_high = run_delay();

	stop = 0;
	assert_int_equal(pthread_create(&t, NULL, hog, NULL), 0);
	while (run_delay() < base_high + 5000000)
		sched_yield();
	low = run_delay();
	abi_run_done(&a);
	high = run_delay();
	assert_int_equal(s->sequence & 1, 0);
	assert_true(s->sequence >= 2);
	assert_true(s->steal >= low - base_high);
	assert_true(s->steal <= high - base_low);

	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	sched_setaffinity(0, sizeof(all), &all);
	abi_down(&a);
}

static void *yielder(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		sched_yield();
	return NULL;
}

/* However short the time since the last run: a delay that has grown shows at the next one. */
static void each_run_after_a_delay_shows_it(void **state)
{
	cpu_set_t one, all;
	struct shmem *s;
	struct abi a;
	pthread_t t;
	u64 base, delay;

	abi_up(&a);
	s = (struct shmem *)(a.ram + 0x8000);
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	assert_return_code(sched_setaffinity(0, sizeof(one), &one), errno);
	assert_int_equal(call(&a, SHMEM, 0, 0), 0);
	base = run_delay();

	stop = 0;
	assert_int_equal(pthread_create(&t, NULL, yielder, NULL), 0);
	delay = base;
	for (int i = 0; i < 100; i++) {
		while (run_delay() < delay + 1000)
			sched_yield();
		delay = run_delay();
		abi_run_done(&a);
		assert_true(s->steal >= delay - base);
		abi_load(&a, (const u32[]){ DONE(T0) }, 8);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	sched_setaffinity(0, sizeof(all), &all);
	abi_down(&a);
}

static void nothing(int sig)
{
}

/*
 * A program that has a signal handler gets EINTR at each preemption. What the guest is told
 * keeps up all the same: here one that never leaves KVM_RUN otherwise.
 */
static void a_signal_handler_does_not_hide_delays(void **state)
{
	struct sigaction sa = { .sa_handler = nothing }, old;
	cpu_set_t one, all;
	struct shmem *s;
	struct abi a;
	pthread_t t;
	u64 base, delay;

	abi_up(&a);
	s = (struct shmem *)(a.ram + 0x8000);
	sigaction(SIGUSR1, &sa, &old);
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	assert_return_code(sched_setaffinity(0, sizeof(one), &one), errno);
	assert_int_equal(call(&a, SHMEM, 0, 0), 0);
	base = run_delay();
	stop = 0;
	assert_int_equal(pthread_create(&t, NULL, hog, NULL), 0);
	do {
		/* 1: rdtime t1; bltu t1, s0, 1b */
		abi_guest(&a, i_type(0x73, 2, T1, X0, 0xc01), 0xfe836ee3, DONE(T0));
		abi_set(a.vcpu, REG_CORE(regs.s0), abi_reg(a.vcpu, REG_TIMER(time)) + 1000000);
		abi_run_done(&a);
		delay = run_delay() - base;
	} while (delay < 100000000);
	/* All but what came last. */
	assert_true(s->steal >= delay / 2);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	sched_setaffinity(0, sizeof(all), &all);
	sigaction(SIGUSR1, &old, NULL);
	abi_down(&a);
}

static void memory_that_goes_away_turns_it_off_quietly(void **state)
{
	struct abi a;
	u8 *m = abi_memory(4096);
	pthread_t t;
	u64 before;

	abi_up(&a);
	assert_return_code(abi_region(a.vm, 1, 0, 0x30000000, 4096, m), errno);
	assert_int_equal(call(&a, 0x30000000, 0, 0), 0);
	assert_return_code(abi_region(a.vm, 1, 0, 0x30000000, 0, m), errno);
	munmap(m, 4096);
	before = run_delay();
	stop = 0;
	assert_int_equal(pthread_create(&t, NULL, hog, NULL), 0);
	{
		cpu_set_t one, all;

		sched_getaffinity(0, sizeof(all), &all);
		CPU_ZERO(&one);
		CPU_SET(0, &one);
		sched_setaffinity(0, sizeof(one), &one);
		while (run_delay() < before + 3000000)
			sched_yield();
		abi_run_done(&a);
		sched_setaffinity(0, sizeof(all), &all);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	assert_int_equal(abi_reg(a.vcpu, REG_STA(shmem_lo)), ~0ull);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_arguments_of_the_call),
		cmocka_unit_test(on_zeroes_the_memory_and_off_leaves_it),
		cmocka_unit_test(register_values_that_are_no_address_are_einval_and_change_nothing),
		cmocka_unit_test(any_order_of_writes_restores_the_address),
		cmocka_unit_test(reset_turns_it_off),
		cmocka_unit_test(what_the_guest_sees_is_the_hosts_account),
		cmocka_unit_test(each_run_after_a_delay_shows_it),
		cmocka_unit_test(a_signal_handler_does_not_hide_delays),
		cmocka_unit_test(memory_that_goes_away_turns_it_off_quietly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
