/* SPDX-License-Identifier: MIT */
/* KVM_GET_ONE_REG, KVM_SET_ONE_REG */
#include "abi.h"

#define ID(size, type, num) (KVM_REG_RISCV | (size) | (type) | (num))
#define F_REG(n) ID(KVM_REG_SIZE_U32, KVM_REG_RISCV_FP_F, n)
#define D_REG(n) ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_FP_D, n)
#define D_FCSR ID(KVM_REG_SIZE_U32, KVM_REG_RISCV_FP_D, 32)

static void a_bad_pointer_is_efault(void **state)
{
	struct kvm_one_reg r = { .id = REG_CORE(regs.pc), .addr = (uintptr_t)abi_bad_page() };
	struct abi a;

	abi_up(&a);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_ONE_REG, &r), EFAULT);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_SET_ONE_REG, &r), EFAULT);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_ONE_REG, NULL), EFAULT);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_SET_ONE_REG, abi_bad_page()), EFAULT);
	abi_down(&a);
}

static void every_other_size_is_einval(void **state)
{
	static const u64 types[] = {
		KVM_REG_RISCV_CONFIG, KVM_REG_RISCV_CORE, KVM_REG_RISCV_CSR, KVM_REG_RISCV_TIMER,
		KVM_REG_RISCV_ISA_EXT, KVM_REG_RISCV_SBI_EXT, KVM_REG_RISCV_SBI_STATE,
	};
	struct abi a;
	u8 big[4096];

	abi_up(&a);
	for (size_t t = 0; t < ARRAY_SIZE(types); t++)
		for (u64 shift = 0; shift < 10; shift++) {
			u64 id = ID(shift << KVM_REG_SIZE_SHIFT, types[t], 0);
			struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)big };

			if (shift == 3)
				continue;
			assert_errno(softvirt_ioctl(a.vcpu, KVM_GET_ONE_REG, &r), EINVAL);
			assert_errno(softvirt_ioctl(a.vcpu, KVM_SET_ONE_REG, &r), EINVAL);
		}
	abi_down(&a);
}

static void fp_sizes_are_checked_register_by_register(void **state)
{
	struct abi a;
	u64 v;

	abi_up(&a);
	assert_errno(abi_get(a.vcpu, ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_FP_F, 0), &v), EINVAL);
	assert_errno(abi_set(a.vcpu, ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_FP_F, 32), 0), EINVAL);
	assert_errno(abi_get(a.vcpu, ID(KVM_REG_SIZE_U32, KVM_REG_RISCV_FP_D, 0), &v), EINVAL);
	assert_errno(abi_set(a.vcpu, ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_FP_D, 32), 0), EINVAL);
	assert_errno(abi_get(a.vcpu, F_REG(33), &v), ENOENT);
	assert_errno(abi_get(a.vcpu, D_REG(33), &v), ENOENT);
	abi_down(&a);
}

static void numbers_that_are_not_there(void **state)
{
	static const struct {
		u64 id;
		int err;
	} cases[] = {
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_CONFIG, 7), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_CORE, 33), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_CORE, 0xffff), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_CSR, 11), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_SMSTATEEN, 1), EINVAL },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_CSR | (3 << 16), 0), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_TIMER, 4), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_ISA_EXT, KVM_RISCV_ISA_EXT_H), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_ISA_EXT, KVM_RISCV_ISA_EXT_MAX), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_ISA_EXT | KVM_REG_RISCV_ISA_MULTI_EN, 1), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_ISA_EXT | (3 << 16), 0), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_SBI_EXT, KVM_RISCV_SBI_EXT_MAX), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_SBI_EXT | KVM_REG_RISCV_SBI_MULTI_EN, 1), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_SBI_EXT | (3 << 16), 0), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_SBI_STATE, 2), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_SBI_STATE | (2 << 16), 0), EINVAL },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_SBI_STATE | KVM_REG_RISCV_SBI_FWFT, 3), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_SBI_STATE | KVM_REG_RISCV_SBI_FWFT, 6), ENOENT },
		{ ID(KVM_REG_SIZE_U64, KVM_REG_RISCV_VECTOR, 38), ENOENT },
		{ ID(KVM_REG_SIZE_U64, 0ull, 0), ENOENT },
		{ ID(KVM_REG_SIZE_U64, 0x0bull << 24, 0), ENOENT },
	};
	struct abi a;
	u64 v;

	abi_up(&a);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_errno(abi_get(a.vcpu, cases[i].id, &v), cases[i].err);
		assert_errno(abi_set(a.vcpu, cases[i].id, 0), cases[i].err);
	}
	abi_down(&a);
}

static void integer_registers_keep_what_they_are_given(void **state)
{
	struct abi a;

	abi_up(&a);
	for (u64 n = 1; n < 32; n++)
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.pc) + n, n * 0x0101010101010101),
				   errno);
	for (u64 n = 1; n < 32; n++)
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc) + n), n * 0x0101010101010101);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(mode)), KVM_RISCV_MODE_S);
	assert_return_code(abi_set(a.vcpu, REG_CORE(mode), KVM_RISCV_MODE_U), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(mode)), KVM_RISCV_MODE_U);
	abi_down(&a);
}

static void fp_registers_in_both_views(void **state)
{
	struct abi a;

	abi_up(&a);
	for (u64 n = 0; n < 32; n++)
		assert_return_code(abi_set(a.vcpu, D_REG(n), 0x400921fb54442d18 + n), errno);
	for (u64 n = 0; n < 32; n++) {
		assert_int_equal(abi_reg(a.vcpu, D_REG(n)), 0x400921fb54442d18 + n);
		/* The low half, and writing it back changes nothing. */
		assert_int_equal(abi_reg(a.vcpu, F_REG(n)), 0x54442d18 + n);
		assert_return_code(abi_set(a.vcpu, F_REG(n), 0x54442d18 + n), errno);
		assert_int_equal(abi_reg(a.vcpu, D_REG(n)), 0x400921fb54442d18 + n);
	}
	assert_return_code(abi_set(a.vcpu, D_FCSR, 0x41), errno);
	assert_int_equal(abi_reg(a.vcpu, F_REG(32)), 0x41);
	/* Without D an F register is a boxed float, and D's are gone. */
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 0), errno);
	assert_errno(abi_set(a.vcpu, D_REG(0), 0), ENOENT);
	assert_return_code(abi_set(a.vcpu, F_REG(0), 0x3f800000), errno);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 1), errno);
	assert_int_equal(abi_reg(a.vcpu, D_REG(0)), 0xffffffff3f800000);
	abi_down(&a);
}

static void config_values_that_differ(void **state)
{
	struct abi a;
	u64 isa, v;

	abi_up(&a);
	isa = abi_reg(a.vcpu, REG_CONFIG(isa));
	assert_int_equal(isa, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 12 | 1 << 21);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(isa), 1ull << 26), EINVAL);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(satp_mode), 9), EINVAL);
	assert_return_code(abi_set(a.vcpu, REG_CONFIG(satp_mode), 10), errno);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(zicbom_block_size), 32), EINVAL);
	assert_return_code(abi_set(a.vcpu, REG_CONFIG(zicbom_block_size), 64), errno);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZICBOM), 0), errno);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(zicbom_block_size), 64), ENOENT);
	assert_errno(abi_get(a.vcpu, REG_CONFIG(zicbom_block_size), &v), ENOENT);
	/* Letters that must stay, stay; D goes; letters that do not exist do not come. */
	assert_return_code(abi_set(a.vcpu, REG_CONFIG(isa), 1 << 5 | 1 << 21 | 1 << 7), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CONFIG(isa)), isa & ~(1ull << 3));
	abi_down(&a);
}

static void isa_extensions_that_cannot_go_are_einval(void **state)
{
#define EXT(name) KVM_RISCV_ISA_EXT_##name
	static const unsigned int ids[] = {
		EXT(A), EXT(C), EXT(I), EXT(M), EXT(SSTC), EXT(SVINVAL), EXT(SVNAPOT), EXT(ZACAS), EXT(ZAWRS),
		EXT(ZBA), EXT(ZBB), EXT(ZBC), EXT(ZBKB), EXT(ZBKC), EXT(ZBKX), EXT(ZBS), EXT(ZCA), EXT(ZCB),
		EXT(ZCD), EXT(ZCMOP), EXT(ZFA), EXT(ZFH), EXT(ZFHMIN), EXT(ZICNTR), EXT(ZICOND), EXT(ZICSR),
		EXT(ZIFENCEI), EXT(ZIHINTNTL), EXT(ZIHINTPAUSE), EXT(ZIHPM), EXT(ZIMOP), EXT(ZKND),
		EXT(ZKNE), EXT(ZKNH), EXT(ZKR), EXT(ZKSED), EXT(ZKSH), EXT(ZKT),
#ifdef __x86_64__	/* whose memory order is Ztso's */
		EXT(ZTSO),
#endif
	};
#undef EXT
	struct abi a;

	abi_up(&a);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(abi_reg(a.vcpu, REG_ISA(ids[i])), 1);
		assert_errno(abi_set(a.vcpu, REG_ISA(ids[i]), 0), EINVAL);
		assert_return_code(abi_set(a.vcpu, REG_ISA(ids[i]), 1), errno);
	}
	assert_errno(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 2), EINVAL);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZICBOZ), 0), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZICBOZ)), 0);
	abi_down(&a);
}

static void multi_registers_switch_many_at_once(void **state)
{
	const u64 en = REG_ISA(KVM_REG_RISCV_ISA_MULTI_EN), dis = REG_ISA(KVM_REG_RISCV_ISA_MULTI_DIS);
	struct abi a;
	u64 all;

	abi_up(&a);
	all = abi_reg(a.vcpu, en);
	assert_true(all & BIT(KVM_RISCV_ISA_EXT_D));
	assert_int_equal(abi_reg(a.vcpu, dis), ~all);
	assert_return_code(abi_set(a.vcpu, dis, ~0ull), errno);
	assert_int_equal(abi_reg(a.vcpu, en),
			 all & ~(BIT(KVM_RISCV_ISA_EXT_D) | BIT(KVM_RISCV_ISA_EXT_F) |
				 BIT(KVM_RISCV_ISA_EXT_SVPBMT) | BIT(KVM_RISCV_ISA_EXT_ZICBOM) |
				 BIT(KVM_RISCV_ISA_EXT_ZICBOZ) | BIT(KVM_RISCV_ISA_EXT_V) |
				 BIT(KVM_RISCV_ISA_EXT_SMSTATEEN) |
				 BIT(KVM_RISCV_ISA_EXT_SSAIA)));
	assert_return_code(abi_set(a.vcpu, en, ~0ull), errno);
	assert_int_equal(abi_reg(a.vcpu, en), all);
	abi_down(&a);
}

static void what_is_fixed_after_the_first_run_is_ebusy(void **state)
{
	struct abi a;
	u64 isa;

	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_CONFIG(mvendorid), 0x123), errno);
	abi_guest(&a, DONE(T0));
	abi_run_done(&a);
	isa = abi_reg(a.vcpu, REG_CONFIG(isa));
	assert_return_code(abi_set(a.vcpu, REG_CONFIG(isa), isa), errno);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(isa), isa & ~8ull), EBUSY);
	assert_return_code(abi_set(a.vcpu, REG_CONFIG(mvendorid), 0x123), errno);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(mvendorid), 1), EBUSY);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(marchid), 1), EBUSY);
	assert_errno(abi_set(a.vcpu, REG_CONFIG(mimpid), 1), EBUSY);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 1), errno);
	assert_errno(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 0), EBUSY);
	/* For SBI extensions even what changes nothing, or names nothing. */
	assert_errno(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_TIME), 1), EBUSY);
	assert_errno(abi_set(a.vcpu, REG_SBI(0xffff), 1), EBUSY);
	abi_down(&a);
}

static void sbi_extensions_come_and_go(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_TIME)), 1);
	assert_int_equal(abi_reg(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_DBCN)), 0);
	assert_errno(abi_set(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_TIME), 2), EINVAL);
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_REG_RISCV_SBI_MULTI_EN),
				   BIT(KVM_RISCV_SBI_EXT_DBCN)), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_SBI(KVM_RISCV_SBI_EXT_DBCN)), 1);
	assert_return_code(abi_set(a.vcpu, REG_SBI(KVM_REG_RISCV_SBI_MULTI_DIS), ~0ull), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_SBI(KVM_REG_RISCV_SBI_MULTI_EN)), 0);
	assert_int_equal(abi_reg(a.vcpu, REG_SBI(KVM_REG_RISCV_SBI_MULTI_DIS)), ~0ull);
	abi_down(&a);
}

static void smstateen_comes_and_goes(void **state)
{
	struct abi a;
	u64 v;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SMSTATEEN)), 1);
	/* Nothing of it can be gated here: every bit is read-only zero. */
	assert_return_code(abi_set(a.vcpu, REG_SSTATEEN0, ~0ull), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_SSTATEEN0), 0);
	assert_errno(abi_get(a.vcpu, REG_SSTATEEN0 & ~(u64)KVM_REG_SIZE_MASK, &v), EINVAL);
	/* The guest has the CSR, and without the extension has not. */
	abi_guest(&a, LI(A1, -1), CSRW(0x10c, A1), CSRR(A2, 0x10c), CSRR(A3, 0x10f), DONE(T0));
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a2), 9), errno);
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), 0);
	assert_errno(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SMSTATEEN), 0), EBUSY);
	abi_down(&a);

	abi_up(&a);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SMSTATEEN), 0), errno);
	assert_errno(abi_get(a.vcpu, REG_SSTATEEN0, &v), EINVAL);
	assert_errno(abi_set(a.vcpu, REG_SSTATEEN0, 0), EINVAL);
	abi_guest(&a, CSRR(A2, 0x10c));
	memcpy(a.ram + 0x100, (const u32[]){ DONE(T0) }, 8);
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), ABI_RAM + 0x100), errno);
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(scause)), 2);
	abi_down(&a);
}

static void sscofpmf_stays(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SSCOFPMF)), 1);
	assert_errno(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SSCOFPMF), 0), EINVAL);
	/* Its interrupt is in sie and sip. */
	assert_return_code(abi_set(a.vcpu, REG_CSR(sie), ~0ull), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sie)), 0x2222);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), ~0ull), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0x2202);
	abi_down(&a);
}

static void firmware_features_are_saved(void **state)
{
	static const u64 ids[] = { REG_FWFT(misaligned_deleg.enable), REG_FWFT(misaligned_deleg.flags),
				   REG_FWFT(misaligned_deleg.value) };
	struct abi a;
	u64 v;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, ids[0]), 1);
	assert_int_equal(abi_reg(a.vcpu, ids[1]), 0);
	assert_int_equal(abi_reg(a.vcpu, ids[2]), 0);
	assert_errno(abi_set(a.vcpu, ids[0], 2), EINVAL);
	assert_errno(abi_set(a.vcpu, ids[2], 2), EINVAL);
	assert_return_code(abi_set(a.vcpu, ids[1], ~0ull), errno);
	assert_int_equal(abi_reg(a.vcpu, ids[1]), 1);
	/* What is locked can be restored all the same. */
	assert_return_code(abi_set(a.vcpu, ids[2], 1), errno);
	assert_int_equal(abi_reg(a.vcpu, ids[2]), 1);
	assert_return_code(abi_set(a.vcpu, ids[0], 0), errno);
	assert_int_equal(abi_reg(a.vcpu, ids[0]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		u64 short_id = (ids[i] & ~(u64)KVM_REG_SIZE_MASK) | KVM_REG_SIZE_U32;

		assert_errno(abi_get(a.vcpu, short_id, &v), EINVAL);
		assert_errno(abi_set(a.vcpu, short_id, 0), EINVAL);
	}
	abi_down(&a);
}

static void timer_registers(void **state)
{
	struct abi a;
	u64 t;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_TIMER(frequency)), 10000000);
	assert_errno(abi_set(a.vcpu, REG_TIMER(frequency), 1), EINVAL);
	assert_int_equal(abi_reg(a.vcpu, REG_TIMER(compare)), ~0ull);
	assert_int_equal(abi_reg(a.vcpu, REG_TIMER(state)), KVM_RISCV_TIMER_STATE_OFF);
	assert_return_code(abi_set(a.vcpu, REG_TIMER(time), 1ull << 60), errno);
	t = abi_reg(a.vcpu, REG_TIMER(time));
	assert_true(t >= 1ull << 60 && t < (1ull << 60) + 600000000);
	assert_return_code(abi_set(a.vcpu, REG_TIMER(compare), 1ull << 61), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_TIMER(state)), KVM_RISCV_TIMER_STATE_ON);
	/* The guest's time is the same clock. */
	abi_guest(&a, i_type(0x73, 2, A0, X0, 0xc01), DONE(T0));
	abi_run_done(&a);
	assert_true(abi_reg(a.vcpu, REG_CORE(regs.a0)) >= t);
	assert_true(abi_reg(a.vcpu, REG_CORE(regs.a0)) <= abi_reg(a.vcpu, REG_TIMER(time)));
	abi_down(&a);
}

static void csr_registers(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(scounteren)), 7);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sscratch), 0xdeadbeef), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(stvec), 0x80001000), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sie), 0x222), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), 0xffff), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_CSR(sip)), 0x2202);
	assert_return_code(abi_set(a.vcpu, REG_CSR(sip), 0), errno);
	abi_guest(&a, CSRR(A0, 0x140), CSRR(A1, 0x105), CSRR(A2, 0x104), DONE(T0));
	abi_run_done(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a0)), 0xdeadbeef);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a1)), 0x80001000);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.a2)), 0x222);
	abi_down(&a);
}

static void every_listed_register_can_be_read_and_written_back(void **state)
{
	static struct {
		u64 n;
		u64 reg[1024];
	} list = { .n = 1024 };
	struct abi a;
	u64 v[16];		/* a vector register has up to 128 bytes */

	abi_up(&a);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_REG_LIST, &list), errno);
	for (u64 i = 0; i < list.n; i++) {
		struct kvm_one_reg r = { .id = list.reg[i], .addr = (uintptr_t)v };

		assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_ONE_REG, &r), errno);
		assert_return_code(softvirt_ioctl(a.vcpu, KVM_SET_ONE_REG, &r), errno);
	}
	abi_down(&a);
}

static void parts_of_extensions_stay_when_the_whole_goes(void **state)
{
	struct abi a;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZCA)), 1);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZCD)), 1);
	assert_errno(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZCD), 0), EINVAL);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 0), errno);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZCA)), 1);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZCD)), 1);
	abi_down(&a);
}

/* Zihintntl: ntl.p1, ntl.pall, ntl.s1, ntl.all in both sizes change no register. */
static void hints_do_nothing(void **state)
{
	u64 before[4];
	struct abi a;

	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZIHINTNTL)), 1);
	abi_guest(&a, 0x00200033, 0x00300033, 0x00400033, 0x00500033, 0x900e900a, 0x90169012,
		  DONE(T0));
	for (int i = 0; i < 4; i++)
		before[i] = abi_reg(a.vcpu, REG_CORE(regs.ra) + i);
	abi_run_done(&a);
	for (int i = 0; i < 4; i++)	/* ra, sp, gp, tp; t0 is DONE's */
		assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.ra) + i), before[i]);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_pointer_is_efault),
		cmocka_unit_test(every_other_size_is_einval),
		cmocka_unit_test(fp_sizes_are_checked_register_by_register),
		cmocka_unit_test(numbers_that_are_not_there),
		cmocka_unit_test(integer_registers_keep_what_they_are_given),
		cmocka_unit_test(fp_registers_in_both_views),
		cmocka_unit_test(config_values_that_differ),
		cmocka_unit_test(isa_extensions_that_cannot_go_are_einval),
		cmocka_unit_test(multi_registers_switch_many_at_once),
		cmocka_unit_test(what_is_fixed_after_the_first_run_is_ebusy),
		cmocka_unit_test(sbi_extensions_come_and_go),
		cmocka_unit_test(smstateen_comes_and_goes),
		cmocka_unit_test(sscofpmf_stays),
		cmocka_unit_test(firmware_features_are_saved),
		cmocka_unit_test(timer_registers),
		cmocka_unit_test(csr_registers),
		cmocka_unit_test(every_listed_register_can_be_read_and_written_back),
		cmocka_unit_test(parts_of_extensions_stay_when_the_whole_goes),
		cmocka_unit_test(hints_do_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
