/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/atomic.h"
#include "base/err.h"
#include "base/refcount.h"
#include "base/sync.h"

static void increment_of_zero_saturates_instead_of_reviving(void **state)
{
	refcount_t r = REFCOUNT_INIT(0);

	refcount_inc(&r);
	assert_true(refcount_read(&r) >= REFCOUNT_BAD);
	/* And stays: nobody ever frees it. */
	assert_false(refcount_dec_and_test(&r));
	assert_true(refcount_read(&r) >= REFCOUNT_BAD);
}

static void decrement_of_zero_saturates(void **state)
{
	refcount_t r = REFCOUNT_INIT(0);

	assert_false(refcount_dec_and_test(&r));
	assert_int_equal(refcount_read(&r), REFCOUNT_SATURATED);
}

static void overflow_saturates(void **state)
{
	refcount_t r = REFCOUNT_INIT(REFCOUNT_BAD - 1);

	refcount_inc(&r);
	assert_int_equal(refcount_read(&r), REFCOUNT_SATURATED);
	refcount_set(&r, REFCOUNT_BAD - 1);
	assert_true(refcount_inc_not_zero(&r));
	assert_int_equal(refcount_read(&r), REFCOUNT_SATURATED);
}

static void get_of_a_dead_object_fails(void **state)
{
	refcount_t r = REFCOUNT_INIT(1);

	assert_true(refcount_dec_and_test(&r));
	assert_false(refcount_inc_not_zero(&r));
	assert_int_equal(refcount_read(&r), 0);
}

static int released;

static void release(struct kref *k)
{
	__atomic_fetch_add(&released, 1, __ATOMIC_RELAXED);
}

static struct kref shared;

static void *hammer(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		kref_get(&shared);
		kref_put(&shared, release);
	}
	kref_put(&shared, release);
	return NULL;
}

static void four_threads_release_once(void **state)
{
	struct sv_thread t[4];

	released = 0;
	kref_init(&shared);
	for (int i = 0; i < 3; i++)
		kref_get(&shared);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sv_thread_create(&t[i], "hammer", hammer, NULL), 0);
	for (int i = 0; i < 4; i++)
		sv_thread_join(&t[i]);
	assert_int_equal(released, 1);
	assert_false(kref_get_unless_zero(&shared));
}

static void err_ptr_takes_only_errnos(void **state)
{
	int x;

	assert_true(IS_ERR(ERR_PTR(-1)));
	assert_true(IS_ERR(ERR_PTR(-MAX_ERRNO)));
	assert_false(IS_ERR(ERR_PTR(-MAX_ERRNO - 1)));
	assert_false(IS_ERR(NULL));
	assert_true(IS_ERR_OR_NULL(NULL));
	assert_false(IS_ERR(&x));
	assert_int_equal(PTR_ERR(ERR_PTR(-ENOMEM)), -ENOMEM);
	assert_int_equal(PTR_ERR_OR_ZERO(&x), 0);
}

static void atomics_return_as_the_kernel_s(void **state)
{
	atomic_t a = ATOMIC_INIT(3);

	assert_int_equal(atomic_add_return(-3, &a), 0);
	assert_int_equal(atomic_inc_return(&a), 1);
	assert_true(atomic_dec_and_test(&a));
	assert_int_equal(atomic_cmpxchg(&a, 1, 5), 0);
	assert_int_equal(atomic_read(&a), 0);
	assert_int_equal(atomic_cmpxchg(&a, 0, 5), 0);
	assert_int_equal(atomic_xchg(&a, 7), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(increment_of_zero_saturates_instead_of_reviving),
		cmocka_unit_test(decrement_of_zero_saturates),
		cmocka_unit_test(overflow_saturates),
		cmocka_unit_test(get_of_a_dead_object_fails),
		cmocka_unit_test(four_threads_release_once),
		cmocka_unit_test(err_ptr_takes_only_errnos),
		cmocka_unit_test(atomics_return_as_the_kernel_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
