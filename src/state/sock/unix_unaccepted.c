/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that wait to be accepted are the packets of a listening socket: each leads to a
 * struct sock that has no descriptor yet, with a queue of its own (net/unix/af_unix.c:
 * unix_stream_connect()).  No call shows what is in it before accept(2) has taken it: we read it
 * where it is (kernel/peek.h).
 */
#include "kernel/peek.h"
#include "state/fd/files.h"
#include "state/ns/ns.h"
#include "state/sock/sock.h"

#include <errno.h>

struct walk {
	struct dump *d;
	json_t *list, *packets;
	size_t at; /* in LIST */
	uint32_t id;
	bool only_look, hidden; /* HIDDEN: there is something that we cannot read */
};

static int read_cred(struct peek *k, struct walk *w, uint64_t pid_at, uint64_t uid_at,
		     uint64_t gid_at, json_t **ret)
{
	uint32_t uid, gid;
	pid_t pid;
	int r = peek_pid(k, pid_at, &pid);

	if (r == 0)
		r = peek_read(k, uid_at, &uid, sizeof(uid));
	if (r == 0)
		r = peek_read(k, gid_at, &gid, sizeof(gid));
	if (r == 0)
		*ret = unix_cred(w->d, pid, uid, gid);
	return r;
}

/* Who sends it, if the message has that (UNIXCB()). */
static int packet_cred(struct peek *k, struct walk *w, uint64_t cb, json_t *about)
{
	uint64_t pid, uid, gid;
	json_t *cred = NULL;
	int r = peek_u64(k, cb, "unix_skb_parms", "pid", &pid);

	if (r < 0 || !pid)
		return r;
	r = peek_at(k, cb, "unix_skb_parms", "uid", &uid);
	if (r == 0)
		r = peek_at(k, cb, "unix_skb_parms", "gid", &gid);
	if (r == 0)
		r = read_cred(k, w, pid, uid, gid, &cred);
	if (r == 0)
		json_object_set_new(about, "cred", cred);
	return r;
}

static int add_packet(struct peek *k, uint64_t skb, void *arg)
{
	g_autoptr(GByteArray) data = g_byte_array_new();
	struct walk *w = arg;
	json_t *about = json_object();
	uint64_t cb, rights;
	int r = peek_at(k, skb, "sk_buff", "cb", &cb);

	json_array_append_new(w->packets, about);
	if (r == 0)
		r = peek_u64(k, cb, "unix_skb_parms", "fp", &rights);
	if (r == 0 && rights)
		w->hidden = true;
	if (r < 0 || w->hidden || w->only_look)
		return r;
	r = packet_cred(k, w, cb, about);
	if (r == 0)
		r = peek_skb_data(k, skb, data);
	return r < 0 ? r : sock_queue_add(w->d, w->id, data->data, data->len);
}

static int connection_cred(struct peek *k, struct walk *w, uint64_t sk, json_t *one)
{
	uint64_t pid, cred, uid, gid;
	json_t *j = NULL;
	int r = peek_u64(k, sk, "sock", "sk_peer_pid", &pid);

	if (r == 0)
		r = peek_u64(k, sk, "sock", "sk_peer_cred", &cred);
	if (r == 0)
		r = peek_at(k, cred, "cred", "euid", &uid);
	if (r == 0)
		r = peek_at(k, cred, "cred", "egid", &gid);
	if (r == 0)
		r = read_cred(k, w, pid, uid, gid, &j);
	if (r == 0)
		json_object_set_new(one, "cred", j);
	return r;
}

static int add_connection(struct peek *k, uint64_t skb, void *arg)
{
	struct walk *w = arg;
	json_t *one = json_array_get(w->list, w->at++);
	uint64_t sk, queue, urgent;
	int r = peek_u64(k, skb, "sk_buff", "sk", &sk);

	w->packets = json_array();
	if (!w->only_look) {
		w->id = files_new_id(w->d);
		json_object_set_new(one, "id", json_integer(w->id));
	}
	json_object_set(one, "packets", w->packets);
	if (r == 0 && !w->only_look)
		r = connection_cred(k, w, sk, one);
	if (r == 0)
		r = peek_u64(k, sk, "unix_sock", "oob_skb", &urgent);
	if (r == 0 && urgent)
		w->hidden = true;
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_receive_queue", &queue);
	if (r == 0)
		r = peek_skbs(k, queue, add_packet, w);
	json_decref(w->packets);
	return r;
}

/* 0: all of it was read. */
static int walk(struct walk *w, int fd)
{
	uint64_t sk, queue;
	struct peek *k;
	int r;

	if (!dump_peek(w->d, &k))
		return 1;
	r = peek_sock(k, fd, &sk);
	if (r == 0)
		r = peek_at(k, sk, "sock", "sk_receive_queue", &queue);
	w->at = 0;
	if (r == 0)
		r = peek_skbs(k, queue, add_connection, w);
	if (r == -EOPNOTSUPP || r == -EFAULT) { /* another kernel's; it changes while we look */
		err_clear();
		return 1;
	}
	return r < 0 ? r : w->hidden;
}

int unix_unaccepted_dump(struct dump *d, int fd, json_t *list)
{
	struct walk look = {.d = d, .list = json_array(), .only_look = true};
	struct walk w = {.d = d, .list = list};
	int r = walk(&look, fd); /* nothing is written unless all can be */

	json_decref(look.list);
	if (r == 0 && look.at != json_array_size(list))
		return err_set(EIO, "%zu connections wait, not %zu", look.at,
			       json_array_size(list));
	return r == 0 ? walk(&w, fd) : r;
}

bool unix_unaccepted_shown(struct dump *d, int fd)
{
	struct walk w = {.d = d, .list = json_array(), .only_look = true};
	int r = walk(&w, fd);

	json_decref(w.list);
	if (r < 0)
		err_clear();
	return r == 0;
}
