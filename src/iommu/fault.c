/* SPDX-License-Identifier: MIT */
/*
 * Fault queues: page requests of devices that a program answers.
 *
 * Model: a request on a HWPT with a fault queue goes to the end of the queue's deliver list; a
 * read moves it to response and gives it a cookie; a write of the cookie with a code answers it and
 * lets the device go on. A device that is detached, and a queue that goes, answer "invalid"
 * for what is still there.
 *
 * A group (iommu.h) that is on one of the lists is held by us. Locks: mutex (readers, writers,
 * response), then common.lock (deliver); the answer is given under mutex, so that a detach that
 * has returned leaves nothing behind.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "iommu/objects.h"

_Static_assert(!offsetof(struct iommufd_fault, common.obj), "_iommufd_object_alloc relies on it");

/* The device object of this context; 0: it is being unbound. */
static u32 find_dev_id(struct iommufd_ctx *ictx, const struct iommu_dev *dev)
{
	struct interval_tree_node *n;
	u32 id;

	sv_mutex_lock(&ictx->lock);
	n = interval_tree_iter_first(&ictx->devices, (u64)dev, (u64)dev);
	id = n ? container_of(n, struct iommufd_device, by_dev)->obj.id : 0;
	sv_mutex_unlock(&ictx->lock);
	return id;
}

int iommufd_fault_iopf_handler(struct iopf_group *group)
{
	struct iommufd_hw_pagetable *hwpt = group->domain->fault_data;
	struct iommufd_fault *fault = hwpt->fault;

	group->dev_id = find_dev_id(fault->common.ictx, group->dev);
	iopf_group_get(group);
	sv_mutex_lock(&fault->common.lock);
	list_add_tail(&group->node, &fault->common.deliver);
	iommufd_eventq_update(&fault->common);
	sv_mutex_unlock(&fault->common.lock);
	return 0;
}

/* group is on no list any more. */
static void answer(struct iopf_group *group, u32 code)
{
	iopf_group_response(group, code);
	iopf_group_put(group);
}

static bool is_of(const struct iopf_group *group, const struct iommufd_hw_pagetable *hwpt,
		  const struct iommufd_device *idev, u32 pasid)
{
	return group->domain == hwpt->domain && group->dev == idev->dev &&
	       (group->via_rid ? IOMMU_NO_PASID : group->pasid) == pasid;
}

void iommufd_fault_auto_response(struct iommufd_hw_pagetable *hwpt, struct iommufd_device *idev,
				 u32 pasid)
{
	struct iommufd_fault *fault = hwpt->fault;
	struct iopf_group *group, *next;
	LIST_HEAD(gone);

	sv_mutex_lock(&fault->mutex);
	sv_mutex_lock(&fault->common.lock);
	list_for_each_entry_safe(group, next, &fault->common.deliver, node)
		if (is_of(group, hwpt, idev, pasid))
			list_move_tail(&group->node, &gone);
	iommufd_eventq_update(&fault->common);
	sv_mutex_unlock(&fault->common.lock);
	list_for_each_entry_safe(group, next, &fault->response, node)
		if (is_of(group, hwpt, idev, pasid))
			list_move_tail(&group->node, &gone);
	list_for_each_entry_safe(group, next, &gone, node) {
		list_del(&group->node);
		answer(group, IOMMUFD_PAGE_RESP_INVALID);
	}
	sv_mutex_unlock(&fault->mutex);
}

/* No HWPT uses it and its descriptor is closed. */
void iommufd_fault_destroy(struct iommufd_object *obj)
{
	struct iommufd_fault *fault = container_of(obj, struct iommufd_fault, common.obj);
	struct iopf_group *group, *next;

	list_splice_tail_init(&fault->common.deliver, &fault->response);
	list_for_each_entry_safe(group, next, &fault->response, node) {
		list_del(&group->node);
		answer(group, IOMMUFD_PAGE_RESP_INVALID);
	}
	sv_mutex_destroy(&fault->mutex);
	sv_mutex_destroy(&fault->common.lock);
}

struct iommufd_fault *iommufd_get_fault(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_FAULT);

	return IS_ERR(obj) ? ERR_CAST(obj) : container_of(obj, struct iommufd_fault, common.obj);
}

static struct iopf_group *deliver_fetch(struct iommufd_fault *fault)
{
	struct iopf_group *group;

	sv_mutex_lock(&fault->common.lock);
	group = list_first_entry_or_null(&fault->common.deliver, struct iopf_group, node);
	if (group) {
		list_del(&group->node);
		iommufd_eventq_update(&fault->common);
	}
	sv_mutex_unlock(&fault->common.lock);
	return group;
}

static void deliver_restore(struct iommufd_fault *fault, struct iopf_group *group)
{
	sv_mutex_lock(&fault->common.lock);
	list_add(&group->node, &fault->common.deliver);
	iommufd_eventq_update(&fault->common);
	sv_mutex_unlock(&fault->common.lock);
}

/* mutex held */
static struct iopf_group *find_response(struct iommufd_fault *fault, u32 cookie)
{
	struct iopf_group *group;

	list_for_each_entry(group, &fault->response, node)
		if (group->cookie == cookie)
			return group;
	return NULL;
}

/* One that no answer is awaited for, never 0. mutex held */
static u32 new_cookie(struct iommufd_fault *fault)
{
	do {
		fault->next_cookie++;
	} while (!fault->next_cookie || find_response(fault, fault->next_cookie));
	return fault->next_cookie;
}

static int copy_fault(const struct iopf_group *group, void *user)
{
	struct iommu_hwpt_pgfault data = {
		.flags = IOMMU_PGFAULT_FLAGS_LAST_PAGE |
			 (group->pasid != IOMMU_NO_PASID ? IOMMU_PGFAULT_FLAGS_PASID_VALID : 0),
		.dev_id = group->dev_id,
		.pasid = group->pasid,
		.grpid = group->grpid,
		.perm = group->perm,
		.addr = group->addr,
		.cookie = group->cookie,
	};

	return sv_copy_to_user(user, &data, sizeof(data));
}

/* Whole records, as many as there are and fit; 0 when there are none. */
static ssize_t fault_read(struct sv_file *f, void *user, size_t count, u64 *pos, bool stream)
{
	struct iommufd_fault *fault = container_of(sv_file_priv(f), struct iommufd_fault, common);
	const size_t size = sizeof(struct iommu_hwpt_pgfault);
	struct iopf_group *group;
	size_t done = 0;
	int err = 0;

	if (!stream || count % size)
		return -ESPIPE;
	sv_mutex_lock(&fault->mutex);
	while ((group = deliver_fetch(fault))) {
		if (count - done < size)
			err = -EINVAL;
		else if (sv_fault())
			err = -ENOMEM;
		if (!err) {
			group->cookie = new_cookie(fault);
			err = copy_fault(group, (char *)user + done);
		}
		if (err) {
			deliver_restore(fault, group);
			break;
		}
		list_add_tail(&group->node, &fault->response);
		done += size;
	}
	sv_mutex_unlock(&fault->mutex);
	return done ? (ssize_t)done : err;
}

static int answer_one(struct iommufd_fault *fault, const void *user)
{
	struct iommu_hwpt_page_response response;
	struct iopf_group *group;

	if (sv_copy_from_user(&response, user, sizeof(response)))
		return -EFAULT;
	if (response.code != IOMMUFD_PAGE_RESP_SUCCESS &&
	    response.code != IOMMUFD_PAGE_RESP_INVALID)
		return -EINVAL;
	group = find_response(fault, response.cookie);
	if (!group)
		return -EINVAL;
	list_del(&group->node);
	answer(group, response.code);
	return 0;
}

static ssize_t fault_write(struct sv_file *f, const void *user, size_t count, u64 *pos, bool stream)
{
	struct iommufd_fault *fault = container_of(sv_file_priv(f), struct iommufd_fault, common);
	const size_t size = sizeof(struct iommu_hwpt_page_response);
	size_t done = 0;
	int err = 0;

	if (!stream || count % size)
		return -ESPIPE;
	sv_mutex_lock(&fault->mutex);
	while (done < count && !err) {
		err = answer_one(fault, (const char *)user + done);
		if (!err)
			done += size;
	}
	sv_mutex_unlock(&fault->mutex);
	return done ? (ssize_t)done : err;
}

static const struct sv_file_ops fault_ops = {
	.name = "iommufd-pgfault",
	.read = fault_read,
	.write = fault_write,
	.release = iommufd_eventq_release,
	.bound_to_mm = true,
};

long iommufd_fault_alloc(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_fault_alloc *cmd = c->buf;
	struct iommufd_fault *fault;
	int err;

	if (cmd->flags)
		return -EOPNOTSUPP;
	fault = (struct iommufd_fault *)(void *)
		_iommufd_object_alloc(ictx, sizeof(*fault), IOMMUFD_OBJ_FAULT);
	if (IS_ERR(fault))
		return PTR_ERR(fault);
	err = iommufd_eventq_init(&fault->common, ictx, &fault_ops);
	if (err)
		goto abort;
	sv_mutex_init(&fault->mutex);
	INIT_LIST_HEAD(&fault->response);
	cmd->out_fault_id = fault->common.obj.id;
	cmd->out_fault_fd = (u32)iommufd_eventq_fd(&fault->common);
	err = iommufd_respond(c);
	if (err) {
		sv_mutex_destroy(&fault->mutex);
		iommufd_eventq_abort(&fault->common);
		goto abort;
	}
	iommufd_object_finalize(ictx, &fault->common.obj);
	iommufd_eventq_install(&fault->common);
	return 0;
abort:
	iommufd_object_abort(ictx, &fault->common.obj);
	return err;
}
