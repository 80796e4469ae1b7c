/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <time.h>

#include "base/sync.h"
#include "base/timer.h"

static struct sv_mutex lock = SV_MUTEX_INIT;
static struct sv_cond cond = SV_COND_INIT;
static struct sv_rwlock rw = SV_RWLOCK_INIT;
static struct sv_spin spin = SV_SPIN_INIT;
static long count;
static int turn;

static void *add(void *arg)
{
	for (int i = 0; i < 10000; i++) {
		if (arg)
			sv_spin_lock(&spin);
		else
			sv_mutex_lock(&lock);
		count++;
		if (arg)
			sv_spin_unlock(&spin);
		else
			sv_mutex_unlock(&lock);
	}
	return NULL;
}

static void counted_under(void *arg)
{
	struct sv_thread t[4];

	count = 0;
	for (int i = 0; i < 4; i++)
		assert_int_equal(sv_thread_create(&t[i], "add", add, arg), 0);
	for (int i = 0; i < 4; i++)
		sv_thread_join(&t[i]);
	assert_int_equal(count, 40000);
}

static void four_threads_count_under_a_mutex(void **state)
{
	counted_under(NULL);
}

static void four_threads_count_under_a_spin_lock(void **state)
{
	counted_under(&spin);
}

static void *try_it(void *arg)
{
	bool got = sv_mutex_trylock(&lock);

	if (got)
		sv_mutex_unlock(&lock);
	return got ? arg : NULL;
}

static void trylock_of_a_held_mutex_is_false(void **state)
{
	struct sv_thread t;

	sv_mutex_lock(&lock);
	assert_int_equal(sv_thread_create(&t, "try", try_it, &lock), 0);
	assert_null(sv_thread_join(&t));
	sv_mutex_unlock(&lock);
	assert_int_equal(sv_thread_create(&t, "try", try_it, &lock), 0);
	assert_ptr_equal(sv_thread_join(&t), &lock);
}

static void *ping(void *arg)
{
	int me = (int)(long)arg;

	sv_mutex_lock(&lock);
	for (int i = 0; i < 1000; i++) {
		while (turn != me)
			sv_cond_wait(&cond, &lock);
		turn = !me;
		sv_cond_broadcast(&cond);
	}
	sv_mutex_unlock(&lock);
	return NULL;
}

static void two_threads_take_turns(void **state)
{
	struct sv_thread a, b;

	turn = 0;
	assert_int_equal(sv_thread_create(&a, "ping", ping, (void *)0), 0);
	assert_int_equal(sv_thread_create(&b, "pong", ping, (void *)1), 0);
	sv_thread_join(&a);
	sv_thread_join(&b);
	assert_int_equal(turn, 0);
}

static void deadline_that_has_passed_times_out(void **state)
{
	sv_mutex_lock(&lock);
	assert_int_equal(sv_cond_wait_until(&cond, &lock, 0), -ETIMEDOUT);
	assert_int_equal(sv_cond_wait_until(&cond, &lock, sv_now_ns() + 1000000), -ETIMEDOUT);
	/* The lock is ours again. */
	assert_false(pthread_mutex_trylock(&lock.m) == 0);
	sv_mutex_unlock(&lock);
}

static void *wake_with_deadline(void *arg)
{
	int err = 0;

	sv_mutex_lock(&lock);
	while (!turn && !err)
		err = sv_cond_wait_until(&cond, &lock, arg ? ~0ull : sv_now_ns() + 600000000000ull);
	sv_mutex_unlock(&lock);
	return (void *)(long)err;
}

static void signal_before_the_deadline_is_no_timeout(void **state)
{
	struct sv_thread t;

	for (long forever = 0; forever < 2; forever++) {
		turn = 0;
		assert_int_equal(sv_thread_create(&t, "wait", wake_with_deadline, (void *)forever), 0);
		sv_mutex_lock(&lock);
		turn = 1;
		sv_cond_signal(&cond);
		sv_mutex_unlock(&lock);
		assert_null(sv_thread_join(&t));
	}
}

static void *rw_work(void *arg)
{
	long bad = 0;

	for (int i = 0; i < 2000; i++) {
		if (arg) {
			sv_write_lock(&rw);
			count++;
			turn++;
			sv_write_unlock(&rw);
		} else {
			sv_read_lock(&rw);
			bad += count != turn;
			sv_read_unlock(&rw);
		}
	}
	return (void *)bad;
}

static void readers_never_see_half_a_write(void **state)
{
	struct sv_thread t[4];

	count = 0;
	turn = 0;
	for (long i = 0; i < 4; i++)
		assert_int_equal(sv_thread_create(&t[i], "rw", rw_work, (void *)(i & 1)), 0);
	for (int i = 0; i < 4; i++)
		assert_null(sv_thread_join(&t[i]));
	assert_int_equal(count, 4000);
}

static int once_calls, once_result;
static struct sv_once once = SV_ONCE_INIT;

static int once_fn(void)
{
	once_calls++;
	return once_result;
}

static void once_that_failed_is_tried_again(void **state)
{
	once_result = -ENOMEM;
	assert_int_equal(sv_once(&once, once_fn), -ENOMEM);
	once_result = 0;
	assert_int_equal(sv_once(&once, once_fn), 0);
	assert_int_equal(sv_once(&once, once_fn), 0);
	assert_int_equal(once_calls, 2);
}

static void *mask_of_thread(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
	return NULL;
}

static void new_thread_takes_no_signals_but_faults(void **state)
{
	sigset_t theirs, before, after;
	struct sv_thread t;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(sv_thread_create(&t, "a name that is too long", mask_of_thread, &theirs), 0);
	sv_thread_join(&t);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_true(sigismember(&theirs, SIGUSR1));
	assert_true(sigismember(&theirs, SIGTERM));
	assert_true(sigismember(&theirs, SIGALRM));
	assert_false(sigismember(&theirs, SIGSEGV));
	assert_false(sigismember(&theirs, SIGBUS));
	assert_int_equal(sigismember(&before, SIGUSR1), sigismember(&after, SIGUSR1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_threads_count_under_a_mutex),
		cmocka_unit_test(four_threads_count_under_a_spin_lock),
		cmocka_unit_test(trylock_of_a_held_mutex_is_false),
		cmocka_unit_test(two_threads_take_turns),
		cmocka_unit_test(deadline_that_has_passed_times_out),
		cmocka_unit_test(signal_before_the_deadline_is_no_timeout),
		cmocka_unit_test(readers_never_see_half_a_write),
		cmocka_unit_test(once_that_failed_is_tried_again),
		cmocka_unit_test(new_thread_takes_no_signals_but_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
