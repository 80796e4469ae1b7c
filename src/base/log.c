/* SPDX-License-Identifier: MIT */
/*
 * Log lines and trace lines. See log.h and trace.h.
 *
 * The environment is read once, by whichever thread comes first; two threads that read it
 * at the same time store the same value.
 */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/trace.h"

static int log_level = -1;

static const struct {
	const char *name;
	enum sv_log_level level;
} log_names[] = {
	{ "none", SV_LOG_NONE }, { "err", SV_LOG_ERR }, { "error", SV_LOG_ERR },
	{ "warn", SV_LOG_WARN }, { "warning", SV_LOG_WARN }, { "info", SV_LOG_INFO },
	{ "dbg", SV_LOG_DBG }, { "debug", SV_LOG_DBG },
};

static enum sv_log_level log_level_from_environment(void)
{
	const char *s = getenv("SOFTVIRT_LOG");

	if (!s || !*s)
		return SV_LOG_WARN;
	for (size_t i = 0; i < ARRAY_SIZE(log_names); i++)
		if (!strcmp(s, log_names[i].name))
			return log_names[i].level;
	/* The level must be known before the complaint, which asks for it. */
	__atomic_store_n(&log_level, SV_LOG_WARN, __ATOMIC_RELAXED);
	sv_warn("SOFTVIRT_LOG=%s is no level: use none, err, warn, info or debug", s);
	return SV_LOG_WARN;
}

enum sv_log_level sv_log_level(void)
{
	int level = __atomic_load_n(&log_level, __ATOMIC_RELAXED);

	if (unlikely(level < 0)) {
		level = log_level_from_environment();
		__atomic_store_n(&log_level, level, __ATOMIC_RELAXED);
	}
	return (enum sv_log_level)level;
}

void sv_log_set_level(enum sv_log_level level)
{
	__atomic_store_n(&log_level, (int)level, __ATOMIC_RELAXED);
}

void sv_vlog(const char *prefix, const char *fmt, va_list ap)
{
	int saved = errno;
	char line[1024];
	size_t n, room = sizeof(line) - 1;
	int len;

	len = snprintf(line, room, "softvirt: %s", prefix);
	n = len < 0 ? 0 : min((size_t)len, room - 1);
	len = vsnprintf(line + n, room - n, fmt, ap);
	if (len > 0)
		n = min(n + (size_t)len, room - 1);
	/* What a guest or a file may have put into the message must not drive a terminal. */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
		;
	errno = saved;
}

void sv_log(enum sv_log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = { "", "", "warning: ", "", "debug: " };
	va_list ap;

	va_start(ap, fmt);
	sv_vlog(prefix[level], fmt, ap);
	va_end(ap);
}

bool sv_trace_match(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (n && list[n - 1] == '*' ? n - 1 <= len && !strncmp(list, name, n - 1) :
		    n == len && !strncmp(list, name, n))
			return true;
		list += n;
		list += *list == ',';
	}
	return false;
}

void sv_trace_slow(struct sv_tracepoint *tp, const char *fmt, ...)
{
	u8 state = __atomic_load_n(&tp->state, __ATOMIC_RELAXED);
	struct timespec ts;
	char prefix[96];
	int saved = errno;
	va_list ap;

	if (state == SV_TRACE_UNKNOWN) {
		state = sv_trace_match(getenv("SOFTVIRT_TRACE"), tp->name) ? SV_TRACE_ON :
			SV_TRACE_OFF;
		__atomic_store_n(&tp->state, state, __ATOMIC_RELAXED);
	}
	if (state == SV_TRACE_ON) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		snprintf(prefix, sizeof(prefix), "[%lld.%06ld %ld] %s: ", (long long)ts.tv_sec,
			 ts.tv_nsec / 1000, (long)syscall(SYS_gettid), tp->name);
		va_start(ap, fmt);
		sv_vlog(prefix, fmt, ap);
		va_end(ap);
	}
	errno = saved;
}
