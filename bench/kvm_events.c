// SPDX-License-Identifier: MIT
/*
 * What events, memory slots, logs, steal time and many VMs cost. One JSON object.
 *
 * usage: kvm_events [ioeventfd|irqfd|dirty|slots|steal|many|all]
 *
 * Each part prints medians of several rounds. Parts that compare (steal) alternate their
 * two sides and count the thread's CPU time, so that other load on the host cancels out.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <softvirt/softvirt.h>
#include <softvirt/uapi/kvm_riscv.h>

#define MEM_SIZE 0x10000ul
#define MEM_BASE 0x80000000ul
#define DEVICE 0x10000000ul
#define DONE 0x20000000ul

struct guest {
	int vm, vcpu;
	void *mem;
	struct kvm_run *run;
	size_t run_size;
};

static int kvm_fd;
static void *shared_mem;

static void die(const char *what)
{
	fprintf(stderr, "bench/kvm_events: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double clock_now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double now(void)
{
	return clock_now(CLOCK_MONOTONIC);
}

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

static void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void slot(int vm, uint32_t id, uint32_t flags, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region r = {
		.slot = id, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (softvirt_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r))
		die("KVM_SET_USER_MEMORY_REGION");
}

#define CORE(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | \
		    KVM_REG_RISCV_CORE_REG(name))

static void set_reg(int vcpu, uint64_t id, uint64_t v)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&v };

	if (softvirt_ioctl(vcpu, KVM_SET_ONE_REG, &reg))
		die("KVM_SET_ONE_REG");
}

static void vcpu_create(struct guest *g, unsigned int id)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

	g->vcpu = softvirt_ioctl(g->vm, KVM_CREATE_VCPU, id);
	if (g->vcpu < 0)
		die("KVM_CREATE_VCPU");
	g->run_size = (size_t)softvirt_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = softvirt_mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED)
		die("mmap of the vCPU");
	if (id && softvirt_ioctl(g->vcpu, KVM_SET_MP_STATE, &runnable))
		die("KVM_SET_MP_STATE");
	set_reg(g->vcpu, CORE(regs.pc), MEM_BASE);
}

static void guest_create(struct guest *g, const uint32_t *code, size_t size)
{
	g->mem = shared_mem ? shared_mem : memory(MEM_SIZE);
	memcpy(g->mem, code, size);
	g->vm = softvirt_ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (g->vm < 0)
		die("KVM_CREATE_VM");
	slot(g->vm, 0, 0, MEM_BASE, MEM_SIZE, g->mem);
	vcpu_create(g, 0);
}

static void guest_destroy(struct guest *g)
{
	munmap(g->run, g->run_size);
	softvirt_close(g->vcpu);
	softvirt_close(g->vm);
	if (g->mem != shared_mem)
		munmap(g->mem, MEM_SIZE);
}

static void run_to_mmio(const struct guest *g)
{
	int ret;

	do
		ret = softvirt_ioctl(g->vcpu, KVM_RUN, 0);
	while (ret && errno == EINTR);
	if (ret || g->run->exit_reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "bench/kvm_events: KVM_RUN ended with exit %u\n", g->run->exit_reason);
		exit(1);
	}
}

/* --- ioeventfd, irqfd -------------------------------------------------------------------- */

/*
 * lui t0, 0x10000; 1: sw zero, 0(t0); addi a0, a0, -1; bnez a0, 1b;
 * lui t0, 0x20000; sw zero, 0(t0)
 */
static const uint32_t notify_loop[] = {
	0x100002b7, 0x0002a023, 0xfff50513, 0xfe051ce3, 0x200002b7, 0x0002a023,
};

static void bench_ioeventfd(void)
{
	enum { ROUNDS = 9, N = 200000 };
	struct kvm_ioeventfd io = { .addr = DEVICE, .len = 4, .fd = eventfd(0, EFD_CLOEXEC) };
	double ns[ROUNDS];
	struct guest g;
	uint64_t count;

	guest_create(&g, notify_loop, sizeof(notify_loop));
	if (io.fd < 0 || softvirt_ioctl(g.vm, KVM_IOEVENTFD, &io))
		die("KVM_IOEVENTFD");
	for (int r = 0; r < ROUNDS; r++) {
		double t;

		set_reg(g.vcpu, CORE(regs.pc), MEM_BASE);
		set_reg(g.vcpu, CORE(regs.a0), N);
		t = now();
		run_to_mmio(&g);
		ns[r] = (now() - t) / N * 1e9;
		if (g.run->mmio.phys_addr != DONE || read(io.fd, &count, sizeof(count)) < 0 ||
		    count != N) {
			fprintf(stderr, "bench/kvm_events: the eventfd was not signalled %d times\n", N);
			exit(1);
		}
	}
	guest_destroy(&g);
	close(io.fd);
	printf("\"ioeventfd_ns\": %.1f", median(ns, ROUNDS));
}

/*
 * From the signal until the VM has taken it and looked up its route. How it then reaches a
 * guest is the irqchip's.
 */
static void bench_irqfd(void)
{
	enum { N = 2001 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct kvm_irqfd irq = { .fd = (uint32_t)fd, .gsi = 1 };
	static double us[N];
	struct guest g;
	uint64_t one = 1;

	guest_create(&g, notify_loop, sizeof(notify_loop));
	if (fd < 0 || softvirt_ioctl(g.vm, KVM_IRQFD, &irq))
		die("KVM_IRQFD");
	for (int i = 0; i < N; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		double t = now();

		if (write(fd, &one, sizeof(one)) < 0)
			die("eventfd");
		while (poll(&p, 1, 0) == 1)
			sched_yield();
		us[i] = (now() - t) * 1e6;
	}
	guest_destroy(&g);
	close(fd);
	printf("\"irqfd_us\": %.1f", median(us, N));
}

/* --- dirty logs -------------------------------------------------------------------------- */

/*
 * 1: sb zero, 0(a1); add a1, a1, a2; addi a0, a0, -1; bnez a0, 1b;
 * lui t0, 0x20000; sw zero, 0(t0)
 */
static const uint32_t touch_loop[] = {
	0x00058023, 0x00c585b3, 0xfff50513, 0xfe051ae3, 0x200002b7, 0x0002a023,
};

/* A GiB of guest memory that is 2 MiB of the host's, again and again. */
static void *folded_memory(size_t size)
{
	size_t piece = 2 << 20;
	int fd = memfd_create("bench", MFD_CLOEXEC);
	char *p = memory(size);

	if (fd < 0 || ftruncate(fd, (off_t)piece))
		die("memfd");
	for (size_t at = 0; at < size; at += piece)
		if (mmap(p + at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
			die("mmap");
	close(fd);
	return p;
}

static void bench_dirty(void)
{
	enum { ROUNDS = 9 };
	const uint64_t size = 1ull << 30, pages = size >> 12, base = 0x100000000ull;
	double clean[ROUNDS], dirty[ROUNDS], first[ROUNDS];
	uint64_t *bits = memory(pages / 8);
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	void *mem = folded_memory(size);
	struct guest g;

	guest_create(&g, touch_loop, sizeof(touch_loop));
	slot(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, base, size, mem);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t set = 0;
		double t;

		set_reg(g.vcpu, CORE(regs.pc), MEM_BASE);
		set_reg(g.vcpu, CORE(regs.a0), pages);
		set_reg(g.vcpu, CORE(regs.a1), base);
		set_reg(g.vcpu, CORE(regs.a2), 4096);
		t = now();
		run_to_mmio(&g);
		first[r] = (now() - t) / (double)pages * 1e9;
		t = now();
		if (softvirt_ioctl(g.vm, KVM_GET_DIRTY_LOG, &log))
			die("KVM_GET_DIRTY_LOG");
		dirty[r] = (now() - t) * 1e6;
		for (uint64_t i = 0; i < pages / 64; i++)
			set += (uint64_t)__builtin_popcountll(bits[i]);
		if (set != pages) {
			fprintf(stderr, "bench/kvm_events: %llu pages are dirty instead of %llu\n",
				(unsigned long long)set, (unsigned long long)pages);
			exit(1);
		}
		t = now();
		if (softvirt_ioctl(g.vm, KVM_GET_DIRTY_LOG, &log))
			die("KVM_GET_DIRTY_LOG");
		clean[r] = (now() - t) * 1e6;
	}
	guest_destroy(&g);
	munmap(mem, size);
	munmap(bits, pages / 8);
	printf("\"dirty_log_gib_all_us\": %.1f, \"dirty_log_gib_none_us\": %.1f, "
	       "\"dirty_first_write_ns\": %.1f", median(dirty, ROUNDS), median(clean, ROUNDS),
	       median(first, ROUNDS));
}

/* --- slots ------------------------------------------------------------------------------- */

/* 1: addi a0, a0, 1; lbu t1, 256(a1); beqz t1, 1b; lui t0, 0x20000; sw zero, 0(t0) */
static const uint32_t spin_loop[] = {
	0x00150513, 0x1005c303, 0xfe030ce3, 0x200002b7, 0x0002a023,
};
static void *spin(void *arg)
{
	run_to_mmio(arg);
	return NULL;
}

static void bench_slots(void)
{
	enum { VCPUS = 4, N = 501 };
	static double us[N];
	struct guest g[VCPUS];
	pthread_t threads[VCPUS];
	void *mem = memory(MEM_SIZE);

	guest_create(&g[0], spin_loop, sizeof(spin_loop));
	for (unsigned int i = 1; i < VCPUS; i++) {
		g[i] = g[0];
		vcpu_create(&g[i], i);
	}
	for (int i = 0; i < VCPUS; i++)
		set_reg(g[i].vcpu, CORE(regs.a1), MEM_BASE);
	for (int i = 0; i < VCPUS; i++)
		if (pthread_create(&threads[i], NULL, spin, &g[i]))
			die("pthread_create");
	for (int i = 0; i < N; i++) {
		double t = now();

		slot(g[0].vm, 1, 0, 0x100000000ull, MEM_SIZE, mem);
		slot(g[0].vm, 1, 0, 0x100000000ull, 0, mem);
		us[i] = (now() - t) * 1e6 / 2;
	}
	__atomic_store_n((char *)g[0].mem + 256, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < VCPUS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < VCPUS; i++) {
		munmap(g[i].run, g[i].run_size);
		softvirt_close(g[i].vcpu);
	}
	guest_destroy(&g[0]);
	munmap(mem, MEM_SIZE);
	printf("\"slot_change_us\": %.1f", median(us, N));
}

/* --- steal time -------------------------------------------------------------------------- */

/*
 * ecall (STA's set_shmem, by the registers); 1: xor a3, a3, s0; mul a3, a3, s0;
 * addi s0, s0, -1; bnez s0, 1b; lui t0, 0x20000; sw zero, 0(t0)
 */
static const uint32_t work_loop[] = {
	0x00000073, 0x0086c6b3, 0x028686b3, 0xfff40413, 0xfe041ae3, 0x200002b7, 0x0002a023,
};
/* ecall; 1: lui t0, 0x10000; sw zero, 0(t0); addi s0, s0, -1; bnez s0, 1b; then as above */
static const uint32_t exit_loop[] = {
	0x00000073, 0x100002b7, 0x0002a023, 0xfff40413, 0xfe041ae3, 0x200002b7, 0x0002a023,
};

/* The thread's CPU time for n rounds of the guest's loop. */
static double steal_run(struct guest *g, int on, uint64_t n)
{
	double t;

	set_reg(g->vcpu, CORE(regs.pc), MEM_BASE);
	set_reg(g->vcpu, CORE(regs.a7), 0x535441);
	set_reg(g->vcpu, CORE(regs.a6), 0);
	set_reg(g->vcpu, CORE(regs.a0), on ? MEM_BASE + 0x8000 : ~0ull);
	set_reg(g->vcpu, CORE(regs.a1), on ? 0 : ~0ull);
	set_reg(g->vcpu, CORE(regs.a2), 0);
	set_reg(g->vcpu, CORE(regs.s0), n);
	t = clock_now(CLOCK_THREAD_CPUTIME_ID);
	do
		run_to_mmio(g);
	while (g->run->mmio.phys_addr != DONE);
	return clock_now(CLOCK_THREAD_CPUTIME_ID) - t;
}

/* In per cent, of the medians; the sides take turns, and each begins as often. */
static double steal_overhead(const uint32_t *code, size_t size, uint64_t n)
{
	enum { ROUNDS = 41 };
	double on[ROUNDS], off[ROUNDS], with, without;
	struct guest g;

	guest_create(&g, code, size);
	steal_run(&g, 0, n);
	for (int r = 0; r < ROUNDS; r++) {
		if (r & 1)
			on[r] = steal_run(&g, 1, n);
		off[r] = steal_run(&g, 0, n);
		if (!(r & 1))
			on[r] = steal_run(&g, 1, n);
	}
	guest_destroy(&g);
	with = median(on, ROUNDS);
	without = median(off, ROUNDS);
	return (with - without) / without * 100;
}

static void bench_steal(void)
{
	printf("\"steal_overhead_percent\": %.2f, ",
	       steal_overhead(work_loop, sizeof(work_loop), 10000000));
	printf("\"steal_exit_overhead_percent\": %.2f",
	       steal_overhead(exit_loop, sizeof(exit_loop), 100000));
}

/* --- a thousand VMs ---------------------------------------------------------------------- */

static double resident_kib(void)
{
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		die("/proc/self/statm");
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* All of them share one piece of guest memory, so that what grows is theirs. */
static void bench_many(void)
{
	enum { N = 1000 };
	static struct guest g[N];
	struct rlimit rl;
	double t, create, kib;

	if (!getrlimit(RLIMIT_NOFILE, &rl)) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	shared_mem = memory(MEM_SIZE);
	guest_create(&g[0], notify_loop, sizeof(notify_loop));
	run_to_mmio(&g[0]);
	guest_destroy(&g[0]);
	kib = resident_kib();
	t = now();
	for (int i = 0; i < N; i++)
		guest_create(&g[i], notify_loop, sizeof(notify_loop));
	create = (now() - t) / N * 1e6;
	for (int i = 0; i < N; i++) {
		run_to_mmio(&g[i]);
		run_to_mmio(&g[i]);
	}
	kib = (resident_kib() - kib) / N;
	for (int i = 0; i < N; i++)
		guest_destroy(&g[i]);
	munmap(shared_mem, MEM_SIZE);
	shared_mem = NULL;
	printf("\"many_create_us\": %.1f, \"many_kib_each\": %.1f", create, kib);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} parts[] = { { "ioeventfd", bench_ioeventfd }, { "irqfd", bench_irqfd },
		    { "dirty", bench_dirty }, { "slots", bench_slots }, { "steal", bench_steal },
		    { "many", bench_many } };
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
		fflush(stdout);
	}
	printf("}\n");
	if (!done)
		fprintf(stderr, "usage: kvm_events [ioeventfd|irqfd|dirty|slots|steal|many|all]\n");
	softvirt_close(kvm_fd);
	return done ? 0 : 2;
}
