/* SPDX-License-Identifier: Apache-2.0 */
/* IMAGE_EXTRA's tables of what has a number in the images: {"TABLE": {"NUMBER": anything}}. */
#pragma once

#include "base/base.h"

#include <jansson.h>

/* The table is made with its first entry.  TAKE is EXTRA's from now on. */
void extra_set(json_t *extra, const char *table, uint32_t id, json_t *take);

/* Borrowed; NULL: there is none.  EXTRA may be NULL. */
json_t *extra_get(const json_t *extra, const char *table, uint32_t id);
