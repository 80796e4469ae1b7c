/* SPDX-License-Identifier: MIT */
/*
 * Code that changes: after fence.i a hart executes what it, or its alias mapping, has stored,
 * whatever the store was and wherever in a block the change lies.
 */
#include "lib/exec.h"

#define VA 0x2000000000ul
static u32 code[2048] __attribute__((aligned(4096)));
static struct trap t;
typedef u64 (*code_fn)(u64 a);

#define LI(v) enc_i(0x13, 0, 10, 0, v)		/* li a0, v */
#define ADDI(v) enc_i(0x13, 0, 10, 10, v)
#define RET 0x00008067
#define FENCE_I 0x0000100f

static u64 call(void *at)
{
	return ((code_fn)at)(0);
}

/* The store, the fence and the changed instruction are in one straight line. */
static void test_straight(void)
{
	unsigned i, k;
	u64 sum = 0;

	test_case("fence.i-straight");
	for (k = 0; k < 6; k++) {
		/* a1: new instruction, a2: its address; k instructions after the fence */
		code[0] = LI(0);
		code[1] = enc_s(0x23, 2, 12, 11, 0);
		code[2] = FENCE_I;
		for (i = 0; i < k; i++)
			code[3 + i] = ADDI(1);
		code[3 + k] = ADDI(100);
		code[4 + k] = RET;
		fence_i();
		{
			register u64 a1 __asm__("a1") = ADDI(200);
			register u64 a2 __asm__("a2") = (u64)&code[3 + k];
			register u64 a0 __asm__("a0") = 0;

			__asm__ volatile("jalr %3" : "+r"(a0) : "r"(a1), "r"(a2), "r"(code)
					 : "ra", "memory");
			print("  %u after the fence: %u\n", (u64)k, a0);
			sum += a0;
		}
	}
	check_eq(sum, 6 * 200 + 15, "sum");
}

static void test_loop(void)
{
	u64 i, sum = 0;

	test_case("fence.i-loop");
	code[0] = LI(0);
	code[1] = RET;
	for (i = 0; i < 1000; i++) {
		code[0] = LI((s32)i);
		fence_i();
		sum += call(code);
	}
	print("  sum %u\n", sum);
	check_eq(sum, 999 * 1000 / 2, "sum");
	/* A jump in place of arithmetic, and back. */
	for (i = 0, sum = 0; i < 100; i++) {
		code[0] = LI(1);
		code[1] = i & 1 ? 0x0080006f : ADDI(2);		/* j +8 */
		code[2] = ADDI(10);
		code[3] = RET;
		fence_i();
		sum += call(code);
	}
	print("  with jumps %u\n", sum);
	check_eq(sum, 50 * 13 + 50 * 1, "with jumps");
}

/* Every way to store four bytes of code. */
static void test_stores(void)
{
	u64 old;
	u32 *at = &code[1];

	test_case("fence.i-stores");
	code[0] = LI(1);
	code[1] = LI(1);
	code[2] = RET;
	fence_i();
	call(code);
	((volatile u16 *)at)[1] = (u16)(LI(2) >> 16);
	fence_i();
	check_eq(call(code), 2, "sh");
	((volatile u8 *)at)[2] = (u8)(LI(3) >> 16);
	fence_i();
	check_eq(call(code), 3, "sb");
	*(volatile u64 *)at = LI(4) | (u64)RET << 32;	/* misaligned by 4 */
	fence_i();
	check_eq(call(code), 4, "sd over two instructions");
	__asm__ volatile("amoswap.w %0, %1, (%2)" : "=r"(old) : "r"((u64)LI(5)), "r"(at) : "memory");
	fence_i();
	check_eq(call(code), 5, "amoswap");
	__asm__ volatile("1: lr.w %0, (%2)\nsc.w %0, %1, (%2)\nbnez %0, 1b"
			 : "=&r"(old) : "r"((u64)LI(6)), "r"(at) : "memory");
	fence_i();
	check_eq(call(code), 6, "sc");
	__asm__ volatile(".option push\n.option arch, +d\nfmv.w.x ft0, %0\nfsw ft0, (%1)\n.option pop"
			 :: "r"((u64)LI(7)), "r"(at) : "memory");
	fence_i();
	check_eq(call(code), 7, "fsw");
	print("  last %u\n", call(code));
}

/* An instruction over a page end: only its second half changes, by a store to the other page. */
static void test_page_end(void)
{
	u16 *half = (u16 *)&code[1024];
	unsigned i;

	test_case("fence.i-page-end");
	half[-1] = (u16)LI(1);
	for (i = 1; i < 50; i++) {
		half[0] = (u16)(LI((s32)i) >> 16);
		half[1] = 0x8082;
		fence_i();
		check_eq(call(&half[-1]), i, "second half");
	}
	/* A misaligned store over the page end changes both. */
	*(volatile u32 *)&half[-1] = LI(77);
	fence_i();
	print("  %u\n", call(&half[-1]));
	check_eq(call(&half[-1]), 77, "store over both pages");
}

/* Written at one address, executed at another; and the other way round. */
static void test_alias(void)
{
	struct vm vm;
	u32 *alias = (u32 *)VA;
	unsigned i;

	test_case("fence.i-alias");
	vm_init(&vm, 3);
	vm_map(&vm, VA, (u64)code, PTE_RWX | PTE_AD, 0);
	vm_on(&vm, 0);
	for (i = 0; i < 50; i++) {
		code[0] = LI((s32)i);
		code[1] = RET;
		fence_i();
		check_eq(call(alias), i, "stored at the identity address");
		*(volatile u32 *)alias = LI((s32)i + 1000);
		fence_i();
		check_eq(call(code), i + 1000, "stored at the alias");
		check_eq(try_user(&t, (u8 *)code, 0, 0, 0), i + 1000, "seen by U mode");
	}
	/* Another frame under the same address: sfence.vma alone is enough for the translation. */
	code[1024] = LI(5);
	code[1025] = RET;
	fence_i();
	*vm_pte(&vm, VA, 0) = PTE_PPN(code + 1024) | PTE_RWX | PTE_AD | PTE_V;
	sfence_vma();
	print("  other frame %u\n", call(alias));
	vm_off();
	/* Bare again: the same virtual address as before is another place now. */
	code[0] = LI(9);
	fence_i();
	print("  bare %u\n", call(code));
}

int main(void)
{
	test_straight();
	test_loop();
	test_stores();
	test_page_end();
	test_alias();
	return 0;
}
