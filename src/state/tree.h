/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a tree: finding them while it runs, holding all of them when it is frozen. */
#pragma once

#include "state/dump.h"

/* Below the root as it is now; d->tasks, parents first.  Nothing is stopped. */
int tree_look(struct dump *d) MUST_CHECK;

/*
 * Stops every thread of every process, until no process is found that is not stopped.  On failure
 * tree_release() undoes it.
 */
int tree_freeze(struct dump *d) MUST_CHECK;

/* Takes agents out and lets everything go on; the agents themselves may still hold snapshots. */
void tree_resume(struct dump *d);

/* The same, and no agent is left. */
void tree_release(struct dump *d);

/* SIGSTOP for all that live, which they meet when they are released. */
void tree_stop(struct dump *d);
/* Afterwards: until that has come about. */
void tree_await_stop(const struct dump *d);

/* Kills and waits until all are gone (the root may stay as its parent's zombie). */
int tree_kill(struct dump *d) MUST_CHECK;

/* Forgets all tasks. */
void tree_clear(struct dump *d);

/* root.c: d->root and d->mounts, when d->tasks is there. */
int tree_open_root(struct dump *d) MUST_CHECK;

/* thaw.c: 1: somebody else has frozen a cgroup of the tree; after thaw(), thaw_undo() freezes it
 * again. */
int thaw_needed(struct dump *d) MUST_CHECK;
/*
 * The process is stopped and in a frozen cgroup of version 1: it can be held only after thaw(), as
 * PTRACE_SEIZE waits for a stopped thread to come to its trap (kernel/ptrace.c: ptrace_attach(),
 * JOBCTL_TRAPPING).  /proc shows such a one as D (TASK_FROZEN), so where it waits tells.
 */
bool thaw_first(struct dump *d, pid_t pid);
int thaw(struct dump *d) MUST_CHECK;
void thaw_undo(struct dump *d);
/* The tree is to be frozen when it is released, by whichever of its cgroups has a freezer. */
int thaw_undo_later(struct dump *d) MUST_CHECK;

/* tree_strangers.c */
int tree_check_strangers(struct dump *d) MUST_CHECK;

/* tree_threads.c: t->seen, which tree_look() fills for all */
int tree_see_threads(struct dtask *t) MUST_CHECK;

/* tree_task.c: its state, names and numbers; again when it is frozen */
int task_read(struct dtask *t) MUST_CHECK;
/* The process is looked at through its thread TID from now on. */
int task_look_through(struct dtask *t, pid_t tid) MUST_CHECK;
/*
 * TASK, a struct dtask: t->maps with VmFlags, of one that stands still.  Uses nothing else of it
 * but t->seized, so that another thread of ours may do it (base/parallel.h: beside_begin()).
 */
int task_read_maps(void *task) MUST_CHECK;
/* It shows things that no task at rest has: memory, namespaces and descriptors go one by one. */
bool task_is_ending(const struct dtask *t);
