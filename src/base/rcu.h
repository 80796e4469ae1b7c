/* SPDX-License-Identifier: MIT */
/*
 * Read-copy-update: liburcu's "bulletproof" flavour under the kernel's names. Readers need
 * no registration, may be in signal handlers, and cost two thread-local stores. Grace
 * periods go through membarrier(2) where the kernel has it.
 *
 *	rcu_read_lock(); p = rcu_dereference(x->p); ... ; rcu_read_unlock();
 *	rcu_assign_pointer(x->p, new); synchronize_rcu(); sv_free(old);
 *
 * synchronize_rcu() and rcu_barrier() must not be called inside of a read section, nor
 * with a lock held that a read section takes. A read section must be left before a guard's
 * fault path leaves its function: pair them in one function. call_rcu() callbacks run in
 * one thread, started with the first call.
 *
 * After fork() both sides work (rcu.c registers what liburcu needs). Under TSan the
 * library's own barriers are invisible to the tool, so each edge is told to it.
 */
#ifndef SV_BASE_RCU_H
#define SV_BASE_RCU_H

#ifndef SV_URCU_OUT_OF_LINE
/*
 * The read side inline: a few lines, which the LGPL allows. Not under ASan and UBSan, which
 * would complain that liburcu's own reader structs are less aligned than they say.
 */
#if !defined(_LGPL_SOURCE) && !defined(__SANITIZE_ADDRESS__)
#define _LGPL_SOURCE
#endif
#define URCU_API_MAP	/* rcu_read_lock() and friends */
#include <urcu/urcu-bp.h>
#else
/*
 * liburcu's headers refuse this compiler (RISC-V GCC before 13.3, whose atomics they do not
 * trust inline). The library itself, built with a newer one, is called out of line; these
 * are the parts of its ABI that we use.
 */
struct rcu_head {
	struct { void *next; } next;
	void (*func)(struct rcu_head *head);
};
void urcu_bp_read_lock(void);
void urcu_bp_read_unlock(void);
void urcu_bp_synchronize_rcu(void);
void urcu_bp_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void urcu_bp_barrier(void);
struct call_rcu_data *urcu_bp_get_default_call_rcu_data(void);
void urcu_bp_call_rcu_before_fork(void);
void urcu_bp_call_rcu_after_fork_parent(void);
void urcu_bp_call_rcu_after_fork_child(void);
void urcu_bp_before_fork(void);
void urcu_bp_after_fork_parent(void);
void urcu_bp_after_fork_child(void);
#define rcu_read_lock() urcu_bp_read_lock()
#define rcu_read_unlock() urcu_bp_read_unlock()
#endif

#include "base/types.h"

#undef rcu_dereference
#undef rcu_assign_pointer
/* Acquire instead of consume: the same on x86, one instruction's difference on ARM. */
#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
/* For the updater, who holds the lock that excludes other updaters. */
#define rcu_dereference_protected(p, cond) __atomic_load_n(&(p), __ATOMIC_RELAXED)
#define rcu_access_pointer(p) __atomic_load_n(&(p), __ATOMIC_RELAXED)
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELAXED)

#undef call_rcu
#undef synchronize_rcu
#undef rcu_barrier
#define call_rcu(head, func) sv_call_rcu(head, func)
#define synchronize_rcu() sv_synchronize_rcu()
#define rcu_barrier() sv_rcu_barrier()

#pragma GCC visibility push(default)	/* driver code reaches these through inline functions */
void sv_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void sv_synchronize_rcu(void);
void sv_rcu_barrier(void);
#pragma GCC visibility pop

#ifdef __SANITIZE_THREAD__
#define SV_RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SV_RCU_TSAN 1
#endif
#endif

#ifdef SV_RCU_TSAN
void sv_rcu_tsan_read_lock(void);
void sv_rcu_tsan_read_unlock(void);
#undef rcu_read_lock
#undef rcu_read_unlock
#define rcu_read_lock() sv_rcu_tsan_read_lock()
#define rcu_read_unlock() sv_rcu_tsan_read_unlock()
#endif

#endif
