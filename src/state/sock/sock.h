/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: one file per family, each a kind of descriptor (state/fd/kind.h).  Here is what they
 * share: facts about all sockets of the tree, options, queues, and making sockets where the tree
 * is.
 *
 * At dump everything is read from a duplicate of the description and from sock_diag(7).  At restore
 * sockets are made by agents, who are in the right network and mount namespaces, and can be whom
 * SO_PEERCRED is to name; they come to us by pidfd_getfd(2).
 */
#pragma once

#include "image/sk-opts.pb-c.h"
#include "kernel/diag.h"
#include "state/dump.h"
#include "state/fd/kind.h"
#include "state/restore.h"

#include <sys/socket.h>
#include <sys/un.h>

/* What fd_kind.match() of a family asks: the family of what V is, -1 when it is no socket. */
int sock_family(const struct fd_view *v);

struct sock_view {
	const struct fd_view *v;
	int fd; /* a duplicate */
	int family, type, protocol;
	uint32_t ino;
	uint32_t ns; /* number of its network namespace in the images */
};
#define SOCK_VIEW_NONE ((struct sock_view){.fd = -1})

int sock_view_read(struct dump *d, const struct fd_view *v, struct sock_view *ret) MUST_CHECK;
void sock_view_clear(struct sock_view *s);

/* tree.c: all sockets of the tree and what sock_diag says; anew after the freeze. */
struct socks_dump {
	bool frozen;
	GArray *diags;	      /* int: of the root's network namespace, of each space */
	unsigned spaces;      /* namespaces below the root's when it was asked */
	GHashTable *inodes;   /* of all sockets that tasks have open */
	GHashTable *unix_all; /* struct diag_unix, of the whole network namespace */
	GHashTable *awaiting; /* inode of a client -> that of the listening one that will accept */
	GArray *waiting;      /* struct unix_waiting: unix_waiting.c */
	GArray *to_check;     /* struct unix_peer: unix.c */
	bool flight, flight_known; /* descriptors are on their way in some unix socket */
	GHashTable *shut;	   /* inode -> 1, 2, 3: shutdown of inet sockets; DIAG_SIGNS */
	GHashTable *ids;	   /* inode -> id of the file, of those that may be mapped */
	GHashTable *packets;	   /* inode -> struct diag_packet: packet.c */
	GHashTable *labels;	   /* network namespace -> has it any? flowlabel.c */
	GHashTable *tcp;	   /* inode -> struct diag_tcp: socks_tcp() */
};
int socks_look(struct dump *d) MUST_CHECK;
int socks_list_tcp(struct dump *d, int family, GArray *ret) MUST_CHECK; /* struct diag_tcp */
bool socks_has(const struct dump *d, uint32_t ino);
bool socks_flight(const struct dump *d); /* reads all descriptors, once */

/* options.c: SOL_SOCKET.  The record is allocated. */
int sock_options_check(const struct sock_view *s) MUST_CHECK;
int sock_options_dump(const struct sock_view *s, SkOptsEntry **ret) MUST_CHECK;
int sock_options_restore(int fd, const SkOptsEntry *e) MUST_CHECK;

/* Those of SOL_SOCKET that CRIU's record has no place for, in X; after sock_options_restore(). */
void sock_more_dump(const struct sock_view *s, json_t *x);
int sock_more_restore(int fd, const json_t *x) MUST_CHECK;

/* An option that may not be there on this socket or kernel: false then. */
bool sock_get_int(int fd, int level, int name, int *ret);
int sock_set_int(int fd, int level, int name, int value) MUST_CHECK;
int sock_set_again(int fd, int level, int name, int value)
	MUST_CHECK; /* not known here: a warning */

/* What has no place in CRIU's record: an object per file id in IMAGE_EXTRA. */
json_t *sock_extra_new(struct dump *d, uint32_t id);
json_t *sock_extra_of(const struct dump *d, uint32_t id); /* the same again */
json_t *sock_extra(const struct restore *r, uint32_t id); /* NULL: none */

/* Packets that wait in it, as nobody can count on them, are not saved: a warning. */
void sock_tell_lost(const struct sock_view *s);

/* queue.c: what is queued in a unix socket, read without taking it; for fd_kind.dump_late(). */
int sock_queue_dump(struct dump *d, const struct sock_view *s, uint32_t id, json_t *x) MUST_CHECK;

/* The same of one that is no file of the tree: under ID, about it into PACKETS. */
int sock_queue_walk(struct dump *d, const struct sock_view *s, uint32_t id, json_t *packets)
	MUST_CHECK;

/* DATA as text, into O. */
void sock_hex(json_t *o, const char *key, const void *data, size_t len);

/* A packet without descriptors that was read otherwise. */
int sock_queue_add(struct dump *d, uint32_t id, const void *data, size_t len) MUST_CHECK;

struct sock_packet {
	uint32_t id; /* of the file that receives it */
	uint32_t len;
	uint8_t *data;
	uint32_t *rights; /* ids of files that are on their way with it */
	unsigned nrights;
};
/* struct sock_packet, in the order of the file */
int sock_queues_load(struct restore *r, GPtrArray **ret) MUST_CHECK;

/*
 * make.c: who makes a socket, as SO_PEERCRED shows it: CRED is [PID, UID, GID] as the container
 * sees them, or NULL for the first task.
 */
struct sock_maker {
	struct rtask *task;
	uid_t uid;
	gid_t gid;
	uint32_t net;	   /* number of the socket's network namespace; 0: the root's */
	int mnt_id;	   /* of the file system where its name is; -1: the root's */
	const int *mounts; /* another mount namespace than that; or NULL */
	pid_t gone;	   /* it was this process, which is not in the tree; else 0 */
};
struct sock_maker sock_maker(struct restore *r, const json_t *cred);
struct sock_maker sock_maker_in(struct restore *r, uint32_t net); /* the first task, there */

struct sock_call {
	const char *dir; /* where it is made, and the root of an absolute name; NULL: anywhere */
	int fd;
	uint32_t nr;
	const void *addr; /* NULL: ARG instead */
	socklen_t len;
	long arg;
};
bool sock_call_has_root(const struct sock_call *c);
/* make_gone.c: M->gone makes the call; RET_FDS: of socketpair(2). */
int sock_call_gone(const struct sock_maker *m, const struct sock_call *c, int ret_fds[2])
	MUST_CHECK;

int sock_make(const struct sock_maker *m, int family, int type, int protocol, int *ret_fd)
	MUST_CHECK;
int sock_make_pair(const struct sock_maker *m, int type, int ret_fds[2]) MUST_CHECK;

/* The calls on our FD, done by M in directory DIR (NULL: where it is), or with it as its root. */
int sock_bind_by(const struct sock_maker *m, const char *dir, int fd, const void *addr,
		 socklen_t len) MUST_CHECK;
int sock_listen_by(const struct sock_maker *m, int fd, int backlog) MUST_CHECK;
int sock_connect_by(const struct sock_maker *m, const char *dir, int fd, const void *addr,
		    socklen_t len) MUST_CHECK;

/* O_NONBLOCK and O_ASYNC, and who gets SIGIO. */
int sock_flags_restore(struct restore *r, struct file *f, const FownEntry *fown, unsigned flags)
	MUST_CHECK;

/* unix.c: [PID, UID, GID] of its peer into X, "cred". */
void unix_cred_dump(struct dump *d, int fd, json_t *x);

/* The same as the tree sees them; PID is as we see it. */
json_t *unix_cred(struct dump *d, pid_t pid, uid_t uid, gid_t gid);

/*
 * unix_unaccepted.c: what was sent on the connections that wait for listening socket FD, into LIST
 * ("waiting").  1: that cannot be seen from outside.
 */
int unix_unaccepted_dump(struct dump *d, int fd, json_t *list) MUST_CHECK;
/* Before the freeze: could it be? */
bool unix_unaccepted_shown(struct dump *d, int fd);

/* unix_waiting.c: may the connections that wait for U be saved?  Then they are remembered. */
int unix_waiting_check(struct dump *d, const struct sock_view *s, const struct diag_unix *u)
	MUST_CHECK;
int unix_waiting_add(struct dump *d, const struct sock_view *s, const struct diag_unix *u,
		     json_t *x) MUST_CHECK;

/* unix_sk_entry.uflags */
#define UNIX_EXTERNAL 1 /* not of the tree, known by its name */
#define UNIX_SERVICE  2 /* connected to whoever dumps: restored, it hears that it has been */

/* unix_restore.c: all unix sockets, when the first is opened; and when all files are open. */
int unix_make_all(struct restore *r) MUST_CHECK;
int unix_finish_all(struct restore *r) MUST_CHECK;
