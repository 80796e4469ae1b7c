/* SPDX-License-Identifier: MIT */
/* KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO, and the ring */
#include "abi.h"

static int zone(int vm, unsigned long cmd, u64 addr, u32 size, u32 pio)
{
	struct kvm_coalesced_mmio_zone z = { .addr = addr, .size = size, .pio = pio };

	return softvirt_ioctl(vm, cmd, &z);
}

static struct kvm_coalesced_mmio_ring *ring(struct kvm_run *run)
{
	return (void *)((char *)run + 4096 * KVM_RISCV_COALESCED_MMIO_PAGE_OFFSET);
}

static void wrong_arguments(void **state)
{
	struct abi a;

	abi_vm(&a);
	assert_errno(zone(a.vm, KVM_REGISTER_COALESCED_MMIO, ABI_DEVICE, 16, 2), EINVAL);
	assert_errno(zone(a.vm, KVM_UNREGISTER_COALESCED_MMIO, ABI_DEVICE, 16, 2), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_REGISTER_COALESCED_MMIO, abi_bad_page()), EFAULT);
	/* What was never registered. */
	assert_return_code(zone(a.vm, KVM_UNREGISTER_COALESCED_MMIO, ABI_DEVICE, 16, 0), errno);
	abi_down(&a);
}

static void stores_inside_go_to_the_ring(void **state)
{
	struct kvm_coalesced_mmio_ring *r;
	struct abi a;

	abi_up(&a);
	r = ring(a.run);
	assert_return_code(zone(a.vm, KVM_REGISTER_COALESCED_MMIO, ABI_DEVICE, 16, 0), errno);
	abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), LI(T1, 0x11), SB(T1, T0, 0), SW(T1, T0, 12),
		  SD(T1, T0, 16), LBU(T2, T0, 0), DONE(T2));
	assert_return_code(abi_run(&a), errno);		/* behind the zone */
	assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(a.run->mmio.phys_addr, ABI_DEVICE + 16);
	assert_int_equal(a.run->mmio.len, 8);
	assert_int_equal(r->first, 0);
	assert_int_equal(r->last, 2);
	assert_int_equal(r->coalesced_mmio[0].phys_addr, ABI_DEVICE);
	assert_int_equal(r->coalesced_mmio[0].len, 1);
	assert_int_equal(r->coalesced_mmio[0].data[0], 0x11);
	assert_int_equal(r->coalesced_mmio[1].len, 4);
	assert_return_code(abi_run(&a), errno);		/* loads are never coalesced */
	assert_int_equal(a.run->mmio.is_write, 0);
	abi_run_done(&a);
	abi_down(&a);
}

static void a_full_or_broken_ring_is_an_exit(void **state)
{
	struct kvm_coalesced_mmio_ring *r;
	struct abi a;
	u32 n = 0;

	abi_up(&a);
	r = ring(a.run);
	assert_return_code(zone(a.vm, KVM_REGISTER_COALESCED_MMIO, ABI_DEVICE, 4096, 0), errno);
	abi_guest(&a, LUI(T0, ABI_DEVICE >> 12), SB(X0, T0, 0), j_back(-4));
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
	n = r->last;
	assert_true(n > 100 && n < 4096 / sizeof(struct kvm_coalesced_mmio));
	for (int i = 0; i < 3; i++) {
		static const u32 bad[] = { 0xffffffff, 0x80000000, 200 };

		r->last = bad[i];
		r->first = bad[i];
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
	}
	r->first = r->last = 0;
	assert_return_code(zone(a.vm, KVM_UNREGISTER_COALESCED_MMIO, ABI_DEVICE, 4096, 0), errno);
	assert_return_code(abi_run(&a), errno);
	assert_int_equal(r->last, 0);
	abi_down(&a);
}

static void all_vcpus_share_the_first_ones_ring(void **state)
{
	struct kvm_mp_state s = { KVM_MP_STATE_RUNNABLE };
	struct abi a, b;

	abi_up(&a);
	b = a;
	b.vcpu = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1);
	b.run = abi_map_run(b.vcpu);
	assert_return_code(softvirt_ioctl(b.vcpu, KVM_SET_MP_STATE, &s), errno);
	assert_return_code(zone(a.vm, KVM_REGISTER_COALESCED_MMIO, ABI_DEVICE, 4096, 0), errno);
	abi_guest(&b, LUI(T0, ABI_DEVICE >> 12), SB(X0, T0, 5), DONE(T0));
	abi_run_done(&b);
	assert_int_equal(ring(a.run)->last, 1);
	assert_int_equal(ring(b.run)->last, 1);
	assert_int_equal(a.run->exit_reason, 0);	/* the run pages are not shared */
	munmap(b.run, ABI_RUN_SIZE);
	softvirt_close(b.vcpu);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_arguments),
		cmocka_unit_test(stores_inside_go_to_the_ring),
		cmocka_unit_test(a_full_or_broken_ring_is_an_exit),
		cmocka_unit_test(all_vcpus_share_the_first_ones_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
