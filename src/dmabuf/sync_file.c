/* SPDX-License-Identifier: MIT */
/*
 * Sync files: see softvirt/sync-file.h.
 *
 * Model. A sync file is the read end of a pipe: never writable, and readable once there is a
 * byte in it, for poll, epoll and select, in every process that has a copy. The write end is
 * ours and outlives the program's descriptors while the fence is unsignalled and somebody,
 * here or in another process, still has a read end. The fence's callback runs under the
 * fence's lock, writes the byte, and leaves to deferred work what may drop the last reference.
 *
 * When this process dies with the fence unsignalled, readers elsewhere see POLLHUP.
 *
 * Lifetime: the file and the callback hold a reference of struct sync_file each.
 */
#include "softvirt/sync-file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/refcount.h"
#include "file/file.h"
#include "softvirt/dma-buf.h"
#include "softvirt/dma-fence-unwrap.h"
#include "softvirt/uapi/sync.h"

struct sync_file {
	char user_name[32];
	struct dma_fence *fence;
	struct dma_fence_cb cb;
	struct irq_work work;
	refcount_t refs;
	int fd;			/* the write end */
	ino_t ino;
	pid_t owner;
};

static const struct sv_file_ops sync_file_fops;

static void sync_file_put(struct sync_file *sf)
{
	if (!refcount_dec_and_test(&sf->refs))
		return;
	sv_fd_keep_close(sf->fd);
	dma_fence_put(sf->fence);
	sv_free(sf);
}

/* A program may close every number it finds: a stranger's descriptor gets no byte of ours. */
static bool is_write_end(struct sync_file *sf)
{
	struct stat st;

	return !fstat(sf->fd, &st) && S_ISFIFO(st.st_mode) && st.st_ino == sf->ino;
}

static void sync_file_show(struct sync_file *sf)
{
	/* A forked child's fences are copies, the pipe is not. */
	if (sf->owner != getpid() || !is_write_end(sf))
		return;
	if (write(sf->fd, "", 1) < 0) {
		/* Nobody has the read end, or it is full of bytes: both need nothing more. */
	}
}

static void sync_file_work(struct irq_work *work)
{
	sync_file_put(container_of(work, struct sync_file, work));
}

static void sync_file_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct sync_file *sf = container_of(cb, struct sync_file, cb);

	sync_file_show(sf);
	irq_work_queue(&sf->work);
}

/* Does anybody else have the read end? The program's own is closed by now. */
static bool has_readers(struct sync_file *sf)
{
	struct pollfd p = { .fd = sf->fd };

	return is_write_end(sf) && poll(&p, 1, 0) >= 0 && !(p.revents & POLLERR);
}

static void sync_file_release(struct sv_file *f)
{
	struct sync_file *sf = sv_file_priv(f);

	if (!has_readers(sf) && dma_fence_remove_callback(sf->fence, &sf->cb))
		sync_file_put(sf);
	sync_file_put(sf);
}

static int pipe_make(struct sync_file *sf)
{
	struct stat st;
	int fds[2];

	if (SV_FAULT(EMFILE) || pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	/* One byte is all that will ever be in it. */
	(void)sv_libc.fcntl(fds[1], F_SETPIPE_SZ, (int)SV_PAGE_SIZE);
	sf->ino = fstat(fds[1], &st) ? 0 : st.st_ino;
	sf->owner = getpid();
	sf->fd = sv_fd_keep(fds[1]);
	if (sf->fd < 0) {
		sv_libc.close(fds[0]);
		return sf->fd;
	}
	return fds[0];
}

int sync_file_fd(struct dma_fence *fence, const char *name)
{
	struct sync_file *sf = sv_zalloc(sizeof(*sf));
	struct sv_file *f;
	int fd, err;

	if (!sf)
		return -ENOMEM;
	fd = pipe_make(sf);
	if (fd < 0) {
		sv_free(sf);
		return fd;
	}
	err = sv_file_create_fd(&sync_file_fops, sf, fd, &f);
	if (err) {
		sv_libc.close(fd);
		sv_fd_keep_close(sf->fd);
		sv_free(sf);
		return err;
	}
	sf->fence = dma_fence_get(fence);
	init_irq_work(&sf->work, sync_file_work);
	refcount_set(&sf->refs, 2);
	if (name)
		snprintf(sf->user_name, sizeof(sf->user_name), "%s", name);
	if (dma_fence_add_callback(fence, &sf->cb, sync_file_cb)) {
		sync_file_show(sf);
		sync_file_put(sf);
	}
	return sv_file_install(f);
}

static struct sv_file *sync_file_fget(int fd)
{
	struct sv_file *f = sv_fget(fd, NULL);

	if (!f)
		f = sv_fd_adopt(fd);
	if (f && sv_file_get_ops(f) != &sync_file_fops) {
		sv_file_put(f);
		f = NULL;
	}
	return f;
}

struct dma_fence *sync_file_get_fence(int fd)
{
	struct sv_file *f = sync_file_fget(fd);
	struct dma_fence *fence;

	if (!f)
		return NULL;
	fence = dma_fence_get(((struct sync_file *)sv_file_priv(f))->fence);
	sv_file_put(f);
	return fence;
}

static long ioctl_merge(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct sync_file *sf = sv_file_priv(f);
	struct sync_merge_data *data = c->buf;
	struct dma_fence *other, *merged;
	int fd;

	if (data->flags || data->pad)
		return -EINVAL;
	other = sync_file_get_fence(data->fd2);
	if (!other)
		return -ENOENT;
	data->name[sizeof(data->name) - 1] = 0;
	merged = dma_fence_unwrap_merge(sf->fence, other);
	dma_fence_put(other);
	if (!merged)
		return -ENOMEM;
	fd = sync_file_fd(merged, data->name);
	dma_fence_put(merged);
	if (fd < 0)
		return fd;
	data->fence = fd;
	return 0;
}

static void fill_fence_info(struct dma_fence *fence, struct sync_fence_info *info)
{
	memset(info, 0, sizeof(*info));
	snprintf(info->obj_name, sizeof(info->obj_name), "%s",
		 fence->ops->get_timeline_name(fence));
	snprintf(info->driver_name, sizeof(info->driver_name), "%s",
		 fence->ops->get_driver_name(fence));
	info->status = dma_fence_get_status(fence);
	if (info->status)
		info->timestamp_ns = (__u64)dma_fence_timestamp(fence);
}

static void sync_file_name(struct sync_file *sf, char *name, size_t room)
{
	struct dma_fence *fence = sf->fence;

	if (sf->user_name[0])
		snprintf(name, room, "%s", sf->user_name);
	else
		snprintf(name, room, "%s-%s%llu-%lld", fence->ops->get_driver_name(fence),
			 fence->ops->get_timeline_name(fence),
			 (unsigned long long)fence->context, (long long)fence->seqno);
}

static long ioctl_file_info(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct sync_file *sf = sv_file_priv(f);
	struct sync_file_info *info = c->buf;
	struct sync_fence_info *list = NULL;
	struct dma_fence_unwrap iter;
	struct dma_fence *fence;
	u32 num = 0, room;
	long ret = 0;

	if (info->flags || info->pad)
		return -EINVAL;
	dma_fence_unwrap_for_each(fence, &iter, sf->fence)
		num++;
	room = num;
	if (info->num_fences) {
		if (info->num_fences < num)
			return -EINVAL;
		list = sv_calloc(num, sizeof(*list));
		if (!list)
			return -ENOMEM;
		num = 0;
		info->status = 1;
		dma_fence_unwrap_for_each(fence, &iter, sf->fence) {
			if (num == room)
				continue;
			fill_fence_info(fence, &list[num]);
			if (info->status > 0)
				info->status = list[num].status;
			num++;
		}
		if (sv_copy_to_user((void *)(uintptr_t)info->sync_fence_info, list,
				    num * sizeof(*list)))
			ret = -EFAULT;
		sv_free(list);
	} else {
		info->status = dma_fence_get_status(sf->fence);
	}
	memset(info->name, 0, sizeof(info->name));
	sync_file_name(sf, info->name, sizeof(info->name));
	info->num_fences = num;
	return ret;
}

static long ioctl_set_deadline(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	const struct sync_set_deadline *arg = c->buf;

	if (arg->pad)
		return -EINVAL;
	dma_fence_set_deadline(((struct sync_file *)sv_file_priv(f))->fence,
			       ns_to_ktime(arg->deadline_ns));
	return 0;
}

static const struct sv_ioctl sync_file_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, SYNC_IOC_MERGE, ioctl_merge),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, SYNC_IOC_FILE_INFO, ioctl_file_info),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, SYNC_IOC_SET_DEADLINE, ioctl_set_deadline),
};

static const struct sv_file_ops sync_file_fops = {
	.name = "sync-file",
	.ioctls = sync_file_ioctls,
	.nr_ioctls = ARRAY_SIZE(sync_file_ioctls),
	.release = sync_file_release,
};
