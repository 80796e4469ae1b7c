/* SPDX-License-Identifier: MIT */
/*
 * What QEMU 7.2 lacks: Zicbom, Zicboz (64-byte blocks), Zawrs. Not run there; the expectations
 * are the CMO and Zawrs specifications'. Two harts.
 */
#include "lib/exec.h"

#define VA 0x2000000000ul
#define CBO(name, imm) u64 name(u64 a, u64 b, u64 c); \
	__asm__(".text\n.balign 4\n" #name ": .insn i 0x0f, 2, x0, a0, " #imm "\nret\n")
CBO(cbo_inval, 0);
CBO(cbo_clean, 1);
CBO(cbo_flush, 2);
CBO(cbo_zero, 4);
#define WORD(name, w) u64 name(u64 a, u64 b, u64 c); \
	__asm__(".text\n.balign 4\n" #name ": .word " #w "\nret\n")
WORD(cbo_3, 0x0035200f);
WORD(cbo_5, 0x0055200f);
WORD(cbo_zero_rd, 0x0045208f);
WORD(wrs_nto, 0x00d00073);
WORD(wrs_sto, 0x01d00073);
u64 lr_wrs_nto(u64 a, u64 b, u64 c);
u64 lr_wrs_sto(u64 a, u64 b, u64 c);
__asm__(".text\n.balign 4\nlr_wrs_nto: lr.d a1, (a0)\n"
	" bne a1, a2, 1f\n.word 0x00d00073\n1: ld a0, (a0)\n ret\n"
	"lr_wrs_sto: lr.d a1, (a0)\n .word 0x01d00073\n ld a0, (a0)\n ret\n");

typedef u64 (*fn_t)(u64 a, u64 b, u64 c);
static const fn_t cbos[] = { cbo_inval, cbo_clean, cbo_flush, cbo_zero };
static const char *const names[] = { "cbo.inval", "cbo.clean", "cbo.flush", "cbo.zero" };
static u8 block[4096] __attribute__((aligned(4096)));
static struct trap t;

static void fill(void)
{
	unsigned i;

	for (i = 0; i < sizeof(block); i++)
		block[i] = (u8)(i * 7 + 1);
}

static unsigned zeroes_wrong(u64 from, u64 to)
{
	unsigned i, wrong = 0;

	for (i = 0; i < sizeof(block); i++)
		wrong += block[i] != (i >= from && i < to ? 0 : (u8)(i * 7 + 1));
	return wrong;
}

static void test_zero(void)
{
	u64 off;

	test_case_self("cbo.zero");
	for (off = 0; off < 256; off += 13) {
		fill();
		try_call(&t, cbo_zero, (u64)block + 1024 + off, 0, 0);
		check(t.cause == NO_TRAP, "cause %d", t.cause);
		check_eq(zeroes_wrong((1024 + off) & ~63ul, ((1024 + off) & ~63ul) + 64), 0,
			 "bytes that are wrong around the block");
	}
	test_case_self("cbo.inval-clean-flush");
	for (off = 0; off < 3; off++) {
		fill();
		try_call(&t, cbos[off], (u64)block + 100, 0, 0);
		check(t.cause == NO_TRAP, "%s: cause %d", names[off], t.cause);
		check_eq(zeroes_wrong(0, 0), 0, "changed bytes");
	}
	test_case_self("cbo-reserved");
	try_call(&t, cbo_3, (u64)block, 0, 0);
	check_trap("immediate 3", &t, 2, (u64)cbo_3, 0x0035200f);
	try_call(&t, cbo_5, (u64)block, 0, 0);
	check_trap("immediate 5", &t, 2, (u64)cbo_5, 0x0055200f);
	try_call(&t, cbo_zero_rd, (u64)block, 0, 0);
	check_trap("rd other than 0", &t, 2, (u64)cbo_zero_rd, 0x0045208f);
}

/* senvcfg: CBIE 5:4 for inval, CBCFE 6 for clean and flush, CBZE 7 for zero. */
static void test_user(void)
{
	static const u64 enables[] = { 3 << 4, 1 << 6, 1 << 6, 1 << 7 };
	static const u32 words[] = { 0x0005200f, 0x0015200f, 0x0025200f, 0x0045200f };
	unsigned i;

	test_case_self("cbo-in-u");
	for (i = 0; i < 4; i++) {
		csr_write(senvcfg, 0xf0 & ~enables[i]);
		try_user(&t, cbos[i], (u64)block, 0, 0);
		check_trap(names[i], &t, 2, (u64)cbos[i], words[i]);
		csr_write(senvcfg, enables[i]);
		try_user(&t, cbos[i], (u64)block, 0, 0);
		check(t.cause == NO_TRAP, "%s enabled: cause %d", names[i], t.cause);
	}
	/* CBIE 1: inval does a flush; nothing to see but no trap. */
	csr_write(senvcfg, 1 << 4);
	try_user(&t, cbo_inval, (u64)block, 0, 0);
	check(t.cause == NO_TRAP, "cbo.inval as flush: cause %d", t.cause);
	csr_write(senvcfg, 0);
}

static void test_faults(void)
{
	struct vm vm;
	u64 *pte;
	unsigned i;

	test_case_self("cbo-faults");
	vm_init(&vm, 3);
	vm_on(&vm, 0);
	pte = vm_pte(&vm, VA, 0);
	for (i = 0; i < 4; i++) {
		*pte = 0;
		sfence_vma();
		try_call(&t, cbos[i], VA + 70, 0, 0);
		check(t.cause == 15 && (t.tval == VA + 70 || t.tval == VA + 64),
		      "%s, no page: cause %d tval %x", names[i], t.cause, t.tval);
		*pte = PTE_PPN(block) | PTE_R | PTE_AD | PTE_V;
		sfence_vma();
		try_call(&t, cbos[i], VA + 70, 0, 0);
		/* Read permission is enough to manage a block, not to zero it. */
		check(i == 3 ? t.cause == 15 : t.cause == NO_TRAP, "%s, read-only page: cause %d",
		      names[i], t.cause);
		*pte = PTE_PPN(block) | PTE_R | PTE_W | PTE_A | PTE_V;
		sfence_vma();
		try_call(&t, cbos[i], VA + 70, 0, 0);
		check(i == 3 ? t.cause == 15 : t.cause == NO_TRAP, "%s, D clear: cause %d", names[i],
		      t.cause);
		*pte = PTE_PPN(block) | PTE_R | PTE_W | PTE_AD | PTE_V;
		sfence_vma();
		fill();
		try_call(&t, cbos[i], VA + 70, 0, 0);
		check(t.cause == NO_TRAP, "%s: cause %d", names[i], t.cause);
		check_eq(zeroes_wrong(i == 3 ? 64 : 0, i == 3 ? 128 : 0), 0, "wrong bytes");
	}
	vm_off();
}

static volatile u64 word, go;

static void storer(struct hart *h)
{
	u64 i;

	(void)h;
	for (i = 1; i <= 200; i++) {
		while (__atomic_load_n(&go, __ATOMIC_ACQUIRE) != i)
			;
		word = i;
	}
}

static void test_zawrs(void)
{
	u64 i, start, v;

	test_case_self("zawrs");
	/* An interrupt that is pending and enabled in sie ends either, SIE or not. */
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	try_call(&t, lr_wrs_nto, (u64)&word, 0, word);
	check(t.cause == NO_TRAP, "wrs.nto with an interrupt pending: cause %d", t.cause);
	csr_clear(sip, BIT(1));
	/* The short one ends by itself. */
	csr_write(sie, 0);
	start = csr_read(time);
	try_call(&t, lr_wrs_sto, (u64)&word, 0, 0);
	check(t.cause == NO_TRAP, "wrs.sto: cause %d", t.cause);
	check(csr_read(time) - start < 10000000, "wrs.sto took %u ticks", csr_read(time) - start);
	/* Without a reservation neither waits for long: the timer is there in case it does. */
	csr_write(stimecmp, csr_read(time) + 20000000);
	csr_write(sie, BIT(5));
	__asm__ volatile("sc.d zero, zero, (%0)" :: "r"(&word) : "memory");
	try_call(&t, wrs_sto, 0, 0, 0);
	check(t.cause == NO_TRAP, "wrs.sto without a reservation: cause %d", t.cause);
	csr_write(sie, 0);
	/* A store by another hart ends it: 200 times there and back. */
	if (smp_start_all() < 2) {
		check(false, "two harts are needed");
		return;
	}
	word = go = 0;
	smp_run(1, storer);
	csr_write(stimecmp, csr_read(time) + 600000000);
	csr_write(sie, BIT(5));
	for (i = 1; i <= 200; i++) {
		__atomic_store_n(&go, i, __ATOMIC_RELEASE);
		do {
			v = lr_wrs_nto((u64)&word, 0, i - 1);
		} while (v != i && !(csr_read(sip) & BIT(5)));
		check(v == i, "round %u: word %u", i, v);
		if (v != i)
			break;
	}
	smp_wait(1);
	csr_write(sie, 0);
	csr_write(stimecmp, ~0ul);
	/* In U mode they are there too. */
	try_user(&t, wrs_sto, 0, 0, 0);
	check(t.cause == NO_TRAP, "wrs.sto in U: cause %d", t.cause);
}

int main(void)
{
	test_zero();
	test_user();
	test_faults();
	test_zawrs();
	return 0;
}
