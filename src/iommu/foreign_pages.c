/* SPDX-License-Identifier: MIT */
/*
 * Memory of a forked child, which it maps into its parent's context (docs/forked.md). As for the
 * kernel, process and address are known from the map on, the pages from a pin on: then the child
 * lends them, and they are mapped here, into a range of addresses that is set aside for them. They
 * stay, whatever becomes of the child, until they are unpinned.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "file/forked.h"
#include "iommu/pages.h"

/* Nothing, at these addresses. */
static void *set_aside(void *at, u64 len)
{
	return sv_libc.mmap(at, len, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);
}

int iopt_foreign_init(struct iopt_pages *pages, u64 uptr)
{
	struct sv_lender *lender = sv_caller_lender();

	if (IS_ERR(lender))
		return (int)PTR_ERR(lender);
	pages->foreign_len = pages->npages * SV_PAGE_SIZE;
	pages->foreign_map = SV_FAULT(ENOMEM) ? MAP_FAILED : set_aside(NULL, pages->foreign_len);
	if (pages->foreign_map == MAP_FAILED) {
		sv_lender_put(lender);
		return -ENOMEM;
	}
	/* A child of this process needs none of it. */
	(void)madvise(pages->foreign_map, pages->foreign_len, MADV_DONTFORK);
	pages->lender = lender;
	pages->foreign_uptr = uptr;
	pages->base = (u64)pages->foreign_map;
	return 0;
}

void iopt_foreign_release(struct iopt_pages *pages)
{
	sv_libc.syscall(SYS_munmap, pages->foreign_map, pages->foreign_len);
	sv_lender_put(pages->lender);
}

int iopt_foreign_pin(struct iopt_pages *pages, u64 first, u64 last)
{
	u64 off = first * SV_PAGE_SIZE, len = (last - first + 1) * SV_PAGE_SIZE;
	void *at = (char *)pages->foreign_map + off;

	if (sv_lender_map(pages->lender, pages->foreign_uptr + off, len, pages->writable, at)) {
		iopt_foreign_unpin(pages, first, last);
		return -EFAULT;
	}
	(void)madvise(at, len, MADV_DONTFORK);
	return um_check((u64)at, len, pages->writable);
}

void iopt_foreign_unpin(struct iopt_pages *pages, u64 first, u64 last)
{
	/* If the host is short of memory they stay until the next pin, or the end. */
	(void)set_aside((char *)pages->foreign_map + first * SV_PAGE_SIZE,
			(last - first + 1) * SV_PAGE_SIZE);
}
