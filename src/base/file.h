/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files by directory handle.  DIR may be AT_FDCWD. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/*
 * The file's content, NUL-terminated, owned by the caller.  A file of more than MAX bytes is
 * -EFBIG.  Works for /proc, whose files have no size.  *RET_LEN may be NULL.
 */
int file_read_at(int dir, const char *name, size_t max, char **ret, size_t *ret_len) MUST_CHECK;

/*
 * A file of /proc that the kernel makes in one piece (fs/seq_file.c: single_open()), read with one
 * call: into BUF, NUL-terminated.  -EFBIG: SIZE is not more than its length.
 */
int file_read_piece_at(int dir, const char *name, char *buf, size_t size) MUST_CHECK;

/* Replaces NAME as a whole: a new file aside, synced, renamed.  -ENOSPC leaves the old one. */
int file_replace_at(int dir, const char *name, const void *data, size_t len, mode_t mode)
	MUST_CHECK;

/* The same without the sync: for files that need not outlive a crash of the machine. */
int file_write_at(int dir, const char *name, const void *data, size_t len, mode_t mode) MUST_CHECK;

/* Writes into an existing file in one write(2): /proc, /sys, cgroups. */
int file_poke_at(int dir, const char *name, const char *text) MUST_CHECK;

/*
 * openat2(2).  With RESOLVE_BENEATH or RESOLVE_IN_ROOT the kernel gives EAGAIN when anything was
 * renamed or mounted anywhere while it looked at a ".." (fs/namei.c: handle_dots()): tried again, a
 * bounded number of times.  The descriptor, or -1 and errno.
 */
struct open_how;
int file_openat2(int dir, const char *path, const struct open_how *how);

/* Creates PATH and its missing parents.  An existing directory is fine. */
int file_mkdirs(const char *path, mode_t mode) MUST_CHECK;

/*
 * Removes the tree at NAME, never following links, never crossing into another mount.  A name
 * that does not exist is fine.
 */
int file_remove_tree_at(int dir, const char *name) MUST_CHECK;
