/* SPDX-License-Identifier: MIT */
/*
 * A table of instructions under test, for assembly files. Each entry is a function; entries in a
 * row with the same name form one case, which the C side (lib/table.c) runs over edge operands.
 *
 *	T RR, "add", "add a0, a0, a1"
 *
 * R1: a0 -> a0. RR: a0, a1 -> a0. F1, F2, F3: raw bits in a0, a1, a2 go to fa0, fa1, fa2; the
 * instruction's fa0 and the flags come back. FI: fa0, fa1 to a0. IF: a0 to fa0. The F kinds run
 * under every frm when the kind has _DYN added.
 */
#define R1	1
#define RR	2
#define F1	3
#define F2	4
#define F3	5
#define FI	6
#define FI2	7
#define IF	8
#define SINGLE	0x100		/* operands are NaN-boxed floats (and some that are not boxed) */
#define DYN	0x200		/* for every frm */
#define HALF	0x800		/* operands are NaN-boxed halves (and some that are not boxed) */
#define TABLE_SELF	0x400	/* QEMU 7.2 lacks it: checked against lib/table.c's model */

#ifdef __ASSEMBLER__
	.option	arch, rv64gc_zba_zbb_zbs_zbc_zbkb_zbkc_zbkx_zknd_zkne_zknh_zksed_zksh_zfh
	/* T_BEGIN/T_END around a body of several lines; T for one instruction. */
	.macro	T_BEGIN kind, name
	.section .ops, "a"
	.balign	8
	.quad	77f, 78f, \kind
	.section .rodata
78:	.asciz	"\name"
	.text
	.balign	4
77:
	.endm
	.macro	T kind, name, body
	T_BEGIN	\kind, "\name"
	.if	((\kind) & 255) >= F1
	fscsr	a3, a3			/* a3: frm, flags clear */
	.if	((\kind) & 255) == IF
	fmv.d.x	fa0, zero
	.else
	fmv.d.x	fa0, a0
	fmv.d.x	fa1, a1
	fmv.d.x	fa2, a2
	.endif
	.endif
	\body
	.if	((\kind) & 255) >= F1
	frflags	a1
	.if	((\kind) & 255) != FI && ((\kind) & 255) != FI2
	fmv.x.d	a0, fa0
	.endif
	.endif
	ret
	.endm
#endif
