/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that another task of the tree traces: a debugger and its program.
 *
 * A task has one tracer.  So, while all of the tree stands still, the tracer's thread is told, by
 *an agent in it, to stop each, to note what it was about, to move it to where it cannot get
 *anywhere
 * ("jmp ." in its own code, all signals blocked) and to let it go; there we take hold of it, and
 *put it where it was (struct seized_home).  From then on it is a task like others.  At the end, and
 *at restore, the same backwards: moved aside, let go, attached to, moved back, and led into the
 *stop that it was in.  What the tracer has asked for tells the kernel's memory (kernel/traced.h).
 *
 *	stop			led into by
 *	none, in its program	going on
 *	none, in a call		the call made again, its entry passed (with PTRACE_SYSCALL)
 *	entry of a call		the call made again
 *	exit of a call		entered, and not made
 *	signal			that signal sent again, its siginfo_t put in place
 *	PTRACE_INTERRUPT	one
 *
 * In the stops of an event (PTRACE_EVENT_FORK, _EXEC, _EXIT, ...) nothing can lead: of those that
 * pass by themselves we wait for the end.
 */
#pragma once

#include "state/dump.h"
#include "state/restore.h"
#include "state/task/tracer.h"

#include <signal.h>

#define TRACED_DR7 7

enum traced_how {
	TRACED_RUNS,
	TRACED_IN_CALL,
	TRACED_ENTRY,
	TRACED_EXIT,
	TRACED_SIGNAL,
	TRACED_INTERRUPTED,
	TRACED_HOWS,
};

struct tracee {
	pid_t tid, pid, tracer;	   /* as we see them */
	pid_t own_tid, own_tracer; /* as the tree does */
	enum traced_how how;
	bool seized, calls; /* kernel/traced.h */
	bool told;	    /* its tracer knows of the stop */
	uint64_t options;
	siginfo_t si;	   /* TRACED_SIGNAL */
	uint64_t debug[8]; /* DR0-3, 6, 7: breakpoints and watchpoints of the CPU's */
	struct seized_home home;
};

/* While looking: refuses what cannot be; H is T's, and has a tracer. */
int traced_check(struct dump *d, const struct dtask *t, const struct thread_seen *h) MUST_CHECK;

/*
 * Takes those of the process T from their tracers, who must be settled; their homes are for
 * seize_begin()'s.  -EAGAIN: just now one of them is where nothing could lead it back to; nothing
 * has been done to it.
 */
int traced_take(struct dump *d, struct dtask *t) MUST_CHECK;
/* T is held from now on. */
void traced_taken(struct dump *d, struct dtask *t);

/* All of them, when everything is cured, before anybody is released. */
int traced_give_back(struct dump *d) MUST_CHECK;
/* It stands in a stop, where its registers are its tracer's affair. */
bool traced_stands(const struct dump *d, pid_t tid);
void traced_clear(struct dump *d);

/* Into IMAGE_EXTRA; from there, to the tracers that are restored and have agents still. */
int traced_dump(struct dump *d) MUST_CHECK;
int traced_load(struct restore *r) MUST_CHECK;
int traced_restore(struct restore *r) MUST_CHECK;

/* The settled task whose thread TID is, and which of them. */
struct dtask *traced_by(struct dump *d, pid_t tid, unsigned *ret_thread);

/* An agent in the tracer BY, whose thread number THREAD then does what is asked of *RET. */
int traced_enter(struct dump *d, struct dtask *by, unsigned thread, struct agent **agent,
		 struct tracer *ret) MUST_CHECK;

/* give.c: X, which we hold, becomes T's. */
int traced_give(const struct tracer *t, const struct tracee *x) MUST_CHECK;
