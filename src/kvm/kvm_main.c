/* SPDX-License-Identifier: MIT */
/*
 * /dev/kvm-*: the system descriptor, and a VM's life and ioctls.
 *
 * A VM is created in two phases: the architecture allocates, the common part is filled in,
 * the file is made; only then is it shown. The last reference (files of the VM, its vCPUs
 * and devices) destroys it, which cannot fail.
 *
 * In a process forked later every ioctl answers EIO (bound_to_mm) and nothing is released.
 *
 * A command that nobody knows is EINVAL, as RISC-V's KVM says for all three descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/trace.h"
#include "kvm/kvm.h"

void kvm_get_kvm(struct kvm *kvm)
{
	refcount_inc(&kvm->refs);
}

static void kvm_destroy_vm(struct kvm *kvm)
{
	kvm_free_irqfds(kvm);
	for (u32 i = 0; i < kvm->online_vcpus; i++)
		kvm_vcpu_free(kvm->vcpus[i]);
	kvm->online_vcpus = 0;
	kvm_free_ioeventfds(kvm);
	kvm_free_coalesced(kvm);
	kvm_free_memslots(kvm);
	kvm_free_memory_attributes(kvm);
	kvm_stats_put(kvm->stats_file);
	sv_mutex_destroy(&kvm->irq_lock);
	sv_mutex_destroy(&kvm->slots_lock);
	sv_mutex_destroy(&kvm->lock);
	kvm->ops->vm_destroy(kvm);
}

void kvm_put_kvm(struct kvm *kvm)
{
	if (refcount_dec_and_test(&kvm->refs))
		kvm_destroy_vm(kvm);
}

static void kvm_vm_release(struct sv_file *f)
{
	kvm_put_kvm(sv_file_priv(f));
}

int kvm_check_extension(const struct kvm_arch_ops *ops, struct kvm *kvm, long ext)
{
	switch (ext) {
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_USER_MEMORY2:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
	case KVM_CAP_SYNC_MMU:
	case KVM_CAP_INTERNAL_ERROR_DATA:
	case KVM_CAP_IRQFD:
	case KVM_CAP_IOEVENTFD:
	case KVM_CAP_IOEVENTFD_ANY_LENGTH:
	case KVM_CAP_CHECK_EXTENSION_VM:
	case KVM_CAP_ENABLE_CAP_VM:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_ONE_REG:
	case KVM_CAP_SET_GUEST_DEBUG:
	case KVM_CAP_BINARY_STATS_FD:
	case KVM_CAP_SYSTEM_EVENT_DATA:
	case KVM_CAP_DEVICE_CTRL:
	case KVM_CAP_MEMORY_FAULT_INFO:
	case KVM_CAP_PRE_FAULT_MEMORY:
	case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP:
		return 1;
	case KVM_CAP_DIRTY_LOG_RING:
#if !defined(__x86_64__) && !defined(__i386__)
		return 0;	/* for user space on processors that keep stores in order */
#endif
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return KVM_DIRTY_RING_MAX_BYTES;
	case KVM_CAP_GUEST_MEMFD:
		return kvm_supported_mem_attributes(kvm) != 0;
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return (int)kvm_supported_mem_attributes(kvm);
	case KVM_CAP_COALESCED_MMIO:
		return ops->coalesced_page;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	case KVM_CAP_NR_MEMSLOTS:
		return KVM_USER_MEM_SLOTS;
	case KVM_CAP_NR_VCPUS: {
		long n = sysconf(_SC_NPROCESSORS_ONLN);

		return n < 1 ? 1 : min(n, (long)KVM_MAX_VCPUS);
	}
	case KVM_CAP_MAX_VCPUS:
		return KVM_MAX_VCPUS;
	case KVM_CAP_MAX_VCPU_ID:
		return KVM_MAX_VCPU_IDS;
	case KVM_CAP_VM_GPA_BITS:
		return ops->gpa_bits;
	default:
		return ops->check_extension(kvm, ext);
	}
}

static long vm_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	switch (cap->cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		if (cap->args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
			allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
		if (cap->flags || (cap->args[0] & ~allowed))
			return -EINVAL;
		sv_mutex_lock(&kvm->slots_lock);
		kvm->manual_dirty_log_protect = cap->args[0];
		sv_mutex_unlock(&kvm->slots_lock);
		return 0;
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		if (!kvm_check_extension(kvm->ops, kvm, cap->cap))
			return -EINVAL;
		return kvm_enable_dirty_ring(kvm, (u32)cap->args[0]);
	case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP:
		return kvm_enable_dirty_ring_bitmap(kvm, cap->flags);
	default:
		return kvm->ops->vm_enable_cap(kvm, cap);
	}
}

/* Each handler gets the VM and a snapshot of its argument. */
#define VM_HANDLER(name, ...) \
static long name(struct sv_file *f, struct sv_ioctl_ctx *c) \
{ \
	struct kvm *kvm = sv_file_priv(f); \
	__VA_ARGS__ \
}

VM_HANDLER(vm_create_vcpu, return kvm_vm_create_vcpu(kvm, c->value);)
VM_HANDLER(vm_enable_cap_ioctl, return vm_enable_cap(kvm, c->buf);)
VM_HANDLER(vm_set_region2, return kvm_set_memory_region(kvm, c->buf);)
VM_HANDLER(vm_set_region, {
	const struct kvm_userspace_memory_region *v1 = c->buf;
	struct kvm_userspace_memory_region2 m = {
		.slot = v1->slot, .flags = v1->flags, .guest_phys_addr = v1->guest_phys_addr,
		.memory_size = v1->memory_size, .userspace_addr = v1->userspace_addr,
	};
	if (v1->flags & ~(u32)(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return -EINVAL;
	return kvm_set_memory_region(kvm, &m);
})
VM_HANDLER(vm_get_dirty_log, return kvm_get_dirty_log(kvm, c->buf);)
VM_HANDLER(vm_clear_dirty_log, {
	struct kvm_clear_dirty_log log;

	/* Declared _IOWR, but nothing is ever written back. */
	if (sv_copy_from_user(&log, (void *)c->value, sizeof(log)))
		return -EFAULT;
	return kvm_clear_dirty_log(kvm, &log);
})
VM_HANDLER(vm_reset_dirty_rings, return kvm_reset_dirty_rings(kvm);)
VM_HANDLER(vm_set_memory_attributes, return kvm_set_memory_attributes(kvm, c->buf);)
VM_HANDLER(vm_create_guest_memfd, {
	struct kvm_create_guest_memfd args;

	/* The same. */
	if (sv_copy_from_user(&args, (void *)c->value, sizeof(args)))
		return -EFAULT;
	return kvm_gmem_create(kvm, &args);
})
VM_HANDLER(vm_register_coalesced, return kvm_register_coalesced_mmio(kvm, c->buf, true);)
VM_HANDLER(vm_unregister_coalesced, return kvm_register_coalesced_mmio(kvm, c->buf, false);)
VM_HANDLER(vm_irqfd, return kvm_irqfd(kvm, c->buf);)
VM_HANDLER(vm_ioeventfd, return kvm_ioeventfd(kvm, c->buf);)
VM_HANDLER(vm_signal_msi, return kvm_signal_msi(kvm, c->buf);)
VM_HANDLER(vm_irq_line, return kvm->ops->irq_line(kvm, c->buf);)
VM_HANDLER(vm_set_gsi_routing, return kvm_set_irq_routing(kvm, (void *)c->value);)
VM_HANDLER(vm_create_device, return kvm_create_device(kvm, c->buf);)
VM_HANDLER(vm_check_extension, return kvm_check_extension(kvm->ops, kvm, c->value);)
VM_HANDLER(vm_stats_fd, return kvm_vm_get_stats_fd(kvm);)

static const struct sv_ioctl vm_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_CREATE_VCPU, vm_create_vcpu),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_ENABLE_CAP, vm_enable_cap_ioctl),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_SET_USER_MEMORY_REGION, vm_set_region),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_SET_USER_MEMORY_REGION2, vm_set_region2),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_GET_DIRTY_LOG, vm_get_dirty_log),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_CLEAR_DIRTY_LOG, vm_clear_dirty_log),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_RESET_DIRTY_RINGS, vm_reset_dirty_rings),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_SET_MEMORY_ATTRIBUTES, vm_set_memory_attributes),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_CREATE_GUEST_MEMFD, vm_create_guest_memfd),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_REGISTER_COALESCED_MMIO, vm_register_coalesced),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_UNREGISTER_COALESCED_MMIO, vm_unregister_coalesced),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_IRQFD, vm_irqfd),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_IOEVENTFD, vm_ioeventfd),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_SIGNAL_MSI, vm_signal_msi),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_IRQ_LINE, vm_irq_line),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_IRQ_LINE_STATUS, vm_irq_line),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_SET_GSI_ROUTING, vm_set_gsi_routing),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_CREATE_DEVICE, vm_create_device),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_CHECK_EXTENSION, vm_check_extension),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_GET_STATS_FD, vm_stats_fd),
};

static bool known(const struct sv_ioctl *table, size_t n, unsigned int cmd)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].cmd == cmd)
			return true;
	return false;
}

static long kvm_vm_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	return known(vm_ioctls, ARRAY_SIZE(vm_ioctls), cmd) ? -ENOIOCTLCMD_SV : -EINVAL;
}

static const struct sv_file_ops kvm_vm_fops = {
	.name = "kvm-vm",
	.ioctls = vm_ioctls,
	.nr_ioctls = ARRAY_SIZE(vm_ioctls),
	.ioctl = kvm_vm_ioctl,
	.release = kvm_vm_release,
	.bound_to_mm = true,
};

static long kvm_create_vm(const struct kvm_arch_ops *ops, unsigned long type)
{
	static u32 next_id;
	struct sv_file *file;
	struct kvm *kvm;
	int err;

	err = ops->vm_create(type, &kvm);
	if (err)
		return err;
	kvm->ops = ops;
	refcount_set(&kvm->refs, 1);
	kvm->stats_id = __atomic_fetch_add(&next_id, 1, __ATOMIC_RELAXED);
	kvm->stat = &kvm->own_stat;
	sv_mutex_init(&kvm->lock);
	sv_mutex_init(&kvm->slots_lock);
	sv_mutex_init(&kvm->irq_lock);
	sv_spin_init(&kvm->ring_lock);

	err = sv_file_create(&kvm_vm_fops, kvm, SV_BACKING_EVENTFD, 0, O_RDWR | O_CLOEXEC, &file);
	if (err) {
		kvm_put_kvm(kvm);
		return err;
	}
	sv_trace("kvm.vm", "%s vm %u created", ops->name, kvm->stats_id);
	return sv_file_install(file);
}

static long dev_get_api_version(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return c->value ? -EINVAL : KVM_API_VERSION;
}

static long dev_create_vm(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return kvm_create_vm(sv_file_priv(f), c->value);
}

static long dev_check_extension(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return kvm_check_extension(sv_file_priv(f), NULL, c->value);
}

static long dev_get_vcpu_mmap_size(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return c->value ? -EINVAL : (long)(KVM_VCPU_MMAP_PAGES * SV_PAGE_SIZE);
}

static const struct sv_ioctl dev_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_GET_API_VERSION, dev_get_api_version),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_CREATE_VM, dev_create_vm),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_CHECK_EXTENSION, dev_check_extension),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_GET_VCPU_MMAP_SIZE, dev_get_vcpu_mmap_size),
};

static long kvm_dev_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	return known(dev_ioctls, ARRAY_SIZE(dev_ioctls), cmd) ? -ENOIOCTLCMD_SV : -EINVAL;
}

static void kvm_dev_release(struct sv_file *f)
{
}

static const struct sv_file_ops kvm_dev_fops = {
	.name = "kvm",
	.ioctls = dev_ioctls,
	.nr_ioctls = ARRAY_SIZE(dev_ioctls),
	.ioctl = kvm_dev_ioctl,
	.release = kvm_dev_release,
};

int kvm_dev_open(const struct sv_node *node, int o_flags, const struct kvm_arch_ops *ops)
{
	struct sv_file *file;
	int err;

	err = sv_guard_init();
	if (err)
		return err;
	err = sv_file_create(&kvm_dev_fops, (void *)(uintptr_t)ops, SV_BACKING_EVENTFD, 0, o_flags,
			     &file);
	if (err)
		return err;
	return sv_file_install(file);
}
