/* SPDX-License-Identifier: MIT */
/* Memory regions of rnic: see rnic_mr.h. */
#include "devices/rnic_mr.h"

#include <string.h>

#include "base/guard.h"
#include "base/timer.h"
#include "base/trap_region.h"
#include "iommu/iommu.h"

void rnic_mr_table_init(struct rnic_mr_table *t, struct iommu_dev *iommu)
{
	t->iommu = iommu;
	sv_mutex_init(&t->lock);
}

/* The part of a table that off begins in: its address, and how much follows there. */
static char *sg_at(struct sg_table *sgt, u64 off, u64 *room)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (off < sg_dma_len(sg)) {
			*room = sg_dma_len(sg) - off;
			return (char *)(uintptr_t)sg_dma_address(sg) + off;
		}
		off -= sg_dma_len(sg);
	}
	return NULL;
}

/* Reservation lock and m held. */
static void unmap(struct rnic_mr *mr)
{
	struct sg_table *sgt = mr->sgt;

	mr->unmap_at = 0;
	if (!sgt)
		return;
	mr->sgt = NULL;
	dma_buf_unmap_attachment(mr->attach, sgt, DMA_BIDIRECTIONAL);
}

static void unpin(struct rnic_mr *mr)
{
	if (mr->pinned)
		dma_buf_unpin(mr->attach);
	mr->pinned = false;
}

/*
 * The buffer is taken back. Reservation lock held, by the exporter. Taking m ends the DMA;
 * the mapping goes here and now, unless the device was asked to behave badly.
 */
static void mr_invalidate(struct dma_buf_attachment *attach)
{
	struct rnic_mr *mr = attach->importer_priv;
	struct rnic_mr_table *t = mr->table;
	bool late = false;

	sv_mutex_lock(&mr->m);
	if (mr->kind == RNIC_MR_PINNED_REVOCABLE)
		mr->revoked = true;
	if (mr->sgt) {
		mr->stale = true;
		if (READ_ONCE(t->dead) || t->flaky.never_unmap) {
			;
		} else if (t->flaky.late_unmap_ms) {
			mr->unmap_at = sv_now_ns() + t->flaky.late_unmap_ms * 1000000;
			late = true;
		} else {
			unmap(mr);
			unpin(mr);
		}
	}
	sv_mutex_unlock(&mr->m);
	if (late)
		t->late(t->late_arg);
}

static const struct dma_buf_attach_ops revocable_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = mr_invalidate,
};
static const struct dma_buf_attach_ops legacy_ops = { .allow_peer2peer = true };

static int status_of(long err)
{
	switch (err) {
	case 0: return RNIC_OK;
	case -ENODEV: return RNIC_REVOKED;
	case -ENOMEM: return RNIC_NO_MEMORY;
	case -EOPNOTSUPP: case -EBUSY: return RNIC_NOT_SUPPORTED;
	default: return RNIC_BAD_FD;
	}
}

/* Maps if it isn't; an enum rnic_status. No lock held. */
static int map(struct rnic_mr *mr)
{
	struct sg_table *sgt;
	int status = RNIC_OK;

	dma_resv_lock(mr->dmabuf->resv, NULL);
	sv_mutex_lock(&mr->m);
	if (mr->revoked || (mr->stale && mr->sgt)) {
		status = RNIC_REVOKED;		/* or on its way out, late */
	} else if (!mr->sgt) {
		/* m is not held over the exporter's code: it may call invalidate_mappings. */
		sv_mutex_unlock(&mr->m);
		sgt = dma_buf_map_attachment(mr->attach, DMA_BIDIRECTIONAL);
		sv_mutex_lock(&mr->m);
		if (IS_ERR(sgt)) {
			status = status_of(PTR_ERR(sgt));
		} else {
			mr->sgt = sgt;
			mr->stale = false;
		}
	}
	sv_mutex_unlock(&mr->m);
	dma_resv_unlock(mr->dmabuf->resv);
	return status;
}

static int pin(struct rnic_mr *mr)
{
	int err;

	dma_resv_lock(mr->dmabuf->resv, NULL);
	err = dma_buf_pin(mr->attach);
	mr->pinned = !err;
	dma_resv_unlock(mr->dmabuf->resv);
	return status_of(err);
}

/* What keeps the buffer; nobody uses the region any more. */
static void mr_release(struct rnic_mr *mr)
{
	if (mr->attach) {
		dma_resv_lock(mr->dmabuf->resv, NULL);
		sv_mutex_lock(&mr->m);
		unmap(mr);
		sv_mutex_unlock(&mr->m);
		unpin(mr);
		dma_resv_unlock(mr->dmabuf->resv);
		dma_buf_detach(mr->dmabuf, mr->attach);
	}
	if (mr->dmabuf)
		dma_buf_put(mr->dmabuf);
	sv_mutex_destroy(&mr->m);
	sv_free(mr);
}

static int attach(struct rnic_mr *mr, const struct rnic_wqe *wqe, struct device *dev)
{
	const struct dma_buf_attach_ops *ops =
		mr->kind == RNIC_MR_PINNED ? &legacy_ops : &revocable_ops;
	struct dma_buf_attachment *a;
	int status;

	mr->dmabuf = dma_buf_get(wqe->fd);
	if (IS_ERR(mr->dmabuf)) {
		mr->dmabuf = NULL;
		return RNIC_BAD_FD;
	}
	if (wqe->offset > mr->dmabuf->size || wqe->length > mr->dmabuf->size - wqe->offset)
		return RNIC_BAD_FD;
	a = dma_buf_dynamic_attach(mr->dmabuf, dev, ops, mr);
	if (IS_ERR(a))
		return status_of(PTR_ERR(a));
	mr->attach = a;
	if (mr->kind == RNIC_MR_ON_DEMAND)
		return RNIC_OK;
	status = pin(mr);
	return status ? status : map(mr);
}

static struct rnic_mr *mr_create(struct rnic_mr_table *t, const struct rnic_wqe *wqe, int *status)
{
	struct rnic_mr *mr;

	*status = RNIC_LOCAL_PROTECTION;
	if (!wqe->length || wqe->addr + wqe->length - 1 < wqe->addr ||
	    (wqe->op == RNIC_OP_REG_DMABUF && wqe->kind > RNIC_MR_PINNED))
		return NULL;
	if (wqe->op == RNIC_OP_REG_USER && wqe->kind && wqe->kind >= t->iommu->max_pasids) {
		*status = RNIC_NOT_SUPPORTED;
		return NULL;
	}
	*status = RNIC_NO_MEMORY;
	mr = sv_zalloc(sizeof(*mr));
	if (!mr)
		return NULL;
	mr->table = t;
	mr->access = wqe->access;
	mr->addr = wqe->addr;
	mr->length = wqe->length;
	mr->refs = 1;
	sv_mutex_init(&mr->m);
	mr->kind = RNIC_MR_USER;
	mr->pasid = wqe->op == RNIC_OP_REG_USER ? wqe->kind : IOMMU_NO_PASID;
	if (wqe->op == RNIC_OP_REG_DMABUF) {
		mr->kind = wqe->kind;
		mr->offset = wqe->offset;
		*status = attach(mr, wqe, &t->iommu->dev);
		if (*status) {
			mr_release(mr);
			return NULL;
		}
	}
	*status = RNIC_OK;
	return mr;
}

int rnic_mr_register(struct rnic_mr_table *t, const struct rnic_wqe *wqe, u32 *key)
{
	struct rnic_mr *mr;
	int status;
	u32 i;

	mr = mr_create(t, wqe, &status);
	if (!mr)
		return status;
	sv_mutex_lock(&t->lock);
	for (i = 0; i < RNIC_MAX_MRS; i++) {
		u32 slot = (t->hint + i) % RNIC_MAX_MRS;

		if (t->mrs[slot])
			continue;
		/* Round the table, so that a key comes back as late as can be. Key 0 is none. */
		t->hint = slot + 1;
		if (!++t->generation[slot])
			t->generation[slot] = 1;
		mr->key = slot << 8 | t->generation[slot];
		t->mrs[slot] = mr;
		t->nr++;
		*key = mr->key;
		break;
	}
	sv_mutex_unlock(&t->lock);
	if (i < RNIC_MAX_MRS)
		return RNIC_OK;
	mr_release(mr);
	return RNIC_NO_MEMORY;
}

struct rnic_mr *rnic_mr_get(struct rnic_mr_table *t, u32 key, u64 addr, u64 len, u32 access)
{
	struct rnic_mr *mr;

	sv_mutex_lock(&t->lock);
	mr = key >> 8 < RNIC_MAX_MRS ? t->mrs[key >> 8] : NULL;
	if (mr && (mr->key != key || addr < mr->addr || addr - mr->addr > mr->length ||
		   len > mr->length - (addr - mr->addr) || (mr->access & access) != access))
		mr = NULL;
	if (mr)
		mr->refs++;
	sv_mutex_unlock(&t->lock);
	return mr;
}

void rnic_mr_put(struct rnic_mr *mr)
{
	struct rnic_mr_table *t = mr->table;
	bool last;

	sv_mutex_lock(&t->lock);
	last = !--mr->refs;
	sv_mutex_unlock(&t->lock);
	if (last)
		mr_release(mr);
}

static void remove_slot(struct rnic_mr_table *t, u32 slot)
{
	t->mrs[slot] = NULL;
	t->nr--;
}

int rnic_mr_deregister(struct rnic_mr_table *t, u32 key)
{
	struct rnic_mr *mr;

	sv_mutex_lock(&t->lock);
	mr = key >> 8 < RNIC_MAX_MRS ? t->mrs[key >> 8] : NULL;
	if (mr && mr->key == key)
		remove_slot(t, key >> 8);
	else
		mr = NULL;
	sv_mutex_unlock(&t->lock);
	if (!mr)
		return RNIC_LOCAL_PROTECTION;
	rnic_mr_put(mr);
	return RNIC_OK;
}

void rnic_mr_deregister_all(struct rnic_mr_table *t)
{
	for (u32 slot = 0; slot < RNIC_MAX_MRS; slot++) {
		struct rnic_mr *mr;

		sv_mutex_lock(&t->lock);
		mr = t->mrs[slot];
		if (mr)
			remove_slot(t, slot);
		sv_mutex_unlock(&t->lock);
		if (mr)
			rnic_mr_put(mr);
	}
}

static u64 poll_one(struct rnic_mr *mr, u64 now)
{
	u64 at;

	sv_mutex_lock(&mr->m);
	at = mr->unmap_at;
	sv_mutex_unlock(&mr->m);
	if (!at)
		return ~0ull;
	if (at > now)
		return at;
	dma_resv_lock(mr->dmabuf->resv, NULL);
	sv_mutex_lock(&mr->m);
	if (mr->unmap_at)
		unmap(mr);
	sv_mutex_unlock(&mr->m);
	if (mr->revoked)
		unpin(mr);
	dma_resv_unlock(mr->dmabuf->resv);
	return ~0ull;
}

u64 rnic_mr_table_poll(struct rnic_mr_table *t)
{
	u64 next = ~0ull, now = sv_now_ns();

	if (!t->flaky.late_unmap_ms)
		return next;
	for (u32 slot = 0; slot < RNIC_MAX_MRS; slot++) {
		struct rnic_mr *mr;

		sv_mutex_lock(&t->lock);
		mr = t->mrs[slot];
		if (mr)
			mr->refs++;
		sv_mutex_unlock(&t->lock);
		if (!mr)
			continue;
		if (mr->dmabuf)
			next = min(next, poll_one(mr, now));
		rnic_mr_put(mr);
	}
	return next;
}

/* m held. The address of a piece of at most *len bytes, or NULL and an enum rnic_status. */
static char *piece_at(struct rnic_mr *mr, u64 addr, u32 *len, int *status)
{
	u64 room = 0;
	char *p;

	*status = RNIC_REVOKED;
	if (mr->revoked || mr->stale || !mr->sgt)
		return NULL;
	p = sg_at(mr->sgt, mr->offset + (addr - mr->addr), &room);
	*status = RNIC_DMA_FAULT;
	if (p && room < *len)
		*len = (u32)room;
	return p;
}

/* A copy that may meet registers, or memory that has gone. */
static bool copy_guarded(void *dst, const void *src, u32 len, bool dst_is_device)
{
	int err = dst_is_device ? sv_trap_region_write(dst, src, len) :
				  sv_trap_region_read(src, dst, len);

	if (err != -ENOENT)
		return !err;
	return !sv_copy_guarded(dst, src, len);
}

/*
 * One piece between a region and buf (of this device). Takes the mapping first where a region
 * over a dma-buf has none. *len may shrink.
 */
static int piece(struct rnic_mr *mr, u64 addr, void *buf, u32 *len, bool write)
{
	struct iommu_dev *iommu = mr->table->iommu;
	int status;
	char *p;

	if (mr->kind == RNIC_MR_USER) {
		int err = write ? iommu_dma_write(iommu, mr->pasid, addr, buf, *len, NULL) :
				  iommu_dma_read(iommu, mr->pasid, buf, addr, *len, NULL);

		return err ? RNIC_DMA_FAULT : RNIC_OK;
	}
	for (int tries = 0;; tries++) {
		sv_mutex_lock(&mr->m);
		p = piece_at(mr, addr, len, &status);
		if (p && !copy_guarded(write ? p : buf, write ? buf : p, *len, write))
			p = NULL, status = RNIC_DMA_FAULT;
		sv_mutex_unlock(&mr->m);
		if (p)
			return RNIC_OK;
		/* Invalidated between map and use, again and again: then it counts as revoked. */
		if (status != RNIC_REVOKED || mr->kind != RNIC_MR_ON_DEMAND || tries == 16)
			return status;
		status = map(mr);
		if (status)
			return status;
	}
}

int rnic_mr_copy(struct rnic_mr *dst, u64 dst_addr, struct rnic_mr *src, u64 src_addr, u32 len,
		 char *bounce, u32 *moved, u64 *fault)
{
	int status = RNIC_OK;

	*moved = 0;
	if (src->kind == RNIC_MR_USER && dst->kind == RNIC_MR_USER && src->table == dst->table &&
	    src->pasid == dst->pasid) {
		struct iommu_dma_fault f = { 0 };

		if (iommu_dma_copy(src->table->iommu, src->pasid, dst_addr, src_addr, len, &f)) {
			*fault = f.iova;
			return RNIC_DMA_FAULT;
		}
		*moved = len;
		return RNIC_OK;
	}
	while (len && !status) {
		u32 n = min(len, RNIC_PIECE), done = 0;

		*fault = src_addr;
		status = piece(src, src_addr, bounce, &n, false);
		while (!status && done < n) {
			u32 part = n - done;

			*fault = dst_addr;
			status = piece(dst, dst_addr, bounce + done, &part, true);
			if (status)
				break;
			done += part;
			dst_addr += part;
			*moved += part;
		}
		src_addr += n;
		len -= n;
	}
	return status;
}
