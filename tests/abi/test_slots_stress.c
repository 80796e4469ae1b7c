/* SPDX-License-Identifier: MIT */
/*
 * Slots are deleted, made again, moved, made read-only, logged while four vCPUs read and
 * write them.
 *
 * Model: WORDS of guest memory that never lose a store, however the VMM juggles the slots
 * below them. Word w of a page belongs to vCPU w % 4, which alone writes it and remembers
 * what it wrote; each load is compared with that. The pages are in GROUPS slots that the
 * main thread changes; where no slot is, or a read-only one, the access leaves KVM_RUN and
 * the VMM makes it for the guest, under the lock that the main thread holds while it
 * changes a slot. Guests use two windows onto the same words; a slot is in one of them.
 *
 * What the kernel promises, and how a breach shows:
 *  - after the ioctl that removes a slot no vCPU touches its memory: the memory becomes
 *    PROT_NONE right after the ioctl (PROT_READ for a read-only slot), so a late access ends
 *    KVM_RUN with EFAULT; a slot made again has a copy in other memory, so a late store is
 *    missing from the guest's words;
 *  - no dirty bit is lost: the main thread keeps a copy of all words that it brings up to
 *    date only by what logs say (and by what the VMM itself wrote); at the end of each
 *    phase, when no vCPU runs, copy and memory are the same.
 *
 * Amounts of work are fixed: each vCPU makes ACCESSES a phase, the main thread CHANGES,
 * spread evenly over the accesses by the guests' own count of them; a barrier ends the
 * phase. Nothing waits for a time.
 */
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "abi.h"

#define VCPUS 4
#define GROUPS 4
#define GROUP_PAGES 8
#define GROUP_SIZE (GROUP_PAGES * 4096ull)
/*
 * No two pages share a place in a direct-mapped TLB of 256 or more: an entry that is never
 * pushed out is what a missing flush leaves behind.
 */
#define WINDOW_A 0x40060000ull
#define WINDOW_B 0x500a0000ull
#define STRIDE 0x110000ull
#define PHASES 24
#define CHANGES 40
#if defined(__SANITIZE_THREAD__)
#define ACCESSES 1000
#elif defined(__SANITIZE_ADDRESS__)
#define ACCESSES 4000
#else
#define ACCESSES 20000
#endif
#define CODE ABI_RAM
#define SHADOW (ABI_RAM + 0x10000)	/* each vCPU's own: what its words should hold */
#define FAILED ABI_DONE			/* a load differed: t0 wanted, t1 found */
#define PROGRESS 0x60000000ull		/* each vCPU's count of its accesses */
#define PHASE_OVER (ABI_DONE + 0x1000)

struct group {
	u8 *guest;		/* what the slot is made of */
	u8 *host;		/* the same memory, always writable, for the VMM */
	bool present, logged, read_only;
	u64 base;		/* guest physical, if present */
	u8 copy[GROUP_SIZE] __attribute__((aligned(8)));	/* brought up to date by the logs */
};

struct cpu {
	struct abi a;
	pthread_t thread;
	unsigned int id, exits;
	u64 seed;
};

static struct group groups[GROUPS];
static struct cpu cpus[VCPUS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t begin, end;
static int vm;
static u64 rng_state, *progress;
static bool manual;
static unsigned int failures;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dull;
}

/* --- memory that is mapped twice --------------------------------------------------------- */

static void group_map(struct group *g)
{
	int fd = memfd_create("slots-stress", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_return_code(ftruncate(fd, GROUP_SIZE), errno);
	g->guest = mmap(NULL, GROUP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	g->host = mmap(NULL, GROUP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(g->guest != MAP_FAILED && g->host != MAP_FAILED);
	close(fd);
}

/* Other memory with the same words. What was there before stays forbidden until the end. */
static void group_renew(struct group *g)
{
	u8 *guest = g->guest, *host = g->host;

	group_map(g);
	memcpy(g->host, host, GROUP_SIZE);
	munmap(host, GROUP_SIZE);
	munmap(guest, GROUP_SIZE);
}

/* Vcpus may be writing: word by word. */
static void copy_page(struct group *g, unsigned int page)
{
	u64 *to = (u64 *)(g->copy + page * 4096), *from = (u64 *)(g->host + page * 4096);

	for (unsigned int i = 0; i < 512; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void copy_pages(struct group *g, u64 pages)
{
	for (unsigned int i = 0; i < GROUP_PAGES; i++)
		if (pages & BIT(i))
			copy_page(g, i);
}

/* --- what the main thread does to slots -------------------------------------------------- */

static void set_slot(struct group *g, u64 base, u64 size)
{
	u32 flags = (g->logged ? KVM_MEM_LOG_DIRTY_PAGES : 0) | (g->read_only ? KVM_MEM_READONLY : 0);

	assert_return_code(abi_region(vm, 8 + (g - groups), flags, base, size, g->guest), errno);
}

static u64 window(const struct group *g, bool b)
{
	return (b ? WINDOW_B : WINDOW_A) + (u64)(g - groups) * STRIDE;
}

static void read_log(struct group *g)
{
	u64 bits = 0;
	struct kvm_dirty_log log = { .slot = 8 + (g - groups), .dirty_bitmap = &bits };
	struct kvm_clear_dirty_log clear = { .slot = log.slot, .num_pages = GROUP_PAGES,
					     .dirty_bitmap = &bits };

	assert_return_code(softvirt_ioctl(vm, KVM_GET_DIRTY_LOG, &log), errno);
	if (manual)
		assert_return_code(softvirt_ioctl(vm, KVM_CLEAR_DIRTY_LOG, &clear), errno);
	copy_pages(g, bits);
}

/* Nobody may touch the memory from here on; what was not read from its log is read now. */
static void slot_delete(struct group *g)
{
	set_slot(g, g->base, 0);
	assert_return_code(mprotect(g->guest, GROUP_SIZE, PROT_NONE), errno);
	g->present = false;
	copy_pages(g, ~0ull);
}

static void slot_create(struct group *g, bool logged, bool read_only)
{
	group_renew(g);
	g->logged = logged;
	g->read_only = read_only;
	g->base = window(g, rng() & 1);
	if (read_only)
		assert_return_code(mprotect(g->guest, GROUP_SIZE, PROT_READ), errno);
	set_slot(g, g->base, GROUP_SIZE);
	g->present = true;
	/* Before the log began: all of it. */
	copy_pages(g, ~0ull);
}

/*
 * The last changes of a phase only read logs: what changes slots makes vCPUs forget
 * translations too, and would hide a log's reader that did not.
 */
static void change(bool logs_only)
{
	struct group *g = &groups[rng() % GROUPS];
	u64 what = rng();

	pthread_mutex_lock(&lock);
	if (logs_only) {
		if (g->present && g->logged)
			read_log(g);
	} else if (!g->present) {
		slot_create(g, what & 1, (what & 6) == 6);
	} else if (what % 8 == 0) {
		slot_delete(g);
	} else if (what % 8 == 1) {
		slot_delete(g);
		slot_create(g, what & 16, (what & 96) == 96);
	} else if (what % 8 <= 3) {
		g->base = window(g, g->base < WINDOW_B);
		set_slot(g, g->base, GROUP_SIZE);
	} else if (what % 8 == 4) {
		if (g->logged)
			read_log(g);
		g->logged = !g->logged;
		set_slot(g, g->base, GROUP_SIZE);
		if (g->logged)
			copy_pages(g, ~0ull);
	} else if (g->logged) {
		read_log(g);
	}
	pthread_mutex_unlock(&lock);
}

/* --- vCPUs ------------------------------------------------------------------------------- */

/* The access that the guest wanted, in the group's memory or where it will be copied from. */
static void emulate(struct cpu *c)
{
	struct kvm_run *run = c->a.run;
	u64 gpa = run->mmio.phys_addr, v;
	u64 rel = gpa - (gpa < WINDOW_B ? WINDOW_A : WINDOW_B), off = rel % STRIDE;
	struct group *g = &groups[rel / STRIDE % GROUPS];

	if (rel / STRIDE >= GROUPS || off >= GROUP_SIZE || run->mmio.len != 8) {
		print_message("an access to %#llx\n", (unsigned long long)gpa);
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
		return;
	}
	pthread_mutex_lock(&lock);
	if (run->mmio.is_write) {
		memcpy(&v, run->mmio.data, 8);
		__atomic_store_n((u64 *)(g->host + off), v, __ATOMIC_RELAXED);
		/* In no log: this word, not its page, or a bit that is lost would not be missed. */
		*(u64 *)(g->copy + off) = v;
	} else {
		v = __atomic_load_n((u64 *)(g->host + off), __ATOMIC_RELAXED);
		memcpy(run->mmio.data, &v, 8);
	}
	pthread_mutex_unlock(&lock);
	c->exits++;
}

static void fail_cpu(struct cpu *c, const char *what, int err)
{
	print_message("vCPU %u: %s: %s; exit %u, pc %#llx, t0 %#llx, t1 %#llx\n", c->id, what,
		      strerror(err), c->a.run->exit_reason,
		      (unsigned long long)abi_reg(c->a.vcpu, REG_CORE(regs.pc)),
		      (unsigned long long)abi_reg(c->a.vcpu, REG_CORE(regs.t0)),
		      (unsigned long long)abi_reg(c->a.vcpu, REG_CORE(regs.t1)));
	__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

static void run_phase(struct cpu *c)
{
	struct kvm_run *run = c->a.run;

	for (;;) {
		if (abi_run(&c->a)) {
			fail_cpu(c, "KVM_RUN", errno);
			return;
		}
		if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr == FAILED) {
			fail_cpu(c, "a lost store or a strange exit", 0);
			return;
		}
		if (run->mmio.phys_addr == PHASE_OVER)
			return;
		emulate(c);
	}
}

static void *cpu_thread(void *arg)
{
	struct cpu *c = arg;

	for (int phase = 0; phase < PHASES; phase++) {
		pthread_barrier_wait(&begin);
		if (!__atomic_load_n(&failures, __ATOMIC_RELAXED))
			run_phase(c);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static u32 r_type(u32 op, u32 f7, u32 f3, u32 rd, u32 rs1, u32 rs2)
{
	return op | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}
#define ADD(rd, a, b) r_type(0x33, 0, 0, rd, a, b)
#define XOR(rd, a, b) r_type(0x33, 0, 4, rd, a, b)
#define AND(rd, a, b) r_type(0x33, 0, 7, rd, a, b)
#define SRLI(rd, rs, n) i_type(0x13, 5, rd, rs, n)
#define ANDI(rd, rs, imm) i_type(0x13, 7, rd, rs, imm)
static u32 branch(u32 f3, u32 rs1, u32 rs2, s32 off)
{
	u32 u = (u32)off;

	return 0x63 | (u >> 11 & 1) << 7 | (u >> 1 & 15) << 8 | f3 << 12 | rs1 << 15 | rs2 << 20 |
	       (u >> 5 & 0x3f) << 25 | (u >> 12 & 1) << 31;
}
#define BEQZ(rs, off) branch(0, rs, X0, off)
#define BNEZ(rs, off) branch(1, rs, X0, off)
#define S2 18
#define BEQ(a, b, off) branch(0, a, b, off)

/*
 * s0: xorshift state; s1: the vCPU's shadow; a4: accesses left; a5: the vCPU's number * 8;
 * a6: ACCESSES; a7: where s2, the count of all accesses, is shown. A word's place: group (2 bits), page (3), word (9 without the lowest two,
 * which are the vCPU). Bit 40 of the random number chooses load or store, 41 the window.
 */
static void load_code(u8 *ram)
{
	const u32 code[] = {
		/* 0 */ ADD(A4, A6, X0),
		/* 1: xorshift */
		SLLI(T0, S0, 13), XOR(S0, S0, T0), SRLI(T0, S0, 7), XOR(S0, S0, T0),
		SLLI(T0, S0, 17), XOR(S0, S0, T0),
		/* 7: t1 = word * 32 + number * 8, below 4096 */
		ANDI(T1, S0, 127), SLLI(T1, T1, 5), ADD(T1, T1, A5),
		/* 10: t2 = page * 4096 + t1 */
		SRLI(T2, S0, 8), ANDI(T2, T2, 7), SLLI(T2, T2, 12), ADD(T2, T2, T1),
		/* 14: a0 = group; a1 = shadow + group * 32 KiB + t2 */
		SRLI(A0, S0, 16), ANDI(A0, A0, 3), SLLI(A1, A0, 15), ADD(A1, A1, T2), ADD(A1, A1, S1),
		/* 19: a2 = window + group * STRIDE + t2 */
		SRLI(A2, S0, 41), ANDI(A2, A2, 1), SLLI(T0, A2, 18), SLLI(A2, A2, 28),
		ADD(A2, A2, T0), LUI(A3, WINDOW_A >> 12), ADD(A2, A2, A3), SLLI(T0, A0, 16),
		SLLI(A0, A0, 20), ADD(A2, A2, A0), ADD(A2, A2, T0), ADD(A2, A2, T2),
		/* 31 */ SRLI(A3, S0, 40), ANDI(A3, A3, 1), BNEZ(A3, 6 * 4),
		/* 34: the load */ LD(T0, A1, 0), LD(T1, A2, 0), BEQ(T0, T1, 5 * 4), DONE(T2),
		/* 39: the store */ SD(S0, A2, 0), SD(S0, A1, 0),
		/* 41 */ ADDI(S2, S2, 1), SD(S2, A7, 0), ADDI(A4, A4, -1), BNEZ(A4, -43 * 4),
		LUI(T2, PHASE_OVER >> 12), SW(X0, T2, 0), j_back(-47 * 4),
	};

	memcpy(ram, code, sizeof(code));
}

static void check_copies(void)
{
	for (int i = 0; i < GROUPS; i++) {
		struct group *g = &groups[i];

		if (g->present && g->logged)
			read_log(g);
		else if (g->present)
			copy_pages(g, ~0ull);
		if (!memcmp(g->copy, g->host, GROUP_SIZE))
			continue;
		print_message("group %d: a page was written and is in no log\n", i);
		failures++;
	}
}

static void set_up_vm(struct abi *a, u8 **ram, u8 **shown)
{
	int fd;

	abi_vm(a);
	vm = a->vm;
	*ram = abi_memory(0x200000);
	assert_return_code(abi_region(vm, 0, 0, ABI_RAM, 0x200000, *ram), errno);
	load_code(*ram);
	fd = memfd_create("slots-stress", MFD_CLOEXEC);
	assert_true(fd >= 0 && !ftruncate(fd, 4096));
	*shown = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(*shown != MAP_FAILED && progress != MAP_FAILED);
	close(fd);
	assert_return_code(abi_region(vm, 1, 0, PROGRESS, 4096, *shown), errno);
	for (int i = 0; i < GROUPS; i++) {
		memset(&groups[i], 0, sizeof(groups[i]));
		group_map(&groups[i]);
		assert_return_code(mprotect(groups[i].guest, GROUP_SIZE, PROT_NONE), errno);
	}
	for (unsigned int i = 0; i < VCPUS; i++) {
		struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
		struct cpu *c = &cpus[i];

		c->id = i;
		c->exits = 0;
		c->a.vcpu = softvirt_ioctl(vm, KVM_CREATE_VCPU, i);
		assert_true(c->a.vcpu >= 0);
		c->a.run = abi_map_run(c->a.vcpu);
		assert_return_code(softvirt_ioctl(c->a.vcpu, KVM_SET_MP_STATE, &runnable), errno);
		abi_set(c->a.vcpu, REG_CORE(regs.pc), CODE);
		abi_set(c->a.vcpu, REG_CORE(regs.s0), 0x9e3779b97f4a7c15 * (i + 1));
		abi_set(c->a.vcpu, REG_CORE(regs.s1), SHADOW + i * GROUPS * GROUP_SIZE);
		abi_set(c->a.vcpu, REG_CORE(regs.a5), i * 8);
		abi_set(c->a.vcpu, REG_CORE(regs.a6), ACCESSES);
		abi_set(c->a.vcpu, REG_CORE(regs.a7), PROGRESS + i * 8);
	}
}

/* Until the guests have made so many accesses in all, or nobody will any more. */
static void wait_progress(u64 want)
{
	for (;;) {
		u64 have = 0;

		for (int i = 0; i < VCPUS; i++)
			have += __atomic_load_n(&progress[i], __ATOMIC_RELAXED);
		if (have >= want || __atomic_load_n(&failures, __ATOMIC_RELAXED))
			return;
		sched_yield();
	}
}

static void stress(u64 seed, bool manual_protect)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 } };
	unsigned int exits = 0;
	struct abi a;
	u8 *ram, *shown;

	rng_state = seed;
	manual = manual_protect;
	failures = 0;
	set_up_vm(&a, &ram, &shown);
	if (manual)
		assert_return_code(softvirt_ioctl(vm, KVM_ENABLE_CAP, &cap), errno);
	pthread_barrier_init(&begin, NULL, VCPUS + 1);
	pthread_barrier_init(&end, NULL, VCPUS + 1);
	for (int i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&cpus[i].thread, NULL, cpu_thread, &cpus[i]), 0);
	for (int phase = 0; phase < PHASES; phase++) {
		pthread_barrier_wait(&begin);
		for (u64 i = 0; i < CHANGES; i++) {
			wait_progress((phase * (u64)CHANGES + i) * (VCPUS * ACCESSES / CHANGES));
			change(i >= CHANGES * 2 / 3);
		}
		pthread_barrier_wait(&end);
		check_copies();
	}
	for (int i = 0; i < VCPUS; i++) {
		pthread_join(cpus[i].thread, NULL);
		exits += cpus[i].exits;
		munmap(cpus[i].a.run, ABI_RUN_SIZE);
		softvirt_close(cpus[i].a.vcpu);
	}
	pthread_barrier_destroy(&begin);
	pthread_barrier_destroy(&end);
	assert_int_equal(failures, 0);
	assert_true(exits > 0);
	print_message("# %d accesses, %u of them made by user space; %d changes\n",
		      VCPUS * PHASES * ACCESSES, exits, PHASES * CHANGES);
	abi_down(&a);
	for (int i = 0; i < GROUPS; i++) {
		munmap(groups[i].guest, GROUP_SIZE);
		munmap(groups[i].host, GROUP_SIZE);
	}
	munmap(ram, 0x200000);
	munmap(shown, 4096);
	munmap(progress, 4096);
}

static void slots_change_while_four_vcpus_run(void **state)
{
	stress(0x12345, false);
}

static void the_same_with_manual_protection_of_the_log(void **state)
{
	stress(0x98765, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_change_while_four_vcpus_run),
		cmocka_unit_test(the_same_with_manual_protection_of_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
