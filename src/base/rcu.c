/* SPDX-License-Identifier: MIT */
/*
 * What liburcu leaves to its user: fork handlers, a callback thread that takes none of the
 * program's signals, and the happens-before edges for TSan.
 *
 * Fork: urcu must hold its registry across fork() and drop the other threads' entries in
 * the child, or a grace period there would wait for a reader that does not exist. The
 * handlers are registered by a constructor, before any other of ours, so that at fork time
 * (handlers run in reverse) RCU is frozen last.
 */
#include "base/rcu.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/sync.h"

static void rcu_fork_prepare(void)
{
	urcu_bp_call_rcu_before_fork();
	urcu_bp_before_fork();
}

static void rcu_fork_parent(void)
{
	urcu_bp_after_fork_parent();
	urcu_bp_call_rcu_after_fork_parent();
}

static void rcu_fork_child(void)
{
	urcu_bp_after_fork_child();
	urcu_bp_call_rcu_after_fork_child();
}

static void __attribute__((constructor(101))) rcu_init_fork(void)
{
	/* Fails only when memory is short at load time: then fork() just isn't covered. */
	(void)pthread_atfork(rcu_fork_prepare, rcu_fork_parent, rcu_fork_child);
}

/*
 * The callback thread inherits the signal mask of whoever starts it: start it with
 * everything blocked. After fork() liburcu starts a new one in the child, with the mask of
 * the thread that forked; that is the child's first call_rcu-er, as before.
 */
static int rcu_start_callbacks(void)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	urcu_bp_get_default_call_rcu_data();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return 0;
}

static struct sv_once rcu_callbacks_once = SV_ONCE_INIT;

#ifdef SV_RCU_TSAN

/* One address that stands for "a grace period has passed". */
static char rcu_tsan_edge;
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);

void sv_rcu_tsan_read_lock(void)
{
	_urcu_bp_read_lock();
}

void sv_rcu_tsan_read_unlock(void)
{
	if ((urcu_bp_reader->ctr & URCU_BP_GP_CTR_NEST_MASK) == URCU_BP_GP_COUNT)
		__tsan_release(&rcu_tsan_edge);
	_urcu_bp_read_unlock();
}

/* TSan must also see the way from call_rcu() to the callback: a box carries it. */
struct rcu_tsan_box {
	struct rcu_head head;
	struct rcu_head *orig;
	void (*func)(struct rcu_head *head);
};

static void rcu_tsan_callback(struct rcu_head *head)
{
	struct rcu_tsan_box *box = container_of(head, struct rcu_tsan_box, head);

	__tsan_acquire(&rcu_tsan_edge);
	box->func(box->orig);
	free(box);
	__tsan_release(&rcu_tsan_edge);
}

void sv_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct rcu_tsan_box *box = malloc(sizeof(*box));

	if (!box)
		sv_sync_bug("call_rcu box", ENOMEM);
	(void)sv_once(&rcu_callbacks_once, rcu_start_callbacks);
	box->orig = head;
	box->func = func;
	__tsan_release(&rcu_tsan_edge);
	urcu_bp_call_rcu(&box->head, rcu_tsan_callback);
}

void sv_synchronize_rcu(void)
{
	urcu_bp_synchronize_rcu();
	__tsan_acquire(&rcu_tsan_edge);
}

/* liburcu's own frees what TSan saw another thread allocate; callbacks run in order. */
struct rcu_tsan_wait {
	struct rcu_head head;
	struct sv_mutex lock;
	struct sv_cond cond;
	bool done;
};

static void rcu_tsan_wake(struct rcu_head *head)
{
	struct rcu_tsan_wait *w = container_of(head, struct rcu_tsan_wait, head);

	sv_mutex_lock(&w->lock);
	w->done = true;
	sv_cond_signal(&w->cond);
	sv_mutex_unlock(&w->lock);
}

void sv_rcu_barrier(void)
{
	struct rcu_tsan_wait w = { .lock = SV_MUTEX_INIT, .cond = SV_COND_INIT };

	sv_call_rcu(&w.head, rcu_tsan_wake);
	sv_mutex_lock(&w.lock);
	while (!w.done)
		sv_cond_wait(&w.cond, &w.lock);
	sv_mutex_unlock(&w.lock);
	__tsan_acquire(&rcu_tsan_edge);
}

#else

void sv_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	(void)sv_once(&rcu_callbacks_once, rcu_start_callbacks);
	urcu_bp_call_rcu(head, func);
}

void sv_synchronize_rcu(void)
{
	urcu_bp_synchronize_rcu();
}

void sv_rcu_barrier(void)
{
	urcu_bp_barrier();
}

#endif
