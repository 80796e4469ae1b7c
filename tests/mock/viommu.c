/* SPDX-License-Identifier: MIT */
/*
 * The mock's vIOMMU: nested domains as without one, invalidation of numbered caches of
 * devices by their virtual ids, one type of event, two hardware queues in order.
 */
#include "base/alloc.h"
#include "base/atomic.h"
#include "base/err.h"
#include "base/guard.h"
#include "mock.h"

struct mock_viommu {
	struct sv_mutex lock;
	struct iommufd_hw_queue *queues[IOMMU_TEST_HW_QUEUE_MAX];
};

static int mock_viommu_init(struct iommufd_viommu *viommu, struct iommu_dev *dev, u32 type,
			    const struct iommu_user_data *data)
{
	struct iommu_viommu_selftest arg;
	struct mock_viommu *mv;
	int err;

	if (type != IOMMU_VIOMMU_TYPE_SELFTEST)
		return -EOPNOTSUPP;
	if (data) {
		err = iommu_copy_struct_from_user(&arg, sizeof(arg), sizeof(arg), type, data);
		if (err)
			return err;
		arg.out_data = arg.in_data + 1;
		if (sv_copy_to_user((void *)(uintptr_t)data->uptr, &arg, sizeof(arg)))
			return -EFAULT;
	}
	mv = sv_zalloc(sizeof(*mv));
	if (!mv)
		return -ENOMEM;
	sv_mutex_init(&mv->lock);
	viommu->priv = mv;
	return 0;
}

static void mock_viommu_destroy(struct iommufd_viommu *viommu)
{
	struct mock_viommu *mv = viommu->priv;

	sv_mutex_destroy(&mv->lock);
	sv_free(mv);
}

static struct iommu_domain *mock_viommu_alloc_nested(struct iommufd_viommu *viommu, u32 flags,
						     const struct iommu_user_data *data)
{
	return mock_nested_create(viommu->hwpt->common.domain, flags, data);
}

static int invalidate_one(struct iommufd_viommu *viommu,
			  const struct iommu_user_data_array *array, u32 i)
{
	struct iommu_viommu_invalidate_selftest inv;
	struct mock_dev *mdev;
	struct iommu_dev *dev;
	int err = iommu_copy_struct_from_user_array(&inv, sizeof(inv), sizeof(inv),
						    IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST, array,
						    i);

	if (err)
		return err;
	if (inv.flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL)
		return -EOPNOTSUPP;
	if (inv.cache_id >= MOCK_DEV_CACHE_NUM)
		return -EINVAL;
	dev = iommufd_viommu_find_dev(viommu, inv.vdev_id);
	if (!dev)
		return -EINVAL;
	mdev = container_of(dev, struct mock_dev, dev);
	for (u32 k = 0; k < MOCK_DEV_CACHE_NUM; k++)
		if (k == inv.cache_id || (inv.flags & IOMMU_TEST_INVALIDATE_FLAG_ALL))
			WRITE_ONCE(mdev->cache[k], 0);
	return 0;
}

static int mock_viommu_invalidate(struct iommufd_viommu *viommu,
				  struct iommu_user_data_array *array)
{
	int err = array->type == IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST ? 0 : -EINVAL;
	u32 done = 0;

	while (!err && done < array->entry_num) {
		err = invalidate_one(viommu, array, done);
		done += !err;
	}
	array->entry_num = done;
	return err;
}

static bool mock_supports_veventq(struct iommufd_viommu *viommu, u32 type)
{
	return type == IOMMU_VEVENTQ_TYPE_SELFTEST;
}

static bool mock_supports_hw_queue(struct iommufd_viommu *viommu, u32 type)
{
	return type == IOMMU_HW_QUEUE_TYPE_SELFTEST;
}

/* A queue needs the one before it, as the hardware that has this does. */
static int mock_hw_queue_init(struct iommufd_hw_queue *queue, u32 index, void *addr, u64 length)
{
	struct mock_viommu *mv = queue->viommu->priv;
	int err = 0;

	if (index >= IOMMU_TEST_HW_QUEUE_MAX)
		return -EINVAL;
	sv_mutex_lock(&mv->lock);
	if (mv->queues[index])
		err = -EEXIST;
	else if (index && !mv->queues[index - 1])
		err = -EIO;
	else
		mv->queues[index] = queue;
	sv_mutex_unlock(&mv->lock);
	queue->priv = addr;
	return err;
}

static void mock_hw_queue_destroy(struct iommufd_hw_queue *queue)
{
	struct mock_viommu *mv = queue->viommu->priv;

	sv_mutex_lock(&mv->lock);
	mv->queues[queue->index] = NULL;
	sv_mutex_unlock(&mv->lock);
}

const struct iommufd_viommu_ops mock_viommu_ops = {
	.init = mock_viommu_init,
	.destroy = mock_viommu_destroy,
	.alloc_domain_nested = mock_viommu_alloc_nested,
	.cache_invalidate = mock_viommu_invalidate,
	.supports_veventq = mock_supports_veventq,
	.hw_queue_init = mock_hw_queue_init,
	.hw_queue_destroy = mock_hw_queue_destroy,
	.supports_hw_queue = mock_supports_hw_queue,
};
