/* SPDX-License-Identifier: MIT */
/*
 * /dev/vfio/<group> and /dev/vfio/vfio: SET_CONTAINER, UNSET_CONTAINER, GET_STATUS, GET_DEVICE_FD,
 * SET_IOMMU, CHECK_EXTENSION; an iommufd in a container's place.
 */
#include "vfio.h"

#include "iommu/iommu.h"

static struct test_dev a, b, c;	/* a and b in group 1, c in group 2 */

static int setup(void **state)
{
	test_dev_make(&a, 1, 0, 1);
	test_dev_make(&b, 1, 1, 1);
	test_dev_make(&c, 2, 0, 2);
	return 0;
}

static int teardown(void **state)
{
	pci_dev_destroy(a.pdev);
	pci_dev_destroy(b.pdev);
	pci_dev_destroy(c.pdev);
	return !a.destroyed || !b.destroyed || !c.destroyed;
}

static u32 status(int group)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };

	assert_int_equal(softvirt_ioctl(group, VFIO_GROUP_GET_STATUS, &s), 0);
	return s.flags;
}

static void test_container_alone(void **state)
{
	int fd = softvirt_open("/dev/vfio/vfio", O_RDWR);

	assert_int_equal(softvirt_ioctl(fd, VFIO_GET_API_VERSION, 0), 0);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 1);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_NESTING_IOMMU), 1);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 0);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 0);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_SPAPR_TCE_IOMMU), 0);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, 12345), 0);
	/* Without a group nobody may have an IOMMU. */
	assert_errno(softvirt_ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_GET_INFO, 0), EINVAL);
	assert_errno(softvirt_ioctl(fd, 0x3bff, 0), EINVAL);
	softvirt_close(fd);
}

static void test_set_container(void **state)
{
	int group = group_open(1), container = softvirt_open("/dev/vfio/vfio", O_RDWR), other, fd;

	assert_int_equal(status(group), VFIO_GROUP_FLAGS_VIABLE);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_STATUS,
				    &(struct vfio_group_status) { .argsz = 7 }), EINVAL);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_STATUS, (void *)8), EFAULT);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, (void *)8), EFAULT);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &(int) { 9999 }), EBADF);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &group), EBADFD);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &(int) { 0 }), EBADFD);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), EINVAL);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0"), EINVAL);
	assert_int_equal(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	assert_int_equal(status(group), VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), EINVAL);
	/* In a container that has no IOMMU yet. */
	assert_errno(group_device(group, &a), EINVAL);
	assert_errno(softvirt_ioctl(container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU), ENODEV);
	assert_int_equal(softvirt_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	assert_errno(softvirt_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), EINVAL);
	assert_int_equal(softvirt_ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 1);
	/* A second group joins a running container. */
	other = group_open(2);
	assert_int_equal(softvirt_ioctl(other, VFIO_GROUP_SET_CONTAINER, &container), 0);
	fd = group_device(other, &c);
	assert_true(fd >= 0);
	assert_errno(softvirt_ioctl(other, VFIO_GROUP_UNSET_CONTAINER, 0), EBUSY);
	softvirt_close(fd);
	assert_int_equal(softvirt_ioctl(other, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	assert_int_equal(status(other), VFIO_GROUP_FLAGS_VIABLE);
	/* The last one that leaves takes the IOMMU with it. */
	assert_int_equal(softvirt_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_GET_INFO, 0), EINVAL);
	assert_errno(softvirt_ioctl(group, 0x3bff, 0), ENOTTY);
	softvirt_close(other);
	softvirt_close(group);
	softvirt_close(container);
}

static void test_device_names(void **state)
{
	int container, group, fd, second;
	u32 v = 0;

	container_make(1, VFIO_TYPE1v2_IOMMU, &container, &group);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:02:00.0"), ENODEV);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00"), ENODEV);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, ""), ENODEV);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0x"), ENODEV);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, (void *)8), EFAULT);
	/* Options: unknown, a token that isn't one, one that isn't needed, two of them. */
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0 fast=1"), EINVAL);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0 vf_token=1"), EINVAL);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
		"0000:01:00.0 vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3"), EINVAL);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
		"0000:01:00.0 vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1fz"), EINVAL);
	fd = softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0  ");
	assert_true(fd >= 0);
	/* A device may be had more than once this way, and it is one device. */
	second = group_device(group, &a);
	assert_true(second >= 0);
	assert_int_equal(softvirt_pwrite(fd, "\x77\x66\x55\x44", 4, REGION(2)), 4);
	assert_int_equal(softvirt_pread(second, &v, 4, REGION(2)), 4);
	assert_int_equal(v, 0x44556677);
	softvirt_close(fd);
	assert_int_equal(softvirt_pread(second, &v, 4, REGION(2)), 4);
	/* The cdev's ioctls aren't its. */
	assert_errno(cdev_bind(second, group, NULL), EINVAL);
	assert_errno(softvirt_ioctl(second, VFIO_DEVICE_ATTACH_IOMMUFD_PT, 0), ENOTTY);
	assert_true(fcntl(second, F_GETFD) & FD_CLOEXEC);
	softvirt_close(second);
	softvirt_close(group);
	softvirt_close(container);
}

static void test_token_of_a_physical_function(void **state)
{
	struct pci_dev_config cfg = test_config();
	struct test_dev pf, vf;
	int container, group, fd, vfd;

	cfg.physfn = true;
	assert_int_equal(test_dev_create(&pf, &cfg, 5, 0, 5), 0);
	cfg.physfn = false;
	cfg.vf_of = pf.pdev;
	assert_int_equal(test_dev_create(&vf, &cfg, 5, 1, 5), 0);
	container_make(5, VFIO_TYPE1v2_IOMMU, &container, &group);
	fd = softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			    "0000:05:00.0 vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3");
	assert_true(fd >= 0);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:05:00.1"), EACCES);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
		"0000:05:00.1 vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f4"), EACCES);
	vfd = softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD,
			     "0000:05:00.1 vf_token=BD8D9D2B-5A5F-4F5A-A211-F591514BA1F3");
	assert_true(vfd >= 0);
	softvirt_close(fd);
	softvirt_close(vfd);
	softvirt_close(group);
	softvirt_close(container);
	pci_dev_destroy(vf.pdev);
	pci_dev_destroy(pf.pdev);
}

static void test_iommufd_as_container(void **state)
{
	u32 *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), v = 0;
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (u64)mem, .iova = 0x40000, .size = 4096,
	};
	int iommufd = iommufd_open_new(), group = group_open(1), fd;

	*mem = 4711;
	assert_int_equal(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommufd), 0);
	assert_int_equal(status(group), VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
	assert_int_equal(softvirt_ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	fd = group_device(group, &a);
	assert_true(fd >= 0);
	master_enable(fd, true);
	assert_int_equal(softvirt_ioctl(iommufd, VFIO_IOMMU_MAP_DMA, &m), 0);
	assert_int_equal(iommu_dma_read(&a.pdev->iommu, 0, &v, 0x40000, 4, NULL), 0);
	assert_int_equal(v, 4711);
	softvirt_close(fd);
	assert_int_not_equal(iommu_dma_read(&a.pdev->iommu, 0, &v, 0x40000, 4, NULL), 0);
	assert_int_equal(softvirt_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), 0);
	softvirt_close(group);
	softvirt_close(iommufd);
	munmap(mem, 4096);
}

static void test_one_owner_per_group(void **state)
{
	int iommufd = iommufd_open_new(), container, group, fd = cdev_open_bound(&a, iommufd), other;

	/* b's group is the iommufd's. */
	other = iommufd_open_new();
	{
		int bfd = cdev_open_only(&b);

		assert_errno(cdev_bind(bfd, other, NULL), EBUSY);
		assert_int_equal(cdev_bind(bfd, iommufd, NULL), 0);
		softvirt_close(bfd);
	}
	softvirt_close(fd);
	softvirt_close(other);
	container_make(1, VFIO_TYPE1_IOMMU, &container, &group);
	fd = cdev_open_only(&a);
	assert_errno(cdev_bind(fd, iommufd, NULL), EBUSY);
	softvirt_close(fd);
	softvirt_close(group);
	softvirt_close(container);
	softvirt_close(iommufd);
}

static void test_failures(void **state)
{
	unsigned n, fired = 0;

	for (n = 1;; n++) {
		int container = -1, group = -1, fd = -1;
		bool done;

		sv_fault_inject(n);
		container = softvirt_open("/dev/vfio/vfio", O_RDWR);
		if (container >= 0)
			group = group_open(1);
		if (group >= 0 && !softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) &&
		    !softvirt_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
			fd = group_device(group, &a);
		done = !sv_fault_fired();
		sv_fault_inject(0);
		assert_true(done == (fd >= 0));
		if (fd >= 0)
			softvirt_close(fd);
		if (group >= 0)
			softvirt_close(group);
		if (container >= 0)
			softvirt_close(container);
		if (done)
			break;
		fired++;
	}
	assert_true(fired > 8);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_container_alone), T(test_set_container), T(test_device_names),
		T(test_token_of_a_physical_function), T(test_iommufd_as_container),
		T(test_one_owner_per_group), T(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
