/* SPDX-License-Identifier: MIT */
/*
 * IMSIC: a vCPU's interrupt file.
 *
 * Model: two arrays of bits, pending and enabled, by identity; identity 0 is none. The
 * lowest identity that is in both and below the threshold (0: no threshold) is the top one.
 * While delivery is on and there is a top one the hart's external interrupt line is high.
 *
 * Invariant: whenever the lock is free, the line is as the file's state says, unless user
 * space has moved it since (KVM_INTERRUPT, ONE_REG sip).
 *
 * Lock: s->lock, innermost. The vCPU is woken outside of it, after the line is high.
 *
 * Numbers: AIA specification 1.0, section 3.8 (registers by iselect), 3.5 (memory).
 */
#include <errno.h>
#include <string.h>

#include "kvm/riscv/kvm_riscv.h"

enum {
	ISEL_EIDELIVERY = 0x70, ISEL_EITHRESHOLD = 0x72,
	ISEL_EIP0 = 0x80, ISEL_EIP63 = 0xbf, ISEL_EIE0 = 0xc0, ISEL_EIE63 = 0xff,
};
enum { SETEIPNUM_LE = 0, SETEIPNUM_BE = 4 };

#define WORDS (AIA_MAX_IDS / 64)

struct imsic {
	struct riscv_vcpu *vcpu;
	u32 nr;			/* identities are below it; a multiple of 64 */
	struct sv_spin lock;
	u32 eidelivery;
	u32 eithreshold;
	u64 eip[WORDS];
	u64 eie[WORDS];
};

struct imsic *imsic_create(struct riscv_vcpu *v, u32 nr_ids)
{
	struct imsic *s = sv_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->vcpu = v;
	s->nr = nr_ids + 1;
	sv_spin_init(&s->lock);
	return s;
}

void imsic_destroy(struct imsic *s)
{
	sv_free(s);
}

/* Lock held. */
static u32 top_locked(const struct imsic *s)
{
	u32 limit = s->eithreshold && s->eithreshold < s->nr ? s->eithreshold : s->nr;

	for (u32 w = 0; w * 64 < limit; w++) {
		u64 hot = s->eip[w] & s->eie[w];
		u32 id;

		if (!hot)
			continue;
		id = w * 64 + (u32)__builtin_ctzll(hot);
		return id < limit ? id : 0;
	}
	return 0;
}

/* Gives the lock back. */
static void unlock_and_drive(struct imsic *s)
{
	bool level = s->eidelivery && top_locked(s);

	rv_hart_set_irq(s->vcpu->hart, IRQ_S_EXT, level);
	sv_spin_unlock(&s->lock);
	if (level)
		kvm_vcpu_wake(&s->vcpu->vcpu);
}

void imsic_reset(struct imsic *s)
{
	sv_spin_lock(&s->lock);
	s->eidelivery = 0;
	s->eithreshold = 0;
	memset(s->eip, 0, sizeof(s->eip));
	memset(s->eie, 0, sizeof(s->eie));
	unlock_and_drive(s);
}

int imsic_inject(struct imsic *s, u32 guest_index, u32 offset, u32 id)
{
	if (guest_index || !id || (offset != SETEIPNUM_LE && offset != SETEIPNUM_BE))
		return -ENODEV;
	if (offset == SETEIPNUM_BE)
		id = __builtin_bswap32(id);
	if (id >= s->nr)
		return -EINVAL;
	if (!id)
		return 0;
	sv_spin_lock(&s->lock);
	s->eip[id / 64] |= BIT(id % 64);
	unlock_and_drive(s);
	return 0;
}

u32 imsic_top(struct imsic *s)
{
	u32 id;

	sv_spin_lock(&s->lock);
	id = top_locked(s);
	sv_spin_unlock(&s->lock);
	return id;
}

u32 imsic_claim(struct imsic *s)
{
	u32 id;

	sv_spin_lock(&s->lock);
	id = top_locked(s);
	if (id)
		s->eip[id / 64] &= ~BIT(id % 64);
	unlock_and_drive(s);
	return id;
}

int imsic_check(const struct imsic *s, u64 isel)
{
	u64 n = 0;

	if (isel >= ISEL_EIP0 && isel <= ISEL_EIP63)
		n = isel - ISEL_EIP0;
	else if (isel >= ISEL_EIE0 && isel <= ISEL_EIE63)
		n = isel - ISEL_EIE0;
	else if (isel != ISEL_EIDELIVERY && isel != ISEL_EITHRESHOLD)
		return -ENOENT;
	/* A register is 64 bits wide and takes two numbers: the odd ones are RV32's. */
	return (n & 1) || n / 2 >= s->nr / 64 ? -EINVAL : 0;
}

int imsic_access(struct imsic *s, u64 isel, enum rv_csr_op op, u64 val, u64 *old)
{
	int err = imsic_check(s, isel);
	u64 *word, next;

	if (err)
		return err;
	sv_spin_lock(&s->lock);
	switch (isel) {
	case ISEL_EIDELIVERY:
		*old = s->eidelivery;
		s->eidelivery = aia_csr_op(op, *old, val) & 1;
		break;
	case ISEL_EITHRESHOLD:
		*old = s->eithreshold;
		s->eithreshold = aia_csr_op(op, *old, val) & (AIA_MAX_IDS - 1);
		break;
	default:
		word = isel >= ISEL_EIE0 ? &s->eie[(isel - ISEL_EIE0) / 2] :
					   &s->eip[(isel - ISEL_EIP0) / 2];
		*old = *word;
		next = aia_csr_op(op, *old, val);
		if (word == s->eip || word == s->eie)
			next &= ~1ull;		/* identity 0 is none */
		*word = next;
		break;
	}
	if (op == RV_CSR_READ)
		sv_spin_unlock(&s->lock);
	else
		unlock_and_drive(s);
	return 0;
}
