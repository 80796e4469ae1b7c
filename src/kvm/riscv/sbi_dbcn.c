/* SPDX-License-Identifier: MIT */
/*
 * SBI debug console: write, read, write a byte, all answered by user space, which knows
 * where the console is. Off until user space enables it.
 */
#include "kvm/riscv/sbi.h"

enum { CONSOLE_WRITE, CONSOLE_READ, CONSOLE_WRITE_BYTE };

static enum sbi_outcome dbcn_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	switch (vcpu_x(v, X_A6)) {
	case CONSOLE_WRITE:
	case CONSOLE_READ:
	case CONSOLE_WRITE_BYTE:
		return sbi_forward(v);
	default:
		ret->err = SBI_ERR_NOT_SUPPORTED;
		return SBI_DONE;
	}
}

const struct sbi_ext sbi_ext_dbcn = {
	.first = SBI_ID_DBCN, .last = SBI_ID_DBCN, .default_disabled = true,
	.handler = dbcn_handler,
};
