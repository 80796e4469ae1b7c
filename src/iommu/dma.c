/* SPDX-License-Identifier: MIT */
/*
 * What a device does: reads and writes through the soft IOMMU. iommu.h has the model.
 *
 * A piece is at most IOMMU_DMA_PIECE bytes, over as many pages as it takes, under one hold of
 * dma_lock and one guard. What stops it (no translation, memory that isn't there) is looked at
 * after the lock has been dropped: memory on the move is waited for, a page request is made and
 * waited for if the device can; then the piece goes on from where it was. Registers of devices
 * (IOMMU_MMIO, or a trap region that faulted) are accessed by their ops instead of by a copy.
 *
 * Events for a guest (soft.h) are reported when nothing else has helped; those of accesses that go to
 * a sink end the piece, are reported, and the next piece goes on.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/trap_region.h"
#include "iommu/impl.h"
#include "iommu/soft.h"
#include "iommu/user_memory.h"

#define MMIO_PIECE 256

/* A transfer: from src to dst, each an IOVA or local memory; or a pattern. */
struct dma {
	struct iommu_dev *dev;
	struct soft_requester *rq;
	u32 pasid;
	bool dst_iova, src_iova;
	u64 dst, src;			/* an IOVA, or an address of local memory */
	u64 pattern, origin;		/* fill (src_iova false, src 0): repeats from origin on */
	bool fill;
	bool slow;			/* page by page: somewhere the host's memory faulted */
	size_t len;
};

/* Why a piece ended early. */
struct stop {
	int err;			/* 0: it didn't; -EFAULT, or -EAGAIN: try again */
	struct iommu_dma_fault fault;
	u64 addr;			/* BUS: the address that faulted */
	bool mmio;			/* the next bytes are registers */
	u64 gpa;			/* of dst in a nested domain, by the parent's addresses; or NO_GPA */
	bool table_gone;		/* a table of the guest's had no memory */
	bool asked;			/* by a page request, and the answer was no */
	u32 nr_events;
	struct soft_event events[2];	/* of src and dst */
	u64 serial;			/* of the attachment that they are about */
};
#define NO_GPA (~0ull)

/* Without the events: a short copy would notice. */
static inline void stop_init(struct stop *s, u32 pasid)
{
	s->err = 0;
	s->fault.pasid = pasid;
	s->mmio = false;
	s->table_gone = false;
	s->asked = false;
	s->nr_events = 0;
}

/*
 * Up to 8 bytes, naturally aligned on both sides: one access, after all that the device wrote
 * before it, as a bus orders them. Drivers poll for such a write and then read the rest.
 */
static bool copy_word(void *dst, const void *src, size_t n)
{
	if (((uintptr_t)dst | (uintptr_t)src) & (n - 1))
		return false;
	switch (n) {
	case 8:
		__atomic_store_n((u64 *)dst, __atomic_load_n((const u64 *)src, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
		return true;
	case 4:
		__atomic_store_n((u32 *)dst, __atomic_load_n((const u32 *)src, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
		return true;
	case 2:
		__atomic_store_n((u16 *)dst, __atomic_load_n((const u16 *)src, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
		return true;
	default:
		return false;
	}
}

/* Overlaps only exactly. */
static void copy_bytes(void *dst, const void *src, size_t n)
{
	if (n <= 8 && copy_word(dst, src, n))
		return;
	if (likely(dst != src))
		memcpy(dst, src, n);
}

static void fill_bytes(u8 *dst, size_t n, u64 pattern, u64 offset)
{
	u64 p;

	/* The pattern as it falls at dst. */
	offset = (offset & 7) * 8;
	p = offset ? pattern >> offset | pattern << (64 - offset) : pattern;
	for (; n >= 8; n -= 8, dst += 8)
		memcpy(dst, &p, 8);
	for (; n; n--, dst++, p >>= 8)
		*dst = (u8)p;
}

/* Out of line: a hit has no use for all that. dma_lock held; NULL: s has why. */
__attribute__((noinline))
static const struct soft_tlb *translate_slow(struct dma *d, struct soft_attach *att, u64 iova,
					     bool write, struct stop *s)
{
	struct soft_access access = { .iova = iova, .pasid = d->pasid, .write = write };
	struct soft_miss miss = { .has_event = false };
	const struct soft_tlb *t;

	t = soft_translate_slow(d->rq, att, &access, &miss);
	if (miss.has_event) {
		s->events[s->nr_events++] = miss.event;
		s->serial = att->serial;
	}
	if (t)
		return t;
	s->err = -EFAULT;
	s->fault.reason = miss.reason;
	s->fault.iova = iova;
	s->fault.write = write;
	s->table_gone = miss.table_gone;
	return NULL;
}

/* Where iova leads, and for how many bytes; under dma_lock. */
static bool translate(struct dma *d, struct soft_attach *att, u64 iova, bool write, u64 *addr, size_t *n,
		      struct stop *s)
{
	const struct soft_tlb *t = soft_translate(d->rq, att, d->pasid, iova, write);

	if (unlikely(!t)) {
		t = translate_slow(d, att, iova, write, s);
		if (!t)
			return false;
	}
	*addr = t->addr + (iova - t->start);
	*n = min(*n, t->last - iova + 1);
	if (unlikely(t->prot & PT_MMIO))
		s->mmio = true;
	if (unlikely(att->dom->parent))
		s->gpa = t->prot & PT_SINK ? NO_GPA : t->gpa + (iova - t->start);
	return true;
}

/* One leaf's worth, or less: *n bytes at dst and src. False: stopped. */
static inline bool step(struct dma *d, struct soft_attach *att, size_t done, u64 *dst, u64 *src, size_t *n,
			struct stop *s)
{
	*dst = d->dst + done;
	*src = d->src + done;
	s->mmio = false;
	s->nr_events = 0;
	if (d->src_iova && !translate(d, att, *src, false, src, n, s))
		return false;
	if (d->dst_iova && !translate(d, att, *dst, true, dst, n, s))
		return false;
	if (unlikely(d->slow)) {
		*n = min(*n, SV_PAGE_SIZE - *dst % SV_PAGE_SIZE);
		if (!d->fill)
			*n = min(*n, SV_PAGE_SIZE - *src % SV_PAGE_SIZE);
	}
	return true;
}

/* What has been written to, for migration: by IOVA, in a nested domain by the parent's. */
static void mark_dirty(struct dma *d, struct soft_attach *att, u64 iova, size_t n)
{
	struct soft_domain *dom = att->dom->parent ? att->dom->parent : att->dom;
	struct dirty_map *map = __atomic_load_n(&dom->dirty, __ATOMIC_ACQUIRE);

	if (unlikely(map) && d->dst_iova && n && iova != NO_GPA)
		soft_dirty_mark(map, iova, n);
}

/* And for whoever asked about this requester, by its own addresses. */
static inline void log_written(struct dma *d, size_t pos, size_t n)
{
	struct iommu_dma_log *log = __atomic_load_n(&d->dev->dma_log, __ATOMIC_ACQUIRE);

	if (unlikely(log) && d->dst_iova && n)
		log->written(log, d->dst + pos, n);
}

/*
 * dma_lock held; moves from *pos on, at most to end, as far as it is plain memory. A fault of the
 * host leaves *pos before the bytes that were being moved.
 */
static void run_memory(struct dma *d, struct soft_attach *att, volatile size_t *pos, size_t end,
		       struct stop *s)
{
	const bool nested = att->dom->parent;
	struct sv_guard g;

	if (sv_guard_enter(&g)) {
		s->err = -EFAULT;
		s->fault.reason = IOMMU_FAULT_BUS;
		s->addr = (u64)g.addr;
		return;
	}
	while (*pos < end) {
		size_t done = *pos, n = end - done;
		u64 dst, src;

		if (!step(d, att, done, &dst, &src, &n, s) || s->mmio)
			break;
		SV_POINT((void *)dst, true);
		if (d->fill)
			fill_bytes((u8 *)dst, n, d->pattern, d->dst + done - d->origin);
		else
			copy_bytes((void *)dst, (const void *)src, n);
		if (unlikely(nested))
			mark_dirty(d, att, s->gpa, n);
		*pos = done + n;
		if (unlikely(s->nr_events))
			break;
	}
	sv_guard_leave(&g);
}

__thread bool iommu_dma_at_registers __attribute__((tls_model("initial-exec")));

/* Both ends of at most MMIO_PIECE bytes, each registers or memory. 0 or -errno. */
static int move_registers(struct dma *d, u64 dst, u64 src, size_t n, u64 offset)
{
	u8 bounce[MMIO_PIECE];
	int err = -ENOENT;

	if (d->fill) {
		fill_bytes(bounce, n, d->pattern, offset);
		err = 0;
	} else {
		if (d->src_iova)
			err = sv_trap_region_read((void *)src, bounce, n);
		if (err == -ENOENT)
			err = sv_copy_guarded(bounce, (void *)src, n);
	}
	if (err)
		return err;
	err = d->dst_iova ? sv_trap_region_write((void *)dst, bounce, n) : -ENOENT;
	return err == -ENOENT ? sv_copy_guarded((void *)dst, bounce, n) : err;
}

static int move_mmio(struct dma *d, u64 dst, u64 src, size_t n, u64 offset)
{
	int err;

	iommu_dma_at_registers = true;
	err = move_registers(d, dst, src, n, offset);
	iommu_dma_at_registers = false;
	return err;
}

/* dma_lock held: registers, up to the end of MMIO_PIECE; or memory that faulted and may be such. */
static void run_mmio(struct dma *d, struct soft_attach *att, volatile size_t *pos, size_t end,
		     struct stop *s)
{
	size_t done = *pos, n = min(end - done, (size_t)MMIO_PIECE);
	u64 dst, src;

	s->err = 0;
	if (!step(d, att, done, &dst, &src, &n, s))
		return;
	if (move_mmio(d, dst, src, n, d->dst + done - d->origin)) {
		s->err = -EFAULT;
		s->fault.reason = IOMMU_FAULT_BUS;
		s->fault.write = d->dst_iova;
		s->fault.iova = d->dst_iova ? d->dst + done : d->src + done;
		return;
	}
	if (att->dom->parent)
		mark_dirty(d, att, s->gpa, n);
	*pos = done + n;
}

/* In slow mode all of a step is in one page at either end: which one faulted? */
static void locate_bus_fault(struct dma *d, struct soft_attach *att, size_t done, size_t end,
			     struct stop *s)
{
	size_t n = end - done;
	struct stop scratch;
	u64 dst, src;

	stop_init(&scratch, d->pasid);
	s->fault.write = d->dst_iova;
	if (d->src_iova && step(d, att, done, &dst, &src, &n, &scratch) &&
	    ALIGN_DOWN(s->addr, SV_PAGE_SIZE) == ALIGN_DOWN(src, SV_PAGE_SIZE))
		s->fault.write = false;
	s->fault.iova = s->fault.write ? d->dst + done : d->src + done;
}

/* One piece. *pos moves on; the reason why it is not at end, if so. */
static void run_piece(struct dma *d, size_t *pos, size_t end, struct stop *s)
{
	volatile size_t cur = *pos;
	struct soft_attach *att;

	sv_mutex_lock(&d->rq->dma_lock);
	att = soft_attach_find(d->rq, d->pasid);
	if (unlikely(!att || !d->rq->enabled)) {
		s->err = -EFAULT;
		s->fault.reason = IOMMU_FAULT_BLOCKED;
		s->fault.write = d->dst_iova;
		s->fault.iova = d->dst_iova ? d->dst + cur : d->src + cur;
	} else {
		run_memory(d, att, &cur, end, s);
		if (unlikely(s->err && s->fault.reason == IOMMU_FAULT_BUS))
			locate_bus_fault(d, att, cur, end, s);
		if (unlikely(!s->err && cur < end && s->mmio))
			run_mmio(d, att, &cur, end, s);
		/* What a fault has left half-written is written again, or given up and marked. */
		log_written(d, *pos, (s->err ? end : cur) - *pos);
		if (!att->dom->parent)
			mark_dirty(d, att, d->dst + *pos, (s->err ? end : cur) - *pos);
	}
	sv_mutex_unlock(&d->rq->dma_lock);
	*pos = cur;
}

/* Page requests. */

struct soft_fault {
	struct iopf_group group;
	struct list_head waiting;	/* rq->pri_waiting; pri_lock */
	struct soft_attach *att;	/* which one asked; may be gone */
	bool answered;
	u32 code;
};

struct iopf_group *iopf_group_get(struct iopf_group *group)
{
	refcount_inc(&group->refs);
	return group;
}

void iopf_group_put(struct iopf_group *group)
{
	if (refcount_dec_and_test(&group->refs))
		sv_free(container_of(group, struct soft_fault, group));
}

void soft_page_response(struct iommu_dev *dev, struct iopf_group *group, u32 grpid, u32 code)
{
	struct soft_requester *rq = dev->iommu_priv;
	struct soft_fault *f;

	sv_mutex_lock(&rq->pri_lock);
	list_for_each_entry(f, &rq->pri_waiting, waiting) {
		if (f->group.grpid != grpid || f->answered)
			continue;
		f->answered = true;
		f->code = code;
		sv_cond_broadcast(&rq->pri_answer);
		break;
	}
	sv_mutex_unlock(&rq->pri_lock);
}

void iopf_group_response(struct iopf_group *group, u32 code)
{
	group->dev->iommu->page_response(group->dev, group, group->grpid, code);
}

void soft_faults_cancel(struct soft_requester *rq, struct soft_attach *att)
{
	struct soft_fault *f;

	sv_mutex_lock(&rq->pri_lock);
	list_for_each_entry(f, &rq->pri_waiting, waiting) {
		if ((att && f->att != att) || f->answered)
			continue;
		f->answered = true;
		f->code = IOMMUFD_PAGE_RESP_INVALID;
	}
	sv_cond_broadcast(&rq->pri_answer);
	while (att && att->handlers)
		sv_cond_wait(&rq->pri_answer, &rq->pri_lock);
	sv_mutex_unlock(&rq->pri_lock);
}

/* dma_lock held: is there somebody to ask? Then the attachment stays until handed over. */
static struct soft_fault *fault_begin(struct dma *d, const struct stop *s, struct soft_attach **out)
{
	struct soft_requester *rq = d->rq;
	struct soft_attach *att = soft_attach_find(rq, d->pasid);
	struct soft_fault *f;

	if (!d->dev->pri || !__atomic_load_n(&rq->iopf_enabled, __ATOMIC_RELAXED) || !att ||
	    !rq->enabled || !att->dom->d.iopf_handler)
		return NULL;
	f = sv_zalloc(sizeof(*f));
	if (!f)
		return NULL;
	refcount_set(&f->group.refs, 1);
	*out = att;
	f->att = att;
	f->group.dev = d->dev;
	f->group.domain = &att->dom->d;
	f->group.pasid = d->pasid;
	f->group.via_rid = att->by_pasid.start != d->pasid;
	f->group.addr = ALIGN_DOWN(s->fault.iova, SV_PAGE_SIZE);
	f->group.perm = s->fault.write ? IOMMU_PGFAULT_PERM_WRITE : IOMMU_PGFAULT_PERM_READ;
	INIT_LIST_HEAD(&f->group.node);
	sv_mutex_lock(&rq->pri_lock);
	if (rq->pri_off) {
		sv_mutex_unlock(&rq->pri_lock);
		sv_free(f);
		return NULL;
	}
	f->group.grpid = rq->pri_next++;
	list_add_tail(&f->waiting, &rq->pri_waiting);
	att->handlers++;
	sv_mutex_unlock(&rq->pri_lock);
	return f;
}

/* Asks, and waits for the answer. True: it is worth another try. */
static bool fault_ask(struct dma *d, struct stop *s)
{
	struct soft_requester *rq = d->rq;
	struct soft_attach *att;
	struct soft_fault *f;
	bool again;
	int err;

	sv_mutex_lock(&rq->dma_lock);
	f = fault_begin(d, s, &att);
	sv_mutex_unlock(&rq->dma_lock);
	if (!f)
		return false;
	s->asked = true;
	err = f->group.domain->iopf_handler(&f->group);
	sv_mutex_lock(&rq->pri_lock);
	if (!--att->handlers)
		sv_cond_broadcast(&rq->pri_answer);
	while (!err && !f->answered)
		sv_cond_wait(&rq->pri_answer, &rq->pri_lock);
	again = !err && f->code == IOMMUFD_PAGE_RESP_SUCCESS;
	list_del(&f->waiting);
	sv_mutex_unlock(&rq->pri_lock);
	iopf_group_put(&f->group);
	return again;
}

/* Memory that faulted although nobody is moving it: registers that nobody had told us of? */
static bool recover_bus(struct dma *d, struct stop *s, size_t *pos)
{
	struct iommu_dma_fault fault = s->fault;
	volatile size_t cur = *pos;
	struct soft_attach *att;

	sv_mutex_lock(&d->rq->dma_lock);
	att = soft_attach_find(d->rq, d->pasid);
	if (att && d->rq->enabled) {
		run_mmio(d, att, &cur, min(d->len, *pos + 64), s);
		log_written(d, *pos, cur - *pos);
		if (!att->dom->parent)
			mark_dirty(d, att, d->dst + *pos, cur - *pos);
	}
	sv_mutex_unlock(&d->rq->dma_lock);
	if (s->err)
		s->fault = fault;
	*pos = cur;
	return !s->err;
}

/* After a stop, without locks. True: go on. */
static bool recover(struct dma *d, struct stop *s, u64 moves, size_t *pos)
{
	if (s->table_gone && um_settled(moves))
		return true;
	switch (s->fault.reason) {
	case IOMMU_FAULT_BUS:
		/* On its way to another place? */
		if (um_settled(moves))
			return true;
		if (s->mmio)
			return false;
		if (d->slow)
			return recover_bus(d, s, pos);
		/* Up to the page that is it. */
		d->slow = true;
		return true;
	case IOMMU_FAULT_UNMAPPED:
	case IOMMU_FAULT_PERMISSION:
		return fault_ask(d, s);
	default:
		return false;
	}
}

/*
 * What s has for the guest, if it is still about what is attached. A page request that was refused
 * is no event: the guest knows.
 */
static void report_events(struct dma *d, const struct stop *s)
{
	struct soft_requester *rq = d->rq;
	struct soft_attach *att;

	if (likely(!s->nr_events) || s->asked)
		return;
	sv_mutex_lock(&rq->dma_lock);
	att = soft_attach_find(rq, d->pasid);
	if (att && att->serial != s->serial)
		att = NULL;
	if (att) {
		sv_mutex_lock(&rq->pri_lock);
		att->handlers++;
		sv_mutex_unlock(&rq->pri_lock);
	}
	sv_mutex_unlock(&rq->dma_lock);
	if (!att)
		return;
	for (u32 i = 0; i < s->nr_events; i++)
		att->dom->s1->report(att, &s->events[i]);
	sv_mutex_lock(&rq->pri_lock);
	if (!--att->handlers)
		sv_cond_broadcast(&rq->pri_answer);
	sv_mutex_unlock(&rq->pri_lock);
}

static int run(struct dma *d, struct iommu_dma_fault *fault)
{
	size_t pos = 0;

	d->rq = d->dev->iommu_priv;
	while (pos < d->len) {
		u64 moves = um_moves();
		struct stop s;

		stop_init(&s, d->pasid);
		run_piece(d, &pos, min(d->len, pos + IOMMU_DMA_PIECE), &s);
		if (likely(!s.err)) {
			report_events(d, &s);
			continue;
		}
		if (recover(d, &s, moves, &pos)) {
			if (!s.err)
				report_events(d, &s);
			continue;
		}
		report_events(d, &s);
		iommu_report_dma_fault(d->dev, &s.fault);
		if (fault)
			*fault = s.fault;
		return -EFAULT;
	}
	return 0;
}

int iommu_dma_read(struct iommu_dev *dev, u32 pasid, void *dst, u64 iova, size_t len,
		   struct iommu_dma_fault *fault)
{
	struct dma d = {
		.dev = dev, .pasid = pasid, .dst = (u64)dst, .src = iova, .src_iova = true, .len = len,
	};

	return run(&d, fault);
}

int iommu_dma_write(struct iommu_dev *dev, u32 pasid, u64 iova, const void *src, size_t len,
		    struct iommu_dma_fault *fault)
{
	struct dma d = {
		.dev = dev, .pasid = pasid, .dst = iova, .src = (u64)src, .dst_iova = true, .len = len,
	};

	return run(&d, fault);
}

int iommu_dma_copy(struct iommu_dev *dev, u32 pasid, u64 dst, u64 src, size_t len,
		   struct iommu_dma_fault *fault)
{
	struct dma d = {
		.dev = dev, .pasid = pasid, .dst = dst, .src = src, .dst_iova = true, .src_iova = true,
		.len = len,
	};

	return run(&d, fault);
}

int iommu_dma_fill(struct iommu_dev *dev, u32 pasid, u64 iova, u64 pattern, size_t len,
		   struct iommu_dma_fault *fault)
{
	struct dma d = {
		.dev = dev, .pasid = pasid, .dst = iova, .dst_iova = true, .fill = true,
		.pattern = pattern, .origin = iova, .len = len,
	};

	return run(&d, fault);
}

void iommu_dma_enable(struct iommu_dev *dev, bool on)
{
	struct soft_requester *rq = dev->iommu_priv;

	sv_mutex_lock(&rq->dma_lock);
	rq->enabled = on;
	sv_mutex_unlock(&rq->dma_lock);
	if (!on)
		soft_faults_cancel(rq, NULL);
}

void iommu_dma_page_requests(struct iommu_dev *dev, bool on)
{
	struct soft_requester *rq = dev->iommu_priv;

	sv_mutex_lock(&rq->pri_lock);
	rq->pri_off += on ? -1u : 1u;
	sv_mutex_unlock(&rq->pri_lock);
	if (!on)
		soft_faults_cancel(rq, NULL);
}

void iommu_dma_set_log(struct iommu_dev *dev, struct iommu_dma_log *log)
{
	struct soft_requester *rq = dev->iommu_priv;

	sv_mutex_lock(&rq->dma_lock);
	__atomic_store_n(&dev->dma_log, log, __ATOMIC_RELEASE);
	sv_mutex_unlock(&rq->dma_lock);
}

void iommu_report_dma_fault(struct iommu_dev *dev, const struct iommu_dma_fault *fault)
{
	static const char *const reasons[] = { "not mapped", "no permission", "no memory", "blocked" };
	static u64 last;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (__atomic_exchange_n(&last, (u64)ts.tv_sec, __ATOMIC_RELAXED) == (u64)ts.tv_sec)
		return;
	sv_info("%s: DMA %s of %#llx (PASID %u): %s", dev_name(&dev->dev),
		fault->write ? "write" : "read", (unsigned long long)fault->iova, fault->pasid,
		reasons[fault->reason]);
}
