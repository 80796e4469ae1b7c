/* SPDX-License-Identifier: MIT */
/*
 * A device's interrupts as eventfds: INTx with its mask, MSI, MSI-X, errors, requests to let go.
 *
 * Model: at most one of INTx, MSI and MSI-X is set up (irq_type). The function's callbacks come
 * under pci_dev.lock and take irq_lock inside of it; they write to the vector's eventfd in the
 * device's own thread, so that nothing lies between the device and the waiter. SET_IRQS runs under
 * igate, changes vectors under irq_lock, and calls into src/pci without irq_lock.
 *
 * INTx is a level that the user handles as an event: it is masked when it is signalled, and
 * unmasking signals it again while the level is high. The command register's INTX_DISABLE, as the
 * user wrote it, keeps it masked (virq_disabled).
 */
#include "vfio/vfio.h"

#define IRQ_DATA (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD)
#define IRQ_ACTION (VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | \
		    VFIO_IRQ_SET_ACTION_TRIGGER)
#define NO_IRQ VFIO_PCI_NUM_IRQS

void vfio_irq_init(struct vfio_device *vdev)
{
	for (size_t i = 0; i < ARRAY_SIZE(vdev->vectors); i++)
		vdev->vectors[i].fd = -1;
	vdev->err.fd = -1;
	vdev->req.fd = -1;
}

static unsigned irq_count(struct vfio_device *vdev, u32 index)
{
	const struct pci_dev_config *cfg = &vdev->pdev->cfg;

	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return vfio_config_has_intx(vdev) ? 1 : 0;
	case VFIO_PCI_MSI_IRQ_INDEX:
		return cfg->nr_msi;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return cfg->nr_msix;
	case VFIO_PCI_ERR_IRQ_INDEX:
	case VFIO_PCI_REQ_IRQ_INDEX:
		return 1;
	default:
		return 0;
	}
}

long vfio_get_irq_info(struct vfio_device *vdev, void *user)
{
	struct vfio_irq_info info;

	if (sv_copy_from_user(&info, user, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	info.count = irq_count(vdev, info.index);
	if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
		info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (info.index != VFIO_PCI_MSIX_IRQ_INDEX)
		info.flags |= VFIO_IRQ_INFO_NORESIZE;	/* MSI-X vectors come and go as they please */
	return sv_copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

/* irq_lock held. */
static void intx_signal(struct vfio_device *vdev)
{
	if (vdev->irq_type == VFIO_PCI_INTX_IRQ_INDEX && !vdev->virq_disabled)
		vfio_eventfd_signal(vdev->vectors[0].fd);
}

/*
 * The line is high and nothing masks it: signal, and mask until the user has handled it. irq_lock
 * held.
 */
static void intx_check(struct vfio_device *vdev)
{
	if (vdev->irq_type != VFIO_PCI_INTX_IRQ_INDEX || !vdev->intx_level || vdev->intx_masked)
		return;
	vdev->intx_masked = true;
	intx_signal(vdev);
}

void vfio_owner_msix(void *owner, unsigned vector)
{
	struct vfio_device *vdev = owner;

	sv_mutex_lock(&vdev->irq_lock);
	if ((vdev->irq_type == VFIO_PCI_MSIX_IRQ_INDEX ||
	     vdev->irq_type == VFIO_PCI_MSI_IRQ_INDEX) && vector < ARRAY_SIZE(vdev->vectors))
		vfio_eventfd_signal(vdev->vectors[vector].fd);
	sv_mutex_unlock(&vdev->irq_lock);
}

void vfio_owner_intx(void *owner, bool level)
{
	struct vfio_device *vdev = owner;

	sv_mutex_lock(&vdev->irq_lock);
	vdev->intx_level = level;
	intx_check(vdev);
	sv_mutex_unlock(&vdev->irq_lock);
}

void vfio_owner_err(void *owner)
{
	struct vfio_device *vdev = owner;

	sv_mutex_lock(&vdev->irq_lock);
	vfio_eventfd_signal(vdev->err.fd);
	sv_mutex_unlock(&vdev->irq_lock);
}

void vfio_owner_request(void *owner, unsigned count)
{
	struct vfio_device *vdev = owner;

	sv_mutex_lock(&vdev->irq_lock);
	if (vdev->req.fd >= 0)
		vfio_eventfd_signal(vdev->req.fd);
	else if (!count)
		sv_warn("%s: removal waits until its user lets go of it, who has no request eventfd",
			vdev->pdev->name);
	sv_mutex_unlock(&vdev->irq_lock);
}

/* irq_lock held. */
static bool intx_mask_locked(struct vfio_device *vdev)
{
	bool changed = vdev->irq_type == VFIO_PCI_INTX_IRQ_INDEX && !vdev->intx_masked;

	if (changed)
		vdev->intx_masked = true;
	return changed;
}

/* irq_lock held. */
static void intx_unmask_locked(struct vfio_device *vdev)
{
	if (vdev->irq_type != VFIO_PCI_INTX_IRQ_INDEX || !vdev->intx_masked || vdev->virq_disabled)
		return;
	vdev->intx_masked = false;
	intx_check(vdev);
}

bool vfio_intx_mask(struct vfio_device *vdev)
{
	bool changed;

	sv_mutex_lock(&vdev->irq_lock);
	changed = intx_mask_locked(vdev);
	sv_mutex_unlock(&vdev->irq_lock);
	return changed;
}

void vfio_intx_unmask(struct vfio_device *vdev)
{
	sv_mutex_lock(&vdev->irq_lock);
	intx_unmask_locked(vdev);
	sv_mutex_unlock(&vdev->irq_lock);
}

void vfio_intx_virq_disable(struct vfio_device *vdev, bool off)
{
	sv_mutex_lock(&vdev->irq_lock);
	if (off && !vdev->virq_disabled) {
		vdev->virq_disabled = true;
		intx_mask_locked(vdev);
	} else if (!off && vdev->virq_disabled) {
		vdev->virq_disabled = false;
		intx_unmask_locked(vdev);
	}
	sv_mutex_unlock(&vdev->irq_lock);
}

/* Puts fd (ours, may be -1) there and closes what was there. No signal to the old one after it. */
static void vector_replace(struct vfio_device *vdev, struct vfio_vector *v, int fd)
{
	int old;

	sv_mutex_lock(&vdev->irq_lock);
	old = v->fd;
	v->fd = fd;
	sv_mutex_unlock(&vdev->irq_lock);
	vfio_eventfd_put(old);
}

static void irq_type_set(struct vfio_device *vdev, unsigned type)
{
	sv_mutex_lock(&vdev->irq_lock);
	WRITE_ONCE(vdev->irq_type, type);
	sv_mutex_unlock(&vdev->irq_lock);
}

/* What a SET_IRQS says, checked. */
struct request {
	u32 flags, index, start, count;
	u8 bools[64];
	s32 fds[64];
};

static void intx_disable(struct vfio_device *vdev)
{
	vfio_unmask_eventfd_clear(vdev);
	irq_type_set(vdev, NO_IRQ);
	vector_replace(vdev, &vdev->vectors[0], -1);
}

static int intx_enable(struct vfio_device *vdev, int fd)
{
	if (vdev->irq_type != NO_IRQ)
		return -EINVAL;
	sv_mutex_lock(&vdev->irq_lock);
	vdev->vectors[0].fd = fd;
	WRITE_ONCE(vdev->irq_type, VFIO_PCI_INTX_IRQ_INDEX);
	vdev->intx_masked = vdev->virq_disabled;
	intx_check(vdev);	/* it may be high already */
	sv_mutex_unlock(&vdev->irq_lock);
	return 0;
}

static int set_intx_mask(struct vfio_device *vdev, const struct request *r)
{
	if (vdev->irq_type != VFIO_PCI_INTX_IRQ_INDEX || r->start || r->count != 1)
		return -EINVAL;
	if (r->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return -ENOTTY;
	if ((r->flags & VFIO_IRQ_SET_DATA_NONE) || r->bools[0])
		(void)vfio_intx_mask(vdev);
	return 0;
}

static int set_intx_unmask(struct vfio_device *vdev, const struct request *r)
{
	if (vdev->irq_type != VFIO_PCI_INTX_IRQ_INDEX || r->start || r->count != 1)
		return -EINVAL;
	if (r->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (r->fds[0] >= 0)
			return vfio_unmask_eventfd_set(vdev, r->fds[0]);
		vfio_unmask_eventfd_clear(vdev);
		return 0;
	}
	if ((r->flags & VFIO_IRQ_SET_DATA_NONE) || r->bools[0])
		vfio_intx_unmask(vdev);
	return 0;
}

static int set_intx_trigger(struct vfio_device *vdev, const struct request *r)
{
	bool on = vdev->irq_type == VFIO_PCI_INTX_IRQ_INDEX;
	int fd = -1, err = 0;

	if (on && !r->count && (r->flags & VFIO_IRQ_SET_DATA_NONE)) {
		intx_disable(vdev);
		return 0;
	}
	if (!(on || vdev->irq_type == NO_IRQ) || r->start || r->count != 1)
		return -EINVAL;
	if (r->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (r->fds[0] >= 0) {
			fd = vfio_eventfd_get(r->fds[0]);
			if (fd < 0)
				return fd;
		}
		if (on)
			vector_replace(vdev, &vdev->vectors[0], fd);
		else
			err = intx_enable(vdev, fd);
		if (err)
			vfio_eventfd_put(fd);
		return err;
	}
	if (!on)
		return -EINVAL;
	if ((r->flags & VFIO_IRQ_SET_DATA_NONE) || r->bools[0]) {
		sv_mutex_lock(&vdev->irq_lock);
		intx_signal(vdev);
		sv_mutex_unlock(&vdev->irq_lock);
	}
	return 0;
}

/*
 * One vector's eventfd; a negative fd takes it away. A vector without one is masked in the
 * function.
 */
static int msi_set_vector(struct vfio_device *vdev, unsigned vector, int fd, bool msix)
{
	struct vfio_vector *v = &vdev->vectors[vector];
	int own = -1;

	if (v->fd >= 0) {
		if (msix)
			pci_msix_set_mask(vdev->pdev, vector, true);
		vector_replace(vdev, v, -1);
	}
	if (fd < 0)
		return 0;
	own = vfio_eventfd_get(fd);
	if (own < 0)
		return own;
	vector_replace(vdev, v, own);
	if (msix)
		pci_msix_set_mask(vdev->pdev, vector, false);
	return 0;
}

static int msi_set_block(struct vfio_device *vdev, const struct request *r, bool msix)
{
	int err = 0;
	u32 i;

	for (i = 0; i < r->count && !err; i++)
		err = msi_set_vector(vdev, r->start + i, r->fds[i], msix);
	/* All that it touched goes, as the kernel does. */
	for (u32 j = 0; err && j < i; j++)
		(void)msi_set_vector(vdev, r->start + j, -1, msix);
	return err;
}

static void msi_disable(struct vfio_device *vdev, bool msix)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vdev->vectors); i++)
		(void)msi_set_vector(vdev, i, -1, msix && i < vdev->pdev->cfg.nr_msix);
	if (msix)
		pci_msix_enable(vdev->pdev, false);
	else
		pci_msi_enable(vdev->pdev, 0);
	irq_type_set(vdev, NO_IRQ);
}

static int msi_enable(struct vfio_device *vdev, unsigned nr, bool msix)
{
	unsigned log = 0;

	if (vdev->irq_type != NO_IRQ)
		return -EINVAL;
	irq_type_set(vdev, msix ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX);
	if (msix) {
		for (unsigned i = 0; i < vdev->pdev->cfg.nr_msix; i++)
			pci_msix_set_mask(vdev->pdev, i, true);
		pci_msix_enable(vdev->pdev, true);
	} else {
		while (1u << log < nr)
			log++;
		WRITE_ONCE(vdev->msi_qmax, log);
		pci_msi_enable(vdev->pdev, nr);
	}
	return 0;
}

static int set_msi_trigger(struct vfio_device *vdev, const struct request *r)
{
	bool msix = r->index == VFIO_PCI_MSIX_IRQ_INDEX, on = vdev->irq_type == r->index;
	int err;

	if (on && !r->count && (r->flags & VFIO_IRQ_SET_DATA_NONE)) {
		msi_disable(vdev, msix);
		return 0;
	}
	if (!(on || vdev->irq_type == NO_IRQ))
		return -EINVAL;
	if (r->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (on)
			return msi_set_block(vdev, r, msix);
		/* Nothing to allocate is a bad request to the host's allocator, too. */
		if (!(r->start + r->count))
			return -ERANGE;
		err = msi_enable(vdev, r->start + r->count, msix);
		if (err)
			return err;
		err = msi_set_block(vdev, r, msix);
		if (err)
			msi_disable(vdev, msix);
		return err;
	}
	if (!on)
		return -EINVAL;
	sv_mutex_lock(&vdev->irq_lock);
	for (u32 i = 0; i < r->count; i++)
		if ((r->flags & VFIO_IRQ_SET_DATA_NONE) || r->bools[i])
			vfio_eventfd_signal(vdev->vectors[r->start + i].fd);
	sv_mutex_unlock(&vdev->irq_lock);
	return 0;
}

/*
 * The error and the request vector: NONE and BOOL signal, for tests; NONE with count 0 takes it
 * away.
 */
static int set_single_trigger(struct vfio_device *vdev, const struct request *r,
			      struct vfio_vector *v)
{
	int fd;

	if (r->start || r->count > 1)
		return -EINVAL;
	if (r->flags & VFIO_IRQ_SET_DATA_NONE) {
		if (v->fd < 0)
			return -EINVAL;
		if (r->count)
			vfio_eventfd_signal(v->fd);
		else
			vector_replace(vdev, v, -1);
		return 0;
	}
	if (!r->count)
		return -EINVAL;
	if (r->flags & VFIO_IRQ_SET_DATA_BOOL) {
		if (r->bools[0])
			vfio_eventfd_signal(v->fd);
		return 0;
	}
	if (r->fds[0] < -1)
		return -EINVAL;
	fd = r->fds[0] < 0 ? -1 : vfio_eventfd_get(r->fds[0]);
	if (r->fds[0] >= 0 && fd < 0)
		return fd;
	vector_replace(vdev, v, fd);
	return 0;
}

/* igate held. */
static int set_irqs(struct vfio_device *vdev, const struct request *r)
{
	u32 action = r->flags & IRQ_ACTION;

	switch (r->index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		if (action == VFIO_IRQ_SET_ACTION_MASK)
			return set_intx_mask(vdev, r);
		if (action == VFIO_IRQ_SET_ACTION_UNMASK)
			return set_intx_unmask(vdev, r);
		return action == VFIO_IRQ_SET_ACTION_TRIGGER ? set_intx_trigger(vdev, r) : -ENOTTY;
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return action == VFIO_IRQ_SET_ACTION_TRIGGER ? set_msi_trigger(vdev, r) : -ENOTTY;
	case VFIO_PCI_ERR_IRQ_INDEX:
		return action == VFIO_IRQ_SET_ACTION_TRIGGER ?
		       set_single_trigger(vdev, r, &vdev->err) : -ENOTTY;
	case VFIO_PCI_REQ_IRQ_INDEX:
		return action == VFIO_IRQ_SET_ACTION_TRIGGER ?
		       set_single_trigger(vdev, r, &vdev->req) : -ENOTTY;
	default:
		return -ENOTTY;
	}
}

/*
 * One rule for each check; nothing is changed. max: how many vectors the index has. Returns
 * the size of an element of the data (0, 1, 4), or -EINVAL.
 */
static int irq_set_check(const struct vfio_irq_set *s, unsigned max)
{
	size_t minsz = offsetofend(struct vfio_irq_set, count), size;

	if (s->argsz < minsz || s->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	/* start + count must not wrap. */
	if (s->count >= UINT32_MAX - s->start)
		return -EINVAL;
	if (s->flags & ~(u32)(IRQ_DATA | IRQ_ACTION))
		return -EINVAL;
	if (s->start >= max || s->start + s->count > max)
		return -EINVAL;
	/* Exactly one form of data. */
	switch (s->flags & IRQ_DATA) {
	case VFIO_IRQ_SET_DATA_NONE:
		size = 0;
		break;
	case VFIO_IRQ_SET_DATA_BOOL:
		size = sizeof(u8);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		size = sizeof(s32);
		break;
	default:
		return -EINVAL;
	}
	if (s->argsz - minsz < s->count * size)
		return -EINVAL;
	return (int)size;
}

long vfio_set_irqs(struct vfio_device *vdev, void *user)
{
	size_t minsz = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_set set;
	struct request r;
	int size, err;
	void *data;

	if (sv_copy_from_user(&set, user, minsz))
		return -EFAULT;
	size = irq_set_check(&set, irq_count(vdev, set.index));
	if (size < 0)
		return size;
	r.flags = set.flags;
	r.index = set.index;
	r.start = set.start;
	r.count = set.count;
	data = size == 1 ? (void *)r.bools : (void *)r.fds;
	if (size && sv_copy_from_user(data, (u8 *)user + minsz, set.count * (size_t)size))
		return -EFAULT;
	sv_mutex_lock(&vdev->igate);
	err = set_irqs(vdev, &r);
	sv_mutex_unlock(&vdev->igate);
	return err;
}

void vfio_irq_close(struct vfio_device *vdev)
{
	vfio_virqfds_stop(vdev);
	sv_mutex_lock(&vdev->igate);
	if (vdev->irq_type == VFIO_PCI_INTX_IRQ_INDEX)
		intx_disable(vdev);
	else if (vdev->irq_type != NO_IRQ)
		msi_disable(vdev, vdev->irq_type == VFIO_PCI_MSIX_IRQ_INDEX);
	vector_replace(vdev, &vdev->err, -1);
	vector_replace(vdev, &vdev->req, -1);
	sv_mutex_lock(&vdev->irq_lock);
	vdev->virq_disabled = false;
	vdev->intx_masked = false;
	vdev->intx_level = false;
	sv_mutex_unlock(&vdev->irq_lock);
	sv_mutex_unlock(&vdev->igate);
}
