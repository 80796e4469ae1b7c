/* SPDX-License-Identifier: MIT */
/* KVM_SET_USER_MEMORY_REGION and its second edition */
#include <pthread.h>

#include "abi.h"

static void misaligned_values_are_einval(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x4000);

	abi_vm(&a);
	assert_errno(abi_region(a.vm, 0, 0, ABI_RAM + 1, 0x1000, m), EINVAL);
	assert_errno(abi_region(a.vm, 0, 0, ABI_RAM, 0x1001, m), EINVAL);
	assert_errno(abi_region(a.vm, 0, 0, ABI_RAM, 0x1000, m + 8), EINVAL);
	munmap(m, 0x4000);
	abi_down(&a);
}

static void addresses_that_wrap_or_leave_user_space_are_einval(void **state)
{
	struct abi a;

	abi_vm(&a);
	assert_errno(abi_region(a.vm, 0, 0, -0x1000ull, 0x2000, (void *)0x10000), EINVAL);
	assert_errno(abi_region(a.vm, 0, 0, ABI_RAM, 0x1000, (void *)-0x1000ul), EINVAL);
	assert_errno(abi_region(a.vm, 0, 0, ABI_RAM, 0x2000, (void *)((1ul << 47) - 0x1000)),
		     EINVAL);
	/* Beyond the guest's physical address space. */
	assert_errno(abi_region(a.vm, 0, 0, 1ull << 59, 0x1000, (void *)0x10000), EFAULT);
	assert_errno(abi_region(a.vm, 0, 0, (1ull << 59) - 0x1000, 0x1000, (void *)0x10000),
		     EFAULT);
	abi_down(&a);
}

static void slot_numbers_beyond_the_last_are_einval(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x1000);

	abi_vm(&a);
	assert_return_code(abi_region(a.vm, 32766, 0, ABI_RAM, 0x1000, m), errno);
	assert_errno(abi_region(a.vm, 32767, 0, 0, 0x1000, m), EINVAL);
	assert_errno(abi_region(a.vm, 1 << 16, 0, 0, 0x1000, m), EINVAL);
	munmap(m, 0x1000);
	abi_down(&a);
}

static void unknown_flags_are_einval(void **state)
{
	struct kvm_userspace_memory_region2 r2 = { .memory_size = 0x1000, .flags = 4 };
	struct abi a;
	u8 *m = abi_memory(0x1000);

	abi_vm(&a);
	for (u32 flags = 4; flags; flags <<= 1)
		assert_errno(abi_region(a.vm, 0, flags, 0, 0x1000, m), EINVAL);
	r2.userspace_addr = (uintptr_t)m;
	assert_errno(softvirt_ioctl(a.vm, KVM_SET_USER_MEMORY_REGION2, &r2), EINVAL);
	munmap(m, 0x1000);
	abi_down(&a);
}

static void a_bad_pointer_is_efault(void **state)
{
	struct abi a;
	char *bad = abi_bad_page();

	abi_vm(&a);
	assert_errno(softvirt_ioctl(a.vm, KVM_SET_USER_MEMORY_REGION, bad), EFAULT);
	assert_errno(softvirt_ioctl(a.vm, KVM_SET_USER_MEMORY_REGION, NULL), EFAULT);
	assert_errno(softvirt_ioctl(a.vm, KVM_SET_USER_MEMORY_REGION2, bad), EFAULT);
	/* The first half is there. */
	assert_int_equal(mprotect(bad, 4096, PROT_READ | PROT_WRITE), 0);
	bad = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(bad + 4096, 4096);
	assert_errno(softvirt_ioctl(a.vm, KVM_SET_USER_MEMORY_REGION, bad + 4096 - 16), EFAULT);
	abi_down(&a);
}

static void overlapping_slots_are_eexist(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x8000);

	abi_vm(&a);
	assert_return_code(abi_region(a.vm, 0, 0, 0x10000, 0x4000, m), errno);
	assert_errno(abi_region(a.vm, 1, 0, 0x10000, 0x1000, m), EEXIST);
	assert_errno(abi_region(a.vm, 1, 0, 0x13000, 0x2000, m), EEXIST);
	assert_errno(abi_region(a.vm, 1, 0, 0xf000, 0x8000, m), EEXIST);
	assert_return_code(abi_region(a.vm, 1, 0, 0x14000, 0x1000, m), errno);
	assert_return_code(abi_region(a.vm, 2, 0, 0xf000, 0x1000, m), errno);
	/* A move onto a neighbour; a move that only overlaps itself. */
	assert_errno(abi_region(a.vm, 2, 0, 0x14000, 0x1000, m), EEXIST);
	assert_return_code(abi_region(a.vm, 0, 0, 0x20000, 0x4000, m), errno);
	assert_return_code(abi_region(a.vm, 0, 0, 0x21000, 0x4000, m), errno);
	munmap(m, 0x8000);
	abi_down(&a);
}

static void changing_what_may_not_change_is_einval(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x8000);

	abi_vm(&a);
	assert_errno(abi_region(a.vm, 0, 0, 0, 0, m), EINVAL);	/* delete what is not there */
	assert_return_code(abi_region(a.vm, 0, 0, 0x10000, 0x2000, m), errno);
	assert_errno(abi_region(a.vm, 0, 0, 0x10000, 0x1000, m), EINVAL);
	assert_errno(abi_region(a.vm, 0, 0, 0x10000, 0x2000, m + 0x1000), EINVAL);
	assert_errno(abi_region(a.vm, 0, KVM_MEM_READONLY, 0x10000, 0x2000, m), EINVAL);
	/* Nothing new, a new flag, deleted, deleted twice. */
	assert_return_code(abi_region(a.vm, 0, 0, 0x10000, 0x2000, m), errno);
	assert_return_code(abi_region(a.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0x10000, 0x2000, m), errno);
	assert_return_code(abi_region(a.vm, 0, 0, 0x10000, 0, m), errno);
	assert_errno(abi_region(a.vm, 0, 0, 0x10000, 0, m), EINVAL);
	munmap(m, 0x8000);
	abi_down(&a);
}

static void a_store_to_read_only_memory_is_mmio(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x1000);

	abi_up(&a);
	m[0] = 0x5a;
	assert_return_code(abi_region(a.vm, 1, KVM_MEM_READONLY, ABI_DEVICE, 0x1000, m), errno);
	abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), LBU(T1, T0, 0), LI(T2, 0x77), SB(T2, T0, 0),
		  LBU(A0, T0, 0), DONE(T0));
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(a.run->mmio.phys_addr, ABI_DEVICE);
	assert_int_equal(a.run->mmio.is_write, 1);
	assert_int_equal(a.run->mmio.len, 1);
	assert_int_equal(a.run->mmio.data[0], 0x77);
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.t1)), 0x5a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0x5a);
	munmap(m, 0x1000);
	abi_down(&a);
}

static void a_moved_slot_is_where_it_went(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x1000);

	abi_up(&a);
	m[0] = 0x5a;
	assert_return_code(abi_region(a.vm, 1, 0, 0x30000000, 0x1000, m), errno);
	abi_guest(&a, LUI(T0, 0x30000), LBU(T1, T0, 0), DONE(T2),
		  LBU(T1, T0, 0), LUI(T0, 0x40000), LBU(A0, T0, 0), DONE(T2));
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.t1)), 0x5a);
	assert_return_code(abi_region(a.vm, 1, 0, 0x40000000, 0x1000, m), errno);
	assert_return_code(abi_run(&a), errno);		/* the old place is a device now */
	assert_int_equal(a.run->mmio.phys_addr, 0x30000000);
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0x5a);
	munmap(m, 0x1000);
	abi_down(&a);
}

static void memory_that_is_not_there_is_efault(void **state)
{
	struct abi a;
	void *bad = abi_memory(4096);

	abi_up(&a);
	assert_return_code(abi_region(a.vm, 1, 0, 0x30000000, 0x1000, bad), errno);
	assert_int_equal(mprotect(bad, 4096, PROT_NONE), 0);
	abi_guest(&a, LUI(T0, 0x30000), LBU(T1, T0, 0), DONE(T2));
	for (int i = 0; i < 2; i++) {
		assert_errno(abi_run(&a), EFAULT);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
		assert_int_equal(SOFTVIRT_MEMORY_FAULT(a.run)->gpa, 0x30000000);
		assert_int_equal(SOFTVIRT_MEMORY_FAULT(a.run)->size, 0x1000);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc)), ABI_RAM + 4);
	}
	/* Mended, the guest goes on with the instruction. */
	assert_int_equal(mprotect(bad, 4096, PROT_READ | PROT_WRITE), 0);
	*(u8 *)bad = 0x21;
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.t1)), 0x21);
	abi_down(&a);
	munmap(bad, 4096);
}

/* Part of it is enough; what is not mapped, or read-only on both sides, is fine. */
static void a_writable_slot_on_a_read_only_mapping_is_eperm(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x5000);

	abi_vm(&a);
	assert_int_equal(mprotect(m + 0x2000, 0x1000, PROT_READ), 0);
	assert_errno(abi_region(a.vm, 0, 0, 0x10000, 0x5000, m), EPERM);
	assert_errno(abi_region(a.vm, 0, 0, 0x10000, 0x1000, m + 0x2000), EPERM);
	assert_errno(abi_region(a.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0x10000, 0x5000, m), EPERM);
	assert_return_code(abi_region(a.vm, 0, 0, 0x10000, 0x2000, m), errno);
	assert_return_code(abi_region(a.vm, 1, 0, 0x20000, 0x2000, m + 0x3000), errno);
	assert_return_code(abi_region(a.vm, 2, KVM_MEM_READONLY, 0x30000, 0x5000, m), errno);
	/* The move and the log of a slot are looked at again; then it is as it was. */
	assert_int_equal(mprotect(m, 0x1000, PROT_NONE), 0);
	assert_errno(abi_region(a.vm, 0, 0, 0x40000, 0x2000, m), EPERM);
	assert_errno(abi_region(a.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0x10000, 0x2000, m), EPERM);
	assert_errno(abi_region(a.vm, 3, 0, 0x10000, 0x1000, m + 0x3000), EEXIST);
	assert_return_code(abi_region(a.vm, 3, 0, 0x40000, 0x1000, m + 0x3000), errno);
	/* Beyond the address space it is EFAULT first. */
	assert_errno(abi_region(a.vm, 4, 0, 1ull << 59, 0x1000, m), EFAULT);
	munmap(m + 0x2000, 0x1000);
	assert_return_code(abi_region(a.vm, 5, 0, 0x50000, 0x3000, m + 0x2000), errno);
	munmap(m, 0x5000);
	abi_down(&a);
}

static void fetching_from_nowhere_is_eopnotsupp(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.pc), ABI_DEVICE), errno);
	assert_errno(abi_run(&a), EOPNOTSUPP);
	abi_down(&a);
}

static void set_region_survives_every_failure(void **state)
{
	struct abi a;
	u8 *m = abi_memory(0x2000);

	abi_up(&a);
	for (unsigned int n = 1; ; n++) {
		int ret;

		sv_fault_inject(n);
		ret = abi_region(a.vm, 9, KVM_MEM_LOG_DIRTY_PAGES, 0x30000000, 0x2000, m);
		if (!sv_fault_fired()) {
			assert_return_code(ret, errno);
			break;
		}
		sv_fault_inject(0);
		/* The look at the host's mappings may fail without harm. */
		if (!ret)
			assert_return_code(abi_region(a.vm, 9, 0, 0x30000000, 0, m), errno);
		assert_errno(abi_region(a.vm, 9, 0, 0x30000000, 0, m), EINVAL);
	}
	for (unsigned int n = 1; ; n++) {
		int ret;

		sv_fault_inject(n);
		ret = abi_region(a.vm, 9, 0, 0x30000000, 0, m);
		if (!sv_fault_fired()) {
			assert_return_code(ret, errno);
			break;
		}
		sv_fault_inject(0);
		assert_int_equal(ret, -1);
		/* Still there. */
		assert_errno(abi_region(a.vm, 10, 0, 0x30000000, 0x1000, m), EEXIST);
	}
	sv_fault_inject(0);
	munmap(m, 0x2000);
	abi_down(&a);
}

static void *run_thread(void *arg)
{
	struct abi *a = arg;
	int ret;

	/* Only the page that comes and goes is touched; a device exit means that it was away. */
	do {
		ret = abi_run(a);
	} while (ret == 0 && a->run->exit_reason == KVM_EXIT_MMIO &&
		 a->run->mmio.phys_addr >> 12 == 0x30000);
	assert_return_code(ret, errno);
	return NULL;
}

static void slots_come_and_go_under_a_running_guest(void **state)
{
	struct abi a;
	pthread_t t;
	u8 *m;

	abi_up(&a);
	/* loop: load from the page; leave when a word in RAM is set. */
	abi_guest(&a, LUI(T0, 0x30000), LUI(T1, 0x80000), SLLI(T1, T1, 32),
		  i_type(0x13, 5, T1, T1, 32) /* srli */, LBU(A0, T0, 0), SB(A0, T0, 8),
		  LW(A1, T1, 0x400), 0xfe058ae3u /* beqz a1, -12 */, DONE(T2));
	assert_int_equal(pthread_create(&t, NULL, run_thread, &a), 0);
	for (int i = 0; i < 200; i++) {
		m = abi_memory(0x1000);
		assert_return_code(abi_region(a.vm, 1, 0, 0x30000000, 0x1000, m), errno);
		assert_return_code(abi_region(a.vm, 1, 0, 0x30000000, 0, m), errno);
		munmap(m, 0x1000);	/* nobody touches it any more, or the run ends with EFAULT */
	}
	__atomic_store_n((u32 *)(a.ram + 0x400), 1, __ATOMIC_SEQ_CST);
	pthread_join(t, NULL);
	assert_int_equal(a.run->mmio.phys_addr, ABI_DONE);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misaligned_values_are_einval),
		cmocka_unit_test(addresses_that_wrap_or_leave_user_space_are_einval),
		cmocka_unit_test(slot_numbers_beyond_the_last_are_einval),
		cmocka_unit_test(unknown_flags_are_einval),
		cmocka_unit_test(a_bad_pointer_is_efault),
		cmocka_unit_test(overlapping_slots_are_eexist),
		cmocka_unit_test(changing_what_may_not_change_is_einval),
		cmocka_unit_test(a_store_to_read_only_memory_is_mmio),
		cmocka_unit_test(a_moved_slot_is_where_it_went),
		cmocka_unit_test(memory_that_is_not_there_is_efault),
		cmocka_unit_test(a_writable_slot_on_a_read_only_mapping_is_eperm),
		cmocka_unit_test(fetching_from_nowhere_is_eopnotsupp),
		cmocka_unit_test(set_region_survives_every_failure),
		cmocka_unit_test(slots_come_and_go_under_a_running_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
