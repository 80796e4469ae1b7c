/* SPDX-License-Identifier: MIT */
/*
 * Dirty rings: which pages of logged slots a vCPU has written, as a queue that user space
 * reads without an ioctl.
 *
 * Model: one ring for each vCPU, in its file's memory behind kvm_run, made with the vCPU. Its
 * vCPU's thread alone appends (dirty_index); KVM_RESET_DIRTY_RINGS alone takes away
 * (reset_index, slots_lock). An entry goes from unused to dirty (by the vCPU), to harvested
 * (by user space), to unused (by the reset).
 *
 * slot->reported has a bit for each page that is in some ring and has not been reset. It is
 * what the kernel keeps in its page tables as "writable": whoever sets the bit appends the
 * entry, all others (this vCPU after its translation was pushed out, other vCPUs) may write
 * without. The reset clears bits, then makes all vCPUs forget their translations, and
 * returns after they have. A store by an old translation is older than the return, so its
 * data is in the memory that user space copies after the ioctl.
 *
 * A ring never overflows: an append by the guest that would pass the soft limit does not
 * happen, the guest leaves at that instruction and KVM_RUN ends with
 * KVM_EXIT_DIRTY_RING_FULL, each time until entries were reset. The entries beyond the limit
 * are for what the hypervisor itself writes between two looks at the limit (steal time,
 * SBI's shared memory), some pages at most.
 *
 * User space can write anything into entries. What the reset reads there it checks; it never
 * goes beyond what was appended.
 *
 * Writes outside of any vCPU (kvm_running_vcpu is not one of this VM's) go to the slot's
 * bitmap, if KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP made it have one.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/libc.h"
#include "kvm/kvm.h"

#define RESERVED_ENTRIES 64

long kvm_enable_dirty_ring(struct kvm *kvm, u32 size)
{
	long ret = 0;

	if (!size || (size & (size - 1)))
		return -EINVAL;
	if (size < RESERVED_ENTRIES * sizeof(struct kvm_dirty_gfn) || size < SV_PAGE_SIZE)
		return -EINVAL;
	if (size > KVM_DIRTY_RING_MAX_BYTES)
		return -E2BIG;
	sv_mutex_lock(&kvm->lock);
	if (kvm->dirty_ring_size || kvm->created_vcpus)
		ret = -EINVAL;
	else
		kvm->dirty_ring_size = size;
	sv_mutex_unlock(&kvm->lock);
	return ret;
}

/* Every slot must have got its bitmap after this. */
long kvm_enable_dirty_ring_bitmap(struct kvm *kvm, u32 flags)
{
	long ret = -EINVAL;

	if (!READ_ONCE(kvm->dirty_ring_size) || flags)
		return ret;
	sv_mutex_lock(&kvm->slots_lock);
	if (!kvm->memslots || !kvm->memslots->nr) {
		kvm->dirty_ring_with_bitmap = true;
		ret = 0;
	}
	sv_mutex_unlock(&kvm->slots_lock);
	return ret;
}

/* fd: the vCPU's file, large enough. 0 or -ENOMEM; undone by kvm_dirty_ring_free(). */
int kvm_dirty_ring_alloc(struct kvm_vcpu *vcpu, int fd)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	u32 bytes = vcpu->kvm->dirty_ring_size;
	off_t at = (off_t)vcpu->kvm->ops->dirty_ring_page * SV_PAGE_SIZE;
	void *p;

	/* All of its memory now: a first touch later could not fail properly. */
	if (SV_FAULT(ENOMEM) || sv_libc.fallocate(fd, FALLOC_FL_KEEP_SIZE, at, bytes))
		return -ENOMEM;
	p = SV_FAULT(ENOMEM) ? MAP_FAILED
			     : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
	if (p == MAP_FAILED)
		return -ENOMEM;
	ring->gfns = p;
	ring->size = bytes / sizeof(struct kvm_dirty_gfn);
	ring->soft_limit = ring->size - RESERVED_ENTRIES;
	return 0;
}

void kvm_dirty_ring_free(struct kvm_vcpu *vcpu)
{
	if (vcpu->dirty_ring.gfns)
		munmap(vcpu->dirty_ring.gfns, vcpu->kvm->dirty_ring_size);
}

static u32 ring_used(const struct kvm_dirty_ring *ring)
{
	return __atomic_load_n(&ring->dirty_index, __ATOMIC_RELAXED) -
	       __atomic_load_n(&ring->reset_index, __ATOMIC_ACQUIRE);
}

bool kvm_dirty_ring_soft_full(const struct kvm_vcpu *vcpu)
{
	return vcpu->dirty_ring.gfns && ring_used(&vcpu->dirty_ring) >= vcpu->dirty_ring.soft_limit;
}

static void ring_push(struct kvm_dirty_ring *ring, u32 slot, u64 offset)
{
	u32 at = ring->dirty_index;
	struct kvm_dirty_gfn *e = &ring->gfns[at & (ring->size - 1)];

	WRITE_ONCE(e->slot, slot);
	WRITE_ONCE(e->offset, offset);
	smp_store_release(&e->flags, KVM_DIRTY_GFN_F_DIRTY);
	smp_store_release(&ring->dirty_index, at + 1);
}

static bool is_reported(const struct kvm_memory_slot *s, u64 rel)
{
	return __atomic_load_n(&s->reported[rel / 64], __ATOMIC_SEQ_CST) & BIT(rel % 64);
}

bool kvm_dirty_ring_has_room(const struct kvm_vcpu *vcpu, const struct kvm_memory_slot *s, u64 gfn)
{
	return !kvm_dirty_ring_soft_full(vcpu) || is_reported(s, gfn - s->base_gfn);
}

void kvm_dirty_ring_mark(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *s, u64 gfn)
{
	u64 rel = gfn - s->base_gfn;

	/* Full is beyond what the model allows; the page stays unreported for a later write. */
	if (is_reported(s, rel) || ring_used(&vcpu->dirty_ring) >= vcpu->dirty_ring.size)
		return;
	if (!(__atomic_fetch_or(&s->reported[rel / 64], BIT(rel % 64), __ATOMIC_SEQ_CST) &
	      BIT(rel % 64)))
		ring_push(&vcpu->dirty_ring, s->id, rel);
}

/* slots_lock held. slot and offset are user space's. */
static void reset_page(struct kvm *kvm, u32 slot, u64 offset)
{
	struct kvm_memory_slot *s;

	s = slot < kvm->slot_by_id_size ? kvm->slot_by_id[slot] : NULL;
	if (s && s->reported && offset < s->npages)
		__atomic_fetch_and(&s->reported[offset / 64], ~BIT(offset % 64), __ATOMIC_SEQ_CST);
}

static u32 ring_reset(struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	u32 end = smp_load_acquire(&ring->dirty_index), n = 0;

	while (ring->reset_index != end) {
		struct kvm_dirty_gfn *e = &ring->gfns[ring->reset_index & (ring->size - 1)];
		u64 offset;
		u32 slot;

		if (!(smp_load_acquire(&e->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		slot = READ_ONCE(e->slot);
		offset = READ_ONCE(e->offset);
		smp_store_release(&e->flags, 0);
		reset_page(kvm, slot, offset);
		/* The vCPU may use the entry again. */
		smp_store_release(&ring->reset_index, ring->reset_index + 1);
		n++;
	}
	return n;
}

long kvm_reset_dirty_rings(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	u32 cleared = 0;

	if (!READ_ONCE(kvm->dirty_ring_size))
		return -EINVAL;
	sv_mutex_lock(&kvm->slots_lock);
	kvm_for_each_vcpu(i, vcpu, kvm)
		cleared += ring_reset(kvm, &vcpu->dirty_ring);
	if (cleared)
		kvm_flush_remote_tlbs(kvm);
	sv_mutex_unlock(&kvm->slots_lock);
	return cleared;
}
