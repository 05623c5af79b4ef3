/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of `cp`; nobody else includes this. */
#pragma once

#include "engine/copy.h"
#include "engine/rootfs_look.h"

#include <sys/stat.h>

/* A file system to look into: the host's, or a container's. */
struct copy_view {
	struct engine *e;
	struct container *c;
	int root; /* O_PATH */
	int ns;	  /* the mount namespace that the mounts of a container that is not running live in,
		     or -1 */
	struct rootfs_look look; /* of such a container */
};
#define COPY_VIEW_NONE ((struct copy_view){.root = -1, .ns = -1})

/* C: NULL for the host; a container is locked, if it does not run until the view is closed. */
int copy_view_open(struct engine *e, struct container *c, struct copy_view *ret) MUST_CHECK;
void copy_view_close(struct copy_view *v);

/* Something in a view, which may not exist yet. */
struct copy_spot {
	int parent, fd; /* the directory that it is in; itself (O_PATH), or -1 */
	char *base;	/* its name there, links followed; "." for a root */
	char *name;	/* as it was typed */
	char *shown;	/* absolute, as it was typed */
	struct stat st; /* if FD >= 0 */
	bool slash;	/* a slash at the end: a directory is meant */
	bool contents;	/* "." at the end: what is in it is meant */
};
#define COPY_SPOT_NONE ((struct copy_spot){.parent = -1, .fd = -1})

/* Relative to the working directory.  -ENOENT: not even the directory exists that it is in. */
int copy_spot_find(const struct copy_view *v, const char *path, struct copy_spot *ret) MUST_CHECK;
void copy_spot_clear(struct copy_spot *s);
