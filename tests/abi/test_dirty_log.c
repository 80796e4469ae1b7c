/* SPDX-License-Identifier: MIT */
/* KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG, and the manual protection that joins them */
#include "abi.h"

#define LOGGED 0x30000000ull
#define PAGES 130ull		/* two words and a bit */
#define WORDS 3

static u8 *memory;

static void up(struct abi *a, u64 manual)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { manual },
	};

	abi_up(a);
	if (manual)
		assert_return_code(softvirt_ioctl(a->vm, KVM_ENABLE_CAP, &cap), errno);
	memory = abi_memory(PAGES * 4096);
	assert_return_code(abi_region(a->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, LOGGED, PAGES * 4096,
				      memory), errno);
}

static void down(struct abi *a)
{
	abi_down(a);
	munmap(memory, PAGES * 4096);
}

static int get_log(struct abi *a, u32 slot, void *bitmap)
{
	struct kvm_dirty_log l = { .slot = slot, .dirty_bitmap = bitmap };

	return softvirt_ioctl(a->vm, KVM_GET_DIRTY_LOG, &l);
}

static int clear_log(struct abi *a, u32 slot, u64 first, u32 num, void *bitmap)
{
	struct kvm_clear_dirty_log l = {
		.slot = slot, .first_page = first, .num_pages = num, .dirty_bitmap = bitmap,
	};

	return softvirt_ioctl(a->vm, KVM_CLEAR_DIRTY_LOG, &l);
}

/* The guest loads from each page, and stores to page n. */
static void touch(struct abi *a, u64 n)
{
	abi_guest(a, LBU(T1, T0, 0), SB(T1, A0, 1), LBU(T1, A0, 1), DONE(T2));
	assert_return_code(abi_set(a->vcpu, REG_CORE(regs.t0), LOGGED), errno);
	assert_return_code(abi_set(a->vcpu, REG_CORE(regs.a0), LOGGED + n * 4096), errno);
	abi_run_done(a);
}

static void wrong_slots(void **state)
{
	u64 bits[WORDS];
	struct abi a;

	up(&a, 0);
	assert_errno(get_log(&a, 32767, bits), EINVAL);
	assert_errno(get_log(&a, 1 << 16, bits), EINVAL);
	assert_errno(get_log(&a, 7, bits), ENOENT);
	assert_errno(get_log(&a, 0, bits), ENOENT);		/* there, but not logged */
	assert_errno(get_log(&a, 1, abi_bad_page()), EFAULT);
	assert_errno(softvirt_ioctl(a.vm, KVM_GET_DIRTY_LOG, abi_bad_page()), EFAULT);
	assert_errno(clear_log(&a, 7, 0, 64, bits), ENOENT);
	assert_errno(clear_log(&a, 32767, 0, 64, bits), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_CLEAR_DIRTY_LOG, abi_bad_page()), EFAULT);
	down(&a);
}

static void wrong_ranges_to_clear_are_einval(void **state)
{
	u64 bits[WORDS] = { 0 };
	struct abi a;

	up(&a, 1);
	assert_errno(clear_log(&a, 1, 1, 64, bits), EINVAL);
	assert_errno(clear_log(&a, 1, 0, 63, bits), EINVAL);
	assert_errno(clear_log(&a, 1, 192, 0, bits), EINVAL);
	assert_errno(clear_log(&a, 1, 0, PAGES + 1, bits), EINVAL);
	assert_errno(clear_log(&a, 1, 128, 3, bits), EINVAL);
	assert_return_code(clear_log(&a, 1, 128, 2, bits), errno);
	assert_return_code(clear_log(&a, 1, 64, 64, bits), errno);
	assert_return_code(clear_log(&a, 1, 0, PAGES, bits), errno);
	assert_errno(clear_log(&a, 1, 0, PAGES, abi_bad_page()), EFAULT);
	down(&a);
}

static void only_stores_are_dirty_and_reading_cleans(void **state)
{
	u64 bits[WORDS], want[WORDS];
	struct abi a;

	up(&a, 0);
	for (u64 n = 0; n < PAGES; n++) {
		touch(&a, n);
		memset(want, 0, sizeof(want));
		want[n / 64] = BIT(n % 64);
		memset(bits, 0xff, sizeof(bits));
		assert_return_code(get_log(&a, 1, bits), errno);
		assert_memory_equal(bits, want, sizeof(bits));
		assert_return_code(get_log(&a, 1, bits), errno);
		assert_int_equal(bits[n / 64], 0);
	}
	/* The same page again, whose translation the vCPU had. */
	touch(&a, 5);
	touch(&a, 5);
	assert_return_code(get_log(&a, 1, bits), errno);
	assert_int_equal(bits[0], BIT(5));
	down(&a);
}

static void with_manual_protection_only_clearing_cleans(void **state)
{
	u64 bits[WORDS], some[1] = { BIT(3) };
	struct abi a;

	up(&a, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	touch(&a, 3);
	touch(&a, 7);
	for (int i = 0; i < 2; i++) {
		assert_return_code(get_log(&a, 1, bits), errno);
		assert_int_equal(bits[0], BIT(3) | BIT(7));
	}
	assert_return_code(clear_log(&a, 1, 0, 64, some), errno);
	assert_return_code(get_log(&a, 1, bits), errno);
	assert_int_equal(bits[0], BIT(7));
	touch(&a, 3);
	assert_return_code(get_log(&a, 1, bits), errno);
	assert_int_equal(bits[0], BIT(3) | BIT(7));
	down(&a);
}

static void initially_set_has_the_slots_bits_and_no_more(void **state)
{
	u64 bits[WORDS];
	struct abi a;

	up(&a, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	assert_return_code(get_log(&a, 1, bits), errno);
	assert_int_equal(bits[0], ~0ull);
	assert_int_equal(bits[1], ~0ull);
	assert_int_equal(bits[2], 3);
	down(&a);
}

static void logging_that_begins_late_sees_the_next_store(void **state)
{
	u64 bits[WORDS];
	struct abi a;

	up(&a, 0);
	assert_return_code(abi_region(a.vm, 1, 0, LOGGED, PAGES * 4096, memory), errno);
	touch(&a, 9);		/* the vCPU may write without asking now */
	assert_errno(get_log(&a, 1, bits), ENOENT);
	assert_return_code(abi_region(a.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, LOGGED, PAGES * 4096,
				      memory), errno);
	touch(&a, 9);
	assert_return_code(get_log(&a, 1, bits), errno);
	assert_int_equal(bits[0], BIT(9));
	/* A move takes the log along. */
	touch(&a, 10);
	assert_return_code(abi_region(a.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, LOGGED + 0x1000000,
				      PAGES * 4096, memory), errno);
	assert_return_code(get_log(&a, 1, bits), errno);
	assert_int_equal(bits[0], BIT(10));
	down(&a);
}

static void dirty_log_survives_every_failure(void **state)
{
	u64 bits[WORDS];
	struct abi a;

	up(&a, 0);
	touch(&a, 3);
	for (unsigned int n = 1; ; n++) {
		int ret;

		sv_fault_inject(n);
		ret = get_log(&a, 1, bits);
		if (!sv_fault_fired()) {
			assert_return_code(ret, errno);
			break;
		}
		assert_int_equal(ret, -1);
		assert_int_equal(errno, ENOMEM);
	}
	sv_fault_inject(0);
	assert_int_equal(bits[0], BIT(3));	/* the failures lost nothing */
	down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_slots),
		cmocka_unit_test(wrong_ranges_to_clear_are_einval),
		cmocka_unit_test(only_stores_are_dirty_and_reading_cleans),
		cmocka_unit_test(with_manual_protection_only_clearing_cleans),
		cmocka_unit_test(initially_set_has_the_slots_bits_and_no_more),
		cmocka_unit_test(logging_that_begins_late_sees_the_next_store),
		cmocka_unit_test(dirty_log_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
