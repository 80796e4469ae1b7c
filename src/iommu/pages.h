/* SPDX-License-Identifier: MIT */
/*
 * The inside of spaces: areas, pages, and memory of the caller that is pinned. For space.c,
 * area.c, pages.c, user_memory.c, map_file.c, dmabuf.c and access.c.
 *
 * Model: iopt_pages is an array of npages pages, each at an address of this process. base is
 * where page 0 is, and page i is at base + i * 4096, unless a struct um_moved covers i: then
 * the caller has unmapped, discarded or moved it while it was pinned.
 *
 * Which pages are pinned is what the two trees cover: domain_tree has the slices of areas
 * that are in domains, access_tree those that an access has pinned. A slice is verified and
 * accounted when it becomes covered (iopt_pages_pin, before it is inserted) and given back when
 * nothing covers it any more (iopt_pages_unpin, after it has been removed).
 */
#ifndef SV_IOMMU_PAGES_H
#define SV_IOMMU_PAGES_H

#include "iommu/impl.h"

struct dma_buf_attachment;
struct iopt_pages;
struct sv_lender;

/* A range of the program's addresses whose pages first_index... of pages are pinned there. */
struct um_range {
	struct interval_tree_node node;
	struct iopt_pages *pages;
	u64 first_index;
	bool listed;
};

/* Memory that has been moved out of the caller's reach. */
struct um_block {
	u64 addr, len;			/* len 0: nothing is there any more */
	refcount_t refs;
};

/* Pages that are not at base + index any more. In iopt_pages.moved. */
struct um_moved {
	struct interval_tree_node node;	/* indices */
	u64 addr;			/* of the first */
	struct um_block *block;		/* NULL: still the caller's, elsewhere: um is listed */
	u64 npinned;			/* of its pages; at 0 it goes */
	struct um_range um;
};

enum iopt_pages_kind {
	IOPT_PAGES_USER,
	IOPT_PAGES_FOREIGN,		/* a forked child's memory */
	IOPT_PAGES_FILE,
	IOPT_PAGES_DMABUF,
};

/* An area of a dma-buf in a domain: what a revoke takes out of it. */
struct iopt_dmabuf_track {
	struct list_head node;		/* pages' tracks */
	struct iopt_dmabuf_track *next;	/* of the area */
	struct iopt_area *area;
	struct iommu_domain *domain;
};

struct iopt_pages {
	struct kref kref;
	struct sv_mutex lock;
	u8 kind;			/* enum iopt_pages_kind */
	u8 account_mode;
	bool writable;
	bool devices_too;		/* USER: mappings of BARs can be pinned */
	u64 base;			/* page-aligned; dma-buf: may be anything */
	u64 npages;
	u64 npinned;
	struct interval_tree access_tree;	/* iopt_pages_access.node */
	struct interval_tree domain_tree;	/* iopt_area.pages_node */
	union {
		struct {			/* USER */
			struct interval_tree moved;	/* changed under lock and user memory (either side) */
			u64 nmoved;		/* pinned pages in moved */
			struct um_range um;	/* listed while npinned > nmoved, at least */
		};
		struct {			/* FOREIGN: pinned pages are mapped in map */
			struct sv_lender *lender;
			u64 foreign_uptr;	/* page 0, there */
			void *foreign_map;
			u64 foreign_len;
		};
		struct {			/* FILE: our mapping */
			void *map;
			u64 map_len;
		};
		struct {			/* DMABUF */
			struct dma_buf_attachment *attach;
			struct list_head tracks;
			u64 phys_len;		/* 0: revoked, for ever */
			bool mmio;
		};
	};
};

/*
 * A slice of pages at an IOVA. node: iova_lock. pages is NULL while it is being set up or torn
 * down. pages_node, in_domains, num_accesses and tracks: pages' lock.
 */
struct iopt_area {
	struct interval_tree_node node;
	struct interval_tree_node pages_node;
	struct io_pagetable *iopt;
	struct iopt_pages *pages;
	u32 page_offset;		/* bytes of the first page before the area */
	int prot;
	u32 num_accesses;
	u32 num_locks;			/* pins that bar an unmap; atomic, read under iova_lock for writing */
	struct iopt_dmabuf_track *tracks;	/* one for each domain */
	bool in_domains;		/* all of iopt's have it, and domain_tree too */
	bool prevent_access;		/* being unmapped */
};

struct iopt_pages_access {
	struct interval_tree_node node;
	u32 users;
};

static inline struct iopt_area *iopt_area_of(struct interval_tree_node *n)
{
	return n ? container_of(n, struct iopt_area, node) : NULL;
}

static inline struct iopt_area *iopt_area_first(struct io_pagetable *iopt, u64 iova, u64 last)
{
	return iopt_area_of(interval_tree_iter_first(&iopt->areas, iova, last));
}

static inline struct iopt_area *iopt_area_next(struct iopt_area *a, u64 iova, u64 last)
{
	return iopt_area_of(interval_tree_iter_next(&a->node, iova, last));
}

static inline u64 iopt_area_length(const struct iopt_area *a)
{
	return a->node.last - a->node.start + 1;
}

/* Bytes from the beginning of the pages to iova. */
static inline u64 iopt_area_start_byte(const struct iopt_area *a, u64 iova)
{
	return iova - a->node.start + a->page_offset + a->pages_node.start * SV_PAGE_SIZE;
}

static inline u64 iopt_area_index(const struct iopt_area *a, u64 iova)
{
	return iopt_area_start_byte(a, iova) / SV_PAGE_SIZE;
}

/* Areas without a hole between them, under iova_lock. last: clipped to the range asked for. */
struct iopt_contig {
	struct iopt_area *area;		/* NULL: none, or a hole */
	u64 iova, last;			/* the part in this area */
	u64 end;
};
void iopt_contig_first(struct iopt_contig *c, struct io_pagetable *iopt, u64 iova, u64 last);
void iopt_contig_next(struct iopt_contig *c);
/* After the last: was all of it there? */
static inline bool iopt_contig_done(const struct iopt_contig *c)
{
	return c->area && c->last == c->end;
}

/* A piece of pages on its way into a space. */
struct iopt_slice {
	struct iopt_pages *pages;	/* a reference */
	struct iopt_area *area;
	u64 start_byte, length;
	struct list_head node;
};
/* Takes over pages and areas of the slices that it used (sets them to NULL). */
int iopt_map_slices(struct io_pagetable *iopt, struct list_head *slices, u64 length, u64 *iova,
		    int prot, unsigned flags);

/* pages.c. uptr: any. ERR_PTR(-EINVAL, -EOVERFLOW, -ENOMEM). */
struct iopt_pages *iopt_pages_alloc_user(struct iommufd_ctx *ictx, u64 uptr, u64 length,
					 bool writable);
/* The common part: zeroed, one reference. */
struct iopt_pages *iopt_pages_alloc(struct iommufd_ctx *ictx, enum iopt_pages_kind kind, u64 npages,
				    bool writable);
void iopt_pages_put(struct iopt_pages *pages);
static inline void iopt_pages_get(struct iopt_pages *pages)
{
	kref_get(&pages->kref);
}
/* -EFAULT, -ENOMEM. User memory and the pages' lock held. */
int iopt_pages_pin(struct iopt_pages *pages, u64 first, u64 last);
void iopt_pages_unpin(struct iopt_pages *pages, u64 first, u64 last);
/* The next slice of [*first, last] that nothing has pinned, or false. */
bool iopt_pages_next_hole(struct iopt_pages *pages, u64 *first, u64 last, u64 *hole_last);
/* Where byte off is, and how many from there on are linear (at most len). */
u64 iopt_pages_addr(struct iopt_pages *pages, u64 off, u64 len, u64 *linear);
/* Copies to or from the pages, pinned or not. 0, -EFAULT. User memory held. */
int iopt_pages_rw(struct iopt_pages *pages, u64 start_byte, void *data, u64 length, bool write);
void iopt_account_refresh(void);
/* In a child, which has pinned nothing. */
void iopt_account_forked(void);

/* area.c. User memory held; domains_lock for reading (add, remove: for writing). */
int iopt_area_fill_domains(struct iopt_area *area, struct iopt_pages *pages);
void iopt_area_unfill_domains(struct iopt_area *area, struct iopt_pages *pages);
int iopt_area_add_domain(struct iopt_area *area, struct iommu_domain *domain, bool first);
void iopt_area_remove_domain(struct iopt_area *area, struct iommu_domain *domain, bool last);
int iopt_area_add_access(struct iopt_area *area, u64 first, u64 last, void **addrs, bool write);
void iopt_area_remove_access(struct iopt_area *area, u64 first, u64 last);
/* The part [first, last] of a slice in all of its domains, to another address. */
int iopt_area_remap(struct iopt_area *area, u64 first, u64 last, u64 addr);

/*
 * user_memory.c: held by all that pins, unpins, maps and unmaps. Recursive; not across callbacks.
 */
void um_read_lock(void);
void um_read_unlock(void);
/* -EFAULT unless all of the memory is there (and writable). */
int um_check(u64 addr, u64 len, bool writable);
void um_range_add(struct um_range *r, u64 addr, u64 npages);
void um_range_del(struct um_range *r);
void um_moved_free(struct um_moved *m);
/*
 * The pages [first, last] are about to be pinned at base: what was moved of them is history.
 * -ENOMEM.
 */
int um_moved_cut(struct iopt_pages *pages, u64 first, u64 last);

/*
 * foreign_pages.c, for a call of a forked child: pages are allocated, and become its memory from
 * uptr (page-aligned) on. 0, -EIO, -ENOMEM. pin: -EFAULT. The pages' lock held.
 */
int iopt_foreign_init(struct iopt_pages *pages, u64 uptr);
void iopt_foreign_release(struct iopt_pages *pages);
int iopt_foreign_pin(struct iopt_pages *pages, u64 first, u64 last);
void iopt_foreign_unpin(struct iopt_pages *pages, u64 first, u64 last);

/* map_file.c, dmabuf.c. ERR_PTR. *start_byte: where start lies in the pages. */
struct iopt_pages *iopt_pages_alloc_file(struct iommufd_ctx *ictx, int fd, u64 start, u64 length,
					 bool writable, u64 *start_byte);
struct dma_buf;
struct iopt_pages *iopt_pages_alloc_dmabuf(struct iommufd_ctx *ictx, struct dma_buf *dmabuf,
					   u64 start, u64 length, bool writable, u64 *start_byte);
void iopt_dmabuf_release(struct iopt_pages *pages);
/* The pages' lock held. */
int iopt_dmabuf_track(struct iopt_area *area, struct iopt_pages *pages, struct iommu_domain *domain);
void iopt_dmabuf_untrack(struct iopt_area *area, struct iopt_pages *pages,
			 struct iommu_domain *domain);

/* access.c */
void iommufd_access_notify_unmap(struct io_pagetable *iopt, u64 iova, u64 length);
int iopt_add_access(struct io_pagetable *iopt, struct iommufd_access *access);
void iopt_remove_access(struct io_pagetable *iopt, struct iommufd_access *access);
int iopt_calculate_iova_alignment(struct io_pagetable *iopt);

#endif
