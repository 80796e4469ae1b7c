/* SPDX-License-Identifier: MIT */
/* KVM_IRQFD: arguments, and who takes the count */
#include <poll.h>
#include <sys/eventfd.h>

#include "abi.h"

static int irq(int vm, int fd, u32 gsi, u32 flags, int resample)
{
	struct kvm_irqfd i = { .fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resample };

	return softvirt_ioctl(vm, KVM_IRQFD, &i);
}

static void wrong_arguments(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK), pipes[2];

	abi_vm(&a);
	assert_int_equal(pipe(pipes), 0);
	assert_errno(irq(a.vm, e, 1, 4, 0), EINVAL);
	assert_errno(irq(a.vm, -1, 1, 0, 0), EBADF);
	assert_errno(irq(a.vm, pipes[1], 1, 0, 0), EINVAL);
	assert_errno(irq(a.vm, a.vm, 1, 0, 0), EINVAL);
	assert_errno(irq(a.vm, e, 1, KVM_IRQFD_FLAG_RESAMPLE, -1), EBADF);
	assert_errno(irq(a.vm, e, 1, KVM_IRQFD_FLAG_RESAMPLE, pipes[0]), EINVAL);
	assert_errno(irq(a.vm, pipes[0], 1, KVM_IRQFD_FLAG_DEASSIGN, 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_IRQFD, abi_bad_page()), EFAULT);
	close(pipes[0]);
	close(pipes[1]);
	close(e);
	abi_down(&a);
}

static void an_eventfd_twice_is_ebusy(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK);

	abi_vm(&a);
	assert_return_code(irq(a.vm, e, 1, 0, 0), errno);
	assert_errno(irq(a.vm, e, 2, 0, 0), EBUSY);
	/* Deassigning what is not there is no error. */
	assert_return_code(irq(a.vm, e, 2, KVM_IRQFD_FLAG_DEASSIGN, 0), errno);
	assert_errno(irq(a.vm, e, 2, 0, 0), EBUSY);
	assert_return_code(irq(a.vm, e, 1, KVM_IRQFD_FLAG_DEASSIGN, 0), errno);
	assert_return_code(irq(a.vm, e, 2, 0, 0), errno);
	close(e);
	abi_down(&a);
}

/* The count goes to the irqfd; waits until it has. */
static void signal_is_taken(int e)
{
	struct pollfd p = { .fd = e, .events = POLLIN };
	u64 one = 1;

	assert_int_equal(write(e, &one, sizeof(one)), sizeof(one));
	while (poll(&p, 1, 0) == 1)
		usleep(100);
}

static void a_signal_is_taken_and_after_deassign_is_not(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK);
	u64 v;

	abi_vm(&a);
	assert_return_code(irq(a.vm, e, 1, 0, 0), errno);
	for (int i = 0; i < 100; i++)
		signal_is_taken(e);
	assert_return_code(irq(a.vm, e, 1, KVM_IRQFD_FLAG_DEASSIGN, 0), errno);
	v = 7;
	assert_int_equal(write(e, &v, sizeof(v)), sizeof(v));
	usleep(5000);
	assert_int_equal(read(e, &v, sizeof(v)), sizeof(v));
	assert_int_equal(v, 7);
	close(e);
	abi_down(&a);
}

static void a_count_from_before_is_taken(void **state)
{
	struct abi a;
	int e = eventfd(3, EFD_NONBLOCK);
	struct pollfd p = { .fd = e, .events = POLLIN };

	abi_vm(&a);
	assert_return_code(irq(a.vm, e, 1, 0, 0), errno);
	while (poll(&p, 1, 0) == 1)
		usleep(100);
	close(e);
	abi_down(&a);
}

static void without_an_irqchip_there_are_no_routes(void **state)
{
	struct kvm_irq_routing r = { .nr = 0 };
	struct kvm_irq_level l = { .irq = 1, .level = 1 };
	struct kvm_msi m = { .address_lo = 0x1000 };
	struct abi a;

	abi_vm(&a);
	assert_errno(softvirt_ioctl(a.vm, KVM_SET_GSI_ROUTING, &r), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_SET_GSI_ROUTING, abi_bad_page()), EFAULT);
	assert_errno(softvirt_ioctl(a.vm, KVM_IRQ_LINE, &l), ENXIO);
	assert_errno(softvirt_ioctl(a.vm, KVM_SIGNAL_MSI, &m), EINVAL);
	abi_down(&a);
}

static void irqfd_survives_every_failure(void **state)
{
	int e = eventfd(0, EFD_NONBLOCK), r = eventfd(0, EFD_NONBLOCK), before = abi_count_fds();

	for (unsigned int n = 1; ; n++) {
		struct abi a;
		bool fired;
		int ret;

		abi_vm(&a);
		sv_fault_inject(n);
		ret = irq(a.vm, e, 1, KVM_IRQFD_FLAG_RESAMPLE, r);
		fired = sv_fault_fired();
		sv_fault_inject(0);
		if (fired)
			assert_int_equal(ret, -1);
		else
			assert_return_code(ret, errno);
		abi_down(&a);
		assert_int_equal(abi_count_fds(), before);
		if (!fired)
			break;
	}
	close(e);
	close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_arguments),
		cmocka_unit_test(an_eventfd_twice_is_ebusy),
		cmocka_unit_test(a_signal_is_taken_and_after_deassign_is_not),
		cmocka_unit_test(a_count_from_before_is_taken),
		cmocka_unit_test(without_an_irqchip_there_are_no_routes),
		cmocka_unit_test(irqfd_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
