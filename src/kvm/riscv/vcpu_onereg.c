/* SPDX-License-Identifier: MIT */
/*
 * KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST.
 *
 * Model: a register id is architecture | size | type | subtype | number. One pair of
 * functions for each type, in a table. A getter fills a u64, a setter gets one: this file
 * copies as many bytes as the id's size says, after the type's function has agreed to the
 * size. Each errno is the kernel's: EINVAL for a size, ENOENT for a number or type that is
 * not there, EBUSY for what is fixed once the vCPU has run, EFAULT for the address.
 *
 * The kernel's order decides which of two errors is seen: size, then (where it says so)
 * the number, then the copy, then the value.
 *
 * Two registers of one state never fight: writing the list's values back in any order
 * gives the same vCPU (the F view of a register that D has too is its low half; sip has no
 * timer bit, which follows from compare and time).
 */
#include <errno.h>

#include "base/guard.h"
#include "kvm/riscv/sbi.h"

#define SATP_MODE_SV57 10
#define U64_ID(type, num) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | (type) | (num))
#define U32_ID(type, num) (KVM_REG_RISCV | KVM_REG_SIZE_U32 | (type) | (num))
#define SUBTYPE(num) ((num) & KVM_REG_RISCV_SUBTYPE_MASK)
#define INDEX(num) ((num) & ~(u64)KVM_REG_RISCV_SUBTYPE_MASK)

/* config */

static int get_config(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val)
{
	switch (num) {
	case KVM_REG_RISCV_CONFIG_REG(isa):
		*val = isa_letters(v);
		return 0;
	case KVM_REG_RISCV_CONFIG_REG(zicbom_block_size):
		*val = RV_CBO_BLOCK_SIZE;
		return vcpu_has_ext(v, RV_EXT_ZICBOM) ? 0 : -ENOENT;
	case KVM_REG_RISCV_CONFIG_REG(zicboz_block_size):
		*val = RV_CBO_BLOCK_SIZE;
		return vcpu_has_ext(v, RV_EXT_ZICBOZ) ? 0 : -ENOENT;
	case KVM_REG_RISCV_CONFIG_REG(mvendorid):
		*val = v->mvendorid;
		return 0;
	case KVM_REG_RISCV_CONFIG_REG(marchid):
		*val = v->marchid;
		return 0;
	case KVM_REG_RISCV_CONFIG_REG(mimpid):
		*val = v->mimpid;
		return 0;
	case KVM_REG_RISCV_CONFIG_REG(satp_mode):
		*val = SATP_MODE_SV57;
		return 0;
	default:
		return -ENOENT;
	}
}

static int set_id(struct riscv_vcpu *v, u64 *id, u64 val)
{
	if (*id == val)
		return 0;
	if (v->ran_atleast_once)
		return -EBUSY;
	*id = val;
	return 0;
}

static int set_config(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val)
{
	switch (num) {
	case KVM_REG_RISCV_CONFIG_REG(isa):
		return isa_set_letters(v, val);
	case KVM_REG_RISCV_CONFIG_REG(zicbom_block_size):
		if (!vcpu_has_ext(v, RV_EXT_ZICBOM))
			return -ENOENT;
		return val == RV_CBO_BLOCK_SIZE ? 0 : -EINVAL;
	case KVM_REG_RISCV_CONFIG_REG(zicboz_block_size):
		if (!vcpu_has_ext(v, RV_EXT_ZICBOZ))
			return -ENOENT;
		return val == RV_CBO_BLOCK_SIZE ? 0 : -EINVAL;
	case KVM_REG_RISCV_CONFIG_REG(mvendorid):
		return set_id(v, &v->mvendorid, val);
	case KVM_REG_RISCV_CONFIG_REG(marchid):
		return set_id(v, &v->marchid, val);
	case KVM_REG_RISCV_CONFIG_REG(mimpid):
		return set_id(v, &v->mimpid, val);
	case KVM_REG_RISCV_CONFIG_REG(satp_mode):
		return val == SATP_MODE_SV57 ? 0 : -EINVAL;
	default:
		return -ENOENT;
	}
}

static u64 list_config(struct riscv_vcpu *v, u64 *ids)
{
	u64 n = 0, val;

	for (u64 i = 0; i < sizeof(struct kvm_riscv_config) / 8; i++) {
		if (get_config(v, i, 8, &val))
			continue;
		if (ids)
			ids[n] = U64_ID(KVM_REG_RISCV_CONFIG, i);
		n++;
	}
	return n;
}

/* core: pc in the place of x0, then x1 to x31, then the mode */

static int get_core(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val)
{
	if (num == KVM_REG_RISCV_CORE_REG(regs.pc))
		*val = rv_hart_get_pc(v->hart);
	else if (num <= KVM_REG_RISCV_CORE_REG(regs.t6))
		*val = vcpu_x(v, num);
	else if (num == KVM_REG_RISCV_CORE_REG(mode))
		*val = rv_hart_get_supervisor(v->hart) ? KVM_RISCV_MODE_S : KVM_RISCV_MODE_U;
	else
		return -ENOENT;
	return 0;
}

static int set_core(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val)
{
	if (num == KVM_REG_RISCV_CORE_REG(regs.pc))
		rv_hart_set_pc(v->hart, val);
	else if (num <= KVM_REG_RISCV_CORE_REG(regs.t6))
		rv_hart_set_x(v->hart, num, val);
	else if (num == KVM_REG_RISCV_CORE_REG(mode))
		rv_hart_set_supervisor(v->hart, val == KVM_RISCV_MODE_S);
	else
		return -ENOENT;
	return 0;
}

static u64 list_core(struct riscv_vcpu *v, u64 *ids)
{
	u64 n = sizeof(struct kvm_riscv_core) / 8;

	for (u64 i = 0; ids && i < n; i++)
		ids[i] = U64_ID(KVM_REG_RISCV_CORE, i);
	return n;
}

/* csr */

#define NR_SMSTATEEN (sizeof(struct kvm_riscv_smstateen_csr) / 8)

static const u16 csr_table[] = {
	[KVM_REG_RISCV_CSR_REG(sstatus)] = CSR_SSTATUS,
	[KVM_REG_RISCV_CSR_REG(sie)] = CSR_SIE,
	[KVM_REG_RISCV_CSR_REG(stvec)] = CSR_STVEC,
	[KVM_REG_RISCV_CSR_REG(sscratch)] = CSR_SSCRATCH,
	[KVM_REG_RISCV_CSR_REG(sepc)] = CSR_SEPC,
	[KVM_REG_RISCV_CSR_REG(scause)] = CSR_SCAUSE,
	[KVM_REG_RISCV_CSR_REG(stval)] = CSR_STVAL,
	[KVM_REG_RISCV_CSR_REG(sip)] = CSR_SIP,
	[KVM_REG_RISCV_CSR_REG(satp)] = CSR_SATP,
	[KVM_REG_RISCV_CSR_REG(scounteren)] = CSR_SCOUNTEREN,
	[KVM_REG_RISCV_CSR_REG(senvcfg)] = CSR_SENVCFG,
};

/* The subtypes' errors as the kernel has them: AIA without Ssaia ENOENT, Smstateen EINVAL. */
static int csr_subtype(const struct riscv_vcpu *v, u64 num)
{
	switch (SUBTYPE(num)) {
	case KVM_REG_RISCV_CSR_GENERAL:
		return INDEX(num) < ARRAY_SIZE(csr_table) ? 0 : -ENOENT;
	case KVM_REG_RISCV_CSR_SMSTATEEN:
		return vcpu_has_ext(v, RISCV_EXT_SMSTATEEN) && INDEX(num) < NR_SMSTATEEN ? 0 : -EINVAL;
	default:
		return -ENOENT;
	}
}

static int get_csr(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val)
{
	int err;

	if (SUBTYPE(num) == KVM_REG_RISCV_CSR_AIA)
		return aia_get_csr(v, INDEX(num), val);
	err = csr_subtype(v, num);
	if (err || SUBTYPE(num) == KVM_REG_RISCV_CSR_SMSTATEEN)
		return err;		/* sstateen0 is 0: see vcpu.c */
	err = rv_hart_get_csr(v->hart, csr_table[INDEX(num)], val);
	if (csr_table[INDEX(num)] == CSR_SIP)
		*val &= BIT(IRQ_S_SOFT) | BIT(IRQ_S_EXT) | BIT(IRQ_PMU_OVF);
	return err;
}

static int set_csr(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val)
{
	int err;

	if (SUBTYPE(num) == KVM_REG_RISCV_CSR_AIA)
		return aia_set_csr(v, INDEX(num), val);
	err = csr_subtype(v, num);
	if (err || SUBTYPE(num) == KVM_REG_RISCV_CSR_SMSTATEEN)
		return err;
	if (csr_table[INDEX(num)] == CSR_SIP) {
		rv_hart_set_irq(v->hart, IRQ_PMU_OVF, val & BIT(IRQ_PMU_OVF));
		rv_hart_set_irq(v->hart, IRQ_S_SOFT, val & BIT(IRQ_S_SOFT));
		rv_hart_set_irq(v->hart, IRQ_S_EXT, val & BIT(IRQ_S_EXT));
		return 0;
	}
	return rv_hart_set_csr(v->hart, csr_table[INDEX(num)], val);
}

static u64 list_csr(struct riscv_vcpu *v, u64 *ids)
{
	u64 n = ARRAY_SIZE(csr_table), val;

	for (u64 i = 0; ids && i < n; i++)
		ids[i] = U64_ID(KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_GENERAL, i);
	for (u64 i = 0; !aia_get_csr(v, i, &val); i++, n++)
		if (ids)
			ids[n] = U64_ID(KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_AIA, i);
	for (u64 i = 0; vcpu_has_ext(v, RISCV_EXT_SMSTATEEN) && i < NR_SMSTATEEN; i++, n++)
		if (ids)
			ids[n] = U64_ID(KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_SMSTATEEN, i);
	return n;
}

/* timer: time is the VM's, compare is stimecmp */

static u64 vm_time(const struct riscv_vcpu *v)
{
	return riscv_host_ticks() + __atomic_load_n(&to_riscv_vm(v->vcpu.kvm)->time_offset,
						    __ATOMIC_SEQ_CST);
}

static int get_timer(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val)
{
	switch (num) {
	case KVM_REG_RISCV_TIMER_REG(frequency):
		*val = RV_TIMEBASE_HZ;
		return 0;
	case KVM_REG_RISCV_TIMER_REG(time):
		*val = vm_time(v);
		return 0;
	case KVM_REG_RISCV_TIMER_REG(compare):
		return rv_hart_get_csr(v->hart, CSR_STIMECMP, val);
	case KVM_REG_RISCV_TIMER_REG(state):
		rv_hart_get_csr(v->hart, CSR_STIMECMP, val);
		*val = *val > vm_time(v) && *val != ~0ull ? KVM_RISCV_TIMER_STATE_ON :
							    KVM_RISCV_TIMER_STATE_OFF;
		return 0;
	default:
		return -ENOENT;
	}
}

static int set_timer(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val)
{
	struct kvm_vcpu *other;

	switch (num) {
	case KVM_REG_RISCV_TIMER_REG(frequency):
		return val == RV_TIMEBASE_HZ ? 0 : -EINVAL;
	case KVM_REG_RISCV_TIMER_REG(time):
		__atomic_store_n(&to_riscv_vm(v->vcpu.kvm)->time_offset, val - riscv_host_ticks(),
				 __ATOMIC_SEQ_CST);
		kvm_for_each_vcpu(i, other, v->vcpu.kvm)
			riscv_make_request(to_riscv(other), REQ_TIME);
		return 0;
	case KVM_REG_RISCV_TIMER_REG(compare):
		return rv_hart_set_csr(v->hart, CSR_STIMECMP, val);
	case KVM_REG_RISCV_TIMER_REG(state):
		return 0;	/* follows from compare and time, which have been or will be set */
	default:
		return -ENOENT;
	}
}

static u64 list_timer(struct riscv_vcpu *v, u64 *ids)
{
	for (u64 i = 0; ids && i < 4; i++)
		ids[i] = U64_ID(KVM_REG_RISCV_TIMER, i);
	return 4;
}

/* fp */

static int fp_f_size(struct riscv_vcpu *v, u64 num, unsigned int size)
{
	if (!vcpu_has_ext(v, RV_EXT_F))
		return -ENOENT;
	if (size != 4)
		return -EINVAL;
	return num <= KVM_RISCV_FP_REG_FCSR ? 0 : -ENOENT;
}

static int get_fp_f(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val)
{
	int err = fp_f_size(v, num, size);

	if (err)
		return err;
	if (num == KVM_RISCV_FP_REG_FCSR)
		return rv_hart_get_csr(v->hart, CSR_FCSR, val);
	*val = (u32)rv_hart_get_f(v->hart, num);
	return 0;
}

static int set_fp_f(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val)
{
	int err = fp_f_size(v, num, size);

	if (err)
		return err;
	if (num == KVM_RISCV_FP_REG_FCSR)
		return rv_hart_set_csr(v->hart, CSR_FCSR, val);
	if (vcpu_has_ext(v, RV_EXT_D))
		val = (rv_hart_get_f(v->hart, num) & ~0xffffffffull) | (u32)val;
	else
		val |= ~0xffffffffull;
	rv_hart_set_f(v->hart, num, val);
	return 0;
}

static int fp_d_size(struct riscv_vcpu *v, u64 num, unsigned int size)
{
	if (!vcpu_has_ext(v, RV_EXT_D) || num > KVM_RISCV_FP_REG_FCSR)
		return -ENOENT;
	return size == (num == KVM_RISCV_FP_REG_FCSR ? 4 : 8) ? 0 : -EINVAL;
}

static int get_fp_d(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val)
{
	int err = fp_d_size(v, num, size);

	if (err)
		return err;
	if (num == KVM_RISCV_FP_REG_FCSR)
		return rv_hart_get_csr(v->hart, CSR_FCSR, val);
	*val = rv_hart_get_f(v->hart, num);
	return 0;
}

static int set_fp_d(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val)
{
	int err = fp_d_size(v, num, size);

	if (err)
		return err;
	if (num == KVM_RISCV_FP_REG_FCSR)
		return rv_hart_set_csr(v->hart, CSR_FCSR, val);
	rv_hart_set_f(v->hart, num, val);
	return 0;
}

static u64 list_fp_f(struct riscv_vcpu *v, u64 *ids)
{
	if (!vcpu_has_ext(v, RV_EXT_F))
		return 0;
	for (u64 i = 0; ids && i <= KVM_RISCV_FP_REG_FCSR; i++)
		ids[i] = U32_ID(KVM_REG_RISCV_FP_F, i);
	return KVM_RISCV_FP_REG_FCSR + 1;
}

static u64 list_fp_d(struct riscv_vcpu *v, u64 *ids)
{
	if (!vcpu_has_ext(v, RV_EXT_D))
		return 0;
	for (u64 i = 0; ids && i < KVM_RISCV_FP_REG_FCSR; i++)
		ids[i] = U64_ID(KVM_REG_RISCV_FP_D, i);
	if (ids)
		ids[KVM_RISCV_FP_REG_FCSR] = U32_ID(KVM_REG_RISCV_FP_D, KVM_RISCV_FP_REG_FCSR);
	return KVM_RISCV_FP_REG_FCSR + 1;
}

/* isa_ext, sbi_ext: one by one, or a bit each */

static int get_ext(struct riscv_vcpu *v, const struct ext_set *set, u64 num, u64 *val)
{
	u64 idx = INDEX(num), one;

	*val = 0;
	switch (SUBTYPE(num)) {
	case KVM_REG_RISCV_ISA_SINGLE:
		return set->get(v, idx, val);
	case KVM_REG_RISCV_ISA_MULTI_EN:
	case KVM_REG_RISCV_ISA_MULTI_DIS:
		if (idx > (set->max - 1) / 64)
			return -ENOENT;
		for (unsigned int i = 0; i < 64; i++)
			if (!set->get(v, idx * 64 + i, &one) && one)
				*val |= BIT(i);
		if (SUBTYPE(num) == KVM_REG_RISCV_ISA_MULTI_DIS)
			*val = ~*val;
		return 0;
	default:
		return -ENOENT;
	}
}

static int set_ext(struct riscv_vcpu *v, const struct ext_set *set, u64 num, u64 val)
{
	u64 idx = INDEX(num);

	switch (SUBTYPE(num)) {
	case KVM_REG_RISCV_ISA_SINGLE:
		return set->set(v, idx, val);
	case KVM_REG_RISCV_ISA_MULTI_EN:
	case KVM_REG_RISCV_ISA_MULTI_DIS:
		if (idx > (set->max - 1) / 64)
			return -ENOENT;
		/* A bit that names nothing, or cannot be changed, is passed over in silence. */
		for (unsigned int i = 0; i < 64; i++)
			if (val & BIT(i))
				set->set(v, idx * 64 + i,
					 SUBTYPE(num) == KVM_REG_RISCV_ISA_MULTI_EN);
		return 0;
	default:
		return -ENOENT;
	}
}

/* The list names each extension by its single register. */
static u64 list_ext(struct riscv_vcpu *v, const struct ext_set *set, u64 type, u64 *ids)
{
	u64 n = 0, val;

	for (u64 i = 0; i < set->max; i++) {
		if (set->get(v, i, &val))
			continue;
		if (ids)
			ids[n] = U64_ID(type, i);
		n++;
	}
	return n;
}

_Static_assert(KVM_REG_RISCV_ISA_SINGLE == KVM_REG_RISCV_SBI_SINGLE &&
	       KVM_REG_RISCV_ISA_MULTI_EN == KVM_REG_RISCV_SBI_MULTI_EN &&
	       KVM_REG_RISCV_ISA_MULTI_DIS == KVM_REG_RISCV_SBI_MULTI_DIS,
	       "one walk serves both types");

#define EXT_TYPE(name, type) \
	static int get_##name(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val) \
	{ \
		return get_ext(v, &name##s, num, val); \
	} \
	static int set_##name(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val) \
	{ \
		return set_ext(v, &name##s, num, val); \
	} \
	static u64 list_##name(struct riscv_vcpu *v, u64 *ids) \
	{ \
		return list_ext(v, &name##s, type, ids); \
	}
EXT_TYPE(isa_ext, KVM_REG_RISCV_ISA_EXT)
EXT_TYPE(sbi_ext, KVM_REG_RISCV_SBI_EXT)

/* sbi_state */

static int get_sbi_state(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val)
{
	switch (SUBTYPE(num)) {
	case KVM_REG_RISCV_SBI_STA:
		return sbi_sta_get_reg(v, INDEX(num), val);
	case KVM_REG_RISCV_SBI_FWFT:
		return sbi_fwft_get_reg(v, INDEX(num), val);
	default:
		return -EINVAL;
	}
}

static int set_sbi_state(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val)
{
	switch (SUBTYPE(num)) {
	case KVM_REG_RISCV_SBI_STA:
		return sbi_sta_set_reg(v, INDEX(num), val);
	case KVM_REG_RISCV_SBI_FWFT:
		return sbi_fwft_set_reg(v, INDEX(num), val);
	default:
		return -EINVAL;
	}
}

static u64 list_sbi_state(struct riscv_vcpu *v, u64 *ids)
{
	bool sta = v->sbi_status[KVM_RISCV_SBI_EXT_STA] == SBI_EXT_ENABLED;
	bool fwft = v->sbi_status[KVM_RISCV_SBI_EXT_FWFT] == SBI_EXT_ENABLED;
	u64 n = 0;

	for (u64 i = 0; sta && i < 2; i++, n++)
		if (ids)
			ids[n] = U64_ID(KVM_REG_RISCV_SBI_STATE | KVM_REG_RISCV_SBI_STA, i);
	for (u64 i = 0; fwft && i < SBI_FWFT_REGS; i++, n++)
		if (ids)
			ids[n] = U64_ID(KVM_REG_RISCV_SBI_STATE | KVM_REG_RISCV_SBI_FWFT, i);
	return n;
}

/* The types, in the order of the list. size 0: the type's functions look at it. */
static const struct reg_type {
	u64 type;
	unsigned int size;
	bool fixed_after_run;	/* EBUSY before anything else is looked at */
	unsigned int limit;	/* numbers from here on are ENOENT before the copy; 0: later */
	int (*get)(struct riscv_vcpu *v, u64 num, unsigned int size, u64 *val);
	int (*set)(struct riscv_vcpu *v, u64 num, unsigned int size, u64 val);
	u64 (*list)(struct riscv_vcpu *v, u64 *ids);
} reg_types[] = {
	{ KVM_REG_RISCV_CONFIG, 8, false, 0, get_config, set_config, list_config },
	{ KVM_REG_RISCV_CORE, 8, false, sizeof(struct kvm_riscv_core) / 8, get_core, set_core,
	  list_core },
	{ KVM_REG_RISCV_CSR, 8, false, 0, get_csr, set_csr, list_csr },
	{ KVM_REG_RISCV_TIMER, 8, false, 4, get_timer, set_timer, list_timer },
	{ KVM_REG_RISCV_FP_F, 0, false, 0, get_fp_f, set_fp_f, list_fp_f },
	{ KVM_REG_RISCV_FP_D, 0, false, 0, get_fp_d, set_fp_d, list_fp_d },
	{ KVM_REG_RISCV_VECTOR, 0, false, 0, NULL, NULL, riscv_list_vector },	/* vcpu_vector.c */
	{ KVM_REG_RISCV_ISA_EXT, 8, false, 0, get_isa_ext, set_isa_ext, list_isa_ext },
	{ KVM_REG_RISCV_SBI_EXT, 8, true, 0, get_sbi_ext, set_sbi_ext, list_sbi_ext },
	{ KVM_REG_RISCV_SBI_STATE, 8, false, 0, get_sbi_state, set_sbi_state, list_sbi_state },
};

static const struct reg_type *find_type(u64 id)
{
	for (size_t i = 0; i < ARRAY_SIZE(reg_types); i++)
		if ((id & KVM_REG_RISCV_TYPE_MASK) == reg_types[i].type)
			return &reg_types[i];
	return NULL;
}

static u64 reg_number(const struct kvm_one_reg *reg)
{
	return reg->id & ~(KVM_REG_ARCH_MASK | KVM_REG_SIZE_MASK | KVM_REG_RISCV_TYPE_MASK);
}

int riscv_get_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg)
{
	const struct reg_type *t = find_type(reg->id);
	unsigned int size = KVM_REG_SIZE(reg->id);
	u64 num = reg_number(reg), val = 0;
	int err;

	if (!t)
		return -ENOENT;
	if (t->size && size != t->size)
		return -EINVAL;
	if (t->limit && num >= t->limit)
		return -ENOENT;
	riscv_vcpu_settle(to_riscv(vcpu));
	if (t->type == KVM_REG_RISCV_VECTOR)
		return riscv_get_vector(to_riscv(vcpu), num, reg);
	err = t->get(to_riscv(vcpu), num, size, &val);
	if (err)
		return err;
	return sv_copy_to_user((void *)(uintptr_t)reg->addr, &val, size);
}

int riscv_set_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg)
{
	const struct reg_type *t = find_type(reg->id);
	struct riscv_vcpu *v = to_riscv(vcpu);
	unsigned int size = KVM_REG_SIZE(reg->id);
	u64 num = reg_number(reg), val = 0;
	int err;

	if (!t)
		return -ENOENT;
	if (t->size && size != t->size)
		return -EINVAL;
	if (t->fixed_after_run && v->ran_atleast_once)
		return -EBUSY;
	if (t->limit && num >= t->limit)
		return -ENOENT;
	riscv_vcpu_settle(v);
	if (t->type == KVM_REG_RISCV_VECTOR)
		return riscv_set_vector(v, num, reg);
	/* The FP types refuse a size or number before they read. */
	if (!t->size) {
		err = t->get(v, num, size, &val);
		if (err)
			return err;
		val = 0;
	}
	if (sv_copy_from_user(&val, (void *)(uintptr_t)reg->addr, size))
		return -EFAULT;
	return t->set(v, num, size, val);
}

u64 riscv_reg_list(struct kvm_vcpu *vcpu, u64 *ids, u64 max)
{
	u64 n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(reg_types); i++)
		n += reg_types[i].list(to_riscv(vcpu), ids ? ids + n : NULL);
	return n;
}
