/* SPDX-License-Identifier: MIT */
/*
 * The exporter's side of buffers that other processes import: see docs/remote.md.
 *
 * Model. Each importer in the other process is an attachment of the buffer here, with a
 * device of its own name, so that the exporter's attach op, a revoke, dma_buf_late() and the
 * list see it like any other. It is mapped and pinned exactly as the other process says, in
 * the order in which it says so; an invalidate becomes a message.
 *
 * Requests that need the reservation lock wait in the link's queue. A revoked buffer is
 * refused without the lock, so that nobody waits for a revoke to be told so.
 *
 * When the peer is gone all of that is undone. Its fences have been signalled by then.
 *
 * Everything here runs in the link's thread, but mirror_invalidate (whoever invalidates, under
 * the reservation lock). Locks: reservation lock, then the link's.
 */
#include <errno.h>
#include <stdio.h>

#include "dmabuf/remote.h"

#define ATTACH_MOST 1024u
#define MAPS_MOST 4096u

struct mapping {
	struct list_head node;
	struct sg_table *sgt;
	enum dma_data_direction dir;
};

struct server_attach {
	struct list_head node;
	struct server *server;
	u32 id;
	struct device dev;
	char name[REMOTE_NAME + 16];
	struct dma_buf_attachment *attach;
	/* Reservation lock. */
	struct list_head maps;
	u32 nr_maps;
	u64 invalidates;
};

struct server {
	struct remote_link link;
	struct dma_buf *dmabuf;		/* a reference; NULL after BYE */
	struct list_head attachments;
	u32 nr_attached;
	bool greeted;
	int pid;
};

static void reply(struct server *s, const struct remote_msg *to, s64 value, u64 arg)
{
	const struct remote_msg msg = {
		.type = REMOTE_REPLY, .seq = to->seq, .value = value, .arg = arg,
	};

	remote_send(&s->link, &msg);
}

static void mirror_invalidate(struct dma_buf_attachment *attach)
{
	struct server_attach *a = attach->importer_priv;
	const struct remote_msg msg = {
		.type = REMOTE_INVALIDATE, .id = a->id, .arg = ++a->invalidates,
	};

	remote_send(&a->server->link, &msg);
}

/* By REMOTE_REVOCABLE and REMOTE_PEER2PEER. Static ones are dynamic here: nothing waits. */
static const struct dma_buf_attach_ops *mirror_ops_for(s64 flags)
{
	static const struct dma_buf_attach_ops ops[4] = {
		{ .allow_peer2peer = false },
		{ .allow_peer2peer = true },
		{ .allow_peer2peer = false, .invalidate_mappings = mirror_invalidate },
		{ .allow_peer2peer = true, .invalidate_mappings = mirror_invalidate },
	};

	return &ops[(flags & REMOTE_REVOCABLE ? 2 : 0) + (flags & REMOTE_PEER2PEER ? 1 : 0)];
}

static struct server_attach *find(struct server *s, u32 id)
{
	struct server_attach *a;

	list_for_each_entry(a, &s->attachments, node)
		if (a->id == id)
			return a;
	return NULL;
}

/* Reservation lock held. */
static void drop_mapping(struct server_attach *a, struct mapping *m)
{
	dma_buf_unmap_attachment(a->attach, m->sgt, m->dir);
	list_del(&m->node);
	a->nr_maps--;
	sv_free(m);
}

/* Reservation lock held. */
static void drop_all(struct server_attach *a)
{
	struct mapping *m, *next;

	list_for_each_entry_safe(m, next, &a->maps, node)
		drop_mapping(a, m);
	while (a->attach->pinned)
		dma_buf_unpin(a->attach);
	dma_buf_detach_locked(a->attach);
}

/* After drop_all, without the lock. */
static void attach_free(struct server *s, struct server_attach *a)
{
	dma_buf_attach_end(a->attach);
	list_del(&a->node);
	s->nr_attached--;
	sv_free(a);
}

/* The half that needs no lock; the result hangs on the operation. */
static int attach_begin(struct server *s, struct remote_op *op)
{
	struct server_attach *a;

	if (s->nr_attached >= ATTACH_MOST || find(s, op->msg.id))
		return -ENOSPC;
	a = sv_zalloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->server = s;
	a->id = op->msg.id;
	INIT_LIST_HEAD(&a->maps);
	snprintf(a->name, sizeof(a->name), "%.32s@%d", op->msg.name, s->pid);
	a->dev.init_name = a->name;
	a->attach = dma_buf_attach_begin(s->dmabuf, &a->dev, mirror_ops_for(op->msg.value), a);
	if (IS_ERR(a->attach)) {
		int err = (int)PTR_ERR(a->attach);

		sv_free(a);
		return err;
	}
	op->partial = a;
	return 0;
}

static bool run_attach(struct server *s, struct remote_op *op)
{
	struct server_attach *a;
	int err;

	if (!op->partial) {
		err = attach_begin(s, op);
		if (err) {
			reply(s, &op->msg, err, 0);
			return true;
		}
	}
	a = op->partial;
	if (!remote_lock(s->dmabuf->resv))
		return false;
	err = dma_buf_attach_commit(a->attach);
	if (!err) {
		list_add_tail(&a->node, &s->attachments);
		s->nr_attached++;
	}
	dma_resv_unlock(s->dmabuf->resv);
	if (err) {
		dma_buf_attach_end(a->attach);
		sv_free(a);
	}
	op->partial = NULL;
	reply(s, &op->msg, err, 0);
	return true;
}

/* Reservation lock held. */
static int do_map(struct server_attach *a, enum dma_data_direction dir)
{
	struct mapping *m;

	if ((unsigned int)dir >= DMA_NONE || a->nr_maps >= MAPS_MOST)
		return -EINVAL;
	m = sv_alloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->dir = dir;
	m->sgt = dma_buf_map_attachment(a->attach, dir);
	if (IS_ERR(m->sgt)) {
		int err = (int)PTR_ERR(m->sgt);

		sv_free(m);
		return err;
	}
	list_add_tail(&m->node, &a->maps);
	a->nr_maps++;
	return 0;
}

/* Reservation lock held. */
static void do_unmap(struct server_attach *a, enum dma_data_direction dir)
{
	struct mapping *m;

	list_for_each_entry(m, &a->maps, node) {
		if (m->dir == dir) {
			drop_mapping(a, m);
			return;
		}
	}
}

static bool is_mapped(struct server *s)
{
	struct server_attach *a;

	list_for_each_entry(a, &s->attachments, node)
		if (a->nr_maps)
			return true;
	return false;
}

/* What to do with the lock held. False: no memory, try again. */
static bool run_locked(struct server *s, struct remote_op *op)
{
	const struct remote_msg *msg = &op->msg;
	struct server_attach *a = find(s, msg->id);
	struct dma_buf *dmabuf = s->dmabuf;

	switch (msg->type) {
	case REMOTE_HELLO:
		/* Of our own making: the link begins. */
		remote_watch(&s->link, dmabuf->resv);
		remote_tell_all(&s->link);
		return true;
	case REMOTE_MAP:
		reply(s, msg, a ? do_map(a, (enum dma_data_direction)msg->value) : -EINVAL,
		      a ? a->invalidates : 0);
		return true;
	case REMOTE_PIN:
		reply(s, msg, a ? dma_buf_pin(a->attach) : -EINVAL, 0);
		return true;
	case REMOTE_SYNC:
		reply(s, msg, dma_buf_is_revoked(dmabuf) ? -ENODEV : 0, 0);
		return true;
	case REMOTE_UNMAP:
		if (a)
			do_unmap(a, (enum dma_data_direction)msg->value);
		return true;
	case REMOTE_UNPIN:
		if (a && a->attach->pinned)
			dma_buf_unpin(a->attach);
		return true;
	case REMOTE_DETACH:
		if (a)
			drop_all(a);
		return true;
	case REMOTE_FENCE_ADD:
		return remote_file(dmabuf->resv, op);
	default:
		return true;
	}
}

static bool refuse_request(struct server *s, const struct remote_msg *msg)
{
	bool request = msg->type == REMOTE_MAP || msg->type == REMOTE_PIN ||
		       msg->type == REMOTE_SYNC;

	if (!request || !dma_buf_is_revoked(s->dmabuf))
		return false;
	reply(s, msg, -ENODEV, 0);
	return true;
}

/* Without the lock, which a revoke may hold for long. */
static bool refuse_revoked(struct server *s, const struct remote_msg *msg)
{
	/* Who maps nothing of a revoked buffer has no say in how long that takes. */
	if (msg->type == REMOTE_FENCE_ADD)
		return dma_buf_is_revoked(s->dmabuf) && !is_mapped(s);
	return refuse_request(s, msg);
}

static bool detach_all(struct server *s)
{
	struct server_attach *a, *next;

	if (!remote_lock(s->dmabuf->resv))
		return false;
	list_for_each_entry(a, &s->attachments, node)
		drop_all(a);
	dma_resv_unlock(s->dmabuf->resv);
	list_for_each_entry_safe(a, next, &s->attachments, node)
		attach_free(s, a);
	return true;
}

static bool run_bye(struct server *s)
{
	if (!detach_all(s))
		return false;
	remote_unwatch(&s->link);
	dma_buf_put(s->dmabuf);
	s->dmabuf = NULL;
	return true;
}

static bool run_op(struct server *s, struct remote_op *op)
{
	struct server_attach *gone = NULL;
	bool done;

	if (!s->dmabuf)
		return true;
	if (op->msg.type == REMOTE_ATTACH)
		return run_attach(s, op);
	if (op->msg.type == REMOTE_BYE)
		return run_bye(s);
	if (refuse_revoked(s, &op->msg))
		return true;
	if (!remote_lock(s->dmabuf->resv))
		return false;
	if (op->msg.type == REMOTE_DETACH)
		gone = find(s, op->msg.id);
	done = run_locked(s, op);
	dma_resv_unlock(s->dmabuf->resv);
	if (gone)
		attach_free(s, gone);
	return done;
}

static bool server_run(struct remote_link *link)
{
	struct server *s = container_of(link, struct server, link);
	struct remote_op *op;

	while ((op = remote_first_op(link))) {
		if (!run_op(s, op))
			return false;
		remote_op_done(link, op);
	}
	return true;
}

static int server_message(struct remote_link *link, const struct remote_msg *msg)
{
	switch (msg->type) {
	case REMOTE_FENCE_ADD:
	case REMOTE_FENCE_SIGNAL:
		return remote_fence_message(link, msg);
	case REMOTE_ATTACH:
	case REMOTE_MAP:
	case REMOTE_PIN:
	case REMOTE_SYNC:
	case REMOTE_UNMAP:
	case REMOTE_UNPIN:
	case REMOTE_DETACH:
	case REMOTE_BYE:
		return remote_queue(link, msg);
	default:
		return -EPROTO;
	}
}

static bool server_hangup(struct remote_link *link)
{
	struct server *s = container_of(link, struct server, link);
	struct remote_op *op;

	/* What it still wanted; an attachment may be half made. */
	while ((op = remote_first_op(link))) {
		struct server_attach *a = op->partial;

		if (a) {
			dma_buf_attach_end(a->attach);
			sv_free(a);
		}
		remote_op_done(link, op);
	}
	return !s->dmabuf || run_bye(s);
}

static void server_free(struct remote_link *link)
{
	sv_free(container_of(link, struct server, link));
}

static const struct remote_role server_role = {
	.message = server_message,
	.run = server_run,
	.hangup = server_hangup,
	.free = server_free,
};

struct remote_link *remote_server_new(struct dma_buf *dmabuf, int pid, int sock)
{
	const struct remote_msg begin = { .type = REMOTE_HELLO };
	struct remote_msg hello = {
		.type = REMOTE_HELLO, .arg = dmabuf->size, .id = (u32)dmabuf->flags,
	};
	struct server *s = sv_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	remote_link_init(&s->link, &server_role, sock);
	s->dmabuf = dmabuf;
	s->pid = pid;
	INIT_LIST_HEAD(&s->attachments);
	/* Without it the fences of before would never be told. */
	if (remote_queue(&s->link, &begin)) {
		s->link.fd = -1;	/* the caller's still */
		s->link.ino = 0;
		remote_link_put(&s->link);
		return NULL;
	}
	snprintf(hello.name, sizeof(hello.name), "%s", dmabuf->exp_name);
	remote_send(&s->link, &hello);
	return &s->link;
}

void remote_server_drop(struct remote_link *link)
{
	struct remote_op *op;

	while ((op = remote_first_op(link)))
		remote_op_done(link, op);
	dma_buf_put(container_of(link, struct server, link)->dmabuf);
	remote_link_put(link);
}
