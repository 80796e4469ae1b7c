/* SPDX-License-Identifier: MIT */
/*
 * Whether a reservation's buffer may be read or written by the CPU, at any moment: see
 * watch.h.
 *
 * Model. There are two ways of being ready: for reading, when no fence up to WRITE is
 * unsignalled, and for writing, when none up to READ is. A way that is not ready is armed: it
 * has a callback at one fence that is unsignalled. When that one signals, the way looks for
 * another; if there is none it is ready. A fence that is filed meanwhile makes the ways that
 * are ready look again. Nothing is allocated.
 *
 * Invariant, whenever lock is free and no work is queued: a way is armed exactly if it is not
 * shown as ready, and there is no unsignalled fence of its classes that all of these overlook:
 * who files a fence tells us afterwards, under the reservation lock, under which we began.
 *
 * Lives as long as somebody has a reference: the owner until _end(), each armed way until its
 * work has run or its callback was taken back; and then until a grace period is over, because
 * a filer may be on its way to us.
 *
 * Locks: reservation lock, then lock, then fence locks. lock is a spinlock: what a fence's
 * callbacks defer waits until we have let go of it.
 */
#include "dmabuf/watch.h"

static const struct {
	enum dma_resv_usage usage;
	unsigned int bit;
} ways[2] = {
	{ DMA_RESV_USAGE_WRITE, DMA_READY_READ },
	{ DMA_RESV_USAGE_READ, DMA_READY_WRITE },
};

static void free_rcu_fn(struct rcu_head *rcu)
{
	struct dma_resv_readiness *r = container_of(rcu, struct dma_resv_readiness, rcu);

	r->free(r);
}

static void put(struct dma_resv_readiness *r)
{
	if (refcount_dec_and_test(&r->refs))
		call_rcu(&r->rcu, free_rcu_fn);
}

static void way_signalled(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	irq_work_queue(&container_of(cb, struct dma_resv_readiness_way, cb)->work);
}

/* Finds a fence to wait for; false: there is none. lock held. */
static bool way_arm(struct dma_resv_readiness *r, unsigned int i)
{
	struct dma_resv_readiness_way *way = &r->way[i];
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_iter_begin(&cursor, r->resv, ways[i].usage);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (dma_fence_add_callback(fence, &way->cb, way_signalled))
			continue;
		way->fence = dma_fence_get(fence);
		refcount_inc(&r->refs);
		break;
	}
	dma_resv_iter_end(&cursor);
	return way->fence;
}

/* lock held. */
static void look(struct dma_resv_readiness *r)
{
	unsigned int ready = 0;

	if (r->dead)
		return;
	for (unsigned int i = 0; i < 2; i++)
		if (!r->way[i].fence && !way_arm(r, i))
			ready |= ways[i].bit;
	if (ready == r->ready && r->started)
		return;
	r->started = true;
	r->ready = ready;
	r->show(r, ready);
}

static void way_work(struct irq_work *work)
{
	struct dma_resv_readiness_way *way = container_of(work, struct dma_resv_readiness_way, work);
	struct dma_resv_readiness *r = way->r;
	struct dma_fence *fence;

	spin_lock(&r->lock);
	fence = way->fence;
	way->fence = NULL;
	look(r);
	spin_unlock(&r->lock);
	dma_fence_put(fence);
	put(r);
}

static void fence_added(struct dma_resv_watch *w, struct dma_fence *fence,
			enum dma_resv_usage usage)
{
	struct dma_resv_readiness *r = container_of(w, struct dma_resv_readiness, watch);

	struct dma_fence *replaced[2] = { NULL };

	if (usage > DMA_RESV_USAGE_READ)
		return;
	spin_lock(&r->lock);
	for (unsigned int i = 0; i < 2 && !r->dead; i++) {
		struct dma_resv_readiness_way *way = &r->way[i];

		/* It may have taken the place of the one we wait for, which may never signal. */
		if (way->fence && way->fence != fence && way->fence->context == fence->context &&
		    dma_fence_remove_callback(way->fence, &way->cb)) {
			replaced[i] = way->fence;
			way->fence = NULL;
		}
	}
	look(r);
	spin_unlock(&r->lock);
	for (unsigned int i = 0; i < 2; i++) {
		if (replaced[i]) {
			dma_fence_put(replaced[i]);
			put(r);
		}
	}
}

void dma_resv_readiness_begin(struct dma_resv_readiness *r, struct dma_resv *resv)
{
	r->watch.added = fence_added;
	r->resv = resv;
	refcount_set(&r->refs, 1);
	spin_lock_init(&r->lock);
	r->started = r->dead = false;
	for (unsigned int i = 0; i < 2; i++) {
		r->way[i].r = r;
		r->way[i].fence = NULL;
		init_irq_work(&r->way[i].work, way_work);
	}
	dma_resv_lock(resv, NULL);
	dma_resv_watch_add(resv, &r->watch);
	spin_lock(&r->lock);
	look(r);
	spin_unlock(&r->lock);
	dma_resv_unlock(resv);
}

void dma_resv_readiness_end(struct dma_resv_readiness *r)
{
	struct dma_fence *fences[2] = { NULL };

	dma_resv_watch_del(r->resv, &r->watch);
	spin_lock(&r->lock);
	r->dead = true;
	for (unsigned int i = 0; i < 2; i++) {
		struct dma_resv_readiness_way *way = &r->way[i];

		/* False: its work is on its way and drops what it holds. */
		if (way->fence && dma_fence_remove_callback(way->fence, &way->cb)) {
			fences[i] = way->fence;
			way->fence = NULL;
		}
	}
	spin_unlock(&r->lock);
	for (unsigned int i = 0; i < 2; i++) {
		if (fences[i]) {
			dma_fence_put(fences[i]);
			put(r);
		}
	}
	put(r);
}
