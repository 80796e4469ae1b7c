/* SPDX-License-Identifier: MIT */
/*
 * KVM_CREATE_DEVICE: in-kernel devices and their attributes.
 *
 * A device is the VM's: created under kvm->lock, its state lives in the VM and goes with
 * it. The device's file holds a reference to the VM, and what its ops say.
 */
#include <errno.h>
#include <fcntl.h>

#include "kvm/kvm.h"

static long device_attr(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct kvm_device *dev = sv_file_priv(f);
	int (*fn)(struct kvm_device *dev, const struct kvm_device_attr *attr);

	switch (c->cmd) {
	case KVM_SET_DEVICE_ATTR:
		fn = dev->ops->set_attr;
		break;
	case KVM_GET_DEVICE_ATTR:
		fn = dev->ops->get_attr;
		break;
	default:
		fn = dev->ops->has_attr;
		break;
	}
	return fn ? fn(dev, c->buf) : -EPERM;
}

static const struct sv_ioctl device_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_SET_DEVICE_ATTR, device_attr),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_GET_DEVICE_ATTR, device_attr),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_HAS_DEVICE_ATTR, device_attr),
};

static void device_release(struct sv_file *f)
{
	struct kvm_device *dev = sv_file_priv(f);
	struct kvm *kvm = dev->kvm;

	if (dev->created && dev->ops->release)
		dev->ops->release(dev);
	sv_free(dev);
	kvm_put_kvm(kvm);
}

static const struct sv_file_ops kvm_device_fops = {
	.name = "kvm-device",
	.ioctls = device_ioctls,
	.nr_ioctls = ARRAY_SIZE(device_ioctls),
	.release = device_release,
	.bound_to_mm = true,
};

long kvm_create_device(struct kvm *kvm, struct kvm_create_device *cd)
{
	const struct kvm_device_ops *ops = cd->type == KVM_DEV_TYPE_VFIO ? &kvm_vfio_ops :
					   kvm->ops->device_ops(cd->type);
	struct kvm_device *dev;
	struct sv_file *file;
	int err;

	if (!ops)
		return -ENODEV;
	if (cd->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	dev = sv_zalloc(sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->kvm = kvm;
	dev->ops = ops;
	/* The file first: the device's own creation is what cannot be undone. */
	err = sv_file_create(&kvm_device_fops, dev, SV_BACKING_EVENTFD, 0, O_RDWR | O_CLOEXEC,
			     &file);
	if (err) {
		sv_free(dev);
		return err;
	}
	kvm_get_kvm(kvm);
	sv_mutex_lock(&kvm->lock);
	err = ops->create(dev, cd->type);
	dev->created = !err;
	sv_mutex_unlock(&kvm->lock);
	if (err) {
		sv_file_put(file);
		return err;
	}
	cd->fd = sv_file_install(file);
	return 0;
}
