/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers that a command is about: by name, --all, --latest, --cidfile or --filter.
 *
 *	r = pick_check(cli, o->all, o->latest, 0);	// usage errors, before anything is opened
 *	r = pick_containers(cli, &how, &picks);		// one unknown name and nothing is done
 *	return pick_each(picks, stop_one, cli);		// prints each name, or its error
 */
#pragma once

#include "cli/command.h"
#include "engine/container.h"

struct pick {
	struct container *c;
	const char *shown; /* what is printed on success: as typed, or the full ID */
};

struct pick_how {
	bool all, latest;
	bool ignore;	      /* unknown names are skipped */
	char *const *filters; /* with ALL's meaning: all that match */
	char *const *cidfiles;
	bool (*wanted)(const struct container *c); /* which of all; NULL: every one */
};

/*
 * Podman's order of complaints.  OTHER: names come from somewhere else, too (a file, a filter), so
 * that having none is fine.
 */
int pick_check(const struct cli *cli, bool all, bool latest, bool other) MUST_CHECK;

/* *RET: struct pick, freed with the array. */
int pick_containers(struct cli *cli, const struct pick_how *how, GArray **ret) MUST_CHECK;

/* One container by name or, with LATEST, the newest; the caller unrefs. */
int pick_one(struct cli *cli, bool latest, const char *name, struct container **ret) MUST_CHECK;

/* Calls EACH for all; a failure does not keep the others.  Returns the exit status. */
int pick_each(struct cli *cli, const GArray *picks,
	      int (*each)(struct cli *cli, struct engine *e, struct container *c));

/* Docker's habit: "/name". */
const char *pick_name(const char *typed);

/* How many arguments: MAX -1 for any.  cobra's texts. */
int args_range(const struct cli *cli, int min, int max) MUST_CHECK;

/* With force, as `rm` does, waiting TIMEOUT seconds (-1: the container's own); gone already: fine.
 */
int remove_by_id(struct cli *cli, char *const *ids, int timeout) MUST_CHECK;

/* Asks on standard input before all of WHAT ("volumes") that no container uses are removed. */
bool confirm_prune(const char *what);

/* The same question about ALL that the sentence "This will remove all ..." names. */
bool confirm_removal(const char *all);
