/* SPDX-License-Identifier: MIT */
/*
 * Whether a device's memory can be reached, and the low power state that the user may ask for.
 *
 * Three things decide: the function decodes memory (its command register, D0, no reset under
 * way), the user has not put it into low power, the device is open. When the answer changes to
 * no, mappings fault, and every dma-buf is revoked and its importers waited for, before
 * whatever changed it goes on. All under memory_lock for writing; an access under it for
 * reading sees one state from beginning to end, and an access that comes during a reset waits
 * for its end.
 *
 * The function's own callbacks come from config writes and resets that this device's user set
 * off, in the thread that holds memory_lock already.
 */
#include "vfio/vfio.h"

#ifdef SV_MODEL	/* its threads share one of the host's */
#define self (*(char *)sv_model_irq_state())
#else
static __thread char self __attribute__((tls_model("initial-exec")));
#endif

void vfio_memory_write_lock(struct vfio_device *vdev)
{
	sv_write_lock(&vdev->memory_lock);
	__atomic_store_n(&vdev->memory_writer, &self, __ATOMIC_RELAXED);
}

void vfio_memory_write_unlock(struct vfio_device *vdev)
{
	__atomic_store_n(&vdev->memory_writer, NULL, __ATOMIC_RELAXED);
	sv_write_unlock(&vdev->memory_lock);
}

/* Only the thread itself stores its own name there. */
static bool held(const struct vfio_device *vdev)
{
	return __atomic_load_n(&vdev->memory_writer, __ATOMIC_RELAXED) == &self;
}

void vfio_memory_update(struct vfio_device *vdev)
{
	bool reach = vdev->memory_on && !READ_ONCE(vdev->pm_engaged);

	if (reach == vdev->accessible)
		return;
	vdev->accessible = reach;
	if (reach) {
		vfio_maps_restore(vdev);
		vfio_dmabufs_restore(vdev);
	} else {
		vfio_maps_zap(vdev);
		vfio_dmabufs_revoke(vdev);
	}
}

void vfio_memory_close(struct vfio_device *vdev)
{
	int wake = vdev->pm_wake_fd;

	WRITE_ONCE(vdev->pm_engaged, false);
	vdev->pm_wake_fd = -1;
	if (wake >= 0)
		vfio_eventfd_put(wake);
	vdev->memory_on = false;
	vfio_memory_update(vdev);
	vfio_dmabufs_close(vdev);
}

static void owner_memory(struct vfio_device *vdev, bool on)
{
	bool mine = held(vdev);

	if (!mine)
		vfio_memory_write_lock(vdev);
	vdev->memory_on = on;
	vfio_memory_update(vdev);
	if (!mine)
		vfio_memory_write_unlock(vdev);
}

void vfio_owner_memory_off(void *owner)
{
	owner_memory(owner, false);
}

void vfio_owner_memory_on(void *owner)
{
	owner_memory(owner, true);
}

/* memory_lock held. */
static void pm_leave(struct vfio_device *vdev, bool signal)
{
	int wake = vdev->pm_wake_fd;

	if (!vdev->pm_engaged)
		return;
	WRITE_ONCE(vdev->pm_engaged, false);
	WRITE_ONCE(vdev->pm_wake_fd, -1);
	if (wake >= 0) {
		if (signal)
			vfio_eventfd_signal(wake);
		vfio_eventfd_put(wake);
	}
	vfio_memory_update(vdev);
}

int vfio_pm_enter(struct vfio_device *vdev, int wake_fd)
{
	int err = 0;

	vfio_memory_write_lock(vdev);
	if (vdev->pm_engaged) {
		err = -EINVAL;
	} else {
		WRITE_ONCE(vdev->pm_engaged, true);
		WRITE_ONCE(vdev->pm_wake_fd, wake_fd);
		vfio_memory_update(vdev);
	}
	vfio_memory_write_unlock(vdev);
	return err;
}

void vfio_pm_exit(struct vfio_device *vdev)
{
	vfio_memory_write_lock(vdev);
	pm_leave(vdev, false);
	vfio_memory_write_unlock(vdev);
}

void vfio_pm_wake(struct vfio_device *vdev)
{
	if (likely(!READ_ONCE(vdev->pm_engaged)) || READ_ONCE(vdev->pm_wake_fd) < 0)
		return;
	vfio_memory_write_lock(vdev);
	if (vdev->pm_wake_fd >= 0)
		pm_leave(vdev, true);
	vfio_memory_write_unlock(vdev);
}
