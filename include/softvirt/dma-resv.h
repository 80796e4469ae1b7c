/* SPDX-License-Identifier: MIT */
/*
 * dma_resv: a buffer's lock and its fences.
 *
 * Each fence is filed under what its device does with the memory. The classes are ordered,
 * and asking about one asks about all before it too: KERNEL (memory management: moves,
 * clears; everybody waits for these), WRITE and READ (implicit synchronisation), BOOKKEEP
 * (no implicit synchronisation; only who takes the memory away waits).
 *
 * The lock is needed to change the set and for the locked iteration. The _unlocked
 * iteration, wait, test, get_fences work at any time: they run in RCU read sections,
 * start again when the set is replaced under them, and what they report was true at some
 * moment during the call.
 */
#ifndef SOFTVIRT_DMA_RESV_H
#define SOFTVIRT_DMA_RESV_H

#include "softvirt/dma-fence.h"
#include "softvirt/ww-mutex.h"

#pragma GCC visibility push(default)

extern struct ww_class reservation_ww_class;

struct dma_resv_list;

enum dma_resv_usage {
	DMA_RESV_USAGE_KERNEL,
	DMA_RESV_USAGE_WRITE,
	DMA_RESV_USAGE_READ,
	DMA_RESV_USAGE_BOOKKEEP,
};

/* What a new reader (write false) or writer has to wait for. */
static inline enum dma_resv_usage dma_resv_usage_rw(bool write)
{
	return write ? DMA_RESV_USAGE_READ : DMA_RESV_USAGE_WRITE;
}

struct dma_resv {
	struct ww_mutex lock;
	struct dma_resv_list __rcu *fences;
	struct dma_resv_watch __rcu *watches;	/* ours: who is told of new fences */
};

struct dma_resv_iter {
	struct dma_resv *obj;
	enum dma_resv_usage usage;	/* asked for */
	struct dma_fence *fence;	/* unlocked: the current one, with a reference */
	enum dma_resv_usage fence_usage;
	unsigned int index;
	struct dma_resv_list *fences;	/* only compared, or used under the lock or RCU */
	unsigned int num_fences;
	bool is_restarted;		/* forget what was seen so far */
};

struct dma_fence *dma_resv_iter_first_unlocked(struct dma_resv_iter *cursor);
struct dma_fence *dma_resv_iter_next_unlocked(struct dma_resv_iter *cursor);
struct dma_fence *dma_resv_iter_first(struct dma_resv_iter *cursor);
struct dma_fence *dma_resv_iter_next(struct dma_resv_iter *cursor);

static inline void dma_resv_iter_begin(struct dma_resv_iter *cursor, struct dma_resv *obj,
				       enum dma_resv_usage usage)
{
	cursor->obj = obj;
	cursor->usage = usage;
	cursor->fence = NULL;
}

static inline void dma_resv_iter_end(struct dma_resv_iter *cursor)
{
	dma_fence_put(cursor->fence);
}

static inline enum dma_resv_usage dma_resv_iter_usage(struct dma_resv_iter *cursor)
{
	return cursor->fence_usage;
}

static inline bool dma_resv_iter_is_restarted(struct dma_resv_iter *cursor)
{
	return cursor->is_restarted;
}

/* Unsignalled ones only, between dma_resv_iter_begin() and _end(). */
#define dma_resv_for_each_fence_unlocked(cursor, fence) \
	for (fence = dma_resv_iter_first_unlocked(cursor); fence; \
	     fence = dma_resv_iter_next_unlocked(cursor))

/* Under the lock; borrowed references; signalled ones too. */
#define dma_resv_for_each_fence(cursor, obj, usage, fence) \
	for (dma_resv_iter_begin(cursor, obj, usage), fence = dma_resv_iter_first(cursor); \
	     fence; fence = dma_resv_iter_next(cursor))

#define dma_resv_held(obj) ww_mutex_is_locked(&(obj)->lock)
#define dma_resv_assert_held(obj) ((void)WARN_ON(!dma_resv_held(obj)))

static inline int dma_resv_lock(struct dma_resv *obj, struct ww_acquire_ctx *ctx)
{
	return ww_mutex_lock(&obj->lock, ctx);
}

static inline int dma_resv_lock_interruptible(struct dma_resv *obj, struct ww_acquire_ctx *ctx)
{
	return ww_mutex_lock_interruptible(&obj->lock, ctx);
}

static inline void dma_resv_lock_slow(struct dma_resv *obj, struct ww_acquire_ctx *ctx)
{
	ww_mutex_lock_slow(&obj->lock, ctx);
}

static inline int dma_resv_lock_slow_interruptible(struct dma_resv *obj,
						   struct ww_acquire_ctx *ctx)
{
	return ww_mutex_lock_slow_interruptible(&obj->lock, ctx);
}

static inline bool __must_check dma_resv_trylock(struct dma_resv *obj)
{
	return ww_mutex_trylock(&obj->lock, NULL);
}

static inline bool dma_resv_is_locked(struct dma_resv *obj)
{
	return ww_mutex_is_locked(&obj->lock);
}

static inline struct ww_acquire_ctx *dma_resv_locking_ctx(struct dma_resv *obj)
{
	return obj->lock.ctx;
}

static inline void dma_resv_unlock(struct dma_resv *obj)
{
	ww_mutex_unlock(&obj->lock);
}

void dma_resv_init(struct dma_resv *obj);
/* Nobody else uses obj any more. */
void dma_resv_fini(struct dma_resv *obj);
/* Room for that many dma_resv_add_fence() until the unlock. 0, -ENOMEM, -EINVAL for none. */
int dma_resv_reserve_fences(struct dma_resv *obj, unsigned int num_fences);
/* Takes a reference of its own. Drops signalled fences and earlier ones of the context. */
void dma_resv_add_fence(struct dma_resv *obj, struct dma_fence *fence, enum dma_resv_usage usage);
/* All of this context are replaced, signalled or not. */
void dma_resv_replace_fences(struct dma_resv *obj, u64 context, struct dma_fence *fence,
			     enum dma_resv_usage usage);
/* The caller puts each and sv_free()s the vector. */
int dma_resv_get_fences(struct dma_resv *obj, enum dma_resv_usage usage, unsigned int *num_fences,
			struct dma_fence ***fences);
/* One fence for all of them, NULL when there are none. */
int dma_resv_get_singleton(struct dma_resv *obj, enum dma_resv_usage usage,
			   struct dma_fence **fence);
/* dst is locked, src need not be. */
int dma_resv_copy_fences(struct dma_resv *dst, struct dma_resv *src);
/* Jiffies left (at least 1); 0: time is over; or negative. */
long dma_resv_wait_timeout(struct dma_resv *obj, enum dma_resv_usage usage, bool intr,
			   unsigned long timeout);
/* 0 or -ETIMEDOUT, at an absolute time in ns. */
int dma_resv_wait_until(struct dma_resv *obj, enum dma_resv_usage usage, u64 deadline_ns);
void dma_resv_set_deadline(struct dma_resv *obj, enum dma_resv_usage usage, ktime_t deadline);
bool dma_resv_test_signaled(struct dma_resv *obj, enum dma_resv_usage usage);
void dma_resv_describe(struct dma_resv *obj, struct seq_file *seq);

#pragma GCC visibility pop

#endif
