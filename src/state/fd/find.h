/* SPDX-License-Identifier: Apache-2.0 */
/* The name of a file of which only its inode is known. */
#pragma once

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
