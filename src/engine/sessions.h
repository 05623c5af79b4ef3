/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exec sessions as part of a checkpoint.
 *
 * A session's first process is a child of a conmon of its own, outside of the container: for
 * libcryo it is a guest.  Its terminal, stdout and stderr lead to that conmon, so they are
 * external; its stdin is a pipe like any other, which brings along what the process has not read
 * yet and then says that there is no more.
 *
 * At restore each session gets a conmon again, under the same ID, which executes the stub in the
 * box; libcryo thaws the guest into it.  Nobody is attached; what it prints is dropped; a terminal
 * is a living one.
 */
#pragma once

#include "cr/cryo.h"
#include "engine/container.h"

struct sessions {
	GArray *guests;	   /* struct cryo_guest: name = the session's ID */
	GArray *externals; /* struct cryo_external: "ID.stdout", "ID.stderr", "ID.tty" */
	GPtrArray *text;   /* owns the strings of both */
	GArray *conmons;   /* struct proc */
	json_t *terminals; /* {ID: number of its terminal} */
};
#define SESSIONS_NONE ((struct sessions){0})

/*
 * Those that run; DIR is the container's static directory.  Refuses (-EOPNOTSUPP) one whose process
 * may do more than the container's spec allows: it could not get that again.
 */
int sessions_read(struct engine *e, struct container *c, int dir, struct sessions *ret) MUST_CHECK;
/* What a restore needs besides the images. */
int sessions_write(const struct sessions *s, int images) MUST_CHECK;
/* Their processes are gone: waits for conmon, forgets them. */
int sessions_end(struct engine *e, struct container *c, const struct sessions *s) MUST_CHECK;
void sessions_clear(struct sessions *s);

struct sessions_box {
	GArray *boxes;	  /* struct cryo_guest_box */
	GArray *inherits; /* struct cryo_inherit */
	GPtrArray *text;
	GArray *pids;	/* pid_t of the stubs, as we see them */
	GPtrArray *ids; /* under which they are recorded */
};
#define SESSIONS_BOX_NONE ((struct sessions_box){0})

/* C's box runs, and nothing in it but the stub.  Fills RET also on failure. */
int sessions_make_boxes(struct engine *e, struct container *c, int images, struct sessions_box *ret)
	MUST_CHECK;
int sessions_record(struct engine *e, struct container *c, const struct sessions_box *b) MUST_CHECK;
void sessions_box_clear(struct sessions_box *b);
