/* SPDX-License-Identifier: MIT */
/*
 * The ISA extensions of a vCPU, as ONE_REG shows and changes them.
 *
 * All that the engine has is on in a new vCPU. Which can be switched off before the first run,
 * and which errno tells that one cannot, is as in the kernel: it can take from a guest only
 * what hardware lets a hypervisor take. Extensions of which the engine knows no bit (they add
 * nothing that could be illegal, or are somebody else's) are on always.
 *
 * Here is also what an extension promises without adding an instruction:
 * - Ztso: guest loads and stores are plain ones of the host's, so it is there where the host's
 *   order is TSO, and not elsewhere.
 * - Zkt: no op of its list has a branch or an address that depends on an operand
 *   (cpu/riscv/crypto.h; tests/unit/test_zkt.c follows each of them).
 * - Zvkt: nor does a vector kernel of its list (cpu/riscv/ops_vec_crypto.c).
 */
#include <errno.h>

#include "kvm/riscv/kvm_riscv.h"

#define ALWAYS 0xfe		/* the I of RV64I: no bit of the engine's */

/* KVM's extension numbers, what the engine calls them, and whether a guest may lose one. */
struct isa_entry {
	u8 engine;		/* enum rv_ext, ALWAYS */
	bool can_disable;
	char letter;		/* bit in config.isa; 0: none */
	bool present;
};

#define EXT_IF(cond, kvm, eng, dis, let) \
	[KVM_RISCV_ISA_EXT_##kvm] = { .engine = (eng), .can_disable = (dis), .letter = (let), \
				      .present = (cond) }
#define EXT(kvm, eng, dis, let) EXT_IF(true, kvm, eng, dis, let)
/* Most have the engine's name, no letter, and stay. */
#define STAYS(name) EXT(name, RV_EXT_##name, false, 0)

static const struct isa_entry isa_table[KVM_RISCV_ISA_EXT_MAX] = {
	EXT(A, RV_EXT_A, false, 'a'),
	EXT(C, RV_EXT_C, false, 'c'),
	EXT(D, RV_EXT_D, true, 'd'),
	EXT(F, RV_EXT_F, true, 'f'),
	EXT(I, ALWAYS, false, 'i'),
	EXT(M, RV_EXT_M, false, 'm'),
	EXT(SMSTATEEN, RISCV_EXT_SMSTATEEN, true, 0),
	EXT(SSAIA, RISCV_EXT_SSAIA, true, 0),
	STAYS(SSCOFPMF),
	STAYS(SSTC),
	STAYS(SVINVAL),
	STAYS(SVNAPOT),
	EXT(SVPBMT, RV_EXT_SVPBMT, true, 0),
	EXT(V, RV_EXT_V, true, 'v'),
	STAYS(ZACAS),
	STAYS(ZAWRS),
	STAYS(ZBA),
	STAYS(ZBB),
	STAYS(ZBC),
	STAYS(ZBKB),
	STAYS(ZBKC),
	STAYS(ZBKX),
	STAYS(ZBS),
	EXT(ZCA, RV_EXT_C, false, 0),
	STAYS(ZCB),
	EXT(ZCD, ALWAYS, false, 0),		/* a number of its own: D=0 restores in any order */
	STAYS(ZCMOP),
	STAYS(ZFA),
	STAYS(ZFH),
	STAYS(ZFHMIN),
	EXT(ZICBOM, RV_EXT_ZICBOM, true, 0),
	EXT(ZICBOZ, RV_EXT_ZICBOZ, true, 0),
	STAYS(ZICNTR),
	STAYS(ZICOND),
	STAYS(ZICSR),
	STAYS(ZIFENCEI),
	EXT(ZIHINTNTL, ALWAYS, false, 0),	/* hints, which do nothing */
	STAYS(ZIHINTPAUSE),
	EXT(ZIHPM, ALWAYS, false, 0),		/* through SBI PMU */
	STAYS(ZIMOP),
	STAYS(ZKND),
	STAYS(ZKNE),
	STAYS(ZKNH),
	STAYS(ZKR),
	STAYS(ZKSED),
	STAYS(ZKSH),
	EXT(ZKT, ALWAYS, false, 0),
	EXT_IF(RV_HOST_IS_TSO, ZTSO, ALWAYS, false, 0),
	STAYS(ZVBB),
	STAYS(ZVBC),
	STAYS(ZVFH),
	STAYS(ZVFHMIN),
	STAYS(ZVKB),
	STAYS(ZVKG),
	STAYS(ZVKNED),
	STAYS(ZVKNHA),
	STAYS(ZVKNHB),
	STAYS(ZVKSED),
	STAYS(ZVKSH),
	EXT(ZVKT, ALWAYS, false, 0),
};

static bool isa_enabled(const struct riscv_vcpu *v, const struct isa_entry *e)
{
	return e->engine == ALWAYS || vcpu_has_ext(v, e->engine);
}

static void set_isa(struct riscv_vcpu *v, u64 isa)
{
	/* Single precision alone: what was written as a register's low half is all of it. */
	if (vcpu_has_ext(v, RV_EXT_D) && !(isa & BIT(RV_EXT_D)))
		for (unsigned int i = 0; i < 32; i++)
			rv_hart_set_f(v->hart, i, rv_hart_get_f(v->hart, i) | ~0xffffffffull);
	v->isa = isa;
	rv_hart_set_extensions(v->hart, isa & RV_EXT_ALL);
}

/* The single-letter ones, as config.isa has them. */
u64 isa_letters(const struct riscv_vcpu *v)
{
	u64 val = 0;

	for (unsigned int i = 0; i < KVM_RISCV_ISA_EXT_MAX; i++)
		if (isa_table[i].letter && isa_enabled(v, &isa_table[i]))
			val |= BIT(isa_table[i].letter - 'a');
	return val;
}

int isa_set_letters(struct riscv_vcpu *v, u64 val)
{
	u64 isa = v->isa;

	if (val >> 26)		/* letters only */
		return -EINVAL;
	if (val == isa_letters(v))
		return 0;
	if (v->ran_atleast_once)
		return -EBUSY;
	/* What cannot change is passed over in silence. */
	for (unsigned int i = 0; i < KVM_RISCV_ISA_EXT_MAX; i++) {
		const struct isa_entry *e = &isa_table[i];

		if (!e->letter || e->engine == ALWAYS)
			continue;
		if (val & BIT(e->letter - 'a'))
			isa |= BIT(e->engine);
		else if (e->can_disable)
			isa &= ~BIT(e->engine);
	}
	set_isa(v, isa);
	return 0;
}

static int get_single(struct riscv_vcpu *v, u64 num, u64 *val)
{
	if (num >= KVM_RISCV_ISA_EXT_MAX || !isa_table[num].present)
		return -ENOENT;
	*val = isa_enabled(v, &isa_table[num]);
	return 0;
}

static int set_single(struct riscv_vcpu *v, u64 num, u64 val)
{
	const struct isa_entry *e;

	if (num >= KVM_RISCV_ISA_EXT_MAX || !isa_table[num].present)
		return -ENOENT;
	e = &isa_table[num];
	if (val == isa_enabled(v, e))
		return 0;
	if (v->ran_atleast_once)
		return -EBUSY;
	if (val == 1)
		set_isa(v, v->isa | BIT(e->engine));
	else if (!val && e->can_disable)
		set_isa(v, v->isa & ~BIT(e->engine));
	else
		return -EINVAL;
	return 0;
}

const struct ext_set isa_exts = { KVM_RISCV_ISA_EXT_MAX, get_single, set_single };
