/* SPDX-License-Identifier: Apache-2.0 */
/* Runs plans on a small model of what the kernel does with parents, sessions and groups. */
#include "cr/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

struct model {
	int parent;
	unsigned depth;
	pid_t pgid, sid;
	bool alive;
};

static int reaper_of(const struct model *m, const struct plan_task *t, int dying)
{
	int p = m[dying].parent;

	while (p > 0 && !t[p].reaper)
		p = m[p].parent;
	return p < 0 ? 0 : p;
}

static void die(struct model *m, const struct plan_task *t, unsigned n, unsigned who)
{
	int to = reaper_of(m, t, (int)who);

	m[who].alive = false;
	for (unsigned i = 0; i < n; i++)
		if (m[i].alive && m[i].parent == (int)who)
			m[i].parent = to;
}

static bool group_exists(const struct model *m, unsigned n, pid_t pgid, pid_t sid)
{
	for (unsigned i = 0; i < n; i++)
		if (m[i].alive && m[i].pgid == pgid)
			return m[i].sid == sid;
	return false;
}

/* False: it is refused. */
static bool try(const struct plan_task *want, unsigned n, bool root_leads)
{
	CLEANUP(plan_clear) struct plan p = {0};
	g_autofree struct model *m = NULL;
	const struct plan_task *t;
	unsigned all;

	if (plan_make(want, n, root_leads, NULL, &p) < 0) {
		err_clear();
		return false;
	}
	all = p.tasks->len;
	t = (const struct plan_task *)(void *)p.tasks->data;
	m = g_new0(struct model, all);
	m[0] = (struct model){.parent = -1, .alive = true};
	if (root_leads)
		m[0].pgid = m[0].sid = want[0].pid;
	for (unsigned i = 1; i < n; i++)
		if (want[i].guest)
			m[i] = (struct model){.parent = -1,
					      .pgid = want[i].sid,
					      .sid = want[i].sid,
					      .alive = true};
	for (unsigned i = 0; i < p.steps->len; i++) {
		struct plan_step s = g_array_index(p.steps, struct plan_step, i);

		assert_true(m[s.task].alive);
		switch (s.verb) {
		case PLAN_FORK:
			assert_false(m[s.other].alive);
			m[s.other] = m[s.task];
			m[s.other].parent = t[s.other].maker ? m[s.task].parent : (int)s.task;
			if (!t[s.other].helper)
				m[s.other].depth = t[s.other].depth;
			break;
		case PLAN_SETSID:
			assert_false(group_exists(m, all, t[s.task].pid, m[s.task].sid));
			m[s.task].sid = m[s.task].pgid = t[s.task].pid;
			break;
		case PLAN_SETPGID:
			assert_int_not_equal(m[s.task].sid, t[s.task].pid);
			if (s.pgid != t[s.task].pid)
				assert_true(group_exists(m, all, s.pgid, m[s.task].sid));
			/* without a number in there it cannot be named */
			for (unsigned k = 0; k < all; k++)
				if (t[k].pid == s.pgid && m[k].alive && m[s.task].pgid != s.pgid)
					assert_true(m[k].depth >= m[s.task].depth);
			m[s.task].pgid = s.pgid;
			break;
		case PLAN_EXIT:
			assert_int_equal(m[s.task].parent, s.other);
			assert_true(t[s.task].helper);
			die(m, t, all, s.task);
			break;
		}
	}
	for (unsigned i = 0; i < n; i++)
		if (want[i].zombie)
			die(m, t, all, i);
	for (unsigned i = 0; i < n; i++) {
		if (want[i].zombie)
			continue;
		assert_true(m[i].alive);
		assert_int_equal(m[i].parent, want[i].parent);
		assert_int_equal(m[i].sid, want[i].sid);
		assert_int_equal(m[i].pgid, want[i].pgid);
	}
	for (unsigned i = n; i < all; i++)
		assert_false(m[i].alive);
	return true;
}

static void run(const struct plan_task *want, unsigned n, bool root_leads)
{
	assert_true(try(want, n, root_leads));
}

static void plain(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 7, .parent = 0, .pgid = 1, .sid = 1},
		{.pid = 9, .parent = 1, .pgid = 9, .sid = 9},
		{.pid = 12, .parent = 2, .pgid = 12, .sid = 9},
		{.pid = 13, .parent = 2, .pgid = 12, .sid = 9},
	};

	run(t, ARRAY_SIZE(t), true);
	run(t, ARRAY_SIZE(t), false);
}

/* Made by a sibling: born in its session, whatever the parent's is. */
static void siblings(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 7, .parent = 0, .pgid = 7, .sid = 7},
		{.pid = 8, .parent = 0, .pgid = 7, .sid = 7, .maker = 1},
		{.pid = 9, .parent = 0, .pgid = 1, .sid = 1, .maker = 1},
		{.pid = 10, .parent = 0, .pgid = 10, .sid = 10, .maker = 3},
		{.pid = 11, .parent = 2, .pgid = 11, .sid = 7},
	};

	run(t, ARRAY_SIZE(t), true);
	run(t, ARRAY_SIZE(t), false);
}

static void daemons(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		/* double fork: the leader 20 is dead, orphans are adopted */
		{.pid = 21, .parent = 0, .pgid = 20, .sid = 20},
		{.pid = 22, .parent = 1, .pgid = 20, .sid = 20},
		{.pid = 23, .parent = 0, .pgid = 19, .sid = 20},
		/* an orphan of a session whose leader lives */
		{.pid = 30, .parent = 0, .pgid = 30, .sid = 30},
		{.pid = 32, .parent = 0, .pgid = 31, .sid = 30},
		/* the leader is a zombie */
		{.pid = 40, .parent = 4, .pgid = 40, .sid = 40, .zombie = true},
		{.pid = 41, .parent = 0, .pgid = 40, .sid = 40},
	};

	run(t, ARRAY_SIZE(t), true);
}

static void early(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 5, .parent = 0, .pgid = 5, .sid = 5}, /* setsid() after forking 6 */
		{.pid = 6, .parent = 1, .pgid = 1, .sid = 1},
		{.pid = 7, .parent = 1, .pgid = 5, .sid = 5},
	};

	run(t, ARRAY_SIZE(t), true);
}

static void subreaper(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 5, .parent = 0, .pgid = 1, .sid = 1, .reaper = true},
		{.pid = 6, .parent = 1, .pgid = 6, .sid = 6},
		{.pid = 8, .parent = 1, .pgid = 6, .sid = 6},
	};

	run(t, ARRAY_SIZE(t), true);
}

/* A leader that reaps has forked 6, and 6 has forked 8, before either led; 9 was left to it. */
static void early_and_adopted(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 5, .parent = 0, .pgid = 5, .sid = 5, .reaper = true},
		{.pid = 6, .parent = 1, .pgid = 6, .sid = 6},
		{.pid = 7, .parent = 1, .pgid = 1, .sid = 1},
		{.pid = 8, .parent = 2, .pgid = 1, .sid = 1},
		{.pid = 9, .parent = 1, .pgid = 20, .sid = 20},
		{.pid = 10, .parent = 1, .pgid = 6, .sid = 6},
	};

	run(t, ARRAY_SIZE(t), true);
	run(t, ARRAY_SIZE(t), false);
}

/* 8 has founded a group, let 9 in, and gone back. */
static void left_groups(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 8, .parent = 0, .pgid = 1, .sid = 1},
		{.pid = 9, .parent = 1, .pgid = 8, .sid = 1},
		{.pid = 10, .parent = 1, .pgid = 9, .sid = 1},
	};

	run(t, ARRAY_SIZE(t), true);
}

static unsigned chance(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 16) % n;
}

/* What processes could do to become such a tree: each history leads to a state that has been. */
static unsigned live(unsigned seed, struct plan_task *v, unsigned max)
{
	struct plan_task t[64] = {{.pid = 1, .parent = -1, .pgid = 1, .sid = 1, .reaper = true}};
	struct model m[64] = {{.parent = -1, .pgid = 1, .sid = 1, .alive = true}};
	unsigned n = 1, out = 0, at[64];

	for (unsigned k = 0; k < 80 && n < max; k++) {
		unsigned i = chance(&seed, n), j = chance(&seed, n);

		if (!m[i].alive)
			continue;
		switch (chance(&seed, 10)) {
		case 0:
			if (!group_exists(m, n, t[i].pid, m[i].sid) && m[i].pgid != t[i].pid)
				m[i].sid = m[i].pgid = t[i].pid;
			break;
		case 1:
			if (i)
				die(m, t, n, i);
			break;
		case 2:
			t[i].reaper = true;
			break;
		case 3:
			if (m[i].sid != t[i].pid)
				m[i].pgid = t[i].pid;
			break;
		case 4:
			if (m[i].sid != t[i].pid && group_exists(m, n, t[j].pid, m[i].sid))
				m[i].pgid = t[j].pid;
			break;
		default:
			m[n] = m[i];
			m[n].parent = (int)i;
			t[n] = (struct plan_task){.pid = (pid_t)n + 1};
			n++;
		}
	}
	/* parents first: an orphan may be older than who adopted it */
	for (unsigned old = 0; out != old || out == 0;) {
		old = out;
		for (unsigned i = 0; i < n; i++) {
			bool listed = false;
			int parent = -1;

			for (unsigned k = 0; k < out; k++) {
				listed = listed || at[k] == i;
				parent = (int)at[k] == m[i].parent ? (int)k : parent;
			}
			if (!m[i].alive || listed || (i && parent < 0))
				continue;
			at[out] = i;
			v[out] = t[i];
			v[out].parent = parent;
			v[out].sid = m[i].sid;
			v[out++].pgid = m[i].pgid;
		}
	}
	return out;
}

static void histories(void **state)
{
	unsigned refusals = 0, wrong = 0;

	for (unsigned seed = 1; seed <= 3000; seed++) {
		struct plan_task v[64];
		unsigned n = live(seed, v, 4 + seed % 20);

		bool possible = try(v, n, true);

		refusals += !possible;
		for (unsigned i = 0; i < n; i++)
			v[i].reaper = false;
		wrong += possible && plan_look(v, n) < 0;
		err_clear();
	}
	/* reapers that had not been such when they did not get an orphan, above all */
	assert_in_range(refusals, 0, 100);
	assert_int_equal(wrong, 0); /* a first look forbids nothing */
}

/* Of a group within a pid namespace inside, in a session from outside of it. */
static void further_in(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 2, .parent = 0, .pgid = 1, .sid = 1, .depth = 1},
		{.pid = 3, .parent = 1, .pgid = 8, .sid = 1, .depth = 1},
		{.pid = 4, .parent = 0, .pgid = 9, .sid = 1, .depth = 1},
	};

	run(t, ARRAY_SIZE(t), true);
}

static void outside(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 0, .sid = 0},
		{.pid = 2, .parent = 0, .pgid = 2, .sid = 0},
		{.pid = 4, .parent = 0, .pgid = 3, .sid = 0},
	};

	run(t, ARRAY_SIZE(t), false);
}

/* A pid namespace that was entered from a shell, its first process with a group of its own. */
static void led(void **state)
{
	struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 0},
		{.pid = 2, .parent = 0, .pgid = 0, .sid = 0},
		{.pid = 4, .parent = 0, .pgid = 3, .sid = 0},
		{.pid = 5, .parent = 0, .pgid = 5, .sid = 5},
	};

	run(t, ARRAY_SIZE(t), false);
	plan_lead(t, ARRAY_SIZE(t));
	assert_true(t[0].sid == 1 && t[1].sid == 1 && t[1].pgid == 1 && t[2].pgid == 3);
	assert_true(t[3].sid == 5 && t[3].pgid == 5);
	run(t, ARRAY_SIZE(t), true);
}

static void guests(void **state)
{
	const struct plan_task t[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		/* a shell from outside with two jobs, one of which a subshell has left to the root
		 */
		{.pid = 20, .parent = -1, .pgid = 20, .sid = 20, .guest = true},
		{.pid = 21, .parent = 1, .pgid = 21, .sid = 20},
		{.pid = 23, .parent = 0, .pgid = 22, .sid = 20},
		/* what such a one has left when it ended */
		{.pid = 31, .parent = 0, .pgid = 31, .sid = 30},
		{.pid = 40, .parent = -1, .pgid = 0, .sid = 0, .guest = true},
		{.pid = 41, .parent = 5, .pgid = 0, .sid = 0},
	};

	run(t, ARRAY_SIZE(t), true);
}

static void refused(void **state)
{
	const struct plan_task unborn[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 5, .parent = 0, .pgid = 1, .sid = 1},
		{.pid = 6, .parent = 1, .pgid = 9, .sid = 9},
	};
	const struct plan_task twice[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 1, .parent = 0, .pgid = 1, .sid = 1},
	};
	const struct plan_task elsewhere[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 5, .parent = -1, .pgid = 1, .sid = 1, .guest = true},
	};
	const struct plan_task nobodys[] = {
		{.pid = 1, .parent = -1, .pgid = 1, .sid = 1},
		{.pid = 5, .parent = -1, .pgid = 5, .sid = 5},
	};
	CLEANUP(plan_clear) struct plan p = {0};

	assert_int_equal(plan_make(elsewhere, ARRAY_SIZE(elsewhere), true, NULL, &p), -EOPNOTSUPP);
	assert_int_equal(plan_make(nobodys, ARRAY_SIZE(nobodys), true, NULL, &p), -EBADMSG);
	assert_int_equal(plan_make(unborn, ARRAY_SIZE(unborn), true, NULL, &p), -EOPNOTSUPP);
	assert_int_equal(plan_make(twice, ARRAY_SIZE(twice), true, NULL, &p), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),       cmocka_unit_test(siblings),
		cmocka_unit_test(daemons),     cmocka_unit_test(early),
		cmocka_unit_test(subreaper),   cmocka_unit_test(outside),
		cmocka_unit_test(led),	       cmocka_unit_test(refused),
		cmocka_unit_test(guests),      cmocka_unit_test(early_and_adopted),
		cmocka_unit_test(left_groups), cmocka_unit_test(histories),
		cmocka_unit_test(further_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
