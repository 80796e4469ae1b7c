/* SPDX-License-Identifier: MIT */
/*
 * The program's memory as a device sees it: what becomes of it when the program takes it away while
 * it is pinned. (user_memory_check.c: is it there?) docs/iommufd.md tells what is seen and what
 * isn't.
 *
 * Model: ranges is a tree, by the program's addresses, of all that is pinned there: for each
 * iopt_pages one range over its whole length (of which the parts count that are pinned and not
 * moved), and one for each part that the program has moved elsewhere with mremap. Memory that is
 * unmapped or discarded while pinned is moved to a um_block at an address that the program doesn't
 * know, where it stays until nothing has it pinned.
 *
 * A move goes in this order: the new place is reserved, without access; the domains' translations
 * are changed to it, which waits for DMA under way to the old place; the host moves the pages. DMA
 * that faults in between waits for the end of it and tries again (um_settled). So a device never
 * touches the old place when somebody else may have it already. If the program's call then fails
 * the pages go back to where they were, since the program has lost nothing.
 *
 * Lock: um_lock, split into shards so that readers on different CPUs don't meet: a reader takes its
 * thread's shard, who moves memory takes all. It is outside of every lock of a space, and held by
 * all that pins, unpins or changes a domain; a mover therefore needs no other lock. The tree's own
 * mutex is for readers, who insert and remove.
 */
#include "iommu/pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/libc.h"
#include "base/maps.h"
#include "base/mem_notify.h"
#include "iommu/user_memory.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* What becomes of the place that pages are moved away from. */
enum um_op {
	UM_UNMAP,		/* nothing, or something else */
	UM_DISCARD,	/* the mapping stays, with fresh pages */
};

#define NR_SHARDS 16

static struct {
	struct sv_rwlock lock;
} __attribute__((aligned(128))) shards[NR_SHARDS] = { [0 ... NR_SHARDS - 1] = { SV_RWLOCK_INIT } };
static u32 next_shard;
static __thread u32 my_shard __attribute__((tls_model("initial-exec")));	/* + 1 */

static struct sv_mutex tree_lock = SV_MUTEX_INIT;
static struct interval_tree ranges;
static u64 moves;			/* moves that have ended */

static u32 shard_choose(void)
{
	my_shard = 1 + __atomic_fetch_add(&next_shard, 1, __ATOMIC_RELAXED) % NR_SHARDS;
	return my_shard;
}

static inline struct sv_rwlock *shard_mine(void)
{
	u32 i = my_shard;

	return &shards[(i ? i : shard_choose()) - 1].lock;
}

void um_read_lock(void)
{
	sv_read_lock(shard_mine());
}

void um_read_unlock(void)
{
	sv_read_unlock(shard_mine());
}

static void um_write_lock(void)
{
	for (unsigned i = 0; i < NR_SHARDS; i++)
		sv_write_lock(&shards[i].lock);
}

static void um_write_unlock(void)
{
	for (unsigned i = NR_SHARDS; i--;)
		sv_write_unlock(&shards[i].lock);
}

u64 um_moves(void)
{
	return __atomic_load_n(&moves, __ATOMIC_ACQUIRE);
}

bool um_settled(u64 since)
{
	um_read_lock();
	um_read_unlock();
	return um_moves() != since;
}

/* What is pinned where. */

void um_range_add(struct um_range *r, u64 addr, u64 npages)
{
	r->node.start = addr;
	r->node.last = addr + npages * SV_PAGE_SIZE - 1;
	sv_mutex_lock(&tree_lock);
	interval_tree_insert(&ranges, &r->node);
	r->listed = true;
	sv_mutex_unlock(&tree_lock);
}

void um_range_del(struct um_range *r)
{
	sv_mutex_lock(&tree_lock);
	if (r->listed)
		interval_tree_remove(&ranges, &r->node);
	r->listed = false;
	sv_mutex_unlock(&tree_lock);
}

static struct um_range *range_of(struct interval_tree_node *n)
{
	return n ? container_of(n, struct um_range, node) : NULL;
}

static struct um_range *range_first(u64 start, u64 last)
{
	return range_of(interval_tree_iter_first(&ranges, start, last));
}

static struct um_range *range_next(struct um_range *r, u64 start, u64 last)
{
	return range_of(interval_tree_iter_next(&r->node, start, last));
}

static void block_put(struct um_block *b)
{
	if (!refcount_dec_and_test(&b->refs))
		return;
	if (b->len)
		sv_libc.syscall(SYS_munmap, b->addr, b->len);
	sv_free(b);
}

void um_moved_free(struct um_moved *m)
{
	um_range_del(&m->um);
	if (m->block)
		block_put(m->block);
	sv_free(m);
}

static u64 count_pinned(struct iopt_pages *pages, u64 first, u64 last)
{
	u64 n = last - first + 1, to;

	for (; iopt_pages_next_hole(pages, &first, last, &to); first = to + 1)
		n -= to - first + 1;
	return n;
}

static void moved_set(struct um_moved *m, struct iopt_pages *pages, u64 first, u64 last, u64 addr,
		      u64 npinned)
{
	bool listed = m->um.listed;

	um_range_del(&m->um);
	m->node.start = first;
	m->node.last = last;
	m->addr = addr;
	m->npinned = npinned;
	pages->nmoved += npinned;
	m->um.pages = pages;
	m->um.first_index = first;
	interval_tree_insert(&pages->moved, &m->node);
	if (listed || !m->block)
		um_range_add(&m->um, addr, last - first + 1);
}

/*
 * Takes [first, last] out of what m covers. spare is used, and set to NULL, if two parts remain. m
 * is freed if nothing of it does.
 */
static void moved_trim(struct iopt_pages *pages, struct um_moved *m, u64 first, u64 last,
		       struct um_moved **spare)
{
	u64 start = m->node.start, end = m->node.last, addr = m->addr;
	bool left = start < first, right = end > last;
	struct um_moved *r = m;

	interval_tree_remove(&pages->moved, &m->node);
	pages->nmoved -= m->npinned;
	if (left && right) {
		r = *spare;
		*spare = NULL;
		r->block = m->block;
		if (r->block)
			refcount_inc(&r->block->refs);
	}
	if (left)
		moved_set(m, pages, start, first - 1, addr, count_pinned(pages, start, first - 1));
	if (right)
		moved_set(r, pages, last + 1, end, addr + (last + 1 - start) * SV_PAGE_SIZE,
			  count_pinned(pages, last + 1, end));
	if (!left && !right)
		um_moved_free(m);
}

int um_moved_cut(struct iopt_pages *pages, u64 first, u64 last)
{
	struct interval_tree_node *n;

	while ((n = interval_tree_iter_first(&pages->moved, first, last))) {
		struct um_moved *spare = NULL;

		if (n->start < first && n->last > last) {
			spare = sv_zalloc(sizeof(*spare));
			if (!spare)
				return -ENOMEM;
		}
		moved_trim(pages, container_of(n, struct um_moved, node), first, last, &spare);
	}
	return 0;
}

u32 iopt_user_page_pins(u64 uptr)
{
	struct um_range *r;
	u32 n = 0;

	um_read_lock();
	sv_mutex_lock(&tree_lock);
	for (r = range_first(uptr, uptr); r; r = range_next(r, uptr, uptr)) {
		u64 i = r->first_index + (uptr - r->node.start) / SV_PAGE_SIZE, to;

		if (r == &r->pages->um && interval_tree_iter_first(&r->pages->moved, i, i))
			continue;
		n += !iopt_pages_next_hole(r->pages, &i, i, &to);
	}
	sv_mutex_unlock(&tree_lock);
	um_read_unlock();
	return n;
}

/*
 * Moving. um_lock for writing. A plan is what has to change when the pages of one stretch go to
 * another: one um_moved for each pinned slice, of whichever pages.
 */
struct plan {
	struct um_plan_item {
		struct um_moved *m;	/* as it will be */
		struct um_moved *spare;
		u64 old_addr;
	} *items;
	size_t n, room;
};

/* The next pinned piece of r in [*start, end): *start moves to it. False: none. */
static bool range_next_pinned(struct um_range *r, u64 *start, u64 end, u64 *piece_end)
{
	struct iopt_pages *pages = r->pages;
	bool base = r == &pages->um;
	u64 from = max(*start, r->node.start), to = min(end, r->node.last + 1);
	u64 i, last, hole, hole_last;

	if (from >= to)
		return false;
	i = r->first_index + (from - r->node.start) / SV_PAGE_SIZE;
	last = r->first_index + (to - 1 - r->node.start) / SV_PAGE_SIZE;
	while (i <= last) {
		struct interval_tree_node *n;
		u64 stop = last;

		n = base ? interval_tree_iter_first(&pages->moved, i, last) : NULL;
		if (n && n->start <= i) {
			i = n->last + 1;
			continue;
		}
		if (n)
			stop = n->start - 1;
		hole = i;
		if (iopt_pages_next_hole(pages, &hole, stop, &hole_last)) {
			if (hole == i) {
				i = hole_last + 1;
				continue;
			}
			stop = hole - 1;
		}
		*start = r->node.start + (i - r->first_index) * SV_PAGE_SIZE;
		*piece_end = r->node.start + (stop + 1 - r->first_index) * SV_PAGE_SIZE;
		return true;
	}
	return false;
}

static bool range_is_pinned(u64 start, u64 end)
{
	struct um_range *r;

	for (r = range_first(start, end - 1); r; r = range_next(r, start, end - 1)) {
		u64 s = start, e;

		if (range_next_pinned(r, &s, end, &e))
			return true;
	}
	return false;
}

static void plan_free(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		sv_free(p->items[i].m);
		sv_free(p->items[i].spare);
	}
	sv_free(p->items);
	memset(p, 0, sizeof(*p));
}

static int plan_add(struct plan *p, struct um_range *r, u64 start, u64 end, u64 new_addr,
		    struct um_block *block)
{
	struct um_plan_item *it;
	u64 first = r->first_index + (start - r->node.start) / SV_PAGE_SIZE;
	u64 last = first + (end - start) / SV_PAGE_SIZE - 1;

	/* A driver holds the address itself. */
	if (interval_tree_iter_first(&r->pages->access_tree, first, last))
		return -EBUSY;
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 4;
		void *bigger = sv_realloc_array(p->items, room, sizeof(*p->items));

		if (!bigger)
			return -ENOMEM;
		p->items = bigger;
		p->room = room;
	}
	it = &p->items[p->n];
	it->m = sv_zalloc(sizeof(*it->m));
	it->spare = sv_zalloc(sizeof(*it->spare));
	if (!it->m || !it->spare) {
		sv_free(it->m);
		sv_free(it->spare);
		return -ENOMEM;
	}
	p->n++;
	it->old_addr = start;
	it->m->um.pages = r->pages;
	it->m->node.start = first;
	it->m->node.last = last;
	it->m->addr = new_addr;
	it->m->block = block;
	return 0;
}

/* Everything pinned in [start, end) goes to new_addr. */
static int plan_make(struct plan *p, u64 start, u64 end, u64 new_addr, struct um_block *block)
{
	struct um_range *r;
	int err;

	for (r = range_first(start, end - 1); r; r = range_next(r, start, end - 1)) {
		u64 s = start, e;

		for (; range_next_pinned(r, &s, end, &e); s = e) {
			err = plan_add(p, r, s, e, new_addr + (s - start), block);
			if (err)
				return err;
		}
	}
	return 0;
}

static int item_remap(const struct um_plan_item *it, u64 addr)
{
	struct iopt_pages *pages = it->m->um.pages;
	u64 first = it->m->node.start, last = it->m->node.last;
	struct interval_tree_node *n;
	int err;

	for (n = interval_tree_iter_first(&pages->domain_tree, first, last); n;
	     n = interval_tree_iter_next(n, first, last)) {
		struct iopt_area *a = container_of(n, struct iopt_area, pages_node);
		u64 from = max(first, n->start);

		err = iopt_area_remap(a, from, min(last, n->last),
				      addr + (from - first) * SV_PAGE_SIZE);
		if (err)
			return err;
	}
	return 0;
}

/* Back to where it was: what has been split into small pages once can be changed without memory. */
static void plan_unremap(struct plan *p, size_t n)
{
	while (n--)
		WARN_ON(item_remap(&p->items[n], p->items[n].old_addr));
}

static int plan_remap(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		int err = item_remap(&p->items[i], p->items[i].m->addr);

		if (err) {
			plan_unremap(p, i + 1);
			return err;
		}
	}
	return 0;
}

static void plan_commit(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct um_plan_item *it = &p->items[i];
		struct um_moved *m = it->m;
		struct iopt_pages *pages = m->um.pages;
		u64 first = m->node.start, last = m->node.last;
		struct interval_tree_node *n;

		while ((n = interval_tree_iter_first(&pages->moved, first, last)))
			moved_trim(pages, container_of(n, struct um_moved, node), first, last,
				   &it->spare);
		if (m->block)
			refcount_inc(&m->block->refs);
		moved_set(m, pages, first, last, m->addr, last - first + 1);
		it->m = NULL;
		/* Nothing of it is where it was: whoever looks there need not pass it. */
		if (pages->nmoved == pages->npinned)
			um_range_del(&pages->um);
	}
	plan_free(p);
}

/* What the program's call is about: nothing of ours may lie in it, not in a hole of it either. */
static u64 call_start, call_len;	/* um_lock for writing */

static u64 reserve_anywhere(u64 len)
{
	void *p = sv_libc.mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? 0 : (u64)p;
}

static u64 reserve(u64 len)
{
	u64 p = SV_FAULT(ENOMEM) ? 0 : reserve_anywhere(len);

	if (!p || p >= call_start + call_len || p + len <= call_start)
		return p;
	/* More than fits into any hole of the call's range; the end of it is given back. */
	sv_libc.syscall(SYS_munmap, p, len);
	p = reserve_anywhere(len + call_len);
	if (p)
		sv_libc.syscall(SYS_munmap, p + len, call_len);
	return p;
}

/* Stretches that go away together: all of them, or none. Each is in one mapping of the host. */
struct away {
	struct stretch {
		u64 start;
		struct um_block *block;
		struct plan plan;
		bool hole;		/* no mapping has stayed in its place */
		bool device;		/* nothing moves: devices meet an empty place */
	} *s;
	size_t n, room;
	enum um_op op;
};

/*
 * The host's part. The mapping stays where it is, without pages, until the caller's own call: in a
 * hole another thread might map something, which that call would then destroy.
 */
static int pages_away(struct stretch *s, enum um_op op)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	u64 to = s->block->addr, len = s->block->len;

	if (s->device)
		return 0;
	if (SV_FAULT(ENOMEM))
		return -ENOMEM;
	if (sv_libc.syscall(SYS_mremap, s->start, len, len, flags | MREMAP_DONTUNMAP, to) != -1)
		return 0;
	/* Not for this kind of memory (huge pages), or on this host: with the hole, then. */
	if (errno != EINVAL || op == UM_DISCARD ||
	    sv_libc.syscall(SYS_mremap, s->start, len, len, flags, to) == -1)
		return -ENOMEM;
	s->hole = true;
	return 0;
}

/*
 * Back to where they were, if the place is as it was left: a call that failed half-way may have
 * taken the mapping, and then the pages, away.
 */
static bool pages_back(struct stretch *s)
{
	struct um_block *b = s->block;
	unsigned char vec;
	bool mapped;

	if (s->device)
		return true;
	mapped = !sv_libc.syscall(SYS_mincore, s->start, SV_PAGE_SIZE, &vec);

	if (mapped == s->hole ||
	    WARN_ON(sv_libc.syscall(SYS_mremap, b->addr, b->len, b->len,
				    MREMAP_MAYMOVE | MREMAP_FIXED, s->start) == -1))
		return false;
	b->len = 0;
	return true;
}

static struct um_block *block_alloc(u64 len)
{
	struct um_block *block = sv_zalloc(sizeof(*block));

	if (!block)
		return NULL;
	refcount_set(&block->refs, 1);
	block->len = len;
	block->addr = reserve(len);
	if (block->addr)
		return block;
	sv_free(block);
	return NULL;
}

/* Devices are sent to the new place, where they wait. */
static int away_add(struct away *a, u64 start, u64 end)
{
	struct stretch *s;
	int err;

	if (a->n == a->room) {
		size_t room = a->room ? 2 * a->room : 4;
		void *bigger = sv_realloc_array(a->s, room, sizeof(*a->s));

		if (!bigger)
			return -ENOMEM;
		a->s = bigger;
		a->room = room;
	}
	s = &a->s[a->n];
	memset(s, 0, sizeof(*s));
	s->start = start;
	/* A BAR that we keep is one that its owner can't take back. */
	s->device = sv_mem_is_device(start, end - start);
	s->block = block_alloc(end - start);
	if (!s->block)
		return -ENOMEM;
	err = plan_make(&s->plan, start, end, s->block->addr, s->block);
	if (!err)
		err = plan_remap(&s->plan);
	if (err) {
		plan_free(&s->plan);
		block_put(s->block);
		return err;
	}
	a->n++;
	return 0;
}

/* How many have moved; all, unless memory is short. */
static size_t away_move(struct away *a)
{
	size_t i = 0;

	while (i < a->n && !pages_away(&a->s[i], a->op))
		i++;
	return i;
}

/* moved: the host has the pages of so many at their new place, where they stay unless undo. */
static void away_end(struct away *a, size_t moved, bool undo)
{
	for (size_t i = 0; i < a->n; i++) {
		struct stretch *s = &a->s[i];

		if (i >= moved || (undo && pages_back(s)))
			plan_unremap(&s->plan, s->plan.n);
		else
			plan_commit(&s->plan);
		plan_free(&s->plan);
		block_put(s->block);
	}
	sv_free(a->s);
	memset(a, 0, sizeof(*a));
}

/* What is pinned of [start, end), piece by piece: of different ranges they may overlap. */
struct pieces {
	struct piece {
		u64 start, end;
	} *p;
	size_t n, room;
};

static int piece_add(struct pieces *ps, u64 start, u64 end)
{
	if (ps->n == ps->room) {
		size_t room = ps->room ? 2 * ps->room : 8;
		void *bigger = sv_realloc_array(ps->p, room, sizeof(*ps->p));

		if (!bigger)
			return -ENOMEM;
		ps->p = bigger;
		ps->room = room;
	}
	ps->p[ps->n++] = (struct piece){ start, end };
	return 0;
}

static int piece_compare(const void *a, const void *b)
{
	u64 x = ((const struct piece *)a)->start, y = ((const struct piece *)b)->start;

	return x < y ? -1 : x > y;
}

/* In order, and what touches is one. */
static void pieces_merge(struct pieces *ps)
{
	size_t n = 0;

	/* The C library's sort asks for memory, too. */
	sv_mem_quiet_begin();
	if (ps->n)
		qsort(ps->p, ps->n, sizeof(*ps->p), piece_compare);
	sv_mem_quiet_end();
	for (size_t i = 0; i < ps->n; i++) {
		if (n && ps->p[i].start <= ps->p[n - 1].end)
			ps->p[n - 1].end = max(ps->p[n - 1].end, ps->p[i].end);
		else
			ps->p[n++] = ps->p[i];
	}
	ps->n = n;
}

static int pieces_find(struct pieces *ps, u64 start, u64 end)
{
	struct um_range *r;
	int err = 0;

	for (r = range_first(start, end - 1); r && !err; r = range_next(r, start, end - 1)) {
		u64 s = start, e;

		for (; !err && range_next_pinned(r, &s, end, &e); s = e)
			err = piece_add(ps, s, e);
	}
	if (!err)
		pieces_merge(ps);
	return err;
}

/* madvise(2) will refuse it, and what is behind it: MS_INVALIDATE has no other effect here. */
static bool is_locked(u64 start, u64 end)
{
	return sv_libc.syscall(SYS_msync, start, end - start, MS_INVALIDATE) == -1 && errno == EBUSY;
}

/* The stretches of one piece: as the host's mappings cut it. fd, v: between calls. */
static int away_add_piece(struct away *a, u64 start, u64 end, int *fd, struct sv_vma *v)
{
	int err = 0;

	while (!err && start < end) {
		u64 stop;

		if (*fd < 0)
			*fd = sv_maps_open(0);
		if (*fd < 0)
			return -ENOMEM;
		if (start < v->start || start >= v->end)
			err = sv_vma_find(*fd, start, v);
		if (err == -EFAULT) {
			/* Taken away behind our back, page by page as far as we know. */
			err = 0;
			start += SV_PAGE_SIZE;
			continue;
		}
		if (err)
			break;
		stop = min(end, v->end);
		if (a->op == UM_DISCARD && is_locked(start, stop))
			return 1;
		/* Discarding a shared page leaves it in its file. */
		if (a->op != UM_DISCARD || !(v->flags & SV_VMA_SHARED))
			err = away_add(a, start, stop);
		start = stop;
	}
	return err;
}

/* Finds the stretches of [start, end). */
static int away_collect(struct away *a, u64 start, u64 end)
{
	struct pieces ps = { 0 };
	struct sv_vma v = { 0 };
	int fd = -1, err;

	if (start >= end)
		return 0;
	err = pieces_find(&ps, start, end);
	for (size_t i = 0; i < ps.n && !err; i++)
		err = away_add_piece(a, ps.p[i].start, ps.p[i].end, &fd, &v);
	if (fd >= 0)
		sv_libc.close(fd);
	sv_free(ps.p);
	return min(err, 0);
}

/* What the call under way takes away: decided about when it is through. um_lock for writing */
static struct away away;

/* All of [start, end) that is pinned and there, or (-errno) nothing. */
static int range_away(u64 start, u64 end, enum um_op op)
{
	int err;

	away.op = op;
	err = away_collect(&away, start, end);
	if (!err && away.n) {
		size_t moved = away_move(&away);

		if (moved == away.n)
			return 0;
		err = -ENOMEM;
		away_end(&away, moved, true);
	} else if (err) {
		away_end(&away, 0, false);
	}
	return err;
}

/*
 * mremap by the program: the pinned pages go with it, to an address that is known only when it is
 * done. Until then devices are sent to limbo, a reservation without access.
 */
static struct {
	struct plan plan;
	u64 limbo, len;
} moving;				/* um_lock for writing */

static void move_end(bool failed, u64 old, u64 new_addr)
{
	if (!moving.limbo)
		return;
	if (failed || new_addr == old) {
		plan_unremap(&moving.plan, moving.plan.n);
		plan_free(&moving.plan);
	} else {
		for (size_t i = 0; i < moving.plan.n; i++)
			moving.plan.items[i].m->addr += new_addr - moving.limbo;
		/* In the pieces that were made on the way to limbo, so without memory. */
		WARN_ON(plan_remap(&moving.plan));
		plan_commit(&moving.plan);
	}
	sv_libc.syscall(SYS_munmap, moving.limbo, moving.len);
	moving.limbo = 0;
}

static int move_begin(u64 start, u64 len)
{
	int err;

	if (!len || !range_is_pinned(start, start + len))
		return 0;
	moving.limbo = reserve(len);
	moving.len = len;
	if (!moving.limbo)
		return -ENOMEM;
	err = plan_make(&moving.plan, start, start + len, moving.limbo, NULL);
	if (!err)
		err = plan_remap(&moving.plan);
	if (err) {
		plan_free(&moving.plan);
		sv_libc.syscall(SYS_munmap, moving.limbo, len);
		moving.limbo = 0;
	}
	return err;
}

/* Pinned pages stay what they are: devices don't ask for the program's protection. */
static bool is_none_of_ours(const struct sv_mem_event *ev)
{
	return ev->change == SV_MEM_PROTECT || ev->change == SV_MEM_COPY || ev->change == SV_MEM_INHERIT;
}

static void change_after(struct sv_mem_event *ev)
{
	if (is_none_of_ours(ev))
		return;
	away_end(&away, away.n, ev->failed);
	if (ev->change == SV_MEM_MOVE)
		move_end(ev->failed, ev->addr, ev->new_addr);
	__atomic_fetch_add(&moves, 1, __ATOMIC_RELEASE);
	um_write_unlock();
}

static int change_before(struct sv_mem_event *ev)
{
	u64 end = ev->addr + ev->len, cut;
	int err;

	if (is_none_of_ours(ev))
		return 0;
	um_write_lock();
	if (interval_tree_empty(&ranges))
		return 0;
	call_start = ev->addr;
	call_len = ev->len;
	switch (ev->change) {
	case SV_MEM_MOVE:
		/* What mremap cuts off is unmapped. */
		cut = min(end, ev->addr + ev->new_len);
		err = range_away(cut, end, UM_UNMAP);
		if (!err)
			err = move_begin(ev->addr, cut - ev->addr);
		break;
	case SV_MEM_DISCARD:
		err = range_away(ev->addr, end, UM_DISCARD);
		break;
	default:
		err = range_away(ev->addr, end, UM_UNMAP);
	}
	if (err) {
		ev->failed = true;
		change_after(ev);
	}
	return err;
}

static struct sv_mem_watcher watcher = {
	.before = change_before,
	.after = change_after,
};

/*
 * The child has no devices: what is pinned is nobody's business there. Locks may be held by nobody.
 */
static void forked(void)
{
	iopt_account_forked();
	interval_tree_init(&ranges);
	for (unsigned i = 0; i < NR_SHARDS; i++)
		shards[i].lock = (struct sv_rwlock)SV_RWLOCK_INIT;
	tree_lock = (struct sv_mutex)SV_MUTEX_INIT;
}

static int init_once(void)
{
	if (SV_FAULT(ENOMEM) || pthread_atfork(NULL, NULL, forked))
		return -ENOMEM;
	sv_mem_watcher_register(&watcher);
	sv_mem_watch(1);
	return 0;
}

int iommufd_user_memory_init(void)
{
	static struct sv_once once = SV_ONCE_INIT;
	int err = sv_once(&once, init_once);

	if (err)
		return err;
	iopt_account_refresh();
	return 0;
}
