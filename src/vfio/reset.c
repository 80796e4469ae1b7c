/* SPDX-License-Identifier: MIT */
/*
 * Resets: of the function, and of all functions of its bus ("hot").
 *
 * A hot reset takes everybody's memory, so the caller shows that all of the bus's functions are
 * his: by their groups' descriptors, or, opened by cdev, by the iommufd that all of them are
 * bound to (or whose group is). Under the bus's lock, so that nobody opens one meanwhile. The
 * functions' memory goes off one after the other; then each is reset; then memory is back.
 */
#include "vfio/vfio.h"

#define BUS_MAX 256

struct bus {
	struct vfio_device *devs[BUS_MAX];
	unsigned nr;
};

long vfio_device_reset(struct vfio_device *vdev)
{
	vfio_memory_write_lock(vdev);
	pci_reset(vdev->pdev, PCI_RESET_FLR);
	vfio_memory_write_unlock(vdev);
	return 0;
}

static void bus_put(struct bus *b)
{
	while (b->nr)
		vfio_device_put(b->devs[--b->nr]);
}

/* All functions of the bus, by address, with a reference each. */
static int bus_get(const struct vfio_device *vdev, struct bus *b)
{
	struct pci_dev *p = NULL;

	b->nr = 0;
	while ((p = pci_dev_next(p))) {
		struct vfio_device *d;

		if (p->domain != vdev->pdev->domain || p->bus != vdev->pdev->bus ||
		    b->nr == BUS_MAX)
			continue;
		d = vfio_device_get_by_pci(p);
		if (IS_ERR(d)) {
			pci_dev_put(p);
			bus_put(b);
			return (int)PTR_ERR(d);
		}
		b->devs[b->nr++] = d;
	}
	/* A function that is being removed isn't listed any more. */
	return b->nr ? 0 : -ENODEV;
}

static void fill_entry(struct vfio_device *asks, struct vfio_device *d, bool by_id,
		       struct vfio_pci_dependent_device *e, u32 *flags)
{
	int id;

	e->segment = d->pdev->domain;
	e->bus = d->pdev->bus;
	e->devfn = d->pdev->devfn;
	if (!by_id) {
		e->group_id = d->pdev->group_id;
		return;
	}
	id = vfio_device_iommufd_id(d, asks->ictx);
	if (id > 0) {
		e->group_id = (u32)id;
	} else if (id == -ENOENT) {
		e->group_id = VFIO_PCI_DEVID_OWNED;
	} else {
		e->group_id = (u32)VFIO_PCI_DEVID_NOT_OWNED;
		*flags &= ~(u32)VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	}
}

long vfio_get_hot_reset_info(struct vfio_device *vdev, void *user)
{
	size_t minsz = offsetofend(struct vfio_pci_hot_reset_info, count);
	struct vfio_pci_dependent_device *out = NULL;
	struct vfio_pci_hot_reset_info hdr;
	struct bus *b;
	long ret;

	if (sv_copy_from_user(&hdr, user, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz)
		return -EINVAL;
	b = sv_alloc(sizeof(*b));
	out = sv_calloc(BUS_MAX, sizeof(*out));
	ret = b && out ? bus_get(vdev, b) : -ENOMEM;
	if (ret)
		goto free;
	hdr.flags = 0;
	hdr.count = b->nr;
	if (b->nr > (hdr.argsz - minsz) / sizeof(*out)) {
		ret = -ENOSPC;
	} else {
		sv_mutex_lock(&vdev->set->lock);
		if (vdev->cdev_opened)
			hdr.flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID |
				    VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
		for (unsigned i = 0; i < b->nr; i++)
			fill_entry(vdev, b->devs[i], vdev->cdev_opened, &out[i], &hdr.flags);
		sv_mutex_unlock(&vdev->set->lock);
		if (sv_copy_to_user((u8 *)user + minsz, out, b->nr * sizeof(*out)))
			ret = -EFAULT;
	}
	if (ret != -EFAULT && sv_copy_to_user(user, &hdr, minsz))
		ret = -EFAULT;
	bus_put(b);
free:
	sv_free(out);
	sv_free(b);
	return ret;
}

static bool in_groups(const struct vfio_device *d, struct vfio_group **groups, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (d->group == groups[i])
			return true;
	return false;
}

/* groups: what the caller showed; NULL: the iommufd of vdev decides. */
static long bus_reset(struct vfio_device *vdev, struct bus *b, struct vfio_group **groups,
		      unsigned n)
{
	long ret = 0;

	sv_mutex_lock(&vdev->set->lock);
	for (unsigned i = 0; i < b->nr && !ret; i++) {
		int id = groups ? 0 : vfio_device_iommufd_id(b->devs[i], vdev->ictx);

		if (groups ? !in_groups(b->devs[i], groups, n) : id <= 0 && id != -ENOENT)
			ret = -EINVAL;
	}
	if (!ret) {
		for (unsigned i = 0; i < b->nr; i++)
			vfio_memory_write_lock(b->devs[i]);
		/* All are off before the first reset begins: no peer reaches into one. */
		for (unsigned i = 0; i < b->nr; i++) {
			b->devs[i]->memory_on = false;
			vfio_memory_update(b->devs[i]);
		}
		for (unsigned i = 0; i < b->nr; i++)
			pci_reset(b->devs[i]->pdev, PCI_RESET_HOT);
		for (unsigned i = 0; i < b->nr; i++) {
			/* Functions that are closed stay as they are: nobody owns their memory. */
			b->devs[i]->memory_on = b->devs[i]->open_count &&
						pci_memory_on(b->devs[i]->pdev);
			vfio_memory_update(b->devs[i]);
			vfio_memory_write_unlock(b->devs[i]);
		}
	}
	sv_mutex_unlock(&vdev->set->lock);
	return ret;
}

/* The groups' references, from the caller's descriptors. */
static long groups_get(const void *user, struct vfio_group **groups, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		s32 fd;

		if (sv_copy_from_user(&fd, (const u8 *)user + 4 * i, sizeof(fd)))
			groups[i] = ERR_PTR(-EFAULT);
		else
			groups[i] = vfio_group_from_fd(fd);
		if (IS_ERR(groups[i])) {
			long err = PTR_ERR(groups[i]);

			while (i)
				vfio_group_put(groups[--i]);
			return err;
		}
	}
	return 0;
}

long vfio_hot_reset(struct vfio_device *vdev, void *user)
{
	size_t minsz = offsetofend(struct vfio_pci_hot_reset, count);
	struct vfio_group **groups = NULL;
	struct vfio_pci_hot_reset hdr;
	struct bus *b;
	long ret;

	if (sv_copy_from_user(&hdr, user, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz || hdr.flags)
		return -EINVAL;
	/* Without groups it is a cdev's, and only a cdev's. */
	if (!!hdr.count == READ_ONCE(vdev->cdev_opened))
		return -EINVAL;
	b = sv_alloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	ret = bus_get(vdev, b);
	if (ret)
		goto free;
	/* One group per function is the most there can be. */
	if (hdr.count > b->nr) {
		ret = -EINVAL;
		goto put;
	}
	if (hdr.count) {
		groups = sv_calloc(hdr.count, sizeof(*groups));
		ret = groups ? groups_get((u8 *)user + minsz, groups, hdr.count) : -ENOMEM;
		if (ret)
			goto put;
	}
	ret = bus_reset(vdev, b, groups, hdr.count);
	for (unsigned i = 0; i < hdr.count; i++)
		vfio_group_put(groups[i]);
put:
	sv_free(groups);
	bus_put(b);
free:
	sv_free(b);
	return ret;
}
