/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

json_t *version_document(void); /* a new reference */
const char *version_arch(void); /* "amd64" */
