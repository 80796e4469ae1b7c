/* SPDX-License-Identifier: MIT */
/*
 * KVM_REG_RISCV_VECTOR in KVM_GET_ONE_REG, KVM_SET_ONE_REG and KVM_GET_REG_LIST, and what a guest
 * with vectors does to the run loop: elements at devices, faults in the middle.
 */
#include <stdio.h>
#include <stdlib.h>

#include "abi.h"

#define ID(size, num) (KVM_REG_RISCV | (size) | KVM_REG_RISCV_VECTOR | (num))
#define WORD(name) ID(KVM_REG_SIZE_U64, KVM_RISCV_VECTOR_##name)
#define VREG(n) ID(KVM_REG_SIZE_U128, KVM_RISCV_VECTOR_V(n))
#define DEVICE 0x10000000u

#define VSETIVLI(rd, avl, type) (0xc0007057u | (type) << 20 | (avl) << 15 | (rd) << 7)
#define VLE(width, vd, rs1) (0x02000007u | (width) << 12 | (rs1) << 15 | (vd) << 7)
#define VSE(width, vd, rs1) (VLE(width, vd, rs1) | 0x20)
#define VADD_VV(vd, vs2, vs1) (0x02000057u | (vs2) << 20 | (vs1) << 15 | (vd) << 7)
enum { E8 = 0, E16 = 8, E32 = 16, E64 = 24, W8 = 0, W16 = 5, W32 = 6, W64 = 7 };
#define AUIPC(rd, page) (0x17 | (rd) << 7 | (u32)(page) << 12)
#define VS_ON(tmp) i_type(0x13, 0, tmp, X0, 0x600), CSRW(0x100, tmp)

static int one(int vcpu, unsigned long cmd, u64 id, void *at)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)at };

	return softvirt_ioctl(vcpu, cmd, &r);
}

static void sizes_and_numbers(void **state)
{
	struct abi a;
	u8 buf[256] = { 0 };

	abi_up(&a);
	for (u64 size = 0; size < 9; size++) {
		u64 bits = size << KVM_REG_SIZE_SHIFT;

		for (u64 num = 0; num < 5; num++) {
			int want = size == 3 ? 0 : EINVAL;

			assert_int_equal(one(a.vcpu, KVM_GET_ONE_REG, ID(bits, num), buf) ? errno : 0, want);
			assert_int_equal(one(a.vcpu, KVM_SET_ONE_REG, ID(bits, num), buf) ? errno : 0, want);
		}
		/* datap has a number and no register; its size is looked at first. */
		assert_errno(one(a.vcpu, KVM_GET_ONE_REG, ID(bits, 5), buf), size == 3 ? ENOENT : EINVAL);
		assert_errno(one(a.vcpu, KVM_SET_ONE_REG, ID(bits, 5), buf), size == 3 ? ENOENT : EINVAL);
		for (u64 n = 0; n < 32; n++) {
			int want = size == 4 ? 0 : EINVAL;

			assert_int_equal(one(a.vcpu, KVM_GET_ONE_REG, ID(bits, 6 + n), buf) ? errno : 0, want);
			assert_int_equal(one(a.vcpu, KVM_SET_ONE_REG, ID(bits, 6 + n), buf) ? errno : 0, want);
		}
		assert_errno(one(a.vcpu, KVM_GET_ONE_REG, ID(bits, 6 + 32), buf), ENOENT);
		assert_errno(one(a.vcpu, KVM_SET_ONE_REG, ID(bits, 6 + 32), buf), ENOENT);
	}
	assert_errno(one(a.vcpu, KVM_GET_ONE_REG, VREG(3), abi_bad_page()), EFAULT);
	assert_errno(one(a.vcpu, KVM_SET_ONE_REG, VREG(3), abi_bad_page()), EFAULT);
	assert_errno(one(a.vcpu, KVM_SET_ONE_REG, WORD(VLENB), abi_bad_page()), EFAULT);
	abi_down(&a);
}

static void vlenb_takes_only_what_it_is(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, WORD(VLENB)), 16);
	assert_return_code(abi_set(a.vcpu, WORD(VLENB), 16), errno);
	assert_errno(abi_set(a.vcpu, WORD(VLENB), 32), EINVAL);
	assert_errno(abi_set(a.vcpu, WORD(VLENB), 0), EINVAL);
	abi_down(&a);
}

static void other_vlen_by_the_environment(void **state)
{
	struct abi a;
	u8 in[128], out[128];

	for (u32 vlenb = 16; vlenb <= 128; vlenb *= 2) {
		u64 size = (u64)__builtin_ctz(vlenb) << KVM_REG_SIZE_SHIFT;
		char text[8];

		snprintf(text, sizeof(text), "%u", 8 * vlenb);
		setenv("SOFTVIRT_RISCV_VLEN", text, 1);
		abi_up(&a);
		assert_int_equal(abi_reg(a.vcpu, WORD(VLENB)), vlenb);
		memset(in, (int)vlenb, sizeof(in));
		assert_return_code(one(a.vcpu, KVM_SET_ONE_REG, ID(size, 6 + 31), in), errno);
		assert_return_code(one(a.vcpu, KVM_GET_ONE_REG, ID(size, 6 + 31), out), errno);
		assert_memory_equal(in, out, vlenb);
		abi_down(&a);
	}
	/* What is no VLEN is the default. */
	for (int i = 0; i < 4; i++) {
		setenv("SOFTVIRT_RISCV_VLEN", (const char *const[]){ "64", "2048", "129", "x" }[i], 1);
		abi_up(&a);
		assert_int_equal(abi_reg(a.vcpu, WORD(VLENB)), 16);
		abi_down(&a);
	}
	unsetenv("SOFTVIRT_RISCV_VLEN");
}

static bool listed(int vcpu, u64 id)
{
	static struct {
		u64 n;
		u64 reg[1024];
	} list;

	list.n = 1024;
	assert_return_code(softvirt_ioctl(vcpu, KVM_GET_REG_LIST, &list), errno);
	for (u64 i = 0; i < list.n; i++)
		if (list.reg[i] == id)
			return true;
	return false;
}

static void without_v_there_is_nothing(void **state)
{
	struct abi a;
	u8 buf[16];

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_V)), 1);
	assert_true(abi_reg(a.vcpu, REG_CONFIG(isa)) & BIT('v' - 'a'));
	assert_true(listed(a.vcpu, WORD(VSTART)) && listed(a.vcpu, WORD(VLENB)));
	assert_true(listed(a.vcpu, VREG(0)) && listed(a.vcpu, VREG(31)));
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_V), 0), errno);
	assert_false(listed(a.vcpu, WORD(VSTART)) || listed(a.vcpu, VREG(31)));
	assert_true(listed(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_V)));
	assert_errno(one(a.vcpu, KVM_GET_ONE_REG, VREG(0), buf), ENOENT);
	assert_errno(one(a.vcpu, KVM_SET_ONE_REG, WORD(VL), buf), ENOENT);
	/* An instruction is illegal, VS stays 0. */
	abi_guest(&a, AUIPC(T0, 0), i_type(0x13, 0, T0, T0, 28), CSRW(0x105, T0), VS_ON(T1),
		  CSRR(A0, 0x100), VADD_VV(1, 2, 3), CSRR(A1, 0x142), DONE(T0));
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)) & 0x600, 0);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 2);
	assert_errno(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_V), 1), EBUSY);
	abi_down(&a);
}

static void vl_and_vtype_fit_in_any_order(void **state)
{
	struct abi a;

	for (int order = 0; order < 2; order++) {
		abi_up(&a);
		/* vl 30 fits e8,m2 only. */
		assert_return_code(abi_set(a.vcpu, order ? WORD(VL) : WORD(VTYPE), order ? 30 : 0xc1), errno);
		assert_return_code(abi_set(a.vcpu, order ? WORD(VTYPE) : WORD(VL), order ? 0xc1 : 30), errno);
		assert_return_code(abi_set(a.vcpu, WORD(VCSR), 5), errno);
		assert_return_code(abi_set(a.vcpu, WORD(VSTART), 7), errno);
		assert_int_equal(abi_reg(a.vcpu, WORD(VL)), 30);
		assert_int_equal(abi_reg(a.vcpu, WORD(VTYPE)), 0xc1);
		abi_guest(&a, VS_ON(T1), CSRR(A0, 0xc20), CSRR(A1, 0xc21), CSRR(A2, 0x00f),
			  CSRR(A3, 0x008), CSRR(A4, 0xc22), DONE(T0));
		abi_run_done(&a);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 30);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 0xc1);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), 5);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a3)), 7);
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a4)), 16);
		abi_down(&a);
	}
	/* What does not fit is what vsetvl makes of it. */
	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, WORD(VL), 1000), errno);
	abi_guest(&a, VS_ON(T1), CSRR(A0, 0xc20), DONE(T0));
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 16);
	assert_return_code(abi_set(a.vcpu, WORD(VTYPE), 0x1000), errno);
	abi_guest(&a, CSRR(A0, 0xc20), CSRR(A1, 0xc21), DONE(T0));
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), BIT(63));
	abi_down(&a);
}

static void sstatus_vs_gates_and_gets_dirty(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sstatus)) & 0x600, 0);
	/* Off: illegal; the handler turns it to Initial, what follows makes it Dirty, with SD. */
	abi_guest(&a, AUIPC(T0, 0), i_type(0x13, 0, T0, T0, 20), CSRW(0x105, T0),
		  VSETIVLI(A3, 3u, (u32)E32), J_SELF,
		  CSRR(A0, 0x142), i_type(0x13, 0, T1, X0, 0x200), CSRW(0x100, T1), CSRR(A1, 0xc20),
		  CSRR(A1, 0x100), VSETIVLI(A3, 3u, (u32)E32), CSRR(A2, 0x100), DONE(T0));
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 2);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)) & 0x600, 0x200);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)) & (BIT(63) | 0x600), BIT(63) | 0x600);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a3)), 3);
	abi_down(&a);
}

/* Four loads of 2 bytes, then four stores of 4: an exit each, in order, all in one instruction. */
static void each_element_at_a_device_is_an_exit(void **state)
{
	struct abi a;
	u32 v[4];

	abi_up(&a);
	abi_guest(&a, VS_ON(T1), LUI(T2, DEVICE >> 12), VSETIVLI(X0, 4u, (u32)E16),
		  VLE(W16, 8u, T2), VSETIVLI(X0, 4u, (u32)E32), 0x4a802057u | 6u << 15 | 9u << 7 | 2u << 12,
		  VSE(W32, 9u, T2), DONE(T0));
	for (u32 i = 0; i < 4; i++) {
		u16 answer = (u16)(0x1111 * (i + 1));

		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
		assert_false(a.run->mmio.is_write);
		assert_int_equal(a.run->mmio.len, 2);
		assert_int_equal(a.run->mmio.phys_addr, DEVICE + 2 * i);
		memcpy(a.run->mmio.data, &answer, 2);
	}
	for (u32 i = 0; i < 4; i++) {
		assert_return_code(abi_run(&a), errno);
		assert_int_equal(a.run->exit_reason, KVM_EXIT_MMIO);
		assert_true(a.run->mmio.is_write);
		assert_int_equal(a.run->mmio.len, 4);
		assert_int_equal(a.run->mmio.phys_addr, DEVICE + 4 * i);
		memcpy(&v[i], a.run->mmio.data, 4);
		assert_int_equal(v[i], 0x1111 * (i + 1));
	}
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, WORD(VSTART)), 0);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_numbers),
		cmocka_unit_test(vlenb_takes_only_what_it_is),
		cmocka_unit_test(other_vlen_by_the_environment),
		cmocka_unit_test(without_v_there_is_nothing),
		cmocka_unit_test(vl_and_vtype_fit_in_any_order),
		cmocka_unit_test(sstatus_vs_gates_and_gets_dirty),
		cmocka_unit_test(each_element_at_a_device_is_an_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
