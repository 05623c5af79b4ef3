/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount API of descriptors (Linux 5.2): a file system is made or a piece of a tree is copied
 * as a detached mount, which is attached when it is whole.  Close the descriptor and it is gone.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct mount_param {
	const char *key, *value; /* value NULL: a flag */
};

/*
 * A new detached mount of FSTYPE.  PARAMS end with a NULL key; ATTRS are MOUNT_ATTR_*.  What the
 * kernel writes into the context's log is in the error.
 */
int mount_make(const char *fstype, const struct mount_param *params, unsigned attrs, int *ret_fd)
	MUST_CHECK;

struct mount_overlay {
	const char *const *lower; /* topmost first */
	size_t nlower;
	const char *upper, *work;	  /* both NULL: read-only */
	const struct mount_param *params; /* more options, or NULL */
	unsigned attrs;
	bool old_way; /* as on a kernel without "lowerdir+", to test that */
};
/*
 * Every lower directory is given on its own ("lowerdir+", Linux 6.8), so that their number and
 * characters do not matter; on older kernels as one string, escaped, which has to fit one page.
 * A path of more than 255 bytes appears as /proc/self/fd/N in mountinfo.
 */
int mount_make_overlay(const struct mount_overlay *o, int *ret_fd) MUST_CHECK;

/* A detached copy of what is at PATH (a bind mount to be), with what is mounted below if RECURSIVE.
 */
int mount_copy(int dir, const char *path, bool recursive, int *ret_fd) MUST_CHECK;

/* mount_setattr(2): turns on SET, off CLR (MOUNT_ATTR_*), PROPAGATION MS_* or 0. */
int mount_change(int fd, bool recursive, uint64_t set, uint64_t clr, uint64_t propagation)
	MUST_CHECK;

/* Attaches a detached mount at an existing path; links on the way are not followed at its end. */
int mount_attach(int fd, int dir, const char *path) MUST_CHECK;

/* Attaches inside another mount namespace (MNTNS: a descriptor), below that one's root directory.
 */
int mount_attach_in(int fd, int mntns, const char *path) MUST_CHECK;

/* A bind mount of SOURCE over the existing TARGET, the old way in new words. */
int mount_bind(const char *source, const char *target, bool recursive) MUST_CHECK;

/* Takes away everything mounted at PATH, lazily, not following links; nothing mounted there is
 * fine. */
int mount_detach(const char *path) MUST_CHECK;

/*
 * The same for a file system whose end may take long: an overlay syncs the whole file system below
 * it (fs/overlayfs/super.c: ovl_sync_fs()).  The mount is gone when this returns; a process that
 * nobody waits for holds it a moment longer, and pays.
 */
int mount_detach_later(const char *path) MUST_CHECK;

/* 1 when something is mounted exactly at PATH. */
int mount_is_mount(const char *path) MUST_CHECK;
