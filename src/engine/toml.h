/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much TOML as the files of /etc/containers are written in: tables, arrays of tables, keys bare
 * or quoted, strings, and arrays of strings over several lines.  Values of other kinds (numbers,
 * booleans, inline tables) are recognized and handed on as text.  There is no TOML library for C
 * in Debian.
 */
#pragma once

#include "base/err.h"

struct toml_item {
	const char *table; /* "" before the first; "registry" for [[registry]] */
	const char *key;
	char **values; /* one for a string, any number for an array; NULL-terminated */
	bool array;
};

/*
 * Calls EACH for every key of TEXT, which may stop it by a negative answer.  -EINVAL: "line N:
 * ...".
 */
int toml_read(const char *text, int (*each)(void *data, const struct toml_item *item), void *data)
	MUST_CHECK;
