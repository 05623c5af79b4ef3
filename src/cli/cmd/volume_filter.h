/* SPDX-License-Identifier: Apache-2.0 */
/* --filter KEY=VALUE for volumes: all keys must match, of one key one value is enough. */
#pragma once

#include "engine/volume.h"

/* -EINVAL with Podman's text for an unknown key or one without a value. */
int volume_filters_check(char *const *filters) MUST_CHECK;
/* 1: matches.  V: a definition from volume_list(). */
int volume_filters_match(struct engine *e, char *const *filters, const json_t *v) MUST_CHECK;
