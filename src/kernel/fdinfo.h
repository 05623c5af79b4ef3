/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/fdinfo/N.  The four common fields are parsed; all other lines are given as they are, so
 * that each kind of descriptor reads its own.
 *
 * A line's key is its first word up to ':' or blank; its value is the rest:
 *	"eventfd-count:   3"		-> "eventfd-count", "3"
 *	"inotify wd:1 ino:3f sdev:..."	-> "inotify", "wd:1 ino:3f sdev:..."
 *	"settime flags: 01"		-> "settime", "flags: 01"
 *	"tfd:    5 events: 19 data: 5"	-> "tfd", "5 events: 19 data: 5"
 */
#pragma once

#include "base/err.h"

struct fdinfo_line {
	const char *key, *value;
};

struct fdinfo {
	int tfd;
	uint64_t pos;
	unsigned flags; /* O_*, including O_CLOEXEC (which is the descriptor's, not the file's) */
	int mnt_id;
	uint64_t ino; /* 0 before Linux 5.14 */
	size_t n;
	struct fdinfo_line *lines;
	char *text;
};

int fdinfo_read(int dir, int tfd, struct fdinfo *ret) MUST_CHECK;
void fdinfo_clear(struct fdinfo *f);

/* The value of the first line KEY, or NULL. */
const char *fdinfo_get(const struct fdinfo *f, const char *key);

/* A number of that line.  -EBADMSG when it is missing or malformed. */
int fdinfo_u64(const struct fdinfo *f, const char *key, int base, uint64_t *ret) MUST_CHECK;

/*
 * For lines that come many times: *AT starts at 0; the next value of KEY, or NULL at the end.
 */
const char *fdinfo_next(const struct fdinfo *f, const char *key, size_t *at);

/*
 * "name:value" inside a line, blanks after the colon allowed ("ino:3f", "events:       19").  The
 * number's BASE as the kernel prints it.  -EBADMSG when it is missing or malformed.
 */
int fdinfo_field(const char *value, const char *name, int base, uint64_t *ret) MUST_CHECK;
