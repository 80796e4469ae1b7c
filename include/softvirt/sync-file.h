/* SPDX-License-Identifier: MIT */
/*
 * Sync files: a fence behind a descriptor. It becomes readable (POLLIN) when the fence
 * signals, for poll, epoll and select, in every process that has a copy, as long as this
 * process keeps one open.
 */
#ifndef SOFTVIRT_SYNC_FILE_H
#define SOFTVIRT_SYNC_FILE_H

#include <poll.h>

#include "softvirt/dma-fence.h"

#pragma GCC visibility push(default)

/* A descriptor, close-on-exec, or -errno. Takes a reference of its own. name may be NULL. */
int sync_file_fd(struct dma_fence *fence, const char *name);
/* The fence behind a descriptor, with a reference; NULL: no sync file. */
struct dma_fence *sync_file_get_fence(int fd);

/*
 * poll(2) that knows dma-bufs: POLLIN when the CPU may read (all writers are done), POLLOUT
 * when it may write (everybody is). Other descriptors are the kernel's.
 */
int softvirt_poll(struct pollfd *fds, nfds_t nfds, int timeout_ms);

#pragma GCC visibility pop

#endif
