/* SPDX-License-Identifier: MIT */
/*
 * The host's end of a console: a terminal, a pseudo-terminal, or a file.
 *
 * Output goes through a ring and a thread of its own, so a vCPU that prints does not make a
 * system call for each character: the writer waits a millisecond after the first character
 * of a burst and then writes all that there is. When the ring is full the one who prints
 * waits: a slow reader slows the guest down and nothing is lost. (A pseudo-terminal that
 * nobody reads is the exception: its output is dropped.)
 *
 * Input is read by a second thread, which hands it to the sink. From a terminal, Ctrl-A is
 * the escape key; what the sink has no room for is dropped. From anything else every byte
 * is the guest's, and reading pauses until there is room.
 *
 * Locks: chardev->lock, innermost; the sink is called without it.
 */
#ifndef SV_VMM_CHARDEV_H
#define SV_VMM_CHARDEV_H

#include "base/sync.h"
#include "base/types.h"

#define CHARDEV_RING_SIZE 65536u

struct chardev_sink {
	void *opaque;
	/* How many bytes input() would take now. */
	size_t (*room)(void *opaque);
	void (*input)(void *opaque, const u8 *data, size_t len);
};

/* What the chardev tells its owner, from its own threads. */
struct chardev_owner {
	void *opaque;
	void (*quit)(void *opaque);			/* Ctrl-A x */
	void (*reset)(void *opaque);			/* Ctrl-A r */
	void (*failed)(void *opaque, const char *what, int err);	/* output cannot be written */
};

struct chardev {
	char what[64];		/* for messages: "stdout", "'log.txt'" */
	struct chardev_owner owner;
	struct chardev_sink sink;
	int in_fd;		/* -1: no input */
	int out_fd;
	int wake_fd;		/* ends the reader's waiting */
	int slave_fd;		/* pty: held open, so that the master does not hang up; or -1 */
	bool close_fds;
	bool drop_when_stuck;
	bool escapes;
	bool after_escape;
	bool started;
	struct sv_mutex lock;
	struct sv_cond more;	/* for the writer */
	struct sv_cond space;	/* for those who print, and for drain */
	u8 *ring;
	u32 head, tail;		/* free running; head - tail bytes are waiting */
	bool writing;
	bool stop;		/* the threads end */
	bool discard;		/* output goes nowhere from now on */
	struct sv_thread reader, writer;
};

/*
 * spec: "stdio", "pty", or a file's name (created or truncated; output only). Prints one
 * line and returns -errno when that cannot be had. Nothing runs before chardev_start().
 */
int chardev_open(struct chardev *c, const char *spec, const struct chardev_owner *owner);
/* Starts the threads; a terminal becomes raw. 0 or -errno. */
int chardev_start(struct chardev *c);
/* Waits until what was printed has been written, at most so long. Whether it has. */
bool chardev_drain(struct chardev *c, int timeout_ms);
/* Those who print no longer wait: the VM ends. */
void chardev_discard(struct chardev *c);
void chardev_close(struct chardev *c);

void chardev_write(struct chardev *c, const void *data, size_t len);
/* The sink has room again. */
void chardev_input_ready(struct chardev *c);

#endif
