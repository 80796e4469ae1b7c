/* SPDX-License-Identifier: MIT */
/*
 * Memory slots and their dirty logs.
 *
 * Model: kvm->memslots is an immutable, sorted snapshot. A change builds the next
 * snapshot, publishes it, makes every vCPU forget what it was told about physical memory,
 * waits until those inside a guest have done so (flush.c), and only then frees what the old
 * snapshot alone referred to. When the ioctl returns no vCPU touches a removed slot's memory.
 *
 * A vCPU asks (arch resolve) inside its run; the answer goes to its TLB. A resolve that
 * read the old snapshot is over before its hart can acknowledge the flush, so the wait
 * covers it; other readers use RCU.
 *
 * Dirty logs (bitmaps here, rings in dirty_ring.c): a page of a logged slot is handed out
 * read-only for reads; the first write asks again and sets the page's bit before it is
 * allowed. Reading the log clears bits first and flushes then: a store that still used the
 * old translation is older than the ioctl's return, so its data is in the memory that the
 * caller copies next.
 *
 * Lock: slots_lock for all changes and log reads. A thread in KVM_RUN never takes it.
 */
#include <errno.h>
#include <string.h>

#include "base/guard.h"
#include "kvm/kvm.h"

#define USER_SPACE_END (1ull << 47)

/* What a caller wants, and the file that its guest_memfd names, or why there is none. */
struct region {
	const struct kvm_userspace_memory_region2 *m;
	struct sv_file *gmem;
	int gmem_err;
};

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

void mark_page_dirty_in_slot(struct kvm *kvm, const struct kvm_memory_slot *s, u64 gfn)
{
	struct kvm_vcpu *vcpu = kvm_running_vcpu;
	u64 rel = gfn - s->base_gfn;

	if (s->reported && vcpu && vcpu->kvm == kvm)
		kvm_dirty_ring_mark(vcpu, s, gfn);
	else if (s->dirty_bitmap && !(READ_ONCE(s->dirty_bitmap[rel / 64]) & BIT(rel % 64)))
		__atomic_fetch_or(&s->dirty_bitmap[rel / 64], BIT(rel % 64), __ATOMIC_SEQ_CST);
}

/*
 * The slot's memory is copied under a guard, which must not be inside of a read section
 * (a fault would leave it); the slot is looked up first, its address used after, all of it
 * as a touch by the vCPU whose thread this is. A page is marked dirty after the write: a log
 * read in between would take the mark away and miss the data.
 *
 * This is the slot's shared memory, also where a page is private, as in the kernel.
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
		return sv_copy_guarded(data, host, n);
	if (sv_copy_guarded(host, data, n))
		return -EFAULT;
	rcu_read_lock();
	s = gfn_to_memslot(kvm, gfn);
	if (s)
		mark_page_dirty_in_slot(kvm, s, gfn);
	rcu_read_unlock();
	return 0;
}

static int access_guest(struct kvm *kvm, u64 gpa, void *data, size_t len, bool write)
{
	struct kvm_vcpu *vcpu = kvm_running_vcpu;
	int err;

	while (len) {
		size_t n = min(len, (size_t)(SV_PAGE_SIZE - (gpa & (SV_PAGE_SIZE - 1))));

		if (vcpu)
			kvm_vcpu_touch_begin(vcpu);
		err = access_page(kvm, gpa, data, n, write);
		if (vcpu)
			kvm_vcpu_touch_end(vcpu);
		if (err)
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

/* Every rule of KVM_SET_USER_MEMORY_REGION that needs no look at other slots. */
static int validate_region(const struct kvm *kvm, const struct kvm_userspace_memory_region2 *m)
{
	u32 valid = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;

	/* Private memory is not logged, and no store to it is a device's. */
	if (kvm->has_private_mem && (m->flags & KVM_MEM_GUEST_MEMFD))
		valid = KVM_MEM_GUEST_MEMFD;
	if (m->flags & ~valid)
		return -EINVAL;
	if (!IS_ALIGNED(m->memory_size, SV_PAGE_SIZE) ||
	    !IS_ALIGNED(m->guest_phys_addr, SV_PAGE_SIZE) ||
	    !IS_ALIGNED(m->userspace_addr, SV_PAGE_SIZE))
		return -EINVAL;
	/* What access_ok() says: a user address, and the range does not leave user space. */
	if (m->memory_size > USER_SPACE_END ||
	    m->userspace_addr > USER_SPACE_END - m->memory_size)
		return -EINVAL;
	if ((m->flags & KVM_MEM_GUEST_MEMFD) &&
	    (!IS_ALIGNED(m->guest_memfd_offset, SV_PAGE_SIZE) ||
	     m->guest_memfd_offset + m->memory_size < m->guest_memfd_offset))
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

/* Nobody reaches s any more. What heir has taken over stays. */
static void free_slot(struct kvm_memory_slot *s, const struct kvm_memory_slot *heir)
{
	if (!heir || heir->dirty_bitmap != s->dirty_bitmap)
		sv_free(s->dirty_bitmap);
	if (!heir || heir->reported != s->reported)
		sv_free(s->reported);
	kvm_gmem_unbind(s);
	sv_free(s);
}

/* Publish, make all vCPUs forget, free. new's logs may be old's. Cannot fail. */
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
	if (old)
		free_slot(old, new);
}

static int delete_slot(struct kvm *kvm, struct kvm_memory_slot *old)
{
	struct kvm_memslots *next = build_snapshot(kvm, old, NULL);

	if (!next)
		return -ENOMEM;
	install_snapshot(kvm, next, old->id, old, NULL);
	return 0;
}

/* With rings a bitmap is the exception. */
static bool use_dirty_bitmap(const struct kvm *kvm)
{
	return !kvm->dirty_ring_size || kvm->dirty_ring_with_bitmap;
}

static int prepare_logs(const struct kvm *kvm, const struct kvm_memory_slot *old,
			struct kvm_memory_slot *new)
{
	if (!kvm_slot_dirty_track_enabled(new))
		return 0;
	if (old && kvm_slot_dirty_track_enabled(old)) {
		new->dirty_bitmap = old->dirty_bitmap;
		new->reported = old->reported;
		return 0;
	}
	if (kvm->dirty_ring_size) {
		new->reported = sv_zalloc(dirty_bitmap_bytes(new));
		if (!new->reported)
			return -ENOMEM;
	}
	if (use_dirty_bitmap(kvm)) {
		new->dirty_bitmap = sv_zalloc(dirty_bitmap_bytes(new));
		if (!new->dirty_bitmap)
			return -ENOMEM;
		if (kvm->manual_dirty_log_protect & KVM_DIRTY_LOG_INITIALLY_SET)
			for (u64 i = 0; i < new->npages; i++)
				new->dirty_bitmap[i / 64] |= BIT(i % 64);
	}
	return 0;
}

/* What the architecture's part of the kernel checks, and all that can fail. */
static int prepare_slot(struct kvm *kvm, const struct kvm_memory_slot *old,
			struct kvm_memory_slot *new, const struct region *r)
{
	int err;

	if (new->flags & KVM_MEM_GUEST_MEMFD) {
		err = r->gmem_err;
		if (!err)
			err = kvm_gmem_bind(kvm, new, r->gmem, r->m->guest_memfd_offset);
		if (err)
			return err;
	}
	err = prepare_logs(kvm, old, new);
	if (err)
		return err;
	/* The guest's physical address space ends somewhere; the last page is out of bounds. */
	if (new->base_gfn + new->npages >= 1ull << (kvm->ops->gpa_bits - SV_PAGE_SHIFT))
		return -EFAULT;
	if (!(new->flags & KVM_MEM_READONLY) &&
	    !kvm_host_range_writable(new->userspace_addr, new->npages << SV_PAGE_SHIFT))
		return -EPERM;
	return reserve_id(kvm, new->id);
}

static int replace_slot(struct kvm *kvm, struct kvm_memory_slot *old, const struct region *r)
{
	struct kvm_memory_slot *new;
	struct kvm_memslots *next;
	int err;

	new = sv_zalloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->base_gfn = r->m->guest_phys_addr >> SV_PAGE_SHIFT;
	new->npages = r->m->memory_size >> SV_PAGE_SHIFT;
	new->userspace_addr = r->m->userspace_addr;
	new->flags = r->m->flags;
	new->id = r->m->slot;
	err = prepare_slot(kvm, old, new, r);
	if (err)
		goto undo;
	next = build_snapshot(kvm, old, new);
	if (!next) {
		err = -ENOMEM;
		goto undo;
	}
	install_snapshot(kvm, next, new->id, old, new);
	return 0;

undo:
	free_slot(new, old);
	return err;
}

static int set_region_locked(struct kvm *kvm, const struct region *r)
{
	const struct kvm_userspace_memory_region2 *m = r->m;
	u64 base_gfn = m->guest_phys_addr >> SV_PAGE_SHIFT;
	u64 npages = m->memory_size >> SV_PAGE_SHIFT;
	struct kvm_memory_slot *old = NULL;
	bool moved;

	if ((u16)m->slot < kvm->slot_by_id_size)
		old = kvm->slot_by_id[(u16)m->slot];
	if (!npages)
		return old ? delete_slot(kvm, old) : -EINVAL;
	if (old) {
		/* It may move or change its logging, nothing else; a private one not even that. */
		if ((m->flags & KVM_MEM_GUEST_MEMFD) ||
		    m->userspace_addr != old->userspace_addr || npages != old->npages ||
		    ((m->flags ^ old->flags) & (KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD)))
			return -EINVAL;
		moved = base_gfn != old->base_gfn;
		if (!moved && m->flags == old->flags)
			return 0;
	} else {
		moved = true;
	}
	if (moved && overlaps(kvm, m->slot, base_gfn, npages))
		return -EEXIST;
	return replace_slot(kvm, old, r);
}

long kvm_set_memory_region(struct kvm *kvm, const struct kvm_userspace_memory_region2 *m)
{
	struct region r = { .m = m };
	int err = validate_region(kvm, m);

	if (err)
		return err;
	/* Got and put without the lock: the last put takes it. Its error has its turn later. */
	if ((m->flags & KVM_MEM_GUEST_MEMFD) && m->memory_size)
		r.gmem_err = kvm_gmem_get(m->guest_memfd, &r.gmem);
	sv_mutex_lock(&kvm->slots_lock);
	err = set_region_locked(kvm, &r);
	sv_mutex_unlock(&kvm->slots_lock);
	if (r.gmem)
		sv_file_put(r.gmem);
	return err;
}

/* slots_lock held. The slot's log, or NULL with *err set. */
static struct kvm_memory_slot *logged_slot(struct kvm *kvm, u32 slot, int *err)
{
	struct kvm_memory_slot *s;

	*err = -ENXIO;
	if (!use_dirty_bitmap(kvm))
		return NULL;
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

	s = logged_slot(kvm, log->slot, &err);
	if ((log->first_page & 63) && err == -ENOENT)
		err = -EINVAL;
	if (!s)
		return err;
	if (log->first_page & 63)
		return -EINVAL;
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
	for (u32 i = 0; i < kvm->slot_by_id_size; i++)
		if (kvm->slot_by_id[i])
			free_slot(kvm->slot_by_id[i], NULL);
	sv_free(kvm->slot_by_id);
	sv_free(kvm->memslots);
}
