/* SPDX-License-Identifier: Apache-2.0 */
/* What run.c runs, and the ways in which it goes and comes back. */
#pragma once

#include "base/err.h"
#include "cr/cryo.h"
#include "flavour.h"

#include <glib.h>
#include <linux/sched.h>
#include <stdbool.h>
#include <sys/types.h>

#define PATIENCE_MS 20000
#define NAMESPACES  (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC)

struct run {
	int in[2], out[2]; /* the program's stdin and stdout */
	char keys[2][64];
	pid_t pid;    /* its pid 1, as we see it; our child */
	pid_t server; /* of its memory; 0: none */
	GString *said;
	char *dir; /* images */
	unsigned generation;
	bool tcp; /* connections are kept */
	bool ext_unix, floor;
	GPtrArray *expected; /* words of the refusal */
	const char *cryo;    /* the program; NULL: by libcryo */
	pid_t peer;
	const struct flavour *flavour;
	char *root; /* of a flavour */
};

/* Reads one more line of the program, which has to be WORD. */
int run_expect(struct run *r, const char *word) MUST_CHECK;
/* Is all that was expected of a refusal in TEXT? */
int run_says_all(const struct run *r, const char *text) MUST_CHECK;

/* run_dump.c; *RET_FD: a new directory for images.  *RET_PARENT: the last round's. */
int run_images_dir(struct run *r, int *ret_fd) MUST_CHECK;
int run_predump(struct run *r, bool changing, char **ret_parent, int *ret_fd) MUST_CHECK;
int run_dump(struct run *r, int dir, enum cryo_finish how, const char *parent, int parent_dir)
	MUST_CHECK;
int run_dump_with_faults(struct run *r, int *ret_dir) MUST_CHECK;

/* run_restore.c */
int run_restore(struct run *r, int dir, bool lazy) MUST_CHECK;

/* run_cryo.c: by the command; POSSIBLE: nothing is to stop a dump. */
int run_by_command(struct run *r) MUST_CHECK;
int run_look(struct run *r, bool possible) MUST_CHECK;

/* run_sets.c: with CR_SETS, a directory, the images are there afterwards, for crit; without pages.
 */
int run_keep_sets(const struct run *r, const char *program, const char *mode) MUST_CHECK;
