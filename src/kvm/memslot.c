/* SPDX-License-Identifier: MIT */
/*
 * Memory slots and their dirty logs.
 *
 * Model: kvm->memslots is an immutable, sorted snapshot. A change builds the next
 * snapshot, publishes it, makes every vCPU forget what it was told about physical memory,
 * waits until those inside a guest have done so, and only then frees what the old snapshot
 * alone referred to. When the ioctl returns no vCPU touches a removed slot's memory.
 *
 * A vCPU asks (arch resolve) inside its run; the answer goes to its TLB. A resolve that
 * read the old snapshot is over before its hart can acknowledge the flush, so the wait
 * covers it; other readers use RCU.
 *
 * Dirty logs: a page of a logged slot is handed out read-only for reads; the first write
 * asks again and sets the page's bit before it is allowed. Reading the log clears bits
 * first and flushes then: a store that still used the old translation is older than the
 * ioctl's return, so its data is in the memory that the caller copies next.
 *
 * Lock: slots_lock for all changes and log reads. A thread in KVM_RUN never takes it.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/guard.h"
#include "kvm/kvm.h"

#define USER_SPACE_END (1ull << 47)
#define V1_FLAGS (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)
#define DIRTY_LOG_CAPS (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

/* The vCPU whose guest this thread is in: a signal handler may get here through an ioctl. */
extern __thread struct kvm_vcpu *kvm_running_vcpu;

static size_t dirty_bitmap_bytes(const struct kvm_memory_slot *s)
{
	return ALIGN_UP(s->npages, 64) / 8;
}

struct kvm_memory_slot *gfn_to_memslot(struct kvm *kvm, u64 gfn)
{
	const struct kvm_memslots *ms = rcu_dereference(kvm->memslots);
	u32 lo = 0, hi = ms ? ms->nr : 0;

	while (lo < hi) {	/* the last slot that begins at or below gfn */
		u32 mid = lo + (hi - lo) / 2;

		if (ms->slots[mid]->base_gfn <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || gfn - ms->slots[lo - 1]->base_gfn >= ms->slots[lo - 1]->npages)
		return NULL;
	return ms->slots[lo - 1];
}

void mark_page_dirty_in_slot(const struct kvm_memory_slot *s, u64 gfn)
{
	u64 rel = gfn - s->base_gfn;

	if (s->dirty_bitmap && !(READ_ONCE(s->dirty_bitmap[rel / 64]) & BIT(rel % 64)))
		__atomic_fetch_or(&s->dirty_bitmap[rel / 64], BIT(rel % 64), __ATOMIC_SEQ_CST);
}

/*
 * The slot's memory is copied under a guard, which must not be inside of a read section
 * (a fault would leave it); the slot is looked up first, its address used after. A slot
 * deleted in between is the caller's race, as in the kernel. A page is marked dirty after
 * the write: a log read in between would take the mark away and miss the data.
 */
static int access_page(struct kvm *kvm, u64 gpa, void *data, size_t n, bool write)
{
	u64 gfn = gpa >> SV_PAGE_SHIFT;
	const struct kvm_memory_slot *s;
	u8 *host = NULL;

	rcu_read_lock();
	s = gfn_to_memslot(kvm, gfn);
	if (s && !(write && (s->flags & KVM_MEM_READONLY)))
		host = kvm_slot_host(s, gfn) + (gpa & (SV_PAGE_SIZE - 1));
	rcu_read_unlock();
	if (!host)
		return -EFAULT;
	if (!write)
		return sv_copy_from_user(data, host, n);
	if (sv_copy_to_user(host, data, n))
		return -EFAULT;
	rcu_read_lock();
	s = gfn_to_memslot(kvm, gfn);
	if (s)
		mark_page_dirty_in_slot(s, gfn);
	rcu_read_unlock();
	return 0;
}

static int access_guest(struct kvm *kvm, u64 gpa, void *data, size_t len, bool write)
{
	while (len) {
		size_t n = min(len, (size_t)(SV_PAGE_SIZE - (gpa & (SV_PAGE_SIZE - 1))));

		if (access_page(kvm, gpa, data, n, write))
			return -EFAULT;
		gpa += n;
		data = (u8 *)data + n;
		len -= n;
	}
	return 0;
}

int kvm_write_guest(struct kvm *kvm, u64 gpa, const void *data, size_t len)
{
	return access_guest(kvm, gpa, (void *)(uintptr_t)data, len, true);
}

int kvm_read_guest(struct kvm *kvm, u64 gpa, void *data, size_t len)
{
	return access_guest(kvm, gpa, data, len, false);
}

void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned int spins;

	kvm->stat->remote_tlb_flush_requests++;
	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm->ops->vcpu_request_flush(vcpu);
	kvm_for_each_vcpu(j, vcpu, kvm) {
		if (vcpu == kvm_running_vcpu)
			continue;	/* flushes before its next guest instruction */
		for (spins = 0; !kvm->ops->vcpu_requests_done(vcpu); spins++) {
			struct timespec ts = { .tv_nsec = 20000 };

			if (spins < 4)
				sched_yield();
			else
				nanosleep(&ts, NULL);
		}
	}
	kvm->stat->remote_tlb_flush++;
}

/* Every rule of KVM_SET_USER_MEMORY_REGION that needs no look at other slots. */
static int validate_region(const struct kvm *kvm, const struct kvm_userspace_memory_region2 *m)
{
	/* Guest-private memory is not offered (KVM_CAP_GUEST_MEMFD is 0). */
	if (m->flags & ~(u32)V1_FLAGS)
		return -EINVAL;
	if (!IS_ALIGNED(m->memory_size, SV_PAGE_SIZE) ||
	    !IS_ALIGNED(m->guest_phys_addr, SV_PAGE_SIZE) ||
	    !IS_ALIGNED(m->userspace_addr, SV_PAGE_SIZE))
		return -EINVAL;
	/* What access_ok() says: a user address, and the range does not leave user space. */
	if (m->memory_size > USER_SPACE_END ||
	    m->userspace_addr > USER_SPACE_END - m->memory_size)
		return -EINVAL;
	/* One address space (the upper half of slot), 32767 slots in it. */
	if (m->slot >> 16 || (u16)m->slot >= KVM_USER_MEM_SLOTS)
		return -EINVAL;
	if (m->guest_phys_addr + m->memory_size < m->guest_phys_addr)
		return -EINVAL;
	if (m->memory_size >> SV_PAGE_SHIFT > KVM_MEM_MAX_NR_PAGES)
		return -EINVAL;
	return 0;
}

static bool overlaps(const struct kvm *kvm, u16 id, u64 base_gfn, u64 npages)
{
	const struct kvm_memslots *ms = kvm->memslots;

	for (u32 i = 0; ms && i < ms->nr; i++) {
		const struct kvm_memory_slot *s = ms->slots[i];

		if (s->base_gfn >= base_gfn + npages)
			break;
		if (s->id != id && s->base_gfn + s->npages > base_gfn)
			return true;
	}
	return false;
}

/* The next snapshot: without old, with new. Either may be NULL. */
static struct kvm_memslots *build_snapshot(const struct kvm *kvm,
					   const struct kvm_memory_slot *old,
					   struct kvm_memory_slot *new)
{
	const struct kvm_memslots *cur = kvm->memslots;
	u32 n = cur ? cur->nr : 0, out = 0;
	struct kvm_memslots *next;

	next = sv_alloc(sizeof(*next) + (n + 1) * sizeof(next->slots[0]));
	if (!next)
		return NULL;
	for (u32 i = 0; i < n; i++) {
		struct kvm_memory_slot *s = cur->slots[i];

		if (s == old)
			continue;
		if (new && new->base_gfn < s->base_gfn) {
			next->slots[out++] = new;
			new = NULL;
		}
		next->slots[out++] = s;
	}
	if (new)
		next->slots[out++] = new;
	next->nr = out;
	return next;
}

static int reserve_id(struct kvm *kvm, u16 id)
{
	struct kvm_memory_slot **table;
	u32 size;

	if (id < kvm->slot_by_id_size)
		return 0;
	size = max(16u, kvm->slot_by_id_size);
	while (size <= id)
		size *= 2;
	table = sv_realloc_array(kvm->slot_by_id, size, sizeof(*table));
	if (!table)
		return -ENOMEM;
	memset(table + kvm->slot_by_id_size, 0,
	       (size - kvm->slot_by_id_size) * sizeof(*table));
	kvm->slot_by_id = table;
	kvm->slot_by_id_size = size;
	return 0;
}

/* Publish, make all vCPUs forget, free. new's bitmap may be old's. Cannot fail. */
static void install_snapshot(struct kvm *kvm, struct kvm_memslots *next, u16 id,
			     struct kvm_memory_slot *old, struct kvm_memory_slot *new)
{
	struct kvm_memslots *prev = kvm->memslots;

	rcu_assign_pointer(kvm->memslots, next);
	kvm->slot_by_id[id] = new;
	/* Only RAM answers are cached: where nothing was there is nothing to forget. */
	if (old)
		kvm_flush_remote_tlbs(kvm);
	if (smp_load_acquire(&kvm->online_vcpus))
		synchronize_rcu();
	sv_free(prev);
	if (old && (!new || new->dirty_bitmap != old->dirty_bitmap))
		sv_free(old->dirty_bitmap);
	sv_free(old);
}

static int delete_slot(struct kvm *kvm, struct kvm_memory_slot *old)
{
	struct kvm_memslots *next = build_snapshot(kvm, old, NULL);

	if (!next)
		return -ENOMEM;
	install_snapshot(kvm, next, old->id, old, NULL);
	return 0;
}

static int replace_slot(struct kvm *kvm, struct kvm_memory_slot *old,
			const struct kvm_userspace_memory_region2 *m)
{
	struct kvm_memory_slot *new;
	struct kvm_memslots *next;
	int err = -ENOMEM;

	new = sv_zalloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->base_gfn = m->guest_phys_addr >> SV_PAGE_SHIFT;
	new->npages = m->memory_size >> SV_PAGE_SHIFT;
	new->userspace_addr = m->userspace_addr;
	new->flags = m->flags;
	new->id = m->slot;
	/* The guest's physical address space ends somewhere; the last page is out of bounds. */
	if (new->base_gfn + new->npages >= 1ull << (kvm->ops->gpa_bits - SV_PAGE_SHIFT)) {
		err = -EFAULT;
		goto free_slot;
	}
	if (new->flags & KVM_MEM_LOG_DIRTY_PAGES) {
		if (old && old->dirty_bitmap) {
			new->dirty_bitmap = old->dirty_bitmap;
		} else {
			new->dirty_bitmap = sv_zalloc(dirty_bitmap_bytes(new));
			if (!new->dirty_bitmap)
				goto free_slot;
			if (kvm->manual_dirty_log_protect & KVM_DIRTY_LOG_INITIALLY_SET)
				for (u64 i = 0; i < new->npages; i++)
					new->dirty_bitmap[i / 64] |= BIT(i % 64);
		}
	}
	if (reserve_id(kvm, new->id))
		goto free_bitmap;
	next = build_snapshot(kvm, old, new);
	if (!next)
		goto free_bitmap;
	install_snapshot(kvm, next, new->id, old, new);
	return 0;

free_bitmap:
	if (!old || new->dirty_bitmap != old->dirty_bitmap)
		sv_free(new->dirty_bitmap);
free_slot:
	sv_free(new);
	return err;
}

static int set_region_locked(struct kvm *kvm, const struct kvm_userspace_memory_region2 *m)
{
	u64 base_gfn = m->guest_phys_addr >> SV_PAGE_SHIFT;
	u64 npages = m->memory_size >> SV_PAGE_SHIFT;
	struct kvm_memory_slot *old = NULL;
	bool moved;

	if ((u16)m->slot < kvm->slot_by_id_size)
		old = kvm->slot_by_id[(u16)m->slot];
	if (!npages)
		return old ? delete_slot(kvm, old) : -EINVAL;
	if (old) {
		/* An existing slot may move or change its logging, nothing else. */
		if (m->userspace_addr != old->userspace_addr || npages != old->npages ||
		    ((m->flags ^ old->flags) & KVM_MEM_READONLY))
			return -EINVAL;
		moved = base_gfn != old->base_gfn;
		if (!moved && m->flags == old->flags)
			return 0;
	} else {
		moved = true;
	}
	if (moved && overlaps(kvm, m->slot, base_gfn, npages))
		return -EEXIST;
	return replace_slot(kvm, old, m);
}

long kvm_set_memory_region(struct kvm *kvm, const struct kvm_userspace_memory_region2 *m)
{
	int err = validate_region(kvm, m);

	if (err)
		return err;
	sv_mutex_lock(&kvm->slots_lock);
	err = set_region_locked(kvm, m);
	sv_mutex_unlock(&kvm->slots_lock);
	return err;
}

/* slots_lock held. The slot's log, or NULL with *err set. */
static struct kvm_memory_slot *logged_slot(struct kvm *kvm, u32 slot, int *err)
{
	struct kvm_memory_slot *s;

	*err = -EINVAL;
	if (slot >> 16 || (u16)slot >= KVM_USER_MEM_SLOTS)
		return NULL;
	*err = -ENOENT;
	s = (u16)slot < kvm->slot_by_id_size ? kvm->slot_by_id[(u16)slot] : NULL;
	return s && s->dirty_bitmap ? s : NULL;
}

static int get_dirty_log_locked(struct kvm *kvm, const struct kvm_dirty_log *log)
{
	struct kvm_memory_slot *s;
	u64 *buffer;
	bool any = false;
	size_t n;
	int err;

	s = logged_slot(kvm, log->slot, &err);
	if (!s)
		return err;
	n = dirty_bitmap_bytes(s);
	/* With manual protection the bits stay until KVM_CLEAR_DIRTY_LOG. */
	buffer = sv_alloc(n);
	if (!buffer)
		return -ENOMEM;
	for (size_t i = 0; i < n / 8; i++) {
		buffer[i] = __atomic_load_n(&s->dirty_bitmap[i], __ATOMIC_SEQ_CST);
		if (buffer[i] && !kvm->manual_dirty_log_protect) {
			buffer[i] = xchg(&s->dirty_bitmap[i], 0);
			any = true;
		}
	}
	if (any)
		kvm_flush_remote_tlbs(kvm);
	err = sv_copy_to_user(log->dirty_bitmap, buffer, n);
	sv_free(buffer);
	return err;
}

long kvm_get_dirty_log(struct kvm *kvm, const struct kvm_dirty_log *log)
{
	int err;

	sv_mutex_lock(&kvm->slots_lock);
	err = get_dirty_log_locked(kvm, log);
	sv_mutex_unlock(&kvm->slots_lock);
	return err;
}

static int clear_dirty_log_locked(struct kvm *kvm, const struct kvm_clear_dirty_log *log)
{
	struct kvm_memory_slot *s;
	u64 *buffer, left;
	bool any = false;
	size_t words;
	int err;

	if (log->slot >> 16 || (u16)log->slot >= KVM_USER_MEM_SLOTS || (log->first_page & 63))
		return -EINVAL;
	s = logged_slot(kvm, log->slot, &err);
	if (!s)
		return err;
	if (log->first_page > s->npages)
		return -EINVAL;
	/* A count that is no multiple of 64 must reach the slot's end. */
	left = s->npages - log->first_page;
	if (log->num_pages > left || (log->num_pages < left && (log->num_pages & 63)))
		return -EINVAL;
	words = ALIGN_UP((u64)log->num_pages, 64) / 64;
	buffer = sv_alloc(words * 8);
	if (!buffer)
		return -ENOMEM;
	err = sv_copy_from_user(buffer, log->dirty_bitmap, words * 8);
	for (size_t i = 0; !err && i < words; i++)
		if (buffer[i] && (__atomic_fetch_and(&s->dirty_bitmap[log->first_page / 64 + i],
						     ~buffer[i], __ATOMIC_SEQ_CST) & buffer[i]))
			any = true;
	if (any)
		kvm_flush_remote_tlbs(kvm);
	sv_free(buffer);
	return err;
}

long kvm_clear_dirty_log(struct kvm *kvm, const struct kvm_clear_dirty_log *log)
{
	int err;

	sv_mutex_lock(&kvm->slots_lock);
	err = clear_dirty_log_locked(kvm, log);
	sv_mutex_unlock(&kvm->slots_lock);
	return err;
}

void kvm_free_memslots(struct kvm *kvm)
{
	for (u32 i = 0; i < kvm->slot_by_id_size; i++) {
		if (!kvm->slot_by_id[i])
			continue;
		sv_free(kvm->slot_by_id[i]->dirty_bitmap);
		sv_free(kvm->slot_by_id[i]);
	}
	sv_free(kvm->slot_by_id);
	sv_free(kvm->memslots);
}
