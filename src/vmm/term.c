/* SPDX-License-Identifier: MIT */
#include "vmm/term.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/types.h"

static struct termios term_saved;
static int term_fd;
static volatile sig_atomic_t term_is_raw;

int term_raw(int fd)
{
	static bool registered;
	struct termios raw;

	if (!isatty(fd))
		return 0;
	if (tcgetattr(fd, &raw))
		return -errno;
	if (!term_is_raw) {
		term_saved = raw;
		term_fd = fd;
	}
	cfmakeraw(&raw);
	/* A message of ours in the middle of the guest's output still starts a line. */
	raw.c_oflag |= OPOST;
	term_is_raw = 1;
	if (tcsetattr(fd, TCSANOW, &raw)) {
		term_is_raw = 0;
		return -errno;
	}
	if (!registered) {
		registered = true;
		atexit(term_restore);
	}
	return 0;
}

void term_restore(void)
{
	int saved_errno = errno;

	if (term_is_raw) {
		term_is_raw = 0;
		tcsetattr(term_fd, TCSANOW, &term_saved);
	}
	errno = saved_errno;
}

static void term_crash(int signo)
{
	/* SA_RESETHAND has put the default action back: it follows when the signal comes again. */
	term_restore();
	raise(signo);
}

void term_catch_crashes(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT, SIGSYS };
	struct sigaction sa = { .sa_handler = term_crash, .sa_flags = SA_RESETHAND | SA_NODEFER };
	unsigned int i;

	sigemptyset(&sa.sa_mask);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
}
