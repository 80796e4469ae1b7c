/* SPDX-License-Identifier: MIT */
/*
 * Ranges [start, last] of u64, both ends included (so that the last byte of the address
 * space can be in one), found by what they overlap.
 *
 * An AVL tree ordered by start, then by the order of insertion; each node knows the
 * largest last below it, so a search visits O(log n + hits) nodes, and the longest hole below it,
 * so that a place for a new range is found as fast. Ranges may overlap and repeat. The nodes
 * live in their owners. No lock of its own: readers may run together, a writer alone.
 *
 *	for (n = interval_tree_iter_first(t, a, b); n; n = interval_tree_iter_next(n, a, b))
 *
 * visits every range that overlaps [a, b], by rising start. To remove while iterating,
 * take the next first.
 */
#ifndef SV_BASE_INTERVAL_TREE_H
#define SV_BASE_INTERVAL_TREE_H

#include "base/types.h"

struct interval_tree_node {
	struct interval_tree_node *parent, *left, *right;
	u64 start, last;	/* set by the owner before insert, constant while inside */
	u64 subtree_start, subtree_last;
	u64 subtree_gap;	/* the longest hole between ranges of the subtree */
	int height;
};

struct interval_tree {
	struct interval_tree_node *root;
};
#define INTERVAL_TREE_INIT { NULL }

static inline void interval_tree_init(struct interval_tree *t)
{
	t->root = NULL;
}

static inline bool interval_tree_empty(const struct interval_tree *t)
{
	return !t->root;
}

void interval_tree_insert(struct interval_tree *t, struct interval_tree_node *n);
void interval_tree_remove(struct interval_tree *t, struct interval_tree_node *n);
struct interval_tree_node *interval_tree_iter_first(const struct interval_tree *t, u64 start,
						    u64 last);
struct interval_tree_node *interval_tree_iter_next(const struct interval_tree_node *n, u64 start,
						   u64 last);
/*
 * The lowest hole of at least len (>= 1) bytes in [lo, hi], as far as it lies there. O(log n).
 * Only for trees whose ranges do not overlap.
 */
bool interval_tree_find_hole(const struct interval_tree *t, u64 lo, u64 hi, u64 len, u64 *start,
			     u64 *last);
/* All in order of start; NULL at the end. */
struct interval_tree_node *interval_tree_first(const struct interval_tree *t);
struct interval_tree_node *interval_tree_next(const struct interval_tree_node *n);

#endif
