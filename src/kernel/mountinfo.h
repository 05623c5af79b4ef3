/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/mountinfo (proc(5)). */
#pragma once

#include "base/err.h"

struct mount_entry { /* strings are unescaped and belong to the table */
	int id, parent;
	uint32_t major, minor;
	const char *root;		    /* the directory of the file system that is mounted */
	const char *target;		    /* where, relative to the process's root directory */
	const char *options;		    /* per mount */
	int shared, master, propagate_from; /* peer group ids, 0: none */
	bool unbindable;
	const char *fstype, *source;
	const char *sb_options; /* per file system */
};

struct mountinfo {
	struct mount_entry *v;
	size_t n;
	char *text;
};

int mountinfo_read(int dir, struct mountinfo *ret) MUST_CHECK;
int mountinfo_parse(char *text_take, struct mountinfo *ret) MUST_CHECK;
void mountinfo_clear(struct mountinfo *m);

const struct mount_entry *mountinfo_by_id(const struct mountinfo *m, int id);

/* The topmost mount exactly at TARGET, or NULL. */
const struct mount_entry *mountinfo_at(const struct mountinfo *m, const char *target);

/*
 * O lies on M: mounted at its place or above, but not what it is mounted on.  What is covered by
 * any is reached by no path.
 */
bool mountinfo_covers(const struct mountinfo *all, const struct mount_entry *o,
		      const struct mount_entry *m);
/* The same of PATH, which is on M. */
bool mountinfo_hides(const struct mountinfo *all, const struct mount_entry *o,
		     const struct mount_entry *m, const char *path);
bool mountinfo_is_covered(const struct mountinfo *all, const struct mount_entry *m);

/* True when the comma-separated OPTIONS hold NAME; *RET_VALUE (or NULL) is what follows "NAME=". */
bool mount_option(const char *options, const char *name, char **ret_value);
