// SPDX-License-Identifier: MIT
/*
 * Arbitrary bytes as a virtqueue's rings, descriptors and indirect tables. Whatever a queue
 * hands out must be RAM, and a broken queue must say so and end.
 *
 * Input: 8 bytes of set-up, then guest RAM.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/virtq.h"

#define BASE 0x80000000ull
#define SIZE 0x4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every byte of every segment, and slices of it: outside of RAM AddressSanitizer speaks up. */
static void touch(const struct virtq_chain *c, uint8_t salt)
{
	static struct iovec part[VIRTQ_MAX_SEGS];
	uint8_t buf[256];
	unsigned n;

	for (u64 off = 0; off < c->out_len && off < 4 * SIZE; off += sizeof(buf))
		iov_read(c->iov, c->nr_out, off, buf, sizeof(buf));
	memset(buf, salt, sizeof(buf));
	for (u64 off = 0; off < c->in_len && off < 4 * SIZE; off += sizeof(buf))
		iov_write(c->iov + c->nr_out, c->nr_in, off, buf, sizeof(buf));
	n = iov_slice(part, c->iov, c->nr_out, salt, c->out_len / 2);
	iov_read(part, n, 0, buf, sizeof(buf));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtq_chain c;
	struct guest_mem mem = { .base = BASE, .size = SIZE };
	struct virtq q;

	if (size < 8)
		return 0;
	/* Its own allocation, exactly as large as RAM is. */
	mem.host = aligned_alloc(4096, SIZE);
	if (!mem.host)
		abort();
	memset(mem.host, 0, SIZE);
	memcpy(mem.host, data + 8, size - 8 < SIZE ? size - 8 : SIZE);
	memset(&q, 0, sizeof(q));
	virtq_reset(&q, &mem);
	q.size = (u16)(1u << (data[0] & 15));
	q.desc_gpa = BASE + data[1] * 64u;
	q.driver_gpa = BASE + data[2] * 64u;
	q.device_gpa = BASE + data[3] * 64u + (data[4] & 3);
	q.indirect = data[5] & 1;
	q.event_idx = data[5] & 2;
	if (!virtq_enable(&q)) {
		q.enabled = true;
		for (unsigned i = 0; i < 64; i++) {
			int ret = virtq_pop(&q, &c);

			if (ret <= 0)
				break;
			touch(&c, data[6]);
			if (i == data[7]) {
				virtq_unpop(&q);
				continue;
			}
			virtq_push(&q, c.head, (u32)c.in_len);
			virtq_must_signal(&q);
			virtq_kicks_off(&q);
			virtq_kicks_on(&q);
		}
	}
	free(mem.host);
	return 0;
}
