/* SPDX-License-Identifier: MIT */
/* Zfh: every computational instruction, every static rounding mode, and dynamic under each frm. */
#include "lib/table.h"
#include "lib/guest.h"

	.macro	PLAIN kind, name, ops
	T	\kind, "\name", "\name \ops"
	.endm
	.macro	ROUNDED kind, name, ops
	.irp	rm, rne, rtz, rdn, rup, rmm
	T	\kind, "\name", "\name \ops, \rm"
	.endr
	T	(\kind) + DYN, "\name", "\name \ops"
	.endm

	.irp	n, fadd.h, fsub.h, fmul.h, fdiv.h
	ROUNDED	F2+HALF, \n, "fa0, fa0, fa1"
	.endr
	ROUNDED	F1+HALF, fsqrt.h, "fa0, fa0"
	.irp	n, fmadd.h, fmsub.h, fnmsub.h, fnmadd.h
	ROUNDED	F3+HALF, \n, "fa0, fa0, fa1, fa2"
	.endr
	.irp	n, fsgnj.h, fsgnjn.h, fsgnjx.h, fmin.h, fmax.h
	PLAIN	F2+HALF, \n, "fa0, fa0, fa1"
	PLAIN	F2+HALF, \n, "fa0, fa1, fa0"
	PLAIN	F2+HALF, \n, "fa0, fa0, fa0"
	.endr
	.irp	n, feq.h, flt.h, fle.h
	PLAIN	FI2+HALF, \n, "a0, fa0, fa1"
	PLAIN	FI2+HALF, \n, "zero, fa0, fa1"
	.endr
	PLAIN	FI+HALF, fclass.h, "a0, fa0"
	PLAIN	FI+HALF, fmv.x.h, "a0, fa0"
	PLAIN	FI, fmv.x.h, "a0, fa0"
	PLAIN	IF, fmv.h.x, "fa0, a0"
	.irp	n, fcvt.w.h, fcvt.wu.h, fcvt.l.h, fcvt.lu.h
	ROUNDED	FI+HALF, \n, "a0, fa0"
	.endr
	.irp	n, fcvt.h.w, fcvt.h.wu, fcvt.h.l, fcvt.h.lu
	ROUNDED	IF, \n, "fa0, a0"
	.endr
	ROUNDED	F1+SINGLE, fcvt.h.s, "fa0, fa0"
	ROUNDED	F1, fcvt.h.d, "fa0, fa0"
	PLAIN	F1+HALF, fcvt.s.h, "fa0, fa0"
	PLAIN	F1+HALF, fcvt.d.h, "fa0, fa0"
	/* Wider operations see the raw bits of a boxed half: a NaN. */
	T	FI+HALF, "fclass.s-of-half", "fclass.s a0, fa0"
	T	FI+HALF, "fclass.d-of-half", "fclass.d a0, fa0"
	T	FI+SINGLE, "fclass.h-of-single", "fclass.h a0, fa0"
	/* Memory: the low half goes out, and comes back boxed. */
	T	F1, "fsh-flh", "addi sp, sp, -16; sd zero, (sp); fsh fa0, 2(sp); flh fa0, 2(sp); ld t0, (sp); addi sp, sp, 16; fcvt.d.l fa1, t0; fadd.d fa1, fa1, fa1"
	T	F1, "fsh-flh", "addi sp, sp, -16; sd zero, (sp); fsh fa0, 3(sp); flh fa0, 3(sp); addi sp, sp, 16"
