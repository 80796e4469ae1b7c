/* SPDX-License-Identifier: MIT */
/* Several fences as one: signalled when all of them are, or when the first of them is. */
#ifndef SOFTVIRT_DMA_FENCE_ARRAY_H
#define SOFTVIRT_DMA_FENCE_ARRAY_H

#include "softvirt/dma-fence.h"

#pragma GCC visibility push(default)

struct dma_fence_array_cb {
	union {
		struct dma_fence_cb cb;		/* until it fires, */
		struct irq_work work;		/* then the put of its reference */
	};
	struct dma_fence_array *array;
};

struct dma_fence_array {
	struct dma_fence base;
	spinlock_t lock;
	unsigned int num_fences;
	atomic_t num_pending;
	struct dma_fence **fences;	/* freed with the array, each with one reference */
	struct irq_work work;
	struct dma_fence_array_cb callbacks[];
};

static inline struct dma_fence_array *to_dma_fence_array(struct dma_fence *fence)
{
	if (!fence || !dma_fence_is_array(fence))
		return NULL;
	return container_of(fence, struct dma_fence_array, base);
}

/* Over an array's fences, or over the one fence that is no array. No references are taken. */
#define dma_fence_array_for_each(fence, index, head) \
	for (index = 0, fence = dma_fence_array_first(head); fence; \
	     ++(index), fence = dma_fence_array_next(head, index))

struct dma_fence_array *dma_fence_array_alloc(int num_fences);
void dma_fence_array_init(struct dma_fence_array *array, int num_fences,
			  struct dma_fence **fences, u64 context, unsigned int seqno,
			  bool signal_on_any);
/* Takes over the sv_alloc()ed vector and a reference of each fence in it; NULL: takes nothing. */
struct dma_fence_array *dma_fence_array_create(int num_fences, struct dma_fence **fences,
					       u64 context, unsigned int seqno,
					       bool signal_on_any);
bool dma_fence_match_context(struct dma_fence *fence, u64 context);
struct dma_fence *dma_fence_array_first(struct dma_fence *head);
struct dma_fence *dma_fence_array_next(struct dma_fence *head, unsigned int index);

#pragma GCC visibility pop

#endif
