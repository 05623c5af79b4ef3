/* SPDX-License-Identifier: Apache-2.0 */
/* What container.c and lifecycle.c need of container_store.c beyond container.h. */
#pragma once

#include "engine/container.h"

struct container *container_new(void);
/* Reads the whole record again by its ID; -ENOENT when it was removed. */
int container_load(struct engine *e, struct container *c) MUST_CHECK;
/* The exit code of a container removed in the last minutes: 1 and *RET_CODE, or 0. */
int container_late_exit(struct engine *e, const char *id, int *ret_code) MUST_CHECK;
bool container_name_used(struct engine *e, const char *name);
/* -EEXIST with Podman's text: C's name, or its ID, belongs to another one. */
int container_name_taken(struct engine *e, const struct container *c) __attribute__((cold));
