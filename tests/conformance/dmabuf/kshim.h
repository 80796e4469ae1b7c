/* SPDX-License-Identifier: MIT */
/*
 * The small part of the kernel's programming interface that the in-kernel test suites of
 * drivers/dma-buf use beside dma-buf itself, on threads. The run script makes a
 * <linux/NAME.h> for each name the suites include; all of them are this file.
 *
 * A task is a thread with a state and a wake-up, as the suites' own wait loops want it. A
 * kmem_cache counts its objects, so that a leaked fence fails the run, and with
 * SLAB_TYPESAFE_BY_RCU frees them after a grace period.
 */
#ifndef KSHIM_H
#define KSHIM_H

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/timer.h"
#include "softvirt/dma-fence-array.h"
#include "softvirt/dma-fence-chain.h"
#include "softvirt/dma-fence-unwrap.h"
#include "softvirt/dma-fence.h"
#include "softvirt/dma-resv.h"

/* compiler.h, kernel.h, printk.h */
#define __PASTE_(a, b) a##b
#define __PASTE(a, b) __PASTE_(a, b)
#define typeof __typeof__
#define swap(a, b) do { typeof(a) _t = (a); (a) = (b); (b) = _t; } while (0)
#define smp_store_mb(var, value) ((void)xchg(&(var), (value)))
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define cond_resched() sched_yield()
#define num_online_cpus() 2
#define pr_err(...) kshim_print("error", __VA_ARGS__)
#define pr_notice(...) kshim_print("note", __VA_ARGS__)
#define pr_info(...) kshim_print("info", __VA_ARGS__)
#define pr_debug(...) kshim_print("debug", __VA_ARGS__)
#define WARN(cond, ...) ({ \
	bool _c = !!(cond); \
	if (_c) \
		kshim_print("warning", __VA_ARGS__); \
	_c; })
void kshim_print(const char *level, const char *fmt, ...) sv_printf(2, 3);

/* module.h */
#define __init
#define __exit
#define module_param_named(name, var, type, perm)
#define module_init(fn) int kshim_init(void) { return fn(); }
#define module_exit(fn) void kshim_exit(void) { fn(); }
#define MODULE_DESCRIPTION(text)
#define MODULE_LICENSE(text)
int kshim_init(void);
void kshim_exit(void);

/* slab.h, mm.h */
typedef unsigned int gfp_t;
#define GFP_KERNEL 0u
#define __GFP_ZERO 1u
#define SLAB_TYPESAFE_BY_RCU 1u
#define SLAB_HWCACHE_ALIGN 2u
struct kmem_cache;
struct kmem_cache *kshim_cache_create(size_t size, unsigned int flags);
#define KMEM_CACHE(type, flags) kshim_cache_create(sizeof(struct type), flags)
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *obj);
void kmem_cache_destroy(struct kmem_cache *cache);
#define kmalloc(size, gfp) ((gfp) & __GFP_ZERO ? sv_zalloc(size) : sv_alloc(size))
#define kcalloc(n, size, gfp) sv_calloc(n, size)
#define kmalloc_array(n, size, gfp) sv_calloc(n, size)
#define kvmalloc_array(n, size, gfp) sv_calloc(n, size)
#define kfree(p) sv_free(p)
#define kvfree(p) sv_free(p)
#define kstrdup(s, gfp) ((s) ? sv_strdup(s) : NULL)

/* sched.h, kthread.h */
#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
struct task_struct;
#define current kshim_current()
#define signal_pending(task) false
#define signal_pending_state(state, task) false
#define set_current_state(s) kshim_set_state(s)
#define __set_current_state(s) kshim_set_state(s)
#define get_task_struct(task) ((void)(task))
#define yield_to(task, preempt) sched_yield()
struct task_struct *kshim_current(void);
void kshim_set_state(int state);
int wake_up_process(struct task_struct *task);
long schedule_timeout(long timeout);
struct task_struct *kthread_run(int (*fn)(void *data), void *data, const char *fmt, ...)
	sv_printf(3, 4);
bool kthread_should_stop(void);
int kthread_stop_put(struct task_struct *task);
void msleep(unsigned int ms);

/* wait_bit.h */
void kshim_var_wake(void);
bool kshim_var_sleep(u64 deadline_ns);
void kshim_var_lock(void);
void kshim_var_unlock(void);
#define wake_up_var(var) kshim_var_wake()
#define wait_var_event_timeout(var, condition, timeout) do { \
	u64 _deadline = (u64)ktime_get() + (u64)(timeout) * (1000000000 / HZ); \
	kshim_var_lock(); \
	while (!(condition) && kshim_var_sleep(_deadline)) \
		; \
	kshim_var_unlock(); \
} while (0)

/* random.h */
u32 get_random_u32_below(u32 ceil);
#define get_random_u32_inclusive(lo, hi) ((lo) + get_random_u32_below((hi) - (lo) + 1))

/* timer.h */
struct timer_list {
	struct sv_timer t;
	void (*fn)(struct timer_list *timer);
};
#define from_timer(var, timer, field) container_of(timer, typeof(*(var)), field)
void timer_setup_on_stack(struct timer_list *timer, void (*fn)(struct timer_list *timer),
			  unsigned int flags);
void mod_timer(struct timer_list *timer, unsigned long expires);
bool timer_pending(struct timer_list *timer);
void del_timer_sync(struct timer_list *timer);
#define destroy_timer_on_stack(timer) ((void)(timer))

#endif
