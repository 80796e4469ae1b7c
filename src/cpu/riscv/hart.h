/* SPDX-License-Identifier: MIT */
/*
 * A RISC-V hart: RV64GC with S and U mode, as a guest sees it under a hypervisor.
 * It is hardware: it knows the instruction set and architectural state, and no KVM.
 *
 * A hart belongs to one thread at a time: everything here is called by the thread that
 * runs it, or while nobody does, except the functions marked "any thread".
 *
 * M mode and HS mode are not here: an ecall from S mode, WFI and an access to nothing
 * leave rv_hart_run() and the owner decides.
 */
#ifndef SV_CPU_RISCV_HART_H
#define SV_CPU_RISCV_HART_H

#include "base/types.h"
#include "cpu/phys.h"

struct rv_hart;

enum rv_exit {
	RV_EXIT_NONE,
	RV_EXIT_KICK,		/* rv_hart_kick(), or the owner's attention word became 0 */
	RV_EXIT_ECALL,		/* from S mode; pc is the ecall's; rv_hart_complete_ecall() goes on */
	RV_EXIT_WFI,		/* nothing pending; pc is already behind it */
	RV_EXIT_PAUSE,		/* the guest spins (pause, wrs): let others run; pc is behind it */
	RV_EXIT_MMIO_READ,	/* exit.mmio; rv_hart_complete_mmio_read() goes on */
	RV_EXIT_MMIO_WRITE,	/* exit.mmio; the store is complete once the owner has taken it */
	RV_EXIT_CSR,		/* exit.csr; rv_hart_complete_csr() goes on */
	RV_EXIT_FAULT,		/* memory can't be reached: exit.fault; pc at the instruction */
	RV_EXIT_DEBUG,		/* ebreak while debug_ebreak is set, or a single step is over */
};

struct rv_exit_info {
	enum rv_exit reason;
	union {
		struct {
			u64 gpa;
			u64 data;	/* write: little-endian value in the low len bytes */
			u8 len;		/* 1, 2, 4, 8 */
		} mmio;
		struct {
			u64 gpa;
			int err;	/* -errno */
			const void *host;	/* EFAULT: the address that failed, or NULL */
		} fault;
		struct {
			unsigned num;	/* the entropy source, seed, is the only one */
			u64 new_value;	/* what is written, in the bits of write_mask */
			u64 write_mask;
		} csr;
	};
};

/* What an instance has; the bits are the engine's own. Fixed before the first run. */
enum rv_ext {
	RV_EXT_A, RV_EXT_C, RV_EXT_D, RV_EXT_F, RV_EXT_M,
	RV_EXT_ZBA, RV_EXT_ZBB, RV_EXT_ZBS, RV_EXT_ZBC, RV_EXT_ZICOND, RV_EXT_ZICBOM, RV_EXT_ZICBOZ,
	RV_EXT_ZICBOP, RV_EXT_ZICNTR, RV_EXT_ZICSR, RV_EXT_ZIFENCEI, RV_EXT_ZIHINTPAUSE,
	RV_EXT_ZAWRS, RV_EXT_SVINVAL, RV_EXT_SVNAPOT, RV_EXT_SVPBMT, RV_EXT_SVADE, RV_EXT_SSTC,
	RV_EXT_SSCOFPMF,	/* interrupt 13 alone: the counters are the owner's */
	RV_EXT_ZBKB, RV_EXT_ZBKC, RV_EXT_ZBKX, RV_EXT_ZKND, RV_EXT_ZKNE, RV_EXT_ZKNH, RV_EXT_ZKR,
	RV_EXT_ZKSED, RV_EXT_ZKSH, RV_EXT_ZFH, RV_EXT_ZFHMIN, RV_EXT_ZFA, RV_EXT_ZCB, RV_EXT_ZCMOP,
	RV_EXT_ZIMOP, RV_EXT_ZACAS,
	RV_EXT_V, RV_EXT_ZVBB, RV_EXT_ZVBC, RV_EXT_ZVKB, RV_EXT_ZVKG, RV_EXT_ZVKNED, RV_EXT_ZVKNHA,
	RV_EXT_ZVKNHB, RV_EXT_ZVKSED, RV_EXT_ZVKSH, RV_EXT_ZVFH, RV_EXT_ZVFHMIN,
	RV_EXT_COUNT
};
#define RV_EXT_ALL (BIT(RV_EXT_COUNT) - 1)

/*
 * Is this host's memory order at least RVTSO (Ztso)? Loads and stores of a guest are plain ones
 * of the host's, so it is the guest's order, too.
 */
#if defined(__x86_64__) || defined(__riscv_ztso)
#define RV_HOST_IS_TSO 1
#else
#define RV_HOST_IS_TSO 0
#endif

#define RV_CBO_BLOCK_SIZE 64
#define RV_TIMEBASE_HZ 10000000	/* the time CSR: host CLOCK_MONOTONIC / 100 ns + offset */

/*
 * CSRs that belong to the owner: all that the engine does not have, and the counters cycle,
 * instret and hpmcounter3..31. Privilege, read-only space and the counters' gate for U mode
 * are checked before. Called by the running thread, inside of rv_hart_run().
 */
enum rv_csr_op { RV_CSR_READ, RV_CSR_WRITE, RV_CSR_SET, RV_CSR_CLEAR };
struct rv_csr_ops {
	/*
	 * *old is the value before; SET and CLEAR name bits in val. False: no such CSR, the
	 * guest takes an illegal instruction. rv_hart_get_instret() is exact here.
	 */
	bool (*access)(void *owner, unsigned csr, enum rv_csr_op op, u64 val, u64 *old);
	/* A stop of rv_hart_set_count_stop() is reached (and off now). May set the next. */
	void (*count_reached)(void *owner);
};

struct rv_hart_config {
	u64 extensions;			/* BIT(RV_EXT_*) */
	const struct cpu_phys_ops *phys;
	const struct rv_csr_ops *csrs;	/* may be NULL: cycle and instret are the engine's then */
	void *owner;			/* passed to phys and csr ops */
	/*
	 * Optional word of the owner's that is non-zero until the owner's thread should
	 * leave the run (in practice rseq's: the kernel clears it at a signal). Read at
	 * backward and indirect jumps.
	 */
	const u64 *attention;
	unsigned vlen;	/* bits in a vector register: a power of two, 128 (also 0) to 1024 */
};

/* Returns NULL on -ENOMEM, or for a vlen that cannot be. Pages of the TLB are touched as the guest uses them. */
struct rv_hart *rv_hart_create(const struct rv_hart_config *cfg);
void rv_hart_destroy(struct rv_hart *h);
void rv_hart_reset(struct rv_hart *h);		/* registers only: S mode, pc 0, satp 0, all else 0 */
void rv_hart_set_extensions(struct rv_hart *h, u64 extensions);
void rv_hart_set_attention(struct rv_hart *h, const u64 *word);

/*
 * Runs until something needs the owner. Interrupts that are pending and enabled are
 * taken inside. The caller has entered no guard; the run has its own.
 */
const struct rv_exit_info *rv_hart_run(struct rv_hart *h);

/* After RV_EXIT_ECALL: a0/a1 are set with rv_hart_set_x first; pc moves past the ecall. */
void rv_hart_complete_ecall(struct rv_hart *h);
/* After RV_EXIT_MMIO_READ: data's low len bytes, sign- or zero-extended as the load wants. */
void rv_hart_complete_mmio_read(struct rv_hart *h, u64 data);
/* After RV_EXIT_CSR: what the instruction reads. */
void rv_hart_complete_csr(struct rv_hart *h, u64 value);
/* Makes the guest take an exception at its pc (a redirected trap: an SBI or CSR the owner refuses). */
void rv_hart_inject_trap(struct rv_hart *h, u64 scause, u64 stval);

/* Any thread. */
void rv_hart_kick(struct rv_hart *h);		/* leave rv_hart_run within 100 us of guest execution */
/* Interrupt lines as sip shows them: 1 SSIP, 5 STIP, 9 SEIP, 13 LCOFIP. Raises also kick a running hart internally
 * (the guest takes the interrupt, the run does not end). */
void rv_hart_set_irq(struct rv_hart *h, unsigned irq, bool level);
/* Forget addresses: the guest's translations (remote fence), or also the owner's answers (slots changed). */
void rv_hart_request_flush_tlb(struct rv_hart *h);
void rv_hart_request_flush_phys(struct rv_hart *h);
void rv_hart_request_fence_i(struct rv_hart *h);
/*
 * True once all requests made before the call have been carried out; requests are carried out
 * at the next block boundary, or at the next rv_hart_run(). Not running counts as done: a hart
 * that is not inside rv_hart_run() touches no memory.
 */
bool rv_hart_requests_done(const struct rv_hart *h);

/* Is an interrupt pending and enabled in sie (whatever sstatus.SIE says)? What ends WFI. Any thread. */
bool rv_hart_has_interrupt(const struct rv_hart *h);

/* State. Valid while not running. n is 0..31; f values are raw 64-bit, NaN-boxed. */
u64 rv_hart_get_x(const struct rv_hart *h, unsigned n);
void rv_hart_set_x(struct rv_hart *h, unsigned n, u64 v);
u64 rv_hart_get_f(const struct rv_hart *h, unsigned n);
void rv_hart_set_f(struct rv_hart *h, unsigned n, u64 v);
u64 rv_hart_get_pc(const struct rv_hart *h);
void rv_hart_set_pc(struct rv_hart *h, u64 pc);
bool rv_hart_get_supervisor(const struct rv_hart *h);	/* true S, false U */
void rv_hart_set_supervisor(struct rv_hart *h, bool s);
/* Vector registers: vlenb bytes each. */
unsigned rv_hart_get_vlenb(const struct rv_hart *h);
void rv_hart_get_v(const struct rv_hart *h, unsigned n, void *bytes);
void rv_hart_set_v(struct rv_hart *h, unsigned n, const void *bytes);
/*
 * CSRs by their architectural number: sstatus, sie, stvec, scounteren, senvcfg, sscratch, sepc,
 * scause, stval, sip, stimecmp, satp, fflags, frm, fcsr, vstart, vxsat, vxrm, vcsr, vl, vtype,
 * vlenb. -ENOENT: no such CSR. Writes follow
 * WARL; a write to satp or sstatus takes effect at the next instruction. vl and vtype
 * may be set in any order and read back as written; the next run makes them fit each other as
 * vsetvl does.
 */
int rv_hart_get_csr(const struct rv_hart *h, unsigned csr, u64 *v);
int rv_hart_set_csr(struct rv_hart *h, unsigned csr, u64 v);
u64 rv_hart_get_time(const struct rv_hart *h);
void rv_hart_set_time_offset(struct rv_hart *h, u64 ticks);	/* time = monotonic ticks + offset */
u64 rv_hart_get_time_offset(const struct rv_hart *h);
/*
 * stimecmp's next expiry as CLOCK_MONOTONIC ns, ~0 if never or already pending: how long a
 * WFI may sleep. A running hart arms its own timer.
 */
u64 rv_hart_timer_deadline_ns(const struct rv_hart *h);

void rv_hart_set_debug(struct rv_hart *h, bool ebreak_exits, bool single_step);

/* Instructions retired since creation. */
u64 rv_hart_get_instret(const struct rv_hart *h);
/* The same, and apart by the mode they were executed in. */
enum rv_count { RV_COUNT_ALL, RV_COUNT_S, RV_COUNT_U, RV_COUNTS };
u64 rv_hart_get_count(const struct rv_hart *h, enum rv_count which);
/*
 * csrs->count_reached is called before the instruction that follows when the count is at:
 * exactly then, not some instructions later. RV_NO_STOP: off. While not running, or from
 * count_reached itself.
 */
#define RV_NO_STOP (~0ull)
void rv_hart_set_count_stop(struct rv_hart *h, enum rv_count which, u64 at);

struct rv_hart_stats {
	u64 instructions;
	u64 tlb_misses;
	u64 blocks_decoded;
	u64 block_flushes;
	u64 traps;
};
void rv_hart_get_stats(const struct rv_hart *h, struct rv_hart_stats *s);

/*
 * Physical memory through the hart's eyes, for the owner's SBI and debug code, while not running:
 * a guest virtual address to physical by the current satp; -EFAULT when it does not translate.
 */
int rv_hart_translate(struct rv_hart *h, u64 va, enum cpu_access access, u64 *gpa);

#endif
