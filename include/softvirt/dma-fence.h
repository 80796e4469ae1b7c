/* SPDX-License-Identifier: MIT */
/*
 * dma_fence: "a device still works on this", and the news when it no longer does.
 *
 * Names, fields and behaviour are the kernel's. A fence goes from unsignalled to
 * signalled, once. Who creates it signals it in finite time, whatever happens; who waits
 * may be anybody.
 *
 * Rules that a driver keeps:
 *  - fences of one context are ordered by seqno; a later one signals after all earlier ones;
 *  - callbacks run under the fence's lock, in the signalling thread: no sleeping, no
 *    dma_fence_put() that could release a fence which shares that lock;
 *  - the memory of a fence is freed after an RCU grace period (dma_fence_free does so);
 *  - the error is set before the signal.
 */
#ifndef SOFTVIRT_DMA_FENCE_H
#define SOFTVIRT_DMA_FENCE_H

#include "softvirt/dma-types.h"

#pragma GCC visibility push(default)

struct dma_fence;
struct dma_fence_ops;
struct dma_fence_cb;

struct dma_fence {
	spinlock_t *lock;		/* the driver's, or &inline_lock */
	const struct dma_fence_ops *ops;
	/* cb_list until signalled, then timestamp, then rcu once nobody holds it. */
	union {
		struct list_head cb_list;
		ktime_t timestamp;
		struct rcu_head rcu;
	};
	u64 context;
	u64 seqno;
	unsigned long flags;		/* enum dma_fence_flag_bits */
	struct kref refcount;
	int error;			/* 0 or -errno, valid once signalled */
	spinlock_t inline_lock;
};

enum dma_fence_flag_bits {
	DMA_FENCE_FLAG_SIGNALED_BIT,
	DMA_FENCE_FLAG_TIMESTAMP_BIT,
	DMA_FENCE_FLAG_ENABLE_SIGNAL_BIT,
	DMA_FENCE_FLAG_SEQNO64_BIT,
	DMA_FENCE_FLAG_USER_BITS,	/* from here on the driver's */
};

typedef void (*dma_fence_func_t)(struct dma_fence *fence, struct dma_fence_cb *cb);

struct dma_fence_cb {
	struct list_head node;
	dma_fence_func_t func;
};

struct dma_fence_ops {
	bool use_64bit_seqno;		/* also: dma_fence_init64() */
	const char *(*get_driver_name)(struct dma_fence *fence);
	const char *(*get_timeline_name)(struct dma_fence *fence);
	/*
	 * Somebody wants to know: make sure that the signal comes. Called once, under the
	 * lock. False: it has happened already.
	 */
	bool (*enable_signaling)(struct dma_fence *fence);
	bool (*signaled)(struct dma_fence *fence);	/* looks; any context */
	signed long (*wait)(struct dma_fence *fence, bool intr, signed long timeout);
	void (*release)(struct dma_fence *fence);	/* NULL: dma_fence_free */
	void (*fence_value_str)(struct dma_fence *fence, char *str, int size);
	void (*timeline_value_str)(struct dma_fence *fence, char *str, int size);
	void (*set_deadline)(struct dma_fence *fence, ktime_t deadline);
};

/* lock NULL: the fence's own. 64: seqno never wraps. The caller holds the first reference. */
void dma_fence_init(struct dma_fence *fence, const struct dma_fence_ops *ops, spinlock_t *lock,
		    u64 context, u64 seqno);
void dma_fence_init64(struct dma_fence *fence, const struct dma_fence_ops *ops, spinlock_t *lock,
		      u64 context, u64 seqno);

void dma_fence_release(struct kref *kref);
/* Frees the memory after a grace period; the fence is the first member of what is freed. */
void dma_fence_free(struct dma_fence *fence);
void dma_fence_describe(struct dma_fence *fence, struct seq_file *seq);
const char *dma_fence_driver_name(struct dma_fence *fence);
const char *dma_fence_timeline_name(struct dma_fence *fence);

static inline void dma_fence_put(struct dma_fence *fence)
{
	if (fence)
		kref_put(&fence->refcount, dma_fence_release);
}

static inline struct dma_fence *dma_fence_get(struct dma_fence *fence)
{
	if (fence)
		kref_get(&fence->refcount);
	return fence;
}

/* In an RCU read section. NULL: the last reference is gone. */
static inline struct dma_fence *dma_fence_get_rcu(struct dma_fence *fence)
{
	return kref_get_unless_zero(&fence->refcount) ? fence : NULL;
}

/*
 * For pointers that are replaced while we look, and fences whose memory is reused for other
 * fences: only a reference to what the pointer still shows counts.
 */
static inline struct dma_fence *dma_fence_get_rcu_safe(struct dma_fence __rcu **fencep)
{
	struct dma_fence *fence;

	while ((fence = rcu_dereference(*fencep))) {
		if (!dma_fence_get_rcu(fence))
			continue;
		if (fence == rcu_dereference(*fencep))
			return fence;
		dma_fence_put(fence);
	}
	return NULL;
}

/* Lock-order annotations of the kernel; nothing to do here. */
static inline bool dma_fence_begin_signalling(void) { return true; }
static inline void dma_fence_end_signalling(bool cookie) { (void)cookie; }
static inline void __dma_fence_might_wait(void) { }

/* 0, or -EINVAL when it was signalled before. _locked: the caller holds fence->lock. */
int dma_fence_signal(struct dma_fence *fence);
int dma_fence_signal_locked(struct dma_fence *fence);
int dma_fence_signal_timestamp(struct dma_fence *fence, ktime_t timestamp);
int dma_fence_signal_timestamp_locked(struct dma_fence *fence, ktime_t timestamp);
/* True when it was signalled before. */
bool dma_fence_check_and_signal(struct dma_fence *fence);
bool dma_fence_check_and_signal_locked(struct dma_fence *fence);

/* 0; -ENOENT: signalled already, the callback will not come. */
int dma_fence_add_callback(struct dma_fence *fence, struct dma_fence_cb *cb,
			   dma_fence_func_t func);
/* True: it has not run and will not. False: it has run, completely. */
bool dma_fence_remove_callback(struct dma_fence *fence, struct dma_fence_cb *cb);
void dma_fence_enable_sw_signaling(struct dma_fence *fence);

static inline bool dma_fence_test_signaled_flag(struct dma_fence *fence)
{
	return test_bit(DMA_FENCE_FLAG_SIGNALED_BIT, &fence->flags);
}

static inline bool dma_fence_is_signaled_locked(struct dma_fence *fence)
{
	if (dma_fence_test_signaled_flag(fence))
		return true;
	if (!fence->ops->signaled || !fence->ops->signaled(fence))
		return false;
	dma_fence_signal_locked(fence);
	return true;
}

static inline bool dma_fence_is_signaled(struct dma_fence *fence)
{
	if (dma_fence_test_signaled_flag(fence))
		return true;
	if (!fence->ops->signaled || !fence->ops->signaled(fence))
		return false;
	dma_fence_signal(fence);
	return true;
}

static inline bool dma_fence_seqno64(struct dma_fence *fence)
{
	return fence->ops->use_64bit_seqno ||
	       (READ_ONCE(fence->flags) >> DMA_FENCE_FLAG_SEQNO64_BIT & 1);
}

/* Is seqno f1 later than f2, in the number space of this fence? 32-bit ones wrap. */
static inline bool __dma_fence_is_later(struct dma_fence *fence, u64 f1, u64 f2)
{
	if (dma_fence_seqno64(fence))
		return f1 > f2;
	return (s32)((u32)f1 - (u32)f2) > 0;
}

static inline bool dma_fence_is_later(struct dma_fence *f1, struct dma_fence *f2)
{
	if (WARN_ON(f1->context != f2->context))
		return false;
	return __dma_fence_is_later(f1, f1->seqno, f2->seqno);
}

static inline bool dma_fence_is_later_or_same(struct dma_fence *f1, struct dma_fence *f2)
{
	return f1 == f2 || dma_fence_is_later(f1, f2);
}

/* The later of two of one context, NULL when that one is signalled. No reference is taken. */
static inline struct dma_fence *dma_fence_later(struct dma_fence *f1, struct dma_fence *f2)
{
	struct dma_fence *later;

	if (WARN_ON(f1->context != f2->context))
		return NULL;
	later = dma_fence_is_later(f1, f2) ? f1 : f2;
	return dma_fence_is_signaled(later) ? NULL : later;
}

/* 0: active; 1: signalled; negative: signalled with this error. */
static inline int dma_fence_get_status_locked(struct dma_fence *fence)
{
	if (!dma_fence_is_signaled_locked(fence))
		return 0;
	return fence->error ? fence->error : 1;
}
int dma_fence_get_status(struct dma_fence *fence);

static inline void dma_fence_set_error(struct dma_fence *fence, int error)
{
	WARN_ON(dma_fence_test_signaled_flag(fence));
	WARN_ON(error >= 0 || error < -MAX_ERRNO);
	fence->error = error;
}

/* When it was signalled. The signalling thread may be a moment away from writing it. */
ktime_t dma_fence_timestamp(struct dma_fence *fence);

/*
 * Timeouts are jiffies. The jiffies that were left, at least 1, when it is signalled; 0 when
 * the time is over; negative errno. Never for a caller who holds fence->lock.
 */
signed long dma_fence_default_wait(struct dma_fence *fence, bool intr, signed long timeout);
signed long dma_fence_wait_timeout(struct dma_fence *fence, bool intr, signed long timeout);
signed long dma_fence_wait_any_timeout(struct dma_fence **fences, u32 count, bool intr,
				       signed long timeout, u32 *idx);
static inline signed long dma_fence_wait(struct dma_fence *fence, bool intr)
{
	signed long ret = dma_fence_wait_timeout(fence, intr, MAX_SCHEDULE_TIMEOUT);

	return ret < 0 ? ret : 0;
}
/* The same with an absolute time in ns (DMA_DEADLINE_NEVER): 0 or -ETIMEDOUT. Ignores ops->wait. */
int dma_fence_wait_until(struct dma_fence *fence, u64 deadline_ns);

/* A hint: whoever asks would like it signalled by then. */
void dma_fence_set_deadline(struct dma_fence *fence, ktime_t deadline);

/* Signalled for ever; a reference as with any other. */
struct dma_fence *dma_fence_get_stub(void);
struct dma_fence *dma_fence_allocate_private_stub(ktime_t timestamp);
/* num contexts that nobody else has; the first of them. */
u64 dma_fence_context_alloc(unsigned int num);

extern const struct dma_fence_ops dma_fence_array_ops;
extern const struct dma_fence_ops dma_fence_chain_ops;

static inline bool dma_fence_is_array(struct dma_fence *fence)
{
	return fence->ops == &dma_fence_array_ops;
}

static inline bool dma_fence_is_chain(struct dma_fence *fence)
{
	return fence->ops == &dma_fence_chain_ops;
}

static inline bool dma_fence_is_container(struct dma_fence *fence)
{
	return dma_fence_is_array(fence) || dma_fence_is_chain(fence);
}

#pragma GCC visibility pop

#endif
