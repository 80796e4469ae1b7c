/* SPDX-License-Identifier: MIT */
/* Signals end KVM_RUN; KVM_SET_SIGNAL_MASK */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "abi.h"

static int handled;

static void count(int sig)
{
	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

static void install(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = count, .sa_flags = flags };

	assert_int_equal(sigaction(sig, &sa, NULL), 0);
}

struct runner {
	struct abi *a;
	pthread_t t;
	int started, ret, err;
};

static void *runner_thread(void *arg)
{
	struct runner *r = arg;

	__atomic_store_n(&r->started, 1, __ATOMIC_SEQ_CST);
	/* An EINTR without a signal is allowed: go on. */
	do {
		r->ret = softvirt_ioctl(r->a->vcpu, KVM_RUN, 0);
		r->err = errno;
	} while (r->ret < 0 && r->err == EINTR && !__atomic_load_n(&handled, __ATOMIC_SEQ_CST));
	return NULL;
}

/* Runs the guest in a thread, sends the signal, sees EINTR. */
static void expect_eintr(struct abi *a, int flags)
{
	struct runner r = { .a = a };

	handled = 0;
	install(SIGUSR1, flags);
	assert_int_equal(pthread_create(&r.t, NULL, runner_thread, &r), 0);
	while (!__atomic_load_n(&r.started, __ATOMIC_SEQ_CST))
		usleep(100);
	usleep(20000);
	assert_int_equal(pthread_kill(r.t, SIGUSR1), 0);
	pthread_join(r.t, NULL);
	assert_int_equal(handled, 1);
	assert_int_equal(r.ret, -1);
	assert_int_equal(r.err, EINTR);
	assert_int_equal(a->run->exit_reason, KVM_EXIT_INTR);
}

static void a_signal_ends_a_spinning_guest(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, J_SELF);
	expect_eintr(&a, 0);
	expect_eintr(&a, SA_RESTART);
	abi_down(&a);
}

static void a_signal_ends_a_sleeping_guest(void **state)
{
	struct abi a;

	abi_up(&a);
	abi_guest(&a, WFI, J_SELF);
	expect_eintr(&a, 0);
	abi_guest(&a, WFI, J_SELF);
	expect_eintr(&a, SA_RESTART);
	abi_down(&a);
}

static void a_signal_ends_the_wait_of_a_stopped_vcpu(void **state)
{
	struct kvm_mp_state s = { KVM_MP_STATE_STOPPED };
	struct abi a;

	abi_up(&a);
	abi_guest(&a, J_SELF);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_SET_MP_STATE, &s), errno);
	expect_eintr(&a, 0);
	/* It is still off. */
	expect_eintr(&a, SA_RESTART);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_GET_MP_STATE, &s), errno);
	assert_int_equal(s.mp_state, KVM_MP_STATE_STOPPED);
	abi_down(&a);
}

static struct kvm_run *exit_run;

static void request_exit(int sig)
{
	exit_run->immediate_exit = 1;
}

static void a_handler_that_sets_immediate_exit_is_never_missed(void **state)
{
	struct sigaction sa = { .sa_handler = request_exit };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct abi a;
	timer_t timer;

	abi_up(&a);
	abi_guest(&a, LI(A0, 1), J_SELF);
	exit_run = a.run;
	assert_int_equal(sigaction(SIGALRM, &sa, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	/* The signal falls on every point of the way in; missed, this would never end. */
	for (long ns = 1; ns < 100000; ns += 200) {
		struct itimerspec its = { .it_value = { .tv_nsec = ns } };

		a.run->immediate_exit = 0;
		assert_int_equal(timer_settime(timer, 0, &its, NULL), 0);
		do {
			assert_errno(softvirt_ioctl(a.vcpu, KVM_RUN, 0), EINTR);
		} while (!a.run->immediate_exit);
	}
	timer_delete(timer);
	signal(SIGALRM, SIG_DFL);
	abi_down(&a);
}

static int set_mask(int vcpu, u32 len, u64 mask)
{
	struct {
		u32 len;
		u8 set[8];
	} __attribute__((packed)) m = { .len = len };

	memcpy(m.set, &mask, 8);
	return softvirt_ioctl(vcpu, KVM_SET_SIGNAL_MASK, &m);
}

static void mask_of_another_length_is_einval(void **state)
{
	struct abi a;

	abi_up(&a);
	for (u32 len = 0; len < 20; len++)
		if (len != 8)
			assert_errno(set_mask(a.vcpu, len, 0), EINVAL);
	assert_return_code(set_mask(a.vcpu, 8, 0), errno);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_SET_SIGNAL_MASK, NULL), errno);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_SET_SIGNAL_MASK, abi_bad_page()), EFAULT);
	abi_down(&a);
}

/* The signal is blocked; only the run's mask lets it through. It stays pending. */
static void *blocked_thread(void *arg)
{
	struct runner *r = arg;
	sigset_t set;
	struct timespec none = { 0 };

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	__atomic_store_n(&r->started, 1, __ATOMIC_SEQ_CST);
	/* An EINTR without a signal is allowed. Not delivered: it can be taken then. */
	do {
		r->ret = softvirt_ioctl(r->a->vcpu, KVM_RUN, 0);
		r->err = errno;
	} while (r->ret < 0 && r->err == EINTR && sigtimedwait(&set, NULL, &none) != SIGUSR2);
	return NULL;
}

static void blocked_case(struct abi *a)
{
	struct runner r = { .a = a };

	assert_return_code(set_mask(a->vcpu, 8, 0), errno);
	assert_int_equal(pthread_create(&r.t, NULL, blocked_thread, &r), 0);
	while (!__atomic_load_n(&r.started, __ATOMIC_SEQ_CST))
		usleep(100);
	usleep(20000);
	pthread_kill(r.t, SIGUSR2);
	pthread_join(r.t, NULL);
	assert_int_equal(r.ret, -1);
	assert_int_equal(r.err, EINTR);
}

static void a_signal_that_the_mask_unblocks_ends_the_run_and_stays_pending(void **state)
{
	struct abi a;

	/* The default action would end the process: nobody may deliver it. */
	signal(SIGUSR2, SIG_DFL);
	/* No handler of other tests may explain the EINTR. */
	signal(SIGUSR1, SIG_DFL);
	abi_up(&a);
	abi_guest(&a, J_SELF);
	blocked_case(&a);
	abi_guest(&a, WFI, J_SELF);
	blocked_case(&a);
	abi_down(&a);
}

static void a_signal_that_the_mask_blocks_does_not_end_the_run(void **state)
{
	struct abi a;

	abi_up(&a);
	handled = 0;
	install(SIGUSR1, 0);
	assert_return_code(set_mask(a.vcpu, 8, 1ull << (SIGUSR1 - 1)), errno);
	abi_guest(&a, LI(A0, 1), DONE(T0));
	/* Pending before: the run goes on to its end, then it is delivered. */
	{
		sigset_t set, old;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		pthread_sigmask(SIG_BLOCK, &set, &old);
		raise(SIGUSR1);
		abi_run_done(&a);
		assert_int_equal(handled, 0);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		assert_int_equal(handled, 1);
	}
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_ends_a_spinning_guest),
		cmocka_unit_test(a_signal_ends_a_sleeping_guest),
		cmocka_unit_test(a_signal_ends_the_wait_of_a_stopped_vcpu),
		cmocka_unit_test(a_handler_that_sets_immediate_exit_is_never_missed),
		cmocka_unit_test(mask_of_another_length_is_einval),
		cmocka_unit_test(a_signal_that_the_mask_unblocks_ends_the_run_and_stays_pending),
		cmocka_unit_test(a_signal_that_the_mask_blocks_does_not_end_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
