/* SPDX-License-Identifier: MIT */
/*
 * One-shot timers at absolute CLOCK_MONOTONIC times.
 *
 * One thread for the whole process, started with the first armed timer, sleeps until the
 * earliest deadline and calls fn(timer) there, without any lock held. fn is short and does
 * not block. Setting and cancelling are safe from any thread, also from fn.
 */
#ifndef SV_BASE_TIMER_H
#define SV_BASE_TIMER_H

#include "base/types.h"

struct sv_timer {
	void (*fn)(struct sv_timer *t);
	u64 deadline;		/* ns; ~0: not armed */
	size_t index;		/* in the heap; the timer code's own */
};

void sv_timer_init(struct sv_timer *t, void (*fn)(struct sv_timer *t));
/* Replaces an earlier deadline. 0, or -EAGAIN/-ENOMEM if the thread or heap can't be had. */
int sv_timer_set(struct sv_timer *t, u64 deadline_ns);
/* Disarms; fn may still be running in the timer thread. */
void sv_timer_cancel(struct sv_timer *t);
/* Disarms and waits until fn is not running. Not from fn. */
void sv_timer_cancel_sync(struct sv_timer *t);

u64 sv_now_ns(void);		/* CLOCK_MONOTONIC */

#endif
