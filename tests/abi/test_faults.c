/* SPDX-License-Identifier: MIT */
/*
 * Every step of every ioctl that can fail is made to fail once: the right errno, nothing
 * leaked, and the object goes on to work.
 *
 * Two sweeps over the same cases: the library's fault points (base/alloc.h: allocations and
 * wrapped system calls), and the system calls themselves, wrapped or not (syscall_faults.h;
 * x86-64 only, and not under ThreadSanitizer, whose runtime stands in between).
 *
 * A case: prepare makes what the call needs, call is the call, undo takes its effect back
 * (after success only), clean undoes prepare. After a try that failed the descriptors and
 * mappings are as before the call, and the same call succeeds without a fault.
 */
#include <sys/eventfd.h>

#include "faults.h"

static int region(u32 flags, u64 gpa, u64 pages)
{
	return abi_region(t.a.vm, 5, flags, gpa, pages * 4096, t.data);
}

/* --- the system descriptor --------------------------------------------------------------- */

static void open_kvm(void)
{
	t.a.kvm = abi_open();
}

static void close_kvm(void)
{
	must(softvirt_close(t.a.kvm));
}

static int call_open(void)
{
	return keep_fd(softvirt_open("/dev/kvm-riscv64", O_RDWR | O_CLOEXEC));
}

static int call_create_vm(void)
{
	return keep_fd(softvirt_ioctl(t.a.kvm, KVM_CREATE_VM, 0));
}

static int call_api_version(void)
{
	return softvirt_ioctl(t.a.kvm, KVM_GET_API_VERSION, 0) == 12 ? 0 : -1;
}

static int call_mmap_size(void)
{
	return softvirt_ioctl(t.a.kvm, KVM_GET_VCPU_MMAP_SIZE, 0) == ABI_RUN_SIZE ? 0 : -1;
}

static int call_check_extension(void)
{
	return softvirt_ioctl(t.a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_ONE_REG) == 1 ? 0 : -1;
}

static int call_dup(void)
{
	return keep_fd(softvirt_dup(t.a.kvm));
}

/* --- the VM's ---------------------------------------------------------------------------- */

static int call_create_vcpu(void)
{
	return keep_fd(softvirt_ioctl(t.a.vm, KVM_CREATE_VCPU, 7));
}

static int call_vm_check_extension(void)
{
	return softvirt_ioctl(t.a.vm, KVM_CHECK_EXTENSION, KVM_CAP_ONE_REG) == 1 ? 0 : -1;
}

static int call_region(void)
{
	return region(0, DATA, 16);
}

static int call_region_logged(void)
{
	return region(KVM_MEM_LOG_DIRTY_PAGES, DATA, 16);
}

static int call_region2(void)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = 5, .guest_phys_addr = DATA, .memory_size = 16 * 4096,
		.userspace_addr = (uintptr_t)t.data,
	};

	return softvirt_ioctl(t.a.vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

/* A number that the table of slots must grow for. */
static int call_region_far(void)
{
	return abi_region(t.a.vm, 900, 0, DATA, 16 * 4096, t.data);
}

static void undo_region_far(void)
{
	must(abi_region(t.a.vm, 900, 0, DATA, 0, t.data));
}

static void delete_region(void)
{
	must(region(0, DATA, 0));
}

static void up_region(void)
{
	up();
	must(region(0, DATA, 16));
}

static int call_move(void)
{
	return region(0, DATA + 0x100000, 16);
}

static void undo_move(void)
{
	must(region(0, DATA, 16));
}

static int call_log_on(void)
{
	return region(KVM_MEM_LOG_DIRTY_PAGES, DATA, 16);
}

static int call_delete(void)
{
	return region(0, DATA, 0);
}

static void up_logged(void)
{
	up();
	must(region(KVM_MEM_LOG_DIRTY_PAGES, DATA, 16));
}

static int call_get_dirty_log(void)
{
	struct kvm_dirty_log log = { .slot = 5, .dirty_bitmap = t.bits };

	return softvirt_ioctl(t.a.vm, KVM_GET_DIRTY_LOG, &log);
}

static int call_clear_dirty_log(void)
{
	struct kvm_clear_dirty_log log = { .slot = 5, .num_pages = 16, .dirty_bitmap = t.bits };

	t.bits[0] = ~0ull;
	return softvirt_ioctl(t.a.vm, KVM_CLEAR_DIRTY_LOG, &log);
}

static int call_enable_cap(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 } };

	return softvirt_ioctl(t.a.vm, KVM_ENABLE_CAP, &cap);
}

static int zone(unsigned long cmd)
{
	struct kvm_coalesced_mmio_zone z = { .addr = ABI_DEVICE, .size = 0x100 };

	return softvirt_ioctl(t.a.vm, cmd, &z);
}

static int call_register_zone(void)
{
	return zone(KVM_REGISTER_COALESCED_MMIO);
}

static void undo_register_zone(void)
{
	must(zone(KVM_UNREGISTER_COALESCED_MMIO));
}

static void up_zone(void)
{
	up();
	must(zone(KVM_REGISTER_COALESCED_MMIO));
}

static int call_unregister_zone(void)
{
	return zone(KVM_UNREGISTER_COALESCED_MMIO);
}

static void undo_unregister_zone(void)
{
	must(zone(KVM_REGISTER_COALESCED_MMIO));
}

static void up_eventfds(void)
{
	up();
	t.fd = eventfd(0, EFD_CLOEXEC);
	t.fd2 = eventfd(0, EFD_CLOEXEC);
	assert_true(t.fd >= 0 && t.fd2 >= 0);
}

static void down_eventfds(void)
{
	close(t.fd);
	close(t.fd2);
	down();
}

static int irqfd(u32 flags)
{
	struct kvm_irqfd i = { .fd = t.fd, .gsi = 1, .flags = flags, .resamplefd = t.fd2 };

	return softvirt_ioctl(t.a.vm, KVM_IRQFD, &i);
}

static int call_irqfd(void)
{
	return irqfd(0);
}

static int call_irqfd_resample(void)
{
	return irqfd(KVM_IRQFD_FLAG_RESAMPLE);
}

static void undo_irqfd(void)
{
	must(irqfd(KVM_IRQFD_FLAG_DEASSIGN));
}

static void up_irqfd(void)
{
	up_eventfds();
	must(irqfd(0));
}

static int call_irqfd_deassign(void)
{
	return irqfd(KVM_IRQFD_FLAG_DEASSIGN);
}

static void undo_irqfd_deassign(void)
{
	must(irqfd(0));
}

static int ioeventfd(int fd, u64 datum, u32 flags)
{
	struct kvm_ioeventfd i = {
		.addr = ABI_DEVICE, .len = 4, .fd = fd, .datamatch = datum,
		.flags = flags | KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return softvirt_ioctl(t.a.vm, KVM_IOEVENTFD, &i);
}

static void up_ioeventfd(void)
{
	up_eventfds();
	must(ioeventfd(t.fd, 1, 0));
}

static int call_ioeventfd(void)
{
	return ioeventfd(t.fd2, 2, 0);
}

static void undo_ioeventfd(void)
{
	must(ioeventfd(t.fd2, 2, KVM_IOEVENTFD_FLAG_DEASSIGN));
}

static void up_ioeventfds(void)
{
	up_ioeventfd();
	must(ioeventfd(t.fd2, 2, 0));
}

static int call_ioeventfd_deassign(void)
{
	return ioeventfd(t.fd2, 2, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static void undo_ioeventfd_deassign(void)
{
	must(ioeventfd(t.fd2, 2, 0));
}

static int call_vm_stats(void)
{
	return keep_fd(softvirt_ioctl(t.a.vm, KVM_GET_STATS_FD, NULL));
}

static int call_irq_line(void)
{
	struct kvm_irq_level level = { .irq = 1, .level = 1 };

	return softvirt_ioctl(t.a.vm, KVM_IRQ_LINE, &level);
}

static int call_signal_msi(void)
{
	struct kvm_msi msi = { .address_lo = 0x28000000, .data = 1 };

	return softvirt_ioctl(t.a.vm, KVM_SIGNAL_MSI, &msi);
}

/* --- the vCPU's -------------------------------------------------------------------------- */

static int call_get_reg(void)
{
	u64 v;

	return abi_get(t.a.vcpu, REG_CORE(regs.pc), &v);
}

static int call_set_reg(void)
{
	return abi_set(t.a.vcpu, REG_STA(shmem_lo), ABI_RAM);
}

/* Restarts the hart's timer. */
static int call_set_compare(void)
{
	return abi_set(t.a.vcpu, REG_TIMER(compare), abi_reg(t.a.vcpu, REG_TIMER(time)) + 10000000);
}

static int call_set_sie(void)
{
	return abi_set(t.a.vcpu, REG_CSR(sie), 0x222);
}

static int call_reg_list(void)
{
	struct {
		struct kvm_reg_list head;
		u64 ids[512];
	} list = { .head.n = 512 };

	return softvirt_ioctl(t.a.vcpu, KVM_GET_REG_LIST, &list);
}

static int call_get_mp_state(void)
{
	struct kvm_mp_state s;

	return softvirt_ioctl(t.a.vcpu, KVM_GET_MP_STATE, &s);
}

static int call_set_mp_state(void)
{
	struct kvm_mp_state s = { .mp_state = KVM_MP_STATE_RUNNABLE };

	return softvirt_ioctl(t.a.vcpu, KVM_SET_MP_STATE, &s);
}

static int call_guest_debug(void)
{
	struct kvm_riscv_guest_debug d = { .control = 0 };

	return softvirt_ioctl(t.a.vcpu, KVM_RISCV_SET_GUEST_DEBUG, &d);
}

static int call_signal_mask(void)
{
	struct {
		u32 len;
		u8 set[8];
	} m = { .len = 8 };

	return softvirt_ioctl(t.a.vcpu, KVM_SET_SIGNAL_MASK, &m);
}

static void undo_signal_mask(void)
{
	must(softvirt_ioctl(t.a.vcpu, KVM_SET_SIGNAL_MASK, NULL));
}

static int call_interrupt(void)
{
	struct kvm_interrupt i = { .irq = KVM_INTERRUPT_UNSET };

	return softvirt_ioctl(t.a.vcpu, KVM_INTERRUPT, &i);
}

static int call_vcpu_stats(void)
{
	return keep_fd(softvirt_ioctl(t.a.vcpu, KVM_GET_STATS_FD, NULL));
}

static int call_mmap(void)
{
	t.map = softvirt_mmap(NULL, ABI_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t.a.vcpu, 0);
	return t.map == MAP_FAILED ? -1 : 0;
}

static void undo_mmap(void)
{
	munmap(t.map, ABI_RUN_SIZE);
}

/* One guest for all: from its start to ABI_DONE, whatever it is told on the way. */
static int run(void)
{
	t.a.run->exit_reason = 0;
	if (abi_set(t.a.vcpu, REG_CORE(regs.pc), ABI_RAM) || abi_run(&t.a))
		return -1;
	return t.a.run->exit_reason == KVM_EXIT_MMIO && t.a.run->mmio.phys_addr == ABI_DONE ? 0 : -1;
}

static void up_store(void)
{
	up();
	abi_guest(&t.a, LUI(T0, 0x80001), SLLI(T0, T0, 32), i_type(0x13, 5, T0, T0, 32),
		  SD(T0, T0, 0), LD(T1, T0, 0), DONE(T0));
}

/* Sleeps in WFI until a timer of 200 us: an eventfd, and the timer thread. */
static void up_sleep(void)
{
	up();
	abi_guest(&t.a, CSRR(T0, 0xc01), ADDI(T0, T0, 2000), CSRW(0x14d, T0), LI(T0, 32),
		  CSRW(0x104, T0), WFI, DONE(T2));
}

static void up_sleep_masked(void)
{
	up_sleep();
	must(call_signal_mask());
}

static void up_sta(void)
{
	up();
	/* STA's set_shmem(ABI_RAM + 0x8000). */
	abi_guest(&t.a, LUI(A7, 0x535), ADDI(A7, A7, 0x441), LI(A6, 0), LUI(A0, 0x80008),
		  SLLI(A0, A0, 32), i_type(0x13, 5, A0, A0, 32), LI(A1, 0), LI(A2, 0), ECALL,
		  DONE(T0));
}

static void up_pmu(void)
{
	up();
	/* PMU's counter_config_matching: counters 0..31, auto start, firmware event 5. */
	abi_guest(&t.a, LUI(A7, 0x505), ADDI(A7, A7, -0x2ab), LI(A6, 2), LI(A0, 0), LI(A1, 1),
		  LI(A2, 6), LUI(A3, 0xf0), ADDI(A3, A3, 5), ECALL, DONE(T0));
}

#define NONE 0
static const struct test tests_table[] = {
	{ "open", nothing, call_open, close_fd, nothing, SHORT | E(EINVAL) },
	{ "KVM_CREATE_VM", open_kvm, call_create_vm, close_fd, close_kvm, SHORT | E(EINVAL) },
	{ "KVM_GET_API_VERSION", open_kvm, call_api_version, nothing, close_kvm, NONE },
	{ "KVM_GET_VCPU_MMAP_SIZE", open_kvm, call_mmap_size, nothing, close_kvm, NONE },
	{ "KVM_CHECK_EXTENSION", open_kvm, call_check_extension, nothing, close_kvm, NONE },
	{ "dup", open_kvm, call_dup, close_fd, close_kvm, SHORT },
	{ "KVM_CREATE_VCPU", up, call_create_vcpu, close_fd, down, SHORT | E(EINVAL) },
	{ "VM KVM_CHECK_EXTENSION", up, call_vm_check_extension, nothing, down, NONE },
	{ "a new slot", up, call_region, delete_region, down, E(ENOMEM) },
	{ "a new slot with a log", up, call_region_logged, delete_region, down, E(ENOMEM) },
	{ "a slot of a high number", up, call_region_far, undo_region_far, down, E(ENOMEM) },
	{ "REGION2", up, call_region2, delete_region, down, E(ENOMEM) },
	{ "a slot moved", up_region, call_move, undo_move, down, E(ENOMEM) },
	{ "a log for a slot", up_region, call_log_on, undo_move, down, E(ENOMEM) },
	{ "a slot deleted", up_region, call_delete, undo_move, down, E(ENOMEM) },
	{ "KVM_GET_DIRTY_LOG", up_logged, call_get_dirty_log, nothing, down, E(ENOMEM) },
	{ "KVM_CLEAR_DIRTY_LOG", up_logged, call_clear_dirty_log, nothing, down, E(ENOMEM) },
	{ "KVM_ENABLE_CAP", up, call_enable_cap, nothing, down, NONE },
	{ "a zone", up, call_register_zone, undo_register_zone, down, E(ENOMEM) },
	{ "a zone gone", up_zone, call_unregister_zone, undo_unregister_zone, down, E(ENOMEM) },
	{ "KVM_IRQFD", up_eventfds, call_irqfd, undo_irqfd, down_eventfds,
	  SHORT | E(EAGAIN) | E(EIO), 0, true },
	{ "KVM_IRQFD resample", up_eventfds, call_irqfd_resample, undo_irqfd, down_eventfds,
	  SHORT | E(EAGAIN) | E(EIO), 0, true },
	{ "KVM_IRQFD deassign", up_irqfd, call_irqfd_deassign, undo_irqfd_deassign, down_eventfds,
	  SHORT | E(EIO) },
	{ "KVM_IOEVENTFD", up_ioeventfd, call_ioeventfd, undo_ioeventfd, down_eventfds,
	  SHORT | E(EIO) },
	{ "KVM_IOEVENTFD deassign", up_ioeventfds, call_ioeventfd_deassign,
	  undo_ioeventfd_deassign, down_eventfds, SHORT | E(EIO) },
	{ "VM KVM_GET_STATS_FD", up, call_vm_stats, close_fd, down, SHORT, 0, true },
	{ "KVM_IRQ_LINE", up, call_irq_line, nothing, down, NONE, ENXIO },
	{ "KVM_SIGNAL_MSI", up, call_signal_msi, nothing, down, NONE, EINVAL },
	{ "KVM_GET_ONE_REG", up, call_get_reg, nothing, down, NONE },
	{ "KVM_SET_ONE_REG", up, call_set_reg, nothing, down, NONE },
	{ "KVM_SET_ONE_REG sie", up, call_set_sie, nothing, down, NONE },
	{ "KVM_SET_ONE_REG compare", up, call_set_compare, nothing, down, NONE },
	{ "KVM_GET_REG_LIST", up, call_reg_list, nothing, down, E(ENOMEM) },
	{ "KVM_GET_MP_STATE", up, call_get_mp_state, nothing, down, NONE },
	{ "KVM_SET_MP_STATE", up, call_set_mp_state, nothing, down, NONE },
	{ "KVM_SET_GUEST_DEBUG", up, call_guest_debug, nothing, down, NONE },
	{ "KVM_SET_SIGNAL_MASK", up, call_signal_mask, undo_signal_mask, down, NONE },
	{ "KVM_INTERRUPT", up, call_interrupt, nothing, down, NONE },
	{ "vCPU KVM_GET_STATS_FD", up, call_vcpu_stats, close_fd, down, SHORT, 0, true },
	{ "mmap", up, call_mmap, undo_mmap, down, SHORT },
	{ "KVM_RUN with a store", up_store, run, nothing, down, E(ENOMEM) },
	{ "KVM_RUN with a sleep", up_sleep, run, nothing, down, E(ENOMEM) },
	{ "KVM_RUN with a mask", up_sleep_masked, run, nothing, down, E(ENOMEM) },
	{ "KVM_RUN with steal time", up_sta, run, nothing, down, E(ENOMEM) },
	{ "KVM_RUN with a counter", up_pmu, run, nothing, down, E(ENOMEM) },
};

int main(int argc, char **argv)
{
	return faults_main(argc, argv, tests_table, ARRAY_SIZE(tests_table));
}
