/* SPDX-License-Identifier: MIT */
/*
 * /dev/vfio/devices/vfioN: BIND_IOMMUFD, ATTACH_IOMMUFD_PT and DETACH_IOMMUFD_PT, plain and by PASID,
 * with tokens; and that DMA goes where it is attached.
 */
#include "vfio.h"

#include "iommu/iommu.h"

static struct test_dev dev, plain;
static int iommufd, fd;

static int setup(void **state)
{
	struct pci_dev_config cfg = test_config();

	cfg.pasid = false;
	test_dev_make(&dev, 1, 0, 1);
	if (test_dev_create(&plain, &cfg, 1, 8, 2))
		return -1;
	iommufd = iommufd_open_new();
	fd = cdev_open_only(&dev);
	return 0;
}

static int teardown(void **state)
{
	softvirt_close(fd);
	softvirt_close(iommufd);
	pci_dev_destroy(dev.pdev);
	pci_dev_destroy(plain.pdev);
	return !dev.destroyed || !plain.destroyed;
}

static u64 map(u32 ioas, void *mem, size_t len, u64 iova)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m), .ioas_id = ioas, .user_va = (u64)mem, .length = len, .iova = iova,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};

	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &m), 0);
	return m.iova;
}

static bool dma_works(u32 pasid, u64 iova, u32 expect)
{
	u32 v = 0;

	return !iommu_dma_read(&dev.pdev->iommu, pasid, &v, iova, 4, NULL) && v == expect;
}

static void test_paths(void **state)
{
	assert_errno(softvirt_open("/dev/vfio/devices/vfio7", O_RDWR), ENOENT);
	assert_errno(softvirt_open("/dev/vfio/devices/vfio00", O_RDWR), ENOENT);
	assert_errno(softvirt_open("/dev/vfio/77", O_RDWR), ENOENT);
}

static void test_nothing_before_bind(void **state)
{
	struct t_attach a = { .argsz = 12 };
	u32 v;

	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_GET_INFO, &a), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_RESET, 0), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	assert_errno(softvirt_ioctl(fd, 0x3bff, 0), EINVAL);
	assert_errno(softvirt_pread(fd, &v, 4, REGION(7)), EINVAL);
	assert_errno(softvirt_pwrite(fd, &v, 4, REGION(7)), EINVAL);
	assert_ptr_equal(softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, REGION(2)), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
}

static void test_bind(void **state)
{
	struct t_bind b = { .argsz = 16, .iommufd = iommufd };
	u32 id = 0;
	int other;

#define BAD(err, change) do { \
	struct t_bind save = b; \
	change; \
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &b), err); \
	b = save; \
} while (0)
	BAD(EINVAL, b.argsz = 15);
	BAD(EINVAL, b.argsz = 0);
	BAD(EINVAL, b.flags = 2);
	BAD(EINVAL, b.iommufd = -1);
	BAD(EBADF, b.iommufd = 9999);
	BAD(EBADFD, b.iommufd = fd);
	BAD(EBADFD, b.iommufd = 0);
	/* A token that nobody asks for; one that can't be read; a struct too short for it. */
	BAD(EINVAL, b.flags = 1; b.argsz = 24; b.token_uuid_ptr = (u64)"0123456789abcdef");
	BAD(EFAULT, b.flags = 1; b.argsz = 24; b.token_uuid_ptr = 8);
	BAD(EINVAL, b.flags = 1);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, (void *)8), EFAULT);
	assert_int_equal(cdev_bind(fd, iommufd, &id), 0);
	assert_true(id > 0);
	assert_errno(cdev_bind(fd, iommufd, NULL), EINVAL);
	/* Another descriptor of the same device. */
	other = cdev_open_only(&dev);
	assert_errno(cdev_bind(other, iommufd, NULL), EINVAL);
	softvirt_close(fd);
	assert_int_equal(cdev_bind(other, iommufd, NULL), 0);
	fd = other;
	/* While it is open this way its group isn't. */
	assert_errno(group_open(1), EBUSY);
	other = group_open(2);
	assert_true(other >= 0);
	softvirt_close(other);
}

static void test_group_open_blocks_bind(void **state)
{
	int group = group_open(1);

	assert_true(group >= 0);
	assert_errno(group_open(1), EBUSY);
	assert_errno(cdev_bind(fd, iommufd, NULL), EBUSY);
	softvirt_close(group);
	assert_int_equal(cdev_bind(fd, iommufd, NULL), 0);
}

static void test_attach(void **state)
{
	u32 *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u32 *mem2 = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u32 ioas = ioas_new(iommufd), ioas2 = ioas_new(iommufd), pt = ioas, pt2;
	struct t_attach a = { .argsz = 11, .pt_id = ioas };
	struct t_detach d = { .argsz = 7 };

	*mem = 111;
	*mem2 = 222;
	map(ioas, mem, 4096, 0x10000);
	map(ioas2, mem2, 4096, 0x10000);
	assert_int_equal(cdev_bind(fd, iommufd, NULL), 0);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	a.argsz = 12;
	a.flags = 2;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	a.flags = 0;
	a.pt_id = 9999;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), ENOENT);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, (void *)8), EFAULT);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), EINVAL);
	d.argsz = 8;
	d.flags = 2;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), EINVAL);
	d.flags = 0;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), 0);	/* nothing to do */
	master_enable(fd, true);
	assert_false(dma_works(0, 0x10000, 111));
	assert_int_equal(cdev_attach(fd, &pt), 0);
	assert_int_not_equal(pt, ioas);		/* the HWPT that was made */
	assert_true(dma_works(0, 0x10000, 111));
	/* Again: it is replaced. */
	pt2 = ioas2;
	assert_int_equal(cdev_attach(fd, &pt2), 0);
	assert_true(dma_works(0, 0x10000, 222));
	pt2 = 9999;
	assert_errno(cdev_attach(fd, &pt2), ENOENT);
	assert_true(dma_works(0, 0x10000, 222));
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), 0);
	assert_false(dma_works(0, 0x10000, 222));
	/* No bus mastering, no DMA. */
	pt = ioas;
	assert_int_equal(cdev_attach(fd, &pt), 0);
	master_enable(fd, false);
	assert_false(dma_works(0, 0x10000, 111));
	munmap(mem, 4096);
	munmap(mem2, 4096);
}

static void test_pasids(void **state)
{
	u32 *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u32 ioas = ioas_new(iommufd);
	struct iommu_hwpt_alloc h = { .size = sizeof(h), .flags = IOMMU_HWPT_ALLOC_PASID, .pt_id = ioas };
	struct t_attach a = { .argsz = 15, .flags = 1, .pasid = 77 };
	struct t_detach d = { .argsz = 11, .flags = 1, .pasid = 77 };
	struct t_attach none = { .argsz = 16, .flags = 1, .pasid = 3 };
	u32 devid;
	int other;

	*mem = 333;
	map(ioas, mem, 4096, 0x10000);
	assert_int_equal(cdev_bind(fd, iommufd, &devid), 0);
	master_enable(fd, true);
	h.dev_id = devid;
	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_HWPT_ALLOC, &h), 0);
	a.pt_id = h.out_hwpt_id;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	a.argsz = 16;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), 0);
	assert_true(dma_works(77, 0x10000, 333));
	assert_false(dma_works(78, 0x10000, 333));
	assert_false(dma_works(0, 0x10000, 333));
	a.pt_id = h.out_hwpt_id;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), 0);	/* again */
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), EINVAL);
	d.argsz = 12;
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), 0);
	assert_false(dma_works(77, 0x10000, 333));
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), 0);	/* nothing to do */
	/* Attached when the device is closed. */
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), 0);
	/* A device that has none. */
	other = cdev_open_bound(&plain, iommufd);
	none.pt_id = ioas;
	assert_errno(softvirt_ioctl(other, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &none), EOPNOTSUPP);
	assert_errno(softvirt_ioctl(other, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), EOPNOTSUPP);
	softvirt_close(other);
	munmap(mem, 4096);
}

static void test_tokens(void **state)
{
	struct pci_dev_config cfg = test_config();
	u8 good[16] = "a token of trust", bad[16] = "a token of greed";
	struct t_bind b = { .argsz = 24, .flags = 1, .iommufd = iommufd, .token_uuid_ptr = (u64)good };
	struct test_dev pf, vf;
	int pffd, vffd, second;

	cfg.physfn = true;
	assert_int_equal(test_dev_create(&pf, &cfg, 5, 0, 50), 0);
	cfg.physfn = false;
	cfg.vf_of = pf.pdev;
	assert_int_equal(test_dev_create(&vf, &cfg, 5, 1, 51), 0);
	pffd = cdev_open_only(&pf);
	assert_int_equal(softvirt_ioctl(pffd, VFIO_DEVICE_BIND_IOMMUFD, &b), 0);	/* sets it */
	vffd = cdev_open_only(&vf);
	assert_errno(cdev_bind(vffd, iommufd, NULL), EACCES);
	b.token_uuid_ptr = (u64)bad;
	assert_errno(softvirt_ioctl(vffd, VFIO_DEVICE_BIND_IOMMUFD, &b), EACCES);
	b.token_uuid_ptr = (u64)good;
	assert_int_equal(softvirt_ioctl(vffd, VFIO_DEVICE_BIND_IOMMUFD, &b), 0);
	/* Opening the physical function anew takes the token while a virtual one is in use. */
	softvirt_close(pffd);
	second = cdev_open_only(&pf);
	assert_errno(cdev_bind(second, iommufd, NULL), EACCES);
	assert_int_equal(softvirt_ioctl(second, VFIO_DEVICE_BIND_IOMMUFD, &b), 0);
	/* Another one, by the feature: probing, setting, but no getting. */
	assert_int_equal(feature(second, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET, "", 0), 0);
	assert_errno(feature(second, VFIO_DEVICE_FEATURE_GET, good, 16), EINVAL);
	assert_errno(feature(second, VFIO_DEVICE_FEATURE_SET, good, 15), EINVAL);
	assert_int_equal(feature(second, VFIO_DEVICE_FEATURE_SET, bad, 16), 0);
	assert_errno(feature(vffd, VFIO_DEVICE_FEATURE_SET, bad, 16), ENOTTY);
	softvirt_close(vffd);
	vffd = cdev_open_only(&vf);
	assert_errno(softvirt_ioctl(vffd, VFIO_DEVICE_BIND_IOMMUFD, &b), EACCES);
	softvirt_close(vffd);
	softvirt_close(second);
	pci_dev_destroy(vf.pdev);
	pci_dev_destroy(pf.pdev);
}

static void test_failures(void **state)
{
	unsigned n;
	int ret = 0;

	for (n = 1;; n++) {
		sv_fault_inject(n);
		ret = cdev_bind(fd, iommufd, NULL);
		if (!sv_fault_fired())
			break;
		assert_int_equal(ret, -1);
	}
	sv_fault_inject(0);
	assert_int_equal(ret, 0);
	for (n = 1;; n++) {
		u32 pt = ioas_new(iommufd);

		sv_fault_inject(n);
		ret = cdev_attach(fd, &pt);
		if (!sv_fault_fired())
			break;
		assert_int_equal(ret, -1);
		sv_fault_inject(0);
	}
	sv_fault_inject(0);
	assert_true(n > 1);
	assert_int_equal(ret, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_paths), T(test_nothing_before_bind), T(test_bind), T(test_group_open_blocks_bind),
		T(test_attach), T(test_pasids), T(test_tokens), T(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
