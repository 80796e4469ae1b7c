/* SPDX-License-Identifier: MIT */
/*
 * The soft IOMMU's page table: from IOVA to address and permissions.
 *
 * Model: a radix tree of four levels, 9 bits each, over 48 bits of IOVA, as in hardware: leaves of
 * 4 KiB, 2 MiB and 1 GiB. Unlike in hardware a large leaf needs only an aligned IOVA; the address
 * is any multiple of 4 KiB, and what it maps is linear from there. So a map of a gigabyte is a few
 * stores, wherever the host has the memory.
 *
 * Walkers take no lock: entries change by single atomic stores. Writers exclude each other (the
 * domain's lock). A table that has become empty is unhooked at once, and reused or freed by
 * pt_release(), which the owner calls when no walker can be in it any more (after the
 * invalidation).
 */
#ifndef SV_IOMMU_PAGE_TABLE_H
#define SV_IOMMU_PAGE_TABLE_H

#include "base/types.h"
#include "softvirt/dma-types.h"

#define PT_BITS 48
#define PT_LAST ((1ull << PT_BITS) - 1)

/* Flags of an entry; an entry of 0 maps nothing. */
#define PT_READ BIT(0)
#define PT_WRITE BIT(1)
#define PT_MMIO BIT(2)
#define PT_LEAF BIT(3)
#define PT_TABLE BIT(4)
#define PT_FLAGS 0x3full
#define PT_PROT (PT_READ | PT_WRITE | PT_MMIO)

struct pt_table {
	u64 e[512];
	u32 live;		/* entries that are not 0 */
	struct pt_table *next;	/* unhooked or in the cache */
} __attribute__((aligned(64)));

struct page_table {
	struct pt_table *root;
	struct pt_table *unhooked, *cache;
	u32 nr_cached;
};

/* One leaf: iova is in [start, last], and maps to addr + (iova - start). */
struct pt_leaf {
	u64 start, last, addr;
	u32 prot;		/* PT_READ, PT_WRITE, PT_MMIO */
};

/* 0 or -ENOMEM. */
int pt_init(struct page_table *pt);
void pt_destroy(struct page_table *pt);
/* All of it or nothing: -ENOMEM, -EADDRINUSE. Multiples of 4 KiB within the 48 bits. */
int pt_map(struct page_table *pt, u64 iova, u64 addr, u64 len, u32 prot);
/*
 * Bytes that were mapped. Less than were there only if a large leaf had to be split and memory is
 * short.
 */
u64 pt_unmap(struct page_table *pt, u64 iova, u64 len);
/*
 * What is mapped in the range has its addresses changed to the linear stretch at addr. -ENOMEM:
 * unchanged.
 */
int pt_remap(struct page_table *pt, u64 iova, u64 addr, u64 len);
void pt_release(struct page_table *pt);

static inline unsigned pt_shift(unsigned level)
{
	return 12 + 9 * level;
}

/* Leaves of one table are looked at together: so many pages ahead. */
#define PT_AHEAD 64

/*
 * Any thread. False: not mapped. The leaf, or as much of what follows in its table as continues
 * it: memory is usually linear over many pages.
 */
static inline bool pt_lookup(const struct page_table *pt, u64 iova, struct pt_leaf *leaf)
{
	const struct pt_table *t = pt->root;

	if (unlikely(iova > PT_LAST))
		return false;
	for (unsigned level = 3;; level--) {
		unsigned shift = pt_shift(level);
		u64 e;

		SV_POINT(&t->e[(iova >> shift) & 511], false);
		e = __atomic_load_n(&t->e[(iova >> shift) & 511], __ATOMIC_ACQUIRE);

		if (e & PT_LEAF) {
			leaf->start = iova >> shift << shift;
			leaf->last = leaf->start + (1ull << shift) - 1;
			leaf->addr = e & ~PT_FLAGS;
			leaf->prot = e & PT_PROT;
			for (unsigned i = (iova >> 12) & 511, end = i + PT_AHEAD;
			     !level && i < 511 && i < end; i++) {
				e += SV_PAGE_SIZE;
				if (__atomic_load_n(&t->e[i + 1], __ATOMIC_ACQUIRE) != e)
					break;
				leaf->last += SV_PAGE_SIZE;
			}
			return true;
		}
		if (!e)
			return false;
		t = (const struct pt_table *)(uintptr_t)(e & ~PT_FLAGS);
	}
}

#endif
