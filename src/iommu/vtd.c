/* SPDX-License-Identifier: MIT */
/*
 * The soft IOMMU as Intel VT-d: what it says of itself, and a guest's first stage.
 *
 * The format is VT-d's first stage (Scalable Mode, VT-d specification 9.6 and 3.6): x86-64's,
 * of 4 or 5 levels. Requests are of user privilege, so each entry on the way must have U/S set;
 * reserved bits must be 0. The accessed flag is set in every entry used, the dirty flag in the leaf
 * by a write, atomically.
 *
 * A walk runs under dma_lock of the requester that wants it, so an invalidation of the parent
 * (soft.h) waits for it, too. The guest must invalidate what it changes.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "iommu/impl.h"
#include "iommu/soft.h"

#define S1_P BIT(0)
#define S1_RW BIT(1)
#define S1_US BIT(2)
#define S1_A BIT(5)
#define S1_D BIT(6)
#define S1_PS BIT(7)
#define S1_ADDR GENMASK(51, 12)

struct vtd_nested {
	struct soft_domain dom;
	u64 root;			/* where the first table is, by the parent's addresses */
	u32 levels;			/* 4 or 5 */
};

static struct vtd_nested *vtd_nested_of(struct soft_domain *dom)
{
	return container_of(dom, struct vtd_nested, dom);
}

/* Bits that must be 0 in a leaf at this level: the address's below its size, but for PAT (12). */
static bool leaf_ok(u64 e, unsigned level)
{
	if (!level)
		return true;
	return level <= 2 && !(e & GENMASK(pt_shift(level) - 1, 13));
}

enum walk { WALK_OK, WALK_FAULT, WALK_AGAIN };

static bool canonical(u64 iova, unsigned levels)
{
	unsigned up = 64 - pt_shift(levels);

	return (u64)((s64)(iova << up) >> up) == iova;
}

/* What the first stage says of an access. */
struct s1 {
	u64 gpa;			/* the parent's address of the leaf's beginning */
	unsigned level;			/* the leaf's */
	bool writable;
};

/* A table's entry, and the flags that this use sets in it. */
static enum walk use_entry(struct soft_domain *parent, u64 at, u64 bits, u64 *e, struct soft_miss *miss)
{
	enum soft_table t;
	bool changed;

	if ((*e & bits) == bits)
		return WALK_OK;
	t = soft_table_update(parent, at, *e, *e | bits, &changed);
	if (t != SOFT_TABLE_OK) {
		miss->table_gone = t == SOFT_TABLE_GONE;
		return WALK_FAULT;
	}
	return changed ? WALK_AGAIN : WALK_OK;
}

static enum walk walk_s1(struct vtd_nested *n, const struct soft_access *access, struct s1 *out,
			 struct soft_miss *miss)
{
	struct soft_domain *parent = n->dom.parent;
	u64 table = n->root, at, e;
	bool rw = true, leaf;
	enum soft_table t;
	enum walk w;

	miss->reason = IOMMU_FAULT_UNMAPPED;
	if (!canonical(access->iova, n->levels))
		return WALK_FAULT;
	for (out->level = n->levels - 1;; --out->level) {
		at = table + ((access->iova >> pt_shift(out->level)) & 511) * 8;
		t = soft_table_read(parent, at, &e);
		miss->table_gone = t == SOFT_TABLE_GONE;
		if (t != SOFT_TABLE_OK || !(e & S1_P))
			return WALK_FAULT;
		leaf = !out->level || (e & S1_PS);
		if (leaf ? !leaf_ok(e, out->level) : out->level == 4 && (e & S1_PS))
			return WALK_FAULT;
		rw = rw && (e & S1_RW);
		if (!(e & S1_US) || (access->write && !rw)) {
			miss->reason = IOMMU_FAULT_PERMISSION;
			return WALK_FAULT;
		}
		w = use_entry(parent, at, S1_A | (leaf && access->write ? S1_D : 0), &e, miss);
		if (w != WALK_OK)
			return w;
		table = e & S1_ADDR;
		if (leaf)
			break;
	}
	out->gpa = table & ~(u64)GENMASK(pt_shift(out->level) - 1, 0);
	/* A write must come here again to set D. */
	out->writable = rw && (access->write || (e & S1_D));
	return WALK_OK;
}

static bool vtd_lookup(struct soft_domain *dom, const struct soft_access *access, struct pt_leaf *leaf,
		       u64 *gpa, struct soft_miss *miss)
{
	enum walk w = WALK_AGAIN;
	struct s1 s1;

	/* Another CPU of the guest may be changing it; a few tries are plenty. */
	for (unsigned i = 0; i < 16 && w == WALK_AGAIN; i++)
		w = walk_s1(vtd_nested_of(dom), access, &s1, miss);
	if (w != WALK_OK)
		return false;
	miss->reason = IOMMU_FAULT_UNMAPPED;
	return soft_nested_leaf(dom->parent, access->iova, s1.gpa, 1ull << pt_shift(s1.level),
				s1.writable ? PT_READ | PT_WRITE : PT_READ, leaf, gpa);
}

static const struct soft_s1_ops vtd_s1_ops = {
	.lookup = vtd_lookup,
};

/*
 * After the guest has changed its tables. The caches of all requesters on this domain are dropped
 * whole, which covers every range that may be asked for.
 */
static int vtd_cache_invalidate(struct iommu_domain *d, struct iommu_user_data_array *array)
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

	soft_nested_fini(dom);
	sv_free(vtd_nested_of(dom));
}

static const struct iommu_domain_ops vtd_nested_ops = {
	.attach_dev = soft_attach_dev,
	.cache_invalidate_user = vtd_cache_invalidate,
	.free = nested_free,
};

#define S1_FLAGS (IOMMU_VTD_S1_SRE | IOMMU_VTD_S1_EAFE | IOMMU_VTD_S1_WPE)

static struct iommu_domain *vtd_alloc_nested(struct iommu_dev *dev, struct iommu_domain *parent,
					     u32 flags, const struct iommu_user_data *user_data)
{
	struct iommu_hwpt_vtd_s1 s1;
	struct vtd_nested *n;
	int err;

	if (flags & ~(IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID))
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->owner != dev->iommu || parent->type != IOMMU_DOMAIN_PAGING)
		return ERR_PTR(-EINVAL);
	err = iommu_copy_struct_from_user(&s1, sizeof(s1), sizeof(s1), IOMMU_HWPT_DATA_VTD_S1,
					  user_data);
	if (err)
		return ERR_PTR(err);
	if ((s1.flags & ~(u64)S1_FLAGS) || s1.__reserved)
		return ERR_PTR(-EOPNOTSUPP);
	if ((s1.addr_width != 48 && s1.addr_width != 57) || !IS_ALIGNED(s1.pgtbl_addr, SV_PAGE_SIZE))
		return ERR_PTR(-EINVAL);
	n = sv_zalloc(sizeof(*n));
	if (!n)
		return ERR_PTR(-ENOMEM);
	soft_nested_init(&n->dom, parent, &vtd_nested_ops, &vtd_s1_ops);
	n->root = s1.pgtbl_addr;
	n->levels = s1.addr_width == 57 ? 5 : 4;
	return &n->dom.d;
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

static void *vtd_hw_info(struct iommu_dev *dev, u32 *length, u32 *type)
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

/* x86's interrupt window. Not a software one: the address is fixed. */
static unsigned vtd_resv_regions(struct iommu_dev *dev, struct iommu_resv_region *out, unsigned room)
{
	if (room)
		out[0] = (struct iommu_resv_region){ .start = 0xfee00000, .length = 0x100000 };
	return 1;
}

const struct iommu_ops vtd_iommu_ops = {
	.name = "vtd",
	SOFT_COMMON_OPS,
	.hw_info = vtd_hw_info,
	.domain_alloc_nested = vtd_alloc_nested,
	.get_resv_regions = vtd_resv_regions,
};
