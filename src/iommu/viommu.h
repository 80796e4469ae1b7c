/* SPDX-License-Identifier: MIT */
/*
 * A vIOMMU: what a guest believes to be its IOMMU, as far as the host's IOMMU knows of it; for
 * IOMMU implementations that have one, and iommufd.
 *
 * Model: it stands on a nesting-parent HWPT and belongs to one IOMMU implementation. A vdevice
 * says by what id the guest calls a device behind it; event queues carry what the IOMMU
 * reports to the guest; a hardware queue is guest memory that the IOMMU reads by itself.
 */
#ifndef SV_IOMMU_VIOMMU_H
#define SV_IOMMU_VIOMMU_H

#include "iommu/objects.h"

struct iommufd_hw_queue;

/* Members but init may be NULL: -EOPNOTSUPP, or nothing to do. Errors are negative errnos. */
struct iommufd_viommu_ops {
	/*
	 * type IOMMU_VIOMMU_TYPE_*: -EOPNOTSUPP for what it can't. data: NULL if none.
	 */
	int (*init)(struct iommufd_viommu *viommu, struct iommu_dev *dev, u32 type,
		    const struct iommu_user_data *data);
	void (*destroy)(struct iommufd_viommu *viommu);
	struct iommu_domain *(*alloc_domain_nested)(struct iommufd_viommu *viommu, u32 flags,
						    const struct iommu_user_data *data);
	/* As cache_invalidate_user of a nested domain. */
	int (*cache_invalidate)(struct iommufd_viommu *viommu, struct iommu_user_data_array *array);
	int (*vdevice_init)(struct iommufd_vdevice *vdev);
	void (*vdevice_destroy)(struct iommufd_vdevice *vdev);
	bool (*supports_veventq)(struct iommufd_viommu *viommu, u32 type);
	/* The memory at addr (of this process) stays while the queue does. */
	int (*hw_queue_init)(struct iommufd_hw_queue *queue, u32 index, void *addr, u64 length);
	void (*hw_queue_destroy)(struct iommufd_hw_queue *queue);
	bool (*supports_hw_queue)(struct iommufd_viommu *viommu, u32 type);
};

struct iommufd_viommu {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_hwpt_paging *hwpt;
	const struct iommu_ops *iommu;
	const struct iommufd_viommu_ops *ops;
	u32 type;
	void *priv;			/* the implementation's */
	struct sv_rwlock lock;		/* veventqs; vdevs' look-up */
	struct list_head veventqs;	/* struct iommufd_veventq.node */
	struct interval_tree vdevs;	/* struct iommufd_vdevice.node, by virt_id */
};

struct iommufd_vdevice {
	struct iommufd_object obj;
	struct iommufd_viommu *viommu;
	struct iommufd_device *idev;
	struct interval_tree_node node;	/* start: virt_id */
};

struct iommufd_hw_queue {
	struct iommufd_object obj;
	struct iommufd_viommu *viommu;
	struct iommufd_access *access;	/* pins the memory */
	u64 base, length;		/* IOVAs of the parent */
	u32 type, index;
	void *priv;
};

/* The event queue of a type; eventq.c. */
struct iommufd_veventq {
	struct iommufd_eventq common;
	struct iommufd_viommu *viommu;
	struct list_head node;
	u32 type;
	u32 depth;
	u32 num_events;			/* common.lock, as the following */
	u32 sequence;			/* of the next event */
	struct event *lost;		/* the element that says so, in deliver or not */
	struct sv_mutex read_lock;
};

/*
 * For an implementation, from any thread and with no lock of iommufd's: an event for the
 * guest. 0, -EOPNOTSUPP (nobody listens), -ENOMEM. When the queue is full the event is lost,
 * and the reader is told.
 */
int iommufd_viommu_report_event(struct iommufd_viommu *viommu, u32 type, const void *data,
				size_t len);
/* The id of dev behind viommu: 0, or -ENOENT. */
int iommufd_viommu_get_vdev_id(struct iommufd_viommu *viommu, struct iommu_dev *dev, u64 *id);
/* The device that has this id; NULL. Valid while the caller excludes the end of vdevices. */
struct iommu_dev *iommufd_viommu_find_dev(struct iommufd_viommu *viommu, u64 id);

struct iommufd_viommu *iommufd_get_viommu(struct iommufd_ctx *ictx, u32 id);
/* hwpt.c's: a nested domain on a vIOMMU, not finalized. */
struct iommufd_hwpt_nested *iommufd_viommu_alloc_nested(struct iommufd_viommu *viommu,
							struct iommufd_device *idev, u32 flags,
							const struct iommu_user_data *data);

#endif
