/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the OCI runtime and conmon gave a container before its program ran: the stdio that leads
 * outside, and the mounts.  Taken down between `runtime create` and `runtime start`, when nothing
 * of the container's own has run yet; a checkpoint compares with it, and a restore gets the same
 * from the runtime again.
 *
 * Kept in RUNROOT/containers/ID/box.json: it is true for one boot, like the container.
 */
#pragma once

#include "cr/cryo.h"
#include "engine/container.h"

/* Reads the container's first process, as it is now, and writes the file. */
int box_record(struct engine *e, struct container *c) MUST_CHECK;

struct box {
	char *descriptors[3]; /* what 0-2 were: "/dev/null", "pipe:[123]" ... */
	struct cryo_external externals[3];
	unsigned nexternals;
	char **mounts; /* mount points, NULL-terminated */
	char *keys[3]; /* owned text of externals */
};

/* -ENOENT: the container was made by something else. */
int box_read(struct engine *e, struct container *c, struct box *ret) MUST_CHECK;
void box_clear(struct box *b);

/*
 * How a restore names the stub's own 0-2 (cryo_restore_options.inherits): by our names for them,
 * and by those that pipes have in images for runtimes, what 0-2 WERE (each may be NULL; borrowed).
 */
void box_add_inherits(GArray *inherits, char *const were[3]);
