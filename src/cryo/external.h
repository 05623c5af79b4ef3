/* SPDX-License-Identifier: Apache-2.0 */
/* --external and --inherit-fd, in CRIU's spelling. */
#pragma once

#include "cr/cryo.h"

struct externals {
	struct cryo_external *v;
	unsigned n;
};

/*
 * WORDS are "KEY" or "KEY:NAME"; the name is the whole key otherwise, as --inherit-fd will say it.
 * MOUNTS, of --ext-mount-map, are "KEY:NAME" with the key of mnt[KEY], or "auto".
 */
int externals_parse(char *const *words, char *const *mounts, struct externals *ret) MUST_CHECK;

/* --ext-unix-sk INODE,...: as unix[INODE] each. */
int externals_add_unix(const char *inodes, struct externals *x) MUST_CHECK;
void externals_clear(struct externals *x);

struct inherits {
	GArray *v; /* struct cryo_inherit; names borrowed from WORDS */
};

/* "fd[N]:KEY"; N must be open. */
int inherits_parse(char *const *words, struct inherits *ret) MUST_CHECK;
void inherits_clear(struct inherits *i);
