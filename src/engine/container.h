/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container: what was asked for (config, which after `create` only rename and update change) and
 * how it is doing (state).
 *
 * Who only looks loads one and reads.  Who changes anything takes its lock first, which also reads
 * the record again and brings it up to date with reality:
 *
 *	CLEANUP(container_unref) struct container *c = NULL;
 *	r = container_find(e, "web", &c);
 *	r = container_lock(e, c);
 *	c->state.pid = ...;
 *	r = container_save(e, c);		// one transaction
 *	// the lock goes with container_unlock() or the last reference
 *
 * The lock is a flock(2), so a killed process leaves nothing locked.  It is not recursive:
 *functions that take it say so, all others expect it held when they change state.
 */
#pragma once

#include "engine/engine.h"

#include <sys/types.h>

struct container_options; /* engine/options.h */

/* Stored by number: add at the end only. */
enum container_status {
	CONTAINER_CREATED,     /* configured, the runtime does not know it; shown as "created" */
	CONTAINER_INITIALIZED, /* runtime create done; "initialized" */
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_STOPPING, /* stop signal sent */
	CONTAINER_STOPPED,  /* processes gone, mounts and network still there */
	CONTAINER_EXITED,   /* cleaned up */
	CONTAINER_REMOVING,
	CONTAINER_UNKNOWN,
};
const char *container_status_name(enum container_status s);
/* Podman's spellings, "configured" included; -EINVAL. */
int container_status_parse(const char *name, enum container_status *ret) MUST_CHECK;

struct container_state {
	enum container_status status;
	pid_t pid, conmon_pid; /* 0: none */
	uint64_t pid_start;    /* field 22 of /proc/PID/stat: tells a recycled pid */
	int exit_code;
	bool oom_killed, stopped_by_user;
	int64_t started_ns, finished_ns; /* CLOCK_REALTIME, 0: never */
	bool checkpointed, restored;
	int64_t checkpointed_ns, restored_ns;
	char *checkpoint_path, *checkpoint_log, *restore_log; /* NULL: none */
	/*
	 * The processes came out of a checkpoint: the runtime's own record describes the stub, exec
	 * goes through it (engine/exec_thawed.h), and the bundle is RUNDIR/thaw.
	 */
	bool thawed;
	char *netns;	 /* path of the network namespace that the engine owns, or NULL */
	json_t *network; /* netavark's answer ("network status": name -> interfaces), or NULL */
	int mounts;  /* how often `mount` was asked for; a started container's own is not counted */
	char *error; /* of the last failed start, or NULL */
	int restarts;
};

struct container {
	int refs;
	char id[ENGINE_ID_LEN + 1];
	char *name;
	int64_t created_ns;
	char *image_id;	  /* 64 hex digits */
	char *image_name; /* as resolved: "docker.io/library/busybox:latest" */
	json_t *config; /* options (container_options_to_json) and what was resolved at create: see
			   below */
	struct container_options *options; /* decoded on demand: container_options() */
	struct container_state state;
	int lock; /* the flock, or -1 */
	/* Not recorded: so many of our descriptors, from 3 on, go to the next start's process. */
	unsigned preserve_fds;
};

/*
 * Keys of config besides "options":
 *	"argv"		what is executed: entry point and command [strings]
 *	"env"		complete environment [NAME=value]
 *	"workdir"	"entrypoint" [strings]		"command" [strings]
 *	"user"		"labels" {}			"stopSignal" number
 *	"runtime"	name of the OCI runtime		"runtimePath"
 *	"createCommand"	[strings]			"hostname"
 *	"terminal" "stdin" "remove" booleans		"logPath"
 *	"networkMode" "networkArg"			"ports" [] (network_ports())
 *	"exposed" {}	"volumes" [strings]		"imageDigest"
 */

struct container *container_ref(struct container *c);
void container_unref(struct container **c); /* drops the lock with the last reference */
void container_array_free(GPtrArray **a);   /* of struct container *; for CLEANUP() */

/*
 * By full name, full ID or unique start of an ID.  -ENOENT: `no container with name or ID "x"
 * found: no such container`; -EINVAL: several match.
 */
int container_find(struct engine *e, const char *ref, struct container **ret) MUST_CHECK;
/* The newest by creation.  -ENOENT: "no such container". */
int container_latest(struct engine *e, struct container **ret) MUST_CHECK;
/* All, oldest first, already refreshed for show.  Owned by the caller: container_array_free(). */
int container_list(struct engine *e, GPtrArray **ret) MUST_CHECK;

/* Blocking.  -ENOENT when the container was removed meanwhile. */
int container_lock(struct engine *e, struct container *c) MUST_CHECK;
void container_unlock(struct container *c);
/* Reads the state again; no lock needed. */
int container_reload(struct engine *e, struct container *c) MUST_CHECK;

/*
 * Brings state up to date with the world without writing it: a running container whose process is
 * gone becomes "stopped", with the exit code if conmon has left it.  1: something changed.
 */
int container_refresh(struct engine *e, struct container *c) MUST_CHECK;

/* Inserts a new record; -EEXIST with Podman's text when the name or ID is taken. */
int container_insert(struct engine *e, struct container *c) MUST_CHECK;
int container_save(struct engine *e, struct container *c) MUST_CHECK;	     /* state only */
int container_save_config(struct engine *e, struct container *c) MUST_CHECK; /* and name */
int container_delete_record(struct engine *e, struct container *c) MUST_CHECK;

/* The decoded options; owned by the container. */
int container_options(struct container *c, const struct container_options **ret) MUST_CHECK;

/* What was asked for as NAME is as if it never had been; container_save_config() makes it last. */
int container_drop_option(struct container *c, const char *name) MUST_CHECK;

/* The same for CHANGES, members as container_options_to_json() names them, which are as said. */
int container_change_options(struct container *c, const json_t *changes) MUST_CHECK;

/* The fields only: its files stay, and can be restored. */
void container_forget_checkpoint(struct container_state *s);

bool container_is_running(const struct container *c); /* running, paused or stopping */

/* A member of config as text, "" when it is not there. */
const char *container_text(const struct container *c, const char *key);

/* Paths, for the caller to free. */
char *container_static_dir(struct engine *e, const struct container *c); /* .../userdata */
char *container_run_dir(struct engine *e, const struct container *c);
char *container_bundle(struct engine *e,
		       const struct container *c); /* where conmon's sockets are */
char *container_exit_file(struct engine *e, const struct container *c);
char *container_log_path(struct engine *e, const struct container *c);

/* A pidfd of the container's first process: -ESRCH when it is gone or another process has its
 * number. */
int container_pidfd(const struct container *c, int *ret) MUST_CHECK;

/* Field 22 of /proc/PID/stat, 0 when there is no such process. */
uint64_t container_pid_start(pid_t pid);

/* A fresh name like "brave_otter" that no container has. */
int container_random_name(struct engine *e, char **ret) MUST_CHECK;
/* [a-zA-Z0-9][a-zA-Z0-9_.-]*; -EINVAL with Podman's text. */
int container_check_name(const char *name) MUST_CHECK;
