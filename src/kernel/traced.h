/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tracer has made of a thread, of which only the kernel's memory tells (kernel/peek.h):
 * options cannot be read back by ptrace(2), and whether a stop has been told by wait(2) is seen by
 * nobody.
 */
#pragma once

#include "kernel/peek.h"

struct traced {
	bool seized;	  /* by PTRACE_SEIZE, or by a tracer that is */
	uint64_t options; /* PTRACE_O_* */
	uint32_t status;  /* of a stop that is still to be told: as wait(2) would, from bit 8 on */
	bool calls;	  /* it stops at the next border of a system call: PTRACE_SYSCALL */
	bool listens;	  /* PTRACE_LISTEN */
	bool steps;	  /* PTRACE_SINGLESTEP, _SINGLEBLOCK: until it is resumed otherwise */
	bool emulated;	  /* PTRACE_SYSEMU, _SYSEMU_SINGLESTEP */
	bool dispatches;  /* PR_SET_SYSCALL_USER_DISPATCH */
	bool group;	  /* its process is stopped by a signal, or is about to be */
	int signo, code;  /* of the siginfo_t of its stop; 0, 0: it does not stand in one */
};

/* -ESRCH: no such thread; -EOPNOTSUPP: the kernel cannot be asked. */
int traced_look(struct peek *k, pid_t tid, struct traced *ret) MUST_CHECK;
