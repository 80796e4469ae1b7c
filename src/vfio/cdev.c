/* SPDX-License-Identifier: MIT */
/*
 * A device by its own node, /dev/vfio/devices/vfioN: binding it to an iommufd gives access,
 * attaching it to an IOAS or HWPT gives its DMA addresses, each PASID by itself.
 *
 * A descriptor is bound once and for its life. While a device of a group is open this way, the
 * group's node can't be opened, and the other way round.
 *
 * All under devset.lock.
 */
#include <fcntl.h>

#include "vfio/vfio.h"

/* The structs of the newest kernel, whatever the host's header has. */
struct bind {
	u32 argsz, flags;
	s32 iommufd;
	u32 out_devid;
	u64 token_uuid_ptr;
};

struct attach {
	u32 argsz, flags, pt_id, pasid;
};

struct detach {
	u32 argsz, flags, pasid;
};

/* The function with this index, with a reference; NULL. */
static struct pci_dev *find_index(u32 index)
{
	struct pci_dev *p = NULL;

	while ((p = pci_dev_next(p)))
		if (p->index == index)
			return p;
	return NULL;
}

int vfio_cdev_open(u32 index, int o_flags)
{
	struct pci_dev *pdev = find_index(index);
	struct vfio_device *vdev;
	struct vfio_df *df;
	struct sv_file *f;
	int err;

	if (!pdev)
		return -ENODEV;
	vdev = vfio_device_get_by_pci(pdev);
	pci_dev_put(pdev);
	if (IS_ERR(vdev))
		return (int)PTR_ERR(vdev);
	df = sv_zalloc(sizeof(*df));
	if (!df) {
		vfio_device_put(vdev);
		return -ENOMEM;
	}
	df->vdev = vdev;
	df->o_flags = o_flags;
	err = vfio_df_create_file(df, o_flags, &f);
	if (err) {
		sv_free(df);
		vfio_device_put(vdev);
		return err;
	}
	return sv_file_install(f);
}

/* The token, if the caller gave one. 0 or -errno. */
static int bind_token(struct vfio_device *vdev, const struct bind *b)
{
	u8 uuid[16];

	if (!(b->flags & VFIO_DEVICE_BIND_FLAG_TOKEN))
		return vfio_check_vf_token(vdev, NULL);
	if (sv_copy_from_user(uuid, (void *)(uintptr_t)b->token_uuid_ptr, sizeof(uuid)))
		return -EFAULT;
	return vfio_check_vf_token(vdev, uuid);
}

/* devset.lock held, the group blocked. */
static int bind_locked(struct vfio_df *df, struct bind *b, void *user)
{
	struct vfio_device *vdev = df->vdev;
	struct iommufd_ctx *ictx;
	int err;

	if (df->granted)
		return -EINVAL;
	err = bind_token(vdev, b);
	if (err)
		return err;
	ictx = iommufd_ctx_from_fd(b->iommufd);
	if (IS_ERR(ictx))
		return (int)PTR_ERR(ictx);
	err = vfio_device_open(df, ictx, &b->out_devid);
	iommufd_ctx_put(ictx);
	if (err)
		return err;
	if (sv_copy_to_user((u8 *)user + offsetof(struct bind, out_devid), &b->out_devid,
			    sizeof(b->out_devid))) {
		vfio_device_close(df);
		return -EFAULT;
	}
	WRITE_ONCE(vdev->cdev_opened, true);
	smp_store_release(&df->granted, true);
	return 0;
}

long vfio_df_bind(struct vfio_df *df, void *user)
{
	size_t minsz = offsetofend(struct bind, out_devid);
	struct vfio_device *vdev = df->vdev;
	struct bind b = { 0 };
	int err;

	if (sv_copy_from_user(&b, user, minsz))
		return -EFAULT;
	if (b.argsz < minsz || (b.flags & ~(u32)VFIO_DEVICE_BIND_FLAG_TOKEN) || b.iommufd < 0)
		return -EINVAL;
	if (b.flags & VFIO_DEVICE_BIND_FLAG_TOKEN) {
		if (b.argsz < sizeof(b))
			return -EINVAL;
		if (sv_copy_from_user(&b.token_uuid_ptr,
				      (u8 *)user + offsetof(struct bind, token_uuid_ptr),
				      sizeof(b.token_uuid_ptr)))
			return -EFAULT;
	}
	if (df->group)
		return -EINVAL;
	err = vfio_group_block(vdev->group);
	if (err)
		return err;
	sv_mutex_lock(&vdev->set->lock);
	err = bind_locked(df, &b, user);
	sv_mutex_unlock(&vdev->set->lock);
	if (err)
		vfio_group_unblock(vdev->group);
	return err;
}

void vfio_df_unbind(struct vfio_df *df)
{
	struct vfio_device *vdev = df->vdev;

	if (!df->granted)
		return;
	sv_mutex_lock(&vdev->set->lock);
	vfio_device_close(df);
	WRITE_ONCE(vdev->cdev_opened, false);
	sv_mutex_unlock(&vdev->set->lock);
	vfio_group_unblock(vdev->group);
}

static struct vfio_pasid *pasid_find(struct vfio_device *vdev, u32 pasid)
{
	struct vfio_pasid *p;

	list_for_each_entry(p, &vdev->pasids, node)
		if (p->pasid == pasid)
			return p;
	return NULL;
}

static int attach_plain(struct vfio_device *vdev, u32 *pt_id)
{
	int err = vdev->attached ? iommufd_device_replace(vdev->idev, IOMMU_NO_PASID, pt_id) :
				   iommufd_device_attach(vdev->idev, IOMMU_NO_PASID, pt_id);

	if (!err)
		vdev->attached = true;
	return err;
}

static int attach_pasid(struct vfio_device *vdev, u32 pasid, u32 *pt_id)
{
	struct vfio_pasid *p;
	int err;

	if (!vdev->pdev->iommu.max_pasids)
		return -EOPNOTSUPP;
	if (pasid_find(vdev, pasid))
		return iommufd_device_replace(vdev->idev, pasid, pt_id);
	p = sv_alloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->pasid = pasid;
	err = iommufd_device_attach(vdev->idev, pasid, pt_id);
	if (err) {
		sv_free(p);
		return err;
	}
	list_add(&p->node, &vdev->pasids);
	return 0;
}

static void detach(struct vfio_device *vdev, bool by_pasid, u32 pasid)
{
	struct vfio_pasid *p;

	if (!by_pasid) {
		if (vdev->attached)
			iommufd_device_detach(vdev->idev, IOMMU_NO_PASID);
		vdev->attached = false;
		return;
	}
	p = pasid_find(vdev, pasid);
	if (!p)
		return;
	iommufd_device_detach(vdev->idev, pasid);
	list_del(&p->node);
	sv_free(p);
}

void vfio_device_detach_all(struct vfio_device *vdev)
{
	while (!list_empty(&vdev->pasids))
		detach(vdev, true, list_first_entry(&vdev->pasids, struct vfio_pasid, node)->pasid);
	detach(vdev, false, 0);
}

long vfio_df_attach(struct vfio_df *df, void *user)
{
	size_t minsz = offsetofend(struct attach, pt_id);
	struct vfio_device *vdev = df->vdev;
	struct attach a = { 0 };
	bool by_pasid;
	int err;

	if (sv_copy_from_user(&a, user, minsz))
		return -EFAULT;
	if (a.argsz < minsz || (a.flags & ~(u32)VFIO_DEVICE_ATTACH_PASID))
		return -EINVAL;
	by_pasid = a.flags & VFIO_DEVICE_ATTACH_PASID;
	if (by_pasid && a.argsz < sizeof(a))
		return -EINVAL;
	if (by_pasid && sv_copy_from_user(&a, user, sizeof(a)))
		return -EFAULT;
	sv_mutex_lock(&vdev->set->lock);
	err = by_pasid ? attach_pasid(vdev, a.pasid, &a.pt_id) : attach_plain(vdev, &a.pt_id);
	if (!err && sv_copy_to_user((u8 *)user + offsetof(struct attach, pt_id), &a.pt_id,
				    sizeof(a.pt_id))) {
		detach(vdev, by_pasid, a.pasid);
		err = -EFAULT;
	}
	sv_mutex_unlock(&vdev->set->lock);
	return err;
}

long vfio_df_detach(struct vfio_df *df, void *user)
{
	size_t minsz = offsetofend(struct detach, flags);
	struct vfio_device *vdev = df->vdev;
	struct detach d = { 0 };
	bool by_pasid;

	if (sv_copy_from_user(&d, user, minsz))
		return -EFAULT;
	if (d.argsz < minsz || (d.flags & ~(u32)VFIO_DEVICE_DETACH_PASID))
		return -EINVAL;
	by_pasid = d.flags & VFIO_DEVICE_DETACH_PASID;
	if (by_pasid && d.argsz < sizeof(d))
		return -EINVAL;
	if (by_pasid && sv_copy_from_user(&d, user, sizeof(d)))
		return -EFAULT;
	if (by_pasid && !vdev->pdev->iommu.max_pasids)
		return -EOPNOTSUPP;
	sv_mutex_lock(&vdev->set->lock);
	detach(vdev, by_pasid, d.pasid);
	sv_mutex_unlock(&vdev->set->lock);
	return 0;
}
