/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors.
 *
 * A function that can fail returns a negative errno and has by then said why with one of the
 * functions below.  Nothing is printed until the edge of the program calls err_message().
 *
 *	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
 *	if (fd < 0)
 *		return err_errno("open %s", name);		// the origin
 *	...
 *	r = image_open(dir, "core.img", &img);
 *	if (r < 0)
 *		return err_wrap(r, "task %d", pid);		// more context
 *
 * gives "task 12: open core.img: no such file or directory".
 *
 * Positive return values are never errors: each function documents its own.
 *
 * The story lives in a fixed per-thread buffer that is filled from the back, so describing a
 * failure allocates nothing and works in a forked child; err_adopt() takes a child's story over.
 */
#pragma once

#include "base/base.h"

/* Starts a new story.  CODE is an errno, of either sign; returns it negative. */
int err_set(int code, const char *fmt, ...) PRINTF_LIKE(2, 3) __attribute__((cold));

/* Starts a new story from errno: "<text>: <strerror, in small letters>".  Returns -errno. */
int err_errno(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((cold));

/* The same for an error number that a function returned instead of setting errno. */
int err_code(int code, const char *fmt, ...) PRINTF_LIKE(2, 3) __attribute__((cold));

/* Puts context in front of the story: "<text>: <story>".  Returns R. */
int err_wrap(int r, const char *fmt, ...) PRINTF_LIKE(2, 3) __attribute__((cold));

/* Takes over a story that came from another process. */
int err_adopt(int code, const char *story) __attribute__((cold));

/* The story so far, without the program's "Error: "; valid until the next err_ call here. */
const char *err_message(void);
void err_clear(void);

/*
 * For clean-up functions, which run after a failure and may fail themselves: the story so far is
 *the story again at the end of the scope.
 *
 *	ERR_KEEP;
 */
struct err_kept {
	char *story;
};
struct err_kept err_keep(void);
void err_kept_restore(struct err_kept *k);
#define ERR_KEEP CLEANUP(err_kept_restore) struct err_kept err_kept_ = err_keep()
