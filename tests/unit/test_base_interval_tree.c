/* SPDX-License-Identifier: MIT */
/*
 * The tree against a plain array of the same ranges: after every change all hits of
 * random queries must be the array's, in order, and the tree must be balanced.
 */
#include "unit.h"

#include "base/interval_tree.h"

#define N 300

static struct interval_tree_node nodes[N];
static bool inside[N];

static int check_node(const struct interval_tree_node *n, const struct interval_tree_node *parent)
{
	u64 last;
	int l, r;

	if (!n)
		return 0;
	assert_ptr_equal(n->parent, parent);
	l = check_node(n->left, n);
	r = check_node(n->right, n);
	assert_in_range(l - r + 1, 0, 2);
	last = n->last;
	if (n->left) {
		assert_true(n->left->start <= n->start);
		last = max(last, n->left->subtree_last);
	}
	if (n->right) {
		assert_true(n->right->start >= n->start);
		last = max(last, n->right->subtree_last);
	}
	assert_int_equal(n->subtree_last, last);
	assert_int_equal(n->height, 1 + max(l, r));
	return n->height;
}

static void query(const struct interval_tree *t, u64 start, u64 last)
{
	bool seen[N] = { false };
	struct interval_tree_node *n;
	u64 previous = 0;

	for (n = interval_tree_iter_first(t, start, last); n;
	     n = interval_tree_iter_next(n, start, last)) {
		size_t i = (size_t)(n - nodes);

		assert_true(inside[i]);
		assert_false(seen[i]);
		assert_true(n->start <= last && n->last >= start);
		assert_true(n->start >= previous);
		previous = n->start;
		seen[i] = true;
	}
	for (size_t i = 0; i < N; i++)
		if (inside[i] && nodes[i].start <= last && nodes[i].last >= start)
			assert_true(seen[i]);
}

static void run(u64 seed, u64 space, u64 longest)
{
	struct interval_tree t = INTERVAL_TREE_INIT;

	memset(inside, 0, sizeof(inside));
	for (int step = 0; step < 4000; step++) {
		size_t i = unit_rand(&seed) % N;
		u64 a, b;

		if (inside[i]) {
			interval_tree_remove(&t, &nodes[i]);
		} else {
			nodes[i].start = unit_rand(&seed) % space;
			nodes[i].last = nodes[i].start + unit_rand(&seed) % longest;
			if (nodes[i].last < nodes[i].start)
				nodes[i].last = ~0ull;
			interval_tree_insert(&t, &nodes[i]);
		}
		inside[i] = !inside[i];
		if (step % 16 == 0)
			check_node(t.root, NULL);
		a = unit_rand(&seed) % space;
		b = a + unit_rand(&seed) % longest;
		query(&t, a, max(a, b));
	}
	for (size_t i = 0; i < N; i++)
		if (inside[i])
			interval_tree_remove(&t, &nodes[i]);
	assert_true(interval_tree_empty(&t));
}

static void random_ranges_that_overlap_and_repeat(void **state)
{
	run(1, 50, 20);
	run(2, 10000, 40);
}

static void random_ranges_up_to_the_last_byte(void **state)
{
	run(3, ~0ull, ~0ull / 8);
	run(4, ~0ull, ~0ull);
}

static void empty_tree_has_no_hit(void **state)
{
	struct interval_tree t = INTERVAL_TREE_INIT;

	assert_null(interval_tree_iter_first(&t, 0, ~0ull));
	assert_null(interval_tree_first(&t));
}

static void neighbours_do_not_overlap(void **state)
{
	struct interval_tree t = INTERVAL_TREE_INIT;
	struct interval_tree_node a = { .start = 0x1000, .last = 0x1fff };
	struct interval_tree_node b = { .start = 0x3000, .last = ~0ull };

	interval_tree_insert(&t, &b);
	interval_tree_insert(&t, &a);
	assert_null(interval_tree_iter_first(&t, 0, 0xfff));
	assert_null(interval_tree_iter_first(&t, 0x2000, 0x2fff));
	assert_ptr_equal(interval_tree_iter_first(&t, 0, 0x1000), &a);
	assert_ptr_equal(interval_tree_iter_first(&t, 0x1fff, 0x2fff), &a);
	assert_ptr_equal(interval_tree_iter_first(&t, ~0ull, ~0ull), &b);
	assert_ptr_equal(interval_tree_first(&t), &a);
	assert_ptr_equal(interval_tree_next(&a), &b);
	assert_null(interval_tree_next(&b));
}

static void ascending_inserts_stay_balanced(void **state)
{
	struct interval_tree t = INTERVAL_TREE_INIT;

	for (size_t i = 0; i < N; i++) {
		nodes[i].start = i * 16;
		nodes[i].last = i * 16 + 15;
		interval_tree_insert(&t, &nodes[i]);
	}
	assert_in_range(check_node(t.root, NULL), 9, 11);
	for (size_t i = 0; i < N; i++) {
		interval_tree_remove(&t, &nodes[i]);
		check_node(t.root, NULL);
	}
	assert_true(interval_tree_empty(&t));
}

/* Against a map of bytes, at both ends of the address space. */
static void the_lowest_hole_that_is_large_enough(void **state)
{
	enum { ROOM = 512 };
	u64 seed = 11;

	for (unsigned round = 0; round < 200; round++) {
		u64 base = round & 1 ? ~0ull - (ROOM - 1) : 0;
		struct interval_tree t = INTERVAL_TREE_INIT;
		bool used[ROOM] = { false };
		size_t n = 0;

		for (unsigned i = 0; i < 60; i++) {
			u64 at = unit_rand(&seed) % ROOM, len = 1 + unit_rand(&seed) % 12;
			bool is_free = at + len <= ROOM;

			for (u64 k = at; is_free && k < at + len; k++)
				is_free = !used[k];
			if (!is_free)
				continue;
			memset(used + at, true, len);
			nodes[n].start = base + at;
			nodes[n].last = base + at + len - 1;
			interval_tree_insert(&t, &nodes[n++]);
		}
		for (unsigned i = 0; i < 300; i++) {
			u64 lo = unit_rand(&seed) % ROOM, hi = lo + unit_rand(&seed) % (ROOM - lo);
			u64 len = 1 + unit_rand(&seed) % 20, start, last, want = lo, end;
			bool found = false;

			for (; want <= hi && !found; want++) {
				if (used[want] || (want > lo && !used[want - 1]))
					continue;
				for (end = want; end < hi && !used[end + 1]; end++)
					;
				found = end - want + 1 >= len;
				if (found)
					break;
			}
			assert_int_equal(interval_tree_find_hole(&t, base + lo, base + hi, len, &start, &last),
					 found);
			if (found) {
				assert_int_equal(start, base + want);
				assert_int_equal(last, base + end);
			}
		}
		while (n) {
			interval_tree_remove(&t, &nodes[--n]);
			check_node(t.root, NULL);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_tree_has_no_hit),
		cmocka_unit_test(neighbours_do_not_overlap),
		cmocka_unit_test(ascending_inserts_stay_balanced),
		cmocka_unit_test(the_lowest_hole_that_is_large_enough),
		cmocka_unit_test(random_ranges_that_overlap_and_repeat),
		cmocka_unit_test(random_ranges_up_to_the_last_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
