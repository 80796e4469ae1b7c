/* SPDX-License-Identifier: MIT */
/*
 * Sync files: see softvirt/sync-file.h.
 *
 * Model. A sync file holds a fence for life and watches it from the beginning. Its eventfd
 * is filled to the brim by the fence's callback: readable, as the kernel's sync file, and
 * not writable. The callback runs under the fence's lock, so the release, which takes the
 * callback back, is sure that it isn't running.
 */
#include "softvirt/sync-file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "file/file.h"
#include "softvirt/dma-buf.h"
#include "softvirt/dma-fence-unwrap.h"
#include "softvirt/uapi/sync.h"

#define EVENTFD_FULL 0xfffffffffffffffeull

struct sync_file {
	char user_name[32];
	struct dma_fence *fence;
	struct dma_fence_cb cb;
	int fd;			/* the eventfd, the file's own descriptor */
};

static const struct sv_file_ops sync_file_fops;

static void sync_file_fill(struct sync_file *sf)
{
	u64 full = EVENTFD_FULL;

	if (write(sf->fd, &full, sizeof(full)) < 0) {
		/* Somebody wrote to it: it is readable already, which is what we want. */
	}
}

static void sync_file_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	sync_file_fill(container_of(cb, struct sync_file, cb));
}

static void sync_file_release(struct sv_file *f)
{
	struct sync_file *sf = sv_file_priv(f);

	dma_fence_remove_callback(sf->fence, &sf->cb);
	dma_fence_put(sf->fence);
	sv_free(sf);
}

int sync_file_fd(struct dma_fence *fence, const char *name)
{
	struct sync_file *sf = sv_zalloc(sizeof(*sf));
	struct sv_file *f;
	int err;

	if (!sf)
		return -ENOMEM;
	/* O_NONBLOCK: a full eventfd must not stop the signaller. */
	err = sv_file_create(&sync_file_fops, sf, SV_BACKING_EVENTFD | SV_BACKING_KEEP, 0,
			     O_CLOEXEC | O_NONBLOCK, &f);
	if (err) {
		sv_free(sf);
		return err;
	}
	sf->fence = dma_fence_get(fence);
	sf->fd = sv_file_backing_fd(f);
	if (name)
		snprintf(sf->user_name, sizeof(sf->user_name), "%s", name);
	if (dma_fence_add_callback(fence, &sf->cb, sync_file_cb))
		sync_file_fill(sf);
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

/*
 * poll: for each event asked of a dma-buf, a sync file that signals when it is true stands
 * in for the buffer. The set of fences is the one at the time of the call.
 */
struct poll_stand_in {
	nfds_t index;
	short event;
};

static int poll_add(struct pollfd *out, struct poll_stand_in *s, struct dma_buf *dmabuf,
		    nfds_t index, short event)
{
	struct dma_fence *fence = NULL;
	int fd;

	fd = dma_resv_get_singleton(dmabuf->resv, dma_resv_usage_rw(event == POLLOUT), &fence);
	if (fd)
		return fd;
	if (!fence)
		fence = dma_fence_get_stub();
	fd = sync_file_fd(fence, NULL);
	dma_fence_put(fence);
	if (fd < 0)
		return fd;
	out->fd = fd;
	out->events = POLLIN;
	s->index = index;
	s->event = event;
	return 0;
}

static void close_stand_in(int fd)
{
	sv_fd_forget(fd);
	sv_libc.close(fd);
}

int softvirt_poll(struct pollfd *fds, nfds_t nfds, int timeout_ms)
{
	static const short events[] = { POLLIN, POLLOUT };
	struct poll_stand_in *stand_ins;
	struct pollfd *all;
	nfds_t nr = 0;
	int ret = 0;

	all = sv_calloc(3 * nfds + 1, sizeof(*all));
	stand_ins = sv_calloc(2 * nfds + 1, sizeof(*stand_ins));
	if (!all || !stand_ins)
		ret = -ENOMEM;
	for (nfds_t i = 0; !ret && i < nfds; i++) {
		struct dma_buf *dmabuf = fds[i].fd < 0 ? ERR_PTR(-EBADF) :
					 dma_buf_get(fds[i].fd);

		all[i] = fds[i];
		if (IS_ERR(dmabuf))
			continue;
		all[i].fd = -1;
		for (size_t e = 0; e < ARRAY_SIZE(events) && !ret; e++) {
			if (!(fds[i].events & events[e]))
				continue;
			ret = poll_add(&all[nfds + nr], &stand_ins[nr], dmabuf, i, events[e]);
			nr += !ret;
		}
		dma_buf_put(dmabuf);
	}
	if (!ret) {
		ret = poll(all, nfds + nr, timeout_ms);
		if (ret < 0)
			ret = -errno;
	}
	if (ret >= 0) {
		ret = 0;
		for (nfds_t i = 0; i < nfds; i++)
			fds[i].revents = all[i].fd < 0 ? 0 : all[i].revents;
		for (nfds_t i = 0; i < nr; i++)
			if (all[nfds + i].revents)
				fds[stand_ins[i].index].revents |= stand_ins[i].event;
		for (nfds_t i = 0; i < nfds; i++)
			ret += fds[i].revents != 0;
	}
	for (nfds_t i = 0; i < nr; i++)
		close_stand_in(all[nfds + i].fd);
	sv_free(stand_ins);
	sv_free(all);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}
