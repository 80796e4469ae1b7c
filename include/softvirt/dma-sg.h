/* SPDX-License-Identifier: MIT */
/* Where memory lies: a table of ranges. Addresses are those of this process. */
#ifndef SOFTVIRT_DMA_SG_H
#define SOFTVIRT_DMA_SG_H

#include "softvirt/dma-types.h"

#pragma GCC visibility push(default)

typedef u64 dma_addr_t;

struct scatterlist {
	void *vaddr;			/* the CPU's */
	unsigned int length;
	dma_addr_t dma_address;		/* the device's */
	unsigned int dma_length;
};

struct sg_table {
	struct scatterlist *sgl;
	unsigned int nents;		/* mapped for the device */
	unsigned int orig_nents;
};

#define sg_dma_address(sg) ((sg)->dma_address)
#define sg_dma_len(sg) ((sg)->dma_length)
#define sg_virt(sg) ((sg)->vaddr)
#define sg_next(sg) ((sg) + 1)
#define for_each_sg(sglist, sg, nr, i) for (i = 0, sg = (sglist); i < (nr); i++, sg++)
#define for_each_sgtable_sg(sgt, sg, i) for_each_sg((sgt)->sgl, sg, (sgt)->orig_nents, i)
#define for_each_sgtable_dma_sg(sgt, sg, i) for_each_sg((sgt)->sgl, sg, (sgt)->nents, i)

/* 0, -EINVAL for none, -ENOMEM. */
int sg_alloc_table(struct sg_table *table, unsigned int nents, unsigned int gfp);
void sg_free_table(struct sg_table *table);
static inline void sg_set_buf(struct scatterlist *sg, void *buf, unsigned int len)
{
	sg->vaddr = buf;
	sg->length = len;
	sg->dma_address = (dma_addr_t)(uintptr_t)buf;
	sg->dma_length = len;
}
/*
 * A table, allocated with its struct, over len bytes at addr: one entry, or several if an
 * entry can't hold that many. NULL: no memory. sv_free() via sg_table_destroy().
 */
struct sg_table *sg_table_create(void *addr, u64 len);
void sg_table_destroy(struct sg_table *table);

#pragma GCC visibility pop

#endif
