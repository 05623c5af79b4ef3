/* SPDX-License-Identifier: Apache-2.0 */
/* What is shared by files about inet sockets. */
#pragma once

#include "image/sk-inet.pb-c.h"
#include "state/sock/sock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

union inet_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* "10.0.0.1:80", "[fe80::1]:80" */
void inet_show(const union inet_addr *a, char ret[static 80]);
socklen_t inet_addr_len(const union inet_addr *a);

/* TCP, or MPTCP, which begins as TCP and has its options */
bool inet_is_tcp(const struct sock_view *s);

/* The TCP_* state; datagram and raw sockets: TCP_ESTABLISHED when connected, else TCP_CLOSE. */
int inet_state(const struct sock_view *s);

/* inet_restore.c: fd_inet's */
int inet_load(struct restore *r, struct file *f) MUST_CHECK;
int inet_open(struct restore *r, struct file *f) MUST_CHECK;
int inet_finish(struct restore *r, struct file *f) MUST_CHECK;

/* What the record of F, whose f->fd is new, says; a socket in TCP_REPAIR is only made to say so. */
int inet_bind(struct restore *r, struct file *f, bool in_repair) MUST_CHECK;
int inet_connect(struct restore *r, struct file *f) MUST_CHECK; /* -EINPROGRESS: O_NONBLOCK */

/* noroute.c: after connect(2) has failed; errno stays what it was */
int inet_connect_without_route(int fd, const union inet_addr *a) MUST_CHECK;

/* freebind.c: bind(2) as the dump saw it: errno as usual */
void inet_freebind_dump(const struct sock_view *s, json_t *x);
int inet_freebind(int fd, json_t *x, const union inet_addr *a) MUST_CHECK;

/* inet_record.c: those that the record itself has; e->opts is there. */
void inet_record_dump(const struct sock_view *s, InetSkEntry *e);
int inet_record_restore(int fd, const InetSkEntry *e) MUST_CHECK;

/* reuseport.c: who gets what comes to a port that several sockets have */
int reuseport_check(struct dump *d, const struct sock_view *s) MUST_CHECK;
int reuseport_dump(struct dump *d, const struct sock_view *s, json_t *x) MUST_CHECK;
/* What has to be bound, or listen, before F; NULL: nothing. */
struct file *reuseport_before(struct restore *r, const struct file *f);
int reuseport_attach(int fd, const json_t *x) MUST_CHECK; /* it is bound, or listens */

/* tcp_keys.c: of a socket without a connection */
int tcp_keys_check(struct dump *d, const struct sock_view *s) MUST_CHECK;
int tcp_keys_dump(struct dump *d, const struct sock_view *s, json_t *x) MUST_CHECK;
int tcp_keys_restore(int fd, int family, const json_t *x) MUST_CHECK;

/* A packet to a socket of the tree, as from anybody; DATA begins with the header of PROTOCOL. */
struct injected {
	union inet_addr from, to;
	int protocol;
	uint8_t *data;
	size_t len, sum_at; /* SUM_AT: where in DATA its checksum is */
	const char *device; /* that the receiver is bound to, or NULL */
	uint32_t net;	    /* number of its network namespace */
};
int inet_inject(struct restore *r, const struct injected *p) MUST_CHECK;

/* A socket for them in network namespace NET, kept until the restore ends. */
int socks_raw(struct restore *r, uint32_t net, int family, int *ret_fd) MUST_CHECK;

/* The number of the network namespace that it is in; 0: the root's. */
static inline uint32_t inet_net(const InetSkEntry *e)
{
	return e->has_ns_id ? e->ns_id : 0;
}

/*
 * conns_restore.c: its port is another's with SO_REUSEPORT, which it has turned off since it came
 * there: nobody could any more (inet_bind_conflict()), so it is on until all of them listen.
 */
bool socks_shares_port(const struct restore *r, const InetSkEntry *e);
bool socks_listen_once(struct restore *r); /* true for the first who asks */

/* udp.c: datagrams that wait to be read; sent again when all sockets are there */
int udp_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x) MUST_CHECK;
int udp_restore(struct restore *r, struct file *f) MUST_CHECK;

/* Bytes that wait in it, as they are counted against SO_RCVBUF. */
uint32_t inet_memory(int fd);

/*
 * raw_queue.c: packets that wait in raw sockets and those of ICMP; what cannot be saved is lost,
 * with a warning.  They come back before any inet socket is made, into sockets that stay closed to
 * others until raw_let_in().
 */
int raw_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x) MUST_CHECK;
bool raw_waits(const struct restore *r, const struct file *f); /* has F any? */
int raw_fill_all(struct restore *r) MUST_CHECK;
int raw_let_in(int fd) MUST_CHECK;
bool socks_fill_once(struct restore *r); /* true for the first who asks */

/* udp_cork.c: one that waits to be completed */
int udp_cork_check(struct dump *d, const struct sock_view *s) MUST_CHECK;
int udp_cork_dump(struct dump *d, const struct sock_view *s, json_t *x) MUST_CHECK;
int udp_cork_restore(int fd, const json_t *x) MUST_CHECK;

/*
 * udp_error.c: errors that wait where no datagram does, without taking them: {"error": the next,
 * "errors": those of IP_RECVERR}.  1: that cannot be, or there is none.
 */
int udp_errors_dump(struct dump *d, const struct sock_view *s, json_t *x) MUST_CHECK;

/* It is told ERROR again; of a socket that is connected */
int udp_error_raise(int fd, int protocol, int error) MUST_CHECK;

/* inet_options.c: of IP, IPv6, TCP and UDP, as [level, name, value] in IMAGE_EXTRA */
int inet_options_dump(const struct sock_view *s, json_t *x) MUST_CHECK;
int inet_options_restore(int fd, json_t *x) MUST_CHECK;

/* flowlabel.c: those that it has leased are refused */
int flowlabel_check(struct dump *d, const struct sock_view *s) MUST_CHECK;

/* mroute.c: those of multicast routers are refused */
int mroute_check(const struct dump *d, const struct sock_view *s) MUST_CHECK;

/* multicast.c: groups, by interface name and address.  X may be NULL: could they be saved? */
int multicast_dump(struct dump *d, const struct sock_view *s, json_t *x) MUST_CHECK;
int multicast_restore(int fd, json_t *x) MUST_CHECK;

/* udp_empty.c: all datagrams that wait, if there are EMPTY ones; NULL: there are none, or where
 * they are cannot be seen. */
struct udp_waiting {
	bool empty;
	union inet_addr from, to; /* of an empty one; TO has no port */
};
GArray *udp_empty_look(struct dump *d, const struct sock_view *s);
