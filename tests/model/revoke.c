/* SPDX-License-Identifier: MIT */
/*
 * Every interleaving of a revoke with what others may do at the same time: map and unmap,
 * attach, detach, signal a fence, close, revoke, restore; in pairs and triples, with up to
 * three importers and two fences. The code is the library's own (src/dmabuf).
 *
 *	revoke [-v] [-b BOUND] [-l LIMIT] [NAME]
 *
 * Checked in each: when a revoke returns 0, no importer has an address and no fence is
 * unsignalled; nobody gets a mapping of a buffer that is revoked; nobody sleeps for ever;
 * nothing is used after its end (AddressSanitizer), nothing leaks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/trace.h"
#include "dmabuf/buf.h"
#include "explore.h"

#define SLOTS 4		/* what thread n uses is slot n's; the last one is nobody's */

static struct slot {
	struct device dev;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	bool busy;		/* a fence of ours is unsignalled */
	bool told;		/* to unmap once it is not */
	struct dma_fence *fence;
} slots[SLOTS];

static struct dma_buf *b;
static int released;
static char memory[64];

/* The parts of the library that the model leaves out. */
void dma_buf_file_fini(struct dma_buf *dmabuf) { }
void dma_buf_debug_add(struct dma_buf *dmabuf) { }
void dma_buf_debug_del(struct dma_buf *dmabuf) { }
void sv_trace_slow(struct sv_tracepoint *tp, const char *fmt, ...) { tp->state = SV_TRACE_OFF; }

/* The exporter. */
static int x_pin(struct dma_buf_attachment *a) { return 0; }
static void x_unpin(struct dma_buf_attachment *a) { }
static struct sg_table *x_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	model_assert(!(b->revoked && !b->revoking), "a revoked buffer is mapped");
	return sg_table_create(memory, sizeof(memory));
}
static void x_unmap(struct dma_buf_attachment *a, struct sg_table *t, enum dma_data_direction dir)
{
	sg_table_destroy(t);
}
static void x_release(struct dma_buf *d) { released++; }
static const struct dma_buf_ops exporter_ops = {
	.pin = x_pin, .unpin = x_unpin, .map_dma_buf = x_map, .unmap_dma_buf = x_unmap,
	.release = x_release,
};

/* Importers: dynamic, the mapping goes at once unless work is under way. */
static void drop(struct slot *s)
{
	struct sg_table *sgt = s->sgt;

	if (!sgt)
		return;
	s->sgt = NULL;	/* the address is not used from here on */
	dma_buf_unmap_attachment(s->attach, sgt, DMA_BIDIRECTIONAL);
	model_note("unmapped slot %d", (int)(s - slots));
}

static void invalidate(struct dma_buf_attachment *a)
{
	struct slot *s = a->importer_priv;

	model_note("slot %d is told", (int)(s - slots));
	if (s->busy)
		s->told = true;
	else
		drop(s);
}
static const struct dma_buf_attach_ops importer_ops = { .invalidate_mappings = invalidate };

static const char *fence_name(struct dma_fence *f) { return "model"; }
static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name, .get_timeline_name = fence_name,
};

static struct dma_fence *file_fence(void)
{
	struct dma_fence *f = sv_alloc(sizeof(*f));

	dma_fence_init(f, &fence_ops, NULL, dma_fence_context_alloc(1), 1);
	if (dma_resv_reserve_fences(b->resv, 1))
		model_fail("no room for a fence");
	dma_resv_add_fence(b->resv, f, DMA_RESV_USAGE_BOOKKEEP);
	return f;
}

static struct slot *mine(void)
{
	return &slots[model_self()];
}

/* The threads. */
static void t_revoke(void)
{
	int err = dma_buf_revoke(b, DMA_DEADLINE_NEVER);

	model_note("revoke returns %d", err);
	model_assert(!err, "revoke without a deadline fails");
	/* No other thread runs between the end of the revoke and this. */
	for (int i = 0; i < SLOTS; i++)
		model_assert(!slots[i].sgt, "an importer has an address after the revoke");
	model_assert(!b->nr_mapped, "a mapping is counted after the revoke");
	for (int i = 0; i < SLOTS; i++)
		model_assert(!slots[i].fence || (slots[i].fence->flags & 1),
			     "a fence is unsignalled after the revoke");
}

static void t_map(void)
{
	struct slot *s = mine();
	struct sg_table *sgt;

	dma_resv_lock(b->resv, NULL);
	sgt = dma_buf_map_attachment(s->attach, DMA_BIDIRECTIONAL);
	model_note("map: %ld", PTR_ERR_OR_ZERO(sgt) * 1l);
	if (!IS_ERR(sgt)) {
		s->sgt = sgt;
		s->busy = true;
		s->fence = file_fence();
	} else {
		model_assert(PTR_ERR(sgt) == -ENODEV, "a refused mapping says ENODEV");
	}
	dma_resv_unlock(b->resv);
	if (!s->busy)
		return;
	dma_fence_signal(s->fence);
	dma_resv_lock(b->resv, NULL);
	s->busy = false;
	/* As a real one: who is not told keeps its mapping. */
	if (s->told)
		drop(s);
	dma_resv_unlock(b->resv);
}

static void t_unmap(void)
{
	dma_resv_lock(b->resv, NULL);
	drop(mine());
	dma_resv_unlock(b->resv);
}

static void t_attach(void)
{
	struct slot *s = mine();
	struct dma_buf_attachment *a = dma_buf_dynamic_attach(b, &s->dev, &importer_ops, s);

	model_note("attach: %d", PTR_ERR_OR_ZERO(a));
	if (IS_ERR(a))
		model_assert(PTR_ERR(a) == -ENODEV, "a refused attach says ENODEV");
	else
		dma_buf_detach(b, a);
}

static void t_detach(void)
{
	struct slot *s = mine();
	struct dma_buf_attachment *a = s->attach;

	t_unmap();
	s->attach = NULL;
	dma_buf_detach(b, a);
}

static void t_signal(void)
{
	dma_fence_signal(mine()->fence);
}

static void t_close(void)
{
	dma_buf_put(b);
}

static void t_restore(void)
{
	int err = dma_buf_restore(b);

	model_note("restore: %d", err);
	model_assert(!err || err == -EBUSY, "restore says 0 or EBUSY");
}

static void t_reader(void)
{
	struct dma_fence *f;

	(void)dma_resv_test_signaled(b->resv, DMA_RESV_USAGE_BOOKKEEP);
	if (dma_resv_get_singleton(b->resv, DMA_RESV_USAGE_BOOKKEEP, &f))
		model_fail("no memory");
	dma_fence_put(f);
}

/* Files more fences than the first vector holds, so that it is replaced. */
static void t_filer(void)
{
	for (int i = 0; i < 4; i++) {
		struct dma_fence *f;

		dma_resv_lock(b->resv, NULL);
		if (i == 3)
			(void)dma_resv_reserve_fences(b->resv, 5);
		f = file_fence();
		dma_resv_unlock(b->resv);
		dma_fence_signal(f);
		dma_fence_put(f);
	}
}

static void t_waiter(void)
{
	if (dma_fence_wait(mine()->fence, false))
		model_fail("a wait without timeout ends without the signal");
}

/* One importer never unmaps, one fence never signals: the deadline ends it, by name. */
static void t_revoke_in_time(void)
{
	struct dma_buf_late late[4];
	int err = dma_buf_revoke(b, 5000);

	model_assert(err == -ETIMEDOUT, "a late importer is waited for beyond the deadline");
	model_assert(dma_buf_late(b, late, 4) >= 1, "nobody is named");
	model_assert(late[0].kind == DMA_BUF_LATE_MAPPING && late[0].count == 1,
		     "the late importer is named");
}

static const struct op {
	const char *name;
	void (*fn)(void);
	bool attached, mapped, fence;
} ops[] = {
	{ "map", t_map, true, false, false },
	{ "unmap", t_unmap, true, true, false },
	{ "attach", t_attach, false, false, false },
	{ "detach", t_detach, true, true, false },
	{ "signal", t_signal, false, false, true },
	{ "close", t_close, false, false, false },
	{ "revoke", t_revoke, false, false, false },
	{ "restore", t_restore, false, false, false },
	{ "reader", t_reader, false, false, false },
	{ "filer", t_filer, false, false, false },
	{ "waiter", t_waiter, false, false, true },
};

static const struct op *now[MODEL_THREADS];	/* of the scenario that runs */
static bool bystander;				/* slot 3 is attached and mapped */
static bool stubborn;				/* and never unmaps */
static bool born_revoked;			/* a revoke has ended before the threads begin */
static int two_waiters;

static void slot_setup(struct slot *s, const struct op *op)
{
	if (op->attached || op == &ops[0]) {
		s->attach = dma_buf_dynamic_attach(b, &s->dev, &importer_ops, s);
		model_assert(!IS_ERR(s->attach), "attach");
	}
	if (op->mapped) {
		s->sgt = dma_buf_map_attachment_unlocked(s->attach, DMA_BIDIRECTIONAL);
		model_assert(!IS_ERR(s->sgt), "map");
	}
	if (op->fence) {
		dma_resv_lock(b->resv, NULL);
		s->fence = file_fence();
		dma_resv_unlock(b->resv);
	}
}

static void setup(void)
{
	static const struct op mapped_op = { "bystander", NULL, true, true, false };
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	memset(slots, 0, sizeof(slots));
	released = 0;
	info.ops = &exporter_ops;
	info.size = sizeof(memory);
	info.priv = memory;
	b = dma_buf_export(&info);
	for (int i = 0; i < SLOTS; i++)
		slots[i].dev.init_name = "model-device";
	if (bystander || stubborn) {
		slot_setup(&slots[SLOTS - 1], &mapped_op);
		slots[SLOTS - 1].busy = stubborn;
	}
	for (int i = 0; i < MODEL_THREADS && now[i]; i++) {
		slot_setup(&slots[i], now[i]);
		if (now[i]->fn == t_close)
			get_dma_buf(b);
		/* A waiter waits for the fence that the thread before it signals. */
		if (now[i]->fn == t_waiter && two_waiters) {
			dma_fence_signal(slots[i].fence);
			dma_fence_put(slots[i].fence);
			slots[i].fence = dma_fence_get(slots[two_waiters].fence);
		}
	}
	if (born_revoked && dma_buf_revoke(b, DMA_DEADLINE_NEVER))
		model_fail("the revoke before the threads");
}

static void end(void)
{
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &slots[i];

		if (s->sgt)
			dma_buf_unmap_attachment_unlocked(s->attach, s->sgt, DMA_BIDIRECTIONAL);
		if (s->attach)
			dma_buf_detach(b, s->attach);
		if (s->fence)
			dma_fence_signal(s->fence);
		dma_fence_put(s->fence);
	}
	dma_buf_put(b);
	model_assert(released == 1, "the exporter's release is called once");
}

static struct {
	u64 schedules, redundant, steps;
	unsigned int scenarios, incomplete;
	int bound;
	u64 limit;
	bool verbose;
	const char *only;
} run = { .bound = -1, .limit = 120000 };

static void report(const char *name, const struct model_result *r, const char *how)
{
	run.scenarios++;
	run.schedules += r->schedules;
	run.redundant += r->redundant;
	run.steps += r->steps;
	run.incomplete += !r->complete;
	if (run.verbose || !r->complete)
		printf("  %-28s %9llu schedules  %5u steps  %s%s\n", name,
		       (unsigned long long)r->schedules, r->deepest, how,
		       r->complete ? "" : "  NOT COMPLETE");
	fflush(stdout);
}

/* All schedules; where there are too many, all with at most two preemptions, or one. */
static void explore(const char *name, const struct op *const *list)
{
	struct model_scenario s = { .name = name, .setup = setup, .end = end };
	struct model_result r;
	int b2 = 2;

	if (run.only && strcmp(run.only, name))
		return;
	memset(now, 0, sizeof(now));
	for (int i = 0; list[i]; i++) {
		now[i] = list[i];
		s.thread[i] = list[i]->fn;
	}
	r = model_explore(&s, run.bound, run.limit);
	if (run.bound >= 0 || r.complete) {
		report(name, &r, run.bound < 0 ? "all" : "bounded");
		return;
	}
	/* What was tried so far counts, but proves nothing for the whole. */
	run.schedules += r.schedules;
	do {
		char how[48];

		r = model_explore(&s, b2, 20 * run.limit);
		snprintf(how, sizeof(how), "at most %d preemptions", b2);
		if (r.complete || !b2)
			report(name, &r, how);
	} while (!r.complete && b2--);
}

static void explore_pairs(void)
{
	static const struct op revoke = { "revoke", t_revoke, false, false, false };
	char name[64];

	for (size_t i = 0; i < 8; i++) {
		const struct op *list[] = { &revoke, &ops[i], NULL };

		snprintf(name, sizeof(name), "revoke+%s", ops[i].name);
		/* Whoever reports a fence as pending must be there to signal it. */
		bystander = true;
		explore(name, list);
	}
	for (size_t i = 0; i < 8; i++) {
		for (size_t j = i; j < 8; j++) {
			const struct op *list[] = { &revoke, &ops[i], &ops[j], NULL };

			snprintf(name, sizeof(name), "revoke+%s+%s", ops[i].name, ops[j].name);
			bystander = i != j;
			explore(name, list);
		}
	}
}

static void explore_others(void)
{
	static const struct op revoke = { "revoke", t_revoke, false, false, false };
	static const struct op in_time = { "deadline", t_revoke_in_time, false, false, false };
	const struct op *reading[] = { &revoke, &ops[8], &ops[9], NULL };
	const struct op *waiting[] = { &revoke, &ops[4], &ops[10], NULL };
	const struct op *three[] = { &revoke, &ops[0], &ops[0], &ops[4], NULL };
	const struct op *again[] = { &revoke, &ops[7], &ops[0], NULL };
	const struct op *twice[] = { &revoke, &ops[7], &ops[2], NULL };
	const struct op *late[] = { &in_time, &ops[4], &ops[0], NULL };

	bystander = false;
	explore("revoke+reader+filer", reading);
	two_waiters = 1;
	explore("revoke+signal+waiter", waiting);
	two_waiters = 0;
	bystander = true;
	explore("revoke+map+map+signal", three);
	bystander = false;
	born_revoked = true;
	explore("revoked: revoke+restore+map", again);
	explore("revoked: revoke+restore+attach", twice);
	born_revoked = false;
	stubborn = true;
	explore("deadline+signal+map", late);
	stubborn = false;
}

int main(int argc, char **argv)
{
	struct timespec t0, t1;
	int opt;

	while ((opt = getopt(argc, argv, "vb:l:")) != -1) {
		switch (opt) {
		case 'v':
			run.verbose = true;
			break;
		case 'b':
			run.bound = atoi(optarg);
			break;
		case 'l':
			run.limit = strtoull(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: revoke [-v] [-b PREEMPTIONS] [-l LIMIT] [NAME]\n");
			return 2;
		}
	}
	run.only = argv[optind];
	clock_gettime(CLOCK_MONOTONIC, &t0);
	explore_pairs();
	explore_others();
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("%u scenarios, %llu schedules (%llu of them seen before), %llu steps, %u incomplete, %.1f s\n",
	       run.scenarios, (unsigned long long)run.schedules, (unsigned long long)run.redundant,
	       (unsigned long long)run.steps, run.incomplete,
	       (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	printf("%u passed, %u failed\n", run.scenarios - run.incomplete, run.incomplete);
	return run.incomplete || !run.scenarios;
}
