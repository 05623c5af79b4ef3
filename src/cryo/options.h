/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: CRIU's options, declared once.  Parsing (getopt_long(3), as CRIU does),
 * --help and the manual's OPTIONS read the same table.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct options {
	/* what */
	int64_t tree;
	const char *images_dir, *work_dir, *log_file, *pidfile, *config;
	int64_t verbosity;
	bool help, version;

	/* dump */
	bool leave_running, leave_stopped, shell_job, dry_run, json;
	bool tcp_established, tcp_close, skip_in_flight, file_locks, link_remap;
	bool track_mem, display_stats;
	uint64_t ghost_limit; /* bytes */
	int64_t timeout_s;
	const char *freeze_cgroup, *prev_images_dir, *manage_cgroups, *network_lock, *ext_unix_sk;
	char **externals, **mount_map, **skipped_mounts, **enabled_fs;
	bool external_sharing, external_masters, mntns_compat;
	const char *root, *empty_ns;
	char **action_scripts, **join_ns, **veth_pairs, **cgroup_roots, **cgroup_controllers;
	bool orphan_pts_master, weak_sysctls, other_modes;
	const char *cgroup_yard, *cgroup_props, *cgroup_props_file, *lsm_profile;
	bool cgroup_props_only, unprivileged, allow_uprobes;

	/* restore */
	bool detached, sibling, exec_cmd;
	char **inherit_fds;
	int64_t status_fd; /* -1: none */

	/* check, cpuinfo */
	bool all, extra, experimental;
	const char *feature;
	unsigned cpu_cap; /* CRYO_CPU_* */

	/* page-server, streamer */
	bool page_server, daemon, auto_dedup, lazy_pages, stream;
	const char *address;
	int64_t port, ps_socket; /* -1: none */
	bool tls, tls_no_cn_verify;
	const char *tls_cacert, *tls_cacrl, *tls_cert, *tls_key;

	bool no_default_config;
	const char *file_validation;
	const char *ignored; /* accepted: nothing depends on it here */
	bool ignored_flag;
	char **ignored_list;
	char **closed; /* numbers of descriptors */

	GPtrArray *words; /* what is no option: borrowed */
	GPtrArray *kept;  /* words of configuration files, which fields point into */
};

enum option_kind {
	OPT_FLAG,   /* bool; --no-NAME takes it back */
	OPT_TEXT,   /* const char * */
	OPT_LIST,   /* char **, one more each time */
	OPT_NUMBER, /* int64_t */
	OPT_SIZE,   /* uint64_t: bytes with K, M, G */
	OPT_LEVEL,  /* int64_t: -v, -vvv, -v4 */
	OPT_MODES,  /* unsigned: CRYO_CPU_*, "cpu,fpu", "no-ins" */
};

struct option_row {
	const char *name;
	char brief;
	enum option_kind kind;
	size_t at;
	const char *arg;     /* NULL: takes none; "[MODE]": may be left out */
	const char *help;    /* NULL: known to CRIU, refused here */
	const char *why_not; /* why it is refused; without help only */
	const char *choices; /* " a b c ", or NULL */
	int64_t most;	     /* of a number; 0: INT32_MAX */
};
extern const struct option_row option_rows[];
extern const size_t option_count;

/*
 * The configuration files, then the command line.  -EINVAL: "unknown option --x" and the like;
 * -EOPNOTSUPP: "option --x: why it is refused".  O is to be cleared in any case.
 */
int options_parse(int argc, char **argv, struct options *o) MUST_CHECK;
/* What PATH says overrides O; it may be missing. */
int options_config(const char *path, struct options *o) MUST_CHECK;
void options_clear(struct options *o);

/* TEXT and a newline, in lines of 80 that begin at COLUMN, where we are. */
void options_wrap(GString *to, unsigned column, const char *text);
void options_help(GString *to);
void options_manual(GString *to); /* scdoc */
