/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine that "softvirt boot" runs: a program of the KVM API like any other.
 *
 * The machine's layout is QEMU's riscv "virt" machine's, so that a bare-metal program runs
 * on both.
 *
 * Threads: the main thread (signals, resets, the clock's alarm), one for each vCPU, two for
 * each console, one for each virtio device. Locks: each device's file says which it has. They
 * nest in this order: a virtio device's, the PCI host's, the PLIC's, vmm->lock.
 */
#ifndef SV_VMM_VMM_H
#define SV_VMM_VMM_H

#include <signal.h>

#include "base/sync.h"
#include "base/types.h"
#include "vmm/chardev.h"
#include "vmm/devices.h"
#include "vmm/loop.h"
#include "vmm/mem.h"
#include "vmm/mmio.h"
#include "vmm/pci.h"
#include "vmm/plic.h"
#include "vmm/rtc.h"
#include "vmm/uart.h"

#define VMM_FINISHER_BASE	0x100000ull
#define VMM_RTC_BASE		0x101000ull
#define VMM_PLIC_BASE		0xc000000ull
#define VMM_PLIC_SIZE		0x600000ull
#define VMM_UART_BASE		0x10000000ull
#define VMM_ECAM_BASE		0x30000000ull
#define VMM_ECAM_SIZE		0x10000000ull
#define VMM_PCI_MMIO_BASE	0x40000000ull
#define VMM_PCI_MMIO_SIZE	0x40000000ull
#define VMM_PCI_HIGH_SIZE	0x400000000ull	/* its base is above RAM, at a multiple */
#define VMM_RAM_BASE		0x80000000ull
#define VMM_UART_CLOCK		3686400
#define VMM_IRQ_UART		10
#define VMM_IRQ_RTC		11
#define VMM_IRQ_PCI		32
/* The PLIC's region has room for this many contexts of two for each hart. */
#define VMM_MAX_VCPUS		512
#define VMM_MIN_MEMORY		(4ull << 20)
#define VMM_MAX_DISKS		24
#define VMM_MAX_DEVICES		(VMM_MAX_DISKS + 4)

struct vmm_config {
	const char *kernel;		/* NULL: none is loaded (--dump-dtb only) */
	const char *initrd;
	const char *append;
	const char *console;
	const char *virtio_console;
	const char *dump_dtb;
	const char *disk[VMM_MAX_DISKS];
	unsigned int nr_disks;
	unsigned int smp;
	u64 memory;
	bool net;
	bool stats;
};

/* Why the vCPUs were stopped. The first reason counts. */
enum vmm_action {
	VMM_RUN,
	VMM_EXIT,	/* the guest switched off, or the user left: status says how it ended */
	VMM_RESET,
	VMM_SIGNAL,
	VMM_FAIL,	/* something broke; the message has been printed */
};

struct kvm_run;
struct vmm;

#define VCPU_MAX_EXITS 64

struct vcpu {
	struct vmm *vmm;
	unsigned int id;
	int fd;
	int stats_fd;		/* -1: nobody asked for statistics */
	struct kvm_run *run;
	size_t run_size;
	struct sv_thread thread;
	bool started;
	u64 exits[VCPU_MAX_EXITS];		/* the thread's own while it runs */
	u64 mmio_exits[MMIO_MAX_REGIONS + 1];	/* the last: nothing was there */
	u64 cpu_ns;
};

/* The counters of all runs together, for --stats. */
struct vmm_stats {
	u64 exits[VCPU_MAX_EXITS];
	u64 mmio_exits[MMIO_MAX_REGIONS + 1];
	u64 instructions;
	bool has_instructions;
	u64 tlb_misses;
	bool has_tlb_misses;
	u64 wall_ns;
	u64 vcpu_cpu_ns;
	unsigned int resets;
};

struct vmm {
	const struct vmm_config *cfg;
	int kvm_fd;
	int vm_fd;		/* -1 between two lives of the guest */
	struct guest_mem mem;
	u64 pci_high_base;
	struct vcpu *vcpu;
	unsigned int nr_vcpus;	/* those that exist */
	struct mmio_bus bus;
	struct plic plic;
	struct uart uart;
	struct rtc rtc;
	struct pci_host pci;
	struct device *device[VMM_MAX_DEVICES];
	unsigned int nr_devices;
	struct chardev console, virtio_console;
	bool has_console, has_virtio_console;
	struct loop loop;
	struct loop_source signals;
	struct vmm_stats stats;
	/* The lock covers what follows. */
	struct sv_mutex lock;
	struct sv_cond stopped;
	struct sv_cond woken;	/* for the vCPU that has put the machine to sleep */
	bool wake;		/* something has happened that ends the sleep */
	unsigned int running;	/* vCPU threads inside of their loop */
	enum vmm_action action;
	int status;		/* the process's, if the action ends it */
	bool stop;		/* atomic: vCPUs leave their loop */
};

/*
 * Runs the machine to its end; returns the exit status: 0 after a clean power-off, 1 after
 * one that the guest calls a failure, 2 for input that cannot be used, 128 + n for a signal.
 */
int vmm_main(const struct vmm_config *cfg);
/* Any thread: the vCPUs are to stop, and then this is to happen. */
void vmm_request(struct vmm *vmm, enum vmm_action action, int status);

/* --- vcpu.c: KVM's side ----------------------------------------------------------------- */

/* Opens KVM and checks that it has what the machine needs. */
int vmm_open_kvm(struct vmm *vmm);
/* The VM, its memory and its vCPUs, as after power-on. One line and -errno on failure. */
int vmm_create_vm(struct vmm *vmm);
/* Adds the counters of the vCPUs to vmm->stats and closes everything that vmm_create_vm() made. */
void vmm_destroy_vm(struct vmm *vmm);
/* Hart 0 starts at entry with a0 = 0 and a1 = dtb. */
int vmm_set_boot_state(struct vmm *vmm, u64 entry, u64 dtb);
int vmm_get_reg(struct vcpu *vcpu, u64 id, u64 *val);
int vmm_ioeventfd(void *opaque, u64 addr, int fd, bool attach);
void vmm_set_external_irq(void *opaque, unsigned int hart, bool level);

/* Starts a thread for each vCPU. */
int vcpus_start(struct vmm *vmm);
/* Makes them leave KVM_RUN and end; vcpus_join() waits for it. */
void vcpus_stop(struct vmm *vmm);
bool vcpus_wait(struct vmm *vmm, int timeout_ms);
void vcpus_join(struct vmm *vmm);

/*
 * A suspended machine goes on: input came, the clock's alarm went off, an interrupt line rose.
 * Any thread; takes vmm->lock and nothing else.
 */
void vmm_wake(struct vmm *vmm);

/* --- sbi.c: calls that KVM leaves to the VMM -------------------------------------------- */

void vcpu_sbi_exit(struct vcpu *vcpu);

/* --- stats.c ---------------------------------------------------------------------------- */

void vmm_stats_collect(struct vmm *vmm, struct vcpu *vcpu);
void vmm_stats_print(const struct vmm *vmm);
u64 vmm_now_ns(void);

/* --- finisher.c: SiFive's test device, which ends bare-metal programs -------------------- */

extern const struct mmio_ops finisher_mmio_ops;

#endif
