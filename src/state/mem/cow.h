/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that a process and its parent have in common since fork(2) stay one page.
 *
 * At dump the frames of both are compared (/proc/PID/pagemap); the image has the pages of each, as
 * CRIU's has, and cryo.json says which runs of a child are its parent's: "tasks": {"PID": {"cow":
 * [address, pages, ...]}}.  At restore a parent maps and fills what its children want before it
 * forks them; a child unmaps, drops and overwrites what is not the same.  Whole mappings only: one
 * that is not inside a mapping of the parent is made anew.
 */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

int cow_dump(struct dump *d) MUST_CHECK;

/* Before T forks, and before it maps the rest of its memory: t->have is there and filled. */
int cow_settle(struct restore *r, struct rtask *t) MUST_CHECK;
void cow_born(const struct rtask *parent, struct rtask *child, bool same_memory);

/* A mapping that somebody else has made and filled. */
void cow_add(struct rtask *t, uint64_t start, uint64_t end);

/* [START, END) of T, which is mapped, is filled by somebody else. */
void cow_claim(struct rtask *t, uint64_t start, uint64_t end);

/* Is this mapping there already? */
bool cow_has(const struct rtask *t, const VmaEntry *v);

/* The next part of [*AT, END) that is not in what is there already; false: there is none. */
bool cow_rest(const struct rtask *t, uint64_t *at, uint64_t end, uint64_t *ret_start,
	      uint64_t *ret_end);
