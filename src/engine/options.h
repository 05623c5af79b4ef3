/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that `create`, `run` and `exec` can say, as plain C.
 *
 * The command line fills a struct container_options, the engine stores it as JSON beside the
 * container, and config.json is built from it and from the image's own configuration each time the
 * container is started.  Nothing here is resolved against an image or a host: a field that was not
 * given is NULL, false or 0 unless a comment says otherwise.
 *
 *	CLEANUP(container_options_clear) struct container_options o;
 *
 *	container_options_init(&o);
 *	options_append(&o.env, "A=b");
 *	r = container_options_check(&o);	// syntax only, before anything is created
 *
 * Lists are NULL-terminated vectors of strings (GStrv); a NULL vector is an empty one.  All strings
 * are owned by the struct (g_malloc).
 */
#pragma once

#include "base/err.h"

#include <jansson.h>

struct container_options {
	/* what runs */
	char *name, *image; /* the image as it was typed */
	char **command;	    /* what followed IMAGE; NULL: the image's Cmd */
	char **entrypoint;  /* NULL: the image's; an empty vector clears it (--entrypoint "") */
	char **env;	    /* NAME=VALUE; files and bare names are resolved by the command line */
	char *workdir, *user, *hostname;
	char *umask; /* octal; NULL: 0022 */
	char **group_add;
	char *timezone; /* below /usr/share/zoneinfo, or "local"; NULL: the image's */
	bool tty, interactive;
	char *stop_signal;
	int64_t stop_timeout; /* seconds; 10 at the start */
	int64_t timeout;      /* seconds that a run may last; 0: any */

	/* what it sees */
	char **volumes;			 /* -v: SRC:DST[:OPTS] or DST */
	char **mounts;			 /* --mount: type=bind,src=,dst=,... */
	char **tmpfs;			 /* --tmpfs: DST[:OPTS] */
	char **devices;			 /* --device: SRC[:DST][:PERM] */
	bool read_only, read_only_tmpfs; /* the latter true at the start */
	int64_t shm_size;		 /* bytes; 0: 64 MB */

	/* namespaces and network */
	char *network; /* NULL or "bridge" or a name, "none", "host", "container:ID", "private",
			  "ns:PATH" */
	char *ip, *mac_address;
	char **network_aliases, **publish, **expose; /* publish: [[IP:]HOST:]CTR[/PROTO], ranges */
	bool publish_all;
	char **add_host, **dns, **dns_search, **dns_option;
	bool no_hosts;
	char *pid, *ipc, *uts, *cgroupns; /* NULL: private; or "host", "container:ID", "ns:PATH" */

	/* what it may do */
	bool privileged;
	char **cap_add, **cap_drop, **security_opt, **ulimits, **sysctls;

	/* how much it may use; 0: no limit was asked for */
	int64_t memory, memory_swap, memory_reservation; /* bytes; memory_swap -1: unlimited */
	double cpus;
	int64_t cpu_shares, cpu_period, cpu_quota;
	char *cpuset_cpus, *cpuset_mems;
	int64_t pids_limit; /* 0: the default 2048; -1: unlimited */
	bool has_oom_score_adj, oom_kill_disable;
	int64_t oom_score_adj;
	char *cgroup_parent;

	/* bookkeeping */
	char **labels, **annotations; /* NAME=VALUE or NAME */
	bool rm, replace;
	char *restart, *log_driver, *pull; /* NULL: "no", "k8s-file", "missing" */
	char **log_opts;
	char *conmon_pidfile, *pidfile, *cidfile;
	char **create_command; /* the whole command line, for inspect */
};

/* Sets the defaults; the old content is not looked at. */
void container_options_init(struct container_options *o);
void container_options_clear(struct container_options *o);

/* Appends a copy of VALUE to a list. */
void options_append(char ***list, const char *value);

/* An object with the members that differ from the default, named as the fields are. */
json_t *container_options_to_json(const struct container_options *o);

/* The reverse into an uninitialized struct; members that are not known are ignored. */
int container_options_from_json(const json_t *j, struct container_options *ret) MUST_CHECK;

/*
 * Looks at every value that has a syntax (volumes, mounts, tmpfs, ulimits, capabilities, signals,
 * devices...; addresses and ports are network.h's) and that what is bound exists.  Relative sources
 * of -v become absolute, so that the working directory does not matter later.  -EINVAL with a
 * message in the command line's terms.
 */
int container_options_check(struct container_options *o) MUST_CHECK;

/* A part of it: strings that JSON cannot hold (not UTF-8). */
int container_options_check_text(const struct container_options *o) MUST_CHECK;

/* A part of it: limits and other numbers. */
int container_options_check_numbers(const struct container_options *o) MUST_CHECK;

/* What `exec` can say. */
struct exec_options {
	char **argv, **env;
	char *workdir, *user; /* NULL: as the container has them */
	bool tty, interactive, detach, privileged;
	int64_t preserve_fds;
};

void exec_options_init(struct exec_options *o);
void exec_options_clear(struct exec_options *o);
json_t *exec_options_to_json(const struct exec_options *o);
int exec_options_from_json(const json_t *j, struct exec_options *ret) MUST_CHECK;

/* "64m", "1gb", "1024": bytes, units of 1024.  WHAT names the option in errors. */
int options_parse_size(const char *text, const char *what, int64_t *ret) MUST_CHECK;

/* --ulimit NAME=SOFT[:HARD]; -1 is RLIM_INFINITY. */
struct ulimit {
	const char *type; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};
int options_parse_ulimit(const char *text, struct ulimit *ret) MUST_CHECK;

/* --device SRC[:DST][:PERM]; the strings are the caller's. */
struct device_option {
	char *source, *destination;
	char access[4]; /* of "rwm" */
};
int options_parse_device(const char *text, struct device_option *ret) MUST_CHECK;
void device_option_clear(struct device_option *d);

/* Adds NAME=VALUE, or NAME with an empty value, to the object TO.  -EINVAL: not UTF-8. */
int options_parse_labels(char *const *texts, json_t *to) MUST_CHECK;

/* "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3".  -EINVAL: "invalid signal: BOGUS". */
int options_parse_signal(const char *text, int *ret) MUST_CHECK;

/* Capability names as "CAP_NET_ADMIN" from any spelling ("net_admin"); NULL when unknown. */
const char *options_capability(const char *text);
int options_unknown_capability(const char *text); /* describes it; -EINVAL */
/* Number of one of those; -1 when unknown. */
int options_capability_number(const char *name);
/* The name of a number, or NULL. */
const char *options_capability_name(unsigned number);
