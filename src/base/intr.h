/* SPDX-License-Identifier: MIT */
/*
 * Sleeps that the program's signals end, for what the kernel calls interruptible.
 *
 * A condition variable goes on sleeping after a handler has run, and looking for a handler
 * before the sleep leaves a gap. So such a sleeper waits for an eventfd in ppoll(2), having
 * blocked all signals before; the system call opens them and sleeps in one step. A handler
 * that ran before that ran, as far as the program can tell, before its own call began.
 *
 *	under the sleeper's mutex: fd = sv_intr_open(), shown to the waker; then without it
 *	sv_intr_sleep(fd, deadline); then, under the mutex, hidden again; sv_intr_close(fd).
 *
 * The waker calls sv_intr_wake(fd) under the mutex. Where no descriptor is to be had
 * (-errno) the sleep must be an ordinary one.
 */
#ifndef SV_BASE_INTR_H
#define SV_BASE_INTR_H

#include <errno.h>

#include "base/types.h"

#ifdef SV_MODEL
/* There are no signals. */
static inline int sv_intr_open(void) { return -ENOSYS; }
static inline void sv_intr_close(int fd) { }
static inline void sv_intr_wake(int fd) { }
static inline int sv_intr_sleep(int fd, u64 deadline_ns) { return -ENOSYS; }
#else
int sv_intr_open(void);
void sv_intr_close(int fd);
void sv_intr_wake(int fd);
/* 0 woken, -ETIMEDOUT at an absolute CLOCK_MONOTONIC time (~0: never), -EINTR. */
int sv_intr_sleep(int fd, u64 deadline_ns);
#endif
/*
 * A call that a handler ended: is it to be made again? The kernel looks at the handler that
 * ran; we don't know which did, so all that could have must have SA_RESTART.
 */
bool sv_intr_may_restart(void);

#endif
