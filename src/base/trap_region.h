/* SPDX-License-Identifier: MIT */
/*
 * Address ranges of this process that are not memory: a device's registers as a program has mapped
 * them, and mappings of a device's memory while that is switched off.
 *
 * Model: a range belongs to one region. The pages below are inaccessible (PROT_NONE), so that a
 * load or store faults; the fault handler finds the region, decodes the instruction and calls read
 * or write in the faulting thread, then goes on behind the instruction, as a bus would. No op, an
 * error from it, or an instruction that can't be decoded: SIGBUS with the address, BUS_ADRERR, as a
 * load from a device that doesn't answer.
 *
 * Ops run in signal context of a thread that was in the middle of the program's own code: they may
 * take locks that are only ever held inside of this library, because library code never touches a
 * trap region outside of a guard, and under a guard a trap region is -EFAULT, not emulated.
 *
 * Look-up takes no lock and is safe in a signal handler; add and remove take one. After remove
 * returns, no op of the region is running or will run.
 */
#ifndef SV_BASE_TRAP_REGION_H
#define SV_BASE_TRAP_REGION_H

#include <signal.h>

#include "base/types.h"

struct sv_trap_ops {
	/* size 1, 2, 4, 8; off from the region's beginning. 0 or -errno (SIGBUS). */
	int (*read)(void *priv, u64 off, unsigned size, u64 *val);
	int (*write)(void *priv, u64 off, unsigned size, u64 val);
	/*
	 * Asked first, may be NULL: true when the pages are accessible by now, in every way that
	 * the program may access them. Then the instruction is tried again instead of emulated.
	 */
	bool (*retry)(void *priv);
	/*
	 * By sv_trap_region_remove_async() alone, may be NULL: no op of the region runs any more.
	 */
	void (*release)(void *priv);
};

struct sv_trap_region;

/* ops NULL: every access is SIGBUS. 0, -ENOMEM, -EEXIST (overlap). */
int sv_trap_region_add(void *start, size_t len, const struct sv_trap_ops *ops, void *priv,
		       struct sv_trap_region **out);
void sv_trap_region_remove(struct sv_trap_region *r);
/*
 * As remove, but without waiting: ops that are running go on, and release is called when the last
 * has ended, in its thread, or here if there is none.
 */
void sv_trap_region_remove_async(struct sv_trap_region *r);
/*
 * Is the host's instruction set one that can be decoded? If not, only regions without ops make
 * sense.
 */
bool sv_trap_can_emulate(void);

/*
 * For code that has an address and wants to access a region without a fault (peer-to-peer
 * DMA to registers): 0, -errno of the op, -ENOENT: no region there. Splits len into naturally
 * aligned accesses of up to 8 bytes.
 */
int sv_trap_region_read(const void *addr, void *dst, size_t len);
int sv_trap_region_write(void *addr, const void *src, size_t len);

/* guard.c's: true when the fault was emulated; *sigbus: deliver SIGBUS instead of signo. */
bool sv_trap_fault(int signo, const siginfo_t *info, void *ucontext, bool *sigbus);

#endif
