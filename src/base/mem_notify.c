/* SPDX-License-Identifier: MIT */
/*
 * The list of mem_notify.h: it only grows, so that walking it takes no lock. A watcher that
 * registers between a change's before and its after is not called for either.
 */
#include "base/mem_notify.h"

#include <pthread.h>

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

unsigned long sv_mem_devices;
static struct interval_tree devices;	/* device_lock */
static struct sv_mutex device_lock = SV_MUTEX_INIT;

void sv_mem_device_add(struct interval_tree_node *range)
{
	sv_mutex_lock(&device_lock);
	interval_tree_insert(&devices, range);
	__atomic_fetch_add(&sv_mem_devices, 1, __ATOMIC_RELEASE);
	sv_mutex_unlock(&device_lock);
}

void sv_mem_device_del(struct interval_tree_node *range)
{
	sv_mutex_lock(&device_lock);
	interval_tree_remove(&devices, range);
	__atomic_fetch_sub(&sv_mem_devices, 1, __ATOMIC_RELEASE);
	sv_mutex_unlock(&device_lock);
}

bool sv_mem_is_device_slow(u64 addr, u64 len)
{
	bool yes;

	sv_mutex_lock(&device_lock);
	yes = interval_tree_iter_first(&devices, addr, addr + len - 1);
	sv_mutex_unlock(&device_lock);
	return yes;
}

static void fork_prepare(void)
{
	sv_mutex_lock(&device_lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&device_lock);
}

static void fork_child(void)
{
	interval_tree_init(&devices);
	sv_mem_devices = 0;
	sv_mutex_unlock(&device_lock);
}

static void __attribute__((constructor(102))) device_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_parent, fork_child);
}
