/* SPDX-License-Identifier: MIT */
/*
 * /dev/iommu: contexts, the table of objects, and the dispatch of ioctls.
 *
 * Model: an object has an id in its context, given out from 1 on, the lowest free one first.
 * It is reserved (the slot says RESERVED, nobody finds it), then finalized (the slot points to
 * it), then removed. users counts who keeps it alive: the table has one, each ioctl that looks at
 * it one, each object that depends on it one. DESTROY takes an object away whose only user is
 * the table and says EBUSY otherwise. shortterm_users counts the table and the ioctls: who destroys
 * waits until the ioctls that had found the object are through, so a destruction that has been
 * decided can't fail.
 *
 * A context lives while its descriptor, a device or access bound to it, or a descriptor of one of
 * its queues does. Closing destroys what is left, leaves first.
 *
 * Locks: ictx->lock guards the table and is innermost. An object's users can fall without
 * it, but reach zero only under it.
 */
#include <fcntl.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/log.h"
#include "iommu/objects.h"
#include "softvirt/uapi/vfio.h"

#define RESERVED ((struct iommufd_object *)8)
#define MAX_OBJECTS 0x7fffffffu

const struct iommufd_test_module *iommufd_test_module;

static void (*const destroy_ops[IOMMUFD_OBJ_MAX])(struct iommufd_object *) = {
	[IOMMUFD_OBJ_DEVICE] = iommufd_device_destroy,
	[IOMMUFD_OBJ_HWPT_PAGING] = iommufd_hwpt_paging_destroy,
	[IOMMUFD_OBJ_HWPT_NESTED] = iommufd_hwpt_nested_destroy,
	[IOMMUFD_OBJ_IOAS] = iommufd_ioas_destroy,
	[IOMMUFD_OBJ_ACCESS] = iommufd_access_destroy_object,
	[IOMMUFD_OBJ_FAULT] = iommufd_fault_destroy,
	[IOMMUFD_OBJ_VIOMMU] = iommufd_viommu_destroy,
	[IOMMUFD_OBJ_VDEVICE] = iommufd_vdevice_destroy,
	[IOMMUFD_OBJ_VEVENTQ] = iommufd_veventq_destroy,
	[IOMMUFD_OBJ_HW_QUEUE] = iommufd_hw_queue_destroy,
};

static void object_destroy(struct iommufd_object *obj)
{
	if (obj->type == IOMMUFD_OBJ_SELFTEST)
		iommufd_test_module->destroy(obj);
	else
		destroy_ops[obj->type](obj);
	sv_free(obj);
}

/* lock held */
static int table_grow(struct iommufd_ctx *ictx)
{
	u32 old = ictx->room_objects, room = max(2 * old, 16u), *freed;
	struct iommufd_object **objects;

	if (room > MAX_OBJECTS)
		return -ENOSPC;
	objects = sv_realloc_array(ictx->objects, room, sizeof(*objects));
	if (!objects)
		return -ENOMEM;
	ictx->objects = objects;
	/* As many as there may be: freeing an id can't fail. */
	freed = sv_realloc_array(ictx->freed, room, sizeof(*freed));
	if (!freed)
		return -ENOMEM;
	ictx->freed = freed;
	memset(objects + old, 0, (room - old) * sizeof(*objects));
	ictx->room_objects = room;
	return 0;
}

static void freed_push(struct iommufd_ctx *ictx, u32 index)
{
	u32 *heap = ictx->freed, i = ictx->nr_freed++;

	for (; i && heap[(i - 1) / 2] > index; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = index;
}

static u32 freed_pop(struct iommufd_ctx *ictx)
{
	u32 *heap = ictx->freed, lowest = heap[0], last = heap[--ictx->nr_freed];
	u32 i = 0, child;

	for (; (child = 2 * i + 1) < ictx->nr_freed; i = child) {
		if (child + 1 < ictx->nr_freed && heap[child + 1] < heap[child])
			child++;
		if (heap[child] >= last)
			break;
		heap[i] = heap[child];
	}
	heap[i] = last;
	return lowest;
}

/* The lowest free slot, lock held. */
static int table_reserve(struct iommufd_ctx *ictx, u32 *id)
{
	u32 i;
	int err;

	if (!ictx->nr_freed && ictx->nr_used == ictx->room_objects) {
		err = table_grow(ictx);
		if (err)
			return err;
	}
	i = ictx->nr_freed ? freed_pop(ictx) : ictx->nr_used++;
	ictx->objects[i] = RESERVED;
	ictx->nr_objects++;
	*id = i + 1;
	return 0;
}

/* lock held */
static void table_free(struct iommufd_ctx *ictx, u32 id)
{
	ictx->objects[id - 1] = NULL;
	ictx->nr_objects--;
	freed_push(ictx, id - 1);
}

/* NULL: no finalized object. lock held */
static struct iommufd_object *table_find(struct iommufd_ctx *ictx, u32 id)
{
	struct iommufd_object *obj;

	if (!id || id > ictx->room_objects)
		return NULL;
	obj = ictx->objects[id - 1];
	return obj == RESERVED ? NULL : obj;
}

struct iommufd_object *_iommufd_object_alloc(struct iommufd_ctx *ictx, size_t size,
					     enum iommufd_object_type type)
{
	struct iommufd_object *obj = sv_zalloc(size);
	int err;

	if (!obj)
		return ERR_PTR(-ENOMEM);
	obj->type = type;
	refcount_set(&obj->users, 1);
	refcount_set(&obj->shortterm_users, 1);
	sv_mutex_lock(&ictx->lock);
	err = table_reserve(ictx, &obj->id);
	sv_mutex_unlock(&ictx->lock);
	if (err) {
		sv_free(obj);
		return ERR_PTR(err);
	}
	return obj;
}

void iommufd_object_finalize(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	sv_mutex_lock(&ictx->lock);
	ictx->objects[obj->id - 1] = obj;
	sv_mutex_unlock(&ictx->lock);
}

void iommufd_object_abort(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	sv_mutex_lock(&ictx->lock);
	table_free(ictx, obj->id);
	sv_mutex_unlock(&ictx->lock);
	sv_free(obj);
}

void iommufd_object_abort_and_destroy(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	/* Its creator holds the IOAS's mutex. */
	if (obj->type == IOMMUFD_OBJ_HWPT_PAGING)
		iommufd_hwpt_paging_abort(obj);
	else
		destroy_ops[obj->type](obj);
	iommufd_object_abort(ictx, obj);
}

/* After it the object may be gone. */
static void put_shortterm(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	SV_POINT(&obj->shortterm_users, true);
	if (refcount_dec_and_test(&obj->shortterm_users)) {
		sv_mutex_lock(&ictx->lock);
		sv_cond_broadcast(&ictx->destroy_wait);
		sv_mutex_unlock(&ictx->lock);
	}
}

/*
 * shortterm_users first: a destroyer that has waited for it to become zero then counts users, and
 * must not find one here that is about to give up.
 */
bool iommufd_lock_obj(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	if (!refcount_inc_not_zero(&obj->shortterm_users))
		return false;
	if (refcount_inc_not_zero(&obj->users))
		return true;
	put_shortterm(ictx, obj);
	return false;
}

/* Under ictx->lock, where who is in the table has users. */
bool iommufd_lock_obj_found(struct iommufd_object *obj)
{
	return refcount_inc_not_zero(&obj->shortterm_users) &&
	       !WARN_ON(!refcount_inc_not_zero(&obj->users));
}

struct iommufd_object *iommufd_get_object(struct iommufd_ctx *ictx, u32 id,
					  enum iommufd_object_type type)
{
	struct iommufd_object *obj;

	if (sv_fault())
		return ERR_PTR(-ENOENT);
	sv_mutex_lock(&ictx->lock);
	obj = table_find(ictx, id);
	if (!obj || (type != IOMMUFD_OBJ_ANY && obj->type != type) || !iommufd_lock_obj_found(obj))
		obj = ERR_PTR(-ENOENT);
	sv_mutex_unlock(&ictx->lock);
	return obj;
}

void iommufd_put_object(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	/* users first: who waits for shortterm_users to become zero must find users without ours. */
	iommufd_object_unhold(obj);
	put_shortterm(ictx, obj);
}

/* The table's short-term reference goes; returns when no ioctl has one. lock held */
static void wait_shortterm(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	SV_POINT(&obj->shortterm_users, true);
	if (refcount_dec_and_test(&obj->shortterm_users))
		return;
	while (__atomic_load_n(&obj->shortterm_users.refs, __ATOMIC_ACQUIRE))
		sv_cond_wait(&ictx->destroy_wait, &ictx->lock);
}

/* users 1 to 0; false: there are others. lock held */
static bool drop_if_last(struct iommufd_object *obj)
{
	u32 one = 1;

	SV_POINT(&obj->users, true);
	return __atomic_compare_exchange_n(&obj->users.refs, &one, 0, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/* Out of the table; users is 0. lock held */
static void table_remove(struct iommufd_ctx *ictx, struct iommufd_object *obj, bool tombstone)
{
	if (tombstone)
		ictx->objects[obj->id - 1] = RESERVED;
	else
		table_free(ictx, obj->id);
	if (obj->type == IOMMUFD_OBJ_IOAS && (void *)ictx->vfio_ioas == (void *)obj)
		ictx->vfio_ioas = NULL;
}

static void destroy_user(struct iommufd_ctx *ictx, struct iommufd_object *obj, bool tombstone)
{
	sv_mutex_lock(&ictx->lock);
	wait_shortterm(ictx, obj);
	iommufd_object_unhold(obj);
	if (!drop_if_last(obj)) {
		/* A bug of ours: it is left to the context's end, where it can be freed. */
		refcount_set(&obj->shortterm_users, 1);
		sv_mutex_unlock(&ictx->lock);
		sv_err("iommufd: object %u of type %d is still in use", obj->id, obj->type);
		return;
	}
	table_remove(ictx, obj, tombstone);
	sv_mutex_unlock(&ictx->lock);
	object_destroy(obj);
}

void iommufd_object_destroy_user(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	destroy_user(ictx, obj, false);
}

void iommufd_object_tombstone_user(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	destroy_user(ictx, obj, true);
}

/* The rest of a removal that began with users falling to 0. lock is held, and released. */
static void remove_locked(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	table_remove(ictx, obj, false);
	wait_shortterm(ictx, obj);
	sv_mutex_unlock(&ictx->lock);
	object_destroy(obj);
}

void iommufd_object_put_and_try_destroy(struct iommufd_ctx *ictx, struct iommufd_object *obj)
{
	sv_mutex_lock(&ictx->lock);
	iommufd_object_unhold(obj);
	if (!drop_if_last(obj)) {
		sv_mutex_unlock(&ictx->lock);
		return;
	}
	remove_locked(ictx, obj);
}

int iommufd_respond(struct sv_ioctl_ctx *c)
{
	c->no_copy_out = true;
	if (sv_copy_to_user((void *)c->value, c->buf, min(c->user_size, c->size)))
		return -EFAULT;
	return 0;
}

static long iommufd_destroy(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	const struct iommu_destroy *cmd = c->buf;
	struct iommufd_object *obj;

	iommufd_no_response(c);
	sv_mutex_lock(&ictx->lock);
	obj = table_find(ictx, cmd->id);
	if (!obj || !drop_if_last(obj)) {
		sv_mutex_unlock(&ictx->lock);
		return obj ? -EBUSY : -ENOENT;
	}
	remove_locked(ictx, obj);
	return 0;
}

static long iommufd_option(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommu_option *cmd = c->buf;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	switch (cmd->option_id) {
	case IOMMU_OPTION_RLIMIT_MODE:
		return iommufd_option_rlimit_mode(cmd, iommufd_ctx_of(f));
	case IOMMU_OPTION_HUGE_PAGES:
		return iommufd_ioas_option(cmd, iommufd_ctx_of(f));
	default:
		return -EOPNOTSUPP;
	}
}

static long iommufd_test(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return iommufd_test_module->ioctl(f, c);
}

#define SIZED(command, handler, type, last) \
	{ .cmd = (command), .kind = SV_IOCTL_SIZED, .size = sizeof(type), \
	  .min_size = offsetof(type, last) + sizeof(((type *)0)->last), .name = #command, \
	  .fn = (handler) }
#define VALUE(command, handler) SV_IOCTL_ENTRY(SV_IOCTL_VALUE, command, handler)

static const struct sv_ioctl iommufd_ioctls[] = {
	SIZED(IOMMU_DESTROY, iommufd_destroy, struct iommu_destroy, id),
	SIZED(IOMMU_IOAS_ALLOC, iommufd_ioas_alloc_ioctl, struct iommu_ioas_alloc, out_ioas_id),
	SIZED(IOMMU_IOAS_ALLOW_IOVAS, iommufd_ioas_allow_iovas, struct iommu_ioas_allow_iovas,
	      allowed_iovas),
	SIZED(IOMMU_IOAS_COPY, iommufd_ioas_copy, struct iommu_ioas_copy, src_iova),
	SIZED(IOMMU_IOAS_IOVA_RANGES, iommufd_ioas_iova_ranges, struct iommu_ioas_iova_ranges,
	      out_iova_alignment),
	SIZED(IOMMU_IOAS_MAP, iommufd_ioas_map, struct iommu_ioas_map, iova),
	SIZED(IOMMU_IOAS_UNMAP, iommufd_ioas_unmap, struct iommu_ioas_unmap, length),
	SIZED(IOMMU_OPTION, iommufd_option, struct iommu_option, val64),
	SIZED(IOMMU_VFIO_IOAS, iommufd_vfio_ioas, struct iommu_vfio_ioas, __reserved),
	SIZED(IOMMU_HWPT_ALLOC, iommufd_hwpt_alloc, struct iommu_hwpt_alloc, __reserved),
	SIZED(IOMMU_GET_HW_INFO, iommufd_get_hw_info, struct iommu_hw_info, __reserved),
	SIZED(IOMMU_HWPT_SET_DIRTY_TRACKING, iommufd_hwpt_set_dirty_tracking,
	      struct iommu_hwpt_set_dirty_tracking, __reserved),
	SIZED(IOMMU_HWPT_GET_DIRTY_BITMAP, iommufd_hwpt_get_dirty_bitmap,
	      struct iommu_hwpt_get_dirty_bitmap, data),
	SIZED(IOMMU_HWPT_INVALIDATE, iommufd_hwpt_invalidate, struct iommu_hwpt_invalidate,
	      __reserved),
	SIZED(IOMMU_FAULT_QUEUE_ALLOC, iommufd_fault_alloc, struct iommu_fault_alloc,
	      out_fault_fd),
	SIZED(IOMMU_IOAS_MAP_FILE, iommufd_ioas_map_file, struct iommu_ioas_map_file, iova),
	SIZED(IOMMU_VIOMMU_ALLOC, iommufd_viommu_alloc, struct iommu_viommu_alloc,
	      out_viommu_id),
	SIZED(IOMMU_VDEVICE_ALLOC, iommufd_vdevice_alloc, struct iommu_vdevice_alloc, virt_id),
	SIZED(IOMMU_IOAS_CHANGE_PROCESS, iommufd_ioas_change_process,
	      struct iommu_ioas_change_process, __reserved),
	SIZED(IOMMU_VEVENTQ_ALLOC, iommufd_veventq_alloc, struct iommu_veventq_alloc, __reserved),
	SIZED(IOMMU_HW_QUEUE_ALLOC, iommufd_hw_queue_alloc, struct iommu_hw_queue_alloc, length),
	{ .cmd = IOMMU_TEST_CMD, .kind = SV_IOCTL_SIZED, .size = IOMMUFD_TEST_CMD_SIZE,
	  .min_size = IOMMUFD_TEST_CMD_MIN_SIZE, .name = "IOMMU_TEST_CMD", .fn = iommufd_test },
	VALUE(VFIO_GET_API_VERSION, iommufd_vfio_get_api_version),
	VALUE(VFIO_CHECK_EXTENSION, iommufd_vfio_check_extension),
	VALUE(VFIO_SET_IOMMU, iommufd_vfio_set_iommu),
	VALUE(VFIO_IOMMU_GET_INFO, iommufd_vfio_get_info),
	VALUE(VFIO_IOMMU_MAP_DMA, iommufd_vfio_map_dma),
	VALUE(VFIO_IOMMU_UNMAP_DMA, iommufd_vfio_unmap_dma),
};

/* The test's ioctl exists where its module does. */
static long iommufd_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	return cmd == IOMMU_TEST_CMD && !iommufd_test_module ? -ENOTTY : -ENOIOCTLCMD_SV;
}

/* One pass over the table: objects that nothing uses any more. How many. */
static u32 destroy_leaves(struct iommufd_ctx *ictx)
{
	struct iommufd_object *obj;
	u32 destroyed = 0;

	for (u32 i = 0; i < ictx->room_objects; i++) {
		obj = ictx->objects[i];
		if (!obj || obj == RESERVED || !drop_if_last(obj))
			continue;
		sv_mutex_lock(&ictx->lock);
		table_remove(ictx, obj, false);
		sv_mutex_unlock(&ictx->lock);
		object_destroy(obj);
		destroyed++;
	}
	return destroyed;
}

/* The last reference is gone: no ioctl runs, and none of our devices is bound. */
static void iommufd_release(struct sv_file *f)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);

	while (destroy_leaves(ictx))
		;
	for (u32 i = 0; i < ictx->room_objects; i++)
		if (ictx->objects[i] && ictx->objects[i] != RESERVED)
			sv_err("iommufd: object %u of type %d outlives its context", i + 1,
			       ictx->objects[i]->type);
	sv_free(ictx->objects);
	sv_free(ictx->freed);
	sv_cond_destroy(&ictx->destroy_wait);
	sv_mutex_destroy(&ictx->lock);
	sv_free(ictx);
}

static const struct sv_file_ops iommufd_file_ops = {
	.name = "iommufd",
	.ioctls = iommufd_ioctls,
	.nr_ioctls = ARRAY_SIZE(iommufd_ioctls),
	.ioctl = iommufd_ioctl,
	.release = iommufd_release,
	.bound_to_mm = true,
	.called_by_children = true,
};

struct iommufd_ctx *iommufd_ctx_create(int o_flags)
{
	struct iommufd_ctx *ictx;
	int err = iommufd_user_memory_init();

	if (err)
		return ERR_PTR(err);
	ictx = sv_zalloc(sizeof(*ictx));
	if (!ictx)
		return ERR_PTR(-ENOMEM);
	ictx->account_mode = IOPT_PAGES_ACCOUNT_USER;
	interval_tree_init(&ictx->groups);
	interval_tree_init(&ictx->devices);
	sv_mutex_init(&ictx->lock);
	sv_cond_init(&ictx->destroy_wait);
	err = sv_file_create(&iommufd_file_ops, ictx, SV_BACKING_EVENTFD, 0, o_flags,
			     &ictx->file);
	if (err) {
		sv_cond_destroy(&ictx->destroy_wait);
		sv_mutex_destroy(&ictx->lock);
		sv_free(ictx);
		return ERR_PTR(err);
	}
	return ictx;
}

static int iommufd_open(const struct sv_node *node, int o_flags)
{
	struct iommufd_ctx *ictx = iommufd_ctx_create(o_flags);

	return IS_ERR(ictx) ? (int)PTR_ERR(ictx) : sv_file_install(ictx->file);
}

const struct sv_node iommufd_node = { "/dev/iommu", iommufd_open };

struct iommufd_ctx *iommufd_ctx_from_fd(int fd)
{
	struct sv_file *f = sv_fget(fd, NULL);

	if (!f) {
		f = sv_fd_adopt(fd);
		if (!f)
			return ERR_PTR(sv_libc.fcntl(fd, F_GETFD) >= 0 ? -EBADFD : -EBADF);
	}
	if (sv_file_get_ops(f) != &iommufd_file_ops) {
		sv_file_put(f);
		return ERR_PTR(-EBADFD);
	}
	/* A forked child's devices are not those of the parent that has the context. */
	if (sv_file_is_foreign(f)) {
		sv_file_put(f);
		return ERR_PTR(-EIO);
	}
	return iommufd_ctx_of(f);
}

struct iommufd_ctx *iommufd_ctx_get(struct iommufd_ctx *ictx)
{
	sv_file_get(ictx->file);
	return ictx;
}

void iommufd_ctx_put(struct iommufd_ctx *ictx)
{
	sv_file_put(ictx->file);
}
