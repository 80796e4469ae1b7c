/* SPDX-License-Identifier: MIT */
/*
 * Wound/wait mutexes: see softvirt/ww-mutex.h.
 *
 * Model. lock->m guards the whole state of a lock for the few instructions that each
 * operation needs. A waiter is on the list, sorted, and sleeps on its context's wake (or
 * one on its stack). Unlocking wakes the first waiter but lets anybody take the lock
 * meanwhile, which is fast; a waiter that was woken and found it taken is handed the lock
 * by the next unlock, so that it does not starve.
 *
 * Invariants: ctx is set only while locked; a context's wake is waited on by one thread;
 * a context that is wounded and holds locks does not sleep; while a lock is free and has
 * waiters, the first of them has been kicked and has not looked yet.
 *
 * Locks: lock->m, then wake.m of any waiter or owner. An owner's context lives at least as
 * long as lock->m is held by somebody who saw it, for to let go it needs lock->m.
 */
#include "base/intr.h"
#include "softvirt/ww-mutex.h"

struct ww_waiter {
	struct list_head node;
	struct ww_acquire_ctx *ctx;
	struct ww_wake *wake;
	bool was_kicked;	/* under lock->m */
	bool intr;		/* a signal ends the wait */
};

static void wake_init(struct ww_wake *wake)
{
	sv_mutex_init(&wake->m);
	sv_cond_init(&wake->c);
	wake->kicked = false;
	wake->intr_fd = -1;
}

/* wake->m held. */
static void kick_locked(struct ww_wake *wake)
{
	wake->kicked = true;
	sv_cond_signal(&wake->c);
	if (wake->intr_fd >= 0)
		sv_intr_wake(wake->intr_fd);
}

static void wake_kick(struct ww_wake *wake)
{
	sv_mutex_lock(&wake->m);
	kick_locked(wake);
	sv_mutex_unlock(&wake->m);
}

void ww_mutex_init(struct ww_mutex *lock, struct ww_class *ww_class)
{
	sv_mutex_init(&lock->m);
	lock->locked = false;
	lock->ctx = NULL;
	INIT_LIST_HEAD(&lock->waiters);
	lock->handoff = NULL;
}

void ww_mutex_destroy(struct ww_mutex *lock)
{
	WARN_ON(lock->locked || !list_empty(&lock->waiters));
	sv_mutex_destroy(&lock->m);
}

void ww_acquire_init(struct ww_acquire_ctx *ctx, struct ww_class *ww_class)
{
	ctx->stamp = (u64)atomic64_inc_return(&ww_class->stamp);
	ctx->ww_class = ww_class;
	ctx->acquired = 0;
	ctx->wounded = false;
	wake_init(&ctx->wake);
}

void ww_acquire_fini(struct ww_acquire_ctx *ctx)
{
	WARN_ON(ctx->acquired);
	sv_cond_destroy(&ctx->wake.c);
	sv_mutex_destroy(&ctx->wake.m);
}

static bool ctx_is_wounded(struct ww_acquire_ctx *ctx)
{
	bool wounded;

	sv_mutex_lock(&ctx->wake.m);
	wounded = ctx->wounded;
	sv_mutex_unlock(&ctx->wake.m);
	return wounded;
}

static void ctx_wound(struct ww_acquire_ctx *ctx)
{
	sv_mutex_lock(&ctx->wake.m);
	ctx->wounded = true;
	kick_locked(&ctx->wake);
	sv_mutex_unlock(&ctx->wake.m);
}

/*
 * An older context that holds something waits for a younger owner. One that holds nothing
 * cannot be part of a circle: it just waits.
 */
static bool must_wound(const struct ww_acquire_ctx *waiter, const struct ww_acquire_ctx *owner)
{
	return waiter && owner && waiter->acquired && waiter->stamp < owner->stamp;
}

/* Who has just become the owner may find older ones waiting. lock->m held. */
static void take(struct ww_mutex *lock, struct ww_acquire_ctx *ctx)
{
	struct ww_waiter *w;

	WRITE_ONCE(lock->locked, true);
	lock->ctx = ctx;
	if (!ctx)
		return;
	ctx->acquired++;
	list_for_each_entry(w, &lock->waiters, node) {
		if (must_wound(w->ctx, ctx)) {
			ctx_wound(ctx);
			break;
		}
	}
}

static void waiter_add(struct ww_mutex *lock, struct ww_waiter *waiter)
{
	struct ww_waiter *w;

	if (waiter->ctx) {
		list_for_each_entry(w, &lock->waiters, node) {
			if (!w->ctx || w->ctx->stamp > waiter->ctx->stamp) {
				list_add_tail(&waiter->node, &w->node);
				return;
			}
		}
	}
	list_add_tail(&waiter->node, &lock->waiters);
}

/* The lock is free: somebody should look. lock->m held. */
static void kick_first(struct ww_mutex *lock)
{
	struct ww_waiter *w = list_first_entry_or_null(&lock->waiters, struct ww_waiter, node);

	if (!w)
		return;
	w->was_kicked = true;
	wake_kick(w->wake);
}

/* Sleeps until kicked, or a handler has run (-EINTR). wake->m held; not while it sleeps. */
static int sleep_intr(struct ww_wake *wake, int fd, u64 deadline_ns)
{
	int err = 0;

	if (!wake->kicked) {
		wake->intr_fd = fd;
		sv_mutex_unlock(&wake->m);
		err = sv_intr_sleep(fd, deadline_ns);
		sv_mutex_lock(&wake->m);
		wake->intr_fd = -1;
	}
	return err;
}

/* Sleeps until kicked. 0, -ETIMEDOUT or -EINTR. */
static int waiter_sleep(struct ww_waiter *waiter, u64 deadline_ns)
{
	int fd = waiter->intr ? sv_intr_open() : -1, err = 0;
	struct ww_wake *wake = waiter->wake;

	sv_mutex_lock(&wake->m);
	if (fd >= 0)
		err = sleep_intr(wake, fd, deadline_ns);
	while (fd < 0 && !wake->kicked && !err)
		err = sv_cond_wait_until(&wake->c, &wake->m, deadline_ns);
	if (wake->kicked)
		err = 0;
	wake->kicked = false;
	sv_mutex_unlock(&wake->m);
	if (fd >= 0)
		sv_intr_close(fd);
	return err;
}

/* lock->m held, and held again on return. 0: we own it. */
static int wait_for_lock(struct ww_mutex *lock, struct ww_waiter *waiter, u64 deadline_ns)
{
	struct ww_acquire_ctx *ctx = waiter->ctx;
	int err = 0;

	for (;;) {
		if (lock->handoff == waiter) {
			/* The old owner left it to us. */
			if (!lock->locked)
				return 0;
		} else if (!lock->locked && !lock->handoff) {
			return 0;
		}
		if (ctx && ctx->acquired && ctx_is_wounded(ctx))
			return -EDEADLK;
		if (err)
			return err;
		if (must_wound(ctx, lock->ctx))
			ctx_wound(lock->ctx);
		/* Woken, and too late: next time it waits for us. */
		if (waiter->was_kicked && lock->locked && !lock->handoff)
			lock->handoff = waiter;
		sv_mutex_unlock(&lock->m);
		err = waiter_sleep(waiter, deadline_ns);
		sv_mutex_lock(&lock->m);
	}
}

static int lock_slow(struct ww_mutex *lock, struct ww_acquire_ctx *ctx, bool intr, u64 deadline_ns)
{
	struct ww_waiter waiter = { .ctx = ctx, .intr = intr };
	struct ww_wake wake;
	int err;

	if (ctx) {
		waiter.wake = &ctx->wake;
	} else {
		wake_init(&wake);
		waiter.wake = &wake;
	}
	waiter_add(lock, &waiter);
	err = wait_for_lock(lock, &waiter, deadline_ns);
	list_del(&waiter.node);
	if (lock->handoff == &waiter)
		lock->handoff = NULL;
	if (!err)
		take(lock, ctx);
	else if (!lock->locked)
		/* The kick that we leave with was meant for whoever is first now. */
		kick_first(lock);
	sv_mutex_unlock(&lock->m);
	return err;
}

/*
 * Sections are short and owners usually run: looking for a moment is cheaper than the two
 * switches of a sleep, and keeps many contenders from queueing up behind each other.
 */
#ifdef SV_MODEL
#define SPINS 0		/* a second try is one more order of the same steps */
#else
#define SPINS 200
#endif
static void spin(struct ww_mutex *lock)
{
	for (int i = 0; i < SPINS; i++) {
		if (!READ_ONCE(lock->locked))
			return;
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#else
		__asm__ volatile("" ::: "memory");
#endif
	}
}

static int lock_until(struct ww_mutex *lock, struct ww_acquire_ctx *ctx, bool intr, u64 deadline_ns)
{
	/* Who holds nothing can't be in anybody's way, and nobody can wound it now. */
	if (ctx && !ctx->acquired)
		ctx->wounded = false;
	for (bool spun = !SPINS;; spun = true) {
		sv_mutex_lock(&lock->m);
		if (likely(!lock->locked && !lock->handoff)) {
			take(lock, ctx);
			sv_mutex_unlock(&lock->m);
			return 0;
		}
		if (ctx && lock->ctx == ctx) {
			sv_mutex_unlock(&lock->m);
			return -EALREADY;
		}
		if (spun || lock->handoff)
			return lock_slow(lock, ctx, intr, deadline_ns);
		sv_mutex_unlock(&lock->m);
		spin(lock);
	}
}

int ww_mutex_lock_until(struct ww_mutex *lock, struct ww_acquire_ctx *ctx, u64 deadline_ns)
{
	return lock_until(lock, ctx, false, deadline_ns);
}

int ww_mutex_lock_interruptible(struct ww_mutex *lock, struct ww_acquire_ctx *ctx)
{
	return lock_until(lock, ctx, true, DMA_DEADLINE_NEVER);
}

int ww_mutex_lock_slow_interruptible(struct ww_mutex *lock, struct ww_acquire_ctx *ctx)
{
	WARN_ON(ctx && ctx->acquired);
	return ww_mutex_lock_interruptible(lock, ctx);
}

int ww_mutex_lock(struct ww_mutex *lock, struct ww_acquire_ctx *ctx)
{
	return ww_mutex_lock_until(lock, ctx, DMA_DEADLINE_NEVER);
}

void ww_mutex_lock_slow(struct ww_mutex *lock, struct ww_acquire_ctx *ctx)
{
	int err;

	WARN_ON(ctx && ctx->acquired);
	err = ww_mutex_lock(lock, ctx);
	WARN_ON(err);
}

int ww_mutex_trylock(struct ww_mutex *lock, struct ww_acquire_ctx *ctx)
{
	bool taken;

	sv_mutex_lock(&lock->m);
	taken = !lock->locked && !lock->handoff;
	if (taken)
		take(lock, ctx);
	sv_mutex_unlock(&lock->m);
	return taken;
}

void ww_mutex_unlock(struct ww_mutex *lock)
{
	sv_mutex_lock(&lock->m);
	if (unlikely(!lock->locked))
		sv_sync_bug("ww_mutex_unlock of a free lock", EPERM);
	if (lock->ctx)
		lock->ctx->acquired--;
	lock->ctx = NULL;
	WRITE_ONCE(lock->locked, false);
	if (unlikely(lock->handoff)) {
		wake_kick(lock->handoff->wake);
	} else if (unlikely(!list_empty(&lock->waiters))) {
		kick_first(lock);
	}
	sv_mutex_unlock(&lock->m);
}
