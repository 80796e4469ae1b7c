/* SPDX-License-Identifier: MIT */
/*
 * The virtio device types. Each *_create() makes a device, puts it on the bus and starts its
 * thread; it returns NULL after one line on stderr. The device is destroyed through
 * dev->destroy, which cannot fail.
 */
#ifndef SV_VMM_DEVICES_H
#define SV_VMM_DEVICES_H

#include "base/types.h"
#include "vmm/virtio.h"

struct chardev;

/* What a virtio device needs from the machine it is in. */
struct virtio_env {
	const struct guest_mem *mem;
	struct pci_host *host;
	int (*ioeventfd)(void *opaque, u64 addr, int fd, bool attach);
	void *opaque;
};

struct device {
	const char *name;
	struct virtio_dev *virtio;
	void (*destroy)(struct device *d);
};

/* spec: a file's name, optionally with ",ro" behind it. */
struct device *virtio_blk_create(const struct virtio_env *env, const char *spec);
struct device *virtio_rng_create(const struct virtio_env *env);
/* Takes the chardev's input; the chardev lives longer. */
struct device *virtio_console_create(const struct virtio_env *env, struct chardev *c);
/* A user-mode network: 10.0.2.0/24 with a gateway, DHCP and DNS. */
struct device *virtio_net_create(const struct virtio_env *env);

#endif
