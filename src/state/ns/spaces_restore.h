/* SPDX-License-Identifier: Apache-2.0 */
/* Spaces at restore: spaces_load.c, spaces_make.c, spaces_enter.c. */
#pragma once

#include "state/ns/spaces.h"

/* The number of the space that T is in; 0: not known, or it is the root's. */
uint32_t spaces_task_id(const struct rtask *t, enum ns_kind kind);
struct rspace *spaces_get(const struct restore *r, enum ns_kind kind, uint32_t id); /* or NULL */
/* The box's own namespace; borrowed. */
int spaces_home(struct restore *r, enum ns_kind kind, int *ret_fd) MUST_CHECK;
/* The user namespace of the box; -1: our own.  The caller's. */
int spaces_users_of_box(struct restore *r, int *ret_fd) MUST_CHECK;
int spaces_make_users(struct restore *r, struct rspace *s) MUST_CHECK;
/* Of those that come with CHILD, whom PARENT forks: before, and after that. */
int spaces_become_owner(struct restore *r, const struct rspace *s, struct rtask *parent,
			struct rtask *child) MUST_CHECK;
int spaces_born_users(struct restore *r, struct rspace *s, struct rtask *parent,
		      struct rtask *child) MUST_CHECK;
/* Its root is the control groups of whoever makes it. */
int spaces_enter_cgroups(struct restore *r, struct rtask *t, struct batch *b) MUST_CHECK;
/* All that the records name: r->spaces. */
int spaces_collect(struct restore *r) MUST_CHECK;
