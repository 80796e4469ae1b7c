/* SPDX-License-Identifier: MIT */
/*
 * Makes the n-th system call of a piece of code fail, whatever code makes it.
 *
 * The kernel's syscall user dispatch sends each system call of this thread to a SIGSYS
 * handler, which counts those that can fail for want of something, fails the n-th, and
 * makes all others itself. Independent of the library's own fault points (base/alloc.h),
 * so that a call which has none is found out.
 *
 * Only calls made from the C library's or the program's own code count: a sanitizer's
 * runtime has its own. x86-64 only: syscall_faults_available() says whether it works here.
 *
 * Creating a thread cannot be done from a handler: it can be made to fail; when it is not,
 * the calls after it in the same piece of code are not seen.
 */
#ifndef TESTS_SYSCALL_FAULTS_H
#define TESTS_SYSCALL_FAULTS_H

#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define SYSCALL_FAULTS

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

static volatile char sf_selector;	/* 0: pass, 1: dispatch */
static unsigned int sf_target, sf_seen;
static bool sf_fired;
static long sf_failed_nr;
static int sf_failed_errno;
static struct { uintptr_t from, to; } sf_text[8];
static int sf_texts;

/* A page of code whose system calls are never dispatched. */
asm(".pushsection .text.syscall_faults, \"ax\"\n"
    ".balign 4096\n"
    "sf_stub:\n"	/* (nr, a0..a5) */
    "	mov %rdi, %rax\n"
    "	mov %rsi, %rdi\n"
    "	mov %rdx, %rsi\n"
    "	mov %rcx, %rdx\n"
    "	mov %r8, %r10\n"
    "	mov %r9, %r8\n"
    "	mov 8(%rsp), %r9\n"
    "	syscall\n"
    "	ret\n"
    "sf_restorer:\n"
    "	mov $15, %eax\n"
    "	syscall\n"
    "	.balign 4096\n"
    ".popsection\n");
extern char sf_stub[], sf_restorer[];

static inline long sf_raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long (*stub)(long, long, long, long, long, long, long) = (void *)sf_stub;

	return stub(nr, a, b, c, d, e, f);
}

/* 0: never made to fail. */
static inline int sf_errno(long nr, long arg2)
{
	switch (nr) {
	case SYS_openat: case SYS_eventfd2: case SYS_memfd_create: case SYS_epoll_create1:
	case SYS_signalfd4: case SYS_dup: case SYS_dup3:
		return EMFILE;
	case SYS_fcntl:
		return arg2 == 1030 /* F_DUPFD_CLOEXEC */ || arg2 == 0 ? EMFILE : 0;
	case SYS_epoll_ctl:
		return arg2 == 2 /* EPOLL_CTL_DEL */ ? 0 : ENOMEM;
	case SYS_mmap: case SYS_mremap: case SYS_mprotect: case SYS_ftruncate: case SYS_fallocate:
	case SYS_brk: case SYS_fstat: case SYS_newfstatat:
		return ENOMEM;
	case SYS_clone: case SYS_clone3:
		return EAGAIN;
	case SYS_read: case SYS_pread64:
		return EIO;
	default:
		return 0;
	}
}

static inline bool sf_counts(uintptr_t ip)
{
	for (int i = 0; i < sf_texts; i++)
		if (ip >= sf_text[i].from && ip < sf_text[i].to)
			return true;
	return false;
}

static __attribute__((no_sanitize("address", "undefined"))) void sf_handler(int sig, siginfo_t *si,
									    void *ctx)
{
	ucontext_t *uc = ctx;
	greg_t *r = uc->uc_mcontext.gregs;
	long nr = r[REG_RAX];
	int err;

	sf_selector = 0;
	err = sf_counts((uintptr_t)r[REG_RIP]) ? sf_errno(nr, (long)r[REG_RSI]) : 0;
	if (err && ++sf_seen == sf_target) {
		sf_fired = true;
		sf_failed_nr = nr;
		sf_failed_errno = err;
		r[REG_RAX] = nr == SYS_brk ? sf_raw(SYS_brk, 0, 0, 0, 0, 0, 0) : -err;
		sf_selector = 1;
		return;
	}
	if (nr == SYS_clone || nr == SYS_clone3 || nr == SYS_rt_sigreturn) {
		r[REG_RIP] -= 2;	/* again, undispatched, and so is all that follows */
		return;
	}
	r[REG_RAX] = sf_raw(nr, r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]);
	/* The mask that this handler's return sets; who blocks all must still get here. */
	if (nr == SYS_rt_sigprocmask) {
		sf_raw(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&uc->uc_sigmask, 8, 0, 0);
		*(unsigned long *)&uc->uc_sigmask &= ~(1ul << (SIGSYS - 1));
	}
	sf_selector = 1;
}

static inline int sf_add_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	if (*info->dlpi_name && !strstr(info->dlpi_name, "libc.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum && sf_texts < 8; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		sf_text[sf_texts].from = info->dlpi_addr + p->p_vaddr;
		sf_text[sf_texts++].to = info->dlpi_addr + p->p_vaddr + p->p_memsz;
	}
	return 0;
}

static inline bool syscall_faults_available(void)
{
	struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } act = {
		(void *)sf_handler, SA_SIGINFO | SA_NODEFER | 0x04000000 /* SA_RESTORER */,
		sf_restorer, 0 };

	dl_iterate_phdr(sf_add_text, NULL);
	if (sf_raw(SYS_rt_sigaction, SIGSYS, (long)&act, 0, 8, 0, 0))
		return false;
	return !prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, sf_stub, 4096, &sf_selector);
}

static inline void syscall_faults_inject(unsigned int nth)
{
	sf_fired = false;
	sf_seen = 0;
	sf_target = nth;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	sf_selector = nth != 0;
}

#else
static bool sf_fired;
static long sf_failed_nr;
static int sf_failed_errno;
static inline bool syscall_faults_available(void) { return false; }
static inline void syscall_faults_inject(unsigned int nth) { }
#endif

#endif
