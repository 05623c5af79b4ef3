/* SPDX-License-Identifier: Apache-2.0 */
/* One call of the program: its options, its directories, its log. */
#pragma once

#include "cryo/options.h"

/* The level of CRIU's interface that callers ask for. */
#define CRYO_INTERFACE_MAJOR 4
#define CRYO_INTERFACE_MINOR 2

struct session {
	struct options o;
	int images, work; /* directories; the same number when they are the same */
	int source;	  /* where a restore reads the images, if not there; -1 */
	int log;
	const char *log_name; /* instead of the action's; NULL */
	bool log_stderr;      /* it is standard error */
	int rpc_sock;	      /* -1: this is a command line */
	int notify;	      /* the RPC's socket, when it wants to be told of stages; -1 */
	int port_to;	      /* gets the port (an int) that a page server listens at; -1 */
	char *cgroup_yard;    /* --cgroup-yard, from the root; NULL */
	char *previous;	      /* --prev-images-dir, from the images directory; NULL */
	pid_t restored;	      /* the root, when it is there again */
};
#define SESSION_NONE                                                                               \
	((struct session){.images = -1,                                                            \
			  .work = -1,                                                              \
			  .source = -1,                                                            \
			  .log = -1,                                                               \
			  .rpc_sock = -1,                                                          \
			  .notify = -1,                                                            \
			  .port_to = -1})

struct action {
	const char *name;
	const char *log;   /* the log's name when --log-file is not given; NULL: none */
	bool needs_images; /* opens the directories */
	const char *brief;
	/* An exit status, or a described error. */
	int (*run)(struct session *s);
};

extern const struct action action_dump, action_pre_dump, action_restore, action_check,
	action_cpuinfo, action_page_server, action_lazy_pages, action_dedup, action_swrk,
	action_service;

/* The directory that a restore reads. */
static inline int session_source(const struct session *s)
{
	return s->source >= 0 ? s->source : s->images;
}

/* Opens directories and the log. */
int session_open(struct session *s, const struct action *a) MUST_CHECK;
void session_close(struct session *s);

/* Into the log, as CRIU would say it, and as one line to standard error. */
void session_report_error(struct session *s);

/* A line of the log whatever the level: "Dumping finished successfully". */
void session_say(struct session *s, const char *text);

/* --status-fd */
void session_ready(struct session *s);
