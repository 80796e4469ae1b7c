/* SPDX-License-Identifier: MIT */
/*
 * vIOMMUs, the devices behind them and their hardware queues; viommu.h has the model.
 *
 * A vdevice ends with DESTROY or with its device's unbinding, whichever comes first; in the
 * second case its id stays taken, so that a program that destroys by number late hits nothing
 * else. idev->vdev says which one it is, under idev->vdev_lock; the end of a vdevice takes
 * it out and tells who waits.
 *
 * A hardware queue keeps its memory pinned by an access without id; unmapping that memory is
 * -EBUSY (iopt_area.num_locks).
 */
#include "base/alloc.h"
#include "base/err.h"
#include "iommu/pages.h"
#include "iommu/viommu.h"

struct iommufd_viommu *iommufd_get_viommu(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_VIOMMU);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct iommufd_viommu, obj);
}

void iommufd_viommu_destroy(struct iommufd_object *obj)
{
	struct iommufd_viommu *viommu = container_of(obj, struct iommufd_viommu, obj);

	if (viommu->ops->destroy)
		viommu->ops->destroy(viommu);
	sv_rwlock_destroy(&viommu->lock);
	iommufd_object_unhold(&viommu->hwpt->common.obj);
}

static struct iommufd_viommu *viommu_create(struct iommufd_ctx *ictx, struct iommufd_device *idev,
					    struct iommufd_hwpt_paging *hwpt,
					    const struct iommu_viommu_alloc *cmd)
{
	struct iommu_user_data data = {
		.type = cmd->type, .uptr = cmd->data_uptr, .len = cmd->data_len,
	};
	const struct iommufd_viommu_ops *ops = idev->dev->iommu->viommu;
	struct iommufd_viommu *viommu;
	int err;

	viommu = iommufd_object_alloc(ictx, viommu, IOMMUFD_OBJ_VIOMMU);
	if (IS_ERR(viommu))
		return viommu;
	viommu->ictx = ictx;
	viommu->hwpt = hwpt;
	viommu->iommu = idev->dev->iommu;
	viommu->ops = ops;
	viommu->type = cmd->type;
	sv_rwlock_init(&viommu->lock);
	INIT_LIST_HEAD(&viommu->veventqs);
	interval_tree_init(&viommu->vdevs);
	err = ops->init(viommu, idev->dev, cmd->type, cmd->data_len ? &data : NULL);
	if (err) {
		sv_rwlock_destroy(&viommu->lock);
		iommufd_object_abort(ictx, &viommu->obj);
		return ERR_PTR(err);
	}
	iommufd_object_hold(&hwpt->common.obj);
	return viommu;
}

static int viommu_alloc(struct iommufd_ctx *ictx, struct iommufd_device *idev,
			struct sv_ioctl_ctx *c)
{
	struct iommu_viommu_alloc *cmd = c->buf;
	struct iommufd_hwpt_paging *hwpt;
	struct iommufd_viommu *viommu;
	struct iommufd_object *obj;
	int err;

	if (!idev->dev->iommu->viommu)
		return -EOPNOTSUPP;
	obj = iommufd_get_object(ictx, cmd->hwpt_id, IOMMUFD_OBJ_HWPT_PAGING);
	if (IS_ERR(obj))
		return (int)PTR_ERR(obj);
	hwpt = container_of(obj, struct iommufd_hwpt_paging, common.obj);
	if (!hwpt->nest_parent || hwpt->common.domain->owner != idev->dev->iommu) {
		err = -EINVAL;
		goto put;
	}
	viommu = viommu_create(ictx, idev, hwpt, cmd);
	if (IS_ERR(viommu)) {
		err = (int)PTR_ERR(viommu);
		goto put;
	}
	cmd->out_viommu_id = viommu->obj.id;
	err = iommufd_respond(c);
	if (err)
		iommufd_object_abort_and_destroy(ictx, &viommu->obj);
	else
		iommufd_object_finalize(ictx, &viommu->obj);
put:
	iommufd_put_object(ictx, obj);
	return err;
}

long iommufd_viommu_alloc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	const struct iommu_viommu_alloc *cmd = c->buf;
	struct iommufd_device *idev;
	int err;

	if (cmd->flags || cmd->__reserved || cmd->type == IOMMU_VIOMMU_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	idev = iommufd_get_device(ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	err = viommu_alloc(ictx, idev, c);
	iommufd_put_object(ictx, &idev->obj);
	return err;
}

/* The vdevice with this id; viommu->lock held */
static struct iommufd_vdevice *vdev_find(struct iommufd_viommu *viommu, u64 virt_id)
{
	struct interval_tree_node *n = interval_tree_iter_first(&viommu->vdevs, virt_id, virt_id);

	return n ? container_of(n, struct iommufd_vdevice, node) : NULL;
}

int iommufd_viommu_get_vdev_id(struct iommufd_viommu *viommu, struct iommu_dev *dev, u64 *id)
{
	struct interval_tree_node *n;
	int err = -ENOENT;

	sv_read_lock(&viommu->lock);
	for (n = interval_tree_first(&viommu->vdevs); n && err; n = interval_tree_next(n)) {
		if (container_of(n, struct iommufd_vdevice, node)->idev->dev == dev) {
			*id = n->start;
			err = 0;
		}
	}
	sv_read_unlock(&viommu->lock);
	return err;
}

struct iommu_dev *iommufd_viommu_find_dev(struct iommufd_viommu *viommu, u64 id)
{
	struct iommufd_vdevice *vdev;
	struct iommu_dev *dev;

	sv_read_lock(&viommu->lock);
	vdev = vdev_find(viommu, id);
	dev = vdev ? vdev->idev->dev : NULL;
	sv_read_unlock(&viommu->lock);
	return dev;
}

void iommufd_vdevice_destroy(struct iommufd_object *obj)
{
	struct iommufd_vdevice *vdev = container_of(obj, struct iommufd_vdevice, obj);
	struct iommufd_viommu *viommu = vdev->viommu;
	struct iommufd_device *idev = vdev->idev;

	if (viommu->ops->vdevice_destroy)
		viommu->ops->vdevice_destroy(vdev);
	sv_write_lock(&viommu->lock);
	interval_tree_remove(&viommu->vdevs, &vdev->node);
	sv_write_unlock(&viommu->lock);
	sv_mutex_lock(&idev->vdev_lock);
	/* One that could not be told to its maker never was the device's. */
	if (idev->vdev == vdev)
		idev->vdev = NULL;
	sv_cond_broadcast(&idev->vdev_gone);
	sv_mutex_unlock(&idev->vdev_lock);
	iommufd_object_unhold(&viommu->obj);
}

/* By unbind, whose caller alone uses idev from now on. */
void iommufd_device_remove_vdev(struct iommufd_device *idev)
{
	struct iommufd_vdevice *vdev;

	sv_mutex_lock(&idev->vdev_lock);
	idev->destroying = true;
	vdev = idev->vdev;
	if (vdev && refcount_inc_not_zero(&vdev->obj.users)) {
		sv_mutex_unlock(&idev->vdev_lock);
		iommufd_object_tombstone_user(idev->ictx, &vdev->obj);
		return;
	}
	/* A DESTROY is taking it away. */
	while (idev->vdev)
		sv_cond_wait(&idev->vdev_gone, &idev->vdev_lock);
	sv_mutex_unlock(&idev->vdev_lock);
}

/* Links vdev to both sides; idev->vdev_lock held. */
static int vdev_link(struct iommufd_vdevice *vdev, u64 virt_id)
{
	struct iommufd_viommu *viommu = vdev->viommu;
	int err = 0;

	vdev->node.start = virt_id;
	vdev->node.last = virt_id;
	sv_write_lock(&viommu->lock);
	if (vdev_find(viommu, virt_id))
		err = -EEXIST;
	else
		interval_tree_insert(&viommu->vdevs, &vdev->node);
	sv_write_unlock(&viommu->lock);
	if (err)
		return err;
	if (viommu->ops->vdevice_init)
		err = viommu->ops->vdevice_init(vdev);
	if (err) {
		sv_write_lock(&viommu->lock);
		interval_tree_remove(&viommu->vdevs, &vdev->node);
		sv_write_unlock(&viommu->lock);
	}
	return err;
}

static int vdevice_alloc_locked(struct iommufd_viommu *viommu, struct iommufd_device *idev,
				struct sv_ioctl_ctx *c, struct iommufd_vdevice **out)
{
	struct iommu_vdevice_alloc *cmd = c->buf;
	struct iommufd_vdevice *vdev;
	int err;

	if (idev->destroying)
		return -ENOENT;
	if (idev->vdev)
		return -EEXIST;
	vdev = iommufd_object_alloc(viommu->ictx, vdev, IOMMUFD_OBJ_VDEVICE);
	if (IS_ERR(vdev))
		return (int)PTR_ERR(vdev);
	vdev->viommu = viommu;
	vdev->idev = idev;
	err = vdev_link(vdev, cmd->virt_id);
	if (err) {
		iommufd_object_abort(viommu->ictx, &vdev->obj);
		return err;
	}
	iommufd_object_hold(&viommu->obj);
	cmd->out_vdevice_id = vdev->obj.id;
	err = iommufd_respond(c);
	*out = vdev;
	if (!err) {
		idev->vdev = vdev;
		iommufd_object_finalize(viommu->ictx, &vdev->obj);
	}
	return err;
}

long iommufd_vdevice_alloc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	const struct iommu_vdevice_alloc *cmd = c->buf;
	struct iommufd_vdevice *vdev = NULL;
	struct iommufd_viommu *viommu;
	struct iommufd_device *idev;
	int err = -EINVAL;

	viommu = iommufd_get_viommu(ictx, cmd->viommu_id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);
	idev = iommufd_get_device(ictx, cmd->dev_id);
	if (IS_ERR(idev)) {
		iommufd_put_object(ictx, &viommu->obj);
		return PTR_ERR(idev);
	}
	if (viommu->iommu == idev->dev->iommu) {
		sv_mutex_lock(&idev->vdev_lock);
		err = vdevice_alloc_locked(viommu, idev, c, &vdev);
		sv_mutex_unlock(&idev->vdev_lock);
		if (err && vdev)
			iommufd_object_abort_and_destroy(ictx, &vdev->obj);
	}
	iommufd_put_object(ictx, &idev->obj);
	iommufd_put_object(ictx, &viommu->obj);
	return err;
}

/* Nobody is asked to let go: who wants to unmap gets EBUSY before. */
static void hw_queue_unmap(void *data, u64 iova, u64 length)
{
}

static const struct iommufd_access_ops hw_queue_access_ops = {
	.needs_pin_pages = true,
	.unmap = hw_queue_unmap,
};

/*
 * An access that is in no table and holds no reference to the context, whose end it must not
 * hold up.
 */
static struct iommufd_access *queue_access(struct iommufd_viommu *viommu)
{
	struct iommufd_access *access = sv_zalloc(sizeof(*access));
	struct iommufd_ioas *ioas = viommu->hwpt->ioas;
	int err;

	if (!access)
		return ERR_PTR(-ENOMEM);
	refcount_set(&access->obj.users, 1);
	refcount_set(&access->obj.shortterm_users, 1);
	sv_mutex_init(&access->lock);
	access->ictx = viommu->ictx;
	access->ops = &hw_queue_access_ops;
	access->iova_alignment = SV_PAGE_SIZE;
	access->locks_areas = true;
	err = iopt_add_access(&ioas->iopt, access);
	if (err) {
		sv_mutex_destroy(&access->lock);
		sv_free(access);
		return ERR_PTR(err);
	}
	access->ioas = ioas;
	access->ioas_unpin = ioas;
	return access;
}

static void queue_access_end(struct iommufd_access *access)
{
	iopt_remove_access(&access->ioas->iopt, access);
	sv_mutex_destroy(&access->lock);
	sv_free(access);
}

static u64 queue_start(const struct iommufd_hw_queue *queue)
{
	return ALIGN_DOWN(queue->base, SV_PAGE_SIZE);
}

static u64 queue_span(const struct iommufd_hw_queue *queue)
{
	return ALIGN_UP(queue->base - queue_start(queue) + queue->length, SV_PAGE_SIZE);
}

/* Pins the queue's pages; they must be one piece of memory. *addr: where it begins. */
static int queue_pin(struct iommufd_hw_queue *queue, void **addr)
{
	size_t npages = queue_span(queue) / SV_PAGE_SIZE;
	void **addrs = sv_calloc(npages, sizeof(*addrs));
	int err;

	if (!addrs)
		return -ENOMEM;
	err = iommufd_access_pin_pages(queue->access, queue_start(queue), queue_span(queue),
				       addrs, 0);
	if (err)
		goto free;
	for (size_t i = 1; i < npages && !err; i++)
		if (addrs[i] != (char *)addrs[0] + i * SV_PAGE_SIZE)
			err = -EFAULT;
	if (err)
		iommufd_access_unpin_pages(queue->access, queue_start(queue), queue_span(queue));
	else
		*addr = (char *)addrs[0] + (queue->base - queue_start(queue));
free:
	sv_free(addrs);
	return err;
}

static void queue_unpin(struct iommufd_hw_queue *queue)
{
	iommufd_access_unpin_pages(queue->access, queue_start(queue), queue_span(queue));
	queue_access_end(queue->access);
}

void iommufd_hw_queue_destroy(struct iommufd_object *obj)
{
	struct iommufd_hw_queue *queue = container_of(obj, struct iommufd_hw_queue, obj);

	if (queue->viommu->ops->hw_queue_destroy)
		queue->viommu->ops->hw_queue_destroy(queue);
	queue_unpin(queue);
	iommufd_object_unhold(&queue->viommu->obj);
}

static int queue_init(struct iommufd_hw_queue *queue)
{
	struct iommufd_viommu *viommu = queue->viommu;
	void *addr = NULL;
	int err;

	queue->access = queue_access(viommu);
	if (IS_ERR(queue->access))
		return (int)PTR_ERR(queue->access);
	err = queue_pin(queue, &addr);
	if (err) {
		queue_access_end(queue->access);
		return err;
	}
	err = viommu->ops->hw_queue_init(queue, queue->index, addr, queue->length);
	if (err) {
		queue_unpin(queue);
		return err;
	}
	iommufd_object_hold(&viommu->obj);
	return 0;
}

static int hw_queue_alloc(struct iommufd_viommu *viommu, struct sv_ioctl_ctx *c)
{
	struct iommu_hw_queue_alloc *cmd = c->buf;
	struct iommufd_hw_queue *queue;
	int err;

	if (!viommu->ops->hw_queue_init || !viommu->ops->supports_hw_queue ||
	    !viommu->ops->supports_hw_queue(viommu, cmd->type))
		return -EOPNOTSUPP;
	queue = iommufd_object_alloc(viommu->ictx, queue, IOMMUFD_OBJ_HW_QUEUE);
	if (IS_ERR(queue))
		return (int)PTR_ERR(queue);
	queue->viommu = viommu;
	queue->type = cmd->type;
	queue->index = cmd->index;
	queue->base = cmd->nesting_parent_iova;
	queue->length = cmd->length;
	err = queue_init(queue);
	if (err) {
		iommufd_object_abort(viommu->ictx, &queue->obj);
		return err;
	}
	cmd->out_hw_queue_id = queue->obj.id;
	err = iommufd_respond(c);
	if (err)
		iommufd_object_abort_and_destroy(viommu->ictx, &queue->obj);
	else
		iommufd_object_finalize(viommu->ictx, &queue->obj);
	return err;
}

/* No queue is larger; the bound keeps the page array small. */
#define HW_QUEUE_MAX (1ull << 30)

long iommufd_hw_queue_alloc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	const struct iommu_hw_queue_alloc *cmd = c->buf;
	struct iommufd_viommu *viommu;
	u64 last;
	int err;

	if (cmd->flags || cmd->type == IOMMU_HW_QUEUE_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	if (!cmd->length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->nesting_parent_iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	viommu = iommufd_get_viommu(ictx, cmd->viommu_id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);
	err = cmd->length > HW_QUEUE_MAX ? -ENOMEM : hw_queue_alloc(viommu, c);
	iommufd_put_object(ictx, &viommu->obj);
	return err;
}
