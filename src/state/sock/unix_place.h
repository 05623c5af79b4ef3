/* SPDX-License-Identifier: Apache-2.0 */
/* The file that a unix socket is bound to, and whether it could be bound to its name again. */
#pragma once

#include "state/sock/sock.h"

#include <sys/stat.h>

struct unix_place {
	char *link; /* from the root of the mount namespace */
	struct stat st;
	bool deleted;
	bool read_only;	 /* what it is in, by now */
	bool moved;	 /* it was renamed after bind(2): it will be again */
	int mnt_id;	 /* -1: not known */
	json_t *covered; /* something is mounted over its directory: covered_look_at(); or NULL */
};

void unix_place_clear(struct unix_place *p);
int unix_place_read(const struct dump *d, const struct sock_view *s, struct unix_place *ret)
	MUST_CHECK;
/* *RET_DIR: where a relative name begins, or the root of an absolute one, if that is not ours. */
int unix_place_check(struct dump *d, const struct sock_view *s, const struct diag_unix *u,
		     struct unix_place *p, char **ret_dir) MUST_CHECK;
