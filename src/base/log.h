/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics for people who asked for them with --log-level; never errors, which travel by
 * err.h.  One line each: time="..." level=debug msg="...".  The level is a program-wide setting.
 */
#pragma once

#include "base/base.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

extern enum log_level log_threshold; /* LOG_WARN at the start */

/* Where lines go; -1 is stderr.  The descriptor stays the caller's. */
void log_to_fd(int fd);

/*
 * Between the two, lines for log_to_fd()'s file are written together: a write to a file takes as
 * long as what most of them tell of.  Warnings, and lines of other processes, are written at once;
 * the others at the latest with the first line after LOG_HELD_US.  log_release() is for CLEANUP().
 */
#define LOG_HELD_US 100000
typedef bool log_held;
log_held log_hold(void);
void log_release(log_held *held);

/* Prints lines in another shape; NULL: as above. */
extern void (*log_printer)(enum log_level level, const char *text);

/* Parses "debug", "info", "warn"/"warning", "error", "fatal", "panic", "trace"; -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret) MUST_CHECK;

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if ((level) >= log_threshold)                                                      \
			log_line(level, __VA_ARGS__);                                              \
	} while (0)
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
