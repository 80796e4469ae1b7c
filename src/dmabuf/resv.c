/* SPDX-License-Identifier: MIT */
/*
 * dma_resv: see softvirt/dma-resv.h.
 *
 * Model. The set is a vector in RCU-protected memory; an entry is a fence with the usage in
 * the pointer's low bits. Under the lock, entries are replaced in place and appended up to
 * max_fences; more room means another vector. num_fences never shrinks within one vector.
 * The vector owns one reference of each of its first num_fences entries.
 *
 * A reader without the lock finds an entry's fence alive as memory (fences are freed after
 * a grace period). To keep it it must raise a count that is not zero; if it is, the entry
 * has been replaced and the reader starts again. It starts again too when the vector has
 * been replaced.
 *
 * dma_resv_test_signaled() takes no references, so that readers on different CPUs write to
 * no common cache line.
 *
 * Locks: obj->lock, then fence locks.
 */
#include "softvirt/dma-resv.h"

#include "dmabuf/watch.h"
#include "softvirt/dma-fence-array.h"

#define USAGE_MASK 3ul
#define MIN_FENCES 4u

struct dma_resv_list {
	struct rcu_head rcu;
	u32 num_fences, max_fences;
	struct dma_fence __rcu *table[];
};

DEFINE_WW_CLASS(reservation_ww_class);

static struct dma_fence *entry_get(struct dma_resv_list *list, unsigned int i,
				   enum dma_resv_usage *usage)
{
	uintptr_t v;

	SV_POINT(&list->table[i], false);
	v = (uintptr_t)rcu_dereference(list->table[i]);
	if (usage)
		*usage = (enum dma_resv_usage)(v & USAGE_MASK);
	return (struct dma_fence *)(v & ~USAGE_MASK);
}

static void entry_set(struct dma_resv_list *list, unsigned int i, struct dma_fence *fence,
		      enum dma_resv_usage usage)
{
	SV_POINT(&list->table[i], true);
	rcu_assign_pointer(list->table[i], (struct dma_fence *)((uintptr_t)fence | usage));
}

static struct dma_resv_list *list_alloc(u32 max_fences)
{
	struct dma_resv_list *list;

	list = sv_alloc(sizeof(*list) + (size_t)max_fences * sizeof(list->table[0]));
	if (list) {
		list->num_fences = 0;
		list->max_fences = max_fences;
	}
	return list;
}

static void list_free_rcu(struct rcu_head *rcu)
{
	sv_free(container_of(rcu, struct dma_resv_list, rcu));
}

/* With the references of its entries. */
static void list_free(struct dma_resv_list *list)
{
	if (!list)
		return;
	for (u32 i = 0; i < list->num_fences; i++)
		dma_fence_put(entry_get(list, i, NULL));
	call_rcu(&list->rcu, list_free_rcu);
}

static struct dma_resv_list *locked_list(struct dma_resv *obj)
{
	return rcu_dereference_protected(obj->fences, true);
}

static struct dma_resv_list *current_list(struct dma_resv *obj)
{
	SV_POINT(&obj->fences, false);
	return rcu_dereference(obj->fences);
}

void dma_resv_init(struct dma_resv *obj)
{
	ww_mutex_init(&obj->lock, &reservation_ww_class);
	RCU_INIT_POINTER(obj->fences, NULL);
	RCU_INIT_POINTER(obj->watches, NULL);
}

void dma_resv_fini(struct dma_resv *obj)
{
	list_free(locked_list(obj));
	RCU_INIT_POINTER(obj->fences, NULL);
	ww_mutex_destroy(&obj->lock);
}

int dma_resv_reserve_fences(struct dma_resv *obj, unsigned int num_fences)
{
	struct dma_resv_list *old = locked_list(obj), *list;
	u32 used = old ? old->num_fences : 0, room = old ? old->max_fences : 0;
	u32 kept = 0, dropped, max_fences;

	dma_resv_assert_held(obj);
	if (WARN_ON(!num_fences))
		return -EINVAL;
	if (num_fences > UINT32_MAX / 4 || used > UINT32_MAX / 4)
		return -ENOMEM;
	if (used + num_fences <= room)
		return 0;
	max_fences = max(used + num_fences, room * 2);
	max_fences = max(max_fences, MIN_FENCES);
	list = list_alloc(max_fences);
	if (!list)
		return -ENOMEM;

	/* The unsignalled ones from the front, the others, to be dropped, from the end. */
	dropped = max_fences;
	for (u32 i = 0; i < used; i++) {
		enum dma_resv_usage usage;
		struct dma_fence *fence = entry_get(old, i, &usage);

		if (dma_fence_is_signaled(fence))
			list->table[--dropped] = fence;
		else
			entry_set(list, kept++, fence, usage);
	}
	list->num_fences = kept;
	SV_POINT(&obj->fences, true);
	rcu_assign_pointer(obj->fences, list);

	if (!old)
		return 0;
	for (u32 i = dropped; i < max_fences; i++)
		dma_fence_put(list->table[i]);
	call_rcu(&old->rcu, list_free_rcu);
	return 0;
}

/* Over the links of all watches: they are few and change rarely. */
static DEFINE_SPINLOCK(watches_lock);

void dma_resv_watch_add(struct dma_resv *obj, struct dma_resv_watch *w)
{
	dma_resv_assert_held(obj);
	spin_lock(&watches_lock);
	w->next = rcu_dereference_protected(obj->watches, true);
	SV_POINT(&obj->watches, true);
	rcu_assign_pointer(obj->watches, w);
	spin_unlock(&watches_lock);
}

void dma_resv_watch_del(struct dma_resv *obj, struct dma_resv_watch *w)
{
	struct dma_resv_watch **link;

	spin_lock(&watches_lock);
	for (link = &obj->watches; *link; link = &(*link)->next) {
		if (*link == w) {
			SV_POINT(&obj->watches, true);
			rcu_assign_pointer(*link, w->next);
			break;
		}
	}
	spin_unlock(&watches_lock);
}

static void tell_watches(struct dma_resv *obj, struct dma_fence *fence, enum dma_resv_usage usage)
{
	struct dma_resv_watch *w;

	SV_POINT(&obj->watches, false);
	if (likely(!READ_ONCE(obj->watches)))
		return;
	rcu_read_lock();
	for (w = rcu_dereference(obj->watches); w; w = rcu_dereference(w->next))
		w->added(w, fence, usage);
	rcu_read_unlock();
}

void dma_resv_add_fence(struct dma_resv *obj, struct dma_fence *fence, enum dma_resv_usage usage)
{
	struct dma_resv_list *list = locked_list(obj);
	enum dma_resv_usage old_usage;
	struct dma_fence *old;
	u32 count;

	dma_resv_assert_held(obj);
	/* A container hides the contexts by which fences replace each other. */
	WARN_ON(dma_fence_is_container(fence));
	if (WARN_ON(!list))
		return;
	count = list->num_fences;
	for (u32 i = 0; i < count; i++) {
		old = entry_get(list, i, &old_usage);
		if ((old->context == fence->context && old_usage >= usage &&
		     dma_fence_is_later_or_same(fence, old)) || dma_fence_is_signaled(old)) {
			entry_set(list, i, dma_fence_get(fence), usage);
			dma_fence_put(old);
			goto tell;
		}
	}
	if (WARN_ON(count >= list->max_fences))
		return;
	entry_set(list, count, dma_fence_get(fence), usage);
	smp_store_release(&list->num_fences, count + 1);
tell:
	tell_watches(obj, fence, usage);
}

void dma_resv_replace_fences(struct dma_resv *obj, u64 context, struct dma_fence *fence,
			     enum dma_resv_usage usage)
{
	struct dma_resv_list *list = locked_list(obj);

	dma_resv_assert_held(obj);
	for (u32 i = 0; list && i < list->num_fences; i++) {
		struct dma_fence *old = entry_get(list, i, NULL);

		if (old->context != context)
			continue;
		entry_set(list, i, dma_fence_get(fence), usage);
		dma_fence_put(old);
		tell_watches(obj, fence, usage);
	}
}

static void iter_restart(struct dma_resv_iter *cursor)
{
	cursor->index = 0;
	cursor->fences = current_list(cursor->obj);
	cursor->num_fences = cursor->fences ? smp_load_acquire(&cursor->fences->num_fences) : 0;
	cursor->is_restarted = true;
}

/* In an RCU read section: to the next unsignalled fence that was asked for. */
static void iter_walk(struct dma_resv_iter *cursor)
{
	struct dma_fence *fence;

	dma_fence_put(cursor->fence);
	cursor->fence = NULL;
	while (cursor->index < cursor->num_fences) {
		fence = entry_get(cursor->fences, cursor->index++, &cursor->fence_usage);
		if (cursor->fence_usage > cursor->usage || dma_fence_test_signaled_flag(fence))
			continue;
		if (!dma_fence_get_rcu(fence)) {
			iter_restart(cursor);
			continue;
		}
		if (!dma_fence_is_signaled(fence)) {
			cursor->fence = fence;
			return;
		}
		dma_fence_put(fence);
	}
}

static struct dma_fence *iter_step(struct dma_resv_iter *cursor, bool restart)
{
	rcu_read_lock();
	do {
		if (restart)
			iter_restart(cursor);
		iter_walk(cursor);
		restart = true;
	} while (current_list(cursor->obj) != cursor->fences);
	rcu_read_unlock();
	return cursor->fence;
}

struct dma_fence *dma_resv_iter_first_unlocked(struct dma_resv_iter *cursor)
{
	return iter_step(cursor, true);
}

struct dma_fence *dma_resv_iter_next_unlocked(struct dma_resv_iter *cursor)
{
	cursor->is_restarted = false;
	return iter_step(cursor, current_list(cursor->obj) != cursor->fences);
}

struct dma_fence *dma_resv_iter_first(struct dma_resv_iter *cursor)
{
	struct dma_fence *fence;

	dma_resv_assert_held(cursor->obj);
	cursor->index = 0;
	cursor->fences = locked_list(cursor->obj);
	fence = dma_resv_iter_next(cursor);
	cursor->is_restarted = true;
	return fence;
}

struct dma_fence *dma_resv_iter_next(struct dma_resv_iter *cursor)
{
	struct dma_fence *fence;

	cursor->is_restarted = false;
	while (cursor->fences && cursor->index < cursor->fences->num_fences) {
		fence = entry_get(cursor->fences, cursor->index++, &cursor->fence_usage);
		if (cursor->fence_usage <= cursor->usage)
			return fence;
	}
	return NULL;
}

/* Puts the fences of a vector under construction and the vector. */
static void fences_free(struct dma_fence **fences, unsigned int num)
{
	while (num)
		dma_fence_put(fences[--num]);
	sv_free(fences);
}

int dma_resv_get_fences(struct dma_resv *obj, enum dma_resv_usage usage, unsigned int *num_fences,
			struct dma_fence ***fences)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	struct dma_fence **list = NULL;
	unsigned int num = 0;

	*num_fences = 0;
	*fences = NULL;
	dma_resv_iter_begin(&cursor, obj, usage);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (dma_resv_iter_is_restarted(&cursor)) {
			fences_free(list, num);
			num = 0;
			list = sv_calloc(cursor.num_fences, sizeof(*list));
			if (!list) {
				dma_resv_iter_end(&cursor);
				return -ENOMEM;
			}
		}
		list[num++] = dma_fence_get(fence);
	}
	dma_resv_iter_end(&cursor);
	*num_fences = num;
	*fences = list;
	return 0;
}

int dma_resv_get_singleton(struct dma_resv *obj, enum dma_resv_usage usage,
			   struct dma_fence **fence)
{
	struct dma_fence_array *array;
	struct dma_fence **fences;
	unsigned int count;
	int err;

	err = dma_resv_get_fences(obj, usage, &count, &fences);
	if (err)
		return err;
	if (count < 2) {
		*fence = count ? fences[0] : NULL;
		sv_free(fences);
		return 0;
	}
	array = dma_fence_array_create((int)count, fences, dma_fence_context_alloc(1), 1, false);
	if (!array) {
		fences_free(fences, count);
		return -ENOMEM;
	}
	*fence = &array->base;
	return 0;
}

int dma_resv_copy_fences(struct dma_resv *dst, struct dma_resv *src)
{
	struct dma_resv_list *list = NULL, *old;
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_assert_held(dst);
	dma_resv_iter_begin(&cursor, src, DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (dma_resv_iter_is_restarted(&cursor)) {
			list_free(list);
			list = list_alloc(cursor.num_fences);
			if (!list) {
				dma_resv_iter_end(&cursor);
				return -ENOMEM;
			}
		}
		entry_set(list, list->num_fences++, dma_fence_get(fence),
			  dma_resv_iter_usage(&cursor));
	}
	dma_resv_iter_end(&cursor);
	old = locked_list(dst);
	SV_POINT(&dst->fences, true);
	rcu_assign_pointer(dst->fences, list);
	list_free(old);
	return 0;
}

long dma_resv_wait_timeout(struct dma_resv *obj, enum dma_resv_usage usage, bool intr,
			   unsigned long timeout)
{
	long left = (long)min(timeout, (unsigned long)MAX_SCHEDULE_TIMEOUT);
	long ret = left ? left : 1;
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_iter_begin(&cursor, obj, usage);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		ret = dma_fence_wait_timeout(fence, intr, left);
		if (ret <= 0)
			break;
		/* A look (timeout 0) stays a look. */
		if (left)
			left = ret;
	}
	dma_resv_iter_end(&cursor);
	return ret;
}

int dma_resv_wait_until(struct dma_resv *obj, enum dma_resv_usage usage, u64 deadline_ns)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	int err = 0;

	dma_resv_iter_begin(&cursor, obj, usage);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		err = dma_fence_wait_until(fence, deadline_ns);
		if (err)
			break;
	}
	dma_resv_iter_end(&cursor);
	return err;
}

void dma_resv_set_deadline(struct dma_resv *obj, enum dma_resv_usage usage, ktime_t deadline)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_iter_begin(&cursor, obj, usage);
	dma_resv_for_each_fence_unlocked(&cursor, fence)
		dma_fence_set_deadline(fence, deadline);
	dma_resv_iter_end(&cursor);
}

/*
 * Is this entry signalled? A driver's signaled() may only be asked about a fence that is
 * held. -EAGAIN: it can't be held any more, so the set has changed.
 */
static int entry_signaled(struct dma_resv_list *list, u32 i, enum dma_resv_usage usage)
{
	enum dma_resv_usage fence_usage;
	struct dma_fence *fence = entry_get(list, i, &fence_usage);
	bool signaled;

	if (fence_usage > usage || dma_fence_test_signaled_flag(fence))
		return true;
	if (!fence->ops->signaled)
		return false;
	if (!dma_fence_get_rcu(fence))
		return -EAGAIN;
	signaled = dma_fence_is_signaled(fence);
	dma_fence_put(fence);
	return signaled;
}

bool dma_resv_test_signaled(struct dma_resv *obj, enum dma_resv_usage usage)
{
	struct dma_resv_list *list;
	int signaled;
	u32 num;

	rcu_read_lock();
	do {
		list = current_list(obj);
		num = list ? smp_load_acquire(&list->num_fences) : 0;
		signaled = true;
		for (u32 i = 0; i < num && signaled > 0; i++)
			signaled = entry_signaled(list, i, usage);
	} while (signaled < 0);
	rcu_read_unlock();
	return signaled;
}

void dma_resv_describe(struct dma_resv *obj, struct seq_file *seq)
{
	static const char *const usages[] = { "kernel", "write", "read", "bookkeep" };
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_for_each_fence(&cursor, obj, DMA_RESV_USAGE_BOOKKEEP, fence) {
		seq_printf(seq, "\t%s fence: ", usages[dma_resv_iter_usage(&cursor)]);
		dma_fence_describe(fence, seq);
		seq_putc(seq, '\n');
	}
}
