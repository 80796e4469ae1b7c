/* SPDX-License-Identifier: MIT */
/*
 * The container's ioctls (VFIO type1) on /dev/iommu, for programs that know no iommufd.
 *
 * They mean one IOAS of the context, the compatibility IOAS, which VFIO makes with the first group
 * or IOMMU_VFIO_IOAS names; without one they answer ENODEV. Type1 version 1 may unmap a part of a
 * mapping; its IOAS has no large pages and is cut where the unmap begins and ends.
 *
 * Their structs begin with argsz: less than the call needs is EINVAL, more is room.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "iommu/objects.h"
#include "softvirt/uapi/vfio.h"

/* A short-term reference; ERR_PTR(-ENODEV). */
static struct iommufd_ioas *get_compat_ioas(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas;

	sv_mutex_lock(&ictx->lock);
	ioas = ictx->vfio_ioas;
	if (!ioas || !iommufd_lock_obj_found(&ioas->obj))
		ioas = ERR_PTR(-ENODEV);
	sv_mutex_unlock(&ictx->lock);
	return ioas;
}

int iommufd_vfio_compat_ioas_get_id(struct iommufd_ctx *ictx, u32 *out_ioas_id)
{
	struct iommufd_ioas *ioas = get_compat_ioas(ictx);

	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	*out_ioas_id = ioas->obj.id;
	iommufd_put_object(ictx, &ioas->obj);
	return 0;
}

int iommufd_vfio_compat_set_no_iommu(struct iommufd_ctx *ictx)
{
	int err = -EINVAL;

	sv_mutex_lock(&ictx->lock);
	if (!ictx->vfio_ioas) {
		ictx->no_iommu_mode = 1;
		err = 0;
	}
	sv_mutex_unlock(&ictx->lock);
	return err;
}

int iommufd_vfio_compat_ioas_create(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas = iommufd_ioas_alloc(ictx);
	bool taken = false;
	int err = 0;

	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	sv_mutex_lock(&ictx->lock);
	if (ictx->no_iommu_mode)
		err = -EINVAL;
	else if (!ictx->vfio_ioas)
		taken = true;
	if (taken)
		ictx->vfio_ioas = ioas;
	sv_mutex_unlock(&ictx->lock);
	/* From here it is as one that the program has made; the program learns its id by GET. */
	if (taken)
		iommufd_object_finalize(ictx, &ioas->obj);
	else
		iommufd_object_abort_and_destroy(ictx, &ioas->obj);
	return err;
}

long iommufd_vfio_ioas(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_vfio_ioas *cmd = c->buf;
	struct iommufd_ioas *ioas;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case IOMMU_VFIO_IOAS_GET:
		return iommufd_vfio_compat_ioas_get_id(ictx, &cmd->ioas_id);
	case IOMMU_VFIO_IOAS_SET:
		iommufd_no_response(c);
		ioas = iommufd_get_ioas(ictx, cmd->ioas_id);
		if (IS_ERR(ioas))
			return PTR_ERR(ioas);
		sv_mutex_lock(&ictx->lock);
		ictx->vfio_ioas = ioas;
		sv_mutex_unlock(&ictx->lock);
		iommufd_put_object(ictx, &ioas->obj);
		return 0;
	case IOMMU_VFIO_IOAS_CLEAR:
		iommufd_no_response(c);
		sv_mutex_lock(&ictx->lock);
		ictx->vfio_ioas = NULL;
		sv_mutex_unlock(&ictx->lock);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

long iommufd_vfio_get_api_version(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return VFIO_API_VERSION;
}

/* Is every domain of the IOAS one that enforces coherency? */
static int check_coherency(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas = get_compat_ioas(ictx);
	struct iommufd_hwpt_paging *paging;
	int all = 1;

	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	sv_mutex_lock(&ioas->mutex);
	list_for_each_entry(paging, &ioas->hwpt_list, hwpt_item)
		all &= paging->enforce_cache_coherency;
	sv_mutex_unlock(&ioas->mutex);
	iommufd_put_object(ictx, &ioas->obj);
	return all;
}

long iommufd_vfio_check_extension(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);

	switch (c->value) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return !__atomic_load_n(&ictx->no_iommu_mode, __ATOMIC_RELAXED);
	case VFIO_DMA_CC_IOMMU:
		return check_coherency(ictx);
	default:
		return 0;
	}
}

long iommufd_vfio_set_iommu(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommufd_ioas *ioas;
	int err = 0;

	if (c->value != VFIO_TYPE1_IOMMU && c->value != VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	if (__atomic_load_n(&ictx->no_iommu_mode, __ATOMIC_RELAXED))
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	if (c->value == VFIO_TYPE1_IOMMU)
		err = iopt_disable_large_pages(&ioas->iopt);
	iommufd_put_object(ictx, &ioas->obj);
	return err;
}

#define ARGSZ(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

long iommufd_vfio_map_dma(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	const size_t min_size = ARGSZ(struct vfio_iommu_type1_dma_map, size);
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct vfio_iommu_type1_dma_map map;
	struct iommufd_ioas *ioas;
	int prot = IOMMU_CACHE, err;
	u64 iova;

	if (sv_copy_from_user(&map, (void *)c->value, min_size))
		return -EFAULT;
	if (map.argsz < min_size ||
	    (map.flags & ~(u32)(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)))
		return -EINVAL;
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= IOMMU_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= IOMMU_WRITE;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	iova = map.iova;
	err = iopt_map_user_pages(ictx, &ioas->iopt, &iova, map.vaddr, map.size, prot, 0);
	iommufd_put_object(ictx, &ioas->obj);
	return err;
}

static int unmap(struct iommufd_ioas *ioas, struct vfio_iommu_type1_dma_unmap *cmd)
{
	u64 unmapped = 0;
	int err;

	if (cmd->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (cmd->iova || cmd->size)
			return -EINVAL;
		err = iopt_unmap_all(&ioas->iopt, &unmapped);
	} else {
		if (__atomic_load_n(&ioas->iopt.disable_large_pages, __ATOMIC_RELAXED)) {
			/* The last address before, and the last one inside. */
			u64 cuts[] = { cmd->iova + cmd->size - 1, cmd->iova - 1 };

			err = iopt_cut_iova(&ioas->iopt, cuts, cmd->iova ? 2 : 1);
			if (err)
				return err;
		}
		err = iopt_unmap_iova(&ioas->iopt, cmd->iova, cmd->size, &unmapped);
	}
	/* How much, whatever stopped it. */
	cmd->size = unmapped;
	cmd->argsz = 0;
	return err;
}

long iommufd_vfio_unmap_dma(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	const size_t min_size = ARGSZ(struct vfio_iommu_type1_dma_unmap, size);
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct vfio_iommu_type1_dma_unmap cmd;
	struct iommufd_ioas *ioas;
	u32 argsz;
	int err;

	if (sv_copy_from_user(&cmd, (void *)c->value, min_size))
		return -EFAULT;
	if (cmd.argsz < min_size || (cmd.flags & ~(u32)VFIO_DMA_UNMAP_FLAG_ALL))
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	argsz = cmd.argsz;
	err = unmap(ioas, &cmd);
	iommufd_put_object(ictx, &ioas->obj);
	/* Refused before anything was unmapped: argsz is still there. */
	if (cmd.argsz)
		return err;
	cmd.argsz = argsz;
	return sv_copy_to_user((void *)c->value, &cmd, min_size) ? -EFAULT : err;
}

/* Page sizes that all domains have, at least whole pages of the CPU's. */
static u64 page_sizes(struct io_pagetable *iopt)
{
	u64 sizes = ~0ull;

	sv_read_lock(&iopt->domains_lock);
	for (u32 i = 0; i < iopt->nr_domains; i++)
		sizes &= iopt->domains[i]->pgsize_bitmap;
	if (sizes & (SV_PAGE_SIZE - 1))
		sizes = (sizes & ~(SV_PAGE_SIZE - 1)) | SV_PAGE_SIZE;
	sizes = max(sizes, iopt->iova_alignment);
	sv_read_unlock(&iopt->domains_lock);
	return sizes;
}

/*
 * The capabilities behind the info struct, as they lie in the caller's buffer; from range on it is
 * struct vfio_iommu_type1_info_cap_iova_range.
 */
struct caps {
	struct vfio_iommu_type1_info_dma_avail avail;
	u32 pad;
	struct vfio_info_cap_header range;
	u32 nr_iovas, reserved;
	struct vfio_iova_range ranges[];
};
_Static_assert(offsetof(struct caps, range) == 16, "capabilities lie at multiples of 8");
_Static_assert(sizeof(struct caps) ==
	       16 + offsetof(struct vfio_iommu_type1_info_cap_iova_range, iova_ranges), "uapi");

/* The gaps between reserved ranges; out may be NULL. How many. iova_lock held */
static size_t usable_ranges(struct io_pagetable *iopt, struct vfio_iova_range *out)
{
	struct interval_tree_node *n;
	u64 from = 0;
	size_t count = 0;
	bool end = false;

	for (n = interval_tree_first(&iopt->reserved); n && !end; n = interval_tree_next(n)) {
		if (n->start > from) {
			if (out)
				out[count] = (struct vfio_iova_range){ from, n->start - 1 };
			count++;
		}
		if (n->last == ~0ull)
			end = true;
		else
			from = max(from, n->last + 1);
	}
	if (!end) {
		if (out)
			out[count] = (struct vfio_iova_range){ from, ~0ull };
		count++;
	}
	return count;
}

/* Allocated; *len: its bytes. NULL: no memory. */
static struct caps *caps_make(struct io_pagetable *iopt, size_t *len)
{
	const u32 first = sizeof(struct vfio_iommu_type1_info);
	struct caps *caps;
	size_t n;

	sv_read_lock(&iopt->iova_lock);
	n = usable_ranges(iopt, NULL);
	*len = sizeof(*caps) + n * sizeof(caps->ranges[0]);
	caps = sv_zalloc(*len);
	if (caps)
		usable_ranges(iopt, caps->ranges);
	sv_read_unlock(&iopt->iova_lock);
	if (!caps)
		return NULL;
	caps->avail.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
	caps->avail.header.version = 1;
	caps->avail.header.next = first + (u32)offsetof(struct caps, range);
	caps->avail.avail = UINT32_MAX;
	caps->range.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	caps->range.version = 1;
	caps->nr_iovas = (u32)n;
	return caps;
}

static int get_info(struct iommufd_ioas *ioas, struct vfio_iommu_type1_info *info, char *user)
{
	size_t room = info->argsz, len;
	struct caps *caps = caps_make(&ioas->iopt, &len);
	int err = 0;

	if (!caps)
		return -ENOMEM;
	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = page_sizes(&ioas->iopt);
	info->argsz = (u32)(sizeof(*info) + len);
	info->cap_offset = 0;
	/* All or none of them; argsz says how much room they take. */
	if (room >= sizeof(*info) + len) {
		info->cap_offset = sizeof(*info);
		err = sv_copy_to_user(user + sizeof(*info), caps, len);
	}
	if (!err)
		err = sv_copy_to_user(user, info, min(room, sizeof(*info)));
	sv_free(caps);
	return err ? -EFAULT : 0;
}

long iommufd_vfio_get_info(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	const size_t min_size = ARGSZ(struct vfio_iommu_type1_info, iova_pgsizes);
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct vfio_iommu_type1_info info = { 0 };
	struct iommufd_ioas *ioas;
	int err;

	if (sv_copy_from_user(&info, (void *)c->value, min_size))
		return -EFAULT;
	if (info.argsz < min_size)
		return -EINVAL;
	ioas = get_compat_ioas(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	err = get_info(ioas, &info, (char *)c->value);
	iommufd_put_object(ictx, &ioas->obj);
	return err;
}
