/* SPDX-License-Identifier: MIT */
/*
 * The IOMMU of emulated devices: domains and requesters. soft.h has the model.
 *
 * Locks: a domain's lock (nested: then the parent's), a requester's dma_lock, pri_lock.
 */
#include "iommu/soft.h"

#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "iommu/impl.h"

static struct soft_requester *requester_of(struct iommu_dev *dev)
{
	return dev->iommu_priv;
}

static const u8 zeroes[SV_PAGE_SIZE] __attribute__((aligned(4096)));

/*
 * An access that the model carries out without memory, and that is looked up again each time: its
 * page, for this one use.
 */
static const struct soft_tlb *sink(struct soft_requester *rq, struct soft_tlb *t,
				   const struct soft_access *access)
{
	*t = (struct soft_tlb){
		.start = ALIGN_DOWN(access->iova, SV_PAGE_SIZE),
		.last = access->iova | (SV_PAGE_SIZE - 1),
		.addr = access->write ? (u64)rq->sink : (u64)zeroes,
		.prot = PT_SINK,
	};
	return t;
}

const struct soft_tlb *soft_translate_slow(struct soft_requester *rq, struct soft_attach *att,
					   const struct soft_access *access, struct soft_miss *miss)
{
	struct soft_tlb *t = soft_tlb_slot(rq, access->iova, access->write);
	struct soft_domain *dom = att->dom;
	u64 generation = soft_generation(dom);
	struct pt_leaf leaf;
	u64 gpa = 0;

	if (dom->s1) {
		if (!dom->s1->lookup(dom, access, &leaf, &gpa, miss))
			return NULL;
		if (leaf.prot & PT_SINK)
			return sink(rq, t, access);
	} else if (!pt_lookup(&dom->pt, access->iova, &leaf)) {
		miss->reason = IOMMU_FAULT_UNMAPPED;
		return NULL;
	}
	if (!(leaf.prot & (access->write ? PT_WRITE : PT_READ))) {
		miss->reason = IOMMU_FAULT_PERMISSION;
		return NULL;
	}
	*t = (struct soft_tlb){
		.att = att, .pasid = access->pasid, .generation = generation, .start = leaf.start,
		.last = leaf.last, .addr = leaf.addr, .gpa = gpa, .prot = leaf.prot,
	};
	return t;
}

/* A piece of rq's that has begun is through. *last: whose it was before; many PASIDs are one requester's. */
static void wait_for_piece(struct soft_requester *rq, struct soft_requester **last)
{
	if (rq == *last)
		return;
	*last = rq;
	sv_mutex_lock(&rq->dma_lock);
	sv_mutex_unlock(&rq->dma_lock);
}

void soft_quiesce(struct soft_domain *dom)
{
	struct soft_requester *last = NULL;
	struct soft_attach *att;

	if (dom->d.type == IOMMU_DOMAIN_PAGING) {
		list_for_each_entry(att, &dom->attachments, parent_node)
			wait_for_piece(att->rq, &last);
		return;
	}
	list_for_each_entry(att, &dom->attachments, node)
		wait_for_piece(att->rq, &last);
}

void soft_invalidate(struct soft_domain *dom)
{
	SV_POINT(&dom->generation, true);
	__atomic_fetch_add(&dom->generation, 1, __ATOMIC_SEQ_CST);
	soft_quiesce(dom);
}

/* Paging domains. */

static bool in_range(u64 iova, u64 len)
{
	return len && iova <= PT_LAST && len - 1 <= PT_LAST - iova &&
	       IS_ALIGNED(iova | len, SV_PAGE_SIZE);
}

static int soft_map(struct iommu_domain *d, u64 iova, u64 addr, u64 len, int prot)
{
	struct soft_domain *dom = soft_domain_of(d);
	u32 flags = (prot & IOMMU_READ ? PT_READ : 0) | (prot & IOMMU_WRITE ? PT_WRITE : 0) |
		    (prot & IOMMU_MMIO ? PT_MMIO : 0);
	int err;

	if (!in_range(iova, len) || !IS_ALIGNED(addr, SV_PAGE_SIZE) || !flags)
		return -EINVAL;
	sv_mutex_lock(&dom->lock);
	err = pt_map(&dom->pt, iova, addr, len, flags);
	if (unlikely(err)) {
		soft_invalidate(dom);
		pt_release(&dom->pt);
	}
	sv_mutex_unlock(&dom->lock);
	return err;
}

static u64 soft_unmap(struct iommu_domain *d, u64 iova, u64 len)
{
	struct soft_domain *dom = soft_domain_of(d);
	u64 unmapped;

	if (!in_range(iova, len))
		return 0;
	sv_mutex_lock(&dom->lock);
	unmapped = pt_unmap(&dom->pt, iova, len);
	soft_invalidate(dom);
	pt_release(&dom->pt);
	sv_mutex_unlock(&dom->lock);
	return unmapped;
}

static int soft_remap(struct iommu_domain *d, u64 iova, u64 addr, u64 len)
{
	struct soft_domain *dom = soft_domain_of(d);
	int err;

	if (!in_range(iova, len) || !IS_ALIGNED(addr, SV_PAGE_SIZE))
		return -EINVAL;
	sv_mutex_lock(&dom->lock);
	err = pt_remap(&dom->pt, iova, addr, len);
	soft_invalidate(dom);
	sv_mutex_unlock(&dom->lock);
	return err;
}

static u64 soft_iova_to_phys(struct iommu_domain *d, u64 iova)
{
	struct soft_domain *dom = soft_domain_of(d);
	struct pt_leaf leaf;
	u64 addr = 0;

	/* Under the lock, because no dma_lock keeps the tables. */
	sv_mutex_lock(&dom->lock);
	if (pt_lookup(&dom->pt, iova, &leaf))
		addr = leaf.addr + (iova - leaf.start);
	sv_mutex_unlock(&dom->lock);
	return addr;
}

static bool soft_enforce_coherency(struct iommu_domain *d)
{
	return true;
}

static void soft_free(struct iommu_domain *d)
{
	struct soft_domain *dom = soft_domain_of(d);

	WARN_ON(!list_empty(&dom->attachments));
	soft_dirty_free(dom->dirty);
	pt_destroy(&dom->pt);
	sv_mutex_destroy(&dom->lock);
	sv_free(dom);
}

void soft_domain_init(struct soft_domain *dom, enum iommu_domain_type type,
		      const struct iommu_domain_ops *ops, const struct iommu_ops *owner)
{
	sv_mutex_init(&dom->lock);
	INIT_LIST_HEAD(&dom->attachments);
	dom->d.type = type;
	dom->d.owner = owner;
	dom->d.ops = ops;
	dom->d.pgsize_bitmap = SV_PAGE_SIZE | BIT(21) | BIT(30);
	dom->d.aperture_end = PT_LAST;
	dom->d.force_aperture = true;
}

void soft_nested_init(struct soft_domain *dom, struct iommu_domain *parent,
		      const struct iommu_domain_ops *ops, const struct soft_s1_ops *s1)
{
	soft_domain_init(dom, IOMMU_DOMAIN_NESTED, ops, parent->owner);
	dom->parent = soft_domain_of(parent);
	dom->s1 = s1;
}

void soft_nested_fini(struct soft_domain *dom)
{
	WARN_ON(!list_empty(&dom->attachments));
	sv_mutex_destroy(&dom->lock);
}

static const struct iommu_domain_ops soft_paging_ops = {
	.attach_dev = soft_attach_dev,
	.map = soft_map,
	.unmap = soft_unmap,
	.remap = soft_remap,
	.iova_to_phys = soft_iova_to_phys,
	.enforce_cache_coherency = soft_enforce_coherency,
	.free = soft_free,
};

#define PAGING_FLAGS (IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING | \
		      IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID)

struct iommu_domain *soft_domain_alloc_paging(struct iommu_dev *dev, u32 flags,
					      const struct iommu_user_data *user_data)
{
	struct soft_domain *dom;

	if ((flags & ~PAGING_FLAGS) || user_data)
		return ERR_PTR(-EOPNOTSUPP);
	dom = sv_zalloc(sizeof(*dom));
	if (!dom)
		return ERR_PTR(-ENOMEM);
	if (pt_init(&dom->pt)) {
		sv_free(dom);
		return ERR_PTR(-ENOMEM);
	}
	soft_domain_init(dom, IOMMU_DOMAIN_PAGING, &soft_paging_ops, dev->iommu);
	if (flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING)
		dom->d.dirty_ops = &soft_dirty_ops;
	return &dom->d;
}

/* Attaching. */

static void link_attach(struct soft_attach *att)
{
	struct soft_domain *dom = att->dom, *paging = dom->parent ? dom->parent : dom;

	if (dom->parent) {
		sv_mutex_lock(&dom->lock);
		list_add_tail(&att->node, &dom->attachments);
		sv_mutex_unlock(&dom->lock);
	}
	sv_mutex_lock(&paging->lock);
	list_add_tail(&att->parent_node, &paging->attachments);
	sv_mutex_unlock(&paging->lock);
}

static void unlink_attach(struct soft_attach *att)
{
	struct soft_domain *dom = att->dom, *paging = dom->parent ? dom->parent : dom;

	sv_mutex_lock(&paging->lock);
	list_del(&att->parent_node);
	sv_mutex_unlock(&paging->lock);
	if (dom->parent) {
		sv_mutex_lock(&dom->lock);
		list_del(&att->node);
		sv_mutex_unlock(&dom->lock);
	}
}

/* new, or NULL, takes the place of what is there. After it no piece uses the old one. */
static struct soft_attach *swap(struct soft_requester *rq, u32 pasid, struct soft_attach *new)
{
	struct soft_attach *old;

	sv_mutex_lock(&rq->dma_lock);
	old = soft_attach_exact(rq, pasid);
	if (new)
		new->serial = ++rq->attaches;
	if (pasid == IOMMU_NO_PASID) {
		rq->none = new;
	} else {
		if (old)
			interval_tree_remove(&rq->pasids, &old->by_pasid);
		if (new)
			interval_tree_insert(&rq->pasids, &new->by_pasid);
	}
	memset(rq->tlb, 0, sizeof(rq->tlb));
	sv_mutex_unlock(&rq->dma_lock);
	return old;
}

/* A guest's PASID table and PASIDs of the host's exclude each other; then what the model says. */
static int attach_check(struct soft_domain *dom, struct iommu_dev *dev, u32 pasid,
			struct soft_attach *att)
{
	struct soft_requester *rq = requester_of(dev);

	if (pasid != IOMMU_NO_PASID && rq->none && rq->none->dom->s1 &&
	    rq->none->dom->s1->pasid_table)
		return -EINVAL;
	if (!dom->s1)
		return 0;
	if (dom->s1->pasid_table && pasid != IOMMU_NO_PASID)
		return -EINVAL;
	if (dom->s1->pasid_table && !interval_tree_empty(&rq->pasids))
		return -EBUSY;
	return dom->s1->attach ? dom->s1->attach(dom, dev, att) : 0;
}

static struct soft_attach *attach_new(struct soft_domain *dom, struct iommu_dev *dev, u32 pasid)
{
	struct soft_attach *att = sv_zalloc(sizeof(*att));
	int err = att ? attach_check(dom, dev, pasid, att) : -ENOMEM;

	if (err) {
		sv_free(att);
		return ERR_PTR(err);
	}
	att->by_pasid.start = pasid;
	att->by_pasid.last = pasid;
	att->rq = requester_of(dev);
	att->dom = dom;
	return att;
}

/* The group's lock keeps two of them for one requester apart. */
int soft_attach_dev(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid, struct iommu_domain *old_domain)
{
	struct soft_requester *rq = requester_of(dev);
	struct soft_attach *att = NULL, *old;

	if (pasid != IOMMU_NO_PASID && pasid >= dev->max_pasids)
		return -EINVAL;
	if (d->type != IOMMU_DOMAIN_BLOCKED) {
		att = attach_new(soft_domain_of(d), dev, pasid);
		if (IS_ERR(att))
			return (int)PTR_ERR(att);
		/* First onto the list: an invalidation from now on waits for what uses it. */
		link_attach(att);
	}
	old = swap(rq, pasid, att);
	if (old) {
		soft_faults_cancel(rq, old);
		unlink_attach(old);
		sv_free(old);
	}
	return 0;
}

static const struct iommu_domain_ops blocked_ops = {
	.attach_dev = soft_attach_dev,
};

struct iommu_domain soft_blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &blocked_ops,
};

/* Requesters. */

int soft_probe(struct iommu_dev *dev)
{
	struct soft_requester *rq;

	/* A cache line of its own: every piece of DMA writes to it. */
	rq = sv_alloc_aligned(64, sizeof(*rq));
	if (!rq)
		return -ENOMEM;
	memset(rq, 0, sizeof(*rq));
	sv_mutex_init(&rq->dma_lock);
	sv_mutex_init(&rq->pri_lock);
	sv_cond_init(&rq->pri_answer);
	INIT_LIST_HEAD(&rq->pri_waiting);
	rq->dev = dev;
	rq->enabled = true;
	dev->iommu_priv = rq;
	return 0;
}

void soft_release(struct iommu_dev *dev)
{
	struct soft_requester *rq = requester_of(dev);

	WARN_ON(rq->none || !interval_tree_empty(&rq->pasids));
	sv_cond_destroy(&rq->pri_answer);
	sv_mutex_destroy(&rq->pri_lock);
	sv_mutex_destroy(&rq->dma_lock);
	sv_free(rq->sink);
	sv_free(rq);
	dev->iommu_priv = NULL;
}

bool soft_capable(struct iommu_dev *dev, enum iommu_cap cap)
{
	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
	case IOMMU_CAP_ENFORCE_CACHE_COHERENCY:
	case IOMMU_CAP_DIRTY_TRACKING:
		return true;
	case IOMMU_CAP_PASID:
		return dev->max_pasids != 0;
	default:
		return false;
	}
}

int soft_enable_iopf(struct iommu_dev *dev)
{
	struct soft_requester *rq = requester_of(dev);

	if (!dev->pri)
		return -ENODEV;
	__atomic_fetch_add(&rq->iopf_enabled, 1, __ATOMIC_RELAXED);
	return 0;
}

void soft_disable_iopf(struct iommu_dev *dev)
{
	__atomic_fetch_sub(&requester_of(dev)->iopf_enabled, 1, __ATOMIC_RELAXED);
}
