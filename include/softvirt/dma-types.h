/* SPDX-License-Identifier: MIT */
/*
 * What driver code written for the kernel's dma-buf interfaces takes for granted: locks
 * with the interrupt-safe names, bit operations, time in jiffies, deferred work, devices.
 *
 * Model: "interrupts" are off in a thread while it holds a spinlock_t. Work queued with
 * irq_work_queue() runs in the thread that queued it, as soon as that thread holds no
 * spinlock_t any more (at once if it holds none), one piece after the other and never
 * nested. That is the kernel's guarantee, deferred out of the caller's locks but before
 * the caller gets anywhere, without a thread of its own.
 *
 * A jiffy is a millisecond. Signals do not end interruptible waits: a handler runs and the
 * wait goes on, as with SA_RESTART.
 */
#ifndef SOFTVIRT_DMA_TYPES_H
#define SOFTVIRT_DMA_TYPES_H

#include <errno.h>
#include <limits.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/err.h"
#include "base/list.h"
#include "base/rcu.h"
#include "base/refcount.h"
#include "base/sync.h"
#include "base/types.h"

#pragma GCC visibility push(default)

#ifndef __rcu
#define __rcu
#endif
#ifndef __iomem
#define __iomem
#endif
#ifndef __user
#define __user
#endif
#ifndef __must_check
#define __must_check __attribute__((warn_unused_result))
#endif

#ifndef ERESTARTSYS
#define ERESTARTSYS 512
#endif

/* A place where another thread may step in; only the model checker (tests/model) listens. */
#ifdef SV_MODEL
void sv_model_point(const void *obj, bool write);
#define SV_POINT(obj, write) sv_model_point(obj, write)
#else
#define SV_POINT(obj, write) ((void)0)
#endif

/* Prints "bug: ..." once per place and yields the condition. */
#ifndef WARN_ON
void dma_warn(const char *file, int line, const char *expr);
#define WARN_ON(cond) ({ \
	static bool _warned; \
	bool _c = !!(cond); \
	if (unlikely(_c) && !__atomic_exchange_n(&_warned, true, __ATOMIC_RELAXED)) \
		dma_warn(__FILE__, __LINE__, #cond); \
	unlikely(_c); })
#define WARN_ON_ONCE(cond) WARN_ON(cond)
#endif

/* Time. CLOCK_MONOTONIC nanoseconds. */
typedef s64 ktime_t;
ktime_t ktime_get(void);
#define HZ 1000
#define MAX_SCHEDULE_TIMEOUT LONG_MAX
#define DMA_DEADLINE_NEVER (~0ull)
static inline unsigned long dma_jiffies(void)
{
	return (unsigned long)(ktime_get() / (1000000000 / HZ));
}
#define jiffies dma_jiffies()
static inline s64 ktime_to_ns(ktime_t t) { return t; }
static inline ktime_t ns_to_ktime(u64 ns) { return (ktime_t)ns; }
static inline bool ktime_after(ktime_t a, ktime_t b) { return a > b; }

/* Bits of an unsigned long that several threads share. */
static inline bool test_bit(unsigned int nr, const unsigned long *word)
{
	SV_POINT(word, false);
	return (__atomic_load_n(word, __ATOMIC_ACQUIRE) >> nr) & 1;
}

static inline void set_bit(unsigned int nr, unsigned long *word)
{
	SV_POINT(word, true);
	__atomic_fetch_or(word, 1ul << nr, __ATOMIC_RELEASE);
}

static inline void clear_bit(unsigned int nr, unsigned long *word)
{
	SV_POINT(word, true);
	__atomic_fetch_and(word, ~(1ul << nr), __ATOMIC_RELEASE);
}

/* The bit's old value; fully ordered. */
static inline bool test_and_set_bit(unsigned int nr, unsigned long *word)
{
	SV_POINT(word, true);
	return (__atomic_fetch_or(word, 1ul << nr, __ATOMIC_SEQ_CST) >> nr) & 1;
}

/* Work that must not run under the caller's spinlocks. A piece may be freed by its own func. */
struct irq_work {
	struct irq_work *next;
	void (*func)(struct irq_work *work);
};

struct dma_irq_state {
	unsigned int depth;		/* spinlocks held by this thread */
	bool running;			/* the queue is being emptied further up the stack */
	struct irq_work *first, **last;
};
#ifdef SV_MODEL
/* The model's threads share one real one. */
struct dma_irq_state *sv_model_irq_state(void);
#define dma_irq (*sv_model_irq_state())
#else
extern __thread struct dma_irq_state dma_irq __attribute__((tls_model("initial-exec")));
#endif
void dma_irq_run(void);

static inline void init_irq_work(struct irq_work *work, void (*func)(struct irq_work *work))
{
	work->next = NULL;
	work->func = func;
}
void irq_work_queue(struct irq_work *work);

typedef struct spinlock {
	struct sv_spin s;
} spinlock_t;
#define __SPIN_LOCK_UNLOCKED(name) { SV_SPIN_INIT }
#define DEFINE_SPINLOCK(name) spinlock_t name = __SPIN_LOCK_UNLOCKED(name)

static inline void spin_lock_init(spinlock_t *lock)
{
	sv_spin_init(&lock->s);
}

static inline void spin_lock(spinlock_t *lock)
{
	sv_spin_lock(&lock->s);
	dma_irq.depth++;
}

static inline void spin_unlock(spinlock_t *lock)
{
	sv_spin_unlock(&lock->s);
	if (!--dma_irq.depth && unlikely(dma_irq.first))
		dma_irq_run();
}
#define spin_lock_irq(lock) spin_lock(lock)
#define spin_unlock_irq(lock) spin_unlock(lock)
#define spin_lock_irqsave(lock, flags) do { (flags) = 0; spin_lock(lock); } while (0)
#define spin_unlock_irqrestore(lock, flags) do { (void)(flags); spin_unlock(lock); } while (0)

/* A device: somebody who attaches. The name is what lists and messages show. */
struct device {
	const char *init_name;
	void *driver_data;
};
static inline const char *dev_name(const struct device *dev)
{
	return dev && dev->init_name ? dev->init_name : "(unnamed)";
}
static inline void *dev_get_drvdata(const struct device *dev) { return dev->driver_data; }
static inline void dev_set_drvdata(struct device *dev, void *data) { dev->driver_data = data; }

enum dma_data_direction {
	DMA_BIDIRECTIONAL = 0,
	DMA_TO_DEVICE = 1,
	DMA_FROM_DEVICE = 2,
	DMA_NONE = 3,
};

/* A text that grows. overflow: memory ran out and the text is incomplete. */
struct seq_file {
	char *buf;
	size_t count, size;
	bool overflow;
};
void seq_printf(struct seq_file *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void seq_puts(struct seq_file *m, const char *s);
void seq_putc(struct seq_file *m, char c);

#pragma GCC visibility pop

#endif
