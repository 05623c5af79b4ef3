/* SPDX-License-Identifier: Apache-2.0 */
/* A tree that was frozen goes on. */
#include "base/log.h"
#include "state/task/task.h"
#include "state/task/traced.h"
#include "state/tree.h"

static void cure(struct dtask *t)
{
	if (t->agent && agent_cure(t->agent) < 0)
		log_warn("task %d (%s): %s", t->nspid, t->stat.comm, err_message());
}

void tree_resume(struct dump *d)
{
	ERR_KEEP;
	unsigned n = d->frozen && d->tasks ? d->tasks->len : 0;

	for (unsigned i = n; (d->was_frozen || d->traced) && i-- > 0;)
		cure(dump_task(d, i));
	for (unsigned i = n; d->traced && i-- > 0;)
		if (dump_task(d, i)->traced)
			waits_resume(dump_task(d, i));
	if (n && traced_give_back(d) < 0)
		log_warn("%s", err_message());
	if (n && d->was_frozen) /* before the first is let go */
		thaw_undo(d);
	for (unsigned i = n; i-- > 0;) {
		struct dtask *t = dump_task(d, i);

		cure(t);
		if (!t->zombie && !t->traced)
			waits_resume(t);
		seized_release(&t->seized);
		t->seized = SEIZED_NONE;
	}
	d->frozen = false;
}

void tree_release(struct dump *d)
{
	tree_resume(d);
	for (unsigned i = 0; d->tasks && i < d->tasks->len; i++)
		agent_free(&dump_task(d, i)->agent);
}
