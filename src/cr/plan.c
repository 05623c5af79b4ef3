/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/plan.h"

#include <errno.h>

/* A session or group, and who stands for its leader. */
struct planner {
	struct plan *p;
	unsigned given;
	pid_t *born;	    /* of the given: the session that it has to be born in; -1: any */
	bool *adopted;	    /* of the given: forked elsewhere, case three of plan.h */
	bool *made;	    /* of the given, so far */
	GHashTable *by_pid; /* pid -> index + 1 */
	pid_t next_free;
	bool root_leads;
	bool (*taken)(pid_t);
};

static struct plan_task *task(struct planner *l, unsigned i)
{
	return &g_array_index(l->p->tasks, struct plan_task, i);
}

static void step(struct planner *l, enum plan_verb verb, unsigned t, unsigned other, pid_t pgid)
{
	struct plan_step s = {.verb = verb, .task = t, .other = other, .pgid = pgid};

	if (verb == PLAN_FORK && other < l->given)
		l->made[other] = true;
	g_array_append_val(l->p->steps, s);
}

static int find(struct planner *l, pid_t pid)
{
	return GPOINTER_TO_INT(g_hash_table_lookup(l->by_pid, GINT_TO_POINTER(pid))) - 1;
}

static unsigned add_helper(struct planner *l, pid_t pid, unsigned parent, pid_t sid)
{
	struct plan_task h = {
		.pid = pid, .parent = (int)parent, .pgid = pid, .sid = sid, .helper = true};
	unsigned i = l->p->tasks->len;

	g_array_append_val(l->p->tasks, h);
	g_hash_table_insert(l->by_pid, GINT_TO_POINTER(pid), GINT_TO_POINTER((int)i + 1));
	return i;
}

/* A number that no task, group or session of the tree has. */
static pid_t free_pid(struct planner *l)
{
	for (;; l->next_free++) {
		bool used = find(l, l->next_free) >= 0;

		for (unsigned i = 0; !used && i < l->given; i++)
			used = task(l, i)->pgid == l->next_free || task(l, i)->sid == l->next_free;
		used = used || (l->taken && l->taken(l->next_free));
		if (!used)
			return l->next_free++;
	}
}

static bool leads(const struct plan_task *t)
{
	return t->sid == t->pid;
}

/* By whom it is born. */
static int maker_of(const struct plan_task *t)
{
	return t->maker ? (int)t->maker : t->parent;
}

/* Would P get the children of OF's child when that ends (kernel/exit.c: find_new_reaper())? */
static bool reaps_below(struct planner *l, int p, int of)
{
	while (of > 0 && of != p && !task(l, (unsigned)of)->reaper)
		of = task(l, (unsigned)of)->parent;
	return MAX(of, 0) == p;
}

static bool has_ancestor_in(struct planner *l, unsigned i, pid_t sid)
{
	for (int a = task(l, i)->parent; a >= 0; a = task(l, (unsigned)a)->parent)
		if (task(l, (unsigned)a)->sid == sid)
			return true;
	return false;
}

/* Was I, which has to be born in another session than its parent's, forked by somebody else? */
static bool was_adopted(struct planner *l, unsigned i)
{
	const struct plan_task *t = task(l, i), *p, *leader;
	pid_t sid = l->born[i];
	int by;

	if (t->parent < 0 || t->maker || sid < 0)
		return false;
	p = task(l, (unsigned)t->parent);
	if (sid == p->sid || !(p->reaper || p->may_reap) || (leads(p) && sid == 0))
		return false;
	by = find(l, sid);
	if (by < 0)
		return sid == 0 || !has_ancestor_in(l, (unsigned)t->parent, sid);
	/* by a helper of the leader; by that itself, if that is to end anyway */
	leader = task(l, (unsigned)by);
	return reaps_below(l, t->parent, leader->zombie ? leader->parent : by);
}

static bool is_early(struct planner *l, unsigned i)
{
	return task(l, i)->parent >= 0 && l->born[i] >= 0 && !l->adopted[i] &&
	       l->born[i] != task(l, (unsigned)maker_of(task(l, i)))->sid;
}

/* Who leads a session may have been forked in any, but for what it has forked before it led. */
static void find_births(struct planner *l)
{
	for (unsigned i = 0; i < l->given; i++)
		l->born[i] = leads(task(l, i)) ? -1 : task(l, i)->sid;
	for (unsigned i = l->given; i-- > 1;) { /* children before those who make them */
		int maker = maker_of(task(l, i));

		l->adopted[i] = was_adopted(l, i);
		if (maker >= 0 && is_early(l, i) && leads(task(l, (unsigned)maker)))
			l->born[maker] = l->born[i];
	}
}

/* A root that whoever made it has made the leader of its session. */
static bool leads_already(struct planner *l, unsigned i)
{
	return task(l, i)->parent < 0 && (i > 0 || l->root_leads);
}

static int create(struct planner *l, unsigned i, pid_t born);

static int fork_child(struct planner *l, unsigned parent, unsigned child, pid_t session)
{
	step(l, PLAN_FORK, parent, child, 0);
	return create(l, child, session);
}

/* A dead leader's stand-in leaves orphans to its own parent only. */
static bool is_elsewhere(struct planner *l, unsigned i, unsigned orphan)
{
	return task(l, i)->helper && task(l, i)->parent != task(l, orphan)->parent;
}

/* Orphans of the session that I leads (or stands in for), adopted by others. */
static int host_orphans(struct planner *l, unsigned i)
{
	bool stays = !task(l, i)->zombie && !task(l, i)->helper;
	pid_t sid = task(l, i)->pid;
	int r;

	for (unsigned o = 0; o < l->given; o++) {
		unsigned by = i;

		if (l->born[o] != sid || !l->adopted[o] || is_elsewhere(l, i, o))
			continue;
		if (stays) {
			by = add_helper(l, free_pid(l), i, sid);
			step(l, PLAN_FORK, i, by, 0);
		}
		r = fork_child(l, by, o, sid);
		if (r < 0)
			return r;
		if (stays)
			step(l, PLAN_EXIT, by, i, 0);
	}
	return 0;
}

/* A guest that leads no session is in that of whoever brings it in, as it was. */
static bool is_root(struct planner *l, unsigned i)
{
	const struct plan_task *t = task(l, i);

	return i == 0 || (t->parent < 0 && (leads(t) || t->sid == 0));
}

static bool exists(struct planner *l, unsigned i)
{
	return l->made[i] || is_root(l, i);
}

/*
 * A group has a number in the namespaces of its leader, so a stand-in is born in that of a member:
 * by the member's parent if that is in there and in the session, or by the member.
 */
static unsigned who_hosts(struct planner *l, unsigned i, unsigned member)
{
	const struct plan_task *m = task(l, member), *p;

	if (m->depth == task(l, i)->depth || m->zombie || !exists(l, member))
		return i;
	if (m->parent < 0)
		return member;
	p = task(l, (unsigned)m->parent);
	return p->depth == m->depth && p->sid == m->sid ? (unsigned)m->parent : member;
}

/* Dead leaders of groups in the session SID get their stand-ins from I. */
static void host_groups(struct planner *l, unsigned i, pid_t sid)
{
	for (unsigned m = 0; m < l->given; m++) {
		pid_t g = task(l, m)->pgid;
		unsigned by;

		if (task(l, m)->sid != sid || g == 0 || find(l, g) >= 0)
			continue;
		by = who_hosts(l, i, m);
		step(l, PLAN_FORK, by, add_helper(l, g, by, sid), 0);
	}
}

/* Task I exists, born in session BORN; makes everything below it. */
static int create(struct planner *l, unsigned i, pid_t born)
{
	pid_t sid = task(l, i)->sid;
	int r;

	for (unsigned c = 1; c < l->given; c++) {
		if (maker_of(task(l, c)) != (int)i || !is_early(l, c))
			continue;
		if (!leads(task(l, i)) || l->born[c] != born || leads_already(l, i))
			return err_set(
				EOPNOTSUPP,
				"process %d is in session %d, which none of its ancestors was in",
				task(l, c)->pid, l->born[c]);
		r = fork_child(l, i, c, born);
		if (r < 0)
			return r;
	}
	if (leads(task(l, i)) && !leads_already(l, i))
		step(l, PLAN_SETSID, i, 0, 0);
	for (unsigned c = 1; c < l->given; c++) {
		if (maker_of(task(l, c)) != (int)i || is_early(l, c) || l->adopted[c])
			continue;
		r = fork_child(l, i, c, sid);
		if (r < 0)
			return r;
	}
	if (!leads(task(l, i)))
		return 0;
	r = host_orphans(l, i);
	if (r < 0)
		return r;
	host_groups(l, i, sid);
	return 0;
}

/* Sessions whose leader is no more, and what is left of the root's outer session. */
static int create_dead(struct planner *l)
{
	int r;

	for (unsigned i = 1; i < l->given; i++) {
		int by = task(l, i)->parent;
		pid_t sid = l->born[i];
		unsigned d;

		/* found again through an ancestor, or refused by check_made() */
		if (sid <= 0 || !l->adopted[i] || find(l, sid) >= 0 || !exists(l, (unsigned)by))
			continue;
		d = add_helper(l, sid, (unsigned)by, sid);
		step(l, PLAN_FORK, (unsigned)by, d, 0);
		r = create(l, d, task(l, (unsigned)by)->sid);
		if (r < 0)
			return r;
	}
	if (!leads(task(l, 0)))
		host_groups(l, 0, task(l, 0)->sid);
	return 0;
}

static int check_made(struct planner *l)
{
	for (unsigned i = 0; i < l->given; i++) {
		const struct plan_task *t = task(l, i);

		if (!exists(l, i))
			return err_set(
				EOPNOTSUPP,
				"process %d is in session %d, which it cannot be born in again",
				t->pid, t->sid);
		if (t->pgid != 0 && find(l, t->pgid) < 0)
			return err_set(EOPNOTSUPP, "process %d is in group %d of another session",
				       t->pid, t->pgid);
	}
	return 0;
}

static bool has_exited(struct planner *l, unsigned i)
{
	for (unsigned k = 0; k < l->p->steps->len; k++) {
		const struct plan_step *s = &g_array_index(l->p->steps, struct plan_step, k);

		if (s->verb == PLAN_EXIT && s->task == i)
			return true;
	}
	return false;
}

static bool can_join(struct planner *l, unsigned i)
{
	const struct plan_task *t = task(l, i);

	/* a helper that has exited was only there to be left */
	return !leads(t) && !(t->helper && has_exited(l, i));
}

/* Somebody is going to join the group that I has founded and is to leave. */
static bool is_awaited(struct planner *l, const bool *leaves, unsigned i)
{
	for (unsigned k = 0; k < l->p->tasks->len; k++)
		if (leaves[k] && k != i && task(l, k)->pgid == task(l, i)->pid)
			return true;
	return false;
}

/* Who has founded a group may have left it to others. */
static int leave_groups(struct planner *l, bool *leaves)
{
	unsigned left = 0, before;

	for (unsigned i = 0; i < l->p->tasks->len; i++)
		left += leaves[i];
	do {
		before = left;
		for (unsigned i = 0; i < l->p->tasks->len; i++) {
			if (!leaves[i] || is_awaited(l, leaves, i))
				continue;
			step(l, PLAN_SETPGID, i, 0, task(l, i)->pgid);
			leaves[i] = false;
			left--;
		}
	} while (left && left < before);
	return left ? err_set(EOPNOTSUPP, "processes have changed their process groups in a ring")
		    : 0;
}

static int join_groups(struct planner *l)
{
	unsigned n = l->p->tasks->len;
	g_autofree bool *founds = g_new0(bool, n), *leaves = g_new0(bool, n);

	for (unsigned i = 0; i < n; i++) {
		int g = task(l, i)->pgid ? find(l, task(l, i)->pgid) : -1;

		if (g >= 0 && can_join(l, (unsigned)g))
			founds[g] = true;
	}
	for (unsigned i = 0; i < n; i++)
		if (founds[i])
			step(l, PLAN_SETPGID, i, 0, task(l, i)->pid);
	for (unsigned i = 0; i < n; i++) {
		const struct plan_task *t = task(l, i);

		if (!can_join(l, i) || t->pgid == 0 || t->pgid == t->pid)
			continue;
		leaves[i] = founds[i];
		if (!founds[i])
			step(l, PLAN_SETPGID, i, 0, t->pgid);
	}
	return leave_groups(l, leaves);
}

/* Stand-ins leave, youngest first: those of groups before that of their session. */
static void end_helpers(struct planner *l)
{
	for (unsigned i = l->p->tasks->len; i-- > l->given;)
		if (!has_exited(l, i))
			step(l, PLAN_EXIT, i, (unsigned)task(l, i)->parent, 0);
}

static bool is_there(const struct plan_task *v, unsigned n, pid_t pid)
{
	for (unsigned i = 0; i < n; i++)
		if (v[i].pid == pid)
			return true;
	return false;
}

bool plan_outside(struct plan_task *v, unsigned n)
{
	pid_t sid = v[0].sid, pgid = v[0].pgid;

	if (sid == 0 || is_there(v, n, sid))
		return false;
	if (is_there(v, n, pgid))
		pgid = 0;
	for (unsigned i = 0; i < n; i++) {
		if (v[i].sid != sid)
			continue;
		v[i].sid = 0;
		if (v[i].pgid == pgid || v[i].pgid == sid)
			v[i].pgid = 0;
	}
	return true;
}

void plan_lead(struct plan_task *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (v[i].guest || v[i].sid != 0)
			continue;
		v[i].sid = v[0].pid;
		if (v[i].pgid == 0)
			v[i].pgid = v[0].pid;
	}
}

int plan_make(const struct plan_task *v, unsigned n, bool root_leads, bool (*taken)(pid_t),
	      struct plan *ret)
{
	g_autoptr(GHashTable) by_pid = g_hash_table_new(NULL, NULL);
	CLEANUP(plan_clear)
	struct plan p = {.tasks = g_array_new(FALSE, TRUE, sizeof(*v)),
			 .steps = g_array_new(FALSE, TRUE, sizeof(struct plan_step))};
	g_autofree pid_t *born = g_new0(pid_t, n);
	g_autofree bool *adopted = g_new0(bool, n), *made = g_new0(bool, n);
	struct planner l = {.p = &p,
			    .given = n,
			    .born = born,
			    .adopted = adopted,
			    .made = made,
			    .by_pid = by_pid,
			    .next_free = 2,
			    .root_leads = root_leads,
			    .taken = taken};
	int r;

	g_array_append_vals(p.tasks, v, n);
	for (unsigned i = 0; i < n; i++) {
		if (v[i].pid <= 0 || v[i].parent >= (int)i || (v[i].maker && v[i].maker >= i) ||
		    (i > 0 && v[i].parent < 0 && !v[i].guest))
			return err_set(EBADMSG, "process %d has no parent in the tree", v[i].pid);
		if (!g_hash_table_insert(by_pid, GINT_TO_POINTER(v[i].pid),
					 GINT_TO_POINTER((int)i + 1)))
			return err_set(EBADMSG, "process %d is in the tree twice", v[i].pid);
	}
	task(&l, 0)->reaper = true;
	find_births(&l);
	for (unsigned i = 0; i < n; i++) {
		r = v[i].parent < 0 ? create(&l, i, 0) : 0;
		if (r < 0)
			return r;
	}
	r = create_dead(&l);
	if (r < 0)
		return r;
	r = check_made(&l);
	if (r < 0)
		return r;
	r = join_groups(&l);
	if (r < 0)
		return r;
	end_helpers(&l);
	*ret = p;
	p = (struct plan){0};
	return 0;
}

/* Those whom any reaper would explain, then those whom only a fork before setsid(2) does. */
int plan_look(struct plan_task *v, unsigned n)
{
	int r = -EOPNOTSUPP;

	for (unsigned round = 0; r < 0 && round < 2; round++) {
		CLEANUP(plan_clear) struct plan p = {0};

		for (unsigned i = 0; i < n; i++)
			v[i].may_reap = round == 0;
		err_clear();
		r = plan_make(v, n, false, NULL, &p);
	}
	return r;
}

void plan_clear(struct plan *p)
{
	g_clear_pointer(&p->tasks, g_array_unref);
	g_clear_pointer(&p->steps, g_array_unref);
}
