/* SPDX-License-Identifier: MIT */
/*
 * What the tests of src/iommu share: a context with one IOAS, devices on the soft IOMMU, and the ioctls in
 * one line each. A failed ioctl is its -errno.
 */
#ifndef TESTS_UNIT_IOMMU_ENV_H
#define TESTS_UNIT_IOMMU_ENV_H

#include "unit.h"

#include "base/alloc.h"
#include "iommu/impl.h"
#include "softvirt/softvirt.h"

#define PAGE 4096ull
#define RW (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)
#define FIXED IOMMU_IOAS_MAP_FIXED_IOVA

struct env_dev {
	struct iommu_dev dev;
	struct iommufd_device *idev;
	u32 id;
	u32 hwpt;		/* of the last attach */
};

struct env {
	int fd;
	struct iommufd_ctx *ictx;
	u32 ioas;
	struct env_dev d[2];
};

#define env_ioctl(fd, cmd, arg) ({ \
	int _r = softvirt_ioctl(fd, cmd, arg); \
	_r < 0 ? -errno : _r; })

static inline u32 env_ioas(struct env *e)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };

	assert_int_equal(env_ioctl(e->fd, IOMMU_IOAS_ALLOC, &a), 0);
	return a.out_ioas_id;
}

static inline void env_dev_up(struct env *e, struct env_dev *d)
{
	static u32 groups = 1000;

	memset(d, 0, sizeof(*d));
	d->dev.dev.init_name = "test";
	d->dev.iommu = &vtd_iommu_ops;
	d->dev.max_pasids = 1024;
	assert_int_equal(iommu_dev_init(&d->dev, groups++), 0);
	d->idev = iommufd_device_bind(e->ictx, &d->dev, &d->id);
	assert_false(IS_ERR(d->idev));
}

static inline void env_dev_down(struct env_dev *d)
{
	iommufd_device_unbind(d->idev);
	iommu_dev_fini(&d->dev);
}

static inline int env_attach(struct env_dev *d, u32 pt)
{
	d->hwpt = pt;
	return iommufd_device_attach(d->idev, IOMMU_NO_PASID, &d->hwpt);
}

static inline void env_detach(struct env_dev *d)
{
	iommufd_device_detach(d->idev, IOMMU_NO_PASID);
}

static inline void env_up(struct env *e)
{
	memset(e, 0, sizeof(*e));
	e->fd = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
	assert_true(e->fd >= 0);
	e->ictx = iommufd_ctx_from_fd(e->fd);
	assert_false(IS_ERR(e->ictx));
	e->ioas = env_ioas(e);
	for (unsigned i = 0; i < ARRAY_SIZE(e->d); i++)
		env_dev_up(e, &e->d[i]);
}

/* Everything is detached. */
static inline void env_down(struct env *e)
{
	for (unsigned i = 0; i < ARRAY_SIZE(e->d); i++)
		env_dev_down(&e->d[i]);
	iommufd_ctx_put(e->ictx);
	softvirt_close(e->fd);
}

static inline int env_map(struct env *e, u32 ioas, const void *p, u64 len, u64 iova, u32 flags)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m), .flags = flags | FIXED, .ioas_id = ioas, .user_va = (u64)p,
		.length = len, .iova = iova,
	};

	return env_ioctl(e->fd, IOMMU_IOAS_MAP, &m);
}

static inline int env_map_any(struct env *e, u32 ioas, const void *p, u64 len, u64 *iova, u32 flags)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m), .flags = flags, .ioas_id = ioas, .user_va = (u64)p, .length = len,
	};
	int ret = env_ioctl(e->fd, IOMMU_IOAS_MAP, &m);

	*iova = m.iova;
	return ret;
}

static inline int env_map_file(struct env *e, u32 ioas, int fd, u64 start, u64 len, u64 iova, u32 flags)
{
	struct iommu_ioas_map_file m = {
		.size = sizeof(m), .flags = flags | FIXED, .ioas_id = ioas, .fd = fd, .start = start,
		.length = len, .iova = iova,
	};

	return env_ioctl(e->fd, IOMMU_IOAS_MAP_FILE, &m);
}

static inline int env_unmap(struct env *e, u32 ioas, u64 iova, u64 len)
{
	struct iommu_ioas_unmap u = { .size = sizeof(u), .ioas_id = ioas, .iova = iova, .length = len };

	return env_ioctl(e->fd, IOMMU_IOAS_UNMAP, &u);
}

static inline int env_copy(struct env *e, u32 dst, u64 dst_iova, u32 src, u64 src_iova, u64 len, u32 flags)
{
	struct iommu_ioas_copy c = {
		.size = sizeof(c), .flags = flags | FIXED, .dst_ioas_id = dst, .src_ioas_id = src,
		.length = len, .dst_iova = dst_iova, .src_iova = src_iova,
	};

	return env_ioctl(e->fd, IOMMU_IOAS_COPY, &c);
}

static inline int env_destroy(struct env *e, u32 id)
{
	struct iommu_destroy d = { .size = sizeof(d), .id = id };

	return env_ioctl(e->fd, IOMMU_DESTROY, &d);
}

static inline u8 *env_memory(u64 len)
{
	u8 *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* One page's first byte, as the device sees it; < 0: the fault's reason, inverted. */
static inline int env_peek(struct env_dev *d, u64 iova)
{
	struct iommu_dma_fault f;
	u8 b;

	return iommu_dma_read(&d->dev, IOMMU_NO_PASID, &b, iova, 1, &f) ? ~(int)f.reason : b;
}

static inline int env_poke(struct env_dev *d, u64 iova, u8 b)
{
	struct iommu_dma_fault f;

	return iommu_dma_write(&d->dev, IOMMU_NO_PASID, iova, &b, 1, &f) ? ~(int)f.reason : 0;
}

#endif
