/* SPDX-License-Identifier: MIT */
/*
 * Between trap_region.c and the decoder of the host's instructions (trap_x86.c, trap_riscv64.c,
 * trap_arm64.c; trap_none.c where there is none), and what the decoders share (trap_insn.c).
 *
 * All of it runs in the handler of a fault, in the thread that faulted.
 */
#ifndef SV_BASE_TRAP_INSN_H
#define SV_BASE_TRAP_INSN_H

#include "base/sync.h"
#include "base/types.h"

/*
 * Carries out the instruction that faulted in this ucontext_t with sv_trap_load and _store,
 * and moves the context behind it. False, with nothing but memory changed: an instruction that
 * can't be carried out, or an op said no.
 */
bool sv_trap_emulate(void *ucontext);

/* A region's bytes, or else the program's memory. False: an op said no, or it is no memory. */
bool sv_trap_load(u64 addr, void *dst, size_t len);
bool sv_trap_store(u64 addr, const void *src, size_t len);

/* Up to len bytes of code at pc; fewer where the next page can't be read. */
size_t sv_trap_fetch(u64 pc, void *buf, size_t len);

/* Held over a read and the write that depends on it: atomic among trapped accesses. */
extern struct sv_mutex sv_trap_rmw_lock;

#endif
