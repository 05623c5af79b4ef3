/* SPDX-License-Identifier: Apache-2.0 */
/* More processes in a running container: exec sessions, each with a conmon of its own. */
#pragma once

#include "engine/attach.h"
#include "engine/container.h"
#include "engine/options.h"

/*
 * Runs to the end, or until the user detaches (0).  *RET_EXIT: the process's code.  126 and 127 by
 * e->exit_hint on failure.  -ECANCELED, exit_hint 137: a checkpoint has taken the session along.
 */
int container_exec(struct engine *e, struct container *c, const struct exec_options *o,
		   const struct attach_options *a, int *ret_exit) MUST_CHECK;

/* -d: RET_SESSION is the session's ID, which is printed. */
int container_exec_detached(struct engine *e, struct container *c, const struct exec_options *o,
			    char ret_session[ENGINE_ID_LEN + 1]) MUST_CHECK;

/* Removes the record of a session that has ended; an unknown one is fine. */
int exec_cleanup(struct engine *e, const char *session) MUST_CHECK;

/*
 * IDs of the sessions that run in C: [strings], a new reference.  With C's lock held, the records
 * of those that have ended are removed.
 */
json_t *exec_list(struct engine *e, const struct container *c);
