/* SPDX-License-Identifier: MIT */
/*
 * SBI: finding the extension an ecall asks for, and which extensions a vCPU has.
 *
 * Each vCPU has a status for each of KVM's extension numbers: unavailable (it cannot work
 * here), disabled, enabled. User space changes the latter two before the first run. The
 * base extension has no number: it is always there.
 */
#include <errno.h>
#include <string.h>

#include "base/trace.h"
#include "kvm/riscv/sbi.h"

static const struct {
	unsigned int idx;		/* KVM_RISCV_SBI_EXT_*; MAX: cannot be disabled */
	const struct sbi_ext *ext;
} sbi_table[] = {
	{ KVM_RISCV_SBI_EXT_MAX, &sbi_ext_base },
	{ KVM_RISCV_SBI_EXT_V01, &sbi_ext_v01 },
	{ KVM_RISCV_SBI_EXT_TIME, &sbi_ext_time },
	{ KVM_RISCV_SBI_EXT_IPI, &sbi_ext_ipi },
	{ KVM_RISCV_SBI_EXT_RFENCE, &sbi_ext_rfence },
	{ KVM_RISCV_SBI_EXT_SRST, &sbi_ext_srst },
	{ KVM_RISCV_SBI_EXT_HSM, &sbi_ext_hsm },
	{ KVM_RISCV_SBI_EXT_PMU, &sbi_ext_pmu },
	{ KVM_RISCV_SBI_EXT_EXPERIMENTAL, &sbi_ext_experimental },
	{ KVM_RISCV_SBI_EXT_VENDOR, &sbi_ext_vendor },
	{ KVM_RISCV_SBI_EXT_DBCN, &sbi_ext_dbcn },
	{ KVM_RISCV_SBI_EXT_STA, &sbi_ext_sta },
	{ KVM_RISCV_SBI_EXT_SUSP, &sbi_ext_susp },
	{ KVM_RISCV_SBI_EXT_FWFT, &sbi_ext_fwft },
	{ KVM_RISCV_SBI_EXT_MPXY, &sbi_ext_mpxy },
};

void sbi_vcpu_init(struct riscv_vcpu *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(sbi_table); i++) {
		const struct sbi_ext *ext = sbi_table[i].ext;

		if (sbi_table[i].idx >= KVM_RISCV_SBI_EXT_MAX)
			continue;
		if (ext->probe && !ext->probe(v))
			v->sbi_status[sbi_table[i].idx] = SBI_EXT_UNAVAILABLE;
		else
			v->sbi_status[sbi_table[i].idx] =
				ext->default_disabled ? SBI_EXT_DISABLED : SBI_EXT_ENABLED;
	}
}

const struct sbi_ext *sbi_find_ext(const struct riscv_vcpu *v, u64 id)
{
	for (size_t i = 0; i < ARRAY_SIZE(sbi_table); i++) {
		const struct sbi_ext *ext = sbi_table[i].ext;

		if (id < ext->first || id > ext->last)
			continue;
		if (sbi_table[i].idx >= KVM_RISCV_SBI_EXT_MAX ||
		    v->sbi_status[sbi_table[i].idx] == SBI_EXT_ENABLED)
			return ext;
		return NULL;
	}
	return NULL;
}

enum sbi_outcome sbi_forward(struct riscv_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;

	v->vcpu.stat->arch[STAT_ECALL_EXIT]++;
	v->sbi_pending = true;
	run->exit_reason = KVM_EXIT_RISCV_SBI;
	run->riscv_sbi.extension_id = vcpu_x(v, X_A7);
	run->riscv_sbi.function_id = vcpu_x(v, X_A6);
	for (unsigned int i = 0; i < 6; i++)
		run->riscv_sbi.args[i] = vcpu_x(v, X_A0 + i);
	run->riscv_sbi.ret[0] = SBI_ERR_NOT_SUPPORTED;
	run->riscv_sbi.ret[1] = 0;
	return SBI_TO_USER;
}

enum sbi_outcome sbi_system_event(struct riscv_vcpu *v, u32 type, u64 reason)
{
	struct kvm_run *run = v->vcpu.run;
	struct kvm_vcpu *other;

	/* The machine is off: no vCPU runs until user space says so. */
	kvm_for_each_vcpu(i, other, v->vcpu.kvm) {
		struct riscv_vcpu *o = to_riscv(other);

		sv_spin_lock(&o->mp_lock);
		riscv_power_off_locked(o);
		sv_spin_unlock(&o->mp_lock);
	}
	memset(&run->system_event, 0, sizeof(run->system_event));
	run->system_event.type = type;
	run->system_event.ndata = 1;
	run->system_event.data[0] = reason;
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	return SBI_EXIT;
}

enum sbi_outcome sbi_ecall(struct riscv_vcpu *v)
{
	u64 id = vcpu_x(v, X_A7);
	const struct sbi_ext *ext = sbi_find_ext(v, id);
	struct sbi_ret ret = { 0 };
	enum sbi_outcome outcome = SBI_DONE;

	sv_trace("kvm.sbi", "vcpu %u ext 0x%llx fn %llu", v->vcpu.vcpu_id,
		 (unsigned long long)id, (unsigned long long)vcpu_x(v, X_A6));
	if (ext)
		outcome = ext->handler(v, &ret);
	else
		ret.err = SBI_ERR_NOT_SUPPORTED;

	switch (outcome) {
	case SBI_DONE:
		rv_hart_set_x(v->hart, X_A1, ret.val);
		/* fall through */
	case SBI_DONE_V01:
		rv_hart_set_x(v->hart, X_A0, ret.err);
		rv_hart_complete_ecall(v->hart);
		break;
	case SBI_TRAP:
		rv_hart_inject_trap(v->hart, ret.trap_cause, ret.trap_val);
		break;
	case SBI_TO_USER:
	case SBI_EXIT:
		break;
	}
	return outcome;
}

u64 sbi_for_each_hart(struct riscv_vcpu *v, u64 base, u64 mask,
		      void (*fn)(struct riscv_vcpu *target, void *arg), void *arg)
{
	struct kvm_vcpu *vcpu;
	u64 found = 0;

	/* In creation order, which says nothing about ids. */
	kvm_for_each_vcpu(i, vcpu, v->vcpu.kvm) {
		if (base != ~0ull) {
			u64 bit = vcpu->vcpu_id - base;

			if (vcpu->vcpu_id < base || bit >= 64 || !(mask & BIT(bit)))
				continue;
			found |= BIT(bit);
		}
		fn(to_riscv(vcpu), arg);
	}
	return found;
}

static bool ext_listed(const struct riscv_vcpu *v, unsigned int idx)
{
	return idx < KVM_RISCV_SBI_EXT_MAX && v->sbi_status[idx] != SBI_EXT_UNAVAILABLE;
}

static int set_single(struct riscv_vcpu *v, u64 num, u64 val)
{
	if (val > 1)
		return -EINVAL;
	if (num >= KVM_RISCV_SBI_EXT_MAX || !ext_listed(v, num))
		return -ENOENT;
	v->sbi_status[num] = val ? SBI_EXT_ENABLED : SBI_EXT_DISABLED;
	return 0;
}

static int get_single(struct riscv_vcpu *v, u64 num, u64 *val)
{
	if (num >= KVM_RISCV_SBI_EXT_MAX || !ext_listed(v, num))
		return -ENOENT;
	*val = v->sbi_status[num] == SBI_EXT_ENABLED;
	return 0;
}

const struct ext_set sbi_exts = { KVM_RISCV_SBI_EXT_MAX, get_single, set_single };
