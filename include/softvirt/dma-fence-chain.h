/* SPDX-License-Identifier: MIT */
/*
 * Fences one behind the other, each with a point on a timeline: a link is signalled when
 * its own fence and all links before it are.
 */
#ifndef SOFTVIRT_DMA_FENCE_CHAIN_H
#define SOFTVIRT_DMA_FENCE_CHAIN_H

#include "softvirt/dma-fence.h"

#pragma GCC visibility push(default)

struct dma_fence_chain {
	struct dma_fence base;
	struct dma_fence __rcu *prev;	/* shrinks as links before it signal */
	u64 prev_seqno;			/* of the link before, at the beginning */
	struct dma_fence *fence;
	union {
		struct dma_fence_cb cb;	/* until it fires, */
		struct {		/* then these */
			struct irq_work work;
			struct dma_fence *fired;
		};
	};
	spinlock_t lock;
};

static inline struct dma_fence_chain *to_dma_fence_chain(struct dma_fence *fence)
{
	if (!fence || !dma_fence_is_chain(fence))
		return NULL;
	return container_of(fence, struct dma_fence_chain, base);
}

/* A link's own fence; any other fence itself. */
static inline struct dma_fence *dma_fence_chain_contained(struct dma_fence *fence)
{
	struct dma_fence_chain *chain = to_dma_fence_chain(fence);

	return chain ? chain->fence : fence;
}

static inline struct dma_fence_chain *dma_fence_chain_alloc(void)
{
	return (struct dma_fence_chain *)sv_alloc(sizeof(struct dma_fence_chain));
}

/* Only of one that was never initialised. */
static inline void dma_fence_chain_free(struct dma_fence_chain *chain)
{
	sv_free(chain);
}

/* iter holds a reference; one that leaves the loop early puts it. */
#define dma_fence_chain_for_each(iter, head) \
	for (iter = dma_fence_get(head); iter; iter = dma_fence_chain_walk(iter))

/* Puts fence and returns the link before it, with a reference; drops signalled ones. */
struct dma_fence *dma_fence_chain_walk(struct dma_fence *fence);
/*
 * Replaces *pfence by the link to wait for so that point seqno is reached, NULL when all of
 * it has signalled. -EINVAL: the chain does not reach that far; *pfence is unchanged.
 */
int dma_fence_chain_find_seqno(struct dma_fence **pfence, u64 seqno);
/* Takes over the references to prev (may be NULL) and fence. */
void dma_fence_chain_init(struct dma_fence_chain *chain, struct dma_fence *prev,
			  struct dma_fence *fence, u64 seqno);

#pragma GCC visibility pop

#endif
