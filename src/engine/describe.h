/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a directory of images says, for people: processes, memory, descriptors, sockets, mounts.
 *
 *	r = describe_images(dir, &j);	// {"processes": [...], "sockets": [...], "mounts": [...],
 *					//  "memory": {...}, "statistics": {...}}
 *
 * It reads by field, so images of another CRIU are fine as well; it changes nothing.  Nothing in
 * the images is trusted: what does not fit is an error that names the file.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>

/* *RET: a new reference.  Blocking: it reads everything but the pages. */
int describe_images(int images, json_t **ret) MUST_CHECK;
