/* SPDX-License-Identifier: MIT */
/*
 * VFIO_DEVICE_GET_INFO, GET_REGION_INFO, GET_IRQ_INFO, and regions through read and write.
 */
#include "vfio.h"

#include <linux/pci_regs.h>
#include <sys/uio.h>

static struct test_dev dev;
static int iommufd, fd;

static int setup(void **state)
{
	test_dev_make(&dev, 1, 0, 1);
	iommufd = iommufd_open_new();
	fd = cdev_open_bound(&dev, iommufd);
	return 0;
}

static int teardown(void **state)
{
	softvirt_close(fd);
	softvirt_close(iommufd);
	pci_dev_destroy(dev.pdev);
	return !dev.destroyed;
}

static void test_get_info(void **state)
{
	u32 info[8];

	for (u32 argsz = 0; argsz <= 32; argsz++) {
		memset(info, 0xee, sizeof(info));
		info[0] = argsz;
		if (argsz < 16) {
			assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_INFO, info), EINVAL);
			continue;
		}
		assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_INFO, info), 0);
		assert_int_equal(info[0], argsz);
		assert_int_equal(info[1], VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
		assert_int_equal(info[2], 9);
		assert_int_equal(info[3], 5);
		/* Not a byte behind argsz, or behind what we know. */
		for (u32 i = min(argsz, 24u); i < sizeof(info); i++)
			assert_int_equal(((u8 *)info)[i], 0xee);
	}
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_INFO, (void *)8), EFAULT);
}

static void region(u32 index, u64 size, u32 flags)
{
	struct { struct vfio_region_info i; u8 caps[64]; } r = { .i = { .argsz = 32, .index = index } };

	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &r), 0);
	assert_int_equal(r.i.size, size);
	assert_int_equal(r.i.flags, flags);
	assert_int_equal(r.i.offset, (u64)index << 40);
}

static void test_region_info(void **state)
{
	struct { struct vfio_region_info i; struct vfio_info_cap_header cap; u8 more[16]; } r = { 0 };
	const u32 rw = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

	region(VFIO_PCI_BAR0_REGION_INDEX, REGS_SIZE,
	       rw | VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS);
	region(1, 0, 0);
	region(2, RAM_SIZE, rw | VFIO_REGION_INFO_FLAG_MMAP);
	region(3, 0, 0);
	region(5, 0, 0);
	region(VFIO_PCI_ROM_REGION_INDEX, 0, 0);
	region(VFIO_PCI_CONFIG_REGION_INDEX, 4096, rw);
	r.i.argsz = 32;
	r.i.index = VFIO_PCI_VGA_REGION_INDEX;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &r), EINVAL);
	r.i.index = ~0u;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &r), EINVAL);
	r.i.index = 0;
	r.i.argsz = 31;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &r), EINVAL);
	/* Without room for the capability: how much it takes. With it: where it is. */
	r.i.argsz = 32;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &r), 0);
	assert_int_equal(r.i.argsz, 40);
	assert_int_equal(r.i.cap_offset, 0);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &r), 0);
	assert_int_equal(r.i.argsz, 40);
	assert_int_equal(r.i.cap_offset, 32);
	assert_int_equal(r.cap.id, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
	assert_int_equal(r.cap.next, 0);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, (void *)8), EFAULT);
}

static void test_irq_info(void **state)
{
	static const u32 counts[] = { 1, 4, NR_MSIX, 1, 1 };

	for (u32 i = 0; i < 5; i++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = i };
		u32 expect = VFIO_IRQ_INFO_EVENTFD;

		if (i == VFIO_PCI_INTX_IRQ_INDEX)
			expect |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
		else if (i != VFIO_PCI_MSIX_IRQ_INDEX)
			expect |= VFIO_IRQ_INFO_NORESIZE;
		assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info), 0);
		assert_int_equal(info.count, counts[i]);
		assert_int_equal(info.flags, expect);
		info.argsz--;
		assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info), EINVAL);
	}
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO,
				    &(struct vfio_irq_info) { .argsz = 16, .index = 5 }), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, (void *)8), EFAULT);
}

static void test_unknown_ioctls(void **state)
{
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO + 100, 0), ENOTTY);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_IOEVENTFD, 0), ENOTTY);
	assert_errno(softvirt_ioctl(fd, VFIO_GET_API_VERSION, 0), ENOTTY);
}

static void test_bar_rw(void **state)
{
	u8 buf[8192], back[8192];
	u32 v;

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)(i * 13 + 5);
	/* Memory, across chunks and at odd offsets. */
	assert_int_equal(softvirt_pwrite(fd, buf, 8192, REGION(2) + 4093), 8192);
	assert_int_equal(softvirt_pread(fd, back, 8192, REGION(2) + 4093), 8192);
	assert_memory_equal(buf, back, 8192);
	assert_memory_equal((u8 *)dev.pdev->bars[2].base + 4093, buf, 8192);
	/* Registers. */
	assert_int_equal(softvirt_pwrite(fd, buf, 21, REGION(0) + 0x21), 21);
	assert_memory_equal(dev.regs + 0x21, buf, 21);
	/* Cut at the end; beyond it nothing. */
	assert_int_equal(softvirt_pread(fd, back, 100, REGION(2) + RAM_SIZE - 3), 3);
	assert_errno(softvirt_pread(fd, back, 1, REGION(2) + RAM_SIZE), EINVAL);
	assert_errno(softvirt_pread(fd, back, 1, REGION(1)), EINVAL);
	assert_errno(softvirt_pread(fd, back, 1, REGION(VFIO_PCI_ROM_REGION_INDEX)), EINVAL);
	assert_errno(softvirt_pwrite(fd, back, 1, REGION(VFIO_PCI_VGA_REGION_INDEX)), EINVAL);
	assert_errno(softvirt_pread(fd, back, 1, REGION(9)), EINVAL);
	assert_errno(softvirt_pread(fd, back, 1, -1), EINVAL);
	assert_int_equal(softvirt_pread(fd, NULL, 0, REGION(2)), 0);
	assert_errno(softvirt_pread(fd, (void *)8, 16, REGION(2)), EFAULT);
	assert_errno(softvirt_pwrite(fd, (void *)8, 16, REGION(0)), EFAULT);
	/* The MSI-X table is hidden: it reads as ones, stores don't reach it. */
	v = 0;
	assert_int_equal(softvirt_pwrite(fd, &v, 4, REGION(0) + MSIX_TABLE + 12), 4);
	assert_int_equal(softvirt_pread(fd, &v, 4, REGION(0) + MSIX_TABLE + 12), 4);
	assert_int_equal(v, ~0u);
	assert_int_equal(pci_bar_read(dev.pdev, 0, MSIX_TABLE + 12, &v, 4), 0);
	assert_int_equal(v, 1);
	/* Around it the registers go on. */
	memset(back, 0, 8192);
	assert_int_equal(softvirt_pwrite(fd, buf, 0x100, REGION(0) + MSIX_TABLE - 0x20), 0x100);
	assert_int_equal(softvirt_pread(fd, back, 0x100, REGION(0) + MSIX_TABLE - 0x20), 0x100);
	assert_memory_equal(back, buf, 0x20);
	for (unsigned i = 0x20; i < 0x20 + NR_MSIX * 16; i++)
		assert_int_equal(back[i], 0xff);
	assert_memory_equal(back + 0xa0, buf + 0xa0, 0x60);
	/* Memory off: no access. */
	memory_enable(fd, false);
	assert_errno(softvirt_pread(fd, back, 4, REGION(2)), EIO);
	assert_errno(softvirt_pwrite(fd, back, 4, REGION(0)), EIO);
	memory_enable(fd, true);
	assert_int_equal(softvirt_pread(fd, back, 4, REGION(2) + 4093), 4);
}

static void test_streams_and_vectors(void **state)
{
	u32 a = 0, b = 0;
	struct iovec iov[3] = { { &a, 2 }, { NULL, 0 }, { &b, 2 } };

	/* read(2) begins with BAR0 and goes on. */
	dev.regs[0] = 0x11;
	dev.regs[4] = 0x22;
	assert_int_equal(softvirt_read(fd, &a, 4), 4);
	assert_int_equal(softvirt_read(fd, &b, 4), 4);
	assert_int_equal(a, 0x11);
	assert_int_equal(b, 0x22);
	b = 0x33;
	assert_int_equal(softvirt_write(fd, &b, 4), 4);
	assert_int_equal(dev.regs[8], 0x33);
	a = b = 0;
	assert_int_equal(softvirt_preadv(fd, iov, 3, REGION(VFIO_PCI_CONFIG_REGION_INDEX)), 4);
	assert_int_equal(a, 0x1234);
	assert_int_equal(b, 0x5678);
	assert_errno(softvirt_preadv(fd, iov, -1, 0), EINVAL);
	assert_errno(softvirt_preadv(fd, (void *)8, 1, 0), EFAULT);
	a = 0x0d0c;
	b = 0x0f0e;
	assert_int_equal(softvirt_pwritev(fd, iov, 3, REGION(2) + 8), 4);
	assert_memory_equal((u8 *)dev.pdev->bars[2].base + 8, "\x0c\x0d\x0e\x0f", 4);
}

static void test_access_needs_the_right_mode(void **state)
{
	char path[64];
	u32 v = 0;
	int other;

	softvirt_close(fd);
	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", dev.pdev->index);
	other = softvirt_open(path, O_RDONLY);
	assert_true(other >= 0);
	assert_int_equal(cdev_bind(other, iommufd, NULL), 0);
	assert_int_equal(softvirt_pread(other, &v, 4, REGION(2)), 4);
	assert_errno(softvirt_pwrite(other, &v, 4, REGION(2)), EBADF);
	assert_ptr_equal(softvirt_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, REGION(2)),
			 MAP_FAILED);
	assert_int_equal(errno, EACCES);
	softvirt_close(other);
	fd = cdev_open_bound(&dev, iommufd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_get_info), T(test_region_info), T(test_irq_info), T(test_unknown_ioctls),
		T(test_bar_rw), T(test_streams_and_vectors), T(test_access_needs_the_right_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
