/* SPDX-License-Identifier: MIT */
/*
 * The device tree that describes the machine to the guest.
 */
#ifndef SV_VMM_DTB_H
#define SV_VMM_DTB_H

#include "base/types.h"

#define DTB_MAX_ISA 1024

struct dtb_info {
	unsigned int nr_harts;
	u64 mem_size;
	u64 pci_high_base;
	/* From KVM's registers. */
	char isa[DTB_MAX_ISA];
	char isa_list[DTB_MAX_ISA];
	size_t isa_list_len;
	u64 timebase;
	u64 cbom_size, cboz_size;	/* 0: the machine does not have the extension */
	unsigned int satp_mode;		/* 8, 9, 10: Sv39, Sv48, Sv57 */
	/* What the kernel is told. */
	const char *bootargs;		/* or NULL */
	u64 initrd_start, initrd_end;	/* equal: none */
};

/* How large the tree can become. */
size_t dtb_size(const struct dtb_info *info);
/* Builds it in buf. 0, or -errno (-ENOSPC: bootargs too long for size). */
int dtb_build(const struct dtb_info *info, void *buf, size_t size);
/* Writes it to a file: all of it or nothing. One line and -errno on failure. */
int dtb_dump(const void *dtb, const char *name);

#endif
