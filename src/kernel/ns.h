/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces (namespaces(7)): what a process is in, how to get in. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

enum ns_kind { NS_USER, NS_MNT, NS_UTS, NS_IPC, NS_PID, NS_NET, NS_CGROUP, NS_TIME, NS_COUNT };

struct ns_info {
	const char *name;	  /* "net": the file in /proc/PID/ns */
	const char *for_children; /* "pid_for_children", or NULL */
	int flag;		  /* CLONE_NEW* */
	unsigned pidfd_get;	  /* ioctl(2) of a pidfd that opens it */
};
extern const struct ns_info ns_infos[NS_COUNT];

/* The namespace's inode number, its id as far as others see it.  0 when the kernel has no such
 * kind. */
int ns_id(int dir, enum ns_kind kind, uint64_t *ret) MUST_CHECK;
int ns_ids(int dir, uint64_t ret[NS_COUNT]) MUST_CHECK;
int ns_child_id(int dir, enum ns_kind kind, uint64_t *ret) MUST_CHECK; /* NS_PID, NS_TIME */

/*
 * 1: thread TID of the process is in the namespaces IDS[kind] of all N KINDS; 0: it is not.  Asks a
 * pidfd where it tells: each link of /proc is made when it is read, and taken away when the thread
 * ends, which costs 60 us for five of them.
 */
int ns_thread_is_in(int dir, pid_t tid, const enum ns_kind *kinds, unsigned n, const uint64_t *ids)
	MUST_CHECK;

int ns_open(int dir, enum ns_kind kind, int *ret_fd) MUST_CHECK;
/* The user namespace that namespace NS belongs to (ioctl_ns(2)); -1 in *RET_FD: our own one. */
int ns_owner(int ns, int *ret_fd) MUST_CHECK;
int ns_ino(int ns, uint64_t *ret) MUST_CHECK; /* of a descriptor, as ns_id() */
/*
 * The user namespace that NS belongs to, or that a user namespace is right below.  1: it is above
 * ours, which nobody tells of.
 */
int ns_above(int ns, int *ret_fd) MUST_CHECK;
/* The pid namespace above NS; -1 and errno. */
int ns_parent(int ns);
/* 1: user namespace USERS is the one with number INO, or below it; 0: it is not. */
int ns_is_within(int users, uint64_t ino) MUST_CHECK;

/*
 * Calls FN in a forked child that has entered the namespaces NS[0..N) in this order, and waits for
 * it.  The answer is FN's; its error story comes over.  FN may leave a descriptor in *RET_FD, which
 * becomes ours.  RET_FD may be NULL.  What else FN changes in memory is lost.
 * A pid namespace holds only for children of FN's process; -1 in NS is skipped.
 */
typedef int (*ns_fn)(void *arg, int *ret_fd);
int ns_run(const int *ns, unsigned n, ns_fn fn, void *arg, int *ret_fd) MUST_CHECK;

/*
 * The next process that is born in the pid namespace PID_NS gets number NEXT, or the first free one
 * after it.  What others fork in there meanwhile takes it.
 */
int ns_next_pid(int pid_ns, pid_t next) MUST_CHECK;

/* /proc/PID/timens_offsets (time_namespaces(7)). */
struct timens {
	int64_t monotonic_s, boottime_s;
	int32_t monotonic_ns, boottime_ns; /* 0..999999999 */
};
int timens_read(int dir, struct timens *ret) MUST_CHECK; /* -ENOENT: no time namespaces here */
/* The text to write into timens_offsets of a process before its children enter. */
int timens_text(const struct timens *t, char *buf, size_t len);
