/* SPDX-License-Identifier: MIT */
/*
 * Threads and the parts of the locks that are not worth inlining. See sync.h.
 */
#include "base/sync.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/refcount.h"
#include "base/log.h"

void sv_sync_bug(const char *what, int err)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "softvirt: bug: %s: %s\n", what, strerror(err));

	if (n > 0 && write(STDERR_FILENO, line, min((size_t)n, sizeof(line) - 1)) < 0) {
		/* Nobody listens; the abort says enough. */
	}
	abort();
}

void refcount_warn(refcount_t *r, const char *what)
{
	__atomic_store_n(&r->refs, REFCOUNT_SATURATED, __ATOMIC_RELAXED);
	sv_warn_once("bug: reference count %s; the object is kept for ever", what);
}

#ifndef SV_MODEL
int sv_cond_wait_until(struct sv_cond *c, struct sv_mutex *m, u64 deadline_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline_ns / 1000000000ull),
		.tv_nsec = (long)(deadline_ns % 1000000000ull),
	};
	int err;

	if (deadline_ns == ~0ull) {
		sv_cond_wait(c, m);
		return 0;
	}
	err = pthread_cond_clockwait(&c->c, &m->m, CLOCK_MONOTONIC, &ts);
	if (err && err != ETIMEDOUT)
		sv_sync_bug("pthread_cond_clockwait", err);
	return -err;
}
#endif

int sv_once_slow(struct sv_once *o, int (*fn)(void))
{
	int err = 0;

	sv_mutex_lock(&o->lock);
	if (!o->state) {
		err = fn();
		if (!err)
			__atomic_store_n(&o->state, 1, __ATOMIC_RELEASE);
	}
	sv_mutex_unlock(&o->lock);
	return err;
}

static void *thread_main(void *arg)
{
	struct sv_thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	return t->fn(t->arg);
}

/* With all signals but the synchronous faults blocked; t is filled in. */
static int start(struct sv_thread *t, const char *name, void *(*fn)(void *arg), void *arg,
		 void *(*entry)(void *arg), pthread_t *id)
{
	static const int sync_faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	sigset_t block, old;
	int err;

	if (sv_fault())
		return -EAGAIN;
	t->fn = fn;
	t->arg = arg;
	snprintf(t->name, sizeof(t->name), "%s", name);
	sigfillset(&block);
	for (size_t i = 0; i < ARRAY_SIZE(sync_faults); i++)
		sigdelset(&block, sync_faults[i]);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	err = pthread_create(id, NULL, entry, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int sv_thread_create(struct sv_thread *t, const char *name, void *(*fn)(void *arg), void *arg)
{
	return start(t, name, fn, arg, thread_main, &t->t);
}

static void *spawned_main(void *arg)
{
	struct sv_thread t = *(struct sv_thread *)arg;

	sv_free(arg);
	return thread_main(&t);
}

int sv_thread_spawn(const char *name, void *(*fn)(void *arg), void *arg)
{
	struct sv_thread *t = sv_zalloc(sizeof(*t));
	pthread_t id;
	int err;

	if (!t)
		return -ENOMEM;
	err = start(t, name, fn, arg, spawned_main, &id);
	if (err)
		sv_free(t);
	else
		pthread_detach(id);
	return err;
}

void *sv_thread_join(struct sv_thread *t)
{
	void *ret = NULL;
	int err = pthread_join(t->t, &ret);

	if (err)
		sv_sync_bug("pthread_join", err);
	return ret;
}
