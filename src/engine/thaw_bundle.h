/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the OCI runtime makes of a container that is thawed: its own config.json with our stub as
 * the program; and what its processes may at most have, by that config.json.
 */
#pragma once

#include "engine/container.h"

/* Nobody gets around them, whatever the images say: see cryo_restore_options. */
struct thaw_limits {
	uint64_t caps;
	bool no_new_privs;
	char *floor; /* struct sock_filter[], or NULL */
	size_t floor_len;
};
void thaw_limits_clear(struct thaw_limits *l);

/* DOUBTED: the images are somebody else's (engine/seccomp_floor.h).  *RET_PATH: the bundle. */
int thaw_bundle_write(struct engine *e, struct container *c, bool doubted, struct thaw_limits *ret,
		      char **ret_path) MUST_CHECK;
