/* SPDX-License-Identifier: Apache-2.0 */
/* What ptrace tells about tasks while their agents work. */
#include "agent/private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define EVENT_OF(status) ((status) >> 16)
#define BIRTH_TIMEOUT_MS 5000

static bool is_birth(int event)
{
	return event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
	       event == PTRACE_EVENT_CLONE;
}

/* A child is held from birth on (PTRACE_O_TRACECLONE): tell its slot and let both go on. */
static int welcome(struct agent *a, unsigned parent, GArray *children)
{
	struct agent_slot *p = &a->slots[parent], *c;
	unsigned long tid;
	unsigned child;
	int r;

	if (ptrace(PTRACE_GETEVENTMSG, p->tid, NULL, &tid) < 0)
		return err_errno("asking task %d for its child", p->tid);
	if (!children || !children->len)
		return err_set(EPROTO, "task %d has an unexpected child %lu", p->tid, tid);
	child = g_array_index(children, unsigned, 0);
	g_array_remove_index(children, 0);
	c = &a->slots[child];
	r = ptrace_wait_interrupted((pid_t)tid, BIRTH_TIMEOUT_MS);
	if (r < 0)
		return r;
	*c = (struct agent_slot){
		.tid = (pid_t)tid,
		.made = true,
		.offset = c->offset,
		.nops = c->nops,
		.ops = c->ops,
		.arena = c->arena,
		.arena_bytes = c->arena_bytes,
		.frame = c->frame,
		.stack = c->stack,
		.shm = c->shm,
	};
	r = ptrace_cont(c->tid, 0);
	return r < 0 ? r : ptrace_cont(p->tid, 0);
}

static int ended(struct agent_slot *s, int status)
{
	s->gone = true;
	if (WIFSIGNALED(status))
		return err_set(ESRCH, "task %d was killed by signal %d (%s)", s->tid,
			       WTERMSIG(status), strsignal(WTERMSIG(status)));
	return err_set(ESRCH, "task %d has exited with %d", s->tid, WEXITSTATUS(status));
}

/* Stays in this stop: its registers can still be given back. */
static int crashed(struct agent_slot *s, int sig)
{
	struct regs regs;

	s->held = true;
	if (ptrace_get_regs(s->tid, &regs) < 0)
		return err_set(EFAULT, "task %d got signal %d (%s)", s->tid, sig, strsignal(sig));
	return err_set(EFAULT, "task %d got signal %d (%s) at %#lx", s->tid, sig, strsignal(sig),
		       regs_pc(&regs));
}

int agent_handle_report(struct agent *a, unsigned slot, int status, GArray *children)
{
	struct agent_slot *s = &a->slots[slot];
	int sig = WSTOPSIG(status);

	if (!WIFSTOPPED(status))
		return ended(s, status);
	if (is_birth(EVENT_OF(status)))
		return welcome(a, slot, children);
	/* SIGSTOP cannot be blocked: the process is stopped, for everybody but us, from now on. */
	if (EVENT_OF(status))
		return ptrace_cont(s->tid, 0);
	if (sig == SIGSTOP)
		return ptrace_cont(s->tid, sig);
	return crashed(s, sig);
}
