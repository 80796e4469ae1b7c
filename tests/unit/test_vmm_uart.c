/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <time.h>

#include "vmm/rtc.h"
#include "vmm/uart.h"

static struct uart uart;
static bool irq;
static char sent[64];
static size_t nr_sent;
static unsigned int readies;

static void set_irq(void *opaque, bool level)
{
	assert_int_not_equal(irq, level);
	irq = level;
}

static void output(void *opaque, u8 ch)
{
	assert_true(nr_sent < sizeof(sent));
	sent[nr_sent++] = (char)ch;
}

static void input_ready(void *opaque)
{
	readies++;
}

static const struct uart_ops ops = { set_irq, output, input_ready };

static int setup(void **state)
{
	irq = false;
	nr_sent = readies = 0;
	uart_init(&uart, &ops, NULL);
	return 0;
}

static u8 rd(unsigned int reg)
{
	return uart_mmio_ops.read(&uart, reg, 1);
}

static void wr(unsigned int reg, u8 v)
{
	uart_mmio_ops.write(&uart, reg, v, 1);
}

static void what_is_written_leaves_and_the_transmitter_is_empty(void **state)
{
	assert_int_equal(rd(5), 0x60);
	wr(0, 'h');
	wr(0, 'i');
	assert_int_equal(nr_sent, 2);
	assert_memory_equal(sent, "hi", 2);
	assert_int_equal(rd(5), 0x60);
	assert_false(irq);
}

/* Linux's autoconfig: the scratch register, IER's width, loopback, FIFO bits. */
static void it_looks_like_a_16550a(void **state)
{
	wr(7, 0xa5);
	assert_int_equal(rd(7), 0xa5);
	wr(1, 0xff);
	assert_int_equal(rd(1), 0x0f);
	wr(1, 0);
	wr(4, 0x1a);
	assert_int_equal(rd(6) & 0xf0, 0x90);
	wr(4, 0);
	assert_int_equal(rd(6) & 0xf0, 0xb0);
	assert_int_equal(rd(2) & 0xc0, 0);
	wr(2, 1);
	assert_int_equal(rd(2) & 0xc0, 0xc0);
	wr(2, 0);
	assert_int_equal(rd(2) & 0xc0, 0);
}

static void the_divisor_hides_behind_dlab(void **state)
{
	wr(3, 0x83);
	wr(0, 0x12);
	wr(1, 0x34);
	assert_int_equal(rd(0), 0x12);
	assert_int_equal(rd(1), 0x34);
	wr(3, 0x03);
	assert_int_equal(rd(1), 0);
	assert_int_equal(nr_sent, 0);
}

static void enabling_the_transmit_interrupt_raises_it_until_iir_is_read(void **state)
{
	wr(1, 2);
	assert_true(irq);
	assert_int_equal(rd(2), 2);
	assert_false(irq);
	assert_int_equal(rd(2), 1);
	wr(0, 'x');
	assert_true(irq);
	wr(1, 0);
	assert_false(irq);
	/* Off and on again raises it anew, as drivers expect. */
	wr(1, 2);
	assert_true(irq);
}

static void received_bytes_interrupt_until_they_are_read(void **state)
{
	wr(2, 0xc1);
	wr(1, 1);
	uart_input(&uart, (const u8 *)"ab", 2);
	assert_true(irq);
	assert_int_equal(rd(2) & 0x0f, 0x0c);
	assert_int_equal(rd(5) & 1, 1);
	assert_int_equal(rd(0), 'a');
	assert_true(irq);
	assert_int_equal(rd(0), 'b');
	assert_false(irq);
	assert_int_equal(rd(5) & 1, 0);
	assert_int_equal(rd(0), 0);
	uart_input(&uart, (const u8 *)"0123456789abcdef", 16);
	assert_int_equal(rd(2) & 0x0f, 0x04);
	wr(2, 0xc3);
	assert_false(irq);
	assert_int_equal(rd(5) & 1, 0);
}

static void a_full_receiver_overruns_and_tells_when_there_is_room(void **state)
{
	u8 fill[UART_RX_SIZE];

	memset(fill, 'z', sizeof(fill));
	assert_int_equal(uart_room(&uart), UART_RX_SIZE);
	uart_input(&uart, fill, sizeof(fill));
	assert_int_equal(uart_room(&uart), 0);
	uart_input(&uart, fill, 1);
	wr(1, 4);
	assert_true(irq);
	assert_int_equal(rd(2) & 0x0f, 0x06);
	assert_int_equal(rd(5) & 2, 2);
	assert_int_equal(rd(5) & 2, 0);
	assert_false(irq);
	assert_int_equal(readies, 0);
	rd(0);
	assert_int_equal(readies, 1);
	rd(0);
	assert_int_equal(readies, 1);
	assert_int_equal(uart_room(&uart), 2);
}

static void loopback_returns_what_is_sent_and_cuts_the_line(void **state)
{
	wr(4, 0x10);
	wr(0, 'q');
	assert_int_equal(nr_sent, 0);
	assert_int_equal(rd(0), 'q');
	uart_input(&uart, (const u8 *)"n", 1);
	assert_int_equal(rd(5) & 1, 0);
}

static void a_reset_forgets_everything(void **state)
{
	uart_input(&uart, (const u8 *)"n", 1);
	wr(1, 0x0f);
	wr(3, 0x83);
	irq = false;
	uart_reset(&uart);
	assert_int_equal(rd(1), 0);
	assert_int_equal(rd(5), 0x60);
	assert_false(irq);
}

/* --- the clock -------------------------------------------------------------------------- */

static struct rtc rtc;
static bool rtc_irq;

static void set_rtc_irq(void *opaque, bool level)
{
	rtc_irq = level;
}

static u32 rtc_rd(u64 off)
{
	return rtc_mmio_ops.read(&rtc, off, 4);
}

static void rtc_wr(u64 off, u32 v)
{
	rtc_mmio_ops.write(&rtc, off, v, 4);
}

static u64 rtc_now(void)
{
	u32 low = rtc_rd(0);

	return (u64)rtc_rd(4) << 32 | low;
}

static int rtc_setup(void **state)
{
	rtc_irq = false;
	return rtc_init(&rtc, set_rtc_irq, NULL);
}

static int rtc_teardown(void **state)
{
	rtc_destroy(&rtc);
	return 0;
}

static void the_clock_is_the_hosts_until_it_is_set(void **state)
{
	u64 before = (u64)time(NULL) * 1000000000ull;
	u64 t = rtc_now();

	assert_true(t >= before && t < before + 3600000000000ull);
	rtc_wr(4, 0x11111111);
	rtc_wr(0, 0x22222222);
	t = rtc_now();
	assert_true(t >= 0x1111111122222222ull);
	assert_true(t < 0x1111111122222222ull + 3600000000000ull);
}

/* The alarm is in the past, so the timer has expired: no test waits for time to pass. */
static void an_alarm_interrupts_once_and_only_if_enabled(void **state)
{
	rtc_wr(0xc, 0);
	rtc_wr(0x8, 1);
	assert_int_equal(rtc_rd(0x18), 1);
	while (rtc_rd(0x18))
		rtc.timer.fn(&rtc.timer);
	assert_false(rtc_irq);
	rtc_wr(0x10, 1);
	assert_true(rtc_irq);
	rtc_wr(0x1c, 0);
	assert_false(rtc_irq);
	rtc.timer.fn(&rtc.timer);
	assert_false(rtc_irq);
}

static void a_cleared_alarm_does_not_come(void **state)
{
	rtc_wr(0x10, 1);
	rtc_wr(0xc, 0);
	rtc_wr(0x8, 1);
	rtc_wr(0x14, 0);
	rtc.timer.fn(&rtc.timer);
	assert_false(rtc_irq);
	assert_int_equal(rtc_rd(0x18), 0);
	/* Times that no timer can be set to. */
	rtc_wr(0xc, 0xffffffff);
	rtc_wr(0x8, 0xffffffff);
	rtc_wr(0xc, 0);
	rtc_wr(0x8, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)
#define C(name) cmocka_unit_test_setup_teardown(name, rtc_setup, rtc_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_written_leaves_and_the_transmitter_is_empty),
		T(it_looks_like_a_16550a),
		T(the_divisor_hides_behind_dlab),
		T(enabling_the_transmit_interrupt_raises_it_until_iir_is_read),
		T(received_bytes_interrupt_until_they_are_read),
		T(a_full_receiver_overruns_and_tells_when_there_is_room),
		T(loopback_returns_what_is_sent_and_cuts_the_line),
		T(a_reset_forgets_everything),
		C(the_clock_is_the_hosts_until_it_is_set),
		C(an_alarm_interrupts_once_and_only_if_enabled),
		C(a_cleared_alarm_does_not_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
