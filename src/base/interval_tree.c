/* SPDX-License-Identifier: MIT */
/*
 * An AVL tree of ranges. See interval_tree.h.
 *
 * Invariants: the heights of a node's two subtrees differ by at most one; subtree_last is
 * the largest last of the node and all below it. Every change repairs both on the way from
 * the changed place up to the root.
 */
#include "base/interval_tree.h"

typedef struct interval_tree_node node;

static int height(const node *n)
{
	return n ? n->height : 0;
}

static void update(node *n)
{
	n->height = 1 + max(height(n->left), height(n->right));
	n->subtree_last = n->last;
	if (n->left)
		n->subtree_last = max(n->subtree_last, n->left->subtree_last);
	if (n->right)
		n->subtree_last = max(n->subtree_last, n->right->subtree_last);
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

node *interval_tree_first(const struct interval_tree *t)
{
	return interval_tree_iter_first(t, 0, ~0ull);
}

node *interval_tree_next(const node *n)
{
	return interval_tree_iter_next(n, 0, ~0ull);
}
