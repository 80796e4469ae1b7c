/* SPDX-License-Identifier: MIT */
/*
 * BARs: address space of this process that stands for a device's memory. See pci.h.
 *
 * RAM is a memfd, sealed so that nobody can make it shorter under a mapping; pages appear when
 * they are touched. Registers are inaccessible pages with a trap region over them, so that a
 * peer whose DMA is translated there finds the device's ops (trap_region.h).
 *
 * Each BAR's bus address, which its register shows, is made up: 32-bit ones count up from
 * 0xc0000000, 64-bit ones from 2^40. No two BARs of a process share an address before the
 * window is used up; then they start again, since nothing decodes them.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/libc.h"
#include "base/trap_region.h"
#include "pci/impl.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

#define WINDOW32 0xc0000000ull
#define WINDOW32_END 0x100000000ull
#define WINDOW64 (1ull << 40)
#define WINDOW64_END (1ull << 46)
#define BAR_SIZE_MAX (1ull << 36)	/* 64 GiB */

static struct sv_mutex window_lock = SV_MUTEX_INIT;
static u64 window32 = WINDOW32, window64 = WINDOW64;	/* window_lock */

static bool msix_fits(const struct pci_dev_config *cfg)
{
	const struct pci_bar *b;
	u64 table = cfg->msix_table_off, pba = cfg->msix_pba_off;
	u64 table_len = (u64)cfg->nr_msix * PCI_MSIX_ENTRY_SIZE;

	if (cfg->nr_msix > 64 || cfg->msix_bar >= PCI_NR_BARS)
		return false;
	b = &cfg->bars[cfg->msix_bar];
	if (b->kind != PCI_BAR_REGS || (table | pba) & 7)
		return false;
	if (table + table_len > b->size || pba + 8 > b->size)
		return false;
	/* The two lie apart. */
	return pba + 8 <= table || table + table_len <= pba;
}

int pci_bars_check(const struct pci_dev_config *cfg)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *b = &cfg->bars[i];

		if (b->kind == PCI_BAR_NONE)
			continue;
		if (b->kind != PCI_BAR_RAM && b->kind != PCI_BAR_REGS)
			return -EINVAL;
		if (b->size < SV_PAGE_SIZE || b->size > BAR_SIZE_MAX || (b->size & (b->size - 1)))
			return -EINVAL;
		if (b->mem64 ? i + 1 >= PCI_NR_BARS || cfg->bars[i + 1].kind != PCI_BAR_NONE :
			       b->size > WINDOW32_END - WINDOW32)
			return -EINVAL;
	}
	return cfg->nr_msix && !msix_fits(cfg) ? -EINVAL : 0;
}

static u64 bus_addr_make(const struct pci_bar *b)
{
	u64 *next = b->mem64 ? &window64 : &window32, end = b->mem64 ? WINDOW64_END : WINDOW32_END;
	u64 addr;

	sv_mutex_lock(&window_lock);
	addr = ALIGN_UP(*next, b->size);
	if (addr + b->size > end)
		addr = ALIGN_UP(b->mem64 ? WINDOW64 : WINDOW32, b->size);
	*next = addr + b->size;
	sv_mutex_unlock(&window_lock);
	return addr;
}

/* Peers' accesses to registers, and whoever calls sv_trap_region_read and _write. */
static int trap_read(void *priv, u64 off, unsigned size, u64 *val)
{
	struct pci_bar *b = priv;

	*val = 0;
	return pci_bar_read(b->pdev, (unsigned)(b - b->pdev->bars), off, val, size);
}

static int trap_write(void *priv, u64 off, unsigned size, u64 val)
{
	struct pci_bar *b = priv;

	return pci_bar_write(b->pdev, (unsigned)(b - b->pdev->bars), off, &val, size);
}

static const struct sv_trap_ops trap_ops = { .read = trap_read, .write = trap_write };

static int memfd_make(u64 size)
{
	int fd, err;

	if (SV_FAULT(EMFILE))
		return -errno;
	fd = memfd_create("softvirt:bar", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("softvirt:bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (SV_FAULT(ENOMEM) || ftruncate(fd, (off_t)size) ||
	    sv_libc.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		sv_libc.close(fd);
		return err;
	}
	return fd;
}

static int bar_init(struct pci_bar *b)
{
	bool ram = b->kind == PCI_BAR_RAM;
	void *p;

	if (ram) {
		b->memfd = memfd_make(b->size);
		if (b->memfd < 0)
			return b->memfd;
	}
	p = SV_FAULT(ENOMEM) ? MAP_FAILED :
	    sv_libc.mmap(NULL, b->size, ram ? PROT_READ | PROT_WRITE : PROT_NONE,
			 (ram ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) | MAP_NORESERVE,
			 ram ? b->memfd : -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	b->base = p;
	(void)madvise(p, b->size, MADV_DONTDUMP);
	b->bus_addr = bus_addr_make(b);
	return ram ? 0 : sv_trap_region_add(p, b->size, &trap_ops, b, &b->trap);
}

int pci_bars_init(struct pci_dev *pdev)
{
	int err;

	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *b = &pdev->bars[i];

		*b = pdev->cfg.bars[i];
		b->pdev = pdev;
		b->memfd = -1;
		b->base = NULL;
		b->trap = NULL;
	}
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		if (pdev->bars[i].kind == PCI_BAR_NONE)
			continue;
		err = bar_init(&pdev->bars[i]);
		if (err)
			return err;
	}
	return 0;
}

void pci_bars_hide(struct pci_dev *pdev)
{
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		if (pdev->bars[i].trap)
			sv_trap_region_remove(pdev->bars[i].trap);
		pdev->bars[i].trap = NULL;
	}
}

void pci_bars_fini(struct pci_dev *pdev)
{
	pci_bars_hide(pdev);
	for (unsigned i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *b = &pdev->bars[i];

		if (b->base)
			munmap(b->base, b->size);
		if (b->memfd >= 0)
			sv_libc.close(b->memfd);
	}
}

/* The largest naturally aligned access at off that fits into len. */
static unsigned access_size(u64 off, size_t len)
{
	for (unsigned size = 8; size > 1; size /= 2)
		if (IS_ALIGNED(off, (u64)size) && len >= size)
			return size;
	return 1;
}

static struct pci_bar *bar_check(struct pci_dev *pdev, unsigned bar, u64 off, size_t len)
{
	struct pci_bar *b = bar < PCI_NR_BARS ? &pdev->bars[bar] : NULL;

	if (!b || b->kind == PCI_BAR_NONE || off > b->size || len > b->size - off)
		return NULL;
	return b;
}

int pci_bar_read(struct pci_dev *pdev, unsigned bar, u64 off, void *dst, size_t len)
{
	struct pci_bar *b = bar_check(pdev, bar, off, len);
	u8 *p = dst;
	u64 val;

	if (!b)
		return -EINVAL;
	if (!pci_memory_on(pdev))
		return -EIO;
	if (b->kind == PCI_BAR_RAM)
		return sv_copy_guarded(dst, (u8 *)b->base + off, len) ? -EIO : 0;
	while (len) {
		unsigned size = access_size(off, len);

		if (!pci_msix_bar_read(pdev, bar, off, size, &val)) {
			val = 0;
			/* A bus that nobody answers on reads as ones. */
			if (!pdev->ops->bar_read || pdev->ops->bar_read(pdev, bar, off, size, &val))
				val = ~0ull;
		}
		for (unsigned i = 0; i < size; i++)
			p[i] = (u8)(val >> (8 * i));
		p += size;
		off += size;
		len -= size;
	}
	return 0;
}

int pci_bar_write(struct pci_dev *pdev, unsigned bar, u64 off, const void *src, size_t len)
{
	struct pci_bar *b = bar_check(pdev, bar, off, len);
	const u8 *p = src;

	if (!b)
		return -EINVAL;
	if (!pci_memory_on(pdev))
		return -EIO;
	if (b->kind == PCI_BAR_RAM)
		return sv_copy_guarded((u8 *)b->base + off, src, len) ? -EIO : 0;
	while (len) {
		unsigned size = access_size(off, len);
		u64 val = 0;

		for (unsigned i = 0; i < size; i++)
			val |= (u64)p[i] << (8 * i);
		/* An error of a posted write has nobody to go to. */
		if (!pci_msix_bar_write(pdev, bar, off, size, val) && pdev->ops->bar_write)
			(void)pdev->ops->bar_write(pdev, bar, off, size, val);
		p += size;
		off += size;
		len -= size;
	}
	return 0;
}
