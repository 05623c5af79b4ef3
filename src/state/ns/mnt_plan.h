/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts while they are made: mnt_make.c, mnt_share.c. */
#pragma once

#include "state/ns/mnt.h"

struct mnt {
	MntEntry *e;
	const struct mnt_kind *kind;
	struct mnt *parent;	       /* NULL: the root, or something of a copy of our tree */
	const MntEntry *shown;	       /* of a namespace before it, that shows it; NULL */
	const struct mnt_outer *outer; /* that namespace */
	char *outside;		       /* path of what it shows, where no key tells; NULL */
	int source;		       /* detached copy of what is outside; -1 */
	int peer;		       /* of its group outside, in the yard; -1 */
	int content;		       /* of a file that was deleted; -1 */
	int archive;		       /* content; -1 */
	int fd;			       /* its root; -1: not made yet */
	int at;			       /* O_PATH: where it goes */
	bool placed;		       /* after its parent in mnt_plan.all */
	bool late;		       /* not put into its place before mnt_plan_enter(), */
	int again;		       /* which has this, a detached copy of it; -1 */
};

struct mnt_plan {
	GPtrArray *all; /* struct mnt, in the order of mountinfo: parents first */
	struct mnt *root;
	struct mnt_options o;
	GPtrArray *gone;      /* struct gone: mnt_gone.c */
	GPtrArray *unmounted; /* char *: of our mounts, by mnt_ours.c */
	int root_group;	      /* a mount whose group the root takes over; -1 */
	int yard;
	unsigned places;
};

const struct mnt_kind *mnt_kind_by_code(unsigned code);
const char *mnt_below(const char *inner, const char *outer);
int mnt_yard(struct mnt_plan *p, int fd) MUST_CHECK;

const char *mnt_target(const MntEntry *e);

/* A view of what is at REST in WIDE. */
int mnt_view(struct mnt_plan *p, int wide, const char *rest, int *ret) MUST_CHECK;

/* A detached one that shows the pid namespace PIDS. */
int mnt_make_proc(int pids, int *ret_fd) MUST_CHECK;

/* mnt_ttys.c: a terminal, mounted over something.  Not part of the plan, but made later. */
bool mnt_is_tty(const MntEntry *e);

/* mnt_late.c: other things that are not there, likewise. */
bool mnt_is_late(json_t *extra, const MntEntry *e);

/* mnt_inside.c */
bool mnt_is_inside(const struct mnt_plan *p, const struct mnt *m); /* its file system is theirs */
/* mount(2) at NAME in the current directory, as they do it. */
int mnt_mount_inside(struct mnt_plan *p, const struct mnt *m, const char *source, const char *name,
		     unsigned flags) MUST_CHECK;
/* Files that we make on it are those of a user that they have, until the end. */
void mnt_own_files(const struct mnt_plan *p, bool begin);
void mnt_mark_inside(struct mnt_plan *p);	    /* what comes late: nothing is put yet */
int mnt_keep_inside(struct mnt_plan *p) MUST_CHECK; /* with all that it has */

/* mnt_gone.c */
int mnt_gone_load(const struct mnt_options *o, struct mnt *m) MUST_CHECK;
int mnt_gone_make(struct mnt_plan *p, struct mnt *m, int wide, const char *rest, int *ret)
	MUST_CHECK;
void mnt_gone_end(struct mnt_plan *p); /* all are in their places: the names go */

/* mnt_ours.c */
int mnt_ours_load(struct mnt_plan *p) MUST_CHECK;
/* In the copy, before anything is mounted. */
int mnt_ours_leave(const struct mnt_plan *p) MUST_CHECK;

/* The mount FD is of has these MS_*, and no others. */
int mnt_set_flags(int fd, unsigned flags) MUST_CHECK;

void mnt_true_root(MntEntry *e, json_t *extra);

/* mnt_outer.c: what a space shows of the namespaces before it. */
bool mnt_find_outer(const struct mnt_options *o, struct mnt *m);
int mnt_take_outer(struct mnt_plan *p) MUST_CHECK;

/* Before anything is put together: nothing propagates but what is to have a master outside. */
int mnt_unshare_all(struct mnt_plan *p) MUST_CHECK;
int mnt_share(struct mnt_plan *p) MUST_CHECK;
int mnt_share_root(struct mnt_plan *p) MUST_CHECK; /* after pivot_root(2) */
