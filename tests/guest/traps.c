/* SPDX-License-Identifier: MIT */
/* Exceptions that need no page tables: illegal instructions, ebreak, ecall, CSR access, FS. */
#include "lib/exec.h"

static struct context ctx;

static void run_at(u32 insn, u64 mode, struct trap *t)
{
	u64 seed = 3;

	exec_registers(&ctx, &seed);
	ctx.fcsr = 0;
	ctx.x[10] = (u64)scratch;
	ctx.x[11] = (u64)scratch + 64;
	ctx.sstatus = mode;
	exec32(&ctx, t, insn);
}

/* One line: what this word does in S and in U mode. Its own address is where it must trap. */
static void show(const char *what, u32 insn)
{
	const u64 modes[] = { SSTATUS_SPP, 0 };
	struct trap t;
	unsigned i;

	for (i = 0; i < 2; i++) {
		run_at(insn, modes[i], &t);
		print("  %s %x %s: cause %d epc +%x tval %x\n", what, (u64)insn, i ? "U" : "S",
		      t.cause, t.epc - ctx.pc, t.cause == 3 ? 0 : t.tval);
	}
}

/* In U mode only: it would change the hart's mode or state in S mode. */
static void show_user(const char *what, u32 insn)
{
	struct trap t;

	run_at(insn, 0, &t);
	print("  %s %x U: cause %d epc +%x tval %x\n", what, (u64)insn, t.cause, t.epc - ctx.pc,
	      t.tval);
}

struct named {
	const char *name;
	u32 insn;
};

static const struct named reserved[] = {
	{ "zero", 0 }, { "ones", 0xffffffff }, { "custom0", 0x0000000b }, { "custom1", 0x0000002b },
	{ "custom2", 0x0000005b }, { "custom3", 0x0000007b }, { "vector-off", 0x02008057 },
	{ "vsetvli", 0x00007057 }, { "op-v-load", 0x02050007 }, { "reserved-6b", 0x0000006b },
	{ "load-funct3-7", 0x00057503 }, { "store-funct3-4", 0x00b54023 },
	{ "branch-funct3-2", 0x00052063 }, { "branch-funct3-3", 0x00053063 },
	{ "jalr-funct3-1", 0x00051067 }, { "op-funct7-3", 0x06b50533 },
	{ "op-funct7-64", 0x80b50533 }, { "op32-sltu", 0x00b5353b }, { "addi-w-f3-2", 0x0005251b },
	{ "slliw-shamt-32", 0x0205151b }, { "srliw-shamt-32", 0x0205551b },
	{ "sraiw-shamt-32", 0x4205551b }, { "slli-funct6-1", 0x04051513 },
	{ "srai-funct6-17", 0x44055513 }, { "mulh-w", 0x02b5153b }, { "lr-rs2", 0x1015352f },
	{ "amo-funct3-0", 0x00b5052f }, { "amo-funct3-4", 0x00b5452f },
	{ "amo-funct5-6", 0x30b5352f }, { "fp-fmt-3", 0x06b57553 },
	{ "fp-rm-5", 0x00b55553 }, { "fp-rm-6", 0x00b56553 }, { "fsqrt-rs2", 0x58157553 },
	{ "fcvt-w-s-rs2-4", 0xc0457553 }, { "fcvt-s-d-rs2-3", 0x40357553 },
	{ "fmv-x-w-rs2", 0xe0150553 }, { "fclass-rs2", 0xe0151553 }, { "fmv-funct3-2", 0xe0052553 },
	{ "fsgnj-funct3-3", 0x20b53553 }, { "fmin-funct3-4", 0x28b54553 },
	{ "feq-funct3-3", 0xa0b53553 }, { "flh", 0x00051507 }, { "fsh", 0x00b51027 },
	{ "fma-rm-5", 0x68b55543 }, { "clz-rs2-7", 0x60751513 }, { "rev8-rv32", 0x69855513 },
	{ "zext.h-rv32", 0x08054533 }, { "pack", 0x08b54533 }, { "brev8", 0x68755513 },
	{ "clmul-w", 0x0ab5153b }, { "misc-mem-3", 0x0000300f }, { "misc-mem-7", 0x0000700f },
	{ "mret", 0x30200073 }, { "uret", 0x00200073 }, { "dret", 0x7b200073 },
	{ "ecall-rd", 0x000000f3 }, { "ebreak-rs1", 0x00108073 }, { "system-funct3-4", 0x00054073 },
	{ "hfence.vvma", 0x22000073 }, { "hfence.gvma", 0x62000073 }, { "hlv.w", 0x68054573 },
	{ "hsv.d", 0x6eb54073 }, { "hinval.vvma", 0x26000073 }, { "len48", 0x0000001f },
	{ "len64", 0x0000003f }, { "czero-like", 0x0eb52533 },
};

static void test_illegal(void)
{
	unsigned i;

	test_case("illegal");
	for (i = 0; i < ARRAY_SIZE(reserved); i++)
		show(reserved[i].name, reserved[i].insn);
	test_case("illegal-in-u");
	show_user("sret", 0x10200073);
	show_user("sfence.vma", 0x12000073);
	show_user("sfence.vma-asid", 0x12b50073);
	show_user("sinval.vma", 0x16000073);
	/* Other registers in the fields must be reported too. */
	show_user("csrrw", 0x18059573);
}

/* Illegal in U mode by the privileged manual (Svinval); QEMU 7.2 executes them. */
static void test_svinval_user(void)
{
	static const u32 insns[] = { 0x18000073, 0x18100073 };
	struct trap t;
	unsigned i;

	test_case_self("svinval-in-u");
	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		run_at(insns[i], 0, &t);
		check_trap("sfence.w.inval, sfence.inval.ir", &t, 2, ctx.pc, insns[i]);
		run_at(insns[i], SSTATUS_SPP, &t);
		check(t.cause == 3, "in S mode: cause %d", t.cause);
	}
}

/* After the 16-bit illegal instruction stval has 16 bits, whatever follows it. */
static void test_illegal_compressed(void)
{
	static const u16 codes[][2] = {
		{ 0x0000, 0xffff }, { 0x8c60, 0x1234 }, { 0x6201, 0x0001 },
		{ 0x2001, 0x5555 }, { 0x9c79, 0x5555 }, { 0x9c7d, 0x5555 }, { 0x4002, 0x5555 },
		{ 0x6002, 0x5555 }, { 0x8002, 0x5555 },
	};
	struct trap t;
	unsigned i;

	test_case("illegal-compressed");
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		u64 seed = 3;

		exec_registers(&ctx, &seed);
		ctx.sstatus = 0;
		exec(&ctx, &t, codes[i], 2);
		print("  %x %x: cause %d epc +%x tval %x\n", (u64)codes[i][0], (u64)codes[i][1],
		      t.cause, t.epc - ctx.pc, t.cause == 3 ? 0 : t.tval);
	}
}

static void test_environment(void)
{
	struct trap t;

	test_case_self("ebreak");
	run_at(0x00100073, SSTATUS_SPP, &t);
	check(t.cause == 3 && t.epc == ctx.pc && (t.tval == 0 || t.tval == ctx.pc),
	      "S: cause %d epc %x tval %x", t.cause, t.epc, t.tval);
	run_at(0x00100073, 0, &t);
	check(t.cause == 3 && t.epc == ctx.pc && (t.tval == 0 || t.tval == ctx.pc),
	      "U: cause %d epc %x tval %x", t.cause, t.epc, t.tval);
	check(!(t.status & SSTATUS_SPP), "ebreak in U left SPP set");
	run_at(0x9002, 0, &t);
	check(t.cause == 3 && t.epc == ctx.pc, "c.ebreak: cause %d epc %x", t.cause, t.epc);
	test_case("ecall-from-u");
	show_user("ecall", 0x00000073);
}

static void test_csr_access(void)
{
	/* CSRs of S mode and above: none may be read or written in U mode. */
	static const u16 csrs[] = {
		0x100, 0x104, 0x105, 0x106, 0x10a, 0x140, 0x141, 0x142, 0x143, 0x144, 0x180, 0x14d,
		0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x340, 0x341, 0x342, 0x343, 0x344, 0x3a0,
		0x3b0, 0xf11, 0xf12, 0xf13, 0xf14, 0xb00, 0xb02, 0x320, 0x7a0, 0x7b0, 0x600, 0x680,
		0x200, 0x280, 0x240,
	};
	/* Not Ssaia's: KVM may have it where QEMU's machine does not. */
	static const u16 from_s[] = {
		0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x30a, 0x340, 0x341, 0x342, 0x343,
		0x344, 0x3a0, 0x3b0, 0xf11, 0xf12, 0xf13, 0xf14, 0xb00, 0xb02, 0x320, 0x323, 0x7b0,
		0x600, 0x602, 0x680, 0x200, 0x280, 0x240, 0x5c0, 0x9c0, 0xdc0, 0x800, 0xcc0, 0x000,
		0x004, 0x044, 0x008, 0x009, 0xc20, 0xc21, 0xc22, 0x107,
	};
	static const u16 read_only[] = { 0xc00, 0xc01, 0xc02 };
	struct trap t;
	unsigned i, f3;

	test_case("csr-from-u");
	for (i = 0; i < ARRAY_SIZE(csrs); i++) {
		run_at((u32)csrs[i] << 20 | 0x2573, 0, &t);	/* csrrs a0, csr, x0 */
		print("  read %x: cause %d tval %x\n", (u64)csrs[i], t.cause, t.tval);
		run_at((u32)csrs[i] << 20 | 0x59073, 0, &t);	/* csrrw x0, csr, a1 */
		print("  write %x: cause %d tval %x\n", (u64)csrs[i], t.cause, t.tval);
	}
	test_case("csr-from-s");
	for (i = 0; i < ARRAY_SIZE(from_s); i++) {
		run_at((u32)from_s[i] << 20 | 0x2573, SSTATUS_SPP, &t);
		print("  read %x: cause %d tval %x\n", (u64)from_s[i], t.cause, t.tval);
	}
	test_case("csr-read-only");
	csr_write(scounteren, 7);
	for (i = 0; i < ARRAY_SIZE(read_only); i++)
		for (f3 = 1; f3 < 8; f3++) {
			if (f3 == 4)
				continue;
			/* rs1/uimm 0: csrrs and csrrc only read; csrrw writes all the same. */
			run_at((u32)read_only[i] << 20 | f3 << 12 | 0x573, SSTATUS_SPP, &t);
			print("  %x funct3 %u x0: cause %d tval %x\n", (u64)read_only[i], (u64)f3,
			      t.cause, t.cause == 3 ? 0 : t.tval);
			run_at((u32)read_only[i] << 20 | f3 << 12 | 11 << 15 | 0x573, SSTATUS_SPP, &t);
			print("  %x funct3 %u x11: cause %d tval %x\n", (u64)read_only[i], (u64)f3,
			      t.cause, t.cause == 3 ? 0 : t.tval);
		}
	test_case("counter-gating");
	for (i = 0; i < 8; i++) {
		unsigned c;

		csr_write(scounteren, i);
		for (c = 0; c < 3; c++) {
			/* time: the firmware below QEMU answers it whatever scounteren says */
			if (c == 1)
				continue;
			run_at((u32)(0xc00 + c) << 20 | 0x2573, 0, &t);
			print("  scounteren %u csr %x from U: cause %d tval %x\n", (u64)i,
			      (u64)(0xc00 + c), t.cause, t.cause == 3 ? 0 : t.tval);
		}
	}
	test_case_self("counter-gating-time");
	csr_write(scounteren, 5);
	run_at(0xc0102573, 0, &t);
	check_trap("time from U without TM", &t, 2, ctx.pc, 0xc0102573);
	run_at(0xc0102573, SSTATUS_SPP, &t);
	check(t.cause == 3, "time from S without TM: cause %d", t.cause);
	csr_write(scounteren, 2);
	run_at(0xc0102573, 0, &t);
	check(t.cause == 3, "time from U with TM: cause %d", t.cause);
	csr_write(scounteren, 7);
}

static void test_counters(void)
{
	u64 i0, i1, c0, c1, t0, t1, n = 1000;

	test_case_self("counters");
	i0 = csr_read(instret);
	c0 = csr_read(cycle);
	t0 = csr_read(time);
	__asm__ volatile("1: addi %0, %0, -1; bnez %0, 1b" : "+r"(n));
	i1 = csr_read(instret);
	c1 = csr_read(cycle);
	/* 2,000 in the loop and less than 32 around it. */
	check(i1 - i0 >= 2000 && i1 - i0 < 2032, "instret went on by %u, want 2000 to 2031", i1 - i0);
	check(c1 > c0, "cycle stood still at %x", c0);
	do {
		t1 = csr_read(time);
	} while (t1 == t0);
	check(t1 > t0, "time went back from %x to %x", t0, t1);
	test_case_self("instret-exact");
	{
		u64 a, b;

		__asm__ volatile(".balign 4; csrr %0, instret; nop; nop; nop; csrr %1, instret"
				 : "=&r"(a), "=&r"(b));
		check(b - a == 4, "four instructions counted as %u", b - a);
	}
}

static void test_csr_fields(void)
{
	u64 old, v, i;

	test_case("csr-fields");
	old = csr_read(sstatus);
	/* SIE would let interrupts in. QEMU has no V here but keeps VS, and lets UXL be 3: not compared. */
	csr_write(sstatus, ~(u64)(SSTATUS_SIE | 3ul << 32 | 3 << 9));
	print("  sstatus ones %x\n", csr_read(sstatus) & ~(3ul << 32 | 3 << 9));
	csr_write(sstatus, 0);
	print("  sstatus zero %x\n", csr_read(sstatus) & ~(3ul << 32 | 3 << 9));
	csr_write(sstatus, old);
	csr_write(sscratch, 0x123456789abcdef0);
	print("  sscratch %x\n", csr_read(sscratch));
	csr_write(sscratch, this_hart());
	csr_write(sepc, 0x8000000000001234);
	print("  sepc %x\n", csr_read(sepc));
	csr_write(stval, ~0ul);
	print("  stval %x\n", csr_read(stval));
	csr_write(scause, 15);
	print("  scause %x\n", csr_read(scause));
	csr_write(scause, BIT(63) | 9);
	print("  scause %x\n", csr_read(scause));
	csr_write(sie, ~0ul);
	print("  sie %x\n", csr_read(sie) & 0x222);
	csr_write(sie, 0);
	csr_write(stimecmp, ~0ul);
	print("  stimecmp %x\n", csr_read(stimecmp));
	csr_write(sip, ~0ul);
	/* Bit 13 is of Sscofpmf, which QEMU's rv64 does not have by default. */
	print("  sip ones %x\n", csr_read(sip) & 0x222);
	csr_write(sip, 0);
	print("  sip zero %x\n", csr_read(sip));
	csr_write(scounteren, ~0ul);
	print("  scounteren %x\n", csr_read(scounteren) & 7);
	old = csr_read(stvec);
	csr_write(stvec, old | 1);
	print("  stvec vectored %x\n", csr_read(stvec) & 3);
	csr_write(stvec, old);
	/* An unsupported mode: the whole write has no effect (privileged manual, satp). */
	for (i = 1; i < 16; i++) {
		if (i >= 8 && i <= 10)
			continue;
		csr_write(satp, i << 60 | 0x80200);
		print("  satp mode %u reads %x\n", i, csr_read(satp));
	}
	v = csr_swap(sscratch, this_hart());
	check(v == (u64)this_hart(), "csrrw returned %x", v);
	/* The immediate forms. */
	__asm__ volatile("csrrwi %0, sscratch, 21" : "=r"(v));
	__asm__ volatile("csrrsi %0, sscratch, 10" : "=r"(v));
	print("  csrrwi %x\n", v);
	__asm__ volatile("csrrci %0, sscratch, 3" : "=r"(v));
	print("  csrrsi %x\n", v);
	v = csr_swap(sscratch, this_hart());
	print("  csrrci %x\n", v);
	__asm__ volatile("mv %0, %1; csrrw %0, sscratch, %0" : "=&r"(v) : "r"(this_hart()));
	print("  rd = rs1 %x\n", v - (u64)this_hart());
}

/* What QEMU 7.2 does otherwise than the manual says. */
static void test_csr_fields_strict(void)
{
	u64 old;

	test_case_self("csr-fields-strict");
	csr_write(sepc, ~0ul);
	check_eq(csr_read(sepc), ~1ul, "sepc bit 0 is always zero");
	old = csr_read(sstatus);
	check_eq(old >> 32 & 3, 2, "sstatus.UXL");
	csr_write(sstatus, old | 3ul << 32 | 3 << 9 | 3 << 15);
	check_eq(csr_read(sstatus) >> 32 & 3, 2, "sstatus.UXL after 3 was written");
	check_eq(csr_read(sstatus) >> 9 & 3, 3, "sstatus.VS");
	check_eq(csr_read(sstatus) >> 15 & 3, 0, "sstatus.XS is read-only");
	csr_write(sstatus, old);
	csr_write(senvcfg, 0);
	check_eq(csr_read(senvcfg), 0, "senvcfg");
	csr_write(senvcfg, 0xf1);
	check_eq(csr_read(senvcfg), 0xf1, "senvcfg: FIOM, CBIE, CBCFE, CBZE");
	csr_write(senvcfg, 0);
}

/* FP with FS off: each class of instruction, compressed ones and CSRs. */
static const struct named fp_insns[] = {
	{ "fadd.s", 0x00b57553 }, { "fadd.d", 0x02b57553 }, { "fmadd.d", 0x62b57543 },
	{ "flw", 0x00052507 }, { "fld", 0x00053507 }, { "fsw", 0x00b52027 }, { "fsd", 0x00b53027 },
	{ "fmv.x.w", 0xe0050553 }, { "fmv.x.d", 0xe2050553 }, { "fmv.w.x", 0xf0050553 },
	{ "fmv.d.x", 0xf2050553 }, { "feq.d", 0xa2b52553 }, { "fclass.d", 0xe2051553 },
	{ "fsgnj.d", 0x22b50553 }, { "fmin.s", 0x28b50553 }, { "fcvt.w.d", 0xc2057553 },
	{ "fcvt.d.w", 0xd2050553 }, { "fcvt.s.d", 0x40157553 }, { "fsqrt.d", 0x5a057553 },
	{ "csrr-fflags", 0x00102573 }, { "csrr-frm", 0x00202573 }, { "csrr-fcsr", 0x00302573 },
	{ "csrw-fcsr", 0x00359073 }, { "c.fld", 0x2108 }, { "c.fsd", 0xa108 }, { "c.fldsp", 0x2502 },
	{ "c.fsdsp", 0xa02a }, { "fadd.s-rm-5", 0x00b55553 },
};

/* Runs one instruction through a function in the sea, so that FS can be what the test wants. */
static void run_fs(u32 insn, u64 fs, struct trap *t, u64 *fs_after)
{
	volatile u16 *to = (volatile u16 *)&sea[4096];
	unsigned n = (insn & 3) == 3 ? 2 : 1;

	to[0] = (u16)insn;
	if (n == 2)
		to[1] = (u16)(insn >> 16);
	to[n] = 0x8082;		/* c.ret */
	fence_i();
	csr_clear(sstatus, SSTATUS_FS);
	csr_set(sstatus, fs << 13);
	try_call(t, (const void *)to, (u64)scratch, 0, 0);
	*fs_after = csr_read(sstatus);
	csr_set(sstatus, SSTATUS_FS);
	to[0] = to[1] = to[2] = 0x9002;
}

static void test_fs(void)
{
	/* Instructions that leave FP state as it is: FS may become dirty all the same. */
	static const char *const readers[] = { "fsw", "fsd", "fmv.x.w", "fmv.x.d", "c.fsd",
		"c.fsdsp", "csrr-fflags", "csrr-frm", "csrr-fcsr", "fclass.d" };
	unsigned i, j;
	struct trap t;
	u64 after;

	test_case("fs-off");
	for (i = 0; i < ARRAY_SIZE(fp_insns); i++) {
		run_fs(fp_insns[i].insn, 0, &t, &after);
		print("  %s: cause %d tval %x sstatus.FS %u SD %u\n", fp_insns[i].name, t.cause,
		      t.tval, after >> 13 & 3, after >> 63);
	}
	test_case_self("fs-dirty");
	csr_set(sstatus, SSTATUS_FS);
	for (i = 0; i < ARRAY_SIZE(fp_insns) - 1; i++) {
		bool reads = false;

		for (j = 0; j < ARRAY_SIZE(readers); j++)
			reads |= !strcmp(readers[j], fp_insns[i].name);
		/*
		 * feq.d and fcvt.w.d write x registers and possibly a flag: dirty only if one is
		 * raised. The operands here are made to raise none, so either is right.
		 */
		reads |= !strcmp("feq.d", fp_insns[i].name) || !strcmp("fcvt.w.d", fp_insns[i].name);
		run_fs(fp_insns[i].insn, 2, &t, &after);
		check(t.cause == NO_TRAP, "%s: cause %d", fp_insns[i].name, t.cause);
		check(reads || (after >> 13 & 3) == 3, "%s left FS %u", fp_insns[i].name,
		      after >> 13 & 3);
		check((after >> 63) == ((after >> 13 & 3) == 3), "%s: SD %u with FS %u",
		      fp_insns[i].name, after >> 63, after >> 13 & 3);
		run_fs(fp_insns[i].insn, 1, &t, &after);
		check(t.cause == NO_TRAP && (reads || (after >> 13 & 3) == 3),
		      "%s from Initial: cause %d FS %u", fp_insns[i].name, t.cause, after >> 13 & 3);
	}
}

/* fcsr and its two windows, and what an invalid frm does to whom. */
static void test_fp_csr(void)
{
	static const struct named dynamic[] = {
		{ "fadd.s", 0x00b57553 }, { "fmul.d", 0x12b57553 }, { "fsqrt.d", 0x5a057553 },
		{ "fmadd.s", 0x60b57543 }, { "fcvt.w.d", 0xc2057553 }, { "fcvt.l.s", 0xc0257553 },
		{ "fcvt.s.d", 0x40157553 }, { "fcvt.s.w", 0xd0057553 }, { "fcvt.d.l", 0xd2257553 },
	};
	static const struct named fixed[] = {
		{ "fadd.s,rne", 0x00b50553 }, { "fsgnj.d", 0x22b50553 }, { "fmin.d", 0x2ab50553 },
		{ "feq.s", 0xa0b52553 }, { "fclass.d", 0xe2051553 }, { "fmv.x.d", 0xe2050553 },
		{ "fld", 0x00053507 }, { "fsd", 0x00b53027 },
	};
	struct trap t;
	unsigned i, frm;
	u64 seed = 3;

	test_case("fp-csr");
	csr_write(fcsr, ~0ul);
	print("  fcsr of all ones %x fflags %x frm %x\n", csr_read(fcsr), csr_read(fflags),
	      csr_read(frm));
	csr_write(fflags, 0);
	print("  fflags cleared: fcsr %x\n", csr_read(fcsr));
	csr_write(frm, 0xffffffff2);
	print("  frm written with more: fcsr %x\n", csr_read(fcsr));
	csr_write(fflags, 0xffa);
	print("  fflags written with more: fcsr %x\n", csr_read(fcsr));
	print("  swap %x", csr_swap(fcsr, 0x21));
	print(" then %x %x\n", csr_read(frm), csr_read(fflags));
	csr_write(fcsr, 0);
	for (frm = 5; frm < 8; frm++) {
		for (i = 0; i < ARRAY_SIZE(dynamic) + ARRAY_SIZE(fixed); i++) {
			const struct named *n = i < ARRAY_SIZE(dynamic) ? &dynamic[i] :
				&fixed[i - ARRAY_SIZE(dynamic)];

			exec_registers(&ctx, &seed);
			ctx.fcsr = frm << 5;
			ctx.x[10] = (u64)scratch;
			ctx.sstatus = 0;
			exec32(&ctx, &t, n->insn);
			print("  frm %u %s: cause %d fcsr %x\n", (u64)frm, n->name, t.cause, ctx.fcsr);
		}
	}
}

/* What a trap and an sret do to SIE, SPIE and SPP. */
static void test_sret(void)
{
	u64 i, before, after;

	test_case("sret");
	for (i = 0; i < 4; i++) {
		/* To S mode, SPIE and SIE as i says; sie is 0, so nothing comes in. */
		csr_clear(sstatus, SSTATUS_SIE | SSTATUS_SPIE);
		csr_set(sstatus, SSTATUS_SPP | (i & 1 ? SSTATUS_SPIE : 0) | (i & 2 ? SSTATUS_SIE : 0));
		before = csr_read(sstatus);
		__asm__ volatile("lla %0, 1f\ncsrw sepc, %0\nsret\n1: csrr %0, sstatus"
				 : "=&r"(after) :: "memory");
		print("  SIE %u SPIE %u SPP %u -> SIE %u SPIE %u SPP %u\n", before >> 1 & 1,
		      before >> 5 & 1, before >> 8 & 1, after >> 1 & 1, after >> 5 & 1,
		      after >> 8 & 1);
	}
	csr_clear(sstatus, SSTATUS_SIE | SSTATUS_SPIE);
	for (i = 0; i < 2; i++) {
		struct trap t;
		u64 seed = 1;

		/* A trap: SPIE gets SIE, SIE becomes 0. */
		exec_registers(&ctx, &seed);
		ctx.sstatus = SSTATUS_SPP | (i ? SSTATUS_SPIE : 0);
		exec32(&ctx, &t, 0x00100073);
		print("  trap with SIE %u: SIE %u SPIE %u SPP %u\n", i, t.status >> 1 & 1,
		      t.status >> 5 & 1, t.status >> 8 & 1);
	}
}

int main(void)
{
	exec_init();
	test_illegal();
	test_svinval_user();
	test_illegal_compressed();
	test_environment();
	test_csr_access();
	test_counters();
	test_csr_fields();
	test_csr_fields_strict();
	test_fs();
	test_fp_csr();
	test_sret();
	return 0;
}
