/* SPDX-License-Identifier: MIT */
/* The sweep of test_faults.c over dirty rings, guest_memfd, attributes and pre-faulting. */
#include <linux/falloc.h>

#include "faults.h"

#define RING 4096
#define RING_OFFSET (KVM_RISCV_DIRTY_LOG_PAGE_OFFSET * 4096)
#define SIZE (16 * 4096ull)
#define NONE 0

static int enable(u32 cap, u64 arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return softvirt_ioctl(t.a.vm, KVM_ENABLE_CAP, &c);
}

/* --- dirty rings ------------------------------------------------------------------------- */

/* A VM with a ring and memory, no vCPU yet. */
static void up_ring_vm(void)
{
	abi_vm(&t.a);
	must(enable(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING));
	t.data = abi_memory(SIZE);
	t.a.ram = abi_memory(ABI_RAM_SIZE);
	must(abi_region(t.a.vm, 0, 0, ABI_RAM, ABI_RAM_SIZE, t.a.ram));
}

static int call_create_vcpu(void)
{
	return keep_fd(softvirt_ioctl(t.a.vm, KVM_CREATE_VCPU, 3));
}

static int call_logged(void)
{
	return abi_region(t.a.vm, 5, KVM_MEM_LOG_DIRTY_PAGES, DATA, SIZE, t.data);
}

static void undo_logged(void)
{
	must(abi_region(t.a.vm, 5, 0, DATA, 0, t.data));
}

static void up_ring_bitmap(void)
{
	up_ring_vm();
	must(abi_region(t.a.vm, 0, 0, ABI_RAM, 0, t.a.ram));
	must(enable(KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0));
}

static int call_ring_bitmap_log(void)
{
	struct kvm_dirty_log log = { .slot = 5, .dirty_bitmap = t.bits };

	return softvirt_ioctl(t.a.vm, KVM_GET_DIRTY_LOG, &log);
}

static void up_ring_bitmap_logged(void)
{
	up_ring_bitmap();
	must(call_logged());
}

static void up_ring(void)
{
	up_ring_vm();
	must(call_logged());
	t.a.vcpu = softvirt_ioctl(t.a.vm, KVM_CREATE_VCPU, 0);
	assert_true(t.a.vcpu >= 0);
	t.a.run = abi_map_run(t.a.vcpu);
	/* One store to each of the first two pages of the log. */
	abi_guest(&t.a, SD(X0, A0, 0), SD(X0, A1, 0), DONE(T2));
	must(abi_set(t.a.vcpu, REG_CORE(regs.a0), DATA));
	must(abi_set(t.a.vcpu, REG_CORE(regs.a1), DATA + 4096));
}

static int call_map_ring(void)
{
	t.map = softvirt_mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED, t.a.vcpu, RING_OFFSET);
	return t.map == MAP_FAILED ? -1 : 0;
}

static void undo_map_ring(void)
{
	munmap(t.map, RING);
}

static int run(void)
{
	t.a.run->exit_reason = 0;
	if (abi_set(t.a.vcpu, REG_CORE(regs.pc), ABI_RAM) || abi_run(&t.a))
		return -1;
	return t.a.run->exit_reason == KVM_EXIT_MMIO && t.a.run->mmio.phys_addr == ABI_DONE ? 0 : -1;
}

static void up_ring_used(void)
{
	struct kvm_dirty_gfn *g;

	up_ring();
	must(run());
	must(call_map_ring());
	g = t.map;
	g[0].flags = g[1].flags = KVM_DIRTY_GFN_F_RESET;
}

static void down_ring_used(void)
{
	undo_map_ring();
	down();
}

static int call_reset(void)
{
	return softvirt_ioctl(t.a.vm, KVM_RESET_DIRTY_RINGS, 0) == 2 ? 0 : -1;
}

/* --- private memory ---------------------------------------------------------------------- */

static void up_private(void)
{
	memset(&t.a, 0, sizeof(t.a));
	t.a.kvm = abi_open();
	t.a.vm = softvirt_ioctl(t.a.kvm, KVM_CREATE_VM, KVM_RISCV_SW_PROTECTED_VM);
	assert_true(t.a.vm >= 0);
	t.a.vcpu = softvirt_ioctl(t.a.vm, KVM_CREATE_VCPU, 0);
	assert_true(t.a.vcpu >= 0);
	t.a.run = abi_map_run(t.a.vcpu);
	t.a.ram = abi_memory(ABI_RAM_SIZE);
	must(abi_region(t.a.vm, 0, 0, ABI_RAM, ABI_RAM_SIZE, t.a.ram));
	t.data = abi_memory(SIZE);
}

static int call_create_gmem(void)
{
	struct kvm_create_guest_memfd c = { .size = SIZE };

	return keep_fd(softvirt_ioctl(t.a.vm, KVM_CREATE_GUEST_MEMFD, &c));
}

static void up_gmem(void)
{
	up_private();
	assert_true(call_create_gmem() >= 0);
}

static void down_gmem(void)
{
	close_fd();
	down();
}

static int region2(u64 size)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = 5, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = DATA, .memory_size = size,
		.userspace_addr = (uintptr_t)t.data, .guest_memfd = t.fd,
	};

	return softvirt_ioctl(t.a.vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static int call_bind(void)
{
	return region2(SIZE);
}

static void undo_bind(void)
{
	must(region2(0));
}

static void up_bound(void)
{
	up_gmem();
	must(call_bind());
}

static int call_unbind(void)
{
	return region2(0);
}

static void undo_unbind(void)
{
	must(region2(SIZE));
}

static int attributes(u64 gpa, u64 size, u64 value)
{
	struct kvm_memory_attributes m = { .address = gpa, .size = size, .attributes = value };

	return softvirt_ioctl(t.a.vm, KVM_SET_MEMORY_ATTRIBUTES, &m);
}

static int call_make_private(void)
{
	return attributes(DATA, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

static void undo_make_private(void)
{
	must(attributes(DATA, SIZE, 0));
}

/* Out of the middle of a range: two are left. */
static int call_make_shared(void)
{
	return attributes(DATA + 4096, 4096, 0);
}

static void up_bound_private(void)
{
	up_bound();
	must(call_make_private());
	/* A store to private memory and a load. */
	abi_guest(&t.a, SD(A0, A0, 0), LD(A1, A0, 8), DONE(T2));
	must(abi_set(t.a.vcpu, REG_CORE(regs.a0), DATA));
}

static void undo_make_shared(void)
{
	must(attributes(DATA + 4096, 4096, KVM_MEMORY_ATTRIBUTE_PRIVATE));
}

static int call_punch(void)
{
	return softvirt_fallocate(t.fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE);
}

static int call_allocate(void)
{
	return softvirt_fallocate(t.fd, FALLOC_FL_KEEP_SIZE, 0, SIZE);
}

static void undo_allocate(void)
{
	must(call_punch());
}

static int call_pre_fault(void)
{
	struct kvm_pre_fault_memory r = { .gpa = DATA, .size = SIZE };

	return softvirt_ioctl(t.a.vcpu, KVM_PRE_FAULT_MEMORY, &r);
}

static int call_create_private_vm(void)
{
	return keep_fd(softvirt_ioctl(t.a.kvm, KVM_CREATE_VM, KVM_RISCV_SW_PROTECTED_VM));
}

static const struct test tests_table[] = {
	{ "KVM_CREATE_VCPU with a ring", up_ring_vm, call_create_vcpu, close_fd, down,
	  SHORT | E(EINVAL) },
	{ "a slot with a ring's log", up_ring_vm, call_logged, undo_logged, down, E(ENOMEM) },
	{ "a slot with both logs", up_ring_bitmap, call_logged, undo_logged, down, E(ENOMEM) },
	{ "KVM_GET_DIRTY_LOG beside a ring", up_ring_bitmap_logged, call_ring_bitmap_log, nothing,
	  down, E(ENOMEM) },
	{ "mmap of a ring", up_ring, call_map_ring, undo_map_ring, down, SHORT },
	{ "KVM_RUN with a ring", up_ring, run, nothing, down, E(ENOMEM) },
	{ "KVM_RESET_DIRTY_RINGS", up_ring_used, call_reset, nothing, down_ring_used, NONE },
	{ "KVM_CREATE_VM with private memory", up, call_create_private_vm, close_fd, down,
	  SHORT | E(EINVAL) },
	{ "KVM_CREATE_GUEST_MEMFD", up_private, call_create_gmem, close_fd, down,
	  SHORT | E(EINVAL) },
	{ "a binding", up_gmem, call_bind, undo_bind, down_gmem, E(ENOMEM) },
	{ "a binding gone", up_bound, call_unbind, undo_unbind, down_gmem, E(ENOMEM) },
	{ "KVM_SET_MEMORY_ATTRIBUTES private", up_bound, call_make_private, undo_make_private,
	  down_gmem, E(ENOMEM) },
	{ "KVM_SET_MEMORY_ATTRIBUTES shared", up_bound_private, call_make_shared, undo_make_shared,
	  down_gmem, E(ENOMEM) },
	{ "fallocate", up_gmem, call_allocate, undo_allocate, down_gmem, E(ENOMEM) | E(ENOSPC) },
	{ "a hole", up_gmem, call_punch, nothing, down_gmem, E(ENOMEM) | E(ENOSPC) },
	{ "KVM_PRE_FAULT_MEMORY", up_bound, call_pre_fault, nothing, down_gmem, E(ENOMEM) },
	{ "KVM_PRE_FAULT_MEMORY private", up_bound_private, call_pre_fault, nothing, down_gmem,
	  E(ENOMEM) },
	{ "KVM_RUN in private memory", up_bound_private, run, nothing, down_gmem, E(ENOMEM) },
};

int main(int argc, char **argv)
{
	return faults_main(argc, argv, tests_table, ARRAY_SIZE(tests_table));
}
