/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock_diag(7): what the sockets of one network namespace are, by inode.  One request lists all
 * sockets of a family; sockets of processes that run may come and go meanwhile.
 */
#pragma once

#include "base/err.h"

#include <sys/socket.h>
#include <sys/un.h>

/* A netlink socket that belongs to the network namespace of the process DIR (/proc/PID). */
int diag_open(int dir, int *ret_fd) MUST_CHECK;
int diag_open_ns(int ns, int *ret_fd) MUST_CHECK; /* of that namespace */

struct diag_unix {
	uint32_t ino;
	uint8_t type, state; /* SOCK_*, TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE */
	uint8_t shutdown;    /* 1: receiving, 2: sending */
	bool has_peer;	     /* connected to a socket, which may be closed (PEER is 0) */
	uint32_t peer;	     /* inode; 0 also for one that waits to be accepted */
	uint32_t rqueue;     /* bytes to be read; of a listening one, connections that wait */
	uint32_t wqueue;     /* bytes that the peer has not read; of a listening one, its backlog */
	bool has_vfs;	     /* bound to a name in the file system, maybe deleted */
	unsigned name_len;
	char name[sizeof(struct sockaddr_un)]; /* abstract ones begin with 0; else with 0 behind */
	unsigned nicons;
	uint32_t *icons; /* of a listening one: inodes of those that wait to be accepted */
};

/* inode -> struct diag_unix; the keys are GUINT_TO_POINTER(). */
int diag_unix(int sock, GHashTable **ret) MUST_CHECK;

struct diag_tcp {
	uint32_t ino; /* 0: nobody has it open */
	int family;   /* AF_INET also of connections of IPv6 sockets to mapped addresses */
	uint8_t state;
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
	uint32_t device; /* number of the one that it is bound to */
	uint32_t rqueue; /* bytes to be read, with those behind an urgent one, and a FIN */
	uint8_t id[48];	 /* struct inet_diag_sockid */
	bool md5, ulp;	 /* signed with keys (TCP_MD5SIG); a protocol on top (TCP_ULP) */
	uint8_t options, snd_wscale, rcv_wscale; /* TCPI_OPT_*: struct tcp_info */
};

/* Appends all TCP sockets of FAMILY. */
int diag_tcp(int sock, int family, GArray *list) MUST_CHECK;

/*
 * The one with WHO's addresses and ports; also a listening socket that would get what comes from
 * there.  1: there is none.
 */
int diag_tcp_find(int sock, const struct diag_tcp *who, struct diag_tcp *ret) MUST_CHECK;

/*
 * Ends connections at local PORT that nobody has open any more and that only wait for their time to
 * be over (TIME-WAIT and what leads to it): they keep others from the port.
 */
int diag_tcp_free_port(int sock, uint16_t port) MUST_CHECK;

#define DIAG_SIGNS 0x80u /* TCP_MD5SIG */

/* Adds inode -> shutdown (1, 2, 3; unlisted: 0), DIAG_SIGNS, of PROTOCOL's sockets. */
int diag_inet_shutdown(int sock, int family, int protocol, GHashTable *map) MUST_CHECK;

struct packet_diag_mclist;

struct diag_packet { /* packet(7) */
	uint32_t ino;
	uint32_t index, version, reserve, copy_thresh, timestamp,
		flags;	   /* struct packet_diag_info */
	uint16_t protocol; /* in network order */
	bool has_fanout, has_ring[2];
	uint32_t fanout;
	uint32_t ring[2][7]; /* receiving, sending: struct packet_diag_ring */
	unsigned nmemberships;
	struct packet_diag_mclist *memberships;
};

/* inode -> struct diag_packet; into *RET, which is made if it is NULL */
int diag_packet(int sock, GHashTable **ret) MUST_CHECK;

/* Sends a request for a list and calls CB (mnl_cb_t) for each of its messages. */
struct nlmsghdr;
int diag_list(int sock, const void *req, size_t len, int (*cb)(const struct nlmsghdr *, void *),
	      void *arg) MUST_CHECK;
