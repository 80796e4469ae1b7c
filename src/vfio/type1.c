/* SPDX-License-Identifier: MIT */
/*
 * Type1: the I/O address space of a container, versions 1 and 2.
 *
 * Model: what the user mapped is an interval tree of struct vfio_dma; pages, pinning and its
 * accounting, and the domains that follow, are an io_pagetable's (src/iommu), which is also what an
 * IOAS is: each vfio_dma is one area in it. Groups whose devices sit behind the same IOMMU share a
 * domain.
 *
 * Version 2 unmaps whole mappings only and says so (EINVAL). In version 1 an unmap that begins
 * inside of a mapping does nothing and one that covers a mapping's beginning takes all of it; the
 * size that comes back tells.
 *
 * UNMAP with VADDR forgets the process address and keeps the pages (they are pinned); MAP with
 * VADDR gives the new address of the same memory, which changes nothing for devices.
 *
 * Dirty pages are what devices have written since tracking began or since they were last reported;
 * a domain that can't tell reports all that is writable.
 *
 * Registers of a BAR, given by their addresses, are mapped as a buffer exported from it would be: when
 * the BAR's memory is taken away the mapping is dead, until it is unmapped.
 *
 * A function that is removed while its group is in a container, and nobody has it open, leaves the
 * domain by itself (vfio_type1_forget).
 *
 * Locks: lock, inside of the container's; type1s_lock (the list of all of them) outside of it.
 */
#include <pthread.h>

#include "base/interval_tree.h"
#include "iommu/impl.h"
#include "softvirt/softvirt.h"
#include "vfio/vfio.h"

#define DMA_ENTRY_LIMIT 65535u
#define DIRTY_BITMAP_SIZE_MAX (1ull << 28)	/* bytes; for 2^31 pages */

struct vfio_dma {
	struct interval_tree_node node;	/* IOVAs */
	u64 vaddr;
	int prot;
	bool vaddr_invalid;
};

struct t1_domain {
	struct list_head node;
	const struct iommu_ops *ops;
	struct iommu_domain *d;
	u32 users;			/* attached devices */
};

struct t1_device {
	struct list_head node;
	struct iommu_dev *dev;
	struct vfio_group *group;
	struct t1_domain *dom;
};

struct vfio_type1 {
	struct list_head node;		/* type1s_lock */
	struct sv_mutex lock;
	bool v2;
	struct iommufd_ctx *ictx;	/* whose pages these are: for accounting */
	struct iommufd_ioas *ioas;	/* seen by nobody else */
	struct interval_tree dmas;
	u32 dma_avail;
	bool dirty_tracking;
	struct list_head domains;
	struct list_head devices;
};

static struct sv_mutex type1s_lock = SV_MUTEX_INIT;
static LIST_HEAD(type1s);

/* Containers are the parent's. */
static void forked(void)
{
	sv_mutex_init(&type1s_lock);
	INIT_LIST_HEAD(&type1s);
}

static void __attribute__((constructor)) type1s_init(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

static void type1_forget(struct pci_dev *pdev);

struct vfio_type1 *vfio_type1_open(unsigned long arg)
{
	struct vfio_type1 *t = sv_zalloc(sizeof(*t));
	long err;

	if (!t)
		return ERR_PTR(-ENOMEM);
	t->v2 = arg != VFIO_TYPE1_IOMMU;
	t->dma_avail = DMA_ENTRY_LIMIT;
	sv_mutex_init(&t->lock);
	INIT_LIST_HEAD(&t->domains);
	INIT_LIST_HEAD(&t->devices);
	t->ictx = iommufd_ctx_create(0);
	if (IS_ERR(t->ictx)) {
		err = PTR_ERR(t->ictx);
		goto free;
	}
	t->ictx->maps_devices = true;
	t->ioas = iommufd_ioas_alloc(t->ictx);
	if (IS_ERR(t->ioas)) {
		err = PTR_ERR(t->ioas);
		goto put;
	}
	sv_mutex_lock(&type1s_lock);
	list_add_tail(&t->node, &type1s);
	pci_set_removed(type1_forget);
	sv_mutex_unlock(&type1s_lock);
	return t;
put:
	iommufd_ctx_put(t->ictx);
free:
	sv_free(t);
	return ERR_PTR(err);
}

static struct io_pagetable *iopt_of(struct vfio_type1 *t)
{
	return &t->ioas->iopt;
}

static struct vfio_dma *dma_first(struct vfio_type1 *t, u64 iova, u64 last)
{
	struct interval_tree_node *n = interval_tree_iter_first(&t->dmas, iova, last);

	return n ? container_of(n, struct vfio_dma, node) : NULL;
}

static struct vfio_dma *dma_next(struct vfio_dma *dma, u64 iova, u64 last)
{
	struct interval_tree_node *n = interval_tree_iter_next(&dma->node, iova, last);

	return n ? container_of(n, struct vfio_dma, node) : NULL;
}

static u64 dma_size(const struct vfio_dma *dma)
{
	return dma->node.last - dma->node.start + 1;
}

/* After it no device reaches the pages. */
static void dma_remove(struct vfio_type1 *t, struct vfio_dma *dma)
{
	int err = iopt_unmap_iova(iopt_of(t), dma->node.start, dma_size(dma), NULL);

	if (err)
		sv_err("vfio type1: unmap of %#lx failed: %d", (unsigned long)dma->node.start, err);
	interval_tree_remove(&t->dmas, &dma->node);
	t->dma_avail++;
	sv_free(dma);
}

static void dma_remove_all(struct vfio_type1 *t)
{
	struct vfio_dma *dma;

	while ((dma = dma_first(t, 0, ~0ull)))
		dma_remove(t, dma);
}

void vfio_type1_release(struct vfio_type1 *t)
{
	sv_mutex_lock(&type1s_lock);
	list_del(&t->node);
	sv_mutex_unlock(&type1s_lock);
	dma_remove_all(t);
	iommufd_object_abort_and_destroy(t->ictx, &t->ioas->obj);
	iommufd_ctx_put(t->ictx);
	sv_mutex_destroy(&t->lock);
	sv_free(t);
}

/* Domains and devices. lock held. */

static struct t1_domain *domain_find(struct vfio_type1 *t, const struct iommu_ops *ops)
{
	struct t1_domain *dom;

	list_for_each_entry(dom, &t->domains, node)
		if (dom->ops == ops)
			return dom;
	return NULL;
}

static struct iommu_domain *domain_alloc(struct iommu_dev *dev)
{
	const struct iommu_ops *ops = dev->iommu;
	u32 flags = 0;

	if (!ops->domain_alloc_paging)
		return ERR_PTR(-EOPNOTSUPP);
	if (ops->capable && ops->capable(dev, IOMMU_CAP_DIRTY_TRACKING))
		flags |= IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	return ops->domain_alloc_paging(dev, flags, NULL);
}

/* With the type1's mappings in it. */
static struct t1_domain *domain_make(struct vfio_type1 *t, struct iommu_dev *dev)
{
	struct t1_domain *dom = sv_zalloc(sizeof(*dom));
	int err;

	if (!dom)
		return ERR_PTR(-ENOMEM);
	dom->ops = dev->iommu;
	dom->d = domain_alloc(dev);
	if (IS_ERR(dom->d)) {
		err = (int)PTR_ERR(dom->d);
		goto free;
	}
	err = iopt_table_add_domain(iopt_of(t), dom->d);
	if (err)
		goto free_domain;
	if (t->dirty_tracking && dom->d->dirty_ops) {
		err = iopt_set_dirty_tracking(iopt_of(t), dom->d, true);
		if (err)
			goto remove;
	}
	list_add_tail(&dom->node, &t->domains);
	return dom;
remove:
	iopt_table_remove_domain(iopt_of(t), dom->d);
free_domain:
	dom->d->ops->free(dom->d);
free:
	sv_free(dom);
	return ERR_PTR(err);
}

static void domain_put(struct vfio_type1 *t, struct t1_domain *dom)
{
	if (dom->users)
		return;
	/* Without a domain there is nothing to map into: as in the kernel all mappings go. */
	if (list_is_singular(&t->domains))
		dma_remove_all(t);
	list_del(&dom->node);
	iopt_table_remove_domain(iopt_of(t), dom->d);
	dom->d->ops->free(dom->d);
	sv_free(dom);
}

static int device_attach(struct vfio_type1 *t, struct vfio_group *g, struct iommu_dev *dev)
{
	struct t1_device *d = sv_zalloc(sizeof(*d));
	struct t1_domain *dom;
	int err;

	if (!d)
		return -ENOMEM;
	d->dev = dev;
	d->group = g;
	/* What the device can't use must not be mapped, also not by those before it. */
	err = iopt_table_enforce_dev_resv_regions(iopt_of(t), dev, d, NULL);
	if (err) {
		err = err == -EADDRINUSE ? -EINVAL : err;
		goto free;
	}
	dom = domain_find(t, dev->iommu);
	if (!dom)
		dom = domain_make(t, dev);
	if (IS_ERR(dom)) {
		err = (int)PTR_ERR(dom);
		goto unreserve;
	}
	err = iommu_attach(dom->d, dev, IOMMU_NO_PASID);
	if (err) {
		domain_put(t, dom);
		goto unreserve;
	}
	dom->users++;
	d->dom = dom;
	list_add_tail(&d->node, &t->devices);
	return 0;
unreserve:
	iopt_remove_reserved_iova(iopt_of(t), d);
free:
	sv_free(d);
	return err;
}

static void device_detach(struct vfio_type1 *t, struct t1_device *d)
{
	iommu_detach(d->dev, IOMMU_NO_PASID);
	iopt_remove_reserved_iova(iopt_of(t), d);
	d->dom->users--;
	domain_put(t, d->dom);
	list_del(&d->node);
	sv_free(d);
}

static void group_detach(struct vfio_type1 *t, struct vfio_group *g)
{
	struct t1_device *d, *next;

	list_for_each_entry_safe(d, next, &t->devices, node)
		if (d->group == g)
			device_detach(t, d);
}

/* The function is going; nobody has it open. */
static void type1_forget(struct pci_dev *pdev)
{
	struct t1_device *d, *next;
	struct vfio_type1 *t;

	sv_mutex_lock(&type1s_lock);
	list_for_each_entry(t, &type1s, node) {
		sv_mutex_lock(&t->lock);
		list_for_each_entry_safe(d, next, &t->devices, node)
			if (d->dev == &pdev->iommu)
				device_detach(t, d);
		sv_mutex_unlock(&t->lock);
	}
	sv_mutex_unlock(&type1s_lock);
}

#define GROUP_MAX 64

int vfio_type1_attach_group(struct vfio_type1 *t, struct vfio_group *g)
{
	struct iommu_group *ig = vfio_group_iommu(g);
	struct iommu_dev *devs[GROUP_MAX], *dev;
	unsigned n = 0;
	int err = 0;

	if (!ig)
		return -ENODEV;
	sv_mutex_lock(&ig->lock);
	list_for_each_entry(dev, &ig->devices, group_node) {
		if (n == GROUP_MAX)
			break;
		devs[n++] = dev;
	}
	sv_mutex_unlock(&ig->lock);
	sv_mutex_lock(&t->lock);
	for (unsigned i = 0; i < n && !err; i++)
		err = device_attach(t, g, devs[i]);
	if (err)
		group_detach(t, g);
	sv_mutex_unlock(&t->lock);
	return err;
}

void vfio_type1_detach_group(struct vfio_type1 *t, struct vfio_group *g)
{
	sv_mutex_lock(&t->lock);
	group_detach(t, g);
	sv_mutex_unlock(&t->lock);
}

static u64 pgsizes(struct vfio_type1 *t)
{
	u64 sizes = ~(SV_PAGE_SIZE - 1);
	struct t1_domain *dom;

	list_for_each_entry(dom, &t->domains, node)
		sizes &= dom->d->pgsize_bitmap;
	return sizes;
}

/* Whether devices can be told that their writes are coherent: asked of all domains. */
static bool enforces_coherency(struct vfio_type1 *t)
{
	struct t1_domain *dom;
	bool yes = true;

	sv_mutex_lock(&t->lock);
	list_for_each_entry(dom, &t->domains, node)
		if (!dom->d->ops->enforce_cache_coherency ||
		    !dom->d->ops->enforce_cache_coherency(dom->d))
			yes = false;
	sv_mutex_unlock(&t->lock);
	return yes;
}

long vfio_type1_check_extension(struct vfio_type1 *t, unsigned long arg)
{
	switch (arg) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_TYPE1_NESTING_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_UPDATE_VADDR:
		return t ? 1 : 0;
	case VFIO_DMA_CC_IOMMU:
		return t && enforces_coherency(t) ? 1 : 0;
	default:
		return 0;
	}
}

/* The holes between reserved ranges: what may be mapped. Returns how many; fills up to room. */
static u32 iova_ranges(struct vfio_type1 *t, struct vfio_iova_range *out, u32 room)
{
	struct io_pagetable *iopt = iopt_of(t);
	struct interval_tree_node *n;
	bool end = false;
	u64 next = 0;
	u32 nr = 0;

	sv_read_lock(&iopt->iova_lock);
	for (n = interval_tree_first(&iopt->reserved); n && !end; n = interval_tree_next(n)) {
		if (n->start > next) {
			if (nr < room) {
				out[nr].start = next;
				out[nr].end = n->start - 1;
			}
			nr++;
		}
		if (n->last == ~0ull)
			end = true;
		else
			next = max(next, n->last + 1);
	}
	sv_read_unlock(&iopt->iova_lock);
	if (!end) {
		if (nr < room) {
			out[nr].start = next;
			out[nr].end = ~0ull;
		}
		nr++;
	}
	return nr;
}

#define MAX_RANGES 40	/* what fits into struct vfio_caps */

static void info_caps(struct vfio_type1 *t, struct vfio_caps *caps)
{
	struct vfio_iommu_type1_info_cap_iova_range *iovas;
	struct vfio_iommu_type1_info_cap_migration *mig;
	struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_iova_range ranges[MAX_RANGES];
	u32 n = min(iova_ranges(t, ranges, MAX_RANGES), (u32)MAX_RANGES);

	mig = vfio_caps_add(caps, sizeof(*mig), VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 1);
	mig->pgsize_bitmap = pgsizes(t) & -pgsizes(t);
	mig->max_dirty_bitmap_size = DIRTY_BITMAP_SIZE_MAX;
	avail = vfio_caps_add(caps, sizeof(*avail), VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1);
	avail->avail = t->dma_avail;
	if (!n)
		return;
	iovas = vfio_caps_add(caps, sizeof(*iovas) + n * sizeof(ranges[0]),
			      VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1);
	iovas->nr_iovas = n;
	memcpy(iovas->iova_ranges, ranges, n * sizeof(ranges[0]));
}

/* struct vfio_iommu_type1_info with the padding that newer headers name. */
struct type1_info {
	u32 argsz, flags;
	u64 iova_pgsizes;
	u32 cap_offset, pad;
};

static long get_info(struct vfio_type1 *t, void *user)
{
	size_t minsz = offsetofend(struct type1_info, iova_pgsizes);
	struct vfio_caps caps = { .size = 0 };
	struct type1_info info = { 0 };

	if (sv_copy_from_user(&info, user, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	minsz = min((size_t)info.argsz, sizeof(info));
	sv_mutex_lock(&t->lock);
	info.iova_pgsizes = pgsizes(t);
	info_caps(t, &caps);
	sv_mutex_unlock(&t->lock);
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	if (info.argsz < sizeof(info) + caps.size) {
		info.argsz = (u32)(sizeof(info) + caps.size);
	} else {
		vfio_caps_shift(&caps, sizeof(info));
		if (sv_copy_to_user((u8 *)user + sizeof(info), caps.buf, caps.size))
			return -EFAULT;
		info.cap_offset = sizeof(info);
	}
	return sv_copy_to_user(user, &info, minsz) ? -EFAULT : 0;
}

/* Is [iova, last] one that all devices can use? lock held. */
static bool iova_valid(struct vfio_type1 *t, u64 iova, u64 last)
{
	struct io_pagetable *iopt = iopt_of(t);
	bool valid;

	sv_read_lock(&iopt->iova_lock);
	valid = !interval_tree_iter_first(&iopt->reserved, iova, last);
	sv_read_unlock(&iopt->iova_lock);
	return valid;
}

static int update_vaddr(struct vfio_type1 *t, struct vfio_dma *dma,
			const struct vfio_iommu_type1_dma_map *map)
{
	if (!dma)
		return -ENOENT;
	if (!dma->vaddr_invalid || dma->node.start != map->iova || dma_size(dma) != map->size)
		return -EINVAL;
	dma->vaddr = map->vaddr;
	dma->vaddr_invalid = false;
	return 0;
}

/* What map says of itself. The last byte may be that of the address space. */
static int map_check(const struct vfio_iommu_type1_dma_map *map, int prot)
{
	u64 last;

	if (!map->size)
		return -EINVAL;
	if (__builtin_add_overflow(map->iova, map->size - 1, &last) ||
	    __builtin_add_overflow(map->vaddr, map->size - 1, &last))
		return -EOVERFLOW;
	/* Either access or a new address. */
	return !prot != !!(map->flags & VFIO_DMA_MAP_FLAG_VADDR) ? -EINVAL : 0;
}

/* Memory, or registers; lock held. */
static int map_pages(struct vfio_type1 *t, const struct vfio_iommu_type1_dma_map *map, int prot)
{
	u64 iova = map->iova, off;
	struct vfio_device *vdev;
	unsigned bar;
	int fd, err;

	vdev = vfio_maps_find_regs(map->vaddr, map->size, &bar, &off);
	if (!vdev)
		return iopt_map_user_pages(t->ictx, iopt_of(t), &iova, map->vaddr, map->size,
					   prot | IOMMU_CACHE, 0);
	fd = vfio_dmabuf_export(vdev, bar, off, map->size);
	vfio_device_put(vdev);
	if (fd < 0)
		return fd;
	err = iopt_map_file_pages(t->ictx, iopt_of(t), &iova, fd, 0, map->size, prot | IOMMU_CACHE, 0);
	softvirt_close(fd);
	/* Off: there is nothing at these addresses. */
	return err == -ENODEV ? -EFAULT : err;
}

/* lock held; map has been checked by itself. */
static int map_locked(struct vfio_type1 *t, const struct vfio_iommu_type1_dma_map *map, int prot)
{
	u64 last = map->iova + map->size - 1, pgmask = (pgsizes(t) & -pgsizes(t)) - 1;
	struct vfio_dma *dma;
	int err;

	if ((map->size | map->iova | map->vaddr) & pgmask)
		return -EINVAL;
	dma = dma_first(t, map->iova, last);
	if (map->flags & VFIO_DMA_MAP_FLAG_VADDR)
		return update_vaddr(t, dma, map);
	if (dma)
		return -EEXIST;
	if (!t->dma_avail)
		return -ENOSPC;
	if (!iova_valid(t, map->iova, last))
		return -EINVAL;
	dma = sv_zalloc(sizeof(*dma));
	if (!dma)
		return -ENOMEM;
	err = map_pages(t, map, prot);
	if (err) {
		sv_free(dma);
		return err;
	}
	dma->node.start = map->iova;
	dma->node.last = last;
	dma->vaddr = map->vaddr;
	dma->prot = prot;
	interval_tree_insert(&t->dmas, &dma->node);
	t->dma_avail--;
	return 0;
}

static long map_dma(struct vfio_type1 *t, void *user)
{
	const u32 known = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;
	size_t minsz = offsetofend(struct vfio_iommu_type1_dma_map, size);
	struct vfio_iommu_type1_dma_map map;
	int prot = 0, err;

	if (sv_copy_from_user(&map, user, minsz))
		return -EFAULT;
	if (map.argsz < minsz || (map.flags & ~known))
		return -EINVAL;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= IOMMU_WRITE;
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= IOMMU_READ;
	err = map_check(&map, prot);
	if (err)
		return err;
	sv_mutex_lock(&t->lock);
	err = map_locked(t, &map, prot);
	sv_mutex_unlock(&t->lock);
	return err;
}

/* Dirty bits into the caller's bitmap, whose first bit is base's. */
struct dirty_out {
	u8 *bitmap;
	u64 base, page_shift;
	int err;
};

static void dirty_set(struct dirty_out *out, u64 iova, u64 len)
{
	u64 first = (iova - out->base) >> out->page_shift;
	u64 last = (iova + len - 1 - out->base) >> out->page_shift;
	struct sv_guard g;

	if (out->err)
		return;
	if (sv_guard_enter(&g)) {
		out->err = -EFAULT;
		return;
	}
	for (u64 i = first; i <= last; i++)
		out->bitmap[i / 8] |= (u8)(1u << (i % 8));
	sv_guard_leave(&g);
}

static void dirty_report(void *arg, u64 iova, u64 len)
{
	dirty_set(arg, iova, len);
}

/* What of dma has been written, in all domains; the bits go. lock held. */
static int dma_dirty(struct vfio_type1 *t, struct vfio_dma *dma, struct dirty_out *out)
{
	struct t1_domain *dom;
	int err = 0;

	if (!(dma->prot & IOMMU_WRITE))
		return 0;
	list_for_each_entry(dom, &t->domains, node) {
		if (dom->d->dirty_ops)
			err = dom->d->dirty_ops->read_and_clear_dirty(dom->d, dma->node.start,
								      dma_size(dma), false,
								      dirty_report, out);
		else
			dirty_set(out, dma->node.start, dma_size(dma));
		if (err || out->err)
			break;
	}
	return err ? err : out->err;
}

/* A bitmap of this size is large enough for the pages, and not too large. */
static int bitmap_check(u64 npages, u64 size)
{
	if (!npages || !size || size > DIRTY_BITMAP_SIZE_MAX || size < (npages + 63) / 64 * 8)
		return -EINVAL;
	return 0;
}

/* Does a mapping reach over the range's ends? lock held. */
static bool bisects(struct vfio_type1 *t, u64 iova, u64 last)
{
	struct vfio_dma *dma = dma_first(t, iova, iova);

	if (dma && dma->node.start != iova)
		return true;
	dma = dma_first(t, last, last);
	return dma && dma->node.last != last;
}

/* All of [iova, last]'s mappings lose their addresses; none if one has none already. */
static int invalidate_vaddrs(struct vfio_type1 *t, u64 iova, u64 last, u64 *unmapped)
{
	struct vfio_dma *dma;

	for (dma = dma_first(t, iova, last); dma; dma = dma_next(dma, iova, last))
		if (dma->vaddr_invalid && (t->v2 || dma->node.start >= iova))
			return -EINVAL;
	for (dma = dma_first(t, iova, last); dma; dma = dma_next(dma, iova, last)) {
		if (!t->v2 && dma->node.start < iova)
			break;
		dma->vaddr_invalid = true;
		*unmapped += dma_size(dma);
	}
	return 0;
}

/* lock held. unmap->size becomes what was unmapped. */
static int unmap_locked(struct vfio_type1 *t, struct vfio_iommu_type1_dma_unmap *unmap,
			const struct vfio_bitmap *bitmap)
{
	bool all = unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL;
	bool dirty = unmap->flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	u64 pgsize = pgsizes(t) & -pgsizes(t), iova = unmap->iova, size = unmap->size, done = 0;
	u64 last = ~0ull;
	struct dirty_out out = { .base = iova, .page_shift = (u64)__builtin_ctzll(pgsize) };
	struct vfio_dma *dma;
	int err = 0;

	if (iova & (pgsize - 1))
		return -EINVAL;
	if (all ? iova || size : !size || (size & (pgsize - 1)))
		return -EINVAL;
	if (!all && __builtin_add_overflow(iova, size - 1, &last))
		return -EOVERFLOW;
	if (dirty && (!t->dirty_tracking || bitmap->pgsize != pgsize))
		return -EINVAL;
	if (t->v2 && !all && bisects(t, iova, last))
		return -EINVAL;
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_VADDR) {
		err = invalidate_vaddrs(t, iova, last, &done);
	} else {
		out.bitmap = dirty ? (u8 *)bitmap->data : NULL;
		while ((dma = dma_first(t, iova, last))) {
			/* Version 1: what begins before the range stays, and ends it. */
			if (!t->v2 && dma->node.start < iova)
				break;
			err = dirty ? dma_dirty(t, dma, &out) : 0;
			if (err)
				break;
			done += dma_size(dma);
			dma_remove(t, dma);
		}
	}
	unmap->size = done;
	return err;
}

static long unmap_dma(struct vfio_type1 *t, void *user)
{
	const u32 known = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL |
			  VFIO_DMA_UNMAP_FLAG_VADDR;
	size_t minsz = offsetofend(struct vfio_iommu_type1_dma_unmap, size);
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_bitmap bitmap = { 0 };
	int err;

	if (sv_copy_from_user(&unmap, user, minsz))
		return -EFAULT;
	if (unmap.argsz < minsz || (unmap.flags & ~known))
		return -EINVAL;
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) {
		/* Of what it unmaps, and of nothing less definite. */
		if (unmap.flags & (VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR))
			return -EINVAL;
		if (unmap.argsz < minsz + sizeof(bitmap))
			return -EINVAL;
		if (sv_copy_from_user(&bitmap, (u8 *)user + minsz, sizeof(bitmap)))
			return -EFAULT;
		if (!bitmap.pgsize)
			return -EINVAL;
		err = bitmap_check(unmap.size >> __builtin_ctzll(bitmap.pgsize), bitmap.size);
		if (err)
			return err;
	}
	sv_mutex_lock(&t->lock);
	err = unmap_locked(t, &unmap, &bitmap);
	sv_mutex_unlock(&t->lock);
	if (err)
		return err;
	return sv_copy_to_user(user, &unmap, minsz) ? -EFAULT : 0;
}

/* lock held. */
static int tracking_set(struct vfio_type1 *t, bool on)
{
	struct t1_domain *dom, *undo;
	int err;

	if (t->dirty_tracking == on)
		return 0;
	list_for_each_entry(dom, &t->domains, node) {
		if (!dom->d->dirty_ops)
			continue;
		err = iopt_set_dirty_tracking(iopt_of(t), dom->d, on);
		if (!err)
			continue;
		list_for_each_entry(undo, &t->domains, node) {
			if (undo == dom)
				break;
			if (undo->d->dirty_ops)
				(void)iopt_set_dirty_tracking(iopt_of(t), undo->d, !on);
		}
		return err;
	}
	t->dirty_tracking = on;
	return 0;
}

/* lock held. */
static int get_bitmap(struct vfio_type1 *t, const struct vfio_iommu_type1_dirty_bitmap_get *r)
{
	u64 pgsize = pgsizes(t) & -pgsizes(t), last = r->iova + r->size - 1;
	struct dirty_out out = {
		.bitmap = (u8 *)r->bitmap.data, .base = r->iova,
		.page_shift = (u64)__builtin_ctzll(pgsize),
	};
	struct vfio_dma *dma;
	int err = 0;

	if (r->bitmap.pgsize != pgsize || (r->iova & (pgsize - 1)))
		return -EINVAL;
	if (r->size & (pgsize - 1))
		return -EINVAL;
	if (!t->dirty_tracking || bisects(t, r->iova, last))
		return -EINVAL;
	for (dma = dma_first(t, r->iova, last); dma && !err; dma = dma_next(dma, r->iova, last))
		err = dma_dirty(t, dma, &out);
	return err;
}

static long dirty_get(struct vfio_type1 *t, const struct vfio_iommu_type1_dirty_bitmap *d,
		      const void *user)
{
	struct vfio_iommu_type1_dirty_bitmap_get r;
	size_t minsz = offsetofend(struct vfio_iommu_type1_dirty_bitmap, flags);
	u64 last;
	int err;

	if (d->argsz - minsz < sizeof(r))
		return -EINVAL;
	if (sv_copy_from_user(&r, (const u8 *)user + minsz, sizeof(r)))
		return -EFAULT;
	if (!r.size)
		return -EINVAL;
	if (__builtin_add_overflow(r.iova, r.size - 1, &last))
		return -EOVERFLOW;
	if (!r.bitmap.pgsize)
		return -EINVAL;
	err = bitmap_check(r.size >> __builtin_ctzll(r.bitmap.pgsize), r.bitmap.size);
	if (err)
		return err;
	sv_mutex_lock(&t->lock);
	err = get_bitmap(t, &r);
	sv_mutex_unlock(&t->lock);
	return err;
}

static long dirty_pages(struct vfio_type1 *t, void *user)
{
	size_t minsz = offsetofend(struct vfio_iommu_type1_dirty_bitmap, flags);
	struct vfio_iommu_type1_dirty_bitmap d;
	int err;

	if (!t->v2)
		return -EACCES;
	if (sv_copy_from_user(&d, user, minsz))
		return -EFAULT;
	if (d.argsz < minsz)
		return -EINVAL;
	/* One at a time, and one of those there are. */
	switch (d.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		sv_mutex_lock(&t->lock);
		err = tracking_set(t, d.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
		sv_mutex_unlock(&t->lock);
		return err;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return dirty_get(t, &d, user);
	default:
		return -EINVAL;
	}
}

long vfio_type1_ioctl(struct vfio_type1 *t, unsigned int cmd, void *user)
{
	switch (cmd) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(t, user);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(t, user);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(t, user);
	case VFIO_IOMMU_DIRTY_PAGES:
		return dirty_pages(t, user);
	default:
		return -ENOTTY;
	}
}
