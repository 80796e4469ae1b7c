/* SPDX-License-Identifier: MIT */
/*
 * A vCPU with nothing to do sleeps in the host.
 *
 * Model: the sleeper sets vcpu->sleeping, looks at its condition once more, then waits in
 * ppoll() on its eventfd. A waker makes the condition true, then looks at sleeping and
 * writes the eventfd. Both orders are sequentially consistent, so one of the two sees the
 * other. A stale count in the eventfd costs one more look.
 *
 * All signals are blocked before the last look at the attention word until ppoll() sets the
 * caller's mask again atomically: a handler either ran before (the word is cleared) or
 * interrupts the ppoll(). Without rseq the former can't be seen, so the sleep is cut into
 * short pieces.
 *
 * The eventfd is made at the first sleep. If none is to be had the sleep is a series of
 * naps of a millisecond: slower to wake, never wrong.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "kvm/kvm.h"

#define NAP_NS 1000000ull
#define BLIND_SLEEP_NS 10000000ull

void kvm_vcpu_wake(struct kvm_vcpu *vcpu)
{
	u64 one = 1;
	int saved = errno;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->sleeping, __ATOMIC_SEQ_CST) && READ_ONCE(vcpu->wake_fd) >= 0 &&
	    write(READ_ONCE(vcpu->wake_fd), &one, sizeof(one)) < 0)
		errno = saved;	/* EAGAIN: the count is full, the sleeper wakes anyway */
}

static void block_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

static void prepare_fds(struct kvm_vcpu *vcpu)
{
	int fd;

	if (vcpu->wake_fd < 0) {
		fd = SV_FAULT(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		WRITE_ONCE(vcpu->wake_fd, fd);
	}
	if (vcpu->watching)	/* the set may have changed since the last sleep */
		vcpu->signal_fd = signalfd(vcpu->signal_fd, &vcpu->watch,
					   SFD_CLOEXEC | SFD_NONBLOCK);
}

enum kvm_block kvm_vcpu_block(struct kvm_vcpu *vcpu, bool (*runnable)(struct kvm_vcpu *vcpu),
			      u64 deadline_ns)
{
	struct kvm_vcpu_stat *stat = vcpu->stat;
	u64 start = sv_now_ns(), now = start;
	enum kvm_block ret = KVM_BLOCK_WOKEN;
	u64 drained;

	prepare_fds(vcpu);
	WRITE_ONCE(stat->blocking, 1);
	for (;;) {
		struct pollfd pfd[2] = {
			{ .fd = vcpu->wake_fd, .events = POLLIN },
			{ .fd = vcpu->watching ? vcpu->signal_fd : -1, .events = POLLIN },
		};
		struct timespec ts, *timeout = NULL;
		u64 limit = deadline_ns;
		sigset_t old;
		int n, err;

		if (vcpu->wake_fd < 0 || (vcpu->watching && vcpu->signal_fd < 0))
			limit = min(limit, now + NAP_NS);
		else if (!vcpu->rseq_word)
			limit = min(limit, now + BLIND_SLEEP_NS);

		__atomic_store_n(&vcpu->sleeping, 1, __ATOMIC_SEQ_CST);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (runnable(vcpu) || now >= deadline_ns)
			break;
		block_signals(&old);
		if (kvm_signal_check(vcpu, &old, NULL)) {
			pthread_sigmask(SIG_SETMASK, &old, NULL);
			ret = KVM_BLOCK_SIGNAL;
			break;
		}
		if (limit != ~0ull) {
			u64 left = limit > now ? limit - now : 0;

			ts = (struct timespec){ .tv_sec = left / 1000000000,
						.tv_nsec = left % 1000000000 };
			timeout = &ts;
		}
		n = ppoll(pfd, 2, timeout, &old);
		err = errno;
		/*
		 * Sleeping cleared the word. A signal would have ended the sleep otherwise, and
		 * one since then is still blocked: it clears the word anew.
		 */
		if (n >= 0)
			kvm_signal_rearm(vcpu);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (n < 0 && err == EINTR) {
			ret = KVM_BLOCK_SIGNAL;
			break;
		}
		if (n > 0 && (pfd[1].revents & POLLIN)) {
			ret = KVM_BLOCK_SIGNAL;
			break;
		}
		if (n > 0 && (pfd[0].revents & POLLIN) &&
		    read(vcpu->wake_fd, &drained, sizeof(drained)) < 0 && errno != EAGAIN)
			break;
		now = sv_now_ns();
	}
	__atomic_store_n(&vcpu->sleeping, 0, __ATOMIC_SEQ_CST);
	vcpu->was_scheduled = true;
	WRITE_ONCE(stat->blocking, 0);
	now = sv_now_ns();
	stat->halt_wait_ns += now - start;
	kvm_stat_hist(stat->halt_wait_hist, now - start);
	if (ret == KVM_BLOCK_WOKEN)
		stat->halt_wakeup++;
	return ret;
}
