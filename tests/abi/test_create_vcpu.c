/* SPDX-License-Identifier: MIT */
/* KVM_CREATE_VCPU */
#include "abi.h"

static void id_beyond_the_maximum_is_einval(void **state)
{
	struct abi a;

	abi_vm(&a);
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1024), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1ul << 32), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_VCPU, -1ul), EINVAL);
	abi_down(&a);
}

static void id_twice_is_eexist(void **state)
{
	struct abi a;
	int one;

	abi_vm(&a);
	one = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 5);
	assert_true(one >= 0);
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 5), EEXIST);
	/* The vCPU stays when its descriptor goes. */
	softvirt_close(one);
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 5), EEXIST);
	abi_down(&a);
}

static void ids_in_any_order_only_the_first_created_runs(void **state)
{
	static const int ids[] = { 1023, 0, 512, 7 };
	struct abi a;

	abi_vm(&a);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct kvm_mp_state s;
		int fd = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, ids[i]);

		assert_true(fd >= 0);
		assert_return_code(softvirt_ioctl(fd, KVM_GET_MP_STATE, &s), errno);
		assert_int_equal(s.mp_state, i ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE);
		softvirt_close(fd);
	}
	abi_down(&a);
}

static void a_vcpu_outlives_the_vm_descriptor(void **state)
{
	struct abi a;

	abi_up(&a);
	softvirt_close(a.vm);
	abi_guest(&a, DONE(T0));
	abi_run_done(&a);
	a.vm = a.kvm;
	a.kvm = abi_open();
	abi_down(&a);
}

static void native_mmap_shows_the_run_page(void **state)
{
	struct abi a;
	struct kvm_run *native;

	abi_up(&a);
	native = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, a.vcpu, 0);
	assert_ptr_not_equal(native, MAP_FAILED);
	abi_guest(&a, DONE(T0));
	abi_run_done(&a);
	assert_int_equal(native->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(native->mmio.phys_addr, ABI_DONE);
	munmap(native, 4096);
	abi_down(&a);
}

static void the_run_page_cannot_be_truncated(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(ftruncate(a.vcpu, 0), -1);
	abi_guest(&a, DONE(T0));
	abi_run_done(&a);
	abi_down(&a);
}

static void mapping_survives_close(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, DONE(T0));
	abi_run_done(&a);
	softvirt_close(a.vcpu);
	a.vcpu = -1;
	assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
	abi_down(&a);
}

static void create_vcpu_survives_every_failure(void **state)
{
	struct abi a;
	int before;

	abi_vm(&a);
	before = abi_count_fds();
	for (unsigned int n = 1; ; n++) {
		int fd;

		sv_fault_inject(n);
		fd = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 3);
		if (!sv_fault_fired()) {
			assert_true(fd >= 0);
			softvirt_close(fd);
			break;
		}
		if (fd >= 0) {	/* what failed was not needed */
			softvirt_close(fd);
			softvirt_close(a.vm);
			a.vm = softvirt_ioctl(a.kvm, KVM_CREATE_VM, 0);
			continue;
		}
		assert_true(errno == ENOMEM || errno == EMFILE || errno == EINVAL);
		assert_int_equal(abi_count_fds(), before);
	}
	sv_fault_inject(0);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_beyond_the_maximum_is_einval),
		cmocka_unit_test(id_twice_is_eexist),
		cmocka_unit_test(ids_in_any_order_only_the_first_created_runs),
		cmocka_unit_test(a_vcpu_outlives_the_vm_descriptor),
		cmocka_unit_test(native_mmap_shows_the_run_page),
		cmocka_unit_test(the_run_page_cannot_be_truncated),
		cmocka_unit_test(mapping_survives_close),
		cmocka_unit_test(create_vcpu_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
