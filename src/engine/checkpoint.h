/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freezing a container to disk: `cryopod container checkpoint`.
 *
 * The order is what makes it safe: everything that could not be restored is refused before the
 * container is touched; it is frozen and written into a directory aside; that directory is synced
 * and renamed to userdata/checkpoint; only then are the processes killed.  Any failure before the
 * rename leaves the container running as if nothing had happened.  An archive is part of that: it
 * is on disk, under its name, before any process is killed.
 */
#pragma once

#include "cr/cryo.h"

struct engine;
struct container;
struct archive_options;

struct checkpoint_options {
	bool keep; /* dump.log and stats-dump stay in the container's directory */
	bool leave_running;
	bool tcp_established; /* established connections are kept instead of refused */
	bool skip_in_flight;  /* those that nobody has accepted yet are dropped */
	bool ext_unix_sk;     /* unix sockets may have peers outside */
	bool file_locks;
	const struct named_options *named; /* engine/cksave.h; NULL: the container's own one */
	bool with_previous; /* what has not changed since container_precheckpoint() stays there */
	const char *create_image; /* the name of an image (engine/image_checkpoint.h), or NULL */
	const struct archive_options *export; /* engine/archive_out.h; or NULL */
	bool paused;			      /* it is one that is paused */
};

struct checkpoint_report {
	uint64_t runtime_us; /* freezing, dumping, killing: Podman's runtime_checkpoint_duration */
	struct cryo_dump_stats cryo; /* times in us */
};

/* Podman's text when C may not be checkpointed as it is. */
int checkpoint_check_state(struct engine *e, struct container *c, bool export) MUST_CHECK;

/*
 * Takes C's lock itself; C is refreshed under it and stored.  Blocks until the checkpoint is on
 * disk.  -EINVAL with Podman's text when C does not run.
 */
int container_checkpoint(struct engine *e, struct container *c, const struct checkpoint_options *o,
			 struct checkpoint_report *ret) MUST_CHECK;
