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
/* What maps the box's users to those of USERS: UsernsEntry, outermost first. */
int spaces_load_maps(struct restore *r, uint32_t users, GPtrArray **ret) MUST_CHECK;
/* Number ID of the box there; OVERFLOW_ID: it is nobody's. */
uint32_t spaces_number_inside(const GPtrArray *maps, bool group, uint32_t id);
/* As the box numbers it: the first user or group that they have; 0: they have none. */
uint32_t spaces_first_number(const GPtrArray *maps, bool group);
/* Its root is the control groups of whoever makes it. */
int spaces_enter_cgroups(struct restore *r, struct rtask *t, struct batch *b) MUST_CHECK;
/* All that the records name: r->spaces. */
int spaces_collect(struct restore *r) MUST_CHECK;
