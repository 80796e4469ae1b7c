/* SPDX-License-Identifier: MIT */
/*
 * The KVM device KVM_DEV_TYPE_VFIO: a VMM tells by it which VFIO groups and devices a VM has. VMMs
 * insist on it (QEMU, for devices that they have by iommufd).
 *
 * Model: a list of VFIO's files, each kept by a reference until it is taken off the list or the
 * device's descriptor is closed. In the kernel it decides about cache coherency and about who may
 * unmap what; here neither depends on it, so there is nothing to tell them.
 *
 * A VM has one at a time. Lock: kvm_vfio.lock, a leaf.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/guard.h"
#include "base/libc.h"
#include "kvm/kvm.h"
#include "vfio/vfio.h"

#ifndef KVM_DEV_VFIO_FILE
#define KVM_DEV_VFIO_FILE KVM_DEV_VFIO_GROUP
#define KVM_DEV_VFIO_FILE_ADD KVM_DEV_VFIO_GROUP_ADD
#define KVM_DEV_VFIO_FILE_DEL KVM_DEV_VFIO_GROUP_DEL
#endif

struct kvm_vfio {
	struct sv_mutex lock;
	struct list_head files;
};

struct kvm_vfio_file {
	struct list_head node;
	struct sv_file *file;
};

static struct kvm_vfio_file *find(struct kvm_vfio *kv, const struct sv_file *file)
{
	struct kvm_vfio_file *kvf;

	list_for_each_entry(kvf, &kv->files, node)
		if (kvf->file == file)
			return kvf;
	return NULL;
}

/* 0 or -errno. file's reference is taken over by the list, or still the caller's. */
static int add(struct kvm_vfio *kv, struct sv_file *file)
{
	struct kvm_vfio_file *kvf;
	int err = 0;

	if (!vfio_file_is_valid(file))
		return -EINVAL;
	kvf = sv_zalloc(sizeof(*kvf));
	if (!kvf)
		return -ENOMEM;
	kvf->file = file;
	sv_mutex_lock(&kv->lock);
	if (find(kv, file))
		err = -EEXIST;
	else
		list_add_tail(&kvf->node, &kv->files);
	sv_mutex_unlock(&kv->lock);
	if (err)
		sv_free(kvf);
	return err;
}

static void file_free(struct kvm_vfio_file *kvf)
{
	sv_file_put(kvf->file);
	sv_free(kvf);
}

static int del(struct kvm_vfio *kv, const struct sv_file *file)
{
	struct kvm_vfio_file *kvf;

	sv_mutex_lock(&kv->lock);
	kvf = find(kv, file);
	if (kvf)
		list_del(&kvf->node);
	sv_mutex_unlock(&kv->lock);
	if (!kvf)
		return -ENOENT;
	file_free(kvf);
	return 0;
}

static int kvm_vfio_set_attr(struct kvm_device *dev, const struct kvm_device_attr *attr)
{
	struct sv_file *file;
	s32 fd;
	int err;

	if (attr->group != KVM_DEV_VFIO_FILE ||
	    (attr->attr != KVM_DEV_VFIO_FILE_ADD && attr->attr != KVM_DEV_VFIO_FILE_DEL))
		return -ENXIO;
	if (sv_copy_from_user(&fd, (void *)(uintptr_t)attr->addr, sizeof(fd)))
		return -EFAULT;
	file = sv_fget(fd, NULL);
	if (!file)
		file = sv_fd_adopt(fd);
	if (!file) {
		if (sv_libc.fcntl(fd, F_GETFD) < 0)
			return -EBADF;
		/* Open, and nobody's that could be on the list. */
		return attr->attr == KVM_DEV_VFIO_FILE_ADD ? -EINVAL : -ENOENT;
	}
	if (attr->attr == KVM_DEV_VFIO_FILE_ADD) {
		err = add(dev->priv, file);
		if (!err)
			return 0;
	} else {
		err = del(dev->priv, file);
	}
	sv_file_put(file);
	return err;
}

static int kvm_vfio_has_attr(struct kvm_device *dev, const struct kvm_device_attr *attr)
{
	return attr->group == KVM_DEV_VFIO_FILE &&
	       (attr->attr == KVM_DEV_VFIO_FILE_ADD || attr->attr == KVM_DEV_VFIO_FILE_DEL) ? 0 : -ENXIO;
}

static int kvm_vfio_create(struct kvm_device *dev, u32 type)
{
	struct kvm_vfio *kv;

	if (dev->kvm->has_vfio)
		return -EBUSY;
	kv = sv_zalloc(sizeof(*kv));
	if (!kv)
		return -ENOMEM;
	sv_mutex_init(&kv->lock);
	INIT_LIST_HEAD(&kv->files);
	dev->priv = kv;
	dev->kvm->has_vfio = true;
	return 0;
}

static void kvm_vfio_release(struct kvm_device *dev)
{
	struct kvm_vfio *kv = dev->priv;
	struct kvm_vfio_file *kvf, *next;

	sv_mutex_lock(&dev->kvm->lock);
	dev->kvm->has_vfio = false;
	sv_mutex_unlock(&dev->kvm->lock);
	list_for_each_entry_safe(kvf, next, &kv->files, node)
		file_free(kvf);
	sv_mutex_destroy(&kv->lock);
	sv_free(kv);
}

const struct kvm_device_ops kvm_vfio_ops = {
	.name = "kvm-vfio",
	.create = kvm_vfio_create,
	.set_attr = kvm_vfio_set_attr,
	.has_attr = kvm_vfio_has_attr,
	.release = kvm_vfio_release,
};
