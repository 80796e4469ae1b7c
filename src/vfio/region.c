/* SPDX-License-Identifier: MIT */
/*
 * Regions of a device: what they are, and reading and writing them through the descriptor.
 *
 * A region's offset is its index at bit 40. BAR accesses are cut into naturally aligned pieces by
 * src/pci and go under memory_lock; the MSI-X table in its BAR reads as ones and ignores writes
 * here, because interrupts are set up with SET_IRQS.
 */
#include <fcntl.h>
#include <limits.h>

#include "base/trap_region.h"
#include "vfio/vfio.h"

#define CHUNK 4096

bool vfio_bar_can_mmap(const struct vfio_device *vdev, unsigned bar)
{
	enum pci_bar_kind kind = vdev->pdev->bars[bar].kind;

	return kind == PCI_BAR_RAM || (kind == PCI_BAR_REGS && sv_trap_can_emulate());
}

static void bar_info(struct vfio_device *vdev, struct vfio_region_info *info,
		     struct vfio_caps *caps)
{
	const struct pci_bar *b = &vdev->pdev->bars[info->index];

	if (b->kind == PCI_BAR_NONE)
		return;
	info->size = b->size;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (!vfio_bar_can_mmap(vdev, info->index))
		return;
	info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	/* The whole BAR, the page with the table too. */
	if (vdev->pdev->msix_cap && info->index == vdev->pdev->cfg.msix_bar)
		vfio_caps_add(caps, sizeof(struct vfio_info_cap_header),
			      VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1);
}

long vfio_get_region_info(struct vfio_device *vdev, void *user)
{
	size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;
	struct vfio_caps caps = { .size = 0 };

	if (sv_copy_from_user(&info, user, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = 0;
	info.size = 0;
	switch (info.index) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		info.size = PCI_CFG_SIZE;
		info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
		break;
	case VFIO_PCI_BAR0_REGION_INDEX ... VFIO_PCI_BAR5_REGION_INDEX:
		bar_info(vdev, &info, &caps);
		break;
	case VFIO_PCI_ROM_REGION_INDEX:
		break;	/* there is none */
	default:
		return -EINVAL;
	}
	info.offset = VFIO_INDEX_TO_OFFSET(info.index);
	if (caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = (u32)(sizeof(info) + caps.size);
			info.cap_offset = 0;
		} else {
			vfio_caps_shift(&caps, sizeof(info));
			if (sv_copy_to_user((u8 *)user + sizeof(info), caps.buf, caps.size))
				return -EFAULT;
			info.cap_offset = sizeof(info);
		}
	}
	return sv_copy_to_user(user, &info, minsz) ? -EFAULT : 0;
}

int vfio_bar_access(struct vfio_device *vdev, unsigned bar, u64 off, void *buf, size_t len,
		    bool write)
{
	int err;

	sv_read_lock(&vdev->memory_lock);
	if (!vdev->memory_on)
		err = -EIO;
	else if (write)
		err = pci_bar_write(vdev->pdev, bar, off, buf, len);
	else
		err = pci_bar_read(vdev->pdev, bar, off, buf, len);
	sv_read_unlock(&vdev->memory_lock);
	return err;
}

/* The part of [off, off + len) up to the next border of the MSI-X table; *table: it is in it. */
static size_t until_msix(const struct vfio_device *vdev, unsigned bar, u64 off, size_t len,
			 bool *table)
{
	const struct pci_dev_config *cfg = &vdev->pdev->cfg;
	u64 start = cfg->msix_table_off, end = start + cfg->nr_msix * PCI_MSIX_ENTRY_SIZE;

	*table = false;
	if (!cfg->nr_msix || bar != cfg->msix_bar || off >= end)
		return len;
	if (off < start)
		return min(len, (size_t)(start - off));
	*table = true;
	return min(len, (size_t)(end - off));
}

static ssize_t bar_rw(struct vfio_device *vdev, unsigned bar, u64 off, void *user, size_t len,
		      bool write)
{
	u64 size = vdev->pdev->bars[bar].kind == PCI_BAR_NONE ? 0 : vdev->pdev->bars[bar].size;
	u8 buf[CHUNK] __attribute__((aligned(8)));
	size_t done = 0;
	bool table;
	int err;

	if (off >= size)
		return -EINVAL;
	len = min(len, (size_t)INT_MAX);
	len = min(len, (size_t)(size - off));
	while (done < len) {
		/* To the next chunk's border: natural alignment is kept. */
		size_t n = min(len - done, CHUNK - (size_t)((off + done) % CHUNK));

		n = until_msix(vdev, bar, off + done, n, &table);
		if (write && sv_copy_from_user(buf, (u8 *)user + done, n))
			return -EFAULT;
		if (table) {
			memset(buf, 0xff, n);
		} else {
			err = vfio_bar_access(vdev, bar, off + done, buf, n, write);
			if (err)
				return err;
		}
		if (!write && sv_copy_to_user((u8 *)user + done, buf, n))
			return -EFAULT;
		done += n;
	}
	return (ssize_t)done;
}

static ssize_t region_rw(struct sv_file *f, void *user, size_t len, u64 *pos, bool write)
{
	struct vfio_df *df = sv_file_priv(f);
	u64 index = VFIO_OFFSET_TO_INDEX(*pos), off = *pos & VFIO_OFFSET_MASK;
	ssize_t ret;

	if ((df->o_flags & O_ACCMODE) == (write ? O_RDONLY : O_WRONLY))
		return -EBADF;
	if (!vfio_df_granted(df))
		return -EINVAL;
	if (!len)
		return 0;
	if (index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	vfio_pm_wake(df->vdev);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		ret = vfio_config_rw(df->vdev, user, len, off, write);
	else if (index <= VFIO_PCI_BAR5_REGION_INDEX)
		ret = bar_rw(df->vdev, (unsigned)index, off, user, len, write);
	else
		ret = -EINVAL;	/* no ROM, no VGA */
	if (ret > 0)
		*pos += (u64)ret;
	return ret;
}

ssize_t vfio_region_read(struct sv_file *f, void *user, size_t len, u64 *pos, bool stream)
{
	return region_rw(f, user, len, pos, false);
}

ssize_t vfio_region_write(struct sv_file *f, const void *user, size_t len, u64 *pos, bool stream)
{
	return region_rw(f, (void *)(uintptr_t)user, len, pos, true);
}
