/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections, by TCP_REPAIR (tcp(7) does not tell: net/ipv4/tcp.c, do_tcp_setsockopt()).
 *
 * While they are read, and until those who have them are dead or go on, the network is locked for
 * them (state/sock/netlock.h): what a peer sends is neither acknowledged nor refused, so it sends
 * it again to the restored connection.
 */
#pragma once

#include "image/tcp-stream.pb-c.h"
#include "state/sock/sock.h"

/* A connection of the tree, until those who have it are dead. */
int socks_keep(struct dump *d, int fd) MUST_CHECK;

/* One that is there again, still in repair. */
struct tcp_kept {
	int fd, reuse; /* SO_REUSEADDR */
	bool fin;      /* our side is closed */
	uint8_t *unsent;
	size_t unsent_len;
};

/* May it be saved in this state? */
int tcp_check(struct dump *d, const struct sock_view *s, int state) MUST_CHECK;

/* Writes tcp-stream-INODE.img. */
int tcp_dump(struct dump *d, const struct sock_view *s, int state) MUST_CHECK;

struct tcp_stream {
	TcpStreamEntry *e;
	uint8_t *in, *out;
};
void tcp_stream_clear(struct tcp_stream *t);

/* Of inode INO, in state STATE. */
int tcp_load(struct restore *r, uint32_t ino, int state, struct tcp_stream *ret) MUST_CHECK;

/* A new socket, before it is bound. */
int tcp_begin(int fd, const struct tcp_stream *t) MUST_CHECK;

/* Once it is connected: queues and windows.  It does nothing by itself before socks_go(). */
int tcp_fill(struct restore *r, int fd, const struct tcp_stream *t, int state, int reuse)
	MUST_CHECK;
