/* SPDX-License-Identifier: MIT */
/*
 * Buffers of other processes. docs/remote.md has the model; here is what its files share.
 *
 * remote_link.c	what both sides need: fences on their way, queued messages
 * remote_io.c	the sockets and the thread
 * remote_server.c	the exporter's side: an importer elsewhere is an attachment here
 * remote_client.c	the importer's side: a buffer here that asks the exporter
 * remote_open.c	how the two find each other
 */
#ifndef SV_DMABUF_REMOTE_H
#define SV_DMABUF_REMOTE_H

#include "base/refcount.h"
#include "dmabuf/buf.h"
#include "dmabuf/watch.h"

/* How the exporter's listener (debug.c) knows an importer from a person. */
#define REMOTE_HELLO_BYTE 'B'

enum remote_type {
	/* Exporter to importer, the first thing: value 0 or -errno, arg size, id flags, name. */
	REMOTE_HELLO = 1,
	/* Importer to exporter; all but the last three are answered with a REPLY of their seq. */
	REMOTE_ATTACH,		/* id, value: REMOTE_ flags, name */
	REMOTE_MAP,		/* id, value: direction. REPLY's arg: invalidates so far */
	REMOTE_PIN,		/* id */
	REMOTE_SYNC,
	REMOTE_UNMAP,		/* id, value: direction */
	REMOTE_UNPIN,		/* id */
	REMOTE_DETACH,		/* id */
	REMOTE_BYE,		/* the buffer is not needed any more; fences may be */
	/* Exporter to importer. */
	REMOTE_REPLY,		/* seq, value, arg */
	REMOTE_INVALIDATE,	/* id, arg: the how manieth */
	/* Both ways. */
	REMOTE_FENCE_ADD,	/* seq: its number, value: usage, name: driver and timeline */
	REMOTE_FENCE_SIGNAL,	/* seq, value: error, arg: when */
};

#define REMOTE_DYNAMIC 1
#define REMOTE_REVOCABLE 2
#define REMOTE_PEER2PEER 4

#define REMOTE_NAME 64
struct remote_msg {
	u32 type, id;
	u64 seq;
	s64 value;
	u64 arg;
	char name[REMOTE_NAME];
};

struct remote_link;

/* A message that needs the reservation lock and waits for it, in order. */
struct remote_op {
	struct list_head node;
	struct remote_msg msg;
	struct dma_fence *fence;	/* FENCE_ADD: the mirror, with a reference */
	void *partial;			/* a role's, between two tries */
};

struct remote_role {
	/* In the thread, in order, without locks. 0, or -errno: the peer talks nonsense. */
	int (*message)(struct remote_link *link, const struct remote_msg *msg);
	/* In the thread, when there is something to do. False: try again, the lock is taken. */
	bool (*run)(struct remote_link *link);
	/* In the thread, until it says true: the peer is gone. */
	bool (*hangup)(struct remote_link *link);
	void (*free)(struct remote_link *link);
};

struct remote_link {
	refcount_t refs;
	const struct remote_role *role;
	int fd;
	ino_t ino;
	u64 id;			/* of this process's, never used twice */
	struct dma_resv *resv;	/* whose fences are told; NULL: of none any more */
	struct dma_resv_watch watch;
	struct rcu_head rcu;
	struct list_head node;	/* the thread's list; loop_lock */
	bool fresh;		/* loop_lock */
	spinlock_t lock;
	/* Under lock. */
	bool broken;		/* nothing is sent or read any more */
	bool bye;		/* ends when no fence is on its way any more */
	char *tx;
	size_t tx_len, tx_room;
	struct list_head sent;	/* fences of ours that the peer waits for */
	struct list_head got;	/* mirrors of the peer's, unsignalled */
	struct list_head ops;
	u32 nr_ops, nr_got;
	u64 next_fence;
	/* The thread's alone. */
	struct remote_msg rx;
	size_t rx_len;
	bool hung_up;
};

/* remote_link.c: what remote_link_init does without the socket. */
void remote_link_setup(struct remote_link *link, const struct remote_role *role, int fd);
void remote_io_close(struct remote_link *link);
/* With one reference. fd is the link's from here on. */
void remote_link_init(struct remote_link *link, const struct remote_role *role, int fd);
/* Shows it to the thread, which takes a reference and is started if need be. 0 or -errno. */
int remote_link_start(struct remote_link *link);
struct remote_link *remote_link_get(struct remote_link *link);
void remote_link_put(struct remote_link *link);
/* In order. Never sleeps; a peer that reads nothing for too long is dropped. */
void remote_send(struct remote_link *link, const struct remote_msg *msg);
/* The end: the thread hears of it. Any context. */
void remote_break(struct remote_link *link);
bool remote_is_broken(struct remote_link *link);
/* From here on the peer is told of new fences. Reservation lock held. */
void remote_watch(struct remote_link *link, struct dma_resv *resv);
/* And not any more; fences it knows of still signal. */
void remote_unwatch(struct remote_link *link);
/* Fences of before the watch. Reservation lock held. */
void remote_tell_all(struct remote_link *link);
/* Queues a copy of msg for run(). 0, -ENOMEM, -EPROTO: too many. */
int remote_queue(struct remote_link *link, const struct remote_msg *msg);
struct remote_op *remote_first_op(struct remote_link *link);
void remote_op_done(struct remote_link *link, struct remote_op *op);
/* Files a mirror; reservation lock held. False: no memory now. */
bool remote_file(struct dma_resv *resv, struct remote_op *op);
/* FENCE_ADD (queues) and FENCE_SIGNAL. */
int remote_fence_message(struct remote_link *link, const struct remote_msg *msg);
/* The peer hears of our fences no more. */
void remote_sent_drop(struct remote_link *link);
/* The peer's: nobody will signal these any more but us. */
void remote_fences_die(struct remote_link *link);
/* The exporter's or importer's lock, for the thread: it must not sleep on it for long. */
bool remote_lock(struct dma_resv *resv);
bool remote_in_thread(void);
/* Makes the thread look at every link. */
void remote_link_kick(void);

/* The exporter's side of a new link over sock, not started; dmabuf's reference is its. */
struct remote_link *remote_server_new(struct dma_buf *dmabuf, int pid, int sock);
/* What was made and could not be started. */
void remote_server_drop(struct remote_link *link);

/* The importer's side: a buffer with one reference, not watched, its link not started. */
struct remote_proxy_info {
	const char *exp_name;	/* copied */
	int pid, flags, memfd;
	char *vaddr;		/* memfd and vaddr are its, on success */
	size_t size;
};
struct dma_buf *remote_proxy_new(const struct remote_proxy_info *info, int sock);
struct remote_link *remote_proxy_link(struct dma_buf *dmabuf);
/* Shows it to the exporter: the watch begins and the thread knows it. 0 or -errno. */
int remote_proxy_start(struct dma_buf *dmabuf);
/* Its exporter has never answered and is dead. */
void remote_proxy_orphan(struct dma_buf *dmabuf);
/* remote_open.c: it is being freed. */
void remote_proxy_forget(struct dma_buf *dmabuf);

/* remote_open.c: sock is ours from here on, memfd is not. */
void dma_buf_remote_accept(int sock, int memfd);

#endif
