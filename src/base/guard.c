/* SPDX-License-Identifier: MIT */
/*
 * The fault handler behind guard.h.
 *
 * Model: guard_top is the thread's innermost active guard. A synchronous fault while it is
 * set pops it and jumps to its entry; everything else goes to the action the program has
 * (chain[]), called under the mask, the flags and the arguments the kernel would have used.
 *
 * Our handler runs with an empty mask, SA_NODEFER and SA_ONSTACK, so that leaving it by
 * siglongjmp without restoring a mask leaves no signal blocked.
 *
 * chain[] is read in signal handlers and written by any thread: a sequence count for each
 * signal, odd while a writer (under chain_lock, with all signals blocked) is at it. The
 * writer cannot be interrupted by a handler of its own thread, so a reader waits only for
 * another thread, which is running.
 *
 * A program's signal handler that leaves a system call of ours with siglongjmp leaves
 * guard_top pointing into a dead frame. Such a guard lies below the stack pointer of the
 * context that faults; it is ignored, and so is what it points to.
 */
#include "base/guard.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/libc.h"
#include "base/sync.h"
#include "base/trap_region.h"
#include "base/ucontext.h"

#define CHAIN_WORDS (sizeof(struct sigaction) / sizeof(unsigned long))

struct chain {
	unsigned seq;
	unsigned long words[CHAIN_WORDS];
};

__thread const struct sv_user_ops *sv_user_foreign;
static __thread struct sv_guard *volatile guard_top __attribute__((tls_model("initial-exec")));
static struct chain chain[2];
static struct sv_mutex chain_lock = SV_MUTEX_INIT;
static bool installed;		/* under chain_lock */
static struct sigaction first[2];	/* what was there before us; constant once installed */
/* The context that this thread is passing on, and the frame of the handler that does. */
static __thread struct { void *uc; uintptr_t frame; } volatile passing_on
	__attribute__((tls_model("initial-exec")));

_Static_assert(sizeof(struct sigaction) % sizeof(unsigned long) == 0, "copied in whole words");

static struct chain *chain_of(int signo)
{
	return &chain[signo == SIGBUS];
}

static void chain_read(int signo, struct sigaction *act)
{
	struct chain *c = chain_of(signo);
	unsigned long words[CHAIN_WORDS];
	unsigned seq;

	do {
		seq = __atomic_load_n(&c->seq, __ATOMIC_ACQUIRE);
		for (size_t i = 0; i < CHAIN_WORDS; i++)
			words[i] = __atomic_load_n(&c->words[i], __ATOMIC_ACQUIRE);
	} while ((seq & 1) || seq != __atomic_load_n(&c->seq, __ATOMIC_RELAXED));
	memcpy(act, words, sizeof(*act));
}

/* chain_lock held, signals blocked. */
static void chain_write(int signo, const struct sigaction *act)
{
	struct chain *c = chain_of(signo);
	unsigned long words[CHAIN_WORDS];

	memcpy(words, act, sizeof(words));
	__atomic_fetch_add(&c->seq, 1, __ATOMIC_RELAXED);
	/* Release on each word: who sees one of them also sees the odd count. */
	for (size_t i = 0; i < CHAIN_WORDS; i++)
		__atomic_store_n(&c->words[i], words[i], __ATOMIC_RELEASE);
	__atomic_fetch_add(&c->seq, 1, __ATOMIC_RELEASE);
}

static void chain_lock_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
	sv_mutex_lock(&chain_lock);
}

static void chain_unlock_signals(const sigset_t *old)
{
	sv_mutex_unlock(&chain_lock);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* A child finds the chain whole and its lock free, whatever other threads were at. */
static sigset_t fork_mask;	/* under chain_lock */

static void fork_prepare(void)
{
	sigset_t old;

	chain_lock_signals(&old);
	fork_mask = old;
}

static void fork_done(void)
{
	sigset_t old = fork_mask;

	chain_unlock_signals(&old);
}

static void __attribute__((constructor(102))) guard_fork_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_done, fork_done);
}

static bool on_altstack(uintptr_t addr, const stack_t *ss)
{
	uintptr_t base = (uintptr_t)ss->ss_sp;

	return !(ss->ss_flags & SS_DISABLE) && addr >= base && addr - base < ss->ss_size;
}

/* The guard that a fault in this context belongs to, or NULL. */
static struct sv_guard *guard_find(const ucontext_t *uc)
{
	struct sv_guard *g = guard_top;
	uintptr_t sp = sv_ucontext_sp(uc);

	if (!g)
		return NULL;
	/* Stacks grow down: a live guard lies above sp, unless it is on another stack. */
	if ((uintptr_t)g < sp && on_altstack((uintptr_t)g, &uc->uc_stack) ==
				 on_altstack(sp, &uc->uc_stack))
		return NULL;
	return g;
}

/* What the kernel does with a signal that has the default action (or ignores a fault). */
static void default_action(int signo, const siginfo_t *si)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sv_libc.sigaction(signo, &dfl, NULL);
	/*
	 * A fault happens again when the instruction does. A sent signal must be sent again, and
	 * so must the SIGBUS of a trap region, whose instruction would fault with SIGSEGV.
	 */
	if (si->si_code <= 0 || signo == SIGBUS)
		syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), signo);
}

static void reset_hand(int signo)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t old;

	chain_lock_signals(&old);
	chain_write(signo, &dfl);
	chain_unlock_signals(&old);
}

static void chain_call(int signo, siginfo_t *si, void *uc, uintptr_t frame)
{
	void *outer_uc = passing_on.uc;
	uintptr_t outer_frame = passing_on.frame;
	struct sigaction act;
	sigset_t mask;

	/*
	 * A program that put its handler over ours may pass on to ours what it does not
	 * want, and ours passes on to it: the second time round goes to the one before.
	 * Such a call comes from below the first one's frame; a new signal that finds what
	 * a handler left behind by siglongjmp does not.
	 */
	if (uc == outer_uc && frame < outer_frame)
		act = first[signo == SIGBUS];
	else
		chain_read(signo, &act);
	if (!(act.sa_flags & SA_SIGINFO)) {
		if (act.sa_handler == SIG_IGN && si->si_code <= 0)
			return;
		if (act.sa_handler == SIG_IGN || act.sa_handler == SIG_DFL) {
			default_action(signo, si);
			return;
		}
	}
	if (act.sa_flags & SA_RESETHAND)
		reset_hand(signo);
	mask = act.sa_mask;
	if (!(act.sa_flags & SA_NODEFER))
		sigaddset(&mask, signo);
	/* Returning restores the interrupted mask; leaving by siglongjmp is theirs to restore. */
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	passing_on.uc = uc;
	passing_on.frame = frame;
	if (act.sa_flags & SA_SIGINFO)
		act.sa_sigaction(signo, si, uc);
	else
		act.sa_handler(signo);
	passing_on.uc = outer_uc;
	passing_on.frame = outer_frame;
}

/*
 * A fault of the program's own: it may be an access to a trap region, which is carried out,
 * or refused as a bus would refuse it.
 */
static void program_fault(int signo, siginfo_t *si, void *ctx, uintptr_t frame)
{
	siginfo_t bus;
	bool sigbus;

	if (si->si_code > 0 && sv_trap_fault(signo, si, ctx, &sigbus))
		return;
	if (si->si_code <= 0 || !sigbus) {
		chain_call(signo, si, ctx, frame);
		return;
	}
	memset(&bus, 0, sizeof(bus));
	bus.si_signo = SIGBUS;
	bus.si_code = BUS_ADRERR;
	bus.si_addr = si->si_addr;
	chain_call(SIGBUS, &bus, ctx, frame);
}

static void guard_handler(int signo, siginfo_t *si, void *ctx)
{
	struct sv_guard *g = si->si_code > 0 ? guard_find(ctx) : NULL;
	const ucontext_t *uc = ctx;
	int saved = errno;

	if (!g) {
		program_fault(signo, si, ctx, (uintptr_t)__builtin_frame_address(0));
		errno = saved;
		return;
	}
	guard_top = g->outer;
	g->addr = si->si_addr;
	g->signo = signo;
	/* Ours blocks nothing, but ThreadSanitizer's handler, which calls it, blocks all. */
	pthread_sigmask(SIG_SETMASK, &uc->uc_sigmask, NULL);
	siglongjmp(g->env, 1);
}

static const int signals[] = { SIGSEGV, SIGBUS };

/*
 * chain_lock held. Installs ours where it is not: at first, and again where the program
 * has put its own over it meanwhile, which then becomes the one we pass on to.
 */
static int guard_install(void)
{
	struct sigaction act = {
		.sa_sigaction = guard_handler,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK | SA_RESTART,
	};
	struct sigaction old;

	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		if (SV_FAULT(EINVAL) || sv_libc.sigaction(signals[i], NULL, &old))
			return -errno;
		if ((old.sa_flags & SA_SIGINFO) && old.sa_sigaction == guard_handler)
			continue;
		/* What was there is known before ours can be called. */
		chain_write(signals[i], &old);
		if (!installed)
			first[i] = old;
		if (sv_libc.sigaction(signals[i], &act, NULL))
			return -errno;
	}
	installed = true;
	return 0;
}

int sv_guard_init(void)
{
	sigset_t mask;
	int err;

	chain_lock_signals(&mask);
	err = guard_install();
	chain_unlock_signals(&mask);
	return err;
}

int sv_guard_sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction prev;
	sigset_t mask;
	int err = 0;

	if (signo != SIGSEGV && signo != SIGBUS)
		return -EINVAL;
	chain_lock_signals(&mask);
	if (!installed) {
		err = sv_libc.sigaction(signo, act, old) ? -errno : 0;
	} else {
		chain_read(signo, &prev);
		if (act)
			chain_write(signo, act);
		if (old)
			*old = prev;
	}
	chain_unlock_signals(&mask);
	return err;
}

void sv_guard_push(struct sv_guard *g)
{
	g->outer = guard_top;
	guard_top = g;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void sv_guard_leave(struct sv_guard *g)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	guard_top = g->outer;
}

/*
 * No process has memory in the upper half of the address space or around its end. (UBSan
 * wants no null pointer to reach memcpy; here it may be one, and faults as it should.)
 */
#define MAY_BE_NULL __attribute__((__no_sanitize__("nonnull-attribute")))

static bool user_range_ok(const void *user, size_t n)
{
	uintptr_t start = (uintptr_t)user, end;

	return !__builtin_add_overflow(start, n, &end) && !(end >> 63);
}

MAY_BE_NULL int sv_copy_guarded(void *dst, const void *src, size_t n)
{
	struct sv_guard g;

	if (!user_range_ok(dst, n) || !user_range_ok(src, n) || sv_guard_enter(&g))
		return -EFAULT;
	memcpy(dst, src, n);
	sv_guard_leave(&g);
	return 0;
}

int sv_copy_from_user(void *dst, const void *user_src, size_t n)
{
	if (sv_user_is_foreign())
		return sv_user_foreign->from(dst, (uintptr_t)user_src, n);
	return sv_copy_guarded(dst, user_src, n);
}

int sv_copy_to_user(void *user_dst, const void *src, size_t n)
{
	if (sv_user_is_foreign())
		return sv_user_foreign->to((uintptr_t)user_dst, src, n);
	return sv_copy_guarded(user_dst, src, n);
}

/* Another process's memory comes and goes in pieces of this size. */
#define FOREIGN_PIECE 4096

static int clear_foreign(uintptr_t user, size_t n)
{
	static const u8 zeroes[FOREIGN_PIECE];
	size_t len;
	int err = 0;

	for (; n && !err; user += len, n -= len) {
		len = min(n, sizeof(zeroes));
		err = sv_user_foreign->to(user, zeroes, len);
	}
	return err;
}

static int foreign_is_zero(uintptr_t user, size_t n)
{
	u8 piece[FOREIGN_PIECE];
	size_t len;

	for (; n; user += len, n -= len) {
		len = min(n, sizeof(piece));
		if (sv_user_foreign->from(piece, user, len))
			return -EFAULT;
		for (size_t i = 0; i < len; i++)
			if (piece[i])
				return 0;
	}
	return 1;
}

/* Not beyond the page that the string ends in. */
static long strncpy_foreign(char *dst, uintptr_t user, size_t room)
{
	size_t done = 0, len;
	char *end;

	for (; done < room; done += len) {
		len = min(room - done, SV_PAGE_SIZE - (user + done) % SV_PAGE_SIZE);
		if (sv_user_foreign->from(dst + done, user + done, len))
			return -EFAULT;
		end = memchr(dst + done, 0, len);
		if (end)
			return end - dst;
	}
	return (long)done;
}

MAY_BE_NULL int sv_clear_user(void *user_dst, size_t n)
{
	struct sv_guard g;

	if (sv_user_is_foreign())
		return clear_foreign((uintptr_t)user_dst, n);
	if (!user_range_ok(user_dst, n) || sv_guard_enter(&g))
		return -EFAULT;
	memset(user_dst, 0, n);
	sv_guard_leave(&g);
	return 0;
}

long sv_strncpy_from_user(char *dst, const char *user_src, size_t room)
{
	struct sv_guard g;
	size_t i;

	if (sv_user_is_foreign())
		return strncpy_foreign(dst, (uintptr_t)user_src, room);
	if (sv_guard_enter(&g))
		return -EFAULT;
	for (i = 0; i < room; i++) {
		dst[i] = *(const volatile char *)(user_src + i);
		if (!dst[i])
			break;
	}
	sv_guard_leave(&g);
	return (long)i;
}

int sv_user_is_zero(const void *user_src, size_t n)
{
	const u8 *p = user_src;
	struct sv_guard g;
	int zero;

	if (sv_user_is_foreign())
		return foreign_is_zero((uintptr_t)user_src, n);
	if (sv_guard_enter(&g))
		return -EFAULT;
	zero = 1;	/* not before: it would have to survive the jump */
	for (size_t i = 0; i < n && zero; i++)
		zero = *(const volatile u8 *)(p + i) == 0;
	sv_guard_leave(&g);
	return zero;
}
