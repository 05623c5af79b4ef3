/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's root file system has become, as an image or as a tar file. */
#pragma once

#include "engine/container.h"
#include "engine/image.h"

struct commit_options {
	const char *reference;	      /* the new image's name, or NULL: none */
	const char *author, *message; /* or NULL */
	char *const *changes;	      /* Dockerfile instructions, or NULL */
	bool volumes;		      /* its volumes become the image's */
	bool squash;		      /* one layer of everything, instead of one more */
	bool docker;		      /* Docker\'s format instead of OCI\'s */
	bool pause;		      /* nothing changes meanwhile */
};

/*
 * `commit`: the layers of the container's image and one of its changes, with its command,
 * environment, user, labels, ports and directory.  Whatever state the container is in stays.
 */
int container_commit(struct engine *e, struct container *c, const struct commit_options *o,
		     struct image *ret) MUST_CHECK;

/* `export`: all files, without mounts, as a tar file to FD. */
int container_export(struct engine *e, struct container *c, int fd) MUST_CHECK;
