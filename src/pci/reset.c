/* SPDX-License-Identifier: MIT */
/*
 * Memory on and off, and resets: everything that takes a function's memory away. See pci.h.
 *
 * Order of a reset: the owner gives the memory up (and waits for peers), the device stops its DMA,
 * config space is as after power-on, then as before; the memory comes back. All under
 * reset_lock, so that two of them, or one and a config write, never mix.
 */
#include "pci/impl.h"

bool pci_memory_on(struct pci_dev *pdev)
{
	return READ_ONCE(pdev->memory_enabled);
}

void pci_memory_off_locked(struct pci_dev *pdev)
{
	if (!pdev->memory_enabled)
		return;
	/* owner_ops changes with reset_lock held only. */
	if (pdev->owner_ops && pdev->owner_ops->memory_off)
		pdev->owner_ops->memory_off(pdev->owner);
	WRITE_ONCE(pdev->memory_enabled, false);
}

void pci_memory_on_locked(struct pci_dev *pdev)
{
	bool on;

	sv_mutex_lock(&pdev->lock);
	on = pci_config_memory(pdev);
	sv_mutex_unlock(&pdev->lock);
	if (!on || pdev->memory_enabled)
		return;
	WRITE_ONCE(pdev->memory_enabled, true);
	if (pdev->owner_ops && pdev->owner_ops->memory_on)
		pdev->owner_ops->memory_on(pdev->owner);
}

/*
 * Config space and table as before the reset, in D0; the rest stays as after power-on. lock held.
 */
static void restore(struct pci_dev *pdev, const u8 *config, const u8 *table)
{
	for (unsigned i = 0; i < PCI_CFG_SIZE; i++)
		pdev->config[i] = (u8)((config[i] & pdev->wmask[i]) |
				       (pdev->config[i] & ~pdev->wmask[i]));
	pdev->config[pdev->pm_cap + PCI_PM_CTRL] &= (u8)~PCI_PM_CTRL_STATE_MASK;
	memcpy(pdev->msix_table, table, sizeof(pdev->msix_table));
}

void pci_reset_locked(struct pci_dev *pdev, enum pci_reset_kind kind)
{
	u8 config[PCI_CFG_SIZE], table[sizeof(pdev->msix_table)];
	bool master;

	sv_trace("pci.reset", "%s: %s", pdev->name, kind == PCI_RESET_FLR ? "function" :
		 kind == PCI_RESET_HOT ? "hot" : "power");
	pci_memory_off_locked(pdev);
	/* The device stops without waiting for an answer to a page request. */
	iommu_dma_page_requests(&pdev->iommu, false);
	pdev->ops->reset(pdev, kind);
	iommu_dma_page_requests(&pdev->iommu, true);
	sv_mutex_lock(&pdev->lock);
	memcpy(config, pdev->config, sizeof(config));
	memcpy(table, pdev->msix_table, sizeof(table));
	memcpy(pdev->config, pdev->reset_config, sizeof(pdev->config));
	pdev->power_state = 0;
	pci_msix_reset(pdev);
	pci_irq_update(pdev);
	restore(pdev, config, table);
	pci_irq_update(pdev);
	master = cfg16(pdev, PCI_COMMAND) & PCI_COMMAND_MASTER;
	sv_mutex_unlock(&pdev->lock);
	iommu_dma_enable(&pdev->iommu, master);
	pci_memory_on_locked(pdev);
}

void pci_reset(struct pci_dev *pdev, enum pci_reset_kind kind)
{
	sv_mutex_lock(&pdev->reset_lock);
	pci_reset_locked(pdev, kind);
	sv_mutex_unlock(&pdev->reset_lock);
}
