/* SPDX-License-Identifier: MIT */
/* Loads and stores of x86-64, for test_trap_region.c. rdi is the place, rsi 256 bytes behind it. */
#ifndef SV_TESTS_TRAP_INSNS_X86_H
#define SV_TESTS_TRAP_INSNS_X86_H

#define PLACE_ALIGN 64		/* the vector moves want 32 */

struct regs {
	u64 rax, rbx, rcx, rdx, rsi, flags;
	u8 vec[2][32] __attribute__((aligned(32)));
};

#define ARITH_FLAGS 0x8d5ul

/*
 * Clear of the red zone; loads the registers, runs the text with the memory at rdi, stores the
 * registers.
 */
#define INSN(n, text, undefined, avx) \
static void __attribute__((noinline)) run_##n(struct regs *r, void *mem) \
{ \
	register struct regs *p asm("r12") = r; \
	register void *m asm("rdi") = mem; \
	asm volatile("lea -128(%%rsp), %%rsp\n pushfq\n pop %%rax\n and $~0x8d5, %%rax\n mov 40(%%r12), %%rdx\n" \
		     "and $0x8d5, %%rdx\n or %%rdx, %%rax\n push %%rax\n" \
		     LOAD_##avx \
		     "mov 0(%%r12), %%rax\n mov 8(%%r12), %%rbx\n mov 16(%%r12), %%rcx\n" \
		     "mov 24(%%r12), %%rdx\n mov 32(%%r12), %%rsi\n" \
		     "popfq\n" text "\n" \
		     "pushfq\n mov %%rax, 0(%%r12)\n mov %%rbx, 8(%%r12)\n" \
		     "mov %%rcx, 16(%%r12)\n mov %%rdx, 24(%%r12)\n mov %%rsi, 32(%%r12)\n" \
		     "pop %%rax\n mov %%rax, 40(%%r12)\n" \
		     STORE_##avx "lea 128(%%rsp), %%rsp\n" \
		     : "+r"(m) : "r"(p) : "rax", "rbx", "rcx", "rdx", "rsi", "cc", "memory", \
		       "xmm0", "xmm1"); \
	r->flags &= ARITH_FLAGS & ~(undefined); \
}
#define LOAD_0 "movups 64(%%r12), %%xmm0\n movups 96(%%r12), %%xmm1\n"
#define STORE_0 "movups %%xmm0, 64(%%r12)\n movups %%xmm1, 96(%%r12)\n"
#define LOAD_1 "vmovups 64(%%r12), %%ymm0\n vmovups 96(%%r12), %%ymm1\n"
#define STORE_1 "vmovups %%ymm0, 64(%%r12)\n vmovups %%ymm1, 96(%%r12)\n vzeroupper\n"

_Static_assert(__builtin_offsetof(struct regs, vec) == 64, "the asm knows");

#define INSNS(X) \
	X(0, "mov (%%rdi), %%rax", 0, 0) X(1, "mov (%%rdi), %%eax", 0, 0) \
	X(2, "mov (%%rdi), %%ax", 0, 0) X(3, "mov (%%rdi), %%al", 0, 0) \
	X(4, "mov (%%rdi), %%ah", 0, 0) X(5, "mov %%rax, 8(%%rdi)", 0, 0) \
	X(6, "mov %%ebx, 4(%%rdi)", 0, 0) X(7, "mov %%cx, 2(%%rdi)", 0, 0) \
	X(8, "mov %%bh, 1(%%rdi)", 0, 0) X(9, "movl $0x12345678, (%%rdi)", 0, 0) \
	X(10, "movq $-5, (%%rdi)", 0, 0) X(11, "movb $7, 3(%%rdi)", 0, 0) \
	X(12, "movzbl (%%rdi), %%eax", 0, 0) X(13, "movzwl 2(%%rdi), %%ebx", 0, 0) \
	X(14, "movsbq (%%rdi), %%rcx", 0, 0) X(15, "movslq 4(%%rdi), %%rdx", 0, 0) \
	X(16, "movsbw (%%rdi), %%ax", 0, 0) X(17, "orl $0x80, (%%rdi)", 16, 0) \
	X(18, "andq %%rax, (%%rdi)", 16, 0) X(19, "xorb %%cl, 5(%%rdi)", 16, 0) \
	X(20, "addl %%eax, (%%rdi)", 0, 0) X(21, "subw %%bx, (%%rdi)", 0, 0) \
	X(22, "adcq %%rdx, (%%rdi)", 0, 0) X(23, "sbbl $3, (%%rdi)", 0, 0) \
	X(24, "cmpl $0, (%%rdi)", 0, 0) X(25, "cmp (%%rdi), %%rax", 0, 0) \
	X(26, "testb $1, (%%rdi)", 16, 0) X(27, "test %%ecx, (%%rdi)", 16, 0) \
	X(28, "incl (%%rdi)", 0, 0) X(29, "decq (%%rdi)", 0, 0) X(30, "negl (%%rdi)", 0, 0) \
	X(31, "notw (%%rdi)", 0, 0) X(32, "btsl $5, (%%rdi)", 0x894, 0) \
	X(33, "btrq $33, (%%rdi)", 0x894, 0) X(34, "btcl $31, (%%rdi)", 0x894, 0) \
	X(35, "btw $9, (%%rdi)", 0x894, 0) X(36, "xchg %%eax, (%%rdi)", 0, 0) \
	X(37, "lock xaddq %%rbx, (%%rdi)", 0, 0) X(38, "lock cmpxchgl %%ecx, (%%rdi)", 0, 0) \
	X(39, "mov (%%rdi), %%rax\n lock cmpxchgq %%rcx, (%%rdi)", 0, 0) \
	X(40, "lea (%%rdi), %%rsi\n lodsl", 0, 0) \
	X(41, "lea (%%rdi), %%rsi\n lea 64(%%rdi), %%rdi\n mov $5, %%ecx\n rep movsq", 0, 0) \
	X(42, "mov $7, %%ecx\n rep stosb\n lea (%%rdi), %%rsi", 0, 0) \
	X(43, "movsq (%%rsi), %%es:(%%rdi)\n lea (%%rdi), %%rsi", 0, 9) \
	X(44, "movups (%%rdi), %%xmm0", 0, 0) X(45, "movaps 16(%%rdi), %%xmm1", 0, 0) \
	X(46, "movdqu %%xmm1, 3(%%rdi)", 0, 0) X(47, "movq (%%rdi), %%xmm0", 0, 0) \
	X(48, "movd (%%rdi), %%xmm1", 0, 0) X(49, "movq %%xmm0, 8(%%rdi)", 0, 0) \
	X(50, "movss (%%rdi), %%xmm0", 0, 0) X(51, "movsd %%xmm1, (%%rdi)", 0, 0) \
	X(52, "movntdq %%xmm0, 32(%%rdi)", 0, 0) X(53, "movnti %%rax, (%%rdi)", 0, 0) \
	X(54, "movbe (%%rdi), %%rax", 0, 0) X(55, "movbe %%ecx, (%%rdi)", 0, 0) \
	X(56, "or 8(%%rdi), %%rbx", 16, 0) X(57, "add (%%rdi), %%cl", 0, 0) \
	X(58, "mov $16, %%ecx\n mov -128(%%rdi,%%rcx,8), %%rdx", 0, 0) \
	X(59, "lea 512(%%rdi), %%rsi\n std\n mov $3, %%ecx\n lea 64(%%rdi), %%rdi\n rep movsb\n cld", 0, 0) \
	X(60, "xor %%ecx, %%ecx\n rep stosq\n lea (%%rdi), %%rsi", 0, 0)
#define INSNS_AVX(X) \
	X(100, "vmovdqu (%%rdi), %%ymm0", 0, 1) X(101, "vmovdqu %%ymm1, 1(%%rdi)", 0, 1) \
	X(102, "vmovups (%%rdi), %%xmm0", 0, 1) X(103, "vmovq 8(%%rdi), %%xmm1", 0, 1) \
	X(104, "vmovntdq %%ymm0, 64(%%rdi)", 0, 1) X(105, "vmovd %%xmm1, 4(%%rdi)", 0, 1)

/* 43 reads through rsi, which regs_set() lets point to the same place. */
#define LOAD_9 LOAD_0
#define STORE_9 STORE_0
#pragma GCC diagnostic ignored "-Wunused-function"
INSNS(INSN)
INSNS_AVX(INSN)

struct insn_case {
	const char *text;
	void (*run)(struct regs *r, void *mem);
	bool avx;
};
#define CASE(n, text, undefined, avx) { text, run_##n, (avx) == 1 },
static const struct insn_case cases[] = { INSNS(CASE) INSNS_AVX(CASE) };
#define NR_CASES ARRAY_SIZE(cases)

static void regs_set(struct regs *r, u8 *mem)
{
	for (size_t i = 0; i < sizeof(*r); i += 8) {
		u64 v = rnd();

		memcpy((u8 *)r + i, &v, 8);
	}
	r->rsi = (uintptr_t)mem + 256;
}

/* 0, or the signal that ended it: an instruction that this CPU doesn't have. */
static int insn_run(const struct insn_case *c, struct regs *r, u8 *mem)
{
	if (c->avx && !__builtin_cpu_supports("avx2"))
		return SIGILL;
	c->run(r, mem);
	return 0;
}

#endif
