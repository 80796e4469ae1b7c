/* SPDX-License-Identifier: MIT */
/*
 * A RISC-V vCPU: its life, KVM_RUN, power state, interrupts.
 *
 * KVM_RUN is a loop: do what others requested, enter the guest, handle the exit. In the
 * steady state of MMIO exits it makes no system call and takes vcpu->mutex only.
 *
 * An exit that user space answers (a load, an SBI call) stays pending in the vCPU; the next
 * KVM_RUN takes the answer from kvm_run before anything else, also with immediate_exit.
 *
 * Requests: another thread sets a bit, then kicks. The loop takes the bits before it
 * enters; the kick ends a guest run that has begun since. A stopped vCPU sleeps in KVM_RUN.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/guard.h"
#include "kvm/riscv/sbi.h"

const char *const riscv_vcpu_stat_names[] = {
	"ecall_exit_stat", "wfi_exit_stat", "wrs_exit_stat", "mmio_exit_user", "mmio_exit_kernel",
	"csr_exit_user", "csr_exit_kernel", "signal_exits", "exits",
	"instructions", "tlb_misses", "blocks_decoded", "traps", NULL
};

/* Which exits the loop stays in for. */
enum loop { LOOP_AGAIN, LOOP_LEAVE };

static enum cpu_phys_kind resolve(void *owner, u64 gpa, enum cpu_access access,
				  struct cpu_phys_page *page)
{
	struct riscv_vcpu *v = owner;

	return kvm_resolve(&v->vcpu, gpa, access, page);
}

static bool mmio_read(void *owner, u64 gpa, unsigned int len, u64 *data)
{
	struct riscv_vcpu *v = owner;

	if (!aia_mmio_read(v, gpa, len, data))
		return false;
	v->vcpu.stat->arch[STAT_MMIO_EXIT_KERNEL]++;
	return true;
}

static bool mmio_write(void *owner, u64 gpa, unsigned int len, u64 data)
{
	struct riscv_vcpu *v = owner;

	if (!aia_mmio_write(v, gpa, len, data) &&
	    !kvm_ioeventfd_write(v->vcpu.kvm, gpa, len, data) &&
	    !kvm_coalesced_mmio_write(&v->vcpu, gpa, len, data))
		return false;
	v->vcpu.stat->arch[STAT_MMIO_EXIT_KERNEL]++;
	return true;
}

/*
 * Smstateen: sstateen0 to sstateen3. They gate state from U mode that no hart of ours has
 * (Zfinx, Zcmt, custom state), so every bit of them is read-only zero.
 */
static bool stateen_access(const struct riscv_vcpu *v, unsigned int csr, u64 *old)
{
	*old = 0;
	return csr >= CSR_SSTATEEN0 && csr < CSR_SSTATEEN0 + 4 && (v->isa & BIT(RISCV_EXT_SMSTATEEN));
}

/* Counters, Smstateen's and the AIA's; all else that the engine lacks does not exist. */
static bool csr_access(void *owner, unsigned int csr, enum rv_csr_op op, u64 val, u64 *old)
{
	return (op == RV_CSR_READ && sbi_pmu_read_csr(owner, csr, old)) ||
	       stateen_access(owner, csr, old) || aia_csr_access(owner, csr, op, val, old);
}

static void count_reached(void *owner)
{
	sbi_pmu_overflow(owner);
}

static const struct rv_csr_ops csr_ops = { .access = csr_access, .count_reached = count_reached };
static const struct cpu_phys_ops phys_ops = {
	.resolve = resolve, .mmio_read = mmio_read, .mmio_write = mmio_write,
};

/* As after power-on, or as HSM start says: registers, lines, what the guest had set up. */
static void vcpu_reset(struct riscv_vcpu *v, u64 pc, u64 a0, u64 a1)
{
	rv_hart_reset(v->hart);
	rv_hart_set_csr(v->hart, CSR_STIMECMP, ~0ull);
	rv_hart_set_csr(v->hart, CSR_SCOUNTEREN, 7);	/* cycle, time, instret for U mode */
	rv_hart_set_irq(v->hart, IRQ_S_SOFT, false);
	rv_hart_set_irq(v->hart, IRQ_S_EXT, false);
	rv_hart_set_pc(v->hart, pc);
	rv_hart_set_x(v->hart, X_A0, a0);
	rv_hart_set_x(v->hart, X_A1, a1);
	/* What an exit would have answered belonged to the life before. */
	v->mmio_pending = v->sbi_pending = false;
	sbi_pmu_reset(v);
	sbi_sta_reset(v);
	sbi_fwft_reset(v);
	aia_vcpu_reset(v);
}

int riscv_vcpu_create(struct kvm *kvm, u32 id, struct kvm_vcpu **out)
{
	struct rv_hart_config cfg = {
		.extensions = RV_EXT_ALL, .phys = &phys_ops, .csrs = &csr_ops,
		.vlen = riscv_vlen(),
	};
	struct riscv_vcpu *v = sv_zalloc(sizeof(*v));

	if (!v)
		return -ENOMEM;
	cfg.owner = v;
	v->isa = RV_EXT_ALL | BIT(RISCV_EXT_SSAIA) | BIT(RISCV_EXT_SMSTATEEN);
	v->hart = rv_hart_create(&cfg);
	if (!v->hart) {
		sv_free(v);
		return -ENOMEM;
	}
	sv_spin_init(&v->mp_lock);
	v->mp_state = KVM_MP_STATE_RUNNABLE;
	v->requests = REQ_TIME;
	sbi_sta_init(v);
	v->misaligned_deleg.enabled = true;
	sbi_vcpu_init(v);
	aia_vcpu_init(v);
	vcpu_reset(v, 0, 0, 0);
	*out = &v->vcpu;
	return 0;
}

/* The first vCPU boots; the others wait for HSM start or KVM_SET_MP_STATE. */
void riscv_vcpu_postcreate(struct kvm_vcpu *vcpu)
{
	struct riscv_vcpu *v = to_riscv(vcpu);

	if (vcpu->vcpu_idx == 0)
		return;
	sv_spin_lock(&v->mp_lock);
	riscv_power_off_locked(v);
	sv_spin_unlock(&v->mp_lock);
}

void riscv_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct riscv_vcpu *v = to_riscv(vcpu);

	sbi_sta_destroy(v);
	aia_vcpu_destroy(v);
	sv_free(v->pmu);
	rv_hart_destroy(v->hart);
	sv_free(v);
}

void riscv_vcpu_kick(struct kvm_vcpu *vcpu)
{
	rv_hart_kick(to_riscv(vcpu)->hart);
	kvm_vcpu_wake(vcpu);
}

/* Out of the guest, too: flush.c says why. */
void riscv_vcpu_request_flush(struct kvm_vcpu *vcpu)
{
	rv_hart_request_flush_phys(to_riscv(vcpu)->hart);
	rv_hart_kick(to_riscv(vcpu)->hart);
}

bool riscv_vcpu_requests_done(struct kvm_vcpu *vcpu)
{
	return rv_hart_requests_done(to_riscv(vcpu)->hart);
}

void riscv_make_request(struct riscv_vcpu *v, u32 req)
{
	__atomic_fetch_or(&v->requests, req, __ATOMIC_SEQ_CST);
	riscv_vcpu_kick(&v->vcpu);
}

void riscv_vcpu_set_irq(struct riscv_vcpu *v, unsigned int irq, bool level)
{
	rv_hart_set_irq(v->hart, irq, level);
	if (level)
		kvm_vcpu_wake(&v->vcpu);
}

void riscv_power_off_locked(struct riscv_vcpu *v)
{
	WRITE_ONCE(v->mp_state, KVM_MP_STATE_STOPPED);
	riscv_make_request(v, REQ_STOPPED);
}

void riscv_request_start_locked(struct riscv_vcpu *v, u64 pc, u64 a1)
{
	v->reset_pc = pc;
	v->reset_a1 = a1;
	riscv_make_request(v, REQ_RESET);
}

int riscv_get_mp_state(struct kvm_vcpu *vcpu, struct kvm_mp_state *s)
{
	s->mp_state = READ_ONCE(to_riscv(vcpu)->mp_state);
	return 0;
}

int riscv_set_mp_state(struct kvm_vcpu *vcpu, const struct kvm_mp_state *s)
{
	struct riscv_vcpu *v = to_riscv(vcpu);
	int ret = 0;

	sv_spin_lock(&v->mp_lock);
	switch (s->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		WRITE_ONCE(v->mp_state, KVM_MP_STATE_RUNNABLE);
		break;
	case KVM_MP_STATE_STOPPED:
		riscv_power_off_locked(v);
		break;
	default:
		ret = -EINVAL;
		break;
	}
	sv_spin_unlock(&v->mp_lock);
	return ret;
}

int riscv_set_guest_debug(struct kvm_vcpu *vcpu, u32 control)
{
	struct riscv_vcpu *v = to_riscv(vcpu);

	vcpu->guest_debug = control & KVM_GUESTDBG_ENABLE ? control : 0;
	rv_hart_set_debug(v->hart, vcpu->guest_debug != 0,
			  vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP);
	return 0;
}

long riscv_vcpu_async_ioctl(struct kvm_vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	struct kvm_interrupt irq;

	if (cmd != KVM_INTERRUPT)
		return -ENOIOCTLCMD_SV;
	if (sv_copy_from_user(&irq, (void *)arg, sizeof(irq)))
		return -EFAULT;
	/* Anything but SET lowers the line. */
	riscv_vcpu_set_irq(to_riscv(vcpu), IRQ_S_EXT, irq.irq == KVM_INTERRUPT_SET);
	return 0;
}

static bool wfi_over(struct kvm_vcpu *vcpu)
{
	struct riscv_vcpu *v = to_riscv(vcpu);

	return rv_hart_has_interrupt(v->hart) || __atomic_load_n(&v->requests, __ATOMIC_SEQ_CST);
}

void riscv_vcpu_wfi(struct riscv_vcpu *v)
{
	if (wfi_over(&v->vcpu))
		return;
	/* A signal leaves the attention word as it is judged there: the loop looks again. */
	if (kvm_vcpu_block(&v->vcpu, wfi_over, rv_hart_timer_deadline_ns(v->hart)) ==
	    KVM_BLOCK_SIGNAL)
		v->signalled = true;
}

static bool power_on(struct kvm_vcpu *vcpu)
{
	return !riscv_vcpu_stopped(to_riscv(vcpu));
}

static void do_reset(struct riscv_vcpu *v)
{
	u64 pc, a1;

	sv_spin_lock(&v->mp_lock);
	pc = v->reset_pc;
	a1 = v->reset_a1;
	sv_spin_unlock(&v->mp_lock);
	vcpu_reset(v, pc, v->vcpu.vcpu_id, a1);
}

/*
 * A start that has been asked for and not carried out is part of what the registers say:
 * who saves them moves a vCPU that will start.
 */
void riscv_vcpu_settle(struct riscv_vcpu *v)
{
	if (likely(!(__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQ_RESET)))
		return;
	__atomic_fetch_and(&v->requests, ~(u32)REQ_RESET, __ATOMIC_SEQ_CST);
	do_reset(v);
}

/* What others asked for. False: a signal came while the vCPU was off. */
static bool handle_requests(struct riscv_vcpu *v)
{
	u32 req = __atomic_exchange_n(&v->requests, 0, __ATOMIC_SEQ_CST);

	if ((req & REQ_STOPPED) && riscv_vcpu_stopped(v) &&
	    kvm_vcpu_block(&v->vcpu, power_on, ~0ull) == KVM_BLOCK_SIGNAL) {
		/* Still to be done at the next KVM_RUN; no kick is needed for that. */
		__atomic_fetch_or(&v->requests, req, __ATOMIC_SEQ_CST);
		return false;
	}
	req |= __atomic_exchange_n(&v->requests, 0, __ATOMIC_SEQ_CST);
	if (req & REQ_STOPPED && riscv_vcpu_stopped(v))
		__atomic_fetch_or(&v->requests, REQ_STOPPED, __ATOMIC_SEQ_CST);
	if (req & REQ_RESET)
		do_reset(v);
	if (req & REQ_TIME) {
		v->time_offset = __atomic_load_n(&to_riscv_vm(v->vcpu.kvm)->time_offset,
						 __ATOMIC_SEQ_CST);
		rv_hart_set_time_offset(v->hart, v->time_offset);
	}
	return true;
}

/* The answer to the exit that user space has handled since. */
static void take_answer(struct riscv_vcpu *v)
{
	struct kvm_run *run = v->vcpu.run;
	u32 reason = READ_ONCE(run->exit_reason);
	u64 data = 0;

	if (v->mmio_pending && reason == KVM_EXIT_MMIO) {
		v->mmio_pending = false;
		memcpy(&data, run->mmio.data, v->mmio_len);
		rv_hart_complete_mmio_read(v->hart, data);
	} else if (v->sbi_pending && reason == KVM_EXIT_RISCV_SBI) {
		v->sbi_pending = false;
		rv_hart_set_x(v->hart, X_A0, run->riscv_sbi.ret[0]);
		rv_hart_set_x(v->hart, X_A1, run->riscv_sbi.ret[1]);
		rv_hart_complete_ecall(v->hart);
	} else if (v->csr_pending && reason == KVM_EXIT_RISCV_CSR) {
		v->csr_pending = false;
		rv_hart_complete_csr(v->hart, run->riscv_csr.ret_value);
	}
}

static void exit_mmio(struct riscv_vcpu *v, const struct rv_exit_info *info)
{
	struct kvm_run *run = v->vcpu.run;
	bool write = info->reason == RV_EXIT_MMIO_WRITE;

	v->vcpu.stat->arch[STAT_MMIO_EXIT_USER]++;
	run->mmio.phys_addr = info->mmio.gpa;
	run->mmio.len = info->mmio.len;
	run->mmio.is_write = write;
	if (write)
		memcpy(run->mmio.data, &info->mmio.data, sizeof(run->mmio.data));
	v->mmio_len = info->mmio.len;
	v->mmio_pending = !write;
	run->exit_reason = KVM_EXIT_MMIO;
}

/* The entropy source: user space has it. */
static void exit_csr(struct riscv_vcpu *v, const struct rv_exit_info *info)
{
	struct kvm_run *run = v->vcpu.run;

	v->vcpu.stat->arch[STAT_CSR_EXIT_USER]++;
	v->csr_pending = true;
	run->riscv_csr.csr_num = info->csr.num;
	run->riscv_csr.new_value = info->csr.new_value;
	run->riscv_csr.write_mask = info->csr.write_mask;
	run->riscv_csr.ret_value = 0;
	run->exit_reason = KVM_EXIT_RISCV_CSR;
}

static enum loop exit_fault(struct riscv_vcpu *v, const struct rv_exit_info *info, long *ret)
{
	if (info->fault.err == -EAGAIN)		/* no room in the dirty ring: the loop looks */
		return LOOP_AGAIN;
	*ret = info->fault.err;
	if (info->fault.err == -EFAULT)
		kvm_prepare_memory_fault_exit(&v->vcpu, info->fault.gpa, info->fault.host);
	return LOOP_LEAVE;
}

static enum loop handle_exit(struct riscv_vcpu *v, const struct rv_exit_info *info, long *ret)
{
	struct kvm_run *run = v->vcpu.run;

	*ret = 0;
	switch (info->reason) {
	case RV_EXIT_MMIO_READ:
	case RV_EXIT_MMIO_WRITE:
		exit_mmio(v, info);
		return LOOP_LEAVE;
	case RV_EXIT_ECALL:
		switch (sbi_ecall(v)) {
		case SBI_TO_USER:
		case SBI_EXIT:
			return LOOP_LEAVE;
		default:
			return LOOP_AGAIN;
		}
	case RV_EXIT_CSR:
		exit_csr(v, info);
		return LOOP_LEAVE;
	case RV_EXIT_WFI:
		v->vcpu.stat->arch[STAT_WFI_EXIT]++;
		riscv_vcpu_wfi(v);
		return LOOP_AGAIN;
	case RV_EXIT_PAUSE:
		v->vcpu.stat->arch[STAT_WRS_EXIT]++;
		sched_yield();
		return LOOP_AGAIN;
	case RV_EXIT_DEBUG:
		run->exit_reason = KVM_EXIT_DEBUG;
		return LOOP_LEAVE;
	case RV_EXIT_FAULT:
		return exit_fault(v, info, ret);
	case RV_EXIT_KICK:
	case RV_EXIT_NONE:
		return LOOP_AGAIN;
	}
	return LOOP_AGAIN;
}

/*
 * Without rseq nobody says when the thread lost its CPU: look at each KVM_RUN, which may
 * follow a time in the run queue, and then every millisecond.
 */
static void sta_look(struct riscv_vcpu *v, bool entry, bool scheduled)
{
	u64 now;

	scheduled |= v->vcpu.was_scheduled;
	v->vcpu.was_scheduled = false;

	if (!v->vcpu.rseq_word) {
		now = sv_now_ns();
		scheduled = entry || now - v->sta.last_look_ns >= 1000000;
		if (scheduled)
			v->sta.last_look_ns = now;
	}
	if (scheduled || !v->sta.tid)
		sbi_sta_record(v);
}

static bool dirty_ring_full(struct riscv_vcpu *v)
{
	if (likely(!kvm_dirty_ring_soft_full(&v->vcpu)))
		return false;
	v->vcpu.run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
	return true;
}

static long run_loop(struct riscv_vcpu *v)
{
	struct kvm_vcpu *vcpu = &v->vcpu;
	const struct rv_exit_info *info;
	bool scheduled = false;
	long ret = 0;

	/* Before anything is written that had to go there. */
	if (dirty_ring_full(v))
		return 0;
	if (unlikely(sbi_sta_on(v)))
		sta_look(v, true, false);
	do {
		if (unlikely(__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST)) &&
		    !handle_requests(v))
			goto signalled;
		info = rv_hart_run(v->hart);
		kvm_flush_acknowledge(vcpu, false);
		vcpu->stat->arch[STAT_EXITS]++;
		if (handle_exit(v, info, &ret) == LOOP_LEAVE)
			return ret;
		if (v->signalled)
			goto signalled;
		if (kvm_signal_check(vcpu, NULL, &scheduled)) {
			/* The word is armed again: the next entry learns it from here. */
			vcpu->was_scheduled |= scheduled;
			goto signalled;
		}
		if (unlikely(sbi_sta_on(v)))
			sta_look(v, false, scheduled);
		if (dirty_ring_full(v))
			return 0;
		kvm_flush_acknowledge(vcpu, true);
	} while (1);

signalled:
	v->signalled = false;
	vcpu->stat->arch[STAT_SIGNAL_EXITS]++;
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

static void update_stats(struct riscv_vcpu *v)
{
	struct rv_hart_stats s;

	rv_hart_get_stats(v->hart, &s);
	v->vcpu.stat->arch[STAT_INSTRUCTIONS] = s.instructions;
	v->vcpu.stat->arch[STAT_TLB_MISSES] = s.tlb_misses;
	v->vcpu.stat->arch[STAT_BLOCKS_DECODED] = s.blocks_decoded;
	v->vcpu.stat->arch[STAT_TRAPS] = s.traps;
}

long riscv_vcpu_run(struct kvm_vcpu *vcpu)
{
	struct riscv_vcpu *v = to_riscv(vcpu);
	long ret;
	bool pending;

	v->ran_atleast_once = true;
	pending = kvm_signal_begin(vcpu);
	if (unlikely(vcpu->rseq_word != v->attention)) {
		v->attention = vcpu->rseq_word;
		rv_hart_set_attention(v->hart, v->attention);
	}
	take_answer(v);
	/* Read after the attention word was armed: see signal.c. */
	if (unlikely(__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_RELAXED))) {
		ret = -EINTR;
	} else if (unlikely(pending)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		ret = -EINTR;
	} else {
		vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
		ret = run_loop(v);
	}
	vcpu->keep_armed = sbi_sta_on(v);
	kvm_signal_end(vcpu);
	if (unlikely(vcpu->stats_file))
		update_stats(v);
	return ret;
}
