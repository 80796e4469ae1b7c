/* SPDX-License-Identifier: MIT */
/*
 * The platform-level interrupt controller (RISC-V PLIC specification 1.0.0), in the layout of
 * SiFive's, which is what "sifive,plic-1.0.0" and "riscv,plic0" name.
 *
 * All sources are levels. A source that is high and not claimed is pending; a claim takes it
 * away until its completion, after which it is pending again if it is still high.
 *
 * Contexts are numbered as on QEMU's machine: hart h's supervisor context is 2h + 1. There is
 * no machine mode, so the even ones exist in the numbering only: they read as zero.
 *
 * plic->lock covers everything; output (KVM_INTERRUPT) is driven under it, so that the last
 * change is the last one the vCPU sees. It is the innermost lock of the VMM.
 */
#ifndef SV_VMM_PLIC_H
#define SV_VMM_PLIC_H

#include "base/sync.h"
#include "base/types.h"
#include "vmm/mmio.h"

#define PLIC_NR_SOURCES 96	/* 0 is none */
#define PLIC_WORDS (PLIC_NR_SOURCES / 32)
#define PLIC_MAX_PRIORITY 7
#define PLIC_CONTEXT_OF(hart) (2 * (hart) + 1)

struct plic_context {
	u32 enable[PLIC_WORDS];
	u32 threshold;
	bool out;
};

struct plic {
	struct sv_mutex lock;
	/* Tells hart's external interrupt line; called under the lock. */
	void (*set_output)(void *opaque, unsigned int hart, bool level);
	void *opaque;
	bool connected;
	u32 priority[PLIC_NR_SOURCES];
	u32 level[PLIC_WORDS];
	u32 pending[PLIC_WORDS];
	u32 claimed[PLIC_WORDS];
	unsigned int nr_harts;
	struct plic_context *context;	/* one for each hart */
};

int plic_init(struct plic *p, unsigned int nr_harts,
	      void (*set_output)(void *opaque, unsigned int hart, bool level), void *opaque);
void plic_destroy(struct plic *p);
/* As after power-on, with all inputs low. Outputs are low without being driven. */
void plic_reset(struct plic *p);
/*
 * Whether outputs are driven. On connection the lines are taken to be low, and those that are
 * not are driven; after disconnection set_output is not called and not running.
 */
void plic_connect(struct plic *p, bool on);
/* Is any hart's line high? */
bool plic_asserted(struct plic *p);
void plic_set_level(struct plic *p, unsigned int source, bool level);

extern const struct mmio_ops plic_mmio_ops;

#endif
