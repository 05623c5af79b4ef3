/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a task beside memory and files.  One file per thing; each has
 *	_dump	 the kernel's state into the record: CoreEntry
 *	_question the same, where only the thread itself knows (state/question.h)
 *	_restore the record into the task, through its agent
 *	_tell	 the same, composed for the agent of each thread: all threads do it at once
 * The lists of all of them, in their order, are the tables of cr/dump_steps.c and cr/restore_steps.c.
 */
#pragma once

#include "state/question.h"
#include "state/restore.h"

/* core.c: the records themselves, ids, names */
int core_dump_begin(struct dump *d, struct dtask *t) MUST_CHECK;
/* What t->extra has goes into d->extra. */
void core_keep_extra(struct dump *d, struct dtask *t);
int core_dump_end(struct dump *d, struct dtask *t) MUST_CHECK; /* into core-N.img */
int core_load(struct restore *r, struct rtask *t) MUST_CHECK;
TaskKobjIdsEntry *task_ids_new(const struct dtask *t);
bool rtask_is_stopped(const struct rtask *t);

#define STANDSTILL_MS 1000 /* patience with a tree that is to be stopped, once it is let go */
/* agent_let_go() of a tree that meets its SIGSTOP there, and until that has come about. */
int stopped_let_go(struct restore *r) MUST_CHECK;

/* sharing.c: what processes share; refuses what nobody could make again */
int sharing_check(struct dump *d) MUST_CHECK;
int sharing_load(struct restore *r) MUST_CHECK;
/* CLONE_* for whoever makes T. */
uint64_t sharing_flags(const struct rtask *by, const struct rtask *t);
/* Threads with directories of their own. */
int sharing_dump(struct dump *d, struct dthread *h) MUST_CHECK;

/* regs.c: registers and extended state (needs the tasks in their stops, before the agent) */
int regs_dump(struct dump *d, struct dthread *h) MUST_CHECK;
int regs_load(struct rthread *h) MUST_CHECK;
int regs_tell(struct restore *r, struct rthread *h, struct batch *b) MUST_CHECK; /* room for it */
/* In a stop, when all else is done. */
int regs_restore(struct rthread *h) MUST_CHECK;
int regs_check(struct dump *d, struct dtask *t) MUST_CHECK; /* while it runs: refuses 32-bit code */

/* segments.c: descriptors of segments: of threads (in their stops), of address spaces */
int segments_dump(struct dump *d, struct dthread *h) MUST_CHECK; /* after regs_dump() */
int segments_restore(struct rthread *h) MUST_CHECK;		 /* before regs_restore() */
extern const struct question segments_question;
int ldt_restore(struct restore *r, struct rtask *t) MUST_CHECK;

/* waits.c: relative times of system calls that were interrupted */
void waits_look(struct dump *d);   /* before the freeze */
void waits_freeze(struct dump *d); /* when it begins */
int waits_dump(struct dump *d, struct dthread *h) MUST_CHECK;
void waits_resume(struct dtask *t); /* cured, not yet released */
/* In a stop, all else is done: makes the thread wait again; R is what it is to have.  1: so it
 * does. */
int waits_restore(struct rthread *h, struct regs *r) MUST_CHECK;

/* signals.c: actions, masks, alternate stacks, what is pending */
int sigpending_dump(struct dump *d, struct dtask *t) MUST_CHECK; /* in the stop */
extern const struct question sigactions_question;
int sigactions_restore(struct restore *r, struct rtask *t) MUST_CHECK;
int sigpending_restore(struct restore *r, struct rtask *t) MUST_CHECK;

/* thread.c: what a thread has told the kernel of itself */
int thread_stop_dump(struct dump *d, struct dthread *h) MUST_CHECK; /* in the stop: rseq */
extern const struct question thread_question;
/* The first thread's is told before it makes the others, who inherit it; they tell theirs later. */
void thread_name(struct rthread *h, struct batch *b);
int thread_name_tell(struct restore *r, struct rthread *h, struct batch *b) MUST_CHECK;
int thread_tell(struct restore *r, struct rthread *h, struct batch *b) MUST_CHECK;
int thread_deadline_restore(struct restore *r, struct rthread *h) MUST_CHECK; /* held */
int thread_dispatch_restore(struct restore *r, struct rthread *h) MUST_CHECK; /* held, the last */
int thread_sched_restore(struct restore *r, struct rthread *h) MUST_CHECK;

/* process.c: small things of the process: personality, subreaper, oom_score_adj, ... */
extern const struct question process_question;
int process_restore(struct restore *r, struct rtask *t) MUST_CHECK;
int loginuid_restore(struct restore *r, struct rtask *t) MUST_CHECK; /* sends a descriptor */

/* stopped.c: stopped processes, and whether their parents know of it */
int stops_dump(struct dump *d) MUST_CHECK;
int stops_restore(struct restore *r, struct rtask *t) MUST_CHECK; /* before signal actions */

/* leader.c: first threads that have ended before others */
void leader_dump(struct dtask *t);
bool leader_will_end(const struct rtask *t);
int leader_restore(struct restore *r, struct rtask *t) MUST_CHECK; /* ends it, credentials first */

/* attributes.c: CPUs, I/O priority, modes of prctl(2), coredump_filter; before seccomp */
extern const struct question attributes_question;
int attributes_tell(struct restore *r, struct rthread *h, struct batch *b) MUST_CHECK;

/* keys.c: session keyrings */
extern const struct question keys_question;
int keys_restore(struct restore *r, struct rtask *t) MUST_CHECK; /* before threads */
int keys_restore_end(struct restore *r, struct rtask *t) MUST_CHECK;
int keys_restore_inside(struct restore *r, struct rtask *t) MUST_CHECK; /* spaces_enter_users() */
int keys_restore_end_inside(struct restore *r, struct rtask *t) MUST_CHECK;

/* ownkeys.c: keyrings of processes, and of threads */
extern const struct question ownkeys_question;
int ownkeys_restore(struct restore *r, struct rtask *t) MUST_CHECK;	     /* before threads */
int ownkeys_restore_thread(struct restore *r, struct rthread *h) MUST_CHECK; /* all are there */

/* fs.c: current and root directory, umask */
int fs_check(struct dump *d, struct dtask *t) MUST_CHECK;
int fs_dump(struct dump *d, struct dtask *t) MUST_CHECK;
int fs_load(struct restore *r, struct rtask *t) MUST_CHECK;
int fs_restore(struct restore *r, struct rtask *t) MUST_CHECK;
bool fs_of_threads(const struct rtask *t);			       /* some have their own */
int fs_restore_threads(struct restore *r, struct rtask *t) MUST_CHECK; /* sends descriptors */
void fs_threads_end(struct rtask *t);

/* timers.c: interval timers, POSIX timers */
extern const struct question timers_question;
int timers_restore(struct restore *r, struct rtask *t) MUST_CHECK;

/* rlimits.c */
int rlimits_dump(struct dump *d, struct dtask *t) MUST_CHECK;
int rlimits_restore(struct restore *r, struct rtask *t) MUST_CHECK;
int rlimits_restore_late(struct restore *r, struct rtask *t) MUST_CHECK; /* after signals, timers */

/* creds.c: ids, groups, capabilities, securebits, no_new_privs; the last that an agent does */
extern const struct question creds_question;
int creds_load(struct rthread *h) MUST_CHECK;
/* What none of its threads has goes from the bounding set before they are made, and inherit it. */
void creds_bounding(struct rtask *t, struct batch *b);
int creds_tell(struct restore *r, struct rthread *h, struct batch *b) MUST_CHECK;
/*
 * Who goes into a user namespace below the root's takes its users before, where it is: MAPS say how
 * they are numbered there (spaces_load_maps()).  OWNER instead of its user, if not NULL.  DENY: its
 * groups are what they are to be, and setgroups(2) is not allowed.
 */
struct users {
	const GPtrArray *maps;
	const uid_t *owner;
	bool deny;
};
void creds_take_users(const struct rthread *h, const struct users *u, struct batch *b);
/* For what keeps them for ever: only what it will have; and again what a restore needs. */
void creds_lower(struct restore *r, struct rthread *h, struct batch *b);
void creds_raise(struct restore *r, struct rthread *h, struct batch *b);
/* After those of all threads: a change of ids resets it. */
int dumpable_tell(struct restore *r, struct rthread *h, struct batch *b) MUST_CHECK;

/* zombie.c: its files, for crit; users and groups, which wait(2) tells its parent, in IMAGE_EXTRA
 */
int zombie_dump(struct dump *d, struct dtask *t) MUST_CHECK; /* when its parent has been dumped */
void zombie_ids_dump(struct dtask *t);
void zombie_ids_restore(struct rtask *t, struct batch *b);

/* landlock.c: refuses who is restricted by it */
int landlock_check(struct dump *d, struct dtask *t) MUST_CHECK;

/* seccomp.c: filters, shared as they were */
int seccomp_dump(struct dump *d, struct dthread *h) MUST_CHECK; /* in the stop */
int seccomp_dump_end(struct dump *d) MUST_CHECK;
int seccomp_load(struct restore *r) MUST_CHECK;
int seccomp_restore(struct restore *r, struct rtask *t) MUST_CHECK;
/* For what the images want that a filter would see only when it was made: NR, by its NAME. */
int seccomp_floor_allows(struct restore *r, long nr, const char *name) MUST_CHECK;
