/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one k8s-file log, which conmon may be writing. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct logline {
	int64_t time_ns;
	const char *stamp; /* as it stands in the file; not terminated */
	size_t stamp_len;
	bool stderr_, partial; /* PARTIAL: the next one of the same stream continues it */
	const char *text;
	size_t len; /* without the newline */
};

/* LINE without its newline.  0; -EBADMSG for what conmon did not write. */
int logline_parse(const char *line, size_t len, struct logline *ret) MUST_CHECK;

/* "2026-11-21T07:35:53.708228545+00:00" (any RFC 3339) in nanoseconds.  -EINVAL. */
int logline_parse_stamp(const char *s, size_t len, int64_t *ret_ns) MUST_CHECK;

struct logfile {
	char *path;
	int fd; /* -1: not there yet */
	ino_t ino;
	off_t at;      /* what comes next */
	off_t limit;   /* no further than here; 0: whatever comes */
	GString *rest; /* read, but not a whole line yet */
	gsize taken;   /* of REST */
	struct logline line;
	bool have; /* LINE is valid and was not consumed */
};

void logfile_init(struct logfile *f, const char *path);
void logfile_clear(struct logfile *f);

/* Skips to the last N lines (lines as the program wrote them, however many parts). */
int logfile_tail(struct logfile *f, int64_t n) MUST_CHECK;

/*
 * Makes LINE the next one: 1; 0: nothing more for now.  A file that was rotated away or cut is read
 * to its end and then from the new one's start.  Lines that are not conmon's are left out.
 */
int logfile_next(struct logfile *f) MUST_CHECK;
