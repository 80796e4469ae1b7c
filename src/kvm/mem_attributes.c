/* SPDX-License-Identifier: MIT */
/*
 * Memory attributes: which guest pages are private (KVM_SET_MEMORY_ATTRIBUTES).
 *
 * Model: kvm->private_ranges is an immutable, sorted set of ranges of private pages without
 * overlap or contact; no set means that all is shared. A change builds the next set,
 * publishes it, and makes every vCPU forget its translations: when the ioctl returns no vCPU
 * reaches a page by what its attribute was. A range costs 16 bytes, however long; a change
 * costs a copy of the set.
 *
 * Lock: slots_lock to change; a thread in KVM_RUN reads under RCU.
 */
#include <errno.h>

#include "kvm/kvm.h"

struct gfn_range {
	u64 start, end;
};

struct kvm_private_ranges {
	u32 nr;
	struct gfn_range r[];
};

/* The first range that ends behind gfn. */
static u32 find(const struct kvm_private_ranges *set, u64 gfn)
{
	u32 lo = 0, hi = set ? set->nr : 0;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (set->r[mid].end <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool kvm_mem_is_private(struct kvm *kvm, u64 gfn)
{
	const struct kvm_private_ranges *set;
	bool ret;
	u32 i;

	if (likely(!rcu_access_pointer(kvm->private_ranges)))
		return false;
	rcu_read_lock();
	set = rcu_dereference(kvm->private_ranges);
	i = find(set, gfn);
	ret = set && i < set->nr && set->r[i].start <= gfn;
	rcu_read_unlock();
	return ret;
}

u64 kvm_supported_mem_attributes(const struct kvm *kvm)
{
	return !kvm || kvm->has_private_mem ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

static bool already(const struct kvm_private_ranges *set, u64 start, u64 end, bool private)
{
	u32 i = find(set, start);

	if (!private)
		return !set || i == set->nr || set->r[i].start >= end;
	return set && i < set->nr && set->r[i].start <= start && set->r[i].end >= end;
}

/* old with [start, end) added or taken out. NULL: no memory. */
static struct kvm_private_ranges *build(const struct kvm_private_ranges *old, u64 start, u64 end,
					bool private)
{
	u32 n = old ? old->nr : 0, out = 0;
	struct kvm_private_ranges *next;
	struct gfn_range new = { start, end };
	bool placed = !private;

	/* Taking out of the middle of a range makes one more, so does adding. */
	next = sv_alloc(sizeof(*next) + ((size_t)n + 1) * sizeof(next->r[0]));
	if (!next)
		return NULL;
	for (u32 i = 0; i < n; i++) {
		struct gfn_range r = old->r[i];

		if (private && r.end >= new.start && r.start <= new.end) {
			new.start = min(new.start, r.start);
			new.end = max(new.end, r.end);
			continue;
		}
		if (!placed && r.start > new.end) {
			next->r[out++] = new;
			placed = true;
		}
		if (private || r.end <= start || r.start >= end) {
			next->r[out++] = r;
			continue;
		}
		if (r.start < start)
			next->r[out++] = (struct gfn_range){ r.start, start };
		if (r.end > end)
			next->r[out++] = (struct gfn_range){ end, r.end };
	}
	if (!placed)
		next->r[out++] = new;
	next->nr = out;
	return next;
}

static int set_locked(struct kvm *kvm, u64 start, u64 end, bool private)
{
	struct kvm_private_ranges *old = kvm->private_ranges, *next;

	if (already(old, start, end, private))
		return 0;
	next = build(old, start, end, private);
	if (!next)
		return -ENOMEM;
	if (!next->nr) {
		sv_free(next);
		next = NULL;
	}
	rcu_assign_pointer(kvm->private_ranges, next);
	kvm_flush_remote_tlbs(kvm);
	if (smp_load_acquire(&kvm->online_vcpus))
		synchronize_rcu();
	sv_free(old);
	return 0;
}

long kvm_set_memory_attributes(struct kvm *kvm, const struct kvm_memory_attributes *a)
{
	int err;

	if (a->flags || (a->attributes & ~kvm_supported_mem_attributes(kvm)))
		return -EINVAL;
	if (!a->size || a->address + a->size < a->address)
		return -EINVAL;
	if (!IS_ALIGNED(a->address, SV_PAGE_SIZE) || !IS_ALIGNED(a->size, SV_PAGE_SIZE))
		return -EINVAL;
	sv_mutex_lock(&kvm->slots_lock);
	err = set_locked(kvm, a->address >> SV_PAGE_SHIFT, (a->address + a->size) >> SV_PAGE_SHIFT,
			 a->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE);
	sv_mutex_unlock(&kvm->slots_lock);
	return err;
}

void kvm_free_memory_attributes(struct kvm *kvm)
{
	sv_free(kvm->private_ranges);
}
