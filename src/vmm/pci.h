/* SPDX-License-Identifier: MIT */
/*
 * A PCI host bridge with its configuration space in memory (ECAM), one bus, functions 0.
 *
 * A device's configuration space is 256 bytes and a mask of what the guest may write. BARs
 * are memory BARs; the guest (or its firmware) places them, and only a BAR that decodes
 * inside of the bridge's windows, with memory decoding on, is reachable.
 *
 * Interrupts are INTx: slot s's pin A goes to line s % 4, lines are shared, the level of a
 * line is the OR of its devices. There is no MSI target in the machine, so no device has
 * the MSI capabilities.
 *
 * Devices are added before the first vCPU runs and stay. Locks: host->lock (configuration
 * space, BARs) and host->irq_lock (lines); a device's own locks nest outside of irq_lock and
 * are never taken under host->lock. Order: host->lock, irq_lock, plic->lock.
 */
#ifndef SV_VMM_PCI_H
#define SV_VMM_PCI_H

#include "base/sync.h"
#include "base/types.h"
#include "vmm/mmio.h"

#define PCI_NR_SLOTS	32
#define PCI_NR_LINES	4
#define PCI_CONFIG_SIZE	256
#define PCI_NR_BARS	6

/* PCI Local Bus Specification 3.0, 6.1 and 6.2. */
#define PCI_VENDOR_ID		0x00
#define PCI_DEVICE_ID		0x02
#define PCI_COMMAND		0x04
#define PCI_COMMAND_MEMORY	0x0002
#define PCI_COMMAND_MASTER	0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS		0x06
#define PCI_STATUS_INTERRUPT	0x08
#define PCI_STATUS_CAP_LIST	0x10
#define PCI_REVISION_ID		0x08
#define PCI_CLASS_PROG		0x09
#define PCI_BASE_ADDRESS_0	0x10
#define PCI_SUBSYSTEM_VENDOR_ID	0x2c
#define PCI_SUBSYSTEM_ID	0x2e
#define PCI_CAPABILITY_LIST	0x34
#define PCI_INTERRUPT_LINE	0x3c
#define PCI_INTERRUPT_PIN	0x3d

struct pci_dev;
struct pci_host;

struct pci_dev_ops {
	u64 (*bar_read)(struct pci_dev *d, unsigned int bar, u64 off, unsigned int size);
	void (*bar_write)(struct pci_dev *d, unsigned int bar, u64 off, u64 val, unsigned int size);
	/* The BAR is reachable at addr from now on, or (addr == 0) no longer. Under host->lock. */
	void (*bar_mapped)(struct pci_dev *d, unsigned int bar, u64 addr);
	/* Bus mastering was switched on. Under host->lock. */
	void (*master_on)(struct pci_dev *d);
	/*
	 * Around an access to configuration space, without locks: before a read the device may
	 * bring its registers up to date, after a write it may act. All may be NULL.
	 */
	void (*config_reading)(struct pci_dev *d, unsigned int off, unsigned int size);
	void (*config_written)(struct pci_dev *d, unsigned int off, unsigned int size);
};

struct pci_bar {
	u64 size;	/* a power of two of at least 16; 0: there is none */
	bool is_64;	/* takes the next BAR's place, too */
	u64 addr;	/* where it is reachable; 0: nowhere */
};

struct pci_dev {
	const struct pci_dev_ops *ops;
	struct pci_host *host;
	unsigned int slot;
	u8 config[PCI_CONFIG_SIZE];
	u8 wmask[PCI_CONFIG_SIZE];
	u8 initial[PCI_CONFIG_SIZE];	/* config after power-on */
	unsigned int cap_end;
	struct pci_bar bar[PCI_NR_BARS];
	bool intx;			/* irq_lock: what the device asks for */
};

struct pci_window {
	u64 base;
	u64 size;
};

struct pci_host {
	struct sv_mutex lock;
	struct sv_mutex irq_lock;
	void (*set_line)(void *opaque, unsigned int line, bool level);
	void *opaque;
	struct pci_dev *dev[PCI_NR_SLOTS];
	u32 line_users[PCI_NR_LINES];	/* irq_lock: the slots that hold the line high */
	struct pci_window window[2];	/* 32-bit, 64-bit */
	struct pci_dev bridge;
};

void pci_host_init(struct pci_host *h, const struct pci_window window[2],
		   void (*set_line)(void *opaque, unsigned int line, bool level), void *opaque);
void pci_host_reset(struct pci_host *h);

/* Fills the identity. The device is the caller's and lives as long as the host. */
void pci_dev_init(struct pci_dev *d, const struct pci_dev_ops *ops, u16 vendor, u16 device,
		  u32 class_code, u8 revision);
void pci_dev_set_bar(struct pci_dev *d, unsigned int bar, u64 size, bool is_64);
/* Adds a vendor-specific capability of len bytes, of which cap[2] on are given; its offset. */
unsigned int pci_dev_add_cap(struct pci_dev *d, u8 id, const void *cap, unsigned int len);
/* In the lowest free slot. 0, or -ENOSPC. */
int pci_dev_add(struct pci_host *h, struct pci_dev *d);
void pci_dev_set_intx(struct pci_dev *d, bool level);
bool pci_dev_is_master(const struct pci_dev *d);

/* dev is the pci_host. One for the ECAM, one for each window. */
extern const struct mmio_ops pci_ecam_ops;
extern const struct mmio_ops pci_window_ops[2];

#endif
