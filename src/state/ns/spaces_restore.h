/* SPDX-License-Identifier: Apache-2.0 */
/* Spaces at restore: spaces_load.c, spaces_make.c, spaces_enter.c. */
#pragma once

#include "state/ns/spaces.h"

/* The number of the space that T is in; 0: not known, or it is the root's. */
uint32_t spaces_task_id(const struct rtask *t, enum ns_kind kind);
struct rspace *spaces_get(const struct restore *r, enum ns_kind kind, uint32_t id); /* or NULL */
/* The box's own namespace; borrowed. */
int spaces_home(struct restore *r, enum ns_kind kind, int *ret_fd) MUST_CHECK;
/* All that the records name: r->spaces. */
int spaces_collect(struct restore *r) MUST_CHECK;
