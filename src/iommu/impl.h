/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/iommu share. docs/iommufd.md has the model.
 *
 * Two halves: objects (main.c, hwpt.c, device.c, ...: what has an id) and spaces (space.c,
 * area.c, pages.c, ...: what an IOAS maps, and the domains that follow it).
 *
 * Locks, outermost first: an object's own (ioas->mutex, group lock), user memory (read side;
 * user_memory.c), io_pagetable.domains_lock, io_pagetable.iova_lock, iopt_pages.lock, the
 * domain's, dma_lock.
 */
#ifndef SV_IOMMU_IMPL_H
#define SV_IOMMU_IMPL_H

#include "base/interval_tree.h"
#include "base/refcount.h"
#include "file/file.h"
#include "iommu/iommufd.h"

/*
 * Objects. main.c. The names and the rules are the kernel's:
 *
 * alloc reserves an id that get doesn't find; finalize publishes it; abort frees what wasn't
 * finalized (abort_and_destroy: with the type's destroy). get is a short-term reference
 * for the length of one ioctl (users + 1, and DESTROY waits for it); put ends it. Who keeps an
 * object for longer raises users (iommufd_object_hold): DESTROY is then -EBUSY.
 */
enum iommufd_object_type {
	IOMMUFD_OBJ_NONE,
	IOMMUFD_OBJ_ANY = IOMMUFD_OBJ_NONE,
	IOMMUFD_OBJ_DEVICE,
	IOMMUFD_OBJ_HWPT_PAGING,
	IOMMUFD_OBJ_HWPT_NESTED,
	IOMMUFD_OBJ_IOAS,
	IOMMUFD_OBJ_ACCESS,
	IOMMUFD_OBJ_FAULT,
	IOMMUFD_OBJ_VIOMMU,
	IOMMUFD_OBJ_VDEVICE,
	IOMMUFD_OBJ_VEVENTQ,
	IOMMUFD_OBJ_HW_QUEUE,
	IOMMUFD_OBJ_SELFTEST,
	IOMMUFD_OBJ_MAX,
};

/* The first member of every object. */
struct iommufd_object {
	refcount_t users;
	refcount_t shortterm_users;
	enum iommufd_object_type type;
	u32 id;
};

/* account_mode */
enum {
	IOPT_PAGES_ACCOUNT_NONE,	/* CAP_IPC_LOCK */
	IOPT_PAGES_ACCOUNT_USER,
	IOPT_PAGES_ACCOUNT_MM,
};

struct iommufd_ioas;

/* What one open of /dev/iommu gives. References to it are references to the file. */
struct iommufd_ctx {
	struct sv_file *file;
	u8 account_mode;		/* USER or MM; only while there are no objects */
	u8 no_iommu_mode;		/* lock */
	bool maps_devices;		/* constant: a container's, which takes mappings of BARs for memory */
	struct iommufd_ioas *vfio_ioas;	/* lock */
	struct interval_tree groups;	/* lock; device.c's */
	struct interval_tree devices;	/* lock; struct iommufd_device, by the address of dev */
	struct sv_mutex lock;		/* the table; innermost but for allocation */
	struct sv_cond destroy_wait;	/* a shortterm_users has become 0 */
	struct iommufd_object **objects;	/* by id - 1; NULL: free; see main.c */
	u32 nr_objects, room_objects;	/* in use (also: reserved), allocated */
	u32 nr_used;			/* no index from here on has ever been in use */
	u32 *freed, nr_freed;		/* those below that are free: a heap, the lowest first; room_objects */
};

static inline struct iommufd_ctx *iommufd_ctx_of(struct sv_file *f)
{
	return sv_file_priv(f);
}

/* ERR_PTR(-ENOMEM). Zeroed but for obj. */
struct iommufd_object *_iommufd_object_alloc(struct iommufd_ctx *ictx, size_t size,
					     enum iommufd_object_type type);
#define iommufd_object_alloc(ictx, ptr, type) \
	((__typeof__(ptr))(void *)_iommufd_object_alloc(ictx, sizeof(*(ptr)), type))
void iommufd_object_finalize(struct iommufd_ctx *ictx, struct iommufd_object *obj);
void iommufd_object_abort(struct iommufd_ctx *ictx, struct iommufd_object *obj);
void iommufd_object_abort_and_destroy(struct iommufd_ctx *ictx, struct iommufd_object *obj);
/* ERR_PTR(-ENOENT): no such object, or of another type. */
struct iommufd_object *iommufd_get_object(struct iommufd_ctx *ictx, u32 id,
					  enum iommufd_object_type type);
/*
 * The caller knows that the object exists (holds a lock that its destroy takes): false, it is
 * going.
 */
bool iommufd_lock_obj(struct iommufd_ctx *ictx, struct iommufd_object *obj);
/* The same for a caller who holds ictx->lock and has found it in the table. */
bool iommufd_lock_obj_found(struct iommufd_object *obj);
void iommufd_put_object(struct iommufd_ctx *ictx, struct iommufd_object *obj);
static inline void iommufd_object_hold(struct iommufd_object *obj)
{
	refcount_inc(&obj->users);
}
static inline void iommufd_object_unhold(struct iommufd_object *obj)
{
	SV_POINT(&obj->users, true);
	__atomic_fetch_sub(&obj->users.refs, 1, __ATOMIC_ACQ_REL);
}
/* The caller's is the last hold, besides the table's: waits for short-term users and destroys. */
void iommufd_object_destroy_user(struct iommufd_ctx *ictx, struct iommufd_object *obj);
/* Drops a hold; destroys if it was the last (HWPTs made by attaching to an IOAS). */
void iommufd_object_put_and_try_destroy(struct iommufd_ctx *ictx, struct iommufd_object *obj);

/* The same; the id stays taken, and unknown to everybody, until the context is closed. */
void iommufd_object_tombstone_user(struct iommufd_ctx *ictx, struct iommufd_object *obj);

/*
 * The command's snapshot goes back to the caller now, before what can't be undone. 0 or
 * -EFAULT. Without it the dispatcher copies after the handler; iommufd_no_response: not at all.
 */
int iommufd_respond(struct sv_ioctl_ctx *c);
static inline void iommufd_no_response(struct sv_ioctl_ctx *c)
{
	c->no_copy_out = true;
}

/* One per type, called by main.c when the last user is gone; main.c frees the memory. */
void iommufd_ioas_destroy(struct iommufd_object *obj);
void iommufd_access_destroy_object(struct iommufd_object *obj);
void iommufd_device_destroy(struct iommufd_object *obj);
void iommufd_hwpt_paging_destroy(struct iommufd_object *obj);
void iommufd_hwpt_paging_abort(struct iommufd_object *obj);
void iommufd_hwpt_nested_destroy(struct iommufd_object *obj);
void iommufd_fault_destroy(struct iommufd_object *obj);
void iommufd_viommu_destroy(struct iommufd_object *obj);
void iommufd_vdevice_destroy(struct iommufd_object *obj);
void iommufd_veventq_destroy(struct iommufd_object *obj);
void iommufd_hw_queue_destroy(struct iommufd_object *obj);

/*
 * Spaces. space.c.
 *
 * An io_pagetable is the intended content of all its domains: areas of IOVA, which never
 * overlap. It grows and shrinks by whole areas.
 */
struct iopt_pages;
struct iopt_area;

struct io_pagetable {
	struct sv_rwlock domains_lock;
	struct iommu_domain **domains;	/* nr_domains; domains_lock */
	u32 nr_domains, room_domains;
	struct iommufd_access **accesses;	/* access_lock; changed under domains_lock and iova_lock too */
	u32 nr_accesses, room_accesses;
	struct sv_mutex access_lock;

	struct sv_rwlock iova_lock;
	struct interval_tree areas;	/* iopt_area.node */
	struct interval_tree allowed;	/* iopt_range: IOVAs that can't become reserved */
	struct interval_tree reserved;	/* iopt_range: IOVAs that can't be mapped */
	struct interval_tree owners;	/* the same ranges, by owner */
	bool disable_large_pages;
	u64 iova_alignment;
};

struct iopt_range {
	struct interval_tree_node node;
	struct interval_tree_node by_owner;	/* of a reserved one: start is the owner's address */
};

struct iommufd_ioas {
	struct iommufd_object obj;
	struct io_pagetable iopt;
	struct sv_mutex mutex;		/* hwpt_list */
	struct list_head hwpt_list;	/* hwpt.c's */
};

static inline struct iommufd_ioas *iommufd_get_ioas(struct iommufd_ctx *ictx, u32 id)
{
	return (struct iommufd_ioas *)(void *)iommufd_get_object(ictx, id, IOMMUFD_OBJ_IOAS);
}

/* Not finalized. ERR_PTR(-ENOMEM). */
struct iommufd_ioas *iommufd_ioas_alloc(struct iommufd_ctx *ictx);

/* flags of mapping */
enum {
	IOPT_ALLOC_IOVA = 1,
};

/*
 * All of them return 0 or -errno; what they change is whole or unchanged. iommu_prot:
 * IOMMU_READ, IOMMU_WRITE, IOMMU_CACHE. *iova: wanted (or, with IOPT_ALLOC_IOVA, chosen).
 */
int iopt_map_user_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt, u64 *iova,
			u64 uptr, u64 length, int iommu_prot, unsigned flags);
/* start: offset in the file, a memfd, other mappable file or dma-buf. */
int iopt_map_file_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt, u64 *iova,
			int fd, u64 start, u64 length, int iommu_prot, unsigned flags);
/* dst may be src. -ENOENT: src isn't mapped without a hole. */
int iopt_copy(struct io_pagetable *dst, u64 *dst_iova, struct io_pagetable *src, u64 src_iova,
	      u64 length, int iommu_prot, unsigned flags);
/* Whole areas only (-ENOENT). *unmapped (may be NULL): bytes, also when it fails half-way. */
int iopt_unmap_iova(struct io_pagetable *iopt, u64 iova, u64 length, u64 *unmapped);
int iopt_unmap_all(struct io_pagetable *iopt, u64 *unmapped);

/*
 * For VFIO compatibility: cuts areas behind each of the IOVAs, so that both sides can be
 * unmapped by themselves. Needs large pages to be disabled if a domain has it.
 */
int iopt_cut_iova(struct io_pagetable *iopt, const u64 *iovas, size_t n);
void iopt_enable_large_pages(struct io_pagetable *iopt);
int iopt_disable_large_pages(struct io_pagetable *iopt);
/* VFIO compatibility: the areas of [iova, last] one by one; stops at what fn returns unless 0. */
int iopt_for_each_area(struct io_pagetable *iopt, u64 iova, u64 last,
		       int (*fn)(void *arg, u64 iova, u64 length), void *arg);

/* The domain is filled with all areas, or unchanged. The caller keeps it alive until removed. */
int iopt_table_add_domain(struct io_pagetable *iopt, struct iommu_domain *domain);
void iopt_table_remove_domain(struct io_pagetable *iopt, struct iommu_domain *domain);
/*
 * The device's reserved regions can't be mapped from here on. owner: what is given to
 * remove. *sw_msi_start (may be NULL): of the software MSI window if there is one.
 */
int iopt_table_enforce_dev_resv_regions(struct io_pagetable *iopt, struct iommu_dev *dev,
					void *owner, u64 *sw_msi_start);
int iopt_reserve_iova(struct io_pagetable *iopt, u64 start, u64 last, void *owner);
void iopt_remove_reserved_iova(struct io_pagetable *iopt, void *owner);

/*
 * HWPT_GET_DIRTY_BITMAP's and HWPT_SET_DIRTY_TRACKING's work. The bitmap is the caller's memory:
 * one bit for each page_size from iova on; bits are only set. flags: IOMMU_HWPT_GET_DIRTY_BITMAP_*.
 */
int iopt_read_and_clear_dirty(struct io_pagetable *iopt, struct iommu_domain *domain, u32 flags,
			      u64 iova, u64 length, u64 page_size, void *bitmap);
int iopt_set_dirty_tracking(struct io_pagetable *iopt, struct iommu_domain *domain, bool enable);

/* How often the pages at uptr are pinned, summed over all spaces: IOMMU_TEST_OP_MD_CHECK_REFS. */
u32 iopt_user_page_pins(u64 uptr);

/* access.c */
struct iommufd_access {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_ioas *ioas;	/* lock; NULL while it changes */
	struct iommufd_ioas *ioas_unpin;
	struct sv_mutex lock;
	const struct iommufd_access_ops *ops;
	void *data;
	u64 iova_alignment;
	bool locks_areas;		/* what it pins can't be unmapped: -EBUSY */
};

/* ioctls of an IOAS: ioas.c; main.c's table names them. */
long iommufd_ioas_alloc_ioctl(struct sv_file *f, struct sv_ioctl_ctx *c);
long iommufd_ioas_allow_iovas(struct sv_file *f, struct sv_ioctl_ctx *c);
long iommufd_ioas_copy(struct sv_file *f, struct sv_ioctl_ctx *c);
long iommufd_ioas_iova_ranges(struct sv_file *f, struct sv_ioctl_ctx *c);
long iommufd_ioas_map(struct sv_file *f, struct sv_ioctl_ctx *c);
long iommufd_ioas_map_file(struct sv_file *f, struct sv_ioctl_ctx *c);
long iommufd_ioas_unmap(struct sv_file *f, struct sv_ioctl_ctx *c);
long iommufd_ioas_change_process(struct sv_file *f, struct sv_ioctl_ctx *c);
/* OPTION's, by option_id; main.c's handler of OPTION dispatches. cmd is the snapshot. */
int iommufd_option_rlimit_mode(struct iommu_option *cmd, struct iommufd_ctx *ictx);
int iommufd_ioas_option(struct iommu_option *cmd, struct iommufd_ctx *ictx);

/* What opening /dev/iommu calls once per context: 0 or -errno. user_memory.c. */
int iommufd_user_memory_init(void);

/* iommu_hwpt_alloc's and the like, a struct in the caller's memory. */
struct iommu_user_data {
	u32 type;
	u64 uptr;
	size_t len;
};
struct iommu_user_data_array {
	u32 type;
	u64 uptr;
	size_t entry_len;
	u32 entry_num;			/* in: given; out: handled */
};
/*
 * The driver's struct (size bytes, of which a user must give at least min_size) from the caller: 0,
 * -EINVAL (another type, too short, longer than ours), -EFAULT.
 */
int iommu_copy_struct_from_user(void *dst, size_t size, size_t min_size, u32 type,
				const struct iommu_user_data *src);
int iommu_copy_struct_from_user_array(void *dst, size_t size, size_t min_size, u32 type,
				      const struct iommu_user_data_array *array, u32 index);

#endif
