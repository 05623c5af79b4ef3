/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of some TCP connections are dropped, by a table of nftables of our own in their network
 * namespace.  The table belongs to our netlink socket (NFT_TABLE_F_OWNER, Linux 5.12): it is gone
 * with us, however we end.
 */
#pragma once

#include "kernel/diag.h"

struct netlock;

/* A missing libnftables ends the program: better before anything is frozen. */
void netlock_load(void);

/* CONNECTIONS: struct diag_tcp.  DIR: /proc/PID of a process in that namespace. */
int netlock_take(int dir, GArray *connections, struct netlock **ret) MUST_CHECK;
void netlock_drop(struct netlock **l);

/*
 * The lock outlives us: it ends with its network namespace.  Where that is our own, which stays,
 * nothing is kept.
 */
int netlock_leave(int dir, GArray *connections) MUST_CHECK;

/* Removes what netlock_leave() has left. */
void netlock_forget(int dir);
