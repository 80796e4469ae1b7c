/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: SSIP, the timer by stimecmp and by SBI, SEIP through the PLIC (the UART's transmit
 * interrupt), priorities, enabling rules in S and U, vectored stvec, WFI.
 */
#include "lib/exec.h"

static volatile u64 order[32], taken;
static volatile u64 last_status, last_epc;

static volatile u32 *const plic = (volatile u32 *)0x0c000000;
static u64 plic_context;
#define UART_IRQ 10

static void uart_ier(u8 v)
{
	((volatile u8 *)0x10000000)[1] = v;
}

static void timer_at(u64 when)
{
	csr_write(stimecmp, when);
}

/* Every interrupt is acknowledged at its source, and noted. */
static void on_irq(struct hart *h, u64 cause)
{
	last_status = h->sstatus;
	last_epc = h->sepc;
	if (taken < ARRAY_SIZE(order))
		order[taken] = cause;
	taken++;
	switch (cause) {
	case IRQ_S_SOFT:
		csr_clear(sip, BIT(1));
		break;
	case IRQ_S_TIMER:
		timer_at(~0ul);
		break;
	case IRQ_S_EXT: {
		u32 claim = plic[(0x200004 + 0x1000 * plic_context) / 4];

		uart_ier(0);
		plic[(0x200004 + 0x1000 * plic_context) / 4] = claim;
		order[taken - 1] = cause | (u64)claim << 8;
		break;
	}
	}
}

static void begin(void)
{
	unsigned i;

	taken = 0;
	for (i = 0; i < ARRAY_SIZE(order); i++)
		order[i] = 0;
	csr_clear(sstatus, SSTATUS_SIE);
	csr_clear(sip, BIT(1));
	timer_at(~0ul);
	csr_write(sie, 0);
	this_hart()->irq = on_irq;
}

static void report(const char *what)
{
	unsigned i;

	print("  %s: taken %u:", what, taken);
	for (i = 0; i < taken && i < ARRAY_SIZE(order); i++)
		print(" %x", order[i]);
	print(" sip %x\n", csr_read(sip) & 0x222);
	begin();
}

#define SIE_ALL (BIT(1) | BIT(5) | BIT(9))

static u64 user_spin(u64 *flag, u64 limit)
{
	u64 n;

	/* In U mode interrupts are enabled whatever SIE says. */
	for (n = 0; n < limit; n++)
		if (__atomic_load_n(flag, __ATOMIC_RELAXED))
			return n < limit;
	return 2;
}

static void test_software(void)
{
	struct trap t;

	test_case("software");
	begin();
	csr_set(sip, BIT(1));
	report("pending, not enabled");
	csr_set(sstatus, SSTATUS_SIE);
	csr_set(sip, BIT(1));
	report("SIE without SSIE");
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	report("SSIE without SIE");
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	csr_set(sstatus, SSTATUS_SIE);
	print("  SPP %u SPIE %u SIE %u in the handler\n", last_status >> 8 & 1, last_status >> 5 & 1,
	      last_status >> 1 & 1);
	report("both: at the csrs");
	csr_write(sie, BIT(1));
	csr_set(sstatus, SSTATUS_SIE);
	csr_set(sip, BIT(1));
	report("set while enabled");
	csr_set(sstatus, SSTATUS_SIE);
	csr_set(sip, BIT(1));
	csr_write(sie, BIT(1));
	report("enabled by the write to sie");
	/* STIP and SEIP are not for S mode to write. */
	csr_write(sie, SIE_ALL);
	csr_write(sip, BIT(5) | BIT(9));
	csr_set(sstatus, SSTATUS_SIE);
	report("sip write of STIP, SEIP");
	/* U mode: taken though SIE is clear. */
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	print("  user result %u trap %d\n",
	      try_user(&t, user_spin, (u64)&taken, 100000000, 0), t.cause);
	print("  SPP %u\n", last_status >> 8 & 1);
	report("from U");
	/* Through SBI, to itself. */
	csr_write(sie, BIT(1));
	csr_set(sstatus, SSTATUS_SIE);
	sbi_call(SBI_EXT_IPI, 0, 1, this_hart()->hartid, 0, 0, 0);
	while (!taken)
		;
	report("IPI to itself");
}

static void test_timer(void)
{
	u64 start, end;
	struct trap t;

	test_case("timer");
	begin();
	timer_at(0);
	print("  stimecmp in the past: STIP %u\n", csr_read(sip) >> 5 & 1);
	timer_at(~0ul);
	print("  and in the future: STIP %u\n", csr_read(sip) >> 5 & 1);
	csr_write(sie, BIT(5));
	csr_set(sstatus, SSTATUS_SIE);
	start = csr_read(time);
	end = start + 20000;	/* 2 ms */
	timer_at(end);
	while (!taken)
		;
	check(csr_read(time) >= end, "too early");
	report("stimecmp in a loop");
	csr_write(sie, BIT(5));
	timer_at(csr_read(time) + 10000);
	print("  user result %u\n", try_user(&t, user_spin, (u64)&taken, ~0ul, 0));
	report("in U");
	csr_write(sie, BIT(5));
	csr_set(sstatus, SSTATUS_SIE);
	sbi_call(SBI_EXT_TIME, 0, csr_read(time) + 10000, 0, 0, 0, 0);
	while (!taken)
		;
	report("by SBI");
	/* An SBI set_timer into the far future clears a pending one. */
	timer_at(0);
	sbi_call(SBI_EXT_TIME, 0, ~0ul, 0, 0, 0, 0);
	print("  STIP after SBI set_timer(-1): %u\n", csr_read(sip) >> 5 & 1);
	report("cleared");
}

static void plic_setup(u64 context)
{
	plic_context = context;
	plic[UART_IRQ] = 1;					/* priority */
	plic[(0x2000 + 0x80 * context) / 4] = 1 << UART_IRQ;	/* enable */
	plic[(0x200000 + 0x1000 * context) / 4] = 0;		/* threshold */
}

static bool seip_soon(void)
{
	u64 end = csr_read(time) + 1000000;	/* 100 ms */

	while (csr_read(time) < end)
		if (csr_read(sip) & BIT(9))
			return true;
	return false;
}

static void test_external(void)
{
	u64 context;

	test_case("external");
	begin();
	/*
	 * The S context of hart 0 is 1 where each hart has an M context too, else 0; the wrong one
	 * is another mode's and shows nothing.
	 */
	uart_ier(2);
	for (context = 1; context < 2; context--) {
		plic_setup(context);
		if (seip_soon())
			break;
		plic[(0x2000 + 0x80 * context) / 4] = 0;
	}
	print("  SEIP %u\n", csr_read(sip) >> 9 & 1);
	csr_write(sie, BIT(9));
	csr_set(sstatus, SSTATUS_SIE);
	while (!taken)
		;
	report("claimed and completed");
	/* Threshold at the priority: nothing; back to 0: it comes. */
	plic[(0x200000 + 0x1000 * plic_context) / 4] = 1;
	uart_ier(2);
	print("  at the threshold: SEIP %u\n", csr_read(sip) >> 9 & 1);
	plic[(0x200000 + 0x1000 * plic_context) / 4] = 0;
	print("  below: SEIP %u\n", (u64)seip_soon());
	/* A claim clears SEIP, a completion with the source still high raises it again. */
	{
		u32 claim = plic[(0x200004 + 0x1000 * plic_context) / 4];

		print("  claim %u: SEIP %u\n", (u64)claim, csr_read(sip) >> 9 & 1);
		print("  claim again %u\n", (u64)plic[(0x200004 + 0x1000 * plic_context) / 4]);
		plic[(0x200004 + 0x1000 * plic_context) / 4] = claim;
	}
	uart_ier(0);
	{
		u32 claim = plic[(0x200004 + 0x1000 * plic_context) / 4];

		print("  latched after the completion: %u\n", (u64)claim);
		plic[(0x200004 + 0x1000 * plic_context) / 4] = claim;
	}
	plic[(0x2000 + 0x80 * plic_context) / 4] = 0;
	report("end");
}

static void test_priority(void)
{
	test_case("priority");
	begin();
	csr_write(sie, SIE_ALL);
	timer_at(0);
	csr_set(sip, BIT(1));
	csr_set(sstatus, SSTATUS_SIE);
	report("software before timer");
	/* External, software, timer (privileged manual, sip); QEMU 7.2 takes the lowest number. */
	test_case_self("priority-external");
	plic_setup(plic_context);
	uart_ier(2);
	check(seip_soon(), "no SEIP");
	csr_write(sie, SIE_ALL);
	timer_at(0);
	csr_set(sip, BIT(1));
	csr_set(sstatus, SSTATUS_SIE);
	check_eq(taken, 3, "taken");
	check_eq(order[0], UART_IRQ << 8 | 9, "first");
	check_eq(order[1], 1, "second");
	check_eq(order[2], 5, "third");
	report("all three");
	plic[(0x2000 + 0x80 * plic_context) / 4] = 0;
}

/* A vectored stvec: interrupts go to base + 4 * cause, exceptions to base. */
extern char vectors[];
extern volatile u64 vector_seen;
__asm__(".text\n.balign 256\n.option push\n.option norvc\nvectors:\n"
	"	j vector_exception\n"
	"	j vector_1\n"
	"	nop\n nop\n nop\n"
	"	j vector_5\n"
	"	nop\n nop\n nop\n nop\n nop\n nop\n"
	"	.option pop\n"
	"vector_1: csrw sscratch, t0\n csrci sip, 2\n li t0, 1\n j vector_out\n"
	"vector_5: csrw sscratch, t0\n li t0, -1\n csrw stimecmp, t0\n li t0, 5\n j vector_out\n"
	"vector_exception: csrr t0, sepc\n addi t0, t0, 4\n csrw sepc, t0\n csrw sscratch, t0\n"
	"	li t0, 99\n"
	"vector_out: sd t1, -8(sp)\n la t1, vector_seen\n sd t0, (t1)\n ld t1, -8(sp)\n"
	"	csrr t0, sscratch\n sret\n"
	".data\n.balign 8\nvector_seen: .quad 0\n.text\n");

/* A pending interrupt goes before the exception of the instruction at the pc. */
static u64 user_ecall(u64 a)
{
	register u64 a7 __asm__("a7") = 1;

	__asm__ volatile("ecall" : "+r"(a) : "r"(a7));
	return a;
}

static void test_before_exception(void)
{
	struct trap t;

	test_case("interrupt-before-exception");
	begin();
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	try_user(&t, user_ecall, 0, 0, 0);
	print("  interrupt at +%x, then cause %d\n", last_epc - (u64)user_ecall, t.cause);
	report("taken");
	/* And before a fetch that would fault. */
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	{
		struct vm vm;

		vm_init(&vm, 3);
		vm_on(&vm, 0);
		try_user(&t, (void *)0x4000, 0, 0, 0);
		print("  interrupt at %x, then cause %d at %x\n", last_epc, t.cause, t.tval);
		vm_off();
	}
	report("taken");
}

static void test_vectored(void)
{
	u64 old = csr_read(stvec);

	test_case("vectored");
	begin();
	/* The first two entries must be four bytes each. */
	check(*(u16 *)vectors % 4 == 3 && *(u16 *)(vectors + 4) % 4 == 3, "vector layout");
	csr_write(stvec, (u64)vectors | 1);
	csr_write(sie, BIT(1));
	vector_seen = 0;
	csr_set(sip, BIT(1));
	csr_set(sstatus, SSTATUS_SIE);
	csr_clear(sstatus, SSTATUS_SIE);
	print("  software through entry %u\n", vector_seen);
	csr_write(sie, BIT(5));
	vector_seen = 0;
	timer_at(0);
	csr_set(sstatus, SSTATUS_SIE);
	csr_clear(sstatus, SSTATUS_SIE);
	print("  timer through entry %u\n", vector_seen);
	vector_seen = 0;
	__asm__ volatile(".option push\n.option norvc\nebreak\n.option pop" ::: "t0", "memory");
	print("  exception through %u\n", vector_seen);
	csr_write(sscratch, this_hart());
	csr_write(stvec, old);
	csr_write(sie, 0);
}

static void test_wfi(void)
{
	u64 start, i;

	test_case("wfi");
	begin();
	/* Pending and enabled in sie, SIE clear: WFI goes on at once, nothing is taken. */
	csr_write(sie, BIT(1));
	csr_set(sip, BIT(1));
	__asm__ volatile("wfi");
	report("pending before");
	/* The timer ends it. */
	for (i = 0; i < 3; i++) {
		csr_write(sie, BIT(5));
		start = csr_read(time);
		timer_at(start + 30000);	/* 3 ms */
		while (!(csr_read(sip) & BIT(5)))
			__asm__ volatile("wfi");
		check(csr_read(time) - start >= 30000, "woke after %u ticks",
		      csr_read(time) - start);
		report("timer, SIE clear");
	}
	csr_write(sie, BIT(5));
	timer_at(csr_read(time) + 30000);
	while (!taken) {	/* SIE clear around the WFI, or it could come just before */
		csr_clear(sstatus, SSTATUS_SIE);
		if (!taken)
			__asm__ volatile("wfi");
		csr_set(sstatus, SSTATUS_SIE);
	}
	report("timer, taken");
	/* The external line ends it too. */
	plic_setup(plic_context);
	csr_write(sie, BIT(9));
	uart_ier(2);
	while (!(csr_read(sip) & BIT(9)))
		__asm__ volatile("wfi");
	csr_set(sstatus, SSTATUS_SIE);
	while (!taken)
		;
	report("external");
	plic[(0x2000 + 0x80 * plic_context) / 4] = 0;
	/* sepc of an interrupt in WFI is behind it (checked when it was taken inside). */
	csr_write(sie, BIT(5));
	csr_set(sstatus, SSTATUS_SIE);
	{
		u64 before;

		timer_at(csr_read(time) + 20000);
		__asm__ volatile("lla %0, 1f\n1: wfi\n.word 0x00000013" : "=r"(before) :: "memory");
		while (!taken)
			;
		check(last_epc >= before + 4 || last_epc < before, "sepc +%x of the WFI",
		      last_epc - before);
	}
	report("sepc");
}

int main(void)
{
	exec_init();
	test_software();
	test_timer();
	test_external();
	test_priority();
	test_before_exception();
	test_vectored();
	test_wfi();
	return 0;
}
