/* SPDX-License-Identifier: MIT */
/* Interruptible sleeps: see intr.h. */
#include "base/intr.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/libc.h"
#include "base/timer.h"

static const int synchronous[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };

int sv_intr_open(void)
{
	int fd = SV_FAULT(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void sv_intr_close(int fd)
{
	sv_libc.close(fd);
}

void sv_intr_wake(int fd)
{
	const u64 one = 1;

	if (write(fd, &one, sizeof(one)) < 0) {
		/* Full: it is awake. */
	}
}

/* NULL: for ever. */
static struct timespec *time_left(u64 deadline_ns, struct timespec *ts)
{
	u64 now;

	if (deadline_ns == ~0ull)
		return NULL;
	now = sv_now_ns();
	now = now < deadline_ns ? deadline_ns - now : 0;
	ts->tv_sec = (time_t)(now / 1000000000ull);
	ts->tv_nsec = (long)(now % 1000000000ull);
	return ts;
}

int sv_intr_sleep(int fd, u64 deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	sigset_t block, old;
	struct timespec ts;
	int n;

	sigfillset(&block);
	for (size_t i = 0; i < ARRAY_SIZE(synchronous); i++)
		sigdelset(&block, synchronous[i]);
	if (pthread_sigmask(SIG_BLOCK, &block, &old))
		return -EINTR;
	n = ppoll(&p, 1, time_left(deadline_ns, &ts), &old);
	n = n > 0 ? 0 : n ? -EINTR : -ETIMEDOUT;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

static bool is_synchronous(int sig)
{
	for (size_t i = 0; i < ARRAY_SIZE(synchronous); i++)
		if (synchronous[i] == sig)
			return true;
	return false;
}

bool sv_intr_may_restart(void)
{
	struct sigaction sa;
	sigset_t blocked;

	if (pthread_sigmask(SIG_SETMASK, NULL, &blocked))
		return false;
	for (int sig = 1; sig < NSIG; sig++) {
		if (is_synchronous(sig) || sigismember(&blocked, sig) != 0)
			continue;
		if (!sv_libc.sigaction(sig, NULL, &sa) && sa.sa_handler != SIG_DFL &&
		    sa.sa_handler != SIG_IGN && !(sa.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}
