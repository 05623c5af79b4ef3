/* SPDX-License-Identifier: Apache-2.0 */
/* Dockerfile instructions that change an image's configuration: --change of import and commit. */
#pragma once

#include "base/err.h"

#include <jansson.h>

/*
 * Applies CHANGE, "CMD [\"/bin/sh\"]" or "CMD=/bin/sh", to the object CONFIG ("config" of an OCI
 * configuration).  -EINVAL with Podman's text.
 */
int image_change(json_t *config, const char *change) MUST_CHECK;
