/* SPDX-License-Identifier: MIT */
/*
 * How a signal ends KVM_RUN.
 *
 * The kernel sees a pending signal before it enters a guest. In user space the handler
 * just runs on top of the engine and returns into it, unseen. Three ways to see it:
 *
 * 1. The thread's rseq area (glibc registers one). Its field rseq_cs points at a critical
 *    section whose address range is empty. Whenever the thread takes a signal or loses its
 *    CPU, the kernel finds that the section does not hold the interrupted address and
 *    clears the field. The engine reads the field as its attention word, at the cost of
 *    one load per backward jump.
 * 2. Where no rseq is registered a timer kicks the vCPU every few milliseconds.
 * 3. Signals that only KVM_SET_SIGNAL_MASK unblocks stay blocked, as the kernel leaves
 *    them pending when KVM_RUN returns; the timer looks for them with sigpending(), a
 *    sleeping vCPU polls a signalfd.
 *
 * 1 and 2 cannot tell a signal from a preemption. If no signal with a handler is unblocked
 * no handler can have run, and the guest goes on. Otherwise KVM_RUN returns EINTR, perhaps
 * without need; a VMM enters again at once.
 *
 * Order at entry: the word is armed first, immediate_exit is read afterwards. A handler
 * that ran before arming has set immediate_exit already; one that runs later clears the
 * word.
 *
 * Everything here is called by the thread inside KVM_RUN, with vcpu->mutex held, except the
 * timer's function, which touches the two heartbeat words and kicks.
 */
#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/guard.h"
#include "kvm/kvm.h"

#if defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
/* A C library may have the header and not register on this architecture. */
#ifdef RSEQ_SIG
#define SV_HAVE_RSEQ 1
#endif
#endif
#endif

#define HEARTBEAT_NS 2000000ull

#ifdef SV_HAVE_RSEQ
/*
 * rseq's description of a critical section (include/uapi/linux/rseq.h): version, flags,
 * start, length, abort address. Length 0 matches no address. The kernel wants the four
 * bytes before the abort address to be the signature given at registration.
 */
static const u32 rseq_abort[2] = { RSEQ_SIG, 0 };
static struct {
	u32 version;
	u32 flags;
	u64 start_ip;
	u64 post_commit_offset;
	u64 abort_ip;
} __attribute__((aligned(32))) rseq_section;
static struct sv_once rseq_once = SV_ONCE_INIT;
#define RSEQ_CS_OFFSET 8

static int rseq_section_init(void)
{
	rseq_section.start_ip = (uintptr_t)&rseq_abort[1];
	rseq_section.abort_ip = (uintptr_t)&rseq_abort[1];
	return 0;
}

u64 *kvm_rseq_word(void)
{
	if (__rseq_size == 0)
		return NULL;
	sv_once(&rseq_once, rseq_section_init);
	return (u64 *)((char *)__builtin_thread_pointer() + __rseq_offset + RSEQ_CS_OFFSET);
}

static void rseq_arm(u64 *word)
{
	__atomic_store_n(word, (u64)(uintptr_t)&rseq_section, __ATOMIC_RELAXED);
	/* The kernel acts on this thread: the compiler's order is all that is needed. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}
#else
u64 *kvm_rseq_word(void)
{
	return NULL;
}

static void rseq_arm(u64 *word)
{
	(void)word;
}
#endif

/* Blocking these would turn a guarded access into the end of the process. */
static void del_synchronous(sigset_t *set)
{
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGBUS);
	sigdelset(set, SIGILL);
	sigdelset(set, SIGFPE);
	sigdelset(set, SIGTRAP);
}

static void sigset_from_u64(sigset_t *set, u64 v)
{
	sigemptyset(set);
	for (int sig = 1; sig <= 64; sig++)
		if (v & BIT(sig - 1))
			sigaddset(set, sig);	/* fails for libc's own two: they stay out */
}

static void heartbeat_fn(struct sv_timer *t)
{
	struct kvm_vcpu *vcpu = container_of(t, struct kvm_vcpu, heartbeat);

	if (!__atomic_load_n(&vcpu->in_run, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&vcpu->heartbeat_armed, 0, __ATOMIC_SEQ_CST);
		/* A run that began in between saw armed == 1: look again. */
		if (!__atomic_load_n(&vcpu->in_run, __ATOMIC_SEQ_CST) ||
		    __atomic_exchange_n(&vcpu->heartbeat_armed, 1, __ATOMIC_SEQ_CST))
			return;
	} else {
		WRITE_ONCE(vcpu->heartbeat_fired, 1);
		vcpu->kvm->ops->vcpu_kick(vcpu);
	}
	/* Cannot fail: the timer's place in the heap exists. */
	sv_timer_set(t, sv_now_ns() + HEARTBEAT_NS);
}

static void heartbeat_start(struct kvm_vcpu *vcpu)
{
	if (likely(__atomic_load_n(&vcpu->heartbeat_armed, __ATOMIC_SEQ_CST)))
		return;
	if (__atomic_exchange_n(&vcpu->heartbeat_armed, 1, __ATOMIC_SEQ_CST))
		return;
	vcpu->heartbeat_used = true;
	if (sv_timer_set(&vcpu->heartbeat, sv_now_ns() + HEARTBEAT_NS) < 0)
		__atomic_store_n(&vcpu->heartbeat_armed, 0, __ATOMIC_SEQ_CST);
}

void kvm_signal_init(struct kvm_vcpu *vcpu)
{
	sv_timer_init(&vcpu->heartbeat, heartbeat_fn);
	vcpu->signal_fd = -1;
}

void kvm_signal_destroy(struct kvm_vcpu *vcpu)
{
	if (vcpu->heartbeat_used)
		sv_timer_cancel_sync(&vcpu->heartbeat);
	if (vcpu->signal_fd >= 0)
		close(vcpu->signal_fd);
}

/* Has one of the watched signals become pending? */
static bool watched_pending(struct kvm_vcpu *vcpu)
{
	sigset_t pending;

	sigpending(&pending);
	for (int sig = 1; sig <= 64; sig++)
		if (sigismember(&vcpu->watch, sig) == 1 && sigismember(&pending, sig) == 1)
			return true;
	return false;
}

/* The slow half of begin: a mask of KVM_SET_SIGNAL_MASK is in force. */
static bool sigmask_begin(struct kvm_vcpu *vcpu)
{
	sigset_t block;
	bool any = false;

	sigset_from_u64(&block, vcpu->sigset);
	del_synchronous(&block);
	pthread_sigmask(SIG_BLOCK, &block, &vcpu->saved_mask);

	/* Blocked by the caller, not by the run's mask: these end the run and stay pending. */
	sigemptyset(&vcpu->watch);
	for (int sig = 1; sig <= 64; sig++) {
		if (sigismember(&vcpu->saved_mask, sig) != 1 || (vcpu->sigset & BIT(sig - 1)))
			continue;
		sigaddset(&vcpu->watch, sig);
		any = true;
	}
	vcpu->watching = any;
	return any && watched_pending(vcpu);
}

static bool was_cleared(const struct kvm_vcpu *vcpu)
{
	return vcpu->rseq_word && __atomic_load_n(vcpu->rseq_word, __ATOMIC_RELAXED) == 0;
}

bool kvm_signal_begin(struct kvm_vcpu *vcpu)
{
	u64 *word = kvm_rseq_word();

	/* True stays true until somebody has taken note of it. */
	vcpu->was_scheduled |= vcpu->keep_armed &&
			       (word != vcpu->rseq_word || was_cleared(vcpu));
	vcpu->rseq_word = word;
	if (likely(word))
		rseq_arm(word);
	__atomic_store_n(&vcpu->in_run, 1, __ATOMIC_SEQ_CST);
	vcpu->watching = false;
	if (unlikely(vcpu->sigset_active) && sigmask_begin(vcpu))
		return true;
	if (unlikely(!word || vcpu->watching))
		heartbeat_start(vcpu);
	return false;
}

void kvm_signal_end(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->in_run, 0, __ATOMIC_SEQ_CST);
	if (likely(vcpu->rseq_word) && !vcpu->keep_armed)
		__atomic_store_n(vcpu->rseq_word, 0, __ATOMIC_RELAXED);
	if (unlikely(vcpu->sigset_active))
		pthread_sigmask(SIG_SETMASK, &vcpu->saved_mask, NULL);
}

/*
 * Is there a handler that can have run in this thread? Handlers of what an instruction
 * raises (test frameworks install them all) do not count: such a signal is an answer to
 * what the thread did, and the engine does nothing that raises one outside of its guards.
 */
static bool handlers_possible(const sigset_t *blocked)
{
	struct sigaction sa;
	sigset_t now;

	if (!blocked) {
		if (pthread_sigmask(SIG_SETMASK, NULL, &now))
			return true;
		blocked = &now;
	}
	for (int sig = 1; sig < NSIG; sig++) {
		if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE ||
		    sig == SIGTRAP || sig == SIGSYS || sig == SIGKILL || sig == SIGSTOP)
			continue;
		if (sigismember(blocked, sig) != 0)
			continue;
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL &&
		    sa.sa_handler != SIG_IGN)
			return true;
	}
	return false;
}

void kvm_signal_rearm(struct kvm_vcpu *vcpu)
{
	if (vcpu->rseq_word)
		rseq_arm(vcpu->rseq_word);
}

bool kvm_signal_check(struct kvm_vcpu *vcpu, const sigset_t *blocked, bool *scheduled)
{
	u64 *word = vcpu->rseq_word;
	bool cleared = false;

	if (scheduled)
		*scheduled = !word;
	if (likely(word)) {
		cleared = __atomic_load_n(word, __ATOMIC_RELAXED) == 0;
		if (cleared) {
			rseq_arm(word);
			if (scheduled)
				*scheduled = true;
		}
	} else if (READ_ONCE(vcpu->heartbeat_fired)) {
		WRITE_ONCE(vcpu->heartbeat_fired, 0);
		cleared = true;
	}
	if (unlikely(vcpu->watching) && watched_pending(vcpu))
		return true;
	return cleared && handlers_possible(blocked);
}

long kvm_vcpu_set_signal_mask(struct kvm_vcpu *vcpu, unsigned long arg)
{
	struct kvm_signal_mask m;
	u64 set;

	if (!arg) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (sv_copy_from_user(&m, (void *)arg, sizeof(m)))
		return -EFAULT;
	if (m.len != sizeof(set))	/* the kernel's sigset_t */
		return -EINVAL;
	if (sv_copy_from_user(&set, (char *)arg + offsetof(struct kvm_signal_mask, sigset),
			      sizeof(set)))
		return -EFAULT;
	set &= ~(BIT(SIGKILL - 1) | BIT(SIGSTOP - 1));
	vcpu->sigset = set;
	vcpu->sigset_active = true;
	return 0;
}
