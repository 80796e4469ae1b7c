/* SPDX-License-Identifier: MIT */
/*
 * Zacas, which QEMU 7.2 lacks: amocas.w, .d and .q against what the manual says, and by four
 * harts at once on the same memory.
 */
#include "lib/exec.h"

#define VA 0x2000000000ul
#define ROUNDS 20000u

static struct context ctx, want;
static struct trap t;
static u64 rng = 3;
static u64 cell[4] __attribute__((aligned(32)));

static u32 amocas(unsigned f3, unsigned aqrl, unsigned rd, unsigned rs1, unsigned rs2)
{
	return enc_r(0x2f, f3, 5 << 2 | aqrl, rd, rs1, rs2);
}

static u64 narrow(unsigned f3, u64 v)
{
	return f3 == 2 ? (u64)(u32)v : v;
}

/* One instruction with operands that match the memory, or do not. */
static void single(unsigned f3, unsigned rd, unsigned rs1, unsigned rs2, bool matching)
{
	u64 first[4], expected[2], swap[2];
	unsigned i, bytes = f3 == 2 ? 4 : f3 == 3 ? 8 : 16;
	bool equal;

	exec_registers(&ctx, &rng);
	ctx.sstatus = SSTATUS_SPP;
	for (i = 0; i < 4; i++)
		cell[i] = edge_value(&rng);
	if (matching) {
		if (rd)
			ctx.x[rd] = cell[0] ^ (f3 == 2 ? 0xffffffff00000000 : 0);
		else
			cell[0] = f3 == 2 ? cell[0] & 0xffffffff00000000 : 0;
		if (f3 == 4 && rd)
			ctx.x[rd + 1] = cell[1];
		else if (f3 == 4)
			cell[1] = 0;
	}
	ctx.x[rs1] = (u64)cell;
	memcpy(first, cell, sizeof(first));
	want = ctx;
	expected[0] = ctx.x[rd];
	expected[1] = rd ? ctx.x[rd + 1] : 0;
	swap[0] = ctx.x[rs2];
	swap[1] = rs2 ? ctx.x[rs2 + 1] : 0;
	equal = narrow(f3, expected[0]) == narrow(f3, first[0]) &&
		(f3 != 4 || expected[1] == first[1]);
	exec32(&ctx, &t, amocas(f3, random64(&rng) & 3, rd, rs1, rs2));
	check(t.cause == 3 && t.epc == ctx.pc + 4, "cause %d", t.cause);
	if (rd) {
		want.x[rd] = f3 == 2 ? (u64)(s64)(s32)first[0] : first[0];
		if (f3 == 4)
			want.x[rd + 1] = first[1];
	}
	if (equal)
		memcpy(first, swap, bytes);
	check(!memcmp(first, cell, sizeof(first)), "f3 %u rd %u rs2 %u: memory is %x %x, not %x %x",
	      (u64)f3, (u64)rd, (u64)rs2, cell[0], cell[1], first[0], first[1]);
	for (i = 1; i < 32; i++)
		check(ctx.x[i] == want.x[i], "f3 %u rd %u rs2 %u: x%u is %x, not %x", (u64)f3, (u64)rd,
		      (u64)rs2, (u64)i, ctx.x[i], want.x[i]);
}

static void test_single(void)
{
	static const unsigned rds[] = { 10, 0, 12, 14, 30 };
	unsigned f3, i, j, k;

	for (f3 = 2; f3 <= 4; f3++) {
		test_case_self("amocas.%c", "wdq"[f3 - 2]);
		for (k = 0; k < 40; k++)
			for (i = 0; i < ARRAY_SIZE(rds); i++)
				for (j = 0; j < ARRAY_SIZE(rds); j++)
					single(f3, rds[i], 18, rds[j], k & 1);
	}
	test_case_self("amocas-reserved");
	for (f3 = 0; f3 < 8; f3++)
		for (i = 8; i < 12; i++)
			for (j = 8; j < 12; j++) {
				u32 w = amocas(f3, 0, i, 18, j);

				exec_registers(&ctx, &rng);
				ctx.sstatus = SSTATUS_SPP;
				ctx.x[18] = (u64)cell;
				exec32(&ctx, &t, w);
				if (f3 == 2 || f3 == 3 || (f3 == 4 && !((i | j) & 1)))
					check(t.cause == 3, "%x: cause %d", (u64)w, t.cause);
				else
					check_trap("reserved", &t, 2, ctx.pc, w);
			}
}

static void test_faults(void)
{
	struct vm vm;
	unsigned f3, i;
	u64 *pte;

	vm_init(&vm, 3);
	vm_on(&vm, 0);
	pte = vm_pte(&vm, VA, 0);
	for (f3 = 2; f3 <= 4; f3++) {
		u64 size = f3 == 2 ? 4 : f3 == 3 ? 8 : 16;

		test_case_self("amocas.%c-faults", "wdq"[f3 - 2]);
		for (i = 0; i < 4; i++) {
			/* Absent, read-only, D clear: a store's fault though nothing would match. */
			static const u64 flags[] = { 0, PTE_R | PTE_AD | PTE_V,
						     PTE_R | PTE_W | PTE_A | PTE_V,
						     PTE_R | PTE_W | PTE_AD | PTE_V };

			*pte = PTE_PPN(scratch) | flags[i];
			sfence_vma();
			exec_registers(&ctx, &rng);
			ctx.sstatus = SSTATUS_SPP;
			ctx.x[18] = VA + 64;
			ctx.x[10] = ~*(u64 *)(scratch + 64);
			exec32(&ctx, &t, amocas(f3, 0, 10, 18, 12));
			if (i < 3)
				check_trap("page", &t, 15, ctx.pc, VA + 64);
			else
				check(t.cause == 3, "cause %d", t.cause);
		}
		for (i = 1; i < size; i++) {
			exec_registers(&ctx, &rng);
			ctx.sstatus = SSTATUS_SPP;
			ctx.x[18] = VA + 64 + i;
			exec32(&ctx, &t, amocas(f3, 0, 10, 18, 12));
			check_trap("misaligned", &t, 6, ctx.pc, VA + 64 + i);
		}
	}
	vm_off();
}

struct pair {
	u64 lo, hi;
};

/* a0, a1: expected, and what was there; a2, a3: wanted. */
static struct pair cas16(u64 *p, struct pair expected, struct pair wanted)
{
	register u64 a0 __asm__("a0") = expected.lo;
	register u64 a1 __asm__("a1") = expected.hi;
	register u64 a2 __asm__("a2") = wanted.lo;
	register u64 a3 __asm__("a3") = wanted.hi;
	register u64 a4 __asm__("a4") = (u64)p;

	__asm__ volatile(".word 0x2ec7452f"	/* amocas.q.aqrl a0, a2, (a4) */
			 : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4) : "memory");
	return (struct pair){ a0, a1 };
}

static u64 cas8(u64 *p, u64 expected, u64 wanted)
{
	register u64 a0 __asm__("a0") = expected;
	register u64 a2 __asm__("a2") = wanted;
	register u64 a4 __asm__("a4") = (u64)p;

	__asm__ volatile(".word 0x2ec7352f"	/* amocas.d.aqrl a0, a2, (a4) */
			 : "+r"(a0) : "r"(a2), "r"(a4) : "memory");
	return a0;
}

/* Both halves count, the upper by three: seen together, they always fit together. */
static volatile u64 torn;

static void count_both(struct hart *h)
{
	struct pair now = { 0, 0 }, next, seen;
	unsigned i;

	(void)h;
	for (i = 0; i < ROUNDS; i++)
		for (;;) {
			next = (struct pair){ now.lo + 1, now.hi + 3 };
			seen = cas16(cell, now, next);
			if (seen.hi != seen.lo * 3)
				__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
			if (seen.lo == now.lo && seen.hi == now.hi) {
				now = next;
				break;
			}
			now = seen;
		}
}

/* One hart moves one half by AMOs and by amocas.d: nothing is lost. */
static void count_mixed(struct hart *h)
{
	struct pair now = { 0, 0 }, next, seen;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		if (h->index == 1) {
			__atomic_fetch_add(&cell[0], 1, __ATOMIC_SEQ_CST);
		} else if (h->index == 2) {
			u64 old = cell[1], was;

			while ((was = cas8(&cell[1], old, old + 1)) != old)
				old = was;
		} else {
			for (;;) {
				next = (struct pair){ now.lo + 1, now.hi + 1 };
				seen = cas16(cell, now, next);
				if (seen.lo == now.lo && seen.hi == now.hi)
					break;
				now = seen;
			}
		}
	}
}

static void test_smp(void)
{
	void (*const fns[])(struct hart *) = { count_both, count_mixed };
	unsigned i, k;
	u64 n;

	test_case_self("amocas-smp");
	n = smp_start_all();
	check(n == 4, "%u harts", n);
	for (k = 0; k < 2; k++) {
		memset(cell, 0, sizeof(cell));
		for (i = 1; i < n; i++)
			smp_run(i, fns[k]);
		fns[k](this_hart());
		for (i = 1; i < n; i++)
			smp_wait(i);
		if (!k) {
			check_eq(cell[0], 4 * ROUNDS, "lower half");
			check_eq(cell[1], 12 * ROUNDS, "upper half");
			check_eq(torn, 0, "halves that did not fit together");
		} else {
			check_eq(cell[0], 3 * ROUNDS, "lower half, mixed");
			check_eq(cell[1], 3 * ROUNDS, "upper half, mixed");
		}
	}
}

int main(void)
{
	exec_init();
	test_single();
	test_faults();
	test_smp();
	return 0;
}
