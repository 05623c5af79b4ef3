/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/base.h"

#include <jansson.h>

/* J as block-style YAML with sorted keys, as `info` prints it.  Appends to TO. */
void yaml_print(const json_t *j, GString *to);
