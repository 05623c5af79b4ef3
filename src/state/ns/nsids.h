/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that images have for the namespaces of the tree's root: ours are always the same, another
 * CRIU counts them as it meets them.
 */
#pragma once

#include "base/err.h"
#include "image/core.pb-c.h"
#include "kernel/ns.h"

#include <sys/types.h>

struct nsids {
	uint32_t v[NS_COUNT];
	unsigned own; /* CLONE_NEW* of those that whoever dumped it was not in */
};

/* Of the process with number ROOT.  Images that say nothing of it have our numbers. */
int nsids_load(int images, pid_t root, struct nsids *ret) MUST_CHECK;

/* 0: not in the record. */
uint32_t nsids_of(const TaskKobjIdsEntry *e, enum ns_kind kind);

/* Of a task whose record of itself has none they are in an image of their own. */
int nsids_complete(int images, pid_t pid, CoreEntry *core) MUST_CHECK;
