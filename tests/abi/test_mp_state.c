/* SPDX-License-Identifier: MIT */
/* KVM_GET_MP_STATE, KVM_SET_MP_STATE */
#include "abi.h"

static void states_that_a_hart_does_not_have_are_einval(void **state)
{
	struct kvm_mp_state s;
	struct abi a;

	abi_up(&a);
	for (u32 v = 0; v < 40; v++) {
		s.mp_state = v;
		if (v == KVM_MP_STATE_RUNNABLE || v == KVM_MP_STATE_STOPPED)
			continue;
		assert_errno(softvirt_ioctl(a.vcpu, KVM_SET_MP_STATE, &s), EINVAL);
	}
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_MP_STATE, &s), errno);
	assert_int_equal(s.mp_state, KVM_MP_STATE_RUNNABLE);
	abi_down(&a);
}

static void a_bad_pointer_is_efault(void **state)
{
	struct abi a;
	void *bad = abi_bad_page();

	abi_up(&a);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_MP_STATE, bad), EFAULT);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_SET_MP_STATE, bad), EFAULT);
	abi_down(&a);
}

static void stopped_and_made_runnable_again_it_runs(void **state)
{
	struct kvm_mp_state s = { KVM_MP_STATE_STOPPED };
	struct abi a;

	abi_up(&a);
	abi_guest(&a, DONE(T0));
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_SET_MP_STATE, &s), errno);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_MP_STATE, &s), errno);
	assert_int_equal(s.mp_state, KVM_MP_STATE_STOPPED);
	s.mp_state = KVM_MP_STATE_RUNNABLE;
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_SET_MP_STATE, &s), errno);
	abi_run_done(&a);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_that_a_hart_does_not_have_are_einval),
		cmocka_unit_test(a_bad_pointer_is_efault),
		cmocka_unit_test(stopped_and_made_runnable_again_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
