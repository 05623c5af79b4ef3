/* SPDX-License-Identifier: Apache-2.0 */
/* What has a name and is used by containers, as `rm` and `prune` see it: networks and volumes. */
#pragma once

#include "cli/command.h"
#include "engine/engine.h"

struct object_kind {
	const char *plural;
	const char *name; /* the member of a definition that is its name */
	const char *kept; /* one that always stays, or NULL */
	int (*list)(struct engine *e, json_t **ret);
	int (*find)(struct engine *e, const char *ref, json_t **ret);
	int (*users)(struct engine *e, const char *name, char ***ret);
	int (*remove)(struct engine *e, const char *name);
	int (*check_filters)(char *const *filters);
	int (*match_filters)(struct engine *e, char *const *filters, const json_t *definition);
};

/*
 * Removes what is called REFS; FORCE: after the containers that use it, which have TIMEOUT seconds
 * (-1: their own).  The exit status: 1 one was not there, 2 one was in use.  Errors are printed.
 */
int objects_remove(struct cli *cli, const struct object_kind *kind, char *const *refs, bool force,
		   int timeout);

/*
 * Removes all that no container uses and that FILTERS match; without FORCE it asks first.  The exit
 * status; what cannot be removed is told and passed over.
 */
int objects_prune(struct cli *cli, const struct object_kind *kind, bool force, char *const *filters)
	MUST_CHECK;
