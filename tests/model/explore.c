/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of explore.h, and what src/base gives to the code under test: locks,
 * condition variables, memory, time, RCU.
 *
 * Model. A thread that is not running has a pending step: the object it will touch and how.
 * The loop computes who could go (enabled), decides, notes the step in the trace and
 * resumes the thread up to its next point.
 *
 * Reduction (Flanagan and Godefroid, 2005). Each thread has a vector clock; each object
 * remembers the clocks of those who touched it. When a step is dependent on an earlier one
 * of another thread and does not come after it anyway, the thread is added to the choices
 * still to be tried before that earlier step. A thread whose turn before the same state has
 * been explored sleeps until somebody does something dependent.
 *
 * A timed wait ends by time only when nobody else can do anything.
 */
#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/sync.h"
#include "base/timer.h"
#include "softvirt/dma-types.h"

#define STACK_SIZE (256 * 1024)
#define MAX_STEPS 5000
#define NOTES 4096

enum state { ST_READY, ST_LOCK, ST_COND, ST_DONE };

struct mutex {		/* lies in a struct sv_mutex */
	u32 owner;	/* thread + 1 */
	u32 event;	/* the step that took it, + 1 */
};
_Static_assert(sizeof(struct mutex) <= sizeof(struct sv_mutex), "fits");

struct rwlock {		/* lies in a struct sv_rwlock */
	struct mutex w;	/* who holds it for writing */
	u32 event[MODEL_THREADS];	/* of each reader, as a mutex's; its last one */
	u16 readers[MODEL_THREADS];	/* how often each holds it */
};
_Static_assert(sizeof(struct rwlock) <= sizeof(struct sv_rwlock), "fits");

struct step {
	const void *obj;
	bool write;
};

struct thread {
	enum state state;
	struct step next;
	struct mutex *lock;		/* ST_LOCK */
	struct rwlock *rw;		/* and for writing no reader may be there */
	const void *cond;		/* ST_COND */
	u64 deadline;
	bool timed_out;
	u32 clock[MODEL_THREADS];
	u32 rcu_depth;
	u64 rcu_section;
	struct dma_irq_state irq;
	void (*fn)(void);
	void *ctx[5];			/* __builtin_setjmp */
	ucontext_t start;
	char *stack;
	bool started;
};

struct event {
	u32 thread;
	struct step step;
	u32 stamp;			/* the thread's own clock at this step */
	u32 enabled, tried, todo, sleeping;
	struct step next[MODEL_THREADS];	/* what each would have done here */
	u32 preemptions;
};

static struct thread threads[MODEL_THREADS];
static unsigned int nr_threads, current, previous;
static void *sched_ctx[5];
static struct event trace[MAX_STEPS];
static u32 seen[MAX_STEPS][MODEL_THREADS];	/* the clock of the step's thread after it */
static u32 depth, replay;
static bool running, pruned;
static int bound;
static u64 now;
static const struct model_scenario *scenario;
static char notes[NOTES][96];
static u32 nr_notes;
static s64 live;

unsigned int model_self(void)
{
	return current;
}

void model_begin(const struct model_scenario *s)
{
	scenario = s;
}

void model_note(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (nr_notes == NOTES)
		return;
	n = snprintf(notes[nr_notes], sizeof(notes[0]), "  T%u ", current);
	va_start(ap, fmt);
	vsnprintf(notes[nr_notes] + n, sizeof(notes[0]) - (size_t)n, fmt, ap);
	va_end(ap);
	nr_notes++;
}

static void print_schedule(void)
{
	printf("  schedule:");
	for (u32 i = 0; i < depth; i++)
		if (!i || trace[i].thread != trace[i - 1].thread)
			printf(" T%u@%u", trace[i].thread, i);
	printf("\n");
	for (u32 i = 0; i < nr_notes; i++)
		printf("%s\n", notes[i]);
}

void model_fail(const char *fmt, ...)
{
	va_list ap;

	printf("FAIL %s: ", scenario->name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	print_schedule();
	fflush(stdout);
	_Exit(1);
}

/* Switching. The two halves must not be inlined into one function. */
static __attribute__((noinline, no_sanitize("address", "undefined"))) void jump(void **ctx)
{
	__builtin_longjmp(ctx, 1);
}

static __attribute__((noinline, no_sanitize("address", "undefined"))) void to_scheduler(void)
{
	if (__builtin_setjmp(threads[current].ctx) == 0)
		jump(sched_ctx);
}

/* Coroutines live for the whole run: each goes round once for each schedule. */
static void coroutine(void)
{
	for (;;) {
		threads[current].fn();
		threads[current].state = ST_DONE;
		to_scheduler();
	}
}

static __attribute__((noinline, no_sanitize("address", "undefined"))) void resume(unsigned int t)
{
	struct thread *th = &threads[t];

	current = t;
	if (__builtin_setjmp(sched_ctx) == 0) {
		if (th->started)
			jump(th->ctx);
		th->started = true;
		setcontext(&th->start);
	}
}

void sv_model_point(const void *obj, bool write)
{
	struct thread *th = &threads[current];

	if (!running)
		return;
	th->state = ST_READY;
	th->next = (struct step){ obj, write };
	to_scheduler();
}

struct dma_irq_state *sv_model_irq_state(void)
{
	return &threads[current].irq;
}

/* What the code under test calls. Outside of a schedule (setup, end) nobody competes. */
void sv_mutex_init(struct sv_mutex *m) { memset(m, 0, sizeof(*m)); }

static void join_clock(u32 *to, const u32 *from)
{
	for (unsigned int i = 0; i < nr_threads; i++)
		to[i] = max(to[i], from[i]);
}

void sv_mutex_destroy(struct sv_mutex *m)
{
	if (((struct mutex *)m)->owner)
		model_fail("a locked mutex is destroyed");
	memset(m, 0xdd, sizeof(*m));
}

static bool lock_is_free(const struct thread *th)
{
	bool is_free = !th->lock->owner;

	for (unsigned int i = 0; i < nr_threads && th->rw; i++)
		is_free &= !th->rw->readers[i];
	return is_free;
}

static void take_lock(struct mutex *m)
{
	if (m->owner)
		model_fail("internal: lock taken twice");
	m->owner = current + 1;
	m->event = running ? depth : 0;
}

/* Whoever takes it next comes after all that we did until now. */
static void leave_lock(struct mutex *m)
{
	if (m->owner != current + 1)
		model_fail("unlock of somebody else's mutex");
	if (running && m->event)
		memcpy(seen[m->event - 1], threads[current].clock, sizeof(seen[0]));
	m->owner = 0;
}

static void wait_for_lock(struct mutex *m, struct rwlock *rw, bool write)
{
	struct thread *th = &threads[current];

	th->state = ST_LOCK;
	th->lock = m;
	th->rw = rw;
	th->next = (struct step){ m, write };
	to_scheduler();
}

void sv_mutex_lock(struct sv_mutex *sm)
{
	struct mutex *m = (struct mutex *)sm;

	if (running) {
		if (m->owner > MODEL_THREADS)
			model_fail("use of a mutex after its end");
		wait_for_lock(m, NULL, true);
	} else if (m->owner) {
		model_fail("deadlock outside of the schedule");
	}
	take_lock(m);
}

bool sv_mutex_trylock(struct sv_mutex *sm)
{
	struct mutex *m = (struct mutex *)sm;

	sv_model_point(m, true);
	if (m->owner)
		return false;
	take_lock(m);
	return true;
}

void sv_mutex_unlock(struct sv_mutex *sm)
{
	leave_lock((struct mutex *)sm);
}

/* As glibc's: a reader that comes while a writer waits goes first, so reading may nest. */
void sv_rwlock_init(struct sv_rwlock *l) { memset(l, 0, sizeof(*l)); }

void sv_rwlock_destroy(struct sv_rwlock *l)
{
	struct rwlock *rw = (struct rwlock *)l;

	for (unsigned int i = 0; i < MODEL_THREADS; i++)
		if (rw->w.owner || rw->readers[i])
			model_fail("a locked rwlock is destroyed");
	memset(l, 0xdd, sizeof(*l));
}

void sv_read_lock(struct sv_rwlock *l)
{
	struct rwlock *rw = (struct rwlock *)l;

	if (rw->w.owner > MODEL_THREADS)
		model_fail("use of a rwlock after its end");
	if (running)
		wait_for_lock(&rw->w, NULL, false);
	else if (rw->w.owner)
		model_fail("deadlock outside of the schedule");
	rw->readers[current]++;
	rw->event[current] = running ? depth : 0;
}

/* A later writer comes after all that each reader did. */
void sv_read_unlock(struct sv_rwlock *l)
{
	struct rwlock *rw = (struct rwlock *)l;

	if (!rw->readers[current])
		model_fail("unlock of a rwlock that somebody else reads");
	rw->readers[current]--;
	if (running && rw->event[current])
		memcpy(seen[rw->event[current] - 1], threads[current].clock, sizeof(seen[0]));
}

void sv_write_lock(struct sv_rwlock *l)
{
	struct rwlock *rw = (struct rwlock *)l;

	if (running) {
		if (rw->w.owner > MODEL_THREADS)
			model_fail("use of a rwlock after its end");
		wait_for_lock(&rw->w, rw, true);
	} else if (rw->w.owner) {
		model_fail("deadlock outside of the schedule");
	}
	take_lock(&rw->w);
}

void sv_write_unlock(struct sv_rwlock *l)
{
	leave_lock(&((struct rwlock *)l)->w);
}

void sv_spin_init(struct sv_spin *s) { sv_mutex_init((struct sv_mutex *)s); }
void sv_spin_lock(struct sv_spin *s) { sv_mutex_lock((struct sv_mutex *)s); }
void sv_spin_unlock(struct sv_spin *s) { sv_mutex_unlock((struct sv_mutex *)s); }
void sv_cond_init(struct sv_cond *c) { }
void sv_cond_destroy(struct sv_cond *c) { }

int sv_cond_wait_until(struct sv_cond *c, struct sv_mutex *m, u64 deadline_ns)
{
	struct thread *th = &threads[current];

	if (!running)
		model_fail("deadlock outside of the schedule");
	sv_model_point(c, true);
	leave_lock((struct mutex *)m);
	th->state = ST_COND;
	th->cond = c;
	th->deadline = deadline_ns;
	th->timed_out = false;
	th->lock = (struct mutex *)m;
	th->rw = NULL;
	th->next = (struct step){ m, true };
	to_scheduler();
	take_lock((struct mutex *)m);
	return th->timed_out ? -ETIMEDOUT : 0;
}

void sv_cond_wait(struct sv_cond *c, struct sv_mutex *m)
{
	sv_cond_wait_until(c, m, ~0ull);
}

void sv_cond_broadcast(struct sv_cond *c)
{
	sv_model_point(c, true);
	for (unsigned int i = 0; i < nr_threads; i++) {
		if (threads[i].state != ST_COND || threads[i].cond != c)
			continue;
		threads[i].state = ST_LOCK;
		join_clock(threads[i].clock, threads[current].clock);
	}
}

/* No condition variable of the code has two waiters that are woken one by one. */
void sv_cond_signal(struct sv_cond *c)
{
	sv_cond_broadcast(c);
}

int sv_once_slow(struct sv_once *o, int (*fn)(void))
{
	o->state = 1;
	return fn();
}

void sv_sync_bug(const char *what, int err)
{
	model_fail("%s", what);
}

void refcount_warn(refcount_t *r, const char *what)
{
	model_fail("reference count: %s", what);
}

enum sv_log_level sv_log_level(void) { return SV_LOG_WARN; }

void sv_log(enum sv_log_level level, const char *fmt, ...)
{
	char line[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (!strncmp(line, "bug:", 4))
		model_fail("%s", line);
	model_note("says: %.60s", line);
}

u64 sv_now_ns(void) { return now; }

void *sv_alloc(size_t size)
{
	live++;
	return malloc(size ? size : 1);
}

void *sv_zalloc(size_t size)
{
	live++;
	return calloc(1, size ? size : 1);
}

void *sv_calloc(size_t n, size_t size)
{
	return sv_zalloc(n * size);
}

void *sv_realloc(void *p, size_t size)
{
	live += !p;
	return realloc(p, size);
}

char *sv_strdup(const char *s)
{
	char *p = sv_alloc(strlen(s) + 1);

	return strcpy(p, s);
}

void sv_free(void *p)
{
	live -= p != NULL;
	free(p);
}

/* A callback runs when every read section that was open at call_rcu() has ended. */
#define RCU_PENDING 256
static struct {
	struct rcu_head *head;
	u64 section[MODEL_THREADS];
} rcu_pending[RCU_PENDING];
static u32 rcu_nr;

static void rcu_run(void)
{
	for (u32 i = 0; i < rcu_nr;) {
		bool wait = false;

		for (unsigned int t = 0; t < nr_threads; t++)
			wait |= rcu_pending[i].section[t] && threads[t].rcu_depth &&
				rcu_pending[i].section[t] == threads[t].rcu_section;
		if (wait) {
			i++;
			continue;
		}
		struct rcu_head *head = rcu_pending[i].head;

		rcu_pending[i] = rcu_pending[--rcu_nr];
		head->func(head);
		i = 0;
	}
}

void rcu_read_lock(void)
{
	struct thread *th = &threads[current];

	if (!th->rcu_depth++)
		th->rcu_section++;
}

void rcu_read_unlock(void)
{
	if (!--threads[current].rcu_depth)
		rcu_run();
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	if (rcu_nr == RCU_PENDING)
		model_fail("internal: too many RCU callbacks");
	head->func = func;
	rcu_pending[rcu_nr].head = head;
	for (unsigned int t = 0; t < MODEL_THREADS; t++)
		rcu_pending[rcu_nr].section[t] = threads[t].rcu_depth ? threads[t].rcu_section : 0;
	rcu_nr++;
	rcu_run();
}

/* Exploration. */
static bool dependent(const struct step *a, const struct step *b)
{
	return a->obj == b->obj && (a->write || b->write);
}

static u32 enabled_mask(void)
{
	u32 mask = 0;

	for (unsigned int i = 0; i < nr_threads; i++) {
		const struct thread *th = &threads[i];

		if (th->state == ST_READY || (th->state == ST_LOCK && lock_is_free(th)))
			mask |= 1u << i;
	}
	if (mask)
		return mask;
	/* Nobody can go on: time passes, for whoever's deadline comes first. */
	for (unsigned int i = 0; i < nr_threads; i++) {
		struct thread *th = &threads[i];

		if (th->state == ST_COND && th->deadline != ~0ull && !th->lock->owner) {
			now = max(now, th->deadline);
			th->timed_out = true;
			th->state = ST_LOCK;
			return 1u << i;
		}
	}
	return 0;
}

/* Where must this step have been tried before an earlier one? */
static void add_backtracking(unsigned int t)
{
	const struct step *step = &threads[t].next;

	for (u32 i = depth; i-- > 0;) {
		struct event *e = &trace[i];

		if (e->thread == t || !dependent(&e->step, step))
			continue;
		if (e->stamp <= threads[t].clock[e->thread])
			continue;	/* it comes after that one in any case */
		if (e->enabled & (1u << t))
			e->todo |= 1u << t;
		else
			e->todo |= e->enabled;
		return;
	}
}

static void advance_clock(unsigned int t)
{
	const struct step *step = &threads[t].next;
	struct thread *th = &threads[t];

	for (u32 i = 0; i < depth; i++) {
		const struct event *e = &trace[i];

		if (e->thread != t && dependent(&e->step, step) &&
		    e->stamp > th->clock[e->thread])
			th->clock[e->thread] = e->stamp;
	}
	th->clock[t]++;
}

/* What the earlier dependent steps had seen, this one has seen too. */
static void join_seen(unsigned int t)
{
	const struct step *step = &threads[t].next;

	for (u32 i = 0; i < depth; i++)
		if (dependent(&trace[i].step, step))
			join_clock(threads[t].clock, seen[i]);
}

static unsigned int lowest(u32 mask)
{
	return (unsigned int)__builtin_ctz(mask);
}

/* Sleeping threads wake when somebody does something that matters to them. */
static u32 sleep_after(const struct event *e)
{
	u32 asleep = 0, candidates = (e->sleeping | e->tried) & ~(1u << e->thread);

	for (unsigned int i = 0; i < nr_threads; i++)
		if ((candidates & (1u << i)) && !dependent(&e->next[i], &e->step))
			asleep |= 1u << i;
	return asleep;
}

static void new_event(struct event *e, u32 enabled)
{
	memset(e, 0, sizeof(*e));
	e->enabled = enabled;
	for (unsigned int i = 0; i < nr_threads; i++)
		e->next[i] = threads[i].next;
	if (depth) {
		e->preemptions = trace[depth - 1].preemptions;
		if (bound < 0)
			e->sleeping = sleep_after(&trace[depth - 1]);
	}
}

static bool is_preemption(u32 enabled, unsigned int t)
{
	return depth && t != previous && (enabled & (1u << previous));
}

static unsigned int choose_new(struct event *e)
{
	u32 awake = e->enabled & ~e->sleeping, all;
	unsigned int t;

	if (!awake) {
		/* Everything from here on has been seen: just come to the end. */
		pruned = true;
		awake = e->enabled;
	}
	t = depth && (awake & (1u << previous)) ? previous : lowest(awake);
	if (bound < 0) {
		e->todo = 1u << t;
	} else {
		all = e->enabled;
		for (unsigned int i = 0; i < nr_threads; i++)
			if (is_preemption(all, i) && (int)e->preemptions >= bound)
				all &= ~(1u << i);
		e->todo = all;
	}
	return t;
}

static void execute_step(struct event *e, unsigned int t)
{
	struct thread *th = &threads[t];

	e->thread = t;
	e->tried |= 1u << t;
	e->step = th->next;
	if (bound < 0) {
		if (!pruned)
			add_backtracking(t);
		join_seen(t);
		advance_clock(t);
		e->stamp = th->clock[t];
		memcpy(seen[depth], th->clock, sizeof(seen[0]));
	}
	depth++;
	previous = t;
	resume(t);
}

static void one_schedule(struct model_result *r)
{
	u32 enabled, unfinished;
	s64 before = live;

	nr_notes = 0;
	depth = 0;
	now = 1000;
	pruned = false;
	current = 0;
	running = false;
	scenario->setup();
	for (unsigned int i = 0; i < nr_threads; i++) {
		threads[i].state = ST_READY;
		threads[i].next = (struct step){ &threads[i], true };
		memset(threads[i].clock, 0, sizeof(threads[i].clock));
		memset(&threads[i].irq, 0, sizeof(threads[i].irq));
	}
	running = true;
	while ((enabled = enabled_mask())) {
		struct event *e = &trace[depth];
		unsigned int t;

		if (depth == MAX_STEPS - 1)
			model_fail("more than %u steps: somebody goes round for ever", depth);
		if (depth < replay) {
			/* The same steps, but memory may lie elsewhere. */
			for (unsigned int i = 0; i < nr_threads; i++)
				e->next[i] = threads[i].next;
			t = e->thread;
		} else {
			new_event(e, enabled);
			t = choose_new(e);
		}
		if (!(enabled & (1u << t)))
			model_fail("internal: the replay differs at step %u", depth);
		if (is_preemption(enabled, t) && depth >= replay)
			e->preemptions++;
		execute_step(e, t);
	}
	running = false;
	unfinished = 0;
	for (unsigned int i = 0; i < nr_threads; i++)
		unfinished += threads[i].state != ST_DONE;
	if (unfinished)
		model_fail("deadlock or lost wake-up: %u threads sleep for ever", unfinished);
	current = 0;
	scenario->end();
	rcu_run();
	if (live != before)
		model_fail("leak: %lld pieces of memory", (long long)(live - before));
	r->schedules++;
	r->redundant += pruned;
	r->steps += depth;
	r->deepest = max(r->deepest, depth);
}

/* The deepest decision with something left to try becomes the next schedule's last. */
static bool next_schedule(void)
{
	while (depth) {
		struct event *e = &trace[depth - 1];
		u32 left = e->todo & ~e->tried & ~e->sleeping;
		u32 base = depth > 1 ? trace[depth - 2].preemptions : 0;

		if (!left) {
			depth--;
			continue;
		}
		e->thread = lowest(left);
		e->preemptions = base;
		previous = depth > 1 ? trace[depth - 2].thread : 0;
		if (depth > 1 && e->thread != previous && (e->enabled & (1u << previous)))
			e->preemptions++;
		replay = depth;
		return true;
	}
	return false;
}

static void threads_make(void)
{
	for (unsigned int i = 0; i < nr_threads; i++) {
		struct thread *th = &threads[i];

		th->fn = scenario->thread[i];
		if (th->stack)
			continue;
		th->stack = malloc(STACK_SIZE);
		getcontext(&th->start);
		th->start.uc_stack.ss_sp = th->stack;
		th->start.uc_stack.ss_size = STACK_SIZE;
		makecontext(&th->start, coroutine, 0);
	}
}

struct model_result model_explore(const struct model_scenario *s, int preemptions, u64 limit)
{
	struct model_result r = { 0 };

	scenario = s;
	bound = preemptions;
	for (nr_threads = 0; nr_threads < MODEL_THREADS && s->thread[nr_threads]; nr_threads++)
		;
	threads_make();
	replay = 0;
	do {
		one_schedule(&r);
		r.complete = !next_schedule();
	} while (!r.complete && r.schedules < limit);
	return r;
}
