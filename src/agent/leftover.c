/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a way home could not include munmap(2) (agent.quiet, agent.hurried), the death of a
 * coordinator leaves the mailbox mapped.  The next agent knows it by the blob's magic and removes
 * it: the target must not carry it into an image.
 *
 * A process that was stopped (SIGSTOP) when its coordinator died cannot go home before SIGCONT: it
 * is inside its agent still, with the agent's socket.  agent_send_home() lets it run so far.
 */
#include "agent/batch.h"
#include "agent/private.h"
#include "base/log.h"
#include "kernel/maps.h"

#include <sys/mman.h>

#define HOME_TRIES   200
#define HOME_WAIT_US 2000
#define STOP_MS	     5000

/* Its bell belongs to nobody any more.  A process that shares its memory with another one shows
 * that one's agent, too, which works. */
static bool is_deserted_mailbox(pid_t pid, const struct vma *v)
{
	struct blob_header h;
	struct slot first;

	if (!v->shared || v->prot != (PROT_READ | PROT_EXEC) || vma_len(v) != MAILBOX_CODE_BYTES)
		return false;
	if (task_read_memory(pid, v->start, &h, sizeof(h)) < 0 ||
	    task_read_memory(pid, v->end, &first, sizeof(first)) < 0) {
		err_clear();
		return false;
	}
	return h.magic == BLOB_MAGIC && !(first.bell & BELL_OWNER);
}

/* 1: all threads are outside of the mailbox whose code is V, and stopped. */
static int are_home(struct seized *s, const struct vma *v)
{
	bool home = true;
	int r = 0;

	for (unsigned i = 0; i < s->threads->len; i++) {
		pid_t tid = seized_at(s, i)->tid;
		struct regs regs;

		r = ptrace_get_regs(tid, &regs);
		if (r < 0)
			return r;
		home = home && (regs.gp.rip < v->start || regs.gp.rip >= v->end);
	}
	return home;
}

static int run_a_little(struct seized *s)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->threads->len; i++)
		r = ptrace_cont(seized_at(s, i)->tid, 0);
	g_usleep(HOME_WAIT_US);
	for (unsigned i = 0; r == 0 && i < s->threads->len; i++)
		r = ptrace_interrupt(seized_at(s, i)->tid);
	for (unsigned i = 0; r == 0 && i < s->threads->len; i++)
		r = ptrace_wait_interrupted(seized_at(s, i)->tid, STOP_MS);
	return r;
}

int agent_send_home(pid_t pid, pid_t alive, const struct maps *m)
{
	CLEANUP(seized_release) struct seized s = SEIZED_NONE;
	const struct vma *v = NULL;
	int r;

	for (size_t i = 0; !v && i < m->n; i++)
		if (is_deserted_mailbox(alive, &m->v[i]))
			v = &m->v[i];
	if (!v)
		return 0;
	r = seize_begin(pid, 0, &s);
	if (r == 0)
		r = seize_settle(&s, STOP_MS);
	if (r != 0)
		return r < 0 ? r : 0;
	r = are_home(&s, v);
	for (unsigned i = 0; r == 0 && i < HOME_TRIES; i++) {
		r = run_a_little(&s);
		if (r == 0)
			r = are_home(&s, v);
	}
	log_debug("process %d was left inside an agent: %s", pid, r == 1 ? "sent home" : "stays");
	return r < 0 ? err_wrap(r, "process %d was left by its coordinator", pid) : 1;
}

int agent_remove_leftovers(struct agent *a, const struct maps *m)
{
	CLEANUP(batch_end) struct batch b = {0};

	batch_begin(&b, a, 0);
	for (size_t i = 0; i < m->n; i++) {
		const struct vma *v = &m->v[i], *slots = i + 1 < m->n ? v + 1 : NULL;
		uint64_t end = v->end;

		if (!is_deserted_mailbox(seized_alive(a->group), v))
			continue;
		if (slots && slots->start == v->end && slots->ino == v->ino)
			end = slots->end;
		batch_add(&b, SYS_munmap, IMM(v->start), IMM(end - v->start));
	}
	return batch_run(&b);
}
