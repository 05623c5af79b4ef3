/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups: which hierarchies the host has, where a process is in them, and the freezer.
 * What differs between versions 1 and 2 is in cgroup_v1.c and cgroup_v2.c.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

enum cgroup_layout {
	CGROUP_NONE,   /* nothing is mounted */
	CGROUP_V1,     /* controllers in version 1 hierarchies only */
	CGROUP_HYBRID, /* controllers in version 1, and a version 2 mount without them */
	CGROUP_V2,     /* version 2 alone ("unified"), what crun wants */
};

struct cgroup_mount {
	char *controllers; /* "cpu,cpuacct", "name=systemd"; "" for version 2 */
	char *root;	   /* the cgroup that is mounted there, usually "/" */
	char *target;	   /* /sys/fs/cgroup/freezer */
};

struct cgroup_host {
	enum cgroup_layout layout;
	struct cgroup_mount *v;
	size_t n;
};

/* What we see; another process, in a container, may have the same names for other directories. */
int cgroup_host_ours(struct cgroup_host *ret) MUST_CHECK;

/* The same from mountinfo in DIR, for captures: paths are as that process sees them. */
int cgroup_host_read(int dir, struct cgroup_host *ret) MUST_CHECK;
void cgroup_host_clear(struct cgroup_host *h);
const char *cgroup_layout_name(enum cgroup_layout l); /* "v1", "hybrid", "v2" */

/*
 * The cgroup of the process DIR for CONTROLLER ("" is version 2), as /proc/PID/cgroup has it.
 * -ENOENT when the hierarchy does not exist.  The caller's.
 */
int cgroup_of(int dir, const char *controller, char **ret) MUST_CHECK;

/* The same as a directory in the file system: mount point and path. */
int cgroup_dir(const struct cgroup_host *h, int dir, const char *controller, char **ret) MUST_CHECK;

/*
 * Is there room, within the memory limit of the cgroup that the process DIR is in, for a second one
 * of every page that its processes have of their own?  1: there is, or there is no limit; 0: no.
 */
int cgroup_room_for_copy(const struct cgroup_host *h, int dir) MUST_CHECK;

/*
 * Bytes that the process DIR may take before a limit of its cgroup, or of one above it, is met;
 * cached files make room.  UINT64_MAX: there is none.
 */
uint64_t cgroup_memory_left(const struct cgroup_host *h, int dir);

/* Processes of the cgroup itself, not of those below. */
struct pid_list;
int cgroup_procs(int cgroup_fd, struct pid_list *ret) MUST_CHECK;

/*
 * Removes a cgroup and those below it.  The kernel refuses as long as a process is inside
 * (cgroup_destroy_locked()), also one that is about to end: it is tried again until END_US, of
 * g_get_monotonic_time().  0: there is none; -EBUSY names it.
 */
int cgroup_remove(const char *path, int64_t end_us) MUST_CHECK;

/*
 * The freezer of one cgroup.
 *
 *	CLEANUP(freezer_close) struct freezer f = FREEZER_NONE;
 *
 *	r = freezer_open(&f, &host, proc.dir);
 *	r = freezer_freeze(&f, 5000);	// from here, any return thaws
 *	...
 *	r = freezer_thaw(&f);
 *
 * A container that somebody else had frozen already is left frozen.
 */
struct freezer;

struct freezer_ops {
	const char *name;
	int (*set)(const struct freezer *f, bool frozen);
	int (*wait)(const struct freezer *f, bool frozen, int timeout_ms); /* 1: reached, 0: not */
	int (*get)(const struct freezer *f); /* 1: is or is being frozen, by itself or from above */
};
extern const struct freezer_ops freezer_v1, freezer_v2;

struct freezer {
	const struct freezer_ops *ops;
	int dir; /* the cgroup */
	char *path;
	bool ours; /* we froze it */
};
#define FREEZER_NONE ((struct freezer){.dir = -1})

/* -EOPNOTSUPP: the process is in the root cgroup or the host has no freezer. */
int freezer_open(struct freezer *f, const struct cgroup_host *h, int dir) MUST_CHECK;
int freezer_open_at(struct freezer *f, const struct freezer_ops *ops, const char *path) MUST_CHECK;

/* -ETIMEDOUT names what would not freeze; the cgroup is thawed again then. */
int freezer_freeze(struct freezer *f, int timeout_ms) MUST_CHECK;
int freezer_thaw(struct freezer *f) MUST_CHECK;
int freezer_is_frozen(const struct freezer *f) MUST_CHECK; /* 1 or 0 */
void freezer_close(struct freezer *f);
