/* SPDX-License-Identifier: Apache-2.0 */
/* Fundamental macros: cleanup, ownership transfer.  Memory is GLib's: g_autofree, g_autoptr. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define CLEANUP(fn)	  __attribute__((cleanup(fn)))
#define MUST_CHECK	  __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define ROUND_UP(x, to)	  (((x) + (to)-1) / (to) * (to))
#define ROUND_DOWN(x, to) ((x) / (to) * (to))

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* autoclose int fd = -1; closes at the end of the scope unless given away by take_fd(). */
#define autoclose CLEANUP(cleanup_close)

/* The caller owns the descriptor now; the variable is disarmed. */
static inline int take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}
