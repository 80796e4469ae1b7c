/* SPDX-License-Identifier: MIT */
/*
 * Messages to stderr: one line and one write each, so that lines of several threads never
 * mix. SOFTVIRT_LOG is err, warn (the default), info, debug or none. A message has no
 * newline of its own; characters that would disturb a terminal are shown as '?'. errno is
 * preserved. Not for signal handlers.
 */
#ifndef SV_BASE_LOG_H
#define SV_BASE_LOG_H

#include <stdarg.h>

#include "base/types.h"

enum sv_log_level { SV_LOG_NONE, SV_LOG_ERR, SV_LOG_WARN, SV_LOG_INFO, SV_LOG_DBG };

/* The level as the environment said it, read once. */
enum sv_log_level sv_log_level(void);
void sv_log_set_level(enum sv_log_level level);
void sv_log(enum sv_log_level level, const char *fmt, ...) sv_printf(2, 3) sv_cold;
void sv_vlog(const char *prefix, const char *fmt, va_list ap) sv_printf(2, 0) sv_cold;

#define SV_LOG_IF(level, ...) do { \
	if (unlikely(sv_log_level() >= (level))) \
		sv_log(level, __VA_ARGS__); \
} while (0)
#define sv_err(...) SV_LOG_IF(SV_LOG_ERR, __VA_ARGS__)
#define sv_warn(...) SV_LOG_IF(SV_LOG_WARN, __VA_ARGS__)
#define sv_info(...) SV_LOG_IF(SV_LOG_INFO, __VA_ARGS__)
#define sv_dbg(...) SV_LOG_IF(SV_LOG_DBG, __VA_ARGS__)
/* At most once for each place in the program. */
#define sv_warn_once(...) do { \
	static bool _done; \
	if (!__atomic_exchange_n(&_done, true, __ATOMIC_RELAXED)) \
		sv_warn(__VA_ARGS__); \
} while (0)

#endif
