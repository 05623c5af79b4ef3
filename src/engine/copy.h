/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cp`: files between containers, and between a container and the host.
 *
 *	r = container_copy(e, &(struct copy_end){.path = "f"}, &(struct copy_end){c, "web", "/tmp"},
 *			   &(struct copy_options){.archive = true});
 *
 * A container that runs is seen as its processes see it; of one that does not the root file system,
 * with its volumes and binds where they will be.  Links are followed as seen from inside, and what
 * is in a container can lead nowhere else.  The container is locked only while it is looked up.
 */
#pragma once

#include "engine/container.h"

struct copy_end {
	struct container *c; /* NULL: the host */
	const char *shown;   /* how the container was named, for errors */
	const char *path;    /* "-": a tar stream, from stdin or to stdout; for the host only */
};

struct copy_options {
	bool overwrite; /* a directory by something else, and the other way around */
	bool archive;	/* what is copied belongs to the container's user, or to the caller */
};

/* Blocking.  Podman's words for what cannot be: a missing source, a directory onto a file. */
int container_copy(struct engine *e, const struct copy_end *from, const struct copy_end *to,
		   const struct copy_options *o) MUST_CHECK;
