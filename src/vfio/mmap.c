/* SPDX-License-Identifier: MIT */
/*
 * Mappings of BARs in the program's address space.
 *
 * Model: a struct vfio_map is a piece of such a mapping. A RAM BAR's is the BAR's memfd itself
 * while the memory can be reached, and inaccessible pages otherwise ("zapped"); a register BAR's
 * is always inaccessible. Over each lies a trap region, so that a fault in it ends up here: a
 * register access, or one of zapped memory, waits for memory_lock (a reset under way) and
 * then goes to the BAR, or, memory being off, becomes SIGBUS. A fault in memory that
 * is back by the time just has its instruction tried again.
 *
 * A piece holds a reference to the device's file: as in the kernel a device stays open while
 * it is mapped. Pieces are cut, moved and dropped as the program unmaps, replaces or moves them
 * (base/mem_notify.h); children of fork() don't inherit them.
 *
 * map_lock guards the tree of pieces, each device's list of them, and every change of their
 * pages; the watcher keeps it from before such a change until after it, so that no zap puts
 * pages over somebody else's. It is a leaf but for trap_region's lock and vfio_lock. Trap regions are
 * removed without waiting for accesses under way, which may wait for memory_lock, whose holder
 * may wait for map_lock; such an access keeps its piece. Files are put without map_lock: the
 * last put closes the device.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/libc.h"
#include "base/mem_notify.h"
#include "base/trap_region.h"
#include "vfio/vfio.h"

struct vfio_map {
	struct interval_tree_node node;	/* addresses; in maps */
	struct interval_tree_node device;	/* the same, for sv_mem_is_device(), from being made to being gone */
	bool listed;			/* there; map_lock, or nobody else has it */
	struct list_head link;		/* of the device, or of a list on its way out */
	refcount_t refs;		/* the list's, its trap region's */
	struct vfio_device *vdev;	/* alive: file */
	struct sv_file *file;		/* a reference */
	struct sv_trap_region *trap;	/* NULL: could not be had; faults are SIGSEGV then */
	unsigned bar;
	u64 off;			/* of its first byte in the BAR */
	int prot;			/* changed under map_lock, atomic */
	bool may_write;			/* by its descriptor */
	bool ram, zapped;
};

static struct sv_mutex map_lock = SV_MUTEX_INIT;
static struct interval_tree maps;
/* What an event under way has taken out: pieces of [ev->addr, + len). map_lock. */
static LIST_HEAD(pending);
static __thread bool in_event __attribute__((tls_model("initial-exec")));

static u64 map_len(const struct vfio_map *m)
{
	return m->node.last - m->node.start + 1;
}

/*
 * The program's own accesses, in its fault handler (trap_region.h); or a device's, into memory that
 * the program has mapped for it by the address of a BAR's mapping. While the memory is being taken
 * away the former wait and the latter fail: who takes it away waits for DMA.
 */
static int map_access(struct vfio_map *m, u64 off, unsigned size, u64 *val, bool write)
{
	struct vfio_device *vdev = m->vdev;
	int err;

	if (!(READ_ONCE(m->prot) & (write ? PROT_WRITE : PROT_READ)))
		return -EACCES;
	if (!iommu_dma_at_registers)
		sv_read_lock(&vdev->memory_lock);
	else if (!sv_read_trylock(&vdev->memory_lock))
		return -EIO;
	if (!vdev->accessible)
		err = -EIO;
	else if (write)
		err = pci_bar_write(vdev->pdev, m->bar, m->off + off, val, size);
	else
		err = pci_bar_read(vdev->pdev, m->bar, m->off + off, val, size);
	sv_read_unlock(&vdev->memory_lock);
	return err;
}

static int map_trap_read(void *priv, u64 off, unsigned size, u64 *val)
{
	*val = 0;
	return map_access(priv, off, size, val, false);
}

static int map_trap_write(void *priv, u64 off, unsigned size, u64 val)
{
	return map_access(priv, off, size, &val, true);
}

/* RAM that is (again) accessible in every way: the instruction can do it itself. */
static bool map_trap_retry(void *priv)
{
	struct vfio_map *m = priv;
	bool there;

	if (!m->ram || (READ_ONCE(m->prot) & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE))
		return false;
	sv_read_lock(&m->vdev->memory_lock);
	there = m->vdev->accessible && !__atomic_load_n(&m->zapped, __ATOMIC_RELAXED);
	sv_read_unlock(&m->vdev->memory_lock);
	return there;
}

static void map_put(struct vfio_map *m)
{
	struct sv_file *f = m->file;

	if (!refcount_dec_and_test(&m->refs))
		return;
	sv_free(m);
	if (f)
		sv_file_put(f);
}

static void map_trap_release(void *priv)
{
	map_put(priv);
}

static const struct sv_trap_ops map_trap_ops = {
	.read = map_trap_read,
	.write = map_trap_write,
	.retry = map_trap_retry,
	.release = map_trap_release,
};

static void lock_maps(void)
{
	if (!in_event)
		sv_mutex_lock(&map_lock);
}

static void unlock_maps(void)
{
	if (!in_event)
		sv_mutex_unlock(&map_lock);
}

/*
 * Puts pages over [addr, addr + len) of this process, which is ours. By number: ThreadSanitizer
 * takes mmap(3) for a store into the range, and the program's own accesses are meant to race with
 * it.
 */
static void *pages_over(void *addr, u64 len, const struct vfio_map *m, bool live, int flags)
{
	void *p;

	if (SV_FAULT(ENOMEM))
		return MAP_FAILED;
	if (live)
		p = (void *)sv_libc.syscall(SYS_mmap, addr, len, m->prot, MAP_SHARED | flags,
					    m->vdev->pdev->bars[m->bar].memfd, m->off);
	else
		p = (void *)sv_libc.syscall(SYS_mmap, addr, len, PROT_NONE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags,
					    -1, 0ul);
	if (p != MAP_FAILED) {
		(void)madvise(p, len, MADV_DONTFORK);
		(void)madvise(p, len, MADV_DONTDUMP);
	}
	return p;
}

/* 0, -ENOMEM. */
static int trap_set(struct vfio_map *m)
{
	int err;

	m->trap = NULL;
	refcount_inc(&m->refs);
	err = sv_trap_region_add((void *)m->node.start, map_len(m), &map_trap_ops, m, &m->trap);
	if (err)
		__atomic_fetch_sub(&m->refs.refs, 1, __ATOMIC_RELAXED);
	return err;
}

static void trap_add(struct vfio_map *m)
{
	if (trap_set(m))
		sv_warn("%s: out of memory: faults in a mapping of BAR %u can't be handled",
			m->vdev->pdev->name, m->bar);
}

static void device_unlist(struct vfio_map *m)
{
	if (m->listed)
		sv_mem_device_del(&m->device);
	m->listed = false;
}

static void device_list(struct vfio_map *m)
{
	device_unlist(m);
	m->device.start = m->node.start;
	m->device.last = m->node.last;
	sv_mem_device_add(&m->device);
	m->listed = true;
}

static void map_link(struct vfio_map *m)
{
	device_list(m);
	interval_tree_insert(&maps, &m->node);
	list_add_tail(&m->link, &m->vdev->maps);
	sv_mem_watch(1);
}

static void map_unlink(struct vfio_map *m)
{
	interval_tree_remove(&maps, &m->node);
	list_del(&m->link);
	sv_mem_watch(-1);
}

static void trap_remove(struct vfio_map *m)
{
	if (m->trap)
		sv_trap_region_remove_async(m->trap);
	m->trap = NULL;
}

/* Frees a list of pieces that nobody finds any more. Without locks. */
static void free_list(struct list_head *list)
{
	struct vfio_map *m, *next;

	list_for_each_entry_safe(m, next, list, link) {
		list_del(&m->link);
		device_unlist(m);
		map_put(m);
	}
}

/*
 * Cuts m so that a piece begins at addr, which lies inside of it; m keeps what is below. -ENOMEM:
 * nothing done.
 */
static int map_cut(struct vfio_map *m, u64 addr)
{
	struct vfio_map *n = sv_alloc(sizeof(*n));

	if (!n)
		return -ENOMEM;
	trap_remove(m);
	interval_tree_remove(&maps, &m->node);
	*n = *m;
	n->listed = false;
	refcount_set(&n->refs, 1);
	n->node.start = addr;
	n->off = m->off + (addr - m->node.start);
	n->file = sv_file_get(m->file);
	m->node.last = addr - 1;
	interval_tree_insert(&maps, &m->node);
	device_list(m);
	trap_add(m);
	trap_add(n);
	map_link(n);
	return 0;
}

/* No piece reaches over the borders of [start, last] then. 0, -ENOMEM. map_lock held. */
static int maps_cut(u64 start, u64 last)
{
	struct interval_tree_node *it = interval_tree_iter_first(&maps, start, start);
	int err;

	if (it && it->start < start) {
		err = map_cut(container_of(it, struct vfio_map, node), start);
		if (err)
			return err;
	}
	it = interval_tree_iter_first(&maps, last, last);
	return it && it->last > last ? map_cut(container_of(it, struct vfio_map, node), last + 1) : 0;
}

/* The pieces of [start, last] leave the tree for out. 0, or -ENOMEM: none has. map_lock held. */
static int maps_take(u64 start, u64 last, struct list_head *out)
{
	int err = maps_cut(start, last);
	struct interval_tree_node *it;
	struct vfio_map *m;

	if (err)
		return err;
	while ((it = interval_tree_iter_first(&maps, start, last))) {
		m = container_of(it, struct vfio_map, node);
		trap_remove(m);
		map_unlink(m);
		list_add_tail(&m->link, out);
	}
	return 0;
}

/* Back into the tree, at delta from where they were. map_lock held. */
static void maps_give_back(struct list_head *list, u64 delta)
{
	struct vfio_map *m, *next;

	list_for_each_entry_safe(m, next, list, link) {
		list_del(&m->link);
		m->node.start += delta;
		m->node.last += delta;
		trap_add(m);
		map_link(m);
		/* Meanwhile the device may have changed its mind. */
		if (m->ram && m->zapped == m->vdev->maps_live &&
		    pages_over((void *)m->node.start, map_len(m), m, m->vdev->maps_live,
			       MAP_FIXED) != MAP_FAILED)
			__atomic_store_n(&m->zapped, !m->vdev->maps_live, __ATOMIC_RELAXED);
	}
}

/* May [start, last]'s pieces be protected so? They become pieces of their own. map_lock held. */
static int protect_begin(u64 start, u64 last, int prot)
{
	struct interval_tree_node *it;

	for (it = interval_tree_iter_first(&maps, start, last); it;
	     it = interval_tree_iter_next(it, start, last))
		if ((prot & PROT_WRITE) && !container_of(it, struct vfio_map, node)->may_write)
			return -EACCES;
	return maps_cut(start, last);
}

/* They are; but what has no access because there is no memory behind it keeps having none. */
static void protect_end(u64 start, u64 last, int prot)
{
	struct interval_tree_node *it;

	for (it = interval_tree_iter_first(&maps, start, last); it;
	     it = interval_tree_iter_next(it, start, last)) {
		struct vfio_map *m = container_of(it, struct vfio_map, node);

		WRITE_ONCE(m->prot, prot);
		if (m->zapped)
			sv_libc.syscall(SYS_mprotect, m->node.start, map_len(m), PROT_NONE);
	}
}

static int watch_before(struct sv_mem_event *ev)
{
	u64 last = ev->addr + ev->len - 1;
	int err = 0;

	if (ev->change == SV_MEM_DISCARD)
		return 0;	/* the content of a BAR is the device's */
	sv_mutex_lock(&map_lock);
	if (ev->change == SV_MEM_COPY || ev->change == SV_MEM_INHERIT) {
		/* No mapping that a revoke doesn't reach. */
		if (ev->change == SV_MEM_COPY)
			err = interval_tree_iter_first(&maps, ev->addr, ev->addr) ? -EFAULT : 0;
		else
			err = interval_tree_iter_first(&maps, ev->addr, last) ? -EINVAL : 0;
		sv_mutex_unlock(&map_lock);
		return err;
	}
	if (ev->change == SV_MEM_PROTECT) {
		err = protect_begin(ev->addr, last, ev->prot);
		if (err)
			sv_mutex_unlock(&map_lock);
		return err;
	}
	/* A device's mapping doesn't grow. */
	if (ev->change == SV_MEM_MOVE && ev->new_len > ev->len &&
	    interval_tree_iter_first(&maps, ev->addr, last))
		err = -EFAULT;
	if (!err)
		err = maps_take(ev->addr, last, &pending);
	if (err)
		sv_mutex_unlock(&map_lock);
	else
		in_event = true;
	return err;
}

static void watch_after(struct sv_mem_event *ev)
{
	LIST_HEAD(gone);
	struct vfio_map *m, *next;

	if (ev->change == SV_MEM_DISCARD || ev->change == SV_MEM_COPY ||
	    ev->change == SV_MEM_INHERIT)
		return;
	if (ev->change == SV_MEM_PROTECT) {
		if (!ev->failed)
			protect_end(ev->addr, ev->addr + ev->len - 1, ev->prot);
		sv_mutex_unlock(&map_lock);
		return;
	}
	if (ev->failed) {
		maps_give_back(&pending, 0);
	} else if (ev->change == SV_MEM_MOVE) {
		/* What was cut off at the end is gone. */
		list_for_each_entry_safe(m, next, &pending, link) {
			if (m->node.start - ev->addr >= ev->new_len)
				list_move(&m->link, &gone);
			else if (m->node.last - ev->addr >= ev->new_len)
				m->node.last = ev->addr + ev->new_len - 1;
		}
		maps_give_back(&pending, ev->new_addr - ev->addr);
	} else {
		list_splice_init(&pending, &gone);
	}
	in_event = false;
	sv_mutex_unlock(&map_lock);
	free_list(&gone);
}

static struct sv_mem_watcher watcher = { .before = watch_before, .after = watch_after };

/* The child has none of the pages. */
static void forked(void)
{
	sv_mutex_init(&map_lock);
	interval_tree_init(&maps);
	INIT_LIST_HEAD(&pending);
	in_event = false;
}

/*
 * First of all watchers, so that its after is called last, when nobody holds a lock that
 * closing a device needs.
 */
static void __attribute__((constructor(103))) watcher_init(void)
{
	sv_mem_watcher_register(&watcher);
	(void)pthread_atfork(NULL, NULL, forked);
}

/*
 * Zap and restore: a piece whose pages can't be changed at least loses all access. map_lock held.
 */
static void map_set_live(struct vfio_map *m, bool live)
{
	void *addr = (void *)m->node.start;

	if (!m->ram || m->zapped == !live)
		return;
	if (pages_over(addr, map_len(m), m, live, MAP_FIXED) == MAP_FAILED) {
		sv_err("%s: a mapping of BAR %u can't be %s: %s", m->vdev->pdev->name, m->bar,
		       live ? "restored" : "replaced", strerror(errno));
		if (live)
			return;
		(void)mprotect(addr, map_len(m), PROT_NONE);
	}
	__atomic_store_n(&m->zapped, !live, __ATOMIC_RELAXED);
}

static void maps_set_live(struct vfio_device *vdev, bool live)
{
	struct vfio_map *m;

	sv_mutex_lock(&map_lock);
	vdev->maps_live = live;
	list_for_each_entry(m, &vdev->maps, link)
		map_set_live(m, live);
	sv_mutex_unlock(&map_lock);
}

struct vfio_device *vfio_maps_find_regs(u64 addr, u64 len, unsigned *bar, u64 *off)
{
	struct interval_tree_node *it;
	struct vfio_device *vdev = NULL;

	sv_mutex_lock(&map_lock);
	it = interval_tree_iter_first(&maps, addr, addr);
	if (it && addr + len - 1 <= it->last) {
		struct vfio_map *m = container_of(it, struct vfio_map, node);

		if (!m->ram) {
			*bar = m->bar;
			*off = m->off + (addr - it->start);
			vdev = vfio_device_get(m->vdev);
		}
	}
	sv_mutex_unlock(&map_lock);
	return vdev;
}

void vfio_maps_zap(struct vfio_device *vdev)
{
	maps_set_live(vdev, false);
}

void vfio_maps_restore(struct vfio_device *vdev)
{
	maps_set_live(vdev, true);
}

/* One rule for each check of what mmap asks. 0 or -errno. */
static int mmap_check(const struct vfio_df *df, size_t len, int prot, int flags, u64 off)
{
	u64 index = VFIO_OFFSET_TO_INDEX(off), start = off & VFIO_OFFSET_MASK;

	if (!vfio_df_granted((struct vfio_df *)df))
		return -EINVAL;
	/*
	 * A descriptor that can't write gives no writable mapping, one that can't read none at all.
	 */
	if ((df->o_flags & O_ACCMODE) == O_WRONLY ||
	    ((df->o_flags & O_ACCMODE) == O_RDONLY && (prot & PROT_WRITE)))
		return -EACCES;
	if (index > VFIO_PCI_BAR5_REGION_INDEX || !(flags & MAP_SHARED))
		return -EINVAL;
	if (!vfio_bar_can_mmap(df->vdev, (unsigned)index))
		return -EINVAL;
	if (start > df->vdev->pdev->bars[index].size ||
	    len > df->vdev->pdev->bars[index].size - start)
		return -EINVAL;
	return 0;
}

void *vfio_mmap(struct sv_file *f, void *addr, size_t len, int prot, int flags, off_t off)
{
	struct vfio_df *df = sv_file_priv(f);
	struct vfio_device *vdev = df->vdev;
	LIST_HEAD(stale);
	struct vfio_map *m;
	void *p;
	int err = mmap_check(df, ALIGN_UP(len, (size_t)SV_PAGE_SIZE), prot, flags, (u64)off);

	if (err)
		return ERR_PTR(err);
	len = ALIGN_UP(len, (size_t)SV_PAGE_SIZE);
	m = sv_zalloc(sizeof(*m));
	if (!m)
		return ERR_PTR(-ENOMEM);
	refcount_set(&m->refs, 1);
	m->vdev = vdev;
	m->bar = (unsigned)VFIO_OFFSET_TO_INDEX((u64)off);
	m->off = (u64)off & VFIO_OFFSET_MASK;
	m->prot = prot;
	m->may_write = (df->o_flags & O_ACCMODE) == O_RDWR;
	m->ram = vdev->pdev->bars[m->bar].kind == PCI_BAR_RAM;
	lock_maps();
	m->zapped = !m->ram || !vdev->maps_live;
	p = pages_over(addr, len, m, !m->zapped, flags & (MAP_FIXED | MAP_FIXED_NOREPLACE));
	err = p == MAP_FAILED ? -errno : 0;
	if (!err) {
		/*
		 * Pieces that were unmapped behind our back: the kernel gave their addresses out.
		 */
		err = maps_take((u64)p, (u64)p + len - 1, &stale);
		m->node.start = (u64)p;
		m->node.last = (u64)p + len - 1;
		if (!err)
			err = trap_set(m);
		/* Where something else was before, pages without access stay in its place. */
		if (err && (flags & MAP_FIXED))
			(void)mprotect(p, len, PROT_NONE);
		else if (err)	/* by number: under the preload library munmap() comes back here */
			sv_libc.syscall(SYS_munmap, p, len);
	}
	if (!err) {
		m->file = sv_file_get(f);
		map_link(m);
	}
	unlock_maps();
	free_list(&stale);
	if (err) {
		sv_free(m);
		return ERR_PTR(err);
	}
	return p;
}
