/* SPDX-License-Identifier: MIT */
/*
 * The AIA: RISC-V's interrupt controller inside of KVM.
 *
 * Model: each vCPU has an interrupt file (IMSIC, aia_imsic.c): arrays of pending and enabled
 * identities that drive the hart's external interrupt line. The VM has one APLIC
 * (aia_aplic.c) that turns wires into messages to interrupt files; its pins are what
 * KVM_IRQ_LINE, irqchip routes and irqfds drive. aia.c is the guest's view by CSR and by
 * memory, and where messages find their file; aia_device.c is user space's.
 *
 * Life: KVM_CREATE_DEVICE sets in_kernel. The device's INIT makes all files and the APLIC,
 * then releases initialized; from there on the configuration, the addresses and the
 * pointers are constant, and any thread may inject. All goes with the VM. A vCPU created
 * after INIT has no interrupt file.
 *
 * Locks, outer to inner: kvm->lock (configuration, INIT), kvm->irq_lock (irqfds), the
 * APLIC's, an interrupt file's. None of the last two is held while a guest runs or while a
 * thread sleeps; no guest memory is touched under them.
 */
#ifndef SV_KVM_RISCV_AIA_H
#define SV_KVM_RISCV_AIA_H

#include "cpu/riscv/hart.h"
#include "kvm/kvm.h"
#include "softvirt/uapi/kvm_riscv.h"

#define AIA_UNDEF_ADDR (~0ull)
#define AIA_MAX_IDS 2048
#define AIA_NR_CSRS (sizeof(struct kvm_riscv_aia_csr) / 8)

struct riscv_vcpu;
struct aplic;
struct imsic;

/* In struct riscv_vm. */
struct riscv_aia {
	bool in_kernel;		/* written under kvm->lock, read anywhere */
	bool initialized;	/* released by INIT; what follows is constant then */
	u32 mode;
	u32 nr_ids, nr_sources;
	u32 nr_group_bits, nr_group_shift, nr_hart_bits, nr_guest_bits;
	u64 aplic_addr;
	u64 imsic_base_ppn;	/* page numbers without their group, hart and guest bits */
	struct aplic *aplic;	/* NULL: no sources */
};

/* In struct riscv_vcpu. */
struct riscv_vcpu_aia {
	u64 csr[AIA_NR_CSRS];		/* struct kvm_riscv_aia_csr's; vcpu->mutex */
	u64 imsic_addr;			/* kvm->lock until INIT */
	u32 hart_index;
	struct imsic *imsic;		/* released by INIT, or NULL */
};

static inline bool aia_initialized(const struct riscv_aia *aia)
{
	return smp_load_acquire(&aia->initialized);
}

/* aia.c */
void aia_vm_init(struct riscv_aia *aia);
void aia_vm_destroy(struct riscv_aia *aia);
void aia_vcpu_init(struct riscv_vcpu *v);
void aia_vcpu_reset(struct riscv_vcpu *v);
void aia_vcpu_destroy(struct riscv_vcpu *v);
/* Of rv_csr_ops: false when the CSR isn't the AIA's, or is not there for this guest. */
bool aia_csr_access(struct riscv_vcpu *v, unsigned int csr, enum rv_csr_op op, u64 val, u64 *old);
/* ONE_REG of the AIA's subtype: -ENOENT. */
int aia_get_csr(struct riscv_vcpu *v, u64 num, u64 *val);
int aia_set_csr(struct riscv_vcpu *v, u64 num, u64 val);
/* A guest's access to nothing: true when it was the APLIC's or an interrupt file's. */
bool aia_mmio_read(struct riscv_vcpu *v, u64 gpa, unsigned int len, u64 *data);
bool aia_mmio_write(struct riscv_vcpu *v, u64 gpa, unsigned int len, u64 data);
u64 aia_imsic_ppn(const struct riscv_aia *aia, u64 addr);
u32 aia_imsic_hart_index(const struct riscv_aia *aia, u64 addr);
/* Any thread. A message for which there is no interrupt file goes nowhere: 0. */
int aia_inject_msi_by_index(struct kvm *kvm, u32 hart_index, u32 guest_index, u32 id);
bool aia_irqchip(struct kvm *kvm);
int aia_set_irq(struct kvm *kvm, u32 pin, int level);
int aia_send_msi(struct kvm *kvm, const struct kvm_msi *msi);
long aia_irq_line(struct kvm *kvm, struct kvm_irq_level *level);

/* aia_device.c */
extern const struct kvm_device_ops aia_device_ops;

/* aia_imsic.c; id 0 is no interrupt. Any thread unless said otherwise. */
struct imsic *imsic_create(struct riscv_vcpu *v, u32 nr_ids);	/* NULL: no memory */
void imsic_destroy(struct imsic *s);				/* nobody injects any more */
void imsic_reset(struct imsic *s);
int imsic_inject(struct imsic *s, u32 guest_index, u32 offset, u32 id);
u32 imsic_top(struct imsic *s);			/* the first identity pending and enabled, or 0 */
u32 imsic_claim(struct imsic *s);		/* the same, and takes it */
/* By iselect. -ENOENT: none of the file's; -EINVAL: not there on RV64, or beyond its ids. */
int imsic_check(const struct imsic *s, u64 isel);
int imsic_access(struct imsic *s, u64 isel, enum rv_csr_op op, u64 val, u64 *old);

/* aia_aplic.c */
struct aplic *aplic_create(struct kvm *kvm, u32 nr_sources);	/* NULL: no memory */
void aplic_destroy(struct aplic *a);
int aplic_set_input(struct aplic *a, u32 source, bool level);	/* -ENODEV: no such source */
/* -EOPNOTSUPP: misaligned; -ENODEV: no register. */
int aplic_read(struct aplic *a, u64 offset, u32 *val);
/* by_guest: what the guest says about a level source's end is passed on to resampling irqfds. */
int aplic_write(struct aplic *a, u64 offset, u32 val, bool by_guest);

static inline u64 aia_csr_op(enum rv_csr_op op, u64 old, u64 val)
{
	switch (op) {
	case RV_CSR_WRITE: return val;
	case RV_CSR_SET: return old | val;
	case RV_CSR_CLEAR: return old & ~val;
	default: return old;
	}
}

#endif
