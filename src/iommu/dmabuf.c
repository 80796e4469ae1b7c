/* SPDX-License-Identifier: MIT */
/*
 * Pages of a dma-buf: iommufd as a pinned importer that can be revoked. docs/revoke.md has the
 * protocol; only exporters that have registered (VFIO) are taken, because only they hand out one
 * physical range that stays what it is until they say otherwise.
 *
 * Model: the pages keep an attachment, pinned, and a list of the (area, domain) pairs that have the
 * range mapped. invalidate_mappings takes it out of all of these domains before it returns, and
 * then the pages are dead for ever: their areas stay until the program unmaps them, and new domains
 * skip them. So nothing is left for the exporter to wait for.
 *
 * Locks: reservation, pages->lock, the domain's. Attaching, detaching, pinning and unpinning happen
 * with none of a space's locks inside of the reservation.
 */
#include "softvirt/dma-buf.h"

#include "base/alloc.h"
#include "iommu/pages.h"

struct exporter {
	struct list_head node;
	const struct dma_buf_ops *ops;
	int (*get_phys)(struct dma_buf_attachment *attach, struct iommu_phys *out);
};

static struct sv_mutex exporters_lock = SV_MUTEX_INIT;
static LIST_HEAD(exporters);

/* Who attaches, for lists. */
static struct device importer = { .init_name = "iommufd" };

static struct exporter *exporter_find(const struct dma_buf_ops *ops)
{
	struct exporter *e, *found = NULL;

	sv_mutex_lock(&exporters_lock);
	list_for_each_entry(e, &exporters, node)
		if (e->ops == ops)
			found = e;
	sv_mutex_unlock(&exporters_lock);
	return found;
}

int iommufd_register_phys_exporter(const struct dma_buf_ops *ops,
				   int (*get_phys)(struct dma_buf_attachment *attach,
						   struct iommu_phys *out))
{
	struct exporter *e;

	if (exporter_find(ops))
		return 0;
	e = sv_zalloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->ops = ops;
	e->get_phys = get_phys;
	sv_mutex_lock(&exporters_lock);
	list_add_tail(&e->node, &exporters);
	sv_mutex_unlock(&exporters_lock);
	return 0;
}

/* The exporter takes it back. Reservation held. */
static void invalidate(struct dma_buf_attachment *attach)
{
	struct iopt_pages *pages = attach->importer_priv;
	struct iopt_dmabuf_track *t, *next;

	sv_mutex_lock(&pages->lock);
	list_for_each_entry_safe(t, next, &pages->tracks, node) {
		u64 len = iopt_area_length(t->area);

		WARN_ON(t->domain->ops->unmap(t->domain, t->area->node.start, len) != len);
		t->area->tracks = NULL;
		list_del(&t->node);
		sv_free(t);
	}
	pages->phys_len = 0;
	sv_mutex_unlock(&pages->lock);
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = invalidate,
};

int iopt_dmabuf_track(struct iopt_area *area, struct iopt_pages *pages, struct iommu_domain *domain)
{
	struct iopt_dmabuf_track *t = sv_alloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->area = area;
	t->domain = domain;
	t->next = area->tracks;
	area->tracks = t;
	list_add_tail(&t->node, &pages->tracks);
	return 0;
}

void iopt_dmabuf_untrack(struct iopt_area *area, struct iopt_pages *pages,
			 struct iommu_domain *domain)
{
	struct iopt_dmabuf_track **link = &area->tracks, *t;

	while (*link && (*link)->domain != domain)
		link = &(*link)->next;
	t = *link;
	if (WARN_ON(!t))
		return;
	*link = t->next;
	list_del(&t->node);
	sv_free(t);
}

static void detach(struct iopt_pages *pages, bool pinned)
{
	struct dma_buf_attachment *attach = pages->attach;
	struct dma_buf *dmabuf = attach->dmabuf;

	if (pinned) {
		dma_resv_lock(dmabuf->resv, NULL);
		dma_buf_unpin(attach);
		dma_resv_unlock(dmabuf->resv);
	}
	dma_buf_detach(dmabuf, attach);
	dma_buf_put(dmabuf);
}

void iopt_dmabuf_release(struct iopt_pages *pages)
{
	WARN_ON(!list_empty(&pages->tracks));
	detach(pages, true);
}

/* Attached; reservation held. */
static int pin_and_get(struct iopt_pages *pages, const struct exporter *e, struct iommu_phys *phys)
{
	int err = dma_buf_pin(pages->attach);

	if (err)
		return err;
	err = dma_buf_is_revoked(pages->attach->dmabuf) ? -ENODEV : e->get_phys(pages->attach, phys);
	if (!err && phys->len < pages->attach->dmabuf->size)
		err = -EOPNOTSUPP;
	if (err)
		dma_buf_unpin(pages->attach);
	return err;
}

static int attach(struct iopt_pages *pages, struct dma_buf *dmabuf, u64 start, u64 *start_byte)
{
	const struct exporter *e = exporter_find(dmabuf->ops);
	struct iommu_phys phys = { 0 };
	int err = -EOPNOTSUPP;

	if (!e)
		return -EOPNOTSUPP;
	get_dma_buf(dmabuf);
	pages->attach = dma_buf_dynamic_attach(dmabuf, &importer, &importer_ops, pages);
	if (IS_ERR(pages->attach)) {
		dma_buf_put(dmabuf);
		return PTR_ERR_OR_ZERO(pages->attach);
	}
	dma_resv_lock(dmabuf->resv, NULL);
	if (dma_buf_attach_revocable(pages->attach))
		err = pin_and_get(pages, e, &phys);
	if (!err) {
		/* An invalidate that comes from now on finds it complete. */
		pages->base = (u64)phys.addr + ALIGN_DOWN(start, SV_PAGE_SIZE);
		pages->mmio = phys.mmio;
		pages->phys_len = phys.len;
		*start_byte = start % SV_PAGE_SIZE;
	}
	dma_resv_unlock(dmabuf->resv);
	if (err)
		detach(pages, false);
	return err;
}

struct iopt_pages *iopt_pages_alloc_dmabuf(struct iommufd_ctx *ictx, struct dma_buf *dmabuf,
					   u64 start, u64 length, bool writable, u64 *start_byte)
{
	struct iopt_pages *pages;
	int err;

	if (start >= dmabuf->size || length > dmabuf->size - start)
		return ERR_PTR(-EINVAL);
	pages = iopt_pages_alloc(ictx, IOPT_PAGES_DMABUF,
				 (ALIGN_UP(start + length, SV_PAGE_SIZE) -
				  ALIGN_DOWN(start, SV_PAGE_SIZE)) / SV_PAGE_SIZE, writable);
	if (IS_ERR(pages))
		return pages;
	INIT_LIST_HEAD(&pages->tracks);
	err = attach(pages, dmabuf, start, start_byte);
	if (err) {
		sv_mutex_destroy(&pages->lock);
		sv_free(pages);
		return ERR_PTR(err);
	}
	return pages;
}
