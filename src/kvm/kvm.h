/* SPDX-License-Identifier: MIT */
/*
 * KVM: what VMs and vCPUs of every architecture have in common.
 *
 * Model: a struct kvm owns its memory slots, its vCPUs, its eventfds. The VM's file, each
 * vCPU's file and each device's file hold one reference; the last put destroys everything.
 * A vCPU lives until its VM is destroyed, also when its file is closed before. The
 * architecture's part embeds struct kvm and struct kvm_vcpu as its first member and is
 * reached through kvm->ops: a guest's architecture is a VM's property, not the host's.
 *
 * Locks, outer to inner:
 *	kvm->lock		vCPU creation, devices
 *	vcpu->mutex		a vCPU's state, held through KVM_RUN
 *	kvm->slots_lock		memory slots and their dirty logs, ioeventfds, coalesced zones
 *	irqfds lock, the AIA's locks, vcpu->mp_lock
 * A thread inside KVM_RUN reads slots, ioeventfds and routes under RCU only; it takes
 * slots_lock never, so whoever holds that may wait for a running vCPU to acknowledge.
 */
#ifndef SV_KVM_KVM_H
#define SV_KVM_KVM_H

#include <signal.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/rcu.h"
#include "base/refcount.h"
#include "base/sync.h"
#include "base/timer.h"
#include "base/types.h"
#include "cpu/phys.h"
#include "file/file.h"
#include "softvirt/uapi/kvm.h"

#define KVM_MAX_VCPUS 1024
#define KVM_MAX_VCPU_IDS KVM_MAX_VCPUS
#define KVM_USER_MEM_SLOTS 32767
#define KVM_MEM_MAX_NR_PAGES ((1ull << 31) - 1)
#define KVM_MAX_IRQ_ROUTES 4096
#define KVM_STATS_NAME_SIZE 48
#define KVM_VCPU_MMAP_PAGES 2		/* kvm_run, the coalesced MMIO ring */
#define INVALID_GPA (~0ull)

struct kvm;
struct kvm_vcpu;

/*
 * One slot, immutable once published; what is logged belongs to the slot's id and may outlive
 * it. Bits are set and cleared atomically.
 */
struct kvm_memory_slot {
	u64 base_gfn;
	u64 npages;
	u64 userspace_addr;
	u64 *dirty_bitmap;		/* what KVM_GET_DIRTY_LOG reads, or NULL */
	u64 *reported;			/* with dirty rings: dirty_ring.c, or NULL */
	u32 flags;
	u16 id;
	bool gmem_gone;			/* its last descriptor has been closed */

	/* The private half: guest_memfd.c. */
	struct kvm_gmem *gmem;		/* slots_lock */
	u64 gmem_offset;
	u8 *gmem_host;			/* its mapping, or NULL */
	struct list_head gmem_link;
};

static inline bool kvm_slot_dirty_track_enabled(const struct kvm_memory_slot *s)
{
	return s->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

/* A published set: sorted by base_gfn, without overlap. */
struct kvm_memslots {
	struct rcu_head rcu;
	u32 nr;
	struct kvm_memory_slot *slots[];
};

/* Counters that a guest's exits raise; what a statistics descriptor shows. All u64. */
#define KVM_HALT_POLL_HIST_COUNT 32
struct kvm_vcpu_stat {
	u64 halt_successful_poll;
	u64 halt_attempted_poll;
	u64 halt_poll_invalid;
	u64 halt_wakeup;
	u64 halt_poll_success_ns;
	u64 halt_poll_fail_ns;
	u64 halt_wait_ns;
	u64 halt_poll_success_hist[KVM_HALT_POLL_HIST_COUNT];
	u64 halt_poll_fail_hist[KVM_HALT_POLL_HIST_COUNT];
	u64 halt_wait_hist[KVM_HALT_POLL_HIST_COUNT];
	u64 blocking;
	u64 arch[16];			/* named by kvm->ops->vcpu_stats */
};

/* dirty_ring.c */
#define KVM_DIRTY_RING_MAX_BYTES (65536 * sizeof(struct kvm_dirty_gfn))
struct kvm_dirty_ring {
	struct kvm_dirty_gfn *gfns;	/* shared with user space; NULL: none */
	u32 size, soft_limit;		/* entries */
	u32 dirty_index;		/* the vCPU's thread writes it, others read */
	u32 reset_index;		/* slots_lock; the vCPU's thread reads it */
};

struct kvm_vm_stat {
	u64 remote_tlb_flush;
	u64 remote_tlb_flush_requests;
};

struct kvm_stats_file;			/* stats.c */

/* What an architecture answers. Every member is set unless said otherwise. */
struct kvm_arch_ops {
	const char *name;
	unsigned int coalesced_page;	/* of the vCPU's mapping, in pages */
	unsigned int dirty_ring_page;	/* the same */
	unsigned int gpa_bits;
	const char *const *vcpu_stats;	/* names of stat->arch[], NULL-terminated */

	int (*vm_create)(unsigned long type, struct kvm **out);	/* allocates; kvm_init() is done after */
	void (*vm_destroy)(struct kvm *kvm);			/* frees; no vCPU is left */
	int (*check_extension)(struct kvm *kvm, long ext);	/* kvm may be NULL */
	int (*vm_enable_cap)(struct kvm *kvm, struct kvm_enable_cap *cap);
	long (*irq_line)(struct kvm *kvm, struct kvm_irq_level *level);

	int (*vcpu_create)(struct kvm *kvm, u32 id, struct kvm_vcpu **out);
	void (*vcpu_postcreate)(struct kvm_vcpu *vcpu);
	void (*vcpu_destroy)(struct kvm_vcpu *vcpu);
	long (*vcpu_run)(struct kvm_vcpu *vcpu);		/* vcpu->mutex held */
	/* -ENOIOCTLCMD_SV: not one of these. async runs without vcpu->mutex. */
	long (*vcpu_async_ioctl)(struct kvm_vcpu *vcpu, unsigned int cmd, unsigned long arg);
	int (*set_one_reg)(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);
	int (*get_one_reg)(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);
	/* Fills up to max ids, returns how many there are. */
	u64 (*reg_list)(struct kvm_vcpu *vcpu, u64 *ids, u64 max);
	int (*get_mp_state)(struct kvm_vcpu *vcpu, struct kvm_mp_state *s);
	int (*set_mp_state)(struct kvm_vcpu *vcpu, const struct kvm_mp_state *s);
	int (*set_guest_debug)(struct kvm_vcpu *vcpu, u32 control);

	/* Any thread. */
	void (*vcpu_kick)(struct kvm_vcpu *vcpu);		/* leave the guest soon */
	void (*vcpu_request_flush)(struct kvm_vcpu *vcpu);	/* forget what resolve said */
	bool (*vcpu_requests_done)(struct kvm_vcpu *vcpu);

	/* Interrupts through routes; NULL where there is no irqchip. */
	bool (*irqchip)(struct kvm *kvm);
	int (*set_irq)(struct kvm *kvm, u32 pin, int level);
	int (*send_msi)(struct kvm *kvm, const struct kvm_msi *msi);
	const struct kvm_device_ops *(*device_ops)(u32 type);
};

struct kvm_vcpu {
	struct kvm *kvm;
	u32 vcpu_id;
	u32 vcpu_idx;
	struct sv_file *file;		/* only for its backing; no reference */
	struct kvm_run *run;		/* KVM_VCPU_MMAP_PAGES pages, shared with user space */
	int run_fd;			/* of the same pages, where a mapping can't be duplicated; or -1 */
	struct sv_mutex mutex;
	u32 guest_debug;
	bool wants_to_run;
	u32 touching;			/* atomic: see kvm_vcpu_touch_begin() */
	struct kvm_dirty_ring dirty_ring;

	/* Sleeping and waking: vcpu_block.c. */
	int sleeping;			/* atomic */
	int wake_fd;			/* eventfd, -1 until the first sleep */

	/* Signals: signal.c. */
	u64 *rseq_word;			/* of the thread inside KVM_RUN, or NULL */
	bool keep_armed;		/* leave the word armed when the run ends */
	bool was_scheduled;		/* before this run, or by a sleep inside of it */
	int in_run;			/* atomic: between signal_begin and signal_end */
	int heartbeat_armed, heartbeat_fired;	/* atomic */
	struct sv_timer heartbeat;
	bool heartbeat_used;
	bool sigset_active;
	u64 sigset;			/* KVM_SET_SIGNAL_MASK's */
	bool watching;			/* some blocked signals end this run */
	sigset_t watch, saved_mask;
	int signal_fd;			/* -1 */

	struct kvm_vcpu_stat *stat;	/* own_stat, or in stats_file's memory */
	struct kvm_vcpu_stat own_stat;
	struct kvm_stats_file *stats_file;
};

struct kvm {
	const struct kvm_arch_ops *ops;
	refcount_t refs;
	struct sv_mutex lock;
	struct sv_mutex slots_lock;

	struct kvm_memslots *memslots;	/* RCU */
	struct kvm_memory_slot **slot_by_id;	/* slots_lock */
	u32 slot_by_id_size;
	u32 manual_dirty_log_protect;
	u32 dirty_ring_size;		/* bytes, 0: none; changes before the first vCPU only */
	bool dirty_ring_with_bitmap;	/* slots_lock */
	bool has_vfio;			/* lock: there is a KVM_DEV_TYPE_VFIO */
	bool has_private_mem;		/* since creation */
	struct kvm_private_ranges *private_ranges;	/* RCU; mem_attributes.c */

	u32 flush_waiting, flush_acks, flush_over;	/* atomic; flush.c */

	u32 created_vcpus;		/* lock */
	u32 online_vcpus;		/* released after vcpus[] */
	struct kvm_vcpu *vcpus[KVM_MAX_VCPUS];
	struct kvm_vcpu *vcpu_by_id[KVM_MAX_VCPU_IDS];	/* NULL or as in vcpus[] */

	struct kvm_ioeventfds *ioeventfds;	/* RCU; ioeventfd.c */
	struct kvm_coalesced_zones *coalesced;	/* RCU; coalesced_mmio.c */
	struct sv_spin ring_lock;
	struct kvm_irqfds *irqfds;		/* irq_lock; irqfd.c */
	struct kvm_irq_routing_table *routes;	/* RCU, changed under irq_lock; irqfd.c */
	struct sv_mutex irq_lock;

	struct kvm_vm_stat *stat;
	struct kvm_vm_stat own_stat;
	struct kvm_stats_file *stats_file;
	u32 stats_id;
};

#define kvm_for_each_vcpu(i, vcpu, kvm) \
	for (u32 i = 0, _n = smp_load_acquire(&(kvm)->online_vcpus); \
	     i < _n && ((vcpu) = READ_ONCE((kvm)->vcpus[i]), true); i++)

static inline struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, u64 id)
{
	return id < KVM_MAX_VCPU_IDS ? smp_load_acquire(&kvm->vcpu_by_id[id]) : NULL;
}

/* kvm_main.c */
int kvm_dev_open(const struct sv_node *node, int o_flags, const struct kvm_arch_ops *ops);
void kvm_get_kvm(struct kvm *kvm);
void kvm_put_kvm(struct kvm *kvm);
int kvm_check_extension(const struct kvm_arch_ops *ops, struct kvm *kvm, long ext);

/* vcpu.c */
/* The vCPU whose guest this thread is in: a signal handler may get anywhere through an ioctl. */
extern __thread struct kvm_vcpu *kvm_running_vcpu __attribute__((tls_model("initial-exec")));
long kvm_vm_create_vcpu(struct kvm *kvm, unsigned long id);
void kvm_vcpu_free(struct kvm_vcpu *vcpu);

/* memslot.c */
long kvm_set_memory_region(struct kvm *kvm, const struct kvm_userspace_memory_region2 *mem);
long kvm_get_dirty_log(struct kvm *kvm, const struct kvm_dirty_log *log);
long kvm_clear_dirty_log(struct kvm *kvm, const struct kvm_clear_dirty_log *log);
void kvm_free_memslots(struct kvm *kvm);
/* Under rcu_read_lock(), or in a vCPU's guest. NULL: no memory there. */
struct kvm_memory_slot *gfn_to_memslot(struct kvm *kvm, u64 gfn);
static inline u8 *kvm_slot_host(const struct kvm_memory_slot *s, u64 gfn)
{
	return (u8 *)(uintptr_t)(s->userspace_addr + ((gfn - s->base_gfn) << SV_PAGE_SHIFT));
}
void mark_page_dirty_in_slot(struct kvm *kvm, const struct kvm_memory_slot *s, u64 gfn);
/* 0, or -EFAULT (no slot, read-only, or the memory can't be touched). May span pages. */
int kvm_write_guest(struct kvm *kvm, u64 gpa, const void *data, size_t len);
int kvm_read_guest(struct kvm *kvm, u64 gpa, void *data, size_t len);

/* flush.c */
/*
 * All running vCPUs have forgotten translations made before the call when it returns.
 * slots_lock held.
 */
void kvm_flush_remote_tlbs(struct kvm *kvm);
/* The vCPU's thread has left its guest; goes_on: and is about to enter it again. */
void kvm_flush_acknowledge(struct kvm_vcpu *vcpu, bool goes_on);

/*
 * Around a touch of guest memory by the vCPU's thread outside of its guest, slot look-up
 * included: who changes slots waits for the end.
 */
static inline void kvm_vcpu_touch_begin(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->touching, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void kvm_vcpu_touch_end(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->touching, 0, __ATOMIC_SEQ_CST);
}

/* resolve.c */
/*
 * What lies at gpa for an access by the guest, as cpu_phys_ops.resolve says. err -EAGAIN: the
 * vCPU's dirty ring has no room, the access has not happened.
 */
enum cpu_phys_kind kvm_resolve(struct kvm_vcpu *vcpu, u64 gpa, enum cpu_access access,
			       struct cpu_phys_page *page);
/*
 * Fills kvm_run: an access to gpa's page has failed with EFAULT. host, if not NULL, is the
 * address in our memory that failed, which knows better than gpa.
 */
void kvm_prepare_memory_fault_exit(struct kvm_vcpu *vcpu, u64 gpa, const void *host);
/* vcpu->mutex held. range says what is left when it returns. */
long kvm_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range);

/* host_vma.c */
/* Is every mapping in the range writable as far as it is mapped? True also if it can't be told. */
bool kvm_host_range_writable(u64 addr, u64 size);

/* dirty_ring.c */
long kvm_enable_dirty_ring(struct kvm *kvm, u32 size);
long kvm_enable_dirty_ring_bitmap(struct kvm *kvm, u32 flags);
long kvm_reset_dirty_rings(struct kvm *kvm);
int kvm_dirty_ring_alloc(struct kvm_vcpu *vcpu, int fd);
void kvm_dirty_ring_free(struct kvm_vcpu *vcpu);
/* These in the vCPU's thread. May the guest write the page of a logged slot now? */
bool kvm_dirty_ring_has_room(const struct kvm_vcpu *vcpu, const struct kvm_memory_slot *s, u64 gfn);
void kvm_dirty_ring_mark(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *s, u64 gfn);
bool kvm_dirty_ring_soft_full(const struct kvm_vcpu *vcpu);

/* guest_memfd.c */
long kvm_gmem_create(struct kvm *kvm, const struct kvm_create_guest_memfd *args);
/* 0 and a reference to a guest_memfd's file; -EBADF, -EINVAL. Put without slots_lock. */
int kvm_gmem_get(u32 fd, struct sv_file **file);
/* slots_lock held, slot not published. 0, -EINVAL, -ENOMEM. */
int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot, struct sv_file *file, u64 offset);
/* slots_lock held; no vCPU reaches the slot's private pages any more. Nothing bound is fine. */
void kvm_gmem_unbind(struct kvm_memory_slot *slot);

/* mem_attributes.c */
bool kvm_mem_is_private(struct kvm *kvm, u64 gfn);
u64 kvm_supported_mem_attributes(const struct kvm *kvm);	/* NULL: of any VM */
long kvm_set_memory_attributes(struct kvm *kvm, const struct kvm_memory_attributes *a);
void kvm_free_memory_attributes(struct kvm *kvm);

/* ioeventfd.c */
long kvm_ioeventfd(struct kvm *kvm, const struct kvm_ioeventfd *args);
bool kvm_ioeventfd_write(struct kvm *kvm, u64 gpa, unsigned int len, u64 data);
void kvm_free_ioeventfds(struct kvm *kvm);
/*
 * A copy of the caller's eventfd that is ours, and the number that names the eventfd
 * behind it. -EBADF, -EINVAL when it is no eventfd.
 */
int kvm_eventfd_get(int fd, u64 *identity);
int kvm_eventfd_identity(int fd, u64 *identity);

/* coalesced_mmio.c */
long kvm_register_coalesced_mmio(struct kvm *kvm, const struct kvm_coalesced_mmio_zone *z, bool add);
bool kvm_coalesced_mmio_write(struct kvm_vcpu *vcpu, u64 gpa, unsigned int len, u64 data);
void kvm_free_coalesced(struct kvm *kvm);

/* irqfd.c */
long kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args);
void kvm_free_irqfds(struct kvm *kvm);
long kvm_set_irq_routing(struct kvm *kvm, const struct kvm_irq_routing *user);
int kvm_set_default_irq_routing(struct kvm *kvm, u32 lines);
int kvm_set_irq(struct kvm *kvm, u32 gsi, int level);
/* The irqchip saw the end of an interrupt from this pin: resampling irqfds look again. */
void kvm_notify_acked_irq(struct kvm *kvm, u32 pin);
long kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi);

/* vcpu_block.c */
enum kvm_block { KVM_BLOCK_WOKEN, KVM_BLOCK_SIGNAL };
/*
 * Sleeps until runnable(vcpu), the CLOCK_MONOTONIC deadline (~0: none), or a signal. The
 * caller is inside kvm_signal_begin().
 */
enum kvm_block kvm_vcpu_block(struct kvm_vcpu *vcpu, bool (*runnable)(struct kvm_vcpu *vcpu),
			      u64 deadline_ns);
void kvm_vcpu_wake(struct kvm_vcpu *vcpu);	/* any thread, after the condition was made true */

/* signal.c */
void kvm_signal_init(struct kvm_vcpu *vcpu);
void kvm_signal_destroy(struct kvm_vcpu *vcpu);
/* True when KVM_RUN must return -EINTR at once. Pairs with kvm_signal_end() in either case. */
bool kvm_signal_begin(struct kvm_vcpu *vcpu);
void kvm_signal_end(struct kvm_vcpu *vcpu);
/*
 * Called when the guest was left for no reason of its own: has a signal been, or may one
 * have been, delivered? blocked is the mask that was in force, NULL: still is. *scheduled,
 * if given, says that the thread may have lost its CPU.
 */
bool kvm_signal_check(struct kvm_vcpu *vcpu, const sigset_t *blocked, bool *scheduled);
/* After a sleep that no signal ended, with signals still blocked: the word is whole again. */
void kvm_signal_rearm(struct kvm_vcpu *vcpu);
long kvm_vcpu_set_signal_mask(struct kvm_vcpu *vcpu, unsigned long arg);
/* Of the calling thread: a word the host's kernel clears at signals and preemption, or NULL. */
u64 *kvm_rseq_word(void);

/* stats.c */
long kvm_vcpu_get_stats_fd(struct kvm_vcpu *vcpu);
long kvm_vm_get_stats_fd(struct kvm *kvm);
void kvm_stats_put(struct kvm_stats_file *f);
void kvm_stat_hist(u64 *hist, u64 value);

/* device.c */
struct kvm_device {
	struct kvm *kvm;
	const struct kvm_device_ops *ops;
	bool created;
	void *priv;
};
struct kvm_device_ops {
	const char *name;
	int (*create)(struct kvm_device *dev, u32 type);	/* kvm->lock held */
	int (*set_attr)(struct kvm_device *dev, const struct kvm_device_attr *attr);
	int (*get_attr)(struct kvm_device *dev, const struct kvm_device_attr *attr);
	int (*has_attr)(struct kvm_device *dev, const struct kvm_device_attr *attr);
	/* NULL: nothing is the descriptor's. After the last of its copies, if create succeeded. */
	void (*release)(struct kvm_device *dev);
};
extern const struct kvm_device_ops kvm_vfio_ops;	/* vfio.c */
long kvm_create_device(struct kvm *kvm, struct kvm_create_device *cd);

#endif
