/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock (landlock(7)): rules that nobody can read, so that a restored process would be free of
 * them.  Asked is of who has no_new_privs, which sandboxes want of everybody but CAP_SYS_ADMIN
 * (security/landlock/syscalls.c: landlock_restrict_self()).
 */
#include "state/task/task.h"

#include "base/log.h"
#include "kernel/landlock.h"

#include <errno.h>

#define TRIES 3

/* Where domains are is the same for all processes. */
static int find(struct dump *d, struct peek *k)
{
	int r = d->landlock_known ? 0 : landlock_find(k, &d->landlock_at);

	d->landlock_known = true;
	if (r < 0) {
		log_debug("dump: who is restricted by Landlock is not seen: %s", err_message());
		err_clear();
		d->landlock_at = LANDLOCK_NOWHERE;
	}
	return d->landlock_at == LANDLOCK_NOWHERE ? -1 : 0;
}

int landlock_check(struct dump *d, struct dtask *t)
{
	struct peek *k;
	int r = 0;

	if (!t->status.no_new_privs || !landlock_is_on() || !dump_peek(d, &k) || find(d, k) < 0)
		return 0;
	for (unsigned i = 0; i < TRIES && (!i || r < 0); i++)
		r = landlock_restricts(k, d->landlock_at, t->proc.dir);
	if (r < 0)
		err_clear();
	if (r <= 0)
		return 0;
	return dump_refuse(
		d, dtask_wrap(t, err_set(EOPNOTSUPP, "Landlock restricts it, by rules that nobody "
						     "can read; run it without that sandbox")));
}
