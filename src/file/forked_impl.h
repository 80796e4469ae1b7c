/* SPDX-License-Identifier: MIT */
/*
 * What goes over a line between a child and the process that has the objects; docs/forked.md.
 *
 * A line is a SOCK_SEQPACKET pair: a message is a struct forked_msg, then at most FORKED_DATA bytes,
 * with at most one descriptor.
 */
#ifndef SV_FILE_FORKED_IMPL_H
#define SV_FILE_FORKED_IMPL_H

#include "base/list.h"
#include "base/sync.h"
#include "file/forked.h"
#include "file/impl.h"

enum forked_type {
	/* Through the door: a descriptor, the owner's end of a line. */
	FORKED_LINE = 1,
	/* Child to owner. */
	FORKED_IOCTL,	/* file, cmd, addr: the third argument */
	FORKED_ANSWER,		/* ret: 0 or -errno; what was asked for */
	/* Owner to child, in the middle of a call; answered. */
	FORKED_READ,		/* addr, len */
	FORKED_WRITE,		/* addr, len, bytes */
	FORKED_FD,		/* cmd: the number. A descriptor comes back */
	FORKED_LENDER,		/* a descriptor: where to lend memory through */
	/* Owner to child, the end of a call. */
	FORKED_RETURN,		/* ret */
	/* Owner to lender; answered by pieces, in the order of addresses, and an ANSWER. */
	FORKED_LEND,		/* addr, len, cmd: 1 writable */
	FORKED_PIECE,		/* addr, len: what; offset: where in the descriptor, or in dev and ino */
};

struct forked_msg {
	u32 type, cmd;
	s64 ret;
	u64 file, addr, len, offset, dev, ino;
};

#define FORKED_DATA 4096

/*
 * A descriptor of ours that the program may close by number: known by its inode. fd -1: none.
 */
struct forked_end {
	int fd;
	ino_t ino;
	struct list_head node;	/* all of this process's; forked.c */
};

/* Takes fd over (also when it fails): moved out of the program's way. 0 or -errno. */
int forked_end_init(struct forked_end *e, int fd);
void forked_end_close(struct forked_end *e);
/* A pair of sockets, close-on-exec. 0 or -errno. */
int forked_pair(int fds[2]);

/* The whole message with n bytes and a descriptor (-1: none): 0, or -EPIPE. */
int forked_send(struct forked_end *e, const struct forked_msg *m, const void *data, size_t n, int fd);
/*
 * One message: the number of bytes that came with it; -EPIPE (the other side has gone or, where
 * the socket has a time limit, doesn't talk), -EBADMSG (it talks nonsense). *fd (may be NULL): -1
 * or a descriptor, now the caller's.
 */
ssize_t forked_recv(struct forked_end *e, struct forked_msg *m, void *data, size_t room, int *fd);

/* forked_serve.c: the thread at the door; arg is its struct forked_end. */
void *forked_door_main(void *arg);
/* How long the owner waits for an answer; for tests. */
extern unsigned forked_patience_ms;

/* lend.c: starts a thread that lends this process's memory through fd, taken over. 0 or -errno. */
int forked_lend_start(int fd);
void forked_lend_fork_prepare(void);
void forked_lend_fork_done(void);

#endif
