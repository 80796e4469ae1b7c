/* SPDX-License-Identifier: MIT */
/*
 * VFIO: what its files share. docs/vfio.md has the model, the invariants and what differs from the
 * kernel.
 *
 * A struct vfio_device is a PCI function as VFIO knows it; it exists while anybody refers to it (a
 * descriptor, a dma-buf, a call under way). It is open while a descriptor has access: by its group,
 * then any number of descriptors, or by its cdev, then one. The first open claims the function
 * (pci_dev_claim), resets it and enables its memory; the last close undoes that. A mapping of a BAR
 * holds the descriptor's file, as in the kernel.
 *
 * Locks, outermost first:
 *   vfio_group.lock        a group's container, who has it open
 *   vfio_container.lock    (read, write) groups and type1 of a container
 *   vfio_devset.lock       open, close, bind, attach of all functions of one bus
 *   vfio_type1.lock        a container's mappings
 *   vfio_device.memory_lock  (read: somebody accesses a BAR; write: memory goes off or on,
 *                          resets). Waiting for importers happens under it, as in the kernel.
 *   vfio_device.igate      interrupts are configured
 *   pci_dev.reset_lock     pci.h
 *   a dma-buf's reservation lock and what importers take inside of it
 *   map_lock (mmap.c), config_lock, dmabuf_lock, irq_lock, vfio_lock: leaves. irq_lock is taken under
 *                          pci_dev.lock by the function's interrupts.
 *
 * igate is taken outside of memory_lock nowhere, memory_lock never inside of igate.
 */
#ifndef SV_VFIO_VFIO_H
#define SV_VFIO_VFIO_H

#include <linux/pci_regs.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/interval_tree.h"
#include "base/list.h"
#include "base/log.h"
#include "base/sync.h"
#include "base/trace.h"
#include "base/types.h"
#include "file/file.h"
#include "iommu/iommufd.h"
#include "pci/pci.h"
#include "softvirt/uapi/vfio.h"

#define VFIO_OFFSET_SHIFT 40
#define VFIO_OFFSET_MASK ((1ull << VFIO_OFFSET_SHIFT) - 1)
#define VFIO_OFFSET_TO_INDEX(off) ((off) >> VFIO_OFFSET_SHIFT)
#define VFIO_INDEX_TO_OFFSET(index) ((u64)(index) << VFIO_OFFSET_SHIFT)

#define offsetofend(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

struct vfio_container;
struct vfio_group;
struct vfio_virqfds;
struct vfio_dma_log;

/* The functions of one bus: what a hot reset resets together. */
struct vfio_devset {
	struct list_head node;		/* vfio_lock */
	u32 refs;			/* vfio_lock */
	u16 domain;
	u8 bus;
	struct sv_mutex lock;
};

/* One interrupt vector's eventfd. */
struct vfio_vector {
	int fd;				/* ours; -1: none */
};

struct vfio_device {
	struct list_head node;		/* vfio_lock */
	u32 refs;			/* vfio_lock */
	struct pci_dev *pdev;		/* a reference */
	struct vfio_devset *set;	/* a reference */
	struct vfio_group *group;	/* a reference */

	/* set->lock */
	u32 open_count;
	bool cdev_opened;
	struct iommufd_ctx *ictx;	/* while bound; a reference */
	struct iommufd_device *idev;
	bool attached;
	struct list_head pasids;	/* struct vfio_pasid: attached ones */

	/* memory_lock, written by whoever holds it for writing */
	struct sv_rwlock memory_lock;
	const void *memory_writer;	/* names the thread that holds it for writing; atomic */
	bool memory_on;			/* the function's */
	bool pm_engaged;		/* low power by the user's wish */
	int pm_wake_fd;
	bool accessible;		/* the outcome: BARs can be reached, buffers aren't revoked */

	/* config.c */
	struct sv_mutex config_lock;
	u8 vconfig[PCI_CFG_SIZE];	/* config_lock */
	u8 virt[PCI_CFG_SIZE];		/* constant while open: bits that vconfig answers */
	u8 write[PCI_CFG_SIZE];		/* bits that may be written */
	u8 hidden[PCI_CFG_SIZE];	/* raw bytes: no capability */
	bool bardirty;			/* config_lock */

	/* irq.c */
	struct sv_mutex igate;
	unsigned irq_type;		/* VFIO_PCI_*_IRQ_INDEX, NUM_IRQS: none; igate and irq_lock */
	unsigned msi_qmax;		/* igate */
	struct sv_mutex irq_lock;
	struct vfio_vector vectors[64];	/* irq_lock; [0] is INTx's */
	struct vfio_vector err, req;	/* irq_lock */
	bool intx_level, intx_masked, virq_disabled;	/* irq_lock */
	struct vfio_virqfds *virqfds;	/* igate */

	/* mmap.c, map_lock */
	struct list_head maps;
	bool maps_live;			/* RAM BARs' mappings are the memory itself */

	/* dmabuf.c */
	struct sv_mutex dmabuf_lock;
	struct list_head dmabufs;	/* dmabuf_lock */

	/* feature.c */
	struct sv_mutex log_lock;
	struct vfio_dma_log *log;	/* log_lock */
	struct {
		struct sv_mutex lock;
		u32 users;
		u8 uuid[16];
	} vf_token;			/* physical functions */
	struct vfio_device *pf;		/* a VF's physical function, while open; a reference */
};

struct vfio_pasid {
	struct list_head node;
	u32 pasid;
};

/* One descriptor of a device. */
struct vfio_df {
	struct vfio_device *vdev;	/* a reference */
	struct vfio_group *group;	/* opened by its group (a reference); NULL: cdev */
	int o_flags;			/* of its open */
	bool granted;			/* atomic: access has been granted */
};

extern const struct sv_file_ops vfio_device_file_ops;
/* A group's or a device's: what KVM's VFIO device takes. */
bool vfio_file_is_valid(const struct sv_file *f);

/* device.c: life. A reference each; ERR_PTR(-ENOMEM), -ENODEV: no such function. */
struct vfio_device *vfio_device_get_by_pci(struct pci_dev *pdev);
struct vfio_device *vfio_device_get(struct vfio_device *vdev);
void vfio_device_put(struct vfio_device *vdev);
/* set->lock held. The device's first open (bound to ictx, or by its group) and last close. */
int vfio_device_open(struct vfio_df *df, struct iommufd_ctx *ictx, u32 *devid);
void vfio_device_close(struct vfio_df *df);
/* A file for df; it takes df over on success. */
int vfio_df_create_file(struct vfio_df *df, int o_flags, struct sv_file **out);
static inline bool vfio_df_granted(struct vfio_df *df)
{
	return smp_load_acquire(&df->granted);
}
/*
 * For hot resets: the ids of a device for a context: > 0, -ENOENT: owned through its group,
 * -ENODEV. set->lock.
 */
int vfio_device_iommufd_id(struct vfio_device *vdev, struct iommufd_ctx *ictx);

/*
 * memory.c. lock: exclusive of every access; the BARs' state may change until unlock. update:
 * makes everybody follow memory_on and pm_engaged; waits for importers. lock held.
 */
void vfio_memory_write_lock(struct vfio_device *vdev);
void vfio_memory_write_unlock(struct vfio_device *vdev);
void vfio_memory_update(struct vfio_device *vdev);
void vfio_memory_close(struct vfio_device *vdev);	/* for good */
/* The owner's ops. */
void vfio_owner_memory_off(void *owner);
void vfio_owner_memory_on(void *owner);
/* Any access of the user's wakes the device from low power; eventfd and all. */
void vfio_pm_wake(struct vfio_device *vdev);
int vfio_pm_enter(struct vfio_device *vdev, int wake_fd);	/* takes wake_fd over on success */
void vfio_pm_exit(struct vfio_device *vdev);

/* region.c */
long vfio_get_region_info(struct vfio_device *vdev, void *user);
ssize_t vfio_region_read(struct sv_file *f, void *user, size_t len, u64 *pos, bool stream);
ssize_t vfio_region_write(struct sv_file *f, const void *user, size_t len, u64 *pos, bool stream);
/* A BAR's bytes with memory_lock taken: 0, -EIO. The MSI-X table is hidden. */
int vfio_bar_access(struct vfio_device *vdev, unsigned bar, u64 off, void *buf, size_t len,
		    bool write);
bool vfio_bar_can_mmap(const struct vfio_device *vdev, unsigned bar);

/* mmap.c */
void *vfio_mmap(struct sv_file *f, void *addr, size_t len, int prot, int flags, off_t off);
void vfio_maps_zap(struct vfio_device *vdev);		/* memory_lock for writing */
void vfio_maps_restore(struct vfio_device *vdev);
/*
 * Are [addr, addr + len) registers that are mapped there, in one piece? Their device with a
 * reference (not to its file: whoever puts the last one of that closes it), BAR and offset; NULL.
 */
struct vfio_device *vfio_maps_find_regs(u64 addr, u64 len, unsigned *bar, u64 *off);

/* config.c */
void vfio_config_init(struct vfio_device *vdev);
ssize_t vfio_config_rw(struct vfio_device *vdev, void *user, size_t len, u64 pos, bool write);
bool vfio_config_has_intx(struct vfio_device *vdev);

/* irq.c */
void vfio_irq_init(struct vfio_device *vdev);
void vfio_irq_close(struct vfio_device *vdev);
long vfio_get_irq_info(struct vfio_device *vdev, void *user);
long vfio_set_irqs(struct vfio_device *vdev, void *user);
void vfio_owner_msix(void *owner, unsigned vector);
void vfio_owner_intx(void *owner, bool level);
void vfio_owner_err(void *owner);
void vfio_owner_request(void *owner, unsigned count);
/* The command register's INTX_DISABLE as the user sees it. */
void vfio_intx_virq_disable(struct vfio_device *vdev, bool off);
/* An unmask eventfd has fired. */
void vfio_intx_unmask(struct vfio_device *vdev);
/* Masks INTx; was it unmasked? */
bool vfio_intx_mask(struct vfio_device *vdev);

/*
 * eventfd.c. A descriptor of our own to the caller's eventfd: -EBADF, -EINVAL (no eventfd),
 * -EMFILE.
 */
int vfio_eventfd_get(int fd);
void vfio_eventfd_put(int fd);
void vfio_eventfd_signal(int fd);	/* never waits; keeps errno */
/* Calls vfio_intx_unmask when fd is signalled. igate held. -EBUSY: there is one. */
int vfio_unmask_eventfd_set(struct vfio_device *vdev, int fd);
void vfio_unmask_eventfd_clear(struct vfio_device *vdev);
void vfio_virqfds_stop(struct vfio_device *vdev);	/* igate not held */

/* reset.c */
long vfio_device_reset(struct vfio_device *vdev);
long vfio_get_hot_reset_info(struct vfio_device *vdev, void *user);
long vfio_hot_reset(struct vfio_device *vdev, void *user);

/* feature.c */
long vfio_device_feature(struct vfio_device *vdev, void *user);
/* 1: go on; 0: it was a probe; -EINVAL. */
int vfio_check_feature(u32 flags, size_t argsz, u32 supported, size_t minsz);
void vfio_dma_log_close(struct vfio_device *vdev);
/*
 * text: a device's name with options, for GET_DEVICE_FD. 1: this device, 0: another, -EINVAL,
 * -EACCES.
 */
int vfio_device_match(struct vfio_device *vdev, const char *text);
int vfio_check_vf_token(struct vfio_device *vdev, const u8 *uuid);	/* NULL: none given */
struct vfio_device *vfio_device_pf(struct vfio_device *vdev);	/* a reference; NULL */

/* dma_log.c */
long vfio_dma_logging_start(struct vfio_device *vdev, u32 flags, void *user, size_t argsz);
long vfio_dma_logging_stop(struct vfio_device *vdev, u32 flags, size_t argsz);
long vfio_dma_logging_report(struct vfio_device *vdev, u32 flags, void *user, size_t argsz);

/* dmabuf.c */
long vfio_feature_dma_buf(struct vfio_device *vdev, u32 flags, void *user, size_t argsz);
/* A buffer over whole pages of a BAR, for the library's own use: a descriptor or -errno. */
int vfio_dmabuf_export(struct vfio_device *vdev, unsigned bar, u64 off, u64 len);
/* All of the device's buffers are revoked (waits), or come back. memory_lock for writing. */
void vfio_dmabufs_revoke(struct vfio_device *vdev);
void vfio_dmabufs_restore(struct vfio_device *vdev);
void vfio_dmabufs_close(struct vfio_device *vdev);	/* revoked already: stay so */

/* cdev.c: BIND, ATTACH, DETACH */
int vfio_cdev_open(u32 index, int o_flags);
long vfio_df_bind(struct vfio_df *df, void *user);
long vfio_df_attach(struct vfio_df *df, void *user);
long vfio_df_detach(struct vfio_df *df, void *user);
void vfio_df_unbind(struct vfio_df *df);
void vfio_device_detach_all(struct vfio_device *vdev);	/* set->lock */

/* group.c */
int vfio_group_open_node(u32 id, int o_flags);
struct vfio_group *vfio_group_get_by_id(u32 id);	/* made if need be; ERR_PTR(-ENOMEM) */
struct vfio_group *vfio_group_get(struct vfio_group *g);
void vfio_group_put(struct vfio_group *g);
u32 vfio_group_id(const struct vfio_group *g);
int vfio_group_block(struct vfio_group *g);		/* a cdev is being opened: -EBUSY */
void vfio_group_unblock(struct vfio_group *g);
void vfio_df_group_close(struct vfio_df *df);
/* A group's file: -EBADF, -EINVAL; with a reference. */
struct vfio_group *vfio_group_from_fd(int fd);
struct iommu_group *vfio_group_iommu(struct vfio_group *g);

/* container.c */
int vfio_container_open_node(int o_flags);
extern const struct sv_file_ops vfio_container_file_ops;
struct vfio_container *vfio_container_get_from_file(struct sv_file *f);
void vfio_container_put(struct vfio_container *c);
/* group lock held */
int vfio_container_attach_group(struct vfio_container *c, struct vfio_group *g);
void vfio_container_detach_group(struct vfio_container *c, struct vfio_group *g);
bool vfio_container_has_iommu(struct vfio_container *c);

/* type1.c */
struct vfio_type1;
struct vfio_type1 *vfio_type1_open(unsigned long arg);
void vfio_type1_release(struct vfio_type1 *t);
int vfio_type1_attach_group(struct vfio_type1 *t, struct vfio_group *g);
void vfio_type1_detach_group(struct vfio_type1 *t, struct vfio_group *g);
long vfio_type1_ioctl(struct vfio_type1 *t, unsigned int cmd, void *user);
long vfio_type1_check_extension(struct vfio_type1 *t, unsigned long arg);	/* t may be NULL */

/* info.c: capability chains */
struct vfio_caps {
	u8 buf[1024];
	size_t size;
};
void *vfio_caps_add(struct vfio_caps *caps, size_t size, u16 id, u16 version);
/* Offsets as seen from the struct that they follow. */
void vfio_caps_shift(struct vfio_caps *caps, size_t offset);

#endif
