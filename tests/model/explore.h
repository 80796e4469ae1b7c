/* SPDX-License-Identifier: MIT */
/*
 * A deterministic scheduler that explores every interleaving of a few threads.
 *
 * The threads are coroutines in one real thread. They run until they reach a point: taking
 * a lock, waiting, waking, an access that is not under a lock. Before each point the
 * explorer decides who goes on. A schedule is run to its end, then the scenario is run
 * again from its beginning with another decision, until none is left.
 *
 * Two ways to explore. Reduced: two schedules that differ only in the order of steps that
 * do not touch the same object are the same; one of each class is run (dynamic partial-
 * order reduction with sleep sets), which is complete for the scenario. Bounded: every
 * schedule with at most n preemptions, for scenarios where even the reduced number is too
 * large.
 */
#ifndef SV_MODEL_EXPLORE_H
#define SV_MODEL_EXPLORE_H

#include "base/types.h"

#define MODEL_THREADS 6

struct model_scenario {
	const char *name;
	void (*setup)(void);
	void (*thread[MODEL_THREADS])(void);
	void (*end)(void);		/* all threads have finished: invariants, freeing */
};

struct model_result {
	u64 schedules, redundant, steps;
	u32 deepest;
	bool complete;
};

/*
 * bound < 0: reduced, else at most so many preemptions. Stops after limit schedules
 * (complete is false). A violated invariant, deadlock or leak prints the schedule and exits
 * with status 1.
 */
struct model_result model_explore(const struct model_scenario *s, int bound, u64 limit);
/* For what is done before the first schedule: whom failures name. */
void model_begin(const struct model_scenario *s);

/* In a scenario: cond must hold, or the schedule that led here is printed. */
#define model_assert(cond, what) do { \
	if (!(cond)) \
		model_fail("%s (%s:%d)", what, __FILE__, __LINE__); \
} while (0)
void model_fail(const char *fmt, ...) __attribute__((noreturn)) sv_printf(1, 2);
/* A line for the schedule's history. */
void model_note(const char *fmt, ...) sv_printf(1, 2);
unsigned int model_self(void);

#endif
