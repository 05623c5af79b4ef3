/* SPDX-License-Identifier: Apache-2.0 */
/* --external and --inherit-fd, in CRIU's spelling. */
#pragma once

#include "cr/cryo.h"
#include "cryo/options.h"

struct externals {
	struct cryo_external *v;
	unsigned n;
};

/*
 * --external "KEY" or "KEY:NAME", where the name is the whole key otherwise, as --inherit-fd will
 * say it; --ext-mount-map "KEY:NAME" with the key of mnt[KEY], or "auto"; --veth-pair "IN=OUT".
 */
int externals_parse(const struct options *o, struct externals *ret) MUST_CHECK;

/* --ext-unix-sk INODE,...: as unix[INODE] each. */
int externals_add_unix(const char *inodes, struct externals *x) MUST_CHECK;
/* Whoever has asked for its own dump is connected to us: this is our end. */
int externals_add_service(int sock, struct externals *x) MUST_CHECK;
int externals_add(char *const *words, struct externals *x) MUST_CHECK; /* as --external */
void externals_clear(struct externals *x);

struct inherits {
	GArray *v; /* struct cryo_inherit; names borrowed from WORDS */
};

/* "fd[N]:KEY"; N must be open. */
int inherits_parse(char *const *words, struct inherits *ret) MUST_CHECK;
void inherits_clear(struct inherits *i);
