/* SPDX-License-Identifier: MIT */
/*
 * Is the program's memory there, and may it be written? user_memory.c has what happens to it later.
 *
 * Short ranges are touched, page by page, under a guard; longer ones looked up in the host's list
 * of mappings, and populated by the host up to a size above which it would take long: then when
 * first used.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/maps.h"
#include "iommu/pages.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define TOUCH_MAX (64 * 1024)
#define POPULATE_MAX (16ull << 20)

static int vmas_check(u64 addr, u64 len, bool writable)
{
	u64 end = addr + len;
	int fd = sv_maps_open(0), err = 0;
	struct sv_vma v;

	if (fd < 0)
		return -ENOMEM;
	while (addr < end && !err) {
		err = sv_vma_find(fd, addr, &v);
		if (!err && !(v.flags & (writable ? SV_VMA_W : SV_VMA_R)))
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
