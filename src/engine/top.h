/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a container, as `top` shows them. */
#pragma once

#include "engine/container.h"

/*
 * DESCRIPTORS: names such as "user", "pid", "%C" or NULL for Podman's default columns.  *RET: rows
 * of NULL-terminated string vectors (char **), the first one the header; g_ptr_array_unref() frees
 * it. "top can only be used on running containers".
 */
int container_top(struct engine *e, struct container *c, const char *const *descriptors,
		  GPtrArray **ret) MUST_CHECK;
