/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups (cgroups(7)) of standalone trees: which set of them each task is in, their
 * directories and settings: cgroup.img. */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

#include "image/cgroup.pb-c.h"

/* What is made and set: nothing; settings of what is there; what is missing, and its settings;
 * settings of all; everything anew. */
enum cgroups_mode { CGROUPS_NONE, CGROUPS_PROPS, CGROUPS_SOFT, CGROUPS_FULL, CGROUPS_STRICT };

struct cgroups {
	CgroupEntry *e;
	enum cgroups_mode mode;
	char *const *roots; /* "[CONTROLLER:]PATH", NULL-terminated, or NULL */
	const char *yard;   /* a directory below which hierarchies are mounted, or NULL */
};

int cgroups_dump(struct dump *d) MUST_CHECK;

/* 1: they were not saved. */
int cgroups_load(int images, enum cgroups_mode mode, char *const *roots, struct cgroups *ret)
	MUST_CHECK;
void cgroups_clear(struct cgroups *c);

/* The directories with their settings. */
int cgroups_make(const struct cgroups *c) MUST_CHECK;

/* Task PID goes where tasks of this set were. */
int cgroups_enter(const struct cgroups *c, uint32_t set, pid_t pid) MUST_CHECK;

/* All tasks that were elsewhere than the root; the root is there when it begins. */
int cgroups_restore(struct restore *r) MUST_CHECK;
/* Threads that were elsewhere than their process; they are there when it begins. */
int cgroups_restore_threads(struct restore *r) MUST_CHECK;

const char *cgroups_new_root(char *const *roots, const char *name);
