/* SPDX-License-Identifier: Apache-2.0 */
/* Memory held still by a copy-on-write child, while the original goes on. */
#include "agent/batch.h"
#include "agent/private.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define STOP_TIMEOUT_MS 10000
#define KILL_TIMEOUT_MS 10000

/* Options can only be set in a stop. */
static int set_options(struct agent *a, unsigned slot, unsigned flags)
{
	struct agent_slot *s = &a->slots[slot];
	int r, cont;

	r = agent_hold_begin(a, slot);
	if (r == 0)
		r = agent_hold(a, slot, STOP_TIMEOUT_MS);
	if (r < 0)
		return r;
	r = ptrace_set_options(s->tid, flags);
	cont = ptrace_cont(s->tid, 0);
	s->held = cont < 0;
	return r < 0 ? r : cont;
}

int agent_snapshot(struct agent *a, unsigned slot, pid_t *ret_nspid)
{
	const struct clone_spec child = {.child = slot};
	CLEANUP(batch_end) struct batch b = {0};
	int id, r, back;

	if (!a->group || slot == 0 || slot >= a->nbig)
		return err_set(EINVAL, "a snapshot needs a spare slot");
	r = set_options(a, 0, SEIZE_NEWBORN);
	if (r < 0)
		return r;
	batch_begin(&b, a, 0);
	id = batch_clone(&b, &child);
	r = batch_run(&b);
	back = set_options(a, 0, 0);
	if (r == 0)
		r = back;
	/* From now on the original may be cured, and the child must not outlive us. */
	if (r == 0)
		r = set_options(a, slot, SEIZE_EXITKILL);
	if (r < 0)
		return err_wrap(r, "snapshot of process %d", a->group->pid);
	*ret_nspid = (pid_t)batch_result(&b, id);
	return 0;
}

int agent_snapshot_end(struct agent *a, unsigned slot)
{
	struct agent_slot *s = &a->slots[slot];
	int status, r;

	if (!s->tid || s->gone)
		return 0;
	if (kill(s->tid, SIGKILL) < 0)
		return err_errno("ending snapshot %d", s->tid);
	do
		r = ptrace_wait(s->tid, KILL_TIMEOUT_MS, &status);
	while (r == 0 && WIFSTOPPED(status));
	s->gone = true;
	return r > 0 ? err_set(ETIMEDOUT, "snapshot %d does not end", s->tid) : r;
}

int agent_snapshot_reap(pid_t pid, pid_t nspid)
{
	CLEANUP(seized_release) struct seized s = SEIZED_NONE;
	CLEANUP(agent_free) struct agent *a = NULL;
	CLEANUP(batch_end) struct batch b = {0};
	int r;

	r = seize_begin(pid, 0, &s);
	if (r == 0)
		r = seize_settle(&s, STOP_TIMEOUT_MS);
	if (r != 0)
		return MIN(r, 0); /* it has ended: its parent reaps */
	r = agent_inject(&s, NULL, NULL, &a);
	if (r < 0)
		return r;
	batch_begin(&b, a, 0);
	batch_may_fail(&b,
		       batch_add(&b, SYS_wait4, IMM(nspid), IMM(0), IMM(WNOHANG | __WALL), IMM(0)));
	r = batch_run(&b);
	return r < 0 ? r : agent_cure(a);
}
