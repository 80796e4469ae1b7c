/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue as the device sees it (virtio 1.2, 2.7), with indirect descriptors and
 * event indices.
 *
 * The rings live in guest RAM and the guest is an enemy: whatever is read from there is read
 * once, then checked, then used. A chain that breaks a rule (an index beyond the table, a
 * loop, memory that is not RAM, a readable part behind a writable one) breaks the queue:
 * virtq_pop() says -EPROTO and the caller lets the device ask for a reset.
 *
 * A queue belongs to one thread at a time; the device's io_lock says which.
 */
#ifndef SV_VMM_VIRTQ_H
#define SV_VMM_VIRTQ_H

#include <sys/uio.h>

#include "base/types.h"
#include "vmm/mem.h"

#define VIRTQ_MAX_SIZE 256
#define VIRTQ_MAX_SEGS 256

struct virtq_desc;
struct virtq_avail;
struct virtq_used;

struct virtq {
	const struct guest_mem *mem;
	/* Set up by the driver before it enables the queue. */
	u16 size;
	u64 desc_gpa, driver_gpa, device_gpa;
	bool event_idx;
	bool indirect;
	/* Valid while enabled. */
	bool enabled;
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	u16 last_avail;		/* the next entry of the available ring to take */
	u16 used_idx;		/* the next entry of the used ring to fill */
	u16 signalled;		/* used_idx when the driver was last told */
	bool signalled_valid;
};

/* One request: nr_out readable segments, then nr_in writable ones. None is empty. */
struct virtq_chain {
	u16 head;
	unsigned int nr_out, nr_in;
	u64 out_len, in_len;
	struct iovec iov[VIRTQ_MAX_SEGS];
};

void virtq_reset(struct virtq *q, const struct guest_mem *mem);
/* Checks what the driver set up. 0, or -EINVAL: the rings are not in RAM, or misaligned. */
int virtq_enable(struct virtq *q);

/* 1: a chain; 0: nothing there; -EPROTO: broken. */
int virtq_pop(struct virtq *q, struct virtq_chain *c);
/* Gives a chain back with len bytes written into its writable part. */
void virtq_push(struct virtq *q, u16 head, u32 len);
/* The last chain taken by virtq_pop() is put back, as if it had not been taken. */
void virtq_unpop(struct virtq *q);
/* Whether the driver wants an interrupt for what was pushed since the last time. */
bool virtq_must_signal(struct virtq *q);
/* No kicks, please / kicks again; the latter says whether something came in between. */
void virtq_kicks_off(struct virtq *q);
bool virtq_kicks_on(struct virtq *q);

/* Copies from or to cnt segments at byte off; returns how many bytes were there. */
size_t iov_read(const struct iovec *iov, unsigned int cnt, u64 off, void *buf, size_t len);
size_t iov_write(const struct iovec *iov, unsigned int cnt, u64 off, const void *buf, size_t len);
/* dst becomes the part [off, off + len) of src; returns the number of segments. dst has room. */
unsigned int iov_slice(struct iovec *dst, const struct iovec *src, unsigned int cnt, u64 off,
		       u64 len);

#endif
