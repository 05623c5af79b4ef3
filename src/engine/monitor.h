/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conmon, unmodified: one per container and one per exec session.  It starts the OCI runtime, owns
 * the container's stdio, writes the log and the exit file, serves attach, and calls
 * `cryopod container cleanup` at the end.
 */
#pragma once

#include "engine/container.h"

struct monitor_options {
	const char *bundle; /* directory with config.json; NULL: the static directory */
	const int *fds;	    /* handed to the container's first process as 3, 4, ... */
	unsigned nfds;
};

/*
 * --preserve-fds N: our descriptors 3, 4, ... in RET, which has room for MONITOR_FDS_MAX.  -EINVAL:
 * too many; -EBADF: one is not open.
 */
#define MONITOR_FDS_MAX 32
int monitor_preserved(uint64_t n, int *ret) MUST_CHECK;

/*
 * conmon + `runtime create`.  Afterwards c->state has pid, pid_start and conmon_pid; saving is the
 * caller's, with orphans_unmark() (orphans.h) after it; container_set_running() does both.  A
 * failure is the runtime's own, translated (runtime.h), and leaves nothing running.
 */
int monitor_create(struct engine *e, struct container *c, const struct monitor_options *o)
	MUST_CHECK;

struct monitor_exec {
	const char *session; /* 64 digits */
	const char *dir;     /* of the session: its sockets and files */
	const char *process; /* file with the OCI process object */
	bool tty, interactive, attach;
	const int *fds; /* handed to the process as 3, 4, ... */
	unsigned nfds;
};
struct monitor_session {
	int start, sync; /* pipes to and from conmon; closed by monitor_session_clear() */
	pid_t conmon;
	char *dir;
};
#define MONITOR_SESSION_NONE ((struct monitor_session){.start = -1, .sync = -1})
void monitor_session_clear(struct monitor_session *s);
/* Returns when conmon listens for us, and the process waits for monitor_exec_go(). */
int monitor_exec_begin(struct engine *e, struct container *c, const struct monitor_exec *x,
		       struct monitor_session *ret) MUST_CHECK;
int monitor_exec_go(struct engine *e, struct container *c, struct monitor_session *s,
		    pid_t *ret_pid) MUST_CHECK;
/* The exit code of an attached session.  Blocking. */
int monitor_exec_wait(struct monitor_session *s, int *ret_exit) MUST_CHECK;
