/* SPDX-License-Identifier: MIT */
/*
 * dma_buf: memory that devices share, and that its owner can take back.
 *
 * Names and behaviour are the kernel's (7.x: invalidate_mappings, dma_buf_attach_revocable);
 * docs/dmabuf.md tells where user space differs, docs/revoke.md what a revoke does. A "DMA
 * address" is an address in this process.
 *
 * Locking. With the reservation lock held, importers call: dma_buf_pin, _unpin,
 * _map_attachment, _unmap_attachment, _vmap, _vunmap; exporters: dma_buf_invalidate_mappings.
 * Without it: everything else. An exporter's pin, unpin, map_dma_buf, unmap_dma_buf, vmap
 * and vunmap and an importer's invalidate_mappings are called with it held.
 */
#ifndef SOFTVIRT_DMA_BUF_H
#define SOFTVIRT_DMA_BUF_H

#include <sys/types.h>

#include "softvirt/dma-fence.h"
#include "softvirt/dma-resv.h"
#include "softvirt/dma-sg.h"

#pragma GCC visibility push(default)

struct module;
struct dma_buf;
struct dma_buf_attachment;

#ifndef THIS_MODULE
#define THIS_MODULE ((struct module *)NULL)
#endif
#ifndef KBUILD_MODNAME
#define KBUILD_MODNAME "softvirt"
#endif

/* An address in this process of memory, or of a device's registers. */
struct iosys_map {
	void *vaddr;
	bool is_iomem;
};

/* What somebody wants to map, with mmap(2)'s arguments; the exporter sets mapped. */
struct vm_area_struct {
	void *addr;
	size_t len;
	int prot, flags;
	u64 off;		/* bytes from the buffer's beginning */
	void *mapped;
};

struct dma_buf_ops {
	/* May refuse this device (-EBUSY, -EOPNOTSUPP). */
	int (*attach)(struct dma_buf *dmabuf, struct dma_buf_attachment *attach);
	void (*detach)(struct dma_buf *dmabuf, struct dma_buf_attachment *attach);
	/* Both or none: an exporter with them may move the memory of buffers not pinned. */
	int (*pin)(struct dma_buf_attachment *attach);
	void (*unpin)(struct dma_buf_attachment *attach);
	struct sg_table *(*map_dma_buf)(struct dma_buf_attachment *attach,
					enum dma_data_direction dir);
	void (*unmap_dma_buf)(struct dma_buf_attachment *attach, struct sg_table *sgt,
			      enum dma_data_direction dir);
	void (*release)(struct dma_buf *dmabuf);
	int (*begin_cpu_access)(struct dma_buf *dmabuf, enum dma_data_direction dir);
	int (*end_cpu_access)(struct dma_buf *dmabuf, enum dma_data_direction dir);
	/* NULL: mmap fails with EINVAL. */
	int (*mmap)(struct dma_buf *dmabuf, struct vm_area_struct *vma);
	int (*vmap)(struct dma_buf *dmabuf, struct iosys_map *map);
	void (*vunmap)(struct dma_buf *dmabuf, struct iosys_map *map);

	/* Ours. The descriptor that is the memory, owned by the exporter; NULL: none is. */
	int (*backing)(struct dma_buf *dmabuf);
	/*
	 * Takes the memory from every mmap in every process: from here on they raise SIGBUS.
	 * restore gives it back to them. May be called again. Needed if there is an mmap.
	 */
	int (*revoke_cpu)(struct dma_buf *dmabuf);
	int (*restore_cpu)(struct dma_buf *dmabuf);
	/*
	 * For a buffer of another process: returns once either side has the other's fences.
	 * -ENODEV: it is revoked. May be NULL. Without the reservation lock.
	 */
	int (*sync)(struct dma_buf *dmabuf);
};

struct dma_buf {
	size_t size;
	int flags;			/* O_ACCMODE of its descriptors */
	struct list_head attachments;	/* reservation lock */
	const struct dma_buf_ops *ops;
	unsigned int vmapping_counter;
	struct iosys_map vmap_ptr;
	const char *exp_name;
	const char *name;		/* name_lock */
	spinlock_t name_lock;
	struct module *owner;
	struct list_head list_node;	/* of all buffers (debug.c) */
	void *priv;
	struct dma_resv *resv;

	/* Ours. */
	struct kref refcount;
	u64 id;				/* the n-th buffer of this process */
	int backing_fd;			/* own descriptor when the exporter has no backing */
	bool published;			/* a descriptor was ever given out; cpu_lock */
	/* wait_m, then readable without it: revoked from the moment a revoke begins. */
	struct sv_mutex wait_m;
	struct sv_cond wait_c;		/* nr_mapped has become 0 */
	bool revoked;
	bool must_invalidate;
	u32 revoking;			/* revokes under way */
	struct sv_mutex cpu_lock;	/* one revoke_cpu, restore_cpu or publishing at a time */
	/* Reservation lock. */
	u32 nr_mapped, nr_attached, nr_pinned;
	/* Counts for people. */
	u64 revoke_count, map_count;
	struct dma_resv own_resv;
};

/*
 * What an importer offers. With these ops it is dynamic: it takes the reservation lock
 * itself and copes with memory that moves, or pins. invalidate_mappings is optional: who
 * offers it unmaps in bounded time after it was called; who doesn't must pin.
 */
struct dma_buf_attach_ops {
	bool allow_peer2peer;
	void (*invalidate_mappings)(struct dma_buf_attachment *attach);
};

struct dma_buf_attachment {
	struct dma_buf *dmabuf;
	struct device *dev;
	struct list_head node;
	bool peer2peer;
	const struct dma_buf_attach_ops *importer_ops;
	void *importer_priv;
	void *priv;			/* the exporter's */
	u32 mapped, pinned;		/* ours; reservation lock */
};

struct dma_buf_export_info {
	const char *exp_name;
	struct module *owner;
	const struct dma_buf_ops *ops;
	size_t size;
	int flags;			/* O_ACCMODE, O_NONBLOCK */
	struct dma_resv *resv;		/* NULL: the buffer gets one of its own */
	void *priv;
};
#define DEFINE_DMA_BUF_EXPORT_INFO(name) \
	struct dma_buf_export_info name = { .exp_name = KBUILD_MODNAME, .owner = THIS_MODULE }

/*
 * ERR_PTR(-EINVAL): ops or priv missing; -ENOMEM. On success the caller holds a reference;
 * on failure priv is still the caller's and release is not called.
 */
struct dma_buf *dma_buf_export(const struct dma_buf_export_info *exp_info);
/* A new descriptor; each holds a reference of its own (the caller's stays the caller's). */
int dma_buf_fd(struct dma_buf *dmabuf, int flags);
/* ERR_PTR(-EBADF), or -EINVAL: no dma-buf. One of another process: docs/remote.md. */
struct dma_buf *dma_buf_get(int fd);
void dma_buf_release(struct kref *kref);
static inline void get_dma_buf(struct dma_buf *dmabuf)
{
	kref_get(&dmabuf->refcount);
}
static inline void dma_buf_put(struct dma_buf *dmabuf)
{
	if (!WARN_ON(!dmabuf))
		kref_put(&dmabuf->refcount, dma_buf_release);
}

static inline bool dma_buf_is_dynamic(struct dma_buf *dmabuf)
{
	return dmabuf->ops->pin != NULL;
}

static inline bool dma_buf_attachment_is_dynamic(struct dma_buf_attachment *attach)
{
	return attach->importer_ops != NULL;
}

/* Does it promise to unmap in bounded time after an invalidate? */
bool dma_buf_attach_revocable(struct dma_buf_attachment *attach);

struct dma_buf_attachment *dma_buf_attach(struct dma_buf *dmabuf, struct device *dev);
/* ERR_PTR: -ENODEV revoked, -EINVAL, -ENOMEM, or what the exporter says. */
struct dma_buf_attachment *dma_buf_dynamic_attach(struct dma_buf *dmabuf, struct device *dev,
						  const struct dma_buf_attach_ops *importer_ops,
						  void *importer_priv);
void dma_buf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach);
int dma_buf_pin(struct dma_buf_attachment *attach);
void dma_buf_unpin(struct dma_buf_attachment *attach);
struct sg_table *dma_buf_map_attachment(struct dma_buf_attachment *attach,
					enum dma_data_direction dir);
void dma_buf_unmap_attachment(struct dma_buf_attachment *attach, struct sg_table *sgt,
			      enum dma_data_direction dir);
struct sg_table *dma_buf_map_attachment_unlocked(struct dma_buf_attachment *attach,
						 enum dma_data_direction dir);
void dma_buf_unmap_attachment_unlocked(struct dma_buf_attachment *attach, struct sg_table *sgt,
				       enum dma_data_direction dir);
void dma_buf_invalidate_mappings(struct dma_buf *dmabuf);
int dma_buf_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir);
int dma_buf_end_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir);
int dma_buf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma, unsigned long pgoff);
int dma_buf_vmap(struct dma_buf *dmabuf, struct iosys_map *map);
void dma_buf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map);
int dma_buf_vmap_unlocked(struct dma_buf *dmabuf, struct iosys_map *map);
void dma_buf_vunmap_unlocked(struct dma_buf *dmabuf, struct iosys_map *map);
/* Copies at most DMA_BUF_NAME_LEN - 1 characters. */
int dma_buf_set_name(struct dma_buf *dmabuf, const char *name);

/*
 * The exporter's revoke, whole: no new mapping, importers told, fences waited for, all
 * mappings gone, CPU mappings dead. deadline_ns: absolute CLOCK_MONOTONIC time, or
 * DMA_DEADLINE_NEVER. Without the reservation lock.
 *
 * 0: nobody reaches the memory through this buffer any more. -ETIMEDOUT: the buffer is
 * revoked (and CPU mappings dead), but somebody is late; dma_buf_late() says who, a message
 * has named them, and calling again waits again. -EOPNOTSUPP: the exporter hands out CPU
 * mappings that it can't take back; nothing was done. Other errors come from revoke_cpu.
 */
int dma_buf_revoke(struct dma_buf *dmabuf, u64 deadline_ns);
/*
 * New attachments and mappings are welcome again, CPU mappings live. -EBUSY: a revoke is
 * under way, or mappings from before the revoke still exist.
 */
int dma_buf_restore(struct dma_buf *dmabuf);
static inline bool dma_buf_is_revoked(struct dma_buf *dmabuf)
{
	SV_POINT(&dmabuf->revoked, false);
	return READ_ONCE(dmabuf->revoked);
}

enum dma_buf_late_kind {
	DMA_BUF_LATE_MAPPING,		/* an importer that holds count mappings */
	DMA_BUF_LATE_FENCE,		/* an unsignalled fence */
	DMA_BUF_LATE_LOCK,		/* somebody keeps the reservation lock */
};

struct dma_buf_late {
	enum dma_buf_late_kind kind;
	char name[48];			/* the device's, or the fence's driver and timeline */
	bool dynamic, pinned, revocable;
	u32 count;
	u64 context, seqno;
};
/* Fills in up to room entries; returns how many there are. */
unsigned int dma_buf_late(struct dma_buf *dmabuf, struct dma_buf_late *late, unsigned int room);

#pragma GCC visibility pop

#endif
