/* SPDX-License-Identifier: MIT */
/*
 * Two stages of translation: a guest's own page table, in the guest's memory, over a paging domain.
 *
 * The format is Intel VT-d's first stage (Scalable Mode, VT-d specification 9.6 and 3.6): x86-64's,
 * of 4 or 5 levels. Every address in it, and that it leads to, is an IOVA of the parent. Requests
 * are of user privilege, so each entry on the way must have U/S set; reserved bits must be 0. The
 * accessed flag is set in every entry used, the dirty flag in the leaf by a write, atomically.
 *
 * A walk runs under dma_lock of the requester that wants it, so an invalidation of the parent
 * (soft.h) waits for it, too. The guest must invalidate what it changes; nothing is cached but in
 * tlb.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "iommu/impl.h"
#include "iommu/soft.h"

#define S1_P BIT(0)
#define S1_RW BIT(1)
#define S1_US BIT(2)
#define S1_A BIT(5)
#define S1_D BIT(6)
#define S1_PS BIT(7)
#define S1_ADDR GENMASK(51, 12)

/*
 * The entry at addr of this process; sets bits if it still is what was read. False: no memory
 * there.
 */
__attribute__((no_sanitize("address", "thread"), noinline))
static bool entry_read(u64 addr, u64 *e)
{
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return false;
	*e = __atomic_load_n((u64 *)addr, __ATOMIC_ACQUIRE);
	sv_guard_leave(&g);
	return true;
}

__attribute__((no_sanitize("address", "thread"), noinline))
static bool entry_or(u64 addr, u64 old, u64 bits, bool *changed)
{
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return false;
	*changed = !__atomic_compare_exchange_n((u64 *)addr, &old, old | bits, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	sv_guard_leave(&g);
	return true;
}

/* A page table's entry, by the parent's addresses. 0 when the guest can have none there. */
static u64 entry_addr(struct soft_domain *dom, u64 gpa)
{
	struct pt_leaf leaf;

	if (!pt_lookup(&dom->parent->pt, gpa, &leaf) || (leaf.prot & PT_MMIO) ||
	    (leaf.prot & (PT_READ | PT_WRITE)) != (PT_READ | PT_WRITE))
		return 0;
	return leaf.addr + (gpa - leaf.start);
}

/* Bits that must be 0 in a leaf at this level: the address's below its size, but for PAT (12). */
static bool leaf_ok(u64 e, unsigned level)
{
	if (!level)
		return true;
	return level <= 2 && !(e & GENMASK(pt_shift(level) - 1, 13));
}

enum walk { WALK_OK, WALK_FAULT, WALK_AGAIN };

/* The first stage: the leaf's size and the parent's address of its beginning. */
static enum walk walk_s1(struct soft_domain *dom, u64 iova, bool write, u64 *gpa, unsigned *level,
			 bool *writable, enum iommu_fault_reason *reason)
{
	u64 table = dom->s1_root, e, bits;
	struct dirty_map *map;
	bool rw = true, changed;

	*reason = IOMMU_FAULT_UNMAPPED;
	/* Canonical addresses only. */
	if ((u64)((s64)(iova << (64 - pt_shift(dom->s1_levels))) >> (64 - pt_shift(dom->s1_levels))) !=
	    iova)
		return WALK_FAULT;
	for (*level = dom->s1_levels - 1;; --*level) {
		u64 at = entry_addr(dom, table + ((iova >> pt_shift(*level)) & 511) * 8);
		bool leaf;

		if (!at || !entry_read(at, &e))
			return WALK_FAULT;
		if (!(e & S1_P))
			return WALK_FAULT;
		leaf = !*level || (e & S1_PS);
		if (leaf ? !leaf_ok(e, *level) : *level == 4 && (e & S1_PS))
			return WALK_FAULT;
		rw = rw && (e & S1_RW);
		if (!(e & S1_US) || (write && !rw)) {
			*reason = IOMMU_FAULT_PERMISSION;
			return WALK_FAULT;
		}
		bits = S1_A | (leaf && write ? S1_D : 0);
		if ((e & bits) != bits) {
			if (!entry_or(at, e, bits, &changed))
				return WALK_FAULT;
			if (changed)
				return WALK_AGAIN;
			/* The tables are the guest's memory: the walk has written to it. */
			map = __atomic_load_n(&dom->parent->dirty, __ATOMIC_ACQUIRE);
			if (map)
				soft_dirty_mark(map, table + ((iova >> pt_shift(*level)) & 511) * 8, 8);
		}
		table = e & S1_ADDR;
		if (leaf)
			break;
	}
	*gpa = table & ~(u64)GENMASK(pt_shift(*level) - 1, 0);
	/* A write must come here again to set D. */
	*writable = rw && (write || (e & S1_D));
	return WALK_OK;
}

bool soft_nested_lookup(struct soft_domain *dom, u64 iova, bool write, struct pt_leaf *leaf, u64 *gpa,
			enum iommu_fault_reason *reason)
{
	struct pt_leaf s2;
	unsigned level;
	bool writable;
	enum walk w;
	u64 size, off, below;

	/* Another CPU of the guest may be changing it; a few tries are plenty. */
	for (unsigned i = 0; i < 16; i++) {
		w = walk_s1(dom, iova, write, gpa, &level, &writable, reason);
		if (w != WALK_AGAIN)
			break;
	}
	if (w != WALK_OK)
		return false;
	size = 1ull << pt_shift(level);
	off = iova & (size - 1);
	*reason = IOMMU_FAULT_UNMAPPED;
	if (!pt_lookup(&dom->parent->pt, *gpa + off, &s2))
		return false;
	/* What both stages map in one piece around iova. */
	below = min(off, *gpa + off - s2.start);
	leaf->start = iova - below;
	leaf->last = iova + min(size - 1 - off, s2.last - (*gpa + off));
	leaf->addr = s2.addr + (*gpa + off - s2.start) - below;
	leaf->prot = s2.prot & (writable ? PT_PROT : PT_READ | PT_MMIO);
	*gpa += off - below;
	return true;
}

/*
 * After the guest has changed its tables. The caches of all requesters on this domain are dropped
 * whole, which covers every range that may be asked for.
 */
static int soft_cache_invalidate(struct iommu_domain *d, struct iommu_user_data_array *array)
{
	struct soft_domain *dom = soft_domain_of(d);
	struct iommu_hwpt_vtd_s1_invalidate inv;
	u32 done = 0;
	int err = 0;

	if (array->type != IOMMU_HWPT_INVALIDATE_DATA_VTD_S1) {
		err = -EINVAL;
		goto out;
	}
	for (; done < array->entry_num; done++) {
		err = iommu_copy_struct_from_user_array(&inv, sizeof(inv), sizeof(inv),
							IOMMU_HWPT_INVALIDATE_DATA_VTD_S1, array, done);
		if (err)
			break;
		if ((inv.flags & ~IOMMU_VTD_INV_FLAGS_LEAF) || inv.__reserved) {
			err = -EOPNOTSUPP;
			break;
		}
		if (!IS_ALIGNED(inv.addr, SV_PAGE_SIZE) || ((inv.npages == ~0ull) && inv.addr)) {
			err = -EINVAL;
			break;
		}
	}
	if (done) {
		sv_mutex_lock(&dom->lock);
		soft_invalidate(dom);
		sv_mutex_unlock(&dom->lock);
	}
out:
	array->entry_num = done;
	return err;
}

static void nested_free(struct iommu_domain *d)
{
	struct soft_domain *dom = soft_domain_of(d);

	WARN_ON(!list_empty(&dom->attachments));
	sv_mutex_destroy(&dom->lock);
	sv_free(dom);
}

static const struct iommu_domain_ops soft_nested_ops = {
	.attach_dev = soft_attach_dev,
	.cache_invalidate_user = soft_cache_invalidate,
	.free = nested_free,
};

#define S1_FLAGS (IOMMU_VTD_S1_SRE | IOMMU_VTD_S1_EAFE | IOMMU_VTD_S1_WPE)

struct iommu_domain *soft_domain_alloc_nested(struct iommu_dev *dev, struct iommu_domain *parent,
					      u32 flags, const struct iommu_user_data *user_data)
{
	struct iommu_hwpt_vtd_s1 s1;
	struct soft_domain *dom;
	int err;

	if (flags & ~(IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID))
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->owner != &soft_iommu_ops || parent->type != IOMMU_DOMAIN_PAGING)
		return ERR_PTR(-EINVAL);
	err = iommu_copy_struct_from_user(&s1, sizeof(s1), sizeof(s1), IOMMU_HWPT_DATA_VTD_S1,
					  user_data);
	if (err)
		return ERR_PTR(err);
	if ((s1.flags & ~(u64)S1_FLAGS) || s1.__reserved)
		return ERR_PTR(-EOPNOTSUPP);
	if ((s1.addr_width != 48 && s1.addr_width != 57) || !IS_ALIGNED(s1.pgtbl_addr, SV_PAGE_SIZE))
		return ERR_PTR(-EINVAL);
	dom = sv_zalloc(sizeof(*dom));
	if (!dom)
		return ERR_PTR(-ENOMEM);
	soft_domain_init(dom, IOMMU_DOMAIN_NESTED, &soft_nested_ops);
	dom->parent = soft_domain_of(parent);
	dom->s1_root = s1.pgtbl_addr;
	dom->s1_levels = s1.addr_width == 57 ? 5 : 4;
	return &dom->d;
}

/* VT-d specification 11.4.2 and 11.4.3; only what is true here. */
#define CAP_ND_64K_DOMAINS 6ull
#define CAP_SAGAW_4LEVEL (4ull << 8)
#define CAP_MGAW_48 (47ull << 16)
#define CAP_SLLPS_2M_1G (3ull << 34)
#define CAP_FL1GP BIT(56)
#define CAP_FL5LP BIT(60)
#define ECAP_C BIT(0)
#define ECAP_SC BIT(7)
#define ECAP_NEST BIT(26)
#define ECAP_PRS BIT(29)
#define ECAP_PSS_20 (19ull << 35)
#define ECAP_PASID BIT(40)
#define ECAP_SMTS BIT(43)
#define ECAP_SLADS BIT(45)
#define ECAP_SLTS BIT(46)
#define ECAP_FLTS BIT(47)

void *soft_hw_info(struct iommu_dev *dev, u32 *length, u32 *type)
{
	struct iommu_hw_info_vtd *info = sv_zalloc(sizeof(*info));

	if (!info)
		return ERR_PTR(-ENOMEM);
	info->cap_reg = CAP_ND_64K_DOMAINS | CAP_SAGAW_4LEVEL | CAP_MGAW_48 | CAP_SLLPS_2M_1G |
			CAP_FL1GP | CAP_FL5LP;
	info->ecap_reg = ECAP_C | ECAP_SC | ECAP_NEST | ECAP_PSS_20 | ECAP_PASID | ECAP_SMTS |
			 ECAP_SLADS | ECAP_SLTS | ECAP_FLTS | (dev->pri ? ECAP_PRS : 0);
	*length = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	return info;
}
