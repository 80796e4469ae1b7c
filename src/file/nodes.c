/* SPDX-License-Identifier: MIT */
/*
 * The nodes: every path that softvirt_open() answers itself.
 */
#include <string.h>

#include "file/file.h"

extern const struct sv_node kvm_node_riscv64;	/* src/kvm/riscv/vm.c */

extern const struct sv_node dma_heap_node_system;	/* src/dmabuf/heap.c */
extern const struct sv_node udmabuf_node;	/* src/dmabuf/udmabuf.c */
extern const struct sv_node sw_sync_node;	/* src/dmabuf/sw_sync.c */

extern const struct sv_node iommufd_node;	/* src/iommu/main.c */

extern const struct sv_node vfio_container_node, vfio_nodes;	/* src/vfio/node.c */

const struct sv_node *const sv_nodes[] = {
	&kvm_node_riscv64,
	&dma_heap_node_system,
	&udmabuf_node,
	&sw_sync_node,
	&iommufd_node,
	&vfio_container_node,
	&vfio_nodes,
	NULL,
};

/*
 * Writes path without doubled slashes and "." components. False when it does not fit: no
 * node is that long. ".." stays: what it means depends on symbolic links.
 */
static bool path_clean(const char *path, char *out, size_t room)
{
	size_t n = 0;

	if (*path != '/')
		return false;
	while (*path) {
		size_t len;

		while (*path == '/')
			path++;
		len = strcspn(path, "/");
		if (!len || (len == 1 && *path == '.')) {
			path += len;
			continue;
		}
		if (n + len + 2 > room)
			return false;
		out[n++] = '/';
		memcpy(out + n, path, len);
		n += len;
		path += len;
	}
	out[n] = 0;
	return true;
}

const struct sv_node *sv_node_find(const char *path)
{
	char clean[64];

	if (!path_clean(path, clean, sizeof(clean)))
		return NULL;
	if (!strcmp(clean, "/dev/kvm"))
		strcpy(clean, "/dev/kvm-" SV_HOST_ARCH);
	for (const struct sv_node *const *n = sv_nodes; *n; n++) {
		if ((*n)->match) {
			const struct sv_node *found = (*n)->match(clean);

			if (found)
				return found;
		} else if (!strcmp((*n)->path, clean)) {
			return *n;
		}
	}
	return NULL;
}
