/* SPDX-License-Identifier: MIT */
/*
 * A program's own SIGSEGV and SIGBUS handlers live behind the guard's: what it sets and
 * reads back is its own, and its own faults reach it (base/guard.c). It also can't block
 * the two: a fault that is blocked ends the process, even one of guarded memory. A program
 * that blocks them and faults by itself dies by its handler instead of by the kernel.
 */
#include <errno.h>
#include <signal.h>

#include "base/guard.h"
#include "shim.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"	/* the headers declare only some */

static inline bool guarded(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS;
}

SV_EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	int err;

	if (likely(!guarded(sig)))
		return real()->sigaction(sig, act, old);
	(void)real();
	err = sv_guard_sigaction(sig, act, old);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

static sighandler_t set_handler(int sig, sighandler_t handler, int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags }, old;

	sigemptyset(&act.sa_mask);
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	return sigaction(sig, &act, &old) ? SIG_ERR : old.sa_handler;
}

SV_EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	if (likely(!guarded(sig)))
		return real()->signal(sig, handler);
	return set_handler(sig, handler, SA_RESTART);
}

SV_EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

SV_EXPORT sighandler_t ssignal(int sig, sighandler_t handler)
{
	return signal(sig, handler);
}

/* System V's: back to the default when it is called, and not blocked meanwhile. */
SV_EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return set_handler(sig, handler, SA_RESETHAND | SA_NODEFER);
}

SV_EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return sysv_signal(sig, handler);
}

#define MASK_CALL(name) do { \
	sigset_t _open; \
	if (!set || how == SIG_UNBLOCK) \
		return real()->name(how, set, old); \
	_open = *set; \
	sigdelset(&_open, SIGSEGV); \
	sigdelset(&_open, SIGBUS); \
	return real()->name(how, &_open, old); \
} while (0)

SV_EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	MASK_CALL(sigprocmask);
}

SV_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	MASK_CALL(pthread_sigmask);
}
