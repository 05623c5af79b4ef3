/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --filter KEY=VALUE for what is described by a JSON object: all keys must match, of one key one
 * value is enough.
 */
#pragma once

#include "engine/engine.h"

/* A row of such a table, which ends with {}.  MATCHES: 1 yes, 0 no. */
struct filter_test {
	const char *key;
	int (*matches)(struct engine *e, const json_t *object, const char *value);
};

/* -EINVAL: one has no value.  1: *RET_UNKNOWN begins with a key that is not in the table. */
int filter_tests_check(const struct filter_test *tests, char *const *texts,
		       const char **ret_unknown) MUST_CHECK;

/* 1: OBJECT matches all TEXTS, which have been checked. */
int filter_tests_match(const struct filter_test *tests, struct engine *e, char *const *texts,
		       const json_t *object) MUST_CHECK;
