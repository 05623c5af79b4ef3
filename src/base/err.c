/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Context that does not fit is dropped at the front, where it is the least specific. */
static _Thread_local char story[4096];
static _Thread_local size_t start = sizeof(story) - 1;

void err_clear(void)
{
	start = sizeof(story) - 1;
}

const char *err_message(void)
{
	return story + start;
}

static void prepend(const char *text, size_t len)
{
	if (len > start) {
		text += len - start;
		len = start;
	}
	start -= len;
	memcpy(story + start, text, len);
}

static void vprepend(const char *sep, const char *fmt, va_list ap)
{
	char line[2048];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = sizeof(line) - 1;
	prepend(sep, strlen(sep));
	prepend(line, (size_t)n);
}

/* FMT's arguments may point into the story itself, so the text is made before it is cleared. */
static void vrestart(const char *tail, const char *fmt, va_list ap)
{
	char line[2048];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	err_clear();
	prepend(tail, strlen(tail));
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line))
		n = sizeof(line) - 1;
	if (*tail)
		prepend(": ", 2);
	prepend(line, (size_t)n);
}

/* "No such file" -> "no such file", the spelling of Go's programs; names like "RPC" stay. */
static const char *reason(int code)
{
	static _Thread_local char text[128];

	g_strlcpy(text, strerror(code), sizeof(text));
	if (g_ascii_isupper(text[0]) && !g_ascii_isupper(text[1]))
		text[0] = g_ascii_tolower(text[0]);
	return text;
}

int err_set(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vrestart("", fmt, ap);
	va_end(ap);
	return code < 0 ? code : -code;
}

int err_errno(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vrestart(reason(saved), fmt, ap);
	va_end(ap);
	return -saved;
}

int err_code(int code, const char *fmt, ...)
{
	int positive = code < 0 ? -code : code;
	va_list ap;

	va_start(ap, fmt);
	vrestart(reason(positive), fmt, ap);
	va_end(ap);
	return -positive;
}

int err_wrap(int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprepend(": ", fmt, ap);
	va_end(ap);
	return r;
}

int err_adopt(int code, const char *text)
{
	return err_set(code, "%s", text);
}

struct err_kept err_keep(void)
{
	return (struct err_kept){g_strdup(err_message())};
}

void err_kept_restore(struct err_kept *k)
{
	err_clear();
	prepend(k->story, strlen(k->story));
	g_free(k->story);
}
