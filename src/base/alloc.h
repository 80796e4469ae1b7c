/* SPDX-License-Identifier: MIT */
/*
 * Memory allocation, and the points where tests make things fail.
 *
 * Every fallible step of the library asks sv_fault() first: allocations do it by
 * themselves, system calls are wrapped as
 *
 *	fd = SV_FAULT(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC);
 *
 * A test arms the n-th such step of its own thread and sees that an operation reports the
 * error, leaks nothing and leaves its object usable:
 *
 *	for (unsigned n = 1; ; n++) {
 *		sv_fault_inject(n);
 *		err = operation();
 *		if (!sv_fault_fired())
 *			break;		// fewer than n steps: every one was tried
 *		... err is a failure, state is as before ...
 *	}
 *	sv_fault_inject(0);
 *
 * When nothing is armed the cost is one predictable branch on a thread-local.
 */
#ifndef SV_BASE_ALLOC_H
#define SV_BASE_ALLOC_H

#include <errno.h>

#include "base/types.h"

extern __thread unsigned sv_fault_countdown __attribute__((tls_model("initial-exec")));
bool sv_fault_slow(void);

/* True when the caller must fail now. */
static inline bool sv_fault(void)
{
	return unlikely(sv_fault_countdown) && sv_fault_slow();
}

/* For system calls: true, with errno set, when the call must be taken as failed. */
#define SV_FAULT(err) (sv_fault() && (errno = (err), true))

/* The nth (from 1) fallible step of this thread fails, once. 0: none. Forgets fired. */
void sv_fault_inject(unsigned nth);
/* Did the armed step happen since sv_fault_inject()? */
bool sv_fault_fired(void);

/* All return NULL when memory is short. Size 0 gives a unique pointer. */
#pragma GCC visibility push(default)	/* driver code reaches these through inline functions */
void *sv_alloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *sv_zalloc(size_t size) __attribute__((malloc, alloc_size(1)));
/* Zeroed; NULL also when n * size overflows. */
void *sv_calloc(size_t n, size_t size) __attribute__((malloc, alloc_size(1, 2)));
/* On failure p is untouched. */
void *sv_realloc(void *p, size_t size) __attribute__((alloc_size(2)));
void *sv_realloc_array(void *p, size_t n, size_t size) __attribute__((alloc_size(2, 3)));
/* Not zeroed. align is a power of two. */
void *sv_alloc_aligned(size_t align, size_t size) __attribute__((malloc, alloc_size(2)));
char *sv_strdup(const char *s);
void *sv_memdup(const void *p, size_t size);
/* All of the above. NULL is fine. */
void sv_free(void *p);
#pragma GCC visibility pop

#endif
