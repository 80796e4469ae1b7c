/* SPDX-License-Identifier: MIT */
/*
 * Trace points: sv_trace("kvm.run", "vcpu %u exit %u", id, reason) writes a line with time
 * and thread to stderr when SOFTVIRT_TRACE lists the name: names separated by commas, a
 * trailing '*' matches any end ("kvm.*,file.ioctl"), "*" is everything. Off, a point costs
 * one load and a branch that is never taken.
 */
#ifndef SV_BASE_TRACE_H
#define SV_BASE_TRACE_H

#include "base/types.h"

enum { SV_TRACE_UNKNOWN, SV_TRACE_OFF, SV_TRACE_ON };

struct sv_tracepoint {
	const char *name;
	u8 state;
};

void sv_trace_slow(struct sv_tracepoint *tp, const char *fmt, ...) sv_printf(2, 3) sv_cold;
/* Does the list (of SOFTVIRT_TRACE's form) hold this name? */
bool sv_trace_match(const char *list, const char *name);

#define sv_trace(point, ...) do { \
	static struct sv_tracepoint _tp = { .name = (point) }; \
	if (unlikely(__atomic_load_n(&_tp.state, __ATOMIC_RELAXED) != SV_TRACE_OFF)) \
		sv_trace_slow(&_tp, __VA_ARGS__); \
} while (0)

#endif
