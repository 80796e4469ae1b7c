/* SPDX-License-Identifier: MIT */
#include "vmm/rtc.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* The registers, as the Linux driver names them. */
#define RTC_TIME_LOW		0x00
#define RTC_TIME_HIGH		0x04
#define RTC_ALARM_LOW		0x08
#define RTC_ALARM_HIGH		0x0c
#define RTC_IRQ_ENABLED		0x10
#define RTC_CLEAR_ALARM		0x14
#define RTC_ALARM_STATUS	0x18
#define RTC_CLEAR_INTERRUPT	0x1c

static u64 rtc_host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void rtc_update(struct rtc *r)
{
	bool irq = r->pending && r->irq_enabled;

	if (irq != r->irq) {
		r->irq = irq;
		r->set_irq(r->opaque, irq);
	}
}

/* Sets the timerfd to what the alarm's registers say, or off. */
static void rtc_arm(struct rtc *r, bool on)
{
	u64 when = ((u64)r->alarm_high << 32 | r->alarm_low) - r->offset;
	struct itimerspec its = { 0 };

	r->armed = on;
	if (on) {
		/* A time of 0 would disarm, one beyond s64 be refused: the first and last instant. */
		when = when && (s64)when > 0 ? when : 1;
		its.it_value.tv_sec = when / 1000000000ull;
		its.it_value.tv_nsec = when % 1000000000ull;
	}
	timerfd_settime(r->timer.fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void rtc_expired(struct loop_source *s)
{
	struct rtc *r = container_of(s, struct rtc, timer);
	u64 n;

	sv_mutex_lock(&r->lock);
	/* Nothing to read: the alarm was changed after the loop had seen it expire. */
	if (read(s->fd, &n, sizeof(n)) == sizeof(n) && r->armed) {
		r->armed = false;
		r->pending = true;
		rtc_update(r);
	}
	sv_mutex_unlock(&r->lock);
}

int rtc_init(struct rtc *r, void (*set_irq)(void *opaque, bool level), void *opaque)
{
	memset(r, 0, sizeof(*r));
	r->timer.fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->timer.fd < 0)
		return -errno;
	r->timer.fn = rtc_expired;
	r->set_irq = set_irq;
	r->opaque = opaque;
	sv_mutex_init(&r->lock);
	return 0;
}

void rtc_destroy(struct rtc *r)
{
	if (r->timer.fn)
		close(r->timer.fd);
	r->timer.fn = NULL;
}

void rtc_reset(struct rtc *r)
{
	sv_mutex_lock(&r->lock);
	rtc_arm(r, false);
	r->alarm_low = r->alarm_high = r->write_high = 0;
	r->irq_enabled = r->pending = r->irq = false;
	sv_mutex_unlock(&r->lock);
}

static u64 rtc_read(void *dev, u64 off, unsigned int size)
{
	struct rtc *r = dev;
	u64 now;
	u32 v = 0;

	sv_mutex_lock(&r->lock);
	switch (off) {
	case RTC_TIME_LOW:
		now = rtc_host_now() + r->offset;
		r->time_high = now >> 32;
		v = now;
		break;
	case RTC_TIME_HIGH:
		v = r->time_high;
		break;
	case RTC_ALARM_LOW:
		v = r->alarm_low;
		break;
	case RTC_ALARM_HIGH:
		v = r->alarm_high;
		break;
	case RTC_IRQ_ENABLED:
		v = r->irq_enabled;
		break;
	case RTC_ALARM_STATUS:
		v = r->armed;
		break;
	}
	sv_mutex_unlock(&r->lock);
	return v;
}

static void rtc_write(void *dev, u64 off, u64 val, unsigned int size)
{
	struct rtc *r = dev;
	u32 v = val;

	sv_mutex_lock(&r->lock);
	switch (off) {
	case RTC_TIME_HIGH:
		r->write_high = v;
		break;
	case RTC_TIME_LOW:
		r->offset = ((u64)r->write_high << 32 | v) - rtc_host_now();
		if (r->armed)
			rtc_arm(r, true);
		break;
	case RTC_ALARM_HIGH:
		r->alarm_high = v;
		break;
	case RTC_ALARM_LOW:
		r->alarm_low = v;
		rtc_arm(r, true);
		break;
	case RTC_IRQ_ENABLED:
		r->irq_enabled = v & 1;
		break;
	case RTC_CLEAR_ALARM:
		rtc_arm(r, false);
		break;
	case RTC_CLEAR_INTERRUPT:
		r->pending = false;
		break;
	}
	rtc_update(r);
	sv_mutex_unlock(&r->lock);
}

const struct mmio_ops rtc_mmio_ops = { rtc_read, rtc_write };
