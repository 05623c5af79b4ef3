/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tracer's thread is told to do with those that it traces, by the agent in it: nobody else
 * may (kernel/ptrace.c: ptrace_check_attach()).  Numbers are those that it knows itself.
 */
#pragma once

#include "agent/batch.h"

struct tracer {
	struct agent *agent;
	unsigned slot;
};

int tracer_ptrace(const struct tracer *t, long request, pid_t tid, uint64_t addr, uint64_t data)
	MUST_CHECK;
int tracer_ptrace_in(const struct tracer *t, long request, pid_t tid, uint64_t addr,
		     const void *data, size_t len) MUST_CHECK;
int tracer_ptrace_out(const struct tracer *t, long request, pid_t tid, uint64_t addr, void *data,
		      size_t len) MUST_CHECK;

/* Until it has stopped; still to be told, unless TAKE.  -ESRCH: it has ended; -ETIMEDOUT. */
int tracer_await(const struct tracer *t, pid_t tid, bool take) MUST_CHECK;

/* It has been told of the stop. */
int tracer_take(const struct tracer *t, pid_t tid) MUST_CHECK;

/* Takes a SIGCHLD from its queue. */
int tracer_drop_sigchld(const struct tracer *t) MUST_CHECK;

/* Whether it may attach to TID (kernel/ptrace.c: __ptrace_may_access()): 0, -EPERM. */
int tracer_may(const struct tracer *t, pid_t tid) MUST_CHECK;

/* Where a thread of the process can be without getting anywhere: "jmp ." in its code. */
int tracer_find_spin(pid_t pid, uint64_t *ret) MUST_CHECK;
