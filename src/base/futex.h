/* SPDX-License-Identifier: MIT */
/*
 * futex(2): sleep until a word changes. For waits that may happen inside of a signal
 * handler or of code that one interrupts, where a mutex could be held already; everything
 * else uses sync.h.
 *
 * The word is process-private and changed atomically before the wake. A wait may end for no
 * reason: the caller looks at its condition again.
 */
#ifndef SV_BASE_FUTEX_H
#define SV_BASE_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"

/* Sleeps while *word == val, at most ns nanoseconds (below a second). errno is kept. */
static inline void sv_futex_wait(const u32 *word, u32 val, u64 ns)
{
	struct timespec ts = { .tv_nsec = (long)ns };
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, val, &ts, NULL, 0);
	errno = saved;
}

static inline void sv_futex_wake_all(const u32 *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
	errno = saved;
}

#endif
