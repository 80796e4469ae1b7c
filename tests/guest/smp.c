/* SPDX-License-Identifier: MIT */
/*
 * Several harts: HSM, IPIs, remote fences, atomics under contention, and litmus tests of the
 * memory model. What the model allows is not counted, what it forbids must be seen 0 times.
 */
#include "lib/exec.h"

#define N 2048			/* locations of a litmus round */
#define ROUNDS 16
#define MAX_THREADS 4

/* Each variable on a cache line of its own, those of one index far apart. */
static struct line {
	volatile u64 v;
	u64 pad[7];
} x[N], y[N];
static u32 seen[MAX_THREADS][N][2];
static u64 forbidden;
static volatile u64 ready, threads;

#define F(name, insns) static inline void name(void) { __asm__ volatile(insns ::: "memory"); }
F(fence_rw_rw, "fence rw, rw")
F(fence_w_w, "fence w, w")
F(fence_r_r, "fence r, r")
F(fence_r_rw, "fence r, rw")
F(fence_tso, "fence.tso")

/* All start a round together: each counts itself in and waits for the others. */
static void rendezvous(void)
{
	u64 n = __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	u64 want = (n + threads - 1) / threads * threads;

	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < want)
		;
}

struct litmus {
	const char *name;
	unsigned threads;
	void (*run)(unsigned thread, unsigned i);
	bool (*bad)(unsigned i);
};
static const struct litmus *litmus;

/* Message passing: data, then flag; who sees the flag must see the data. */
static void mp_run(unsigned thread, unsigned i)
{
	if (!thread) {
		x[i].v = 1;
		fence_w_w();
		y[i].v = 1;
	} else {
		seen[1][i][0] = (u32)y[i].v;
		fence_r_r();
		seen[1][i][1] = (u32)x[i].v;
	}
}

static bool mp_bad(unsigned i)
{
	return seen[1][i][0] == 1 && seen[1][i][1] == 0;
}

static void mp_aq_rl_run(unsigned thread, unsigned i)
{
	u64 v, one = 1;

	if (!thread) {
		x[i].v = 1;
		__asm__ volatile("amoswap.d.rl zero, %0, (%1)" :: "r"(one), "r"(&y[i].v) : "memory");
	} else {
		__asm__ volatile("lr.d.aq %0, (%1)" : "=r"(v) : "r"(&y[i].v) : "memory");
		seen[1][i][0] = (u32)v;
		seen[1][i][1] = (u32)x[i].v;
	}
}

static void mp_tso_run(unsigned thread, unsigned i)
{
	if (!thread) {
		x[i].v = 1;
		fence_tso();
		y[i].v = 1;
	} else {
		seen[1][i][0] = (u32)y[i].v;
		fence_tso();
		seen[1][i][1] = (u32)x[i].v;
	}
}

/* The address of the second load depends on the first. */
static void mp_addr_run(unsigned thread, unsigned i)
{
	u64 f;

	if (!thread) {
		x[i].v = 1;
		fence_w_w();
		y[i].v = 1;
	} else {
		f = y[i].v;
		seen[1][i][0] = (u32)f;
		__asm__ volatile("xor %0, %0, %0" : "+r"(f));
		seen[1][i][1] = (u32)*(volatile u64 *)((u64)&x[i].v + f);
	}
}

/* Store buffering: both can't miss the other's store. */
static void sb_run(unsigned thread, unsigned i)
{
	if (!thread) {
		x[i].v = 1;
		fence_rw_rw();
		seen[0][i][0] = (u32)y[i].v;
	} else {
		y[i].v = 1;
		fence_rw_rw();
		seen[1][i][0] = (u32)x[i].v;
	}
}

static bool sb_bad(unsigned i)
{
	return seen[0][i][0] == 0 && seen[1][i][0] == 0;
}

/* The same with AMOs that are both acquire and release in place of store and fence. */
static void sb_amo_run(unsigned thread, unsigned i)
{
	volatile u64 *mine = thread ? &y[i].v : &x[i].v, *other = thread ? &x[i].v : &y[i].v;
	u64 one = 1, v;

	__asm__ volatile("amoswap.d.aqrl zero, %0, (%1)" :: "r"(one), "r"(mine) : "memory");
	__asm__ volatile("amoadd.d.aqrl %0, zero, (%1)" : "=r"(v) : "r"(other) : "memory");
	seen[thread][i][0] = (u32)v;
}

/* Load buffering: both can't see what the other stores only later. */
static void lb_run(unsigned thread, unsigned i)
{
	if (!thread) {
		seen[0][i][0] = (u32)x[i].v;
		fence_r_rw();
		y[i].v = 1;
	} else {
		seen[1][i][0] = (u32)y[i].v;
		fence_r_rw();
		x[i].v = 1;
	}
}

static bool lb_bad(unsigned i)
{
	return seen[0][i][0] == 1 && seen[1][i][0] == 1;
}

/* Coherence: two loads of one location never go back in time. */
static void corr_run(unsigned thread, unsigned i)
{
	if (!thread) {
		x[i].v = 1;
		x[i].v = 2;
	} else {
		seen[1][i][0] = (u32)x[i].v;
		seen[1][i][1] = (u32)x[i].v;
	}
}

static bool corr_bad(unsigned i)
{
	return seen[1][i][0] > seen[1][i][1] || x[i].v != 2;
}

/* 2+2W: each stores 1 to one and 2 to the other; both can't keep the first store. */
static void ww_run(unsigned thread, unsigned i)
{
	volatile u64 *a = thread ? &y[i].v : &x[i].v, *b = thread ? &x[i].v : &y[i].v;

	*a = 1;
	fence_w_w();
	*b = 2;
}

static bool ww_bad(unsigned i)
{
	return x[i].v == 1 && y[i].v == 1;
}

/* R: store, fence, store against store, fence, load. */
static void r_run(unsigned thread, unsigned i)
{
	if (!thread) {
		x[i].v = 1;
		fence_rw_rw();
		y[i].v = 1;
	} else {
		y[i].v = 2;
		fence_rw_rw();
		seen[1][i][0] = (u32)x[i].v;
	}
}

static bool r_bad(unsigned i)
{
	return y[i].v == 2 && seen[1][i][0] == 0;
}

/* IRIW: two readers can't disagree on the order of two independent writes. */
static void iriw_run(unsigned thread, unsigned i)
{
	switch (thread) {
	case 0:
		x[i].v = 1;
		break;
	case 1:
		y[i].v = 1;
		break;
	case 2:
		seen[2][i][0] = (u32)x[i].v;
		fence_rw_rw();
		seen[2][i][1] = (u32)y[i].v;
		break;
	case 3:
		seen[3][i][0] = (u32)y[i].v;
		fence_rw_rw();
		seen[3][i][1] = (u32)x[i].v;
		break;
	}
}

static bool iriw_bad(unsigned i)
{
	return seen[2][i][0] == 1 && seen[2][i][1] == 0 && seen[3][i][0] == 1 && seen[3][i][1] == 0;
}

/* WRC: a write seen by one, passed on to a third. */
static void wrc_run(unsigned thread, unsigned i)
{
	switch (thread) {
	case 0:
		x[i].v = 1;
		break;
	case 1:
		seen[1][i][0] = (u32)x[i].v;
		fence_rw_rw();
		y[i].v = seen[1][i][0];
		break;
	case 2:
		seen[2][i][0] = (u32)y[i].v;
		fence_r_r();
		seen[2][i][1] = (u32)x[i].v;
		break;
	}
}

static bool wrc_bad(unsigned i)
{
	return seen[2][i][0] == 1 && seen[2][i][1] == 0;
}

static const struct litmus tests[] = {
	{ "message-passing", 2, mp_run, mp_bad },
	{ "message-passing-aq-rl", 2, mp_aq_rl_run, mp_bad },
	{ "message-passing-tso", 2, mp_tso_run, mp_bad },
	{ "message-passing-address", 2, mp_addr_run, mp_bad },
	{ "store-buffering", 2, sb_run, sb_bad },
	{ "store-buffering-amo", 2, sb_amo_run, sb_bad },
	{ "load-buffering", 2, lb_run, lb_bad },
	{ "coherence", 2, corr_run, corr_bad },
	{ "2+2w", 2, ww_run, ww_bad },
	{ "r", 2, r_run, r_bad },
	{ "wrc", 3, wrc_run, wrc_bad },
	{ "iriw", 4, iriw_run, iriw_bad },
};

static void litmus_thread(struct hart *h)
{
	unsigned round, i, thread = (unsigned)h->index;

	for (round = 0; round < ROUNDS; round++) {
		rendezvous();
		/* Half of the rounds in opposite directions: they meet somewhere in the middle. */
		for (i = 0; i < N; i++)
			litmus->run(thread, round & 1 && thread & 1 ? N - 1 - i : i);
		rendezvous();
		if (!thread) {
			for (i = 0; i < N; i++) {
				forbidden += litmus->bad(i);
				x[i].v = y[i].v = 0;
			}
			memset(seen, 0, sizeof(seen));
			fence();
		}
	}
}

static void run_litmus(void)
{
	unsigned i, k;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		litmus = &tests[i];
		test_case("litmus-%s", litmus->name);
		forbidden = ready = 0;
		threads = litmus->threads;
		for (k = 1; k < threads; k++)
			smp_run(k, litmus_thread);
		litmus_thread(&harts[0]);
		for (k = 1; k < threads; k++)
			smp_wait(k);
		print("  forbidden outcomes %u of %u\n", forbidden, (u64)N * ROUNDS);
		check_eq(forbidden, 0, "forbidden outcomes");
	}
}

/* Contention: every hart does the same number of operations on the same words. */
static struct {
	u64 d, lrsc;
	u32 w[2], lock;
	u64 locked, max;
	u64 bytes;
} shared __attribute__((aligned(64)));
#define TIMES 5000

static void contend(struct hart *h)
{
	u64 i, t, f, one = 1;

	rendezvous();
	for (i = 0; i < TIMES; i++) {
		__asm__ volatile("amoadd.d zero, %0, (%1)" :: "r"(one), "r"(&shared.d) : "memory");
		__asm__ volatile("amoadd.w zero, %0, (%1)"
				 :: "r"(one), "r"(&shared.w[h->index & 1]) : "memory");
		__asm__ volatile("1: lr.d %0, (%2)\naddi %0, %0, 1\nsc.d %1, %0, (%2)\nbnez %1, 1b"
				 : "=&r"(t), "=&r"(f) : "r"(&shared.lrsc) : "memory");
		__asm__ volatile("amomax.d zero, %0, (%1)"
				 :: "r"(i * 8 + h->index), "r"(&shared.max) : "memory");
		__asm__ volatile("1: amoswap.w.aq %0, %1, (%2)\nbnez %0, 1b"
				 : "=&r"(t) : "r"(one), "r"(&shared.lock) : "memory");
		shared.locked++;
		__asm__ volatile("amoswap.w.rl zero, zero, (%0)" :: "r"(&shared.lock) : "memory");
		/* Plain byte stores must leave the neighbours' bytes alone. */
		((volatile u8 *)&shared.bytes)[h->index] = (u8)i;
	}
}

static void test_contention(void)
{
	u64 k, n = smp_count();

	test_case("contention");
	memset(&shared, 0, sizeof(shared));
	ready = 0;
	threads = n;
	for (k = 1; k < n; k++)
		smp_run(k, contend);
	contend(&harts[0]);
	for (k = 1; k < n; k++)
		smp_wait(k);
	print("  amoadd.d %u amoadd.w %u %u lr/sc %u amomax %u lock %u bytes %x\n", shared.d,
	      (u64)shared.w[0], (u64)shared.w[1], shared.lrsc, shared.max, shared.locked,
	      shared.bytes);
	check_eq(shared.d, TIMES * n, "amoadd.d");
	check_eq(shared.lrsc, TIMES * n, "lr/sc");
	check_eq(shared.locked, TIMES * n, "lock");
}

/* A store by another hart between LR and SC: the SC must fail. */
#define SC_TIMES 100
static volatile u64 step, sc_word;

static void sc_other(struct hart *h)
{
	u64 i;

	(void)h;
	for (i = 0; i < SC_TIMES; i++) {
		while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) != 2 * i + 1)
			;
		sc_word += 7;
		__atomic_store_n(&step, 2 * i + 2, __ATOMIC_RELEASE);
	}
}

static void test_sc_fails(void)
{
	u64 i, v, f, ok = 0, s;

	test_case("sc-after-foreign-store");
	step = sc_word = 0;
	smp_run(1, sc_other);
	for (i = 0; i < SC_TIMES; i++) {
		s = 2 * i + 1;
		__asm__ volatile("lr.d %0, (%3)\n"
				 "fence rw, rw\n"
				 "sd %4, (%2)\n"
				 "1: ld %1, (%2)\n"
				 "beq %1, %4, 1b\n"
				 "fence rw, rw\n"
				 "sc.d %1, zero, (%3)\n"
				 : "=&r"(v), "=&r"(f) : "r"(&step), "r"(&sc_word), "r"(s) : "memory");
		ok += f == 0;
	}
	smp_wait(1);
	print("  SCs that succeeded: %u, word %u\n", ok, sc_word);
}

/* HSM */
static volatile u64 seen_a0;

static void stop_self(struct hart *h)
{
	(void)h;
	sbi_call(SBI_EXT_HSM, 1, 0, 0, 0, 0, 0);
	seen_a0 = 99;		/* never */
}

extern const char raw_entry[];
extern volatile u64 raw_seen[5];
__asm__(".text\n.balign 4\nraw_entry:\n"
	"	la	t0, raw_seen\n"
	"	sd	a0, 0(t0)\n"
	"	sd	a1, 8(t0)\n"
	"	csrr	t1, satp\n"
	"	sd	t1, 16(t0)\n"
	"	csrr	t1, sstatus\n"
	"	andi	t1, t1, 2\n"
	"	sd	t1, 24(t0)\n"
	"	fence	rw, rw\n"
	"	li	t1, 1\n"
	"	sd	t1, 32(t0)\n"
	"	li	a7, 0x48534d\n"
	"	li	a6, 1\n"
	"	ecall\n"
	"1:	j	1b\n"
	".data\n.balign 8\nraw_seen: .zero 40\n.text\n");

static u64 wait_status(u64 hartid, u64 want)
{
	struct sbi_ret r;
	u64 n;

	for (n = 0; n < 100000000; n++) {
		r = sbi_call(SBI_EXT_HSM, 2, hartid, 0, 0, 0, 0);
		if (r.error || r.value == want)
			break;
	}
	return r.error ? (u64)r.error : r.value;
}

static bool started(u64 hartid)
{
	struct sbi_ret r;
	u64 n;

	for (n = 0; n < 100000000; n++) {
		r = sbi_call(SBI_EXT_HSM, 2, hartid, 0, 0, 0, 0);
		if (r.error || r.value == 0 || r.value == 4)
			break;
	}
	return !r.error && (r.value == 0 || r.value == 4);
}

static void test_hsm(void)
{
	u64 id = harts[1].hartid;
	struct sbi_ret r;

	test_case("hsm");
	r = sbi_call(SBI_EXT_HSM, 2, harts[0].hartid, 0, 0, 0, 0);
	print("  own status %u error %d\n", r.value, r.error);
	/* An idle one may be shown as suspended (4): it is, in its WFI. */
	print("  another's is %s\n", started(id) ? "started" : "WRONG");
	r = sbi_call(SBI_EXT_HSM, 0, id, (u64)raw_entry, 0, 0, 0);
	print("  start of a started hart: error %d\n", r.error);
	r = sbi_call(SBI_EXT_HSM, 0, 1000, (u64)raw_entry, 0, 0, 0);
	print("  start of hart 1000: error %d\n", r.error);
	r = sbi_call(SBI_EXT_HSM, 2, 1000, 0, 0, 0, 0);
	print("  status of hart 1000: error %d\n", r.error);
	smp_run(1, stop_self);
	print("  stopped: status %u\n", wait_status(id, 1));
	print("  code after the stop ran: %u\n", seen_a0);
	r = sbi_call(SBI_EXT_HSM, 0, id, (u64)raw_entry, 0x123456789abcdef0, 0, 0);
	while (!raw_seen[4])
		;
	print("  started: error %d a0 %s a1 %x satp %x SIE %u\n", r.error,
	      raw_seen[0] == id ? "is its hartid" : "WRONG", raw_seen[1], raw_seen[2], raw_seen[3]);
	print("  stopped again: status %u\n", wait_status(id, 1));
	/* Back to the runtime. */
	harts[1].work = NULL;
	harts[1].recover_sp = (u64)harts[1].stack + STACK_SIZE;
	r = sbi_call(SBI_EXT_HSM, 0, id, (u64)smp_entry, (u64)&harts[1], 0, 0);
	print("  started for good: error %d status %s\n", r.error,
	      started(id) ? "started" : "WRONG");
	/* A retentive suspend returns when an interrupt is pending. */
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	r = sbi_call(SBI_EXT_HSM, 3, 0, 0, 0, 0, 0);
	csr_clear(sip, BIT(1));
	csr_write(sie, 0);
	print("  retentive suspend: error %d\n", r.error);
}

/* IPIs */
static void count_irq(struct hart *h, u64 cause)
{
	(void)h;
	if (cause == IRQ_S_SOFT)
		csr_clear(sip, BIT(1));
}

static volatile u64 ipi_goal;

static void take_ipis(struct hart *h)
{
	h->irq = count_irq;
	csr_write(sie, BIT(1));
	csr_set(sstatus, SSTATUS_SIE);
	rendezvous();
	while (__atomic_load_n(&h->irq_count[1], __ATOMIC_RELAXED) < ipi_goal) {
		if (h->index & 1) {
			/* Odd harts sleep, SIE clear so that the IPI stays for the WFI to see. */
			csr_clear(sstatus, SSTATUS_SIE);
			if (h->irq_count[1] < ipi_goal)
				__asm__ volatile("wfi");
			csr_set(sstatus, SSTATUS_SIE);
		}
	}
	csr_write(sie, 0);
}

static void test_ipis(void)
{
	u64 k, n = smp_count(), round, mask = 0;

	test_case("ipi");
	for (k = 1; k < n; k++)
		mask |= BIT(harts[k].hartid);
	for (round = 0; round < 50; round++) {
		ready = 0;
		threads = n;
		for (k = 0; k < n; k++)
			harts[k].irq_count[1] = 0;
		ipi_goal = 1;
		for (k = 1; k < n; k++)
			smp_run(k, take_ipis);
		rendezvous();
		if (round & 1)
			sbi_call(SBI_EXT_IPI, 0, mask, 0, 0, 0, 0);
		else		/* one by one, through hart_mask_base */
			for (k = 1; k < n; k++)
				sbi_call(SBI_EXT_IPI, 0, 1, harts[k].hartid, 0, 0, 0);
		for (k = 1; k < n; k++)
			smp_wait(k);
	}
	/* To all by a base of -1, the sender included. */
	ready = 0;
	harts[0].irq_count[1] = 0;
	for (k = 1; k < n; k++)
		harts[k].irq_count[1] = 0;
	for (k = 1; k < n; k++)
		smp_run(k, take_ipis);
	rendezvous();
	sbi_call(SBI_EXT_IPI, 0, 0, ~0ul, 0, 0, 0);
	for (k = 1; k < n; k++)
		smp_wait(k);
	print("  own SSIP %u\n", csr_read(sip) >> 1 & 1);
	csr_clear(sip, BIT(1));
	print("  %u rounds on %u harts\n", round, n);
}

/* Remote fences: after the call returns, no other hart may use the old translation or code. */
#define VA 0x2000000000ul
static u64 fence_rounds;
static struct vm vm;
static volatile u64 sequence;
static u8 frames[2][4096] __attribute__((aligned(4096)));
static u64 stale;

static void fence_reader(struct hart *h)
{
	u64 s, v;

	(void)h;
	csr_write(satp, vm_satp(&vm, 5));
	sfence_vma();
	rendezvous();
	do {
		s = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
		v = *(volatile u64 *)VA;
		/* The page says when it was mapped: never before what has been announced. */
		if (v < s)
			__atomic_fetch_add(&stale, 1, __ATOMIC_RELAXED);
	} while (s < fence_rounds);
	csr_write(satp, 0);
	sfence_vma();
}

static void test_remote_sfence(void)
{
	static const char *const names[] = { "page", "all", "asid", "huge range" };
	u64 k, n, mask = 0, i, kind, *pte;
	struct sbi_ret r = { 0, 0 };

	test_case("remote-sfence");
	vm_reset();
	vm_init(&vm, 3);
	pte = vm_pte(&vm, VA, 0);
	for (kind = 0; kind < 4; kind++) {
		/* One other hart, many rounds; with all of them each round takes long. */
		n = kind == 1 ? smp_count() : 2;
		fence_rounds = kind == 1 ? 10 : 40;
		mask = BIT(harts[1].hartid);
		*(u64 *)frames[0] = 0;
		*pte = PTE_PPN(frames[0]) | PTE_R | PTE_AD | PTE_V;
		fence();
		sequence = stale = ready = 0;
		threads = n;
		for (k = 1; k < n; k++)
			smp_run(k, fence_reader);
		rendezvous();
		for (i = 1; i <= fence_rounds; i++) {
			*(volatile u64 *)frames[i & 1] = i;
			fence();
			*(volatile u64 *)pte = PTE_PPN(frames[i & 1]) | PTE_R | PTE_AD | PTE_V;
			fence();
			switch (kind) {
			case 0:
				r = sbi_call(SBI_EXT_RFENCE, 1, mask, 0, VA, 4096, 0);
				break;
			case 1:
				r = sbi_call(SBI_EXT_RFENCE, 1, 0, ~0ul, 0, 0, 0);
				break;
			case 2:
				r = sbi_call(SBI_EXT_RFENCE, 2, mask, 0, VA, 4096, 5);
				break;
			case 3:
				r = sbi_call(SBI_EXT_RFENCE, 1, mask, 0, 0, ~0ul, 0);
				break;
			}
			__atomic_store_n(&sequence, i, __ATOMIC_RELEASE);
		}
		for (k = 1; k < n; k++)
			smp_wait(k);
		print("  %s: error %d stale reads %u\n", names[kind], r.error, stale);
	}
}

static volatile u32 remote_code[2] __attribute__((aligned(64)));
static bool own_fence;

static void code_runner(struct hart *h)
{
	u64 (*fn)(void) = (u64 (*)(void))(u64)remote_code;
	u64 s, v;

	(void)h;
	fence_i();
	rendezvous();
	do {
		s = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
		if (own_fence)
			fence_i();
		v = fn();
		if (v < s)
			__atomic_fetch_add(&stale, 1, __ATOMIC_RELAXED);
	} while (s < fence_rounds);
}

static void test_remote_fence_i(void)
{
	u64 k, n, mask, i, how;

	/* Self: QEMU 7.2 now and then runs a translation that it made while the store went by. */
	test_case_self("remote-fence-i");
	for (how = 0; how < 3; how++) {
		n = how == 2 ? smp_count() : 2;
		fence_rounds = how == 2 ? 25 : 300;
		mask = n == 2 ? BIT(harts[1].hartid) : 0;
		own_fence = how == 1;
		remote_code[0] = enc_i(0x13, 0, 10, 0, 0);
		remote_code[1] = 0x00008067;	/* ret */
		fence();
		sequence = stale = ready = 0;
		threads = n;
		for (k = 1; k < n; k++)
			smp_run(k, code_runner);
		rendezvous();
		for (i = 1; i <= fence_rounds; i++) {
			remote_code[0] = enc_i(0x13, 0, 10, 0, (s32)i);
			fence();
			if (!own_fence)
				sbi_call(SBI_EXT_RFENCE, 0, mask, mask ? 0 : ~0ul, 0, 0, 0);
			__atomic_store_n(&sequence, i, __ATOMIC_RELEASE);
		}
		for (k = 1; k < n; k++)
			smp_wait(k);
		print("  %s: stale calls %u\n",
		      how == 1 ? "fence.i on the other side" : how ? "to all" : "remote fence.i", stale);
		check_eq(stale, 0, "stale calls");
	}
}

static void test_sbi_base(void)
{
	static const u64 exts[] = { SBI_EXT_BASE, SBI_EXT_TIME, SBI_EXT_IPI, SBI_EXT_RFENCE,
				    SBI_EXT_HSM, SBI_EXT_SRST };
	struct sbi_ret r;
	unsigned i;

	test_case("sbi-base");
	for (i = 0; i < ARRAY_SIZE(exts); i++) {
		r = sbi_call(SBI_EXT_BASE, 3, exts[i], 0, 0, 0, 0);
		print("  probe %x: error %d present %u\n", exts[i], r.error, (u64)!!r.value);
	}
	r = sbi_call(SBI_EXT_BASE, 3, 0x12345678, 0, 0, 0, 0);
	print("  probe of nothing: error %d present %u\n", r.error, (u64)!!r.value);
	r = sbi_call(0x12345678, 0, 0, 0, 0, 0, 0);
	print("  call of nothing: error %d\n", r.error);
	r = sbi_call(SBI_EXT_BASE, 99, 0, 0, 0, 0, 0);
	print("  base function 99: error %d\n", r.error);
	r = sbi_call(SBI_EXT_HSM, 99, 0, 0, 0, 0, 0);
	print("  HSM function 99: error %d\n", r.error);
	r = sbi_call(SBI_EXT_BASE, 0, 0, 0, 0, 0, 0);
	check(!r.error && r.value >= 0x2, "spec version %x", r.value);
}

int main(void)
{
	u64 n = smp_start_all();

	test_sbi_base();
	test_case("harts");
	print("  %u\n", n);
	if (n < 4) {
		print("  FAIL four harts are needed\n");
		return 1;
	}
	test_hsm();
	test_ipis();
	test_contention();
	test_sc_fails();
	test_remote_sfence();
	test_remote_fence_i();
	run_litmus();
	return 0;
}
