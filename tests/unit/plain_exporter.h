/* SPDX-License-Identifier: MIT */
/* An exporter that does the least: what is tested or measured with it is the core. */
#ifndef PLAIN_EXPORTER_H
#define PLAIN_EXPORTER_H

#include "softvirt/dma-buf.h"

static char plain_memory[4096];

static int plain_pin(struct dma_buf_attachment *a) { return 0; }
static void plain_unpin(struct dma_buf_attachment *a) { }
static struct sg_table *plain_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	return sg_table_create(plain_memory, sizeof(plain_memory));
}
static void plain_unmap(struct dma_buf_attachment *a, struct sg_table *t,
			enum dma_data_direction dir)
{
	sg_table_destroy(t);
}
static void plain_release(struct dma_buf *b) { }
static const struct dma_buf_ops plain_ops = {
	.pin = plain_pin, .unpin = plain_unpin, .map_dma_buf = plain_map,
	.unmap_dma_buf = plain_unmap, .release = plain_release,
};

/* A buffer over plain_memory, or ERR_PTR. */
static struct dma_buf *plain_export(void)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	info.ops = &plain_ops;
	info.size = sizeof(plain_memory);
	info.priv = plain_memory;
	return dma_buf_export(&info);
}

#endif
