/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing stands still while we look: a task that just ends or executes another program shows
 * things that no task at rest has.  Of one that ends nothing counts.  What else is wrong is wrong
 * each time; for what passes by itself (a connection that waits to be accepted, a parent in
 * vfork(2)) we wait longer.
 */
#include "cr/look.h"

#include "base/log.h"
#include "state/tree.h"

#include <errno.h>

#define LOOKS		5
#define PATIENT_LOOKS	50
#define PATIENT_WAIT_US 10000

int look_at(struct dump *d, struct dtask *t, int (*check)(struct dump *d, struct dtask *t))
{
	size_t before = d->refused->len;
	bool lasting = d->lasting;
	int r = check(d, t);

	if ((r < 0 || d->refused->len > before) && task_is_ending(t)) {
		g_string_truncate(d->refused, before);
		d->lasting = lasting;
		err_clear();
		return 0;
	}
	if (r == -ESRCH || r == -ENOENT) { /* it has executed another program */
		err_clear();
		return 0;
	}
	return r;
}

int look_patiently(struct dump *d, int (*look)(struct dump *d))
{
	int r = 0;

	for (unsigned i = 0; i < (d->lasting ? LOOKS : PATIENT_LOOKS); i++) {
		if (i >= LOOKS)
			g_usleep(PATIENT_WAIT_US);
		g_string_truncate(d->refused, 0);
		d->lasting = false;
		g_hash_table_remove_all(d->scouted);
		r = look(d);
		if (r >= 0 && !d->refused->len)
			break;
		d->lasting |= r < 0;
		log_debug("dump: look %u: %s", i, r < 0 ? err_message() : d->refused->str);
	}
	return r;
}
