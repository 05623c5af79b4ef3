/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of some TCP connections are dropped, by a table of nftables of our own in their network
 * namespace.  The table belongs to our netlink socket (NFT_TABLE_F_OWNER, Linux 5.12): it is gone
 * with us, however we end.
 */
#pragma once

#include "kernel/diag.h"

struct netlock;

#define NETLOCK_MARK 0x6372796f	 /* packets that have it pass */
#define NETLOCK_LEFT "cryo-left" /* how names of tables that outlive us begin */

/* CONNECTIONS: struct diag_tcp.  DIR: /proc/PID of a process in that namespace. */
int netlock_take(int dir, GArray *connections, struct netlock **ret) MUST_CHECK;
void netlock_drop(struct netlock **l);

/* A name that no other table has; the caller's. */
char *netlock_left_name(void);

/* The lock outlives us, as table NAME: until netlock_forget(), or the namespace's end. */
int netlock_leave(int dir, GArray *connections, const char *name) MUST_CHECK;

/* May be one of those names: it may come from anywhere. */
bool netlock_is_left(const char *name);

/* Removes what netlock_leave() has left in network namespace NS, if it is there. */
void netlock_forget(int ns, const char *name);
