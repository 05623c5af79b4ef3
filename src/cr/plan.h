/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who forks whom, so that parents, sessions and process groups come out as they were.
 *
 * A session is entered only by being born in it, or by founding it (setsid(2)); a process group
 * only by asking while somebody of it is there (setpgid(2)).  So:
 *  - a child in its parent's session is born after the parent has founded it;
 *  - a child in the session that its parent was *born* in is forked before the parent's setsid();
 *  - an orphan that a reaper (the root, a subreaper) adopted from another session is born there: by
 *    the session's leader, through a helper that dies at once, or by a dead leader's stand-in;
 *  - a group whose leader is dead gets a stand-in with its number until all have joined.
 * What none of this reaches is refused; dump asks the same question before it touches anything.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct plan_task { /* numbers as inside the innermost pid namespace */
	pid_t pid;
	int parent;	 /* index, -1 for the root, which is number 0, and for guests */
	pid_t pgid, sid; /* 0: outside of the namespace, inherited from the root */
	unsigned maker;	 /* the sibling that makes it (CLONE_PARENT); 0: its parent does */
	unsigned depth;	 /* pid namespaces further in than the root's; 0 for helpers */
	bool zombie;
	bool reaper;   /* adopts orphans: the root, or PR_SET_CHILD_SUBREAPER */
	bool may_reap; /* set by plan_look() */
	bool guest;  /* a root beside the first one: there from the beginning, leads its session */
	bool helper; /* set by plan_make() for those it added: gone when the plan is done */
};

enum plan_verb {
	PLAN_FORK,    /* TASK forks OTHER, its child or (plan_task.maker) its sibling */
	PLAN_SETSID,  /* TASK founds its session */
	PLAN_SETPGID, /* TASK enters group PGID, its own if that is its pid */
	PLAN_EXIT,    /* TASK, a helper, exits; OTHER, its parent by then, reaps it */
};

struct plan_step {
	enum plan_verb verb;
	unsigned task, other;
	pid_t pgid;
};

struct plan {
	GArray *tasks; /* struct plan_task: the given ones, then helpers */
	GArray *steps; /* struct plan_step, in their order */
};

/*
 * Where no process of the tree leads the root's session, that session and the root's group become
 * 0: inherited from whoever makes the root.  True if so.
 */
bool plan_outside(struct plan_task *v, unsigned n);

/*
 * Where the root's session and group are led from outside of its pid namespace, and whoever makes
 * the root makes it lead a session: all that were in the same are in that of the root.
 */
void plan_lead(struct plan_task *v, unsigned n);

/*
 * V[0] is the root.  ROOT_LEADS: the root finds itself a session leader already.  TAKEN says which
 * numbers somebody outside of the tree has; NULL: nobody has any.
 */
int plan_make(const struct plan_task *v, unsigned n, bool root_leads, bool (*taken)(pid_t),
	      struct plan *ret) MUST_CHECK;
void plan_clear(struct plan *p);

/* The same before anybody knows who reaps: -EOPNOTSUPP if nothing makes a plan possible. */
int plan_look(struct plan_task *v, unsigned n) MUST_CHECK;
