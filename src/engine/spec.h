/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json: the OCI runtime spec of a container, from the image's configuration, the options
 * and the paths that the engine resolved.
 *
 *	struct spec_input in = {.options = &o, .image_config = cfg, .id = id, .rootfs = merged,
 *...}; r = spec_build(&in, &spec); r = spec_write(spec, dir_fd, "config.json");
 *
 * The root file system must be mounted: users are looked up in its /etc/passwd and /etc/group and
 * the working directory is created in it, always beneath it (openat2 RESOLVE_IN_ROOT).
 */
#pragma once

#include "engine/options.h"

struct spec_input {
	const struct container_options *options;
	const json_t *image_config; /* "config" of the OCI image configuration; may be NULL */
	const char *id, *name;
	const char *rootfs;   /* the mounted root file system, absolute */
	const char *userdata; /* of the container: shm/ in it becomes /dev/shm when it exists */
	const char
		*rundir; /* hosts, resolv.conf, hostname, .containerenv in it are bound if there */
	const char *netns;		   /* a path to join; NULL: the host's; "": a new one */
	const char *pidns, *ipcns, *utsns; /* a path to join for "container:" modes, else NULL */
	const char *cgroup_path;	   /* linux.cgroupsPath; NULL: "/cryopod/<id>" */
	const char *volume_dir; /* named volumes live in VOLUME_DIR/NAME/_data; may be NULL */
};

/* *RET is the caller's (json_decref). */
int spec_build(const struct spec_input *in, json_t **ret) MUST_CHECK;

/*
 * The same container, running our stub instead of its program: process.args is
 * ["/proc/self/fd/3"], uid 0, cwd /, no seccomp, no_new_privs off, and the capabilities that the
 * stub needs beside the container's own.  Everything else is as in SPEC.
 */
json_t *spec_for_thaw(const json_t *spec);

/* The same for a process object alone, in place: exec into a thawed container. */
void spec_process_for_stub(json_t *process);

/* The bounding set as a mask: nothing in the container may have more. */
uint64_t spec_capability_ceiling(const json_t *spec);

/* A list of names such as "CAP_CHOWN" as a mask; names that we do not know are left out. */
uint64_t spec_capability_mask(const json_t *list);

/*
 * The process object for `exec`: user, environment, capabilities, limits as the container has them,
 * changed by O.  ROOTFS as in spec_input, for user names.
 */
int spec_exec_process(const json_t *spec, const char *rootfs, const struct exec_options *o,
		      json_t **ret) MUST_CHECK;

/*
 * Reads and replaces whole files; the document is compact JSON.  Use these also for the process of
 * exec: limits without end are numbers that jansson cannot write.  Not synced: a start writes it
 * anew.
 */
int spec_read(int dir, const char *name, json_t **ret) MUST_CHECK;
int spec_write(const json_t *spec, int dir, const char *name) MUST_CHECK;

/*
 * Puts the limits of O into linux.resources of SPEC, in place of those that were there: "memory",
 * "cpu", "pids".  *RET: just these, as `runtime update` wants them; the caller's.
 */
void spec_change_limits(json_t *spec, const struct container_options *o, json_t **ret);

/* The argv that SPEC_INPUT's options and image give, without looking at the root file system. */
int spec_argv(const struct container_options *o, const json_t *image_config, char ***ret)
	MUST_CHECK;

/* The environment they give, without what depends on the container (HOME, HOSTNAME). */
char **spec_env(const struct container_options *o, const json_t *image_config);

/* Stop signal: the options', else the image's, else SIGTERM. */
int spec_stop_signal(const struct container_options *o, const json_t *image_config);
