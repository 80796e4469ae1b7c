/* SPDX-License-Identifier: MIT */
/*
 * The ioctls of an IOAS. Each checks what the caller gave, then calls the space (space.c).
 *
 * A handler works on the dispatcher's snapshot; what it leaves there goes back to the caller,
 * after success, or with copy_out.
 */
#include "iommu/pages.h"

#include <linux/capability.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "file/forked.h"

#define MAP_FLAGS (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

static void iopt_init(struct io_pagetable *iopt)
{
	sv_rwlock_init(&iopt->domains_lock);
	sv_rwlock_init(&iopt->iova_lock);
	sv_mutex_init(&iopt->access_lock);
	iopt->iova_alignment = 1;
}

static void ranges_free(struct interval_tree *t)
{
	struct interval_tree_node *n;

	while ((n = interval_tree_first(t))) {
		interval_tree_remove(t, n);
		sv_free(container_of(n, struct iopt_range, node));
	}
}

struct iommufd_ioas *iommufd_ioas_alloc(struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas;

	ioas = iommufd_object_alloc(ictx, ioas, IOMMUFD_OBJ_IOAS);
	if (IS_ERR(ioas))
		return ioas;
	iopt_init(&ioas->iopt);
	sv_mutex_init(&ioas->mutex);
	INIT_LIST_HEAD(&ioas->hwpt_list);
	return ioas;
}

void iommufd_ioas_destroy(struct iommufd_object *obj)
{
	struct iommufd_ioas *ioas = container_of(obj, struct iommufd_ioas, obj);
	struct io_pagetable *iopt = &ioas->iopt;

	WARN_ON(iopt_unmap_all(iopt, NULL));
	WARN_ON(iopt->nr_domains || iopt->nr_accesses);
	/* Selftests reserve without an owner. */
	iopt_remove_reserved_iova(iopt, NULL);
	WARN_ON(!interval_tree_empty(&iopt->reserved));
	ranges_free(&iopt->reserved);
	ranges_free(&iopt->allowed);
	sv_free(iopt->domains);
	sv_free(iopt->accesses);
	sv_mutex_destroy(&ioas->mutex);
	sv_mutex_destroy(&iopt->access_lock);
	sv_rwlock_destroy(&iopt->iova_lock);
	sv_rwlock_destroy(&iopt->domains_lock);
}

long iommufd_ioas_alloc_ioctl(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_alloc *cmd = c->buf;
	struct iommufd_ioas *ioas;

	if (cmd->flags)
		return -EOPNOTSUPP;
	ioas = iommufd_ioas_alloc(ictx);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	cmd->out_ioas_id = ioas->obj.id;
	/* An object whose id can't be told must not stay. */
	if (sv_copy_to_user((void *)c->value, cmd, min(c->user_size, sizeof(*cmd)))) {
		iommufd_object_abort_and_destroy(ictx, &ioas->obj);
		return -EFAULT;
	}
	iommufd_object_finalize(ictx, &ioas->obj);
	return 0;
}

/* One stretch that neither a device nor a domain's aperture forbids after the other. */
static int report_ranges(struct io_pagetable *iopt, struct iommu_iova_range *user, u32 room, u32 *n)
{
	u64 lo = 0;

	for (;;) {
		struct interval_tree_node *node;
		struct iommu_iova_range r = { .start = lo, .last = ~0ull };

		while ((node = interval_tree_iter_first(&iopt->reserved, r.start, r.start))) {
			if (node->last == ~0ull)
				return 0;
			r.start = node->last + 1;
		}
		node = interval_tree_iter_first(&iopt->reserved, r.start, ~0ull);
		if (node)
			r.last = node->start - 1;
		if (*n < room && sv_copy_to_user(&user[*n], &r, sizeof(r)))
			return -EFAULT;
		++*n;
		if (!node)
			return 0;
		lo = node->start;
	}
}

long iommufd_ioas_iova_ranges(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_iova_ranges *cmd = c->buf;
	struct iommufd_ioas *ioas;
	u32 room = cmd->num_iovas;
	int err;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = iommufd_get_ioas(ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	sv_read_lock(&ioas->iopt.iova_lock);
	cmd->num_iovas = 0;
	cmd->out_iova_alignment = ioas->iopt.iova_alignment;
	err = report_ranges(&ioas->iopt, (void *)(uintptr_t)cmd->allowed_iovas, room,
			    &cmd->num_iovas);
	sv_read_unlock(&ioas->iopt.iova_lock);
	iommufd_put_object(ictx, &ioas->obj);
	if (err || cmd->num_iovas <= room)
		return err;
	c->copy_out = true;
	return -EMSGSIZE;
}

static int load_ranges(struct interval_tree *t, const struct iommu_iova_range *user, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		struct iommu_iova_range r;
		struct iopt_range *range;

		if (sv_copy_from_user(&r, user + i, sizeof(r)))
			return -EFAULT;
		if (r.start >= r.last || interval_tree_iter_first(t, r.start, r.last))
			return -EINVAL;
		range = sv_zalloc(sizeof(*range));
		if (!range)
			return -ENOMEM;
		range->node.start = r.start;
		range->node.last = r.last;
		interval_tree_insert(t, &range->node);
	}
	return 0;
}

/* In one step; t gets what was there before, or stays as it is. */
static int set_allowed(struct io_pagetable *iopt, struct interval_tree *t)
{
	struct interval_tree old;
	struct interval_tree_node *n;
	int err = 0;

	sv_write_lock(&iopt->iova_lock);
	for (n = interval_tree_first(t); n && !err; n = interval_tree_next(n))
		if (interval_tree_iter_first(&iopt->reserved, n->start, n->last))
			err = -EADDRINUSE;
	if (!err) {
		old = iopt->allowed;
		iopt->allowed = *t;
		*t = old;
	}
	sv_write_unlock(&iopt->iova_lock);
	return err;
}

long iommufd_ioas_allow_iovas(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_allow_iovas *cmd = c->buf;
	struct interval_tree t = INTERVAL_TREE_INIT;
	struct iommufd_ioas *ioas;
	int err;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = iommufd_get_ioas(ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	err = load_ranges(&t, (void *)(uintptr_t)cmd->allowed_iovas, cmd->num_iovas);
	if (!err)
		err = set_allowed(&ioas->iopt, &t);
	ranges_free(&t);
	iommufd_put_object(ictx, &ioas->obj);
	return err;
}

/* CPU and devices see each other's writes at once: IOMMU_CACHE always. */
static int prot_of(u32 flags)
{
	return IOMMU_CACHE | (flags & IOMMU_IOAS_MAP_WRITEABLE ? IOMMU_WRITE : 0) |
	       (flags & IOMMU_IOAS_MAP_READABLE ? IOMMU_READ : 0);
}

static int check_map(u32 flags, u64 iova, u64 length)
{
	if (flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	if (iova == ~0ull || length == ~0ull)
		return -EOVERFLOW;
	if (!(flags & (IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)))
		return -EINVAL;
	return 0;
}

static unsigned alloc_flag(u32 flags)
{
	return flags & IOMMU_IOAS_MAP_FIXED_IOVA ? 0 : IOPT_ALLOC_IOVA;
}

long iommufd_ioas_map(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_map *cmd = c->buf;
	struct iommufd_ioas *ioas;
	u64 iova = cmd->iova;
	int err = check_map(cmd->flags, cmd->iova, cmd->length);

	if (cmd->__reserved)
		err = -EOPNOTSUPP;
	if (err)
		return err;
	ioas = iommufd_get_ioas(ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	err = iopt_map_user_pages(ictx, &ioas->iopt, &iova, cmd->user_va, cmd->length,
				  prot_of(cmd->flags), alloc_flag(cmd->flags));
	iommufd_put_object(ictx, &ioas->obj);
	cmd->iova = iova;
	return err;
}

long iommufd_ioas_map_file(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_map_file *cmd = c->buf;
	struct iommufd_ioas *ioas;
	u64 iova = cmd->iova;
	int err = check_map(cmd->flags, cmd->iova, cmd->length), fd;

	if (err)
		return err;
	ioas = iommufd_get_ioas(ictx, cmd->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	fd = sv_caller_fd(cmd->fd);
	err = fd < 0 && sv_user_is_foreign() ? fd :
	      iopt_map_file_pages(ictx, &ioas->iopt, &iova, fd, cmd->start, cmd->length,
				  prot_of(cmd->flags), alloc_flag(cmd->flags));
	sv_caller_fd_put(cmd->fd, fd);
	iommufd_put_object(ictx, &ioas->obj);
	cmd->iova = iova;
	return err;
}

long iommufd_ioas_copy(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_copy *cmd = c->buf;
	struct iommufd_ioas *src, *dst;
	u64 iova = cmd->dst_iova;
	int err = check_map(cmd->flags, cmd->dst_iova, cmd->length);

	if (!err || err == -EINVAL)
		err = cmd->src_iova == ~0ull ? -EOVERFLOW : err;
	if (err)
		return err;
	src = iommufd_get_ioas(ictx, cmd->src_ioas_id);
	if (IS_ERR(src))
		return PTR_ERR(src);
	dst = iommufd_get_ioas(ictx, cmd->dst_ioas_id);
	if (IS_ERR(dst)) {
		iommufd_put_object(ictx, &src->obj);
		return PTR_ERR(dst);
	}
	err = iopt_copy(&dst->iopt, &iova, &src->iopt, cmd->src_iova, cmd->length,
			prot_of(cmd->flags), alloc_flag(cmd->flags));
	iommufd_put_object(ictx, &dst->obj);
	iommufd_put_object(ictx, &src->obj);
	cmd->dst_iova = iova;
	return err;
}

static int unmap(struct io_pagetable *iopt, u64 iova, u64 length, u64 *unmapped)
{
	int err;

	if (!iova && length == ~0ull)
		return iopt_unmap_all(iopt, unmapped);
	if (iova == ~0ull || length == ~0ull)
		return -EOVERFLOW;
	err = iopt_unmap_iova(iopt, iova, length, unmapped);
	return !err && !*unmapped ? -ENOENT : err;
}

long iommufd_ioas_unmap(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_unmap *cmd = c->buf;
	struct iommufd_ioas *ioas = iommufd_get_ioas(ictx, cmd->ioas_id);
	u64 unmapped = 0;
	int err;

	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	err = unmap(&ioas->iopt, cmd->iova, cmd->length, &unmapped);
	iommufd_put_object(ictx, &ioas->obj);
	cmd->length = unmapped;
	return err;
}

/*
 * Moves the context's accounting, and where its pages come from, to the calling process: for
 * one that got the descriptor by exec. In this library a context stays with the process that opened
 * it, whoever calls, so there is nothing to move. All that remains is the kernel's condition: memory
 * that is only known by its address can't move.
 */
static bool ioas_is_all_files(struct iommufd_ioas *ioas)
{
	struct iopt_area *a;
	bool yes = true;

	sv_read_lock(&ioas->iopt.iova_lock);
	for (a = iopt_area_first(&ioas->iopt, 0, ~0ull); a && yes; a = iopt_area_next(a, 0, ~0ull))
		yes = a->pages && a->pages->kind == IOPT_PAGES_FILE;
	sv_read_unlock(&ioas->iopt.iova_lock);
	return yes;
}

long iommufd_ioas_change_process(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct iommufd_ctx *ictx = iommufd_ctx_of(f);
	struct iommu_ioas_change_process *cmd = c->buf;
	u32 n;
	int err = 0;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	sv_mutex_lock(&ictx->lock);
	n = ictx->room_objects;
	sv_mutex_unlock(&ictx->lock);
	for (u32 id = 1; id <= n && !err; id++) {
		struct iommufd_ioas *ioas = iommufd_get_ioas(ictx, id);

		if (IS_ERR(ioas))
			continue;
		if (!ioas_is_all_files(ioas))
			err = -EINVAL;
		iommufd_put_object(ictx, &ioas->obj);
	}
	return err;
}

static bool capable_resource(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct cap[2] = { { 0 } };

	return !sv_libc.syscall(SYS_capget, &hdr, cap) && ((cap[0].effective >> CAP_SYS_RESOURCE) & 1);
}

int iommufd_option_rlimit_mode(struct iommu_option *cmd, struct iommufd_ctx *ictx)
{
	int err = 0;

	if (cmd->object_id)
		return -EOPNOTSUPP;
	if (cmd->op == IOMMU_OPTION_OP_GET) {
		cmd->val64 = ictx->account_mode == IOPT_PAGES_ACCOUNT_MM;
		return 0;
	}
	if (cmd->op != IOMMU_OPTION_OP_SET)
		return -EOPNOTSUPP;
	if (!capable_resource())
		return -EPERM;
	sv_mutex_lock(&ictx->lock);
	if (ictx->nr_objects)
		err = -EBUSY;
	else if (cmd->val64 > 1)
		err = -EINVAL;
	else
		ictx->account_mode = cmd->val64 ? IOPT_PAGES_ACCOUNT_MM : IOPT_PAGES_ACCOUNT_USER;
	sv_mutex_unlock(&ictx->lock);
	return err;
}

static int option_huge_pages(struct iommu_option *cmd, struct io_pagetable *iopt)
{
	if (cmd->op == IOMMU_OPTION_OP_GET) {
		cmd->val64 = !READ_ONCE(iopt->disable_large_pages);
		return 0;
	}
	if (cmd->op != IOMMU_OPTION_OP_SET)
		return -EOPNOTSUPP;
	if (cmd->val64 > 1)
		return -EINVAL;
	if (!cmd->val64)
		return iopt_disable_large_pages(iopt);
	iopt_enable_large_pages(iopt);
	return 0;
}

int iommufd_ioas_option(struct iommu_option *cmd, struct iommufd_ctx *ictx)
{
	struct iommufd_ioas *ioas;
	int err = -EOPNOTSUPP;

	if (cmd->__reserved)
		return -EOPNOTSUPP;
	ioas = iommufd_get_ioas(ictx, cmd->object_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	if (cmd->option_id == IOMMU_OPTION_HUGE_PAGES)
		err = option_huge_pages(cmd, &ioas->iopt);
	iommufd_put_object(ictx, &ioas->obj);
	return err;
}
