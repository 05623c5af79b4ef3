/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything about one checkpoint, as one JSON object: checkpoint.json, or what stands for it, and
 * what describe_images() reads.
 */
#pragma once

#include "engine/container.h"

/* NAME NULL: the container's own checkpoint.  *RET: a new reference. */
int ckinspect(struct engine *e, const struct container *c, const char *custom, const char *name,
	      json_t **ret) MUST_CHECK;

/* A directory of images, one that has them in "checkpoint", or an exported archive. */
int ckinspect_path(struct engine *e, const char *path, json_t **ret) MUST_CHECK;

/* The container's own checkpoint as `checkpoint ls` shows it; NULL: there is none. */
json_t *ckinspect_own(struct engine *e, const struct container *c);

/*
 * What is different from checkpoint A to checkpoint B: {"processes": [{pid, change, command,
 * pages_changed, pages_total}], "files": [{path, change}]}.
 */
int ckdiff(struct engine *e, const struct container *c, const char *custom, const char *a,
	   const char *b, json_t **ret) MUST_CHECK;
