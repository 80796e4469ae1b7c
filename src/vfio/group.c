/* SPDX-License-Identifier: MIT */
/*
 * Groups: /dev/vfio/<id>. A group gets a container (or an iommufd in its place) and then gives out
 * descriptors of its devices.
 *
 * A group object exists while somebody refers to it: its file, its devices. Its node is open once
 * at a time; a device's descriptor holds the group's file, so the file goes after them, and with it
 * the container's hold. users counts the devices that are open through the container, plus one.
 *
 * g->lock is outermost (vfio.h); the list's lock is a leaf.
 */
#include <fcntl.h>
#include <pthread.h>

#include "base/libc.h"
#include "vfio/vfio.h"

struct vfio_group {
	struct list_head node;		/* groups_lock */
	u32 refs;			/* groups_lock */
	u32 id;

	struct sv_mutex lock;
	struct sv_file *opened;		/* lock; not a reference */
	u32 cdev_opens;			/* lock */
	struct vfio_container *container;	/* lock; a reference */
	u32 container_users;		/* lock */
	struct iommufd_ctx *ictx;	/* lock; a reference */
};

static struct sv_mutex groups_lock = SV_MUTEX_INIT;
static LIST_HEAD(groups);

/* Who has one open is the parent. */
static void forked(void)
{
	sv_mutex_init(&groups_lock);
	INIT_LIST_HEAD(&groups);
}

static void __attribute__((constructor)) groups_init(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

static const struct sv_file_ops group_file_ops;

struct vfio_group *vfio_group_get_by_id(u32 id)
{
	struct vfio_group *g;

	sv_mutex_lock(&groups_lock);
	list_for_each_entry(g, &groups, node) {
		if (g->id == id) {
			g->refs++;
			goto out;
		}
	}
	g = sv_zalloc(sizeof(*g));
	if (!g) {
		g = ERR_PTR(-ENOMEM);
		goto out;
	}
	g->id = id;
	g->refs = 1;
	sv_mutex_init(&g->lock);
	list_add_tail(&g->node, &groups);
out:
	sv_mutex_unlock(&groups_lock);
	return g;
}

struct vfio_group *vfio_group_get(struct vfio_group *g)
{
	sv_mutex_lock(&groups_lock);
	g->refs++;
	sv_mutex_unlock(&groups_lock);
	return g;
}

void vfio_group_put(struct vfio_group *g)
{
	bool last;

	sv_mutex_lock(&groups_lock);
	last = --g->refs == 0;
	if (last)
		list_del(&g->node);
	sv_mutex_unlock(&groups_lock);
	if (last)
		sv_free(g);
}

u32 vfio_group_id(const struct vfio_group *g)
{
	return g->id;
}

struct iommu_group *vfio_group_iommu(struct vfio_group *g)
{
	return iommu_group_get_by_id(g->id);
}

int vfio_group_block(struct vfio_group *g)
{
	int err = 0;

	sv_mutex_lock(&g->lock);
	if (g->opened)
		err = -EBUSY;
	else
		g->cdev_opens++;
	sv_mutex_unlock(&g->lock);
	return err;
}

void vfio_group_unblock(struct vfio_group *g)
{
	sv_mutex_lock(&g->lock);
	g->cdev_opens--;
	sv_mutex_unlock(&g->lock);
}

int vfio_group_open_node(u32 id, int o_flags)
{
	struct vfio_group *g;
	struct sv_file *f;
	int err;

	if (!iommu_group_get_by_id(id))
		return -ENODEV;
	g = vfio_group_get_by_id(id);
	if (IS_ERR(g))
		return (int)PTR_ERR(g);
	sv_mutex_lock(&g->lock);
	if (g->cdev_opens || g->opened)
		err = -EBUSY;
	else
		err = sv_file_create(&group_file_ops, g, SV_BACKING_EVENTFD, 0, o_flags, &f);
	if (!err)
		g->opened = f;
	sv_mutex_unlock(&g->lock);
	if (err) {
		vfio_group_put(g);
		return err;
	}
	return sv_file_install(f);
}

/* lock held. */
static bool has_iommu(const struct vfio_group *g)
{
	return g->container || g->ictx;
}

/* lock held; nobody uses a device through it. */
static void detach(struct vfio_group *g)
{
	if (g->container) {
		vfio_container_detach_group(g->container, g);
		vfio_container_put(g->container);
		g->container = NULL;
		g->container_users = 0;
	}
	if (g->ictx) {
		iommufd_ctx_put(g->ictx);
		g->ictx = NULL;
	}
}

static void group_release(struct sv_file *f)
{
	struct vfio_group *g = sv_file_priv(f);

	sv_mutex_lock(&g->lock);
	detach(g);
	g->opened = NULL;
	sv_mutex_unlock(&g->lock);
	vfio_group_put(g);
}

struct vfio_group *vfio_group_from_fd(int fd)
{
	struct sv_file *f = sv_fget(fd, NULL);
	struct vfio_group *g = ERR_PTR(-EINVAL);

	if (!f)
		f = sv_fd_adopt(fd);
	if (!f)
		return ERR_PTR(sv_libc.fcntl(fd, F_GETFD) < 0 ? -EBADF : -EINVAL);
	if (sv_file_get_ops(f) == &group_file_ops)
		g = vfio_group_get(sv_file_priv(f));
	sv_file_put(f);
	return g;
}

/* An open /dev/vfio/vfio or /dev/iommu, in the place of a container. lock held. */
static int set_container(struct vfio_group *g, int fd)
{
	struct vfio_container *c;
	struct iommufd_ctx *ictx;
	struct sv_file *f;
	int err;

	f = sv_fget(fd, &vfio_container_file_ops);
	if (f) {
		c = vfio_container_get_from_file(f);
		sv_file_put(f);
		err = vfio_container_attach_group(c, g);
		if (err) {
			vfio_container_put(c);
			return err;
		}
		g->container = c;
		g->container_users = 1;
		return 0;
	}
	ictx = iommufd_ctx_from_fd(fd);
	if (IS_ERR(ictx))
		return (int)PTR_ERR(ictx);
	err = iommufd_vfio_compat_ioas_create(ictx);
	if (err) {
		iommufd_ctx_put(ictx);
		return err;
	}
	g->ictx = ictx;
	return 0;
}

static long group_set_container(struct vfio_group *g, void *user)
{
	s32 fd;
	int err;

	if (sv_copy_from_user(&fd, user, sizeof(fd)))
		return -EFAULT;
	if (!sv_fd_ours(fd)) {
		struct sv_file *f = sv_fd_adopt(fd);

		if (!f)
			return sv_libc.fcntl(fd, F_GETFD) < 0 ? -EBADF : -EBADFD;
		sv_file_put(f);
	}
	sv_mutex_lock(&g->lock);
	if (has_iommu(g))
		err = -EINVAL;
	else if (!vfio_group_iommu(g))
		err = -ENODEV;
	else
		err = set_container(g, fd);
	sv_mutex_unlock(&g->lock);
	return err;
}

static long group_unset_container(struct vfio_group *g)
{
	int err = 0;

	sv_mutex_lock(&g->lock);
	if (!has_iommu(g))
		err = -EINVAL;
	else if (g->container && g->container_users != 1)
		err = -EBUSY;
	else
		detach(g);
	sv_mutex_unlock(&g->lock);
	return err;
}

static long group_get_status(struct vfio_group *g, void *user)
{
	struct vfio_group_status status;
	struct iommu_group *ig;

	if (sv_copy_from_user(&status, user, sizeof(status)))
		return -EFAULT;
	if (status.argsz < sizeof(status))
		return -EINVAL;
	status.flags = 0;
	sv_mutex_lock(&g->lock);
	ig = vfio_group_iommu(g);
	if (ig && has_iommu(g)) {
		status.flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
	} else if (ig) {
		sv_mutex_lock(&ig->lock);
		if (!ig->dma_owner)
			status.flags = VFIO_GROUP_FLAGS_VIABLE;
		sv_mutex_unlock(&ig->lock);
	}
	sv_mutex_unlock(&g->lock);
	if (!ig)
		return -ENODEV;
	return sv_copy_to_user(user, &status, sizeof(status)) ? -EFAULT : 0;
}

/*
 * The group's device that text names, with a reference; ERR_PTR(-ENODEV), or what its token check
 * says.
 */
static struct vfio_device *find_device(struct vfio_group *g, const char *text)
{
	struct pci_dev *p = NULL;

	while ((p = pci_dev_next(p))) {
		struct vfio_device *vdev;
		int ret;

		if (p->group_id != g->id)
			continue;
		vdev = vfio_device_get_by_pci(p);
		ret = IS_ERR(vdev) ? (int)PTR_ERR(vdev) : vfio_device_match(vdev, text);
		if (ret) {
			pci_dev_put(p);
			if (ret < 0 && !IS_ERR(vdev))
				vfio_device_put(vdev);
			return ret < 0 ? ERR_PTR(ret) : vdev;
		}
		vfio_device_put(vdev);
	}
	return ERR_PTR(-ENODEV);
}

/* Access for df, whose file exists. */
static int open_device(struct vfio_group *g, struct vfio_df *df)
{
	struct vfio_device *vdev = df->vdev;
	u32 devid, pt_id;
	int err = 0;

	sv_mutex_lock(&g->lock);
	if (!has_iommu(g) || (g->container && !vfio_container_has_iommu(g->container))) {
		sv_mutex_unlock(&g->lock);
		return -EINVAL;
	}
	sv_mutex_lock(&vdev->set->lock);
	err = vfio_device_open(df, g->ictx, &devid);
	/* The IOAS that the container's ioctls work on. */
	if (!err && g->ictx && vdev->open_count == 1) {
		err = iommufd_vfio_compat_ioas_get_id(g->ictx, &pt_id);
		if (!err)
			err = iommufd_device_attach(vdev->idev, IOMMU_NO_PASID, &pt_id);
		if (!err)
			vdev->attached = true;
		else
			vfio_device_close(df);
	}
	sv_mutex_unlock(&vdev->set->lock);
	if (!err) {
		if (g->container)
			g->container_users++;
		sv_file_get(g->opened);
		smp_store_release(&df->granted, true);
	}
	sv_mutex_unlock(&g->lock);
	return err;
}

void vfio_df_group_close(struct vfio_df *df)
{
	struct vfio_device *vdev = df->vdev;
	struct vfio_group *g = df->group;
	struct sv_file *f;

	if (!df->granted)
		return;
	sv_mutex_lock(&g->lock);
	sv_mutex_lock(&vdev->set->lock);
	vfio_device_close(df);
	sv_mutex_unlock(&vdev->set->lock);
	if (g->container)
		g->container_users--;
	f = g->opened;
	sv_mutex_unlock(&g->lock);
	sv_file_put(f);
}

static long group_get_device_fd(struct vfio_group *g, void *user)
{
	struct vfio_device *vdev;
	struct vfio_df *df;
	struct sv_file *f;
	char text[256];
	long len = sv_strncpy_from_user(text, user, sizeof(text));
	int err;

	if (len < 0)
		return len;
	/* No name with its options is that long. */
	if (len == sizeof(text))
		return -EINVAL;
	vdev = find_device(g, text);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);
	df = sv_zalloc(sizeof(*df));
	if (!df) {
		vfio_device_put(vdev);
		return -ENOMEM;
	}
	df->vdev = vdev;
	df->group = vfio_group_get(g);
	df->o_flags = O_RDWR;
	err = vfio_df_create_file(df, O_RDWR | O_CLOEXEC, &f);
	if (err) {
		vfio_group_put(g);
		vfio_device_put(vdev);
		sv_free(df);
		return err;
	}
	err = open_device(g, df);
	if (err) {
		sv_file_put(f);		/* frees df and what it holds */
		return err;
	}
	return sv_file_install(f);
}

static long group_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	struct vfio_group *g = sv_file_priv(f);
	void *user = (void *)value;

	switch (cmd) {
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device_fd(g, user);
	case VFIO_GROUP_GET_STATUS:
		return group_get_status(g, user);
	case VFIO_GROUP_SET_CONTAINER:
		return group_set_container(g, user);
	case VFIO_GROUP_UNSET_CONTAINER:
		return group_unset_container(g);
	default:
		return -ENOTTY;
	}
}

static const struct sv_file_ops group_file_ops = {
	.name = "vfio-group",
	.ioctl = group_ioctl,
	.release = group_release,
	.bound_to_mm = true,
};

bool vfio_file_is_valid(const struct sv_file *f)
{
	const struct sv_file_ops *ops = sv_file_get_ops(f);

	return ops == &group_file_ops || ops == &vfio_device_file_ops;
}
