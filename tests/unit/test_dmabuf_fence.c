/* SPDX-License-Identifier: MIT */
/* Fences beyond what Linux's own suites try (tests/conformance/dmabuf runs those). */
#include "unit.h"

#include "base/alloc.h"
#include "base/sync.h"
#include "softvirt/dma-fence-array.h"
#include "softvirt/dma-fence-chain.h"
#include "softvirt/dma-fence-unwrap.h"

static atomic_t released;
static ktime_t asked_deadline;

static const char *name(struct dma_fence *f) { return "test"; }
static void release(struct dma_fence *f)
{
	atomic_inc(&released);
	dma_fence_free(f);
}
static void set_deadline(struct dma_fence *f, ktime_t t) { asked_deadline = t; }
static const struct dma_fence_ops ops = {
	.get_driver_name = name, .get_timeline_name = name, .release = release,
	.set_deadline = set_deadline,
};
/* Signalled from the first look on, but nobody calls signal. */
static bool always(struct dma_fence *f) { return true; }
static const struct dma_fence_ops lazy_ops = {
	.get_driver_name = name, .get_timeline_name = name, .release = release, .signaled = always,
};
static bool refuse(struct dma_fence *f) { return false; }
static const struct dma_fence_ops refusing_ops = {
	.get_driver_name = name, .get_timeline_name = name, .release = release,
	.enable_signaling = refuse,
};

static void nothing(struct dma_fence *f, struct dma_fence_cb *cb) { }

static struct dma_fence *make(const struct dma_fence_ops *o, u64 context, u64 seqno)
{
	struct dma_fence *f = malloc(sizeof(*f));

	assert_non_null(f);
	dma_fence_init(f, o, NULL, context ? context : dma_fence_context_alloc(1), seqno);
	return f;
}

static void *signal_soon(void *arg)
{
	usleep(2000);
	dma_fence_signal(arg);
	return NULL;
}

static void test_wait_across_threads(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct dma_fence *f = make(&ops, 0, 1);
		struct sv_thread t;

		assert_int_equal(dma_fence_wait_timeout(f, true, 0), 0);
		assert_int_equal(sv_thread_create(&t, "signal", signal_soon, f), 0);
		assert_true(dma_fence_wait_timeout(f, true, 10000) > 0);
		sv_thread_join(&t);
		assert_int_equal(dma_fence_wait_timeout(f, true, 0), 1);
		assert_int_equal(dma_fence_wait_timeout(f, true, 7), 7);
		assert_int_equal(dma_fence_wait(f, false), 0);
		dma_fence_put(f);
	}
}

static void test_wait_timeout_passes(void **state)
{
	struct dma_fence *f = make(&ops, 0, 1);
	ktime_t begin = ktime_get();

	assert_int_equal(dma_fence_wait_timeout(f, false, 5), 0);
	assert_true(ktime_get() - begin >= 5000000);
	assert_int_equal(dma_fence_wait_until(f, (u64)ktime_get() + 1000), -ETIMEDOUT);
	assert_int_equal(dma_fence_signal(f), 0);
	assert_int_equal(dma_fence_signal(f), -EINVAL);
	assert_true(dma_fence_timestamp(f) >= begin);
	dma_fence_put(f);
}

static void test_wait_any_names_the_one(void **state)
{
	struct dma_fence *f[3] = { make(&ops, 0, 1), make(&ops, 0, 1), make(&ops, 0, 1) };
	struct sv_thread t;
	u32 idx = 9;

	assert_int_equal(dma_fence_wait_any_timeout(f, 3, true, 0, &idx), 0);
	assert_int_equal(dma_fence_wait_any_timeout(f, 3, true, 2, &idx), 0);
	assert_int_equal(sv_thread_create(&t, "signal", signal_soon, f[1]), 0);
	assert_true(dma_fence_wait_any_timeout(f, 3, true, MAX_SCHEDULE_TIMEOUT, &idx) > 0);
	assert_int_equal(idx, 1);
	sv_thread_join(&t);
	sv_fault_inject(1);
	assert_int_equal(dma_fence_wait_any_timeout(f, 3, true, 5, &idx), -ENOMEM);
	sv_fault_inject(0);
	assert_int_equal(dma_fence_wait_any_timeout(f, 3, true, 0, &idx), 1);
	for (int i = 0; i < 3; i++)
		dma_fence_put(f[i]);
}

static void test_lazy_and_refusing_fences(void **state)
{
	struct dma_fence *lazy = make(&lazy_ops, 0, 1), *no = make(&refusing_ops, 0, 1);
	struct dma_fence_cb cb;

	assert_int_equal(dma_fence_get_status(lazy), 1);
	assert_false(dma_fence_test_signaled_flag(no));
	assert_int_equal(dma_fence_add_callback(no, &cb, NULL), -EINVAL);
	dma_fence_enable_sw_signaling(no);
	assert_true(dma_fence_test_signaled_flag(no));
	dma_fence_put(lazy);
	dma_fence_put(no);
}

static void test_error_of_a_member_is_the_array_s(void **state)
{
	struct dma_fence *f = make(&ops, 0, 1);
	struct dma_fence_array *a;
	struct dma_fence **list = sv_calloc(1, sizeof(*list));
	struct dma_fence_cb cb;

	list[0] = f;
	a = dma_fence_array_create(1, list, dma_fence_context_alloc(1), 1, false);
	assert_non_null(a);
	assert_int_equal(dma_fence_add_callback(&a->base, &cb, nothing), 0);
	assert_true(dma_fence_remove_callback(&a->base, &cb));
	assert_false(dma_fence_remove_callback(&a->base, &cb));
	dma_fence_set_error(f, -EIO);
	dma_fence_signal(f);
	assert_int_equal(dma_fence_get_status(&a->base), -EIO);
	dma_fence_put(&a->base);
}

static void test_array_any(void **state)
{
	struct dma_fence *f1 = make(&ops, 0, 1), *f2 = make(&ops, 0, 1);
	struct dma_fence **list = sv_calloc(2, sizeof(*list));
	struct dma_fence_array *a;

	list[0] = dma_fence_get(f1);
	list[1] = dma_fence_get(f2);
	a = dma_fence_array_create(2, list, dma_fence_context_alloc(1), 1, true);
	assert_false(dma_fence_match_context(&a->base, f1->context));
	dma_fence_enable_sw_signaling(&a->base);
	assert_false(dma_fence_is_signaled(&a->base));
	dma_fence_signal(f2);
	assert_true(dma_fence_test_signaled_flag(&a->base));
	dma_fence_set_deadline(&a->base, 5);
	/* The array goes while a member's callback runs that holds its last reference. */
	dma_fence_put(&a->base);
	dma_fence_signal(f1);
	dma_fence_put(f1);
	dma_fence_put(f2);
}

/* Many fences with one lock, an array over them whose last reference is the callback's. */
static void test_array_released_under_a_shared_lock(void **state)
{
	static spinlock_t lock = __SPIN_LOCK_UNLOCKED(lock);
	struct dma_fence **list = sv_calloc(4, sizeof(*list)), *keep;
	struct dma_fence_array *a;
	int before = atomic_read(&released);

	for (u64 i = 0; i < 4; i++) {
		list[i] = malloc(sizeof(struct dma_fence));
		dma_fence_init(list[i], &ops, &lock, 77, i);
	}
	keep = dma_fence_get(list[3]);
	a = dma_fence_array_create(4, list, dma_fence_context_alloc(1), 1, false);
	dma_fence_enable_sw_signaling(&a->base);
	for (int i = 0; i < 3; i++)
		dma_fence_signal(a->fences[i]);
	dma_fence_put(&a->base);
	assert_int_equal(atomic_read(&released), before);
	dma_fence_signal(keep);
	assert_int_equal(atomic_read(&released), before + 3);
	dma_fence_put(keep);
	assert_int_equal(atomic_read(&released), before + 4);
}

static void test_merge_keeps_the_latest_of_a_context(void **state)
{
	u64 context = dma_fence_context_alloc(1);
	struct dma_fence *old = make(&ops, context, 0xfffffffe), *late = make(&ops, context, 3);
	struct dma_fence *other = make(&ops, 0, 1), *m, *f;
	struct dma_fence_unwrap iter;
	int n = 0;

	m = dma_fence_unwrap_merge(old, other, late);
	assert_non_null(m);
	dma_fence_unwrap_for_each(f, &iter, m) {
		assert_true(f == late || f == other);
		n++;
	}
	assert_int_equal(n, 2);
	dma_fence_put(m);
	/* 3 follows 0xfffffffe: 32-bit numbers wrap. */
	m = dma_fence_unwrap_merge(late, old);
	assert_ptr_equal(m, late);
	dma_fence_put(m);
	dma_fence_signal(old);
	dma_fence_signal(late);
	dma_fence_signal(other);
	m = dma_fence_unwrap_merge(old, late, other);
	assert_true(dma_fence_is_signaled(m));
	assert_true(dma_fence_timestamp(m) == dma_fence_timestamp(other));
	dma_fence_put(m);
	dma_fence_put(old);
	dma_fence_put(late);
	dma_fence_put(other);
}

static void test_merge_each_allocation_fails_once(void **state)
{
	struct dma_fence *a = make(&ops, 0, 1), *b = make(&ops, 0, 1), *m;

	for (unsigned int n = 1;; n++) {
		sv_fault_inject(n);
		m = dma_fence_unwrap_merge(a, b);
		if (!sv_fault_fired())
			break;
		assert_null(m);
	}
	sv_fault_inject(0);
	assert_int_equal(kref_read(&a->refcount), 2);
	dma_fence_put(m);
	assert_int_equal(kref_read(&a->refcount), 1);
	dma_fence_put(a);
	dma_fence_put(b);
}

static void test_long_chain_goes_without_recursion(void **state)
{
	struct dma_fence *tail = NULL, *f = make(&ops, 0, 1);

	for (u64 i = 1; i <= 200000; i++) {
		struct dma_fence_chain *c = dma_fence_chain_alloc();

		dma_fence_chain_init(c, tail, dma_fence_get(f), i);
		tail = &c->base;
	}
	dma_fence_enable_sw_signaling(tail);
	dma_fence_signal(f);
	assert_true(dma_fence_is_signaled(tail));
	dma_fence_put(tail);
	dma_fence_put(f);
}

static void test_deadline_goes_through_containers(void **state)
{
	struct dma_fence *f = make(&ops, 0, 1);
	struct dma_fence_chain *c = dma_fence_chain_alloc();

	dma_fence_chain_init(c, NULL, dma_fence_get(f), 1);
	dma_fence_set_deadline(&c->base, 12345);
	assert_true(asked_deadline == 12345);
	dma_fence_signal(f);
	dma_fence_set_deadline(f, 999);
	assert_true(asked_deadline == 12345);
	dma_fence_put(&c->base);
	dma_fence_put(f);
}

static int finish(void **state)
{
	rcu_barrier();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_across_threads),
		cmocka_unit_test(test_wait_timeout_passes),
		cmocka_unit_test(test_wait_any_names_the_one),
		cmocka_unit_test(test_lazy_and_refusing_fences),
		cmocka_unit_test(test_error_of_a_member_is_the_array_s),
		cmocka_unit_test(test_array_any),
		cmocka_unit_test(test_array_released_under_a_shared_lock),
		cmocka_unit_test(test_merge_keeps_the_latest_of_a_context),
		cmocka_unit_test(test_merge_each_allocation_fails_once),
		cmocka_unit_test(test_long_chain_goes_without_recursion),
		cmocka_unit_test(test_deadline_goes_through_containers),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
