/* SPDX-License-Identifier: MIT */
/* RV64I, M, Zba, Zbb, Zbs, Zbc: every register-to-register and immediate instruction. */
#include "lib/table.h"
#include "lib/guest.h"

	/* The forms: plain, rd = rs2, rd apart, both sources the same, x0 as source and as rd. */
	.macro	RRALL name
	T RR, "\name", "\name a0, a0, a1"
	T RR, "\name", "\name a1, a0, a1; mv a0, a1"
	T RR, "\name", "\name t0, a1, a0; mv a0, t0"
	T RR, "\name", "\name a0, a0, a0"
	T RR, "\name", "\name a0, a0, zero"
	T RR, "\name", "\name a0, zero, a1"
	T RR, "\name", "\name zero, a0, a1; mv a0, zero"
	.endm
	.irp	n, add, sub, sll, slt, sltu, xor, srl, sra, or, and, addw, subw, sllw, srlw, sraw
	RRALL	\n
	.endr
	.irp	n, mul, mulh, mulhsu, mulhu, div, divu, rem, remu, mulw, divw, divuw, remw, remuw
	RRALL	\n
	.endr
	.irp	n, sh1add, sh2add, sh3add, add.uw, sh1add.uw, sh2add.uw, sh3add.uw
	RRALL	\n
	.endr
	.irp	n, andn, orn, xnor, max, maxu, min, minu, rol, rolw, ror, rorw
	RRALL	\n
	.endr
	.irp	n, bclr, bext, binv, bset, clmul, clmulh, clmulr
	RRALL	\n
	.endr

	.macro	UNARY name
	T R1, "\name", "\name a0, a0"
	T R1, "\name", "\name t0, a0; mv a0, t0"
	T R1, "\name", "\name zero, a0; mv a0, zero"
	.endm
	/*
	 * ctzw against the model: QEMU 7.2 answers 63 for 0x8000000000000000, whose low word is
	 * zero: 32 (unprivileged manual, Zbb).
	 */
	T R1+TABLE_SELF, "ctzw", "ctzw a0, a0"
	T R1+TABLE_SELF, "ctzw", "ctzw t0, a0; mv a0, t0"
	.irp	n, clz, clzw, ctz, cpop, cpopw, sext.b, sext.h, zext.h, orc.b, rev8
	UNARY	\n
	.endr

	.macro	IMM12 name
	.irp	v, -2048, -2047, -1025, -256, -2, -1, 0, 1, 2, 255, 1024, 2047
	T R1, "\name", "\name a0, a0, \v"
	.endr
	T R1, "\name", "\name t0, a0, 77; mv a0, t0"
	T R1, "\name", "\name a0, zero, -3"
	T R1, "\name", "\name zero, a0, -3; mv a0, zero"
	.endm
	.irp	n, addi, slti, sltiu, xori, ori, andi, addiw
	IMM12	\n
	.endr

	.macro	SHAMT6 name
	.irp	v, 0, 1, 7, 15, 31, 32, 33, 47, 62, 63
	T R1, "\name", "\name a0, a0, \v"
	.endr
	T R1, "\name", "\name t0, a0, 5; mv a0, t0"
	.endm
	.irp	n, slli, srli, srai, slli.uw, rori, bclri, bexti, binvi, bseti
	SHAMT6	\n
	.endr
	.macro	SHAMT5 name
	.irp	v, 0, 1, 7, 15, 16, 30, 31
	T R1, "\name", "\name a0, a0, \v"
	.endr
	T R1, "\name", "\name t0, a0, 5; mv a0, t0"
	.endm
	.irp	n, slliw, srliw, sraiw, roriw
	SHAMT5	\n
	.endr

	.irp	v, 0, 1, 0x7ffff, 0x80000, 0xfffff, 0x12345
	T R1, "lui", "lui a0, \v"
	.endr
	T R1, "lui", "lui zero, 5; mv a0, zero"
	.irp	v, 0, 1, 0x7ffff, 0x80000, 0xfffff, 0x12345
	T_BEGIN	R1, "auipc"
1:	auipc	a0, \v
	lla	a1, 1b
	sub	a0, a0, a1
	ret
	.endr

	.macro	BRANCH name
	T_BEGIN	RR, "\name"		/* forward */
	\name	a0, a1, 1f
	li	a0, 0
	ret
1:	li	a0, 1
	ret
	T_BEGIN	RR, "\name"		/* backward, and against x0 */
	j	2f
1:	li	a0, 1
	\name	a1, zero, 3f
	ret
2:	\name	a0, a1, 1b
	li	a0, 0
	ret
3:	\name	zero, a1, 4f
	li	a0, 2
	ret
4:	li	a0, 3
	ret
	.endm
	.irp	n, beq, bne, blt, bge, bltu, bgeu
	BRANCH	\n
	.endr

	/* The longest distances: forward and back, with the link in every usual register. */
	T_BEGIN	R1, "beq-far"
	j	1f
2:	li	a0, 1
	ret
	.space	4000, 0
1:	beq	zero, zero, 3f
	.space	4072, 0
3:	j	4f
4:	li	t0, 0
	mv	a0, t0
	ret
	T_BEGIN	R1, "jal"
	mv	t2, ra
	jal	t1, 1f
0:	li	a0, 5
1:	lla	t0, 0b
	sub	a0, t1, t0
	jal	zero, 2f
	li	a0, 7
2:	jal	ra, 3f
3:	lla	t0, 3b
	sub	t0, ra, t0
	add	a0, a0, t0
	jr	t2
	T_BEGIN	R1, "jal-far"
	mv	t2, ra
	jal	t1, 1f
2:	addi	a0, a0, 3
	jr	t2
	.space	200000, 0
1:	addi	a0, a0, 5
	jal	t3, 2b
	T_BEGIN	R1, "jalr"
	mv	t2, ra
	lla	t0, 1f
	addi	t0, t0, 1000
	jalr	t1, t0, -1000
0:	li	a0, 1
1:	lla	t0, 0b
	sub	a0, t1, t0
	lla	t0, 2f+1		/* bit 0 of the target is dropped */
	jalr	t0, t0, 0		/* rd = rs1 */
1:	li	a0, 3
2:	lla	t1, 1b
	sub	t0, t0, t1
	add	a0, a0, t0
	lla	t0, 3f
	jalr	zero, t0, 0
	li	a0, 99
3:	jr	t2
	T_BEGIN	R1, "fence"
	.irp	v, 0x0ff0000f, 0x0000000f, 0x0120000f, 0x0210000f, 0x8330000f, 0x0100000f
	.word	\v			/* all, none, w,r / r,w, fence.tso, pause */
	.endr
	ret
	T_BEGIN R1, "prefetch"		/* Zicbop: hints, whatever the address */
	.word	0x00056013		/* prefetch.i 0(a0) = ori x0, a0, 0 */
	.word	0x7e156013		/* prefetch.r 2016(a0) */
	.word	0xfe356013		/* prefetch.w -32(a0) */
	ret
