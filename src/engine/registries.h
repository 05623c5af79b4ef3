/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a short name may stand for, by containers-registries.conf(5): the aliases and the list of
 * registries to search.  Mirrors, blocked and insecure registries are skopeo's business, which
 * reads the same files.
 *
 * Read are $CONTAINERS_REGISTRIES_CONF or /etc/containers/registries.conf, then
 * /etc/containers/registries.conf.d/NAME.conf in order of their names; later ones win.
 */
#pragma once

#include "engine/image_name.h"

struct registries {
	char *path;	     /* of the main file */
	char **search;	     /* unqualified-search-registries; never NULL */
	GHashTable *aliases; /* "alpine" -> "docker.io/library/alpine" */
};

void registries_clear(struct registries *r);

/* Files that are not there are fine; one that cannot be understood is an error naming it. */
int registries_read(struct registries *ret) MUST_CHECK;

/*
 * The full names to try for a short one, best first; never empty.  LOCAL: for looking into the
 * store: localhost/NAME comes first and docker.io last, whatever is configured.  Else for pulling:
 * -ENOENT when nothing is configured.
 */
int registries_candidates(const struct image_name *n, bool local, char ***ret) MUST_CHECK;
