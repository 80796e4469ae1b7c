/* SPDX-License-Identifier: MIT */
/*
 * VFIO devices: their list, their life, and the ioctls of a device's descriptor. Model and locks:
 * vfio.h.
 *
 * vfio_lock, a leaf, guards the lists of devices and bus sets and their counts of references.
 */
#include "vfio/vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

static struct sv_mutex vfio_lock = SV_MUTEX_INIT;
static LIST_HEAD(devices);
static LIST_HEAD(devsets);

/* The functions are the parent's (src/pci/dev.c), and so is all that was made of them. */
static void forked(void)
{
	sv_mutex_init(&vfio_lock);
	INIT_LIST_HEAD(&devices);
	INIT_LIST_HEAD(&devsets);
}

static void __attribute__((constructor)) devices_init(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

static const struct pci_owner_ops owner_ops = {
	.msix = vfio_owner_msix,
	.intx = vfio_owner_intx,
	.memory_off = vfio_owner_memory_off,
	.memory_on = vfio_owner_memory_on,
	.err = vfio_owner_err,
	.request = vfio_owner_request,
};

/* vfio_lock held. */
static struct vfio_devset *devset_find(const struct pci_dev *pdev)
{
	struct vfio_devset *s;

	list_for_each_entry(s, &devsets, node)
		if (s->domain == pdev->domain && s->bus == pdev->bus)
			return s;
	return NULL;
}

/* vfio_lock held. */
static struct vfio_devset *devset_get(const struct pci_dev *pdev)
{
	struct vfio_devset *s = devset_find(pdev);

	if (s) {
		s->refs++;
		return s;
	}
	s = sv_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	s->refs = 1;
	s->domain = pdev->domain;
	s->bus = pdev->bus;
	sv_mutex_init(&s->lock);
	list_add_tail(&s->node, &devsets);
	return s;
}

static struct vfio_device *device_alloc(struct pci_dev *pdev)
{
	struct vfio_device *vdev = sv_zalloc(sizeof(*vdev));
	struct vfio_group *g;

	if (!vdev)
		return ERR_PTR(-ENOMEM);
	g = vfio_group_get_by_id(pdev->group_id);
	if (IS_ERR(g)) {
		sv_free(vdev);
		return ERR_CAST(g);
	}
	vdev->refs = 1;
	vdev->group = g;
	vdev->irq_type = VFIO_PCI_NUM_IRQS;
	vdev->pm_wake_fd = -1;
	sv_rwlock_init(&vdev->memory_lock);
	sv_mutex_init(&vdev->config_lock);
	sv_mutex_init(&vdev->igate);
	sv_mutex_init(&vdev->irq_lock);
	sv_mutex_init(&vdev->dmabuf_lock);
	sv_mutex_init(&vdev->log_lock);
	sv_mutex_init(&vdev->vf_token.lock);
	INIT_LIST_HEAD(&vdev->pasids);
	INIT_LIST_HEAD(&vdev->maps);
	INIT_LIST_HEAD(&vdev->dmabufs);
	vfio_irq_init(vdev);
	return vdev;
}

static void device_free(struct vfio_device *vdev)
{
	vfio_group_put(vdev->group);
	sv_free(vdev);
}

/* vfio_lock held. */
static struct vfio_device *device_find(const struct pci_dev *pdev)
{
	struct vfio_device *vdev;

	list_for_each_entry(vdev, &devices, node)
		if (vdev->pdev == pdev)
			return vdev;
	return NULL;
}

struct vfio_device *vfio_device_get_by_pci(struct pci_dev *pdev)
{
	struct vfio_device *vdev, *found, *fresh;

	sv_mutex_lock(&vfio_lock);
	found = device_find(pdev);
	if (found)
		found->refs++;
	sv_mutex_unlock(&vfio_lock);
	if (found)
		return found;
	vdev = fresh = device_alloc(pdev);
	if (IS_ERR(vdev))
		return vdev;
	sv_mutex_lock(&vfio_lock);
	found = device_find(pdev);	/* somebody else was first */
	if (found) {
		found->refs++;
		vdev = found;
	} else {
		vdev->set = devset_get(pdev);
		if (vdev->set) {
			vdev->pdev = pci_dev_get(pdev);
			list_add_tail(&vdev->node, &devices);
			fresh = NULL;
		} else {
			vdev = ERR_PTR(-ENOMEM);
		}
	}
	sv_mutex_unlock(&vfio_lock);
	if (fresh)
		device_free(fresh);
	return vdev;
}

struct vfio_device *vfio_device_get(struct vfio_device *vdev)
{
	sv_mutex_lock(&vfio_lock);
	vdev->refs++;
	sv_mutex_unlock(&vfio_lock);
	return vdev;
}

void vfio_device_put(struct vfio_device *vdev)
{
	struct vfio_devset *set = NULL;
	bool last;

	sv_mutex_lock(&vfio_lock);
	last = --vdev->refs == 0;
	if (last) {
		list_del(&vdev->node);
		if (--vdev->set->refs == 0) {
			set = vdev->set;
			list_del(&set->node);
		}
	}
	sv_mutex_unlock(&vfio_lock);
	if (!last)
		return;
	sv_free(set);
	pci_dev_put(vdev->pdev);
	device_free(vdev);
}

static u16 command_read(struct vfio_device *vdev)
{
	return (u16)pci_config_read(vdev->pdev, PCI_COMMAND, 2);
}

/*
 * As a driver that takes the function over: no bus mastering, reset, memory decoding on. What
 * the user finds in config space afterwards is what vfio_config_init reads.
 */
static void device_enable(struct vfio_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	vfio_memory_write_lock(vdev);
	vdev->memory_on = pci_memory_on(pdev);
	pci_config_write(pdev, PCI_COMMAND, 2, command_read(vdev) & (u16)~PCI_COMMAND_MASTER);
	pci_reset(pdev, PCI_RESET_FLR);
	pci_config_write(pdev, PCI_COMMAND, 2,
			 (command_read(vdev) & (u16)~PCI_COMMAND_INTX_DISABLE) | PCI_COMMAND_MEMORY);
	vfio_config_init(vdev);
	vfio_memory_update(vdev);
	vfio_memory_write_unlock(vdev);
}

/* Nobody has access any more. After it nothing reaches the function, and it is as before. */
static void device_disable(struct vfio_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	vfio_dma_log_close(vdev);
	vfio_irq_close(vdev);
	vfio_memory_write_lock(vdev);
	vfio_memory_close(vdev);
	pci_config_write(pdev, pdev->pm_cap + PCI_PM_CTRL, 2, 0);
	pci_config_write(pdev, PCI_COMMAND, 2, 0);
	pci_reset(pdev, PCI_RESET_FLR);
	vfio_memory_write_unlock(vdev);
}

static int device_first_open(struct vfio_device *vdev, struct iommufd_ctx *ictx, u32 *devid)
{
	struct iommufd_device *idev = NULL;
	int err = pci_dev_claim(vdev->pdev, &owner_ops, vdev);

	if (err)
		return err;
	if (ictx) {
		idev = iommufd_device_bind(ictx, &vdev->pdev->iommu, devid);
		if (IS_ERR(idev)) {
			pci_dev_release(vdev->pdev);
			return (int)PTR_ERR(idev);
		}
		vdev->ictx = iommufd_ctx_get(ictx);
		vdev->idev = idev;
	}
	vdev->pf = vfio_device_pf(vdev);
	if (vdev->pf) {
		sv_mutex_lock(&vdev->pf->vf_token.lock);
		vdev->pf->vf_token.users++;
		sv_mutex_unlock(&vdev->pf->vf_token.lock);
	}
	device_enable(vdev);
	return 0;
}

static void device_last_close(struct vfio_device *vdev)
{
	if (vdev->pf) {
		sv_mutex_lock(&vdev->pf->vf_token.lock);
		vdev->pf->vf_token.users--;
		sv_mutex_unlock(&vdev->pf->vf_token.lock);
		vfio_device_put(vdev->pf);
		vdev->pf = NULL;
	}
	device_disable(vdev);
	if (vdev->idev) {
		vfio_device_detach_all(vdev);
		iommufd_device_unbind(vdev->idev);
		iommufd_ctx_put(vdev->ictx);
		vdev->idev = NULL;
		vdev->ictx = NULL;
	}
	pci_dev_release(vdev->pdev);
}

int vfio_device_open(struct vfio_df *df, struct iommufd_ctx *ictx, u32 *devid)
{
	struct vfio_device *vdev = df->vdev;
	int err = 0;

	/* Only groups share a device: their descriptors come from one place. */
	if (vdev->open_count && !df->group)
		return -EINVAL;
	if (!vdev->open_count)
		err = device_first_open(vdev, ictx, devid);
	if (!err)
		vdev->open_count++;
	return err;
}

void vfio_device_close(struct vfio_df *df)
{
	struct vfio_device *vdev = df->vdev;

	if (vdev->open_count == 1)
		device_last_close(vdev);
	vdev->open_count--;
}

int vfio_device_iommufd_id(struct vfio_device *vdev, struct iommufd_ctx *ictx)
{
	if (vdev->idev && vdev->ictx == ictx)
		return (int)iommufd_device_to_id(vdev->idev);
	if (vdev->open_count)
		return -ENODEV;
	return iommufd_ctx_has_group(ictx, vdev->pdev->iommu.group) ? -ENOENT : -ENODEV;
}

/* struct vfio_device_info with the padding that newer headers name. */
struct device_info {
	u32 argsz, flags, num_regions, num_irqs, cap_offset, pad;
};

static long get_info(void *user)
{
	size_t minsz = offsetofend(struct device_info, num_irqs);
	struct device_info info = { 0 };

	if (sv_copy_from_user(&info, user, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	minsz = min((size_t)info.argsz, sizeof(info));
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return sv_copy_to_user(user, &info, minsz) ? -EFAULT : 0;
}

static long device_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	struct vfio_df *df = sv_file_priv(f);
	struct vfio_device *vdev = df->vdev;
	void *user = (void *)value;

	if (cmd == VFIO_DEVICE_BIND_IOMMUFD)
		return vfio_df_bind(df, user);
	if (!vfio_df_granted(df))
		return -EINVAL;
	vfio_pm_wake(vdev);
	if (!df->group && cmd == VFIO_DEVICE_ATTACH_IOMMUFD_PT)
		return vfio_df_attach(df, user);
	if (!df->group && cmd == VFIO_DEVICE_DETACH_IOMMUFD_PT)
		return vfio_df_detach(df, user);
	switch (cmd) {
	case VFIO_DEVICE_FEATURE:
		return vfio_device_feature(vdev, user);
	case VFIO_DEVICE_GET_INFO:
		return get_info(user);
	case VFIO_DEVICE_GET_REGION_INFO:
		return vfio_get_region_info(vdev, user);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return vfio_get_irq_info(vdev, user);
	case VFIO_DEVICE_SET_IRQS:
		return vfio_set_irqs(vdev, user);
	case VFIO_DEVICE_RESET:
		return vfio_device_reset(vdev);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return vfio_get_hot_reset_info(vdev, user);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return vfio_hot_reset(vdev, user);
	default:
		return -ENOTTY;
	}
}

static void device_release(struct sv_file *f)
{
	struct vfio_df *df = sv_file_priv(f);
	struct vfio_device *vdev = df->vdev;
	struct vfio_group *g = df->group;

	if (g)
		vfio_df_group_close(df);
	else
		vfio_df_unbind(df);
	sv_free(df);
	vfio_device_put(vdev);
	if (g)
		vfio_group_put(g);
}

const struct sv_file_ops vfio_device_file_ops = {
	.name = "vfio-device",
	.ioctl = device_ioctl,
	.mmap = vfio_mmap,
	.read = vfio_region_read,
	.write = vfio_region_write,
	.release = device_release,
	.bound_to_mm = true,
};

int vfio_df_create_file(struct vfio_df *df, int o_flags, struct sv_file **out)
{
	return sv_file_create(&vfio_device_file_ops, df, SV_BACKING_MEMFD, 0, o_flags, out);
}
