/* SPDX-License-Identifier: MIT */
/*
 * KVM for RISC-V guests on any host: register ids, layouts and numbers.
 *
 * Model: on a RISC-V host the system's <asm/kvm.h> has been included by <linux/kvm.h>;
 * if it is older than Linux 6.12 what it lacks follows. On another host everything
 * follows, beside that host's own <asm/kvm.h>: no name here exists there. The guest is
 * RV64 whatever the host, so what the kernel calls unsigned long is __u64 here.
 *
 * Numbers that an old header has as enumerators are macros here: a macro of the same
 * value may stand beside the enumerator, and #ifndef could not see the latter.
 *
 * Where the host's header defines a name with another meaning (the coalesced ring's page,
 * the size inside KVM_SET_GUEST_DEBUG) the guest's has KVM_RISCV_ in front.
 */
#ifndef SOFTVIRT_UAPI_KVM_RISCV_H
#define SOFTVIRT_UAPI_KVM_RISCV_H

#include "kvm.h"

/* KVM_INTERRUPT */
#ifndef KVM_INTERRUPT_SET
#define KVM_INTERRUPT_SET	-1U
#define KVM_INTERRUPT_UNSET	-2U
#endif

#define KVM_RISCV_COALESCED_MMIO_PAGE_OFFSET	1
/* Of a vCPU's mapping, in pages: what RISC-V's KVM uses since it has dirty rings (Linux 6.17). */
#define KVM_RISCV_DIRTY_LOG_PAGE_OFFSET		64

/*
 * KVM_CREATE_VM's type for a VM with private memory, by the number that x86's
 * KVM_X86_SW_PROTECTED_VM has. No kernel for RISC-V has one: docs/kvm.md.
 */
#define KVM_RISCV_SW_PROTECTED_VM		1
/* struct kvm_guest_debug without an architecture's part, as RISC-V has it. */
struct kvm_riscv_guest_debug {
	__u32 control;
	__u32 pad;
};
#define KVM_RISCV_SET_GUEST_DEBUG _IOW(KVMIO, 0x9b, struct kvm_riscv_guest_debug)

/* The device control API's number for the AIA. */
#ifndef KVM_DEV_TYPE_RISCV_AIA
#define KVM_DEV_TYPE_RISCV_AIA	11
#endif

#ifndef KVM_REG_SIZE
#define KVM_REG_SIZE(id) (1U << (((id) & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT))
#endif

#ifndef KVM_REG_RISCV
#define KVM_REG_RISCV		0x8000000000000000ULL
#endif

#ifndef KVM_RISCV_MODE_S
#define KVM_RISCV_MODE_S	1
#define KVM_RISCV_MODE_U	0
#endif
#ifndef KVM_RISCV_TIMER_STATE_OFF
#define KVM_RISCV_TIMER_STATE_OFF	0
#define KVM_RISCV_TIMER_STATE_ON	1
#endif

/*
 * Layouts. KVM_REG_RISCV_SBI_STA came with the last of them, so its absence means that
 * the system's are missing or shorter; a shorter one is put aside by renaming.
 */
#ifndef KVM_REG_RISCV_SBI_STA
#ifdef __riscv
#define kvm_riscv_config	softvirt_kvm_riscv_config
#define kvm_riscv_csr		softvirt_kvm_riscv_csr
#define kvm_riscv_core		softvirt_kvm_riscv_core
#define kvm_riscv_timer		softvirt_kvm_riscv_timer
#endif

struct kvm_riscv_config {
	__u64 isa;
	__u64 zicbom_block_size;
	__u64 mvendorid;
	__u64 marchid;
	__u64 mimpid;
	__u64 zicboz_block_size;
	__u64 satp_mode;
};

/* The general registers in the order of their numbers, pc in the place of x0. */
struct kvm_riscv_core {
	struct {
		__u64 pc, ra, sp, gp, tp, t0, t1, t2, s0, s1;
		__u64 a0, a1, a2, a3, a4, a5, a6, a7;
		__u64 s2, s3, s4, s5, s6, s7, s8, s9, s10, s11;
		__u64 t3, t4, t5, t6;
	} regs;
	__u64 mode;
};

struct kvm_riscv_csr {
	__u64 sstatus;
	__u64 sie;
	__u64 stvec;
	__u64 sscratch;
	__u64 sepc;
	__u64 scause;
	__u64 stval;
	__u64 sip;
	__u64 satp;
	__u64 scounteren;
	__u64 senvcfg;
};

struct kvm_riscv_timer {
	__u64 frequency;
	__u64 time;
	__u64 compare;
	__u64 state;
};

#if !defined(__riscv) || !defined(KVM_REG_RISCV_CSR_AIA)
struct kvm_riscv_aia_csr {
	__u64 siselect;
	__u64 iprio1;
	__u64 iprio2;
	__u64 sieh;
	__u64 siph;
	__u64 iprio1h;
	__u64 iprio2h;
};
#endif

#if !defined(__riscv) || !defined(KVM_REG_RISCV_CSR_SMSTATEEN)
struct kvm_riscv_smstateen_csr {
	__u64 sstateen0;
};
#endif

struct kvm_riscv_sbi_sta {
	__u64 shmem_lo;
	__u64 shmem_hi;
};
#endif /* KVM_REG_RISCV_SBI_STA */

/* Register ids: KVM_REG_RISCV | size | type | subtype | index. */
#ifndef KVM_REG_RISCV_TYPE_MASK
#define KVM_REG_RISCV_TYPE_MASK		0x00000000FF000000
#define KVM_REG_RISCV_TYPE_SHIFT	24
#endif
#ifndef KVM_REG_RISCV_SUBTYPE_MASK
#define KVM_REG_RISCV_SUBTYPE_MASK	0x0000000000FF0000
#define KVM_REG_RISCV_SUBTYPE_SHIFT	16
#endif

#ifndef KVM_REG_RISCV_CONFIG
#define KVM_REG_RISCV_CONFIG		(0x01 << KVM_REG_RISCV_TYPE_SHIFT)
#define KVM_REG_RISCV_CONFIG_REG(name)	(offsetof(struct kvm_riscv_config, name) / 8)
#endif
#ifndef KVM_REG_RISCV_CORE
#define KVM_REG_RISCV_CORE		(0x02 << KVM_REG_RISCV_TYPE_SHIFT)
#define KVM_REG_RISCV_CORE_REG(name)	(offsetof(struct kvm_riscv_core, name) / 8)
#endif
#ifndef KVM_REG_RISCV_CSR
#define KVM_REG_RISCV_CSR		(0x03 << KVM_REG_RISCV_TYPE_SHIFT)
#define KVM_REG_RISCV_CSR_REG(name)	(offsetof(struct kvm_riscv_csr, name) / 8)
#endif
#ifndef KVM_REG_RISCV_CSR_AIA
#define KVM_REG_RISCV_CSR_GENERAL	(0x0 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_CSR_AIA		(0x1 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_CSR_AIA_REG(name)	(offsetof(struct kvm_riscv_aia_csr, name) / 8)
#endif
#ifndef KVM_REG_RISCV_CSR_SMSTATEEN
#define KVM_REG_RISCV_CSR_SMSTATEEN	(0x2 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_CSR_SMSTATEEN_REG(name) \
	(offsetof(struct kvm_riscv_smstateen_csr, name) / 8)
#endif
#ifndef KVM_REG_RISCV_TIMER
#define KVM_REG_RISCV_TIMER		(0x04 << KVM_REG_RISCV_TYPE_SHIFT)
#define KVM_REG_RISCV_TIMER_REG(name)	(offsetof(struct kvm_riscv_timer, name) / 8)
#endif
/* F: f0..f31 then fcsr, 32 bits each. D: 64 bits each, fcsr is 32. */
#ifndef KVM_REG_RISCV_FP_F
#define KVM_REG_RISCV_FP_F		(0x05 << KVM_REG_RISCV_TYPE_SHIFT)
#endif
#ifndef KVM_REG_RISCV_FP_D
#define KVM_REG_RISCV_FP_D		(0x06 << KVM_REG_RISCV_TYPE_SHIFT)
#endif
#define KVM_RISCV_FP_REG_FCSR		32
#ifndef KVM_REG_RISCV_ISA_EXT
#define KVM_REG_RISCV_ISA_EXT		(0x07 << KVM_REG_RISCV_TYPE_SHIFT)
#endif
#ifndef KVM_REG_RISCV_ISA_SINGLE
#define KVM_REG_RISCV_ISA_SINGLE	(0x0 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_ISA_MULTI_EN	(0x1 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_ISA_MULTI_DIS	(0x2 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_ISA_MULTI_REG(__ext_id)	((__ext_id) / 64)
#define KVM_REG_RISCV_ISA_MULTI_MASK(__ext_id)	(1ULL << ((__ext_id) % 64))
#define KVM_REG_RISCV_ISA_MULTI_REG_LAST \
	KVM_REG_RISCV_ISA_MULTI_REG(KVM_RISCV_ISA_EXT_MAX - 1)
#endif
#ifndef KVM_REG_RISCV_SBI_EXT
#define KVM_REG_RISCV_SBI_EXT		(0x08 << KVM_REG_RISCV_TYPE_SHIFT)
#define KVM_REG_RISCV_SBI_SINGLE	(0x0 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_SBI_MULTI_EN	(0x1 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_SBI_MULTI_DIS	(0x2 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_SBI_MULTI_REG(__ext_id)	((__ext_id) / 64)
#define KVM_REG_RISCV_SBI_MULTI_MASK(__ext_id)	(1ULL << ((__ext_id) % 64))
#define KVM_REG_RISCV_SBI_MULTI_REG_LAST \
	KVM_REG_RISCV_SBI_MULTI_REG(KVM_RISCV_SBI_EXT_MAX - 1)
#endif
#ifndef KVM_REG_RISCV_VECTOR
#define KVM_REG_RISCV_VECTOR		(0x09 << KVM_REG_RISCV_TYPE_SHIFT)
#endif
/*
 * By number, since the kernel's own are offsets in <asm/ptrace.h>'s struct of the vector state:
 * its six words, then the registers, whose size in the id is vlenb.
 */
#define KVM_RISCV_VECTOR_VSTART		0
#define KVM_RISCV_VECTOR_VL		1
#define KVM_RISCV_VECTOR_VTYPE		2
#define KVM_RISCV_VECTOR_VCSR		3
#define KVM_RISCV_VECTOR_VLENB		4
#define KVM_RISCV_VECTOR_V(n)		(6 + (n))
#ifndef KVM_REG_RISCV_SBI_STATE
#define KVM_REG_RISCV_SBI_STATE		(0x0a << KVM_REG_RISCV_TYPE_SHIFT)
#endif
#ifndef KVM_REG_RISCV_SBI_STA
#define KVM_REG_RISCV_SBI_STA		(0x0 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_SBI_STA_REG(name)	(offsetof(struct kvm_riscv_sbi_sta, name) / 8)
#endif

#ifndef KVM_REG_RISCV_SBI_FWFT
#ifdef __riscv
#define kvm_riscv_sbi_fwft		softvirt_kvm_riscv_sbi_fwft
#define kvm_riscv_sbi_fwft_feature	softvirt_kvm_riscv_sbi_fwft_feature
#endif
struct kvm_riscv_sbi_fwft_feature {
	__u64 enable;
	__u64 flags;
	__u64 value;
};

struct kvm_riscv_sbi_fwft {
	struct kvm_riscv_sbi_fwft_feature misaligned_deleg;
	struct kvm_riscv_sbi_fwft_feature pointer_masking;
};
#define KVM_REG_RISCV_SBI_FWFT		(0x1 << KVM_REG_RISCV_SUBTYPE_SHIFT)
#define KVM_REG_RISCV_SBI_FWFT_REG(name) (offsetof(struct kvm_riscv_sbi_fwft, name) / 8)
#endif

/* Instruction set extensions, KVM's own numbers. */
#define KVM_RISCV_ISA_EXT_A			0
#define KVM_RISCV_ISA_EXT_C			1
#define KVM_RISCV_ISA_EXT_D			2
#define KVM_RISCV_ISA_EXT_F			3
#define KVM_RISCV_ISA_EXT_H			4
#define KVM_RISCV_ISA_EXT_I			5
#define KVM_RISCV_ISA_EXT_M			6
#define KVM_RISCV_ISA_EXT_SVPBMT		7
#define KVM_RISCV_ISA_EXT_SSTC			8
#define KVM_RISCV_ISA_EXT_SVINVAL		9
#define KVM_RISCV_ISA_EXT_ZIHINTPAUSE		10
#define KVM_RISCV_ISA_EXT_ZICBOM		11
#define KVM_RISCV_ISA_EXT_ZICBOZ		12
#define KVM_RISCV_ISA_EXT_ZBB			13
#define KVM_RISCV_ISA_EXT_SSAIA			14
#define KVM_RISCV_ISA_EXT_V			15
#define KVM_RISCV_ISA_EXT_SVNAPOT		16
#define KVM_RISCV_ISA_EXT_ZBA			17
#define KVM_RISCV_ISA_EXT_ZBS			18
#define KVM_RISCV_ISA_EXT_ZICNTR		19
#define KVM_RISCV_ISA_EXT_ZICSR			20
#define KVM_RISCV_ISA_EXT_ZIFENCEI		21
#define KVM_RISCV_ISA_EXT_ZIHPM			22
#define KVM_RISCV_ISA_EXT_SMSTATEEN		23
#define KVM_RISCV_ISA_EXT_ZICOND		24
#define KVM_RISCV_ISA_EXT_ZBC			25
#define KVM_RISCV_ISA_EXT_ZBKB			26
#define KVM_RISCV_ISA_EXT_ZBKC			27
#define KVM_RISCV_ISA_EXT_ZBKX			28
#define KVM_RISCV_ISA_EXT_ZKND			29
#define KVM_RISCV_ISA_EXT_ZKNE			30
#define KVM_RISCV_ISA_EXT_ZKNH			31
#define KVM_RISCV_ISA_EXT_ZKR			32
#define KVM_RISCV_ISA_EXT_ZKSED			33
#define KVM_RISCV_ISA_EXT_ZKSH			34
#define KVM_RISCV_ISA_EXT_ZKT			35
#define KVM_RISCV_ISA_EXT_ZVBB			36
#define KVM_RISCV_ISA_EXT_ZVBC			37
#define KVM_RISCV_ISA_EXT_ZVKB			38
#define KVM_RISCV_ISA_EXT_ZVKG			39
#define KVM_RISCV_ISA_EXT_ZVKNED		40
#define KVM_RISCV_ISA_EXT_ZVKNHA		41
#define KVM_RISCV_ISA_EXT_ZVKNHB		42
#define KVM_RISCV_ISA_EXT_ZVKSED		43
#define KVM_RISCV_ISA_EXT_ZVKSH			44
#define KVM_RISCV_ISA_EXT_ZVKT			45
#define KVM_RISCV_ISA_EXT_ZFH			46
#define KVM_RISCV_ISA_EXT_ZFHMIN		47
#define KVM_RISCV_ISA_EXT_ZIHINTNTL		48
#define KVM_RISCV_ISA_EXT_ZVFH			49
#define KVM_RISCV_ISA_EXT_ZVFHMIN		50
#define KVM_RISCV_ISA_EXT_ZFA			51
#define KVM_RISCV_ISA_EXT_ZTSO			52
#define KVM_RISCV_ISA_EXT_ZACAS			53
#define KVM_RISCV_ISA_EXT_SSCOFPMF		54
#define KVM_RISCV_ISA_EXT_ZIMOP			55
#define KVM_RISCV_ISA_EXT_ZCA			56
#define KVM_RISCV_ISA_EXT_ZCB			57
#define KVM_RISCV_ISA_EXT_ZCD			58
#define KVM_RISCV_ISA_EXT_ZCF			59
#define KVM_RISCV_ISA_EXT_ZCMOP			60
#define KVM_RISCV_ISA_EXT_ZAWRS			61
#define KVM_RISCV_ISA_EXT_MAX			62

/* SBI extensions, KVM's own numbers. */
#define KVM_RISCV_SBI_EXT_V01			0
#define KVM_RISCV_SBI_EXT_TIME			1
#define KVM_RISCV_SBI_EXT_IPI			2
#define KVM_RISCV_SBI_EXT_RFENCE		3
#define KVM_RISCV_SBI_EXT_SRST			4
#define KVM_RISCV_SBI_EXT_HSM			5
#define KVM_RISCV_SBI_EXT_PMU			6
#define KVM_RISCV_SBI_EXT_EXPERIMENTAL		7
#define KVM_RISCV_SBI_EXT_VENDOR		8
#define KVM_RISCV_SBI_EXT_DBCN			9
#define KVM_RISCV_SBI_EXT_STA			10
#define KVM_RISCV_SBI_EXT_SUSP			11
#define KVM_RISCV_SBI_EXT_FWFT			12
#define KVM_RISCV_SBI_EXT_MPXY			13
#define KVM_RISCV_SBI_EXT_MAX			14

/* The AIA device (KVM_CREATE_DEVICE). */
#ifndef KVM_DEV_RISCV_AIA_GRP_CONFIG
#define KVM_DEV_RISCV_APLIC_ALIGN		0x1000
#define KVM_DEV_RISCV_APLIC_SIZE		0x4000
#define KVM_DEV_RISCV_APLIC_MAX_HARTS		0x4000
#define KVM_DEV_RISCV_IMSIC_ALIGN		0x1000
#define KVM_DEV_RISCV_IMSIC_SIZE		0x1000

#define KVM_DEV_RISCV_AIA_GRP_CONFIG		0
#define KVM_DEV_RISCV_AIA_CONFIG_MODE		0
#define KVM_DEV_RISCV_AIA_CONFIG_IDS		1
#define KVM_DEV_RISCV_AIA_CONFIG_SRCS		2
#define KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS	3
#define KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT	4
#define KVM_DEV_RISCV_AIA_CONFIG_HART_BITS	5
#define KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS	6

#define KVM_DEV_RISCV_AIA_MODE_EMUL		0
#define KVM_DEV_RISCV_AIA_MODE_HWACCEL		1
#define KVM_DEV_RISCV_AIA_MODE_AUTO		2

#define KVM_DEV_RISCV_AIA_IDS_MIN		63
#define KVM_DEV_RISCV_AIA_IDS_MAX		2048
#define KVM_DEV_RISCV_AIA_SRCS_MAX		1024
#define KVM_DEV_RISCV_AIA_GROUP_BITS_MAX	8
#define KVM_DEV_RISCV_AIA_GROUP_SHIFT_MIN	24
#define KVM_DEV_RISCV_AIA_GROUP_SHIFT_MAX	56
#define KVM_DEV_RISCV_AIA_HART_BITS_MAX		16
#define KVM_DEV_RISCV_AIA_GUEST_BITS_MAX	8

#define KVM_DEV_RISCV_AIA_GRP_ADDR		1
#define KVM_DEV_RISCV_AIA_ADDR_APLIC		0
#define KVM_DEV_RISCV_AIA_ADDR_IMSIC(__vcpu)	(1 + (__vcpu))
#define KVM_DEV_RISCV_AIA_ADDR_MAX		(1 + KVM_DEV_RISCV_APLIC_MAX_HARTS)

#define KVM_DEV_RISCV_AIA_GRP_CTRL		2
#define KVM_DEV_RISCV_AIA_CTRL_INIT		0

/* The attribute is the register's offset in the APLIC, a multiple of 4. */
#define KVM_DEV_RISCV_AIA_GRP_APLIC		3

/* The attribute's low 12 bits are the IMSIC's iselect, the rest is the vCPU's id. */
#define KVM_DEV_RISCV_AIA_GRP_IMSIC		4
#define KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS	12
#define KVM_DEV_RISCV_AIA_IMSIC_ISEL_MASK	((1U << KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS) - 1)
#define KVM_DEV_RISCV_AIA_IMSIC_MKATTR(__vcpu, __isel) \
	(((__vcpu) << KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS) | \
	 ((__isel) & KVM_DEV_RISCV_AIA_IMSIC_ISEL_MASK))
#define KVM_DEV_RISCV_AIA_IMSIC_GET_ISEL(__attr) ((__attr) & KVM_DEV_RISCV_AIA_IMSIC_ISEL_MASK)
#define KVM_DEV_RISCV_AIA_IMSIC_GET_VCPU(__attr) ((__attr) >> KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS)
#endif

#endif
