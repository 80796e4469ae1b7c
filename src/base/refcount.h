/* SPDX-License-Identifier: MIT */
/*
 * Reference counts with the kernel's names.
 *
 * A count that would pass its maximum, rise from zero or fall below zero is a bug of ours.
 * It is reported once per place and the count saturates: the object leaks, which is safe,
 * instead of being freed under somebody's feet.
 *
 * Whoever drops the last reference sees everything that the other holders did before they
 * dropped theirs (release on each decrement, acquire on the last).
 */
#ifndef SV_BASE_REFCOUNT_H
#define SV_BASE_REFCOUNT_H

#include "base/types.h"

typedef struct { u32 refs; } refcount_t;

#define REFCOUNT_SATURATED 0xc0000000u
#define REFCOUNT_BAD 0x80000000u	/* at or above: saturated */
#define REFCOUNT_INIT(n) { (n) }

#pragma GCC visibility push(default)	/* driver code reaches these through inline functions */
void refcount_warn(refcount_t *r, const char *what);
#pragma GCC visibility pop

static inline void refcount_set(refcount_t *r, u32 n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELAXED);
}

static inline u32 refcount_read(const refcount_t *r)
{
	return __atomic_load_n(&r->refs, __ATOMIC_RELAXED);
}

/* The caller holds a reference already. */
static inline void refcount_inc(refcount_t *r)
{
	u32 old = __atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);

	if (unlikely(old == 0 || old >= REFCOUNT_BAD - 1))
		refcount_warn(r, old ? "overflow" : "increment of zero");
}

/*
 * False when the object is already on its way out. Acquire: on memory that is reused for
 * objects of the same type, what the reader checks next belongs to this life of it.
 */
static inline bool refcount_inc_not_zero(refcount_t *r)
{
	u32 old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);

	do {
		if (old == 0)
			return false;
	} while (!__atomic_compare_exchange_n(&r->refs, &old, old + 1, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	if (unlikely(old >= REFCOUNT_BAD - 1))
		refcount_warn(r, "overflow");
	return true;
}

/* True for the caller that dropped the last reference. */
static inline bool refcount_dec_and_test(refcount_t *r)
{
	u32 old = __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL);

	if (unlikely(old == 0 || old >= REFCOUNT_BAD)) {
		refcount_warn(r, old ? "decrement of saturated" : "decrement of zero");
		return false;
	}
	return old == 1;
}

struct kref {
	refcount_t refcount;
};
#define KREF_INIT(n) { .refcount = REFCOUNT_INIT(n) }

static inline void kref_init(struct kref *k)
{
	refcount_set(&k->refcount, 1);
}

static inline u32 kref_read(const struct kref *k)
{
	return refcount_read(&k->refcount);
}

static inline void kref_get(struct kref *k)
{
	refcount_inc(&k->refcount);
}

static inline bool kref_get_unless_zero(struct kref *k)
{
	return refcount_inc_not_zero(&k->refcount);
}

/* 1 when this call released the object, else 0. */
static inline int kref_put(struct kref *k, void (*release)(struct kref *k))
{
	if (!refcount_dec_and_test(&k->refcount))
		return 0;
	release(k);
	return 1;
}

#endif
