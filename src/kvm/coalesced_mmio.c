/* SPDX-License-Identifier: MIT */
/*
 * Coalesced MMIO: stores into a registered zone go to a ring that user space reads later,
 * instead of ending KVM_RUN.
 *
 * The ring is the second page of a vCPU's mapping and one for the whole VM, as in the
 * kernel: it lies in the first vCPU's memfd, and a mapping of another vCPU shows that page
 * (kvm_vcpu_mmap). first is user space's, last is ours; both are read once and bounded.
 * kvm->ring_lock serialises the vCPUs that write.
 *
 * Zones: an immutable array, replaced under slots_lock, read under RCU.
 */
#include <errno.h>
#include <string.h>

#include "kvm/kvm.h"

#define MAX_ZONES 1000
#define RING_ENTRIES \
	((SV_PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

struct zone {
	u64 addr, size;
	bool pio;
};

struct kvm_coalesced_zones {
	u32 nr;
	struct zone z[];
};

bool kvm_coalesced_mmio_write(struct kvm_vcpu *vcpu, u64 gpa, unsigned int len, u64 data)
{
	struct kvm *kvm = vcpu->kvm;
	const struct kvm_coalesced_zones *set;
	struct kvm_coalesced_mmio_ring *ring;
	struct kvm_coalesced_mmio *e;
	u32 first, last;
	bool hit = false;

	if (likely(!rcu_access_pointer(kvm->coalesced)))
		return false;
	rcu_read_lock();
	set = rcu_dereference(kvm->coalesced);
	for (u32 i = 0; set && i < set->nr && !hit; i++)
		hit = !set->z[i].pio && gpa >= set->z[i].addr &&
		      gpa - set->z[i].addr < set->z[i].size &&
		      len <= set->z[i].size - (gpa - set->z[i].addr);
	rcu_read_unlock();
	if (!hit)
		return false;

	ring = (void *)((char *)kvm->vcpus[0]->run + kvm->ops->coalesced_page * SV_PAGE_SIZE);
	sv_spin_lock(&kvm->ring_lock);
	first = smp_load_acquire(&ring->first);
	last = READ_ONCE(ring->last);
	if (first >= RING_ENTRIES || last >= RING_ENTRIES || (last + 1) % RING_ENTRIES == first) {
		sv_spin_unlock(&kvm->ring_lock);
		return false;		/* full, or nonsense: an ordinary exit */
	}
	e = &ring->coalesced_mmio[last];
	e->phys_addr = gpa;
	e->len = len;
	memcpy(e->data, &data, len);
	e->pio = 0;
	smp_store_release(&ring->last, (last + 1) % RING_ENTRIES);
	sv_spin_unlock(&kvm->ring_lock);
	return true;
}

long kvm_register_coalesced_mmio(struct kvm *kvm, const struct kvm_coalesced_mmio_zone *z, bool add)
{
	struct kvm_coalesced_zones *cur, *next = NULL;
	u32 n, out = 0;
	long err = 0;

	if (z->pio > 1)
		return -EINVAL;
	sv_mutex_lock(&kvm->slots_lock);
	cur = kvm->coalesced;
	n = cur ? cur->nr : 0;
	if (add && n >= MAX_ZONES) {
		err = -ENOSPC;
		goto unlock;
	}
	next = sv_alloc(sizeof(*next) + (n + 1) * sizeof(next->z[0]));
	if (!next) {
		err = -ENOMEM;
		goto unlock;
	}
	/* Unregistering takes away every zone that holds all of the range given. */
	for (u32 i = 0; i < n; i++)
		if (add || cur->z[i].pio != (bool)z->pio || z->addr < cur->z[i].addr ||
		    z->addr + z->size < z->addr ||
		    z->addr + z->size > cur->z[i].addr + cur->z[i].size)
			next->z[out++] = cur->z[i];
	if (add)
		next->z[out++] = (struct zone){ .addr = z->addr, .size = z->size, .pio = z->pio };
	next->nr = out;
	if (!out) {
		sv_free(next);
		next = NULL;
	}
	rcu_assign_pointer(kvm->coalesced, next);
	if (smp_load_acquire(&kvm->online_vcpus))
		synchronize_rcu();
	sv_free(cur);
unlock:
	sv_mutex_unlock(&kvm->slots_lock);
	return err;
}

void kvm_free_coalesced(struct kvm *kvm)
{
	sv_free(kvm->coalesced);
}
