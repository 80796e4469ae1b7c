// SPDX-License-Identifier: MIT
/*
 * What the KVM API costs: exits to user space, and a VM's whole life.
 *
 * usage: kvm [exits|life|ioctl|kick|all]
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "vm.h"

/* lui t0, 0x10000; 1: sb zero, 0(t0); j 1b */
static const uint32_t store_loop[] = { 0x100002b7, 0x00028023, 0xffdff06f };

static void bench_exits(void)
{
	enum { ROUNDS = 7, N = 500000 };
	double rate[ROUNDS];
	struct guest g;

	guest_create(&g, store_loop, sizeof(store_loop));
	for (int r = 0; r < ROUNDS; r++) {
		double t = now();

		for (int i = 0; i < N; i++)
			run_to_mmio(&g);
		rate[r] = N / (now() - t);
	}
	guest_destroy(&g);
	bench_value("exits_per_second", median(rate, ROUNDS), "/s", "exits to user space (an MMIO store)");
}

static void bench_life(void)
{
	enum { N = 2001 };
	static double us[N];

	for (int i = 0; i < N; i++) {
		double t = now();
		struct guest g;

		guest_create(&g, store_loop, sizeof(store_loop));
		run_to_mmio(&g);
		guest_destroy(&g);
		us[i] = (now() - t) * 1e6;
	}
	bench_value("vm_life_us", median(us, N), "us", "a VM's life: create, vCPU, one exit, destroy");
}

static void bench_ioctl(void)
{
	enum { ROUNDS = 7, N = 1000000 };
	double ns[ROUNDS], reg_ns[ROUNDS];
	uint64_t value;
	struct kvm_one_reg reg = {
		.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE |
		      KVM_REG_RISCV_CORE_REG(regs.a0),
		.addr = (uintptr_t)&value,
	};
	struct guest g;

	guest_create(&g, store_loop, sizeof(store_loop));
	for (int r = 0; r < ROUNDS; r++) {
		double t = now();

		for (int i = 0; i < N; i++)
			softvirt_ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
		ns[r] = (now() - t) / N * 1e9;
		t = now();
		for (int i = 0; i < N; i++)
			if (softvirt_ioctl(g.vcpu, KVM_GET_ONE_REG, &reg))
				die("KVM_GET_ONE_REG");
		reg_ns[r] = (now() - t) / N * 1e9;
	}
	guest_destroy(&g);
	bench_value("ioctl_ns", median(ns, ROUNDS), "ns", "an ioctl's round trip");
	bench_value("one_reg_ns", median(reg_ns, ROUNDS), "ns", "KVM_GET_ONE_REG");
}

/* --- how soon a busy guest notices a signal ------------------------------------------- */

static struct guest spinner;
static volatile double kicked_at, seen_at;
static volatile int quit;

static void on_signal(int sig)
{
	(void)sig;
	spinner.run->immediate_exit = 1;
}

static void *spin(void *arg)
{
	(void)arg;
	while (!quit) {
		softvirt_ioctl(spinner.vcpu, KVM_RUN, 0);
		if (kicked_at != 0 && spinner.run->immediate_exit) {
			spinner.run->immediate_exit = 0;
			seen_at = now();
		}
	}
	return NULL;
}

static void bench_kick(void)
{
	enum { N = 501 };
	static const uint32_t loop[] = { 0x0000006f };	/* j . */
	struct sigaction sa = { .sa_handler = on_signal };
	static double us[N];
	pthread_t t;

	guest_create(&spinner, loop, sizeof(loop));
	sigaction(SIGUSR1, &sa, NULL);
	if (pthread_create(&t, NULL, spin, NULL))
		die("pthread_create");
	for (int i = 0; i < N; i++) {
		struct timespec pause = { .tv_nsec = 300000 };

		nanosleep(&pause, NULL);
		seen_at = 0;
		kicked_at = now();
		pthread_kill(t, SIGUSR1);
		while (seen_at == 0)
			sched_yield();
		us[i] = (seen_at - kicked_at) * 1e6;
		kicked_at = 0;
	}
	quit = 1;
	kicked_at = now();
	pthread_kill(t, SIGUSR1);
	pthread_join(t, NULL);
	guest_destroy(&spinner);
	bench_value("kick_us", median(us, N), "us", "signal to a spinning guest until KVM_RUN is back");
}

int main(int argc, char **argv)
{
	static const struct bench_part parts[] = {
		{ "exits", bench_exits }, { "life", bench_life }, { "ioctl", bench_ioctl },
		{ "kick", bench_kick },
	};

	return bench_main(argc, argv, parts, ARRAY_SIZE(parts));
}
