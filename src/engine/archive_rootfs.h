/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The changes of a root file system, as an archive has them, in overlayfs's own form: a directory
 * rootfs/diff in the archive's scratch directory, which becomes the container's.  Its layers
 * (in->image) are known.
 */
#pragma once

#include "engine/archive_in.h"

struct unpack;

/* The member that U stands at. */
int archive_rootfs_unpack(struct archive_in *in, struct unpack *u) MUST_CHECK;
/* What had to wait for the layers, and what was deleted. */
int archive_rootfs_finish(struct archive_in *in) MUST_CHECK;
