/* SPDX-License-Identifier: MIT */
/* What vfio.c's scenarios find around the code under test: see vfio_world.c. */
#ifndef SV_MODEL_VFIO_WORLD_H
#define SV_MODEL_VFIO_WORLD_H

#include "base/types.h"

struct sv_file;

#define BAR_PAGES 2
extern u8 bar_memory[BAR_PAGES * 4096];

/* Behind the descriptors BUFFER_FD and the next, which dma_buf_fd() gives out in this order. */
#define BUFFER_FD 1000
extern struct dma_buf *buffer, *second;

/* Does any IOMMU page table that exists lead into this page of the BAR? Passes no point. */
bool world_is_translated(unsigned int page);
/* As the dispatcher does it: with a reference to the file. arg is a snapshot. */
long world_ioctl(struct sv_file *f, unsigned int cmd, void *arg, size_t size);

/* The scenarios': memory comes back (memory_lock held for writing). */
void scenario_memory_back(void);

#endif
