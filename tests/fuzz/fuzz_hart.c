// SPDX-License-Identifier: MIT
/*
 * Arbitrary bytes as a guest: the decoder, the ops and the MMU against code, page tables and
 * registers that mean harm. Nothing it does may reach outside of its RAM or hang the run.
 *
 * Input: satp, sstatus, sixteen registers, vl and vtype, then memory from address 0, where pc starts.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/timer.h"
#include "cpu/riscv/hart.h"

#define RAM_SIZE 0x10000u
#define RUNS 64

static u8 *ram;
static u64 go_on;	/* the attention word: 0 ends a run at the first loop */

static void time_is_up(struct sv_timer *t)
{
	__atomic_store_n(&go_on, 0, __ATOMIC_RELAXED);
}

static enum cpu_phys_kind resolve(void *owner, u64 gpa, enum cpu_access access,
				  struct cpu_phys_page *page)
{
	if (gpa >= RAM_SIZE)
		return gpa == RAM_SIZE ? CPU_PHYS_FAULT : CPU_PHYS_MMIO;
	page->host = ram + gpa;
	page->writable = gpa != 0x3000;
	if (access == CPU_ACCESS_WRITE && !page->writable)
		return CPU_PHYS_MMIO;
	return CPU_PHYS_RAM;
}

static const struct cpu_phys_ops phys = { .resolve = resolve };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rv_hart *harts[2];	/* of the shortest vectors and the longest */
	static struct sv_timer timer;
	struct rv_hart_config cfg = { .extensions = RV_EXT_ALL, .phys = &phys, .attention = &go_on };
	u64 regs[19] = { 0 };
	struct rv_hart *h;

	if (!ram) {
		/* Exactly as large as it is: AddressSanitizer sees one byte beyond. */
		ram = aligned_alloc(4096, RAM_SIZE);
		harts[0] = rv_hart_create(&cfg);
		cfg.vlen = 1024;
		harts[1] = rv_hart_create(&cfg);
		sv_timer_init(&timer, time_is_up);
		if (!ram || !harts[0] || !harts[1])
			abort();
	}
	h = harts[size & 1];
	memset(ram, 0, RAM_SIZE);
	memcpy(regs, data, size < sizeof(regs) ? size : sizeof(regs));
	if (size > sizeof(regs))
		memcpy(ram, data + sizeof(regs), size - sizeof(regs) < RAM_SIZE ? size - sizeof(regs) : RAM_SIZE);
	rv_hart_reset(h);
	rv_hart_request_flush_phys(h);
	rv_hart_set_csr(h, 0x100, regs[1]);
	for (unsigned i = 0; i < 16; i++)
		rv_hart_set_x(h, i + 1, regs[i + 2]);
	rv_hart_set_csr(h, 0x180, regs[0]);
	rv_hart_set_csr(h, 0xc20, regs[18] >> 16 & 0xffff);
	rv_hart_set_csr(h, 0xc21, regs[18] & 0xffff);
	rv_hart_set_csr(h, 0x008, regs[18] >> 32 & 0xffff);
	/* Most of it in steps, which are the same each time; the rest at speed, for a moment. */
	for (unsigned i = 0; i < RUNS; i++) {
		const struct rv_exit_info *x;
		bool step = i < RUNS - 4;

		__atomic_store_n(&go_on, 1, __ATOMIC_RELAXED);
		if (!step)
			sv_timer_set(&timer, sv_now_ns() + 50000);
		rv_hart_set_debug(h, false, step);
		x = rv_hart_run(h);
		if (!step)
			sv_timer_cancel_sync(&timer);
		if (x->reason == RV_EXIT_MMIO_READ)
			rv_hart_complete_mmio_read(h, 0x1122334455667788);
		else if (x->reason == RV_EXIT_ECALL)
			rv_hart_complete_ecall(h);
	}
	return 0;
}
