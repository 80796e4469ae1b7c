/* SPDX-License-Identifier: MIT */
/*
 * A buffer's descriptors and what a program does with them.
 *
 * Model. Each descriptor that dma_buf_fd() gives out is a file of its own that holds one
 * reference of the buffer. Behind all of them lies one real descriptor: the exporter's, if
 * that is the memory (ops->backing: lseek, mmap and revoke then work in processes that
 * never heard of us), or else an empty, sealed memfd of the buffer's size, which serves
 * lseek and can't be mapped for writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/libc.h"
#include "dmabuf/buf.h"
#include "file/file.h"
#include "softvirt/dma-fence-unwrap.h"
#include "softvirt/sync-file.h"
#include "softvirt/uapi/sync.h"

_Static_assert(DMA_BUF_NAME_MAX == DMA_BUF_NAME_LEN, "the user ABI's limit is ours");

/* The buffer of one of our files; the file's reference. */
static struct dma_buf *file_buf(struct sv_file *f)
{
	return ((struct dma_buf_file *)sv_file_priv(f))->dmabuf;
}

static long ioctl_sync(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct dma_buf *dmabuf = file_buf(f);
	const struct dma_buf_sync *sync = c->buf;
	enum dma_data_direction dir;

	if (sync->flags & ~(__u64)DMA_BUF_SYNC_VALID_FLAGS_MASK)
		return -EINVAL;
	switch (sync->flags & DMA_BUF_SYNC_RW) {
	case DMA_BUF_SYNC_READ:
		dir = DMA_FROM_DEVICE;
		break;
	case DMA_BUF_SYNC_WRITE:
		dir = DMA_TO_DEVICE;
		break;
	case DMA_BUF_SYNC_RW:
		dir = DMA_BIDIRECTIONAL;
		break;
	default:
		return -EINVAL;
	}
	if (sync->flags & DMA_BUF_SYNC_END)
		return dma_buf_end_cpu_access(dmabuf, dir);
	return dma_buf_begin_cpu_access(dmabuf, dir);
}

static long ioctl_set_name(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	char name[DMA_BUF_NAME_LEN];
	long len = sv_strncpy_from_user(name, (const char *)c->value, sizeof(name));

	if (len < 0)
		return len;
	if (len == sizeof(name))
		return -EINVAL;
	return dma_buf_set_name(file_buf(f), name);
}

static long ioctl_export_sync_file(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct dma_buf *dmabuf = file_buf(f);
	struct dma_buf_export_sync_file *arg = c->buf;
	struct dma_fence *fence = NULL;
	int fd;

	if ((arg->flags & ~(__u32)DMA_BUF_SYNC_RW) || !(arg->flags & DMA_BUF_SYNC_RW))
		return -EINVAL;
	/* Where its owner is gone what we know of is all there is. */
	if (dmabuf->ops->sync)
		(void)dmabuf->ops->sync(dmabuf);
	fd = dma_resv_get_singleton(dmabuf->resv,
				    dma_resv_usage_rw(arg->flags & DMA_BUF_SYNC_WRITE), &fence);
	if (fd)
		return fd;
	if (!fence)
		fence = dma_fence_get_stub();
	fd = sync_file_fd(fence, NULL);
	dma_fence_put(fence);
	if (fd < 0)
		return fd;
	arg->fd = fd;
	return 0;
}

static int import_fences(struct dma_buf *dmabuf, struct dma_fence *fence,
			 enum dma_resv_usage usage)
{
	struct dma_fence_unwrap iter;
	unsigned int num = 0;
	struct dma_fence *f;
	int err;

	dma_fence_unwrap_for_each(f, &iter, fence)
		num++;
	if (!num)
		return 0;
	dma_resv_lock(dmabuf->resv, NULL);
	/* Nobody waits for the owner's sake on a buffer that is gone. */
	err = dma_buf_is_revoked(dmabuf) ? -ENODEV : dma_resv_reserve_fences(dmabuf->resv, num);
	if (!err)
		dma_fence_unwrap_for_each(f, &iter, fence)
			dma_resv_add_fence(dmabuf->resv, f, usage);
	dma_resv_unlock(dmabuf->resv);
	if (!err && dmabuf->ops->sync)
		err = dmabuf->ops->sync(dmabuf);
	return err;
}

static long ioctl_import_sync_file(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	const struct dma_buf_import_sync_file *arg = c->buf;
	struct dma_fence *fence;
	int err;

	if ((arg->flags & ~(__u32)DMA_BUF_SYNC_RW) || !(arg->flags & DMA_BUF_SYNC_RW))
		return -EINVAL;
	fence = sync_file_get_fence(arg->fd);
	if (!fence)
		return -EINVAL;
	err = import_fences(file_buf(f), fence, arg->flags & DMA_BUF_SYNC_WRITE ?
			    DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ);
	dma_fence_put(fence);
	return err;
}

static const struct sv_ioctl dma_buf_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, DMA_BUF_IOCTL_SYNC, ioctl_sync),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, DMA_BUF_SET_NAME_A, ioctl_set_name),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, DMA_BUF_SET_NAME_B, ioctl_set_name),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, ioctl_export_sync_file),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, ioctl_import_sync_file),
};

static void *dma_buf_file_mmap(struct sv_file *f, void *addr, size_t len, int prot, int flags,
			       off_t off)
{
	struct vm_area_struct vma = {
		.addr = addr, .len = ALIGN_UP(len, SV_PAGE_SIZE), .prot = prot, .flags = flags,
	};
	int err;

	if (vma.len < len)
		return ERR_PTR(-ENOMEM);
	err = dma_buf_mmap(file_buf(f), &vma, (unsigned long)off >> SV_PAGE_SHIFT);
	return err ? ERR_PTR(err) : vma.mapped;
}

static void dma_buf_file_release(struct sv_file *f)
{
	struct dma_buf_file *bf = sv_file_priv(f);

	dma_buf_poll_fini(bf);
	dma_buf_put(bf->dmabuf);
	sv_mutex_destroy(&bf->poll_lock);
	sv_free(bf);
}

static const struct sv_file_ops dma_buf_fops = {
	.name = "dma-buf",
	.ioctls = dma_buf_ioctls,
	.nr_ioctls = ARRAY_SIZE(dma_buf_ioctls),
	.mmap = dma_buf_file_mmap,
	.release = dma_buf_file_release,
	.reopen_after_fork = true,
};

/* What lseek sees of a buffer whose memory is no file. */
static int backing_make(struct dma_buf *dmabuf)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	int fd, err;

	fd = SV_FAULT(EMFILE) ? -1 : memfd_create("softvirt:dma-buf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)dmabuf->size) || fcntl(fd, F_ADD_SEALS, seals)) {
		err = -errno;
		sv_libc.close(fd);
		return err;
	}
	return fd;
}

/* The descriptor behind all others; cpu_lock held. */
static int backing_of(struct dma_buf *dmabuf)
{
	if (dmabuf->ops->backing)
		return dmabuf->ops->backing(dmabuf);
	if (dmabuf->backing_fd < 0)
		dmabuf->backing_fd = backing_make(dmabuf);
	return dmabuf->backing_fd;
}

/* A copy of it with the access mode that the exporter chose. */
static int backing_copy(struct dma_buf *dmabuf, int base, int flags)
{
	char path[32];
	int fd;

	if (SV_FAULT(EMFILE))
		return -errno;
	if ((dmabuf->flags & O_ACCMODE) == O_RDONLY && dmabuf->ops->backing) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", base);
		fd = sv_libc.open(path, O_RDONLY | (flags & O_CLOEXEC));
	} else {
		fd = sv_libc.fcntl(base, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	}
	return fd < 0 ? -errno : fd;
}

int dma_buf_fd(struct dma_buf *dmabuf, int flags)
{
	struct sv_file *f;
	int fd, err;

	if (!dmabuf)
		return -EINVAL;
	sv_mutex_lock(&dmabuf->cpu_lock);
	fd = backing_of(dmabuf);
	if (fd >= 0)
		fd = backing_copy(dmabuf, fd, flags);
	err = fd < 0 ? fd : dma_buf_publish(dmabuf);
	sv_mutex_unlock(&dmabuf->cpu_lock);
	if (err) {
		if (fd >= 0)
			sv_libc.close(fd);
		return err;
	}
	err = dma_buf_file_create(dmabuf, fd, &f);
	if (err) {
		sv_libc.close(fd);
		return err;
	}
	return sv_file_install(f);
}

int dma_buf_file_create(struct dma_buf *dmabuf, int fd, struct sv_file **out)
{
	struct dma_buf_file *bf = sv_zalloc(sizeof(*bf));
	int err;

	if (!bf)
		return -ENOMEM;
	bf->dmabuf = dmabuf;
	sv_mutex_init(&bf->poll_lock);
	INIT_LIST_HEAD(&bf->stand_ins);
	err = sv_file_create_fd(&dma_buf_fops, bf, fd, out);
	if (err) {
		sv_mutex_destroy(&bf->poll_lock);
		sv_free(bf);
		return err;
	}
	get_dma_buf(dmabuf);
	return 0;
}

struct sv_file *dma_buf_fget(int fd)
{
	struct sv_file *f = sv_fget(fd, NULL);

	if (!f)
		f = sv_fd_adopt(fd);
	else
		f = sv_fd_reopen(fd, f);
	if (f && sv_file_get_ops(f) != &dma_buf_fops) {
		sv_file_put(f);
		f = NULL;
	}
	return f;
}

struct dma_buf *dma_buf_get(int fd)
{
	struct sv_file *f = dma_buf_fget(fd);
	struct dma_buf *dmabuf;

	if (!f)
		return ERR_PTR(sv_libc.fcntl(fd, F_GETFD) < 0 ? -EBADF : -EINVAL);
	dmabuf = file_buf(f);
	get_dma_buf(dmabuf);
	sv_file_put(f);
	return dmabuf;
}

void dma_buf_file_fini(struct dma_buf *dmabuf)
{
	if (dmabuf->backing_fd >= 0)
		sv_libc.close(dmabuf->backing_fd);
}
