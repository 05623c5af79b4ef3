/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories in which somebody else makes and moves files meanwhile: a name that is looked for in
 * them leads nowhere else.  ROOT may be O_PATH; descriptors are O_CLOEXEC, or -1 and errno.
 */
#pragma once

#include "base/err.h"

#include <glib.h>

/* No link is followed, not even the last one: ELOOP.  "" is ROOT itself. */
int dir_open_beneath(int root, const char *path, int flags);

/*
 * As from inside a container with this root (openat2(2), RESOLVE_IN_ROOT): links are followed, but
 * /proc's magic ones are refused.  O_CREAT makes a file of mode 644.
 */
int dir_open_in_root(int root, const char *path, int flags);

/* mkdir -p in that way; what is missing is made with mode 755. */
int dir_make_in_root(int root, const char *path) MUST_CHECK;

/* What is in DIR but "." and "..", sorted; DIR may be O_PATH. */
int dir_names(int dir, GPtrArray **ret) MUST_CHECK;
/* NAME is among such NAMES. */
bool dir_names_have(const GPtrArray *names, const char *name);
