/* SPDX-License-Identifier: MIT */
/*
 * Devices that are bound to a context, and their attachment to HWPTs.
 *
 * Model: binding claims the device's group for the context; the device object is held by
 * whoever bound it (VFIO), so DESTROY on it is EBUSY. Attachment is kept per group and PASID:
 * the first device of a group decides the HWPT, the others must follow it (EINVAL), and replace
 * moves all of them. Each attached device holds the HWPT once. The PASID 0 is the device's
 * own traffic; its reserved regions are then barred in the HWPT's IOAS.
 *
 * PASIDs: a HWPT that was not made for them (IOMMU_HWPT_ALLOC_PASID) goes neither to a PASID
 * nor under a device that has one attached.
 *
 * Locks: ioas->mutex, then igroup->lock, then those of spaces and of iommu groups.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/log.h"
#include "iommu/objects.h"

/* What a group has at one PASID. */
struct iommufd_attach {
	struct interval_tree_node node;	/* igroup->attaches; by PASID */
	struct iommufd_hw_pagetable *hwpt;
	struct interval_tree devices;	/* struct attached_device; never empty once published */
	u32 nr_devices;
};

struct attached_device {
	struct interval_tree_node node;	/* by the id of idev */
	struct iommufd_device *idev;
};

static u32 pasid_of(const struct iommufd_attach *a)
{
	return (u32)a->node.start;
}

static struct attached_device *device_of(struct interval_tree_node *n)
{
	return n ? container_of(n, struct attached_device, node) : NULL;
}

#define for_each_device(d, a) \
	for ((d) = device_of(interval_tree_first(&(a)->devices)); (d); \
	     (d) = device_of(interval_tree_next(&(d)->node)))

static void node_set(struct interval_tree_node *n, u64 key)
{
	n->start = key;
	n->last = key;
}

static struct iommufd_group *group_find(struct iommufd_ctx *ictx, struct iommu_group *group)
{
	struct interval_tree_node *n = interval_tree_iter_first(&ictx->groups, (u64)group, (u64)group);

	return n ? container_of(n, struct iommufd_group, node) : NULL;
}

static struct iommufd_group *group_get(struct iommufd_ctx *ictx, struct iommu_dev *dev)
{
	struct iommufd_group *fresh, *igroup;

	if (!dev->group)
		return ERR_PTR(-ENODEV);
	fresh = sv_zalloc(sizeof(*fresh));
	if (!fresh)
		return ERR_PTR(-ENOMEM);
	sv_mutex_lock(&ictx->lock);
	igroup = group_find(ictx, dev->group);
	if (!igroup) {
		igroup = fresh;
		fresh = NULL;
		igroup->group = dev->group;
		sv_mutex_init(&igroup->lock);
		interval_tree_init(&igroup->attaches);
		node_set(&igroup->node, (u64)dev->group);
		interval_tree_insert(&ictx->groups, &igroup->node);
	}
	igroup->refs++;
	sv_mutex_unlock(&ictx->lock);
	sv_free(fresh);
	return igroup;
}

static void group_put(struct iommufd_ctx *ictx, struct iommufd_group *igroup)
{
	bool last;

	sv_mutex_lock(&ictx->lock);
	last = !--igroup->refs;
	if (last)
		interval_tree_remove(&ictx->groups, &igroup->node);
	sv_mutex_unlock(&ictx->lock);
	if (last) {
		sv_mutex_destroy(&igroup->lock);
		sv_free(igroup);
	}
}

static bool capable(struct iommu_dev *dev, enum iommu_cap cap)
{
	return dev->iommu->capable && dev->iommu->capable(dev, cap);
}

void iommufd_device_destroy(struct iommufd_object *obj)
{
	struct iommufd_device *idev = container_of(obj, struct iommufd_device, obj);

	sv_mutex_lock(&idev->ictx->lock);
	interval_tree_remove(&idev->ictx->devices, &idev->by_dev);
	sv_mutex_unlock(&idev->ictx->lock);
	iommu_group_release_dma_owner(idev->dev->group, idev->ictx);
	group_put(idev->ictx, idev->igroup);
	sv_cond_destroy(&idev->vdev_gone);
	sv_mutex_destroy(&idev->vdev_lock);
	if (!idev->dev->in_ctx)
		iommufd_ctx_put(idev->ictx);
}

struct iommufd_device *iommufd_device_bind(struct iommufd_ctx *ictx, struct iommu_dev *dev, u32 *id)
{
	struct iommufd_group *igroup;
	struct iommufd_device *idev;
	int err;

	if (!capable(dev, IOMMU_CAP_CACHE_COHERENCY))
		return ERR_PTR(-EINVAL);
	igroup = group_get(ictx, dev);
	if (IS_ERR(igroup))
		return ERR_CAST(igroup);
	err = iommu_group_claim_dma_owner(dev->group, ictx);
	if (err)
		goto put_group;
	idev = iommufd_object_alloc(ictx, idev, IOMMUFD_OBJ_DEVICE);
	if (IS_ERR(idev)) {
		err = (int)PTR_ERR(idev);
		goto release_owner;
	}
	idev->ictx = ictx;
	if (!dev->in_ctx)
		iommufd_ctx_get(ictx);
	idev->dev = dev;
	idev->igroup = igroup;
	idev->enforce_cache_coherency = capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
	sv_mutex_init(&idev->vdev_lock);
	sv_cond_init(&idev->vdev_gone);
	iommufd_object_hold(&idev->obj);	/* who binds, until unbind */
	node_set(&idev->by_dev, (u64)dev);
	sv_mutex_lock(&ictx->lock);
	interval_tree_insert(&ictx->devices, &idev->by_dev);
	sv_mutex_unlock(&ictx->lock);
	*id = idev->obj.id;
	iommufd_object_finalize(ictx, &idev->obj);
	return idev;

release_owner:
	iommu_group_release_dma_owner(dev->group, ictx);
put_group:
	group_put(ictx, igroup);
	return ERR_PTR(err);
}

void iommufd_device_unbind(struct iommufd_device *idev)
{
	iommufd_device_remove_vdev(idev);
	iommufd_object_destroy_user(idev->ictx, &idev->obj);
}

bool iommufd_ctx_has_group(struct iommufd_ctx *ictx, struct iommu_group *group)
{
	bool found;

	if (!ictx || !group)
		return false;
	sv_mutex_lock(&ictx->lock);
	found = group_find(ictx, group);
	sv_mutex_unlock(&ictx->lock);
	return found;
}

struct iommufd_ctx *iommufd_device_to_ictx(struct iommufd_device *idev)
{
	return idev->ictx;
}

u32 iommufd_device_to_id(struct iommufd_device *idev)
{
	return idev->obj.id;
}

struct iommufd_device *iommufd_get_device(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_DEVICE);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct iommufd_device, obj);
}

/* Page requests: wanted while the device has an attachment that can take them. igroup->lock held */
static int iopf_enable(struct iommufd_device *idev)
{
	const struct iommu_ops *ops = idev->dev->iommu;
	int err = 0;

	if (!idev->iopf_enabled)
		err = ops->enable_iopf ? ops->enable_iopf(idev->dev) : -ENODEV;
	if (!err)
		idev->iopf_enabled++;
	return err;
}

static void iopf_disable(struct iommufd_device *idev)
{
	if (!--idev->iopf_enabled && idev->dev->iommu->disable_iopf)
		idev->dev->iommu->disable_iopf(idev->dev);
}

static struct iommufd_attach *attach_find(struct iommufd_group *igroup, u32 pasid)
{
	struct interval_tree_node *n = interval_tree_iter_first(&igroup->attaches, pasid, pasid);

	return n ? container_of(n, struct iommufd_attach, node) : NULL;
}

static struct attached_device *attach_device(struct iommufd_attach *a, struct iommufd_device *idev)
{
	return device_of(interval_tree_iter_first(&a->devices, idev->obj.id, idev->obj.id));
}

/* May this HWPT be the group's at this PASID, beside what it has at others? */
static int check_pasid(struct iommufd_hw_pagetable *hwpt, struct iommufd_device *idev, u32 pasid)
{
	struct iommufd_group *igroup = idev->igroup;
	struct iommufd_attach *a;

	if (pasid == IOMMU_NO_PASID) {
		if (hwpt->pasid_compat)
			return 0;
		return interval_tree_iter_first(&igroup->attaches, IOMMU_NO_PASID + 1, ~0ull) ?
			-EINVAL : 0;
	}
	if (!hwpt->pasid_compat || pasid >= idev->dev->max_pasids)
		return -EINVAL;
	a = attach_find(igroup, IOMMU_NO_PASID);
	return a && !a->hwpt->pasid_compat ? -EINVAL : 0;
}

/*
 * The device's reserved regions in the IOAS of the HWPT; only its own traffic is subject to
 * them. The owner by which they are taken out again is the device object.
 */
static int reserve(struct iommufd_device *idev, struct iommufd_hwpt_paging *paging, u32 pasid)
{
	if (!paging || pasid != IOMMU_NO_PASID)
		return 0;
	return iopt_table_enforce_dev_resv_regions(&paging->ioas->iopt, idev->dev, idev, NULL);
}

static void unreserve(struct iommufd_device *idev, struct iommufd_hwpt_paging *paging, u32 pasid)
{
	if (paging && pasid == IOMMU_NO_PASID)
		iopt_remove_reserved_iova(&paging->ioas->iopt, idev);
}

/* The IOMMU's side of it, for one device: page requests on, then the domain. */
static int connect(struct iommufd_device *idev, struct iommufd_hw_pagetable *hwpt, u32 pasid)
{
	int err;

	if (hwpt->fault) {
		err = iopf_enable(idev);
		if (err)
			return err;
	}
	err = iommu_attach(hwpt->domain, idev->dev, pasid);
	if (err && hwpt->fault)
		iopf_disable(idev);
	return err;
}

/* What the device leaves behind at a HWPT that its domain is no longer. */
static void disconnected(struct iommufd_device *idev, struct iommufd_hw_pagetable *hwpt, u32 pasid)
{
	if (hwpt->fault) {
		iommufd_fault_auto_response(hwpt, idev, pasid);
		iopf_disable(idev);
	}
}

static int attach_locked(struct iommufd_device *idev, struct iommufd_hw_pagetable *hwpt, u32 pasid)
{
	struct iommufd_hwpt_paging *paging = iommufd_hwpt_find_paging(hwpt);
	struct iommufd_group *igroup = idev->igroup;
	struct iommufd_attach *a = attach_find(igroup, pasid), *fresh = NULL;
	struct attached_device *d;
	int err;

	if (a && a->hwpt != hwpt)
		return -EINVAL;
	if (a && attach_device(a, idev))
		return -EBUSY;
	err = check_pasid(hwpt, idev, pasid);
	if (err)
		return err;
	d = sv_zalloc(sizeof(*d));
	if (!a)
		a = fresh = sv_zalloc(sizeof(*a));
	err = d && a ? reserve(idev, paging, pasid) : -ENOMEM;
	if (err)
		goto free;
	err = connect(idev, hwpt, pasid);
	if (err) {
		unreserve(idev, paging, pasid);
		goto free;
	}
	if (fresh) {
		a->hwpt = hwpt;
		node_set(&a->node, pasid);
		interval_tree_insert(&igroup->attaches, &a->node);
	}
	d->idev = idev;
	node_set(&d->node, idev->obj.id);
	interval_tree_insert(&a->devices, &d->node);
	a->nr_devices++;
	iommufd_object_hold(&hwpt->obj);
	return 0;
free:
	sv_free(fresh);
	sv_free(d);
	return err;
}

/* Attaching destroys nothing: NULL or an ERR_PTR. */
static struct iommufd_hw_pagetable *do_attach(struct iommufd_device *idev, u32 pasid,
					      struct iommufd_hw_pagetable *hwpt)
{
	int err;

	sv_mutex_lock(&idev->igroup->lock);
	err = attach_locked(idev, hwpt, pasid);
	sv_mutex_unlock(&idev->igroup->lock);
	return ERR_PTR(err);
}

/* The first n devices of a (all: ~0) no longer bar their regions in paging's IOAS. */
static void unreserve_n(struct iommufd_attach *a, struct iommufd_hwpt_paging *paging, size_t n)
{
	struct attached_device *d;

	for_each_device(d, a) {
		if (!n--)
			break;
		unreserve(d->idev, paging, pasid_of(a));
	}
}

static int reserve_all(struct iommufd_attach *a, struct iommufd_hwpt_paging *paging)
{
	struct attached_device *d;
	size_t n = 0;
	int err;

	for_each_device(d, a) {
		err = reserve(d->idev, paging, pasid_of(a));
		if (err) {
			unreserve_n(a, paging, n);
			return err;
		}
		n++;
	}
	return 0;
}

/*
 * All devices of a to hwpt, or none. Who can't go back is blocked: no DMA is better than DMA
 * to the wrong memory.
 */
static int connect_all(struct iommufd_attach *a, struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_hw_pagetable *old = a->hwpt;
	struct attached_device *d, *failed;
	u32 pasid = pasid_of(a);
	int err = 0;

	for_each_device(d, a) {
		err = connect(d->idev, hwpt, pasid);
		if (err)
			break;
	}
	failed = d;
	for_each_device(d, a) {
		if (d == failed)
			break;
		if (err && iommu_attach(old->domain, d->idev->dev, pasid)) {
			iommu_detach(d->idev->dev, pasid);
			sv_warn("iommufd: %s can't have its domain back: blocked",
				dev_name(&d->idev->dev->dev));
		}
		disconnected(d->idev, err ? hwpt : old, pasid);
	}
	return err;
}

/* Returns the HWPT that idev's hold is to be put of. */
static struct iommufd_hw_pagetable *replace_locked(struct iommufd_device *idev, u32 pasid,
						   struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_attach *a = attach_find(idev->igroup, pasid);
	struct iommufd_hwpt_paging *paging = iommufd_hwpt_find_paging(hwpt), *old_paging;
	struct iommufd_hw_pagetable *old;
	bool other_ioas;
	int err;

	if (!a || !attach_device(a, idev))
		return ERR_PTR(-EINVAL);
	old = a->hwpt;
	if (hwpt == old)
		return NULL;
	err = check_pasid(hwpt, idev, pasid);
	if (err)
		return ERR_PTR(err);
	old_paging = iommufd_hwpt_find_paging(old);
	other_ioas = !paging || !old_paging || paging->ioas != old_paging->ioas;
	if (other_ioas) {
		err = reserve_all(a, paging);
		if (err)
			return ERR_PTR(err);
	}
	err = connect_all(a, hwpt);
	if (err) {
		if (other_ioas)
			unreserve_n(a, paging, ~0ul);
		return ERR_PTR(err);
	}
	if (other_ioas)
		unreserve_n(a, old_paging, ~0ul);
	a->hwpt = hwpt;
	for (u32 i = 0; i < a->nr_devices; i++)
		iommufd_object_hold(&hwpt->obj);
	for (u32 i = 1; i < a->nr_devices; i++)
		iommufd_object_unhold(&old->obj);
	return old;
}

static struct iommufd_hw_pagetable *do_replace(struct iommufd_device *idev, u32 pasid,
					       struct iommufd_hw_pagetable *hwpt)
{
	struct iommufd_hw_pagetable *old;

	sv_mutex_lock(&idev->igroup->lock);
	old = replace_locked(idev, pasid, hwpt);
	sv_mutex_unlock(&idev->igroup->lock);
	return old;
}

typedef struct iommufd_hw_pagetable *(*change_fn)(struct iommufd_device *idev, u32 pasid,
						  struct iommufd_hw_pagetable *hwpt);

/*
 * To an IOAS: the first of its automatic HWPTs that will have the device (-EINVAL: it won't),
 * or else a new one. ioas->mutex held.
 */
static struct iommufd_hw_pagetable *change_auto(struct iommufd_device *idev, u32 pasid,
						struct iommufd_ioas *ioas, u32 *pt_id,
						change_fn change)
{
	struct iommufd_hw_pagetable *old;
	struct iommufd_hwpt_paging *paging;

	list_for_each_entry(paging, &ioas->hwpt_list, hwpt_item) {
		struct iommufd_hw_pagetable *hwpt = &paging->common;

		if (!paging->auto_domain || !iommufd_lock_obj(idev->ictx, &hwpt->obj))
			continue;
		old = change(idev, pasid, hwpt);
		if (!IS_ERR(old))
			*pt_id = hwpt->obj.id;
		iommufd_put_object(idev->ictx, &hwpt->obj);
		if (PTR_ERR(old) != -EINVAL)
			return old;
	}
	paging = iommufd_hwpt_paging_alloc(idev->ictx, ioas, idev, 0, NULL);
	if (IS_ERR(paging))
		return ERR_CAST(paging);
	paging->auto_domain = true;
	old = change(idev, pasid, &paging->common);
	if (IS_ERR(old)) {
		iommufd_object_abort_and_destroy(idev->ictx, &paging->common.obj);
		return old;
	}
	*pt_id = paging->common.obj.id;
	iommufd_object_finalize(idev->ictx, &paging->common.obj);
	return old;
}

static int change_pt(struct iommufd_device *idev, u32 pasid, u32 *pt_id, change_fn change)
{
	struct iommufd_object *obj = iommufd_get_object(idev->ictx, *pt_id, IOMMUFD_OBJ_ANY);
	struct iommufd_hw_pagetable *old;
	struct iommufd_ioas *ioas;

	if (IS_ERR(obj))
		return (int)PTR_ERR(obj);
	switch (obj->type) {
	case IOMMUFD_OBJ_HWPT_PAGING:
	case IOMMUFD_OBJ_HWPT_NESTED:
		old = change(idev, pasid, container_of(obj, struct iommufd_hw_pagetable, obj));
		break;
	case IOMMUFD_OBJ_IOAS:
		ioas = container_of(obj, struct iommufd_ioas, obj);
		sv_mutex_lock(&ioas->mutex);
		old = change_auto(idev, pasid, ioas, pt_id, change);
		sv_mutex_unlock(&ioas->mutex);
		break;
	default:
		old = ERR_PTR(-EINVAL);
		break;
	}
	iommufd_put_object(idev->ictx, obj);
	if (IS_ERR(old))
		return (int)PTR_ERR(old);
	/* Only now that nothing is locked: an automatic one goes. */
	if (old)
		iommufd_hwpt_put(idev->ictx, old);
	return 0;
}

int iommufd_device_attach(struct iommufd_device *idev, u32 pasid, u32 *pt_id)
{
	int err = change_pt(idev, pasid, pt_id, do_attach);

	/* Until detach: an unbind before it is a bug of the caller's. */
	if (!err)
		iommufd_object_hold(&idev->obj);
	return err;
}

int iommufd_device_replace(struct iommufd_device *idev, u32 pasid, u32 *pt_id)
{
	return change_pt(idev, pasid, pt_id, do_replace);
}

void iommufd_device_detach(struct iommufd_device *idev, u32 pasid)
{
	struct iommufd_hw_pagetable *hwpt = NULL;
	struct attached_device *d = NULL;
	struct iommufd_attach *a;

	sv_mutex_lock(&idev->igroup->lock);
	a = attach_find(idev->igroup, pasid);
	if (a)
		d = attach_device(a, idev);
	if (d) {
		hwpt = a->hwpt;
		iommu_detach(idev->dev, pasid);
		disconnected(idev, hwpt, pasid);
		unreserve(idev, iommufd_hwpt_find_paging(hwpt), pasid);
		interval_tree_remove(&a->devices, &d->node);
		a->nr_devices--;
		sv_free(d);
		if (interval_tree_empty(&a->devices)) {
			interval_tree_remove(&idev->igroup->attaches, &a->node);
			sv_free(a);
		}
	}
	sv_mutex_unlock(&idev->igroup->lock);
	if (!hwpt)
		return;
	iommufd_hwpt_put(idev->ictx, hwpt);
	iommufd_object_unhold(&idev->obj);
}

/* data (len bytes) to the caller's buffer of room bytes, zeroes behind it. */
static int copy_hw_info(u64 uptr, u32 room, const void *data, u32 len)
{
	char *user = (char *)(uintptr_t)uptr;
	u32 n = min(room, len);

	if (n && sv_copy_to_user(user, data, n))
		return -EFAULT;
	return room > n && sv_clear_user(user + n, room - n) ? -EFAULT : 0;
}

static int get_hw_info(struct iommu_dev *dev, struct iommu_hw_info *cmd)
{
	/* What was in_data_type: the same word. */
	u32 wanted = cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE ? cmd->out_data_type :
								  IOMMU_HW_INFO_TYPE_NONE;
	void *data = NULL;
	u32 len = 0;
	int err;

	cmd->out_data_type = wanted;
	if (dev->iommu->hw_info) {
		data = dev->iommu->hw_info(dev, &len, &cmd->out_data_type);
		if (IS_ERR(data))
			return (int)PTR_ERR(data);
	}
	if (wanted != IOMMU_HW_INFO_TYPE_NONE && (!data || cmd->out_data_type != wanted))
		err = -EOPNOTSUPP;
	else
		err = copy_hw_info(cmd->data_uptr, cmd->data_len, data, len);
	sv_free(data);
	if (err)
		return err;
	cmd->data_len = len;
	cmd->out_capabilities = capable(dev, IOMMU_CAP_DIRTY_TRACKING) ?
				IOMMU_HW_CAP_DIRTY_TRACKING : 0;
	/* How many bits a PASID has. */
	cmd->out_max_pasid_log2 = 0;
	while (dev->max_pasids >> (cmd->out_max_pasid_log2 + 1))
		cmd->out_max_pasid_log2++;
	return 0;
}

long iommufd_get_hw_info(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_hw_info *cmd = c->buf;
	struct iommufd_device *idev;
	int err;

	if ((cmd->flags & ~IOMMU_HW_INFO_FLAG_INPUT_TYPE) || cmd->__reserved[0] ||
	    cmd->__reserved[1] || cmd->__reserved[2])
		return -EOPNOTSUPP;
	idev = iommufd_get_device(ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	err = get_hw_info(idev->dev, cmd);
	iommufd_put_object(ictx, &idev->obj);
	return err;
}
