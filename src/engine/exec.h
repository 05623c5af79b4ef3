/* SPDX-License-Identifier: Apache-2.0 */
/* More processes in a running container: exec sessions, each with a conmon of its own. */
#pragma once

#include "engine/attach.h"
#include "engine/options.h"

/* Runs to the end.  *RET_EXIT: the process's code.  126 and 127 by e->exit_hint on failure. */
int container_exec(struct engine *e, struct container *c, const struct exec_options *o,
		   const struct attach_options *a, int *ret_exit) MUST_CHECK;

/* -d: RET_SESSION is the session's ID, which is printed. */
int container_exec_detached(struct engine *e, struct container *c, const struct exec_options *o,
			    char ret_session[ENGINE_ID_LEN + 1]) MUST_CHECK;

/* Called by conmon's exit command when the session's process has ended. */
int exec_cleanup(struct engine *e, const char *session) MUST_CHECK;

/* IDs of the sessions that run in C: [strings], a new reference. */
json_t *exec_list(struct engine *e, const struct container *c);

/*
 * Set by engine/restore.c.  A thawed container's exec goes through the stub, which takes over
 * exactly what the local spec says.  The hook gets the OCI process object and may rewrite it;
 * descriptors that it puts into FDS (at most 8, *NFDS says how many) are handed to the process from
 * 3 on, and are closed by the caller.
 */
typedef int (*exec_thawed_hook)(struct engine *e, struct container *c, json_t *process, int fds[8],
				unsigned *nfds);
extern exec_thawed_hook exec_prepare_thawed;
