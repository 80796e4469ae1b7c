/* SPDX-License-Identifier: MIT */
/*
 * The owner's side of lines: calls of forked children are carried out here. docs/forked.md has the
 * model.
 *
 * A line's thread waits for a call without limit; within a call every answer is waited for with one.
 * After a broken answer the call goes on with -EFAULT for what it asks, and the line ends with it.
 *
 * A lender is held by its line and by whoever has mapped through it. Its lock is held for a request:
 * innermost, but it is waited under, forked_patience_ms at most for each message.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/intr.h"
#include "base/libc.h"
#include "base/maps.h"
#include "file/forked_impl.h"

unsigned forked_patience_ms = 10000;

struct sv_lender {
	refcount_t refs;
	struct sv_mutex lock;
	struct forked_end end;
	bool dead;			/* lock */
	pid_t pid;			/* as it was when the line came */
};

struct server {
	struct forked_end end;
	pid_t pid;
	bool broken;
	struct sv_lender *lender;
};

/* The line whose call this thread carries out. */
static __thread struct server *serving __attribute__((tls_model("initial-exec")));

static void limit(int fd, bool on)
{
	unsigned ms = on ? READ_ONCE(forked_patience_ms) : 0;
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/*
 * Asks the child for something: 0, its -errno, or -EPIPE from now on. room bytes must come with a
 * good answer. *fd (may be NULL): must come, too.
 */
static int ask(struct server *s, const struct forked_msg *q, const void *data, size_t n, int give,
	       void *in, size_t room, int *fd)
{
	int came = -1, err = -EPIPE;
	struct forked_msg a;
	ssize_t got;

	if (s->broken || forked_send(&s->end, q, data, n, give))
		goto out;
	got = forked_recv(&s->end, &a, in, room, &came);
	if (got < 0 || a.type != FORKED_ANSWER || a.ret > 0 || a.ret < -4095)
		goto out;
	if (a.ret)
		err = (int)a.ret;
	else if ((size_t)got == room && (came >= 0) == (fd != NULL))
		err = 0;
out:
	if (fd && !err)
		*fd = came;
	else if (came >= 0)
		sv_libc.close(came);
	s->broken = s->broken || err == -EPIPE;
	return err;
}

static int from_child(void *dst, u64 user, size_t n)
{
	struct forked_msg q = { .type = FORKED_READ };
	u8 *to = dst;

	for (; n; n -= q.len, to += q.len, user += q.len) {
		q.addr = user;
		q.len = min(n, (size_t)FORKED_DATA);
		if (ask(serving, &q, NULL, 0, -1, to, q.len, NULL))
			return -EFAULT;
	}
	return 0;
}

static int to_child(u64 user, const void *src, size_t n)
{
	struct forked_msg q = { .type = FORKED_WRITE };
	const u8 *from = src;

	for (; n; n -= q.len, from += q.len, user += q.len) {
		q.addr = user;
		q.len = min(n, (size_t)FORKED_DATA);
		if (ask(serving, &q, from, q.len, -1, NULL, 0, NULL))
			return -EFAULT;
	}
	return 0;
}

static const struct sv_user_ops child_memory = { from_child, to_child };

int sv_caller_fd(int fd)
{
	struct forked_msg q = { .type = FORKED_FD, .cmd = (u32)fd };
	int got = -1, err;

	if (!sv_user_is_foreign())
		return fd;
	err = ask(serving, &q, NULL, 0, -1, NULL, 0, &got);
	if (err)
		return err == -EPIPE ? -EIO : err;
	return got;
}

void sv_caller_fd_put(int caller_fd, int fd)
{
	if (sv_user_is_foreign() && fd >= 0)
		sv_libc.close(fd);
}

/* Lenders. */

struct sv_lender *sv_lender_get(struct sv_lender *l)
{
	refcount_inc(&l->refs);
	return l;
}

void sv_lender_put(struct sv_lender *l)
{
	if (!refcount_dec_and_test(&l->refs))
		return;
	forked_end_close(&l->end);
	sv_mutex_destroy(&l->lock);
	sv_free(l);
}

static struct sv_lender *lender_new(struct server *s)
{
	struct forked_msg q = { .type = FORKED_LENDER };
	struct sv_lender *l = sv_zalloc(sizeof(*l));
	int fds[2], err;

	if (!l)
		return ERR_PTR(-ENOMEM);
	err = forked_pair(fds);
	if (!err) {
		err = ask(s, &q, NULL, 0, fds[1], NULL, 0, NULL);
		sv_libc.close(fds[1]);
		if (err)
			sv_libc.close(fds[0]);
		else
			err = forked_end_init(&l->end, fds[0]);
	}
	if (err) {
		sv_free(l);
		return ERR_PTR(err == -ENOMEM ? err : -EIO);
	}
	limit(l->end.fd, true);
	refcount_set(&l->refs, 1);
	sv_mutex_init(&l->lock);
	l->pid = s->pid;
	return l;
}

struct sv_lender *sv_caller_lender(void)
{
	struct server *s = serving;
	struct sv_lender *l;

	if (!s->lender) {
		l = lender_new(s);
		if (IS_ERR(l))
			return l;
		s->lender = l;
	}
	return sv_lender_get(s->lender);
}

/* Does the mapping have the len bytes at offset of this file, shared? Where: *addr. */
static bool vma_has(const struct sv_vma *v, const struct forked_msg *m, u64 *addr)
{
	if (!(v->flags & SV_VMA_SHARED) || v->dev != m->dev || v->ino != m->ino || !v->ino ||
	    m->offset < v->offset || m->offset - v->offset > v->end - v->start ||
	    v->end - v->start - (m->offset - v->offset) < m->len)
		return false;
	*addr = v->start + (m->offset - v->offset);
	return true;
}

/* Is that what the process has at this address? It may name a file that it can't open. */
static bool process_has(pid_t pid, const struct forked_msg *m)
{
	int fd = sv_maps_open(pid);
	struct sv_vma v;
	u64 addr;
	bool yes;

	if (fd < 0)
		return false;
	yes = !sv_vma_find(fd, m->addr, &v) && vma_has(&v, m, &addr) && addr == m->addr;
	sv_libc.close(fd);
	return yes;
}

/* A second mapping of what this process has mapped shared somewhere: 0, -EFAULT. */
static int map_duplicate(const struct forked_msg *m, bool writable, void *at)
{
	int fd = sv_maps_open(0), err = -EFAULT;
	u64 next = 0, addr = 0, moved;
	struct sv_vma v;

	if (fd < 0)
		return -EFAULT;
	while (!sv_vma_next(fd, next, &v)) {
		next = v.end;
		if (!vma_has(&v, m, &addr))
			continue;
		/* An old size of 0 makes a second mapping of the same pages. */
		moved = (u64)sv_libc.syscall(SYS_mremap, addr, 0, m->len, MREMAP_MAYMOVE | MREMAP_FIXED, at);
		if (moved != (u64)at)
			continue;
		/* The program may have put something else there meanwhile. */
		if (sv_vma_find(fd, (u64)at, &v) || !vma_has(&v, m, &addr) || addr > (u64)at)
			break;
		if ((v.flags & SV_VMA_W) ||
		    !sv_libc.syscall(SYS_mprotect, at, m->len, PROT_READ | (writable ? PROT_WRITE : 0)))
			err = 0;
		break;
	}
	sv_libc.close(fd);
	return err;
}

/* at: where m->addr's bytes go. */
static int map_piece(struct sv_lender *l, const struct forked_msg *m, int fd, bool writable, void *at)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0);

	if (fd < 0)
		return process_has(l->pid, m) ? map_duplicate(m, writable, at) : -EFAULT;
	if (SV_FAULT(ENOMEM) ||
	    sv_libc.mmap(at, m->len, prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd,
			 (off_t)m->offset) == MAP_FAILED)
		return -EFAULT;
	return 0;
}

/* What answers a request: pieces without a gap, then how it went. Lock held. */
static int take_pieces(struct sv_lender *l, u64 addr, u64 len, bool writable, u8 *at)
{
	struct forked_msg m;
	int err = 0, fd;
	u64 done = 0;

	for (;;) {
		if (forked_recv(&l->end, &m, NULL, 0, &fd) < 0)
			return -EPIPE;
		if (m.type == FORKED_ANSWER && fd < 0)
			return err ? err : m.ret || done != len ? -EFAULT : 0;
		/* Nothing but what comes next, and fits. */
		if (m.type != FORKED_PIECE || m.addr != addr + done || !m.len || m.len > len - done ||
		    !IS_ALIGNED(m.len | m.offset, SV_PAGE_SIZE) || m.offset > INT64_MAX - m.len) {
			if (fd >= 0)
				sv_libc.close(fd);
			return -EPIPE;
		}
		if (!err)
			err = map_piece(l, &m, fd, writable, at + done);
		if (fd >= 0)
			sv_libc.close(fd);
		done += m.len;
	}
}

int sv_lender_map(struct sv_lender *l, u64 addr, u64 len, bool writable, void *at)
{
	struct forked_msg q = { .type = FORKED_LEND, .addr = addr, .len = len, .cmd = writable };
	int err;

	sv_mutex_lock(&l->lock);
	err = l->dead || forked_send(&l->end, &q, NULL, 0, -1) ? -EPIPE :
	      take_pieces(l, addr, len, writable, at);
	if (err == -EPIPE)
		l->dead = true;
	sv_mutex_unlock(&l->lock);
	return err ? -EFAULT : 0;
}

/* Calls. */

static long carry_out(struct server *s, const struct forked_msg *call)
{
	struct sv_file *f = sv_file_find(call->file);
	long ret = -EIO;

	if (!f)
		return -EIO;
	serving = s;
	sv_user_foreign = &child_memory;
	if (f->ops->called_by_children)
		ret = sv_file_ioctl(f, call->cmd, call->addr);
	sv_user_foreign = NULL;
	serving = NULL;
	sv_file_put(f);
	return ret == -ERESTARTSYS_SV ? -EINTR : ret;
}

static void *server_main(void *arg)
{
	struct forked_msg m, end = { .type = FORKED_RETURN };
	struct server *s = arg;

	while (!s->broken) {
		limit(s->end.fd, false);
		if (forked_recv(&s->end, &m, NULL, 0, NULL) < 0 || m.type != FORKED_IOCTL)
			break;
		limit(s->end.fd, true);
		end.ret = carry_out(s, &m);
		if (!s->broken && forked_send(&s->end, &end, NULL, 0, -1))
			break;
	}
	if (s->lender)
		sv_lender_put(s->lender);
	forked_end_close(&s->end);
	sv_free(s);
	return NULL;
}

/* A new line; fd is taken over. */
static void server_start(int fd)
{
	struct server *s = sv_zalloc(sizeof(*s));
	struct ucred who = { 0 };
	socklen_t n = sizeof(who);

	if (!s) {
		sv_libc.close(fd);
		return;
	}
	/* Of a pair its maker, the child; as it is seen from here. */
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n);
	s->pid = who.pid;
	if (forked_end_init(&s->end, fd)) {
		sv_free(s);
		return;
	}
	if (sv_thread_spawn("softvirt-line", server_main, s)) {
		forked_end_close(&s->end);
		sv_free(s);
	}
}

void *forked_door_main(void *arg)
{
	struct forked_end *door = arg;
	struct forked_msg m;
	ssize_t n;
	int fd;

	/* Any descendant may send nonsense through it: that is no reason to close it. */
	do {
		n = forked_recv(door, &m, NULL, 0, &fd);
		if (n >= 0 && m.type == FORKED_LINE && fd >= 0)
			server_start(fd);
		else if (fd >= 0)
			sv_libc.close(fd);
	} while (n != -EPIPE);
	return NULL;
}
