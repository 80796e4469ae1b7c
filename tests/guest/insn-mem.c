/* SPDX-License-Identifier: MIT */
/*
 * Loads, stores and AMOs of every width at every alignment, within a page and across two whose
 * frames are not neighbours, bare and under each paging mode; LR/SC.
 */
#include "lib/exec.h"

#define WINDOW 0x2000000000ul	/* two pages here lie in scratch in the wrong order */

static struct context ctx;
static u64 seed = 7;
static u64 code_mode;		/* SSTATUS_SPP: S mode */

static void prepare(void)
{
	exec_registers(&ctx, &seed);
	ctx.sstatus = code_mode;
}

struct access {
	const char *name;
	u32 op, f3;
	bool store;
};
static const struct access accesses[] = {
	{ "lb", 0x03, 0, 0 }, { "lh", 0x03, 1, 0 }, { "lw", 0x03, 2, 0 }, { "ld", 0x03, 3, 0 },
	{ "lbu", 0x03, 4, 0 }, { "lhu", 0x03, 5, 0 }, { "lwu", 0x03, 6, 0 },
	{ "flw", 0x07, 2, 0 }, { "fld", 0x07, 3, 0 },
	{ "sb", 0x23, 0, 1 }, { "sh", 0x23, 1, 1 }, { "sw", 0x23, 2, 1 }, { "sd", 0x23, 3, 1 },
	{ "fsw", 0x27, 2, 1 }, { "fsd", 0x27, 3, 1 },
};

/* What an access near the end of the window's first page can reach, in either page order. */
static u8 *const reached[] = { scratch, scratch + 4032, scratch + 4096, scratch + 8128 };

static void fill_reached(void)
{
	unsigned i, k;

	for (i = 0; i < ARRAY_SIZE(reached); i++)
		for (k = 0; k < 64; k += 8)
			*(u64 *)&reached[i][k] = random64(&seed);
}

static u64 hash_reached(u64 h)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(reached); i++)
		h = hash_bytes(h, reached[i], 64);
	return h;
}

static void test_access(const struct access *a, const char *mode, u64 base)
{
	static const s32 imms[] = { 0, 1, -1, 7, 2047, -2048, -1024 };
	bool verbose = test_case("%s-%s", a->name, mode);
	struct trap t;
	u64 h = 0, addr, one;
	unsigned i;

	for (addr = base + 4096 - 24; addr < base + 4096 + 24; addr++)
		for (i = 0; i < ARRAY_SIZE(imms); i++) {
			prepare();
			fill_reached();
			/* Forms: apart, and rd = rs1 (x10 both) for loads. */
			ctx.x[10] = addr - (u64)imms[i];
			if (a->store)
				exec32(&ctx, &t, enc_s(a->op, a->f3, 10, i & 1 ? 11 : 0, imms[i]));
			else
				exec32(&ctx, &t, enc_i(a->op, a->f3, i % 3 == 0 ? 10 : 11, 10,
						       imms[i]));
			one = hash_reached(exec_hash(&ctx, &t));
			h = hash(h, one);
			if (verbose)
				print("  %s %x imm %d: a0 %x a1 %x fa0 %x fa1 %x trap %d hash %x\n",
				      a->name, addr, (s64)imms[i], ctx.x[10], ctx.x[11], ctx.f[10],
				      ctx.f[11], t.cause, one);
		}
	print("  %w\n", h);
}

static const char *const amo_names[32] = {
	[0] = "amoadd", [1] = "amoswap", [4] = "amoxor", [8] = "amoor", [12] = "amoand",
	[16] = "amomin", [20] = "amomax", [24] = "amominu", [28] = "amomaxu",
};

static void test_amo(u32 f5, u32 f3)
{
	static const u64 values[] = {
		0, 1, ~0ul, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
		0x8000000000000000, 0x8000000080000000, 0x00000000fffffffe, 0x123456789abcdef0,
		0xffffffff00000001, 0x7fffffff80000000,
	};
	bool verbose = test_case("%s.%c", amo_names[f5], f3 == 2 ? 'w' : 'd');
	unsigned i, j, form;
	struct trap t;
	u64 h = 0;

	for (i = 0; i < ARRAY_SIZE(values); i++)
		for (j = 0; j < ARRAY_SIZE(values); j++)
			for (form = 0; form < 8; form++) {
				u64 *m = (u64 *)&scratch[64];
				u64 off = f3 == 2 && form & 4 ? 4 : 0;
				/* rd apart, rd = rs2, rd = rs1, rd = x0; aq and rl vary too */
				u32 rd = (const u8[]){ 12, 11, 10, 0 }[form & 3];

				prepare();
				fill_scratch(&seed, 128);
				*m = values[i];
				ctx.x[10] = (u64)m + off;
				ctx.x[11] = values[j];
				exec32(&ctx, &t, enc_r(0x2f, f3, f5 << 2 | (form & 3), rd, 10, 11));
				h = hash_bytes(hash(h, exec_hash(&ctx, &t)), scratch, 128);
				if (verbose)
					print("  %x+%u op %x form %u: rd %x mem %x trap %d\n",
					      values[i], off, values[j], form, ctx.x[rd], *m,
					      t.cause);
			}
	print("  %w\n", h);
}

/* Two words of an LR/SC pair and what may lie between, run in one piece; a0, a1 point to scratch. */
static void lr_sc(const char *what, const u32 *insns, unsigned n, bool print_it)
{
	u16 code[32];
	struct trap t;
	unsigned i;

	for (i = 0; i < n; i++) {
		code[2 * i] = (u16)insns[i];
		code[2 * i + 1] = (u16)(insns[i] >> 16);
	}
	prepare();
	ctx.x[10] = (u64)&scratch[128];
	ctx.x[11] = (u64)&scratch[136];
	ctx.x[12] = (u64)&scratch[4096];
	ctx.x[13] = 0x1122334455667788;
	ctx.x[14] = ctx.x[15] = 99;
	for (i = 0; i < 16; i++)
		*(u64 *)&scratch[128 + 8 * i] = 0x8877665544332211 + i;
	*(u64 *)&scratch[4096] = 0x99;
	exec(&ctx, &t, code, 2 * n);
	if (print_it)
		print("  %s: a4 %x a5 %x mem %x %x %x trap %d\n", what, ctx.x[14], ctx.x[15],
		      *(u64 *)&scratch[128], *(u64 *)&scratch[136], *(u64 *)&scratch[4096], t.cause);
}

#define LR(f3, rd, rs1) enc_r(0x2f, f3, 2 << 2, rd, rs1, 0)
#define SC(f3, rd, rs1, rs2) enc_r(0x2f, f3, 3 << 2, rd, rs1, rs2)
#define PAIR(...) (const u32[]){ __VA_ARGS__ }, sizeof((const u32[]){ __VA_ARGS__ }) / 4

static void test_lr_sc(void)
{
	test_case("lr-sc");
	lr_sc("pair d", PAIR(LR(3, 14, 10), SC(3, 15, 10, 13)), true);
	lr_sc("pair w", PAIR(LR(2, 14, 10), SC(2, 15, 10, 13)), true);
	lr_sc("pair w high", PAIR(enc_i(0x13, 0, 10, 10, 4), LR(2, 14, 10), SC(2, 15, 10, 13)), true);
	lr_sc("rd is x0", PAIR(LR(3, 0, 10), SC(3, 0, 10, 13)), true);
	lr_sc("rd is rs1", PAIR(LR(3, 14, 10), SC(3, 10, 10, 13), enc_i(0x13, 0, 15, 10, 0)), true);
	lr_sc("rd is rs2", PAIR(LR(3, 14, 10), SC(3, 13, 10, 13), enc_i(0x13, 0, 15, 13, 0)), true);
	lr_sc("sc alone after sc", PAIR(LR(3, 14, 10), SC(3, 15, 10, 13), SC(3, 15, 10, 12)), true);
	lr_sc("failed sc clears", PAIR(LR(3, 14, 10), SC(3, 14, 12, 13), SC(3, 15, 10, 13)), true);
	lr_sc("other page", PAIR(LR(3, 14, 10), SC(3, 15, 12, 13)), true);
	lr_sc("second lr wins", PAIR(LR(3, 14, 10), LR(3, 14, 12), SC(3, 15, 10, 13)), true);
	lr_sc("second lr wins 2", PAIR(LR(3, 14, 10), LR(3, 14, 12), SC(3, 15, 12, 13)), true);
	lr_sc("alu between", PAIR(LR(3, 14, 10), enc_i(0x13, 0, 14, 14, 1), SC(3, 15, 10, 14)), true);
	lr_sc("aqrl", PAIR(LR(3, 14, 10) | 3 << 25, SC(3, 15, 10, 13) | 3 << 25), true);
	lr_sc("same value stored back", PAIR(LR(3, 14, 10), SC(3, 15, 10, 14)), true);
	/* An SC to another dword than the LR's: the engine compares addresses, and so does QEMU. */
	lr_sc("next dword", PAIR(LR(3, 14, 10), SC(3, 15, 11, 13)), true);
}

/* The constrained loop of the manual must end, and count exactly. */
static u64 lr_sc_loop(u64 *p, u64 n)
{
	u64 t, f;

	__asm__ volatile(
		"1:	lr.d	%0, (%2)\n"
		"	addi	%0, %0, 1\n"
		"	sc.d	%1, %0, (%2)\n"
		"	bnez	%1, 1b\n"
		"	addi	%3, %3, -1\n"
		"	bnez	%3, 1b\n"
		: "=&r"(t), "=&r"(f), "+r"(p), "+r"(n) :: "memory");
	return *p;
}

static void run_all(const char *mode, u64 base, bool amos)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(accesses); i++)
		test_access(&accesses[i], mode, base);
	if (!amos)
		return;
	for (i = 0; i < 32; i++)
		if (amo_names[i]) {
			test_amo(i, 2);
			test_amo(i, 3);
		}
	test_lr_sc();
	test_case("lr-sc-loop");
	*(u64 *)scratch = 0;
	check_eq(lr_sc_loop((u64 *)scratch, 10000), 10000, "count");
}

int main(void)
{
	static const char *const names[] = { "sv39", "sv48", "sv57" };
	unsigned levels;
	struct vm vm;

	exec_init();
	code_mode = SSTATUS_SPP;
	run_all("bare", (u64)scratch, true);
	for (levels = 3; levels <= 5; levels++) {
		vm_reset();
		vm_init(&vm, levels);
		vm_map(&vm, WINDOW, (u64)scratch + 4096, PTE_R | PTE_W | PTE_AD, 0);
		vm_map(&vm, WINDOW + 4096, (u64)scratch, PTE_R | PTE_W | PTE_AD, 0);
		vm_on(&vm, 0);
		run_all(names[levels - 3], WINDOW, false);
		vm_off();
	}
	/* And in U mode, through user pages. */
	code_mode = 0;
	vm_reset();
	vm_init(&vm, 3);
	vm_map(&vm, WINDOW, (u64)scratch + 4096, PTE_R | PTE_W | PTE_AD | PTE_U, 0);
	vm_map(&vm, WINDOW + 4096, (u64)scratch, PTE_R | PTE_W | PTE_AD | PTE_U, 0);
	vm_on(&vm, 0);
	run_all("user", WINDOW, false);
	vm_off();
	return 0;
}
