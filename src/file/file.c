/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table and the life of a struct sv_file.
 *
 * Table: two levels, numbered by descriptor. Chunks are allocated when a number in them is
 * first needed and never freed; a slot is read without a lock and written under
 * table_lock. Each filled slot holds one reference.
 *
 * Look-up: read the slot, take a reference unless the count is zero, read the slot again.
 * That is sound because struct sv_file memory is type-stable: a freed one goes to a free
 * list and comes back as another sv_file, never as something else. If the slot still (or
 * again) shows the same pointer, the reference belongs to the file the number means now.
 *
 * Identity: a descriptor can be closed, or copied, by raw system calls that pass us by.
 * Each backing carries a mark (F_SETSIG, which nobody uses on these), and a memfd has its
 * own inode number; sv_fd_is() and sv_fd_adopt() look at them. The hot path does not: see
 * docs/file.md for what follows.
 *
 * Fork: mm_id names the address space. It lives in a page that the kernel wipes in a
 * child, so that even a raw clone(2) is noticed; an atfork handler does the same where the
 * kernel can't. Files remember the id they were made under.
 *
 * Locks: table_lock (held over fork) is a leaf: no callback runs under it.
 */
#include "file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/list.h"
#include "base/refcount.h"
#include "base/sync.h"
#include "base/trace.h"
#include "file/impl.h"

/* The mark: a real-time signal number that F_SETSIG accepts on every host. */
#define SV_FD_MARK 61

struct sv_fd_chunk *sv_fd_table[(1u << 31) >> SV_FD_CHUNK_BITS];

static struct sv_mutex table_lock = SV_MUTEX_INIT;
/* All below under table_lock. */
static LIST_HEAD(all_files);
static struct sv_file *free_files;
static int *kept_fds;		/* of sv_fd_keep(), in no order */
static u32 nr_kept, kept_room;

static u32 mm_fallback = 1;
static u32 *mm_page = &mm_fallback;
static u32 mm_last = 1;
static pid_t table_pid;

/* The first look after a fork in a child: names the new address space. */
static sv_noinline u32 mm_new(void)
{
	u32 id = __atomic_load_n(&mm_last, __ATOMIC_RELAXED) + 1, zero = 0;

	__atomic_store_n(&table_pid, getpid(), __ATOMIC_RELAXED);
	if (__atomic_compare_exchange_n(mm_page, &zero, id, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		__atomic_store_n(&mm_last, id, __ATOMIC_RELAXED);
	return __atomic_load_n(mm_page, __ATOMIC_RELAXED);
}

static inline u32 mm_id(void)
{
	u32 id = __atomic_load_n(mm_page, __ATOMIC_RELAXED);

	return likely(id) ? id : mm_new();
}

static void fork_prepare(void)
{
	sv_mutex_lock(&table_lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&table_lock);
}

static void fork_child(void)
{
	sv_mutex_unlock(&table_lock);
	__atomic_store_n(mm_page, 0, __ATOMIC_RELAXED);
	mm_new();
}

static void __attribute__((constructor(102))) file_init(void)
{
	u32 *page = mmap(NULL, SV_PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Where either fails the atfork handler is still there, for fork(3) itself. */
	if (page != MAP_FAILED) {
		*page = mm_fallback;
		(void)madvise(page, SV_PAGE_SIZE, MADV_WIPEONFORK);
		mm_page = page;
	}
	table_pid = getpid();
	(void)pthread_atfork(fork_prepare, fork_parent, fork_child);
}

bool sv_fd_table_is_mine(void)
{
	mm_id();
	return getpid() == __atomic_load_n(&table_pid, __ATOMIC_RELAXED);
}

u32 sv_mm_id(void)
{
	return mm_id();
}

bool sv_file_is_foreign(const struct sv_file *f)
{
	return unlikely(f->mm != mm_id());
}

/* Makes sure that fd has a slot. */
static int table_reserve(int fd)
{
	struct sv_fd_chunk **link = &sv_fd_table[(unsigned)fd >> SV_FD_CHUNK_BITS];
	struct sv_fd_chunk *c, *none = NULL;

	if (__atomic_load_n(link, __ATOMIC_ACQUIRE))
		return 0;
	c = sv_zalloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	if (!__atomic_compare_exchange_n(link, &none, c, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		sv_free(c);	/* another thread was first */
	return 0;
}

/* Puts f (may be NULL) there; gives back what was there, with its reference. */
static struct sv_file *table_replace(int fd, struct sv_file *f)
{
	struct sv_file **slot = sv_fd_slot(fd), *old;

	sv_mutex_lock(&table_lock);
	old = __atomic_exchange_n(slot, f, __ATOMIC_ACQ_REL);
	sv_mutex_unlock(&table_lock);
	return old;
}

#define FILES_PER_SLAB 32

static struct sv_file *file_alloc(void)
{
	struct sv_file *f = NULL, *slab;

	sv_mutex_lock(&table_lock);
	if (!free_files) {
		slab = sv_calloc(FILES_PER_SLAB, sizeof(*slab));
		for (size_t i = 0; slab && i < FILES_PER_SLAB; i++) {
			slab[i].next_free = free_files;
			free_files = &slab[i];
		}
	}
	f = free_files;
	if (f) {
		free_files = f->next_free;
		list_add_tail(&f->link, &all_files);
	}
	sv_mutex_unlock(&table_lock);
	return f;
}

static void file_free(struct sv_file *f)
{
	sv_mutex_lock(&table_lock);
	list_del(&f->link);
	f->next_free = free_files;
	free_files = f;
	sv_mutex_unlock(&table_lock);
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

/* Not executable where the kernel knows the flag; some systems insist on it. */
static int memfd_open(const char *name, unsigned flags)
{
	static bool too_old;
	int fd = -1;

	if (!READ_ONCE(too_old))
		fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && (READ_ONCE(too_old) || errno == EINVAL)) {
		WRITE_ONCE(too_old, true);
		fd = memfd_create(name, flags);
	}
	return fd < 0 ? -errno : fd;
}

/* A descriptor of the given kind, without anything of ours in it. */
static int backing_open(const struct sv_file_ops *ops, enum sv_backing backing, int o_flags)
{
	char name[64];

	if (SV_FAULT(EMFILE))
		return -errno;
	if (backing == SV_BACKING_EVENTFD) {
		int fd = eventfd(0, (o_flags & O_CLOEXEC ? EFD_CLOEXEC : 0) |
				 (o_flags & O_NONBLOCK ? EFD_NONBLOCK : 0));

		return fd < 0 ? -errno : fd;
	}
	snprintf(name, sizeof(name), "softvirt:%s", ops->name);
	return memfd_open(name, MFD_ALLOW_SEALING | (o_flags & O_CLOEXEC ? MFD_CLOEXEC : 0));
}

/* The file's own descriptor: above the lower half, out of the way of the program's. */
static int backing_keep(int fd)
{
	struct rlimit rl;
	int own, from = 3;

	if (SV_FAULT(EMFILE))
		return -errno;
	if (!getrlimit(RLIMIT_NOFILE, &rl))
		from = (int)min(rl.rlim_cur / 2, (rlim_t)1 << 20);
	own = sv_libc.fcntl(fd, F_DUPFD_CLOEXEC, from);
	if (own < 0 && (errno == EMFILE || errno == EINVAL))
		own = sv_libc.fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return own < 0 ? -errno : own;
}

/* Size, seals, mark and slot: all that can fail. The caller closes f's descriptors. */
static int backing_prepare(struct sv_file *f, size_t size)
{
	struct stat st;
	int err;

	if (f->backing == SV_BACKING_MEMFD) {
		if (SV_FAULT(ENOMEM) || ftruncate(f->fd, (off_t)size))
			return -errno;
		if (SV_FAULT(EINVAL) ||
		    sv_libc.fcntl(f->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
			return -errno;
		if (SV_FAULT(ENOMEM) || sv_libc.fstat(f->fd, &st))
			return -errno;
		f->dev = st.st_dev;
		f->ino = st.st_ino;
	}
	/* Without the mark a descriptor is only less well told from a stranger. */
	f->marked = !sv_libc.fcntl(f->fd, F_SETSIG, SV_FD_MARK);
	if (f->keep) {
		f->own_fd = backing_keep(f->fd);
		if (f->own_fd < 0)
			return f->own_fd;
	}
	err = table_reserve(f->fd);
	return err;
}

static void file_name(struct sv_file *f, const struct sv_file_ops *ops, void *priv)
{
	static u64 last_id;

	f->ops = ops;
	f->priv = priv;
	f->mm = mm_id();
	f->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
	f->pos = 0;
	f->rdev = 0;
}

int sv_file_create(const struct sv_file_ops *ops, void *priv, enum sv_backing backing,
		   size_t size, int o_flags, struct sv_file **out)
{
	struct sv_file *f;
	int err = sv_guard_init();

	if (!err && ops->called_by_children)
		err = sv_forked_init();
	if (err)
		return err;
	f = file_alloc();
	if (!f)
		return -ENOMEM;
	file_name(f, ops, priv);
	f->keep = backing & SV_BACKING_KEEP;
	f->backing = backing & ~SV_BACKING_KEEP;
	f->own_fd = -1;
	f->dev = 0;
	f->ino = 0;
	f->fd = backing_open(ops, f->backing, o_flags);
	if (f->fd < 0) {
		err = f->fd;
		goto free_file;
	}
	err = backing_prepare(f, size);
	if (err)
		goto close_fds;
	/* Release: who takes a reference to this life of f sees all of the above. */
	smp_store_release(&f->refs.refs, 1);
	sv_trace("file.create", "%s: descriptor %d", ops->name, f->fd);
	*out = f;
	return 0;

close_fds:
	if (f->own_fd >= 0)
		sv_libc.close(f->own_fd);
	sv_libc.close(f->fd);
free_file:
	file_free(f);
	return err;
}

int sv_file_create_fd(const struct sv_file_ops *ops, void *priv, int fd, struct sv_file **out)
{
	struct sv_file *f;
	struct stat st;
	int err = sv_guard_init();

	if (err)
		return err;
	if (SV_FAULT(ENOMEM) || sv_libc.fstat(fd, &st))
		return -errno;
	err = table_reserve(fd);
	if (err)
		return err;
	f = file_alloc();
	if (!f)
		return -ENOMEM;
	file_name(f, ops, priv);
	f->keep = false;
	/* What has an inode of its own is known by it; an eventfd has none. */
	f->backing = st.st_mode & S_IFMT ? SV_BACKING_MEMFD : SV_BACKING_EVENTFD;
	f->own_fd = -1;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->marked = !sv_libc.fcntl(fd, F_SETSIG, SV_FD_MARK);
	f->fd = fd;
	smp_store_release(&f->refs.refs, 1);
	sv_trace("file.create", "%s: descriptor %d", ops->name, fd);
	*out = f;
	return 0;
}

int sv_file_install(struct sv_file *f)
{
	int fd = f->fd;
	struct sv_file *stale;

	f->fd = -1;
	stale = table_replace(fd, f);
	/* The kernel gave us this number, so whoever had it was closed behind our back. */
	if (stale)
		sv_file_put(stale);
	return fd;
}

struct sv_file *sv_file_get(struct sv_file *f)
{
	refcount_inc(&f->refs);
	return f;
}

static void file_last_put(struct sv_file *f)
{
	sv_trace("file.release", "%s", f->ops->name);
	/* In a forked child the object is a copy without its threads: left as it is. */
	if (f->ops->release && !sv_file_is_foreign(f))
		f->ops->release(f);
	if (f->own_fd >= 0)
		sv_libc.close(f->own_fd);
	if (f->fd >= 0)
		sv_libc.close(f->fd);	/* never installed */
	file_free(f);
}

void sv_file_put(struct sv_file *f)
{
	if (refcount_dec_and_test(&f->refs))
		file_last_put(f);
}

struct sv_file *sv_fget(int fd, const struct sv_file_ops *ops)
{
	struct sv_file **slot = sv_fd_slot(fd), *f;

	if (!slot)
		return NULL;
	for (;;) {
		f = smp_load_acquire(slot);
		if (!f)
			return NULL;
		/* Zero: being closed, the slot is about to change or has changed. */
		if (!refcount_inc_not_zero(&f->refs))
			continue;
		if (likely(smp_load_acquire(slot) == f))
			break;
		sv_file_put(f);
	}
	if (ops && f->ops != ops) {
		sv_file_put(f);
		return NULL;
	}
	return f;
}

struct sv_file *sv_file_find(u64 id)
{
	struct sv_file *f, *found = NULL;

	sv_mutex_lock(&table_lock);
	list_for_each_entry(f, &all_files, link) {
		if (f->id == id && !sv_file_is_foreign(f) && refcount_inc_not_zero(&f->refs)) {
			found = f;
			break;
		}
	}
	sv_mutex_unlock(&table_lock);
	return found;
}

void *sv_file_priv(const struct sv_file *f)
{
	return f->priv;
}

void sv_file_set_rdev(struct sv_file *f, dev_t rdev)
{
	__atomic_store_n(&f->rdev, rdev, __ATOMIC_RELAXED);
}

dev_t sv_file_rdev(const struct sv_file *f)
{
	return __atomic_load_n(&f->rdev, __ATOMIC_RELAXED);
}

int sv_file_backing_fd(const struct sv_file *f)
{
	return f->own_fd >= 0 ? f->own_fd : f->fd;
}

int sv_file_number(const struct sv_file *f)
{
	return f->fd;
}

const struct sv_file_ops *sv_file_get_ops(const struct sv_file *f)
{
	return f->ops;
}

void sv_fd_forget(int fd)
{
	struct sv_file *old;

	if (!sv_fd_ours(fd) || !sv_fd_table_is_mine())
		return;
	old = table_replace(fd, NULL);
	if (old)
		sv_file_put(old);
}

int sv_fd_attach(int fd, struct sv_file *f)
{
	struct sv_file *old;
	int err;

	if (!sv_fd_table_is_mine())
		return 0;
	err = table_reserve(fd);
	if (err)
		return err;
	old = table_replace(fd, sv_file_get(f));
	if (old)
		sv_file_put(old);
	return 0;
}

bool sv_fd_is(int fd, const struct sv_file *f)
{
	struct stat st;

	if (f->backing == SV_BACKING_MEMFD)
		return !sv_libc.fstat(fd, &st) && st.st_dev == f->dev && st.st_ino == f->ino;
	if (!f->marked)
		return sv_libc.fcntl(fd, F_GETFD) >= 0;
	return sv_libc.fcntl(fd, F_GETSIG) == SV_FD_MARK;
}

static sv_fd_foreign_fn foreign_open;

/* An eventfd's number in the kernel's own count, from /proc; -1 if it can't be had. */
static long eventfd_id(int fd)
{
	static const char key[] = "eventfd-id:";
	char path[48], text[512], *p;
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = sv_libc.open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -1;
	n = read(info, text, sizeof(text) - 1);
	sv_libc.close(info);
	if (n <= 0)
		return -1;
	text[n] = 0;
	p = strstr(text, key);
	return p ? strtol(p + sizeof(key) - 1, NULL, 10) : -1;
}

/* The eventfd-backed file that has this id under one of its numbers. table_lock held. */
static struct sv_file *find_eventfd(long id)
{
	for (size_t i = 0; i < ARRAY_SIZE(sv_fd_table); i++) {
		struct sv_fd_chunk *c = smp_load_acquire(&sv_fd_table[i]);

		for (unsigned j = 0; c && j < SV_FD_CHUNK; j++) {
			struct sv_file *f = c->files[j];

			if (f && f->backing == SV_BACKING_EVENTFD &&
			    eventfd_id((int)(i * SV_FD_CHUNK + j)) == id)
				return f;
		}
		/* Numbers are dense from below: the process has no higher descriptor. */
		if (!c && i > (1u << 20) >> SV_FD_CHUNK_BITS)
			break;
	}
	return NULL;
}

struct sv_file *sv_fd_adopt(int fd)
{
	struct sv_file *f, *found = NULL;
	struct stat st;
	long id;
	int saved = errno;

	/* Nearly every stranger ends here, after one cheap call. */
	if (sv_libc.fcntl(fd, F_GETSIG) != SV_FD_MARK || sv_libc.fstat(fd, &st))
		goto out;
	id = st.st_mode & S_IFMT ? -1 : eventfd_id(fd);
	sv_mutex_lock(&table_lock);
	if (id >= 0) {
		found = find_eventfd(id);
	} else {
		list_for_each_entry(f, &all_files, link) {
			/* A parent's is of no use where its ops want to be opened again. */
			if (f->ops->reopen_after_fork && sv_file_is_foreign(f))
				continue;
			if (f->backing == SV_BACKING_MEMFD && f->dev == st.st_dev &&
			    f->ino == st.st_ino) {
				found = f;
				break;
			}
		}
	}
	if (found && !refcount_inc_not_zero(&found->refs))
		found = NULL;
	sv_mutex_unlock(&table_lock);
	if (found && sv_fd_attach(fd, found)) {
		sv_file_put(found);
		found = NULL;
	} else if (!found && smp_load_acquire(&foreign_open)) {
		found = foreign_open(fd);
	}
out:
	errno = saved;
	return found;
}

void sv_fd_set_foreign_open(sv_fd_foreign_fn open)
{
	smp_store_release(&foreign_open, open);
}

struct sv_file *sv_fd_reopen(int fd, struct sv_file *f)
{
	struct sv_file *mine;

	if (!f->ops->reopen_after_fork || !sv_file_is_foreign(f) || !sv_fd_table_is_mine() ||
	    !smp_load_acquire(&foreign_open))
		return f;
	mine = foreign_open(fd);
	if (!mine)
		return f;
	sv_file_put(f);
	return mine;
}

int sv_fd_keep(int fd)
{
	int own = backing_keep(fd), *bigger;

	sv_libc.close(fd);
	if (own < 0)
		return own;
	sv_mutex_lock(&table_lock);
	if (nr_kept == kept_room) {
		bigger = sv_realloc(kept_fds, (kept_room + 16) * sizeof(*kept_fds));
		if (!bigger) {
			sv_mutex_unlock(&table_lock);
			sv_libc.close(own);
			return -ENOMEM;
		}
		kept_fds = bigger;
		kept_room += 16;
	}
	kept_fds[nr_kept++] = own;
	sv_mutex_unlock(&table_lock);
	return own;
}

void sv_fd_keep_close(int fd)
{
	sv_mutex_lock(&table_lock);
	for (u32 i = 0; i < nr_kept; i++) {
		if (kept_fds[i] == fd) {
			kept_fds[i] = kept_fds[--nr_kept];
			break;
		}
	}
	sv_mutex_unlock(&table_lock);
	sv_libc.close(fd);
}

/* The lowest descriptor of a file's own in [first, last], or last + 1 (as u64). */
static u64 first_own_fd(unsigned first, unsigned last)
{
	u64 lowest = (u64)last + 1;
	struct sv_file *f;

	sv_mutex_lock(&table_lock);
	list_for_each_entry(f, &all_files, link)
		if (f->own_fd >= 0 && (unsigned)f->own_fd >= first && (u64)f->own_fd < lowest)
			lowest = (u64)f->own_fd;
	for (u32 i = 0; i < nr_kept; i++)
		if ((unsigned)kept_fds[i] >= first && (u64)kept_fds[i] < lowest)
			lowest = (u64)kept_fds[i];
	sv_mutex_unlock(&table_lock);
	return lowest;
}

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif

int sv_fd_close_range(unsigned first, unsigned last, int flags)
{
	unsigned highest = min(last, (unsigned)INT32_MAX);
	u64 own;

	/* With nothing of ours in the way (or an error to report) it is the kernel's. */
	if (first > last || (flags & (int)CLOSE_RANGE_CLOEXEC) || !sv_fd_table_is_mine())
		return sv_libc.syscall(SYS_close_range, first, last, flags) ? -errno : 0;
	/* An unknown flag must fail before anything is forgotten. */
	if (sv_libc.syscall(SYS_close_range, ~0u, ~0u, flags))
		return -errno;
	for (unsigned i = first >> SV_FD_CHUNK_BITS; i <= highest >> SV_FD_CHUNK_BITS; i++) {
		if (!__atomic_load_n(&sv_fd_table[i], __ATOMIC_ACQUIRE))
			continue;
		for (unsigned j = 0; j < SV_FD_CHUNK; j++) {
			unsigned fd = (i << SV_FD_CHUNK_BITS) + j;

			if (fd >= first && fd <= highest)
				sv_fd_forget((int)fd);
		}
	}
	for (u64 from = first; from <= last; from = own + 1) {
		own = first_own_fd((unsigned)from, last);
		if (own > from &&
		    sv_libc.syscall(SYS_close_range, (unsigned)from, (unsigned)(own - 1), flags))
			return -errno;
		if (own == (u64)last + 1)
			break;
	}
	return 0;
}
