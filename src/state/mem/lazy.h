/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that comes when it is wanted: mappings without pages, whose faults a server of pages
 * (cr/lazy.c) resolves through a userfaultfd of each process.
 */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

/* What travels to the server, with the userfaultfd; zeros without one: the tree runs. */
struct lazy_task {
	int32_t nspid, pid; /* as in the images, as we see it */
};

/* Private anonymous memory that nobody has locked, and that does not grow by itself. */
bool lazy_vma(const VmaEntry *v);

/* The same of a process that is dumped; frozen, with its guards and locks in t->extra. */
bool lazy_map(const struct dtask *t, const struct vma *v);

/* Takes the mappings that are to be served out of what is read now. */
void lazy_plan(struct rtask *t);

/* Pages that are in no image are all in such mappings, and there is a server. */
int lazy_check(const struct rtask *t) MUST_CHECK;

/* All mappings are there; from here on the memory may only be touched if the server runs. */
int lazy_begin(struct restore *r, struct rtask *t) MUST_CHECK;

int lazy_end(struct restore *r) MUST_CHECK;

/* Adds the making of a userfaultfd, with FLAGS, in the task itself. */
int lazy_add_new(struct batch *b, uint32_t flags, int *ret_op) MUST_CHECK;
