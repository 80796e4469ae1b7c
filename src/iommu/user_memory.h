/* SPDX-License-Identifier: MIT */
/*
 * Memory that moves while DMA is under way, for dma.c; the host's mappings. user_memory.c has the
 * model.
 */
#ifndef SV_IOMMU_USER_MEMORY_H
#define SV_IOMMU_USER_MEMORY_H

#include "base/types.h"

/* Taken before a piece of DMA, given to um_settled() if it faults. */
u64 um_moves(void);
/*
 * Waits for a move that is under way. True: one has ended since, it is worth another try. No locks
 * held.
 */
bool um_settled(u64 since);

/* A mapping of the host. */
#define UM_VMA_R 1u
#define UM_VMA_W 2u
#define UM_VMA_SHARED 8u
struct um_vma {
	u64 start, end;
	u32 flags;
};
/* A descriptor for um_vma_find(), or -1. */
int um_maps_open(void);
/* The mapping that has addr: 0, -EFAULT (none), -ENOMEM. */
int um_vma_find(int fd, u64 addr, struct um_vma *v);

#endif
