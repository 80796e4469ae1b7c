/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/list.h"

struct item {
	int n;
	struct list_head link;
};

static struct item items[8];

static void fill(struct list_head *head, int from, int to)
{
	INIT_LIST_HEAD(head);
	for (int i = from; i < to; i++) {
		items[i].n = i;
		list_add_tail(&items[i].link, head);
	}
}

/* The list is exactly this, both ways. */
static void expect(struct list_head *head, const char *want)
{
	char got[32] = "", back[32] = "";
	size_t n = 0, len;
	struct item *i;

	list_for_each_entry(i, head, link)
		got[n++] = (char)('0' + i->n);
	assert_string_equal(got, want);
	len = n;
	list_for_each_entry_reverse(i, head, link)
		back[--n] = (char)('0' + i->n);
	assert_int_equal(n, 0);
	assert_string_equal(back, want);
	assert_int_equal(list_count_nodes(head), len);
}

static void empty_list_has_no_entries(void **state)
{
	LIST_HEAD(head);

	expect(&head, "");
	assert_true(list_empty(&head));
	assert_false(list_is_singular(&head));
	assert_null(list_first_entry_or_null(&head, struct item, link));
	assert_null(list_last_entry_or_null(&head, struct item, link));
}

static void add_at_both_ends(void **state)
{
	struct list_head head;

	fill(&head, 1, 4);
	items[0].n = 0;
	list_add(&items[0].link, &head);
	expect(&head, "0123");
	assert_true(list_is_first(&items[0].link, &head));
	assert_true(list_is_last(&items[3].link, &head));
	assert_int_equal(list_last_entry(&head, struct item, link)->n, 3);
}

static void delete_every_entry_while_iterating(void **state)
{
	struct list_head head;
	struct item *i, *n;

	fill(&head, 0, 8);
	list_for_each_entry_safe(i, n, &head, link)
		if (i->n % 2)
			list_del(&i->link);
	expect(&head, "0246");
	assert_ptr_equal(items[1].link.next, LIST_POISON1);
	list_for_each_entry_safe_reverse(i, n, &head, link)
		list_del_init(&i->link);
	expect(&head, "");
	assert_true(list_empty(&items[0].link));
}

static void move_and_replace(void **state)
{
	struct list_head head;

	fill(&head, 0, 4);
	list_move_tail(&items[0].link, &head);
	expect(&head, "1230");
	list_move(&items[3].link, &head);
	expect(&head, "3120");
	items[7].n = 7;
	list_replace(&items[1].link, &items[7].link);
	expect(&head, "3720");
}

static void splice_of_an_empty_list_changes_nothing(void **state)
{
	struct list_head head;
	LIST_HEAD(none);

	fill(&head, 0, 3);
	list_splice(&none, &head);
	list_splice_tail_init(&none, &head);
	expect(&head, "012");
}

static void splice_keeps_the_order(void **state)
{
	struct list_head a, b;

	fill(&a, 0, 3);
	fill(&b, 3, 6);
	list_splice_init(&b, &a);
	expect(&a, "345012");
	expect(&b, "");
	fill(&a, 0, 3);
	fill(&b, 3, 6);
	list_splice_tail_init(&b, &a);
	expect(&a, "012345");
	list_replace_init(&a, &b);
	expect(&b, "012345");
	expect(&a, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_list_has_no_entries),
		cmocka_unit_test(add_at_both_ends),
		cmocka_unit_test(delete_every_entry_while_iterating),
		cmocka_unit_test(move_and_replace),
		cmocka_unit_test(splice_of_an_empty_list_changes_nothing),
		cmocka_unit_test(splice_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
