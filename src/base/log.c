/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum log_level log_threshold = LOG_WARN;
void (*log_printer)(enum log_level level, const char *text);
static int log_fd = -1;

static const struct {
	const char *name;
	enum log_level level;
} names[] = {
	{"trace", LOG_TRACE}, {"debug", LOG_DEBUG}, {"info", LOG_INFO},	  {"warning", LOG_WARN},
	{"warn", LOG_WARN},   {"error", LOG_ERROR}, {"fatal", LOG_ERROR}, {"panic", LOG_ERROR},
};

/* Lines that are held, by whom, since when; NULL: none are. */
static GString *held;
static pid_t holder;
static gint64 held_since;
static GMutex held_lock;

void log_to_fd(int fd)
{
	log_fd = fd;
}

/* One write, so that lines of several processes do not mix; a full log is nobody's error. */
static void put(const GString *text)
{
	if (text->len && write(log_fd >= 0 ? log_fd : STDERR_FILENO, text->str, text->len) < 0)
		return;
}

log_held log_hold(void)
{
	if (held || log_fd < 0)
		return false;
	holder = getpid();
	held_since = g_get_monotonic_time();
	held = g_string_new(NULL);
	return true;
}

void log_release(log_held *h)
{
	ERR_KEEP;
	GString *text;

	if (!*h || holder != getpid())
		return;
	g_mutex_lock(&held_lock);
	text = g_steal_pointer(&held);
	g_mutex_unlock(&held_lock);
	put(text);
	g_string_free(text, TRUE);
	*h = false;
}

/* False: LINE is to be written now; what was held before it has been. */
static bool hold(enum log_level level, const GString *line)
{
	gint64 now = g_get_monotonic_time();
	bool kept = false;

	if (!held || holder != getpid())
		return false;
	g_mutex_lock(&held_lock);
	if (held && (level >= LOG_WARN || now - held_since > LOG_HELD_US)) {
		put(held);
		g_string_truncate(held, 0);
		held_since = now;
	} else if (held) {
		g_string_append_len(held, line->str, (gssize)line->len);
		kept = true;
	}
	g_mutex_unlock(&held_lock);
	return kept;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(name, names[i].name)) {
			*ret = names[i].level;
			return 0;
		}
	return err_set(EINVAL,
		       "Log Level \"%s\" is not supported, choose from: trace, debug, info, warn, "
		       "warning, error, fatal, panic",
		       name);
}

static const char *level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].level == level)
			return names[i].name;
	return "info";
}

void log_line(enum log_level level, const char *fmt, ...)
{
	g_autoptr(GString) line = g_string_new(NULL);
	g_autofree char *text = NULL, *quoted = NULL;
	struct timespec now;
	struct tm tm;
	char when[64];
	va_list ap;

	va_start(ap, fmt);
	text = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	if (log_printer) {
		log_printer(level, text);
		return;
	}
	quoted = g_strescape(text, NULL);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	g_string_printf(line, "time=\"%s.%06ldZ\" level=%s msg=\"%s\"\n", when, now.tv_nsec / 1000,
			level_name(level), quoted);
	if (!hold(level, line))
		put(line);
}
