/* SPDX-License-Identifier: MIT */
/*
 * Entry of the boot hart and of harts started by HSM (a1 = its struct hart), the trap entry with
 * a full register save, and the ways into code under test: try_call, try_user, run_context.
 */
#include "guest.h"

	.section .text.start, "ax"
	.globl _start
_start:
	la	t0, __bss_start
	la	t1, __bss_end
1:	bgeu	t0, t1, 2f
	sd	zero, 0(t0)
	addi	t0, t0, 8
	j	1b
2:	la	tp, harts
	la	sp, boot_stack_top
	call	boot			/* boot(hartid, dtb) does not return */

	/* A secondary hart: a0 hartid, a1 struct hart with recover_sp as its stack. */
	.globl smp_entry
smp_entry:
	mv	tp, a1
	ld	sp, HART_RECOVER_SP(tp)
	call	secondary
1:	wfi
	j	1b

	.text
	.align	2
	.globl trap_entry
trap_entry:
	csrrw	sp, sscratch, sp
	sd	x1, 8(sp)
	.irp	n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	sd	x\n, (\n * 8)(sp)
	.endr
	csrrw	t0, sscratch, sp
	sd	t0, 16(sp)
	csrr	t0, sepc
	csrr	t1, sstatus
	csrr	t2, scause
	csrr	t3, stval
	sd	t0, HART_SEPC(sp)
	sd	t1, HART_SSTATUS(sp)
	sd	t2, HART_SCAUSE(sp)
	sd	t3, HART_STVAL(sp)
	mv	tp, sp
	mv	a0, sp
	ld	sp, HART_TRAP_SP(tp)
	call	trap_handler
	ld	t0, HART_SEPC(tp)
	ld	t1, HART_SSTATUS(tp)
	csrw	sepc, t0
	csrw	sstatus, t1
	mv	sp, tp
	ld	x1, 8(sp)
	.irp	n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	x\n, (\n * 8)(sp)
	.endr
	ld	sp, 16(sp)
	sret

	.macro	save_callee
	addi	sp, sp, -112
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	sd	s6, 56(sp)
	sd	s7, 64(sp)
	sd	s8, 72(sp)
	sd	s9, 80(sp)
	sd	s10, 88(sp)
	sd	s11, 96(sp)
	.endm
	.macro	restore_callee
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	ld	s6, 56(sp)
	ld	s7, 64(sp)
	ld	s8, 72(sp)
	ld	s9, 80(sp)
	ld	s10, 88(sp)
	ld	s11, 96(sp)
	addi	sp, sp, 112
	.endm

	/*
	 * u64 try_asm(const void *fn, a, b, c): as a call; if it traps, the handler puts tp, sp
	 * and pc back to try_recover. The caller (trap.c) has reset the hart's trap record.
	 */
	.globl try_asm
try_asm:
	save_callee
	la	t0, try_recover
	sd	t0, HART_RECOVER_PC(tp)
	sd	sp, HART_RECOVER_SP(tp)
	mv	t0, a0
	mv	a0, a1
	mv	a1, a2
	mv	a2, a3
	jalr	t0
	sd	zero, HART_RECOVER_SP(tp)
try_recover:
	restore_callee
	ret

	/* u64 try_user_asm(const void *fn, a, b, c, user_sp, user_return): the same in U mode. */
	.globl try_user_asm
try_user_asm:
	save_callee
	la	t0, try_recover
	sd	t0, HART_RECOVER_PC(tp)
	sd	sp, HART_RECOVER_SP(tp)
	li	t0, SSTATUS_SPP | SSTATUS_SPIE
	csrc	sstatus, t0
	csrw	sepc, a0
	mv	a0, a1
	mv	a1, a2
	mv	a2, a3
	mv	sp, a4
	mv	ra, a5
	sret

	.align	2
	.globl user_return
user_return:
	li	a7, USER_RETURN
	ecall

	/* void run_context_asm(struct context *c) */
	.globl run_context_asm
run_context_asm:
	save_callee
	addi	sp, sp, -16
	sd	a0, 0(sp)
	la	t0, context_recover
	sd	t0, HART_RECOVER_PC(tp)
	sd	sp, HART_RECOVER_SP(tp)
	li	t0, SSTATUS_SPP | SSTATUS_SPIE
	csrc	sstatus, t0
	li	t0, SSTATUS_FS
	csrs	sstatus, t0
	.option push
	.option arch, +d
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	fld	f\n, (CTX_F + \n * 8)(a0)
	.endr
	ld	t0, CTX_FCSR(a0)
	fscsr	t0
	.option pop
	ld	t0, CTX_PC(a0)
	csrw	sepc, t0
	ld	t0, CTX_SSTATUS(a0)
	csrs	sstatus, t0
	mv	x31, a0
	.irp	n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
	ld	x\n, (\n * 8)(x31)
	.endr
	ld	x31, (31 * 8)(x31)
	sret
	/* The handler has left the integer registers in struct hart; FP is still the test's. */
context_recover:
	ld	a0, 0(sp)
	addi	sp, sp, 16
	.option push
	.option arch, +d
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	fsd	f\n, (CTX_F + \n * 8)(a0)
	.endr
	frcsr	t0
	sd	t0, CTX_FCSR(a0)
	.option pop
	restore_callee
	ret

	.bss
	.align	4
	.space	32768
boot_stack_top:
