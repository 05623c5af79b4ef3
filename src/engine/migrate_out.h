/* SPDX-License-Identifier: Apache-2.0 */
/* A container that leaves: between migrate_out.c, _ssh.c, _rounds.c and _last.c. */
#pragma once

#include "engine/migrate_parts.h"
#include "kernel/cgroup.h"

struct moving {
	struct engine *e;
	struct container *c;
	const struct migrate_options *o;
	struct channel *ch;
	pid_t ssh;
	int ssh_status; /* as from waitpid(2), when it has ended by itself; else -1 */
	bool heard;	/* the other side has said something */
	int in, out;
	struct files_out *files;
	struct migrate_report *report;
	char *scratch;	 /* a directory of images for each round, "1", "2" ... */
	int dir, before; /* the same; the newest round's, or -1 */
	uint64_t rate;	 /* bytes a second that get through */
	int64_t frozen_at;
	bool gone; /* "go" was said: it may run there */
};

/* ssh and its options, the host, and the command there. */
int migrate_connect(struct moving *m) MUST_CHECK;
void migrate_disconnect(struct moving *m);
/* R, of what went wrong, with what ssh's end tells about a connection that is gone; disconnects. */
int migrate_explain(struct moving *m, int r);

/* SAY (consumed), then the other side's answer, which has KEY; *RET (may be NULL) is the caller's.
 */
int migrate_ask(struct moving *m, json_t *say, const char *key, json_t **ret) MUST_CHECK;
int migrate_hear(struct moving *m, const char *key, json_t **ret) MUST_CHECK;

/* The files that have changed since the last time. */
int migrate_send_files(struct moving *m, uint64_t *ret_bytes) MUST_CHECK;

int migrate_rounds(struct moving *m) MUST_CHECK;
/* A fresh directory in m->scratch. */
int migrate_images(struct moving *m, const char *name, int *ret) MUST_CHECK;

/* What holds it between "go" and "running"; -EOPNOTSUPP: there is none. */
int migrate_open_freezer(const struct moving *m, struct freezer *ret) MUST_CHECK;

/* From the freeze to the end of the container here. */
int migrate_last(struct moving *m) MUST_CHECK;
