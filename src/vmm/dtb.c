/* SPDX-License-Identifier: MIT */
#include "vmm/dtb.h"

#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/report.h"
#include "vmm/vmm.h"

/* Phandles: 1 + h is hart h's interrupt controller. */
#define PHANDLE_INTC(h)	(1 + (h))
#define PHANDLE_PLIC(n)	(1 + (n))
#define IRQ_S_EXTERNAL	9
#define PCI_RANGE_MMIO32 0x02000000
#define PCI_RANGE_MMIO64 0x03000000

size_t dtb_size(const struct dtb_info *info)
{
	return 16384 + (info->bootargs ? strlen(info->bootargs) : 0) +
	       info->nr_harts * (512 + 2 * DTB_MAX_ISA);
}

/* libfdt's errors are collected: the first one is the result. */
struct dtb_writer {
	void *fdt;
	int err;
};

static void w_check(struct dtb_writer *w, int err)
{
	if (err && !w->err)
		w->err = err;
}

static void w_begin(struct dtb_writer *w, const char *name)
{
	w_check(w, fdt_begin_node(w->fdt, name));
}

static void sv_printf(2, 3) w_beginf(struct dtb_writer *w, const char *fmt, ...)
{
	char name[48];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	w_begin(w, name);
}

static void w_end(struct dtb_writer *w)
{
	w_check(w, fdt_end_node(w->fdt));
}

static void w_u32(struct dtb_writer *w, const char *name, u32 v)
{
	w_check(w, fdt_property_u32(w->fdt, name, v));
}

static void w_u64(struct dtb_writer *w, const char *name, u64 v)
{
	w_check(w, fdt_property_u64(w->fdt, name, v));
}

static void w_str(struct dtb_writer *w, const char *name, const char *v)
{
	w_check(w, fdt_property_string(w->fdt, name, v));
}

static void w_data(struct dtb_writer *w, const char *name, const void *v, size_t len)
{
	w_check(w, fdt_property(w->fdt, name, v, len));
}

static void w_cells(struct dtb_writer *w, const char *name, const u32 *v, unsigned int n)
{
	fdt32_t *p = NULL;
	unsigned int i;
	int err = fdt_property_placeholder(w->fdt, name, n * 4, (void **)&p);

	w_check(w, err);
	for (i = 0; !err && i < n; i++)
		p[i] = cpu_to_fdt32(v[i]);
}

static void w_reg(struct dtb_writer *w, u64 base, u64 size)
{
	const u32 cells[] = { base >> 32, base, size >> 32, size };

	w_cells(w, "reg", cells, 4);
}

static void dtb_cpus(struct dtb_writer *w, const struct dtb_info *info)
{
	const char *mmu = info->satp_mode >= 10 ? "riscv,sv57" :
			  info->satp_mode == 9 ? "riscv,sv48" : "riscv,sv39";
	unsigned int h;

	w_begin(w, "cpus");
	w_u32(w, "#address-cells", 1);
	w_u32(w, "#size-cells", 0);
	w_u32(w, "timebase-frequency", info->timebase);
	for (h = 0; h < info->nr_harts; h++) {
		w_beginf(w, "cpu@%x", h);
		w_str(w, "device_type", "cpu");
		w_u32(w, "reg", h);
		w_str(w, "status", "okay");
		w_str(w, "compatible", "riscv");
		w_str(w, "mmu-type", mmu);
		w_str(w, "riscv,isa", info->isa);
		w_str(w, "riscv,isa-base", "rv64i");
		w_data(w, "riscv,isa-extensions", info->isa_list, info->isa_list_len);
		if (info->cbom_size)
			w_u32(w, "riscv,cbom-block-size", info->cbom_size);
		if (info->cboz_size)
			w_u32(w, "riscv,cboz-block-size", info->cboz_size);
		w_begin(w, "interrupt-controller");
		w_u32(w, "#interrupt-cells", 1);
		w_data(w, "interrupt-controller", NULL, 0);
		w_str(w, "compatible", "riscv,cpu-intc");
		w_u32(w, "phandle", PHANDLE_INTC(h));
		w_end(w);
		w_end(w);
	}
	w_end(w);
}

/* Context 2h + 1 is hart h's; the even ones, machine mode's, are connected to nothing. */
static void dtb_plic(struct dtb_writer *w, const struct dtb_info *info)
{
	static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";
	u32 *cells = calloc(info->nr_harts, 16);
	unsigned int h;

	if (!cells) {
		w_check(w, -FDT_ERR_NOSPACE);
		return;
	}
	for (h = 0; h < info->nr_harts; h++) {
		cells[4 * h] = cells[4 * h + 2] = PHANDLE_INTC(h);
		cells[4 * h + 1] = ~0u;
		cells[4 * h + 3] = IRQ_S_EXTERNAL;
	}
	w_beginf(w, "plic@%llx", VMM_PLIC_BASE);
	w_u32(w, "phandle", PHANDLE_PLIC(info->nr_harts));
	w_u32(w, "riscv,ndev", PLIC_NR_SOURCES - 1);
	w_reg(w, VMM_PLIC_BASE, VMM_PLIC_SIZE);
	w_cells(w, "interrupts-extended", cells, 4 * info->nr_harts);
	w_data(w, "interrupt-controller", NULL, 0);
	w_data(w, "compatible", compatible, sizeof(compatible));
	w_u32(w, "#interrupt-cells", 1);
	w_u32(w, "#address-cells", 0);
	w_end(w);
	free(cells);
}

static void dtb_irq(struct dtb_writer *w, const struct dtb_info *info, u32 irq)
{
	w_u32(w, "interrupts", irq);
	w_u32(w, "interrupt-parent", PHANDLE_PLIC(info->nr_harts));
}

static void dtb_pci(struct dtb_writer *w, const struct dtb_info *info)
{
	const u32 high = info->pci_high_base >> 32, low = info->pci_high_base;
	const u32 ranges[] = {
		PCI_RANGE_MMIO32, 0, VMM_PCI_MMIO_BASE, 0, VMM_PCI_MMIO_BASE, 0, VMM_PCI_MMIO_SIZE,
		PCI_RANGE_MMIO64, high, low, high, low, VMM_PCI_HIGH_SIZE >> 32,
		(u32)VMM_PCI_HIGH_SIZE,
	};
	const u32 bus_range[] = { 0, 0xff }, mask[] = { 0x1800, 0, 0, 7 };
	u32 map[PCI_NR_LINES * PCI_NR_LINES * 6], *m = map;
	unsigned int slot, pin;

	for (slot = 0; slot < PCI_NR_LINES; slot++) {
		for (pin = 1; pin <= PCI_NR_LINES; pin++) {
			*m++ = slot << 11;
			*m++ = 0;
			*m++ = 0;
			*m++ = pin;
			*m++ = PHANDLE_PLIC(info->nr_harts);
			*m++ = VMM_IRQ_PCI + (slot + pin - 1) % PCI_NR_LINES;
		}
	}
	w_beginf(w, "pci@%llx", VMM_ECAM_BASE);
	w_str(w, "compatible", "pci-host-ecam-generic");
	w_str(w, "device_type", "pci");
	w_u32(w, "#address-cells", 3);
	w_u32(w, "#size-cells", 2);
	w_u32(w, "#interrupt-cells", 1);
	w_u32(w, "linux,pci-domain", 0);
	w_cells(w, "bus-range", bus_range, 2);
	w_data(w, "dma-coherent", NULL, 0);
	w_reg(w, VMM_ECAM_BASE, VMM_ECAM_SIZE);
	w_cells(w, "ranges", ranges, ARRAY_SIZE(ranges));
	w_cells(w, "interrupt-map-mask", mask, 4);
	w_cells(w, "interrupt-map", map, ARRAY_SIZE(map));
	w_end(w);
}

static void dtb_soc(struct dtb_writer *w, const struct dtb_info *info)
{
	static const char finisher[] = "sifive,test1\0sifive,test0\0syscon";

	w_begin(w, "soc");
	w_u32(w, "#address-cells", 2);
	w_u32(w, "#size-cells", 2);
	w_str(w, "compatible", "simple-bus");
	w_data(w, "ranges", NULL, 0);
	dtb_plic(w, info);

	w_beginf(w, "serial@%llx", VMM_UART_BASE);
	w_str(w, "compatible", "ns16550a");
	w_reg(w, VMM_UART_BASE, 0x100);
	w_u32(w, "clock-frequency", VMM_UART_CLOCK);
	dtb_irq(w, info, VMM_IRQ_UART);
	w_end(w);

	w_beginf(w, "rtc@%llx", VMM_RTC_BASE);
	w_str(w, "compatible", "google,goldfish-rtc");
	w_reg(w, VMM_RTC_BASE, 0x1000);
	dtb_irq(w, info, VMM_IRQ_RTC);
	w_end(w);

	w_beginf(w, "test@%llx", VMM_FINISHER_BASE);
	w_data(w, "compatible", finisher, sizeof(finisher));
	w_reg(w, VMM_FINISHER_BASE, 0x1000);
	w_end(w);

	dtb_pci(w, info);
	w_end(w);
}

static void dtb_chosen(struct dtb_writer *w, const struct dtb_info *info)
{
	char path[48];
	u8 seed[32];
	u64 kaslr;

	w_begin(w, "chosen");
	snprintf(path, sizeof(path), "/soc/serial@%llx", VMM_UART_BASE);
	w_str(w, "stdout-path", path);
	if (info->bootargs)
		w_str(w, "bootargs", info->bootargs);
	if (info->initrd_end > info->initrd_start) {
		w_u64(w, "linux,initrd-start", info->initrd_start);
		w_u64(w, "linux,initrd-end", info->initrd_end);
	}
	/* Up to 256 bytes getrandom(2) gives all or, on a kernel without it, nothing. */
	if (getrandom(seed, sizeof(seed), 0) == sizeof(seed) &&
	    getrandom(&kaslr, sizeof(kaslr), 0) == sizeof(kaslr)) {
		w_data(w, "rng-seed", seed, sizeof(seed));
		w_u64(w, "kaslr-seed", kaslr);
	}
	w_end(w);
}

int dtb_build(const struct dtb_info *info, void *buf, size_t size)
{
	struct dtb_writer w = { .fdt = buf };

	w_check(&w, fdt_create(buf, size));
	w_check(&w, fdt_finish_reservemap(buf));
	w_begin(&w, "");
	w_u32(&w, "#address-cells", 2);
	w_u32(&w, "#size-cells", 2);
	w_str(&w, "compatible", "riscv-virtio");
	w_str(&w, "model", "softvirt");
	dtb_chosen(&w, info);
	w_beginf(&w, "memory@%llx", VMM_RAM_BASE);
	w_str(&w, "device_type", "memory");
	w_reg(&w, VMM_RAM_BASE, info->mem_size);
	w_end(&w);
	dtb_cpus(&w, info);
	dtb_soc(&w, info);
	w_end(&w);
	w_check(&w, fdt_finish(buf));
	if (!w.err)
		return 0;
	return w.err == -FDT_ERR_NOSPACE ? -ENOSPC : -EINVAL;
}

/* --- --dump-dtb ------------------------------------------------------------------------- */

static int dtb_write_all(int fd, const void *dtb, size_t len)
{
	while (len) {
		ssize_t n = write(fd, dtb, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		dtb = (const u8 *)dtb + n;
		len -= n;
	}
	return 0;
}

/* Beside the file and renamed over it, so that there is never half a tree. */
static int dtb_replace(const void *dtb, size_t len, const char *name)
{
	size_t size = strlen(name) + 16;
	char *tmp = malloc(size);
	mode_t mask;
	int fd, err;

	if (!tmp)
		return -ENOMEM;
	snprintf(tmp, size, "%s.XXXXXX", name);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		free(tmp);
		return err;
	}
	err = dtb_write_all(fd, dtb, len);
	mask = umask(0);
	umask(mask);
	if (!err && fchmod(fd, 0666 & ~mask))
		err = -errno;
	/* Some file systems tell at the end only. */
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(tmp, name))
		err = -errno;
	if (err)
		unlink(tmp);
	free(tmp);
	return err;
}

int dtb_dump(const void *dtb, const char *name)
{
	size_t len = fdt_totalsize(dtb);
	struct stat st;
	int err, fd;

	if (!stat(name, &st) && !S_ISREG(st.st_mode)) {
		/* A pipe or a device has no half. */
		fd = open(name, O_WRONLY | O_CLOEXEC);
		err = fd < 0 ? -errno : dtb_write_all(fd, dtb, len);
		if (fd >= 0)
			close(fd);
	} else {
		err = dtb_replace(dtb, len, name);
	}
	if (err)
		return vmm_report(err, "cannot write the device tree to '%s': %s; name a file that "
				  "can be written", name, strerror(-err));
	return 0;
}
