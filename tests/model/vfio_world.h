/* SPDX-License-Identifier: MIT */
/* What vfio.c's scenarios find around the code under test: see vfio_world.c. */
#ifndef SV_MODEL_VFIO_WORLD_H
#define SV_MODEL_VFIO_WORLD_H

#include "base/types.h"

struct sv_file;

#define BAR_PAGES 2
extern u8 bar_memory[BAR_PAGES * 4096];

/* The buffer behind every descriptor that dma_buf_fd() gives out: there is one. */
#define BUFFER_FD 1000
extern struct dma_buf *buffer;

/* Does any IOMMU page table that exists lead into this page of the BAR? Passes no point. */
bool world_is_translated(unsigned int page);
/* An ioctl as the dispatcher makes it: a reference to the file, the handler of the table. arg is a snapshot. */
long world_ioctl(struct sv_file *f, unsigned int cmd, void *arg, size_t size);

/* The scenarios': memory comes back (memory_lock held for writing). */
void scenario_memory_back(void);

#endif
