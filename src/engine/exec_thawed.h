/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec into a thawed container.
 *
 * The OCI runtime's record of such a container describes the stub: its extra capabilities, and no
 * seccomp filter; and runtimes do not join time namespaces.  So what the runtime executes is
 * the stub once more, and we make it what the container's own spec says, in the order in which runc
 * does it (libcontainer/setns_init_linux.go), before it executes the program.
 *
 *	CLEANUP(exec_thawed_clear) struct exec_thawed x = EXEC_THAWED_NONE;
 *
 *	r = exec_thawed_prepare(e, c, process, &x);	// PROCESS becomes the stub's
 *	... conmon runs it, with x.fds[0..x.nfds) as 3 and up ...
 *	r = exec_thawed_serve(e, &x);			// returns when the program runs
 */
#pragma once

#include "engine/container.h"

struct exec_thawed {
	json_t *process; /* what the program gets */
	char *path;	 /* its file, as the container sees it */
	int fds[2];	 /* the stub, its socket */
	unsigned nfds;
	int sock;     /* our end */
	int time_ns;  /* of the container, or -1: it is ours */
	char *filter; /* struct sock_filter[], or NULL */
	size_t filter_len;
};
#define EXEC_THAWED_NONE ((struct exec_thawed){.fds = {-1, -1}, .sock = -1, .time_ns = -1})

/* Sets e->exit_hint (126, 127) when the program cannot be executed or found. */
int exec_thawed_prepare(struct engine *e, struct container *c, json_t *process,
			struct exec_thawed *x) MUST_CHECK;
int exec_thawed_serve(struct engine *e, struct exec_thawed *x) MUST_CHECK;
void exec_thawed_clear(struct exec_thawed *x);

/*
 * At restore: keeps the runtime's own filter for later: FLOOR of LEN bytes, or, if that is NULL,
 * the first one of the container's init.
 */
int exec_thawed_keep_filter(struct engine *e, struct container *c, int images, const char *floor,
			    size_t len) MUST_CHECK;
