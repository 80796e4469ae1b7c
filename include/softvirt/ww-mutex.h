/* SPDX-License-Identifier: MIT */
/*
 * Wound/wait mutexes: a thread may hold several locks of a class without an order between
 * them, because one of two that would wait for each other gives up.
 *
 * A ww_acquire_ctx is one such undertaking, older ones have smaller stamps. When an older
 * one waits for a lock that a younger one holds, the younger is wounded: the next time it
 * would have to wait, and if it is waiting already, its ww_mutex_lock returns -EDEADLK. It
 * then unlocks everything it holds, takes the contended lock with ww_mutex_lock_slow (which
 * cannot fail, holding nothing) and goes on from there. The oldest never gives up.
 *
 * Locking without a context is an ordinary mutex, at the end of the line behind contexts.
 */
#ifndef SOFTVIRT_WW_MUTEX_H
#define SOFTVIRT_WW_MUTEX_H

#include "softvirt/dma-types.h"

#pragma GCC visibility push(default)

struct ww_class {
	atomic64_t stamp;
	const char *name;
};
#define DEFINE_WW_CLASS(classname) \
	struct ww_class classname = { .stamp = { 0 }, .name = #classname }

/* Where a thread that waits sleeps; all under m. */
struct ww_wake {
	struct sv_mutex m;
	struct sv_cond c;
	bool kicked;		/* look at the lock again */
	int intr_fd;		/* an interruptible sleeper's, or -1 */
};

struct ww_acquire_ctx {
	u64 stamp;
	struct ww_class *ww_class;
	unsigned int acquired;		/* locks held; the owner's own */
	bool wounded;			/* under wake.m */
	struct ww_wake wake;
};

struct ww_mutex {
	struct sv_mutex m;		/* guards what follows */
	bool locked;
	struct ww_acquire_ctx *ctx;	/* the owner's, if it has one */
	struct list_head waiters;	/* by stamp; those without one at the end */
	struct ww_waiter *handoff;	/* the next owner: was woken once and came too late */
};

void ww_mutex_init(struct ww_mutex *lock, struct ww_class *ww_class);
void ww_mutex_destroy(struct ww_mutex *lock);

void ww_acquire_init(struct ww_acquire_ctx *ctx, struct ww_class *ww_class);
static inline void ww_acquire_done(struct ww_acquire_ctx *ctx) { (void)ctx; }
void ww_acquire_fini(struct ww_acquire_ctx *ctx);

/* 0; with a context: -EDEADLK (give up, see above), -EALREADY (it holds this one). */
int ww_mutex_lock(struct ww_mutex *lock, struct ww_acquire_ctx *ctx);
/* Also -ETIMEDOUT, at an absolute time in ns. */
int ww_mutex_lock_until(struct ww_mutex *lock, struct ww_acquire_ctx *ctx, u64 deadline_ns);
/* Also -EINTR: a signal's handler has run. */
int __must_check ww_mutex_lock_interruptible(struct ww_mutex *lock, struct ww_acquire_ctx *ctx);
/* ctx holds no lock. */
void ww_mutex_lock_slow(struct ww_mutex *lock, struct ww_acquire_ctx *ctx);
int __must_check ww_mutex_lock_slow_interruptible(struct ww_mutex *lock,
						  struct ww_acquire_ctx *ctx);
/* 1 when it is ours now. */
int __must_check ww_mutex_trylock(struct ww_mutex *lock, struct ww_acquire_ctx *ctx);
void ww_mutex_unlock(struct ww_mutex *lock);

static inline bool ww_mutex_is_locked(struct ww_mutex *lock)
{
	return READ_ONCE(lock->locked);
}

#pragma GCC visibility pop

#endif
