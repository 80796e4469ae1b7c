/* SPDX-License-Identifier: MIT */
/*
 * What the guest save_restore.c and its VMM, ../test_save_restore.c, agree on.
 *
 * The guest's memory has one part that may differ from run to run (the trap stack, the
 * steal-time page, the last time seen: interrupts come when they come). All else is the
 * same at the end of every run, however often the run was interrupted and moved.
 */
#ifndef TESTS_ABI_GUEST_SAVE_RESTORE_H
#define TESTS_ABI_GUEST_SAVE_RESTORE_H

#define SR_RAM 0x80000000
#define SR_RAM_SIZE 0x80000
#define SR_STACK_TOP (SR_RAM + 0x70000)
#define SR_SCRATCH (SR_RAM + 0x70000)	/* up to SR_RESULT: differs */
#define SR_STA SR_SCRATCH		/* 64 bytes */
#define SR_LAST_TIME (SR_SCRATCH + 0x100)
#define SR_TRAP_STACK_TOP (SR_SCRATCH + 0x4000)
#define SR_RESULT (SR_RAM + 0x78000)

#define SR_DEVICE 0x10000000		/* loads are answered from the address and a count */
#define SR_RAISE 0x10001000		/* a store raises the external interrupt */
#define SR_ACK 0x10001008		/* a store lowers it */
#define SR_DONE 0x20000000		/* a store ends the run */

#define SR_ROUNDS 12
#define SR_TICKS 6			/* timer interrupts in each round */
#define SR_MVENDORID 0x489
#define SR_USER_SBI 0x08000001		/* experimental: user space answers */

/* What went wrong, as bits. */
#define SR_ERR_TRAP 1			/* a trap that nobody asked for */
#define SR_ERR_TIME 2			/* time went back */
#define SR_ERR_STA 4			/* steal time went back, or sequence is odd */
#define SR_ERR_CSR 8			/* a CSR does not hold what was written */
#define SR_ERR_SBI 16			/* an SBI call was not answered as it should be */

struct sr_result {
	unsigned long hash, rounds, ticks, ipis, externals, faults, ucalls, errors;
	unsigned long trap_cause, trap_pc, trap_tval;
};

#endif
