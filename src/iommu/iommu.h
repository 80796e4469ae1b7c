/* SPDX-License-Identifier: MIT */
/*
 * The IOMMU as hardware, and as its users see it: what a driver in the kernel knows as iommu_ops
 * and iommu_domain, and the path that a device's DMA takes.
 *
 * Model: an iommu_dev is a requester: a device that reads and writes by I/O addresses. An
 * iommu_domain is an I/O address space: a page table from IOVA to memory of this process
 * ("physical" addresses are virtual addresses here). A requester is attached to at most one domain
 * per PASID; with none, all its DMA is blocked. iommufd (iommufd.h) manages domains for programs;
 * the IOMMU that emulated devices sit behind is soft.h's; a test may bring its own (iommu_ops),
 * as Linux's selftests do.
 *
 * Invariant, the reason for all of this: after iommu_unmap() or a detach returns, no device touches
 * what was mapped, not even with an access that had begun before.
 *
 * DMA and invalidation: a device moves bytes in pieces, each under its own dma_lock: look up, move
 * at most IOMMU_DMA_PIECE bytes, release. Who takes a translation away first clears it in the page
 * table and raises the domain's generation, then takes and releases the dma_lock of every attached
 * requester; then no piece that used it is under way. The requester's translation cache is keyed by
 * the generation.
 *
 * Locks: an iommu_group's attach state is under iommufd's group lock; a domain's list of requesters
 * and its page table's writers under the domain's lock; dma_lock is innermost.
 */
#ifndef SV_IOMMU_IOMMU_H
#define SV_IOMMU_IOMMU_H

#include "base/interval_tree.h"
#include "base/list.h"
#include "base/sync.h"
#include "base/types.h"
#include "softvirt/dma-types.h"

/* As in the kernel. IOMMU_MMIO: not memory but a trap region (base/trap_region.h). */
#define IOMMU_READ	BIT(0)
#define IOMMU_WRITE	BIT(1)
#define IOMMU_CACHE	BIT(2)
#define IOMMU_NOEXEC	BIT(3)
#define IOMMU_MMIO	BIT(4)

#define IOMMU_NO_PASID 0
#define IOMMU_DMA_PIECE (256 * 1024)

struct iommu_dev;
struct iommu_dma_log;
struct iommu_domain;
struct iommu_group;
struct iommu_user_data;		/* iommufd.h */
struct iommu_user_data_array;
struct iommufd_viommu;
struct iopf_group;

enum iommu_cap {
	IOMMU_CAP_CACHE_COHERENCY,
	IOMMU_CAP_NOEXEC,
	IOMMU_CAP_ENFORCE_CACHE_COHERENCY,
	IOMMU_CAP_DEFERRED_FLUSH,
	IOMMU_CAP_DIRTY_TRACKING,
	IOMMU_CAP_PASID,
};

enum iommu_domain_type {
	IOMMU_DOMAIN_BLOCKED,
	IOMMU_DOMAIN_PAGING,
	IOMMU_DOMAIN_NESTED,
};

/*
 * All of them but free may fail with -ENOMEM; map maps all or nothing. Ranges are multiples
 * of the smallest page size. Called with the domain's owner (iommufd's hwpt, the container)
 * excluding concurrent map and unmap of the same range; different ranges may be changed at
 * the same time.
 */
struct iommu_domain_ops {
	/*
	 * Takes the place of old (never NULL: the blocked domain) in one step for the device's DMA.
	 */
	int (*attach_dev)(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid,
			  struct iommu_domain *old);
	int (*map)(struct iommu_domain *d, u64 iova, u64 paddr, u64 len, int prot);
	/* Returns the bytes that were mapped and now are not; see the invariant above. */
	u64 (*unmap)(struct iommu_domain *d, u64 iova, u64 len);
	/*
	 * Contiguous memory that backs a mapped range moves to another address: no DMA fault in
	 * between.
	 */
	int (*remap)(struct iommu_domain *d, u64 iova, u64 paddr, u64 len);
	u64 (*iova_to_phys)(struct iommu_domain *d, u64 iova);	/* 0: not mapped */
	/* NESTED only. array is iommufd's; entries handled are counted in it. */
	int (*cache_invalidate_user)(struct iommu_domain *d, struct iommu_user_data_array *array);
	bool (*enforce_cache_coherency)(struct iommu_domain *d);
	void (*free)(struct iommu_domain *d);	/* nobody is attached */
};

struct iommu_dirty_ops {
	int (*set_dirty_tracking)(struct iommu_domain *d, bool enable);
	/*
	 * Calls dirty(arg, iova, len) for ranges written since tracking began or since the last
	 * call; clears unless no_clear.
	 */
	int (*read_and_clear_dirty)(struct iommu_domain *d, u64 iova, u64 len, bool no_clear,
				    void (*dirty)(void *arg, u64 iova, u64 len), void *arg);
};

struct iommu_domain {
	enum iommu_domain_type type;
	const struct iommu_ops *owner;
	const struct iommu_domain_ops *ops;
	const struct iommu_dirty_ops *dirty_ops;	/* NULL: can't */
	u64 pgsize_bitmap;
	u64 aperture_start, aperture_end;		/* inclusive */
	bool force_aperture;
	/* Page faults of devices on this domain; NULL: a fault is an error to the device. */
	int (*iopf_handler)(struct iopf_group *group);
	void *fault_data;				/* iopf_handler's owner (the hwpt) */
};

/*
 * A page request of a device: its DMA waits until page_response() has been called for grpid, or the
 * requester is detached from the domain. The handler (called without locks) may link the group into
 * its own list; it then holds a reference until it has answered (an answer after the wait has ended
 * is ignored). Flags and permissions are IOMMU_PGFAULT_FLAGS_* and IOMMU_PGFAULT_PERM_* of struct
 * iommu_hwpt_pgfault.
 */
struct iopf_group {
	struct list_head node;		/* the handler's */
	struct iommu_dev *dev;
	struct iommu_domain *domain;
	u32 pasid;			/* IOMMU_NO_PASID: none */
	u32 grpid;			/* unique among the requester's waiting groups */
	u32 perm;
	u64 addr;			/* page-aligned */
	u64 length;
	u32 cookie;			/* the handler's */
	u32 dev_id;			/* the handler's */
	bool via_rid;			/* the domain is not the PASID's but the nested one of PASID 0 */
	bool delivered;			/* the handler's */
	refcount_t refs;		/* the waiter's and the handler's: iopf_group_get/put */
};
struct iopf_group *iopf_group_get(struct iopf_group *group);
void iopf_group_put(struct iopf_group *group);
/* The answer: IOMMU_PAGE_RESP_SUCCESS or _INVALID. Through ops->page_response; idempotent. */
void iopf_group_response(struct iopf_group *group, u32 code);

struct iommu_resv_region {
	u64 start, length;
	bool msi;		/* software MSI window: where MSIs are mapped is up to software */
};

/*
 * One IOMMU implementation. Every op may be NULL: -EOPNOTSUPP, or "nothing". ERR_PTRs are
 * negative errnos.
 */
struct iommu_ops {
	const char *name;
	/* By iommu_dev_init() and _fini(): sets up iommu_priv. */
	int (*probe_device)(struct iommu_dev *dev);
	void (*release_device)(struct iommu_dev *dev);
	bool (*capable)(struct iommu_dev *dev, enum iommu_cap cap);
	/* *type: IOMMU_HW_INFO_TYPE_*. Allocated; the caller frees it with sv_free(). */
	void *(*hw_info)(struct iommu_dev *dev, u32 *length, u32 *type);
	/*
	 * flags: IOMMU_HWPT_ALLOC_*; -EOPNOTSUPP for what it can't. user_data is NULL for a plain
	 * one.
	 */
	struct iommu_domain *(*domain_alloc_paging)(struct iommu_dev *dev, u32 flags,
						    const struct iommu_user_data *user_data);
	struct iommu_domain *(*domain_alloc_nested)(struct iommu_dev *dev, struct iommu_domain *parent,
						    u32 flags, const struct iommu_user_data *user_data);
	unsigned (*get_resv_regions)(struct iommu_dev *dev, struct iommu_resv_region *out, unsigned room);
	/*
	 * Page requests of this device are wanted (a fault-capable hwpt is attached) or not any
	 * more.
	 */
	int (*enable_iopf)(struct iommu_dev *dev);
	void (*disable_iopf)(struct iommu_dev *dev);
	/* The answer to a page request. */
	void (*page_response)(struct iommu_dev *dev, struct iopf_group *group, u32 grpid, u32 code);
	const struct iommufd_viommu_ops *viommu;	/* viommu.h; NULL: no vIOMMU */
	struct iommu_domain *blocked_domain;
	u32 max_pasids;
	bool user_pasid_table;
};

/*
 * A requester. Embedded in what the device is (struct pci_dev). The first fields are set by
 * its creator, iommu_dev_init() does the rest.
 */
struct iommu_dev {
	struct device dev;		/* name */
	const struct iommu_ops *iommu;
	struct iommu_group *group;	/* iommu_dev_init() puts it there */
	u32 max_pasids;			/* 0: none */
	bool pri;			/* can take page faults and try again */
	bool in_ctx;			/* lives in the context that it is bound to, and ends with it (a test's) */
	struct list_head group_node;	/* iommu_group.devices; the group's lock */
	struct interval_tree attached;	/* by PASID, what iommu_attach() has attached (group.c); the group's lock */
	void *iommu_priv;		/* the iommu's own, per requester: soft_iommu's struct soft_requester */
	struct iommu_dma_log *dma_log;	/* iommu_dma_set_log(); atomic */
	void *owner;			/* who has claimed the group for user space; under the group's lock */
};

/*
 * A group: requesters that no IOMMU can tell apart. id is what /dev/vfio/<id> is named for.
 * All device attach state of iommufd is per group and PASID.
 */
struct iommu_group {
	u32 id;
	u32 refs;		/* requesters */
	struct sv_mutex lock;
	struct list_head devices;
	void *dma_owner;	/* who holds it for user space, NULL: nobody */
	u32 dma_owner_count;
	struct interval_tree_node node;	/* by id */
};

/* The IOMMU of emulated devices, as Intel VT-d (a requester's default) and as ARM SMMUv3. */
extern const struct iommu_ops vtd_iommu_ops;
extern const struct iommu_ops smmuv3_iommu_ops;

/*
 * Puts dev (dev.dev, dev.iommu, dev.max_pasids, dev.pri set) into group id, which is made if it
 * isn't there. 0, -ENOMEM, -EXDEV (the group's devices sit behind another IOMMU). Blocked until
 * attached. fini: nothing is attached any more.
 */
int iommu_dev_init(struct iommu_dev *dev, u32 group_id);
void iommu_dev_fini(struct iommu_dev *dev);
struct iommu_group *iommu_group_get_by_id(u32 id);	/* NULL: no such group; valid while a device is in it */

/*
 * Exclusive claim of a group by one owner (an iommufd context, a container); nests by count. 0 or
 * -EBUSY.
 */
int iommu_group_claim_dma_owner(struct iommu_group *g, void *owner);
void iommu_group_release_dma_owner(struct iommu_group *g, void *owner);

/*
 * What type1 containers use without iommufd, and iommufd itself. Thin: validation of ranges
 * against pgsize_bitmap and aperture, then the ops. -EINVAL, -ENOMEM, -EADDRINUSE.
 */
int iommu_map(struct iommu_domain *d, u64 iova, u64 paddr, u64 len, int prot);
u64 iommu_unmap(struct iommu_domain *d, u64 iova, u64 len);
/*
 * Also replaces: what was attached to the PASID before is in one step no longer. The group's lock
 * is not held.
 */
int iommu_attach(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid);
void iommu_detach(struct iommu_dev *dev, u32 pasid);	/* to the blocked domain; after it no DMA */

/*
 * The device's side, called by the device's threads; many requesters run at once, one
 * requester's calls may come from several threads. 0, or -EFAULT and *fault (may be NULL):
 * bytes before fault->iova have been moved, nothing after it.
 */
enum iommu_fault_reason {
	IOMMU_FAULT_UNMAPPED,		/* no translation */
	IOMMU_FAULT_PERMISSION,
	IOMMU_FAULT_BUS,		/* translated, but the memory is gone or the BAR is off */
	IOMMU_FAULT_BLOCKED,		/* no domain, or bus mastering is off */
};
struct iommu_dma_fault {
	u64 iova;
	u32 pasid;
	bool write;
	enum iommu_fault_reason reason;
};
int iommu_dma_read(struct iommu_dev *dev, u32 pasid, void *dst, u64 iova, size_t len,
		   struct iommu_dma_fault *fault);
int iommu_dma_write(struct iommu_dev *dev, u32 pasid, u64 iova, const void *src, size_t len,
		    struct iommu_dma_fault *fault);
/* At memcpy's speed. The ranges may overlap only exactly (dst == src). */
int iommu_dma_copy(struct iommu_dev *dev, u32 pasid, u64 dst, u64 src, size_t len,
		   struct iommu_dma_fault *fault);
/* Fills with the 8-byte pattern (little-endian, repeating from iova on). */
int iommu_dma_fill(struct iommu_dev *dev, u32 pasid, u64 iova, u64 pattern, size_t len,
		   struct iommu_dma_fault *fault);
/*
 * Bus mastering: while off, all DMA fails with BLOCKED; switching it off waits for a piece under
 * way.
 */
void iommu_dma_enable(struct iommu_dev *dev, bool on);
/*
 * While off (it nests) nothing that is missing is asked for: it is a fault, also to DMA that waits for
 * an answer already. For a device that stops or is reset, which must not depend on who answers.
 */
void iommu_dma_page_requests(struct iommu_dev *dev, bool on);
/*
 * This thread is accessing registers for a device, with its dma_lock held: whoever takes a translation
 * away, under whatever locks, waits for it. So it must not wait for such a lock.
 */
extern __thread bool iommu_dma_at_registers __attribute__((tls_model("initial-exec")));

/*
 * Who wants to know what a requester writes (VFIO's DMA logging): written is called after each
 * piece, by the device's own addresses, under dma_lock; short, without locks. NULL: nobody. When
 * set returns the former one is not called any more.
 */
struct iommu_dma_log {
	void (*written)(struct iommu_dma_log *log, u64 iova, u64 len);
};
void iommu_dma_set_log(struct iommu_dev *dev, struct iommu_dma_log *log);

/*
 * A device's fault, for who reads the log: a line at most once per second. Called by the DMA path
 * itself. (A guest hears of its faults by the IOMMU's model: soft.h.)
 */
void iommu_report_dma_fault(struct iommu_dev *dev, const struct iommu_dma_fault *fault);

#endif
