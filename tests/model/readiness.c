/* SPDX-License-Identifier: MIT */
/*
 * Every interleaving of filing and signalling fences with somebody who watches whether the
 * buffer is ready (src/dmabuf/readiness.c), and with the end of his watching.
 *
 *	readiness [-v]
 *
 * Checked in each: what is shown at rest is what holds; a fence that was filed and has not
 * signalled is shown to be there; nothing is shown after the end; nothing is used after its
 * end (AddressSanitizer), nothing leaks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "dmabuf/buf.h"
#include "dmabuf/watch.h"
#include "explore.h"

void dma_buf_file_fini(struct dma_buf *dmabuf) { }
void dma_buf_debug_add(struct dma_buf *dmabuf) { }
void dma_buf_debug_del(struct dma_buf *dmabuf) { }
void sv_trace_slow(struct sv_tracepoint *tp, const char *fmt, ...) { tp->state = SV_TRACE_OFF; }

static const char *fence_name(struct dma_fence *f) { return "model"; }
static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name, .get_timeline_name = fence_name,
};

static struct dma_resv resv;
static struct dma_resv_readiness *r;
static struct dma_fence *early[2];	/* filed before the threads begin */
static unsigned int shown;
static bool ending, ended;
static int freed;

static void show(struct dma_resv_readiness *w, unsigned int ready)
{
	model_assert(!ended, "something is shown after the end");
	model_note("shown: %u", ready);
	shown = ready;
}

static void free_it(struct dma_resv_readiness *w)
{
	freed++;
	sv_free(w);
}

static struct dma_fence *file_fence(enum dma_resv_usage usage)
{
	struct dma_fence *f = sv_alloc(sizeof(*f));

	dma_fence_init(f, &fence_ops, NULL, dma_fence_context_alloc(1), 1);
	dma_resv_lock(&resv, NULL);
	if (dma_resv_reserve_fences(&resv, 1))
		model_fail("no room for a fence");
	dma_resv_add_fence(&resv, f, usage);
	dma_resv_unlock(&resv);
	return f;
}

static void file_and_signal(enum dma_resv_usage usage, unsigned int hidden)
{
	struct dma_fence *f = file_fence(usage);

	/* No other thread runs between the end of the filing and this. */
	model_assert(ending || !(shown & hidden), "ready is shown beside an unsignalled fence");
	dma_fence_signal(f);
	dma_fence_put(f);
}

static void t_writer(void) { file_and_signal(DMA_RESV_USAGE_WRITE, DMA_READY_READ | DMA_READY_WRITE); }
static void t_reader(void) { file_and_signal(DMA_RESV_USAGE_READ, DMA_READY_WRITE); }
static void t_signal0(void) { dma_fence_signal(early[0]); }
static void t_signal1(void) { dma_fence_signal(early[1]); }

static void t_end(void)
{
	ending = true;
	dma_resv_readiness_end(r);
	ended = true;
}

static void setup(void)
{
	dma_resv_init(&resv);
	shown = ~0u;
	ending = ended = false;
	freed = 0;
	early[0] = file_fence(DMA_RESV_USAGE_WRITE);
	early[1] = file_fence(DMA_RESV_USAGE_READ);
	r = sv_zalloc(sizeof(*r));
	r->show = show;
	r->free = free_it;
	dma_resv_readiness_begin(r, &resv);
	model_assert(shown == 0, "what holds at the beginning is shown");
}

static void end(void)
{
	for (int i = 0; i < 2; i++)
		dma_fence_signal(early[i]);
	if (!ended) {
		model_assert(shown == (DMA_READY_READ | DMA_READY_WRITE),
			     "a signal is not shown: lost wake-up");
		t_end();
	}
	for (int i = 0; i < 2; i++)
		dma_fence_put(early[i]);
	dma_resv_fini(&resv);
	model_assert(freed == 1, "the watch is freed once");
}

static const struct {
	const char *name;
	void (*thread[4])(void);
} scenarios[] = {
	{ "signal+signal", { t_signal0, t_signal1 } },
	{ "signal+end", { t_signal0, t_end } },
	{ "writer+signal", { t_writer, t_signal0 } },
	{ "writer+signal+signal", { t_writer, t_signal0, t_signal1 } },
	{ "writer+end", { t_writer, t_end } },
	{ "writer+reader", { t_writer, t_reader } },
	{ "writer+signal+end", { t_writer, t_signal0, t_end } },
	{ "reader+signal+end", { t_reader, t_signal1, t_end } },
	{ "writer+reader+end", { t_writer, t_reader, t_end } },
	{ "signal+signal+end", { t_signal0, t_signal1, t_end } },
};

int main(int argc, char **argv)
{
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	unsigned int incomplete = 0;
	u64 schedules = 0, redundant = 0, steps = 0;

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		struct model_scenario s = {
			.name = scenarios[i].name, .setup = setup, .end = end,
		};
		const char *how = "all";
		struct model_result m;

		memcpy(s.thread, scenarios[i].thread, sizeof(scenarios[i].thread));
		m = model_explore(&s, -1, 400000);
		for (int bound = 3; !m.complete && bound >= 0; bound--) {
			static char text[32];

			schedules += m.schedules;
			m = model_explore(&s, bound, 1200000);
			snprintf(text, sizeof(text), "at most %d preemptions", bound);
			how = text;
		}
		schedules += m.schedules;
		redundant += m.redundant;
		steps += m.steps;
		incomplete += !m.complete;
		if (verbose)
			printf("  %-28s %9llu schedules  %5u steps  %s\n", s.name,
			       (unsigned long long)m.schedules, m.deepest, how);
		fflush(stdout);
	}
	printf("%zu scenarios, %llu schedules (%llu of them seen before), %llu steps, %u incomplete\n",
	       ARRAY_SIZE(scenarios), (unsigned long long)schedules, (unsigned long long)redundant,
	       (unsigned long long)steps, incomplete);
	printf("%zu passed, %u failed\n", ARRAY_SIZE(scenarios) - incomplete, incomplete);
	return incomplete != 0;
}
