/* SPDX-License-Identifier: MIT */
/*
 * The objects of iommufd beside IOAS and access, for the files that implement them.
 *
 * Who holds whom (users): a HWPT its IOAS (nested: its parent or vIOMMU), and its fault queue; a
 * device each HWPT it is attached to, once per device; a vIOMMU its parent HWPT; a vdevice,
 * an event queue and a hardware queue their vIOMMU; an open queue descriptor its queue.
 */
#ifndef SV_IOMMU_OBJECTS_H
#define SV_IOMMU_OBJECTS_H

#include "iommu/impl.h"

/*
 * What FAULT and VEVENTQ have in common: a descriptor that is readable while something waits to
 * be delivered. The backing is an eventfd whose count is 1 or 0, so poll and epoll work as they
 * are; read(2) and write(2) come to the object.
 *
 * file: NULL once the program has closed its last descriptor; lock. The file holds a user of the
 * object and a reference to the context.
 */
struct iommufd_eventq {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct sv_mutex lock;		/* deliver, file */
	struct sv_file *file;
	struct list_head deliver;
	bool readable;			/* what the eventfd shows; lock */
};

/* 0: q->file is made (not installed), and holds its references. */
int iommufd_eventq_init(struct iommufd_eventq *q, struct iommufd_ctx *ictx,
			const struct sv_file_ops *ops);
/* The descriptor's number before it is installed. */
int iommufd_eventq_fd(struct iommufd_eventq *q);
void iommufd_eventq_install(struct iommufd_eventq *q);
/* Undoes init; the object has not been finalized. */
void iommufd_eventq_abort(struct iommufd_eventq *q);
/* Shows what deliver says; lock held. */
void iommufd_eventq_update(struct iommufd_eventq *q);
/* ops->release of both. */
void iommufd_eventq_release(struct sv_file *f);

/* fault.c */
struct iommufd_fault {
	struct iommufd_eventq common;
	struct sv_mutex mutex;		/* response; taken outside of common.lock */
	struct list_head response;	/* delivered, not answered: struct iopf_group.node */
	u32 next_cookie;
};

struct iommufd_hw_pagetable {
	struct iommufd_object obj;
	struct iommu_domain *domain;
	struct iommufd_fault *fault;
	bool pasid_compat;
};

struct iommufd_hwpt_paging {
	struct iommufd_hw_pagetable common;
	struct iommufd_ioas *ioas;
	struct list_head hwpt_item;	/* ioas->hwpt_list; ioas->mutex */
	bool auto_domain;		/* made by an attach; goes with the last device */
	bool enforce_cache_coherency;
	bool nest_parent;
	bool in_table;			/* the IOAS fills the domain */
};

struct iommufd_hwpt_nested {
	struct iommufd_hw_pagetable common;
	struct iommufd_hwpt_paging *parent;
	struct iommufd_viommu *viommu;	/* or NULL */
};

static inline struct iommufd_hwpt_paging *to_hwpt_paging(struct iommufd_hw_pagetable *hwpt)
{
	return container_of(hwpt, struct iommufd_hwpt_paging, common);
}

static inline struct iommufd_hwpt_nested *to_hwpt_nested(struct iommufd_hw_pagetable *hwpt)
{
	return container_of(hwpt, struct iommufd_hwpt_nested, common);
}

/* The paging HWPT whose IOAS the device's reserved regions concern: itself, or the parent. */
struct iommufd_hwpt_paging *iommufd_hwpt_find_paging(struct iommufd_hw_pagetable *hwpt);

/*
 * A group within one context; device.c. What is attached is the group's: at one PASID all its
 * devices have the same HWPT.
 */
struct iommufd_group {
	struct interval_tree_node node;	/* ictx->groups; by the address of group */
	u32 refs;			/* ictx->lock */
	struct iommu_group *group;
	struct sv_mutex lock;
	struct interval_tree attaches;	/* struct iommufd_attach, by PASID; lock */
};

struct iommufd_device {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct interval_tree_node by_dev;	/* ictx->devices */
	struct iommufd_group *igroup;
	struct iommu_dev *dev;
	bool enforce_cache_coherency;
	u32 iopf_enabled;		/* fault-capable attachments; igroup->lock */
	struct sv_mutex vdev_lock;
	struct sv_cond vdev_gone;
	struct iommufd_vdevice *vdev;	/* vdev_lock */
	bool destroying;		/* vdev_lock: no new vdevice */
};

struct iommufd_device *iommufd_get_device(struct iommufd_ctx *ictx, u32 id);

/* hwpt.c. ioas->mutex is held until the result has been finalized or aborted. */
struct iommufd_hwpt_paging *iommufd_hwpt_paging_alloc(struct iommufd_ctx *ictx,
						      struct iommufd_ioas *ioas,
						      struct iommufd_device *idev, u32 flags,
						      const struct iommu_user_data *user_data);
/* Drops a device's hold; an automatic one goes with it. No lock is held. */
void iommufd_hwpt_put(struct iommufd_ctx *ictx, struct iommufd_hw_pagetable *hwpt);

/* fault.c. idev NULL: of all devices. Answers "invalid" for what idev's PASID has waiting. */
int iommufd_fault_iopf_handler(struct iopf_group *group);
void iommufd_fault_auto_response(struct iommufd_hw_pagetable *hwpt, struct iommufd_device *idev,
				 u32 pasid);
struct iommufd_fault *iommufd_get_fault(struct iommufd_ctx *ictx, u32 id);

/* viommu.c: what device.c has to take away with a device. */
void iommufd_device_remove_vdev(struct iommufd_device *idev);

/* The ioctls, named for main.c's table. */
#define IOMMUFD_IOCTL(name) long name(struct sv_file *f, struct sv_ioctl_ctx *c)
IOMMUFD_IOCTL(iommufd_hwpt_alloc);
IOMMUFD_IOCTL(iommufd_hwpt_set_dirty_tracking);
IOMMUFD_IOCTL(iommufd_hwpt_get_dirty_bitmap);
IOMMUFD_IOCTL(iommufd_hwpt_invalidate);
IOMMUFD_IOCTL(iommufd_get_hw_info);
IOMMUFD_IOCTL(iommufd_fault_alloc);
IOMMUFD_IOCTL(iommufd_viommu_alloc);
IOMMUFD_IOCTL(iommufd_vdevice_alloc);
IOMMUFD_IOCTL(iommufd_veventq_alloc);
IOMMUFD_IOCTL(iommufd_hw_queue_alloc);
IOMMUFD_IOCTL(iommufd_vfio_ioas);
IOMMUFD_IOCTL(iommufd_vfio_get_api_version);
IOMMUFD_IOCTL(iommufd_vfio_check_extension);
IOMMUFD_IOCTL(iommufd_vfio_set_iommu);
IOMMUFD_IOCTL(iommufd_vfio_get_info);
IOMMUFD_IOCTL(iommufd_vfio_map_dma);
IOMMUFD_IOCTL(iommufd_vfio_unmap_dma);
#undef IOMMUFD_IOCTL

/*
 * A test build's module: one more ioctl and the objects behind it. NULL in the product; set before
 * the first open.
 */
struct iommufd_test_module {
	long (*ioctl)(struct sv_file *f, struct sv_ioctl_ctx *c);
	void (*destroy)(struct iommufd_object *obj);	/* IOMMUFD_OBJ_SELFTEST */
};
extern const struct iommufd_test_module *iommufd_test_module;
#define IOMMUFD_TEST_CMD_SIZE 72
#define IOMMUFD_TEST_CMD_MIN_SIZE 68
#define IOMMU_TEST_CMD _IO(IOMMUFD_TYPE, 0xa0)

#endif
