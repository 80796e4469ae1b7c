/* SPDX-License-Identifier: MIT */
/*
 * Access to a space by software (mdev-like drivers): read, write, and pins.
 *
 * Unmap protocol: an unmap that finds pins on an area marks it (prevent_access: no new pins),
 * drops its locks and calls every access's unmap, which must unpin what it has there before it
 * returns; then it looks again. An access whose IOAS changes or that is destroyed is told to unpin
 * everything.
 *
 * Lock: access->lock, outside of the space's; not held around callbacks, so that they may unpin.
 * ioas is NULL while it changes (nothing new is pinned), ioas_unpin stays for those who let go.
 */
#include "iommu/pages.h"

#include "base/alloc.h"

/* access->lock held; dropped and taken again around the callback. */
static int change_ioas(struct iommufd_access *access, struct iommufd_ioas *new)
{
	struct iommufd_ioas *cur = access->ioas;
	int err;

	/* Another thread is in the middle of it. */
	if (cur != access->ioas_unpin)
		return -EBUSY;
	if (cur == new)
		return 0;
	access->ioas = NULL;
	if (new) {
		err = iopt_add_access(&new->iopt, access);
		if (err) {
			access->ioas = cur;
			return err;
		}
		iommufd_object_hold(&new->obj);
	}
	if (cur) {
		if (access->ops->unmap) {
			sv_mutex_unlock(&access->lock);
			access->ops->unmap(access->data, 0, ~0ull);
			sv_mutex_lock(&access->lock);
		}
		iopt_remove_access(&cur->iopt, access);
		iommufd_object_unhold(&cur->obj);
	}
	access->ioas = new;
	access->ioas_unpin = new;
	return 0;
}

static int change_ioas_id(struct iommufd_access *access, u32 id)
{
	struct iommufd_ioas *ioas = iommufd_get_ioas(access->ictx, id);
	int err;

	if (IS_ERR(ioas))
		return PTR_ERR_OR_ZERO(ioas);
	err = change_ioas(access, ioas);
	iommufd_put_object(access->ictx, &ioas->obj);
	return err;
}

struct iommufd_access *iommufd_access_create(struct iommufd_ctx *ictx,
					     const struct iommufd_access_ops *ops, void *data, u32 *id)
{
	struct iommufd_access *access;

	access = iommufd_object_alloc(ictx, access, IOMMUFD_OBJ_ACCESS);
	if (IS_ERR(access))
		return access;
	sv_mutex_init(&access->lock);
	access->data = data;
	access->ops = ops;
	access->iova_alignment = ops->needs_pin_pages ? SV_PAGE_SIZE : 1;
	/* The driver is a user until iommufd_access_destroy(). */
	iommufd_object_hold(&access->obj);
	access->ictx = iommufd_ctx_get(ictx);
	*id = access->obj.id;
	iommufd_object_finalize(ictx, &access->obj);
	return access;
}

void iommufd_access_destroy_object(struct iommufd_object *obj)
{
	struct iommufd_access *access = container_of(obj, struct iommufd_access, obj);

	sv_mutex_lock(&access->lock);
	if (access->ioas)
		WARN_ON(change_ioas(access, NULL));
	sv_mutex_unlock(&access->lock);
	sv_mutex_destroy(&access->lock);
	iommufd_ctx_put(access->ictx);
}

void iommufd_access_destroy(struct iommufd_access *access)
{
	iommufd_object_destroy_user(access->ictx, &access->obj);
}

int iommufd_access_attach(struct iommufd_access *access, u32 ioas_id)
{
	int err = -EINVAL;

	sv_mutex_lock(&access->lock);
	if (!WARN_ON(access->ioas))
		err = change_ioas_id(access, ioas_id);
	sv_mutex_unlock(&access->lock);
	return err;
}

int iommufd_access_replace(struct iommufd_access *access, u32 ioas_id)
{
	int err = -ENOENT;

	sv_mutex_lock(&access->lock);
	if (access->ioas)
		err = change_ioas_id(access, ioas_id);
	sv_mutex_unlock(&access->lock);
	return err;
}

void iommufd_access_detach(struct iommufd_access *access)
{
	sv_mutex_lock(&access->lock);
	if (!WARN_ON(!access->ioas))
		WARN_ON(change_ioas(access, NULL));
	sv_mutex_unlock(&access->lock);
}

/*
 * Tells all accesses of the space, without its locks. They may come and go meanwhile: one that has
 * been told is found again by its place in the list, and being told twice does no harm.
 */
void iommufd_access_notify_unmap(struct io_pagetable *iopt, u64 iova, u64 length)
{
	sv_mutex_lock(&iopt->access_lock);
	for (u32 i = 0; i < iopt->nr_accesses; i++) {
		struct iommufd_access *access = iopt->accesses[i];

		if (!access->ops->unmap || !iommufd_lock_obj(access->ictx, &access->obj))
			continue;
		sv_mutex_unlock(&iopt->access_lock);
		access->ops->unmap(access->data, iova, length);
		iommufd_put_object(access->ictx, &access->obj);
		sv_mutex_lock(&iopt->access_lock);
	}
	sv_mutex_unlock(&iopt->access_lock);
}

static void unpin_range(struct io_pagetable *iopt, u64 iova, u64 last)
{
	struct iopt_contig c;

	for (iopt_contig_first(&c, iopt, iova, last); c.area; iopt_contig_next(&c)) {
		iopt_area_remove_access(c.area, iopt_area_index(c.area, c.iova),
					iopt_area_index(c.area, c.last));
		if (iopt_contig_done(&c))
			return;
	}
	WARN_ON(1);
}

/* The areas that [iova, last] lies in can't be unmapped (by: 1), or can again (-1). */
static void lock_areas(struct io_pagetable *iopt, u64 iova, u64 last, int by)
{
	struct iopt_contig c;

	for (iopt_contig_first(&c, iopt, iova, last); c.area; iopt_contig_next(&c)) {
		__atomic_fetch_add(&c.area->num_locks, (u32)by, __ATOMIC_ACQ_REL);
		if (iopt_contig_done(&c))
			return;
	}
}

void iommufd_access_unpin_pages(struct iommufd_access *access, u64 iova, u64 length)
{
	struct io_pagetable *iopt;
	u64 last;

	if (WARN_ON(!length) || WARN_ON(__builtin_add_overflow(iova, length - 1, &last)))
		return;
	sv_mutex_lock(&access->lock);
	if (!WARN_ON(!access->ioas_unpin)) {
		iopt = &access->ioas_unpin->iopt;
		um_read_lock();
		sv_read_lock(&iopt->iova_lock);
		unpin_range(iopt, iova, last);
		if (access->locks_areas)
			lock_areas(iopt, iova, last, -1);
		sv_read_unlock(&iopt->iova_lock);
		um_read_unlock();
	}
	sv_mutex_unlock(&access->lock);
}

/*
 * A pin is of whole pages: the areas must begin and end (where the range goes on) at their borders.
 */
static bool contig_is_aligned(const struct iopt_contig *c)
{
	if (iopt_area_start_byte(c->area, c->iova) % SV_PAGE_SIZE)
		return false;
	return iopt_contig_done(c) ||
	       iopt_area_start_byte(c->area, c->last) % SV_PAGE_SIZE == SV_PAGE_SIZE - 1;
}

static int check_area(const struct iopt_area *area, unsigned flags)
{
	if (area->prevent_access || area->pages->kind == IOPT_PAGES_DMABUF)
		return -EINVAL;
	if (!(area->prot & (flags & IOMMUFD_ACCESS_RW_WRITE ? IOMMU_WRITE : IOMMU_READ)))
		return -EPERM;
	return 0;
}

static int pin_range(struct io_pagetable *iopt, u64 iova, u64 last, void **addrs, unsigned flags)
{
	struct iopt_contig c;
	int err = -ENOENT;

	for (iopt_contig_first(&c, iopt, iova, last); c.area; iopt_contig_next(&c)) {
		u64 first = iopt_area_index(c.area, c.iova), end = iopt_area_index(c.area, c.last);

		err = check_area(c.area, flags);
		if (err == -EINVAL || (!err && !contig_is_aligned(&c)))
			err = -EINVAL;
		if (!err)
			err = iopt_area_add_access(c.area, first, end, addrs,
						   flags & IOMMUFD_ACCESS_RW_WRITE);
		if (err)
			break;
		if (iopt_contig_done(&c))
			return 0;
		addrs = addrs ? addrs + (end - first + 1) : NULL;
		err = -ENOENT;
	}
	if (iova < c.iova)
		unpin_range(iopt, iova, c.iova - 1);
	return err;
}

int iommufd_access_pin_pages(struct iommufd_access *access, u64 iova, u64 length, void **addrs,
			     unsigned int flags)
{
	struct io_pagetable *iopt;
	u64 last;
	int err = -ENOENT;

	if (WARN_ON(access->iova_alignment != SV_PAGE_SIZE || !access->ops->unmap))
		return -EINVAL;
	if (!length)
		return -EINVAL;
	if (__builtin_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	sv_mutex_lock(&access->lock);
	if (access->ioas) {
		iopt = &access->ioas->iopt;
		um_read_lock();
		sv_read_lock(&iopt->iova_lock);
		err = pin_range(iopt, iova, last, addrs, flags);
		if (!err && access->locks_areas)
			lock_areas(iopt, iova, last, 1);
		sv_read_unlock(&iopt->iova_lock);
		um_read_unlock();
	}
	sv_mutex_unlock(&access->lock);
	return err;
}

static int rw_range(struct io_pagetable *iopt, u64 iova, u64 last, char *data, unsigned flags)
{
	bool write = flags & IOMMUFD_ACCESS_RW_WRITE;
	struct iopt_contig c;
	int err;

	for (iopt_contig_first(&c, iopt, iova, last); c.area; iopt_contig_next(&c)) {
		u64 n = c.last - c.iova + 1;

		err = check_area(c.area, flags);
		if (!err && write && !c.area->pages->writable)
			err = -EPERM;
		if (!err)
			err = iopt_pages_rw(c.area->pages, iopt_area_start_byte(c.area, c.iova), data, n,
					    write);
		if (err || iopt_contig_done(&c))
			return err;
		data += n;
	}
	return -ENOENT;
}

int iommufd_access_rw(struct iommufd_access *access, u64 iova, void *data, size_t len,
		      unsigned int flags)
{
	struct io_pagetable *iopt;
	int err = -ENOENT;
	u64 last;

	if (!len)
		return -EINVAL;
	if (__builtin_add_overflow(iova, len - 1, &last))
		return -EOVERFLOW;
	sv_mutex_lock(&access->lock);
	if (access->ioas) {
		iopt = &access->ioas->iopt;
		um_read_lock();
		sv_read_lock(&iopt->iova_lock);
		err = rw_range(iopt, iova, last, data, flags);
		sv_read_unlock(&iopt->iova_lock);
		um_read_unlock();
	}
	sv_mutex_unlock(&access->lock);
	return err;
}
