/* SPDX-License-Identifier: MIT */
/*
 * The caller's eventfds: descriptors of our own to them, signalling, and listening to those
 * that unmask INTx.
 *
 * The kernel hooks into an eventfd's wait queue. Here a thread of the device, named
 * "vfio-virqfd" and started with the first unmask eventfd, sleeps in poll() for it. It takes
 * the count and unmasks. lock guards what the thread reads; when clear has returned no further
 * unmask comes from that eventfd: the thread acts with lock held.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/libc.h"
#include "vfio/vfio.h"

struct vfio_virqfds {
	struct vfio_device *vdev;
	struct sv_mutex lock;
	int unmask_fd;		/* lock; -1: none. Closed by the thread's owner after it was told */
	int kick_fd;
	bool stop;		/* lock */
	struct sv_thread thread;
};

/* Is it an eventfd? 0, -EBADF, -EINVAL. The id tells one from another. */
static int eventfd_id(int fd, u64 *id)
{
	static const char key[] = "eventfd-id:";
	char path[48], text[512], *p;
	ssize_t n;
	int info;

	if (fd < 0)
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = SV_FAULT(EMFILE) ? -1 : sv_libc.open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return errno == ENOENT ? -EBADF : -errno;
	n = read(info, text, sizeof(text) - 1);
	sv_libc.close(info);
	if (n < 0)
		return -EINVAL;
	text[n] = 0;
	p = strstr(text, key);
	/* One that is only the backing of an object of ours is none, either. */
	if (!p || sv_fd_ours(fd))
		return -EINVAL;
	*id = strtoull(p + sizeof(key) - 1, NULL, 10);
	return 0;
}

int vfio_eventfd_get(int fd)
{
	u64 before, after;
	int err = eventfd_id(fd, &before), copy;

	if (err)
		return err;
	copy = SV_FAULT(EMFILE) ? -1 : sv_libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	/* Somebody may have replaced fd in between: what we hold is what counts. */
	err = eventfd_id(copy, &after);
	if (err || before != after) {
		sv_libc.close(copy);
		return err ? err : -EBADF;
	}
	return copy;
}

void vfio_eventfd_put(int fd)
{
	if (fd >= 0)
		sv_libc.close(fd);
}

void vfio_eventfd_signal(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	u64 one = 1;
	int saved = errno;

	/* A full count stays full, without waiting, whatever mode the caller's descriptor is in. */
	if (fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
	    write(fd, &one, sizeof(one)) < 0)
		sv_trace("vfio.eventfd", "descriptor %d: %d", fd, errno);
	errno = saved;
}

/* Takes the count without ever waiting: somebody else may have taken it first. */
static bool eventfd_take(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	u64 count;

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN) &&
	       read(fd, &count, sizeof(count)) == sizeof(count);
}

static void *virqfd_thread(void *arg)
{
	struct vfio_virqfds *v = arg;

	for (;;) {
		struct pollfd p[2] = { { .fd = v->kick_fd, .events = POLLIN }, { .events = POLLIN } };
		bool stop;

		sv_mutex_lock(&v->lock);
		(void)eventfd_take(v->kick_fd);
		stop = v->stop;
		p[1].fd = v->unmask_fd;
		if (v->unmask_fd >= 0 && eventfd_take(v->unmask_fd))
			vfio_intx_unmask(v->vdev);
		sv_mutex_unlock(&v->lock);
		if (stop)
			return NULL;
		/* The descriptor may be closed meanwhile; then the kick ends the wait. */
		(void)poll(p, 2, -1);
	}
}

static int virqfds_start(struct vfio_device *vdev)
{
	struct vfio_virqfds *v;
	int err;

	if (vdev->virqfds)
		return 0;
	v = sv_zalloc(sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->vdev = vdev;
	v->unmask_fd = -1;
	sv_mutex_init(&v->lock);
	v->kick_fd = SV_FAULT(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC);
	err = v->kick_fd < 0 ? -errno : 0;
	if (!err) {
		err = sv_thread_create(&v->thread, "vfio-virqfd", virqfd_thread, v);
		if (err)
			sv_libc.close(v->kick_fd);
	}
	if (err) {
		sv_free(v);
		return err;
	}
	vdev->virqfds = v;
	return 0;
}

int vfio_unmask_eventfd_set(struct vfio_device *vdev, int fd)
{
	struct vfio_virqfds *v;
	int err = virqfds_start(vdev), own;

	if (err)
		return err;
	v = vdev->virqfds;
	own = vfio_eventfd_get(fd);
	if (own < 0)
		return own;
	sv_mutex_lock(&v->lock);
	if (v->unmask_fd >= 0)
		err = -EBUSY;
	else
		v->unmask_fd = own;
	sv_mutex_unlock(&v->lock);
	if (err)
		vfio_eventfd_put(own);
	else
		vfio_eventfd_signal(v->kick_fd);
	return err;
}

void vfio_unmask_eventfd_clear(struct vfio_device *vdev)
{
	struct vfio_virqfds *v = vdev->virqfds;
	int fd;

	if (!v)
		return;
	sv_mutex_lock(&v->lock);
	fd = v->unmask_fd;
	v->unmask_fd = -1;
	sv_mutex_unlock(&v->lock);
	vfio_eventfd_signal(v->kick_fd);
	vfio_eventfd_put(fd);
}

void vfio_virqfds_stop(struct vfio_device *vdev)
{
	struct vfio_virqfds *v = vdev->virqfds;

	if (!v)
		return;
	vfio_unmask_eventfd_clear(vdev);
	sv_mutex_lock(&v->lock);
	v->stop = true;
	sv_mutex_unlock(&v->lock);
	vfio_eventfd_signal(v->kick_fd);
	sv_thread_join(&v->thread);
	sv_libc.close(v->kick_fd);
	vdev->virqfds = NULL;
	sv_free(v);
}
