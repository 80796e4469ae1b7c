/* SPDX-License-Identifier: MIT */
/*
 * Queues that a program reads: what fault queues (fault.c) and a vIOMMU's event queues share, and
 * the latter.
 *
 * Event queues: the IOMMU reports, the program reads headers and events. Each report has the
 * next sequence number. When depth events wait, or memory is short, the report is lost and the
 * end of the queue says so: one header without event, whose number is that of the last lost
 * one. The next event that fits takes its place, and the gap in the numbers tells as much.
 *
 * Locks: read_lock (one reader at a time) outside of q->lock; viommu->lock outside of both.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/libc.h"
#include "iommu/viommu.h"

struct event {
	struct list_head node;
	struct iommufd_vevent_header header;
	u32 len;
	u8 data[];
};

int iommufd_eventq_init(struct iommufd_eventq *q, struct iommufd_ctx *ictx,
			const struct sv_file_ops *ops)
{
	int err;

	/* A forked child could do nothing with the descriptor. */
	if (sv_user_is_foreign())
		return -EIO;
	q->ictx = ictx;
	sv_mutex_init(&q->lock);
	INIT_LIST_HEAD(&q->deliver);
	/* Non-blocking as the kernel's: an empty queue reads 0 bytes, and poll waits. */
	err = sv_file_create(ops, q, SV_BACKING_EVENTFD | SV_BACKING_KEEP, 0,
			     O_RDWR | O_CLOEXEC | O_NONBLOCK, &q->file);
	if (err) {
		sv_mutex_destroy(&q->lock);
		return err;
	}
	iommufd_object_hold(&q->obj);
	iommufd_ctx_get(ictx);
	return 0;
}

void iommufd_eventq_abort(struct iommufd_eventq *q)
{
	sv_file_put(q->file);
	sv_mutex_destroy(&q->lock);
}

/* Before install the number is only the backing's, and KEEP shows the other. */
int iommufd_eventq_fd(struct iommufd_eventq *q)
{
	return sv_file_number(q->file);
}

void iommufd_eventq_install(struct iommufd_eventq *q)
{
	sv_file_install(q->file);
}

void iommufd_eventq_update(struct iommufd_eventq *q)
{
	bool readable = !list_empty(&q->deliver);
	u64 one = 1;
	int fd;

	if (!q->file || readable == q->readable)
		return;
	fd = sv_file_backing_fd(q->file);
	/* Neither blocks nor fails: the count is 0 or 1 and the file non-blocking. */
	(void)sv_libc.syscall(readable ? SYS_write : SYS_read, fd, &one, sizeof(one));
	q->readable = readable;
}

void iommufd_eventq_release(struct sv_file *f)
{
	struct iommufd_eventq *q = sv_file_priv(f);
	struct iommufd_ctx *ictx = q->ictx;

	sv_mutex_lock(&q->lock);
	q->file = NULL;
	sv_mutex_unlock(&q->lock);
	/* From here the object may be gone. */
	iommufd_object_unhold(&q->obj);
	iommufd_ctx_put(ictx);
}

/* The queue of a type; viommu->lock held */
static struct iommufd_veventq *find(struct iommufd_viommu *viommu, u32 type)
{
	struct iommufd_veventq *veventq;

	list_for_each_entry(veventq, &viommu->veventqs, node)
		if (veventq->type == type)
			return veventq;
	return NULL;
}

static bool is_lost_header(const struct iommufd_veventq *veventq, const struct event *e)
{
	return e == veventq->lost;
}

/* e takes its number and its place, and that of a "lost" at the end. q->lock held */
static void append(struct iommufd_veventq *veventq, struct event *e)
{
	struct iommufd_eventq *q = &veventq->common;

	if (list_is_last(&veventq->lost->node, &q->deliver))
		list_del_init(&veventq->lost->node);
	list_add_tail(&e->node, &q->deliver);
	e->header.sequence = veventq->sequence;
	veventq->sequence = (veventq->sequence + 1) & INT_MAX;
	iommufd_eventq_update(q);
}

int iommufd_viommu_report_event(struct iommufd_viommu *viommu, u32 type, const void *data,
				size_t len)
{
	struct iommufd_veventq *veventq;
	struct event *e = NULL;
	int err = 0;

	if (!data || !len || len > SV_PAGE_SIZE)
		return -EINVAL;
	sv_read_lock(&viommu->lock);
	veventq = find(viommu, type);
	if (!veventq) {
		sv_read_unlock(&viommu->lock);
		return -EOPNOTSUPP;
	}
	sv_mutex_lock(&veventq->common.lock);
	if (veventq->num_events < veventq->depth) {
		e = sv_zalloc(sizeof(*e) + len);
		if (e) {
			memcpy(e->data, data, len);
			e->len = (u32)len;
			veventq->num_events++;
		} else {
			err = -ENOMEM;
		}
	}
	append(veventq, e ? e : veventq->lost);
	sv_mutex_unlock(&veventq->common.lock);
	sv_read_unlock(&viommu->lock);
	return err;
}

/*
 * The first event, for the reader alone. A "lost" stays the queue's: *lost is a copy of its
 * header. NULL: none.
 */
static struct event *fetch(struct iommufd_veventq *veventq, struct iommufd_vevent_header *header)
{
	struct iommufd_eventq *q = &veventq->common;
	struct event *e;

	sv_mutex_lock(&q->lock);
	e = list_first_entry_or_null(&q->deliver, struct event, node);
	if (e) {
		list_del_init(&e->node);
		*header = e->header;
		iommufd_eventq_update(q);
	}
	sv_mutex_unlock(&q->lock);
	return e;
}

/* It did not fit, or could not be copied. A "lost" comes back only if nothing has come since. */
static void restore(struct iommufd_veventq *veventq, struct event *e,
		    const struct iommufd_vevent_header *header)
{
	struct iommufd_eventq *q = &veventq->common;

	sv_mutex_lock(&q->lock);
	if (!is_lost_header(veventq, e)) {
		list_add(&e->node, &q->deliver);
	} else if (list_empty(&q->deliver)) {
		e->header = *header;
		list_add(&e->node, &q->deliver);
	}
	iommufd_eventq_update(q);
	sv_mutex_unlock(&q->lock);
}

static void consumed(struct iommufd_veventq *veventq, struct event *e)
{
	if (is_lost_header(veventq, e))
		return;
	sv_mutex_lock(&veventq->common.lock);
	veventq->num_events--;
	sv_mutex_unlock(&veventq->common.lock);
	sv_free(e);
}

/* Bytes written, 0: no room, or -EFAULT. */
static ssize_t copy_event(struct iommufd_veventq *veventq, const struct event *e,
			  const struct iommufd_vevent_header *header, char *user, size_t room)
{
	size_t len = is_lost_header(veventq, e) ? 0 : e->len;

	if (room < sizeof(*header) + len)
		return 0;
	if (sv_copy_to_user(user, header, sizeof(*header)) ||
	    (len && sv_copy_to_user(user + sizeof(*header), e->data, len)))
		return -EFAULT;
	return (ssize_t)(sizeof(*header) + len);
}

static ssize_t veventq_read(struct sv_file *f, void *user, size_t count, u64 *pos, bool stream)
{
	struct iommufd_veventq *veventq = container_of(sv_file_priv(f), struct iommufd_veventq,
						       common);
	struct iommufd_vevent_header header;
	size_t done = 0;
	ssize_t n = 0;
	struct event *e;

	if (!stream)
		return -ESPIPE;
	sv_mutex_lock(&veventq->read_lock);
	while ((e = fetch(veventq, &header))) {
		n = copy_event(veventq, e, &header, (char *)user + done, count - done);
		if (n <= 0) {
			restore(veventq, e, &header);
			break;
		}
		consumed(veventq, e);
		done += (size_t)n;
	}
	sv_mutex_unlock(&veventq->read_lock);
	return done ? (ssize_t)done : min(n, (ssize_t)0);
}

static ssize_t veventq_write(struct sv_file *f, const void *user, size_t count, u64 *pos,
			     bool stream)
{
	return -EINVAL;
}

static const struct sv_file_ops veventq_ops = {
	.name = "iommufd-viommu-event",
	.read = veventq_read,
	.write = veventq_write,
	.release = iommufd_eventq_release,
	.bound_to_mm = true,
};

/* What is left of an event queue that no reporter finds any more. */
static void veventq_free(struct iommufd_veventq *veventq)
{
	struct event *e, *next;

	list_for_each_entry_safe(e, next, &veventq->common.deliver, node)
		if (!is_lost_header(veventq, e))
			sv_free(e);
	sv_free(veventq->lost);
	sv_mutex_destroy(&veventq->read_lock);
	iommufd_object_unhold(&veventq->viommu->obj);
}

void iommufd_veventq_destroy(struct iommufd_object *obj)
{
	struct iommufd_veventq *veventq = container_of(obj, struct iommufd_veventq, common.obj);

	sv_write_lock(&veventq->viommu->lock);
	list_del(&veventq->node);
	sv_write_unlock(&veventq->viommu->lock);
	veventq_free(veventq);
	sv_mutex_destroy(&veventq->common.lock);
}

static int veventq_init(struct iommufd_veventq *veventq, struct iommufd_viommu *viommu,
			const struct iommu_veventq_alloc *cmd)
{
	veventq->lost = sv_zalloc(sizeof(*veventq->lost));
	if (!veventq->lost)
		return -ENOMEM;
	INIT_LIST_HEAD(&veventq->lost->node);
	veventq->lost->header.flags = IOMMU_VEVENTQ_FLAG_LOST_EVENTS;
	veventq->type = cmd->type;
	veventq->depth = cmd->veventq_depth;
	veventq->viommu = viommu;
	return 0;
}

/* viommu->lock held for writing, so that a type has one queue. */
static int veventq_alloc_locked(struct iommufd_ctx *ictx, struct iommufd_viommu *viommu,
				struct sv_ioctl_ctx *c)
{
	struct iommu_veventq_alloc *cmd = c->buf;
	struct iommufd_veventq *veventq;
	int err;

	if (find(viommu, cmd->type))
		return -EEXIST;
	veventq = (struct iommufd_veventq *)(void *)
		_iommufd_object_alloc(ictx, sizeof(*veventq), IOMMUFD_OBJ_VEVENTQ);
	if (IS_ERR(veventq))
		return (int)PTR_ERR(veventq);
	err = veventq_init(veventq, viommu, cmd);
	if (err)
		goto abort;
	err = iommufd_eventq_init(&veventq->common, ictx, &veventq_ops);
	if (err) {
		sv_free(veventq->lost);
		goto abort;
	}
	sv_mutex_init(&veventq->read_lock);
	iommufd_object_hold(&viommu->obj);
	cmd->out_veventq_id = veventq->common.obj.id;
	cmd->out_veventq_fd = (u32)iommufd_eventq_fd(&veventq->common);
	err = iommufd_respond(c);
	if (err) {
		veventq_free(veventq);
		iommufd_eventq_abort(&veventq->common);
		goto abort;
	}
	list_add_tail(&veventq->node, &viommu->veventqs);
	iommufd_object_finalize(ictx, &veventq->common.obj);
	iommufd_eventq_install(&veventq->common);
	return 0;
abort:
	iommufd_object_abort(ictx, &veventq->common.obj);
	return err;
}
_Static_assert(!offsetof(struct iommufd_veventq, common.obj), "_iommufd_object_alloc");

long iommufd_veventq_alloc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	const struct iommu_veventq_alloc *cmd = c->buf;
	struct iommufd_viommu *viommu;
	int err = -EOPNOTSUPP;

	if (cmd->flags || cmd->__reserved || cmd->type == IOMMU_VEVENTQ_TYPE_DEFAULT)
		return -EOPNOTSUPP;
	if (!cmd->veventq_depth)
		return -EINVAL;
	viommu = iommufd_get_viommu(ictx, cmd->viommu_id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);
	if (viommu->ops->supports_veventq && viommu->ops->supports_veventq(viommu, cmd->type)) {
		sv_write_lock(&viommu->lock);
		err = veventq_alloc_locked(ictx, viommu, c);
		sv_write_unlock(&viommu->lock);
	}
	iommufd_put_object(ictx, &viommu->obj);
	return err;
}
