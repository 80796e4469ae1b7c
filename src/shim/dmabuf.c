/* SPDX-License-Identifier: MIT */
/*
 * What programs do with dma-bufs beside ioctl and mmap: they look into /dev/dma_heap for
 * heaps, poll buffers for fences, and must not change their size.
 *
 * A directory that exists only because nodes lie in it is a struct of ours behind the
 * program's DIR pointer; all such structs are on a list, by which the calls tell them from
 * the C library's. Where the host has the directory too, its own entries are not shown: the
 * paths of ours come first everywhere.
 *
 * Not covered: scandir and glob, which call the C library's own readdir.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/sync.h"
#include "shim.h"
#include "softvirt/dma-buf.h"
#include "softvirt/sync-file.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"	/* the headers declare only some */

struct shim_dir {
	struct list_head link;
	char path[32];		/* without a slash at the end */
	int fd;			/* an empty stand-in for dirfd() */
	size_t next;		/* 0 ".", 1 "..", then the nodes */
	struct dirent entry;
};

static struct sv_mutex dirs_lock = SV_MUTEX_INIT;
static LIST_HEAD(dirs);
static u32 nr_dirs;		/* atomic: most programs have none */

/* The next library's function of this name. */
#define REAL(name) ({ \
	static __typeof__(&name) _fn; \
	__typeof__(&name) _f = __atomic_load_n(&_fn, __ATOMIC_RELAXED); \
	if (unlikely(!_f)) { \
		*(void **)&_f = dlsym(RTLD_NEXT, #name); \
		__atomic_store_n(&_fn, _f, __ATOMIC_RELAXED); \
	} \
	_f; })

static struct shim_dir *dir_find(DIR *dirp)
{
	struct shim_dir *d, *found = NULL;

	if (likely(!__atomic_load_n(&nr_dirs, __ATOMIC_RELAXED)))
		return NULL;
	sv_mutex_lock(&dirs_lock);
	list_for_each_entry(d, &dirs, link)
		if ((DIR *)d == dirp)
			found = d;
	sv_mutex_unlock(&dirs_lock);
	return found;
}

/* Only the directory of the heaps: what else lies in /dev the host knows better. */
static bool is_our_directory(const char *path)
{
	static const char heaps[] = "/dev/dma_heap";
	size_t len = sizeof(heaps) - 1;

	return path && !strncmp(path, heaps, len) &&
	       (!path[len] || (path[len] == '/' && !path[len + 1]));
}

SV_EXPORT DIR *opendir(const char *path)
{
	struct shim_dir *d;

	if (likely(!is_our_directory(path)))
		return REAL(opendir)(path);
	d = sv_zalloc(sizeof(*d));
	if (!d) {
		errno = ENOMEM;
		return NULL;
	}
	d->fd = real()->open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0) {
		sv_free(d);
		return NULL;
	}
	memcpy(d->path, path, strlen("/dev/dma_heap"));
	sv_mutex_lock(&dirs_lock);
	list_add(&d->link, &dirs);
	__atomic_fetch_add(&nr_dirs, 1, __ATOMIC_RELAXED);
	sv_mutex_unlock(&dirs_lock);
	return (DIR *)d;
}

/* The n-th entry; NULL at the end. */
static const char *entry_name(const struct shim_dir *d, size_t n)
{
	size_t len = strlen(d->path);

	if (n < 2)
		return n ? ".." : ".";
	n -= 2;
	for (const struct sv_node *const *node = sv_nodes; *node; node++) {
		const char *path = (*node)->path;

		if (strncmp(path, d->path, len) || path[len] != '/' || strchr(path + len + 1, '/'))
			continue;
		if (!n--)
			return path + len + 1;
	}
	return NULL;
}

static struct dirent *dir_read(struct shim_dir *d)
{
	const char *name = entry_name(d, d->next);

	if (!name || strlen(name) >= sizeof(d->entry.d_name))
		return NULL;
	d->next++;
	d->entry.d_ino = (ino_t)d->next;
	d->entry.d_off = (off_t)d->next;
	d->entry.d_reclen = sizeof(d->entry);
	d->entry.d_type = d->next <= 2 ? DT_DIR : DT_CHR;
	strcpy(d->entry.d_name, name);
	return &d->entry;
}

SV_EXPORT struct dirent *readdir(DIR *dirp)
{
	struct shim_dir *d = dir_find(dirp);

	return d ? dir_read(d) : REAL(readdir)(dirp);
}

/* On the hosts we know both structs are the same. */
SV_EXPORT struct dirent64 *readdir64(DIR *dirp)
{
	struct shim_dir *d = dir_find(dirp);

	_Static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "64-bit hosts");
	return d ? (struct dirent64 *)dir_read(d) : REAL(readdir64)(dirp);
}

SV_EXPORT void rewinddir(DIR *dirp)
{
	struct shim_dir *d = dir_find(dirp);

	if (d)
		d->next = 0;
	else
		REAL(rewinddir)(dirp);
}

SV_EXPORT int dirfd(DIR *dirp)
{
	struct shim_dir *d = dir_find(dirp);

	return d ? d->fd : REAL(dirfd)(dirp);
}

SV_EXPORT int closedir(DIR *dirp)
{
	struct shim_dir *d = dir_find(dirp);

	if (!d)
		return REAL(closedir)(dirp);
	sv_mutex_lock(&dirs_lock);
	list_del(&d->link);
	__atomic_fetch_sub(&nr_dirs, 1, __ATOMIC_RELAXED);
	sv_mutex_unlock(&dirs_lock);
	real()->close(d->fd);
	sv_free(d);
	return 0;
}

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
