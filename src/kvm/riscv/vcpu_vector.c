// SPDX-License-Identifier: MIT
/*
 * The vector extension's registers in KVM_GET_ONE_REG, KVM_SET_ONE_REG and KVM_GET_REG_LIST, as
 * Linux's arch/riscv/kvm has them: five words, then v0..v31, whose size in the id is vlenb.
 *
 * vlenb is the machine's: a write of another value is EINVAL. vl and vtype are kept as written,
 * in any order, until the vCPU runs. Nothing is EBUSY.
 *
 * VLEN is 128, or what the environment's SOFTVIRT_RISCV_VLEN says: a host's harts have theirs,
 * and the API knows no other.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/guard.h"
#include "base/log.h"
#include "kvm/riscv/kvm_riscv.h"

#define MAX_VLENB 128

unsigned int riscv_vlen(void)
{
	const char *s = getenv("SOFTVIRT_RISCV_VLEN");
	char *end;
	unsigned long n;

	if (!s || !*s)
		return 128;
	n = strtoul(s, &end, 10);
	if (!*end && n >= 128 && n <= 8 * MAX_VLENB && !(n & (n - 1)))
		return (unsigned int)n;
	sv_warn("SOFTVIRT_RISCV_VLEN is a power of two from 128 to 1024, not %s; taking 128", s);
	return 128;
}

/* The CSR behind a word's number, 0 if there is none. */
static unsigned int word_csr(u64 num)
{
	static const u16 csrs[] = {
		[KVM_RISCV_VECTOR_VSTART] = CSR_VSTART, [KVM_RISCV_VECTOR_VL] = CSR_VL,
		[KVM_RISCV_VECTOR_VTYPE] = CSR_VTYPE, [KVM_RISCV_VECTOR_VCSR] = CSR_VCSR,
		[KVM_RISCV_VECTOR_VLENB] = CSR_VLENB,
	};

	return num < ARRAY_SIZE(csrs) ? csrs[num] : 0;
}

/* Size before number, but for a number that no register has. */
static int check(const struct riscv_vcpu *v, u64 num, u64 id)
{
	unsigned int size = KVM_REG_SIZE(id);

	if (!(v->isa & BIT(RV_EXT_V)) || num > KVM_RISCV_VECTOR_V(31))
		return -ENOENT;
	if (size != (num < KVM_RISCV_VECTOR_V(0) ? 8 : rv_hart_get_vlenb(v->hart)))
		return -EINVAL;
	return num < KVM_RISCV_VECTOR_V(0) && !word_csr(num) ? -ENOENT : 0;
}

int riscv_get_vector(struct riscv_vcpu *v, u64 num, const struct kvm_one_reg *reg)
{
	u8 bytes[MAX_VLENB];
	u64 val;
	int err = check(v, num, reg->id);

	if (err)
		return err;
	if (num >= KVM_RISCV_VECTOR_V(0)) {
		rv_hart_get_v(v->hart, num - KVM_RISCV_VECTOR_V(0), bytes);
		return sv_copy_to_user((void *)(uintptr_t)reg->addr, bytes,
				       rv_hart_get_vlenb(v->hart));
	}
	err = rv_hart_get_csr(v->hart, word_csr(num), &val);
	return err ? err : sv_copy_to_user((void *)(uintptr_t)reg->addr, &val, sizeof(val));
}

int riscv_set_vector(struct riscv_vcpu *v, u64 num, const struct kvm_one_reg *reg)
{
	u8 bytes[MAX_VLENB];
	u64 val;
	int err = check(v, num, reg->id);

	if (err)
		return err;
	if (num >= KVM_RISCV_VECTOR_V(0)) {
		if (sv_copy_from_user(bytes, (void *)(uintptr_t)reg->addr,
				      rv_hart_get_vlenb(v->hart)))
			return -EFAULT;
		rv_hart_set_v(v->hart, num - KVM_RISCV_VECTOR_V(0), bytes);
		return 0;
	}
	if (sv_copy_from_user(&val, (void *)(uintptr_t)reg->addr, sizeof(val)))
		return -EFAULT;
	if (num == KVM_RISCV_VECTOR_VLENB)
		return val == rv_hart_get_vlenb(v->hart) ? 0 : -EINVAL;
	return rv_hart_set_csr(v->hart, word_csr(num), val);
}

u64 riscv_list_vector(struct riscv_vcpu *v, u64 *ids)
{
	u64 size = (u64)__builtin_ctz(rv_hart_get_vlenb(v->hart)) << KVM_REG_SIZE_SHIFT, n = 0;

	if (!(v->isa & BIT(RV_EXT_V)))
		return 0;
	if (!ids)
		return 5 + 32;
	for (u64 i = 0; i < 5; i++)
		ids[n++] = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_VECTOR | i;
	for (u64 i = 0; i < 32; i++)
		ids[n++] = KVM_REG_RISCV | size | KVM_REG_RISCV_VECTOR | KVM_RISCV_VECTOR_V(i);
	return n;
}
