/* SPDX-License-Identifier: MIT */
#include "vmm/mmio.h"

#include <errno.h>

int mmio_bus_add(struct mmio_bus *bus, const struct mmio_region *r)
{
	unsigned int i;

	if (bus->nr == MMIO_MAX_REGIONS)
		return -ENOSPC;
	for (i = 0; i < bus->nr; i++) {
		const struct mmio_region *o = &bus->region[i];

		if (r->base < o->base + o->size && o->base < r->base + r->size)
			return -EEXIST;
	}
	bus->region[bus->nr++] = *r;
	return 0;
}

const struct mmio_region *mmio_bus_find(const struct mmio_bus *bus, u64 addr, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < bus->nr; i++) {
		const struct mmio_region *r = &bus->region[i];

		if (addr - r->base < r->size)
			return size <= r->size - (addr - r->base) ? r : NULL;
	}
	return NULL;
}
