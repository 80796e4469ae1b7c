/* SPDX-License-Identifier: MIT */
/*
 * Brings a kernel and an initramfs into guest RAM.
 *
 * Kernels are RISC-V Images (Linux: Documentation/arch/riscv/boot-image-header.rst), such
 * Images compressed with gzip, alone or within an EFI zboot wrapper, and 64-bit RISC-V ELF
 * files. Files are read straight into guest RAM; RAM must be zero before. On a failure one
 * line has been printed and RAM holds anything.
 */
#ifndef SV_VMM_LOAD_H
#define SV_VMM_LOAD_H

#include "base/types.h"
#include "vmm/mem.h"

struct load_kernel {
	u64 entry;
	u64 start, end;		/* what it occupies, with its zeroed part */
};

int load_kernel(const struct guest_mem *m, const char *name, struct load_kernel *k);
/* As high as possible in [low, high), at a page. 0 or -errno. */
int load_initrd(const struct guest_mem *m, const char *name, u64 low, u64 high, u64 *start,
		u64 *end);

#endif
