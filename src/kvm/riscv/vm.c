/* SPDX-License-Identifier: MIT */
/*
 * /dev/kvm-riscv64: the VM's part for RISC-V, and the table through which the common part
 * reaches this folder.
 *
 * Guest time starts at 0 when the VM is created and is one for all vCPUs: the VM holds the
 * offset, each vCPU tells its hart before it enters the guest.
 */
#include <errno.h>

#include "kvm/riscv/kvm_riscv.h"

#define TICK_NS (1000000000 / RV_TIMEBASE_HZ)

u64 riscv_host_ticks(void)
{
	return sv_now_ns() / TICK_NS;
}

static int vm_create(unsigned long type, struct kvm **out)
{
	struct riscv_vm *vm = sv_zalloc(sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	vm->time_offset = -riscv_host_ticks();
	aia_vm_init(&vm->aia);
	vm->kvm.has_private_mem = type == KVM_RISCV_SW_PROTECTED_VM;
	*out = &vm->kvm;
	return 0;
}

static void vm_destroy(struct kvm *kvm)
{
	aia_vm_destroy(&to_riscv_vm(kvm)->aia);
	sv_free(to_riscv_vm(kvm));
}

static int check_extension(struct kvm *kvm, long ext)
{
	switch (ext) {
	case KVM_CAP_IRQCHIP:
	case KVM_CAP_SIGNAL_MSI:
	case KVM_CAP_IRQFD_RESAMPLE:
		return 1;
	case KVM_CAP_VM_TYPES:
		return BIT(0) | BIT(KVM_RISCV_SW_PROTECTED_VM);
	case KVM_CAP_IRQ_ROUTING:
		return KVM_MAX_IRQ_ROUTES;
	default:
		return 0;
	}
}

static int vm_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	return -EINVAL;
}

static const struct kvm_device_ops *device_ops(u32 type)
{
	return type == KVM_DEV_TYPE_RISCV_AIA ? &aia_device_ops : NULL;
}

const struct kvm_arch_ops kvm_riscv_ops = {
	.name = "riscv64",
	.coalesced_page = KVM_RISCV_COALESCED_MMIO_PAGE_OFFSET,
	.dirty_ring_page = KVM_RISCV_DIRTY_LOG_PAGE_OFFSET,
	.gpa_bits = 59,		/* two-stage Sv57 */
	.vcpu_stats = riscv_vcpu_stat_names,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.check_extension = check_extension,
	.vm_enable_cap = vm_enable_cap,
	.irq_line = aia_irq_line,
	.vcpu_create = riscv_vcpu_create,
	.vcpu_postcreate = riscv_vcpu_postcreate,
	.vcpu_destroy = riscv_vcpu_destroy,
	.vcpu_run = riscv_vcpu_run,
	.vcpu_async_ioctl = riscv_vcpu_async_ioctl,
	.set_one_reg = riscv_set_one_reg,
	.get_one_reg = riscv_get_one_reg,
	.reg_list = riscv_reg_list,
	.get_mp_state = riscv_get_mp_state,
	.set_mp_state = riscv_set_mp_state,
	.set_guest_debug = riscv_set_guest_debug,
	.vcpu_kick = riscv_vcpu_kick,
	.vcpu_request_flush = riscv_vcpu_request_flush,
	.vcpu_requests_done = riscv_vcpu_requests_done,
	.irqchip = aia_irqchip,
	.set_irq = aia_set_irq,
	.send_msi = aia_send_msi,
	.device_ops = device_ops,
};

static int node_open(const struct sv_node *node, int o_flags)
{
	return kvm_dev_open(node, o_flags, &kvm_riscv_ops);
}

extern const struct sv_node kvm_node_riscv64;
const struct sv_node kvm_node_riscv64 = { .path = "/dev/kvm-riscv64", .open = node_open };
