/* SPDX-License-Identifier: MIT */
/*
 * With TEST_FORKED in the environment a test of /dev/iommu runs in a forked child of the process that
 * has the contexts: they are opened here, before main(), and forked_open() gives them out. FORKED_INIT(),
 * if defined, is called before them.
 */
#ifndef TESTS_ABI_FORKED_H
#define TESTS_ABI_FORKED_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "softvirt/softvirt.h"

#define FORKED_CONTEXTS 64

static int forked_fds[FORKED_CONTEXTS];
static unsigned forked_left;

/* Another context of the parent's; -1: this process opens its own. */
static inline int forked_open(void)
{
	if (!getenv("TEST_FORKED"))
		return -1;
	if (!forked_left)
		abort();
	return forked_fds[--forked_left];
}

static void __attribute__((constructor)) forked_start(void)
{
	int status;
	pid_t pid;

	if (!getenv("TEST_FORKED"))
		return;
#ifdef FORKED_INIT
	FORKED_INIT();
#endif
	for (; forked_left < FORKED_CONTEXTS; forked_left++) {
		forked_fds[forked_left] = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
		if (forked_fds[forked_left] < 0)
			_exit(99);
	}
	pid = fork();
	if (!pid)
		return;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(99);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
}

#endif
