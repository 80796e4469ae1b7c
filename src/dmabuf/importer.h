/* SPDX-License-Identifier: MIT */
/*
 * Software devices that import buffers: a copy engine with memory of its own and a thread
 * that moves the bytes. One for each way in which a driver may deal with a revoke (see
 * docs/revoke.md); for tests, benchmarks and for people who try out an exporter.
 */
#ifndef SV_DMABUF_IMPORTER_H
#define SV_DMABUF_IMPORTER_H

#include "softvirt/dma-buf.h"

enum dma_importer_kind {
	DMA_IMPORTER_DYNAMIC,		/* as a GPU: maps when it has work, and again after a move */
	DMA_IMPORTER_PINNED_REVOCABLE,	/* as RDMA with revoke: one mapping; dead once revoked */
	DMA_IMPORTER_PINNED_LEGACY,	/* as RDMA without: offers no invalidate_mappings */
	DMA_IMPORTER_STATIC,		/* as a camera: dma_buf_attach() */
};

enum dma_importer_dir {
	DMA_IMPORTER_READ,		/* buffer to device memory */
	DMA_IMPORTER_WRITE,		/* device memory to buffer */
};

struct dma_importer;

/*
 * Takes a reference of the buffer. mem_size bytes of device memory, zeroed. ERR_PTR:
 * -ENODEV the buffer is revoked, -EOPNOTSUPP the exporter wants none of this kind, -ENOMEM,
 * -EAGAIN no thread.
 */
struct dma_importer *dma_importer_create(struct dma_buf *dmabuf, enum dma_importer_kind kind,
					 const char *name, size_t mem_size);
/* Finishes or cancels its work, unmaps, detaches. */
void dma_importer_destroy(struct dma_importer *imp);
/*
 * Queues a copy. The fence, one reference of which is the caller's, is also in the buffer's
 * reservation (READ or WRITE). It signals with -ECANCELED when the work was not begun before
 * the mapping had to go, -EFAULT when the bus failed. ERR_PTR: -ENODEV nothing to map any
 * more, -EBUSY the old mapping is on its way out (try again), -EINVAL out of the buffer or
 * the device's memory, -ENOMEM.
 */
struct dma_fence *dma_importer_copy(struct dma_importer *imp, enum dma_importer_dir dir,
				    size_t buf_off, size_t mem_off, size_t len);
/* The device's memory. */
void *dma_importer_mem(struct dma_importer *imp);
/* A pinned importer after its buffer was restored: pins and maps anew. 0 or -errno. */
int dma_importer_remap(struct dma_importer *imp);
bool dma_importer_is_mapped(struct dma_importer *imp);

/* Misbehaviour, for tests: true stops the device before its next copy, false lets it go on. */
void dma_importer_stall(struct dma_importer *imp, bool stall);

#endif
