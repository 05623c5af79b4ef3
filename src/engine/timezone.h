/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones of this host: tzfile(5). */
#pragma once

#include "base/err.h"

/*
 * The zone ZONE ("Europe/Vienna", or "local": the host's own) as a file that localtime(5) may be;
 * *RET, unless NULL, is the caller's.  -EINVAL: no name of a zone; -ENOENT: this host has none of
 * that name.
 */
int timezone_read(const char *zone, char **ret, size_t *ret_len) MUST_CHECK;
