/* SPDX-License-Identifier: MIT */
/*
 * SBI calls that KVM leaves to the VMM: the debug console (SBI 2.0, chapter 12), the legacy
 * console calls (chapter 5), whose output and input are the UART's, and system suspend
 * (chapter 13).
 */
#include "softvirt/uapi/kvm.h"
#include "softvirt/uapi/kvm_riscv.h"
#include "vmm/vmm.h"

#define SBI_LEGACY_PUTCHAR	0x01
#define SBI_LEGACY_GETCHAR	0x02
#define SBI_EXT_DBCN		0x4442434e
#define SBI_EXT_SUSP		0x53555350
enum { DBCN_WRITE, DBCN_READ, DBCN_WRITE_BYTE };
#define SBI_ERR_FAILED		-1
#define SBI_ERR_NOT_SUPPORTED	-2
#define SBI_ERR_INVALID_PARAM	-3

/* One call does at most this much; the guest sees the count and calls again. */
#define DBCN_MAX 4096u

static void dbcn(struct vmm *vmm, const u64 *a, u64 function, u64 *error, u64 *value)
{
	u64 len = min(a[0], (u64)DBCN_MAX);
	void *p;
	u8 ch;

	*error = 0;
	*value = 0;
	switch (function) {
	case DBCN_WRITE:
	case DBCN_READ:
		/* a[2] is the upper half of an address of 128 bits; all that was named is RAM. */
		p = a[2] ? NULL : guest_mem_ptr(&vmm->mem, a[1], a[0]);
		if (!p) {
			*error = SBI_ERR_INVALID_PARAM;
			return;
		}
		if (function == DBCN_READ) {
			*value = uart_take(&vmm->uart, p, len);
			return;
		}
		chardev_write(&vmm->console, p, len);
		*value = len;
		return;
	case DBCN_WRITE_BYTE:
		ch = a[0];
		chardev_write(&vmm->console, &ch, 1);
		return;
	default:
		*error = SBI_ERR_NOT_SUPPORTED;
	}
}

/*
 * KVM has checked the call: all other harts are stopped, this one will start anew. It sleeps
 * here until something is to wake it. Its start takes an external interrupt away that came
 * meanwhile; reading a register makes KVM carry the start out, and then the lines are driven
 * once more.
 */
static void system_suspend(struct vcpu *vcpu)
{
	struct vmm *vmm = vcpu->vmm;
	u64 pc;

	sv_mutex_lock(&vmm->lock);
	vmm->wake = false;
	sv_mutex_unlock(&vmm->lock);
	/* After that: a line that rises behind the look wakes us. */
	if (!plic_asserted(&vmm->plic)) {
		sv_mutex_lock(&vmm->lock);
		while (!vmm->wake && !__atomic_load_n(&vmm->stop, __ATOMIC_ACQUIRE))
			sv_cond_wait(&vmm->woken, &vmm->lock);
		sv_mutex_unlock(&vmm->lock);
	}
	vmm_get_reg(vcpu, KVM_REG_RISCV_CORE | KVM_REG_RISCV_CORE_REG(regs.pc), &pc);
	plic_connect(&vmm->plic, true);
}

void vcpu_sbi_exit(struct vcpu *vcpu)
{
	struct vmm *vmm = vcpu->vmm;
	struct kvm_run *run = vcpu->run;
	u64 args[3] = { run->riscv_sbi.args[0], run->riscv_sbi.args[1], run->riscv_sbi.args[2] };
	u64 error = SBI_ERR_NOT_SUPPORTED, value = 0;
	u8 ch = args[0];

	switch (run->riscv_sbi.extension_id) {
	case SBI_EXT_DBCN:
		dbcn(vmm, args, run->riscv_sbi.function_id, &error, &value);
		break;
	case SBI_EXT_SUSP:
		system_suspend(vcpu);
		error = 0;
		break;
	case SBI_LEGACY_PUTCHAR:
		chardev_write(&vmm->console, &ch, 1);
		error = 0;
		break;
	case SBI_LEGACY_GETCHAR:
		/* The character takes the error's place; -1 is none. */
		error = uart_take(&vmm->uart, &ch, 1) ? (u64)ch : (u64)SBI_ERR_FAILED;
		break;
	}
	run->riscv_sbi.ret[0] = error;
	run->riscv_sbi.ret[1] = value;
}
