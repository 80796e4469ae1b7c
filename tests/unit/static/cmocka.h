/* SPDX-License-Identifier: MIT */
/*
 * Those of cmocka's names that tests use which also run on a foreign architecture, where the
 * library isn't: TAP on stdout, and the first failure ends the run. The test that the environment's
 * CMOCKA_LEFT_OUT names doesn't run.
 */
#ifndef SV_TESTS_STATIC_CMOCKA_H
#define SV_TESTS_STATIC_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*fn)(void **state);
	int (*setup)(void **state);
	int (*teardown)(void **state);
};

#define cmocka_unit_test(f) { #f, f, NULL, NULL }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) { #f, f, setup, teardown }

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
#define assert_false(a) cmocka_check(!(a))
#define assert_null(a) cmocka_check(!(a))
#define assert_non_null(a) cmocka_check(a)
#define assert_int_equal(a, b) cmocka_check((long long)(a) == (long long)(b))
#define assert_int_not_equal(a, b) cmocka_check((long long)(a) != (long long)(b))
#define assert_ptr_equal(a, b) cmocka_check((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b) cmocka_check((const void *)(a) != (const void *)(b))
#define assert_memory_equal(a, b, n) cmocka_check(!memcmp((a), (b), (n)))
#define assert_in_range(v, low, high) cmocka_check((v) >= (low) && (v) <= (high))
#define assert_return_code(rc, err) cmocka_check((long long)(rc) >= 0)
#define print_message printf

#define cmocka_run_group_tests(tests, setup, teardown) \
	cmocka_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

static inline int cmocka_run(const struct CMUnitTest *t, size_t nr, int (*setup)(void **),
			     int (*teardown)(void **))
{
	const char *left_out = getenv("CMOCKA_LEFT_OUT");
	void *group = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	cmocka_current = "setup";
	cmocka_check(!setup || !setup(&group));
	for (size_t i = 0; i < nr; i++) {
		void *state = group;

		if (left_out && !strcmp(left_out, t[i].name))
			continue;
		cmocka_current = t[i].name;
		cmocka_nr++;
		cmocka_check(!t[i].setup || !t[i].setup(&state));
		t[i].fn(&state);
		cmocka_check(!t[i].teardown || !t[i].teardown(&state));
		printf("ok %u - %s\n", cmocka_nr, t[i].name);
	}
	printf("1..%u\n", cmocka_nr);
	return teardown ? teardown(&group) : 0;
}

#endif
