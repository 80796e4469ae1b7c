/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_TEST_CMD: what each IOMMU_TEST_OP_* does. A mock device is an object of its context (type
 * SELFTEST) that binds itself; destroying it detaches and unbinds it.
 *
 * An access is a descriptor whose items are pins; its unmap callback unpins what an unmap overlaps,
 * as a driver must.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/err.h"
#include "base/guard.h"
#include "mock.h"

#define MAX_BYTES (16u << 20)	/* of one access */
#define MAX_PINNED 64		/* PASIDs a mock device may have attached */

struct selftest_obj {
	struct iommufd_object obj;
	struct iommufd_device *idev;
	struct mock_dev *mdev;
	struct sv_mutex lock;		/* pasids */
	u32 pasids[MAX_PINNED], nr_pasids;
};

static struct selftest_obj *get_selftest(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_SELFTEST);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct selftest_obj, obj);
}

static void selftest_destroy(struct iommufd_object *obj)
{
	struct selftest_obj *s = container_of(obj, struct selftest_obj, obj);

	for (u32 i = 0; i < s->nr_pasids; i++)
		iommufd_device_detach(s->idev, s->pasids[i]);
	iommufd_device_detach(s->idev, IOMMU_NO_PASID);
	iommufd_device_unbind(s->idev);
	mock_dev_destroy(s->mdev);
	sv_mutex_destroy(&s->lock);
}

static int op_mock_domain(struct iommufd_ctx *ictx, struct iommu_test_cmd *cmd,
			  struct sv_ioctl_ctx *c)
{
	u32 flags = cmd->op == IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS ? cmd->mock_domain.dev_flags : 0;
	u32 pt_id = cmd->id, idev_id;
	struct selftest_obj *s;
	int err;

	s = iommufd_object_alloc(ictx, s, IOMMUFD_OBJ_SELFTEST);
	if (IS_ERR(s))
		return (int)PTR_ERR(s);
	sv_mutex_init(&s->lock);
	s->mdev = mock_dev_create(flags);
	if (IS_ERR(s->mdev)) {
		err = (int)PTR_ERR(s->mdev);
		goto abort;
	}
	s->idev = iommufd_device_bind(ictx, &s->mdev->dev, &idev_id);
	if (IS_ERR(s->idev)) {
		err = (int)PTR_ERR(s->idev);
		goto dev;
	}
	err = iommufd_device_attach(s->idev, IOMMU_NO_PASID, &pt_id);
	if (err)
		goto unbind;
	cmd->mock_domain.out_hwpt_id = pt_id;
	cmd->mock_domain.out_stdev_id = s->obj.id;
	cmd->mock_domain.out_idev_id = idev_id;
	err = iommufd_respond(c);
	if (err)
		goto detach;
	iommufd_object_finalize(ictx, &s->obj);
	return 0;

detach:
	iommufd_device_detach(s->idev, IOMMU_NO_PASID);
unbind:
	iommufd_device_unbind(s->idev);
dev:
	mock_dev_destroy(s->mdev);
abort:
	sv_mutex_destroy(&s->lock);
	iommufd_object_abort(ictx, &s->obj);
	return err;
}

static int op_replace(struct iommufd_ctx *ictx, struct iommu_test_cmd *cmd)
{
	struct selftest_obj *s = get_selftest(ictx, cmd->id);
	int err;

	if (IS_ERR(s))
		return (int)PTR_ERR(s);
	err = iommufd_device_replace(s->idev, IOMMU_NO_PASID, &cmd->mock_domain_replace.pt_id);
	iommufd_put_object(ictx, &s->obj);
	return err;
}

/* s->lock held */
static int pasid_index(const struct selftest_obj *s, u32 pasid)
{
	for (u32 i = 0; i < s->nr_pasids; i++)
		if (s->pasids[i] == pasid)
			return (int)i;
	return -1;
}

/* The domain of a HWPT is what the device has at a PASID (hwpt 0: nothing is). */
static int check_hwpt(struct iommufd_ctx *ictx, struct selftest_obj *s, u32 pasid, u32 hwpt_id)
{
	struct iommu_domain *domain = NULL;
	struct iommufd_object *obj;
	int err;

	if (hwpt_id) {
		obj = iommufd_get_object(ictx, hwpt_id, IOMMUFD_OBJ_ANY);
		if (IS_ERR(obj))
			return (int)PTR_ERR(obj);
		if (obj->type != IOMMUFD_OBJ_HWPT_PAGING && obj->type != IOMMUFD_OBJ_HWPT_NESTED) {
			iommufd_put_object(ictx, obj);
			return -EINVAL;
		}
		domain = container_of(obj, struct iommufd_hw_pagetable, obj)->domain;
		iommufd_put_object(ictx, obj);
	}
	sv_read_lock(&s->mdev->lock);
	err = mock_dev_domain(s->mdev, pasid) == domain ? 0 : -EINVAL;
	sv_read_unlock(&s->mdev->lock);
	return err;
}

static int op_pasid(struct iommufd_ctx *ictx, struct iommu_test_cmd *cmd)
{
	struct selftest_obj *s = get_selftest(ictx, cmd->id);
	u32 pasid = cmd->pasid_attach.pasid;
	int err = -EINVAL, i;

	if (IS_ERR(s))
		return (int)PTR_ERR(s);
	sv_mutex_lock(&s->lock);
	i = pasid_index(s, pasid);
	if (cmd->op == IOMMU_TEST_OP_PASID_ATTACH && s->nr_pasids < MAX_PINNED && pasid) {
		err = iommufd_device_attach(s->idev, pasid, &cmd->pasid_attach.pt_id);
		if (!err)
			s->pasids[s->nr_pasids++] = pasid;
	} else if (cmd->op == IOMMU_TEST_OP_PASID_REPLACE && pasid) {
		err = iommufd_device_replace(s->idev, pasid, &cmd->pasid_attach.pt_id);
	} else if (cmd->op == IOMMU_TEST_OP_PASID_DETACH && i >= 0) {
		iommufd_device_detach(s->idev, pasid);
		s->pasids[i] = s->pasids[--s->nr_pasids];
		err = 0;
	} else if (cmd->op == IOMMU_TEST_OP_PASID_CHECK_HWPT) {
		err = check_hwpt(ictx, s, pasid, cmd->pasid_check.hwpt_id);
	}
	sv_mutex_unlock(&s->lock);
	iommufd_put_object(ictx, &s->obj);
	return err;
}

static int op_add_reserved(struct iommufd_ctx *ictx, const struct iommu_test_cmd *cmd)
{
	struct iommufd_ioas *ioas;
	u64 last;
	int err;

	if (!cmd->add_reserved.length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->add_reserved.start, cmd->add_reserved.length - 1, &last))
		return -EOVERFLOW;
	ioas = iommufd_get_ioas(ictx, cmd->id);
	if (IS_ERR(ioas))
		return (int)PTR_ERR(ioas);
	err = iopt_reserve_iova(&ioas->iopt, cmd->add_reserved.start, last, NULL);
	iommufd_put_object(ictx, &ioas->obj);
	return err;
}

/* *obj holds the HWPT until put. */
static struct mock_domain *get_mock(struct iommufd_ctx *ictx, u32 id, struct iommufd_object **obj)
{
	struct iommu_domain *domain;

	*obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_HWPT_PAGING);
	if (IS_ERR(*obj))
		return ERR_CAST(*obj);
	domain = container_of(*obj, struct iommufd_hw_pagetable, obj)->domain;
	if (domain->ops != &mock_paging_ops) {
		iommufd_put_object(ictx, *obj);
		return ERR_PTR(-EINVAL);
	}
	return container_of(domain, struct mock_domain, domain);
}

/* Does the caller's memory have a page there? */
static bool user_page_present(u64 uptr)
{
	char c;

	return !sv_copy_from_user(&c, (void *)(uintptr_t)uptr, 1);
}

static int check_map(struct mock_domain *mock, u64 iova, u64 length, u64 uptr)
{
	for (u64 off = 0; off < length; off += MOCK_IO_PAGE_SIZE) {
		u64 pte = mock_domain_pte(mock, iova + off);

		if (!user_page_present(uptr + off))
			return -EFAULT;
		if (!pte || !mock_same_page(pte & ~MOCK_PTE_FLAGS, uptr + off))
			return -EINVAL;
	}
	return 0;
}

static int op_check_map(struct iommufd_ctx *ictx, const struct iommu_test_cmd *cmd)
{
	u64 iova = cmd->check_map.iova, length = cmd->check_map.length, uptr = cmd->check_map.uptr;
	struct iommufd_object *obj;
	struct mock_domain *mock;
	u64 end;
	int err;

	if ((iova | length | uptr) % MOCK_IO_PAGE_SIZE ||
	    __builtin_add_overflow(uptr, length, &end))
		return -EINVAL;
	mock = get_mock(ictx, cmd->id, &obj);
	if (IS_ERR(mock))
		return (int)PTR_ERR(mock);
	err = check_map(mock, iova, length, uptr);
	iommufd_put_object(ictx, obj);
	return err;
}

static int op_check_refs(const struct iommu_test_cmd *cmd)
{
	u64 uptr = cmd->check_refs.uptr, length = cmd->check_refs.length, end;

	if ((uptr | length) % SV_PAGE_SIZE || __builtin_add_overflow(uptr, length, &end))
		return -EINVAL;
	for (; uptr < end; uptr += SV_PAGE_SIZE) {
		if (!user_page_present(uptr))
			return -EFAULT;
		if (iopt_user_page_pins(uptr) != cmd->check_refs.refs)
			return -EIO;
	}
	return 0;
}

struct staccess {
	struct sv_file *file;
	struct iommufd_access *access;
	struct sv_mutex lock;		/* items */
	struct list_head items;
	u32 next_id;
};

struct staccess_item {
	struct list_head node;
	u64 iova, length;
	u32 id;
};

static void staccess_unmap(void *data, u64 iova, u64 length)
{
	struct staccess *st = data;
	struct staccess_item *item, *next;
	/* Everything is said with a length that reaches to the end. */
	u64 last = length && iova + length - 1 >= iova ? iova + length - 1 : ~0ull;

	sv_mutex_lock(&st->lock);
	list_for_each_entry_safe(item, next, &st->items, node) {
		if (iova > item->iova + item->length - 1 || last < item->iova)
			continue;
		list_del(&item->node);
		iommufd_access_unpin_pages(st->access, item->iova, item->length);
		sv_free(item);
	}
	sv_mutex_unlock(&st->lock);
}

static const struct iommufd_access_ops staccess_ops = { .unmap = staccess_unmap };
static const struct iommufd_access_ops staccess_ops_pin = {
	.needs_pin_pages = true,
	.unmap = staccess_unmap,
};

static void staccess_release(struct sv_file *f)
{
	struct staccess *st = sv_file_priv(f);

	if (st->access) {
		staccess_unmap(st, 0, ~0ull);
		iommufd_access_destroy(st->access);
	}
	sv_mutex_destroy(&st->lock);
	sv_free(st);
}

static const struct sv_file_ops staccess_file_ops = {
	.name = "iommufd-test-access",
	.release = staccess_release,
};

static struct staccess *staccess_get(u32 fd)
{
	struct sv_file *f = sv_fget((int)fd, &staccess_file_ops);

	return f ? sv_file_priv(f) : ERR_PTR(-EBADFD);
}

static int op_create_access(struct iommufd_ctx *ictx, struct iommu_test_cmd *cmd,
			    struct sv_ioctl_ctx *c)
{
	bool pin = cmd->create_access.flags & MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES;
	struct iommufd_access *access;
	struct staccess *st;
	u32 id;
	int err;

	if (cmd->create_access.flags & ~(u32)MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES)
		return -EOPNOTSUPP;
	st = sv_zalloc(sizeof(*st));
	if (!st)
		return -ENOMEM;
	sv_mutex_init(&st->lock);
	INIT_LIST_HEAD(&st->items);
	err = sv_file_create(&staccess_file_ops, st, SV_BACKING_EVENTFD, 0, O_CLOEXEC, &st->file);
	if (err) {
		sv_mutex_destroy(&st->lock);
		sv_free(st);
		return err;
	}
	access = iommufd_access_create(ictx, pin ? &staccess_ops_pin : &staccess_ops, st, &id);
	if (IS_ERR(access)) {
		err = (int)PTR_ERR(access);
		goto put;
	}
	st->access = access;
	err = iommufd_access_attach(access, cmd->id);
	if (err)
		goto put;
	cmd->create_access.out_access_fd = (u32)sv_file_number(st->file);
	err = iommufd_respond(c);
	if (err)
		goto put;
	sv_file_install(st->file);
	return 0;
put:
	sv_file_put(st->file);	/* destroys the access */
	return err;
}

static int op_access_replace(struct iommu_test_cmd *cmd)
{
	struct staccess *st = staccess_get(cmd->id);
	int err;

	if (IS_ERR(st))
		return (int)PTR_ERR(st);
	err = iommufd_access_replace(st->access, cmd->access_replace_ioas.ioas_id);
	sv_file_put(st->file);
	return err;
}

/* Fuzzers can't know IOVAs: the word is then the n-th area and an offset in it. */
struct syz {
	u32 nth, offset;
	u64 iova;
};

static int syz_area(void *arg, u64 iova, u64 length)
{
	struct syz *s = arg;

	if (s->nth--)
		return 0;
	s->iova = iova + s->offset;
	return 1;
}

static u64 syz_iova(struct staccess *st, u64 iova)
{
	struct syz s = { .nth = (u32)iova, .offset = (u32)(iova >> 32) };

	sv_mutex_lock(&st->access->lock);
	if (st->access->ioas)
		(void)iopt_for_each_area(&st->access->ioas->iopt, 0, ~0ull, syz_area, &s);
	sv_mutex_unlock(&st->access->lock);
	return s.iova;
}

static int check_pages(u64 uptr, void **addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!user_page_present(uptr + i * SV_PAGE_SIZE))
			return -EFAULT;
		if (!mock_same_page((u64)(uintptr_t)addrs[i], uptr + i * SV_PAGE_SIZE))
			return -EBADE;
	}
	return 0;
}

/* st->lock held: an unmap in between finds the item or fails the pin. */
static int access_pages(struct staccess *st, struct iommu_test_cmd *cmd, struct sv_ioctl_ctx *c,
			u64 iova, void **addrs, size_t npages)
{
	u64 length = cmd->access_pages.length, uptr = cmd->access_pages.uptr;
	struct staccess_item *item;
	int err;

	err = iommufd_access_pin_pages(st->access, iova, length, addrs,
				       cmd->access_pages.flags & MOCK_FLAGS_ACCESS_WRITE);
	if (err)
		return err;
	if (uptr)
		err = check_pages(uptr - iova % SV_PAGE_SIZE, addrs, npages);
	item = err ? NULL : sv_zalloc(sizeof(*item));
	if (!err && !item)
		err = -ENOMEM;
	if (!err) {
		item->iova = iova;
		item->length = length;
		item->id = st->next_id++;
		cmd->access_pages.out_access_pages_id = item->id;
		err = iommufd_respond(c);
	}
	if (err) {
		sv_free(item);
		iommufd_access_unpin_pages(st->access, iova, length);
	} else {
		list_add_tail(&item->node, &st->items);
	}
	return err;
}

static int op_access_pages(struct iommu_test_cmd *cmd, struct sv_ioctl_ctx *c)
{
	u64 iova = cmd->access_pages.iova, length = cmd->access_pages.length;
	struct staccess *st;
	void **addrs = NULL;
	size_t npages;
	int err;

	if (length > MAX_BYTES)
		return -ENOMEM;
	if (cmd->access_pages.flags & ~(u32)(MOCK_FLAGS_ACCESS_WRITE | MOCK_FLAGS_ACCESS_SYZ))
		return -EOPNOTSUPP;
	st = staccess_get(cmd->id);
	if (IS_ERR(st))
		return (int)PTR_ERR(st);
	if (st->access->ops != &staccess_ops_pin) {
		err = -EOPNOTSUPP;
		goto put;
	}
	if (cmd->access_pages.flags & MOCK_FLAGS_ACCESS_SYZ)
		iova = syz_iova(st, iova);
	npages = (ALIGN_UP(iova % SV_PAGE_SIZE + length, SV_PAGE_SIZE)) / SV_PAGE_SIZE;
	addrs = sv_calloc(npages, sizeof(*addrs));
	if (!addrs) {
		err = -ENOMEM;
		goto put;
	}
	sv_mutex_lock(&st->lock);
	err = access_pages(st, cmd, c, iova, addrs, npages);
	sv_mutex_unlock(&st->lock);
	sv_free(addrs);
put:
	sv_file_put(st->file);
	return err;
}

static int op_destroy_pages(const struct iommu_test_cmd *cmd)
{
	struct staccess *st = staccess_get(cmd->id);
	struct staccess_item *item, *found = NULL;

	if (IS_ERR(st))
		return (int)PTR_ERR(st);
	sv_mutex_lock(&st->lock);
	list_for_each_entry(item, &st->items, node)
		if (item->id == cmd->destroy_access_pages.access_pages_id)
			found = item;
	if (found) {
		list_del(&found->node);
		iommufd_access_unpin_pages(st->access, found->iova, found->length);
		sv_free(found);
	}
	sv_mutex_unlock(&st->lock);
	sv_file_put(st->file);
	return found ? 0 : -ENOENT;
}

static int op_access_rw(const struct iommu_test_cmd *cmd)
{
	void *user = (void *)(uintptr_t)cmd->access_rw.uptr, *tmp;
	u64 iova = cmd->access_rw.iova, length = cmd->access_rw.length;
	u32 flags = cmd->access_rw.flags;
	struct staccess *st;
	int err = 0;

	if (length > MAX_BYTES)
		return -ENOMEM;
	if (flags & ~(u32)(MOCK_ACCESS_RW_WRITE | MOCK_ACCESS_RW_SLOW_PATH | MOCK_FLAGS_ACCESS_SYZ))
		return -EOPNOTSUPP;
	st = staccess_get(cmd->id);
	if (IS_ERR(st))
		return (int)PTR_ERR(st);
	tmp = sv_zalloc(length);
	if (!tmp)
		err = -ENOMEM;
	if (!err && (flags & MOCK_ACCESS_RW_WRITE) && sv_copy_from_user(tmp, user, length))
		err = -EFAULT;
	if (flags & MOCK_FLAGS_ACCESS_SYZ)
		iova = syz_iova(st, iova);
	if (!err)
		err = iommufd_access_rw(st->access, iova, tmp, length,
					flags & ~(u32)MOCK_FLAGS_ACCESS_SYZ);
	if (!err && !(flags & MOCK_ACCESS_RW_WRITE) && sv_copy_to_user(user, tmp, length))
		err = -EFAULT;
	sv_free(tmp);
	sv_file_put(st->file);
	return err;
}

static int set_dirty(struct mock_domain *mock, struct iommu_test_cmd *cmd, u64 max)
{
	u64 bytes = (max + 7) / 8;
	u8 *bits = sv_zalloc(bytes);
	int err = 0;

	if (!bits)
		return -ENOMEM;
	if (sv_copy_from_user(bits, (void *)(uintptr_t)cmd->dirty.uptr, bytes))
		err = -EFAULT;
	cmd->dirty.out_nr_dirty = 0;
	for (u64 i = 0; !err && i < max; i++)
		if (bits[i / 8] & (1u << (i % 8)))
			cmd->dirty.out_nr_dirty +=
				mock_domain_set_dirty(mock, cmd->dirty.iova +
						      i * cmd->dirty.page_size);
	sv_free(bits);
	return err;
}

static int op_dirty(struct iommufd_ctx *ictx, struct iommu_test_cmd *cmd)
{
	u64 page_size = cmd->dirty.page_size, length = cmd->dirty.length;
	struct iommufd_object *obj;
	struct mock_domain *mock;
	int err;

	if (!page_size || !length || cmd->dirty.iova % page_size || length % page_size ||
	    !cmd->dirty.uptr)
		return -EINVAL;
	if (length / page_size > (u64)MAX_BYTES * 8)
		return -EOVERFLOW;
	mock = get_mock(ictx, cmd->id, &obj);
	if (IS_ERR(mock))
		return (int)PTR_ERR(mock);
	err = mock->tracking ? set_dirty(mock, cmd, length / page_size) : -EINVAL;
	iommufd_put_object(ictx, obj);
	return err;
}

static int op_check_iotlb(struct iommufd_ctx *ictx, const struct iommu_test_cmd *cmd)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, cmd->id, IOMMUFD_OBJ_HWPT_NESTED);
	struct iommu_domain *domain;
	int err = -EINVAL;

	if (IS_ERR(obj))
		return (int)PTR_ERR(obj);
	domain = container_of(obj, struct iommufd_hw_pagetable, obj)->domain;
	if (domain->ops == &mock_nested_ops &&
	    cmd->check_iotlb.id < MOCK_NESTED_DOMAIN_IOTLB_NUM &&
	    container_of(domain, struct mock_nested, domain)->iotlb[cmd->check_iotlb.id] ==
	    cmd->check_iotlb.iotlb)
		err = 0;
	iommufd_put_object(ictx, obj);
	return err;
}

/* idev of a mock device; put by the caller. */
static struct iommufd_device *get_mock_idev(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_device *idev = iommufd_get_device(ictx, id);

	if (!IS_ERR(idev) && idev->dev->iommu != &mock_ops) {
		iommufd_put_object(ictx, &idev->obj);
		return ERR_PTR(-EINVAL);
	}
	return idev;
}

/*
 * The domain that a request goes to: the PASID's, or the nested one that the device's own
 * traffic has, whose PASID table is the guest's.
 */
static struct iommu_domain *fault_domain(struct mock_dev *mdev, struct iopf_group *group)
{
	struct iommu_domain *d = mock_dev_domain(mdev, group->pasid);

	if (!d && group->pasid != IOMMU_NO_PASID) {
		d = mock_dev_domain(mdev, IOMMU_NO_PASID);
		group->via_rid = true;
		if (d && d->type != IOMMU_DOMAIN_NESTED)
			d = NULL;
	}
	return d;
}

static int op_trigger_iopf(struct iommufd_ctx *ictx, const struct iommu_test_cmd *cmd)
{
	struct iommufd_device *idev = get_mock_idev(ictx, cmd->trigger_iopf.dev_id);
	struct iopf_group *group;
	struct mock_dev *mdev;
	int err = 0;

	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	mdev = container_of(idev->dev, struct mock_dev, dev);
	/* iopf_group_put() frees it. */
	group = sv_zalloc(sizeof(*group));
	if (!group) {
		err = -ENOMEM;
		goto put;
	}
	refcount_set(&group->refs, 1);
	INIT_LIST_HEAD(&group->node);
	group->dev = idev->dev;
	group->pasid = cmd->trigger_iopf.pasid;
	group->grpid = cmd->trigger_iopf.grpid;
	group->perm = cmd->trigger_iopf.perm;
	group->addr = cmd->trigger_iopf.addr;
	/* Held: no detach ends the domain while its handler runs. */
	sv_read_lock(&mdev->lock);
	group->domain = fault_domain(mdev, group);
	if (group->domain && group->domain->iopf_handler)
		(void)group->domain->iopf_handler(group);
	sv_read_unlock(&mdev->lock);
	iopf_group_put(group);
put:
	iommufd_put_object(ictx, &idev->obj);
	return err;
}

static int op_check_dev_cache(struct iommufd_ctx *ictx, const struct iommu_test_cmd *cmd)
{
	struct iommufd_device *idev = get_mock_idev(ictx, cmd->id);
	struct mock_dev *mdev;
	int err = -EINVAL;

	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	mdev = container_of(idev->dev, struct mock_dev, dev);
	if (cmd->check_dev_cache.id < MOCK_DEV_CACHE_NUM &&
	    READ_ONCE(mdev->cache[cmd->check_dev_cache.id]) == cmd->check_dev_cache.cache)
		err = 0;
	iommufd_put_object(ictx, &idev->obj);
	return err;
}

/* The device's vIOMMU reports an event with the device's virtual id. */
static int op_trigger_vevent(struct iommufd_ctx *ictx, const struct iommu_test_cmd *cmd)
{
	struct iommufd_device *idev = get_mock_idev(ictx, cmd->trigger_vevent.dev_id);
	struct iommu_viommu_event_selftest event;
	int err = -ENOENT;

	if (IS_ERR(idev))
		return (int)PTR_ERR(idev);
	sv_mutex_lock(&idev->vdev_lock);
	if (idev->vdev) {
		event.virt_id = (u32)idev->vdev->node.start;
		err = iommufd_viommu_report_event(idev->vdev->viommu, IOMMU_VEVENTQ_TYPE_SELFTEST,
						  &event, sizeof(event));
	}
	sv_mutex_unlock(&idev->vdev_lock);
	iommufd_put_object(ictx, &idev->obj);
	return err;
}

static long mock_ioctl(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_test_cmd *cmd = c->buf;

	switch (cmd->op) {
	case IOMMU_TEST_OP_ADD_RESERVED:
		return op_add_reserved(ictx, cmd);
	case IOMMU_TEST_OP_MOCK_DOMAIN:
	case IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS:
		return op_mock_domain(ictx, cmd, c);
	case IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE:
		return op_replace(ictx, cmd);
	case IOMMU_TEST_OP_MD_CHECK_MAP:
		return op_check_map(ictx, cmd);
	case IOMMU_TEST_OP_MD_CHECK_REFS:
		return op_check_refs(cmd);
	case IOMMU_TEST_OP_MD_CHECK_IOTLB:
		return op_check_iotlb(ictx, cmd);
	case IOMMU_TEST_OP_CREATE_ACCESS:
		return op_create_access(ictx, cmd, c);
	case IOMMU_TEST_OP_ACCESS_REPLACE_IOAS:
		return op_access_replace(cmd);
	case IOMMU_TEST_OP_ACCESS_PAGES:
		return op_access_pages(cmd, c);
	case IOMMU_TEST_OP_ACCESS_RW:
		return op_access_rw(cmd);
	case IOMMU_TEST_OP_DESTROY_ACCESS_PAGES:
		return op_destroy_pages(cmd);
	case IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT:
		/* Nothing here works in batches that a limit would cut. */
		return cmd->memory_limit.limit < sizeof(long) + sizeof(u32) ? -EINVAL : 0;
	case IOMMU_TEST_OP_DIRTY:
		return op_dirty(ictx, cmd);
	case IOMMU_TEST_OP_TRIGGER_IOPF:
		return op_trigger_iopf(ictx, cmd);
	case IOMMU_TEST_OP_DEV_CHECK_CACHE:
		return op_check_dev_cache(ictx, cmd);
	case IOMMU_TEST_OP_TRIGGER_VEVENT:
		return op_trigger_vevent(ictx, cmd);
	case IOMMU_TEST_OP_PASID_ATTACH:
	case IOMMU_TEST_OP_PASID_REPLACE:
	case IOMMU_TEST_OP_PASID_DETACH:
	case IOMMU_TEST_OP_PASID_CHECK_HWPT:
		return op_pasid(ictx, cmd);
	default:
		return -EOPNOTSUPP;
	}
}

static const struct iommufd_test_module module = {
	.ioctl = mock_ioctl,
	.destroy = selftest_destroy,
};

void mock_iommufd_init(void)
{
	iommufd_test_module = &module;
}
