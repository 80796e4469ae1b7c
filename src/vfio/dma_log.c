/* SPDX-License-Identifier: MIT */
/*
 * DMA logging: which pages a device has written, as a device that can migrate reports it.
 *
 * Model: ranges of IOVA with a bit for each page, set by the requester's own DMA path
 * (iommu_dma_log) under its dma_lock, whatever domain translates. A report takes the bits and
 * clears them. The bitmaps are address space without reservation: pages appear as bits are set.
 *
 * log_lock guards starting, stopping and reporting. Taking the log from the requester waits for a
 * piece of DMA under way, so nobody sets bits in freed memory.
 */
#include <sys/mman.h>

#include "base/libc.h"
#include "vfio/vfio.h"

#define LOG_MAX_RANGES (4096 / sizeof(struct vfio_device_feature_dma_logging_range))
#define LOG_MAX_PAGES (1ull << 38)	/* of all ranges together: 32 GiB of address space for bits */

struct log_range {
	struct interval_tree_node node;	/* IOVAs */
	u64 *bits;
	u64 nr_words;
};

struct vfio_dma_log {
	struct iommu_dma_log base;
	u64 page_shift;
	struct interval_tree ranges;
	u32 nr;
	struct log_range range[];
};

static u64 page_of(const struct vfio_dma_log *log, const struct log_range *r, u64 iova)
{
	return (iova - r->node.start) >> log->page_shift;
}

/* In the device's thread. */
static void log_written(struct iommu_dma_log *base, u64 iova, u64 len)
{
	struct vfio_dma_log *log = container_of(base, struct vfio_dma_log, base);
	u64 last = iova + len - 1;
	struct interval_tree_node *n;

	for (n = interval_tree_iter_first(&log->ranges, iova, last); n;
	     n = interval_tree_iter_next(n, iova, last)) {
		struct log_range *r = container_of(n, struct log_range, node);
		u64 first_page = page_of(log, r, max(iova, n->start));
		u64 last_page = page_of(log, r, min(last, n->last));

		for (u64 p = first_page; p <= last_page; p++)
			if (!(READ_ONCE(r->bits[p / 64]) & BIT(p % 64)))
				__atomic_fetch_or(&r->bits[p / 64], BIT(p % 64), __ATOMIC_RELAXED);
	}
}

static void log_free(struct vfio_dma_log *log)
{
	for (u32 i = 0; i < log->nr; i++)
		if (log->range[i].bits)
			munmap(log->range[i].bits, log->range[i].nr_words * 8);
	sv_free(log);
}

/* One range from the caller, checked against those before it. */
static int range_add(struct vfio_dma_log *log, const void *user, u64 *pages)
{
	struct vfio_device_feature_dma_logging_range in;
	struct log_range *r = &log->range[log->nr];
	u64 mask = (1ull << log->page_shift) - 1, end;

	if (sv_copy_from_user(&in, user, sizeof(in)))
		return -EFAULT;
	if ((in.iova | in.length) & mask)
		return -EINVAL;
	if (__builtin_add_overflow(in.iova, in.length, &end))
		return -EOVERFLOW;
	if (!in.length || interval_tree_iter_first(&log->ranges, in.iova, end - 1))
		return -EINVAL;
	*pages += in.length >> log->page_shift;
	if (*pages > LOG_MAX_PAGES)
		return -ENOMEM;
	r->node.start = in.iova;
	r->node.last = end - 1;
	r->nr_words = ((in.length >> log->page_shift) + 63) / 64;
	r->bits = SV_FAULT(ENOMEM) ? MAP_FAILED :
		  sv_libc.mmap(NULL, r->nr_words * 8, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->bits == MAP_FAILED) {
		r->bits = NULL;
		return -ENOMEM;
	}
	interval_tree_insert(&log->ranges, &r->node);
	log->nr++;
	return 0;
}

static struct vfio_dma_log *log_make(const struct vfio_device_feature_dma_logging_control *c)
{
	struct vfio_dma_log *log;
	u64 pages = 0;
	int err = 0;

	/* Bits for anything but pages have no meaning. */
	if (c->page_size & (c->page_size - 1))
		return ERR_PTR(-EINVAL);
	log = sv_zalloc(sizeof(*log) + c->num_ranges * sizeof(log->range[0]));
	if (!log)
		return ERR_PTR(-ENOMEM);
	log->base.written = log_written;
	log->page_shift = SV_PAGE_SHIFT;
	while (1ull << log->page_shift < c->page_size)
		log->page_shift++;
	for (u32 i = 0; i < c->num_ranges && !err; i++)
		err = range_add(log, (const struct vfio_device_feature_dma_logging_range *)
				(uintptr_t)c->ranges + i, &pages);
	if (err) {
		log_free(log);
		return ERR_PTR(err);
	}
	return log;
}

/* log_lock held. */
static void log_stop(struct vfio_device *vdev)
{
	if (!vdev->log)
		return;
	iommu_dma_set_log(&vdev->pdev->iommu, NULL);
	log_free(vdev->log);
	vdev->log = NULL;
}

long vfio_dma_logging_start(struct vfio_device *vdev, u32 flags, void *user, size_t argsz)
{
	struct vfio_device_feature_dma_logging_control c;
	struct vfio_dma_log *log;
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(c));

	if (ret != 1)
		return ret;
	if (sv_copy_from_user(&c, user, sizeof(c)))
		return -EFAULT;
	if (!c.num_ranges)
		return -EINVAL;
	if (c.num_ranges > LOG_MAX_RANGES)
		return -E2BIG;
	log = log_make(&c);
	if (IS_ERR(log))
		return PTR_ERR(log);
	c.page_size = 1ull << log->page_shift;
	sv_mutex_lock(&vdev->log_lock);
	ret = vdev->log ? -EINVAL : 0;
	if (!ret) {
		vdev->log = log;
		iommu_dma_set_log(&vdev->pdev->iommu, &log->base);
		log = NULL;
		if (sv_copy_to_user(user, &c, sizeof(c))) {
			log_stop(vdev);
			ret = -EFAULT;
		}
	}
	sv_mutex_unlock(&vdev->log_lock);
	if (log)
		log_free(log);
	return ret;
}

long vfio_dma_logging_stop(struct vfio_device *vdev, u32 flags, size_t argsz)
{
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);

	if (ret != 1)
		return ret;
	vfio_dma_log_close(vdev);
	return 0;
}

void vfio_dma_log_close(struct vfio_device *vdev)
{
	sv_mutex_lock(&vdev->log_lock);
	log_stop(vdev);
	sv_mutex_unlock(&vdev->log_lock);
}

/* Sets bit n of the caller's bitmap. */
static int user_bit(u8 *bitmap, u64 n)
{
	u8 byte;

	if (sv_copy_from_user(&byte, bitmap + n / 8, 1))
		return -EFAULT;
	byte |= (u8)(1u << (n % 8));
	return sv_copy_to_user(bitmap + n / 8, &byte, 1) ? -EFAULT : 0;
}

/* What was written in [r's part of the report]; the bits go. */
static int range_report(struct vfio_dma_log *log, struct log_range *r,
			const struct vfio_device_feature_dma_logging_report *rep, u64 last)
{
	u64 from = max((u64)rep->iova, r->node.start), to = min(last, r->node.last);
	u64 p = page_of(log, r, from), end = page_of(log, r, to);
	int err;

	while (p <= end) {
		u64 iova, until;

		if (p % 64 == 0 && !READ_ONCE(r->bits[p / 64])) {
			p += 64;
			continue;
		}
		if (!(__atomic_fetch_and(&r->bits[p / 64], ~BIT(p % 64), __ATOMIC_RELAXED) &
		      BIT(p % 64))) {
			p++;
			continue;
		}
		/* One page of ours may be several of the caller's, or a part of one. */
		iova = max(from, r->node.start + (p << log->page_shift));
		until = min(to, r->node.start + ((p + 1) << log->page_shift) - 1);
		for (u64 n = (iova - rep->iova) / rep->page_size;
		     n <= (until - rep->iova) / rep->page_size; n++) {
			err = user_bit((u8 *)(uintptr_t)rep->bitmap, n);
			if (err)
				return err;
		}
		p++;
	}
	return 0;
}

long vfio_dma_logging_report(struct vfio_device *vdev, u32 flags, void *user, size_t argsz)
{
	struct vfio_device_feature_dma_logging_report rep;
	struct interval_tree_node *n;
	u64 end;
	int ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(rep));

	if (ret != 1)
		return ret;
	if (sv_copy_from_user(&rep, user, sizeof(rep)))
		return -EFAULT;
	if (rep.page_size < 4096 || (rep.page_size & (rep.page_size - 1)))
		return -EINVAL;
	if (__builtin_add_overflow(rep.iova, rep.length, &end))
		return -EOVERFLOW;
	if (!rep.length)
		return -EINVAL;
	ret = 0;
	sv_mutex_lock(&vdev->log_lock);
	if (!vdev->log)
		ret = -EINVAL;
	for (n = ret ? NULL : interval_tree_iter_first(&vdev->log->ranges, rep.iova, end - 1);
	     n && !ret; n = interval_tree_iter_next(n, rep.iova, end - 1))
		ret = range_report(vdev->log, container_of(n, struct log_range, node), &rep, end - 1);
	sv_mutex_unlock(&vdev->log_lock);
	return ret;
}
