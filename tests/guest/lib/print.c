/* SPDX-License-Identifier: MIT */
/* Output through the 16550 at 0x10000000, cases, checks, hashes, and the entry into main(). */
#include <stdarg.h>
#include "guest.h"

volatile struct params params = { .magic = "softvirt-params" };
struct hart harts[MAX_HARTS] __attribute__((aligned(4096)));

void boot(u64 hartid, u64 dtb);
extern void trap_entry(void);

static bool case_muted;
static char case_name[64];
static char *sink;		/* put_char() goes here instead of to the UART, unless NULL */

static void put_char(char c)
{
	volatile u8 *uart = (volatile u8 *)0x10000000;

	if (sink) {
		if (sink < case_name + sizeof(case_name) - 1)
			*sink++ = c;
		return;
	}

	while (!(uart[5] & 0x20))
		;
	uart[0] = (u8)c;
}

static void put_number(u64 v, unsigned base, unsigned width)
{
	char buf[24];
	unsigned n = 0;

	do {
		buf[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n < width)
		buf[n++] = '0';
	while (n)
		put_char(buf[--n]);
}

static void vprint(const char *fmt, va_list ap)
{
	const char *s;
	s64 d;

	if (case_muted && !sink)
		return;
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put_char(*fmt);
			continue;
		}
		while (fmt[1] == 'l')	/* all numbers are 64-bit; the l is for the compiler */
			fmt++;
		switch (*++fmt) {
		case 'd':
			d = va_arg(ap, s64);
			if (d < 0)
				put_char('-');
			put_number(d < 0 ? -(u64)d : (u64)d, 10, 1);
			break;
		case 'u':
			put_number(va_arg(ap, u64), 10, 1);
			break;
		case 'x':
			put_number(va_arg(ap, u64), 16, 1);
			break;
		case 'w':
			put_number(va_arg(ap, u64), 16, 16);
			break;
		case 'c':
			put_char((char)va_arg(ap, int));
			break;
		case 's':
			for (s = va_arg(ap, const char *); *s; s++)
				put_char(*s);
			break;
		default:
			put_char(*fmt);
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

static bool case_open(const char *fmt, va_list ap, const char *suffix)
{
	bool wanted;

	sink = case_name;
	vprint(fmt, ap);
	*sink = 0;
	sink = NULL;
	wanted = !params.filter[0] || !strcmp((const char *)params.filter, case_name);
	case_muted = !wanted;
	print("case %s%s\n", case_name, suffix);
	return params.verbose && wanted;
}

bool test_case(const char *fmt, ...)
{
	va_list ap;
	bool verbose;

	va_start(ap, fmt);
	verbose = case_open(fmt, ap, "");
	va_end(ap);
	return verbose;
}

bool test_case_self(const char *fmt, ...)
{
	va_list ap;
	bool verbose;

	va_start(ap, fmt);
	verbose = case_open(fmt, ap, " self");
	va_end(ap);
	return verbose;
}

void check(bool ok, const char *what, ...)
{
	va_list ap;

	if (ok)
		return;
	print("  FAIL ");
	va_start(ap, what);
	vprint(what, ap);
	va_end(ap);
	print("\n");
}

void check_eq(u64 got, u64 want, const char *what)
{
	check(got == want, "%s: got %x, want %x", what, got, want);
}

void print_trap(const char *what, const struct trap *t, u64 base)
{
	if (t->cause == NO_TRAP) {
		print("  %s: no trap\n", what);
		return;
	}
	print("  %s: cause %u epc %s%x tval %x from %s\n", what, t->cause,
	      t->epc < base ? "base-" : "base+", t->epc < base ? base - t->epc : t->epc - base,
	      t->tval, t->status & SSTATUS_SPP ? "S" : "U");
}

void check_trap(const char *what, const struct trap *t, u64 cause, u64 epc, u64 tval)
{
	check(t->cause == cause && (cause == NO_TRAP || (t->epc == epc && t->tval == tval)),
	      "%s: got cause %d epc %x tval %x, want %d %x %x", what, t->cause, t->epc, t->tval,
	      cause, epc, tval);
}

void power_off(void)
{
	case_muted = false;
	print("done\n");
	sbi_call(SBI_EXT_SRST, 0, 0, 0, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

void *memcpy(void *d, const void *s, u64 n)
{
	u8 *to = d;
	const u8 *from = s;

	if (!(((u64)d | (u64)s | n) & 7)) {
		for (; n; n -= 8, to += 8, from += 8)
			*(u64 *)to = *(const u64 *)from;
		return d;
	}
	while (n--)
		*to++ = *from++;
	return d;
}

void *memset(void *d, int c, u64 n)
{
	volatile u8 *to = d;

	while (n--)
		*to++ = (u8)c;
	return d;
}

int memcmp(const void *a, const void *b, u64 n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *(const u8 *)a - *(const u8 *)b;
}

u64 hash(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ul;
	return h ^ (h >> 29);
}

u64 hash_bytes(u64 h, const void *p, u64 n)
{
	const u64 *v = p;

	for (; n; n -= 8)
		h = hash(h, *v++);
	return h;
}

u64 random64(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ul);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ul;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebul;
	return z ^ (z >> 31);
}

struct sbi_ret sbi_call(u64 ext, u64 fid, u64 v0, u64 v1, u64 v2, u64 v3, u64 v4)
{
	register u64 a0 __asm__("a0") = v0;
	register u64 a1 __asm__("a1") = v1;
	register u64 a2 __asm__("a2") = v2;
	register u64 a3 __asm__("a3") = v3;
	register u64 a4 __asm__("a4") = v4;
	register u64 a6 __asm__("a6") = fid;
	register u64 a7 __asm__("a7") = ext;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1)
			 : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
	return (struct sbi_ret){ (s64)a0, a1 };
}

static void hart_setup(struct hart *h)
{
	h->trap_sp = (u64)h->trap_stack + STACK_SIZE;
	csr_write(sscratch, h);
	csr_write(stvec, trap_entry);
	csr_write(sie, 0);
	csr_clear(sstatus, SSTATUS_SIE | SSTATUS_SUM | SSTATUS_MXR);
	csr_set(sstatus, SSTATUS_FS);
}

/* A hart that HSM started (smp.c): it does the work it is given, and sleeps until an IPI. */
void secondary(void);
void secondary(void)
{
	struct hart *h = this_hart();
	void (*work)(struct hart *h);

	h->recover_sp = 0;
	hart_setup(h);
	for (;;) {
		csr_write(sie, BIT(IRQ_S_SOFT));
		csr_clear(sip, BIT(IRQ_S_SOFT));
		work = __atomic_load_n(&h->work, __ATOMIC_ACQUIRE);
		if (!work) {
			__asm__ volatile("wfi");
			continue;
		}
		csr_write(sie, 0);
		work(h);
		csr_clear(sstatus, SSTATUS_SIE);
		__atomic_store_n(&h->work, NULL, __ATOMIC_RELEASE);
	}
}

void boot(u64 hartid, u64 dtb)
{
	struct hart *h = &harts[0];

	(void)dtb;
	h->hartid = hartid;
	hart_setup(h);
	/* The firmware's lines end before this one; the runner drops what precedes it. */
	print("\n=== guest test ===\n");
	main();
	power_off();
}
