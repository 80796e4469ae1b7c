/* SPDX-License-Identifier: MIT */
/*
 * dma_fence_array: several fences as one.
 *
 * Model. Nothing happens until somebody enables signalling. Then the array has one callback
 * on each fence that is not signalled yet, and each of these holds one reference to the
 * array. num_pending counts down to the signal; it starts at 1 for "any", else at
 * num_fences. The error is the first one that a member signalled with: PENDING_ERROR until
 * one is known.
 *
 * A callback runs under a member's lock, where neither our signal nor a put, which could
 * release other members that share the lock, may happen: both are deferred work.
 */
#include "softvirt/dma-fence-array.h"

#define PENDING_ERROR 1		/* no member failed so far */

static const char *array_driver_name(struct dma_fence *fence)
{
	return "dma_fence_array";
}

static const char *array_timeline_name(struct dma_fence *fence)
{
	return "unbound";
}

static void array_set_pending_error(struct dma_fence_array *array, int error)
{
	/* The first error wins; anything below zero is an error. */
	if (error)
		cmpxchg(&array->base.error, PENDING_ERROR, error);
}

static void array_clear_pending_error(struct dma_fence_array *array)
{
	cmpxchg(&array->base.error, PENDING_ERROR, 0);
}

static void array_work(struct irq_work *work)
{
	struct dma_fence_array *array = container_of(work, struct dma_fence_array, work);

	array_clear_pending_error(array);
	dma_fence_signal(&array->base);
	dma_fence_put(&array->base);
}

static void array_put_work(struct irq_work *work)
{
	dma_fence_put(&container_of(work, struct dma_fence_array_cb, work)->array->base);
}

static void array_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct dma_fence_array_cb *acb = container_of(cb, struct dma_fence_array_cb, cb);
	struct dma_fence_array *array = acb->array;

	array_set_pending_error(array, fence->error);
	if (atomic_dec_and_test(&array->num_pending)) {
		irq_work_queue(&array->work);
	} else {
		init_irq_work(&acb->work, array_put_work);
		irq_work_queue(&acb->work);
	}
}

static bool array_enable_signaling(struct dma_fence *fence)
{
	struct dma_fence_array *array = to_dma_fence_array(fence);

	for (unsigned int i = 0; i < array->num_fences; i++) {
		struct dma_fence_array_cb *cb = &array->callbacks[i];

		cb->array = array;
		/* The callback's reference. Whoever enables signalling holds one more. */
		dma_fence_get(&array->base);
		if (!dma_fence_add_callback(array->fences[i], &cb->cb, array_cb))
			continue;
		array_set_pending_error(array, array->fences[i]->error);
		dma_fence_put(&array->base);
		if (atomic_dec_and_test(&array->num_pending)) {
			array_clear_pending_error(array);
			return false;
		}
	}
	return true;
}

static bool array_signaled(struct dma_fence *fence)
{
	struct dma_fence_array *array = to_dma_fence_array(fence);
	int num_pending;

	/*
	 * While the members are watched, the callbacks count. Before that, look at them: for
	 * "any" one is enough. The enable bit is set before the first callback is added, so
	 * the count is read second.
	 */
	if (test_bit(DMA_FENCE_FLAG_ENABLE_SIGNAL_BIT, &array->base.flags)) {
		num_pending = atomic_read(&array->num_pending);
		if (num_pending <= 0)
			goto signaled;
		return false;
	}
	num_pending = atomic_read(&array->num_pending);
	for (unsigned int i = 0; i < array->num_fences; i++) {
		if (!dma_fence_is_signaled(array->fences[i]))
			continue;
		array_set_pending_error(array, array->fences[i]->error);
		if (!--num_pending)
			goto signaled;
	}
	return false;
signaled:
	array_clear_pending_error(array);
	return true;
}

static void array_release(struct dma_fence *fence)
{
	struct dma_fence_array *array = to_dma_fence_array(fence);

	for (unsigned int i = 0; i < array->num_fences; i++)
		dma_fence_put(array->fences[i]);
	sv_free(array->fences);
	dma_fence_free(fence);
}

static void array_set_deadline(struct dma_fence *fence, ktime_t deadline)
{
	struct dma_fence_array *array = to_dma_fence_array(fence);

	for (unsigned int i = 0; i < array->num_fences; i++)
		dma_fence_set_deadline(array->fences[i], deadline);
}

const struct dma_fence_ops dma_fence_array_ops = {
	.get_driver_name = array_driver_name,
	.get_timeline_name = array_timeline_name,
	.enable_signaling = array_enable_signaling,
	.signaled = array_signaled,
	.release = array_release,
	.set_deadline = array_set_deadline,
};

struct dma_fence_array *dma_fence_array_alloc(int num_fences)
{
	struct dma_fence_array *array;

	if (WARN_ON(num_fences <= 0))
		return NULL;
	array = sv_zalloc(sizeof(*array) + (size_t)num_fences * sizeof(array->callbacks[0]));
	if (array)
		array->num_fences = (unsigned int)num_fences;
	return array;
}

void dma_fence_array_init(struct dma_fence_array *array, int num_fences,
			  struct dma_fence **fences, u64 context, unsigned int seqno,
			  bool signal_on_any)
{
	array->num_fences = (unsigned int)num_fences;
	spin_lock_init(&array->lock);
	dma_fence_init(&array->base, &dma_fence_array_ops, &array->lock, context, seqno);
	init_irq_work(&array->work, array_work);
	atomic_set(&array->num_pending, signal_on_any ? 1 : num_fences);
	array->fences = fences;
	array->base.error = PENDING_ERROR;
	/*
	 * A container in a container lets lock nesting grow with the depth; callers unwrap
	 * first (dma_fence_unwrap_merge).
	 */
	for (int i = 0; i < num_fences; i++)
		WARN_ON(dma_fence_is_container(fences[i]));
}

struct dma_fence_array *dma_fence_array_create(int num_fences, struct dma_fence **fences,
					       u64 context, unsigned int seqno,
					       bool signal_on_any)
{
	struct dma_fence_array *array = dma_fence_array_alloc(num_fences);

	if (array)
		dma_fence_array_init(array, num_fences, fences, context, seqno, signal_on_any);
	return array;
}

bool dma_fence_match_context(struct dma_fence *fence, u64 context)
{
	struct dma_fence_array *array = to_dma_fence_array(fence);

	if (!array)
		return fence->context == context;
	for (unsigned int i = 0; i < array->num_fences; i++)
		if (array->fences[i]->context != context)
			return false;
	return true;
}

struct dma_fence *dma_fence_array_first(struct dma_fence *head)
{
	struct dma_fence_array *array = to_dma_fence_array(head);

	if (!array)
		return head;
	return array->num_fences ? array->fences[0] : NULL;
}

struct dma_fence *dma_fence_array_next(struct dma_fence *head, unsigned int index)
{
	struct dma_fence_array *array = to_dma_fence_array(head);

	if (!array || index >= array->num_fences)
		return NULL;
	return array->fences[index];
}
