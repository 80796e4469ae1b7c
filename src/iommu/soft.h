/* SPDX-License-Identifier: MIT */
/*
 * The inside of the soft IOMMU: for soft_iommu.c (domains, requesters), nested.c (a guest's tables in
 * its memory), dirty.c, dma.c, and the hardware models that it shows itself as: vtd.c, smmuv3.c.
 *
 * Model: a requester has an attachment for each PASID that is attached. It keeps the translations
 * that it used last (tlb); an entry is good as long as the domain's generation (and a nested one's
 * parent's) is what it was. All of it is under dma_lock, which a piece of DMA holds from
 * translation to the last byte.
 *
 * A hardware model is a struct iommu_ops (what iommufd sees), and for its nested domains a struct
 * soft_s1_ops (what a miss in the tlb, an attach and a fault see). Everything else is common.
 *
 * Invalidation: change the page table, raise the generation, then take and drop the dma_lock of
 * every requester attached. A nested domain's attachments are on its parent's list, too.
 *
 * Events: a fault that a guest must hear of is written down (struct soft_miss) under dma_lock and
 * reported after it has been dropped. The report holds the attachment by `handlers`, for whose end a
 * detach waits; the attached device holds the nested HWPT until the detach is through, the HWPT its
 * vIOMMU. So a vIOMMU lives while an event is being reported to it, and a report takes iommufd's
 * locks with none of ours held. Of an attachment that is gone by then nothing is reported.
 */
#ifndef SV_IOMMU_SOFT_H
#define SV_IOMMU_SOFT_H

#include "base/interval_tree.h"
#include "iommu/iommu.h"
#include "iommu/page_table.h"

struct soft_requester;
struct soft_attach;
struct soft_domain;
struct dirty_map;

/* A fault of the first stage, as the model's hardware records it for a guest. */
struct soft_event {
	u64 rec[4];
};

/* One access that needs both stages. */
struct soft_access {
	u64 iova;
	u32 pasid;			/* IOMMU_NO_PASID: none */
	bool write;
};

/* Why there is no translation; with sink: why it is one to nowhere. */
struct soft_miss {
	enum iommu_fault_reason reason;
	bool table_gone;		/* no memory behind a table: it may be on the move */
	bool has_event;
	struct soft_event event;
};

/* What differs by hardware model in a nested domain. */
struct soft_s1_ops {
	/*
	 * dma_lock held. Both stages: false and *miss; or the leaf, and the parent's address of its
	 * beginning. A leaf without any of PT_PROT but PT_SINK reads as 0 and ignores writes.
	 */
	bool (*lookup)(struct soft_domain *dom, const struct soft_access *access, struct pt_leaf *leaf,
		       u64 *gpa, struct soft_miss *miss);
	/* The group's lock held; may be NULL. May refuse (-errno), and note what a report needs. */
	int (*attach)(struct soft_domain *dom, struct iommu_dev *dev, struct soft_attach *att);
	/* No lock held; att doesn't end. May be NULL if lookup makes no events. */
	void (*report)(const struct soft_attach *att, const struct soft_event *event);
	/* The guest's tables tell PASIDs apart: the domain of PASID 0 has all of them. */
	bool pasid_table;
};

/* In soft_tlb.prot and pt_leaf.prot, beside PT_*: see lookup. */
#define PT_SINK BIT(31)

struct soft_domain {
	struct iommu_domain d;
	struct sv_mutex lock;		/* attachments, writers of pt */
	struct list_head attachments;	/* soft_attach.node; of nested ones parent_node */
	u64 generation;			/* atomic */
	struct page_table pt;		/* PAGING */
	struct dirty_map *dirty;	/* NULL: no tracking; atomic, freed after an invalidation */

	struct soft_domain *parent;	/* NESTED: outlives this one */
	const struct soft_s1_ops *s1;	/* NESTED; else NULL */
};

struct soft_attach {
	struct interval_tree_node by_pasid;	/* soft_requester.pasids */
	struct soft_requester *rq;
	struct soft_domain *dom;
	struct list_head node, parent_node;
	u64 serial;			/* no other of this requester has had it */
	u64 virt_id;			/* what the guest calls the requester; s1->attach's */
	u32 handlers;			/* faults and events that are being handed over; pri_lock */
};

struct soft_tlb {
	const struct soft_attach *att;	/* NULL: empty */
	u64 generation;			/* the domain's plus its parent's */
	u64 start, last, addr;
	u64 gpa;			/* NESTED: the parent's IOVA of start */
	u32 prot;
	u32 pasid;
};
#define SOFT_TLB_SIZE 64		/* half of it for reads, half for writes: a copy's ends don't meet */

struct soft_requester {
	struct sv_mutex dma_lock;
	struct iommu_dev *dev;
	bool enabled;			/* bus mastering */
	struct soft_attach *none;	/* IOMMU_NO_PASID's */
	struct interval_tree pasids;
	u64 attaches;			/* so far: soft_attach.serial */
	void *sink;			/* a page that nobody reads; only of models with PT_SINK */
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

/* What has been attached at this PASID. dma_lock held. */
static inline struct soft_attach *soft_attach_exact(struct soft_requester *rq, u32 pasid)
{
	struct interval_tree_node *n;

	if (likely(pasid == IOMMU_NO_PASID))
		return rq->none;
	n = interval_tree_iter_first(&rq->pasids, pasid, pasid);
	return n ? container_of(n, struct soft_attach, by_pasid) : NULL;
}

/* What rules DMA with this PASID. dma_lock held. */
static inline struct soft_attach *soft_attach_find(struct soft_requester *rq, u32 pasid)
{
	struct soft_attach *att = soft_attach_exact(rq, pasid);

	if (unlikely(!att) && rq->none && rq->none->dom->s1 && rq->none->dom->s1->pasid_table)
		return rq->none;
	return att;
}

static inline struct soft_tlb *soft_tlb_slot(struct soft_requester *rq, u64 iova, bool write)
{
	u64 page = iova >> SV_PAGE_SHIFT;

	return &rq->tlb[((page ^ page >> 6 ^ page >> 18) % (SOFT_TLB_SIZE / 2)) * 2 + write];
}

/* dma_lock held. NULL, and *miss: no translation with this permission. */
const struct soft_tlb *soft_translate_slow(struct soft_requester *rq, struct soft_attach *att,
					   const struct soft_access *access, struct soft_miss *miss);
/* What is at hand; NULL: ask soft_translate_slow(). dma_lock held. */
static inline const struct soft_tlb *soft_translate(struct soft_requester *rq,
						    struct soft_attach *att, u32 pasid, u64 iova,
						    bool write)
{
	const struct soft_tlb *t = soft_tlb_slot(rq, iova, write);

	if (likely(t->att == att && t->pasid == pasid && iova - t->start <= t->last - t->start &&
		   t->prot & (write ? PT_WRITE : PT_READ) &&
		   t->generation == soft_generation(att->dom)))
		return t;
	return NULL;
}

/*
 * nested.c: a guest's tables, which are in its memory, by the parent's addresses. dma_lock held,
 * so an invalidation of the parent waits for it. The memory is the guest's: every word is read
 * once and may be anything.
 */
enum soft_table {
	SOFT_TABLE_OK,
	SOFT_TABLE_UNMAPPED,		/* the second stage: nothing there */
	SOFT_TABLE_PERMISSION,		/* the second stage: not allowed */
	SOFT_TABLE_GONE,		/* no memory behind it, or registers of a device */
};
enum soft_table soft_table_read(struct soft_domain *parent, u64 gpa, u64 *e);
/* new takes the place of old; *changed: there was something else. Counts as a write of the device's. */
enum soft_table soft_table_update(struct soft_domain *parent, u64 gpa, u64 old, u64 new, bool *changed);
/*
 * What the first stage maps (size bytes at gpa for those around iova, a power of two, aligned)
 * and the second stage in one piece around iova, with at most the permissions of prot. False and
 * *why: the second stage has nothing there.
 */
bool soft_nested_leaf(struct soft_domain *parent, u64 iova, u64 gpa, u64 size, u32 prot,
		      struct pt_leaf *leaf, u64 *leaf_gpa);

/* soft_iommu.c. After a change of the page table. dom->lock held. */
void soft_invalidate(struct soft_domain *dom);
/* Waits for pieces of DMA under way. dom->lock held. */
void soft_quiesce(struct soft_domain *dom);
/* What any domain of this IOMMU starts with. */
void soft_domain_init(struct soft_domain *dom, enum iommu_domain_type type,
		      const struct iommu_domain_ops *ops, const struct iommu_ops *owner);
/* A nested domain's begin (parent: a PAGING one) and end; the caller frees its memory. */
void soft_nested_init(struct soft_domain *dom, struct iommu_domain *parent,
		      const struct iommu_domain_ops *ops, const struct soft_s1_ops *s1);
void soft_nested_fini(struct soft_domain *dom);

/* Ops that all models have. */
int soft_attach_dev(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid,
		    struct iommu_domain *old);
int soft_probe(struct iommu_dev *dev);
void soft_release(struct iommu_dev *dev);
bool soft_capable(struct iommu_dev *dev, enum iommu_cap cap);
struct iommu_domain *soft_domain_alloc_paging(struct iommu_dev *dev, u32 flags,
					      const struct iommu_user_data *user_data);
int soft_enable_iopf(struct iommu_dev *dev);
void soft_disable_iopf(struct iommu_dev *dev);
extern struct iommu_domain soft_blocked_domain;
#define SOFT_COMMON_OPS \
	.probe_device = soft_probe, \
	.release_device = soft_release, \
	.capable = soft_capable, \
	.domain_alloc_paging = soft_domain_alloc_paging, \
	.enable_iopf = soft_enable_iopf, \
	.disable_iopf = soft_disable_iopf, \
	.page_response = soft_page_response, \
	.blocked_domain = &soft_blocked_domain, \
	.max_pasids = SOFT_MAX_PASIDS
/* Far more than a device has, few enough that the bookkeeping of one process stays small. */
#define SOFT_MAX_PASIDS (1u << SOFT_PASID_BITS)
#define SOFT_PASID_BITS 20

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
