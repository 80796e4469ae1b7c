/* SPDX-License-Identifier: MIT */
/*
 * Is the program's memory there, and may it be written? user_memory.c has what happens to it later.
 *
 * Short ranges are touched, page by page, under a guard; longer ones looked up in the host's list
 * of mappings, and populated by the host up to a size above which it would take long: then when
 * first used.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "iommu/pages.h"
#include "iommu/user_memory.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define TOUCH_MAX (64 * 1024)
#define POPULATE_MAX (16ull << 20)

/* The host's answer to "which mapping is at, or next behind, addr" (Linux 6.11). */
struct procmap_query {
	u64 size, query_flags, query_addr;
	u64 vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	u32 dev_major, dev_minor, vma_name_size, build_id_size;
	u64 vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
int um_maps_open(void)
{
	return SV_FAULT(EMFILE) ? -1 : sv_libc.open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
}

/* The old way: the text, up to the mapping that ends behind addr. */
static int vma_from_text(u64 addr, struct um_vma *v)
{
	char line[256], perms[5];
	int fd = um_maps_open(), ret = -EFAULT;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f) {
		if (fd >= 0)
			sv_libc.close(fd);
		return -ENOMEM;
	}
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) != 3 || end <= addr)
			continue;
		if (start <= addr) {
			v->start = start;
			v->end = end;
			v->flags = (perms[0] == 'r' ? UM_VMA_R : 0) | (perms[1] == 'w' ? UM_VMA_W : 0) |
				   (perms[3] == 's' ? UM_VMA_SHARED : 0);
			ret = 0;
		}
		break;
	}
	fclose(f);
	return ret;
}

/* The mapping that has addr. -EFAULT: none. */
int um_vma_find(int fd, u64 addr, struct um_vma *v)
{
	struct procmap_query q = { .size = sizeof(q), .query_addr = addr };

	if (!sv_libc.ioctl(fd, PROCMAP_QUERY, &q)) {
		v->start = q.vma_start;
		v->end = q.vma_end;
		v->flags = (u32)q.vma_flags;
		return 0;
	}
	return errno == ENOENT ? -EFAULT : vma_from_text(addr, v);
}

static int vmas_check(u64 addr, u64 len, bool writable)
{
	u64 end = addr + len;
	int fd = um_maps_open(), err = 0;
	struct um_vma v;

	if (fd < 0)
		return -ENOMEM;
	while (addr < end && !err) {
		err = um_vma_find(fd, addr, &v);
		if (!err && !(v.flags & (writable ? UM_VMA_W : UM_VMA_R)))
			err = -EFAULT;
		if (!err)
			addr = v.end;
	}
	sv_libc.close(fd);
	return err;
}

/*
 * One byte of each page, read or written with what it holds. The program's memory may be poisoned
 * for the sanitizers, and its own threads may be writing there.
 */
__attribute__((no_sanitize("address", "thread", "undefined"), noinline))
static int touch(u64 addr, u64 len, bool writable)
{
	u64 end = addr + len;
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return -EFAULT;
	for (u64 p = addr; p < end; p = ALIGN_DOWN(p, SV_PAGE_SIZE) + SV_PAGE_SIZE) {
		if (writable)
			__atomic_fetch_or((u8 *)p, 0, __ATOMIC_RELAXED);
		else
			(void)*(const volatile u8 *)p;
	}
	sv_guard_leave(&g);
	return 0;
}

int um_check(u64 addr, u64 len, bool writable)
{
	u64 end;
	int err;

	if (sv_fault() || __builtin_add_overflow(addr, len, &end) || end >> 63)
		return -EFAULT;
	if (len <= TOUCH_MAX)
		return touch(addr, len, writable);
	err = vmas_check(addr, len, writable);
	if (err || len > POPULATE_MAX)
		return err;
	/* A host without it (EINVAL) gives the memory when it is used. */
	if (sv_libc.syscall(SYS_madvise, addr, len,
			    writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) &&
	    errno != EINVAL)
		return -EFAULT;
	return 0;
}
