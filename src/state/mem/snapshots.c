/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the tree goes on afterwards and has much memory, a copy-on-write child of each process holds
 * the memory as it is now and writes it, while the original runs already: the pause is that of a
 * fork(2), whatever is to be written.  Such a child sees all private memory but what MADV_DONTFORK
 * and MADV_WIPEONFORK keep from it: processes with those are written while they are frozen.
 */
#include "state/mem/lanes.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>

static bool hides_memory(const struct dtask *t)
{
	if (json_object_get(t->extra, "watched"))
		return true; /* fork(2) may have to wait until its handler has read of it */
	for (size_t i = 0; i < t->maps.n; i++)
		if (aio_is_ring(&t->maps.v[i]) ||
		    (mem_has_pages(&t->maps.v[i]) &&
		     t->maps.v[i].vmflags & (VMF(DC) | VMF(WF) | VMF(HT))))
			return true;
	return false;
}

bool snapshots_pay(const struct dump *d)
{
	for (unsigned i = 0; i < d->tasks->len; i++)
		if (!dump_task(d, i)->zombie && hides_memory(dump_task(d, i)))
			return false;
	return d->o.snapshot && mem_resident_pages(d) >= SNAPSHOT_MIN_PAGES;
}

static int make_snapshot(struct lane *l)
{
	char path[32];
	pid_t nspid;
	int r = agent_snapshot(l->t->agent, SNAPSHOT_SLOT, &nspid);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d", agent_tid(l->t->agent, SNAPSHOT_SLOT));
	l->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	l->nspid = nspid;
	batch_end(&l->b);
	batch_begin(&l->b, l->t->agent, SNAPSHOT_SLOT);
	return l->dir < 0 ? err_errno("open %s", path) : 0;
}

int lane_snapshot(struct dump *d, struct lane *l)
{
	int r = lane_connect(d, l);

	if (r == 0)
		r = mem_guards_dump(l->t);
	if (r == 0)
		r = lane_scan(d, l);
	return r < 0 ? r : make_snapshot(l);
}

bool mem_has_snapshots(const struct dump *d)
{
	return d->pages && d->pages->snapshot;
}

int mem_dump_snapshots(struct dump *d)
{
	int r = lanes_post(d, d->pages);

	return r < 0 ? r : lanes_finish(d, d->pages);
}

/*
 * A snapshot is a child that its parent does not know of, and that stays a zombie until a wait(2)
 * for it is made in the parent's name.
 */
void mem_end_snapshots(struct dump *d)
{
	ERR_KEEP;

	for (unsigned i = 0; d->pages && i < d->pages->n; i++) {
		struct lane *l = &d->pages->lanes[i];
		struct dtask *t = l->t;

		if (!l->nspid)
			continue;
		batch_end(&l->b);
		l->begun = false;
		if (agent_snapshot_end(t->agent, SNAPSHOT_SLOT) < 0)
			log_warn("task %d (%s): %s", t->nspid, t->stat.comm, err_message());
		agent_free(&t->agent);
		if (agent_snapshot_reap(t->pid, l->nspid) < 0)
			log_warn("task %d (%s): %s", t->nspid, t->stat.comm, err_message());
	}
	lanes_free(d);
}
