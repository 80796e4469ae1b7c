/* SPDX-License-Identifier: MIT */
/*
 * What a guest finds at a physical address: shared memory, private memory, a device or a
 * fault; and KVM_PRE_FAULT_MEMORY, which looks ahead of the guest.
 *
 * Model: a page whose attribute is private is the slot's guest_memfd, any other the slot's
 * user memory. An access to a private page of a slot without guest_memfd, or of no slot,
 * is a memory fault that user space resolves (in the kernel: a VM whose guest cannot say
 * "shared" or "private" by itself, so that the two never disagree with the attribute).
 *
 * Called in the vCPU's thread without locks; slots and attributes are read under RCU. What is
 * answered may be out of date before it is used: the ioctl that made it so is then waiting
 * for this vCPU (flush.c).
 */
#include <errno.h>

#include "base/guard.h"
#include "kvm/kvm.h"

static u8 *slot_private_host(const struct kvm_memory_slot *s, u64 gfn)
{
	if (!s || !s->gmem_host || READ_ONCE(s->gmem_gone))
		return NULL;
	return s->gmem_host + ((gfn - s->base_gfn) << SV_PAGE_SHIFT);
}

/* Under rcu_read_lock(). */
static enum cpu_phys_kind resolve_shared(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *s,
					 u64 gfn, enum cpu_access access,
					 struct cpu_phys_page *page)
{
	bool logged = kvm_slot_dirty_track_enabled(s);

	if (access == CPU_ACCESS_WRITE) {
		if (s->flags & KVM_MEM_READONLY)
			return CPU_PHYS_MMIO;
		if (logged && s->reported && !kvm_dirty_ring_has_room(vcpu, s, gfn)) {
			page->err = -EAGAIN;
			return CPU_PHYS_FAULT;
		}
		mark_page_dirty_in_slot(vcpu->kvm, s, gfn);
		page->writable = true;
	} else {
		page->writable = !(s->flags & KVM_MEM_READONLY) && !logged;
	}
	page->host = kvm_slot_host(s, gfn);
	return CPU_PHYS_RAM;
}

enum cpu_phys_kind kvm_resolve(struct kvm_vcpu *vcpu, u64 gpa, enum cpu_access access,
			       struct cpu_phys_page *page)
{
	u64 gfn = gpa >> SV_PAGE_SHIFT;
	const struct kvm_memory_slot *s;
	enum cpu_phys_kind kind;

	rcu_read_lock();
	s = gfn_to_memslot(vcpu->kvm, gfn);
	if (unlikely(kvm_mem_is_private(vcpu->kvm, gfn))) {
		page->host = slot_private_host(s, gfn);
		page->writable = true;
		page->err = -EFAULT;
		kind = page->host ? CPU_PHYS_RAM : CPU_PHYS_FAULT;
	} else if (s) {
		kind = resolve_shared(vcpu, s, gfn, access, page);
	} else {
		page->err = -EOPNOTSUPP;	/* no device answers with instructions */
		kind = access == CPU_ACCESS_EXEC ? CPU_PHYS_FAULT : CPU_PHYS_MMIO;
	}
	rcu_read_unlock();
	return kind;
}

/* The page's host address by now, whatever it is made of, or NULL. */
static u8 *gfn_host(struct kvm *kvm, u64 gfn)
{
	const struct kvm_memory_slot *s;
	bool private = kvm_mem_is_private(kvm, gfn);
	u8 *host = NULL;

	rcu_read_lock();
	s = gfn_to_memslot(kvm, gfn);
	if (s)
		host = private ? slot_private_host(s, gfn) : kvm_slot_host(s, gfn);
	rcu_read_unlock();
	return host;
}

static bool inside(const void *base, const struct kvm_memory_slot *s, const u8 *host, u64 *gfn)
{
	u64 rel = (uintptr_t)host - (uintptr_t)base;

	if (!base || rel >= s->npages << SV_PAGE_SHIFT)
		return false;
	*gfn = s->base_gfn + (rel >> SV_PAGE_SHIFT);
	return true;
}

/* A page of guest memory that is made of the host address; gfn is kept if there is none. */
static u64 host_to_gfn(struct kvm *kvm, const u8 *host, u64 gfn)
{
	const struct kvm_memslots *ms;

	rcu_read_lock();
	ms = rcu_dereference(kvm->memslots);
	for (u32 i = 0; ms && i < ms->nr; i++) {
		const struct kvm_memory_slot *s = ms->slots[i];

		if (inside((void *)(uintptr_t)s->userspace_addr, s, host, &gfn) ||
		    inside(s->gmem_host, s, host, &gfn))
			break;
	}
	rcu_read_unlock();
	return gfn;
}

void kvm_prepare_memory_fault_exit(struct kvm_vcpu *vcpu, u64 gpa, const void *host)
{
	struct softvirt_memory_fault *mf = SOFTVIRT_MEMORY_FAULT(vcpu->run);
	u64 gfn = gpa >> SV_PAGE_SHIFT;

	/* Two slots may be made of the same memory: gpa first. */
	if (host && ALIGN_DOWN((uintptr_t)host, SV_PAGE_SIZE) !=
		    (uintptr_t)gfn_host(vcpu->kvm, gfn))
		gfn = host_to_gfn(vcpu->kvm, host, gfn);
	mf->flags = kvm_mem_is_private(vcpu->kvm, gfn) ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
	mf->gpa = gfn << SV_PAGE_SHIFT;
	mf->size = SV_PAGE_SIZE;
	vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
}

/* As a read by the guest would: brings the page in, breaks no copy-on-write. */
static int touch_page(struct kvm_vcpu *vcpu, u64 gpa)
{
	struct cpu_phys_page page = { 0 };
	struct sv_guard g;

	switch (kvm_resolve(vcpu, gpa, CPU_ACCESS_READ, &page)) {
	case CPU_PHYS_RAM:
		break;
	case CPU_PHYS_MMIO:
		return -ENOENT;
	case CPU_PHYS_FAULT:
		kvm_prepare_memory_fault_exit(vcpu, gpa, NULL);
		return page.err;
	}
	if (sv_guard_enter(&g))
		return -EFAULT;
	(void)*(volatile u8 *)page.host;
	sv_guard_leave(&g);
	return 0;
}

static int pre_fault_page(struct kvm_vcpu *vcpu, u64 gpa)
{
	int err;

	kvm_vcpu_touch_begin(vcpu);
	err = touch_page(vcpu, gpa);
	kvm_vcpu_touch_end(vcpu);
	return err;
}

long kvm_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	struct kvm_vcpu *outer = kvm_running_vcpu;
	bool masked = vcpu->sigset_active, scheduled;
	u64 size = range->size;
	int err = 0;

	if (range->flags)
		return -EINVAL;
	if (!IS_ALIGNED(range->gpa, SV_PAGE_SIZE) || !IS_ALIGNED(size, SV_PAGE_SIZE) ||
	    range->gpa + size <= range->gpa)
		return -EINVAL;
	/* KVM_SET_SIGNAL_MASK's mask is KVM_RUN's alone. */
	vcpu->sigset_active = false;
	kvm_running_vcpu = vcpu;
	kvm_signal_begin(vcpu);
	scheduled = vcpu->was_scheduled;
	while (!err && range->size) {
		bool lost_cpu;

		if (kvm_signal_check(vcpu, NULL, &lost_cpu))
			err = -EINTR;
		else
			err = pre_fault_page(vcpu, range->gpa);
		scheduled |= lost_cpu;
		if (!err) {
			range->gpa += SV_PAGE_SIZE;
			range->size -= SV_PAGE_SIZE;
		}
		kvm_flush_acknowledge(vcpu, true);
	}
	kvm_signal_end(vcpu);
	/* Steal time is the next KVM_RUN's to look at: it goes by the word. */
	if (scheduled && vcpu->rseq_word)
		__atomic_store_n(vcpu->rseq_word, 0, __ATOMIC_RELAXED);
	kvm_running_vcpu = outer;
	vcpu->sigset_active = masked;
	return range->size == size ? err : 0;
}
