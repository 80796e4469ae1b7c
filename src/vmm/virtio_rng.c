/* SPDX-License-Identifier: MIT */
/* The virtio entropy device (virtio 1.2, 5.4): the guest's buffers are filled by getrandom(2). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/devices.h"
#include "vmm/report.h"

/* A device may fill less than the buffer (5.4.6.1); this much is filled at a time. */
#define RNG_MAX 65536u

struct virtio_rng {
	struct device device;
	struct virtio_dev dev;
};

/* Returns how many bytes were written. */
static u32 rng_fill(const struct virtq_chain *c)
{
	u32 done = 0;
	unsigned int i;

	for (i = c->nr_out; i < c->nr_out + c->nr_in && done < RNG_MAX; i++) {
		size_t want = min(c->iov[i].iov_len, (size_t)(RNG_MAX - done)), got = 0;

		while (got < want) {
			/* Up to 256 bytes are never interrupted and never short (getrandom(2)). */
			ssize_t n = getrandom((u8 *)c->iov[i].iov_base + got,
					      min(want - got, (size_t)256), 0);

			if (n <= 0)
				return done + got;
			got += n;
		}
		done += want;
	}
	return done;
}

static void rng_kick(struct virtio_dev *dev, unsigned int queue)
{
	struct virtq *q = &dev->queue[queue];

	do {
		virtq_kicks_off(q);
		while (virtio_pop(dev, queue)) {
			virtio_push(dev, queue, rng_fill(&dev->chain));
			virtio_signal(dev, queue);
		}
		if (!virtio_queue_ready(dev, queue))
			return;
	} while (virtq_kicks_on(q));
}

static const struct virtio_ops rng_ops = {
	.name = "virtio-rng",
	.id = VIRTIO_ID_RNG,
	.class_code = 0x00ff00,
	.nr_queues = 1,
	.kick = rng_kick,
};

static void rng_destroy(struct device *d)
{
	struct virtio_rng *r = container_of(d, struct virtio_rng, device);

	virtio_destroy(&r->dev);
	free(r);
}

struct device *virtio_rng_create(const struct virtio_env *env)
{
	struct virtio_rng *r = calloc(1, sizeof(*r));
	int err = r ? virtio_init(&r->dev, &rng_ops, 0, env->mem, env->host, env->ioeventfd,
				  env->opaque) : -ENOMEM;

	if (err) {
		vmm_report(err, "cannot make the entropy device: %s", strerror(-err));
		free(r);
		return NULL;
	}
	r->device = (struct device){ .name = "virtio-rng", .virtio = &r->dev, .destroy = rng_destroy };
	err = virtio_start_worker(&r->dev);
	if (err)
		vmm_report(err, "cannot start the entropy device's thread: %s", strerror(-err));
	return &r->device;
}
