/* SPDX-License-Identifier: MIT */
/*
 * The sweep over everything that can fail inside of a call, and what its cases share. The
 * model is in test_faults.c.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "abi.h"
#include "syscall_faults.h"

#define UNAVAILABLE 77
#define TUNABLES "glibc.malloc.tcache_count=0"
#define DATA 0x90000000ull
#define E(n) (1ull << (n))
/* What a call may answer when memory or descriptors are short. */
#define SHORT (E(ENOMEM) | E(EMFILE))
/* EINVAL is what sigaction(2) and F_ADD_SEALS say; calls that make a file use them. */

static struct {
	struct abi a;
	void *data;		/* 16 pages, for a second slot */
	int fd, fd2, extra;	/* eventfds, or what the call gave */
	void *map;
	u64 bits[64];
} t;

struct test {
	const char *name;
	void (*prepare)(void);
	int (*call)(void);
	void (*undo)(void);
	void (*clean)(void);
	u64 errnos;		/* E(): what a fault may make of it */
	int want;		/* the errno without a fault; 0: success */
	bool keeps;		/* a failed call may leave something that its VM owns and uses later */
};

/* --- pieces ------------------------------------------------------------------------------ */

static inline void up(void)
{
	abi_up(&t.a);
	t.data = abi_memory(16 * 4096);
}

static inline void down(void)
{
	abi_down(&t.a);
	munmap(t.data, 16 * 4096);
}

static inline int keep_fd(int fd)
{
	t.fd = fd;
	return fd;
}

static inline void close_fd(void)
{
	assert_return_code(softvirt_close(t.fd), errno);
}

static inline void must(int ret)
{
	assert_return_code(ret, errno);
}

static inline void nothing(void)
{
}

/* The cases of this program. */
static const struct test *cases;
static size_t nr_cases;

/* --- the sweeps -------------------------------------------------------------------------- */

struct footprint {
	int fds;
	unsigned int memfds;
	u64 anonymous;		/* bytes; 0 where a sanitizer's runtime maps as it likes */
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MEMORY 0
#else
#define OWN_MEMORY 1
#endif

static struct footprint footprint(void)
{
	struct footprint f = { 0 };
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");
	DIR *dir = opendir("/proc/self/fd");
	unsigned long from, to;

	assert_true(maps && dir);
	while (readdir(dir))
		f.fds++;
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "memfd:"))
			f.memfds++;
		else if (OWN_MEMORY && !strchr(line, '/') && !strchr(line, '[') &&
			 sscanf(line, "%lx-%lx", &from, &to) == 2)
			f.anonymous += to - from;
	}
	closedir(dir);
	fclose(maps);
	return f;
}

enum sweep { LIBRARY, SYSTEM };

static void inject(enum sweep s, unsigned int n)
{
	if (s == LIBRARY)
		sv_fault_inject(n);
	else
		syscall_faults_inject(n);
}

static bool fired(enum sweep s)
{
	return s == LIBRARY ? sv_fault_fired() : sf_fired;
}

static void complain(const struct test *c, enum sweep s, unsigned int n, const char *what, int err)
{
	print_message("# %s: %s %u%s", c->name, s == LIBRARY ? "step" : "system call", n,
		      s == LIBRARY ? "" : " (");
	if (s == SYSTEM)
		print_message("number %ld, errno %d)", sf_failed_nr, sf_failed_errno);
	print_message(": %s (%s)\n", what, strerror(err));
}

static void compare(const struct test *c, enum sweep s, unsigned int n, const struct footprint *a,
		    const struct footprint *b, unsigned int *bad)
{
	if (a->fds == b->fds && a->memfds == b->memfds && a->anonymous == b->anonymous)
		return;
	complain(c, s, n, "leaks", 0);
	print_message("#   descriptors %d to %d, memfds %u to %u, bytes %llu to %llu\n", a->fds,
		      b->fds, a->memfds, b->memfds, (unsigned long long)a->anonymous,
		      (unsigned long long)b->anonymous);
	++*bad;
}

/* One try. False when there was no n-th step. *bad counts what was wrong. */
static bool try(const struct test *c, enum sweep s, unsigned int n, bool first, unsigned int *bad)
{
	struct footprint outside = footprint(), before, after;
	bool hit;
	int ret, err;

	c->prepare();
	before = footprint();
	errno = 0;
	inject(s, n);
	ret = c->call();
	err = ret < 0 ? errno : 0;
	hit = fired(s);
	inject(s, 0);
	if (!hit && err != c->want) {
		complain(c, s, n, "not the answer without a fault", err);
		++*bad;
	}
	/* Success in spite of a fault is fine: the step had another way. */
	if (hit && err && err != c->want && !(c->errnos & E(err))) {
		complain(c, s, n, "not an errno for this", err);
		++*bad;
	}
	if (hit && s == SYSTEM && err && err != c->want && err != sf_failed_errno) {
		complain(c, s, n, "not the system call's errno", err);
		++*bad;
	}
	if (err) {
		after = footprint();
		if (!c->keeps)
			compare(c, s, n, &before, &after, bad);
		errno = 0;
		ret = c->call();
		err = ret < 0 ? errno : 0;
		if (err != c->want) {
			complain(c, s, n, "does not work afterwards", err);
			++*bad;
		}
	}
	if (!err)
		c->undo();
	c->clean();
	after = footprint();
	if (!first)
		compare(c, s, n, &outside, &after, bad);
	return hit;
}

/* What is left over after everything is undone: the allocator's own account. */
static size_t heap_in_use(void)
{
	return OWN_MEMORY && getenv("GLIBC_TUNABLES") ? mallinfo2().uordblks : 0;
}

static void sweep(enum sweep s)
{
	unsigned int steps = 0, bad = 0, n;

	for (size_t i = 0; i < nr_cases; i++) {
		const struct test *c = &cases[i];
		size_t heap;

		/* The first round may leave what later ones use again (tables, threads). */
		for (n = 1; try(c, s, n, true, &bad); n++)
			assert_true(n < 1000);
		steps += n - 1;
		heap = heap_in_use();
		for (n = 1; try(c, s, n, false, &bad); n++)
			;
		if (heap_in_use() != heap) {
			print_message("# %s: %zd bytes are lost\n", c->name,
				      (ssize_t)(heap_in_use() - heap));
			bad++;
		}
	}
	print_message("# %zu calls, %u failed %s\n", nr_cases, steps,
		      s == LIBRARY ? "steps" : "system calls");
	assert_int_equal(bad, 0);
	assert_true(steps > nr_cases);
}

static void each_step_fails_once(void **state)
{
	sweep(LIBRARY);
}

#ifdef SYSCALL_FAULTS
/* In the child of the next test. */
static void sweep_system_calls(void **state)
{
	if (!syscall_faults_available())
		_exit(UNAVAILABLE);
	sweep(SYSTEM);
}

/*
 * In a process of its own, without rseq: the interception's own signals would clear its
 * word at every system call, and a sleep that is about to begin would never begin.
 */
static void each_system_call_fails_once(void **state)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		setenv("GLIBC_TUNABLES", TUNABLES ":glibc.pthread.rseq=0", 1);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl("/proc/self/exe", "test_abi_faults", "system-calls", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == UNAVAILABLE) {
		print_message("# system calls cannot be intercepted in this build or on this host\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}
#endif

static int faults_main(int argc, char **argv, const struct test *table, size_t nr)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_fails_once),
#ifdef SYSCALL_FAULTS
		cmocka_unit_test(each_system_call_fails_once),
#endif
	};

	cases = table;
	nr_cases = nr;
	/* malloc counts what its per-thread cache holds as in use: without that cache. */
	if (!getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", TUNABLES, 1);
		execv("/proc/self/exe", argv);
	}
#ifdef SYSCALL_FAULTS
	if (argc > 1) {
		const struct CMUnitTest in_child[] = { cmocka_unit_test(sweep_system_calls) };

		return cmocka_run_group_tests(in_child, NULL, NULL);
	}
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
