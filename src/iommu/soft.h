/* SPDX-License-Identifier: MIT */
/*
 * The inside of the soft IOMMU: for soft_iommu.c (domains, requesters), nested.c, dirty.c and
 * dma.c.
 *
 * Model: a requester has an attachment for each PASID that is attached. It keeps the translations
 * that it used last (tlb); an entry is good as long as the domain's generation (and a nested one's
 * parent's) is what it was. All of it is under dma_lock, which a piece of DMA holds from
 * translation to the last byte.
 *
 * Invalidation: change the page table, raise the generation, then take and drop the dma_lock of
 * every requester attached. A nested domain's attachments are on its parent's list, too.
 */
#ifndef SV_IOMMU_SOFT_H
#define SV_IOMMU_SOFT_H

#include "base/interval_tree.h"
#include "iommu/iommu.h"
#include "iommu/page_table.h"

struct soft_requester;
struct dirty_map;

struct soft_domain {
	struct iommu_domain d;
	struct sv_mutex lock;		/* attachments, writers of pt */
	struct list_head attachments;	/* soft_attach.node; of nested ones parent_node */
	u64 generation;			/* atomic */
	struct page_table pt;		/* PAGING */
	struct dirty_map *dirty;	/* NULL: no tracking; atomic, freed after an invalidation */

	struct soft_domain *parent;	/* NESTED: outlives this one */
	u64 s1_root;			/* where the first table is, by the parent's addresses */
	u32 s1_levels;			/* 4 or 5 */
};

struct soft_attach {
	struct interval_tree_node by_pasid;	/* soft_requester.pasids */
	struct soft_requester *rq;
	struct soft_domain *dom;
	struct list_head node, parent_node;
	u32 handlers;			/* page faults that are being handed over; pri_lock */
};

struct soft_tlb {
	const struct soft_attach *att;	/* NULL: empty */
	u64 generation;			/* the domain's plus its parent's */
	u64 start, last, addr;
	u64 gpa;			/* NESTED: the parent's IOVA of start */
	u32 prot;
};
#define SOFT_TLB_SIZE 64		/* half of it for reads, half for writes: a copy's ends don't meet */

struct soft_requester {
	struct sv_mutex dma_lock;
	struct iommu_dev *dev;
	bool enabled;			/* bus mastering */
	struct soft_attach *none;	/* IOMMU_NO_PASID's */
	struct interval_tree pasids;
	struct soft_tlb tlb[SOFT_TLB_SIZE];

	struct sv_mutex pri_lock;	/* innermost */
	struct sv_cond pri_answer;
	struct list_head pri_waiting;	/* struct soft_fault */
	u32 pri_next;
	u32 pri_off;			/* iommu_dma_page_requests(): how often it is off */
	u32 iopf_enabled;
};

static inline struct soft_domain *soft_domain_of(struct iommu_domain *d)
{
	return container_of(d, struct soft_domain, d);
}

static inline u64 soft_generation(const struct soft_domain *dom)
{
	u64 g;

	SV_POINT(&dom->generation, false);
	g = __atomic_load_n(&dom->generation, __ATOMIC_ACQUIRE);
	if (unlikely(dom->parent))
		g += __atomic_load_n(&dom->parent->generation, __ATOMIC_ACQUIRE);
	return g;
}

static inline struct soft_attach *soft_attach_find(struct soft_requester *rq, u32 pasid)
{
	struct interval_tree_node *n;

	if (likely(pasid == IOMMU_NO_PASID))
		return rq->none;
	n = interval_tree_iter_first(&rq->pasids, pasid, pasid);
	return n ? container_of(n, struct soft_attach, by_pasid) : NULL;
}

static inline struct soft_tlb *soft_tlb_slot(struct soft_requester *rq, u64 iova, bool write)
{
	u64 page = iova >> SV_PAGE_SHIFT;

	return &rq->tlb[((page ^ page >> 6 ^ page >> 18) % (SOFT_TLB_SIZE / 2)) * 2 + write];
}

/* dma_lock held. NULL, and *reason: no translation with this permission. */
const struct soft_tlb *soft_translate_slow(struct soft_requester *rq, struct soft_attach *att, u64 iova,
					   bool write, enum iommu_fault_reason *reason);
static inline const struct soft_tlb *soft_translate(struct soft_requester *rq,
						    struct soft_attach *att, u64 iova, bool write,
						    enum iommu_fault_reason *reason)
{
	const struct soft_tlb *t = soft_tlb_slot(rq, iova, write);

	if (likely(t->att == att && iova - t->start <= t->last - t->start &&
		   t->prot & (write ? PT_WRITE : PT_READ) &&
		   t->generation == soft_generation(att->dom)))
		return t;
	return soft_translate_slow(rq, att, iova, write, reason);
}

/* nested.c: both stages. */
bool soft_nested_lookup(struct soft_domain *dom, u64 iova, bool write, struct pt_leaf *leaf, u64 *gpa,
			enum iommu_fault_reason *reason);
struct iommu_domain *soft_domain_alloc_nested(struct iommu_dev *dev, struct iommu_domain *parent,
					      u32 flags, const struct iommu_user_data *user_data);
void *soft_hw_info(struct iommu_dev *dev, u32 *length, u32 *type);

/* soft_iommu.c. After a change of the page table. dom->lock held. */
void soft_invalidate(struct soft_domain *dom);
/* Waits for pieces of DMA under way. dom->lock held. */
void soft_quiesce(struct soft_domain *dom);
/* What any domain of this IOMMU starts with. */
void soft_domain_init(struct soft_domain *dom, enum iommu_domain_type type,
		      const struct iommu_domain_ops *ops);
int soft_attach_dev(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid,
		    struct iommu_domain *old);

/* dirty.c */
extern const struct iommu_dirty_ops soft_dirty_ops;
/* iova..., by DMA, after the bytes were written. dma_lock held. */
void soft_dirty_mark(struct dirty_map *map, u64 iova, u64 len);
void soft_dirty_free(struct dirty_map *map);

/*
 * dma.c. Ends what waits for an answer, and waits for what is being handed over: of one attachment,
 * or (NULL, without the second) of all.
 */
void soft_faults_cancel(struct soft_requester *rq, struct soft_attach *att);
void soft_page_response(struct iommu_dev *dev, struct iopf_group *group, u32 grpid, u32 code);

#endif
