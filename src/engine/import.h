/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container from the archive of a checkpoint: `container restore --import`.
 *
 * One pass over the archive puts everything aside and verifies it; then the container is made as
 * `create` makes one, what is aside is renamed into place, and it is restored.  Whatever fails,
 * nothing of it stays.
 */
#pragma once

#include "engine/restore.h"

struct import_checkpoint {
	const char *path; /* or NULL: FD, a pipe or a socket */
	int fd;
	const struct image *image; /* or NULL; instead: engine/image_checkpoint.h */
	const char *previous;	   /* --import-previous, or NULL */
	const char *previous_dir;  /* the same, unpacked already within the store; or NULL */
	const char *name;	   /* a new name, and with it a new ID; NULL: those it had */
	char *const *publish;	   /* instead of its ports, or NULL */
	const char *pod;
	bool ignore_rootfs, ignore_volumes;
	bool trust; /* engine/archive_trust.h */
	/* Before there is a container, and volumes of these names (char *), under this ID; or NULL.
	 */
	int (*announce)(void *arg, const char *id, const GPtrArray *volumes);
	void *announce_arg;
	struct restore_options restore;
	int (*watch)(void *arg, uint64_t bytes); /* as in engine/unpack.h */
	void *watch_arg;
};

/* *RET: the running container. */
int container_import(struct engine *e, const struct import_checkpoint *o, struct container **ret,
		     struct restore_report *ret_report) MUST_CHECK;
