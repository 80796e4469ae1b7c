/* SPDX-License-Identifier: MIT */
/*
 * Guarded access to memory that belongs to the caller.
 *
 * Guest memory and ioctl arguments are the caller's mappings. They may be absent,
 * read-only, or vanish while we use them. A load or store that faults must become
 * -EFAULT, as in the kernel, never the end of the process.
 *
 * One process-wide SIGSEGV/SIGBUS handler is installed by sv_guard_init(). A thread
 * that is about to touch such memory enters a guard; a fault inside it jumps back to
 * the guard's entry. A fault outside of any guard goes to the handler that was there
 * before ours, so a program's own bugs still look like its own bugs.
 *
 * A guard catches synchronous faults alone: a SIGSEGV that somebody sent with kill(2) goes
 * to the program's handler even while a guard is active. A handler that the program
 * installs later with plain sigaction(2) takes the place of ours until the next
 * sv_guard_init() (each open and each new object calls it), which puts ours over it again
 * and passes on to it. Under the preload library ours is never displaced
 * (sv_guard_sigaction).
 *
 * A struct sv_guard is a local variable of the function that enters it: that is how a guard
 * whose frame was left by a longjmp is told from a live one. Guards nest (a stack per
 * thread). The memory that a faulting access has already changed stays changed, as after a
 * partial copy in the kernel.
 *
 *	struct sv_guard g;
 *	if (sv_guard_enter(&g)) {
 *		... g.addr is the address that faulted; the guard has been left
 *		return -EFAULT;
 *	}
 *	... touch ...
 *	sv_guard_leave(&g);
 *
 * Code inside of a guard must not hold locks that the fault path does not release,
 * and locals it changes and that are read after a fault must be volatile.
 */
#ifndef SV_BASE_GUARD_H
#define SV_BASE_GUARD_H

#include <setjmp.h>
#include <signal.h>

#include "base/types.h"

struct sv_guard {
	sigjmp_buf env;
	struct sv_guard *outer;
	void *volatile addr;
	volatile int signo;
};

/* Idempotent, any thread. 0 or -errno. */
int sv_guard_init(void);

/*
 * sigaction(2) for SIGSEGV and SIGBUS as a program should see it once ours is installed:
 * sets and reads the action that faults outside of guards go to. For the preload library.
 * 0 or -errno (-EINVAL: another signal).
 */
int sv_guard_sigaction(int signo, const struct sigaction *act, struct sigaction *old);

void sv_guard_push(struct sv_guard *g);
void sv_guard_leave(struct sv_guard *g);

/* 0 on entry, 1 when a fault came back here. A macro: sigsetjmp's frame must live on. */
#define sv_guard_enter(g) \
	(sigsetjmp((g)->env, 0) ? 1 : (sv_guard_push(g), 0))

/*
 * Both sides are memory of this process, of which one may be the program's: 0, or -EFAULT with an
 * unspecified part copied.
 */
int sv_copy_guarded(void *dst, const void *src, size_t n);

/*
 * The caller's memory, by the caller's addresses. As sv_copy_guarded(), unless this thread carries
 * out a call of another process (file/forked.h): then it is that process's memory.
 */
struct sv_user_ops {
	int (*from)(void *dst, u64 user, size_t n);	/* 0 or -EFAULT */
	int (*to)(u64 user, const void *src, size_t n);
};
/* NULL: the caller is this process. Set for the time of a call. */
extern __thread const struct sv_user_ops *sv_user_foreign
	__attribute__((tls_model("initial-exec")));
static inline bool sv_user_is_foreign(void)
{
	return unlikely(sv_user_foreign != NULL);
}

int sv_copy_from_user(void *dst, const void *user_src, size_t n);
int sv_copy_to_user(void *user_dst, const void *src, size_t n);
int sv_clear_user(void *user_dst, size_t n);
/* The string's length, or room when no zero byte lies in its first room bytes; -EFAULT. */
long sv_strncpy_from_user(char *dst, const char *user_src, size_t room);
/* 1 if all n bytes are zero, 0 if not, -EFAULT. */
int sv_user_is_zero(const void *user_src, size_t n);

#endif
