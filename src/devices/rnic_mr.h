/* SPDX-License-Identifier: MIT */
/*
 * Memory regions of the rnic function: what a key stands for, and how its bytes are reached.
 *
 * Model: a table of regions by key (index and generation; a key is not given out again before the
 * region is deregistered, revoked or not). A region over a dma-buf is an importer of one of three
 * kinds; it touches the buffer only under its lock m, piece by piece, so that invalidate_mappings,
 * which takes m, returns with the DMA stopped: not a byte is written after it.
 *
 * Locks: a buffer's reservation lock, then m. table->lock (of the array, references) is innermost.
 * A requester's dma_lock comes after m.
 */
#ifndef SV_DEVICES_RNIC_MR_H
#define SV_DEVICES_RNIC_MR_H

#include "base/sync.h"
#include "devices/rnic_regs.h"
#include "softvirt/dma-buf.h"

struct iommu_dev;

/* Misbehaviour, for tests of revocation. Set before the first region. */
struct rnic_flaky {
	u64 late_unmap_ms;
	bool never_unmap;
};

struct rnic_mr_table {
	struct iommu_dev *iommu;
	struct rnic_flaky flaky;
	bool dead;			/* atomic: the device answers nobody any more */
	/* Somebody wants rnic_mr_table_poll() to be called. */
	void (*late)(void *arg);
	void *late_arg;

	struct sv_mutex lock;
	struct rnic_mr *mrs[RNIC_MAX_MRS];	/* lock */
	u8 generation[RNIC_MAX_MRS];		/* lock */
	u32 nr;					/* lock */
	u32 hint;
};

struct rnic_mr {
	struct rnic_mr_table *table;
	u32 key, access;
	enum rnic_mr_kind kind;
	u64 addr, length;		/* as work requests say it */
	u32 pasid;			/* RNIC_MR_USER: whose addresses these are */
	u32 refs;			/* table->lock */

	/* Over a dma-buf. */
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	u64 offset;			/* in the buffer */
	bool pinned;			/* reservation lock */
	struct sv_mutex m;
	struct sg_table *sgt;		/* reservation lock and m to change, either to read */
	bool stale;			/* m: told to go; unmapped, or late with it */
	bool revoked;			/* m: pinned and told: for ever */
	u64 unmap_at;			/* m: when a late one unmaps; 0: it doesn't, or has */
};

void rnic_mr_table_init(struct rnic_mr_table *t, struct iommu_dev *iommu);
/* An enum rnic_status. */
int rnic_mr_register(struct rnic_mr_table *t, const struct rnic_wqe *wqe, u32 *key);
int rnic_mr_deregister(struct rnic_mr_table *t, u32 key);
void rnic_mr_deregister_all(struct rnic_mr_table *t);
/* Late unmaps that are due; when the next is, as CLOCK_MONOTONIC ns, or ~0. The device's thread. */
u64 rnic_mr_table_poll(struct rnic_mr_table *t);

/* A reference, or NULL: no such key, [addr, addr + len) is not in it, or access is not allowed. */
struct rnic_mr *rnic_mr_get(struct rnic_mr_table *t, u32 key, u64 addr, u64 len, u32 access);
void rnic_mr_put(struct rnic_mr *mr);

#define RNIC_PIECE (64u * 1024)
/*
 * Moves len bytes from src to dst, which are of one table or of two, in pieces by way of bounce
 * (RNIC_PIECE bytes); an enum rnic_status, *moved bytes have arrived, *fault is where it failed (an
 * address as work requests say it).
 */
int rnic_mr_copy(struct rnic_mr *dst, u64 dst_addr, struct rnic_mr *src, u64 src_addr, u32 len,
		 char *bounce, u32 *moved, u64 *fault);

#endif
