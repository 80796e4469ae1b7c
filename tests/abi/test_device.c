/* SPDX-License-Identifier: MIT */
/* KVM_CREATE_DEVICE */
#include "abi.h"

static void types_that_are_not_there_are_enodev(void **state)
{
	struct abi a;

	abi_vm(&a);
	for (u32 type = 0; type < 40; type++)
		for (u32 flags = 0; flags < 2; flags++) {
			struct kvm_create_device d = { .type = type, .flags = flags, .fd = 77 };

			if (softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP) == 1 &&
			    type == KVM_DEV_TYPE_RISCV_AIA)
				continue;
			assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), ENODEV);
			assert_int_equal(d.fd, 77);
		}
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, abi_bad_page()), EFAULT);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_that_are_not_there_are_enodev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
