/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that is forbidden to the processes of a container from somebody else's archive.
 *
 * The seccomp filters of a checkpoint are in its images, and who wrote those has chosen them.  So
 * the filter that `run` would have given such a container is compiled from its config.json, kept in
 * its directory, and put below those of the images at each restore (cryo_restore_options.floor).
 */
#pragma once

#include "base/base.h"

#include <jansson.h>

/* SPEC is a config.json; DIR the container's directory.  Without linux.seccomp there is none. */
int seccomp_floor_make(const json_t *spec, int dir) MUST_CHECK;

/* struct sock_filter[] of *RET_LEN bytes, the caller's; NULL: the container needs none. */
int seccomp_floor_read(int dir, char **ret, size_t *ret_len) MUST_CHECK;
