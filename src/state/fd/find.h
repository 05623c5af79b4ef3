/* SPDX-License-Identifier: Apache-2.0 */
/* The name of a file of which only its inode is known. */
#pragma once

#include "image/fh.pb-c.h"
#include "state/dump.h"

#include <fcntl.h>

struct find_key {
	unsigned major, minor; /* of the file system, as mountinfo has them */
	uint64_t ino;
	struct file_handle *handle; /* may be NULL */
};

/*
 * A name in the tree's mount namespace, the caller's; false: it has none that we can find.  May
 * walk whole file systems: ask it while looking, so that the answer is known when the tree is
 * frozen.
 */
bool find_name(struct dump *d, const struct find_key *k, char **ret_name) MUST_CHECK;

/* The handle in a line of inotify or fanotify; the record is allocated.  Empty if there is none. */
int find_handle(const char *line, FhEntry **ret) MUST_CHECK;

/*
 * The same of such a line, for E->path; if it is in a mount namespace inside of the tree, E->mnt_id
 * is one of its mounts.  SDEV is the kernel's own dev_t, 12 bits and 20.
 */
bool find_watched_name(struct dump *d, uint32_t sdev, uint64_t ino, FhEntry *e) MUST_CHECK;
