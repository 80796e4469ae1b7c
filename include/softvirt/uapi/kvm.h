/* SPDX-License-Identifier: MIT */
/*
 * <linux/kvm.h>, and what an older host's copy of it lacks.
 *
 * Model: the system's header comes first; each number or struct that a Linux 6.12
 * program may use and that the header does not have follows under #ifndef, so this file
 * may be included on any host, before or after <linux/kvm.h>. What depends on the guest's
 * architecture instead of the host's is in kvm_riscv.h.
 */
#ifndef SOFTVIRT_UAPI_KVM_H
#define SOFTVIRT_UAPI_KVM_H

#include <stddef.h>
#include <linux/types.h>
#include <linux/ioctl.h>
#include <linux/kvm.h>

/* Capabilities, by number. */
#ifndef KVM_CAP_SET_GUEST_DEBUG
#define KVM_CAP_SET_GUEST_DEBUG			23	/* older headers: on some architectures only */
#endif
#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL		223
#endif
#ifndef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP	225
#endif
#ifndef KVM_CAP_COUNTER_OFFSET
#define KVM_CAP_COUNTER_OFFSET			227
#endif
#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2			231
#endif
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO		232
#endif
#ifndef KVM_CAP_MEMORY_ATTRIBUTES
#define KVM_CAP_MEMORY_ATTRIBUTES		233
#endif
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_GUEST_MEMFD			234
#endif
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES			235
#endif
#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY		236
#endif

/* Exits. */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT			39
#endif
#ifndef KVM_MEMORY_EXIT_FLAG_PRIVATE
#define KVM_MEMORY_EXIT_FLAG_PRIVATE		(1ULL << 3)
#endif

/*
 * What kvm_run holds after KVM_EXIT_MEMORY_FAULT, where the header's union has no member
 * memory_fault. It begins where every exit's data does.
 */
struct softvirt_memory_fault {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};
#define SOFTVIRT_MEMORY_FAULT(run) \
	((struct softvirt_memory_fault *)((char *)(run) + offsetof(struct kvm_run, hw)))

/* Memory slots, second edition. */
#ifndef KVM_SET_USER_MEMORY_REGION2
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif
#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD			(1UL << 2)
#endif

#ifndef KVM_SET_MEMORY_ATTRIBUTES
struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};
#define KVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#define KVM_MEMORY_ATTRIBUTE_PRIVATE		(1ULL << 3)
#endif

#ifndef KVM_CREATE_GUEST_MEMFD
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif

#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

#ifndef KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE	(1 << 0)
#endif
#ifndef KVM_DIRTY_LOG_INITIALLY_SET
#define KVM_DIRTY_LOG_INITIALLY_SET		(1 << 1)
#endif

/* Binary statistics: what a unit may be besides bytes, seconds, cycles. */
#ifndef KVM_STATS_UNIT_BOOLEAN
#define KVM_STATS_UNIT_BOOLEAN			(0x4 << KVM_STATS_UNIT_SHIFT)
#endif

#endif
