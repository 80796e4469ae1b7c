/* SPDX-License-Identifier: MIT */
/*
 * The few of cmocka's names that test_trap_region.c uses, for a static program of a foreign
 * architecture, where the library isn't: TAP on stdout, and the first failure ends the run.
 */
#ifndef SV_TESTS_STATIC_CMOCKA_H
#define SV_TESTS_STATIC_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*fn)(void **state);
};

#define cmocka_unit_test(f) { #f, f }

static const char *cmocka_current;
static unsigned cmocka_nr;

#define fail_msg(...) do { \
	printf("not ok %u - %s\n# %s:%d: ", cmocka_nr, cmocka_current, __FILE__, __LINE__); \
	printf(__VA_ARGS__); \
	printf("\n"); \
	exit(1); \
} while (0)

#define cmocka_check(cond) do { \
	if (!(cond)) \
		fail_msg("%s", #cond); \
} while (0)

#define assert_true(a) cmocka_check(a)
#define assert_int_equal(a, b) cmocka_check((long long)(a) == (long long)(b))
#define assert_ptr_equal(a, b) cmocka_check((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b) cmocka_check((const void *)(a) != (const void *)(b))
#define assert_memory_equal(a, b, n) cmocka_check(!memcmp((a), (b), (n)))
#define assert_in_range(v, low, high) cmocka_check((v) >= (low) && (v) <= (high))
#define print_message printf

#define cmocka_run_group_tests(tests, setup, teardown) \
	cmocka_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

static inline int cmocka_run(const struct CMUnitTest *t, size_t nr, int (*setup)(void **),
			     int (*teardown)(void **))
{
	void *state = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%zu\n", nr);
	cmocka_current = "setup";
	cmocka_check(!setup(&state));
	for (size_t i = 0; i < nr; i++) {
		cmocka_current = t[i].name;
		cmocka_nr++;
		t[i].fn(&state);
		printf("ok %zu - %s\n", i + 1, t[i].name);
	}
	return teardown(&state);
}

#endif
