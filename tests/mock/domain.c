/* SPDX-License-Identifier: MIT */
/*
 * The mock IOMMU: domains that remember mappings in 2 KiB pages, dirty bits, a nested domain
 * with four numbered cache entries, devices. Nothing here moves bytes.
 *
 * What iommufd owes an IOMMU is checked on the way: ranges inside of the aperture, aligned, nothing
 * mapped twice, an unmap that begins and ends where a map did. A breach is a message and ends the
 * process: the test that saw it must fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "mock.h"

static void __attribute__((noreturn)) breach(const char *what, u64 iova, u64 len)
{
	fprintf(stderr, "mock IOMMU: %s: %#llx, %#llx bytes\n", what, (unsigned long long)iova,
		(unsigned long long)len);
	abort();
}

static struct mock_domain *to_mock(struct iommu_domain *d)
{
	return container_of(d, struct mock_domain, domain);
}

static struct mock_dev *to_mdev(struct iommu_dev *dev)
{
	return container_of(dev, struct mock_dev, dev);
}

static u64 *pte_slot(struct mock_domain *mock, u64 iova)
{
	u64 i = iova / MOCK_IO_PAGE_SIZE;
	u64 *leaf = i / MOCK_LEAF_ENTRIES < MOCK_LEAVES ?
		    mock->leaves[i / MOCK_LEAF_ENTRIES] : NULL;

	return leaf ? &leaf[i % MOCK_LEAF_ENTRIES] : NULL;
}

u64 mock_domain_pte(struct mock_domain *mock, u64 iova)
{
	u64 *pte, val;

	sv_mutex_lock(&mock->lock);
	pte = pte_slot(mock, iova);
	val = pte ? *pte : 0;
	sv_mutex_unlock(&mock->lock);
	return val;
}

bool mock_domain_set_dirty(struct mock_domain *mock, u64 iova)
{
	u64 *pte;
	bool mapped;

	sv_mutex_lock(&mock->lock);
	pte = pte_slot(mock, iova);
	mapped = pte && *pte;
	if (mapped)
		*pte |= MOCK_PTE_DIRTY;
	sv_mutex_unlock(&mock->lock);
	return mapped;
}

static void check_range(struct mock_domain *mock, u64 iova, u64 len)
{
	if (!len || iova % MOCK_IO_PAGE_SIZE || len % MOCK_IO_PAGE_SIZE)
		breach("not aligned", iova, len);
	if (iova < MOCK_APERTURE_START || iova + len - 1 > MOCK_APERTURE_LAST || iova + len < iova)
		breach("outside of the aperture", iova, len);
}

static int make_leaves(struct mock_domain *mock, u64 iova, u64 len)
{
	u64 first = iova / MOCK_IO_PAGE_SIZE / MOCK_LEAF_ENTRIES;
	u64 last = (iova + len - 1) / MOCK_IO_PAGE_SIZE / MOCK_LEAF_ENTRIES;

	for (u64 i = first; i <= last; i++) {
		if (!mock->leaves[i])
			mock->leaves[i] = sv_calloc(MOCK_LEAF_ENTRIES, sizeof(u64));
		if (!mock->leaves[i])
			return -ENOMEM;
	}
	return 0;
}

static int mock_map(struct iommu_domain *d, u64 iova, u64 paddr, u64 len, int prot)
{
	struct mock_domain *mock = to_mock(d);
	u64 end = iova + len, huge_end = iova;
	int err;

	check_range(mock, iova, len);
	if (paddr % MOCK_IO_PAGE_SIZE)
		breach("memory is not aligned", paddr, len);
	sv_mutex_lock(&mock->lock);
	err = make_leaves(mock, iova, len);
	for (u64 at = iova; !err && at < end; at += MOCK_IO_PAGE_SIZE, paddr += MOCK_IO_PAGE_SIZE) {
		u64 *pte = pte_slot(mock, at), flags = MOCK_PTE_VALID;

		if (*pte)
			breach("mapped already", at, len);
		if ((d->pgsize_bitmap & MOCK_HUGE_PAGE_SIZE) &&
		    !((at | paddr) % MOCK_HUGE_PAGE_SIZE) && end - at >= MOCK_HUGE_PAGE_SIZE)
			huge_end = at + MOCK_HUGE_PAGE_SIZE;
		flags |= at < huge_end ? MOCK_PTE_HUGE : 0;
		flags |= at == iova ? MOCK_PTE_START : 0;
		flags |= at + MOCK_IO_PAGE_SIZE == end ? MOCK_PTE_LAST : 0;
		*pte = paddr | flags;
	}
	sv_mutex_unlock(&mock->lock);
	return err;
}

static u64 mock_unmap(struct iommu_domain *d, u64 iova, u64 len)
{
	struct mock_domain *mock = to_mock(d);
	u64 end = iova + len, bytes = 0;

	check_range(mock, iova, len);
	sv_mutex_lock(&mock->lock);
	for (u64 at = iova; at < end; at += MOCK_IO_PAGE_SIZE) {
		u64 *pte = pte_slot(mock, at);

		if (!pte || !*pte)
			continue;
		/* With one page size, what is unmapped begins and ends where a map did. */
		if (!(d->pgsize_bitmap & MOCK_HUGE_PAGE_SIZE)) {
			if (at == iova && !(*pte & MOCK_PTE_START))
				breach("unmap begins inside of a map", iova, len);
			if (at + MOCK_IO_PAGE_SIZE == end && !(*pte & MOCK_PTE_LAST))
				breach("unmap ends inside of a map", iova, len);
		}
		*pte = 0;
		bytes += MOCK_IO_PAGE_SIZE;
	}
	sv_mutex_unlock(&mock->lock);
	return bytes;
}

static int mock_remap(struct iommu_domain *d, u64 iova, u64 paddr, u64 len)
{
	struct mock_domain *mock = to_mock(d);

	check_range(mock, iova, len);
	sv_mutex_lock(&mock->lock);
	for (u64 off = 0; off < len; off += MOCK_IO_PAGE_SIZE) {
		u64 *pte = pte_slot(mock, iova + off);

		if (!pte || !*pte)
			breach("nothing there to move", iova + off, len);
		*pte = (*pte & MOCK_PTE_FLAGS) | (paddr + off);
	}
	sv_mutex_unlock(&mock->lock);
	return 0;
}

static u64 mock_iova_to_phys(struct iommu_domain *d, u64 iova)
{
	u64 pte = mock_domain_pte(to_mock(d), iova);

	return pte ? (pte & ~MOCK_PTE_FLAGS) + iova % MOCK_IO_PAGE_SIZE : 0;
}

static void mock_free(struct iommu_domain *d)
{
	struct mock_domain *mock = to_mock(d);

	for (size_t i = 0; i < MOCK_LEAVES; i++) {
		for (size_t k = 0; mock->leaves[i] && k < MOCK_LEAF_ENTRIES; k++)
			if (mock->leaves[i][k])
				breach("still mapped in a domain that goes",
				       (i * MOCK_LEAF_ENTRIES + k) * MOCK_IO_PAGE_SIZE, 0);
		sv_free(mock->leaves[i]);
	}
	sv_mutex_destroy(&mock->lock);
	sv_free(mock);
}

struct iommu_domain *mock_dev_domain(struct mock_dev *mdev, u32 pasid)
{
	struct mock_attach *a;

	list_for_each_entry(a, &mdev->attached, node)
		if (a->pasid == pasid)
			return a->domain;
	return NULL;
}

/* What every kind of domain does: the device remembers it. */
static int mock_attach_dev(struct iommu_domain *d, struct iommu_dev *dev, u32 pasid,
			   struct iommu_domain *old)
{
	struct mock_dev *mdev = to_mdev(dev);
	struct mock_attach *a, *found = NULL;
	int err = 0;

	if (d->dirty_ops && (mdev->flags & MOCK_FLAGS_DEVICE_NO_DIRTY))
		return -EINVAL;
	sv_write_lock(&mdev->lock);
	list_for_each_entry(a, &mdev->attached, node)
		if (a->pasid == pasid)
			found = a;
	if (found ? old != found->domain : old->type != IOMMU_DOMAIN_BLOCKED)
		breach("takes the place of another domain than there is", pasid, 0);
	if (d->type == IOMMU_DOMAIN_BLOCKED && found) {
		list_del(&found->node);
		sv_free(found);
	} else if (d->type != IOMMU_DOMAIN_BLOCKED) {
		if (!found) {
			found = sv_zalloc(sizeof(*found));
			if (found)
				list_add(&found->node, &mdev->attached);
		}
		if (found) {
			found->pasid = pasid;
			found->domain = d;
		} else {
			err = -ENOMEM;
		}
	}
	sv_write_unlock(&mdev->lock);
	return err;
}

static int mock_set_dirty_tracking(struct iommu_domain *d, bool enable)
{
	to_mock(d)->tracking = enable;
	return 0;
}

/* Is anything of [iova, iova + len) dirty? Clears it, too. lock held */
static bool test_dirty(struct mock_domain *mock, u64 iova, u64 len, bool no_clear)
{
	bool dirty = false;

	for (u64 at = iova; at < iova + len; at += MOCK_IO_PAGE_SIZE) {
		u64 *pte = pte_slot(mock, at);

		if (!pte || !(*pte & MOCK_PTE_DIRTY))
			continue;
		dirty = true;
		if (!no_clear)
			*pte &= ~MOCK_PTE_DIRTY;
	}
	return dirty;
}

static int mock_read_and_clear_dirty(struct iommu_domain *d, u64 iova, u64 len, bool no_clear,
				     void (*dirty)(void *arg, u64 iova, u64 len), void *arg)
{
	struct mock_domain *mock = to_mock(d);
	u64 end = iova + len;

	/* Without arg nobody listens: old dirt is swept out before tracking begins. */
	if (!mock->tracking && arg)
		return -EINVAL;
	sv_mutex_lock(&mock->lock);
	while (iova < end) {
		u64 *pte = pte_slot(mock, iova), size = MOCK_IO_PAGE_SIZE, head;

		if (pte && *pte) {
			u64 whole = *pte & MOCK_PTE_HUGE ? MOCK_HUGE_PAGE_SIZE : size;

			head = ALIGN_DOWN(iova, whole);
			size = min(head + whole, end) - iova;
			if (test_dirty(mock, head, whole, no_clear))
				dirty(arg, iova, size);
		}
		iova += size;
	}
	sv_mutex_unlock(&mock->lock);
	return 0;
}

static const struct iommu_dirty_ops mock_dirty_ops = {
	.set_dirty_tracking = mock_set_dirty_tracking,
	.read_and_clear_dirty = mock_read_and_clear_dirty,
};

const struct iommu_domain_ops mock_paging_ops = {
	.attach_dev = mock_attach_dev,
	.map = mock_map,
	.unmap = mock_unmap,
	.remap = mock_remap,
	.iova_to_phys = mock_iova_to_phys,
	.free = mock_free,
};

static struct iommu_domain *mock_alloc_paging(struct iommu_dev *dev, u32 flags,
					      const struct iommu_user_data *data)
{
	bool no_dirty = to_mdev(dev)->flags & MOCK_FLAGS_DEVICE_NO_DIRTY;
	bool track = flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	struct mock_domain *mock;

	if ((flags & ~(u32)(IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
			    IOMMU_HWPT_ALLOC_PASID)) || data || (track && no_dirty))
		return ERR_PTR(-EOPNOTSUPP);
	mock = sv_zalloc(sizeof(*mock));
	if (!mock)
		return ERR_PTR(-ENOMEM);
	sv_mutex_init(&mock->lock);
	mock->domain.type = IOMMU_DOMAIN_PAGING;
	mock->domain.ops = &mock_paging_ops;
	mock->domain.dirty_ops = track ? &mock_dirty_ops : NULL;
	mock->domain.pgsize_bitmap = MOCK_IO_PAGE_SIZE;
	if (to_mdev(dev)->flags & MOCK_FLAGS_DEVICE_HUGE_IOVA)
		mock->domain.pgsize_bitmap |= MOCK_HUGE_PAGE_SIZE;
	mock->domain.aperture_start = MOCK_APERTURE_START;
	mock->domain.aperture_end = MOCK_APERTURE_LAST;
	mock->domain.force_aperture = true;
	return &mock->domain;
}

/* One entry of an invalidation of a nested domain. */
static int invalidate_one(struct mock_nested *nested, const struct iommu_user_data_array *array,
			  u32 i)
{
	struct iommu_hwpt_invalidate_selftest inv;
	int err = iommu_copy_struct_from_user_array(&inv, sizeof(inv), sizeof(inv),
						    IOMMU_HWPT_INVALIDATE_DATA_SELFTEST, array, i);

	if (err)
		return err;
	if (inv.flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL)
		return -EOPNOTSUPP;
	if (inv.iotlb_id >= MOCK_NESTED_DOMAIN_IOTLB_NUM)
		return -EINVAL;
	if (inv.flags & IOMMU_TEST_INVALIDATE_FLAG_ALL)
		memset(nested->iotlb, 0, sizeof(nested->iotlb));
	else
		nested->iotlb[inv.iotlb_id] = 0;
	return 0;
}

static int mock_cache_invalidate(struct iommu_domain *d, struct iommu_user_data_array *array)
{
	struct mock_nested *nested = container_of(d, struct mock_nested, domain);
	int err = array->type == IOMMU_HWPT_INVALIDATE_DATA_SELFTEST ? 0 : -EINVAL;
	u32 done = 0;

	while (!err && done < array->entry_num) {
		err = invalidate_one(nested, array, done);
		done += !err;
	}
	array->entry_num = done;
	return err;
}

static void mock_nested_free(struct iommu_domain *d)
{
	sv_free(container_of(d, struct mock_nested, domain));
}

const struct iommu_domain_ops mock_nested_ops = {
	.attach_dev = mock_attach_dev,
	.cache_invalidate_user = mock_cache_invalidate,
	.free = mock_nested_free,
};

struct iommu_domain *mock_nested_create(struct iommu_domain *parent, u32 flags,
					const struct iommu_user_data *data)
{
	struct iommu_hwpt_selftest cfg;
	struct mock_nested *nested;
	int err;

	if (data->type != IOMMU_HWPT_DATA_SELFTEST || (flags & ~(u32)IOMMU_HWPT_ALLOC_PASID))
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->ops != &mock_paging_ops)
		return ERR_PTR(-EINVAL);
	err = iommu_copy_struct_from_user(&cfg, sizeof(cfg), sizeof(cfg), IOMMU_HWPT_DATA_SELFTEST,
					  data);
	if (err)
		return ERR_PTR(err);
	nested = sv_zalloc(sizeof(*nested));
	if (!nested)
		return ERR_PTR(-ENOMEM);
	nested->domain.type = IOMMU_DOMAIN_NESTED;
	nested->domain.ops = &mock_nested_ops;
	nested->parent = parent;
	for (size_t i = 0; i < ARRAY_SIZE(nested->iotlb); i++)
		nested->iotlb[i] = cfg.iotlb;
	return &nested->domain;
}

static struct iommu_domain *mock_alloc_nested(struct iommu_dev *dev, struct iommu_domain *parent,
					      u32 flags, const struct iommu_user_data *data)
{
	return mock_nested_create(parent, flags, data);
}

static const struct iommu_domain_ops mock_blocked_ops = { .attach_dev = mock_attach_dev };
static struct iommu_domain mock_blocked = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &mock_blocked_ops,
};

static bool mock_capable(struct iommu_dev *dev, enum iommu_cap cap)
{
	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
		return true;
	case IOMMU_CAP_DIRTY_TRACKING:
		return !(to_mdev(dev)->flags & MOCK_FLAGS_DEVICE_NO_DIRTY);
	case IOMMU_CAP_PASID:
		return dev->max_pasids;
	default:
		return false;
	}
}

static void *mock_hw_info(struct iommu_dev *dev, u32 *length, u32 *type)
{
	struct iommu_test_hw_info *info = sv_zalloc(sizeof(*info));

	if (!info)
		return ERR_PTR(-ENOMEM);
	info->test_reg = IOMMU_HW_INFO_SELFTEST_REGVAL;
	*length = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_SELFTEST;
	return info;
}

/* The mock's requests wait for nothing; that one may be taken at all costs a step that can fail. */
static int mock_enable_iopf(struct iommu_dev *dev)
{
	return sv_fault() ? -ENOMEM : 0;
}

static void mock_page_response(struct iommu_dev *dev, struct iopf_group *group, u32 grpid, u32 code)
{
}

const struct iommu_ops mock_ops = {
	.name = "mock",
	.capable = mock_capable,
	.hw_info = mock_hw_info,
	.domain_alloc_paging = mock_alloc_paging,
	.domain_alloc_nested = mock_alloc_nested,
	.enable_iopf = mock_enable_iopf,
	.page_response = mock_page_response,
	.viommu = &mock_viommu_ops,
	.blocked_domain = &mock_blocked,
	.max_pasids = 1u << MOCK_PASID_WIDTH,
	.user_pasid_table = true,
};

struct mock_dev *mock_dev_create(u32 flags)
{
	static u32 next;
	struct mock_dev *mdev;
	u32 id;
	int err;

	if (flags & ~(u32)(MOCK_FLAGS_DEVICE_NO_DIRTY | MOCK_FLAGS_DEVICE_HUGE_IOVA |
			   MOCK_FLAGS_DEVICE_PASID))
		return ERR_PTR(-EINVAL);
	mdev = sv_zalloc(sizeof(*mdev));
	if (!mdev)
		return ERR_PTR(-ENOMEM);
	id = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
	snprintf(mdev->name, sizeof(mdev->name), "iommufd_mock%u", id);
	mdev->flags = flags;
	sv_rwlock_init(&mdev->lock);
	INIT_LIST_HEAD(&mdev->attached);
	for (size_t i = 0; i < ARRAY_SIZE(mdev->cache); i++)
		mdev->cache[i] = IOMMU_TEST_DEV_CACHE_DEFAULT;
	mdev->dev.dev.init_name = mdev->name;
	mdev->dev.iommu = &mock_ops;
	mdev->dev.in_ctx = true;
	mdev->dev.pri = true;
	if (flags & MOCK_FLAGS_DEVICE_PASID)
		mdev->dev.max_pasids = mock_ops.max_pasids;
	/* A group of its own, far from those of devices. */
	err = iommu_dev_init(&mdev->dev, 0x40000000u + id);
	if (err) {
		sv_rwlock_destroy(&mdev->lock);
		sv_free(mdev);
		return ERR_PTR(err);
	}
	return mdev;
}

void mock_dev_destroy(struct mock_dev *mdev)
{
	iommu_dev_fini(&mdev->dev);
	sv_rwlock_destroy(&mdev->lock);
	sv_free(mdev);
}

/* The number of the page frame behind an address; 0: unknown. Needs privileges. */
static u64 page_frame(u64 addr)
{
	volatile const char *p = (const char *)(uintptr_t)addr;
	u64 entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	(void)*p;
	if (pread(fd, &entry, sizeof(entry), (off_t)(addr / SV_PAGE_SIZE * sizeof(entry))) !=
	    sizeof(entry))
		entry = 0;
	close(fd);
	return entry >> 63 ? entry & GENMASK(54, 0) : 0;
}

bool mock_same_page(u64 a, u64 b)
{
	u64 frame;

	if ((a ^ b) & (SV_PAGE_SIZE - 1))
		return false;
	if (a == b)
		return true;
	frame = page_frame(a);
	return frame && frame == page_frame(b);
}
