/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory tree made equal to another one, in passes: the first copies everything while the
 * source may change, the next one copies what has changed since, which is quick.
 *
 *	CLEANUP(treesync_free) struct treesync *s = NULL;
 *
 *	s = treesync_new(from_dir, to_dir);
 *	r = treesync_pass(s);		// slow
 *	... freeze who writes ...
 *	r = treesync_pass(s);		// now TO is exactly FROM
 *
 * Owners, modes, extended attributes (overlayfs's own as well), times, hard links, holes, devices
 * and whiteouts are kept.  Data is shared where the file system can (FICLONE).  Never follows
 *links, never leaves the two trees, never enters another mount.
 */
#pragma once

#include "base/err.h"

struct treesync;

/* FROM and TO are borrowed directory handles. */
struct treesync *treesync_new(int from, int to);
int treesync_pass(struct treesync *s) MUST_CHECK;
/* Bytes of file content that the last pass copied, and all that is there. */
uint64_t treesync_copied(const struct treesync *s);
uint64_t treesync_total(const struct treesync *s);
void treesync_free(struct treesync **s);
