/* SPDX-License-Identifier: MIT */
/*
 * The one wrapper of threads and locks. Everything above src/base uses these and no
 * pthread call, so that a test build (-DSV_MODEL) can put a deterministic scheduler
 * behind the same names.
 *
 * None of these can fail at run time when used rightly: a wrong use (unlocking somebody
 * else's lock, destroying a locked one) is a bug of ours and aborts with a message.
 * Locks are not recursive. All of them can be initialised statically, and every one
 * without owner or waiters can be forgotten without destroy (nothing leaks on Linux).
 *
 * Threads started here block all signals except the synchronous faults, which the guard
 * needs: a program's signals reach the program's own threads only.
 */
#ifndef SV_BASE_SYNC_H
#define SV_BASE_SYNC_H

#include <errno.h>
#include <pthread.h>

#include "base/types.h"

struct sv_mutex { pthread_mutex_t m; };
struct sv_cond { pthread_cond_t c; };
struct sv_rwlock { pthread_rwlock_t l; };
struct sv_spin { pthread_mutex_t m; };
struct sv_once { int state; struct sv_mutex lock; };
struct sv_thread {
	pthread_t t;
	void *(*fn)(void *arg);
	void *arg;
	char name[16];
};

#define SV_MUTEX_INIT { PTHREAD_MUTEX_INITIALIZER }
#define SV_COND_INIT { PTHREAD_COND_INITIALIZER }
#define SV_RWLOCK_INIT { PTHREAD_RWLOCK_INITIALIZER }
#define SV_SPIN_INIT { PTHREAD_MUTEX_INITIALIZER }
#define SV_ONCE_INIT { 0, SV_MUTEX_INIT }

/* Does not return. */
SV_EXPORT void sv_sync_bug(const char *what, int err) __attribute__((__noreturn__, __cold__));

#ifdef SV_MODEL

void sv_mutex_init(struct sv_mutex *m);
void sv_mutex_destroy(struct sv_mutex *m);
void sv_mutex_lock(struct sv_mutex *m);
bool sv_mutex_trylock(struct sv_mutex *m);
void sv_mutex_unlock(struct sv_mutex *m);
void sv_cond_init(struct sv_cond *c);
void sv_cond_destroy(struct sv_cond *c);
void sv_cond_wait(struct sv_cond *c, struct sv_mutex *m);
int sv_cond_wait_until(struct sv_cond *c, struct sv_mutex *m, u64 deadline_ns);
void sv_cond_signal(struct sv_cond *c);
void sv_cond_broadcast(struct sv_cond *c);
void sv_rwlock_init(struct sv_rwlock *l);
void sv_rwlock_destroy(struct sv_rwlock *l);
void sv_read_lock(struct sv_rwlock *l);
void sv_read_unlock(struct sv_rwlock *l);
void sv_write_lock(struct sv_rwlock *l);
void sv_write_unlock(struct sv_rwlock *l);
void sv_spin_init(struct sv_spin *s);
void sv_spin_lock(struct sv_spin *s);
void sv_spin_unlock(struct sv_spin *s);

#else

#define SV_SYNC_CHECK(call) do { \
	int _err = (call); \
	if (unlikely(_err)) \
		sv_sync_bug(#call, _err); \
} while (0)

static inline void sv_mutex_init(struct sv_mutex *m)
{
	SV_SYNC_CHECK(pthread_mutex_init(&m->m, NULL));
}

static inline void sv_mutex_destroy(struct sv_mutex *m)
{
	SV_SYNC_CHECK(pthread_mutex_destroy(&m->m));
}

static inline void sv_mutex_lock(struct sv_mutex *m)
{
	SV_SYNC_CHECK(pthread_mutex_lock(&m->m));
}

/* True when the lock is ours now. */
static inline bool sv_mutex_trylock(struct sv_mutex *m)
{
	int err = pthread_mutex_trylock(&m->m);

	if (err && err != EBUSY)
		sv_sync_bug("pthread_mutex_trylock", err);
	return err == 0;
}

static inline void sv_mutex_unlock(struct sv_mutex *m)
{
	SV_SYNC_CHECK(pthread_mutex_unlock(&m->m));
}

static inline void sv_cond_init(struct sv_cond *c)
{
	SV_SYNC_CHECK(pthread_cond_init(&c->c, NULL));
}

static inline void sv_cond_destroy(struct sv_cond *c)
{
	SV_SYNC_CHECK(pthread_cond_destroy(&c->c));
}

static inline void sv_cond_wait(struct sv_cond *c, struct sv_mutex *m)
{
	SV_SYNC_CHECK(pthread_cond_wait(&c->c, &m->m));
}

/* Until an absolute CLOCK_MONOTONIC time; ~0 is for ever. 0 or -ETIMEDOUT. */
int sv_cond_wait_until(struct sv_cond *c, struct sv_mutex *m, u64 deadline_ns);

static inline void sv_cond_signal(struct sv_cond *c)
{
	SV_SYNC_CHECK(pthread_cond_signal(&c->c));
}

static inline void sv_cond_broadcast(struct sv_cond *c)
{
	SV_SYNC_CHECK(pthread_cond_broadcast(&c->c));
}

static inline void sv_rwlock_init(struct sv_rwlock *l)
{
	SV_SYNC_CHECK(pthread_rwlock_init(&l->l, NULL));
}

static inline void sv_rwlock_destroy(struct sv_rwlock *l)
{
	SV_SYNC_CHECK(pthread_rwlock_destroy(&l->l));
}

static inline void sv_read_lock(struct sv_rwlock *l)
{
	SV_SYNC_CHECK(pthread_rwlock_rdlock(&l->l));
}

static inline bool sv_read_trylock(struct sv_rwlock *l)
{
	return !pthread_rwlock_tryrdlock(&l->l);
}

static inline void sv_read_unlock(struct sv_rwlock *l)
{
	SV_SYNC_CHECK(pthread_rwlock_unlock(&l->l));
}

static inline void sv_write_lock(struct sv_rwlock *l)
{
	SV_SYNC_CHECK(pthread_rwlock_wrlock(&l->l));
}

static inline void sv_write_unlock(struct sv_rwlock *l)
{
	SV_SYNC_CHECK(pthread_rwlock_unlock(&l->l));
}

/*
 * For sections of a few instructions. It sleeps when contended: a user-space thread can
 * lose its CPU inside of the section, and spinning for that long helps nobody.
 */
static inline void sv_spin_init(struct sv_spin *s)
{
	SV_SYNC_CHECK(pthread_mutex_init(&s->m, NULL));
}

static inline void sv_spin_lock(struct sv_spin *s)
{
	SV_SYNC_CHECK(pthread_mutex_lock(&s->m));
}

static inline void sv_spin_unlock(struct sv_spin *s)
{
	SV_SYNC_CHECK(pthread_mutex_unlock(&s->m));
}

#endif /* SV_MODEL */

/* Other names for the reader/writer lock's four calls, object first. */
#define sv_rwlock_rdlock(l) sv_read_lock(l)
#define sv_rwlock_rdunlock(l) sv_read_unlock(l)
#define sv_rwlock_wrlock(l) sv_write_lock(l)
#define sv_rwlock_wrunlock(l) sv_write_unlock(l)

/*
 * Runs fn once and returns after it has run. fn returns 0, or -errno: then the caller gets
 * the error and the next caller tries again.
 */
int sv_once_slow(struct sv_once *o, int (*fn)(void));
static inline int sv_once(struct sv_once *o, int (*fn)(void))
{
	if (likely(__atomic_load_n(&o->state, __ATOMIC_ACQUIRE)))
		return 0;
	return sv_once_slow(o, fn);
}

/* 0 or -errno (-EAGAIN, -ENOMEM). t lives until the join. name: at most 15 characters show. */
int sv_thread_create(struct sv_thread *t, const char *name, void *(*fn)(void *arg), void *arg);
void *sv_thread_join(struct sv_thread *t);
/* The same, but nobody joins it. */
int sv_thread_spawn(const char *name, void *(*fn)(void *arg), void *arg);

#endif
