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
 * Locks: open_lock; the proxy's reservation lock; then rpc_m; list_lock and run_m alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/log.h"
#include "base/timer.h"
#include "dmabuf/mem.h"
#include "dmabuf/remote.h"
#include "file/file.h"

/* How long an exporter may take to answer. */
#define RPC_NS 10000000000ull
#define HELLO_S 5

struct proxy {
	struct remote_link link;
	struct dma_buf *dmabuf;
	struct list_head node;		/* of all proxies; list_lock */
	dev_t dev;
	ino_t ino;
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

static struct sv_mutex open_lock = SV_MUTEX_INIT;	/* one opens at a time */
static struct sv_mutex list_lock = SV_MUTEX_INIT;
static LIST_HEAD(proxies);		/* list_lock */

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

	sv_mutex_lock(&list_lock);
	if (!list_empty(&p->node))
		list_del_init(&p->node);
	sv_mutex_unlock(&list_lock);
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

/* Opening. */

/* Whose the memory is, by the name of its memfd; 0: not one of a heap's. */
static pid_t exporter_of(int fd)
{
	static const char prefix[] = "/memfd:" DMA_MEM_NAME;
	char path[32], name[96];
	ssize_t n;
	long pid;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	if (n <= 0)
		return 0;
	name[n] = 0;
	if (strncmp(name, prefix, sizeof(prefix) - 1))
		return 0;
	pid = strtol(name + sizeof(prefix) - 1, NULL, 10);
	return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static int send_hello(int sock, int memfd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	char byte = REMOTE_HELLO_BYTE;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &memfd, sizeof(int));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* Is it the owner of the memory who listens there, or root? */
static bool peer_is_owner(int sock, const struct stat *st)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == 0 || cred.uid == st->st_uid;
}

/* A connection that has begun, or -errno: -ESRCH no such process. */
static int connect_to(pid_t pid, int memfd, const struct stat *st, struct remote_msg *hello)
{
	const struct timeval patience = { .tv_sec = HELLO_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int n, err = 0, sock;

	if (SV_FAULT(EMFILE))
		return -errno;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "softvirt/dmabuf/%d", (int)pid);
	if (connect(sock, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)))
		err = kill(pid, 0) && errno == ESRCH ? -ESRCH : -ECONNREFUSED;
	else if (!peer_is_owner(sock, st))
		err = -EPERM;
	else
		err = send_hello(sock, memfd);
	if (!err && recv(sock, hello, sizeof(*hello), MSG_WAITALL) != sizeof(*hello))
		err = -EPIPE;
	if (!err && (hello->type != REMOTE_HELLO || !hello->arg ||
		     !IS_ALIGNED(hello->arg, SV_PAGE_SIZE) || hello->arg > (u64)INT64_MAX))
		err = hello->value < 0 && hello->value >= -MAX_ERRNO ? (int)hello->value : -EPROTO;
	if (!err)
		return sock;
	sv_libc.close(sock);
	return err;
}

/* hello tells the rest; its size has been looked at. 0 or -errno; the caller frees. */
static int proxy_fill(struct proxy *p, int memfd, pid_t pid, const struct stat *st,
		      const struct remote_msg *hello)
{
	p->dev = st->st_dev;
	p->ino = st->st_ino;
	p->size = hello->arg;
	snprintf(p->exp_name, sizeof(p->exp_name), "%.*s of process %d", REMOTE_NAME - 1,
		 hello->name, (int)pid);
	p->memfd = SV_FAULT(EMFILE) ? -1 : sv_libc.fcntl(memfd, F_DUPFD_CLOEXEC, 3);
	if (p->memfd < 0)
		return -errno;
	p->vaddr = SV_FAULT(ENOMEM) ? MAP_FAILED :
		   mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_SHARED, p->memfd, 0);
	/* Of a descriptor that is for reading only no device gets more. */
	if (p->vaddr == MAP_FAILED && errno == EACCES)
		p->vaddr = mmap(NULL, p->size, PROT_READ, MAP_SHARED, p->memfd, 0);
	if (p->vaddr == MAP_FAILED) {
		p->vaddr = NULL;
		return -ENOMEM;
	}
	return 0;
}

static struct proxy *proxy_new(int memfd, pid_t pid, const struct stat *st, int sock,
			       const struct remote_msg *hello)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct proxy *p = sv_zalloc(sizeof(*p));
	int err;

	if (!p)
		return ERR_PTR(-ENOMEM);
	p->memfd = -1;
	INIT_LIST_HEAD(&p->node);
	INIT_LIST_HEAD(&p->rpcs);
	sv_mutex_init(&p->run_m);
	sv_mutex_init(&p->rpc_m);
	sv_cond_init(&p->rpc_c);
	err = proxy_fill(p, memfd, pid, st, hello);
	if (!err) {
		info.exp_name = p->exp_name;
		info.ops = &proxy_ops;
		info.size = p->size;
		info.flags = (int)hello->id & O_ACCMODE;
		info.priv = p;
		p->dmabuf = dma_buf_export(&info);
		if (IS_ERR(p->dmabuf))
			err = (int)PTR_ERR(p->dmabuf);
	}
	if (err) {
		client_free(&p->link);
		return ERR_PTR(err);
	}
	remote_link_init(&p->link, &client_role, sock);
	return p;
}

/* The proxy's buffer, with a reference, or ERR_PTR. open_lock held. */
static struct dma_buf *proxy_open(int fd, pid_t pid, const struct stat *st)
{
	struct remote_msg hello = { .arg = ALIGN_UP((u64)st->st_size, SV_PAGE_SIZE) };
	int err, sock = connect_to(pid, fd, st, &hello);
	struct dma_buf *dmabuf;
	struct proxy *p;

	if (sock < 0 && (sock != -ESRCH || !hello.arg))
		return ERR_PTR(sock);
	if (sock >= 0) {
		sock = sv_fd_keep(sock);
		if (sock < 0)
			return ERR_PTR(sock);
	}
	p = proxy_new(fd, pid, st, sock, &hello);
	if (IS_ERR(p)) {
		if (sock >= 0)
			sv_fd_keep_close(sock);
		return ERR_CAST(p);
	}
	dmabuf = p->dmabuf;
	if (sock < 0) {
		/* Its owner is dead: nobody gives out mappings any more. */
		p->dead = true;
		remote_break(&p->link);
		orphan(dmabuf);
	} else {
		dma_resv_lock(dmabuf->resv, NULL);
		remote_watch(&p->link, dmabuf->resv);
		dma_resv_unlock(dmabuf->resv);
		err = remote_link_start(&p->link);
		if (err) {
			remote_break(&p->link);
			dma_buf_put(dmabuf);
			return ERR_PTR(err);
		}
	}
	sv_mutex_lock(&list_lock);
	list_add_tail(&p->node, &proxies);
	sv_mutex_unlock(&list_lock);
	return dmabuf;
}

/* With a reference. */
static struct dma_buf *proxy_find(const struct stat *st)
{
	struct dma_buf *dmabuf = NULL;
	struct proxy *p;

	sv_mutex_lock(&list_lock);
	list_for_each_entry(p, &proxies, node) {
		if (p->dev == st->st_dev && p->ino == st->st_ino && !remote_is_broken(&p->link) &&
		    kref_get_unless_zero(&p->dmabuf->refcount)) {
			dmabuf = p->dmabuf;
			break;
		}
	}
	sv_mutex_unlock(&list_lock);
	return dmabuf;
}

/* fd carries our mark and is nobody's here. */
static struct sv_file *remote_open(int fd)
{
	struct dma_buf *dmabuf, *drop = NULL;
	struct sv_file *f = NULL;
	struct stat st;
	pid_t pid;

	pid = exporter_of(fd);
	if (!pid || pid == getpid() || fstat(fd, &st))
		return NULL;
	sv_mutex_lock(&open_lock);
	dmabuf = proxy_find(&st);
	if (!dmabuf)
		dmabuf = proxy_open(fd, pid, &st);
	if (!IS_ERR(dmabuf)) {
		drop = dmabuf;
		if (dma_buf_file_create(dmabuf, fd, &f))
			f = NULL;
	}
	sv_mutex_unlock(&open_lock);
	if (f) {
		sv_file_get(f);
		sv_file_install(f);
	}
	if (drop)
		dma_buf_put(drop);
	return f;
}

static void fork_prepare(void)
{
	/* Not open_lock: who holds it may wait for another process. It guards no data. */
	sv_mutex_lock(&list_lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&list_lock);
}

/* The parent's proxies are the parent's. */
static void fork_child(void)
{
	sv_mutex_init(&open_lock);
	sv_mutex_init(&list_lock);
	INIT_LIST_HEAD(&proxies);
}

static void __attribute__((constructor(103))) client_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_parent, fork_child);
	sv_fd_set_foreign_open(remote_open);
}
