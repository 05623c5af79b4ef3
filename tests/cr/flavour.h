/* SPDX-License-Identifier: Apache-2.0 */
/* Trees with namespaces and a root directory of their own, for cryo. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct flavour {
	const char *name;
	unsigned namespaces; /* CLONE_NEW* */
};

const struct flavour *flavour_find(const char *name);

/* Makes the directory DIR/root with EXE, its libraries and devices in it; *RET is the caller's. */
int flavour_root(const char *dir, const char *exe, char **ret) MUST_CHECK;
void flavour_root_end(const char *root);

/* Forks the first task, which executes ARGV with IN and OUT in its namespaces, below ROOT. */
int flavour_start(const struct flavour *f, const char *root, char **argv, int in, int out,
		  pid_t *ret) MUST_CHECK;
