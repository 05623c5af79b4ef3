/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent, seen from outside: a batch system call interpreter inside other tasks.  mailbox.h
 * tells how both sides talk; batch.h how work is given to it.
 *
 * Dump: one agent per process, injected into all its threads, which are held by ptrace:
 *
 *	struct insns ins;
 *	CLEANUP(seized_release) struct seized s = SEIZED_NONE;
 *	CLEANUP(agent_free) struct agent *a = NULL;
 *
 *	r = agent_scout(dir, pid, &ins);	// before the freeze: costs 0.1 to 0.4 ms
 *	r = seize_begin(pid, 0, &s);
 *	r = seize_settle(&s, 5000);
 *	r = agent_inject(&s, &ins, NULL, &a);	// all threads are agents now, slots 0 to n-1
 *	... batches ...
 *	r = agent_cure(a);			// all threads are held as they were found
 *	seized_release(&s);			// and go on
 *
 * If the coordinator dies at any instant, the threads find their own way home: registers, mask,
 * extended state and alternate stack are restored, descriptors closed, the mailbox is unmapped.
 * Only the remaining time of an interrupted nanosleep or poll is then lost (it starts anew).
 *
 * Restore: one agent for the whole tree, whose first task is the stub.  Its children and threads
 * are made by batch_clone() into slots that were planned at the beginning:
 *
 *	r = stub_await(sock, 5000, &stub);	// somebody has executed the stub
 *	r = agent_adopt(&stub, &plan, &a);	// slot 0 is the stub's
 *	... batches; the tree grows; everything dies if we die ...
 *	r = agent_hold(a, slot, 5000);		// each task: into a ptrace stop
 *	r = agent_unmap(a, slot);		// once per address space
 *	ptrace_set_regs(), _xstate(), _sigmask() of agent_tid(a, slot)
 *	r = agent_let_go(a);			// all that were held go on, first slot last
 */
#pragma once

#include "agent/mailbox.h"
#include "arch/x86_64/insn.h"
#include "kernel/maps.h"
#include "kernel/ptrace.h"

/* Zeros mean the defaults. */
struct agent_sizes {
	uint32_t big_ops, big_arena;	 /* 512 operations, 128 KiB: one per process */
	uint32_t small_ops, small_arena; /* 40 operations, 2 KiB: other threads */
	uint32_t spare;		 /* more big slots than threads need: for agent_snapshot() */
	const struct maps *maps; /* the process's, read while it was held; NULL: not read yet */
};

struct agent_slot {
	pid_t tid;	  /* as we see it; 0: nobody is there */
	bool held;	  /* in a ptrace stop; otherwise it runs as an agent */
	bool gone;	  /* it has ended or crashed; batches fail with -ESRCH */
	bool cures;	  /* a thread of an injected process: finds its own way home */
	bool made;	  /* a task that we have made: dies with us */
	bool handed_over; /* another task of the tree traces it: agent_hand_over() */
	bool outside;	  /* held, has not left its own code: enters with its first batch */
	/* agent/dispatch.c: its calls there would be its program's, so that is turned off meanwhile
	 */
	bool dispatches, dispatch_off;
	uint32_t offset; /* in the mailbox; all others in the slot */
	uint32_t nops, ops, arena, arena_bytes, frame, stack;
	struct slot *shm;
};

struct agent {
	struct seized *group; /* injected; NULL: adopted */
	bool started;	      /* the first thread has left its own code */
	uint64_t addr, bytes; /* in the targets */
	uint8_t *map;	      /* the same memory here */
	unsigned nslots, nbig;
	struct agent_slot *slots;
	int pidfd;	 /* of the process in slot 0 */
	int mailbox_fd;	 /* adopted: the memfd */
	bool traced;	 /* tasks are held by ptrace */
	bool injected;	 /* the mailbox is mapped in the target */
	bool hurried;	 /* no safe way home could be laid: see agent_inject() */
	int sock, tsock; /* channel for descriptors: our end, the target's number */
	struct insns insns;
	bool quiet; /* a seccomp filter forbids what a way home needs: the mailbox would stay */
	bool stays; /* ... or what a thread has of its own: dispatch.c */
	bool lent;  /* the first thread's selector, which was SELECTOR */
	uint8_t selector;
	/* The first thread's safe frames, on its own stack, and what was there before. */
	uint64_t chain_at; /* munmap of the mailbox, then ... */
	uint64_t frame_at; /* ... home */
	size_t frame_bytes;
	GByteArray *below;
};

/* Finds usable instructions in the code of a process.  1: not all; injection is still possible. */
int agent_scout(int proc_dir, pid_t pid, struct insns *ret) MUST_CHECK;

/*
 * Lets a process run that its coordinator has left inside the agent because it was stopped
 * (SIGSTOP), until it is home; then it is stopped again.  M are its mappings, ALIVE a thread of it
 * that has not ended, PID itself or another.  1: there was an
 * agent, look again.  0: there was none, or the process has ended.
 */
int agent_send_home(pid_t pid, pid_t alive, const struct maps *m) MUST_CHECK;

/*
 * Injects.  KNOWN may be NULL (scouts by itself); SIZES may be NULL.  S must be settled and outlive
 * the agent.  Thread i of S runs in slot agent_thread_slot(i).  On failure the threads are held
 * as they were.  -EOPNOTSUPP: 32-bit task.  Slot 0 is a living thread's, whether it leads or not.
 *
 * Where neither "syscall; ret" nor a restorer exist in the target (no C library), the first
 * 0.2 ms have no safe way home, and a later death of ours leaves the mailbox mapped: a->hurried.
 */
int agent_inject(struct seized *s, const struct insns *known, const struct agent_sizes *sizes,
		 struct agent **ret) MUST_CHECK;

/* Takes the agent out again: every thread of the group is held, with all that it had. */
int agent_cure(struct agent *a) MUST_CHECK;

/* The targets have been killed, or live on without us: do not touch them any more. */
void agent_forget(struct agent *a);

/*
 * Frees.  What is still injected is cured (a failure is only logged); adopted tasks that have not
 * been let go are killed and reaped: a tree exists whole or not at all.
 */
void agent_free(struct agent **a);

static inline unsigned agent_thread_slot(const struct agent *a, unsigned thread)
{
	return thread ? a->nbig - 1 + thread : 0;
}

static inline pid_t agent_tid(const struct agent *a, unsigned slot)
{
	return a->slots[slot].tid;
}

/* The program that becomes the first task of a thawed container or an exec: agent/stub.h */
struct stub {
	pid_t pid;   /* as we see it */
	pid_t nspid; /* as it sees itself */
	int pidfd;   /* owned */
	int sock;    /* not owned: the other end of the stub's descriptor 4 */
};
#define STUB_NONE ((struct stub){.pid = -1, .pidfd = -1, .sock = -1})

/* Both ends, close-on-exec, owned by the caller: *RET_THEIRS is to become the stub's descriptor 4.
 */
int stub_socketpair(int *ret_ours, int *ret_theirs) MUST_CHECK;

/*
 * Waits for the stub's greeting at SOCK (our end of stub_socketpair(); close the other one first).
 * -ETIMEDOUT; -EPIPE: everybody who had the other end is gone.
 */
int stub_await(int sock, unsigned timeout_ms, struct stub *ret) MUST_CHECK;

/* A system call of the stub itself, before it becomes an agent; *RET is its result, or -errno. */
int stub_call(const struct stub *s, uint32_t nr, const uint64_t args[6], int64_t *ret) MUST_CHECK;
void stub_clear(struct stub *s);

struct agent_plan {
	uint64_t addr;	/* free in the stub and in every layout to come; 0: 0x200000000000 */
	unsigned big;	/* slots for processes, at least 1 */
	unsigned small; /* slots for other threads: numbers from BIG on */
	struct agent_sizes sizes; /* .spare is not used */
	bool exec;		  /* not traced: will execute a program (batch_run_exec()) */
};

/* Bytes of address space that the plan needs at .addr. */
uint64_t agent_plan_bytes(const struct agent_plan *p);

/*
 * Seizes the stub (dies with us; its children are held from birth on) and starts the agent in it,
 * in slot 0.  All signals are blocked there.  The stub's socket becomes the channel for
 * descriptors: number STUB_SOCK there until a batch closes it.
 */
int agent_adopt(const struct stub *stub, const struct agent_plan *p, struct agent **ret) MUST_CHECK;

/*
 * One more stub, in a big slot that was planned for it: nobody here has made it, but it belongs to
 * the tree like those that slot 0 makes, with the same mailbox and the same channel.
 */
int agent_join(struct agent *a, const struct stub *stub, unsigned slot) MUST_CHECK;

/*
 * The thread TID, as we see it, that batch_clone() with CLONE_UNTRACED has made in SLOT: its agent
 * can be used from now on.
 */
int agent_take_thread(struct agent *a, unsigned slot, pid_t tid) MUST_CHECK;

/* Stops the task in a slot, which must be idle, by ptrace.  Many: all hold_begin first, then hold.
 */
int agent_hold_begin(struct agent *a, unsigned slot) MUST_CHECK;
int agent_hold(struct agent *a, unsigned slot, unsigned timeout_ms) MUST_CHECK;

/*
 * Lets the thread in a slot end by exit(2), without us as its tracer: while others of its process
 * are there a leader is a zombie that nobody could wait for before we have gone.  Returns when the
 * end is certain, not when it has come.
 */
int agent_end_thread(struct agent *a, unsigned slot, int code) MUST_CHECK;

/* What was held in a slot is no more: its tracer, one of the tree, has it. */
void agent_hand_over(struct agent *a, unsigned slot);

/* Unmaps the mailbox from the address space of a held task, by a "syscall" of its own code. */
int agent_unmap(struct agent *a, unsigned slot) MUST_CHECK;

/* Detaches all held tasks, slot 0 last; they run with whatever registers they were given. */
int agent_let_go(struct agent *a) MUST_CHECK;

/*
 * The descriptors' channel of an injected agent: made on first use by batch_recv_fds(), closed by
 * agent_cure().  Explicit use is only needed to know its number in the target.
 */
int agent_channel(struct agent *a) MUST_CHECK;

/*
 * Copy-on-write snapshot: a child of the process in slot 0, in a spare slot (number 1 is the
 * first), that holds all private memory as it is now.  It dies with us and serves batches also
 * after agent_cure() and seized_release() of the original, until agent_snapshot_end() or
 * agent_free().  It has copies of all descriptors, so one for the image is best received before.
 *
 * The child has no exit signal, so a plain wait(2) of the target does not see it, but it stays a
 * zombie until agent_snapshot_reap() has stopped the target once more, for 0.2 to 0.8 ms.  NSPID is
 * the child as the target sees it.
 */
int agent_snapshot(struct agent *a, unsigned slot, pid_t *ret_nspid) MUST_CHECK;
int agent_snapshot_end(struct agent *a, unsigned slot) MUST_CHECK;
int agent_snapshot_reap(pid_t pid, pid_t nspid) MUST_CHECK;
