/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls for one task of an agent, run at native speed.
 *
 *	CLEANUP(batch_end) struct batch b = {0};
 *	batch_begin(&b, agent, slot);
 *
 *	int fd = batch_add(&b, SYS_openat, IMM(AT_FDCWD), batch_str(&b, path), IMM(O_RDONLY));
 *	int map = batch_add(&b, SYS_mmap, IMM(addr), IMM(len), IMM(prot), IMM(flags), RES(fd),
 *			    IMM(off));
 *	batch_expect(&b, map, addr);
 *	batch_add(&b, SYS_close, RES(fd));
 *	batch_add(&b, SYS_sigaltstack, IMM(0), batch_out(&b, &ss, sizeof(ss)));
 *	r = batch_run(&b);	// "mmap 0x7f0000000000+4096: Cannot allocate memory"
 *
 * Adding runs by itself what is there when operations or arena are full, so a batch may be of any
 * length.  RES() of operations that ran already goes on working.  Operations that share other
 * addresses within the arena (batch_addr()) are kept together by batch_room().
 *
 * Nothing returns an error while composing: the first one sticks, and batch_run() or batch_wait()
 * returns it.  The task stops at the first operation that fails, unless batch_may_fail().
 *
 * Many slots at once: batch_post() each, then batch_wait() each.
 */
#pragma once

#include "agent/agent.h"

#include <sys/syscall.h>

struct arg {
	uint64_t v;
	uint32_t kind;	     /* enum arg_kind */
	uint32_t generation; /* ARG_SLOT of the arena: which filling of it */
};
#define IMM(x)		((struct arg){.v = (uint64_t)(x), .kind = ARG_IMM})
#define RES(op)		((struct arg){.v = (uint32_t)(op), .kind = ARG_RES})
#define RES_PLUS(op, n) ((struct arg){.v = (uint32_t)(op) | (uint64_t)(n) << 32, .kind = ARG_RES})

struct batch {
	struct agent *agent;
	unsigned slot;
	unsigned nops;	     /* waiting to be run */
	uint32_t arena;	     /* bytes used of it */
	uint32_t generation; /* of the arena's content: grows with every run */
	int base;	     /* id of the first waiting operation */
	int err;	     /* the first error; its story is in .story */
	char *story;
	bool posted;
	bool interruptible; /* base/interrupt.h: it ends after the operation that is running */
	bool box_used;	    /* by this filling */
	struct op *ops;	    /* our copy of what waits; the mailbox is not trusted */
	GArray *results;    /* int64_t by id */
	GArray *outs;	    /* what is to be copied back */
	GArray *sends;	    /* descriptors that go after the doorbell */
	GArray *children;   /* unsigned: slots of CLONE operations, in order */
	int watch[2];	    /* batch_watch_exec(): ours, the task's until it was sent; -1 */
};

void batch_begin(struct batch *b, struct agent *a, unsigned slot);
void batch_end(
	struct batch *b); /* frees; waiting operations are dropped, a running batch is waited for */

/* Adds an operation; returns its id, for RES(), batch_result(), batch_expect(). */
int batch_add_v(struct batch *b, uint32_t nr, const struct arg *args, unsigned n);
#define batch_add(b, nr, ...)                                                                      \
	batch_add_v((b), (nr), (const struct arg[]){IMM(0), ##__VA_ARGS__} + 1,                    \
		    sizeof((const struct arg[]){IMM(0), ##__VA_ARGS__}) / sizeof(struct arg) - 1)

/* An error of this operation does not end the batch; see batch_result(). */
void batch_may_fail(struct batch *b, int id);

/* Any other result of this operation is an error: for mmap, pread, pwrite, write ... */
void batch_expect(struct batch *b, int id, int64_t ret);

/* Data in the arena.  Input is copied at once; output is copied to DST when the batch has run. */
struct arg batch_in(struct batch *b, const void *data, size_t len);
struct arg batch_str(struct batch *b, const char *s);
struct arg batch_out(struct batch *b, void *dst, size_t len);
struct arg batch_inout(struct batch *b, const void *data, void *dst, size_t len);

/* The int or u64 that an operation of this same filling leaves at byte OFF of an arena place. */
struct arg batch_int_at(struct batch *b, struct arg place, size_t off);
struct arg batch_word_at(struct batch *b, struct arg place, size_t off);

/* The place's address in the target, for structures that point at other places. */
uint64_t batch_addr(struct batch *b, struct arg place);

/* Runs what is there unless N more operations and BYTES more of arena (about) fit. */
void batch_room(struct batch *b, unsigned n, size_t bytes);

/* Bytes that one operation's data can have at most in this slot. */
size_t batch_arena_max(const struct batch *b);

/*
 * Sends N (up to 253) descriptors of ours; they stay ours.  The place holds the numbers that they
 * got in the target, as ints: use batch_int_at(b, place, 4 * i) in the same filling, or copy them
 * out by RET (may be NULL), N ints.  They are close-on-exec there.  In an injected agent they are
 * closed by agent_cure() unless a batch has done so: batch_close_fds().  Only one such set may be
 * open at a time in an injected agent.
 */
struct arg batch_recv_fds(struct batch *b, const int *fds, unsigned n, int *ret);
/* Runs what is there, then closes them. */
void batch_close_fds(struct batch *b);

/*
 * A child or thread in slot CHILD, which must be free.  Its result is its pid as the parent sees
 * it; agent_tid(a, CHILD) is known after the run.  The child has the parent's blocked signals and
 * waits for batches.
 *
 * With CLONE_UNTRACED many threads are made without a stop for each: they are the process' own,
 * which dies with us.  agent_take_thread() follows for each.
 */
struct clone_spec {
	unsigned child;
	uint64_t flags;	   /* CLONE_* without a signal number */
	int exit_signal;   /* 0 for threads */
	const pid_t *tids; /* set_tid, innermost namespace first; NULL: any */
	unsigned ntids;
	int cgroup_fd; /* number in the task, with CLONE_INTO_CGROUP */
};
int batch_clone(struct batch *b, const struct clone_spec *c);

/* Runs everything.  0, or the first error, described. */
int batch_run(struct batch *b) MUST_CHECK;

/* The same in two halves.  Without operations both do nothing. */
int batch_post(struct batch *b) MUST_CHECK;
int batch_wait(struct batch *b) MUST_CHECK;

/* Result of an operation that has run: the call's own value, -errno for one that may fail. */
int64_t batch_result(const struct batch *b, int id);

/*
 * To be called before the execve(2) of batch_run_exec() is added.  Its success is the end of a pipe
 * whose other side only the task has, close-on-exec: other descriptors that the stub got may have
 * copies elsewhere, in conmon for example.
 */
void batch_watch_exec(struct batch *b);

/*
 * Runs a batch that ends in execve(2), in an agent adopted for that (agent_plan.exec).  0: the
 * task has left the agent: the new program runs, or has run, or the task was killed, which is told
 * to whoever waits for it.  The agent is of no more use than agent_free().  Otherwise the error of
 * the operation that failed; the stub dies with agent_free().
 */
int batch_run_exec(struct batch *b) MUST_CHECK;

/* "openat", or "syscall 999". */
const char *syscall_name(uint32_t nr, char buf[static 24]);
