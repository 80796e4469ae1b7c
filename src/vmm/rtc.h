/* SPDX-License-Identifier: MIT */
/*
 * The goldfish real-time clock (Linux: drivers/rtc/rtc-goldfish.c, "google,goldfish-rtc"): the
 * time in nanoseconds since 1970 as two 32-bit registers, and one alarm.
 *
 * Reading the low half latches the high one. Writing the time moves the guest's clock, not
 * the host's: the difference is kept. The alarm is a timerfd in the main loop.
 *
 * rtc->lock covers the registers; the PLIC's lock nests inside.
 */
#ifndef SV_VMM_RTC_H
#define SV_VMM_RTC_H

#include "base/sync.h"
#include "base/types.h"
#include "vmm/loop.h"
#include "vmm/mmio.h"

struct rtc {
	struct sv_mutex lock;
	void (*set_irq)(void *opaque, bool level);
	void *opaque;
	struct loop_source timer;
	s64 offset;		/* the guest's time less the host's */
	u32 time_high;		/* latched */
	u32 write_high;
	u32 alarm_low, alarm_high;
	bool armed;
	bool irq_enabled;
	bool pending;
	bool irq;
};

int rtc_init(struct rtc *r, void (*set_irq)(void *opaque, bool level), void *opaque);
void rtc_destroy(struct rtc *r);
void rtc_reset(struct rtc *r);

extern const struct mmio_ops rtc_mmio_ops;

#endif
