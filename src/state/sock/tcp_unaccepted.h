/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that wait in the queue of a listening socket.  They have no descriptor that could
 * be asked, or put into TCP_REPAIR: what they are is read from the kernel's memory (kernel/peek.h),
 * in their order, and a BPF program and segments of our own make them again (kernel/born.h), with
 * the numbers, timestamps and options that their peers know, which may be anywhere.
 *
 * Of the listening socket in IMAGE_EXTRA: {"unaccepted": [{"stream": N, "from": [ADDRESS, PORT],
 * "to": [...], "time": what the peer's timestamp was last, "fin": it has sent that, "reset": it is
 * over, "urgent": as of others}, ...]}; what was received is in tcp-stream-N.img, N being no
 * socket's inode.
 *
 * Not kept is what only accept(2) of this one connection would show: options that the listening
 * socket had and has not any more, TCP_SAVED_SYN.
 */
#pragma once

#include "state/sock/tcp_urgent.h"

/* Can those of this tree be saved, and be made again on this kernel? */
bool tcp_unaccepted_can(struct dump *d);

/* Those of listening socket S.  1: that cannot be; -EAGAIN: one of them cannot be saved. */
int tcp_unaccepted_check(struct dump *d, const struct sock_view *s) MUST_CHECK;
int tcp_unaccepted_dump(struct dump *d, const struct sock_view *s, json_t *x) MUST_CHECK;

/*
 * Appends their addresses, as struct diag_tcp; X: the listening socket's part of IMAGE_EXTRA. True:
 * there are some.  Then our segments must not be tracked: NAT compares the port of what the BPF
 * program has found with the packet's before it is known (nf_nat_ipv4_local_in()).
 */
bool tcp_unaccepted_list(const json_t *x, GArray *list);

/* All of them, when all sockets listen that did. */
int tcp_unaccepted_restore(struct restore *r) MUST_CHECK;
