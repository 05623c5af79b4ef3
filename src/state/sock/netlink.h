/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in netlink(7) sockets. */
#pragma once

#include "state/sock/sock.h"

#include <linux/netlink.h>

/*
 * netlink_queue.c.  Before the freeze: waits for what the program is about to read.  -EAGAIN: an
 * answer of the kernel waits, which nothing can give back.
 */
int netlink_queue_check(const struct sock_view *s, struct dump *d) MUST_CHECK;
int netlink_queue_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x)
	MUST_CHECK;

/* netlink_refill.c: all are open, none listens to a group yet.  Does it once. */
int netlink_refill(struct restore *r) MUST_CHECK;

/* Is it to be told that it has missed something?  1: it is.  F has just been made. */
int netlink_missed(struct restore *r, const struct file *f) MUST_CHECK;
/* A socket like TO's that has PORT; 0: any. */
int netlink_sender(struct restore *r, const struct file *to, uint32_t port, int *ret_fd) MUST_CHECK;

/* netlink_overrun.c: FD, with port PORT and nothing in its queue, has missed something (ENOBUFS).
 * SENDER is another socket of the protocol, in the same network namespace. */
int netlink_overrun(int fd, uint32_t port, int sender) MUST_CHECK;

/* netlink_packets.c: S has PORT; FD has it again, and nothing has been sent to it yet. */
int netlink_packets_dump(const struct sock_view *s, uint32_t port, json_t *x) MUST_CHECK;
struct peek;
bool netlink_is_packet(struct peek *k, uint64_t skb, int protocol); /* message SKB */
int netlink_packets_restore(int fd, const json_t *x) MUST_CHECK;
