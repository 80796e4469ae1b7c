/* SPDX-License-Identifier: MIT */
/*
 * An AVL tree of ranges. See interval_tree.h.
 *
 * Invariants: the heights of a node's two subtrees differ by at most one; subtree_last is
 * the largest last of the node and all below it, subtree_start the smallest start, subtree_gap
 * the longest hole between its ranges. Every change repairs them on the way from the changed
 * place up to the root.
 */
#include "base/interval_tree.h"

typedef struct interval_tree_node node;

static int height(const node *n)
{
	return n ? n->height : 0;
}

/* Bytes between a range that ends with last and the next, which begins at start. */
static u64 hole(u64 last, u64 start)
{
	return start > last ? start - last - 1 : 0;
}

static void update(node *n)
{
	n->height = 1 + max(height(n->left), height(n->right));
	n->subtree_start = n->start;
	n->subtree_last = n->last;
	n->subtree_gap = 0;
	if (n->left) {
		n->subtree_start = n->left->subtree_start;
		n->subtree_gap = max(n->left->subtree_gap,
				     hole(n->left->subtree_last, n->start));
		n->subtree_last = max(n->subtree_last, n->left->subtree_last);
	}
	if (n->right) {
		u64 gap = hole(n->subtree_last, n->right->subtree_start);

		n->subtree_gap = max(n->subtree_gap, gap);
		n->subtree_gap = max(n->subtree_gap, n->right->subtree_gap);
		n->subtree_last = max(n->subtree_last, n->right->subtree_last);
	}
}

/* Where old hung, new hangs from now on (new may be NULL). */
static void replace_child(struct interval_tree *t, node *parent, node *old, node *new)
{
	if (!parent)
		t->root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

/* n's right child takes its place. */
static node *rotate_left(struct interval_tree *t, node *n)
{
	node *r = n->right;

	replace_child(t, n->parent, n, r);
	n->right = r->left;
	if (n->right)
		n->right->parent = n;
	r->left = n;
	n->parent = r;
	update(n);
	update(r);
	return r;
}

static node *rotate_right(struct interval_tree *t, node *n)
{
	node *l = n->left;

	replace_child(t, n->parent, n, l);
	n->left = l->right;
	if (n->left)
		n->left->parent = n;
	l->right = n;
	n->parent = l;
	update(n);
	update(l);
	return l;
}

static void rebalance(struct interval_tree *t, node *n)
{
	for (; n; n = n->parent) {
		int balance = height(n->left) - height(n->right);

		if (balance > 1) {
			if (height(n->left->left) < height(n->left->right))
				rotate_left(t, n->left);
			n = rotate_right(t, n);
		} else if (balance < -1) {
			if (height(n->right->right) < height(n->right->left))
				rotate_right(t, n->right);
			n = rotate_left(t, n);
		} else {
			update(n);
		}
	}
}

void interval_tree_insert(struct interval_tree *t, node *n)
{
	node **link = &t->root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = n->start < parent->start ? &parent->left : &parent->right;
	}
	n->parent = parent;
	n->left = NULL;
	n->right = NULL;
	*link = n;
	rebalance(t, n);
}

void interval_tree_remove(struct interval_tree *t, node *n)
{
	node *from, *s;

	if (!n->left || !n->right) {
		from = n->parent;
		replace_child(t, n->parent, n, n->left ? n->left : n->right);
	} else {
		/* The successor, which has no left child, takes n's place. */
		for (s = n->right; s->left; s = s->left)
			;
		from = s->parent == n ? s : s->parent;
		replace_child(t, s->parent, s, s->right);
		s->left = n->left;
		s->left->parent = s;
		s->right = n->right;
		if (s->right)
			s->right->parent = s;
		replace_child(t, n->parent, n, s);
	}
	n->parent = NULL;
	n->left = NULL;
	n->right = NULL;
	rebalance(t, from);
}

/* The leftmost of n's subtree that overlaps. */
static node *subtree_search(node *n, u64 start, u64 last)
{
	if (!n || n->subtree_last < start)
		return NULL;
	for (;;) {
		/*
		 * Something on the left reaches start. The leftmost such range either
		 * overlaps or begins after last, and then so does all that follows.
		 */
		if (n->left && n->left->subtree_last >= start) {
			n = n->left;
			continue;
		}
		if (n->start > last)
			return NULL;
		if (n->last >= start)
			return n;
		n = n->right;
		if (!n || n->subtree_last < start)
			return NULL;
	}
}

node *interval_tree_iter_first(const struct interval_tree *t, u64 start, u64 last)
{
	return subtree_search(t->root, start, last);
}

node *interval_tree_iter_next(const node *n, u64 start, u64 last)
{
	for (;;) {
		const node *child;
		node *hit = subtree_search(n->right, start, last);

		if (hit)
			return hit;
		/* Up to the first ancestor that lies to the right. */
		do {
			child = n;
			n = n->parent;
			if (!n)
				return NULL;
		} while (child == n->right);
		if (n->start > last)
			return NULL;
		if (n->last >= start)
			return (node *)n;
	}
}

/*
 * Looks below n for the first hole of len bytes that begins at or behind *cur and ends before a
 * range of the subtree. If there is none, *cur moves behind the subtree (*full: there is no
 * address behind it).
 */
static bool find_hole(const node *n, u64 len, u64 *cur, u64 *last, bool *full)
{
	if (!n || n->subtree_last < *cur)
		return false;
	if (n->subtree_start > *cur && n->subtree_start - *cur >= len) {
		*last = n->subtree_start - 1;
		return true;
	}
	if (n->subtree_gap >= len) {
		if (find_hole(n->left, len, cur, last, full))
			return true;
		if (n->start > *cur && n->start - *cur >= len) {
			*last = n->start - 1;
			return true;
		}
		if (n->last >= *cur) {
			*full = n->last == ~0ull;
			*cur = n->last + 1;
		}
		return !*full && find_hole(n->right, len, cur, last, full);
	}
	*full = n->subtree_last == ~0ull;
	*cur = n->subtree_last + 1;
	return false;
}

bool interval_tree_find_hole(const struct interval_tree *t, u64 lo, u64 hi, u64 len, u64 *start,
			     u64 *last)
{
	u64 cur = lo, end = hi;
	bool full = false;

	if (!find_hole(t->root, len, &cur, &end, &full)) {
		if (full)
			return false;
		end = hi;
	}
	end = min(end, hi);
	if (cur > end || end - cur < len - 1)
		return false;
	*start = cur;
	*last = end;
	return true;
}

node *interval_tree_first(const struct interval_tree *t)
{
	return interval_tree_iter_first(t, 0, ~0ull);
}

node *interval_tree_next(const node *n)
{
	return interval_tree_iter_next(n, 0, ~0ull);
}
