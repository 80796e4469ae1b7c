/* SPDX-License-Identifier: MIT */
/*
 * Where an interrupted thread's stack pointer is in a signal's context, on each host.
 */
#ifndef SV_BASE_UCONTEXT_H
#define SV_BASE_UCONTEXT_H

#include <ucontext.h>

#include "base/types.h"

static inline uintptr_t sv_ucontext_sp(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__riscv)
	return (uintptr_t)uc->uc_mcontext.__gregs[REG_SP];
#elif defined(__aarch64__)
	return (uintptr_t)uc->uc_mcontext.sp;
#else
#error "say where this host keeps the stack pointer in a signal context"
#endif
}

#endif
