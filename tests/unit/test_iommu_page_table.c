/* SPDX-License-Identifier: MIT */
/*
 * The soft IOMMU's page table against an array: maps with leaves of all sizes, unmaps and changes
 * of address of any part, every failed allocation.
 */
#include "unit.h"

#include "base/alloc.h"
#include "iommu/page_table.h"

#define PAGE 4096ull
#define BASE (1ull << 30)		/* around a border of 1 GiB leaves */
#define PAGES 4096u			/* 16 MiB: eight of 2 MiB */

static u64 model[PAGES];		/* address | prot; 0: nothing */

static void check(struct page_table *pt)
{
	struct pt_leaf leaf = { 0 };

	for (u64 i = 0; i < PAGES; i++) {
		u64 iova = BASE + i * PAGE + i % PAGE;
		bool there = pt_lookup(pt, iova, &leaf);

		assert_int_equal(there, model[i] != 0);
		if (!there)
			continue;
		assert_true(leaf.start <= iova && iova <= leaf.last);
		assert_int_equal(leaf.addr + (iova - leaf.start), (model[i] & ~7ull) + i % PAGE);
		assert_int_equal(leaf.prot, model[i] & 7);
		/* What it says of its neighbours is so, too. */
		for (u64 k = i; k < PAGES && k < i + 5 && BASE + k * PAGE <= leaf.last; k++)
			assert_int_equal(model[k], model[i] + (k - i) * PAGE);
	}
}

static void random_changes(void **state)
{
	struct page_table pt;
	u64 seed = 3;

	assert_int_equal(pt_init(&pt), 0);
	memset(model, 0, sizeof(model));
	for (unsigned round = 0; round < 1500; round++) {
		u64 r = unit_rand(&seed);
		u64 at = (r >> 8) % PAGES, n = 1 + (r >> 24) % (r & 1 ? 8 : 2000);
		u64 addr = (r >> 20 & 0xfffffff) * PAGE, prot = 1 + (r >> 50) % 3, mapped = 0;
		bool fail = r >> 60 < 2;
		int err;

		if (r >> 40 & 1)
			at = at / 512 * 512;
		n = min(n, PAGES - at);
		for (u64 i = at; i < at + n; i++)
			mapped += model[i] != 0;
		if (fail)
			sv_fault_inject(1 + (unsigned)(r >> 44) % 3);
		switch ((r >> 55) % 3) {
		case 0:
			err = pt_map(&pt, BASE + at * PAGE, addr, n * PAGE, (u32)prot);
			if (err != -ENOMEM)
				assert_int_equal(err, mapped ? -EADDRINUSE : 0);
			else
				assert_true(sv_fault_fired());
			for (u64 i = 0; !err && i < n; i++)
				model[at + i] = (addr + i * PAGE) | prot;
			break;
		case 1: {
			u64 done = pt_unmap(&pt, BASE + at * PAGE, n * PAGE);

			if (!done && sv_fault_fired())
				break;
			assert_int_equal(done, mapped * PAGE);
			memset(model + at, 0, n * sizeof(*model));
			break;
		}
		default:
			err = pt_remap(&pt, BASE + at * PAGE, addr, n * PAGE);
			if (err) {
				assert_int_equal(err, -ENOMEM);
				assert_true(sv_fault_fired());
				break;
			}
			for (u64 i = 0; i < n; i++)
				if (model[at + i])
					model[at + i] = (addr + i * PAGE) | (model[at + i] & 7);
		}
		sv_fault_inject(0);
		pt_release(&pt);
		check(&pt);
	}
	/* Empty again: no table is left but the root. */
	pt_unmap(&pt, BASE, PAGES * PAGE);
	pt_release(&pt);
	assert_int_equal(pt.root->live, 0);
	pt_destroy(&pt);
}

static void large_leaves_are_few_stores(void **state)
{
	struct page_table pt;
	struct pt_leaf leaf = { 0 };

	assert_int_equal(pt_init(&pt), 0);
	/* Any address will do; the IOVA decides. */
	assert_int_equal(pt_map(&pt, 4ull << 30, 0x7000, 2ull << 30, PT_READ), 0);
	assert_true(pt_lookup(&pt, (5ull << 30) + 5, &leaf));
	assert_int_equal(leaf.last - leaf.start + 1, 1ull << 30);
	assert_int_equal(leaf.addr, 0x7000 + (1ull << 30));
	/* A hole in the middle leaves large leaves around it. */
	assert_int_equal(pt_unmap(&pt, (4ull << 30) + 0x5000, 0x1000), 0x1000);
	assert_false(pt_lookup(&pt, (4ull << 30) + 0x5000, &leaf));
	assert_true(pt_lookup(&pt, (4ull << 30) + (3 << 21), &leaf));
	assert_int_equal(leaf.last - leaf.start + 1, 1ull << 21);
	assert_int_equal(pt_unmap(&pt, 0, PT_LAST + 1), (2ull << 30) - 0x1000);
	assert_false(pt_lookup(&pt, PT_LAST + 1, &leaf));
	assert_int_equal(pt_map(&pt, PT_LAST + 1 - PAGE, 0, PAGE, PT_WRITE), 0);
	assert_true(pt_lookup(&pt, PT_LAST, &leaf));
	pt_destroy(&pt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes), cmocka_unit_test(large_leaves_are_few_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
