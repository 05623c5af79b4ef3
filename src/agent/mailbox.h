/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent (inside the target) and the coordinator (outside) agree on.
 *
 * One shared mapping, at the same address in all tasks that use it:
 *
 *	code	MAILBOX_CODE_BYTES, read and execute: the blob, starting with struct blob_header
 *	slots	read and write, one per task: struct slot, its operations, its arena, its place for
 *		descriptors, its way home (struct slot.frame), its stack
 *
 * A batch: the coordinator fills operations and sets BELL_RUNG in the bell; the agent runs them in
 * order until one fails, clears BELL_RUNG, sets SLOT_DONE and wakes the coordinator.
 *
 * Liveness: the bell is a robust futex (Documentation/locking/robust-futexes.rst) that the
 * coordinator owns.  However the coordinator ends, the kernel takes its tid out of the bell and
 * wakes the agent (kernel/futex/core.c: handle_futex_death()), which then cures itself: no
 * descriptor of the target is needed for that.  The agent never uses a timed wait while all is
 * well, because that would overwrite the restart_block of an interrupted nanosleep or poll.
 *
 * Nothing here is trusted by the coordinator: it keeps addresses and counts in memory of its own.
 */
#pragma once

#include <stdint.h>

#define MAILBOX_CODE_BYTES 4096
#define MAILBOX_OPS_MAX	   4096

/* First bytes of the blob, laid down by blob.lds.  Offsets are from the header. */
struct blob_header {
	uint64_t magic; /* BLOB_MAGIC */
	uint64_t entry; /* takes struct slot * in the first argument register; any stack */
	uint64_t end;	/* bytes of the blob */
};
#define BLOB_MAGIC UINT64_C(0x31474e4547414f43) /* "COAGENG1" */

/* How an argument of an operation is to be understood. */
enum arg_kind {
	ARG_IMM,  /* the value itself */
	ARG_SLOT, /* an offset in the task's slot: becomes an address */
	ARG_RES,  /* result of operation (low 32 bits) plus the high 32 bits */
	ARG_INT,  /* the int at an offset in the slot: a descriptor that a call has put there */
	ARG_WORD, /* the u64 at an offset in the slot */
};
#define OP_ARG_SHIFT(i) (4 * (i))
#define OP_MAY_FAIL	(1u << 24) /* an error does not end the batch */
#define OP_EXPECT	(1u << 25) /* any other result than .expect ends the batch */

struct op {
	uint32_t nr;	/* __NR_*, or one of those below */
	uint32_t flags; /* six enum arg_kind, four bits each, then OP_* bits */
	uint64_t arg[6];
	int64_t ret;
	int64_t expect;
};

/* clone3(arg 0, arg 1); the child goes on in the slot at address arg 2, as agent. */
#define OP_CLONE 0xf0000001u
/* From now on ptrace(2) may set the thread's tiles (AMX). */
#define OP_TILES 0xf0000002u

/* struct slot.bell */
#define BELL_WAITERS 0x80000000u /* FUTEX_WAITERS */
#define BELL_RUNG    0x40000000u /* FUTEX_OWNER_DIED; means that only together with owner 0 */
#define BELL_OWNER   0x3fffffffu /* FUTEX_TID_MASK: the coordinator's tid; 0: it is gone */

/* struct slot.state, a futex */
enum slot_state { SLOT_IDLE, SLOT_POSTED, SLOT_DONE };

/* struct slot.inside, a futex: who may still need this mapping when the coordinator is gone */
enum slot_inside {
	INSIDE_NO,
	INSIDE_YES,
	INSIDE_MAYBE, /* the coordinator is just moving the thread in or out */
};

/* struct slot.dispatching: whether the program's dispatch of system calls has been turned off */
enum slot_dispatching {
	DISPATCHING,	    /* no, or it has none */
	DISPATCH_MAYBE_OFF, /* the coordinator is just turning it off or on */
	DISPATCH_OFF,
};

struct slot {
	uint64_t robust_next; /* struct robust_list, of the coordinator; must come first */
	uint64_t stack;	      /* address of the top of the agent's stack; must come second */
	uint32_t dispatching; /* must come third */
	uint32_t pad;
	uint32_t bell, state;
	uint32_t inside;
	uint32_t nops, done;
	uint32_t ops; /* offset of the operations */
	/* The way home when the coordinator is gone. */
	uint64_t frame; /* offset of a signal frame; 0: there is no home, exit_group(2) */
	uint64_t frame_bytes;
	uint64_t landing;     /* where the frame goes: on the thread's own stack */
	uint64_t own_sp;      /* the thread's own stack pointer */
	uint64_t syscall_ret; /* in the target's own code; 0: leaves by rt_sigreturn from here */
	uint64_t dispatch[4]; /* arguments of prctl(PR_SET_SYSCALL_USER_DISPATCH) */
	/* First thread of a process only: */
	uint64_t map, map_bytes; /* all of the mailbox: unmapped by the last one to leave */
	uint64_t others;	 /* address of the second thread's slot */
	uint64_t others_stride;
	uint32_t nothers;
	uint32_t nfds, fds; /* ints at that offset: closed in the end if not -1 */
	uint32_t pad2;
};

/* The stub, at its socket: says hello, is told where to map the agent (with the mailbox's fd). */
struct stub_hello {
	uint64_t magic;
	uint64_t pid; /* getpid(2): as the container sees it; SCM_CREDENTIALS say how we see it */
};
struct stub_orders {
	uint64_t magic;
	uint64_t addr, bytes;
	uint64_t slot; /* address of its slot */
};
#define STUB_MAGIC UINT64_C(0x3142555453594f43) /* "COYSTUB1" */
/* Before those orders: a system call of its own, whose result (int64_t) it sends back. */
struct stub_call {
	uint64_t magic; /* STUB_CALL_MAGIC */
	uint64_t nr, arg[6];
};
#define STUB_CALL_MAGIC UINT64_C(0x4c4c414353594f43) /* "COYSCALL" */
#define STUB_FD		3 /* the stub's own program file, to be executed as /proc/self/fd/3 */
#define STUB_SOCK	4 /* SOCK_SEQPACKET; set close-on-exec by the stub */
