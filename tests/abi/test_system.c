/* SPDX-License-Identifier: MIT */
/* The system descriptor: KVM_GET_API_VERSION, KVM_GET_VCPU_MMAP_SIZE, KVM_CHECK_EXTENSION, KVM_CREATE_VM. */
#include "abi.h"

static void api_version_is_12(void **state)
{
	int kvm = abi_open();

	assert_int_equal(softvirt_ioctl(kvm, KVM_GET_API_VERSION, 0), 12);
	softvirt_close(kvm);
}

static void api_version_with_an_argument_is_einval(void **state)
{
	int kvm = abi_open();

	assert_errno(softvirt_ioctl(kvm, KVM_GET_API_VERSION, 1), EINVAL);
	assert_errno(softvirt_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
	softvirt_close(kvm);
}

static void mmap_size_holds_run_and_ring(void **state)
{
	int kvm = abi_open();

	assert_int_equal(softvirt_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), ABI_RUN_SIZE);
	softvirt_close(kvm);
}

static void unknown_commands_are_einval(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_errno(softvirt_ioctl(a.kvm, _IO(KVMIO, 0xff), 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, _IO(KVMIO, 0xff), 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vcpu, _IO(KVMIO, 0xff), 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vcpu, _IO('z', 0x80), 0), EINVAL);
	/* A command of another descriptor, and one with another size. */
	assert_errno(softvirt_ioctl(a.kvm, KVM_RUN, 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_VM, 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_CREATE_VCPU, 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vcpu, _IOW(KVMIO, 0xab, u32), 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_REGS, 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_SREGS, 0), EINVAL);
	abi_down(&a);
}

static void extensions_that_work_are_listed(void **state)
{
	static const int yes[] = {
		KVM_CAP_USER_MEMORY, KVM_CAP_USER_MEMORY2, KVM_CAP_READONLY_MEM, KVM_CAP_IOEVENTFD,
		KVM_CAP_ONE_REG, KVM_CAP_MP_STATE, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IRQFD,
		KVM_CAP_CHECK_EXTENSION_VM, KVM_CAP_BINARY_STATS_FD, KVM_CAP_DEVICE_CTRL,
		KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_MEMORY_FAULT_INFO,
		KVM_CAP_PRE_FAULT_MEMORY, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP,
	};
	struct abi a;

	abi_vm(&a);
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, yes[i]), 1);
		assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, yes[i]), 1);
	}
	assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS), 1024);
	assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS), 32767);
	assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO), 1);
	assert_true(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS) >= 1);
	assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION,
					KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), 3);
	abi_down(&a);
}

static void extensions_of_other_machines_are_0(void **state)
{
	static const int no[] = {
		KVM_CAP_HLT, KVM_CAP_SET_TSS_ADDR, KVM_CAP_EXT_CPUID, KVM_CAP_XSAVE, 100000, -1,
	};
	int kvm = abi_open();

	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_int_equal(softvirt_ioctl(kvm, KVM_CHECK_EXTENSION, no[i]), 0);
	softvirt_close(kvm);
}

static void a_vm_outlives_the_system_descriptor(void **state)
{
	int kvm = abi_open(), vm = softvirt_ioctl(kvm, KVM_CREATE_VM, 0);

	softvirt_close(kvm);
	assert_true(vm >= 0);
	assert_int_equal(softvirt_ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ONE_REG), 1);
	assert_return_code(softvirt_close(vm), errno);
	assert_errno(softvirt_ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ONE_REG), EBADF);
}

static void create_vm_survives_every_failure(void **state)
{
	int kvm = abi_open(), before = abi_count_fds();

	for (unsigned int n = 1; ; n++) {
		int vm;

		sv_fault_inject(n);
		vm = softvirt_ioctl(kvm, KVM_CREATE_VM, 0);
		if (!sv_fault_fired()) {
			assert_true(vm >= 0);
			softvirt_close(vm);
			break;
		}
		assert_int_equal(vm, -1);
		assert_true(errno == ENOMEM || errno == EMFILE || errno == EINVAL);
		assert_int_equal(abi_count_fds(), before);
	}
	sv_fault_inject(0);
	assert_int_equal(abi_count_fds(), before);
	softvirt_close(kvm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(api_version_is_12),
		cmocka_unit_test(api_version_with_an_argument_is_einval),
		cmocka_unit_test(mmap_size_holds_run_and_ring),
		cmocka_unit_test(unknown_commands_are_einval),
		cmocka_unit_test(extensions_that_work_are_listed),
		cmocka_unit_test(extensions_of_other_machines_are_0),
		cmocka_unit_test(a_vm_outlives_the_system_descriptor),
		cmocka_unit_test(create_vm_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
