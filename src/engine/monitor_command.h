/* SPDX-License-Identifier: Apache-2.0 */
/* A conmon command line under construction; for monitor.c and monitor_exec.c. */
#pragma once

#include "engine/monitor.h"

struct command {
	GPtrArray *argv; /* owned strings */
	GPtrArray *env;
	int fds[MONITOR_FDS_MAX + 3]; /* the caller's; become 3, 4, ... */
	unsigned nfds;
	const char *dir; /* conmon's working directory */
};

/* The environment only; the first argument is for the caller to add: e->conmon_path. */
void command_init(struct command *m);
void command_clear(struct command *m);

void command_add(struct command *m, const char *a, const char *b); /* B may be NULL */
void command_add_path(struct command *m, const char *option, const char *dir, const char *name);
/* conmon's -r and what goes before the runtime's verb; LOG is the runtime's --log. */
int command_add_runtime(struct command *m, struct engine *e, struct container *c, const char *log)
	MUST_CHECK;
void command_add_exit(struct command *m, struct engine *e, const char *const *args);

/* Before any command_hand_pipe(). */
int command_hand_fds(struct command *m, const int *fds, unsigned n) MUST_CHECK;
void command_hand_pipe(struct command *m, const char *variable, int fd);

/*
 * Starts conmon, writes the first byte to START, reaps the process that conmon leaves behind.
 * *RET_STDERR: what it has said so far, the caller frees; also on failure.
 */
int command_launch(struct command *m, int start, char **ret_stderr) MUST_CHECK;

/* One line of JSON.  1: there (*RET is the caller's); 0: the end, or not JSON. */
int command_read_report(int fd, json_t **ret) MUST_CHECK;

/* pipe2(2) into two variables that close themselves. */
int command_pipe(int *ret_read, int *ret_write) MUST_CHECK;

/* The start pipe, and the byte that it wants. */
int command_start_pipe(int *ret_read, int *ret_write) MUST_CHECK;
void command_go(int start);

/* The number in a pid file, 0 when there is none. */
pid_t command_read_pid(const char *dir, const char *name);
