/* SPDX-License-Identifier: MIT */
/*
 * Many revokes and restores beside threads that map, unmap, attach, detach, file and signal
 * fences, read. STRESS_CYCLES and STRESS_IMPORTERS change the size; the issue's own is
 * STRESS_CYCLES=1000000 STRESS_IMPORTERS=64.
 *
 * The oracle: each importer, before it looks at the memory through an address it holds,
 * checks under its own lock that the address has not been declared dead; the exporter, after
 * each revoke, poisons a generation number and any importer that still shows a mapping of
 * that generation has been overlooked.
 */
#include "unit.h"

#include <sched.h>

#include "base/alloc.h"
#include "base/sync.h"
#include "plain_exporter.h"
#include "softvirt/dma-buf.h"

#define MAX_IMPORTERS 64

static struct dma_buf *b;
static atomic64_t generation;		/* of the memory; odd while it is taken back */
static bool stop;
static atomic64_t mapped_times, refused_times;

static struct importer {
	struct sv_thread thread;
	struct device dev;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;		/* reservation lock */
	bool busy, told;		/* reservation lock */
	s64 holds;			/* generation of the address it holds, or -1; atomic */
	u64 context, seqno;
	u64 rnd;
	struct sv_mutex m;		/* over tickets */
	struct sv_cond c;
	unsigned int tickets;		/* pieces of work to do */
} importers[MAX_IMPORTERS];

static void drop(struct importer *i)
{
	struct sg_table *sgt = i->sgt;

	if (!sgt)
		return;
	i->sgt = NULL;
	i->told = false;
	__atomic_store_n(&i->holds, -1, __ATOMIC_SEQ_CST);
	dma_buf_unmap_attachment(i->attach, sgt, DMA_BIDIRECTIONAL);
}

static void invalidate(struct dma_buf_attachment *a)
{
	struct importer *i = a->importer_priv;

	if (i->busy)
		i->told = true;
	else
		drop(i);
}
static const struct dma_buf_attach_ops importer_ops = { .invalidate_mappings = invalidate };

static const char *name(struct dma_fence *f) { return "stress"; }
static const struct dma_fence_ops fence_ops = { .get_driver_name = name, .get_timeline_name = name };

/* One piece of work: map if need be, file a fence, use the address, signal, let go if told. */
static void work(struct importer *i)
{
	struct dma_fence *f = NULL;

	dma_resv_lock(b->resv, NULL);
	if (!i->sgt) {
		struct sg_table *sgt = dma_buf_map_attachment(i->attach, DMA_BIDIRECTIONAL);

		if (IS_ERR(sgt)) {
			atomic64_inc(&refused_times);
		} else {
			i->sgt = sgt;
			__atomic_store_n(&i->holds, atomic64_read(&generation), __ATOMIC_SEQ_CST);
			atomic64_inc(&mapped_times);
		}
	}
	if (i->sgt && !dma_resv_reserve_fences(b->resv, 1)) {
		f = malloc(sizeof(*f));
		dma_fence_init(f, &fence_ops, NULL, i->context, ++i->seqno);
		dma_resv_add_fence(b->resv, f, (enum dma_resv_usage)(unit_rand(&i->rnd) % 4));
		i->busy = true;
	}
	dma_resv_unlock(b->resv);
	if (!f)
		return;
	if (atomic64_read(&generation) & 1)
		abort();	/* it was taken back while our fence is unsignalled */
	dma_fence_signal(f);
	dma_fence_put(f);
	dma_resv_lock(b->resv, NULL);
	i->busy = false;
	if (i->told || unit_rand(&i->rnd) % 4 == 0)
		drop(i);
	dma_resv_unlock(b->resv);
}

static void reattach(struct importer *i)
{
	struct dma_buf_attachment *a;

	dma_resv_lock(b->resv, NULL);
	drop(i);
	dma_resv_unlock(b->resv);
	a = dma_buf_dynamic_attach(b, &i->dev, &importer_ops, i);
	if (IS_ERR(a))
		return;
	dma_buf_detach(b, i->attach);
	i->attach = a;
}

/*
 * Each cycle sets only a few importers to work: with 64 of them always running on two CPUs
 * the revoke would mostly wait for the scheduler.
 */
#define AT_WORK 4
static bool next_ticket(struct importer *i)
{
	bool go;

	sv_mutex_lock(&i->m);
	while (!i->tickets && !__atomic_load_n(&stop, __ATOMIC_RELAXED))
		sv_cond_wait(&i->c, &i->m);
	go = i->tickets > 0;
	i->tickets -= go;
	sv_mutex_unlock(&i->m);
	return go;
}

static void give_ticket(struct importer *i)
{
	sv_mutex_lock(&i->m);
	i->tickets = 2;
	sv_cond_signal(&i->c);
	sv_mutex_unlock(&i->m);
}

static void *importer_main(void *arg)
{
	struct importer *i = arg;

	while (next_ticket(i)) {
		switch (unit_rand(&i->rnd) % 16) {
		case 0:
			reattach(i);
			break;
		case 1:
			(void)dma_resv_test_signaled(b->resv, DMA_RESV_USAGE_BOOKKEEP);
			break;
		default:
			work(i);
		}
	}
	return NULL;
}

static unsigned long number(const char *env, unsigned long dflt, unsigned long most)
{
	const char *s = getenv(env);
	unsigned long n = s ? strtoul(s, NULL, 0) : dflt;

	return n < 1 ? 1 : n > most ? most : n;
}

static void test_revoke_and_restore(void **state)
{
	unsigned long cycles = number("STRESS_CYCLES", 3000, 100000000);
	unsigned long n = number("STRESS_IMPORTERS", 8, MAX_IMPORTERS);
	unsigned long next = 0;
	s64 before;

	b = plain_export();
	for (unsigned long k = 0; k < n; k++) {
		struct importer *i = &importers[k];

		i->dev.init_name = "stress";
		i->holds = -1;
		sv_mutex_init(&i->m);
		sv_cond_init(&i->c);
		i->rnd = k + 1;
		i->context = dma_fence_context_alloc(1);
		i->attach = dma_buf_dynamic_attach(b, &i->dev, &importer_ops, i);
		assert_false(IS_ERR(i->attach));
	}
	for (unsigned long k = 0; k < n; k++)
		assert_int_equal(sv_thread_create(&importers[k].thread, "importer", importer_main,
						  &importers[k]), 0);
	for (unsigned long c = 0; c < cycles; c++) {
		assert_int_equal(dma_buf_revoke(b, DMA_DEADLINE_NEVER), 0);
		atomic64_add_return(1, &generation);
		for (unsigned long k = 0; k < n; k++)
			assert_int_equal(__atomic_load_n(&importers[k].holds, __ATOMIC_SEQ_CST), -1);
		assert_true(dma_resv_test_signaled(b->resv, DMA_RESV_USAGE_BOOKKEEP));
		atomic64_add_return(1, &generation);
		assert_int_equal(dma_buf_restore(b), 0);
		for (int k = 0; k < AT_WORK; k++)
			give_ticket(&importers[next++ % n]);
		/* Most cycles shall find somebody mapped. */
		before = atomic64_read(&mapped_times);
		for (int y = 0; y < 20 && atomic64_read(&mapped_times) == before; y++)
			sched_yield();
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned long k = 0; k < n; k++)
		give_ticket(&importers[k]);
	for (unsigned long k = 0; k < n; k++)
		sv_thread_join(&importers[k].thread);
	for (unsigned long k = 0; k < n; k++) {
		dma_resv_lock(b->resv, NULL);
		drop(&importers[k]);
		dma_resv_unlock(b->resv);
		dma_buf_detach(b, importers[k].attach);
	}
	printf("# %lu cycles, %lu importers, %lld mappings, %lld refused\n", cycles, n,
	       (long long)atomic64_read(&mapped_times), (long long)atomic64_read(&refused_times));
	/* A run in which nothing met would prove nothing. */
	if (cycles >= 1000)
		assert_true(atomic64_read(&mapped_times) > 0);
	dma_buf_put(b);
	rcu_barrier();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revoke_and_restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
