/* SPDX-License-Identifier: MIT */
/*
 * The machine's life: what is made once (memory, devices, consoles), what is made anew after
 * each reset (the VM, its vCPUs, the contents of memory), and the end.
 *
 * A reset takes the VM down and makes another: all of the guest's state is KVM's or a
 * device's, and both have a power-on state. What the host sees of the machine (its disks, the
 * console, the network's address) stays.
 */
#include "vmm/vmm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "softvirt/softvirt.h"
#include "softvirt/uapi/kvm.h"
#include "softvirt/uapi/kvm_riscv.h"
#include "vmm/dtb.h"
#include "vmm/isa.h"
#include "vmm/load.h"
#include "vmm/report.h"
#include "vmm/term.h"

#define DTB_ALIGN	(2ull << 20)
/* The tree and the initrd go below this much of RAM if they fit, where any kernel reaches them. */
#define LOW_RAM		(1ull << 30)

void vmm_request(struct vmm *vmm, enum vmm_action action, int status)
{
	sv_mutex_lock(&vmm->lock);
	/* The first wish counts, except that an end comes before a reset. */
	if (vmm->action == VMM_RUN || (vmm->action == VMM_RESET && action != VMM_RESET)) {
		vmm->action = action;
		vmm->status = status;
	}
	sv_mutex_unlock(&vmm->lock);
	/* The vCPU that asks must not run on: KVM_RUN after a system event would. */
	__atomic_store_n(&vmm->stop, true, __ATOMIC_RELEASE);
	loop_stop(&vmm->loop);
}

void vmm_wake(struct vmm *vmm)
{
	sv_mutex_lock(&vmm->lock);
	vmm->wake = true;
	sv_cond_broadcast(&vmm->woken);
	sv_mutex_unlock(&vmm->lock);
}

/* --- signals ---------------------------------------------------------------------------- */

static void vmm_signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGTSTP);
	sigaddset(set, SIGCONT);
}

/* True if a signal that ends the process is waiting to be read. */
static bool vmm_must_hurry(void)
{
	sigset_t pending;

	return !sigpending(&pending) && (sigismember(&pending, SIGINT) ||
	       sigismember(&pending, SIGTERM) || sigismember(&pending, SIGHUP));
}

static void vmm_signalled(struct loop_source *src)
{
	struct vmm *vmm = container_of(src, struct vmm, signals);
	struct signalfd_siginfo si;

	if (read(src->fd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGTSTP:
		term_restore();
		/* Does not return before SIGCONT. */
		raise(SIGSTOP);
		/* fall through */
	case SIGCONT:
		if (vmm->has_console && vmm->console.escapes)
			term_raw(vmm->console.in_fd);
		if (vmm->has_virtio_console && vmm->virtio_console.escapes)
			term_raw(vmm->virtio_console.in_fd);
		break;
	default:
		vmm_request(vmm, VMM_SIGNAL, 128 + si.ssi_signo);
	}
}

static int vmm_init_signals(struct vmm *vmm)
{
	sigset_t set;

	vmm_signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	vmm->signals.fn = vmm_signalled;
	vmm->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (vmm->signals.fd < 0)
		return -errno;
	return loop_add(&vmm->loop, &vmm->signals);
}

/* --- devices ---------------------------------------------------------------------------- */

static void vmm_uart_irq(void *opaque, bool level)
{
	struct vmm *vmm = opaque;

	plic_set_level(&vmm->plic, VMM_IRQ_UART, level);
}

static void vmm_uart_output(void *opaque, u8 ch)
{
	struct vmm *vmm = opaque;

	chardev_write(&vmm->console, &ch, 1);
}

static void vmm_uart_input_ready(void *opaque)
{
	struct vmm *vmm = opaque;

	chardev_input_ready(&vmm->console);
}

static const struct uart_ops vmm_uart_ops = {
	vmm_uart_irq, vmm_uart_output, vmm_uart_input_ready
};

static void vmm_rtc_irq(void *opaque, bool level)
{
	struct vmm *vmm = opaque;

	plic_set_level(&vmm->plic, VMM_IRQ_RTC, level);
	/* Also where the guest has masked what is not to wake it: it set the alarm. */
	if (level)
		vmm_wake(vmm);
}

static void vmm_pci_line(void *opaque, unsigned int line, bool level)
{
	struct vmm *vmm = opaque;

	plic_set_level(&vmm->plic, VMM_IRQ_PCI + line, level);
}

static size_t vmm_uart_room(void *opaque)
{
	return uart_room(opaque);
}

static void vmm_uart_input(void *opaque, const u8 *data, size_t len)
{
	uart_input(opaque, data, len);
	vmm_wake(container_of((struct uart *)opaque, struct vmm, uart));
}

static int vmm_init_platform(struct vmm *vmm)
{
	const struct pci_window windows[2] = {
		{ VMM_PCI_MMIO_BASE, VMM_PCI_MMIO_SIZE },
		{ vmm->pci_high_base, VMM_PCI_HIGH_SIZE },
	};
	const struct mmio_region regions[] = {
		{ "uart", VMM_UART_BASE, 0x100, &uart_mmio_ops, &vmm->uart },
		{ "plic", VMM_PLIC_BASE, VMM_PLIC_SIZE, &plic_mmio_ops, &vmm->plic },
		{ "pci", VMM_PCI_MMIO_BASE, VMM_PCI_MMIO_SIZE, &pci_window_ops[0], &vmm->pci },
		{ "pci high", vmm->pci_high_base, VMM_PCI_HIGH_SIZE, &pci_window_ops[1],
		  &vmm->pci },
		{ "pci config", VMM_ECAM_BASE, VMM_ECAM_SIZE, &pci_ecam_ops, &vmm->pci },
		{ "rtc", VMM_RTC_BASE, 0x1000, &rtc_mmio_ops, &vmm->rtc },
		{ "finisher", VMM_FINISHER_BASE, 0x1000, &finisher_mmio_ops, vmm },
	};
	unsigned int i;
	int err = plic_init(&vmm->plic, vmm->cfg->smp, vmm_set_external_irq, vmm);

	if (err)
		return err;
	err = rtc_init(&vmm->rtc, vmm_rtc_irq, vmm);
	if (!err)
		err = loop_add(&vmm->loop, &vmm->rtc.timer);
	if (err)
		return err;
	uart_init(&vmm->uart, &vmm_uart_ops, vmm);
	pci_host_init(&vmm->pci, windows, vmm_pci_line, vmm);
	for (i = 0; i < ARRAY_SIZE(regions) && !err; i++)
		err = mmio_bus_add(&vmm->bus, &regions[i]);
	return err;
}

static int vmm_add_device(struct vmm *vmm, struct device *d)
{
	if (!d)
		return -EINVAL;
	vmm->device[vmm->nr_devices++] = d;
	return 0;
}

static int vmm_init_virtio(struct vmm *vmm)
{
	const struct vmm_config *cfg = vmm->cfg;
	const struct virtio_env env = {
		.mem = &vmm->mem, .host = &vmm->pci, .ioeventfd = vmm_ioeventfd, .opaque = vmm,
	};
	unsigned int i;
	int err = 0;

	for (i = 0; i < cfg->nr_disks && !err; i++)
		err = vmm_add_device(vmm, virtio_blk_create(&env, cfg->disk[i]));
	if (!err && cfg->net)
		err = vmm_add_device(vmm, virtio_net_create(&env));
	if (!err)
		err = vmm_add_device(vmm, virtio_rng_create(&env));
	if (!err && vmm->has_virtio_console)
		err = vmm_add_device(vmm, virtio_console_create(&env, &vmm->virtio_console));
	return err;
}

static void vmm_quit(void *opaque)
{
	vmm_request(opaque, VMM_EXIT, 0);
}

static void vmm_reset_asked(void *opaque)
{
	vmm_request(opaque, VMM_RESET, 0);
}

static void vmm_console_failed(void *opaque, const char *what, int err)
{
	vmm_report(0, "cannot write the console to %s: %s; make room, or choose another place with "
		   "--console", what, strerror(err));
	vmm_request(opaque, VMM_FAIL, 2);
}

static int vmm_init_consoles(struct vmm *vmm)
{
	const struct chardev_owner owner = { vmm, vmm_quit, vmm_reset_asked, vmm_console_failed };
	int err = chardev_open(&vmm->console, vmm->cfg->console, &owner);

	if (err)
		return err;
	vmm->has_console = true;
	vmm->console.sink = (struct chardev_sink){ &vmm->uart, vmm_uart_room, vmm_uart_input };
	if (!vmm->cfg->virtio_console)
		return 0;
	err = chardev_open(&vmm->virtio_console, vmm->cfg->virtio_console, &owner);
	vmm->has_virtio_console = !err;
	return err;
}

/* --- one life of the guest -------------------------------------------------------------- */

static int vmm_read_isa(struct vmm *vmm, struct dtb_info *info)
{
	struct vcpu *vcpu = &vmm->vcpu[0];
	bool has[KVM_RISCV_ISA_EXT_MAX] = { false };
	u64 val, satp = 0;
	unsigned int i;
	int err;

	for (i = 0; i < isa_nr_exts(); i++)
		has[i] = isa_ext_name(i) && !vmm_get_reg(vcpu, KVM_REG_RISCV_ISA_EXT |
							 KVM_REG_RISCV_ISA_SINGLE | i, &val) && val;
	err = isa_strings(has, info->isa, sizeof(info->isa), info->isa_list,
			  sizeof(info->isa_list), &info->isa_list_len);
	if (!err)
		err = vmm_get_reg(vcpu, KVM_REG_RISCV_TIMER | KVM_REG_RISCV_TIMER_REG(frequency),
				  &info->timebase);
	if (!err)
		err = vmm_get_reg(vcpu, KVM_REG_RISCV_CONFIG | KVM_REG_RISCV_CONFIG_REG(satp_mode),
				  &satp);
	info->satp_mode = satp;
	if (!err && has[KVM_RISCV_ISA_EXT_ZICBOM])
		err = vmm_get_reg(vcpu, KVM_REG_RISCV_CONFIG |
				  KVM_REG_RISCV_CONFIG_REG(zicbom_block_size), &info->cbom_size);
	if (!err && has[KVM_RISCV_ISA_EXT_ZICBOZ])
		err = vmm_get_reg(vcpu, KVM_REG_RISCV_CONFIG |
				  KVM_REG_RISCV_CONFIG_REG(zicboz_block_size), &info->cboz_size);
	if (err)
		return vmm_report(err, "cannot read what the vCPU is able to do: %s", strerror(-err));
	return 0;
}

/*
 * Memory from below: the kernel at its place, free space, the initrd, the device tree at the
 * end (of RAM, or of its first GiB).
 */
static int vmm_load(struct vmm *vmm)
{
	const struct vmm_config *cfg = vmm->cfg;
	struct load_kernel k = { .end = vmm->mem.base };
	struct dtb_info info = { .nr_harts = cfg->smp, .mem_size = vmm->mem.size,
				 .pci_high_base = vmm->pci_high_base, .bootargs = cfg->append };
	u64 top = vmm->mem.base + min(vmm->mem.size, LOW_RAM), dtb;
	size_t size = dtb_size(&info);
	int err = vmm_read_isa(vmm, &info);

	if (!err && cfg->kernel)
		err = load_kernel(&vmm->mem, cfg->kernel, &k);
	if (err)
		return err;
	if (k.end > top)
		top = vmm->mem.base + vmm->mem.size;
	dtb = ALIGN_DOWN(top - size, DTB_ALIGN);
	if (dtb < k.end)
		return vmm_report(-E2BIG, "the kernel '%s' leaves no room in %llu MiB of memory for the "
				  "device tree; say --memory %lluM or more", cfg->kernel,
				  (unsigned long long)vmm->mem.size >> 20,
				  ((unsigned long long)vmm->mem.size >> 20) + 16);
	if (cfg->initrd)
		err = load_initrd(&vmm->mem, cfg->initrd, ALIGN_UP(k.end, DTB_ALIGN), dtb,
				  &info.initrd_start, &info.initrd_end);
	if (!err) {
		err = dtb_build(&info, guest_mem_ptr(&vmm->mem, dtb, size), size);
		if (err)
			vmm_report(err, "cannot build the device tree; is --append too long?");
	}
	if (!err && cfg->dump_dtb)
		return dtb_dump(guest_mem_ptr(&vmm->mem, dtb, size), cfg->dump_dtb);
	if (!err)
		err = vmm_set_boot_state(vmm, k.entry, dtb);
	return err;
}

/* Takes the vCPUs out of the guest. Whoever waits for a console is let go only in need. */
static void vmm_stop_vcpus(struct vmm *vmm, bool patient)
{
	unsigned int tries;

	vcpus_stop(vmm);
	for (tries = 0; !vcpus_wait(vmm, 200); tries++) {
		vcpus_stop(vmm);
		if ((patient || tries < 5) && !vmm_must_hurry())
			continue;
		chardev_discard(&vmm->console);
		if (vmm->has_virtio_console)
			chardev_discard(&vmm->virtio_console);
	}
	vcpus_join(vmm);
}

static void vmm_drain(struct chardev *c, bool patient)
{
	unsigned int tries;

	for (tries = 0; !chardev_drain(c, 200); tries++)
		if ((!patient && tries == 4) || vmm_must_hurry())
			break;
}

/* Runs the guest until something ends or resets it. */
static enum vmm_action vmm_run_once(struct vmm *vmm)
{
	enum vmm_action action;
	unsigned int i;
	bool patient;

	/* What woke the loop may be a second wish of the life before. */
	do {
		loop_run(&vmm->loop);
		sv_mutex_lock(&vmm->lock);
		action = vmm->action;
		sv_mutex_unlock(&vmm->lock);
	} while (action == VMM_RUN);
	patient = action == VMM_EXIT || action == VMM_RESET;
	vmm_stop_vcpus(vmm, patient);
	vmm_drain(&vmm->console, patient);
	if (vmm->has_virtio_console)
		vmm_drain(&vmm->virtio_console, patient);
	if (action != VMM_RESET) {
		chardev_discard(&vmm->console);
		if (vmm->has_virtio_console)
			chardev_discard(&vmm->virtio_console);
	}
	for (i = 0; i < vmm->nr_devices; i++)
		virtio_quiesce(vmm->device[i]->virtio);
	return action;
}

/* From one life to the next. The order: no vCPU, no request in flight, then the state. */
static int vmm_reset(struct vmm *vmm)
{
	unsigned int i;
	int err;

	pci_host_reset(&vmm->pci);
	vmm_destroy_vm(vmm);
	for (i = 0; i < vmm->nr_devices; i++)
		virtio_reset(vmm->device[i]->virtio);
	uart_reset(&vmm->uart);
	rtc_reset(&vmm->rtc);
	plic_reset(&vmm->plic);
	guest_mem_clear(&vmm->mem);
	vmm->stats.resets++;
	sv_mutex_lock(&vmm->lock);
	if (vmm->action == VMM_RESET)
		vmm->action = VMM_RUN;
	sv_mutex_unlock(&vmm->lock);
	err = vmm_create_vm(vmm);
	if (!err)
		err = vmm_load(vmm);
	return err ? err : vcpus_start(vmm);
}

/* --- all of it -------------------------------------------------------------------------- */

static int vmm_init(struct vmm *vmm, const struct vmm_config *cfg)
{
	int err;

	vmm->cfg = cfg;
	vmm->kvm_fd = vmm->vm_fd = vmm->signals.fd = vmm->loop.epfd = -1;
	sv_mutex_init(&vmm->lock);
	sv_cond_init(&vmm->stopped);
	sv_cond_init(&vmm->woken);
	term_catch_crashes();
	/* QEMU's place for the high window: above RAM, at a multiple of its size. */
	vmm->pci_high_base = ALIGN_UP(VMM_RAM_BASE + cfg->memory, VMM_PCI_HIGH_SIZE);
	err = loop_init(&vmm->loop);
	if (!err)
		err = vmm_init_signals(vmm);
	if (err)
		return vmm_report(err, "cannot start: %s", strerror(-err));
	vmm->vcpu = calloc(cfg->smp, sizeof(*vmm->vcpu));
	if (!vmm->vcpu)
		return vmm_report(-ENOMEM, "no memory for %u vCPUs", cfg->smp);
	err = vmm_open_kvm(vmm);
	if (err)
		return err;
	err = guest_mem_init(&vmm->mem, VMM_RAM_BASE, cfg->memory);
	if (err)
		return vmm_report(err, "cannot get %llu MiB of memory for the guest: %s; say less with "
				  "--memory", (unsigned long long)cfg->memory >> 20, strerror(-err));
	err = vmm_init_platform(vmm);
	if (err)
		return vmm_report(err, "cannot make the devices: %s", strerror(-err));
	err = vmm_create_vm(vmm);
	if (!err)
		err = vmm_load(vmm);
	return err;
}

/* After vmm_init(), also after a half one. */
static void vmm_destroy(struct vmm *vmm)
{
	unsigned int i;

	vmm_destroy_vm(vmm);
	/* The consoles first: their readers call devices; a closed one may still be written to. */
	if (vmm->has_console)
		chardev_close(&vmm->console);
	if (vmm->has_virtio_console)
		chardev_close(&vmm->virtio_console);
	for (i = 0; i < vmm->nr_devices; i++)
		vmm->device[i]->destroy(vmm->device[i]);
	rtc_destroy(&vmm->rtc);
	plic_destroy(&vmm->plic);
	guest_mem_destroy(&vmm->mem);
	if (vmm->kvm_fd >= 0)
		softvirt_close(vmm->kvm_fd);
	if (vmm->signals.fd >= 0)
		close(vmm->signals.fd);
	if (vmm->loop.epfd >= 0)
		loop_fini(&vmm->loop);
	free(vmm->vcpu);
}

static int vmm_run(struct vmm *vmm)
{
	int err = chardev_start(&vmm->console);

	if (!err && vmm->has_virtio_console)
		err = chardev_start(&vmm->virtio_console);
	if (err)
		return vmm_report(err, "cannot start the console: %s", strerror(-err));
	err = vcpus_start(vmm);
	while (!err) {
		if (vmm_run_once(vmm) != VMM_RESET)
			return 0;
		err = vmm_reset(vmm);
	}
	vmm_stop_vcpus(vmm, false);
	return err;
}

int vmm_main(const struct vmm_config *cfg)
{
	/* Static: a console's thread that cannot be ended may outlive this call. */
	static struct vmm vmm;
	u64 start = vmm_now_ns();
	int err = vmm_init(&vmm, cfg);

	if (!err && cfg->dump_dtb) {
		vmm_destroy(&vmm);
		return 0;
	}
	/* Last, so that a mistake above has created no file and touched no disk. */
	if (!err)
		err = vmm_init_consoles(&vmm);
	if (!err)
		err = vmm_init_virtio(&vmm);
	if (!err)
		err = vmm_run(&vmm);
	vmm.stats.wall_ns = vmm_now_ns() - start;
	vmm_destroy(&vmm);
	if (err)
		return 2;
	if (cfg->stats)
		vmm_stats_print(&vmm);
	return vmm.status;
}
