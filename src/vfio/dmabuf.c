/* SPDX-License-Identifier: MIT */
/*
 * BARs as dma-bufs: VFIO_DEVICE_FEATURE_DMA_BUF.
 *
 * Model: a buffer is one or more ranges of one BAR, in the order in which they were given. Its
 * addresses are those of the BAR's address space in this process (pci.h): memory for RAM, a trap
 * region for registers. Whatever takes the BAR away revokes the buffer: from then on nobody
 * attaches, pins or maps, and the revoke waits for fences and for every unmap. Memory coming back
 * restores it; the device's last close doesn't: such a buffer is dead for ever.
 *
 * Because any user can set a revoke off, importers that don't promise to let go are refused, and so
 * are those that can't reach a peer's memory. An importer that breaks its promise makes the trigger
 * wait, as in the kernel; every WARN_NS a message names it.
 *
 * A buffer holds its device (not open: only there). dmabuf_lock guards the device's list; it isn't
 * held while a revoke waits, so that other buffers can be released meanwhile. A buffer is made
 * under memory_lock (read): it can't miss a transition.
 */
#include <fcntl.h>

#include "base/timer.h"
#include "softvirt/dma-buf.h"
#include "vfio/vfio.h"

#define WARN_NS 10000000000ull
#define MAX_RANGES 4096

struct vfio_dmabuf {
	struct list_head node;		/* vdev->dmabufs; dmabuf_lock; empty: the device was closed */
	struct vfio_device *vdev;	/* a reference */
	struct dma_buf *dmabuf;
	unsigned bar;
	u64 generation;			/* dmabuf_lock: of the transition that has seen it */
	u32 nr_ranges;
	struct vfio_region_dma_range ranges[];
};

static struct pci_bar *bar_of(const struct vfio_dmabuf *b)
{
	return &b->vdev->pdev->bars[b->bar];
}

static int buf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	if (!attach->peer2peer)
		return -EOPNOTSUPP;
	return dma_buf_attach_revocable(attach) ? 0 : -EOPNOTSUPP;
}

/* The BAR stays where it is. Whether it can be had at all is the core's flag. */
static int buf_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static void buf_unpin(struct dma_buf_attachment *attach)
{
}

#define SG_MAX (1u << 31)	/* of an entry; page-aligned */

static struct sg_table *buf_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	struct vfio_dmabuf *b = attach->dmabuf->priv;
	struct sg_table *sgt = sv_alloc(sizeof(*sgt));
	struct scatterlist *sg;
	unsigned n = 0;

	if (!sgt)
		return ERR_PTR(-ENOMEM);
	for (u32 i = 0; i < b->nr_ranges; i++)
		n += (unsigned)((b->ranges[i].length + SG_MAX - 1) / SG_MAX);
	if (sg_alloc_table(sgt, n, 0)) {
		sv_free(sgt);
		return ERR_PTR(-ENOMEM);
	}
	sg = sgt->sgl;
	for (u32 i = 0; i < b->nr_ranges; i++) {
		u8 *p = (u8 *)bar_of(b)->base + b->ranges[i].offset;

		for (u64 left = b->ranges[i].length; left;) {
			u64 len = min(left, (u64)SG_MAX);

			sg_set_buf(sg, p, (unsigned)len);
			sg = sg_next(sg);
			p += len;
			left -= len;
		}
	}
	return sgt;
}

static void buf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	sg_free_table(sgt);
	sv_free(sgt);
}

static void buf_release(struct dma_buf *dmabuf)
{
	struct vfio_dmabuf *b = dmabuf->priv;

	sv_mutex_lock(&b->vdev->dmabuf_lock);
	list_del_init(&b->node);
	sv_mutex_unlock(&b->vdev->dmabuf_lock);
	vfio_device_put(b->vdev);
	sv_free(b);
}

static const struct dma_buf_ops buf_ops = {
	.attach = buf_attach,
	.pin = buf_pin,
	.unpin = buf_unpin,
	.map_dma_buf = buf_map,
	.unmap_dma_buf = buf_unmap,
	.release = buf_release,
};

/* For iommufd: the one range as it is, however long. */
static int buf_phys(struct dma_buf_attachment *attach, struct iommu_phys *out)
{
	struct vfio_dmabuf *b = attach->dmabuf->priv;

	if (dma_buf_is_revoked(attach->dmabuf))
		return -ENODEV;
	if (b->nr_ranges != 1)
		return -EOPNOTSUPP;
	out->addr = (u8 *)bar_of(b)->base + b->ranges[0].offset;
	out->len = b->ranges[0].length;
	out->mmio = bar_of(b)->kind == PCI_BAR_REGS;
	return 0;
}

static int exporter_register(void)
{
	return iommufd_register_phys_exporter(&buf_ops, buf_phys);
}

static struct sv_once exporter_once = SV_ONCE_INIT;

/*
 * The next buffer that this transition hasn't seen, with a reference; NULL: none. A buffer
 * whose last reference is gone is on its way out of the list, with nobody attached.
 */
static struct vfio_dmabuf *next_buf(struct vfio_device *vdev, u64 generation)
{
	struct vfio_dmabuf *b, *found = NULL;

	sv_mutex_lock(&vdev->dmabuf_lock);
	list_for_each_entry(b, &vdev->dmabufs, node) {
		if (b->generation == generation)
			continue;
		b->generation = generation;
		if (kref_get_unless_zero(&b->dmabuf->refcount)) {
			found = b;
			break;
		}
	}
	sv_mutex_unlock(&vdev->dmabuf_lock);
	return found;
}

static u64 new_generation(void)
{
	static u64 last;

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/* Until nobody reaches the memory. dma_buf_revoke() itself names who is late. */
static void revoke_wait(struct vfio_dmabuf *b)
{
	int err;

	do {
		err = dma_buf_revoke(b->dmabuf, sv_now_ns() + WARN_NS);
	} while (err == -ETIMEDOUT);
	if (err)
		sv_err("%s: revoke of a dma-buf: error %d", b->vdev->pdev->name, err);
}

void vfio_dmabufs_revoke(struct vfio_device *vdev)
{
	u64 generation = new_generation();
	struct vfio_dmabuf *b;

	while ((b = next_buf(vdev, generation))) {
		struct dma_buf *dmabuf = b->dmabuf;

		revoke_wait(b);
		dma_buf_put(dmabuf);
	}
}

void vfio_dmabufs_restore(struct vfio_device *vdev)
{
	u64 generation = new_generation();
	struct vfio_dmabuf *b;

	while ((b = next_buf(vdev, generation))) {
		struct dma_buf *dmabuf = b->dmabuf;
		int err = dma_buf_restore(dmabuf);

		if (err)
			sv_err("%s: a dma-buf stays revoked: error %d", vdev->pdev->name, err);
		dma_buf_put(dmabuf);
	}
}

void vfio_dmabufs_close(struct vfio_device *vdev)
{
	struct vfio_dmabuf *b, *next;

	sv_mutex_lock(&vdev->dmabuf_lock);
	list_for_each_entry_safe(b, next, &vdev->dmabufs, node)
		list_del_init(&b->node);
	sv_mutex_unlock(&vdev->dmabuf_lock);
}

/*
 * One rule for each check, nothing is changed. *size: the buffer's. The ranges are checked one
 * by one: not empty, whole pages, within the BAR; in sum not more than 64 bits.
 */
static int ranges_check(const struct pci_bar *bar, const struct vfio_region_dma_range *r, u32 n,
			u64 *size)
{
	*size = 0;
	for (u32 i = 0; i < n; i++) {
		u64 end;

		if (!r[i].length || !IS_ALIGNED(r[i].offset | r[i].length, SV_PAGE_SIZE))
			return -EINVAL;
		if (__builtin_add_overflow(r[i].offset, r[i].length, &end) ||
		    __builtin_add_overflow(*size, r[i].length, size) || *size > INT64_MAX)
			return -EOVERFLOW;
		if (end > bar->size)
			return -EINVAL;
	}
	return 0;
}

static int get_check(struct vfio_device *vdev, const struct vfio_device_feature_dma_buf *d)
{
	if (!d->nr_ranges || d->flags || d->nr_ranges > MAX_RANGES)
		return -EINVAL;
	if (d->open_flags & ~(u32)(O_CLOEXEC | O_ACCMODE))
		return -EINVAL;
	if (d->region_index > VFIO_PCI_BAR5_REGION_INDEX ||
	    vdev->pdev->bars[d->region_index].kind == PCI_BAR_NONE)
		return -ENODEV;
	return 0;
}

/* Makes it and puts it into the list; born revoked while memory is off. A descriptor or -errno. */
static int buf_export(struct vfio_dmabuf *b, u64 size, u32 open_flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct vfio_device *vdev = b->vdev;
	struct dma_buf *dmabuf;
	int fd, err = 0;

	info.exp_name = "vfio-pci";
	info.ops = &buf_ops;
	info.size = size;
	info.flags = (int)open_flags;
	info.priv = b;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		vfio_device_put(vdev);
		sv_free(b);
		return (int)PTR_ERR(dmabuf);
	}
	b->dmabuf = dmabuf;
	sv_read_lock(&vdev->memory_lock);
	sv_mutex_lock(&vdev->dmabuf_lock);
	list_add_tail(&b->node, &vdev->dmabufs);
	sv_mutex_unlock(&vdev->dmabuf_lock);
	if (!vdev->accessible)
		err = dma_buf_revoke(dmabuf, DMA_DEADLINE_NEVER);	/* nobody is attached */
	sv_read_unlock(&vdev->memory_lock);
	fd = err ? err : dma_buf_fd(dmabuf, (int)open_flags);
	dma_buf_put(dmabuf);
	return fd;
}

int vfio_dmabuf_export(struct vfio_device *vdev, unsigned bar, u64 off, u64 len)
{
	struct vfio_dmabuf *b;
	int err = sv_once(&exporter_once, exporter_register);

	if (err)
		return err;
	b = sv_zalloc(sizeof(*b) + sizeof(b->ranges[0]));
	if (!b)
		return -ENOMEM;
	INIT_LIST_HEAD(&b->node);
	b->bar = bar;
	b->nr_ranges = 1;
	b->ranges[0].offset = off;
	b->ranges[0].length = len;
	b->vdev = vfio_device_get(vdev);
	return buf_export(b, len, O_RDWR | O_CLOEXEC);
}

long vfio_feature_dma_buf(struct vfio_device *vdev, u32 flags, void *user, size_t argsz)
{
	struct vfio_device_feature_dma_buf d;
	struct vfio_dmabuf *b;
	u64 size;
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(d));

	if (ret != 1)
		return ret;
	if (sv_copy_from_user(&d, user, sizeof(d)))
		return -EFAULT;
	ret = get_check(vdev, &d);
	if (ret)
		return ret;
	if (argsz < sizeof(d) + d.nr_ranges * sizeof(d.dma_ranges[0]))
		return -EINVAL;
	ret = sv_once(&exporter_once, exporter_register);
	if (ret)
		return ret;
	b = sv_zalloc(sizeof(*b) + d.nr_ranges * sizeof(b->ranges[0]));
	if (!b)
		return -ENOMEM;
	INIT_LIST_HEAD(&b->node);
	b->bar = d.region_index;
	b->nr_ranges = d.nr_ranges;
	ret = sv_copy_from_user(b->ranges, (u8 *)user + sizeof(d),
				d.nr_ranges * sizeof(b->ranges[0]));
	if (!ret)
		ret = ranges_check(&vdev->pdev->bars[b->bar], b->ranges, b->nr_ranges, &size);
	if (ret) {
		sv_free(b);
		return ret;
	}
	b->vdev = vfio_device_get(vdev);
	return buf_export(b, size, d.open_flags);
}
