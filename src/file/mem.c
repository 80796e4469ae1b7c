/* SPDX-License-Identifier: MIT */
/*
 * The public calls by which a program takes its own memory away: those who reach it through
 * the library (devices, by DMA) are told before and after (base/mem_notify.h). While nobody watches
 * anything they are the system calls and nothing else.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "base/libc.h"
#include "base/mem_notify.h"
#include "file/impl.h"
#include "softvirt/softvirt.h"

/* A range as the kernel sees it; false: it will refuse it (or there is nothing to do). */
static bool page_range(struct sv_mem_event *ev, const void *addr, size_t len)
{
	ev->addr = (uintptr_t)addr;
	ev->len = ALIGN_UP(len, SV_PAGE_SIZE);
	return IS_ALIGNED(ev->addr, SV_PAGE_SIZE) && ev->len && ev->len >= len &&
	       ev->addr + ev->len > ev->addr;
}

static int fail(int err)
{
	errno = -err;
	return -1;
}

SV_EXPORT int softvirt_munmap(void *addr, size_t len)
{
	struct sv_mem_event ev = { .change = SV_MEM_UNMAP };
	int ret, saved;

	if (likely(!sv_mem_is_watched()) || !page_range(&ev, addr, len))
		return (int)sv_libc.syscall(SYS_munmap, addr, len);
	ret = sv_mem_before(&ev);
	if (ret)
		return fail(ret);
	ret = (int)sv_libc.syscall(SYS_munmap, addr, len);
	saved = errno;
	ev.failed = ret;
	sv_mem_after(&ev);
	errno = saved;
	return ret;
}

/* What a fixed mapping is about to replace. 1: ev awaits its after; 0: nobody is told; -errno. */
int sv_mem_replace_begin(struct sv_mem_event *ev, const void *addr, size_t len, int flags)
{
	int err;

	*ev = (struct sv_mem_event){ .change = SV_MEM_UNMAP };
	if (likely(!sv_mem_is_watched()) || !(flags & MAP_FIXED) ||
	    (flags & MAP_FIXED_NOREPLACE) == MAP_FIXED_NOREPLACE || !page_range(ev, addr, len))
		return 0;
	err = sv_mem_before(ev);
	return err ? err : 1;
}

/*
 * What mremap is about to land on goes first, as a change of its own (watchers are told of one
 * at a time); a reservation keeps the place. 0 or -errno.
 */
static int clear_target(const void *old, size_t len, void *new_addr, size_t new_len)
{
	struct sv_mem_event ev = { .change = SV_MEM_UNMAP };
	u64 a = (uintptr_t)old;
	void *p;
	int err;

	page_range(&ev, new_addr, new_len);
	if (a < ev.addr + ev.len && ev.addr < a + ALIGN_UP(len, SV_PAGE_SIZE))
		return -EINVAL;
	err = sv_mem_before(&ev);
	if (err)
		return err;
	p = sv_libc.mmap(new_addr, ev.len, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	err = p == MAP_FAILED ? -errno : 0;
	ev.failed = err;
	sv_mem_after(&ev);
	return err;
}

static void *move(void *addr, size_t len, size_t new_len, int flags, void *new_addr)
{
	struct sv_mem_event ev = { .change = SV_MEM_MOVE };
	void *p = MAP_FAILED;
	int saved, err = 0;

	page_range(&ev, addr, len);
	ev.new_len = ALIGN_UP(new_len, SV_PAGE_SIZE);
	if (flags & MREMAP_FIXED)
		err = clear_target(addr, len, new_addr, new_len);
	if (err)
		goto out;
	err = sv_mem_before(&ev);
	if (!err) {
		p = (void *)sv_libc.syscall(SYS_mremap, addr, len, new_len, flags, new_addr);
		saved = errno;
		ev.failed = p == MAP_FAILED;
		ev.new_addr = (uintptr_t)p;
		sv_mem_after(&ev);
		errno = saved;
	}
	if (p == MAP_FAILED && (flags & MREMAP_FIXED)) {
		saved = errno;
		sv_libc.syscall(SYS_munmap, new_addr, ev.new_len);
		errno = saved;
	}
out:
	if (err)
		errno = -err;
	return p;
}

/* An old length of 0 makes a second mapping and takes none away. */
static void *copy(void *addr, size_t new_len, int flags, void *new_addr)
{
	struct sv_mem_event ev = { .change = SV_MEM_COPY };
	void *p;
	int err;

	page_range(&ev, addr, new_len);
	err = sv_mem_before(&ev);
	if (err) {
		errno = -err;
		return MAP_FAILED;
	}
	p = (void *)sv_libc.syscall(SYS_mremap, addr, 0ul, new_len, flags, new_addr);
	ev.failed = p == MAP_FAILED;
	sv_mem_after(&ev);
	return p;
}

/* What the kernel refuses before it has touched anything. */
static bool mremap_is_wrong(size_t len, size_t new_len, int flags)
{
	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || !new_len)
		return true;
	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
		return true;
	return (flags & MREMAP_DONTUNMAP) &&
	       ALIGN_UP(len, SV_PAGE_SIZE) != ALIGN_UP(new_len, SV_PAGE_SIZE);
}

SV_EXPORT void *softvirt_mremap(void *addr, size_t len, size_t new_len, int flags, ...)
{
	struct sv_mem_event probe;
	void *new_addr = NULL;
	va_list ap;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	if (!len && sv_mem_is_watched() && page_range(&probe, addr, new_len))
		return copy(addr, new_len, flags, new_addr);
	if (likely(!sv_mem_is_watched()) || !page_range(&probe, addr, len) ||
	    mremap_is_wrong(len, new_len, flags) || ((flags & MREMAP_FIXED) && !page_range(&probe, new_addr, new_len)))
		return (void *)sv_libc.syscall(SYS_mremap, addr, len, new_len, flags, new_addr);
	return move(addr, len, new_len, flags, new_addr);
}

SV_EXPORT int softvirt_mprotect(void *addr, size_t len, int prot)
{
	struct sv_mem_event ev = { .change = SV_MEM_PROTECT, .prot = prot };
	int ret, saved;

	if (likely(!sv_mem_is_watched()) || !page_range(&ev, addr, len))
		return (int)sv_libc.syscall(SYS_mprotect, addr, len, prot);
	ret = sv_mem_before(&ev);
	if (ret)
		return fail(ret);
	ret = (int)sv_libc.syscall(SYS_mprotect, addr, len, prot);
	saved = errno;
	ev.failed = ret;
	sv_mem_after(&ev);
	errno = saved;
	return ret;
}

SV_EXPORT int softvirt_madvise(void *addr, size_t len, int advice)
{
	struct sv_mem_event ev = {
		.change = advice == MADV_DOFORK ? SV_MEM_INHERIT : SV_MEM_DISCARD,
	};
	int ret, saved;

	if (likely(!sv_mem_is_watched()) ||
	    (advice != MADV_DONTNEED && advice != MADV_FREE && advice != MADV_DOFORK) ||
	    !page_range(&ev, addr, len))
		return (int)sv_libc.syscall(SYS_madvise, addr, len, advice);
	ret = sv_mem_before(&ev);
	if (ret)
		return fail(ret);
	ret = (int)sv_libc.syscall(SYS_madvise, addr, len, advice);
	saved = errno;
	/* A hole is an error; what is mapped around it has been discarded. */
	ev.failed = ret && saved != ENOMEM;
	sv_mem_after(&ev);
	errno = saved;
	return ret;
}
