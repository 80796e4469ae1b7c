/* SPDX-License-Identifier: MIT */
/*
 * The caller's memory is unmapped, protected, cut short; the guard turns it into EFAULT.
 * And what is not a guarded access stays what it was: the program's handler, or its end.
 */
#include "unit.h"

#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/sync.h"

#define PAGE 4096

static char *two_pages(int second_prot)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 0, 2 * PAGE);
	if (second_prot < 0)
		munmap(p + PAGE, PAGE);
	else
		mprotect(p + PAGE, PAGE, second_prot);
	return p;
}

static void drop(char *p)
{
	munmap(p, 2 * PAGE);
}

static void install_fails_and_is_tried_again(void **state)
{
	for (unsigned n = 1; n <= 2; n++) {
		sv_fault_inject(n);
		assert_int_equal(sv_guard_init(), -EINVAL);
		assert_true(sv_fault_fired());
	}
	sv_fault_inject(0);
	assert_int_equal(sv_guard_init(), 0);
	assert_int_equal(sv_guard_init(), 0);
}

static void unmapped_source(void **state)
{
	char *p = two_pages(-1), buf[64];

	assert_int_equal(sv_copy_from_user(buf, p + PAGE, 1), -EFAULT);
	assert_int_equal(sv_copy_from_user(buf, p + PAGE - 32, 64), -EFAULT);
	assert_int_equal(sv_copy_from_user(buf, p + PAGE - 64, 64), 0);
	assert_int_equal(sv_user_is_zero(p + PAGE - 8, 9), -EFAULT);
	assert_int_equal(sv_user_is_zero(p + PAGE - 8, 8), 1);
	p[PAGE - 1] = 1;
	assert_int_equal(sv_user_is_zero(p + PAGE - 8, 9), 0);
	drop(p);
}

static void unmapped_and_read_only_destination(void **state)
{
	char *p = two_pages(-1), buf[64] = { 1 };

	assert_int_equal(sv_copy_to_user(p + PAGE - 1, buf, 2), -EFAULT);
	assert_int_equal(sv_clear_user(p + PAGE - 1, 2), -EFAULT);
	drop(p);
	p = two_pages(PROT_READ);
	assert_int_equal(sv_copy_to_user(p + PAGE, buf, 1), -EFAULT);
	assert_int_equal(sv_copy_to_user(p, buf, 64), 0);
	assert_int_equal(p[0], 1);
	drop(p);
}

static void prot_none_source(void **state)
{
	char *p = two_pages(PROT_NONE), c;

	assert_int_equal(sv_copy_from_user(&c, p + PAGE, 1), -EFAULT);
	mprotect(p + PAGE, PAGE, PROT_READ);
	assert_int_equal(sv_copy_from_user(&c, p + PAGE, 1), 0);
	drop(p);
}

static void null_and_addresses_no_process_has(void **state)
{
	static const uintptr_t bad[] = {
		0, 1, 4095, 0x8000000000000000ull, 0x0000800000000000ull,
		0xffff800000000000ull, 0xfffffffffffff000ull, 0xffffffffffffffffull,
	};
	char c;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		volatile uintptr_t at = bad[i];

		assert_int_equal(sv_copy_from_user(&c, (void *)at, 1), -EFAULT);
		assert_int_equal(sv_clear_user((void *)at, 1), -EFAULT);
	}
}

static void file_cut_short_under_its_mapping(void **state)
{
	int fd = memfd_create("short", 0);
	char *p, c;

	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(sv_copy_from_user(&c, p, 1), 0);
	assert_int_equal(sv_copy_from_user(&c, p + PAGE, 1), -EFAULT);
	assert_int_equal(sv_clear_user(p + PAGE, 8), -EFAULT);
	drop(p);
	close(fd);
}

static void length_zero_touches_nothing(void **state)
{
	assert_int_equal(sv_copy_from_user((void *)1, (void *)1, 0), 0);
	assert_int_equal(sv_user_is_zero((void *)1, 0), 1);
}

static void string_that_ends_at_a_bad_page(void **state)
{
	char *p = two_pages(-1), buf[16];

	memcpy(p + PAGE - 4, "abc", 4);
	assert_int_equal(sv_strncpy_from_user(buf, p + PAGE - 4, 16), 3);
	assert_string_equal(buf, "abc");
	p[PAGE - 1] = 'd';
	assert_int_equal(sv_strncpy_from_user(buf, p + PAGE - 4, 16), -EFAULT);
	assert_int_equal(sv_strncpy_from_user(buf, p + PAGE - 4, 4), 4);
	drop(p);
}

static void guards_nest_and_tell_the_address(void **state)
{
	char *p = two_pages(PROT_NONE);
	struct sv_guard outer;
	volatile int inner_faults = 0;
	char c;

	if (sv_guard_enter(&outer)) {
		assert_ptr_equal(outer.addr, p + PAGE + 5);
		assert_int_equal(outer.signo, SIGSEGV);
		assert_int_equal(inner_faults, 3);
		drop(p);
		return;
	}
	for (int i = 0; i < 3; i++)
		inner_faults += sv_copy_from_user(&c, p + PAGE, 1) == -EFAULT;
	*(volatile char *)(p + PAGE + 5);
	fail_msg("the outer guard did not catch");
}

static void *fault_often(void *arg)
{
	char *p = arg, c;
	long n = 0;

	for (int i = 0; i < 500; i++) {
		n += sv_copy_from_user(&c, p + PAGE, 1) == -EFAULT;
		n += sv_copy_from_user(&c, p, 1) == 0;
	}
	return (void *)n;
}

static void threads_fault_independently(void **state)
{
	char *p = two_pages(PROT_NONE);
	struct sv_thread t[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(sv_thread_create(&t[i], "fault", fault_often, p), 0);
	for (int i = 0; i < 4; i++)
		assert_ptr_equal(sv_thread_join(&t[i]), (void *)1000);
	drop(p);
}

static void no_signal_stays_blocked_after_a_fault(void **state)
{
	sigset_t before, after;
	char c;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(sv_copy_from_user(&c, NULL, 1), -EFAULT);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int s = 1; s < 64; s++)
		assert_int_equal(sigismember(&before, s), sigismember(&after, s));
}

/* Outside of guards, each in a child. */

static volatile char *volatile nowhere = (volatile char *)16;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1	/* the sanitizer has a handler of its own, with its own exit status */
#else
#define SANITIZED 0
#endif

static void die_of_a_fault(void)
{
	*nowhere = 1;
}

static void die_of_a_fault_when_ignored(void)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	sv_guard_sigaction(SIGSEGV, &ign, NULL);
	*nowhere = 1;
}

static void die_of_a_sent_signal_inside_a_guard(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	struct sv_guard g;

	sv_guard_sigaction(SIGSEGV, &dfl, NULL);
	if (sv_guard_enter(&g))
		_exit(3);
	kill(getpid(), SIGSEGV);
	_exit(4);
}

static void live_with_a_sent_signal_that_is_ignored(void)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	sv_guard_sigaction(SIGSEGV, &ign, NULL);
	kill(getpid(), SIGSEGV);
	_exit(7);
}

static void fault_outside_a_guard_ends_the_process(void **state)
{
	int status = unit_in_child(die_of_a_fault);

	assert_int_not_equal(status, 0);
	if (!SANITIZED)
		assert_int_equal(status, 128 + SIGSEGV);
	assert_int_equal(unit_in_child(die_of_a_fault_when_ignored), 128 + SIGSEGV);
}

static void sent_signal_is_no_fault(void **state)
{
	assert_int_equal(unit_in_child(die_of_a_sent_signal_inside_a_guard), 128 + SIGSEGV);
	assert_int_equal(unit_in_child(live_with_a_sent_signal_that_is_ignored), 7);
}

static sigjmp_buf theirs;
static void *their_addr;
static int their_blocked;

static void their_handler(int signo, siginfo_t *si, void *uc)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	their_addr = si->si_addr;
	their_blocked = sigismember(&now, SIGSEGV) | sigismember(&now, SIGUSR2) << 1;
	siglongjmp(theirs, signo);
}

static void their_plain_handler(int signo)
{
	siglongjmp(theirs, signo);
}

static void program_s_handler_gets_its_faults(void **state)
{
	struct sigaction act = { .sa_sigaction = their_handler, .sa_flags = SA_SIGINFO };
	struct sigaction first, old;
	char *p = two_pages(PROT_NONE), c;

	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGUSR2);
	assert_int_equal(sv_guard_sigaction(SIGSEGV, &act, &first), 0);
	for (volatile int i = 0; i < 3; i++) {
		if (!sigsetjmp(theirs, 1)) {
			*(volatile char *)(p + PAGE + 9);
			fail_msg("no fault");
		}
	}
	assert_ptr_equal(their_addr, p + PAGE + 9);
	/* Called under the mask it asked for. */
	assert_int_equal(their_blocked, 3);
	their_addr = NULL;
	assert_int_equal(sv_copy_from_user(&c, p + PAGE, 1), -EFAULT);
	assert_null(their_addr);
	/* What it reads back is what it set. */
	assert_int_equal(sv_guard_sigaction(SIGSEGV, NULL, &old), 0);
	assert_ptr_equal(old.sa_sigaction, their_handler);
	assert_true(old.sa_flags & SA_SIGINFO);

	act.sa_handler = their_plain_handler;
	act.sa_flags = SA_RESETHAND;
	assert_int_equal(sv_guard_sigaction(SIGSEGV, &act, NULL), 0);
	if (!sigsetjmp(theirs, 1)) {
		*(volatile char *)(p + PAGE);
		fail_msg("no fault");
	}
	assert_int_equal(sv_guard_sigaction(SIGSEGV, &first, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
	assert_int_equal(sv_guard_sigaction(SIGUSR1, &act, NULL), -EINVAL);
	drop(p);
}

static struct sigaction displaced;

static void passes_on_what_it_does_not_want(int signo, siginfo_t *si, void *uc)
{
	their_addr = si->si_addr;
	displaced.sa_sigaction(signo, si, uc);
}

static void fault_under_a_handler_that_passes_on(void)
{
	struct sigaction act = {
		.sa_sigaction = passes_on_what_it_does_not_want, .sa_flags = SA_SIGINFO,
	};
	char *p = two_pages(PROT_NONE), c;

	their_addr = NULL;
	if (sigaction(SIGSEGV, &act, &displaced) || sv_guard_init())
		_exit(101);
	if (sv_copy_from_user(&c, p + PAGE, 1) != -EFAULT || their_addr)
		_exit(102);
	*(volatile char *)(p + PAGE);
	_exit(103);
}

static void handler_put_over_ours_is_passed_on_to_and_may_pass_back(void **state)
{
	int status = unit_in_child(fault_under_a_handler_that_passes_on);

	assert_false(status == 0 || (status > 100 && status < 104));
	if (SANITIZED)
		return;
	assert_int_equal(status, 128 + SIGSEGV);
}

static struct sv_guard *left_behind;

static void sv_noinline leave_a_guard_behind(int deep)
{
	volatile char frame[4096];
	struct sv_guard g;

	frame[0] = 1;
	if (deep) {
		leave_a_guard_behind(deep - frame[0]);
		return;
	}
	left_behind = &g;
	if (sv_guard_enter(&g))
		_exit(5);
	/* As a handler of the program does that leaves KVM_RUN with siglongjmp. */
	siglongjmp(theirs, 1);
}

static void die_with_a_dead_guard(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sv_guard_sigaction(SIGSEGV, &dfl, NULL);
	if (!sigsetjmp(theirs, 0))
		leave_a_guard_behind(3);
	*nowhere = 1;
	_exit(6);
}

static void guard_in_a_dead_frame_catches_nothing(void **state)
{
	assert_int_equal(unit_in_child(die_with_a_dead_guard), 128 + SIGSEGV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(install_fails_and_is_tried_again),
		cmocka_unit_test(unmapped_source),
		cmocka_unit_test(unmapped_and_read_only_destination),
		cmocka_unit_test(prot_none_source),
		cmocka_unit_test(null_and_addresses_no_process_has),
		cmocka_unit_test(file_cut_short_under_its_mapping),
		cmocka_unit_test(length_zero_touches_nothing),
		cmocka_unit_test(string_that_ends_at_a_bad_page),
		cmocka_unit_test(guards_nest_and_tell_the_address),
		cmocka_unit_test(threads_fault_independently),
		cmocka_unit_test(no_signal_stays_blocked_after_a_fault),
		cmocka_unit_test(fault_outside_a_guard_ends_the_process),
		cmocka_unit_test(sent_signal_is_no_fault),
		cmocka_unit_test(program_s_handler_gets_its_faults),
		cmocka_unit_test(handler_put_over_ours_is_passed_on_to_and_may_pass_back),
		cmocka_unit_test(guard_in_a_dead_frame_catches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
