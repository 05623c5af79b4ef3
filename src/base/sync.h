/* SPDX-License-Identifier: Apache-2.0 */
/* Many files onto the disk at once. */
#pragma once

#include "base/err.h"

/*
 * fsync(2) of all, side by side: a file system gathers those that wait at the same time into one
 * commit of its journal (ext4, xfs and btrfs all do), where one after the other each would wait for
 * a commit of its own.  -EIO and the like name NAMES[i], which may be NULL.
 */
int sync_files(const int *fds, const char *const *names, unsigned n) MUST_CHECK;
