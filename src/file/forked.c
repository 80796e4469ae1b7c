/* SPDX-License-Identifier: MIT */
/*
 * Lines between a child and the process that it was forked from, and the child's side of a call.
 * docs/forked.md has the model.
 *
 * doors: for each ancestor that has files which its descendants may call, the end of its door that
 * they send lines through. mine: the one of them that leads to this process, if it has been made.
 * ends: every socket of this process's own that a child must close.
 *
 * Fork: forked_lock is held over it. The child closes ends; its ancestors' doors, this process's
 * among them, stay. A child that was made by a raw clone(2) is noticed at its first call here.
 *
 * Locks: lend.c's, then forked_lock, then file.c's. None is held over a call.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/trace.h"
#include "file/forked_impl.h"

/* Generations of processes, each of which has files of its own. */
#define MAX_DOORS 8

struct door {
	u32 mm;			/* whose */
	struct forked_end out;	/* not in ends */
	struct list_head idle;	/* struct line */
};

struct line {
	struct forked_end end;
	struct list_head node;
};

static struct sv_mutex forked_lock = SV_MUTEX_INIT;
/* All under forked_lock. */
static struct door doors[MAX_DOORS];
static u32 nr_doors;
static struct door *mine;
static struct forked_end door_in;
static bool listening;
static LIST_HEAD(ends);
static u32 ends_mm;		/* whose ends they are */

static ino_t inode_of(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

static bool still_ours(const struct forked_end *e)
{
	return e->fd >= 0 && e->ino && inode_of(e->fd) == e->ino;
}

static int end_set(struct forked_end *e, int fd)
{
	e->fd = sv_fd_keep(fd);
	e->ino = e->fd < 0 ? 0 : inode_of(e->fd);
	return e->fd < 0 ? e->fd : 0;
}

int forked_end_init(struct forked_end *e, int fd)
{
	int err = end_set(e, fd);

	if (err)
		return err;
	sv_mutex_lock(&forked_lock);
	list_add_tail(&e->node, &ends);
	sv_mutex_unlock(&forked_lock);
	return 0;
}

void forked_end_close(struct forked_end *e)
{
	sv_mutex_lock(&forked_lock);
	list_del(&e->node);
	sv_mutex_unlock(&forked_lock);
	if (still_ours(e))
		sv_fd_keep_close(e->fd);
}

int forked_pair(int fds[2])
{
	return SV_FAULT(EMFILE) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) ?
	       -errno : 0;
}

int forked_send(struct forked_end *e, const struct forked_msg *m, const void *data, size_t n, int fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)m, sizeof(*m) }, { (void *)(uintptr_t)data, n },
	};
	struct msghdr h = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c;
	ssize_t done;

	if (fd >= 0) {
		h.msg_control = control.buf;
		h.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	if (!still_ours(e))
		return -EPIPE;
	do
		done = sendmsg(e->fd, &h, MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	return done == (ssize_t)(sizeof(*m) + n) ? 0 : -EPIPE;
}

/* The descriptor that came along, or -1. */
static int take_fd(struct msghdr *h)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

ssize_t forked_recv(struct forked_end *e, struct forked_msg *m, void *data, size_t room, int *fd)
{
	/* Room for one: the kernel closes what more comes. */
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov[2] = { { m, sizeof(*m) }, { data, room } };
	struct msghdr h = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	int got_fd = -1;
	ssize_t n;

	if (fd)
		*fd = -1;
	if (!still_ours(e))
		return -EPIPE;
	do
		n = recvmsg(e->fd, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -EPIPE;
	got_fd = take_fd(&h);
	if (n < (ssize_t)sizeof(*m) || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (got_fd >= 0)
			sv_libc.close(got_fd);
		return -EBADMSG;
	}
	if (fd)
		*fd = got_fd;
	else if (got_fd >= 0)
		sv_libc.close(got_fd);
	return n - (ssize_t)sizeof(*m);
}

/* Lines. */

/* This process's first look after a fork: what its parent had open is the parent's. */
static void become(void)
{
	struct forked_end *e;

	if (ends_mm == sv_mm_id())
		return;
	list_for_each_entry(e, &ends, node) {
		if (still_ours(e))
			sv_fd_keep_close(e->fd);
		e->fd = -1;
	}
	INIT_LIST_HEAD(&ends);
	for (u32 i = 0; i < nr_doors; i++)
		INIT_LIST_HEAD(&doors[i].idle);
	mine = NULL;
	listening = false;
	ends_mm = sv_mm_id();
}

/* forked_lock held. */
static struct door *door_find(u32 mm)
{
	for (u32 i = 0; i < nr_doors; i++)
		if (doors[i].mm == mm)
			return &doors[i];
	return NULL;
}

static struct line *line_open(struct door *door)
{
	struct line *line = sv_zalloc(sizeof(*line));
	struct forked_msg hello = { .type = FORKED_LINE };
	int fds[2], err;

	if (!line)
		return NULL;
	if (forked_pair(fds)) {
		sv_free(line);
		return NULL;
	}
	err = forked_send(&door->out, &hello, NULL, 0, fds[1]);
	sv_libc.close(fds[1]);
	if (err)
		sv_libc.close(fds[0]);
	else
		err = forked_end_init(&line->end, fds[0]);
	if (err) {
		sv_free(line);
		return NULL;
	}
	return line;
}

static struct line *line_get(u32 mm, struct door **out)
{
	struct line *line = NULL;
	struct door *door;

	sv_mutex_lock(&forked_lock);
	become();
	door = door_find(mm);
	if (door && !list_empty(&door->idle)) {
		line = list_first_entry(&door->idle, struct line, node);
		list_del(&line->node);
	}
	sv_mutex_unlock(&forked_lock);
	*out = door;
	return line || !door ? line : line_open(door);
}

static void line_put(struct door *door, struct line *line)
{
	sv_mutex_lock(&forked_lock);
	list_add(&line->node, &door->idle);
	sv_mutex_unlock(&forked_lock);
}

static void line_close(struct line *line)
{
	forked_end_close(&line->end);
	sv_free(line);
}

/* The child's side of a call. */

/* What the owner asks for. 0, or -EPIPE. */
static int answer(struct line *line, const struct forked_msg *q, const void *data, size_t n, int fd)
{
	struct forked_msg a = { .type = FORKED_ANSWER };
	u8 buf[FORKED_DATA];
	int give = -1;

	switch (q->type) {
	case FORKED_READ:
		a.len = min(q->len, sizeof(buf));
		a.ret = sv_copy_guarded(buf, (void *)q->addr, a.len);
		break;
	case FORKED_WRITE:
		a.ret = q->len == n ? sv_copy_guarded((void *)q->addr, data, n) : -EFAULT;
		break;
	case FORKED_FD:
		give = (int)q->cmd;
		if (sv_libc.fcntl(give, F_GETFD) < 0) {
			give = -1;
			a.ret = -EBADF;
		}
		break;
	case FORKED_LENDER:
		a.ret = fd < 0 ? -EBADF : forked_lend_start(fd);
		fd = -1;
		break;
	default:
		return -EPIPE;
	}
	if (fd >= 0)
		sv_libc.close(fd);
	if (a.ret)
		a.len = 0;
	return forked_send(&line->end, &a, buf, q->type == FORKED_READ ? a.len : 0, give);
}

static int converse(struct line *line, const struct forked_msg *call, long *ret)
{
	struct forked_msg m;
	u8 data[FORKED_DATA];
	ssize_t n;
	int fd, err = forked_send(&line->end, call, NULL, 0, -1);

	while (!err) {
		n = forked_recv(&line->end, &m, data, sizeof(data), &fd);
		if (n < 0)
			return (int)n;
		if (m.type == FORKED_RETURN) {
			*ret = m.ret;
			if (fd >= 0)
				sv_libc.close(fd);
			return 0;
		}
		err = answer(line, &m, data, (size_t)n, fd);
	}
	return err;
}

long sv_forked_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	struct forked_msg call = { .type = FORKED_IOCTL, .file = f->id, .cmd = cmd, .addr = value };
	struct door *door;
	struct line *line;
	long ret = -EIO;

	/* As an open does: the child may have set handlers since. */
	if (sv_guard_init())
		return -EIO;
	line = line_get(f->mm, &door);
	if (!line)
		return -EIO;
	if (converse(line, &call, &ret)) {
		line_close(line);
		ret = -EIO;
	} else {
		line_put(door, line);
	}
	sv_trace("file.forked", "%s: %#x = %ld", f->ops->name, cmd, ret);
	return ret;
}

/* The owner's door. */

/* forked_lock held. A process that can't have one has children that get EIO. */
static void door_open(void)
{
	struct door *d = &doors[nr_doors];
	int fds[2];

	if (mine || nr_doors == MAX_DOORS || forked_pair(fds))
		return;
	if (end_set(&d->out, fds[1])) {
		sv_libc.close(fds[0]);
		return;
	}
	if (end_set(&door_in, fds[0])) {
		sv_fd_keep_close(d->out.fd);
		return;
	}
	list_add_tail(&door_in.node, &ends);
	d->mm = sv_mm_id();
	INIT_LIST_HEAD(&d->idle);
	mine = d;
	nr_doors++;
}

static void fork_prepare(void)
{
	forked_lend_fork_prepare();
	sv_mutex_lock(&forked_lock);
	become();
	door_open();
}

static void fork_parent(void)
{
	bool start = mine && !listening;

	listening = listening || start;
	sv_mutex_unlock(&forked_lock);
	forked_lend_fork_done();
	if (start && sv_thread_spawn("softvirt-door", forked_door_main, &door_in)) {
		sv_warn("no thread for calls of forked processes: they fail");
		/* Then they fail at once instead of waiting. */
		shutdown(door_in.fd, SHUT_RDWR);
	}
}

static void fork_child(void)
{
	become();
	sv_mutex_unlock(&forked_lock);
	forked_lend_fork_done();
}

static int init_once(void)
{
	if (SV_FAULT(ENOMEM) || pthread_atfork(fork_prepare, fork_parent, fork_child))
		return -ENOMEM;
	ends_mm = sv_mm_id();
	return 0;
}

int sv_forked_init(void)
{
	static struct sv_once once = SV_ONCE_INIT;

	return sv_once(&once, init_once);
}
