/* SPDX-License-Identifier: MIT */
/*
 * What a person debugging wants to see: every buffer of this process with its attachments
 * and fences.
 *
 * Model. All buffers are on a list. A thread, started with the first buffer, answers on the
 * abstract socket "softvirt/dmabuf/PID" whoever has our user id or is root: it reads one
 * byte, 't' or 'j', and writes the list as text or JSON. It works while the process's own
 * threads hang; where it can't get a reservation lock within LOOK_NS it says so. Without
 * the thread (SOFTVIRT_DEBUG_SOCKET=0, or no resources) everything else works.
 *
 * Who sends 'B' and the descriptor of one of our buffers wants to import it: the connection
 * goes to remote_server.c.
 *
 * A forked child has no thread; it gets one with its next buffer.
 *
 * Locks: list_lock is a leaf. The dump holds references instead of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/log.h"
#include "dmabuf/buf.h"
#include "dmabuf/remote.h"

#define LOOK_NS 10000000ull

static struct sv_mutex list_lock = SV_MUTEX_INIT;
/* Under list_lock. */
static LIST_HEAD(buffers);
static u64 next_id = 1;
static u64 nr_buffers;
static pid_t listener_pid;
static int listener_fd = -1;
static struct sv_thread listener;

static void fork_prepare(void)
{
	sv_mutex_lock(&list_lock);
}

static void fork_done(void)
{
	sv_mutex_unlock(&list_lock);
}

static void __attribute__((constructor(103))) debug_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_done, fork_done);
}

/* A name comes from a program: nothing in it may disturb a terminal or JSON. */
static void put_name(struct seq_file *m, const char *s, bool json)
{
	if (json)
		seq_putc(m, '"');
	for (; s && *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c < 0x7f && !(json && (c == '"' || c == '\\')))
			seq_putc(m, (char)c);
		else if (json)
			seq_printf(m, "\\u%04x", c);
		else
			seq_putc(m, '?');
	}
	if (json)
		seq_putc(m, '"');
}

static const char *attach_kind(struct dma_buf_attachment *attach)
{
	if (!dma_buf_attachment_is_dynamic(attach))
		return "static";
	if (!attach->pinned)
		return "dynamic";
	return dma_buf_attach_revocable(attach) ? "pinned revocable" : "pinned";
}

static void dump_attachments(struct dma_buf *dmabuf, struct seq_file *m, bool json)
{
	struct dma_buf_attachment *attach;
	const char *sep = "";

	if (ww_mutex_lock_until(&dmabuf->resv->lock, NULL, (u64)ktime_get() + LOOK_NS)) {
		seq_puts(m, json ? "\"locked\":true,\"attachments\":[]" :
			 "    the reservation lock is held; attachments unknown\n");
		return;
	}
	if (json)
		seq_puts(m, "\"locked\":false,\"attachments\":[");
	list_for_each_entry(attach, &dmabuf->attachments, node) {
		seq_puts(m, json ? sep : "    device ");
		sep = ",";
		if (json)
			seq_puts(m, "{\"device\":");
		put_name(m, dev_name(attach->dev), json);
		seq_printf(m, json ? ",\"kind\":\"%s\",\"revocable\":%s,\"mapped\":%u,\"pinned\":%u}" :
			   "  %s, revocable %s, mapped %u, pinned %u\n", attach_kind(attach),
			   dma_buf_attach_revocable(attach) ? (json ? "true" : "yes") :
			   (json ? "false" : "no"), attach->mapped, attach->pinned);
	}
	if (json)
		seq_putc(m, ']');
	dma_resv_unlock(dmabuf->resv);
}

static void dump_fences(struct dma_buf *dmabuf, struct seq_file *m, bool json)
{
	static const char *const usages[] = { "kernel", "write", "read", "bookkeep" };
	struct seq_file part = { NULL };
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	const char *sep = "";

	dma_resv_iter_begin(&cursor, dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (dma_resv_iter_is_restarted(&cursor)) {
			part.count = 0;
			sep = "";
		}
		seq_printf(&part, json ? "%s{\"usage\":\"%s\",\"driver\":" : "%.0s    fence %s  ", sep,
			   usages[dma_resv_iter_usage(&cursor)]);
		sep = ",";
		put_name(&part, dma_fence_driver_name(fence), json);
		seq_puts(&part, json ? ",\"timeline\":" : "/");
		put_name(&part, dma_fence_timeline_name(fence), json);
		seq_printf(&part, json ? ",\"context\":%llu,\"seqno\":%llu}" : " %llu:%llu\n",
			   (unsigned long long)fence->context, (unsigned long long)fence->seqno);
	}
	dma_resv_iter_end(&cursor);
	if (json)
		seq_puts(m, ",\"fences\":[");
	if (part.count)
		seq_puts(m, part.buf);
	if (json)
		seq_putc(m, ']');
	sv_free(part.buf);
}

static void dump_buffer(struct dma_buf *dmabuf, struct seq_file *m, bool json)
{
	char name[DMA_BUF_NAME_MAX] = "";

	spin_lock(&dmabuf->name_lock);
	if (dmabuf->name)
		snprintf(name, sizeof(name), "%s", dmabuf->name);
	spin_unlock(&dmabuf->name_lock);

	seq_printf(m, json ? "{\"id\":%llu,\"size\":%zu,\"exporter\":" : "  buffer %llu  %zu bytes  ",
		   (unsigned long long)dmabuf->id, dmabuf->size);
	put_name(m, dmabuf->exp_name, json);
	if (json)
		seq_puts(m, ",\"name\":");
	else if (name[0])
		seq_putc(m, ' ');
	put_name(m, name, json);
	/* Our own reference does not count. */
	seq_printf(m, json ? ",\"references\":%u,\"attached\":%u,\"mapped\":%u,\"pinned\":%u,"
		   "\"maps\":%llu,\"revoked\":%s,\"revokes\":%llu," :
		   "  references %u, attached %u, mapped %u, pinned %u, maps so far %llu%s"
		   " (revokes so far %llu)\n",
		   kref_read(&dmabuf->refcount) - 1, READ_ONCE(dmabuf->nr_attached),
		   READ_ONCE(dmabuf->nr_mapped), READ_ONCE(dmabuf->nr_pinned),
		   (unsigned long long)READ_ONCE(dmabuf->map_count),
		   dma_buf_is_revoked(dmabuf) ? (json ? "true" : ", revoked") :
		   (json ? "false" : ""), (unsigned long long)READ_ONCE(dmabuf->revoke_count));
	dump_attachments(dmabuf, m, json);
	dump_fences(dmabuf, m, json);
	if (json)
		seq_putc(m, '}');
}

void dma_buf_debug_dump(struct seq_file *m, bool json)
{
	struct dma_buf **all, *dmabuf;
	u64 n = 0, room;

	sv_mutex_lock(&list_lock);
	room = nr_buffers;
	all = sv_calloc(room, sizeof(*all));
	if (all)
		list_for_each_entry(dmabuf, &buffers, list_node)
			if (kref_get_unless_zero(&dmabuf->refcount))
				all[n++] = dmabuf;
	sv_mutex_unlock(&list_lock);
	if (!all)
		m->overflow = true;
	if (json)
		seq_printf(m, "{\"pid\":%d,\"buffers\":[", (int)getpid());
	for (u64 i = 0; i < n; i++) {
		if (json && i)
			seq_putc(m, ',');
		dump_buffer(all[i], m, json);
		dma_buf_put(all[i]);
	}
	if (json)
		seq_puts(m, "]}");
	sv_free(all);
}

struct dma_buf *dma_buf_debug_find(dev_t dev, ino_t ino)
{
	struct dma_buf *dmabuf, *found = NULL;
	struct stat st;

	sv_mutex_lock(&list_lock);
	list_for_each_entry(dmabuf, &buffers, list_node) {
		/* Those alone whose memory is a file of theirs. */
		if (!dmabuf->ops->backing || !dmabuf->ops->revoke_cpu ||
		    fstat(dmabuf->ops->backing(dmabuf), &st) || st.st_dev != dev || st.st_ino != ino)
			continue;
		if (kref_get_unless_zero(&dmabuf->refcount))
			found = dmabuf;
		break;
	}
	sv_mutex_unlock(&list_lock);
	return found;
}

static bool peer_may_look(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

/* The first byte, and the descriptor that may come with it (or -1). */
static bool read_wish(int fd, char *want, int *passed)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = want, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;

	*passed = -1;
	if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) != 1)
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(passed, CMSG_DATA(c), sizeof(int));
	return true;
}

static void answer(int fd, char want)
{
	struct seq_file m = { NULL };
	size_t sent = 0;

	dma_buf_debug_dump(&m, want == 'j');
	while (!m.overflow && sent < m.count) {
		ssize_t n = send(fd, m.buf + sent, m.count - sent, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	sv_free(m.buf);
}

/* fd is closed, or somebody else's, afterwards. */
static void serve(int fd)
{
	const struct timeval patience = { .tv_sec = 1 };
	int passed = -1;
	char want;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (peer_may_look(fd) && read_wish(fd, &want, &passed)) {
		if (want == REMOTE_HELLO_BYTE && passed >= 0) {
			dma_buf_remote_accept(fd, passed);
			fd = -1;
		} else {
			answer(fd, want);
		}
	}
	if (passed >= 0)
		sv_libc.close(passed);
	if (fd >= 0)
		sv_libc.close(fd);
}

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

/*
 * A program may close every descriptor it finds and get the number for a socket of its own:
 * each time it is asked for, it must still be ours.
 */
static void *listener_main(void *arg)
{
	int fd = (int)(intptr_t)arg, peer;
	ino_t ino = inode_of(fd);

	while (ino && inode_of(fd) == ino) {
		peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (peer >= 0) {
			serve(peer);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			usleep(100000);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			break;
		}
	}
	return NULL;
}

/* list_lock held. Failing is not an error of whoever exports. */
static void listener_start(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *env = getenv("SOFTVIRT_DEBUG_SOCKET");
	int n, fd;

	listener_pid = getpid();
	if (listener_fd >= 0)
		sv_libc.close(listener_fd);	/* the parent's */
	listener_fd = -1;
	if (env && !strcmp(env, "0"))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Out of the way of programs that count on low numbers. */
	n = sv_libc.fcntl(fd, F_DUPFD_CLOEXEC, 100);
	if (n >= 0) {
		sv_libc.close(fd);
		fd = n;
	}
	n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "softvirt/dmabuf/%d",
		     (int)listener_pid);
	if (bind(fd, (struct sockaddr *)&addr,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) ||
	    listen(fd, 8) ||
	    sv_thread_create(&listener, "softvirt-debug", listener_main, (void *)(intptr_t)fd)) {
		sv_libc.close(fd);
		return;
	}
	listener_fd = fd;
}

void dma_buf_debug_add(struct dma_buf *dmabuf)
{
	sv_mutex_lock(&list_lock);
	if (unlikely(listener_pid != getpid()))
		listener_start();
	dmabuf->id = next_id++;
	nr_buffers++;
	list_add_tail(&dmabuf->list_node, &buffers);
	sv_mutex_unlock(&list_lock);
}

void dma_buf_debug_del(struct dma_buf *dmabuf)
{
	sv_mutex_lock(&list_lock);
	list_del(&dmabuf->list_node);
	nr_buffers--;
	sv_mutex_unlock(&list_lock);
}
