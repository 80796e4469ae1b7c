/* SPDX-License-Identifier: MIT */
/*
 * An exporter of plain memory: a memfd that everybody maps, and that can be taken from
 * everybody but the exporter. Used by the heaps, and by whoever needs memory to share.
 */
#ifndef SV_DMABUF_MEM_H
#define SV_DMABUF_MEM_H

#include "softvirt/dma-buf.h"

/* What the name of its memfd begins with; the process's number follows. */
#define DMA_MEM_NAME "softvirt:dma-buf:"

/*
 * Zeroed, whole pages, allocated now. flags: O_ACCMODE of its descriptors. ERR_PTR(-ENOMEM),
 * ERR_PTR(-EINVAL) for size 0, -EMFILE.
 */
struct dma_buf *dma_mem_export(const char *exp_name, size_t size, int flags);
/* Where the exporter sees it, before, during and after a revoke; NULL: another exporter's. */
void *dma_mem_vaddr(struct dma_buf *dmabuf);

#endif
