/* SPDX-License-Identifier: MIT */
/* KVM_IOEVENTFD */
#include <sys/eventfd.h>

#include "abi.h"

static int io(int vm, int fd, u64 addr, u32 len, u32 flags, u64 match)
{
	struct kvm_ioeventfd e = {
		.fd = fd, .addr = addr, .len = len, .flags = flags, .datamatch = match,
	};

	return softvirt_ioctl(vm, KVM_IOEVENTFD, &e);
}

static u64 count(int fd)
{
	u64 v = 0;

	return read(fd, &v, sizeof(v)) == sizeof(v) ? v : 0;
}

static void wrong_arguments_are_einval(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK);

	abi_vm(&a);
	for (u32 len = 0; len < 20; len++)
		if (len != 0 && len != 1 && len != 2 && len != 4 && len != 8)
			assert_errno(io(a.vm, e, ABI_DEVICE, len, 0, 0), EINVAL);
	assert_errno(io(a.vm, e, -4ull, 8, 0, 0), EINVAL);
	assert_errno(io(a.vm, e, ABI_DEVICE, 4, 1 << 4, 0), EINVAL);
	assert_errno(io(a.vm, e, ABI_DEVICE, 0, KVM_IOEVENTFD_FLAG_DATAMATCH, 0), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_IOEVENTFD, abi_bad_page()), EFAULT);
	close(e);
	abi_down(&a);
}

static void what_is_no_eventfd(void **state)
{
	struct abi a;
	int pipes[2];

	abi_up(&a);
	assert_int_equal(pipe(pipes), 0);
	assert_errno(io(a.vm, -1, ABI_DEVICE, 4, 0, 0), EBADF);
	assert_errno(io(a.vm, 4000, ABI_DEVICE, 4, 0, 0), EBADF);
	assert_errno(io(a.vm, pipes[0], ABI_DEVICE, 4, 0, 0), EINVAL);
	assert_errno(io(a.vm, a.vm, ABI_DEVICE, 4, 0, 0), EINVAL);
	assert_errno(io(a.vm, a.vcpu, ABI_DEVICE, 4, 0, 0), EINVAL);
	assert_errno(io(a.vm, pipes[0], ABI_DEVICE, 4, KVM_IOEVENTFD_FLAG_DEASSIGN, 0), EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	abi_down(&a);
}

static void the_same_place_twice_is_eexist(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK), f = eventfd(0, EFD_NONBLOCK);
	const u32 dm = KVM_IOEVENTFD_FLAG_DATAMATCH;

	abi_vm(&a);
	assert_return_code(io(a.vm, e, ABI_DEVICE, 4, dm, 1), errno);
	assert_return_code(io(a.vm, f, ABI_DEVICE, 4, dm, 2), errno);
	assert_return_code(io(a.vm, f, ABI_DEVICE, 2, 0, 0), errno);
	assert_errno(io(a.vm, f, ABI_DEVICE, 4, dm, 1), EEXIST);
	assert_errno(io(a.vm, f, ABI_DEVICE, 4, 0, 0), EEXIST);
	assert_errno(io(a.vm, f, ABI_DEVICE, 0, 0, 0), EEXIST);
	assert_errno(io(a.vm, f, ABI_DEVICE, 2, dm, 5), EEXIST);
	close(e);
	close(f);
	abi_down(&a);
}

static void deassign_must_name_it_exactly(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK), f = eventfd(0, EFD_NONBLOCK), copy;
	const u32 dm = KVM_IOEVENTFD_FLAG_DATAMATCH, de = KVM_IOEVENTFD_FLAG_DEASSIGN;

	abi_vm(&a);
	assert_errno(io(a.vm, e, ABI_DEVICE, 4, de, 0), ENOENT);
	assert_return_code(io(a.vm, e, ABI_DEVICE, 4, dm, 1), errno);
	assert_errno(io(a.vm, f, ABI_DEVICE, 4, dm | de, 1), ENOENT);
	assert_errno(io(a.vm, e, ABI_DEVICE, 4, dm | de, 2), ENOENT);
	assert_errno(io(a.vm, e, ABI_DEVICE, 4, de, 1), ENOENT);
	assert_errno(io(a.vm, e, ABI_DEVICE, 2, dm | de, 1), ENOENT);
	assert_errno(io(a.vm, e, ABI_DEVICE + 4, 4, dm | de, 1), ENOENT);
	/* Another descriptor of the same eventfd is the same eventfd. */
	copy = dup(e);
	assert_return_code(io(a.vm, copy, ABI_DEVICE, 4, dm | de, 1), errno);
	assert_errno(io(a.vm, e, ABI_DEVICE, 4, dm | de, 1), ENOENT);
	close(copy);
	close(e);
	close(f);
	abi_down(&a);
}

static void a_matching_store_signals_and_does_not_exit(void **state)
{
	struct abi a;
	int any = eventfd(0, EFD_NONBLOCK), one = eventfd(0, EFD_NONBLOCK),
	    word = eventfd(0, EFD_NONBLOCK);

	abi_up(&a);
	assert_return_code(io(a.vm, any, ABI_DEVICE, 0, 0, 0), errno);
	assert_return_code(io(a.vm, one, ABI_DEVICE + 16, 4, KVM_IOEVENTFD_FLAG_DATAMATCH, 1), errno);
	assert_return_code(io(a.vm, word, ABI_DEVICE + 32, 2, 0, 0), errno);
	abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), LI(T1, 1), LI(T2, 2),
		  SB(T1, T0, 0), SH(T1, T0, 0), SW(T1, T0, 0), SD(T1, T0, 0),
		  SW(T1, T0, 16), SW(T1, T0, 16),
		  SH(T2, T0, 32), SH(T1, T0, 32), SH(T1, T0, 32),
		  DONE(A0),
		  SW(T2, T0, 16), SB(T1, T0, 16), SB(T1, T0, 32), DONE(A0));
	abi_run_done(&a);
	assert_int_equal(count(any), 4);
	assert_int_equal(count(one), 2);
	assert_int_equal(count(word), 3);
	/* Another value, another width: exits. */
	for (int i = 0; i < 3; i++) {
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
		assert_int_equal(a.run->mmio.phys_addr, i < 2 ? ABI_DEVICE + 16 : ABI_DEVICE + 32);
	}
	abi_run_done(&a);
	assert_int_equal(count(one) + count(word) + count(any), 0);
	close(any);
	close(one);
	close(word);
	abi_down(&a);
}

static void the_callers_descriptor_may_be_closed(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK), copy = dup(e);

	abi_up(&a);
	assert_return_code(io(a.vm, e, ABI_DEVICE, 4, 0, 0), errno);
	close(e);
	abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), SW(X0, T0, 0), DONE(T0));
	abi_run_done(&a);
	assert_int_equal(count(copy), 1);
	close(copy);
	abi_down(&a);
}

static void ioeventfd_survives_every_failure(void **state)
{
	struct abi a;
	int e = eventfd(0, EFD_NONBLOCK), before;

	abi_up(&a);
	before = abi_count_fds();
	for (unsigned int n = 1; ; n++) {
		int ret;

		sv_fault_inject(n);
		ret = io(a.vm, e, ABI_DEVICE, 4, 0, 0);
		if (!sv_fault_fired()) {
			assert_return_code(ret, errno);
			break;
		}
		assert_int_equal(ret, -1);
		assert_true(errno == ENOMEM || errno == EMFILE);
		assert_int_equal(abi_count_fds(), before);
	}
	sv_fault_inject(0);
	assert_return_code(io(a.vm, e, ABI_DEVICE, 4, KVM_IOEVENTFD_FLAG_DEASSIGN, 0), errno);
	assert_int_equal(abi_count_fds(), before);
	close(e);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_arguments_are_einval),
		cmocka_unit_test(what_is_no_eventfd),
		cmocka_unit_test(the_same_place_twice_is_eexist),
		cmocka_unit_test(deassign_must_name_it_exactly),
		cmocka_unit_test(a_matching_store_signals_and_does_not_exit),
		cmocka_unit_test(the_callers_descriptor_may_be_closed),
		cmocka_unit_test(ioeventfd_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
