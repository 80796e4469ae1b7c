/* SPDX-License-Identifier: MIT */
/*
 * The regions of trap_region.h, and what a fault in one becomes.
 *
 * Model: an interval tree of regions under lock, which is held for a look-up only. Who found
 * a region holds it (busy) while its op runs; remove takes it out of the tree and waits until
 * nobody else is busy with it. An op that removes its own region doesn't wait for itself:
 * current counts the regions that this thread is busy with.
 *
 * A page may become accessible between an access and its fault handler (a BAR is switched on
 * again: the pages first, then remove). Then no region is found, and the access must be
 * tried again: once for each removal that this thread has not seen, so that it can't loop.
 */
#include "base/trap_region.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/interval_tree.h"
#include "base/sync.h"
#include "base/trap_insn.h"

struct sv_trap_region {
	struct interval_tree_node node;
	const struct sv_trap_ops *ops;
	void *priv;
	unsigned busy;			/* lock */
	bool dead;			/* lock: removed, whoever is busy last frees it */
};

#define MAX_NESTED 8	/* an op that reads a region whose op reads a region ... */

static struct sv_mutex lock = SV_MUTEX_INIT;
static struct sv_cond idle = SV_COND_INIT;
static struct interval_tree regions;	/* lock */
static unsigned long nr_regions;	/* atomic: the handler's quick no */
static unsigned long removals;		/* atomic */

static __thread struct sv_trap_region *current[MAX_NESTED]
	__attribute__((tls_model("initial-exec")));
static __thread unsigned depth __attribute__((tls_model("initial-exec")));
static __thread unsigned long removals_seen __attribute__((tls_model("initial-exec")));

static void fork_prepare(void)
{
	sv_mutex_lock(&lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&lock);
}

/* A child has no regions: whatever they stand for has its threads in the parent. */
static void fork_child(void)
{
	sv_mutex_unlock(&lock);
	sv_cond_init(&idle);
	interval_tree_init(&regions);
	nr_regions = 0;
	depth = 0;
}

static void __attribute__((constructor(102))) trap_region_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static struct sv_trap_region *region_of(struct interval_tree_node *n)
{
	return n ? container_of(n, struct sv_trap_region, node) : NULL;
}

static unsigned busy_here(const struct sv_trap_region *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < depth; i++)
		n += current[i] == r;
	return n;
}

int sv_trap_region_add(void *start, size_t len, const struct sv_trap_ops *ops, void *priv,
		       struct sv_trap_region **out)
{
	struct sv_trap_region *r = sv_zalloc(sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->node.start = (uintptr_t)start;
	r->node.last = (uintptr_t)start + len - 1;
	r->ops = ops;
	r->priv = priv;
	sv_mutex_lock(&lock);
	if (interval_tree_iter_first(&regions, r->node.start, r->node.last))
		err = -EEXIST;
	else
		interval_tree_insert(&regions, &r->node);
	sv_mutex_unlock(&lock);
	if (err) {
		sv_free(r);
		return err;
	}
	__atomic_fetch_add(&nr_regions, 1, __ATOMIC_SEQ_CST);
	*out = r;
	return 0;
}

void sv_trap_region_remove(struct sv_trap_region *r)
{
	sv_mutex_lock(&lock);
	interval_tree_remove(&regions, &r->node);
	/* Before the count goes to zero: a fault that finds none must see that one has gone. */
	__atomic_fetch_add(&removals, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&nr_regions, 1, __ATOMIC_SEQ_CST);
	while (r->busy > busy_here(r))
		sv_cond_wait(&idle, &lock);
	sv_mutex_unlock(&lock);
	for (unsigned i = 0; i < depth; i++)
		if (current[i] == r)
			current[i] = NULL;
	sv_free(r);
}

static void region_free(struct sv_trap_region *r)
{
	const struct sv_trap_ops *ops = r->ops;
	void *priv = r->priv;

	sv_free(r);
	if (ops && ops->release)
		ops->release(priv);
}

void sv_trap_region_remove_async(struct sv_trap_region *r)
{
	bool idle_now;

	sv_mutex_lock(&lock);
	interval_tree_remove(&regions, &r->node);
	__atomic_fetch_add(&removals, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&nr_regions, 1, __ATOMIC_SEQ_CST);
	r->dead = true;
	idle_now = !r->busy;
	sv_mutex_unlock(&lock);
	if (idle_now)
		region_free(r);
}

/* The region at addr, held; NULL. */
static struct sv_trap_region *region_get(uintptr_t addr)
{
	struct sv_trap_region *r;

	sv_mutex_lock(&lock);
	r = region_of(interval_tree_iter_first(&regions, addr, addr));
	if (r && depth == MAX_NESTED)
		r = NULL;
	if (r) {
		r->busy++;
		current[depth++] = r;
	}
	sv_mutex_unlock(&lock);
	return r;
}

static void region_put(struct sv_trap_region *r)
{
	bool last;

	/* Its own op may have removed it: then it is not there any more. */
	if (current[--depth] != r)
		return;
	sv_mutex_lock(&lock);
	last = --r->busy == 0 && r->dead;
	sv_cond_broadcast(&idle);
	sv_mutex_unlock(&lock);
	if (last)
		region_free(r);
}

static int region_access(struct sv_trap_region *r, uintptr_t addr, void *buf, size_t len,
			 bool write)
{
	u64 off = addr - r->node.start;
	u8 *p = buf;
	int err;

	if (addr + len - 1 > r->node.last || !r->ops)
		return -EIO;
	while (len) {
		unsigned size = 8;
		u64 val = 0;

		while (size > len || off % size)
			size /= 2;
		if (write) {
			memcpy(&val, p, size);
			err = r->ops->write ? r->ops->write(r->priv, off, size, val) : -EIO;
		} else {
			err = r->ops->read ? r->ops->read(r->priv, off, size, &val) : -EIO;
			memcpy(p, &val, size);
		}
		if (err)
			return err;
		/* Removed by its own op: the rest has nowhere to go. */
		if (len > size && current[depth - 1] != r)
			return -EIO;
		off += size;
		p += size;
		len -= size;
	}
	return 0;
}

static int access_at(uintptr_t addr, void *buf, size_t len, bool write)
{
	struct sv_trap_region *r = region_get(addr);
	int err;

	if (!r)
		return -ENOENT;
	err = region_access(r, addr, buf, len, write);
	region_put(r);
	return err;
}

int sv_trap_region_read(const void *addr, void *dst, size_t len)
{
	return access_at((uintptr_t)addr, dst, len, false);
}

int sv_trap_region_write(void *addr, const void *src, size_t len)
{
	return access_at((uintptr_t)addr, (void *)(uintptr_t)src, len, true);
}

/* Something has been removed since this thread last looked. */
static bool removed_meanwhile(void)
{
	unsigned long now = __atomic_load_n(&removals, __ATOMIC_SEQ_CST);

	if (now == removals_seen)
		return false;
	removals_seen = now;
	return true;
}

/* The owner says that the access can be made by now. */
static bool region_retry(uintptr_t addr)
{
	struct sv_trap_region *r = region_get(addr);
	bool again;

	if (!r)
		return removed_meanwhile();
	again = r->ops && r->ops->retry && r->ops->retry(r->priv);
	region_put(r);
	return again;
}

bool sv_trap_fault(int signo, const siginfo_t *info, void *ucontext, bool *sigbus)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	struct sv_trap_region *r;
	bool ours, done;

	*sigbus = false;
	if (signo != SIGSEGV || info->si_code != SEGV_ACCERR)
		return false;
	if (!__atomic_load_n(&nr_regions, __ATOMIC_SEQ_CST))
		return removed_meanwhile();
	sv_mutex_lock(&lock);
	r = region_of(interval_tree_iter_first(&regions, addr, addr));
	ours = r;
	done = r && !r->ops;
	sv_mutex_unlock(&lock);
	if (!ours)
		return removed_meanwhile();
	if (!done && (region_retry(addr) || sv_trap_emulate(ucontext)))
		return true;
	*sigbus = true;
	return false;
}
