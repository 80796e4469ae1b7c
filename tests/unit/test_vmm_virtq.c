/* SPDX-License-Identifier: MIT */
/* The rings as a hostile driver would fill them. */
#include "unit.h"

#include "vmm/virtq.h"

#define BASE 0x80000000ull
#define SIZE 0x100000ull
#define N 8
#define DESC BASE
#define AVAIL (BASE + 0x1000)
#define USED (BASE + 0x2000)
#define DATA (BASE + 0x10000)

struct desc { u64 addr; u32 len; u16 flags, next; };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

static struct guest_mem mem;
static struct virtq q;
static struct virtq_chain c;

static int setup(void **state)
{
	assert_int_equal(guest_mem_init(&mem, BASE, SIZE), 0);
	virtq_reset(&q, &mem);
	q.size = N;
	q.desc_gpa = DESC;
	q.driver_gpa = AVAIL;
	q.device_gpa = USED;
	q.indirect = true;
	assert_int_equal(virtq_enable(&q), 0);
	return 0;
}

static int teardown(void **state)
{
	guest_mem_destroy(&mem);
	return 0;
}

static void desc_at(u64 table, unsigned int i, u64 addr, u32 len, u16 flags, u16 next)
{
	struct desc d = { addr, len, flags, next };

	memcpy(guest_mem_ptr(&mem, table + i * sizeof(d), sizeof(d)), &d, sizeof(d));
}

static u16 *avail(unsigned int i)
{
	return (u16 *)guest_mem_ptr(&mem, AVAIL, 4 + N * 2 + 2) + i;
}

static u16 *used(unsigned int i)
{
	return (u16 *)guest_mem_ptr(&mem, USED, 4 + N * 8 + 2) + i;
}

static void offer(u16 head)
{
	avail(2)[avail(1)[0] % N] = head;
	avail(1)[0]++;
}

static void a_chain_is_taken_apart_and_given_back(void **state)
{
	desc_at(DESC, 3, DATA, 16, NEXT, 5);
	desc_at(DESC, 5, DATA + 0x100, 0, NEXT, 1);
	desc_at(DESC, 1, DATA + 0x200, 512, NEXT | WRITE, 0);
	desc_at(DESC, 0, DATA + 0x400, 1, WRITE, 0);
	assert_int_equal(virtq_pop(&q, &c), 0);
	offer(3);
	assert_int_equal(virtq_pop(&q, &c), 1);
	assert_int_equal(c.head, 3);
	assert_int_equal(c.nr_out, 1);
	assert_int_equal(c.nr_in, 2);
	assert_int_equal(c.out_len, 16);
	assert_int_equal(c.in_len, 513);
	assert_ptr_equal(c.iov[1].iov_base, mem.host + (DATA - BASE) + 0x200);
	virtq_push(&q, c.head, 513);
	assert_int_equal(used(1)[0], 1);
	assert_int_equal(used(2)[0], 3);
	assert_int_equal(used(4)[0], 513);
	assert_int_equal(virtq_pop(&q, &c), 0);
}

static void indices_wrap_around(void **state)
{
	desc_at(DESC, 0, DATA, 16, 0, 0);
	for (int i = 0; i < 70000; i++) {
		offer(0);
		assert_int_equal(virtq_pop(&q, &c), 1);
		virtq_push(&q, c.head, 0);
		assert_int_equal(used(1)[0], (u16)(i + 1));
	}
}

static void expect_broken(void)
{
	offer(0);
	assert_int_equal(virtq_pop(&q, &c), -EPROTO);
}

static void a_head_beyond_the_table(void **state)
{
	offer(N);
	assert_int_equal(virtq_pop(&q, &c), -EPROTO);
}

static void a_next_beyond_the_table(void **state)
{
	desc_at(DESC, 0, DATA, 16, NEXT, N);
	expect_broken();
}

static void a_loop_of_one_and_of_all(void **state)
{
	desc_at(DESC, 0, DATA, 16, NEXT, 0);
	expect_broken();
	for (int i = 0; i < N; i++)
		desc_at(DESC, i, DATA, 16, NEXT, (i + 1) % N);
	expect_broken();
}

static void memory_that_is_no_ram(void **state)
{
	static const struct { u64 addr; u32 len; } bad[] = {
		{ BASE - 1, 1 }, { BASE - 1, 2 }, { BASE + SIZE - 1, 2 }, { BASE + SIZE, 1 },
		{ 0, 16 }, { ~0ull, 1 }, { ~0ull, 2 }, { BASE, SIZE + 1 }, { BASE + 1, 0xffffffff },
		{ BASE + SIZE + 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		guest_mem_destroy(&mem);
		setup(state);
		desc_at(DESC, 0, bad[i].addr, bad[i].len, 0, 0);
		expect_broken();
	}
}

static void a_readable_part_behind_a_writable_one(void **state)
{
	desc_at(DESC, 0, DATA, 16, NEXT | WRITE, 1);
	desc_at(DESC, 1, DATA, 16, 0, 0);
	expect_broken();
}

static void more_available_than_the_ring_holds(void **state)
{
	desc_at(DESC, 0, DATA, 16, 0, 0);
	avail(1)[0] = N + 1;
	assert_int_equal(virtq_pop(&q, &c), -EPROTO);
	avail(1)[0] = 0xffff;
	assert_int_equal(virtq_pop(&q, &c), -EPROTO);
}

static void indirect_tables(void **state)
{
	u64 table = DATA + 0x1000;

	desc_at(DESC, 0, table, 3 * 16, INDIRECT, 0);
	desc_at(table, 0, DATA, 16, NEXT, 2);
	desc_at(table, 2, DATA + 16, 100, WRITE, 0);
	offer(0);
	assert_int_equal(virtq_pop(&q, &c), 1);
	assert_int_equal(c.nr_out, 1);
	assert_int_equal(c.nr_in, 1);
	/* Direct ones before it count as well. */
	desc_at(DESC, 1, DATA, 8, NEXT, 0);
	offer(1);
	assert_int_equal(virtq_pop(&q, &c), 1);
	assert_int_equal(c.out_len, 24);
}

static void indirect_tables_that_break_rules(void **state)
{
	u64 table = DATA + 0x1000;
	static const struct { u32 len; u16 flags, tflags, tnext; } bad[] = {
		{ 0, INDIRECT, 0, 0 },			/* no table */
		{ 17, INDIRECT, 0, 0 },			/* not whole entries */
		{ 16, INDIRECT | NEXT, 0, 0 },		/* something behind it */
		{ 16, INDIRECT, INDIRECT, 0 },		/* one within another */
		{ 16, INDIRECT, NEXT, 0 },		/* a loop */
		{ 16, INDIRECT, NEXT, 1 },		/* beyond its end */
		{ 0xfffffff0, INDIRECT, 0, 0 },		/* beyond RAM */
		{ 16 * (VIRTQ_MAX_SEGS * 4 + 1), INDIRECT, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		guest_mem_destroy(&mem);
		setup(state);
		desc_at(DESC, 0, table, bad[i].len, bad[i].flags, 1);
		desc_at(DESC, 1, DATA, 16, 0, 0);
		desc_at(table, 0, DATA, 16, bad[i].tflags, bad[i].tnext);
		expect_broken();
	}
	/* And one that was not negotiated. */
	guest_mem_destroy(&mem);
	setup(state);
	q.indirect = false;
	desc_at(DESC, 0, table, 16, INDIRECT, 0);
	desc_at(table, 0, DATA, 16, 0, 0);
	expect_broken();
}

static void a_chain_longer_than_any_driver_needs(void **state)
{
	u64 table = DATA + 0x1000;

	desc_at(DESC, 0, table, 16 * (VIRTQ_MAX_SEGS + 1), INDIRECT, 0);
	for (int i = 0; i <= VIRTQ_MAX_SEGS; i++)
		desc_at(table, i, DATA, 1, i < VIRTQ_MAX_SEGS ? NEXT : 0, i + 1);
	expect_broken();
	desc_at(table, VIRTQ_MAX_SEGS - 1, DATA, 1, 0, 0);
	offer(0);
	virtq_reset(&q, &mem);
	q = (struct virtq){ .mem = &mem, .size = N, .desc_gpa = DESC, .driver_gpa = AVAIL,
			    .device_gpa = USED, .indirect = true };
	assert_int_equal(virtq_enable(&q), 0);
	assert_int_equal(virtq_pop(&q, &c), 1);
	assert_int_equal(c.nr_out, VIRTQ_MAX_SEGS);
}

static void rings_that_are_not_accepted(void **state)
{
	static const struct { u16 size; u64 desc, driver, device; } bad[] = {
		{ 0, DESC, AVAIL, USED }, { 3, DESC, AVAIL, USED }, { 512, DESC, AVAIL, USED },
		{ 0xffff, DESC, AVAIL, USED }, { N, DESC + 8, AVAIL, USED },
		{ N, DESC, AVAIL + 1, USED }, { N, DESC, AVAIL, USED + 2 },
		{ N, 0, AVAIL, USED }, { N, DESC, 0, USED }, { N, DESC, AVAIL, 0 },
		{ N, BASE + SIZE - 16 * N + 16, AVAIL, USED }, { N, DESC, BASE + SIZE - 20, USED },
		{ N, DESC, AVAIL, BASE + SIZE - 68 }, { N, ~0ull - 15, AVAIL, USED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		virtq_reset(&q, &mem);
		q.size = bad[i].size;
		q.desc_gpa = bad[i].desc;
		q.driver_gpa = bad[i].driver;
		q.device_gpa = bad[i].device;
		assert_int_equal(virtq_enable(&q), -EINVAL);
		assert_false(q.enabled);
	}
}

static void signals_by_flag(void **state)
{
	assert_true(virtq_must_signal(&q));
	avail(0)[0] = 1;
	assert_false(virtq_must_signal(&q));
	virtq_kicks_off(&q);
	assert_int_equal(used(0)[0], 1);
	assert_false(virtq_kicks_on(&q));
	assert_int_equal(used(0)[0], 0);
	desc_at(DESC, 0, DATA, 16, 0, 0);
	offer(0);
	assert_true(virtq_kicks_on(&q));
}

static void signals_by_event_index(void **state)
{
	u16 *event = avail(2 + N);

	q.event_idx = true;
	virtq_push(&q, 0, 0);
	assert_true(virtq_must_signal(&q));
	*event = 2;
	virtq_push(&q, 0, 0);
	assert_false(virtq_must_signal(&q));
	virtq_push(&q, 0, 0);
	assert_true(virtq_must_signal(&q));
	virtq_push(&q, 0, 0);
	assert_false(virtq_must_signal(&q));
	*event = 5;
	virtq_push(&q, 0, 0);
	virtq_push(&q, 0, 0);
	virtq_push(&q, 0, 0);
	assert_true(virtq_must_signal(&q));
	assert_false(virtq_kicks_on(&q));
	assert_int_equal(used(2 + N * 4)[0], q.last_avail);
}

static void slices_and_copies_cross_segments(void **state)
{
	char a[3] = "abc", b[4] = "defg", d[1] = "h", buf[16] = "";
	struct iovec iov[] = { { a, 3 }, { b, 4 }, { d, 1 } }, out[3];

	assert_int_equal(iov_read(iov, 3, 2, buf, 4), 4);
	assert_memory_equal(buf, "cdef", 4);
	assert_int_equal(iov_read(iov, 3, 6, buf, 16), 2);
	assert_int_equal(iov_read(iov, 3, 8, buf, 16), 0);
	assert_int_equal(iov_write(iov, 3, 6, "XYZ", 3), 2);
	assert_memory_equal(b, "defX", 4);
	assert_int_equal(d[0], 'Y');
	assert_int_equal(iov_slice(out, iov, 3, 2, 3), 2);
	assert_ptr_equal(out[0].iov_base, a + 2);
	assert_int_equal(out[0].iov_len, 1);
	assert_ptr_equal(out[1].iov_base, b);
	assert_int_equal(out[1].iov_len, 2);
	assert_int_equal(iov_slice(out, iov, 3, 0, 100), 3);
	assert_int_equal(iov_slice(out, iov, 3, 8, 1), 0);
}

/* Random rings: whatever is taken lies in RAM, and it always ends. */
static void random_rings(void **state)
{
	u64 rnd = 42;

	for (int i = 0; i < 20000; i++) {
		u8 *ram = mem.host;

		for (int j = 0; j < 0x400; j += 8) {
			u64 v = unit_rand(&rnd);

			/* Half of the values are near what is right. */
			if (v & 1)
				v = (v >> 8) % 2 ? DATA + (v >> 16) % 0x2000 : (v >> 16) & 0x7000f000fffull;
			memcpy(ram + (j < 0x200 ? j : j < 0x300 ? 0xe00 + j : 0x1d00 + j), &v, 8);
		}
		virtq_reset(&q, &mem);
		q.size = N;
		q.desc_gpa = DESC;
		q.driver_gpa = AVAIL;
		q.device_gpa = USED;
		q.indirect = i & 1;
		assert_int_equal(virtq_enable(&q), 0);
		avail(1)[0] = i % (N + 1);
		for (int k = 0; k <= N && virtq_pop(&q, &c) > 0; k++) {
			for (unsigned int s = 0; s < c.nr_out + c.nr_in; s++) {
				u8 *p = c.iov[s].iov_base;

				assert_true(p >= ram && p + c.iov[s].iov_len <= ram + SIZE);
			}
		}
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_chain_is_taken_apart_and_given_back),
		T(indices_wrap_around),
		T(a_head_beyond_the_table),
		T(a_next_beyond_the_table),
		T(a_loop_of_one_and_of_all),
		T(memory_that_is_no_ram),
		T(a_readable_part_behind_a_writable_one),
		T(more_available_than_the_ring_holds),
		T(indirect_tables),
		T(indirect_tables_that_break_rules),
		T(a_chain_longer_than_any_driver_needs),
		T(rings_that_are_not_accepted),
		T(signals_by_flag),
		T(signals_by_event_index),
		T(slices_and_copies_cross_segments),
		T(random_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
