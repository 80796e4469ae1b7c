/* SPDX-License-Identifier: MIT */
/*
 * The virtio network device (virtio 1.2, 5.1) on a user-mode network of libslirp.
 *
 * The guest is 10.0.2.15 behind a gateway 10.0.2.2, which stands for the host's loopback;
 * 10.0.2.3 answers DNS. What the guest sends out leaves through ordinary sockets of this
 * process; nothing comes in that the guest has not asked for.
 *
 * libslirp belongs to one thread: the device's own, which polls libslirp's sockets, its
 * timers and the two queues' kicks, and sleeps without a deadline when there is nothing.
 * Packets to the guest wait in a bounded list for the guest's buffers; when it is full they
 * are dropped, as on a wire, and TCP sends them again.
 *
 * No offloads: the guest computes its checksums, packets are at most the MTU.
 *
 * Locks: the device's io_lock while queues are worked on; libslirp is called without it,
 * except to hand it a packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/devices.h"
#include "vmm/report.h"

#define VIRTIO_NET_F_MAC	BIT(5)
#define VIRTIO_NET_F_STATUS	BIT(16)
#define VIRTIO_NET_S_LINK_UP	1

#define NET_RX		0
#define NET_TX		1
#define NET_MAX_FRAME	65550u
#define NET_MAX_WAITING	256u
#define NET_MAX_TIMERS	4
#define NET_MAX_FDS	1024
#define NET_FIXED_FDS	3	/* stop, rx kick, tx kick */

/* virtio 1.2, 5.1.4 and 5.1.6. */
struct net_config {
	u8 mac[6];
	u16 status;
} __attribute__((packed));

struct net_header {
	u8 flags, gso_type;
	u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct net_packet {
	u8 *data;
	size_t len;
};

struct net_timer {
	bool used;
	SlirpTimerCb cb;
	void *opaque;
	s64 expires_ms;		/* -1: not set */
};

struct virtio_net {
	struct device device;
	struct virtio_dev dev;
	struct net_config config;
	/* From here on the device's thread's own. */
	Slirp *slirp;
	struct net_timer timer[NET_MAX_TIMERS];
	struct pollfd fds[NET_FIXED_FDS + NET_MAX_FDS];
	unsigned int nr_fds;
	struct net_packet waiting[NET_MAX_WAITING];
	u32 head, tail;		/* free running */
	u8 frame[NET_MAX_FRAME];
	/* Anybody's. */
	int stop_fd;
	bool stop;
	bool reset;		/* what waits was for a driver that is gone */
	bool has_thread;
	struct sv_thread thread;
};

static struct virtio_net *to_net(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_net, dev);
}

static const void *net_config(struct virtio_dev *dev, size_t *len)
{
	struct virtio_net *n = to_net(dev);

	*len = sizeof(n->config);
	return &n->config;
}

static void net_reset(struct virtio_dev *dev)
{
	__atomic_store_n(&to_net(dev)->reset, true, __ATOMIC_RELEASE);
}

/* --- what libslirp calls ---------------------------------------------------------------- */

static s64 net_clock_ns(void *opaque)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static ssize_t net_send_packet(const void *buf, size_t len, void *opaque)
{
	struct virtio_net *n = opaque;
	struct net_packet *p = &n->waiting[n->head % NET_MAX_WAITING];

	if (n->head - n->tail == NET_MAX_WAITING || len > NET_MAX_FRAME)
		return len;
	p->data = malloc(len);
	if (!p->data)
		return len;
	memcpy(p->data, buf, len);
	p->len = len;
	n->head++;
	return len;
}

static void net_guest_error(const char *msg, void *opaque)
{
	/* The guest's own business; a hostile one could fill the log. */
}

static void *net_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
	struct virtio_net *n = opaque;
	unsigned int i;

	for (i = 0; i < NET_MAX_TIMERS; i++) {
		if (n->timer[i].used)
			continue;
		n->timer[i] = (struct net_timer){ true, cb, cb_opaque, -1 };
		return &n->timer[i];
	}
	return NULL;
}

static void net_timer_free(void *timer, void *opaque)
{
	struct net_timer *t = timer;

	if (t)
		t->used = false;
}

static void net_timer_mod(void *timer, s64 expire_ms, void *opaque)
{
	struct net_timer *t = timer;

	if (t)
		t->expires_ms = expire_ms;
}

static void net_poll_fd(int fd, void *opaque)
{
	/* Every socket is polled anew each time; there is nothing to keep. */
}

static void net_notify(void *opaque)
{
	/* Only this thread calls libslirp, and it looks after every call. */
}

static const SlirpCb net_slirp_cb = {
	.send_packet = net_send_packet,
	.guest_error = net_guest_error,
	.clock_get_ns = net_clock_ns,
	.timer_new = net_timer_new,
	.timer_free = net_timer_free,
	.timer_mod = net_timer_mod,
	.register_poll_fd = net_poll_fd,
	.unregister_poll_fd = net_poll_fd,
	.notify = net_notify,
};

static int net_add_poll(int fd, int events, void *opaque)
{
	struct virtio_net *n = opaque;
	short e = 0;

	if (n->nr_fds == ARRAY_SIZE(n->fds))
		return -1;
	e |= events & SLIRP_POLL_IN ? POLLIN : 0;
	e |= events & SLIRP_POLL_OUT ? POLLOUT : 0;
	e |= events & SLIRP_POLL_PRI ? POLLPRI : 0;
	n->fds[n->nr_fds] = (struct pollfd){ .fd = fd, .events = e };
	return n->nr_fds++;
}

static int net_get_revents(int idx, void *opaque)
{
	struct virtio_net *n = opaque;
	int r = 0;
	short e;

	if (idx < 0 || (unsigned int)idx >= n->nr_fds)
		return 0;
	e = n->fds[idx].revents;
	r |= e & POLLIN ? SLIRP_POLL_IN : 0;
	r |= e & POLLOUT ? SLIRP_POLL_OUT : 0;
	r |= e & POLLPRI ? SLIRP_POLL_PRI : 0;
	r |= e & POLLERR ? SLIRP_POLL_ERR : 0;
	r |= e & POLLHUP ? SLIRP_POLL_HUP : 0;
	return r;
}

/* --- the queues ------------------------------------------------------------------------- */

/* Gives waiting packets to the guest. Under io_lock. */
static void net_receive(struct virtio_net *n)
{
	static const struct net_header header = { .num_buffers = 1 };
	struct virtio_dev *dev = &n->dev;
	struct virtq_chain *c = &dev->chain;
	struct virtq *q = &dev->queue[NET_RX];
	bool any = false;

	while (n->tail != n->head) {
		struct net_packet *p = &n->waiting[n->tail % NET_MAX_WAITING];

		if (!virtio_pop(dev, NET_RX)) {
			/* Out of buffers: the driver is to tell when there are some. */
			if (virtio_queue_ready(dev, NET_RX) && virtq_kicks_on(q))
				continue;
			break;
		}
		/* A buffer that is too small takes nothing (5.1.6.3.1 makes them large enough). */
		if (c->in_len >= sizeof(header) + p->len) {
			iov_write(c->iov + c->nr_out, c->nr_in, 0, &header, sizeof(header));
			iov_write(c->iov + c->nr_out, c->nr_in, sizeof(header), p->data, p->len);
			virtio_push(dev, NET_RX, sizeof(header) + p->len);
		} else {
			virtio_push(dev, NET_RX, 0);
		}
		free(p->data);
		n->tail++;
		any = true;
	}
	if (any && virtio_queue_ready(dev, NET_RX))
		virtio_signal(dev, NET_RX);
}

/* Takes what the guest sends. Under io_lock. */
static void net_transmit(struct virtio_net *n)
{
	struct virtio_dev *dev = &n->dev;
	struct virtq_chain *c = &dev->chain;
	struct virtq *q = &dev->queue[NET_TX];
	bool any = false;

	if (!virtio_queue_ready(dev, NET_TX))
		return;
	do {
		virtq_kicks_off(q);
		while (virtio_pop(dev, NET_TX)) {
			size_t len = 0;

			if (c->out_len > sizeof(struct net_header) &&
			    c->out_len - sizeof(struct net_header) <= NET_MAX_FRAME)
				len = iov_read(c->iov, c->nr_out, sizeof(struct net_header), n->frame,
					       NET_MAX_FRAME);
			if (len)
				slirp_input(n->slirp, n->frame, len);
			virtio_push(dev, NET_TX, 0);
			any = true;
		}
		if (!virtio_queue_ready(dev, NET_TX))
			return;
	} while (virtq_kicks_on(q));
	if (any)
		virtio_signal(dev, NET_TX);
}

static void net_drop_waiting(struct virtio_net *n)
{
	while (n->tail != n->head)
		free(n->waiting[n->tail++ % NET_MAX_WAITING].data);
}

/* --- the thread ------------------------------------------------------------------------- */

/* The time until the next timer, in ms, no more than timeout (-1: no limit). */
static int net_timeout(struct virtio_net *n, u32 timeout)
{
	s64 now = net_clock_ns(NULL) / 1000000, best = timeout > INT_MAX ? -1 : (s64)timeout;
	unsigned int i;

	for (i = 0; i < NET_MAX_TIMERS; i++) {
		struct net_timer *t = &n->timer[i];
		s64 left = t->expires_ms > now ? t->expires_ms - now : 0;

		if (t->used && t->expires_ms >= 0 && (best < 0 || left < best))
			best = min(left, (s64)INT_MAX);
	}
	return best;
}

static void net_run_timers(struct virtio_net *n)
{
	s64 now = net_clock_ns(NULL) / 1000000;
	unsigned int i;

	for (i = 0; i < NET_MAX_TIMERS; i++) {
		struct net_timer *t = &n->timer[i];

		if (t->used && t->expires_ms >= 0 && t->expires_ms <= now) {
			t->expires_ms = -1;
			t->cb(t->opaque);
		}
	}
}

static void *net_thread(void *arg)
{
	struct virtio_net *n = arg;
	unsigned int i;

	while (!__atomic_load_n(&n->stop, __ATOMIC_ACQUIRE)) {
		u32 timeout = UINT32_MAX;
		int r;

		n->fds[0] = (struct pollfd){ .fd = n->stop_fd, .events = POLLIN };
		for (i = 0; i < 2; i++)
			n->fds[1 + i] = (struct pollfd){ .fd = n->dev.kick[i].source.fd,
							 .events = POLLIN };
		n->nr_fds = NET_FIXED_FDS;
		slirp_pollfds_fill(n->slirp, &timeout, net_add_poll, n);
		r = poll(n->fds, n->nr_fds, net_timeout(n, timeout));
		for (i = 1; i < NET_FIXED_FDS; i++)
			if (r > 0 && n->fds[i].revents)
				eventfd_drain(n->fds[i].fd);
		slirp_pollfds_poll(n->slirp, r < 0, net_get_revents, n);
		net_run_timers(n);
		if (__atomic_exchange_n(&n->reset, false, __ATOMIC_ACQ_REL))
			net_drop_waiting(n);
		sv_mutex_lock(&n->dev.io_lock);
		net_transmit(n);
		net_receive(n);
		sv_mutex_unlock(&n->dev.io_lock);
	}
	return NULL;
}

static const struct virtio_ops net_ops = {
	.name = "virtio-net",
	.id = VIRTIO_ID_NET,
	.class_code = 0x020000,
	.nr_queues = 2,
	.config = net_config,
	.reset = net_reset,
};

static void net_destroy(struct device *d)
{
	struct virtio_net *n = container_of(d, struct virtio_net, device);

	if (n->has_thread) {
		__atomic_store_n(&n->stop, true, __ATOMIC_RELEASE);
		eventfd_kick(n->stop_fd);
		sv_thread_join(&n->thread);
	}
	slirp_cleanup(n->slirp);
	net_drop_waiting(n);
	virtio_destroy(&n->dev);
	close(n->stop_fd);
	free(n);
}

static Slirp *net_slirp_new(struct virtio_net *n)
{
	SlirpConfig cfg = {
		.version = 1,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(0x0a000200),
		.vnetmask.s_addr = htonl(0xffffff00),
		.vhost.s_addr = htonl(0x0a000202),
		.vdhcp_start.s_addr = htonl(0x0a00020f),
		.vnameserver.s_addr = htonl(0x0a000203),
		.vhostname = "softvirt",
	};

	return slirp_new(&cfg, &net_slirp_cb, n);
}

struct device *virtio_net_create(const struct virtio_env *env)
{
	struct virtio_net *n = calloc(1, sizeof(*n));
	int err = -ENOMEM;

	if (!n)
		goto fail;
	n->config = (struct net_config){ .mac = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 },
					 .status = VIRTIO_NET_S_LINK_UP };
	n->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->stop_fd < 0) {
		err = -errno;
		goto free;
	}
	n->slirp = net_slirp_new(n);
	if (!n->slirp)
		goto close;
	err = virtio_init(&n->dev, &net_ops, VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS, env->mem,
			  env->host, env->ioeventfd, env->opaque);
	if (err)
		goto cleanup;
	n->device = (struct device){ .name = "virtio-net", .virtio = &n->dev,
				     .destroy = net_destroy };
	err = sv_thread_create(&n->thread, "virtio-net", net_thread, n);
	if (err)
		vmm_report(err, "cannot start the network's thread: %s", strerror(-err));
	n->has_thread = !err;
	return &n->device;
cleanup:
	slirp_cleanup(n->slirp);
close:
	close(n->stop_fd);
free:
	free(n);
fail:
	vmm_report(err, "cannot make the network: %s; --net none leaves it out", strerror(-err));
	return NULL;
}
