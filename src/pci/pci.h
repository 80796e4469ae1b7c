/* SPDX-License-Identifier: MIT */
/*
 * A PCI function as hardware: configuration space with its write rules, BARs, MSI-X and INTx, power
 * states and resets. What its registers mean is the device's (src/devices); who owns it (VFIO)
 * hears of interrupts and of everything that takes its memory away.
 *
 * Model: a function is created by a device model with its BARs and capabilities, and then listed
 * under its address (domain:bus:device.function) until it is destroyed. Config space is 4 KiB; each
 * byte has a mask of writable bits and one of write-1-to-clear bits; the virtual view that VFIO
 * presents (BAR sizing, hidden bits) is VFIO's (src/vfio).
 *
 * BARs: PCI_BAR_RAM is memory: a memfd, mapped once for the device itself (base). PCI_BAR_REGS has
 * no memory: every access is an op. base is then an inaccessible window, so that each byte of each
 * BAR has an address of its own in this process, which is what peers' DMA is translated to.
 *
 * Memory space is on when PCI_COMMAND.MEMORY is set and the function is in D0. The owner's
 * memory_off is called before it goes off, or before a reset begins, and returns when nobody
 * reaches a BAR any more; memory_on after it is back.
 *
 * Locks, in their order: reset_lock is held across whole resets, memory transitions and config
 * writes, also while memory_off, memory_on, ops->reset and ops->power_changed run. lock (a
 * function's config space, power, interrupts' state) is a leaf, but for the owner's msix and intx,
 * which are called under it: that is why none of them runs any more after pci_dev_release(). The
 * list of functions has a lock of its own, innermost.
 */
#ifndef SV_PCI_PCI_H
#define SV_PCI_PCI_H

#include "base/list.h"
#include "base/sync.h"
#include "base/types.h"
#include "iommu/iommu.h"

#define PCI_CFG_SIZE 4096
#define PCI_NR_BARS 6
#define PCI_ROM_SIZE_MAX (16u << 20)

struct pci_dev;
struct sv_trap_region;

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_RAM, PCI_BAR_REGS };

struct pci_bar {
	enum pci_bar_kind kind;
	bool mem64, prefetch;	/* mem64 uses the next index too */
	u64 size;		/* a power of two, at least 4096 */
	void *base;		/* size bytes of address space; RAM: readable and writable */
	int memfd;		/* RAM: what base maps; -1 otherwise. Sealed against shrinking and growing */
	u64 bus_addr;		/* what the BAR's register shows: made up, naturally aligned */
	struct pci_dev *pdev;
	struct sv_trap_region *trap;	/* REGS: base, for peers */
};

enum pci_reset_kind { PCI_RESET_FLR, PCI_RESET_HOT, PCI_RESET_PM };

/*
 * The device model. All in the caller's thread; several threads may be in bar_read and bar_write at
 * once.
 */
struct pci_dev_ops {
	const char *name;	/* "ioat" */
	/*
	 * Registers; size 1, 2, 4 or 8, naturally aligned, within the BAR. 0 or -errno: the bus
	 * answers all ones.
	 */
	int (*bar_read)(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 *val);
	int (*bar_write)(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 val);
	/*
	 * Stop all DMA (wait until it has stopped) and go to the state after power-on. Called with
	 * reset_lock held, after memory_off. RAM BARs keep their content unless the device says
	 * otherwise.
	 */
	void (*reset)(struct pci_dev *pdev, enum pci_reset_kind kind);
	/* After a change of bus mastering, D-state; may be NULL. */
	void (*power_changed)(struct pci_dev *pdev);
	/* The function is being removed: threads end, memory goes; priv is freed. */
	void (*destroy)(struct pci_dev *pdev);
};

/* Whoever drives the function. */
struct pci_owner_ops {
	/* MSI-X (or MSI) vector fires, any thread; cheap. Masked ones are kept pending by pci. */
	void (*msix)(void *owner, unsigned vector);
	/* INTx' level changes, any thread. */
	void (*intx)(void *owner, bool level);
	void (*memory_off)(void *owner);
	void (*memory_on)(void *owner);
	/* A device error for the err vector. As msix. */
	void (*err)(void *owner);
	/*
	 * The function is to be removed: please release it. count is 0 at first, then rises every
	 * ten seconds. As msix. Any op may be NULL.
	 */
	void (*request)(void *owner, unsigned count);
};

struct pci_dev_config {
	u16 vendor, device, subsys_vendor, subsys;
	u32 class_code;		/* 24 bits: base, sub, interface */
	u8 revision;
	u8 nr_msix;		/* 0: none; table and PBA lie in msix_bar */
	u8 nr_msi;		/* 0: none; 1, 2, 4, ... 32 */
	u8 msix_bar;		/* PCI_BAR_REGS; the tables don't share a page with other registers' use */
	u32 msix_table_off, msix_pba_off;
	bool intx;		/* has INTA */
	bool pasid, pri;	/* capabilities */
	bool physfn;		/* SR-IOV: others are its virtual functions */
	struct pci_dev *vf_of;	/* it is one, of this function, which outlives it; NULL: it is none */
	struct pci_bar bars[PCI_NR_BARS];	/* kind, mem64, prefetch, size */
};

struct pci_dev {
	struct iommu_dev iommu;		/* its requester; iommu.dev.init_name is "0000:01:00.0" */
	char name[16];
	u16 domain;
	u8 bus, devfn;
	u32 group_id;
	struct pci_dev_config cfg;
	const struct pci_dev_ops *ops;
	void *priv;			/* the device's */
	struct pci_bar bars[PCI_NR_BARS];

	struct sv_mutex reset_lock;
	struct sv_mutex lock;
	u8 config[PCI_CFG_SIZE];	/* lock */
	u8 wmask[PCI_CFG_SIZE];		/* constant after creation */
	u8 w1cmask[PCI_CFG_SIZE];
	u8 reset_config[PCI_CFG_SIZE];	/* after power-on */
	u8 pcie_cap, pm_cap, msi_cap, msix_cap;	/* offsets; constant */
	u16 pasid_cap, pri_cap;
	bool memory_enabled;		/* what the last transition left; reset_lock */
	u8 power_state;			/* 0: D0, 3: D3hot; lock */
	bool intx_level;		/* lock; what the device says */
	bool intx_out;			/* lock; what the owner has heard */
	u64 msix_pending;		/* lock; at most 64 vectors */
	u64 msi_pending;		/* lock */
	u8 msix_table[64 * 16];		/* lock */
	const struct pci_owner_ops *owner_ops;	/* lock; changed with reset_lock held, too */
	void *owner;
	struct sv_cond owner_cond;	/* with lock: owner_ops has become NULL */
	bool published, dying;		/* lock */
	u32 index;			/* the smallest free number at publication: vfioN */
	struct list_head node;		/* of all functions */
	u32 refs;			/* the list's lock */
};

/*
 * Two phases: create makes it (ops, priv belong to the caller until publish succeeds: on any
 * failure and on pci_dev_destroy before publish, ops->destroy is not called), publish lists it.
 * ERR_PTR: -EINVAL, -ENOMEM, -EEXIST (address taken, at publish), -EXDEV (iommu_dev_init()'s), or an
 * errno of memfd_create. Between the two the creator may set iommu.iommu to an IOMMU other than vtd_iommu_ops.
 */
struct pci_dev *pci_dev_create(const struct pci_dev_config *cfg, const struct pci_dev_ops *ops, void *priv);
int pci_dev_publish(struct pci_dev *pdev, u16 domain, u8 bus, u8 devfn, u32 group_id);
/*
 * Unlists it, asks the owner (request) until nobody owns it, then -> ops->destroy when published.
 * The rest goes with the last reference. Waits for the owner for ever.
 */
void pci_dev_destroy(struct pci_dev *pdev);
/*
 * Who has attached functions to domains without owning them (VFIO's containers): called in the
 * course of pci_dev_destroy(), when nobody owns the function, before its requester goes. One at
 * most.
 */
void pci_set_removed(void (*fn)(struct pci_dev *pdev));

/* References: a listed function lives while one is held. NULL: not there. */
struct pci_dev *pci_dev_find(u16 domain, u8 bus, u8 devfn);
struct pci_dev *pci_dev_find_name(const char *bdf);	/* "0000:01:00.0" or "01:00.0" */
struct pci_dev *pci_dev_next(struct pci_dev *prev);	/* all, by address; puts prev, gets the next */
struct pci_dev *pci_dev_get(struct pci_dev *pdev);
void pci_dev_put(struct pci_dev *pdev);

/*
 * One owner at a time: -EBUSY; -ENODEV: being removed. release: no callback runs any more when it
 * returns.
 */
int pci_dev_claim(struct pci_dev *pdev, const struct pci_owner_ops *ops, void *owner);
void pci_dev_release(struct pci_dev *pdev);

/*
 * Hardware's view of config space; len 1, 2 or 4, aligned. A write carries out what it means:
 * command register, D-states, FLR (PCIe device control), MSI-X enable and function mask. May sleep
 * in memory_off.
 */
u32 pci_config_read(struct pci_dev *pdev, unsigned off, unsigned len);
void pci_config_write(struct pci_dev *pdev, unsigned off, unsigned len, u32 val);
/*
 * As the kernel resets a function: to D0, config space and MSI-X table are as before
 * afterwards. Memory is off in between and on again if it was enabled.
 */
void pci_reset(struct pci_dev *pdev, enum pci_reset_kind kind);
bool pci_memory_on(struct pci_dev *pdev);

/*
 * A BAR's bytes for VFIO's region read and write and for peers: RAM is copied, registers go to
 * the device's ops (MSI-X table and PBA are handled here). -EIO while memory is off.
 */
int pci_bar_read(struct pci_dev *pdev, unsigned bar, u64 off, void *dst, size_t len);
int pci_bar_write(struct pci_dev *pdev, unsigned bar, u64 off, const void *src, size_t len);

/*
 * What an operating system does with MSI-X for whoever uses the function: the enable bit, each
 * vector's mask. Unmasking a pending vector fires it. msi_enable: the same for MSI, with
 * nr (a power of two) vectors, 0 for off.
 */
void pci_msix_enable(struct pci_dev *pdev, bool on);
void pci_msix_set_mask(struct pci_dev *pdev, unsigned vector, bool masked);
void pci_msi_enable(struct pci_dev *pdev, unsigned nr);
/* INTX_DISABLE in the command register; is the line asserted by the device? */
void pci_intx_disable(struct pci_dev *pdev, bool off);
bool pci_intx_asserted(struct pci_dev *pdev);

/* The device's side. Interrupt messages need bus mastering: without it they stay pending. */
void pci_msix_raise(struct pci_dev *pdev, unsigned vector);
void pci_intx_set(struct pci_dev *pdev, bool level);
void pci_report_err(struct pci_dev *pdev);	/* an error that the device can't recover from */

#endif
