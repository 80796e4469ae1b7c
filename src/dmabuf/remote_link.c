/* SPDX-License-Identifier: MIT */
/*
 * What the two sides of a connection between processes share: see docs/remote.md.
 *
 * Fences. Each that is filed here while the link watches is told to the peer (struct
 * sent_fence) and, once signalled, told again. What the peer tells becomes a mirror fence,
 * which the peer's word or the link's end signals. A mirror is not told back to where it
 * came from.
 *
 * What needs a reservation lock is queued, in order, for the link's thread (remote_io.c).
 *
 * Nothing that a peer sends is trusted: numbers are looked up, lists have an upper bound, and
 * what makes no sense ends the link. A link that can't go on (no memory) breaks. That is
 * always allowed: docs/remote.md, "Either side may die".
 *
 * Lifetime: a reference each for the role, the thread and every fence in sent; freed a grace
 * period later, because a filer of fences may be on its way to watch.added.
 *
 * Locks: reservation locks; then link->lock, a spinlock; then fence locks. tests/model
 * explores this file and both roles.
 */
#include "dmabuf/remote.h"

#include <errno.h>
#include <stdio.h>

#define OPS_MOST 16384u
#define FENCES_MOST 16384u

struct sent_fence {
	struct remote_link *link;
	struct list_head node;
	struct dma_fence *fence;
	struct dma_fence_cb cb;
	struct irq_work work;
	u64 id;
};

struct mirror_fence {
	struct dma_fence base;	/* first: freed as a fence */
	struct list_head node;	/* in link->got while unsignalled */
	u64 link_id, id;
	char driver[REMOTE_NAME / 2], timeline[REMOTE_NAME / 2];
};

static const char *mirror_driver(struct dma_fence *fence)
{
	return container_of(fence, struct mirror_fence, base)->driver;
}

static const char *mirror_timeline(struct dma_fence *fence)
{
	return container_of(fence, struct mirror_fence, base)->timeline;
}

static const struct dma_fence_ops mirror_ops = {
	.get_driver_name = mirror_driver,
	.get_timeline_name = mirror_timeline,
};

void remote_link_setup(struct remote_link *link, const struct remote_role *role, int fd)
{
	refcount_set(&link->refs, 1);
	link->role = role;
	link->fd = fd;
	spin_lock_init(&link->lock);
	INIT_LIST_HEAD(&link->node);
	INIT_LIST_HEAD(&link->sent);
	INIT_LIST_HEAD(&link->got);
	INIT_LIST_HEAD(&link->ops);
}

struct remote_link *remote_link_get(struct remote_link *link)
{
	refcount_inc(&link->refs);
	return link;
}

static void link_free_rcu(struct rcu_head *rcu)
{
	struct remote_link *link = container_of(rcu, struct remote_link, rcu);

	sv_free(link->tx);
	link->role->free(link);
}

void remote_link_put(struct remote_link *link)
{
	if (!refcount_dec_and_test(&link->refs))
		return;
	remote_io_close(link);
	call_rcu(&link->rcu, link_free_rcu);
}

bool remote_is_broken(struct remote_link *link)
{
	return READ_ONCE(link->broken);
}

/* Fences of ours. */
static void sent_done(struct sent_fence *sent)
{
	struct remote_link *link = sent->link;
	bool last;

	spin_lock(&link->lock);
	list_del(&sent->node);
	last = link->bye && list_empty(&link->sent) && list_empty(&link->got);
	spin_unlock(&link->lock);
	if (last)
		remote_link_kick();
	dma_fence_put(sent->fence);
	remote_link_put(link);
	sv_free(sent);
}

static void sent_signal(struct sent_fence *sent)
{
	struct dma_fence *fence = sent->fence;
	const struct remote_msg msg = {
		.type = REMOTE_FENCE_SIGNAL, .seq = sent->id, .value = READ_ONCE(fence->error),
		.arg = (u64)dma_fence_timestamp(fence),
	};

	remote_send(sent->link, &msg);
	sent_done(sent);
}

static void sent_work(struct irq_work *work)
{
	sent_signal(container_of(work, struct sent_fence, work));
}

static void sent_cb(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	irq_work_queue(&container_of(cb, struct sent_fence, cb)->work);
}

static void tell_fence(struct remote_link *link, struct dma_fence *fence,
		       enum dma_resv_usage usage)
{
	struct remote_msg msg = { .type = REMOTE_FENCE_ADD, .value = (s64)usage };
	bool broken, signalled = false;
	struct sent_fence *sent;

	if (fence->ops == &mirror_ops &&
	    container_of(fence, struct mirror_fence, base)->link_id == link->id)
		return;
	if (remote_is_broken(link) || dma_fence_is_signaled(fence))
		return;
	sent = sv_zalloc(sizeof(*sent));
	if (!sent) {
		remote_break(link);
		return;
	}
	sent->link = remote_link_get(link);
	sent->fence = dma_fence_get(fence);
	INIT_LIST_HEAD(&sent->node);
	init_irq_work(&sent->work, sent_work);
	spin_lock(&link->lock);
	sent->id = ++link->next_fence;
	spin_unlock(&link->lock);
	msg.seq = sent->id;
	snprintf(msg.name, REMOTE_NAME / 2, "%s", dma_fence_driver_name(fence));
	snprintf(msg.name + REMOTE_NAME / 2, REMOTE_NAME / 2, "%s", dma_fence_timeline_name(fence));
	remote_send(link, &msg);

	/* In one step: who drops all of sent either finds it or has set broken before. */
	spin_lock(&link->lock);
	broken = link->broken;
	if (!broken) {
		signalled = dma_fence_add_callback(fence, &sent->cb, sent_cb);
		if (!signalled)
			list_add_tail(&sent->node, &link->sent);
	}
	spin_unlock(&link->lock);
	if (broken)
		sent_done(sent);
	else if (signalled)
		sent_signal(sent);
}

static void fence_added(struct dma_resv_watch *w, struct dma_fence *fence,
			enum dma_resv_usage usage)
{
	tell_fence(container_of(w, struct remote_link, watch), fence, usage);
}

void remote_watch(struct remote_link *link, struct dma_resv *resv)
{
	link->resv = resv;
	link->watch.added = fence_added;
	dma_resv_watch_add(resv, &link->watch);
}

void remote_unwatch(struct remote_link *link)
{
	if (link->resv)
		dma_resv_watch_del(link->resv, &link->watch);
	link->resv = NULL;
}

void remote_tell_all(struct remote_link *link)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_for_each_fence(&cursor, link->resv, DMA_RESV_USAGE_BOOKKEEP, fence)
		tell_fence(link, fence, dma_resv_iter_usage(&cursor));
}

/* Nobody hears of these any more: their references go. */
void remote_sent_drop(struct remote_link *link)
{
	struct sent_fence *sent;
	bool again = true;

	while (again) {
		again = false;
		spin_lock(&link->lock);
		list_for_each_entry(sent, &link->sent, node) {
			/* False: its work ends it. */
			if (!dma_fence_remove_callback(sent->fence, &sent->cb))
				continue;
			again = true;
			break;
		}
		spin_unlock(&link->lock);
		if (again)
			sent_done(sent);
	}
}

/* Mirrors. */
static struct mirror_fence *mirror_make(struct remote_link *link, const struct remote_msg *msg)
{
	struct mirror_fence *m = sv_zalloc(sizeof(*m));

	if (!m)
		return NULL;
	dma_fence_init(&m->base, &mirror_ops, NULL, dma_fence_context_alloc(1), 1);
	m->link_id = link->id;
	m->id = msg->seq;
	snprintf(m->driver, sizeof(m->driver), "%.*s", REMOTE_NAME / 2 - 1, msg->name);
	snprintf(m->timeline, sizeof(m->timeline), "%.*s", REMOTE_NAME / 2 - 1,
		 msg->name + REMOTE_NAME / 2);
	return m;
}

static void mirror_end(struct mirror_fence *m, int error, ktime_t when)
{
	if (error)
		dma_fence_set_error(&m->base, error);
	dma_fence_signal_timestamp(&m->base, when);
	dma_fence_put(&m->base);
}

static int fence_add(struct remote_link *link, const struct remote_msg *msg)
{
	struct mirror_fence *m;
	struct remote_op *op;
	int err = 0;

	if (msg->value < DMA_RESV_USAGE_KERNEL || msg->value > DMA_RESV_USAGE_BOOKKEEP)
		return -EPROTO;
	m = mirror_make(link, msg);
	op = sv_zalloc(sizeof(*op));
	if (!m || !op) {
		if (m)
			mirror_end(m, -ENOMEM, ktime_get());
		sv_free(op);
		return -ENOMEM;
	}
	op->msg = *msg;
	op->fence = dma_fence_get(&m->base);
	spin_lock(&link->lock);
	if (link->nr_got >= FENCES_MOST || link->nr_ops >= OPS_MOST) {
		err = -EPROTO;
	} else {
		list_add_tail(&m->node, &link->got);
		link->nr_got++;
		list_add_tail(&op->node, &link->ops);
		link->nr_ops++;
	}
	spin_unlock(&link->lock);
	if (err) {
		dma_fence_put(op->fence);
		sv_free(op);
		mirror_end(m, -EOWNERDEAD, ktime_get());
	}
	return err;
}

static int fence_signal(struct remote_link *link, const struct remote_msg *msg)
{
	struct mirror_fence *m, *found = NULL;

	if (msg->value > 0 || msg->value < -MAX_ERRNO)
		return -EPROTO;
	spin_lock(&link->lock);
	list_for_each_entry(m, &link->got, node) {
		if (m->id != msg->seq)
			continue;
		list_del(&m->node);
		link->nr_got--;
		found = m;
		break;
	}
	spin_unlock(&link->lock);
	if (!found)
		return -EPROTO;
	mirror_end(found, (int)msg->value, (ktime_t)min(msg->arg, (u64)ktime_get()));
	return 0;
}

int remote_fence_message(struct remote_link *link, const struct remote_msg *msg)
{
	return msg->type == REMOTE_FENCE_ADD ? fence_add(link, msg) : fence_signal(link, msg);
}

void remote_fences_die(struct remote_link *link)
{
	struct mirror_fence *m;

	for (;;) {
		spin_lock(&link->lock);
		m = list_first_entry_or_null(&link->got, struct mirror_fence, node);
		if (m) {
			list_del(&m->node);
			link->nr_got--;
		}
		spin_unlock(&link->lock);
		if (!m)
			return;
		mirror_end(m, -EOWNERDEAD, ktime_get());
	}
}

bool remote_file(struct dma_resv *resv, struct remote_op *op)
{
	if (dma_resv_reserve_fences(resv, 1))
		return false;
	dma_resv_add_fence(resv, op->fence, (enum dma_resv_usage)op->msg.value);
	return true;
}

int remote_queue(struct remote_link *link, const struct remote_msg *msg)
{
	struct remote_op *op = sv_zalloc(sizeof(*op));
	int err = 0;

	if (!op)
		return -ENOMEM;
	op->msg = *msg;
	spin_lock(&link->lock);
	if (link->nr_ops >= OPS_MOST) {
		err = -EPROTO;
	} else {
		list_add_tail(&op->node, &link->ops);
		link->nr_ops++;
	}
	spin_unlock(&link->lock);
	if (err)
		sv_free(op);
	return err;
}

struct remote_op *remote_first_op(struct remote_link *link)
{
	struct remote_op *op;

	spin_lock(&link->lock);
	op = list_first_entry_or_null(&link->ops, struct remote_op, node);
	spin_unlock(&link->lock);
	return op;
}

void remote_op_done(struct remote_link *link, struct remote_op *op)
{
	spin_lock(&link->lock);
	list_del(&op->node);
	link->nr_ops--;
	spin_unlock(&link->lock);
	dma_fence_put(op->fence);
	sv_free(op);
}
