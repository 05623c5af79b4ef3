/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads whose system calls are dispatched to the program itself (Documentation/admin-guide/
 * syscall-user-dispatch.rst), which is asked before we are (kernel/entry/common.c:
 * syscall_trace_enter()): calls of an agent there would be its SIGSYS handler's.
 *
 * Most stand in a call of their own, their selector says so, and as nobody changes it while all
 * are held, an agent's calls pass, too.  Nothing is done about those.  The others' dispatch is off
 * while they are in the agent, from when their registers lead there until they lead home again,
 * and the agent turns it on again if we die.  That is the last call it can make, so it returns to
 * the thread without rt_sigreturn(2) (agent_blob.c: go_back()), and the mailbox stays.
 *
 * The first thread makes calls before there is an agent, and after (0.2 ms).  For these it lends us
 * its selector: if we die just then, that says "allow" until the thread changes it the next time.
 * Where there is none, the instructions that are used may be in the range whose calls are not
 * dispatched, as a C library's would.  Else the dispatch is off for so long, and would be lost.
 */
#include "agent/private.h"

#include "base/log.h"

#define INCLUSIVE 2 /* PR_SYS_DISPATCH_INCLUSIVE_ON */

static bool is_free(const struct dispatch *d, uint64_t at)
{
	return (at - d->offset < d->len) != (d->mode == INCLUSIVE);
}

/* The kernel sees the address after the instruction. */
static bool are_free(const struct dispatch *d, const struct insns *i)
{
	const uint64_t at[] = {i->syscall, i->syscall_ret, i->restorer};

	for (unsigned k = 0; k < ARRAY_SIZE(at); k++)
		if (!at[k] || !is_free(d, at[k]) || !is_free(d, at[k] + INSNS_OVERLAP))
			return false;
	return true;
}

/* Whether all calls of an agent's life and of a way home are made from code that may. */
static bool may_call(const struct agent *a, const struct dispatch *d)
{
	return are_free(d, &a->insns) && is_free(d, a->addr) &&
	       is_free(d, a->addr + MAILBOX_CODE_BYTES);
}

static bool says_allow(const struct agent *a, const struct dispatch *d)
{
	uint8_t byte;

	if (!d->selector)
		return false;
	if (task_read_memory(seized_alive(a->group), d->selector, &byte, 1) < 0) {
		err_clear();
		return false;
	}
	return byte == DISPATCH_ALLOW;
}

void dispatch_look(struct agent *a)
{
	for (unsigned i = 0; i < a->group->threads->len; i++) {
		const struct dispatch *d = &seized_at(a->group, i)->dispatch;
		struct agent_slot *s = &a->slots[agent_thread_slot(a, i)];

		s->dispatches = d->mode && !may_call(a, d) && !says_allow(a, d);
		a->stays |= s->dispatches;
	}
}

void dispatch_note(struct agent *a, unsigned slot, const struct dispatch *d)
{
	struct slot *s = a->slots[slot].shm;

	s->dispatching = DISPATCHING;
	s->dispatch[0] = d->mode;
	s->dispatch[1] = d->offset;
	s->dispatch[2] = d->len;
	s->dispatch[3] = d->selector;
}

static void tell(struct agent_slot *s, enum slot_dispatching v)
{
	if (s->shm)
		__atomic_store_n(&s->shm->dispatching, (uint32_t)v, __ATOMIC_RELEASE);
}

int dispatch_moves(struct agent *a, unsigned slot)
{
	struct agent_slot *s = &a->slots[slot];

	if (!s->dispatches)
		return 0;
	if (slot == 0 && !a->lent) /* its signals are blocked, also that of a dispatched call */
		return dispatch_off(a, 0);
	tell(s, DISPATCH_MAYBE_OFF);
	return 0;
}

static int put_selector(struct agent *a, uint8_t byte)
{
	uint64_t at = seized_at(a->group, 0)->dispatch.selector;

	return task_write_memory(seized_alive(a->group), at, &byte, 1);
}

/* The selector of the first thread says "allow" from now on.  False: it has none. */
static bool lend(struct agent *a)
{
	const struct dispatch *d = &seized_at(a->group, 0)->dispatch;
	bool lent = d->selector &&
		    task_read_memory(seized_alive(a->group), d->selector, &a->selector, 1) == 0 &&
		    put_selector(a, DISPATCH_ALLOW) == 0;

	if (!lent)
		err_clear();
	a->lent |= lent;
	return lent;
}

static int give_back(struct agent *a)
{
	int r = a->lent ? put_selector(a, a->selector) : 0;

	a->lent = false;
	return r;
}

int dispatch_begin(struct agent *a)
{
	struct agent_slot *s = &a->slots[0];

	if (!s->dispatches)
		return 0;
	a->started = true; /* there is something to be undone */
	if (lend(a) || are_free(&seized_at(a->group, 0)->dispatch, &a->insns))
		return 0;
	log_debug("process %d: its first thread's dispatch of system calls is off for a moment; "
		  "keep this process alive",
		  a->group->pid);
	return dispatch_off(a, 0);
}

int dispatch_off(struct agent *a, unsigned slot)
{
	static const struct dispatch none;
	struct agent_slot *s = &a->slots[slot];
	const struct seized_thread *t = agent_slot_thread(a, slot);
	int r = 0;

	if (!s->dispatches)
		return 0;
	if (!s->dispatch_off)
		r = ptrace_set_dispatch(t->tid, &none);
	s->dispatch_off = s->dispatch_off || r == 0;
	if (r == 0 && slot == 0)
		r = give_back(a);
	if (r == 0)
		tell(s, DISPATCH_OFF);
	return r;
}

int dispatch_on(struct agent *a, unsigned slot)
{
	struct agent_slot *s = &a->slots[slot];
	const struct seized_thread *t = agent_slot_thread(a, slot);
	int r;

	if (!s->dispatch_off)
		return 0;
	tell(s, DISPATCH_MAYBE_OFF);
	r = ptrace_set_dispatch(t->tid, &t->dispatch);
	s->dispatch_off = r < 0;
	return r;
}

int dispatch_leave(struct agent *a)
{
	int r = 0;

	if (!a->slots[0].dispatch_off)
		return 0;
	if (!lend(a)) {
		if (a->hurried || !are_free(&seized_at(a->group, 0)->dispatch, &a->insns))
			return 0; /* its next calls would be the program's: dispatch_end() */
		r = safe_frames_lead(a);
	}
	return r < 0 ? r : dispatch_on(a, 0);
}

int dispatch_end(struct agent *a)
{
	int r = dispatch_on(a, 0), back = give_back(a);

	return r < 0 ? r : back;
}
