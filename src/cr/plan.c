/* SPDX-License-Identifier: Apache-2.0 */
#include "cr/plan.h"

#include <errno.h>

/* A session or group, and who stands for its leader. */
struct planner {
	struct plan *p;
	unsigned given;
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

/* A child of PARENT that was forked elsewhere and adopted: case three of plan.h. */
static bool is_adopted(struct planner *l, unsigned i)
{
	const struct plan_task *t = task(l, i), *p;

	if (t->parent < 0 || t->helper || t->maker || leads(t))
		return false;
	p = task(l, (unsigned)t->parent);
	if (t->sid == p->sid)
		return false;
	return p->reaper && !(leads(p) && t->sid == 0);
}

static bool is_early(struct planner *l, unsigned i)
{
	const struct plan_task *t = task(l, i);

	return t->parent >= 0 && !leads(t) && t->sid != task(l, (unsigned)maker_of(t))->sid &&
	       !is_adopted(l, i);
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

/* Orphans of the session that I leads (or stands in for), adopted by others. */
static int host_orphans(struct planner *l, unsigned i)
{
	bool stays = !task(l, i)->zombie && !task(l, i)->helper;
	pid_t sid = task(l, i)->pid;
	int r;

	for (unsigned o = 0; o < l->given; o++) {
		unsigned by = i;

		if (task(l, o)->sid != sid || !is_adopted(l, o))
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

/* Dead leaders of groups in the session SID get their stand-ins from I. */
static void host_groups(struct planner *l, unsigned i, pid_t sid)
{
	for (unsigned m = 0; m < l->given; m++) {
		pid_t g = task(l, m)->pgid;

		if (task(l, m)->sid != sid || g == 0 || find(l, g) >= 0)
			continue;
		step(l, PLAN_FORK, i, add_helper(l, g, i, sid), 0);
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
		if (!leads(task(l, i)) || task(l, c)->sid != born || leads_already(l, i))
			return err_set(
				EOPNOTSUPP,
				"process %d is in session %d, which none of its ancestors was in",
				task(l, c)->pid, task(l, c)->sid);
		r = fork_child(l, i, c, born);
		if (r < 0)
			return r;
	}
	if (leads(task(l, i)) && !leads_already(l, i))
		step(l, PLAN_SETSID, i, 0, 0);
	for (unsigned c = 1; c < l->given; c++) {
		if (maker_of(task(l, c)) != (int)i || is_early(l, c) || is_adopted(l, c))
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
		pid_t sid = task(l, i)->sid;
		unsigned d;

		if (sid == 0 || find(l, sid) >= 0)
			continue;
		if (!is_adopted(l, i))
			continue; /* found again through an ancestor, or refused by check_made() */
		d = add_helper(l, sid, 0, sid);
		step(l, PLAN_FORK, 0, d, 0);
		r = create(l, d, task(l, 0)->sid);
		if (r < 0)
			return r;
	}
	if (!leads(task(l, 0)))
		host_groups(l, 0, task(l, 0)->sid);
	return 0;
}

/* A guest that leads no session is in that of whoever brings it in, as it was. */
static bool is_root(struct planner *l, unsigned i)
{
	const struct plan_task *t = task(l, i);

	return i == 0 || (t->parent < 0 && (leads(t) || t->sid == 0));
}

static int check_made(struct planner *l)
{
	g_autofree bool *made = g_new0(bool, l->p->tasks->len);

	for (unsigned i = 0; i < l->given; i++)
		made[i] = is_root(l, i);
	for (unsigned i = 0; i < l->p->steps->len; i++) {
		const struct plan_step *s = &g_array_index(l->p->steps, struct plan_step, i);

		if (s->verb == PLAN_FORK)
			made[s->other] = true;
	}
	for (unsigned i = 0; i < l->given; i++) {
		const struct plan_task *t = task(l, i);

		if (!made[i])
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

static void join_groups(struct planner *l)
{
	for (int members = 0; members < 2; members++) {
		for (unsigned i = 0; i < l->p->tasks->len; i++) {
			const struct plan_task *t = task(l, i);
			bool own = t->pgid == t->pid;

			if (leads(t) || t->pgid == 0 || own == members)
				continue;
			if (t->helper && has_exited(l, i))
				continue; /* it was only there to be left */
			step(l, PLAN_SETPGID, i, 0, t->pgid);
		}
	}
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

int plan_make(const struct plan_task *v, unsigned n, bool root_leads, bool (*taken)(pid_t),
	      struct plan *ret)
{
	g_autoptr(GHashTable) by_pid = g_hash_table_new(NULL, NULL);
	CLEANUP(plan_clear)
	struct plan p = {.tasks = g_array_new(FALSE, TRUE, sizeof(*v)),
			 .steps = g_array_new(FALSE, TRUE, sizeof(struct plan_step))};
	struct planner l = {.p = &p,
			    .given = n,
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
	join_groups(&l);
	end_helpers(&l);
	*ret = p;
	p = (struct plan){0};
	return 0;
}

void plan_clear(struct plan *p)
{
	g_clear_pointer(&p->tasks, g_array_unref);
	g_clear_pointer(&p->steps, g_array_unref);
}
