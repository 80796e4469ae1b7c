// SPDX-License-Identifier: MIT
/*
 * What events, memory slots, logs, steal time and many VMs cost.
 *
 * usage: kvm_events [ioeventfd|irqfd|dirty|ring|slots|steal|many|all]
 *
 * Each figure is a median of several rounds. Parts that compare (steal) alternate their
 * two sides and count the thread's CPU time, so that other load on the host cancels out.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vm.h"

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
		    count != N)
			fail("the eventfd was not signalled %d times", N);
	}
	guest_destroy(&g);
	close(io.fd);
	bench_value("ioeventfd_ns", median(ns, ROUNDS), "ns", "a store to an ioeventfd");
}

/*
 * From the write to the eventfd until the guest's handler has answered: irqfd, a route to an
 * interrupt file (AIA), the vCPU, the handler's store to an ioeventfd, on which this waits.
 */
static void aia_attr(int dev, uint32_t group, uint64_t attr, uint64_t value)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)&value };

	if (softvirt_ioctl(dev, KVM_SET_DEVICE_ATTR, &a))
		die("KVM_SET_DEVICE_ATTR");
}

#define IMSIC_BASE 0x28000000ul
#define GSI 1

static int aia_create(int vm)
{
	enum { EIDELIVERY = 0x70, EIE0 = 0xc0 };
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_RISCV_AIA };
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routes = {
		.head.nr = 1,
		.entry = { .gsi = GSI, .type = KVM_IRQ_ROUTING_MSI,
			   .u.msi = { .address_lo = IMSIC_BASE, .data = 1 } },
	};

	if (softvirt_ioctl(vm, KVM_CREATE_DEVICE, &d))
		die("KVM_CREATE_DEVICE");
	aia_attr((int)d.fd, KVM_DEV_RISCV_AIA_GRP_ADDR, KVM_DEV_RISCV_AIA_ADDR_IMSIC(0), IMSIC_BASE);
	aia_attr((int)d.fd, KVM_DEV_RISCV_AIA_GRP_CTRL, KVM_DEV_RISCV_AIA_CTRL_INIT, 0);
	aia_attr((int)d.fd, KVM_DEV_RISCV_AIA_GRP_IMSIC, EIDELIVERY, 1);
	aia_attr((int)d.fd, KVM_DEV_RISCV_AIA_GRP_IMSIC, EIE0, ~0ull);
	if (softvirt_ioctl(vm, KVM_SET_GSI_ROUTING, &routes))
		die("KVM_SET_GSI_ROUTING");
	return (int)d.fd;
}

static void *spin(void *arg)
{
	run_to_mmio(arg);
	return NULL;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

/* Medians of the rounds' medians and 99th percentiles. */
static void irqfd_rounds(const uint32_t *code, size_t size, double *p50, double *p99)
{
	enum { ROUNDS = 5, N = 1000, HANDLER = 0x1000, NEXT = 0x800 };
	/* csrrw a0, stopei, x0; lui t0, 0x10000; sw zero, 0(t0); ld t1, 0(a1); csrw stvec, t1; sret */
	static const uint32_t handler[] = {
		0x15c01573, 0x100002b7, 0x0002a023, 0x0005b303, 0x10531073, 0x10200073,
	};
	/* lui t0, 0x20000; sw zero, 0(t0) */
	static const uint32_t end[] = { 0x200002b7, 0x0002a023 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), answer = eventfd(0, EFD_CLOEXEC), dev;
	struct kvm_irqfd irq = { .fd = (uint32_t)fd, .gsi = GSI };
	struct kvm_ioeventfd io = { .addr = DEVICE, .len = 4, .fd = answer };
	double mid[ROUNDS], high[ROUNDS];
	static double us[N];
	struct guest g;
	pthread_t t;
	uint64_t count;

	guest_create(&g, code, size);
	memcpy((char *)g.mem + HANDLER, handler, sizeof(handler));
	dev = aia_create(g.vm);
	if (fd < 0 || answer < 0 || softvirt_ioctl(g.vm, KVM_IRQFD, &irq) ||
	    softvirt_ioctl(g.vm, KVM_IOEVENTFD, &io))
		die("KVM_IRQFD");
	/* The handler takes its successor from memory. */
	*(uint64_t *)((char *)g.mem + NEXT) = MEM_BASE + HANDLER;
	set_reg(g.vcpu, CORE(regs.a1), MEM_BASE + NEXT);
	set_reg(g.vcpu, CSR(stvec), MEM_BASE + HANDLER);
	set_reg(g.vcpu, CSR(sie), 1 << 9);
	set_reg(g.vcpu, CSR(sstatus), 2);
	if (pthread_create(&t, NULL, spin, &g))
		die("pthread_create");
	for (int r = 0; r < ROUNDS; r++) {
		for (int i = 0; i < N; i++) {
			double from = now();

			signal_fd(fd);
			if (read(answer, &count, sizeof(count)) != sizeof(count))
				die("eventfd");
			us[i] = (now() - from) * 1e6;
		}
		mid[r] = median(us, N);
		high[r] = percentile(us, N, 99);
	}
	/* Another handler, which ends the guest. */
	memcpy((char *)g.mem + HANDLER + 0x1000, end, sizeof(end));
	__atomic_store_n((uint64_t *)((char *)g.mem + NEXT), MEM_BASE + HANDLER + 0x1000,
			 __ATOMIC_SEQ_CST);
	signal_fd(fd);		/* sets the other handler */
	if (read(answer, &count, sizeof(count)) != sizeof(count))
		die("eventfd");
	signal_fd(fd);
	pthread_join(t, NULL);
	guest_destroy(&g);
	softvirt_close(dev);
	close(fd);
	close(answer);
	*p50 = median(mid, ROUNDS);
	*p99 = median(high, ROUNDS);
}

static void bench_irqfd(void)
{
	static const uint32_t sleeps[] = { 0x10500073, 0xffdff06f };	/* 1: wfi; j 1b */
	static const uint32_t spins[] = { 0x0000006f };			/* j . */
	double p50, p99;

	irqfd_rounds(sleeps, sizeof(sleeps), &p50, &p99);
	bench_value("irqfd_asleep_us", p50, "us", "irqfd to a sleeping guest's answer");
	bench_value("irqfd_asleep_p99_us", p99, "us", "  99th percentile");
	irqfd_rounds(spins, sizeof(spins), &p50, &p99);
	bench_value("irqfd_busy_us", p50, "us", "irqfd to a busy guest's answer");
	bench_value("irqfd_busy_p99_us", p99, "us", "  99th percentile");
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
		if (set != pages)
			fail("%llu pages are dirty instead of %llu", (unsigned long long)set,
			     (unsigned long long)pages);
		t = now();
		if (softvirt_ioctl(g.vm, KVM_GET_DIRTY_LOG, &log))
			die("KVM_GET_DIRTY_LOG");
		clean[r] = (now() - t) * 1e6;
	}
	guest_destroy(&g);
	munmap(mem, size);
	munmap(bits, pages / 8);
	bench_value("dirty_log_gib_all_us", median(dirty, ROUNDS), "us",
		    "dirty log of a GiB, all of it dirty");
	bench_value("dirty_log_gib_none_us", median(clean, ROUNDS), "us",
		    "dirty log of a GiB, nothing dirty");
	bench_value("dirty_first_write_ns", median(first, ROUNDS), "ns", "first write to a logged page");
}

/* --- dirty rings ------------------------------------------------------------------------- */

#define RING_BASE 0x100000000ull

/* ns for each of the pages the guest writes once. */
static double touch(struct guest *g, uint64_t pages)
{
	double t;

	set_reg(g->vcpu, CORE(regs.pc), MEM_BASE);
	set_reg(g->vcpu, CORE(regs.a0), pages);
	set_reg(g->vcpu, CORE(regs.a1), RING_BASE);
	set_reg(g->vcpu, CORE(regs.a2), 4096);
	t = now();
	run_to_mmio(g);
	return (now() - t) / (double)pages * 1e9;
}

static void ring_reset(int vm, struct kvm_dirty_gfn *gfns, uint32_t entries, uint64_t pages)
{
	static uint32_t next;

	for (uint64_t i = 0; i < pages; i++, next++)
		__atomic_store_n(&gfns[next % entries].flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	if (softvirt_ioctl(vm, KVM_RESET_DIRTY_RINGS, 0) != (int)pages)
		die("KVM_RESET_DIRTY_RINGS");
}

/* Pages that all fit into the TLB, written again and again: without a log, with each kind. */
static void bench_ring(void)
{
	enum { ROUNDS = 2001, RESETS = 101, ENTRIES = 65536 };
	static double again[3][ROUNDS], first[RESETS], reset[RESETS];
	static const struct { const char *name, *what; } kinds[3] = {
		{ "dirty_again_none_ns", "another write to a page, no log" },
		{ "dirty_again_bitmap_ns", "another write to a page in a dirty log" },
		{ "dirty_again_ring_ns", "another write to a page in a dirty ring" },
	};
	const uint64_t pages = 2048, size = pages << 12;
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = { ENTRIES * 16 },
	};
	void *mem = folded_memory(size), *gfns;

	for (int kind = 0; kind < 3; kind++) {
		struct guest g;

		g.mem = memory(MEM_SIZE);
		memcpy(g.mem, touch_loop, sizeof(touch_loop));
		g.vm = softvirt_ioctl(kvm_fd, KVM_CREATE_VM, 0);
		if (g.vm < 0 || (kind == 2 && softvirt_ioctl(g.vm, KVM_ENABLE_CAP, &cap)))
			die("KVM_CREATE_VM");
		slot(g.vm, 0, 0, MEM_BASE, MEM_SIZE, g.mem);
		slot(g.vm, 1, kind ? KVM_MEM_LOG_DIRTY_PAGES : 0, RING_BASE, size, mem);
		vcpu_create(&g, 0);
		touch(&g, pages);
		for (int r = 0; r < ROUNDS; r++)
			again[kind][r] = touch(&g, pages);
		bench_value(kinds[kind].name, median(again[kind], ROUNDS), "ns", kinds[kind].what);
		if (kind == 2) {
			gfns = softvirt_mmap(NULL, ENTRIES * 16, PROT_READ | PROT_WRITE, MAP_SHARED,
					     g.vcpu, KVM_RISCV_DIRTY_LOG_PAGE_OFFSET * 4096l);
			if (gfns == MAP_FAILED)
				die("mmap of the ring");
			for (int r = 0; r < RESETS; r++) {
				double t = now();

				ring_reset(g.vm, gfns, ENTRIES, pages);
				reset[r] = (now() - t) / (double)pages * 1e9;
				first[r] = touch(&g, pages);
			}
			munmap(gfns, ENTRIES * 16);
		}
		guest_destroy(&g);
	}
	munmap(mem, size);
	bench_value("ring_first_write_ns", median(first, RESETS), "ns",
		    "first write to a ring's page");
	bench_value("ring_reset_ns", median(reset, RESETS), "ns", "harvest and reset of a page");
}

/* --- slots ------------------------------------------------------------------------------- */

/* 1: addi a0, a0, 1; lbu t1, 256(a1); beqz t1, 1b; lui t0, 0x20000; sw zero, 0(t0) */
static const uint32_t spin_loop[] = {
	0x00150513, 0x1005c303, 0xfe030ce3, 0x200002b7, 0x0002a023,
};

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
	bench_value("slot_change_us", median(us, N), "us", "a slot change with four busy vCPUs");
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
	bench_value("steal_overhead_percent", steal_overhead(work_loop, sizeof(work_loop), 10000000),
		    "%", "steal accounting on against off, arithmetic");
	bench_value("steal_exit_overhead_percent",
		    steal_overhead(exit_loop, sizeof(exit_loop), 100000), "%",
		    "steal accounting on against off, exits");
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

enum { MANY = 1000 };

static void many_round(double *create_us, double *kib_each)
{
	static struct guest g[MANY];
	double kib = resident_kib(), t = now();

	for (int i = 0; i < MANY; i++)
		guest_create(&g[i], notify_loop, sizeof(notify_loop));
	*create_us = (now() - t) / MANY * 1e6;
	for (int i = 0; i < MANY; i++) {
		run_to_mmio(&g[i]);
		run_to_mmio(&g[i]);
	}
	*kib_each = (resident_kib() - kib) / MANY;
	for (int i = 0; i < MANY; i++)
		guest_destroy(&g[i]);
}

/* All of them share one piece of guest memory, so that what grows is theirs. */
static void bench_many(void)
{
	enum { ROUNDS = 5 };
	double create[ROUNDS], kib[ROUNDS];
	struct rlimit rl;
	struct guest g;

	if (!getrlimit(RLIMIT_NOFILE, &rl)) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	shared_mem = memory(MEM_SIZE);
	guest_create(&g, notify_loop, sizeof(notify_loop));
	run_to_mmio(&g);
	guest_destroy(&g);
	for (int r = 0; r < ROUNDS; r++)
		many_round(&create[r], &kib[r]);
	munmap(shared_mem, MEM_SIZE);
	shared_mem = NULL;
	/* What later rounds find freed they use again: the first tells the memory. */
	bench_value("many_create_us", median(create, ROUNDS), "us", "each of 1,000 VMs: VM, slot, vCPU");
	bench_value("many_kib_each", kib[0], "KiB", "memory of each, beside guest memory");
}

int main(int argc, char **argv)
{
	static const struct bench_part parts[] = {
		{ "ioeventfd", bench_ioeventfd }, { "irqfd", bench_irqfd }, { "dirty", bench_dirty },
		{ "ring", bench_ring }, { "slots", bench_slots }, { "steal", bench_steal },
		{ "many", bench_many },
	};

	return bench_main(argc, argv, parts, ARRAY_SIZE(parts));
}
