/* SPDX-License-Identifier: MIT */
/*
 * Changes of the soft IOMMU's page table. page_table.h has the model.
 *
 * Every operation goes through the range leaf by leaf, from the root each time; a leaf is the
 * largest that is aligned in IOVA and within the range.
 */
#include "iommu/page_table.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"

#define CACHE_MAX 64

static u64 entry_get(const struct pt_table *t, unsigned i)
{
	return __atomic_load_n(&t->e[i], __ATOMIC_RELAXED);
}

/* Release: who sees a table sees what is in it. */
static void entry_set(struct pt_table *t, unsigned i, u64 e)
{
	t->live += !!e - !!entry_get(t, i);
	SV_POINT(&t->e[i], true);
	__atomic_store_n(&t->e[i], e, __ATOMIC_RELEASE);
}

/* A table with nothing in it. */
static struct pt_table *table_alloc(struct page_table *pt)
{
	struct pt_table *t = pt->cache;

	if (likely(t)) {
		if (sv_fault())
			return NULL;
		pt->cache = t->next;
		pt->nr_cached--;
		return t;
	}
	t = sv_alloc_aligned(64, sizeof(*t));
	if (t)
		memset(t, 0, sizeof(*t));
	return t;
}

static struct pt_table *table_of(u64 e)
{
	return (struct pt_table *)(uintptr_t)(e & ~PT_FLAGS);
}

static unsigned index_of(u64 iova, unsigned level)
{
	return (iova >> pt_shift(level)) & 511;
}

int pt_init(struct page_table *pt)
{
	memset(pt, 0, sizeof(*pt));
	pt->root = table_alloc(pt);
	return pt->root ? 0 : -ENOMEM;
}

static void table_free(struct pt_table *t, unsigned level)
{
	for (unsigned i = 0; level && t->live && i < 512; i++)
		if (t->e[i] & PT_TABLE)
			table_free(table_of(t->e[i]), level - 1);
	sv_free(t);
}

void pt_release(struct page_table *pt)
{
	struct pt_table *t;

	while (unlikely((t = pt->unhooked))) {
		pt->unhooked = t->next;
		if (pt->nr_cached >= CACHE_MAX) {
			sv_free(t);
			continue;
		}
		t->next = pt->cache;
		pt->cache = t;
		pt->nr_cached++;
	}
}

void pt_destroy(struct page_table *pt)
{
	struct pt_table *t;

	pt_release(pt);
	while ((t = pt->cache)) {
		pt->cache = t->next;
		sv_free(t);
	}
	if (pt->root)
		table_free(pt->root, 3);
	pt->root = NULL;
}

/* Tables on the way to iova that have become empty leave the tree, from the lowest up. */
static void prune(struct page_table *pt, struct pt_table *path[4], u64 iova, unsigned level)
{
	for (; level < 3 && !path[level]->live; level++) {
		path[level]->next = pt->unhooked;
		pt->unhooked = path[level];
		entry_set(path[level + 1], index_of(iova, level + 1), 0);
	}
}

/* One leaf of the given level. */
static int map_leaf(struct page_table *pt, u64 iova, u64 e, unsigned to)
{
	struct pt_table *path[4] = { [3] = pt->root }, *t = pt->root;
	unsigned level = 3;
	u64 old;

	for (; level > to; level--) {
		old = entry_get(t, index_of(iova, level));
		if (old & PT_LEAF)
			return -EADDRINUSE;
		if (old) {
			t = table_of(old);
		} else {
			struct pt_table *n = table_alloc(pt);

			if (!n) {
				prune(pt, path, iova, level);
				return -ENOMEM;
			}
			entry_set(t, index_of(iova, level), (uintptr_t)n | PT_TABLE);
			t = n;
		}
		path[level - 1] = t;
	}
	if (entry_get(t, index_of(iova, to)))
		return -EADDRINUSE;
	entry_set(t, index_of(iova, to), e);
	return 0;
}

/* The level of the largest leaf that may begin at iova. */
static unsigned leaf_level(u64 iova, u64 len)
{
	for (unsigned level = 2; level; level--)
		if (IS_ALIGNED(iova, 1ull << pt_shift(level)) && len >= 1ull << pt_shift(level))
			return level;
	return 0;
}

int pt_map(struct page_table *pt, u64 iova, u64 addr, u64 len, u32 prot)
{
	u64 done = 0;
	int err;

	while (done < len) {
		unsigned level = leaf_level(iova + done, len - done);

		err = map_leaf(pt, iova + done, (addr + done) | prot | PT_LEAF, level);
		if (err) {
			if (done)
				pt_unmap(pt, iova, done);
			return err;
		}
		done += 1ull << pt_shift(level);
	}
	return 0;
}

/* The leaf becomes a table of 512 smaller ones with the same meaning. */
static int split(struct page_table *pt, struct pt_table *t, unsigned i, unsigned level)
{
	u64 e = entry_get(t, i), step = 1ull << pt_shift(level - 1);
	struct pt_table *n = table_alloc(pt);

	if (!n)
		return -ENOMEM;
	for (unsigned k = 0; k < 512; k++)
		__atomic_store_n(&n->e[k], e + k * step, __ATOMIC_RELAXED);
	n->live = 512;
	entry_set(t, i, (uintptr_t)n | PT_TABLE);
	return 0;
}

/*
 * The way to what maps iova: path down to its table, and the level of the leaf. False: there is
 * none, and nothing below the entry at that level.
 */
static bool find(struct page_table *pt, u64 iova, struct pt_table *path[4], unsigned *level)
{
	path[3] = pt->root;
	for (*level = 3;; --*level) {
		u64 e = entry_get(path[*level], index_of(iova, *level));

		if (e & PT_LEAF)
			return true;
		if (!e)
			return false;
		path[*level - 1] = table_of(e);
	}
}

/* No leaf reaches across iova. */
static int split_at(struct page_table *pt, u64 iova)
{
	struct pt_table *path[4];
	unsigned level;

	while (iova <= PT_LAST && find(pt, iova, path, &level) &&
	       !IS_ALIGNED(iova, 1ull << pt_shift(level)))
		if (split(pt, path[level], index_of(iova, level), level))
			return -ENOMEM;
	return 0;
}

u64 pt_unmap(struct page_table *pt, u64 iova, u64 len)
{
	u64 end = iova + len, unmapped = 0;

	/* Usually whole leaves, and then this does nothing. */
	if (split_at(pt, iova) || split_at(pt, end))
		return 0;
	while (iova < end) {
		struct pt_table *path[4];
		unsigned level, i;
		u64 size;

		if (!find(pt, iova, path, &level)) {
			size = 1ull << pt_shift(level);
			iova = ALIGN_DOWN(iova, size) + size;
			continue;
		}
		size = 1ull << pt_shift(level);
		/* The rest of this table, without going down again. */
		for (i = index_of(iova, level); i < 512 && iova < end; i++, iova += size) {
			u64 e = entry_get(path[level], i);

			if (e & PT_TABLE)
				break;
			if (!e)
				continue;
			entry_set(path[level], i, 0);
			unmapped += size;
		}
		prune(pt, path, iova - size, level);
	}
	return unmapped;
}

int pt_remap(struct page_table *pt, u64 iova, u64 addr, u64 len)
{
	u64 start = iova, end = iova + len;

	if (split_at(pt, iova) || split_at(pt, end))
		return -ENOMEM;
	while (iova < end) {
		struct pt_table *path[4];
		unsigned level;
		bool there = find(pt, iova, path, &level);
		u64 size = 1ull << pt_shift(level), e;

		if (there) {
			e = entry_get(path[level], index_of(iova, level));
			entry_set(path[level], index_of(iova, level),
				  (addr + (iova - start)) | (e & PT_FLAGS));
		}
		iova = ALIGN_DOWN(iova, size) + size;
	}
	return 0;
}
