/* SPDX-License-Identifier: MIT */
/*
 * /dev/dma_heap/system: memory for the asking. Every allocation is a buffer of its own,
 * zeroed and rounded up to whole pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "dmabuf/mem.h"
#include "file/file.h"
#include "softvirt/uapi/sync.h"

/* More than the machine has is refused before a page of it is touched. */
static bool heap_could_hold(u64 len)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return true;
	return len <= (u64)info.totalram * info.mem_unit;
}

static long heap_alloc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct dma_heap_allocation_data *data = c->buf;
	struct dma_buf *dmabuf;
	u64 len;
	int fd;

	if (data->fd)
		return -EINVAL;
	if (data->fd_flags & ~(__u32)DMA_HEAP_VALID_FD_FLAGS)
		return -EINVAL;
	if (data->heap_flags & ~(__u64)DMA_HEAP_VALID_HEAP_FLAGS)
		return -EINVAL;
	len = ALIGN_UP((u64)data->len, SV_PAGE_SIZE);
	if (!len)
		return -EINVAL;
	if (!heap_could_hold(len))
		return -ENOMEM;
	dmabuf = dma_mem_export("system", len, (int)(data->fd_flags & O_ACCMODE));
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = dma_buf_fd(dmabuf, (int)data->fd_flags);
	dma_buf_put(dmabuf);
	if (fd < 0)
		return fd;
	data->fd = (__u32)fd;
	return 0;
}

static const struct sv_ioctl heap_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_BY_NUMBER, DMA_HEAP_IOCTL_ALLOC, heap_alloc),
};

static const struct sv_file_ops heap_fops = {
	.name = "dma-heap",
	.ioctls = heap_ioctls,
	.nr_ioctls = ARRAY_SIZE(heap_ioctls),
};

static int heap_open(const struct sv_node *node, int o_flags)
{
	struct sv_file *f;
	int err = sv_file_create(&heap_fops, NULL, SV_BACKING_EVENTFD, 0, o_flags, &f);

	return err ? err : sv_file_install(f);
}

extern const struct sv_node dma_heap_node_system;
const struct sv_node dma_heap_node_system = {
	.path = "/dev/dma_heap/system",
	.open = heap_open,
};
