/* SPDX-License-Identifier: Apache-2.0 */
/* Looking: everything that would be refused, at once. */
#include "cr/look.h"
#include "cr/plan.h"
#include "cr/records.h"

#include "state/fd/files.h"
#include "state/mem/mem.h"
#include "state/ns/net.h"
#include "state/ns/ns.h"
#include "state/ns/spaces.h"
#include "state/sock/socks.h"
#include "state/task/levels.h"
#include "state/task/task.h"
#include "state/tree.h"
#include "state/tty/tty.h"

#include <errno.h>
#include <sched.h>

/* What the agent needs to find takes longer than all of a small dump: found before the freeze. */
static int scout(struct dump *d, struct dtask *t)
{
	g_autofree struct insns *ins = g_new0(struct insns, 1);

	/* It ends or executes another program just now: asked again when it stands still. */
	if (agent_scout(t->proc.dir, t->proc.pid, ins) < 0)
		err_clear();
	else
		g_hash_table_insert(d->scouted, GINT_TO_POINTER(t->proc.pid),
				    g_steal_pointer(&ins));
	return 0;
}

static int check_task(struct dump *d, struct dtask *t)
{
	int r;

	if (t->zombie)
		return 0;
	r = scout(d, t);
	if (r == 0)
		r = maps_read_vmflags(t->proc.dir, &t->maps);
	if (r == 0)
		r = agent_send_home(t->pid, t->proc.pid, &t->maps);
	if (r == 1) {
		maps_clear(&t->maps);
		r = maps_read_vmflags(t->proc.dir, &t->maps);
	}
	if (r == 0)
		r = mem_check(d, t);
	if (r == 0)
		r = files_check(d, t);
	if (r == 0)
		r = dump_refuse(d, dtask_wrap(t, tty_session_check(d, t)));
	if (r == 0)
		r = fs_check(d, t);
	if (r == 0)
		r = regs_check(d, t);
	if (r == 0)
		r = landlock_check(d, t);
	return r;
}

/* Who is a subreaper is not seen from outside: while looking, each may be one. */
int look_plan(struct dump *d)
{
	g_autofree struct plan_task *v = g_new0(struct plan_task, d->tasks->len);
	CLEANUP(plan_clear) struct plan p = {0};

	for (unsigned i = 0; i < d->tasks->len; i++) {
		const struct dtask *t = dump_task(d, i);

		v[i] = (struct plan_task){.pid = t->nspid,
					  .parent = t->parent,
					  .pgid = t->nspgid,
					  .sid = t->nssid,
					  .zombie = t->zombie,
					  .guest = t->guest != NULL,
					  .maker = t->maker,
					  .depth = levels_below(t),
					  .reaper = t->reaper || levels_is_init(t)};
	}
	if ((plan_outside(v, d->tasks->len) ||
	     (d->o.standalone && !(d->own & CLONE_NEWPID) && v[0].sid == 0)) &&
	    !d->o.shell_job)
		return err_set(EOPNOTSUPP,
			       "process %d is in session %d, which is led from outside of the "
			       "tree; use --shell-job to move it into that of the restorer",
			       v[0].pid, dump_task(d, 0)->nssid);
	return d->frozen ? plan_make(v, d->tasks->len, false, NULL, &p)
			 : plan_look(v, d->tasks->len);
}

int look_all(struct dump *d)
{
	int r;

	socks_dump_end(d); /* of an earlier look */
	r = tree_look(d);
	if (r == 0)
		r = tree_open_root(d);
	if (r == 0)
		r = ns_ids(dump_task(d, 0)->proc.dir, d->ns);
	if (r == 0)
		r = box_check(d);
	if (r == 0)
		r = spaces_look(d);
	if (r == 0)
		r = users_check(d);
	if (r == 0)
		r = mounts_check(d);
	if (r == 0)
		r = net_check(d);
	if (r == 0)
		r = mqueue_check(d);
	if (r == 0)
		r = sharing_check(d);
	if (r == 0)
		r = look_tracers(d);
	if (r == 0)
		r = spaces_check_sharers(d);
	for (unsigned i = 0; r == 0 && i < d->tasks->len; i++)
		r = look_at(d, dump_task(d, i), check_task);
	if (r == 0)
		r = dump_refuse(d, look_plan(d));
	if (r == 0)
		r = records_look_before(d);
	return r;
}
