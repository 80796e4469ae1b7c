/* SPDX-License-Identifier: MIT */
/*
 * Where in guest-physical space which device answers.
 *
 * The table is filled before the first vCPU runs and does not change afterwards, so look-up
 * needs no lock. (What moves, PCI BARs, is behind the PCI windows' own regions.) A device
 * sees its offset, never an address, and sizes 1, 2, 4 or 8 with off + size within the region.
 */
#ifndef SV_VMM_MMIO_H
#define SV_VMM_MMIO_H

#include "base/types.h"

#define MMIO_MAX_REGIONS 16

struct mmio_ops {
	u64 (*read)(void *dev, u64 off, unsigned int size);
	void (*write)(void *dev, u64 off, u64 val, unsigned int size);
};

struct mmio_region {
	const char *name;
	u64 base;
	u64 size;
	const struct mmio_ops *ops;
	void *dev;
};

struct mmio_bus {
	struct mmio_region region[MMIO_MAX_REGIONS];
	unsigned int nr;
};

/* 0; -EEXIST for an overlap and -ENOSPC for a full table are mistakes of the caller. */
int mmio_bus_add(struct mmio_bus *bus, const struct mmio_region *r);
/* NULL unless all of the access is within one region. */
const struct mmio_region *mmio_bus_find(const struct mmio_bus *bus, u64 addr, unsigned int size);

#endif
