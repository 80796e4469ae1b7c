/* SPDX-License-Identifier: MIT */
/*
 * The virtio console (virtio 1.2, 5.3), one port: queue 0 receives, queue 1 transmits.
 *
 * Input comes from the chardev's reader, output goes to the chardev in the device's thread,
 * which may wait there; the guest's next requests wait with it. Input for which the guest
 * has no buffers is held back at the chardev.
 *
 * Locks: the device's io_lock, which the reader takes, too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/chardev.h"
#include "vmm/devices.h"
#include "vmm/report.h"

#define CONSOLE_RX	0
#define CONSOLE_TX	1
#define CONSOLE_HELD	1024u
#define CONSOLE_TX_MAX	(1u << 20)

struct virtio_console {
	struct device device;
	struct virtio_dev dev;
	struct chardev *chardev;
	/* io_lock: input that waits for the guest's buffers. */
	u8 held[CONSOLE_HELD];
	size_t nr_held;
};

static struct virtio_console *to_console(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_console, dev);
}

/* Under io_lock. */
static void console_deliver(struct virtio_console *v)
{
	struct virtio_dev *dev = &v->dev;
	struct virtq_chain *c = &dev->chain;
	bool any = false;

	while (v->nr_held && virtio_pop(dev, CONSOLE_RX)) {
		size_t n = iov_write(c->iov + c->nr_out, c->nr_in, 0, v->held, v->nr_held);

		memmove(v->held, v->held + n, v->nr_held - n);
		v->nr_held -= n;
		virtio_push(dev, CONSOLE_RX, n);
		any = true;
	}
	if (any)
		virtio_signal(dev, CONSOLE_RX);
}

static size_t console_room(void *opaque)
{
	struct virtio_console *v = opaque;
	size_t room;

	sv_mutex_lock(&v->dev.io_lock);
	room = CONSOLE_HELD - v->nr_held;
	sv_mutex_unlock(&v->dev.io_lock);
	return room;
}

static void console_input(void *opaque, const u8 *data, size_t len)
{
	struct virtio_console *v = opaque;

	sv_mutex_lock(&v->dev.io_lock);
	len = min(len, CONSOLE_HELD - v->nr_held);
	memcpy(v->held + v->nr_held, data, len);
	v->nr_held += len;
	if (virtio_queue_ready(&v->dev, CONSOLE_RX))
		console_deliver(v);
	sv_mutex_unlock(&v->dev.io_lock);
}

static void console_transmit(struct virtio_console *v)
{
	struct virtio_dev *dev = &v->dev;
	struct virtq_chain *c = &dev->chain;
	struct virtq *q = &dev->queue[CONSOLE_TX];
	unsigned int i;

	do {
		virtq_kicks_off(q);
		while (virtio_pop(dev, CONSOLE_TX)) {
			/* More than a guest's console ever sends at once is cut off. */
			u64 left = CONSOLE_TX_MAX;

			for (i = 0; i < c->nr_out && left && !virtio_stopping(dev); i++) {
				size_t n = min((u64)c->iov[i].iov_len, left);

				chardev_write(v->chardev, c->iov[i].iov_base, n);
				left -= n;
			}
			virtio_push(dev, CONSOLE_TX, 0);
			virtio_signal(dev, CONSOLE_TX);
		}
		if (!virtio_queue_ready(dev, CONSOLE_TX))
			return;
	} while (virtq_kicks_on(q));
}

static void console_kick(struct virtio_dev *dev, unsigned int queue)
{
	struct virtio_console *v = to_console(dev);

	if (queue == CONSOLE_TX) {
		console_transmit(v);
		return;
	}
	console_deliver(v);
	chardev_input_ready(v->chardev);
}

static void console_reset(struct virtio_dev *dev)
{
	to_console(dev)->nr_held = 0;
}

static const struct virtio_ops console_ops = {
	.name = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.class_code = 0x078000,
	.nr_queues = 2,
	.kick = console_kick,
	.reset = console_reset,
};

static void console_destroy(struct device *d)
{
	struct virtio_console *v = container_of(d, struct virtio_console, device);

	virtio_destroy(&v->dev);
	free(v);
}

struct device *virtio_console_create(const struct virtio_env *env, struct chardev *c)
{
	struct virtio_console *v = calloc(1, sizeof(*v));
	int err = v ? virtio_init(&v->dev, &console_ops, 0, env->mem, env->host, env->ioeventfd,
				  env->opaque) : -ENOMEM;

	if (err) {
		vmm_report(err, "cannot make the virtio console: %s", strerror(-err));
		free(v);
		return NULL;
	}
	v->device = (struct device){ .name = "virtio-console", .virtio = &v->dev,
				     .destroy = console_destroy };
	v->chardev = c;
	c->sink = (struct chardev_sink){ v, console_room, console_input };
	err = virtio_start_worker(&v->dev);
	if (err)
		vmm_report(err, "cannot start the virtio console's thread: %s", strerror(-err));
	return &v->device;
}
