/* SPDX-License-Identifier: MIT */
/* What trap_region.c asks of the host's instruction set (trap_x86.c, or nothing: trap_none.c). */
#ifndef SV_BASE_TRAP_INSN_H
#define SV_BASE_TRAP_INSN_H

#include "base/types.h"

/*
 * Carries out the instruction that faulted in this ucontext_t with sv_trap_region_read and
 * _write for what lies in trap regions, and moves the context behind it. False, with nothing
 * but memory changed: an instruction that can't be carried out, or an op said no.
 */
bool sv_trap_emulate(void *ucontext);

#endif
