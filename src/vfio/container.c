/* SPDX-License-Identifier: MIT */
/*
 * Containers: /dev/vfio/vfio. Groups join; SET_IOMMU gives the container a type1 (type1.c),
 * which lives until the last group leaves.
 *
 * c->lock for writing: joining, leaving, SET_IOMMU; for reading: the type1's ioctls.
 */
#include "vfio/vfio.h"

struct vfio_container {
	u32 refs;			/* atomic */
	struct sv_rwlock lock;
	struct list_head groups;	/* member.node */
	struct vfio_type1 *type1;
};

/* A group's link in the container, made when it joins. */
struct member {
	struct list_head node;
	struct vfio_group *group;
};

static struct vfio_container *container_get(struct vfio_container *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void vfio_container_put(struct vfio_container *c)
{
	if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	sv_rwlock_destroy(&c->lock);
	sv_free(c);
}

struct vfio_container *vfio_container_get_from_file(struct sv_file *f)
{
	return container_get(sv_file_priv(f));
}

bool vfio_container_has_iommu(struct vfio_container *c)
{
	bool has;

	sv_read_lock(&c->lock);
	has = c->type1;
	sv_read_unlock(&c->lock);
	return has;
}

static struct member *member_find(struct vfio_container *c, struct vfio_group *g)
{
	struct member *m;

	list_for_each_entry(m, &c->groups, node)
		if (m->group == g)
			return m;
	return NULL;
}

int vfio_container_attach_group(struct vfio_container *c, struct vfio_group *g)
{
	struct iommu_group *ig = vfio_group_iommu(g);
	struct member *m = sv_alloc(sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->group = g;
	sv_write_lock(&c->lock);
	err = ig ? iommu_group_claim_dma_owner(ig, g) : -ENODEV;
	if (!err && c->type1) {
		err = vfio_type1_attach_group(c->type1, g);
		if (err)
			iommu_group_release_dma_owner(ig, g);
	}
	if (!err)
		list_add(&m->node, &c->groups);
	sv_write_unlock(&c->lock);
	if (err)
		sv_free(m);
	return err;
}

void vfio_container_detach_group(struct vfio_container *c, struct vfio_group *g)
{
	struct iommu_group *ig = vfio_group_iommu(g);
	struct member *m;

	sv_write_lock(&c->lock);
	m = member_find(c, g);
	if (c->type1)
		vfio_type1_detach_group(c->type1, g);
	if (ig)
		iommu_group_release_dma_owner(ig, g);
	list_del(&m->node);
	sv_free(m);
	if (c->type1 && list_empty(&c->groups)) {
		vfio_type1_release(c->type1);
		c->type1 = NULL;
	}
	sv_write_unlock(&c->lock);
}

/* All groups or none. lock held for writing. */
static int attach_all(struct vfio_container *c, struct vfio_type1 *t)
{
	struct member *m, *undo;
	int err;

	list_for_each_entry(m, &c->groups, node) {
		err = vfio_type1_attach_group(t, m->group);
		if (!err)
			continue;
		list_for_each_entry(undo, &c->groups, node) {
			if (undo == m)
				break;
			vfio_type1_detach_group(t, undo->group);
		}
		return err;
	}
	return 0;
}

static long set_iommu(struct vfio_container *c, unsigned long arg)
{
	struct vfio_type1 *t = NULL;
	long ret = 0;

	sv_write_lock(&c->lock);
	/* A group is what makes a user privileged to have one; there is one at most. */
	if (list_empty(&c->groups) || c->type1)
		ret = -EINVAL;
	else if (vfio_type1_check_extension(NULL, arg) <= 0)
		ret = -ENODEV;
	if (!ret) {
		t = vfio_type1_open(arg);
		ret = IS_ERR(t) ? PTR_ERR(t) : attach_all(c, t);
		if (ret && !IS_ERR(t))
			vfio_type1_release(t);
	}
	if (!ret)
		c->type1 = t;
	sv_write_unlock(&c->lock);
	return ret;
}

static long container_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	struct vfio_container *c = sv_file_priv(f);
	long ret = -EINVAL;

	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_SET_IOMMU:
		return set_iommu(c, value);
	default:
		break;
	}
	sv_read_lock(&c->lock);
	if (cmd == VFIO_CHECK_EXTENSION)
		ret = vfio_type1_check_extension(c->type1, value);
	else if (c->type1)
		ret = vfio_type1_ioctl(c->type1, cmd, (void *)value);
	sv_read_unlock(&c->lock);
	return ret;
}

static void container_release(struct sv_file *f)
{
	vfio_container_put(sv_file_priv(f));
}

const struct sv_file_ops vfio_container_file_ops = {
	.name = "vfio-container",
	.ioctl = container_ioctl,
	.release = container_release,
	.bound_to_mm = true,
};

int vfio_container_open_node(int o_flags)
{
	struct vfio_container *c = sv_zalloc(sizeof(*c));
	struct sv_file *f;
	int err;

	if (!c)
		return -ENOMEM;
	c->refs = 1;
	sv_rwlock_init(&c->lock);
	INIT_LIST_HEAD(&c->groups);
	err = sv_file_create(&vfio_container_file_ops, c, SV_BACKING_EVENTFD, 0, o_flags, &f);
	if (err) {
		sv_rwlock_destroy(&c->lock);
		sv_free(c);
		return err;
	}
	return sv_file_install(f);
}
