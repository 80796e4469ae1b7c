/* SPDX-License-Identifier: MIT */
/*
 * An event loop: descriptors and what to call when they are ready.
 *
 * One thread runs a loop; callbacks run in it, without any lock held. loop_stop() is safe
 * from any thread and from signal handlers; everything else belongs to the loop's own thread
 * or to the time before it runs. One event is taken at a time, so a callback may remove any source.
 */
#ifndef SV_VMM_LOOP_H
#define SV_VMM_LOOP_H

#include "base/types.h"

struct loop_source {
	int fd;
	void (*fn)(struct loop_source *s);
};

struct loop {
	int epfd;
	struct loop_source stop;
	bool stopped;
};

int loop_init(struct loop *l);
void loop_fini(struct loop *l);
/* Waits for input (EPOLLIN). 0 or -errno. */
int loop_add(struct loop *l, struct loop_source *s);
void loop_del(struct loop *l, struct loop_source *s);
/* Returns after loop_stop(), also one that came before. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Sets an eventfd; drains one. */
void eventfd_kick(int fd);
void eventfd_drain(int fd);

#endif
