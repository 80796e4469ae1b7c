/* SPDX-License-Identifier: MIT */
/*
 * Intel I/OAT, 8086:2021 (8086:0b00 for version 3.4): one DMA channel that copies and fills memory,
 * driven by a chain of 64-byte descriptors. Register names are those of Linux's and DPDK's drivers;
 * both find what they expect.
 *
 * Model: a channel is HALTED after a reset or an error, ARMED once it has the address of a chain,
 * ACTIVE while descriptors are to be done, DONE when none are, SUSPENDED on command. DMACOUNT is
 * how many descriptors the driver has issued since CHAINADDR was written (modulo 65536); done
 * counts the same way. After each descriptor that asks for it the address of that descriptor, with
 * the state in its low bits, is written to CHANCMP's address; CHANSTS reads the same. Any error
 * halts the channel and sets a bit in CHANERR.
 *
 * A thread does the work (started with the device). Register accesses come from the program's
 * threads; a reset or suspend waits until the descriptor under way is finished or given up, so that
 * the register shows its effect at the next read, which drivers rely on.
 *
 * CHAINADDR is taken while the channel is not ACTIVE, and starts the count anew, as Linux's driver
 * expects after a suspend; while ACTIVE a write is ignored.
 *
 * Interrupt: a descriptor with int_en or an error raises MSI-X vector 0 once; further ones wait
 * until CHANCTRL.INT_REARM is written.
 *
 * Lock: m, for everything but the descriptor that the thread works on (busy). Innermost but for
 * pci's own; no DMA under it.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/sync.h"
#include "devices/device.h"

enum { CHANSTS_ACTIVE, CHANSTS_DONE, CHANSTS_SUSPENDED, CHANSTS_HALTED, CHANSTS_ARMED };

#define INTRCTRL_MASTER_INT_EN 0x01
#define INTRCTRL_INT_STATUS 0x02
#define INTRCTRL_INT 0x04
#define INTRCTRL_MSIX_VECTOR_CONTROL 0x08

#define CHANCTRL_INT_REARM 0x0001
#define CHANCTRL_ERR_COMPLETION_EN 0x0004
#define CHANCTRL_ANY_ERR_ABORT_EN 0x0008
#define CHANCTRL_ERR_INT_EN 0x0010

#define CHANCMD_START 0x01
#define CHANCMD_APPEND 0x02
#define CHANCMD_SUSPEND 0x04
#define CHANCMD_ABORT 0x08
#define CHANCMD_RESUME 0x10
#define CHANCMD_RESET 0x20

#define CHANERR_SRC_ADDR 0x0001
#define CHANERR_DEST_ADDR 0x0002
#define CHANERR_NEXT_ADDR 0x0004
#define CHANERR_NEXT_DESC_ALIGN 0x0008
#define CHANERR_CHAIN_ADDR_VALUE 0x0010
#define CHANERR_CHANCMD 0x0020
#define CHANERR_READ_DATA 0x0100
#define CHANERR_WRITE_DATA 0x0200
#define CHANERR_CONTROL 0x0400
#define CHANERR_LENGTH 0x0800
#define CHANERR_COMPLETION_ADDR 0x1000

#define DESC_SIZE 64
#define DESC_INT_EN BIT(0)
#define DESC_COMPL_WRITE BIT(3)
#define DESC_NULL BIT(5)
#define DESC_OP_COPY 0x00
#define DESC_OP_FILL 0x01
#define XFERCAP_LOG 20			/* at most 1 MiB for each descriptor */

#define CAP_FILL_BLOCK 0x40
#define BAR_SIZE 0x4000
#define MSIX_TABLE 0x2000
#define MSIX_PBA 0x3000

struct desc {
	u32 size, ctl;
	u64 src, dst, next, user[4];
};
_Static_assert(sizeof(struct desc) == DESC_SIZE, "the hardware's layout, little-endian");

struct ioat {
	struct pci_dev *pdev;
	struct sv_thread thread;
	u64 die_on;			/* halts at its n-th descriptor, 0: never; constant */
	u8 version;			/* constant */

	struct sv_mutex m;
	struct sv_cond work, idle;
	/* Under m. */
	bool quit, busy;
	u32 generation;			/* raised to give up the descriptor under way */
	unsigned state;
	u64 last;			/* address of the last descriptor that was completed */
	u64 next;			/* of the one to do next */
	u16 done, dmacount;
	u64 chainaddr, chancmp;
	u32 chanerr, chanerr_mask;
	u16 chanctrl;
	u8 intrctrl;
	u32 attnstatus;
	bool int_disarmed, int_pending;
	u64 total;			/* descriptors since the reset of the function */
};

static bool has_work(const struct ioat *d)
{
	return (d->state == CHANSTS_ARMED || d->state == CHANSTS_ACTIVE ||
		d->state == CHANSTS_DONE) && d->done != d->dmacount;
}

/* What CHANSTS shows and the completion record says. m held. */
static u64 status(const struct ioat *d)
{
	/* From the doorbell on, whether the thread has taken notice or not. */
	return d->last | (has_work(d) ? CHANSTS_ACTIVE : d->state);
}

/* m held. The vector is raised by the caller when this says so, without m. */
static bool interrupt(struct ioat *d)
{
	d->attnstatus |= 1;
	d->intrctrl |= INTRCTRL_INT_STATUS;
	if (d->int_disarmed) {
		d->int_pending = true;
		return false;
	}
	d->int_disarmed = true;
	return d->intrctrl & (INTRCTRL_MASTER_INT_EN | INTRCTRL_MSIX_VECTOR_CONTROL);
}

static u32 data_error(const struct iommu_dma_fault *f)
{
	if (f->reason == IOMMU_FAULT_BUS)
		return f->write ? CHANERR_WRITE_DATA : CHANERR_READ_DATA;
	return f->write ? CHANERR_DEST_ADDR : CHANERR_SRC_ADDR;
}

/* A bit of CHANERR, or 0. Only the thread, without m. */
static u32 do_transfer(struct ioat *d, const struct desc *desc)
{
	struct iommu_dev *iommu = &d->pdev->iommu;
	unsigned op = desc->ctl >> 24;
	struct iommu_dma_fault fault;
	int err;

	if (op != DESC_OP_COPY && op != DESC_OP_FILL)
		return CHANERR_CONTROL;
	if (desc->ctl & DESC_NULL)
		return 0;
	if (!desc->size || desc->size > 1u << XFERCAP_LOG)
		return CHANERR_LENGTH;
	if (op == DESC_OP_FILL)
		err = iommu_dma_fill(iommu, IOMMU_NO_PASID, desc->dst, desc->src, desc->size, &fault);
	else
		err = iommu_dma_copy(iommu, IOMMU_NO_PASID, desc->dst, desc->src, desc->size, &fault);
	return err ? data_error(&fault) : 0;
}

static u32 do_descriptor(struct ioat *d, u64 addr, struct desc *desc)
{
	if (addr % DESC_SIZE)
		return d->done ? CHANERR_NEXT_DESC_ALIGN : CHANERR_CHAIN_ADDR_VALUE;
	if (iommu_dma_read(&d->pdev->iommu, IOMMU_NO_PASID, desc, addr, sizeof(*desc), NULL))
		return CHANERR_NEXT_ADDR;
	if (d->die_on && d->total + 1 == d->die_on)
		return CHANERR_CHANCMD;
	return do_transfer(d, desc);
}

static u32 write_completion(struct ioat *d, u64 where, u64 value)
{
	return iommu_dma_write(&d->pdev->iommu, IOMMU_NO_PASID, where, &value, sizeof(value), NULL) ?
		CHANERR_COMPLETION_ADDR : 0;
}

/*
 * Does one descriptor. Called with m held and work to do, returns with m held. The result counts
 * only if nobody has reset the channel meanwhile.
 */
static void step(struct ioat *d)
{
	u32 generation = d->generation, error;
	u64 addr = d->next, where = d->chancmp, value;
	struct desc desc = { 0 };
	bool raise = false;

	d->state = CHANSTS_ACTIVE;
	d->busy = true;
	sv_mutex_unlock(&d->m);
	error = do_descriptor(d, addr, &desc);
	sv_mutex_lock(&d->m);
	/* The record is in memory before the register says so. */
	if (generation == d->generation && !error && (desc.ctl & DESC_COMPL_WRITE)) {
		value = addr | ((u16)(d->done + 1) == d->dmacount ? CHANSTS_DONE : CHANSTS_ACTIVE);
		sv_mutex_unlock(&d->m);
		error = write_completion(d, where, value);
		sv_mutex_lock(&d->m);
	}
	if (generation != d->generation)
		goto out;
	d->total++;
	if (error) {
		/*
		 * The reason first, then the record, then the state: whoever sees one finds those
		 * before.
		 */
		d->chanerr |= error;
		if (d->chanctrl & CHANCTRL_ERR_COMPLETION_EN && error != CHANERR_COMPLETION_ADDR) {
			value = d->last | CHANSTS_HALTED;
			sv_mutex_unlock(&d->m);
			write_completion(d, where, value);
			sv_mutex_lock(&d->m);
			if (generation != d->generation)
				goto out;
		}
		d->state = CHANSTS_HALTED;
		if (d->chanctrl & CHANCTRL_ERR_INT_EN)
			raise = interrupt(d);
	} else {
		d->done++;
		d->last = addr;
		d->next = desc.next;
		if (d->state == CHANSTS_ACTIVE && d->done == d->dmacount)
			d->state = CHANSTS_DONE;
		if (desc.ctl & DESC_INT_EN)
			raise = interrupt(d);
	}
out:
	d->busy = false;
	sv_cond_broadcast(&d->idle);
	if (raise) {
		sv_mutex_unlock(&d->m);
		pci_msix_raise(d->pdev, 0);
		sv_mutex_lock(&d->m);
	}
}

static void *channel_thread(void *arg)
{
	struct ioat *d = arg;

	device_thread_self = true;
	sv_mutex_lock(&d->m);
	while (!d->quit) {
		if (has_work(d))
			step(d);
		else
			sv_cond_wait(&d->work, &d->m);
	}
	sv_mutex_unlock(&d->m);
	return NULL;
}

static void wait_idle(struct ioat *d)
{
	while (d->busy)
		sv_cond_wait(&d->idle, &d->m);
}

/* m held. CHANERR stays until the driver has read it and cleared it. */
static void channel_reset(struct ioat *d)
{
	d->generation++;
	wait_idle(d);
	d->state = CHANSTS_HALTED;
	d->done = d->dmacount = 0;
	d->last = d->next = 0;
	d->int_disarmed = d->int_pending = false;
}

static void write_chancmd(struct ioat *d, u8 cmd)
{
	if (device_thread_self)
		return;
	if (cmd & CHANCMD_RESET) {
		channel_reset(d);
		return;
	}
	if (cmd & CHANCMD_ABORT) {
		d->generation++;
		wait_idle(d);
		d->state = CHANSTS_HALTED;
		return;
	}
	if ((cmd & CHANCMD_SUSPEND) && d->state != CHANSTS_HALTED) {
		d->state = CHANSTS_SUSPENDED;
		wait_idle(d);
		/* An error on the way has halted it. */
		if (d->state != CHANSTS_HALTED)
			d->state = CHANSTS_SUSPENDED;
		return;
	}
	if ((cmd & (CHANCMD_RESUME | CHANCMD_START | CHANCMD_APPEND)) &&
	    d->state == CHANSTS_SUSPENDED)
		d->state = CHANSTS_DONE;
}

static void write_chainaddr(struct ioat *d)
{
	if (has_work(d) || d->busy)
		return;
	d->next = d->chainaddr;
	d->done = d->dmacount = 0;
	d->state = CHANSTS_ARMED;
}

/* True: the vector is to be raised. */
static bool write_chanctrl(struct ioat *d, u16 v)
{
	d->chanctrl = v & 0xf1bc;
	if (!(v & CHANCTRL_INT_REARM))
		return false;
	d->int_disarmed = false;
	if (!d->int_pending)
		return false;
	d->int_pending = false;
	return interrupt(d);
}

/* Registers, by offset; the width is the hardware's. */
enum reg {
	REG_CHANCNT = 0x00, REG_XFERCAP = 0x01, REG_GENCTRL = 0x02, REG_INTRCTRL = 0x03,
	REG_ATTNSTATUS = 0x04, REG_VER = 0x08, REG_PERPORTOFFSET = 0x0a, REG_INTRDELAY = 0x0c,
	REG_DEVICE_STATUS = 0x0e, REG_DMA_CAP = 0x10,
	REG_CHANCTRL = 0x80, REG_DMA_COMP = 0x82, REG_CHANCMD = 0x84, REG_DMACOUNT = 0x86,
	REG_CHANSTS = 0x88, REG_CHAINADDR = 0x90, REG_CHANCMP = 0x98, REG_CDAR = 0xa0,
	REG_CHANERR = 0xa8, REG_CHANERR_MASK = 0xac,
};
static const struct { u8 off, width; } regs[] = {
	{ REG_CHANCNT, 1 }, { REG_XFERCAP, 1 }, { REG_GENCTRL, 1 }, { REG_INTRCTRL, 1 },
	{ REG_ATTNSTATUS, 4 }, { REG_VER, 1 }, { REG_PERPORTOFFSET, 2 }, { REG_INTRDELAY, 2 },
	{ REG_DEVICE_STATUS, 2 }, { REG_DMA_CAP, 4 },
	{ REG_CHANCTRL, 2 }, { REG_DMA_COMP, 2 }, { REG_CHANCMD, 1 }, { REG_DMACOUNT, 2 },
	{ REG_CHANSTS, 8 }, { REG_CHAINADDR, 8 }, { REG_CHANCMP, 8 }, { REG_CDAR, 8 },
	{ REG_CHANERR, 4 }, { REG_CHANERR_MASK, 4 },
};

/* m held. peek: without what a read does to the register. */
static u64 reg_read(struct ioat *d, enum reg r, bool peek)
{
	u64 v;

	switch (r) {
	case REG_CHANCNT: return 1;
	case REG_XFERCAP: return XFERCAP_LOG;
	case REG_GENCTRL: return 0;
	case REG_INTRCTRL:
		v = d->intrctrl;
		if ((v & INTRCTRL_INT_STATUS) && (v & INTRCTRL_MASTER_INT_EN))
			v |= INTRCTRL_INT;
		return v;
	case REG_ATTNSTATUS:
		v = d->attnstatus;
		if (!peek) {
			d->attnstatus = 0;
			d->intrctrl &= ~INTRCTRL_INT_STATUS;
		}
		return v;
	case REG_VER: return d->version;
	case REG_DMA_CAP: return CAP_FILL_BLOCK;
	case REG_CHANCTRL: return d->chanctrl | (d->int_disarmed ? CHANCTRL_INT_REARM : 0);
	case REG_DMA_COMP: return 2;
	case REG_DMACOUNT: return d->dmacount;
	case REG_CHANSTS: return status(d);
	case REG_CHAINADDR: return d->chainaddr;
	case REG_CHANCMP: return d->chancmp;
	case REG_CDAR: return d->next;
	case REG_CHANERR: return d->chanerr;
	case REG_CHANERR_MASK: return d->chanerr_mask;
	default: return 0;
	}
}

/* m held; v is the whole register. True: the vector is to be raised. */
static bool reg_write(struct ioat *d, enum reg r, u64 v)
{
	switch (r) {
	case REG_INTRCTRL:
		d->intrctrl = (u8)((d->intrctrl & INTRCTRL_INT_STATUS) |
				   (v & (INTRCTRL_MASTER_INT_EN | INTRCTRL_MSIX_VECTOR_CONTROL)));
		return false;
	case REG_CHANCTRL:
		return write_chanctrl(d, (u16)v);
	case REG_CHANCMD:
		write_chancmd(d, (u8)v);
		break;
	case REG_DMACOUNT:
		d->dmacount = (u16)v;
		break;
	case REG_CHAINADDR:
		d->chainaddr = v;
		write_chainaddr(d);
		return false;
	case REG_CHANCMP:
		d->chancmp = v & ~7ull;
		return false;
	case REG_CHANERR:
		d->chanerr &= ~(u32)v;		/* write 1 to clear */
		return false;
	case REG_CHANERR_MASK:
		d->chanerr_mask = (u32)v;
		return false;
	default:
		return false;
	}
	if (has_work(d))
		sv_cond_signal(&d->work);
	return false;
}

static int ioat_bar_read(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 *val)
{
	struct ioat *d = pdev->priv;

	*val = 0;
	sv_mutex_lock(&d->m);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		u64 start = regs[i].off, end = start + regs[i].width, v;

		if (start >= off + size || end <= off)
			continue;
		v = reg_read(d, (enum reg)start, start < off);
		*val |= start >= off ? v << (start - off) * 8 : v >> (off - start) * 8;
	}
	sv_mutex_unlock(&d->m);
	if (size < 8)
		*val &= BIT(size * 8) - 1;
	return 0;
}

static int ioat_bar_write(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 val)
{
	struct ioat *d = pdev->priv;
	bool raise = false;

	sv_mutex_lock(&d->m);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		u64 start = regs[i].off, end = start + regs[i].width, v, mask;

		if (start >= off + size || end <= off)
			continue;
		/*
		 * The bytes of this register that are written, and the others as they are (0 where
		 * 1 clears).
		 */
		mask = size == 8 ? ~0ull : BIT(size * 8) - 1;
		if (start >= off) {
			v = val >> (start - off) * 8;
			mask >>= (start - off) * 8;
		} else {
			v = val << (off - start) * 8;
			mask <<= (off - start) * 8;
		}
		if (start != REG_CHANERR)
			v = (v & mask) | (reg_read(d, (enum reg)start, true) & ~mask);
		else
			v &= mask;
		if (regs[i].width < 8)
			v &= BIT(regs[i].width * 8) - 1;
		raise |= reg_write(d, (enum reg)start, v);
	}
	sv_mutex_unlock(&d->m);
	if (raise)
		pci_msix_raise(pdev, 0);
	return 0;
}

static void ioat_reset(struct pci_dev *pdev, enum pci_reset_kind kind)
{
	struct ioat *d = pdev->priv;

	sv_mutex_lock(&d->m);
	channel_reset(d);
	d->chainaddr = d->chancmp = 0;
	d->chanerr = d->chanerr_mask = 0;
	d->chanctrl = 0;
	d->intrctrl = 0;
	d->attnstatus = 0;
	d->total = 0;
	sv_mutex_unlock(&d->m);
}

static void ioat_destroy(struct pci_dev *pdev)
{
	struct ioat *d = pdev->priv;

	sv_mutex_lock(&d->m);
	d->quit = true;
	d->generation++;
	sv_cond_broadcast(&d->work);
	sv_mutex_unlock(&d->m);
	sv_thread_join(&d->thread);
	sv_free(d);
}

static const struct pci_dev_ops ioat_ops = {
	.name = "ioat",
	.bar_read = ioat_bar_read,
	.bar_write = ioat_bar_write,
	.reset = ioat_reset,
	.destroy = ioat_destroy,
};

/*
 * version=3.2, 3.3 (Skylake, the default) or 3.4 (Ice Lake, of which DPDK expects error reports).
 */
static bool parse_version(struct device_args *args, struct ioat *d)
{
	const char *s = device_option(args, "version");

	d->version = 0x33;
	if (!s || !strcmp(s, "3.3"))
		return true;
	if (!strcmp(s, "3.2")) {
		d->version = 0x32;
	} else if (!strcmp(s, "3.4")) {
		d->version = 0x34;
	} else {
		device_fail(args, "version=%.20s: must be 3.2, 3.3 or 3.4", s);
		return false;
	}
	return true;
}

static struct pci_dev *ioat_create(struct device_args *args)
{
	struct pci_dev_config cfg = {
		.vendor = 0x8086,
		.device = 0x2021,
		.subsys_vendor = 0x8086,
		.class_code = 0x088000,		/* system peripheral */
		.revision = 4,
		.nr_msix = 1,
		.msix_bar = 0,
		.msix_table_off = MSIX_TABLE,
		.msix_pba_off = MSIX_PBA,
		.bars = { { .kind = PCI_BAR_REGS, .mem64 = true, .size = BAR_SIZE } },
	};
	struct pci_dev *pdev;
	struct ioat *d;
	int err;

	d = sv_zalloc(sizeof(*d));
	if (!d)
		goto no_memory;
	if (!device_option_number(args, "die-on", 1, ~0ull, &d->die_on) || !parse_version(args, d)) {
		sv_free(d);
		return ERR_PTR(-EINVAL);
	}
	if (d->version == 0x34)
		cfg.device = 0x0b00;
	sv_mutex_init(&d->m);
	sv_cond_init(&d->work);
	sv_cond_init(&d->idle);
	d->state = CHANSTS_HALTED;
	pdev = pci_dev_create(&cfg, &ioat_ops, d);
	if (IS_ERR(pdev)) {
		sv_free(d);
		goto no_memory;
	}
	d->pdev = pdev;
	err = sv_thread_create(&d->thread, "ioat", channel_thread, d);
	if (err) {
		device_fail(args, "no thread for the channel");
		pci_dev_destroy(pdev);
		sv_free(d);
		return ERR_PTR(err);
	}
	return pdev;

no_memory:
	device_fail(args, "out of memory");
	return ERR_PTR(-ENOMEM);
}

const struct device_type device_ioat = {
	.name = "ioat",
	.help = "version=3.2|3.3|3.4, die-on=N",
	.create = ioat_create,
};
