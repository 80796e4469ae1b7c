/* SPDX-License-Identifier: MIT */
/* Hosts whose instructions are not decoded: registers are not offered for mmap there. */
#include "base/trap_insn.h"
#include "base/trap_region.h"

bool sv_trap_can_emulate(void)
{
	return false;
}

bool sv_trap_emulate(void *ucontext)
{
	return false;
}
