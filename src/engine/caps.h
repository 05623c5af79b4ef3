/* SPDX-License-Identifier: Apache-2.0 */
/* Capability sets of an OCI spec as bit masks: bit N is capability number N (capabilities(7)). */
#pragma once

#include "base/err.h"

#include <jansson.h>

/* A list of names such as "CAP_CHOWN"; names that this build does not know are left out. */
uint64_t caps_from_json(const json_t *list);

/* The highest capability that the running kernel knows. */
int caps_last(void);
