/* SPDX-License-Identifier: MIT */
/*
 * What programs do with dma-bufs beside ioctl and mmap: they poll buffers for fences, and must
 * not change their size.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"
#include "softvirt/dma-buf.h"
#include "softvirt/sync-file.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"	/* the headers declare only some */

/* The next library's function of this name. */
#define REAL(name) ({ \
	static __typeof__(&name) _fn; \
	__typeof__(&name) _f = __atomic_load_n(&_fn, __ATOMIC_RELAXED); \
	if (unlikely(!_f)) { \
		*(void **)&_f = dlsym(RTLD_NEXT, #name); \
		__atomic_store_n(&_fn, _f, __ATOMIC_RELAXED); \
	} \
	_f; })

static bool is_dma_buf(int fd)
{
	struct dma_buf *dmabuf;

	if (likely(!sv_fd_ours(fd)))
		return false;
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return false;
	dma_buf_put(dmabuf);
	return true;
}

/* The C library says of poll() that it only writes here. The compiler is to conclude nothing. */
static const struct pollfd *readable(struct pollfd *fds)
{
	__asm__("" : "+r"(fds));
	return fds;
}

static bool any_dma_buf(const struct pollfd *fds, nfds_t nfds)
{
	for (nfds_t i = 0; i < nfds; i++)
		if (is_dma_buf(fds[i].fd))
			return true;
	return false;
}

/* What softvirt_ppoll and its like call comes back to us with descriptors that are no dma-bufs. */
SV_EXPORT int poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	if (unlikely(any_dma_buf(readable(fds), nfds)))
		return softvirt_poll(fds, nfds, timeout);
	return REAL(poll)(fds, nfds, timeout);
}

SV_EXPORT int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
		    const sigset_t *sigmask)
{
	if (unlikely(any_dma_buf(readable(fds), nfds)))
		return softvirt_ppoll(fds, nfds, timeout, sigmask);
	return REAL(ppoll)(fds, nfds, timeout, sigmask);
}

static bool any_in_sets(int nfds, const fd_set *r, const fd_set *w)
{
	for (int fd = 0; fd < nfds && fd < FD_SETSIZE; fd++)
		if (unlikely(sv_fd_ours(fd)) && ((r && FD_ISSET(fd, r)) || (w && FD_ISSET(fd, w))) &&
		    is_dma_buf(fd))
			return true;
	return false;
}

/* As the system call: what is left of the time is told. */
SV_EXPORT int select(int nfds, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
	struct timespec ts, t0, t1;
	s64 left;
	int ret;

	if (likely(!any_in_sets(nfds, r, w)))
		return REAL(select)(nfds, r, w, e, timeout);
	if (!timeout)
		return softvirt_pselect(nfds, r, w, e, NULL, NULL);
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
		errno = EINVAL;
		return -1;
	}
	ts.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
	ts.tv_nsec = timeout->tv_usec % 1000000 * 1000;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	ret = softvirt_pselect(nfds, r, w, e, &ts, NULL);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	left = (ts.tv_sec - t1.tv_sec + t0.tv_sec) * 1000000 +
	       (ts.tv_nsec - t1.tv_nsec + t0.tv_nsec) / 1000;
	left = max(left, (s64)0);
	timeout->tv_sec = left / 1000000;
	timeout->tv_usec = left % 1000000;
	return ret;
}

SV_EXPORT int pselect(int nfds, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout,
		      const sigset_t *sigmask)
{
	if (unlikely(any_in_sets(nfds, r, w)))
		return softvirt_pselect(nfds, r, w, e, timeout, sigmask);
	return REAL(pselect)(nfds, r, w, e, timeout, sigmask);
}

/* The set then holds a descriptor that can be waited for: epoll_wait needs nothing from us. */
SV_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (unlikely(is_dma_buf(fd)))
		return softvirt_epoll_ctl(epfd, op, fd, event);
	return REAL(epoll_ctl)(epfd, op, fd, event);
}

/* The fortified twins of poll. */
extern void __chk_fail(void) __attribute__((__noreturn__));

SV_EXPORT int __poll_chk(struct pollfd *fds, nfds_t nfds, int timeout, size_t room)
{
	if (room / sizeof(*fds) < nfds)
		__chk_fail();
	return poll(fds, nfds, timeout);
}

SV_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
			  const sigset_t *sigmask, size_t room)
{
	if (room / sizeof(*fds) < nfds)
		__chk_fail();
	return ppoll(fds, nfds, timeout, sigmask);
}

SV_EXPORT int ftruncate(int fd, off_t len)
{
	if (unlikely(is_dma_buf(fd))) {
		errno = EINVAL;
		return -1;
	}
	return REAL(ftruncate)(fd, len);
}

SV_EXPORT int ftruncate64(int fd, off64_t len)
{
	if (unlikely(is_dma_buf(fd))) {
		errno = EINVAL;
		return -1;
	}
	return REAL(ftruncate64)(fd, len);
}
