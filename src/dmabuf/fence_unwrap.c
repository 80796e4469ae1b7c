/* SPDX-License-Identifier: MIT */
/*
 * Iterating through containers, and merging fences into one. A cursor holds a reference to
 * the chain link it is in; a link holds its array, the array its fences.
 */
#include "softvirt/dma-fence-unwrap.h"

#include <stdlib.h>

#include "softvirt/dma-fence-array.h"
#include "softvirt/dma-fence-chain.h"

static struct dma_fence *unwrap_link(struct dma_fence_unwrap *cursor)
{
	struct dma_fence *fence;

	while (cursor->chain) {
		cursor->array = dma_fence_chain_contained(cursor->chain);
		cursor->index = 0;
		fence = dma_fence_array_first(cursor->array);
		if (fence)
			return fence;
		cursor->chain = dma_fence_chain_walk(cursor->chain);
	}
	return NULL;
}

struct dma_fence *dma_fence_unwrap_first(struct dma_fence *head, struct dma_fence_unwrap *cursor)
{
	cursor->chain = dma_fence_get(head);
	return unwrap_link(cursor);
}

struct dma_fence *dma_fence_unwrap_next(struct dma_fence_unwrap *cursor)
{
	struct dma_fence *fence = dma_fence_array_next(cursor->array, ++cursor->index);

	if (fence)
		return fence;
	cursor->chain = dma_fence_chain_walk(cursor->chain);
	return unwrap_link(cursor);
}

/* By context; within one the latest first. */
static int fence_compare(const void *a, const void *b)
{
	struct dma_fence *f1 = *(struct dma_fence *const *)a;
	struct dma_fence *f2 = *(struct dma_fence *const *)b;

	if (f1->context != f2->context)
		return f1->context < f2->context ? -1 : 1;
	if (f1 == f2 || f1->seqno == f2->seqno)
		return 0;
	return __dma_fence_is_later(f1, f1->seqno, f2->seqno) ? -1 : 1;
}

int dma_fence_dedup_array(struct dma_fence **fences, int num_fences)
{
	int kept = 0;

	if (num_fences <= 1)
		return num_fences;
	qsort(fences, (size_t)num_fences, sizeof(*fences), fence_compare);
	for (int i = 1; i < num_fences; i++) {
		if (fences[i]->context == fences[kept]->context)
			dma_fence_put(fences[i]);
		else
			fences[++kept] = fences[i];
	}
	return kept + 1;
}

struct dma_fence *__dma_fence_unwrap_merge(unsigned int num_fences, struct dma_fence **fences,
					   struct dma_fence_unwrap *cursors)
{
	struct dma_fence *fence, *unsignaled = NULL, **list;
	struct dma_fence_array *result;
	ktime_t latest = 0;
	int room = 0, count = 0;

	for (unsigned int i = 0; i < num_fences; i++) {
		dma_fence_unwrap_for_each(fence, &cursors[i], fences[i]) {
			if (dma_fence_is_signaled(fence)) {
				latest = max(latest, dma_fence_timestamp(fence));
				continue;
			}
			dma_fence_put(unsignaled);
			unsignaled = dma_fence_get(fence);
			room++;
		}
	}
	/* All done: a signalled fence that says when. */
	if (!room)
		return dma_fence_allocate_private_stub(latest ? latest : ktime_get());
	if (room == 1)
		return unsignaled;
	dma_fence_put(unsignaled);

	list = sv_calloc((size_t)room, sizeof(*list));
	if (!list)
		return NULL;
	for (unsigned int i = 0; i < num_fences; i++) {
		dma_fence_unwrap_for_each(fence, &cursors[i], fences[i]) {
			if (dma_fence_is_signaled(fence)) {
				latest = max(latest, dma_fence_timestamp(fence));
				continue;
			}
			/* There are no more than before: fences signal, they don't appear. */
			if (!WARN_ON(count == room))
				list[count++] = dma_fence_get(fence);
		}
	}
	count = dma_fence_dedup_array(list, count);
	if (count <= 1) {
		fence = count ? list[0] :
			dma_fence_allocate_private_stub(latest ? latest : ktime_get());
		sv_free(list);
		return fence;
	}
	result = dma_fence_array_create(count, list, dma_fence_context_alloc(1), 1, false);
	if (!result) {
		while (count)
			dma_fence_put(list[--count]);
		sv_free(list);
		return NULL;
	}
	return &result->base;
}
