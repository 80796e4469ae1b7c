/* SPDX-License-Identifier: MIT */
/*
 * Groups of requesters, who has claimed them, and what is attached to whom.
 *
 * Groups are in one tree under groups_lock; a group lives as long as a requester is in it.
 * Attachments of a requester (for each PASID its domain) and the claim are under the group's lock.
 * That lock is taken here and held around the domain's attach_dev.
 */
#include "iommu/impl.h"

#include <pthread.h>

#include "base/alloc.h"

struct attachment {
	struct interval_tree_node node;	/* by PASID */
	struct iommu_domain *domain;
};

static struct sv_mutex groups_lock = SV_MUTEX_INIT;
static struct interval_tree groups;

/* A forked child has none of the functions in them (src/pci/dev.c). */
static void forked(void)
{
	sv_mutex_init(&groups_lock);
	interval_tree_init(&groups);
}

static void __attribute__((constructor)) group_init(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

static struct iommu_group *group_find(u32 id)
{
	struct interval_tree_node *n = interval_tree_iter_first(&groups, id, id);

	return n ? container_of(n, struct iommu_group, node) : NULL;
}

struct iommu_group *iommu_group_get_by_id(u32 id)
{
	struct iommu_group *g;

	sv_mutex_lock(&groups_lock);
	g = group_find(id);
	sv_mutex_unlock(&groups_lock);
	return g;
}

static void group_put(struct iommu_group *g)
{
	if (--g->refs)
		return;
	interval_tree_remove(&groups, &g->node);
	sv_mutex_destroy(&g->lock);
	sv_free(g);
}

/* groups_lock held. */
static struct iommu_group *group_get(u32 id)
{
	struct iommu_group *g = group_find(id);

	if (!g) {
		g = sv_zalloc(sizeof(*g));
		if (!g)
			return NULL;
		g->id = id;
		sv_mutex_init(&g->lock);
		INIT_LIST_HEAD(&g->devices);
		g->node.start = id;
		g->node.last = id;
		interval_tree_insert(&groups, &g->node);
	}
	g->refs++;
	return g;
}

/* Who translates for the group's devices; they change under groups_lock, which is held. */
static const struct iommu_ops *group_iommu(struct iommu_group *g)
{
	return list_first_entry(&g->devices, struct iommu_dev, group_node)->iommu;
}

int iommu_dev_init(struct iommu_dev *dev, u32 group_id)
{
	struct iommu_group *g;
	int err = 0;

	interval_tree_init(&dev->attached);
	dev->owner = NULL;
	dev->iommu_priv = NULL;
	sv_mutex_lock(&groups_lock);
	g = group_get(group_id);
	if (!g)
		err = -ENOMEM;
	else if (!list_empty(&g->devices) && group_iommu(g) != dev->iommu)
		err = -EXDEV;
	else if (dev->iommu->probe_device)
		err = dev->iommu->probe_device(dev);
	if (err) {
		if (g)
			group_put(g);
	} else {
		dev->group = g;
		sv_mutex_lock(&g->lock);
		list_add_tail(&dev->group_node, &g->devices);
		sv_mutex_unlock(&g->lock);
	}
	sv_mutex_unlock(&groups_lock);
	return err;
}

void iommu_dev_fini(struct iommu_dev *dev)
{
	struct iommu_group *g = dev->group;

	WARN_ON(!interval_tree_empty(&dev->attached));
	sv_mutex_lock(&groups_lock);
	sv_mutex_lock(&g->lock);
	list_del(&dev->group_node);
	sv_mutex_unlock(&g->lock);
	if (dev->iommu->release_device)
		dev->iommu->release_device(dev);
	group_put(g);
	dev->group = NULL;
	sv_mutex_unlock(&groups_lock);
}

int iommu_group_claim_dma_owner(struct iommu_group *g, void *owner)
{
	int err = 0;

	sv_mutex_lock(&g->lock);
	if (g->dma_owner && g->dma_owner != owner) {
		err = -EBUSY;
	} else {
		g->dma_owner = owner;
		g->dma_owner_count++;
	}
	sv_mutex_unlock(&g->lock);
	return err;
}

void iommu_group_release_dma_owner(struct iommu_group *g, void *owner)
{
	sv_mutex_lock(&g->lock);
	if (!WARN_ON(g->dma_owner != owner || !g->dma_owner_count) && !--g->dma_owner_count)
		g->dma_owner = NULL;
	sv_mutex_unlock(&g->lock);
}

/* Is [iova, iova + len) something that the domain could map? */
static int check_range(struct iommu_domain *d, u64 iova, u64 len)
{
	u64 min_page = d->pgsize_bitmap & -d->pgsize_bitmap, last;

	if (!len || !min_page || ((iova | len) & (min_page - 1)) ||
	    __builtin_add_overflow(iova, len - 1, &last))
		return -EINVAL;
	return iova < d->aperture_start || last > d->aperture_end ? -EINVAL : 0;
}

int iommu_map(struct iommu_domain *d, u64 iova, u64 paddr, u64 len, int prot)
{
	int err = check_range(d, iova, len);

	if (!err && (d->type != IOMMU_DOMAIN_PAGING || !(prot & (IOMMU_READ | IOMMU_WRITE)) ||
		     (paddr & ((d->pgsize_bitmap & -d->pgsize_bitmap) - 1))))
		err = -EINVAL;
	return err ? err : d->ops->map(d, iova, paddr, len, prot);
}

u64 iommu_unmap(struct iommu_domain *d, u64 iova, u64 len)
{
	if (d->type != IOMMU_DOMAIN_PAGING || check_range(d, iova, len))
		return 0;
	return d->ops->unmap(d, iova, len);
}

static struct attachment *attachment_find(struct iommu_dev *dev, u32 pasid)
{
	struct interval_tree_node *n = interval_tree_iter_first(&dev->attached, pasid, pasid);

	return n ? container_of(n, struct attachment, node) : NULL;
}

static int attach_locked(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid)
{
	struct attachment *a = attachment_find(dev, pasid), *fresh = NULL;
	int err;

	if (!a) {
		fresh = sv_zalloc(sizeof(*fresh));
		if (!fresh)
			return -ENOMEM;
		fresh->node.start = pasid;
		fresh->node.last = pasid;
		fresh->domain = dev->iommu->blocked_domain;
		a = fresh;
	}
	err = d->ops->attach_dev(d, dev, pasid, a->domain);
	if (err) {
		sv_free(fresh);
		return err;
	}
	a->domain = d;
	if (fresh)
		interval_tree_insert(&dev->attached, &fresh->node);
	return 0;
}

int iommu_attach(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid)
{
	int err;

	if (sv_fault())
		return -ENOMEM;
	if (d->owner != dev->iommu || d->type == IOMMU_DOMAIN_BLOCKED)
		return -EINVAL;
	sv_mutex_lock(&dev->group->lock);
	err = attach_locked(d, dev, pasid);
	sv_mutex_unlock(&dev->group->lock);
	return err;
}

void iommu_detach(struct iommu_dev *dev, u32 pasid)
{
	struct iommu_domain *blocked = dev->iommu->blocked_domain;
	struct attachment *a;

	sv_mutex_lock(&dev->group->lock);
	a = attachment_find(dev, pasid);
	if (a) {
		/* Blocking a device can't fail. */
		WARN_ON(blocked->ops->attach_dev(blocked, dev, pasid, a->domain));
		interval_tree_remove(&dev->attached, &a->node);
		sv_free(a);
	}
	sv_mutex_unlock(&dev->group->lock);
}
