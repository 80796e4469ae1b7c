/* SPDX-License-Identifier: MIT */
/*
 * A child's memory for devices of the process that it was forked from. docs/forked.md has the
 * model.
 *
 * Private memory is moved into one memfd of this process, which only grows; shared memory is told by
 * its file. What has been moved is shared memory from then on.
 *
 * Locks: lend_lock, over a request; also over the program's own changes of its address space
 * (base/mem_notify.h), so that nothing is put over what it has just mapped. Held over fork.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/maps.h"
#include "base/mem_notify.h"
#include "base/trap_region.h"
#include "file/forked_impl.h"

static struct sv_mutex lend_lock = SV_MUTEX_INIT;
/* All under lend_lock. */
static int store = -1;		/* the memfd, kept */
static u64 store_size;

void forked_lend_fork_prepare(void)
{
	sv_mutex_lock(&lend_lock);
}

/* In the parent and in the child, to which what has been lent stays shared. */
void forked_lend_fork_done(void)
{
	sv_mutex_unlock(&lend_lock);
}

static int change_before(struct sv_mem_event *ev)
{
	sv_mutex_lock(&lend_lock);
	return 0;
}

static void change_after(struct sv_mem_event *ev)
{
	sv_mutex_unlock(&lend_lock);
}

static struct sv_mem_watcher watcher = { .before = change_before, .after = change_after };

/* Private memory. */

/* A thread that writes waits until the page has come to rest. */
static bool wait_for_move(void *priv)
{
	sv_mutex_lock(&lend_lock);
	sv_mutex_unlock(&lend_lock);
	return true;
}

static const struct sv_trap_ops moving_ops = { .retry = wait_for_move };

/* A page of zeroes needs no copy. It may be poisoned for the sanitizers, or be gone. */
__attribute__((no_sanitize("address", "thread", "undefined"), noinline))
static int page_is_zero(u64 addr)
{
	volatile u64 any = 0;
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return -EFAULT;
	for (u64 i = 0; i < SV_PAGE_SIZE && !any; i += 8)
		any = *(const volatile u64 *)(addr + i);
	sv_guard_leave(&g);
	return !any;
}

static int copy_to_store(u64 addr, u64 len, u64 off)
{
	for (u64 i = 0; i < len; i += SV_PAGE_SIZE) {
		int zero = page_is_zero(addr + i);

		if (zero < 0)
			return zero;
		/* By system call number: a wrapper would look at the sanitizers' poison. */
		if (!zero && sv_libc.syscall(SYS_pwrite64, store, addr + i, SV_PAGE_SIZE, off + i) !=
			     (long)SV_PAGE_SIZE)
			return -EFAULT;
	}
	return 0;
}

/* Room at the end of the memfd. */
static int store_grow(u64 len, u64 *off)
{
	int fd;

	if (store < 0) {
		fd = SV_FAULT(EMFILE) ? -1 : memfd_create("softvirt:lent", MFD_CLOEXEC);
		store = fd < 0 ? -1 : sv_fd_keep(fd);
		if (store < 0)
			return -EFAULT;
	}
	if (SV_FAULT(ENOMEM) || ftruncate(store, (off_t)(store_size + len)))
		return -EFAULT;
	*off = store_size;
	store_size += len;
	return 0;
}

static int prot_of(u32 flags)
{
	return (flags & SV_VMA_R ? PROT_READ : 0) | (flags & SV_VMA_W ? PROT_WRITE : 0) |
	       (flags & SV_VMA_X ? PROT_EXEC : 0);
}

/*
 * [addr, addr + len) of a private mapping becomes shared. Writers meet a page without write access,
 * and wait, from before the copy until the shared page is there.
 */
static int move_to_store(u64 addr, u64 len, u32 flags, u64 *off)
{
	int prot = prot_of(flags), err = store_grow(len, off);
	struct sv_trap_region *moving;

	if (err || sv_trap_region_add((void *)addr, len, &moving_ops, NULL, &moving))
		return -EFAULT;
	if (SV_FAULT(ENOMEM) || sv_libc.syscall(SYS_mprotect, addr, len, prot & ~PROT_WRITE)) {
		sv_trap_region_remove(moving);
		return -EFAULT;
	}
	err = copy_to_store(addr, len, *off);
	if (!err && sv_libc.mmap((void *)addr, len, prot, MAP_SHARED | MAP_FIXED, store, (off_t)*off) ==
		    MAP_FAILED)
		err = -EFAULT;
	if (err)
		(void)sv_libc.syscall(SYS_mprotect, addr, len, prot);
	/* Without waiting: who waits there waits for our lock. */
	sv_trap_region_remove_async(moving);
	return err;
}

/* Shared memory: a descriptor of its file. */

static bool is_file(int fd, const struct sv_vma *v, bool writable)
{
	struct stat st;
	int mode = sv_libc.fcntl(fd, F_GETFL);

	return mode >= 0 && !fstat(fd, &st) && st.st_dev == v->dev && st.st_ino == v->ino &&
	       ((mode & O_ACCMODE) == O_RDWR || ((mode & O_ACCMODE) == O_RDONLY && !writable));
}

static int search_descriptors(const struct sv_vma *v, bool writable)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int fd = -1, n;

	while (d && fd < 0 && (e = readdir(d))) {
		n = e->d_name[0] == '.' ? -1 : atoi(e->d_name);
		if (n >= 0 && n != dirfd(d) && is_file(n, v, writable))
			fd = sv_libc.fcntl(n, F_DUPFD_CLOEXEC, 0);
	}
	if (d)
		closedir(d);
	return fd;
}

/* A descriptor, the caller's, or -1. */
static int open_file_of(const struct sv_vma *v, bool writable)
{
	char path[80];
	int fd;

	if (store >= 0 && is_file(store, v, writable))
		return sv_libc.fcntl(store, F_DUPFD_CLOEXEC, 0);
	/* For those who may. */
	snprintf(path, sizeof(path), "/proc/self/map_files/%llx-%llx", (unsigned long long)v->start,
		 (unsigned long long)v->end);
	fd = sv_libc.open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	return fd >= 0 ? fd : search_descriptors(v, writable);
}

/* What is at m->addr, at most m->len bytes of it; told to the owner. */
static int lend_piece(struct forked_end *e, int maps, struct forked_msg *m, bool writable)
{
	struct sv_vma v;
	int fd, err;

	if (sv_vma_find(maps, m->addr, &v) || !(v.flags & SV_VMA_R) ||
	    (writable && !(v.flags & SV_VMA_W)))
		return -EFAULT;
	m->len = min(m->len, v.end - m->addr);
	if (v.flags & SV_VMA_SHARED) {
		m->dev = v.dev;
		m->ino = v.ino;
		m->offset = v.offset + (m->addr - v.start);
		fd = open_file_of(&v, writable);
	} else {
		err = move_to_store(m->addr, m->len, v.flags, &m->offset);
		if (err)
			return err;
		fd = sv_libc.fcntl(store, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -EFAULT;
	}
	err = forked_send(e, m, NULL, 0, fd);
	if (fd >= 0)
		sv_libc.close(fd);
	return err;
}

static int lend(struct forked_end *e, u64 addr, u64 len, bool writable)
{
	struct forked_msg m = { .type = FORKED_PIECE }, end = { .type = FORKED_ANSWER };
	int maps, err = 0;

	sv_mutex_lock(&lend_lock);
	maps = sv_maps_open(0);
	if (maps < 0)
		err = -EFAULT;
	for (u64 done = 0; done < len && !err; done += m.len) {
		m.addr = addr + done;
		m.len = len - done;
		err = lend_piece(e, maps, &m, writable);
	}
	if (maps >= 0)
		sv_libc.close(maps);
	sv_mutex_unlock(&lend_lock);
	if (err == -EPIPE)
		return err;
	end.ret = err;
	return forked_send(e, &end, NULL, 0, -1);
}

static void *lend_main(void *arg)
{
	struct forked_end *e = arg;
	struct forked_msg m;

	while (forked_recv(e, &m, NULL, 0, NULL) >= 0)
		if (m.type != FORKED_LEND || lend(e, m.addr, m.len, m.cmd))
			break;
	forked_end_close(e);
	sv_free(e);
	return NULL;
}

int forked_lend_start(int fd)
{
	struct forked_end *e = sv_zalloc(sizeof(*e));
	int err = sv_guard_init();

	if (err || !e) {
		sv_libc.close(fd);
		sv_free(e);
		return err ? err : -ENOMEM;
	}
	err = forked_end_init(e, fd);
	if (!err) {
		sv_mem_watcher_register(&watcher);
		sv_mem_watch(1);
		err = sv_thread_spawn("softvirt-lend", lend_main, e);
		if (err)
			forked_end_close(e);
	}
	if (err)
		sv_free(e);
	return err;
}
