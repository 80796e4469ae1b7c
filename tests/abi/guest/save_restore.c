/* SPDX-License-Identifier: MIT */
/*
 * A guest that uses everything a vCPU's state consists of, and whose result does not depend
 * on when it is interrupted, stopped or moved.
 *
 * Each round: integers, floating point in all rounding modes, CSRs, demand paging, an
 * excursion to user mode, timer interrupts (by stimecmp and by SBI in turn), an IPI to
 * itself, vectors of all types, an external interrupt from the VMM, loads and stores of every width to a device,
 * SBI calls answered inside and by user space, steal time. All of it goes into one hash.
 * Interrupts are counted; a round ends when all of its interrupts have come.
 */
#include "save_restore.h"

typedef unsigned long u64;
typedef unsigned int u32;

#define csr_read(csr) ({ u64 _v; asm volatile("csrr %0, " #csr : "=r"(_v)); _v; })
#define csr_write(csr, v) asm volatile("csrw " #csr ", %0" :: "r"((u64)(v)) : "memory")
#define csr_set(csr, v) asm volatile("csrs " #csr ", %0" :: "r"((u64)(v)) : "memory")
#define csr_clear(csr, v) asm volatile("csrc " #csr ", %0" :: "r"((u64)(v)) : "memory")

#define SSTATUS_SIE 2ul
#define SSTATUS_SPIE 0x20ul
#define SSTATUS_SPP 0x100ul
#define PAGE 4096ul
#define PTE_V 1ul
#define PTE_R 2ul
#define PTE_W 4ul
#define PTE_X 8ul
#define PTE_U 16ul
#define PTE_AD 0xc0ul
#define WINDOW 0x40000000ul	/* 64 pages, mapped when touched */
#define WINDOW_PAGES 64
#define UTEXT 0x40100000ul
#define UDATA 0x40101000ul
#define RESULT ((volatile struct sr_result *)SR_RESULT)
#define LAST_TIME (*(volatile u64 *)SR_LAST_TIME)

/* What trap_entry saves. */
struct frame {
	u64 x[32], sepc, sstatus, fcsr, f[32];
};

static u64 root[512] __attribute__((aligned(4096)));
static u64 ram_table[512] __attribute__((aligned(4096)));
static u64 window_dir[512] __attribute__((aligned(4096)));
static u64 window_table[512] __attribute__((aligned(4096)));
static u64 frames[16][512] __attribute__((aligned(4096)));
static u64 udata[512] __attribute__((aligned(4096)));
static volatile u64 ticks_left, use_sbi_timer, permutation;
static u64 words[256];
u64 u_saved_sp;

extern char utext[], u_return[];
u64 u_enter(u64 a0, u64 a1, u64 pc);
void trap(struct frame *f);
void guest_main(void);

asm(".section .text.start, \"ax\"\n"
    ".global _start\n"
    "_start:\n"
    "	li sp, 0x80070000\n"	/* SR_STACK_TOP */
    "	li t0, 0x2200\n"		/* floating point, before C code uses it; vectors */
    "	csrs sstatus, t0\n"
    "	call guest_main\n"
    "1:	j 1b\n"

    ".balign 4\n"
    "trap_entry:\n"
    "	csrrw sp, sscratch, sp\n"
    "	addi sp, sp, -544\n"
    "	sd x1, 8(sp)\n"
    "	.irp n,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "	sd x\\n, \\n*8(sp)\n"
    "	.endr\n"
    "	csrr t0, sscratch\n"
    "	sd t0, 16(sp)\n"
    "	csrr t0, sepc\n"
    "	sd t0, 256(sp)\n"
    "	csrr t0, sstatus\n"
    "	sd t0, 264(sp)\n"
    "	csrr t0, fcsr\n"
    "	sd t0, 272(sp)\n"
    "	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "	fsd f\\n, 280+\\n*8(sp)\n"
    "	.endr\n"
    "	mv a0, sp\n"
    "	call trap\n"
    "	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "	fld f\\n, 280+\\n*8(sp)\n"
    "	.endr\n"
    "	ld t0, 272(sp)\n"
    "	csrw fcsr, t0\n"
    "	ld t0, 264(sp)\n"
    "	csrw sstatus, t0\n"
    "	ld t0, 256(sp)\n"
    "	csrw sepc, t0\n"
    "	addi t0, sp, 544\n"
    "	csrw sscratch, t0\n"
    "	ld x1, 8(sp)\n"
    "	.irp n,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "	ld x\\n, \\n*8(sp)\n"
    "	.endr\n"
    "	ld sp, 16(sp)\n"
    "	sret\n"

    /* u_enter(a0, a1, pc): to user mode, until its ecall with a7 = 0. */
    ".global u_enter\n"
    "u_enter:\n"
    "	addi sp, sp, -112\n"
    "	sd ra, 0(sp)\n"
    "	.irp n,0,1,2,3,4,5,6,7,8,9,10,11\n"
    "	sd s\\n, 8+\\n*8(sp)\n"
    "	.endr\n"
    "	la t0, u_saved_sp\n"
    "	sd sp, 0(t0)\n"
    "	csrci sstatus, 2\n"		/* until sret nothing may come between */
    "	csrw sepc, a2\n"
    "	li t0, 0x100\n"
    "	csrc sstatus, t0\n"
    "	li t0, 0x20\n"
    "	csrs sstatus, t0\n"
    "	sret\n"
    ".global u_return\n"
    "u_return:\n"
    "	la t0, u_saved_sp\n"
    "	ld sp, 0(t0)\n"
    "	ld ra, 0(sp)\n"
    "	.irp n,0,1,2,3,4,5,6,7,8,9,10,11\n"
    "	ld s\\n, 8+\\n*8(sp)\n"
    "	.endr\n"
    "	addi sp, sp, 112\n"
    "	ret\n"

    /* In user mode: a0 rounds of mixing, a1 its page; every eighth a call with a7 = 1. */
    ".balign 4096\n"
    ".global utext\n"
    "utext:\n"
    "	li t0, 0\n"
    "	li t1, 0x9e3779b9\n"
    "	fcvt.d.l ft0, t1\n"
    "1:	add t0, t0, t1\n"
    "	mul t2, t0, t1\n"
    "	srli t3, t2, 29\n"
    "	xor t0, t2, t3\n"
    "	andi t4, t0, 0x7f8\n"
    "	add t4, t4, a1\n"
    "	ld t5, 0(t4)\n"
    "	add t5, t5, t0\n"
    "	sd t5, 0(t4)\n"
    "	fcvt.d.l ft1, t5\n"
    "	fadd.d ft0, ft0, ft1\n"
    "	andi t6, a0, 7\n"
    "	bnez t6, 2f\n"
    "	li a7, 1\n"
    "	mv a2, t0\n"
    "	ecall\n"
    "	xor t0, t0, a2\n"
    "2:	addi a0, a0, -1\n"
    "	bnez a0, 1b\n"
    "	fmv.x.d a0, ft0\n"
    "	xor a0, a0, t0\n"
    "	li a7, 0\n"
    "	ecall\n"
    ".balign 4096\n"
    ".text\n");
extern char trap_entry[];

static u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ul;
	return h ^ h >> 29;
}

static u64 sbi(u64 ext, u64 fn, u64 a, u64 b, u64 c, u64 *val)
{
	register u64 a0 asm("a0") = a;
	register u64 a1 asm("a1") = b;
	register u64 a2 asm("a2") = c;
	register u64 a6 asm("a6") = fn;
	register u64 a7 asm("a7") = ext;

	asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
	*val = a1;
	return a0;
}

static u64 now(void)
{
	u64 t = csr_read(time);

	if (t < LAST_TIME)
		RESULT->errors |= SR_ERR_TIME;
	LAST_TIME = t;
	return t;
}

/* Handler's or with interrupts off. */
static void set_timer(u64 when)
{
	u64 ignored;

	if (use_sbi_timer) {
		if (sbi(0x54494d45, 0, when, 0, 0, &ignored))
			RESULT->errors |= SR_ERR_SBI;
	} else {
		csr_write(0x14d, when);
		if (csr_read(0x14d) != when)
			RESULT->errors |= SR_ERR_CSR;
	}
}

static void store32(u64 addr, u32 v)
{
	*(volatile u32 *)addr = v;
}

static u64 window_frame(u64 page)
{
	return (page * 5 + permutation) % 16;
}

static void page_fault(u64 va)
{
	u64 page = (va - WINDOW) / PAGE;

	window_table[page] = (u64)frames[window_frame(page)] >> 2 | PTE_V | PTE_R | PTE_W | PTE_AD;
	asm volatile("sfence.vma %0, zero" :: "r"(va) : "memory");
	RESULT->faults++;
}

static void bad_trap(u64 cause, u64 pc, u64 tval)
{
	RESULT->errors |= SR_ERR_TRAP;
	RESULT->trap_cause = cause;
	RESULT->trap_pc = pc;
	RESULT->trap_tval = tval;
	store32(SR_DONE, 1);
	for (;;)
		;
}

void trap(struct frame *f)
{
	u64 cause = csr_read(scause), tval = csr_read(stval);

	switch (cause) {
	case 1ul << 63 | 5:
		RESULT->ticks++;
		set_timer(--ticks_left ? now() + 60 : ~0ul);
		return;
	case 1ul << 63 | 1:
		csr_clear(sip, 2);
		RESULT->ipis++;
		return;
	case 1ul << 63 | 9:
		RESULT->externals++;
		store32(SR_ACK, RESULT->externals);
		return;
	case 8:
		f->sepc += 4;
		if (f->x[17]) {
			RESULT->ucalls++;
			f->x[12] = mix(f->x[12], RESULT->ucalls);
			return;
		}
		f->sepc = (u64)u_return;
		f->sstatus |= SSTATUS_SPP | SSTATUS_SPIE;
		return;
	case 13:
	case 15:
		if (tval >= WINDOW && tval < WINDOW + WINDOW_PAGES * PAGE) {
			page_fault(tval);
			return;
		}
	}
	bad_trap(cause, f->sepc, tval);
}

static u64 phase_integer(u64 h, u64 round)
{
	u32 word = round, old;
	u64 ok;

	for (u64 i = 0; i < 256; i++)
		words[i] = mix(h + i, round);
	/* An insertion sort: branches, loads, stores that depend on each other. */
	for (u64 i = 1; i < 256; i++) {
		u64 v = words[i], j = i;

		for (; j && words[j - 1] > v; j--)
			words[j] = words[j - 1];
		words[j] = v;
	}
	for (u64 i = 0; i < 256; i++) {
		h = mix(h, words[i] / (i + 1) + words[i] % (i + 3));
		h ^= (u64)((unsigned __int128)h * words[i] >> 64) + (long)words[i] / -((long)i + 7);
		__atomic_fetch_add(&words[i], h, __ATOMIC_SEQ_CST);
		/* A moved vCPU has lost its reservation: the loop goes round once more. */
		do {
			asm volatile("lr.w.aq %0, %2\n addw %0, %0, %3\n sc.w.rl %1, %0, %2"
				     : "=&r"(old), "=&r"(ok), "+A"(word) : "r"((u32)h) : "memory");
		} while (ok);
		h = mix(h, word);
	}
	return h;
}

static u64 phase_float(u64 h)
{
	static const double seed[] = { 1.0 / 3, 2e-308, 1e300, -7.25, 5e-324, 1.0000000000000002 };
	double a = 0.1, b, bits;
	float s = 0.3f;
	u64 v, flags;

	for (u64 rm = 0; rm < 5; rm++) {
		asm volatile("csrw frm, %0" :: "r"(rm));
		for (u64 i = 0; i < 60; i++) {
			b = seed[(h + i) % 6];
			asm volatile("fmadd.d %0, %1, %2, %1" : "=f"(bits) : "f"(a), "f"(b));
			asm volatile("fsqrt.d %0, %1" : "=f"(a) : "f"(bits));
			asm volatile("fdiv.d %0, %1, %2" : "=f"(b) : "f"(bits), "f"(b));
			asm volatile("fadd.s %0, %0, %1" : "+f"(s) : "f"((float)b));
			asm volatile("fmv.x.d %0, %1" : "=r"(v) : "f"(bits));
			h = mix(h, v);
			asm volatile("fmv.x.d %0, %1" : "=r"(v) : "f"(b));
			h = mix(h, v);
			/* The float register's upper half too: NaN-boxed. */
			asm volatile("fmv.x.d %0, %1" : "=r"(v) : "f"(s));
			h = mix(h, v);
			if (!(h & 7))
				asm volatile("csrw fflags, zero");
			if (a != a || (h & 31) == 5)
				a = (double)(long)(h >> 12) * 0x1p-40;
		}
		flags = csr_read(fcsr);
		h = mix(h, flags);
	}
	csr_write(fcsr, 0);
	return h;
}

static u64 check_csr(u64 got, u64 want)
{
	if (got != want)
		RESULT->errors |= SR_ERR_CSR;
	return got;
}

/* Interrupts are off, but the vCPU may be moved between a write and its read. */
static u64 phase_csr(u64 h)
{
	u64 stvec = csr_read(stvec), sscratch = csr_read(sscratch);

	csr_clear(sstatus, SSTATUS_SIE);
	for (u64 i = 0; i < 20; i++) {
		u64 v = mix(h, i);

		csr_write(sscratch, v);
		csr_write(sepc, v);
		csr_write(scause, v);
		csr_write(stval, ~v);
		csr_write(stvec, v & ~2ul);
		csr_write(scounteren, v & 7);
		csr_write(senvcfg, v & 1);
		h = mix(h, check_csr(csr_read(sscratch), v));
		h = mix(h, check_csr(csr_read(sepc), v & ~1ul));
		h = mix(h, check_csr(csr_read(scause), v));
		h = mix(h, check_csr(csr_read(stval), ~v));
		h = mix(h, check_csr(csr_read(stvec), v & ~2ul));
		h = mix(h, check_csr(csr_read(scounteren) & 7, v & 7));
		h = mix(h, check_csr(csr_read(senvcfg) & 1, v & 1));
	}
	csr_write(stvec, stvec);
	csr_write(sscratch, sscratch);
	csr_write(scounteren, 7);
	csr_write(senvcfg, 0);
	csr_set(sstatus, SSTATUS_SIE);
	return h;
}

/* The same frames under changing addresses, each mapped by the fault it takes. */
static u64 phase_paging(u64 h, u64 round)
{
	for (u64 pass = 0; pass < 2; pass++) {
		permutation = round + pass * 7;
		for (u64 i = 0; i < WINDOW_PAGES; i++)
			window_table[i] = 0;
		asm volatile("sfence.vma" ::: "memory");
		for (u64 i = 0; i < 300; i++) {
			u64 page = mix(h, i) % WINDOW_PAGES, off = mix(i, h) % 512;
			volatile u64 *p = (volatile u64 *)(WINDOW + page * PAGE) + off;

			*p += h;
			h = mix(h, frames[window_frame(page)][off]);
		}
	}
	return h;
}

static u64 phase_device(u64 h)
{
	u64 at = SR_DEVICE + (h & 0xf8), v;
	double d;
	float s;

#define LOAD(insn) asm volatile(insn " %0, 0(%1)" : "=r"(v) : "r"(at) : "memory"); h = mix(h, v)
	LOAD("lb");
	LOAD("lbu");
	LOAD("lh");
	LOAD("lhu");
	LOAD("lw");
	LOAD("lwu");
	LOAD("ld");
	asm volatile("fld %0, 0(%1)" : "=f"(d) : "r"(at) : "memory");
	asm volatile("fmv.x.d %0, %1" : "=r"(v) : "f"(d));
	h = mix(h, v);
	asm volatile("flw %0, 4(%1)" : "=f"(s) : "r"(at) : "memory");
	asm volatile("fmv.x.d %0, %1" : "=r"(v) : "f"(s));
	h = mix(h, v);
	asm volatile("sb %0, 0(%1)\n sh %0, 2(%1)\n sw %0, 4(%1)\n sd %0, 8(%1)\n fsd %2, 16(%1)"
		     :: "r"(h), "r"(at), "f"(d) : "memory");
	return h;
}

#define V(text, ...) asm volatile(".option push\n .option arch, +v\n" text "\n .option pop" __VA_ARGS__)

/*
 * Vector registers, vl, vtype, vcsr and, at the device, vstart: each of its elements is an exit.
 * Traps use no vectors, so they stay as they are in between.
 */
static u64 phase_vector(u64 h)
{
	static const unsigned char types[] = { 0xc0, 0x09, 0x52, 0x9b, 0x07, 0x0e, 0x50, 0xd8 };
	u64 at = SR_DEVICE + (h & 0xf8), vl, got;

	V("vsetvli %0, zero, e64, m8, ta, ma\n vle64.v v8, (%1)\n vle64.v v16, (%1)\n"
	  "vid.v v24\n vmv.v.i v0, 5", : "=r"(vl) : "r"(words) : "memory");
	for (u64 i = 0; i < 64; i++) {
		V("vsetvl %0, %1, %2", : "=r"(vl) : "r"(mix(h, i) % 70), "r"((u64)types[i & 7]));
		csr_write(0x00f, i & 7);
		V("vadd.vx v8, v8, %0\n vsaddu.vv v16, v16, v8\n vssra.vi v8, v16, 3, v0.t\n"
		  "vslide1down.vx v24, v16, %0\n vmslt.vv v1, v24, v8\n vmxor.mm v0, v0, v1\n"
		  "vaadd.vv v24, v24, v8", :: "r"(h));
		if (csr_read(0xc20) != vl || csr_read(0xc21) != types[i & 7])
			RESULT->errors |= SR_ERR_CSR;
		h = mix(mix(h, vl), csr_read(0x00f));
		V("vmv.x.s %0, v24\n vcpop.m %1, v0", : "=r"(got), "=r"(vl));
		h = mix(mix(h, got), vl);
	}
	V("vsetivli zero, 5, e32, m1, ta, ma\n vle32.v v8, (%0)\n vlse16.v v9, (%0), %1\n"
	  "vse32.v v8, (%0)\n vsse16.v v9, (%0), %1", :: "r"(at), "r"(24ul) : "memory");
	V("vsetvli %0, zero, e64, m8, ta, ma\n vse64.v v8, (%1)\n vse64.v v16, (%2)\n vse64.v v24, (%3)",
	  : "=r"(vl) : "r"(words), "r"(words + 16), "r"(words + 32) : "memory");
	for (u64 i = 0; i < 3 * vl; i++)
		h = mix(h, words[i]);
	return h;
}

static u64 phase_sbi(u64 h)
{
	u64 err, val;

	for (u64 i = 0; i < 3; i++) {
		err = sbi(SR_USER_SBI, i, h, i, ~h, &val);
		h = mix(mix(h, err), val);
	}
	if (sbi(0x10, 4, 0, 0, 0, &val) || val != SR_MVENDORID)
		RESULT->errors |= SR_ERR_SBI;
	/* DBCN was turned on, the old calls off; both must have come along. */
	if (sbi(0x10, 3, 0x4442434e, 0, 0, &val) || val != 1 || sbi(0x10, 3, 0, 0, 0, &val) || val)
		RESULT->errors |= SR_ERR_SBI;
	err = sbi(0x4442434e, 2, h & 0xff, 0, 0, &val);
	return mix(mix(h, err), val);
}

static void check_sta(void)
{
	volatile u32 *sequence = (volatile u32 *)SR_STA;
	volatile u64 *steal = (volatile u64 *)(SR_STA + 8), *seen = (volatile u64 *)(SR_STA + 0x80);

	if ((*sequence & 1) || *steal < *seen)
		RESULT->errors |= SR_ERR_STA;
	*seen = *steal;
}

/* Waits with WFI; interrupts are off between the look and the sleep. */
static void wait_interrupts(u64 externals, u64 ipis)
{
	csr_clear(sstatus, SSTATUS_SIE);
	while (ticks_left || RESULT->externals < externals || RESULT->ipis < ipis) {
		asm volatile("wfi" ::: "memory");
		csr_set(sstatus, SSTATUS_SIE);
		csr_clear(sstatus, SSTATUS_SIE);
	}
	csr_set(sstatus, SSTATUS_SIE);
}

static void paging_on(void)
{
	/* Gigapages 0 (devices) and 2 (memory) as they are; 1 by tables. */
	root[0] = PTE_V | PTE_R | PTE_W | PTE_AD;
	root[2] = (u64)ram_table >> 2 | PTE_V;
	root[1] = (u64)window_dir >> 2 | PTE_V;
	ram_table[0] = (u64)SR_RAM >> 2 | PTE_V | PTE_R | PTE_W | PTE_X | PTE_AD;
	window_dir[0] = (u64)window_table >> 2 | PTE_V;
	window_table[UTEXT >> 12 & 511] = (u64)utext >> 2 | PTE_V | PTE_R | PTE_X | PTE_U | PTE_AD;
	window_table[UDATA >> 12 & 511] = (u64)udata >> 2 | PTE_V | PTE_R | PTE_W | PTE_U | PTE_AD;
	asm volatile("sfence.vma" ::: "memory");
	csr_write(satp, 8ul << 60 | (u64)root >> 12);
}

void guest_main(void)
{
	u64 h = 1, val;

	csr_write(stvec, trap_entry);
	csr_write(sscratch, SR_TRAP_STACK_TOP);	/* trap_entry makes its frame below */
	paging_on();
	if (sbi(0x535441, 0, SR_STA, 0, 0, &val))
		RESULT->errors |= SR_ERR_SBI;
	csr_write(sie, 0x222);
	csr_set(sstatus, SSTATUS_SIE);

	for (u64 round = 0; round < SR_ROUNDS; round++) {
		csr_clear(sstatus, SSTATUS_SIE);
		use_sbi_timer = round & 1;
		ticks_left = SR_TICKS;
		set_timer(now() + 20);
		csr_set(sstatus, SSTATUS_SIE);

		h = phase_integer(h, round);
		h = phase_device(h);
		h = phase_vector(h);
		h = phase_float(h);
		if (sbi(0x735049, 0, 1, 0, 0, &val))
			RESULT->errors |= SR_ERR_SBI;
		h = phase_csr(h);
		h = phase_paging(h, round);
		store32(SR_RAISE, round);
		h = mix(h, u_enter(100 + (h & 15), UDATA, UTEXT));
		h = phase_sbi(h);
		wait_interrupts(round + 1, round + 1);
		check_sta();
		RESULT->rounds = round + 1;
		RESULT->hash = h;
	}
	csr_write(sie, 0);
	store32(SR_DONE, 0);
}
