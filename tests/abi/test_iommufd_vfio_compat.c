/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_VFIO_IOAS and the container's ioctls on /dev/iommu.
 */
#include "iommufd.h"
#include "softvirt/uapi/vfio.h"

static int compat(int fd, u16 op, u32 *id)
{
	struct iommu_vfio_ioas cmd = { .op = op, .ioas_id = *id };
	int ret = CALL(fd, IOMMU_VFIO_IOAS, &cmd);

	*id = cmd.ioas_id;
	return ret;
}

static void test_sizes(void **state)
{
	struct iommu_vfio_ioas cmd = { .op = IOMMU_VFIO_IOAS_GET };
	int fd = iommu_open();

	CHECK_SIZES(fd, IOMMU_VFIO_IOAS, &cmd, __reserved, ENODEV);
	iommu_close(fd);
}

static void test_ioas(void **state)
{
	int fd = iommu_open();
	u32 ioas = ioas_alloc(fd), id = NO_ID;
	struct iommu_vfio_ioas cmd = { .op = IOMMU_VFIO_IOAS_GET, .__reserved = 1 };

	assert_errno(CALL(fd, IOMMU_VFIO_IOAS, &cmd), EOPNOTSUPP);
	assert_errno(compat(fd, 3, &id), EOPNOTSUPP);
	assert_errno(compat(fd, IOMMU_VFIO_IOAS_SET, &id), ENOENT);
	assert_errno(compat(fd, IOMMU_VFIO_IOAS_GET, &id), ENODEV);
	id = ioas;
	assert_return_code(compat(fd, IOMMU_VFIO_IOAS_SET, &id), errno);
	id = 0;
	assert_return_code(compat(fd, IOMMU_VFIO_IOAS_GET, &id), errno);
	assert_int_equal(id, ioas);
	assert_return_code(compat(fd, IOMMU_VFIO_IOAS_CLEAR, &id), errno);
	assert_errno(compat(fd, IOMMU_VFIO_IOAS_GET, &id), ENODEV);
	/* It does not keep the IOAS alive, and goes with it. */
	assert_return_code(compat(fd, IOMMU_VFIO_IOAS_SET, &ioas), errno);
	assert_return_code(destroy(fd, ioas), errno);
	assert_errno(compat(fd, IOMMU_VFIO_IOAS_GET, &id), ENODEV);
	iommu_close(fd);
}

/* As VFIO's groups use it. */
static void test_create(void **state)
{
	int fd = iommu_open();
	struct iommufd_ctx *ictx = iommufd_ctx_from_fd(fd);
	u32 a = 0, b = 0;

	assert_int_equal(iommufd_vfio_compat_ioas_get_id(ictx, &a), -ENODEV);
	assert_int_equal(iommufd_vfio_compat_ioas_create(ictx), 0);
	assert_int_equal(iommufd_vfio_compat_ioas_get_id(ictx, &a), 0);
	assert_int_equal(iommufd_vfio_compat_ioas_create(ictx), 0);
	assert_int_equal(iommufd_vfio_compat_ioas_get_id(ictx, &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(iommufd_vfio_compat_set_no_iommu(ictx), -EINVAL);
	assert_return_code(destroy(fd, a), errno);
	assert_int_equal(iommufd_vfio_compat_set_no_iommu(ictx), 0);
	assert_int_equal(iommufd_vfio_compat_ioas_create(ictx), -EINVAL);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 0);
	iommufd_ctx_put(ictx);
	iommu_close(fd);
}

static void test_without_ioas(void **state)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .size = 4096,
						.flags = VFIO_DMA_MAP_FLAG_READ };
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .size = 4096 };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	int fd = iommu_open();

	assert_int_equal(softvirt_ioctl(fd, VFIO_GET_API_VERSION, 0), VFIO_API_VERSION);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 1);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_NESTING_IOMMU), 0);
	assert_int_equal(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, 12345), 0);
	assert_errno(softvirt_ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), ENODEV);
	assert_errno(softvirt_ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), ENODEV);
	assert_errno(softvirt_ioctl(fd, VFIO_SET_IOMMU, 99), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_MAP_DMA, &map), ENODEV);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &unmap), ENODEV);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_GET_INFO, &info), ENODEV);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_MAP_DMA, NULL), EFAULT);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_UNMAP_DMA, NULL), EFAULT);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_GET_INFO, NULL), EFAULT);
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, NULL), ENOTTY);
	map.argsz--;
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_MAP_DMA, &map), EINVAL);
	map.argsz++;
	map.flags |= 1u << 20;
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_MAP_DMA, &map), EINVAL);
	unmap.argsz--;
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &unmap), EINVAL);
	unmap.argsz++;
	unmap.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &unmap), EINVAL);
	info.argsz = 15;
	assert_errno(softvirt_ioctl(fd, VFIO_IOMMU_GET_INFO, &info), EINVAL);
	iommu_close(fd);
}

struct env {
	int fd;
	u32 ioas;
	struct mock_ids ids;
	char *p;
};

static struct env up(unsigned long type)
{
	struct env e = { .fd = iommu_open(), .p = memory(16 * SV_PAGE_SIZE) };

	e.ioas = ioas_alloc(e.fd);
	e.ids = mock_attach(e.fd, e.ioas, 0);
	assert_return_code(compat(e.fd, IOMMU_VFIO_IOAS_SET, &e.ioas), errno);
	assert_return_code(softvirt_ioctl(e.fd, VFIO_SET_IOMMU, type), errno);
	return e;
}

static int map(const struct env *e, u64 off, u64 size)
{
	struct vfio_iommu_type1_dma_map cmd = {
		.argsz = sizeof(cmd), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)e->p + off, .iova = MOCK_APERTURE_START + off, .size = size,
	};

	return softvirt_ioctl(e->fd, VFIO_IOMMU_MAP_DMA, &cmd);
}

static int unmap(const struct env *e, u32 flags, u64 iova, u64 size, u64 *unmapped)
{
	struct vfio_iommu_type1_dma_unmap cmd = { .argsz = sizeof(cmd), .flags = flags,
						  .iova = iova, .size = size };
	int ret = softvirt_ioctl(e->fd, VFIO_IOMMU_UNMAP_DMA, &cmd);

	*unmapped = cmd.size;
	assert_int_equal(cmd.argsz, sizeof(cmd));
	return ret;
}

static void test_map(void **state)
{
	struct env e = up(VFIO_TYPE1v2_IOMMU);
	u64 n;

	assert_return_code(map(&e, 0, 4 * SV_PAGE_SIZE), errno);
	assert_errno(map(&e, SV_PAGE_SIZE, SV_PAGE_SIZE), EEXIST);
	assert_return_code(map(&e, 8 * SV_PAGE_SIZE, 4 * SV_PAGE_SIZE), errno);
	assert_int_equal(iopt_user_page_pins((uintptr_t)e.p), 1);
	/* Version 2 takes whole mappings only. */
	assert_errno(unmap(&e, 0, MOCK_APERTURE_START, SV_PAGE_SIZE, &n), ENOENT);
	assert_int_equal(n, 0);
	assert_errno(unmap(&e, 0, MOCK_APERTURE_START, 0, &n), EINVAL);
	assert_errno(unmap(&e, VFIO_DMA_UNMAP_FLAG_ALL, 0, SV_PAGE_SIZE, &n), EINVAL);
	assert_errno(unmap(&e, VFIO_DMA_UNMAP_FLAG_ALL, 8, 0, &n), EINVAL);
	assert_return_code(unmap(&e, 0, MOCK_APERTURE_START, 4 * SV_PAGE_SIZE, &n), errno);
	assert_int_equal(n, 4 * SV_PAGE_SIZE);
	assert_return_code(unmap(&e, 0, MOCK_APERTURE_START, 4 * SV_PAGE_SIZE, &n), errno);
	assert_int_equal(n, 0);
	assert_return_code(unmap(&e, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n), errno);
	assert_int_equal(n, 4 * SV_PAGE_SIZE);
	assert_int_equal(softvirt_ioctl(e.fd, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 0);
	iommu_close(e.fd);
	munmap(e.p, 16 * SV_PAGE_SIZE);
}

/* Version 1 may unmap a part. */
static void test_split(void **state)
{
	struct env e = up(VFIO_TYPE1_IOMMU);
	u64 n;

	assert_return_code(map(&e, 0, 8 * SV_PAGE_SIZE), errno);
	/* Behind its first byte nothing is cut. */
	assert_errno(unmap(&e, 0, MOCK_APERTURE_START, 1, &n), ENOENT);
	assert_int_equal(n, 0);
	assert_return_code(unmap(&e, 0, MOCK_APERTURE_START + 2 * SV_PAGE_SIZE, 3 * SV_PAGE_SIZE,
				 &n), errno);
	assert_int_equal(n, 3 * SV_PAGE_SIZE);
	assert_int_equal(iopt_user_page_pins((uintptr_t)e.p + SV_PAGE_SIZE), 1);
	assert_int_equal(iopt_user_page_pins((uintptr_t)e.p + 2 * SV_PAGE_SIZE), 0);
	assert_int_equal(iopt_user_page_pins((uintptr_t)e.p + 4 * SV_PAGE_SIZE), 0);
	assert_int_equal(iopt_user_page_pins((uintptr_t)e.p + 5 * SV_PAGE_SIZE), 1);
	assert_return_code(map(&e, 2 * SV_PAGE_SIZE, 3 * SV_PAGE_SIZE), errno);
	assert_return_code(unmap(&e, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &n), errno);
	assert_int_equal(n, 8 * SV_PAGE_SIZE);
	iommu_close(e.fd);
	munmap(e.p, 16 * SV_PAGE_SIZE);
}

/* Any room: argsz says what all of it takes, and nothing behind the room is touched. */
static void test_info(void **state)
{
	struct env e = up(VFIO_TYPE1v2_IOMMU);
	u8 buf[512];
	struct vfio_iommu_type1_info *info = (void *)buf;
	u32 total;

	memset(buf, 0, sizeof(buf));
	info->argsz = sizeof(*info);
	assert_return_code(softvirt_ioctl(e.fd, VFIO_IOMMU_GET_INFO, info), errno);
	total = info->argsz;
	assert_in_range(total, sizeof(*info) + 32, sizeof(buf));
	for (u32 room = 16; room <= total + 8; room++) {
		memset(buf, 0xaa, sizeof(buf));
		info->argsz = room;
		assert_return_code(softvirt_ioctl(e.fd, VFIO_IOMMU_GET_INFO, info), errno);
		assert_int_equal(info->argsz, total);
		assert_int_equal(info->flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
		assert_int_equal(info->iova_pgsizes & 0xfff, 0);
		if (room >= sizeof(*info))
			assert_int_equal(info->cap_offset, room < total ? 0 : sizeof(*info));
		for (u32 i = room; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xaa);
	}
	/* The chain. */
	{
		struct vfio_iommu_type1_info_dma_avail *avail = (void *)(buf + info->cap_offset);
		struct vfio_iommu_type1_info_cap_iova_range *range =
			(void *)(buf + avail->header.next);

		assert_int_equal(avail->header.id, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
		assert_int_equal(avail->header.version, 1);
		assert_int_equal(avail->avail, UINT32_MAX);
		assert_int_equal(range->header.id, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
		assert_int_equal(range->header.next, 0);
		assert_int_equal(range->nr_iovas, 1);
		assert_int_equal(range->iova_ranges[0].start, MOCK_APERTURE_START);
		assert_int_equal(range->iova_ranges[0].end, MOCK_APERTURE_LAST);
	}
	iommu_close(e.fd);
	munmap(e.p, 16 * SV_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_ioas),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_without_ioas),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
