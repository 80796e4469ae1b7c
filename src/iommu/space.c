/* SPDX-License-Identifier: MIT */
/*
 * The I/O address space: which IOVA is what. docs/iommufd.md has the model.
 *
 * An area is born with pages == NULL, which reserves its IOVAs, is filled into the domains without
 * iova_lock, and then gets its pages; it dies the other way round. Whoever has such an area
 * in hand holds domains_lock for reading, so that domains neither come nor go meanwhile. So
 * maps and unmaps of different areas run side by side.
 */
#include "iommu/pages.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/guard.h"

#define HPAGE_SIZE (2ull << 20)
#define TRIES_BEST 64	/* holes looked at one by one before one that fits by any alignment is taken */

static bool align_in_hole(u64 start, u64 last, u64 length, u64 alignment, u64 page_offset, u64 *iova)
{
	u64 a;

	if (__builtin_add_overflow(start, alignment - 1, &a))
		return false;
	a = ALIGN_DOWN(a, alignment) | page_offset;
	if (a < start || a >= last || last - a < length - 1)
		return false;
	*iova = a;
	return true;
}

/* A place between the areas, within [lo, hi], which has no other obstacle. */
static bool place_between_areas(struct io_pagetable *iopt, u64 lo, u64 hi, u64 length,
				u64 alignment, u64 page_offset, u64 *iova)
{
	u64 start, last, roomy = length + alignment + page_offset;

	for (unsigned i = 0; interval_tree_find_hole(&iopt->areas, lo, hi, length, &start, &last); i++) {
		if (align_in_hole(start, last, length, alignment, page_offset, iova))
			return true;
		if (last >= hi)
			return false;
		lo = last + 1;
		if (i == TRIES_BEST &&
		    interval_tree_find_hole(&iopt->areas, lo, hi, roomy, &start, &last) &&
		    align_in_hole(start, last, length, alignment, page_offset, iova))
			return true;
	}
	return false;
}

/* The next stretch of [lo, hi] that the ranges of the tree cover (used) or don't. */
static bool next_span(const struct interval_tree *t, bool used, u64 lo, u64 hi, u64 *start, u64 *last)
{
	struct interval_tree_node *n;

	if (lo > hi)
		return false;
	if (!used)
		return interval_tree_find_hole(t, lo, hi, 1, start, last);
	n = interval_tree_iter_first(t, lo, hi);
	if (!n)
		return false;
	*start = max(lo, n->start);
	*last = n->last;
	while (*last < hi && (n = interval_tree_iter_first(t, *last + 1, *last + 1)))
		*last = n->last;
	*last = min(*last, hi);
	return true;
}

/* Reserved ranges of several devices may overlap: holes by steps. */
static bool next_unreserved(struct io_pagetable *iopt, u64 lo, u64 hi, u64 *start, u64 *last)
{
	struct interval_tree_node *n;

	while (lo <= hi && (n = interval_tree_iter_first(&iopt->reserved, lo, lo))) {
		if (n->last == ~0ull)
			return false;
		lo = n->last + 1;
	}
	if (lo > hi)
		return false;
	n = interval_tree_iter_first(&iopt->reserved, lo, hi);
	*start = lo;
	*last = n ? n->start - 1 : hi;
	return true;
}

/*
 * iova_lock held. Keeps as much of the address's alignment as a huge page has; never gives out 0.
 */
static int alloc_iova(struct io_pagetable *iopt, u64 *iova, u64 addr, u64 length)
{
	u64 alignment, page_offset = addr % SV_PAGE_SIZE, lo = SV_PAGE_SIZE;
	const u64 hi = ~0ull - SV_PAGE_SIZE;

	if (!length || length >= ~0ull / 2)
		return -EOVERFLOW;
	alignment = length == 1 ? 1 : 1ull << (64 - __builtin_clzll(length - 1));
	if (addr)
		alignment = min(alignment, addr & -addr);
	alignment = min(alignment, HPAGE_SIZE);
	if (alignment < iopt->iova_alignment)
		return -EINVAL;
	while (lo <= hi) {
		u64 start, last, from, to;

		if (interval_tree_empty(&iopt->allowed)) {
			start = lo;
			last = hi;
		} else if (!next_span(&iopt->allowed, true, lo, hi, &start, &last)) {
			break;
		}
		for (u64 cur = start; next_unreserved(iopt, cur, last, &from, &to); cur = to + 1) {
			if (place_between_areas(iopt, from, to, length, alignment, page_offset, iova))
				return 0;
			if (to == last)
				break;
		}
		lo = last + 1;
	}
	return -ENOSPC;
}

static int check_iova(struct io_pagetable *iopt, u64 iova, u64 length)
{
	u64 last;

	if (iova & (iopt->iova_alignment - 1))
		return -EINVAL;
	if (__builtin_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	if (interval_tree_iter_first(&iopt->reserved, iova, last))
		return -EINVAL;
	if (iopt_area_first(iopt, iova, last))
		return -EEXIST;
	return 0;
}

static int insert_area(struct io_pagetable *iopt, struct iopt_area *area, struct iopt_pages *pages,
		       u64 iova, u64 start_byte, u64 length, int prot)
{
	if ((prot & IOMMU_WRITE) && !pages->writable)
		return -EPERM;
	area->prot = prot;
	area->page_offset = start_byte % SV_PAGE_SIZE;
	if (area->page_offset & (iopt->iova_alignment - 1))
		return -EINVAL;
	area->node.start = iova;
	if (__builtin_add_overflow(iova, length - 1, &area->node.last))
		return -EOVERFLOW;
	area->pages_node.start = start_byte / SV_PAGE_SIZE;
	area->pages_node.last = (start_byte + length - 1) / SV_PAGE_SIZE;
	area->iopt = iopt;
	interval_tree_insert(&iopt->areas, &area->node);
	return 0;
}

static int reserve_areas(struct io_pagetable *iopt, struct list_head *slices, u64 length, u64 *iova,
			 int prot, unsigned flags)
{
	struct iopt_slice *s;
	u64 at;
	int err;

	list_for_each_entry(s, slices, node) {
		s->area = sv_zalloc(sizeof(*s->area));
		if (!s->area)
			return -ENOMEM;
	}
	sv_write_lock(&iopt->iova_lock);
	s = list_first_entry(slices, struct iopt_slice, node);
	if (!length || (length & (iopt->iova_alignment - 1)))
		err = -EINVAL;
	else if (flags & IOPT_ALLOC_IOVA)
		err = alloc_iova(iopt, iova, s->pages->base + s->start_byte, length);
	else
		err = check_iova(iopt, *iova, length);
	at = *iova;
	list_for_each_entry(s, slices, node) {
		if (err)
			break;
		err = insert_area(iopt, s->area, s->pages, at, s->start_byte, s->length, prot);
		at += s->length;
	}
	sv_write_unlock(&iopt->iova_lock);
	return err;
}

static void abort_area(struct iopt_area *area)
{
	if (area->iopt) {
		sv_write_lock(&area->iopt->iova_lock);
		interval_tree_remove(&area->iopt->areas, &area->node);
		sv_write_unlock(&area->iopt->iova_lock);
	}
	sv_free(area);
}

static int fill_slices(struct list_head *slices)
{
	struct iopt_slice *s;
	int err;

	list_for_each_entry(s, slices, node) {
		err = iopt_area_fill_domains(s->area, s->pages);
		if (!err)
			continue;
		while (!list_is_first(&s->node, slices)) {
			s = list_prev_entry(s, node);
			iopt_area_unfill_domains(s->area, s->pages);
		}
		return err;
	}
	return 0;
}

int iopt_map_slices(struct io_pagetable *iopt, struct list_head *slices, u64 length, u64 *iova,
		    int prot, unsigned flags)
{
	struct iopt_slice *s;
	int err = reserve_areas(iopt, slices, length, iova, prot, flags);

	if (err)
		return err;
	um_read_lock();
	sv_read_lock(&iopt->domains_lock);
	err = fill_slices(slices);
	if (!err) {
		/* Within domains_lock: a domain that comes after us finds the pages. */
		sv_write_lock(&iopt->iova_lock);
		list_for_each_entry(s, slices, node) {
			s->area->pages = s->pages;
			s->pages = NULL;
			s->area = NULL;
		}
		sv_write_unlock(&iopt->iova_lock);
	}
	sv_read_unlock(&iopt->domains_lock);
	um_read_unlock();
	return err;
}

static void slice_drop(struct iopt_slice *s)
{
	if (s->area)
		abort_area(s->area);
	if (s->pages)
		iopt_pages_put(s->pages);
}

/* Maps one slice; the reference to pages is used up. */
static int map_pages(struct io_pagetable *iopt, struct iopt_pages *pages, u64 start_byte,
		     u64 length, u64 *iova, int prot, unsigned flags)
{
	struct iopt_slice s = { .pages = pages, .start_byte = start_byte, .length = length };
	LIST_HEAD(slices);
	int err;

	if (IS_ERR(pages))
		return PTR_ERR_OR_ZERO(pages);
	list_add(&s.node, &slices);
	err = iopt_map_slices(iopt, &slices, length, iova, prot, flags);
	slice_drop(&s);
	return err;
}

int iopt_map_user_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt, u64 *iova, u64 uptr,
			u64 length, int prot, unsigned flags)
{
	return map_pages(iopt, iopt_pages_alloc_user(ictx, uptr, length, prot & IOMMU_WRITE),
			 uptr % SV_PAGE_SIZE, length, iova, prot, flags);
}

int iopt_map_file_pages(struct iommufd_ctx *ictx, struct io_pagetable *iopt, u64 *iova, int fd,
			u64 start, u64 length, int prot, unsigned flags)
{
	u64 start_byte = 0;
	struct iopt_pages *pages;

	pages = iopt_pages_alloc_file(ictx, fd, start, length, prot & IOMMU_WRITE, &start_byte);
	return map_pages(iopt, pages, start_byte, length, iova, prot, flags);
}

/* The slices under [iova, last]: references to their pages. */
static int get_slices(struct io_pagetable *iopt, u64 iova, u64 last, struct list_head *slices)
{
	struct iopt_contig c;
	int err = 0;

	sv_read_lock(&iopt->iova_lock);
	for (iopt_contig_first(&c, iopt, iova, last); c.area; iopt_contig_next(&c)) {
		struct iopt_slice *s = sv_zalloc(sizeof(*s));

		if (!s) {
			err = -ENOMEM;
			break;
		}
		s->start_byte = iopt_area_start_byte(c.area, c.iova);
		s->length = c.last - c.iova + 1;
		s->pages = c.area->pages;
		iopt_pages_get(s->pages);
		list_add_tail(&s->node, slices);
		if (iopt_contig_done(&c))
			break;
	}
	if (!err && !iopt_contig_done(&c))
		err = -ENOENT;
	sv_read_unlock(&iopt->iova_lock);
	return err;
}

int iopt_copy(struct io_pagetable *dst, u64 *dst_iova, struct io_pagetable *src, u64 src_iova,
	      u64 length, int prot, unsigned flags)
{
	struct iopt_slice *s, *next;
	LIST_HEAD(slices);
	u64 last;
	int err;

	if (!length)
		return -EINVAL;
	if (__builtin_add_overflow(src_iova, length - 1, &last))
		return -EOVERFLOW;
	err = get_slices(src, src_iova, last, &slices);
	if (!err)
		err = iopt_map_slices(dst, &slices, length, dst_iova, prot, flags);
	list_for_each_entry_safe(s, next, &slices, node) {
		slice_drop(s);
		sv_free(s);
	}
	return err;
}

void iopt_contig_first(struct iopt_contig *c, struct io_pagetable *iopt, u64 iova, u64 last)
{
	c->area = iopt_area_first(iopt, iova, iova);
	c->iova = iova;
	c->end = last;
	if (c->area && !c->area->pages)
		c->area = NULL;
	if (c->area)
		c->last = min(last, c->area->node.last);
}

void iopt_contig_next(struct iopt_contig *c)
{
	struct iopt_area *a;

	if (c->last == c->end)
		return;
	c->iova = c->last + 1;
	a = iopt_area_next(c->area, c->iova, c->iova);
	c->area = a && a->pages ? a : NULL;
	if (c->area)
		c->last = min(c->end, c->area->node.last);
}

/*
 * Takes one area out of the tree and the domains. All locks held (iova_lock for writing), and again
 * on return. The area's reference to its pages is the caller's.
 */
static struct iopt_pages *unmap_area(struct io_pagetable *iopt, struct iopt_area *area)
{
	struct iopt_pages *pages = area->pages;

	area->pages = NULL;
	if (pages->npages <= 16) {
		/* Short: not worth another turn of the lock. */
		iopt_area_unfill_domains(area, pages);
	} else {
		sv_write_unlock(&iopt->iova_lock);
		iopt_area_unfill_domains(area, pages);
		sv_write_lock(&iopt->iova_lock);
	}
	interval_tree_remove(&iopt->areas, &area->node);
	sv_free(area);
	return pages;
}

static void lock_for_unmap(struct io_pagetable *iopt)
{
	um_read_lock();
	sv_read_lock(&iopt->domains_lock);
	sv_write_lock(&iopt->iova_lock);
}

static void unlock_for_unmap(struct io_pagetable *iopt)
{
	sv_write_unlock(&iopt->iova_lock);
	sv_read_unlock(&iopt->domains_lock);
	um_read_unlock();
}

/* The last reference to a dma-buf may close a device: not under any lock. */
static void put_unlocked(struct io_pagetable *iopt, struct iopt_pages *pages)
{
	if (pages->kind == IOPT_PAGES_USER) {
		iopt_pages_put(pages);
		return;
	}
	unlock_for_unmap(iopt);
	iopt_pages_put(pages);
	lock_for_unmap(iopt);
}

static int unmap_range(struct io_pagetable *iopt, u64 start, u64 last, u64 *unmapped)
{
	unsigned tries = 0;
	struct iopt_area *area;
	u64 bytes = 0;
	int err = 0;

	lock_for_unmap(iopt);
	while ((area = iopt_area_first(iopt, start, last))) {
		u64 area_start = area->node.start, area_last = area->node.last;

		if (!area->pages) {
			err = -EBUSY;
			break;
		}
		if (area_start < start || area_last > last) {
			err = -ENOENT;
			break;
		}
		if (__atomic_load_n(&area->num_locks, __ATOMIC_ACQUIRE)) {
			err = -EBUSY;
			break;
		}
		if (area_start != start)
			tries = 0;
		if (area->num_accesses) {
			start = area_start;
			area->prevent_access = true;
			unlock_for_unmap(iopt);
			iommufd_access_notify_unmap(iopt, area_start, area_last - area_start + 1);
			if (++tries > 100) {
				/* Somebody doesn't let go. */
				err = -EDEADLOCK;
				goto out;
			}
			/* One that is ending lets go by itself, when its thread has a CPU again. */
			if (tries > 1)
				usleep(min(tries, 10u) * 1000);
			lock_for_unmap(iopt);
			continue;
		}
		put_unlocked(iopt, unmap_area(iopt, area));
		bytes += area_last - area_start + 1;
		/* What others map behind our back into the part that is done stays. */
		if (area_last >= last)
			break;
		start = area_last + 1;
	}
	unlock_for_unmap(iopt);
out:
	if (unmapped)
		*unmapped = bytes;
	return err;
}

int iopt_unmap_iova(struct io_pagetable *iopt, u64 iova, u64 length, u64 *unmapped)
{
	u64 last;

	if (!length)
		return -EINVAL;
	if (__builtin_add_overflow(iova, length - 1, &last))
		return -EOVERFLOW;
	return unmap_range(iopt, iova, last, unmapped);
}

int iopt_unmap_all(struct io_pagetable *iopt, u64 *unmapped)
{
	return unmap_range(iopt, 0, ~0ull, unmapped);
}

int iopt_for_each_area(struct io_pagetable *iopt, u64 iova, u64 last,
		       int (*fn)(void *arg, u64 iova, u64 length), void *arg)
{
	struct iopt_area *a;
	int err = 0;

	sv_read_lock(&iopt->iova_lock);
	for (a = iopt_area_first(iopt, iova, last); a && !err; a = iopt_area_next(a, iova, last))
		if (a->pages)
			err = fn(arg, a->node.start, iopt_area_length(a));
	sv_read_unlock(&iopt->iova_lock);
	return err;
}

/* Into a part that ends with iova and one behind it. iova_lock held for writing. */
static int split_area(struct iopt_area *area, u64 iova)
{
	struct io_pagetable *iopt = area->iopt;
	struct iopt_pages *pages = area->pages;
	u64 new_start = iova + 1, byte;
	struct iopt_area *rhs;

	/* The kernel takes neither end for a cut. */
	if (iova == area->node.start || iova == area->node.last)
		return 0;
	if (!pages || area->prevent_access)
		return -EBUSY;
	if (pages->kind == IOPT_PAGES_DMABUF)
		return -EOPNOTSUPP;
	byte = iopt_area_start_byte(area, new_start);
	if ((new_start | byte) & (iopt->iova_alignment - 1))
		return -EINVAL;
	rhs = sv_zalloc(sizeof(*rhs));
	if (!rhs)
		return -ENOMEM;
	sv_mutex_lock(&pages->lock);
	/* Accesses are not tracked by area, and an IOMMU's large page can't be halved. */
	if (area->num_accesses || (area->in_domains && !iopt->disable_large_pages)) {
		sv_mutex_unlock(&pages->lock);
		sv_free(rhs);
		return -EINVAL;
	}
	*rhs = *area;
	rhs->node.start = new_start;
	rhs->page_offset = byte % SV_PAGE_SIZE;
	rhs->pages_node.start = byte / SV_PAGE_SIZE;
	interval_tree_remove(&iopt->areas, &area->node);
	if (area->in_domains)
		interval_tree_remove(&pages->domain_tree, &area->pages_node);
	area->node.last = iova;
	area->pages_node.last = (byte - 1) / SV_PAGE_SIZE;
	interval_tree_insert(&iopt->areas, &area->node);
	interval_tree_insert(&iopt->areas, &rhs->node);
	if (area->in_domains) {
		interval_tree_insert(&pages->domain_tree, &area->pages_node);
		interval_tree_insert(&pages->domain_tree, &rhs->pages_node);
	}
	iopt_pages_get(pages);
	sv_mutex_unlock(&pages->lock);
	return 0;
}

int iopt_cut_iova(struct io_pagetable *iopt, const u64 *iovas, size_t n)
{
	int err = 0;

	um_read_lock();
	sv_write_lock(&iopt->iova_lock);
	for (size_t i = 0; i < n && !err; i++) {
		struct iopt_area *a = iopt_area_first(iopt, iovas[i], iovas[i]);

		if (a)
			err = split_area(a, iovas[i]);
	}
	sv_write_unlock(&iopt->iova_lock);
	um_read_unlock();
	return err;
}
