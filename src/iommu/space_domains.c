/* SPDX-License-Identifier: MIT */
/*
 * What an I/O address space is attached to: domains, devices' reserved regions, accesses, and
 * what these demand of its IOVAs. space.c has the areas.
 *
 * Everything here changes under domains_lock and iova_lock, both for writing.
 */
#include "iommu/pages.h"

#include "base/alloc.h"
#include "base/guard.h"

static void lock_all(struct io_pagetable *iopt)
{
	um_read_lock();
	sv_write_lock(&iopt->domains_lock);
	sv_write_lock(&iopt->iova_lock);
}

static void unlock_all(struct io_pagetable *iopt)
{
	sv_write_unlock(&iopt->iova_lock);
	sv_write_unlock(&iopt->domains_lock);
	um_read_unlock();
}

/* Do the areas that exist conform to a larger alignment? */
static int check_alignment(struct io_pagetable *iopt, u64 alignment)
{
	u64 mask = alignment - 1;
	struct iopt_area *a;

	for (a = iopt_area_first(iopt, 0, ~0ull); a; a = iopt_area_next(a, 0, ~0ull))
		if ((a->node.start | iopt_area_length(a) | a->page_offset) & mask)
			return -EADDRINUSE;
	return 0;
}

static u64 domain_alignment(const struct iommu_domain *d)
{
	return d->pgsize_bitmap & -d->pgsize_bitmap;
}

int iopt_calculate_iova_alignment(struct io_pagetable *iopt)
{
	u64 alignment = iopt->disable_large_pages ? SV_PAGE_SIZE : 1;
	int err;

	for (u32 i = 0; i < iopt->nr_domains; i++)
		alignment = max(alignment, domain_alignment(iopt->domains[i]));
	for (u32 i = 0; i < iopt->nr_accesses; i++)
		alignment = max(alignment, iopt->accesses[i]->iova_alignment);
	if (alignment > iopt->iova_alignment) {
		err = check_alignment(iopt, alignment);
		if (err)
			return err;
	}
	iopt->iova_alignment = alignment;
	return 0;
}

/* All areas, or (err) those before it. */
static void unfill_domain(struct io_pagetable *iopt, struct iommu_domain *domain, bool last,
			  struct iopt_area *end)
{
	struct iopt_area *a;

	for (a = iopt_area_first(iopt, 0, ~0ull); a && a != end; a = iopt_area_next(a, 0, ~0ull))
		if (a->pages)
			iopt_area_remove_domain(a, domain, last);
}

static int fill_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	bool first = !iopt->nr_domains;
	struct iopt_area *a;
	int err;

	for (a = iopt_area_first(iopt, 0, ~0ull); a; a = iopt_area_next(a, 0, ~0ull)) {
		if (!a->pages)
			continue;
		err = iopt_area_add_domain(a, domain, first);
		if (err) {
			unfill_domain(iopt, domain, first, a);
			return err;
		}
	}
	return 0;
}

static int reserve(struct io_pagetable *iopt, u64 start, u64 last, void *owner)
{
	struct iopt_range *r;

	if (iopt_area_first(iopt, start, last) ||
	    interval_tree_iter_first(&iopt->allowed, start, last))
		return -EADDRINUSE;
	r = sv_zalloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->node.start = start;
	r->node.last = last;
	r->by_owner.start = (u64)owner;
	r->by_owner.last = (u64)owner;
	interval_tree_insert(&iopt->reserved, &r->node);
	interval_tree_insert(&iopt->owners, &r->by_owner);
	return 0;
}

static void unreserve(struct io_pagetable *iopt, void *owner)
{
	struct interval_tree_node *n;

	while ((n = interval_tree_iter_first(&iopt->owners, (u64)owner, (u64)owner))) {
		struct iopt_range *r = container_of(n, struct iopt_range, by_owner);

		interval_tree_remove(&iopt->owners, n);
		interval_tree_remove(&iopt->reserved, &r->node);
		sv_free(r);
	}
}

int iopt_reserve_iova(struct io_pagetable *iopt, u64 start, u64 last, void *owner)
{
	int err;

	sv_write_lock(&iopt->iova_lock);
	err = reserve(iopt, start, last, owner);
	sv_write_unlock(&iopt->iova_lock);
	return err;
}

void iopt_remove_reserved_iova(struct io_pagetable *iopt, void *owner)
{
	sv_write_lock(&iopt->iova_lock);
	unreserve(iopt, owner);
	sv_write_unlock(&iopt->iova_lock);
}

int iopt_table_enforce_dev_resv_regions(struct io_pagetable *iopt, struct iommu_dev *dev,
					void *owner, u64 *sw_msi_start)
{
	struct iommu_resv_region regions[32];
	unsigned n = 0;
	int err = 0;

	if (sv_fault())
		return -EINVAL;
	if (dev->iommu->get_resv_regions)
		n = min(dev->iommu->get_resv_regions(dev, regions, ARRAY_SIZE(regions)),
			(unsigned)ARRAY_SIZE(regions));
	sv_write_lock(&iopt->iova_lock);
	for (unsigned i = 0; i < n && !err; i++) {
		if (regions[i].msi && sw_msi_start)
			*sw_msi_start = regions[i].start;
		err = reserve(iopt, regions[i].start, regions[i].start + regions[i].length - 1, owner);
	}
	if (err)
		unreserve(iopt, owner);
	sv_write_unlock(&iopt->iova_lock);
	return err;
}

static int grow(void *array, u32 n, u32 *room)
{
	void **p = array, *bigger;

	if (n < *room)
		return 0;
	bigger = sv_realloc_array(*p, n + 8, sizeof(void *));
	if (!bigger)
		return -ENOMEM;
	*p = bigger;
	*room = n + 8;
	return 0;
}

static int add_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	u64 alignment = max(domain_alignment(domain), iopt->iova_alignment);
	int err = 0;

	for (u32 i = 0; i < iopt->nr_domains; i++)
		if (WARN_ON(iopt->domains[i] == domain))
			return -EEXIST;
	if (alignment > SV_PAGE_SIZE)
		return -EINVAL;
	if (alignment != iopt->iova_alignment)
		err = check_alignment(iopt, alignment);
	if (err)
		return err;
	if (domain->aperture_start)
		err = reserve(iopt, 0, domain->aperture_start - 1, domain);
	if (!err && domain->aperture_end != ~0ull)
		err = reserve(iopt, domain->aperture_end + 1, ~0ull, domain);
	if (!err)
		err = grow(&iopt->domains, iopt->nr_domains, &iopt->room_domains);
	if (!err)
		err = fill_domain(iopt, domain);
	if (err) {
		unreserve(iopt, domain);
		return err;
	}
	iopt->iova_alignment = alignment;
	iopt->domains[iopt->nr_domains++] = domain;
	return 0;
}

int iopt_table_add_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	int err;

	lock_all(iopt);
	err = add_domain(iopt, domain);
	unlock_all(iopt);
	return err;
}

void iopt_table_remove_domain(struct io_pagetable *iopt, struct iommu_domain *domain)
{
	u32 i = 0;

	lock_all(iopt);
	while (i < iopt->nr_domains && iopt->domains[i] != domain)
		i++;
	if (!WARN_ON(i == iopt->nr_domains)) {
		iopt->domains[i] = iopt->domains[--iopt->nr_domains];
		unfill_domain(iopt, domain, !iopt->nr_domains, NULL);
		unreserve(iopt, domain);
		WARN_ON(iopt_calculate_iova_alignment(iopt));
	}
	unlock_all(iopt);
}

void iopt_enable_large_pages(struct io_pagetable *iopt)
{
	lock_all(iopt);
	iopt->disable_large_pages = false;
	WARN_ON(iopt_calculate_iova_alignment(iopt));
	unlock_all(iopt);
}

int iopt_disable_large_pages(struct io_pagetable *iopt)
{
	int err = 0;

	lock_all(iopt);
	if (iopt->disable_large_pages)
		goto unlock;
	/* What is in a domain already may be in large pages. */
	if (iopt->nr_domains && !interval_tree_empty(&iopt->areas)) {
		err = -EINVAL;
		goto unlock;
	}
	iopt->disable_large_pages = true;
	err = iopt_calculate_iova_alignment(iopt);
	if (err)
		iopt->disable_large_pages = false;
unlock:
	unlock_all(iopt);
	return err;
}

int iopt_add_access(struct io_pagetable *iopt, struct iommufd_access *access)
{
	int err;

	lock_all(iopt);
	sv_mutex_lock(&iopt->access_lock);
	err = grow(&iopt->accesses, iopt->nr_accesses, &iopt->room_accesses);
	if (!err) {
		iopt->accesses[iopt->nr_accesses++] = access;
		err = iopt_calculate_iova_alignment(iopt);
		if (err)
			iopt->nr_accesses--;
	}
	sv_mutex_unlock(&iopt->access_lock);
	unlock_all(iopt);
	return err;
}

void iopt_remove_access(struct io_pagetable *iopt, struct iommufd_access *access)
{
	u32 i = 0;

	lock_all(iopt);
	sv_mutex_lock(&iopt->access_lock);
	while (i < iopt->nr_accesses && iopt->accesses[i] != access)
		i++;
	if (!WARN_ON(i == iopt->nr_accesses))
		iopt->accesses[i] = iopt->accesses[--iopt->nr_accesses];
	WARN_ON(iopt_calculate_iova_alignment(iopt));
	sv_mutex_unlock(&iopt->access_lock);
	unlock_all(iopt);
}

/* Bits of a bitmap in the caller's memory. */
struct dirty_out {
	u8 *bitmap;
	u64 iova, page_size;
	int err;
};

static void set_bits(u8 *bitmap, u64 first, u64 last)
{
	for (u64 i = first; i <= last; i++) {
		if (i % 8 == 0 && last - i >= 7) {
			bitmap[i / 8] = 0xff;
			i += 7;
		} else {
			bitmap[i / 8] |= 1u << (i % 8);
		}
	}
}

/* In another process, a piece at a time. */
static int set_bits_foreign(u8 *bitmap, u64 first, u64 last)
{
	u64 end, from, n;
	u8 bytes[512];

	for (; first <= last; first = end + 1) {
		from = first / 8;
		end = min(last, (from + sizeof(bytes)) * 8 - 1);
		n = end / 8 - from + 1;
		if (sv_copy_from_user(bytes, bitmap + from, n))
			return -EFAULT;
		set_bits(bytes, first - from * 8, end - from * 8);
		if (sv_copy_to_user(bitmap + from, bytes, n))
			return -EFAULT;
	}
	return 0;
}

static void dirty_report(void *arg, u64 iova, u64 len)
{
	struct dirty_out *out = arg;
	u64 first = (iova - out->iova) / out->page_size;
	u64 last = (iova + len - 1 - out->iova) / out->page_size;
	struct sv_guard g;

	if (sv_user_is_foreign()) {
		if (set_bits_foreign(out->bitmap, first, last))
			out->err = -EFAULT;
		return;
	}
	if (!out->bitmap || sv_guard_enter(&g)) {
		out->err = -EFAULT;
		return;
	}
	set_bits(out->bitmap, first, last);
	sv_guard_leave(&g);
}

static int check_dirty_range(struct io_pagetable *iopt, u64 iova, u64 length, u64 page_size)
{
	u64 last;

	if (!length)
		return -EINVAL;
	if (__builtin_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	if ((iova | (last + 1)) & (iopt->iova_alignment - 1))
		return -EINVAL;
	/*
	 * The kernel takes any page_size that divides by its own lowest bit; only a power of two
	 * has a meaning.
	 */
	if (!page_size || (page_size & (page_size - 1)))
		return -EINVAL;
	if ((iova | (last + 1)) & (page_size - 1))
		return -EINVAL;
	return 0;
}

int iopt_read_and_clear_dirty(struct io_pagetable *iopt, struct iommu_domain *domain, u32 flags,
			      u64 iova, u64 length, u64 page_size, void *bitmap)
{
	bool no_clear = flags & IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;
	struct dirty_out out = { .bitmap = bitmap, .iova = iova, .page_size = page_size };
	const struct iommu_dirty_ops *ops = domain->dirty_ops;
	struct iopt_contig c;
	int err;

	sv_read_lock(&iopt->iova_lock);
	err = check_dirty_range(iopt, iova, length, page_size);
	if (!err && !ops)
		err = -EOPNOTSUPP;
	if (err)
		goto unlock;
	/* As in the kernel, what lies behind a hole is left alone, and that is no error. */
	for (iopt_contig_first(&c, iopt, iova, iova + length - 1); c.area; iopt_contig_next(&c)) {
		err = ops->read_and_clear_dirty(domain, c.iova, c.last - c.iova + 1, no_clear,
						dirty_report, &out);
		if (err || out.err || iopt_contig_done(&c))
			break;
	}
unlock:
	sv_read_unlock(&iopt->iova_lock);
	return err ? err : out.err;
}

static void dirty_forget(void *arg, u64 iova, u64 len)
{
}

int iopt_set_dirty_tracking(struct io_pagetable *iopt, struct iommu_domain *domain, bool enable)
{
	const struct iommu_dirty_ops *ops = domain->dirty_ops;
	struct iopt_area *a;
	int err = 0;

	if (!ops)
		return -EOPNOTSUPP;
	sv_read_lock(&iopt->iova_lock);
	/* Tracking begins with a clean sheet. */
	for (a = iopt_area_first(iopt, 0, ~0ull); enable && a && !err; a = iopt_area_next(a, 0, ~0ull))
		if (a->pages)
			err = ops->read_and_clear_dirty(domain, a->node.start, iopt_area_length(a),
							false, dirty_forget, NULL);
	if (!err)
		err = ops->set_dirty_tracking(domain, enable);
	sv_read_unlock(&iopt->iova_lock);
	return err;
}
