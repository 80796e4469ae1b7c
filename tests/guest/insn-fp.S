/* SPDX-License-Identifier: MIT */
/* F and D: every computational instruction, every static rounding mode, and dynamic under each frm. */
#include "lib/table.h"
#include "lib/guest.h"

	/* Without a rounding mode. */
	.macro	PLAIN kind, name, ops
	T	\kind, "\name", "\name \ops"
	.endm
	/* With one: five static and dynamic. */
	.macro	ROUNDED kind, name, ops
	.irp	rm, rne, rtz, rdn, rup, rmm
	T	\kind, "\name", "\name \ops, \rm"
	.endr
	T	(\kind) + DYN, "\name", "\name \ops"
	.endm

	.irp	n, fadd.s, fsub.s, fmul.s, fdiv.s
	ROUNDED	F2+SINGLE, \n, "fa0, fa0, fa1"
	.endr
	.irp	n, fadd.d, fsub.d, fmul.d, fdiv.d
	ROUNDED	F2, \n, "fa0, fa0, fa1"
	.endr
	ROUNDED	F1+SINGLE, fsqrt.s, "fa0, fa0"
	ROUNDED	F1, fsqrt.d, "fa0, fa0"
	.irp	n, fmadd.s, fmsub.s, fnmsub.s, fnmadd.s
	ROUNDED	F3+SINGLE, \n, "fa0, fa0, fa1, fa2"
	.endr
	.irp	n, fmadd.d, fmsub.d, fnmsub.d, fnmadd.d
	ROUNDED	F3, \n, "fa0, fa0, fa1, fa2"
	.endr
	.irp	n, fsgnj.s, fsgnjn.s, fsgnjx.s, fmin.s, fmax.s
	PLAIN	F2+SINGLE, \n, "fa0, fa0, fa1"
	PLAIN	F2+SINGLE, \n, "fa0, fa1, fa0"
	PLAIN	F2+SINGLE, \n, "fa0, fa0, fa0"
	.endr
	.irp	n, fsgnj.d, fsgnjn.d, fsgnjx.d, fmin.d, fmax.d
	PLAIN	F2, \n, "fa0, fa0, fa1"
	PLAIN	F2, \n, "fa0, fa1, fa0"
	PLAIN	F2, \n, "fa0, fa0, fa0"
	.endr
	.irp	n, feq.s, flt.s, fle.s
	PLAIN	FI2+SINGLE, \n, "a0, fa0, fa1"
	PLAIN	FI2+SINGLE, \n, "zero, fa0, fa1"
	.endr
	.irp	n, feq.d, flt.d, fle.d
	PLAIN	FI2, \n, "a0, fa0, fa1"
	PLAIN	FI2, \n, "zero, fa0, fa1"
	.endr
	PLAIN	FI+SINGLE, fclass.s, "a0, fa0"
	PLAIN	FI, fclass.d, "a0, fa0"
	PLAIN	FI+SINGLE, fmv.x.w, "a0, fa0"
	PLAIN	FI, fmv.x.w, "a0, fa0"
	PLAIN	FI, fmv.x.d, "a0, fa0"
	PLAIN	IF, fmv.w.x, "fa0, a0"
	PLAIN	IF, fmv.d.x, "fa0, a0"
	.irp	n, fcvt.w.s, fcvt.wu.s, fcvt.l.s, fcvt.lu.s
	ROUNDED	FI+SINGLE, \n, "a0, fa0"
	.endr
	.irp	n, fcvt.w.d, fcvt.wu.d, fcvt.l.d, fcvt.lu.d
	ROUNDED	FI, \n, "a0, fa0"
	.endr
	.irp	n, fcvt.s.w, fcvt.s.wu, fcvt.s.l, fcvt.s.lu, fcvt.d.l, fcvt.d.lu
	ROUNDED	IF, \n, "fa0, a0"
	.endr
	.irp	n, fcvt.d.w, fcvt.d.wu
	PLAIN	IF, \n, "fa0, a0"
	.endr
	ROUNDED	F1, fcvt.s.d, "fa0, fa0"
	PLAIN	F1+SINGLE, fcvt.d.s, "fa0, fa0"
	/* Double operations see the raw 64 bits of a boxed single: a NaN. */
	T	FI+SINGLE, "fclass.d-of-single", "fclass.d a0, fa0"
	T	FI, "fclass.s-of-double", "fclass.s a0, fa0"
