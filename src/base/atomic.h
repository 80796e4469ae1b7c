/* SPDX-License-Identifier: MIT */
/*
 * The kernel's names for single accesses that other threads may race with, on top of the
 * compiler's C11 builtins, so that TSan understands every one of them.
 */
#ifndef SV_BASE_ATOMIC_H
#define SV_BASE_ATOMIC_H

#include "base/types.h"

#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Full barriers on both sides, as the kernel's value-returning atomics. */
#define xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define cmpxchg(p, old, n) ({ \
	__typeof__(*(p)) _old = (old); \
	__atomic_compare_exchange_n((p), &_old, (n), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	_old; })

typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
#define ATOMIC_INIT(i) { (i) }

/* The kernel's ordering: what returns a value is fully ordered, the rest is relaxed. */
#define SV_DEFINE_ATOMIC(name, type, num) \
static inline num name##_read(const type *v) { return READ_ONCE(v->counter); } \
static inline void name##_set(type *v, num i) { WRITE_ONCE(v->counter, i); } \
static inline void name##_add(num i, type *v) \
{ __atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void name##_sub(num i, type *v) \
{ __atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void name##_inc(type *v) { name##_add(1, v); } \
static inline void name##_dec(type *v) { name##_sub(1, v); } \
static inline num name##_add_return(num i, type *v) \
{ return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST); } \
static inline num name##_inc_return(type *v) { return name##_add_return(1, v); } \
static inline num name##_dec_return(type *v) { return name##_add_return(-1, v); } \
static inline bool name##_dec_and_test(type *v) { return name##_dec_return(v) == 0; } \
static inline num name##_xchg(type *v, num n) { return xchg(&v->counter, n); } \
static inline num name##_cmpxchg(type *v, num old, num n) { return cmpxchg(&v->counter, old, n); }

SV_DEFINE_ATOMIC(atomic, atomic_t, int)
SV_DEFINE_ATOMIC(atomic64, atomic64_t, s64)
#undef SV_DEFINE_ATOMIC

#endif
