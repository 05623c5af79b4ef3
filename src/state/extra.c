/* SPDX-License-Identifier: Apache-2.0 */
#include "state/extra.h"

#include <inttypes.h>
#include <stdio.h>

#define KEY_BYTES 16

static const char *key_of(uint32_t id, char buf[KEY_BYTES])
{
	snprintf(buf, KEY_BYTES, "%" PRIu32, id);
	return buf;
}

void extra_set(json_t *extra, const char *table, uint32_t id, json_t *take)
{
	json_t *all = json_object_get(extra, table);
	char key[KEY_BYTES];

	if (!all)
		json_object_set_new(extra, table, all = json_object());
	json_object_set_new(all, key_of(id, key), take);
}

json_t *extra_get(const json_t *extra, const char *table, uint32_t id)
{
	char key[KEY_BYTES];

	return json_object_get(json_object_get(extra, table), key_of(id, key));
}
