/* SPDX-License-Identifier: MIT */
/* KVM_ENABLE_CAP */
#include "abi.h"

static int enable(int fd, u32 cap, u32 flags, u64 arg)
{
	struct kvm_enable_cap c = { .cap = cap, .flags = flags, .args = { arg } };

	return softvirt_ioctl(fd, KVM_ENABLE_CAP, &c);
}

static void what_cannot_be_enabled_is_einval(void **state)
{
	struct abi a;

	abi_up(&a);
	for (u32 cap = 0; cap < 300; cap++)
		if (cap != KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
			assert_errno(enable(a.vm, cap, 0, 0), EINVAL);
	assert_errno(enable(a.vcpu, KVM_CAP_ONE_REG, 0, 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_ENABLE_CAP, abi_bad_page()), EFAULT);
	abi_down(&a);
}

static void manual_protection_takes_two_bits_and_no_flags(void **state)
{
	const u32 cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
	struct abi a;

	abi_vm(&a);
	assert_errno(enable(a.vm, cap, 1, 1), EINVAL);
	assert_errno(enable(a.vm, cap, 0, 4), EINVAL);
	assert_errno(enable(a.vm, cap, 0, 2), EINVAL);	/* initially set, without manual */
	assert_return_code(enable(a.vm, cap, 0, 3), errno);
	assert_return_code(enable(a.vm, cap, 0, 1), errno);
	assert_return_code(enable(a.vm, cap, 0, 0), errno);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_enabled_is_einval),
		cmocka_unit_test(manual_protection_takes_two_bits_and_no_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
