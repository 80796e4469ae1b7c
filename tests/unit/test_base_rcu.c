/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/alloc.h"
#include "base/rcu.h"
#include "base/sync.h"

struct pair {
	long a, b;
	struct rcu_head rcu;
};

static struct pair *current;
static bool stop;
static int freed;

static void *reader(void *arg)
{
	long bad = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct pair *p;

		rcu_read_lock();
		rcu_read_lock();	/* nests */
		p = rcu_dereference(current);
		bad += p->a != p->b;
		rcu_read_unlock();
		bad += p->a != p->b;
		rcu_read_unlock();
	}
	return (void *)bad;
}

static void free_pair(struct rcu_head *head)
{
	struct pair *p = container_of(head, struct pair, rcu);

	p->a = -1;	/* what a late reader would see as a broken pair */
	sv_free(p);
	__atomic_fetch_add(&freed, 1, __ATOMIC_RELAXED);
}

static void replace(long n, bool deferred)
{
	struct pair *old = current, *new = sv_alloc(sizeof(*new));

	new->a = n;
	new->b = n;
	rcu_assign_pointer(current, new);
	if (!old)
		return;
	if (deferred) {
		call_rcu(&old->rcu, free_pair);
	} else {
		synchronize_rcu();
		free_pair(&old->rcu);
	}
}

static void readers_see_whole_objects_while_they_are_replaced(void **state)
{
	struct sv_thread t[2];

	replace(0, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sv_thread_create(&t[i], "reader", reader, NULL), 0);
	for (long i = 1; i <= 300; i++)
		replace(i, i & 1);
	rcu_barrier();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		assert_null(sv_thread_join(&t[i]));
	assert_int_equal(freed, 300);
}

static void child(void)
{
	alarm(20);	/* instead of hanging for ever */
	rcu_read_lock();
	rcu_read_unlock();
	synchronize_rcu();
}

static void *reader_across_fork(void *arg)
{
	int *phase = arg;

	rcu_read_lock();
	__atomic_store_n(phase, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(phase, __ATOMIC_ACQUIRE) == 1)
		usleep(1000);
	rcu_read_unlock();
	return NULL;
}

static void child_of_a_fork_with_a_reader_inside_does_not_wait_for_it(void **state)
{
	struct sv_thread t;
	int phase = 0;

	assert_int_equal(sv_thread_create(&t, "inside", reader_across_fork, &phase), 0);
	while (!__atomic_load_n(&phase, __ATOMIC_ACQUIRE))
		usleep(1000);
	assert_int_equal(unit_in_child(child), 0);
	__atomic_store_n(&phase, 2, __ATOMIC_RELEASE);
	sv_thread_join(&t);
	synchronize_rcu();
}

static int done(void **state)
{
	sv_free(current);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_see_whole_objects_while_they_are_replaced),
		cmocka_unit_test(child_of_a_fork_with_a_reader_inside_does_not_wait_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
