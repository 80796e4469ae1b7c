/* SPDX-License-Identifier: MIT */
/*
 * The list of mem_notify.h: it only grows, so that walking it takes no lock. A watcher that
 * registers between a change's before and its after is not called for either.
 */
#include "base/mem_notify.h"

#include "base/sync.h"

#define MAX_WATCHERS 8

unsigned long sv_mem_watched;

static struct sv_mem_watcher *watchers[MAX_WATCHERS];
static unsigned nr_watchers;
static struct sv_mutex lock = SV_MUTEX_INIT;

void sv_mem_watcher_register(struct sv_mem_watcher *w)
{
	sv_mutex_lock(&lock);
	for (unsigned i = 0; i < nr_watchers; i++)
		if (watchers[i] == w)
			goto out;
	if (nr_watchers == MAX_WATCHERS)
		sv_sync_bug("sv_mem_watcher_register: too many", 0);
	watchers[nr_watchers] = w;
	__atomic_store_n(&nr_watchers, nr_watchers + 1, __ATOMIC_RELEASE);
out:
	sv_mutex_unlock(&lock);
}

int sv_mem_before(struct sv_mem_event *ev)
{
	unsigned n = __atomic_load_n(&nr_watchers, __ATOMIC_ACQUIRE);

	for (ev->nr_told = 0; ev->nr_told < n; ev->nr_told++) {
		int err = watchers[ev->nr_told]->before(ev);

		if (err) {
			ev->failed = true;
			sv_mem_after(ev);
			return err;
		}
	}
	return 0;
}

void sv_mem_after(struct sv_mem_event *ev)
{
	for (unsigned i = ev->nr_told; i-- > 0;)
		watchers[i]->after(ev);
}
