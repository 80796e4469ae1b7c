/* SPDX-License-Identifier: MIT */
/*
 * SiFive's test finisher ("sifive,test1"): one 32-bit register. Bare-metal programs end
 * themselves through it with an exit status; operating systems use SBI.
 */
#include "vmm/vmm.h"

#define FINISHER_FAIL	0x3333
#define FINISHER_PASS	0x5555
#define FINISHER_RESET	0x7777

static u64 finisher_read(void *dev, u64 off, unsigned int size)
{
	return 0;
}

static void finisher_write(void *dev, u64 off, u64 val, unsigned int size)
{
	unsigned int code = (val >> 16) & 0xffff;

	if (off || size < 2)
		return;
	switch (val & 0xffff) {
	case FINISHER_PASS:
		vmm_request(dev, VMM_EXIT, 0);
		break;
	case FINISHER_FAIL:
		/* A status has 8 bits, and a failure is never 0. */
		vmm_request(dev, VMM_EXIT, code & 0xff ? code & 0xff : 1);
		break;
	case FINISHER_RESET:
		vmm_request(dev, VMM_RESET, 0);
		break;
	}
}

const struct mmio_ops finisher_mmio_ops = { finisher_read, finisher_write };
