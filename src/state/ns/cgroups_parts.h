/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files cgroups*.c; nobody else includes this.  A hierarchy
 * is called as /proc/PID/cgroup has it: "cpu,cpuacct", "name=systemd", "" for version 2.
 */
#pragma once

#include "state/ns/cgroups.h"

#include "kernel/cgroup.h"

/*
 * The top of hierarchy NAME: what is mounted in YARD, if that is not NULL; else where we see it; a
 * hierarchy that we do not see is mounted for as long as *RET is open, nowhere.
 */
int cgroups_open(const struct cgroup_host *h, const char *yard, const char *name, int *ret)
	MUST_CHECK;

/* The directory of a group relative to that. */
const char *cgroups_relative(const char *path);

/* Makes PATH with what is above it; 1: it is new. */
int cgroups_mkdirs(int top, const char *controllers, const char *path) MUST_CHECK;

/* PATH as it is with the tree's root moved: what is below the root moves along. */
char *cgroups_rebase(const struct cgroups *c, const char *name, const char *path);

/* What of such a hierarchy is to be saved: the caller's array, of strings that are not. */
GPtrArray *cgroups_settings(const struct dump *d, const char *controllers);
/* Settings are named after their controllers: what else is in a group is no setting. */
bool cgroups_is_setting(const char *name, const char *controllers);
