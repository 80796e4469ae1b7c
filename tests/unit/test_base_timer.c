/* SPDX-License-Identifier: MIT */
/*
 * No test here says how late a timer may be; only that it is never early, fires when it
 * must, and never when it must not.
 */
#include "unit.h"

#include "base/alloc.h"
#include "base/sync.h"
#include "base/timer.h"

struct probe {
	struct sv_timer t;
	u64 wanted;
	bool early;
	int fired, again;
};

static struct sv_mutex lock = SV_MUTEX_INIT;
static struct sv_cond cond = SV_COND_INIT;
static int total;

static void fire(struct sv_timer *t)
{
	struct probe *p = container_of(t, struct probe, t);
	int again;

	sv_mutex_lock(&lock);
	p->early |= sv_now_ns() < p->wanted;
	p->fired++;
	total++;
	again = p->again;
	if (again)
		p->again--;
	sv_cond_broadcast(&cond);
	sv_mutex_unlock(&lock);
	if (again)
		(void)sv_timer_set(t, sv_now_ns());
}

static void wait_total(int n)
{
	sv_mutex_lock(&lock);
	while (total < n)
		sv_cond_wait(&cond, &lock);
	sv_mutex_unlock(&lock);
}

static void every_step_of_arming_fails_once(void **state)
{
	struct probe p = { 0 };
	unsigned n;

	sv_timer_init(&p.t, fire);
	for (n = 1; ; n++) {
		sv_fault_inject(n);
		int err = sv_timer_set(&p.t, ~0ull - 5);

		if (!sv_fault_fired())
			break;
		assert_in_range(-err, 1, 4095);
		assert_int_equal(p.t.deadline, ~0ull);
	}
	sv_fault_inject(0);
	assert_in_range(n, 2, 10);
	sv_timer_cancel_sync(&p.t);
	assert_int_equal(p.fired, 0);
}

static void deadline_in_the_past_fires(void **state)
{
	struct probe p = { 0 };

	total = 0;
	sv_timer_init(&p.t, fire);
	assert_int_equal(sv_timer_set(&p.t, 0), 0);
	wait_total(1);
	sv_timer_cancel_sync(&p.t);
	assert_int_equal(p.fired, 1);
}

static void two_hundred_timers_in_random_order_fire_once_and_not_early(void **state)
{
	static struct probe p[200];
	u64 seed = 7, now = sv_now_ns();

	total = 0;
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = (struct probe){ .wanted = now + unit_rand(&seed) % 20000000 };
		sv_timer_init(&p[i].t, fire);
		assert_int_equal(sv_timer_set(&p[i].t, p[i].wanted), 0);
	}
	wait_total(ARRAY_SIZE(p));
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		sv_timer_cancel_sync(&p[i].t);
		assert_int_equal(p[i].fired, 1);
		assert_false(p[i].early);
	}
}

static void cancelled_timer_never_fires(void **state)
{
	static struct probe p[50], last;
	u64 now = sv_now_ns();

	total = 0;
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = (struct probe){ .wanted = now + 600000000000ull + i };
		sv_timer_init(&p[i].t, fire);
		assert_int_equal(sv_timer_set(&p[i].t, p[i].wanted), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		sv_timer_cancel(&p[(i * 7) % ARRAY_SIZE(p)].t);
	sv_timer_init(&last.t, fire);
	assert_int_equal(sv_timer_set(&last.t, now), 0);
	wait_total(1);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		assert_int_equal(p[i].fired, 0);
	sv_timer_cancel_sync(&last.t);
}

static void later_and_earlier_deadlines_replace(void **state)
{
	struct probe p = { .wanted = 0 };

	total = 0;
	sv_timer_init(&p.t, fire);
	assert_int_equal(sv_timer_set(&p.t, sv_now_ns() + 600000000000ull), 0);
	p.wanted = sv_now_ns() + 1000000;
	assert_int_equal(sv_timer_set(&p.t, p.wanted), 0);
	wait_total(1);
	sv_timer_cancel_sync(&p.t);
	assert_int_equal(p.fired, 1);
	assert_false(p.early);
}

static void timer_that_arms_itself_again(void **state)
{
	struct probe p = { .again = 100 };

	total = 0;
	sv_timer_init(&p.t, fire);
	assert_int_equal(sv_timer_set(&p.t, 0), 0);
	wait_total(101);
	sv_timer_cancel_sync(&p.t);
	assert_int_equal(p.fired, 101);
}

static void cancel_sync_while_it_fires_again_and_again(void **state)
{
	for (int i = 0; i < 50; i++) {
		struct probe *p = calloc(1, sizeof(*p));

		p->again = 1 << 30;
		sv_timer_init(&p->t, fire);
		sv_mutex_lock(&lock);
		total = 0;
		sv_mutex_unlock(&lock);
		assert_int_equal(sv_timer_set(&p->t, 0), 0);
		wait_total(3);
		sv_timer_cancel_sync(&p->t);
		free(p);	/* the sanitizers see a use after this */
	}
}

static struct probe parents;

static void child(void)
{
	struct probe p = { 0 };

	alarm(20);
	if (parents.t.deadline != ~0ull)
		_exit(1);
	total = 0;
	sv_timer_init(&p.t, fire);
	if (sv_timer_set(&p.t, 0))
		_exit(2);
	wait_total(1);
	_exit(p.fired == 1 && !parents.fired ? 0 : 3);
}

static void child_of_a_fork_starts_its_own_thread(void **state)
{
	sv_timer_init(&parents.t, fire);
	assert_int_equal(sv_timer_set(&parents.t, sv_now_ns() + 600000000000ull), 0);
	assert_int_equal(unit_in_child(child), 0);
	assert_true(parents.t.deadline != ~0ull);
	sv_timer_cancel_sync(&parents.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_of_arming_fails_once),
		cmocka_unit_test(deadline_in_the_past_fires),
		cmocka_unit_test(two_hundred_timers_in_random_order_fire_once_and_not_early),
		cmocka_unit_test(cancelled_timer_never_fires),
		cmocka_unit_test(later_and_earlier_deadlines_replace),
		cmocka_unit_test(timer_that_arms_itself_again),
		cmocka_unit_test(cancel_sync_while_it_fires_again_and_again),
		cmocka_unit_test(child_of_a_fork_starts_its_own_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
