/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image that the container of an archive was made from: known by the digest of its
 * configuration or, if that is another one here, by those of its layers.  A name alone is never
 * enough: the root file system's changes only make sense on top of the same files.
 */
#pragma once

#include "engine/archive_in.h"

/* in->image.  -ENOENT: it is not here, with what to do. */
int import_find_image(struct archive_in *in) MUST_CHECK;
