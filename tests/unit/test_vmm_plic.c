/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "vmm/plic.h"

#define HARTS 3
#define ENABLE(hart) (0x2000 + 0x80 * PLIC_CONTEXT_OF(hart))
#define THRESHOLD(hart) (0x200000 + 0x1000 * PLIC_CONTEXT_OF(hart))
#define CLAIM(hart) (THRESHOLD(hart) + 4)

static struct plic plic;
static bool out[HARTS];

static void set_output(void *opaque, unsigned int hart, bool level)
{
	assert_true(hart < HARTS);
	assert_int_not_equal(out[hart], level);
	out[hart] = level;
}

static u32 rd(u64 off)
{
	return plic_mmio_ops.read(&plic, off, 4);
}

static void wr(u64 off, u32 v)
{
	plic_mmio_ops.write(&plic, off, v, 4);
}

static int setup(void **state)
{
	memset(out, 0, sizeof(out));
	assert_int_equal(plic_init(&plic, HARTS, set_output, NULL), 0);
	plic_connect(&plic, true);
	return 0;
}

static int teardown(void **state)
{
	plic_destroy(&plic);
	return 0;
}

static void enable(unsigned int hart, unsigned int source, u32 priority)
{
	wr(source * 4, priority);
	wr(ENABLE(hart) + source / 32 * 4, rd(ENABLE(hart) + source / 32 * 4) | 1u << (source % 32));
}

static void a_level_is_pending_until_claimed_and_again_after_completion(void **state)
{
	enable(1, 10, 1);
	plic_set_level(&plic, 10, true);
	assert_true(out[1]);
	assert_false(out[0]);
	assert_int_equal(rd(0x1000), 1 << 10);
	assert_int_equal(rd(CLAIM(1)), 10);
	assert_false(out[1]);
	assert_int_equal(rd(0x1000), 0);
	assert_int_equal(rd(CLAIM(1)), 0);
	wr(CLAIM(1), 10);
	assert_true(out[1]);
	assert_int_equal(rd(CLAIM(1)), 10);
	plic_set_level(&plic, 10, false);
	wr(CLAIM(1), 10);
	assert_false(out[1]);
}

static void a_request_outlives_its_level_until_the_claim(void **state)
{
	enable(0, 33, 1);
	plic_set_level(&plic, 33, true);
	plic_set_level(&plic, 33, false);
	assert_true(out[0]);
	assert_int_equal(rd(CLAIM(0)), 33);
	wr(CLAIM(0), 33);
	assert_int_equal(rd(CLAIM(0)), 0);
}

static void the_highest_priority_wins_and_the_lowest_number_among_equals(void **state)
{
	enable(0, 10, 2);
	enable(0, 11, 2);
	enable(0, 40, 7);
	plic_set_level(&plic, 11, true);
	plic_set_level(&plic, 10, true);
	plic_set_level(&plic, 40, true);
	assert_int_equal(rd(CLAIM(0)), 40);
	assert_int_equal(rd(CLAIM(0)), 10);
	assert_int_equal(rd(CLAIM(0)), 11);
	assert_int_equal(rd(CLAIM(0)), 0);
}

static void priority_zero_and_the_threshold_mask(void **state)
{
	enable(0, 5, 0);
	plic_set_level(&plic, 5, true);
	assert_false(out[0]);
	wr(5 * 4, 3);
	assert_true(out[0]);
	wr(THRESHOLD(0), 3);
	assert_false(out[0]);
	assert_int_equal(rd(CLAIM(0)), 0);
	wr(THRESHOLD(0), 2);
	assert_true(out[0]);
	wr(THRESHOLD(0), 0xffffffff);
	assert_int_equal(rd(THRESHOLD(0)), PLIC_MAX_PRIORITY);
}

static void one_source_on_two_harts_is_claimed_once(void **state)
{
	enable(0, 7, 1);
	enable(2, 7, 1);
	plic_set_level(&plic, 7, true);
	assert_true(out[0] && out[2]);
	assert_int_equal(rd(CLAIM(2)), 7);
	assert_false(out[0] || out[2]);
	assert_int_equal(rd(CLAIM(0)), 0);
}

static void a_completion_of_what_is_not_claimed_or_not_enabled_does_nothing(void **state)
{
	enable(0, 7, 1);
	plic_set_level(&plic, 7, true);
	wr(CLAIM(0), 7);
	assert_true(out[0]);
	assert_int_equal(rd(CLAIM(0)), 7);
	wr(CLAIM(1), 7);
	wr(CLAIM(0), 8);
	wr(CLAIM(0), 96);
	wr(CLAIM(0), 0xffffffff);
	wr(CLAIM(0), 0);
	assert_false(out[0]);
	wr(CLAIM(0), 7);
	assert_true(out[0]);
}

static void source_zero_and_machine_contexts_do_not_exist(void **state)
{
	wr(0, 7);
	assert_int_equal(rd(0), 0);
	wr(ENABLE(0), 0xffffffff);
	assert_int_equal(rd(ENABLE(0)), 0xfffffffe);
	wr(0x2000, 0xffffffff);
	assert_int_equal(rd(0x2000), 0);
	wr(0x200000, 3);
	assert_int_equal(rd(0x200000), 0);
	/* Harts that are not there, sizes and places that are none. */
	wr(ENABLE(HARTS), 0xffffffff);
	assert_int_equal(rd(ENABLE(HARTS)), 0);
	assert_int_equal(rd(CLAIM(HARTS + 500)), 0);
	plic_mmio_ops.write(&plic, 4, 7, 1);
	plic_mmio_ops.write(&plic, 6, 7, 4);
	assert_int_equal(rd(4), 0);
	assert_int_equal(plic_mmio_ops.read(&plic, ENABLE(0), 8), 0);
}

static void every_offset_is_safe(void **state)
{
	u64 rnd = 7;

	for (int i = 0; i < 200000; i++) {
		u64 r = unit_rand(&rnd), off = r % 0x600000;

		if (r >> 63)
			wr(off & ~3ull, r >> 20);
		else
			rd(off & ~3ull);
		if (i % 7 == 0)
			plic_set_level(&plic, 1 + (r >> 24) % (PLIC_NR_SOURCES - 1), r >> 40 & 1);
	}
}

static void disconnection_is_silent_and_connection_drives_what_is_high(void **state)
{
	enable(0, 7, 1);
	plic_set_level(&plic, 7, true);
	assert_true(out[0]);
	plic_connect(&plic, false);
	out[0] = false;
	plic_set_level(&plic, 7, false);
	plic_set_level(&plic, 7, true);
	assert_false(out[0]);
	plic_connect(&plic, true);
	assert_true(out[0]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_level_is_pending_until_claimed_and_again_after_completion),
		T(a_request_outlives_its_level_until_the_claim),
		T(the_highest_priority_wins_and_the_lowest_number_among_equals),
		T(priority_zero_and_the_threshold_mask),
		T(one_source_on_two_harts_is_claimed_once),
		T(a_completion_of_what_is_not_claimed_or_not_enabled_does_nothing),
		T(source_zero_and_machine_contexts_do_not_exist),
		T(every_offset_is_safe),
		T(disconnection_is_silent_and_connection_drives_what_is_high),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
