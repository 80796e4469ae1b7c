/* SPDX-License-Identifier: MIT */
/*
 * The timer thread behind timer.h.
 *
 * Model: a binary heap of armed timers by deadline, the thread "softvirt-timer", one lock
 * over all of it. running is the timer whose fn the thread is in; fn runs without the lock.
 * A timer may be freed once it is not armed and not running (sv_timer_cancel_sync).
 *
 * Fork: the lock is held across it. The child has neither the thread nor any armed timer;
 * the first one that it arms starts a thread of its own.
 */
#include "base/timer.h"

#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/alloc.h"
#include "base/sync.h"

#define DISARMED (~0ull)
#define ROOT_INIT_CAPACITY 64

static struct sv_mutex lock = SV_MUTEX_INIT;
static struct sv_cond wake = SV_COND_INIT;	/* the earliest deadline changed */
static struct sv_cond done = SV_COND_INIT;	/* running changed */
/* All below under lock. */
static struct sv_timer **heap;
static size_t nr_timers, capacity;
static struct sv_timer *running;
static bool started, fork_handlers;
static struct sv_thread thread;

u64 sv_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

static void heap_put(size_t i, struct sv_timer *t)
{
	heap[i] = t;
	t->index = i;
}

/* Moves t, which belongs near i, to where the heap's order wants it. */
static void heap_sift(size_t i, struct sv_timer *t)
{
	size_t child;

	while (i && t->deadline < heap[(i - 1) / 2]->deadline) {
		heap_put(i, heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((child = 2 * i + 1) < nr_timers) {
		if (child + 1 < nr_timers && heap[child + 1]->deadline < heap[child]->deadline)
			child++;
		if (t->deadline <= heap[child]->deadline)
			break;
		heap_put(i, heap[child]);
		i = child;
	}
	heap_put(i, t);
}

static void heap_remove(struct sv_timer *t)
{
	size_t i = t->index;
	struct sv_timer *last = heap[--nr_timers];

	if (last != t)
		heap_sift(i, last);
	__atomic_store_n(&t->deadline, DISARMED, __ATOMIC_RELAXED);
}

static void *timer_main(void *arg)
{
	struct sv_timer *t;

	/* A sleep ends when it was asked to, not up to 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1);
	sv_mutex_lock(&lock);
	for (;;) {
		if (!nr_timers) {
			sv_cond_wait(&wake, &lock);
			continue;
		}
		t = heap[0];
		if (t->deadline > sv_now_ns()) {
			sv_cond_wait_until(&wake, &lock, t->deadline);
			continue;
		}
		heap_remove(t);
		running = t;
		sv_mutex_unlock(&lock);
		t->fn(t);
		/* t may be gone from here on: fn may have handed it to somebody who freed it. */
		sv_mutex_lock(&lock);
		running = NULL;
		sv_cond_broadcast(&done);
	}
	return NULL;
}

static void fork_prepare(void)
{
	sv_mutex_lock(&lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&lock);
}

static void fork_child(void)
{
	for (size_t i = 0; i < nr_timers; i++)
		heap[i]->deadline = DISARMED;
	nr_timers = 0;
	running = NULL;
	started = false;
	sv_cond_init(&wake);
	sv_cond_init(&done);
	sv_mutex_unlock(&lock);
}

/* Room for one more timer and a thread to run it. lock held. */
static int timer_prepare(void)
{
	struct sv_timer **bigger;
	int err;

	if (nr_timers == capacity) {
		size_t n = capacity ? 2 * capacity : ROOT_INIT_CAPACITY;

		bigger = sv_realloc_array(heap, n, sizeof(*heap));
		if (!bigger)
			return -ENOMEM;
		heap = bigger;
		capacity = n;
	}
	if (!fork_handlers) {
		if (sv_fault() || pthread_atfork(fork_prepare, fork_parent, fork_child))
			return -ENOMEM;
		fork_handlers = true;
	}
	if (!started) {
		err = sv_thread_create(&thread, "softvirt-timer", timer_main, NULL);
		if (err)
			return err;
		started = true;
	}
	return 0;
}

void sv_timer_init(struct sv_timer *t, void (*fn)(struct sv_timer *t))
{
	t->fn = fn;
	t->deadline = DISARMED;
	t->index = 0;
}

int sv_timer_set(struct sv_timer *t, u64 deadline_ns)
{
	int err = 0;

	/* The value that means "not armed" is 584 years away. */
	if (deadline_ns == DISARMED)
		deadline_ns--;
	sv_mutex_lock(&lock);
	if (t->deadline == DISARMED) {
		err = timer_prepare();
		if (!err)
			t->index = nr_timers++;
	}
	if (!err) {
		__atomic_store_n(&t->deadline, deadline_ns, __ATOMIC_RELAXED);
		heap_sift(t->index, t);
		if (heap[0] == t)
			sv_cond_signal(&wake);
	}
	sv_mutex_unlock(&lock);
	return err;
}

static void timer_disarm(struct sv_timer *t)
{
	if (t->deadline != DISARMED)
		heap_remove(t);
}

void sv_timer_cancel(struct sv_timer *t)
{
	sv_mutex_lock(&lock);
	timer_disarm(t);
	sv_mutex_unlock(&lock);
}

void sv_timer_cancel_sync(struct sv_timer *t)
{
	sv_mutex_lock(&lock);
	timer_disarm(t);
	/* fn may arm it again: disarm until it is neither armed nor running. */
	while (running == t) {
		sv_cond_wait(&done, &lock);
		timer_disarm(t);
	}
	sv_mutex_unlock(&lock);
}
