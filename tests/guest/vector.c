/* SPDX-License-Identifier: MIT */
/*
 * The vector extension case by case, where random sequences (vector-random.c) see too little:
 * every vtype, sstatus.VS, traps in the middle of loads and stores and going on from there,
 * fault-only-first, devices, the whole table of encodings.
 */
#include "lib/exec.h"
#include "lib/vector.h"

#define WINDOW 0x2000000000ul	/* two pages, then nothing */
#define UART 0x10000000ul

static struct vector_state vs;
static struct context ctx;
static struct vm vm;
static u64 rng = 11;

static void run(struct trap *t, u32 insn)
{
	ctx.sstatus = SSTATUS_SPP;
	vector_load(&vs);
	csr_write(0x008, vs.vstart);
	exec32(&ctx, t, insn);
	vector_save(&vs);
}

/* width: log2 of bytes; x8 is the base. */
static u32 mem(u32 store, u32 width, u32 vd, u32 rs2, u32 mop, u32 nf, u32 vm_)
{
	return (store ? 0x27 : 7) | vd << 7 | (width ? width + 4 : 0) << 12 | 8 << 15 | rs2 << 20 |
		vm_ << 25 | mop << 26 | (nf - 1) << 29;
}

static void randomize(void)
{
	unsigned i;

	for (i = 0; i < 32 * vector_vlenb(); i += 8)
		*(u64 *)&vs.v[i] = random64(&rng);
	vs.vcsr = vs.vstart = 0;
}

static u64 hash_vectors(u64 h)
{
	return hash(hash_bytes(h, vs.v, 32 * vector_vlenb()), vs.vl);
}

/* ------------------------------------------------------------------- vset */

static void test_vset(void)
{
	static const u64 avls[] = { 0, 1, 2, 3, 7, 15, 16, 17, 31, 64, 127, 128, 129, 1000, ~0ul, BIT(63) };
	struct trap t;
	unsigned i, k;
	u64 h = 0;

	test_case("vset");
	for (i = 0; i < 0x800; i++) {
		/* rs1, rd: both, rd x0, rs1 x0, both x0 (vl stays, of vtype e8,m1). */
		for (k = 0; k < ARRAY_SIZE(avls) + 2; k++) {
			u32 rs1 = k < ARRAY_SIZE(avls) ? 11 : 0;
			u32 rd = k < ARRAY_SIZE(avls) ? (k & 1 ? 10 : 0) : k - ARRAY_SIZE(avls) ? 10 : 0;

			if (i >= 0x100 && k > 3)
				break;
			vs.vtype = 0;
			vs.vl = 3;
			ctx.x[10] = 99;
			ctx.x[11] = k < ARRAY_SIZE(avls) ? avls[k] : 0;
			/* x0, x0 with another ratio of SEW to LMUL is reserved. */
			if (!rd && !rs1 && (i & 0xff) != 0 && (i & 0x3f) != 9 && (i & 0x3f) != 18)
				continue;
			run(&t, 0x57 | rd << 7 | 7 << 12 | rs1 << 15 | i << 20);
			h = hash(hash(hash(hash(h, vs.vl), vs.vtype), ctx.x[10]), t.cause);
		}
		if (i % 64 == 63)
			print("  vtype up to %x: %x\n", (u64)i, h);
	}
	for (i = 0; i < 32; i++) {
		run(&t, 0x57 | 10 << 7 | 7 << 12 | i << 15 | (i & 7) << 23 | 3u << 30);
		print("  vsetivli %u: vl %u vtype %x a0 %u\n", (u64)i, vs.vl, vs.vtype, ctx.x[10]);
	}
	for (i = 0; i < 64; i++) {
		ctx.x[11] = 20;
		ctx.x[12] = BIT(i);
		run(&t, 0x57 | 10 << 7 | 7 << 12 | 11 << 15 | 12 << 20 | 0x40 << 25);
		print("  vsetvl of bit %u: vl %u vtype %x a0 %u\n", (u64)i, vs.vl, vs.vtype, ctx.x[10]);
	}
}

/* ------------------------------------------------------------- sstatus.VS */

static void test_vs(void)
{
	static const struct {
		const char *name;
		u32 insn;
	} insns[] = {
		{ "vsetvli", 0x00007057 }, { "vadd.vv", 0x023100d7 }, { "vle8.v", 0x02040087 },
		{ "vse8.v", 0x020400a7 }, { "vl1r.v", 0x02840087 }, { "vmv.x.s", 0x42102557 },
		{ "csrr vl", 0xc2002573 }, { "csrr vlenb", 0xc2202573 }, { "csrr vstart", 0x00802573 },
		{ "csrw vcsr", 0x00f01073 }, { "csrw vxsat", 0x00901073 }, { "csrw vxrm", 0x00a01073 },
		{ "vfadd.vv", 0x02311057 | 1 << 12 }, { "vsm4r.vv", 0xa2482477 },
	};
	struct trap t;
	unsigned i;
	u64 state;

	test_case_self("sstatus-vs");
	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		for (state = 0; state < 4; state++) {
			vs.vtype = 2 << 3;
			vs.vl = 4;
			vs.vstart = 0;
			vector_load(&vs);
			ctx.sstatus = SSTATUS_SPP;
			ctx.x[8] = (u64)scratch;
			csr_clear(sstatus, SSTATUS_VS);
			csr_set(sstatus, state << 9);
			exec32(&ctx, &t, insns[i].insn);
			check(t.cause == (state ? 3 : 2), "%s with VS %u: cause %u", insns[i].name, state, t.cause);
			if (!state)
				check(t.tval == insns[i].insn, "%s: stval %x", insns[i].name, t.tval);
			/* Reading a CSR changes nothing; all else is dirty (also what writes no register). */
			check((t.status >> 9 & 3) == (!state || (insns[i].name[0] == 'c' && insns[i].name[3] == 'r') ? state : 3),
			      "%s with VS %u leaves %u", insns[i].name, state, t.status >> 9 & 3);
			check(!(t.status >> 63) == !((t.status >> 9 & 3) == 3 || (t.status >> 13 & 3) == 3),
			      "%s: SD", insns[i].name);
			csr_set(sstatus, SSTATUS_VS);
		}
	}
	csr_clear(sstatus, SSTATUS_FS);
	exec_init();
}

/* ------------------------------------------------------- faults and restarts */

/* What is compared: nothing, the trap, and the registers too. */
enum { NOTHING, TRAP, REGS };

/* An element of the last bytes of the window; what comes next is not there, then is. */
static void try_fault(const char *name, u32 insn, u64 base, u64 stride, u64 vl, unsigned sew, unsigned compare)
{
	struct trap t;
	u64 i, n, page;

	for (i = 0; i < 2 * 4096; i += 8)
		*(u64 *)&scratch[i] = i * 0x0101010101010101 ^ 0x1234567890abcdef;
	vs.vtype = sew << 3 | (vl > 16 ? 3 : 1);
	vs.vl = vl;
	ctx.x[8] = base;
	ctx.x[9] = stride;
	run(&t, insn);
	if (compare)
		print("  %s base %x vl %u SEW %u: cause %u tval %x vstart %u vl %u v %x\n", name, base - WINDOW,
		      vl, 8ul << sew, t.cause, t.cause >= 12 ? (t.tval - WINDOW) & ~7ul : t.tval, vs.vstart,
		      vs.vl, compare == REGS ? hash_vectors(0) : 0);
	/* The page comes, the instruction goes on from vstart. */
	if (t.cause >= 12) {
		page = t.tval & ~4095ul;
		vm_map(&vm, page, (u64)scratch + 8192, PTE_R | PTE_W | PTE_AD, 0);
		sfence_vma();
		n = vs.vstart;
		run(&t, insn);
		check(t.cause == 3 && !vs.vstart, "%s: cause %u after the restart at %u", name, t.cause, n);
		*vm_pte(&vm, page, 0) = 0;
		sfence_vma();
	}
	if (compare == REGS)
		print("  after it %x\n", hash_bytes(hash_vectors(0), scratch, 3 * 4096));
}

static void test_faults(void)
{
	unsigned w, off, store, nf;

	test_case("faults");
	vm_on(&vm, 0);
	for (store = 0; store < 2; store++)
		for (w = 0; w < 4; w++) {
			u64 end = WINDOW + 8192;

			for (off = 1; off < 40; off += 3) {
				randomize();
				try_fault(store ? "vse" : "vle", mem(store, w, 16, 0, 0, 1, 1), end - off, 0, 24 >> w, w, REGS);
				randomize();
				try_fault("masked", mem(store, w, 16, 0, 0, 1, 0), end - off, 0, 24 >> w, w, REGS);
				randomize();
				try_fault("strided", mem(store, w, 16, 9, 2, 1, 1), end - 3 * off, 3u << w, 9, w, REGS);
				randomize();
				try_fault("backwards", mem(store, w, 16, 9, 2, 1, 1), WINDOW + 2 * off + 80, -(7ul << w), 9, w,
					  NOTHING);
				nf = 2 + off % 3;
				randomize();
				try_fault("segments", mem(store, w, 16, 0, 0, nf, 1), end - 2 * off, 0, 8 >> w, w, REGS);
				randomize();
				*(u64 *)&vs.v[8 * vector_vlenb()] = 0x10ff0401070380f0;
				*(u64 *)&vs.v[8 * vector_vlenb() + 8] = 0x0102030405060708;
				try_fault("indexed", mem(store, 0, 16, 8, 1, 1, 1), end - 100 - off, 0, 12, w, REGS);
			}
			try_fault("whole", mem(store, store ? 0 : w, 16, 8, 0, 4, 1), end - 40, 0, 4, w, REGS);
		}
	vm_off();
}

static void test_first(void)
{
	unsigned w, off, nf, masked;

	test_case("fault-only-first");
	vm_on(&vm, 0);
	for (w = 0; w < 4; w++)
		for (nf = 1; nf < 4; nf++)
			for (masked = 0; masked < 2; masked++)
				for (off = 0; off < 34; off += nf) {
					randomize();
					/* How much of the segment that faults is loaded is open. */
					try_fault("vleff", mem(0, w, 16, 16, 0, nf, !masked), WINDOW + 8192 - off, 0,
						  24 >> w, w, nf == 1 ? REGS : TRAP);
				}
	vm_off();
}

/* ----------------------------------------------------------------- devices */

static void test_devices(void)
{
	static const char text[] = "  from a vector\n", more[] = "  with stride 0 and a mask\n";
	struct trap t;
	unsigned i;

	test_case("device");
	/* Each character a store of its own: the strided one by byte, to one register. */
	for (i = 0; i < sizeof(text) - 1; i++)
		vs.v[8 * vector_vlenb() + i] = (u8)text[i];
	vs.vtype = 0;
	vs.vl = sizeof(text) - 1;
	vs.vstart = 0;
	ctx.x[8] = UART;
	run(&t, mem(1, 0, 8, 0, 2, 1, 1));
	check(t.cause == 3 && !vs.vstart, "cause %u", t.cause);
	vs.vtype = 3;
	vs.vl = 2 * (sizeof(more) - 1);
	for (i = 0; i < vs.vl; i++)
		vs.v[8 * vector_vlenb() + i] = i & 1 ? (u8)more[i / 2] : '?';
	for (i = 0; i < vector_vlenb(); i++)
		vs.v[i] = 0xaa;
	run(&t, mem(1, 0, 8, 0, 2, 1, 0));
	check(t.cause == 3 && !vs.vstart, "cause %u", t.cause);
	/* LSR: the transmitter is empty. vl 3, every element the same register. */
	randomize();
	vs.vtype = 0;
	vs.vl = 3;
	ctx.x[8] = UART + 5;
	run(&t, mem(0, 0, 8, 0, 2, 1, 1));
	for (i = 0; i < 3; i++)
		print("  LSR %x\n", vs.v[8 * vector_vlenb() + i] & 0x60ul);
	/* From the middle. */
	for (i = 0; i < sizeof(text) - 1; i++)
		vs.v[8 * vector_vlenb() + i] = (u8)text[i];
	vs.vl = sizeof(text) - 1;
	vs.vstart = 9;
	ctx.x[8] = UART;
	run(&t, mem(1, 0, 8, 0, 2, 1, 1));
	test_case_self("device-self");
	/* Fault-only-first stops before a device; a misaligned element there traps. */
	vs.vtype = 0;
	vs.vl = 16;
	vs.vstart = 0;
	ctx.x[8] = UART + 1;
	vs.vtype = 1 << 3;
	run(&t, mem(0, 1, 8, 0, 0, 1, 1));
	check(t.cause == 4 && t.tval == UART + 1 && vs.vstart == 0, "misaligned: cause %u tval %x", t.cause, t.tval);
}

int main(void)
{
	exec_init();
	vector_on();
	vm_init(&vm, 3);
	vm_map(&vm, WINDOW, (u64)scratch, PTE_R | PTE_W | PTE_AD, 0);
	vm_map(&vm, WINDOW + 4096, (u64)scratch + 4096, PTE_R | PTE_W | PTE_AD, 0);
	test_vset();
	test_vs();
	test_faults();
	test_first();
	test_devices();
	return 0;
}
