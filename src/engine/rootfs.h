/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's root file system: overlayfs over the image's layers.
 *
 *	ROOT/overlay/ID/diff	what the container changed
 *	ROOT/overlay/ID/work	overlayfs's own
 *	ROOT/overlay/ID/merged	the mount
 *
 * All functions are idempotent, and none of them runs another program.  The directories are made
 * by the first mount, so a container that was never mounted has none.  Whoever changes something
 * holds the container's lock.
 */
#pragma once

#include "engine/engine.h"

/* LAYERS as in struct image.  *RET is the path of the mount (the caller frees), or NULL. */
int rootfs_mount(struct engine *e, const char *id, char *const *layers, char **ret) MUST_CHECK;
/* Lazily: what still has files open keeps them. */
int rootfs_umount(struct engine *e, const char *id) MUST_CHECK;
/* The path when it is mounted, else NULL; the caller frees. */
char *rootfs_mountpoint(struct engine *e, const char *id);
/* Where it is or would be mounted; the caller frees. */
char *rootfs_path(struct engine *e, const char *id);
/* The directory with the container's own changes; the caller frees. */
char *rootfs_diff_path(struct engine *e, const char *id);

/* Unmounts and removes everything. */
int rootfs_remove(struct engine *e, const char *id) MUST_CHECK;

/*
 * The container's own changes become a copy of the directory FROM; it is not mounted then.  Until
 * rootfs_swap_commit() the next mount, after a crash, brings the old ones back; rootfs_swap_undo()
 * does so until rootfs_swap_done(), which removes them.
 */
int rootfs_swap(struct engine *e, const char *id, int from) MUST_CHECK;
int rootfs_swap_commit(struct engine *e, const char *id) MUST_CHECK;
int rootfs_swap_undo(struct engine *e, const char *id) MUST_CHECK;
int rootfs_swap_done(struct engine *e, const char *id) MUST_CHECK;
/* OWN: the container's directory below ROOT/overlay.  Does nothing while we are at it ourselves. */
int rootfs_swap_recover(struct engine *e, const char *id, int own) MUST_CHECK;

enum rootfs_change_kind { ROOTFS_CHANGED = 'C', ROOTFS_ADDED = 'A', ROOTFS_DELETED = 'D' };
struct rootfs_change {
	enum rootfs_change_kind kind;
	bool directory;
	char *path; /* absolute, in the container */
};
/*
 * What the container changed against LAYERS, sorted by path: struct rootfs_change *, freed with the
 * array.  What the engine itself mounts there (/proc, /etc/hosts ...) is left out.
 */
int rootfs_diff(struct engine *e, const char *id, char *const *layers, GPtrArray **ret) MUST_CHECK;

/* Bytes in the container's own files. */
int rootfs_size(struct engine *e, const char *id, uint64_t *ret_bytes) MUST_CHECK;
