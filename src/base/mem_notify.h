/* SPDX-License-Identifier: MIT */
/*
 * Who wants to know when the program takes memory away under its own feet: unmaps it, replaces it,
 * moves it, discards its content; changes its protection, maps it once more. iommufd does (memory that
 * devices reach stays with them), VFIO does (mappings of a BAR).
 *
 * Model: watchers are registered once and for ever. A change of the address space that the library
 * sees (softvirt_munmap, softvirt_mremap, softvirt_madvise, softvirt_mprotect, softvirt_mmap with MAP_FIXED and the
 * same calls under the preload library) calls every watcher's before, does it, then calls every
 * watcher's after in the opposite order, in the same thread. A watcher may keep locks from before
 * to after. A before that fails makes the call fail; who was told already gets its after, with
 * failed set. While no watcher has anything to watch (sv_mem_watched is 0) it costs one load.
 *
 * Calls made by raw system calls and inside of the C library (free(), stacks of threads) are not
 * seen; nor is what the program's own allocator gives back when the library asks it for memory or
 * returns some (sv_mem_quiet), which happens under any of the library's locks.
 */
#ifndef SV_BASE_MEM_NOTIFY_H
#define SV_BASE_MEM_NOTIFY_H

#include "base/interval_tree.h"
#include "base/types.h"

enum sv_mem_change {
	SV_MEM_UNMAP,		/* munmap, or something else is mapped there (replaced) */
	SV_MEM_MOVE,		/* mremap: [addr, addr + len) goes to new_addr, cut or grown to new_len */
	SV_MEM_DISCARD,		/* madvise: content of private memory is dropped, the mapping stays */
	SV_MEM_PROTECT,		/* mprotect: becomes prot */
	SV_MEM_COPY,		/* mremap with an old length of 0: what is at addr, mapped once more */
	SV_MEM_INHERIT,		/* madvise: children get it, too */
};

struct sv_mem_event {
	enum sv_mem_change change;
	u64 addr, len;		/* page-aligned, not empty */
	u64 new_addr, new_len;	/* MOVE; new_addr in after only */
	int prot;		/* PROTECT */
	unsigned nr_told;	/* sv_mem_before's */
	bool failed;		/* in after: the system call failed, nothing has changed */
};

struct sv_mem_watcher {
	int (*before)(struct sv_mem_event *ev);		/* 0, -errno: the call's */
	void (*after)(struct sv_mem_event *ev);
};

/* How many ranges all watchers together watch; each adds and subtracts its own. */
extern unsigned long sv_mem_watched;

/*
 * alloc.c's. Above 0: this thread is in the allocator by the library's doing. The compiler believes that malloc
 * and free look at nothing, hence the barriers.
 */
extern __thread unsigned sv_mem_quiet __attribute__((tls_model("initial-exec")));
static inline void sv_mem_quiet_begin(void)
{
	sv_mem_quiet++;
	__asm__ __volatile__("" ::: "memory");
}

static inline void sv_mem_quiet_end(void)
{
	__asm__ __volatile__("" ::: "memory");
	sv_mem_quiet--;
}

static inline bool sv_mem_is_watched(void)
{
	return unlikely(__atomic_load_n(&sv_mem_watched, __ATOMIC_SEQ_CST)) && !sv_mem_quiet;
}

static inline void sv_mem_watch(long ranges)
{
	__atomic_fetch_add(&sv_mem_watched, (unsigned long)ranges, __ATOMIC_SEQ_CST);
}

/* w is static. Idempotent. */
void sv_mem_watcher_register(struct sv_mem_watcher *w);
/* 0, or -errno: nothing must be done then, and no sv_mem_after(). */
int sv_mem_before(struct sv_mem_event *ev);
void sv_mem_after(struct sv_mem_event *ev);

/*
 * Addresses of the program's behind which there is a device and no memory of its own: mappings of BARs.
 * Who adds a range takes it out, too; during a change that takes it away it stays until after. Any
 * thread; the lock is a leaf. A child of fork() begins without any.
 */
void sv_mem_device_add(struct interval_tree_node *range);
void sv_mem_device_del(struct interval_tree_node *range);
/* Is there one in [addr, addr + len)? One load while there are none at all. */
extern unsigned long sv_mem_devices;
bool sv_mem_is_device_slow(u64 addr, u64 len);
static inline bool sv_mem_is_device(u64 addr, u64 len)
{
	return unlikely(__atomic_load_n(&sv_mem_devices, __ATOMIC_ACQUIRE)) &&
	       sv_mem_is_device_slow(addr, len);
}

#endif
