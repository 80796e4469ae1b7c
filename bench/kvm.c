// SPDX-License-Identifier: MIT
/*
 * What the KVM API costs: exits to user space, and a VM's whole life. One JSON object.
 *
 * usage: kvm [exits|life|ioctl|kick|all]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <softvirt/softvirt.h>
#include <softvirt/uapi/kvm_riscv.h>

#define MEM_SIZE 0x10000ul
#define MEM_BASE 0x80000000ul

struct guest {
	int vm, vcpu;
	void *mem;
	struct kvm_run *run;
	size_t run_size;
};

static int kvm_fd;

static void die(const char *what)
{
	fprintf(stderr, "bench/kvm: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void set_pc(const struct guest *g, uint64_t pc)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE |
		      KVM_REG_RISCV_CORE_REG(regs.pc),
		.addr = (uintptr_t)&pc,
	};

	if (softvirt_ioctl(g->vcpu, KVM_SET_ONE_REG, &reg))
		die("KVM_SET_ONE_REG");
}

static void guest_create(struct guest *g, const uint32_t *code, size_t size)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = MEM_BASE, .memory_size = MEM_SIZE,
	};

	g->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->mem == MAP_FAILED)
		die("mmap");
	memcpy(g->mem, code, size);
	slot.userspace_addr = (uintptr_t)g->mem;
	g->vm = softvirt_ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (g->vm < 0 || softvirt_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &slot))
		die("KVM_CREATE_VM");
	g->vcpu = softvirt_ioctl(g->vm, KVM_CREATE_VCPU, 0);
	if (g->vcpu < 0)
		die("KVM_CREATE_VCPU");
	g->run_size = (size_t)softvirt_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = softvirt_mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED)
		die("mmap of the vCPU");
	set_pc(g, MEM_BASE);
}

static void guest_destroy(struct guest *g)
{
	munmap(g->run, g->run_size);
	softvirt_close(g->vcpu);
	softvirt_close(g->vm);
	munmap(g->mem, MEM_SIZE);
}

static void run_to_mmio(const struct guest *g)
{
	int ret;

	do
		ret = softvirt_ioctl(g->vcpu, KVM_RUN, 0);
	while (ret && errno == EINTR);
	if (ret || g->run->exit_reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "bench/kvm: KVM_RUN ended with exit %u\n", g->run->exit_reason);
		exit(1);
	}
}

/* lui t0, 0x10000; 1: sb zero, 0(t0); j 1b */
static const uint32_t store_loop[] = { 0x100002b7, 0x00028023, 0xffdff06f };

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

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
	printf("\"exits_per_second\": %.0f", median(rate, ROUNDS));
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
	printf("\"vm_life_us\": %.1f", median(us, N));
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
	printf("\"ioctl_ns\": %.1f, \"one_reg_ns\": %.1f", median(ns, ROUNDS), median(reg_ns, ROUNDS));
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
	printf("\"kick_us\": %.1f", median(us, N));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} parts[] = { { "exits", bench_exits }, { "life", bench_life }, { "ioctl", bench_ioctl },
		    { "kick", bench_kick } };
	const char *want = argc > 1 ? argv[1] : "all";
	int done = 0;

	kvm_fd = softvirt_open("/dev/kvm-riscv64", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		die("/dev/kvm-riscv64");
	printf("{");
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (strcmp(want, "all") && strcmp(want, parts[i].name))
			continue;
		printf("%s", done++ ? ", " : "");
		parts[i].fn();
	}
	printf("}\n");
	if (!done)
		fprintf(stderr, "usage: kvm [exits|life|ioctl|kick|all]\n");
	softvirt_close(kvm_fd);
	return done ? 0 : 2;
}
