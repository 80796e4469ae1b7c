/* SPDX-License-Identifier: MIT */
/*
 * Allocation with a point of failure in each call. See alloc.h.
 */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem_notify.h"

__thread unsigned sv_fault_countdown __attribute__((tls_model("initial-exec")));
static __thread bool fault_fired;
__thread unsigned sv_mem_quiet __attribute__((tls_model("initial-exec")));

bool sv_fault_slow(void)
{
	if (--sv_fault_countdown)
		return false;
	fault_fired = true;
	return true;
}

void sv_fault_inject(unsigned nth)
{
	sv_fault_countdown = nth;
	fault_fired = false;
}

bool sv_fault_fired(void)
{
	return fault_fired;
}

/* The allocator may be one that unmaps memory now and then, by calls that the library sees. */
#define QUIETLY(expr) ({ \
	__typeof__(expr) _p; \
	sv_mem_quiet_begin(); \
	_p = (expr); \
	sv_mem_quiet_end(); \
	_p; })

void *sv_alloc(size_t size)
{
	return sv_fault() ? NULL : QUIETLY(malloc(size ? size : 1));
}

void *sv_zalloc(size_t size)
{
	return sv_fault() ? NULL : QUIETLY(calloc(1, size ? size : 1));
}

void *sv_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return sv_zalloc(bytes);
}

void *sv_realloc(void *p, size_t size)
{
	return sv_fault() ? NULL : QUIETLY(realloc(p, size ? size : 1));
}

void *sv_realloc_array(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return sv_realloc(p, bytes);
}

void *sv_alloc_aligned(size_t align, size_t size)
{
	void *p = NULL;

	if (sv_fault() || QUIETLY(posix_memalign(&p, max(align, sizeof(void *)), size ? size : 1)))
		return NULL;
	return p;
}

void *sv_memdup(const void *p, size_t size)
{
	void *copy = sv_alloc(size);

	return copy && size ? memcpy(copy, p, size) : copy;
}

char *sv_strdup(const char *s)
{
	return sv_memdup(s, strlen(s) + 1);
}

void sv_free(void *p)
{
	sv_mem_quiet_begin();
	free(p);
	sv_mem_quiet_end();
}
