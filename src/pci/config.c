/* SPDX-License-Identifier: MIT */
/*
 * Configuration space: its layout, its masks, and what writes to it mean. PCI Express base
 * specification 7.5 (registers), 7.7 (MSI, MSI-X), 7.8 (PASID), 10.5 (PRI); PCI power
 * management 3.2.
 *
 * A register's writable bits are in wmask, its write-1-to-clear bits in w1cmask; all else is
 * read-only. A write is carried out in this order: memory goes off before the register changes
 * and comes on after it; then bus mastering, power, interrupts, and the function level reset.
 */
#include "pci/impl.h"

#define CAP_PM 0x40
#define CAP_MSI 0x50
#define CAP_EXP 0x70
#define CAP_MSIX 0xb0
#define EXT_FIRST 0x100
#define EXT_PASID 0x100
#define EXT_PRI 0x110

#define COMMAND_BITS (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
		      PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define PASID_WIDTH 20

static void reg(struct pci_dev *pdev, unsigned off, unsigned len, u32 val, u32 writable)
{
	put_le(pdev->config + off, len, val);
	put_le(pdev->wmask + off, len, writable);
}

/* Links the capability at off into the list; the last one links to 0. */
static void cap_add(struct pci_dev *pdev, unsigned off, u8 id, unsigned *last)
{
	pdev->config[off] = id;
	pdev->config[*last] = (u8)off;
	*last = off + 1;
}

static void header_init(struct pci_dev *pdev)
{
	const struct pci_dev_config *c = &pdev->cfg;

	reg(pdev, PCI_VENDOR_ID, 2, c->vendor, 0);
	reg(pdev, PCI_DEVICE_ID, 2, c->device, 0);
	reg(pdev, PCI_COMMAND, 2, 0, COMMAND_BITS);
	reg(pdev, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	put_le(pdev->w1cmask + PCI_STATUS, 2, 0xf900);
	reg(pdev, PCI_CLASS_REVISION, 4, c->class_code << 8 | c->revision, 0);
	reg(pdev, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	reg(pdev, PCI_SUBSYSTEM_VENDOR_ID, 2, c->subsys_vendor, 0);
	reg(pdev, PCI_SUBSYSTEM_ID, 2, c->subsys, 0);
	reg(pdev, PCI_INTERRUPT_LINE, 1, 0, 0xff);
	reg(pdev, PCI_INTERRUPT_PIN, 1, c->intx ? 1 : 0, 0);
}

static void bars_init(struct pci_dev *pdev)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *b = &pdev->bars[i];
		unsigned off = PCI_BASE_ADDRESS_0 + 4 * i;
		u32 type = (b->mem64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
			   (b->prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
		u64 mask = ~(b->size - 1);

		if (b->kind == PCI_BAR_NONE)
			continue;
		reg(pdev, off, 4, (u32)b->bus_addr | type, (u32)mask);
		if (b->mem64)
			reg(pdev, off + 4, 4, (u32)(b->bus_addr >> 32), (u32)(mask >> 32));
	}
}

static void caps_init(struct pci_dev *pdev)
{
	const struct pci_dev_config *c = &pdev->cfg;
	unsigned last = PCI_CAPABILITY_LIST, log = 0;

	pdev->pm_cap = CAP_PM;
	cap_add(pdev, CAP_PM, PCI_CAP_ID_PM, &last);
	reg(pdev, CAP_PM + PCI_PM_PMC, 2, 3, 0);
	reg(pdev, CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET, PCI_PM_CTRL_STATE_MASK);
	if (c->nr_msi) {
		while (1u << log < c->nr_msi)
			log++;
		pdev->msi_cap = CAP_MSI;
		cap_add(pdev, CAP_MSI, PCI_CAP_ID_MSI, &last);
		reg(pdev, CAP_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT | log << 1,
		    PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
		reg(pdev, CAP_MSI + PCI_MSI_ADDRESS_LO, 4, 0, 0xfffffffc);
		reg(pdev, CAP_MSI + PCI_MSI_ADDRESS_HI, 4, 0, 0xffffffff);
		reg(pdev, CAP_MSI + PCI_MSI_DATA_64, 2, 0, 0xffff);
	}
	pdev->pcie_cap = CAP_EXP;
	cap_add(pdev, CAP_EXP, PCI_CAP_ID_EXP, &last);
	reg(pdev, CAP_EXP + PCI_EXP_FLAGS, 2, 2, 0);	/* version 2, an endpoint */
	reg(pdev, CAP_EXP + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER |
	    PCI_EXP_DEVCAP_EXT_TAG, 0);
	/* The reset bit is acted on, never kept. */
	reg(pdev, CAP_EXP + PCI_EXP_DEVCTL, 2, 0x2810, 0x7fff);
	put_le(pdev->w1cmask + CAP_EXP + PCI_EXP_DEVSTA, 2, 0x000f);
	reg(pdev, CAP_EXP + PCI_EXP_LNKCAP, 4, PCI_EXP_LNKCAP_SLS_8_0GB | 16 << 4, 0);
	reg(pdev, CAP_EXP + PCI_EXP_LNKCTL, 2, 0, 0x01fb);
	reg(pdev, CAP_EXP + PCI_EXP_LNKSTA, 2, PCI_EXP_LNKSTA_CLS_8_0GB | 16 << 4, 0);
	reg(pdev, CAP_EXP + PCI_EXP_DEVCTL2, 2, 0, 0x77ff);
	reg(pdev, CAP_EXP + PCI_EXP_LNKCAP2, 4, 0x0e, 0);
	reg(pdev, CAP_EXP + PCI_EXP_LNKCTL2, 2, 3, 0x0f);
	if (c->nr_msix) {
		pdev->msix_cap = CAP_MSIX;
		cap_add(pdev, CAP_MSIX, PCI_CAP_ID_MSIX, &last);
		reg(pdev, CAP_MSIX + PCI_MSIX_FLAGS, 2, c->nr_msix - 1u,
		    PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
		reg(pdev, CAP_MSIX + PCI_MSIX_TABLE, 4, c->msix_table_off | c->msix_bar, 0);
		reg(pdev, CAP_MSIX + PCI_MSIX_PBA, 4, c->msix_pba_off | c->msix_bar, 0);
	}
}

/* The header of an extended capability: id, version 1, the next one's offset. */
static void ext_caps_init(struct pci_dev *pdev)
{
	const struct pci_dev_config *c = &pdev->cfg;
	/* The list begins at 0x100; without PASID the page requests stand there. */
	unsigned pri = c->pasid ? EXT_PRI : EXT_FIRST;

	if (c->pasid) {
		pdev->pasid_cap = EXT_PASID;
		reg(pdev, EXT_PASID, 4, PCI_EXT_CAP_ID_PASID | 1 << 16 |
		    (c->pri ? (u32)pri << 20 : 0), 0);
		reg(pdev, EXT_PASID + PCI_PASID_CAP, 2, PASID_WIDTH << 8, 0);
		reg(pdev, EXT_PASID + PCI_PASID_CTRL, 2, 0, PCI_PASID_CTRL_ENABLE);
	}
	if (c->pri) {
		pdev->pri_cap = (u16)pri;
		reg(pdev, pri, 4, PCI_EXT_CAP_ID_PRI | 1 << 16, 0);
		reg(pdev, pri + PCI_PRI_CTRL, 2, 0, PCI_PRI_CTRL_ENABLE);
		reg(pdev, pri + PCI_PRI_STATUS, 2, PCI_PRI_STATUS_STOPPED, 0);
		reg(pdev, pri + PCI_PRI_MAX_REQ, 4, 32, 0);
		reg(pdev, pri + PCI_PRI_ALLOC_REQ, 4, 0, 0xffffffff);
	}
}

void pci_config_init(struct pci_dev *pdev)
{
	header_init(pdev);
	bars_init(pdev);
	caps_init(pdev);
	ext_caps_init(pdev);
	memcpy(pdev->reset_config, pdev->config, sizeof(pdev->reset_config));
	pci_msix_reset(pdev);
}

bool pci_config_memory(const struct pci_dev *pdev)
{
	return (cfg16(pdev, PCI_COMMAND) & PCI_COMMAND_MEMORY) && pdev->power_state == 0;
}

bool pci_can_signal(const struct pci_dev *pdev)
{
	return (cfg16(pdev, PCI_COMMAND) & PCI_COMMAND_MASTER) && pdev->power_state == 0;
}

static bool access_ok(unsigned off, unsigned len)
{
	return (len == 1 || len == 2 || len == 4) && off < PCI_CFG_SIZE && !(off & (len - 1));
}

u32 pci_config_read(struct pci_dev *pdev, unsigned off, unsigned len)
{
	u32 val;

	if (!access_ok(off, len))
		return ~0u;
	sv_mutex_lock(&pdev->lock);
	val = get_le(pdev->config + off, len);
	sv_mutex_unlock(&pdev->lock);
	return val;
}

static bool touches(unsigned off, unsigned len, unsigned r, unsigned rlen)
{
	return off < r + rlen && r < off + len;
}

/* What the bytes at off become when val is written. lock held. */
static void merge(const struct pci_dev *pdev, unsigned off, unsigned len, u32 val, u8 *out)
{
	for (unsigned i = 0; i < len; i++) {
		u8 byte = (u8)(val >> (8 * i)), w = pdev->wmask[off + i];

		out[i] = (u8)((pdev->config[off + i] & ~w) | (byte & w));
		out[i] &= (u8)~(byte & pdev->w1cmask[off + i]);
	}
}

/* D1 and D2 are not there: a write of them changes nothing. lock held. */
static void pm_fixup(const struct pci_dev *pdev, unsigned off, unsigned len, u8 *bytes)
{
	unsigned ctrl = pdev->pm_cap + PCI_PM_CTRL;
	u8 state;

	if (!touches(off, len, ctrl, 1))
		return;
	state = bytes[ctrl - off] & PCI_PM_CTRL_STATE_MASK;
	if (state == 1 || state == 2)
		bytes[ctrl - off] = (u8)((bytes[ctrl - off] & ~PCI_PM_CTRL_STATE_MASK) |
					 pdev->power_state);
}

/* Would memory be on with these bytes in place? lock held. */
static bool memory_after(struct pci_dev *pdev, unsigned off, unsigned len, const u8 *bytes)
{
	unsigned ctrl = pdev->pm_cap + PCI_PM_CTRL;
	u16 command = cfg16(pdev, PCI_COMMAND);
	u8 state = pdev->power_state;

	for (unsigned i = 0; i < len; i++) {
		if (off + i == PCI_COMMAND)
			command = (u16)((command & 0xff00) | bytes[i]);
		if (off + i == ctrl)
			state = bytes[i] & PCI_PM_CTRL_STATE_MASK;
	}
	return (command & PCI_COMMAND_MEMORY) && state == 0;
}

static void effects(struct pci_dev *pdev, bool old_master, u8 old_state)
{
	bool master, changed;

	sv_mutex_lock(&pdev->lock);
	pci_irq_update(pdev);
	master = pci_can_signal(pdev);
	changed = master != old_master || pdev->power_state != old_state;
	sv_mutex_unlock(&pdev->lock);
	if (master != old_master)
		iommu_dma_enable(&pdev->iommu, master);
	if (changed && pdev->ops->power_changed)
		pdev->ops->power_changed(pdev);
	pci_memory_on_locked(pdev);
}

void pci_config_write(struct pci_dev *pdev, unsigned off, unsigned len, u32 val)
{
	unsigned devctl = pdev->pcie_cap + PCI_EXP_DEVCTL + 1u;
	u8 bytes[4], old_state;
	bool off_now, old_master;

	if (!access_ok(off, len))
		return;
	sv_mutex_lock(&pdev->reset_lock);
	sv_mutex_lock(&pdev->lock);
	merge(pdev, off, len, val, bytes);
	pm_fixup(pdev, off, len, bytes);
	off_now = !memory_after(pdev, off, len, bytes);
	sv_mutex_unlock(&pdev->lock);
	if (off_now)
		pci_memory_off_locked(pdev);
	sv_mutex_lock(&pdev->lock);
	old_master = pci_can_signal(pdev);
	old_state = pdev->power_state;
	/* Again: status bits of the same word may have changed meanwhile. */
	merge(pdev, off, len, val, bytes);
	pm_fixup(pdev, off, len, bytes);
	memcpy(pdev->config + off, bytes, len);
	pdev->power_state = pdev->config[pdev->pm_cap + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK;
	sv_mutex_unlock(&pdev->lock);
	effects(pdev, old_master, old_state);
	if (touches(off, len, devctl, 1) && (val >> (8 * (devctl - off)) & 0x80))
		pci_reset_locked(pdev, PCI_RESET_FLR);
	sv_mutex_unlock(&pdev->reset_lock);
}
