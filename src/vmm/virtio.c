/* SPDX-License-Identifier: MIT */
#include "vmm/virtio.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* BAR 0: one page for each structure. */
#define VIRTIO_BAR		0
#define VIRTIO_BAR_SIZE		0x4000
#define VIRTIO_COMMON		0x0000
#define VIRTIO_ISR		0x1000
#define VIRTIO_DEVICE		0x2000
#define VIRTIO_NOTIFY		0x3000
#define VIRTIO_NOTIFY_STRIDE	4

#define VIRTIO_ISR_QUEUE	1
#define VIRTIO_ISR_CONFIG	2
#define VIRTIO_NO_VECTOR	0xffff

/* virtio 1.2, 4.1.4: the capabilities. */
#define PCI_CAP_ID_VNDR		0x09
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI_CFG };

struct virtio_pci_cap {
	u8 id, next, len, type, bar, cap_id, padding[2];
	u32 offset;
	u32 length;
};

struct virtio_pci_notify_cap {
	struct virtio_pci_cap cap;
	u32 multiplier;
};

struct virtio_pci_cfg_cap {
	struct virtio_pci_cap cap;
	u8 data[4];
};

/* virtio 1.2, 4.1.4.3: the common configuration structure. */
enum {
	COMMON_DEVICE_FEATURE_SELECT	= 0x00,
	COMMON_DEVICE_FEATURE		= 0x04,
	COMMON_DRIVER_FEATURE_SELECT	= 0x08,
	COMMON_DRIVER_FEATURE		= 0x0c,
	COMMON_MSIX_CONFIG		= 0x10,
	COMMON_NUM_QUEUES		= 0x12,
	COMMON_DEVICE_STATUS		= 0x14,
	COMMON_CONFIG_GENERATION	= 0x15,
	COMMON_QUEUE_SELECT		= 0x16,
	COMMON_QUEUE_SIZE		= 0x18,
	COMMON_QUEUE_MSIX_VECTOR	= 0x1a,
	COMMON_QUEUE_ENABLE		= 0x1c,
	COMMON_QUEUE_NOTIFY_OFF		= 0x1e,
	COMMON_QUEUE_DESC		= 0x20,
	COMMON_QUEUE_DRIVER		= 0x28,
	COMMON_QUEUE_DEVICE		= 0x30,
	COMMON_END			= 0x38,
};

static struct virtio_dev *to_virtio(struct pci_dev *d)
{
	return container_of(d, struct virtio_dev, pci);
}

/* --- interrupts ------------------------------------------------------------------------- */

static void virtio_raise(struct virtio_dev *dev, u32 bits)
{
	sv_mutex_lock(&dev->isr_lock);
	dev->isr |= bits;
	pci_dev_set_intx(&dev->pci, true);
	sv_mutex_unlock(&dev->isr_lock);
}

/* Reading the status takes it away (4.1.4.5). */
static u32 virtio_read_isr(struct virtio_dev *dev)
{
	u32 v;

	sv_mutex_lock(&dev->isr_lock);
	v = dev->isr;
	dev->isr = 0;
	pci_dev_set_intx(&dev->pci, false);
	sv_mutex_unlock(&dev->isr_lock);
	return v;
}

/* --- for device types ------------------------------------------------------------------- */

bool virtio_has(const struct virtio_dev *dev, u64 feature)
{
	return dev->driver_features & feature;
}

bool virtio_queue_ready(struct virtio_dev *dev, unsigned int queue)
{
	u8 status = __atomic_load_n(&dev->status, __ATOMIC_RELAXED);

	return dev->queue[queue].enabled && (status & VIRTIO_STATUS_DRIVER_OK) &&
	       !(status & VIRTIO_STATUS_NEEDS_RESET) && pci_dev_is_master(&dev->pci) &&
	       !virtio_stopping(dev);
}

void virtio_break(struct virtio_dev *dev)
{
	sv_mutex_lock(&dev->lock);
	__atomic_store_n(&dev->status, dev->status | VIRTIO_STATUS_NEEDS_RESET, __ATOMIC_RELAXED);
	sv_mutex_unlock(&dev->lock);
	virtio_raise(dev, VIRTIO_ISR_CONFIG);
}

bool virtio_pop(struct virtio_dev *dev, unsigned int queue)
{
	int r;

	if (!virtio_queue_ready(dev, queue))
		return false;
	r = virtq_pop(&dev->queue[queue], &dev->chain);
	if (r < 0)
		virtio_break(dev);
	return r > 0;
}

void virtio_push(struct virtio_dev *dev, unsigned int queue, u32 len)
{
	virtq_push(&dev->queue[queue], dev->chain.head, len);
}

void virtio_signal(struct virtio_dev *dev, unsigned int queue)
{
	if (virtq_must_signal(&dev->queue[queue]))
		virtio_raise(dev, VIRTIO_ISR_QUEUE);
}

/* --- the common configuration ----------------------------------------------------------- */

static struct virtq *virtio_selected(struct virtio_dev *dev)
{
	return dev->queue_select < dev->ops->nr_queues ? &dev->queue[dev->queue_select] : NULL;
}

/* The register that holds byte off: its value, its first byte and its size. Under lock. */
static u64 virtio_common_reg(struct virtio_dev *dev, unsigned int off, unsigned int *first,
			     unsigned int *size)
{
	struct virtq *q = virtio_selected(dev);
#define REG(where, bytes, value) \
	if (off - (where) < (bytes)) { \
		*first = (where); \
		*size = (bytes); \
		return (value); \
	}
	REG(COMMON_DEVICE_FEATURE_SELECT, 4, dev->device_feature_select);
	REG(COMMON_DEVICE_FEATURE, 4, dev->device_feature_select < 2 ?
	    (u32)(dev->features >> 32 * dev->device_feature_select) : 0);
	REG(COMMON_DRIVER_FEATURE_SELECT, 4, dev->driver_feature_select);
	REG(COMMON_DRIVER_FEATURE, 4, dev->driver_feature_select < 2 ?
	    (u32)(dev->driver_features >> 32 * dev->driver_feature_select) : 0);
	REG(COMMON_MSIX_CONFIG, 2, VIRTIO_NO_VECTOR);
	REG(COMMON_NUM_QUEUES, 2, dev->ops->nr_queues);
	REG(COMMON_DEVICE_STATUS, 1, dev->status);
	REG(COMMON_CONFIG_GENERATION, 1, 0);
	REG(COMMON_QUEUE_SELECT, 2, dev->queue_select);
	REG(COMMON_QUEUE_SIZE, 2, q ? q->size : 0);
	REG(COMMON_QUEUE_MSIX_VECTOR, 2, VIRTIO_NO_VECTOR);
	REG(COMMON_QUEUE_ENABLE, 2, q ? q->enabled : 0);
	REG(COMMON_QUEUE_NOTIFY_OFF, 2, q ? dev->queue_select : 0);
	REG(COMMON_QUEUE_DESC, 8, q ? q->desc_gpa : 0);
	REG(COMMON_QUEUE_DRIVER, 8, q ? q->driver_gpa : 0);
	REG(COMMON_QUEUE_DEVICE, 8, q ? q->device_gpa : 0);
#undef REG
	*first = off;
	*size = 1;
	return 0;
}

static u64 virtio_common_read(struct virtio_dev *dev, unsigned int off, unsigned int size)
{
	unsigned int first, bytes;
	u64 v;

	sv_mutex_lock(&dev->lock);
	v = virtio_common_reg(dev, off, &first, &bytes);
	sv_mutex_unlock(&dev->lock);
	return v >> 8 * (off - first);
}

/* Under io_lock and lock, or before the device is known to anybody. */
static void virtio_reset_locked(struct virtio_dev *dev)
{
	unsigned int i;

	dev->driver_features = 0;
	dev->device_feature_select = dev->driver_feature_select = 0;
	dev->queue_select = 0;
	__atomic_store_n(&dev->status, 0, __ATOMIC_RELAXED);
	for (i = 0; i < dev->ops->nr_queues; i++)
		virtq_reset(&dev->queue[i], dev->mem);
	if (dev->ops->reset)
		dev->ops->reset(dev);
}

/* Under io_lock and lock. */
static void virtio_write_status(struct virtio_dev *dev, u8 v)
{
	unsigned int i;

	if (!v) {
		virtio_reset_locked(dev);
		return;
	}
	/* 2.2.2: only what was offered, and never without VERSION_1. */
	if ((v & VIRTIO_STATUS_FEATURES_OK) && !(dev->status & VIRTIO_STATUS_FEATURES_OK) &&
	    ((dev->driver_features & ~dev->features) ||
	     !(dev->driver_features & VIRTIO_F_VERSION_1)))
		v &= ~VIRTIO_STATUS_FEATURES_OK;
	/* A driver does not take a bit away but by a reset (2.1.1). */
	v |= dev->status;
	__atomic_store_n(&dev->status, v, __ATOMIC_RELAXED);
	/* What was made available before the driver was ready is looked at now. */
	if (v & VIRTIO_STATUS_DRIVER_OK)
		for (i = 0; i < dev->ops->nr_queues; i++)
			eventfd_kick(dev->kick[i].source.fd);
}

/* Under io_lock and lock. false: the driver broke a rule. */
static bool virtio_enable_queue(struct virtio_dev *dev)
{
	struct virtq *q = virtio_selected(dev);

	if (!q || q->enabled)
		return true;
	if (!(dev->status & VIRTIO_STATUS_FEATURES_OK))
		return false;
	q->event_idx = dev->driver_features & VIRTIO_F_EVENT_IDX;
	q->indirect = dev->driver_features & VIRTIO_F_INDIRECT_DESC;
	return virtq_enable(q) == 0;
}

static void virtio_set_half(u64 *reg, unsigned int off, u64 val, unsigned int size)
{
	if (size == 8)
		*reg = val;
	else if (off & 4)
		*reg = (*reg & 0xffffffffull) | val << 32;
	else
		*reg = (*reg & ~0xffffffffull) | (u32)val;
}

/* Registers that do not concern the worker. Under lock. */
static void virtio_common_write_plain(struct virtio_dev *dev, unsigned int off, u64 val,
				      unsigned int size)
{
	struct virtq *q = virtio_selected(dev);
	unsigned int shift;

	switch (off) {
	case COMMON_DEVICE_FEATURE_SELECT:
		dev->device_feature_select = val;
		break;
	case COMMON_DRIVER_FEATURE_SELECT:
		dev->driver_feature_select = val;
		break;
	case COMMON_DRIVER_FEATURE:
		/* 3.1.1: what was agreed on stays. */
		if (dev->driver_feature_select < 2 && !(dev->status & VIRTIO_STATUS_FEATURES_OK)) {
			shift = 32 * dev->driver_feature_select;
			dev->driver_features &= ~(0xffffffffull << shift);
			dev->driver_features |= (u64)(u32)val << shift;
		}
		break;
	case COMMON_QUEUE_SELECT:
		dev->queue_select = val;
		break;
	case COMMON_QUEUE_SIZE:
		if (q && !q->enabled)
			q->size = val;
		break;
	case COMMON_QUEUE_DESC ... COMMON_END - 1:
		if (!q || q->enabled || size < 4 || off % 4)
			break;
		if (off < COMMON_QUEUE_DRIVER)
			virtio_set_half(&q->desc_gpa, off, val, size);
		else if (off < COMMON_QUEUE_DEVICE)
			virtio_set_half(&q->driver_gpa, off, val, size);
		else
			virtio_set_half(&q->device_gpa, off, val, size);
		break;
	}
}

static void virtio_common_write(struct virtio_dev *dev, unsigned int off, u64 val,
				unsigned int size)
{
	bool ok = true;

	if (off != COMMON_DEVICE_STATUS && off != COMMON_QUEUE_ENABLE) {
		sv_mutex_lock(&dev->lock);
		virtio_common_write_plain(dev, off, val, size);
		sv_mutex_unlock(&dev->lock);
		return;
	}
	sv_mutex_lock(&dev->io_lock);
	sv_mutex_lock(&dev->lock);
	if (off == COMMON_DEVICE_STATUS)
		virtio_write_status(dev, val);
	else if (val & 1)
		ok = virtio_enable_queue(dev);
	sv_mutex_unlock(&dev->lock);
	if (!ok)
		virtio_break(dev);
	sv_mutex_unlock(&dev->io_lock);
	if (off == COMMON_DEVICE_STATUS && !(u8)val)
		virtio_read_isr(dev);
}

/* --- BAR 0 ------------------------------------------------------------------------------ */

static u64 virtio_bar_read(struct pci_dev *d, unsigned int bar, u64 off, unsigned int size)
{
	struct virtio_dev *dev = to_virtio(d);
	const u8 *config;
	size_t len;
	u64 v = 0;

	if (off < VIRTIO_ISR)
		return off + size <= COMMON_END ? virtio_common_read(dev, off, size) : 0;
	if (off < VIRTIO_DEVICE)
		return off == VIRTIO_ISR ? virtio_read_isr(dev) : 0;
	if (off < VIRTIO_NOTIFY && dev->ops->config) {
		off -= VIRTIO_DEVICE;
		config = dev->ops->config(dev, &len);
		if (off < len)
			memcpy(&v, config + off, min(size, len - off));
	}
	return v;
}

static void virtio_bar_write(struct pci_dev *d, unsigned int bar, u64 off, u64 val,
			     unsigned int size)
{
	struct virtio_dev *dev = to_virtio(d);
	u64 queue;

	if (off < VIRTIO_ISR && off + size <= COMMON_END)
		virtio_common_write(dev, off, val, size);
	if (off < VIRTIO_NOTIFY)
		return;
	/* Not a 16-bit write, else KVM would have signalled the eventfd itself. */
	queue = (off - VIRTIO_NOTIFY) / VIRTIO_NOTIFY_STRIDE;
	if (queue < dev->ops->nr_queues)
		eventfd_kick(dev->kick[queue].source.fd);
}

static void virtio_bar_mapped(struct pci_dev *d, unsigned int bar, u64 addr)
{
	struct virtio_dev *dev = to_virtio(d);
	u64 at = addr ? addr : d->bar[bar].addr;
	unsigned int i;

	/* A failure leaves the slower way: the write exits, and virtio_bar_write() sees it. */
	for (i = 0; i < dev->ops->nr_queues; i++)
		dev->ioeventfd(dev->opaque, at + VIRTIO_NOTIFY + i * VIRTIO_NOTIFY_STRIDE,
			       dev->kick[i].source.fd, addr != 0);
}

static void virtio_master_on(struct pci_dev *d)
{
	struct virtio_dev *dev = to_virtio(d);
	unsigned int i;

	for (i = 0; i < dev->ops->nr_queues; i++)
		eventfd_kick(dev->kick[i].source.fd);
}

/*
 * 4.1.4.9: a window to BAR 0 in configuration space. true: the access touches its data and
 * what it names is within the BAR.
 */
static bool virtio_cfg_window(struct virtio_dev *dev, unsigned int off, unsigned int size,
			      u32 *at, u32 *len)
{
	unsigned int data = dev->cfg_cap + offsetof(struct virtio_pci_cfg_cap, data);
	const u8 *c = &dev->pci.config[dev->cfg_cap];
	u8 bar;

	if (off >= data + 4 || off + size <= data)
		return false;
	sv_mutex_lock(&dev->pci.host->lock);
	bar = c[offsetof(struct virtio_pci_cap, bar)];
	memcpy(at, c + offsetof(struct virtio_pci_cap, offset), 4);
	memcpy(len, c + offsetof(struct virtio_pci_cap, length), 4);
	sv_mutex_unlock(&dev->pci.host->lock);
	return bar == VIRTIO_BAR && (*len == 1 || *len == 2 || *len == 4) &&
	       *at < VIRTIO_BAR_SIZE && *at % *len == 0;
}

static void virtio_config_reading(struct pci_dev *d, unsigned int off, unsigned int size)
{
	struct virtio_dev *dev = to_virtio(d);
	u32 at, len, v;

	if (!virtio_cfg_window(dev, off, size, &at, &len))
		return;
	v = virtio_bar_read(d, VIRTIO_BAR, at, len);
	sv_mutex_lock(&d->host->lock);
	memcpy(&d->config[dev->cfg_cap + offsetof(struct virtio_pci_cfg_cap, data)], &v, len);
	sv_mutex_unlock(&d->host->lock);
}

static void virtio_config_written(struct pci_dev *d, unsigned int off, unsigned int size)
{
	struct virtio_dev *dev = to_virtio(d);
	u32 at, len, v = 0;

	if (!virtio_cfg_window(dev, off, size, &at, &len))
		return;
	sv_mutex_lock(&d->host->lock);
	memcpy(&v, &d->config[dev->cfg_cap + offsetof(struct virtio_pci_cfg_cap, data)], len);
	sv_mutex_unlock(&d->host->lock);
	virtio_bar_write(d, VIRTIO_BAR, at, v, len);
}

static const struct pci_dev_ops virtio_pci_ops = {
	.bar_read = virtio_bar_read,
	.bar_write = virtio_bar_write,
	.bar_mapped = virtio_bar_mapped,
	.master_on = virtio_master_on,
	.config_reading = virtio_config_reading,
	.config_written = virtio_config_written,
};

static void virtio_add_caps(struct virtio_dev *dev)
{
	struct virtio_pci_cfg_cap cfg = { .cap = { .len = sizeof(cfg), .type = CAP_PCI_CFG } };
	struct virtio_pci_notify_cap notify = {
		.cap = { .len = sizeof(notify), .type = CAP_NOTIFY, .offset = VIRTIO_NOTIFY,
			 .length = VIRTIO_MAX_QUEUES * VIRTIO_NOTIFY_STRIDE },
		.multiplier = VIRTIO_NOTIFY_STRIDE,
	};
	struct virtio_pci_cap cap = { .len = sizeof(cap) };
	size_t len = 0;

	dev->cfg_cap = pci_dev_add_cap(&dev->pci, PCI_CAP_ID_VNDR, &cfg, sizeof(cfg));
	memset(&dev->pci.wmask[dev->cfg_cap + offsetof(struct virtio_pci_cap, bar)], 0xff, 1);
	memset(&dev->pci.wmask[dev->cfg_cap + offsetof(struct virtio_pci_cap, offset)], 0xff, 12);
	if (dev->ops->config) {
		dev->ops->config(dev, &len);
		cap.type = CAP_DEVICE;
		cap.offset = VIRTIO_DEVICE;
		cap.length = len;
		pci_dev_add_cap(&dev->pci, PCI_CAP_ID_VNDR, &cap, sizeof(cap));
	}
	cap.type = CAP_ISR;
	cap.offset = VIRTIO_ISR;
	cap.length = 1;
	pci_dev_add_cap(&dev->pci, PCI_CAP_ID_VNDR, &cap, sizeof(cap));
	pci_dev_add_cap(&dev->pci, PCI_CAP_ID_VNDR, &notify, sizeof(notify));
	cap.type = CAP_COMMON;
	cap.offset = VIRTIO_COMMON;
	cap.length = COMMON_END;
	pci_dev_add_cap(&dev->pci, PCI_CAP_ID_VNDR, &cap, sizeof(cap));
}

/* --- life ------------------------------------------------------------------------------- */

static void virtio_kicked(struct loop_source *s)
{
	struct virtio_kick *k = container_of(s, struct virtio_kick, source);
	struct virtio_dev *dev = k->dev;

	eventfd_drain(s->fd);
	sv_mutex_lock(&dev->io_lock);
	if (virtio_queue_ready(dev, k->queue))
		dev->ops->kick(dev, k->queue);
	sv_mutex_unlock(&dev->io_lock);
}

static void virtio_close_kicks(struct virtio_dev *dev, unsigned int n)
{
	while (n--)
		close(dev->kick[n].source.fd);
}

int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, u64 features,
		const struct guest_mem *mem, struct pci_host *host,
		int (*ioeventfd)(void *opaque, u64 addr, int fd, bool attach), void *opaque)
{
	unsigned int i;
	int err;

	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->mem = mem;
	dev->ioeventfd = ioeventfd;
	dev->opaque = opaque;
	dev->features = features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	sv_mutex_init(&dev->io_lock);
	sv_mutex_init(&dev->lock);
	sv_mutex_init(&dev->isr_lock);
	for (i = 0; i < ops->nr_queues; i++) {
		struct virtio_kick *k = &dev->kick[i];

		k->dev = dev;
		k->queue = i;
		k->source.fn = virtio_kicked;
		k->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (k->source.fd < 0) {
			err = -errno;
			virtio_close_kicks(dev, i);
			return err;
		}
		virtq_reset(&dev->queue[i], mem);
	}
	/* virtio 1.2, 4.1.2: 1af4:1040 + type; modern devices have revision 1. */
	pci_dev_init(&dev->pci, &virtio_pci_ops, 0x1af4, 0x1040 + ops->id, ops->class_code, 1);
	dev->pci.config[PCI_INTERRUPT_PIN] = 1;
	pci_dev_set_bar(&dev->pci, VIRTIO_BAR, VIRTIO_BAR_SIZE, false);
	virtio_add_caps(dev);
	err = pci_dev_add(host, &dev->pci);
	if (err)
		virtio_close_kicks(dev, ops->nr_queues);
	return err;
}

static void *virtio_worker(void *arg)
{
	struct virtio_dev *dev = arg;

	loop_run(&dev->loop);
	return NULL;
}

int virtio_start_worker(struct virtio_dev *dev)
{
	unsigned int i;
	int err = loop_init(&dev->loop);

	if (err)
		return err;
	dev->has_loop = true;
	for (i = 0; i < dev->ops->nr_queues && !err; i++)
		err = loop_add(&dev->loop, &dev->kick[i].source);
	if (!err)
		err = sv_thread_create(&dev->worker, dev->ops->name, virtio_worker, dev);
	dev->has_worker = !err;
	return err;
}

void virtio_quiesce(struct virtio_dev *dev)
{
	__atomic_store_n(&dev->stopping, true, __ATOMIC_RELEASE);
	sv_mutex_lock(&dev->io_lock);
	sv_mutex_unlock(&dev->io_lock);
}

void virtio_reset(struct virtio_dev *dev)
{
	sv_mutex_lock(&dev->io_lock);
	sv_mutex_lock(&dev->lock);
	virtio_reset_locked(dev);
	sv_mutex_unlock(&dev->lock);
	sv_mutex_unlock(&dev->io_lock);
	virtio_read_isr(dev);
	__atomic_store_n(&dev->stopping, false, __ATOMIC_RELEASE);
}

void virtio_destroy(struct virtio_dev *dev)
{
	__atomic_store_n(&dev->stopping, true, __ATOMIC_RELEASE);
	if (dev->has_worker) {
		loop_stop(&dev->loop);
		sv_thread_join(&dev->worker);
	}
	if (dev->has_loop)
		loop_fini(&dev->loop);
	virtio_close_kicks(dev, dev->ops->nr_queues);
}
