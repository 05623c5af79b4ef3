/* SPDX-License-Identifier: Apache-2.0 */
#include "state/extra.h"
#include "state/task/task.h"

#include "kernel/procmisc.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#define SCHED_DEADLINE_		  6
#define SCHED_FLAG_RESET_ON_FORK_ 1 /* of sched_setattr(2) */

/* In IMAGE_EXTRA of the task: {TABLE: {"TID": [...]}}. */
static void four_dump(struct dthread *h, const char *table, const uint64_t v[static 4])
{
	extra_set(h->task->extra, table, (uint32_t)h->nstid,
		  json_pack("[I,I,I,I]", (json_int_t)v[0], (json_int_t)v[1], (json_int_t)v[2],
			    (json_int_t)v[3]));
}

/* False: H has none. */
static bool four_of(const struct rthread *h, const char *table, uint64_t ret[static 4])
{
	const json_t *v = extra_get(h->task->extra, table, (uint32_t)h->nstid);

	for (unsigned i = 0; i < 4; i++)
		ret[i] = (uint64_t)json_integer_value(json_array_get(v, i));
	return json_array_size(v) >= 4;
}

/* In IMAGE_EXTRA of the task: "dispatches": {"TID": [mode, offset, len, selector]}. */
static void dispatch_dump(struct dthread *h, const struct dispatch *d)
{
	if (d->mode)
		four_dump(h, "dispatches", (uint64_t[]){d->mode, d->offset, d->len, d->selector});
}

int thread_stop_dump(struct dump *d, struct dthread *h)
{
	ThreadCoreEntry *e = h->core->thread_core;
	struct rseq_config q;
	uint64_t len;
	int r = ptrace_get_rseq(h->tid, &q);

	if (r < 0)
		return r;
	if (q.addr) {
		e->rseq_entry = g_new0(RseqEntry, 1);
		rseq_entry__init(e->rseq_entry);
		e->rseq_entry->rseq_abi_pointer = q.addr;
		e->rseq_entry->rseq_abi_size = q.size;
		e->rseq_entry->signature = q.signature;
	}
	dispatch_dump(h, &seized_at(&h->task->seized, (unsigned)(h - h->task->threads))->dispatch);
	r = task_get_robust_list(h->tid, &e->futex_rla, &len);
	e->futex_rla_len = (uint32_t)len;
	return r;
}

/* In IMAGE_EXTRA of the task: "deadlines": {"TID": [runtime, deadline, period, flags]}, in ns. */
static void deadline_dump(struct dthread *h, const struct proc_sched *s)
{
	four_dump(h, "deadlines",
		  (uint64_t[]){s->runtime_ns, s->deadline_ns, s->period_ns, s->flags});
}

/*
 * The slice that an ordinary thread has chosen for itself (sched_setattr(2), Linux 6.12).  Others
 * show the kernel's own (kernel/sched/syscalls.c: get_params()), as we do.  In IMAGE_EXTRA of the
 * task: "slices": {"TID": ns}.
 */
static void slice_dump(struct dthread *h, const struct proc_sched *s)
{
	uint64_t *usual = &h->task->dump->usual_slice_ns;
	struct proc_sched own;

	if (s->runtime_ns == 0)
		return;
	if (!*usual && proc_sched(0, &own) == 0)
		*usual = own.runtime_ns;
	if (!*usual)
		err_clear();
	if (!*usual || *usual == s->runtime_ns)
		return;
	extra_set(h->task->extra, "slices", (uint32_t)h->nstid,
		  json_integer((json_int_t)s->runtime_ns));
}

static int sched_dump(struct dthread *h)
{
	ThreadCoreEntry *e = h->core->thread_core;
	struct proc_sched s;
	int r = proc_sched(h->tid, &s);

	if (r < 0)
		return r;
	if (s.policy == SCHED_DEADLINE_)
		deadline_dump(h, &s);
	else
		slice_dump(h, &s);
	e->has_sched_nice = e->has_sched_policy = e->has_sched_prio = true;
	e->sched_nice = s.nice;
	e->sched_policy =
		s.policy | (s.flags & SCHED_FLAG_RESET_ON_FORK_ ? SCHED_RESET_ON_FORK : 0);
	e->sched_prio = s.priority;
	return 0;
}

struct told {
	char comm[16];
	uint64_t tid_address;
	int pdeath;
	stack_t ss;
};

static int thread_ask(struct dthread *h, struct batch *b, void *data)
{
	struct told *t = data;

	batch_add(b, SYS_sigaltstack, IMM(0), batch_out(b, &t->ss, sizeof(t->ss)));
	batch_add(b, SYS_prctl, IMM(PR_GET_NAME), batch_out(b, t->comm, sizeof(t->comm)));
	batch_add(b, SYS_prctl, IMM(PR_GET_TID_ADDRESS),
		  batch_out(b, &t->tid_address, sizeof(t->tid_address)));
	batch_add(b, SYS_prctl, IMM(PR_GET_PDEATHSIG), batch_out(b, &t->pdeath, sizeof(t->pdeath)));
	return 0;
}

static int thread_take(struct dump *d, struct dthread *h, const struct answers *a)
{
	ThreadCoreEntry *e = h->core->thread_core;
	const struct told *t = a->data;

	h->core->thread_info->clear_tid_addr = t->tid_address;
	e->sas = g_new0(ThreadSasEntry, 1);
	thread_sas_entry__init(e->sas);
	e->sas->ss_sp = (uint64_t)t->ss.ss_sp;
	e->sas->ss_size = t->ss.ss_size;
	e->sas->ss_flags = (uint32_t)t->ss.ss_flags;
	e->comm = g_strndup(t->comm, sizeof(t->comm));
	e->has_pdeath_sig = t->pdeath != 0;
	e->pdeath_sig = (uint32_t)t->pdeath;
	return sched_dump(h);
}

const struct question thread_question = {
	.bytes = sizeof(struct told),
	.ask = thread_ask,
	.take = thread_take,
};

/*
 * SS_ONSTACK is the kernel's answer, not a state: whoever is on the stack when it is set again gets
 * EPERM; the agent never is.
 */
static stack_t stack_of(const ThreadSasEntry *e)
{
	return (stack_t){.ss_sp = (void *)e->ss_sp,
			 .ss_size = e->ss_size,
			 .ss_flags = (int)(e->ss_flags & ~(uint32_t)SS_ONSTACK)};
}

static const char *name_of(const struct rthread *h)
{
	return h->core->thread_core->comm ?: h->task->core->tc->comm;
}

void thread_name(struct rthread *h, struct batch *b)
{
	char comm[16] = "";

	g_strlcpy(comm, name_of(h), sizeof(comm));
	batch_add(b, SYS_prctl, IMM(PR_SET_NAME), batch_in(b, comm, sizeof(comm)));
}

int thread_name_tell(struct restore *r, struct rthread *h, struct batch *b)
{
	const struct rtask *t = h->task;

	if (t->nthreads < 2 || strcmp(name_of(h), name_of(t->threads)) != 0)
		thread_name(h, b);
	return 0;
}

int thread_tell(struct restore *r, struct rthread *h, struct batch *b)
{
	const ThreadCoreEntry *e = h->core->thread_core;

	batch_add(b, SYS_set_tid_address, IMM(h->core->thread_info->clear_tid_addr));
	if (e->futex_rla)
		batch_add(b, SYS_set_robust_list, IMM(e->futex_rla), IMM(e->futex_rla_len));
	if (e->sas && e->sas->ss_size) {
		stack_t ss = stack_of(e->sas);

		batch_add(b, SYS_sigaltstack, batch_in(b, &ss, sizeof(ss)), IMM(0));
	}
	if (e->rseq_entry)
		batch_add(b, SYS_rseq, IMM(e->rseq_entry->rseq_abi_pointer),
			  IMM(e->rseq_entry->rseq_abi_size), IMM(0), IMM(e->rseq_entry->signature));
	return 0;
}

int thread_sched_restore(struct restore *r, struct rthread *h)
{
	const ThreadCoreEntry *e = h->core->thread_core;
	struct proc_sched s = {.policy = e->sched_policy & ~(uint32_t)SCHED_RESET_ON_FORK,
			       .nice = e->sched_nice,
			       .priority = e->sched_prio};
	const json_t *slice = extra_get(h->task->extra, "slices", (uint32_t)h->nstid);

	if (!e->has_sched_policy || (!e->sched_policy && !e->sched_nice && !slice) ||
	    s.policy == SCHED_DEADLINE_)
		return 0;
	s.runtime_ns = (uint64_t)json_integer_value(slice);
	if (e->sched_policy & SCHED_RESET_ON_FORK)
		s.flags = SCHED_FLAG_RESET_ON_FORK_;
	return proc_set_sched(agent_tid(r->agent, h->slot), &s);
}

/* Last of all: whoever has used up its time waits for the next period, and may not fork. */
int thread_deadline_restore(struct restore *r, struct rthread *h)
{
	struct proc_sched s = {.policy = SCHED_DEADLINE_};
	uint64_t v[4];

	if (!four_of(h, "deadlines", v))
		return 0;
	s.runtime_ns = v[0];
	s.deadline_ns = v[1];
	s.period_ns = v[2];
	s.flags = v[3];
	return proc_set_sched(agent_tid(r->agent, h->slot), &s);
}

/* In a stop, all else is done: no call of ours would pass. */
int thread_dispatch_restore(struct restore *r, struct rthread *h)
{
	struct dispatch d;
	uint64_t v[4];
	int ret;

	if (!four_of(h, "dispatches", v))
		return 0;
	d.mode = v[0];
	d.offset = v[1];
	d.len = v[2];
	d.selector = v[3];
	ret = ptrace_set_dispatch(agent_tid(r->agent, h->slot), &d);
	return ret < 0 ? err_wrap(ret, "thread %d", h->nstid) : 0;
}
