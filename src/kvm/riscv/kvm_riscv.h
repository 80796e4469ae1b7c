/* SPDX-License-Identifier: MIT */
/*
 * KVM for RISC-V guests: what the files of this folder share.
 *
 * Model: a struct riscv_vcpu is a struct kvm_vcpu with a hart below it. The hart is the
 * hardware: registers, interrupt lines, the timer. What a hypervisor adds is here: which
 * extensions the guest may see, power state, SBI.
 *
 * Who may touch the hart's state: the holder of vcpu->mutex. Other threads use requests
 * and the hart's any-thread functions only.
 */
#ifndef SV_KVM_RISCV_KVM_RISCV_H
#define SV_KVM_RISCV_KVM_RISCV_H

#include "cpu/riscv/hart.h"
#include "kvm/kvm.h"
#include "kvm/riscv/aia.h"
#include "softvirt/uapi/kvm_riscv.h"

/* Supervisor CSRs by number (privileged architecture, table of CSRs). */
enum {
	CSR_FCSR = 0x003, CSR_VSTART = 0x008, CSR_VCSR = 0x00f,
	CSR_SSTATUS = 0x100, CSR_SIE = 0x104, CSR_STVEC = 0x105, CSR_SCOUNTEREN = 0x106,
	CSR_SENVCFG = 0x10a, CSR_SSCRATCH = 0x140, CSR_SEPC = 0x141, CSR_SCAUSE = 0x142,
	CSR_STVAL = 0x143, CSR_SIP = 0x144, CSR_STIMECMP = 0x14d, CSR_SATP = 0x180,
	CSR_SSTATEEN0 = 0x10c,
	CSR_VL = 0xc20, CSR_VTYPE = 0xc21, CSR_VLENB = 0xc22,
};
enum { IRQ_S_SOFT = 1, IRQ_S_TIMER = 5, IRQ_S_EXT = 9, IRQ_PMU_OVF = 13 };
enum { EXC_LOAD_PAGE_FAULT = 13 };
/* Integer registers by ABI name. */
enum { X_A0 = 10, X_A1, X_A2, X_A3, X_A4, X_A5, X_A6, X_A7 };

/* vcpu->stat->arch[], in the order of their names in vcpu.c. */
enum {
	STAT_ECALL_EXIT, STAT_WFI_EXIT, STAT_WRS_EXIT, STAT_MMIO_EXIT_USER, STAT_MMIO_EXIT_KERNEL,
	STAT_CSR_EXIT_USER, STAT_CSR_EXIT_KERNEL, STAT_SIGNAL_EXITS, STAT_EXITS,
	STAT_INSTRUCTIONS, STAT_TLB_MISSES, STAT_BLOCKS_DECODED, STAT_TRAPS,
};

/* In riscv_vcpu.isa beside enum rv_ext: extensions that the engine need not know of. */
#define RISCV_EXT_SSAIA 62
#define RISCV_EXT_SMSTATEEN 61

/* Things another thread wants a vCPU to do before it enters the guest again. */
enum {
	REQ_RESET = 1 << 0,	/* reset_* under mp_lock say where to start */
	REQ_STOPPED = 1 << 1,	/* look at mp_state */
	REQ_TIME = 1 << 2,	/* the VM's time offset changed */
};

enum sbi_status { SBI_EXT_UNAVAILABLE, SBI_EXT_DISABLED, SBI_EXT_ENABLED };

struct riscv_sta {
	u64 shmem;		/* INVALID_GPA: off */
	u64 last_delay;		/* ns, of thread tid */
	int tid;		/* whose delay; 0: take a new base at the next entry */
	int fd;			/* /proc/thread-self/schedstat of tid, or -1 */
	u64 last_look_ns;	/* only where no rseq says when to look */
};

#define SBI_PMU_FW_COUNTERS 32

/* One SBI firmware feature (sbi_fwft.c). */
struct riscv_fwft {
	u64 flags, value;
	bool enabled;
};

struct riscv_pmu;

struct riscv_vcpu {
	struct kvm_vcpu vcpu;
	struct rv_hart *hart;
	u64 isa;			/* BIT(RV_EXT_*), BIT(RISCV_EXT_*) the guest has */
	u64 mvendorid, marchid, mimpid;
	bool ran_atleast_once;
	bool mmio_pending, sbi_pending, csr_pending;	/* an exit's result has not been taken yet */
	u8 mmio_len;
	bool signalled;			/* a sleep inside of this run was ended by a signal */
	const u64 *attention;		/* what the hart was told */
	u64 time_offset;		/* what the hart was told */

	u32 requests;			/* atomic, REQ_* */
	struct sv_spin mp_lock;
	u32 mp_state;			/* written under mp_lock, read anywhere */
	u64 reset_pc, reset_a1;		/* mp_lock */

	u8 sbi_status[KVM_RISCV_SBI_EXT_MAX];
	struct riscv_sta sta;
	struct riscv_fwft misaligned_deleg;
	struct riscv_pmu *pmu;
	struct riscv_vcpu_aia aia;
};

struct riscv_vm {
	struct kvm kvm;
	u64 time_offset;		/* atomic: guest time = host ticks + offset */
	struct riscv_aia aia;
};

static inline struct riscv_vcpu *to_riscv(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu, struct riscv_vcpu, vcpu);
}

static inline struct riscv_vm *to_riscv_vm(struct kvm *kvm)
{
	return container_of(kvm, struct riscv_vm, kvm);
}

static inline u64 vcpu_x(const struct riscv_vcpu *v, unsigned int n)
{
	return rv_hart_get_x(v->hart, n);
}

/* vm.c */
extern const struct kvm_arch_ops kvm_riscv_ops;
u64 riscv_host_ticks(void);		/* of the guest's timebase, without the VM's offset */

/* vcpu.c */
int riscv_vcpu_create(struct kvm *kvm, u32 id, struct kvm_vcpu **out);
void riscv_vcpu_postcreate(struct kvm_vcpu *vcpu);
void riscv_vcpu_destroy(struct kvm_vcpu *vcpu);
long riscv_vcpu_run(struct kvm_vcpu *vcpu);
long riscv_vcpu_async_ioctl(struct kvm_vcpu *vcpu, unsigned int cmd, unsigned long arg);
int riscv_get_mp_state(struct kvm_vcpu *vcpu, struct kvm_mp_state *s);
int riscv_set_mp_state(struct kvm_vcpu *vcpu, const struct kvm_mp_state *s);
int riscv_set_guest_debug(struct kvm_vcpu *vcpu, u32 control);
void riscv_vcpu_kick(struct kvm_vcpu *vcpu);
void riscv_vcpu_request_flush(struct kvm_vcpu *vcpu);
bool riscv_vcpu_requests_done(struct kvm_vcpu *vcpu);
extern const char *const riscv_vcpu_stat_names[];

void riscv_make_request(struct riscv_vcpu *v, u32 req);	/* any thread */
void riscv_vcpu_set_irq(struct riscv_vcpu *v, unsigned int irq, bool level);	/* any thread */
static inline bool riscv_vcpu_stopped(const struct riscv_vcpu *v)
{
	return READ_ONCE(v->mp_state) == KVM_MP_STATE_STOPPED;
}
/* mp_lock held. */
void riscv_power_off_locked(struct riscv_vcpu *v);
/* At its next entry v starts anew at pc, with its id and a1. Its mp_lock held. */
void riscv_request_start_locked(struct riscv_vcpu *v, u64 pc, u64 a1);
/* Carries out a pending start. vcpu->mutex held, the hart does not run. */
void riscv_vcpu_settle(struct riscv_vcpu *v);
/* Sleeps until an interrupt, the timer, or a signal; the run loop sees the latter. */
void riscv_vcpu_wfi(struct riscv_vcpu *v);

/*
 * A set of extensions that ONE_REG shows one by one and 64 at a time (MULTI_EN, MULTI_DIS).
 * get and set are of one extension; -ENOENT if there is no such.
 */
struct ext_set {
	u64 max;		/* numbers are below */
	int (*get)(struct riscv_vcpu *v, u64 num, u64 *val);
	int (*set)(struct riscv_vcpu *v, u64 num, u64 val);
};

/* vcpu_onereg_isa.c */
extern const struct ext_set isa_exts;
static inline bool vcpu_has_ext(const struct riscv_vcpu *v, unsigned int rv_ext)
{
	return v->isa & BIT(rv_ext);
}
u64 isa_letters(const struct riscv_vcpu *v);
int isa_set_letters(struct riscv_vcpu *v, u64 val);

/* vcpu_onereg.c */
int riscv_set_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);
int riscv_get_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);
u64 riscv_reg_list(struct kvm_vcpu *vcpu, u64 *ids, u64 max);

/* vcpu_vector.c: the registers of type KVM_REG_RISCV_VECTOR; num is the id's. */
int riscv_get_vector(struct riscv_vcpu *v, u64 num, const struct kvm_one_reg *reg);
int riscv_set_vector(struct riscv_vcpu *v, u64 num, const struct kvm_one_reg *reg);
u64 riscv_list_vector(struct riscv_vcpu *v, u64 *ids);
unsigned int riscv_vlen(void);		/* bits, of every vCPU of this process */

#endif
