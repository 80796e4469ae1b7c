/* SPDX-License-Identifier: MIT */
#include "vmm/pci.h"

#include <errno.h>
#include <string.h>

#define BAR_MEM_64	0x4
#define BAR_FLAGS	0xfull

static void put_le(u8 *p, u64 v, unsigned int size)
{
	while (size--) {
		*p++ = v;
		v >>= 8;
	}
}

static u64 get_le(const u8 *p, unsigned int size)
{
	u64 v = 0;

	while (size--)
		v = v << 8 | p[size];
	return v;
}

/* --- interrupts ------------------------------------------------------------------------- */

/* Under irq_lock. */
static void pci_update_line(struct pci_host *h, struct pci_dev *d)
{
	unsigned int line = d->slot % PCI_NR_LINES;
	u32 users = h->line_users[line], now;
	u16 command = __atomic_load_n((u16 *)&d->config[PCI_COMMAND], __ATOMIC_RELAXED);

	if (d->intx && !(command & PCI_COMMAND_INTX_DISABLE))
		now = users | 1u << d->slot;
	else
		now = users & ~(1u << d->slot);
	h->line_users[line] = now;
	if (!now != !users)
		h->set_line(h->opaque, line, now != 0);
}

void pci_dev_set_intx(struct pci_dev *d, bool level)
{
	struct pci_host *h = d->host;

	sv_mutex_lock(&h->irq_lock);
	if (d->intx != level) {
		d->intx = level;
		pci_update_line(h, d);
	}
	sv_mutex_unlock(&h->irq_lock);
}

bool pci_dev_is_master(const struct pci_dev *d)
{
	return __atomic_load_n((const u16 *)&d->config[PCI_COMMAND], __ATOMIC_ACQUIRE) &
	       PCI_COMMAND_MASTER;
}

/* --- BARs ------------------------------------------------------------------------------- */

static bool pci_in_window(const struct pci_host *h, u64 addr, u64 size)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(h->window); i++) {
		const struct pci_window *w = &h->window[i];

		if (addr >= w->base && addr - w->base < w->size &&
		    size <= w->size - (addr - w->base))
			return true;
	}
	return false;
}

/* Brings bar[].addr in line with the registers. Under host->lock. */
static void pci_update_bars(struct pci_dev *d)
{
	bool decode = get_le(&d->config[PCI_COMMAND], 2) & PCI_COMMAND_MEMORY;
	unsigned int i;

	for (i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *b = &d->bar[i];
		u64 addr = 0;

		if (!b->size)
			continue;
		if (decode)
			addr = get_le(&d->config[PCI_BASE_ADDRESS_0 + 4 * i], b->is_64 ? 8 : 4) &
			       ~BAR_FLAGS;
		if (addr && !pci_in_window(d->host, addr, b->size))
			addr = 0;
		if (addr == b->addr)
			continue;
		if (b->addr && d->ops->bar_mapped)
			d->ops->bar_mapped(d, i, 0);
		b->addr = addr;
		if (addr && d->ops->bar_mapped)
			d->ops->bar_mapped(d, i, addr);
	}
}

/* The device and BAR at addr; *off is the offset in it. */
static struct pci_dev *pci_find_bar(struct pci_host *h, u64 addr, unsigned int size,
				    unsigned int *bar, u64 *off)
{
	struct pci_dev *found = NULL;
	unsigned int s, i;

	sv_mutex_lock(&h->lock);
	for (s = 0; s < PCI_NR_SLOTS && !found; s++) {
		struct pci_dev *d = h->dev[s];

		for (i = 0; d && i < PCI_NR_BARS; i++) {
			struct pci_bar *b = &d->bar[i];

			if (b->addr && addr - b->addr < b->size &&
			    size <= b->size - (addr - b->addr)) {
				*bar = i;
				*off = addr - b->addr;
				found = d;
				break;
			}
		}
	}
	sv_mutex_unlock(&h->lock);
	return found;
}

static u64 pci_window_read(struct pci_host *h, u64 addr, unsigned int size)
{
	unsigned int bar;
	u64 off;
	struct pci_dev *d = pci_find_bar(h, addr, size, &bar, &off);

	/* Nobody answers: a master abort reads as all ones. */
	return d ? d->ops->bar_read(d, bar, off, size) : ~0ull;
}

static void pci_window_write(struct pci_host *h, u64 addr, u64 val, unsigned int size)
{
	unsigned int bar;
	u64 off;
	struct pci_dev *d = pci_find_bar(h, addr, size, &bar, &off);

	if (d)
		d->ops->bar_write(d, bar, off, val, size);
}

static u64 pci_window0_read(void *dev, u64 off, unsigned int size)
{
	struct pci_host *h = dev;

	return pci_window_read(h, h->window[0].base + off, size);
}

static void pci_window0_write(void *dev, u64 off, u64 val, unsigned int size)
{
	struct pci_host *h = dev;

	pci_window_write(h, h->window[0].base + off, val, size);
}

static u64 pci_window1_read(void *dev, u64 off, unsigned int size)
{
	struct pci_host *h = dev;

	return pci_window_read(h, h->window[1].base + off, size);
}

static void pci_window1_write(void *dev, u64 off, u64 val, unsigned int size)
{
	struct pci_host *h = dev;

	pci_window_write(h, h->window[1].base + off, val, size);
}

const struct mmio_ops pci_window_ops[2] = {
	{ pci_window0_read, pci_window0_write },
	{ pci_window1_read, pci_window1_write },
};

/* --- configuration space ---------------------------------------------------------------- */

/* ECAM: bus 20..27, device 15..19, function 12..14, register 0..11. */
static struct pci_dev *pci_ecam_dev(struct pci_host *h, u64 off, unsigned int *reg,
				    unsigned int size)
{
	*reg = off & 0xfff;
	if (off >> 15 >= PCI_NR_SLOTS || ((off >> 12) & 7) || *reg + size > 4096)
		return NULL;
	return h->dev[off >> 15];
}

static u64 pci_config_read(struct pci_dev *d, unsigned int reg, unsigned int size)
{
	u8 bytes[8] = { 0 };

	if (d->ops->config_reading)
		d->ops->config_reading(d, reg, size);
	sv_mutex_lock(&d->host->lock);
	if (reg < PCI_CONFIG_SIZE)
		memcpy(bytes, &d->config[reg], min(size, PCI_CONFIG_SIZE - reg));
	sv_mutex_unlock(&d->host->lock);
	if (reg <= PCI_STATUS && reg + size > PCI_STATUS) {
		sv_mutex_lock(&d->host->irq_lock);
		if (d->intx)
			bytes[PCI_STATUS - reg] |= PCI_STATUS_INTERRUPT;
		sv_mutex_unlock(&d->host->irq_lock);
	}
	return get_le(bytes, size);
}

static void pci_config_write(struct pci_dev *d, unsigned int reg, u64 val, unsigned int size)
{
	struct pci_host *h = d->host;
	u8 bytes[8];
	unsigned int i;
	bool was_master;

	if (reg >= PCI_CONFIG_SIZE)
		return;
	size = min(size, PCI_CONFIG_SIZE - reg);
	put_le(bytes, val, size);
	sv_mutex_lock(&h->lock);
	was_master = pci_dev_is_master(d);
	for (i = 0; i < size; i++) {
		u8 *c = &d->config[reg + i], m = d->wmask[reg + i];

		__atomic_store_n(c, (*c & ~m) | (bytes[i] & m), __ATOMIC_RELAXED);
	}
	if (reg < PCI_BASE_ADDRESS_0 + 4 * PCI_NR_BARS)
		pci_update_bars(d);
	if (reg < PCI_STATUS) {
		sv_mutex_lock(&h->irq_lock);
		pci_update_line(h, d);
		sv_mutex_unlock(&h->irq_lock);
		if (!was_master && pci_dev_is_master(d) && d->ops->master_on)
			d->ops->master_on(d);
	}
	sv_mutex_unlock(&h->lock);
	if (d->ops->config_written)
		d->ops->config_written(d, reg, size);
}

static u64 pci_ecam_read(void *dev, u64 off, unsigned int size)
{
	unsigned int reg;
	struct pci_dev *d = pci_ecam_dev(dev, off, &reg, size);

	return d ? pci_config_read(d, reg, size) : ~0ull;
}

static void pci_ecam_write(void *dev, u64 off, u64 val, unsigned int size)
{
	unsigned int reg;
	struct pci_dev *d = pci_ecam_dev(dev, off, &reg, size);

	if (d)
		pci_config_write(d, reg, val, size);
}

const struct mmio_ops pci_ecam_ops = { pci_ecam_read, pci_ecam_write };

/* --- devices ---------------------------------------------------------------------------- */

void pci_dev_init(struct pci_dev *d, const struct pci_dev_ops *ops, u16 vendor, u16 device,
		  u32 class_code, u8 revision)
{
	memset(d, 0, sizeof(*d));
	d->ops = ops;
	d->cap_end = 0x40;
	put_le(&d->config[PCI_VENDOR_ID], vendor, 2);
	put_le(&d->config[PCI_DEVICE_ID], device, 2);
	put_le(&d->config[PCI_SUBSYSTEM_VENDOR_ID], vendor, 2);
	put_le(&d->config[PCI_SUBSYSTEM_ID], device, 2);
	put_le(&d->config[PCI_CLASS_PROG], class_code, 3);
	d->config[PCI_REVISION_ID] = revision;
	put_le(&d->wmask[PCI_COMMAND],
	       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
	d->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_dev_set_bar(struct pci_dev *d, unsigned int bar, u64 size, bool is_64)
{
	u8 *reg = &d->config[PCI_BASE_ADDRESS_0 + 4 * bar];

	d->bar[bar] = (struct pci_bar){ .size = size, .is_64 = is_64 };
	put_le(reg, is_64 ? BAR_MEM_64 : 0, 4);
	put_le(&d->wmask[PCI_BASE_ADDRESS_0 + 4 * bar], ~(size - 1) & ~BAR_FLAGS, is_64 ? 8 : 4);
}

unsigned int pci_dev_add_cap(struct pci_dev *d, u8 id, const void *cap, unsigned int len)
{
	unsigned int at = d->cap_end;

	memcpy(&d->config[at], cap, len);
	d->config[at] = id;
	d->config[at + 1] = d->config[PCI_CAPABILITY_LIST];
	d->config[PCI_CAPABILITY_LIST] = at;
	d->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	d->cap_end = ALIGN_UP(at + len, 4u);
	return at;
}

int pci_dev_add(struct pci_host *h, struct pci_dev *d)
{
	unsigned int s;

	for (s = 0; s < PCI_NR_SLOTS; s++) {
		if (h->dev[s])
			continue;
		d->host = h;
		d->slot = s;
		memcpy(d->initial, d->config, sizeof(d->config));
		h->dev[s] = d;
		return 0;
	}
	return -ENOSPC;
}

void pci_host_init(struct pci_host *h, const struct pci_window window[2],
		   void (*set_line)(void *opaque, unsigned int line, bool level), void *opaque)
{
	static const struct pci_dev_ops bridge_ops;

	memset(h, 0, sizeof(*h));
	sv_mutex_init(&h->lock);
	sv_mutex_init(&h->irq_lock);
	memcpy(h->window, window, sizeof(h->window));
	h->set_line = set_line;
	h->opaque = opaque;
	/* The generic host bridge as QEMU's users know it: Red Hat's 1b36:0008, class 0600. */
	pci_dev_init(&h->bridge, &bridge_ops, 0x1b36, 0x0008, 0x060000, 0);
	pci_dev_add(h, &h->bridge);
}

void pci_host_reset(struct pci_host *h)
{
	unsigned int s;

	sv_mutex_lock(&h->lock);
	for (s = 0; s < PCI_NR_SLOTS; s++) {
		struct pci_dev *d = h->dev[s];

		if (!d)
			continue;
		memcpy(d->config, d->initial, sizeof(d->config));
		pci_update_bars(d);
		sv_mutex_lock(&h->irq_lock);
		d->intx = false;
		sv_mutex_unlock(&h->irq_lock);
	}
	memset(h->line_users, 0, sizeof(h->line_users));
	sv_mutex_unlock(&h->lock);
}
