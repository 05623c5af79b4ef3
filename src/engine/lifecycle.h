/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a container.
 *
 *	create -> (init) -> start -> running -> stop/kill/exit -> cleanup -> exited -> start ... ->
 *rm
 *
 * Every function takes the container's lock for the time it needs, so the caller must not hold it.
 * Each is ordered so that a kill -9 at any instant leaves something that the next command, and
 * `rm -f` always, can go on from: the record exists before any resource, and goes after all.
 */
#pragma once

#include "engine/attach.h"
#include "engine/container.h"
#include "engine/options.h"

/*
 * Checks O (container_options_check() may complete it), resolves the image (pulling it as options
 * say), stores the record.  With o->name NULL a name is
 * made up.  The name of an existing container is -EEXIST; with o->replace that one is removed
 * first.
 */
int container_create(struct engine *e, struct container_options *o, struct container **ret)
	MUST_CHECK;

/*
 * The same for a container that was somewhere else before: with the ID that it had, from an image
 * that is there.
 */
struct image;
struct container_as {
	const char *id;		   /* NULL: a new one */
	const struct image *image; /* its name is shown */
	json_t *volumes;	   /* names of those that belong to it alone, or NULL */
};
int container_create_as(struct engine *e, struct container_options *o,
			const struct container_as *as, struct container **ret) MUST_CHECK;

/* Root file system, network, config.json, conmon, `runtime create`.  Initialized already: an error.
 */
int container_init(struct engine *e, struct container *c) MUST_CHECK;

/*
 * Starts, initializing first if needed.  A running container is left alone (0).  e->exit_hint is
 * 126 or 127 when the program cannot be executed or found.  The checkpoint fields are cleared.
 */
int container_start(struct engine *e, struct container *c) MUST_CHECK;

/*
 * Starts with our terminal or stdio attached, and stays until the container ends or the user
 * detaches.  *RET_EXIT: the container's exit code; 0 after a detach.
 */
int container_start_attached(struct engine *e, struct container *c, const struct attach_options *a,
			     int *ret_exit) MUST_CHECK;

/* Attaches to a running one.  "you can only attach to running containers". */
int container_attach(struct engine *e, struct container *c, const struct attach_options *a,
		     int *ret_exit) MUST_CHECK;

#define STOP_TIMEOUT_DEFAULT 10
/*
 * The stop signal, then after TIMEOUT seconds SIGKILL; -1 is the container's own timeout.  Returns
 * when it has exited and is cleaned up.  Stopped already: 0.  Created: becomes exited (Podman).
 */
int container_stop(struct engine *e, struct container *c, int timeout) MUST_CHECK;

/* options_parse_signal() reads signals. */
int container_kill(struct engine *e, struct container *c, int sig) MUST_CHECK;

int container_restart(struct engine *e, struct container *c, int timeout) MUST_CHECK;

int container_pause(struct engine *e, struct container *c) MUST_CHECK;
int container_unpause(struct engine *e, struct container *c) MUST_CHECK;

/*
 * Waits until the container is in one of CONDITIONS (a mask of 1 << status; 0: stopped or exited).
 * *RET_CODE: its exit code, -1 for conditions that are not about the end.  A container that
 * vanishes while we wait gives the last code known.
 */
int container_wait(struct engine *e, struct container *c, unsigned conditions, int *ret_code)
	MUST_CHECK;

struct remove_options {
	bool force;
	bool volumes; /* anonymous ones; they go anyway with --rm */
	int timeout;  /* for the stop before the removal; -1: the container's */
};
/* -EBUSY (exit status 2 of `rm`): running or paused, and not forced. */
int container_remove(struct engine *e, struct container *c, const struct remove_options *o)
	MUST_CHECK;

/*
 * The hidden command behind conmon's --exit-command: takes the exit code, tears down network and
 * mounts, deletes it from the runtime; with REMOVE takes the container away.  Harmless at any time:
 * does nothing to a running container, and keeps network and addresses of a checkpointed one.
 */
int container_cleanup(struct engine *e, struct container *c, bool remove) MUST_CHECK;

/*
 * Other limits, for a running container at once: CHANGES has the members of the options that
 * change (container_options_to_json()).  Nothing changes where the runtime refuses them.
 */
int container_update(struct engine *e, struct container *c, const json_t *changes) MUST_CHECK;

int container_rename(struct engine *e, struct container *c, const char *name) MUST_CHECK;

/* Mounts the root file system for the host's eyes; counted, so umount undoes one mount. */
int container_mount(struct engine *e, struct container *c, char **ret_path) MUST_CHECK;
int container_umount(struct engine *e, struct container *c, bool force) MUST_CHECK;
/* Where it is mounted now, or NULL.  The caller frees. */
char *container_mountpoint(struct engine *e, const struct container *c);

/*
 * The parts that checkpoint and restore share with init and cleanup.  The lock is held by the
 * caller.
 */

/*
 * Root file system, network namespace and addresses (kept ones are used again), hosts and friends.
 * MADE (or NULL): network_request.made.
 */
struct network_hook;
int container_prepare(struct engine *e, struct container *c, const struct network_hook *made)
	MUST_CHECK;

/* config.json in the static directory, anew; prepared. */
int container_write_spec(struct engine *e, struct container *c) MUST_CHECK;

#define RELEASE_KEEP_NETWORK 1U
/* The opposite, and `runtime delete`.  Goes on after failures and reports the first. */
int container_release(struct engine *e, struct container *c, unsigned flags) MUST_CHECK;

/* The processes run: pids, start time (kept when KEEP_STARTED), status; saved. */
int container_set_running(struct engine *e, struct container *c, pid_t pid, bool keep_started)
	MUST_CHECK;
