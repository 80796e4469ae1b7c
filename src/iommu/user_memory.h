/* SPDX-License-Identifier: MIT */
/*
 * Memory that moves while DMA is under way, for dma.c. user_memory.c has the model.
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

#endif
