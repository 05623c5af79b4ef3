/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has changed in a tree of files since it was looked at last, for whoever has a copy of it.
 *
 *	CLEANUP(treedelta_free) struct treedelta *d = treedelta_new(dir);
 *
 *	r = treedelta_pass(d, NULL, false, NULL, NULL);	// as it is now: then copy all of it
 *	...
 *	r = treedelta_pass(d, NULL, true, changed, gone);	// since then; copy that
 *
 * What tells is the time of an inode's last change, with the same care as in base/treesync.h: one
 * that is fresh does not count, and what is dirty is written out by a pass, so that further writes
 * through a mapping are seen.  The last pass, with everything frozen, need not do that.
 */
#pragma once

#include "base/err.h"

#include <glib.h>

struct treedelta;

struct treedelta *treedelta_new(int root); /* borrowed */
void treedelta_free(struct treedelta **d);

/*
 * PATHS: all that is there, relative to the root, "" being the root itself; NULL: it is looked
 * through.  To CHANGED and GONE (char *, g_free) go those that are new or other, in their order,
 * and those that are there no more.  FROZEN: nobody writes.
 */
int treedelta_pass(struct treedelta *d, const GPtrArray *paths, bool frozen, GPtrArray *changed,
		   GPtrArray *gone) MUST_CHECK;
