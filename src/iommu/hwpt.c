/* SPDX-License-Identifier: MIT */
/*
 * Hardware page tables: an iommu_domain with an id.
 *
 * Model: a paging HWPT belongs to an IOAS, whose mappings fill its domain from its making to
 * its end. It is made by ALLOC, or by attaching a device to the IOAS (automatic: it goes with
 * the last device). A nested HWPT is a guest's page table on top of a paging one that was made
 * as a parent, or of a vIOMMU; its content is the guest's and only its caches are ours to drop.
 *
 * Locks: ioas->mutex from before a paging HWPT is made until it is finalized or aborted.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "iommu/viommu.h"

static void hwpt_destroy(struct iommufd_hw_pagetable *hwpt)
{
	if (hwpt->domain)
		hwpt->domain->ops->free(hwpt->domain);
	if (hwpt->fault)
		iommufd_object_unhold(&hwpt->fault->common.obj);
}

static void paging_destroy(struct iommufd_hwpt_paging *paging)
{
	if (paging->in_table)
		iopt_table_remove_domain(&paging->ioas->iopt, paging->common.domain);
	hwpt_destroy(&paging->common);
	iommufd_object_unhold(&paging->ioas->obj);
}

void iommufd_hwpt_paging_destroy(struct iommufd_object *obj)
{
	struct iommufd_hwpt_paging *paging = container_of(obj, struct iommufd_hwpt_paging,
							  common.obj);

	if (paging->in_table) {
		sv_mutex_lock(&paging->ioas->mutex);
		list_del(&paging->hwpt_item);
		sv_mutex_unlock(&paging->ioas->mutex);
	}
	paging_destroy(paging);
}

void iommufd_hwpt_paging_abort(struct iommufd_object *obj)
{
	struct iommufd_hwpt_paging *paging = container_of(obj, struct iommufd_hwpt_paging,
							  common.obj);

	if (paging->in_table)
		list_del(&paging->hwpt_item);
	paging_destroy(paging);
}

void iommufd_hwpt_nested_destroy(struct iommufd_object *obj)
{
	struct iommufd_hwpt_nested *nested = container_of(obj, struct iommufd_hwpt_nested,
							  common.obj);

	hwpt_destroy(&nested->common);
	if (nested->viommu)
		iommufd_object_unhold(&nested->viommu->obj);
	else
		iommufd_object_unhold(&nested->parent->common.obj);
}

struct iommufd_hwpt_paging *iommufd_hwpt_find_paging(struct iommufd_hw_pagetable *hwpt)
{
	return hwpt->obj.type == IOMMUFD_OBJ_HWPT_PAGING ? to_hwpt_paging(hwpt) :
							   to_hwpt_nested(hwpt)->parent;
}

void iommufd_hwpt_put(struct iommufd_ctx *ictx, struct iommufd_hw_pagetable *hwpt)
{
	if (hwpt->obj.type == IOMMUFD_OBJ_HWPT_PAGING && to_hwpt_paging(hwpt)->auto_domain)
		iommufd_object_put_and_try_destroy(ictx, &hwpt->obj);
	else
		iommufd_object_unhold(&hwpt->obj);
}

static int paging_check(struct iommufd_device *idev, u32 flags)
{
	const struct iommu_ops *ops = idev->dev->iommu;

	if (!ops->domain_alloc_paging)
		return -EOPNOTSUPP;
	if (flags & ~(u32)(IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
			   IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID))
		return -EOPNOTSUPP;
	if ((flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING) &&
	    !(ops->capable && ops->capable(idev->dev, IOMMU_CAP_DIRTY_TRACKING)))
		return -EOPNOTSUPP;
	/* The faults of a stage that only serves as a parent are its nested HWPT's. */
	if ((flags & IOMMU_HWPT_FAULT_ID_VALID) && (flags & IOMMU_HWPT_ALLOC_NEST_PARENT))
		return -EOPNOTSUPP;
	return 0;
}

static int paging_enforce_coherency(struct iommufd_hwpt_paging *paging)
{
	struct iommu_domain *d = paging->common.domain;

	paging->enforce_cache_coherency = d->ops->enforce_cache_coherency &&
					  d->ops->enforce_cache_coherency(d);
	return paging->enforce_cache_coherency ? 0 : -EINVAL;
}

/* Takes over a domain that ops has made (or its error). */
static int hwpt_set_domain(struct iommufd_hw_pagetable *hwpt, struct iommu_domain *domain,
			   const struct iommu_ops *ops)
{
	if (IS_ERR_OR_NULL(domain))
		return domain ? (int)PTR_ERR(domain) : -ENOMEM;
	hwpt->domain = domain;
	domain->owner = ops;
	return 0;
}

struct iommufd_hwpt_paging *iommufd_hwpt_paging_alloc(struct iommufd_ctx *ictx,
						      struct iommufd_ioas *ioas,
						      struct iommufd_device *idev, u32 flags,
						      const struct iommu_user_data *user_data)
{
	const struct iommu_ops *ops = idev->dev->iommu;
	struct iommufd_hwpt_paging *paging;
	int err = paging_check(idev, flags);

	if (err)
		return ERR_PTR(err);
	paging = iommufd_object_alloc(ictx, paging, IOMMUFD_OBJ_HWPT_PAGING);
	if (IS_ERR(paging))
		return paging;
	iommufd_object_hold(&ioas->obj);
	paging->ioas = ioas;
	paging->nest_parent = flags & IOMMU_HWPT_ALLOC_NEST_PARENT;
	paging->common.pasid_compat = flags & IOMMU_HWPT_ALLOC_PASID;
	err = hwpt_set_domain(&paging->common,
			      ops->domain_alloc_paging(idev->dev,
						       flags & ~(u32)IOMMU_HWPT_FAULT_ID_VALID,
						       user_data), ops);
	if (err)
		goto abort;
	/* Before the first mapping: it may be a bit of each. */
	if (idev->enforce_cache_coherency) {
		err = paging_enforce_coherency(paging);
		if (err)
			goto abort;
	}
	err = iopt_table_add_domain(&ioas->iopt, paging->common.domain);
	if (err)
		goto abort;
	paging->in_table = true;
	list_add_tail(&paging->hwpt_item, &ioas->hwpt_list);
	return paging;
abort:
	iommufd_object_abort_and_destroy(ictx, &paging->common.obj);
	return ERR_PTR(err);
}

/* What both kinds of nested HWPT demand of the call, and the object. */
static struct iommufd_hwpt_nested *nested_alloc(struct iommufd_ctx *ictx, u32 flags,
						const struct iommu_user_data *data)
{
	struct iommufd_hwpt_nested *nested;

	if ((flags & ~(u32)(IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID)) || !data->len)
		return ERR_PTR(-EOPNOTSUPP);
	nested = iommufd_object_alloc(ictx, nested, IOMMUFD_OBJ_HWPT_NESTED);
	if (!IS_ERR(nested))
		nested->common.pasid_compat = flags & IOMMU_HWPT_ALLOC_PASID;
	return nested;
}

static struct iommufd_hwpt_nested *hwpt_nested_alloc(struct iommufd_ctx *ictx,
						     struct iommufd_hwpt_paging *parent,
						     struct iommufd_device *idev, u32 flags,
						     const struct iommu_user_data *data)
{
	const struct iommu_ops *ops = idev->dev->iommu;
	struct iommufd_hwpt_nested *nested;
	int err;

	if ((flags & ~(u32)(IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID)) || !data->len ||
	    !ops->domain_alloc_nested)
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->auto_domain || !parent->nest_parent || parent->common.domain->owner != ops)
		return ERR_PTR(-EINVAL);
	nested = nested_alloc(ictx, flags, data);
	if (IS_ERR(nested))
		return nested;
	iommufd_object_hold(&parent->common.obj);
	nested->parent = parent;
	err = hwpt_set_domain(&nested->common,
			      ops->domain_alloc_nested(idev->dev, parent->common.domain,
						       flags & ~(u32)IOMMU_HWPT_FAULT_ID_VALID,
						       data), ops);
	if (err) {
		iommufd_object_abort_and_destroy(ictx, &nested->common.obj);
		return ERR_PTR(err);
	}
	return nested;
}

struct iommufd_hwpt_nested *iommufd_viommu_alloc_nested(struct iommufd_viommu *viommu,
							struct iommufd_device *idev, u32 flags,
							const struct iommu_user_data *data)
{
	struct iommufd_hwpt_nested *nested;
	int err;

	if (viommu->iommu != idev->dev->iommu)
		return ERR_PTR(-EINVAL);
	if (!viommu->ops->alloc_domain_nested)
		return ERR_PTR(-EOPNOTSUPP);
	nested = nested_alloc(viommu->ictx, flags, data);
	if (IS_ERR(nested))
		return nested;
	iommufd_object_hold(&viommu->obj);
	nested->viommu = viommu;
	nested->parent = viommu->hwpt;
	err = hwpt_set_domain(&nested->common,
			      viommu->ops->alloc_domain_nested(viommu,
				      flags & ~(u32)IOMMU_HWPT_FAULT_ID_VALID, data),
			      viommu->iommu);
	if (err) {
		iommufd_object_abort_and_destroy(viommu->ictx, &nested->common.obj);
		return ERR_PTR(err);
	}
	return nested;
}

static int hwpt_set_fault(struct iommufd_ctx *ictx, struct iommufd_hw_pagetable *hwpt, u32 id)
{
	struct iommufd_fault *fault = iommufd_get_fault(ictx, id);

	if (IS_ERR(fault))
		return (int)PTR_ERR(fault);
	hwpt->fault = fault;
	hwpt->domain->iopf_handler = iommufd_fault_iopf_handler;
	hwpt->domain->fault_data = hwpt;
	iommufd_object_hold(&fault->common.obj);
	iommufd_put_object(ictx, &fault->common.obj);
	return 0;
}

/* By what pt_id is; an IOAS's mutex is held. */
static struct iommufd_hw_pagetable *hwpt_alloc(struct iommufd_ctx *ictx,
					       struct iommufd_object *pt,
					       struct iommufd_device *idev, u32 flags,
					       const struct iommu_user_data *data)
{
	void *hwpt;

	switch (pt->type) {
	case IOMMUFD_OBJ_IOAS:
		hwpt = iommufd_hwpt_paging_alloc(ictx, container_of(pt, struct iommufd_ioas, obj),
						 idev, flags, data->len ? data : NULL);
		break;
	case IOMMUFD_OBJ_HWPT_PAGING:
		hwpt = hwpt_nested_alloc(ictx, container_of(pt, struct iommufd_hwpt_paging,
							    common.obj),
					 idev, flags, data);
		break;
	case IOMMUFD_OBJ_VIOMMU:
		hwpt = iommufd_viommu_alloc_nested(container_of(pt, struct iommufd_viommu, obj),
						   idev, flags, data);
		break;
	default:
		return ERR_PTR(-EINVAL);
	}
	/* common is the first member of both kinds; an ERR_PTR passes as it is. */
	return hwpt;
}
_Static_assert(!offsetof(struct iommufd_hwpt_paging, common), "hwpt_alloc relies on it");
_Static_assert(!offsetof(struct iommufd_hwpt_nested, common), "hwpt_alloc relies on it");

static int hwpt_alloc_and_respond(struct iommufd_ctx *ictx, struct iommufd_object *pt,
				  struct iommufd_device *idev, struct sv_ioctl_ctx *c)
{
	struct iommu_hwpt_alloc *cmd = c->buf;
	struct iommu_user_data data = {
		.type = cmd->data_type, .uptr = cmd->data_uptr, .len = cmd->data_len,
	};
	struct iommufd_hw_pagetable *hwpt = hwpt_alloc(ictx, pt, idev, cmd->flags, &data);
	int err = 0;

	if (IS_ERR(hwpt))
		return (int)PTR_ERR(hwpt);
	if (cmd->flags & IOMMU_HWPT_FAULT_ID_VALID)
		err = hwpt_set_fault(ictx, hwpt, cmd->fault_id);
	cmd->out_hwpt_id = hwpt->obj.id;
	if (!err)
		err = iommufd_respond(c);
	if (err)
		iommufd_object_abort_and_destroy(ictx, &hwpt->obj);
	else
		iommufd_object_finalize(ictx, &hwpt->obj);
	return err;
}

long iommufd_hwpt_alloc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_hwpt_alloc *cmd = c->buf;
	struct iommufd_ioas *ioas = NULL;
	struct iommufd_device *idev;
	struct iommufd_object *pt;
	int err;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	if ((cmd->data_type == IOMMU_HWPT_DATA_NONE) != !cmd->data_len)
		return -EINVAL;
	idev = iommufd_get_device(ictx, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	pt = iommufd_get_object(ictx, cmd->pt_id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(pt)) {
		iommufd_put_object(ictx, &idev->obj);
		return -EINVAL;
	}
	if (pt->type == IOMMUFD_OBJ_IOAS) {
		ioas = container_of(pt, struct iommufd_ioas, obj);
		sv_mutex_lock(&ioas->mutex);
	}
	err = hwpt_alloc_and_respond(ictx, pt, idev, c);
	if (ioas)
		sv_mutex_unlock(&ioas->mutex);
	iommufd_put_object(ictx, pt);
	iommufd_put_object(ictx, &idev->obj);
	return err;
}

static struct iommufd_hwpt_paging *get_hwpt_paging(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_HWPT_PAGING);

	return IS_ERR(obj) ? ERR_CAST(obj) :
			     container_of(obj, struct iommufd_hwpt_paging, common.obj);
}

long iommufd_hwpt_set_dirty_tracking(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	const struct iommu_hwpt_set_dirty_tracking *cmd = c->buf;
	struct iommufd_hwpt_paging *paging;
	int err;

	iommufd_no_response(c);
	if ((cmd->flags & ~(u32)IOMMU_HWPT_DIRTY_TRACKING_ENABLE) || cmd->__reserved)
		return -EOPNOTSUPP;
	paging = get_hwpt_paging(ictx, cmd->hwpt_id);
	if (IS_ERR(paging))
		return PTR_ERR(paging);
	err = iopt_set_dirty_tracking(&paging->ioas->iopt, paging->common.domain,
				      cmd->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE);
	iommufd_put_object(ictx, &paging->common.obj);
	return err;
}

long iommufd_hwpt_get_dirty_bitmap(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	const struct iommu_hwpt_get_dirty_bitmap *cmd = c->buf;
	struct iommufd_hwpt_paging *paging;
	int err;

	iommufd_no_response(c);
	if ((cmd->flags & ~(u32)IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) || cmd->__reserved)
		return -EOPNOTSUPP;
	paging = get_hwpt_paging(ictx, cmd->hwpt_id);
	if (IS_ERR(paging))
		return PTR_ERR(paging);
	err = iopt_read_and_clear_dirty(&paging->ioas->iopt, paging->common.domain, cmd->flags,
					cmd->iova, cmd->length, cmd->page_size,
					(void *)(uintptr_t)cmd->data);
	iommufd_put_object(ictx, &paging->common.obj);
	return err;
}

/* More entries than any guest's queue has; a bound for one call. */
#define INVALIDATE_MAX_ENTRIES (1u << 19)

static int invalidate_check(const struct iommu_hwpt_invalidate *cmd)
{
	if (cmd->__reserved)
		return -EOPNOTSUPP;
	/* With no entry the call only asks whether the type is known. */
	if (!cmd->entry_num)
		return 0;
	if (!cmd->data_uptr || !cmd->entry_len || cmd->entry_len > SV_PAGE_SIZE ||
	    cmd->entry_num > INVALIDATE_MAX_ENTRIES)
		return -EINVAL;
	return 0;
}

/* array->entry_num becomes how many were handled. */
static int invalidate(struct iommufd_ctx *ictx, u32 id, struct iommu_user_data_array *array)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_ANY);
	struct iommu_domain *domain;
	struct iommufd_viommu *viommu;
	int err = -EOPNOTSUPP;

	if (IS_ERR(obj)) {
		array->entry_num = 0;
		return (int)PTR_ERR(obj);
	}
	if (obj->type == IOMMUFD_OBJ_HWPT_NESTED) {
		domain = container_of(obj, struct iommufd_hw_pagetable, obj)->domain;
		if (domain->ops->cache_invalidate_user)
			err = domain->ops->cache_invalidate_user(domain, array);
		else
			array->entry_num = 0;
	} else if (obj->type == IOMMUFD_OBJ_VIOMMU) {
		viommu = container_of(obj, struct iommufd_viommu, obj);
		if (viommu->ops->cache_invalidate)
			err = viommu->ops->cache_invalidate(viommu, array);
		else
			array->entry_num = 0;
	} else {
		/* Not a page table of the user's: to this call it doesn't exist. */
		err = -ENOENT;
		array->entry_num = 0;
	}
	iommufd_put_object(ictx, obj);
	return err;
}

long iommufd_hwpt_invalidate(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommu_hwpt_invalidate *cmd = c->buf;
	struct iommu_user_data_array array = {
		.type = cmd->data_type, .uptr = cmd->data_uptr, .entry_len = cmd->entry_len,
		.entry_num = cmd->entry_num,
	};
	int err = invalidate_check(cmd);

	if (err)
		array.entry_num = 0;
	else
		err = invalidate(iommufd_ctx_of(f), cmd->hwpt_id, &array);
	cmd->entry_num = array.entry_num;
	/* The caller learns how far it went, whatever happened. */
	c->copy_out = true;
	return err;
}
