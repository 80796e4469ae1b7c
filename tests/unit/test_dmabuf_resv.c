/* SPDX-License-Identifier: MIT */
/* Reservations: wound/wait, classes, readers that run beside writers. */
#include "unit.h"

#include "base/alloc.h"
#include "base/sync.h"
#include "softvirt/dma-resv.h"

static const char *name(struct dma_fence *f) { return "test"; }
static const struct dma_fence_ops ops = { .get_driver_name = name, .get_timeline_name = name };

static struct dma_fence *make(u64 context, u64 seqno)
{
	struct dma_fence *f = malloc(sizeof(*f));

	assert_non_null(f);
	dma_fence_init(f, &ops, NULL, context ? context : dma_fence_context_alloc(1), seqno);
	return f;
}

static void add(struct dma_resv *resv, struct dma_fence *f, enum dma_resv_usage usage)
{
	assert_int_equal(dma_resv_reserve_fences(resv, 1), 0);
	dma_resv_add_fence(resv, f, usage);
}

static unsigned int count(struct dma_resv *resv, enum dma_resv_usage usage)
{
	struct dma_fence **fences;
	unsigned int n;

	assert_int_equal(dma_resv_get_fences(resv, usage, &n, &fences), 0);
	for (unsigned int i = 0; i < n; i++)
		dma_fence_put(fences[i]);
	sv_free(fences);
	return n;
}

static void test_classes_include_earlier_ones(void **state)
{
	struct dma_fence *f[4];
	struct dma_resv resv, copy;

	dma_resv_init(&resv);
	dma_resv_init(&copy);
	dma_resv_lock(&resv, NULL);
	for (int u = 0; u < 4; u++) {
		f[u] = make(0, 1);
		add(&resv, f[u], (enum dma_resv_usage)u);
	}
	dma_resv_unlock(&resv);
	for (unsigned int u = 0; u < 4; u++)
		assert_int_equal(count(&resv, (enum dma_resv_usage)u), u + 1);
	dma_resv_lock(&copy, NULL);
	assert_int_equal(dma_resv_copy_fences(&copy, &resv), 0);
	dma_resv_unlock(&copy);
	assert_int_equal(count(&copy, DMA_RESV_USAGE_READ), 3);

	assert_int_equal(dma_resv_wait_timeout(&resv, DMA_RESV_USAGE_KERNEL, true, 0), 0);
	dma_fence_signal(f[0]);
	assert_int_equal(dma_resv_wait_timeout(&resv, DMA_RESV_USAGE_KERNEL, true, 0), 1);
	assert_true(dma_resv_test_signaled(&resv, DMA_RESV_USAGE_KERNEL));
	assert_false(dma_resv_test_signaled(&resv, DMA_RESV_USAGE_WRITE));
	assert_int_equal(dma_resv_wait_until(&resv, DMA_RESV_USAGE_BOOKKEEP,
					     (u64)ktime_get() + 1000000), -ETIMEDOUT);
	for (int u = 0; u < 4; u++) {
		dma_fence_signal(f[u]);
		dma_fence_put(f[u]);
	}
	assert_int_equal(dma_resv_wait_until(&resv, DMA_RESV_USAGE_BOOKKEEP,
					     DMA_DEADLINE_NEVER), 0);
	dma_resv_fini(&resv);
	dma_resv_fini(&copy);
}

static void test_add_replaces_by_context(void **state)
{
	u64 context = dma_fence_context_alloc(1);
	struct dma_fence *f1 = make(context, 1), *f2 = make(context, 2), *f3 = make(context, 3);
	struct dma_resv resv;

	dma_resv_init(&resv);
	dma_resv_lock(&resv, NULL);
	add(&resv, f1, DMA_RESV_USAGE_READ);
	add(&resv, f2, DMA_RESV_USAGE_READ);
	assert_int_equal(count(&resv, DMA_RESV_USAGE_BOOKKEEP), 1);
	/* A weaker class does not replace a stronger one. */
	add(&resv, f3, DMA_RESV_USAGE_BOOKKEEP);
	assert_int_equal(count(&resv, DMA_RESV_USAGE_BOOKKEEP), 2);
	assert_int_equal(count(&resv, DMA_RESV_USAGE_READ), 1);
	dma_resv_replace_fences(&resv, context, f3, DMA_RESV_USAGE_KERNEL);
	assert_int_equal(count(&resv, DMA_RESV_USAGE_KERNEL), 2);
	assert_int_equal(dma_resv_reserve_fences(&resv, 0), -EINVAL);
	dma_resv_unlock(&resv);
	dma_fence_signal(f3);
	assert_int_equal(count(&resv, DMA_RESV_USAGE_BOOKKEEP), 0);
	dma_fence_put(f1);
	dma_fence_put(f2);
	dma_fence_put(f3);
	dma_resv_fini(&resv);
}

static void test_each_allocation_fails_once(void **state)
{
	struct dma_resv resv, dst;
	struct dma_fence *f[9], *single;

	dma_resv_init(&resv);
	dma_resv_init(&dst);
	dma_resv_lock(&resv, NULL);
	dma_resv_lock(&dst, NULL);
	for (int i = 0; i < 9; i++) {
		f[i] = make(0, 1);
		while (sv_fault_inject(1), dma_resv_reserve_fences(&resv, 1))
			sv_fault_inject(0), assert_int_equal(dma_resv_reserve_fences(&resv, 1), 0);
		sv_fault_inject(0);
		dma_resv_add_fence(&resv, f[i], DMA_RESV_USAGE_READ);
	}
	for (unsigned int n = 1;; n++) {
		int err;

		sv_fault_inject(n);
		err = dma_resv_copy_fences(&dst, &resv);
		if (!err)
			err = dma_resv_get_singleton(&resv, DMA_RESV_USAGE_READ, &single);
		if (!sv_fault_fired())
			break;
		assert_int_equal(err, -ENOMEM);
	}
	sv_fault_inject(0);
	dma_fence_put(single);
	dma_resv_unlock(&dst);
	dma_resv_unlock(&resv);
	for (int i = 0; i < 9; i++)
		dma_fence_put(f[i]);
	dma_resv_fini(&dst);
	dma_resv_fini(&resv);
}

static void test_ww_rules(void **state)
{
	struct ww_acquire_ctx old, young;
	struct dma_resv a, b;

	dma_resv_init(&a);
	dma_resv_init(&b);
	ww_acquire_init(&old, &reservation_ww_class);
	ww_acquire_init(&young, &reservation_ww_class);
	assert_int_equal(dma_resv_lock(&a, &young), 0);
	assert_int_equal(dma_resv_lock(&a, &young), -EALREADY);
	assert_ptr_equal(dma_resv_locking_ctx(&a), &young);
	assert_false(dma_resv_trylock(&a));
	assert_int_equal(ww_mutex_lock_until(&a.lock, NULL, (u64)ktime_get() + 1000000),
			 -ETIMEDOUT);
	assert_int_equal(dma_resv_lock(&b, &old), 0);
	/* The old one, which holds b, wants a: the young one is wounded. */
	assert_int_equal(ww_mutex_lock_until(&a.lock, &old, (u64)ktime_get() + 1000000),
			 -ETIMEDOUT);
	assert_int_equal(dma_resv_lock(&b, &young), -EDEADLK);
	dma_resv_unlock(&a);
	assert_int_equal(dma_resv_lock(&a, &old), 0);
	dma_resv_unlock(&a);
	dma_resv_unlock(&b);
	dma_resv_lock_slow(&b, &young);
	assert_int_equal(dma_resv_lock(&a, &young), 0);
	dma_resv_unlock(&a);
	dma_resv_unlock(&b);
	ww_acquire_fini(&old);
	ww_acquire_fini(&young);
	dma_resv_fini(&a);
	dma_resv_fini(&b);
}

#define LOCKS 5
#define ROUNDS 3000
static struct dma_resv many[LOCKS];
static long guarded[LOCKS];
static atomic_t backed_off;

static void *ww_worker(void *arg)
{
	u64 rnd = (u64)(uintptr_t)arg;

	for (int round = 0; round < ROUNDS; round++) {
		struct ww_acquire_ctx ctx;
		int order[LOCKS], contended = -1, i;

		for (i = 0; i < LOCKS; i++)
			order[i] = i;
		for (i = LOCKS - 1; i > 0; i--) {
			int j = (int)(unit_rand(&rnd) % (u64)(i + 1)), t = order[i];

			order[i] = order[j];
			order[j] = t;
		}
		ww_acquire_init(&ctx, &reservation_ww_class);
retry:
		for (i = 0; i < LOCKS; i++) {
			int err;

			if (order[i] == contended)
				continue;
			err = dma_resv_lock(&many[order[i]], &ctx);
			if (err == -EDEADLK) {
				int stuck = order[i];

				while (i-- > 0)
					if (order[i] != contended)
						dma_resv_unlock(&many[order[i]]);
				if (contended >= 0)
					dma_resv_unlock(&many[contended]);
				contended = stuck;
				atomic_inc(&backed_off);
				dma_resv_lock_slow(&many[contended], &ctx);
				goto retry;
			}
			assert_int_equal(err, 0);
		}
		for (i = 0; i < LOCKS; i++)
			guarded[i]++;
		for (i = 0; i < LOCKS; i++)
			dma_resv_unlock(&many[i]);
		ww_acquire_fini(&ctx);
	}
	return NULL;
}

static void test_ww_all_locks_in_any_order(void **state)
{
	struct sv_thread t[4];

	for (int i = 0; i < LOCKS; i++)
		dma_resv_init(&many[i]);
	for (uintptr_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(sv_thread_create(&t[i], "ww", ww_worker, (void *)(i + 1)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		sv_thread_join(&t[i]);
	for (int i = 0; i < LOCKS; i++) {
		assert_int_equal(guarded[i], ROUNDS * (long)ARRAY_SIZE(t));
		dma_resv_fini(&many[i]);
	}
}

static bool stop;
static struct dma_resv shared;

static void *reader(void *arg)
{
	unsigned long seen = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct dma_resv_iter cursor;
		struct dma_fence *f;

		dma_resv_iter_begin(&cursor, &shared, DMA_RESV_USAGE_BOOKKEEP);
		dma_resv_for_each_fence_unlocked(&cursor, f)
			seen += f->seqno != 0;
		dma_resv_iter_end(&cursor);
		dma_resv_test_signaled(&shared, DMA_RESV_USAGE_BOOKKEEP);
	}
	return (void *)(uintptr_t)seen;
}

static void test_readers_beside_a_writer(void **state)
{
	struct sv_thread t[2];
	u64 contexts = dma_fence_context_alloc(64);

	dma_resv_init(&shared);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(sv_thread_create(&t[i], "reader", reader, NULL), 0);
	for (u64 i = 1; i <= 20000; i++) {
		struct dma_fence *f = make(contexts + i % 64, i);

		dma_resv_lock(&shared, NULL);
		add(&shared, f, (enum dma_resv_usage)(i % 4));
		if (i % 3 == 0)
			dma_fence_signal(f);
		dma_resv_unlock(&shared);
		dma_fence_put(f);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		sv_thread_join(&t[i]);
	dma_resv_fini(&shared);
}

static int finish(void **state)
{
	rcu_barrier();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes_include_earlier_ones),
		cmocka_unit_test(test_add_replaces_by_context),
		cmocka_unit_test(test_each_allocation_fails_once),
		cmocka_unit_test(test_ww_rules),
		cmocka_unit_test(test_ww_all_locks_in_any_order),
		cmocka_unit_test(test_readers_beside_a_writer),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
