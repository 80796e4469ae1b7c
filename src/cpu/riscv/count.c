// SPDX-License-Identifier: MIT
/*
 * Stopping at an instruction count: what an overflowing counter of the owner's needs.
 *
 * A block's entry counts all of its instructions at once. While a stop is near, blocks are
 * decoded with an op in front that compares instret with count_stop; a block that would run
 * past it is not run, and the run loop goes on one instruction at a time until the count is
 * there. So a stop is exact, and costs nothing while there is none: no block has the op, and
 * the run loop looks between blocks only.
 *
 * count_stop is the nearest stop that this mode moves towards, as a value of instret. It is
 * computed anew when a stop or the mode changes. instret does not come near RV_NO_STOP.
 *
 * A stop that goes leaves the op in the blocks (a sampling guest sets the next at once) until
 * there has been none for a while.
 */
#include "cpu/riscv/impl.h"

static u64 in_user(const struct rv_hart *h)
{
	return h->instret_u + (h->priv == RV_U ? h->instret - h->mode_from : 0);
}

u64 rv_hart_get_count(const struct rv_hart *h, enum rv_count which)
{
	switch (which) {
	case RV_COUNT_S:
		return h->instret - in_user(h);
	case RV_COUNT_U:
		return in_user(h);
	default:
		return h->instret;
	}
}

static bool counts_now(const struct rv_hart *h, enum rv_count which)
{
	return which == RV_COUNT_ALL || (which == RV_COUNT_U) == (h->priv == RV_U);
}

void rv_count_update(struct rv_hart *h)
{
	u64 left = RV_NO_STOP;

	for (unsigned which = 0; which < RV_COUNTS; which++)
		if ((h->stops_set & BIT(which)) && counts_now(h, which))
			left = min(left, h->stops[which] - rv_hart_get_count(h, which));
	h->count_stop = left > RV_NO_STOP - h->instret ? RV_NO_STOP : h->instret + left;
	/* sret goes on without the run loop, perhaps in blocks without the op: not past this. */
	if (!h->counting && !(left >> RV_COUNT_NEAR_BITS))
		__atomic_store_n(&h->run_gen, 0, __ATOMIC_RELAXED);
}

void rv_hart_set_count_stop(struct rv_hart *h, enum rv_count which, u64 at)
{
	bool had = h->stops_set;

	h->stops[which] = at;
	if (at != RV_NO_STOP)
		h->stops_set |= BIT(which);
	else
		h->stops_set &= ~(u32)BIT(which);
	if (had && !h->stops_set)
		h->unused_since = h->instret;
	rv_count_update(h);
}

bool rv_count_serve(struct rv_hart *h)
{
	bool reached = false;

	if (!h->counting) {
		h->counting = true;
		rv_blocks_flush(h);
	}
	if (h->instret == h->count_stop) {
		for (unsigned which = 0; which < RV_COUNTS; which++) {
			if (!(h->stops_set & BIT(which)) || !counts_now(h, which) ||
			    h->stops[which] != rv_hart_get_count(h, which))
				continue;
			h->stops_set &= ~(u32)BIT(which);
			reached = true;
		}
		if (!h->stops_set)
			h->unused_since = h->instret;
		rv_count_update(h);
		if (reached && h->csrs && h->csrs->count_reached)
			h->csrs->count_reached(h->owner);
	}
	return h->count_stop - h->instret < RV_BLOCK_MAX;
}

/* At the entry to a run, while blocks have the op. */
void rv_count_idle(struct rv_hart *h)
{
	if (h->stops_set || h->instret - h->unused_since < RV_COUNT_IDLE)
		return;
	h->counting = false;
	rv_blocks_flush(h);
}
