/* SPDX-License-Identifier: Apache-2.0 */
/* What is shared by files that make unix sockets. */
#pragma once

#include "image/sk-unix.pb-c.h"
#include "state/sock/sock.h"

struct usock {
	struct file *file;
	const UnixSkEntry *e;
	json_t *x;
	struct usock *peer; /* connected both ways */
	int fd;
	int other;	      /* our end of a connection that is closed on the other side */
	int feed;	      /* a datagram socket to fill the queue with */
	struct usock *half;   /* of socketpair(2): its peer, which is connected elsewhere by now */
	struct usock *fed_by; /* whose HALF it is */
	bool named, packets;
	bool late;	/* it is connected when all queues are filled */
	bool waited;	/* to be accepted: connected again in its turn */
	bool inherited; /* --inherit-fd fd[N]:socket:[INODE]: as it came */
};

struct socks_restore {
	GHashTable *all;       /* inode -> struct usock */
	GHashTable *clients;   /* inode -> array of struct usock that are connected one way */
	GHashTable *holders;   /* file id -> struct rtask that has it */
	GHashTable *listening; /* names */
	GPtrArray *queue;      /* struct sock_packet */
	GHashTable *waiting;   /* id -> who sends it: unix_waiting.c */
	GHashTable *covers;    /* id -> struct unix_cover */
	GPtrArray *late;       /* struct usock */
	bool finished;
};

static inline bool usock_has_name(const struct usock *u)
{
	return u->e->name.len > 0;
}

static inline bool usock_is_stream(const struct usock *u)
{
	return u->e->type != SOCK_DGRAM;
}

static inline uint32_t usock_net_of(const struct usock *u)
{
	return u->e->has_ns_id ? u->e->ns_id : 0;
}

static inline bool usock_is_external(const struct usock *u)
{
	return u->e->uflags & UNIX_EXTERNAL;
}

struct sock_maker usock_maker(struct restore *r, const struct usock *u);
struct sock_maker usock_holder(struct restore *r, const struct usock *u); /* who has it open */
int usock_bind(struct restore *r, struct usock *u, int fd) MUST_CHECK;

struct usock *unix_find(struct restore *r, uint32_t ino); /* NULL: none */

int unix_connect_by(struct restore *r, const struct sock_maker *m, int fd, const struct usock *to)
	MUST_CHECK;

/* unix_connect.c: of all sockets whose names are DELETED, or are not */
int unix_name_all(struct restore *r, bool deleted) MUST_CHECK;
int unix_connect_late(struct restore *r) MUST_CHECK; /* when all queues are filled */

/*
 * unix_cover.c: where nothing is mounted over the directory of a socket's name.  NULL: nothing is
 * anyway.
 */
struct unix_cover {
	int ns, root; /* a mount namespace, its root directory */
};
int unix_cover_open(struct restore *r, uint32_t id) MUST_CHECK; /* before anything else of it */
const struct unix_cover *unix_cover(const struct restore *r, uint32_t id);

/* unix_waiting.c: in their order; whoever has closed is closed by unix_waiting_end(). */
int unix_waiting_connect(struct restore *r, struct usock *u,
			 int (*connect_client)(struct restore *, struct usock *, struct usock *))
	MUST_CHECK;
void unix_waiting_end(struct socks_restore *s);
bool unix_waiting_sender(struct restore *r, uint32_t id, int *ret_fd, json_t **ret_packet);

/* unix_dead.c: a socket of this name that sends to TO, to be closed after it.  1: not to be had. */
int unix_dead_sender(struct restore *r, const struct usock *to, const void *name, size_t len,
		     int *ret_fd) MUST_CHECK;

/* unix_queues.c */
struct usock *unix_receiver(struct restore *r, uint32_t id); /* of a packet; NULL: none */
int unix_pass_credentials(struct restore *r, struct usock *u) MUST_CHECK;
int unix_fill(struct restore *r) MUST_CHECK;
int unix_options(struct restore *r, struct usock *u) MUST_CHECK;
int unix_shut(struct restore *r, struct usock *u) MUST_CHECK;
