/* SPDX-License-Identifier: MIT */
/*
 * SBI firmware features: settings of the layer below the guest's kernel, some of them lockable.
 *
 * There is one that a hart here can have: who takes misaligned exceptions. It is the guest
 * whatever the setting says (KVM, too, passes on what it takes), so the value is kept and
 * changes nothing. The others that the specification names need extensions that the engine
 * does not have (Zicfilp, Zicfiss, Ssdbltrp, Svadu, Smnpm): not supported. Numbers that it does
 * not name are denied.
 *
 * User space sees three registers for a feature: is it offered, flags, value. It may also write
 * what is locked, to restore it.
 */
#include <errno.h>

#include "kvm/riscv/sbi.h"

enum { FWFT_SET, FWFT_GET };
enum { MISALIGNED_EXC_DELEG, LANDING_PAD, SHADOW_STACK, DOUBLE_TRAP, PTE_AD_HW_UPDATING,
       POINTER_MASKING_PMLEN };
#define FWFT_LOCK 1ull

void sbi_fwft_reset(struct riscv_vcpu *v)
{
	v->misaligned_deleg.flags = 0;
	v->misaligned_deleg.value = 0;
}

/* 0 and the feature, or the guest's error. */
static s64 find(struct riscv_vcpu *v, u32 feature, struct riscv_fwft **f)
{
	if (feature > POINTER_MASKING_PMLEN)
		return SBI_ERR_DENIED;
	if (feature != MISALIGNED_EXC_DELEG || !v->misaligned_deleg.enabled)
		return SBI_ERR_NOT_SUPPORTED;
	*f = &v->misaligned_deleg;
	return 0;
}

static s64 fwft_set(struct riscv_vcpu *v, u32 feature, u64 value, u64 flags)
{
	struct riscv_fwft *f;
	s64 err = find(v, feature, &f);

	if (err)
		return err;
	if (flags & ~FWFT_LOCK)
		return SBI_ERR_INVALID_PARAM;
	if (f->flags & FWFT_LOCK)
		return SBI_ERR_DENIED_LOCKED;
	if (value > 1)
		return SBI_ERR_INVALID_PARAM;
	f->value = value;
	f->flags = flags;
	return 0;
}

static s64 fwft_get(struct riscv_vcpu *v, u32 feature, u64 *value)
{
	struct riscv_fwft *f;
	s64 err = find(v, feature, &f);

	if (!err)
		*value = f->value;
	return err;
}

static enum sbi_outcome fwft_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	u32 feature = (u32)vcpu_x(v, X_A0);

	switch (vcpu_x(v, X_A6)) {
	case FWFT_SET:
		ret->err = fwft_set(v, feature, vcpu_x(v, X_A1), vcpu_x(v, X_A2));
		break;
	case FWFT_GET:
		ret->err = fwft_get(v, feature, &ret->val);
		break;
	default:
		ret->err = SBI_ERR_NOT_SUPPORTED;
		break;
	}
	return SBI_DONE;
}

int sbi_fwft_set_reg(struct riscv_vcpu *v, u64 num, u64 val)
{
	struct riscv_fwft *f = &v->misaligned_deleg;

	switch (num) {
	case KVM_REG_RISCV_SBI_FWFT_REG(misaligned_deleg.enable):
		if (val > 1)
			return -EINVAL;
		f->enabled = val;
		return 0;
	case KVM_REG_RISCV_SBI_FWFT_REG(misaligned_deleg.flags):
		f->flags = val & FWFT_LOCK;
		return 0;
	case KVM_REG_RISCV_SBI_FWFT_REG(misaligned_deleg.value):
		if (val > 1)
			return -EINVAL;
		f->value = val;
		return 0;
	default:
		return -ENOENT;
	}
}

int sbi_fwft_get_reg(struct riscv_vcpu *v, u64 num, u64 *val)
{
	const struct riscv_fwft *f = &v->misaligned_deleg;

	switch (num) {
	case KVM_REG_RISCV_SBI_FWFT_REG(misaligned_deleg.enable):
		*val = f->enabled;
		return 0;
	case KVM_REG_RISCV_SBI_FWFT_REG(misaligned_deleg.flags):
		*val = f->flags;
		return 0;
	case KVM_REG_RISCV_SBI_FWFT_REG(misaligned_deleg.value):
		*val = f->value;
		return 0;
	default:
		return -ENOENT;
	}
}

const struct sbi_ext sbi_ext_fwft = {
	.first = SBI_ID_FWFT, .last = SBI_ID_FWFT, .handler = fwft_handler,
};
