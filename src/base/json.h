/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/* A member as text; "" when it is not there, or no text. */
static inline const char *json_text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}
