/* SPDX-License-Identifier: MIT */
#include "vmm/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

void eventfd_kick(int fd)
{
	u64 one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	/* EAGAIN: the counter is at its end, so the reader will wake up anyway. */
	(void)n;
}

void eventfd_drain(int fd)
{
	u64 v;
	ssize_t n = read(fd, &v, sizeof(v));

	(void)n;
}

static void loop_stop_event(struct loop_source *s)
{
	struct loop *l = container_of(s, struct loop, stop);

	eventfd_drain(s->fd);
	l->stopped = true;
}

int loop_init(struct loop *l)
{
	int err;

	l->stopped = false;
	l->stop.fn = loop_stop_event;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		return -errno;
	l->stop.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop.fd < 0) {
		err = -errno;
		close(l->epfd);
		return err;
	}
	err = loop_add(l, &l->stop);
	if (err)
		loop_fini(l);
	return err;
}

void loop_fini(struct loop *l)
{
	close(l->stop.fd);
	close(l->epfd);
}

int loop_add(struct loop *l, struct loop_source *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };

	return epoll_ctl(l->epfd, EPOLL_CTL_ADD, s->fd, &e) ? -errno : 0;
}

void loop_del(struct loop *l, struct loop_source *s)
{
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, s->fd, NULL);
}

void loop_run(struct loop *l)
{
	while (!l->stopped) {
		struct epoll_event e;

		if (epoll_wait(l->epfd, &e, 1, -1) == 1) {
			struct loop_source *s = e.data.ptr;

			s->fn(s);
		}
	}
	l->stopped = false;
}

void loop_stop(struct loop *l)
{
	eventfd_kick(l->stop.fd);
}
