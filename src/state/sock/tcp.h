/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections, by TCP_REPAIR (tcp(7) does not tell: net/ipv4/tcp.c, do_tcp_setsockopt()).
 *
 * While they are read, and until those who have them are dead or go on, the network is locked for
 * them (state/sock/netlock.h): what a peer sends is neither acknowledged nor refused, so it sends
 * it again to the restored connection.
 *
 * TCP_REPAIR makes established connections only.  What happened to them since is made to happen
 * again, while the network is locked: our FIN by shutdown(2); what the peer sent (its FIN, the
 * acknowledgement of ours, a reset) by segments of our own: state/sock/tcp_segment.c.
 */
#pragma once

#include "image/tcp-stream.pb-c.h"
#include "state/sock/inet.h"

#define TCP_QUEUE_MAX (256u << 20)

/* States in which our FIN is in the queue or sent, and in which the peer's has come: each counts as
 * one more number, which is no data. */
#define TCP_OUR_FIN   (1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSING | 1 << TCP_LAST_ACK)
#define TCP_THEIR_FIN (1 << TCP_CLOSE_WAIT | 1 << TCP_CLOSING | 1 << TCP_LAST_ACK)

static inline bool tcp_is_connection(const struct diag_tcp *c)
{
	return c->state != TCP_LISTEN && c->state != TCP_CLOSE && c->state != TCP_TIME_WAIT;
}

/* A connection of the tree, until those who have it are dead. */
int socks_keep(struct dump *d, int fd) MUST_CHECK;

/* A number for a stream that no socket of the tree has. */
uint32_t socks_stream_id(struct dump *d);

/* T's packets are dropped meanwhile. */
bool socks_locked(const struct dump *d, const struct diag_tcp *t);

/* What sock_diag says of a connection; NULL: it is not listed (any more). */
const struct diag_tcp *socks_tcp(struct dump *d, uint32_t ino);

/* May it be saved in this state? */
int tcp_check(struct dump *d, const struct sock_view *s, int state) MUST_CHECK;

/* May connections that wait be dropped?  "connections 10.0.0.2:80 - 10.0.0.1:4711, ... wait to be
 * accepted" */
int tcp_check_backlog(struct dump *d, const struct sock_view *s, unsigned waiting) MUST_CHECK;

/* Its peer's address, also when it has been connected and is not any more. */
bool tcp_peer(int fd, union inet_addr *ret);

/* Writes tcp-stream-INODE.img; X is the socket's part of IMAGE_EXTRA. */
int tcp_dump(struct dump *d, const struct sock_view *s, int state, json_t *x) MUST_CHECK;

/* Makes f->fd, a new socket, what it was.  It does nothing by itself before socks_go(). */
int tcp_restore(struct restore *r, struct file *f) MUST_CHECK;

/* One that is there again, still in repair; FD becomes conns.c's. */
struct tcp_kept {
	int fd, reuse; /* SO_REUSEADDR */
};
void socks_kept(struct restore *r, const struct tcp_kept *k);

/* A segment as from the other side. */
struct tcp_segment {
	union inet_addr from, to;
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;	     /* TH_*, netinet/tcp.h */
	uint16_t urgent;     /* its pointer */
	const uint8_t *data; /* or NULL */
	size_t data_len;
	const char *device; /* that the receiver is bound to, or NULL */
	uint32_t net;	    /* number of its network namespace */
};

int tcp_segment_send(struct restore *r, const struct tcp_segment *s) MUST_CHECK;

/* To the socket FD; then waits until that is in STATE. */
int tcp_segment(struct restore *r, int fd, const struct tcp_segment *s, int state) MUST_CHECK;
