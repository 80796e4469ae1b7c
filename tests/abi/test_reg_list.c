/* SPDX-License-Identifier: MIT */
/* KVM_GET_REG_LIST */
#include "abi.h"

struct list {
	u64 n;
	u64 reg[1024];
};

static bool has(const struct list *l, u64 id)
{
	for (u64 i = 0; i < l->n; i++)
		if (l->reg[i] == id)
			return true;
	return false;
}

static void too_short_is_e2big_and_says_how_many(void **state)
{
	static struct list l, full = { .n = 1024 };
	struct abi a;

	abi_up(&a);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &full), errno);
	for (u64 n = 0; n < full.n; n++) {
		memset(&l, 0xee, sizeof(l));
		l.n = n;
		assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &l), E2BIG);
		assert_int_equal(l.n, full.n);
		assert_int_equal(l.reg[0], 0xeeeeeeeeeeeeeeee);
	}
	l.n = full.n;
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &l), errno);
	/* Nothing beyond what there is. */
	assert_int_equal(l.reg[full.n], 0xeeeeeeeeeeeeeeee);
	abi_down(&a);
}

static void bad_pointers_are_efault(void **state)
{
	struct abi a;
	char *two;
	struct list *l;

	abi_up(&a);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, abi_bad_page()), EFAULT);
	two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(two + 4096, 4096, PROT_NONE);
	l = (struct list *)(two + 4096 - 8);	/* the count is there, the array is not */
	l->n = 1024;
	assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, l), EFAULT);
	munmap(two, 8192);
	abi_down(&a);
}

static void no_id_twice(void **state)
{
	static struct list l = { .n = 1024 };
	struct abi a;

	abi_up(&a);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &l), errno);
	for (u64 i = 0; i < l.n; i++)
		for (u64 j = 0; j < i; j++)
			assert_int_not_equal(l.reg[i], l.reg[j]);
	abi_down(&a);
}

static void what_is_switched_off_is_not_listed(void **state)
{
	static struct list l;
	struct abi a;

	abi_up(&a);
	l.n = 1024;
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &l), errno);
	assert_true(has(&l, REG_STA(shmem_lo)));
	assert_true(has(&l, REG_FWFT(misaligned_deleg.value)));
	assert_false(has(&l, REG_FWFT(pointer_masking.enable)));
	assert_true(has(&l, REG_SSTATEEN0));
	assert_false(has(&l, REG_SSTATEEN0 + 1));
	assert_true(has(&l, REG_CONFIG(zicbom_block_size)));
	assert_true(has(&l, KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_FP_D | 31));
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_STA), 0), errno);
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_FWFT), 0), errno);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SMSTATEEN), 0), errno);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZICBOM), 0), errno);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 0), errno);
	l.n = 1024;
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &l), errno);
	assert_false(has(&l, REG_STA(shmem_lo)));
	assert_false(has(&l, REG_FWFT(misaligned_deleg.enable)));
	assert_false(has(&l, REG_SSTATEEN0));
	assert_false(has(&l, REG_CONFIG(zicbom_block_size)));
	assert_false(has(&l, KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_FP_D | 31));
	/* The switches themselves stay. */
	assert_true(has(&l, REG_SBI(KVM_RISCV_SBI_EXT_STA)));
	assert_true(has(&l, REG_SBI(KVM_RISCV_SBI_EXT_SUSP)));
	assert_true(has(&l, REG_SBI(KVM_RISCV_SBI_EXT_FWFT)));
	assert_true(has(&l, REG_SBI(KVM_RISCV_SBI_EXT_MPXY)));
	assert_true(has(&l, REG_ISA(KVM_RISCV_ISA_EXT_SSCOFPMF)));
	assert_true(has(&l, REG_ISA(KVM_RISCV_ISA_EXT_ZICBOM)));
	abi_down(&a);
}

static void reg_list_survives_every_failure(void **state)
{
	static struct list l;
	struct abi a;

	abi_up(&a);
	for (unsigned int n = 1; ; n++) {
		int ret;

		l.n = 1024;
		sv_fault_inject(n);
		ret = softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &l);
		if (!sv_fault_fired()) {
			assert_return_code(ret, errno);
			break;
		}
		assert_int_equal(ret, -1);
		assert_int_equal(errno, ENOMEM);
	}
	sv_fault_inject(0);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_short_is_e2big_and_says_how_many),
		cmocka_unit_test(bad_pointers_are_efault),
		cmocka_unit_test(no_id_twice),
		cmocka_unit_test(what_is_switched_off_is_not_listed),
		cmocka_unit_test(reg_list_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
