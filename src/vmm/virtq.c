/* SPDX-License-Identifier: MIT */
#include "vmm/virtq.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* virtio 1.2, 2.7.5, 2.7.6 and 2.7.8; all little endian. */
struct virtq_desc {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

struct virtq_avail {
	u16 flags;
	u16 idx;
	u16 ring[];	/* and used_event behind it */
};

struct virtq_used_elem {
	u32 id;
	u32 len;
};

struct virtq_used {
	u16 flags;
	u16 idx;
	struct virtq_used_elem ring[];	/* and avail_event behind it */
};

#define VIRTQ_DESC_F_NEXT	1
#define VIRTQ_DESC_F_WRITE	2
#define VIRTQ_DESC_F_INDIRECT	4
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY	1

static u16 virtq_load16(const u16 *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static void virtq_store16(u16 *p, u16 v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELEASE);
}

/* Orders our store before our load, against the driver's. An RMW, which TSan knows, is a fence. */
static void virtq_mb(void)
{
	static u32 word;

#ifdef __SANITIZE_THREAD__
	__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
#else
	(void)word;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static u16 *virtq_used_event(const struct virtq *q)
{
	return &q->avail->ring[q->size];
}

static u16 *virtq_avail_event(const struct virtq *q)
{
	return (u16 *)&q->used->ring[q->size];
}

void virtq_reset(struct virtq *q, const struct guest_mem *mem)
{
	memset(q, 0, sizeof(*q));
	q->mem = mem;
	q->size = VIRTQ_MAX_SIZE;
}

int virtq_enable(struct virtq *q)
{
	u64 n = q->size;

	/* 2.7: sizes are powers of two; 2.7.1: alignments 16, 2 and 4. */
	if (!n || n > VIRTQ_MAX_SIZE || (n & (n - 1)))
		return -EINVAL;
	if (q->desc_gpa % 16 || q->driver_gpa % 2 || q->device_gpa % 4)
		return -EINVAL;
	q->desc = guest_mem_ptr(q->mem, q->desc_gpa, n * sizeof(*q->desc));
	q->avail = guest_mem_ptr(q->mem, q->driver_gpa, sizeof(*q->avail) + (n + 1) * sizeof(u16));
	q->used = guest_mem_ptr(q->mem, q->device_gpa, sizeof(*q->used) +
				n * sizeof(struct virtq_used_elem) + sizeof(u16));
	if (!q->desc || !q->avail || !q->used)
		return -EINVAL;
	q->last_avail = q->used_idx = q->signalled = 0;
	q->signalled_valid = false;
	q->enabled = true;
	return 0;
}

/* One segment of a chain. Rule by rule; nothing of it is used before all hold. */
static int virtq_add_segment(struct virtq *q, struct virtq_chain *c, const struct virtq_desc *d)
{
	unsigned int n = c->nr_out + c->nr_in;
	u32 len = le32toh(d->len);
	bool in = le16toh(d->flags) & VIRTQ_DESC_F_WRITE;
	void *p = guest_mem_ptr(q->mem, le64toh(d->addr), len);

	/* It is RAM. */
	if (!p)
		return -EPROTO;
	/* 2.7.4.2: all that the device reads comes before all that it writes. */
	if (!in && c->nr_in)
		return -EPROTO;
	if (!len)
		return 0;
	if (n == VIRTQ_MAX_SEGS)
		return -EPROTO;
	c->iov[n] = (struct iovec){ p, len };
	if (in) {
		c->nr_in++;
		c->in_len += len;
	} else {
		c->nr_out++;
		c->out_len += len;
	}
	return 0;
}

/*
 * Walks the table of n descriptors from index i. Each step is counted, so that a loop ends.
 * *indirect: the last one named a table of its own, which *d is.
 */
static int virtq_walk(struct virtq *q, struct virtq_chain *c, const struct virtq_desc *table,
		      u32 n, u32 i, bool may_indirect, struct virtq_desc *d, bool *indirect)
{
	u32 steps;
	int err;

	*indirect = false;
	for (steps = 0; steps < n; steps++) {
		u16 flags;

		if (i >= n)
			return -EPROTO;
		/* One copy: the guest may change the original meanwhile. */
		memcpy(d, (const void *)&table[i], sizeof(*d));
		__asm__ volatile("" : "+m"(*d));
		flags = le16toh(d->flags);
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			/* 2.7.5.3.1: negotiated, not within another, nothing follows it. */
			if (!may_indirect || (flags & VIRTQ_DESC_F_NEXT))
				return -EPROTO;
			*indirect = true;
			return 0;
		}
		err = virtq_add_segment(q, c, d);
		if (err)
			return err;
		if (!(flags & VIRTQ_DESC_F_NEXT))
			return 0;
		i = le16toh(d->next);
	}
	return -EPROTO;
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	const struct virtq_desc *table;
	struct virtq_desc d;
	u16 avail = virtq_load16(&q->avail->idx);
	bool indirect;
	u32 n;
	int err;

	if (avail == q->last_avail)
		return 0;
	/* The driver cannot have made more available than the ring holds. */
	if ((u16)(avail - q->last_avail) > q->size)
		return -EPROTO;
	c->nr_out = c->nr_in = 0;
	c->out_len = c->in_len = 0;
	c->head = virtq_load16(&q->avail->ring[q->last_avail % q->size]);
	err = virtq_walk(q, c, q->desc, q->size, c->head, q->indirect, &d, &indirect);
	if (err)
		return err;
	if (indirect) {
		n = le32toh(d.len) / sizeof(d);
		table = guest_mem_ptr(q->mem, le64toh(d.addr), le32toh(d.len));
		if (!table || !n || n > VIRTQ_MAX_SEGS * 4 || le32toh(d.len) % sizeof(d))
			return -EPROTO;
		err = virtq_walk(q, c, table, n, 0, false, &d, &indirect);
		if (err)
			return err;
	}
	q->last_avail++;
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	q->last_avail--;
}

void virtq_push(struct virtq *q, u16 head, u32 len)
{
	struct virtq_used_elem *e = &q->used->ring[q->used_idx % q->size];

	e->id = htole32(head);
	e->len = htole32(len);
	virtq_store16(&q->used->idx, ++q->used_idx);
}

bool virtq_must_signal(struct virtq *q)
{
	u16 old = q->signalled, event;
	bool valid = q->signalled_valid;

	/* What was pushed is visible before the driver's wish is read (2.7.7.2). */
	virtq_mb();
	if (!q->event_idx)
		return !(virtq_load16(&q->avail->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT);
	q->signalled = q->used_idx;
	q->signalled_valid = true;
	event = virtq_load16(virtq_used_event(q));
	return !valid || (u16)(q->used_idx - event - 1) < (u16)(q->used_idx - old);
}

void virtq_kicks_off(struct virtq *q)
{
	/* With event indices silence is the default: the event index stays behind. */
	if (!q->event_idx)
		virtq_store16(&q->used->flags, VIRTQ_USED_F_NO_NOTIFY);
}

bool virtq_kicks_on(struct virtq *q)
{
	if (q->event_idx)
		virtq_store16(virtq_avail_event(q), q->last_avail);
	else
		virtq_store16(&q->used->flags, 0);
	virtq_mb();
	return virtq_load16(&q->avail->idx) != q->last_avail;
}

size_t iov_read(const struct iovec *iov, unsigned int cnt, u64 off, void *buf, size_t len)
{
	size_t done = 0;

	for (; cnt && done < len; iov++, cnt--) {
		size_t n;

		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		n = min(len - done, iov->iov_len - (size_t)off);
		memcpy((u8 *)buf + done, (u8 *)iov->iov_base + off, n);
		done += n;
		off = 0;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned int cnt, u64 off, const void *buf, size_t len)
{
	size_t done = 0;

	for (; cnt && done < len; iov++, cnt--) {
		size_t n;

		if (off >= iov->iov_len) {
			off -= iov->iov_len;
			continue;
		}
		n = min(len - done, iov->iov_len - (size_t)off);
		memcpy((u8 *)iov->iov_base + off, (const u8 *)buf + done, n);
		done += n;
		off = 0;
	}
	return done;
}

unsigned int iov_slice(struct iovec *dst, const struct iovec *src, unsigned int cnt, u64 off,
		       u64 len)
{
	unsigned int n = 0;

	for (; cnt && len; src++, cnt--) {
		u64 part;

		if (off >= src->iov_len) {
			off -= src->iov_len;
			continue;
		}
		part = min(len, (u64)src->iov_len - off);
		dst[n++] = (struct iovec){ (u8 *)src->iov_base + off, part };
		len -= part;
		off = 0;
	}
	return n;
}
