/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of unix sockets in the file system of the tree.  All do nothing for abstract names.
 *
 * A name that is needed only for a moment:
 *
 *	CLEANUP(unix_name_back) struct unix_name n = UNIX_NAME_NONE;
 *
 *	r = unix_name_aside(r, e, &n);	// whatever has the name is moved aside
 *	... bind, connect ...
 *					// the socket is unlinked, what was there comes back
 */
#pragma once

#include "image/sk-unix.pb-c.h"
#include "state/restore.h"

#include <sys/socket.h>
#include <sys/un.h>

socklen_t unix_name_addr(const UnixSkEntry *e, struct sockaddr_un *ret);
/* Where a relative name begins, or an absolute one of a task with its own root; or NULL. */
const char *unix_name_dir(const UnixSkEntry *e);
/* Static buffer. */
const char *unix_name_show(const UnixSkEntry *e);

#define NAME_BYTES 256 /* NAME_MAX and its end */

struct unix_name {
	int dir; /* -1: nothing to do */
	char base[NAME_BYTES], aside[NAME_BYTES + 8];
	bool moved;
	GPtrArray *made; /* paths of directories that are there for the moment only, or NULL */
	int root;	 /* that those begin at, borrowed */
	uid_t uid;	 /* the root of the tree's users */
	gid_t gid;
};
#define UNIX_NAME_NONE ((struct unix_name){.dir = -1})

int unix_name_aside(struct restore *r, const UnixSkEntry *e, struct unix_name *ret) MUST_CHECK;
void unix_name_back(struct unix_name *n);
/* The socket gets the name TO, in place of the one that had it when it was saved; NULL: none. */
int unix_name_move(struct restore *r, const UnixSkEntry *e, const struct unix_name *n,
		   const char *to) MUST_CHECK;

/* Removes the socket that has the name: the one that is bound again. */
int unix_name_free(struct restore *r, const UnixSkEntry *e) MUST_CHECK;

/* Owner and mode of what has just been bound. */
int unix_name_own(struct restore *r, const UnixSkEntry *e) MUST_CHECK;

/* An address for us of the socket that has the name now; HOLD is open as long as it is used. */
int unix_name_reach(struct restore *r, const UnixSkEntry *e, struct sockaddr_un *ret,
		    socklen_t *ret_len, int *ret_hold) MUST_CHECK;
