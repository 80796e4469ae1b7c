/* SPDX-License-Identifier: MIT */
/*
 * Which pages devices have written to: a bitmap of 4 KiB pages for each domain that tracks.
 *
 * Model: two levels of pointers over 48 bits of IOVA to leaves of 4 KiB, each for 128 MiB; they are
 * made when a device first writes there, by whoever comes first, and stay until tracking ends. If
 * memory for one is short everything counts as written from then on: reports say too much rather
 * than too little.
 *
 * A page is marked after it was written to, in the same hold of dma_lock, and reading takes each
 * dma_lock once before it looks: what was written before the call is reported by it.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "iommu/impl.h"
#include "iommu/soft.h"

#define LEAF_SHIFT 27		/* bytes of IOVA in a leaf */
#define LEAF_WORDS 512
#define MID_SHIFT (LEAF_SHIFT + 10)
#define MID_SIZE 1024
#define TOP_SIZE 2048

struct dirty_leaf {
	u64 bits[LEAF_WORDS];
};

struct dirty_mid {
	struct dirty_leaf *leaves[MID_SIZE];
};

struct dirty_map {
	struct dirty_mid *mids[TOP_SIZE];
	bool all;		/* memory was short once */
};

/* What is behind the slot, made if need be; NULL: memory is short. */
static void *slot_get(void *slot, size_t size)
{
	void **p = slot, *old = __atomic_load_n(p, __ATOMIC_ACQUIRE), *new;

	if (likely(old))
		return old;
	new = sv_zalloc(size);
	if (!new)
		return NULL;
	if (__atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return new;
	sv_free(new);
	return old;
}

static struct dirty_leaf *leaf_make(struct dirty_map *map, u64 iova)
{
	struct dirty_mid *mid = slot_get(&map->mids[iova >> MID_SHIFT], sizeof(*mid));

	return mid ? slot_get(&mid->leaves[(iova >> LEAF_SHIFT) % MID_SIZE],
			      sizeof(struct dirty_leaf)) : NULL;
}

void soft_dirty_mark(struct dirty_map *map, u64 iova, u64 len)
{
	u64 page = iova >> SV_PAGE_SHIFT, last = (iova + len - 1) >> SV_PAGE_SHIFT;

	while (page <= last) {
		struct dirty_leaf *leaf = leaf_make(map, page << SV_PAGE_SHIFT);
		u64 end = min(last, page | (LEAF_WORDS * 64 - 1));

		if (!leaf) {
			__atomic_store_n(&map->all, true, __ATOMIC_RELEASE);
			return;
		}
		for (; page <= end; page++) {
			u64 *word = &leaf->bits[page / 64 % LEAF_WORDS];
			u64 bit = 1ull << (page % 64);

			if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
				__atomic_fetch_or(word, bit, __ATOMIC_RELEASE);
		}
	}
}

void soft_dirty_free(struct dirty_map *map)
{
	if (!map)
		return;
	for (unsigned i = 0; i < TOP_SIZE; i++) {
		for (unsigned k = 0; map->mids[i] && k < MID_SIZE; k++)
			sv_free(map->mids[i]->leaves[k]);
		sv_free(map->mids[i]);
	}
	sv_free(map);
}

static int soft_set_dirty_tracking(struct iommu_domain *d, bool enable)
{
	struct soft_domain *dom = soft_domain_of(d);
	struct dirty_map *map = NULL, *old;

	sv_mutex_lock(&dom->lock);
	old = dom->dirty;
	if (enable && !old) {
		map = sv_zalloc(sizeof(*map));
		if (!map) {
			sv_mutex_unlock(&dom->lock);
			return -ENOMEM;
		}
		__atomic_store_n(&dom->dirty, map, __ATOMIC_RELEASE);
	} else if (!enable && old) {
		__atomic_store_n(&dom->dirty, NULL, __ATOMIC_RELEASE);
	}
	soft_quiesce(dom);
	sv_mutex_unlock(&dom->lock);
	if (!enable)
		soft_dirty_free(old);
	return 0;
}

/* Reports the runs of bits of one word; base is the first one's IOVA. */
static void report_word(u64 bits, u64 base, void (*dirty)(void *arg, u64 iova, u64 len), void *arg)
{
	while (bits) {
		unsigned from = (unsigned)__builtin_ctzll(bits);
		u64 rest = ~(bits >> from);
		unsigned n = rest ? (unsigned)__builtin_ctzll(rest) : 64;

		dirty(arg, base + from * SV_PAGE_SIZE, n * SV_PAGE_SIZE);
		bits &= n + from >= 64 ? 0 : ~0ull << (from + n);
	}
}

static void read_leaf(struct dirty_leaf *leaf, u64 page, u64 end, bool no_clear,
		      void (*dirty)(void *arg, u64 iova, u64 len), void *arg)
{
	while (page <= end) {
		u64 *word = &leaf->bits[page / 64 % LEAF_WORDS];
		u64 to = min(end, page | 63);
		u64 mask = GENMASK(to % 64, page % 64);
		u64 bits = __atomic_load_n(word, __ATOMIC_ACQUIRE) & mask;

		if (bits && !no_clear)
			bits &= __atomic_fetch_and(word, ~bits, __ATOMIC_ACQ_REL);
		report_word(bits, page / 64 * 64 * SV_PAGE_SIZE, dirty, arg);
		page = to + 1;
	}
}

static int soft_read_and_clear(struct iommu_domain *d, u64 iova, u64 len, bool no_clear,
			       void (*dirty)(void *arg, u64 iova, u64 len), void *arg)
{
	struct soft_domain *dom = soft_domain_of(d);
	u64 page = iova >> SV_PAGE_SHIFT, last = (iova + len - 1) >> SV_PAGE_SHIFT;
	struct dirty_map *map;

	sv_mutex_lock(&dom->lock);
	map = dom->dirty;
	if (map)
		soft_quiesce(dom);
	if (map && __atomic_load_n(&map->all, __ATOMIC_ACQUIRE))
		dirty(arg, iova, len);
	for (; map && page <= last;) {
		u64 end = min(last, page | (LEAF_WORDS * 64 - 1));
		struct dirty_mid *mid;
		struct dirty_leaf *leaf = NULL;

		mid = __atomic_load_n(&map->mids[page << SV_PAGE_SHIFT >> MID_SHIFT], __ATOMIC_ACQUIRE);
		if (mid)
			leaf = __atomic_load_n(&mid->leaves[(page << SV_PAGE_SHIFT >> LEAF_SHIFT) %
							    MID_SIZE], __ATOMIC_ACQUIRE);
		if (leaf)
			read_leaf(leaf, page, end, no_clear, dirty, arg);
		else if (!mid)
			end = min(last, page | ((1ull << (MID_SHIFT - SV_PAGE_SHIFT)) - 1));
		page = end + 1;
	}
	sv_mutex_unlock(&dom->lock);
	return 0;
}

const struct iommu_dirty_ops soft_dirty_ops = {
	.set_dirty_tracking = soft_set_dirty_tracking,
	.read_and_clear_dirty = soft_read_and_clear,
};
