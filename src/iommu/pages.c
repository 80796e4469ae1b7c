/* SPDX-License-Identifier: MIT */
/*
 * Pages behind areas: pins, accounting, addresses, copies. pages.h has the model.
 *
 * Accounting as the kernel's: with CAP_IPC_LOCK none; else per user (all that this process has
 * pinned) or, by IOMMU_OPTION_RLIMIT_MODE, per address space, against RLIMIT_MEMLOCK. Asking the
 * host for limit and capability costs two system calls, which a map of a page can't afford: they
 * are read when a context is opened, with each map above UM_SMALL, and again before a map is
 * refused.
 */
#include "iommu/pages.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/mem_notify.h"

#define UM_SMALL (64 * 1024)

static struct {
	u64 limit;			/* pages */
	bool exempt;
	atomic64_t user, mm;		/* pages pinned in either mode */
} account;

void iopt_account_refresh(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct cap[2] = { { 0 } };
	struct rlimit r;

	if (!getrlimit(RLIMIT_MEMLOCK, &r))
		WRITE_ONCE(account.limit, r.rlim_cur / SV_PAGE_SIZE);
	if (!sv_libc.syscall(SYS_capget, &hdr, cap))
		WRITE_ONCE(account.exempt, (cap[0].effective >> CAP_IPC_LOCK) & 1);
}

void iopt_account_forked(void)
{
	atomic64_set(&account.user, 0);
	atomic64_set(&account.mm, 0);
}

static atomic64_t *account_of(const struct iopt_pages *pages)
{
	switch (pages->account_mode) {
	case IOPT_PAGES_ACCOUNT_USER: return &account.user;
	case IOPT_PAGES_ACCOUNT_MM: return &account.mm;
	default: return NULL;
	}
}

static int account_add(struct iopt_pages *pages, u64 npages)
{
	atomic64_t *a = account_of(pages);
	u64 now;

	if (!a || !npages)
		return 0;
	now = (u64)atomic64_add_return((s64)npages, a);
	if (likely(now <= READ_ONCE(account.limit)))
		return 0;
	iopt_account_refresh();
	if (now <= READ_ONCE(account.limit))
		return 0;
	atomic64_sub((s64)npages, a);
	return -ENOMEM;
}

static void account_sub(struct iopt_pages *pages, u64 npages)
{
	atomic64_t *a = account_of(pages);

	if (a && npages)
		atomic64_sub((s64)npages, a);
}

struct iopt_pages *iopt_pages_alloc(struct iommufd_ctx *ictx, enum iopt_pages_kind kind, u64 npages,
				    bool writable)
{
	struct iopt_pages *pages = sv_zalloc(sizeof(*pages));

	if (!pages)
		return ERR_PTR(-ENOMEM);
	kref_init(&pages->kref);
	sv_mutex_init(&pages->lock);
	pages->kind = kind;
	pages->npages = npages;
	pages->writable = writable;
	if (npages > UM_SMALL / SV_PAGE_SIZE)
		iopt_account_refresh();
	if (!READ_ONCE(account.exempt))
		pages->account_mode = ictx->account_mode;
	return pages;
}

struct iopt_pages *iopt_pages_alloc_user(struct iommufd_ctx *ictx, u64 uptr, u64 length,
					 bool writable)
{
	enum iopt_pages_kind kind = sv_user_is_foreign() ? IOPT_PAGES_FOREIGN : IOPT_PAGES_USER;
	u64 base = ALIGN_DOWN(uptr, SV_PAGE_SIZE), end;
	struct iopt_pages *pages;
	int err;

	if (!length || length > SIZE_MAX - SV_PAGE_SIZE)
		return ERR_PTR(-EINVAL);
	if (__builtin_add_overflow(uptr, length, &end) || end > ~0ull - SV_PAGE_SIZE)
		return ERR_PTR(-EOVERFLOW);
	pages = iopt_pages_alloc(ictx, kind, (ALIGN_UP(end, SV_PAGE_SIZE) - base) / SV_PAGE_SIZE,
				 writable);
	if (IS_ERR(pages))
		return pages;
	pages->base = base;
	pages->devices_too = ictx->maps_devices;
	err = kind == IOPT_PAGES_FOREIGN ? iopt_foreign_init(pages, base) : 0;
	if (err) {
		sv_mutex_destroy(&pages->lock);
		sv_free(pages);
		return ERR_PTR(err);
	}
	return pages;
}

static void pages_release(struct kref *kref)
{
	struct iopt_pages *pages = container_of(kref, struct iopt_pages, kref);

	WARN_ON(pages->npinned || !interval_tree_empty(&pages->access_tree) ||
		!interval_tree_empty(&pages->domain_tree));
	switch (pages->kind) {
	case IOPT_PAGES_USER:
		WARN_ON(!interval_tree_empty(&pages->moved));
		break;
	case IOPT_PAGES_FOREIGN:
		iopt_foreign_release(pages);
		break;
	case IOPT_PAGES_FILE:
		sv_libc.syscall(SYS_munmap, pages->map, pages->map_len);
		break;
	default:
		iopt_dmabuf_release(pages);
	}
	sv_mutex_destroy(&pages->lock);
	sv_free(pages);
}

void iopt_pages_put(struct iopt_pages *pages)
{
	kref_put(&pages->kref, pages_release);
}

/*
 * The last index up to which one of the two trees covers from index on; false: neither covers it.
 */
static bool covered(struct iopt_pages *pages, u64 index, u64 *last)
{
	struct interval_tree_node *n = interval_tree_iter_first(&pages->domain_tree, index, index);

	if (!n)
		n = interval_tree_iter_first(&pages->access_tree, index, index);
	if (n)
		*last = n->last;
	return n != NULL;
}

bool iopt_pages_next_hole(struct iopt_pages *pages, u64 *first, u64 last, u64 *hole_last)
{
	struct interval_tree_node *n;
	u64 to;

	while (*first <= last && covered(pages, *first, &to))
		*first = to + 1;
	if (*first > last)
		return false;
	*hole_last = last;
	/* What overlaps begins behind *first, since nothing covers that. */
	n = interval_tree_iter_first(&pages->domain_tree, *first, last);
	if (n)
		*hole_last = n->start - 1;
	n = interval_tree_iter_first(&pages->access_tree, *first, *hole_last);
	if (n)
		*hole_last = n->start - 1;
	return true;
}

static int check_hole(struct iopt_pages *pages, u64 first, u64 last)
{
	u64 addr = pages->base + first * SV_PAGE_SIZE, len = (last - first + 1) * SV_PAGE_SIZE;
	int err;

	if (pages->kind == IOPT_PAGES_DMABUF)
		return 0;
	if (pages->kind == IOPT_PAGES_FOREIGN)
		return iopt_foreign_pin(pages, first, last);
	/* What is behind it is not the program's memory: a dma-buf can be mapped, which is taken back. */
	if (pages->kind == IOPT_PAGES_USER && !pages->devices_too && sv_mem_is_device(addr, len))
		return -EFAULT;
	if (pages->kind == IOPT_PAGES_USER && !interval_tree_empty(&pages->moved)) {
		err = um_moved_cut(pages, first, last);
		if (err)
			return err;
	}
	return um_check(addr, len, pages->writable);
}

/* The pages that have been moved and become more (or less) pinned. Frees what nobody needs. */
static void moved_unpin(struct iopt_pages *pages, u64 first, u64 last)
{
	struct interval_tree_node *n, *next;

	for (n = interval_tree_iter_first(&pages->moved, first, last); n; n = next) {
		struct um_moved *m = container_of(n, struct um_moved, node);

		u64 k = min(last, n->last) - max(first, n->start) + 1;

		next = interval_tree_iter_next(n, first, last);
		m->npinned -= k;
		pages->nmoved -= k;
		if (m->npinned)
			continue;
		interval_tree_remove(&pages->moved, n);
		um_moved_free(m);
	}
}

/* A child's pages that have been mapped for a pin that then failed. */
static void foreign_unpin_holes(struct iopt_pages *pages, u64 first, u64 last)
{
	u64 to;

	for (; iopt_pages_next_hole(pages, &first, last, &to); first = to + 1) {
		iopt_foreign_unpin(pages, first, to);
		if (to == last)
			break;
	}
}

int iopt_pages_pin(struct iopt_pages *pages, u64 first, u64 last)
{
	u64 cur = first, to, n = 0;
	int err;

	while (iopt_pages_next_hole(pages, &cur, last, &to)) {
		err = check_hole(pages, cur, to);
		if (err)
			goto undo;
		n += to - cur + 1;
		cur = to + 1;
	}
	if (!n)
		return 0;
	if (pages->kind != IOPT_PAGES_DMABUF) {
		err = account_add(pages, n);
		if (err)
			goto undo;
	}
	if (pages->kind == IOPT_PAGES_USER && !pages->um.listed) {
		pages->um.pages = pages;
		um_range_add(&pages->um, pages->base, pages->npages);
	}
	pages->npinned += n;
	return 0;
undo:
	if (pages->kind == IOPT_PAGES_FOREIGN && cur > first)
		foreign_unpin_holes(pages, first, cur - 1);
	return err;
}

void iopt_pages_unpin(struct iopt_pages *pages, u64 first, u64 last)
{
	u64 cur = first, to, n = 0;

	while (iopt_pages_next_hole(pages, &cur, last, &to)) {
		if (pages->kind == IOPT_PAGES_USER && !interval_tree_empty(&pages->moved))
			moved_unpin(pages, cur, to);
		else if (pages->kind == IOPT_PAGES_FOREIGN)
			iopt_foreign_unpin(pages, cur, to);
		n += to - cur + 1;
		cur = to + 1;
	}
	if (!n)
		return;
	if (pages->kind != IOPT_PAGES_DMABUF)
		account_sub(pages, n);
	pages->npinned -= n;
	if (pages->kind == IOPT_PAGES_USER && pages->npinned == pages->nmoved)
		um_range_del(&pages->um);
}

u64 iopt_pages_addr(struct iopt_pages *pages, u64 off, u64 len, u64 *linear)
{
	u64 first = off / SV_PAGE_SIZE, last = (off + len - 1) / SV_PAGE_SIZE;
	struct interval_tree_node *n;
	struct um_moved *m;

	*linear = len;
	if (likely(pages->kind != IOPT_PAGES_USER || interval_tree_empty(&pages->moved)))
		return pages->base + off;
	n = interval_tree_iter_first(&pages->moved, first, last);
	if (!n)
		return pages->base + off;
	if (n->start > first) {
		*linear = n->start * SV_PAGE_SIZE - off;
		return pages->base + off;
	}
	m = container_of(n, struct um_moved, node);
	*linear = min(len, (n->last + 1) * SV_PAGE_SIZE - off);
	return m->addr + off - n->start * SV_PAGE_SIZE;
}

/* A child's memory from off on that nothing has pinned: lent for as long as the copy takes. */
static int rw_unpinned_foreign(struct iopt_pages *pages, u64 off, void *data, u64 length, bool write)
{
	u64 first = off / SV_PAGE_SIZE, last = (off + length - 1) / SV_PAGE_SIZE;
	void *at = (void *)(pages->base + off);
	int err = iopt_foreign_pin(pages, first, last);

	if (err)
		return err;
	err = write ? sv_copy_guarded(at, data, length) : sv_copy_guarded(data, at, length);
	iopt_foreign_unpin(pages, first, last);
	return err;
}

/* Where byte off is for a copy, pinned or not, and how many from there on are linear. */
static u64 rw_addr(struct iopt_pages *pages, u64 off, u64 len, u64 *linear, bool *pinned)
{
	bool ask = pages->kind == IOPT_PAGES_FOREIGN ||
		   (pages->kind == IOPT_PAGES_USER && !interval_tree_empty(&pages->moved));
	u64 last, addr;

	*pinned = !ask || covered(pages, off / SV_PAGE_SIZE, &last);
	if (!*pinned) {
		/* What was moved and isn't pinned any more is where the caller's pointer says. */
		*linear = min(len, SV_PAGE_SIZE - off % SV_PAGE_SIZE);
		return pages->base + off;
	}
	addr = iopt_pages_addr(pages, off, len, linear);
	if (ask)
		*linear = min(*linear, (last + 1) * SV_PAGE_SIZE - off);
	return addr;
}

int iopt_pages_rw(struct iopt_pages *pages, u64 start_byte, void *data, u64 length, bool write)
{
	bool pinned;
	int err = 0;

	sv_mutex_lock(&pages->lock);
	while (length && !err) {
		u64 linear, addr = rw_addr(pages, start_byte, length, &linear, &pinned);

		if (pages->kind == IOPT_PAGES_FOREIGN && !pinned)
			err = rw_unpinned_foreign(pages, start_byte, data, linear, write);
		else
			err = write ? sv_copy_guarded((void *)addr, data, linear) :
				      sv_copy_guarded(data, (void *)addr, linear);
		start_byte += linear;
		data = (char *)data + linear;
		length -= linear;
	}
	sv_mutex_unlock(&pages->lock);
	return err;
}
