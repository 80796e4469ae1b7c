/* SPDX-License-Identifier: MIT */
/*
 * Areas in domains, and accesses to areas. pages.h has the model.
 *
 * Invariant: in_domains means that every domain of the space has the whole area, and that its slice
 * is in the pages' domain_tree, so pinned. It is false only in a space without domains, or while
 * the area is set up or torn down. A revoked dma-buf counts as in domains, but isn't mapped.
 */
#include "iommu/pages.h"

#include "base/alloc.h"

static void unmap_nofail(struct iommu_domain *d, u64 iova, u64 len)
{
	if (len)
		WARN_ON(d->ops->unmap(d, iova, len) != len);
}

/* Page by page where somebody may want to cut the area later. */
static int map_linear(struct iopt_area *area, struct iommu_domain *d, u64 iova, u64 addr, u64 len,
		      int prot, u64 *done)
{
	u64 n;
	int err;

	if (likely(!area->iopt->disable_large_pages)) {
		err = d->ops->map(d, iova, addr, len, prot);
		if (!err)
			*done += len;
		return err;
	}
	for (; len; iova += n, addr += n, len -= n) {
		n = min(len, SV_PAGE_SIZE - addr % SV_PAGE_SIZE);
		err = d->ops->map(d, iova, addr, n, prot);
		if (err)
			return err;
		*done += n;
	}
	return 0;
}

/* All of the area into one domain, or nothing. */
static int area_map(struct iopt_area *area, struct iopt_pages *pages, struct iommu_domain *d)
{
	u64 iova = area->node.start, len = iopt_area_length(area);
	u64 off = iopt_area_start_byte(area, iova), done = 0;
	int prot = area->prot, err = 0;

	if (pages->kind == IOPT_PAGES_DMABUF) {
		if (!pages->phys_len)
			return 0;
		err = iopt_dmabuf_track(area, pages, d);
		if (err)
			return err;
		if (pages->mmio)
			prot |= IOMMU_MMIO;
	}
	while (done < len && !err) {
		u64 linear, addr = iopt_pages_addr(pages, off + done, len - done, &linear);

		err = map_linear(area, d, iova + done, addr, linear, prot, &done);
	}
	if (err) {
		unmap_nofail(d, iova, done);
		if (pages->kind == IOPT_PAGES_DMABUF)
			iopt_dmabuf_untrack(area, pages, d);
	}
	return err;
}

static void area_unmap(struct iopt_area *area, struct iopt_pages *pages, struct iommu_domain *d)
{
	if (pages->kind == IOPT_PAGES_DMABUF) {
		if (!pages->phys_len)
			return;
		iopt_dmabuf_untrack(area, pages, d);
	}
	unmap_nofail(d, area->node.start, iopt_area_length(area));
}

static int area_pin(struct iopt_area *area, struct iopt_pages *pages)
{
	int err = iopt_pages_pin(pages, area->pages_node.start, area->pages_node.last);

	if (err)
		return err;
	interval_tree_insert(&pages->domain_tree, &area->pages_node);
	area->in_domains = true;
	return 0;
}

static void area_unpin(struct iopt_area *area, struct iopt_pages *pages)
{
	interval_tree_remove(&pages->domain_tree, &area->pages_node);
	area->in_domains = false;
	iopt_pages_unpin(pages, area->pages_node.start, area->pages_node.last);
}

int iopt_area_fill_domains(struct iopt_area *area, struct iopt_pages *pages)
{
	struct io_pagetable *iopt = area->iopt;
	int err;

	if (!iopt->nr_domains)
		return 0;
	sv_mutex_lock(&pages->lock);
	err = area_pin(area, pages);
	for (u32 i = 0; i < iopt->nr_domains && !err; i++) {
		err = area_map(area, pages, iopt->domains[i]);
		if (err) {
			while (i--)
				area_unmap(area, pages, iopt->domains[i]);
			area_unpin(area, pages);
			break;
		}
	}
	sv_mutex_unlock(&pages->lock);
	return err;
}

void iopt_area_unfill_domains(struct iopt_area *area, struct iopt_pages *pages)
{
	struct io_pagetable *iopt = area->iopt;

	sv_mutex_lock(&pages->lock);
	if (area->in_domains) {
		/* The last first: that one's track is at hand. */
		for (u32 i = iopt->nr_domains; i--;)
			area_unmap(area, pages, iopt->domains[i]);
		area_unpin(area, pages);
	}
	sv_mutex_unlock(&pages->lock);
}

int iopt_area_add_domain(struct iopt_area *area, struct iommu_domain *domain, bool first)
{
	struct iopt_pages *pages = area->pages;
	int err = 0;

	sv_mutex_lock(&pages->lock);
	if (first)
		err = area_pin(area, pages);
	if (!err) {
		err = area_map(area, pages, domain);
		if (err && first)
			area_unpin(area, pages);
	}
	sv_mutex_unlock(&pages->lock);
	return err;
}

void iopt_area_remove_domain(struct iopt_area *area, struct iommu_domain *domain, bool last)
{
	struct iopt_pages *pages = area->pages;

	sv_mutex_lock(&pages->lock);
	area_unmap(area, pages, domain);
	if (last)
		area_unpin(area, pages);
	sv_mutex_unlock(&pages->lock);
}

/* To another address, or, for an IOMMU that can't do that in one step, out and in again. */
static int domain_remap(struct iopt_area *area, struct iommu_domain *d, u64 iova, u64 addr, u64 len)
{
	if (d->ops->remap)
		return d->ops->remap(d, iova, addr, len);
	unmap_nofail(d, iova, len);
	return d->ops->map(d, iova, addr, len, area->prot);
}

int iopt_area_remap(struct iopt_area *area, u64 first, u64 last, u64 addr)
{
	struct io_pagetable *iopt = area->iopt;
	u64 start = area->pages_node.start * SV_PAGE_SIZE + area->page_offset;
	u64 from = max(first * SV_PAGE_SIZE, start);
	u64 to = min((last + 1) * SV_PAGE_SIZE, start + iopt_area_length(area));

	if (from >= to)
		return 0;
	for (u32 i = 0; i < iopt->nr_domains; i++) {
		int err = domain_remap(area, iopt->domains[i], area->node.start + from - start,
				       addr + from - first * SV_PAGE_SIZE, to - from);

		if (err)
			return err;
	}
	return 0;
}

/* Overlapping accesses are usual, equal ones share a node. */
static struct iopt_pages_access *access_find(struct iopt_pages *pages, u64 first, u64 last)
{
	struct interval_tree_node *n;

	for (n = interval_tree_iter_first(&pages->access_tree, first, first); n;
	     n = interval_tree_iter_next(n, first, first))
		if (n->start == first && n->last == last)
			return container_of(n, struct iopt_pages_access, node);
	return NULL;
}

int iopt_area_add_access(struct iopt_area *area, u64 first, u64 last, void **addrs, bool write)
{
	struct iopt_pages *pages = area->pages;
	struct iopt_pages_access *a;
	int err = 0;

	if (write && !pages->writable)
		return -EPERM;
	sv_mutex_lock(&pages->lock);
	a = access_find(pages, first, last);
	if (!a) {
		a = sv_zalloc(sizeof(*a));
		err = a ? iopt_pages_pin(pages, first, last) : -ENOMEM;
		if (err) {
			sv_free(a);
			goto unlock;
		}
		a->node.start = first;
		a->node.last = last;
		interval_tree_insert(&pages->access_tree, &a->node);
	}
	a->users++;
	area->num_accesses++;
	for (u64 i = first; addrs && i <= last; i++) {
		u64 linear;

		*addrs++ = (void *)iopt_pages_addr(pages, i * SV_PAGE_SIZE, 1, &linear);
	}
unlock:
	sv_mutex_unlock(&pages->lock);
	return err;
}

void iopt_area_remove_access(struct iopt_area *area, u64 first, u64 last)
{
	struct iopt_pages *pages = area->pages;
	struct iopt_pages_access *a;

	sv_mutex_lock(&pages->lock);
	a = access_find(pages, first, last);
	if (!WARN_ON(!a)) {
		area->num_accesses--;
		if (!--a->users) {
			interval_tree_remove(&pages->access_tree, &a->node);
			iopt_pages_unpin(pages, first, last);
			sv_free(a);
		}
	}
	sv_mutex_unlock(&pages->lock);
}
