/* SPDX-License-Identifier: MIT */
/*
 * dma_fence: see softvirt/dma-fence.h for the rules.
 *
 * Model. flags' SIGNALED bit goes from 0 to 1 once, under fence->lock. Whoever sets it
 * takes the list of callbacks away, writes the timestamp into the same place, sets
 * TIMESTAMP and runs the callbacks, all under the lock. Readers look at SIGNALED without a
 * lock (acquire), and wait for TIMESTAMP before they read the time.
 *
 * ENABLE_SIGNAL is set under the lock before ops->enable_signaling is asked, once.
 *
 * Invariants: a callback is on the list or has run or was removed, never two of these; an
 * add_callback that returned 0 is followed by the callback; after remove_callback returns,
 * the callback is not running.
 *
 * Locks: fence->lock, then a waiter's own mutex. A fence's lock may be shared with other
 * fences (a timeline's), so nothing here drops a reference under it.
 */
#include "base/intr.h"
#include "softvirt/dma-fence.h"

#include <stdio.h>

#include "base/log.h"

#define NS_PER_JIFFY (1000000000ll / HZ)

static atomic64_t next_context = { 1 };

u64 dma_fence_context_alloc(unsigned int num)
{
	WARN_ON(!num);
	return (u64)atomic64_add_return(num, &next_context) - num;
}

static void fence_init(struct dma_fence *fence, const struct dma_fence_ops *ops,
		       spinlock_t *lock, u64 context, u64 seqno, unsigned long flags)
{
	WARN_ON(!ops->get_driver_name || !ops->get_timeline_name);
	kref_init(&fence->refcount);
	fence->ops = ops;
	INIT_LIST_HEAD(&fence->cb_list);
	spin_lock_init(&fence->inline_lock);
	fence->lock = lock ? lock : &fence->inline_lock;
	fence->context = context;
	fence->seqno = seqno;
	fence->error = 0;
	WRITE_ONCE(fence->flags, flags);
}

void dma_fence_init(struct dma_fence *fence, const struct dma_fence_ops *ops, spinlock_t *lock,
		    u64 context, u64 seqno)
{
	fence_init(fence, ops, lock, context, seqno, 0);
}

void dma_fence_init64(struct dma_fence *fence, const struct dma_fence_ops *ops, spinlock_t *lock,
		      u64 context, u64 seqno)
{
	fence_init(fence, ops, lock, context, seqno, BIT(DMA_FENCE_FLAG_SEQNO64_BIT));
}

static void fence_free_rcu(struct rcu_head *rcu)
{
	sv_free(container_of(rcu, struct dma_fence, rcu));
}

void dma_fence_free(struct dma_fence *fence)
{
	call_rcu(&fence->rcu, fence_free_rcu);
}

void dma_fence_release(struct kref *kref)
{
	struct dma_fence *fence = container_of(kref, struct dma_fence, refcount);

	/*
	 * Nobody can signal it any more, but somebody waits. Waiters must not hang: they
	 * get an error, and whoever forgot to signal gets a message.
	 */
	if (!dma_fence_test_signaled_flag(fence) && !list_empty(&fence->cb_list)) {
		sv_warn("bug: fence %s/%s %llu:%llu released unsignalled with waiters",
			fence->ops->get_driver_name(fence), fence->ops->get_timeline_name(fence),
			(unsigned long long)fence->context, (unsigned long long)fence->seqno);
		spin_lock(fence->lock);
		fence->error = -EDEADLK;
		dma_fence_signal_locked(fence);
		spin_unlock(fence->lock);
	}
	if (fence->ops->release)
		fence->ops->release(fence);
	else
		dma_fence_free(fence);
}

int dma_fence_signal_timestamp_locked(struct dma_fence *fence, ktime_t timestamp)
{
	struct dma_fence_cb *cb, *next;
	struct list_head list;

	if (test_and_set_bit(DMA_FENCE_FLAG_SIGNALED_BIT, &fence->flags))
		return -EINVAL;

	/* The timestamp lies where the list was. */
	list_replace(&fence->cb_list, &list);
	WRITE_ONCE(fence->timestamp, timestamp);
	set_bit(DMA_FENCE_FLAG_TIMESTAMP_BIT, &fence->flags);

	list_for_each_entry_safe(cb, next, &list, node) {
		INIT_LIST_HEAD(&cb->node);
		cb->func(fence, cb);
	}
	return 0;
}

int dma_fence_signal_locked(struct dma_fence *fence)
{
	return dma_fence_signal_timestamp_locked(fence, ktime_get());
}

int dma_fence_signal_timestamp(struct dma_fence *fence, ktime_t timestamp)
{
	int ret;

	if (WARN_ON(!fence))
		return -EINVAL;
	spin_lock(fence->lock);
	ret = dma_fence_signal_timestamp_locked(fence, timestamp);
	spin_unlock(fence->lock);
	return ret;
}

int dma_fence_signal(struct dma_fence *fence)
{
	return dma_fence_signal_timestamp(fence, ktime_get());
}

bool dma_fence_check_and_signal_locked(struct dma_fence *fence)
{
	return dma_fence_signal_locked(fence) != 0;
}

bool dma_fence_check_and_signal(struct dma_fence *fence)
{
	return dma_fence_signal(fence) != 0;
}

/* False: it is signalled. fence->lock held. */
static bool fence_enable_signaling(struct dma_fence *fence)
{
	bool was_set;

	if (dma_fence_test_signaled_flag(fence))
		return false;
	was_set = test_and_set_bit(DMA_FENCE_FLAG_ENABLE_SIGNAL_BIT, &fence->flags);
	if (!was_set && fence->ops->enable_signaling && !fence->ops->enable_signaling(fence)) {
		dma_fence_signal_locked(fence);
		return false;
	}
	return true;
}

void dma_fence_enable_sw_signaling(struct dma_fence *fence)
{
	if (dma_fence_test_signaled_flag(fence))
		return;
	spin_lock(fence->lock);
	fence_enable_signaling(fence);
	spin_unlock(fence->lock);
}

int dma_fence_add_callback(struct dma_fence *fence, struct dma_fence_cb *cb, dma_fence_func_t func)
{
	int ret = 0;

	if (WARN_ON(!fence || !func))
		return -EINVAL;
	cb->func = func;
	INIT_LIST_HEAD(&cb->node);
	if (dma_fence_test_signaled_flag(fence))
		return -ENOENT;
	spin_lock(fence->lock);
	if (fence_enable_signaling(fence))
		list_add_tail(&cb->node, &fence->cb_list);
	else
		ret = -ENOENT;
	spin_unlock(fence->lock);
	return ret;
}

bool dma_fence_remove_callback(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	bool pending;

	spin_lock(fence->lock);
	pending = !list_empty(&cb->node);
	if (pending)
		list_del_init(&cb->node);
	spin_unlock(fence->lock);
	return pending;
}

int dma_fence_get_status(struct dma_fence *fence)
{
	int status;

	spin_lock(fence->lock);
	status = dma_fence_get_status_locked(fence);
	spin_unlock(fence->lock);
	return status;
}

ktime_t dma_fence_timestamp(struct dma_fence *fence)
{
	if (WARN_ON(!dma_fence_test_signaled_flag(fence)))
		return ktime_get();
	if (!test_bit(DMA_FENCE_FLAG_TIMESTAMP_BIT, &fence->flags)) {
		/* The signaller is between two stores, with the lock held. */
		spin_lock(fence->lock);
		spin_unlock(fence->lock);
	}
	return READ_ONCE(fence->timestamp);
}

/*
 * A sleeping thread. done is written under m by the last callback that matters, and m is
 * the last thing that callback touches: a waiter that saw done may be gone at once.
 */
struct fence_waiter {
	struct sv_mutex m;
	struct sv_cond c;
	bool done;
	int intr_fd;		/* an interruptible sleeper's, or -1 */
};

struct fence_waiter_cb {
	struct dma_fence_cb base;
	struct fence_waiter *w;
};

static void waiter_wake(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct fence_waiter *w = container_of(cb, struct fence_waiter_cb, base)->w;

	sv_mutex_lock(&w->m);
	w->done = true;
	sv_cond_signal(&w->c);
	if (w->intr_fd >= 0)
		sv_intr_wake(w->intr_fd);
	sv_mutex_unlock(&w->m);
}

static void waiter_init(struct fence_waiter *w)
{
	sv_mutex_init(&w->m);
	sv_cond_init(&w->c);
	w->done = false;
	w->intr_fd = -1;
}

static bool waiter_sleep(struct fence_waiter *w, u64 deadline_ns)
{
	bool done;

	sv_mutex_lock(&w->m);
	while (!w->done)
		if (sv_cond_wait_until(&w->c, &w->m, deadline_ns))
			break;
	done = w->done;
	sv_mutex_unlock(&w->m);
	return done;
}

/* The same until a signal. 0 done, -ETIMEDOUT, -ERESTARTSYS. */
static int waiter_sleep_intr(struct fence_waiter *w, u64 deadline_ns)
{
	int fd = sv_intr_open(), err = 0;

	if (fd < 0)
		return waiter_sleep(w, deadline_ns) ? 0 : -ETIMEDOUT;
	sv_mutex_lock(&w->m);
	if (!w->done) {
		w->intr_fd = fd;
		sv_mutex_unlock(&w->m);
		err = sv_intr_sleep(fd, deadline_ns);
		sv_mutex_lock(&w->m);
		w->intr_fd = -1;
	}
	if (w->done)
		err = 0;
	sv_mutex_unlock(&w->m);
	sv_intr_close(fd);
	return err == -EINTR ? -ERESTARTSYS : err;
}

/* 0, -ETIMEDOUT; intr: -ERESTARTSYS. */
static int wait_until(struct dma_fence *fence, bool intr, u64 deadline_ns)
{
	struct fence_waiter w;
	struct fence_waiter_cb cb = { .w = &w };
	int err;

	if (dma_fence_is_signaled(fence))
		return 0;
	waiter_init(&w);
	if (dma_fence_add_callback(fence, &cb.base, waiter_wake))
		return 0;
	if (intr)
		err = waiter_sleep_intr(&w, deadline_ns);
	else
		err = waiter_sleep(&w, deadline_ns) ? 0 : -ETIMEDOUT;
	if (!err)
		return 0;
	/* It came after all, or it must not come any more: w is on our stack. */
	return dma_fence_remove_callback(fence, &cb.base) ? err : 0;
}

int dma_fence_wait_until(struct dma_fence *fence, u64 deadline_ns)
{
	return wait_until(fence, false, deadline_ns);
}

static u64 timeout_to_deadline(signed long timeout)
{
	if (timeout == MAX_SCHEDULE_TIMEOUT || timeout > MAX_SCHEDULE_TIMEOUT / NS_PER_JIFFY / 2)
		return DMA_DEADLINE_NEVER;
	return (u64)(ktime_get() + timeout * NS_PER_JIFFY);
}

/* Jiffies left, at least 1: who waited successfully is told so by a number above 0. */
static signed long timeout_left(signed long timeout, u64 deadline_ns)
{
	s64 left;

	if (deadline_ns == DMA_DEADLINE_NEVER)
		return timeout;
	left = ((s64)deadline_ns - ktime_get()) / NS_PER_JIFFY;
	return left < 1 ? 1 : (signed long)left;
}

signed long dma_fence_default_wait(struct dma_fence *fence, bool intr, signed long timeout)
{
	u64 deadline = timeout_to_deadline(timeout);
	int err;

	if (dma_fence_test_signaled_flag(fence))
		return timeout ? timeout : 1;
	if (!timeout)
		return 0;
	err = wait_until(fence, intr, deadline);
	if (err)
		return err == -ETIMEDOUT ? 0 : err;
	return timeout_left(timeout, deadline);
}

signed long dma_fence_wait_timeout(struct dma_fence *fence, bool intr, signed long timeout)
{
	if (WARN_ON(timeout < 0))
		return -EINVAL;
	dma_fence_enable_sw_signaling(fence);
	if (fence->ops->wait)
		return fence->ops->wait(fence, intr, timeout);
	return dma_fence_default_wait(fence, intr, timeout);
}

static bool any_signaled(struct dma_fence **fences, u32 count, u32 *idx)
{
	for (u32 i = 0; i < count; i++) {
		if (!dma_fence_test_signaled_flag(fences[i]))
			continue;
		if (idx)
			*idx = i;
		return true;
	}
	return false;
}

signed long dma_fence_wait_any_timeout(struct dma_fence **fences, u32 count, bool intr,
				       signed long timeout, u32 *idx)
{
	u64 deadline = timeout_to_deadline(timeout);
	struct fence_waiter_cb *cbs;
	struct fence_waiter w;
	signed long ret = 0;
	u32 i;

	if (WARN_ON(!fences || !count || timeout < 0))
		return -EINVAL;
	if (!timeout) {
		for (i = 0; i < count; i++) {
			if (!dma_fence_is_signaled(fences[i]))
				continue;
			if (idx)
				*idx = i;
			return 1;
		}
		return 0;
	}
	cbs = sv_calloc(count, sizeof(*cbs));
	if (!cbs)
		return -ENOMEM;
	waiter_init(&w);
	for (i = 0; i < count; i++) {
		cbs[i].w = &w;
		if (dma_fence_add_callback(fences[i], &cbs[i].base, waiter_wake)) {
			/* This one is signalled: no need to ask the others. */
			if (idx)
				*idx = i;
			ret = timeout_left(timeout, deadline);
			break;
		}
	}
	if (i == count) {
		if (!intr)
			waiter_sleep(&w, deadline);
		else if (waiter_sleep_intr(&w, deadline) == -ERESTARTSYS)
			ret = -ERESTARTSYS;
		if (any_signaled(fences, count, idx))
			ret = timeout_left(timeout, deadline);
	}
	while (i-- > 0)
		dma_fence_remove_callback(fences[i], &cbs[i].base);
	sv_free(cbs);
	return ret;
}

void dma_fence_set_deadline(struct dma_fence *fence, ktime_t deadline)
{
	if (fence->ops->set_deadline && !dma_fence_is_signaled(fence))
		fence->ops->set_deadline(fence, deadline);
}

const char *dma_fence_driver_name(struct dma_fence *fence)
{
	/* The driver may be gone once its fence has signalled. */
	return dma_fence_test_signaled_flag(fence) ? "detached-driver" :
	       fence->ops->get_driver_name(fence);
}

const char *dma_fence_timeline_name(struct dma_fence *fence)
{
	return dma_fence_test_signaled_flag(fence) ? "signaled-timeline" :
	       fence->ops->get_timeline_name(fence);
}

void dma_fence_describe(struct dma_fence *fence, struct seq_file *seq)
{
	seq_printf(seq, "%s %s %llu:%llu %ssignalled", dma_fence_driver_name(fence),
		   dma_fence_timeline_name(fence), (unsigned long long)fence->context,
		   (unsigned long long)fence->seqno,
		   dma_fence_test_signaled_flag(fence) ? "" : "un");
}

static const char *stub_name(struct dma_fence *fence)
{
	return "stub";
}

static const struct dma_fence_ops stub_ops = {
	.get_driver_name = stub_name,
	.get_timeline_name = stub_name,
};

static struct dma_fence stub;
static struct sv_once stub_once = SV_ONCE_INIT;

static void stub_start(struct dma_fence *fence, ktime_t timestamp)
{
	dma_fence_init(fence, &stub_ops, NULL, 0, 0);
	set_bit(DMA_FENCE_FLAG_ENABLE_SIGNAL_BIT, &fence->flags);
	dma_fence_signal_timestamp(fence, timestamp);
}

static int stub_init(void)
{
	stub_start(&stub, ktime_get());
	return 0;
}

struct dma_fence *dma_fence_get_stub(void)
{
	(void)sv_once(&stub_once, stub_init);
	return dma_fence_get(&stub);
}

struct dma_fence *dma_fence_allocate_private_stub(ktime_t timestamp)
{
	struct dma_fence *fence = sv_alloc(sizeof(*fence));

	if (fence)
		stub_start(fence, timestamp);
	return fence;
}
