/* SPDX-License-Identifier: MIT */
/*
 * Chains of capabilities behind the info structs: each begins with its id, version and the offset
 * of the next one (0: none), counted from the struct's beginning once it is shifted.
 */
#include "vfio/vfio.h"

void *vfio_caps_add(struct vfio_caps *caps, size_t size, u16 id, u16 version)
{
	struct vfio_info_cap_header *h = (void *)(caps->buf + caps->size), *last;

	size = ALIGN_UP(size, sizeof(u64));
	if (WARN_ON(size > sizeof(caps->buf) - caps->size))
		return NULL;
	memset(h, 0, size);
	h->id = id;
	h->version = version;
	if (caps->size) {
		for (last = (void *)caps->buf; last->next; last = (void *)(caps->buf + last->next))
			;
		last->next = (u32)caps->size;
	}
	caps->size += size;
	return h;
}

void vfio_caps_shift(struct vfio_caps *caps, size_t offset)
{
	struct vfio_info_cap_header *h = (void *)caps->buf;

	while (caps->size && h->next) {
		struct vfio_info_cap_header *next = (void *)(caps->buf + h->next);

		h->next += (u32)offset;
		h = next;
	}
}
