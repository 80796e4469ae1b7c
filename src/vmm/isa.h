/* SPDX-License-Identifier: MIT */
/*
 * The instruction set that KVM gives a vCPU, in the device tree's words.
 */
#ifndef SV_VMM_ISA_H
#define SV_VMM_ISA_H

#include "base/types.h"

/* The name of KVM's extension number id ("svpbmt"), or NULL: this program does not know it. */
const char *isa_ext_name(unsigned int id);
unsigned int isa_nr_exts(void);

/*
 * From the set of KVM's numbers that a vCPU has: the "riscv,isa" string ("rv64imafdc_zicbom"),
 * and the "riscv,isa-extensions" list of NUL-terminated names, whose length is *list_len.
 * 0, or -ENOSPC.
 */
int isa_strings(const bool *has, char *isa, size_t isa_size, char *list, size_t list_size,
		size_t *list_len);

#endif
