/* SPDX-License-Identifier: MIT */
/* What the files of this folder share about buffers. */
#ifndef SV_DMABUF_BUF_H
#define SV_DMABUF_BUF_H

#include "softvirt/dma-buf.h"

#define DMA_BUF_NAME_MAX 32	/* with the terminating zero */

/* buf.c: the last mapping of a buffer being revoked is gone. Reservation lock held. */
void dma_buf_wake_revoke(struct dma_buf *dmabuf);

/*
 * buf.c: from now on somebody outside may map the memory. If the buffer is revoked, what he
 * maps must be dead from the beginning. cpu_lock held.
 */
int dma_buf_publish(struct dma_buf *dmabuf);

/* buf_file.c: what lies behind a descriptor. */
struct sv_file;
struct dma_buf_file {
	struct dma_buf *dmabuf;
	struct sv_mutex poll_lock;
	struct list_head stand_ins;	/* poll_lock; poll.c */
};
void dma_buf_file_fini(struct dma_buf *dmabuf);
/* A file over fd, not installed yet, with a reference of its own. fd is its on success. */
int dma_buf_file_create(struct dma_buf *dmabuf, int fd, struct sv_file **out);
/* The file, with a reference; NULL: fd is no dma-buf. */
struct sv_file *dma_buf_fget(int fd);

/* poll.c */
void dma_buf_poll_fini(struct dma_buf_file *bf);

/* debug.c: the list of all buffers, and whoever may ask for it. */
void dma_buf_debug_add(struct dma_buf *dmabuf);
void dma_buf_debug_del(struct dma_buf *dmabuf);
/* Everything this process shares, as text or as one JSON object. */
void dma_buf_debug_dump(struct seq_file *m, bool json);

#endif
