/* SPDX-License-Identifier: MIT */
/*
 * Config space as VFIO shows it: for each bit, who answers a read (the function, or vconfig, a copy
 * that belongs to the user) and whether it may be written.
 *
 * Virtual: the ids, the whole of the BARs (so that sizing works without moving anything),
 * INTX_DISABLE, the links between capabilities, the interrupt line and pin, PME, the reset bit,
 * MSI's registers. PASID is left out of the extended list, because the kernel of the host manages
 * it. MSI-X is read-only: SET_IRQS works it. Bytes outside of capabilities are the function's.
 *
 * Side effects: the command register, power states and the reset bit go through memory_lock
 * (vfio.h), outside of config_lock, so that other config accesses don't wait for importers.
 */
#include "vfio/vfio.h"

#define COMMAND_INTX_HI (PCI_COMMAND_INTX_DISABLE >> 8)

static u32 get_le(const u8 *p, unsigned len)
{
	u32 v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (u32)p[i] << (8 * i);
	return v;
}

static void put_le(u8 *p, unsigned len, u32 v)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (u8)(v >> (8 * i));
}

static void perm(struct vfio_device *vdev, unsigned off, unsigned len, u32 virt, u32 write)
{
	put_le(vdev->virt + off, len, virt);
	put_le(vdev->write + off, len, write);
}

/* A capability's bytes are read-only and the function's, but for what the caller says next. */
static void claim(struct vfio_device *vdev, unsigned off, unsigned len)
{
	memset(vdev->hidden + off, 0, len);
	memset(vdev->write + off, 0, len);
	memset(vdev->virt + off, 0, len);
}

static void header_perms(struct vfio_device *vdev)
{
	claim(vdev, 0, PCI_STD_HEADER_SIZEOF);
	perm(vdev, PCI_VENDOR_ID, 4, ~0u, 0);
	perm(vdev, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, 0xffff);
	perm(vdev, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	perm(vdev, PCI_CACHE_LINE_SIZE, 2, 0, 0xffff);
	perm(vdev, PCI_BIST, 1, 0, 0xff);
	for (unsigned i = 0; i < PCI_NR_BARS; i++)
		perm(vdev, PCI_BASE_ADDRESS_0 + 4 * i, 4, ~0u, ~0u);
	perm(vdev, PCI_ROM_ADDRESS, 4, ~0u, ~0u);
	perm(vdev, PCI_CAPABILITY_LIST, 1, 0xff, 0);
	perm(vdev, PCI_INTERRUPT_LINE, 1, 0xff, 0xff);
	perm(vdev, PCI_INTERRUPT_PIN, 1, 0xff, 0);
}

static void cap_perms(struct vfio_device *vdev)
{
	const struct pci_dev *pdev = vdev->pdev;
	unsigned pm = pdev->pm_cap, msi = pdev->msi_cap, exp = pdev->pcie_cap, msix = pdev->msix_cap;

	claim(vdev, pm, PCI_PM_SIZEOF);
	perm(vdev, pm + PCI_CAP_LIST_NEXT, 1, 0xff, 0);
	perm(vdev, pm + PCI_PM_PMC, 2, PCI_PM_CAP_PME_MASK, 0);
	/* The state is written by hand (power_write). */
	perm(vdev, pm + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS,
	     0xffff & ~(PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS | PCI_PM_CTRL_STATE_MASK));
	claim(vdev, exp, PCI_CAP_EXP_ENDPOINT_SIZEOF_V2);
	perm(vdev, exp + PCI_CAP_LIST_NEXT, 1, 0xff, 0);
	perm(vdev, exp + PCI_EXP_DEVCTL, 2,
	     PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ,
	     0xffff & ~PCI_EXP_DEVCTL_PHANTOM);
	perm(vdev, exp + PCI_EXP_DEVCTL2, 2, 0, 0xffff & ~PCI_EXP_DEVCTL2_ARI);
	if (msi) {
		claim(vdev, msi, 14);
		perm(vdev, msi + PCI_CAP_LIST_NEXT, 1, 0xff, 0);
		perm(vdev, msi + PCI_MSI_FLAGS, 1, 0xff, 0xff);
		perm(vdev, msi + PCI_MSI_ADDRESS_LO, 4, ~0u, ~0u);
		perm(vdev, msi + PCI_MSI_ADDRESS_HI, 4, ~0u, ~0u);
		perm(vdev, msi + PCI_MSI_DATA_64, 2, 0xffff, 0xffff);
	}
	if (msix) {
		claim(vdev, msix, PCI_CAP_MSIX_SIZEOF);
		perm(vdev, msix + PCI_CAP_LIST_NEXT, 1, 0xff, 0);
	}
}

/*
 * Extended capabilities: PRI is shown read-only. PASID is not: as first of the list it stays
 * as an empty header that links to the next.
 */
static void ext_perms(struct vfio_device *vdev)
{
	const struct pci_dev *pdev = vdev->pdev;

	if (pdev->pri_cap) {
		claim(vdev, pdev->pri_cap, PCI_EXT_CAP_PRI_SIZEOF);
		perm(vdev, pdev->pri_cap, 4, ~0u, 0);
	}
	if (pdev->pasid_cap) {
		claim(vdev, pdev->pasid_cap, 4);
		perm(vdev, pdev->pasid_cap, 4, ~0u, 0);
		put_le(vdev->vconfig + pdev->pasid_cap, 4, (u32)pdev->pri_cap << 20);
		/* Its registers are still the function's, but nobody may write them. */
		memset(vdev->write + pdev->pasid_cap + 4, 0, 4);
		memset(vdev->hidden + pdev->pasid_cap + 4, 0, 4);
	}
}

void vfio_config_init(struct vfio_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned pm = pdev->pm_cap;

	sv_mutex_lock(&vdev->config_lock);
	for (unsigned off = 0; off < PCI_CFG_SIZE; off += 4)
		put_le(vdev->vconfig + off, 4, pci_config_read(pdev, off, 4));
	memset(vdev->virt, 0, sizeof(vdev->virt));
	memset(vdev->write, 0xff, sizeof(vdev->write));
	memset(vdev->hidden, 1, sizeof(vdev->hidden));
	header_perms(vdev);
	cap_perms(vdev);
	ext_perms(vdev);
	put_le(vdev->vconfig + pm + PCI_PM_PMC, 2,
	       get_le(vdev->vconfig + pm + PCI_PM_PMC, 2) & ~(u32)PCI_PM_CAP_PME_MASK);
	vdev->bardirty = true;
	sv_mutex_unlock(&vdev->config_lock);
}

bool vfio_config_has_intx(struct vfio_device *vdev)
{
	bool has;

	sv_mutex_lock(&vdev->config_lock);
	has = vdev->vconfig[PCI_INTERRUPT_PIN];
	sv_mutex_unlock(&vdev->config_lock);
	return has;
}

/* The BARs read as hardware's would after whatever was written. config_lock held. */
static void bar_fixup(struct vfio_device *vdev)
{
	if (!vdev->bardirty)
		return;
	vdev->bardirty = false;
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *b = &vdev->pdev->bars[i];
		u8 *v = vdev->vconfig + PCI_BASE_ADDRESS_0 + 4 * i;
		u64 mask = ~(b->size - 1);

		if (b->kind == PCI_BAR_NONE) {
			put_le(v, 4, 0);
			continue;
		}
		put_le(v, 4, (get_le(v, 4) & (u32)mask) |
			     (b->mem64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
			     (b->prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0));
		if (b->mem64) {
			v += 4;
			put_le(v, 4, get_le(v, 4) & (u32)(mask >> 32));
			i++;
		}
	}
	put_le(vdev->vconfig + PCI_ROM_ADDRESS, 4, 0);
}

static bool touches(unsigned off, unsigned len, unsigned r, unsigned rlen)
{
	return off < r + rlen && r < off + len;
}

static u32 config_read(struct vfio_device *vdev, unsigned off, unsigned len)
{
	u32 virt = get_le(vdev->virt + off, len), val = 0;

	if (virt != (u32)GENMASK(8 * len - 1, 0))
		val = pci_config_read(vdev->pdev, off, len);
	sv_mutex_lock(&vdev->config_lock);
	if (off + len <= PCI_STD_HEADER_SIZEOF)
		bar_fixup(vdev);
	val = (val & ~virt) | (get_le(vdev->vconfig + off, len) & virt);
	sv_mutex_unlock(&vdev->config_lock);
	return val;
}

/* What MSI's control register becomes: no more vectors than were set up, on only if they were. */
static void msi_fixup(struct vfio_device *vdev, unsigned off, unsigned len)
{
	unsigned at = vdev->pdev->msi_cap + PCI_MSI_FLAGS;
	u8 flags, qmax;

	if (!vdev->pdev->msi_cap || !touches(off, len, at, 1))
		return;
	flags = vdev->vconfig[at];
	qmax = (u8)((flags & PCI_MSI_FLAGS_QSIZE) >> 4);
	/* Unlocked: who sets interrupts up at the same time gets one or the other. */
	if (READ_ONCE(vdev->irq_type) != VFIO_PCI_MSI_IRQ_INDEX)
		flags &= (u8)~PCI_MSI_FLAGS_ENABLE;
	qmax = (u8)min((unsigned)qmax, READ_ONCE(vdev->msi_qmax));
	flags = (u8)((flags & PCI_MSI_FLAGS_ENABLE) | qmax << 4 |
		     (pci_config_read(vdev->pdev, at, 1) & PCI_MSI_FLAGS_QMASK));
	vdev->vconfig[at] = flags;
}

/*
 * The user's new value of a piece, stored where it is virtual. Returns the real part's write mask.
 */
static u32 virt_write(struct vfio_device *vdev, unsigned off, unsigned len, u32 val)
{
	u32 virt = get_le(vdev->virt + off, len), write = get_le(vdev->write + off, len);
	u8 *v = vdev->vconfig + off;

	sv_mutex_lock(&vdev->config_lock);
	put_le(v, len, (get_le(v, len) & ~(virt & write)) | (val & virt & write));
	msi_fixup(vdev, off, len);
	if (touches(off, len, PCI_BASE_ADDRESS_0, 24) || touches(off, len, PCI_ROM_ADDRESS, 4))
		vdev->bardirty = true;
	sv_mutex_unlock(&vdev->config_lock);
	return write & ~virt;
}

static void command_write(struct vfio_device *vdev, unsigned off, unsigned len, u32 val, u32 mask)
{
	u32 now;

	vfio_memory_write_lock(vdev);
	now = pci_config_read(vdev->pdev, off, len);
	pci_config_write(vdev->pdev, off, len, (now & ~mask) | (val & mask));
	vfio_memory_write_unlock(vdev);
	if (touches(off, len, PCI_COMMAND + 1, 1))
		vfio_intx_virq_disable(vdev, val >> (8 * (PCI_COMMAND + 1 - off)) & COMMAND_INTX_HI);
}

static void power_write(struct vfio_device *vdev, unsigned off, u32 val)
{
	unsigned ctrl = vdev->pdev->pm_cap + PCI_PM_CTRL;
	u32 now;

	vfio_memory_write_lock(vdev);
	now = pci_config_read(vdev->pdev, ctrl, 2);
	pci_config_write(vdev->pdev, ctrl, 2, (now & ~(u32)PCI_PM_CTRL_STATE_MASK) |
			 (val >> (8 * (ctrl - off)) & PCI_PM_CTRL_STATE_MASK));
	vfio_memory_write_unlock(vdev);
}

/* The reset bit never stays. */
static void reset_bit(struct vfio_device *vdev)
{
	u8 *ctl = vdev->vconfig + vdev->pdev->pcie_cap + PCI_EXP_DEVCTL + 1;
	bool reset;

	sv_mutex_lock(&vdev->config_lock);
	reset = *ctl & (PCI_EXP_DEVCTL_BCR_FLR >> 8);
	*ctl &= (u8)~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
	sv_mutex_unlock(&vdev->config_lock);
	if (!reset)
		return;
	vfio_memory_write_lock(vdev);
	pci_reset(vdev->pdev, PCI_RESET_FLR);
	vfio_memory_write_unlock(vdev);
}

static void config_write(struct vfio_device *vdev, unsigned off, unsigned len, u32 val)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 mask = virt_write(vdev, off, len, val);

	if (touches(off, len, PCI_COMMAND, 2)) {
		command_write(vdev, off, len, val, mask);
		return;
	}
	if (mask) {
		u32 now = pci_config_read(pdev, off, len);

		/* Bytes of no capability are written as they are. */
		if (vdev->hidden[off])
			pci_config_write(pdev, off, len, val);
		else
			pci_config_write(pdev, off, len, (now & ~mask) | (val & mask));
	}
	if (touches(off, len, pdev->pm_cap + PCI_PM_CTRL, 1))
		power_write(vdev, off, val);
	if (touches(off, len, pdev->pcie_cap + PCI_EXP_DEVCTL + 1, 1))
		reset_bit(vdev);
}

ssize_t vfio_config_rw(struct vfio_device *vdev, void *user, size_t len, u64 pos, bool write)
{
	size_t done = 0;
	u8 *p = user;

	if (pos >= PCI_CFG_SIZE || len > PCI_CFG_SIZE - pos)
		return -EFAULT;
	while (done < len) {
		unsigned off = (unsigned)(pos + done), n = 1;
		u8 bytes[4] = { 0 };

		if (len - done >= 4 && !(off & 3))
			n = 4;
		else if (len - done >= 2 && !(off & 1))
			n = 2;
		/* The command register apart from the status, which is in the same word. */
		if (n == 4 && off == PCI_COMMAND)
			n = 2;
		if (write) {
			if (sv_copy_from_user(bytes, p + done, n))
				return -EFAULT;
			config_write(vdev, off, n, get_le(bytes, n));
		} else {
			put_le(bytes, n, config_read(vdev, off, n));
			if (sv_copy_to_user(p + done, bytes, n))
				return -EFAULT;
		}
		done += n;
	}
	return (ssize_t)done;
}
