/* SPDX-License-Identifier: MIT */
/*
 * What all models' first stages need: words of a guest's tables, and both stages as one.
 *
 * Every address in such a table, and that it leads to, is an IOVA of the parent. The guest may
 * change any word at any time: each is read and changed as a whole, by one atomic access, under a
 * guard; what it says is the caller's to check. Nothing is cached but in a requester's tlb.
 */
#include "base/guard.h"
#include "iommu/soft.h"

/* Where a word of a table is in this process; the parent says whether it may be accessed. */
static enum soft_table word_addr(struct soft_domain *parent, u64 gpa, u32 prot, u64 *addr)
{
	struct pt_leaf leaf;

	if (!pt_lookup(&parent->pt, gpa, &leaf))
		return SOFT_TABLE_UNMAPPED;
	if (leaf.prot & PT_MMIO)
		return SOFT_TABLE_GONE;
	if ((leaf.prot & prot) != prot)
		return SOFT_TABLE_PERMISSION;
	*addr = leaf.addr + (gpa - leaf.start);
	return SOFT_TABLE_OK;
}

__attribute__((no_sanitize("address", "thread"), noinline))
static enum soft_table word_read(u64 addr, u64 *e)
{
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return SOFT_TABLE_GONE;
	*e = __atomic_load_n((u64 *)addr, __ATOMIC_ACQUIRE);
	sv_guard_leave(&g);
	return SOFT_TABLE_OK;
}

__attribute__((no_sanitize("address", "thread"), noinline))
static enum soft_table word_update(u64 addr, u64 old, u64 new, bool *changed)
{
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return SOFT_TABLE_GONE;
	*changed = !__atomic_compare_exchange_n((u64 *)addr, &old, new, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE);
	sv_guard_leave(&g);
	return SOFT_TABLE_OK;
}

enum soft_table soft_table_read(struct soft_domain *parent, u64 gpa, u64 *e)
{
	enum soft_table t;
	u64 addr;

	t = word_addr(parent, gpa, PT_READ, &addr);
	return t == SOFT_TABLE_OK ? word_read(addr, e) : t;
}

enum soft_table soft_table_update(struct soft_domain *parent, u64 gpa, u64 old, u64 new, bool *changed)
{
	struct dirty_map *map;
	enum soft_table t;
	u64 addr;

	t = word_addr(parent, gpa, PT_READ | PT_WRITE, &addr);
	if (t == SOFT_TABLE_OK)
		t = word_update(addr, old, new, changed);
	if (t != SOFT_TABLE_OK || *changed)
		return t;
	/* The tables are the guest's memory: the walk has written to it. */
	map = __atomic_load_n(&parent->dirty, __ATOMIC_ACQUIRE);
	if (map)
		soft_dirty_mark(map, gpa, sizeof(u64));
	return t;
}

bool soft_nested_leaf(struct soft_domain *parent, u64 iova, u64 gpa, u64 size, u32 prot,
		      struct pt_leaf *leaf, u64 *leaf_gpa)
{
	u64 off = iova & (size - 1), at = gpa + off, below;
	struct pt_leaf s2;

	if (!pt_lookup(&parent->pt, at, &s2))
		return false;
	below = min(off, at - s2.start);
	leaf->start = iova - below;
	leaf->last = iova + min(size - 1 - off, s2.last - at);
	leaf->addr = s2.addr + (at - s2.start) - below;
	leaf->prot = s2.prot & (prot | PT_MMIO);
	*leaf_gpa = at - below;
	return true;
}
