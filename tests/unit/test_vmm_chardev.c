/* SPDX-License-Identifier: MIT */
#include <sched.h>
#include <termios.h>

#include "unit.h"

#include "vmm/chardev.h"

static struct chardev c;
static int failed_with;
static unsigned int quits, resets;

static void on_quit(void *opaque)
{
	__atomic_fetch_add(&quits, 1, __ATOMIC_SEQ_CST);
}

static void on_reset(void *opaque)
{
	__atomic_fetch_add(&resets, 1, __ATOMIC_SEQ_CST);
}

static void on_failure(void *opaque, const char *what, int err)
{
	__atomic_store_n(&failed_with, err, __ATOMIC_SEQ_CST);
}

static const struct chardev_owner owner = { NULL, on_quit, on_reset, on_failure };

/* A sink that takes little at a time. */
static struct sv_mutex sink_lock = SV_MUTEX_INIT;
static u8 got[1 << 17];
static size_t nr_got, room;

static size_t sink_room(void *opaque)
{
	size_t n;

	sv_mutex_lock(&sink_lock);
	n = room;
	sv_mutex_unlock(&sink_lock);
	return n;
}

static void sink_input(void *opaque, const u8 *data, size_t len)
{
	sv_mutex_lock(&sink_lock);
	assert_true(len <= room);
	memcpy(got + nr_got, data, len);
	nr_got += len;
	room -= len;
	sv_mutex_unlock(&sink_lock);
}

/* How many bytes have come; gives room for more. */
static size_t sink_open(size_t more)
{
	size_t n;

	sv_mutex_lock(&sink_lock);
	room += more;
	n = nr_got;
	sv_mutex_unlock(&sink_lock);
	if (more)
		chardev_input_ready(&c);
	return n;
}

static int setup(void **state)
{
	failed_with = 0;
	quits = resets = 0;
	nr_got = room = 0;
	return 0;
}

static int open_slave(void)
{
	int fd = open(c.what, O_RDWR | O_NOCTTY);

	assert_true(fd >= 0);
	return fd;
}

static void open_pty(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	/* It announces its name, which is no part of the test's output. */
	dup2(null, STDERR_FILENO);
	assert_int_equal(chardev_open(&c, "pty", &owner), 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	c.sink = (struct chardev_sink){ NULL, sink_room, sink_input };
	assert_int_equal(chardev_start(&c), 0);
}

/* More than the ring holds, in pieces of all sizes, arrives whole and in order. */
static void output_arrives_in_order(void **state)
{
	char name[] = "/tmp/softvirt-unit-XXXXXX";
	int fd = mkstemp(name);
	u8 *want = malloc(1 << 20), *have = malloc(1 << 20);
	size_t done = 0;
	u64 rnd = 5;

	assert_true(fd >= 0);
	for (size_t i = 0; i < 1 << 20; i++)
		want[i] = unit_rand(&rnd) >> 32;
	assert_int_equal(chardev_open(&c, name, &owner), 0);
	assert_int_equal(chardev_start(&c), 0);
	while (done < 1 << 20) {
		size_t n = unit_rand(&rnd) % (done % 3 ? 9 : 100000);

		n = min(n, (1 << 20) - done);
		chardev_write(&c, want + done, n);
		done += n;
	}
	while (!chardev_drain(&c, 1000))
		;
	assert_int_equal(pread(fd, have, 1 << 20, 0), 1 << 20);
	assert_memory_equal(want, have, 1 << 20);
	chardev_close(&c);
	/* Whoever still writes is not held up and does no harm. */
	chardev_write(&c, want, 1 << 20);
	close(fd);
	unlink(name);
	free(want);
	free(have);
}

static void input_waits_for_room_and_loses_nothing(void **state)
{
	u8 data[4096];
	size_t sent = 0, n;
	int fd;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i * 7 >> 2;
	open_pty();
	fd = open_slave();
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while ((n = sink_open(0)) < sizeof(data)) {
		ssize_t w = sent < sizeof(data) ? write(fd, data + sent, sizeof(data) - sent) : 0;

		sent += w > 0 ? w : 0;
		if (!sink_room(NULL))
			sink_open(37);
		sched_yield();
	}
	assert_int_equal(n, sizeof(data));
	assert_memory_equal(got, data, sizeof(data));
	/* Ctrl-A is a byte like any other where there is no terminal of a user's. */
	assert_int_equal(write(fd, "\x01x", 2), 2);
	sink_open(2);
	while (sink_open(0) < sizeof(data) + 2)
		sched_yield();
	assert_int_equal(quits, 0);
	close(fd);
	chardev_close(&c);
}

static void a_pty_that_nobody_reads_does_not_hold_up(void **state)
{
	u8 data[4096] = { 0 };

	open_pty();
	for (int i = 0; i < 64; i++)
		chardev_write(&c, data, sizeof(data));
	while (!chardev_drain(&c, 1000))
		;
	assert_int_equal(failed_with, 0);
	chardev_close(&c);
}

static void a_full_disk_is_told_once_and_holds_nobody_up(void **state)
{
	u8 data[4096] = { 0 };

	assert_int_equal(chardev_open(&c, "/dev/full", &owner), 0);
	assert_int_equal(chardev_start(&c), 0);
	for (int i = 0; i < 64; i++)
		chardev_write(&c, data, sizeof(data));
	while (!chardev_drain(&c, 1000))
		;
	assert_int_equal(__atomic_load_n(&failed_with, __ATOMIC_SEQ_CST), ENOSPC);
	chardev_close(&c);
}

static void opened_and_closed_without_a_start(void **state)
{
	assert_int_equal(chardev_open(&c, "/dev/null", &owner), 0);
	assert_true(chardev_drain(&c, 0));
	chardev_close(&c);
	chardev_close(&c);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(output_arrives_in_order),
		T(input_waits_for_room_and_loses_nothing),
		T(a_pty_that_nobody_reads_does_not_hold_up),
		T(a_full_disk_is_told_once_and_holds_nobody_up),
		T(opened_and_closed_without_a_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
