/* SPDX-License-Identifier: MIT */
/*
 * The connection between an exporter and an importer in another process: see docs/remote.md.
 *
 * Model. A link is a stream socket with messages of one size. Sending never sleeps: what the
 * socket does not take waits in tx. One thread of the process, started with the first link,
 * reads all links and runs what their messages ask for. It must always come back to reading,
 * because a fence's signal may be what the owner of a lock waits for; so what needs a
 * reservation lock is queued and tried again, in order, for a bounded time each.
 *
 * Fences. Each that is filed here while the link watches is told to the peer (struct
 * sent_fence) and, once signalled, told again. What the peer tells becomes a mirror fence,
 * which the peer's word or the link's end signals. A mirror is not told back to where it
 * came from.
 *
 * Nothing that a peer sends is trusted: sizes are fixed, numbers are looked up, lists have an
 * upper bound, and what makes no sense ends the link.
 *
 * A link that can't go on (no memory, a peer that reads nothing) breaks. That is always
 * allowed: docs/remote.md, "Either side may die".
 *
 * Lifetime: a reference each for the role, the thread and every fence in sent; freed a grace
 * period later, because a filer of fences may be on its way to watch.added.
 *
 * Locks: loop_lock; reservation locks; then link->lock, a spinlock; then fence locks.
 */
#include "dmabuf/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/log.h"
#include "base/timer.h"
#include "file/file.h"

#define TX_MOST (1u << 20)
#define OPS_MOST 16384u
#define FENCES_MOST 16384u
#define MESSAGES_AT_ONCE 64
/* How long the thread waits for one lock, and then before it tries again. */
#define LOCK_NS 200000ull
#define RETRY_MS 1

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

static struct sv_mutex loop_lock = SV_MUTEX_INIT;
/* Under loop_lock. */
static LIST_HEAD(links);
static u32 nr_links;
static u64 next_link = 1;
static pid_t loop_pid;
static int wake_fds[2] = { -1, -1 };
static ino_t wake_ino;
static struct sv_thread loop_thread;
static __thread bool in_thread __attribute__((tls_model("initial-exec")));

static void loop_wake(void);

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

static ino_t inode_of(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/* A program may close every number it finds and get it for something else. */
static bool still_ours(struct remote_link *link)
{
	return link->ino && inode_of(link->fd) == link->ino;
}

void remote_link_init(struct remote_link *link, const struct remote_role *role, int fd)
{
	refcount_set(&link->refs, 1);
	link->role = role;
	link->fd = fd;
	link->ino = inode_of(fd);
	spin_lock_init(&link->lock);
	INIT_LIST_HEAD(&link->node);
	INIT_LIST_HEAD(&link->sent);
	INIT_LIST_HEAD(&link->got);
	INIT_LIST_HEAD(&link->ops);
	(void)sv_libc.fcntl(fd, F_SETFL, O_NONBLOCK);
	sv_mutex_lock(&loop_lock);
	link->id = next_link++;
	sv_mutex_unlock(&loop_lock);
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
	if (still_ours(link))
		sv_fd_keep_close(link->fd);
	call_rcu(&link->rcu, link_free_rcu);
}

bool remote_is_broken(struct remote_link *link)
{
	return READ_ONCE(link->broken);
}

/* lock held. */
static void break_locked(struct remote_link *link)
{
	if (link->broken)
		return;
	WRITE_ONCE(link->broken, true);
	link->tx_len = 0;
	/* The thread reads the end of file. */
	if (still_ours(link))
		shutdown(link->fd, SHUT_RDWR);
}

void remote_break(struct remote_link *link)
{
	spin_lock(&link->lock);
	break_locked(link);
	spin_unlock(&link->lock);
	loop_wake();
}

/* lock held. What has gone out; -errno: the peer is gone. */
static ssize_t push(struct remote_link *link, const void *p, size_t n)
{
	ssize_t done;

	if (!still_ours(link))
		return -EPIPE;
	do
		done = send(link->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return errno == EAGAIN ? 0 : -errno;
	return done;
}

/* lock held. */
static int tx_append(struct remote_link *link, const char *p, size_t n)
{
	size_t room = max(link->tx_room, (size_t)4096);
	char *bigger;

	if (link->tx_len + n > TX_MOST)
		return -ENOBUFS;
	while (room < link->tx_len + n)
		room *= 2;
	if (room != link->tx_room) {
		bigger = sv_realloc(link->tx, room);
		if (!bigger)
			return -ENOMEM;
		link->tx = bigger;
		link->tx_room = room;
	}
	memcpy(link->tx + link->tx_len, p, n);
	link->tx_len += n;
	return 0;
}

void remote_send(struct remote_link *link, const struct remote_msg *msg)
{
	ssize_t done = 0;
	int saved = errno, err = 0;
	bool wake = false;

	spin_lock(&link->lock);
	if (link->broken)
		goto unlock;
	if (!link->tx_len)
		done = push(link, msg, sizeof(*msg));
	if (done < 0)
		err = (int)done;
	else if ((size_t)done < sizeof(*msg))
		err = tx_append(link, (const char *)msg + done, sizeof(*msg) - (size_t)done);
	if (err)
		break_locked(link);
	wake = err || link->tx_len;
unlock:
	spin_unlock(&link->lock);
	if (wake)
		loop_wake();
	errno = saved;
}

/* What waited goes out. */
static void flush(struct remote_link *link)
{
	ssize_t done;

	spin_lock(&link->lock);
	if (!link->broken && link->tx_len) {
		done = push(link, link->tx, link->tx_len);
		if (done < 0) {
			break_locked(link);
		} else {
			link->tx_len -= (size_t)done;
			memmove(link->tx, link->tx + done, link->tx_len);
		}
	}
	spin_unlock(&link->lock);
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
		loop_wake();
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
static void sent_drop(struct remote_link *link)
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

bool remote_lock(struct dma_resv *resv)
{
	return !ww_mutex_lock_until(&resv->lock, NULL, sv_now_ns() + LOCK_NS);
}

bool remote_in_thread(void)
{
	return in_thread;
}

/* Everything that the socket has, within reason; false: the peer is gone. */
static bool link_read(struct remote_link *link)
{
	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		ssize_t n;

		if (!still_ours(link))
			return false;
		n = recv(link->fd, (char *)&link->rx + link->rx_len,
			 sizeof(link->rx) - link->rx_len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		link->rx_len += (size_t)n;
		if (link->rx_len < sizeof(link->rx))
			continue;
		link->rx_len = 0;
		/* It is shown in lists, whatever is in it. */
		link->rx.name[REMOTE_NAME - 1] = 0;
		if (link->role->message(link, &link->rx))
			return false;
	}
	return true;
}

static bool finished(struct remote_link *link)
{
	bool end;

	spin_lock(&link->lock);
	end = link->bye && list_empty(&link->sent) && list_empty(&link->got) &&
	      list_empty(&link->ops) && !link->tx_len;
	spin_unlock(&link->lock);
	return end;
}

/* One round for one link. 1: again soon, 0: when something comes, -1: it has ended. */
static int link_turn(struct remote_link *link, short revents)
{
	if (revents & POLLOUT)
		flush(link);
	if (!link->hung_up && (revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) && !link_read(link))
		link->hung_up = true;
	if (!link->hung_up && (remote_is_broken(link) || finished(link)))
		link->hung_up = true;
	if (!link->hung_up)
		return link->role->run(link) ? 0 : 1;
	spin_lock(&link->lock);
	break_locked(link);
	spin_unlock(&link->lock);
	sent_drop(link);
	remote_fences_die(link);
	return link->role->hangup(link) ? -1 : 1;
}

static void link_forget(struct remote_link *link)
{
	struct remote_op *op;

	sv_mutex_lock(&loop_lock);
	list_del(&link->node);
	nr_links--;
	sv_mutex_unlock(&loop_lock);
	while ((op = remote_first_op(link)))
		remote_op_done(link, op);
	remote_link_put(link);
}

/* All links and what to ask of them; what changes the list is this thread, or adds. */
static nfds_t loop_collect(struct pollfd **fds, struct remote_link ***which, nfds_t *room,
			   bool *again)
{
	struct remote_link *link;
	nfds_t n = 1;

	sv_mutex_lock(&loop_lock);
	if (*room < nr_links + 1) {
		nfds_t want = nr_links + 16;
		struct pollfd *f = sv_realloc(*fds, want * sizeof(*f));
		struct remote_link **w;

		if (f)
			*fds = f;
		w = f ? sv_realloc(*which, want * sizeof(struct remote_link *)) : NULL;
		if (w) {
			*which = w;
			*room = want;
		}
	}
	if (*room)
		(*fds)[0] = (struct pollfd){ .fd = wake_fds[0], .events = POLLIN };
	/* Without memory for all, those at the front get their turn. */
	list_for_each_entry(link, &links, node) {
		if (n >= *room)
			break;
		(*which)[n] = link;
		(*fds)[n] = (struct pollfd){ .fd = link->fd, .events = POLLIN };
		spin_lock(&link->lock);
		if (link->tx_len)
			(*fds)[n].events |= POLLOUT;
		spin_unlock(&link->lock);
		if (link->hung_up)
			(*fds)[n].fd = -1;
		/* A new one has something to do before anything comes. */
		*again |= link->fresh;
		link->fresh = false;
		n++;
	}
	sv_mutex_unlock(&loop_lock);
	return *room ? n : 0;
}

static void *loop_main(void *arg)
{
	struct remote_link **which = NULL;
	struct pollfd *fds = NULL;
	nfds_t room = 0;
	bool again = false;
	char bin[64];

	in_thread = true;
	for (;;) {
		nfds_t n = loop_collect(&fds, &which, &room, &again);

		if (!n) {
			usleep(10000);
			continue;
		}
		if (poll(fds, n, again ? RETRY_MS : -1) < 0 && errno != EINTR)
			usleep(1000);
		if (fds[0].revents & POLLIN && read(fds[0].fd, bin, sizeof(bin)) < 0) {
			/* Somebody else's wake-up was read with ours. */
		}
		again = false;
		for (nfds_t i = 1; i < n; i++) {
			int turn = link_turn(which[i], fds[i].revents);

			again |= turn > 0;
			if (turn < 0)
				link_forget(which[i]);
		}
	}
	return arg;
}

static void loop_wake(void)
{
	int fd = READ_ONCE(wake_fds[1]);
	struct stat st;

	/* The number may be a stranger's by now. */
	if (fd < 0 || in_thread || fstat(fd, &st) || st.st_ino != READ_ONCE(wake_ino))
		return;
	if (write(fd, "", 1) < 0) {
		/* Full: it is awake. */
	}
}

void remote_link_kick(void)
{
	loop_wake();
}

/* loop_lock held. */
static int loop_start(void)
{
	int fds[2], a, b, err;
	struct stat st;

	if (loop_pid == getpid())
		return 0;
	if (SV_FAULT(EMFILE) || pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	a = sv_fd_keep(fds[0]);
	b = sv_fd_keep(fds[1]);
	err = a < 0 ? a : b < 0 ? b : fstat(b, &st) ? -errno : 0;
	if (!err) {
		wake_fds[0] = a;
		WRITE_ONCE(wake_ino, st.st_ino);
		WRITE_ONCE(wake_fds[1], b);
		err = sv_thread_create(&loop_thread, "softvirt-remote", loop_main, NULL);
	}
	if (!err) {
		loop_pid = getpid();
		return 0;
	}
	WRITE_ONCE(wake_fds[1], -1);
	if (a >= 0)
		sv_fd_keep_close(a);
	if (b >= 0)
		sv_fd_keep_close(b);
	return err;
}

int remote_link_start(struct remote_link *link)
{
	int err;

	sv_mutex_lock(&loop_lock);
	err = loop_start();
	if (!err) {
		remote_link_get(link);
		link->fresh = true;
		list_add_tail(&link->node, &links);
		nr_links++;
	}
	sv_mutex_unlock(&loop_lock);
	if (!err)
		loop_wake();
	return err;
}

static void fork_prepare(void)
{
	sv_mutex_lock(&loop_lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&loop_lock);
}

/*
 * The peers wait for the end of the process that they talk to: the child must not keep their
 * sockets open. The links themselves are copies that nobody looks at.
 */
static void fork_child(void)
{
	struct remote_link *link;

	sv_mutex_init(&loop_lock);
	list_for_each_entry(link, &links, node) {
		if (still_ours(link))
			sv_libc.close(link->fd);
		link->ino = 0;
		link->broken = true;
	}
	INIT_LIST_HEAD(&links);
	nr_links = 0;
	loop_pid = 0;
	for (int i = 0; i < 2; i++)
		if (wake_fds[i] >= 0)
			sv_libc.close(wake_fds[i]);
	wake_fds[0] = wake_fds[1] = -1;
}

static void __attribute__((constructor(103))) remote_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_parent, fork_child);
}
