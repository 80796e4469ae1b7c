/* SPDX-License-Identifier: MIT */
/*
 * iommufd for those who bind devices to it (VFIO, and the mock devices of Linux's selftests), and
 * what its files share with an IOMMU implementation. Names and behaviour are the kernel's (7.x).
 * docs/iommufd.md has the model.
 *
 * A context is what one open of /dev/iommu gives; its objects (IOAS, HWPT, devices, access, fault
 * queues, vIOMMUs, vdevices, event queues) live in its table of ids.
 */
#ifndef SV_IOMMU_IOMMUFD_H
#define SV_IOMMU_IOMMUFD_H

#include "iommu/iommu.h"
#include "softvirt/uapi/iommufd.h"

struct iommufd_ctx;
struct iommufd_device;
struct iommufd_access;
struct iommufd_viommu;
struct iommufd_vdevice;
struct page_ref;

/*
 * A context that no descriptor shows (VFIO's containers, and what opening /dev/iommu makes): a
 * reference, or -errno.
 */
struct iommufd_ctx *iommufd_ctx_create(int o_flags);
/* A reference. ERR_PTR(-EBADFD): fd is no /dev/iommu of this process (-EBADF: nothing open). */
struct iommufd_ctx *iommufd_ctx_from_fd(int fd);
struct iommufd_ctx *iommufd_ctx_get(struct iommufd_ctx *ictx);
void iommufd_ctx_put(struct iommufd_ctx *ictx);
bool iommufd_ctx_has_group(struct iommufd_ctx *ictx, struct iommu_group *group);

/*
 * Claims dev's group for this context. ERR_PTR: -EBUSY another context or owner has it, -ENOMEM.
 * *id is the device object's. The context lives as long as the binding.
 */
struct iommufd_device *iommufd_device_bind(struct iommufd_ctx *ictx, struct iommu_dev *dev, u32 *id);
void iommufd_device_unbind(struct iommufd_device *idev);	/* nothing is attached */
/*
 * *pt_id: an IOAS (a HWPT is found or made) or a HWPT; comes back as the HWPT's id. -EINVAL
 * attached, -ENOENT, ...
 */
int iommufd_device_attach(struct iommufd_device *idev, u32 pasid, u32 *pt_id);
int iommufd_device_replace(struct iommufd_device *idev, u32 pasid, u32 *pt_id);
void iommufd_device_detach(struct iommufd_device *idev, u32 pasid);
struct iommufd_ctx *iommufd_device_to_ictx(struct iommufd_device *idev);
u32 iommufd_device_to_id(struct iommufd_device *idev);

/*
 * Access by software (mdev-like users): rw copies; pin gives addresses that stay valid until
 * unpin, and unmap asks its users to unpin first.
 */
struct iommufd_access_ops {
	bool needs_pin_pages;
	void (*unmap)(void *data, u64 iova, u64 length);
};
#define IOMMUFD_ACCESS_RW_READ 0
#define IOMMUFD_ACCESS_RW_WRITE BIT(0)
#define IOMMUFD_ACCESS_RW_KTHREAD BIT(1)
#define IOMMUFD_ACCESS_RW_SLOW_PATH BIT(2)	/* for tests */
struct iommufd_access *iommufd_access_create(struct iommufd_ctx *ictx,
					     const struct iommufd_access_ops *ops, void *data, u32 *id);
void iommufd_access_destroy(struct iommufd_access *access);
int iommufd_access_attach(struct iommufd_access *access, u32 ioas_id);
int iommufd_access_replace(struct iommufd_access *access, u32 ioas_id);
void iommufd_access_detach(struct iommufd_access *access);
/* addrs[i]: the address in this process of each page from iova on. */
int iommufd_access_pin_pages(struct iommufd_access *access, u64 iova, u64 length, void **addrs,
			     unsigned int flags);
void iommufd_access_unpin_pages(struct iommufd_access *access, u64 iova, u64 length);
int iommufd_access_rw(struct iommufd_access *access, u64 iova, void *data, size_t len,
		      unsigned int flags);

/*
 * Exporters of dma-bufs that iommufd may map: those whose buffers are one physical range
 * (VFIO's BARs). get_phys is called with the reservation lock held, after pin: 0,
 * -ENODEV (revoked), -EOPNOTSUPP (several ranges). ops stays registered for ever. -ENOMEM.
 */
struct dma_buf_ops;
struct dma_buf_attachment;
struct iommu_phys {
	void *addr;
	u64 len;
	bool mmio;		/* a trap region may lie there: IOMMU_MMIO */
};
int iommufd_register_phys_exporter(const struct dma_buf_ops *ops,
				   int (*get_phys)(struct dma_buf_attachment *attach,
						   struct iommu_phys *out));

/* /dev/vfio/vfio's group API over this context. */
int iommufd_vfio_compat_ioas_get_id(struct iommufd_ctx *ictx, u32 *out_ioas_id);
int iommufd_vfio_compat_ioas_create(struct iommufd_ctx *ictx);
int iommufd_vfio_compat_set_no_iommu(struct iommufd_ctx *ictx);

#endif
