/* SPDX-License-Identifier: MIT */
/*
 * Being told of fences.
 *
 * A watch hears of each fence that is filed in a reservation, from the thread that files it.
 * A dma_resv_readiness shows whether the CPU may read or write, as poll(2) means it, and says
 * so whenever that changes. Model and locks: readiness.c.
 */
#ifndef SV_DMABUF_WATCH_H
#define SV_DMABUF_WATCH_H

#include "base/refcount.h"
#include "softvirt/dma-resv.h"

struct dma_resv_watch {
	struct dma_resv_watch __rcu *next;
	/*
	 * The fence is in. Called with the reservation lock held, in an RCU read section, and
	 * possibly once more after dma_resv_watch_del() has returned, until a grace period is
	 * over: the memory must live on until then.
	 */
	void (*added)(struct dma_resv_watch *w, struct dma_fence *fence,
		      enum dma_resv_usage usage);
};

/* Reservation lock held. Fences of before are not told of. */
void dma_resv_watch_add(struct dma_resv *obj, struct dma_resv_watch *w);
/* Without or with the lock; at most once. */
void dma_resv_watch_del(struct dma_resv *obj, struct dma_resv_watch *w);

/* Bits of what is shown. */
#define DMA_READY_READ 1u	/* all writers are done (EPOLLIN) */
#define DMA_READY_WRITE 2u	/* and all readers (EPOLLOUT) */

struct dma_resv_readiness;

struct dma_resv_readiness_way {
	struct dma_resv_readiness *r;
	struct dma_fence_cb cb;
	struct irq_work work;
	struct dma_fence *fence;	/* armed: the one whose signal is waited for */
};

struct dma_resv_readiness {
	struct dma_resv_watch watch;
	struct dma_resv *resv;
	/* Called with lock held; sleeps at most in a system call. */
	void (*show)(struct dma_resv_readiness *r, unsigned int ready);
	void (*free)(struct dma_resv_readiness *r);
	refcount_t refs;
	struct rcu_head rcu;
	spinlock_t lock;
	/* Under lock. */
	bool started, dead;
	unsigned int ready;
	struct dma_resv_readiness_way way[2];
};

/*
 * Takes the reservation lock. From here on show() is called, at first with what holds now.
 * r belongs to the readiness until free() is called; resv lives until _end() has returned.
 */
void dma_resv_readiness_begin(struct dma_resv_readiness *r, struct dma_resv *resv);
/* show() is not called any more once this has returned; free() will be. Any locks. */
void dma_resv_readiness_end(struct dma_resv_readiness *r);

#endif
