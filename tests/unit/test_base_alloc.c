/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/alloc.h"
#include "base/sync.h"

static void multiplication_that_overflows_is_null(void **state)
{
	volatile size_t huge = SIZE_MAX / 2 + 2;
	void *p = sv_alloc(8);

	assert_null(sv_calloc(huge, 2));
	assert_null(sv_calloc(2, huge));
	assert_null(sv_realloc_array(p, huge, 2));
	sv_free(p);	/* untouched by the failure */
}

static void size_zero_is_a_unique_pointer(void **state)
{
	void *a = sv_alloc(0), *b = sv_zalloc(0), *c = sv_calloc(0, 8), *d = sv_alloc_aligned(64, 0);

	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_non_null(d);
	assert_ptr_not_equal(a, b);
	a = sv_realloc(a, 0);
	assert_non_null(a);
	sv_free(a);
	sv_free(b);
	sv_free(c);
	sv_free(d);
	sv_free(NULL);
}

static void zalloc_is_zero_and_aligned_is_aligned(void **state)
{
	char *z = sv_zalloc(1000), zero[1000] = { 0 };
	void *a;

	assert_memory_equal(z, zero, 1000);
	sv_free(z);
	for (size_t align = 1; align <= 65536; align *= 2) {
		a = sv_alloc_aligned(align, 100);
		assert_non_null(a);
		assert_int_equal((uintptr_t)a % align, 0);
		sv_free(a);
	}
}

static int three_steps(void)
{
	void *a = sv_alloc(10), *b = NULL;
	int err = -ENOMEM;

	if (!a)
		return err;
	b = sv_calloc(2, 5);
	if (b)
		err = SV_FAULT(EMFILE) ? -errno : 0;
	sv_free(b);
	sv_free(a);
	return err;
}

static void each_step_fails_once_and_none_twice(void **state)
{
	const int want[] = { 0, -ENOMEM, -ENOMEM, -EMFILE };
	unsigned n;

	for (n = 1; ; n++) {
		sv_fault_inject(n);
		int err = three_steps();

		if (!sv_fault_fired())
			break;
		assert_int_equal(err, want[n]);
		assert_int_equal(three_steps(), 0);
	}
	sv_fault_inject(0);
	assert_int_equal(n, 4);
	assert_int_equal(three_steps(), 0);
	assert_false(sv_fault_fired());
}

static void *other_thread(void *arg)
{
	return (void *)(long)three_steps();
}

static void another_thread_is_not_hit(void **state)
{
	struct sv_thread t;

	assert_int_equal(sv_thread_create(&t, "other", other_thread, NULL), 0);
	sv_fault_inject(1);
	assert_ptr_equal(sv_thread_join(&t), NULL);
	assert_false(sv_fault_fired());
	assert_int_equal(sv_thread_create(&t, "none", other_thread, NULL), -EAGAIN);
	assert_true(sv_fault_fired());
	sv_fault_inject(0);
}

static void copies_are_copies(void **state)
{
	char *s = sv_strdup("softvirt"), *m = sv_memdup("ab\0c", 4), *e = sv_memdup(s, 0);

	assert_string_equal(s, "softvirt");
	assert_memory_equal(m, "ab\0c", 4);
	assert_non_null(e);
	sv_free(e);
	sv_free(m);
	sv_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(multiplication_that_overflows_is_null),
		cmocka_unit_test(size_zero_is_a_unique_pointer),
		cmocka_unit_test(zalloc_is_zero_and_aligned_is_aligned),
		cmocka_unit_test(each_step_fails_once_and_none_twice),
		cmocka_unit_test(another_thread_is_not_hit),
		cmocka_unit_test(copies_are_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
