/* SPDX-License-Identifier: MIT */
/*
 * dma_fence_chain: a timeline, link behind link.
 *
 * Model. A link owns its fence and, through prev, the rest of the chain. prev is replaced
 * by compare-and-exchange only, and only by what comes after signalled links: whoever walks
 * the chain takes them out. Readers of prev are in RCU read sections, since the link they
 * stand on may lose its own prev at any time.
 *
 * A link is signalled when its fence and all before are. It watches one unsignalled fence
 * at a time: when that one signals, work (outside of its lock) looks for the next.
 *
 * Chains get long: nothing here recurses from link to link.
 */
#include "softvirt/dma-fence-chain.h"

static bool chain_enable_signaling(struct dma_fence *fence);

/* A reference to the link before, or NULL. */
static struct dma_fence *chain_get_prev(struct dma_fence_chain *chain)
{
	struct dma_fence *prev;

	rcu_read_lock();
	prev = dma_fence_get_rcu_safe(&chain->prev);
	rcu_read_unlock();
	return prev;
}

struct dma_fence *dma_fence_chain_walk(struct dma_fence *fence)
{
	struct dma_fence_chain *chain = to_dma_fence_chain(fence);
	struct dma_fence *prev = NULL;

	if (!chain)
		goto out;
	while ((prev = chain_get_prev(chain))) {
		struct dma_fence_chain *link = to_dma_fence_chain(prev);
		struct dma_fence *next = NULL;

		if (!dma_fence_is_signaled(dma_fence_chain_contained(prev)))
			break;
		if (link)
			next = chain_get_prev(link);
		/* Ours or somebody else's replacement: in both cases look again. */
		SV_POINT(&chain->prev, true);
		if (cmpxchg(&chain->prev, prev, next) == prev)
			dma_fence_put(prev);	/* the chain's reference */
		else
			dma_fence_put(next);
		dma_fence_put(prev);
	}
out:
	dma_fence_put(fence);
	return prev;
}

int dma_fence_chain_find_seqno(struct dma_fence **pfence, u64 seqno)
{
	struct dma_fence_chain *chain = to_dma_fence_chain(*pfence);
	struct dma_fence *head = *pfence;

	if (!seqno)
		return 0;
	if (!chain || chain->base.seqno < seqno)
		return -EINVAL;
	dma_fence_chain_for_each(*pfence, head) {
		/* The first link whose predecessor is too early brings us to seqno. */
		if ((*pfence)->context != head->context ||
		    to_dma_fence_chain(*pfence)->prev_seqno < seqno)
			break;
	}
	dma_fence_put(head);
	return 0;
}

static const char *chain_driver_name(struct dma_fence *fence)
{
	return "dma_fence_chain";
}

static const char *chain_timeline_name(struct dma_fence *fence)
{
	return "unbound";
}

static void chain_work(struct irq_work *work)
{
	struct dma_fence_chain *chain = container_of(work, struct dma_fence_chain, work);

	/* cb takes work's place again in what follows. */
	dma_fence_put(chain->fired);
	if (!chain_enable_signaling(&chain->base))
		dma_fence_signal(&chain->base);
	dma_fence_put(&chain->base);
}

static void chain_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct dma_fence_chain *chain = container_of(cb, struct dma_fence_chain, cb);

	init_irq_work(&chain->work, chain_work);
	chain->fired = fence;
	irq_work_queue(&chain->work);
}

static bool chain_enable_signaling(struct dma_fence *fence)
{
	struct dma_fence_chain *head = to_dma_fence_chain(fence);
	struct dma_fence *iter;

	/* The callback keeps us and what it waits for. */
	dma_fence_get(&head->base);
	dma_fence_chain_for_each(iter, &head->base) {
		struct dma_fence *f = dma_fence_get(dma_fence_chain_contained(iter));

		if (!dma_fence_add_callback(f, &head->cb, chain_cb)) {
			dma_fence_put(iter);
			return true;
		}
		dma_fence_put(f);
	}
	dma_fence_put(&head->base);
	return false;
}

static bool chain_signaled(struct dma_fence *fence)
{
	struct dma_fence *iter;

	dma_fence_chain_for_each(iter, fence) {
		if (!dma_fence_is_signaled(dma_fence_chain_contained(iter))) {
			dma_fence_put(iter);
			return false;
		}
	}
	return true;
}

static void chain_release(struct dma_fence *fence)
{
	struct dma_fence_chain *chain = to_dma_fence_chain(fence);
	struct dma_fence *prev;

	/*
	 * Links that only this one holds are taken out one by one: the put of a whole chain
	 * would recurse once for each of them.
	 */
	while ((prev = rcu_dereference_protected(chain->prev, true))) {
		struct dma_fence_chain *link = to_dma_fence_chain(prev);

		if (!link || smp_load_acquire(&prev->refcount.refcount.refs) > 1)
			break;
		rcu_assign_pointer(chain->prev, rcu_dereference_protected(link->prev, true));
		RCU_INIT_POINTER(link->prev, NULL);
		dma_fence_put(prev);
	}
	dma_fence_put(prev);
	dma_fence_put(chain->fence);
	dma_fence_free(fence);
}

static void chain_set_deadline(struct dma_fence *fence, ktime_t deadline)
{
	struct dma_fence *iter;

	dma_fence_chain_for_each(iter, fence)
		dma_fence_set_deadline(dma_fence_chain_contained(iter), deadline);
}

const struct dma_fence_ops dma_fence_chain_ops = {
	.use_64bit_seqno = true,
	.get_driver_name = chain_driver_name,
	.get_timeline_name = chain_timeline_name,
	.enable_signaling = chain_enable_signaling,
	.signaled = chain_signaled,
	.release = chain_release,
	.set_deadline = chain_set_deadline,
};

void dma_fence_chain_init(struct dma_fence_chain *chain, struct dma_fence *prev,
			  struct dma_fence *fence, u64 seqno)
{
	struct dma_fence_chain *prev_chain = to_dma_fence_chain(prev);
	u64 context;

	/* A chain inside of a link would let recursion grow with the nesting. */
	WARN_ON(dma_fence_is_chain(fence));
	spin_lock_init(&chain->lock);
	RCU_INIT_POINTER(chain->prev, prev);
	chain->fence = fence;
	chain->prev_seqno = 0;
	if (prev_chain && __dma_fence_is_later(prev, seqno, prev->seqno)) {
		context = prev->context;
		chain->prev_seqno = prev->seqno;
	} else {
		/* Another timeline begins; its points must not lie before what it contains. */
		context = dma_fence_context_alloc(1);
		if (prev_chain)
			seqno = max(prev->seqno, seqno);
	}
	dma_fence_init64(&chain->base, &dma_fence_chain_ops, &chain->lock, context, seqno);
}
