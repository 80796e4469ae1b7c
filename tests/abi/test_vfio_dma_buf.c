/* SPDX-License-Identifier: MIT */
/*
 * VFIO_DEVICE_FEATURE_DMA_BUF: what is refused, what comes out, and IOMMU_IOAS_MAP_FILE of it.
 */
#include "vfio.h"

#include "iommu/iommu.h"
#include "softvirt/dma-buf.h"

static struct test_dev dev, other;
static int iommufd, fd, fd2;
static u32 ioas;

static int setup(void **state)
{
	u32 pt;

	test_dev_make(&dev, 1, 0, 1);
	test_dev_make(&other, 2, 0, 2);
	iommufd = iommufd_open_new();
	fd = cdev_open_bound(&dev, iommufd);
	fd2 = cdev_open_bound(&other, iommufd);
	pt = ioas = ioas_new(iommufd);
	assert_int_equal(cdev_attach(fd2, &pt), 0);
	master_enable(fd2, true);
	return 0;
}

static int teardown(void **state)
{
	if (fd >= 0)
		softvirt_close(fd);
	softvirt_close(fd2);
	softvirt_close(iommufd);
	pci_dev_destroy(dev.pdev);
	pci_dev_destroy(other.pdev);
	return !dev.destroyed || !other.destroyed;
}

static struct t_dma_buf good(void)
{
	return (struct t_dma_buf) {
		.argsz = 8 + 16 + 16, .hflags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
		.region_index = 2, .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1,
		.r = { { 0, 4096 } },
	};
}

static void test_arguments(void **state)
{
	struct t_dma_buf b;
	int d;

#define BAD(err, change) do { \
	b = good(); \
	change; \
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, &b), err); \
} while (0)
	BAD(EINVAL, b.nr_ranges = 0);
	BAD(EINVAL, b.flags = 1);
	BAD(EINVAL, b.hflags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_BUF);
	BAD(EINVAL, b.argsz = 8 + 16 + 15);
	BAD(EINVAL, b.argsz = 8 + 15);
	BAD(EINVAL, b.nr_ranges = 2);
	BAD(EINVAL, b.nr_ranges = ~0u);
	BAD(EINVAL, b.r[0].length = 0);
	BAD(EINVAL, b.r[0].length = 4095);
	BAD(EINVAL, b.r[0].offset = 1);
	BAD(EINVAL, b.r[0].offset = RAM_SIZE);
	BAD(EINVAL, b.r[0].length = RAM_SIZE + 4096);
	BAD(EINVAL, b.r[0].offset = 4096; b.r[0].length = RAM_SIZE);
	BAD(EINVAL, b.open_flags = O_NONBLOCK);
	BAD(ENODEV, b.region_index = 1);
	BAD(ENODEV, b.region_index = 3);
	BAD(ENODEV, b.region_index = 6);
	BAD(ENODEV, b.region_index = VFIO_PCI_CONFIG_REGION_INDEX);
	BAD(ENODEV, b.region_index = ~0u);
	BAD(EOVERFLOW, b.r[0].offset = ~0ull << 12; b.r[0].length = 8192);
	BAD(EOVERFLOW, b.argsz += 16; b.nr_ranges = 2; b.r[1].offset = ~0ull << 12; b.r[1].length = 8192);
	b = good();
	b.hflags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_DMA_BUF;
	b.argsz = 8;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, &b), 0);
	b = good();
	d = softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, &b);
	assert_true(d >= 0);
	assert_true(fcntl(d, F_GETFD) & FD_CLOEXEC);
	assert_ptr_equal(softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, d, 0), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	softvirt_close(d);
}

static int map_file(int d, u64 start, u64 length, u64 iova)
{
	struct iommu_ioas_map_file m = {
		.size = sizeof(m), .ioas_id = ioas, .fd = d, .start = start, .length = length,
		.iova = iova,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};

	return softvirt_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &m);
}

static bool dev_reads(u64 iova, u32 expect)
{
	u32 v = ~0u;

	return !iommu_dma_read(&other.pdev->iommu, 0, &v, iova, 4, NULL) && v == expect;
}

static void test_peer_to_peer(void **state)
{
	int d = dma_buf_export_n(fd, 2, 4096, 8192);
	u32 v = 0x600d;

	assert_true(d >= 0);
	assert_int_equal(map_file(d, 0, 8192, 0x100000), 0);
	assert_int_equal(softvirt_pwrite(fd, &v, 4, REGION(2) + 8192), 4);
	assert_true(dev_reads(0x101000, 0x600d));
	v = 0xbeef;
	assert_int_equal(iommu_dma_write(&other.pdev->iommu, 0, 0x100000, &v, 4, NULL), 0);
	assert_int_equal(softvirt_pread(fd, &v, 4, REGION(2) + 4096), 4);
	assert_int_equal(v, 0xbeef);
	/* The descriptor isn't needed any more; the BAR can go and come. */
	softvirt_close(d);
	assert_true(dev_reads(0x100000, 0xbeef));
	memory_enable(fd, false);
	assert_false(dev_reads(0x100000, 0xbeef));
	memory_enable(fd, true);
	assert_false(dev_reads(0x100000, 0xbeef));	/* a revoked area stays dead */
}

static void test_registers_of_a_peer(void **state)
{
	int d = dma_buf_export_n(fd, 0, 0, 4096);
	u32 v = 0x11;

	assert_int_equal(map_file(d, 0, 4096, 0x100000), 0);
	dev.regs[0x40] = 0x22;
	assert_true(dev_reads(0x100040, 0x22));
	assert_int_equal(iommu_dma_write(&other.pdev->iommu, 0, 0x100044, &v, 4, NULL), 0);
	assert_int_equal(dev.regs[0x44], 0x11);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_RESET, 0), 0);
	assert_false(dev_reads(0x100040, 0));
	softvirt_close(d);
}

static void test_several_ranges(void **state)
{
	struct t_dma_buf b = good();
	int d;

	b.argsz += 16;
	b.nr_ranges = 2;
	b.r[1].offset = 8192;
	b.r[1].length = 4096;
	d = softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, &b);
	assert_true(d >= 0);
	assert_int_equal(lseek(d, 0, SEEK_END), 8192);
	assert_errno(map_file(d, 0, 8192, 0x100000), EOPNOTSUPP);
	softvirt_close(d);
}

static void test_born_revoked(void **state)
{
	int d;

	memory_enable(fd, false);
	d = dma_buf_export_n(fd, 2, 0, 4096);
	assert_true(d >= 0);
	assert_errno(map_file(d, 0, 4096, 0x100000), ENODEV);
	memory_enable(fd, true);
	assert_int_equal(map_file(d, 0, 4096, 0x100000), 0);
	assert_true(dev_reads(0x100000, 0));
	softvirt_close(d);
}

static void test_closed_for_good(void **state)
{
	int d = dma_buf_export_n(fd, 2, 0, 4096);

	softvirt_close(fd);
	assert_errno(map_file(d, 0, 4096, 0x100000), ENODEV);
	/* Also when the device is opened again and its memory is on. */
	fd = cdev_open_bound(&dev, iommufd);
	memory_enable(fd, false);
	memory_enable(fd, true);
	assert_errno(map_file(d, 0, 4096, 0x100000), ENODEV);
	softvirt_close(d);
}

static void test_failures(void **state)
{
	unsigned n;
	int d = -1;

	for (n = 1;; n++) {
		sv_fault_inject(n);
		d = dma_buf_export_n(fd, 2, 0, 4096);
		if (!sv_fault_fired())
			break;
		assert_int_equal(d, -1);
	}
	sv_fault_inject(0);
	assert_true(n > 2 && d >= 0);
	softvirt_close(d);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_arguments), T(test_peer_to_peer), T(test_registers_of_a_peer),
		T(test_several_ranges), T(test_born_revoked), T(test_closed_for_good), T(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
