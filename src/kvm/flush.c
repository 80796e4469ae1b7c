/* SPDX-License-Identifier: MIT */
/*
 * Making all vCPUs of a VM forget what they were told about physical memory.
 *
 * Model: the caller, who holds slots_lock, has published what is true now. It asks every
 * vCPU to flush and waits for those inside of their guests. A vCPU acknowledges between two
 * blocks of guest code; it cannot in the middle of an instruction, since the host address it
 * stores to may be in a register already. The same goes for what KVM_RUN itself reads and
 * writes in guest memory (vcpu->touching). So a vCPU whose thread has lost its CPU must get it
 * back first. No fence saves that wait: the thread's next instruction may be the store.
 *
 * What can be saved is the time until it gets the CPU. A vCPU that has acknowledged does not
 * go on into its guest while others have not: it sleeps, and its CPU is free for them. With
 * more busy vCPUs than CPUs that is a few context switches instead of the others' time
 * slices.
 *
 * That sleep is a courtesy: it has a limit (COURTESY_NS), since an acknowledgement may take
 * as long as a page fault on guest memory that user space resolves (userfaultfd), and whoever
 * resolves it may need this very vCPU.
 *
 * Order: the waiter sets flush_waiting, then looks at the vCPUs; a vCPU leaves its guest,
 * then looks at flush_waiting. All of it is sequentially consistent, so one of the two sees
 * the other. flush_acks and flush_over are counters to sleep on. Futexes, no mutex: a signal
 * handler that interrupts KVM_RUN may change slots.
 */
#include "base/futex.h"
#include "kvm/kvm.h"

#define COURTESY_NS 500000
#define LOOK_AGAIN_NS 1000000	/* for an acknowledgement that wakes nobody: the end of a run */

/* A vCPU whose guest this thread has interrupted flushes before its next instruction. */
static bool all_done(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu != kvm_running_vcpu &&
		    (!kvm->ops->vcpu_requests_done(vcpu) ||
		     __atomic_load_n(&vcpu->touching, __ATOMIC_SEQ_CST)))
			return false;
	return true;
}

void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;

	kvm->stat->remote_tlb_flush_requests++;
	/* What is true now before what the vCPUs are doing. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm->ops->vcpu_request_flush(vcpu);
	if (!all_done(kvm)) {
		__atomic_store_n(&kvm->flush_waiting, 1, __ATOMIC_SEQ_CST);
		for (;;) {
			u32 acks = __atomic_load_n(&kvm->flush_acks, __ATOMIC_SEQ_CST);

			if (all_done(kvm))
				break;
			sv_futex_wait(&kvm->flush_acks, acks, LOOK_AGAIN_NS);
		}
		__atomic_store_n(&kvm->flush_waiting, 0, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&kvm->flush_over, 1, __ATOMIC_SEQ_CST);
		sv_futex_wake_all(&kvm->flush_over);
	}
	kvm->stat->remote_tlb_flush++;
}

void kvm_flush_acknowledge(struct kvm_vcpu *vcpu, bool goes_on)
{
	struct kvm *kvm = vcpu->kvm;
	u32 over = __atomic_load_n(&kvm->flush_over, __ATOMIC_SEQ_CST);

	if (!__atomic_load_n(&kvm->flush_waiting, __ATOMIC_SEQ_CST))
		return;
	__atomic_fetch_add(&kvm->flush_acks, 1, __ATOMIC_SEQ_CST);
	sv_futex_wake_all(&kvm->flush_acks);
	if (goes_on && __atomic_load_n(&kvm->flush_waiting, __ATOMIC_SEQ_CST))
		sv_futex_wait(&kvm->flush_over, over, COURTESY_NS);
}
