/* SPDX-License-Identifier: MIT */
/* KVM_CREATE_DEVICE */
#include "abi.h"

#include "softvirt/uapi/vfio.h"

static void types_that_are_not_there_are_enodev(void **state)
{
	struct abi a;

	abi_vm(&a);
	for (u32 type = 0; type < 40; type++)
		for (u32 flags = 0; flags < 2; flags++) {
			struct kvm_create_device d = { .type = type, .flags = flags, .fd = 77 };

			if (type == KVM_DEV_TYPE_VFIO)
				continue;
			if (softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) == 1 &&
			    type == KVM_DEV_TYPE_RISCV_AIA)
				continue;
			assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), ENODEV);
			assert_int_equal(d.fd, 77);
		}
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, abi_bad_page()), EFAULT);
	abi_down(&a);
}

static int attr(int dev, unsigned long cmd, u32 group, u64 which, const void *addr)
{
	struct kvm_device_attr at = { .group = group, .attr = which, .addr = (uintptr_t)addr };

	return softvirt_ioctl(dev, cmd, &at);
}

static int vfio_attr(int dev, u64 which, int fd)
{
	s32 number = fd;

	return attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, which, &number);
}
#define ADD KVM_DEV_VFIO_GROUP_ADD
#define DEL KVM_DEV_VFIO_GROUP_DEL

static void vfio_files_are_added_once_and_kept(void **state)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_VFIO, .flags = KVM_CREATE_DEVICE_TEST };
	int group, container, device, other, pair[2];
	struct abi a;

	abi_vm(&a);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), 0);
	d.flags = 0;
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), 0);
	assert_int_equal(softvirt_device_add("ram,bdf=0000:30:00.0,size=4K,group=3000"), 0);
	container = softvirt_open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = softvirt_open("/dev/vfio/3000", O_RDWR | O_CLOEXEC);
	assert_true(container >= 0 && group >= 0);
	/* Numbers that are nothing, nobody's, and no VFIO file. */
	assert_int_equal(pipe(pair), 0);
	for (u64 which = ADD; which <= DEL; which++) {
		int err = which == ADD ? EINVAL : ENOENT;

		assert_errno(vfio_attr(d.fd, which, -1), EBADF);
		assert_errno(vfio_attr(d.fd, which, 1 << 20), EBADF);
		assert_errno(vfio_attr(d.fd, which, pair[0]), err);
		assert_errno(vfio_attr(d.fd, which, container), err);
		assert_errno(vfio_attr(d.fd, which, a.vm), err);
		assert_errno(attr(d.fd, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, which, abi_bad_page()), EFAULT);
		assert_int_equal(attr(d.fd, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, which, NULL), 0);
		assert_errno(attr(d.fd, KVM_HAS_DEVICE_ATTR, 0, which, NULL), ENXIO);
		assert_errno(attr(d.fd, KVM_SET_DEVICE_ATTR, 2, which, &group), ENXIO);
		assert_errno(attr(d.fd, KVM_GET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, which, &group), EPERM);
	}
	assert_errno(vfio_attr(d.fd, 0, group), ENXIO);
	assert_errno(vfio_attr(d.fd, 3, group), ENXIO);
	assert_errno(vfio_attr(d.fd, DEL, group), ENOENT);
	assert_int_equal(vfio_attr(d.fd, ADD, group), 0);
	assert_errno(vfio_attr(d.fd, ADD, group), EEXIST);
	/* A copy is the same file. */
	other = softvirt_dup(group);
	assert_errno(vfio_attr(d.fd, ADD, other), EEXIST);
	assert_int_equal(vfio_attr(d.fd, DEL, other), 0);
	assert_int_equal(vfio_attr(d.fd, ADD, other), 0);
	/* It keeps the group open: nobody else gets it. */
	softvirt_close(other);
	softvirt_close(group);
	assert_errno(softvirt_open("/dev/vfio/3000", O_RDWR | O_CLOEXEC), EBUSY);
	/* A VM has one at a time. */
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), EBUSY);
	softvirt_close(d.fd);
	group = softvirt_open("/dev/vfio/3000", O_RDWR | O_CLOEXEC);
	assert_true(group >= 0);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), 0);
	softvirt_close(d.fd);
	/* A device by its group, in another VM. */
	abi_down(&a);
	abi_vm(&a);
	assert_int_equal(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	assert_int_equal(softvirt_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	device = softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:30:00.0");
	assert_true(device >= 0);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), 0);
	assert_int_equal(vfio_attr(d.fd, ADD, device), 0);
	/* Closed in any order. */
	softvirt_close(group);
	softvirt_close(container);
	softvirt_close(d.fd);
	softvirt_close(device);
	close(pair[0]);
	close(pair[1]);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_that_are_not_there_are_enodev),
		cmocka_unit_test(vfio_files_are_added_once_and_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
