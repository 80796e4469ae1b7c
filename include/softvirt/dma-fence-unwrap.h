/* SPDX-License-Identifier: MIT */
/* Through chains of arrays to the fences inside, and back: several fences merged into one. */
#ifndef SOFTVIRT_DMA_FENCE_UNWRAP_H
#define SOFTVIRT_DMA_FENCE_UNWRAP_H

#include "softvirt/dma-fence.h"

#pragma GCC visibility push(default)

struct dma_fence_unwrap {
	struct dma_fence *chain;	/* the link we are in, with a reference */
	struct dma_fence *array;	/* what it contains */
	unsigned int index;
};

struct dma_fence *dma_fence_unwrap_first(struct dma_fence *head, struct dma_fence_unwrap *cursor);
struct dma_fence *dma_fence_unwrap_next(struct dma_fence_unwrap *cursor);

/*
 * The fences seen are borrowed, valid until the next step. Who leaves the loop early puts
 * cursor->chain.
 */
#define dma_fence_unwrap_for_each(fence, cursor, head) \
	for (fence = dma_fence_unwrap_first(head, cursor); fence; \
	     fence = dma_fence_unwrap_next(cursor))

struct dma_fence *__dma_fence_unwrap_merge(unsigned int num_fences, struct dma_fence **fences,
					   struct dma_fence_unwrap *cursors);
/* Sorts by context, keeps the latest of each; returns how many are left (the others are put). */
int dma_fence_dedup_array(struct dma_fence **fences, int num_fences);

/*
 * One fence that is signalled when all of these are: signalled ones are left out, of each
 * context only the latest stays. A new reference; NULL: no memory.
 */
#define dma_fence_unwrap_merge(...) ({ \
	struct dma_fence *__f[] = { __VA_ARGS__ }; \
	struct dma_fence_unwrap __c[ARRAY_SIZE(__f)]; \
	__dma_fence_unwrap_merge(ARRAY_SIZE(__f), __f, __c); })

#pragma GCC visibility pop

#endif
