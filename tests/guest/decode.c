/* SPDX-License-Identifier: MIT */
/*
 * Random 32-bit words, opcode by opcode, executed in U mode: what they do if they are
 * instructions, and the illegal-instruction exception with its stval if they are not. Fields are
 * biased to the values that mean something. Words that QEMU 7.2 and the engine may treat
 * differently by design are left out in excluded(), with the reason.
 */
#include "lib/exec.h"

#define WINDOW 0x2000000000ul
#define WORDS 1500

static struct context ctx;
static u64 rng = 99;

static u32 random_word(u32 opcode)
{
	static const u8 f7s[] = {
		0, 1, 2, 4, 5, 8, 9, 0x0c, 0x0d, 0x10, 0x11, 0x14, 0x15, 0x18, 0x20, 0x21, 0x24, 0x25,
		0x28, 0x2c, 0x2d, 0x30, 0x31, 0x34, 0x35, 0x40, 0x50, 0x51, 0x60, 0x61, 0x68, 0x69,
		0x70, 0x71, 0x78, 0x79, 0x7f,
		/* half precision, cryptography */
		0x06, 0x0a, 0x0e, 0x12, 0x16, 0x22, 0x2e, 0x52, 0x62, 0x6a, 0x72, 0x7a,
		0x19, 0x1a, 0x1b, 0x1d, 0x1f, 0x38, 0x3a, 0x3f };
	u64 r = random64(&rng);
	u32 w = (u32)(r & ~0x7ful) | opcode << 2 | 3;

	if (r >> 32 & 3)
		w = (w & 0x01ffffff) | (u32)f7s[(r >> 40) % ARRAY_SIZE(f7s)] << 25;
	if (r >> 34 & 1)	/* small numbers in rs2: the selectors of unary instructions */
		w = (w & ~0x01f00000u) | (u32)(r >> 50 & 7) << 20;
	return w;
}

static bool is_zfa(u32 w)
{
	u32 f3 = w >> 12 & 7, rs2 = w >> 20 & 31;

	switch (w >> 27) {
	case 0x05: return f3 == 2 || f3 == 3;		/* fminm, fmaxm */
	case 0x08: return rs2 == 4 || rs2 == 5;		/* fround, froundnx */
	case 0x14: return f3 == 4 || f3 == 5;		/* fleq, fltq */
	case 0x18: return rs2 == 8;			/* fcvtmod */
	case 0x1e: return rs2 == 1;			/* fli */
	}
	return false;
}

static bool excluded(u32 w)
{
	u32 opcode = w >> 2 & 31, f3 = w >> 12 & 7, f7 = w >> 25, imm = w >> 20;
	s32 off;

	if (opcode == 0x0c && f7 == 7)			/* Zicond is not in QEMU 7.2 */
		return true;
	if (opcode == 0x03 && f3 == 2)			/* nor Zicbom, Zicboz */
		return true;
	if (opcode == 0x14 && is_zfa(w))		/* nor Zfa, Zacas, Zimop */
		return true;
	if (opcode == 0x0b && w >> 27 == 5)
		return true;
	if (opcode == 0x1c && f3 == 4)
		return true;
	if (opcode == 0x0b && w >> 27 == 3)		/* SC: see mmu.c and insn-mem.c */
		return true;
	if (opcode == 0x06 && f3 == 1 && imm == 0x601)	/* ctzw: see insn-int.S */
		return true;
	if (opcode == 0x1c && f3 == 0 &&
	    (imm == 0x00d || imm == 0x01d ||		/* nor Zawrs */
	     imm == 0x105 ||				/* WFI in U mode may wait or trap */
	     imm == 0x180 || imm == 0x181))		/* svinval in U mode: see traps.c */
		return true;
	if (opcode == 0x1c && f3 != 0 && f3 != 4 && imm >= 0xc00 && imm < 0xca0)
		return true;				/* counters: their values differ */
	if (opcode == 0x18) {				/* a branch to itself or into its middle */
		off = (s32)((w >> 8 & 15) << 1 | (w >> 25 & 63) << 5 | (w >> 7 & 1) << 11);
		return (off & ~2) == 0 && !(w >> 31);
	}
	if (opcode == 0x1b) {				/* jal: it stays within the sea */
		off = (s32)((w >> 21 & 0x3ff) << 1 | (w >> 20 & 1) << 11 | (w >> 12 & 0xff) << 12);
		if (w >> 31)
			off -= 1 << 20;
		return off > 4000 || off < -4000 || (off & ~2) == 0;
	}
	return false;
}

int main(void)
{
	u32 opcode, i, k, w;
	struct trap t;
	struct vm vm;
	bool verbose;
	u64 h, one, illegal;

	exec_init();
	vm_init(&vm, 3);
	for (i = 0; i < 2; i++)
		vm_map(&vm, WINDOW + 4096 * i, (u64)scratch + 4096 * i,
		       PTE_R | PTE_W | PTE_AD | PTE_U, 0);
	vm_on(&vm, 0);
	for (opcode = 0; opcode < 32; opcode++) {
		verbose = test_case("decode-opcode%x", (u64)(opcode << 2 | 3));
		h = illegal = 0;
		for (i = 0; i < WORDS; i++) {
			w = random_word(opcode);
			exec_registers(&ctx, &rng);
			fill_scratch(&rng, 64);
			for (k = 1; k < 32; k += 2)
				ctx.x[k] = WINDOW + 4096 + (k & 2 ? 8 * k : 0);
			ctx.sstatus = 0;
			if (excluded(w))
				continue;
			exec32(&ctx, &t, w);
			/* QEMU 7.2 gives AMOs a load's causes; mmu.c checks the engine. */
			if (opcode == 0x0b && (t.cause == 4 || t.cause == 13))
				t.cause += 2;
			one = exec_hash(&ctx, &t);
			if (opcode == 8 || opcode == 9 || opcode == 11) {
				one = hash_bytes(one, scratch, 8192);
				for (k = 0; k < 8192; k += 8)
					*(u64 *)&scratch[k] = 0;
			}
			h = hash(h, one);
			illegal += t.cause == 2;
			if (verbose)
				print("  %x: cause %d epc +%x tval %x state %w code "
				      "%c%c%c%c %c%c%c%c\n", (u64)w, t.cause,
				      t.epc - ctx.pc, t.cause == 3 ? 0 : t.tval, one, HEX4(w),
				      HEX4(w >> 16));
		}
		print("  illegal %u hash %w\n", illegal, h);
	}
	vm_off();
	return 0;
}
