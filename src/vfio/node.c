/* SPDX-License-Identifier: MIT */
/*
 * The nodes under /dev/vfio: vfio (containers), <group> and devices/vfioN, the last two as
 * functions and their groups exist.
 *
 * A struct sv_node is made for each path that was asked for and existed at that time, and is never
 * freed: whoever found it may open it later, and gets ENODEV when its function has gone.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "vfio/vfio.h"

struct vfio_node {
	struct sv_node node;
	struct list_head link;
	char path[40];
	u32 number;
	bool group;
};

static struct sv_mutex lock = SV_MUTEX_INIT;
static LIST_HEAD(nodes);

/* Nodes serve the child too: they find what they open by its number. */
static void fork_prepare(void)
{
	sv_mutex_lock(&lock);
}

static void fork_done(void)
{
	sv_mutex_unlock(&lock);
}

static void __attribute__((constructor)) nodes_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_done, fork_done);
}

static int container_open(const struct sv_node *node, int o_flags)
{
	return vfio_container_open_node(o_flags);
}

const struct sv_node vfio_container_node = { "/dev/vfio/vfio", container_open, NULL };

static int number_open(const struct sv_node *node, int o_flags)
{
	const struct vfio_node *n = container_of(node, struct vfio_node, node);

	return n->group ? vfio_group_open_node(n->number, o_flags) :
			  vfio_cdev_open(n->number, o_flags);
}

/* A decimal number without leading zeros and nothing else. */
static bool parse(const char *s, u32 *number)
{
	char *end;

	if (!isdigit((unsigned char)*s) || (*s == '0' && s[1]) || strlen(s) > 9)
		return false;
	*number = (u32)strtoul(s, &end, 10);
	return !*end;
}

static bool device_exists(u32 number)
{
	struct pci_dev *p = NULL;

	while ((p = pci_dev_next(p))) {
		if (p->index == number) {
			pci_dev_put(p);
			return true;
		}
	}
	return false;
}

/* The node of that path, made if need be; NULL: no memory. */
static const struct sv_node *node_get(const char *path, u32 number, bool group)
{
	struct vfio_node *n;

	sv_mutex_lock(&lock);
	list_for_each_entry(n, &nodes, link)
		if (n->group == group && n->number == number)
			goto out;
	n = sv_zalloc(sizeof(*n));
	if (!n)
		goto out;
	snprintf(n->path, sizeof(n->path), "%s", path);
	n->node.path = n->path;
	n->node.open = number_open;
	n->number = number;
	n->group = group;
	list_add_tail(&n->link, &nodes);
out:
	sv_mutex_unlock(&lock);
	return n ? &n->node : NULL;
}

static const struct sv_node *match(const char *path)
{
	static const char dir[] = "/dev/vfio/", cdev[] = "/dev/vfio/devices/vfio";
	u32 number;

	if (strncmp(path, dir, sizeof(dir) - 1))
		return NULL;
	if (parse(path + sizeof(dir) - 1, &number) && iommu_group_get_by_id(number))
		return node_get(path, number, true);
	if (!strncmp(path, cdev, sizeof(cdev) - 1) && parse(path + sizeof(cdev) - 1, &number) &&
	    device_exists(number))
		return node_get(path, number, false);
	return NULL;
}

const struct sv_node vfio_nodes = { "/dev/vfio/devices", NULL, match };
