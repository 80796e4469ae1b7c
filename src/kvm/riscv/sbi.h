/* SPDX-License-Identifier: MIT */
/*
 * The Supervisor Binary Interface: what a guest's ecall asks for.
 *
 * Model: one extension, one file, one const struct sbi_ext. A handler runs in the vCPU's
 * thread and returns the guest's error and value in struct sbi_ret, which are apart from
 * its own outcome (an enum), so that a guest's -1 is never taken for an errno of ours.
 */
#ifndef SV_KVM_RISCV_SBI_H
#define SV_KVM_RISCV_SBI_H

#include "kvm/riscv/kvm_riscv.h"

enum {
	SBI_SUCCESS = 0, SBI_ERR_FAILURE = -1, SBI_ERR_NOT_SUPPORTED = -2,
	SBI_ERR_INVALID_PARAM = -3, SBI_ERR_DENIED = -4, SBI_ERR_INVALID_ADDRESS = -5,
	SBI_ERR_ALREADY_AVAILABLE = -6, SBI_ERR_ALREADY_STARTED = -7,
	SBI_ERR_ALREADY_STOPPED = -8, SBI_ERR_NO_SHMEM = -9,
	SBI_ERR_DENIED_LOCKED = -14,
};

/* Extension ids (SBI specification 3.0). */
enum {
	SBI_V01_SET_TIMER = 0, SBI_V01_CONSOLE_PUTCHAR, SBI_V01_CONSOLE_GETCHAR,
	SBI_V01_CLEAR_IPI, SBI_V01_SEND_IPI, SBI_V01_REMOTE_FENCE_I,
	SBI_V01_REMOTE_SFENCE_VMA, SBI_V01_REMOTE_SFENCE_VMA_ASID, SBI_V01_SHUTDOWN,
	SBI_V01_LAST = SBI_V01_SHUTDOWN,
	SBI_ID_BASE = 0x10,
	SBI_ID_EXPERIMENTAL = 0x08000000, SBI_ID_EXPERIMENTAL_LAST = 0x08ffffff,
	SBI_ID_VENDOR = 0x09000000, SBI_ID_VENDOR_LAST = 0x09ffffff,
	SBI_ID_TIME = 0x54494d45, SBI_ID_IPI = 0x735049, SBI_ID_RFENCE = 0x52464e43,
	SBI_ID_HSM = 0x48534d, SBI_ID_SRST = 0x53525354, SBI_ID_PMU = 0x504d55,
	SBI_ID_DBCN = 0x4442434e, SBI_ID_STA = 0x535441, SBI_ID_SUSP = 0x53555350,
	SBI_ID_FWFT = 0x46574654, SBI_ID_MPXY = 0x4d505859,
};

/* Firmware events that we count (SBI specification, PMU extension). */
enum {
	SBI_FW_SET_TIMER = 5, SBI_FW_IPI_SENT = 6, SBI_FW_IPI_RCVD = 7,
	SBI_FW_FENCE_I_SENT = 8, SBI_FW_FENCE_I_RCVD = 9,
	SBI_FW_SFENCE_VMA_SENT = 10, SBI_FW_SFENCE_VMA_RCVD = 11,
	SBI_FW_SFENCE_VMA_ASID_SENT = 12, SBI_FW_SFENCE_VMA_ASID_RCVD = 13,
	SBI_FW_MAX = 22,
};

enum sbi_outcome {
	SBI_DONE,		/* a0 = err, a1 = val, the guest goes on */
	SBI_DONE_V01,		/* a0 = err only: the old calling convention */
	SBI_TO_USER,		/* run is filled in; user space answers, the ecall is completed later */
	SBI_EXIT,		/* run is filled in; nothing to complete */
	SBI_TRAP,		/* the guest takes the exception in trap_cause, trap_val */
};

struct sbi_ret {
	s64 err;
	u64 val;
	u64 trap_cause, trap_val;
};

struct sbi_ext {
	u64 first, last;	/* extension ids */
	bool default_disabled;
	enum sbi_outcome (*handler)(struct riscv_vcpu *v, struct sbi_ret *ret);
	/* Can it be offered at all? The value is what BASE's probe answers. NULL: 1. */
	u64 (*probe)(struct riscv_vcpu *v);
};

extern const struct sbi_ext sbi_ext_v01, sbi_ext_base, sbi_ext_time, sbi_ext_ipi,
	sbi_ext_rfence, sbi_ext_srst, sbi_ext_hsm, sbi_ext_pmu, sbi_ext_dbcn, sbi_ext_sta,
	sbi_ext_susp, sbi_ext_fwft, sbi_ext_mpxy, sbi_ext_experimental, sbi_ext_vendor;

/* sbi.c */
enum sbi_outcome sbi_ecall(struct riscv_vcpu *v);
void sbi_vcpu_init(struct riscv_vcpu *v);
const struct sbi_ext *sbi_find_ext(const struct riscv_vcpu *v, u64 id);
enum sbi_outcome sbi_forward(struct riscv_vcpu *v);
enum sbi_outcome sbi_system_event(struct riscv_vcpu *v, u32 type, u64 reason);
extern const struct ext_set sbi_exts;	/* as ONE_REG shows them */

/*
 * Calls fn for each vCPU whose id is in the mask from base (base ~0: all). Returns the
 * mask's bits that found a vCPU.
 */
u64 sbi_for_each_hart(struct riscv_vcpu *v, u64 base, u64 mask,
		      void (*fn)(struct riscv_vcpu *target, void *arg), void *arg);
enum sbi_fence { SBI_FENCE_I, SBI_SFENCE_VMA, SBI_SFENCE_VMA_ASID };
u64 sbi_remote_fence(struct riscv_vcpu *v, u64 base, u64 mask, enum sbi_fence kind);

/* sbi_pmu.c */
void sbi_pmu_count(struct riscv_vcpu *v, unsigned int fw_event);
void sbi_pmu_reset(struct riscv_vcpu *v);
/* A stop of the hart's that the PMU set is reached. In the guest's run. */
void sbi_pmu_overflow(struct riscv_vcpu *v);
/* A counter that the guest reads by its CSR; false: there is none. In the guest's run. */
bool sbi_pmu_read_csr(struct riscv_vcpu *v, unsigned int csr, u64 *val);

/* sbi_fwft.c */
void sbi_fwft_reset(struct riscv_vcpu *v);
int sbi_fwft_set_reg(struct riscv_vcpu *v, u64 num, u64 val);
int sbi_fwft_get_reg(struct riscv_vcpu *v, u64 num, u64 *val);
/* Registers that exist: 0 to this minus one. */
#define SBI_FWFT_REGS 3

/* sbi_sta.c */
void sbi_sta_init(struct riscv_vcpu *v);
void sbi_sta_destroy(struct riscv_vcpu *v);
void sbi_sta_reset(struct riscv_vcpu *v);
static inline bool sbi_sta_on(const struct riscv_vcpu *v)
{
	return v->sta.shmem != INVALID_GPA;
}
/* In the vCPU's thread, before the guest is entered. */
void sbi_sta_record(struct riscv_vcpu *v);
int sbi_sta_set_reg(struct riscv_vcpu *v, u64 num, u64 val);
int sbi_sta_get_reg(struct riscv_vcpu *v, u64 num, u64 *val);

#endif
