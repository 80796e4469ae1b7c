/* SPDX-License-Identifier: MIT */
/*
 * The dma-buf core: export, attach, map.
 *
 * Model. A buffer belongs to its exporter (ops, priv) and lives while anybody holds a
 * reference: the exporter, descriptors, importers. An attachment is a device's interest in
 * it; a mapping is what gives the device addresses. nr_mapped counts the mappings of all
 * attachments, under the reservation lock: what a revoke waits for.
 *
 * A buffer that is revoked (revoke.c) refuses attach, pin and map with -ENODEV. The flag is
 * read under the reservation lock here, and a revoke, having set it, takes that lock before
 * it tells importers: a mapping either sees the flag or is told.
 *
 * Locks: reservation lock; cpu_lock; wait_m; name_lock (leaf).
 */
#include "dmabuf/buf.h"

#include <string.h>

bool dma_buf_attach_revocable(struct dma_buf_attachment *attach)
{
	return attach->importer_ops && attach->importer_ops->invalidate_mappings;
}

/* An importer that does not know about moving memory: its mappings hold the buffer fast. */
static bool pin_on_map(struct dma_buf_attachment *attach)
{
	return attach->dmabuf->ops->pin && !dma_buf_attachment_is_dynamic(attach);
}

static int export_check(const struct dma_buf_export_info *info)
{
	const struct dma_buf_ops *ops = info->ops;

	if (!info->priv || !ops || !ops->map_dma_buf || !ops->unmap_dma_buf || !ops->release)
		return -EINVAL;
	if (!ops->pin != !ops->unpin)
		return -EINVAL;
	if (!ops->revoke_cpu != !ops->restore_cpu)
		return -EINVAL;
	return 0;
}

struct dma_buf *dma_buf_export(const struct dma_buf_export_info *exp_info)
{
	struct dma_buf *dmabuf;

	if (WARN_ON(export_check(exp_info)))
		return ERR_PTR(-EINVAL);
	dmabuf = sv_zalloc(sizeof(*dmabuf));
	if (!dmabuf)
		return ERR_PTR(-ENOMEM);
	kref_init(&dmabuf->refcount);
	dmabuf->priv = exp_info->priv;
	dmabuf->ops = exp_info->ops;
	dmabuf->size = exp_info->size;
	dmabuf->exp_name = exp_info->exp_name;
	dmabuf->owner = exp_info->owner;
	dmabuf->flags = exp_info->flags;
	dmabuf->backing_fd = -1;
	spin_lock_init(&dmabuf->name_lock);
	sv_mutex_init(&dmabuf->wait_m);
	sv_cond_init(&dmabuf->wait_c);
	sv_mutex_init(&dmabuf->cpu_lock);
	INIT_LIST_HEAD(&dmabuf->attachments);
	dma_resv_init(&dmabuf->own_resv);
	dmabuf->resv = exp_info->resv ? exp_info->resv : &dmabuf->own_resv;
	dma_buf_debug_add(dmabuf);
	return dmabuf;
}

void dma_buf_release(struct kref *kref)
{
	struct dma_buf *dmabuf = container_of(kref, struct dma_buf, refcount);

	WARN_ON(dmabuf->vmapping_counter);
	WARN_ON(!list_empty(&dmabuf->attachments));
	dma_buf_debug_del(dmabuf);
	dma_buf_file_fini(dmabuf);
	dmabuf->ops->release(dmabuf);
	dma_resv_fini(&dmabuf->own_resv);
	sv_mutex_destroy(&dmabuf->cpu_lock);
	sv_cond_destroy(&dmabuf->wait_c);
	sv_mutex_destroy(&dmabuf->wait_m);
	sv_free((void *)dmabuf->name);
	sv_free(dmabuf);
}

int dma_buf_set_name(struct dma_buf *dmabuf, const char *name)
{
	char *copy = sv_strdup(name), *old;

	if (!copy)
		return -ENOMEM;
	if (strlen(copy) >= DMA_BUF_NAME_MAX)
		copy[DMA_BUF_NAME_MAX - 1] = 0;
	spin_lock(&dmabuf->name_lock);
	old = (char *)dmabuf->name;
	dmabuf->name = copy;
	spin_unlock(&dmabuf->name_lock);
	sv_free(old);
	return 0;
}

struct dma_buf_attachment *dma_buf_attach_begin(struct dma_buf *dmabuf, struct device *dev,
						const struct dma_buf_attach_ops *importer_ops,
						void *importer_priv)
{
	struct dma_buf_attachment *attach;
	int err;

	if (dma_buf_is_revoked(dmabuf))
		return ERR_PTR(-ENODEV);
	attach = sv_zalloc(sizeof(*attach));
	if (!attach)
		return ERR_PTR(-ENOMEM);
	attach->dev = dev;
	attach->dmabuf = dmabuf;
	attach->peer2peer = importer_ops && importer_ops->allow_peer2peer;
	attach->importer_ops = importer_ops;
	attach->importer_priv = importer_priv;
	if (dmabuf->ops->attach) {
		err = dmabuf->ops->attach(dmabuf, attach);
		if (err) {
			sv_free(attach);
			return ERR_PTR(err);
		}
	}
	return attach;
}

int dma_buf_attach_commit(struct dma_buf_attachment *attach)
{
	struct dma_buf *dmabuf = attach->dmabuf;

	if (dma_buf_is_revoked(dmabuf))
		return -ENODEV;
	list_add_tail(&attach->node, &dmabuf->attachments);
	dmabuf->nr_attached++;
	return 0;
}

void dma_buf_attach_end(struct dma_buf_attachment *attach)
{
	struct dma_buf *dmabuf = attach->dmabuf;

	if (dmabuf->ops->detach)
		dmabuf->ops->detach(dmabuf, attach);
	sv_free(attach);
}

struct dma_buf_attachment *dma_buf_dynamic_attach(struct dma_buf *dmabuf, struct device *dev,
						  const struct dma_buf_attach_ops *importer_ops,
						  void *importer_priv)
{
	struct dma_buf_attachment *attach;
	int err;

	if (WARN_ON(!dmabuf || !dev))
		return ERR_PTR(-EINVAL);
	attach = dma_buf_attach_begin(dmabuf, dev, importer_ops, importer_priv);
	if (IS_ERR(attach))
		return attach;
	dma_resv_lock(dmabuf->resv, NULL);
	err = dma_buf_attach_commit(attach);
	dma_resv_unlock(dmabuf->resv);
	if (err) {
		dma_buf_attach_end(attach);
		return ERR_PTR(err);
	}
	return attach;
}

struct dma_buf_attachment *dma_buf_attach(struct dma_buf *dmabuf, struct device *dev)
{
	return dma_buf_dynamic_attach(dmabuf, dev, NULL, NULL);
}

void dma_buf_wake_revoke(struct dma_buf *dmabuf)
{
	/* The waiter looks at nr_mapped under wait_m: it sees 0, or it hears this. */
	sv_mutex_lock(&dmabuf->wait_m);
	sv_cond_broadcast(&dmabuf->wait_c);
	sv_mutex_unlock(&dmabuf->wait_m);
}

static void mappings_dropped(struct dma_buf *dmabuf, u32 n)
{
	u32 left = dmabuf->nr_mapped - n;

	SV_POINT(&dmabuf->nr_mapped, true);
	__atomic_store_n(&dmabuf->nr_mapped, left, __ATOMIC_RELEASE);
	if (!left && dma_buf_is_revoked(dmabuf))
		dma_buf_wake_revoke(dmabuf);
}

void dma_buf_detach_locked(struct dma_buf_attachment *attach)
{
	struct dma_buf *dmabuf = attach->dmabuf;

	/* Who leaves holds nothing any more, whatever it forgot. */
	if (WARN_ON(attach->mapped))
		mappings_dropped(dmabuf, attach->mapped);
	dmabuf->nr_pinned -= attach->pinned;
	list_del(&attach->node);
	dmabuf->nr_attached--;
}

void dma_buf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	if (WARN_ON(!dmabuf || !attach || dmabuf != attach->dmabuf))
		return;
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_detach_locked(attach);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_attach_end(attach);
}

int dma_buf_pin(struct dma_buf_attachment *attach)
{
	struct dma_buf *dmabuf = attach->dmabuf;
	int err = 0;

	WARN_ON(!dma_buf_attachment_is_dynamic(attach));
	dma_resv_assert_held(dmabuf->resv);
	if (dma_buf_is_revoked(dmabuf))
		return -ENODEV;
	if (dmabuf->ops->pin)
		err = dmabuf->ops->pin(attach);
	if (!err) {
		attach->pinned++;
		dmabuf->nr_pinned++;
	}
	return err;
}

void dma_buf_unpin(struct dma_buf_attachment *attach)
{
	struct dma_buf *dmabuf = attach->dmabuf;

	WARN_ON(!dma_buf_attachment_is_dynamic(attach));
	dma_resv_assert_held(dmabuf->resv);
	if (WARN_ON(!attach->pinned))
		return;
	attach->pinned--;
	dmabuf->nr_pinned--;
	if (dmabuf->ops->unpin)
		dmabuf->ops->unpin(attach);
}

/* For ever, or until a signal. 0 or -ERESTARTSYS. */
static int wait_intr(struct dma_resv *resv, enum dma_resv_usage usage)
{
	long left = dma_resv_wait_timeout(resv, usage, true, MAX_SCHEDULE_TIMEOUT);

	return left < 0 ? (int)left : 0;
}

struct sg_table *dma_buf_map_attachment(struct dma_buf_attachment *attach,
					enum dma_data_direction dir)
{
	struct dma_buf *dmabuf;
	struct sg_table *sgt;
	bool pin;
	int err;

	if (WARN_ON(!attach || !attach->dmabuf || (unsigned int)dir >= DMA_NONE))
		return ERR_PTR(-EINVAL);
	dmabuf = attach->dmabuf;
	dma_resv_assert_held(dmabuf->resv);
	if (dma_buf_is_revoked(dmabuf))
		return ERR_PTR(-ENODEV);
	pin = pin_on_map(attach);
	if (pin) {
		err = dmabuf->ops->pin(attach);
		if (err)
			return ERR_PTR(err);
	}
	sgt = dmabuf->ops->map_dma_buf(attach, dir);
	if (!sgt)
		sgt = ERR_PTR(-ENOMEM);
	if (IS_ERR(sgt))
		goto unpin;
	/* It does not look at fences, so the memory must be in its place by now. */
	if (!dma_buf_attachment_is_dynamic(attach)) {
		err = wait_intr(dmabuf->resv, DMA_RESV_USAGE_KERNEL);
		if (err) {
			dmabuf->ops->unmap_dma_buf(attach, sgt, dir);
			sgt = ERR_PTR(err);
			goto unpin;
		}
	}
	attach->mapped++;
	dmabuf->map_count++;
	__atomic_store_n(&dmabuf->nr_mapped, dmabuf->nr_mapped + 1, __ATOMIC_RELEASE);
	return sgt;
unpin:
	if (pin)
		dmabuf->ops->unpin(attach);
	return sgt;
}

void dma_buf_unmap_attachment(struct dma_buf_attachment *attach, struct sg_table *sgt,
			      enum dma_data_direction dir)
{
	struct dma_buf *dmabuf;

	if (WARN_ON(!attach || !attach->dmabuf || IS_ERR_OR_NULL(sgt) || !attach->mapped))
		return;
	dmabuf = attach->dmabuf;
	dma_resv_assert_held(dmabuf->resv);
	dmabuf->ops->unmap_dma_buf(attach, sgt, dir);
	if (pin_on_map(attach))
		dmabuf->ops->unpin(attach);
	attach->mapped--;
	mappings_dropped(dmabuf, 1);
}

struct sg_table *dma_buf_map_attachment_unlocked(struct dma_buf_attachment *attach,
						 enum dma_data_direction dir)
{
	struct sg_table *sgt;

	if (WARN_ON(!attach || !attach->dmabuf))
		return ERR_PTR(-EINVAL);
	dma_resv_lock(attach->dmabuf->resv, NULL);
	sgt = dma_buf_map_attachment(attach, dir);
	dma_resv_unlock(attach->dmabuf->resv);
	return sgt;
}

void dma_buf_unmap_attachment_unlocked(struct dma_buf_attachment *attach, struct sg_table *sgt,
				       enum dma_data_direction dir)
{
	if (WARN_ON(!attach || !attach->dmabuf || IS_ERR_OR_NULL(sgt)))
		return;
	dma_resv_lock(attach->dmabuf->resv, NULL);
	dma_buf_unmap_attachment(attach, sgt, dir);
	dma_resv_unlock(attach->dmabuf->resv);
}

void dma_buf_invalidate_mappings(struct dma_buf *dmabuf)
{
	struct dma_buf_attachment *attach;

	dma_resv_assert_held(dmabuf->resv);
	list_for_each_entry(attach, &dmabuf->attachments, node)
		if (dma_buf_attach_revocable(attach))
			attach->importer_ops->invalidate_mappings(attach);
}

int dma_buf_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	bool write = dir == DMA_BIDIRECTIONAL || dir == DMA_TO_DEVICE;
	int err = 0;

	if (WARN_ON(!dmabuf))
		return -EINVAL;
	if (dmabuf->ops->begin_cpu_access)
		err = dmabuf->ops->begin_cpu_access(dmabuf, dir);
	/* The devices whose work the CPU is about to see, or to overwrite, come first. */
	if (!err)
		err = wait_intr(dmabuf->resv, dma_resv_usage_rw(write));
	return err;
}

int dma_buf_end_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	WARN_ON(!dmabuf);
	return dmabuf->ops->end_cpu_access ? dmabuf->ops->end_cpu_access(dmabuf, dir) : 0;
}

int dma_buf_publish(struct dma_buf *dmabuf)
{
	if (dmabuf->published)
		return 0;
	dmabuf->published = true;
	/* A revoke that begins now finds it published: it asks under our lock. */
	if (dma_buf_is_revoked(dmabuf) && dmabuf->ops->revoke_cpu)
		return dmabuf->ops->revoke_cpu(dmabuf);
	return 0;
}

int dma_buf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma, unsigned long pgoff)
{
	u64 end;
	int err;

	if (WARN_ON(!dmabuf || !vma))
		return -EINVAL;
	if (!dmabuf->ops->mmap)
		return -EINVAL;
	if (__builtin_add_overflow((u64)pgoff << SV_PAGE_SHIFT, vma->len, &end))
		return -EOVERFLOW;
	if (end > ALIGN_UP((u64)dmabuf->size, SV_PAGE_SIZE))
		return -EINVAL;
	vma->off = (u64)pgoff << SV_PAGE_SHIFT;
	sv_mutex_lock(&dmabuf->cpu_lock);
	err = dma_buf_publish(dmabuf);
	if (!err)
		err = dmabuf->ops->mmap(dmabuf, vma);
	sv_mutex_unlock(&dmabuf->cpu_lock);
	return err;
}

int dma_buf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct iosys_map ptr = { NULL, false };
	int err;

	map->vaddr = NULL;
	map->is_iomem = false;
	if (WARN_ON(!dmabuf))
		return -EINVAL;
	dma_resv_assert_held(dmabuf->resv);
	if (!dmabuf->ops->vmap)
		return -EINVAL;
	if (!dmabuf->vmapping_counter) {
		if (dma_buf_is_revoked(dmabuf))
			return -ENODEV;
		err = dmabuf->ops->vmap(dmabuf, &ptr);
		if (err)
			return err;
		dmabuf->vmap_ptr = ptr;
	}
	dmabuf->vmapping_counter++;
	*map = dmabuf->vmap_ptr;
	return 0;
}

void dma_buf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	if (WARN_ON(!dmabuf || !dmabuf->vmapping_counter ||
		    map->vaddr != dmabuf->vmap_ptr.vaddr))
		return;
	dma_resv_assert_held(dmabuf->resv);
	if (--dmabuf->vmapping_counter)
		return;
	if (dmabuf->ops->vunmap)
		dmabuf->ops->vunmap(dmabuf, map);
	dmabuf->vmap_ptr.vaddr = NULL;
}

int dma_buf_vmap_unlocked(struct dma_buf *dmabuf, struct iosys_map *map)
{
	int err;

	if (WARN_ON(!dmabuf))
		return -EINVAL;
	dma_resv_lock(dmabuf->resv, NULL);
	err = dma_buf_vmap(dmabuf, map);
	dma_resv_unlock(dmabuf->resv);
	return err;
}

void dma_buf_vunmap_unlocked(struct dma_buf *dmabuf, struct iosys_map *map)
{
	if (WARN_ON(!dmabuf))
		return;
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_vunmap(dmabuf, map);
	dma_resv_unlock(dmabuf->resv);
}
