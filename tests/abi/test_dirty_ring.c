/* SPDX-License-Identifier: MIT */
/*
 * Dirty rings: KVM_CAP_DIRTY_LOG_RING*, the mapping, KVM_RESET_DIRTY_RINGS,
 * KVM_EXIT_DIRTY_RING_FULL. A ring of 4 KiB has 256 entries, of which 64 are reserved.
 */
#include <pthread.h>
#include <stdlib.h>

#include "abi.h"

#define LOGGED 0x30000000ull
#define PAGES 1024ull
#define RING 4096u
#define ENTRIES (RING / sizeof(struct kvm_dirty_gfn))
#define SOFT_LIMIT (ENTRIES - 64)
#define RING_OFFSET (KVM_RISCV_DIRTY_LOG_PAGE_OFFSET * 4096)
#define ADD(rd, a, b) (0x33u | (rd) << 7 | (a) << 15 | (b) << 20)
#define BNEZ(rs, off) (0x63u | ((off) >> 11 & 1) << 7 | ((off) >> 1 & 15) << 8 | 1 << 12 | \
		       (rs) << 15 | ((off) >> 5 & 0x3f) << 25 | ((u32)(off) >> 12 & 1) << 31)

struct ring {
	struct abi a;
	u8 *memory;
	struct kvm_dirty_gfn *gfns;
	u32 next;		/* to harvest */
};

static int enable(int vm, u32 cap, u64 arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return softvirt_ioctl(vm, KVM_ENABLE_CAP, &c);
}

static int region(struct ring *r, u32 flags)
{
	return abi_region(r->a.vm, 1, flags, LOGGED, PAGES * 4096, r->memory);
}

static struct kvm_dirty_gfn *map_ring(int vcpu)
{
	void *p = softvirt_mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, RING_OFFSET);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/*
 * The guest stores to a0, a0 + 4096, ... a1 times, then exits; once more each time it is run.
 * a0 goes back to where it was: s0 holds the start, s1 the count.
 */
static void up_bitmap(struct ring *r, bool bitmap)
{
	memset(r, 0, sizeof(*r));
	abi_vm(&r->a);
	assert_return_code(enable(r->a.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING), errno);
	if (bitmap)
		assert_return_code(enable(r->a.vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), errno);
	r->a.ram = abi_memory(ABI_RAM_SIZE);
	r->memory = abi_memory(PAGES * 4096);
	assert_return_code(abi_region(r->a.vm, 0, 0, ABI_RAM, ABI_RAM_SIZE, r->a.ram), errno);
	assert_return_code(region(r, KVM_MEM_LOG_DIRTY_PAGES), errno);
	r->a.vcpu = softvirt_ioctl(r->a.vm, KVM_CREATE_VCPU, 0);
	assert_true(r->a.vcpu >= 0);
	r->a.run = abi_map_run(r->a.vcpu);
	r->gfns = map_ring(r->a.vcpu);
	abi_guest(&r->a,
		  ADDI(A0, S0, 0), ADDI(A1, S1, 0), LUI(T0, 1),
		  /* 1: */ SD(A1, A0, 0), ADD(A0, A0, T0), ADDI(A1, A1, -1), BNEZ(A1, -12),
		  DONE(T2), j_back(-36));
}

static void up(struct ring *r)
{
	up_bitmap(r, false);
}

static void down(struct ring *r)
{
	munmap(r->gfns, RING);
	munmap(r->memory, PAGES * 4096);
	abi_down(&r->a);
}

static void store_pages(struct ring *r, u64 first, u64 n)
{
	assert_return_code(abi_set(r->a.vcpu, REG_CORE(regs.s0), LOGGED + first * 4096), errno);
	assert_return_code(abi_set(r->a.vcpu, REG_CORE(regs.s1), n), errno);
}

/* One entry, or -1. */
static s64 harvest(struct ring *r)
{
	struct kvm_dirty_gfn *e = &r->gfns[r->next % ENTRIES];

	if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
		return -1;
	assert_int_equal(e->slot, 1);
	__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	r->next++;
	return e->offset;
}

static int reset(struct ring *r)
{
	return softvirt_ioctl(r->a.vm, KVM_RESET_DIRTY_RINGS, 0);
}

static void run_full(struct ring *r)
{
	assert_return_code(abi_run(&r->a), errno);
	assert_int_equal(r->a.run->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
}

static void wrong_sizes_are_einval_or_e2big(void **state)
{
	const u32 cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
	struct abi a;

	abi_vm(&a);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, cap), 65536 * 16);
	assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, cap), 65536 * 16);
	assert_errno(enable(a.vm, cap, 0), EINVAL);
	assert_errno(enable(a.vm, cap, 2048), EINVAL);		/* below a page */
	assert_errno(enable(a.vm, cap, 4096 * 3), EINVAL);
	assert_errno(enable(a.vm, cap, 2 << 20), E2BIG);
	assert_errno(enable(a.vm, cap, 1u << 31), E2BIG);
	assert_errno(softvirt_ioctl(a.vm, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	assert_return_code(enable(a.vm, cap, 65536 * 16), errno);
	assert_errno(enable(a.vm, cap, 4096), EINVAL);		/* twice */
	assert_return_code(softvirt_ioctl(a.vm, KVM_RESET_DIRTY_RINGS, 0), errno);
	abi_down(&a);
}

static void after_the_first_vcpu_it_is_einval(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_errno(enable(a.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING), EINVAL);
	abi_down(&a);
}

static void the_other_name_is_for_hosts_that_order_stores(void **state)
{
	struct abi a;

	abi_vm(&a);
#if defined(__x86_64__)
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING), 1 << 20);
	assert_return_code(enable(a.vm, KVM_CAP_DIRTY_LOG_RING, RING), errno);
#else
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING), 0);
	assert_errno(enable(a.vm, KVM_CAP_DIRTY_LOG_RING, RING), EINVAL);
#endif
	abi_down(&a);
}

static void a_bitmap_beside_it_wants_a_ring_and_no_slot(void **state)
{
	const u32 cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP;
	struct kvm_enable_cap flags = { .cap = cap, .flags = 1 };
	u8 *m = abi_memory(4096);
	struct abi a;

	abi_vm(&a);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, cap), 1);
	assert_errno(enable(a.vm, cap, 0), EINVAL);
	assert_return_code(enable(a.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING), errno);
	assert_errno(softvirt_ioctl(a.vm, KVM_ENABLE_CAP, &flags), EINVAL);
	assert_return_code(abi_region(a.vm, 0, 0, LOGGED, 4096, m), errno);
	assert_errno(enable(a.vm, cap, 0), EINVAL);
	assert_return_code(abi_region(a.vm, 0, 0, LOGGED, 0, m), errno);
	assert_return_code(enable(a.vm, cap, 0), errno);
	munmap(m, 4096);
	abi_down(&a);
}

static void private_and_executable_mappings_are_einval(void **state)
{
	struct ring r;
	u8 *p;

	up(&r);
	assert_errno((long)softvirt_mmap(NULL, RING, PROT_READ, MAP_PRIVATE, r.a.vcpu, RING_OFFSET),
		     EINVAL);
	assert_errno((long)softvirt_mmap(NULL, RING, PROT_READ | PROT_EXEC, MAP_SHARED, r.a.vcpu,
					 RING_OFFSET), EINVAL);
	/* One that ends in the ring counts, too. */
	assert_errno((long)softvirt_mmap(NULL, RING_OFFSET + RING, PROT_READ | PROT_EXEC,
					 MAP_SHARED, r.a.vcpu, 0), EINVAL);
	assert_errno((long)softvirt_mmap(NULL, -4096ul, PROT_READ, MAP_SHARED, r.a.vcpu,
					 RING_OFFSET), ENOMEM);
	/* kvm_run and the ring in one piece. */
	p = softvirt_mmap(NULL, RING_OFFSET + RING, PROT_READ | PROT_WRITE, MAP_SHARED, r.a.vcpu, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	store_pages(&r, 9, 1);
	abi_run_done(&r.a);
	assert_int_equal(((struct kvm_run *)p)->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(((struct kvm_dirty_gfn *)(p + RING_OFFSET))->offset, 9);
	assert_int_equal(harvest(&r), 9);
	munmap(p, RING_OFFSET + RING);
	down(&r);
}

static void each_page_is_told_once_until_it_is_reset(void **state)
{
	struct ring r;

	up(&r);
	for (int round = 0; round < 8; round++) {
		/* Not yet reset: nothing new, however often it is written. */
		for (int again = 0; again < 3; again++) {
			store_pages(&r, 20, 50);
			abi_run_done(&r.a);
		}
		for (u64 n = 0; n < 50; n++)
			assert_int_equal(harvest(&r), 20 + n);
		assert_int_equal(harvest(&r), -1);
		/* Harvested and not reset is still told. */
		store_pages(&r, 69, 1);
		abi_run_done(&r.a);
		assert_int_equal(harvest(&r), -1);
		assert_int_equal(reset(&r), 50);
		assert_int_equal(reset(&r), 0);
	}
	down(&r);
}

static void loads_and_other_slots_are_not_told(void **state)
{
	struct ring r;

	up(&r);
	/* A load from the page, which must not make a later store pass unseen. */
	abi_guest(&r.a, LBU(T1, S0, 0), DONE(T2), SB(T1, S0, 1), SD(X0, S1, 0), DONE(T2));
	assert_return_code(abi_set(r.a.vcpu, REG_CORE(regs.s0), LOGGED + 7 * 4096), errno);
	assert_return_code(abi_set(r.a.vcpu, REG_CORE(regs.s1), ABI_RAM + 0x2000), errno);
	abi_run_done(&r.a);
	assert_int_equal(harvest(&r), -1);
	abi_run_done(&r.a);
	assert_int_equal(harvest(&r), 7);
	assert_int_equal(harvest(&r), -1);
	down(&r);
}

static void a_full_ring_ends_the_run_until_it_is_reset(void **state)
{
	struct ring r;
	u64 seen = 0;

	up(&r);
	store_pages(&r, 0, PAGES);
	run_full(&r);
	run_full(&r);
	run_full(&r);
	/* Harvesting alone is not enough, and a reset of what was not harvested is none. */
	assert_int_equal(reset(&r), 0);
	run_full(&r);
	for (u64 n = 0; n < SOFT_LIMIT; n++)
		assert_int_equal(harvest(&r), (s64)seen++);
	assert_int_equal(harvest(&r), -1);
	run_full(&r);
	assert_int_equal(reset(&r), SOFT_LIMIT);
	/* Now it goes on with the very next page; each page is told once in all. */
	for (;;) {
		assert_return_code(abi_run(&r.a), errno);
		if (r.a.run->exit_reason == KVM_EXIT_MMIO)
			break;
		assert_int_equal(r.a.run->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
		/* One at a time: the ring is full again after each. */
		assert_int_equal(harvest(&r), (s64)seen++);
		assert_int_equal(reset(&r), 1);
	}
	for (s64 n; (n = harvest(&r)) >= 0;)
		assert_int_equal(n, (s64)seen++);
	assert_int_equal(seen, PAGES);
	for (u64 n = 0; n < PAGES; n++)
		assert_int_equal(*(u64 *)(r.memory + n * 4096), PAGES - n);
	down(&r);
}

static void immediate_exit_comes_before_a_full_ring(void **state)
{
	struct ring r;

	up(&r);
	store_pages(&r, 0, PAGES);
	run_full(&r);
	r.a.run->immediate_exit = 1;
	assert_errno(softvirt_ioctl(r.a.vcpu, KVM_RUN, 0), EINTR);
	r.a.run->immediate_exit = 0;
	run_full(&r);
	down(&r);
}

/* A store over two pages, the second of which has no room, and an AMO: all or nothing, later. */
static void a_store_that_finds_no_room_has_not_happened(void **state)
{
	struct ring r;
	const u64 at = LOGGED + (SOFT_LIMIT + 10) * 4096;

	up(&r);
	store_pages(&r, 0, SOFT_LIMIT - 1);
	abi_run_done(&r.a);
	abi_guest(&r.a, SD(S1, S0, -4), 0x00b8b52fu /* amoadd.d a0, a1, (a7) */, DONE(T2));
	assert_return_code(abi_set(r.a.vcpu, REG_CORE(regs.s0), at), errno);
	assert_return_code(abi_set(r.a.vcpu, REG_CORE(regs.s1), 0x1122334455667788), errno);
	assert_return_code(abi_set(r.a.vcpu, REG_CORE(regs.a7), at + 5 * 4096), errno);
	assert_return_code(abi_set(r.a.vcpu, REG_CORE(regs.a1), 3), errno);
	run_full(&r);
	assert_int_equal(abi_reg(r.a.vcpu, REG_CORE(regs.pc)), ABI_RAM);
	assert_int_equal(*(u32 *)(r.memory + (at - LOGGED) - 4), 0);
	assert_int_equal(harvest(&r), 0);
	assert_int_equal(reset(&r), 1);
	run_full(&r);
	assert_int_equal(abi_reg(r.a.vcpu, REG_CORE(regs.pc)), ABI_RAM + 4);
	assert_int_equal(*(u64 *)(r.memory + (at - LOGGED) - 4), 0x1122334455667788);
	assert_int_equal(*(u64 *)(r.memory + (at - LOGGED) + 5 * 4096), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(harvest(&r), i + 1);
	assert_int_equal(reset(&r), 4);
	abi_run_done(&r.a);
	assert_int_equal(*(u64 *)(r.memory + (at - LOGGED) + 5 * 4096), 3);
	down(&r);
}

static int get_log(struct ring *r, void *bits)
{
	struct kvm_dirty_log l = { .slot = 1, .dirty_bitmap = bits };

	return softvirt_ioctl(r->a.vm, KVM_GET_DIRTY_LOG, &l);
}

static void without_a_bitmap_the_log_is_enxio(void **state)
{
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64 };
	u64 bits[PAGES / 64];
	struct ring r;

	up(&r);
	clear.dirty_bitmap = bits;
	assert_errno(get_log(&r, bits), ENXIO);
	assert_errno(softvirt_ioctl(r.a.vm, KVM_CLEAR_DIRTY_LOG, &clear), ENXIO);
	clear.slot = 99999;
	assert_errno(softvirt_ioctl(r.a.vm, KVM_CLEAR_DIRTY_LOG, &clear), ENXIO);
	down(&r);
}

/* What the hypervisor writes for a vCPU goes to that vCPU's ring, with or without a bitmap. */
static void steal_time_is_told_in_the_ring(void **state)
{
	u64 bits[PAGES / 64];
	struct ring r;

	up_bitmap(&r, true);
	/* set_shmem(LOGGED + 5 * 4096, 0, 0) */
	abi_guest(&r.a, LUI(A7, 0x535), ADDI(A7, A7, 0x441), LI(A6, 0), ADDI(A0, S0, 0), LI(A1, 0),
		  LI(A2, 0), ECALL, DONE(T2));
	assert_return_code(abi_set(r.a.vcpu, REG_CORE(regs.s0), LOGGED + 5 * 4096), errno);
	abi_run_done(&r.a);
	assert_int_equal(abi_reg(r.a.vcpu, REG_CORE(regs.a0)), 0);
	assert_int_equal(harvest(&r), 5);
	assert_int_equal(harvest(&r), -1);
	memset(bits, 0xff, sizeof(bits));
	assert_return_code(get_log(&r, bits), errno);
	for (size_t i = 0; i < PAGES / 64; i++)
		assert_int_equal(bits[i], 0);
	down(&r);
}

static void entries_that_lie_harm_nobody(void **state)
{
	struct ring r;

	up(&r);
	store_pages(&r, 0, 4);
	abi_run_done(&r.a);
	/* All of the ring is "harvested", most of it never dirty. */
	for (size_t i = 0; i < ENTRIES; i++) {
		r.gfns[i].flags = KVM_DIRTY_GFN_F_RESET | KVM_DIRTY_GFN_F_DIRTY;
		r.gfns[i].slot = i == 1 ? 0xffffffff : i == 2 ? 1 : i == 3 ? 0 : 1;
		r.gfns[i].offset = i == 2 ? ~0ull : PAGES * i;
	}
	assert_int_equal(reset(&r), 4);
	assert_int_equal(reset(&r), 0);
	for (size_t i = 0; i < ENTRIES; i++)
		r.gfns[i].flags = 0;
	r.next = 4;
	/* Page 0 was the one that was named rightly. */
	store_pages(&r, 0, 4);
	abi_run_done(&r.a);
	assert_int_equal(harvest(&r), 0);
	assert_int_equal(harvest(&r), -1);
	down(&r);
}

static void a_slot_that_went_leaves_entries_that_reset(void **state)
{
	struct ring r;

	up(&r);
	store_pages(&r, 0, 10);
	abi_run_done(&r.a);
	assert_return_code(abi_region(r.a.vm, 1, 0, LOGGED, 0, r.memory), errno);
	for (int i = 0; i < 10; i++)
		assert_int_equal(harvest(&r), i);
	assert_int_equal(reset(&r), 10);
	/* Made again, its log is empty; switched off and on again, too. */
	assert_return_code(region(&r, KVM_MEM_LOG_DIRTY_PAGES), errno);
	abi_run_done(&r.a);
	assert_int_equal(harvest(&r), 0);
	assert_return_code(region(&r, 0), errno);
	abi_run_done(&r.a);
	assert_return_code(region(&r, KVM_MEM_LOG_DIRTY_PAGES), errno);
	for (int i = 1; i < 10; i++)
		assert_int_equal(harvest(&r), i);
	assert_int_equal(harvest(&r), -1);
	abi_run_done(&r.a);
	assert_int_equal(harvest(&r), 0);
	down(&r);
}

static void create_vcpu_survives_every_failure(void **state)
{
	int before, fd;
	struct abi a;

	abi_vm(&a);
	assert_return_code(enable(a.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING), errno);
	before = abi_count_fds();
	for (unsigned int n = 1; ; n++) {
		sv_fault_inject(n);
		fd = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 0);
		if (!sv_fault_fired())
			break;
		sv_fault_inject(0);
		assert_int_equal(fd, -1);
		assert_int_equal(abi_count_fds(), before);
	}
	sv_fault_inject(0);
	assert_true(fd >= 0);
	softvirt_close(fd);
	abi_down(&a);
}

/* --- four vCPUs, a harvester that copies ------------------------------------------------- */

#define VCPUS 4
#define SHARE (PAGES / VCPUS)
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 20u
#else
#define ROUNDS 100u
#endif

struct worker {
	struct abi a;
	pthread_t thread;
	struct kvm_dirty_gfn *gfns;
	u32 next;
	int full, done;		/* atomic */
};

/* Runs ROUNDS times over its pages; waits for room when the ring is full. */
static void *worker(void *arg)
{
	struct worker *w = arg;

	for (unsigned int round = 0; round < ROUNDS;) {
		if (abi_run(&w->a))
			break;
		if (w->a.run->exit_reason == KVM_EXIT_MMIO)
			round++;
		else if (w->a.run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			break;
		else if (__atomic_fetch_add(&w->full, 1, __ATOMIC_SEQ_CST) >= 0)
			usleep(100);
	}
	__atomic_store_n(&w->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* What the entries say is copied after the reset, as the interface wants it. */
static unsigned int collect(int vm, struct worker *w, const u8 *memory, u8 *copy)
{
	static u64 pages[VCPUS * ENTRIES];
	unsigned int n = 0;

	for (int i = 0; i < VCPUS; i++) {
		for (;;) {
			struct kvm_dirty_gfn *e = &w[i].gfns[w[i].next % ENTRIES];

			if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
				break;
			pages[n++] = e->offset;
			__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
			w[i].next++;
		}
	}
	assert_int_equal(softvirt_ioctl(vm, KVM_RESET_DIRTY_RINGS, 0), n);
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int b = 0; b < 4096; b += 8)
			*(u64 *)(copy + pages[i] * 4096 + b) =
				__atomic_load_n((u64 *)(memory + pages[i] * 4096 + b),
						__ATOMIC_RELAXED);
	return n;
}

static void no_store_is_lost_while_four_vcpus_run(void **state)
{
	static struct worker w[VCPUS];
	unsigned int entries = 0, full = 0;
	struct ring r;
	u8 *copy = abi_memory(PAGES * 4096);
	bool busy = true;

	up(&r);
	for (u32 i = 0; i < VCPUS; i++) {
		struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

		w[i] = (struct worker){ .a = r.a, .gfns = r.gfns };
		if (i) {
			w[i].a.vcpu = softvirt_ioctl(r.a.vm, KVM_CREATE_VCPU, i);
			assert_true(w[i].a.vcpu >= 0);
			w[i].a.run = abi_map_run(w[i].a.vcpu);
			w[i].gfns = map_ring(w[i].a.vcpu);
		}
		assert_return_code(softvirt_ioctl(w[i].a.vcpu, KVM_SET_MP_STATE, &runnable), errno);
		/* Each adds 1 to the first word of its pages: a lost store shows. */
		abi_load(&w[i].a, (u32[]){
			ADDI(A0, S0, 0), ADDI(A1, S1, 0), LUI(T0, 1),
			LD(T1, A0, 0), ADDI(T1, T1, 1), SD(T1, A0, 0), ADD(A0, A0, T0),
			ADDI(A1, A1, -1), BNEZ(A1, -20), DONE(T2), j_back(-44) }, 12 * 4);
		abi_set(w[i].a.vcpu, REG_CORE(regs.s0), LOGGED + i * SHARE * 4096);
		abi_set(w[i].a.vcpu, REG_CORE(regs.s1), SHARE);
	}
	for (int i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, worker, &w[i]), 0);
	while (busy) {
		busy = false;
		for (int i = 0; i < VCPUS; i++)
			busy |= !__atomic_load_n(&w[i].done, __ATOMIC_SEQ_CST);
		entries += collect(r.a.vm, w, r.memory, copy);
		usleep(200);
	}
	for (int i = 0; i < VCPUS; i++)
		pthread_join(w[i].thread, NULL);
	entries += collect(r.a.vm, w, r.memory, copy);
	assert_memory_equal(copy, r.memory, PAGES * 4096);
	for (u64 n = 0; n < PAGES; n++)
		assert_int_equal(*(u64 *)(r.memory + n * 4096), ROUNDS);
	for (int i = 0; i < VCPUS; i++) {
		full += w[i].full;
		if (!i)
			continue;
		munmap(w[i].gfns, RING);
		munmap(w[i].a.run, ABI_RUN_SIZE);
		softvirt_close(w[i].a.vcpu);
	}
	/* Each ring is smaller than its vCPU's share. */
	assert_true(full > 0);
	print_message("# %u entries, %u full exits\n", entries, full);
	munmap(copy, PAGES * 4096);
	down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_sizes_are_einval_or_e2big),
		cmocka_unit_test(after_the_first_vcpu_it_is_einval),
		cmocka_unit_test(the_other_name_is_for_hosts_that_order_stores),
		cmocka_unit_test(a_bitmap_beside_it_wants_a_ring_and_no_slot),
		cmocka_unit_test(private_and_executable_mappings_are_einval),
		cmocka_unit_test(each_page_is_told_once_until_it_is_reset),
		cmocka_unit_test(loads_and_other_slots_are_not_told),
		cmocka_unit_test(a_full_ring_ends_the_run_until_it_is_reset),
		cmocka_unit_test(immediate_exit_comes_before_a_full_ring),
		cmocka_unit_test(a_store_that_finds_no_room_has_not_happened),
		cmocka_unit_test(without_a_bitmap_the_log_is_enxio),
		cmocka_unit_test(steal_time_is_told_in_the_ring),
		cmocka_unit_test(entries_that_lie_harm_nobody),
		cmocka_unit_test(a_slot_that_went_leaves_entries_that_reset),
		cmocka_unit_test(create_vcpu_survives_every_failure),
		cmocka_unit_test(no_store_is_lost_while_four_vcpus_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
