/* SPDX-License-Identifier: Apache-2.0 */
/* What `image prune` and `system prune` share. */
#pragma once

#include "cli/command.h"
#include "engine/engine.h"

/* Does NAME=VALUE name a filter that prune knows: label, label!, until?  Checked before all. */
int prune_filters_check(char *const *filters) MUST_CHECK;
bool prune_filters_match(char *const *filters, const json_t *labels, int64_t created_ns);

/*
 * Images without a name (ALL: without a container) that FILTERS match.  Prints TITLE before the
 * first, and each ID; *BYTES grows by their sizes.  The exit status.
 */
int prune_images(struct engine *e, bool all, char *const *filters, const char *title,
		 uint64_t *bytes) MUST_CHECK;

/* Asks TEXT. */
bool prune_confirm(const char *text);
