/* SPDX-License-Identifier: MIT */
/* What the files of this folder share about buffers. */
#ifndef SV_DMABUF_BUF_H
#define SV_DMABUF_BUF_H

#include "softvirt/dma-buf.h"

#define DMA_BUF_NAME_MAX 32	/* with the terminating zero */

/* buf.c: the last mapping of a buffer being revoked is gone. Reservation lock held. */
void dma_buf_wake_revoke(struct dma_buf *dmabuf);

/*
 * buf.c: attach and detach in steps, for who must not sleep on the reservation lock. begin and
 * end without it, commit (0 or -ENODEV) and detach_locked with it held.
 */
struct dma_buf_attachment *dma_buf_attach_begin(struct dma_buf *dmabuf, struct device *dev,
						const struct dma_buf_attach_ops *importer_ops,
						void *importer_priv);
int dma_buf_attach_commit(struct dma_buf_attachment *attach);
void dma_buf_detach_locked(struct dma_buf_attachment *attach);
void dma_buf_attach_end(struct dma_buf_attachment *attach);

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
/* The buffer of this process whose memory is that file, with a reference; or NULL. */
struct dma_buf *dma_buf_debug_find(dev_t dev, ino_t ino);
/* Everything this process shares, as text or as one JSON object. */
void dma_buf_debug_dump(struct seq_file *m, bool json);

#endif
