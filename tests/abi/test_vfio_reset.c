/* SPDX-License-Identifier: MIT */
/*
 * VFIO_DEVICE_RESET, GET_PCI_HOT_RESET_INFO, PCI_HOT_RESET.
 */
#include "vfio.h"

#include <linux/pci_regs.h>

static struct test_dev a, b, c;	/* a, b: bus 1, groups 1 and 2; c: bus 2, group 3 */
static int iommufd;

static int setup(void **state)
{
	test_dev_make(&a, 1, 0, 1);
	test_dev_make(&b, 1, 8, 2);
	test_dev_make(&c, 2, 0, 3);
	iommufd = iommufd_open_new();
	return 0;
}

static int teardown(void **state)
{
	softvirt_close(iommufd);
	pci_dev_destroy(a.pdev);
	pci_dev_destroy(b.pdev);
	pci_dev_destroy(c.pdev);
	return !a.destroyed || !b.destroyed || !c.destroyed;
}

static void test_device_reset(void **state)
{
	int fd = cdev_open_bound(&a, iommufd);
	unsigned resets = a.resets;
	u32 v = 0x55;

	master_enable(fd, true);
	assert_int_equal(softvirt_pwrite(fd, &v, 4, REGION(0) + 0x40), 4);
	assert_int_equal(softvirt_pwrite(fd, &v, 4, REGION(2) + 0x40), 4);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_RESET, 0), 0);
	assert_int_equal(a.resets, resets + 1);
	assert_int_equal(softvirt_pread(fd, &v, 4, REGION(0) + 0x40), 4);
	assert_int_equal(v, 0);
	/* Memory keeps its content, config space its state. */
	assert_int_equal(softvirt_pread(fd, &v, 4, REGION(2) + 0x40), 4);
	assert_int_equal(v, 0x55);
	assert_int_equal(cfg_read(fd, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	/* Out of D3hot. */
	cfg_write(fd, a.pdev->pm_cap + PCI_PM_CTRL, 2, 3);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_RESET, 0), 0);
	assert_int_equal(cfg_read(fd, a.pdev->pm_cap + PCI_PM_CTRL, 2) & 3, 0);
	assert_int_equal(softvirt_pread(fd, &v, 4, REGION(2) + 0x40), 4);
	/* Memory that was off stays off. */
	memory_enable(fd, false);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_RESET, 0), 0);
	assert_errno(softvirt_pread(fd, &v, 4, REGION(2) + 0x40), EIO);
	softvirt_close(fd);
	/* Closed, it does nothing any more. */
	assert_int_equal(pci_config_read(a.pdev, PCI_COMMAND, 2) &
			 (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER), 0);
}

struct hot_info {
	u32 argsz, flags, count;
	struct { u32 id; u16 segment; u8 bus, devfn; } d[8];
};

struct hot_reset {
	u32 argsz, flags, count;
	s32 fds[8];
};

static void test_info_by_group(void **state)
{
	struct hot_info i = { .argsz = 12 };
	int container, group, fd;

	container_make(1, VFIO_TYPE1v2_IOMMU, &container, &group);
	fd = group_device(group, &a);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				    &(struct hot_info) { .argsz = 11 }), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, (void *)8), EFAULT);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &i), ENOSPC);
	assert_int_equal(i.count, 2);
	i.argsz = 12 + 8;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &i), ENOSPC);
	i.argsz = sizeof(i);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &i), 0);
	assert_int_equal(i.flags, 0);
	assert_int_equal(i.count, 2);
	assert_int_equal(i.d[0].id, 1);
	assert_int_equal(i.d[0].devfn, 0);
	assert_int_equal(i.d[1].id, 2);
	assert_int_equal(i.d[1].bus, 1);
	assert_int_equal(i.d[1].devfn, 8);
	softvirt_close(fd);
	softvirt_close(group);
	softvirt_close(container);
}

static void test_reset_by_group(void **state)
{
	struct hot_reset r = { .argsz = 12 };
	int container, group, fd, group2 = group_open(2), group3 = group_open(3);
	unsigned ra, rb;

	container_make(1, VFIO_TYPE1v2_IOMMU, &container, &group);
	fd = group_device(group, &a);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET,
				    &(struct hot_reset) { .argsz = 11 }), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, (void *)8), EFAULT);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);	/* only for cdevs */
	r.argsz = sizeof(r);
	r.flags = 1;
	r.count = 1;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);
	r.flags = 0;
	r.count = 3;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);	/* more than functions */
	r.count = 1;
	r.fds[0] = 9999;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), EBADF);
	r.fds[0] = fd;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);
	/* One of the bus's groups is missing, or is another bus's. */
	r.fds[0] = group;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);
	r.count = 2;
	r.fds[1] = group3;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);
	ra = a.resets;
	rb = b.resets;
	r.fds[1] = group2;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), 0);
	assert_int_equal(a.resets, ra + 1);
	assert_int_equal(b.resets, rb + 1);
	assert_int_equal(a.last_reset, PCI_RESET_HOT);
	assert_int_equal(cfg_read(fd, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_int_equal(softvirt_pread(fd, &ra, 4, REGION(2)), 4);
	softvirt_close(fd);
	softvirt_close(group);
	softvirt_close(group2);
	softvirt_close(group3);
	softvirt_close(container);
}

static void test_by_iommufd(void **state)
{
	struct hot_info i = { .argsz = sizeof(i) };
	struct hot_reset r = { .argsz = 12 };
	int other = iommufd_open_new(), fda, fdb;
	u32 id, idb;
	unsigned rb = b.resets;

	fda = cdev_open_only(&a);
	assert_int_equal(cdev_bind(fda, iommufd, &id), 0);
	/* b is nobody's. */
	assert_int_equal(softvirt_ioctl(fda, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &i), 0);
	assert_int_equal(i.flags, VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
	assert_int_equal(i.d[0].id, id);
	assert_int_equal((s32)i.d[1].id, VFIO_PCI_DEVID_NOT_OWNED);
	assert_errno(softvirt_ioctl(fda, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);
	/* b is somebody else's. */
	fdb = cdev_open_bound(&b, other);
	assert_errno(softvirt_ioctl(fda, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);
	softvirt_close(fdb);
	/* b is ours. */
	fdb = cdev_open_only(&b);
	assert_int_equal(cdev_bind(fdb, iommufd, &idb), 0);
	assert_int_equal(softvirt_ioctl(fda, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &i), 0);
	assert_int_equal(i.flags, VFIO_PCI_HOT_RESET_FLAG_DEV_ID | VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED);
	assert_int_equal(i.d[1].id, idb);
	rb = b.resets;
	assert_int_equal(softvirt_ioctl(fda, VFIO_DEVICE_PCI_HOT_RESET, &r), 0);
	assert_int_equal(b.resets, rb + 1);
	r.count = 1;
	r.argsz = sizeof(r);
	assert_errno(softvirt_ioctl(fda, VFIO_DEVICE_PCI_HOT_RESET, &r), EINVAL);	/* groups, from a cdev */
	softvirt_close(fda);
	softvirt_close(fdb);
	softvirt_close(other);
}

static void test_owned_by_its_group(void **state)
{
	struct hot_info i = { .argsz = sizeof(i) };
	struct hot_reset r = { .argsz = 12 };
	struct test_dev x, y;
	unsigned ry;
	int fd;

	test_dev_make(&x, 7, 0, 70);
	test_dev_make(&y, 7, 1, 70);
	fd = cdev_open_bound(&x, iommufd);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &i), 0);
	assert_int_equal(i.flags, VFIO_PCI_HOT_RESET_FLAG_DEV_ID | VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED);
	assert_int_equal(i.d[1].id, VFIO_PCI_DEVID_OWNED);
	ry = y.resets;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), 0);
	assert_int_equal(y.resets, ry + 1);
	softvirt_close(fd);
	pci_dev_destroy(x.pdev);
	pci_dev_destroy(y.pdev);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_device_reset), T(test_info_by_group), T(test_reset_by_group), T(test_by_iommufd),
		T(test_owned_by_its_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
