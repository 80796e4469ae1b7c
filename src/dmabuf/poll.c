/* SPDX-License-Identifier: MIT */
/*
 * poll, select and epoll on buffers: docs/dmabuf.md, "Waiting with poll".
 *
 * Model. The descriptor behind a buffer is a memfd, which can't be polled. So another one
 * stands in for it: one end of a socket pair, of which we keep both ends. What is to be read
 * there and how full it is are in our hands, so all four states can be shown: EPOLLIN while
 * one byte waits, EPOLLOUT while the send buffer is empty. readiness.c says when they change.
 * The kernel does the rest: level and edge, EPOLLONESHOT, nested epoll descriptors.
 *
 * There is one stand-in for each number under which the program asks about a buffer's
 * descriptor: two numbers are two entries of an epoll set, as in the kernel. They live until
 * the last number of the file is closed; that takes them out of every set they are in, too.
 *
 * Locks: poll_lock (over the list), reservation lock; then the readiness's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/libc.h"
#include "base/timer.h"
#include "dmabuf/buf.h"
#include "dmabuf/watch.h"
#include "file/file.h"
#include "softvirt/sync-file.h"

struct stand_in {
	struct dma_resv_readiness readiness;
	struct list_head node;
	int fd;			/* the program's number */
	int shown, ours;	/* the two ends */
	ino_t shown_ino, ours_ino;
	pid_t owner;
	unsigned int state;	/* what they show; the readiness's lock */
};

static ino_t inode_of(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/* Not writable: full. The peer reads nothing until it is to be writable again. */
static void fill(int fd)
{
	static const char zeros[8192];

	while (send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
}

static void drain(int fd)
{
	char buf[8192];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void stand_in_show(struct dma_resv_readiness *r, unsigned int ready)
{
	struct stand_in *s = container_of(r, struct stand_in, readiness);
	unsigned int change = ready ^ s->state;
	int saved = errno;

	s->state = ready;
	/* A child shares the sockets, not the fences; a number may be a stranger's by now. */
	if (s->owner != getpid() || inode_of(s->shown) != s->shown_ino ||
	    inode_of(s->ours) != s->ours_ino)
		change = 0;
	if (change & DMA_READY_READ) {
		if (!(ready & DMA_READY_READ))
			drain(s->shown);
		else if (send(s->ours, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			s->state &= ~DMA_READY_READ;	/* no memory: the next change tries again */
	}
	if (change & DMA_READY_WRITE) {
		if (ready & DMA_READY_WRITE)
			drain(s->ours);
		else
			fill(s->shown);
	}
	errno = saved;
}

static void stand_in_free(struct dma_resv_readiness *r)
{
	sv_free(container_of(r, struct stand_in, readiness));
}

static int stand_in_sockets(struct stand_in *s)
{
	int fds[2], least = 0;

	if (SV_FAULT(EMFILE) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	/* The kernel's least: filling it costs two small buffers. */
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	s->ours = sv_fd_keep(fds[1]);
	s->shown = sv_fd_keep(fds[0]);
	if (s->ours >= 0 && s->shown >= 0) {
		s->shown_ino = inode_of(s->shown);
		s->ours_ino = inode_of(s->ours);
		return 0;
	}
	if (s->ours >= 0)
		sv_fd_keep_close(s->ours);
	if (s->shown >= 0)
		sv_fd_keep_close(s->shown);
	return s->ours < 0 ? s->ours : s->shown;
}

/* The descriptor to ask about in fd's stead, or -errno. */
static int stand_in_of(struct dma_buf_file *bf, int fd)
{
	struct stand_in *s;
	int err;

	sv_mutex_lock(&bf->poll_lock);
	list_for_each_entry(s, &bf->stand_ins, node) {
		if (s->fd == fd) {
			err = s->shown;
			goto unlock;
		}
	}
	s = sv_zalloc(sizeof(*s));
	err = s ? stand_in_sockets(s) : -ENOMEM;
	if (err) {
		sv_free(s);
		goto unlock;
	}
	s->fd = fd;
	s->owner = getpid();
	s->state = DMA_READY_WRITE;	/* what a new socket shows */
	s->readiness.show = stand_in_show;
	s->readiness.free = stand_in_free;
	dma_resv_readiness_begin(&s->readiness, bf->dmabuf->resv);
	list_add_tail(&s->node, &bf->stand_ins);
	err = s->shown;
unlock:
	sv_mutex_unlock(&bf->poll_lock);
	return err;
}

void dma_buf_poll_fini(struct dma_buf_file *bf)
{
	struct stand_in *s, *next;

	list_for_each_entry_safe(s, next, &bf->stand_ins, node) {
		int shown = s->shown, ours = s->ours;

		dma_resv_readiness_end(&s->readiness);
		sv_fd_keep_close(shown);
		sv_fd_keep_close(ours);
	}
}

static int result(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

int softvirt_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	const u32 passed = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLONESHOT | EPOLLWAKEUP |
			   EPOLLEXCLUSIVE;
	struct sv_file *f = dma_buf_fget(fd);
	struct epoll_event ev = { 0 };
	int ret;

	if (!f)
		return epoll_ctl(epfd, op, fd, event);
	if (op != EPOLL_CTL_DEL && sv_copy_from_user(&ev, event, sizeof(ev))) {
		ret = -EFAULT;
	} else {
		/* A socket has more to tell than a buffer. */
		ev.events &= passed;
		ret = stand_in_of(sv_file_priv(f), fd);
		if (ret >= 0)
			ret = epoll_ctl(epfd, op, ret, &ev) ? -errno : 0;
	}
	sv_file_put(f);
	return result(ret);
}

/* Undoes what ask_stand_ins() did. */
static void let_go(struct sv_file **files, nfds_t n)
{
	for (nfds_t i = 0; files && i < n; i++)
		if (files[i])
			sv_file_put(files[i]);
	sv_free(files);
}

/* all[] is fds[] with stand-ins in the buffers' places; *files keeps those open. */
static int ask_stand_ins(struct pollfd *all, const struct pollfd *fds, nfds_t nfds,
			 struct sv_file ***files)
{
	*files = sv_calloc(nfds, sizeof(**files));
	if (!*files)
		return -ENOMEM;
	for (nfds_t i = 0; i < nfds; i++) {
		all[i] = fds[i];
		(*files)[i] = fds[i].fd < 0 ? NULL : dma_buf_fget(fds[i].fd);
		if (!(*files)[i])
			continue;
		all[i].fd = stand_in_of(sv_file_priv((*files)[i]), fds[i].fd);
		if (all[i].fd < 0)
			return all[i].fd;
		all[i].events &= POLLIN | POLLOUT;
	}
	return 0;
}

int softvirt_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
		   const sigset_t *sigmask)
{
	struct sv_file **files = NULL;
	struct pollfd *all;
	int ret;

	if (nfds > INT32_MAX / sizeof(*all))
		return result(-EINVAL);
	all = sv_calloc(nfds + 1, sizeof(*all));
	ret = all ? ask_stand_ins(all, fds, nfds, &files) : -ENOMEM;
	if (!ret) {
		ret = ppoll(all, nfds, timeout, sigmask);
		if (ret < 0)
			ret = -errno;
		for (nfds_t i = 0; ret >= 0 && i < nfds; i++)
			fds[i].revents = all[i].revents;
	}
	let_go(files, nfds);
	sv_free(all);
	return result(ret);
}

int softvirt_poll(struct pollfd *fds, nfds_t nfds, int timeout_ms)
{
	struct timespec ts = {
		.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000l,
	};

	return softvirt_ppoll(fds, nfds, timeout_ms < 0 ? NULL : &ts, NULL);
}

#define SELECT_IN (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define SELECT_OUT (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)

static bool in_set(int fd, const fd_set *set)
{
	return set && FD_ISSET(fd, set);
}

/* Clears the bit unless it has come true; counts it if it has. */
static int answer(int fd, fd_set *set, bool is)
{
	if (!in_set(fd, set))
		return 0;
	if (!is)
		FD_CLR(fd, set);
	return is;
}

/* Stand-ins have numbers that an fd_set has no room for: select is a poll here. */
int softvirt_pselect(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
		     const struct timespec *timeout, const sigset_t *sigmask)
{
	struct pollfd fds[FD_SETSIZE];
	nfds_t n = 0;
	int ret = 0;

	if (nfds < 0 || nfds > FD_SETSIZE)
		return result(-EINVAL);
	for (int fd = 0; fd < nfds; fd++) {
		short events = (short)((in_set(fd, readfds) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) |
				       (in_set(fd, writefds) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0) |
				       (in_set(fd, exceptfds) ? POLLPRI : 0));

		if (events)
			fds[n++] = (struct pollfd){ .fd = fd, .events = events };
	}
	if (softvirt_ppoll(fds, n, timeout, sigmask) < 0)
		return -1;
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].revents & POLLNVAL)
			return result(-EBADF);
	for (nfds_t i = 0; i < n; i++) {
		ret += answer(fds[i].fd, readfds, fds[i].revents & SELECT_IN);
		ret += answer(fds[i].fd, writefds, fds[i].revents & SELECT_OUT);
		ret += answer(fds[i].fd, exceptfds, fds[i].revents & POLLPRI);
	}
	return ret;
}
