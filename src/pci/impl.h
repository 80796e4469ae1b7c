/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share.
 */
#ifndef SV_PCI_IMPL_H
#define SV_PCI_IMPL_H

#include <linux/pci_regs.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/err.h"
#include "base/trace.h"
#include "pci/pci.h"

/* Little-endian fields of config space and tables. */
static inline u32 get_le(const u8 *p, unsigned len)
{
	u32 v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (u32)p[i] << (8 * i);
	return v;
}

static inline void put_le(u8 *p, unsigned len, u32 v)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (u8)(v >> (8 * i));
}

static inline u16 cfg16(const struct pci_dev *pdev, unsigned off)
{
	return (u16)get_le(pdev->config + off, 2);
}

/* config.c: the layout, once, before publication. */
void pci_config_init(struct pci_dev *pdev);
/* What config space says: memory decoding is on. lock held. */
bool pci_config_memory(const struct pci_dev *pdev);
/* lock held: does the function send messages now? */
bool pci_can_signal(const struct pci_dev *pdev);

/* bar.c: two phases; fini also after a failed init. */
int pci_bars_check(const struct pci_dev_config *cfg);
int pci_bars_init(struct pci_dev *pdev);
void pci_bars_hide(struct pci_dev *pdev);	/* no op of the device is called any more */
void pci_bars_fini(struct pci_dev *pdev);

/* msix.c; lock held. */
void pci_msix_reset(struct pci_dev *pdev);
void pci_irq_update(struct pci_dev *pdev);	/* after any change of masks: fires what is pending */
/* True when [off, off + size) of this BAR is the table's or the PBA's; takes lock. */
bool pci_msix_bar_read(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 *val);
bool pci_msix_bar_write(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 val);

/* reset.c; reset_lock held. */
void pci_reset_locked(struct pci_dev *pdev, enum pci_reset_kind kind);
/* Memory goes off (nothing happens if it is), or on if config space says so. */
void pci_memory_off_locked(struct pci_dev *pdev);
void pci_memory_on_locked(struct pci_dev *pdev);

#endif
