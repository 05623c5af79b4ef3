/* SPDX-License-Identifier: Apache-2.0 */
/* What images an archive, or a directory of the same kind, has in it. */
#pragma once

#include "base/err.h"

struct archive_image {
	char *source;	  /* for transport_fetch() */
	GPtrArray *names; /* complete; may be empty */
};

/*
 * FILE is what is looked at; SOURCE how skopeo is to find it; SHOWN is for messages.  *RET: struct
 * archive_image *, freed with the array.  -EINVAL: no such format.
 */
int image_archive_find(const char *file, const char *source, const char *shown, GPtrArray **ret)
	MUST_CHECK;
