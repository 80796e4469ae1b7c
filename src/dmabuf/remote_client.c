/* SPDX-License-Identifier: MIT */
/*
 * The importer's side of buffers of other processes: see docs/remote.md.
 *
 * Model. A descriptor of such a buffer becomes, at its first use, a buffer of this process: a
 * proxy, whose exporter is this file. Its memory is the same memfd; a device's address is in
 * our mapping of it. attach, pin and map ask the real exporter and wait for the answer; what
 * gives something back is only told. The proxy's reservation is its own; fences go both ways.
 *
 * An invalidate comes in the link's thread, which then calls the importers under the proxy's
 * reservation lock. One that was sent before the mapping that it meets is not for that one:
 * both carry a count.
 *
 * A caller that has an answer has also, before it, all fences that the exporter had told of
 * until then: those are filed by the caller itself if it holds the lock.
 *
 * When the exporter is gone the proxy is revoked for good: importers are told, waiters get
 * -ENODEV, mirror fences signal with -EOWNERDEAD. The memory stays.
 *
 * Lifetime: the link's thread uses the proxy's buffer only with a reference, which it gets
 * under run_m unless the release has set gone.
 *
 * Locks: the proxy's reservation lock; then rpc_m; run_m alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/libc.h"
#include "base/timer.h"
#include "dmabuf/remote.h"

/* How long an exporter may take to answer. */
#define RPC_NS 10000000000ull

struct proxy {
	struct remote_link link;
	struct dma_buf *dmabuf;
	int memfd;
	char *vaddr;
	size_t size;
	char exp_name[REMOTE_NAME + 24];

	struct sv_mutex run_m;
	bool gone;			/* run_m: the buffer is being freed */

	struct sv_mutex rpc_m;
	struct sv_cond rpc_c;
	/* Under rpc_m. */
	struct list_head rpcs;
	u64 next_seq;
	u32 next_id;
	bool dead;			/* the exporter is gone */
};

/* Of an attachment, in its priv. */
struct proxy_attach {
	u32 id;
	u64 seen;			/* reservation lock: invalidates before the last map */
};

struct rpc {
	struct list_head node;
	u64 seq, arg;
	s64 value;
	bool done, abandoned;
	struct remote_msg undo;		/* sent when the answer comes after all; type 0: nothing */
};

/* Fences that the exporter told of before the answer that we have. Reservation lock held. */
static void file_fences(struct proxy *p)
{
	struct remote_op *op, *next;
	LIST_HEAD(mine);

	spin_lock(&p->link.lock);
	list_for_each_entry_safe(op, next, &p->link.ops, node)
		if (op->msg.type == REMOTE_FENCE_ADD)
			list_move_tail(&op->node, &mine);
	spin_unlock(&p->link.lock);
	while (!list_empty(&mine)) {
		op = list_first_entry(&mine, struct remote_op, node);
		if (!remote_file(p->dmabuf->resv, op)) {
			spin_lock(&p->link.lock);
			list_splice(&mine, &p->link.ops);
			spin_unlock(&p->link.lock);
			return;
		}
		remote_op_done(&p->link, op);
	}
}

static struct rpc *rpc_find(struct proxy *p, u64 seq)
{
	struct rpc *rpc;

	list_for_each_entry(rpc, &p->rpcs, node)
		if (rpc->seq == seq)
			return rpc;
	return NULL;
}

/* rpc_m held, and held again on return. */
static int rpc_wait(struct proxy *p, struct rpc *rpc, u64 deadline_ns)
{
	int err = 0;

	while (!rpc->done && !p->dead && !err)
		err = sv_cond_wait_until(&p->rpc_c, &p->rpc_m, deadline_ns);
	if (rpc->done)
		return 0;
	return p->dead ? -ENODEV : -ETIMEDOUT;
}

/*
 * Asks and waits. undo_type: what to send if the answer comes too late and is a success. arg
 * may be NULL. 0 or -errno: -ENODEV the exporter is gone, -ETIMEDOUT, -EBUSY asked from where
 * the answer can't come.
 */
static int rpc_call(struct proxy *p, struct remote_msg *msg, enum remote_type undo_type, u64 *arg)
{
	struct rpc *rpc;
	int err;

	if (remote_in_thread())
		return -EBUSY;
	rpc = sv_zalloc(sizeof(*rpc));
	if (!rpc)
		return -ENOMEM;
	sv_mutex_lock(&p->rpc_m);
	rpc->seq = msg->seq = ++p->next_seq;
	rpc->undo = (struct remote_msg){ .type = undo_type, .id = msg->id, .value = msg->value };
	list_add_tail(&rpc->node, &p->rpcs);
	sv_mutex_unlock(&p->rpc_m);
	remote_send(&p->link, msg);
	sv_mutex_lock(&p->rpc_m);
	err = rpc_wait(p, rpc, sv_now_ns() + RPC_NS);
	if (!err) {
		err = rpc->value < -MAX_ERRNO || rpc->value > 0 ? -EPROTO : (int)rpc->value;
		if (arg)
			*arg = rpc->arg;
	}
	if (err == -ETIMEDOUT && !rpc->done) {
		rpc->abandoned = true;
	} else {
		list_del(&rpc->node);
		sv_free(rpc);
	}
	sv_mutex_unlock(&p->rpc_m);
	return err;
}

static int got_reply(struct proxy *p, const struct remote_msg *msg)
{
	struct remote_msg undo = { 0 };
	struct rpc *rpc;

	sv_mutex_lock(&p->rpc_m);
	rpc = rpc_find(p, msg->seq);
	if (rpc && rpc->abandoned) {
		list_del(&rpc->node);
		if (!msg->value)
			undo = rpc->undo;
		sv_free(rpc);
	} else if (rpc) {
		rpc->value = msg->value;
		rpc->arg = msg->arg;
		rpc->done = true;
		sv_cond_broadcast(&p->rpc_c);
	}
	sv_mutex_unlock(&p->rpc_m);
	if (undo.type)
		remote_send(&p->link, &undo);
	return rpc ? 0 : -EPROTO;
}

static void tell(struct proxy *p, enum remote_type type, u32 id, s64 value)
{
	const struct remote_msg msg = { .type = type, .id = id, .value = value };

	remote_send(&p->link, &msg);
}

/* The exporter's operations of a proxy. */
static int proxy_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct proxy *p = dmabuf->priv;
	struct remote_msg msg = { .type = REMOTE_ATTACH };
	struct proxy_attach *pa = sv_zalloc(sizeof(*pa));
	int err;

	if (!pa)
		return -ENOMEM;
	sv_mutex_lock(&p->rpc_m);
	pa->id = ++p->next_id;
	sv_mutex_unlock(&p->rpc_m);
	msg.id = pa->id;
	msg.value = (attach->importer_ops ? REMOTE_DYNAMIC : 0) |
		    (dma_buf_attach_revocable(attach) ? REMOTE_REVOCABLE : 0) |
		    (attach->peer2peer ? REMOTE_PEER2PEER : 0);
	snprintf(msg.name, sizeof(msg.name), "%s", dev_name(attach->dev));
	err = rpc_call(p, &msg, REMOTE_DETACH, NULL);
	if (err) {
		sv_free(pa);
		return err;
	}
	attach->priv = pa;
	return 0;
}

static void proxy_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct proxy_attach *pa = attach->priv;

	tell(dmabuf->priv, REMOTE_DETACH, pa->id, 0);
	sv_free(pa);
}

static int proxy_pin(struct dma_buf_attachment *attach)
{
	struct remote_msg msg = {
		.type = REMOTE_PIN, .id = ((struct proxy_attach *)attach->priv)->id,
	};

	return rpc_call(attach->dmabuf->priv, &msg, REMOTE_UNPIN, NULL);
}

static void proxy_unpin(struct dma_buf_attachment *attach)
{
	tell(attach->dmabuf->priv, REMOTE_UNPIN, ((struct proxy_attach *)attach->priv)->id, 0);
}

static struct sg_table *proxy_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	struct proxy *p = attach->dmabuf->priv;
	struct proxy_attach *pa = attach->priv;
	struct remote_msg msg = { .type = REMOTE_MAP, .id = pa->id, .value = dir };
	struct sg_table *sgt = sg_table_create(p->vaddr, p->size);
	u64 seen = 0;
	int err;

	if (IS_ERR_OR_NULL(sgt))
		return sgt;
	err = rpc_call(p, &msg, REMOTE_UNMAP, &seen);
	if (err) {
		sg_table_destroy(sgt);
		return ERR_PTR(err);
	}
	pa->seen = seen;
	file_fences(p);
	return sgt;
}

static void proxy_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			enum dma_data_direction dir)
{
	sg_table_destroy(sgt);
	tell(attach->dmabuf->priv, REMOTE_UNMAP, ((struct proxy_attach *)attach->priv)->id, dir);
}

static int proxy_sync(struct dma_buf *dmabuf)
{
	struct proxy *p = dmabuf->priv;
	struct remote_msg msg = { .type = REMOTE_SYNC };
	int err = rpc_call(p, &msg, 0, NULL);

	dma_resv_lock(dmabuf->resv, NULL);
	file_fences(p);
	dma_resv_unlock(dmabuf->resv);
	return err;
}

static int proxy_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	/* Revoked, or its owner gone: what fences there are decide. */
	(void)proxy_sync(dmabuf);
	return 0;
}

static int proxy_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct proxy *p = dmabuf->priv;
	void *addr = sv_libc.mmap(vma->addr, vma->len, vma->prot, vma->flags, p->memfd,
				  (off_t)vma->off);

	if (addr == MAP_FAILED)
		return -errno;
	vma->mapped = addr;
	return 0;
}

static int proxy_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	map->vaddr = ((struct proxy *)dmabuf->priv)->vaddr;
	return 0;
}

static int proxy_backing(struct dma_buf *dmabuf)
{
	return ((struct proxy *)dmabuf->priv)->memfd;
}

static void proxy_release(struct dma_buf *dmabuf)
{
	struct proxy *p = dmabuf->priv;

	remote_proxy_forget(dmabuf);
	sv_mutex_lock(&p->run_m);
	p->gone = true;
	sv_mutex_unlock(&p->run_m);
	remote_unwatch(&p->link);
	tell(p, REMOTE_BYE, 0, 0);
	spin_lock(&p->link.lock);
	p->link.bye = true;
	spin_unlock(&p->link.lock);
	remote_link_kick();
	if (p->vaddr)
		munmap(p->vaddr, p->size);
	p->vaddr = NULL;
	remote_link_put(&p->link);
}

static const struct dma_buf_ops proxy_ops = {
	.attach = proxy_attach,
	.detach = proxy_detach,
	.pin = proxy_pin,
	.unpin = proxy_unpin,
	.map_dma_buf = proxy_map,
	.unmap_dma_buf = proxy_unmap,
	.release = proxy_release,
	.begin_cpu_access = proxy_begin_cpu_access,
	.mmap = proxy_mmap,
	.vmap = proxy_vmap,
	.backing = proxy_backing,
	.sync = proxy_sync,
};

/* The thread. */
static int client_message(struct remote_link *link, const struct remote_msg *msg)
{
	struct proxy *p = container_of(link, struct proxy, link);

	switch (msg->type) {
	case REMOTE_REPLY:
		return got_reply(p, msg);
	case REMOTE_INVALIDATE:
		return remote_queue(link, msg);
	case REMOTE_FENCE_ADD:
	case REMOTE_FENCE_SIGNAL:
		return remote_fence_message(link, msg);
	default:
		return -EPROTO;
	}
}

/* With a reference; NULL: it is being freed. */
static struct dma_buf *buffer_get(struct proxy *p)
{
	struct dma_buf *dmabuf = NULL;

	sv_mutex_lock(&p->run_m);
	if (!p->gone && kref_get_unless_zero(&p->dmabuf->refcount))
		dmabuf = p->dmabuf;
	sv_mutex_unlock(&p->run_m);
	return dmabuf;
}

/* Reservation lock held. */
static void invalidate_one(struct dma_buf *dmabuf, const struct remote_msg *msg)
{
	struct dma_buf_attachment *attach;

	list_for_each_entry(attach, &dmabuf->attachments, node) {
		struct proxy_attach *pa = attach->priv;

		if (pa->id != msg->id || msg->arg <= pa->seen)
			continue;
		if (dma_buf_attach_revocable(attach))
			attach->importer_ops->invalidate_mappings(attach);
		return;
	}
}

/* Reservation lock held. False: no memory now. */
static bool client_ops(struct proxy *p, struct dma_buf *dmabuf)
{
	struct remote_op *op;

	while ((op = remote_first_op(&p->link))) {
		if (op->msg.type == REMOTE_INVALIDATE)
			invalidate_one(dmabuf, &op->msg);
		else if (!remote_file(dmabuf->resv, op))
			return false;
		remote_op_done(&p->link, op);
	}
	return true;
}

static bool client_run(struct remote_link *link)
{
	struct proxy *p = container_of(link, struct proxy, link);
	struct dma_buf *dmabuf;
	struct remote_op *op;
	bool done;

	if (!remote_first_op(link))
		return true;
	dmabuf = buffer_get(p);
	if (!dmabuf) {
		/* Nobody is left to file it for. */
		while ((op = remote_first_op(link)))
			remote_op_done(link, op);
		return true;
	}
	done = remote_lock(dmabuf->resv);
	if (done) {
		done = client_ops(p, dmabuf);
		dma_resv_unlock(dmabuf->resv);
	}
	dma_buf_put(dmabuf);
	return done;
}

/* As a revoke begins, and never ends. */
static void orphan(struct dma_buf *dmabuf)
{
	sv_mutex_lock(&dmabuf->wait_m);
	if (!dmabuf->revoked) {
		WRITE_ONCE(dmabuf->revoked, true);
		dmabuf->revoke_count++;
	}
	sv_mutex_unlock(&dmabuf->wait_m);
}

static bool client_hangup(struct remote_link *link)
{
	struct proxy *p = container_of(link, struct proxy, link);
	struct dma_buf *dmabuf = buffer_get(p);
	bool done = true;

	sv_mutex_lock(&p->rpc_m);
	p->dead = true;
	sv_cond_broadcast(&p->rpc_c);
	sv_mutex_unlock(&p->rpc_m);
	if (!dmabuf)
		return true;
	orphan(dmabuf);
	done = remote_lock(dmabuf->resv);
	if (done) {
		dma_buf_invalidate_mappings(dmabuf);
		dma_resv_unlock(dmabuf->resv);
	}
	dma_buf_put(dmabuf);
	return done;
}

static void client_free(struct remote_link *link)
{
	struct proxy *p = container_of(link, struct proxy, link);
	struct rpc *rpc, *next;

	list_for_each_entry_safe(rpc, next, &p->rpcs, node)
		sv_free(rpc);
	if (p->vaddr)
		munmap(p->vaddr, p->size);
	if (p->memfd >= 0)
		sv_libc.close(p->memfd);
	sv_mutex_destroy(&p->run_m);
	sv_mutex_destroy(&p->rpc_m);
	sv_cond_destroy(&p->rpc_c);
	sv_free(p);
}

static const struct remote_role client_role = {
	.message = client_message,
	.run = client_run,
	.hangup = client_hangup,
	.free = client_free,
};

struct dma_buf *remote_proxy_new(const struct remote_proxy_info *from, int sock)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct proxy *p = sv_zalloc(sizeof(*p));
	struct dma_buf *dmabuf;

	if (!p)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&p->rpcs);
	p->size = from->size;
	snprintf(p->exp_name, sizeof(p->exp_name), "%.*s of process %d", REMOTE_NAME - 1,
		 from->exp_name, from->pid);
	info.exp_name = p->exp_name;
	info.ops = &proxy_ops;
	info.size = p->size;
	info.flags = from->flags & O_ACCMODE;
	info.priv = p;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		sv_free(p);
		return dmabuf;
	}
	p->dmabuf = dmabuf;
	p->memfd = from->memfd;
	p->vaddr = from->vaddr;
	sv_mutex_init(&p->run_m);
	sv_mutex_init(&p->rpc_m);
	sv_cond_init(&p->rpc_c);
	remote_link_init(&p->link, &client_role, sock);
	return dmabuf;
}

struct remote_link *remote_proxy_link(struct dma_buf *dmabuf)
{
	return &((struct proxy *)dmabuf->priv)->link;
}

int remote_proxy_start(struct dma_buf *dmabuf)
{
	struct proxy *p = dmabuf->priv;
	int err;

	dma_resv_lock(dmabuf->resv, NULL);
	remote_watch(&p->link, dmabuf->resv);
	dma_resv_unlock(dmabuf->resv);
	err = remote_link_start(&p->link);
	if (err)
		remote_break(&p->link);
	return err;
}

void remote_proxy_orphan(struct dma_buf *dmabuf)
{
	struct proxy *p = dmabuf->priv;

	p->dead = true;
	remote_break(&p->link);
	orphan(dmabuf);
}
