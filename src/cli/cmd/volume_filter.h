/* SPDX-License-Identifier: Apache-2.0 */
/* --filter KEY=VALUE for volumes: all keys must match, of one key one value is enough. */
#pragma once

#include "engine/volume.h"

struct volume_filters {
	GPtrArray *rows; /* "key=value" texts, owned */
};

/* -EINVAL with Podman's text for an unknown key or one without a value. */
int volume_filters_parse(char *const *texts, struct volume_filters *ret) MUST_CHECK;
/* 1: matches.  V: a definition from volume_list(). */
int volume_filters_match(struct engine *e, const struct volume_filters *f, json_t *v) MUST_CHECK;
void volume_filters_clear(struct volume_filters *f);
