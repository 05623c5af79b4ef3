/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: tar files with whatever in them. */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct test_member {
	const char *name;
	mode_t mode; /* 0: a plain file */
	const char *content, *link, *hardlink;
	dev_t dev;
	uid_t owner;
	const char *xattr, *value;
};

/* A descriptor of the file, at its start.  Members end with one that has no name. */
int test_tar(const struct test_member *m, bool gzip);
