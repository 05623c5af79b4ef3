/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --filter KEY=VALUE for containers.  Different keys must all match; of one key one value is
 * enough, but every label must match.
 */
#pragma once

#include "engine/container.h"

struct filters {
	GArray *rows; /* struct filter_row */
};

int filters_parse(struct engine *e, char *const *texts, struct filters *ret) MUST_CHECK;
bool filters_match(const struct filters *f, const struct container *c);
void filters_clear(struct filters *f);

/* "label" and "label!" of any object. */
bool filter_label(const char *value, const json_t *labels);
