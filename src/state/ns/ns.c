/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ns/ns.h"

#include <errno.h>

/* A container has one of each; processes that made more of their own are not supported. */
int ns_check(struct dump *d, struct dtask *t)
{
	uint64_t id;
	int r;

	for (unsigned k = 0; k < NS_COUNT; k++) {
		r = ns_id(t->proc.dir, (enum ns_kind)k, &id);
		if (r < 0)
			return r;
		if (id != d->ns[k])
			return err_set(EOPNOTSUPP,
				       "it is in another %s namespace than the first task, which "
				       "cannot be saved; end it",
				       ns_infos[k].name);
	}
	return 0;
}
