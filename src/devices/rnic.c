/* SPDX-License-Identifier: MIT */
/*
 * A small RDMA function, 1234:52a1: memory regions over a dma-buf or over memory by IOVA, and reads
 * and writes between two of them, of this function or of another one. For programs that want to see
 * how an importer of each kind meets a revoke (docs/devices.md).
 *
 * Model: a work queue and a completion queue in memory, rings of entries. The driver writes entries
 * and rings SQ_TAIL; the device's thread takes one after the other and writes a completion for
 * each, with a phase that tells new ones from old ones; it waits while the completion queue is
 * full. What is wrong with an entry is its completion's status; what is wrong with the queues
 * themselves (their memory can't be reached) is FATAL, and only a reset helps.
 *
 * A file descriptor in an entry names a dma-buf of this process: where a driver in the kernel would
 * look it up for the program.
 *
 * A region over memory by IOVA is one of the function's own address space or of a PASID's. What a
 * work queue entry finds unmapped there is a page request (PRI), answered by whoever holds the
 * address space's fault queue; without one it is an error.
 *
 * Flaky on request: late-unmap=MS, never-unmap, die-on=N (at its N-th entry the device stops
 * answering everybody, until a reset).
 *
 * Locks: m, for registers and queue state; not held while an entry is carried out or memory is
 * touched (busy). Regions have their own (rnic_mr.h).
 */
#include "devices/rnic_regs.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/timer.h"
#include "devices/device.h"
#include "devices/rnic_mr.h"

#define BAR_SIZE 0x4000
#define MSIX_TABLE 0x2000
#define MSIX_PBA 0x3000

struct rnic {
	struct pci_dev *pdev;
	struct sv_thread thread;
	struct rnic_mr_table mrs;
	char *bounce;
	u64 die_on;			/* constant */
	bool pasid, pri;		/* the same */

	struct sv_mutex m;
	struct sv_cond work, idle;
	/* Under m. */
	bool quit, busy, poll;
	u32 generation;			/* raised by a reset: what is under way doesn't count */
	u32 ctrl, status;
	u64 sq_base, cq_base;
	u32 sq_log2, cq_log2;
	u32 sq_head, sq_tail, cq_head, cq_tail;
	/* 1 while an entry is worked on: its completion may be seen before both ends have moved. */
	u32 in_flight;
	u64 total;
	u64 next_poll;			/* the thread's */
};

static bool rnic_is_mine(const struct pci_dev *pdev);

static int do_transfer(struct rnic *d, const struct rnic_wqe *w, struct rnic_cqe *c)
{
	bool write = w->op == RNIC_OP_WRITE;
	struct pci_dev *other = NULL;
	struct rnic *peer = d;
	struct rnic_mr *local, *remote;
	int status = RNIC_REMOTE_ACCESS;

	if (w->dest != RNIC_DEST_SELF) {
		other = pci_dev_find((u16)(w->dest >> 16), (u8)(w->dest >> 8), (u8)w->dest);
		if (!other || !rnic_is_mine(other))
			goto put;
		peer = other->priv;
		if (READ_ONCE(peer->mrs.dead))
			goto put;
	}
	local = rnic_mr_get(&d->mrs, w->lkey, w->addr, w->len, write ? 0 : RNIC_ACCESS_LOCAL_WRITE);
	if (!local) {
		status = RNIC_LOCAL_PROTECTION;
		goto put;
	}
	remote = rnic_mr_get(&peer->mrs, w->rkey, w->raddr, w->len,
			     write ? RNIC_ACCESS_REMOTE_WRITE : RNIC_ACCESS_REMOTE_READ);
	if (remote) {
		status = write ?
			rnic_mr_copy(remote, w->raddr, local, w->addr, w->len, d->bounce, &c->value, &c->addr) :
			rnic_mr_copy(local, w->addr, remote, w->raddr, w->len, d->bounce, &c->value, &c->addr);
		rnic_mr_put(remote);
	}
	rnic_mr_put(local);
put:
	if (other)
		pci_dev_put(other);
	return status;
}

static int do_wqe(struct rnic *d, const struct rnic_wqe *w, struct rnic_cqe *c)
{
	switch (w->op) {
	case RNIC_OP_NOP:
		return RNIC_OK;
	case RNIC_OP_REG_USER:
	case RNIC_OP_REG_DMABUF:
		return rnic_mr_register(&d->mrs, w, &c->value);
	case RNIC_OP_DEREG:
		return rnic_mr_deregister(&d->mrs, w->lkey);
	case RNIC_OP_WRITE:
	case RNIC_OP_READ:
		return do_transfer(d, w, c);
	default:
		return RNIC_BAD_OP;
	}
}

static bool has_work(const struct rnic *d)
{
	return (d->status & RNIC_STATUS_ENABLED) && !(d->status & RNIC_STATUS_FATAL) &&
	       d->sq_head != d->sq_tail && d->cq_tail - d->cq_head < 1u << d->cq_log2;
}

/* The body first, then the phase: whoever sees the phase sees the body. */
static bool write_cqe(struct rnic *d, u64 where, const struct rnic_cqe *c)
{
	struct iommu_dev *iommu = &d->pdev->iommu;
	size_t body = offsetof(struct rnic_cqe, phase);

	if (iommu_dma_write(iommu, IOMMU_NO_PASID, where, c, body, NULL))
		return false;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return !iommu_dma_write(iommu, IOMMU_NO_PASID, where + body, &c->phase, sizeof(c->phase), NULL);
}

/* Takes and completes one entry. Called and returns with m held. */
static void step(struct rnic *d)
{
	u64 from = d->sq_base + (u64)(d->sq_head & ((1u << d->sq_log2) - 1)) * sizeof(struct rnic_wqe);
	u64 to = d->cq_base + (u64)(d->cq_tail & ((1u << d->cq_log2) - 1)) * sizeof(struct rnic_cqe);
	struct rnic_cqe c = { .phase = !(d->cq_tail >> d->cq_log2 & 1) };
	u32 generation = d->generation;
	struct rnic_wqe w;
	bool fatal, dies;

	dies = d->die_on && ++d->total == d->die_on;
	d->busy = true;
	d->in_flight = 1;
	sv_mutex_unlock(&d->m);
	if (dies)
		WRITE_ONCE(d->mrs.dead, true);
	fatal = dies || iommu_dma_read(&d->pdev->iommu, IOMMU_NO_PASID, &w, from, sizeof(w), NULL);
	if (!fatal) {
		c.id = w.id;
		c.op = w.op;
		c.status = (u8)do_wqe(d, &w, &c);
		if (c.status == RNIC_REVOKED)
			c.value = w.lkey;
		fatal = !write_cqe(d, to, &c);
	}
	sv_mutex_lock(&d->m);
	d->busy = false;
	d->in_flight = 0;
	sv_cond_broadcast(&d->idle);
	if (generation != d->generation)
		return;
	if (fatal) {
		d->status |= RNIC_STATUS_FATAL;
		return;
	}
	d->sq_head++;
	d->cq_tail++;
	if (w.flags & RNIC_WQE_INTERRUPT) {
		sv_mutex_unlock(&d->m);
		pci_msix_raise(d->pdev, 0);
		sv_mutex_lock(&d->m);
	}
}

/* Called and returns with m held. */
static void poll_late(struct rnic *d)
{
	u64 next;

	d->poll = false;
	d->busy = true;
	sv_mutex_unlock(&d->m);
	next = READ_ONCE(d->mrs.dead) ? ~0ull : rnic_mr_table_poll(&d->mrs);
	sv_mutex_lock(&d->m);
	d->busy = false;
	d->next_poll = next;
	sv_cond_broadcast(&d->idle);
}

static void *device_thread(void *arg)
{
	struct rnic *d = arg;

	device_thread_self = true;
	sv_mutex_lock(&d->m);
	while (!d->quit) {
		if (d->poll || d->next_poll <= sv_now_ns())
			poll_late(d);
		else if (has_work(d))
			step(d);
		else
			(void)sv_cond_wait_until(&d->work, &d->m, d->next_poll);
	}
	sv_mutex_unlock(&d->m);
	return NULL;
}

/* A region will unmap late: from mr_invalidate, with its locks held; m comes after them. */
static void rnic_late(void *arg)
{
	struct rnic *d = arg;

	sv_mutex_lock(&d->m);
	d->poll = true;
	sv_cond_signal(&d->work);
	sv_mutex_unlock(&d->m);
}

/*
 * Until the entry under way has ended, which doesn't wait for an answer to a page request any more: who
 * is here may be who answers. m held.
 */
static void wait_idle(struct rnic *d)
{
	iommu_dma_page_requests(&d->pdev->iommu, false);
	while (d->busy)
		sv_cond_wait(&d->idle, &d->m);
	iommu_dma_page_requests(&d->pdev->iommu, true);
}

/* The state after power-on. No lock held: deregistering takes reservation locks. */
static void device_reset(struct rnic *d)
{
	sv_mutex_lock(&d->m);
	d->generation++;
	d->status = d->ctrl = 0;
	wait_idle(d);
	d->sq_base = d->cq_base = 0;
	d->sq_log2 = d->cq_log2 = 0;
	d->sq_head = d->sq_tail = d->cq_head = d->cq_tail = 0;
	d->total = 0;
	sv_mutex_unlock(&d->m);
	WRITE_ONCE(d->mrs.dead, false);
	rnic_mr_deregister_all(&d->mrs);
}

static bool is_base(u64 off)
{
	return off - RNIC_REG_SQ_BASE < 8 || off - RNIC_REG_CQ_BASE < 8;
}

static u32 reg_read(struct rnic *d, u64 off)
{
	switch (off) {
	case RNIC_REG_ID: return RNIC_ID;
	case RNIC_REG_VERSION: return 1;
	case RNIC_REG_CTRL: return d->ctrl;
	case RNIC_REG_STATUS: return d->status;
	case RNIC_REG_SQ_BASE: return (u32)d->sq_base;
	case RNIC_REG_SQ_BASE + 4: return (u32)(d->sq_base >> 32);
	case RNIC_REG_SQ_LOG2: return d->sq_log2;
	case RNIC_REG_SQ_TAIL: return d->sq_tail;
	case RNIC_REG_CQ_BASE: return (u32)d->cq_base;
	case RNIC_REG_CQ_BASE + 4: return (u32)(d->cq_base >> 32);
	case RNIC_REG_CQ_LOG2: return d->cq_log2;
	case RNIC_REG_CQ_HEAD: return d->cq_head;
	case RNIC_REG_SQ_HEAD: return d->sq_head;
	case RNIC_REG_CQ_TAIL: return d->cq_tail;
	case RNIC_REG_NR_MRS: return READ_ONCE(d->mrs.nr);
	default: return 0;
	}
}

static void set_half(u64 *v, bool high, u32 half)
{
	*v = high ? (*v & 0xffffffffull) | (u64)half << 32 : (*v & ~0xffffffffull) | half;
}

/* m held. The queues' places can change only while the device is off. */
static void reg_write(struct rnic *d, u64 off, u32 v)
{
	bool off_now = !(d->status & RNIC_STATUS_ENABLED);

	switch (off) {
	case RNIC_REG_CTRL:
		d->ctrl = v & RNIC_CTRL_ENABLE;
		if (d->ctrl && d->sq_base && d->cq_base)
			d->status |= RNIC_STATUS_ENABLED;
		else
			d->status &= ~(u32)RNIC_STATUS_ENABLED;
		break;
	case RNIC_REG_SQ_TAIL:
		/* More than the ring holds would be entries never written. */
		if (v - d->sq_head <= (1u << d->sq_log2) + d->in_flight)
			d->sq_tail = v;
		break;
	case RNIC_REG_CQ_HEAD:
		if (d->cq_tail + d->in_flight - v <= (1u << d->cq_log2) + d->in_flight)
			d->cq_head = v;
		break;
	case RNIC_REG_SQ_BASE: case RNIC_REG_SQ_BASE + 4:
		if (off_now)
			set_half(&d->sq_base, off & 4, v);
		break;
	case RNIC_REG_CQ_BASE: case RNIC_REG_CQ_BASE + 4:
		if (off_now)
			set_half(&d->cq_base, off & 4, v);
		break;
	case RNIC_REG_SQ_LOG2:
		if (off_now && v <= RNIC_QUEUE_LOG2_MAX)
			d->sq_log2 = v;
		break;
	case RNIC_REG_CQ_LOG2:
		if (off_now && v <= RNIC_QUEUE_LOG2_MAX)
			d->cq_log2 = v;
		break;
	default:
		break;
	}
	sv_cond_signal(&d->work);
}

static bool size_ok(u64 off, unsigned size)
{
	return size == 4 || (size == 8 && is_base(off));
}

static int rnic_bar_read(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 *val)
{
	struct rnic *d = pdev->priv;

	*val = ~0ull;
	if (!size_ok(off, size))
		return 0;
	sv_mutex_lock(&d->m);
	*val = reg_read(d, off);
	if (size == 8)
		*val |= (u64)reg_read(d, off + 4) << 32;
	sv_mutex_unlock(&d->m);
	return 0;
}

static int rnic_bar_write(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 val)
{
	struct rnic *d = pdev->priv;

	if (!size_ok(off, size) || (off == RNIC_REG_CTRL && device_thread_self))
		return 0;
	if (off == RNIC_REG_CTRL && (val & RNIC_CTRL_RESET)) {
		device_reset(d);
		return 0;
	}
	sv_mutex_lock(&d->m);
	reg_write(d, off, (u32)val);
	if (size == 8)
		reg_write(d, off + 4, (u32)(val >> 32));
	/* Switched off: the entry under way is finished when the write returns. */
	if (off == RNIC_REG_CTRL && !d->ctrl)
		wait_idle(d);
	sv_mutex_unlock(&d->m);
	return 0;
}

static void rnic_reset(struct pci_dev *pdev, enum pci_reset_kind kind)
{
	device_reset(pdev->priv);
}

static void rnic_free(struct rnic *d)
{
	sv_free(d->bounce);
	sv_free(d);
}

static void rnic_destroy(struct pci_dev *pdev)
{
	struct rnic *d = pdev->priv;

	sv_mutex_lock(&d->m);
	d->quit = true;
	sv_cond_broadcast(&d->work);
	sv_mutex_unlock(&d->m);
	sv_thread_join(&d->thread);
	rnic_mr_deregister_all(&d->mrs);
	rnic_free(d);
}

static const struct pci_dev_ops rnic_ops = {
	.name = "rnic",
	.bar_read = rnic_bar_read,
	.bar_write = rnic_bar_write,
	.reset = rnic_reset,
	.destroy = rnic_destroy,
};

static bool rnic_is_mine(const struct pci_dev *pdev)
{
	return pdev->ops == &rnic_ops;
}

static const struct pci_dev_config rnic_config = {
	.vendor = RNIC_VENDOR,
	.device = RNIC_DEVICE,
	.subsys_vendor = RNIC_VENDOR,
	.subsys = 1,
	.class_code = 0x020700,		/* network controller, InfiniBand */
	.nr_msix = 1,
	.msix_bar = 0,
	.msix_table_off = MSIX_TABLE,
	.msix_pba_off = MSIX_PBA,
	.bars = { { .kind = PCI_BAR_REGS, .mem64 = true, .size = BAR_SIZE } },
};

static bool parse(struct rnic *d, struct device_args *args)
{
	d->pasid = d->pri = true;
	return device_option_bool(args, "pasid", &d->pasid) &&
	       device_option_bool(args, "pri", &d->pri) &&
	       device_option_number(args, "late-unmap", 1, 3600000, &d->mrs.flaky.late_unmap_ms) &&
	       device_option_bool(args, "never-unmap", &d->mrs.flaky.never_unmap) &&
	       device_option_number(args, "die-on", 1, ~0ull, &d->die_on);
}

static struct pci_dev *rnic_create(struct device_args *args)
{
	struct rnic *d = sv_zalloc(sizeof(*d));
	struct pci_dev_config config = rnic_config;
	struct pci_dev *pdev;
	int err = -ENOMEM;

	if (!d)
		goto no_memory;
	if (!parse(d, args)) {
		rnic_free(d);
		return ERR_PTR(-EINVAL);
	}
	config.pasid = d->pasid;
	config.pri = d->pri;
	d->bounce = sv_alloc(RNIC_PIECE);
	pdev = d->bounce ? pci_dev_create(&config, &rnic_ops, d) : ERR_PTR(-ENOMEM);
	if (IS_ERR(pdev)) {
		rnic_free(d);
		goto no_memory;
	}
	sv_mutex_init(&d->m);
	sv_cond_init(&d->work);
	sv_cond_init(&d->idle);
	d->pdev = pdev;
	d->next_poll = ~0ull;
	d->mrs.late = rnic_late;
	d->mrs.late_arg = d;
	rnic_mr_table_init(&d->mrs, &pdev->iommu);
	err = sv_thread_create(&d->thread, "rnic", device_thread, d);
	if (!err)
		return pdev;
	device_fail(args, "no thread for the device");
	pci_dev_destroy(pdev);
	rnic_free(d);
	return ERR_PTR(err);

no_memory:
	device_fail(args, "out of memory");
	return ERR_PTR(-ENOMEM);
}

const struct device_type device_rnic = {
	.name = "rnic",
	.help = "pasid=off, pri=off, late-unmap=MS, never-unmap, die-on=N",
	.create = rnic_create,
};
