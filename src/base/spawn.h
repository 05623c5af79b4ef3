/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running other programs.  The child gets exactly the descriptors that are named, default signal
 * actions and an empty signal mask.  It dies with us (PR_SET_PDEATHSIG), so that nobody works on
 * behind the back of the command that comes after a killed one; what the child forks itself, such
 * as a daemon, does not.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct spawn {
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
	const char *const *env;	 /* NULL-terminated, or NULL: ours */
	int in, out, err;	 /* descriptors, or one of: */
#define SPAWN_NULL    -1	 /* /dev/null (the zero value 0 of IN means our own stdin) */
#define SPAWN_CAPTURE -2	 /* OUT, ERR: into the result */
	const int *fds;		 /* become 3, 4, ... in the child, in this order */
	unsigned nfds;
	const char *dir;   /* working directory or NULL */
	const void *input; /* fed to stdin (IN is ignored), or NULL */
	size_t input_len;
	bool new_session;   /* setsid(2): keeps the child away from our terminal */
	bool unmoved;	    /* by SIGINT and SIGHUP: the terminal's are for us to act on */
	bool interruptible; /* base/interrupt.h: it is told to end; only with capturing */
};

struct spawn_result {
	int status;	 /* as from waitpid(2) */
	char *out, *err; /* captured, NUL-terminated; at most 64 MiB each */
	size_t out_len, err_len;
};

void spawn_result_clear(struct spawn_result *r);

/*
 * Runs to the end.  The answer is 0 whatever the program's status, which is in *RET; a program
 * that cannot be started is -ENOENT ("PROG is not installed or not in PATH") or -errno.
 * Blocking.  Captured strings are the caller's: spawn_result_clear().
 */
int spawn_run(const struct spawn *s, struct spawn_result *ret) MUST_CHECK;

/* Starts only; capturing is not possible.  The caller reaps *RET_PID. */
int spawn_start(const struct spawn *s, pid_t *ret_pid) MUST_CHECK;

/*
 * spawn_run() with stdout captured, turned into an error unless the program left with 0:
 * "PROG: <last line of its stderr>".  *RET_OUT may be NULL.
 */
int spawn_check(const struct spawn *s, char **ret_out, size_t *ret_len) MUST_CHECK;

/* The exit code as a shell would say it: 128 + signal for a killed program. */
int spawn_exit_code(int status);
