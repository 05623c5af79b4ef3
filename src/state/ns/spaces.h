/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spaces: namespaces of the tree that its root is not in.  A task may be in several, threads too;
 * some have nobody in them and are held by a descriptor or a mount only.
 *
 * Dump: they are found while looking (spaces_look()), and get the numbers from NSID_FIRST_SPACE on
 * that tasks' records and names of images use.  Restore: each is made by a process of ours before
 * the tree is (spaces_make()); tasks enter it when what is made for them from outside is there.
 */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

#define NSID_FIRST_SPACE 20

struct space {
	enum ns_kind kind;
	uint64_t ino;
	uint32_t id; /* in the images */
	int fd;
	pid_t pid;		   /* somebody in it, as we see him; 0: nobody */
	uint64_t around[NS_COUNT]; /* his other namespaces */
	const char *external;	   /* NS_NET: who restores gives one of this name; NULL */
	/* The user namespace that it belongs to; of such a one, that it is below; 0: the root's. */
	uint32_t owner;
	/* NS_MNT */
	int root; /* O_PATH */
	struct mountinfo mounts;
};

/* All tasks, threads and mounts of the tree; refuses what cannot be made again. */
int spaces_look(struct dump *d) MUST_CHECK;
/* The same when all stand still: -EAGAIN when a new one has come. */
int spaces_look_frozen(struct dump *d) MUST_CHECK;
void spaces_end(struct dump *d);

/* One that a descriptor leads to; FD stays the caller's.  Refuses like spaces_look(). */
int spaces_add_fd(struct dump *d, enum ns_kind kind, uint64_t ino, int fd) MUST_CHECK;

/* A new one, whose owner becomes one as well. */
int spaces_add(struct dump *d, enum ns_kind kind, uint64_t ino, int fd_take, struct space **ret)
	MUST_CHECK;

/*
 * spaces_users.c: user namespaces below the root's.  Who is in one keeps the capabilities that he
 * has above until he enters it, last of all that needs any there: before his threads are made.
 */
int spaces_add_owner(struct dump *d, struct space *s) MUST_CHECK;
/* Can task T of theirs, and what it is in, be made again? */
int spaces_check_users(struct dump *d, const struct dtask *t) MUST_CHECK;
/* The number of the one that T is in; 0: the root's. */
uint32_t spaces_users(const struct dump *d, const struct dtask *t);
/* When it is known who shares directories. */
int spaces_check_sharers(struct dump *d) MUST_CHECK;
int spaces_dump_users(struct dump *d) MUST_CHECK;
/* spaces_births.c: pid namespaces that belong to them. */
int spaces_check_births(struct dump *d) MUST_CHECK;
bool spaces_has_births(const struct dump *d);

/* NULL: it is none. */
struct space *spaces_find(const struct dump *d, enum ns_kind kind, uint64_t ino);
/* Its number in the images, the root's included; 0: it is none of the tree's. */
uint32_t spaces_id(const struct dump *d, enum ns_kind kind, uint64_t ino);

/* The namespaces of a task or thread, as we see it. */
const uint64_t *spaces_of(const struct dump *d, pid_t tid);

/* Mount namespaces: whose mount is MNT_ID?  NULL: nobody's. */
const struct mount_entry *spaces_mount(const struct dump *d, int mnt_id);
/* The root directory (O_PATH, borrowed) of the namespace that has mount MNT_ID; the root's: -1. */
int spaces_root(const struct dump *d, int mnt_id);
/* The mount that PATH ("/proc/PID/cwd") leads to; -1: not known, or there is one namespace only. */
int spaces_mount_of(const struct dump *d, const char *path);

/* The threads of T that are in others than it is: into T->extra. */
int spaces_dump_threads(struct dump *d, struct dtask *t) MUST_CHECK;

/* Restore. */

struct rspace {
	enum ns_kind kind;
	uint32_t id;
	int fd;
	const struct rtask *of; /* who is in it first; NULL: nobody is */
	bool external;		/* given, not made */
	uint32_t owner;		/* as struct space */
	bool making;
	bool born; /* NS_USER: it comes with the first process of a pid namespace of its own */
	/* NS_MNT */
	int root;	    /* O_PATH */
	GPtrArray *records; /* MntEntry */
};

int spaces_make(struct restore *r) MUST_CHECK;	      /* once the box is as it was */
int spaces_make_mounts(struct restore *r) MUST_CHECK; /* once the tree is there */
int spaces_firewalls(struct restore *r) MUST_CHECK;   /* once the sockets are there */
void spaces_free(struct restore *r);
/* The root directory that a file's record of mount MNT_ID is found below. */
int spaces_root_of(const struct restore *r, int mnt_id);
/* The namespace of this number; the box's own for those of the root.  Borrowed. */
int spaces_fd(struct restore *r, enum ns_kind kind, uint32_t id, int *ret_fd) MUST_CHECK;
/* That T is in, the root's included. */
uint32_t spaces_number(const struct rtask *t, enum ns_kind kind);
bool spaces_is(const struct restore *r, enum ns_kind kind, uint32_t id);
uint32_t spaces_of_mount(const struct restore *r, int mnt_id); /* 0: the box's */
/*
 * Pid namespaces: flags for the fork, and what follows from it.  With CLONE_NEWUSER the parent
 * becomes, for that, whom the users below are to belong to.
 */
int spaces_before_fork(struct restore *r, struct rtask *parent, struct rtask *child,
		       uint64_t *flags) MUST_CHECK;
int spaces_after_fork(struct restore *r, struct rtask *parent, struct rtask *child) MUST_CHECK;
int spaces_enter_ipc(struct restore *r, struct rtask *t) MUST_CHECK; /* before it attaches */
int spaces_enter(struct restore *r, struct rtask *t) MUST_CHECK;
int spaces_enter_early(struct restore *r, struct rtask *t) MUST_CHECK;
/* spaces_users_make.c */
/* What maps the box's users to those of USERS: UsernsEntry, outermost first. */
int spaces_load_maps(struct restore *r, uint32_t users, GPtrArray **ret) MUST_CHECK;
/* Number ID of the box there; OVERFLOW_ID: it is nobody's. */
uint32_t spaces_number_inside(const GPtrArray *maps, bool group, uint32_t id);
/* As the box numbers it: the first user or group that they have; 0: they have none. */
uint32_t spaces_first_number(const GPtrArray *maps, bool group);
int spaces_enter_users(struct restore *r, struct rtask *t) MUST_CHECK;
bool spaces_has_users(const struct rtask *t); /* it is in a user namespace below the root's */
/*
 * How many of the numbers TIDS (as clone_spec) task T may choose for what it forks, a thread if
 * CHILD is NULL; NEW_PIDS: into a pid namespace that is made by that.  The others are those that
 * its next fork gets, when they have been set.  Nothing is to be waiting in T's batch.
 */
int spaces_choose(struct restore *r, const struct rtask *t, const struct rtask *child,
		  bool new_pids, const pid_t *tids, unsigned *ntids) MUST_CHECK;
/* Those that have the descriptors of T, or their threads, enter namespaces when all are there. */
bool spaces_wants_channel(const struct restore *r, const struct rtask *t);
int spaces_enter_thread(struct restore *r, struct rthread *h) MUST_CHECK;
