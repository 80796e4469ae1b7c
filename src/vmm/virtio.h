/* SPDX-License-Identifier: MIT */
/*
 * A virtio device on PCI (virtio 1.2, modern interface only).
 *
 * A device type (struct virtio_ops, one file each) holds a struct virtio_dev. This part is the
 * transport: the common configuration, the interrupt status, the queues' set-up, the reset.
 *
 * Threads: vCPUs read and write registers. Queues are worked on by the device's worker, a
 * thread that waits for kicks (an eventfd for each queue, which KVM signals itself through
 * ioeventfd). A type that needs more than kicks brings a thread of its own (virtio_net).
 *
 * Locks, in their order: dev->io_lock, held while queues are worked on and while the driver
 * enables or resets something, so that a reset waits for the request in flight; dev->lock,
 * the registers; dev->isr_lock, the interrupt status; then the PCI host's irq_lock. A type's
 * ops->reset is called with the first two held.
 *
 * A driver that breaks the rules of a queue gets DEVICE_NEEDS_RESET and the device does
 * nothing more until it is reset; the rest of the machine runs on.
 */
#ifndef SV_VMM_VIRTIO_H
#define SV_VMM_VIRTIO_H

#include "base/sync.h"
#include "base/types.h"
#include "vmm/loop.h"
#include "vmm/pci.h"
#include "vmm/virtq.h"

#define VIRTIO_MAX_QUEUES 2

/* Device types (virtio 1.2, 5) and feature bits (6). */
#define VIRTIO_ID_NET		1
#define VIRTIO_ID_BLOCK		2
#define VIRTIO_ID_CONSOLE	3
#define VIRTIO_ID_RNG		4
#define VIRTIO_F_INDIRECT_DESC	BIT(28)
#define VIRTIO_F_EVENT_IDX	BIT(29)
#define VIRTIO_F_VERSION_1	BIT(32)

#define VIRTIO_STATUS_ACKNOWLEDGE	0x01
#define VIRTIO_STATUS_DRIVER		0x02
#define VIRTIO_STATUS_DRIVER_OK		0x04
#define VIRTIO_STATUS_FEATURES_OK	0x08
#define VIRTIO_STATUS_NEEDS_RESET	0x40
#define VIRTIO_STATUS_FAILED		0x80

struct virtio_dev;

struct virtio_ops {
	const char *name;
	u16 id;
	u32 class_code;
	unsigned int nr_queues;
	/* The device's configuration structure, which the guest may only read. */
	const void *(*config)(struct virtio_dev *dev, size_t *len);
	/* A queue was kicked. Under io_lock, with the queue enabled and the driver ready. */
	void (*kick)(struct virtio_dev *dev, unsigned int queue);
	/* The driver reset the device. Under io_lock. May be NULL. */
	void (*reset)(struct virtio_dev *dev);
};

struct virtio_kick {
	struct loop_source source;
	struct virtio_dev *dev;
	unsigned int queue;
};

struct virtio_dev {
	struct pci_dev pci;
	const struct virtio_ops *ops;
	const struct guest_mem *mem;
	/* Attaches (or detaches) an eventfd to a 16-bit write at addr: the VM's ioeventfd. */
	int (*ioeventfd)(void *opaque, u64 addr, int fd, bool attach);
	void *opaque;
	u64 features;			/* offered */
	u64 driver_features;
	u32 device_feature_select, driver_feature_select;
	u16 queue_select;
	u8 status;			/* written under both locks, or NEEDS_RESET under lock */
	unsigned int cfg_cap;		/* where VIRTIO_PCI_CAP_PCI_CFG is */
	u32 isr;
	bool stopping;			/* the VM ends or resets: no new requests */
	struct sv_mutex io_lock, lock, isr_lock;
	struct virtq queue[VIRTIO_MAX_QUEUES];
	struct virtio_kick kick[VIRTIO_MAX_QUEUES];
	struct virtq_chain chain;	/* the one being worked on, under io_lock */
	struct loop loop;
	struct sv_thread worker;
	bool has_worker, has_loop;
};

/* Adds the device to the bus. 0, or -errno; then the device is as if it had not been there. */
int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, u64 features,
		const struct guest_mem *mem, struct pci_host *host,
		int (*ioeventfd)(void *opaque, u64 addr, int fd, bool attach), void *opaque);
/* Starts the thread that calls ops->kick. */
int virtio_start_worker(struct virtio_dev *dev);
/* Waits for the request in flight; afterwards no guest memory is touched until a reset. */
void virtio_quiesce(struct virtio_dev *dev);
/* As after power-on. */
void virtio_reset(struct virtio_dev *dev);
void virtio_destroy(struct virtio_dev *dev);

/* --- for device types ------------------------------------------------------------------- */

/* Whether the driver is ready, the queue enabled and nothing broken. Under io_lock. */
bool virtio_queue_ready(struct virtio_dev *dev, unsigned int queue);
/*
 * The next request into dev->chain: true, or false when there is none, the queue broke or
 * the VM stops.
 */
bool virtio_pop(struct virtio_dev *dev, unsigned int queue);
/* Gives dev->chain back. */
void virtio_push(struct virtio_dev *dev, unsigned int queue, u32 len);
/* An interrupt, if the driver wants one. */
void virtio_signal(struct virtio_dev *dev, unsigned int queue);
/* The driver broke a rule. */
void virtio_break(struct virtio_dev *dev);
bool virtio_has(const struct virtio_dev *dev, u64 feature);
static inline bool virtio_stopping(const struct virtio_dev *dev)
{
	return __atomic_load_n(&dev->stopping, __ATOMIC_ACQUIRE);
}

#endif
