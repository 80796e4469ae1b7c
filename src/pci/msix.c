/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: MSI-X with its table and pending bits, MSI, and INTx. PCI Express base specification
 * 6.1 and 7.7; PCI local bus 3.0, 6.8.
 *
 * Model: the device raises; what can't go out (vector or function masked, bus mastering off, not in
 * D0) stays pending and goes out when the obstacle does. With MSI-X and MSI both off a raised
 * message is lost, as the device would not have sent one. INTx is a level: the owner hears of
 * changes of what leaves the function, that is the device's level unless disabled.
 *
 * All under lock, the owner's callbacks too.
 */
#include "pci/impl.h"

#define ENTRY_CTRL PCI_MSIX_ENTRY_VECTOR_CTRL
#define MASKBIT PCI_MSIX_ENTRY_CTRL_MASKBIT

static bool msix_enabled(const struct pci_dev *pdev)
{
	return pdev->msix_cap &&
	       (cfg16(pdev, pdev->msix_cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE);
}

static bool msix_masked(const struct pci_dev *pdev, unsigned vector)
{
	if (cfg16(pdev, pdev->msix_cap + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_MASKALL)
		return true;
	return pdev->msix_table[vector * PCI_MSIX_ENTRY_SIZE + ENTRY_CTRL] & MASKBIT;
}

/* How many MSI vectors are enabled; 0: MSI is off. */
static unsigned msi_vectors(const struct pci_dev *pdev)
{
	u16 flags;

	if (!pdev->msi_cap)
		return 0;
	flags = cfg16(pdev, pdev->msi_cap + PCI_MSI_FLAGS);
	if (!(flags & PCI_MSI_FLAGS_ENABLE))
		return 0;
	/* More than the function has is as many as it has. */
	return min(1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4), (unsigned)pdev->cfg.nr_msi);
}

static void fire(struct pci_dev *pdev, unsigned vector)
{
	if (pdev->owner_ops && pdev->owner_ops->msix)
		pdev->owner_ops->msix(pdev->owner, vector);
}

void pci_irq_update(struct pci_dev *pdev)
{
	bool messages = msix_enabled(pdev) || msi_vectors(pdev);
	bool level = pdev->intx_level && !messages && pdev->power_state == 0 &&
		     !(cfg16(pdev, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);

	if (pdev->cfg.intx)
		pdev->config[PCI_STATUS] = (u8)((pdev->config[PCI_STATUS] & ~PCI_STATUS_INTERRUPT) |
						(pdev->intx_level ? PCI_STATUS_INTERRUPT : 0));
	if (level != pdev->intx_out) {
		pdev->intx_out = level;
		if (pdev->owner_ops && pdev->owner_ops->intx)
			pdev->owner_ops->intx(pdev->owner, level);
	}
	if (!pci_can_signal(pdev))
		return;
	for (unsigned v = 0; pdev->msi_pending && v < msi_vectors(pdev); v++) {
		if (pdev->msi_pending & BIT(v)) {
			pdev->msi_pending &= ~BIT(v);
			fire(pdev, v);
		}
	}
	if (!msix_enabled(pdev))
		return;
	for (unsigned v = 0; pdev->msix_pending >> v && v < pdev->cfg.nr_msix; v++) {
		if ((pdev->msix_pending & BIT(v)) && !msix_masked(pdev, v)) {
			pdev->msix_pending &= ~BIT(v);
			fire(pdev, v);
		}
		if (v == 63)
			break;
	}
}

void pci_msix_raise(struct pci_dev *pdev, unsigned vector)
{
	unsigned msi;

	sv_mutex_lock(&pdev->lock);
	msi = msi_vectors(pdev);
	if (msix_enabled(pdev)) {
		if (vector < pdev->cfg.nr_msix) {
			pdev->msix_pending |= BIT(vector);
			pci_irq_update(pdev);
		}
	} else if (msi) {
		/* Fewer messages than the device would like: the last bits of the number count. */
		pdev->msi_pending |= BIT(vector & (msi - 1));
		pci_irq_update(pdev);
	}
	sv_mutex_unlock(&pdev->lock);
}

void pci_intx_set(struct pci_dev *pdev, bool level)
{
	sv_mutex_lock(&pdev->lock);
	if (pdev->cfg.intx) {
		pdev->intx_level = level;
		pci_irq_update(pdev);
	}
	sv_mutex_unlock(&pdev->lock);
}

void pci_report_err(struct pci_dev *pdev)
{
	sv_mutex_lock(&pdev->lock);
	if (pdev->owner_ops && pdev->owner_ops->err)
		pdev->owner_ops->err(pdev->owner);
	sv_mutex_unlock(&pdev->lock);
}

bool pci_intx_asserted(struct pci_dev *pdev)
{
	bool level;

	sv_mutex_lock(&pdev->lock);
	level = pdev->intx_out;
	sv_mutex_unlock(&pdev->lock);
	return level;
}

/* Sets or clears bits of a 16-bit register that programs can't reach through this path. */
static void change16(struct pci_dev *pdev, unsigned off, u16 clear, u16 set)
{
	sv_mutex_lock(&pdev->reset_lock);
	sv_mutex_lock(&pdev->lock);
	put_le(pdev->config + off, 2, (cfg16(pdev, off) & ~(u32)clear) | set);
	pci_irq_update(pdev);
	sv_mutex_unlock(&pdev->lock);
	sv_mutex_unlock(&pdev->reset_lock);
}

void pci_msix_enable(struct pci_dev *pdev, bool on)
{
	if (!pdev->msix_cap)
		return;
	if (!on) {
		sv_mutex_lock(&pdev->lock);
		pdev->msix_pending = 0;
		sv_mutex_unlock(&pdev->lock);
	}
	change16(pdev, pdev->msix_cap + PCI_MSIX_FLAGS,
		 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

void pci_msix_set_mask(struct pci_dev *pdev, unsigned vector, bool masked)
{
	u8 *ctrl = &pdev->msix_table[vector * PCI_MSIX_ENTRY_SIZE + ENTRY_CTRL];

	if (vector >= pdev->cfg.nr_msix)
		return;
	sv_mutex_lock(&pdev->lock);
	*ctrl = (u8)((*ctrl & ~MASKBIT) | (masked ? MASKBIT : 0));
	pci_irq_update(pdev);
	sv_mutex_unlock(&pdev->lock);
}

void pci_msi_enable(struct pci_dev *pdev, unsigned nr)
{
	unsigned log = 0;

	if (!pdev->msi_cap)
		return;
	while (nr > 1u << log && log < 5)
		log++;
	if (!nr) {
		sv_mutex_lock(&pdev->lock);
		pdev->msi_pending = 0;
		sv_mutex_unlock(&pdev->lock);
	}
	change16(pdev, pdev->msi_cap + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE,
		 nr ? (u16)(PCI_MSI_FLAGS_ENABLE | log << 4) : 0);
}

void pci_intx_disable(struct pci_dev *pdev, bool off)
{
	change16(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, off ? PCI_COMMAND_INTX_DISABLE : 0);
}

void pci_msix_reset(struct pci_dev *pdev)
{
	memset(pdev->msix_table, 0, sizeof(pdev->msix_table));
	for (unsigned v = 0; v < pdev->cfg.nr_msix; v++)
		pdev->msix_table[v * PCI_MSIX_ENTRY_SIZE + ENTRY_CTRL] = MASKBIT;
	pdev->msix_pending = 0;
	pdev->msi_pending = 0;
	pdev->intx_level = false;
}

/* Where [off, off + size) lies: in the table (*in is its offset), the PBA, or neither. */
enum msix_place { MSIX_NOT, MSIX_TABLE, MSIX_PBA };

static enum msix_place msix_place(const struct pci_dev *pdev, unsigned bar, u64 off, u64 *in)
{
	const struct pci_dev_config *cfg = &pdev->cfg;

	if (!cfg->nr_msix || bar != cfg->msix_bar)
		return MSIX_NOT;
	if (off >= cfg->msix_table_off &&
	    off - cfg->msix_table_off < (u64)cfg->nr_msix * PCI_MSIX_ENTRY_SIZE) {
		*in = off - cfg->msix_table_off;
		return MSIX_TABLE;
	}
	if (off >= cfg->msix_pba_off && off - cfg->msix_pba_off < 8) {
		*in = off - cfg->msix_pba_off;
		return MSIX_PBA;
	}
	return MSIX_NOT;
}

bool pci_msix_bar_read(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 *val)
{
	u64 in = 0;
	enum msix_place place = msix_place(pdev, bar, off, &in);

	if (place == MSIX_NOT)
		return false;
	sv_mutex_lock(&pdev->lock);
	if (place == MSIX_PBA)
		*val = pdev->msix_pending >> (8 * in);
	else
		*val = get_le(pdev->msix_table + in, min(size, 4u)) |
		       (size == 8 ? (u64)get_le(pdev->msix_table + in + 4, 4) << 32 : 0);
	sv_mutex_unlock(&pdev->lock);
	if (size < 8)
		*val &= GENMASK(8 * size - 1, 0);
	return true;
}

bool pci_msix_bar_write(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 val)
{
	u64 in = 0;
	enum msix_place place = msix_place(pdev, bar, off, &in);

	if (place == MSIX_NOT)
		return false;
	if (place == MSIX_PBA)
		return true;	/* read-only */
	sv_mutex_lock(&pdev->lock);
	for (unsigned i = 0; i < size; i++) {
		unsigned at = (unsigned)in + i, field = at % PCI_MSIX_ENTRY_SIZE;
		u8 byte = (u8)(val >> (8 * i));

		if (field == PCI_MSIX_ENTRY_LOWER_ADDR)
			byte &= 0xfc;
		if (field >= ENTRY_CTRL)	/* the rest of vector control is reserved */
			byte = field == ENTRY_CTRL ? byte & MASKBIT : 0;
		pdev->msix_table[at] = byte;
	}
	pci_irq_update(pdev);
	sv_mutex_unlock(&pdev->lock);
	return true;
}
