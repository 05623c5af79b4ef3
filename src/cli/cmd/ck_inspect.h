/* SPDX-License-Identifier: Apache-2.0 */
/* Between cmd/ck_inspect.c and cmd/ck_html.c. */
#pragma once

#include "base/err.h"

#include <jansson.h>

/* One page with everything in it: style, pictures, data.  J as from ckinspect(). */
int checkpoint_html(const json_t *j, const char *file) MUST_CHECK;

/* The command line of a process, or its name when that is not in the images; the caller's. */
char *checkpoint_command(const json_t *process);
