/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that wait to be accepted are the packets of a listening socket: each leads to a
 * struct sock that has no descriptor yet, with a queue of its own (net/unix/af_unix.c:
 * unix_stream_connect()).  No call shows what is in it before accept(2) has taken it: we read it
 * where it is (kernel/peek.h).
 */
#include "state/fd/files.h"
#include "state/sock/unix_memory.h"

#include <errno.h>

struct walk {
	struct dump *d;
	json_t *list;
	size_t at;			/* in LIST */
	bool only_look, stream, hidden; /* HIDDEN: there is something that we cannot read */
};

static int connection_cred(struct peek *k, const struct unix_memory *m, uint64_t sk, json_t *one)
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
		r = unix_memory_cred(m, k, pid, uid, gid, &j);
	if (r == 0)
		json_object_set_new(one, "cred", j);
	return r;
}

static int add_connection(struct peek *k, uint64_t skb, void *arg)
{
	struct walk *w = arg;
	json_t *one = json_array_get(w->list, w->at++);
	struct unix_memory m = {
		.d = w->d, .packets = json_array(), .stream = w->stream, .only_look = w->only_look};
	uint64_t sk;
	int r = peek_u64(k, skb, "sk_buff", "sk", &sk);

	if (!w->only_look) {
		m.id = files_new_id(w->d);
		json_object_set_new(one, "id", json_integer(m.id));
	}
	json_object_set(one, "packets", m.packets);
	if (r == 0 && !w->only_look)
		r = connection_cred(k, &m, sk, one);
	if (r == 0)
		r = unix_memory_queue(&m, k, sk);
	w->hidden |= m.rights;
	json_decref(m.packets);
	return r;
}

/* 0: all of it was read. */
static int walk(struct walk *w, int fd)
{
	uint64_t sk, queue;
	struct peek *k;
	int type, r;

	if (!dump_peek(w->d, &k))
		return 1;
	w->stream = sock_get_int(fd, SOL_SOCKET, SO_TYPE, &type) && type == SOCK_STREAM;
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
