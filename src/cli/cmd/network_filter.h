/* SPDX-License-Identifier: Apache-2.0 */
/* --filter KEY=VALUE for networks: all keys must match, of one key one value is enough. */
#pragma once

#include "engine/engine.h"

/* -EINVAL with Podman's text for an unknown key or one without a value. */
int network_filters_check(char *const *filters) MUST_CHECK;
/* 1: matches.  DEFINITION: one of network_list(). */
int network_filters_match(struct engine *e, char *const *filters, const json_t *definition)
	MUST_CHECK;
