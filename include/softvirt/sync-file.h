/* SPDX-License-Identifier: MIT */
/*
 * Sync files: a fence behind a descriptor. It becomes readable (POLLIN) when the fence
 * signals, for poll, epoll and select, in every process that has a copy, as long as this
 * process lives.
 */
#ifndef SOFTVIRT_SYNC_FILE_H
#define SOFTVIRT_SYNC_FILE_H

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "softvirt/dma-fence.h"

#pragma GCC visibility push(default)

/* A descriptor, close-on-exec, or -errno. Takes a reference of its own. name may be NULL. */
int sync_file_fd(struct dma_fence *fence, const char *name);
/* The fence behind a descriptor, with a reference; NULL: no sync file. */
struct dma_fence *sync_file_get_fence(int fd);

/*
 * poll(2) and its relatives, which know dma-bufs: POLLIN when the CPU may read (all writers
 * are done), POLLOUT when it may write (everybody is). Other descriptors are the kernel's.
 * epoll_wait(2) needs no replacement. All as the system calls: -1 and errno.
 */
int softvirt_poll(struct pollfd *fds, nfds_t nfds, int timeout_ms);
int softvirt_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
		   const sigset_t *sigmask);
int softvirt_pselect(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
		     const struct timespec *timeout, const sigset_t *sigmask);
int softvirt_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

#pragma GCC visibility pop

#endif
