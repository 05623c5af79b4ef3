/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thawing a container: `cryopod container restore`.
 *
 * The OCI runtime builds the box from the container's own config.json, with our stub in the place
 * of its program (spec_for_thaw()); libcryo thaws the checkpoint's processes into it.  A restore
 * that fails kills the half-built box and leaves the container exited and its checkpoint whole.
 */
#pragma once

#include "cr/cryo.h"

#include <jansson.h>

struct engine;
struct container;

/* A checkpoint that comes when the box is there already. */
struct restore_late {
	int images;	     /* directory; the caller's */
	struct stage *stage; /* state/mem/stage.h: made with the box's socket; the caller's */
};

struct restore_options {
	bool keep; /* the checkpoint, dump.log, restore.log and statistics stay */
	bool tcp_established;
	bool tcp_close; /* established connections come back closed */
	bool file_locks;
	bool ignore_static_ip, ignore_static_mac;
	/*
	 * The container has just been made from an archive (engine/import.h): its config.json is
	 * written, and a host name that its processes had by default (or NULL) is not restored.
	 */
	bool fresh;
	bool doubted; /* the archive's word is not to be believed: engine/seccomp_floor.h */
	const char *hostname_was;
	/*
	 * There is no checkpoint yet: called when the box is made, it brings one.  Then READY is
	 * called, and nothing of a checkpoint is looked for in the container's directory.  Or NULL.
	 */
	int (*await)(void *arg, struct container *c, const struct cryo_box *box,
		     struct restore_late *ret);
	void *await_arg;
	/* All is thawed and held; a failure takes everything down again.  Or NULL. */
	int (*ready)(void *arg);
	void (*running)(void *arg); /* right after it was let go; or NULL */
	void *ready_arg;	    /* of both */
	/* This one, with the root file system of that time; it stays.  NULL: the container's own.
	 */
	const struct named_options *named; /* engine/cksave.h */
};

struct restore_report {
	uint64_t runtime_us;		/* box and thaw: Podman's runtime_restore_duration */
	struct cryo_restore_stats cryo; /* times in us */
};

/* Takes C's lock itself.  C must be configured or exited and have a whole checkpoint. */
int container_restore(struct engine *e, struct container *c, const struct restore_options *o,
		      struct restore_report *ret) MUST_CHECK;

/* There is a whole checkpoint in its directory: taken, or kept, or from before a reboot. */
bool container_has_checkpoint(struct engine *e, const struct container *c);
