/* SPDX-License-Identifier: Apache-2.0 */
#include "state/task/levels.h"

#include "state/ns/spaces.h"

#include <errno.h>
#include <stdio.h>

#define HELPER_FIRST 32000 /* numbers for those that are in no image */

/* Dump. */

pid_t level_of_root(const struct dump *d, const struct pid_chain *c)
{
	if (!c->n)
		return 0;
	return c->v[MIN(d->depth, c->n - 1)];
}

int levels_check(const struct dtask *t)
{
	if (t->status.nstgid.n > t->dump->depth + 1 + LEVELS_MAX)
		return err_set(EOPNOTSUPP, "it is more than %d pid namespaces below the first task",
			       LEVELS_MAX);
	return 0;
}

bool levels_is_init(const struct dtask *t)
{
	return t->status.nstgid.n > t->dump->depth + 1 && pid_chain_inner(&t->status.nstgid) == 1;
}

unsigned levels_below(const struct dtask *t)
{
	unsigned n = t->status.nstgid.n;

	return n > t->dump->depth + 1 ? n - t->dump->depth - 1 : 0;
}

static json_t *below_root(const struct dump *d, const struct pid_chain *c)
{
	json_t *all = json_array();

	for (unsigned i = d->depth + 1; i < c->n; i++)
		json_array_append_new(all, json_integer(c->v[i]));
	return all;
}

static json_t *tids_of(const struct dump *d, const struct dtask *t)
{
	json_t *all = json_object();

	for (unsigned i = 1; i < t->nthreads; i++) {
		char tid[16];

		snprintf(tid, sizeof(tid), "%d", t->threads[i].nstid);
		json_object_set_new(all, tid, below_root(d, &t->threads[i].status.nspid));
	}
	return all;
}

/* Of a process that has called unshare(2) or setns(2) with CLONE_NEWPID, for its children only. */
static int dump_children(struct dump *d, struct dtask *t)
{
	uint64_t own, children;
	int r;

	if (t->zombie || (!d->spaces->len && !d->unborn))
		return 0;
	r = ns_id(t->proc.dir, NS_PID, &own);
	if (r == 0)
		r = ns_child_id(t->proc.dir, NS_PID, &children);
	if (r < 0 || own == children)
		return r;
	/* 0: nobody has been born in it yet */
	json_object_set_new(t->extra, "children_pid_ns",
			    json_integer(children ? spaces_id(d, NS_PID, children) : 0));
	return 0;
}

int levels_dump(struct dump *d, struct dtask *t)
{
	const struct procstatus *s = &t->status;

	if (s->nstgid.n > d->depth + 1)
		json_object_set_new(t->extra, "levels",
				    json_pack("{s:o,s:o,s:o,s:o}", "pid", below_root(d, &s->nstgid),
					      "pgid", below_root(d, &s->nspgid), "sid",
					      below_root(d, &s->nssid), "tids", tids_of(d, t)));
	return dump_children(d, t);
}

pid_t levels_seen_by_parent(const struct dump *d, const struct dtask *t)
{
	const struct pid_chain *c = &t->status.nstgid;
	unsigned n =
		t->parent < 0 ? d->depth + 1 : dump_task(d, (unsigned)t->parent)->status.nstgid.n;

	return n && n <= c->n ? c->v[n - 1] : t->nspid;
}

/* Restore. */

static unsigned read_levels(const json_t *all, pid_t ret[static LEVELS_MAX])
{
	unsigned n = (unsigned)MIN(json_array_size(all), LEVELS_MAX);

	for (unsigned i = 0; i < n; i++)
		ret[i] = (pid_t)json_integer_value(json_array_get(all, i));
	return n;
}

static const json_t *part(const struct rtask *t, const char *name)
{
	return json_object_get(json_object_get(t->extra, "levels"), name);
}

/* Somebody's group or session whose leader it stands in for: that one's numbers of it. */
static bool find_leader(const struct restore *r, struct rtask *h)
{
	for (unsigned i = 0; i < r->nimages; i++) {
		const struct rtask *t = restore_task(r, i);
		const char *name = t->nssid == h->nspid	   ? "sid"
				   : t->nspgid == h->nspid ? "pgid"
							   : NULL;

		if (name && part(t, name))
			h->nlevels = read_levels(part(t, name), h->levels);
		if (name && h->nlevels)
			return true;
	}
	return false;
}

static int load_helper(struct restore *r, struct rtask *h, unsigned number)
{
	unsigned n = restore_task(r, (unsigned)h->parent)->nlevels;

	if (n && find_leader(r, h) && h->nlevels == n)
		return 0;
	h->nlevels = n;
	for (unsigned i = 0; i < n; i++)
		h->levels[i] = (pid_t)(HELPER_FIRST + number);
	return 0;
}

int levels_load(struct restore *r)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < r->tasks->len; i++) {
		struct rtask *t = restore_task(r, i);

		if (t->helper)
			ret = load_helper(r, t, i);
		else
			t->nlevels = read_levels(part(t, "pid"), t->levels);
		for (unsigned k = 0; ret == 0 && k < t->nlevels; k++)
			if (t->levels[k] <= 0)
				ret = rtask_wrap(t, err_set(EBADMSG, "%s: number %d", IMAGE_EXTRA,
							    t->levels[k]));
		if (ret == 0 && t->parent >= 0 &&
		    t->nlevels < restore_task(r, (unsigned)t->parent)->nlevels && !t->helper)
			ret = rtask_wrap(t, err_set(EBADMSG, "it has left its pid namespace"));
	}
	return ret;
}

unsigned levels_saved(const struct rtask *t)
{
	return (unsigned)json_array_size(part(t, "pid"));
}

pid_t levels_own(const struct rtask *t)
{
	return t->nlevels ? t->levels[t->nlevels - 1] : t->nspid;
}

pid_t levels_seen_by(const struct rtask *who, const struct rtask *t)
{
	return who->nlevels && who->nlevels <= t->nlevels ? t->levels[who->nlevels - 1] : t->nspid;
}

pid_t levels_group(const struct rtask *t, pid_t pgid)
{
	const json_t *all = part(t, "pgid");

	if (!t->nlevels || t->helper)
		return t->nlevels ? levels_own(t) : pgid;
	return (pid_t)json_integer_value(json_array_get(all, t->nlevels - 1));
}

pid_t levels_any_group(const struct rtask *t, pid_t pgid)
{
	const struct restore *r = t->restore;

	if (!t->nlevels)
		return pgid;
	for (unsigned i = 0; i < r->nimages; i++) {
		const struct rtask *member = restore_task(r, i);
		json_t *seen = json_array_get(part(member, "pgid"), t->nlevels - 1);

		if (member->nspgid == pgid && json_integer_value(seen) > 0)
			return (pid_t)json_integer_value(seen);
	}
	return 0;
}

static unsigned tids(const pid_t *levels, unsigned n, pid_t root, pid_t *ret)
{
	for (unsigned i = 0; i < n; i++)
		ret[i] = levels[n - 1 - i];
	ret[n] = root;
	return n + 1;
}

unsigned levels_tids(const struct rtask *t, pid_t ret[static LEVELS_MAX + 1])
{
	return tids(t->levels, t->nlevels, t->nspid, ret);
}

unsigned levels_thread_tids(const struct rthread *h, pid_t ret[static LEVELS_MAX + 1])
{
	pid_t levels[LEVELS_MAX] = {0};
	char tid[16];
	unsigned n;

	if (!h->task->nlevels) {
		ret[0] = h->nstid;
		return 1;
	}
	snprintf(tid, sizeof(tid), "%d", h->nstid);
	n = read_levels(json_object_get(part(h->task, "tids"), tid), levels);
	return tids(levels, n, h->nstid, ret);
}

pid_t levels_own_tid(const struct rthread *h)
{
	pid_t all[LEVELS_MAX + 1];

	if (h == &h->task->threads[0])
		return levels_own(h->task);
	levels_thread_tids(h, all);
	return all[0];
}
