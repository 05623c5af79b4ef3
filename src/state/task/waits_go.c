/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits that go on.  Calls of one kind (nanosleep(2), poll(2), futex(2)) keep their end in
 * restart_block, which nothing shows and another task does not have; where the tree goes on they
 * end on time by themselves.  At restore the call is begun again, for the rest, and interrupted at
 * once, which leaves a restart_block as it was.  When it will end is noted below the stack, for the
 * next dump.
 *
 * Those of the other kind (epoll_wait(2), sigtimedwait(2)) are told EINTR by any interruption. They
 * are made again, for the rest: in the register, or in a place below the stack, which the kernel
 * reads when the call begins.  The program's own place is not touched.
 *
 * Below the stack is REGS_NOTES, where agents lay no frames.  Whoever else comes there is a signal
 * handler, and ends the call.  That is so of stacks that the kernel or a C library has made; below
 * that of a goroutine or coroutine may be anything, so nothing is left there.
 */
#include "state/extra.h"
#include "state/task/traced.h"
#include "state/task/waits.h"

#include <errno.h>
#include <string.h>

#define CODE_AFTER 48
#define INSN_RET   0xc3
#define INSN_CALL  0xe8
#define NOTE_MAGIC UINT64_C(0x65746f6e74696177) /* "waitnote" */
#define NOTE_SLACK WAITS_NS			/* from our release to the thread's next turn */

struct notes { /* at notes_at() */
	struct timespec time;
	uint64_t magic; /* ^ pc */
	int64_t written_ns, end_ns;
};

static uint64_t notes_at(const struct regs *r)
{
	static_assert(sizeof(struct notes) + 15 <= REGS_NOTES, "they do not fit");
	return (regs_sp(r) - REGS_RED_ZONE - sizeof(struct notes)) & ~UINT64_C(15);
}

/* [START, END) is the mapping that the stack is in; MAIN an address in the first thread's. */
static bool may_note(pid_t pid, const struct regs *r, uint64_t start, uint64_t end, uint64_t main)
{
	uint64_t tls = regs_tls(r), self;

	if (notes_at(r) < start)
		return false;
	if (start <= main && main < end)
		return true;
	/* glibc, musl: on top of a thread's stack is its control block, which begins with its own
	 * address */
	if (tls <= regs_sp(r) || tls >= end || task_read_memory(pid, tls, &self, sizeof(self)) < 0)
		self = 0;
	err_clear();
	return self && self == tls;
}

static bool may_note_dumped(const struct dtask *t, const struct regs *r)
{
	const struct vma *v = maps_find(&t->maps, regs_sp(r));

	return v && may_note(t->proc.pid, r, v->start, v->end, t->stat.start_stack);
}

static bool may_note_loaded(const struct rtask *t, const struct regs *r)
{
	for (size_t i = 0; i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];

		if (v->start <= regs_sp(r) && regs_sp(r) < v->end)
			return may_note(rtask_pid(t), r, v->start, v->end, t->mm->mm_start_stack);
	}
	return false;
}

static int note_end(pid_t pid, const struct regs *r, int64_t end_ns)
{
	uint64_t at = notes_at(r) + offsetof(struct notes, magic);
	struct notes n = {
		.magic = NOTE_MAGIC ^ regs_pc(r), .written_ns = waits_now(), .end_ns = end_ns};

	return task_write_memory(pid, at, &n.magic, sizeof(n) - offsetof(struct notes, magic));
}

/* Of another wait in the same place it would be, if that one had ended early and this one was
 * stopped and continued by somebody else: the thread has run since. */
bool waits_note_read(pid_t pid, const struct regs *r, int64_t begun_ns, int64_t *ret_ns)
{
	struct notes n;

	if (task_read_memory(pid, notes_at(r), &n, sizeof(n)) < 0) {
		err_clear();
		return false;
	}
	*ret_ns = n.end_ns;
	return n.magic == (NOTE_MAGIC ^ regs_pc(r)) && n.end_ns > begun_ns &&
	       n.written_ns <= begun_ns + NOTE_SLACK && begun_ns <= n.written_ns + NOTE_SLACK;
}

struct place { /* in the task, for a time */
	uint64_t at;
	struct timespec was;
};

static int put_time(pid_t pid, uint64_t at, int64_t ns, struct place *ret)
{
	struct timespec t = {.tv_sec = (time_t)(ns / WAITS_NS), .tv_nsec = (long)(ns % WAITS_NS)};
	int e = task_read_memory(pid, at, &ret->was, sizeof(ret->was));

	ret->at = at;
	return e < 0 ? e : task_write_memory(pid, at, &t, sizeof(t));
}

/*
 * Whether the code after the call takes the argument's register for changed, as it does after any
 * function: there is a return or a call soon.  A loop around a bare "syscall" may go on with what
 * the register had.
 */
static bool forgets_arguments(pid_t pid, const struct regs *r)
{
	uint8_t code[CODE_AFTER];

	return task_read_memory(pid, regs_pc(r), code, sizeof(code)) == 0 &&
	       (memchr(code, INSN_RET, sizeof(code)) || memchr(code, INSN_CALL, sizeof(code)));
}

/* The call of R is to wait for NS. */
static int set_time(pid_t pid, const struct timed *k, struct regs *r, int64_t ns, struct place *ret)
{
	int e;

	ret->at = 0;
	if (k->again && !forgets_arguments(pid, r))
		return err_set(EOPNOTSUPP, "its arguments are still in use");
	if (k->in_ms) {
		regs_set_argument(r, k->time, (uint64_t)((ns + 999999) / 1000000));
		return 0;
	}
	e = put_time(pid, notes_at(r), ns, ret);
	regs_set_argument(r, k->time, ret->at);
	return e;
}

/* Cured, not yet released. */
static int go_on(const struct dump *d, const struct dthread *h, const struct regs *was)
{
	const struct timed *k = waits_interrupted(was);
	int64_t now = waits_now(), ns;
	pid_t pid = h->task->proc.pid;
	struct place place;
	struct regs r;
	int e = k ? waits_rest(d, h, was, k, now, &ns) : 1;

	if (e != 0 || (!(k->again && k->in_ms) && !may_note_dumped(h->task, was)))
		return e;
	if (!k->again)
		return note_end(pid, was, ns_add(now, ns));
	e = ptrace_get_regs(h->tid, &r);
	if (e == 0)
		e = set_time(pid, k, &r, ns, &place);
	return e == 0 ? ptrace_set_regs(h->tid, &r) : e;
}

void waits_resume(struct dtask *t)
{
	for (unsigned i = 0; t->dump->waits && i < t->nthreads; i++)
		if (!traced_stands(t->dump, t->threads[i].tid) &&
		    go_on(t->dump, &t->threads[i], &seized_at(&t->seized, i)->regs) < 0)
			err_clear(); /* all of it again */
}

int waits_restore(struct rthread *h, struct regs *r)
{
	const struct timed *k = waits_interrupted(r);
	pid_t pid = rtask_pid(h->task), tid = agent_tid(h->task->restore->agent, h->slot);
	struct regs begin = *r;
	struct place place;
	int64_t result, ns;
	const json_t *rest = extra_get(h->task->extra, "rests", (uint32_t)h->nstid);
	bool noted;
	int e;

	if (!k || !json_is_integer(rest))
		return 0;
	ns = MAX(json_integer_value(rest), 1);
	noted = may_note_loaded(h->task, r);
	if (k->again && !k->in_ms && !noted)
		return 0;
	e = set_time(pid, k, k->again ? r : &begin, ns, &place);
	if (e < 0) { /* then all of it again */
		err_clear();
		return 0;
	}
	if (k->again)
		return 0;
	regs_make_call(&begin);
	e = ptrace_interrupted_syscall(tid, &begin, &result);
	if (e == 0 && place.at)
		e = task_write_memory(pid, place.at, &place.was, sizeof(place.was));
	if (e == 0 && noted)
		e = note_end(pid, r, ns_add(waits_now(), ns));
	if (e < 0)
		return err_wrap(e, "thread %d: its wait", h->nstid);
	regs_set_result(r, result);
	return 1; /* what it waited for may be there */
}
