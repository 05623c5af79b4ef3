/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of some TCP connections, and those that would begin one, are dropped by a table of
 * nftables of our own in their network namespace: nobody answers them, so they come again.  The
 * table belongs to our netlink socket (NFT_TABLE_F_OWNER, Linux 5.12): it is gone with us, however
 * we end.
 */
#pragma once

#include "kernel/diag.h"

struct netlock;

#define NETLOCK_MARK 0xc114	 /* packets that have it pass: what passes CRIU's lock, too */
#define NETLOCK_LEFT "cryo-left" /* how names of tables that outlive us begin */

struct netlock_what {
	const GArray *connections; /* struct diag_tcp, or NULL */
	const GArray *ports; /* uint16_t, or NULL: whoever wants to connect to one has to wait */
	bool all;	     /* nothing passes, whatever the protocol */
	bool untracked;	     /* packets that have the mark are none of conntrack's business */
};

/* DIR: /proc/PID of a process in that namespace.  If *L is not NULL, WHAT takes the place of what
 * it was for, at once. */
int netlock_take(int dir, const struct netlock_what *what, struct netlock **l) MUST_CHECK;
int netlock_take_in(int ns, const struct netlock_what *what, struct netlock **ret) MUST_CHECK;
void netlock_drop(struct netlock **l);

/* A name that no other table has; the caller's. */
char *netlock_left_name(void);

/*
 * The lock outlives us, as table NAME of network namespace NS: until netlock_forget(), or the
 * namespace's end.  WHAT: NULL for all of TCP.
 */
int netlock_leave(int ns, const struct netlock_what *what, const char *name) MUST_CHECK;

/* May be one of those names: it may come from anywhere. */
bool netlock_is_left(const char *name);

/* Removes what netlock_leave() has left in network namespace NS, if it is there. */
void netlock_forget(int ns, const char *name);

/* All that was left there, by whatever dump.  Cheap when there is nothing. */
void netlock_forget_all(int ns);
