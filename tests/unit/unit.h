/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests share: cmocka with the headers it wants, a small generator.
 */
#ifndef SV_TESTS_UNIT_H
#define SV_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/types.h"

/*
 * cmocka puts its own SIGSEGV and SIGBUS handler, by signal(3), over whatever is there
 * before each test, and with it over the guard. This takes the place of the C library's
 * signal() in the test: those two signals stay as they are.
 */
__attribute__((__visibility__("default"))) sighandler_t signal(int signo, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART }, old;

	if (signo == SIGSEGV || signo == SIGBUS)
		return SIG_DFL;
	return sigaction(signo, &act, &old) ? SIG_ERR : old.sa_handler;
}

/* xorshift64*: the same numbers in every run. */
static inline u64 unit_rand(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* Runs fn in a child; its exit status, or 128 + the signal that ended it. */
static inline int unit_in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fn();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#endif
