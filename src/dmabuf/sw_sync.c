/* SPDX-License-Identifier: MIT */
/*
 * /sys/kernel/debug/sync/sw_sync: timelines that a program drives by itself. Each open is a
 * timeline; a fence on it signals when the timeline's count reaches the fence's number.
 *
 * Model. The timeline's lock is the lock of all of its fences. Fences that have not
 * signalled are on points, sorted by number; a fence leaves the list when it signals or is
 * released. A fence holds a reference of its timeline. Closing the timeline signals what is
 * left, with -ENOENT.
 *
 * Signalling drops no reference under the lock: the release of a fence takes it.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "file/file.h"
#include "softvirt/dma-fence.h"
#include "softvirt/sync-file.h"
#include "softvirt/uapi/sync.h"

struct sync_timeline {
	struct kref kref;
	char name[32];
	spinlock_t lock;
	u64 context;
	u32 value;			/* lock */
	struct list_head points;	/* lock */
};

struct sync_point {
	struct dma_fence base;
	struct list_head link;		/* timeline lock */
	struct list_head done;		/* private to whoever signals it */
	bool has_deadline;		/* timeline lock */
	ktime_t deadline;
	struct sync_timeline *timeline;
};

static const struct dma_fence_ops point_ops;

static struct sync_point *to_point(struct dma_fence *fence)
{
	return fence->ops == &point_ops ? container_of(fence, struct sync_point, base) : NULL;
}

static void timeline_free(struct kref *kref)
{
	sv_free(container_of(kref, struct sync_timeline, kref));
}

static const char *point_driver_name(struct dma_fence *fence)
{
	return "sw_sync";
}

static const char *point_timeline_name(struct dma_fence *fence)
{
	return to_point(fence)->timeline->name;
}

static bool point_reached(struct dma_fence *fence)
{
	struct sync_timeline *timeline = to_point(fence)->timeline;

	return !__dma_fence_is_later(fence, fence->seqno, READ_ONCE(timeline->value));
}

static void point_release(struct dma_fence *fence)
{
	struct sync_point *point = to_point(fence);
	struct sync_timeline *timeline = point->timeline;

	spin_lock(&timeline->lock);
	list_del_init(&point->link);
	spin_unlock(&timeline->lock);
	dma_fence_free(fence);
	kref_put(&timeline->kref, timeline_free);
}

static void point_set_deadline(struct dma_fence *fence, ktime_t deadline)
{
	struct sync_point *point = to_point(fence);

	spin_lock(fence->lock);
	if (!point->has_deadline || deadline < point->deadline)
		point->deadline = deadline;
	point->has_deadline = true;
	spin_unlock(fence->lock);
}

static const struct dma_fence_ops point_ops = {
	.get_driver_name = point_driver_name,
	.get_timeline_name = point_timeline_name,
	.signaled = point_reached,
	.release = point_release,
	.set_deadline = point_set_deadline,
};

/* Signals what has been reached, or everything with an error. */
static void timeline_signal(struct sync_timeline *timeline, u32 inc, int error)
{
	struct sync_point *point, *next;
	LIST_HEAD(done);

	spin_lock(&timeline->lock);
	WRITE_ONCE(timeline->value, timeline->value + inc);
	list_for_each_entry_safe(point, next, &timeline->points, link) {
		if (!error && !point_reached(&point->base))
			break;
		list_del_init(&point->link);
		/* One whose last reference is gone is being released and needs no signal. */
		if (!dma_fence_get_rcu(&point->base))
			continue;
		list_add_tail(&point->done, &done);
		if (error && !dma_fence_test_signaled_flag(&point->base))
			dma_fence_set_error(&point->base, error);
		dma_fence_signal_locked(&point->base);
	}
	spin_unlock(&timeline->lock);
	list_for_each_entry_safe(point, next, &done, done)
		dma_fence_put(&point->base);
}

static struct sync_point *point_create(struct sync_timeline *timeline, u32 value)
{
	struct sync_point *point = sv_zalloc(sizeof(*point)), *before;

	if (!point)
		return NULL;
	kref_get(&timeline->kref);
	point->timeline = timeline;
	INIT_LIST_HEAD(&point->link);
	dma_fence_init(&point->base, &point_ops, &timeline->lock, timeline->context, value);
	spin_lock(&timeline->lock);
	if (!dma_fence_is_signaled_locked(&point->base)) {
		/* Most come in order: look from the end. */
		list_for_each_entry_reverse(before, &timeline->points, link)
			if (!__dma_fence_is_later(&before->base, before->base.seqno, value))
				break;
		list_add(&point->link, &before->link);
	}
	spin_unlock(&timeline->lock);
	return point;
}

static long ioctl_create_fence(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct sw_sync_create_fence_data *data = c->buf;
	struct sync_point *point;
	int fd;

	point = point_create(sv_file_priv(f), data->value);
	if (!point)
		return -ENOMEM;
	data->name[sizeof(data->name) - 1] = 0;
	/* As the kernel: the name given here is not the one the file shows. */
	fd = sync_file_fd(&point->base, NULL);
	dma_fence_put(&point->base);
	if (fd < 0)
		return fd;
	data->fence = fd;
	return 0;
}

static long ioctl_inc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	u32 inc = *(const u32 *)c->buf;

	/* Numbers are compared as 32-bit ones that wrap: no step may look like one back. */
	for (; inc > INT_MAX; inc -= INT_MAX)
		timeline_signal(sv_file_priv(f), INT_MAX, 0);
	timeline_signal(sv_file_priv(f), inc, 0);
	return 0;
}

static long ioctl_get_deadline(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct sw_sync_get_deadline *data = c->buf;
	struct sync_point *point;
	struct dma_fence *fence;
	long ret = 0;

	if (data->pad || data->deadline_ns)
		return -EINVAL;
	fence = sync_file_get_fence(data->fence_fd);
	if (!fence)
		return -EINVAL;
	point = to_point(fence);
	if (!point) {
		ret = -EINVAL;
	} else {
		spin_lock(fence->lock);
		if (point->has_deadline)
			data->deadline_ns = (__u64)ktime_to_ns(point->deadline);
		else
			ret = -ENOENT;
		spin_unlock(fence->lock);
	}
	dma_fence_put(fence);
	return ret;
}

static const struct sv_ioctl sw_sync_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, SW_SYNC_IOC_CREATE_FENCE, ioctl_create_fence),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, SW_SYNC_IOC_INC, ioctl_inc),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, SW_SYNC_GET_DEADLINE, ioctl_get_deadline),
};

static void sw_sync_release(struct sv_file *f)
{
	struct sync_timeline *timeline = sv_file_priv(f);

	timeline_signal(timeline, 0, -ENOENT);
	kref_put(&timeline->kref, timeline_free);
}

static const struct sv_file_ops sw_sync_fops = {
	.name = "sw-sync",
	.ioctls = sw_sync_ioctls,
	.nr_ioctls = ARRAY_SIZE(sw_sync_ioctls),
	.release = sw_sync_release,
};

static int sw_sync_open(const struct sv_node *node, int o_flags)
{
	struct sync_timeline *timeline = sv_zalloc(sizeof(*timeline));
	struct sv_file *f;
	int err;

	if (!timeline)
		return -ENOMEM;
	err = sv_file_create(&sw_sync_fops, timeline, SV_BACKING_EVENTFD, 0, o_flags, &f);
	if (err) {
		sv_free(timeline);
		return err;
	}
	kref_init(&timeline->kref);
	spin_lock_init(&timeline->lock);
	timeline->context = dma_fence_context_alloc(1);
	INIT_LIST_HEAD(&timeline->points);
	/* The kernel names it after the thread. */
	if (prctl(PR_GET_NAME, timeline->name))
		strcpy(timeline->name, "sw_sync");
	return sv_file_install(f);
}

extern const struct sv_node sw_sync_node;
const struct sv_node sw_sync_node = {
	.path = "/sys/kernel/debug/sync/sw_sync",
	.open = sw_sync_open,
};
