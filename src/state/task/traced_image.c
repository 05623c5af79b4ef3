/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IMAGE_EXTRA: {"traced": {"TID": {"tracer": TID, "how": "signal", "seized": .., "calls": ..,
 * "told": .., "options": N, "mask": N, "registers": base64, "siginfo": base64, "debug": base64}}},
 * numbers as the tree has them.  The registers are those of the stop; without one, the records of
 * the thread have them, as for all.
 */
#include "state/extra.h"
#include "state/task/task.h"
#include "state/task/traced.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

#define SIGNALS_MAX 64
#define OPTIONS	    0x3000ffu

static const char *const names[TRACED_HOWS] = {
	[TRACED_RUNS] = "runs", [TRACED_IN_CALL] = "in call", [TRACED_ENTRY] = "entry",
	[TRACED_EXIT] = "exit", [TRACED_SIGNAL] = "signal",   [TRACED_INTERRUPTED] = "interrupted",
};

static json_t *bytes(const void *p, size_t len)
{
	g_autofree char *text = g_base64_encode(p, len);

	return json_string(text);
}

static json_t *record(const struct tracee *x)
{
	return json_pack("{si ss sb sb sb sI sI so so so}", "tracer", x->own_tracer, "how",
			 names[x->how], "seized", x->seized, "calls", x->calls, "told", x->told,
			 "options", (json_int_t)x->options, "mask", (json_int_t)x->home.sigmask,
			 "registers", bytes(&x->home.regs.gp, sizeof(x->home.regs.gp)), "siginfo",
			 bytes(&x->si, sizeof(x->si)), "debug", bytes(x->debug, sizeof(x->debug)));
}

int traced_dump(struct dump *d)
{
	for (unsigned i = 0; d->traced && i < d->traced->len; i++) {
		const struct tracee *x = g_ptr_array_index(d->traced, i);

		extra_set(d->extra, "traced", (uint32_t)x->own_tid, record(x));
	}
	return 0;
}

static bool take_bytes(json_t *j, const char *key, void *ret, size_t len)
{
	const char *text = json_string_value(json_object_get(j, key));
	gsize n = 0;
	g_autofree guchar *p = text ? g_base64_decode(text, &n) : NULL;

	if (!p || n != len)
		return false;
	memcpy(ret, p, len);
	return true;
}

static bool take_how(json_t *j, enum traced_how *ret)
{
	const char *name = json_string_value(json_object_get(j, "how")) ?: "";

	for (unsigned i = 0; i < TRACED_HOWS; i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum traced_how)i;
			return true;
		}
	return false;
}

static int64_t number(json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static bool read_record(json_t *j, struct tracee *x)
{
	x->own_tracer = (pid_t)number(j, "tracer");
	x->options = (uint64_t)number(j, "options");
	x->home.sigmask = (uint64_t)number(j, "mask");
	x->seized = json_is_true(json_object_get(j, "seized"));
	x->calls = json_is_true(json_object_get(j, "calls"));
	x->told = json_is_true(json_object_get(j, "told"));
	return take_how(j, &x->how) &&
	       take_bytes(j, "registers", &x->home.regs.gp, sizeof(x->home.regs.gp)) &&
	       take_bytes(j, "siginfo", &x->si, sizeof(x->si)) &&
	       take_bytes(j, "debug", x->debug, sizeof(x->debug)) &&
	       !(x->options & ~(uint64_t)OPTIONS) &&
	       (x->how != TRACED_SIGNAL || (x->si.si_signo > 0 && x->si.si_signo <= SIGNALS_MAX));
}

static struct rthread *find(const struct restore *r, pid_t tid)
{
	for (unsigned i = 0; i < r->nimages; i++) {
		struct rtask *t = restore_task(r, i);

		for (unsigned k = 0; !t->zombie && k < t->nthreads; k++)
			if (t->threads[k].nstid == tid && !t->threads[k].gone)
				return &t->threads[k];
	}
	return NULL;
}

static int load(struct restore *r, const char *key, json_t *j)
{
	g_autofree struct tracee *x = g_new0(struct tracee, 1);
	struct rthread *h, *by;

	x->own_tid = (pid_t)g_ascii_strtoll(key, NULL, 10);
	if (!read_record(j, x))
		return err_set(EBADMSG, "%s: traced thread %s: not a record", IMAGE_EXTRA, key);
	h = find(r, x->own_tid);
	by = find(r, x->own_tracer);
	if (!h || !by || h->task->vm == by->task->vm)
		return err_set(EBADMSG, "%s: traced thread %s has no tracer", IMAGE_EXTRA, key);
	by->task->traces = true;
	h->task->traced = true;
	g_ptr_array_add(r->traced, g_steal_pointer(&x));
	return 0;
}

int traced_load(struct restore *r)
{
	json_t *all = json_object_get(r->extra, "traced"), *j;
	const char *key;
	int ret = 0;

	r->traced = g_ptr_array_new_with_free_func(g_free);
	json_object_foreach(all, key, j) if (ret == 0) ret = load(r, key, j);
	for (unsigned i = 0; ret == 0 && i < r->traced->len; i++) {
		const struct tracee *x = g_ptr_array_index(r->traced, i);

		if (find(r, x->own_tracer)->task->traced)
			ret = err_set(EBADMSG, "%s: a tracer is traced", IMAGE_EXTRA);
	}
	return ret;
}

int traced_restore(struct restore *r)
{
	int ret = seccomp_floor_allows(r, SYS_ptrace, "ptrace");

	for (unsigned i = 0; ret == 0 && i < r->traced->len; i++) {
		struct tracee *x = g_ptr_array_index(r->traced, i);
		struct rthread *h = find(r, x->own_tid), *by = find(r, x->own_tracer);
		const struct tracer t = {r->agent, by->slot};

		x->pid = rtask_pid(h->task);
		x->tid = agent_tid(r->agent, h->slot);
		/* waits.c: its wait goes on, or is over by now */
		if (ret == 0 && regs_need_restart_block(&x->home.regs))
			ret = ptrace_get_regs(x->tid, &x->home.regs);
		if (ret == 0)
			ret = traced_give(&t, x);
		if (ret == 0)
			agent_hand_over(r->agent, h->slot);
		ret = rtask_wrap(h->task, ret);
	}
	for (unsigned i = 0; ret == 0 && r->o.leave_stopped && i < r->nimages; i++)
		if (restore_task(r, i)->traced && kill(rtask_pid(restore_task(r, i)), SIGSTOP) < 0)
			ret = err_errno("stop process %d", rtask_pid(restore_task(r, i)));
	r->tracers = true;
	return ret;
}
